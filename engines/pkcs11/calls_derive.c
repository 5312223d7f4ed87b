/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making one key from another inside a token.
 */
#include "call.h"

CK_RV ks_p11_derive(const struct ks_p11_on *on, CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
		    CK_OBJECT_HANDLE key, CK_ATTRIBUTE *attributes, CK_ULONG count, CK_OBJECT_HANDLE *made)
{
	CK_OBJECT_HANDLE got = CK_INVALID_HANDLE;
	CK_RV rv = KS_P11_CALL(on, C_DeriveKey, session, mechanism, key, attributes, count, &got);

	if (rv == CKR_OK && (got == CK_INVALID_HANDLE || got == key))
		return KS_CKR_HANDLE;
	if (rv == CKR_OK)
		*made = got;
	return rv;
}
