/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BER that is not DER, BMPString that is not UTF-8, and key derivation against published vectors.
 */
#include "test.h"

#include "file/ber.h"
#include "file/bmp.h"
#include "file/derive.h"

struct fixture {
	struct ks_ctx *ctx;
	struct ks_set *set;
};

static int start(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct ks_settings settings = { 0 };

	assert_int_equal(ks_ctx_new(&f->ctx, &settings), 0);
	assert_int_equal(ks_set_new(&f->set, f->ctx), 0);
	*state = f;
	return 0;
}

static int end(void **state)
{
	struct fixture *f = *state;

	ks_set_free(f->set);
	assert_int_equal(ks_ctx_free(f->ctx), 0);
	free(f);
	return 0;
}

#define LITERAL(text) KS_BYTES(text, sizeof(text) - 1)

static void an_indefinite_element_ends_at_its_own_end(void **state)
{
	struct ks_bytes rest = LITERAL("\x30\x80\x30\x80\x02\x01\x05\x00\x00\x00\x00\x04\x01x");
	struct ks_der element;

	(void)state;
	assert_int_equal(ks_ber_expect(&element, &rest, KS_DER_SEQUENCE), 0);
	assert_int_equal(element.whole.size, 11);
	assert_int_equal(element.content.size, 7);
	assert_int_equal(ks_ber_expect(&element, &rest, KS_DER_OCTETS), 0);
	assert_int_equal(rest.size, 0);
}

static void what_is_not_ber_takes_nothing(void **state)
{
	static const struct ks_bytes bad[] = {
		{ NULL, 0 },
		{ (const unsigned char *)"\x30", 1 },
		{ (const unsigned char *)"\x30\x05\x02\x01", 4 },	/* longer than what is there */
		{ (const unsigned char *)"\x30\x80\x02\x01\x05", 5 },	/* no end */
		{ (const unsigned char *)"\x04\x80\x00\x00", 4 },	/* primitive without a length */
		{ (const unsigned char *)"\x3f\x01\x00", 3 },		/* tag above 30 */
		{ (const unsigned char *)"\x30\x89\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00", 12 },
		{ (const unsigned char *)"\x30\x84\xff\xff\xff\xff", 6 },
	};
	struct ks_der element;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct ks_bytes rest = bad[i];

		assert_int_equal(ks_ber_next(&element, &rest), KS_EDAMAGED);
		assert_ptr_equal(rest.data, bad[i].data);
	}
}

static void nesting_ends_at_64(void **state)
{
	unsigned char deep[4 * 100];
	struct ks_bytes rest = KS_BYTES(deep, sizeof(deep));
	struct ks_der element;

	(void)state;
	for (size_t i = 0; i < 100; i++)
		memcpy(deep + 2 * i, "\x30\x80", 2);
	memset(deep + 200, 0, 200);
	assert_int_equal(ks_ber_next(&element, &rest), KS_ELIMIT);
	rest = KS_BYTES(deep + 80, 120 + 120);
	assert_int_equal(ks_ber_next(&element, &rest), 0);
}

static void pieces_of_a_string_are_joined(void **state)
{
	struct fixture *f = *state;
	struct ks_bytes rest = LITERAL("\x24\x80\x04\x02" "ab" "\x24\x06\x04\x01" "c" "\x04\x01" "d" "\x00\x00"), joined;
	struct ks_der element;

	assert_int_equal(ks_ber_next(&element, &rest), 0);
	assert_int_equal(ks_ber_octets(&joined, f->set, &element), 0);
	assert_true(ks_bytes_are(joined, "abcd"));
	rest = LITERAL("\x24\x03\x02\x01\x00");
	assert_int_equal(ks_ber_next(&element, &rest), 0);
	assert_int_equal(ks_ber_octets(&joined, f->set, &element), KS_EDAMAGED);
}

static void ber_becomes_der_and_der_stays_where_it_is(void **state)
{
	struct fixture *f = *state;
	struct ks_bytes ber = LITERAL("\x30\x80\x24\x80\x04\x01" "a" "\x04\x01" "b" "\x00\x00\x02\x81\x01\x07\x00\x00");
	struct ks_bytes der = LITERAL("\x30\x07\x04\x02" "ab" "\x02\x01\x07"), out;

	assert_false(ks_ber_is_der(ber));
	assert_int_equal(ks_ber_as_der(&out, f->set, ber), 0);
	assert_true(ks_bytes_equal(out, der));
	assert_int_equal(ks_ber_as_der(&out, f->set, der), 0);
	assert_ptr_equal(out.data, der.data);
}

static void a_label_survives_the_way_to_bmp_and_back(void **state)
{
	struct fixture *f = *state;
	struct ks_bytes label = ks_bytes_of("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x94\x91"), back;
	ks_auto(buffer) bmp = ks_buffer_new(64);

	assert_int_equal(ks_bmp_put(bmp, label, false), 0);
	assert_true(ks_bytes_equal(ks_buffer_bytes(bmp), LITERAL("\0a\0\xe4\x20\xac\xd8\x3d\xdd\x11")));
	assert_int_equal(ks_bmp_text(&back, f->set, ks_buffer_bytes(bmp)), 0);
	assert_true(ks_bytes_equal(back, label));
}

static void broken_bmp_is_never_broken_utf8(void **state)
{
	struct fixture *f = *state;
	struct ks_bytes out;

	assert_int_equal(ks_bmp_text(&out, f->set, LITERAL("\0a\0")), KS_EDAMAGED);
	assert_int_equal(ks_bmp_text(&out, f->set, LITERAL("\xd8\x3d")), 0);
	assert_true(ks_bytes_are(out, "\xef\xbf\xbd"));
	assert_int_equal(ks_bmp_text(&out, f->set, LITERAL("\xdd\x11\0b")), 0);
	assert_true(ks_bytes_are(out, "\xef\xbf\xbd" "b"));
	assert_int_equal(ks_bmp_text(&out, f->set, LITERAL("\xd8\x3d\0b")), 0);
	assert_true(ks_bytes_are(out, "\xef\xbf\xbd" "b"));
}

static void text_that_is_not_utf8_is_latin1(void **state)
{
	ks_auto(buffer) bmp = ks_buffer_new(64);

	(void)state;
	assert_int_equal(ks_bmp_put(bmp, LITERAL("\xfc"), false), 0);
	assert_true(ks_bytes_equal(ks_buffer_bytes(bmp), LITERAL("\0\xfc")));
}

static void derive_is(struct fixture *f, const struct ks_derivation *how, enum ks_derive_for purpose, const char *password,
		      struct ks_bytes expected)
{
	unsigned char out[KS_DERIVED_MAX];
	ks_auto(secret) secret = NULL;

	assert_int_equal(ks_secret_new(&secret, f->ctx), 0);
	assert_int_equal(ks_secret_append(secret, f->ctx, password, strlen(password)), 0);
	assert_int_equal(ks_derive(out, expected.size, f->ctx, how, purpose, secret, KS_PASSWORD_UTF8, "the test"), 0);
	assert_memory_equal(out, expected.data, expected.size);
}

static void pbkdf2_gives_the_vector_of_rfc_6070(void **state)
{
	struct ks_derivation how = { .kdf = KS_PBKDF2, .digest = "SHA1", .salt = LITERAL("salt"), .iterations = 4096 };

	derive_is(*state, &how, KS_DERIVE_KEY, "password",
		  LITERAL("\x4b\x00\x79\x01\xb7\x65\x48\x9a\xbe\xad\x49\xd9\x26\xf7\x21\xd0\x65\xa4\x29\xc1"));
}

static void scrypt_gives_the_vector_of_rfc_7914(void **state)
{
	struct ks_derivation how = { .kdf = KS_SCRYPT, .salt = LITERAL("NaCl"), .iterations = 1024, .block = 8, .parallel = 16 };

	derive_is(*state, &how, KS_DERIVE_KEY, "password",
		  LITERAL("\xfd\xba\xbe\x1c\x9d\x34\x72\x00\x78\x56\xe7\x19\x0d\x01\xe9\xfe\x7c\x6a\xd7\xcb\xc8\x23\x78\x30\xe7"
			  "\x73\x76\x63\x4b\x37\x31\x62\x2e\xaf\x30\xd9\x2e\x22\xa3\x88\x6f\xf1\x09\x27\x9d\x98\x30\xda\xc7\x27"
			  "\xaf\xb9\x4a\x83\xee\x6d\x83\x60\xcb\xdf\xa2\xcc\x06\x40"));
}

static void impossible_work_is_refused_before_it_starts(void **state)
{
	struct fixture *f = *state;
	unsigned char out[32];
	struct ks_derivation how = { .kdf = KS_SCRYPT, .salt = LITERAL("x"), .iterations = 1 << 20, .block = 8, .parallel = 1 };

	assert_int_equal(ks_derive(out, 32, f->ctx, &how, KS_DERIVE_KEY, NULL, KS_PASSWORD_UTF8, "the test"), KS_ELIMIT);
	how.iterations = 1000;
	assert_int_equal(ks_derive(out, 32, f->ctx, &how, KS_DERIVE_KEY, NULL, KS_PASSWORD_UTF8, "the test"), KS_EDAMAGED);
	how = (struct ks_derivation){ .kdf = KS_PBKDF2, .digest = "SHA1", .salt = LITERAL("x") };
	assert_int_equal(ks_derive(out, 32, f->ctx, &how, KS_DERIVE_KEY, NULL, KS_PASSWORD_UTF8, "the test"), KS_EDAMAGED);
	assert_int_equal(ks_spend(f->ctx, 10000000, "everything"), 0);
}

static void only_forms_that_differ_are_tried(void **state)
{
	struct fixture *f = *state;
	ks_auto(secret) empty = NULL;
	ks_auto(secret) ascii = NULL;
	ks_auto(secret) umlaut = NULL;

	assert_int_equal(ks_secret_new(&empty, f->ctx), 0);
	assert_int_equal(ks_secret_new(&ascii, f->ctx), 0);
	assert_int_equal(ks_secret_append(ascii, f->ctx, "a", 1), 0);
	assert_int_equal(ks_secret_new(&umlaut, f->ctx), 0);
	assert_int_equal(ks_secret_append(umlaut, f->ctx, "\xc3\xa4", 2), 0);
	assert_true(ks_password_has(empty, KS_PASSWORD_NULL, KS_PKCS12_KDF));
	assert_false(ks_password_has(empty, KS_PASSWORD_NULL, KS_PBKDF2));
	assert_false(ks_password_has(ascii, KS_PASSWORD_NULL, KS_PKCS12_KDF));
	assert_false(ks_password_has(ascii, KS_PASSWORD_LATIN1, KS_PBKDF2));
	assert_true(ks_password_has(umlaut, KS_PASSWORD_LATIN1, KS_PBKDF2));
	assert_true(ks_password_has(ascii, KS_PASSWORD_BMP, KS_PBKDF2));
	assert_false(ks_password_has(ascii, KS_PASSWORD_BMP, KS_PKCS12_KDF));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_indefinite_element_ends_at_its_own_end),
		TEST(what_is_not_ber_takes_nothing),
		TEST(nesting_ends_at_64),
		TEST(pieces_of_a_string_are_joined),
		TEST(ber_becomes_der_and_der_stays_where_it_is),
		TEST(a_label_survives_the_way_to_bmp_and_back),
		TEST(broken_bmp_is_never_broken_utf8),
		TEST(text_that_is_not_utf8_is_latin1),
		TEST(pbkdf2_gives_the_vector_of_rfc_6070),
		TEST(scrypt_gives_the_vector_of_rfc_7914),
		TEST(impossible_work_is_refused_before_it_starts),
		TEST(only_forms_that_differ_are_tried),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
