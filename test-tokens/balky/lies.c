/* SPDX-License-Identifier: Apache-2.0 */
/* What balky says instead of the truth: lengths, searches, signatures, attributes, PIN counters. */
#include "falsehoods.h"
#include "lies.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A false length or count; the bytes behind it are what the module wrote. */
static void bend(const struct call *call, CK_ULONG *length)
{
	const struct row *row = call_row(call, A_LENGTH);

	if (row)
		*length = row->number;
	row = call_row(call, A_GROW);
	if (row)
		*length += row->number * call->nth;
}

CK_RV told_C_GetSlotList(const struct call *call, CK_BYTE token_present, CK_SLOT_ID *slot_list, CK_ULONG *count)
{
	const struct row *made_up = call_row(call, A_MADE_UP);
	CK_RV rv = made_up ? numbers_make_up(made_up, slot_list, count)
			   : real->C_GetSlotList(token_present, slot_list, count);

	if (rv == CKR_OK && slot_list)
		first_replace(call, slot_list, *count);
	bend(call, count);
	return rv;
}

CK_RV told_C_GetMechanismList(const struct call *call, CK_SLOT_ID slot_id, CK_MECHANISM_TYPE *mechanism_list,
			      CK_ULONG *count)
{
	const struct row *made_up = call_row(call, A_MADE_UP);
	CK_RV rv = made_up ? numbers_make_up(made_up, mechanism_list, count)
			   : real->C_GetMechanismList(slot_id, mechanism_list, count);

	bend(call, count);
	return rv;
}

/* ---- PINs: wrong tries are kept in a file beside the log, as a token keeps them in its flash --------------------- */

static const char *tries_path(void)
{
	static char path[4096];

	snprintf(path, sizeof path, "%s.tries", getenv("BALKY_LOG") ? getenv("BALKY_LOG") : "balky");
	return path;
}

static unsigned long tries_used(void)
{
	unsigned long used = 0;
	FILE *file = fopen(tries_path(), "re");

	if (file && fscanf(file, "%lu", &used) != 1)
		used = 0;
	if (file)
		fclose(file);
	return used;
}

static void tries_use(unsigned long used)
{
	FILE *file = fopen(tries_path(), "we");

	if (!file || fprintf(file, "%lu\n", used) < 0 || fclose(file)) {
		fprintf(stderr, "balky: cannot count the tries in %s\n", tries_path());
		abort();
	}
}

static CK_FLAGS tries_flags(void)
{
	const struct row *row = schedule_any(A_TRIES);
	unsigned long used = row ? tries_used() : 0;

	if (used == 0)
		return 0;
	if (used >= row->number)
		return CKF_USER_PIN_LOCKED;
	return CKF_USER_PIN_COUNT_LOW | (used == row->number - 1 ? CKF_USER_PIN_FINAL_TRY : 0);
}

/* A PIN goes to the real module, or does not, when all tries are used. */
static bool tries_gone(void)
{
	const struct row *row = schedule_any(A_TRIES);

	return row && tries_used() >= row->number;
}

static CK_RV tries_count(CK_RV rv)
{
	if (schedule_any(A_TRIES) && (rv == CKR_PIN_INCORRECT || rv == CKR_OK))
		tries_use(rv == CKR_OK ? 0 : tries_used() + 1);
	return rv;
}

CK_RV told_C_GetTokenInfo(const struct call *call, CK_SLOT_ID slot_id, CK_TOKEN_INFO *info)
{
	const struct row *flags = call_row(call, A_FLAGS), *clear = call_row(call, A_CLEAR);
	CK_RV rv = real->C_GetTokenInfo(slot_id, info);

	if (rv != CKR_OK)
		return rv;
	fields_tell(call, info);
	if (flags)
		info->flags |= flags->number;
	if (clear)
		info->flags &= ~clear->number;
	if (schedule_any(A_PIN_PAD))
		info->flags |= CKF_PROTECTED_AUTHENTICATION_PATH;
	info->flags |= tries_flags();
	if (schedule_any(A_SILENT))
		info->flags &= ~(CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_LOCKED |
				 CKF_SO_PIN_COUNT_LOW | CKF_SO_PIN_FINAL_TRY | CKF_SO_PIN_LOCKED);
	return rv;
}

/* ---- keys that want a PIN for each signature -------------------------------------------------------------------- */

/*
 * The session whose context-specific login came between the start of an operation and its end. One for the whole token, as on a
 * card: what is started or confirmed elsewhere in between takes the permission away.
 */
static _Atomic CK_SESSION_HANDLE confirmed;

static CK_RV context_login(CK_SESSION_HANDLE session, const CK_BYTE *pin, CK_ULONG pin_len)
{
	const struct row *row = schedule_any(A_ALWAYS), *pad = schedule_any(A_PIN_PAD);
	bool right;

	if (!row)
		return real->C_Login(session, CKU_CONTEXT_SPECIFIC, (CK_BYTE *)pin, pin_len);
	right = pin ? pin_len == strlen(row->value) && !memcmp(pin, row->value, pin_len) : pad != NULL;
	confirmed = right ? session : CK_INVALID_HANDLE;
	return right ? CKR_OK : CKR_PIN_INCORRECT;
}

/* May the operation go on? It may once. */
static bool use_confirmed(CK_SESSION_HANDLE session, bool ends)
{
	if (!schedule_any(A_ALWAYS))
		return true;
	if (confirmed != session)
		return false;
	if (ends)
		confirmed = CK_INVALID_HANDLE;
	return true;
}

CK_RV told_C_Login(const struct call *call, CK_SESSION_HANDLE session, CK_USER_TYPE user_type, CK_BYTE *pin,
		   CK_ULONG pin_len)
{
	const struct row *pad = schedule_any(A_PIN_PAD);

	call_pin(call, pin, pin_len);
	if (tries_gone())
		return CKR_PIN_LOCKED;
	if (user_type == CKU_CONTEXT_SPECIFIC)
		return tries_count(context_login(session, pin, pin_len));
	if (pad && !pin)
		return real->C_Login(session, user_type, (CK_BYTE *)pad->value, strlen(pad->value));
	return tries_count(real->C_Login(session, user_type, pin, pin_len));
}

CK_RV told_C_SetPIN(const struct call *call, CK_SESSION_HANDLE session, CK_BYTE *old_pin, CK_ULONG old_len,
		    CK_BYTE *new_pin, CK_ULONG new_len)
{
	call_pin(call, old_pin, old_len);
	return tries_gone() ? CKR_PIN_LOCKED : tries_count(real->C_SetPIN(session, old_pin, old_len, new_pin, new_len));
}

CK_RV told_C_SignInit(const struct call *call, CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
	(void)call;
	confirmed = CK_INVALID_HANDLE;
	return real->C_SignInit(session, mechanism, key);
}

CK_RV told_C_Sign(const struct call *call, CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG data_len,
		  CK_BYTE *signature, CK_ULONG *signature_len)
{
	CK_RV rv;

	if (!use_confirmed(session, signature != NULL))
		return CKR_USER_NOT_LOGGED_IN;
	rv = call_row(call, A_OTHER) && signature
		     ? sign_other(session, data, data_len, signature, signature_len)
		     : real->C_Sign(session, data, data_len, signature, signature_len);
	if (rv == CKR_OK && signature && (call_row(call, A_GARBAGE) || call_row(call, A_ZERO)))
		memset(signature, call_row(call, A_ZERO) ? 0 : 0x5a, *signature_len);
	if (rv == CKR_OK && signature && call_row(call, A_DER))
		signature_wrap(signature, signature_len);
	bend(call, signature_len);
	return rv;
}

CK_RV told_C_Decrypt(const struct call *call, CK_SESSION_HANDLE session, CK_BYTE *encrypted_data,
		     CK_ULONG encrypted_data_len, CK_BYTE *data, CK_ULONG *data_len)
{
	CK_RV rv;

	if (!use_confirmed(session, data != NULL))
		return CKR_USER_NOT_LOGGED_IN;
	rv = real->C_Decrypt(session, encrypted_data, encrypted_data_len, data, data_len);
	bend(call, data_len);
	return rv;
}

/* ---- objects ---------------------------------------------------------------------------------------------------- */

CK_RV told_C_GetAttributeValue(const struct call *call, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
			       CK_ATTRIBUTE *templ, CK_ULONG count)
{
	const struct row *drop = call_row(call, A_DROP);
	CK_RV rv = attributes_give(call, session, object, templ, count);

	for (CK_ULONG i = 0; i < count; i++) {
		bend(call, &templ[i].ulValueLen);
		if (templ[i].type == CKA_ALWAYS_AUTHENTICATE && schedule_any(A_ALWAYS) && templ[i].pValue &&
		    templ[i].ulValueLen == 1)
			*(CK_BYTE *)templ[i].pValue = CK_TRUE;
		if (drop && templ[i].type == drop->number) {
			templ[i].ulValueLen = CK_UNAVAILABLE_INFORMATION;
			rv = CKR_ATTRIBUTE_TYPE_INVALID;
		}
	}
	return rv;
}

CK_RV told_C_FindObjectsInit(const struct call *call, CK_SESSION_HANDLE session, CK_ATTRIBUTE *templ, CK_ULONG count)
{
	bool wide = call_row(call, A_WIDE);

	return real->C_FindObjectsInit(session, wide ? NULL : templ, wide ? 0 : count);
}

CK_RV told_C_FindObjects(const struct call *call, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *object,
			 CK_ULONG max_object_count, CK_ULONG *object_count)
{
	static CK_OBJECT_HANDLE first = 1;
	const struct row *over = call_row(call, A_OVER);
	CK_RV rv = real->C_FindObjects(session, object, max_object_count, object_count);

	if (rv == CKR_OK && *object_count > 0)
		first = object[0];
	if (rv == CKR_OK && call_row(call, A_ENDLESS)) {
		for (CK_ULONG i = *object_count; i < max_object_count; i++)
			object[i] = first;
		*object_count = max_object_count;
	}
	if (rv == CKR_OK)
		search_twist(call, object, max_object_count, object_count);
	if (over)
		*object_count = max_object_count + over->number;
	bend(call, object_count);
	return rv;
}

CK_RV told_C_GenerateKeyPair(const struct call *call, CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
			     CK_ATTRIBUTE *public_key_template, CK_ULONG public_key_attribute_count,
			     CK_ATTRIBUTE *private_key_template, CK_ULONG private_key_attribute_count,
			     CK_OBJECT_HANDLE *public_key, CK_OBJECT_HANDLE *private_key)
{
	const struct row *half = call_row(call, A_HALF);
	CK_RV rv = real->C_GenerateKeyPair(session, mechanism, public_key_template, public_key_attribute_count,
					   private_key_template, private_key_attribute_count, public_key, private_key);

	if (rv == CKR_OK && call_row(call, A_OTHER))
		return pair_mix(session, mechanism, public_key_template, public_key_attribute_count,
				private_key_template, private_key_attribute_count, public_key);
	if (rv != CKR_OK || !half)
		return rv;
	rv = real->C_DestroyObject(session, strcmp(half->value, "public") ? *public_key : *private_key);
	return rv == CKR_OK ? CKR_GENERAL_ERROR : rv;
}
