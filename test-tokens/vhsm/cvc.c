/* SPDX-License-Identifier: Apache-2.0 */
#include "cvc.h"
#include "curve.h"

#include <stdio.h>
#include <string.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>

#define ISSUER "KSDICA00001"
#define ROOT "KSROOT00001"
#define SIGNATURE_MOST 512

/* id-TA-RSA-v1-5-SHA-256 and id-TA-ECDSA-SHA-256. */
static const uint8_t oid_rsa[] = { 0x04, 0x00, 0x7F, 0x00, 0x07, 0x02, 0x02, 0x02, 0x01, 0x02 };
static const uint8_t oid_ecdsa[] = { 0x04, 0x00, 0x7F, 0x00, 0x07, 0x02, 0x02, 0x02, 0x02, 0x03 };

static struct slice text(const char *words)
{
	return (struct slice){ (const uint8_t *)words, strlen(words) };
}

static void add_number(struct buffer *out, unsigned tag, EVP_PKEY *key, const char *name)
{
	uint8_t bytes[SIGNATURE_MOST];
	BIGNUM *number = NULL;
	int length = -1;

	if (EVP_PKEY_get_bn_param(key, name, &number) && BN_num_bytes(number) <= SIGNATURE_MOST)
		length = BN_bn2bin(number, bytes);
	if (length < 0)
		out->overflowed = true;
	else
		buffer_add_tlv(out, tag, (struct slice){ bytes, (size_t)length });
	BN_free(number);
}

static void add_public(struct buffer *out, EVP_PKEY *key)
{
	static const uint8_t cofactor = 1;
	struct buffer inner = { 0 };
	uint8_t point[2 * 66 + 1];
	size_t length;

	if (EVP_PKEY_is_a(key, "RSA")) {
		buffer_add_tlv(&inner, 0x06, (struct slice){ oid_rsa, sizeof(oid_rsa) });
		add_number(&inner, 0x81, key, OSSL_PKEY_PARAM_RSA_N);
		add_number(&inner, 0x82, key, OSSL_PKEY_PARAM_RSA_E);
	} else if (EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point), &length)) {
		buffer_add_tlv(&inner, 0x06, (struct slice){ oid_ecdsa, sizeof(oid_ecdsa) });
		inner.overflowed |= !curve_add_domain(&inner, key);
		buffer_add_tlv(&inner, 0x86, (struct slice){ point, length });
		buffer_add_tlv(&inner, 0x87, (struct slice){ &cofactor, 1 });
	} else {
		out->overflowed = true;
	}
	out->overflowed |= inner.overflowed;
	buffer_add_tlv(out, 0x7F49, buffer_slice(&inner));
}

/* ECDSA signatures are two numbers of the curve's width here, not DER. */
static size_t plain(uint8_t *signature, size_t length, size_t width)
{
	const uint8_t *der = signature;
	ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)length);
	bool done = pair && BN_bn2binpad(ECDSA_SIG_get0_r(pair), signature, (int)width) > 0 &&
		    BN_bn2binpad(ECDSA_SIG_get0_s(pair), signature + width, (int)width) > 0;

	ECDSA_SIG_free(pair);
	return done ? 2 * width : 0;
}

static void add_signature(struct buffer *out, EVP_PKEY *key, struct slice over)
{
	uint8_t signature[SIGNATURE_MOST];
	size_t length = sizeof(signature);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	if (!ctx || EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) != 1 ||
	    EVP_DigestSign(ctx, signature, &length, over.at, over.length) != 1)
		length = 0;
	else if (!EVP_PKEY_is_a(key, "RSA"))
		length = plain(signature, length, curve_width(key));
	EVP_MD_CTX_free(ctx);
	out->overflowed |= length == 0;
	buffer_add_tlv(out, 0x5F37, (struct slice){ signature, length });
}

static void add_certificate(struct buffer *out, EVP_PKEY *key, struct slice issuer, struct slice holder,
			    EVP_PKEY *signer)
{
	static const uint8_t profile = 0;
	struct buffer inside = { 0 }, body = { 0 };

	buffer_add_tlv(&inside, 0x5F29, (struct slice){ &profile, 1 });
	buffer_add_tlv(&inside, 0x42, issuer);
	add_public(&inside, key);
	buffer_add_tlv(&inside, 0x5F20, holder);
	buffer_add_tlv(&body, 0x7F4E, buffer_slice(&inside));
	add_signature(&body, signer, buffer_slice(&body));
	out->overflowed |= inside.overflowed || body.overflowed;
	buffer_add_tlv(out, 0x7F21, buffer_slice(&body));
}

static struct slice device_name(const struct card *card, char name[24])
{
	(void)snprintf(name, 24, "%s00001", card->serial);
	return text(name);
}

bool cvc_device(struct buffer *out, const struct card *card)
{
	char name[24];

	add_certificate(out, card->device, text(ISSUER), device_name(card, name), card->device);
	add_certificate(out, card->device, text(ROOT), text(ISSUER), card->device);
	return !out->overflowed;
}

bool cvc_request(struct buffer *out, const struct card *card, EVP_PKEY *key, struct slice holder)
{
	struct buffer inside = { 0 };
	char name[24];

	add_certificate(&inside, key, text(ISSUER), holder, key);
	buffer_add_tlv(&inside, 0x42, device_name(card, name));
	add_signature(&inside, card->device, buffer_slice(&inside));
	out->overflowed |= inside.overflowed;
	buffer_add_tlv(out, 0x67, buffer_slice(&inside));
	return !out->overflowed;
}
