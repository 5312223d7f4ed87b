/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key pairs made by the token, with every attribute that matters said aloud.
 *
 * The template says no to what a signing key is not for, because tokens differ in what they assume (SoftHSM allows DECRYPT, UNWRAP
 * and DERIVE unless told otherwise); a token that refuses such words is asked again with fewer. The id is in the template: setting
 * it afterwards would leave a window in which a kill makes a pair that nothing can pair, and costs two more writes.
 */
#include "keygen.h"
#include "capable.h"
#include "keyuse.h"
#include "mldsa.h"
#include "pair.h"
#include "put.h"
#include "quirks.h"

#include "text.h"

#include <openssl/rand.h>

#include <string.h>

#define ID_SIZE 20

static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;

/* How much the template says. */
enum rung { EXPLICIT, PROTECTED, MINIMAL, RUNGS };

struct template
{
	CK_ATTRIBUTE at[24];
	CK_ULONG count;
};

struct making {
	struct ks_p11_token *token;
	CK_SESSION_HANDLE session;
	const struct ks_generate *wish;
	struct ks_keyspec spec;
	unsigned char id_bytes[ID_SIZE];
	struct ks_bytes id;
	CK_OBJECT_HANDLE public_key, private_key;
	size_t before; /* objects of the snapshot that are not ours */
};

static void say(struct template *template, CK_ATTRIBUTE_TYPE type, const void *value, size_t size)
{
	template->at[template->count++] = (CK_ATTRIBUTE){ type, (void *)value, size };
}

static void say_bool(struct template *template, CK_ATTRIBUTE_TYPE type, bool value)
{
	say(template, type, value ? &yes : &no, sizeof(CK_BBOOL));
}

int ks_p11_curve(struct ks_bytes *out, const struct ks_keyspec *spec, bool other_spelling)
{
#define DER(text) KS_BYTES(text, sizeof(text) - 1)
	if (spec->type == KS_KEY_ED25519)
		*out = other_spelling ? DER("\x06\x03\x2b\x65\x70")
				      : DER("\x13\x0c"
					    "edwards25519");
	else if (spec->type == KS_KEY_EC && spec->bits == 256)
		*out = DER("\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07");
	else if (spec->type == KS_KEY_EC && spec->bits == 384)
		*out = DER("\x06\x05\x2b\x81\x04\x00\x22");
	else if (spec->type == KS_KEY_EC && spec->bits == 521)
		*out = DER("\x06\x05\x2b\x81\x04\x00\x23");
	else
		return KS_EALGORITHM;
	return 0;
#undef DER
}

static void say_names(struct template *template, const struct making *making)
{
	say(template, CKA_ID, making->id.data, making->id.size);
	if (making->wish->label.data)
		say(template, CKA_LABEL, making->wish->label.data, making->wish->label.size);
}

/* What the key is for is said on every rung; what it is not for, only where everything is said. */
static void say_uses(struct template *template, const struct making *making, enum rung rung, bool private_half)
{
	unsigned uses = ks_p11_uses_of(making->wish);

	for (const struct ks_p11_use *row = ks_p11_uses; row->use; row++) {
		CK_ATTRIBUTE_TYPE type = private_half ? row->private_half : row->public_half;

		if (type && (uses & row->use || rung == EXPLICIT))
			say_bool(template, type, uses & row->use);
	}
}

static void say_public(struct template *template, const struct making *making, enum rung rung)
{
	say_bool(template, CKA_TOKEN, true);
	say_uses(template, making, rung, false);
	say_names(template, making);
	if (rung == MINIMAL)
		return;
	say_bool(template, CKA_PRIVATE, false);
	if (rung == EXPLICIT)
		say_bool(template, CKA_VERIFY_RECOVER, false);
}

static void say_private(struct template *template, const struct making *making, enum rung rung)
{
	say_bool(template, CKA_TOKEN, true);
	say_bool(template, CKA_PRIVATE, true);
	say_uses(template, making, rung, true);
	say_names(template, making);
	if (rung == MINIMAL)
		return;
	say_bool(template, CKA_SENSITIVE, true);
	say_bool(template, CKA_EXTRACTABLE, making->wish->allow_extractable);
	if (making->wish->always_authenticate)
		say_bool(template, CKA_ALWAYS_AUTHENTICATE, true);
	if (making->wish->wrap_with_trusted)
		say_bool(template, CKA_WRAP_WITH_TRUSTED, true);
	if (rung == EXPLICIT)
		say_bool(template, CKA_SIGN_RECOVER, false);
}

/* Answers that fewer attributes may help against. */
static bool too_much_said(CK_RV rv)
{
	return rv == CKR_TEMPLATE_INCONSISTENT || rv == CKR_ATTRIBUTE_TYPE_INVALID ||
	       rv == CKR_ATTRIBUTE_VALUE_INVALID || rv == CKR_ATTRIBUTE_READ_ONLY;
}

static CK_RV make_rung(struct making *making, enum rung rung, bool other_spelling)
{
	static const unsigned char exponent[] = { 1, 0, 1 };
	struct template public_half = { .count = 0 }, private_half = { .count = 0 };
	CK_ULONG bits = making->spec.bits;
	CK_MECHANISM mechanism = { CKM_EC_KEY_PAIR_GEN, NULL, 0 };
	const struct ks_p11_ml_dsa *set = ks_p11_ml_dsa_of(making->spec.type);
	struct ks_bytes curve = KS_NONE;

	say_public(&public_half, making, rung);
	say_private(&private_half, making, rung);
	if (making->spec.type == KS_KEY_RSA) {
		mechanism.mechanism = CKM_RSA_PKCS_KEY_PAIR_GEN;
		say(&public_half, CKA_MODULUS_BITS, &bits, sizeof(bits));
		say(&public_half, CKA_PUBLIC_EXPONENT, exponent, sizeof(exponent));
	} else if (set) {
		mechanism.mechanism = CKM_ML_DSA_KEY_PAIR_GEN;
		say(&public_half, CKA_PARAMETER_SET, &set->set, sizeof(set->set));
	} else {
		if (making->spec.type == KS_KEY_ED25519)
			mechanism.mechanism = CKM_EC_EDWARDS_KEY_PAIR_GEN;
		if (ks_p11_curve(&curve, &making->spec, other_spelling) < 0)
			return CKR_CURVE_NOT_SUPPORTED;
		say(&public_half, CKA_EC_PARAMS, curve.data, curve.size);
	}
	return ks_p11_make_pair(&making->token->on, making->session, &mechanism, public_half.at, public_half.count,
				private_half.at, private_half.count, &making->public_key, &making->private_key);
}

static CK_RV make(struct making *making)
{
	CK_RV rv = CKR_OK;
	enum rung first = making->token->quirks & KS_P11_SHORT_TEMPLATE ? PROTECTED : EXPLICIT;

	for (enum rung rung = first; rung < RUNGS; rung++) {
		rv = make_rung(making, rung, false);
		/* Ed25519 is named by a string in PKCS#11 v3.0 and SoftHSM, by its OID elsewhere. */
		if (making->spec.type == KS_KEY_ED25519 &&
		    (rv == CKR_DOMAIN_PARAMS_INVALID || rv == CKR_CURVE_NOT_SUPPORTED ||
		     rv == CKR_ATTRIBUTE_VALUE_INVALID))
			rv = make_rung(making, rung, true);
		if (!too_much_said(rv))
			return rv;
	}
	return rv;
}

/* ---- what must not stay ---- */

/* Removes a half by the handle that the token gave for it, which a lying token may have taken from another object. */
static bool half_remove(const struct making *making, CK_OBJECT_HANDLE handle)
{
	CK_RV rv;

	if (ks_p11_snapshot_has(making->token, handle, making->before))
		return true;
	rv = handle == CK_INVALID_HANDLE ? CKR_OK : ks_p11_destroy(&making->token->on, making->session, handle);
	if (rv == CKR_OK && handle != CK_INVALID_HANDLE)
		ks_p11_snapshot_drop(making->token, handle);
	return rv == CKR_OK || rv == CKR_OBJECT_HANDLE_INVALID;
}

/* False when something may be left. */
static bool sweep(const struct making *making)
{
	bool halves = half_remove(making, making->private_key);

	halves = half_remove(making, making->public_key) && halves;
	return ks_p11_strays_remove(making->token, making->session, making->id, making->before) && halves;
}

/* Ends a failure: nothing stays, or the sentence says what may be left and how to remove it. */
static int unmake(const struct making *making, int rc)
{
	ks_auto_mem char *uri = ks_p11_uri(making->token, making->id, KS_NONE, NULL);

	if (sweep(making))
		return rc;
	return ks_hint(
		making->token->ctx, rc,
		"a half-made pair may have stayed; when the token answers again, this removes it: keystow remove '%s'",
		uri ? uri : making->token->uri);
}

/* ---- looking at what was made ---- */

static int check_halves(const struct making *making, const struct ks_p11_object *public_key,
			const struct ks_p11_object *private_key)
{
	struct ks_p11_token *token = making->token;

	if (public_key->class != CKO_PUBLIC_KEY || private_key->class != CKO_PRIVATE_KEY || !public_key->spki.size ||
	    !ks_bytes_equal(public_key->spki, private_key->spki))
		return ks_fail(token->ctx, KS_ELIES,
			       "token %s says that it made a key pair, but gives no matching halves", token->shown);
	if (public_key->key.type != making->spec.type ||
	    (making->spec.type != KS_KEY_ED25519 && public_key->key.bits != making->spec.bits))
		return ks_fail(token->ctx, KS_ELIES, "token %s made another kind of key than it was asked for",
			       token->shown);
	if (token->quirks & KS_P11_OWN_IDS && public_key->id.size && ks_bytes_equal(public_key->id, private_key->id))
		return 0;
	if (!ks_bytes_equal(public_key->id, making->id) || !ks_bytes_equal(private_key->id, making->id))
		return ks_fail(token->ctx, KS_ELIES, "token %s did not keep the id that it was given for the new key",
			       token->shown);
	return 0;
}

static int check_strength(const struct making *making, const struct ks_p11_object *private_key)
{
	struct ks_p11_token *token = making->token;
	bool late = token->quirks & KS_P11_LATE_TRUTH;

	if (!(private_key->flags & KS_SENSITIVE))
		ks_notice(token->ctx, KS_EWEAK, token->uri,
			  late ? "it tells the truth when it is opened anew: keystow show"
			       : "keystow show tells what it is",
			  "token %s does not say that the new key is sensitive", token->shown);
	if ((private_key->flags & KS_EXTRACTABLE) && !making->wish->allow_extractable && !late)
		return ks_hint(
			token->ctx,
			ks_fail(token->ctx, KS_EWEAK, "token %s made a key that can be taken out of it", token->shown),
			"it was removed again; --allow-extractable accepts such a key");
	if (making->wish->label.data && !ks_bytes_equal(private_key->label, making->wish->label))
		ks_notice(token->ctx, KS_ELOSSY, token->uri, "keystow list shows the label it has",
			  "token %s gave the new key another label", token->shown);
	return 0;
}

static int read_back(const struct making *making)
{
	const struct ks_p11_object *public_key, *private_key;
	size_t count;
	int rc = ks_p11_snapshot_add(&public_key, making->token, making->session, making->public_key);

	if (rc == 0)
		rc = ks_p11_snapshot_add(&private_key, making->token, making->session, making->private_key);
	if (rc < 0)
		return rc;
	count = ks_p11_snapshot_count(making->token);
	public_key = ks_p11_snapshot_at(making->token, count - 2);
	rc = check_halves(making, public_key, private_key);
	/* A PIN only to prove something is not asked for. */
	if (rc == 0 && !private_key->always_authenticate && !making->wish->signs_next)
		rc = ks_p11_pair_prove(making->token, making->session, private_key->handle, public_key->spki);
	if (rc == 0)
		rc = check_strength(making, private_key);
	return rc < 0 ? rc : ks_p11_uses_check(making->token, making->session, making->private_key, making->wish);
}

static int give(const struct making *making, struct ks_set *into)
{
	size_t count = ks_p11_snapshot_count(making->token);
	int rc = ks_p11_item_add(NULL, into, making->token, ks_p11_snapshot_at(making->token, count - 1));

	return rc < 0 ? rc : ks_p11_item_add(NULL, into, making->token, ks_p11_snapshot_at(making->token, count - 2));
}

/* ---- the whole ---- */

/* The wish's own id, else a random one that nothing on the token has. */
static int choose_id(struct making *making)
{
	struct ks_p11_token *token = making->token;

	making->id = making->wish->id;
	if (making->id.data && !ks_p11_by_id(token, making->id, NULL))
		return 0;
	if (making->id.data)
		return ks_hint(
			token->ctx,
			ks_fail(token->ctx, KS_EEXISTS, "token %s has an object with this id already", token->shown),
			"leave the id out and a free one is chosen");
	do {
		if (RAND_bytes(making->id_bytes, ID_SIZE) != 1)
			return ks_fail_openssl(token->ctx, KS_EBUG, "no random numbers");
		making->id = KS_BYTES(making->id_bytes, ID_SIZE);
	} while (ks_p11_by_id(token, making->id, NULL));
	return 0;
}

/* The kind of key that is made for the wish, when keystow makes such keys in tokens at all. */
static int settle_kind(struct ks_keyspec *spec, struct ks_ctx *ctx, const struct ks_generate *wish)
{
	struct ks_bytes curve;
	char title[32];

	*spec = wish->spec;
	if (spec->type == KS_KEY_RSA && spec->bits == 0)
		spec->bits = 2048;
	if (spec->type == KS_KEY_RSA && spec->bits >= 2048 && spec->bits <= 4096 && spec->bits % 8 == 0)
		return 0;
	if (spec->type != KS_KEY_RSA && ks_p11_curve(&curve, spec, false) == 0)
		return 0;
	if (ks_p11_ml_dsa_of(spec->type))
		return ks_keyspec_known(ctx, spec);
	ks_keyspec_title(title, spec);
	return ks_hint(ctx, ks_fail(ctx, KS_EUNABLE, "keystow does not make %s keys in tokens", title),
		       "RSA 2048 to 4096, EC P-256, P-384, P-521, Ed25519 and ML-DSA are made");
}

static int check_wish(struct ks_keyspec *spec, struct ks_p11_token *token, const struct ks_generate *wish)
{
	int rc = settle_kind(spec, token->ctx, wish);

	if (rc == 0)
		rc = ks_p11_uses_possible(token->ctx, spec, ks_p11_uses_of(wish));
	return rc < 0 ? rc : ks_p11_capable_make(token, spec);
}

int ks_p11_makes(struct ks_p11_token *token, const struct ks_generate *wish)
{
	struct ks_keyspec spec;

	return check_wish(&spec, token, wish);
}

int ks_p11_generate(struct ks_p11_token *token, CK_SESSION_HANDLE session, struct ks_set *into,
		    const struct ks_generate *wish)
{
	struct making making = { .token = token, .session = session, .wish = wish };
	char title[32];
	CK_RV rv;
	int rc = check_wish(&making.spec, token, wish);

	if (rc == 0)
		rc = choose_id(&making);
	if (rc < 0)
		return rc;
	making.before = ks_p11_snapshot_count(token);
	ks_keyspec_title(title, &making.spec);
	rc = ks_progress(token->ctx, "making a key pair in the token", 0, 0);
	if (rc < 0)
		return rc;
	rv = make(&making);
	if (rv != CKR_OK) {
		rc = ks_while(token->ctx, ks_p11_failed(token->ctx, &token->on, rv), "making an %s key", title);
		if (rv == CKR_MECHANISM_INVALID && (token->quirks & KS_P11_HIDES_MECHANISMS))
			rc = ks_hint(token->ctx, rc,
				     "p11-kit passes on only mechanisms that it knows; use the token's own module "
				     "where it is");
		return unmake(&making, rc);
	}
	rc = read_back(&making);
	if (rc < 0)
		return unmake(&making, ks_while(token->ctx, rc, "looking at the new %s key", title));
	return give(&making, into);
}
