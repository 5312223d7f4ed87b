/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the provider share: the key data that OpenSSL hands around, and the tables of functions.
 */
#ifndef KS_P11_PKEY_PROVIDER_H
#define KS_P11_PKEY_PROVIDER_H

#include "sign.h"

#include <openssl/core_dispatch.h>

/* What an EVP_PKEY points to. A key without a token is the public half of a software key, only good for comparing. */
struct ks_p11_keydata {
	OSSL_LIB_CTX *crypto;
	const char *type; /* "RSA", "EC", "ED25519", "ML-DSA-65" */
	struct ks_p11_key *key;
	bool pointless; /* only the curve is known so far */
};

extern const OSSL_DISPATCH ks_p11_signature_functions[]; /* RSA and ECDSA */
extern const OSSL_DISPATCH ks_p11_whole_functions[]; /* Ed25519 and ML-DSA */
extern const OSSL_DISPATCH ks_p11_decrypt_functions[];
extern const OSSL_DISPATCH ks_p11_exchange_functions[]; /* ECDH */

/* CKM_ of a digest for OAEP and PSS, and the matching mask generation; false = PKCS#11 2.40 has none. */
bool ks_p11_hash_mechanism(CK_MECHANISM_TYPE *hash, CK_RSA_PKCS_MGF_TYPE *mask, const EVP_MD *md);

/*
 * The message in an OAEP block that was decrypted raw, which is spoilt. *size is the room on entry. false when it is not right, in the
 * same time wherever that is.
 */
bool ks_p11_oaep_open(unsigned char *out, size_t *size, unsigned char *padded, size_t padded_size, const EVP_MD *hash,
		      const EVP_MD *mask, struct ks_bytes label);

#endif
