/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The provider's signatures: RSA (PKCS#1 v1.5 and PSS), ECDSA, Ed25519, ML-DSA.
 *
 * Hashing is done in software and the token gets the raw mechanism (CKM_RSA_PKCS, CKM_RSA_PKCS_PSS, CKM_ECDSA), because those are
 * the ones that every module has. What comes back is checked for its length and verified with the public key before anybody sees
 * it: a token that returns garbage would otherwise end up in a certificate.
 */
#include "pkey_provider.h"

#include "der.h"
#include "mldsa.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/params.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <string.h>

#define DIGEST_NAME 50

KS_FREES_SSL(ECDSA_SIG)

enum family { FAMILY_RSA, FAMILY_EC, FAMILY_WHOLE };

struct signing {
	OSSL_LIB_CTX *crypto;
	struct ks_p11_key *key;
	enum family family;
	char digest[DIGEST_NAME]; /* "" = the caller hashes and does not say how */
	EVP_MD *md; /* of that name */
	EVP_MD_CTX *hashing;
	int padding, salt;
};

/* ---- contexts ---- */

static void *signing_new(void *provider, const char *properties)
{
	struct signing *signing = calloc(1, sizeof(*signing));

	(void)properties;
	if (signing) {
		signing->crypto = provider;
		signing->padding = RSA_PKCS1_PADDING;
		signing->salt = RSA_PSS_SALTLEN_DIGEST;
	}
	return signing;
}

static void signing_free(void *state)
{
	struct signing *signing = state;

	if (!signing)
		return;
	EVP_MD_CTX_free(signing->hashing);
	EVP_MD_free(signing->md);
	ks_p11_key_free(signing->key);
	free(signing);
}

static void *signing_dup(void *state)
{
	const struct signing *signing = state;
	struct signing *copy = malloc(sizeof(*copy));

	if (!copy)
		return NULL;
	*copy = *signing;
	ks_p11_key_ref(copy->key);
	if (copy->md)
		EVP_MD_up_ref(copy->md);
	if (signing->hashing) {
		copy->hashing = EVP_MD_CTX_new();
		if (!copy->hashing || !EVP_MD_CTX_copy_ex(copy->hashing, signing->hashing)) {
			signing_free(copy);
			return NULL;
		}
	}
	return copy;
}

static bool digest_choose(struct signing *signing, const char *name)
{
	EVP_MD *md = EVP_MD_fetch(signing->crypto, name, NULL);

	if (!md || strlen(name) >= sizeof(signing->digest)) {
		EVP_MD_free(md);
		return false;
	}
	EVP_MD_free(signing->md);
	signing->md = md;
	snprintf(signing->digest, sizeof(signing->digest), "%s", name);
	return true;
}

/* OpenSSL passes paddings and salt lengths as numbers or as words, depending on who asks. */
static bool padding_choose(struct signing *signing, const OSSL_PARAM *param)
{
	int padding = 0;

	if (param->data_type == OSSL_PARAM_UTF8_STRING)
		padding = strcmp(param->data, "pss") == 0     ? RSA_PKCS1_PSS_PADDING
			  : strcmp(param->data, "pkcs1") == 0 ? RSA_PKCS1_PADDING
							      : 0;
	else if (!OSSL_PARAM_get_int(param, &padding))
		return false;
	if (padding != RSA_PKCS1_PADDING && padding != RSA_PKCS1_PSS_PADDING)
		return false;
	signing->padding = padding;
	return true;
}

#define SALTLEN_DIGEST_OR_LESS (-4) /* OpenSSL 3.1 calls it RSA_PSS_SALTLEN_AUTO_DIGEST_MAX */
#define LONGEST_SALT 2048 /* bytes; the modulus of RSA-16384 has as many */

static const struct {
	const char *word;
	int salt;
} salt_words[] = { { "digest", RSA_PSS_SALTLEN_DIGEST },
		   { "auto", RSA_PSS_SALTLEN_AUTO },
		   { "max", RSA_PSS_SALTLEN_MAX },
		   { "auto-digestmax", SALTLEN_DIGEST_OR_LESS } };

static bool salt_choose(struct signing *signing, const OSSL_PARAM *param)
{
	int number = 0;
	char *end;
	long salt;

	if (param->data_type != OSSL_PARAM_UTF8_STRING) {
		if (!OSSL_PARAM_get_int(param, &number) || number < SALTLEN_DIGEST_OR_LESS || number > LONGEST_SALT)
			return false;
		signing->salt = number;
		return true;
	}
	for (size_t i = 0; i < sizeof(salt_words) / sizeof(salt_words[0]); i++) {
		if (strcmp(param->data, salt_words[i].word) == 0) {
			signing->salt = salt_words[i].salt;
			return true;
		}
	}
	salt = strtol(param->data, &end, 10);
	if (end == (char *)param->data || *end || salt < SALTLEN_DIGEST_OR_LESS || salt > LONGEST_SALT)
		return false;
	signing->salt = (int)salt;
	return true;
}

static int signing_set(void *state, const OSSL_PARAM params[])
{
	struct signing *signing = state;
	const OSSL_PARAM *param;

	if (!params)
		return 1;
	param = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_DIGEST);
	if (param && (param->data_type != OSSL_PARAM_UTF8_STRING || !digest_choose(signing, param->data)))
		return 0;
	param = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE);
	if (param && !padding_choose(signing, param))
		return 0;
	param = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PSS_SALTLEN);
	if (param && !salt_choose(signing, param))
		return 0;
	param = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_MGF1_DIGEST);
	/* The mask uses the same digest: everything in X.509, CMS and TLS does, and tokens take nothing else. */
	if (param && signing->md &&
	    (param->data_type != OSSL_PARAM_UTF8_STRING || !EVP_MD_is_a(signing->md, param->data)))
		return 0;
	return 1;
}

static const OSSL_PARAM *signing_settable(void *state, void *provider)
{
	static const OSSL_PARAM types[] = {
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_DIGEST, NULL, 0),
		OSSL_PARAM_END,
	};

	(void)state;
	(void)provider;
	return types;
}

/* As OpenSSL signs: "auto" makes the longest that fits. */
static int salt_size(const struct signing *signing)
{
	int modulus_bits = EVP_PKEY_get_bits(signing->key->public_half);

	int digest = EVP_MD_get_size(signing->md), most = (modulus_bits + 6) / 8 - digest - 2;

	if (signing->salt >= 0)
		return signing->salt;
	if (signing->salt == RSA_PSS_SALTLEN_MAX || signing->salt == RSA_PSS_SALTLEN_AUTO)
		return most;
	return signing->salt == SALTLEN_DIGEST_OR_LESS && most < digest ? most : digest;
}

/* ---- the AlgorithmIdentifier (RFC 5280 4.1.1.2, RFC 4055 3.1, RFC 5758 3.2, RFC 8410 3) ---- */

static bool put_oid(struct ks_buffer *out, int nid)
{
	const ASN1_OBJECT *object = OBJ_nid2obj(nid);

	return nid != NID_undef && object &&
	       ks_der_put(out, KS_DER_OID, KS_BYTES(OBJ_get0_data(object), OBJ_length(object))) == 0;
}

static void put_digest_id(struct ks_buffer *out, const EVP_MD *md)
{
	size_t mark = ks_der_open(out, KS_DER_SEQUENCE);

	put_oid(out, EVP_MD_get_type(md));
	ks_der_put(out, KS_DER_NULL, KS_NONE);
	ks_der_close(out, mark);
}

/* Fields with their default value (SHA-1, 20 bytes of salt) are left out, as DER wants. */
static void put_pss_params(struct ks_buffer *out, const struct signing *signing)
{
	size_t params = ks_der_open(out, KS_DER_SEQUENCE), field, mask;

	if (EVP_MD_get_type(signing->md) != NID_sha1) {
		field = ks_der_open(out, KS_DER_CONTEXT(0));
		put_digest_id(out, signing->md);
		ks_der_close(out, field);
		field = ks_der_open(out, KS_DER_CONTEXT(1));
		mask = ks_der_open(out, KS_DER_SEQUENCE);
		put_oid(out, NID_mgf1);
		put_digest_id(out, signing->md);
		ks_der_close(out, mask);
		ks_der_close(out, field);
	}
	if (salt_size(signing) != 20) {
		field = ks_der_open(out, KS_DER_CONTEXT(2));
		ks_der_put_number(out, (uint64_t)salt_size(signing));
		ks_der_close(out, field);
	}
	ks_der_close(out, params);
}

/* Ed25519 (RFC 8410 3) and ML-DSA (RFC 9881 2): the signature is named as the key is, without parameters. */
static bool put_own_oid(struct ks_buffer *out, const struct ks_p11_key *key)
{
	struct ks_der spki, algorithm, oid;

	return ks_der_only(&spki, key->spki, KS_DER_SEQUENCE) == 0 &&
	       ks_der_expect(&algorithm, &spki.content, KS_DER_SEQUENCE) == 0 &&
	       ks_der_expect(&oid, &algorithm.content, KS_DER_OID) == 0 &&
	       ks_buffer_put(out, oid.whole.data, oid.whole.size) == 0;
}

static bool put_algorithm(struct ks_buffer *out, const struct signing *signing)
{
	size_t whole = ks_der_open(out, KS_DER_SEQUENCE);
	int nid = NID_undef, key = signing->family == FAMILY_EC ? NID_X9_62_id_ecPublicKey : NID_rsaEncryption;
	bool ok;

	if (signing->family == FAMILY_WHOLE) {
		ok = put_own_oid(out, signing->key);
	} else if (!signing->md) {
		return false;
	} else if (signing->family == FAMILY_RSA && signing->padding == RSA_PKCS1_PSS_PADDING) {
		ok = put_oid(out, NID_rsassaPss);
		put_pss_params(out, signing);
	} else {
		ok = OBJ_find_sigid_by_algs(&nid, EVP_MD_get_type(signing->md), key) && put_oid(out, nid);
		if (signing->family == FAMILY_RSA)
			ks_der_put(out, KS_DER_NULL, KS_NONE);
	}
	return ok && ks_der_close(out, whole) == 0;
}

static bool get_algorithm(const struct signing *signing, OSSL_PARAM *param)
{
	ks_auto(buffer) out = ks_buffer_new(512);

	return out && put_algorithm(out, signing) && OSSL_PARAM_set_octet_string(param, out->data, out->size);
}

static bool get_padding(const struct signing *signing, OSSL_PARAM *param)
{
	if (param->data_type == OSSL_PARAM_INTEGER)
		return OSSL_PARAM_set_int(param, signing->padding);
	return OSSL_PARAM_set_utf8_string(param, signing->padding == RSA_PKCS1_PSS_PADDING ? "pss" : "pkcs1");
}

static bool get_salt(const struct signing *signing, OSSL_PARAM *param)
{
	char number[12];

	if (param->data_type == OSSL_PARAM_INTEGER)
		return OSSL_PARAM_set_int(param, signing->salt);
	for (size_t i = 0; i < sizeof(salt_words) / sizeof(salt_words[0]); i++) {
		if (signing->salt == salt_words[i].salt)
			return OSSL_PARAM_set_utf8_string(param, salt_words[i].word);
	}
	snprintf(number, sizeof(number), "%d", signing->salt);
	return OSSL_PARAM_set_utf8_string(param, number);
}

static int signing_get(void *state, OSSL_PARAM params[])
{
	const struct signing *signing = state;
	OSSL_PARAM *param = OSSL_PARAM_locate(params, OSSL_SIGNATURE_PARAM_ALGORITHM_ID);

	if (param && !get_algorithm(signing, param))
		return 0;
	param = OSSL_PARAM_locate(params, OSSL_SIGNATURE_PARAM_DIGEST);
	if (param && !OSSL_PARAM_set_utf8_string(param, signing->digest))
		return 0;
	param = OSSL_PARAM_locate(params, OSSL_SIGNATURE_PARAM_MGF1_DIGEST);
	if (param && !OSSL_PARAM_set_utf8_string(param, signing->digest))
		return 0;
	param = OSSL_PARAM_locate(params, OSSL_SIGNATURE_PARAM_PAD_MODE);
	if (param && !get_padding(signing, param))
		return 0;
	param = OSSL_PARAM_locate(params, OSSL_SIGNATURE_PARAM_PSS_SALTLEN);
	return !param || get_salt(signing, param);
}

static const OSSL_PARAM *signing_gettable(void *state, void *provider)
{
	static const OSSL_PARAM types[] = {
		OSSL_PARAM_octet_string(OSSL_SIGNATURE_PARAM_ALGORITHM_ID, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_DIGEST, NULL, 0),
		OSSL_PARAM_END,
	};

	(void)state;
	(void)provider;
	return types;
}

/* ---- verifying, by the public half in software ---- */

static bool verify_hash(const struct signing *signing, struct ks_bytes signature, struct ks_bytes hash)
{
	ks_auto_ssl(EVP_PKEY_CTX) ctx =
		EVP_PKEY_CTX_new_from_pkey(signing->crypto, signing->key->public_half, "provider=default");

	if (!ctx || EVP_PKEY_verify_init(ctx) <= 0)
		return false;
	if (signing->family == FAMILY_RSA) {
		if (EVP_PKEY_CTX_set_rsa_padding(ctx, signing->padding) <= 0)
			return false;
		if (signing->padding == RSA_PKCS1_PSS_PADDING &&
		    (!signing->md || EVP_PKEY_CTX_set_signature_md(ctx, signing->md) <= 0 ||
		     EVP_PKEY_CTX_set_rsa_pss_saltlen(
			     ctx, signing->salt == RSA_PSS_SALTLEN_AUTO ? signing->salt : salt_size(signing)) <= 0))
			return false;
	}
	if (signing->md && EVP_PKEY_CTX_set_signature_md(ctx, signing->md) <= 0)
		return false;
	return EVP_PKEY_verify(ctx, signature.data, signature.size, hash.data, hash.size) == 1;
}

static bool verify_whole(const struct signing *signing, struct ks_bytes signature, struct ks_bytes text)
{
	ks_auto_ssl(EVP_MD_CTX) ctx = EVP_MD_CTX_new();

	return ctx &&
	       EVP_DigestVerifyInit_ex(ctx, NULL, NULL, signing->crypto, "provider=default", signing->key->public_half,
				       NULL) > 0 &&
	       EVP_DigestVerify(ctx, signature.data, signature.size, text.data, text.size) == 1;
}

/* ---- what the token is given, and what it gives ---- */

bool ks_p11_hash_mechanism(CK_MECHANISM_TYPE *hash, CK_RSA_PKCS_MGF_TYPE *mask, const EVP_MD *md)
{
	static const struct {
		int nid;
		CK_MECHANISM_TYPE hash;
		CK_RSA_PKCS_MGF_TYPE mask;
	} rows[] = {
		{ NID_sha1, CKM_SHA_1, CKG_MGF1_SHA1 },      { NID_sha224, CKM_SHA224, CKG_MGF1_SHA224 },
		{ NID_sha256, CKM_SHA256, CKG_MGF1_SHA256 }, { NID_sha384, CKM_SHA384, CKG_MGF1_SHA384 },
		{ NID_sha512, CKM_SHA512, CKG_MGF1_SHA512 },
	};

	for (size_t i = 0; md && i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].nid == EVP_MD_get_type(md)) {
			*hash = rows[i].hash;
			*mask = rows[i].mask;
			return true;
		}
	}
	return false;
}

/* DigestInfo (RFC 8017 9.2); without a named digest the caller's bytes as they are. */
static bool put_digest_info(struct ks_buffer *out, const struct signing *signing, struct ks_bytes hash)
{
	size_t mark;

	if (!signing->md)
		return ks_buffer_put(out, hash.data, hash.size) == 0;
	mark = ks_der_open(out, KS_DER_SEQUENCE);
	put_digest_id(out, signing->md);
	ks_der_put(out, KS_DER_OCTETS, hash);
	return ks_der_close(out, mark) == 0;
}

static bool sign_rsa(const struct signing *signing, struct ks_bytes hash, unsigned char *out, size_t *size)
{
	ks_auto(buffer) info = ks_buffer_new(1024);
	CK_RSA_PKCS_PSS_PARAMS pss = { 0 };
	CK_MECHANISM mechanism = { CKM_RSA_PKCS, NULL, 0 };

	if (signing->padding == RSA_PKCS1_PSS_PADDING) {
		if (!ks_p11_hash_mechanism(&pss.hashAlg, &pss.mgf, signing->md) || salt_size(signing) < 0)
			return ks_p11_key_raise(signing->key, CKR_MECHANISM_PARAM_INVALID);
		pss.sLen = (CK_ULONG)salt_size(signing);
		mechanism = (CK_MECHANISM){ CKM_RSA_PKCS_PSS, &pss, sizeof(pss) };
		return ks_p11_key_sign(signing->key, &mechanism, hash, out, size);
	}
	if (!info || !put_digest_info(info, signing, hash))
		return ks_p11_key_raise(signing->key, CKR_HOST_MEMORY);
	return ks_p11_key_sign(signing->key, &mechanism, ks_buffer_bytes(info), out, size);
}

/* Two numbers of equal length, as tokens give them, into the SEQUENCE that everybody else wants (RFC 3279 2.2.3). */
static bool ecdsa_der(unsigned char *out, size_t *size, size_t room, struct ks_bytes raw)
{
	ks_auto_ssl(ECDSA_SIG) signature = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(raw.data, (int)(raw.size / 2), NULL),
	       *s = BN_bin2bn(raw.data + raw.size / 2, (int)(raw.size / 2), NULL);
	int length;

	if (!signature || !r || !s || !ECDSA_SIG_set0(signature, r, s)) {
		BN_free(r);
		BN_free(s);
		return false;
	}
	length = i2d_ECDSA_SIG(signature, NULL);
	if (length <= 0 || (size_t)length > room)
		return false;
	*size = (size_t)i2d_ECDSA_SIG(signature, &out);
	return true;
}

static bool sign_ec(const struct signing *signing, struct ks_bytes hash, unsigned char *out, size_t *size)
{
	size_t half = ((size_t)EVP_PKEY_get_bits(signing->key->public_half) + 7) / 8, got = KS_P11_LONGEST_SIGNATURE;
	CK_MECHANISM mechanism = { CKM_ECDSA, NULL, 0 };
	unsigned char raw[KS_P11_LONGEST_SIGNATURE];

	/* A hash longer than the curve's order is cut (FIPS 186-5 6.4); not every token does that itself. */
	if (hash.size > half)
		hash.size = half;
	if (!ks_p11_key_sign(signing->key, &mechanism, hash, raw, &got))
		return false;
	if (got != half * 2)
		return ks_p11_key_raise(signing->key, KS_CKR_LENGTH);
	return ecdsa_der(out, size, *size, KS_BYTES(raw, got)) || ks_p11_key_raise(signing->key, KS_CKR_SIGNATURE);
}

static bool sign_checked(const struct signing *signing, struct ks_bytes hash, unsigned char *out, size_t *size)
{
	size_t modulus = (size_t)EVP_PKEY_get_size(signing->key->public_half);
	bool ok = signing->family == FAMILY_EC ? sign_ec(signing, hash, out, size) : sign_rsa(signing, hash, out, size);

	if (!ok)
		return false;
	if (signing->family == FAMILY_RSA && *size != modulus)
		return ks_p11_key_raise(signing->key, KS_CKR_LENGTH);
	ERR_set_mark();
	ok = verify_hash(signing, KS_BYTES(out, *size), hash);
	ERR_pop_to_mark();
	return ok || ks_p11_key_raise(signing->key, KS_CKR_SIGNATURE);
}

static int sign_hash(void *state, unsigned char *signature, size_t *size, size_t room, const unsigned char *hash,
		     size_t hash_size)
{
	struct signing *signing = state;
	size_t most = (size_t)EVP_PKEY_get_size(signing->key->public_half), got;

	if (!signature) {
		*size = most;
		return 1;
	}
	if (!signing->key->token || room < most)
		return 0;
	if (signing->md && hash_size != (size_t)EVP_MD_get_size(signing->md))
		return 0;
	got = room;
	if (!sign_checked(signing, KS_BYTES(hash, hash_size), signature, &got))
		return 0;
	*size = got;
	return 1;
}

static int verify_given(void *state, const unsigned char *signature, size_t size, const unsigned char *hash,
			size_t hash_size)
{
	return verify_hash(state, KS_BYTES(signature, size), KS_BYTES(hash, hash_size));
}

/* ---- starting, and hashing on the way ---- */

static int signing_init(void *state, void *keydata, const OSSL_PARAM params[])
{
	struct signing *signing = state;
	const struct ks_p11_keydata *data = keydata;

	if (data) {
		if (!data->key)
			return 0;
		ks_p11_key_free(signing->key);
		signing->key = ks_p11_key_ref(data->key);
		signing->family = strcmp(data->type, "EC") == 0    ? FAMILY_EC
				  : strcmp(data->type, "RSA") == 0 ? FAMILY_RSA
								   : FAMILY_WHOLE;
	}
	return signing->key && signing_set(signing, params);
}

static int digest_init(void *state, const char *digest, void *keydata, const OSSL_PARAM params[])
{
	struct signing *signing = state;

	if (digest && digest[0] && !digest_choose(signing, digest))
		return 0;
	if (!signing_init(signing, keydata, params))
		return 0;
	if (!signing->md && !digest_choose(signing, "SHA256"))
		return 0;
	if (!signing->hashing && !(signing->hashing = EVP_MD_CTX_new()))
		return 0;
	return EVP_DigestInit_ex2(signing->hashing, signing->md, NULL);
}

static int digest_update(void *state, const unsigned char *text, size_t size)
{
	struct signing *signing = state;

	return signing->hashing && EVP_DigestUpdate(signing->hashing, text, size);
}

/* The hash so far; callers may go on hashing after it. */
static bool digest_finish(struct signing *signing, unsigned char hash[EVP_MAX_MD_SIZE], unsigned *size)
{
	ks_auto_ssl(EVP_MD_CTX) copy = EVP_MD_CTX_new();

	return copy && signing->hashing && EVP_MD_CTX_copy_ex(copy, signing->hashing) &&
	       EVP_DigestFinal_ex(copy, hash, size);
}

static int digest_sign_final(void *state, unsigned char *signature, size_t *size, size_t room)
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned hash_size = 0;

	if (!signature)
		return sign_hash(state, NULL, size, 0, NULL, 0);
	return digest_finish(state, hash, &hash_size) && sign_hash(state, signature, size, room, hash, hash_size);
}

static int digest_verify_final(void *state, const unsigned char *signature, size_t size)
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned hash_size = 0;

	return digest_finish(state, hash, &hash_size) && verify_given(state, signature, size, hash, hash_size);
}

/* ---- Ed25519 and ML-DSA: the whole text at once ---- */

static int whole_init(void *state, const char *digest, void *keydata, const OSSL_PARAM params[])
{
	return !(digest && digest[0]) && signing_init(state, keydata, params);
}

/* Without parameters a token signs with ML-DSA as it prefers, hedged or not, and for no context (PKCS#11 3.2, ML-DSA). */
static int whole_sign(void *state, unsigned char *signature, size_t *size, size_t room, const unsigned char *text,
		      size_t text_size)
{
	struct signing *signing = state;
	CK_MECHANISM mechanism = { EVP_PKEY_is_a(signing->key->public_half, "ED25519") ? CKM_EDDSA : CKM_ML_DSA, NULL,
				   0 };
	size_t whole = (size_t)EVP_PKEY_get_size(signing->key->public_half), got = room;

	if (!signature) {
		*size = whole;
		return 1;
	}
	if (!signing->key->token || room < whole ||
	    !ks_p11_key_sign(signing->key, &mechanism, KS_BYTES(text, text_size), signature, &got))
		return 0;
	if (got != whole)
		return ks_p11_key_raise(signing->key, KS_CKR_LENGTH);
	if (!verify_whole(signing, KS_BYTES(signature, whole), KS_BYTES(text, text_size)))
		return ks_p11_key_raise(signing->key, KS_CKR_SIGNATURE);
	*size = whole;
	return 1;
}

static int whole_verify(void *state, const unsigned char *signature, size_t size, const unsigned char *text,
			size_t text_size)
{
	return verify_whole(state, KS_BYTES(signature, size), KS_BYTES(text, text_size));
}

#define FUNCTION(id, function)                                                                                         \
	{                                                                                                              \
		id, (void (*)(void))(function)                                                                         \
	}
#define SIGNING_FUNCTIONS                                                                                              \
	FUNCTION(OSSL_FUNC_SIGNATURE_NEWCTX, signing_new), FUNCTION(OSSL_FUNC_SIGNATURE_FREECTX, signing_free),        \
		FUNCTION(OSSL_FUNC_SIGNATURE_DUPCTX, signing_dup),                                                     \
		FUNCTION(OSSL_FUNC_SIGNATURE_GET_CTX_PARAMS, signing_get),                                             \
		FUNCTION(OSSL_FUNC_SIGNATURE_GETTABLE_CTX_PARAMS, signing_gettable)

const OSSL_DISPATCH ks_p11_signature_functions[] = {
	SIGNING_FUNCTIONS,
	FUNCTION(OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, signing_set),
	FUNCTION(OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, signing_settable),
	FUNCTION(OSSL_FUNC_SIGNATURE_SIGN_INIT, signing_init),
	FUNCTION(OSSL_FUNC_SIGNATURE_SIGN, sign_hash),
	FUNCTION(OSSL_FUNC_SIGNATURE_VERIFY_INIT, signing_init),
	FUNCTION(OSSL_FUNC_SIGNATURE_VERIFY, verify_given),
	FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, digest_init),
	FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_UPDATE, digest_update),
	FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_FINAL, digest_sign_final),
	FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_INIT, digest_init),
	FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_UPDATE, digest_update),
	FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_FINAL, digest_verify_final),
	{ 0, NULL },
};

const OSSL_DISPATCH ks_p11_whole_functions[] = {
	SIGNING_FUNCTIONS,
	FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, whole_init),
	FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN, whole_sign),
	FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_INIT, whole_init),
	FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_VERIFY, whole_verify),
	{ 0, NULL },
};
