/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "bare.h"
#include "plan.h"

static struct ks_item *add(struct ks_set *set, const char *label)
{
	struct ks_item *item = ks_set_add(set, KS_CERTIFICATE);

	item->label = ks_bytes_of(label);
	item->der = ks_bytes_of(label);
	item->raw = ks_bytes_of("record");
	return item;
}

static void the_result_keeps_order_and_untouched_records(void **state)
{
	ks_auto(set) have = NULL;
	ks_auto(set) other = NULL;
	ks_auto(set) result = NULL;
	ks_auto(plan) plan = NULL;
	struct ks_item *a, *b, *c;

	(void)state;
	assert_int_equal(ks_set_new(&have, ctx), 0);
	assert_int_equal(ks_set_new(&other, ctx), 0);
	a = add(have, "a");
	b = add(have, "b");
	c = add(have, "c");
	assert_int_equal(ks_plan_new(&plan, ctx, have), 0);
	assert_int_equal(ks_plan_remove(plan, a), 0);
	assert_int_equal(ks_plan_rename(plan, b, "B"), 0);
	assert_int_equal(ks_plan_put(plan, add(other, "d"), NULL), 0);
	assert_int_equal(ks_plan_note(plan, c, "stays"), 0);
	assert_int_equal(ks_plan_result(&result, plan), 0);
	assert_int_equal(ks_set_count(result), 3);
	assert_true(ks_bytes_are(ks_set_at(result, 0)->label, "B"));
	assert_null(ks_set_at(result, 0)->raw.data);
	assert_true(ks_bytes_are(ks_set_at(result, 1)->label, "c"));
	assert_true(ks_bytes_are(ks_set_at(result, 1)->raw, "record"));
	assert_true(ks_bytes_are(ks_set_at(result, 2)->label, "d"));
	assert_null(ks_set_at(result, 2)->raw.data);
}

static void a_plan_that_only_keeps_is_empty(void **state)
{
	ks_auto(set) have = NULL;
	ks_auto(plan) plan = NULL;
	struct ks_item *a;

	(void)state;
	assert_int_equal(ks_set_new(&have, ctx), 0);
	a = add(have, "a");
	assert_int_equal(ks_plan_new(&plan, ctx, have), 0);
	assert_int_equal(ks_plan_note(plan, a, "stays"), 0);
	assert_true(ks_plan_empty(plan));
	assert_int_equal(ks_plan_remove(plan, a), 0);
	assert_false(ks_plan_empty(plan));
}

static void items_stay_where_they_are_while_the_set_grows(void **state)
{
	ks_auto(set) set = NULL;
	struct ks_item *first;

	(void)state;
	assert_int_equal(ks_set_new(&set, ctx), 0);
	first = add(set, "first");
	for (int i = 0; i < 5000; i++)
		assert_non_null(ks_set_add(set, KS_OPAQUE));
	assert_ptr_equal(ks_set_at(set, 0), first);
	assert_null(ks_set_at(set, 5001));
}

static void a_copy_keeps_the_bytes_of_its_source_alive(void **state)
{
	ks_auto(set) copies = NULL;
	struct ks_set *source = NULL;
	struct ks_item *item;

	(void)state;
	assert_int_equal(ks_set_new(&copies, ctx), 0);
	assert_int_equal(ks_set_new(&source, ctx), 0);
	item = ks_set_add(source, KS_OPAQUE);
	item->label = ks_set_bytes(source, "kept", 4);
	assert_non_null(ks_set_copy(copies, item));
	ks_set_free(source);
	assert_true(ks_bytes_are(ks_set_at(copies, 0)->label, "kept"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_result_keeps_order_and_untouched_records, start, finish),
		cmocka_unit_test_setup_teardown(a_plan_that_only_keeps_is_empty, start, finish),
		cmocka_unit_test_setup_teardown(items_stay_where_they_are_while_the_set_grows, start, finish),
		cmocka_unit_test_setup_teardown(a_copy_keeps_the_bytes_of_its_source_alive, start, finish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
