/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "bare.h"
#include "config.h"

static int configure(const char *file, const char *text)
{
	return ks_config_read(ctx, file, ks_bytes_of(text));
}

static void values_run_to_the_end_of_the_line(void **state)
{
	(void)state;
	assert_int_equal(configure("a", "\xef\xbb\xbf# a comment\r\n; another\n\n[ store  my hsm ]\r\n"
					"  uri = pkcs11:token=x;object=a#b$\"c ; no comment \n"),
			 0);
	assert_string_equal(ks_config_get(ctx, "store", "my hsm", "uri"), "pkcs11:token=x;object=a#b$\"c ; no comment");
	assert_null(ks_config_get(ctx, "store", "my hsm", "pin-source"));
	assert_null(ks_config_get(ctx, "defaults", NULL, "wait"));
	assert_int_equal(ks_config_row(ctx, 0)->line, 5);
	assert_null(ks_config_row(ctx, 1));
}

static void a_later_file_overrides_an_earlier_one(void **state)
{
	(void)state;
	assert_int_equal(configure("a", "[defaults]\nwait = 5\nca = ./ca\n"), 0);
	assert_int_equal(configure("b", "[defaults]\nwait = 7\n"), 0);
	assert_string_equal(ks_config_get(ctx, "defaults", NULL, "wait"), "7");
	assert_string_equal(ks_config_get(ctx, "defaults", NULL, "ca"), "./ca");
	assert_null(ks_config_row(ctx, 2));
}

static void what_is_wrong_is_told_with_its_line(void **state)
{
	static const struct {
		const char *text, *said;
	} cases[] = {
		{ "[store x]\nurl = a\n", "f, line 2: the key \"url\" is unknown here; did you mean \"uri\"?" },
		{ "[stroe x]\n", "did you mean \"store\"?" },
		{ "[store]\n", "needs a name" },
		{ "[defaults x]\n", "takes no name" },
		{ "[store x\n", "no closing ]" },
		{ "\nuri = x\n", "line 2: a key stands before" },
		{ "[store x]\nnonsense\n", "neither a [section]" },
		{ "[store x]\nuri =\n", "has no value" },
		{ "[store x]\nuri = a\nuri = b\n", "was given on line 2 already" },
		{ "[defaults]\nwait = soon\n", "whole number" },
		{ "[module m]\nload = maybe\n", "direct or isolated" },
		{ "[store x]\nuri = pkcs11:token=a?pin-value=1\n", "has a PIN in it" },
		{ "[store \xff]\n", "not UTF-8" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(configure("f", cases[i].text), KS_ECONFIG);
		if (!strstr(ks_ctx_text(ctx), cases[i].said))
			fail_msg("%s: %s", cases[i].text, ks_ctx_text(ctx));
		assert_null(ks_config_row(ctx, 0));
	}
}

static void a_refused_file_leaves_the_earlier_ones_alone(void **state)
{
	(void)state;
	assert_int_equal(configure("a", "[defaults]\nwait = 5\n"), 0);
	assert_int_equal(configure("b", "[defaults]\nwait = 7\nbad = 1\n"), KS_ECONFIG);
	assert_string_equal(ks_config_get(ctx, "defaults", NULL, "wait"), "5");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(values_run_to_the_end_of_the_line, start, finish),
		cmocka_unit_test_setup_teardown(a_later_file_overrides_an_earlier_one, start, finish),
		cmocka_unit_test_setup_teardown(what_is_wrong_is_told_with_its_line, start, finish),
		cmocka_unit_test_setup_teardown(a_refused_file_leaves_the_earlier_ones_alone, start, finish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
