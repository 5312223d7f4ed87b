/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeping a client store in step with a public bundle, three ways: what the last merge put there, the bundle, the store.
 */
#ifndef KS_OPS_MERGE_H
#define KS_OPS_MERGE_H

#include "history.h"

/* A public set of certificates, read once and merged into many stores. Private keys inside are KS_EMISMATCH. */
struct ks_bundle {
	struct ks_set *set;
	char *name;
	unsigned char digest[KS_SHA256];	/* over the sorted SHA-256 of its certificates */
	struct ks_item **certificates;		/* sorted by SHA-256, without duplicates */
	size_t count;
};
/* KS_EDAMAGED for a damaged block unless `skip_damaged`; KS_ESHRINK for an empty one. */
int ks_bundle_read(struct ks_bundle **out, struct ks_ctx *ctx, const struct ks_where *where, bool skip_damaged);
/* The same from a set that was read already; `name` is what sentences and records call it. */
int ks_bundle_of(struct ks_bundle **out, struct ks_ctx *ctx, const char *name, const struct ks_set *set, bool skip_damaged);
void ks_bundle_free(struct ks_bundle *bundle);
KS_FREES(bundle)

struct ks_merge_wish {
	bool allow_shrink;	/* the bundle may have lost more than 20 % since last time */
	bool adopt;		/* certificates of the bundle that are there already count as merge's own from now on */
	bool restore;		/* put back what the user deleted */
	bool strict;
};
/* All that the decision depends on. */
struct ks_merge_view {
	struct ks_ctx *ctx;
	const char *store;			/* as the user named it */
	unsigned can;				/* enum ks_can of the store */
	const struct ks_engine *engine;		/* decides which labels fit; NULL = all do */
	struct ks_set *items;
	const struct ks_entries *entries;	/* of `items` */
	const struct ks_record *record;		/* of the last merge; NULL = none */
	bool stale;				/* the store was changed since by something else */
};
/* Pure: plan and the record to be remembered. Private keys and their chains are never candidates. KS_ESHRINK. */
int ks_merge_decide(struct ks_plan **out, struct ks_record **remember, const struct ks_merge_view *view,
		    const struct ks_bundle *bundle, const struct ks_merge_wish *wish);
/* ks_merge_decide for an open store and its record. */
int ks_merge_plan(struct ks_plan **out, struct ks_record **remember, struct ks_store *store, const struct ks_bundle *bundle,
		  const struct ks_merge_wish *wish);
/*
 * Plan, apply, and proof: afterwards every private key record is byte-identical and every bundle certificate is present
 * (KS_EBUG, and the old store is kept, when not). *plan is what was done, for showing.
 */
int ks_merge(struct ks_plan **plan, struct ks_store *store, const struct ks_bundle *bundle, const struct ks_merge_wish *wish,
	     bool dry_run);

#endif
