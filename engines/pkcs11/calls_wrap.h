/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys that leave a token, or come into one, under another key.
 */
#ifndef KS_P11_CALLS_WRAP_H
#define KS_P11_CALLS_WRAP_H

#include "calls.h"

#define KS_P11_WRAPPED (64 * 1024) /* bytes of one wrapped key */

/* *size is the room on entry, the length afterwards; a length of nothing is no answer. */
CK_RV ks_p11_wrap_key(const struct ks_p11_on *on, CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
		      CK_OBJECT_HANDLE under, CK_OBJECT_HANDLE key, unsigned char *out, size_t *size);
CK_RV ks_p11_unwrap_key(const struct ks_p11_on *on, CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
			CK_OBJECT_HANDLE under, struct ks_bytes wrapped, CK_ATTRIBUTE *attributes, CK_ULONG count,
			CK_OBJECT_HANDLE *key);

#endif
