/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "bare.h"
#include "keyspec.h"

#include <openssl/obj_mac.h>
#include <openssl/x509.h>

static void every_word_of_the_list_is_understood(void **state)
{
	struct ks_keyspec spec, again;
	char text[32];

	(void)state;
	for (const char *const *word = ks_keyspec_words(); *word; word++) {
		assert_int_equal(ks_keyspec_parse(&spec, ctx, *word), 0);
		ks_keyspec_text(text, &spec);
		assert_int_equal(ks_keyspec_parse(&again, ctx, text), 0);
		assert_memory_equal(&spec, &again, sizeof(spec));
	}
}

static void case_does_not_matter_and_sizes_need_no_word(void **state)
{
	struct ks_keyspec spec;
	char text[32];

	(void)state;
	assert_int_equal(ks_keyspec_parse(&spec, ctx, "RSA:2560"), 0);
	assert_int_equal(spec.bits, 2560);
	assert_int_equal(ks_keyspec_parse(&spec, ctx, "P384"), 0);
	ks_keyspec_text(text, &spec);
	assert_string_equal(text, "ec:p384");
	ks_keyspec_title(text, &spec);
	assert_string_equal(text, "EC P-384");
}

static void an_unknown_word_gets_the_nearest_one(void **state)
{
	struct ks_keyspec spec = { KS_KEY_DH, 1, 1 };

	(void)state;
	assert_int_equal(ks_keyspec_parse(&spec, ctx, "ed25591"), KS_EUSAGE);
	assert_non_null(strstr(ks_ctx_text(ctx), "did you mean ed25519?"));
	assert_int_equal(ks_keyspec_parse(&spec, ctx, "rsa:1024"), KS_EWEAK);
	assert_int_equal(ks_keyspec_parse(&spec, ctx, "rsa:99999999999999999999"), KS_EUSAGE);
	assert_int_equal(ks_keyspec_parse(&spec, ctx, "rsa:"), KS_EUSAGE);
	assert_int_equal(spec.type, KS_KEY_DH);
}

/* OpenSSL makes the key and encodes its public half; the walk must say the same about it. */
static void a_public_key_is_measured_as_it_was_made(void **state)
{
	static const char *const made[] = { "rsa:2048", "rsa-pss:2048", "ec:p256",   "ec:p384",	"ec:p521",
					    "ed25519",	"ed448",	"ml-dsa-44", "ml-dsa-65", "ml-dsa-87" };

	(void)state;
	for (size_t i = 0; i < sizeof(made) / sizeof(*made); i++) {
		ks_auto_ssl(EVP_PKEY) pair = NULL;
		struct ks_keyspec spec, seen;
		unsigned char *der = NULL;
		int size;

		assert_int_equal(ks_keyspec_parse(&spec, ctx, made[i]), 0);
		if (ks_keyspec_known(ctx, &spec) < 0)
			continue; /* ML-DSA before OpenSSL 3.5: the next test */
		assert_int_equal(ks_keyspec_make(&pair, ctx, &spec), 0);
		size = i2d_PUBKEY(pair, &der);
		assert_true(size > 0);
		seen = ks_keyspec_of_spki(KS_BYTES(der, (size_t)size));
		assert_memory_equal(&spec, &seen, sizeof(spec));
		assert_int_equal(ks_keyspec_of_spki(KS_BYTES(der, (size_t)size - 1)).type, KS_KEY_UNKNOWN);
		OPENSSL_free(der);
	}
}

/* The algorithm of ML-DSA-44 (RFC 9881 2) before a key of one octet: only the algorithm is looked at. */
static void a_public_key_that_openssl_does_not_know_is_named_all_the_same(void **state)
{
	static const unsigned char der[] = { 0x30, 0x11, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
					     0x65, 0x03, 0x04, 0x03, 0x11, 0x03, 0x02, 0x00, 0x42 };
	struct ks_keyspec seen = ks_keyspec_of_spki(KS_BYTES(der, sizeof(der)));
	char text[32];

	(void)state;
	ks_keyspec_text(text, &seen);
	assert_string_equal(text, "ml-dsa-44");
	ks_keyspec_title(text, &seen);
	assert_string_equal(text, "ML-DSA-44");
}

static void a_kind_of_key_that_openssl_does_not_have_is_told_with_the_version_that_has_it(void **state)
{
	struct ks_keyspec spec = { KS_KEY_ML_DSA_65, 1952 * 8, 0 };
	EVP_PKEY *pair = NULL;
	bool has = OpenSSL_version_num() >= 0x30500000L;

	(void)state;
	assert_int_equal(ks_keyspec_known(ctx, &spec), has ? 0 : KS_EUNABLE);
	assert_int_equal(ks_keyspec_make(&pair, ctx, &spec), has ? 0 : KS_EUNABLE);
	if (!has) {
		assert_non_null(strstr(ks_ctx_text(ctx), "has no ML-DSA-65"));
		assert_non_null(strstr(ks_ctx_hint(ctx), "OpenSSL 3.5"));
	}
	EVP_PKEY_free(pair);
}

static void a_curve_outside_the_table_is_named_by_openssl(void **state)
{
	ks_auto_ssl(EVP_PKEY) pair = EVP_EC_gen("brainpoolP320r1");
	struct ks_keyspec seen;
	unsigned char *der = NULL;
	char text[32];
	int size;

	(void)state;
	assert_non_null(pair);
	size = i2d_PUBKEY(pair, &der);
	assert_true(size > 0);
	seen = ks_keyspec_of_spki(KS_BYTES(der, (size_t)size));
	OPENSSL_free(der);
	ks_keyspec_text(text, &seen);
	assert_string_equal(text, "ec:brainpoolP320r1");
	assert_int_equal(seen.bits, 320);
}

static void keys_that_are_only_read_are_not_made(void **state)
{
	struct ks_keyspec spec = { KS_KEY_DSA, 2048, 0 };
	EVP_PKEY *pair = NULL;

	(void)state;
	assert_int_equal(ks_keyspec_make(&pair, ctx, &spec), KS_EUNABLE);
	assert_null(pair);
}

static void a_public_key_is_decoded_as_openssl_does(void **state)
{
	static const char *const kinds[] = { "p256", "p384", "p521", "rsa:2048", "ed25519" };

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		ks_auto_ssl(EVP_PKEY) pair = NULL;
		ks_auto_ssl(EVP_PKEY) decoded = NULL;
		struct ks_keyspec spec;
		unsigned char *der = NULL;
		int size;

		assert_int_equal(ks_keyspec_parse(&spec, ctx, kinds[i]), 0);
		assert_int_equal(ks_keyspec_make(&pair, ctx, &spec), 0);
		size = i2d_PUBKEY(pair, &der);
		assert_int_equal(ks_spki_key(&decoded, ctx, KS_BYTES(der, (size_t)size)), 0);
		assert_int_equal(EVP_PKEY_eq(pair, decoded), 1);
		OPENSSL_free(der);
	}
}

static void a_point_that_is_not_on_its_curve_is_no_key(void **state)
{
	ks_auto_ssl(EVP_PKEY) pair = EVP_EC_gen("P-256");
	EVP_PKEY *decoded = NULL;
	unsigned char *der = NULL;
	int size = i2d_PUBKEY(pair, &der);

	(void)state;
	der[size - 1] ^= 1;
	assert_int_equal(ks_spki_key(&decoded, ctx, KS_BYTES(der, (size_t)size)), KS_EDAMAGED);
	assert_null(decoded);
	OPENSSL_free(der);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_word_of_the_list_is_understood, start, finish),
		cmocka_unit_test_setup_teardown(case_does_not_matter_and_sizes_need_no_word, start, finish),
		cmocka_unit_test_setup_teardown(an_unknown_word_gets_the_nearest_one, start, finish),
		cmocka_unit_test_setup_teardown(a_public_key_is_measured_as_it_was_made, start, finish),
		cmocka_unit_test_setup_teardown(a_public_key_that_openssl_does_not_know_is_named_all_the_same, start, finish),
		cmocka_unit_test_setup_teardown(a_kind_of_key_that_openssl_does_not_have_is_told_with_the_version_that_has_it, start,
						finish),
		cmocka_unit_test_setup_teardown(a_curve_outside_the_table_is_named_by_openssl, start, finish),
		cmocka_unit_test_setup_teardown(keys_that_are_only_read_are_not_made, start, finish),
		cmocka_unit_test_setup_teardown(a_public_key_is_decoded_as_openssl_does, start, finish),
		cmocka_unit_test_setup_teardown(a_point_that_is_not_on_its_curve_is_no_key, start, finish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
