/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing and unsealing under a password: PBES2 (PBKDF2 with every PRF, scrypt), PBES1 and the PKCS#12 PBEs.
 *
 * Read: everything OpenSSL has a cipher for, old ones through the legacy provider. Written: what a store had when it is not
 * weak, else AES-256-CBC under PBKDF2-HMAC-SHA256.
 */
#ifndef KS_PROTECT_H
#define KS_PROTECT_H

#include "derive.h"

struct ks_protection_cipher;

/* Takes an AlgorithmIdentifier off `rest`: its OID's content octets, and what follows the OID. KS_EDAMAGED. */
int ks_algorithm_next(struct ks_bytes *oid, struct ks_bytes *parameters, struct ks_bytes *rest);

/* An AlgorithmIdentifier understood. Bytes are borrowed from what was read. */
struct ks_protection {
	const struct ks_protection_cipher *cipher;
	struct ks_derivation derivation;
	struct ks_bytes iv; /* absent: derived with the key */
	size_t key_size;
	unsigned rc2_bits; /* RC2 only: effective key bits */
	const char *cipher_name; /* "AES-256-CBC"; static, for facts */
	const char *kdf_name; /* "PBKDF2-HMAC-SHA256"; static */
	uint64_t iterations;
	bool weak; /* nobody should rely on it any more */
	bool bare_prf; /* written without parameters behind the PRF, which Java 17 would not read */
	unsigned char fresh[32]; /* salt and IV that ks_protection_fresh drew: a fresh one is not copied */
};

/* Reads an AlgorithmIdentifier (whole element). KS_EDAMAGED, KS_EALGORITHM by name. `what` opens the sentence: "the key". */
int ks_protection_read(struct ks_protection *out, struct ks_ctx *ctx, struct ks_bytes algorithm, const char *what);
/*
 * Decrypts `sealed` to `to`, which has room for as many bytes and may be `sealed` itself, and checks its shape (one SEQUENCE)
 * and padding. Nothing is written before a key fits. Forms of the password are tried from `*form` on, then from the first;
 * `*form` is set to the one that fits. KS_EPASSWORD when none does, KS_ELIMIT before the first round when the budget does not
 * allow it, KS_EDAMAGED when the key fits and the end does not.
 */
int ks_protection_open(unsigned char *to, size_t *size, struct ks_ctx *ctx, const struct ks_protection *protection,
		       struct ks_bytes sealed, const struct ks_secret *secret, enum ks_password_form *form,
		       const char *what);

/* What new things are sealed with. */
void ks_protection_default(struct ks_protection *out);
/* The same strength as `like` (NULL or weak: the default) with salt and IV of its own. */
int ks_protection_fresh(struct ks_protection *out, struct ks_ctx *ctx, const struct ks_protection *like);
/* As fresh, but when the password is still the one of `like`, under its salt too: the key is known already. The IV is new. */
int ks_protection_again(struct ks_protection *out, struct ks_ctx *ctx, const struct ks_protection *like);
/*
 * What IBM's programs seal the keys of a key database with, salt and IV of its own: AES-256-CBC under PBKDF2-HMAC-SHA384, 5 rounds
 * (docs/decisions/0009 tells why ours are not more).
 */
int ks_protection_gskit(struct ks_protection *out, struct ks_ctx *ctx);
/* Appends the AlgorithmIdentifier of a fresh protection. */
int ks_protection_put(struct ks_buffer *out, const struct ks_protection *protection);
/* Pads and encrypts, in place, everything in `out` from `start` on. */
int ks_protection_seal(struct ks_buffer *out, size_t start, struct ks_ctx *ctx, const struct ks_protection *protection,
		       const struct ks_secret *secret, enum ks_password_form form, const char *what);

/* ---- EncryptedPrivateKeyInfo (RFC 5958 3) -------------------------------------------------------------------------- */

/* Is it shaped like one? Its algorithm may still be unknown. */
bool ks_sealed_key_shaped(struct ks_bytes der);
/* How it is sealed, without a secret. KS_EDAMAGED, KS_EALGORITHM. */
int ks_sealed_key_protection(struct ks_protection *out, struct ks_ctx *ctx, struct ks_bytes sealed);
/*
 * The clear PKCS#8 in a secret buffer. KS_EPASSWORD, KS_EALGORITHM, KS_EDAMAGED, KS_ELIMIT. `form` may be NULL; else it says
 * which form of the password to try first, and is told which one fitted.
 */
int ks_sealed_key_open(struct ks_buffer **out, struct ks_ctx *ctx, struct ks_bytes sealed,
		       const struct ks_secret *secret, enum ks_password_form *form);
/* Appends `clear` (PKCS#8) sealed as told, by a protection that is fresh. */
int ks_sealed_key_put_as(struct ks_buffer *out, struct ks_ctx *ctx, struct ks_bytes clear,
			 const struct ks_secret *secret, const struct ks_protection *how);
/* Appends `clear` (PKCS#8) sealed like `like` (NULL: the default). */
int ks_sealed_key_put(struct ks_buffer *out, struct ks_ctx *ctx, struct ks_bytes clear, const struct ks_secret *secret,
		      const struct ks_protection *like);

#endif
