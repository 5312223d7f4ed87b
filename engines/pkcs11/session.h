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
#include <stdatomic.h>

enum ks_p11_who { KS_P11_NOBODY, KS_P11_USER, KS_P11_OFFICER, KS_P11_SOMEBODY /* another part of this process */ };

struct ks_p11_snapshot;

/* A session that is open, and the token's life that it belongs to. */
struct ks_p11_session {
	CK_SESSION_HANDLE handle;
	unsigned life;
	bool taken;
};

/*
 * A token that was pulled out, reset or logged out starts a new life: sessions of an earlier one are dead, the login is gone, and
 * handles of objects may mean something else. Keys compare the number of their life with the token's before they use a handle.
 */
struct ks_p11_token {
	struct ks_p11_on on; /* for calls and sentences */
	struct ks_ctx *ctx;
	_Atomic CK_SLOT_ID slot; /* another one after a reader was plugged in elsewhere */
	CK_TOKEN_INFO info; /* as last read */
	char *label, *serial; /* padding taken off; bytes of the token, not safe to show */
	char *manufacturer, *model;
	unsigned quirks; /* enum ks_p11_quirk */
	struct ks_p11_listed *listed; /* the keys that it says it makes, once somebody asked */
	char *shown; /* label, safe to show; the slot for a token without one */
	char *uri; /* canonical: token, serial, manufacturer, model */
	pthread_mutex_t lock; /* of the pool, and of `info` where other threads than the context's look at it */
	pthread_cond_t given_back;
	struct ks_p11_session *pool;
	size_t open_count, most;
	bool read_only; /* the token opens no writing sessions */
	atomic_uint life;
	_Atomic enum ks_p11_who who; /* any thread may see the last session go, and the login with it */
	pthread_mutex_t person; /* whoever wants a PIN has it alone, from reading the flags to the answer; recursive */
	CK_TOKEN_INFO pin_info; /* as read for the last try; under `person`, like all below */
	bool pin_refused; /* a PIN was wrong in this process: no second try */
	atomic_bool entered; /* the last login of the user succeeded, and it was not we who logged out */
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
 * is found only when no other fits and `blank` is set; without it, it is told. */
int ks_p11_token_find(struct ks_p11_token **out, struct ks_ctx *ctx, const struct ks_where *where, bool blank);
/* KS_ENOTOKEN: the token is not initialised, so there is nothing to find in it. */
int ks_p11_blank(const struct ks_p11_token *token);
/* Is that the same device? By its serial number and its label, which only initialising changes. */
bool ks_p11_token_is(const struct ks_p11_token *token, const CK_TOKEN_INFO *info);
/* Reads flags and limits anew. */
int ks_p11_token_refresh(struct ks_p11_token *token);

/* A session of one's own until it is given back; waits while all are taken, but not for ever. `lost`: it is closed instead, and when
 * the token had ended it by itself, all others are taken for dead too: a new life begins. With the last session the login ends as
 * well (PKCS#11 v2.40 5.6). */
CK_RV ks_p11_session_take(struct ks_p11_token *token, CK_SESSION_HANDLE *session);
void ks_p11_session_give(struct ks_p11_token *token, CK_SESSION_HANDLE session, bool lost);
/* Nobody is logged in any more, or what was seen in that life does not count: begins a new one, unless somebody did so already. */
void ks_p11_life_over(struct ks_p11_token *token, unsigned life);
/* Closes all sessions that are idle (C_InitToken wants none open). */
void ks_p11_sessions_close(struct ks_p11_token *token);

/* pkcs11:... of the token with more attributes behind; new string. `id` and `type` may be absent. */
char *ks_p11_uri(const struct ks_p11_token *token, struct ks_bytes id, struct ks_bytes label, const char *type);
/* A fixed-width Cryptoki field without its padding (blanks or NULs); new string. */
char *ks_p11_field(const unsigned char *field, size_t width);

#endif
