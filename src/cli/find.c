/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keystow find: entries that match a text, wherever they are.
 */
#include "check.h"
#include "commands.h"
#include "describe.h"
#include "stores.h"
#include "table.h"
#include "where.h"

#include <string.h>
#include <time.h>

struct search {
	struct table *table;
	const char *text;
	size_t found, seen, stores;
	bool without_login; /* a token was looked at from outside */
};

static void find_row(const struct search *search, const struct ks_where *where, const struct described *described)
{
	ks_auto_mem char *name = describe_name(described);
	char key[32] = "", expiry[48];

	if (described->key.type != KS_KEY_UNKNOWN)
		ks_keyspec_title(key, &described->key);
	describe_expiry(expiry, described, time(NULL), false);
	table_row(search->table, (const char *const[]){ name, described->kind, key, expiry, ks_where_text(where) }, 0);
}

static int find_in(struct run *run, struct ks_store *store, void *user)
{
	struct search *search = user;
	ks_auto_mem const struct ks_entry **sorted = NULL;
	const struct ks_entry *only = NULL;
	int rc = 0;

	if (ks_where_names_entry(store->where))
		rc = ks_store_entry(&only, store, store->where);
	if (rc == 0)
		rc = describe_sorted(&sorted, run, store);
	if (rc < 0)
		return rc;
	describe_store(run, store);
	search->stores++;
	search->without_login |= ks_where_is_token(store->where) && !stores_login(store->where);
	out_open(&run->out, "entries", '[');
	for (const struct ks_entry **entry = sorted; *entry; entry++) {
		struct described described;

		if (only && *entry != only)
			continue;
		search->seen++;
		if (!ks_find_matches(run->ctx, *entry, search->text))
			continue;
		search->found++;
		describe(&described, *entry);
		describe_entry_json(run, store->where, &described);
		find_row(search, store->where, &described);
	}
	out_close(&run->out);
	return 0;
}

/* Exit 1 says no; this says to what question. */
static void tell_nothing(struct run *run, const struct search *search)
{
	const char *named = run_operand(run, 1), *next = "keystow list shows what is there";

	if (search->without_login)
		next = "private objects of a token are seen after login: give --pin-source";
	if (named && !run_operand(run, 2))
		run_say(run, "nothing in %s matches \"%s\", of %zu entries; %s",
			strcmp(named, "-") == 0 ? "standard input" : named, search->text, search->seen, next);
	else if (search->stores)
		run_say(run, "nothing matches \"%s\", of %zu entries in %zu stores; %s", search->text, search->seen,
			search->stores, next);
}

int find_run(struct run *run)
{
	static const char *const headings[] = { "NAME", "KIND", "KEY", "EXPIRES", "STORE", NULL };
	auto_table *table = table_new(&run->out, headings);
	struct search search = { .table = table, .text = run_operand(run, 0) };
	int rc;

	stores_begin(run);
	stores_named(run, 1, run->options->pin_source, KS_READ, find_in, &search);
	if (!run_operand(run, 1))
		stores_known(run, KS_READ, find_in, &search);
	rc = stores_end(run);
	if (rc != 0 || search.found)
		return rc;
	tell_nothing(run, &search);
	return KS_NO_MATCH;
}
