/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What OpenSSL puts behind a certificate in a TRUSTED CERTIFICATE block: purposes it is trusted or rejected for, and
 * an alias.
 *
 *	SEQUENCE { trust SEQUENCE OF OID OPTIONAL, reject [0] SEQUENCE OF OID OPTIONAL, alias UTF8String OPTIONAL,
 *		   keyid OCTET STRING OPTIONAL, other [1] OPTIONAL }	(crypto/x509/x_x509a.c)
 */
#include "pem.h"

#include "der.h"

#define UTF8_STRING 0x0c

static const struct {
	unsigned char purpose;
	struct ks_bytes oid;
} purposes[] = {
	{ KS_FOR_SERVER, { (const unsigned char *)"\x2b\x06\x01\x05\x05\x07\x03\x01", 8 } },
	{ KS_FOR_CLIENT, { (const unsigned char *)"\x2b\x06\x01\x05\x05\x07\x03\x02", 8 } },
	{ KS_FOR_CODE, { (const unsigned char *)"\x2b\x06\x01\x05\x05\x07\x03\x03", 8 } },
	{ KS_FOR_EMAIL, { (const unsigned char *)"\x2b\x06\x01\x05\x05\x07\x03\x04", 8 } },
	{ KS_FOR_ANY, { (const unsigned char *)"\x55\x1d\x25\x00", 4 } },
};

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static int read_purposes(unsigned char *bits, struct ks_bytes rest)
{
	struct ks_der oid;

	while (rest.size) {
		if (ks_der_expect(&oid, &rest, KS_DER_OID) < 0)
			return KS_EDAMAGED;
		for (size_t i = 0; i < COUNT(purposes); i++) {
			if (ks_bytes_equal(oid.content, purposes[i].oid))
				*bits |= purposes[i].purpose;
		}
	}
	return 0;
}

int ks_pem_read_aux(struct ks_item *item, struct ks_bytes aux)
{
	struct ks_der whole, part;
	struct ks_bytes rest;
	int rc = 0;

	if (aux.size == 0)
		return 0;
	if (ks_der_only(&whole, aux, KS_DER_SEQUENCE) < 0)
		return KS_EDAMAGED;
	rest = whole.content;
	if (ks_der_maybe(&part, &rest, KS_DER_SEQUENCE))
		rc = read_purposes(&item->trust.trusted, part.content);
	if (rc == 0 && ks_der_maybe(&part, &rest, KS_DER_CONTEXT(0)))
		rc = read_purposes(&item->trust.distrusted, part.content);
	if (ks_der_maybe(&part, &rest, UTF8_STRING))
		item->label = part.content;
	if (ks_der_maybe(&part, &rest, KS_DER_OCTETS) && part.content.size)
		item->id = part.content;
	ks_der_maybe(&part, &rest, KS_DER_CONTEXT(1));
	return rest.size ? KS_EDAMAGED : rc;
}

bool ks_pem_needs_aux(struct ks_trust trust)
{
	return trust.distrusted || (trust.trusted && !(trust.trusted & KS_FOR_ANY));
}

static void write_purposes(struct ks_buffer *out, unsigned char tag, unsigned char bits)
{
	size_t mark;

	if (!bits)
		return;
	mark = ks_der_open(out, tag);
	for (size_t i = 0; i < COUNT(purposes); i++) {
		if (bits & purposes[i].purpose)
			ks_der_put(out, KS_DER_OID, purposes[i].oid);
	}
	ks_der_close(out, mark);
}

int ks_pem_write_aux(struct ks_buffer *out, const struct ks_item *item)
{
	size_t mark = ks_der_open(out, KS_DER_SEQUENCE);

	write_purposes(out, KS_DER_SEQUENCE, item->trust.trusted);
	write_purposes(out, KS_DER_CONTEXT(0), item->trust.distrusted);
	if (item->label.data)
		ks_der_put(out, UTF8_STRING, item->label);
	return ks_der_close(out, mark);
}
