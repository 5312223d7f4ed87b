/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keystow verify: whether entries hold together.
 */
#include "check.h"
#include "commands.h"
#include "describe.h"
#include "findings.h"
#include "reader.h"
#include "stores.h"
#include "text.h"
#include "where.h"

#include <time.h>

struct inquiry {
	const struct ks_set *anchors; /* NULL = each store's own */
	int64_t now;
};

static void findings_text(struct run *run, const char *name, const char *verdict, const struct ks_findings *findings)
{
	out_line(&run->out, "%s  %s", name, verdict);
	for (size_t i = 0; i < findings->count; i++) {
		const struct ks_finding *finding = &findings->findings[i];
		const char *text = finding->text ? finding->text : ks_status_title(finding->status);

		out_line(&run->out, "%c %-9s  %s", finding->status ? '!' : ' ', finding->check, text);
		if (finding->status && finding->hint && *finding->hint)
			out_line(&run->out, "  %-9s  next: %s", "", finding->hint);
	}
}

static int verify_one(struct run *run, struct ks_store *store, const struct ks_entry *entry,
		      const struct inquiry *inquiry)
{
	/* A token signs only after a login that was asked for; a key in a file was opened with its store. */
	bool sign = entry->key && (!(entry->key->flags & KS_ON_DEVICE) || stores_login(store->where));
	struct ks_findings findings = { 0 };
	struct described described;
	ks_auto_mem char *name = NULL;
	bool bad;
	int rc;

	describe(&described, entry);
	name = describe_name(&described);
	rc = ks_verify_entry(&findings, store, entry, inquiry->anchors, sign, inquiry->now);
	bad = findings.bad;
	if (rc == 0 && run->out.json) {
		json_t *object = describe_json(run, store->where, &described);

		json_object_set_new(object, "ok", json_boolean(!bad));
		json_object_set_new(object, "findings", findings_json(&findings));
		out_value(&run->out, NULL, object);
	} else if (rc == 0) {
		findings_text(run, name ? name : "-", findings.bad ? "! does not hold together" : "holds together",
			      &findings);
	}
	ks_findings_free(&findings);
	return rc == 0 && bad ? KS_NO_INVALID : rc;
}

static int verify_all(struct run *run, struct ks_store *store, const struct inquiry *inquiry)
{
	ks_auto_mem const struct ks_entry **sorted = NULL;
	int rc, worst = 0;

	rc = describe_sorted(&sorted, run, store);
	for (const struct ks_entry **at = sorted; rc == 0 && *at; at++) {
		rc = verify_one(run, store, *at, inquiry);
		if (rc < 0 && rc > KS_EUSAGE) {
			worst = rc; /* a "no" about one entry does not end the look at the others */
			rc = 0;
		}
	}
	return rc < 0 ? rc : worst;
}

static int verify_store(struct run *run, struct ks_store *store, void *user)
{
	const struct ks_entry *entry = NULL;
	int rc = 0;

	if (ks_where_names_entry(store->where))
		rc = ks_store_entry(&entry, store, store->where);
	if (rc < 0)
		return rc;
	describe_store(run, store);
	out_open(&run->out, "entries", '[');
	rc = entry ? verify_one(run, store, entry, user) : verify_all(run, store, user);
	out_close(&run->out);
	return rc;
}

/* ---- with the eyes of other programs ---- */

struct audience {
	const struct ks_reader *const *readers; /* ended by NULL */
	struct ks_survey *survey;
};

static const char *const sights[] = {
	[KS_USED] = "can be used", [KS_SEEN] = "! is seen, and cannot be used", [KS_UNSEEN] = "! is not seen"
};

/* One entry and one program; true when it is of use there. */
static int look_one(bool *used, json_t *list, struct run *run, struct ks_store *store, const struct audience *audience,
		    const struct ks_entry *entry, const struct ks_reader *reader)
{
	struct ks_findings findings = { 0 };
	struct described described;
	ks_auto_mem char *name = NULL, *verdict = NULL;
	enum ks_sight sight;
	json_t *found;
	size_t i;
	int rc = ks_reader_look(&sight, &findings, reader, store, audience->survey, entry);

	describe(&described, entry);
	name = describe_name(&described);
	if (rc == 0 && asprintf(&verdict, "%s by %s", sights[sight], ks_reader_title(reader)) < 0)
		rc = ks_nomem(run->ctx);
	if (rc == 0) {
		*used = sight == KS_USED;
		findings_text(run, name ? name : "-", verdict, &findings);
		found = findings_json(&findings);
		for (i = 0; i < json_array_size(found); i++)
			json_array_append(list, json_array_get(found, i));
		json_decref(found);
	}
	ks_findings_free(&findings);
	return rc;
}

static int look_entry(struct run *run, struct ks_store *store, const struct audience *audience,
		      const struct ks_entry *entry)
{
	json_t *object, *findings = json_array(), *used_by = json_array();
	struct described described;
	bool all = true;
	int rc = 0;

	for (const struct ks_reader *const *reader = audience->readers; rc == 0 && *reader; reader++) {
		bool used = false;

		rc = look_one(&used, findings, run, store, audience, entry, *reader);
		if (used)
			json_array_append_new(used_by, json_string(ks_reader_name(*reader)));
		all &= used;
	}
	if (rc == 0 && run->out.json) {
		describe(&described, entry);
		object = describe_json(run, store->where, &described);
		json_object_set_new(object, "ok", json_boolean(all));
		json_object_set(object, "used_by", used_by);
		json_object_set(object, "findings", findings);
		out_value(&run->out, NULL, object);
	}
	json_decref(findings);
	json_decref(used_by);
	return rc < 0 || all ? rc : KS_NO_INVALID;
}

static int look_entries(struct run *run, struct ks_store *store, const struct audience *audience,
			const struct ks_entry *const *entries)
{
	int rc = 0, worst = 0;

	for (; rc == 0 && *entries; entries++) {
		if ((*entries)->other)
			continue; /* a request or a list is nothing that these programs look for */
		rc = look_entry(run, store, audience, *entries);
		if (rc == KS_NO_INVALID) {
			worst = rc;
			rc = 0;
		}
	}
	return rc < 0 ? rc : worst;
}

static int look_store(struct run *run, struct ks_store *store, void *user)
{
	ks_auto_mem const struct ks_entry **sorted = NULL;
	ks_auto(survey) survey = NULL;
	struct audience audience = { .readers = user };
	const struct ks_entry *one[2] = { NULL, NULL };
	int rc = ks_survey_new(&survey, store);

	audience.survey = survey;
	if (rc == 0)
		rc = ks_where_names_entry(store->where) ? ks_store_entry(&one[0], store, store->where)
							: describe_sorted(&sorted, run, store);
	if (rc < 0)
		return rc;
	describe_store(run, store);
	out_open(&run->out, "entries", '[');
	rc = look_entries(run, store, &audience, one[0] ? one : sorted);
	out_close(&run->out);
	return rc;
}

static int look_run(struct run *run)
{
	const struct words *words = &run->options->programs;
	ks_auto_mem const struct ks_reader **readers = ks_array(words->count + 1, sizeof(const struct ks_reader *));
	int rc = readers ? 0 : ks_nomem(run->ctx);

	for (size_t i = 0; rc == 0 && i < words->count; i++)
		rc = ks_reader_named(&readers[i], run->ctx, words->words[i]);
	if (rc == 0 && run->options->anchors)
		rc = ks_hint(run->ctx,
			     ks_fail(run->ctx, KS_EUSAGE, "--for asks what a program sees, not whom it trusts"),
			     "leave out --anchors, or --for");
	if (rc < 0)
		return rc;
	stores_begin(run);
	stores_named(run, 0, run->options->pin_source, KS_READ | KS_LOGIN, look_store, readers);
	return stores_end(run);
}

int verify_run(struct run *run)
{
	struct inquiry inquiry = { .now = time(NULL) };
	ks_auto(where) where = NULL;
	ks_auto(store) anchors = NULL;
	int rc;

	if (run->options->programs.count)
		return look_run(run);
	if (run->options->anchors) {
		rc = stores_where(&where, run, run->options->anchors, NULL);
		if (rc == 0)
			rc = ks_store_open(&anchors, run->ctx, where, KS_READ);
		if (rc < 0)
			return rc;
		inquiry.anchors = anchors->items;
	}
	stores_begin(run);
	stores_named(run, 0, run->options->pin_source, KS_READ, verify_store, &inquiry);
	return stores_end(run);
}
