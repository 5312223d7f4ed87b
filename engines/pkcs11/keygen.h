/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a key pair inside a token.
 */
#ifndef KS_P11_KEYGEN_H
#define KS_P11_KEYGEN_H

#include "object.h"
#include "engine.h"

/*
 * A new pair, read back and checked, added to the token's snapshot and to `into` (private item first). On failure nothing stays, or
 * what stays is named together with the command that removes it. The user is logged in and the snapshot is there.
 */
int ks_p11_generate(struct ks_p11_token *token, CK_SESSION_HANDLE session, struct ks_set *into,
		    const struct ks_generate *wish);
/* Could the token make such a pair? 0, or KS_EUNABLE in words; nothing is tried. */
int ks_p11_makes(struct ks_p11_token *token, const struct ks_generate *wish);
/* DER of the curve's name as CKA_EC_PARAMS wants it; `other_spelling` for Ed25519's OID. KS_EALGORITHM. */
int ks_p11_curve(struct ks_bytes *out, const struct ks_keyspec *spec, bool other_spelling);

#endif
