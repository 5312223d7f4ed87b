/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A token that is present: found by its address, with a bounded pool of sessions that threads take turns with.
 *
 * Tokens live until ks_ctx_free, because keys that were taken from a store go on working after the store is closed. Who logged in
 * is a property of the token in this process, so it is kept here too; the rules for PINs are in login.h.
 */
#ifndef KS_P11_SESSION_H
#define KS_P11_SESSION_H

#include "module.h"

#include <pthread.h>

enum ks_p11_who { KS_P11_NOBODY, KS_P11_USER, KS_P11_OFFICER, KS_P11_SOMEBODY /* another part of this process */ };

struct ks_p11_snapshot;

struct ks_p11_token {
	struct ks_p11_on on; /* for calls and sentences */
	struct ks_ctx *ctx;
	CK_SLOT_ID slot;
	CK_TOKEN_INFO info; /* as last read */
	char *label, *serial; /* padding taken off; bytes of the token, not safe to show */
	char *manufacturer, *model;
	char *shown; /* label, safe to show; the slot for a token without one */
	char *uri; /* canonical: token, serial, manufacturer, model */
	pthread_mutex_t lock;
	pthread_cond_t given_back;
	CK_SESSION_HANDLE *idle;
	size_t idle_count, open_count, most;
	bool read_only; /* the token opens no writing sessions */
	_Atomic enum ks_p11_who who; /* any thread may see the last session go, and the login with it */
	bool pin_refused; /* a PIN was wrong in this process: no second try */
	char *asked_as, *pin_source; /* how the store named it, for asking again */
	struct ks_p11_snapshot *snapshot;
};

/* Every token in every module that `where` may mean, also those not initialised. NULL-ended list, freed with free(); tokens are
 * borrowed. A slot that does not answer is a notice; when nothing answers, the failure. */
int ks_p11_tokens_present(struct ks_p11_token ***out, struct ks_ctx *ctx, const struct ks_where *where);
/* Does the address, as far as it names a token, mean this one? */
bool ks_p11_token_matches(const struct ks_p11_token *token, const struct ks_where *where);
/* Does the address name a token at all? A PIN is only ever sent to a token that was named. */
bool ks_p11_names_token(const struct ks_where *where);
/* The one token that is meant. KS_EAMBIGUOUS with the candidates, KS_ENOTOKEN with those present. A token that is not initialised
 * is found only when no other fits and `blank` is set. */
int ks_p11_token_find(struct ks_p11_token **out, struct ks_ctx *ctx, const struct ks_where *where, bool blank);
/* Reads flags and limits anew. */
int ks_p11_token_refresh(struct ks_p11_token *token);

/* A session of one's own until it is given back; waits while all are taken, but not for ever. `lost`: it is closed instead, and when
 * the token had ended it by itself, so are all that are idle. With the last session the login ends too (PKCS#11 v2.40 5.6). */
CK_RV ks_p11_session_take(struct ks_p11_token *token, CK_SESSION_HANDLE *session);
void ks_p11_session_give(struct ks_p11_token *token, CK_SESSION_HANDLE session, bool lost);
/* Closes all sessions that are idle (C_InitToken wants none open). */
void ks_p11_sessions_close(struct ks_p11_token *token);

/* pkcs11:... of the token with more attributes behind; new string. `id` and `type` may be absent. */
char *ks_p11_uri(const struct ks_p11_token *token, struct ks_bytes id, struct ks_bytes label, const char *type);
/* A fixed-width Cryptoki field without its padding (blanks or NULs); new string. */
char *ks_p11_field(const unsigned char *field, size_t width);

#endif
