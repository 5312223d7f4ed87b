/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every operation is handed to the key inside: the same EVP call once more, in libkeystow's own library context.
 *
 * So whatever libkeystow's keys learn is learnt here too, parameters pass through as they are, and nothing of PKCS#11 stands in this
 * room. docs/decisions tells why the tables of functions are not shared instead.
 */
#include "operation.h"

#include "told.h"

#include <openssl/core_names.h>
#include <openssl/params.h>

#include <stdlib.h>

struct operation {
	struct holder holder;
	EVP_PKEY_CTX *ctx; /* of a digest's operation it belongs to `digest` */
	EVP_MD_CTX *digest;
};

/* ---- life ---- */

static void stop(struct operation *operation)
{
	if (operation->digest)
		EVP_MD_CTX_free(operation->digest);
	else
		EVP_PKEY_CTX_free(operation->ctx);
	operation->digest = NULL;
	operation->ctx = NULL;
}

static void empty(struct holder *holder)
{
	stop((struct operation *)holder); /* its first member */
}

static void *operation_new(void *provider)
{
	struct operation *operation = calloc(1, sizeof(*operation));

	if (operation)
		holder_add(&operation->holder, provider, empty);
	return operation;
}

static void *signature_new(void *provider, const char *properties)
{
	(void)properties;
	return operation_new(provider);
}

static void operation_free(void *state)
{
	struct operation *operation = state;

	if (!operation)
		return;
	holder_remove(&operation->holder);
	stop(operation);
	free(operation);
}

static void *operation_dup(void *state)
{
	const struct operation *operation = state;
	struct operation *copy = operation_new(operation->holder.instance);
	bool ok = copy;

	if (ok && operation->digest) {
		copy->digest = EVP_MD_CTX_new();
		ok = copy->digest && EVP_MD_CTX_copy_ex(copy->digest, operation->digest) > 0;
		if (ok)
			copy->ctx = EVP_MD_CTX_get_pkey_ctx(copy->digest);
	} else if (ok && operation->ctx) {
		copy->ctx = EVP_PKEY_CTX_dup(operation->ctx);
		ok = copy->ctx;
	}
	if (ok)
		return copy;
	operation_free(copy);
	return NULL;
}

/* ---- parameters ---- */

static int set_params(void *state, const OSSL_PARAM params[])
{
	const struct operation *operation = state;

	return !params || !params[0].key || (operation->ctx && EVP_PKEY_CTX_set_params(operation->ctx, params) > 0);
}

static int get_params(void *state, OSSL_PARAM params[])
{
	const struct operation *operation = state;

	return operation->ctx && EVP_PKEY_CTX_get_params(operation->ctx, params) > 0;
}

static const OSSL_PARAM *signature_settable(void *state, void *provider)
{
	static const OSSL_PARAM params[] = {
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_DIGEST, NULL, 0),
		OSSL_PARAM_END,
	};

	(void)state;
	(void)provider;
	return params;
}

static const OSSL_PARAM *signature_gettable(void *state, void *provider)
{
	static const OSSL_PARAM params[] = {
		OSSL_PARAM_octet_string(OSSL_SIGNATURE_PARAM_ALGORITHM_ID, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_DIGEST, NULL, 0),
		OSSL_PARAM_END,
	};

	(void)state;
	(void)provider;
	return params;
}

static const OSSL_PARAM *cipher_settable(void *state, void *provider)
{
	static const OSSL_PARAM params[] = {
		OSSL_PARAM_utf8_string(OSSL_ASYM_CIPHER_PARAM_PAD_MODE, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_ASYM_CIPHER_PARAM_OAEP_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_ASYM_CIPHER_PARAM_MGF1_DIGEST, NULL, 0),
		OSSL_PARAM_octet_string(OSSL_ASYM_CIPHER_PARAM_OAEP_LABEL, NULL, 0),
		OSSL_PARAM_END,
	};

	(void)state;
	(void)provider;
	return params;
}

static const OSSL_PARAM *cipher_gettable(void *state, void *provider)
{
	static const OSSL_PARAM params[] = { OSSL_PARAM_utf8_string(OSSL_ASYM_CIPHER_PARAM_PAD_MODE, NULL, 0),
					     OSSL_PARAM_END };

	(void)state;
	(void)provider;
	return params;
}

static const OSSL_PARAM *exchange_settable(void *state, void *provider)
{
	static const OSSL_PARAM params[] = {
		OSSL_PARAM_int(OSSL_EXCHANGE_PARAM_EC_ECDH_COFACTOR_MODE, NULL),
		OSSL_PARAM_utf8_string(OSSL_EXCHANGE_PARAM_KDF_TYPE, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_EXCHANGE_PARAM_KDF_DIGEST, NULL, 0),
		OSSL_PARAM_size_t(OSSL_EXCHANGE_PARAM_KDF_OUTLEN, NULL),
		OSSL_PARAM_octet_string(OSSL_EXCHANGE_PARAM_KDF_UKM, NULL, 0),
		OSSL_PARAM_END,
	};

	(void)state;
	(void)provider;
	return params;
}

/* ---- starting ---- */

typedef int start_function(EVP_PKEY_CTX *ctx, const OSSL_PARAM params[]);

/* Inside instance_enter. `key` NULL: the same key again, with other parameters. */
static bool start(struct operation *operation, const struct key *key, const OSSL_PARAM params[], start_function *how)
{
	OSSL_LIB_CTX *crypto = key ? key_crypto(operation->holder.instance) : NULL;

	if (key) {
		stop(operation);
		if (!key->inner || !crypto)
			return false;
		operation->ctx = EVP_PKEY_CTX_new_from_pkey(crypto, key->inner, KEY_PROPERTIES);
	}
	return operation->ctx && how(operation->ctx, params) > 0;
}

static int start_as(void *state, void *keydata, const OSSL_PARAM params[], start_function *how)
{
	struct operation *operation = state;
	bool ok;

	if (!instance_enter(operation->holder.instance))
		return 0;
	told_begin();
	ok = start(operation, keydata, params, how);
	told_end(operation->holder.instance, ok);
	instance_leave(operation->holder.instance);
	return ok;
}

static int sign_init(void *state, void *keydata, const OSSL_PARAM params[])
{
	return start_as(state, keydata, params, EVP_PKEY_sign_init_ex);
}

static int verify_init(void *state, void *keydata, const OSSL_PARAM params[])
{
	return start_as(state, keydata, params, EVP_PKEY_verify_init_ex);
}

static int decrypt_init(void *state, void *keydata, const OSSL_PARAM params[])
{
	return start_as(state, keydata, params, EVP_PKEY_decrypt_init_ex);
}

static int encrypt_init(void *state, void *keydata, const OSSL_PARAM params[])
{
	return start_as(state, keydata, params, EVP_PKEY_encrypt_init_ex);
}

static int derive_init(void *state, void *keydata, const OSSL_PARAM params[])
{
	return start_as(state, keydata, params, EVP_PKEY_derive_init_ex);
}

static bool digest_start(struct operation *operation, const char *name, const struct key *key, const OSSL_PARAM params[],
			 bool sign)
{
	OSSL_LIB_CTX *crypto = key_crypto(operation->holder.instance);
	EVP_PKEY_CTX *ctx = NULL;

	if (!key)
		return set_params(operation, params);
	stop(operation);
	if (!crypto || !key->inner || !(operation->digest = EVP_MD_CTX_new()))
		return false;
	if (name && !name[0])
		name = NULL;
	if ((sign ? EVP_DigestSignInit_ex(operation->digest, &ctx, name, crypto, KEY_PROPERTIES, key->inner, params) :
		    EVP_DigestVerifyInit_ex(operation->digest, &ctx, name, crypto, KEY_PROPERTIES, key->inner, params)) <= 0)
		return false;
	operation->ctx = ctx;
	return true;
}

static int digest_start_as(void *state, const char *name, void *keydata, const OSSL_PARAM params[], bool sign)
{
	struct operation *operation = state;
	bool ok;

	if (!instance_enter(operation->holder.instance))
		return 0;
	told_begin();
	ok = digest_start(operation, name, keydata, params, sign);
	told_end(operation->holder.instance, ok);
	instance_leave(operation->holder.instance);
	return ok;
}

static int digest_sign_init(void *state, const char *name, void *keydata, const OSSL_PARAM params[])
{
	return digest_start_as(state, name, keydata, params, true);
}

static int digest_verify_init(void *state, const char *name, void *keydata, const OSSL_PARAM params[])
{
	return digest_start_as(state, name, keydata, params, false);
}

/* ---- doing ---- */

/* Every act: inside, while the operation still has what it needs, and with its failure told. */
#define ACT(operation, has, act)                                                                                       \
	do {                                                                                                           \
		bool ok;                                                                                               \
                                                                                                                       \
		if (!instance_enter((operation)->holder.instance))                                                     \
			return 0;                                                                                      \
		told_begin();                                                                                          \
		ok = (has) && (act) > 0;                                                                               \
		told_end((operation)->holder.instance, ok);                                                            \
		instance_leave((operation)->holder.instance);                                                          \
		return ok;                                                                                             \
	} while (0)

static int sign(void *state, unsigned char *signature, size_t *size, size_t room, const unsigned char *hash,
		size_t hash_size)
{
	struct operation *operation = state;

	*size = room;
	ACT(operation, operation->ctx, EVP_PKEY_sign(operation->ctx, signature, size, hash, hash_size));
}

static int verify(void *state, const unsigned char *signature, size_t size, const unsigned char *hash, size_t hash_size)
{
	struct operation *operation = state;

	ACT(operation, operation->ctx, EVP_PKEY_verify(operation->ctx, signature, size, hash, hash_size));
}

static int digest_sign_update(void *state, const unsigned char *text, size_t size)
{
	struct operation *operation = state;

	ACT(operation, operation->digest, EVP_DigestSignUpdate(operation->digest, text, size));
}

static int digest_sign_final(void *state, unsigned char *signature, size_t *size, size_t room)
{
	struct operation *operation = state;

	*size = room;
	ACT(operation, operation->digest, EVP_DigestSignFinal(operation->digest, signature, size));
}

static int digest_sign(void *state, unsigned char *signature, size_t *size, size_t room, const unsigned char *text,
		       size_t text_size)
{
	struct operation *operation = state;

	*size = room;
	ACT(operation, operation->digest, EVP_DigestSign(operation->digest, signature, size, text, text_size));
}

static int digest_verify_update(void *state, const unsigned char *text, size_t size)
{
	struct operation *operation = state;

	ACT(operation, operation->digest, EVP_DigestVerifyUpdate(operation->digest, text, size));
}

static int digest_verify_final(void *state, const unsigned char *signature, size_t size)
{
	struct operation *operation = state;

	ACT(operation, operation->digest, EVP_DigestVerifyFinal(operation->digest, signature, size));
}

static int digest_verify(void *state, const unsigned char *signature, size_t size, const unsigned char *text,
			 size_t text_size)
{
	struct operation *operation = state;

	ACT(operation, operation->digest, EVP_DigestVerify(operation->digest, signature, size, text, text_size));
}

static int decrypt(void *state, unsigned char *out, size_t *size, size_t room, const unsigned char *in, size_t in_size)
{
	struct operation *operation = state;

	*size = room;
	ACT(operation, operation->ctx, EVP_PKEY_decrypt(operation->ctx, out, size, in, in_size));
}

static int encrypt(void *state, unsigned char *out, size_t *size, size_t room, const unsigned char *in, size_t in_size)
{
	struct operation *operation = state;

	*size = room;
	ACT(operation, operation->ctx, EVP_PKEY_encrypt(operation->ctx, out, size, in, in_size));
}

static int set_peer(void *state, void *peer)
{
	struct operation *operation = state;
	const struct key *key = peer;

	ACT(operation, operation->ctx && key->inner, EVP_PKEY_derive_set_peer(operation->ctx, key->inner));
}

static int derive(void *state, unsigned char *out, size_t *size, size_t room)
{
	struct operation *operation = state;

	*size = room;
	ACT(operation, operation->ctx, EVP_PKEY_derive(operation->ctx, out, size));
}

/* ---- the tables ---- */

#define FUNCTION(id, function)                                                                                         \
	{                                                                                                              \
		id, (void (*)(void))(function)                                                                         \
	}
#define SIGNATURE_FUNCTIONS                                                                                            \
	FUNCTION(OSSL_FUNC_SIGNATURE_NEWCTX, signature_new), FUNCTION(OSSL_FUNC_SIGNATURE_FREECTX, operation_free),    \
		FUNCTION(OSSL_FUNC_SIGNATURE_DUPCTX, operation_dup),                                                   \
		FUNCTION(OSSL_FUNC_SIGNATURE_GET_CTX_PARAMS, get_params),                                              \
		FUNCTION(OSSL_FUNC_SIGNATURE_GETTABLE_CTX_PARAMS, signature_gettable),                                 \
		FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, digest_sign_init),                                      \
		FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_INIT, digest_verify_init)

static const OSSL_DISPATCH signature_functions[] = {
	SIGNATURE_FUNCTIONS,
	FUNCTION(OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, set_params),
	FUNCTION(OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, signature_settable),
	FUNCTION(OSSL_FUNC_SIGNATURE_SIGN_INIT, sign_init),
	FUNCTION(OSSL_FUNC_SIGNATURE_SIGN, sign),
	FUNCTION(OSSL_FUNC_SIGNATURE_VERIFY_INIT, verify_init),
	FUNCTION(OSSL_FUNC_SIGNATURE_VERIFY, verify),
	FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_UPDATE, digest_sign_update),
	FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_FINAL, digest_sign_final),
	FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_UPDATE, digest_verify_update),
	FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_FINAL, digest_verify_final),
	{ 0, NULL },
};

/* Ed25519 and ML-DSA want their whole text at once. */
static const OSSL_DISPATCH whole_functions[] = {
	SIGNATURE_FUNCTIONS,
	FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN, digest_sign),
	FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_VERIFY, digest_verify),
	{ 0, NULL },
};

static const OSSL_DISPATCH cipher_functions[] = {
	FUNCTION(OSSL_FUNC_ASYM_CIPHER_NEWCTX, operation_new),
	FUNCTION(OSSL_FUNC_ASYM_CIPHER_FREECTX, operation_free),
	FUNCTION(OSSL_FUNC_ASYM_CIPHER_DUPCTX, operation_dup),
	FUNCTION(OSSL_FUNC_ASYM_CIPHER_DECRYPT_INIT, decrypt_init),
	FUNCTION(OSSL_FUNC_ASYM_CIPHER_DECRYPT, decrypt),
	FUNCTION(OSSL_FUNC_ASYM_CIPHER_ENCRYPT_INIT, encrypt_init),
	FUNCTION(OSSL_FUNC_ASYM_CIPHER_ENCRYPT, encrypt),
	FUNCTION(OSSL_FUNC_ASYM_CIPHER_GET_CTX_PARAMS, get_params),
	FUNCTION(OSSL_FUNC_ASYM_CIPHER_GETTABLE_CTX_PARAMS, cipher_gettable),
	FUNCTION(OSSL_FUNC_ASYM_CIPHER_SET_CTX_PARAMS, set_params),
	FUNCTION(OSSL_FUNC_ASYM_CIPHER_SETTABLE_CTX_PARAMS, cipher_settable),
	{ 0, NULL },
};

static const OSSL_DISPATCH exchange_functions[] = {
	FUNCTION(OSSL_FUNC_KEYEXCH_NEWCTX, operation_new),
	FUNCTION(OSSL_FUNC_KEYEXCH_FREECTX, operation_free),
	FUNCTION(OSSL_FUNC_KEYEXCH_DUPCTX, operation_dup),
	FUNCTION(OSSL_FUNC_KEYEXCH_INIT, derive_init),
	FUNCTION(OSSL_FUNC_KEYEXCH_SET_PEER, set_peer),
	FUNCTION(OSSL_FUNC_KEYEXCH_DERIVE, derive),
	FUNCTION(OSSL_FUNC_KEYEXCH_SET_CTX_PARAMS, set_params),
	FUNCTION(OSSL_FUNC_KEYEXCH_SETTABLE_CTX_PARAMS, exchange_settable),
	{ 0, NULL },
};

#define OURS "provider=keystow"

const OSSL_ALGORITHM operation_signatures[] = {
	{ "RSA:rsaEncryption:1.2.840.113549.1.1.1", OURS, signature_functions, "RSA in tokens" },
	{ "ECDSA", OURS, signature_functions, "ECDSA in tokens" },
	{ "ED25519:1.3.101.112", OURS, whole_functions, "Ed25519 in tokens" },
	{ "ML-DSA-44:2.16.840.1.101.3.4.3.17", OURS, whole_functions, "ML-DSA-44 in tokens" },
	{ "ML-DSA-65:2.16.840.1.101.3.4.3.18", OURS, whole_functions, "ML-DSA-65 in tokens" },
	{ "ML-DSA-87:2.16.840.1.101.3.4.3.19", OURS, whole_functions, "ML-DSA-87 in tokens" },
	{ NULL, NULL, NULL, NULL },
};

const OSSL_ALGORITHM operation_ciphers[] = {
	{ "RSA:rsaEncryption:1.2.840.113549.1.1.1", OURS, cipher_functions, "RSA decryption in tokens" },
	{ NULL, NULL, NULL, NULL },
};

const OSSL_ALGORITHM operation_exchanges[] = {
	{ "ECDH", OURS, exchange_functions, "ECDH in tokens" },
	{ NULL, NULL, NULL, NULL },
};
