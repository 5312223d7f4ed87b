/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "context.h"
#include "hash.h"
#include "secret.h"

#include <openssl/crypto.h>

static void a_buffer_refuses_to_pass_its_ceiling_and_remembers(void **state)
{
	ks_auto(buffer) buffer = ks_buffer_new(4);

	(void)state;
	assert_int_equal(ks_buffer_put(buffer, "abc", 3), 0);
	assert_int_equal(ks_buffer_put(buffer, "de", 2), KS_ELIMIT);
	assert_int_equal(ks_buffer_put(buffer, "d", 1), KS_ELIMIT);
	assert_int_equal(buffer->size, 3);
	assert_string_equal(ks_buffer_string(buffer), "");
}

/* The second is FIPS 180-2's example B.2: 448 bits, whose padding needs a second block. */
static void a_hash_is_sha256_however_it_is_cut(void **state)
{
	static const char text[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
	static const unsigned char of_nothing[] = { 0xe3, 0xb0, 0xc4, 0x42 }, of_text[] = { 0x24, 0x8d, 0x6a, 0x61 };
	unsigned char whole[KS_SHA256], cut[KS_SHA256];
	struct ks_hash hash;

	(void)state;
	ks_sha256(whole, KS_NONE);
	assert_memory_equal(whole, of_nothing, sizeof(of_nothing));
	ks_sha256(whole, ks_bytes_of(text));
	assert_memory_equal(whole, of_text, sizeof(of_text));
	for (size_t at = 0; at <= sizeof(text) - 1; at++) {
		ks_hash_start(&hash);
		ks_hash_add(&hash, KS_BYTES(text, at));
		ks_hash_add(&hash, KS_BYTES(text + at, sizeof(text) - 1 - at));
		ks_hash_end(cut, &hash);
		assert_memory_equal(cut, whole, KS_SHA256);
	}
}

static void growing_an_array_keeps_and_zeroes(void **state)
{
	int *numbers = NULL;
	size_t capacity = 0;

	(void)state;
	assert_int_equal(ks_array_grow(&numbers, &capacity, 3, sizeof(*numbers)), 0);
	numbers[2] = 7;
	assert_int_equal(ks_array_grow(&numbers, &capacity, 1000, sizeof(*numbers)), 0);
	assert_int_equal(numbers[2], 7);
	assert_int_equal(numbers[999], 0);
	assert_int_equal(ks_array_grow(&numbers, &capacity, SIZE_MAX / 2, sizeof(*numbers)), KS_ENOMEM);
	free(numbers);
}

static void a_secret_lives_in_the_secure_heap_and_has_a_limit(void **state)
{
	struct ks_ctx *ctx = NULL;
	ks_auto(secret) secret = NULL;
	char filler[KS_SECRET_MAX] = { 'x' };

	(void)state;
	assert_int_equal(ks_ctx_new(&ctx, NULL), 0);
	assert_int_equal(ks_secret_new(&secret, ctx), 0);
	assert_true(CRYPTO_secure_allocated(ks_secret_bytes(secret)));
	assert_int_equal(ks_secret_append(secret, ctx, filler, sizeof(filler)), 0);
	assert_int_equal(ks_secret_append(secret, ctx, "y", 1), KS_ELIMIT);
	assert_int_equal(ks_secret_size(secret), KS_SECRET_MAX);
	assert_int_equal(ks_ctx_free(ctx), 0);
}

static void a_failure_is_wrapped_hinted_and_replaced(void **state)
{
	struct ks_ctx *ctx = NULL;
	int rc;

	(void)state;
	assert_int_equal(ks_ctx_new(&ctx, NULL), 0);
	rc = ks_hint(ctx, ks_fail(ctx, KS_EPIN, "the PIN is wrong"), "look");
	rc = ks_while(ctx, ks_hint(ctx, rc, "a later hint is not heard"), "opening %s", "x");
	assert_int_equal(rc, KS_EPIN);
	assert_string_equal(ks_ctx_text(ctx), "opening x: the PIN is wrong");
	assert_string_equal(ks_ctx_hint(ctx), "look");
	ks_fail(ctx, KS_EIO, "other");
	assert_string_equal(ks_ctx_hint(ctx), "");
	assert_int_equal(ks_ctx_free(ctx), 0);
}

static void rounds_are_refused_before_they_are_spent(void **state)
{
	struct ks_ctx *ctx = NULL;
	struct ks_settings settings = { .max_iterations = 1000 };

	(void)state;
	assert_int_equal(ks_ctx_new(&ctx, &settings), 0);
	assert_int_equal(ks_spend(ctx, 600, "a"), 0);
	assert_int_equal(ks_spend(ctx, 401, "b"), KS_ELIMIT);
	assert_int_equal(ks_spend(ctx, UINT64_MAX, "c"), KS_ELIMIT);
	assert_int_equal(ks_spend(ctx, 400, "d"), 0);
	assert_int_equal(ks_ctx_free(ctx), 0);
}

static void every_status_has_a_row_whose_exit_code_is_its_hundreds(void **state)
{
	(void)state;
	for (size_t n = 0; ks_status_nth(n); n++) {
		int status = ks_status_nth(n);

		assert_true(ks_status_exit(status) < 128);
		assert_int_equal(ks_status_exit(status), -status / 100);
		assert_true(strlen(ks_status_title(status)) > 5);
		assert_true(strlen(ks_status_advice(status)) > 10);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_buffer_refuses_to_pass_its_ceiling_and_remembers),
		cmocka_unit_test(a_hash_is_sha256_however_it_is_cut),
		cmocka_unit_test(growing_an_array_keeps_and_zeroes),
		cmocka_unit_test(a_secret_lives_in_the_secure_heap_and_has_a_limit),
		cmocka_unit_test(a_failure_is_wrapped_hinted_and_replaced),
		cmocka_unit_test(rounds_are_refused_before_they_are_spent),
		cmocka_unit_test(every_status_has_a_row_whose_exit_code_is_its_hundreds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
