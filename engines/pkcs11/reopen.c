/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding back to a token and a key. Whatever is said here is said on the key's own thread, so it goes into words of our own and from
 * there into OpenSSL's queue.
 */
#include "reopen.h"

#include "login.h"
#include "object.h"

/* Puts what was said into OpenSSL's queue. */
static bool raised(int rc, const struct ks_words *words)
{
	if (rc < 0)
		ks_raise(rc, words->text);
	return rc < 0;
}

static int find_back(struct ks_p11_key *key, CK_SESSION_HANDLE session)
{
	struct ks_p11_token *token = key->token;
	CK_OBJECT_HANDLE handle = CK_INVALID_HANDLE;
	unsigned life = token->life;
	int rc = ks_p11_login_again(token, session);

	if (rc == 0)
		rc = ks_p11_key_find(&handle, token, session, key->id, key->spki);
	if (rc < 0)
		return rc;
	key->handle = handle;
	key->life = life;
	return 0;
}

bool ks_p11_key_ready(CK_OBJECT_HANDLE *handle, struct ks_p11_key *key, CK_SESSION_HANDLE session)
{
	struct ks_words words = { 0 }, *before;
	int rc = 0;

	if (key->life != key->token->life) {
		pthread_mutex_lock(&key->token->person);
		before = ks_speak_into(&words);
		if (key->life != key->token->life)
			rc = find_back(key, session);
		ks_speak_into(before);
		pthread_mutex_unlock(&key->token->person);
	}
	*handle = key->handle;
	return !raised(rc, &words);
}

/* Where the device is now; the same slot first. */
static bool token_there(struct ks_p11_token *token)
{
	ks_auto_mem CK_SLOT_ID *slots = NULL;
	CK_TOKEN_INFO info;
	size_t count = 0;

	if (ks_p11_token_info(&token->on, token->slot, &info) == CKR_OK && ks_p11_token_is(token, &info))
		return true;
	if (ks_p11_slots(&token->on, &slots, &count) != CKR_OK)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (ks_p11_token_info(&token->on, slots[i], &info) == CKR_OK && ks_p11_token_is(token, &info)) {
			token->slot = slots[i];
			return true;
		}
	}
	return false;
}

bool ks_p11_key_again(struct ks_p11_key *key, CK_RV rv, unsigned life)
{
	struct ks_p11_token *token = key->token;

	switch (rv) {
	case CKR_KEY_HANDLE_INVALID:
	case CKR_OBJECT_HANDLE_INVALID:
		key->life = 0;
		return true;
	case CKR_OPERATION_ACTIVE: /* somebody's operation was left behind in the session, which is closed by now */
		return true;
	case CKR_USER_NOT_LOGGED_IN:
		if (!token->entered || key->always_authenticate)
			return false;
		ks_p11_life_over(token, life);
		return true;
	case CKR_SESSION_HANDLE_INVALID:
	case CKR_SESSION_CLOSED:
	case CKR_DEVICE_REMOVED:
	case CKR_TOKEN_NOT_PRESENT:
	case CKR_SLOT_ID_INVALID:
		return token_there(token);
	default:
		return false;
	}
}

bool ks_p11_key_confirm(struct ks_p11_key *key, CK_SESSION_HANDLE session)
{
	struct ks_words words = { 0 }, *before = ks_speak_into(&words);
	int rc = ks_p11_login_context(key->token, session);

	ks_speak_into(before);
	return !raised(rc, &words);
}
