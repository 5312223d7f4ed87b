/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The provider: key management for keys in tokens. Signatures, decryption and key agreement are in pkey_*.c.
 *
 * OpenSSL sees the public half (export, compare, sizes); asked for the private half, export says no. Software keys may be imported
 * as public keys, because that is how OpenSSL compares a certificate's key with ours.
 */
#include "pkey.h"

#include "object.h"
#include "pkey_provider.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/provider.h>

#include <string.h>

#define KEY_PARAM "keystow-key" /* the address of a struct ks_p11_key, for EVP_PKEY_fromdata */

/* ---- key management ---- */

static struct ks_p11_keydata *keydata_new(void *provider, const char *type)
{
	struct ks_p11_keydata *data = calloc(1, sizeof(*data));

	if (data) {
		data->crypto = provider;
		data->type = type;
	}
	return data;
}

static void *rsa_new(void *provider)
{
	return keydata_new(provider, "RSA");
}

static void *ec_new(void *provider)
{
	return keydata_new(provider, "EC");
}

static void *ed25519_new(void *provider)
{
	return keydata_new(provider, "ED25519");
}

static void *ml_dsa_44_new(void *provider)
{
	return keydata_new(provider, "ML-DSA-44");
}

static void *ml_dsa_65_new(void *provider)
{
	return keydata_new(provider, "ML-DSA-65");
}

static void *ml_dsa_87_new(void *provider)
{
	return keydata_new(provider, "ML-DSA-87");
}

static void keydata_free(void *state)
{
	struct ks_p11_keydata *data = state;

	if (data)
		ks_p11_key_free(data->key);
	free(data);
}

static int keydata_has(const void *state, int selection)
{
	const struct ks_p11_keydata *data = state;

	if (!data || !data->key || (data->pointless && (selection & OSSL_KEYMGMT_SELECT_KEYPAIR)))
		return 0;
	return data->key->token || !(selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY);
}

static int keydata_match(const void *a, const void *b, int selection)
{
	const struct ks_p11_keydata *one = a, *other = b;

	(void)selection;
	return one->key && other->key && EVP_PKEY_eq(one->key->public_half, other->key->public_half) == 1;
}

/* The public half of a software key, so that it can be compared with one of ours. */
static int import_public(struct ks_p11_keydata *data, const OSSL_PARAM params[])
{
	ks_auto_ssl(EVP_PKEY_CTX) ctx = EVP_PKEY_CTX_new_from_name(data->crypto, data->type, "provider=default");
	ks_auto_ssl(EVP_PKEY) public_half = NULL;

	if (!ctx || EVP_PKEY_fromdata_init(ctx) <= 0 ||
	    EVP_PKEY_fromdata(ctx, &public_half, EVP_PKEY_PUBLIC_KEY, (OSSL_PARAM *)params) <= 0)
		return 0;
	data->key = ks_p11_key_new(ks_take(public_half), KS_NONE, KS_NONE);
	return data->key != NULL;
}

static int keydata_import(void *state, int selection, const OSSL_PARAM params[])
{
	const OSSL_PARAM *ours = OSSL_PARAM_locate_const(params, KEY_PARAM);
	struct ks_p11_keydata *data = state;
	struct ks_p11_key *key;

	if (data->key)
		return 0;
	if (!ours)
		return (selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) && import_public(data, params);
	if (ours->data_type != OSSL_PARAM_OCTET_STRING || ours->data_size != sizeof(key))
		return 0;
	memcpy(&key, ours->data, sizeof(key));
	data->key = ks_p11_key_ref(key);
	return 1;
}

static const OSSL_PARAM *keydata_import_types(int selection)
{
	static const OSSL_PARAM types[] = { OSSL_PARAM_octet_string(KEY_PARAM, NULL, 0), OSSL_PARAM_END };

	(void)selection;
	return types;
}

static int keydata_export(void *state, int selection, OSSL_CALLBACK *callback, void *arg)
{
	struct ks_p11_keydata *data = state;
	OSSL_PARAM *params = NULL;
	int ok;

	if (!data->key || (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY))
		return 0;
	if (EVP_PKEY_todata(data->key->public_half, EVP_PKEY_PUBLIC_KEY, &params) <= 0)
		return 0;
	ok = callback(params, arg);
	OSSL_PARAM_free(params);
	return ok;
}

static const OSSL_PARAM *rsa_export_types(int selection)
{
	static const OSSL_PARAM types[] = { OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
					    OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0), OSSL_PARAM_END };

	return selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY ? NULL : types;
}

static const OSSL_PARAM *point_export_types(int selection)
{
	static const OSSL_PARAM types[] = { OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
					    OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0), OSSL_PARAM_END };

	return selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY ? NULL : types;
}

static const OSSL_PARAM *octets_export_types(int selection)
{
	static const OSSL_PARAM types[] = { OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0), OSSL_PARAM_END };

	return selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY ? NULL : types;
}

static int keydata_get_params(void *state, OSSL_PARAM params[])
{
	const struct ks_p11_keydata *data = state;

	return data->key && EVP_PKEY_get_params(data->key->public_half, params);
}

static const OSSL_PARAM *keydata_gettable(void *provider)
{
	static const OSSL_PARAM types[] = {
		OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_MANDATORY_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, NULL, 0),
		OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
		OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
		OSSL_PARAM_END,
	};

	(void)provider;
	return types;
}

static const char *ec_operation(int operation)
{
	return operation == OSSL_OP_SIGNATURE ? "ECDSA" : operation == OSSL_OP_KEYEXCH ? "ECDH" : NULL;
}

/* Without a key in a token. */
static bool become_public(struct ks_p11_keydata *data, EVP_PKEY *public_half)
{
	struct ks_p11_key *key = public_half ? ks_p11_key_new(public_half, KS_NONE, KS_NONE) : NULL;

	if (!key)
		return false;
	ks_p11_key_free(data->key);
	data->key = key;
	return true;
}

/* A software EC key on the curve of `like`; with that point, or none. */
static EVP_PKEY *on_curve(const struct ks_p11_keydata *like, const OSSL_PARAM *point)
{
	ks_auto_ssl(EVP_PKEY_CTX) ctx = EVP_PKEY_CTX_new_from_name(like->crypto, "EC", "provider=default");
	char curve[80];
	OSSL_PARAM params[] = { OSSL_PARAM_construct_end(), OSSL_PARAM_construct_end(), OSSL_PARAM_construct_end() };
	EVP_PKEY *made = NULL;

	if (!ctx || !EVP_PKEY_get_group_name(like->key->public_half, curve, sizeof(curve), NULL))
		return NULL;
	params[0] = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, curve, 0);
	if (point)
		params[1] = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point->data, point->data_size);
	if (EVP_PKEY_fromdata_init(ctx) <= 0 ||
	    EVP_PKEY_fromdata(ctx, &made, point ? EVP_PKEY_PUBLIC_KEY : EVP_PKEY_KEY_PARAMETERS, params) <= 0)
		return NULL;
	return made;
}

/* CMS makes the sender's public key so: the curve of ours, and then a point of its own. */
static int ec_set_params(void *state, const OSSL_PARAM params[])
{
	const OSSL_PARAM *point = OSSL_PARAM_locate_const(params, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY);
	struct ks_p11_keydata *data = state;

	if (!point)
		return 1;
	if (!data->key || data->key->token || point->data_type != OSSL_PARAM_OCTET_STRING ||
	    !become_public(data, on_curve(data, point)))
		return 0;
	data->pointless = false;
	return 1;
}

static const OSSL_PARAM *ec_settable(void *provider)
{
	static const OSSL_PARAM types[] = { OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, NULL, 0),
					    OSSL_PARAM_END };

	(void)provider;
	return types;
}

static void *keydata_dup(const void *state, int selection)
{
	const struct ks_p11_keydata *data = state;
	struct ks_p11_keydata *copy = keydata_new(data->crypto, data->type);
	bool ec = strcmp(data->type, "EC") == 0;

	if (!copy)
		return NULL;
	if (selection & OSSL_KEYMGMT_SELECT_KEYPAIR) {
		copy->key = ks_p11_key_ref(data->key);
		copy->pointless = data->pointless;
	} else if (data->key && ec) {
		copy->pointless = true;
		if (!become_public(copy, on_curve(data, NULL))) {
			keydata_free(copy);
			return NULL;
		}
	}
	return copy;
}

#define FUNCTION(id, function)                                                                                         \
	{                                                                                                              \
		id, (void (*)(void))(function)                                                                         \
	}
#define KEYDATA_FUNCTIONS(new, export_types)                                                                           \
	FUNCTION(OSSL_FUNC_KEYMGMT_NEW, new), FUNCTION(OSSL_FUNC_KEYMGMT_FREE, keydata_free),                          \
		FUNCTION(OSSL_FUNC_KEYMGMT_HAS, keydata_has), FUNCTION(OSSL_FUNC_KEYMGMT_MATCH, keydata_match),        \
		FUNCTION(OSSL_FUNC_KEYMGMT_IMPORT, keydata_import),                                                    \
		FUNCTION(OSSL_FUNC_KEYMGMT_IMPORT_TYPES, keydata_import_types),                                        \
		FUNCTION(OSSL_FUNC_KEYMGMT_EXPORT, keydata_export),                                                    \
		FUNCTION(OSSL_FUNC_KEYMGMT_EXPORT_TYPES, export_types),                                                \
		FUNCTION(OSSL_FUNC_KEYMGMT_GET_PARAMS, keydata_get_params),                                            \
		FUNCTION(OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, keydata_gettable),                                         \
		FUNCTION(OSSL_FUNC_KEYMGMT_DUP, keydata_dup)

static const OSSL_DISPATCH rsa_functions[] = { KEYDATA_FUNCTIONS(rsa_new, rsa_export_types), { 0, NULL } };
static const OSSL_DISPATCH ec_functions[] = {
	KEYDATA_FUNCTIONS(ec_new, point_export_types),
	FUNCTION(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, ec_operation),
	FUNCTION(OSSL_FUNC_KEYMGMT_SET_PARAMS, ec_set_params),
	FUNCTION(OSSL_FUNC_KEYMGMT_SETTABLE_PARAMS, ec_settable),
	{ 0, NULL },
};
static const OSSL_DISPATCH ed25519_functions[] = { KEYDATA_FUNCTIONS(ed25519_new, point_export_types), { 0, NULL } };
static const OSSL_DISPATCH ml_dsa_44_functions[] = { KEYDATA_FUNCTIONS(ml_dsa_44_new, octets_export_types),
						     { 0, NULL } };
static const OSSL_DISPATCH ml_dsa_65_functions[] = { KEYDATA_FUNCTIONS(ml_dsa_65_new, octets_export_types),
						     { 0, NULL } };
static const OSSL_DISPATCH ml_dsa_87_functions[] = { KEYDATA_FUNCTIONS(ml_dsa_87_new, octets_export_types),
						     { 0, NULL } };

#define RSA_NAMES "RSA:rsaEncryption:1.2.840.113549.1.1.1"
#define EC_NAMES "EC:id-ecPublicKey:1.2.840.10045.2.1"
#define ED25519_NAMES "ED25519:1.3.101.112"
#define ML_DSA_44_NAMES "ML-DSA-44:2.16.840.1.101.3.4.3.17"
#define ML_DSA_65_NAMES "ML-DSA-65:2.16.840.1.101.3.4.3.18"
#define ML_DSA_87_NAMES "ML-DSA-87:2.16.840.1.101.3.4.3.19"
#define OURS "provider=keystow"

static const OSSL_ALGORITHM keydata_algorithms[] = {
	{ RSA_NAMES, OURS, rsa_functions, NULL },
	{ EC_NAMES, OURS, ec_functions, NULL },
	{ ED25519_NAMES, OURS, ed25519_functions, NULL },
	{ ML_DSA_44_NAMES, OURS, ml_dsa_44_functions, NULL },
	{ ML_DSA_65_NAMES, OURS, ml_dsa_65_functions, NULL },
	{ ML_DSA_87_NAMES, OURS, ml_dsa_87_functions, NULL },
	{ NULL, NULL, NULL, NULL },
};

static const OSSL_ALGORITHM signature_algorithms[] = {
	{ RSA_NAMES, OURS, ks_p11_signature_functions, NULL },
	{ "ECDSA", OURS, ks_p11_signature_functions, NULL },
	{ ED25519_NAMES, OURS, ks_p11_whole_functions, NULL },
	{ ML_DSA_44_NAMES, OURS, ks_p11_whole_functions, NULL },
	{ ML_DSA_65_NAMES, OURS, ks_p11_whole_functions, NULL },
	{ ML_DSA_87_NAMES, OURS, ks_p11_whole_functions, NULL },
	{ NULL, NULL, NULL, NULL },
};

static const OSSL_ALGORITHM cipher_algorithms[] = {
	{ RSA_NAMES, OURS, ks_p11_decrypt_functions, NULL },
	{ NULL, NULL, NULL, NULL },
};

static const OSSL_ALGORITHM exchange_algorithms[] = {
	{ "ECDH", OURS, ks_p11_exchange_functions, NULL },
	{ NULL, NULL, NULL, NULL },
};

static const OSSL_ALGORITHM *query(void *provider, int operation, int *no_cache)
{
	(void)provider;
	*no_cache = 0;
	switch (operation) {
	case OSSL_OP_KEYMGMT:
		return keydata_algorithms;
	case OSSL_OP_SIGNATURE:
		return signature_algorithms;
	case OSSL_OP_ASYM_CIPHER:
		return cipher_algorithms;
	case OSSL_OP_KEYEXCH:
		return exchange_algorithms;
	default:
		return NULL;
	}
}

static const OSSL_DISPATCH provider_functions[] = { FUNCTION(OSSL_FUNC_PROVIDER_QUERY_OPERATION, query), { 0, NULL } };

/* The provider's state is the library context it was loaded into. */
static int provider_start(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out,
			  void **provider)
{
	OSSL_FUNC_core_get_libctx_fn *get_libctx = NULL;

	for (; in->function_id != 0; in++) {
		if (in->function_id == OSSL_FUNC_CORE_GET_LIBCTX)
			get_libctx = OSSL_FUNC_core_get_libctx(in);
	}
	if (!get_libctx)
		return 0;
	*provider = get_libctx(handle);
	*out = provider_functions;
	return 1;
}

/* ---- EVP_PKEYs for items ---- */

static const char provider_key;

static void provider_end(struct ks_ctx *ctx, void *state)
{
	(void)ctx;
	OSSL_PROVIDER_unload(state);
}

static int provider_load(struct ks_ctx *ctx)
{
	OSSL_PROVIDER *provider;
	int rc;

	if (ks_ctx_kept(ctx, &provider_key))
		return 0;
	if (OSSL_PROVIDER_add_builtin(ks_crypto(ctx), "keystow", provider_start) != 1 ||
	    !(provider = OSSL_PROVIDER_load(ks_crypto(ctx), "keystow")))
		return ks_fail_openssl(ctx, KS_EBUG, "the provider for keys in tokens does not start");
	rc = ks_ctx_keep(ctx, &provider_key, provider, provider_end);
	if (rc < 0)
		OSSL_PROVIDER_unload(provider);
	return rc;
}

static int public_pkey(EVP_PKEY **out, struct ks_item *item, struct ks_ctx *ctx)
{
	ks_auto_mem char *named = NULL;
	struct ks_p11_ref ref;
	bool known = ks_p11_ref_of(&ref, item);

	if (item->spki.size && ks_spki_key(out, ctx, item->spki) == 0)
		return 0;
	named = ks_item_named(item);
	return ks_hint(ctx,
		       ks_fail_openssl(ctx, KS_EUNABLE, "token %s gives no public key that can be used for %s",
				       known ? ref.token->shown : "?", named ? named : "the key"),
		       "put its certificate or public key object on the token");
}

/* An EVP_PKEY that holds a reference to `key`. */
static int wrap(EVP_PKEY **out, struct ks_ctx *ctx, struct ks_p11_key *key)
{
	ks_auto_ssl(EVP_PKEY_CTX) pkey_ctx =
		EVP_PKEY_CTX_new_from_name(ks_crypto(ctx), EVP_PKEY_get0_type_name(key->public_half), OURS);
	OSSL_PARAM params[] = { OSSL_PARAM_construct_octet_string(KEY_PARAM, &key, sizeof(key)),
				OSSL_PARAM_construct_end() };
	EVP_PKEY *made = NULL; /* OpenSSL fills what is not NULL */

	if (!pkey_ctx)
		return ks_fail_openssl(ctx, KS_EALGORITHM, "keys of type %s in tokens are not used by keystow",
				       EVP_PKEY_get0_type_name(key->public_half));
	if (EVP_PKEY_fromdata_init(pkey_ctx) <= 0 || EVP_PKEY_fromdata(pkey_ctx, &made, EVP_PKEY_KEYPAIR, params) <= 0)
		return ks_fail_openssl(ctx, KS_EBUG, "OpenSSL does not take the token's key");
	*out = made;
	return 0;
}

int ks_p11_item_pkey(EVP_PKEY **out, struct ks_item *item, struct ks_ctx *ctx)
{
	EVP_PKEY *public_half = NULL;
	struct ks_p11_key *key;
	struct ks_p11_ref ref;
	int rc = public_pkey(&public_half, item, ctx);

	if (rc < 0)
		return rc;
	if (item->kind != KS_PRIVATE_KEY || !ks_p11_ref_of(&ref, item)) {
		*out = public_half;
		return 0;
	}
	key = ks_p11_key_new(public_half, item->id, item->spki);
	if (!key)
		return ks_nomem(ctx);
	key->token = ref.token;
	key->handle = ref.handle;
	key->life = ref.life;
	key->always_authenticate = ref.always_authenticate;
	ks_ctx_use(ctx);
	rc = provider_load(ctx);
	if (rc == 0)
		rc = wrap(out, ctx, key);
	ks_p11_key_free(key);
	return rc;
}
