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
				rv == CKR_USER_NOT_LOGGED_IN || rv == KS_CKR_TOLD || ks_p11_status(rv) == KS_ELIES);
}

enum act { SIGN, DECRYPT, AGREE };

/* What is wanted of the key. */
struct use {
	struct ks_p11_key *key;
	enum act act;
	CK_MECHANISM *mechanism;
	struct ks_bytes text;
	unsigned char *out;
	size_t *size;
};

static CK_RV start(const struct use *use, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE handle)
{
	const struct ks_p11_on *on = &use->key->token->on;

	if (use->act == SIGN)
		return ks_p11_sign_init(on, session, use->mechanism, handle);
	if (use->act == DECRYPT)
		return ks_p11_decrypt_init(on, session, use->mechanism, handle);
	return CKR_OK;
}

/* The secret as an object of the session, that may be read, for as long as it takes to read it. */
static CK_RV agree(const struct use *use, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE handle)
{
	const struct ks_p11_on *on = &use->key->token->on;
	CK_OBJECT_CLASS class = CKO_SECRET_KEY;
	CK_KEY_TYPE type = CKK_GENERIC_SECRET;
	CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
	CK_ULONG size = *use->size;
	CK_ATTRIBUTE wanted[] = {
		{ CKA_CLASS, &class, sizeof(class) },   { CKA_KEY_TYPE, &type, sizeof(type) },
		{ CKA_TOKEN, &no, sizeof(no) },         { CKA_SENSITIVE, &no, sizeof(no) },
		{ CKA_EXTRACTABLE, &yes, sizeof(yes) }, { CKA_VALUE_LEN, &size, sizeof(size) },
	};
	CK_ATTRIBUTE value = { CKA_VALUE, use->out, *use->size };
	CK_OBJECT_HANDLE secret = CK_INVALID_HANDLE;
	CK_RV rv =
		ks_p11_derive(on, session, use->mechanism, handle, wanted, sizeof(wanted) / sizeof(wanted[0]), &secret);

	if (rv != CKR_OK)
		return rv;
	rv = ks_p11_attributes(on, session, secret, &value, 1);
	ks_p11_destroy(on, session, secret);
	if (rv == CKR_OK && value.ulValueLen != size)
		rv = value.ulValueLen == CK_UNAVAILABLE_INFORMATION ? CKR_ATTRIBUTE_SENSITIVE : KS_CKR_LENGTH;
	return rv;
}

static CK_RV finish(const struct use *use, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE handle)
{
	const struct ks_p11_on *on = &use->key->token->on;

	if (use->act == SIGN)
		return ks_p11_sign(on, session, use->text, use->out, use->size);
	if (use->act == DECRYPT)
		return ks_p11_decrypt(on, session, use->text, use->out, use->size);
	return agree(use, session, handle);
}

/*
 * A card that wants the PIN for each signature forgets it at the next command, whoever sent that: from start to end nobody else may
 * come between. A started operation cannot be called off in PKCS#11 2.40, so a refused PIN costs the session.
 */
static CK_RV confirmed(const struct use *use, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE handle)
{
	struct ks_p11_token *token = use->key->token;
	CK_RV rv;

	pthread_mutex_lock(&token->person);
	rv = start(use, session, handle);
	if (rv == CKR_OK)
		rv = ks_p11_key_confirm(use->key, session) ? finish(use, session, handle) : KS_CKR_TOLD;
	pthread_mutex_unlock(&token->person);
	return rv;
}

static CK_RV once(const struct use *use, unsigned *life)
{
	struct ks_p11_key *key = use->key;
	CK_OBJECT_HANDLE handle = CK_INVALID_HANDLE;
	CK_SESSION_HANDLE session;
	CK_RV rv = ks_p11_session_take(key->token, &session);

	if (rv != CKR_OK)
		return rv;
	*life = key->token->life;
	if (!ks_p11_key_ready(&handle, key, session))
		rv = KS_CKR_TOLD;
	else if (key->always_authenticate && use->act != AGREE)
		rv = confirmed(use, session, handle);
	else
		rv = start(use, session, handle);
	if (rv == CKR_OK && (!key->always_authenticate || use->act == AGREE))
		rv = finish(use, session, handle);
	ks_p11_session_give(key->token, session, session_lost(rv));
	return rv;
}

static CK_RV use_key(const struct use *use)
{
	size_t room = *use->size;
	unsigned life = 0;
	CK_RV rv = once(use, &life);

	if (!ks_p11_key_again(use->key, rv, life))
		return rv;
	*use->size = room;
	return once(use, &life);
}

static bool good_or_raised(const struct ks_p11_key *key, CK_RV rv)
{
	return rv == CKR_OK || (rv != KS_CKR_TOLD && ks_p11_key_raise(key, rv));
}

bool ks_p11_key_sign(struct ks_p11_key *key, CK_MECHANISM *mechanism, struct ks_bytes text, unsigned char *out,
		     size_t *size)
{
	return good_or_raised(key, use_key(&(struct use){ key, SIGN, mechanism, text, out, size }));
}

CK_RV ks_p11_key_decrypt(struct ks_p11_key *key, CK_MECHANISM *mechanism, struct ks_bytes text, unsigned char *out,
			 size_t *size)
{
	return use_key(&(struct use){ key, DECRYPT, mechanism, text, out, size });
}

bool ks_p11_key_agree(struct ks_p11_key *key, CK_MECHANISM *mechanism, unsigned char *out, size_t size)
{
	return good_or_raised(key, use_key(&(struct use){ key, AGREE, mechanism, KS_NONE, out, &size }));
}
