/* SPDX-License-Identifier: Apache-2.0 */
/*
 * That a key which was put into a token works there.
 */
#ifndef KS_P11_IMPORT_PROOF_H
#define KS_P11_IMPORT_PROOF_H

#include "session.h"
#include "keyspec.h"

/* The token signs with `handle`, and the signature verifies with `key`, of which it should be a copy. KS_EPROOF when not. */
int ks_p11_import_prove(struct ks_p11_token *token, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE handle, EVP_PKEY *key,
			const struct ks_keyspec *spec);

#endif
