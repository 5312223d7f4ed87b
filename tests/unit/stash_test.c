/* SPDX-License-Identifier: Apache-2.0 */
/* Stashes of both kinds, made by a program that is not ours (tests/data/make-kdb.py) and by us. */
#include "test.h"

#include "file/stash.h"
#include "secret.h"

#include <stdio.h>

static struct ks_ctx *ctx;

static int start(void **state)
{
	(void)state;
	return ks_ctx_new(&ctx, NULL);
}

static int end(void **state)
{
	(void)state;
	return ks_ctx_free(ctx);
}

static struct ks_secret *secret_of(const char *text, size_t size)
{
	struct ks_secret *secret = NULL;

	assert_int_equal(ks_secret_new(&secret, ctx), 0);
	assert_int_equal(ks_secret_append(secret, ctx, text, size), 0);
	return secret;
}

static size_t sample(unsigned char out[512], const char *name)
{
	char path[4096];
	FILE *file;
	size_t size;

	snprintf(path, sizeof(path), "%s/tests/data/kdb-stash-%s.sth", getenv("KEYSTOW_SOURCE"), name);
	file = fopen(path, "rb");
	assert_non_null(file);
	size = fread(out, 1, 512, file);
	fclose(file);
	return size;
}

static int open_bytes(struct ks_secret **out, const unsigned char *stash, size_t size)
{
	assert_int_equal(ks_secret_new(out, ctx), 0);
	return ks_stash_open(*out, ctx, KS_BYTES(stash, size));
}

static void both_kinds_give_the_password(void **state)
{
	static const char *const kinds[] = { "of-the-first-kind", "of-the-second-kind" };
	unsigned char stash[512];

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		ks_auto(secret) password = NULL;
		size_t size = sample(stash, kinds[i]);

		assert_true(ks_stash_shaped(KS_BYTES(stash, size)));
		assert_int_equal(open_bytes(&password, stash, size), 0);
		assert_string_equal(ks_secret_bytes(password), "sample");
	}
}

static void what_is_no_stash_or_was_changed_is_refused(void **state)
{
	ks_auto(secret) none = NULL;
	ks_auto(secret) changed = NULL;
	ks_auto(secret) endless = NULL;
	unsigned char stash[512];
	size_t size;

	(void)state;
	assert_int_equal(open_bytes(&none, (const unsigned char *)"", 0), KS_EFORMAT);
	size = sample(stash, "of-the-second-kind");
	stash[3] ^= 1;
	assert_false(ks_stash_shaped(KS_BYTES(stash, size)));
	assert_int_equal(open_bytes(&changed, stash, size), KS_EDAMAGED);
	assert_int_equal(ks_secret_size(changed), 0);
	size = sample(stash, "without-end");
	assert_int_equal(open_bytes(&endless, stash, size), KS_EDAMAGED);
}

static void a_stash_that_we_make_opens_and_is_another_one_each_time(void **state)
{
	unsigned char one[KS_STASH_2], two[KS_STASH_2];
	char longest[KS_STASH_LONGEST + 1];

	(void)state;
	memset(longest, 'x', sizeof(longest));
	for (size_t size = 0; size <= KS_STASH_LONGEST; size += 32) {
		ks_auto(secret) password = secret_of(longest, size);
		ks_auto(secret) back = NULL;

		assert_int_equal(ks_stash_make(one, ctx, password), 0);
		assert_int_equal(ks_stash_make(two, ctx, password), 0);
		assert_memory_not_equal(one, two, KS_STASH_2);
		assert_true(ks_stash_shaped(KS_BYTES(one, KS_STASH_2)));
		assert_int_equal(open_bytes(&back, one, KS_STASH_2), 0);
		assert_true(ks_secret_equal(back, password));
	}
}

static void a_password_that_a_stash_would_cut_is_refused(void **state)
{
	char longest[KS_STASH_LONGEST + 1];
	unsigned char stash[KS_STASH_2];
	ks_auto(secret) too_long = NULL;
	ks_auto(secret) with_nul = secret_of("a\0b", 3);

	(void)state;
	memset(longest, 'x', sizeof(longest));
	too_long = secret_of(longest, sizeof(longest));
	assert_int_equal(ks_stash_make(stash, ctx, too_long), KS_ELOSSY);
	assert_int_equal(ks_stash_make(stash, ctx, with_nul), KS_ELOSSY);
}

static void a_stash_has_the_name_of_its_store(void **state)
{
	static const char *const names[][2] = {
		{ "key.kdb", "key.sth" },       { "/a.b/key.kdb", "/a.b/key.sth" },
		{ "/a.b/key", "/a.b/key.sth" }, { "key.rdb", "key.sth" },
		{ ".kdb", ".kdb.sth" },         { "a.b.kdb", "a.b.sth" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		ks_auto_mem char *beside = ks_stash_beside(names[i][0]);

		assert_string_equal(beside, names[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_kinds_give_the_password),
		cmocka_unit_test(what_is_no_stash_or_was_changed_is_refused),
		cmocka_unit_test(a_stash_that_we_make_opens_and_is_another_one_each_time),
		cmocka_unit_test(a_password_that_a_stash_would_cut_is_refused),
		cmocka_unit_test(a_stash_has_the_name_of_its_store),
	};

	return cmocka_run_group_tests(tests, start, end);
}
