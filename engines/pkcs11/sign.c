/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One private-key operation: take a session, see that the key's handle holds in it, start, log in for it where the key wants that, do
 * it, give the session back; and once more when the token had lost the session, the login or the handle.
 */
#include "sign.h"

#include "reopen.h"

#include <string.h>

struct ks_p11_key *ks_p11_key_new(EVP_PKEY *public_half, struct ks_bytes id, struct ks_bytes spki)
{
	struct ks_p11_key *key = calloc(1, sizeof(*key) + id.size + spki.size);

	if (!key) {
		EVP_PKEY_free(public_half);
		return NULL;
	}
	key->owners = 1;
	key->public_half = public_half;
	if (id.size)
		memcpy(key->names, id.data, id.size);
	if (spki.size)
		memcpy(key->names + id.size, spki.data, spki.size);
	key->id = KS_BYTES(key->names, id.size);
	key->spki = KS_BYTES(key->names + id.size, spki.size);
	return key;
}

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

/* Once the session itself is in doubt, or whether an operation is still started in it, nobody gets it again. */
static bool session_lost(CK_RV rv)
{
	return rv != CKR_OK && (ks_p11_status(rv) == KS_EGONE || rv == CKR_OPERATION_ACTIVE ||
				rv == CKR_USER_NOT_LOGGED_IN || ks_p11_status(rv) == KS_ELIES);
}

enum act { SIGN, DECRYPT };

/* What is wanted of the key, and what became of it. */
struct use {
	struct ks_p11_key *key;
	enum act act;
	CK_MECHANISM *mechanism;
	struct ks_bytes text;
	unsigned char *out;
	size_t *size;
	bool told; /* a failure that is no answer of the module stands in OpenSSL's queue */
};

static CK_RV start(const struct use *use, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE handle)
{
	const struct ks_p11_on *on = &use->key->token->on;

	if (use->act == SIGN)
		return ks_p11_sign_init(on, session, use->mechanism, handle);
	return ks_p11_decrypt_init(on, session, use->mechanism, handle);
}

static CK_RV finish(const struct use *use, CK_SESSION_HANDLE session)
{
	const struct ks_p11_on *on = &use->key->token->on;

	if (use->act == SIGN)
		return ks_p11_sign(on, session, use->text, use->out, use->size);
	return ks_p11_decrypt(on, session, use->text, use->out, use->size);
}

/*
 * A card that wants the PIN for each signature forgets it at the next command, whoever sent that: from start to end nobody else may
 * come between. A started operation cannot be called off in PKCS#11 2.40, so a refused PIN costs the session.
 */
static CK_RV confirmed(struct use *use, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE handle, bool *spoilt)
{
	struct ks_p11_token *token = use->key->token;
	CK_RV rv;

	pthread_mutex_lock(&token->person);
	rv = start(use, session, handle);
	if (rv == CKR_OK) {
		use->told = !ks_p11_key_confirm(use->key, session);
		*spoilt = use->told;
	}
	if (rv == CKR_OK && !use->told)
		rv = finish(use, session);
	pthread_mutex_unlock(&token->person);
	return rv;
}

static CK_RV once(struct use *use, unsigned *life)
{
	struct ks_p11_key *key = use->key;
	CK_OBJECT_HANDLE handle = CK_INVALID_HANDLE;
	CK_SESSION_HANDLE session;
	bool spoilt = false;
	CK_RV rv = ks_p11_session_take(key->token, &session);

	if (rv != CKR_OK)
		return rv;
	*life = key->token->life;
	use->told = !ks_p11_key_ready(&rv, &handle, key, session);
	if (rv == CKR_OK && !use->told && key->always_authenticate) {
		rv = confirmed(use, session, handle, &spoilt);
	} else if (rv == CKR_OK && !use->told) {
		rv = start(use, session, handle);
		if (rv == CKR_OK)
			rv = finish(use, session);
	}
	ks_p11_session_give(key->token, session, spoilt || session_lost(rv));
	return rv;
}

static bool use_key(struct ks_p11_key *key, enum act act, CK_MECHANISM *mechanism, struct ks_bytes text,
		    unsigned char *out, size_t *size)
{
	struct use use = { key, act, mechanism, text, out, size, false };
	size_t room = *size;
	unsigned life = 0;
	CK_RV rv = once(&use, &life);

	if (!use.told && ks_p11_key_again(key, rv, life)) {
		*size = room;
		rv = once(&use, &life);
	}
	return (rv == CKR_OK && !use.told) || (!use.told && ks_p11_key_raise(key, rv));
}

bool ks_p11_key_sign(struct ks_p11_key *key, CK_MECHANISM *mechanism, struct ks_bytes text, unsigned char *out,
		     size_t *size)
{
	return use_key(key, SIGN, mechanism, text, out, size);
}

bool ks_p11_key_decrypt(struct ks_p11_key *key, CK_MECHANISM *mechanism, struct ks_bytes text, unsigned char *out,
			size_t *size)
{
	return use_key(key, DECRYPT, mechanism, text, out, size);
}
