/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes wanted in one store. Nothing here does I/O; an engine applies what stands here.
 */
#include "plan.h"

#include <string.h>

const char *ks_what_name(enum ks_what what)
{
	static const char *const names[] = {
		[KS_ADD] = "add", [KS_REPLACE] = "replace", [KS_REMOVE] = "remove", [KS_RENAME] = "rename", [KS_KEEP] = "keep",
	};

	return names[what];
}

int ks_plan_new(struct ks_plan **out, struct ks_ctx *ctx, const struct ks_set *have)
{
	ks_auto(plan) plan = calloc(1, sizeof(*plan));
	int rc;

	if (!plan)
		return ks_nomem(ctx);
	plan->ctx = ctx;
	rc = ks_set_new(&plan->kept, ctx);
	if (rc < 0)
		return rc;
	plan->have = ks_set_ref((struct ks_set *)have);
	*out = ks_take(plan);
	return 0;
}

void ks_plan_free(struct ks_plan *plan)
{
	if (!plan)
		return;
	ks_secret_free(plan->password);
	ks_set_free(plan->kept);
	ks_set_free(plan->have);
	free(plan->changes);
	free(plan);
}

/* A copy of `bytes` that lives as long as the plan. */
static int keep_bytes(struct ks_bytes *out, struct ks_plan *plan, struct ks_bytes bytes)
{
	if (!bytes.data)
		return 0;
	*out = ks_set_bytes(plan->kept, bytes.data, bytes.size);
	return out->data ? 0 : ks_nomem(plan->ctx);
}

static int push(struct ks_plan *plan, enum ks_what what, struct ks_item *have, struct ks_item *item,
		const struct ks_naming *naming, const char *why)
{
	struct ks_change *change;
	struct ks_naming kept = { 0 };
	int rc = ks_array_grow(&plan->changes, &plan->capacity, plan->count + 1, sizeof(*plan->changes));

	if (rc < 0)
		return ks_nomem(plan->ctx);
	if (naming) {
		kept = *naming;
		if (keep_bytes(&kept.label, plan, naming->label) < 0 || keep_bytes(&kept.id, plan, naming->id) < 0)
			return KS_ENOMEM;
	}
	if (item && !(item = ks_set_copy(plan->kept, item)))
		return ks_nomem(plan->ctx);
	change = &plan->changes[plan->count++];
	*change = (struct ks_change){ .what = what, .have = have, .item = item, .naming = kept, .why = why };
	return 0;
}

int ks_plan_add(struct ks_plan *plan, struct ks_item *item, const struct ks_naming *naming, const char *why)
{
	return push(plan, KS_ADD, NULL, item, naming, why);
}

int ks_plan_replace(struct ks_plan *plan, struct ks_item *have, struct ks_item *item, const struct ks_naming *naming,
		    const char *why)
{
	return push(plan, KS_REPLACE, have, item, naming, why);
}

int ks_plan_drop(struct ks_plan *plan, struct ks_item *have, const char *why)
{
	return push(plan, KS_REMOVE, have, NULL, NULL, why);
}

int ks_plan_name(struct ks_plan *plan, struct ks_item *have, const struct ks_naming *naming, const char *why)
{
	return push(plan, KS_RENAME, have, NULL, naming, why);
}

int ks_plan_note(struct ks_plan *plan, struct ks_item *have, const char *why)
{
	return push(plan, KS_KEEP, have, NULL, NULL, why);
}

int ks_plan_repassword(struct ks_plan *plan, struct ks_secret *password)
{
	ks_secret_ref(password);
	ks_secret_free(plan->password);
	plan->password = password;
	return 0;
}

int ks_plan_put(struct ks_plan *plan, struct ks_item *item, const char *label)
{
	struct ks_naming naming = { .label = ks_bytes_of(label) };

	return ks_plan_add(plan, item, &naming, NULL);
}

int ks_plan_remove(struct ks_plan *plan, struct ks_item *have)
{
	return ks_plan_drop(plan, have, NULL);
}

int ks_plan_rename(struct ks_plan *plan, struct ks_item *have, const char *label)
{
	struct ks_naming naming = { .label = ks_bytes_of(label) };

	return ks_plan_name(plan, have, &naming, NULL);
}

bool ks_plan_empty(const struct ks_plan *plan)
{
	for (size_t i = 0; i < plan->count; i++) {
		if (plan->changes[i].what != KS_KEEP)
			return false;
	}
	return plan->password == NULL;
}

/* ---- the set as it will be ---- */

/* Which change, if any, each present item meets; by address, because items do not know their position. */
struct fate {
	const struct ks_item *have;
	const struct ks_change *change;
};

static int fate_order(const void *a, const void *b)
{
	const struct fate *x = a, *y = b;

	return x->have < y->have ? -1 : x->have > y->have;
}

/* Sorted fates of the items that are removed, replaced or renamed. */
static int fates_of(struct fate **out, size_t *count, const struct ks_plan *plan)
{
	struct fate *fates = ks_array(plan->count, sizeof(*fates));

	if (!fates)
		return ks_nomem(plan->ctx);
	*count = 0;
	for (size_t i = 0; i < plan->count; i++) {
		const struct ks_change *change = &plan->changes[i];

		if (change->have && change->what != KS_KEEP)
			fates[(*count)++] = (struct fate){ change->have, change };
	}
	qsort(fates, *count, sizeof(*fates), fate_order);
	*out = fates;
	return 0;
}

static void rename_copy(struct ks_item *copy, const struct ks_naming *naming)
{
	if (naming->label.data)
		copy->label = naming->label;
	if (naming->id.data)
		copy->id = naming->id;
	if (naming->set_trust)
		copy->trust = naming->trust;
	if (naming->label.data || naming->id.data || naming->set_trust)
		copy->raw = KS_NONE;
}

/* A record of another store means nothing in this one, so only items of the store itself keep theirs. */
static int put_copy(struct ks_set *result, const struct ks_plan *plan, struct ks_item *item, const struct ks_naming *naming)
{
	struct ks_item *copy = ks_set_copy(result, item);

	if (!copy)
		return KS_ENOMEM;
	if (copy->origin->set != plan->have)
		copy->raw = copy->attributes = KS_NONE;
	if (naming)
		rename_copy(copy, naming);
	return 0;
}

/* What becomes of one present item: nothing, another item in its place, a new name, or itself. */
static int put_fate(struct ks_set *result, const struct ks_plan *plan, struct ks_item *item, const struct fate *fate)
{
	if (!fate)
		return put_copy(result, plan, item, NULL);
	switch (fate->change->what) {
	case KS_REMOVE:
		return 0;
	case KS_REPLACE:
		return put_copy(result, plan, fate->change->item, &fate->change->naming);
	default:
		return put_copy(result, plan, item, &fate->change->naming);
	}
}

int ks_plan_result(struct ks_set **out, const struct ks_plan *plan)
{
	ks_auto(set) result = NULL;
	ks_auto_mem struct fate *fates = NULL;
	size_t count = 0;
	int rc = ks_set_new(&result, plan->ctx);

	if (rc == 0)
		rc = fates_of(&fates, &count, plan);
	for (size_t i = 0; rc == 0 && plan->have && i < ks_set_count(plan->have); i++) {
		struct ks_item *item = ks_set_at(plan->have, i);
		struct fate key = { item, NULL };

		rc = put_fate(result, plan, item, count ? bsearch(&key, fates, count, sizeof(*fates), fate_order) : NULL);
	}
	for (size_t i = 0; rc == 0 && i < plan->count; i++) {
		const struct ks_change *change = &plan->changes[i];

		if (change->what == KS_ADD)
			rc = put_copy(result, plan, change->item, &change->naming);
	}
	if (rc == KS_ENOMEM)
		return ks_nomem(plan->ctx);
	if (rc < 0)
		return rc;
	if (plan->have)
		*ks_set_facts(result) = *ks_set_facts_of(plan->have);
	*out = ks_take(result);
	return 0;
}
