/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keystow enroll: key, request, certificate and writing back, for one key or a list of them.
 */
#include "enroll.h"
#include "commands.h"
#include "describe.h"
#include "joblist.h"
#include "settings.h"
#include "stores.h"
#include "table.h"
#include "where.h"

#include <time.h>
#include <unistd.h>

struct enrolling {
	struct ks_ca *ca;
	struct ks_enroll_wish wish;
	struct ks_joblist *list;
};

static const char *result_word(const struct ks_enroll_job *job)
{
	static const char *const words[] = {
		[KS_ENROLL_NOTHING_TO_DO] = "nothing to do",
		[KS_ENROLL_INSTALLED] = "installed",
		[KS_ENROLL_ISSUED] = "issued",
	};

	return words[job->result];
}

/* The entry as it is in the store now: of this label, with a key. */
static const struct ks_entry *entry_of(struct ks_store *store, const char *label)
{
	const struct ks_entries *entries;

	if (ks_store_entries(&entries, store) < 0)
		return NULL;
	for (size_t i = 0; i < entries->count; i++) {
		const struct ks_entry *entry = &entries->entries[i];

		if (entry->key && entry->key->kind == KS_PRIVATE_KEY && ks_bytes_are(ks_entry_label(entry), label))
			return entry;
	}
	return NULL;
}

static void tell_job(struct run *run, struct table *table, struct ks_store *store, const struct ks_enroll_job *job)
{
	const struct ks_entry *entry = entry_of(store, job->label);
	struct described described;
	char key[32], expiry[48];

	if (!entry)
		return;
	describe(&described, entry);
	if (run->out.json) {
		json_t *object = describe_json(run, store->where, &described);

		out_set_text(object, "result", result_word(job));
		json_object_set_new(object, "made_key", json_boolean(job->made_key));
		out_value(&run->out, NULL, object);
		return;
	}
	ks_keyspec_title(key, &described.key);
	describe_expiry(expiry, &described, time(NULL), isatty(STDOUT_FILENO) == 1);
	table_row(table,
		  (const char *const[]){ job->label, key, expiry, ks_where_text(store->where), result_word(job) }, 0);
}

static int enroll(struct run *run, struct ks_store *store, void *user)
{
	static const char *const headings[] = { "NAME", "KEY", "EXPIRES", "STORE", "RESULT", NULL };
	struct enrolling *enrolling = user;
	struct ks_joblist *list = enrolling->list;
	auto_table *table = NULL;
	size_t done = 0;
	int rc;

	rc = ks_enroll(&done, store, enrolling->ca, &enrolling->wish, list->jobs, list->count);
	table = table_new(&run->out, headings);
	out_open(&run->out, "entries", '[');
	for (size_t i = 0; i < done; i++)
		tell_job(run, table, store, &list->jobs[i]);
	out_close(&run->out);
	if (rc < 0 && list->count > 1)
		return ks_while(run->ctx, rc, "after %zu of %zu keys", done, list->count);
	return rc;
}

static int jobs_of(struct ks_joblist **out, struct run *run, const struct ks_where *where)
{
	const struct options *options = run->options;

	if (options->from && (options->subject || options->san.count))
		return ks_fail(run->ctx, KS_EUSAGE, "with --from the list names subjects and alternative names");
	if (options->from && ks_where_names_entry(where))
		return ks_fail(run->ctx, KS_EUSAGE,
			       "with --from the list names the keys, so the operand is a store without #LABEL");
	if (options->from)
		return ks_joblist_read(out, run, options->from);
	if (!where->label)
		return ks_hint(
			run->ctx,
			ks_fail(run->ctx, KS_EUSAGE, "%s does not say which key to enroll", ks_where_text(where)),
			"write STORE#LABEL, or object=LABEL in a pkcs11: URI, or give a list with --from");
	if (!options->subject)
		return ks_hint(run->ctx, ks_fail(run->ctx, KS_EUSAGE, "enroll wants a --subject"),
			       "as in --subject CN=name,O=organisation,C=GB");
	return ks_joblist_one(out, run, where->label);
}

/* Everything that can be refused before a store is opened or a PIN is asked. */
static int prepare(struct run *run, const struct ks_where *where, struct enrolling *enrolling,
		   struct ks_profile **profile, struct ks_joblist **list, struct ks_ca **ca)
{
	const struct options *options = run->options;
	ks_auto_mem char *dir = NULL;
	const char *source = NULL;
	int rc;

	if (!options->profile)
		return ks_hint(run->ctx, ks_fail(run->ctx, KS_EUSAGE, "enroll wants a --profile"),
			       "keystow help profiles");
	rc = jobs_of(list, run, where);
	if (rc == 0)
		rc = settings_ca(&dir, &source, run);
	if (rc == 0)
		rc = ks_profile_find(profile, run->ctx, dir, options->profile);
	if (rc == 0)
		rc = ks_ca_open(ca, run->ctx, dir, source);
	if (rc < 0)
		return rc;
	enrolling->ca = *ca;
	enrolling->list = *list;
	enrolling->wish = (struct ks_enroll_wish){
		.profile = *profile,
		.spec = options->type,
		.days = options->days,
		.replace = options->replace,
		.allow_extractable = options->allow_extractable,
	};
	return 0;
}

int enroll_run(struct run *run)
{
	ks_auto(where) where = NULL;
	ks_auto(profile) profile = NULL;
	ks_auto(joblist) list = NULL;
	ks_auto(ca) ca = NULL;
	struct enrolling enrolling = { 0 };
	int rc;

	rc = stores_where(&where, run, run_operand(run, 0), run->options->pin_source);
	if (rc == 0)
		rc = prepare(run, where, &enrolling, &profile, &list, &ca);
	if (rc < 0)
		return rc;
	return stores_only(run, where, KS_WRITE | KS_CREATE | (ks_where_is_token(where) ? KS_LOGIN : 0), enroll,
			   &enrolling);
}
