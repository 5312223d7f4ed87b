/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256 through the functions of libcrypto that need no library context.
 *
 * OpenSSL 3 calls them deprecated in favour of EVP. EVP would open the default context for them, read openssl.cnf and learn
 * every digest there is: a millisecond in a program whose other work is four, beside the private context that does the rest.
 */
#undef OPENSSL_NO_DEPRECATED
#define OPENSSL_SUPPRESS_DEPRECATED
#include "hash.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

_Static_assert(sizeof(SHA256_CTX) <= sizeof(struct ks_hash), "a hash has room for OpenSSL's state");

static SHA256_CTX *state_of(struct ks_hash *hash)
{
	return (SHA256_CTX *)(void *)hash->room;
}

void ks_hash_start(struct ks_hash *hash)
{
	SHA256_Init(state_of(hash));
}

void ks_hash_add(struct ks_hash *hash, struct ks_bytes bytes)
{
	if (bytes.size)
		SHA256_Update(state_of(hash), bytes.data, bytes.size);
}

void ks_hash_end(unsigned char out[KS_SHA256], struct ks_hash *hash)
{
	SHA256_Final(out, state_of(hash));
	OPENSSL_cleanse(hash, sizeof(*hash));
}

void ks_sha256(unsigned char out[KS_SHA256], struct ks_bytes bytes)
{
	struct ks_hash hash;

	ks_hash_start(&hash);
	ks_hash_add(&hash, bytes);
	ks_hash_end(out, &hash);
}
