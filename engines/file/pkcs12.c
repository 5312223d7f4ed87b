/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PKCS#12 codec: how such a file is recognised. Reading is in pkcs12_read.c, writing in pkcs12_write.c.
 */
#include "pkcs12.h"

#include <string.h>

/* SEQUENCE { INTEGER 3, SEQUENCE { OID of PKCS#7 ... : nothing else begins so. */
static int pkcs12_probe(struct ks_bytes head)
{
	static const unsigned char version[] = { 0x02, 0x01, 0x03 };
	static const unsigned char pkcs7[] = { 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07 };

	if (!ks_ber_enter(&head, KS_DER_SEQUENCE) || head.size < sizeof(version) ||
	    memcmp(head.data, version, sizeof(version)) != 0)
		return 0;
	head = KS_BYTES(head.data + sizeof(version), head.size - sizeof(version));
	if (!ks_ber_enter(&head, KS_DER_SEQUENCE) || head.size < sizeof(pkcs7))
		return 10;
	return memcmp(head.data, pkcs7, sizeof(pkcs7)) == 0 ? 100 : 10;
}

const struct ks_codec ks_codec_pkcs12 = {
	.name = "p12",
	.ceiling = (size_t)64 << 20,
	.probe = pkcs12_probe,
	.decode = ks_pkcs12_decode,
	.encode = ks_pkcs12_encode,
};
