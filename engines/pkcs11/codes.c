/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a module's answer means: one row for each code, with its status and the end of a sentence that starts with the token.
 */
#include "calls.h"

#include <stdio.h>
#include <string.h>

struct code_row {
	CK_RV rv;
	const char *name;
	int status;
	const char *words;
};

#define ROW(code, status, words)                                                                                       \
	{                                                                                                              \
		code, #code, status, words                                                                             \
	}
static const struct code_row codes[] = {
	ROW(CKR_PIN_INCORRECT, KS_EPIN, "says that the PIN is wrong"),
	ROW(CKR_PIN_INVALID, KS_EPIN, "does not accept such a PIN"),
	ROW(CKR_PIN_LEN_RANGE, KS_EPIN, "does not accept a PIN of this length"),
	ROW(CKR_PIN_EXPIRED, KS_EPIN, "says that the PIN has expired"),
	ROW(CKR_PIN_TOO_WEAK, KS_EPIN, "says that the new PIN is too weak"),
	ROW(CKR_PIN_LOCKED, KS_ELOCKED, "has its PIN locked"),
	ROW(CKR_USER_PIN_NOT_INITIALIZED, KS_ETOKEN, "has no user PIN yet"),
	ROW(CKR_USER_NOT_LOGGED_IN, KS_ETOKEN, "wants a login for this"),
	ROW(CKR_USER_ALREADY_LOGGED_IN, KS_ETOKEN,
	    "says that somebody else in this process is logged in, so the PIN was not checked"),
	ROW(CKR_USER_ANOTHER_ALREADY_LOGGED_IN, KS_ETOKEN, "has another user logged in"),
	ROW(CKR_USER_TYPE_INVALID, KS_EUNABLE, "does not know this kind of user"),
	ROW(CKR_USER_TOO_MANY_TYPES, KS_ETOKEN, "has too many users logged in"),
	ROW(CKR_DEVICE_REMOVED, KS_EGONE, "was removed"),
	ROW(CKR_TOKEN_NOT_PRESENT, KS_EGONE, "is not there any more"),
	ROW(CKR_SLOT_ID_INVALID, KS_EGONE, "is not in its slot any more"),
	ROW(CKR_SESSION_HANDLE_INVALID, KS_EGONE, "ended the session, as it does when it was removed or reset"),
	ROW(CKR_SESSION_CLOSED, KS_EGONE, "closed the session"),
	ROW(CKR_CRYPTOKI_NOT_INITIALIZED, KS_EGONE, "lost its module, which something else in this process ended"),
	ROW(CKR_OBJECT_HANDLE_INVALID, KS_ECHANGED, "does not have the object any more"),
	ROW(CKR_KEY_HANDLE_INVALID, KS_ECHANGED, "does not have the key any more"),
	ROW(CKR_TOKEN_NOT_RECOGNIZED, KS_ETOKEN, "is not recognised by its module; it may be damaged"),
	ROW(CKR_TOKEN_WRITE_PROTECTED, KS_EUNABLE, "is write-protected"),
	ROW(CKR_SESSION_READ_ONLY, KS_EUNABLE, "may only be read in this session"),
	ROW(CKR_SESSION_READ_ONLY_EXISTS, KS_EBUSY, "is in use by a reading session"),
	ROW(CKR_SESSION_READ_WRITE_SO_EXISTS, KS_EBUSY, "is in use by its security officer"),
	ROW(CKR_SESSION_COUNT, KS_EBUSY, "has no session left"),
	ROW(CKR_SESSION_EXISTS, KS_EBUSY, "is in use by another session"),
	ROW(CKR_SESSION_PARALLEL_NOT_SUPPORTED, KS_ETOKEN, "wants another kind of session"),
	ROW(CKR_OPERATION_ACTIVE, KS_EBUSY, "is busy with another operation"),
	ROW(CKR_OPERATION_NOT_INITIALIZED, KS_ETOKEN, "forgot the operation that was started"),
	ROW(CKR_DEVICE_MEMORY, KS_EFULL, "has no room left"),
	ROW(CKR_DEVICE_ERROR, KS_ETOKEN, "reports an error of the device"),
	ROW(CKR_GENERAL_ERROR, KS_ETOKEN, "reports a general error"),
	ROW(CKR_FUNCTION_FAILED, KS_ETOKEN, "could not do it and does not say why"),
	ROW(CKR_HOST_MEMORY, KS_ENOMEM, "says that there is not enough memory"),
	ROW(CKR_FUNCTION_NOT_SUPPORTED, KS_EUNABLE, "cannot do that"),
	ROW(CKR_FUNCTION_REJECTED, KS_ECANCELLED, "says that its user refused"),
	ROW(CKR_FUNCTION_CANCELED, KS_ECANCELLED, "says that its user stopped it"),
	ROW(CKR_CANCEL, KS_ECANCELLED, "says that it was stopped"),
	ROW(CKR_ACTION_PROHIBITED, KS_EUNABLE, "forbids this for this object"),
	ROW(CKR_MECHANISM_INVALID, KS_EUNABLE, "does not know this mechanism"),
	ROW(CKR_MECHANISM_PARAM_INVALID, KS_EUNABLE, "does not accept these parameters"),
	ROW(CKR_CURVE_NOT_SUPPORTED, KS_EUNABLE, "does not know this curve"),
	ROW(CKR_DOMAIN_PARAMS_INVALID, KS_EUNABLE, "does not accept this curve"),
	ROW(CKR_KEY_SIZE_RANGE, KS_EUNABLE, "does not make or use keys of this size"),
	ROW(CKR_KEY_TYPE_INCONSISTENT, KS_EUNABLE, "cannot use this kind of key for it"),
	ROW(CKR_KEY_FUNCTION_NOT_PERMITTED, KS_EUNABLE, "does not allow this use of the key"),
	ROW(CKR_KEY_UNEXTRACTABLE, KS_EUNABLE, "never gives this key away"),
	ROW(CKR_ATTRIBUTE_READ_ONLY, KS_EUNABLE, "does not let this be changed"),
	ROW(CKR_ATTRIBUTE_SENSITIVE, KS_EUNABLE, "keeps this to itself"),
	ROW(CKR_ATTRIBUTE_TYPE_INVALID, KS_EUNABLE, "does not know one of the attributes"),
	ROW(CKR_ATTRIBUTE_VALUE_INVALID, KS_EUNABLE, "does not accept one of the values; it may be in use already"),
	ROW(CKR_TEMPLATE_INCOMPLETE, KS_ETOKEN, "wants more attributes"),
	ROW(CKR_TEMPLATE_INCONSISTENT, KS_EUNABLE, "does not accept these attributes together"),
	ROW(CKR_DATA_INVALID, KS_ETOKEN, "does not accept the data"),
	ROW(CKR_DATA_LEN_RANGE, KS_ETOKEN, "does not accept data of this length"),
	ROW(CKR_ENCRYPTED_DATA_INVALID, KS_EDAMAGED, "cannot decrypt this"),
	ROW(CKR_ENCRYPTED_DATA_LEN_RANGE, KS_EDAMAGED, "cannot decrypt data of this length"),
	ROW(CKR_BUFFER_TOO_SMALL, KS_ELIES, "keeps asking for more room"),
	ROW(CKR_ARGUMENTS_BAD, KS_ETOKEN, "does not accept the arguments"),
	ROW(CKR_CANT_LOCK, KS_EMODULE, "cannot work in a program with threads"),
	ROW(CKR_NEED_TO_CREATE_THREADS, KS_EMODULE, "wants to start threads of its own"),
	ROW(CKR_CRYPTOKI_ALREADY_INITIALIZED, KS_EMODULE, "is in use already by something else in this process"),
	ROW(CKR_RANDOM_NO_RNG, KS_EUNABLE, "has no random numbers"),
	ROW(CKR_PUBLIC_KEY_INVALID, KS_ETOKEN, "does not accept the public key"),
	ROW(CKR_LIBRARY_LOAD_FAILED, KS_EMODULE, "could not load a library that it needs"),
	ROW(CKR_FIPS_SELF_TEST_FAILED, KS_EMODULE, "failed its self test"),
	{ KS_CKR_LENGTH, "length out of bounds", KS_ELIES, "claims a length that does not fit" },
	{ KS_CKR_COUNT, "count out of bounds", KS_ELIES, "gives more than it was asked for" },
	{ KS_CKR_HANDLE, "handle 0", KS_ELIES, "reports success but gives no handle" },
	{ KS_CKR_FUNCTION, "function missing", KS_ELIES, "lacks a function that every module must have" },
	{ KS_CKR_ENDLESS, "list without end", KS_ELIES, "gives a list that does not end" },
	{ KS_CKR_VERSION, "version unknown", KS_ELIES, "claims a version of PKCS#11 that does not exist" },
	{ KS_CKR_FORKED, "started by the parent process", KS_EGONE,
	  "belongs to the process that opened it; its child has to call ks_after_fork first" },
	{ KS_CKR_VALUE, "other than written", KS_ELIES, "gives back something other than what was written" },
	{ KS_CKR_STOPPED, "stopped", KS_ECANCELLED, "was left alone, because the command was told to stop" },
	{ KS_CKR_SIGNATURE, "signature does not verify", KS_EPROOF,
	  "gave a signature that does not verify with the public key" },
};

static const struct code_row *code_row(CK_RV rv)
{
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		if (codes[i].rv == rv)
			return &codes[i];
	}
	return NULL;
}

const char *ks_p11_code_name(CK_RV rv)
{
	const struct code_row *row = code_row(rv);

	return rv == CKR_OK ? "CKR_OK" : row ? row->name : NULL;
}

int ks_p11_status(CK_RV rv)
{
	const struct code_row *row = code_row(rv);

	return rv == CKR_OK ? 0 : row ? row->status : KS_ETOKEN;
}

int ks_p11_sentence(char *out, size_t room, const struct ks_p11_on *on, CK_RV rv)
{
	const struct code_row *row = code_row(rv);

	snprintf(out, room, "%s %s %s", on->token ? "token" : "module", on->token ? on->token : on->module->shown,
		 row ? row->words : "gives an answer that is not in the standard");
	return ks_p11_status(rv);
}
