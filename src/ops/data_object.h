/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data objects of a token, in and out.
 */
#ifndef KS_OPS_DATA_H
#define KS_OPS_DATA_H

#include "store.h"

/* The plan that puts `content` under `label`. KS_EEXISTS when other bytes have it, unless `replace`; the same bytes are nothing to do. */
int ks_data_plan(struct ks_plan **out, struct ks_store *store, struct ks_bytes content, const char *label, bool replace);

#endif
