/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the last merge put into a store: STORE.keystow beside a file store (0600), a file in the state folder for a token.
 *
 * It holds the bundle's id and digest, the SHA-256 of each certificate that merge added, and the digest of the store afterwards;
 * the one before is kept as well, so that rollback finds its own. Written before the store is renamed into place, so a record
 * counts only when its digest is the store's. Lost or stale: merge removes nothing and says so.
 */
#ifndef KS_HISTORY_H
#define KS_HISTORY_H

#include "store.h"

struct ks_record {
	char *bundle;			/* id: the name of the bundle */
	unsigned char bundle_digest[KS_SHA256];
	unsigned char store_digest[KS_SHA256];
	unsigned char (*added)[KS_SHA256];	/* sorted */
	size_t added_count;
};

int ks_record_new(struct ks_record **out, struct ks_ctx *ctx);
void ks_record_free(struct ks_record *record);
KS_FREES(record)
/* The record that belongs to the store as it is now. KS_ENOTFOUND: there is none. KS_ECHANGED: there is one, but the store was
 * changed since by something else; *out is it all the same (for --adopt). */
int ks_history_read(struct ks_record **out, struct ks_store *store);
/* Writes the record for a store whose content will have, or has, that digest; the one before is kept beside it. */
int ks_history_write(struct ks_store *store, const struct ks_record *record, const unsigned char digest[KS_SHA256]);
/* What tells a store that is not one file: SHA-256 over the sorted SHA-256 of its certificates. */
int ks_history_digest(unsigned char out[KS_SHA256], struct ks_store *store);
/*
 * The record to go along with a change that is not a merge, so that it does not make the store a stranger to the next merge; NULL
 * when there is none. What the plan removes stays remembered as merge's, so that the next merge knows that it was deleted.
 */
int ks_history_carry(struct ks_record **out, struct ks_store *store, const struct ks_plan *plan);
bool ks_record_has(const struct ks_record *record, const unsigned char sha256[KS_SHA256]);

#endif
