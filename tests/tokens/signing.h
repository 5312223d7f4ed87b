/* SPDX-License-Identifier: Apache-2.0 */
/* A key in a token, its software public key beside it, and signatures that the latter checks. */
#ifndef KS_TEST_SIGNING_H
#define KS_TEST_SIGNING_H

#include "softhsm.h"

#include <openssl/err.h>
#include <openssl/evp.h>

#include <pthread.h>

struct pair {
	EVP_PKEY *key; /* the token's */
	EVP_PKEY *plain; /* OpenSSL's own, from the SubjectPublicKeyInfo */
	const char *digest; /* NULL: the kind of key has none */
};

static inline void pair_of(struct pair *out, struct ks_item *item)
{
	const unsigned char *at = item->spki.data;

	works(ks_item_pkey(&out->key, item, ctx));
	out->plain = d2i_PUBKEY(NULL, &at, (long)item->spki.size);
	assert_non_null(out->plain);
	out->digest = EVP_PKEY_is_a(out->plain, "ED25519") ? NULL : "SHA256";
}

static inline void pair_free(struct pair *pair)
{
	EVP_PKEY_free(pair->key);
	EVP_PKEY_free(pair->plain);
}

/* Makes a key and leaves it on the token. */
static inline void key_left(const char *kind, const char *label)
{
	struct ks_generate wish = { .label = ks_bytes_of(label) };
	ks_auto(where) where = where_of("pkcs11:token=KS");
	struct ks_store *store = NULL;
	struct ks_item *key = NULL;

	works(ks_store_open(&store, ctx, where, KS_WRITE | KS_LOGIN));
	works(ks_keyspec_parse(&wish.spec, ctx, kind));
	if (wish.spec.type == KS_KEY_RSA)
		wish.uses = KS_USE_SIGN | KS_USE_DECRYPT;
	works(ks_store_generate(&key, store, &wish));
	ks_store_close(store);
}

/* The key with that label, as a new process finds it. */
static inline void key_found(struct pair *out, const char *label)
{
	ks_auto(where) where = where_of("pkcs11:token=KS");
	struct ks_store *store = NULL;
	struct ks_item *found = NULL;

	works(ks_store_open(&store, ctx, where, KS_LOGIN));
	for (size_t i = 0; i < ks_set_count(store->items); i++) {
		struct ks_item *item = ks_set_at(store->items, i);

		if (item->kind == KS_PRIVATE_KEY && ks_bytes_are(item->label, label))
			found = item;
	}
	assert_non_null(found);
	pair_of(out, found);
	ks_store_close(store);
}

/* One signature over `n`, made by the token and checked by OpenSSL's own key. */
static inline bool signs(const struct pair *pair, int n)
{
	EVP_MD_CTX *sign = EVP_MD_CTX_new(), *verify = EVP_MD_CTX_new();
	unsigned char signature[1024];
	const unsigned char *text = (const unsigned char *)&n;
	size_t size = sizeof(signature);
	bool good = EVP_DigestSignInit_ex(sign, NULL, pair->digest, NULL, NULL, pair->key, NULL) > 0 &&
		    EVP_DigestSign(sign, signature, &size, text, sizeof(n)) > 0 &&
		    EVP_DigestVerifyInit_ex(verify, NULL, pair->digest, NULL, NULL, pair->plain, NULL) > 0 &&
		    EVP_DigestVerify(verify, signature, size, text, sizeof(n)) == 1;

	EVP_MD_CTX_free(sign);
	EVP_MD_CTX_free(verify);
	return good;
}

/* The status of the failure that stands in OpenSSL's queue; 0 = none of ours. */
static inline int status_raised(void)
{
	ks_fail_openssl(ctx, KS_EBUG, "%s", "");
	return ks_ctx_status(ctx) == KS_EBUG ? 0 : ks_ctx_status(ctx);
}

struct work {
	pthread_t thread;
	const struct pair *pair;
	int times, good;
};

static void *work_do(void *argument)
{
	struct work *work = argument;

	for (int i = 0; i < work->times; i++)
		work->good += signs(work->pair, i);
	return NULL;
}

/* How many signatures of so many threads were good. */
static inline int signed_by_threads(const struct pair *pair, int threads, int times)
{
	struct work works_[64] = { 0 };
	int good = 0;

	assert_true(threads <= 64);
	for (int i = 0; i < threads; i++) {
		works_[i] = (struct work){ .pair = pair, .times = times };
		assert_int_equal(pthread_create(&works_[i].thread, NULL, work_do, &works_[i]), 0);
	}
	for (int i = 0; i < threads; i++) {
		pthread_join(works_[i].thread, NULL);
		good += works_[i].good;
	}
	return good;
}

#endif
