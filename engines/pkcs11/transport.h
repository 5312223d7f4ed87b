/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A transport key in a token: the AES-256 key under which private keys travel between tokens.
 *
 * It is a session object, so that it ends with its session whatever becomes of us, and it is destroyed before that on every path.
 */
#ifndef KS_P11_TRANSPORT_H
#define KS_P11_TRANSPORT_H

#include "session.h"
#include "secret.h"

struct ks_p11_transport {
	struct ks_p11_token *token;
	CK_SESSION_HANDLE session; /* its own, for all that is done under it */
	CK_OBJECT_HANDLE key;
};

/* Takes a session and puts the key into it. `secret` has 32 bytes. On success ks_p11_transport_close has to follow. */
int ks_p11_transport_open(struct ks_p11_transport *out, struct ks_p11_token *token, const struct ks_secret *secret);
/* `rc` is what became of the work in the session; given back. */
int ks_p11_transport_close(struct ks_p11_transport *transport, int rc);
/* Says that a session object outlives its use. */
void ks_p11_transport_stays(const struct ks_p11_token *token, const char *what);

#endif
