/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key derivation over libcrypto, with the password in each of the forms that real files were written under.
 */
#include "derive.h"

#include "bmp.h"
#include "der.h"
#include "derive_pkcs12.h"
#include "hmac.h"
#include "text.h"

#include <openssl/asn1.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/objects.h>
#include <openssl/params.h>

#include <stdio.h>
#include <string.h>

#define SCRYPT_MEMORY ((uint64_t)256 << 20)

const char *ks_password_form_name(enum ks_password_form form)
{
	static const char *const names[] = { "UTF-8", "no bytes at all (NULL)", "Latin-1", "BMPString" };

	return form < KS_PASSWORD_FORMS ? names[form] : "unknown";
}

/* ---- the forms of a password ---------------------------------------------------------------------------------------- */

static struct ks_bytes typed(const struct ks_secret *secret)
{
	return secret ? KS_BYTES(ks_secret_bytes(secret), ks_secret_size(secret)) : KS_BYTES("", 0);
}

static bool is_ascii(struct ks_bytes bytes)
{
	for (size_t i = 0; i < bytes.size; i++)
		if (bytes.data[i] & 0x80)
			return false;
	return true;
}

static bool fits_latin1(struct ks_bytes text)
{
	uint32_t point;

	for (size_t i = 0, size; i < text.size; i += size) {
		size = ks_utf8_next(&point, text.data + i, text.size - i);
		if (size == 0 || point > 0xff)
			return false;
	}
	return true;
}

bool ks_password_has(const struct ks_secret *secret, enum ks_password_form form, enum ks_kdf kdf)
{
	struct ks_bytes text = typed(secret);

	switch (form) {
	case KS_PASSWORD_UTF8:
		return true;
	case KS_PASSWORD_NULL:
		return text.size == 0 && kdf == KS_PKCS12_KDF;
	case KS_PASSWORD_LATIN1:
		if (is_ascii(text) || !ks_utf8_valid(text))
			return false;
		return kdf == KS_PKCS12_KDF || fits_latin1(text);
	case KS_PASSWORD_BMP:
		return kdf != KS_PKCS12_KDF && ks_utf8_valid(text);
	default:
		return false;
	}
}

/* Text that fits_latin1. */
static void put_latin1(struct ks_buffer *out, struct ks_bytes text)
{
	uint32_t point = 0;

	for (size_t i = 0; i < text.size;) {
		unsigned char byte;

		i += ks_utf8_next(&point, text.data + i, text.size - i);
		byte = (unsigned char)point;
		ks_buffer_put(out, &byte, 1);
	}
}

static void put_bmp(struct ks_buffer *out, struct ks_bytes text, bool latin1)
{
	ks_bmp_put(out, text, latin1);
	ks_buffer_put(out, "\0", 2);
}

static struct ks_buffer *password_bytes(const struct ks_secret *secret, enum ks_password_form form, enum ks_kdf kdf)
{
	struct ks_bytes text = typed(secret);
	ks_auto(buffer) out = ks_buffer_new_secret(2 * text.size + 2);

	if (!out)
		return NULL;
	if (form == KS_PASSWORD_NULL)
		return ks_take(out);
	if (kdf == KS_PKCS12_KDF)
		put_bmp(out, text, form == KS_PASSWORD_LATIN1);
	else if (form == KS_PASSWORD_BMP)
		put_bmp(out, text, false);
	else if (form == KS_PASSWORD_LATIN1)
		put_latin1(out, text);
	else
		ks_buffer_put(out, text.data, text.size);
	return out->status ? NULL : ks_take(out);
}

/* ---- the derivations ------------------------------------------------------------------------------------------------ */

static int derive_openssl(unsigned char *out, size_t size, struct ks_ctx *ctx, const char *name,
			  const OSSL_PARAM *params)
{
	EVP_KDF *kdf = EVP_KDF_fetch(ks_crypto(ctx), name, NULL);
	EVP_KDF_CTX *state = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	bool derived = state && EVP_KDF_derive(state, out, size, params) == 1;

	EVP_KDF_CTX_free(state);
	EVP_KDF_free(kdf);
	return derived ? 0
		       : ks_fail_openssl(ctx, KS_EALGORITHM, "OpenSSL cannot compute %s with these parameters", name);
}

static OSSL_PARAM octets(const char *key, struct ks_bytes bytes)
{
	return OSSL_PARAM_construct_octet_string(key, (void *)(bytes.data ? bytes.data : (const unsigned char *)""),
						 bytes.size);
}

static int derive_pbkdf2(unsigned char *out, size_t size, struct ks_ctx *ctx, const struct ks_derivation *how,
			 struct ks_bytes password)
{
	uint64_t iterations = how->iterations;
	int checks = 1; /* leaves NIST's lower bounds out: old files have short salts */
	OSSL_PARAM params[] = {
		octets(OSSL_KDF_PARAM_PASSWORD, password),
		octets(OSSL_KDF_PARAM_SALT, how->salt),
		OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_ITER, &iterations),
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)how->digest, 0),
		OSSL_PARAM_construct_int(OSSL_KDF_PARAM_PKCS5, &checks),
		OSSL_PARAM_construct_end(),
	};

	return derive_openssl(out, size, ctx, "PBKDF2", params);
}

static int derive_scrypt(unsigned char *out, size_t size, struct ks_ctx *ctx, const struct ks_derivation *how,
			 struct ks_bytes password)
{
	uint64_t n = how->iterations, limit = SCRYPT_MEMORY + (1 << 20);
	uint32_t r = (uint32_t)how->block, p = (uint32_t)how->parallel;
	OSSL_PARAM params[] = {
		octets(OSSL_KDF_PARAM_PASSWORD, password),
		octets(OSSL_KDF_PARAM_SALT, how->salt),
		OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_N, &n),
		OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_R, &r),
		OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_P, &p),
		OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_MAXMEM, &limit),
		OSSL_PARAM_construct_end(),
	};

	return derive_openssl(out, size, ctx, "SCRYPT", params);
}

static int derive_pkcs12(unsigned char *out, size_t size, struct ks_ctx *ctx, const struct ks_derivation *how,
			 enum ks_derive_for purpose, struct ks_bytes password)
{
	uint64_t iterations = how->iterations;
	int id = (int)purpose;
	OSSL_PARAM params[] = {
		octets(OSSL_KDF_PARAM_PASSWORD, password),
		octets(OSSL_KDF_PARAM_SALT, how->salt),
		OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_ITER, &iterations),
		OSSL_PARAM_construct_int(OSSL_KDF_PARAM_PKCS12_ID, &id),
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)how->digest, 0),
		OSSL_PARAM_construct_end(),
	};

	return derive_openssl(out, size, ctx, "PKCS12KDF", params);
}

/* RFC 8018 5.1; OpenSSL 3.0 has it only inside its own PBE code. */
static int derive_pbkdf1(unsigned char *out, size_t size, struct ks_ctx *ctx, const struct ks_derivation *how,
			 struct ks_bytes password)
{
	ks_auto_ssl(EVP_MD_CTX) state = EVP_MD_CTX_new();
	ks_auto_ssl(EVP_MD) digest = EVP_MD_fetch(ks_crypto(ctx), how->digest, NULL);
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned length = 0;
	bool good;

	if (!state || !digest)
		return ks_fail_openssl(ctx, KS_EALGORITHM, "OpenSSL has no %s", how->digest);
	good = EVP_DigestInit_ex2(state, digest, NULL) && EVP_DigestUpdate(state, password.data, password.size) &&
	       EVP_DigestUpdate(state, how->salt.data, how->salt.size) && EVP_DigestFinal_ex(state, hash, &length);
	for (uint64_t i = 1; good && i < how->iterations; i++)
		good = EVP_DigestInit_ex2(state, digest, NULL) && EVP_DigestUpdate(state, hash, length) &&
		       EVP_DigestFinal_ex(state, hash, &length);
	if (good && size <= length)
		memcpy(out, hash, size);
	OPENSSL_cleanse(hash, sizeof(hash));
	if (!good || size > length)
		return ks_fail_openssl(ctx, KS_EALGORITHM, "%s gives too few bytes for this cipher", how->digest);
	return 0;
}

static int scrypt_allowed(struct ks_ctx *ctx, const struct ks_derivation *how, const char *what)
{
	if (how->block == 0 || how->parallel == 0 || how->iterations < 2 || (how->iterations & (how->iterations - 1)))
		return ks_fail(ctx, KS_EDAMAGED, "the scrypt parameters of %s make no sense", what);
	if (how->iterations > SCRYPT_MEMORY / 128 / how->block || how->parallel > (1 << 24) / how->block ||
	    how->iterations > (1 << 24) / (how->block * how->parallel))
		return ks_fail(
			ctx, KS_ELIMIT,
			"scrypt for %s wants more than 256 MiB or 2^24 block operations (N %llu, r %llu, p %llu)", what,
			(unsigned long long)how->iterations, (unsigned long long)how->block,
			(unsigned long long)how->parallel);
	return 0;
}

static int pay(struct ks_ctx *ctx, const struct ks_derivation *how, const char *what)
{
	uint64_t rounds = how->iterations;
	int rc;

	if (how->kdf == KS_SCRYPT) {
		rc = scrypt_allowed(ctx, how, what);
		if (rc < 0)
			return rc;
		rounds = how->iterations * how->block * how->parallel;
	}
	if (rounds == 0)
		return ks_fail(ctx, KS_EDAMAGED, "the iteration count of %s is zero", what);
	return ks_spend(ctx, rounds, what);
}

/*
 * What was derived last. A store is written and then read back with the same password and salt, and the second time tells nothing
 * that the first did not. Keys and passwords stay in locked memory, few and not longer than the context.
 */
#define KNOWN 4
#define KNOWN_SALT 64

struct known {
	struct ks_derivation how;	/* its salt is `salt` */
	unsigned char salt[KNOWN_SALT];
	enum ks_derive_for purpose;
	enum ks_password_form form;
	struct ks_secret *secret;
	struct ks_buffer *key;
};

struct knowns {
	struct known rows[KNOWN];
	size_t next;
};

static const char knowns_key;

static void known_clear(struct known *row)
{
	ks_secret_free(row->secret);
	ks_buffer_free(row->key);
	*row = (struct known){ 0 };
}

static void knowns_end(struct ks_ctx *ctx, void *state)
{
	struct knowns *knowns = state;

	(void)ctx;
	for (size_t i = 0; i < KNOWN; i++)
		known_clear(&knowns->rows[i]);
	free(knowns);
}

static bool same_derivation(const struct ks_derivation *a, const struct ks_derivation *b)
{
	return a->kdf == b->kdf && a->iterations == b->iterations && a->block == b->block && a->parallel == b->parallel &&
	       (a->digest == b->digest || (a->digest && b->digest && strcmp(a->digest, b->digest) == 0)) &&
	       ks_bytes_equal(a->salt, b->salt);
}

static bool recall(unsigned char *out, size_t size, const struct known *asked, struct ks_ctx *ctx)
{
	const struct knowns *knowns = ks_ctx_kept(ctx, &knowns_key);

	for (size_t i = 0; knowns && i < KNOWN; i++) {
		const struct known *row = &knowns->rows[i];

		if (row->key && row->key->size == size && row->purpose == asked->purpose && row->form == asked->form &&
		    same_derivation(&row->how, &asked->how) && ks_secret_equal(row->secret, asked->secret)) {
			memcpy(out, row->key->data, size);
			return true;
		}
	}
	return false;
}

/* Without memory it is simply not remembered. */
static void remember(const unsigned char *derived, size_t size, const struct known *asked, struct ks_ctx *ctx)
{
	struct knowns *knowns;
	struct known *row;

	if (asked->how.salt.size > KNOWN_SALT)
		return;
	knowns = ks_ctx_keep_new(ctx, &knowns_key, sizeof(*knowns), knowns_end);
	if (!knowns) {
		ks_forgive(ctx);
		return;
	}
	row = &knowns->rows[knowns->next++ % KNOWN];
	known_clear(row);
	row->key = ks_buffer_new_secret(size);
	if (!row->key || ks_buffer_put(row->key, derived, size) < 0) {
		known_clear(row);
		return;
	}
	row->how = asked->how;
	if (asked->how.salt.size)
		memcpy(row->salt, asked->how.salt.data, asked->how.salt.size);
	row->how.salt.data = row->salt;
	row->purpose = asked->purpose;
	row->form = asked->form;
	row->secret = ks_secret_ref(asked->secret);
}

/* The derivations that are our own, when one of them is asked for. */
static bool derive_sha256(unsigned char *out, size_t size, const struct ks_derivation *how, enum ks_derive_for purpose,
			  struct ks_bytes password)
{
	unsigned char whole[KS_SHA256];

	if (size > KS_SHA256 || !how->digest || strcmp(how->digest, "SHA256") != 0)
		return false;
	if (how->kdf == KS_PBKDF2)
		ks_pbkdf2_sha256(whole, password, how->salt, how->iterations);
	else if (how->kdf == KS_PKCS12_KDF)
		ks_pkcs12_sha256(whole, how, purpose, password);
	else
		return false;
	memcpy(out, whole, size);
	OPENSSL_cleanse(whole, sizeof(whole));
	return true;
}

static int derive(unsigned char *out, size_t size, struct ks_ctx *ctx, const struct ks_derivation *how,
		  enum ks_derive_for purpose, const struct ks_secret *secret, enum ks_password_form form)
{
	ks_auto(buffer) password = password_bytes(secret, form, how->kdf);

	if (!password)
		return ks_nomem(ctx);
	if (derive_sha256(out, size, how, purpose, ks_buffer_bytes(password)))
		return 0;
	switch (how->kdf) {
	case KS_PBKDF1:
		return derive_pbkdf1(out, size, ctx, how, ks_buffer_bytes(password));
	case KS_PBKDF2:
		return derive_pbkdf2(out, size, ctx, how, ks_buffer_bytes(password));
	case KS_SCRYPT:
		return derive_scrypt(out, size, ctx, how, ks_buffer_bytes(password));
	default:
		return derive_pkcs12(out, size, ctx, how, purpose, ks_buffer_bytes(password));
	}
}

int ks_derive(unsigned char *out, size_t size, struct ks_ctx *ctx, const struct ks_derivation *how,
	      enum ks_derive_for purpose, const struct ks_secret *secret, enum ks_password_form form, const char *what)
{
	const struct known asked = { .how = *how, .purpose = purpose, .form = form, .secret = (struct ks_secret *)secret };
	int rc;

	if (recall(out, size, &asked, ctx))
		return 0;
	rc = pay(ctx, how, what);
	if (rc == 0)
		rc = derive(out, size, ctx, how, purpose, secret, form);
	if (rc == 0)
		remember(out, size, &asked, ctx);
	return rc;
}

/* ---- digests by OID -------------------------------------------------------------------------------------------------- */

#define OID(literal)                                                                                                   \
	{                                                                                                              \
		(const unsigned char *)(literal), sizeof(literal) - 1                                                  \
	}
#define RSADSI "\x2a\x86\x48\x86\xf7\x0d\x02"
#define NIST_HASH "\x60\x86\x48\x01\x65\x03\x04\x02"

static const struct digest {
	const char *name;
	size_t size;
	struct ks_bytes oid;
	struct ks_bytes hmac;
} digests[] = {
	{ "MD5", 16, OID(RSADSI "\x05"), OID(RSADSI "\x06") },
	{ "SHA1", 20, OID("\x2b\x0e\x03\x02\x1a"), OID(RSADSI "\x07") },
	{ "SHA224", 28, OID(NIST_HASH "\x04"), OID(RSADSI "\x08") },
	{ "SHA256", 32, OID(NIST_HASH "\x01"), OID(RSADSI "\x09") },
	{ "SHA384", 48, OID(NIST_HASH "\x02"), OID(RSADSI "\x0a") },
	{ "SHA512", 64, OID(NIST_HASH "\x03"), OID(RSADSI "\x0b") },
	{ "SHA512-224", 28, OID(NIST_HASH "\x05"), OID(RSADSI "\x0c") },
	{ "SHA512-256", 32, OID(NIST_HASH "\x06"), OID(RSADSI "\x0d") },
	{ "SHA3-224", 28, OID(NIST_HASH "\x07"), OID(NIST_HASH "\x0d") },
	{ "SHA3-256", 32, OID(NIST_HASH "\x08"), OID(NIST_HASH "\x0e") },
	{ "SHA3-384", 48, OID(NIST_HASH "\x09"), OID(NIST_HASH "\x0f") },
	{ "SHA3-512", 64, OID(NIST_HASH "\x0a"), OID(NIST_HASH "\x10") },
};

#define EACH_DIGEST(row)                                                                                               \
	(const struct digest *row = digests; row < digests + sizeof(digests) / sizeof(digests[0]); row++)

const char *ks_digest_of(struct ks_bytes oid)
{
	for
		EACH_DIGEST(row)
	if (ks_bytes_equal(row->oid, oid))
		return row->name;
	return NULL;
}

const char *ks_digest_of_hmac(struct ks_bytes oid)
{
	for
		EACH_DIGEST(row)
	if (ks_bytes_equal(row->hmac, oid))
		return row->name;
	return NULL;
}

size_t ks_digest_size(const char *digest)
{
	for
		EACH_DIGEST(row)
	if (strcmp(row->name, digest) == 0)
		return row->size;
	return 0;
}

struct ks_bytes ks_digest_oid(const char *digest)
{
	for
		EACH_DIGEST(row)
	if (strcmp(row->name, digest) == 0)
		return row->oid;
	return KS_NONE;
}

struct ks_bytes ks_hmac_oid(const char *digest)
{
	for
		EACH_DIGEST(row)
	if (strcmp(row->name, digest) == 0)
		return row->hmac;
	return KS_NONE;
}

static const char *oid_text(char *text, struct ks_bytes oid, bool named)
{
	unsigned char der[2 + 64];
	const unsigned char *at = der;
	ASN1_OBJECT *object = NULL;
	int nid;

	snprintf(text, 80, "(an object identifier that is none)");
	if (oid.size == 0 || oid.size > 64)
		return text;
	ks_der_header(der, KS_DER_OID, oid.size);
	memcpy(der + 2, oid.data, oid.size);
	object = d2i_ASN1_OBJECT(NULL, &at, (long)(2 + oid.size));
	if (object) {
		nid = named ? OBJ_obj2nid(object) : NID_undef;
		if (nid != NID_undef)
			snprintf(text, 80, "%s", OBJ_nid2ln(nid));
		else
			OBJ_obj2txt(text, 80, object, 1);
	}
	ASN1_OBJECT_free(object);
	ERR_clear_error();
	return text;
}

const char *ks_oid_name(char *text, struct ks_bytes oid)
{
	return oid_text(text, oid, true);
}

const char *ks_oid_dotted(char *text, struct ks_bytes oid)
{
	return oid_text(text, oid, false);
}
