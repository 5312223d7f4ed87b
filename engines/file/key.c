/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys in files become PKCS#8 in secret memory, or an EVP_PKEY, only when somebody asks for them.
 */
#include "key.h"

#include "der.h"
#include "protect.h"
#include "secret.h"
#include "text.h"

#include <openssl/decoder.h>
#include <openssl/err.h>

/* Private keys of 16,384 bits need less; what is larger is not a key. */
#define LARGEST_KEY 32768

KS_FREES_SSL(PKCS8_PRIV_KEY_INFO)

/*
 * Which algorithm a PrivateKeyInfo names (RFC 5958 2: version, AlgorithmIdentifier, key); absent for the forms from
 * before PKCS#8.
 */
static struct ks_bytes key_algorithm(struct ks_bytes clear)
{
	struct ks_der whole, version, algorithm, oid;
	struct ks_bytes rest;

	if (ks_der_only(&whole, clear, KS_DER_SEQUENCE) < 0)
		return KS_NONE;
	rest = whole.content;
	if (ks_der_expect(&version, &rest, KS_DER_INTEGER) < 0 || ks_der_expect(&algorithm, &rest, KS_DER_SEQUENCE) < 0)
		return KS_NONE;
	rest = algorithm.content;
	return ks_der_expect(&oid, &rest, KS_DER_OID) < 0 ? KS_NONE : oid.content;
}

/* Does this libcrypto know that kind of key at all? */
static bool key_known(struct ks_ctx *ctx, struct ks_bytes oid)
{
	char name[80];
	EVP_KEYMGMT *kind = EVP_KEYMGMT_fetch(ks_crypto(ctx), ks_oid_dotted(name, oid), NULL);
	bool known = kind != NULL;

	EVP_KEYMGMT_free(kind);
	ERR_clear_error();
	return known;
}

static int decode_key(EVP_PKEY **out, struct ks_ctx *ctx, struct ks_bytes der)
{
	struct ks_bytes algorithm = key_algorithm(der);
	OSSL_DECODER_CTX *decoder;
	ks_auto_ssl(EVP_PKEY) key = NULL;
	const unsigned char *at = der.data;
	size_t left = der.size;
	char name[80];
	int decoded;

	if (algorithm.data && !key_known(ctx, algorithm))
		return ks_fail(ctx, KS_EALGORITHM, "a private key is of a kind that OpenSSL does not know: %s",
			       ks_oid_name(name, algorithm));
	decoder = OSSL_DECODER_CTX_new_for_pkey(&key, "DER", NULL, NULL, EVP_PKEY_KEYPAIR, ks_crypto(ctx), NULL);
	if (!decoder)
		return ks_nomem(ctx);
	decoded = OSSL_DECODER_from_data(decoder, &at, &left);
	OSSL_DECODER_CTX_free(decoder);
	if (!decoded || !key)
		return ks_fail_openssl(ctx, KS_EDAMAGED, "a private key cannot be decoded");
	if (left)
		return ks_fail(ctx, KS_EDAMAGED, "a private key has %zu bytes behind its end", left);
	*out = ks_take(key);
	return 0;
}

/* Do the halves of the key belong together? Keys without a check of their own (none in use) pass. */
static int check_halves(struct ks_ctx *ctx, EVP_PKEY *key)
{
	EVP_PKEY_CTX *check = EVP_PKEY_CTX_new_from_pkey(ks_crypto(ctx), key, NULL);
	int held = check ? EVP_PKEY_pairwise_check(check) : 0;

	EVP_PKEY_CTX_free(check);
	if (held == 1 || held == -2) {
		ERR_clear_error();
		return 0;
	}
	return ks_hint(ctx, ks_fail_openssl(ctx, KS_EDAMAGED, "the halves of a private key do not belong together"),
		       "the key was altered; take it from another copy");
}

int ks_clear_key_pkey(EVP_PKEY **out, struct ks_ctx *ctx, struct ks_bytes der)
{
	ks_auto_ssl(EVP_PKEY) key = NULL;
	int rc = decode_key(&key, ctx, der);

	if (rc == 0)
		rc = check_halves(ctx, key);
	if (rc < 0)
		return rc;
	*out = ks_take(key);
	return 0;
}

int ks_key_pkcs8(struct ks_buffer **out, struct ks_ctx *ctx, const EVP_PKEY *key)
{
	ks_auto_ssl(PKCS8_PRIV_KEY_INFO) info = EVP_PKEY2PKCS8(key);
	int size = info ? i2d_PKCS8_PRIV_KEY_INFO(info, NULL) : -1;
	ks_auto(buffer) clear = size > 0 && size <= LARGEST_KEY ? ks_buffer_new_secret((size_t)size) : NULL;
	unsigned char *room = clear ? ks_buffer_room(clear, (size_t)size) : NULL;

	if (!room || i2d_PKCS8_PRIV_KEY_INFO(info, &room) != size)
		return ks_fail_openssl(ctx, KS_EALGORITHM, "a private key cannot be written as PKCS#8");
	clear->size = (size_t)size;
	*out = ks_take(clear);
	return 0;
}

int ks_key_clear(struct ks_buffer **out, struct ks_ctx *ctx, struct ks_bytes der)
{
	ks_auto_ssl(EVP_PKEY) key = NULL;
	int rc = ks_clear_key_pkey(&key, ctx, der);

	return rc < 0 ? rc : ks_key_pkcs8(out, ctx, key);
}

int ks_secret_key_parts(struct ks_bytes *oid, struct ks_bytes *key, struct ks_bytes clear)
{
	struct ks_der whole, version, algorithm, octets, name;
	struct ks_bytes rest;

	if (ks_der_only(&whole, clear, KS_DER_SEQUENCE) < 0)
		return KS_EDAMAGED;
	rest = whole.content;
	if (ks_der_expect(&version, &rest, KS_DER_INTEGER) < 0 || ks_der_expect(&algorithm, &rest, KS_DER_SEQUENCE) < 0 ||
	    ks_der_expect(&octets, &rest, KS_DER_OCTETS) < 0)
		return KS_EDAMAGED;
	rest = algorithm.content;
	if (ks_der_expect(&name, &rest, KS_DER_OID) < 0)
		return KS_EDAMAGED;
	*oid = name.content;
	*key = octets.content;
	return 0;
}

typedef int opener(struct ks_buffer **out, struct ks_item *item, struct ks_ctx *ctx, const struct ks_secret *secret);

static int ask_and_open(struct ks_buffer **out, struct ks_item *item, struct ks_ctx *ctx, opener *open,
			const char *named)
{
	ks_auto_mem char *label = item->label.data ? ks_text_show(item->label) : NULL;
	struct ks_question question = { .ask = KS_ASK_KEY_PASSWORD, .store = named, .label = label, .tries_left = -1 };
	ks_auto(secret) secret = NULL;
	int rc = ks_secret_new(&secret, ctx);

	if (rc == 0)
		rc = ks_ask(ctx, &question, secret);
	if (rc == 0)
		rc = open(out, item, ctx, secret);
	if (rc == 0 && !ks_set_secret(item->set))
		ks_set_keep_secret(item->set, secret);
	return rc;
}

int ks_key_unseal(struct ks_buffer **out, struct ks_item *item, struct ks_ctx *ctx, opener *open)
{
	ks_auto_mem char *named = ks_item_named(item);
	struct ks_secret *known = ks_set_secret(item->set);
	int rc = KS_EPASSWORD;

	if (!named)
		return ks_nomem(ctx);
	if (known)
		rc = open(out, item, ctx, known);
	if (rc == KS_EPASSWORD && (!known || ks_settings(ctx)->hooks.ask))
		rc = ask_and_open(out, item, ctx, open, named);
	if (rc == KS_ENOSECRET && known)
		rc = ks_fail(ctx, KS_EPASSWORD, "the password of the store does not open it, and no other was given");
	return ks_while(ctx, rc, "%s", named);
}

int ks_key_pkey_from(EVP_PKEY **out, struct ks_item *item, struct ks_ctx *ctx,
		     int (*pkcs8)(struct ks_buffer **out, struct ks_item *item, struct ks_ctx *ctx))
{
	ks_auto(buffer) clear = NULL;
	ks_auto_mem char *named = NULL;
	int rc;

	if (item->kind != KS_PRIVATE_KEY)
		return ks_fail(ctx, KS_EUNABLE, "a %s is not a private key", ks_kind_name(item->kind));
	rc = pkcs8(&clear, item, ctx);
	if (rc < 0)
		return rc;
	named = ks_item_named(item);
	return ks_while(ctx, ks_clear_key_pkey(out, ctx, ks_buffer_bytes(clear)), "%s", named ? named : "the key");
}

/* ---- how items answer ---- */

static int clear_pkey(EVP_PKEY **out, struct ks_item *item, struct ks_ctx *ctx)
{
	return ks_clear_key_pkey(out, ctx, item->der);
}

static int clear_pkcs8(struct ks_buffer **out, struct ks_item *item, struct ks_ctx *ctx)
{
	return ks_key_clear(out, ctx, item->der);
}

static int open_sealed(struct ks_buffer **out, struct ks_item *item, struct ks_ctx *ctx, const struct ks_secret *secret)
{
	ks_auto(buffer) opened = NULL;
	int rc = ks_sealed_key_open(&opened, ctx, item->der, secret, NULL);

	return rc < 0 ? rc : ks_key_clear(out, ctx, ks_buffer_bytes(opened));
}

static int sealed_pkcs8(struct ks_buffer **out, struct ks_item *item, struct ks_ctx *ctx)
{
	return ks_key_unseal(out, item, ctx, open_sealed);
}

static int sealed_pkey(EVP_PKEY **out, struct ks_item *item, struct ks_ctx *ctx)
{
	ks_auto(buffer) clear = NULL;
	int rc = sealed_pkcs8(&clear, item, ctx);

	return rc < 0 ? rc : decode_key(out, ctx, ks_buffer_bytes(clear));
}

static const struct ks_item_from from_clear = { clear_pkey, clear_pkcs8 };
static const struct ks_item_from from_sealed = { sealed_pkey, sealed_pkcs8 };

void ks_key_tell(struct ks_item *item, const EVP_PKEY *key)
{
	unsigned char *spki = NULL;
	int size = i2d_PUBKEY(key, &spki);

	if (size > 0) {
		item->spki = ks_set_bytes(item->set, spki, (size_t)size);
		item->key = ks_keyspec_of_spki(item->spki);
	}
	OPENSSL_free(spki);
}

/* The public half of a clear key tells what kind it is; a key that cannot be decoded stays listed, with a problem. */
static void look_inside(struct ks_item *item)
{
	struct ks_ctx *ctx = ks_set_ctx(item->set);
	ks_auto_ssl(EVP_PKEY) key = NULL;

	if (decode_key(&key, ctx, item->der) < 0) {
		item->flags |= KS_UNDECODED;
		ks_set_problem(item->set, ks_ctx_status(ctx), NULL, "%s", ks_ctx_text(ctx));
		ks_forgive(ctx);
		return;
	}
	ks_key_tell(item, key);
}

void ks_key_item(struct ks_item *item, enum ks_shape shape)
{
	if (shape == KS_SHAPE_SEALED_PKCS8) {
		item->flags |= KS_SEALED;
		item->from = &from_sealed;
		return;
	}
	item->from = &from_clear;
	look_inside(item);
}
