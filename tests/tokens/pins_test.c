/* SPDX-License-Identifier: Apache-2.0 */
/* Which token is meant, and what happens to PIN tries. */
#include "softhsm.h"

static int open_with(const char *address, unsigned mode)
{
	ks_auto(where) where = where_of(address);
	struct ks_store *store = NULL;
	int rc = ks_store_open(&store, ctx, where, mode);

	ks_store_close(store);
	return rc;
}

static void looking_needs_no_pin(void **state)
{
	(void)state;
	works(open_with("pkcs11:token=KS", KS_READ));
	assert_int_equal(times_asked, 0);
	assert_int_equal(logins, 0);
}

static void one_pin_serves_every_store_of_the_token(void **state)
{
	(void)state;
	works(open_with("pkcs11:token=KS", KS_LOGIN));
	works(open_with("pkcs11:token=KS", KS_LOGIN | KS_WRITE));
	assert_int_equal(times_asked, 1);
	assert_int_equal(logins, 1);
}

static void a_wrong_pin_costs_one_try_and_says_what_the_token_tells(void **state)
{
	(void)state;
	pin = "9999";
	assert_int_equal(open_with("pkcs11:token=KS", KS_LOGIN), KS_EPIN);
	assert_non_null(strstr(ks_ctx_text(ctx), "the PIN for token KS is wrong; few tries are left"));
	assert_non_null(strstr(ks_ctx_causes(ctx), "C_Login: CKR_PIN_INCORRECT"));
	assert_int_equal(open_with("pkcs11:token=KS", KS_LOGIN), KS_EPIN);
	assert_int_equal(logins, 1);
}

static void a_pin_known_to_be_wrong_is_not_sent_by_a_later_process(void **state)
{
	(void)state;
	pin = "9999";
	assert_int_equal(open_with("pkcs11:token=KS", KS_LOGIN), KS_EPIN);
	again();
	assert_int_equal(open_with("pkcs11:token=KS", KS_LOGIN), KS_EPIN);
	assert_non_null(strstr(ks_ctx_text(ctx), "wrong for token KS before"));
	assert_int_equal(logins, 0);
	again();
	pin = "1234";
	assert_int_equal(open_with("pkcs11:token=KS", KS_LOGIN), KS_ELASTTRY);
	assert_int_equal(logins, 0);
	attended = true;
	again();
	works(open_with("pkcs11:token=KS", KS_LOGIN));
	again();
	pin = "9999";
	assert_int_equal(open_with("pkcs11:token=KS", KS_LOGIN), KS_EPIN);
	assert_int_equal(logins, 1);
}

static void a_pin_of_impossible_length_is_not_sent(void **state)
{
	(void)state;
	pin = "12";
	assert_int_equal(open_with("pkcs11:token=KS", KS_LOGIN), KS_EPIN);
	assert_non_null(strstr(ks_ctx_text(ctx), "4 to 255"));
	assert_int_equal(logins, 0);
}

static void no_pin_goes_to_a_token_that_was_not_named(void **state)
{
	(void)state;
	works(open_with("pkcs11:", KS_READ));
	assert_int_equal(open_with("pkcs11:", KS_LOGIN), KS_EAMBIGUOUS);
	assert_int_equal(times_asked + logins, 0);
}

static void two_tokens_of_one_label_are_told_and_left_alone(void **state)
{
	(void)state;
	assert_int_equal(token_make("KS"), 0);
	again();
	assert_int_equal(open_with("pkcs11:token=KS", KS_LOGIN), KS_EAMBIGUOUS);
	assert_non_null(strstr(ks_ctx_text(ctx), "\"KS\" (model SoftHSM v2, serial "));
	assert_non_null(strstr(ks_ctx_text(ctx), " = pkcs11:serial="));
	assert_int_equal(times_asked + logins, 0);
}

static void an_absent_token_is_told_with_those_that_are_there(void **state)
{
	(void)state;
	assert_int_equal(open_with("pkcs11:token=KX", KS_LOGIN), KS_ENOTOKEN);
	assert_non_null(strstr(ks_ctx_text(ctx), "present: KS (serial "));
	assert_non_null(strstr(ks_ctx_hint(ctx), "did you mean KS?"));
}

static void an_absent_module_says_which_package_brings_it(void **state)
{
	(void)state;
	assert_int_equal(open_with("pkcs11:token=KS?module-path=/nowhere/libsofthsm2.so", KS_READ), KS_EMODULE);
	assert_string_equal(ks_ctx_hint(ctx), "apt install softhsm2 may bring it");
}

static void a_module_that_others_may_write_is_not_loaded(void **state)
{
	char command[512], address[128];

	(void)state;
	snprintf(command, sizeof(command), "cp '%s' '%s/module.so' && chmod 666 '%s/module.so'",
		 getenv("KEYSTOW_TEST_MODULE"), folder, folder);
	assert_int_equal(system(command), 0);
	snprintf(address, sizeof(address), "pkcs11:token=KS?module-path=%s/module.so", folder);
	assert_int_equal(open_with(address, KS_READ), KS_EMODULE);
	assert_non_null(strstr(ks_ctx_text(ctx), "changed by somebody else"));
}

static void something_that_is_no_module_is_told_so(void **state)
{
	char command[256], address[128];

	(void)state;
	snprintf(command, sizeof(command), "echo text > '%s/module.so'", folder);
	assert_int_equal(system(command), 0);
	snprintf(address, sizeof(address), "pkcs11:token=KS?module-path=%s/module.so", folder);
	assert_int_equal(open_with(address, KS_READ), KS_EMODULE);
}

/* ---- the security officer ---- */

static struct ks_secret *secret_of(const char *text)
{
	struct ks_secret *secret = NULL;

	works(ks_secret_new(&secret, ctx));
	works(ks_secret_append(secret, ctx, text, strlen(text)));
	return secret;
}

static int administer(const char *address, enum ks_admin_act act, const char *label, const char *old_pin,
		      const char *new_pin)
{
	ks_auto(where) where = where_of(address);
	ks_auto(secret) before = secret_of(old_pin);
	ks_auto(secret) after = secret_of(new_pin);
	struct ks_admin admin = { .act = act, .label = label, .new_secret = after };
	struct ks_store *store = NULL;
	int rc;

	if (act == KS_ADMIN_INIT)
		admin.so_secret = before;
	else
		admin.old_secret = before;
	works(ks_store_open(&store, ctx, where, KS_WRITE | KS_WITHOUT_SECRET));
	rc = ks_store_admin(store, &admin);
	ks_store_close(store);
	return rc;
}

static void a_pin_is_changed_and_the_old_one_is_wrong_then(void **state)
{
	(void)state;
	works(administer("pkcs11:token=KS", KS_ADMIN_CHANGE_PIN, NULL, "1234", "567890"));
	again();
	pin = "567890";
	works(open_with("pkcs11:token=KS", KS_LOGIN));
}

static void the_officer_sets_a_new_pin_for_one_that_is_forgotten(void **state)
{
	(void)state;
	pin = "0000";
	assert_int_equal(open_with("pkcs11:token=KS", KS_LOGIN), KS_EPIN);
	again();
	works(administer("pkcs11:token=KS", KS_ADMIN_UNBLOCK_PIN, NULL, "12345678", "0000"));
	again();
	works(open_with("pkcs11:token=KS", KS_LOGIN));
}

static void a_wrong_officers_pin_changes_nothing(void **state)
{
	(void)state;
	assert_int_equal(administer("pkcs11:token=KS", KS_ADMIN_UNBLOCK_PIN, NULL, "87654321", "0000"), KS_EPIN);
	again();
	works(open_with("pkcs11:token=KS", KS_LOGIN));
}

static void a_new_pin_that_is_too_short_is_refused_before_anything_is_sent(void **state)
{
	(void)state;
	assert_int_equal(administer("pkcs11:token=KS", KS_ADMIN_CHANGE_PIN, NULL, "1234", "5"), KS_EPIN);
	assert_non_null(strstr(ks_ctx_text(ctx), "4 to 255"));
	again();
	works(open_with("pkcs11:token=KS", KS_LOGIN));
}

static void a_blank_token_is_initialised_and_found_by_its_label(void **state)
{
	(void)state;
	works(administer("pkcs11:slot-id=1", KS_ADMIN_INIT, "FRESH", "87654321", "4711"));
	again();
	pin = "4711";
	works(open_with("pkcs11:token=FRESH", KS_LOGIN));
}

static void a_wiped_token_has_a_new_label_and_no_keys(void **state)
{
	ks_auto(where) where = where_of("pkcs11:token=KS");
	struct ks_generate wish = { .label = ks_bytes_of("gone") };
	struct ks_item *key = NULL;
	struct ks_store *store = NULL;

	(void)state;
	works(ks_keyspec_parse(&wish.spec, ctx, "p256"));
	works(ks_store_open(&store, ctx, where, KS_WRITE | KS_LOGIN));
	works(ks_store_generate(&key, store, &wish));
	ks_store_close(store);
	works(administer("pkcs11:token=KS", KS_ADMIN_INIT, "ANEW", "12345678", "1234"));
	assert_int_equal(open_with("pkcs11:token=KS", KS_READ), KS_ENOTOKEN);
	ks_where_free(ks_take(where));
	where = where_of("pkcs11:token=ANEW");
	works(ks_store_open(&store, ctx, where, KS_LOGIN));
	assert_int_equal(ks_set_count(ks_store_items(store)), 0);
	ks_store_close(store);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(looking_needs_no_pin),
		TEST(one_pin_serves_every_store_of_the_token),
		TEST(a_wrong_pin_costs_one_try_and_says_what_the_token_tells),
		TEST(a_pin_known_to_be_wrong_is_not_sent_by_a_later_process),
		TEST(a_pin_of_impossible_length_is_not_sent),
		TEST(no_pin_goes_to_a_token_that_was_not_named),
		TEST(two_tokens_of_one_label_are_told_and_left_alone),
		TEST(an_absent_token_is_told_with_those_that_are_there),
		TEST(an_absent_module_says_which_package_brings_it),
		TEST(a_module_that_others_may_write_is_not_loaded),
		TEST(something_that_is_no_module_is_told_so),
		TEST(a_pin_is_changed_and_the_old_one_is_wrong_then),
		TEST(the_officer_sets_a_new_pin_for_one_that_is_forgotten),
		TEST(a_wrong_officers_pin_changes_nothing),
		TEST(a_new_pin_that_is_too_short_is_refused_before_anything_is_sent),
		TEST(a_blank_token_is_initialised_and_found_by_its_label),
		TEST(a_wiped_token_has_a_new_label_and_no_keys),
	};

	if (softhsm_absent()) {
		printf("1..0 # SKIP softhsm2 is not installed\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
