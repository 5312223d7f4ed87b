/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PKCS#12 codec: how such a file is recognised. Reading is in pkcs12_read.c, writing in pkcs12_write.c.
 */
#include "pkcs12.h"

#include <string.h>

/*
 * SEQUENCE { INTEGER, SEQUENCE { OID of PKCS#7 ...: nothing else begins so. A version other than 3 is claimed too, so that one
 * wrong bit in it is told as damage of a PKCS#12 file and not taken for the version of a private key.
 */
static int pkcs12_probe(struct ks_bytes head)
{
	static const unsigned char pkcs7[] = { 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07 };
	bool three;

	if (!ks_ber_enter(&head, KS_DER_SEQUENCE) || head.size < 3 || head.data[0] != KS_DER_INTEGER || head.data[1] != 1)
		return 0;
	three = head.data[2] == 3;
	head = KS_BYTES(head.data + 3, head.size - 3);
	if (!ks_ber_enter(&head, KS_DER_SEQUENCE))
		return 0;
	if (head.size >= sizeof(pkcs7) && memcmp(head.data, pkcs7, sizeof(pkcs7)) == 0)
		return 100;
	return three ? 50 : 0;
}

const struct ks_codec ks_codec_pkcs12 = {
	.name = "p12",
	.ceiling = (size_t)64 << 20,
	.probe = pkcs12_probe,
	.decode = ks_pkcs12_decode,
	.encode = ks_pkcs12_encode,
};
