/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pairing. Everything is found through sorted indexes, so a store of n items costs n log n whoever wrote it: a hash
 * that a hostile store can steer would not promise that, and neither would a walk over all certificates for each
 * key.
 */
#include "entry.h"
#include "certificate.h"
#include "text.h"

#include <stdio.h>
#include <string.h>

#define LONGEST_CHAIN 64

/* One item and what pairing looks at. For anything but a certificate, subject to authority_key_id are empty. */
struct record {
	struct ks_item *item;
	struct ks_bytes id; /* none when empty: an empty id says nothing */
	struct ks_bytes spki;
	struct ks_bytes subject, issuer, subject_key_id, authority_key_id;
	int64_t rank; /* among equals the higher comes first */
	bool self_issued;
	bool taken; /* already part of an entry */
	bool in_chain;
	uint32_t public_key; /* of a key: record numbers plus one, 0 = none */
	uint32_t certificate;
};

/* Records in the order of two of their fields. `skip` remembers how many of the equals from a place on are taken. */
struct index {
	struct record *records;
	struct ks_bytes (*first)(const struct record *record);
	struct ks_bytes (*second)(const struct record *record);
	uint32_t *at;
	uint32_t *skip;
	size_t count;
};

struct pairing {
	struct ks_ctx *ctx;
	struct record *records;
	size_t count;
	struct index keys_by_id;
	struct index publics_by_spki, publics_by_id;
	struct index certificates_by_id, certificates_by_spki, certificates_by_subject;
	struct index chained; /* chain members, by their DER */
};

/* ---- indexes ---- */

static struct ks_bytes field_id(const struct record *record)
{
	return record->id;
}

static struct ks_bytes field_spki(const struct record *record)
{
	return record->spki;
}

static struct ks_bytes field_subject(const struct record *record)
{
	return record->subject;
}

static struct ks_bytes field_subject_key_id(const struct record *record)
{
	return record->subject_key_id;
}

static struct ks_bytes field_der(const struct record *record)
{
	return record->item->der;
}

static struct ks_bytes field_none(const struct record *record)
{
	(void)record;
	return KS_NONE;
}

static int index_order(const void *a, const void *b, void *user)
{
	const struct index *index = user;
	uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
	const struct record *x = &index->records[i], *y = &index->records[j];
	int order = ks_bytes_compare(index->first(x), index->first(y));

	if (order == 0)
		order = ks_bytes_compare(index->second(x), index->second(y));
	if (order == 0 && x->rank != y->rank)
		order = x->rank > y->rank ? -1 : 1;
	return order ? order : i < j ? -1 : i > j;
}

/* Those records of one kind (or, with `chained`, chain members) whose first field is there. */
static int index_make(struct index *index, struct pairing *pairing, enum ks_kind kind, bool chained,
		      struct ks_bytes (*first)(const struct record *), struct ks_bytes (*second)(const struct record *))
{
	*index = (struct index){ .records = pairing->records, .first = first, .second = second };
	index->at = ks_array(pairing->count, sizeof(*index->at));
	index->skip = ks_array(pairing->count, sizeof(*index->skip));
	if (!index->at || !index->skip)
		return ks_nomem(pairing->ctx);
	for (size_t i = 0; i < pairing->count; i++) {
		const struct record *record = &pairing->records[i];

		if (record->item->kind == kind && first(record).size && (!chained || record->in_chain))
			index->at[index->count++] = (uint32_t)i;
	}
	qsort_r(index->at, index->count, sizeof(*index->at), index_order, index);
	return 0;
}

static void index_clear(struct index *index)
{
	free(index->at);
	free(index->skip);
}

/* The first place whose fields are not below (first, second). */
static size_t index_find(const struct index *index, struct ks_bytes first, struct ks_bytes second)
{
	size_t low = 0, high = index->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct record *record = &index->records[index->at[middle]];
		int order = ks_bytes_compare(index->first(record), first);

		if (order == 0)
			order = ks_bytes_compare(index->second(record), second);
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct record *index_at(const struct index *index, size_t place)
{
	return place < index->count ? &index->records[index->at[place]] : NULL;
}

static bool fits(const struct index *index, const struct record *record, struct ks_bytes first,
		 const struct ks_bytes *second)
{
	return record && ks_bytes_equal(index->first(record), first) &&
	       (!second || ks_bytes_equal(index->second(record), *second));
}

/* The best record with these fields that nothing has taken yet; `second` NULL = whatever it is. */
static struct record *index_free(struct index *index, struct ks_bytes first, const struct ks_bytes *second)
{
	size_t start, place;

	if (!first.size)
		return NULL;
	start = index_find(index, first, second ? *second : KS_NONE);
	if (start >= index->count)
		return NULL;
	place = start + index->skip[start];
	while (fits(index, index_at(index, place), first, second) && index_at(index, place)->taken)
		place++;
	index->skip[start] = (uint32_t)(place - start);
	return fits(index, index_at(index, place), first, second) ? index_at(index, place) : NULL;
}

/* Exactly one record has that first field. */
static bool index_single(const struct index *index, struct ks_bytes first)
{
	size_t place = index_find(index, first, KS_NONE);

	return fits(index, index_at(index, place), first, NULL) &&
	       !fits(index, index_at(index, place + 1), first, NULL);
}

/* ---- records ---- */

static void record_certificate(struct record *record)
{
	struct ks_certificate_facts facts;

	if (ks_certificate_facts(&facts, record->item->der) < 0)
		return;
	record->spki = facts.spki;
	record->subject = facts.subject;
	record->issuer = facts.issuer;
	record->subject_key_id = facts.subject_key_id;
	record->authority_key_id = facts.authority_key_id;
	record->self_issued = facts.self_issued;
	/*
	 * Newest first, but a copy that is no anchor before all, so that chains do not use up anchors, and roots
	 * before crosses.
	 */
	record->rank = facts.not_before + (facts.self_issued ? (int64_t)1 << 50 : 0) +
		       (ks_item_is_anchor(record->item) ? 0 : (int64_t)1 << 51);
}

static void record_fill(struct record *record, struct ks_item *item)
{
	record->item = item;
	if (item->id.size)
		record->id = item->id;
	record->spki = item->spki.data || item->kind != KS_PUBLIC_KEY ? item->spki : item->der;
	if (item->kind == KS_CERTIFICATE)
		record_certificate(record);
}

static int pairing_start(struct pairing *pairing, struct ks_ctx *ctx, const struct ks_set *set)
{
	int rc;

	pairing->ctx = ctx;
	pairing->count = ks_set_count(set);
	if (pairing->count >= UINT32_MAX)
		return ks_fail(ctx, KS_ELIMIT, "a store of %zu items is too large", pairing->count);
	pairing->records = ks_array(pairing->count, sizeof(*pairing->records));
	if (!pairing->records)
		return ks_nomem(ctx);
	for (size_t i = 0; i < pairing->count; i++)
		record_fill(&pairing->records[i], ks_set_at(set, i));
	rc = index_make(&pairing->keys_by_id, pairing, KS_PRIVATE_KEY, false, field_id, field_none);
	if (rc == 0)
		rc = index_make(&pairing->publics_by_spki, pairing, KS_PUBLIC_KEY, false, field_spki, field_id);
	if (rc == 0)
		rc = index_make(&pairing->publics_by_id, pairing, KS_PUBLIC_KEY, false, field_id, field_none);
	if (rc == 0)
		rc = index_make(&pairing->certificates_by_id, pairing, KS_CERTIFICATE, false, field_id, field_spki);
	if (rc == 0)
		rc = index_make(&pairing->certificates_by_spki, pairing, KS_CERTIFICATE, false, field_spki, field_none);
	if (rc == 0)
		rc = index_make(&pairing->certificates_by_subject, pairing, KS_CERTIFICATE, false, field_subject,
				field_subject_key_id);
	return rc;
}

static void pairing_end(struct pairing *pairing)
{
	index_clear(&pairing->keys_by_id);
	index_clear(&pairing->publics_by_spki);
	index_clear(&pairing->publics_by_id);
	index_clear(&pairing->certificates_by_id);
	index_clear(&pairing->certificates_by_spki);
	index_clear(&pairing->certificates_by_subject);
	index_clear(&pairing->chained);
	free(pairing->records);
}

/* ---- keys and what belongs to them ---- */

static uint32_t take_record(struct pairing *pairing, struct record *record)
{
	record->taken = true;
	return (uint32_t)(record - pairing->records) + 1;
}

static void pair_public(struct pairing *pairing, struct record *key)
{
	struct record *found = index_free(&pairing->publics_by_spki, key->spki, &key->id);

	if (!found)
		found = index_free(&pairing->publics_by_spki, key->spki, NULL);
	if (!found && !key->spki.size && key->id.size && index_single(&pairing->keys_by_id, key->id) &&
	    index_single(&pairing->publics_by_id, key->id))
		found = index_free(&pairing->publics_by_id, key->id, NULL);
	if (!found)
		return;
	key->public_key = take_record(pairing, found);
	if (!key->spki.size)
		key->spki = found->spki;
}

static void report_ambiguous(struct pairing *pairing, const struct record *key)
{
	ks_auto_mem char *id = NULL;

	if (index_at(&pairing->keys_by_id, index_find(&pairing->keys_by_id, key->id, KS_NONE)) != key)
		return;
	id = ks_hex_new(KS_BYTES(key->id.data, key->id.size < 32 ? key->id.size : 32));
	ks_notice(pairing->ctx, KS_EAMBIGUOUS, NULL, "give each key and its certificate an id of their own",
		  "several private keys have the id %s and nothing else tells their certificates apart; they are shown "
		  "unpaired",
		  id ? id : "?");
}

/* By id; the public key has to agree where it is known. */
static void pair_by_id(struct pairing *pairing, struct record *key)
{
	struct record *found = NULL;

	if (!key->id.size || key->taken)
		return;
	if (key->spki.size)
		found = index_free(&pairing->certificates_by_id, key->id, &key->spki);
	else if (key->item->kind != KS_PRIVATE_KEY || index_single(&pairing->keys_by_id, key->id))
		found = index_free(&pairing->certificates_by_id, key->id, NULL);
	else if (index_free(&pairing->certificates_by_id, key->id, NULL))
		report_ambiguous(pairing, key);
	if (found)
		key->certificate = take_record(pairing, found);
}

static void pair_by_public_key(struct pairing *pairing, struct record *key)
{
	struct record *found = key->certificate ? NULL : index_free(&pairing->certificates_by_spki, key->spki, NULL);

	if (found)
		key->certificate = take_record(pairing, found);
}

/* Every id of every key of a kind before any public key, so that a wish is not overruled by an accident of order. */
static void pair_kind(struct pairing *pairing, enum ks_kind kind)
{
	for (size_t i = 0; i < pairing->count; i++) {
		if (pairing->records[i].item->kind == kind)
			pair_by_id(pairing, &pairing->records[i]);
	}
	for (size_t i = 0; i < pairing->count; i++) {
		if (pairing->records[i].item->kind == kind && !pairing->records[i].taken)
			pair_by_public_key(pairing, &pairing->records[i]);
	}
}

static void pair_all(struct pairing *pairing)
{
	for (size_t i = 0; i < pairing->count; i++) {
		if (pairing->records[i].item->kind == KS_PRIVATE_KEY)
			pair_public(pairing, &pairing->records[i]);
	}
	pair_kind(pairing, KS_PRIVATE_KEY);
	pair_kind(pairing, KS_PUBLIC_KEY);
}

/* ---- chains ---- */

/* Who may have issued `record`: the right name, and the right key identifier where both tell one. */
static struct record *issuer_of(const struct pairing *pairing, const struct record *record)
{
	const struct index *index = &pairing->certificates_by_subject;
	struct record *found;

	if (record->self_issued || !record->issuer.size)
		return NULL;
	found = index_at(index, index_find(index, record->issuer, record->authority_key_id));
	if (fits(index, found, record->issuer, record->authority_key_id.size ? &record->authority_key_id : NULL))
		return found;
	found = index_at(index, index_find(index, record->issuer, KS_NONE));
	return fits(index, found, record->issuer, &(struct ks_bytes){ NULL, 0 }) ? found : NULL;
}

static int follow_chain(struct ks_entry *entry, const struct pairing *pairing, const struct record *leaf)
{
	struct record *chain[LONGEST_CHAIN];
	struct record *next = issuer_of(pairing, leaf);
	size_t count = 0;

	while (next && next != leaf && count < LONGEST_CHAIN) {
		for (size_t i = 0; i < count; i++) {
			if (chain[i] == next)
				next = NULL;
		}
		if (!next)
			break;
		chain[count++] = next;
		next = issuer_of(pairing, next);
	}
	if (count == 0)
		return 0;
	entry->chain = ks_array(count, sizeof(*entry->chain));
	if (!entry->chain)
		return ks_nomem(pairing->ctx);
	for (size_t i = 0; i < count; i++) {
		chain[i]->in_chain = true;
		entry->chain[i] = chain[i]->item;
	}
	entry->chain_count = count;
	return 0;
}

/* ---- entries ---- */

static struct ks_item *item_of(const struct pairing *pairing, uint32_t number)
{
	return number ? pairing->records[number - 1].item : NULL;
}

static bool is_key(const struct record *record)
{
	enum ks_kind kind = record->item->kind;

	return kind == KS_PRIVATE_KEY || kind == KS_SECRET_KEY || (kind == KS_PUBLIC_KEY && !record->taken);
}

/* Chain members need no entry of their own, and neither do further copies of them. */
static bool stands_alone(const struct pairing *pairing, const struct record *record)
{
	struct ks_bytes der = record->item->der;
	size_t place;

	if (record->taken || record->item->kind == KS_PUBLIC_KEY)
		return false;
	if (record->item->kind != KS_CERTIFICATE || ks_item_is_anchor(record->item))
		return true;
	if (record->in_chain)
		return false;
	place = index_find(&pairing->chained, der, KS_NONE);
	return !fits(&pairing->chained, index_at(&pairing->chained, place), der, NULL);
}

/* Chains first, for they decide which certificates stand alone. */
static int fill_keys(struct ks_entries *entries, struct pairing *pairing)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < pairing->count; i++) {
		const struct record *record = &pairing->records[i];
		struct ks_entry *entry = &entries->entries[i];

		if (!is_key(record))
			continue;
		entry->key = record->item;
		entry->public_key = item_of(pairing, record->public_key);
		entry->certificate = item_of(pairing, record->certificate);
		if (record->certificate)
			rc = follow_chain(entry, pairing, &pairing->records[record->certificate - 1]);
	}
	return rc;
}

/* One place per item was filled or left empty; the empty ones go. */
static void close_ranks(struct ks_entries *entries, const struct pairing *pairing)
{
	for (size_t i = 0; i < pairing->count; i++) {
		const struct record *record = &pairing->records[i];
		struct ks_entry entry = entries->entries[i];

		if (!entry.key && !stands_alone(pairing, record))
			continue;
		if (!entry.key && record->item->kind == KS_CERTIFICATE)
			entry.certificate = record->item;
		else if (!entry.key)
			entry.other = record->item;
		entries->entries[entries->count++] = entry;
	}
	for (size_t i = entries->count; i < pairing->count; i++)
		entries->entries[i] = (struct ks_entry){ 0 };
}

static int pair_set(struct ks_entries *entries, struct pairing *pairing, const struct ks_set *set)
{
	int rc = pairing_start(pairing, ks_set_ctx(set), set);

	if (rc < 0)
		return rc;
	entries->entries = ks_array(pairing->count, sizeof(*entries->entries));
	if (!entries->entries)
		return ks_nomem(pairing->ctx);
	pair_all(pairing);
	entries->count = pairing->count;
	rc = fill_keys(entries, pairing);
	if (rc == 0)
		rc = index_make(&pairing->chained, pairing, KS_CERTIFICATE, true, field_der, field_none);
	if (rc < 0)
		return rc;
	entries->count = 0;
	close_ranks(entries, pairing);
	return 0;
}

int ks_entries_of(struct ks_entries **out, struct ks_ctx *ctx, const struct ks_set *set)
{
	ks_auto(entries) entries = calloc(1, sizeof(*entries));
	struct pairing pairing = { 0 };
	int rc;

	if (!entries)
		return ks_nomem(ctx);
	rc = pair_set(entries, &pairing, set);
	pairing_end(&pairing);
	if (rc < 0)
		return rc;
	*out = ks_take(entries);
	return 0;
}

void ks_entries_free(struct ks_entries *entries)
{
	if (!entries)
		return;
	for (size_t i = 0; entries->entries && i < entries->count; i++)
		free(entries->entries[i].chain);
	free(entries->entries);
	free(entries);
}

/* ---- looking at entries ---- */

struct ks_item *ks_entry_head(const struct ks_entry *entry)
{
	if (entry->key)
		return entry->key;
	if (entry->certificate)
		return entry->certificate;
	return entry->other ? entry->other : entry->public_key;
}

struct ks_item *ks_entry_key(const struct ks_entry *entry)
{
	return entry->key;
}

struct ks_item *ks_entry_certificate(const struct ks_entry *entry)
{
	return entry->certificate;
}

struct ks_item *ks_entry_chain(const struct ks_entry *entry, size_t n)
{
	return n < entry->chain_count ? entry->chain[n] : NULL;
}

struct ks_bytes ks_entry_label(const struct ks_entry *entry)
{
	const struct ks_item *parts[] = { entry->key, entry->certificate, entry->other, entry->public_key };

	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		if (parts[i] && parts[i]->label.data)
			return parts[i]->label;
	}
	return KS_NONE;
}

struct ks_counts ks_set_counts(const struct ks_set *set)
{
	struct ks_counts counts = { 0 };
	size_t *const places[] = {
		[KS_PRIVATE_KEY] = &counts.keys,
		[KS_PUBLIC_KEY] = &counts.public_keys,
		[KS_CERTIFICATE] = &counts.certificates,
		[KS_REQUEST] = &counts.requests,
		[KS_CRL] = &counts.crls,
		[KS_SECRET_KEY] = &counts.secret_keys,
		[KS_OPAQUE] = &counts.opaque,
	};

	for (size_t i = 0; i < ks_set_count(set); i++) {
		const struct ks_item *item = ks_set_at(set, i);

		++*places[item->kind];
		counts.anchors += ks_item_is_anchor(item);
	}
	return counts;
}
