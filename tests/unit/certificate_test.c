/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "certificate.h"
#include "made.h"
#include "bare.h" /* its ctx would be hidden by parameters of the others */

static void the_walk_says_what_openssl_put_in(void **state)
{
	struct made made = { .subject = "CN=leaf,O=HW,C=GB",
			     .extensions = { "critical,CA:TRUE,pathlen:3", "critical,digitalSignature,keyCertSign", "clientAuth" } };
	ks_auto(buffer) der = made_certificate(ctx, &made);
	struct ks_certificate_facts facts;

	(void)state;
	assert_non_null(der);
	assert_int_equal(ks_certificate_facts(&facts, ks_buffer_bytes(der)), 0);
	assert_true(facts.is_ca);
	assert_int_equal(facts.path_length, 3);
	assert_true(facts.has_key_usage);
	assert_int_equal(facts.key_usage, 1u << 0 | 1u << 5);
	assert_int_equal(ks_certificate_purposes(&facts), KS_FOR_CLIENT);
	assert_true(facts.self_issued);
	assert_int_equal(facts.not_before, MADE_FROM);
	assert_int_equal(facts.not_after, MADE_UNTIL);
	assert_int_equal(facts.key.type, KS_KEY_EC);
	assert_true(ks_bytes_equal(facts.serial, KS_BYTES("\x12\x34", 2)));
	assert_true(ks_certificate_shaped(ks_buffer_bytes(der)));
}

static void a_leaf_is_no_ca_and_may_serve_any_purpose(void **state)
{
	struct made made = { .subject = "CN=leaf" };
	ks_auto(buffer) der = made_certificate(ctx, &made);
	struct ks_certificate_facts facts;

	(void)state;
	assert_int_equal(ks_certificate_facts(&facts, ks_buffer_bytes(der)), 0);
	assert_false(facts.has_key_usage);
	assert_int_equal(facts.path_length, -1);
	assert_true(ks_certificate_purposes(&facts) & KS_FOR_SERVER);
	assert_true(ks_certificate_purposes(&facts) & KS_FOR_ANY);
}

/* Every cut and every flipped bit: the answer may be yes or no, but it must come from inside the bytes (run under ASan). */
static void cut_and_flipped_certificates_never_read_outside(void **state)
{
	struct made made = { .subject = "CN=leaf,O=HW", .extensions = { "CA:FALSE", "digitalSignature", "serverAuth" } };
	ks_auto(buffer) der = made_certificate(ctx, &made);
	struct ks_certificate_facts facts;

	(void)state;
	for (size_t cut = 0; cut < der->size; cut++) {
		unsigned char *exact = malloc(cut ? cut : 1);

		memcpy(exact, der->data, cut);
		assert_int_equal(ks_certificate_facts(&facts, KS_BYTES(exact, cut)), KS_EDAMAGED);
		assert_false(ks_certificate_shaped(KS_BYTES(exact, cut)));
		free(exact);
	}
	for (size_t bit = 0; bit < der->size * 8; bit++) {
		der->data[bit / 8] ^= 1u << bit % 8;
		if (ks_certificate_facts(&facts, ks_buffer_bytes(der)) == 0)
			ks_certificate_purposes(&facts);
		der->data[bit / 8] ^= 1u << bit % 8;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_walk_says_what_openssl_put_in, start, finish),
		cmocka_unit_test_setup_teardown(a_leaf_is_no_ca_and_may_serve_any_purpose, start, finish),
		cmocka_unit_test_setup_teardown(cut_and_flipped_certificates_never_read_outside, start, finish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
