/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libp11's context, kept for the life of ours: keys that were taken from a store go on working after the store is closed.
 */
#include "peer.h"

#include <string.h>

struct peer {
	PKCS11_CTX *ctx;
	PKCS11_SLOT *slots;
	unsigned count;
	bool loaded;
};

static const char peer_key;

static void peer_end(struct ks_ctx *ctx, void *state)
{
	struct peer *peer = state;

	(void)ctx;
	if (peer->slots)
		ks_libp11.release_all_slots(peer->ctx, peer->slots, peer->count);
	if (peer->loaded)
		ks_libp11.CTX_unload(peer->ctx);
	if (peer->ctx)
		ks_libp11.CTX_free(peer->ctx);
	free(peer);
}

void ks_libp11_enter(struct ks_trace *event, struct ks_p11_token *token, const char *function, enum ks_deadline deadline)
{
	*event = (struct ks_trace){
		.function = function,
		.module = KS_P11_PROXY,
		.token = token->shown,
		.deadline_ms = ks_settings(token->ctx)->deadline_ms[deadline],
	};
	ks_trace(token->ctx, event);
}

void ks_libp11_leave(struct ks_trace *event, struct ks_p11_token *token)
{
	event->leave = true;
	ks_trace(token->ctx, event);
}

static int peer_start(struct peer *peer, struct ks_p11_token *token)
{
	struct ks_ctx *ctx = token->ctx;

	if (!peer->ctx && !(peer->ctx = ks_libp11.CTX_new()))
		return ks_nomem(ctx);
	if (!peer->loaded && KS_LIBP11_CALL(token, KS_DEADLINE_LOOK, CTX_load, peer->ctx, KS_P11_PROXY) != 0)
		return ks_hint(ctx,
			       ks_fail_openssl(ctx, KS_EMODULE, "libp11 cannot load p11-kit's proxy " KS_P11_PROXY),
			       "install it (p11-kit-modules on Debian and Ubuntu), or leave --engine libp11 out");
	peer->loaded = true;
	if (!peer->slots &&
	    KS_LIBP11_CALL(token, KS_DEADLINE_LOOK, enumerate_slots, peer->ctx, &peer->slots, &peer->count) != 0)
		return ks_fail_openssl(ctx, KS_ETOKEN, "libp11 cannot list the slots behind p11-kit's proxy");
	return 0;
}

static bool is_token(const PKCS11_TOKEN *seen, const struct ks_p11_token *token)
{
	return seen && seen->label && seen->serialnr && strcmp(seen->label, token->label) == 0 &&
	       strcmp(seen->serialnr, token->serial) == 0 && strcmp(seen->model, token->model) == 0;
}

static int find_slot(PKCS11_SLOT **out, const struct peer *peer, struct ks_p11_token *token)
{
	PKCS11_SLOT *found = NULL;
	int rc;

	for (unsigned i = 0; i < peer->count; i++) {
		if (!is_token(peer->slots[i].token, token))
			continue;
		if (found)
			return ks_fail(token->ctx, KS_EUNABLE, "libp11 cannot tell two tokens %s apart", token->shown);
		found = &peer->slots[i];
	}
	if (found) {
		*out = found;
		return 0;
	}
	rc = ks_fail(token->ctx, KS_EUNABLE, "token %s cannot be used through libp11: p11-kit does not know its module",
		     token->shown);
	return ks_hint(token->ctx, rc, "make the module known to p11-kit (pkcs11.conf(5)), or leave --engine libp11 out");
}

int ks_libp11_token(PKCS11_TOKEN **out, struct ks_p11_token *token)
{
	PKCS11_SLOT *slot = NULL;
	struct peer *peer;
	int rc = ks_libp11_load(token->ctx);

	if (rc < 0)
		return rc;
	peer = ks_ctx_keep_new(token->ctx, &peer_key, sizeof(*peer), peer_end);
	if (!peer)
		return KS_ENOMEM;
	rc = peer_start(peer, token);
	if (rc == 0)
		rc = find_slot(&slot, peer, token);
	if (rc < 0)
		return rc;
	/* The first session decides for all; a change of mode would close everybody's sessions, ours too. */
	if (KS_LIBP11_CALL(token, KS_DEADLINE_LOOK, open_session, slot, 1) != 0)
		return ks_fail_openssl(token->ctx, KS_ETOKEN, "libp11 gets no session on token %s", token->shown);
	*out = slot->token;
	return 0;
}
