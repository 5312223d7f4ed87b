/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PKCS#12 derivation (RFC 7292 B.2) over SHA-256, one digest long.
 */
#include "derive_pkcs12.h"

#include <string.h>

#define BLOCK 64 /* bytes that SHA-256 takes at once */

/* As often as it takes to fill whole blocks; nothing stays nothing. */
static void add_repeated(struct ks_hash *hash, struct ks_bytes bytes)
{
	size_t left = (bytes.size + BLOCK - 1) / BLOCK * BLOCK;

	while (left) {
		size_t part = bytes.size < left ? bytes.size : left;

		ks_hash_add(hash, KS_BYTES(bytes.data, part));
		left -= part;
	}
}

void ks_pkcs12_sha256(unsigned char out[KS_SHA256], const struct ks_derivation *how, enum ks_derive_for purpose,
		      struct ks_bytes password)
{
	unsigned char diversifier[BLOCK];
	struct ks_hash hash;

	memset(diversifier, (int)purpose, BLOCK);
	ks_hash_start(&hash);
	ks_hash_add(&hash, KS_BYTES(diversifier, BLOCK));
	add_repeated(&hash, how->salt);
	add_repeated(&hash, password);
	ks_hash_end(out, &hash);
	for (uint64_t i = 1; i < how->iterations; i++)
		ks_sha256(out, KS_BYTES(out, KS_SHA256));
}
