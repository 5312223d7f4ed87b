/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Using a private key that stays in a token: raw signatures, raw decryption, key agreement, on whatever thread.
 *
 * Each operation has a session to itself from its C_...Init to its end, which is all the locking that Cryptoki wants. What the key
 * knows of the token does not change, but for its handle: that is looked up again when the token has begun another life.
 */
#ifndef KS_P11_SIGN_H
#define KS_P11_SIGN_H

#include "session.h"

#include <stdatomic.h>

#define KS_P11_LONGEST_SIGNATURE 4627 /* bytes; ML-DSA-87. RSA-16384 has 2,048 */
#define KS_CKR_TOLD (CKR_VENDOR_DEFINED | 0x6b7300ffUL) /* a failure that is no answer of the module, and is raised */

/* A private key in a token, shared by every EVP_PKEY that stands for it. */
struct ks_p11_key {
	atomic_int owners;
	struct ks_p11_token *token;
	_Atomic CK_OBJECT_HANDLE handle;
	atomic_uint life; /* of the token, in which the handle holds; written after it */
	bool always_authenticate;
	EVP_PKEY *public_half; /* a software key */
	struct ks_bytes id, spki; /* for finding it again */
	unsigned char names[]; /* the bytes of both */
};

/* `public_half` is taken over, also on failure. NULL: no memory, not told. */
struct ks_p11_key *ks_p11_key_new(EVP_PKEY *public_half, struct ks_bytes id, struct ks_bytes spki);

struct ks_p11_key *ks_p11_key_ref(struct ks_p11_key *key);
void ks_p11_key_free(struct ks_p11_key *key);

/*
 * One C_SignInit .. C_Sign in a session of its own, with the PIN in between when the key wants it each time. *size is the room on
 * entry, the length afterwards. When the token lost the session, it is tried once more in a new one. Failures are left in OpenSSL's
 * error queue with their status (ks_raise); false = failed.
 */
bool ks_p11_key_sign(struct ks_p11_key *key, CK_MECHANISM *mechanism, struct ks_bytes text, unsigned char *out,
		     size_t *size);
/* The same, but the module's answer is given when it is not success, not raised: there may be another way. KS_CKR_TOLD: it is raised. */
CK_RV ks_p11_key_decrypt(struct ks_p11_key *key, CK_MECHANISM *mechanism, struct ks_bytes text, unsigned char *out,
			 size_t *size);
/* The secret of C_DeriveKey, which has to have that size. */
bool ks_p11_key_agree(struct ks_p11_key *key, CK_MECHANISM *mechanism, unsigned char *out, size_t size);
/* Leaves "token A gave a signature that does not verify", and the like, in OpenSSL's queue; false always. */
bool ks_p11_key_raise(const struct ks_p11_key *key, CK_RV rv);

#endif
