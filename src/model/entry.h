/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which certificate belongs to which key.
 *
 * Stores disagree: tokens say it with CKA_ID, PKCS#12 with localKeyID, PEM not at all. The id is tried first because a user
 * may have set it on purpose, then the public key, which cannot lie; never the label alone. Two keys with one id and nothing
 * else to tell them apart are left unpaired and reported. Chains are followed by issuer name and key identifier.
 */
#ifndef KS_ENTRY_H
#define KS_ENTRY_H

#include "item.h"

struct ks_entry {
	struct ks_item *key;		/* private or secret key, else a public key that stands alone; NULL = none */
	struct ks_item *public_key;	/* the public key object beside `key`, or NULL */
	struct ks_item *certificate;	/* the key's own, or one that stands alone; NULL = none */
	struct ks_item *other;		/* request, CRL or opaque item: an entry of its own */
	struct ks_item **chain;		/* certificates above `certificate`, nearest first */
	size_t chain_count;
};

struct ks_entries {
	struct ks_entry *entries;
	size_t count;
};

/*
 * Pairs a whole set in linear time. Every item appears in exactly one entry as key, public_key, certificate or other, except
 * that a certificate without a key that is in some key's chain and is not an anchor has no entry of its own.
 */
int ks_entries_of(struct ks_entries **out, struct ks_ctx *ctx, const struct ks_set *set);
void ks_entries_free(struct ks_entries *entries);
KS_FREES(entries)

/* The item that stands for the entry: key, else certificate, else other, else public key. */
struct ks_item *ks_entry_head(const struct ks_entry *entry);

/* Counts as the JSON schema wants them. */
struct ks_counts {
	size_t keys, public_keys, certificates, anchors, secret_keys, requests, crls, opaque;
};
struct ks_counts ks_set_counts(const struct ks_set *set);

#endif
