/* SPDX-License-Identifier: Apache-2.0 */
/* Which quirks apply to whom: each row of the table, and who must not be caught by it. */
#include "test.h"

#include "pkcs11/quirks.h"

static unsigned quirks(const char *library, CK_VERSION version, const char *manufacturer, const char *model)
{
	CK_INFO info = { .libraryVersion = version };
	CK_TOKEN_INFO token = { .flags = 0 };

	memset(info.manufacturerID, ' ', sizeof(info.manufacturerID));
	memset(token.manufacturerID, ' ', sizeof(token.manufacturerID));
	memset(token.model, ' ', sizeof(token.model));
	memcpy(info.manufacturerID, library, strlen(library));
	memcpy(token.manufacturerID, manufacturer, strlen(manufacturer));
	memcpy(token.model, model, strlen(model));
	return ks_p11_quirks(&info, &token);
}

static void softhsm_has_none(void **state)
{
	(void)state;
	assert_int_equal(quirks("SoftHSM", (CK_VERSION){ 2, 6 }, "SoftHSM project", "SoftHSM v2"), 0);
}

static void nss_is_known_by_token_and_library(void **state)
{
	(void)state;
	assert_int_equal(quirks("Mozilla Foundation", (CK_VERSION){ 3, 87 }, "Mozilla Foundation", "NSS 3"),
			 KS_P11_NO_SERIAL | KS_P11_NICKNAME_ONCE | KS_P11_CERTIFICATE_ONCE | KS_P11_OWN_IDS |
				 KS_P11_ORIGIN_UNTOLD | KS_P11_LATE_NAMES);
	assert_int_equal(quirks("Mozilla Foundation", (CK_VERSION){ 3, 87 }, "Somebody", "NSS 3"), 0);
}

static void a_tpm_is_known_by_its_library_whoever_made_the_chip(void **state)
{
	(void)state;
	assert_int_equal(quirks("tpm2-software.github.io", (CK_VERSION){ 1, 9 }, "IBM", "SW   TPM"),
			 KS_P11_NO_SERIAL | KS_P11_SHORT_TEMPLATE | KS_P11_NO_IMPORT | KS_P11_SILENT_LOCK);
	assert_int_equal(quirks("tpm2-software.github.io", (CK_VERSION){ 1, 9 }, "Infineon", "SLB9670"),
			 quirks("tpm2-software.github.io", (CK_VERSION){ 1, 9 }, "IBM", "SW   TPM"));
}

static void a_softtok_is_known_by_its_model(void **state)
{
	(void)state;
	assert_int_equal(quirks("IBM", (CK_VERSION){ 3, 8 }, "IBM Corp.", "IBM SoftTok"), KS_P11_NO_SERIAL);
	assert_int_equal(quirks("IBM", (CK_VERSION){ 3, 8 }, "IBM Corp.", "IBM CCA Token"), 0);
}

static void rows_for_one_device_add_up(void **state)
{
	(void)state;
	assert_int_equal(quirks("OpenSC Project", (CK_VERSION){ 0, 23 }, "www.CardContact.de", "PKCS#15 emulated"),
			 KS_P11_LATE_TRUTH | KS_P11_CERTIFICATE_GOES | KS_P11_NO_IMPORT | KS_P11_CERTIFICATE_PER_ID | KS_P11_PUBLIC_FOLLOWS |
				 KS_P11_OFFICER_LATE | KS_P11_LABEL_DECORATED);
	assert_int_equal(quirks("OpenSC Project", (CK_VERSION){ 0, 23 }, "piv_II", "PKCS#15 emulated"), KS_P11_LABEL_DECORATED);
}

static void a_version_behind_the_range_is_not_meant(void **state)
{
	(void)state;
	assert_int_equal(quirks("PKCS#11 Kit", (CK_VERSION){ 1, 1 }, "SoftHSM project", "SoftHSM v2"), KS_P11_HIDES_MECHANISMS);
	assert_int_equal(quirks("PKCS#11 Kit", (CK_VERSION){ 1, 2 }, "SoftHSM project", "SoftHSM v2"), 0);
}

static void a_module_that_tells_nothing_has_no_quirks(void **state)
{
	(void)state;
	assert_int_equal(quirks("", (CK_VERSION){ 0, 0 }, "Mozilla Foundation", "NSS 3"), 0);
}

static void each_quirk_has_its_sentence(void **state)
{
	size_t sentences = 0;

	(void)state;
	for (size_t n = 0; ks_p11_quirk_told(~0U, n); n++)
		sentences += *ks_p11_quirk_told(~0U, n) != '\0';
	assert_int_equal(sentences, 16);
	assert_string_equal(ks_p11_quirk_told(0, 0), "");
	assert_null(ks_p11_quirk_told(~0U, sentences));
}

static void a_label_means_the_bare_one_however_it_is_decorated(void **state)
{
	(void)state;
	assert_true(ks_p11_label_means("walnut", "walnut"));
	assert_true(ks_p11_label_means("walnut (UserPIN)", "walnut"));
	assert_true(ks_p11_label_means("UserPIN (walnut)", "walnut"));
	assert_false(ks_p11_label_means("walnuts (UserPIN)", "walnut"));
	assert_false(ks_p11_label_means("UserPIN (big walnut)", "walnut"));
	assert_false(ks_p11_label_means("walnut)", "walnut"));
	assert_false(ks_p11_label_means(" ()", ""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(softhsm_has_none),
		cmocka_unit_test(nss_is_known_by_token_and_library),
		cmocka_unit_test(a_tpm_is_known_by_its_library_whoever_made_the_chip),
		cmocka_unit_test(a_softtok_is_known_by_its_model),
		cmocka_unit_test(rows_for_one_device_add_up),
		cmocka_unit_test(a_version_behind_the_range_is_not_meant),
		cmocka_unit_test(a_module_that_tells_nothing_has_no_quirks),
		cmocka_unit_test(each_quirk_has_its_sentence),
		cmocka_unit_test(a_label_means_the_bare_one_however_it_is_decorated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
