/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "shares.h"

static struct ks_ctx *ctx;

static int setup(void **state)
{
	const struct ks_settings settings = { 0 };

	(void)state;
	return ks_ctx_new(&ctx, &settings);
}

static int teardown(void **state)
{
	(void)state;
	return ks_ctx_free(ctx);
}

static struct ks_secret *secret_of(const void *bytes, size_t size)
{
	struct ks_secret *secret = NULL;

	assert_int_equal(ks_secret_new(&secret, ctx), 0);
	assert_int_equal(ks_secret_append(secret, ctx, bytes, size), 0);
	return secret;
}

/* false where this build or this host has no libgfshare. */
static bool split(struct ks_secret **shares, const struct ks_secret *whole, unsigned count, unsigned threshold)
{
	int rc = ks_shares_split(shares, ctx, whole, count, threshold);

	if (rc == KS_EUNABLE)
		return false;
	assert_int_equal(rc, 0);
	return true;
}

static void free_all(struct ks_secret **shares, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		ks_secret_free(shares[i]);
}

/* Do the shares with those numbers give `whole`? */
static bool gives(struct ks_secret *const *shares, const unsigned char *numbers, unsigned count,
		  const struct ks_secret *whole)
{
	struct ks_secret *chosen[5];
	ks_auto(secret) joined = NULL;

	for (unsigned i = 0; i < count; i++)
		chosen[i] = shares[numbers[i] - 1];
	assert_int_equal(ks_shares_join(&joined, ctx, chosen, numbers, count), 0);
	return ks_secret_equal(joined, whole);
}

#define EACH(i, from) for (unsigned char i = (from); i <= 5; i++)

static void any_three_of_five_give_the_secret_and_no_two_do(void **state)
{
	ks_auto(secret) whole = secret_of("0123456789abcdefghijklmnopqrstuv", 32);
	struct ks_secret *shares[5] = { NULL };

	(void)state;
	if (!split(shares, whole, 5, 3))
		skip();
	EACH(a, 1) EACH(b, a + 1)
	{
		assert_false(gives(shares, (unsigned char[]){ a, b }, 2, whole));
		EACH(c, b + 1) assert_true(gives(shares, (unsigned char[]){ c, a, b }, 3, whole));
	}
	assert_true(gives(shares, (unsigned char[]){ 1, 2, 3, 4, 5 }, 5, whole));
	free_all(shares, 5);
}

/* With two shares of three in hand, each possible secret has exactly one third share that leads to it: nothing is known. */
static void two_shares_fit_every_secret_equally_well(void **state)
{
	ks_auto(secret) whole = secret_of("k", 1);
	struct ks_secret *shares[5] = { NULL };

	(void)state;
	if (!split(shares, whole, 5, 3))
		skip();
	EACH(a, 1) EACH(b, a + 1)
	{
		const unsigned char third = a > 1 ? 1 : b == 2 ? 3 : 2, numbers[3] = { a, b, third };
		unsigned seen[256] = { 0 };

		for (unsigned value = 0; value < 256; value++) {
			const unsigned char byte = (unsigned char)value;
			ks_auto(secret) guess = secret_of(&byte, 1);
			ks_auto(secret) joined = NULL;
			struct ks_secret *chosen[3] = { shares[a - 1], shares[b - 1], guess };

			assert_int_equal(ks_shares_join(&joined, ctx, chosen, numbers, 3), 0);
			seen[(unsigned char)ks_secret_bytes(joined)[0]]++;
		}
		for (unsigned value = 0; value < 256; value++)
			assert_int_equal(seen[value], 1);
	}
	free_all(shares, 5);
}

static void the_same_secret_is_split_differently_each_time(void **state)
{
	ks_auto(secret) whole = secret_of("0123456789abcdef", 16);
	struct ks_secret *once[3] = { NULL }, *twice[3] = { NULL };

	(void)state;
	if (!split(once, whole, 3, 2) || !split(twice, whole, 3, 2))
		skip();
	for (unsigned i = 0; i < 3; i++) {
		assert_false(ks_secret_equal(once[i], twice[i]));
		assert_false(ks_secret_equal(once[i], whole));
	}
	free_all(once, 3);
	free_all(twice, 3);
}

static void numbers_that_cannot_be_are_refused(void **state)
{
	ks_auto(secret) whole = secret_of("0123456789abcdef", 16);
	struct ks_secret *shares[2] = { NULL };
	int rc = ks_shares_split(shares, ctx, whole, 2, 3);

	(void)state;
	if (rc == KS_EUNABLE)
		skip();
	assert_int_equal(rc, KS_EUSAGE);
	assert_int_equal(ks_shares_split(shares, ctx, whole, 2, 1), KS_EUSAGE);
	assert_int_equal(ks_shares_split(shares, ctx, whole, KS_SHARES_MOST + 1, 3), KS_EUSAGE);
	assert_null(shares[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_three_of_five_give_the_secret_and_no_two_do),
		cmocka_unit_test(two_shares_fit_every_secret_equally_well),
		cmocka_unit_test(the_same_secret_is_split_differently_each_time),
		cmocka_unit_test(numbers_that_cannot_be_are_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
