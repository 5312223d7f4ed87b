/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Using a key after its token lost the session, the login, or the meaning of its handles.
 *
 * Keys live longer than sessions: a card is pulled out and put back, an idle session expires, a fork makes all of them strange. A
 * key then opens a session anew, the user is logged in again where that is allowed (login.h), and the key is looked up by its id
 * and public key, because its handle may be that of another object now.
 */
#ifndef KS_P11_REOPEN_H
#define KS_P11_REOPEN_H

#include "sign.h"

/* Sees to it that the key can be used in `session`, and gives its handle. false: a sentence stands in OpenSSL's queue. */
bool ks_p11_key_ready(CK_OBJECT_HANDLE *handle, struct ks_p11_key *key, CK_SESSION_HANDLE session);
/* May an operation that was begun in that life and got this answer be tried once more? The token has to be there. */
bool ks_p11_key_again(struct ks_p11_key *key, CK_RV rv, unsigned life);
/* Asks for the PIN of the one operation that is started in `session`; false: a sentence stands in OpenSSL's queue. */
bool ks_p11_key_confirm(struct ks_p11_key *key, CK_SESSION_HANDLE session);

#endif
