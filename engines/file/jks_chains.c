/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which certificates go into the record of which key.
 *
 * A chain that was found in a record stays in it as it is, also when it is incomplete or in a strange order: who wrote it may have had
 * reasons. It is made anew, from what belongs together by name and key, when a certificate of it was replaced or taken out, or when
 * one came that belongs there. What was in a chain that goes, goes with it.
 */
#include "jks.h"

#include "entry.h"
#include "key.h"

#include <string.h>

bool ks_jks_is_own(const struct ks_item *item, const struct ks_set *have)
{
	return have && (item->origin ? item->origin : item)->set == have;
}

bool ks_jks_is_record(const struct ks_item *item)
{
	if (item->kind == KS_CERTIFICATE)
		return ks_item_is_anchor(item);
	return item->kind != KS_OPAQUE || item->attributes.data || !item->handle;
}

struct choosing {
	struct ks_ctx *ctx;
	struct ks_set *from;
	const struct ks_set *have;
	struct ks_jks_chains *out;
	size_t capacity;
	bool *placed; /* by position: it stays in the chain that it was found in */
};

/* ---- one key ---------------------------------------------------------------------------------------------------------------- */

static int add_member(struct choosing *choosing, struct ks_jks_chain *chain, struct ks_item *member)
{
	struct ks_jks_chains *out = choosing->out;

	if (ks_array_grow(&out->members, &choosing->capacity, out->member_count + 1, sizeof(*out->members)) < 0)
		return ks_nomem(choosing->ctx);
	out->members[out->member_count++] = member;
	chain->count++;
	return 0;
}

/* What is still there of the record's chain: it follows its key. */
static int found_members(struct choosing *choosing, struct ks_jks_chain *chain, size_t key)
{
	unsigned long record = ks_set_at(choosing->from, key)->handle;
	struct ks_item *item;
	int rc = 0;

	for (size_t i = key + 1; rc == 0 && (item = ks_set_at(choosing->from, i)); i++) {
		if (!ks_jks_is_own(item, choosing->have))
			continue;
		if (item->handle != record)
			break;
		rc = add_member(choosing, chain, item);
		choosing->placed[i] = true;
	}
	return rc;
}

static void forget_members(struct choosing *choosing, struct ks_jks_chain *chain, size_t key)
{
	for (size_t i = key + 1; chain->count; i++) {
		if (choosing->placed[i])
			chain->count--;
		choosing->placed[i] = false;
	}
	choosing->out->member_count = chain->first;
}

static size_t count_in_record(const struct ks_item *key)
{
	struct ks_bytes rest = key->attributes;
	uint64_t count;

	return ks_jks_number(&count, &rest, 4) ? (size_t)count : 0;
}

/* A certificate that has no place yet, and belongs to this key: it came now, or was trusted until now. */
static bool joins(const struct choosing *choosing, const struct ks_item *item)
{
	if (!item || ks_item_is_anchor(item))
		return false;
	return !ks_jks_is_own(item, choosing->have) || item->attributes.data;
}

static bool gains(const struct choosing *choosing, const struct ks_entry *entry)
{
	bool found = joins(choosing, entry->certificate);

	for (size_t i = 0; !found && i < entry->chain_count; i++)
		found = joins(choosing, entry->chain[i]);
	return found;
}

static int chain_of(struct choosing *choosing, size_t key, const struct ks_entry *entry)
{
	struct ks_item *item = ks_set_at(choosing->from, key);
	struct ks_jks_chain *chain = &choosing->out->chains[key];
	int rc = 0;

	chain->first = choosing->out->member_count;
	if (ks_jks_is_own(item, choosing->have)) {
		rc = found_members(choosing, chain, key);
		chain->as_found = chain->count == count_in_record(item) && !gains(choosing, entry);
		if (rc < 0 || chain->as_found)
			return rc;
		forget_members(choosing, chain, key);
	}
	if (entry->certificate)
		rc = add_member(choosing, chain, entry->certificate);
	for (size_t i = 0; rc == 0 && entry->certificate && i < entry->chain_count; i++)
		rc = add_member(choosing, chain, entry->chain[i]);
	return rc;
}

/* Entries of keys come in the order of their keys. */
static int chains_of_keys(struct choosing *choosing, const struct ks_entries *entries)
{
	const struct ks_entry *entry = entries->entries, *end = entry + entries->count;
	struct ks_item *item;
	int rc = 0;

	for (size_t i = 0; rc == 0 && (item = ks_set_at(choosing->from, i)); i++) {
		if (item->kind != KS_PRIVATE_KEY)
			continue;
		while (entry < end && entry->key != item)
			entry++;
		if (entry == end)
			return ks_fail(choosing->ctx, KS_EBUG, "a private key has no entry");
		rc = chain_of(choosing, i, entry);
	}
	return rc;
}

/* The key's own certificate bears the alias of the record, those above it none. */
static void label_members(struct choosing *choosing)
{
	const struct ks_jks_chains *out = choosing->out;

	for (size_t i = 0; i < out->member_count; i++) {
		if (!ks_item_is_anchor(out->members[i]))
			out->members[i]->label = KS_NONE;
	}
}

/* ---- keys that do not tell whose they are ----------------------------------------------------------------------------------- */

static bool has_newcomers(const struct choosing *choosing)
{
	const struct ks_item *item;
	bool found = false;

	for (size_t i = 0; !found && (item = ks_set_at(choosing->from, i)); i++)
		found = item->kind == KS_CERTIFICATE && joins(choosing, item);
	return found;
}

/* A sealed key without certificate shows no public half; where certificates came, it is opened to see whether one is its. */
static int look_into_keys(struct choosing *choosing)
{
	struct ks_item *item;
	int rc = 0;

	if (!has_newcomers(choosing))
		return 0;
	for (size_t i = 0; rc == 0 && (item = ks_set_at(choosing->from, i)); i++) {
		ks_auto_ssl(EVP_PKEY) key = NULL;

		if (item->kind != KS_PRIVATE_KEY || item->spki.data || item->id.data)
			continue;
		rc = ks_item_pkey(&key, item, choosing->ctx);
		if (rc == 0)
			ks_key_tell(item, key);
	}
	return rc;
}

/* ---- the others ------------------------------------------------------------------------------------------------------------- */

static int der_order(const void *a, const void *b)
{
	return ks_bytes_compare((*(struct ks_item *const *)a)->der, (*(struct ks_item *const *)b)->der);
}

static int no_place(struct choosing *choosing, struct ks_item *item)
{
	ks_auto_mem char *named = ks_item_named(item);
	const char *what = named ? named : "a certificate";

	if (ks_jks_is_own(item, choosing->have) && !item->attributes.data) {
		item->flags |= KS_LEFT_OUT;
		if (item->kind == KS_OPAQUE)
			ks_notice(choosing->ctx, KS_ELOSSY, NULL, "",
				  "%s was in the chain of a key that changed, and is gone from it", what);
		return 0;
	}
	return ks_hint(choosing->ctx,
		       ks_fail(choosing->ctx, KS_ELOSSY,
			       "%s is neither trusted nor in the chain of a key, and a Java key store has no other "
			       "certificates",
			       what),
		       "keystow merge puts certificates there as trusted ones");
}

static int place_others(struct choosing *choosing)
{
	struct ks_jks_chains *out = choosing->out;
	ks_auto_mem struct ks_item **sorted = ks_array(out->member_count, sizeof(struct ks_item *));
	struct ks_item *item;
	int rc = 0;

	if (!sorted)
		return ks_nomem(choosing->ctx);
	if (out->member_count)
		memcpy(sorted, out->members, out->member_count * sizeof(struct ks_item *));
	qsort(sorted, out->member_count, sizeof(struct ks_item *), der_order);
	for (size_t i = 0; rc == 0 && (item = ks_set_at(choosing->from, i)); i++) {
		if (ks_jks_is_record(item) || choosing->placed[i])
			continue;
		if (item->kind == KS_OPAQUE ||
		    !bsearch(&item, sorted, out->member_count, sizeof(struct ks_item *), der_order))
			rc = no_place(choosing, item);
	}
	return rc;
}

int ks_jks_chains_of(struct ks_jks_chains *out, struct ks_ctx *ctx, struct ks_set *from, const struct ks_set *have)
{
	ks_auto(entries) entries = NULL;
	ks_auto_mem bool *placed = ks_array(ks_set_count(from), sizeof(*placed));
	struct choosing choosing = { ctx, from, have, out, 0, placed };
	int rc;

	*out = (struct ks_jks_chains){ .chains = ks_array(ks_set_count(from), sizeof(*out->chains)) };
	if (!out->chains || !placed)
		return ks_nomem(ctx);
	rc = look_into_keys(&choosing);
	if (rc == 0)
		rc = ks_entries_of(&entries, ctx, from);
	if (rc == 0)
		rc = chains_of_keys(&choosing, entries);
	if (rc == 0)
		rc = place_others(&choosing);
	label_members(&choosing);
	return rc;
}

void ks_jks_chains_clear(struct ks_jks_chains *chains)
{
	free(chains->chains);
	free(chains->members);
}
