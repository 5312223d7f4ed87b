/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shapes are told apart by the tags of the first elements; no two of the known ones share them.
 */
#include "shape.h"

#include "certificate.h"
#include "der.h"
#include "ber.h"
#include "key.h"

static bool starts_with(struct ks_bytes bytes, unsigned char tag)
{
	return bytes.size && bytes.data[0] == tag;
}

/* SEQUENCE { version INTEGER, ... }: private keys in three forms, and PFX. */
static enum ks_shape versioned(uint64_t version, struct ks_bytes rest)
{
	if (version == 3 && starts_with(rest, KS_DER_SEQUENCE))
		return KS_SHAPE_PFX;
	if (version == 1 && starts_with(rest, KS_DER_OCTETS))
		return KS_SHAPE_SEC1;
	if (version <= 1 && starts_with(rest, KS_DER_SEQUENCE))
		return KS_SHAPE_PKCS8;
	if (version <= 1 && starts_with(rest, KS_DER_INTEGER)) {
		struct ks_der number;
		int numbers = 0;

		while (ks_der_maybe(&number, &rest, KS_DER_INTEGER))
			numbers++;
		return numbers == 5 && rest.size == 0 ? KS_SHAPE_DSA : KS_SHAPE_PKCS1;
	}
	return KS_SHAPE_UNKNOWN;
}

static bool is_algorithm(struct ks_bytes sequence)
{
	return starts_with(sequence, KS_DER_OID);
}

/* Behind the signature algorithm of a TBSCertificate or TBSCertList: issuer, then validity or thisUpdate. */
static enum ks_shape behind_algorithm(struct ks_bytes rest)
{
	struct ks_der issuer;

	if (ks_der_expect(&issuer, &rest, KS_DER_SEQUENCE) < 0 || rest.size == 0)
		return KS_SHAPE_UNKNOWN;
	return rest.data[0] == KS_DER_SEQUENCE ? KS_SHAPE_CERTIFICATE : KS_SHAPE_CRL;
}

/* The to-be-signed part: certificates, CRLs and requests begin alike (RFC 5280 4.1, 5.1, RFC 2986 4.1). */
static enum ks_shape to_be_signed(struct ks_bytes rest)
{
	struct ks_der first, second;

	if (starts_with(rest, KS_DER_CONTEXT(0)))
		return KS_SHAPE_CERTIFICATE;
	if (ks_der_next(&first, &rest) < 0)
		return KS_SHAPE_UNKNOWN;
	if (first.tag == KS_DER_SEQUENCE && is_algorithm(first.content))
		return behind_algorithm(rest);
	if (first.tag != KS_DER_INTEGER || ks_der_expect(&second, &rest, KS_DER_SEQUENCE) < 0)
		return KS_SHAPE_UNKNOWN;
	return is_algorithm(second.content) ? behind_algorithm(rest) : KS_SHAPE_REQUEST;
}

/* SEQUENCE { AlgorithmIdentifier, ... }: a sealed key or a public key. */
static enum ks_shape behind_key_algorithm(struct ks_bytes rest)
{
	struct ks_der algorithm;

	if (ks_der_next(&algorithm, &rest) < 0)
		return KS_SHAPE_UNKNOWN;
	return starts_with(rest, KS_DER_OCTETS) ? KS_SHAPE_SEALED_PKCS8 :
	       starts_with(rest, KS_DER_BITS)	? KS_SHAPE_SPKI :
						  KS_SHAPE_UNKNOWN;
}

enum ks_shape ks_shape_of(struct ks_bytes head)
{
	static const unsigned char signed_data[] = "\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02";
	struct ks_bytes rest = head, inner;
	struct ks_der first;
	uint64_t version;

	if (!ks_ber_enter(&rest, KS_DER_SEQUENCE) || rest.size == 0)
		return KS_SHAPE_UNKNOWN;
	inner = rest;
	if (ks_der_maybe(&first, &rest, KS_DER_INTEGER))
		return ks_der_number(&version, first.content) < 0 ? KS_SHAPE_UNKNOWN : versioned(version, rest);
	if (ks_der_maybe(&first, &rest, KS_DER_OID))
		return ks_bytes_equal(first.content, KS_BYTES(signed_data, 9)) ? KS_SHAPE_PKCS7 : KS_SHAPE_UNKNOWN;
	if (!ks_ber_enter(&inner, KS_DER_SEQUENCE))
		return KS_SHAPE_UNKNOWN;
	return is_algorithm(inner) ? behind_key_algorithm(rest) : to_be_signed(inner);
}

const char *ks_shape_title(enum ks_shape shape)
{
	static const char *const titles[] = {
		[KS_SHAPE_UNKNOWN] = "something unknown",
		[KS_SHAPE_CERTIFICATE] = "a certificate",
		[KS_SHAPE_CRL] = "a CRL",
		[KS_SHAPE_REQUEST] = "a certificate request",
		[KS_SHAPE_PKCS8] = "a private key (PKCS#8)",
		[KS_SHAPE_SEALED_PKCS8] = "an encrypted private key (PKCS#8)",
		[KS_SHAPE_PKCS1] = "an RSA private key (PKCS#1)",
		[KS_SHAPE_SEC1] = "an EC private key (SEC 1)",
		[KS_SHAPE_DSA] = "a DSA private key",
		[KS_SHAPE_SPKI] = "a public key",
		[KS_SHAPE_PKCS7] = "a PKCS#7 bag of certificates",
		[KS_SHAPE_PFX] = "a PKCS#12 file",
	};

	return titles[shape];
}

enum ks_kind ks_shape_kind(enum ks_shape shape)
{
	switch (shape) {
	case KS_SHAPE_CERTIFICATE:
		return KS_CERTIFICATE;
	case KS_SHAPE_CRL:
		return KS_CRL;
	case KS_SHAPE_REQUEST:
		return KS_REQUEST;
	case KS_SHAPE_SPKI:
		return KS_PUBLIC_KEY;
	case KS_SHAPE_UNKNOWN:
	case KS_SHAPE_PKCS7:
	case KS_SHAPE_PFX:
		return KS_OPAQUE;
	default:
		return KS_PRIVATE_KEY;
	}
}

/* The outer frame of what a CA or a key owner signs: three elements, nothing behind them. */
static bool signed_frame(struct ks_bytes der)
{
	struct ks_der whole, part;

	return ks_der_only(&whole, der, KS_DER_SEQUENCE) == 0 &&
	       ks_der_expect(&part, &whole.content, KS_DER_SEQUENCE) == 0 &&
	       ks_der_expect(&part, &whole.content, KS_DER_SEQUENCE) == 0 &&
	       ks_der_expect(&part, &whole.content, KS_DER_BITS) == 0 && whole.content.size == 0;
}

static bool sound(enum ks_shape shape, struct ks_bytes der)
{
	struct ks_certificate_facts facts;
	struct ks_der whole;

	switch (shape) {
	case KS_SHAPE_CERTIFICATE:
		return ks_certificate_facts(&facts, der) == 0;
	case KS_SHAPE_CRL:
	case KS_SHAPE_REQUEST:
		return signed_frame(der);
	default:
		return ks_der_only(&whole, der, KS_DER_SEQUENCE) == 0;
	}
}

int ks_shape_item(struct ks_item **out, struct ks_set *into, enum ks_shape shape, struct ks_bytes der)
{
	struct ks_ctx *ctx = ks_set_ctx(into);
	enum ks_kind kind = ks_shape_kind(shape);
	struct ks_item *item;

	if (kind == KS_OPAQUE)
		return ks_fail(ctx, KS_EFORMAT, "%s is not one key, certificate, request or CRL", ks_shape_title(shape));
	if (!sound(shape, der))
		return ks_fail(ctx, KS_EDAMAGED, "%s is damaged", ks_shape_title(shape));
	item = ks_set_add(into, kind);
	if (!item)
		return ks_nomem(ctx);
	item->der = der;
	if (kind == KS_PRIVATE_KEY)
		ks_key_item(item, shape);
	if (kind == KS_PUBLIC_KEY) {
		item->spki = der;
		item->key = ks_keyspec_of_spki(der);
	}
	*out = item;
	return 0;
}
