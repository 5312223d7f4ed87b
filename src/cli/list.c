/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keystow list: what is in stores, a row an entry.
 */
#include "commands.h"
#include "describe.h"
#include "name.h"
#include "stores.h"
#include "table.h"
#include "text.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#define SOON (30 * 86400)

struct listing {
	struct table *table;
	int64_t now;
	bool near; /* dates as distances too */
	bool fold; /* trusted CAs are only counted */
	size_t folded, stores;
};

static void note_of(char out[32], const struct described *described, int64_t now)
{
	const struct ks_item *head = described->head;

	out[0] = '\0';
	if (head->flags & KS_UNDECODED)
		snprintf(out, 32, "%s", "! not understood");
	else if (describe_expires(described, now))
		snprintf(out, 32, "%s", "! expired");
	else if (!described->anchor && describe_expires(described, now + SOON))
		snprintf(out, 32, "%s", "! renew");
	else if (head->kind == KS_PRIVATE_KEY && !described->has_facts)
		snprintf(out, 32, "%s", "no certificate");
	else if (head->flags & KS_ON_DEVICE && head->kind == KS_PRIVATE_KEY)
		snprintf(out, 32, "%s", "key on token");
}

static void list_row(const struct listing *listing, const struct ks_where *where, const struct described *described)
{
	ks_auto_mem char *name = describe_name(described);
	char key[32] = "", expiry[48], note[32];
	const char *cells[] = { name, described->kind, key, expiry, ks_where_text(where), note };

	if (described->key.type != KS_KEY_UNKNOWN)
		ks_keyspec_title(key, &described->key);
	describe_expiry(expiry, described, listing->now, listing->near);
	note_of(note, described, listing->now);
	table_row(listing->table, cells, 0);
}

/* The chain above an entry, each under the one it signs. */
static void list_chain(const struct listing *listing, const struct ks_where *where, const struct ks_entry *entry)
{
	for (size_t i = 0; i < entry->chain_count; i++) {
		const struct ks_entry above = { .certificate = entry->chain[i] };
		struct described described;
		ks_auto_mem char *subject = NULL;
		char key[32], expiry[48], note[32];

		describe(&described, &above);
		subject = described.has_facts ? ks_name_text(described.facts.subject) : NULL;
		ks_keyspec_title(key, &described.key);
		describe_expiry(expiry, &described, listing->now, listing->near);
		note_of(note, &described, listing->now);
		table_row(listing->table,
			  (const char *const[]){ subject, "issuer", key, expiry, ks_where_text(where), note },
			  (unsigned)i + 1);
	}
}

static bool is_wanted(const struct run *run, struct listing *listing, const struct described *described)
{
	const int64_t within = run->options->expires_within;

	if (within && !describe_expires(described, listing->now + within))
		return false;
	if (listing->fold && described->anchor && !within) {
		listing->folded++;
		return false;
	}
	return true;
}

static int list_store(struct run *run, struct ks_store *store, void *user)
{
	struct listing *listing = user;
	ks_auto_mem const struct ks_entry **sorted = NULL;
	const struct ks_entry *named = NULL;
	bool any = false;
	int rc = 0;

	if (ks_where_names_entry(store->where))
		rc = ks_store_entry(&named, store, store->where);
	if (rc == 0)
		rc = describe_sorted(&sorted, run, store);
	if (rc < 0)
		return rc;
	describe_store(run, store);
	listing->stores++;
	out_open(&run->out, "entries", '[');
	for (const struct ks_entry **entry = sorted; *entry; entry++) {
		struct described described;

		describe(&described, *entry);
		if ((named && *entry != named) || !is_wanted(run, listing, &described))
			continue;
		any = true;
		if (run->out.json) {
			describe_entry_json(run, store->where, &described);
			continue;
		}
		list_row(listing, store->where, &described);
		if (run->options->tree)
			list_chain(listing, store->where, *entry);
	}
	out_close(&run->out);
	return any && run->options->expires_within ? KS_NO_EXPIRING : 0;
}

int list_run(struct run *run)
{
	static const char *const headings[] = { "NAME", "KIND", "KEY", "EXPIRES", "STORE", "NOTE", NULL };
	auto_table *table = table_new(&run->out, headings);
	struct listing listing = {
		.table = table,
		.now = time(NULL),
		.near = isatty(STDOUT_FILENO) == 1,
		.fold = !run_operand(run, 0) && !run->options->all && !run->out.json,
	};

	stores_begin(run);
	if (run_operand(run, 0))
		stores_named(run, 0, run->options->pin_source, KS_READ, list_store, &listing);
	else
		stores_known(run, KS_READ, list_store, &listing);
	if (listing.folded)
		run_say(run, "%zu trusted CAs in %zu stores are counted only; --all shows them", listing.folded,
			listing.stores);
	return stores_end(run);
}
