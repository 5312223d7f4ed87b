/* SPDX-License-Identifier: Apache-2.0 */
/* What twin.c and twin_apply.c share. */
#ifndef KS_OPS_TWIN_INSIDE_H
#define KS_OPS_TWIN_INSIDE_H

#include "twin.h"

/* The private keys of the store, or that of one entry, by label; what the side had before is freed. */
int ks_twin_side_look(struct ks_twin_side *side, struct ks_store *store, const struct ks_entry *only);

#endif
