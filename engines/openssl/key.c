/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key management: everything public is answered by the key inside, everything private is refused with a sentence.
 */
#include "key.h"

#include "told.h"

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/provider.h>

#include <stdlib.h>
#include <string.h>

static const char *const types[] = { "RSA", "EC", "ED25519", "ML-DSA-44", "ML-DSA-65", "ML-DSA-87", NULL };

const char *key_type(const EVP_PKEY *inner)
{
	for (size_t i = 0; types[i]; i++) {
		if (EVP_PKEY_is_a(inner, types[i]))
			return types[i];
	}
	return NULL;
}

/* Keys without a provider are of libp11's engine, in a token as well. */
bool key_stays(const EVP_PKEY *inner)
{
	const OSSL_PROVIDER *provider = EVP_PKEY_get0_provider(inner);

	return !provider || strcmp(OSSL_PROVIDER_get0_name(provider), "keystow") == 0;
}

OSSL_LIB_CTX *key_crypto(struct instance *instance)
{
	struct ks_ctx *ctx = instance_open(instance);
	OSSL_LIB_CTX *crypto;

	if (!ctx)
		return NULL;
	crypto = ks_crypto(ctx);
	instance_close(instance);
	return crypto;
}

/* ---- life ---- */

static void empty(struct holder *holder)
{
	struct key *key = (struct key *)holder; /* its first member */

	EVP_PKEY_free(key->inner);
	key->inner = NULL;
}

struct key *key_new(struct instance *instance, const char *type, EVP_PKEY *inner)
{
	struct key *key = calloc(1, sizeof(*key));

	if (!key) {
		EVP_PKEY_free(inner);
		return NULL;
	}
	holder_add(&key->holder, instance, empty);
	key->type = type;
	key->inner = inner;
	return key;
}

void key_free(void *state)
{
	struct key *key = state;

	if (!key)
		return;
	holder_remove(&key->holder);
	EVP_PKEY_free(key->inner);
	free(key);
}

static void *rsa_new(void *provider)
{
	return key_new(provider, "RSA", NULL);
}

static void *ec_new(void *provider)
{
	return key_new(provider, "EC", NULL);
}

static void *ed25519_new(void *provider)
{
	return key_new(provider, "ED25519", NULL);
}

static void *ml_dsa_44_new(void *provider)
{
	return key_new(provider, "ML-DSA-44", NULL);
}

static void *ml_dsa_65_new(void *provider)
{
	return key_new(provider, "ML-DSA-65", NULL);
}

static void *ml_dsa_87_new(void *provider)
{
	return key_new(provider, "ML-DSA-87", NULL);
}

static void *key_dup(const void *state, int selection)
{
	const struct key *key = state;
	struct key *copy;

	(void)selection;
	if (key->inner && !EVP_PKEY_up_ref(key->inner))
		return NULL;
	copy = key_new(key->holder.instance, key->type, key->inner);
	if (copy)
		copy->public_only = key->public_only;
	return copy;
}

/* What the store or the decoder made; it is ours from here on. */
static void *key_load(const void *reference, size_t size)
{
	struct key **place, *key;

	if (size != sizeof(key))
		return NULL;
	place = *(struct key ***)&reference;
	key = *place;
	*place = NULL;
	return key;
}

/* ---- looking ---- */

static int key_has(const void *state, int selection)
{
	const struct key *key = state;

	return key && key->inner && !(key->public_only && (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY));
}

static int key_match(const void *a, const void *b, int selection)
{
	const struct key *one = a, *other = b;

	(void)selection;
	return one->inner && other->inner && EVP_PKEY_eq(one->inner, other->inner) == 1;
}

static int key_get_params(void *state, OSSL_PARAM params[])
{
	const struct key *key = state;

	return key->inner && EVP_PKEY_get_params(key->inner, params);
}

static const OSSL_PARAM *key_gettable(void *provider)
{
	static const OSSL_PARAM params[] = {
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
	return params;
}

/* ---- in and out ---- */

/* A public key of the host's, to compare with ours or to agree with. */
static int key_import(void *state, int selection, const OSSL_PARAM params[])
{
	struct key *key = state;
	OSSL_LIB_CTX *crypto;
	EVP_PKEY_CTX *ctx;
	bool ok;

	if (key->inner || !(selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) || !instance_enter(key->holder.instance))
		return 0;
	crypto = key_crypto(key->holder.instance);
	ctx = crypto ? EVP_PKEY_CTX_new_from_name(crypto, key->type, "provider=default") : NULL;
	ok = ctx && EVP_PKEY_fromdata_init(ctx) > 0 &&
	     EVP_PKEY_fromdata(ctx, &key->inner, EVP_PKEY_PUBLIC_KEY, (OSSL_PARAM *)params) > 0;
	EVP_PKEY_CTX_free(ctx);
	instance_leave(key->holder.instance);
	key->public_only = true;
	return ok;
}

static int key_export(void *state, int selection, OSSL_CALLBACK *callback, void *arg)
{
	struct key *key = state;
	OSSL_PARAM *params = NULL;
	int ok;

	if (!key->inner)
		return 0;
	if (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) {
		told_sentence(key->holder.instance, KS_EUNABLE,
			      "the private key stays in its token: it can be used, but not be written out; next: -pubout gives its public "
			      "half");
		return 0;
	}
	if (EVP_PKEY_todata(key->inner, EVP_PKEY_PUBLIC_KEY, &params) <= 0)
		return 0;
	ok = callback(params, arg);
	OSSL_PARAM_free(params);
	return ok;
}

static const OSSL_PARAM *rsa_types(int selection)
{
	static const OSSL_PARAM params[] = { OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
					     OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0), OSSL_PARAM_END };

	return selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY ? NULL : params;
}

static const OSSL_PARAM *point_types(int selection)
{
	static const OSSL_PARAM params[] = { OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
					     OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0), OSSL_PARAM_END };

	return selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY ? NULL : params;
}

static const OSSL_PARAM *octets_types(int selection)
{
	static const OSSL_PARAM params[] = { OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0), OSSL_PARAM_END };

	return selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY ? NULL : params;
}

static const char *ec_operation(int operation)
{
	return operation == OSSL_OP_SIGNATURE ? "ECDSA" : operation == OSSL_OP_KEYEXCH ? "ECDH" : NULL;
}

#define FUNCTION(id, function)                                                                                         \
	{                                                                                                              \
		id, (void (*)(void))(function)                                                                         \
	}
#define KEY_FUNCTIONS(new, value_types)                                                                                \
	FUNCTION(OSSL_FUNC_KEYMGMT_NEW, new), FUNCTION(OSSL_FUNC_KEYMGMT_FREE, key_free),                              \
		FUNCTION(OSSL_FUNC_KEYMGMT_LOAD, key_load), FUNCTION(OSSL_FUNC_KEYMGMT_DUP, key_dup),                  \
		FUNCTION(OSSL_FUNC_KEYMGMT_HAS, key_has), FUNCTION(OSSL_FUNC_KEYMGMT_MATCH, key_match),                \
		FUNCTION(OSSL_FUNC_KEYMGMT_GET_PARAMS, key_get_params),                                                \
		FUNCTION(OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, key_gettable),                                             \
		FUNCTION(OSSL_FUNC_KEYMGMT_IMPORT, key_import), FUNCTION(OSSL_FUNC_KEYMGMT_IMPORT_TYPES, value_types), \
		FUNCTION(OSSL_FUNC_KEYMGMT_EXPORT, key_export), FUNCTION(OSSL_FUNC_KEYMGMT_EXPORT_TYPES, value_types)

static const OSSL_DISPATCH rsa_functions[] = { KEY_FUNCTIONS(rsa_new, rsa_types), { 0, NULL } };
static const OSSL_DISPATCH ec_functions[] = {
	KEY_FUNCTIONS(ec_new, point_types),
	FUNCTION(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, ec_operation),
	{ 0, NULL },
};
static const OSSL_DISPATCH ed25519_functions[] = { KEY_FUNCTIONS(ed25519_new, point_types), { 0, NULL } };
static const OSSL_DISPATCH ml_dsa_44_functions[] = { KEY_FUNCTIONS(ml_dsa_44_new, octets_types), { 0, NULL } };
static const OSSL_DISPATCH ml_dsa_65_functions[] = { KEY_FUNCTIONS(ml_dsa_65_new, octets_types), { 0, NULL } };
static const OSSL_DISPATCH ml_dsa_87_functions[] = { KEY_FUNCTIONS(ml_dsa_87_new, octets_types), { 0, NULL } };

const OSSL_ALGORITHM key_algorithms[] = {
	{ "RSA:rsaEncryption:1.2.840.113549.1.1.1", "provider=keystow", rsa_functions, "RSA keys in tokens" },
	{ "EC:id-ecPublicKey:1.2.840.10045.2.1", "provider=keystow", ec_functions, "EC keys in tokens" },
	{ "ED25519:1.3.101.112", "provider=keystow", ed25519_functions, "Ed25519 keys in tokens" },
	{ "ML-DSA-44:2.16.840.1.101.3.4.3.17", "provider=keystow", ml_dsa_44_functions, "ML-DSA-44 keys in tokens" },
	{ "ML-DSA-65:2.16.840.1.101.3.4.3.18", "provider=keystow", ml_dsa_65_functions, "ML-DSA-65 keys in tokens" },
	{ "ML-DSA-87:2.16.840.1.101.3.4.3.19", "provider=keystow", ml_dsa_87_functions, "ML-DSA-87 keys in tokens" },
	{ NULL, NULL, NULL, NULL },
};
