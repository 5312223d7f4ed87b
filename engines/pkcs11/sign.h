/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Using a private key that stays in a token: raw signatures and raw decryption, on whatever thread.
 */
#ifndef KS_P11_SIGN_H
#define KS_P11_SIGN_H

#include "session.h"

#include <stdatomic.h>

/* A private key in a token, shared by every EVP_PKEY that stands for it. */
struct ks_p11_key {
	atomic_int owners;
	struct ks_p11_token *token;
	CK_OBJECT_HANDLE handle;
	bool always_authenticate;
	EVP_PKEY *public_half; /* a software key */
};

struct ks_p11_key *ks_p11_key_ref(struct ks_p11_key *key);
void ks_p11_key_free(struct ks_p11_key *key);

/*
 * One C_SignInit .. C_Sign in a session of its own, with the PIN in between when the key wants it each time. *size is the room on
 * entry, the length afterwards. Failures are left in OpenSSL's error queue with their status (ks_raise); false = failed.
 */
bool ks_p11_key_sign(struct ks_p11_key *key, CK_MECHANISM *mechanism, struct ks_bytes text, unsigned char *out,
		     size_t *size);
bool ks_p11_key_decrypt(struct ks_p11_key *key, CK_MECHANISM *mechanism, struct ks_bytes text, unsigned char *out,
			size_t *size);
/* Leaves "token A gave a signature that does not verify", and the like, in OpenSSL's queue; false always. */
bool ks_p11_key_raise(const struct ks_p11_key *key, CK_RV rv);

#endif
