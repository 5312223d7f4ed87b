/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "stores.h"
#include "text.h"

#include "file/file.h"
#include "file/proof.h"

static const struct ks_commit_wish keeping = { .keep_old = true };

static struct ks_store *opened(const struct ks_where *where, unsigned mode)
{
	struct ks_store *store = NULL;
	int rc = ks_store_open(&store, bench.ctx, where, mode);

	if (rc < 0)
		print_message("# %s\n", ks_ctx_text(bench.ctx));
	assert_int_equal(rc, 0);
	return store;
}

/* A certificate and a key, or only the certificate, put into the store in one step. */
static int put(struct ks_store *store, const char *key_label, const char *certificate_label)
{
	ks_auto(set) set = NULL;
	ks_auto(plan) plan = NULL;
	int rc = ks_set_new(&set, bench.ctx);

	assert_int_equal(rc, 0);
	assert_int_equal(ks_plan_new(&plan, bench.ctx, store->items), 0);
	if (key_label)
		assert_int_equal(ks_plan_put(plan, bench_key(set, key_label), NULL), 0);
	if (certificate_label)
		assert_int_equal(ks_plan_put(plan, bench_certificate(set, "CN=one", certificate_label), NULL), 0);
	return ks_store_apply(store, plan, &keeping);
}

static void make(const char *scheme, const char *name)
{
	ks_auto(where) where = bench_where(scheme, name);
	struct ks_store *store = opened(where, KS_WRITE | KS_CREATE);

	assert_int_equal(put(store, "first", "one"), 0);
	ks_store_close(store);
}

static struct ks_item *item_of(struct ks_store *store, enum ks_kind kind)
{
	for (size_t i = 0; i < ks_set_count(store->items); i++) {
		if (ks_set_at(store->items, i)->kind == kind)
			return ks_set_at(store->items, i);
	}
	return NULL;
}

static void a_new_store_asks_for_a_fresh_password_and_opens_with_it(void **state)
{
	ks_auto(where) where = bench_where("", "new.p12");
	struct ks_store *store;
	struct stat seen;
	EVP_PKEY *key = NULL;

	(void)state;
	make("", "new.p12");
	assert_int_equal(bench.asked, 1);
	assert_int_equal(bench.asked_fresh, 1);
	assert_int_equal(stat(bench_path("new.p12"), &seen), 0);
	assert_int_equal(seen.st_mode & 07777, 0600);
	store = opened(where, KS_READ);
	assert_int_equal(bench.asked, 2);
	assert_int_equal(bench.asked_fresh, 1);
	assert_int_equal(ks_set_count(store->items), 2);
	assert_int_equal(ks_set_facts_of(store->items)->integrity, KS_INTEGRITY_VERIFIED);
	assert_int_equal(ks_item_pkey(&key, item_of(store, KS_PRIVATE_KEY), bench.ctx), 0);
	EVP_PKEY_free(key);
	ks_store_close(store);
}

static void a_wrong_password_is_sent_once_and_changes_nothing(void **state)
{
	ks_auto(where) where = bench_where("p12:", "s.p12");
	struct ks_store *store = NULL;

	(void)state;
	make("p12:", "s.p12");
	bench.asked = 0;
	bench.answer = "wrong";
	assert_int_equal(ks_store_open(&store, bench.ctx, where, KS_WRITE), KS_EPASSWORD);
	assert_int_equal(bench.asked, 1);
	assert_null(store);
}

static void without_secret_nobody_is_asked(void **state)
{
	ks_auto(where) where = bench_where("p12:", "s.p12");
	struct ks_store *store;

	(void)state;
	make("p12:", "s.p12");
	bench.asked = 0;
	store = opened(where, KS_WITHOUT_SECRET);
	assert_int_equal(bench.asked, 0);
	assert_int_equal(ks_set_facts_of(store->items)->integrity, KS_INTEGRITY_UNCHECKED);
	ks_store_close(store);
}

static void what_a_plan_does_not_touch_keeps_its_bytes(void **state)
{
	ks_auto(where) where = bench_where("p12:", "s.p12");
	struct ks_store *store;
	unsigned char before[KS_SHA256], after[KS_SHA256];
	struct ks_item *key;

	(void)state;
	make("p12:", "s.p12");
	store = opened(where, KS_WRITE);
	ks_sha256(before, item_of(store, KS_PRIVATE_KEY)->raw);
	assert_int_equal(put(store, NULL, "two"), 0);
	assert_int_equal(ks_set_count(store->items), 3);
	key = item_of(store, KS_PRIVATE_KEY);
	ks_sha256(after, key->raw);
	assert_memory_equal(before, after, KS_SHA256);
	assert_int_equal(put(store, NULL, "three"), 0);
	assert_int_equal(ks_set_count(store->items), 4);
	ks_store_close(store);
}

static void a_new_password_replaces_the_old_one_and_the_old_copy_goes(void **state)
{
	ks_auto(where) where = bench_where("p12:", "s.p12");
	ks_auto(secret) fresh = NULL;
	ks_auto(plan) plan = NULL;
	struct ks_store *store;

	(void)state;
	make("p12:", "s.p12");
	store = opened(where, KS_WRITE);
	assert_int_equal(put(store, "second", NULL), 0);
	assert_int_equal(access(bench_path("s.p12.old"), F_OK), 0);
	assert_int_equal(ks_secret_new(&fresh, bench.ctx), 0);
	assert_int_equal(ks_secret_append(fresh, bench.ctx, "fresh", 5), 0);
	assert_int_equal(ks_plan_new(&plan, bench.ctx, store->items), 0);
	ks_plan_repassword(plan, fresh);
	plan->drop_old = true;
	assert_int_equal(ks_store_apply(store, plan, &keeping), 0);
	assert_int_equal(access(bench_path("s.p12.old"), F_OK), -1);
	ks_store_close(store);
	store = NULL;
	assert_int_equal(ks_store_open(&store, bench.ctx, where, KS_READ), KS_EPASSWORD);
	bench.answer = "fresh";
	store = opened(where, KS_READ);
	assert_int_equal(ks_set_count(store->items), 3);
	ks_store_close(store);
}

static void rollback_twice_is_back_where_it_was(void **state)
{
	ks_auto(where) where = bench_where("p12:", "s.p12");
	struct ks_store *store;

	(void)state;
	make("p12:", "s.p12");
	store = opened(where, KS_WRITE);
	assert_int_equal(ks_store_rollback(store), KS_ENOTFOUND);
	assert_int_equal(put(store, NULL, "two"), 0);
	assert_int_equal(ks_set_count(store->items), 3);
	assert_int_equal(ks_store_rollback(store), 0);
	assert_int_equal(ks_set_count(store->items), 2);
	assert_int_equal(ks_store_rollback(store), 0);
	assert_int_equal(ks_set_count(store->items), 3);
	ks_store_close(store);
}

static void rollback_that_would_lose_a_key_is_refused(void **state)
{
	ks_auto(where) where = bench_where("p12:", "s.p12");
	struct ks_store *store;

	(void)state;
	make("p12:", "s.p12");
	store = opened(where, KS_WRITE);
	assert_int_equal(put(store, "second", NULL), 0);
	assert_int_equal(ks_store_rollback(store), KS_EKEYLOSS);
	assert_int_equal(ks_set_count(store->items), 3);
	ks_store_close(store);
}

static void a_file_that_is_to_be_made_needs_a_kind(void **state)
{
	ks_auto(where) where = bench_where("", "nothing.xyz");
	ks_auto(where) missing = bench_where("p12:", "missing.p12");
	struct ks_store *store = NULL;

	(void)state;
	assert_int_equal(ks_store_open(&store, bench.ctx, where, KS_WRITE | KS_CREATE), KS_EADDRESS);
	assert_int_equal(ks_store_open(&store, bench.ctx, missing, KS_WRITE), KS_ENOTFOUND);
	assert_int_equal(ks_store_open(&store, bench.ctx, missing, KS_READ), KS_ENOTFOUND);
}

static void a_file_of_another_kind_is_named_as_what_it_is(void **state)
{
	ks_auto(where) where = bench_where("der:", "s.p12");
	struct ks_store *store = NULL;

	(void)state;
	make("p12:", "s.p12");
	assert_int_equal(ks_store_open(&store, bench.ctx, where, KS_READ), KS_EFORMAT);
	assert_non_null(strstr(ks_ctx_text(bench.ctx), "is a PKCS#12 file, not a DER file"));
}

static void a_key_in_a_der_file_without_anybody_to_ask_is_left_clear_and_that_is_said(void **state)
{
	ks_auto(where) where = bench_where("", "key.der");
	struct ks_store *store = opened(where, KS_WRITE | KS_CREATE);
	struct stat seen;

	(void)state;
	bench.answer = NULL;
	assert_int_equal(put(store, "first", NULL), 0);
	ks_store_close(store);
	assert_int_equal(stat(bench_path("key.der"), &seen), 0);
	assert_int_equal(seen.st_mode & 07777, 0600);
	assert_non_null(ks_ctx_notice(bench.ctx, 0));
	assert_int_equal(ks_ctx_notice(bench.ctx, 0)->status, KS_EWEAK);
}

static void a_named_source_is_asked_once_for_a_sealed_key_in_a_pem_file(void **state)
{
	ks_auto(where) where = bench_where("pem:", "s.pem?pin-source=file:pin");
	struct ks_store *store;
	EVP_PKEY *key = NULL;

	(void)state;
	make("pem:", "s.pem");
	bench.asked = 0;
	store = opened(where, KS_READ);
	assert_int_equal(ks_set_count(store->items), 2);
	assert_int_equal(ks_item_pkey(&key, item_of(store, KS_PRIVATE_KEY), bench.ctx), 0);
	assert_int_equal(bench.asked, 1);
	EVP_PKEY_free(key);
	ks_store_close(store);
}

static void writers_at_once_lose_no_entry(void **state)
{
	enum { WRITERS = 4, ROUNDS = 3 };
	ks_auto(where) where = bench_where("p12:", "s.p12");
	struct ks_store *store;

	(void)state;
	make("p12:", "s.p12");
	for (int writer = 0; writer < WRITERS; writer++) {
		if (fork() == 0) {
			int rc = 0;

			for (int round = 0; rc == 0 && round < ROUNDS; round++) {
				struct ks_store *mine = NULL;

				rc = ks_store_open(&mine, bench.ctx, where, KS_WRITE);
				rc = rc < 0 ? rc : put(mine, NULL, "more");
				ks_store_close(mine);
			}
			_exit(rc == 0 ? 0 : 1);
		}
	}
	for (int writer = 0; writer < WRITERS; writer++) {
		int status = -1;

		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	store = opened(where, KS_READ);
	assert_int_equal(ks_set_count(store->items), 2 + WRITERS * ROUNDS);
	ks_store_close(store);
}

/* ---- which entry is meant ---- */

static int select_in(const char *fragment)
{
	const struct ks_entry *entry = NULL;
	ks_auto_mem char *name = NULL;
	ks_auto(where) where = NULL;
	struct ks_store *store;
	int rc;

	assert_true(asprintf(&name, "s.p12#%s", fragment) > 0);
	where = bench_where("p12:", name);
	store = opened(where, KS_READ);
	rc = ks_store_entry(&entry, store, where);
	ks_store_close(store);
	return rc;
}

static void an_entry_is_found_by_label_and_digest_or_the_candidates_are_named(void **state)
{
	ks_auto(where) where = bench_where("p12:", "s.p12");
	struct ks_store *store;
	char digest[80] = "sha256:";

	(void)state;
	make("p12:", "s.p12");
	store = opened(where, KS_WRITE);
	assert_int_equal(put(store, NULL, "twin"), 0);
	assert_int_equal(put(store, NULL, "twin"), 0);
	ks_hex(digest + 7, KS_BYTES(ks_item_sha256(item_of(store, KS_CERTIFICATE)), KS_SHA256));
	ks_store_close(store);
	assert_int_equal(select_in("first"), 0);
	assert_int_equal(select_in("FIRST"), 0);
	assert_int_equal(select_in(digest), 0);
	digest[7 + 8] = '\0';
	assert_int_equal(select_in(digest), 0);
	assert_int_equal(select_in("twin"), KS_EAMBIGUOUS);
	assert_non_null(strstr(ks_ctx_text(bench.ctx), "2 entries fit"));
	assert_int_equal(select_in("frist"), KS_ENOTFOUND);
	assert_non_null(strstr(ks_ctx_hint(bench.ctx), "first"));
}

/* ---- what is remembered ---- */

static struct ks_record *record_of(const char *bundle, unsigned char first)
{
	struct ks_record *record = NULL;

	assert_int_equal(ks_record_new(&record, bench.ctx), 0);
	record->bundle = strdup(bundle);
	record->added = ks_array(2, KS_SHA256);
	record->added_count = 2;
	record->added[0][0] = first;
	record->added[1][0] = (unsigned char)(first + 1);
	return record;
}

static int put_remembering(struct ks_store *store, const char *label, struct ks_record *record)
{
	const struct ks_commit_wish wish = { .keep_old = true, .record = record };
	ks_auto(set) set = NULL;
	ks_auto(plan) plan = NULL;

	assert_int_equal(ks_set_new(&set, bench.ctx), 0);
	assert_int_equal(ks_plan_new(&plan, bench.ctx, store->items), 0);
	if (label)
		assert_int_equal(ks_plan_put(plan, bench_certificate(set, "CN=one", label), NULL), 0);
	return ks_store_apply(store, plan, &wish);
}

static void what_a_merge_added_is_remembered_over_a_rollback(void **state)
{
	ks_auto(where) where = bench_where("p12:", "s.p12");
	ks_auto(record) first = record_of("bundle of Köln 100%", 1);
	ks_auto(record) second = record_of("second", 9);
	ks_auto(record) back = NULL;
	struct ks_store *store;
	struct stat seen;

	(void)state;
	make("p12:", "s.p12");
	store = opened(where, KS_WRITE);
	assert_int_equal(ks_history_read(&back, store), KS_ENOTFOUND);
	assert_int_equal(put_remembering(store, "two", first), 0);
	assert_int_equal(put_remembering(store, "three", second), 0);
	assert_int_equal(stat(bench_path("s.p12.keystow"), &seen), 0);
	assert_int_equal(seen.st_mode & 07777, 0600);
	assert_int_equal(ks_history_read(&back, store), 0);
	assert_string_equal(back->bundle, "second");
	ks_record_free(ks_take(back));
	assert_int_equal(ks_store_rollback(store), 0);
	assert_int_equal(ks_history_read(&back, store), 0);
	assert_string_equal(back->bundle, "bundle of Köln 100%");
	assert_true(ks_record_has(back, first->added[1]));
	assert_false(ks_record_has(back, second->added[1]));
	ks_store_close(store);
}

static void a_store_that_others_changed_makes_the_record_stale(void **state)
{
	ks_auto(where) where = bench_where("p12:", "s.p12");
	ks_auto(record) record = record_of("bundle", 1);
	ks_auto(record) back = NULL;
	struct ks_store *store;
	char other[128];

	(void)state;
	make("p12:", "s.p12");
	store = opened(where, KS_WRITE);
	assert_int_equal(put_remembering(store, "two", record), 0);
	assert_int_equal(put(store, NULL, "by keystow itself"), 0);
	assert_int_equal(ks_history_read(&back, store), 0);
	ks_record_free(ks_take(back));
	ks_store_close(store);
	make("p12:", "t.p12");
	snprintf(other, sizeof(other), "%s", bench_path("t.p12"));
	assert_int_equal(rename(other, bench_path("s.p12")), 0);
	store = opened(where, KS_WRITE);
	assert_int_equal(ks_history_read(&back, store), KS_ECHANGED);
	assert_string_equal(back->bundle, "bundle");
	ks_store_close(store);
}

static void a_record_alone_is_written_when_nothing_else_changes(void **state)
{
	ks_auto(where) where = bench_where("p12:", "s.p12");
	ks_auto(record) record = record_of("bundle", 1);
	ks_auto(record) back = NULL;
	struct ks_store *store;

	(void)state;
	make("p12:", "s.p12");
	store = opened(where, KS_WRITE);
	assert_int_equal(put_remembering(store, NULL, record), 0);
	assert_int_equal(access(bench_path("s.p12.old"), F_OK), -1);
	assert_int_equal(ks_history_read(&back, store), 0);
	ks_store_close(store);
}

/* Every prefix, and every byte changed: refused or read, never believed half, never a crash. */
static void a_damaged_record_is_not_believed(void **state)
{
	ks_auto(where) where = bench_where("p12:", "s.p12");
	ks_auto(record) record = record_of("bundle", 1);
	struct ks_store *store;
	char text[2048];
	size_t size;
	FILE *file;

	(void)state;
	make("p12:", "s.p12");
	store = opened(where, KS_WRITE);
	assert_int_equal(put_remembering(store, "two", record), 0);
	file = fopen(bench_path("s.p12.keystow"), "r");
	size = fread(text, 1, sizeof(text), file);
	fclose(file);
	for (size_t cut = 0; cut < size; cut++) {
		ks_auto(record) back = NULL;

		file = fopen(bench_path("s.p12.keystow"), "w");
		fwrite(text, 1, cut, file);
		fclose(file);
		assert_int_equal(ks_history_read(&back, store), KS_ENOTFOUND);
		assert_null(back);
	}
	for (size_t at = 0; at < size; at++) {
		ks_auto(record) back = NULL;
		int rc;

		file = fopen(bench_path("s.p12.keystow"), "w");
		fwrite(text, 1, at, file);
		fputc(text[at] ^ 0x40, file);
		fwrite(text + at + 1, 1, size - at - 1, file);
		fclose(file);
		rc = ks_history_read(&back, store);
		assert_true(rc == KS_ENOTFOUND || rc == KS_ECHANGED || rc == 0);
		assert_true((rc == KS_ENOTFOUND) == (back == NULL));
	}
	ks_store_close(store);
}

/* ---- the proof ---- */

static const unsigned everything = KS_CAN_LABELS | KS_CAN_IDS | KS_CAN_ANCHORS;

static void the_proof_takes_any_order_and_equal_items(void **state)
{
	ks_auto(set) meant = NULL;
	ks_auto(set) written = NULL;
	struct ks_item *one, *two;

	(void)state;
	assert_int_equal(ks_set_new(&meant, bench.ctx), 0);
	assert_int_equal(ks_set_new(&written, bench.ctx), 0);
	one = bench_certificate(meant, "CN=one", "one");
	two = ks_set_copy(meant, one);
	two->label = ks_bytes_of("two");
	bench_certificate(meant, "CN=three", "three");
	for (size_t i = 3; i-- > 0;)
		assert_non_null(ks_set_copy(written, ks_set_at(meant, i)));
	assert_int_equal(ks_proof(bench.ctx, everything, meant, NULL, false, written), 0);
}

static void the_proof_names_what_is_missing_too_much_or_renamed(void **state)
{
	ks_auto(set) meant = NULL;
	ks_auto(set) less = NULL;
	ks_auto(set) renamed = NULL;

	(void)state;
	assert_int_equal(ks_set_new(&meant, bench.ctx), 0);
	assert_int_equal(ks_set_new(&less, bench.ctx), 0);
	assert_int_equal(ks_set_new(&renamed, bench.ctx), 0);
	bench_certificate(meant, "CN=one", "one");
	ks_set_copy(less, ks_set_at(meant, 0));
	ks_set_copy(renamed, ks_set_at(meant, 0))->label = ks_bytes_of("other");
	assert_int_equal(ks_proof(bench.ctx, everything, meant, NULL, false, renamed), KS_EBUG);
	assert_int_equal(ks_proof(bench.ctx, 0, meant, NULL, false, renamed), 0);
	bench_certificate(meant, "CN=two", "two");
	assert_int_equal(ks_proof(bench.ctx, everything, meant, NULL, false, less), KS_EBUG);
	assert_non_null(strstr(ks_ctx_text(bench.ctx), "two"));
	assert_int_equal(ks_proof(bench.ctx, everything, less, NULL, false, meant), KS_EBUG);
}

static void the_proof_opens_keys_that_were_sealed_anew(void **state)
{
	ks_auto(set) meant = NULL;
	ks_auto(set) same = NULL;
	ks_auto(set) other = NULL;

	(void)state;
	assert_int_equal(ks_set_new(&meant, bench.ctx), 0);
	assert_int_equal(ks_set_new(&same, bench.ctx), 0);
	assert_int_equal(ks_set_new(&other, bench.ctx), 0);
	ks_set_copy(same, bench_key(meant, "key"));
	bench_key(other, "key");
	assert_int_equal(ks_proof(bench.ctx, everything, meant, NULL, true, same), 0);
	assert_int_equal(ks_proof(bench.ctx, everything, meant, NULL, true, other), KS_EBUG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_start, bench_finish)
		TEST(a_new_store_asks_for_a_fresh_password_and_opens_with_it),
		TEST(a_wrong_password_is_sent_once_and_changes_nothing),
		TEST(without_secret_nobody_is_asked),
		TEST(what_a_plan_does_not_touch_keeps_its_bytes),
		TEST(a_new_password_replaces_the_old_one_and_the_old_copy_goes),
		TEST(rollback_twice_is_back_where_it_was),
		TEST(rollback_that_would_lose_a_key_is_refused),
		TEST(a_file_that_is_to_be_made_needs_a_kind),
		TEST(a_file_of_another_kind_is_named_as_what_it_is),
		TEST(a_key_in_a_der_file_without_anybody_to_ask_is_left_clear_and_that_is_said),
		TEST(a_named_source_is_asked_once_for_a_sealed_key_in_a_pem_file),
		TEST(writers_at_once_lose_no_entry),
		TEST(an_entry_is_found_by_label_and_digest_or_the_candidates_are_named),
		TEST(what_a_merge_added_is_remembered_over_a_rollback),
		TEST(a_store_that_others_changed_makes_the_record_stale),
		TEST(a_record_alone_is_written_when_nothing_else_changes),
		TEST(a_damaged_record_is_not_believed),
		TEST(the_proof_takes_any_order_and_equal_items),
		TEST(the_proof_names_what_is_missing_too_much_or_renamed),
		TEST(the_proof_opens_keys_that_were_sealed_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
