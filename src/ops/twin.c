/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a second token lacks to stand in for the first.
 *
 * Keys meet by label, because that is how programs name them on both devices; everything else must be alike but the key itself. What
 * the second has under a label is never taken for a twin by its label alone.
 */
#include "twin_inside.h"

#include "generate.h"
#include "name.h"
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *ks_twin_state_name(enum ks_twin_state state)
{
	static const char *const names[] = {
		[KS_TWIN_ALIKE] = "alike", [KS_TWIN_LACKING] = "lacking", [KS_TWIN_OTHER] = "other",
		[KS_TWIN_APART] = "apart", [KS_TWIN_EXTRA] = "extra",
	};

	return names[state];
}

/* ---- looking ---- */

static struct ks_bytes label_of(const struct ks_twin_key *key)
{
	return key->entry->key->label;
}

static int label_order(const void *a, const void *b)
{
	return ks_bytes_compare(label_of(a), label_of(b));
}

static int side_add(struct ks_twin_side *side, struct ks_store *store, const struct ks_entry *entry)
{
	struct ks_twin_key *key = &side->keys[side->count];

	if (!entry->key || entry->key->kind != KS_PRIVATE_KEY)
		return 0;
	side->count++;
	key->entry = entry;
	return ks_store_like(&key->like, store, entry->key);
}

int ks_twin_side_look(struct ks_twin_side *side, struct ks_store *store, const struct ks_entry *only)
{
	size_t count = ks_store_entry_count(store);
	int rc = 0;

	free(side->keys);
	side->count = 0;
	side->keys = ks_array(count + 1, sizeof(*side->keys));
	if (!side->keys)
		return ks_nomem(store->ctx);
	for (size_t i = 0; rc == 0 && i < count; i++) {
		const struct ks_entry *entry = ks_store_entry_at(store, i);

		if (!only || only == entry)
			rc = side_add(side, store, entry);
	}
	if (rc == 0)
		qsort(side->keys, side->count, sizeof(*side->keys), label_order);
	return ks_while(store->ctx, rc, "looking at %s", ks_where_text(store->where));
}

static void rows_free(struct ks_twins *twins)
{
	for (size_t i = 0; i < twins->count; i++) {
		struct ks_twin *row = &twins->rows[i];

		for (size_t n = 0; row->differences[n]; n++)
			free(row->differences[n]);
		free(row->label);
		free(row->why);
		ks_altnames_free(&row->names);
	}
	free(ks_take(twins->rows));
	twins->count = 0;
}

void ks_twins_free(struct ks_twins *twins)
{
	if (!twins)
		return;
	rows_free(twins);
	for (size_t i = 0; i < twins->profile_count; i++)
		ks_profile_free(twins->profiles[i]);
	free(twins->profiles);
	free(twins->first_side.keys);
	free(twins->second_side.keys);
	free(twins);
}

int ks_twins_new(struct ks_twins **out, struct ks_store *first, struct ks_store *second, const struct ks_entry *only)
{
	ks_auto(twins) twins = calloc(1, sizeof(*twins));
	int rc;

	if (!twins)
		return ks_nomem(second->ctx);
	twins->ctx = second->ctx;
	twins->second = second;
	rc = ks_twin_side_look(&twins->first_side, first, only);
	if (rc == 0)
		rc = ks_twin_side_look(&twins->second_side, second, NULL);
	if (rc == 0)
		*out = ks_take(twins);
	return rc;
}

/* ---- words about a row ---- */

/* A new string; NULL without memory. */
static char *words(const char *format, ...) __attribute__((format(printf, 1, 2)));
static char *words(const char *format, ...)
{
	char *text = NULL;
	va_list values;
	int size;

	va_start(values, format);
	size = vasprintf(&text, format, values);
	va_end(values);
	return size < 0 ? NULL : text;
}

static int settle(struct ks_twin *row, enum ks_twin_state state, char *why)
{
	row->state = state;
	row->why = why;
	return why ? 0 : KS_ENOMEM;
}

static int differ(struct ks_twin *row, char *text)
{
	size_t n = 0;

	while (row->differences[n])
		n++;
	if (n < KS_TWIN_DIFFERENCES)
		row->differences[n] = text;
	return text ? 0 : KS_ENOMEM;
}

/* ---- what is not alike, and no obstacle ---- */

static int differ_key(struct ks_twin *row, const struct ks_generate *first, const struct ks_generate *second)
{
	char here[KS_USES_TEXT], there[KS_USES_TEXT];
	int rc = 0;

	ks_uses_text(here, first->uses);
	ks_uses_text(there, second->uses);
	if (first->uses != second->uses)
		rc = differ(row, words("the first key is for %s, the second for %s", here, there));
	if (rc == 0 && first->always_authenticate != second->always_authenticate)
		rc = differ(row, words("only the %s key wants its PIN for each use",
				       first->always_authenticate ? "first" : "second"));
	if (rc == 0 && first->wrap_with_trusted != second->wrap_with_trusted)
		rc = differ(row, words("only the %s key is wrapped by trusted keys alone",
				       first->wrap_with_trusted ? "first" : "second"));
	if (rc == 0 && first->allow_extractable != second->allow_extractable)
		rc = differ(row, words("only the %s key can be taken out of its token",
				       first->allow_extractable ? "first" : "second"));
	return rc;
}

static bool same_chain(const struct ks_entry *first, const struct ks_entry *second)
{
	bool same = first->chain_count == second->chain_count;

	for (size_t i = 0; same && i < first->chain_count; i++)
		same = ks_bytes_equal(first->chain[i]->der, second->chain[i]->der);
	return same;
}

static int differ_certificate(struct ks_twin *row, const struct ks_certificate_facts *second)
{
	char here[11], there[11];
	int rc = 0;

	ks_date_text(here, row->facts.not_after);
	ks_date_text(there, second->not_after);
	if (strcmp(here, there) != 0)
		rc = differ(row, words("the first certificate is valid until %s, the second until %s", here, there));
	if (rc == 0 && !same_chain(row->first->entry, row->second->entry))
		rc = differ(row, words("the certificates above it are not the same on both tokens"));
	return rc;
}

/* ---- is it a twin? ---- */

/* Why the second certificate is not one for the same names; *out stays NULL when it is. */
static int obstacle(char **out, struct ks_ctx *ctx, const struct ks_twin *row,
		    const struct ks_certificate_facts *second, int64_t now)
{
	struct ks_altnames names = { 0 };
	bool same;

	if (!ks_bytes_equal(row->facts.subject, second->subject) ||
	    !ks_bytes_equal(row->facts.issuer, second->issuer)) {
		bool issuer = ks_bytes_equal(row->facts.subject, second->subject);
		ks_auto_mem char *name = ks_name_text(issuer ? second->issuer : second->subject);

		*out = words(issuer ? "its certificate on the second token is from another CA, %s"
				    : "its certificate on the second token has another subject, %s",
			     name ? name : "");
		return *out ? 0 : KS_ENOMEM;
	}
	if (second->not_after < now) {
		*out = words("its certificate on the second token has expired");
		return *out ? 0 : KS_ENOMEM;
	}
	if (second->alternative_names.data && ks_altnames_read(&names, ctx, second->alternative_names) < 0)
		ks_forgive(ctx);
	same = ks_altnames_equal(&names, &row->names);
	ks_altnames_free(&names);
	if (!same)
		*out = words("its certificate on the second token has other alternative names");
	return same || *out ? 0 : KS_ENOMEM;
}

static int judge_certificates(struct ks_twin *row, struct ks_ctx *ctx, const struct ks_twin_wish *wish)
{
	const struct ks_item *have = row->second->entry->certificate;
	struct ks_certificate_facts facts;
	char *why = NULL;
	int rc;

	if (!row->facts.subject.data)
		return 0;
	if (!have) {
		row->state = KS_TWIN_LACKING;
		row->steps = KS_TWIN_CERTIFY;
		return 0;
	}
	if (ks_certificate_facts(&facts, have->der) < 0)
		why = words("its certificate on the second token cannot be read");
	else if ((rc = obstacle(&why, ctx, row, &facts, wish->now)) < 0)
		return rc;
	else if (!why)
		return differ_certificate(row, &facts);
	row->steps = wish->replace ? KS_TWIN_CERTIFY : 0;
	return settle(row, KS_TWIN_OTHER, why);
}

static int judge_pair(struct ks_twin *row, struct ks_ctx *ctx, const struct ks_twin_wish *wish)
{
	const struct ks_keyspec *first = &row->first->like.spec, *second = &row->second->like.spec;
	struct ks_bytes here = row->first->entry->key->spki, there = row->second->entry->key->spki;
	char have[32], want[32];
	int rc;

	if (here.size && ks_bytes_equal(here, there))
		return settle(row, KS_TWIN_OTHER, words("both tokens have the same key, so it has left one of them"));
	if (first->type != second->type || first->bits != second->bits || first->curve != second->curve) {
		ks_keyspec_title(want, first);
		ks_keyspec_title(have, second);
		return settle(row, KS_TWIN_OTHER,
			      words("the key is %s on the first token and %s on the second", want, have));
	}
	rc = differ_key(row, &row->first->like, &row->second->like);
	return rc < 0 ? rc : judge_certificates(row, ctx, wish);
}

static int judge_missing(struct ks_twin *row, const struct ks_twin_wish *wish)
{
	bool certified = row->facts.subject.data;

	if (row->first->like.spec.type == KS_KEY_UNKNOWN)
		return settle(row, KS_TWIN_APART, words("the first token does not tell what kind of key it is"));
	if (certified && row->make.uses && !(row->make.uses & KS_USE_SIGN))
		return settle(row, KS_TWIN_APART, words("its key may not sign, and a request is signed by its key"));
	row->state = KS_TWIN_LACKING;
	row->steps = KS_TWIN_GENERATE | (certified ? KS_TWIN_CERTIFY : 0);
	row->make.allow_extractable = row->first->like.allow_extractable && wish->allow_extractable;
	if (row->make.allow_extractable == row->first->like.allow_extractable)
		return 0;
	return differ(row,
		      words("only the first key can be taken out of its token, unless --allow-extractable is given"));
}

static int judge(struct ks_twin *row, struct ks_ctx *ctx, const struct ks_twin_wish *wish)
{
	const struct ks_item *certificate = row->first->entry->certificate;

	row->make = row->first->like;
	if (strlen(row->label) != label_of(row->first).size || !*row->label)
		return settle(row, KS_TWIN_APART, words("it has no label that can be typed: keystow rename gives one"));
	if (certificate && ks_certificate_facts(&row->facts, certificate->der) < 0)
		return settle(row, KS_TWIN_APART, words("its certificate on the first token cannot be read"));
	if (row->facts.alternative_names.data && ks_altnames_read(&row->names, ctx, row->facts.alternative_names) < 0) {
		ks_forgive(ctx);
		return settle(row, KS_TWIN_APART, words("its alternative names cannot be read"));
	}
	if (certificate && row->facts.not_after < wish->now &&
	    differ(row, words("the first certificate has expired")) < 0)
		return KS_ENOMEM;
	return row->second ? judge_pair(row, ctx, wish) : judge_missing(row, wish);
}

/* ---- the rows ---- */

static size_t run_of(const struct ks_twin_side *side, size_t from)
{
	size_t n = from;

	while (n < side->count && label_order(&side->keys[n], &side->keys[from]) == 0)
		n++;
	return n - from;
}

static struct ks_twin *row_add(struct ks_twins *twins, const struct ks_twin_key *first,
			       const struct ks_twin_key *second)
{
	struct ks_bytes label = label_of(first ? first : second);
	struct ks_twin *row = &twins->rows[twins->count++];

	row->first = first;
	row->second = second;
	row->label = strndup(label.data ? (const char *)label.data : "", label.size);
	return row->label ? row : NULL;
}

/* The keys of one label, `a` of the first and `b` of the second. */
static int meet(struct ks_twins *twins, const struct ks_twin_wish *wish, size_t from, size_t a, size_t to, size_t b)
{
	struct ks_twin *row;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < (a ? a : b); i++) {
		row = row_add(twins, a ? &twins->first_side.keys[from + i] : NULL,
			      b && (i < b) ? &twins->second_side.keys[to + i] : NULL);
		if (!row)
			return KS_ENOMEM;
		if (a == 0)
			row->state = KS_TWIN_EXTRA;
		else if (a > 1 || b > 1)
			rc = settle(row, KS_TWIN_APART,
				    words("%zu keys on the first token and %zu on the second have that label", a, b));
		else
			rc = judge(row, twins->ctx, wish);
	}
	return rc;
}

int ks_twins_plan(struct ks_twins *twins, const struct ks_twin_wish *wish)
{
	const struct ks_twin_side *first = &twins->first_side, *second = &twins->second_side;
	size_t i = 0, j = 0;
	int rc = 0;

	rows_free(twins);
	twins->rows = ks_array(first->count + second->count + 1, sizeof(*twins->rows));
	if (!twins->rows)
		return ks_nomem(twins->ctx);
	while (rc == 0 && (i < first->count || j < second->count)) {
		int order = i == first->count    ? 1
			    : j == second->count ? -1
						 : label_order(&first->keys[i], &second->keys[j]);
		size_t a = order <= 0 ? run_of(first, i) : 0, b = order >= 0 ? run_of(second, j) : 0;

		rc = meet(twins, wish, i, a, j, b);
		i += a;
		j += b;
	}
	return rc == KS_ENOMEM ? ks_nomem(twins->ctx) : rc;
}

bool ks_twins_alike(const struct ks_twins *twins, bool planned)
{
	bool alike = true;

	for (size_t i = 0; alike && i < twins->count; i++) {
		const struct ks_twin *row = &twins->rows[i];

		alike = row->state == KS_TWIN_ALIKE || row->state == KS_TWIN_EXTRA || (planned && row->steps);
	}
	return alike;
}
