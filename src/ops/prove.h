/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The proof after a change: what had to survive is there, byte for byte, and what was to be added is there.
 */
#ifndef KS_OPS_PROVE_H
#define KS_OPS_PROVE_H

#include "plan.h"

/*
 * Every private key, secret key and opaque thing that `plan` does not name is in `after` with the same record, label and id, and
 * every certificate that it keeps or adds is there by its SHA-256. KS_EBUG names the first that is not.
 */
int ks_prove(const struct ks_plan *plan, const struct ks_set *after, const char *store);

#endif
