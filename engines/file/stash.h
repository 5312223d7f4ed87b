/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stash files: the password of an IBM key database, as IBM's programs leave it beside the database so that nobody has to type it.
 *
 * That hides the password and does not protect it: no key is involved that is not public.
 */
#ifndef KS_FILE_STASH_H
#define KS_FILE_STASH_H

#include "engine.h"

#define KS_STASH_1 129 /* bytes of a stash of the first kind */
#define KS_STASH_2 193 /* and of the second, which is what we write */
#define KS_STASH_LONGEST 128 /* bytes of a password; IBM's programs cut longer ones */

/* Is this one? Only the second kind can be told for sure; of the first kind any 129 bytes might be one. */
bool ks_stash_shaped(struct ks_bytes stash);
/* Appends the password to `into`. KS_EFORMAT when it is no stash, KS_EDAMAGED when it is one that was changed. */
int ks_stash_open(struct ks_secret *into, struct ks_ctx *ctx, struct ks_bytes stash);
/* A stash of the second kind. KS_ELOSSY for a password that does not fit. The caller wipes `out`. */
int ks_stash_make(unsigned char out[KS_STASH_2], struct ks_ctx *ctx, const struct ks_secret *password);

/* ---- files -------------------------------------------------------------------------------------------------------- */

/*
 * The password in the stash at `path`, in locked memory from the first byte. KS_ENOTFOUND, KS_EFILEKIND, and as above; that others
 * may read the file is said.
 */
int ks_stash_read(struct ks_secret **out, struct ks_ctx *ctx, const char *path);
/* The path of the stash that belongs to the store at `path`: key.kdb has key.sth. NULL without memory. */
char *ks_stash_beside(const char *path);
/* Writes the stash that belongs to the store at `path`, for its owner alone. */
int ks_stash_write(struct ks_ctx *ctx, const char *path, const struct ks_secret *password);

#endif
