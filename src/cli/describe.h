/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries, stores and plans in words: as JSON of the schema, as table cells, as a page of details.
 */
#ifndef CLI_DESCRIBE_H
#define CLI_DESCRIBE_H

#include "run.h"
#include "certificate.h"
#include "plan.h"
#include "store.h"

/* An entry looked at once. Borrowed from the entry. */
struct described {
	const struct ks_entry *entry;
	struct ks_item *head;
	const char *kind; /* word of the schema */
	bool anchor; /* trusted, and no key beside it */
	struct ks_bytes label; /* data NULL = none */
	struct ks_keyspec key;
	struct ks_certificate_facts facts;
	bool has_facts;
};
void describe(struct described *out, const struct ks_entry *entry);

/* The store's entries in the order of answers: label, kind, digest. New array of ks_store_entry_count pointers,
 * NULL-ended. */
int describe_sorted(const struct ks_entry ***out, struct run *run, struct ks_store *store);

/* What is wrong with single records of the store, as remarks. */
void describe_problems(struct run *run, const struct ks_store *store);
/* format, integrity, protection, counts, blocks, and the set's problems. */
void describe_store(struct run *run, struct ks_store *store);
/* One object of "entries". */
void describe_entry_json(struct run *run, const struct ks_where *where, const struct described *described);
json_t *describe_json(struct run *run, const struct ks_where *where, const struct described *described);

/* What people call it: the label, else the common name, else the subject. New string, not yet escaped as a whole. */
char *describe_name(const struct described *described);
/* The entry's own address: STORE#label, STORE#sha256:..., or the object's URI. New string or NULL. */
char *describe_uri(const struct ks_where *where, const struct described *described);
/* The address of the object of that label in a token, whether it is there or not. New string or NULL. */
char *describe_label_uri(const struct ks_where *where, const char *label);
/* "in 12 d 2026-12-03" (near, for terminals) or "2026-12-03"; "" without certificate. */
void describe_expiry(char out[48], const struct described *described, int64_t now, bool near);
bool describe_expires(const struct described *described, int64_t by);

/* "changes" in the document, or one line a change. Kept things only with -v. */
void describe_plan(struct run *run, const struct ks_plan *plan);
/* The same of a plan that may be long: one line of counts, after the single changes when they are few or asked for. */
void describe_many(struct run *run, const struct ks_where *where, const struct ks_plan *plan);

#endif
