/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What kind of key: "rsa:2048", "ec:p256", "ed25519", and the same thing in OpenSSL's words. What a token calls it is known
 * in engines/pkcs11.
 */
#ifndef KS_KEYSPEC_H
#define KS_KEYSPEC_H

#include "context.h"

enum ks_key_type {
	KS_KEY_UNKNOWN,
	KS_KEY_RSA,
	KS_KEY_RSA_PSS,
	KS_KEY_EC,	/* bits 256, 384, 521 name the NIST curves; others are read, not made */
	KS_KEY_ED25519,
	KS_KEY_ED448,
	KS_KEY_ML_DSA_44, /* FIPS 204; OpenSSL knows them since 3.5 */
	KS_KEY_ML_DSA_65,
	KS_KEY_ML_DSA_87,
	KS_KEY_X25519,
	KS_KEY_X448,
	KS_KEY_DSA,
	KS_KEY_DH,
};

struct ks_keyspec {
	enum ks_key_type type;
	unsigned bits;	/* of the modulus, the field or an ML-DSA public key; 0 = not known */
	int curve;	/* OpenSSL NID for EC, else 0 */
};

/* "rsa", "rsa:3072", "p256", "ec:p384", "ed25519", "ml-dsa-65" (any case). KS_EUSAGE with the list of what is possible. */
int ks_keyspec_parse(struct ks_keyspec *out, struct ks_ctx *ctx, const char *text);
/* Into at least 32 bytes: "rsa:2048", "rsa-pss:2048", "ec:p256", "ec:secp256k1", "ed25519", "unknown". */
void ks_keyspec_text(char out[32], const struct ks_keyspec *spec);
/* For people: "RSA 2048", "EC P-256", "Ed25519", "ML-DSA-65". */
void ks_keyspec_title(char out[32], const struct ks_keyspec *spec);
/* From a SubjectPublicKeyInfo (RFC 5280 4.1) without making a key; UNKNOWN for what we cannot name. */
struct ks_keyspec ks_keyspec_of_spki(struct ks_bytes spki);
/* The id that tokens, Java and certificates agree on: SHA-1 of the public key's bits (RFC 5280 4.2.1.2, method 1). KS_EDAMAGED. */
int ks_spki_id(unsigned char out[20], struct ks_bytes spki);
/* The public key itself, for checking signatures in software; the usual curves without OpenSSL's decoders, which cost more than
 * the signature. KS_EDAMAGED, also for a point that is not on its curve. */
int ks_spki_key(EVP_PKEY **out, struct ks_ctx *ctx, struct ks_bytes spki);
/* Can OpenSSL work with such keys? KS_EUNABLE and which OpenSSL can. */
int ks_keyspec_known(struct ks_ctx *ctx, const struct ks_keyspec *spec);
/* A new software key pair. */
int ks_keyspec_make(EVP_PKEY **out, struct ks_ctx *ctx, const struct ks_keyspec *spec);
/* The digest to sign with; NULL for keys that take the whole text and hash it themselves. */
const char *ks_pkey_digest(const EVP_PKEY *key);
/* NULL-ended list of the words ks_keyspec_parse takes, for help and completion. */
const char *const *ks_keyspec_words(void);

#endif
