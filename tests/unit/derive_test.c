/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our HMAC and derivations over SHA-256, held against libcrypto's at every length where padding or repetition changes.
 */
#include "file/derive_pkcs12.h"
#include "hmac.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const size_t sizes[] = { 0, 1, 8, 31, 32, 54, 55, 56, 63, 64, 65, 127, 128, 129, 300 };
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static unsigned char letters[512];

static int fill(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(letters); i++)
		letters[i] = (unsigned char)(i * 37 + 11);
	return 0;
}

static void hmac_is_that_of_libcrypto(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES * SIZES; i++) {
		struct ks_bytes key = KS_BYTES(letters, sizes[i / SIZES]), message = KS_BYTES(letters + 99, sizes[i % SIZES]);
		struct ks_bytes head = KS_BYTES(message.data, message.size / 3);
		struct ks_bytes rest = KS_BYTES(message.data + head.size, message.size - head.size);
		unsigned char ours[KS_SHA256], theirs[KS_SHA256];
		struct ks_hmac keyed;
		size_t size = 0;

		assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key.data, key.size, message.data, message.size,
					  theirs, sizeof(theirs), &size));
		ks_hmac_start(&keyed, key);
		for (int twice = 0; twice < 2; twice++) {
			ks_hmac_of(ours, &keyed, head, rest);
			assert_memory_equal(ours, theirs, KS_SHA256);
		}
	}
}

static void pbkdf2_is_that_of_libcrypto(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES * SIZES; i++) {
		struct ks_bytes password = KS_BYTES(letters, sizes[i / SIZES]), salt = KS_BYTES(letters + 7, sizes[i % SIZES]);
		struct ks_derivation how = { .kdf = KS_PBKDF2, .digest = "SHA256", .salt = salt, .iterations = 1 + i % 5 };
		unsigned char ours[KS_SHA256], theirs[KS_SHA256];

		assert_int_equal(PKCS5_PBKDF2_HMAC((const char *)password.data, (int)password.size, salt.data, (int)salt.size,
						   (int)how.iterations, EVP_sha256(), KS_SHA256, theirs),
				 1);
		ks_pbkdf2_sha256(ours, password, how.salt, how.iterations);
		assert_memory_equal(ours, theirs, KS_SHA256);
	}
}

static void pkcs12_libcrypto(unsigned char out[KS_SHA256], const struct ks_derivation *how, enum ks_derive_for purpose,
			     struct ks_bytes password)
{
	uint64_t iterations = how->iterations;
	int id = (int)purpose;
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PASSWORD, (void *)password.data, password.size),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)how->salt.data, how->salt.size),
		OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_ITER, &iterations),
		OSSL_PARAM_construct_int(OSSL_KDF_PARAM_PKCS12_ID, &id),
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)how->digest, 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "PKCS12KDF", NULL);
	EVP_KDF_CTX *working = EVP_KDF_CTX_new(kdf);

	assert_int_equal(EVP_KDF_derive(working, out, KS_SHA256, params), 1);
	EVP_KDF_CTX_free(working);
	EVP_KDF_free(kdf);
}

static void the_pkcs12_derivation_is_that_of_libcrypto(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES * SIZES; i++) {
		struct ks_bytes password = KS_BYTES(letters, sizes[i / SIZES]), salt = KS_BYTES(letters + 7, sizes[i % SIZES]);
		struct ks_derivation how = { .kdf = KS_PKCS12_KDF, .digest = "SHA256", .salt = salt, .iterations = 1 + i % 5 };
		enum ks_derive_for purpose = KS_DERIVE_KEY + i % 3;
		unsigned char ours[KS_SHA256], theirs[KS_SHA256];

		if (!password.size && !salt.size)
			continue; /* OpenSSL 3.0 takes an allocation of nothing for a failed one */
		pkcs12_libcrypto(theirs, &how, purpose, password);
		ks_pkcs12_sha256(ours, &how, purpose, password);
		assert_memory_equal(ours, theirs, KS_SHA256);
	}
}

/* PBKDF2-HMAC-SHA256 of "password" and "salt" in 4,096 rounds, as RFC 6070's authors and everybody since publish it. */
static void pbkdf2_gives_the_published_answer(void **state)
{
	static const unsigned char published[KS_SHA256] = {
		0xc5, 0xe4, 0x78, 0xd5, 0x92, 0x88, 0xc8, 0x41, 0xaa, 0x53, 0x0d, 0xb6, 0x84, 0x5c, 0x4c, 0x8d,
		0x96, 0x28, 0x93, 0xa0, 0x01, 0xce, 0x4e, 0x11, 0xa4, 0x96, 0x38, 0x73, 0xaa, 0x98, 0x13, 0x4a,
	};
	const struct ks_derivation how = { .kdf = KS_PBKDF2, .digest = "SHA256", .salt = ks_bytes_of("salt"), .iterations = 4096 };
	unsigned char ours[KS_SHA256];

	(void)state;
	ks_pbkdf2_sha256(ours, ks_bytes_of("password"), how.salt, how.iterations);
	assert_memory_equal(ours, published, KS_SHA256);
}

static void every_digest_has_the_size_that_libcrypto_says(void **state)
{
	static const char *const names[] = { "MD5",	   "SHA1",	 "SHA224",   "SHA256",	 "SHA384",   "SHA512",
					     "SHA512-224", "SHA512-256", "SHA3-224", "SHA3-256", "SHA3-384", "SHA3-512" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		EVP_MD *digest = EVP_MD_fetch(NULL, names[i], NULL);

		assert_non_null(digest);
		assert_int_equal(ks_digest_size(names[i]), EVP_MD_get_size(digest));
		EVP_MD_free(digest);
	}
	assert_int_equal(ks_digest_size("none"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hmac_is_that_of_libcrypto),
		cmocka_unit_test(pbkdf2_is_that_of_libcrypto),
		cmocka_unit_test(the_pkcs12_derivation_is_that_of_libcrypto),
		cmocka_unit_test(pbkdf2_gives_the_published_answer),
		cmocka_unit_test(every_digest_has_the_size_that_libcrypto_says),
	};

	return cmocka_run_group_tests(tests, fill, NULL);
}
