/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Do the halves of a new pair belong together?
 */
#ifndef KS_P11_PAIR_H
#define KS_P11_PAIR_H

#include "object.h"

/*
 * The private half signs some random bytes in `session`, and the public half has to verify them. KS_EPROOF when it does not; 0 also
 * when the token does not make such a signature, because then nothing is proven either way.
 */
int ks_p11_pair_prove(struct ks_p11_token *token, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE private_key,
		      struct ks_bytes spki);

/* Does a bare signature, as a token gives it, belong to the text and the public key? `signature` has room for
 * KS_P11_LONGEST_SIGNATURE, and other bytes afterwards. */
bool ks_p11_pair_verifies(struct ks_ctx *ctx, struct ks_bytes spki, unsigned char *signature, size_t size,
			  struct ks_bytes text);

/* Which mechanism signs with such a key what is not hashed by the token. */
CK_MECHANISM_TYPE ks_p11_bare_mechanism(const struct ks_keyspec *spec);

#endif
