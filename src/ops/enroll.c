/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole job, for one key or a thousand.
 *
 * Jobs go in groups: the keys of a group are made, then all its requests are signed in one batch of the ledger, then
 * all its certificates are written to the store in one plan, then the store is looked at. A run that was stopped
 * anywhere is continued by the same command: keys that are there are taken, and a certificate that the ledger has and
 * the store lacks is only written back.
 */
#include "enroll.h"

#include "certificate.h"
#include "generate.h"
#include "lookup.h"
#include "signed.h"
#include "text.h"

#include <string.h>
#include <time.h>

#define GROUP 256 /* jobs: what a stop in the middle leaves for the next run to write back */

/* One job of the group that is at work. */
struct task {
	struct ks_enroll_job *job;
	X509_NAME *subject;
	unsigned char *subject_der; /* OpenSSL's */
	int subject_size;
	struct ks_item *key; /* until the next commit */
	struct ks_buffer *spki;
	struct ks_request *request; /* NULL: nothing is to be signed */
	struct ks_buffer *der; /* what is to be written, or NULL */
};

struct run {
	struct ks_ctx *ctx;
	struct ks_store *store;
	struct ks_ca *ca;
	const struct ks_enroll_wish *wish;
	struct ks_lookup *lookup;
	struct task tasks[GROUP];
	size_t count;
	size_t before, all; /* for progress */
};

static void task_clear(struct task *task)
{
	X509_NAME_free(task->subject);
	OPENSSL_free(task->subject_der);
	ks_buffer_free(task->spki);
	ks_request_free(task->request);
	ks_buffer_free(task->der);
	*task = (struct task){ 0 };
}

static int look(struct run *run)
{
	ks_lookup_free(ks_take(run->lookup));
	return ks_lookup_new(&run->lookup, run->store, false);
}

/* `rc` said about one of the jobs. */
static int about(struct run *run, int rc, const struct ks_enroll_job *job)
{
	ks_auto_mem char *shown = ks_text_show(ks_bytes_of(job->label));

	return ks_while(run->ctx, rc, "enrolling \"%s\"", shown ? shown : "");
}

/* ---- the key ---- */

static int find_key(struct ks_item **out, struct run *run, const struct ks_enroll_job *job)
{
	size_t count;
	struct ks_item *key = ks_lookup_key(run->lookup, &count, ks_bytes_of(job->label));

	if (count > 1)
		return ks_hint(run->ctx, ks_fail(run->ctx, KS_EAMBIGUOUS, "%zu private keys have that label", count),
			       "rename all but one: keystow list shows their ids");
	*out = key;
	return 0;
}

/* The key that is made for a job which finds none. */
static struct ks_generate key_wish(const struct run *run, const struct ks_enroll_job *job)
{
	struct ks_generate wish = {
		.spec = run->wish->spec.type == KS_KEY_UNKNOWN ? run->wish->profile->key : run->wish->spec,
		.allow_extractable = run->wish->allow_extractable,
	};

	if (job->make)
		wish = *job->make;
	wish.label = ks_bytes_of(job->label);
	wish.signs_next = true;
	return wish;
}

static int make_key(struct run *run, struct ks_enroll_job *job)
{
	struct ks_generate wish = key_wish(run, job);
	struct ks_item *made = NULL;
	int rc = ks_generate(&made, run->store, &wish, false);

	if (rc < 0)
		return rc;
	job->made_key = true;
	/* A file was written anew, so what was looked up before is gone; a device only has one item more. */
	return run->store->engine->generate ? 0 : look(run);
}

/* A key that is there is taken as it is, unless another kind of key was asked for. */
static int check_type(struct run *run, const struct ks_item *key)
{
	const struct ks_keyspec *wanted = &run->wish->spec;
	char have[32], want[32];

	if (wanted->type == KS_KEY_UNKNOWN || key->key.type == KS_KEY_UNKNOWN ||
	    (wanted->type == key->key.type && wanted->bits == key->key.bits))
		return 0;
	ks_keyspec_title(have, &key->key);
	ks_keyspec_title(want, wanted);
	return ks_hint(run->ctx,
		       ks_fail(run->ctx, KS_EEXISTS, "the key is there already and is %s, not %s", have, want),
		       "leave out --type to use it, or choose another label");
}

static int need_keys(struct run *run)
{
	int rc = look(run);

	for (size_t i = 0; rc == 0 && i < run->count; i++) {
		struct ks_item *key = NULL;

		rc = find_key(&key, run, run->tasks[i].job);
		if (rc == 0 && key)
			rc = check_type(run, key);
		else if (rc == 0)
			rc = make_key(run, run->tasks[i].job);
		if (rc < 0)
			return about(run, rc, run->tasks[i].job);
		rc = ks_progress(run->ctx, "enrolling", run->before + i, run->all);
	}
	return rc;
}

/* ---- what is there already ---- */

/* Why a certificate is not what the job wants; NULL = it is. */
static const char *difference(struct run *run, const struct task *task, struct ks_bytes der, const char *profile)
{
	struct ks_certificate_facts facts, ca;
	struct ks_altnames names = { 0 };
	bool same_names;

	if (ks_certificate_facts(&facts, der) < 0 || ks_certificate_facts(&ca, ks_ca_certificate(run->ca)->der) < 0)
		return "that cannot be read";
	if (!ks_bytes_equal(facts.issuer, ca.subject))
		return "from another CA";
	if (facts.not_after < time(NULL))
		return "that has expired";
	if (!ks_bytes_equal(facts.subject, KS_BYTES(task->subject_der, (size_t)task->subject_size)))
		return "with another subject";
	if (profile && strcmp(profile, run->wish->profile->name) != 0)
		return "of another profile";
	if (facts.alternative_names.data && ks_altnames_read(&names, run->ctx, facts.alternative_names) < 0)
		return "whose alternative names cannot be read";
	same_names = task->job->names ? ks_altnames_equal(&names, task->job->names) : names.count == 0;
	ks_altnames_free(&names);
	return same_names ? NULL : "with other alternative names";
}

/* Did this CA's key sign it? Its name alone could be anybody's. */
static bool signed_by_ca(struct run *run, struct ks_bytes der)
{
	X509 *ca = ks_item_x509(ks_ca_certificate(run->ca), run->ctx);
	struct ks_signed parts;

	if (!ca || ks_signed_read(&parts, der) < 0 ||
	    ks_signed_check(&parts, run->ctx, X509_get0_pubkey(ca), "the certificate") < 0) {
		ks_forgive(run->ctx);
		return false;
	}
	return true;
}

/* The newest certificate that the ledger has for the key; *out stays NULL when there is none. */
static int find_row(struct ks_issued **out, struct run *run, const struct task *task)
{
	unsigned char digest[KS_SHA256];
	int rc;

	ks_sha256(digest, ks_buffer_bytes(task->spki));
	rc = ks_ledger_find_key(out, ks_ca_ledger(run->ca), digest);
	if (rc == KS_ENOTFOUND) {
		ks_forgive(run->ctx);
		return 0;
	}
	return rc;
}

static int exists_differently(struct run *run, struct ks_item *have, const char *why)
{
	ks_auto_mem char *named = ks_item_named(have);

	return ks_hint(run->ctx,
		       ks_fail(run->ctx, KS_EEXISTS, "there is a %s already, %s", named ? named : "certificate", why),
		       "--replace puts a new certificate in its place; the key stays");
}

/* Why a certificate of the store does not settle the job; NULL = it does. */
static const char *obstacle(struct run *run, const struct task *task, struct ks_item *have, const struct ks_issued *row)
{
	bool newest = row && ks_bytes_equal(ks_buffer_bytes(row->der), have->der);
	const char *why = newest && row->revoked ? "that was revoked"
						 : difference(run, task, have->der, newest ? row->profile : NULL);

	return why || newest || signed_by_ca(run, have->der) ? why : "from another CA of the same name";
}

/* One of the key's certificates settles the job, or the first one stands in the way. */
static int judge_present(struct run *run, struct task *task, struct ks_item *first, const struct ks_issued *row)
{
	struct ks_item *have = first;

	for (size_t n = 0; have; have = ks_lookup_certificate(run->lookup, ks_buffer_bytes(task->spki), ++n)) {
		if (!obstacle(run, task, have, row)) {
			task->job->result = KS_ENROLL_NOTHING_TO_DO;
			return 0;
		}
	}
	return exists_differently(run, first, obstacle(run, task, first, row));
}

/* Issued, but it never reached the store: good enough to be written back now? */
static bool row_fits(struct run *run, const struct task *task, const struct ks_issued *row)
{
	return row && !row->revoked && !ks_lookup_same(run->lookup, ks_buffer_bytes(row->der)) &&
	       !difference(run, task, ks_buffer_bytes(row->der), row->profile);
}

static int decide(struct run *run, struct task *task)
{
	ks_auto(issued) row = NULL;
	struct ks_item *have;
	int rc = find_key(&task->key, run, task->job);

	if (rc == 0 && !task->key)
		rc = ks_hint(run->ctx,
			     ks_fail(run->ctx, KS_ELIES, "%s made the key, but does not show it under its label",
				     ks_where_text(run->store->where)),
			     "keystow list shows what is there");
	if (rc == 0)
		rc = ks_key_spki(&task->spki, run->ctx, task->key);
	if (rc == 0 && !task->job->made_key)
		rc = find_row(&row, run, task);
	if (rc < 0)
		return rc;
	have = ks_lookup_certificate(run->lookup, ks_buffer_bytes(task->spki), 0);
	if (have && !run->wish->replace)
		return judge_present(run, task, have, row);
	if (row_fits(run, task, row)) {
		task->job->result = KS_ENROLL_INSTALLED;
		task->der = ks_take(row->der);
		return 0;
	}
	task->job->result = KS_ENROLL_ISSUED;
	rc = ks_request_write(&task->request, run->ctx, task->key, task->subject, task->job->names);
	return ks_hint(run->ctx, rc, "the key stays; the same command goes on from here");
}

static int decide_all(struct run *run)
{
	int rc = look(run);

	for (size_t i = 0; rc == 0 && i < run->count; i++)
		rc = about(run, decide(run, &run->tasks[i]), run->tasks[i].job);
	return rc;
}

/* ---- the CA ---- */

static int sign_all(struct run *run)
{
	struct ks_sign_wish wish = { .profile = run->wish->profile, .days = run->wish->days };
	struct ks_request *requests[GROUP];
	struct ks_buffer *signed_ones[GROUP];
	size_t count = 0, next = 0;
	int rc;

	for (size_t i = 0; i < run->count; i++) {
		if (run->tasks[i].request)
			requests[count++] = run->tasks[i].request;
	}
	if (count == 0)
		return 0;
	rc = ks_ca_sign(signed_ones, run->ca, requests, count, &wish);
	if (rc < 0)
		return ks_hint(run->ctx, rc, "the keys stay; the same command goes on from here");
	for (size_t i = 0; i < run->count; i++) {
		if (run->tasks[i].request)
			run->tasks[i].der = signed_ones[next++];
	}
	return 0;
}

/* ---- writing back ---- */

/* An item of `fresh` that has the DER. */
static int certificate_item(struct ks_item **out, struct run *run, struct ks_set *fresh, struct ks_bytes der)
{
	struct ks_item *item = ks_set_add(fresh, KS_CERTIFICATE);

	if (!item)
		return ks_nomem(run->ctx);
	item->der = ks_set_bytes(fresh, der.data, der.size);
	if (!item->der.data)
		return ks_nomem(run->ctx);
	*out = item;
	return 0;
}

/* Beside its key, under the key's label and id; what it replaces goes. */
static int plan_task(struct ks_plan *plan, struct run *run, struct ks_set *fresh, const struct task *task)
{
	struct ks_naming naming = { .label = task->key->label, .id = task->key->id };
	struct ks_bytes spki = ks_buffer_bytes(task->spki);
	struct ks_item *item = NULL, *old;
	int rc = certificate_item(&item, run, fresh, ks_buffer_bytes(task->der));

	if (rc < 0)
		return rc;
	old = ks_lookup_certificate(run->lookup, spki, 0);
	rc = old ? ks_plan_replace(plan, old, item, &naming, "a new certificate for the same key")
		 : ks_plan_add(plan, item, &naming, "issued for this key");
	for (size_t n = 1; rc == 0 && old && (old = ks_lookup_certificate(run->lookup, spki, n)); n++)
		rc = ks_plan_drop(plan, old, "an older certificate for the same key");
	return rc;
}

/* The CA's own certificate completes the chain; once is enough. */
static int plan_chain(struct ks_plan *plan, struct run *run, struct ks_set *fresh)
{
	struct ks_item *ca = ks_ca_certificate(run->ca), *item = NULL;
	struct ks_certificate_facts facts;
	unsigned char id[20];
	struct ks_naming naming = { .id = KS_BYTES(id, sizeof(id)) };
	ks_auto_mem char *label = NULL;
	int rc;

	if (ks_lookup_same(run->lookup, ca->der) || !(run->store->engine->can & KS_CAN_MANY))
		return 0;
	if (ks_certificate_facts(&facts, ca->der) < 0 || ks_spki_id(id, facts.spki) < 0)
		return ks_fail(run->ctx, KS_EDAMAGED, "the CA's certificate cannot be read");
	label = ks_name_common(facts.subject);
	naming.label = ks_bytes_of(label ? label : "CA");
	rc = certificate_item(&item, run, fresh, ca->der);
	return rc < 0 ? rc : ks_plan_add(plan, item, &naming, "completes the chain");
}

static int write_back(struct run *run)
{
	struct ks_commit_wish how = { .keep_old = run->wish->replace };
	ks_auto(set) fresh = NULL;
	ks_auto(plan) plan = NULL;
	int rc = ks_set_new(&fresh, run->ctx);

	if (rc == 0)
		rc = ks_plan_new(&plan, run->ctx, run->store->items);
	for (size_t i = 0; rc == 0 && i < run->count; i++) {
		if (run->tasks[i].der)
			rc = plan_task(plan, run, fresh, &run->tasks[i]);
	}
	if (rc == 0 && !ks_plan_empty(plan))
		rc = plan_chain(plan, run, fresh);
	if (rc < 0 || ks_plan_empty(plan))
		return rc;
	rc = ks_store_apply(run->store, plan, &how);
	return ks_hint(run->ctx, rc, "the certificates are in the ledger; the same command writes them back");
}

/* ---- looking at the result ---- */

static int look_at(struct run *run, const struct task *task)
{
	struct ks_item *key = NULL;
	int rc = find_key(&key, run, task->job);

	if (rc < 0)
		return rc;
	if (!key || (task->der && !ks_lookup_same(run->lookup, ks_buffer_bytes(task->der))))
		return ks_fail(run->ctx, KS_ELIES, "%s took the certificate, but does not show it",
			       ks_where_text(run->store->where));
	return 0;
}

static int look_at_all(struct run *run)
{
	int rc = look(run);

	for (size_t i = 0; rc == 0 && i < run->count; i++)
		rc = about(run, look_at(run, &run->tasks[i]), run->tasks[i].job);
	return rc;
}

/* Points each job to what the store holds now. */
static int point(struct run *run, struct ks_enroll_job *jobs, size_t count)
{
	ks_auto(buffer) spki = NULL;
	size_t found;
	int rc = look(run);

	for (size_t i = 0; rc == 0 && i < count; i++) {
		jobs[i].key = ks_lookup_key(run->lookup, &found, ks_bytes_of(jobs[i].label));
		if (!jobs[i].key)
			continue;
		rc = ks_key_spki(&spki, run->ctx, jobs[i].key);
		if (rc == 0)
			jobs[i].certificate = ks_lookup_certificate(run->lookup, ks_buffer_bytes(spki), 0);
		ks_buffer_free(ks_take(spki));
	}
	return rc;
}

/* ---- the whole ---- */

static int subject_of(X509_NAME **out, struct ks_ctx *ctx, const struct ks_enroll_job *job)
{
	const unsigned char *at = job->name.data;

	if (job->subject)
		return ks_name_parse(out, ctx, job->subject);
	*out = d2i_X509_NAME(NULL, &at, (long)job->name.size);
	return *out ? 0 : ks_fail_openssl(ctx, KS_EDAMAGED, "the subject cannot be read");
}

/* What can be refused without a key is refused before one is made. */
static int check_job(struct run *run, struct task *task, struct ks_enroll_job *job)
{
	struct ks_request wished = { .key = key_wish(run, job).spec };
	int rc = subject_of(&task->subject, run->ctx, job);

	task->job = job;
	if (rc < 0)
		return rc;
	task->subject_size = i2d_X509_NAME(task->subject, &task->subject_der);
	if (task->subject_size < 0)
		return ks_fail_openssl(run->ctx, KS_ENOMEM, "the subject cannot be encoded");
	wished.subject = KS_BYTES(task->subject_der, (size_t)task->subject_size);
	if (job->names)
		wished.names = *job->names;
	return ks_profile_grants(run->ctx, run->wish->profile, &wished);
}

static int check_all(struct run *run, struct ks_enroll_job *jobs, size_t count)
{
	struct ks_sign_wish dry = { .profile = run->wish->profile, .days = run->wish->days, .dry_run = true };
	int rc = ks_store_able(run->store, KS_CAN_KEYS | KS_CAN_CERTIFICATES | KS_CAN_WRITE);

	if (rc == 0)
		rc = ks_ca_sign(NULL, run->ca, NULL, 0, &dry);
	for (size_t i = 0; rc == 0 && i < count; i++) {
		struct task task = { 0 };

		rc = about(run, check_job(run, &task, &jobs[i]), &jobs[i]);
		task_clear(&task);
	}
	return rc;
}

static int label_order(const void *a, const void *b)
{
	const struct ks_enroll_job *const *x = a, *const *y = b;

	return strcmp((*x)->label, (*y)->label);
}

static int check_labels(struct run *run, struct ks_enroll_job *jobs, size_t count)
{
	ks_auto_mem struct ks_enroll_job **sorted = ks_array(count, sizeof(*sorted));

	if (!sorted)
		return ks_nomem(run->ctx);
	for (size_t i = 0; i < count; i++)
		sorted[i] = &jobs[i];
	qsort(sorted, count, sizeof(*sorted), label_order);
	for (size_t i = 1; i < count; i++) {
		if (label_order(&sorted[i - 1], &sorted[i]) == 0)
			return about(run, ks_fail(run->ctx, KS_EUSAGE, "the list has that label twice"), sorted[i]);
	}
	return 0;
}

static int do_group(struct run *run, struct ks_enroll_job *jobs, size_t count)
{
	int rc = 0;

	run->count = count;
	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = check_job(run, &run->tasks[i], &jobs[i]);
	if (rc == 0)
		rc = need_keys(run);
	if (rc == 0)
		rc = decide_all(run);
	if (rc == 0)
		rc = sign_all(run);
	if (rc == 0)
		rc = write_back(run);
	if (rc == 0)
		rc = look_at_all(run);
	for (size_t i = 0; i < count; i++)
		task_clear(&run->tasks[i]);
	return rc;
}

static int do_all(size_t *done, struct run *run, struct ks_enroll_job *jobs, size_t count)
{
	int rc = check_labels(run, jobs, count);

	if (rc == 0)
		rc = check_all(run, jobs, count);
	if (run->wish->dry_run)
		return rc;
	while (rc == 0 && *done < count) {
		size_t size = count - *done < GROUP ? count - *done : GROUP;

		run->before = *done;
		rc = do_group(run, jobs + *done, size);
		if (rc == 0)
			*done += size;
	}
	return rc;
}

int ks_enroll(size_t *done, struct ks_store *store, struct ks_ca *ca, const struct ks_enroll_wish *wish,
	      struct ks_enroll_job *jobs, size_t count)
{
	struct run run = { .ctx = store->ctx, .store = store, .ca = ca, .wish = wish, .all = count };
	int rc;

	*done = 0;
	rc = do_all(done, &run, jobs, count);
	if (rc == 0 && *done)
		rc = point(&run, jobs, *done);
	ks_lookup_free(run.lookup);
	return rc;
}
