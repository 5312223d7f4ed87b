/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signing DER with a key wherever it lives, and checking such signatures.
 *
 * Written by hand as DER, because OpenSSL's objects cost five times the signature itself; the check goes through
 * OpenSSL's own reading of the algorithm, parameters of RSA-PSS included.
 */
#include "signed.h"

#include "der.h"
#include "keyspec.h"

#include <openssl/err.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>

#include <string.h>

KS_FREES_SSL(X509_ALGOR)
KS_FREES_SSL(RSA_PSS_PARAMS)
KS_FREES_SSL(ASN1_STRING)
KS_FREES_SSL(ASN1_TYPE)

#define LONGEST_SIGNATURE 4627 /* bytes; ML-DSA-87. An RSA key of 32,768 bits has 4,096 */

/* RSA-PSS with SHA-256, MGF1 with SHA-256 and 32 bytes of salt (RFC 4055 3.1). */
#define PSS_SHA256                                                                                                     \
	"\x30\x41\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a\x30\x34\xa0\x0f\x30\x0d\x06\x09\x60\x86\x48\x01\x65"     \
	"\x03\x04\x02\x01\x05\x00\xa1\x1c\x30\x1a\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08\x30\x0d\x06\x09\x60"     \
	"\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\xa2\x03\x02\x01\x20"

#define DER(text)                                                                                                      \
	{                                                                                                              \
		(const unsigned char *)(text), sizeof(text) - 1                                                        \
	}

static const struct algorithm_row {
	enum ks_key_type type;
	unsigned bits; /* 0 = any */
	const char *digest;
	struct ks_bytes der;
} algorithms[] = {
	{ KS_KEY_RSA, 0, "SHA256", DER("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00") },
	{ KS_KEY_RSA_PSS, 0, "SHA256", DER(PSS_SHA256) },
	{ KS_KEY_EC, 256, "SHA256", DER("\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02") },
	{ KS_KEY_EC, 384, "SHA384", DER("\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03") },
	{ KS_KEY_EC, 521, "SHA512", DER("\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x04") },
	{ KS_KEY_ED25519, 0, NULL, DER("\x30\x05\x06\x03\x2b\x65\x70") },
	{ KS_KEY_ED448, 0, NULL, DER("\x30\x05\x06\x03\x2b\x65\x71") },
	{ KS_KEY_ML_DSA_44, 0, NULL, DER("\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03\x11") },
	{ KS_KEY_ML_DSA_65, 0, NULL, DER("\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03\x12") },
	{ KS_KEY_ML_DSA_87, 0, NULL, DER("\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03\x13") },
};

/* The provider for keys in tokens gives out no signature that does not verify under the key's public half. */
static bool in_token(const EVP_PKEY *key)
{
	const OSSL_PROVIDER *provider = EVP_PKEY_get0_provider(key);

	return provider && strcmp(OSSL_PROVIDER_get0_name(provider), "keystow") == 0;
}

int ks_signer_of(struct ks_signer *out, struct ks_ctx *ctx, EVP_PKEY *key, struct ks_bytes spki)
{
	struct ks_keyspec spec = ks_keyspec_of_spki(spki);
	char title[32];

	for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++) {
		const struct algorithm_row *row = &algorithms[i];

		if (row->type == spec.type && (row->bits == 0 || row->bits == spec.bits)) {
			*out = (struct ks_signer){ key, row->digest, row->der, in_token(key) };
			return 0;
		}
	}
	ks_keyspec_title(title, &spec);
	return ks_hint(ctx, ks_fail(ctx, KS_EALGORITHM, "keystow does not sign with a key of type %s", title),
		       "use RSA, P-256, P-384, P-521, Ed25519 or ML-DSA");
}

/* PSS as its AlgorithmIdentifier above says it; other keys have nothing to set. */
static bool pss_set(EVP_PKEY_CTX *how, const struct ks_signer *signer)
{
	if (signer->algorithm.size != sizeof(PSS_SHA256) - 1)
		return true;
	return EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PSS_PADDING) > 0 &&
	       EVP_PKEY_CTX_set_rsa_pss_saltlen(how, 32) > 0;
}

static int sign(unsigned char *out, size_t *size, struct ks_ctx *ctx, const struct ks_signer *signer,
		struct ks_bytes body)
{
	ks_auto_ssl(EVP_MD_CTX) state = EVP_MD_CTX_new();
	EVP_PKEY_CTX *how = NULL;

	if (!state)
		return ks_nomem(ctx);
	if (EVP_DigestSignInit_ex(state, &how, signer->digest, ks_crypto(ctx), NULL, signer->key, NULL) == 1 &&
	    pss_set(how, signer) && EVP_DigestSign(state, out, size, body.data, body.size) == 1)
		return 0;
	return ks_fail_openssl(ctx, KS_ETOKEN, "the key does not sign");
}

int ks_signed_put(struct ks_buffer *out, struct ks_ctx *ctx, const struct ks_signer *signer, struct ks_bytes body)
{
	unsigned char signature[1 + LONGEST_SIGNATURE] = { 0 }; /* the first octet counts the unused bits: none */
	size_t size = LONGEST_SIGNATURE, whole;
	int rc = sign(signature + 1, &size, ctx, signer, body);

	if (rc < 0)
		return rc;
	whole = ks_der_open(out, KS_DER_SEQUENCE);
	ks_buffer_put(out, body.data, body.size);
	ks_buffer_put(out, signer->algorithm.data, signer->algorithm.size);
	ks_der_put(out, KS_DER_BITS, KS_BYTES(signature, 1 + size));
	rc = ks_der_close(out, whole);
	return rc < 0 ? ks_fail(ctx, rc, "what was signed does not fit") : 0;
}

int ks_pkey_spki(struct ks_buffer **out, struct ks_ctx *ctx, const EVP_PKEY *key)
{
	int size = i2d_PUBKEY(key, NULL);
	ks_auto(buffer) spki = size > 0 ? ks_buffer_new((size_t)size) : NULL;
	unsigned char *at = spki ? ks_buffer_room(spki, (size_t)size) : NULL;

	if (!at || i2d_PUBKEY(key, &at) != size)
		return ks_fail_openssl(ctx, KS_EUNABLE, "the public half of the key cannot be had");
	spki->size = (size_t)size;
	*out = ks_take(spki);
	return 0;
}

/* ---- reading ---- */

int ks_signed_read(struct ks_signed *out, struct ks_bytes der)
{
	struct ks_der whole, body, algorithm, signature;
	struct ks_bytes rest;

	if (ks_der_only(&whole, der, KS_DER_SEQUENCE) < 0)
		return KS_EDAMAGED;
	rest = whole.content;
	if (ks_der_expect(&body, &rest, KS_DER_SEQUENCE) < 0 || ks_der_expect(&algorithm, &rest, KS_DER_SEQUENCE) < 0 ||
	    ks_der_expect(&signature, &rest, KS_DER_BITS) < 0 || rest.size)
		return KS_EDAMAGED;
	if (signature.content.size < 2 || signature.content.data[0] != 0)
		return KS_EDAMAGED;
	*out = (struct ks_signed){ body.whole, algorithm.whole,
				   KS_BYTES(signature.content.data + 1, signature.content.size - 1) };
	return 0;
}

static bool digest_strong(int nid)
{
	static const int strong[] = { NID_sha256,   NID_sha384,   NID_sha512,  NID_sha512_256,
				      NID_sha3_256, NID_sha3_384, NID_sha3_512 };

	for (size_t i = 0; i < sizeof(strong) / sizeof(strong[0]); i++) {
		if (strong[i] == nid)
			return true;
	}
	return false;
}

/* The digest of RSA-PSS is in its parameters; absent means SHA-1 (RFC 4055 3.1). */
static int pss_digest(const X509_ALGOR *algorithm)
{
	const ASN1_TYPE *parameters = NULL;
	ks_auto_ssl(RSA_PSS_PARAMS) pss = NULL;
	const ASN1_OBJECT *digest = NULL;
	int type = V_ASN1_UNDEF;

	X509_ALGOR_get0(NULL, &type, (const void **)&parameters, algorithm);
	if (type != V_ASN1_SEQUENCE)
		return NID_sha1;
	pss = ASN1_item_unpack((const ASN1_STRING *)parameters, ASN1_ITEM_rptr(RSA_PSS_PARAMS));
	if (!pss || !pss->hashAlgorithm)
		return NID_sha1;
	X509_ALGOR_get0(&digest, NULL, NULL, pss->hashAlgorithm);
	return OBJ_obj2nid(digest);
}

static int algorithm_strong(struct ks_ctx *ctx, const X509_ALGOR *algorithm, const char *what)
{
	const ASN1_OBJECT *oid = NULL;
	int digest = NID_undef, type = NID_undef;
	char name[80];

	X509_ALGOR_get0(&oid, NULL, NULL, algorithm);
	OBJ_obj2txt(name, sizeof(name), oid, 0);
	if (!OBJ_find_sigid_algs(OBJ_obj2nid(oid), &digest, &type))
		return ks_fail(ctx, KS_EALGORITHM, "%s is signed with an unknown algorithm (%s)", what, name);
	/* Ed25519, Ed448, ML-DSA: the key's own algorithm, which names no digest. */
	if (digest == NID_undef && type == OBJ_obj2nid(oid))
		return 0;
	if (OBJ_obj2nid(oid) == NID_rsassaPss)
		digest = pss_digest(algorithm);
	if (!digest_strong(digest))
		return ks_hint(ctx,
			       ks_fail(ctx, KS_EALGORITHM, "%s is signed with %s over %s, which proves nothing today",
				       what, name, digest == NID_undef ? "an unknown digest" : OBJ_nid2sn(digest)),
			       "sign it with SHA-256");
	return 0;
}

/* A copy of `bytes` as OpenSSL wants it. */
static ASN1_STRING *string_of(int type, struct ks_bytes bytes)
{
	ASN1_STRING *string = ASN1_STRING_type_new(type);

	if (string && !ASN1_STRING_set(string, bytes.data, (int)bytes.size)) {
		ASN1_STRING_free(string);
		return NULL;
	}
	return string;
}

/* 1, 0, or negative, as OpenSSL says it. */
static int verify(const struct ks_signed *parts, struct ks_ctx *ctx, EVP_PKEY *key, const X509_ALGOR *algorithm)
{
	ks_auto_ssl(ASN1_STRING) signature = string_of(V_ASN1_BIT_STRING, parts->signature);
	ks_auto_ssl(ASN1_TYPE) body = ASN1_TYPE_new();
	ASN1_STRING *octets = string_of(V_ASN1_SEQUENCE, parts->body);

	if (!body || !octets || !signature) {
		ASN1_STRING_free(octets);
		return -1;
	}
	ASN1_TYPE_set(body, V_ASN1_SEQUENCE, octets);
	return ASN1_item_verify_ex(ASN1_ITEM_rptr(ASN1_ANY), algorithm, signature, body, NULL, key, ks_crypto(ctx),
				   NULL);
}

int ks_signed_check(const struct ks_signed *parts, struct ks_ctx *ctx, EVP_PKEY *key, const char *what)
{
	const unsigned char *at = parts->algorithm.data;
	ks_auto_ssl(X509_ALGOR) algorithm = d2i_X509_ALGOR(NULL, &at, (long)parts->algorithm.size);
	int rc;

	if (!algorithm)
		return ks_fail_openssl(ctx, KS_EDAMAGED, "%s has no readable signature algorithm", what);
	rc = algorithm_strong(ctx, algorithm, what);
	if (rc < 0)
		return rc;
	if (verify(parts, ctx, key, algorithm) != 1)
		return ks_fail_openssl(ctx, KS_EPROOF, "the signature of %s does not verify under its key", what);
	return 0;
}
