/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keystow verify: whether entries hold together.
 */
#include "check.h"
#include "commands.h"
#include "describe.h"
#include "stores.h"
#include "text.h"
#include "where.h"

#include <time.h>

struct inquiry {
	const struct ks_set *anchors; /* NULL = each store's own */
	int64_t now;
};

static json_t *findings_json(const struct ks_findings *findings)
{
	json_t *list = json_array();

	for (size_t i = 0; i < findings->count; i++) {
		const struct ks_finding *finding = &findings->findings[i];
		json_t *object = json_object();

		out_set_text(object, "check", finding->check);
		json_object_set_new(object, "ok", json_boolean(finding->status == 0));
		out_set_text(object, "text", finding->text);
		out_set_text(object, "hint", finding->hint && *finding->hint ? finding->hint : NULL);
		json_array_append_new(list, object);
	}
	return list;
}

static void findings_text(struct run *run, const char *name, const struct ks_findings *findings)
{
	out_line(&run->out, "%s  %s", name, findings->bad ? "! does not hold together" : "holds together");
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
		findings_text(run, name ? name : "-", &findings);
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

int verify_run(struct run *run)
{
	struct inquiry inquiry = { .now = time(NULL) };
	ks_auto(where) where = NULL;
	ks_auto(store) anchors = NULL;
	int rc;

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
