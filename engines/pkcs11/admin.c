/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the security officer does, and a user changing his PIN. The rules for tries hold here too.
 */
#include "admin.h"

#include "login.h"
#include "newpin.h"
#include "pinmemory.h"

#include <string.h>

static int ask(struct ks_secret **out, struct ks_p11_token *token, const struct ks_where *where, enum ks_ask what,
	       bool fresh)
{
	ks_auto(secret) secret = NULL;
	const struct ks_question question = {
		.ask = what,
		.store = ks_where_text(where),
		.label = token->label,
		.serial = token->serial,
		.source = what == KS_ASK_PIN && !fresh ? where->pin_source : NULL,
		.tries_left = -1,
		.fresh = fresh,
	};
	int rc;

	if (*out || token->on.pin_pad)
		return 0;
	rc = ks_secret_new(&secret, token->ctx);
	if (rc == 0)
		rc = ks_ask(token->ctx, &question, secret);
	if (rc == 0)
		*out = ks_take(secret);
	return rc;
}

static const char *bytes_of(const struct ks_secret *secret)
{
	return secret ? ks_secret_bytes(secret) : NULL;
}

static size_t size_of(const struct ks_secret *secret)
{
	return secret ? ks_secret_size(secret) : 0;
}

/* What follows works on the whole token, so nobody may be logged in. */
static int session_alone(CK_SESSION_HANDLE *session, struct ks_p11_token *token)
{
	int rc = ks_p11_failed(token->ctx, &token->on, ks_p11_session_take(token, session));

	if (rc == 0 && token->who != KS_P11_NOBODY)
		ks_p11_leave(token, *session);
	return rc;
}

/* ---- a PIN set by the security officer ---- */

/* What was wrong may be right now. */
static void user_pin_is_new(struct ks_p11_token *token)
{
	__attribute__((cleanup(ks_p11_pin_memory_freep))) struct ks_p11_pin_memory *memory = NULL;

	if (ks_p11_pin_memory_open(&memory, token, CKU_USER) < 0)
		ks_forgive(token->ctx);
	ks_p11_pin_memory_clear(memory);
}

/* Some cards look at the officer's PIN only here (KS_P11_OFFICER_LATE): that is what PIN_INCORRECT means. */
static int init_pin(struct ks_p11_token *token, CK_SESSION_HANDLE session, const struct ks_secret *officer,
		    const struct ks_secret *wanted)
{
	struct ks_p11_try try;
	CK_RV rv;
	int rc = ks_p11_try_begin(&try, token, CKU_SO, officer);

	if (rc < 0)
		return rc;
	rv = ks_p11_init_pin(&token->on, session, bytes_of(wanted), size_of(wanted));
	if (rv == CKR_OK)
		ks_p11_pin_memory_clear(try.memory);
	if (rv == CKR_OK || rv == CKR_PIN_INCORRECT)
		return ks_p11_try_end(&try, rv);
	ks_p11_pin_memory_free(try.memory);
	return ks_p11_failed(token->ctx, &token->on, rv);
}

static int set_by_officer(struct ks_p11_token *token, const struct ks_where *where, struct ks_secret *officer,
			  const struct ks_secret *wanted)
{
	CK_SESSION_HANDLE session;
	int rc = session_alone(&session, token);

	if (rc < 0)
		return rc;
	rc = ks_p11_login_officer(token, where, session, officer);
	if (rc == 0) {
		rc = init_pin(token, session, officer, wanted);
		ks_p11_leave(token, session);
	}
	ks_p11_session_give(token, session, rc == KS_EGONE);
	if (rc == 0)
		user_pin_is_new(token);
	return rc;
}

static int set_pin(struct ks_p11_token *token, const struct ks_where *where, const struct ks_admin *admin)
{
	ks_auto(secret) officer = ks_secret_ref(admin->old_secret);
	ks_auto(secret) wanted = ks_secret_ref(admin->new_secret);
	int rc = ask(&officer, token, where, KS_ASK_SO_PIN, false);

	if (rc == 0)
		rc = ask(&wanted, token, where, KS_ASK_PIN, true);
	if (rc == 0)
		rc = ks_p11_new_pin_check(token, wanted, officer);
	return rc < 0 ? rc : set_by_officer(token, where, officer, wanted);
}

/* ---- a PIN changed by whom it belongs to ---- */

static int change_in(struct ks_p11_token *token, CK_USER_TYPE user, CK_SESSION_HANDLE session,
		     const struct ks_secret *old_pin, const struct ks_secret *wanted)
{
	struct ks_p11_try try;
	CK_RV rv;
	int rc = ks_p11_try_begin(&try, token, user, old_pin);

	if (rc < 0)
		return rc;
	rv = ks_p11_set_pin(&token->on, session, bytes_of(old_pin), size_of(old_pin), bytes_of(wanted),
			    size_of(wanted));

	/* Only this code speaks of the old PIN; the others find fault with the new one. */
	if (rv == CKR_OK || rv == CKR_PIN_INCORRECT || rv == CKR_PIN_LOCKED)
		return ks_p11_try_end(&try, rv);
	ks_p11_pin_memory_free(try.memory);
	return ks_p11_failed(token->ctx, &token->on, rv);
}

static int change_pin(struct ks_p11_token *token, const struct ks_where *where, const struct ks_admin *admin)
{
	ks_auto(secret) old_pin = ks_secret_ref(admin->old_secret);
	ks_auto(secret) wanted = ks_secret_ref(admin->new_secret);
	CK_SESSION_HANDLE session;
	int rc = ks_p11_try_allowed(token, CKU_USER);

	if (rc == 0)
		rc = ask(&old_pin, token, where, KS_ASK_PIN, false);
	if (rc == 0)
		rc = ask(&wanted, token, where, KS_ASK_PIN, true);
	if (rc == 0)
		rc = ks_p11_new_pin_check(token, wanted, NULL);
	if (rc == 0)
		rc = session_alone(&session, token);
	if (rc < 0)
		return rc;
	rc = change_in(token, CKU_USER, session, old_pin, wanted);
	ks_p11_session_give(token, session, rc == KS_EGONE);
	return rc;
}

/* ---- the security officer's own PIN ---- */

static int change_as_officer(struct ks_p11_token *token, const struct ks_where *where, struct ks_secret *old_pin,
			     const struct ks_secret *wanted)
{
	CK_SESSION_HANDLE session;
	int rc = session_alone(&session, token);

	if (rc < 0)
		return rc;
	rc = ks_p11_login_officer(token, where, session, old_pin);
	if (rc == 0) {
		rc = change_in(token, CKU_SO, session, old_pin, wanted);
		ks_p11_leave(token, session);
	}
	ks_p11_session_give(token, session, rc == KS_EGONE);
	return rc;
}

static int change_so_pin(struct ks_p11_token *token, const struct ks_where *where, const struct ks_admin *admin)
{
	ks_auto(secret) old_pin = ks_secret_ref(admin->old_secret);
	ks_auto(secret) wanted = ks_secret_ref(admin->new_secret);
	int rc = ask(&old_pin, token, where, KS_ASK_SO_PIN, false);

	if (rc == 0)
		rc = ask(&wanted, token, where, KS_ASK_SO_PIN, true);
	if (rc == 0)
		rc = ks_p11_new_pin_check(token, wanted, NULL);
	return rc < 0 ? rc : change_as_officer(token, where, old_pin, wanted);
}

/* ---- a whole token ---- */

/* Blank-padded to 32 bytes: a NUL-terminated label can never be matched again. */
static int label_pad(unsigned char out[32], struct ks_p11_token *token, const char *label)
{
	size_t size = label ? strlen(label) : 0;

	if (size == 0 || size > 32)
		return ks_fail(token->ctx, KS_EUSAGE, "a token's label has 1 to 32 bytes");
	memset(out, ' ', 32);
	memcpy(out, label, size);
	return 0;
}

/* An initialised token checks the officer's PIN, so the rules for tries hold; a blank one (SoftHSM shows it locked) has none. */
static int init_allowed(struct ks_p11_try *try, struct ks_p11_token *token, const struct ks_secret *officer)
{
	CK_SESSION_HANDLE session;
	int rc;

	*try = (struct ks_p11_try){ .token = token, .user = CKU_SO };
	if (!(token->info.flags & CKF_TOKEN_INITIALIZED))
		return 0;
	rc = ks_p11_try_allowed(token, CKU_SO);
	if (rc == 0)
		rc = session_alone(&session, token);
	if (rc < 0)
		return rc;
	ks_p11_session_give(token, session, false);
	return ks_p11_try_begin(try, token, CKU_SO, officer);
}

/* A token that is as it was has not been initialised. A new label may be shown decorated, or later, but not the old one as it was. */
static int init_believe(const struct ks_p11_token *token, const CK_TOKEN_INFO *before, const unsigned char label[32])
{
	bool relabelled = memcmp(before->label, label, sizeof(before->label)) == 0 ||
			  memcmp(before->label, token->info.label, sizeof(before->label)) != 0;

	if (token->info.flags & CKF_TOKEN_INITIALIZED && relabelled)
		return 0;
	return ks_fail(token->ctx, KS_ELIES, "token %s says that it was initialised, but is as it was", token->shown);
}

static int init_now(struct ks_p11_token *token, const unsigned char label[32], const struct ks_secret *officer)
{
	const CK_TOKEN_INFO before = token->info;
	struct ks_p11_try try;
	CK_RV rv;
	int rc = init_allowed(&try, token, officer);

	if (rc < 0)
		return rc;
	ks_p11_sessions_close(token);
	rv = ks_p11_init_token(&token->on, token->slot, bytes_of(officer), size_of(officer), label);
	rc = ks_p11_try_end(&try, rv);
	if (rc == 0)
		rc = ks_p11_token_refresh(token);
	return rc < 0 ? rc : init_believe(token, &before, label);
}

static int init(struct ks_p11_token *token, const struct ks_where *where, const struct ks_admin *admin)
{
	ks_auto(secret) officer = ks_secret_ref(admin->so_secret);
	unsigned char label[32];
	int rc = label_pad(label, token, admin->label);

	if (rc == 0)
		rc = ask(&officer, token, where, KS_ASK_SO_PIN, !(token->info.flags & CKF_TOKEN_INITIALIZED));
	if (rc == 0)
		rc = ks_p11_new_pin_check(token, admin->new_secret, officer);
	if (rc == 0)
		rc = ks_while(token->ctx, init_now(token, label, officer), "initialising");
	if (rc < 0 || (!admin->new_secret && !token->on.pin_pad))
		return rc;
	rc = set_by_officer(token, where, officer, admin->new_secret);
	return ks_hint(token->ctx,
		       ks_while(token->ctx, rc, "token %s is initialised, but has no user PIN yet", token->shown),
		       "keystow token pin '%s' --unblock sets it", token->uri);
}

static int act(struct ks_p11_token *token, const struct ks_where *where, const struct ks_admin *admin)
{
	switch (admin->act) {
	case KS_ADMIN_INIT:
		return init(token, where, admin);
	case KS_ADMIN_CHANGE_PIN:
		return change_pin(token, where, admin);
	case KS_ADMIN_CHANGE_SO_PIN:
		return change_so_pin(token, where, admin);
	default:
		return set_pin(token, where, admin);
	}
}

int ks_p11_admin(struct ks_p11_token *token, const struct ks_where *where, const struct ks_admin *admin)
{
	int rc;

	if (admin->act != KS_ADMIN_INIT && !(token->info.flags & CKF_TOKEN_INITIALIZED))
		return ks_p11_blank(token);
	if (token->info.flags & CKF_TOKEN_INITIALIZED && !ks_p11_names_token(where))
		return ks_hint(token->ctx,
			       ks_fail(token->ctx, KS_EAMBIGUOUS,
				       "%s names no token, and a PIN is only sent to a token that is named",
				       ks_where_text(where)),
			       "use %s", token->uri);
	pthread_mutex_lock(&token->person);
	rc = act(token, where, admin);
	pthread_mutex_unlock(&token->person);
	return rc;
}
