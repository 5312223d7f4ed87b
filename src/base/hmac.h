/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HMAC and PBKDF2 over SHA-256 at what they have to cost: HMAC keeps its two keyed states, so that a round of PBKDF2 is two
 * compressions.
 *
 * libcrypto computes the same, through EVP: there a round copies four contexts, each an allocation and a wipe, and PBKDF2 takes two and
 * a half times as long; before the first round every digest is looked up, and openssl.cnf is read (docs/decisions/0005).
 */
#ifndef KS_HMAC_H
#define KS_HMAC_H

#include "hash.h"

/* A key made ready for any number of messages. It is as secret as the key: wiped by who made it. */
struct ks_hmac {
	struct ks_hash inner, outer;
};

void ks_hmac_start(struct ks_hmac *out, struct ks_bytes key);
/* The HMAC of `message` with `rest` (may be none) behind it. */
void ks_hmac_of(unsigned char out[KS_SHA256], const struct ks_hmac *keyed, struct ks_bytes message, struct ks_bytes rest);

/* The first KS_SHA256 bytes; the caller wipes them. At least one round. */
void ks_pbkdf2_sha256(unsigned char out[KS_SHA256], struct ks_bytes password, struct ks_bytes salt, uint64_t rounds);

#endif
