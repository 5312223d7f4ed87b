/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "bare.h"
#include "file/codecs.h"
#include "file/pkcs7.h"
#include "file/shape.h"

#include <stdio.h>

/* A sample of tests/data as a buffer that a set can own. */
static struct ks_buffer *sample(const char *name)
{
	struct ks_buffer *bytes = ks_buffer_new(65536);
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/tests/data/%s", getenv("KEYSTOW_SOURCE"), name);
	file = fopen(path, "rb");
	assert_non_null(file);
	bytes->size = fread(ks_buffer_room(bytes, 32768), 1, 32768, file);
	fclose(file);
	return bytes;
}

static void each_sample_has_the_shape_its_name_says(void **state)
{
	static const struct {
		const char *name;
		enum ks_shape shape;
	} rows[] = {
		{ "der-certificate.der", KS_SHAPE_CERTIFICATE },	{ "der-request.der", KS_SHAPE_REQUEST },
		{ "der-clear-key.der", KS_SHAPE_PKCS8 },		{ "der-sealed-key.der", KS_SHAPE_SEALED_PKCS8 },
		{ "p7-two-certificates.p7b", KS_SHAPE_PKCS7 },		{ "p12-openssl-aes.p12", KS_SHAPE_PFX },
		{ "pem-key-and-chain.pem", KS_SHAPE_UNKNOWN },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ks_auto(buffer) bytes = sample(rows[i].name);

		assert_int_equal(ks_shape_of(ks_buffer_bytes(bytes)), rows[i].shape);
		assert_int_equal(ks_shape_of(KS_BYTES(bytes->data, 200)), rows[i].shape);
	}
}

static void a_bag_of_certificates_gives_each_of_them(void **state)
{
	ks_auto(set) set = NULL;
	struct ks_buffer *bytes = sample("p7-two-certificates.p7b");
	struct ks_bytes file = ks_buffer_bytes(bytes);

	(void)state;
	assert_int_equal(ks_set_new(&set, ctx), 0);
	assert_int_equal(ks_set_own(set, bytes), 0);
	assert_int_equal(ks_codec_pkcs7.decode(ctx, set, file, NULL), 0);
	assert_int_equal(ks_set_count(set), 2);
	assert_non_null(ks_item_x509(ks_set_at(set, 1), ctx));
}

static void bytes_behind_the_end_are_refused(void **state)
{
	ks_auto(set) set = NULL;
	struct ks_buffer *bytes = sample("der-certificate.der");

	(void)state;
	ks_buffer_put(bytes, "x", 1);
	assert_int_equal(ks_set_new(&set, ctx), 0);
	assert_int_equal(ks_codec_der.decode(ctx, set, ks_buffer_bytes(bytes), NULL), KS_EDAMAGED);
	assert_int_equal(ks_set_own(set, bytes), 0);
}

/* The public exponent of a clear RSA key is changed by one: both halves still parse. */
static void a_key_whose_halves_differ_is_refused_when_it_is_used(void **state)
{
	ks_auto(set) set = NULL;
	ks_auto(buffer) clear = NULL;
	struct ks_buffer *bytes = sample("der-clear-key.der");
	struct ks_bytes file = ks_buffer_bytes(bytes);
	unsigned char *exponent = memmem(bytes->data, bytes->size, "\x02\x03\x01\x00\x01", 5);
	EVP_PKEY *key = NULL;

	(void)state;
	assert_non_null(exponent);
	exponent[4] = 3;
	assert_int_equal(ks_set_new(&set, ctx), 0);
	assert_int_equal(ks_set_own(set, bytes), 0);
	assert_int_equal(ks_codec_der.decode(ctx, set, file, NULL), 0);
	assert_int_equal(ks_set_count(set), 1);
	assert_int_equal(ks_item_pkey(&key, ks_set_at(set, 0), ctx), KS_EDAMAGED);
	assert_int_equal(ks_item_pkcs8(&clear, ks_set_at(set, 0), ctx), KS_EDAMAGED);
	assert_null(key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_sample_has_the_shape_its_name_says, start, finish),
		cmocka_unit_test_setup_teardown(a_bag_of_certificates_gives_each_of_them, start, finish),
		cmocka_unit_test_setup_teardown(bytes_behind_the_end_are_refused, start, finish),
		cmocka_unit_test_setup_teardown(a_key_whose_halves_differ_is_refused_when_it_is_used, start, finish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
