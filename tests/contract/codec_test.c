/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every file format that can be written owes its users, driven by the bits of its row in the table: a new codec is under test
 * as soon as it has a row.
 */
#include "test.h"

#include "stores.h"

#include "file/file.h"
#include "file/proof.h"

static const struct ks_commit_wish keeping = { .keep_old = true };
static const char name[] = "store";

/* Runs `check` for each row that can be written, each with a folder of its own. */
static void for_each_format(void (*check)(const struct ks_engine *row))
{
	for (const struct ks_engine *const *row = ks_engines; *row; row++) {
		if (!(*row)->codec || !((*row)->can & KS_CAN_WRITE))
			continue;
		print_message("# %s\n", (*row)->title);
		assert_int_equal(bench_start(NULL), 0);
		check(*row);
		assert_int_equal(bench_finish(NULL), 0);
	}
}

static struct ks_where *where_of(const struct ks_engine *row)
{
	char scheme[16];

	snprintf(scheme, sizeof(scheme), "%s:", row->name);
	return bench_where(scheme, name);
}

static int open_as(struct ks_store **out, const struct ks_where *where, unsigned mode, const char *password)
{
	bench.answer = password;
	return ks_store_open(out, bench.ctx, where, mode);
}

static struct ks_store *opened(const struct ks_where *where, unsigned mode)
{
	struct ks_store *store = NULL;
	int rc = open_as(&store, where, mode, "secret");

	if (rc < 0)
		print_message("# %s\n", ks_ctx_text(bench.ctx));
	assert_int_equal(rc, 0);
	return store;
}

static int apply_all(struct ks_store *store, struct ks_set *set)
{
	ks_auto(plan) plan = NULL;

	assert_int_equal(ks_plan_new(&plan, bench.ctx, store->items), 0);
	for (size_t i = 0; i < ks_set_count(set); i++)
		assert_int_equal(ks_plan_add(plan, ks_set_at(set, i), NULL, NULL), 0);
	return ks_store_apply(store, plan, &keeping);
}

static int write_set(const struct ks_where *where, struct ks_set *set)
{
	struct ks_store *store = opened(where, KS_WRITE | KS_CREATE);
	int rc = apply_all(store, set);

	ks_store_close(store);
	return rc;
}

static void dress(struct ks_item *item, const struct ks_engine *row, unsigned char id)
{
	if (row->can & KS_CAN_IDS)
		item->id = ks_set_bytes(item->set, &id, 1);
	if (!(row->can & KS_CAN_LABELS))
		item->label = KS_NONE;
	if (row->codec->label && item->label.data)
		item->label = row->codec->label(item->set, item->label);
	if ((row->can & KS_CAN_ANCHORS) && item->kind == KS_CERTIFICATE)
		item->trust.trusted = KS_FOR_ANY;
}

/* As much as the row says it can hold. */
static struct ks_set *full_set(const struct ks_engine *row)
{
	struct ks_set *set = NULL;

	assert_int_equal(ks_set_new(&set, bench.ctx), 0);
	if (row->can & KS_CAN_KEYS)
		dress(bench_key(set, "my key"), row, 1);
	if (row->can & KS_WANTS_CERTIFICATE)
		bench_certificate_of(ks_set_at(set, 0), "CN=my key", "my key");
	if (ks_set_count(set) && !(row->can & KS_CAN_MANY))
		return set;
	dress(bench_certificate(set, "CN=one", "one"), row, 2);
	dress(bench_certificate(set, "CN=two", "Zwei \xc3\xbc \xe2\x82\xac \"quoted\" = #"), row, 3);
	return set;
}

static long size_of(const char *path)
{
	struct stat seen;

	return stat(path, &seen) < 0 ? -1 : (long)seen.st_size;
}

static struct ks_item *first_key(struct ks_store *store)
{
	for (size_t i = 0; i < ks_set_count(store->items); i++) {
		if (ks_set_at(store->items, i)->kind == KS_PRIVATE_KEY)
			return ks_set_at(store->items, i);
	}
	return NULL;
}

/* A damaged block may stay in its file as an object that nobody understands. */
static size_t count_sound(const struct ks_set *set)
{
	size_t count = 0;

	for (size_t i = 0; i < ks_set_count(set); i++)
		count += ks_set_at(set, i)->kind != KS_OPAQUE;
	return count;
}

/* ---- the claims ---- */

static void check_holds(const struct ks_engine *row)
{
	ks_auto(where) where = where_of(row);
	ks_auto(where) bare = bench_where("", name);
	ks_auto(set) set = full_set(row);
	struct ks_store *store;

	assert_int_equal(write_set(where, set), 0);
	store = opened(bare, KS_READ);
	assert_string_equal(store->engine->name, row->name);
	assert_int_equal(ks_proof(bench.ctx, row->can, set, NULL, true, store->items), 0);
	ks_store_close(store);
}

static void what_the_row_says_it_can_hold_comes_back_and_is_recognised(void **state)
{
	(void)state;
	for_each_format(check_holds);
}

static void check_untouched(const struct ks_engine *row)
{
	ks_auto(where) where = where_of(row);
	ks_auto(set) set = full_set(row);
	ks_auto(set) more = NULL;
	ks_auto(set) before = NULL;
	struct ks_store *store;

	if (!(row->can & KS_CAN_MANY))
		return;
	assert_int_equal(write_set(where, set), 0);
	assert_int_equal(ks_set_new(&more, bench.ctx), 0);
	dress(bench_certificate(more, "CN=three", "three"), row, 4);
	store = opened(where, KS_WRITE);
	before = ks_set_ref(store->items);
	assert_int_equal(apply_all(store, more), 0);
	assert_int_equal(ks_set_count(store->items), ks_set_count(before) + 1);
	for (size_t i = 0; i < ks_set_count(before); i++) {
		struct ks_item *item = ks_set_at(before, i);
		bool found = false;

		for (size_t j = 0; !found && j < ks_set_count(store->items); j++)
			found = ks_bytes_equal(ks_set_at(store->items, j)->raw, item->raw);
		assert_true(item->raw.size > 0);
		assert_true(found);
	}
	ks_store_close(store);
}

static void records_that_a_plan_does_not_touch_stay_byte_for_byte(void **state)
{
	(void)state;
	for_each_format(check_untouched);
}

static void check_truncated(const struct ks_engine *row)
{
	ks_auto(where) where = where_of(row);
	ks_auto(set) set = full_set(row);
	char path[160];
	long size;

	assert_int_equal(write_set(where, set), 0);
	snprintf(path, sizeof(path), "%s", bench_path(name));
	size = size_of(path);
	for (long cut = size - 40; cut > 0; cut -= size / 40 + 1) {
		struct ks_store *store = NULL;
		int rc;

		assert_int_equal(truncate(path, cut), 0);
		rc = open_as(&store, where, KS_READ, "secret");
		if (rc == 0)
			assert_true(!(row->can & KS_CAN_MAC) && count_sound(store->items) < ks_set_count(set));
		ks_store_close(store);
	}
}

static void a_truncated_file_never_looks_whole(void **state)
{
	(void)state;
	for_each_format(check_truncated);
}

static void check_sealed(const struct ks_engine *row)
{
	ks_auto(where) where = where_of(row);
	ks_auto(set) set = full_set(row);
	struct ks_store *store = NULL;
	EVP_PKEY *key = NULL;
	int rc;

	if (!(row->can & KS_CAN_SEAL))
		return;
	assert_int_equal(write_set(where, set), 0);
	rc = open_as(&store, where, KS_READ, "wrong");
	if (rc == 0) {
		rc = ks_item_pkey(&key, first_key(store), bench.ctx);
		assert_null(key);
	}
	assert_int_equal(rc, KS_EPASSWORD);
	ks_store_close(store);
	store = opened(where, KS_READ);
	assert_int_equal(ks_item_pkey(&key, first_key(store), bench.ctx), 0);
	EVP_PKEY_free(key);
	ks_store_close(store);
}

static void keys_open_with_their_password_and_with_no_other(void **state)
{
	(void)state;
	for_each_format(check_sealed);
}

static void check_repassword(const struct ks_engine *row)
{
	ks_auto(where) where = where_of(row);
	ks_auto(set) set = full_set(row);
	ks_auto(plan) plan = NULL;
	ks_auto(secret) fresh = NULL;
	struct ks_store *store;
	EVP_PKEY *key = NULL;
	int rc;

	if (!(row->can & KS_CAN_SEAL))
		return;
	assert_int_equal(write_set(where, set), 0);
	store = opened(where, KS_WRITE);
	assert_int_equal(ks_secret_new(&fresh, bench.ctx), 0);
	assert_int_equal(ks_secret_append(fresh, bench.ctx, "fresh", 5), 0);
	assert_int_equal(ks_plan_new(&plan, bench.ctx, store->items), 0);
	ks_plan_repassword(plan, fresh);
	assert_int_equal(ks_store_apply(store, plan, &keeping), 0);
	ks_store_close(store);
	store = NULL;
	rc = open_as(&store, where, KS_READ, "secret");
	if (rc == 0)
		rc = ks_item_pkey(&key, first_key(store), bench.ctx);
	assert_int_equal(rc, KS_EPASSWORD);
	ks_store_close(store);
	store = NULL;
	assert_int_equal(open_as(&store, where, KS_READ, "fresh"), 0);
	assert_int_equal(ks_item_pkey(&key, first_key(store), bench.ctx), 0);
	EVP_PKEY_free(key);
	ks_store_close(store);
}

static void a_new_password_takes_the_place_of_the_old_one(void **state)
{
	(void)state;
	for_each_format(check_repassword);
}

static void check_emptied(const struct ks_engine *row)
{
	ks_auto(where) where = where_of(row);
	ks_auto(set) set = full_set(row);
	ks_auto(plan) plan = NULL;
	struct ks_store *store;

	if (!(row->can & KS_CAN_MANY))
		return;
	assert_int_equal(write_set(where, set), 0);
	store = opened(where, KS_WRITE);
	assert_int_equal(ks_plan_new(&plan, bench.ctx, store->items), 0);
	for (size_t i = 0; i < ks_set_count(store->items); i++)
		assert_int_equal(ks_plan_remove(plan, ks_set_at(store->items, i)), 0);
	assert_int_equal(ks_store_apply(store, plan, &keeping), 0);
	ks_store_close(store);
	store = opened(where, KS_WRITE);
	assert_int_equal(ks_set_count(store->items), 0);
	assert_int_equal(apply_all(store, set), 0);
	ks_store_close(store);
}

static void an_emptied_store_opens_and_takes_items_again(void **state)
{
	(void)state;
	for_each_format(check_emptied);
}

static void check_one_only(const struct ks_engine *row)
{
	ks_auto(where) where = where_of(row);
	ks_auto(set) set = NULL;

	if (row->can & KS_CAN_MANY)
		return;
	assert_int_equal(ks_set_new(&set, bench.ctx), 0);
	bench_certificate(set, "CN=one", NULL);
	bench_certificate(set, "CN=two", NULL);
	assert_int_equal(write_set(where, set), KS_ELOSSY);
	assert_int_equal(size_of(bench_path(name)), -1);
}

static void a_file_for_one_thing_refuses_two_and_is_not_made(void **state)
{
	(void)state;
	for_each_format(check_one_only);
}

static void check_alien(const struct ks_engine *row)
{
	ks_auto(where) where = where_of(row);
	ks_auto(set) set = full_set(row);
	ks_auto(set) alien = NULL;
	struct ks_store *store;
	struct ks_item *item;
	long size;

	assert_int_equal(write_set(where, set), 0);
	size = size_of(bench_path(name));
	assert_int_equal(ks_set_new(&alien, bench.ctx), 0);
	item = ks_set_add(alien, KS_OPAQUE);
	item->der = KS_BYTES("\x30\x03\x02\x01\x05", 5);
	store = opened(where, KS_WRITE);
	assert_true(apply_all(store, alien) < 0);
	ks_store_close(store);
	assert_int_equal(size_of(bench_path(name)), size);
	assert_int_equal(size_of(bench_path("store.old")), -1);
}

static void what_nobody_understands_is_refused_and_the_store_stays(void **state)
{
	(void)state;
	for_each_format(check_alien);
}

static void check_renamed(const struct ks_engine *row)
{
	ks_auto(where) where = where_of(row);
	ks_auto(set) set = full_set(row);
	ks_auto(plan) plan = NULL;
	struct ks_store *store;
	unsigned found = 0;
	const struct ks_entry *entry;
	char label[40];

	if (!(row->can & KS_CAN_LABELS))
		return;
	assert_int_equal(write_set(where, set), 0);
	store = opened(where, KS_WRITE);
	assert_int_equal(ks_plan_new(&plan, bench.ctx, store->items), 0);
	for (size_t i = 0; (entry = ks_store_entry_at(store, i)); i++) {
		snprintf(label, sizeof(label), "another name %zu", i);
		if (entry->key)
			assert_int_equal(ks_plan_rename(plan, entry->key, label), 0);
		if (entry->certificate)
			assert_int_equal(ks_plan_rename(plan, entry->certificate, label), 0);
	}
	assert_int_equal(ks_store_apply(store, plan, &keeping), 0);
	ks_store_close(store);
	store = opened(where, KS_READ);
	for (size_t i = 0; (entry = ks_store_entry_at(store, i)); i++) {
		snprintf(label, sizeof(label), "another name %zu", i);
		found += entry->key && ks_bytes_are(entry->key->label, label);
		found += entry->certificate && ks_bytes_are(entry->certificate->label, label);
	}
	assert_int_equal(found, ks_set_count(set));
	ks_store_close(store);
}

static void a_label_can_be_changed_and_stays_changed(void **state)
{
	(void)state;
	for_each_format(check_renamed);
}

static void check_aliases(const struct ks_engine *row)
{
	ks_auto(where) where = where_of(row);
	ks_auto(set) set = NULL;
	struct ks_store *store;
	struct ks_bytes first, second;

	if (!(row->can & KS_CAN_ALIASES))
		return;
	assert_int_equal(ks_set_new(&set, bench.ctx), 0);
	dress(bench_certificate(set, "CN=one", "Same \xc3\x9c \xce\xa3\xce\x9f\xce\xa3"), row, 1);
	dress(bench_certificate(set, "CN=two", "same \xc3\xbc \xcf\x83\xce\xbf\xcf\x82"), row, 2);
	assert_int_equal(write_set(where, set), 0);
	store = opened(where, KS_READ);
	first = ks_set_at(store->items, 0)->label;
	second = ks_set_at(store->items, 1)->label;
	assert_true(ks_bytes_are(first, "same \xc3\xbc \xcf\x83\xce\xbf\xcf\x82"));
	assert_true(second.size > first.size && memcmp(first.data, second.data, first.size) == 0);
	ks_store_close(store);
}

static void labels_of_java_are_lower_case_and_each_there_once(void **state)
{
	(void)state;
	for_each_format(check_aliases);
}

static void check_untrusted(const struct ks_engine *row)
{
	ks_auto(where) where = where_of(row);
	ks_auto(set) set = NULL;

	if (!(row->can & KS_CAN_CHAINS))
		return;
	assert_int_equal(ks_set_new(&set, bench.ctx), 0);
	bench_certificate(set, "CN=one", "one");
	assert_int_equal(write_set(where, set), KS_ELOSSY);
	assert_int_equal(size_of(bench_path(name)), -1);
}

static void nothing_becomes_trusted_by_being_written(void **state)
{
	(void)state;
	for_each_format(check_untrusted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_row_says_it_can_hold_comes_back_and_is_recognised),
		cmocka_unit_test(records_that_a_plan_does_not_touch_stay_byte_for_byte),
		cmocka_unit_test(a_truncated_file_never_looks_whole),
		cmocka_unit_test(keys_open_with_their_password_and_with_no_other),
		cmocka_unit_test(a_new_password_takes_the_place_of_the_old_one),
		cmocka_unit_test(an_emptied_store_opens_and_takes_items_again),
		cmocka_unit_test(a_file_for_one_thing_refuses_two_and_is_not_made),
		cmocka_unit_test(what_nobody_understands_is_refused_and_the_store_stays),
		cmocka_unit_test(a_label_can_be_changed_and_stays_changed),
		cmocka_unit_test(labels_of_java_are_lower_case_and_each_there_once),
		cmocka_unit_test(nothing_becomes_trusted_by_being_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
