/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thin wrapper for each Cryptoki call: told before and after, answers checked.
 */
#include "call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int ks_p11_failed(struct ks_ctx *ctx, const struct ks_p11_on *on, CK_RV rv)
{
	char sentence[512], next[1024];
	const char *name = ks_p11_code_name(rv);
	int status;

	if (rv == CKR_OK)
		return 0;
	status = ks_p11_sentence(sentence, sizeof(sentence), on, rv);
	ks_fail(ctx, status, "%s", sentence);
	ks_p11_next(next, sizeof(next), on, rv);
	if (next[0])
		ks_hint_general(ctx, status, "%s", next);
	if (name)
		return ks_cause(ctx, status, "%s: %s", ks_p11_last_call(), name);
	return ks_cause(ctx, status, "%s: code 0x%lx", ks_p11_last_call(), rv);
}

/* ---- module, slots, tokens ---- */

CK_RV ks_p11_get_list(const struct ks_p11_on *on, CK_C_GetFunctionList get, CK_FUNCTION_LIST **list)
{
	struct ks_p11_mark mark;
	CK_FUNCTION_LIST *got = NULL;
	CK_RV rv = ks_p11_call_enter(&mark, on, KS_P11_C_GetFunctionList, KS_P11_ARRAY(&got));

	if (rv == CKR_OK)
		rv = get(&got);
	ks_p11_call_leave(&mark, on, rv);
	if (rv == CKR_OK && !got)
		return KS_CKR_FUNCTION;
	if (rv == CKR_OK && got->version.major != 2 && got->version.major != 3)
		return KS_CKR_VERSION;
	*list = got;
	return rv;
}

CK_RV ks_p11_initialize(const struct ks_p11_on *on, const char *arguments)
{
	CK_C_INITIALIZE_ARGS args = { .flags = CKF_OS_LOCKING_OK, .pReserved = (void *)arguments };

	return KS_P11_CALL(on, C_Initialize, arguments ? &args : NULL);
}

CK_RV ks_p11_finalize(const struct ks_p11_on *on)
{
	return KS_P11_CALL(on, C_Finalize, NULL);
}

CK_RV ks_p11_info(const struct ks_p11_on *on, CK_INFO *info)
{
	memset(info, 0, sizeof(*info));
	return KS_P11_CALL(on, C_GetInfo, info);
}

CK_RV ks_p11_slots(const struct ks_p11_on *on, CK_SLOT_ID **out, size_t *count)
{
	for (int turn = 0; turn < 5; turn++) {
		ks_auto_mem CK_SLOT_ID *slots = NULL;
		CK_ULONG told = 0, room;
		CK_RV rv = KS_P11_CALL(on, C_GetSlotList, CK_TRUE, NULL, &told);

		if (rv != CKR_OK)
			return rv;
		if (told > KS_P11_SLOTS)
			return KS_CKR_COUNT;
		room = told + 8;
		slots = ks_array(room, sizeof(*slots));
		if (!slots)
			return CKR_HOST_MEMORY;
		told = room;
		rv = KS_P11_CALL(on, C_GetSlotList, CK_TRUE, slots, &told);
		if (rv == CKR_BUFFER_TOO_SMALL)
			continue;
		if (rv == CKR_OK && told > room)
			return KS_CKR_COUNT;
		if (rv != CKR_OK)
			return rv;
		*out = ks_take(slots);
		*count = told;
		return CKR_OK;
	}
	return KS_CKR_ENDLESS;
}

CK_RV ks_p11_token_info(const struct ks_p11_on *on, CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
	memset(info, 0, sizeof(*info));
	return KS_P11_CALL(on, C_GetTokenInfo, slot, info);
}

CK_RV ks_p11_mechanisms(const struct ks_p11_on *on, CK_SLOT_ID slot, CK_MECHANISM_TYPE **out, size_t *count)
{
	ks_auto_mem CK_MECHANISM_TYPE *list = NULL;
	CK_ULONG told = 0, room;
	CK_RV rv = KS_P11_CALL(on, C_GetMechanismList, slot, NULL, &told);

	if (rv != CKR_OK)
		return rv;
	if (told > KS_P11_MECHANISMS)
		return KS_CKR_COUNT;
	room = told + 1;
	list = ks_array(room, sizeof(*list));
	if (!list)
		return CKR_HOST_MEMORY;
	told = room;
	rv = KS_P11_CALL(on, C_GetMechanismList, slot, list, &told);
	if (rv != CKR_OK)
		return rv;
	if (told > room)
		return KS_CKR_COUNT;
	*out = ks_take(list);
	*count = told;
	return CKR_OK;
}

CK_RV ks_p11_mechanism_info(const struct ks_p11_on *on, CK_SLOT_ID slot, CK_MECHANISM_TYPE type,
			    CK_MECHANISM_INFO *info)
{
	CK_MECHANISM_INFO got = { 0 };
	CK_RV rv = KS_P11_CALL(on, C_GetMechanismInfo, slot, type, &got);

	if (rv == CKR_OK)
		*info = got;
	return rv;
}

CK_RV ks_p11_init_token(const struct ks_p11_on *on, CK_SLOT_ID slot, const char *pin, size_t pin_size,
			const unsigned char label[32])
{
	return KS_P11_CALL(on, C_InitToken, slot, (CK_UTF8CHAR *)pin, pin_size, (CK_UTF8CHAR *)label);
}

/* ---- sessions and PINs ---- */

CK_RV ks_p11_open_session(const struct ks_p11_on *on, CK_SLOT_ID slot, CK_FLAGS flags, CK_SESSION_HANDLE *session)
{
	CK_SESSION_HANDLE got = CK_INVALID_HANDLE;
	CK_RV rv = KS_P11_CALL(on, C_OpenSession, slot,
			flags | CKF_SERIAL_SESSION, NULL, NULL, &got);

	if (rv == CKR_OK && got == CK_INVALID_HANDLE)
		return KS_CKR_HANDLE;
	if (rv == CKR_OK)
		*session = got;
	return rv;
}

CK_RV ks_p11_close_session(const struct ks_p11_on *on, CK_SESSION_HANDLE session)
{
	return KS_P11_CALL(on, C_CloseSession, session);
}

CK_RV ks_p11_session_info(const struct ks_p11_on *on, CK_SESSION_HANDLE session, CK_SESSION_INFO *info)
{
	memset(info, 0, sizeof(*info));
	return KS_P11_CALL(on, C_GetSessionInfo, session, info);
}

CK_RV ks_p11_login(const struct ks_p11_on *on, CK_SESSION_HANDLE session, CK_USER_TYPE user, const char *pin,
		   size_t pin_size)
{
	return KS_P11_CALL(on, C_Login, session, user, (CK_UTF8CHAR *)pin, pin_size);
}

CK_RV ks_p11_logout(const struct ks_p11_on *on, CK_SESSION_HANDLE session)
{
	return KS_P11_CALL(on, C_Logout, session);
}

CK_RV ks_p11_init_pin(const struct ks_p11_on *on, CK_SESSION_HANDLE session, const char *pin, size_t pin_size)
{
	return KS_P11_CALL(on, C_InitPIN, session, (CK_UTF8CHAR *)pin, pin_size);
}

CK_RV ks_p11_set_pin(const struct ks_p11_on *on, CK_SESSION_HANDLE session, const char *old_pin, size_t old_size,
		     const char *new_pin, size_t new_size)
{
	return KS_P11_CALL(on, C_SetPIN, session, (CK_UTF8CHAR *)old_pin, old_size, (CK_UTF8CHAR *)new_pin,
		    new_size);
}

/* ---- objects ---- */

static int handle_order(const void *one, const void *other)
{
	CK_OBJECT_HANDLE a = *(const CK_OBJECT_HANDLE *)one, b = *(const CK_OBJECT_HANDLE *)other;

	return a < b ? -1 : a > b;
}

/* Mostly handles come in rising order, and then there is nothing to do. */
static bool rising(const CK_OBJECT_HANDLE *found, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		if (found[i - 1] >= found[i])
			return false;
	}
	return true;
}

/* Each object once, and none that cannot be (0, PKCS#11 2.40 3.4). A list in no order is sorted, which no order forbids. */
static CK_RV handles_believe(CK_OBJECT_HANDLE *found, size_t *count)
{
	size_t kept = 0;

	if (!rising(found, *count)) {
		qsort(found, *count, sizeof(*found), handle_order);
		for (size_t i = 0; i < *count; i++) {
			if (kept == 0 || found[kept - 1] != found[i])
				found[kept++] = found[i];
		}
		*count = kept;
	}
	return *count && found[0] == CK_INVALID_HANDLE ? KS_CKR_HANDLE : CKR_OK;
}

static CK_RV find_all(const struct ks_p11_on *on, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE **found, size_t *total)
{
	enum { PAGE = 512 };
	size_t capacity = 0;

	for (;;) {
		CK_ULONG got = 0;
		CK_RV rv;

		if (*total > KS_P11_OBJECTS)
			return KS_CKR_ENDLESS;
		if (ks_array_grow(found, &capacity, *total + PAGE, sizeof(**found)) < 0)
			return CKR_HOST_MEMORY;
		rv = KS_P11_CALL(on, C_FindObjects, session, *found + *total, PAGE, &got);
		if (rv != CKR_OK)
			return rv;
		if (got > PAGE)
			return KS_CKR_COUNT;
		if (got == 0)
			return CKR_OK;
		*total += got;
	}
}

CK_RV ks_p11_find(const struct ks_p11_on *on, CK_SESSION_HANDLE session, CK_ATTRIBUTE *wanted, CK_ULONG wanted_count,
		  CK_OBJECT_HANDLE **out, size_t *count)
{
	ks_auto_mem CK_OBJECT_HANDLE *found = NULL;
	size_t total = 0;
	const char *failed;
	CK_RV rv = KS_P11_CALL(on, C_FindObjectsInit, session, wanted, wanted_count), final;

	if (rv != CKR_OK)
		return rv;
	rv = find_all(on, session, &found, &total);
	failed = ks_p11_last_call();
	final = KS_P11_CALL(on, C_FindObjectsFinal, session);
	if (rv != CKR_OK)
		ks_p11_note_call(failed);
	if (rv == CKR_OK)
		rv = final;
	if (rv == CKR_OK)
		rv = handles_believe(found, &total);
	if (rv != CKR_OK)
		return rv;
	*out = ks_take(found);
	*count = total;
	return CKR_OK;
}

/* Answers of C_GetAttributeValue that leave the other attributes of the batch good (PKCS#11 v2.40 5.7). */
static bool partial(CK_RV rv)
{
	return rv == CKR_ATTRIBUTE_TYPE_INVALID || rv == CKR_ATTRIBUTE_SENSITIVE || rv == CKR_BUFFER_TOO_SMALL;
}

CK_RV ks_p11_attributes(const struct ks_p11_on *on, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
			CK_ATTRIBUTE *attributes, CK_ULONG count)
{
	enum { MOST = 32 };
	CK_ULONG rooms[MOST];
	bool small = false;
	CK_RV rv;

	if (count > MOST)
		return CKR_ARGUMENTS_BAD;
	for (CK_ULONG i = 0; i < count; i++)
		rooms[i] = attributes[i].ulValueLen;
	rv = KS_P11_CALL(on, C_GetAttributeValue, session, object, attributes, count);
	if (rv != CKR_OK && !partial(rv))
		return rv;
	for (CK_ULONG i = 0; i < count; i++) {
		small = small || attributes[i].ulValueLen > rooms[i];
		if (attributes[i].ulValueLen == CK_UNAVAILABLE_INFORMATION)
			continue;
		if (attributes[i].ulValueLen > rooms[i] && rv == CKR_BUFFER_TOO_SMALL)
			attributes[i].ulValueLen = CK_UNAVAILABLE_INFORMATION;
		else if (attributes[i].ulValueLen > rooms[i])
			return KS_CKR_LENGTH;
	}
	if (rv == CKR_BUFFER_TOO_SMALL)
		return small ? rv : KS_CKR_LENGTH; /* it names none that was too small */
	return CKR_OK;
}

CK_RV ks_p11_value(const struct ks_p11_on *on, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
		   CK_ATTRIBUTE_TYPE type, struct ks_buffer **out)
{
	ks_auto(buffer) buffer = NULL;
	CK_ATTRIBUTE attribute = { type, NULL, 0 };
	CK_ULONG room;
	CK_RV rv = KS_P11_CALL(on, C_GetAttributeValue, session, object, &attribute, 1);

	if (rv != CKR_OK && !partial(rv))
		return rv;
	if (rv != CKR_OK || attribute.ulValueLen == CK_UNAVAILABLE_INFORMATION) {
		*out = NULL;
		return CKR_OK;
	}
	if (attribute.ulValueLen > KS_P11_VALUE)
		return KS_CKR_LENGTH;
	room = attribute.ulValueLen;
	buffer = ks_buffer_new(room + 1);
	if (!buffer || !(attribute.pValue = ks_buffer_room(buffer, room)))
		return CKR_HOST_MEMORY;
	rv = KS_P11_CALL(on, C_GetAttributeValue, session, object, &attribute, 1);
	if (rv != CKR_OK)
		return rv;
	if (attribute.ulValueLen > room)
		return KS_CKR_LENGTH;
	buffer->size += attribute.ulValueLen;
	*out = ks_take(buffer);
	return CKR_OK;
}

CK_RV ks_p11_set_attributes(const struct ks_p11_on *on, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
			    CK_ATTRIBUTE *attributes, CK_ULONG count)
{
	return KS_P11_CALL(on, C_SetAttributeValue, session, object, attributes, count);
}

CK_RV ks_p11_create(const struct ks_p11_on *on, CK_SESSION_HANDLE session, CK_ATTRIBUTE *attributes, CK_ULONG count,
		    CK_OBJECT_HANDLE *object)
{
	CK_OBJECT_HANDLE got = CK_INVALID_HANDLE;
	CK_RV rv = KS_P11_CALL(on, C_CreateObject, session, attributes, count, &got);

	if (rv == CKR_OK && got == CK_INVALID_HANDLE)
		return KS_CKR_HANDLE;
	if (rv == CKR_OK)
		*object = got;
	return rv;
}

CK_RV ks_p11_destroy(const struct ks_p11_on *on, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)
{
	CK_OBJECT_CLASS class = CK_UNAVAILABLE_INFORMATION;
	CK_ATTRIBUTE still = { CKA_CLASS, &class, sizeof(class) };
	CK_RV rv = KS_P11_CALL(on, C_DestroyObject, session, object);

	if (rv != CKR_OK || KS_P11_CALL(on, C_GetAttributeValue, session, object, &still, 1) != CKR_OK)
		return rv;
	return still.ulValueLen == sizeof(class) && class != CK_UNAVAILABLE_INFORMATION ? KS_CKR_KEPT : CKR_OK;
}

CK_RV ks_p11_make_pair(const struct ks_p11_on *on, CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
		       CK_ATTRIBUTE *public_half, CK_ULONG public_count, CK_ATTRIBUTE *private_half,
		       CK_ULONG private_count, CK_OBJECT_HANDLE *public_key, CK_OBJECT_HANDLE *private_key)
{
	CK_OBJECT_HANDLE made_public = CK_INVALID_HANDLE, made_private = CK_INVALID_HANDLE;
	CK_RV rv = KS_P11_CALL(on, C_GenerateKeyPair, session, mechanism,
			public_half, public_count, private_half, private_count, &made_public, &made_private);

	if (rv == CKR_OK &&
	    (made_public == CK_INVALID_HANDLE || made_private == CK_INVALID_HANDLE || made_public == made_private))
		return KS_CKR_HANDLE;
	if (rv == CKR_OK) {
		*public_key = made_public;
		*private_key = made_private;
	}
	return rv;
}

/* ---- using keys ---- */

/* *size is the room that the module was told of; it has to stay within it. */
static CK_RV believe_length(size_t *size, CK_RV rv, CK_ULONG length)
{
	if (rv == CKR_OK && length > *size)
		return KS_CKR_LENGTH;
	if (rv == CKR_OK)
		*size = length;
	return rv;
}

CK_RV ks_p11_sign_init(const struct ks_p11_on *on, CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
		       CK_OBJECT_HANDLE key)
{
	return KS_P11_CALL(on, C_SignInit, session, mechanism, key);
}

CK_RV ks_p11_sign(const struct ks_p11_on *on, CK_SESSION_HANDLE session, struct ks_bytes text, unsigned char *out,
		  size_t *size)
{
	CK_ULONG length = *size;
	CK_RV rv = KS_P11_CALL(on, C_Sign, session, (CK_BYTE *)text.data, text.size, out, &length);

	return believe_length(size, rv, length);
}

CK_RV ks_p11_decrypt_init(const struct ks_p11_on *on, CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
			  CK_OBJECT_HANDLE key)
{
	return KS_P11_CALL(on, C_DecryptInit, session, mechanism, key);
}

CK_RV ks_p11_decrypt(const struct ks_p11_on *on, CK_SESSION_HANDLE session, struct ks_bytes text, unsigned char *out,
		     size_t *size)
{
	CK_ULONG length = *size;
	CK_RV rv = KS_P11_CALL(on, C_Decrypt, session, (CK_BYTE *)text.data, text.size, out, &length);

	return believe_length(size, rv, length);
}
