/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does the private key in the token belong to a public key? Only using it can tell.
 */
#ifndef KS_P11_TRIAL_H
#define KS_P11_TRIAL_H

#include "object.h"

/*
 * Signs something fresh with the object and verifies it with `spki`; a key that may not sign decrypts something instead. 0 also for a
 * key that may do neither, and *tried tells which. KS_EPROOF, or the token's failure. Takes sessions of its own.
 */
int ks_p11_try_key(bool *tried, struct ks_p11_token *token, const struct ks_p11_object *object, struct ks_bytes spki,
		   unsigned uses);

#endif
