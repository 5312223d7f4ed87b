/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The changes wanted in one store, before and after. Pure values: computed by ops, shown by --dry-run and --json, checked
 * against what the target can hold, applied by an engine in one step.
 */
#ifndef KS_PLAN_H
#define KS_PLAN_H

#include <keystow/store.h>

#include "item.h"

enum ks_what { KS_ADD, KS_REPLACE, KS_REMOVE, KS_RENAME, KS_KEEP };
const char *ks_what_name(enum ks_what what); /* "add", "replace", ... */

struct ks_naming {
	struct ks_bytes label;	/* data NULL = the item's own */
	struct ks_bytes id;	/* data NULL = the item's own */
	struct ks_trust trust;	/* used when set_trust */
	bool set_trust;
};

struct ks_change {
	enum ks_what what;
	struct ks_item *have;	/* in the set before; NULL for add */
	struct ks_item *item;	/* what is put; NULL for remove, rename, keep */
	struct ks_naming naming;
	const char *why;	/* static, or from ks_set_text(plan->kept, ..); NULL = none */
	bool done;		/* set by engines that cannot do all at once */
};

struct ks_plan {
	struct ks_ctx *ctx;
	struct ks_set *have;	/* counted */
	struct ks_set *kept;	/* copies of everything put; counted */
	struct ks_change *changes;
	size_t count, capacity;
	struct ks_secret *password;	/* the store gets this password; NULL = keeps its own */
	bool drop_old;			/* an earlier copy (.old) must not survive this change */
	bool stash;			/* the password is left beside the store, for programs that look for it there */
};
KS_FREES(plan)

int ks_plan_add(struct ks_plan *plan, struct ks_item *item, const struct ks_naming *naming, const char *why);
int ks_plan_replace(struct ks_plan *plan, struct ks_item *have, struct ks_item *item, const struct ks_naming *naming, const char *why);
int ks_plan_drop(struct ks_plan *plan, struct ks_item *have, const char *why);
int ks_plan_name(struct ks_plan *plan, struct ks_item *have, const struct ks_naming *naming, const char *why);
/* Said, not done: a thing that might have been expected to change, and why it stays. */
int ks_plan_note(struct ks_plan *plan, struct ks_item *have, const char *why);
int ks_plan_repassword(struct ks_plan *plan, struct ks_secret *password);
/* Nothing to write: no change but keeps, no new password. */
bool ks_plan_empty(const struct ks_plan *plan);
/*
 * The set as it will be: kept items first in their order (a replaced one in the old place), then added ones. Items whose label,
 * id or trust changed have raw cleared and the new values set; `attributes` stay for the codec to edit. One linear pass.
 */
int ks_plan_result(struct ks_set **out, const struct ks_plan *plan);

#endif
