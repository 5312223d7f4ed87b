/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A folder that appears whole or not at all: made under another name beside its place (mode 0700), filled, then
 * renamed.
 *
 * What a killed run left behind is swept by the next one that makes the same folder: its maker holds a lock on it as
 * long as it lives, so a folder whose lock can be had is nobody's.
 */
#ifndef KS_FOLDER_H
#define KS_FOLDER_H

#include "context.h"

struct ks_folder;

/* KS_EEXISTS when something is at `path` already; an empty folder may be. */
int ks_folder_begin(struct ks_folder **out, struct ks_ctx *ctx, const char *path);
/* Where it is to be filled; borrowed. */
const char *ks_folder_path(const struct ks_folder *folder);
/* An empty folder inside, mode 0700. */
int ks_folder_add(struct ks_folder *folder, const char *name);
/* In place and durable when it returns 0; the files in it have been synced by their writers. */
int ks_folder_publish(struct ks_folder *folder);
/* What was not published is removed. */
void ks_folder_free(struct ks_folder *folder);
KS_FREES(folder)

/* Makes the folder that the file `path` is to lie in, and those above it, with `mode` (less the umask) as far as they are new. */
int ks_folder_above(struct ks_ctx *ctx, const char *path, unsigned mode);

#endif
