/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stores as they were typed: parsed, given their secret's source, opened, worked on, and told of in the answer.
 */
#ifndef CLI_STORES_H
#define CLI_STORES_H

#include "run.h"
#include "plan.h"
#include "store.h"
#include "where.h"

/* Parses an address; `pin_source` (may be NULL) counts unless the address names a source of its own. */
int stores_where(struct ks_where **out, struct run *run, const char *text, const char *pin_source);
/* The same, and the address must name an entry: KS_EUSAGE otherwise. */
int stores_entry_where(struct ks_where **out, struct run *run, const char *text, const char *pin_source);
/* 0, or KS_EUSAGE when the address names an entry where a whole store is meant. */
int stores_is_whole(struct run *run, const struct ks_where *where);
/* stores_where, and the address must name a whole store. */
int stores_whole_where(struct ks_where **out, struct run *run, const char *text, const char *pin_source);
/* KS_LOGIN when a source of the PIN is named, so that reading a token does not ask unbidden. */
unsigned stores_login(const struct ks_where *where);

/* What a verb does with one open store. Returns 0, a KS_NO_... answer, or a failure. */
typedef int stores_act(struct run *run, struct ks_store *store, void *user);

/* Around the stores of a command: the list in the document. stores_end gives the command's status: the first
 * failure in the order of arguments, else the first "no", else 0. */
void stores_begin(struct run *run);
int stores_end(struct run *run);
/* Opens one store, acts, closes, and tells a failure at once. After a wrong or locked PIN that token is not tried
 * again. */
int stores_do(struct run *run, const struct ks_where *where, unsigned mode, stores_act *act, void *user);
/* Opens one store for reading, tells what it is, and leaves it open: *out is yours. Failures are told. */
int stores_look(struct ks_store **out, struct run *run, const struct ks_where *where);
/* stores_do on a command's only store. */
int stores_only(struct run *run, const struct ks_where *where, unsigned mode, stores_act *act, void *user);

/* stores_do on each operand from the n-th on; `pin_source` belongs to the first of them. Tokens are logged in to when
 * the mode is KS_WRITE, or when a source of the PIN is named. */
void stores_named(struct run *run, size_t n, const char *pin_source, unsigned mode, stores_act *act, void *user);

/* Every store that a command without operands means: those of the configuration, and tokens that are none of these. */
int stores_known(struct run *run, unsigned mode, stores_act *act, void *user);

/* Does what --stash asks of a plan; KS_EUNABLE where that kind of store has none. */
int stores_wish_stash(struct run *run, const struct ks_store *store, struct ks_plan *plan);
/* Applies a plan unless --dry-run, and tells its changes. */
int stores_apply(struct run *run, struct ks_store *store, struct ks_plan *plan, bool keep_old);

#endif
