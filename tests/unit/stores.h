/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of whole stores: a folder of their own, a person who answers, and items worth storing. */
#ifndef KS_TEST_STORES_H
#define KS_TEST_STORES_H

#include "history.h"
#include "keyspec.h"
#include "made.h"
#include "room.h"

#include "file/key.h"

#include <openssl/evp.h>

#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct bench {
	struct ks_ctx *ctx;
	char folder[64];
	char path[128];
	const char *answer;	/* what the person types; NULL = nobody is there */
	unsigned asked, asked_fresh;
};
static struct bench bench;

static int bench_answer(void *user, struct ks_ctx *ctx, const struct ks_question *question, struct ks_secret *into)
{
	(void)user;
	bench.asked++;
	bench.asked_fresh += question->fresh;
	if (!bench.answer)
		return ks_fail(ctx, KS_ENOSECRET, "nobody is there");
	return ks_secret_append(into, ctx, bench.answer, strlen(bench.answer));
}

/* A new context, as another run of the program would have. */
static inline struct ks_ctx *bench_context(void)
{
	const struct ks_settings settings = { .hooks = { .ask = bench_answer }, .wait_seconds = 60 };
	struct ks_ctx *ctx = NULL;

	assert_int_equal(ks_ctx_new(&ctx, &settings), 0);
	return ctx;
}

static inline int bench_start(void **state)
{
	(void)state;
	bench = (struct bench){ .answer = "secret" };
	bench.ctx = bench_context();
	snprintf(bench.folder, sizeof(bench.folder), "/tmp/keystow-store-XXXXXX");
	return mkdtemp(bench.folder) ? 0 : -1;
}

static inline int bench_finish(void **state)
{
	(void)state;
	remove_all(bench.folder);
	return ks_ctx_free(bench.ctx);
}

static inline const char *bench_path(const char *name)
{
	snprintf(bench.path, sizeof(bench.path), "%s/%s", bench.folder, name);
	return bench.path;
}

static inline struct ks_where *bench_where(const char *scheme, const char *name)
{
	struct ks_where *where = NULL;
	char address[200];

	snprintf(address, sizeof(address), "%s%s/%s", scheme, bench.folder, name);
	assert_int_equal(ks_where_parse(&where, bench.ctx, address), 0);
	return where;
}

/* ---- items ---- */

static inline struct ks_item *bench_certificate(struct ks_set *set, const char *subject, const char *label)
{
	struct ks_buffer *der = made_certificate(ks_set_ctx(set), &(struct made){ .subject = subject });
	struct ks_item *item = ks_set_add(set, KS_CERTIFICATE);

	assert_non_null(der);
	item->der = ks_buffer_bytes(der);
	assert_int_equal(ks_set_own(set, der), 0);
	if (label)
		item->label = ks_set_bytes(set, label, strlen(label));
	return item;
}

static inline struct ks_item *bench_key(struct ks_set *set, const char *label)
{
	struct ks_keyspec spec = { 0 };
	ks_auto_ssl(EVP_PKEY) key = NULL;
	struct ks_item *item = NULL;
	struct ks_buffer *der = NULL;

	assert_int_equal(ks_keyspec_parse(&spec, ks_set_ctx(set), "p256"), 0);
	assert_int_equal(ks_keyspec_make(&key, ks_set_ctx(set), &spec), 0);
	assert_int_equal(ks_key_pkcs8(&der, ks_set_ctx(set), key), 0);
	assert_int_equal(ks_set_own(set, der), 0);
	assert_int_equal(ks_shape_item(&item, set, KS_SHAPE_PKCS8, ks_buffer_bytes(der)), 0);
	if (label)
		item->label = ks_set_bytes(set, label, strlen(label));
	return item;
}

/* The certificate of a key in its set, signed by itself. */
static inline struct ks_item *bench_certificate_of(struct ks_item *key, const char *subject, const char *label)
{
	struct ks_set *set = key->set;
	struct ks_ctx *ctx = ks_set_ctx(set);
	ks_auto_ssl(EVP_PKEY) pair = NULL;
	struct ks_buffer *der;
	struct ks_item *item;

	assert_int_equal(ks_item_pkey(&pair, key, ctx), 0);
	der = made_certificate(ctx, &(struct made){ .subject = subject, .key = pair });
	item = ks_set_add(set, KS_CERTIFICATE);
	assert_non_null(der);
	item->der = ks_buffer_bytes(der);
	assert_int_equal(ks_set_own(set, der), 0);
	if (label)
		item->label = ks_set_bytes(set, label, strlen(label));
	return item;
}

#endif
