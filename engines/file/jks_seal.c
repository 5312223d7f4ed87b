/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How Java's key stores protect: the digest at the end, the protector of JKS keys and the one of JCEKS keys (OpenJDK:
 * sun/security/provider/KeyProtector.java, com/sun/crypto/provider/KeyProtector.java and PBES1Core.java).
 *
 * None of the three is strong. The digest and the JKS protector hash the password once, so it is tried as fast as SHA-1 runs; the
 * JCEKS protector at least iterates.
 */
#include "jks.h"

#include "bmp.h"
#include "der.h"
#include "protect.h"
#include "random.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include <string.h>

#define OID_JKS_PROTECTOR "\x2b\x06\x01\x04\x01\x2a\x02\x11\x01\x01"
#define OID_JCEKS_PROTECTOR "\x2b\x06\x01\x04\x01\x2a\x02\x13\x01"
#define WHITENER "Mighty Aphrodite"

#define SHA1_SIZE 20
#define MD5_SIZE 16
#define SALT 8
#define DES3_KEY 24
#define JCEKS_ITERATIONS 200000 /* what JDK 17 writes; older ones read it too */
#define LARGEST_KEY 65536 /* bytes sealed; private keys of 16,384 bits need a seventh of it */

/* ---- hashing ---------------------------------------------------------------------------------------------------------------- */

struct hasher {
	EVP_MD *digest;
	EVP_MD_CTX *state;
};

static void hasher_clear(struct hasher *hasher)
{
	EVP_MD_CTX_free(hasher->state);
	EVP_MD_free(hasher->digest);
}

static int hasher_make(struct hasher *out, struct ks_ctx *ctx, const char *name)
{
	out->digest = EVP_MD_fetch(ks_crypto(ctx), name, NULL);
	out->state = EVP_MD_CTX_new();
	return out->digest && out->state
		       ? 0
		       : ks_fail_openssl(ctx, KS_EALGORITHM, "%s is not to be had from OpenSSL", name);
}

/* One digest over two pieces. */
static bool hash(unsigned char *out, const struct hasher *hasher, struct ks_bytes a, struct ks_bytes b)
{
	return EVP_DigestInit_ex2(hasher->state, hasher->digest, NULL) == 1 &&
	       EVP_DigestUpdate(hasher->state, a.data, a.size) == 1 &&
	       EVP_DigestUpdate(hasher->state, b.data, b.size) == 1 &&
	       EVP_DigestFinal_ex(hasher->state, out, NULL) == 1;
}

/* The password as Java hashes it: two bytes a character. `more` bytes of room behind it. */
static int password_chars(struct ks_buffer **out, struct ks_ctx *ctx, const struct ks_secret *secret, bool latin1,
			  size_t more)
{
	ks_auto(buffer) chars = ks_buffer_new_secret(2 * ks_secret_size(secret) + more + 2);

	if (!chars || ks_bmp_put(chars, KS_BYTES(ks_secret_bytes(secret), ks_secret_size(secret)), latin1) < 0)
		return ks_nomem(ctx);
	*out = ks_take(chars);
	return 0;
}

/* ---- the digest that ends a store ------------------------------------------------------------------------------------------- */

int ks_jks_digest(unsigned char out[KS_JKS_DIGEST], struct ks_ctx *ctx, struct ks_bytes bytes,
		  const struct ks_secret *secret, bool latin1)
{
	__attribute__((cleanup(hasher_clear))) struct hasher hasher = { 0 };
	ks_auto(buffer) start = NULL;
	int rc = password_chars(&start, ctx, secret, latin1, sizeof(WHITENER));

	if (rc == 0)
		rc = hasher_make(&hasher, ctx, "SHA1");
	if (rc < 0)
		return rc;
	ks_buffer_text(start, WHITENER);
	return hash(out, &hasher, ks_buffer_bytes(start), bytes)
		       ? 0
		       : ks_fail_openssl(ctx, KS_EALGORITHM, "SHA-1 does not run");
}

/* ---- the protector of JKS: a stream of SHA-1, each block from the one before ------------------------------------------------- */

static bool stream(unsigned char *data, size_t size, const struct hasher *hasher, struct ks_bytes chars,
		   const unsigned char salt[SHA1_SIZE])
{
	unsigned char block[SHA1_SIZE];
	bool good = true;

	memcpy(block, salt, SHA1_SIZE);
	for (size_t i = 0; good && i < size; i++) {
		if (i % SHA1_SIZE == 0)
			good = hash(block, hasher, chars, KS_BYTES(block, SHA1_SIZE));
		data[i] ^= block[i % SHA1_SIZE];
	}
	OPENSSL_cleanse(block, sizeof(block));
	return good;
}

/* `sealed`: salt, key under the stream, SHA-1 of password and clear key. */
static int jks_open(struct ks_buffer **out, struct ks_ctx *ctx, struct ks_bytes sealed, const struct ks_secret *secret,
		    bool latin1)
{
	__attribute__((cleanup(hasher_clear))) struct hasher hasher = { 0 };
	unsigned char check[SHA1_SIZE];
	ks_auto(buffer) chars = NULL;
	ks_auto(buffer) clear = NULL;
	size_t size;
	int rc;

	if (sealed.size <= 2 * SHA1_SIZE || sealed.size > LARGEST_KEY)
		return ks_fail(ctx, KS_EDAMAGED, "the encrypted key has %zu bytes, which no key has", sealed.size);
	size = sealed.size - 2 * SHA1_SIZE;
	rc = password_chars(&chars, ctx, secret, latin1, 0);
	if (rc == 0)
		rc = hasher_make(&hasher, ctx, "SHA1");
	if (rc < 0)
		return rc;
	clear = ks_buffer_new_secret(size);
	if (!clear || ks_buffer_put(clear, sealed.data + SHA1_SIZE, size) < 0)
		return ks_nomem(ctx);
	if (!stream(clear->data, size, &hasher, ks_buffer_bytes(chars), sealed.data) ||
	    !hash(check, &hasher, ks_buffer_bytes(chars), ks_buffer_bytes(clear)))
		return ks_fail_openssl(ctx, KS_EALGORITHM, "SHA-1 does not run");
	if (CRYPTO_memcmp(check, sealed.data + sealed.size - SHA1_SIZE, SHA1_SIZE) != 0)
		return ks_fail(ctx, KS_EPASSWORD, "the encrypted key does not open: wrong password, or it was changed");
	*out = ks_take(clear);
	return 0;
}

/* Sealed in a secret buffer, so that the clear key never lies in ordinary memory. */
static int jks_seal(struct ks_buffer **out, struct ks_ctx *ctx, struct ks_bytes clear, const struct ks_secret *secret)
{
	__attribute__((cleanup(hasher_clear))) struct hasher hasher = { 0 };
	unsigned char salt[SHA1_SIZE], check[SHA1_SIZE];
	ks_auto(buffer) sealed = ks_buffer_new_secret(clear.size + 2 * SHA1_SIZE);
	ks_auto(buffer) chars = NULL;
	int rc = password_chars(&chars, ctx, secret, false, 0);

	if (rc == 0)
		rc = hasher_make(&hasher, ctx, "SHA1");
	if (rc == 0)
		rc = ks_random(ctx, salt, sizeof(salt));
	if (rc < 0)
		return rc;
	if (!sealed)
		return ks_nomem(ctx);
	ks_buffer_put(sealed, salt, sizeof(salt));
	ks_buffer_put(sealed, clear.data, clear.size);
	if (!hash(check, &hasher, ks_buffer_bytes(chars), clear) ||
	    !stream(sealed->data + SHA1_SIZE, clear.size, &hasher, ks_buffer_bytes(chars), salt))
		return ks_fail_openssl(ctx, KS_EALGORITHM, "SHA-1 does not run");
	ks_buffer_put(sealed, check, sizeof(check));
	*out = ks_take(sealed);
	return 0;
}

/* ---- the protector of JCEKS: PBEWithMD5AndTripleDES -------------------------------------------------------------------------- */

/*
 * When both halves of the salt are equal, Java means to turn the first one round and misses: what was a b c d becomes d a b d. Its
 * stores can only be read by doing the same (PBES1Core.deriveCipherKey: `salt[3-1] = tmp`).
 */
static void turn_round(unsigned char salt[SALT])
{
	if (memcmp(salt, salt + SALT / 2, SALT / 2) != 0)
		return;
	for (size_t i = 0; i < 2; i++) {
		unsigned char kept = salt[i];

		salt[i] = salt[3 - i];
		salt[3 - 1] = kept;
	}
}

/* Each half of the salt is hashed over and over with the password; the two digests are key and IV. */
static int derive(unsigned char out[2 * MD5_SIZE], struct ks_ctx *ctx, const unsigned char salt_found[SALT],
		  uint64_t iterations, const struct ks_secret *secret)
{
	__attribute__((cleanup(hasher_clear))) struct hasher hasher = { 0 };
	unsigned char salt[SALT];
	bool good = true;
	int rc = ks_spend(ctx, iterations, "the encrypted key");

	if (rc == 0)
		rc = hasher_make(&hasher, ctx, "MD5");
	if (rc < 0)
		return rc;
	memcpy(salt, salt_found, SALT);
	turn_round(salt);
	for (size_t half = 0; half < 2; half++) {
		unsigned char *digest = out + half * MD5_SIZE;
		struct ks_bytes before = KS_BYTES(salt + half * (SALT / 2), SALT / 2);

		for (uint64_t i = 0; good && i < iterations; i++) {
			good = hash(digest, &hasher, before, KS_BYTES(ks_secret_bytes(secret), ks_secret_size(secret)));
			before = KS_BYTES(digest, MD5_SIZE);
		}
	}
	return good ? 0 : ks_fail_openssl(ctx, KS_EALGORITHM, "MD5 does not run");
}

/* Java takes printable ASCII for it and nothing else. */
static bool is_ascii(const struct ks_secret *secret)
{
	const char *bytes = ks_secret_bytes(secret);

	for (size_t i = 0; i < ks_secret_size(secret); i++) {
		if (bytes[i] < 0x20 || bytes[i] > 0x7e)
			return false;
	}
	return true;
}

/* Runs the cipher in place; `*size` is set to what comes out. False when the padding does not fit, or it does not run. */
static bool cipher(unsigned char *data, size_t *size, struct ks_ctx *ctx, const unsigned char derived[2 * MD5_SIZE],
		   int encrypt)
{
	EVP_CIPHER *kind = EVP_CIPHER_fetch(ks_crypto(ctx), "DES-EDE3-CBC", NULL);
	EVP_CIPHER_CTX *state = EVP_CIPHER_CTX_new();
	int first = 0, last = 0;
	bool good = kind && state && EVP_CipherInit_ex2(state, kind, derived, derived + DES3_KEY, encrypt, NULL) == 1 &&
		    EVP_CipherUpdate(state, data, &first, data, (int)*size) == 1 &&
		    EVP_CipherFinal_ex(state, data + first, &last) == 1;

	EVP_CIPHER_CTX_free(state);
	EVP_CIPHER_free(kind);
	ERR_clear_error();
	*size = (size_t)first + (size_t)last;
	return good;
}

/* SEQUENCE { salt OCTET STRING of eight, iterations INTEGER } (RFC 8018 A.3) */
static bool parameters_read(struct ks_bytes *salt, uint64_t *iterations, struct ks_bytes parameters)
{
	struct ks_der whole, octets, number;

	if (ks_der_only(&whole, parameters, KS_DER_SEQUENCE) < 0 ||
	    ks_der_expect(&octets, &whole.content, KS_DER_OCTETS) < 0 ||
	    ks_der_only(&number, whole.content, KS_DER_INTEGER) < 0 || ks_der_number(iterations, number.content) < 0)
		return false;
	*salt = octets.content;
	return octets.content.size == SALT && *iterations > 0;
}

int ks_jceks_open(struct ks_buffer **out, struct ks_ctx *ctx, struct ks_bytes parameters, struct ks_bytes sealed,
		  const struct ks_secret *secret)
{
	unsigned char derived[2 * MD5_SIZE];
	ks_auto(buffer) clear = NULL;
	struct ks_bytes salt;
	uint64_t iterations;
	bool opened;
	int rc;

	if (!parameters_read(&salt, &iterations, parameters))
		return ks_fail(ctx, KS_EDAMAGED, "the encrypted key has damaged parameters");
	if (sealed.size == 0 || sealed.size % SALT || sealed.size > LARGEST_KEY)
		return ks_fail(ctx, KS_EDAMAGED, "the encrypted key has %zu bytes, which no key has", sealed.size);
	if (!is_ascii(secret))
		return ks_fail(ctx, KS_EPASSWORD, "the encrypted key does not open: its password can only be ASCII");
	clear = ks_buffer_new_secret(sealed.size + SALT);
	if (!clear || ks_buffer_put(clear, sealed.data, sealed.size) < 0)
		return ks_nomem(ctx);
	rc = derive(derived, ctx, salt.data, iterations, secret);
	if (rc < 0)
		return rc;
	opened = cipher(clear->data, &clear->size, ctx, derived, 0);
	OPENSSL_cleanse(derived, sizeof(derived));
	if (!opened)
		return ks_fail(ctx, KS_EPASSWORD, "the encrypted key does not open: wrong password, or it was changed");
	*out = ks_take(clear);
	return 0;
}

int ks_jceks_seal(struct ks_buffer *parameters, struct ks_buffer *sealed, struct ks_ctx *ctx, struct ks_bytes clear,
		  const struct ks_secret *secret)
{
	unsigned char derived[2 * MD5_SIZE], salt[SALT];
	ks_auto(buffer) room = ks_buffer_new_secret(clear.size + 2 * SALT);
	size_t sequence;
	bool good;
	int rc;

	if (!is_ascii(secret))
		return ks_hint(ctx,
			       ks_fail(ctx, KS_EUNABLE,
				       "Java opens keys of a JCEKS store only with a password of ASCII characters"),
			       "choose another password, or use a p12: store");
	if (!room || ks_buffer_put(room, clear.data, clear.size) < 0)
		return ks_nomem(ctx);
	rc = ks_random(ctx, salt, sizeof(salt));
	if (rc == 0)
		rc = derive(derived, ctx, salt, JCEKS_ITERATIONS, secret);
	if (rc < 0)
		return rc;
	good = cipher(room->data, &room->size, ctx, derived, 1);
	OPENSSL_cleanse(derived, sizeof(derived));
	if (!good)
		return ks_fail_openssl(ctx, KS_EALGORITHM, "Triple DES does not run");
	sequence = ks_der_open(parameters, KS_DER_SEQUENCE);
	ks_der_put(parameters, KS_DER_OCTETS, KS_BYTES(salt, sizeof(salt)));
	ks_der_put_number(parameters, JCEKS_ITERATIONS);
	if (ks_der_close(parameters, sequence) < 0 || ks_buffer_put(sealed, room->data, room->size) < 0)
		return ks_nomem(ctx);
	return 0;
}

/* ---- private keys ------------------------------------------------------------------------------------------------------------ */

static bool key_parts(struct ks_bytes *oid, struct ks_bytes *parameters, struct ks_bytes *content,
		      struct ks_bytes sealed)
{
	struct ks_der whole, octets;
	struct ks_bytes rest;

	if (ks_der_only(&whole, sealed, KS_DER_SEQUENCE) < 0)
		return false;
	rest = whole.content;
	if (ks_algorithm_next(oid, parameters, &rest) < 0 || ks_der_only(&octets, rest, KS_DER_OCTETS) < 0)
		return false;
	*content = octets.content;
	return true;
}

const char *ks_jceks_protector(const char **kdf, uint64_t *iterations, struct ks_bytes parameters)
{
	struct ks_bytes salt;

	if (!parameters_read(&salt, iterations, parameters))
		return NULL;
	*kdf = "MD5 (PBEWithMD5AndTripleDES)";
	return "3DES-CBC";
}

const char *ks_jks_key_protector(const char **kdf, uint64_t *iterations, struct ks_bytes sealed)
{
	struct ks_bytes oid, parameters, content;

	if (!key_parts(&oid, &parameters, &content, sealed))
		return NULL;
	if (ks_der_is(oid, OID_JCEKS_PROTECTOR))
		return ks_jceks_protector(kdf, iterations, parameters);
	if (!ks_der_is(oid, OID_JKS_PROTECTOR))
		return NULL;
	*kdf = "SHA-1";
	*iterations = 1;
	return "stream of SHA-1";
}

int ks_jks_key_open(struct ks_buffer **out, struct ks_ctx *ctx, struct ks_bytes sealed, const struct ks_secret *secret,
		    bool latin1)
{
	struct ks_bytes oid, parameters, content;
	ks_auto(buffer) clear = NULL;
	struct ks_der whole;
	int rc;

	if (!key_parts(&oid, &parameters, &content, sealed))
		return ks_fail(ctx, KS_EDAMAGED, "the encrypted key is damaged");
	if (ks_der_is(oid, OID_JKS_PROTECTOR))
		rc = jks_open(&clear, ctx, content, secret, latin1);
	else if (ks_der_is(oid, OID_JCEKS_PROTECTOR))
		rc = ks_jceks_open(&clear, ctx, parameters, content, secret);
	else
		return ks_sealed_key_open(out, ctx, sealed, secret, NULL);
	if (rc < 0)
		return rc;
	/* The padding of another key fits now and then. */
	if (ks_der_only(&whole, ks_buffer_bytes(clear), KS_DER_SEQUENCE) < 0)
		return ks_fail(ctx, KS_EPASSWORD, "the encrypted key does not open: wrong password, or it was changed");
	*out = ks_take(clear);
	return 0;
}

int ks_jks_key_put(struct ks_buffer *out, struct ks_ctx *ctx, struct ks_bytes clear, const struct ks_secret *secret,
		   bool jceks)
{
	ks_auto(buffer) parameters = ks_buffer_new(64);
	ks_auto(buffer) sealed = NULL;
	size_t whole, algorithm;
	int rc;

	if (clear.size > LARGEST_KEY / 2)
		return ks_fail(ctx, KS_ELIMIT, "a private key of more than %d bytes is not written", LARGEST_KEY / 2);
	sealed = jceks ? ks_buffer_new(clear.size + SALT) : NULL;
	if (!parameters || (jceks && !sealed))
		return ks_nomem(ctx);
	rc = jceks ? ks_jceks_seal(parameters, sealed, ctx, clear, secret) : jks_seal(&sealed, ctx, clear, secret);
	if (rc < 0)
		return rc;
	whole = ks_der_open(out, KS_DER_SEQUENCE);
	algorithm = ks_der_open(out, KS_DER_SEQUENCE);
	ks_der_put(out, KS_DER_OID, jceks ? KS_BYTES(OID_JCEKS_PROTECTOR, 9) : KS_BYTES(OID_JKS_PROTECTOR, 10));
	if (jceks)
		ks_buffer_put(out, parameters->data, parameters->size);
	else
		ks_der_put(out, KS_DER_NULL, KS_BYTES("", 0));
	ks_der_close(out, algorithm);
	ks_der_put(out, KS_DER_OCTETS, ks_buffer_bytes(sealed));
	return ks_der_close(out, whole) < 0 ? ks_nomem(ctx) : 0;
}
