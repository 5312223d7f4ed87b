/* SPDX-License-Identifier: Apache-2.0 */
/* Keys whose token loses the session, the login, or itself, in the middle of a batch; and keys that want their PIN each time. */
#include "signing.h"

#include <signal.h>

#define BATCH 8

static struct pair pair;

/* How many of a batch were signed, and leaves the status of the first failure in *status. */
static int batch(int *status)
{
	int good = 0;

	*status = 0;
	for (int i = 0; i < BATCH; i++) {
		if (signs(&pair, i))
			good++;
		else if (!*status)
			*status = status_raised();
		ERR_clear_error();
	}
	return good;
}

static int start_with_key(void **state)
{
	if (start(state) < 0)
		return -1;
	key_left("p256", "key");
	return 0;
}

static int finish_with_key(void **state)
{
	pair_free(&pair);
	pair = (struct pair){ 0 };
	return finish(state);
}

/* A new process that has the key and meets that schedule. */
static void disturbed(const char *schedule)
{
	pair_free(&pair);
	pair = (struct pair){ 0 };
	again_with(schedule);
	key_found(&pair, "key");
}

/* How often this process called it so far, by balky's log. */
static int seen(const char *function)
{
	char command[160];
	int count = -1;
	FILE *out;

	snprintf(command, sizeof(command), "grep -c '^> .* %s ' '%s/log'", function, folder);
	out = popen(command, "r");
	assert_non_null(out);
	assert_int_equal(fscanf(out, "%d", &count), 1);
	pclose(out);
	return count;
}

static void a_batch_survives_a_session_lost_at_any_step(void **state)
{
	static const char *const answers[] = { "SESSION_HANDLE_INVALID", "SESSION_CLOSED", "DEVICE_REMOVED",
					       "TOKEN_NOT_PRESENT", "USER_NOT_LOGGED_IN" };
	static const char *const functions[] = { "C_SignInit", "C_Sign" };

	(void)state;
	for (size_t a = 0; a < sizeof(answers) / sizeof(answers[0]); a++) {
		for (size_t f = 0; f < 2; f++) {
			char schedule[80];
			int status;

			snprintf(schedule, sizeof(schedule), "%s 3 answer %s\n", functions[f], answers[a]);
			disturbed(schedule);
			if (batch(&status) != BATCH)
				fail_msg("%s: %d", schedule, status);
			assert_true(times_asked <= 2 && logins <= 2);
		}
	}
}

static void a_key_whose_handle_changed_is_found_again(void **state)
{
	int status;

	(void)state;
	disturbed("C_SignInit 3 answer 0x60\nC_SignInit 6 answer 0x82\n"); /* KEY_, OBJECT_HANDLE_INVALID */
	assert_int_equal(batch(&status), BATCH);
	assert_int_equal(times_asked, 1);
}

static void a_key_that_is_not_there_any_more_is_told_so(void **state)
{
	int status;

	(void)state;
	disturbed("C_SignInit 3+ answer 0x60\n");
	assert_int_equal(batch(&status), 2);
	assert_int_equal(status, KS_ECHANGED);
}

static void a_token_removed_for_good_is_gone_and_gets_no_pin(void **state)
{
	char schedule[200];
	int status;

	(void)state;
	disturbed(""); /* what opening alone calls */
	snprintf(schedule, sizeof(schedule),
		 "C_SignInit 3+ answer DEVICE_REMOVED\nC_OpenSession %d+ answer DEVICE_REMOVED\n"
		 "C_GetTokenInfo %d+ answer TOKEN_NOT_PRESENT\nC_GetSlotList %d+ length 0\n",
		 seen("C_OpenSession") + 1, seen("C_GetTokenInfo") + 1, seen("C_GetSlotList") + 1);
	disturbed(schedule);
	assert_int_equal(batch(&status), 2);
	assert_int_equal(status, KS_EGONE);
	assert_int_equal(logins, 1);
	assert_int_equal(times_asked, 1);
}

static void an_operation_is_tried_twice_and_no_more(void **state)
{
	(void)state;
	disturbed("C_Sign * answer SESSION_HANDLE_INVALID\n");
	assert_false(signs(&pair, 1));
	assert_int_equal(status_raised(), KS_EGONE);
	assert_int_equal(seen("C_Sign"), 2);
	assert_true(times_asked <= 2);
}

static void a_wrong_pin_after_a_loss_is_sent_once(void **state)
{
	int status;

	(void)state;
	disturbed("C_Sign 3 answer SESSION_HANDLE_INVALID\n");
	pin = "9999";
	assert_int_equal(batch(&status), 2);
	assert_int_equal(status, KS_EPIN);
	assert_int_equal(logins, 2); /* the good one at the start, the wrong one after the loss */
	assert_int_equal(times_asked, 2);
}

static void no_pin_is_sent_after_a_loss_when_the_counter_is_low(void **state)
{
	static const char *const flags[] = { "LOW", "FINAL", "LOCKED" };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		char schedule[120];
		int status;

		disturbed("");
		snprintf(schedule, sizeof(schedule),
			 "C_Sign 3 answer SESSION_HANDLE_INVALID\nC_GetTokenInfo %d+ flags %s\n",
			 seen("C_GetTokenInfo") + 1, flags[i]);
		disturbed(schedule);
		assert_int_equal(batch(&status), 2);
		assert_int_equal(status, i == 2 ? KS_ELOCKED : KS_ELASTTRY);
		assert_int_equal(logins, 1);
		assert_int_equal(times_asked, 1);
	}
}

static void sessions_lost_under_many_threads_cost_one_pin(void **state)
{
	(void)state;
	disturbed("C_Sign 60 answer SESSION_HANDLE_INVALID\nC_Sign 150 answer SESSION_CLOSED\nC_SignInit 240 answer "
		  "DEVICE_REMOVED\n");
	assert_int_equal(signed_by_threads(&pair, 16, 20), 320);
	assert_true(times_asked <= 2);
}

static void a_module_whose_server_is_gone_does_not_end_the_host(void **state)
{
	int status;

	(void)state;
	signal(SIGPIPE, SIG_DFL);
	disturbed("C_Sign 3 pipe\nC_Sign 3 answer DEVICE_ERROR\n");
	assert_int_equal(batch(&status), BATCH - 1);
	assert_int_equal(status, KS_ETOKEN);
}

/* ---- a PIN for each signature ---- */

static void a_key_that_wants_its_pin_each_time_gets_it_on_every_thread(void **state)
{
	(void)state;
	disturbed("C_Sign * always-authenticate 1234\n");
	assert_int_equal(times_asked, 1);
	assert_int_equal(signed_by_threads(&pair, 8, 5), 40);
	assert_int_equal(times_asked, 41);
	assert_int_equal(logins, 41);
}

static void a_wrong_pin_for_one_signature_is_sent_once(void **state)
{
	int status;

	(void)state;
	disturbed("C_Sign * always-authenticate 1234\n");
	assert_true(signs(&pair, 1));
	pin = "9999";
	assert_int_equal(batch(&status), 0);
	assert_int_equal(status, KS_EPIN);
	assert_int_equal(logins, 3);
}

static void a_pin_pad_is_used_for_the_login_and_for_each_signature(void **state)
{
	(void)state;
	disturbed("C_Sign * always-authenticate 1234\nC_Login * pin-pad 1234\n");
	assert_int_equal(signed_by_threads(&pair, 4, 3), 12);
	assert_int_equal(logins, 13);
	assert_int_equal(times_asked, 0);
}

/* Sealed in software, opened by the token. */
static bool opens(void)
{
	ks_auto_ssl(EVP_PKEY_CTX) seal = EVP_PKEY_CTX_new_from_pkey(NULL, pair.plain, NULL);
	ks_auto_ssl(EVP_PKEY_CTX) open = EVP_PKEY_CTX_new_from_pkey(NULL, pair.key, NULL);
	unsigned char sealed[256], opened[256];
	size_t sealed_size = sizeof(sealed), size = sizeof(opened);

	return EVP_PKEY_encrypt_init(seal) > 0 &&
	       EVP_PKEY_encrypt(seal, sealed, &sealed_size, (const unsigned char *)"text", 4) > 0 &&
	       EVP_PKEY_decrypt_init(open) > 0 && EVP_PKEY_decrypt(open, opened, &size, sealed, sealed_size) > 0 &&
	       size == 4 && memcmp(opened, "text", 4) == 0;
}

static void decrypting_asks_for_the_pin_each_time_and_survives_a_loss(void **state)
{
	(void)state;
	key_left("rsa:2048", "opens");
	again_with("C_Sign * always-authenticate 1234\nC_Decrypt 2 answer SESSION_HANDLE_INVALID\n");
	key_found(&pair, "opens");
	for (int i = 0; i < 3; i++)
		assert_true(opens());
	assert_int_equal(logins, times_asked);
	assert_true(times_asked <=
		    1 + 3 + 2); /* the login, three messages; for the loss a login and one more message */
}

static void a_session_lost_between_pin_and_signature_costs_one_more_pin(void **state)
{
	int status;

	(void)state;
	disturbed("C_Sign * always-authenticate 1234\nC_Sign 3 answer SESSION_HANDLE_INVALID\n");
	assert_int_equal(batch(&status), BATCH);
	assert_true(times_asked <= 1 + BATCH + 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start_with_key, finish_with_key)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_batch_survives_a_session_lost_at_any_step),
		TEST(a_key_whose_handle_changed_is_found_again),
		TEST(a_key_that_is_not_there_any_more_is_told_so),
		TEST(a_token_removed_for_good_is_gone_and_gets_no_pin),
		TEST(an_operation_is_tried_twice_and_no_more),
		TEST(a_wrong_pin_after_a_loss_is_sent_once),
		TEST(no_pin_is_sent_after_a_loss_when_the_counter_is_low),
		TEST(sessions_lost_under_many_threads_cost_one_pin),
		TEST(a_module_whose_server_is_gone_does_not_end_the_host),
		TEST(a_key_that_wants_its_pin_each_time_gets_it_on_every_thread),
		TEST(a_wrong_pin_for_one_signature_is_sent_once),
		TEST(a_pin_pad_is_used_for_the_login_and_for_each_signature),
		TEST(decrypting_asks_for_the_pin_each_time_and_survives_a_loss),
		TEST(a_session_lost_between_pin_and_signature_costs_one_more_pin),
	};

	if (softhsm_absent()) {
		printf("1..0 # SKIP softhsm2 is not installed\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
