/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The token that our own layer has found and logged in to, seen a second time through libp11.
 *
 * libp11 is always handed p11-kit's proxy: loading a module beside us would finalise it under our sessions. Behind the proxy a login
 * counts for the whole process, so libp11 never gets a PIN, and the rules for PINs stay written once.
 */
#ifndef KS_LIBP11_PEER_H
#define KS_LIBP11_PEER_H

#include "peer_library.h"
#include "pkcs11/session.h"

/*
 * The same token in libp11's hands, with a session that may write; borrowed until ks_ctx_free. KS_EUNABLE when p11-kit does not know
 * the token's module, or two of its tokens cannot be told apart.
 */
int ks_libp11_token(PKCS11_TOKEN **out, struct ks_p11_token *token);

/* Around a call into libp11, so that the host's watchdog sees how long it lasts. */
void ks_libp11_enter(struct ks_trace *event, struct ks_p11_token *token, const char *function, enum ks_deadline deadline);
void ks_libp11_leave(struct ks_trace *event, struct ks_p11_token *token);

/* KS_LIBP11_CALL(token, KS_DEADLINE_LOOK, enumerate_certs, ...): what libp11 answers. */
#define KS_LIBP11_CALL(token, deadline, function, ...)                                                                 \
	({                                                                                                             \
		struct ks_trace event_;                                                                                \
		ks_libp11_enter(&event_, (token), "PKCS11_" #function, (deadline));                                    \
		__auto_type answer_ = ks_libp11.function(__VA_ARGS__);                                                 \
		ks_libp11_leave(&event_, (token));                                                                     \
		answer_;                                                                                               \
	})

#endif
