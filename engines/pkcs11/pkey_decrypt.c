/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The provider's RSA decryption (PKCS#1 v1.5 and OAEP) in the token; encryption is done with the public half in software.
 */
#include "pkey_provider.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/rsa.h>

#include <string.h>

struct decrypting {
	OSSL_LIB_CTX *crypto;
	struct ks_p11_key *key;
	int padding;
	EVP_MD *digest, *mask; /* of OAEP; NULL = SHA-1, and the same as digest */
	unsigned char *label;
	size_t label_size;
};

static void *decrypting_new(void *provider)
{
	struct decrypting *decrypting = calloc(1, sizeof(*decrypting));

	if (decrypting) {
		decrypting->crypto = provider;
		decrypting->padding = RSA_PKCS1_PADDING;
	}
	return decrypting;
}

static void decrypting_free(void *state)
{
	struct decrypting *decrypting = state;

	if (!decrypting)
		return;
	EVP_MD_free(decrypting->digest);
	EVP_MD_free(decrypting->mask);
	ks_p11_key_free(decrypting->key);
	OPENSSL_free(decrypting->label);
	free(decrypting);
}

static void *decrypting_dup(void *state)
{
	const struct decrypting *decrypting = state;
	struct decrypting *copy = malloc(sizeof(*copy));

	if (!copy)
		return NULL;
	*copy = *decrypting;
	copy->label = decrypting->label ? OPENSSL_memdup(decrypting->label, decrypting->label_size) : NULL;
	ks_p11_key_ref(copy->key);
	if (copy->digest)
		EVP_MD_up_ref(copy->digest);
	if (copy->mask)
		EVP_MD_up_ref(copy->mask);
	if (decrypting->label && !copy->label) {
		decrypting_free(copy);
		return NULL;
	}
	return copy;
}

static bool padding_choose(struct decrypting *decrypting, const OSSL_PARAM *param)
{
	int padding = 0;

	if (param->data_type == OSSL_PARAM_UTF8_STRING)
		padding = strcmp(param->data, "oaep") == 0    ? RSA_PKCS1_OAEP_PADDING
			  : strcmp(param->data, "pkcs1") == 0 ? RSA_PKCS1_PADDING
							      : 0;
	else if (!OSSL_PARAM_get_int(param, &padding))
		return false;
	if (padding != RSA_PKCS1_PADDING && padding != RSA_PKCS1_OAEP_PADDING)
		return false;
	decrypting->padding = padding;
	return true;
}

static bool digest_choose(EVP_MD **digest, const struct decrypting *decrypting, const OSSL_PARAM *param)
{
	EVP_MD *md =
		param->data_type == OSSL_PARAM_UTF8_STRING ? EVP_MD_fetch(decrypting->crypto, param->data, NULL) : NULL;

	if (!md)
		return false;
	EVP_MD_free(*digest);
	*digest = md;
	return true;
}

static bool label_choose(struct decrypting *decrypting, const OSSL_PARAM *param)
{
	void *label = NULL;
	size_t size = 0;

	if (!OSSL_PARAM_get_octet_string(param, &label, 0, &size))
		return false;
	OPENSSL_free(decrypting->label);
	decrypting->label = label;
	decrypting->label_size = size;
	return true;
}

static int decrypting_set(void *state, const OSSL_PARAM params[])
{
	struct decrypting *decrypting = state;
	const OSSL_PARAM *param;

	if (!params)
		return 1;
	param = OSSL_PARAM_locate_const(params, OSSL_ASYM_CIPHER_PARAM_PAD_MODE);
	if (param && !padding_choose(decrypting, param))
		return 0;
	param = OSSL_PARAM_locate_const(params, OSSL_ASYM_CIPHER_PARAM_OAEP_DIGEST);
	if (param && !digest_choose(&decrypting->digest, decrypting, param))
		return 0;
	param = OSSL_PARAM_locate_const(params, OSSL_ASYM_CIPHER_PARAM_MGF1_DIGEST);
	if (param && !digest_choose(&decrypting->mask, decrypting, param))
		return 0;
	param = OSSL_PARAM_locate_const(params, OSSL_ASYM_CIPHER_PARAM_OAEP_LABEL);
	return !param || label_choose(decrypting, param);
}

static const OSSL_PARAM *decrypting_settable(void *state, void *provider)
{
	static const OSSL_PARAM types[] = {
		OSSL_PARAM_utf8_string(OSSL_ASYM_CIPHER_PARAM_PAD_MODE, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_ASYM_CIPHER_PARAM_OAEP_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_ASYM_CIPHER_PARAM_MGF1_DIGEST, NULL, 0),
		OSSL_PARAM_octet_string(OSSL_ASYM_CIPHER_PARAM_OAEP_LABEL, NULL, 0),
		OSSL_PARAM_END,
	};

	(void)state;
	(void)provider;
	return types;
}

static int decrypting_get(void *state, OSSL_PARAM params[])
{
	const struct decrypting *decrypting = state;
	OSSL_PARAM *param = OSSL_PARAM_locate(params, OSSL_ASYM_CIPHER_PARAM_PAD_MODE);

	if (!param)
		return 1;
	if (param->data_type == OSSL_PARAM_INTEGER)
		return OSSL_PARAM_set_int(param, decrypting->padding);
	return OSSL_PARAM_set_utf8_string(param, decrypting->padding == RSA_PKCS1_OAEP_PADDING ? "oaep" : "pkcs1");
}

static const OSSL_PARAM *decrypting_gettable(void *state, void *provider)
{
	static const OSSL_PARAM types[] = { OSSL_PARAM_utf8_string(OSSL_ASYM_CIPHER_PARAM_PAD_MODE, NULL, 0),
					    OSSL_PARAM_END };

	(void)state;
	(void)provider;
	return types;
}

static int decrypting_init(void *state, void *keydata, const OSSL_PARAM params[])
{
	struct decrypting *decrypting = state;
	const struct ks_p11_keydata *data = keydata;

	if (!data || !data->key)
		return 0;
	ks_p11_key_free(decrypting->key);
	decrypting->key = ks_p11_key_ref(data->key);
	return decrypting_set(decrypting, params);
}

/* ---- decrypting ---- */

static bool oaep_params(CK_RSA_PKCS_OAEP_PARAMS *oaep, const struct decrypting *decrypting)
{
	CK_MECHANISM_TYPE unused;
	CK_RSA_PKCS_MGF_TYPE own_mask;
	const EVP_MD *mask = decrypting->mask ? decrypting->mask : decrypting->digest;

	*oaep = (CK_RSA_PKCS_OAEP_PARAMS){ .hashAlg = CKM_SHA_1, .mgf = CKG_MGF1_SHA1, .source = CKZ_DATA_SPECIFIED };
	oaep->pSourceData = decrypting->label;
	oaep->ulSourceDataLen = decrypting->label_size;
	if (decrypting->digest && !ks_p11_hash_mechanism(&oaep->hashAlg, &own_mask, decrypting->digest))
		return false;
	return !mask || ks_p11_hash_mechanism(&unused, &oaep->mgf, mask);
}

#define LONGEST_MODULUS 2048 /* bytes; RSA-16384 */

/* Does the answer only say that the token does not know OAEP with these parameters? SoftHSM 2.6 knows SHA-1 alone. */
static bool oaep_unknown(CK_RV rv)
{
	return rv == CKR_MECHANISM_INVALID || rv == CKR_MECHANISM_PARAM_INVALID || rv == CKR_ARGUMENTS_BAD;
}

static CK_RV oaep_in_token(const struct decrypting *decrypting, struct ks_bytes in, unsigned char *out, size_t *size)
{
	CK_RSA_PKCS_OAEP_PARAMS oaep;
	CK_MECHANISM mechanism = { CKM_RSA_PKCS_OAEP, &oaep, sizeof(oaep) };

	if (!oaep_params(&oaep, decrypting))
		return CKR_MECHANISM_PARAM_INVALID;
	return ks_p11_key_decrypt(decrypting->key, &mechanism, in, out, size);
}

/* The token does the RSA, we take the padding off. */
static CK_RV oaep_here(const struct decrypting *decrypting, struct ks_bytes in, unsigned char *out, size_t *size)
{
	ks_auto_ssl(EVP_MD) sha1 = decrypting->digest ? NULL : EVP_MD_fetch(decrypting->crypto, "SHA1", NULL);
	const EVP_MD *digest = decrypting->digest ? decrypting->digest : sha1;
	const EVP_MD *mask = decrypting->mask ? decrypting->mask : digest;
	size_t modulus = (size_t)EVP_PKEY_get_size(decrypting->key->public_half), got = modulus;
	CK_MECHANISM mechanism = { CKM_RSA_X_509, NULL, 0 };
	unsigned char padded[LONGEST_MODULUS];
	CK_RV rv;

	if (!digest || modulus > sizeof(padded))
		return CKR_MECHANISM_PARAM_INVALID;
	rv = ks_p11_key_decrypt(decrypting->key, &mechanism, in, padded, &got);
	if (rv == CKR_OK && got != modulus)
		rv = KS_CKR_LENGTH;
	if (rv == CKR_OK && !ks_p11_oaep_open(out, size, padded, modulus, digest, mask,
					      KS_BYTES(decrypting->label, decrypting->label_size)))
		rv = CKR_ENCRYPTED_DATA_INVALID;
	OPENSSL_cleanse(padded, sizeof(padded));
	return rv;
}

/*
 * In the token where it knows how. With a label only where it cannot be done here: SoftHSM 2.6 leaves the label out without a word, so
 * that a message for another purpose would open.
 */
static CK_RV open_oaep(const struct decrypting *decrypting, struct ks_bytes in, unsigned char *out, size_t *size)
{
	bool here_first = decrypting->label_size > 0;
	size_t room = *size;
	CK_RV first = here_first ? oaep_here(decrypting, in, out, size) : oaep_in_token(decrypting, in, out, size), rv;

	if (!oaep_unknown(first))
		return first;
	*size = room;
	rv = here_first ? oaep_in_token(decrypting, in, out, size) : oaep_here(decrypting, in, out, size);
	return oaep_unknown(rv) ? first : rv;
}

static int decrypt(void *state, unsigned char *out, size_t *size, size_t room, const unsigned char *in, size_t in_size)
{
	const struct decrypting *decrypting = state;
	size_t most = (size_t)EVP_PKEY_get_size(decrypting->key->public_half), got = most;
	CK_MECHANISM pkcs1 = { CKM_RSA_PKCS, NULL, 0 };
	CK_RV rv;

	if (!out) {
		*size = most;
		return 1;
	}
	if (!decrypting->key->token || room < most)
		return 0;
	if (decrypting->padding == RSA_PKCS1_OAEP_PADDING)
		rv = open_oaep(decrypting, KS_BYTES(in, in_size), out, &got);
	else
		rv = ks_p11_key_decrypt(decrypting->key, &pkcs1, KS_BYTES(in, in_size), out, &got);
	if (rv != CKR_OK)
		return rv != KS_CKR_TOLD && ks_p11_key_raise(decrypting->key, rv);
	*size = got;
	return 1;
}

static int encrypt(void *state, unsigned char *out, size_t *size, size_t room, const unsigned char *in, size_t in_size)
{
	const struct decrypting *decrypting = state;
	ks_auto_ssl(EVP_PKEY_CTX) ctx =
		EVP_PKEY_CTX_new_from_pkey(decrypting->crypto, decrypting->key->public_half, "provider=default");
	unsigned char *label = NULL;

	if (!ctx || EVP_PKEY_encrypt_init(ctx) <= 0 || EVP_PKEY_CTX_set_rsa_padding(ctx, decrypting->padding) <= 0)
		return 0;
	if (decrypting->padding == RSA_PKCS1_OAEP_PADDING) {
		if (decrypting->digest && EVP_PKEY_CTX_set_rsa_oaep_md(ctx, decrypting->digest) <= 0)
			return 0;
		if (decrypting->mask && EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, decrypting->mask) <= 0)
			return 0;
		label = decrypting->label ? OPENSSL_memdup(decrypting->label, decrypting->label_size) : NULL;
		if (label && EVP_PKEY_CTX_set0_rsa_oaep_label(ctx, label, (int)decrypting->label_size) <= 0) {
			OPENSSL_free(label);
			return 0;
		}
	}
	*size = room;
	return EVP_PKEY_encrypt(ctx, out, size, in, in_size) > 0;
}

#define FUNCTION(id, function)                                                                                         \
	{                                                                                                              \
		id, (void (*)(void))(function)                                                                         \
	}

const OSSL_DISPATCH ks_p11_decrypt_functions[] = {
	FUNCTION(OSSL_FUNC_ASYM_CIPHER_NEWCTX, decrypting_new),
	FUNCTION(OSSL_FUNC_ASYM_CIPHER_FREECTX, decrypting_free),
	FUNCTION(OSSL_FUNC_ASYM_CIPHER_DUPCTX, decrypting_dup),
	FUNCTION(OSSL_FUNC_ASYM_CIPHER_DECRYPT_INIT, decrypting_init),
	FUNCTION(OSSL_FUNC_ASYM_CIPHER_DECRYPT, decrypt),
	FUNCTION(OSSL_FUNC_ASYM_CIPHER_ENCRYPT_INIT, decrypting_init),
	FUNCTION(OSSL_FUNC_ASYM_CIPHER_ENCRYPT, encrypt),
	FUNCTION(OSSL_FUNC_ASYM_CIPHER_GET_CTX_PARAMS, decrypting_get),
	FUNCTION(OSSL_FUNC_ASYM_CIPHER_GETTABLE_CTX_PARAMS, decrypting_gettable),
	FUNCTION(OSSL_FUNC_ASYM_CIPHER_SET_CTX_PARAMS, decrypting_set),
	FUNCTION(OSSL_FUNC_ASYM_CIPHER_SETTABLE_CTX_PARAMS, decrypting_settable),
	{ 0, NULL },
};
