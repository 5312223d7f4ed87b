/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wrapping and unwrapping, with what differs between tokens.
 *
 * RFC 5649 has two numbers: CKM_AES_KEY_WRAP_KWP of PKCS#11 3.0 means nothing else, CKM_AES_KEY_WRAP_PAD means it in SoftHSM and
 * other things elsewhere. Unwrapping checks integrity, so at the other token both are tried and a wrong one only says no. CBC with
 * padding does not check anything: there the HMAC over the backup, and the signature afterwards, tell.
 */
#include "wrap.h"

#include "backup.h"
#include "calls_wrap.h"
#include "import.h"
#include "mldsa.h"
#include "put.h"
#include "transport.h"
#include "trial.h"

#include <openssl/rand.h>

#include <string.h>

#ifndef CKM_AES_KEY_WRAP_KWP
#define CKM_AES_KEY_WRAP_KWP 0x210bUL
#endif
#define IV_SIZE 16

static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;

static const CK_MECHANISM_TYPE ways[] = { CKM_AES_KEY_WRAP_KWP, CKM_AES_KEY_WRAP_PAD, CKM_AES_CBC_PAD };
#define WAYS (sizeof(ways) / sizeof(ways[0]))

struct template
{
	CK_ATTRIBUTE at[20];
	CK_ULONG count;
};

static void say(struct template *template, CK_ATTRIBUTE_TYPE type, const void *value, size_t size)
{
	template->at[template->count++] = (CK_ATTRIBUTE){ type, (void *)value, size };
}

static void say_bool(struct template *template, CK_ATTRIBUTE_TYPE type, bool value)
{
	say(template, type, value ? &yes : &no, sizeof(CK_BBOOL));
}

/* Answers that another way, or fewer attributes, may help against. */
static bool another_way(CK_RV rv)
{
	return rv == CKR_MECHANISM_INVALID || rv == CKR_MECHANISM_PARAM_INVALID || rv == CKR_FUNCTION_NOT_SUPPORTED;
}

static bool too_much_said(CK_RV rv)
{
	return rv == CKR_TEMPLATE_INCONSISTENT || rv == CKR_ATTRIBUTE_TYPE_INVALID ||
	       rv == CKR_ATTRIBUTE_VALUE_INVALID || rv == CKR_ATTRIBUTE_READ_ONLY;
}

static int cannot_wrap(const struct ks_p11_token *token)
{
	return ks_hint(token->ctx,
		       ks_fail(token->ctx, KS_EUNABLE, "token %s cannot wrap keys in a way that keystow uses", token->shown),
		       "CKM_AES_KEY_WRAP_KWP, CKM_AES_KEY_WRAP_PAD and CKM_AES_CBC_PAD are used; keystow token info -v "
		       "shows what the token can do");
}

/* Which of the ways the token lists, in our order; the others stay 0. */
static int list_ways(bool listed[WAYS], const struct ks_p11_token *token)
{
	ks_auto_mem CK_MECHANISM_TYPE *known = NULL;
	size_t count = 0;
	bool any = false;
	int rc = ks_p11_failed(token->ctx, &token->on, ks_p11_mechanisms(&token->on, token->slot, &known, &count));

	for (size_t i = 0; rc == 0 && i < WAYS; i++) {
		listed[i] = false;
		for (size_t n = 0; n < count; n++)
			listed[i] |= known[n] == ways[i];
		any |= listed[i];
	}
	return rc < 0 || any ? rc : cannot_wrap(token);
}

/* ---- what a key is for ---- */

static const struct use_row {
	unsigned use;
	CK_ATTRIBUTE_TYPE type;
} uses_table[] = {
	{ KS_WRAPPED_SIGN, CKA_SIGN },	 { KS_WRAPPED_DECRYPT, CKA_DECRYPT },
	{ KS_WRAPPED_DERIVE, CKA_DERIVE },	 { KS_WRAPPED_UNWRAP, CKA_UNWRAP },
	{ KS_WRAPPED_SIGN_RECOVER, CKA_SIGN_RECOVER },
};
#define USES (sizeof(uses_table) / sizeof(uses_table[0]))

static CK_RV read_uses(unsigned *out, const struct ks_p11_transport *transport, CK_OBJECT_HANDLE key)
{
	CK_BBOOL values[USES] = { 0 };
	CK_ATTRIBUTE at[USES];
	CK_RV rv;

	for (size_t i = 0; i < USES; i++)
		at[i] = (CK_ATTRIBUTE){ uses_table[i].type, &values[i], sizeof(values[i]) };
	rv = ks_p11_attributes(&transport->token->on, transport->session, key, at, USES);
	for (size_t i = 0; rv == CKR_OK && i < USES; i++) {
		if (at[i].ulValueLen == sizeof(CK_BBOOL) && values[i] == CK_TRUE)
			*out |= uses_table[i].use;
	}
	return rv;
}

static CK_KEY_TYPE type_of(const struct ks_keyspec *spec)
{
	return spec->type == KS_KEY_RSA		? CKK_RSA
	       : spec->type == KS_KEY_ED25519	? CKK_EC_EDWARDS
	       : ks_p11_ml_dsa_of(spec->type) ? CKK_ML_DSA
						: CKK_EC;
}

/* How much a template says, as when keys are made. */
enum rung { EXPLICIT, PROTECTED, MINIMAL, RUNGS };

/* A private key to come: `stays` tells a token object from a session object. */
struct coming {
	const struct ks_item *item; /* its label */
	CK_KEY_TYPE type;
	struct ks_bytes id;
	unsigned uses;
	bool stays, extractable;
};

static void say_coming(struct template *template, const struct coming *coming, enum rung rung)
{
	static CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;

	say(template, CKA_CLASS, &class, sizeof(class));
	say(template, CKA_KEY_TYPE, &coming->type, sizeof(coming->type));
	say_bool(template, CKA_TOKEN, coming->stays);
	say_bool(template, CKA_PRIVATE, true);
	say(template, CKA_ID, coming->id.data, coming->id.size);
	say(template, CKA_LABEL, coming->item->label.data, coming->item->label.size);
	if (rung == MINIMAL)
		return;
	say_bool(template, CKA_SENSITIVE, true);
	say_bool(template, CKA_EXTRACTABLE, coming->extractable);
	for (size_t i = 0; i < USES; i++) {
		if (rung == EXPLICIT || coming->uses & uses_table[i].use)
			say_bool(template, uses_table[i].type, coming->uses & uses_table[i].use);
	}
}

static CK_RV unwrap_by(CK_OBJECT_HANDLE *out, const struct ks_p11_transport *transport, CK_MECHANISM *mechanism,
		       struct ks_bytes sealed, const struct coming *coming)
{
	CK_RV rv = CKR_OK;

	for (enum rung rung = EXPLICIT; rung < RUNGS; rung++) {
		struct template template = { .count = 0 };

		say_coming(&template, coming, rung);
		rv = ks_p11_unwrap_key(&transport->token->on, transport->session, mechanism, transport->key, sealed,
				       template.at, template.count, out);
		if (!too_much_said(rv))
			break;
	}
	return rv;
}

/* ---- out of a token ---- */

struct wrapping {
	struct ks_p11_transport transport;
	const struct ks_item *key;
	struct ks_p11_ref ref;
	struct ks_wrapped wrapped;
	unsigned char iv[IV_SIZE];
	struct ks_buffer *sealed;
	CK_OBJECT_HANDLE copy; /* a session object */
};

static CK_RV wrap_by(struct wrapping *wrapping, CK_MECHANISM *mechanism)
{
	const struct ks_p11_transport *transport = &wrapping->transport;
	size_t size = KS_P11_WRAPPED;
	CK_RV rv = ks_p11_wrap_key(&transport->token->on, transport->session, mechanism, transport->key,
				   wrapping->ref.handle, wrapping->sealed->data, &size);

	if (rv != CKR_OK)
		return rv;
	wrapping->sealed->size = size;
	wrapping->wrapped.mechanism = mechanism->mechanism;
	wrapping->wrapped.iv = KS_BYTES(mechanism->pParameter, mechanism->ulParameterLen);
	wrapping->wrapped.sealed = ks_buffer_bytes(wrapping->sealed);
	return CKR_OK;
}

/* The key wrapped in the first way that works, and unwrapped again beside itself. */
static CK_RV wrap_in_session(struct wrapping *wrapping, const bool listed[WAYS])
{
	const struct coming copy = { .item = wrapping->key,
				     .type = type_of(&wrapping->key->key),
				     .id = wrapping->key->id,
				     .uses = wrapping->wrapped.uses };
	CK_RV rv = CKR_MECHANISM_INVALID;

	for (size_t i = 0; another_way(rv) && i < WAYS; i++) {
		CK_MECHANISM mechanism = { ways[i], NULL, 0 };

		if (!listed[i])
			continue;
		if (ways[i] == CKM_AES_CBC_PAD)
			mechanism = (CK_MECHANISM){ ways[i], wrapping->iv, IV_SIZE };
		rv = wrap_by(wrapping, &mechanism);
		if (rv == CKR_OK)
			rv = unwrap_by(&wrapping->copy, &wrapping->transport, &mechanism, wrapping->wrapped.sealed, &copy);
	}
	return rv;
}

static int wrap_failed(const struct wrapping *wrapping, CK_RV rv)
{
	struct ks_p11_token *token = wrapping->transport.token;
	ks_auto_mem char *named = ks_item_named((struct ks_item *)wrapping->key);

	return another_way(rv) ? cannot_wrap(token)
			       : ks_while(token->ctx, ks_p11_failed(token->ctx, &token->on, rv), "wrapping %s",
					  named ? named : "a private key");
}

/* Takes the copy away again, whatever it was good for. */
static int copy_remove(struct wrapping *wrapping, int rc)
{
	struct ks_p11_token *token = wrapping->transport.token;
	CK_SESSION_HANDLE session;
	CK_RV rv = ks_p11_session_take(token, &session);

	ks_p11_snapshot_drop(token, wrapping->copy);
	if (rv != CKR_OK)
		return rc < 0 ? rc : ks_p11_failed(token->ctx, &token->on, rv);
	rv = ks_p11_destroy(&token->on, session, wrapping->copy);
	ks_p11_session_give(token, session, rc == KS_EGONE);
	if (rv != CKR_OK)
		ks_p11_transport_stays(token, "the copy of a key that was tried out");
	return rc;
}

/* Is what the token gave out really the key? It is believed when the copy made of it signs as the key would. */
static int copy_try(struct wrapping *wrapping)
{
	struct ks_p11_token *token = wrapping->transport.token;
	const struct ks_p11_object copy = { .handle = wrapping->copy,
					    .class = CKO_PRIVATE_KEY,
					    .key_type = type_of(&wrapping->key->key),
					    .key = wrapping->key->key,
					    .always_authenticate = wrapping->ref.always_authenticate };
	bool tried = false;
	int rc = ks_p11_try_key(&tried, token, &copy, wrapping->key->spki, wrapping->wrapped.uses);

	if (rc == 0 && !tried)
		ks_notice(token->ctx, KS_EPROOF, token->uri, "try it after restoring",
			  "a key that neither signs nor decrypts cannot be tried out, so its backup is not proven");
	return ks_while(token->ctx, rc, "the backup of a key was tried out");
}

static int wrap_and_try(struct wrapping *wrapping, struct ks_p11_token *token, const struct ks_secret *secret)
{
	bool listed[WAYS];
	CK_RV rv;
	int rc = list_ways(listed, token);

	if (rc == 0)
		rc = ks_p11_transport_open(&wrapping->transport, token, secret);
	if (rc < 0)
		return rc;
	rv = read_uses(&wrapping->wrapped.uses, &wrapping->transport, wrapping->ref.handle);
	if (rv == CKR_OK)
		rv = wrap_in_session(wrapping, listed);
	rc = rv == CKR_OK ? 0 : wrap_failed(wrapping, rv);
	rc = ks_p11_transport_close(&wrapping->transport, rc);
	return rc < 0 ? rc : copy_remove(wrapping, copy_try(wrapping));
}

int ks_p11_wrap(struct ks_p11_token *token, struct ks_set *into, const struct ks_item *key,
		const struct ks_secret *transport)
{
	ks_auto(buffer) sealed = ks_buffer_new(KS_P11_WRAPPED + 1);
	struct wrapping wrapping = { .key = key, .sealed = sealed };
	struct ks_item *item;
	int rc;

	if (!sealed || !ks_buffer_room(sealed, KS_P11_WRAPPED))
		return ks_nomem(token->ctx);
	if (!ks_p11_ref_of(&wrapping.ref, key) || key->spki.size == 0)
		return ks_fail(token->ctx, KS_EUNABLE, "token %s does not tell the public key of a key that is to be backed up",
			       token->shown);
	if (RAND_bytes_ex(ks_crypto(token->ctx), wrapping.iv, IV_SIZE, 0) != 1)
		return ks_fail_openssl(token->ctx, KS_EBUG, "no random numbers");
	rc = wrap_and_try(&wrapping, token, transport);
	if (rc < 0)
		return rc;
	item = ks_set_add(into, KS_PRIVATE_KEY);
	if (!item)
		return ks_nomem(token->ctx);
	item->label = ks_set_bytes(into, key->label.data, key->label.size);
	item->id = ks_set_bytes(into, key->id.data, key->id.size);
	item->spki = ks_set_bytes(into, key->spki.data, key->spki.size);
	item->key = key->key;
	return ks_wrapped_put(item, token->ctx, &wrapping.wrapped);
}

/* ---- into a token ---- */

struct unwrapping {
	struct ks_p11_token *token;
	const struct ks_item *item;
	struct ks_wrapped wrapped;
	struct coming coming;
	unsigned char room[20];
	CK_OBJECT_HANDLE private_key, public_key; /* 0 = not made */
	size_t before; /* objects of the snapshot that are not ours */
	enum ks_p11_who who; /* logged in when it began */
};

/* The number the other token used, then the other number of the same thing. */
static CK_RV unwrap_in_session(struct unwrapping *unwrapping, const struct ks_p11_transport *transport)
{
	const CK_MECHANISM_TYPE recorded = unwrapping->wrapped.mechanism;
	CK_MECHANISM mechanism = { recorded, (void *)unwrapping->wrapped.iv.data, unwrapping->wrapped.iv.size };
	CK_RV rv;

	if (mechanism.ulParameterLen == 0)
		mechanism.pParameter = NULL;
	rv = unwrap_by(&unwrapping->private_key, transport, &mechanism, unwrapping->wrapped.sealed, &unwrapping->coming);
	if (rv == CKR_OK || recorded == CKM_AES_CBC_PAD || ks_p11_status(rv) == KS_EGONE)
		return rv;
	mechanism.mechanism = recorded == CKM_AES_KEY_WRAP_PAD ? CKM_AES_KEY_WRAP_KWP : CKM_AES_KEY_WRAP_PAD;
	if (unwrap_by(&unwrapping->private_key, transport, &mechanism, unwrapping->wrapped.sealed,
		      &unwrapping->coming) == CKR_OK)
		return CKR_OK;
	return rv;
}

static int private_put(struct unwrapping *unwrapping, const struct ks_secret *secret)
{
	struct ks_p11_token *token = unwrapping->token;
	struct ks_p11_transport transport;
	CK_RV rv;
	int rc = ks_p11_transport_open(&transport, token, secret);

	if (rc < 0)
		return rc;
	rv = unwrap_in_session(unwrapping, &transport);
	return ks_p11_transport_close(&transport, ks_p11_failed(token->ctx, &token->on, rv));
}

/* Whatever private object has just come: is it the key, as it was wished? */
static int look_at(struct unwrapping *unwrapping, const struct ks_p11_object *object)
{
	struct ks_p11_token *token = unwrapping->token;
	bool tried = false;

	if (object->class != CKO_PRIVATE_KEY || !ks_bytes_equal(object->id, unwrapping->coming.id))
		return ks_p11_failed(token->ctx, &token->on, KS_CKR_VALUE);
	if (object->flags & KS_EXTRACTABLE && !unwrapping->coming.extractable)
		return ks_hint(token->ctx,
			       ks_fail(token->ctx, KS_EWEAK, "token %s made the restored key one that can be taken out of it",
				       token->shown),
			       "it was removed again; --allow-extractable accepts such a key");
	if (!(object->flags & KS_SENSITIVE))
		ks_notice(token->ctx, KS_EWEAK, token->uri, "some cards tell the truth only after they were opened anew",
			  "token %s does not say that the restored key is sensitive", token->shown);
	return ks_p11_try_key(&tried, token, object, unwrapping->item->spki, unwrapping->wrapped.uses);
}

static bool has_public(const struct ks_p11_token *token, struct ks_bytes spki)
{
	const struct ks_p11_object *at = NULL;

	while ((at = ks_p11_by_spki(token, spki, at))) {
		if (at->class == CKO_PUBLIC_KEY)
			return true;
	}
	return false;
}

/* What is done in an ordinary session: `act` on it. */
static int in_session(struct unwrapping *unwrapping, int (*act)(struct unwrapping *unwrapping, CK_SESSION_HANDLE session))
{
	struct ks_p11_token *token = unwrapping->token;
	CK_SESSION_HANDLE session;
	int rc = ks_p11_failed(token->ctx, &token->on, ks_p11_session_take(token, &session));

	if (rc < 0)
		return rc;
	rc = act(unwrapping, session);
	ks_p11_session_give(token, session, rc == KS_EGONE);
	return rc;
}

static int public_put(struct unwrapping *unwrapping, CK_SESSION_HANDLE session)
{
	const struct ks_item *item = unwrapping->item;

	return ks_p11_put_public(&unwrapping->public_key, unwrapping->token, session, item->spki, item->label,
				 unwrapping->coming.id);
}

static int private_read(struct unwrapping *unwrapping, CK_SESSION_HANDLE session)
{
	const struct ks_p11_object *object;

	return ks_p11_snapshot_add(&object, unwrapping->token, session, unwrapping->private_key);
}

static bool half_remove(struct unwrapping *unwrapping, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE handle)
{
	CK_RV rv;

	if (handle == CK_INVALID_HANDLE || ks_p11_snapshot_has(unwrapping->token, handle, unwrapping->before))
		return true;
	rv = ks_p11_destroy(&unwrapping->token->on, session, handle);
	if (rv == CKR_OK)
		ks_p11_snapshot_drop(unwrapping->token, handle);
	return rv == CKR_OK || rv == CKR_OBJECT_HANDLE_INVALID;
}

static int remove_both(struct unwrapping *unwrapping, CK_SESSION_HANDLE session)
{
	bool clean = half_remove(unwrapping, session, unwrapping->private_key);

	clean = half_remove(unwrapping, session, unwrapping->public_key) && clean;
	return ks_p11_strays_remove(unwrapping->token, session, unwrapping->coming.id, unwrapping->before) && clean
		       ? 0
		       : KS_ETOKEN;
}

/* Ends a failure: nothing stays, or the sentence says what may be left. */
static int unmake(struct unwrapping *unwrapping, int rc)
{
	struct ks_p11_token *token = unwrapping->token;
	ks_auto_mem char *uri = ks_p11_uri(token, unwrapping->coming.id, KS_NONE, NULL);
	char text[1024], causes[1024], hint[1024];
	bool clean;

	snprintf(text, sizeof(text), "%s", ks_ctx_text(token->ctx));
	snprintf(causes, sizeof(causes), "%s", ks_ctx_causes(token->ctx));
	snprintf(hint, sizeof(hint), "%s", ks_ctx_hint(token->ctx));
	/* After a lost login private objects are out of reach: then all of the pair stays, not half of it. */
	clean = token->who == unwrapping->who && in_session(unwrapping, remove_both) == 0;
	ks_fail(token->ctx, rc, "%s", text);
	if (causes[0])
		ks_cause(token->ctx, rc, "%s", causes);
	return clean ? ks_hint(token->ctx, rc, "%s", hint)
		     : ks_hint(token->ctx, rc,
			       "the pair, or a part of it, may have stayed: run it again to go on, or remove it with keystow "
			       "remove '%s'",
			       uri ? uri : token->uri);
}

static int give(struct unwrapping *unwrapping, struct ks_set *into)
{
	const struct ks_p11_token *token = unwrapping->token;
	size_t count = ks_p11_snapshot_count(token), first = count - (unwrapping->public_key ? 2 : 1);
	int rc = ks_p11_item_add(NULL, into, unwrapping->token, ks_p11_snapshot_at(token, count - 1));

	return rc < 0 || first == count - 1
		       ? rc
		       : ks_p11_item_add(NULL, into, unwrapping->token, ks_p11_snapshot_at(token, first));
}

int ks_p11_unwrap(struct ks_p11_token *token, struct ks_set *into, const struct ks_item *wrapped,
		  const struct ks_secret *transport, bool extractable)
{
	struct unwrapping unwrapping = {
		.token = token, .item = wrapped, .before = ks_p11_snapshot_count(token), .who = token->who
	};
	ks_auto_mem char *named = ks_item_named((struct ks_item *)wrapped);
	int rc = ks_wrapped_of(&unwrapping.wrapped, token->ctx, wrapped);

	if (rc < 0)
		return rc;
	unwrapping.coming = (struct coming){ .item = wrapped,
					     .type = type_of(&wrapped->key),
					     .uses = unwrapping.wrapped.uses,
					     .stays = true,
					     .extractable = extractable };
	unwrapping.coming.id = ks_p11_choose_id(token, wrapped->spki, KS_NONE, wrapped->id, unwrapping.room);
	if (!has_public(token, wrapped->spki))
		rc = in_session(&unwrapping, public_put);
	if (rc == 0)
		rc = private_put(&unwrapping, transport);
	if (rc == 0)
		rc = in_session(&unwrapping, private_read);
	if (rc == 0)
		rc = look_at(&unwrapping, ks_p11_snapshot_at(token, ks_p11_snapshot_count(token) - 1));
	if (rc < 0)
		return unmake(&unwrapping, ks_while(token->ctx, rc, "restoring %s", named ? named : "a private key"));
	return give(&unwrapping, into);
}
