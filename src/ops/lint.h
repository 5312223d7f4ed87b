/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What in a store makes trouble sooner or later, each finding with the code of its rule, and the plan that repairs ids and labels.
 */
#ifndef KS_OPS_LINT_H
#define KS_OPS_LINT_H

#include "check.h"
#include "plan.h"

/*
 * Adds what is found to `out` (`check` is "lint", `code` the rule), and to *plan the changes of names that repair what can be
 * repaired: ids and labels alone, never a key. Keys in files are opened, so that it is known which certificate is theirs. Private
 * objects of a token count only when the store was opened with KS_LOGIN.
 */
int ks_lint(struct ks_findings *out, struct ks_plan **plan, struct ks_store *store, int64_t now);

/* Digest of all certificates and public keys and the number of everything: the same before and after a repair. */
void ks_lint_content(unsigned char out[KS_SHA256], const struct ks_set *items);

#endif
