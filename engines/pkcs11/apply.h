/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carrying out a plan on a token.
 */
#ifndef KS_P11_APPLY_H
#define KS_P11_APPLY_H

#include "object.h"
#include "engine.h"

/*
 * A token cannot be replaced whole: what is new is put and read back first, then labels change, and only then things are removed.
 * Each change says `done`. When something fails before the first removal, what was done is undone, newest first.
 */
int ks_p11_apply(struct ks_p11_token *token, CK_SESSION_HANDLE session, struct ks_plan *plan);

#endif
