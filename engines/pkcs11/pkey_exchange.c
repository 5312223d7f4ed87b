/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The provider's key agreement: ECDH in the token, and the key derivation that CMS wants behind it in software.
 *
 * The token gives the agreed secret as a session object that may be read, which is what CKM_ECDH1_DERIVE without a derivation of its
 * own is for; the object is destroyed at once.
 */
#include "pkey_provider.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <string.h>

#define LONGEST_POINT 256
#define LONGEST_SECRET 128

KS_FREES_SSL(EVP_KDF)
KS_FREES_SSL(EVP_KDF_CTX)

struct agreeing {
	OSSL_LIB_CTX *crypto;
	struct ks_p11_key *key, *peer;
	bool derives; /* X9.63 behind the agreement */
	EVP_MD *digest; /* of that */
	unsigned char *ukm;
	size_t ukm_size, derived_size;
};

static void *agreeing_new(void *provider)
{
	struct agreeing *agreeing = calloc(1, sizeof(*agreeing));

	if (agreeing)
		agreeing->crypto = provider;
	return agreeing;
}

static void agreeing_free(void *state)
{
	struct agreeing *agreeing = state;

	if (!agreeing)
		return;
	ks_p11_key_free(agreeing->key);
	ks_p11_key_free(agreeing->peer);
	EVP_MD_free(agreeing->digest);
	OPENSSL_clear_free(agreeing->ukm, agreeing->ukm_size);
	free(agreeing);
}

static void *agreeing_dup(void *state)
{
	const struct agreeing *agreeing = state;
	struct agreeing *copy = malloc(sizeof(*copy));

	if (!copy)
		return NULL;
	*copy = *agreeing;
	copy->ukm = agreeing->ukm ? OPENSSL_memdup(agreeing->ukm, agreeing->ukm_size) : NULL;
	ks_p11_key_ref(copy->key);
	ks_p11_key_ref(copy->peer);
	if (copy->digest)
		EVP_MD_up_ref(copy->digest);
	if (agreeing->ukm && !copy->ukm) {
		agreeing_free(copy);
		return NULL;
	}
	return copy;
}

/* ---- parameters ---- */

static bool derivation_choose(struct agreeing *agreeing, const OSSL_PARAM *param)
{
	const char *name = param->data;

	if (param->data_type != OSSL_PARAM_UTF8_STRING || !name ||
	    (name[0] && strcmp(name, OSSL_KDF_NAME_X963KDF) != 0))
		return false;
	agreeing->derives = name[0] != '\0';
	return true;
}

static bool digest_choose(struct agreeing *agreeing, const OSSL_PARAM *param)
{
	EVP_MD *md =
		param->data_type == OSSL_PARAM_UTF8_STRING ? EVP_MD_fetch(agreeing->crypto, param->data, NULL) : NULL;

	if (!md)
		return false;
	EVP_MD_free(agreeing->digest);
	agreeing->digest = md;
	return true;
}

static bool ukm_choose(struct agreeing *agreeing, const OSSL_PARAM *param)
{
	void *ukm = NULL;
	size_t size = 0;

	if (param->data && param->data_size && !OSSL_PARAM_get_octet_string(param, &ukm, 0, &size))
		return false;
	OPENSSL_clear_free(agreeing->ukm, agreeing->ukm_size);
	agreeing->ukm = ukm;
	agreeing->ukm_size = size;
	return true;
}

/* Every curve that we use has cofactor 1, so both modes are the same. */
static bool cofactor_accept(const struct agreeing *agreeing, const OSSL_PARAM *param)
{
	int mode = 0;

	(void)agreeing;
	return OSSL_PARAM_get_int(param, &mode) && mode >= -1 && mode <= 1;
}

static int agreeing_set(void *state, const OSSL_PARAM params[])
{
	struct agreeing *agreeing = state;
	const OSSL_PARAM *param;

	if (!params)
		return 1;
	param = OSSL_PARAM_locate_const(params, OSSL_EXCHANGE_PARAM_EC_ECDH_COFACTOR_MODE);
	if (param && !cofactor_accept(agreeing, param))
		return 0;
	param = OSSL_PARAM_locate_const(params, OSSL_EXCHANGE_PARAM_KDF_TYPE);
	if (param && !derivation_choose(agreeing, param))
		return 0;
	param = OSSL_PARAM_locate_const(params, OSSL_EXCHANGE_PARAM_KDF_DIGEST);
	if (param && !digest_choose(agreeing, param))
		return 0;
	param = OSSL_PARAM_locate_const(params, OSSL_EXCHANGE_PARAM_KDF_OUTLEN);
	if (param && !OSSL_PARAM_get_size_t(param, &agreeing->derived_size))
		return 0;
	param = OSSL_PARAM_locate_const(params, OSSL_EXCHANGE_PARAM_KDF_UKM);
	return !param || ukm_choose(agreeing, param);
}

static const OSSL_PARAM *agreeing_settable(void *state, void *provider)
{
	static const OSSL_PARAM types[] = {
		OSSL_PARAM_int(OSSL_EXCHANGE_PARAM_EC_ECDH_COFACTOR_MODE, NULL),
		OSSL_PARAM_utf8_string(OSSL_EXCHANGE_PARAM_KDF_TYPE, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_EXCHANGE_PARAM_KDF_DIGEST, NULL, 0),
		OSSL_PARAM_size_t(OSSL_EXCHANGE_PARAM_KDF_OUTLEN, NULL),
		OSSL_PARAM_octet_string(OSSL_EXCHANGE_PARAM_KDF_UKM, NULL, 0),
		OSSL_PARAM_END,
	};

	(void)state;
	(void)provider;
	return types;
}

static int agreeing_get(void *state, OSSL_PARAM params[])
{
	struct agreeing *agreeing = state;
	OSSL_PARAM *param = OSSL_PARAM_locate(params, OSSL_EXCHANGE_PARAM_EC_ECDH_COFACTOR_MODE);

	if (param && !OSSL_PARAM_set_int(param, 0))
		return 0;
	param = OSSL_PARAM_locate(params, OSSL_EXCHANGE_PARAM_KDF_TYPE);
	if (param && !OSSL_PARAM_set_utf8_string(param, agreeing->derives ? OSSL_KDF_NAME_X963KDF : ""))
		return 0;
	param = OSSL_PARAM_locate(params, OSSL_EXCHANGE_PARAM_KDF_DIGEST);
	if (param && !OSSL_PARAM_set_utf8_string(param, agreeing->digest ? EVP_MD_get0_name(agreeing->digest) : ""))
		return 0;
	param = OSSL_PARAM_locate(params, OSSL_EXCHANGE_PARAM_KDF_OUTLEN);
	if (param && !OSSL_PARAM_set_size_t(param, agreeing->derived_size))
		return 0;
	param = OSSL_PARAM_locate(params, OSSL_EXCHANGE_PARAM_KDF_UKM);
	return !param || OSSL_PARAM_set_octet_ptr(param, agreeing->ukm, agreeing->ukm_size);
}

static const OSSL_PARAM *agreeing_gettable(void *state, void *provider)
{
	static const OSSL_PARAM types[] = {
		OSSL_PARAM_int(OSSL_EXCHANGE_PARAM_EC_ECDH_COFACTOR_MODE, NULL),
		OSSL_PARAM_utf8_string(OSSL_EXCHANGE_PARAM_KDF_TYPE, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_EXCHANGE_PARAM_KDF_DIGEST, NULL, 0),
		OSSL_PARAM_size_t(OSSL_EXCHANGE_PARAM_KDF_OUTLEN, NULL),
		OSSL_PARAM_octet_ptr(OSSL_EXCHANGE_PARAM_KDF_UKM, NULL, 0),
		OSSL_PARAM_END,
	};

	(void)state;
	(void)provider;
	return types;
}

/* ---- agreeing ---- */

static int agreeing_init(void *state, void *keydata, const OSSL_PARAM params[])
{
	struct agreeing *agreeing = state;
	const struct ks_p11_keydata *data = keydata;

	if (!data || !data->key || !data->key->token)
		return 0;
	ks_p11_key_free(agreeing->key);
	agreeing->key = ks_p11_key_ref(data->key);
	return agreeing_set(agreeing, params);
}

static int agreeing_set_peer(void *state, void *keydata)
{
	struct agreeing *agreeing = state;
	const struct ks_p11_keydata *data = keydata;

	if (!data || !data->key || !agreeing->key ||
	    EVP_PKEY_parameters_eq(agreeing->key->public_half, data->key->public_half) != 1)
		return 0;
	ks_p11_key_free(agreeing->peer);
	agreeing->peer = ks_p11_key_ref(data->key);
	return 1;
}

static size_t secret_size(const struct agreeing *agreeing)
{
	return ((size_t)EVP_PKEY_get_bits(agreeing->key->public_half) + 7) / 8;
}

/* What both sides come to: the x coordinate, as long as the field (SEC 1 3.3.1). */
static bool agree(const struct agreeing *agreeing, unsigned char *secret)
{
	unsigned char point[LONGEST_POINT];
	CK_ECDH1_DERIVE_PARAMS ecdh;
	CK_MECHANISM mechanism = { CKM_ECDH1_DERIVE, &ecdh, sizeof(ecdh) };
	size_t size = 0;

	if (!EVP_PKEY_get_octet_string_param(agreeing->peer->public_half, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, point,
					     sizeof(point), &size))
		return false;
	/* By position: p11-kit 0.24 and 0.25 spell the members differently. */
	ecdh = (CK_ECDH1_DERIVE_PARAMS){ CKD_NULL, 0, NULL, size, point };
	return ks_p11_key_agree(agreeing->key, &mechanism, secret, secret_size(agreeing));
}

static bool stretch(const struct agreeing *agreeing, unsigned char *out, const unsigned char *secret)
{
	ks_auto_ssl(EVP_KDF) kdf = EVP_KDF_fetch(agreeing->crypto, OSSL_KDF_NAME_X963KDF, NULL);
	ks_auto_ssl(EVP_KDF_CTX) ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	const char *digest = agreeing->digest ? EVP_MD_get0_name(agreeing->digest) : "SHA1";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)digest, 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)secret, secret_size(agreeing)),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, agreeing->ukm, agreeing->ukm_size),
		OSSL_PARAM_construct_end(),
	};

	return ctx && EVP_KDF_derive(ctx, out, agreeing->derived_size, params) > 0;
}

static int agreeing_derive(void *state, unsigned char *out, size_t *size, size_t room)
{
	const struct agreeing *agreeing = state;
	unsigned char secret[LONGEST_SECRET];
	size_t wanted;
	bool ok;

	if (!agreeing->key || !agreeing->peer || secret_size(agreeing) > sizeof(secret))
		return 0;
	wanted = agreeing->derives ? agreeing->derived_size : secret_size(agreeing);
	*size = wanted;
	if (!out)
		return 1;
	if (wanted == 0 || room < wanted)
		return 0;
	ok = agree(agreeing, secret);
	if (ok && agreeing->derives)
		ok = stretch(agreeing, out, secret);
	else if (ok)
		memcpy(out, secret, wanted);
	OPENSSL_cleanse(secret, sizeof(secret));
	return ok;
}

#define FUNCTION(id, function)                                                                                         \
	{                                                                                                              \
		id, (void (*)(void))(function)                                                                         \
	}

const OSSL_DISPATCH ks_p11_exchange_functions[] = {
	FUNCTION(OSSL_FUNC_KEYEXCH_NEWCTX, agreeing_new),
	FUNCTION(OSSL_FUNC_KEYEXCH_FREECTX, agreeing_free),
	FUNCTION(OSSL_FUNC_KEYEXCH_DUPCTX, agreeing_dup),
	FUNCTION(OSSL_FUNC_KEYEXCH_INIT, agreeing_init),
	FUNCTION(OSSL_FUNC_KEYEXCH_SET_PEER, agreeing_set_peer),
	FUNCTION(OSSL_FUNC_KEYEXCH_DERIVE, agreeing_derive),
	FUNCTION(OSSL_FUNC_KEYEXCH_SET_CTX_PARAMS, agreeing_set),
	FUNCTION(OSSL_FUNC_KEYEXCH_SETTABLE_CTX_PARAMS, agreeing_settable),
	FUNCTION(OSSL_FUNC_KEYEXCH_GET_CTX_PARAMS, agreeing_get),
	FUNCTION(OSSL_FUNC_KEYEXCH_GETTABLE_CTX_PARAMS, agreeing_gettable),
	{ 0, NULL },
};
