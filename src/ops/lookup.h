/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of a store belongs to a label or to a public key, found without walking the store for each question.
 *
 * Made from the items as they are; valid until the store changes.
 */
#ifndef KS_OPS_LOOKUP_H
#define KS_OPS_LOOKUP_H

#include "store.h"

struct ks_lookup;

/*
 * `keys_too`: private keys are found by public key as well, which may open each of them. A key that does not tell its public half,
 * or is sealed with another password, is not found so, and counted. Only what is no single key's trouble is a failure.
 */
int ks_lookup_new(struct ks_lookup **out, struct ks_store *store, bool keys_too);
void ks_lookup_free(struct ks_lookup *lookup);
KS_FREES(lookup)

/* One of the `*count` private keys with that label, or NULL. */
struct ks_item *ks_lookup_key(const struct ks_lookup *lookup, size_t *count, struct ks_bytes label);
/* The private key of that public key, or NULL. */
struct ks_item *ks_lookup_key_of(const struct ks_lookup *lookup, struct ks_bytes spki);
/* The n-th certificate of that public key, counted from 0, or NULL. */
struct ks_item *ks_lookup_certificate(const struct ks_lookup *lookup, struct ks_bytes spki, size_t n);
/* The certificate with exactly that DER, or NULL. */
struct ks_item *ks_lookup_same(const struct ks_lookup *lookup, struct ks_bytes certificate);

/* Keys whose public half is not known. */
struct ks_unread {
	size_t count;
	int status; /* why, of the first; with its words and what to do next */
	char *why, *hint;
};
const struct ks_unread *ks_lookup_unread(const struct ks_lookup *lookup);

/* The public half of a private key item as SubjectPublicKeyInfo, wherever it can be learned. */
int ks_key_spki(struct ks_buffer **out, struct ks_ctx *ctx, struct ks_item *key);

#endif
