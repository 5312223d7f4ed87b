/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only door: which engine serves an address, loading, pairing, committing. Public promises are in <keystow/store.h>.
 */
#ifndef KS_STORE_H
#define KS_STORE_H

#include "engine.h"
#include "entry.h"

struct ks_store {
	struct ks_ctx *ctx;
	const struct ks_engine *engine;
	const struct ks_where *where;	/* borrowed from the opener, must outlive the store */
	unsigned mode;
	void *state;
	struct ks_set *items;
	struct ks_entries *entries;	/* paired on first use */
};
static inline void ks_store_freep(struct ks_store **store)
{
	ks_store_close(*store);
}

/* What ks_store_open does, limited to `only`. */
int ks_store_open_only(struct ks_store **out, struct ks_ctx *ctx, const struct ks_where *where, unsigned mode,
		       const struct ks_only *only);
int ks_store_entries(const struct ks_entries **out, struct ks_store *store);
/* Can the store do this? KS_EUNABLE with the store's name, what it cannot do, and what to do instead. `what`: enum ks_can. */
int ks_store_able(struct ks_store *store, unsigned what);
int ks_store_generate(struct ks_item **out_private, struct ks_store *store, const struct ks_generate *wish);
/* Could the store make such a key pair inside? 0, or KS_EUNABLE with what it makes instead; nothing is tried. */
int ks_store_makes(struct ks_store *store, const struct ks_generate *wish);
/* The wish that would make another key like this private key of the store: kind, uses and guards; neither label nor id. */
int ks_store_like(struct ks_generate *out, struct ks_store *store, const struct ks_item *key);
/* The private key, wrapped under `transport`, into `into`; and back into a store. What the engine promises: engine.h. */
int ks_store_wrap(struct ks_store *store, struct ks_set *into, const struct ks_item *key,
		  const struct ks_secret *transport);
int ks_store_unwrap(struct ks_store *store, const struct ks_item *wrapped, const struct ks_secret *transport,
		    bool extractable);
int ks_store_admin(struct ks_store *store, const struct ks_admin *admin);

struct ks_record;	/* history.h */
struct ks_commit_wish {
	bool keep_old;			/* NAME.old for file stores */
	struct ks_record *record;	/* what merge wants remembered; NULL = nothing */
};
int ks_store_apply(struct ks_store *store, struct ks_plan *plan, const struct ks_commit_wish *wish);
/* Exchanges the store and its .old. KS_EKEYLOSS when the present store holds a private key that .old lacks. File stores only. */
int ks_store_rollback(struct ks_store *store);

#endif
