/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backing up a token, and restoring it into another one.
 *
 * Private keys travel only as their token wraps them. The key that wraps them, and the one that seals the backup, come from a secret
 * that is split among custodians as soon as it was used and is then forgotten; nobody who holds fewer shares than the threshold, and
 * nobody who holds the backup alone, has anything. A key can only be backed up when it was made with consent (extractable): what is
 * made without never leaves its device, and that is said.
 */
#ifndef KS_OPS_BACKUPS_H
#define KS_OPS_BACKUPS_H

#include "backup.h"
#include "shares.h"
#include "store.h"

/*
 * What goes into a backup of the store, or of the entry that its address names: changes that add; what stays behind is kept with a
 * reason, and told as a notice. KS_EUNABLE when no private key can go; with `strict` KS_ELOSSY when one cannot.
 */
int ks_backup_plan(struct ks_plan **out, struct ks_store *store, bool strict);

/* A backup made and not written yet. */
struct ks_backup_made {
	struct ks_backup *backup;
	struct ks_buffer *file;
	unsigned count;
	struct ks_share shares[KS_SHARES_MOST];
};
void ks_backup_made_free(struct ks_backup_made *made);
KS_FREES(backup_made)
/* Wraps and tries out every key of the plan, and splits the secret. A key that its token does not wrap after all stays behind as in
 * ks_backup_plan, and the plan says so. */
int ks_backup_make(struct ks_backup_made **out, struct ks_store *store, struct ks_plan *plan, unsigned count,
		   unsigned threshold, bool strict);
/* Every share into its file and the backup into its own; on failure all is as it was. KS_EEXISTS unless `replace`, which keeps what was
 * there as NAME.old. */
int ks_backup_write(struct ks_ctx *ctx, const struct ks_backup_made *made, const char *path, char *const *share_paths,
		    bool replace);

/* Reads the file; nothing in it is proven yet. */
int ks_backup_open(struct ks_backup **out, struct ks_ctx *ctx, const char *path);
/*
 * The transport key, when the shares are of this backup and enough, and the backup is as it was written. `named[i]` is what a
 * sentence calls share i. KS_EMISMATCH: of another backup, or forged; KS_ENOSECRET: too few; KS_EALTERED: the backup was changed.
 */
int ks_backup_unlock(struct ks_secret **out, const struct ks_backup *backup, const struct ks_share *shares,
		     char *const *named, unsigned count);
/* What restoring into the store would change; what is there already is kept. */
int ks_restore_plan(struct ks_plan **out, struct ks_store *store, const struct ks_backup *backup);
/* Private keys first, each proven before the next; then what is public. Changes say whether they were done. */
int ks_restore_apply(struct ks_store *store, struct ks_plan *plan, const struct ks_secret *transport, bool extractable);

#endif
