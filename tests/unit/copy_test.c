/* SPDX-License-Identifier: Apache-2.0 */
/* What copies, removals, renames and differences decide, between stores that exist in memory only. */
#include "test.h"

#include "check.h"
#include "copy.h"
#include "made.h"

static struct ks_ctx *ctx;
static struct ks_buffer *first, *second;

static const struct ks_engine whole = {
	.name = "p12",
	.title = "test store",
	.can = KS_CAN_KEYS | KS_CAN_CERTIFICATES | KS_CAN_ANCHORS | KS_CAN_LABELS | KS_CAN_IDS | KS_CAN_WRITE | KS_CAN_MANY | KS_CAN_ATOMIC,
};
static const struct ks_engine certificates_only = {
	.name = "p7",
	.title = "test store",
	.can = KS_CAN_CERTIFICATES | KS_CAN_WRITE | KS_CAN_MANY | KS_CAN_ATOMIC,
};
static struct ks_where where = { .text = (char *)"mem:store" };

static int start(void **state)
{
	struct made made = { .subject = "CN=first" }, other = { .subject = "CN=second" };

	(void)state;
	if (ks_ctx_new(&ctx, NULL) < 0)
		return -1;
	first = made_certificate(ctx, &made);
	second = made_certificate(ctx, &other);
	return first && second ? 0 : -1;
}

static int finish(void **state)
{
	(void)state;
	ks_buffer_free(first);
	ks_buffer_free(second);
	return ks_ctx_free(ctx);
}

static void store_new(struct ks_store *store, const struct ks_engine *engine)
{
	*store = (struct ks_store){ .ctx = ctx, .engine = engine, .where = &where };
	assert_int_equal(ks_set_new(&store->items, ctx), 0);
}

static void store_end(struct ks_store *store)
{
	ks_entries_free(store->entries);
	ks_set_free(store->items);
}

static struct ks_item *add(struct ks_store *store, enum ks_kind kind, const char *label, const struct ks_buffer *der)
{
	struct ks_item *item = ks_set_add(store->items, kind);

	assert_non_null(item);
	item->label = item->id = ks_bytes_of(label);
	item->der = der ? ks_buffer_bytes(der) : KS_NONE;
	return item;
}

static const struct ks_entry *only_entry(struct ks_store *store)
{
	const struct ks_entries *entries;

	assert_int_equal(ks_store_entries(&entries, store), 0);
	assert_int_equal(entries->count, 1);
	return &entries->entries[0];
}

static void a_label_that_is_taken_is_refused_until_replaced(void **state)
{
	struct ks_store from, to;
	struct ks_copy_wish wish = { 0 };
	ks_auto(plan) plan = NULL;

	(void)state;
	store_new(&from, &whole);
	store_new(&to, &whole);
	add(&from, KS_CERTIFICATE, "web", first);
	add(&to, KS_CERTIFICATE, "web", second);
	assert_int_equal(ks_copy_plan(&plan, &from, only_entry(&from), &to, &wish), KS_EEXISTS);
	wish.replace = true;
	assert_int_equal(ks_copy_plan(&plan, &from, only_entry(&from), &to, &wish), 0);
	assert_int_equal(plan->count, 2);
	assert_int_equal(plan->changes[0].what, KS_REMOVE);
	assert_int_equal(plan->changes[1].what, KS_ADD);
	store_end(&from);
	store_end(&to);
}

static void what_is_there_already_is_not_copied_again(void **state)
{
	struct ks_store from, to;
	struct ks_copy_wish wish = { 0 };
	ks_auto(plan) plan = NULL;

	(void)state;
	store_new(&from, &whole);
	store_new(&to, &whole);
	add(&from, KS_CERTIFICATE, "web", first);
	add(&to, KS_CERTIFICATE, "web", first);
	assert_int_equal(ks_copy_plan(&plan, &from, NULL, &to, &wish), 0);
	assert_true(ks_plan_empty(plan));
	store_end(&from);
	store_end(&to);
}

static void a_key_that_the_target_cannot_hold_is_said_or_refused(void **state)
{
	struct ks_store from, to;
	struct ks_copy_wish wish = { 0 };
	ks_auto(plan) plan = NULL;

	(void)state;
	store_new(&from, &whole);
	store_new(&to, &certificates_only);
	add(&from, KS_PRIVATE_KEY, "web", NULL);
	add(&from, KS_CERTIFICATE, "web", first);
	wish.strict = true;
	assert_int_equal(ks_copy_plan(&plan, &from, only_entry(&from), &to, &wish), KS_ELOSSY);
	wish.strict = false;
	assert_int_equal(ks_copy_plan(&plan, &from, only_entry(&from), &to, &wish), 0);
	assert_int_equal(plan->count, 1);
	assert_int_equal(plan->changes[0].item->kind, KS_CERTIFICATE);
	assert_non_null(ks_ctx_notice(ctx, 0));
	store_end(&from);
	store_end(&to);
}

static void removing_a_key_takes_its_certificate_and_the_earlier_copy(void **state)
{
	struct ks_store store;
	ks_auto(plan) plan = NULL;

	(void)state;
	store_new(&store, &whole);
	add(&store, KS_PRIVATE_KEY, "web", NULL);
	add(&store, KS_CERTIFICATE, "web", first);
	assert_int_equal(ks_remove_plan(&plan, &store, only_entry(&store)), 0);
	assert_int_equal(plan->count, 2);
	assert_true(plan->drop_old);
	store_end(&store);
}

static void a_renamed_entry_differs_and_another_certificate_is_plus_and_minus(void **state)
{
	struct ks_store left, right;
	struct ks_differences differences = { 0 };

	(void)state;
	store_new(&left, &whole);
	store_new(&right, &whole);
	add(&left, KS_CERTIFICATE, "web", first);
	add(&right, KS_CERTIFICATE, "www", first);
	assert_int_equal(ks_diff(&differences, &left, &right), 0);
	assert_int_equal(differences.count, 1);
	assert_int_equal(differences.rows[0].sign, '~');
	ks_differences_free(&differences);
	store_end(&right);
	store_new(&right, &whole);
	add(&right, KS_CERTIFICATE, "other", second);
	assert_int_equal(ks_diff(&differences, &left, &right), 0);
	assert_int_equal(differences.count, 2);
	assert_int_equal(differences.rows[0].sign, '-');
	assert_int_equal(differences.rows[1].sign, '+');
	ks_differences_free(&differences);
	store_end(&left);
	store_end(&right);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_label_that_is_taken_is_refused_until_replaced),
		cmocka_unit_test(what_is_there_already_is_not_copied_again),
		cmocka_unit_test(a_key_that_the_target_cannot_hold_is_said_or_refused),
		cmocka_unit_test(removing_a_key_takes_its_certificate_and_the_earlier_copy),
		cmocka_unit_test(a_renamed_entry_differs_and_another_certificate_is_plus_and_minus),
	};

	return cmocka_run_group_tests(tests, start, finish);
}
