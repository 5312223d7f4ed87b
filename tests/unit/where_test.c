/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "bare.h"
#include "config.h"
#include "where.h"

#include <p11-kit/pkcs11.h>

#include <stdio.h>
#include <unistd.h>

static void configure(const char *text)
{
	assert_int_equal(ks_config_read(ctx, "test.ini", ks_bytes_of(text)), 0);
}

static void same(const char *a, const char *b)
{
	if (a && b)
		assert_string_equal(a, b);
	else
		assert_true(a == b);
}

static void files_are_found_in_every_spelling(void **state)
{
	static const struct {
		const char *typed, *scheme, *path, *label, *text;
	} cases[] = {
		{ "alice.p12", NULL, "alice.p12", NULL, "alice.p12" },
		{ "p12:alice.p12", "p12", "alice.p12", NULL, "p12:alice.p12" },
		{ "P12:alice.p12", "p12", "alice.p12", NULL, "p12:alice.p12" },
		{ "p12:/srv/alice.p12#web", "p12", "/srv/alice.p12", "web", "p12:/srv/alice.p12#web" },
		{ "./a:b", NULL, "a:b", NULL, "./a:b" },
		{ "./@x", NULL, "@x", NULL, "./@x" },
		{ "dir/a:b", NULL, "dir/a:b", NULL, "dir/a:b" },
		{ "p12:a:b", "p12", "a:b", NULL, "p12:a:b" },
		{ "pem:./a%23b", "pem", "a#b", NULL, "pem:a%23b" },
		{ "a%3Fb%2523%41", NULL, "a?b%23%41", NULL, "a%3Fb%2523%41" },
		{ "-", NULL, "-", NULL, "-" },
		{ "./-", NULL, "./-", NULL, "./-" },
		{ "a.p12#b#c", NULL, "a.p12", "b#c", "a.p12#b#c" },
		{ "a.p12#two words", NULL, "a.p12", "two words", "a.p12#two words" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		ks_auto(where) where = NULL;
		ks_auto(where) again = NULL;

		assert_int_equal(ks_where_parse(&where, ctx, cases[i].typed), 0);
		same(where->scheme, cases[i].scheme);
		same(where->path, cases[i].path);
		same(where->label, cases[i].label);
		same(ks_where_text(where), cases[i].text);
		assert_false(ks_where_is_token(where));
		assert_int_equal(ks_where_names_entry(where), cases[i].label != NULL);
		assert_int_equal(ks_where_parse(&again, ctx, where->text), 0);
		same(again->path, where->path);
		same(again->text, where->text);
	}
}

static void sources_stand_behind_a_question_mark(void **state)
{
	ks_auto(where) where = NULL;
	ks_auto(where) behind = NULL;

	(void)state;
	assert_int_equal(ks_where_parse(&where, ctx, "p12:a.p12?pin-source=file:/run/x%20y#web"), 0);
	same(where->pin_source, "file:/run/x y");
	same(where->label, "web");
	same(where->text, "p12:a.p12#web");
	assert_int_equal(ks_where_parse(&behind, ctx, "p12:a.p12#web?pin-source=prompt"), 0);
	same(behind->pin_source, "prompt");
	same(behind->label, "web");
}

static void digests_are_lower_case_prefixes(void **state)
{
	ks_auto(where) where = NULL;
	ks_auto(where) none = NULL;

	(void)state;
	assert_int_equal(ks_where_parse(&where, ctx, "a.pem#sha256:AB:12:c"), 0);
	same(where->sha256, "ab12c");
	same(where->text, "a.pem#sha256:ab12c");
	assert_int_equal(ks_where_parse(&none, ctx, "a.pem#sha256:ab1"), KS_EADDRESS);
	assert_int_equal(ks_where_parse(&none, ctx, "a.pem#sha256:wxyz"), KS_EADDRESS);
}

static void an_unknown_scheme_is_never_a_file_name(void **state)
{
	static const struct {
		const char *typed, *said;
	} cases[] = {
		{ "p13:a", "did you mean \"p12:\"?" },
		{ "pkcs12:a", "did you mean \"p12:\"?" },
		{ "pkcs1:a", "did you mean \"pkcs11:\"?" },
		{ "foo:bar", "no kind of store \"foo\"" },
		{ "C:\\stores\\a.p12", "no kind of store \"C\"" },
		{ "p12:", "names no file" },
		{ "", "names no store" },
		{ "#web", "names no store" },
		{ "a.p12#", "behind the #" },
		{ "p12:~/a.p12", "~" },
		{ "p12:a?pin-sorce=x", "did you mean \"pin-source\"?" },
		{ "p12:a?module-path=x", "unknown query attribute" },
		{ "p12:a?pin-source=a&pin-source=b", "twice" },
		{ "p12:a?pin-source=%zz", "hexadecimal" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		ks_auto(where) where = NULL;

		assert_int_equal(ks_where_parse(&where, ctx, cases[i].typed), KS_EADDRESS);
		assert_null(where);
		if (!strstr(ks_ctx_text(ctx), cases[i].said))
			fail_msg("%s: %s", cases[i].typed, ks_ctx_text(ctx));
	}
}

static void a_file_with_a_colon_is_pointed_out(void **state)
{
	ks_auto(where) where = NULL;
	char folder[] = "/tmp/where-test-XXXXXX", name[64];
	FILE *file;

	(void)state;
	assert_non_null(mkdtemp(folder));
	assert_int_equal(chdir(folder), 0);
	file = fopen("foo:bar", "w");
	assert_non_null(file);
	fclose(file);
	assert_int_equal(ks_where_parse(&where, ctx, "foo:bar"), KS_EADDRESS);
	assert_non_null(strstr(ks_ctx_hint(ctx), "there is a file of that name: write ./foo:bar"));
	snprintf(name, sizeof(name), "%s/foo:bar", folder);
	unlink(name);
	assert_int_equal(chdir("/"), 0);
	rmdir(folder);
}

static void a_token_address_becomes_canonical(void **state)
{
	ks_auto(where) where = NULL;
	const CK_TOKEN_INFO *token;

	(void)state;
	assert_int_equal(ks_where_parse(&where, ctx,
					"PKCS11:object=my%20key;id=%01%ab;type=private;token=usb%28hsm%29%00%00"
					"?pin-source=prompt&module-path=/usr/lib/x.so"),
			 0);
	assert_true(ks_where_is_token(where));
	token = ks_p11kit.uri_get_token_info(where->uri);
	assert_memory_equal(token->label, "usb(hsm)                        ", 32);
	same(where->scheme, "pkcs11");
	same(where->label, "my key");
	assert_int_equal(where->id_size, 2);
	assert_memory_equal(where->id, "\x01\xab", 2);
	same(where->pin_source, "prompt");
	same(where->module, "/usr/lib/x.so");
	same(where->text, "pkcs11:token=usb%28hsm%29;id=%01%AB;object=my%20key;type=private?module-path=/usr/lib/x.so");
}

static void what_p11_kit_forgives_is_refused(void **state)
{
	static const struct {
		const char *typed, *said;
	} cases[] = {
		{ "pkcs11:tokn=x", "did you mean \"token\"?" },
		{ "pkcs11:token=my hsm", "bare \" \"" },
		{ "pkcs11:token=x(1)", "bare \"(\"" },
		{ "pkcs11:token=a;token=b", "twice" },
		{ "pkcs11:token", "no value" },
		{ "pkcs11:token=%zz", "hexadecimal" },
		{ "pkcs11:token=x?pin-sauce=y", "did you mean \"pin-source\"?" },
		{ "pkcs11:x-vendor=1", "unknown attribute" },
		{ "pkcs11:token=123456789012345678901234567890123", "cannot be understood" },
		{ "pkcs11:object=a%00b", "NUL" },
		{ "pkcs11:type=nonsense", "cannot be understood" },
		{ "pkcs11:object=a#b", "two entries" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		ks_auto(where) where = NULL;

		if (ks_where_parse(&where, ctx, cases[i].typed) != KS_EADDRESS ||
		    !strstr(ks_ctx_text(ctx), cases[i].said))
			fail_msg("%s: %d %s", cases[i].typed, ks_ctx_status(ctx), ks_ctx_text(ctx));
	}
	assert_non_null(strstr(ks_ctx_text(ctx), "pkcs11:"));
}

static void a_pin_in_the_address_is_told_and_shown_nowhere(void **state)
{
	ks_auto(where) where = NULL;
	ks_auto(where) none = NULL;

	(void)state;
	assert_int_equal(ks_where_parse(&where, ctx, "pkcs11:token=x?pin-value=se%63ret"), 0);
	assert_string_equal(ks_secret_bytes(where->pin_value), "secret");
	same(where->text, "pkcs11:token=x");
	assert_non_null(ks_ctx_notice(ctx, 0));
	assert_null(strstr(ks_ctx_notice(ctx, 0)->text, "ret"));
	assert_int_equal(ks_where_parse(&none, ctx, "pkcs11:token=x;pin-value=hushhush"), KS_EADDRESS);
	assert_null(strstr(ks_ctx_text(ctx), "hushhush"));
	assert_int_equal(ks_where_parse(&none, ctx, "pkcs11:tok=x?pin-value=hushhush"), KS_EADDRESS);
	assert_null(strstr(ks_ctx_text(ctx), "hushhush"));
}

static void a_name_stands_for_its_configured_address(void **state)
{
	ks_auto(where) token = NULL;
	ks_auto(where) file = NULL;
	ks_auto(where) none = NULL;

	(void)state;
	configure("[store hsm]\nuri = pkcs11:token=usbhsm?module-name=soft\npin-source = file:/run/pin\n"
		  "[module soft]\npath = /usr/lib/softhsm.so\n[store box]\nuri = p12:/srv/box.p12\n");
	assert_int_equal(ks_where_parse(&token, ctx, "@hsm#my_key3"), 0);
	same(token->alias, "hsm");
	same(token->label, "my_key3");
	same(token->pin_source, "file:/run/pin");
	same(token->module, "soft");
	same(token->text, "pkcs11:token=usbhsm?module-name=soft#my_key3");
	assert_int_equal(ks_where_parse(&file, ctx, "@box?pin-source=prompt#web"), 0);
	same(file->pin_source, "prompt");
	same(file->text, "p12:/srv/box.p12#web");
	assert_int_equal(ks_where_parse(&none, ctx, "@hms"), KS_ENOTFOUND);
	assert_non_null(strstr(ks_ctx_text(ctx), "did you mean \"@hsm\"?"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(files_are_found_in_every_spelling, start, finish),
		cmocka_unit_test_setup_teardown(sources_stand_behind_a_question_mark, start, finish),
		cmocka_unit_test_setup_teardown(digests_are_lower_case_prefixes, start, finish),
		cmocka_unit_test_setup_teardown(an_unknown_scheme_is_never_a_file_name, start, finish),
		cmocka_unit_test_setup_teardown(a_file_with_a_colon_is_pointed_out, start, finish),
		cmocka_unit_test_setup_teardown(a_token_address_becomes_canonical, start, finish),
		cmocka_unit_test_setup_teardown(what_p11_kit_forgives_is_refused, start, finish),
		cmocka_unit_test_setup_teardown(a_pin_in_the_address_is_told_and_shown_nowhere, start, finish),
		cmocka_unit_test_setup_teardown(a_name_stands_for_its_configured_address, start, finish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
