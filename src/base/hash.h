/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256 piece by piece: what a file or an item is known by, and the compressions under HMAC and the derivations.
 */
#ifndef KS_HASH_H
#define KS_HASH_H

#include "mem.h"

/* On the stack; nothing to be freed, and nothing can fail. */
struct ks_hash {
	uint64_t room[16];
};

void ks_hash_start(struct ks_hash *hash);
void ks_hash_add(struct ks_hash *hash, struct ks_bytes bytes);
/* The state is wiped. */
void ks_hash_end(unsigned char out[KS_SHA256], struct ks_hash *hash);

#endif
