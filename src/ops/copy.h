/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copying entries between stores, removing, renaming, changing passwords: plans, and what the target cannot hold.
 */
#ifndef KS_OPS_COPY_H
#define KS_OPS_COPY_H

#include "store.h"

struct ks_copy_wish {
	const char *label;	/* new label for a single entry; NULL = as it is */
	bool replace;		/* an entry of that label is replaced */
	bool strict;		/* what the target cannot hold is a refusal, not a notice */
};
/* `entry` NULL copies the whole store. Losses become notices, or KS_ELOSSY. KS_EEXISTS. */
int ks_copy_plan(struct ks_plan **out, struct ks_store *from, const struct ks_entry *entry, struct ks_store *to,
		 const struct ks_copy_wish *wish);
/* A private key is removed only when `entry` names it and nothing else; its certificate and public key go with it. */
int ks_remove_plan(struct ks_plan **out, struct ks_store *store, const struct ks_entry *entry);
int ks_rename_plan(struct ks_plan **out, struct ks_store *store, const struct ks_entry *entry, const char *label);

#endif
