/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A key as the host's OpenSSL holds it: an EVP_PKEY of libkeystow inside, whose private half stays where it is.
 */
#ifndef OPENSSL_KEY_H
#define OPENSSL_KEY_H

#include "instance.h"

struct key {
	struct holder holder;
	const char *type; /* "RSA", "EC", "ED25519", "ML-DSA-65" */
	EVP_PKEY *inner; /* NULL: nothing yet, or given back at the end */
	bool public_only; /* a software key of the host, only good for comparing and as a peer */
};

/* The type that OpenSSL's key management has for it; NULL = none here. */
const char *key_type(const EVP_PKEY *inner);
/* Is its private half in a token? Then it can only be given by reference. */
bool key_stays(const EVP_PKEY *inner);
/* `inner` is taken over, also on failure. NULL: no memory. */
struct key *key_new(struct instance *instance, const char *type, EVP_PKEY *inner);
void key_free(void *key);

/* Where inner keys live. */
OSSL_LIB_CTX *key_crypto(struct instance *instance);
/* Prefers the token's own operations to those that would want its private half in software. */
#define KEY_PROPERTIES "?provider=keystow"

extern const OSSL_ALGORITHM key_algorithms[];

#endif
