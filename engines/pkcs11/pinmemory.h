/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PIN that was wrong last, remembered so that it is not sent again.
 *
 * One small file for each token in the state folder, 0600: a salt and a slow hash (PBKDF2) of the PIN. A PIN that was wrong is
 * often one slip away from the right one, hence the slow hash. Without a state folder nothing is remembered.
 */
#ifndef KS_P11_PINMEMORY_H
#define KS_P11_PINMEMORY_H

#include "session.h"
#include "secret.h"

bool ks_p11_pin_known_wrong(struct ks_p11_token *token, CK_USER_TYPE user, const struct ks_secret *secret);
void ks_p11_pin_remember(struct ks_p11_token *token, CK_USER_TYPE user, const struct ks_secret *secret);
void ks_p11_pin_forget(struct ks_p11_token *token, CK_USER_TYPE user);

#endif
