/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The MAC over a PKCS#12 store: HMAC under the PKCS#12 derivation (RFC 7292 4) or PBMAC1 (RFC 9579), read and written.
 *
 * OpenSSL 3.0 knows no PBMAC1 and no iteration limit, so both are done here. RFC 9579 4 wants the key length said and at least
 * 20 bytes: a shorter key could be found by trying.
 */
#include "pkcs12.h"

#include "hmac.h"
#include "random.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <string.h>

#define OID_PBMAC1 "\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0e"
#define OID_PBKDF2 "\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0c"
#define PBMAC1_KEY_MIN 20
#define NEW_ITERATIONS 10000 /* docs/decisions/0002 */
#define FEW_ITERATIONS 1000
#define SALT 16

/* ---- reading ---------------------------------------------------------------------------------------------------------- */

static int broken(struct ks_ctx *ctx)
{
	return ks_fail(ctx, KS_EDAMAGED, "the MAC of the store is damaged");
}

static int unknown(struct ks_ctx *ctx, struct ks_bytes oid)
{
	char name[80];

	return ks_hint(ctx,
		       ks_fail(ctx, KS_EALGORITHM,
			       "the MAC of the store is made with %s, which this build cannot compute",
			       ks_oid_name(name, oid)),
		       "write the store again with SHA-256 in the program it came from");
}

static int pbkdf2_read(struct ks_pkcs12_mac_way *way, struct ks_ctx *ctx, struct ks_bytes rest)
{
	struct ks_der parameters, salt, count, length;
	struct ks_bytes prf, none;
	uint64_t key_size;

	if (ks_der_only(&parameters, rest, KS_DER_SEQUENCE) < 0)
		return broken(ctx);
	rest = parameters.content;
	if (ks_der_expect(&salt, &rest, KS_DER_OCTETS) < 0 || ks_der_expect(&count, &rest, KS_DER_INTEGER) < 0 ||
	    ks_der_number(&way->derivation.iterations, count.content) < 0 || way->derivation.iterations == 0)
		return broken(ctx);
	if (!ks_der_maybe(&length, &rest, KS_DER_INTEGER))
		return ks_fail(ctx, KS_EDAMAGED, "the PBMAC1 of the store does not say how long its key is");
	if (ks_der_number(&key_size, length.content) < 0 || key_size < PBMAC1_KEY_MIN || key_size > KS_DERIVED_MAX)
		return ks_fail(ctx, KS_EDAMAGED,
			       "the PBMAC1 of the store has a key that is not between %d and %d bytes long",
			       PBMAC1_KEY_MIN, KS_DERIVED_MAX);
	way->derivation.kdf = KS_PBKDF2;
	way->derivation.digest = "SHA1";
	way->derivation.salt = salt.content;
	way->key_size = (size_t)key_size;
	if (rest.size == 0)
		return 0;
	if (ks_algorithm_next(&prf, &none, &rest) < 0 || rest.size)
		return broken(ctx);
	way->derivation.digest = ks_digest_of_hmac(prf);
	return way->derivation.digest ? 0 : unknown(ctx, prf);
}

static int pbmac1_read(struct ks_pkcs12_mac_way *way, struct ks_ctx *ctx, struct ks_bytes rest)
{
	struct ks_bytes kdf, kdf_parameters, mac, mac_parameters;
	struct ks_der parameters;
	int rc;

	if (ks_der_only(&parameters, rest, KS_DER_SEQUENCE) < 0)
		return broken(ctx);
	rest = parameters.content;
	if (ks_algorithm_next(&kdf, &kdf_parameters, &rest) < 0 ||
	    ks_algorithm_next(&mac, &mac_parameters, &rest) < 0 || rest.size)
		return broken(ctx);
	if (!ks_der_is(kdf, OID_PBKDF2))
		return unknown(ctx, kdf);
	rc = pbkdf2_read(way, ctx, kdf_parameters);
	if (rc < 0)
		return rc;
	way->kind = KS_MAC_PBMAC1;
	way->digest = ks_digest_of_hmac(mac);
	return way->digest ? 0 : unknown(ctx, mac);
}

static int classic_read(struct ks_pkcs12_mac_way *way, struct ks_ctx *ctx, struct ks_bytes digest, struct ks_bytes rest)
{
	struct ks_der salt, count;

	way->derivation.iterations = 1; /* DEFAULT */
	if (ks_der_expect(&salt, &rest, KS_DER_OCTETS) < 0)
		return broken(ctx);
	if (rest.size &&
	    (ks_der_only(&count, rest, KS_DER_INTEGER) < 0 ||
	     ks_der_number(&way->derivation.iterations, count.content) < 0 || way->derivation.iterations == 0))
		return broken(ctx);
	way->kind = KS_MAC_PKCS12;
	way->digest = ks_digest_of(digest);
	if (!way->digest)
		return unknown(ctx, digest);
	way->derivation.kdf = KS_PKCS12_KDF;
	way->derivation.digest = way->digest;
	way->derivation.salt = salt.content;
	way->key_size = ks_digest_size(way->digest);
	return 0;
}

int ks_pkcs12_mac_read(struct ks_pkcs12_mac_way *out, struct ks_ctx *ctx, struct ks_bytes mac_data)
{
	struct ks_pkcs12_mac_way way = { 0 };
	struct ks_bytes rest, inner, oid, parameters;
	struct ks_der outer, digest_info, value;
	int rc;

	if (ks_der_only(&outer, mac_data, KS_DER_SEQUENCE) < 0)
		return broken(ctx);
	rest = outer.content;
	if (ks_der_expect(&digest_info, &rest, KS_DER_SEQUENCE) < 0)
		return broken(ctx);
	inner = digest_info.content;
	if (ks_algorithm_next(&oid, &parameters, &inner) < 0 || ks_der_only(&value, inner, KS_DER_OCTETS) < 0)
		return broken(ctx);
	way.value = value.content;
	rc = ks_der_is(oid, OID_PBMAC1) ? pbmac1_read(&way, ctx, parameters) : classic_read(&way, ctx, oid, rest);
	if (rc < 0)
		return rc;
	*out = way;
	return 0;
}

const char *ks_pkcs12_mac_name(struct ks_set *set, const struct ks_pkcs12_mac_way *way)
{
	bool usual = way->form == KS_PASSWORD_UTF8;
	const char *as = usual ? "" : ", password as ", *form = usual ? "" : ks_password_form_name(way->form);

	if (way->kind == KS_MAC_PBMAC1)
		return ks_set_text(set, "PBMAC1, hmacWith%s (PBKDF2-HMAC-%s%s%s)", way->digest, way->derivation.digest,
				   as, form);
	return ks_set_text(set, "hmacWith%s (PKCS#12 KDF%s%s)", way->digest, as, form);
}

/* ---- computing -------------------------------------------------------------------------------------------------------- */

static int hmac_openssl(unsigned char out[EVP_MAX_MD_SIZE], size_t *size, struct ks_ctx *ctx, const char *digest,
			struct ks_bytes key, struct ks_bytes content)
{
	OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)digest, 0),
				OSSL_PARAM_construct_end() };
	EVP_MAC *mac = EVP_MAC_fetch(ks_crypto(ctx), "HMAC", NULL);
	EVP_MAC_CTX *state = mac ? EVP_MAC_CTX_new(mac) : NULL;
	bool good = state && EVP_MAC_init(state, key.data, key.size, params) == 1 &&
		    EVP_MAC_update(state, content.size ? content.data : (const unsigned char *)"", content.size) == 1 &&
		    EVP_MAC_final(state, out, size, EVP_MAX_MD_SIZE) == 1;

	EVP_MAC_CTX_free(state);
	EVP_MAC_free(mac);
	return good ? 0 : ks_fail_openssl(ctx, KS_EALGORITHM, "HMAC with %s could not be computed", digest);
}

static int hmac(unsigned char out[EVP_MAX_MD_SIZE], size_t *size, struct ks_ctx *ctx, const char *digest,
		struct ks_bytes key, struct ks_bytes content)
{
	struct ks_hmac keyed;

	if (strcmp(digest, "SHA256") != 0)
		return hmac_openssl(out, size, ctx, digest, key, content);
	ks_hmac_start(&keyed, key);
	ks_hmac_of(out, &keyed, content, KS_NONE);
	OPENSSL_cleanse(&keyed, sizeof(keyed));
	*size = KS_SHA256;
	return 0;
}

static int mac_compute(unsigned char out[EVP_MAX_MD_SIZE], size_t *size, struct ks_ctx *ctx,
		       const struct ks_pkcs12_mac_way *way, struct ks_bytes content, const struct ks_secret *secret,
		       enum ks_password_form form)
{
	unsigned char key[KS_DERIVED_MAX];
	int rc = ks_derive(key, way->key_size, ctx, &way->derivation, KS_DERIVE_MAC, secret, form,
			   "the MAC of the store");

	if (rc == 0)
		rc = hmac(out, size, ctx, way->digest, KS_BYTES(key, way->key_size), content);
	OPENSSL_cleanse(key, sizeof(key));
	return rc;
}

int ks_pkcs12_mac_verify(struct ks_pkcs12_mac_way *way, struct ks_ctx *ctx, struct ks_bytes content,
			 const struct ks_secret *secret)
{
	unsigned char value[EVP_MAX_MD_SIZE];
	size_t size = 0;
	int rc;

	for (enum ks_password_form form = 0; form < KS_PASSWORD_FORMS; form++) {
		if (!ks_password_has(secret, form, way->derivation.kdf))
			continue;
		rc = mac_compute(value, &size, ctx, way, content, secret, form);
		if (rc == KS_ELIMIT && form != KS_PASSWORD_UTF8)
			break;
		if (rc < 0)
			return rc;
		if (size == way->value.size && CRYPTO_memcmp(value, way->value.data, size) == 0) {
			way->form = form;
			return 0;
		}
	}
	return ks_hint(ctx, ks_fail(ctx, KS_EPASSWORD, "wrong password, or the file was changed"),
		       "try the password again; if it is right, take the file from a backup");
}

/* ---- writing ---------------------------------------------------------------------------------------------------------- */

bool ks_pkcs12_mac_strong(const struct ks_pkcs12_mac_way *way)
{
	return way->kind != KS_MAC_NONE && strcmp(way->digest, "MD5") != 0 &&
	       strcmp(way->derivation.digest, "MD5") != 0 && way->derivation.iterations >= FEW_ITERATIONS;
}

static void algorithm_put(struct ks_buffer *out, struct ks_bytes oid)
{
	size_t sequence = ks_der_open(out, KS_DER_SEQUENCE);

	ks_der_put(out, KS_DER_OID, oid);
	ks_der_put(out, KS_DER_NULL, KS_BYTES("", 0));
	ks_der_close(out, sequence);
}

static void pbmac1_put(struct ks_buffer *out, const struct ks_pkcs12_mac_way *way)
{
	size_t sequence = ks_der_open(out, KS_DER_SEQUENCE), parameters, kdf, inner;

	ks_der_put(out, KS_DER_OID, KS_BYTES(OID_PBMAC1, 9));
	parameters = ks_der_open(out, KS_DER_SEQUENCE);
	kdf = ks_der_open(out, KS_DER_SEQUENCE);
	ks_der_put(out, KS_DER_OID, KS_BYTES(OID_PBKDF2, 9));
	inner = ks_der_open(out, KS_DER_SEQUENCE);
	ks_der_put(out, KS_DER_OCTETS, way->derivation.salt);
	ks_der_put_number(out, way->derivation.iterations);
	ks_der_put_number(out, way->key_size);
	algorithm_put(out, ks_hmac_oid(way->derivation.digest));
	ks_der_close(out, inner);
	ks_der_close(out, kdf);
	algorithm_put(out, ks_hmac_oid(way->digest));
	ks_der_close(out, parameters);
	ks_der_close(out, sequence);
}

/* PBMAC1 leaves salt and count of MacData without meaning; RFC 9579's own examples write "NOT USED" and 1. */
static int mac_data_put(struct ks_buffer *out, const struct ks_pkcs12_mac_way *way, struct ks_bytes value)
{
	bool pbmac1 = way->kind == KS_MAC_PBMAC1;
	size_t outer = ks_der_open(out, KS_DER_SEQUENCE), info = ks_der_open(out, KS_DER_SEQUENCE);

	if (pbmac1)
		pbmac1_put(out, way);
	else
		algorithm_put(out, ks_digest_oid(way->digest));
	ks_der_put(out, KS_DER_OCTETS, value);
	ks_der_close(out, info);
	ks_der_put(out, KS_DER_OCTETS, pbmac1 ? ks_bytes_of("NOT USED") : way->derivation.salt);
	ks_der_put_number(out, pbmac1 ? 1 : way->derivation.iterations);
	return ks_der_close(out, outer);
}

int ks_pkcs12_mac_put(struct ks_buffer *out, struct ks_ctx *ctx, struct ks_bytes content,
		      const struct ks_secret *secret, const struct ks_pkcs12_mac_way *like, bool same_password)
{
	struct ks_pkcs12_mac_way way = {
		.kind = KS_MAC_PKCS12,
		.derivation = { .kdf = KS_PKCS12_KDF, .digest = "SHA256", .iterations = NEW_ITERATIONS },
		.digest = "SHA256",
		.key_size = 32
	};
	unsigned char salt[SALT], value[EVP_MAX_MD_SIZE];
	size_t size = 0;
	int rc;

	if (like && ks_pkcs12_mac_strong(like))
		way = *like;
	else if (like && like->kind != KS_MAC_NONE)
		ks_notice(ctx, KS_EWEAK, NULL, "",
			  "the MAC of the store was weak (HMAC with %s, %llu iterations); it is written with SHA-256",
			  like->digest, (unsigned long long)like->derivation.iterations);
	if (!ks_password_has(secret, way.form, way.derivation.kdf))
		way.form = KS_PASSWORD_UTF8;
	if (!same_password || way.derivation.salt.size < KS_KEPT_SALT) {
		rc = ks_random(ctx, salt, sizeof(salt));
		if (rc < 0)
			return rc;
		way.derivation.salt = KS_BYTES(salt, sizeof(salt));
	}
	rc = mac_compute(value, &size, ctx, &way, content, secret, way.form);
	if (rc < 0)
		return rc;
	return mac_data_put(out, &way, KS_BYTES(value, size));
}
