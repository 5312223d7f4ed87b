/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HMAC (RFC 2104) and PBKDF2 (RFC 8018 5.2) over SHA-256.
 */
#include "hmac.h"

#include <openssl/crypto.h>

#include <string.h>

#define BLOCK 64 /* bytes that SHA-256 takes at once */

static void start_padded(struct ks_hash *out, const unsigned char key[BLOCK], unsigned char pad)
{
	unsigned char padded[BLOCK];

	for (size_t i = 0; i < BLOCK; i++)
		padded[i] = key[i] ^ pad;
	ks_hash_start(out);
	ks_hash_add(out, KS_BYTES(padded, BLOCK));
	OPENSSL_cleanse(padded, BLOCK);
}

void ks_hmac_start(struct ks_hmac *out, struct ks_bytes key)
{
	unsigned char whole[BLOCK] = { 0 };

	if (key.size > BLOCK)
		ks_sha256(whole, key);
	else if (key.size)
		memcpy(whole, key.data, key.size);
	start_padded(&out->inner, whole, 0x36);
	start_padded(&out->outer, whole, 0x5c);
	OPENSSL_cleanse(whole, BLOCK);
}

void ks_hmac_of(unsigned char out[KS_SHA256], const struct ks_hmac *keyed, struct ks_bytes message,
		struct ks_bytes rest)
{
	struct ks_hash hash = keyed->inner;

	ks_hash_add(&hash, message);
	ks_hash_add(&hash, rest);
	ks_hash_end(out, &hash);
	hash = keyed->outer;
	ks_hash_add(&hash, KS_BYTES(out, KS_SHA256));
	ks_hash_end(out, &hash);
}

void ks_pbkdf2_sha256(unsigned char out[KS_SHA256], struct ks_bytes password, struct ks_bytes salt, uint64_t rounds)
{
	unsigned char round[KS_SHA256];
	struct ks_hmac keyed;

	ks_hmac_start(&keyed, password);
	ks_hmac_of(round, &keyed, salt, KS_BYTES("\0\0\0\1", 4));
	memcpy(out, round, KS_SHA256);
	for (uint64_t i = 1; i < rounds; i++) {
		ks_hmac_of(round, &keyed, KS_BYTES(round, KS_SHA256), KS_NONE);
		for (size_t n = 0; n < KS_SHA256; n++)
			out[n] ^= round[n];
	}
	OPENSSL_cleanse(round, KS_SHA256);
	OPENSSL_cleanse(&keyed, sizeof(keyed));
}
