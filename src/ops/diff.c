/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What differs between two stores, entry by entry.
 *
 * Entries are matched by what they are (certificate, else public key, else record), never by position. What then has no partner
 * is matched once more by public key and at last by label, and counts as changed. Each round sorts and walks, so two stores of
 * ten thousand are no trouble.
 */
#include "check.h"

#include "alias.h"
#include "certificate.h"

#include <string.h>

struct side {
	const struct ks_entry *entry;
	struct ks_bytes key;		/* what this round matches by; data NULL = takes no part */
	const struct side *partner;
	unsigned char identity[KS_SHA256];
};

struct sides {
	struct side *rows;
	struct side **sorted;
	size_t count;
};

static void sides_free(struct sides *sides)
{
	free(sides->rows);
	free(sides->sorted);
}

void ks_differences_free(struct ks_differences *differences)
{
	free(differences->rows);
	*differences = (struct ks_differences){ 0 };
}

/* ---- by what entries are matched ---- */

static struct ks_bytes public_part(const struct ks_entry *entry)
{
	struct ks_certificate_facts facts;

	if (entry->certificate && ks_certificate_facts(&facts, entry->certificate->der) == 0)
		return facts.spki;
	if (entry->public_key)
		return entry->public_key->der;
	if (entry->key && entry->key->kind == KS_PUBLIC_KEY)
		return entry->key->der;
	return entry->key ? entry->key->spki : KS_NONE;
}

/* A key whose public half nobody tells (sealed, no certificate) is known by its label. */
static struct ks_bytes substance(const struct ks_entry *entry)
{
	struct ks_bytes spki;

	if (entry->certificate)
		return entry->certificate->der;
	spki = public_part(entry);
	if (spki.data)
		return spki;
	if (entry->other)
		return entry->other->der.data ? entry->other->der : entry->other->raw;
	return ks_entry_label(entry);
}

static bool identify(unsigned char identity[KS_SHA256], const struct ks_entry *entry)
{
	ks_auto(buffer) whole = ks_buffer_new((size_t)64 << 20);
	unsigned char kind = (unsigned char)ks_entry_head(entry)->kind;
	struct ks_bytes bytes = substance(entry);

	if (!whole || ks_buffer_put(whole, &kind, 1) < 0 || ks_buffer_put(whole, bytes.data, bytes.size) < 0)
		return false;
	ks_sha256(identity, ks_buffer_bytes(whole));
	return true;
}

static int sides_of(struct sides *out, struct ks_store *store)
{
	const struct ks_entries *entries;
	int rc = ks_store_entries(&entries, store);

	if (rc < 0)
		return rc;
	out->count = entries->count;
	out->rows = ks_array(entries->count, sizeof(*out->rows));
	out->sorted = ks_array(entries->count, sizeof(*out->sorted));
	if (!out->rows || !out->sorted)
		return ks_nomem(store->ctx);
	for (size_t i = 0; i < entries->count; i++) {
		out->rows[i].entry = &entries->entries[i];
		out->sorted[i] = &out->rows[i];
		if (!identify(out->rows[i].identity, &entries->entries[i]))
			return ks_nomem(store->ctx);
	}
	return 0;
}

static struct ks_bytes by_identity(const struct side *side)
{
	return KS_BYTES(side->identity, KS_SHA256);
}

static struct ks_bytes by_public_key(const struct side *side)
{
	return public_part(side->entry);
}

static struct ks_bytes by_label(const struct side *side)
{
	return ks_entry_label(side->entry);
}

static int key_order(const void *a, const void *b)
{
	const struct side *x = *(struct side *const *)a, *y = *(struct side *const *)b;
	int order = ks_bytes_compare(x->key, y->key);

	return order ? order : x < y ? -1 : x > y;
}

static void sort_by(struct sides *sides, struct ks_bytes (*key)(const struct side *))
{
	for (size_t i = 0; i < sides->count; i++)
		sides->rows[i].key = sides->rows[i].partner ? KS_NONE : key(&sides->rows[i]);
	qsort(sides->sorted, sides->count, sizeof(*sides->sorted), key_order);
}

/* One round: those still alone whose keys are equal become partners, first with first. */
static void match(struct sides *left, struct sides *right, struct ks_bytes (*key)(const struct side *))
{
	size_t l = 0, r = 0;

	sort_by(left, key);
	sort_by(right, key);
	while (l < left->count && r < right->count) {
		struct side *a = left->sorted[l], *b = right->sorted[r];
		int order = a->key.size && b->key.size ? ks_bytes_compare(a->key, b->key) : !a->key.size ? -1 : 1;

		if (order == 0) {
			a->partner = b;
			b->partner = a;
		}
		l += order <= 0;
		r += order >= 0;
	}
}

/* ---- what partners may still differ in ---- */

/* A plain bundle has no labels; that says nothing against those of the store it was merged into. */
static bool labels_disagree(const struct ks_entry *a, const struct ks_entry *b, bool aliases)
{
	struct ks_bytes of_a = ks_entry_label(a), of_b = ks_entry_label(b);

	if (!of_a.data || !of_b.data)
		return false;
	return aliases ? !ks_alias_equal(of_a, of_b) : !ks_bytes_equal(of_a, of_b);
}

static bool same(const struct ks_entry *a, const struct ks_entry *b, unsigned can)
{
	if (!a->key != !b->key || !a->certificate != !b->certificate)
		return false;
	if ((can & KS_CAN_LABELS) && labels_disagree(a, b, can & KS_CAN_ALIASES))
		return false;
	if (!a->certificate)
		return true;
	if ((can & KS_CAN_ANCHORS) && (a->certificate->trust.trusted != b->certificate->trust.trusted ||
				       a->certificate->trust.distrusted != b->certificate->trust.distrusted))
		return false;
	return memcmp(ks_item_sha256(a->certificate), ks_item_sha256(b->certificate), KS_SHA256) == 0;
}

static int add_row(struct ks_differences *out, struct ks_ctx *ctx, char sign, const struct ks_entry *left,
		   const struct ks_entry *right)
{
	if (ks_array_grow(&out->rows, &out->capacity, out->count + 1, sizeof(*out->rows)) < 0)
		return ks_nomem(ctx);
	out->rows[out->count++] = (struct ks_difference){ sign, left, right };
	return 0;
}

static int report(struct ks_differences *out, const struct sides *left, const struct sides *right, struct ks_ctx *ctx,
		  unsigned can)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < left->count; i++) {
		const struct side *side = &left->rows[i];

		if (!side->partner)
			rc = add_row(out, ctx, '-', side->entry, NULL);
		else if (!same(side->entry, side->partner->entry, can))
			rc = add_row(out, ctx, '~', side->entry, side->partner->entry);
		else
			out->equal++;
	}
	for (size_t i = 0; rc == 0 && i < right->count; i++) {
		if (!right->rows[i].partner)
			rc = add_row(out, ctx, '+', NULL, right->rows[i].entry);
	}
	return rc;
}

int ks_diff(struct ks_differences *out, struct ks_store *left, struct ks_store *right)
{
	__attribute__((cleanup(sides_free))) struct sides before = { 0 };
	__attribute__((cleanup(sides_free))) struct sides after = { 0 };
	struct ks_differences found = { 0 };
	int rc = sides_of(&before, left);

	if (rc == 0)
		rc = sides_of(&after, right);
	if (rc < 0)
		return rc;
	match(&before, &after, by_identity);
	match(&before, &after, by_public_key);
	match(&before, &after, by_label);
	/* Where one of the two has labels in lower case only, the other's case says nothing. */
	rc = report(&found, &before, &after, left->ctx,
		    (left->engine->can & right->engine->can) |
			    ((left->engine->can | right->engine->can) & KS_CAN_ALIASES));
	if (rc < 0) {
		ks_differences_free(&found);
		return rc;
	}
	*out = found;
	return 0;
}
