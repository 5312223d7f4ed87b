/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "der.h"

static int read_one(const char *bytes, size_t size)
{
	struct ks_bytes rest = KS_BYTES(bytes, size);
	struct ks_der element;

	return ks_der_next(&element, &rest);
}

static void lengths_that_der_forbids_are_refused(void **state)
{
	(void)state;
	assert_int_equal(read_one("\x04\x01x", 3), 0);
	assert_int_equal(read_one("\x04\x02x", 3), KS_EDAMAGED);
	assert_int_equal(read_one("\x04\x81\x01x", 4), KS_EDAMAGED);
	assert_int_equal(read_one("\x30\x80\x00\x00", 4), KS_EDAMAGED);
	assert_int_equal(read_one("\x04\x84\xff\xff\xff\xff", 6), KS_EDAMAGED);
	assert_int_equal(read_one("\x1f\x81\x01\x00", 4), KS_EDAMAGED);
	assert_int_equal(read_one("", 0), KS_EDAMAGED);
}

static void what_is_written_is_read_back(void **state)
{
	static const size_t sizes[] = { 0, 127, 128, 255, 256, 70000 };
	unsigned char *filler = calloc(1, 70000);

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		ks_auto(buffer) buffer = ks_buffer_new(1 << 20);
		struct ks_der outer, inner;
		size_t mark = ks_der_open(buffer, KS_DER_SEQUENCE);

		ks_der_put(buffer, KS_DER_OCTETS, KS_BYTES(filler, sizes[i]));
		assert_int_equal(ks_der_close(buffer, mark), 0);
		assert_int_equal(ks_der_only(&outer, ks_buffer_bytes(buffer), KS_DER_SEQUENCE), 0);
		assert_int_equal(ks_der_only(&inner, outer.content, KS_DER_OCTETS), 0);
		assert_int_equal(inner.content.size, sizes[i]);
	}
	free(filler);
}

static void numbers_have_the_shortest_form(void **state)
{
	static const uint64_t values[] = { 0, 127, 128, 255, 256, 65537, UINT64_MAX };
	static const size_t sizes[] = { 3, 3, 4, 4, 4, 5, 11 };

	(void)state;
	for (size_t i = 0; i < 7; i++) {
		ks_auto(buffer) buffer = ks_buffer_new(32);
		struct ks_der number;
		uint64_t back = 1;

		assert_int_equal(ks_der_put_number(buffer, values[i]), 0);
		assert_int_equal(buffer->size, sizes[i]);
		assert_int_equal(ks_der_only(&number, ks_buffer_bytes(buffer), KS_DER_INTEGER), 0);
		assert_int_equal(ks_der_number(&back, number.content), 0);
		assert_true(back == values[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lengths_that_der_forbids_are_refused),
		cmocka_unit_test(what_is_written_is_read_back),
		cmocka_unit_test(numbers_have_the_shortest_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
