/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "altname.h"
#include "made.h"
#include "bare.h" /* its ctx would be hidden by parameters of the others */

/* What `typed` looks like after a trip through DER. */
static char *round_trip(const char *typed)
{
	ks_auto_ssl(X509_NAME) name = NULL;
	const unsigned char *der;
	size_t size;

	if (ks_name_parse(&name, ctx, typed) < 0 || !X509_NAME_get0_der(name, &der, &size))
		return NULL;
	return ks_name_text(KS_BYTES(der, size));
}

static void names_keep_the_order_they_were_typed_in(void **state)
{
	static const struct {
		const char *typed, *shown;
	} cases[] = {
		{ "CN=colinpaice,O=HW,C=GB", "CN=colinpaice,O=HW,C=GB" },
		{ "/C=GB/O=HW/CN=colinpaice", "C=GB,O=HW,CN=colinpaice" },
		{ " cn = colin paice , o=HW ", "CN=colin paice,O=HW" },
		{ "CN=a;O=b", "CN=a,O=b" },
		{ "CN=Smith\\, John,O=\"A, B + C\"", "CN=Smith\\, John,O=A\\, B \\+ C" },
		{ "CN=\\ edge\\ ,O=x", "CN=\\ edge\\ ,O=x" },
		{ "CN=\\#5,O=a#b", "CN=\\#5,O=a#b" },
		{ "CN=a=b", "CN=a=b" },
		{ "CN=Lu\\C4\\8Di\\C4\\87", "CN=Lu\xc4\x8di\xc4\x87" },
		{ "UID=7+CN=x", "CN=x+UID=7" },
		{ "E=a@b.example", "emailAddress=a@b.example" },
		{ "DC=org,DC=example", "DC=org,DC=example" },
		{ "1.2.3.4=value,CN=x", "1.2.3.4=#0c0576616c7565,CN=x" },
		{ "1.2.3.4=#0c0178", "1.2.3.4=#0c0178" },
		{ "CN=a\\0Ab", "CN=a\\0Ab" },
		{ "CN=\xe2\x80\xaegro", "CN=\\E2\\80\\AEgro" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		ks_auto_mem char *shown = round_trip(cases[i].typed);
		ks_auto_mem char *again = shown ? round_trip(shown) : NULL;

		assert_non_null(shown);
		assert_string_equal(shown, cases[i].shown);
		assert_non_null(again);
		assert_string_equal(again, shown);
	}
}

static void bad_names_are_refused_with_a_reason(void **state)
{
	static const struct {
		const char *typed, *why;
	} cases[] = {
		{ "", "empty" },
		{ "colinpaice", "TYPE=VALUE" },
		{ "CN=", "CN of the name is empty" },
		{ "CN=a,,O=b", "TYPE=VALUE" },
		{ "CM=a", "did you mean CN?" },
		{ "CN=a\\", "lone backslash" },
		{ "CN=\"a", "quotation mark" },
		{ "C=GBR", "longest allowed" },
		{ "C=G", "two letters" },
		{ "CN=\xff", "not UTF-8" },
		{ "CN=\\00", "NUL" },
		{ "1.2.3=#zz", "not hexadecimal" },
		{ "1.2.3=#0201", "DER of one string" },
		{ "emailAddress=\xc3\xa9@b", "cannot hold" },
		{ "CN=1234567890123456789012345678901234567890123456789012345678901234x", "65 characters" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		X509_NAME *name = NULL;

		assert_int_equal(ks_name_parse(&name, ctx, cases[i].typed), KS_EUSAGE);
		assert_null(name);
		assert_non_null(strstr(ks_ctx_text(ctx), cases[i].why));
	}
}

static void every_string_type_is_read(void **state)
{
	static const struct {
		struct ks_bytes der;
		const char *shown;
	} cases[] = {
		{ KS_BYTES("\x30\x0d\x31\x0b\x30\x09\x06\x03\x55\x04\x03\x14\x02\xe9z", 15), "CN=\xc3\xa9z" },
		{ KS_BYTES("\x30\x0d\x31\x0b\x30\x09\x06\x03\x55\x04\x03\x1e\x02\x01\x0d", 15), "CN=\xc4\x8d" },
		{ KS_BYTES("\x30\x0f\x31\x0d\x30\x0b\x06\x03\x55\x04\x03\x1e\x04\xd8\x3d\xde\x00", 17),
		  "CN=\xf0\x9f\x98\x80" },
		{ KS_BYTES("\x30\x0f\x31\x0d\x30\x0b\x06\x03\x55\x04\x03\x1c\x04\x00\x01\xf6\x00", 17),
		  "CN=\xf0\x9f\x98\x80" },
		{ KS_BYTES("\x30\x0c\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x1e\x01\x41", 14), "CN=\\41" },
		{ KS_BYTES("\x30\x0c\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x02\x01\x41", 14), "CN=#020141" },
		{ KS_BYTES("\x30\x00", 2), "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		ks_auto_mem char *shown = ks_name_text(cases[i].der);

		assert_non_null(shown);
		assert_string_equal(shown, cases[i].shown);
	}
	assert_null(ks_name_text(KS_BYTES("\x30\x01\x31", 3)));
}

static void the_common_name_is_plain_text(void **state)
{
	struct ks_bytes der = KS_BYTES("\x30\x0d\x31\x0b\x30\x09\x06\x03\x55\x04\x03\x14\x02\xe9,", 15);
	ks_auto_mem char *common = ks_name_common(der);

	(void)state;
	assert_string_equal(common, "\xc3\xa9,");
	assert_null(ks_name_common(KS_BYTES("\x30\x00", 2)));
}

static void alternative_names_survive_der(void **state)
{
	static const char *const typed[] = { "dns:www.example.org",      "DNS:*.example.org",
					     "email:a@example.org",      "ip:192.0.2.1",
					     "ip:2001:DB8:0:0::1",       "uri:https://x.example/?a=b",
					     "upn:someone@corp.example", "dirname:CN=x,O=y" };
	struct ks_altnames names = { 0 }, again = { 0 };
	ks_auto(buffer) der = ks_buffer_new(4096);

	(void)state;
	for (size_t i = 0; i < sizeof(typed) / sizeof(*typed); i++)
		assert_int_equal(ks_altnames_add(&names, ctx, typed[i]), 0);
	assert_int_equal(ks_altnames_write(der, ctx, &names), 0);
	assert_int_equal(ks_altnames_read(&again, ctx, ks_buffer_bytes(der)), 0);
	assert_int_equal(again.count, names.count);
	assert_true(ks_altnames_equal(&names, &again));
	assert_string_equal(again.names[4].value, "2001:db8::1");
	free(again.names[0].value);
	again.names[0].value = strdup("other.example.org");
	assert_false(ks_altnames_equal(&names, &again));
	ks_altnames_free(&names);
	ks_altnames_free(&again);
}

/* OpenSSL encodes, we read and encode again: the same bytes, also for kinds that nobody types. */
static void openssl_s_alternative_names_come_back_byte_for_byte(void **state)
{
	struct made made = { .subject = "CN=x",
			     .names = "DNS:a.example,IP:192.0.2.7,RID:1.2.3,otherName:1.2.3.4;UTF8:some" };
	ks_auto(buffer) certificate = made_certificate(ctx, &made);
	ks_auto(buffer) der = ks_buffer_new(4096);
	struct ks_altnames names = { 0 };
	const unsigned char *at;
	X509 *parsed;
	const ASN1_OCTET_STRING *value;
	struct ks_bytes bytes;
	int index;

	(void)state;
	assert_non_null(certificate);
	at = certificate->data;
	parsed = d2i_X509(NULL, &at, (long)certificate->size);
	index = X509_get_ext_by_NID(parsed, NID_subject_alt_name, -1);
	value = X509_EXTENSION_get_data(X509_get_ext(parsed, index));
	bytes = KS_BYTES(ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value));
	assert_int_equal(ks_altnames_read(&names, ctx, bytes), 0);
	assert_int_equal(names.count, 4);
	assert_string_equal(names.names[2].kind, "other");
	assert_int_equal(ks_altnames_write(der, ctx, &names), 0);
	assert_true(ks_bytes_equal(ks_buffer_bytes(der), bytes));
	ks_altnames_free(&names);
	X509_free(parsed);
}

static void bad_alternative_names_are_refused(void **state)
{
	static const char *const typed[] = {
		"www.example.org", "dsn:www.example.org", "dns:",         "dns:a..b", "dns:-a.b",
		"dns:a b",         "dns:\xc3\xa9.b",      "email:nobody", "email:@b", "ip:1.2.3",
		"ip:1.2.3.4/8",    "uri:nothing",         "upn:x",        "dirname:x"
	};
	struct ks_altnames names = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(typed) / sizeof(*typed); i++)
		assert_int_equal(ks_altnames_add(&names, ctx, typed[i]), KS_EUSAGE);
	assert_int_equal(names.count, 0);
	assert_int_equal(ks_altnames_add(&names, ctx, "dsn:www.example.org"), KS_EUSAGE);
	assert_non_null(strstr(ks_ctx_text(ctx), "did you mean dns?"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(names_keep_the_order_they_were_typed_in, start, finish),
		cmocka_unit_test_setup_teardown(bad_names_are_refused_with_a_reason, start, finish),
		cmocka_unit_test_setup_teardown(every_string_type_is_read, start, finish),
		cmocka_unit_test_setup_teardown(the_common_name_is_plain_text, start, finish),
		cmocka_unit_test_setup_teardown(alternative_names_survive_der, start, finish),
		cmocka_unit_test_setup_teardown(openssl_s_alternative_names_come_back_byte_for_byte, start, finish),
		cmocka_unit_test_setup_teardown(bad_alternative_names_are_refused, start, finish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
