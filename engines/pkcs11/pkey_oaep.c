/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking the OAEP padding off what a token decrypted raw (RFC 8017 7.1.2), for tokens that know OAEP with SHA-1 only, or not at all.
 *
 * Where the padding is wrong must not show, in the answer or in the time it takes: who could tell a wrong first byte from a wrong hash
 * could decrypt anything (Manger 2001). Everything is looked at whatever was found before, and only the sum of it is branched on.
 */
#include "pkey_provider.h"

#include <openssl/crypto.h>

#include <string.h>

/* All bits set when the two bytes are equal, else none. */
static unsigned equal(unsigned a, unsigned b)
{
	unsigned differ = a ^ b;

	return ((differ | (0U - differ)) >> 31) - 1U;
}

/* XORs MGF1 of `seed` over `text` (RFC 8017 B.2.1). */
static bool unmask(unsigned char *text, size_t size, struct ks_bytes seed, const EVP_MD *md)
{
	size_t block = (size_t)EVP_MD_get_size(md);
	unsigned char hash[EVP_MAX_MD_SIZE];
	ks_auto_ssl(EVP_MD_CTX) ctx = EVP_MD_CTX_new();
	bool ok = ctx != NULL;

	for (size_t at = 0, n = 0; ok && at < size; at += block, n++) {
		unsigned char counter[4] = { (unsigned char)(n >> 24), (unsigned char)(n >> 16),
					     (unsigned char)(n >> 8), (unsigned char)n };

		ok = EVP_DigestInit_ex2(ctx, md, NULL) && EVP_DigestUpdate(ctx, seed.data, seed.size) &&
		     EVP_DigestUpdate(ctx, counter, sizeof(counter)) && EVP_DigestFinal_ex(ctx, hash, NULL);
		for (size_t i = 0; ok && i < block && at + i < size; i++)
			text[at + i] ^= hash[i];
	}
	OPENSSL_cleanse(hash, sizeof(hash));
	return ok;
}

/* Where the message starts in lHash || 00 .. 00 || 01 || message; 0 = it is not of that shape. */
static size_t message_start(const unsigned char *block, size_t size, const unsigned char *label_hash, size_t hash_size,
			    unsigned first_byte)
{
	unsigned good = equal(first_byte, 0), searching = ~0U;
	size_t start = 0;

	for (size_t i = 0; i < hash_size; i++)
		good &= equal(block[i], label_hash[i]);
	for (size_t i = hash_size; i < size; i++) {
		unsigned one = equal(block[i], 1), zero = equal(block[i], 0);

		start |= (i + 1) & ((size_t)0 - (size_t)(searching & one & 1));
		good &= ~searching | one | zero;
		searching &= ~one;
	}
	good &= ~searching;
	return start & ((size_t)0 - (size_t)(good & 1));
}

bool ks_p11_oaep_open(unsigned char *out, size_t *size, unsigned char *padded, size_t padded_size, const EVP_MD *hash,
		      const EVP_MD *mask, struct ks_bytes label)
{
	unsigned char label_hash[EVP_MAX_MD_SIZE];
	size_t hash_size = (size_t)EVP_MD_get_size(hash), block_size, start;
	unsigned char *seed = padded + 1, *block = seed + hash_size;

	if (padded_size < 2 * hash_size + 2)
		return false;
	block_size = padded_size - 1 - hash_size;
	if (!EVP_Digest(label.data ? label.data : (const unsigned char *)"", label.size, label_hash, NULL, hash,
			NULL) ||
	    !unmask(seed, hash_size, KS_BYTES(block, block_size), mask) ||
	    !unmask(block, block_size, KS_BYTES(seed, hash_size), mask))
		return false;
	start = message_start(block, block_size, label_hash, hash_size, padded[0]);
	if (start == 0 || block_size - start > *size)
		return false;
	*size = block_size - start;
	memcpy(out, block + start, *size);
	return true;
}
