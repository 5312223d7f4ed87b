/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A backup of a token as a file: private keys as the token wrapped them, and the public things that belong to them in the clear.
 *
 * It is a PEM block KEYSTOW TOKEN BACKUP around DER; docs/formats/backup.md has the layout. HMAC-SHA256 covers all of it. The key
 * that wraps and the key of the HMAC are derived from one secret, which is in no file whole: see share.h.
 */
#ifndef KS_BACKUP_H
#define KS_BACKUP_H

#include "item.h"
#include "share.h"

struct ks_backup {
	unsigned char set[KS_SET_ID]; /* which shares belong to it */
	unsigned count, threshold;
	int64_t made;
	struct ks_bytes token; /* label of the token it was taken from; bytes of the token, not safe to show */
	const unsigned char (*digests)[KS_SHA256]; /* of each share, ks_share_digest */
	struct ks_set *items; /* counted; owns the bytes above too. Private keys have `raw` as below and KS_SEALED */
	struct ks_bytes body; /* what the HMAC covers; after decoding */
	unsigned char mac[KS_SHA256];
};
void ks_backup_free(struct ks_backup *backup);
KS_FREES(backup)

/* What can be done with a wrapped key; bits. */
enum ks_wrapped_use {
	KS_WRAPPED_SIGN = 1,
	KS_WRAPPED_DECRYPT = 2,
	KS_WRAPPED_DERIVE = 4,
	KS_WRAPPED_UNWRAP = 8,
	KS_WRAPPED_SIGN_RECOVER = 16
};

/* A private key under the transport key, as `raw` of its item. */
struct ks_wrapped {
	unsigned uses;
	uint64_t mechanism; /* CKM_ number */
	struct ks_bytes iv; /* empty = the mechanism has none */
	struct ks_bytes sealed;
};
int ks_wrapped_put(struct ks_item *item, struct ks_ctx *ctx, const struct ks_wrapped *wrapped);
/* KS_EDAMAGED. */
int ks_wrapped_of(struct ks_wrapped *out, struct ks_ctx *ctx, const struct ks_item *item);

/* A new backup of nothing yet; the caller fills in what is not zero. */
int ks_backup_new(struct ks_backup **out, struct ks_ctx *ctx);
/* The file, with an HMAC under `seal`. */
int ks_backup_encode(struct ks_buffer **out, const struct ks_backup *backup, const struct ks_secret *seal);
/* `file` is borrowed. KS_EFORMAT: no backup; KS_EDAMAGED, KS_ENEWER. Its HMAC is not looked at. */
int ks_backup_decode(struct ks_backup **out, struct ks_ctx *ctx, struct ks_bytes file);
/* 0, or KS_EALTERED: the HMAC is not that of `seal`. */
int ks_backup_check(const struct ks_backup *backup, const struct ks_secret *seal);
/* Derives a key of 32 bytes from the backup's secret; `purpose` is KS_BACKUP_WRAPS or KS_BACKUP_SEALS. */
int ks_backup_derive(struct ks_secret **out, const struct ks_backup *backup, const struct ks_secret *whole,
		     const char *purpose);
#define KS_BACKUP_WRAPS "keystow backup wraps keys"
#define KS_BACKUP_SEALS "keystow backup seals file"

#endif
