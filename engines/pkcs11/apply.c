/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes on a token, in the order that loses nothing: put, rename, remove.
 */
#include "apply.h"
#include "data.h"
#include "import.h"
#include "nickname.h"
#include "put.h"
#include "quirks.h"

#include "certificate.h"
#include "der.h"
#include "name.h"
#include "text.h"

#include <openssl/evp.h>

#include <string.h>

static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;

/* What has to be taken back when a later change fails. */
struct step {
	struct ks_change *change;
	CK_OBJECT_HANDLE made[2]; /* put; 0 = none */
	CK_OBJECT_HANDLE twin; /* renamed along, found under the id it had before; 0 = none */
	bool cleared; /* the certificate that is replaced was removed before */
	char *label; /* what the certificate shall be called once the label is free */
};

struct applying {
	struct ks_p11_token *token;
	CK_SESSION_HANDLE session;
	struct ks_plan *plan;
	struct step *steps;
	size_t step_count;
	bool told_trust;
};

static const struct ks_p11_object *key_for(const struct ks_p11_token *token, struct ks_bytes spki)
{
	const struct ks_p11_object *at = NULL, *public_key = NULL;

	while ((at = ks_p11_by_spki(token, spki, at))) {
		if (at->class == CKO_PRIVATE_KEY)
			return at;
		if (at->class == CKO_PUBLIC_KEY)
			public_key = at;
	}
	return public_key;
}

/* ---- putting ---- */

static void tell_trust(struct applying *applying, const struct ks_change *change)
{
	struct ks_trust trust = change->naming.set_trust ? change->naming.trust : change->item->trust;

	if (applying->told_trust || !(trust.trusted | trust.distrusted))
		return;
	applying->told_trust = true;
	ks_notice(applying->token->ctx, KS_ELOSSY, applying->token->uri,
		  "programs that use the token decide themselves what they trust",
		  "token %s holds certificates, but not whether they are trusted", applying->token->shown);
}

static bool certificate_kept(const struct ks_p11_token *token, const struct ks_p11_object *object, struct ks_bytes der,
			     struct ks_bytes label, struct ks_bytes id)
{
	bool own_id = (token->quirks & KS_P11_OWN_IDS) && !key_for(token, object->spki);

	return ks_bytes_equal(object->value, der) && (own_id || ks_bytes_equal(object->id, id)) &&
	       (label.size == 0 || ks_bytes_equal(object->label, label));
}

/* CKA_SERIAL_NUMBER is the whole INTEGER, Java and NSS look for it. */
static int serial_put(struct ks_buffer *out, const struct ks_certificate_facts *facts)
{
	return ks_der_put(out, KS_DER_INTEGER, facts->serial);
}

/* What the user wants, else what its key is called, else what it was called, else its subject's common name (kept in *common). */
static struct ks_bytes label_for(char **common, const struct ks_p11_token *token, const struct ks_change *change,
				 const struct ks_certificate_facts *facts)
{
	const struct ks_p11_object *key = key_for(token, facts->spki);

	if (change->naming.label.size)
		return change->naming.label;
	if (!change->naming.label.data && key && key->label.size)
		return key->label;
	if (!change->naming.label.data && change->item->label.size)
		return change->item->label;
	*common = ks_name_common(facts->subject);
	return *common ? ks_bytes_of(*common) : KS_NONE;
}

static int certificate_put(struct step *step, struct applying *applying)
{
	static CK_OBJECT_CLASS class = CKO_CERTIFICATE;
	static CK_CERTIFICATE_TYPE type = CKC_X_509;
	struct ks_p11_token *token = applying->token;
	const struct ks_change *change = step->change;
	const struct ks_item *item = change->item;
	const struct ks_p11_object *object = NULL;
	struct ks_certificate_facts facts;
	ks_auto(buffer) serial = ks_buffer_new(1024);
	ks_auto_mem char *common = NULL, *other = NULL;
	struct ks_bytes label, wanted, id;
	unsigned char room[20];
	int rc;

	if (ks_certificate_facts(&facts, item->der) < 0)
		return ks_fail(token->ctx, KS_EDAMAGED,
			       "a certificate that is to be put into token %s cannot be decoded", token->shown);
	id = ks_p11_choose_id(token, facts.spki, change->naming.id, item->id, room);
	rc = ks_p11_certificate_welcome(token, &facts);
	if (rc < 0)
		return rc;
	wanted = label_for(&common, token, change, &facts);
	label = ks_p11_nickname_free(&other, token, wanted, &facts, item->der);
	if (other && !(step->label = strndup((const char *)wanted.data, wanted.size)))
		return ks_nomem(token->ctx);
	if (!serial || serial_put(serial, &facts) < 0)
		return ks_nomem(token->ctx);
	tell_trust(applying, change);
	rc = ks_p11_put(&object, token, applying->session,
			(CK_ATTRIBUTE[]){
				{ CKA_CLASS, &class, sizeof(class) },
				{ CKA_CERTIFICATE_TYPE, &type, sizeof(type) },
				{ CKA_TOKEN, &yes, sizeof(yes) },
				{ CKA_PRIVATE, &no, sizeof(no) },
				{ CKA_LABEL, (void *)label.data, label.size },
				{ CKA_ID, (void *)id.data, id.size },
				{ CKA_SUBJECT, (void *)facts.subject.data, facts.subject.size },
				{ CKA_ISSUER, (void *)facts.issuer.data, facts.issuer.size },
				{ CKA_SERIAL_NUMBER, serial->data, serial->size },
				{ CKA_VALUE, (void *)item->der.data, item->der.size },
			},
			10, id);
	if (rc < 0)
		return rc;
	/* `id` and `label` may point into the snapshot, which the new object has not moved: objects own their bytes apart. */
	step->made[0] = object->handle;
	if (certificate_kept(token, object, item->der, label, id))
		return 0;
	rc = ks_p11_failed(token->ctx, &token->on, KS_CKR_VALUE);
	return ks_p11_put_back(token, applying->session, step->made[0], rc, "the object");
}

static int public_put(CK_OBJECT_HANDLE *made, struct applying *applying, const struct ks_change *change)
{
	const struct ks_item *item = change->item;
	struct ks_bytes label = change->naming.label.data ? change->naming.label : item->label;
	unsigned char room[20];
	struct ks_bytes id = ks_p11_choose_id(applying->token, item->der, change->naming.id, item->id, room);

	return ks_p11_put_public(made, applying->token, applying->session, item->der, label, id);
}

/* The replaced certificate as it was, after the new one could not be put. */
static bool certificate_restore(struct applying *applying, const struct ks_change *change)
{
	struct ks_change back = { .what = KS_ADD, .item = change->have, .naming = { .label = change->have->label, .id = change->have->id } };
	struct step step = { .change = &back };
	bool restored = certificate_put(&step, applying) == 0;

	free(step.label);
	return restored;
}

/* Where an id has one certificate, the old one goes first. It is put back when that was in vain. */
static int certificate_replace(struct step *step, struct applying *applying)
{
	const struct ks_change *change = step->change;
	struct ks_p11_token *token = applying->token;
	struct ks_p11_ref ref;
	int rc;

	if (!(token->quirks & KS_P11_CERTIFICATE_PER_ID) || change->what != KS_REPLACE || !ks_p11_ref_of(&ref, change->have) ||
	    ref.class != CKO_CERTIFICATE)
		return certificate_put(step, applying);
	rc = ks_p11_failed(token->ctx, &token->on, ks_p11_destroy(&token->on, applying->session, ref.handle));
	if (rc < 0)
		return rc;
	ks_p11_snapshot_drop(token, ref.handle);
	step->cleared = true;
	return certificate_put(step, applying);
}

static int item_put(struct step *step, struct applying *applying)
{
	struct ks_item *item = step->change->item;

	switch (item->kind) {
	case KS_CERTIFICATE:
		return certificate_replace(step, applying);
	case KS_PUBLIC_KEY:
		return public_put(&step->made[0], applying, step->change);
	case KS_OPAQUE:
		return ks_p11_put_data(&step->made[0], applying->token, applying->session, item,
				       step->change->naming.label.data ? step->change->naming.label : item->label);
	default:
		return ks_p11_import(step->made, applying->token, applying->session, item, &step->change->naming);
	}
}

/* ---- renaming ---- */

static bool in_plan(const struct ks_plan *plan, CK_OBJECT_HANDLE handle)
{
	struct ks_p11_ref ref;

	for (size_t i = 0; i < plan->count; i++) {
		if (plan->changes[i].have && plan->changes[i].what != KS_KEEP &&
		    ks_p11_ref_of(&ref, plan->changes[i].have) && ref.handle == handle)
			return true;
	}
	return false;
}

static bool made_here(const struct applying *applying, CK_OBJECT_HANDLE handle)
{
	for (size_t i = 0; i < applying->step_count; i++) {
		if (applying->steps[i].made[0] == handle || applying->steps[i].made[1] == handle)
			return true;
	}
	return false;
}

/*
 * The public key object that came with a private key, unless the plan speaks of it by itself; 0 = none. A key that
 * replaces itself has two of them for a while, and the new one stays.
 */
static CK_OBJECT_HANDLE twin_of(const struct applying *applying, const struct ks_item *have)
{
	const struct ks_p11_object *at = NULL;

	if (have->kind != KS_PRIVATE_KEY)
		return CK_INVALID_HANDLE;
	while ((at = ks_p11_by_id(applying->token, have->id, at))) {
		if (at->class == CKO_PUBLIC_KEY && ks_bytes_equal(at->spki, have->spki) &&
		    !in_plan(applying->plan, at->handle) && !made_here(applying, at->handle))
			return at->handle;
	}
	return CK_INVALID_HANDLE;
}

/* Is the name what was just set? */
static CK_RV name_kept(const struct applying *applying, CK_OBJECT_HANDLE handle, const CK_ATTRIBUTE *wanted)
{
	ks_auto_mem unsigned char *room = malloc(wanted->ulValueLen + 1);
	CK_ATTRIBUTE have = { wanted->type, room, wanted->ulValueLen + 1 };
	CK_RV rv = room ? ks_p11_attributes(&applying->token->on, applying->session, handle, &have, 1) : CKR_HOST_MEMORY;

	if (rv == CKR_BUFFER_TOO_SMALL)
		return KS_CKR_VALUE; /* longer than what was set */
	if (rv != CKR_OK)
		return rv;
	if (have.ulValueLen == CK_UNAVAILABLE_INFORMATION)
		have.ulValueLen = 0;
	return have.ulValueLen == wanted->ulValueLen && memcmp(room, wanted->pValue, have.ulValueLen) == 0 ? CKR_OK
													   : KS_CKR_VALUE;
}

static int names_set(const struct applying *applying, CK_OBJECT_HANDLE handle, bool public_half, struct ks_bytes label,
		     struct ks_bytes id)
{
	struct ks_p11_token *token = applying->token;
	CK_ATTRIBUTE attributes[2];
	CK_ULONG count = 0;
	CK_RV rv;

	if (handle == CK_INVALID_HANDLE)
		return 0;
	if (label.data)
		attributes[count++] = (CK_ATTRIBUTE){ CKA_LABEL, (void *)label.data, label.size };
	if (id.data)
		attributes[count++] = (CK_ATTRIBUTE){ CKA_ID, (void *)id.data, id.size };
	if (count == 0)
		return 0;
	rv = ks_p11_set_attributes(&token->on, applying->session, handle, attributes, count);
	if (rv == CKR_ARGUMENTS_BAD && public_half && (token->quirks & KS_P11_PUBLIC_FOLLOWS))
		return ks_p11_snapshot_rename(token, handle, label, id);
	for (CK_ULONG i = 0; rv == CKR_OK && i < count && !(token->quirks & KS_P11_LATE_NAMES); i++)
		rv = name_kept(applying, handle, &attributes[i]);
	if (rv != CKR_OK)
		return ks_p11_failed(token->ctx, &token->on, rv);
	return ks_p11_snapshot_rename(token, handle, label, id);
}

static int item_rename(struct applying *applying, const struct step *step, bool back)
{
	const struct ks_change *change = step->change;
	struct ks_bytes label = change->naming.label, id = change->naming.id;
	struct ks_p11_ref ref;
	int rc;

	if (!ks_p11_ref_of(&ref, change->have))
		return ks_fail(applying->token->ctx, KS_EBUG, "the plan was made for another store");
	if (back) {
		label = label.data ? KS_BYTES(change->have->label.data ? (const void *)change->have->label.data : "",
					      change->have->label.size)
				   : KS_NONE;
		id = id.data ? KS_BYTES(change->have->id.data ? (const void *)change->have->id.data : "",
					change->have->id.size)
			     : KS_NONE;
	}
	rc = names_set(applying, ref.handle, ref.class == CKO_PUBLIC_KEY, label, id);
	return rc < 0 ? rc : names_set(applying, step->twin, true, label, id);
}

/* ---- removing ---- */

static int handle_remove(struct applying *applying, CK_OBJECT_HANDLE handle)
{
	CK_RV rv =
		handle == CK_INVALID_HANDLE ? CKR_OK : ks_p11_destroy(&applying->token->on, applying->session, handle);

	/* Some cards take the certificate away together with its key. */
	if (rv != CKR_OK && rv != CKR_OBJECT_HANDLE_INVALID)
		return ks_p11_failed(applying->token->ctx, &applying->token->on, rv);
	if (handle != CK_INVALID_HANDLE)
		ks_p11_snapshot_drop(applying->token, handle);
	return 0;
}

static int item_remove(struct applying *applying, const struct ks_change *change)
{
	CK_OBJECT_HANDLE twin = twin_of(applying, change->have);
	struct ks_p11_ref ref;
	int rc;

	if (!ks_p11_ref_of(&ref, change->have))
		return ks_fail(applying->token->ctx, KS_EBUG, "the plan was made for another store");
	rc = handle_remove(applying, ref.handle);
	return rc < 0 ? rc : handle_remove(applying, twin);
}

/* ---- the whole ---- */

static int check_plan(const struct applying *applying)
{
	struct ks_ctx *ctx = applying->token->ctx;

	if (applying->plan->password)
		return ks_hint(ctx,
			       ks_fail(ctx, KS_EUNABLE, "token %s has a PIN, not a password", applying->token->shown),
			       "keystow token pin '%s' changes it", applying->token->uri);
	for (size_t i = 0; i < applying->plan->count; i++) {
		const struct ks_item *have = applying->plan->changes[i].have;
		struct ks_item *item = applying->plan->changes[i].item;
		ks_auto_mem char *named = NULL;
		struct ks_p11_ref ref;

		/* By now the handle may be that of another object. */
		if (have && ks_p11_ref_of(&ref, have) && ref.life != ref.token->life)
			return ks_hint(
				ctx,
				ks_fail(ctx, KS_ECHANGED,
					"token %s lost its sessions after it was looked at, so nothing was changed",
					applying->token->shown),
				"do it again");
		if (item && item->kind == KS_PRIVATE_KEY && applying->plan->changes[i].what != KS_RENAME &&
		    (applying->token->quirks & KS_P11_NO_IMPORT))
			return ks_hint(ctx,
				       ks_fail(ctx, KS_EUNABLE, "token %s takes no private key that was made elsewhere",
					       applying->token->shown),
				       "keystow generate makes one inside of it");
		if (!item || item->kind == KS_CERTIFICATE || item->kind == KS_PUBLIC_KEY ||
		    item->kind == KS_PRIVATE_KEY || item->flags & KS_PLAIN_DATA)
			continue;
		named = ks_item_named(item);
		return ks_fail(ctx, KS_EUNABLE, "token %s does not take %s", applying->token->shown,
			       named ? named : "this");
	}
	return 0;
}

/* Both halves are tried, whatever becomes of the first. */
static bool step_undo(struct applying *applying, const struct step *step)
{
	bool second = ks_p11_put_undo(applying->token, applying->session, step->made[1]);

	second &= ks_p11_put_undo(applying->token, applying->session, step->made[0]);
	return step->cleared ? certificate_restore(applying, step->change) && second : second;
}

/* Takes back what was done, newest first; says what could not be. */
static int undo(struct applying *applying, int rc)
{
	bool clean = true;

	while (applying->step_count) {
		struct step *step = &applying->steps[--applying->step_count];
		char text[1024], causes[1024];
		bool undone;

		snprintf(text, sizeof(text), "%s", ks_ctx_text(applying->token->ctx));
		snprintf(causes, sizeof(causes), "%s", ks_ctx_causes(applying->token->ctx));
		if (step->change->what == KS_RENAME)
			undone = item_rename(applying, step, true) == 0;
		else
			undone = step_undo(applying, step);
		ks_fail(applying->token->ctx, rc, "%s", text);
		if (causes[0])
			ks_cause(applying->token->ctx, rc, "%s", causes);
		step->change->done = !undone;
		clean &= undone;
	}
	if (!clean)
		return ks_hint(applying->token->ctx, rc,
			       "a part of the changes could not be taken back: keystow list '%s' shows what is there",
			       applying->token->uri);
	return rc;
}

/* What makes and what renames; everything here can be undone. */
static int put_all(struct applying *applying)
{
	for (size_t i = 0; i < applying->plan->count; i++) {
		struct ks_change *change = &applying->plan->changes[i];
		struct step *step = &applying->steps[applying->step_count];
		int rc = 0;

		*step = (struct step){ .change = change };
		if (change->what == KS_ADD || change->what == KS_REPLACE)
			rc = item_put(step, applying);
		else if (change->what == KS_RENAME) {
			step->twin = twin_of(applying, change->have);
			rc = item_rename(applying, step, false);
		} else
			continue;
		if (rc < 0 && (change->what == KS_RENAME || step->cleared))
			applying->step_count++; /* a half may have its new name already, or the old certificate is to come back */
		if (rc < 0)
			return undo(applying, rc);
		applying->step_count++;
		change->done = change->what != KS_REPLACE || step->cleared;
	}
	return 0;
}

/* A certificate that could not have its label while another was called so. What is left of that one keeps the label. */
static void labels_settle(struct applying *applying)
{
	struct ks_p11_token *token = applying->token;

	for (size_t i = 0; i < applying->step_count; i++) {
		const struct step *step = &applying->steps[i];
		ks_auto_mem char *shown = NULL;

		if (!step->label || names_set(applying, step->made[0], false, ks_bytes_of(step->label), KS_NONE) == 0)
			continue;
		ks_forgive(token->ctx);
		shown = ks_text_show(ks_bytes_of(step->label));
		ks_notice(token->ctx, KS_ELOSSY, token->uri, "keystow list shows the label it has",
			  "the label \"%s\" belongs to another subject on token %s, so the certificate has another one",
			  shown ? shown : "", token->shown);
	}
}

static void steps_end(struct applying *applying, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(applying->steps[i].label);
}

static int remove_all(struct applying *applying)
{
	for (size_t i = 0; i < applying->plan->count; i++) {
		struct ks_change *change = &applying->plan->changes[i];
		int rc;

		/* What was cleared has its handle no more; the certificate that came may have it now. */
		if ((change->what != KS_REMOVE && change->what != KS_REPLACE) || change->done)
			continue;
		rc = item_remove(applying, change);
		if (rc < 0)
			return ks_hint(applying->token->ctx, rc,
				       "what was to be removed first is removed: keystow list '%s' shows the rest",
				       applying->token->uri);
		change->done = true;
	}
	return 0;
}

int ks_p11_apply(struct ks_p11_token *token, CK_SESSION_HANDLE session, struct ks_plan *plan)
{
	struct applying applying = { .token = token, .session = session, .plan = plan };
	ks_auto_mem struct step *steps = ks_array(plan->count + 1, sizeof(*steps));
	int rc;

	if (!steps)
		return ks_nomem(token->ctx);
	applying.steps = steps;
	rc = check_plan(&applying);
	if (rc == 0)
		rc = put_all(&applying);
	if (rc == 0)
		rc = remove_all(&applying);
	if (rc == 0)
		labels_settle(&applying);
	steps_end(&applying, plan->count);
	return rc;
}
