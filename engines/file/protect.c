/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Password-based encryption (RFC 8018 6, RFC 7292 C): algorithm identifiers understood and written, things sealed and opened.
 */
#include "protect.h"

#include "ber.h"
#include "der.h"
#include "random.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/x509.h>

#include <limits.h>
#include <string.h>

#define DEFAULT_ITERATIONS 10000 /* docs/decisions/0002 */
#define FRESH_SALT 16
#define FEW_ITERATIONS 1000 /* RFC 8018 4.2 */
#define GSKIT_ITERATIONS 5
#define GSKIT_SALT 8

#define OID(literal)                                                                                                   \
	{                                                                                                              \
		(const unsigned char *)(literal), sizeof(literal) - 1                                                  \
	}
#define PKCS5 "\x2a\x86\x48\x86\xf7\x0d\x01\x05"
#define PKCS12_PBE "\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01"
#define RSADSI_CIPHER "\x2a\x86\x48\x86\xf7\x0d\x03"
#define NIST_AES "\x60\x86\x48\x01\x65\x03\x04\x01"
#define CAMELLIA "\x2a\x83\x08\x8c\x9a\x4b\x3d\x01\x01\x01"
#define ARIA "\x2a\x83\x1a\x8c\x9a\x6e\x01\x01"

/* ---- what there is --------------------------------------------------------------------------------------------------- */

struct ks_protection_cipher {
	const char *shown;
	const char *openssl;
	size_t key_size, iv_size, block;
	bool weak, legacy, rc2;
};

static const struct ks_protection_cipher aes256 = { "AES-256-CBC", "AES-256-CBC", 32, 16, 16, false, false, false };
static const struct ks_protection_cipher aes192 = { "AES-192-CBC", "AES-192-CBC", 24, 16, 16, false, false, false };
static const struct ks_protection_cipher aes128 = { "AES-128-CBC", "AES-128-CBC", 16, 16, 16, false, false, false };
static const struct ks_protection_cipher camellia256 = {
	"CAMELLIA-256-CBC", "CAMELLIA-256-CBC", 32, 16, 16, false, false, false
};
static const struct ks_protection_cipher camellia192 = {
	"CAMELLIA-192-CBC", "CAMELLIA-192-CBC", 24, 16, 16, false, false, false
};
static const struct ks_protection_cipher camellia128 = {
	"CAMELLIA-128-CBC", "CAMELLIA-128-CBC", 16, 16, 16, false, false, false
};
static const struct ks_protection_cipher aria256 = { "ARIA-256-CBC", "ARIA-256-CBC", 32, 16, 16, false, false, false };
static const struct ks_protection_cipher aria192 = { "ARIA-192-CBC", "ARIA-192-CBC", 24, 16, 16, false, false, false };
static const struct ks_protection_cipher aria128 = { "ARIA-128-CBC", "ARIA-128-CBC", 16, 16, 16, false, false, false };
static const struct ks_protection_cipher sm4 = { "SM4-CBC", "SM4-CBC", 16, 16, 16, false, false, false };
static const struct ks_protection_cipher seed = { "SEED-CBC", "SEED-CBC", 16, 16, 16, true, true, false };
static const struct ks_protection_cipher des3 = { "3DES-CBC", "DES-EDE3-CBC", 24, 8, 8, true, false, false };
static const struct ks_protection_cipher des2 = { "3DES-CBC (two keys)", "DES-EDE-CBC", 16, 8, 8, true, true, false };
static const struct ks_protection_cipher des = { "DES-CBC", "DES-CBC", 8, 8, 8, true, true, false };
static const struct ks_protection_cipher rc2 = { "RC2-CBC", "RC2-CBC", 16, 8, 8, true, true, true };
static const struct ks_protection_cipher rc2_40 = { "RC2-40-CBC", "RC2-CBC", 5, 8, 8, true, true, true };
static const struct ks_protection_cipher rc2_64 = { "RC2-64-CBC", "RC2-CBC", 8, 8, 8, true, true, true };
static const struct ks_protection_cipher rc4 = { "RC4", "RC4", 16, 0, 1, true, true, false };
static const struct ks_protection_cipher rc4_40 = { "RC4-40", "RC4-40", 5, 0, 1, true, true, false };

/* encryptionScheme of PBES2 */
static const struct scheme {
	struct ks_bytes oid;
	const struct ks_protection_cipher *cipher;
} schemes[] = {
	{ OID(NIST_AES "\x2a"), &aes256 },
	{ OID(NIST_AES "\x16"), &aes192 },
	{ OID(NIST_AES "\x02"), &aes128 },
	{ OID(RSADSI_CIPHER "\x07"), &des3 },
	{ OID(RSADSI_CIPHER "\x02"), &rc2 },
	{ OID("\x2b\x0e\x03\x02\x07"), &des },
	{ OID(CAMELLIA "\x04"), &camellia256 },
	{ OID(CAMELLIA "\x03"), &camellia192 },
	{ OID(CAMELLIA "\x02"), &camellia128 },
	{ OID(ARIA "\x0c"), &aria256 },
	{ OID(ARIA "\x07"), &aria192 },
	{ OID(ARIA "\x02"), &aria128 },
	{ OID("\x2a\x81\x1c\xcf\x55\x01\x68\x02"), &sm4 },
	{ OID("\x2a\x83\x1a\x8c\x9a\x44\x01\x04"), &seed },
};

/* Whole algorithms: PBES1 (8-byte salt, key and IV from one PBKDF1) and the PKCS#12 ones (key and IV derived apart). */
static const struct old_scheme {
	struct ks_bytes oid;
	const struct ks_protection_cipher *cipher;
	enum ks_kdf kdf;
	const char *digest;
	const char *kdf_name;
} old_schemes[] = {
	{ OID(PKCS12_PBE "\x01"), &rc4, KS_PKCS12_KDF, "SHA1", "PKCS#12 KDF (SHA-1)" },
	{ OID(PKCS12_PBE "\x02"), &rc4_40, KS_PKCS12_KDF, "SHA1", "PKCS#12 KDF (SHA-1)" },
	{ OID(PKCS12_PBE "\x03"), &des3, KS_PKCS12_KDF, "SHA1", "PKCS#12 KDF (SHA-1)" },
	{ OID(PKCS12_PBE "\x04"), &des2, KS_PKCS12_KDF, "SHA1", "PKCS#12 KDF (SHA-1)" },
	{ OID(PKCS12_PBE "\x05"), &rc2, KS_PKCS12_KDF, "SHA1", "PKCS#12 KDF (SHA-1)" },
	{ OID(PKCS12_PBE "\x06"), &rc2_40, KS_PKCS12_KDF, "SHA1", "PKCS#12 KDF (SHA-1)" },
	{ OID(PKCS5 "\x03"), &des, KS_PBKDF1, "MD5", "PBKDF1-MD5" },
	{ OID(PKCS5 "\x06"), &rc2_64, KS_PBKDF1, "MD5", "PBKDF1-MD5" },
	{ OID(PKCS5 "\x0a"), &des, KS_PBKDF1, "SHA1", "PBKDF1-SHA1" },
	{ OID(PKCS5 "\x0b"), &rc2_64, KS_PBKDF1, "SHA1", "PBKDF1-SHA1" },
};

static const char *pbkdf2_name(const char *digest)
{
	static const char *const names[][2] = {
		{ "MD5", "PBKDF2-HMAC-MD5" },
		{ "SHA1", "PBKDF2-HMAC-SHA1" },
		{ "SHA224", "PBKDF2-HMAC-SHA224" },
		{ "SHA256", "PBKDF2-HMAC-SHA256" },
		{ "SHA384", "PBKDF2-HMAC-SHA384" },
		{ "SHA512", "PBKDF2-HMAC-SHA512" },
		{ "SHA512-224", "PBKDF2-HMAC-SHA512-224" },
		{ "SHA512-256", "PBKDF2-HMAC-SHA512-256" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i][0], digest) == 0)
			return names[i][1];
	return "PBKDF2-HMAC-SHA3";
}

/* ---- reading an algorithm -------------------------------------------------------------------------------------------- */

static int unknown(struct ks_ctx *ctx, const char *what, struct ks_bytes oid)
{
	char name[80];

	return ks_hint(ctx,
		       ks_fail(ctx, KS_EALGORITHM, "%s is protected with %s, which this build cannot read", what,
			       ks_oid_name(name, oid)),
		       "write the store again with AES and PBKDF2 in the program it came from");
}

static int broken(struct ks_ctx *ctx, const char *what)
{
	return ks_fail(ctx, KS_EDAMAGED, "the encryption parameters of %s are damaged", what);
}

int ks_algorithm_next(struct ks_bytes *oid, struct ks_bytes *parameters, struct ks_bytes *rest)
{
	struct ks_der sequence, name;
	struct ks_bytes inner;

	if (ks_der_expect(&sequence, rest, KS_DER_SEQUENCE) < 0)
		return KS_EDAMAGED;
	inner = sequence.content;
	if (ks_der_expect(&name, &inner, KS_DER_OID) < 0)
		return KS_EDAMAGED;
	*oid = name.content;
	*parameters = inner;
	return 0;
}

/* prf AlgorithmIdentifier DEFAULT hmacWithSHA1 */
static int prf_read(struct ks_protection *out, struct ks_ctx *ctx, struct ks_bytes rest, const char *what)
{
	struct ks_bytes oid, parameters;

	out->derivation.digest = "SHA1";
	if (rest.size) {
		if (ks_algorithm_next(&oid, &parameters, &rest) < 0 || rest.size)
			return broken(ctx, what);
		out->derivation.digest = ks_digest_of_hmac(oid);
		if (!out->derivation.digest)
			return unknown(ctx, what, oid);
	}
	out->kdf_name = pbkdf2_name(out->derivation.digest);
	return 0;
}

static int key_size_read(struct ks_protection *out, struct ks_bytes *rest)
{
	struct ks_der number;
	uint64_t size;

	out->key_size = 0;
	if (!ks_der_maybe(&number, rest, KS_DER_INTEGER))
		return 0;
	if (ks_der_number(&size, number.content) < 0 || size == 0 || size > KS_DERIVED_MAX)
		return KS_EDAMAGED;
	out->key_size = (size_t)size;
	return 0;
}

static int pbkdf2_read(struct ks_protection *out, struct ks_ctx *ctx, struct ks_bytes rest, const char *what)
{
	struct ks_der parameters, salt, count;

	if (ks_der_only(&parameters, rest, KS_DER_SEQUENCE) < 0)
		return broken(ctx, what);
	rest = parameters.content;
	if (ks_der_expect(&salt, &rest, KS_DER_OCTETS) < 0 || ks_der_expect(&count, &rest, KS_DER_INTEGER) < 0 ||
	    ks_der_number(&out->derivation.iterations, count.content) < 0 || key_size_read(out, &rest) < 0)
		return broken(ctx, what);
	out->derivation.kdf = KS_PBKDF2;
	out->derivation.salt = salt.content;
	return prf_read(out, ctx, rest, what);
}

static int scrypt_read(struct ks_protection *out, struct ks_ctx *ctx, struct ks_bytes rest, const char *what)
{
	struct ks_derivation *how = &out->derivation;
	struct ks_der parameters, salt, n, r, p;

	if (ks_der_only(&parameters, rest, KS_DER_SEQUENCE) < 0)
		return broken(ctx, what);
	rest = parameters.content;
	if (ks_der_expect(&salt, &rest, KS_DER_OCTETS) < 0 || ks_der_expect(&n, &rest, KS_DER_INTEGER) < 0 ||
	    ks_der_expect(&r, &rest, KS_DER_INTEGER) < 0 || ks_der_expect(&p, &rest, KS_DER_INTEGER) < 0 ||
	    ks_der_number(&how->iterations, n.content) < 0 || ks_der_number(&how->block, r.content) < 0 ||
	    ks_der_number(&how->parallel, p.content) < 0 || key_size_read(out, &rest) < 0 || rest.size)
		return broken(ctx, what);
	how->kdf = KS_SCRYPT;
	how->salt = salt.content;
	out->kdf_name = "scrypt";
	return 0;
}

/* RFC 8018 B.2.3: a version number that stands for the effective key bits. */
static unsigned rc2_bits_of(uint64_t version)
{
	if (version == 160)
		return 40;
	if (version == 120)
		return 64;
	if (version == 58)
		return 128;
	return version >= 256 && version <= 1024 ? (unsigned)version : 0;
}

static int iv_read(struct ks_protection *out, struct ks_bytes rest)
{
	struct ks_der element, inner;
	uint64_t version = 0;

	if (!out->cipher->rc2)
		return ks_der_only(&element, rest, KS_DER_OCTETS) < 0 ? KS_EDAMAGED : (out->iv = element.content, 0);
	if (ks_der_only(&element, rest, KS_DER_SEQUENCE) < 0)
		return KS_EDAMAGED;
	rest = element.content;
	out->rc2_bits = 32; /* the version's default */
	if (ks_der_maybe(&inner, &rest, KS_DER_INTEGER)) {
		if (ks_der_number(&version, inner.content) < 0)
			return KS_EDAMAGED;
		out->rc2_bits = rc2_bits_of(version);
	}
	if (out->rc2_bits == 0 || ks_der_only(&inner, rest, KS_DER_OCTETS) < 0)
		return KS_EDAMAGED;
	out->iv = inner.content;
	return 0;
}

static int cipher_read(struct ks_protection *out, struct ks_ctx *ctx, struct ks_bytes oid, struct ks_bytes parameters,
		       const char *what)
{
	out->cipher = NULL;
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
		if (ks_bytes_equal(schemes[i].oid, oid))
			out->cipher = schemes[i].cipher;
	if (!out->cipher)
		return unknown(ctx, what, oid);
	if (iv_read(out, parameters) < 0 || out->iv.size != out->cipher->iv_size)
		return broken(ctx, what);
	if (out->key_size == 0)
		out->key_size = out->cipher->key_size;
	/* RC2 alone has keys of any length. */
	if (out->key_size != out->cipher->key_size && !out->cipher->rc2)
		return ks_fail(ctx, KS_EDAMAGED, "%s says %s with a key of %zu bytes; it takes %zu", what,
			       out->cipher->shown, out->key_size, out->cipher->key_size);
	return 0;
}

static int pbes2_read(struct ks_protection *out, struct ks_ctx *ctx, struct ks_bytes rest, const char *what)
{
	struct ks_bytes kdf, kdf_parameters, cipher, cipher_parameters;
	struct ks_der sequence;
	int rc;

	if (ks_der_only(&sequence, rest, KS_DER_SEQUENCE) < 0)
		return broken(ctx, what);
	rest = sequence.content;
	if (ks_algorithm_next(&kdf, &kdf_parameters, &rest) < 0 ||
	    ks_algorithm_next(&cipher, &cipher_parameters, &rest) < 0 || rest.size)
		return broken(ctx, what);
	if (ks_der_is(kdf, PKCS5 "\x0c"))
		rc = pbkdf2_read(out, ctx, kdf_parameters, what);
	else if (ks_der_is(kdf, "\x2b\x06\x01\x04\x01\xda\x47\x04\x0b"))
		rc = scrypt_read(out, ctx, kdf_parameters, what);
	else
		rc = unknown(ctx, what, kdf);
	return rc < 0 ? rc : cipher_read(out, ctx, cipher, cipher_parameters, what);
}

static int old_read(struct ks_protection *out, struct ks_ctx *ctx, const struct old_scheme *row, struct ks_bytes rest,
		    const char *what)
{
	struct ks_der sequence, salt, count;

	if (ks_der_only(&sequence, rest, KS_DER_SEQUENCE) < 0)
		return broken(ctx, what);
	rest = sequence.content;
	if (ks_der_expect(&salt, &rest, KS_DER_OCTETS) < 0 || ks_der_only(&count, rest, KS_DER_INTEGER) < 0 ||
	    ks_der_number(&out->derivation.iterations, count.content) < 0)
		return broken(ctx, what);
	if (row->kdf == KS_PBKDF1 && salt.content.size != 8)
		return broken(ctx, what);
	out->cipher = row->cipher;
	out->derivation.kdf = row->kdf;
	out->derivation.digest = row->digest;
	out->derivation.salt = salt.content;
	out->kdf_name = row->kdf_name;
	out->key_size = row->cipher->key_size;
	out->rc2_bits = row->cipher->rc2 ? (unsigned)row->cipher->key_size * 8 : 0;
	return 0;
}

static int scheme_read(struct ks_protection *out, struct ks_ctx *ctx, struct ks_bytes algorithm, const char *what)
{
	struct ks_bytes oid, parameters;

	if (ks_algorithm_next(&oid, &parameters, &algorithm) < 0 || algorithm.size)
		return broken(ctx, what);
	if (ks_der_is(oid, PKCS5 "\x0d"))
		return pbes2_read(out, ctx, parameters, what);
	for (size_t i = 0; i < sizeof(old_schemes) / sizeof(old_schemes[0]); i++)
		if (ks_bytes_equal(old_schemes[i].oid, oid))
			return old_read(out, ctx, &old_schemes[i], parameters, what);
	return unknown(ctx, what, oid);
}

int ks_protection_read(struct ks_protection *out, struct ks_ctx *ctx, struct ks_bytes algorithm, const char *what)
{
	struct ks_protection read = { 0 };
	int rc = scheme_read(&read, ctx, algorithm, what);

	if (rc < 0)
		return rc;
	read.cipher_name = read.cipher->shown;
	read.iterations = read.derivation.iterations;
	read.weak = read.cipher->weak || (read.derivation.kdf != KS_SCRYPT && read.iterations < FEW_ITERATIONS);
	*out = read;
	return 0;
}

/* ---- one cipher call ------------------------------------------------------------------------------------------------- */

struct keys {
	unsigned char key[KS_DERIVED_MAX];
	unsigned char iv[16];
};

static int derive_keys(struct keys *out, struct ks_ctx *ctx, const struct ks_protection *how,
		       const struct ks_secret *secret, enum ks_password_form form, const char *what)
{
	const struct ks_protection_cipher *cipher = how->cipher;
	int rc;

	if (how->derivation.kdf == KS_PBKDF1) {
		rc = ks_derive(out->key, 16, ctx, &how->derivation, KS_DERIVE_KEY, secret, form, what);
		memcpy(out->iv, out->key + 8, 8);
		return rc;
	}
	rc = ks_derive(out->key, how->key_size, ctx, &how->derivation, KS_DERIVE_KEY, secret, form, what);
	if (rc < 0 || cipher->iv_size == 0)
		return rc;
	if (how->iv.data)
		memcpy(out->iv, how->iv.data, cipher->iv_size);
	else
		rc = ks_derive(out->iv, cipher->iv_size, ctx, &how->derivation, KS_DERIVE_IV, secret, form, what);
	return rc;
}

static EVP_CIPHER *cipher_fetch(struct ks_ctx *ctx, const struct ks_protection *how, const char *what)
{
	OSSL_LIB_CTX *library = how->cipher->legacy ? ks_crypto_legacy(ctx) : ks_crypto(ctx);
	EVP_CIPHER *cipher = library ? EVP_CIPHER_fetch(library, how->cipher->openssl, NULL) : NULL;

	if (!cipher)
		ks_hint(ctx,
			ks_fail_openssl(ctx, KS_EALGORITHM,
					"%s is protected with %s, which this OpenSSL does not offer", what,
					how->cipher->shown),
			"install OpenSSL's legacy provider");
	return cipher;
}

static bool cipher_start(EVP_CIPHER_CTX *state, const EVP_CIPHER *cipher, const struct ks_protection *how,
			 const struct keys *keys, int encrypt)
{
	size_t bits = how->rc2_bits, key_size = how->key_size;
	OSSL_PARAM params[] = { OSSL_PARAM_construct_size_t(OSSL_CIPHER_PARAM_KEYLEN, &key_size),
				OSSL_PARAM_construct_size_t(OSSL_CIPHER_PARAM_RC2_KEYBITS, &bits),
				OSSL_PARAM_construct_end() };

	if (how->cipher->rc2 && (EVP_CipherInit_ex2(state, cipher, NULL, NULL, encrypt, NULL) != 1 ||
				 EVP_CIPHER_CTX_set_params(state, params) != 1))
		return false;
	return EVP_CipherInit_ex2(state, how->cipher->rc2 ? NULL : cipher, keys->key,
				  how->cipher->iv_size ? keys->iv : NULL, encrypt, NULL) == 1 &&
	       EVP_CIPHER_CTX_set_padding(state, 0) == 1;
}

/* Whole blocks only; `to` may be `from`. */
static int crypt_blocks(unsigned char *to, const unsigned char *from, size_t size, struct ks_ctx *ctx,
			const struct ks_protection *how, const struct keys *keys, int encrypt, const char *what)
{
	EVP_CIPHER *cipher = cipher_fetch(ctx, how, what);
	EVP_CIPHER_CTX *state = cipher ? EVP_CIPHER_CTX_new() : NULL;
	int done = 0, rc = 0;

	if (!cipher)
		return KS_EALGORITHM;
	if (size > INT_MAX || !state || !cipher_start(state, cipher, how, keys, encrypt) ||
	    EVP_CipherUpdate(state, to, &done, from, (int)size) != 1 || (size_t)done != size)
		rc = ks_fail_openssl(ctx, KS_EALGORITHM, "%s could not be computed for %s", how->cipher->shown, what);
	EVP_CIPHER_CTX_free(state);
	EVP_CIPHER_free(cipher);
	return rc;
}

/* ---- opening --------------------------------------------------------------------------------------------------------- */

/* Bytes left when the padding is right; 0 when it is not. */
static size_t unpadded(const unsigned char *clear, size_t size, size_t block)
{
	size_t pad;

	if (block == 1 || size == 0)
		return size;
	pad = clear[size - 1];
	if (pad == 0 || pad > block || pad > size)
		return 0;
	for (size_t i = 0; i < pad; i++)
		if (clear[size - 1 - i] != pad)
			return 0;
	return size - pad;
}

/* A private key begins with its version, one octet (RFC 5958 2); bags with the OID of the first (RFC 7292 4.2). */
static bool begins_key_or_bags(struct ks_bytes rest)
{
	if (rest.size >= 2 && rest.data[0] == KS_DER_INTEGER)
		return rest.data[1] == 1;
	return ks_ber_enter(&rest, KS_DER_SEQUENCE) && ks_ber_enter(&rest, KS_DER_OID);
}

/* Bytes that an element's definite length octets promise; `octets` begins behind the tag. */
static size_t promised(const unsigned char *octets, size_t count)
{
	size_t length = count == 1 ? octets[0] : 0;

	for (size_t i = 1; i < count; i++)
		length = length << 8 | octets[i];
	return length;
}

/*
 * What is sealed is one SEQUENCE, definite or, as BER allows, indefinite. Does `head` begin one that fills `smallest` to
 * `largest` bytes? Its first element is looked at too, because a wrong key makes a fitting header once in 4,096 times for
 * a short key, and an indefinite one, which fits any size, once in 65,536.
 */
static bool begins_sealed(struct ks_bytes head, size_t smallest, size_t largest)
{
	struct ks_bytes rest = head;
	size_t header, length;

	if (!ks_ber_enter(&rest, KS_DER_SEQUENCE))
		return false;
	if (head.data[1] == 0x80 && !(rest.size >= 2 && rest.data[0] == 0 && rest.data[1] == 0))
		return begins_key_or_bags(rest);
	header = (size_t)(rest.data - head.data);
	length = head.data[1] == 0x80 ? 2 : promised(head.data + 1, header - 1);
	if (header + length < smallest || header + length > largest)
		return false;
	return length == 0 || head.data[1] == 0x80 || begins_key_or_bags(rest);
}

/* Its first bytes tell whether the key is right, before anything is written over. */
static int trial(struct ks_ctx *ctx, const struct ks_protection *how, struct ks_bytes sealed, const struct keys *keys,
		 const char *what)
{
	size_t block = how->cipher->block, size = sealed.size < 32 ? sealed.size : 32;
	unsigned char head[32];
	int rc = crypt_blocks(head, sealed.data, size, ctx, how, keys, 0, what);

	if (rc == 0 && !begins_sealed(KS_BYTES(head, size), block > 1 ? sealed.size - block : sealed.size, sealed.size))
		rc = KS_EPASSWORD;
	OPENSSL_cleanse(head, sizeof(head));
	return rc;
}

static int open_with(unsigned char *to, size_t *size, struct ks_ctx *ctx, const struct ks_protection *how,
		     struct ks_bytes sealed, const struct ks_secret *secret, enum ks_password_form form,
		     const char *what)
{
	struct keys keys = { 0 };
	size_t left;
	int rc = derive_keys(&keys, ctx, how, secret, form, what);

	if (rc == 0)
		rc = trial(ctx, how, sealed, &keys, what);
	if (rc == 0)
		rc = crypt_blocks(to, sealed.data, sealed.size, ctx, how, &keys, 0, what);
	OPENSSL_cleanse(&keys, sizeof(keys));
	if (rc < 0)
		return rc;
	left = unpadded(to, sealed.size, how->cipher->block);
	if (left == 0 || !begins_sealed(KS_BYTES(to, left), left, left))
		return ks_fail(ctx, KS_EDAMAGED, "%s opens, but its end is damaged", what);
	*size = left;
	return 0;
}

static int wrong(struct ks_ctx *ctx, const char *what)
{
	return ks_fail(ctx, KS_EPASSWORD, "%s does not open: wrong password, or it was changed", what);
}

/* The first form is the likely one; a budget that ends on the unlikely ones does not hide that the password is wrong. */
int ks_protection_open(unsigned char *to, size_t *size, struct ks_ctx *ctx, const struct ks_protection *how,
		       struct ks_bytes sealed, const struct ks_secret *secret, enum ks_password_form *form,
		       const char *what)
{
	enum ks_password_form first = ks_password_has(secret, *form, how->derivation.kdf) ? *form : KS_PASSWORD_UTF8;
	int rc;

	if (sealed.size == 0 || sealed.size % how->cipher->block)
		return ks_fail(ctx, KS_EDAMAGED, "the encrypted content of %s has an impossible length (%zu bytes)",
			       what, sealed.size);
	rc = open_with(to, size, ctx, how, sealed, secret, first, what);
	for (unsigned next = 0; rc == KS_EPASSWORD && next < KS_PASSWORD_FORMS; next++) {
		if (next == first || !ks_password_has(secret, next, how->derivation.kdf))
			continue;
		rc = open_with(to, size, ctx, how, sealed, secret, next, what);
		if (rc == KS_ELIMIT)
			return wrong(ctx, what);
		if (rc == 0)
			first = next;
	}
	if (rc == KS_EPASSWORD)
		return wrong(ctx, what);
	if (rc == 0)
		*form = first;
	return rc;
}

/* ---- sealing --------------------------------------------------------------------------------------------------------- */

void ks_protection_default(struct ks_protection *out)
{
	*out = (struct ks_protection){
		.cipher = &aes256,
		.derivation = { .kdf = KS_PBKDF2, .digest = "SHA256", .iterations = DEFAULT_ITERATIONS },
		.key_size = aes256.key_size,
		.cipher_name = aes256.shown,
		.kdf_name = "PBKDF2-HMAC-SHA256",
		.iterations = DEFAULT_ITERATIONS,
	};
}

/* Written in the shape that every reader knows: PBES2, PBKDF2, a cipher with a plain IV. */
static bool can_write(const struct ks_protection *like)
{
	return like && !like->weak && like->derivation.kdf == KS_PBKDF2 && like->cipher->block == 16;
}

/* Draws salt and IV of their own for a protection whose cipher is chosen. */
static int draw(struct ks_protection *out, struct ks_ctx *ctx, size_t salt)
{
	int rc = ks_random(ctx, out->fresh, sizeof(out->fresh));

	out->derivation.salt = KS_BYTES(out->fresh, salt);
	out->iv = KS_BYTES(out->fresh + FRESH_SALT, out->cipher->iv_size);
	return rc;
}

int ks_protection_gskit(struct ks_protection *out, struct ks_ctx *ctx)
{
	ks_protection_default(out);
	out->derivation.digest = "SHA384";
	out->derivation.iterations = out->iterations = GSKIT_ITERATIONS;
	out->kdf_name = pbkdf2_name("SHA384");
	out->weak = out->bare_prf = true;
	return draw(out, ctx, GSKIT_SALT);
}

int ks_protection_fresh(struct ks_protection *out, struct ks_ctx *ctx, const struct ks_protection *like)
{
	ks_protection_default(out);
	if (can_write(like)) {
		out->cipher = like->cipher;
		out->derivation.digest = like->derivation.digest;
		out->derivation.iterations = like->derivation.iterations;
		out->key_size = like->key_size;
		out->cipher_name = like->cipher_name;
		out->kdf_name = like->kdf_name;
		out->iterations = like->iterations;
	}
	return draw(out, ctx, FRESH_SALT);
}

int ks_protection_again(struct ks_protection *out, struct ks_ctx *ctx, const struct ks_protection *like)
{
	int rc = ks_protection_fresh(out, ctx, like);

	if (rc == 0 && can_write(like) && like->derivation.salt.size >= KS_KEPT_SALT)
		out->derivation.salt = like->derivation.salt;
	return rc;
}

static struct ks_bytes scheme_oid(const struct ks_protection_cipher *cipher)
{
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
		if (schemes[i].cipher == cipher)
			return schemes[i].oid;
	return KS_NONE;
}

/* Key length and PRF parameters are written out in full: Java 17 does not take PBKDF2 parameters without them. */
int ks_protection_put(struct ks_buffer *out, const struct ks_protection *how)
{
	size_t algorithm = ks_der_open(out, KS_DER_SEQUENCE);
	size_t pbes2, kdf, parameters, prf, cipher;

	ks_der_put(out, KS_DER_OID, KS_BYTES(PKCS5 "\x0d", 9));
	pbes2 = ks_der_open(out, KS_DER_SEQUENCE);
	kdf = ks_der_open(out, KS_DER_SEQUENCE);
	ks_der_put(out, KS_DER_OID, KS_BYTES(PKCS5 "\x0c", 9));
	parameters = ks_der_open(out, KS_DER_SEQUENCE);
	ks_der_put(out, KS_DER_OCTETS, how->derivation.salt);
	ks_der_put_number(out, how->derivation.iterations);
	ks_der_put_number(out, how->key_size);
	prf = ks_der_open(out, KS_DER_SEQUENCE);
	ks_der_put(out, KS_DER_OID, ks_hmac_oid(how->derivation.digest));
	if (!how->bare_prf)
		ks_der_put(out, KS_DER_NULL, KS_BYTES("", 0));
	ks_der_close(out, prf);
	ks_der_close(out, parameters);
	ks_der_close(out, kdf);
	cipher = ks_der_open(out, KS_DER_SEQUENCE);
	ks_der_put(out, KS_DER_OID, scheme_oid(how->cipher));
	ks_der_put(out, KS_DER_OCTETS, how->iv);
	ks_der_close(out, cipher);
	ks_der_close(out, pbes2);
	return ks_der_close(out, algorithm);
}

int ks_protection_seal(struct ks_buffer *out, size_t start, struct ks_ctx *ctx, const struct ks_protection *how,
		       const struct ks_secret *secret, enum ks_password_form form, const char *what)
{
	size_t pad = how->cipher->block - (out->size - start) % how->cipher->block;
	unsigned char padding[16];
	struct keys keys = { 0 };
	int rc;

	memset(padding, (int)pad, sizeof(padding));
	if (ks_buffer_put(out, padding, pad) < 0)
		return out->status == KS_ELIMIT ? ks_fail(ctx, KS_ELIMIT, "%s is too large", what) : ks_nomem(ctx);
	rc = derive_keys(&keys, ctx, how, secret, form, what);
	if (rc == 0)
		rc = crypt_blocks(out->data + start, out->data + start, out->size - start, ctx, how, &keys, 1, what);
	OPENSSL_cleanse(&keys, sizeof(keys));
	return rc;
}

/* ---- EncryptedPrivateKeyInfo ----------------------------------------------------------------------------------------- */

static int sealed_key_parts(struct ks_der *algorithm, struct ks_der *content, struct ks_bytes der)
{
	struct ks_der whole;
	struct ks_bytes rest;

	if (ks_der_only(&whole, der, KS_DER_SEQUENCE) < 0)
		return KS_EDAMAGED;
	rest = whole.content;
	if (ks_der_expect(algorithm, &rest, KS_DER_SEQUENCE) < 0)
		return KS_EDAMAGED;
	return ks_der_only(content, rest, KS_DER_OCTETS);
}

bool ks_sealed_key_shaped(struct ks_bytes der)
{
	struct ks_der algorithm, content;

	return sealed_key_parts(&algorithm, &content, der) == 0;
}

int ks_sealed_key_protection(struct ks_protection *out, struct ks_ctx *ctx, struct ks_bytes sealed)
{
	struct ks_der algorithm, content;

	if (sealed_key_parts(&algorithm, &content, sealed) < 0)
		return ks_fail(ctx, KS_EDAMAGED, "the encrypted key is damaged");
	return ks_protection_read(out, ctx, algorithm.whole, "the encrypted key");
}

int ks_sealed_key_open(struct ks_buffer **out, struct ks_ctx *ctx, struct ks_bytes sealed,
		       const struct ks_secret *secret, enum ks_password_form *form)
{
	enum ks_password_form fitting = form ? *form : KS_PASSWORD_UTF8;
	ks_auto(buffer) clear = NULL;
	struct ks_protection how;
	struct ks_der algorithm, content;
	int rc;

	if (sealed_key_parts(&algorithm, &content, sealed) < 0)
		return ks_fail(ctx, KS_EDAMAGED, "the encrypted key is damaged");
	rc = ks_protection_read(&how, ctx, algorithm.whole, "the encrypted key");
	if (rc < 0)
		return rc;
	clear = ks_buffer_new_secret(content.content.size);
	if (!clear)
		return ks_nomem(ctx);
	rc = ks_protection_open(clear->data, &clear->size, ctx, &how, content.content, secret, &fitting,
				"the encrypted key");
	if (rc < 0)
		return rc;
	if (form)
		*form = fitting;
	*out = ks_take(clear);
	return 0;
}

/* Encrypted in a secret buffer, so that the clear key never lies in ordinary memory. */
int ks_sealed_key_put_as(struct ks_buffer *out, struct ks_ctx *ctx, struct ks_bytes clear,
			 const struct ks_secret *secret, const struct ks_protection *how)
{
	ks_auto(buffer) sealed = ks_buffer_new_secret(clear.size + 16);
	size_t whole;
	int rc;

	if (!sealed)
		return ks_nomem(ctx);
	ks_buffer_put(sealed, clear.data, clear.size);
	rc = ks_protection_seal(sealed, 0, ctx, how, secret, KS_PASSWORD_UTF8, "the encrypted key");
	if (rc < 0)
		return rc;
	whole = ks_der_open(out, KS_DER_SEQUENCE);
	ks_protection_put(out, how);
	ks_der_put(out, KS_DER_OCTETS, ks_buffer_bytes(sealed));
	return ks_der_close(out, whole) < 0 ? ks_nomem(ctx) : 0;
}

int ks_sealed_key_put(struct ks_buffer *out, struct ks_ctx *ctx, struct ks_bytes clear, const struct ks_secret *secret,
		      const struct ks_protection *like)
{
	struct ks_protection how;
	int rc = ks_protection_fresh(&how, ctx, like);

	return rc < 0 ? rc : ks_sealed_key_put_as(out, ctx, clear, secret, &how);
}
