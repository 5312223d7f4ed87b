/* SPDX-License-Identifier: Apache-2.0 */
/*
 * C_WrapKey and C_UnwrapKey. A module may lack them altogether: then it cannot do that, which is no lie.
 */
#include "calls_wrap.h"

#include "call.h"

CK_RV ks_p11_wrap_key(const struct ks_p11_on *on, CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
		      CK_OBJECT_HANDLE under, CK_OBJECT_HANDLE key, unsigned char *out, size_t *size)
{
	CK_ULONG length = *size;
	CK_RV rv;

	if (!on->module->functions->C_WrapKey)
		return CKR_FUNCTION_NOT_SUPPORTED;
	rv = KS_P11_CALL(on, C_WrapKey, session, mechanism, under, key, out, &length);
	if (rv == CKR_OK && (length == 0 || length > *size))
		return KS_CKR_LENGTH;
	if (rv == CKR_OK)
		*size = length;
	return rv;
}

CK_RV ks_p11_unwrap_key(const struct ks_p11_on *on, CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
			CK_OBJECT_HANDLE under, struct ks_bytes wrapped, CK_ATTRIBUTE *attributes, CK_ULONG count,
			CK_OBJECT_HANDLE *key)
{
	CK_OBJECT_HANDLE got = CK_INVALID_HANDLE;
	CK_RV rv;

	if (!on->module->functions->C_UnwrapKey)
		return CKR_FUNCTION_NOT_SUPPORTED;
	rv = KS_P11_CALL(on, C_UnwrapKey, session, mechanism, under, (CK_BYTE *)wrapped.data, wrapped.size, attributes,
			 count, &got);
	if (rv == CKR_OK && (got == CK_INVALID_HANDLE || got == under))
		return KS_CKR_HANDLE;
	if (rv == CKR_OK)
		*key = got;
	return rv;
}
