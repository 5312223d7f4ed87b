/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logging in without wasting a try.
 *
 * Before each login the token's flags are read: locked is refused, the last try is not spent unless a person asked for it, and
 * where few tries are left only a person may go on. A PIN goes only to a token that the address names, once in a process; one that
 * was wrong is remembered as a slow hash in the state folder, and not sent again by any process until a login succeeded. Tokens
 * whose flags tell nothing are protected by the same memory: after two wrong PINs the third is a person's, too.
 */
#ifndef KS_P11_LOGIN_H
#define KS_P11_LOGIN_H

#include "session.h"
#include "secret.h"

/* Makes sure that the user is logged in. 0 also when the token needs no login. */
int ks_p11_login_user(struct ks_p11_token *token, const struct ks_where *where);
/* The security officer, in a session that is given; `secret` NULL = ask. Undone by ks_p11_leave. */
int ks_p11_login_officer(struct ks_p11_token *token, const struct ks_where *where, CK_SESSION_HANDLE session,
			 struct ks_secret *secret);
void ks_p11_leave(struct ks_p11_token *token, CK_SESSION_HANDLE session);
/*
 * The user once more, for a key whose token lost the login: only when the last login had succeeded and no try was missed since, so
 * that a PIN which was right is asked for again. One try, for whoever holds token->person; 0 also when no login is needed.
 */
int ks_p11_login_again(struct ks_p11_token *token, CK_SESSION_HANDLE session);
/* The PIN again, for the one signature that is started in `session` (CKA_ALWAYS_AUTHENTICATE). */
int ks_p11_login_context(struct ks_p11_token *token, CK_SESSION_HANDLE session);
/* May a PIN of that user be tried at all? Reads the token's flags. */
int ks_p11_try_allowed(struct ks_p11_token *token, CK_USER_TYPE user);

/* A try, from before the PIN is sent until its answer is understood. */
struct ks_p11_try {
	struct ks_p11_token *token;
	CK_USER_TYPE user;
	const struct ks_secret *secret; /* NULL: the token's own pad */
	struct ks_p11_pin_memory *memory;
};

/*
 * May this PIN be sent now? Not when its length cannot be right, when it was wrong before, or when ks_p11_try_allowed says no. After
 * 0 other processes wait with theirs until ks_p11_try_end; after a failure nothing is to be ended.
 */
int ks_p11_try_begin(struct ks_p11_try *try, struct ks_p11_token *token, CK_USER_TYPE user, const struct ks_secret *secret);
/* What the answer means: remembers or forgets the PIN, and says how many tries are left. */
int ks_p11_try_end(struct ks_p11_try *try, CK_RV rv);

#endif
