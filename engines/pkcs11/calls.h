/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every call into a PKCS#11 module, and what its answer means.
 *
 * A module is not believed: handles, counts and lengths that come back are checked before anybody uses them, and an answer that
 * cannot be true becomes one of the KS_CKR codes below. Each call is told to the host's trace hook before and after, with the
 * time it may take; the program's watchdog lives on that. The wrappers touch no context but its hooks, so that keys can use them
 * on any thread.
 */
#ifndef KS_P11_CALLS_H
#define KS_P11_CALLS_H

#include "context.h"
#include "names.h"

#include <p11-kit/pkcs11.h>

#include <sys/types.h>

/* Answers that cannot be true; in the vendor range, where no standard code can ever collide with them. */
#define KS_CKR_LENGTH (CKR_VENDOR_DEFINED | 0x6b730001UL) /* a length beyond the room it was given */
#define KS_CKR_COUNT (CKR_VENDOR_DEFINED | 0x6b730002UL) /* more things than were asked for */
#define KS_CKR_HANDLE (CKR_VENDOR_DEFINED | 0x6b730003UL) /* success, with handle 0 */
#define KS_CKR_FUNCTION (CKR_VENDOR_DEFINED | 0x6b730004UL) /* the function is missing from the list */
#define KS_CKR_ENDLESS (CKR_VENDOR_DEFINED | 0x6b730005UL) /* a list that does not end or never stays the same */
#define KS_CKR_VERSION (CKR_VENDOR_DEFINED | 0x6b730006UL) /* a Cryptoki version that does not exist */
#define KS_CKR_SIGNATURE (CKR_VENDOR_DEFINED | 0x6b730007UL) /* a signature that does not verify */
#define KS_CKR_VALUE (CKR_VENDOR_DEFINED | 0x6b730008UL) /* an object that is not what was just written */
#define KS_CKR_STOPPED (CKR_VENDOR_DEFINED | 0x6b730009UL) /* not made, because the host wants to end */
#define KS_CKR_FORKED                                                                                                  \
	(CKR_VENDOR_DEFINED | 0x6b73000aUL) /* not made: the module was started by the parent of this process */

#define KS_CKR_NOTHING (CKR_VENDOR_DEFINED | 0x6b73000bUL) /* success, but nothing was given */
#define KS_CKR_KEPT (CKR_VENDOR_DEFINED | 0x6b73000cUL) /* an object that is still there after it was destroyed */

#define KS_P11_SLOTS 4096 /* slots of one module */
#define KS_P11_MECHANISMS 4096 /* mechanisms of one token */
#define KS_P11_OBJECTS 200000 /* objects on one token */
#define KS_P11_VALUE (1024 * 1024) /* bytes of one attribute */

/* The module that a call goes to. */
struct ks_p11_module {
	struct ks_ctx *ctx;
	CK_FUNCTION_LIST *functions;
	char *name; /* path, or p11-kit's name for it */
	char *shown; /* the same, safe to show */
	char *arguments; /* of C_Initialize, or NULL */
	CK_INFO info; /* all zero when the module did not tell */
	bool initialized;
	bool isolated; /* in a process of its own */
	pid_t process; /* that started it; 0 = not started yet */
};

/* Whom a call concerns, for traces and sentences. */
struct ks_p11_on {
	struct ks_p11_module *module;
	const char *token; /* label, safe to show; NULL = no particular token */
	const char *uri; /* its address; NULL likewise */
	const char *maker; /* its manufacturer; NULL likewise */
	bool pin_pad; /* logging in waits for a person */
};

/* Was the module started by the parent of this process? Then nothing may be called, and no lock of a token be taken. */
bool ks_p11_forked(const struct ks_p11_module *module);

/* ---- the calls; each gives the module's CK_RV or a KS_CKR code ---- */

CK_RV ks_p11_get_list(const struct ks_p11_on *on, CK_C_GetFunctionList get, CK_FUNCTION_LIST **list);
CK_RV ks_p11_initialize(const struct ks_p11_on *on, const char *arguments);
CK_RV ks_p11_finalize(const struct ks_p11_on *on);
CK_RV ks_p11_info(const struct ks_p11_on *on, CK_INFO *info);
/* All slots with a token in them. */
CK_RV ks_p11_slots(const struct ks_p11_on *on, CK_SLOT_ID **out, size_t *count);
CK_RV ks_p11_token_info(const struct ks_p11_on *on, CK_SLOT_ID slot, CK_TOKEN_INFO *info);
CK_RV ks_p11_mechanisms(const struct ks_p11_on *on, CK_SLOT_ID slot, CK_MECHANISM_TYPE **out, size_t *count);
/* Not filled in on failure. */
CK_RV ks_p11_mechanism_info(const struct ks_p11_on *on, CK_SLOT_ID slot, CK_MECHANISM_TYPE type,
			    CK_MECHANISM_INFO *info);
CK_RV ks_p11_init_token(const struct ks_p11_on *on, CK_SLOT_ID slot, const char *pin, size_t pin_size,
			const unsigned char label[32]);
CK_RV ks_p11_open_session(const struct ks_p11_on *on, CK_SLOT_ID slot, CK_FLAGS flags, CK_SESSION_HANDLE *session);
CK_RV ks_p11_close_session(const struct ks_p11_on *on, CK_SESSION_HANDLE session);
CK_RV ks_p11_session_info(const struct ks_p11_on *on, CK_SESSION_HANDLE session, CK_SESSION_INFO *info);
/* `pin` NULL: the token's own pad is used. */
CK_RV ks_p11_login(const struct ks_p11_on *on, CK_SESSION_HANDLE session, CK_USER_TYPE user, const char *pin,
		   size_t pin_size);
CK_RV ks_p11_logout(const struct ks_p11_on *on, CK_SESSION_HANDLE session);
CK_RV ks_p11_init_pin(const struct ks_p11_on *on, CK_SESSION_HANDLE session, const char *pin, size_t pin_size);
CK_RV ks_p11_set_pin(const struct ks_p11_on *on, CK_SESSION_HANDLE session, const char *old_pin, size_t old_size,
		     const char *new_pin, size_t new_size);
/* Handles of all objects that fit the template, each once. */
CK_RV ks_p11_find(const struct ks_p11_on *on, CK_SESSION_HANDLE session, CK_ATTRIBUTE *wanted, CK_ULONG wanted_count,
		  CK_OBJECT_HANDLE **out, size_t *count);
/*
 * One batched read. Each attribute's ulValueLen is on entry the room at pValue; afterwards it is the length there, or
 * CK_UNAVAILABLE_INFORMATION for what the object does not have, the token does not give, or the room was too small for.
 * CKR_BUFFER_TOO_SMALL tells of the last case; the other two are not failures.
 */
CK_RV ks_p11_attributes(const struct ks_p11_on *on, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
			CK_ATTRIBUTE *attributes, CK_ULONG count);
/* One attribute of whatever length up to KS_P11_VALUE; *out NULL when the object has none. */
CK_RV ks_p11_value(const struct ks_p11_on *on, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
		   CK_ATTRIBUTE_TYPE type, struct ks_buffer **out);
CK_RV ks_p11_set_attributes(const struct ks_p11_on *on, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
			    CK_ATTRIBUTE *attributes, CK_ULONG count);
CK_RV ks_p11_create(const struct ks_p11_on *on, CK_SESSION_HANDLE session, CK_ATTRIBUTE *attributes, CK_ULONG count,
		    CK_OBJECT_HANDLE *object);
/* Also looks whether the object is gone: KS_CKR_KEPT. */
CK_RV ks_p11_destroy(const struct ks_p11_on *on, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object);
CK_RV ks_p11_make_pair(const struct ks_p11_on *on, CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
		       CK_ATTRIBUTE *public_half, CK_ULONG public_count, CK_ATTRIBUTE *private_half,
		       CK_ULONG private_count, CK_OBJECT_HANDLE *public_key, CK_OBJECT_HANDLE *private_key);
CK_RV ks_p11_sign_init(const struct ks_p11_on *on, CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
		       CK_OBJECT_HANDLE key);
/* *size is the room on entry, the length afterwards. */
CK_RV ks_p11_sign(const struct ks_p11_on *on, CK_SESSION_HANDLE session, struct ks_bytes text, unsigned char *out,
		  size_t *size);
CK_RV ks_p11_decrypt_init(const struct ks_p11_on *on, CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
			  CK_OBJECT_HANDLE key);
CK_RV ks_p11_decrypt(const struct ks_p11_on *on, CK_SESSION_HANDLE session, struct ks_bytes text, unsigned char *out,
		     size_t *size);

/* A new object from a key; the caller destroys it. */
CK_RV ks_p11_derive(const struct ks_p11_on *on, CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
		    CK_OBJECT_HANDLE key, CK_ATTRIBUTE *attributes, CK_ULONG count, CK_OBJECT_HANDLE *made);

/* The address that this thread's next calls look for; told with calls that concern no token yet. NULL = nothing; borrowed. */
void ks_p11_look_for(const char *address);

/* ---- what an answer means ---- */

/* "CKR_PIN_INCORRECT", or NULL for a code without a name. */
const char *ks_p11_code_name(CK_RV rv);
/* The status of an answer; 0 for CKR_OK. */
int ks_p11_status(CK_RV rv);
/* "token A was removed", and its status. */
int ks_p11_sentence(char *out, size_t room, const struct ks_p11_on *on, CK_RV rv);
/* What to do about it; empty when there is nothing. */
void ks_p11_next(char *out, size_t room, const struct ks_p11_on *on, CK_RV rv);
/* The failure of the call that this thread made last; returns its status, 0 for CKR_OK. Only on the context's thread. */
int ks_p11_failed(struct ks_ctx *ctx, const struct ks_p11_on *on, CK_RV rv);
/* The name of the call that this thread made last. */
const char *ks_p11_last_call(void);

#endif
