/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What X.509 calls SIGNED: some DER, the algorithm, and a signature over that DER. Requests and certificates have
 * this shape.
 */
#ifndef KS_OPS_SIGNED_H
#define KS_OPS_SIGNED_H

#include "item.h"

/* A key that signs, wherever it lives, and how it does: SHA-256, for P-384 SHA-384, for P-521 SHA-512, for Edwards curves none. */
struct ks_signer {
	EVP_PKEY *key; /* borrowed */
	const char *digest; /* NULL: the algorithm has its own */
	struct ks_bytes algorithm; /* DER of the AlgorithmIdentifier; static */
	bool verifies; /* what the key signs was verified under `spki` before we get it: keys in tokens */
};
/* `spki` is the key's public half. KS_EALGORITHM for a key that cannot sign certificates. */
int ks_signer_of(struct ks_signer *out, struct ks_ctx *ctx, EVP_PKEY *key, struct ks_bytes spki);
/* Appends SEQUENCE { body, algorithm, signature }. */
int ks_signed_put(struct ks_buffer *out, struct ks_ctx *ctx, const struct ks_signer *signer, struct ks_bytes body);

/* The public half of a key as SubjectPublicKeyInfo (RFC 5280 4.1). */
int ks_pkey_spki(struct ks_buffer **out, struct ks_ctx *ctx, const EVP_PKEY *key);

/* The three parts, slices of what was read. */
struct ks_signed {
	struct ks_bytes body;
	struct ks_bytes algorithm;
	struct ks_bytes signature; /* octets, unused bits checked to be none */
};
int ks_signed_read(struct ks_signed *out, struct ks_bytes der);
/*
 * Does the signature verify under `key`? KS_EPROOF: it does not. KS_EALGORITHM: an algorithm that is not known, or
 * too weak to prove anything (MD5, SHA-1). `what` opens the sentence: "the request".
 */
int ks_signed_check(const struct ks_signed *parts, struct ks_ctx *ctx, EVP_PKEY *key, const char *what);

#endif
