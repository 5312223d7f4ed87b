/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Uses and guards of a key that is made in a token.
 */
#include "keyuse.h"

#include "calls.h"

#include <string.h>

const struct ks_p11_use ks_p11_uses[] = {
	{ KS_USE_SIGN, CKA_SIGN, CKA_VERIFY, "sign" },
	{ KS_USE_DECRYPT, CKA_DECRYPT, CKA_ENCRYPT, "decrypt" },
	{ KS_USE_WRAP, CKA_UNWRAP, CKA_WRAP, "unwrap keys" },
	{ KS_USE_DERIVE, CKA_DERIVE, 0, "derive" },
	{ 0, 0, 0, NULL },
};
#define USES 4

unsigned ks_p11_uses_of(const struct ks_generate *wish)
{
	return wish->uses ? wish->uses : KS_USE_SIGN;
}

/* What a key of that kind can do at all. */
static unsigned possible_uses(const struct ks_keyspec *spec)
{
	return spec->type == KS_KEY_RSA  ? KS_USE_SIGN | KS_USE_DECRYPT | KS_USE_WRAP
	       : spec->type == KS_KEY_EC ? KS_USE_SIGN | KS_USE_DERIVE
					 : KS_USE_SIGN;
}

int ks_p11_uses_possible(struct ks_ctx *ctx, const struct ks_keyspec *spec, unsigned uses)
{
	unsigned possible = possible_uses(spec);
	char title[32];

	if (!(uses & ~possible))
		return 0;
	ks_keyspec_title(title, spec);
	for (const struct ks_p11_use *row = ks_p11_uses; row->use; row++) {
		if (row->use & uses & ~possible)
			return ks_hint(ctx, ks_fail(ctx, KS_EUNABLE, "an %s key cannot %s", title, row->word),
				       "RSA keys sign, decrypt and wrap; EC keys sign and derive; Ed25519 and ML-DSA keys sign");
	}
	return ks_fail(ctx, KS_EBUG, "a use of keys without a name");
}

/* ---- what the token made of it ---- */

struct looked {
	CK_BBOOL may[USES], guarded, trusted;
	CK_ATTRIBUTE at[USES + 2];
};

static CK_RV look(struct looked *looked, const struct ks_p11_token *token, CK_SESSION_HANDLE session,
		  CK_OBJECT_HANDLE key)
{
	CK_RV rv;

	memset(looked, 0xff, sizeof(*looked));
	for (size_t i = 0; i < USES; i++)
		looked->at[i] = (CK_ATTRIBUTE){ ks_p11_uses[i].private_half, &looked->may[i], sizeof(CK_BBOOL) };
	looked->at[USES] = (CK_ATTRIBUTE){ CKA_ALWAYS_AUTHENTICATE, &looked->guarded, sizeof(CK_BBOOL) };
	looked->at[USES + 1] = (CK_ATTRIBUTE){ CKA_WRAP_WITH_TRUSTED, &looked->trusted, sizeof(CK_BBOOL) };
	rv = ks_p11_attributes(&token->on, session, key, looked->at, USES + 2);
	return rv == CKR_BUFFER_TOO_SMALL ? CKR_OK : rv;
}

static void tell(struct ks_p11_token *token, const char *what)
{
	ks_notice(token->ctx, KS_EWEAK, token->uri,
		  "the key was made; remove it if that matters: keystow remove; some cards tell the truth only after they "
		  "were opened anew",
		  "token %s does not say that the new key %s, as it was asked to", token->shown, what);
}

static void uses_tell(struct ks_p11_token *token, const struct looked *looked, unsigned uses)
{
	char text[64];

	for (size_t i = 0; i < USES; i++) {
		if ((uses & ks_p11_uses[i].use) && looked->may[i] != CK_TRUE)
			snprintf(text, sizeof(text), "may %s", ks_p11_uses[i].word);
		else if (!(uses & ks_p11_uses[i].use) && looked->may[i] == CK_TRUE)
			snprintf(text, sizeof(text), "may not %s", ks_p11_uses[i].word);
		else
			continue;
		tell(token, text);
	}
}

int ks_p11_uses_check(struct ks_p11_token *token, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key,
		      const struct ks_generate *wish)
{
	struct looked looked;
	int rc;

	if (!wish->uses && !wish->always_authenticate && !wish->wrap_with_trusted)
		return 0;
	rc = ks_p11_failed(token->ctx, &token->on, look(&looked, token, session, key));
	if (rc < 0)
		return rc;
	if (wish->uses)
		uses_tell(token, &looked, wish->uses);
	if (wish->always_authenticate && looked.guarded != CK_TRUE)
		tell(token, "wants its PIN for each use");
	if (wish->wrap_with_trusted && looked.trusted != CK_TRUE)
		tell(token, "is wrapped by trusted keys only");
	return 0;
}

/* SoftHSM 2.6 lets a key decrypt, unwrap and derive whatever its kind, unless its maker said no: what the kind cannot do is left out. */
int ks_p11_like(struct ks_generate *out, struct ks_p11_token *token, CK_SESSION_HANDLE session,
		const struct ks_item *key)
{
	struct ks_generate wish = { .spec = key->key, .allow_extractable = key->flags & KS_EXTRACTABLE };
	struct ks_p11_ref ref;
	struct looked looked;
	int rc;

	if (!ks_p11_ref_of(&ref, key))
		return ks_fail(token->ctx, KS_EBUG, "a key that is not of token %s", token->shown);
	rc = ks_p11_failed(token->ctx, &token->on, look(&looked, token, session, ref.handle));
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < USES; i++) {
		if (looked.may[i] == CK_TRUE)
			wish.uses |= ks_p11_uses[i].use & possible_uses(&wish.spec);
	}
	wish.always_authenticate = looked.guarded == CK_TRUE;
	wish.wrap_with_trusted = looked.trusted == CK_TRUE;
	*out = wish;
	return 0;
}
