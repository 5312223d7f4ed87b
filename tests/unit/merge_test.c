/* SPDX-License-Identifier: Apache-2.0 */
/* What a merge decides, without a file or a token: sets are made in memory, plans are looked at. */
#include "test.h"

#include "made.h"
#include "merge.h"
#include "prove.h"

#define MANY 12

static struct ks_ctx *ctx;
static struct ks_buffer *ders[MANY]; /* self-signed, CN=root 0 ... */

static int start(void **state)
{
	char subject[32];

	(void)state;
	if (ks_ctx_new(&ctx, NULL) < 0)
		return -1;
	for (int i = 0; i < MANY; i++) {
		struct made made = { .subject = subject, .extensions = { "critical,CA:TRUE" } };

		snprintf(subject, sizeof(subject), "CN=root %d", i);
		ders[i] = made_certificate(ctx, &made);
		if (!ders[i])
			return -1;
	}
	return 0;
}

/* Fails when a set, plan or item was forgotten. */
static int finish(void **state)
{
	(void)state;
	for (int i = 0; i < MANY; i++)
		ks_buffer_free(ders[i]);
	return ks_ctx_free(ctx);
}

/* ---- a scene: a store and a bundle ---- */

struct scene {
	struct ks_set *store;
	struct ks_set *published;
	struct ks_bundle *bundle;
	struct ks_record *record;
	struct ks_entries *entries;
	struct ks_merge_view view;
	struct ks_merge_wish wish;
	struct ks_plan *plan;
	struct ks_record *next;
};

static void scene_new(struct scene *scene)
{
	memset(scene, 0, sizeof(*scene));
	assert_int_equal(ks_set_new(&scene->store, ctx), 0);
	assert_int_equal(ks_set_new(&scene->published, ctx), 0);
	scene->view.ctx = ctx;
	scene->view.store = "the store";
	scene->view.can = KS_CAN_CERTIFICATES | KS_CAN_ANCHORS | KS_CAN_LABELS | KS_CAN_MANY;
}

static void scene_free(struct scene *scene)
{
	ks_record_free(scene->next);
	ks_plan_free(scene->plan);
	ks_entries_free(scene->entries);
	ks_record_free(scene->record);
	ks_bundle_free(scene->bundle);
	ks_set_free(scene->published);
	ks_set_free(scene->store);
}

static struct ks_item *has(struct ks_set *set, int n, const char *label)
{
	struct ks_item *item = ks_set_add(set, KS_CERTIFICATE);

	assert_non_null(item);
	item->der = ks_buffer_bytes(ders[n]);
	item->label = ks_bytes_of(label);
	item->raw = ks_bytes_of("a record");
	return item;
}

static struct ks_item *anchor(struct ks_set *set, int n, const char *label)
{
	struct ks_item *item = has(set, n, label);

	item->trust.trusted = KS_FOR_ANY;
	return item;
}

/* A private key whose certificate is n. */
static struct ks_item *key_of(struct ks_set *set, int n, const char *label)
{
	struct ks_item *key = ks_set_add(set, KS_PRIVATE_KEY), *certificate;

	assert_non_null(key);
	key->label = ks_bytes_of(label);
	key->id = ks_bytes_of(label);
	key->raw = ks_bytes_of("a sealed key");
	certificate = has(set, n, label);
	certificate->id = key->id;
	return key;
}

static int digest_order(const void *a, const void *b)
{
	return memcmp(a, b, KS_SHA256);
}

/* The last merge added the certificates first to last. */
static void added_last_time(struct scene *scene, int first, int last)
{
	assert_int_equal(ks_record_new(&scene->record, ctx), 0);
	scene->record->bundle = strdup("roots.pem");
	scene->record->added = ks_array((size_t)(last - first + 1), KS_SHA256);
	for (int i = first; i <= last; i++)
		ks_sha256(scene->record->added[scene->record->added_count++], ks_buffer_bytes(ders[i]));
	qsort(scene->record->added, scene->record->added_count, KS_SHA256, digest_order);
}

static void publish(struct scene *scene, int first, int last)
{
	for (int i = first; i <= last; i++)
		has(scene->published, i, NULL);
}

static int merge(struct scene *scene)
{
	assert_int_equal(ks_bundle_of(&scene->bundle, ctx, "roots.pem", scene->published, false), 0);
	assert_int_equal(ks_entries_of(&scene->entries, ctx, scene->store), 0);
	scene->view.items = scene->store;
	scene->view.entries = scene->entries;
	scene->view.record = scene->record;
	return ks_merge_decide(&scene->plan, &scene->next, &scene->view, scene->bundle, &scene->wish);
}

static size_t planned(const struct scene *scene, enum ks_what what)
{
	size_t count = 0;

	for (size_t i = 0; i < scene->plan->count; i++)
		count += scene->plan->changes[i].what == what;
	return count;
}

static bool is_remembered(const struct scene *scene, int n)
{
	unsigned char digest[KS_SHA256];

	ks_sha256(digest, ks_buffer_bytes(ders[n]));
	return ks_record_has(scene->next, digest);
}

/* A notice since `from` that holds `words`. */
static bool said(size_t from, const char *words)
{
	const struct ks_problem *notice;

	for (size_t i = from; (notice = ks_ctx_notice(ctx, i)); i++) {
		if (strstr(notice->text, words))
			return true;
	}
	return false;
}

static size_t notices(void)
{
	size_t count = 0;

	while (ks_ctx_notice(ctx, count))
		count++;
	return count;
}

/* ---- claims ---- */

static void the_first_merge_adds_all_as_anchors_and_remembers_them(void **state)
{
	struct scene scene;

	(void)state;
	scene_new(&scene);
	publish(&scene, 0, 3);
	assert_int_equal(merge(&scene), 0);
	assert_int_equal(planned(&scene, KS_ADD), 4);
	assert_int_equal(scene.plan->count, 4);
	assert_int_equal(scene.plan->changes[0].naming.trust.trusted, KS_FOR_ANY);
	assert_int_equal(scene.next->added_count, 4);
	assert_string_equal(scene.next->bundle, "roots.pem");
	scene_free(&scene);
}

static void a_second_merge_of_the_same_bundle_plans_nothing(void **state)
{
	struct scene scene;

	(void)state;
	scene_new(&scene);
	publish(&scene, 0, 2);
	for (int i = 0; i <= 2; i++)
		anchor(scene.store, i, "x");
	added_last_time(&scene, 0, 2);
	assert_int_equal(merge(&scene), 0);
	assert_int_equal(scene.plan->count, 0);
	assert_int_equal(scene.next->added_count, 3);
	scene_free(&scene);
}

static void what_left_the_bundle_leaves_and_what_the_user_added_stays(void **state)
{
	struct scene scene;
	struct ks_item *gone;

	(void)state;
	scene_new(&scene);
	publish(&scene, 0, 5);
	for (int i = 0; i <= 5; i++)
		anchor(scene.store, i, "merged");
	gone = anchor(scene.store, 6, "merged");
	anchor(scene.store, 7, "the user's");
	added_last_time(&scene, 0, 6);
	assert_int_equal(merge(&scene), 0);
	assert_int_equal(scene.plan->count, 1);
	assert_int_equal(scene.plan->changes[0].what, KS_REMOVE);
	assert_ptr_equal(scene.plan->changes[0].have, gone);
	assert_false(is_remembered(&scene, 6));
	scene_free(&scene);
}

static void what_the_user_had_before_is_not_claimed(void **state)
{
	struct scene scene;
	size_t before = notices();

	(void)state;
	scene_new(&scene);
	publish(&scene, 0, 1);
	anchor(scene.store, 0, "mine");
	assert_int_equal(merge(&scene), 0);
	assert_int_equal(planned(&scene, KS_ADD), 1);
	assert_false(is_remembered(&scene, 0));
	assert_true(is_remembered(&scene, 1));
	assert_true(said(before, "stays yours"));
	scene_free(&scene);
}

static void adopt_claims_what_was_there(void **state)
{
	struct scene scene;

	(void)state;
	scene_new(&scene);
	scene.wish.adopt = true;
	publish(&scene, 0, 1);
	anchor(scene.store, 0, "mine");
	assert_int_equal(merge(&scene), 0);
	assert_true(is_remembered(&scene, 0));
	assert_true(is_remembered(&scene, 1));
	scene_free(&scene);
}

static void what_the_user_deleted_stays_deleted_until_restored(void **state)
{
	for (int restore = 0; restore <= 1; restore++) {
		struct scene scene;
		size_t before = notices();

		scene_new(&scene);
		scene.wish.restore = restore;
		publish(&scene, 0, 2);
		anchor(scene.store, 0, "a");
		anchor(scene.store, 1, "b");
		added_last_time(&scene, 0, 2);
		assert_int_equal(merge(&scene), 0);
		assert_int_equal(planned(&scene, KS_ADD), restore);
		assert_true(is_remembered(&scene, 2));
		assert_int_equal(said(before, "stays deleted"), !restore);
		scene_free(&scene);
	}
	(void)state;
}

static void a_stale_record_removes_nothing_until_adopted(void **state)
{
	for (int adopt = 0; adopt <= 1; adopt++) {
		struct scene scene;
		size_t before = notices();

		scene_new(&scene);
		scene.view.stale = true;
		scene.wish.adopt = adopt;
		publish(&scene, 0, 5);
		for (int i = 0; i <= 6; i++)
			anchor(scene.store, i, "x");
		added_last_time(&scene, 0, 6);
		assert_int_equal(merge(&scene), 0);
		assert_int_equal(planned(&scene, KS_REMOVE), adopt);
		assert_int_equal(said(before, "nothing is removed"), !adopt);
		scene_free(&scene);
	}
	(void)state;
}

static void a_record_of_another_store_under_that_name_deletes_nothing(void **state)
{
	struct scene scene;

	(void)state;
	scene_new(&scene);
	scene.view.stale = true;
	publish(&scene, 0, 5);
	key_of(scene.store, 8, "web");
	added_last_time(&scene, 0, 5);
	assert_int_equal(merge(&scene), 0);
	assert_int_equal(planned(&scene, KS_ADD), 6);
	scene_free(&scene);
}

static void a_shrink_of_more_than_a_fifth_is_refused_until_allowed(void **state)
{
	static const struct {
		int last, allow, rc;
	} cases[] = { { 7, 0, 0 }, { 6, 0, KS_ESHRINK }, { 6, 1, 0 } };

	for (size_t i = 0; i < 3; i++) {
		struct scene scene;

		scene_new(&scene);
		scene.wish.allow_shrink = cases[i].allow;
		publish(&scene, 0, cases[i].last);
		for (int n = 0; n <= 9; n++)
			anchor(scene.store, n, "x");
		added_last_time(&scene, 0, 9);
		assert_int_equal(merge(&scene), cases[i].rc);
		if (cases[i].rc == 0)
			assert_int_equal(planned(&scene, KS_REMOVE), 9 - cases[i].last);
		scene_free(&scene);
	}
	(void)state;
}

static void a_key_and_its_certificate_are_no_candidates_but_their_withdrawal_is_said(void **state)
{
	struct scene scene;
	struct ks_item *beside;
	size_t before = notices();

	(void)state;
	scene_new(&scene);
	publish(&scene, 0, 5);
	key_of(scene.store, 6, "web");
	beside = anchor(scene.store, 6, "root 6");
	for (int i = 0; i <= 5; i++)
		anchor(scene.store, i, "x");
	added_last_time(&scene, 0, 6);
	assert_int_equal(merge(&scene), 0);
	assert_int_equal(planned(&scene, KS_REMOVE), 1);
	assert_int_equal(planned(&scene, KS_KEEP), 1);
	for (size_t i = 0; i < scene.plan->count; i++) {
		if (scene.plan->changes[i].what == KS_REMOVE)
			assert_ptr_equal(scene.plan->changes[i].have, beside);
	}
	assert_true(said(before, "left the bundle; key and certificate stay"));
	scene_free(&scene);
}

/* A leaf whose issuer is in the store only as its chain. */
static void a_chain_member_gets_an_anchor_of_its_own_and_keeps_its_record(void **state)
{
	struct scene scene;
	ks_auto_ssl(EVP_PKEY) root_key = EVP_EC_gen("P-256");
	struct made root = { .subject = "CN=issuer", .extensions = { "critical,CA:TRUE" }, .key = root_key };
	struct made leaf = { .subject = "CN=leaf", .issuer = "CN=issuer", .signer = root_key };
	ks_auto(buffer) root_der = made_certificate(ctx, &root);
	ks_auto(buffer) leaf_der = made_certificate(ctx, &leaf);
	struct ks_item *member;

	(void)state;
	scene_new(&scene);
	key_of(scene.store, 0, "web");
	ks_set_at(scene.store, 1)->der = ks_buffer_bytes(leaf_der);
	member = has(scene.store, 1, NULL);
	member->der = ks_buffer_bytes(root_der);
	has(scene.published, 1, NULL)->der = ks_buffer_bytes(root_der);
	assert_int_equal(merge(&scene), 0);
	assert_int_equal(scene.entries->count, 1);
	assert_int_equal(scene.entries->entries[0].chain_count, 1);
	assert_int_equal(scene.plan->count, 1);
	assert_int_equal(scene.plan->changes[0].what, KS_ADD);
	scene_free(&scene);

	/* merged, then withdrawn: the anchor goes, the chain stays */
	scene_new(&scene);
	key_of(scene.store, 0, "web");
	ks_set_at(scene.store, 1)->der = ks_buffer_bytes(leaf_der);
	member = has(scene.store, 1, NULL);
	member->der = ks_buffer_bytes(root_der);
	member = anchor(scene.store, 1, "issuer");
	member->der = ks_buffer_bytes(root_der);
	publish(&scene, 2, 3);
	added_last_time(&scene, 2, 3);
	free(scene.record->added);
	scene.record->added = ks_array(1, KS_SHA256);
	scene.record->added_count = 1;
	ks_sha256(scene.record->added[0], ks_buffer_bytes(root_der));
	scene.wish.allow_shrink = true;
	assert_int_equal(merge(&scene), 0);
	assert_int_equal(planned(&scene, KS_REMOVE), 1);
	assert_ptr_equal(scene.plan->changes[0].have, member);
	scene_free(&scene);
}

static void an_anchor_that_a_chain_came_to_need_only_loses_its_trust(void **state)
{
	struct scene scene;
	ks_auto_ssl(EVP_PKEY) root_key = EVP_EC_gen("P-256");
	struct made root = { .subject = "CN=issuer", .extensions = { "critical,CA:TRUE" }, .key = root_key };
	struct made leaf = { .subject = "CN=leaf", .issuer = "CN=issuer", .signer = root_key };
	ks_auto(buffer) root_der = made_certificate(ctx, &root);
	ks_auto(buffer) leaf_der = made_certificate(ctx, &leaf);

	(void)state;
	scene_new(&scene);
	key_of(scene.store, 0, "web");
	ks_set_at(scene.store, 1)->der = ks_buffer_bytes(leaf_der);
	anchor(scene.store, 1, "issuer")->der = ks_buffer_bytes(root_der);
	publish(&scene, 2, 2);
	added_last_time(&scene, 2, 2);
	ks_sha256(scene.record->added[0], ks_buffer_bytes(root_der));
	scene.wish.allow_shrink = true;
	assert_int_equal(merge(&scene), 0);
	assert_int_equal(planned(&scene, KS_REMOVE), 0);
	assert_int_equal(planned(&scene, KS_RENAME), 1);
	assert_true(scene.plan->changes[0].naming.set_trust);
	assert_int_equal(scene.plan->changes[0].naming.trust.trusted, 0);
	scene_free(&scene);
}

static void a_label_that_is_taken_never_replaces_a_key(void **state)
{
	struct scene scene;
	const struct ks_change *change;

	(void)state;
	scene_new(&scene);
	key_of(scene.store, 0, "WEB");
	has(scene.published, 1, "web");
	assert_int_equal(merge(&scene), 0);
	assert_int_equal(scene.plan->count, 1);
	change = &scene.plan->changes[0];
	assert_int_equal(change->what, KS_ADD);
	assert_int_equal(change->naming.label.size, strlen("web 12345678"));
	assert_memory_equal(change->naming.label.data, "web ", 4);
	scene_free(&scene);
}

static void a_label_is_made_of_common_name_and_digest(void **state)
{
	struct scene scene;
	char digest[2 * KS_SHA256 + 1], expected[64];

	(void)state;
	scene_new(&scene);
	publish(&scene, 4, 4);
	assert_int_equal(merge(&scene), 0);
	for (size_t i = 0; i < KS_SHA256; i++)
		snprintf(digest + 2 * i, 3, "%02x", scene.bundle->certificates[0]->sha256[i]);
	snprintf(expected, sizeof(expected), "root 4 %.8s", digest);
	assert_true(ks_bytes_are(scene.plan->changes[0].naming.label, expected));
	scene_free(&scene);
}

static void a_store_without_trust_marks_needs_no_second_copy(void **state)
{
	struct scene scene;

	(void)state;
	scene_new(&scene);
	scene.view.can &= ~(unsigned)KS_CAN_ANCHORS;
	has(scene.store, 0, NULL);
	publish(&scene, 0, 1);
	assert_int_equal(merge(&scene), 0);
	assert_int_equal(scene.plan->count, 1);
	assert_int_equal(scene.plan->changes[0].naming.trust.trusted, 0);
	scene_free(&scene);
}

static void a_bundle_with_a_private_key_is_refused(void **state)
{
	ks_auto(set) set = NULL;
	ks_auto(bundle) bundle = NULL;

	(void)state;
	assert_int_equal(ks_set_new(&set, ctx), 0);
	key_of(set, 0, "oops");
	assert_int_equal(ks_bundle_of(&bundle, ctx, "roots.pem", set, true), KS_EMISMATCH);
	assert_non_null(strstr(ks_ctx_text(ctx), "oops"));
}

static void an_empty_bundle_is_refused(void **state)
{
	ks_auto(set) set = NULL;
	ks_auto(bundle) bundle = NULL;

	(void)state;
	assert_int_equal(ks_set_new(&set, ctx), 0);
	assert_int_equal(ks_bundle_of(&bundle, ctx, "roots.pem", set, false), KS_ESHRINK);
}

static void a_damaged_block_is_refused_until_skipped(void **state)
{
	ks_auto(set) set = NULL;
	ks_auto(bundle) bundle = NULL;

	(void)state;
	assert_int_equal(ks_set_new(&set, ctx), 0);
	has(set, 0, NULL);
	ks_set_facts(set)->has_blocks = true;
	ks_set_facts(set)->blocks_damaged = 1;
	assert_int_equal(ks_bundle_of(&bundle, ctx, "roots.pem", set, false), KS_EDAMAGED);
	assert_int_equal(ks_bundle_of(&bundle, ctx, "roots.pem", set, true), 0);
	assert_int_equal(bundle->count, 1);
}

static void equal_certificates_of_a_bundle_count_once(void **state)
{
	ks_auto(set) set = NULL;
	ks_auto(bundle) bundle = NULL;

	(void)state;
	assert_int_equal(ks_set_new(&set, ctx), 0);
	has(set, 1, NULL);
	has(set, 0, NULL);
	has(set, 1, NULL);
	assert_int_equal(ks_bundle_of(&bundle, ctx, "roots.pem", set, false), 0);
	assert_int_equal(bundle->count, 2);
}

static void the_proof_notices_a_changed_key_and_a_missing_certificate(void **state)
{
	struct scene scene;
	ks_auto(set) result = NULL;
	ks_auto(set) short_of_one = NULL;

	(void)state;
	scene_new(&scene);
	key_of(scene.store, 0, "web");
	publish(&scene, 1, 2);
	assert_int_equal(merge(&scene), 0);
	assert_int_equal(ks_plan_result(&result, scene.plan), 0);
	assert_int_equal(ks_prove(scene.plan, result, "the store"), 0);
	ks_set_at(result, 0)->raw = ks_bytes_of("a sealed kez");
	assert_int_equal(ks_prove(scene.plan, result, "the store"), KS_EBUG);
	assert_int_equal(ks_set_new(&short_of_one, ctx), 0);
	for (size_t i = 0; i < 3; i++)
		assert_non_null(ks_set_copy(short_of_one, i ? ks_set_at(result, i) : ks_set_at(scene.store, 0)));
	assert_int_equal(ks_prove(scene.plan, short_of_one, "the store"), KS_EBUG);
	scene_free(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_merge_adds_all_as_anchors_and_remembers_them),
		cmocka_unit_test(a_second_merge_of_the_same_bundle_plans_nothing),
		cmocka_unit_test(what_left_the_bundle_leaves_and_what_the_user_added_stays),
		cmocka_unit_test(what_the_user_had_before_is_not_claimed),
		cmocka_unit_test(adopt_claims_what_was_there),
		cmocka_unit_test(what_the_user_deleted_stays_deleted_until_restored),
		cmocka_unit_test(a_stale_record_removes_nothing_until_adopted),
		cmocka_unit_test(a_record_of_another_store_under_that_name_deletes_nothing),
		cmocka_unit_test(a_shrink_of_more_than_a_fifth_is_refused_until_allowed),
		cmocka_unit_test(a_key_and_its_certificate_are_no_candidates_but_their_withdrawal_is_said),
		cmocka_unit_test(a_chain_member_gets_an_anchor_of_its_own_and_keeps_its_record),
		cmocka_unit_test(an_anchor_that_a_chain_came_to_need_only_loses_its_trust),
		cmocka_unit_test(a_label_that_is_taken_never_replaces_a_key),
		cmocka_unit_test(a_label_is_made_of_common_name_and_digest),
		cmocka_unit_test(a_store_without_trust_marks_needs_no_second_copy),
		cmocka_unit_test(a_bundle_with_a_private_key_is_refused),
		cmocka_unit_test(an_empty_bundle_is_refused),
		cmocka_unit_test(a_damaged_block_is_refused_until_skipped),
		cmocka_unit_test(equal_certificates_of_a_bundle_count_once),
		cmocka_unit_test(the_proof_notices_a_changed_key_and_a_missing_certificate),
	};

	return cmocka_run_group_tests(tests, start, finish);
}
