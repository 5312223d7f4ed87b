/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys from outside become objects of a token.
 */
#ifndef KS_P11_IMPORT_H
#define KS_P11_IMPORT_H

#include "object.h"
#include "plan.h"

/* A private key from outside with its public half: *made are the two handles. */
int ks_p11_import(CK_OBJECT_HANDLE made[2], struct ks_p11_token *token, CK_SESSION_HANDLE session, struct ks_item *item,
		  const struct ks_naming *naming);
/* The public key object of an item of that kind. */
int ks_p11_put_public(CK_OBJECT_HANDLE *made, struct ks_p11_token *token, CK_SESSION_HANDLE session,
		      struct ks_bytes spki, struct ks_bytes label, struct ks_bytes id);

#endif
