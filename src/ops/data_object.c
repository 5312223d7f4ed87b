/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A data object is found by its label among data objects only; keys of that label are another matter.
 */
#include "data_object.h"

static struct ks_item *data_labelled(const struct ks_store *store, struct ks_bytes label)
{
	for (size_t i = 0; i < ks_set_count(store->items); i++) {
		struct ks_item *item = ks_set_at(store->items, i);

		if (item->flags & KS_PLAIN_DATA && ks_bytes_equal(item->label, label))
			return item;
	}
	return NULL;
}

static int same(bool *out, struct ks_store *store, struct ks_item *have, struct ks_bytes content)
{
	ks_auto(buffer) there = NULL;
	int rc = ks_item_content(&there, have, store->ctx);

	if (rc == 0)
		*out = ks_bytes_equal(ks_buffer_bytes(there), content);
	return rc;
}

static int refuse(struct ks_store *store, const char *label)
{
	return ks_hint(store->ctx,
		       ks_fail(store->ctx, KS_EEXISTS, "data object \"%s\" is in %s already, and is not the same", label,
			       ks_where_text(store->where)),
		       "choose another label, or use --replace");
}

/* The item's bytes are borrowed from the caller until the plan is applied. */
static int plan_put(struct ks_plan *plan, struct ks_store *store, struct ks_bytes content, const char *label)
{
	const struct ks_naming naming = { .label = ks_bytes_of(label) };
	ks_auto(set) set = NULL;
	struct ks_item *item;
	int rc = ks_set_new(&set, store->ctx);

	if (rc < 0)
		return rc;
	item = ks_set_add(set, KS_OPAQUE);
	if (!item)
		return ks_nomem(store->ctx);
	item->flags = KS_PLAIN_DATA;
	item->about = "data object";
	item->label = naming.label;
	item->der = ks_set_bytes(set, content.data ? (const void *)content.data : "", content.size);
	return item->der.data ? ks_plan_add(plan, item, &naming, NULL) : ks_nomem(store->ctx);
}

int ks_data_plan(struct ks_plan **out, struct ks_store *store, struct ks_bytes content, const char *label, bool replace)
{
	struct ks_item *have = data_labelled(store, ks_bytes_of(label));
	ks_auto(plan) plan = NULL;
	bool equal = false;
	int rc = have ? same(&equal, store, have, content) : 0;

	if (rc == 0)
		rc = ks_plan_new(&plan, store->ctx, store->items);
	if (rc < 0)
		return rc;
	if (equal)
		rc = ks_plan_note(plan, have, "is there already");
	else if (have && !replace)
		rc = refuse(store, label);
	else
		rc = plan_put(plan, store, content, label);
	if (rc == 0 && have && !equal)
		rc = ks_plan_drop(plan, have, "replaced");
	if (rc < 0)
		return rc;
	*out = ks_take(plan);
	return 0;
}
