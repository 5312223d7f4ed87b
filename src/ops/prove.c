/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two sorted lists, walked together: what must be there, and what is there. It compares what was loaded from the store anew with
 * what was loaded before the change, and trusts no step in between.
 */
#include "prove.h"

#include <string.h>

struct list {
	struct ks_item **items;
	size_t count;
};

/* What must survive of a record: its bytes. Tokens show none, so there the public half stands for it. */
static struct ks_bytes substance(const struct ks_item *item)
{
	const char *format = ks_set_facts_of(item->set)->format;
	bool shown = !format || strcmp(format, "pkcs11") != 0;

	return shown && item->raw.data ? item->raw : item->spki;
}

/* Records that must survive: kind, substance, label, id. */
static int record_order(const void *a, const void *b)
{
	const struct ks_item *x = *(struct ks_item *const *)a, *y = *(struct ks_item *const *)b;
	int order = (int)x->kind - (int)y->kind;

	if (!order)
		order = ks_bytes_compare(substance(x), substance(y));
	if (!order)
		order = ks_bytes_compare(x->label, y->label);
	return order ? order : ks_bytes_compare(x->id, y->id);
}

static int digest_order(const void *a, const void *b)
{
	return memcmp((*(struct ks_item *const *)a)->sha256, (*(struct ks_item *const *)b)->sha256, KS_SHA256);
}

static bool is_record(const struct ks_item *item)
{
	return item->kind == KS_PRIVATE_KEY || item->kind == KS_SECRET_KEY || item->kind == KS_OPAQUE;
}

static int address_order(const void *a, const void *b)
{
	const struct ks_item *x = *(struct ks_item *const *)a, *y = *(struct ks_item *const *)b;

	return x < y ? -1 : x > y;
}

/* Items that the plan removes, replaces or renames, by address. */
static int touched_by(struct list *out, const struct ks_plan *plan)
{
	out->items = ks_array(plan->count, sizeof(struct ks_item *));
	if (!out->items)
		return ks_nomem(plan->ctx);
	for (size_t i = 0; i < plan->count; i++) {
		if (plan->changes[i].have && plan->changes[i].what != KS_KEEP)
			out->items[out->count++] = plan->changes[i].have;
	}
	qsort(out->items, out->count, sizeof(struct ks_item *), address_order);
	return 0;
}

static bool touches(const struct list *touched, const struct ks_item *item)
{
	return touched->count &&
	       bsearch(&item, touched->items, touched->count, sizeof(struct ks_item *), address_order) != NULL;
}

/* All of `set` that is wanted, room for `more` behind. */
static int gather(struct list *out, struct ks_ctx *ctx, const struct ks_set *set, const struct list *without, bool records,
		  size_t more)
{
	out->items = ks_array(ks_set_count(set) + more, sizeof(struct ks_item *));
	if (!out->items)
		return ks_nomem(ctx);
	for (size_t i = 0; i < ks_set_count(set); i++) {
		struct ks_item *item = ks_set_at(set, i);

		if ((records ? !is_record(item) : item->kind != KS_CERTIFICATE) || (without && touches(without, item)))
			continue;
		if (!records)
			ks_item_sha256(item);
		out->items[out->count++] = item;
	}
	return 0;
}

/* The first of `wanted` that `there` lacks; equal ones must be there as often when `each` is set. */
static struct ks_item *first_lacking(struct list *wanted, struct list *there, int (*order)(const void *, const void *), bool each)
{
	size_t at = 0;

	qsort(wanted->items, wanted->count, sizeof(struct ks_item *), order);
	qsort(there->items, there->count, sizeof(struct ks_item *), order);
	for (size_t i = 0; i < wanted->count; i++) {
		while (at < there->count && order(&there->items[at], &wanted->items[i]) < 0)
			at++;
		if (at == there->count || order(&there->items[at], &wanted->items[i]) != 0)
			return wanted->items[i];
		at += each;
	}
	return NULL;
}

static int say_lacking(struct ks_ctx *ctx, struct ks_item *item, const char *store, const char *how)
{
	ks_auto_mem char *named = ks_item_named(item);

	return ks_fail(ctx, KS_EBUG, "%s is %s in %s after the change", named ? named : "something", how, store);
}

static int prove_records(struct ks_ctx *ctx, const struct ks_plan *plan, const struct list *touched,
			 const struct ks_set *after, const char *store)
{
	struct list wanted = { 0 }, there = { 0 };
	struct ks_item *lacking = NULL;
	int rc = gather(&wanted, ctx, plan->have, touched, true, 0);

	if (rc == 0)
		rc = gather(&there, ctx, after, NULL, true, 0);
	if (rc == 0)
		lacking = first_lacking(&wanted, &there, record_order, true);
	free(wanted.items);
	free(there.items);
	return lacking ? say_lacking(ctx, lacking, store, "not the same") : rc;
}

static int prove_certificates(struct ks_ctx *ctx, const struct ks_plan *plan, const struct list *touched,
			      const struct ks_set *after, const char *store)
{
	struct list wanted = { 0 }, there = { 0 };
	struct ks_item *lacking = NULL;
	int rc = gather(&wanted, ctx, plan->have, touched, false, plan->count);

	if (rc == 0)
		rc = gather(&there, ctx, after, NULL, false, 0);
	for (size_t i = 0; rc == 0 && i < plan->count; i++) {
		const struct ks_change *change = &plan->changes[i];
		struct ks_item *item = change->what == KS_RENAME ? change->have : change->item;

		if (item && item->kind == KS_CERTIFICATE && ks_item_sha256(item))
			wanted.items[wanted.count++] = item;
	}
	if (rc == 0)
		lacking = first_lacking(&wanted, &there, digest_order, false);
	free(wanted.items);
	free(there.items);
	return lacking ? say_lacking(ctx, lacking, store, "missing") : rc;
}

int ks_prove(const struct ks_plan *plan, const struct ks_set *after, const char *store)
{
	struct list touched = { 0 };
	int rc = touched_by(&touched, plan);

	if (rc == 0)
		rc = prove_records(plan->ctx, plan, &touched, after, store);
	if (rc == 0)
		rc = prove_certificates(plan->ctx, plan, &touched, after, store);
	free(touched.items);
	return rc;
}
