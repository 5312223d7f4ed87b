/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One private-key operation: take a session, start, log in for it where the key wants that, do it, give the session back.
 */
#include "sign.h"

#include "login.h"

struct ks_p11_key *ks_p11_key_ref(struct ks_p11_key *key)
{
	if (key)
		atomic_fetch_add(&key->owners, 1);
	return key;
}

void ks_p11_key_free(struct ks_p11_key *key)
{
	if (!key || atomic_fetch_sub(&key->owners, 1) != 1)
		return;
	EVP_PKEY_free(key->public_half);
	if (key->token)
		ks_ctx_unuse(key->token->ctx);
	free(key);
}

bool ks_p11_key_raise(const struct ks_p11_key *key, CK_RV rv)
{
	char sentence[512];
	int status = ks_p11_sentence(sentence, sizeof(sentence), &key->token->on, rv);

	ks_raise(status, sentence);
	return false;
}

/* Once the session itself is in doubt, nobody gets it again. */
static bool session_lost(CK_RV rv)
{
	return rv != CKR_OK &&
	       (ks_p11_status(rv) == KS_EGONE || rv == CKR_OPERATION_ACTIVE || ks_p11_status(rv) == KS_ELIES);
}

enum act { SIGN, DECRYPT };

static CK_RV start(const struct ks_p11_key *key, enum act act, CK_SESSION_HANDLE session, CK_MECHANISM *mechanism)
{
	if (act == SIGN)
		return ks_p11_sign_init(&key->token->on, session, mechanism, key->handle);
	return ks_p11_decrypt_init(&key->token->on, session, mechanism, key->handle);
}

static CK_RV finish(const struct ks_p11_key *key, enum act act, CK_SESSION_HANDLE session, struct ks_bytes text,
		    unsigned char *out, size_t *size)
{
	if (act == SIGN)
		return ks_p11_sign(&key->token->on, session, text, out, size);
	return ks_p11_decrypt(&key->token->on, session, text, out, size);
}

/* A started operation cannot be called off in PKCS#11 2.40, so a refused PIN costs the session. */
static bool confirm(const struct ks_p11_key *key, CK_SESSION_HANDLE session)
{
	int rc;

	if (!key->always_authenticate)
		return true;
	rc = ks_p11_login_context(key->token, session);
	if (rc < 0)
		ks_raise(rc, ks_ctx_text(key->token->ctx));
	return rc == 0;
}

static bool use(struct ks_p11_key *key, enum act act, CK_MECHANISM *mechanism, struct ks_bytes text, unsigned char *out,
		size_t *size)
{
	CK_SESSION_HANDLE session;
	CK_RV rv = ks_p11_session_take(key->token, &session);

	if (rv != CKR_OK)
		return ks_p11_key_raise(key, rv);
	rv = start(key, act, session, mechanism);
	if (rv == CKR_OK && !confirm(key, session)) {
		ks_p11_session_give(key->token, session, true);
		return false;
	}
	if (rv == CKR_OK)
		rv = finish(key, act, session, text, out, size);
	ks_p11_session_give(key->token, session, session_lost(rv));
	return rv == CKR_OK || ks_p11_key_raise(key, rv);
}

bool ks_p11_key_sign(struct ks_p11_key *key, CK_MECHANISM *mechanism, struct ks_bytes text, unsigned char *out,
		     size_t *size)
{
	return use(key, SIGN, mechanism, text, out, size);
}

bool ks_p11_key_decrypt(struct ks_p11_key *key, CK_MECHANISM *mechanism, struct ks_bytes text, unsigned char *out,
			size_t *size)
{
	return use(key, DECRYPT, mechanism, text, out, size);
}
