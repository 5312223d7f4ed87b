/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a merge changes, decided three ways: what the last merge added, what the bundle holds now, what the store holds now.
 *
 *	in the bundle, not in the store		added; unless the last merge added it: then somebody deleted it here, and it
 *						stays deleted
 *	added last time, gone from the bundle	removed
 *	in the store without merge's doing	the user's: stays, with its alias
 *
 * Nothing that a private key needs is a candidate: its certificate and chain stay as they are, and where the bundle trusts one
 * of them it gets an anchor of its own beside, which can be withdrawn again without touching the chain.
 *
 * Both sides are sorted by SHA-256 once and walked together, so that ten thousand certificates cost no more than sorting them.
 */
#include "merge.h"

#include "label.h"
#include "prove.h"
#include "text.h"

#include <string.h>

/* ---- what the store has, one row for each distinct certificate ---- */

struct holding {
	const unsigned char *sha256;
	struct ks_item *anchor;	/* marked as trusted */
	struct ks_item *plain;	/* not marked, and not known to be a key's */
	struct ks_item *own;	/* the certificate of a key */
	bool in_chain;		/* of a key */
	bool distrusted;
};

struct sight {
	const unsigned char *sha256;
	struct ks_item *item;
	enum { AS_ITEM, AS_OWN, AS_CHAIN } as;
};

static int sight_order(const void *a, const void *b)
{
	const struct sight *x = a, *y = b;
	int order = memcmp(x->sha256, y->sha256, KS_SHA256);

	return order ? order : (int)y->as - (int)x->as;
}

struct holdings {
	struct holding *rows;
	size_t count;
};

static size_t sights_needed(const struct ks_merge_view *view)
{
	size_t needed = ks_set_count(view->items);

	for (size_t i = 0; i < view->entries->count; i++)
		needed += 1 + view->entries->entries[i].chain_count;
	return needed;
}

static size_t look(struct sight *sights, const struct ks_merge_view *view)
{
	size_t count = 0;

	for (size_t i = 0; i < ks_set_count(view->items); i++) {
		struct ks_item *item = ks_set_at(view->items, i);

		if (item->kind == KS_CERTIFICATE)
			sights[count++] = (struct sight){ ks_item_sha256(item), item, AS_ITEM };
	}
	for (size_t i = 0; i < view->entries->count; i++) {
		const struct ks_entry *entry = &view->entries->entries[i];

		if (entry->key && entry->certificate)
			sights[count++] = (struct sight){ ks_item_sha256(entry->certificate), entry->certificate, AS_OWN };
		for (size_t n = 0; entry->key && n < entry->chain_count; n++)
			sights[count++] = (struct sight){ ks_item_sha256(entry->chain[n]), entry->chain[n], AS_CHAIN };
	}
	return count;
}

/* A key's own certificate is seen before the plain look at the same item. */
static void note_sight(struct holding *row, const struct sight *sight)
{
	struct ks_item *item = sight->item;

	row->sha256 = sight->sha256;
	if (sight->as == AS_CHAIN)
		row->in_chain = true;
	if (sight->as == AS_OWN)
		row->own = item;
	if (sight->as != AS_ITEM)
		return;
	if (item->trust.distrusted && !item->trust.trusted)
		row->distrusted = true;
	if (ks_item_is_anchor(item) && (!row->anchor || row->anchor == row->own))
		row->anchor = item;
	else if (!ks_item_is_anchor(item) && item != row->own)
		row->plain = item;
}

static int take_stock(struct holdings *out, const struct ks_merge_view *view)
{
	ks_auto_mem struct sight *sights = ks_array(sights_needed(view), sizeof(*sights));
	size_t seen;

	out->rows = ks_array(ks_set_count(view->items), sizeof(*out->rows));
	out->count = 0;
	if (!sights || !out->rows)
		return ks_nomem(view->ctx);
	seen = look(sights, view);
	qsort(sights, seen, sizeof(*sights), sight_order);
	for (size_t i = 0; i < seen; i++) {
		if (i == 0 || memcmp(sights[i - 1].sha256, sights[i].sha256, KS_SHA256) != 0)
			out->count++;
		note_sight(&out->rows[out->count - 1], &sights[i]);
	}
	return 0;
}

static int row_order(const void *key, const void *row)
{
	return memcmp(key, ((const struct holding *)row)->sha256, KS_SHA256);
}

static const struct holding *holding_of(const struct holdings *holdings, const unsigned char *sha256)
{
	return holdings->count ? bsearch(sha256, holdings->rows, holdings->count, sizeof(*holdings->rows), row_order) : NULL;
}

static int item_order(const void *key, const void *row)
{
	return memcmp(key, (*(struct ks_item *const *)row)->sha256, KS_SHA256);
}

static bool bundle_has(const struct ks_bundle *bundle, const unsigned char *sha256)
{
	return bsearch(sha256, bundle->certificates, bundle->count, sizeof(*bundle->certificates), item_order) != NULL;
}

/* ---- the decision ---- */

struct merge {
	const struct ks_merge_view *view;
	const struct ks_bundle *bundle;
	const struct ks_merge_wish *wish;
	struct holdings holdings;
	struct ks_labels *labels;
	struct ks_plan *plan;
	struct ks_record *remember;
	size_t capacity;	/* of remember->added */
	bool deletions_count;	/* what the record added and the store lacks was deleted here */
	bool record_counts;	/* what the record added is merge's to remove */
	size_t deleted, already;
};

/* Does the store hold the certificate the way a merge would put it? */
static bool is_present(const struct merge *merge, const struct holding *row)
{
	if (!row)
		return false;
	return (merge->view->can & KS_CAN_ANCHORS) ? row->anchor != NULL : true;
}

/* Present, and for no key's sake. */
static bool stands_alone(const struct holding *row)
{
	return (row->anchor && row->anchor != row->own) || (!row->own && !row->in_chain);
}

static int remember(struct merge *merge, const unsigned char *sha256)
{
	struct ks_record *record = merge->remember;

	if (ks_array_grow(&record->added, &merge->capacity, record->added_count + 1, sizeof(*record->added)))
		return ks_nomem(merge->view->ctx);
	memcpy(record->added[record->added_count++], sha256, KS_SHA256);
	return 0;
}

static bool was_added(const struct merge *merge, const unsigned char *sha256)
{
	return merge->view->record && ks_record_has(merge->view->record, sha256);
}

static int add(struct merge *merge, struct ks_item *certificate)
{
	struct ks_naming naming = { .set_trust = true };
	int rc = 0;

	if (merge->view->can & KS_CAN_ANCHORS)
		naming.trust = certificate->trust;
	if (merge->view->can & KS_CAN_LABELS)
		rc = ks_labels_choose(&naming.label, merge->labels, certificate, merge->plan->kept);
	if (rc == 0)
		rc = ks_plan_add(merge->plan, certificate, &naming, "new in the bundle");
	return rc < 0 ? rc : remember(merge, certificate->sha256);
}

/* One certificate of the bundle; added digests stay sorted, because the bundle is. */
static int meet(struct merge *merge, struct ks_item *certificate)
{
	const struct holding *row = holding_of(&merge->holdings, certificate->sha256);
	bool added_before = was_added(merge, certificate->sha256);

	if (row && row->distrusted && !row->anchor)
		return ks_plan_note(merge->plan, row->plain ? row->plain : row->own, "distrusted here, so not trusted by the merge");
	if (is_present(merge, row)) {
		merge->already += stands_alone(row) && !added_before;
		if ((added_before && merge->record_counts) || (merge->wish->adopt && stands_alone(row)))
			return remember(merge, certificate->sha256);
		return 0;
	}
	if (added_before && merge->deletions_count && !merge->wish->restore) {
		merge->deleted++;
		return remember(merge, certificate->sha256);
	}
	return add(merge, certificate);
}

static int withdraw_own(struct merge *merge, const struct holding *row)
{
	ks_auto_mem char *named = ks_item_named(row->own);

	ks_notice(merge->view->ctx, KS_NO_INVALID, merge->view->store, "ask who publishes the bundle why it was withdrawn",
		  "%s, which belongs to a private key here, left the bundle; key and certificate stay",
		  named ? named : "a certificate");
	return ks_plan_note(merge->plan, row->own, "left the bundle, but belongs to a private key here");
}

static int untrust(struct merge *merge, struct ks_item *anchor)
{
	struct ks_naming naming = { .set_trust = true };

	return ks_plan_name(merge->plan, anchor, &naming, "left the bundle; stays as part of a key's chain, no longer trusted");
}

/* One certificate that the last merge added and the bundle no longer holds. */
static int withdraw(struct merge *merge, const unsigned char *sha256)
{
	const struct holding *row = holding_of(&merge->holdings, sha256);
	struct ks_item *item;
	int rc = 0;

	if (!row)
		return 0;
	if (row->own)
		rc = withdraw_own(merge, row);
	item = row->anchor ? row->anchor : row->plain;
	if (rc < 0 || !item || item == row->own)
		return rc;
	if (row->in_chain && !row->plain && !row->own)
		return untrust(merge, item);
	if (row->in_chain && !row->anchor)
		return ks_plan_note(merge->plan, item, "left the bundle, but is part of a key's chain here");
	return ks_plan_drop(merge->plan, item, "left the bundle");
}

/* ---- before anything is decided: may the record be believed, has the bundle shrunk? ---- */

/*
 * A store that was changed by something else may still be the one that the record is about: somebody deleted a certificate with
 * another tool, and does not want it back. It is when most of what was added is there. Else it is another store under that name.
 */
static bool mostly_there(const struct merge *merge)
{
	const struct ks_record *record = merge->view->record;
	size_t there = 0;

	for (size_t i = 0; i < record->added_count; i++)
		there += holding_of(&merge->holdings, record->added[i]) != NULL;
	return there * 2 > record->added_count;
}

static void weigh_record(struct merge *merge)
{
	const struct ks_merge_view *view = merge->view;

	merge->record_counts = view->record && (!view->stale || merge->wish->adopt);
	merge->deletions_count = view->record && (!view->stale || mostly_there(merge));
	if (view->record && !merge->record_counts)
		ks_notice(view->ctx, KS_ECHANGED, view->store,
			  "use --adopt if what an earlier merge added shall be removed when it leaves the bundle",
			  "something else changed %s since the last merge, so nothing is removed from it", view->store);
}

static int check_shrink(const struct merge *merge)
{
	const struct ks_record *record = merge->view->record;
	size_t lost = 0;
	int rc;

	if (!record || merge->wish->allow_shrink)
		return 0;
	for (size_t i = 0; i < record->added_count; i++)
		lost += !bundle_has(merge->bundle, record->added[i]);
	if (lost * 5 <= record->added_count)
		return 0;
	rc = ks_fail(merge->view->ctx, KS_ESHRINK, "%s lacks %zu of the %zu certificates that the last merge put into %s from %s",
		     merge->bundle->name, lost, record->added_count, merge->view->store, record->bundle);
	return ks_hint(merge->view->ctx, rc, "look whether the bundle is complete; if it is, use --allow-shrink");
}

static void say_what_stays(const struct merge *merge)
{
	const struct ks_merge_view *view = merge->view;

	if (merge->deleted)
		ks_notice(view->ctx, KS_NO_DIFFERS, view->store, "use --restore to put them back",
			  "%zu certificate%s of the bundle %s deleted here after an earlier merge and stay%s deleted",
			  merge->deleted, merge->deleted == 1 ? "" : "s", merge->deleted == 1 ? "was" : "were",
			  merge->deleted == 1 ? "s" : "");
	if (!view->record && merge->already && !merge->wish->adopt)
		ks_notice(view->ctx, KS_NO_DIFFERS, view->store, "use --adopt to let merge remove them when they leave the bundle",
			  "%zu certificate%s of the bundle %s in %s already and stay%s yours, because no earlier merge is known",
			  merge->already, merge->already == 1 ? "" : "s", merge->already == 1 ? "was" : "were", view->store,
			  merge->already == 1 ? "s" : "");
}

static int decide(struct merge *merge)
{
	const struct ks_record *record = merge->view->record;
	int rc = take_stock(&merge->holdings, merge->view);

	if (rc == 0)
		rc = check_shrink(merge);
	if (rc < 0)
		return rc;
	weigh_record(merge);
	for (size_t i = 0; rc == 0 && merge->record_counts && i < record->added_count; i++) {
		if (!bundle_has(merge->bundle, record->added[i]))
			rc = withdraw(merge, record->added[i]);
	}
	for (size_t i = 0; rc == 0 && i < merge->bundle->count; i++)
		rc = meet(merge, merge->bundle->certificates[i]);
	if (rc == 0)
		say_what_stays(merge);
	return rc;
}

int ks_merge_decide(struct ks_plan **out, struct ks_record **remember_out, const struct ks_merge_view *view,
		    const struct ks_bundle *bundle, const struct ks_merge_wish *wish)
{
	ks_auto(labels) labels = NULL;
	ks_auto(plan) plan = NULL;
	ks_auto(record) record = NULL;
	struct merge merge = { .view = view, .bundle = bundle, .wish = wish };
	int rc = ks_labels_new(&labels, view->ctx, view->items, view->engine);

	if (rc == 0)
		rc = ks_plan_new(&plan, view->ctx, view->items);
	if (rc == 0)
		rc = ks_record_new(&record, view->ctx);
	if (rc == 0 && !(record->bundle = strdup(bundle->name)))
		rc = ks_nomem(view->ctx);
	if (rc < 0)
		return rc;
	memcpy(record->bundle_digest, bundle->digest, KS_SHA256);
	merge.labels = labels;
	merge.plan = plan;
	merge.remember = record;
	rc = decide(&merge);
	free(merge.holdings.rows);
	if (rc < 0)
		return rc;
	*out = ks_take(plan);
	*remember_out = ks_take(record);
	return 0;
}

/* ---- the store's side ---- */

/* The record of the last merge, NULL when there is none that can be told. */
static int read_record(struct ks_record **out, bool *stale, struct ks_store *store)
{
	int rc = ks_history_read(out, store);

	*stale = rc == KS_ECHANGED;
	if (rc == KS_ENOTFOUND || rc == KS_ECHANGED) {
		ks_forgive(store->ctx);
		return 0;
	}
	return rc;
}

static int plan_with_record(struct ks_plan **out, struct ks_record **remember_out, struct ks_record **last,
			    struct ks_store *store, const struct ks_bundle *bundle, const struct ks_merge_wish *wish)
{
	struct ks_merge_view view = {
		.ctx = store->ctx,
		.store = ks_where_text(store->where),
		.can = store->engine->can,
		.engine = store->engine,
	};
	int rc = ks_store_able(store, KS_CAN_WRITE);

	if (rc == 0)
		rc = ks_store_able(store, KS_CAN_CERTIFICATES);
	if (rc == 0)
		rc = ks_store_able(store, KS_CAN_MANY);
	if (rc == 0)
		rc = ks_store_entries(&view.entries, store);
	if (rc == 0)
		rc = read_record(last, &view.stale, store);
	if (rc < 0)
		return rc;
	view.items = store->items;
	view.record = *last;
	return ks_merge_decide(out, remember_out, &view, bundle, wish);
}

int ks_merge_plan(struct ks_plan **out, struct ks_record **remember_out, struct ks_store *store,
		  const struct ks_bundle *bundle, const struct ks_merge_wish *wish)
{
	ks_auto(record) last = NULL;

	return plan_with_record(out, remember_out, &last, store, bundle, wish);
}

/* Would remembering change nothing? Then an unchanged store is left alone altogether. */
static bool same_memory(const struct ks_record *last, const struct ks_record *next)
{
	return last && last->added_count == next->added_count &&
	       memcmp(last->bundle_digest, next->bundle_digest, KS_SHA256) == 0 &&
	       memcmp(last->added, next->added, next->added_count * KS_SHA256) == 0;
}

/* The new store is there but is not what was meant: the old one comes back. */
static int take_back(struct ks_store *store, int rc)
{
	ks_auto_mem char *sentence = strdup(ks_ctx_text(store->ctx));

	if (ks_store_rollback(store) < 0)
		return ks_hint(store->ctx, ks_fail(store->ctx, rc, "%s", sentence ? sentence : "the merge went wrong"),
			       "look with keystow list; keystow rollback puts an earlier file store back");
	return ks_fail(store->ctx, rc, "%s; the old store was put back", sentence ? sentence : "the merge went wrong");
}

int ks_merge(struct ks_plan **out, struct ks_store *store, const struct ks_bundle *bundle, const struct ks_merge_wish *wish,
	     bool dry_run)
{
	ks_auto(plan) plan = NULL;
	ks_auto(record) last = NULL;
	ks_auto(record) next = NULL;
	struct ks_commit_wish commit = { .keep_old = true };
	int rc = plan_with_record(&plan, &next, &last, store, bundle, wish);

	if (rc < 0)
		return rc;
	if (!dry_run && !(ks_plan_empty(plan) && same_memory(last, next))) {
		commit.record = next;
		rc = ks_store_apply(store, plan, &commit);
		if (rc < 0)
			return rc;
		rc = ks_prove(plan, store->items, ks_where_text(store->where));
		if (rc < 0)
			return take_back(store, rc);
	}
	*out = ks_take(plan);
	return 0;
}
