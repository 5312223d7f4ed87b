/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "certificate.h"
#include "enroll.h"
#include "room.h"

#include <stdio.h>
#include <unistd.h>

static struct ks_ctx *ctx;
static char room[64], dir[96];
static struct ks_ca *ca;
static struct ks_store *store;
static struct ks_where *where;
static struct ks_profile *client;

static int answer(void *user, struct ks_ctx *asking, const struct ks_question *question, struct ks_secret *into)
{
	(void)user;
	(void)question;
	return ks_secret_append(into, asking, "a password", 10);
}

static void open_store(void)
{
	char address[128];

	snprintf(address, sizeof(address), "p12:%s/store.p12", room);
	ks_store_close(ks_take(store));
	ks_where_free(ks_take(where));
	assert_int_equal(ks_where_parse(&where, ctx, address), 0);
	assert_int_equal(ks_store_open(&store, ctx, where, KS_WRITE | KS_CREATE), 0);
}

static int start(void **state)
{
	struct ks_settings settings = { .hooks.ask = answer };
	struct ks_ca_wish wish = { .subject = "CN=test CA,O=HW" };

	(void)state;
	strcpy(room, "/tmp/keystow-enroll-XXXXXX");
	if (!mkdtemp(room))
		return -1;
	snprintf(dir, sizeof(dir), "%s/ca", room);
	if (ks_ctx_new(&ctx, &settings) < 0 || ks_ca_init(ctx, dir, &wish) < 0 || ks_ca_open(&ca, ctx, dir, NULL) < 0)
		return -1;
	if (ks_profile_find(&client, ctx, dir, "client") < 0)
		return -1;
	open_store();
	return 0;
}

static int finish(void **state)
{
	(void)state;
	ks_store_close(ks_take(store));
	ks_where_free(ks_take(where));
	ks_ca_close(ks_take(ca));
	ks_profile_free(ks_take(client));
	remove_all(room);
	return ks_ctx_free(ctx);
}

static int enroll(struct ks_enroll_job *jobs, size_t count, bool replace)
{
	struct ks_enroll_wish wish = { .profile = client, .replace = replace };
	size_t done = 0;
	int rc = ks_enroll(&done, store, ca, &wish, jobs, count);

	assert_true(rc < 0 || done == count);
	return rc;
}

static int enroll_one(struct ks_enroll_job *out, const char *subject, bool replace)
{
	struct ks_enroll_job job = { .label = "one", .subject = subject };
	int rc = enroll(&job, 1, replace);

	*out = job;
	return rc;
}

static int count(void *user, const struct ks_issued *issued)
{
	(void)issued;
	(*(size_t *)user)++;
	return 0;
}

static size_t rows(void)
{
	size_t found = 0;

	assert_int_equal(ks_ledger_each(ks_ca_ledger(ca), count, &found), 0);
	return found;
}

static void a_key_is_made_and_its_certificate_stands_beside_it(void **state)
{
	struct ks_enroll_job job;
	const struct ks_entry *entry;

	(void)state;
	assert_int_equal(enroll_one(&job, "CN=colinpaice,O=HW", false), 0);
	assert_int_equal(job.result, KS_ENROLL_ISSUED);
	assert_true(job.made_key);
	open_store();
	assert_int_equal(ks_set_counts(store->items).keys, 1);
	assert_int_equal(ks_set_counts(store->items).certificates, 2);
	entry = ks_store_entry_at(store, 0);
	assert_non_null(entry->key);
	assert_non_null(entry->certificate);
	assert_int_equal(entry->chain_count, 1);
	assert_true(ks_bytes_equal(entry->chain[0]->der, ks_ca_certificate(ca)->der));
}

static void again_there_is_nothing_to_do_and_no_new_serial(void **state)
{
	struct ks_enroll_job job;

	(void)state;
	assert_int_equal(enroll_one(&job, "CN=a", false), 0);
	open_store();
	assert_int_equal(enroll_one(&job, "CN=a", false), 0);
	assert_int_equal(job.result, KS_ENROLL_NOTHING_TO_DO);
	assert_false(job.made_key);
	assert_non_null(job.certificate);
	assert_int_equal(rows(), 1);
}

static void another_subject_is_refused_until_replace_is_said(void **state)
{
	struct ks_enroll_job job;
	struct ks_certificate_facts facts;
	ks_auto_mem char *subject = NULL;

	(void)state;
	assert_int_equal(enroll_one(&job, "CN=a", false), 0);
	assert_int_equal(enroll_one(&job, "CN=b", false), KS_EEXISTS);
	assert_non_null(strstr(ks_ctx_hint(ctx), "--replace"));
	assert_int_equal(rows(), 1);
	assert_int_equal(enroll_one(&job, "CN=b", true), 0);
	assert_int_equal(ks_set_counts(store->items).certificates, 2);
	assert_int_equal(ks_set_counts(store->items).keys, 1);
	assert_int_equal(ks_certificate_facts(&facts, job.certificate->der), 0);
	subject = ks_name_text(facts.subject);
	assert_string_equal(subject, "CN=b");
}

static void a_certificate_that_never_reached_the_store_is_written_back(void **state)
{
	struct ks_enroll_job job;
	ks_auto(plan) plan = NULL;
	struct ks_commit_wish how = { 0 };
	struct ks_bytes der;
	unsigned char digest[KS_SHA256];

	(void)state;
	assert_int_equal(enroll_one(&job, "CN=a", false), 0);
	ks_sha256(digest, job.certificate->der);
	assert_int_equal(ks_plan_new(&plan, ctx, store->items), 0);
	assert_int_equal(ks_plan_drop(plan, job.certificate, NULL), 0);
	assert_int_equal(ks_store_apply(store, plan, &how), 0);
	open_store();
	assert_int_equal(enroll_one(&job, "CN=a", false), 0);
	assert_int_equal(job.result, KS_ENROLL_INSTALLED);
	der = job.certificate->der;
	assert_memory_equal(digest, ks_item_sha256(job.certificate), KS_SHA256);
	assert_non_null(der.data);
	assert_int_equal(rows(), 1);
}

static void what_the_profile_refuses_makes_no_key(void **state)
{
	struct ks_altnames names = { 0 };
	struct ks_enroll_job job = { .label = "one", .subject = "CN=a", .names = &names };

	(void)state;
	assert_int_equal(ks_altnames_add(&names, ctx, "ip:10.0.0.1"), 0);
	assert_int_equal(enroll(&job, 1, false), KS_EPROFILE);
	ks_altnames_free(&names);
	assert_int_equal(ks_set_count(store->items), 0);
	assert_int_equal(rows(), 0);
}

static void a_list_with_one_label_twice_is_refused_whole(void **state)
{
	struct ks_enroll_job jobs[] = { { .label = "x", .subject = "CN=a" }, { .label = "x", .subject = "CN=b" } };

	(void)state;
	assert_int_equal(enroll(jobs, 2, false), KS_EUSAGE);
	assert_int_equal(ks_set_count(store->items), 0);
}

static void a_list_shares_one_chain_certificate(void **state)
{
	struct ks_enroll_job jobs[] = { { .label = "x", .subject = "CN=x" },
					{ .label = "y", .subject = "CN=y" },
					{ .label = "z", .subject = "CN=z" } };

	(void)state;
	assert_int_equal(enroll(jobs, 3, false), 0);
	assert_int_equal(ks_set_counts(store->items).keys, 3);
	assert_int_equal(ks_set_counts(store->items).certificates, 4);
	for (size_t i = 0; i < 3; i++) {
		assert_non_null(jobs[i].key);
		assert_non_null(jobs[i].certificate);
	}
}

/* ---- install ---- */

/* Takes the certificate of the enrolled key out of the store; it stays in the ledger. */
static void strip(struct ks_buffer **out, struct ks_enroll_job *job)
{
	ks_auto(plan) plan = NULL;
	struct ks_commit_wish how = { 0 };

	*out = ks_buffer_new(65536);
	ks_buffer_put(*out, job->certificate->der.data, job->certificate->der.size);
	assert_int_equal(ks_plan_new(&plan, ctx, store->items), 0);
	assert_int_equal(ks_plan_drop(plan, job->certificate, NULL), 0);
	assert_int_equal(ks_store_apply(store, plan, &how), 0);
}

static struct ks_item *add_der(struct ks_set *set, struct ks_bytes der)
{
	struct ks_item *item = ks_set_add(set, KS_CERTIFICATE);

	item->der = der;
	return item;
}

static void a_certificate_finds_its_key_by_public_key(void **state)
{
	struct ks_enroll_job jobs[] = { { .label = "x", .subject = "CN=x" }, { .label = "y", .subject = "CN=y" } };
	struct ks_commit_wish how = { 0 };
	ks_auto(buffer) der = NULL;
	ks_auto(set) from = NULL;
	ks_auto(plan) plan = NULL;

	(void)state;
	assert_int_equal(enroll(jobs, 2, false), 0);
	strip(&der, &jobs[1]);
	assert_int_equal(ks_set_new(&from, ctx), 0);
	add_der(from, ks_buffer_bytes(der))->label = ks_bytes_of("x");
	assert_int_equal(ks_install(&plan, store, from, false), 0);
	assert_int_equal(plan->count, 1);
	assert_true(ks_bytes_are(plan->changes[0].naming.label, "y"));
	assert_int_equal(ks_store_apply(store, plan, &how), 0);
	assert_int_equal(ks_set_counts(store->items).certificates, 3);
}

static void a_certificate_without_its_key_is_refused(void **state)
{
	struct ks_enroll_job job;
	ks_auto(buffer) der = NULL;
	ks_auto(set) from = NULL;
	ks_auto(plan) plan = NULL;
	ks_auto(plan) drop = NULL;
	struct ks_commit_wish how = { 0 };

	(void)state;
	assert_int_equal(enroll_one(&job, "CN=a", false), 0);
	strip(&der, &job);
	assert_int_equal(ks_plan_new(&drop, ctx, store->items), 0);
	for (size_t i = 0; i < ks_set_count(store->items); i++) {
		if (ks_set_at(store->items, i)->kind == KS_PRIVATE_KEY)
			assert_int_equal(ks_plan_drop(drop, ks_set_at(store->items, i), NULL), 0);
	}
	assert_int_equal(ks_store_apply(store, drop, &how), 0);
	assert_int_equal(ks_set_new(&from, ctx), 0);
	add_der(from, ks_buffer_bytes(der));
	assert_int_equal(ks_install(&plan, store, from, false), KS_EMISMATCH);
	assert_null(plan);
}

static void a_second_certificate_needs_replace(void **state)
{
	struct ks_enroll_job job;
	ks_auto(buffer) der = NULL;
	ks_auto(set) from = NULL;
	ks_auto(plan) plan = NULL;

	(void)state;
	assert_int_equal(enroll_one(&job, "CN=a", false), 0);
	der = ks_buffer_new(65536);
	ks_buffer_put(der, job.certificate->der.data, job.certificate->der.size);
	assert_int_equal(enroll_one(&job, "CN=b", true), 0);
	assert_int_equal(ks_set_new(&from, ctx), 0);
	add_der(from, ks_buffer_bytes(der));
	assert_int_equal(ks_install(&plan, store, from, false), KS_EEXISTS);
	assert_int_equal(ks_install(&plan, store, from, true), 0);
	assert_int_equal(plan->changes[0].what, KS_REPLACE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_key_is_made_and_its_certificate_stands_beside_it, start, finish),
		cmocka_unit_test_setup_teardown(again_there_is_nothing_to_do_and_no_new_serial, start, finish),
		cmocka_unit_test_setup_teardown(another_subject_is_refused_until_replace_is_said, start, finish),
		cmocka_unit_test_setup_teardown(a_certificate_that_never_reached_the_store_is_written_back, start,
						finish),
		cmocka_unit_test_setup_teardown(what_the_profile_refuses_makes_no_key, start, finish),
		cmocka_unit_test_setup_teardown(a_list_with_one_label_twice_is_refused_whole, start, finish),
		cmocka_unit_test_setup_teardown(a_list_shares_one_chain_certificate, start, finish),
		cmocka_unit_test_setup_teardown(a_certificate_finds_its_key_by_public_key, start, finish),
		cmocka_unit_test_setup_teardown(a_certificate_without_its_key_is_refused, start, finish),
		cmocka_unit_test_setup_teardown(a_second_certificate_needs_replace, start, finish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
