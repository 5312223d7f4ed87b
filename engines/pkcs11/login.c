/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules for PINs.
 */
#include "login.h"

#include "pinmemory.h"
#include "quirks.h"

#include <string.h>

struct user_flags {
	CK_FLAGS low, last, locked;
};

static struct user_flags flags_of(CK_USER_TYPE user)
{
	if (user == CKU_SO)
		return (struct user_flags){ CKF_SO_PIN_COUNT_LOW, CKF_SO_PIN_FINAL_TRY, CKF_SO_PIN_LOCKED };
	return (struct user_flags){ CKF_USER_PIN_COUNT_LOW, CKF_USER_PIN_FINAL_TRY, CKF_USER_PIN_LOCKED };
}

static const char *pin_words(CK_USER_TYPE user)
{
	return user == CKU_SO ? "security officer's PIN" : "PIN";
}

static int locked(struct ks_p11_token *token, CK_USER_TYPE user)
{
	int rc = ks_fail(token->ctx, KS_ELOCKED, "the %s of token %s is locked", pin_words(user), token->shown);

	if (token->quirks & KS_P11_SILENT_LOCK)
		return ks_hint(token->ctx, rc, "its lock-out passes with time; tpm2_dictionarylockout --clear-lockout ends it");
	if (user == CKU_SO)
		return ks_hint(token->ctx, rc, "only initialising the token anew helps, which erases it");
	return ks_hint(token->ctx, rc, "its security officer can set a new PIN: keystow token pin '%s' --unblock",
		       token->uri);
}

/* Another device in the slot gets no PIN. */
static int pin_info_read(struct ks_p11_token *token)
{
	CK_RV rv = ks_p11_token_info(&token->on, token->slot, &token->pin_info);

	if (rv == CKR_OK && !ks_p11_token_is(token, &token->pin_info))
		rv = CKR_TOKEN_NOT_PRESENT;
	return ks_p11_failed(token->ctx, &token->on, rv);
}

#define PERSON_HINT                                                                                                    \
	"run this in a terminal: a login with the right PIN makes the count full again, and then this works here too"

/* A job that goes on alone would use them up; a person sees what is left and stops. */
static int few_left(struct ks_p11_token *token, CK_USER_TYPE user)
{
	int rc = ks_fail(token->ctx, KS_ELASTTRY, "token %s has few tries left for its %s; nothing was sent", token->shown,
			 pin_words(user));

	return ks_hint(token->ctx, rc, PERSON_HINT);
}

int ks_p11_try_allowed(struct ks_p11_token *token, CK_USER_TYPE user)
{
	struct user_flags flags = flags_of(user);
	int rc;

	if (token->pin_refused)
		return ks_fail(token->ctx, KS_EPIN, "token %s refused a PIN in this run already; no second try is made",
			       token->shown);
	rc = pin_info_read(token);
	if (rc < 0)
		return rc;
	if (token->pin_info.flags & flags.locked)
		return locked(token, user);
	if ((token->pin_info.flags & flags.last) && !ks_settings(token->ctx)->allow_last_try) {
		rc = ks_fail(token->ctx, KS_ELASTTRY, "token %s has one try left for its %s; nothing was sent",
			     token->shown, pin_words(user));
		return ks_hint(
			token->ctx, rc,
			"a wrong PIN now locks it; run this in a terminal with --allow-last-try if you are sure");
	}
	return 0;
}

static int wrong_before(struct ks_p11_token *token, CK_USER_TYPE user)
{
	return ks_hint(token->ctx,
		       ks_fail(token->ctx, KS_EPIN, "this %s was wrong for token %s before, so it was not sent again",
			       pin_words(user), token->shown),
		       "use another PIN; no try was spent");
}

/*
 * A length that the token would refuse costs a try on some devices, so it is not sent. What a token tells is for the user: a
 * SmartCard-HSM says 6 to 15 and has an SO PIN of 16.
 */
static int length_allowed(struct ks_p11_token *token, CK_USER_TYPE user, const struct ks_secret *secret)
{
	CK_ULONG min = token->pin_info.ulMinPinLen, max = token->pin_info.ulMaxPinLen;
	size_t size = ks_secret_size(secret);

	if (user == CKU_SO || max == 0 || min > max || (size >= min && size <= max))
		return 0;
	return ks_hint(token->ctx,
		       ks_fail(token->ctx, KS_EPIN,
			       "the %s for token %s has a length that the token does not use (%lu to %lu)",
			       pin_words(user), token->shown, min, max),
		       "nothing was sent, so no try was spent");
}

/* The token's flags may tell nothing of it, but two wrong PINs are known: many tokens lock at the third. */
static int two_were_wrong(struct ks_p11_token *token, CK_USER_TYPE user)
{
	int rc = ks_fail(token->ctx, KS_ELASTTRY, "two wrong %ss were sent to token %s since the last login; nothing was sent now",
			 pin_words(user), token->shown);

	return ks_hint(token->ctx, rc, PERSON_HINT);
}

/* Nobody watches: a few wrong PINs are not made more. */
static int alone_allowed(struct ks_p11_token *token, CK_USER_TYPE user, const struct ks_p11_pin_memory *memory)
{
	if (token->pin_info.flags & flags_of(user).low)
		return few_left(token, user);
	return ks_p11_pin_memory_count(memory) >= 2 ? two_were_wrong(token, user) : 0;
}

int ks_p11_try_begin(struct ks_p11_try *try, struct ks_p11_token *token, CK_USER_TYPE user, const struct ks_secret *secret)
{
	__attribute__((cleanup(ks_p11_pin_memory_freep))) struct ks_p11_pin_memory *memory = NULL;
	int rc;

	*try = (struct ks_p11_try){ .token = token, .user = user, .secret = secret };
	if (!secret)
		return 0;
	rc = length_allowed(token, user, secret);
	if (rc == 0)
		rc = ks_p11_pin_memory_open(&memory, token, user);
	if (rc == 0)
		rc = ks_p11_try_allowed(token, user); /* anew: somebody else may have tried while we waited */
	if (rc == 0 && ks_p11_pin_memory_knows(memory, secret))
		rc = wrong_before(token, user);
	if (rc == 0 && !ks_settings(token->ctx)->attended)
		rc = alone_allowed(token, user, memory);
	if (rc < 0)
		return rc;
	try->memory = ks_take(memory);
	return 0;
}

/* "one try is left", from the flags after a wrong PIN; tokens without flags tell nothing. */
static int wrong(struct ks_p11_token *token, CK_USER_TYPE user, CK_RV rv)
{
	struct user_flags flags = flags_of(user);
	const char *call = ks_p11_last_call(), *left = "";
	CK_TOKEN_INFO info;
	int rc;

	if (ks_p11_token_info(&token->on, token->slot, &info) == CKR_OK)
		token->pin_info = info;
	if (token->pin_info.flags & flags.locked) {
		rc = ks_fail(token->ctx, KS_ELOCKED, "the %s for token %s is wrong, and the token is locked now",
			     pin_words(user), token->shown);
	} else {
		if (token->pin_info.flags & flags.last)
			left = "; one try is left";
		else if (token->pin_info.flags & flags.low)
			left = "; few tries are left";
		else if (token->quirks & KS_P11_SILENT_LOCK)
			left = "; it does not tell how many tries are left, and locks after few";
		rc = ks_fail(token->ctx, KS_EPIN, "the %s for token %s is wrong%s", pin_words(user), token->shown,
			     left);
	}
	ks_cause(token->ctx, rc, "%s: %s", call, ks_p11_code_name(rv));
	return ks_hint(token->ctx, rc, "keystow token info '%s' shows the state of its PIN", token->uri);
}

static int judged(const struct ks_p11_try *try, CK_RV rv)
{
	struct ks_p11_token *token = try->token;

	switch (rv) {
	case CKR_OK:
		if (!(try->user == CKU_SO && (token->quirks & KS_P11_OFFICER_LATE)))
			ks_p11_pin_memory_clear(try->memory);
		return 0;
	case CKR_PIN_INCORRECT:
	case CKR_PIN_INVALID:
	case CKR_PIN_LEN_RANGE:
		token->pin_refused = true;
		if (try->secret)
			ks_p11_pin_memory_add(try->memory, try->secret);
		return wrong(token, try->user, rv);
	case CKR_PIN_LOCKED:
		token->pin_refused = true;
		return locked(token, try->user);
	default:
		return ks_p11_failed(token->ctx, &token->on, rv);
	}
}

int ks_p11_try_end(struct ks_p11_try *try, CK_RV rv)
{
	int rc = judged(try, rv);

	ks_p11_pin_memory_free(try->memory);
	try->memory = NULL;
	return rc;
}

/* ---- getting the PIN ---- */

static int ask(struct ks_secret **out, struct ks_p11_token *token, CK_USER_TYPE user, const struct ks_where *where)
{
	ks_auto(secret) secret = NULL;
	bool last = token->pin_info.flags & flags_of(user).last;
	const struct ks_question question = {
		.ask = user == CKU_SO                 ? KS_ASK_SO_PIN
		       : user == CKU_CONTEXT_SPECIFIC ? KS_ASK_CONTEXT_PIN
						      : KS_ASK_PIN,
		.store = where             ? ks_where_text(where)
			 : token->asked_as ? token->asked_as
					   : token->uri,
		.label = token->label,
		.serial = token->serial,
		.source = user == CKU_SO ? NULL
			  : where        ? where->pin_source
					 : token->pin_source,
		.tries_left = last ? 1 : -1,
		.last_try = last,
	};
	int rc;

	if (where && where->pin_value && user == CKU_USER) {
		*out = ks_secret_ref(where->pin_value);
		return 0;
	}
	rc = ks_secret_new(&secret, token->ctx);
	if (rc == 0)
		rc = ks_ask(token->ctx, &question, secret);
	if (rc < 0)
		return rc;
	*out = ks_take(secret);
	return 0;
}

/* One try: `given` NULL asks, unless the token has a pad of its own. */
static int attempt(struct ks_p11_token *token, CK_USER_TYPE user, const struct ks_where *where,
		   CK_SESSION_HANDLE session, struct ks_secret *given)
{
	ks_auto(secret) secret = ks_secret_ref(given);
	struct ks_p11_try try;
	CK_RV rv;
	int rc = ks_p11_try_allowed(token, user);

	if (rc == 0 && token->on.pin_pad)
		rc = ks_progress(token->ctx, "waiting for the PIN on the token's own pad", 0, 0);
	else if (rc == 0 && !secret)
		rc = ask(&secret, token, user, where);
	if (rc == 0)
		rc = ks_p11_try_begin(&try, token, user, secret);
	if (rc < 0)
		return rc;
	rv = ks_p11_login(&token->on, session, user, secret ? ks_secret_bytes(secret) : NULL,
			  secret ? ks_secret_size(secret) : 0);
	return ks_p11_try_end(&try, rv);
}

/* ---- logging in ---- */

/* For asking again later, when the store is closed. */
static int keep_names(struct ks_p11_token *token, const struct ks_where *where)
{
	free(token->asked_as);
	free(token->pin_source);
	token->asked_as = strdup(ks_where_text(where));
	token->pin_source = where->pin_source ? strdup(where->pin_source) : NULL;
	if (!token->asked_as || (where->pin_source && !token->pin_source))
		return ks_nomem(token->ctx);
	return 0;
}

/* Is the user logged in already? That may be the doing of another part of this process, which shares the module with us. */
static int state_of(enum ks_p11_who *who, struct ks_p11_token *token, CK_SESSION_HANDLE session)
{
	CK_SESSION_INFO info;
	CK_RV rv = ks_p11_session_info(&token->on, session, &info);

	if (rv != CKR_OK)
		return ks_p11_failed(token->ctx, &token->on, rv);
	*who = KS_P11_NOBODY;
	if (info.state == CKS_RO_USER_FUNCTIONS || info.state == CKS_RW_USER_FUNCTIONS)
		*who = token->entered ? KS_P11_USER : KS_P11_SOMEBODY;
	if (info.state == CKS_RW_SO_FUNCTIONS)
		*who = token->who == KS_P11_OFFICER ? KS_P11_OFFICER : KS_P11_SOMEBODY;
	return 0;
}

/* After a login that was one, the session is the user's. Without this, what is private would look as if it were not there. */
static int login_believe(struct ks_p11_token *token, CK_SESSION_HANDLE session)
{
	enum ks_p11_who who = KS_P11_NOBODY;
	int rc = state_of(&who, token, session);

	if (rc < 0 || who != KS_P11_NOBODY)
		return rc;
	return ks_fail(token->ctx, KS_ELIES, "token %s accepted the PIN, but nobody is logged in", token->shown);
}

static int enter(struct ks_p11_token *token, const struct ks_where *where, CK_SESSION_HANDLE session)
{
	int rc = attempt(token, CKU_USER, where, session, NULL);

	token->entered = rc == 0;
	if (rc < 0)
		return rc;
	token->who = KS_P11_USER; /* also when the look is cut short: who came in is logged out again */
	rc = login_believe(token, session);
	if (rc == KS_ELIES) {
		token->entered = false;
		token->who = KS_P11_NOBODY;
	}
	return rc;
}

static int login_in(struct ks_p11_token *token, const struct ks_where *where, CK_SESSION_HANDLE session)
{
	enum ks_p11_who who = KS_P11_NOBODY;
	int rc = state_of(&who, token, session);

	if (rc < 0)
		return rc;
	if (who == KS_P11_USER || who == KS_P11_SOMEBODY) {
		token->who = who;
		return 0;
	}
	if (!(token->info.flags & CKF_LOGIN_REQUIRED))
		return 0;
	if (!ks_p11_names_token(where))
		return ks_hint(token->ctx,
			       ks_fail(token->ctx, KS_EAMBIGUOUS,
				       "%s names no token, and a PIN is only sent to a token that is named",
				       ks_where_text(where)),
			       "use %s", token->uri);
	if (!(token->info.flags & CKF_USER_PIN_INITIALIZED))
		return ks_hint(token->ctx, ks_fail(token->ctx, KS_ETOKEN, "token %s has no user PIN yet", token->shown),
			       "its security officer sets one: keystow token pin '%s' --unblock", token->uri);
	return enter(token, where, session);
}

int ks_p11_login_user(struct ks_p11_token *token, const struct ks_where *where)
{
	CK_SESSION_HANDLE session;
	int rc;

	if (token->who == KS_P11_USER || token->who == KS_P11_SOMEBODY)
		return 0;
	rc = ks_p11_failed(token->ctx, &token->on, ks_p11_session_take(token, &session));
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&token->person);
	rc = keep_names(token, where);
	if (rc == 0)
		rc = login_in(token, where, session);
	pthread_mutex_unlock(&token->person);
	ks_p11_session_give(token, session, rc == KS_EGONE);
	return rc;
}

/* A counter that is low although the last login succeeded tells of somebody else's tries. */
static int again_allowed(struct ks_p11_token *token)
{
	int rc = ks_p11_try_allowed(token, CKU_USER);

	if (rc == 0 && (token->pin_info.flags & (CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY)))
		rc = ks_hint(token->ctx,
			     ks_fail(token->ctx, KS_ELASTTRY,
				     "token %s lost the login and has few tries left for its PIN; nothing was sent",
				     token->shown),
			     "somebody tried a wrong PIN meanwhile; start anew to log in");
	return rc;
}

int ks_p11_login_again(struct ks_p11_token *token, CK_SESSION_HANDLE session)
{
	enum ks_p11_who who = KS_P11_NOBODY;
	int rc = state_of(&who, token, session);

	if (rc < 0)
		return rc;
	if (who == KS_P11_USER || who == KS_P11_SOMEBODY || !(token->info.flags & CKF_LOGIN_REQUIRED)) {
		token->who = who;
		return 0;
	}
	if (!token->entered)
		return ks_p11_failed(token->ctx, &token->on, CKR_USER_NOT_LOGGED_IN);
	rc = again_allowed(token);
	return rc < 0 ? rc : enter(token, NULL, session);
}

int ks_p11_login_officer(struct ks_p11_token *token, const struct ks_where *where, CK_SESSION_HANDLE session,
			 struct ks_secret *secret)
{
	int rc = attempt(token, CKU_SO, where, session, secret);

	if (rc == 0)
		token->who = KS_P11_OFFICER;
	return rc;
}

void ks_p11_leave(struct ks_p11_token *token, CK_SESSION_HANDLE session)
{
	if (token->who == KS_P11_USER || token->who == KS_P11_OFFICER)
		ks_p11_logout(&token->on, session);
	token->entered = false;
	ks_p11_life_over(token, token->life);
}

int ks_p11_login_context(struct ks_p11_token *token, CK_SESSION_HANDLE session)
{
	return attempt(token, CKU_CONTEXT_SPECIFIC, NULL, session, NULL);
}
