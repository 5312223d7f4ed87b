/* SPDX-License-Identifier: Apache-2.0 */
/* One key on 32 threads; ./check runs this under ThreadSanitizer as well. */
#include "signing.h"

#define THREADS 32
#define TIMES 40

static void thirty_two_threads_sign_with_one_key(void **state)
{
	static const char *const kinds[] = { "rsa:2048", "p256", "ed25519" };

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		key_left(kinds[i], kinds[i]);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct pair pair;

		key_found(&pair, kinds[i]);
		assert_int_equal(signed_by_threads(&pair, THREADS, TIMES), THREADS * TIMES);
		pair_free(&pair);
	}
}

/* Counts sessions from the token's point of view: balky's log. */
static void threads_take_turns_with_sixteen_sessions(void **state)
{
	char command[160];
	struct pair pair;

	(void)state;
	key_left("p256", "busy");
	again_with("");
	key_found(&pair, "busy");
	assert_int_equal(signed_by_threads(&pair, THREADS, TIMES), THREADS * TIMES);
	pair_free(&pair);
	snprintf(command, sizeof(command), "test $(grep -c '^> .* C_OpenSession ' '%s/log') -le 16", folder);
	assert_int_equal(system(command), 0);
}

static void a_key_is_given_back_on_another_thread_than_its_own(void **state)
{
	struct pair pair;
	struct work work = { .times = 1 };

	(void)state;
	key_left("p256", "passed on");
	key_found(&pair, "passed on");
	work.pair = &pair;
	for (int i = 0; i < THREADS; i++) {
		EVP_PKEY *copy = EVP_PKEY_dup(pair.key);

		assert_non_null(copy);
		EVP_PKEY_free(pair.key);
		pair.key = copy;
		work.good = 0;
		assert_int_equal(pthread_create(&work.thread, NULL, work_do, &work), 0);
		pthread_join(work.thread, NULL);
		assert_int_equal(work.good, 1);
	}
	pair_free(&pair);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(thirty_two_threads_sign_with_one_key),
		TEST(threads_take_turns_with_sixteen_sessions),
		TEST(a_key_is_given_back_on_another_thread_than_its_own),
	};

	if (softhsm_absent()) {
		printf("1..0 # SKIP softhsm2 is not installed\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
