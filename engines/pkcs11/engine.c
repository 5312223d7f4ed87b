/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The token engine: a PKCS#11 token as a store.
 *
 * A token cannot be replaced whole, so apply reports each change as done or not. It is opened without a PIN; logging in happens when
 * it was asked for, when something private is needed, or when the entry that is meant is not among the visible objects.
 */
#include "admin.h"
#include "apply.h"
#include "keygen.h"
#include "keyuse.h"
#include "login.h"
#include "quirks.h"
#include "wrap.h"

#include <string.h>

/* A blank token is opened by who is going to initialise it; nobody else finds anything in it. */
#define ADMINISTERING (KS_WRITE | KS_WITHOUT_SECRET)

struct ks_p11_store {
	struct ks_ctx *ctx;
	const struct ks_where *where;
	unsigned mode;
	struct ks_p11_token *token;
	bool looked; /* the snapshot was made since the store was opened */
};

static int store_open(void *state, struct ks_ctx *ctx, const struct ks_engine *self, const struct ks_where *where,
		      unsigned mode)
{
	struct ks_p11_store *store = state;
	CK_SESSION_HANDLE session;
	int rc;

	(void)self;
	*store = (struct ks_p11_store){ .ctx = ctx, .where = where, .mode = mode };
	rc = ks_p11_token_find(&store->token, ctx, where, (mode & ADMINISTERING) == ADMINISTERING);
	if (rc < 0 || !(store->token->info.flags & CKF_TOKEN_INITIALIZED))
		return rc;
	rc = ks_p11_failed(ctx, &store->token->on, ks_p11_session_take(store->token, &session));
	if (rc < 0)
		return rc;
	ks_p11_session_give(store->token, session, false);
	return mode & KS_LOGIN ? ks_p11_login_user(store->token, where) : 0;
}

static int look(struct ks_p11_store *store)
{
	CK_SESSION_HANDLE session;
	int rc = ks_p11_failed(store->ctx, &store->token->on, ks_p11_session_take(store->token, &session));

	if (rc < 0)
		return rc;
	rc = ks_p11_snapshot_load(store->token, session);
	ks_p11_session_give(store->token, session, rc == KS_EGONE);
	store->looked = rc == 0;
	return rc;
}

/* Looks when that was not done since opening, or when a login has made more visible since. */
static int look_if_needed(struct ks_p11_store *store)
{
	bool more = store->token->who != KS_P11_NOBODY && !ks_p11_snapshot_whole(store->token);

	return store->looked && !more ? 0 : look(store);
}

/* Login, and a snapshot that has the private objects in it. */
static int enter(struct ks_p11_store *store)
{
	int rc = store->token->info.flags & CKF_TOKEN_INITIALIZED
			 ? ks_p11_login_user(store->token, store->where)
			 : ks_p11_blank(store->token);

	return rc < 0 ? rc : look_if_needed(store);
}

static bool visible(const struct ks_p11_token *token, const struct ks_where *where)
{
	struct ks_bytes id = KS_BYTES(where->id, where->id_size), label = ks_bytes_of(where->label);

	if (!where->id && !where->label)
		return true;
	for (size_t i = 0; i < ks_p11_snapshot_count(token); i++) {
		const struct ks_p11_object *object = ks_p11_snapshot_at(token, i);

		if ((!where->id || ks_bytes_equal(object->id, id)) &&
		    (!where->label || ks_bytes_equal(object->label, label)))
			return true;
	}
	return false;
}

/*
 * OpenSC shows a public key for each certificate, also for one without a private key. That is no object of its own: it would make
 * an entry with a key out of a CA's certificate. Without login private keys are not seen, and nothing can be said.
 */
static bool certificates_view(const struct ks_p11_token *token, const struct ks_p11_object *object)
{
	const struct ks_p11_object *at = NULL;
	bool certificate = false;

	if (!(token->quirks & KS_P11_PUBLIC_FOLLOWS) || object->class != CKO_PUBLIC_KEY || !ks_p11_snapshot_whole(token))
		return false;
	while ((at = ks_p11_by_id(token, object->id, at))) {
		if (at->class == CKO_PRIVATE_KEY)
			return false;
		certificate |= at->class == CKO_CERTIFICATE;
	}
	return certificate;
}

static int store_load(void *state, struct ks_set *into, const struct ks_only *only)
{
	struct ks_p11_store *store = state;
	int rc = 0;

	ks_set_facts(into)->format = "pkcs11";
	if (!(store->token->info.flags & CKF_TOKEN_INITIALIZED))
		return 0;
	rc = look_if_needed(store);
	if (rc == 0 && only && only->where && !only->public_only && !(store->mode & KS_WITHOUT_SECRET) &&
	    !ks_p11_snapshot_whole(store->token) && !visible(store->token, only->where))
		rc = enter(store);
	for (size_t i = 0; rc == 0 && i < ks_p11_snapshot_count(store->token); i++) {
		const struct ks_p11_object *object = ks_p11_snapshot_at(store->token, i);

		if (!certificates_view(store->token, object))
			rc = ks_p11_item_add(NULL, into, store->token, object);
	}
	return rc;
}

static int store_generate(void *state, struct ks_set *into, const struct ks_generate *wish)
{
	struct ks_p11_store *store = state;
	CK_SESSION_HANDLE session;
	int rc = enter(store);

	if (rc == 0)
		rc = ks_p11_failed(store->ctx, &store->token->on, ks_p11_session_take(store->token, &session));
	if (rc < 0)
		return rc;
	rc = ks_p11_generate(store->token, session, into, wish);
	ks_p11_session_give(store->token, session, rc == KS_EGONE);
	return rc;
}

static int store_makes(void *state, const struct ks_generate *wish)
{
	struct ks_p11_store *store = state;

	return ks_p11_makes(store->token, wish);
}

static int store_like(void *state, struct ks_generate *out, const struct ks_item *key)
{
	struct ks_p11_store *store = state;
	CK_SESSION_HANDLE session;
	int rc = enter(store);

	if (rc == 0)
		rc = ks_p11_failed(store->ctx, &store->token->on, ks_p11_session_take(store->token, &session));
	if (rc < 0)
		return rc;
	rc = ks_p11_like(out, store->token, session, key);
	ks_p11_session_give(store->token, session, rc == KS_EGONE);
	return rc;
}

static int store_apply(void *state, struct ks_plan *plan, const struct ks_commit *how)
{
	struct ks_p11_store *store = state;
	CK_SESSION_HANDLE session;
	int rc = enter(store);

	(void)how; /* nothing is staged, and nothing old is kept */
	if (rc == 0)
		rc = ks_p11_failed(store->ctx, &store->token->on, ks_p11_session_take(store->token, &session));
	if (rc < 0)
		return rc;
	rc = ks_p11_apply(store->token, session, plan);
	ks_p11_session_give(store->token, session, rc == KS_EGONE);
	return rc;
}

static int store_admin(void *state, const struct ks_admin *admin)
{
	struct ks_p11_store *store = state;

	store->looked = false;
	return ks_p11_admin(store->token, store->where, admin);
}

static int store_wrap(void *state, struct ks_set *into, const struct ks_item *key, const struct ks_secret *transport)
{
	struct ks_p11_store *store = state;
	int rc = enter(store);

	return rc < 0 ? rc : ks_p11_wrap(store->token, into, key, transport);
}

static int store_unwrap(void *state, struct ks_set *into, const struct ks_item *wrapped,
			const struct ks_secret *transport, bool extractable)
{
	struct ks_p11_store *store = state;
	int rc = enter(store);

	return rc < 0 ? rc : ks_p11_unwrap(store->token, into, wrapped, transport, extractable);
}

static void store_close(void *state)
{
	(void)state;
}

const struct ks_engine ks_engine_pkcs11 = {
	.name = "pkcs11",
	.title = "PKCS#11 token",
	.endings = "",
	.can = KS_CAN_KEYS | KS_CAN_CERTIFICATES | KS_CAN_LABELS | KS_CAN_IDS | KS_CAN_WRITE | KS_CAN_GENERATE |
	       KS_CAN_ADMIN | KS_CAN_MANY | KS_CAN_WRAP,
	.state_size = sizeof(struct ks_p11_store),
	.open = store_open,
	.load = store_load,
	.generate = store_generate,
	.makes = store_makes,
	.like = store_like,
	.apply = store_apply,
	.admin = store_admin,
	.wrap = store_wrap,
	.unwrap = store_unwrap,
	.close = store_close,
};
