/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "text.h"

static void check_shown(const char *raw, size_t size, const char *shown)
{
	ks_auto_mem char *text = ks_text_show(KS_BYTES(raw, size));

	assert_string_equal(text, shown);
}

static void what_could_move_a_terminal_is_escaped(void **state)
{
	(void)state;
	check_shown("a\x1b[31mb", 7, "a\\x1b[31mb");
	check_shown("\xc2\x9b" "x", 3, "\\u009bx");
	check_shown("\xe2\x80\xae" "x", 4, "\\u202ex");
	check_shown("a\0b\n", 4, "a\\x00b\\x0a");
	check_shown("\xff\xc0\xaf", 3, "\\xff\\xc0\\xaf");
	check_shown("gr\xc3\xbc\xc3\x9f", 6, "gr\xc3\xbc\xc3\x9f");
}

static void hexadecimal_goes_there_and_back(void **state)
{
	unsigned char bytes[4];
	char text[9];

	(void)state;
	assert_int_equal(ks_unhex(bytes, 4, "DE:ad:be:ef"), 4);
	ks_hex(text, KS_BYTES(bytes, 4));
	assert_string_equal(text, "deadbeef");
	assert_int_equal(ks_unhex(bytes, 4, "dead0"), -1);
	assert_int_equal(ks_unhex(bytes, 1, "dead"), -1);
	assert_int_equal(ks_unhex(bytes, 4, "de:"), -1);
}

static void dates_are_those_of_the_calendar(void **state)
{
	char text[21];
	int64_t at;

	(void)state;
	assert_int_equal(ks_time_make(&at, 2026, 11, 21, 8, 5, 9), 0);
	assert_int_equal(at, 1795248309);
	ks_time_text(text, at);
	assert_string_equal(text, "2026-11-21T08:05:09Z");
	ks_date_text(text, -1);
	assert_string_equal(text, "1969-12-31");
	assert_int_equal(ks_time_make(&at, 2000, 2, 29, 0, 0, 0), 0);
	assert_int_equal(ks_time_make(&at, 1900, 2, 29, 0, 0, 0), KS_EDAMAGED);
	assert_int_equal(ks_time_make(&at, 9999, 12, 31, 23, 59, 59), 0);
	assert_int_equal(at, 253402300799);
}

static void a_word_reaches_a_shell_whole(void **state)
{
	static const char *const words[][2] = {
		{ "p12:dir/a.p12#web", "p12:dir/a.p12#web" },
		{ "pkcs11:token=a;object=b", "'pkcs11:token=a;object=b'" },
		{ "it's", "'it'\\''s'" },
		{ "'", "''\\'''" },
		{ "#x", "'#x'" },
		{ "", "''" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		ks_auto_mem char *word = ks_text_word(words[i][0]);

		assert_string_equal(word, words[i][1]);
	}
}

static void a_slip_of_the_finger_finds_its_word(void **state)
{
	static const char *const words[] = { "token", "object", "serial", NULL };

	(void)state;
	assert_string_equal(ks_nearest("tokn", words), "token");
	assert_string_equal(ks_nearest("TOKEN", words), "token");
	assert_string_equal(ks_nearest("obejct", words), "object");
	assert_null(ks_nearest("banana", words));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_could_move_a_terminal_is_escaped),
		cmocka_unit_test(hexadecimal_goes_there_and_back),
		cmocka_unit_test(dates_are_those_of_the_calendar),
		cmocka_unit_test(a_word_reaches_a_shell_whole),
		cmocka_unit_test(a_slip_of_the_finger_finds_its_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
