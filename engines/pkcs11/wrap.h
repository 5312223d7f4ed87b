/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private keys that move between tokens wrapped under a transport key. In the clear they are never outside of a token.
 */
#ifndef KS_P11_WRAP_H
#define KS_P11_WRAP_H

#include "object.h"
#include "secret.h"

/*
 * Adds the key to `into` as its token wraps it (backup.h): tried out at once by unwrapping it into a session object whose signature
 * verifies. The user is logged in. KS_EUNABLE when the token does not give the key, or cannot wrap.
 */
int ks_p11_wrap(struct ks_p11_token *token, struct ks_set *into, const struct ks_item *key,
		const struct ks_secret *transport);
/*
 * Puts the pair into the token, with its label, id and uses: read back, and a signature of it verified. Adds its items to `into`
 * (private first). On failure nothing stays, or what may be left is named.
 */
int ks_p11_unwrap(struct ks_p11_token *token, struct ks_set *into, const struct ks_item *wrapped,
		  const struct ks_secret *transport, bool extractable);

#endif
