/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a password to key bytes: PBKDF1, PBKDF2, scrypt and the PKCS#12 key derivation, each paid from the budget first.
 *
 * The same password is not the same bytes everywhere. PBES2 takes the bytes as typed, the PKCS#12 derivation a BMPString with
 * two zero bytes behind it; an empty password is two zero bytes to some writers and nothing at all to others; old programs
 * gave Latin-1, and old NSS gave the BMPString to PBES2. These are the forms below, tried in their order.
 */
#ifndef KS_DERIVE_H
#define KS_DERIVE_H

#include "secret.h"

enum ks_kdf { KS_PBKDF1, KS_PBKDF2, KS_SCRYPT, KS_PKCS12_KDF };

enum ks_password_form {
	KS_PASSWORD_UTF8, /* what everybody writes today */
	KS_PASSWORD_NULL, /* empty, and no terminator either; PKCS#12 derivation only */
	KS_PASSWORD_LATIN1, /* one byte a character; the PKCS#12 derivation: each byte is a character */
	KS_PASSWORD_BMP, /* PBES2 under the BMPString, terminator included */
	KS_PASSWORD_FORMS,
};
/* For facts and causes: "UTF-8", "no bytes (NULL)", ... */
const char *ks_password_form_name(enum ks_password_form form);
/* Is `form` possible for this password, and different from the forms before it? */
bool ks_password_has(const struct ks_secret *secret, enum ks_password_form form, enum ks_kdf kdf);

/* What the PKCS#12 derivation makes (RFC 7292 B.3); the others make keys only. */
enum ks_derive_for { KS_DERIVE_KEY = 1, KS_DERIVE_IV = 2, KS_DERIVE_MAC = 3 };

#define KS_DERIVED_MAX 64 /* longest key, IV or MAC key in bytes */
#define KS_KEPT_SALT 8 /* shortest salt in bytes that is used again under the same password (RFC 8018 4.1) */

struct ks_derivation {
	enum ks_kdf kdf;
	const char *digest; /* OpenSSL's name; unused by scrypt */
	struct ks_bytes salt;
	uint64_t iterations; /* scrypt: N */
	uint64_t block, parallel; /* scrypt: r and p */
};

/*
 * Fills `out`. The rounds are taken from the budget before the first one is computed: KS_ELIMIT. `what` is what the rounds
 * are for ("the MAC"). The caller wipes `out`.
 */
int ks_derive(unsigned char *out, size_t size, struct ks_ctx *ctx, const struct ks_derivation *how,
	      enum ks_derive_for purpose, const struct ks_secret *secret, enum ks_password_form form, const char *what);

/* OpenSSL's digest name for a digest's OID content (SHA-1 ...) or for an HMAC's (hmacWithSHA1 ...); NULL when unknown. */
const char *ks_digest_of(struct ks_bytes oid);
const char *ks_digest_of_hmac(struct ks_bytes oid);
/* How long it is, in bytes; 0 when unknown. */
size_t ks_digest_size(const char *digest);
/* The other way; absent when there is none. */
struct ks_bytes ks_digest_oid(const char *digest);
struct ks_bytes ks_hmac_oid(const char *digest);
/* What people call an OID: its name, or dotted numbers; `text` has room for 80 bytes. Returns `text`. */
const char *ks_oid_name(char *text, struct ks_bytes oid);
/* Dotted numbers always. */
const char *ks_oid_dotted(char *text, struct ks_bytes oid);

#endif
