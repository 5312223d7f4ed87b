/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One custodian's share of a backup's key, as a small text: a block to keep in a file, around one line that can also be typed.
 *
 *	-----BEGIN KEYSTOW SHARE-----
 *	share 2 of 5, any 3 of them open backup 3fa1...
 *	S1NTAQ...                                        80 characters of base64
 *	-----END KEYSTOW SHARE-----
 *
 * The line holds everything: a mark, the backup's set, number, count, threshold, the share itself and a checksum, so that a slip in
 * typing, and a share of another backup, are told apart from a changed backup. The rest is for people.
 */
#ifndef KS_SHARE_H
#define KS_SHARE_H

#include "secret.h"

#define KS_SET_ID 16
#define KS_SHARE_PART 32 /* bytes of the secret, and so of a share */

struct ks_share {
	unsigned char set[KS_SET_ID]; /* of the backup that it belongs to; no secret */
	unsigned number, count, threshold;
	struct ks_secret *part; /* owned */
};
void ks_share_clear(struct ks_share *share);

/* The block, in locked memory. */
int ks_share_write(struct ks_buffer **out, struct ks_ctx *ctx, const struct ks_share *share);
/*
 * From the block or the bare line; `named` is what a sentence calls it ("the share in FILE"). KS_EDAMAGED: it is none, or its
 * checksum does not fit. KS_ENEWER.
 */
int ks_share_read(struct ks_share *out, struct ks_ctx *ctx, const struct ks_secret *text, const char *named);
/* What a backup remembers of a share, to know it again: SHA-256 over all of it. */
void ks_share_digest(unsigned char out[KS_SHA256], const struct ks_share *share);

#endif
