/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a new PIN must be like before it is sent, and what makes one easy to guess.
 */
#ifndef KS_P11_NEWPIN_H
#define KS_P11_NEWPIN_H

#include "session.h"
#include "secret.h"

/*
 * KS_EPIN when its length is not one that the token says it takes, so that nothing is sent which must fail; a notice when it is easy
 * to guess, or is `other` (may be NULL), the PIN of the other user. `secret` NULL is typed on the device, which has rules of its own.
 */
int ks_p11_new_pin_check(struct ks_p11_token *token, const struct ks_secret *secret, const struct ks_secret *other);

#endif
