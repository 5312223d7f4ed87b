/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The generic one-file engine: locking, comparing, atomic replacement and read-back for every codec.
 */
#ifndef KS_FILE_H
#define KS_FILE_H

#include "engine.h"

struct ks_file {
	struct ks_ctx *ctx;
	const struct ks_engine *engine;
	const struct ks_where *where;
	unsigned mode;
	struct ks_disk *disk;
	struct ks_secret *secret;	/* what opened the store; NULL = none was needed or given */
};

int ks_file_open(void *state, struct ks_ctx *ctx, const struct ks_engine *self, const struct ks_where *where, unsigned mode);
int ks_file_load(void *state, struct ks_set *into, const struct ks_only *only);
int ks_file_apply(void *state, struct ks_plan *plan, const struct ks_commit *how);
void ks_file_close(void *state);
/* The row that the content asked for, when it was opened without a scheme. */
const struct ks_engine *ks_file_actual(const void *state);
/* Exchanges the file and its earlier copy, and decodes that copy with the secret that opened the file. Under the lock. */
int ks_file_exchange(void *state);
int ks_file_load_old(struct ks_set **out, void *state);

#endif
