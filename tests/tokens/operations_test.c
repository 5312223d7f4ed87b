/* SPDX-License-Identifier: Apache-2.0 */
/* What a key in a token can do through EVP, each held against OpenSSL's own key with the same public half. */
#include "signing.h"

#include <openssl/cms.h>
#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>

#include <p11-kit/pkcs11.h>

#include <dlfcn.h>

KS_FREES_SSL(SSL)
KS_FREES_SSL(SSL_CTX)

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const hashes[] = { "SHA1", "SHA224", "SHA256", "SHA384", "SHA512" };

static void pair_made(struct pair *out, const char *kind)
{
	key_left(kind, kind);
	key_found(out, kind);
}

/* ---- signatures ---- */

/* Signs with the token and verifies in software, both with those parameters (which may be NULL). */
static bool holds(const struct pair *pair, const char *digest, const OSSL_PARAM *signing, const OSSL_PARAM *verifying)
{
	ks_auto_ssl(EVP_MD_CTX) sign = EVP_MD_CTX_new();
	ks_auto_ssl(EVP_MD_CTX) verify = EVP_MD_CTX_new();
	unsigned char signature[1024];
	size_t size = sizeof(signature);

	return EVP_DigestSignInit_ex(sign, NULL, digest, NULL, NULL, pair->key, signing) > 0 &&
	       EVP_DigestSign(sign, signature, &size, (const unsigned char *)"text", 4) > 0 &&
	       EVP_DigestVerifyInit_ex(verify, NULL, digest, NULL, NULL, pair->plain, verifying) > 0 &&
	       EVP_DigestVerify(verify, signature, size, (const unsigned char *)"text", 4) == 1;
}

static void every_hash_with_every_kind_of_key(void **state)
{
	static const char *const kinds[] = { "rsa:2048", "p256", "p384", "p521" };

	(void)state;
	for (size_t k = 0; k < COUNT(kinds); k++) {
		struct pair pair;

		pair_made(&pair, kinds[k]);
		for (size_t h = 0; h < COUNT(hashes); h++) {
			if (!holds(&pair, hashes[h], NULL, NULL))
				fail_msg("%s with %s", kinds[k], hashes[h]);
		}
		pair_free(&pair);
	}
}

static void pss_with_every_hash_and_salt_however_it_is_said(void **state)
{
	static const struct {
		const char *word;
		int number;
		int expected; /* bytes; -1 = those of the hash, -2 = the most */
	} salts[] = { { "digest", -1, -1 }, { "max", -3, -2 }, { "auto", -2, -2 }, { "0", 0, 0 }, { "20", 20, 20 } };
	struct pair pair;

	(void)state;
	pair_made(&pair, "rsa:2048");
	for (size_t h = 0; h < COUNT(hashes); h++) {
		int hash_size = EVP_MD_get_size(EVP_get_digestbyname(hashes[h]));

		for (size_t s = 0; s < COUNT(salts) * 2; s++) {
			int number = salts[s / 2].number, expected = salts[s / 2].expected,
			    padding = RSA_PKCS1_PSS_PADDING;
			OSSL_PARAM words[] = {
				OSSL_PARAM_construct_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, (char *)"pss", 0),
				OSSL_PARAM_construct_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN,
								 (char *)salts[s / 2].word, 0),
				OSSL_PARAM_construct_end(),
			};
			OSSL_PARAM numbers[] = {
				OSSL_PARAM_construct_int(OSSL_SIGNATURE_PARAM_PAD_MODE, &padding),
				OSSL_PARAM_construct_int(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, &number),
				OSSL_PARAM_construct_end(),
			};
			int size = expected == -1 ? hash_size : expected == -2 ? 256 - hash_size - 2 : expected;
			OSSL_PARAM verifying[] = {
				OSSL_PARAM_construct_int(OSSL_SIGNATURE_PARAM_PAD_MODE, &padding),
				OSSL_PARAM_construct_int(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, &size),
				OSSL_PARAM_construct_end(),
			};

			if (!holds(&pair, hashes[h], s % 2 ? words : numbers, verifying))
				fail_msg("%s, salt %s", hashes[h], salts[s / 2].word);
		}
	}
	pair_free(&pair);
}

static void a_hash_of_the_callers_own_is_signed_as_it_is(void **state)
{
	static const char *const kinds[] = { "rsa:2048", "p256" };
	unsigned char hash[32] = { 1, 2, 3 }, signature[512];

	(void)state;
	for (size_t i = 0; i < COUNT(kinds); i++) {
		for (int named = 0; named < 2; named++) {
			ks_auto_ssl(EVP_PKEY_CTX) sign = NULL;
			ks_auto_ssl(EVP_PKEY_CTX) verify = NULL;
			size_t size = sizeof(signature);
			struct pair pair;

			pair_made(&pair, kinds[i]);
			sign = EVP_PKEY_CTX_new_from_pkey(NULL, pair.key, NULL);
			verify = EVP_PKEY_CTX_new_from_pkey(NULL, pair.plain, NULL);
			assert_true(EVP_PKEY_sign_init(sign) > 0 && EVP_PKEY_verify_init(verify) > 0);
			if (named)
				assert_true(EVP_PKEY_CTX_set_signature_md(sign, EVP_sha256()) > 0 &&
					    EVP_PKEY_CTX_set_signature_md(verify, EVP_sha256()) > 0);
			assert_true(EVP_PKEY_sign(sign, signature, &size, hash, sizeof(hash)) > 0);
			assert_int_equal(EVP_PKEY_verify(verify, signature, size, hash, sizeof(hash)), 1);
			pair_free(&pair);
		}
	}
}

static void a_garbled_signature_is_caught(void **state)
{
	static const char *const kinds[] = { "rsa:2048", "p256", "ed25519" };

	(void)state;
	for (size_t i = 0; i < COUNT(kinds); i++)
		key_left(kinds[i], kinds[i]);
	for (size_t i = 0; i < COUNT(kinds); i++) {
		struct pair pair;

		again_with("C_Sign 3 garbage\n");
		key_found(&pair, kinds[i]);
		for (int n = 1; n <= 5; n++) {
			assert_int_equal(signs(&pair, n), n != 3);
			assert_int_equal(status_raised(), n == 3 ? KS_EPROOF : 0);
		}
		pair_free(&pair);
	}
}

/* ---- decryption ---- */

struct oaep {
	const char *digest, *mask, *label;
};

static void oaep_set(EVP_PKEY_CTX *pkey_ctx, const struct oaep *how)
{
	assert_true(EVP_PKEY_CTX_set_rsa_padding(pkey_ctx, RSA_PKCS1_OAEP_PADDING) > 0);
	if (how->digest)
		assert_true(EVP_PKEY_CTX_set_rsa_oaep_md_name(pkey_ctx, how->digest, NULL) > 0);
	if (how->mask)
		assert_true(EVP_PKEY_CTX_set_rsa_mgf1_md_name(pkey_ctx, how->mask, NULL) > 0);
	if (how->label)
		assert_true(EVP_PKEY_CTX_set0_rsa_oaep_label(pkey_ctx, OPENSSL_strdup(how->label),
							     (int)strlen(how->label)) > 0);
}

/* Sealed in software, opened by the token with `opening`; `spoil` turns a bit of the sealed message round. */
static bool opens(const struct pair *pair, const struct oaep *sealing, const struct oaep *opening, bool spoil)
{
	ks_auto_ssl(EVP_PKEY_CTX) seal = EVP_PKEY_CTX_new_from_pkey(NULL, pair->plain, NULL);
	ks_auto_ssl(EVP_PKEY_CTX) open = EVP_PKEY_CTX_new_from_pkey(NULL, pair->key, NULL);
	unsigned char sealed[256], opened[256];
	size_t sealed_size = sizeof(sealed), opened_size = sizeof(opened);

	assert_true(EVP_PKEY_encrypt_init(seal) > 0);
	oaep_set(seal, sealing);
	assert_true(EVP_PKEY_encrypt(seal, sealed, &sealed_size, (const unsigned char *)"text", 4) > 0);
	sealed[100] ^= spoil;
	assert_true(EVP_PKEY_decrypt_init(open) > 0);
	oaep_set(open, opening);
	return EVP_PKEY_decrypt(open, opened, &opened_size, sealed, sealed_size) > 0 && opened_size == 4 &&
	       memcmp(opened, "text", 4) == 0;
}

static void oaep_opens_with_every_hash_mask_and_label(void **state)
{
	static const char *const labels[] = { NULL, "a label" };
	struct pair pair;

	(void)state;
	pair_made(&pair, "rsa:2048");
	for (size_t h = 0; h < COUNT(hashes); h++) {
		for (size_t m = 0; m < COUNT(hashes); m++) {
			for (size_t l = 0; l < COUNT(labels); l++) {
				const struct oaep how = { hashes[h], hashes[m], labels[l] };

				if (!opens(&pair, &how, &how, false))
					fail_msg("%s, mask %s, label %s: %d %s", how.digest, how.mask,
						 l ? how.label : "none", status_raised(), ks_ctx_text(ctx));
			}
		}
	}
	pair_free(&pair);
}

static void oaep_that_does_not_fit_is_refused_without_saying_where(void **state)
{
	static const struct oaep plain = { "SHA256", "SHA256", "one" }, label = { "SHA256", "SHA256", "other" },
				 hash = { "SHA384", "SHA256", "one" }, mask = { "SHA256", "SHA1", "one" };
	const struct oaep *const wrong[] = { &label, &hash, &mask, &plain };
	struct pair pair;

	(void)state;
	pair_made(&pair, "rsa:2048");
	assert_true(opens(&pair, &plain, &plain, false));
	for (size_t i = 0; i < COUNT(wrong); i++) {
		ERR_clear_error();
		assert_false(opens(&pair, &plain, wrong[i], wrong[i] == &plain));
		assert_int_equal(status_raised(), KS_EDAMAGED);
		assert_non_null(strstr(ks_ctx_text(ctx), "cannot decrypt this"));
	}
	pair_free(&pair);
}

/* ---- key agreement ---- */

/* keystow makes no keys for agreement by itself; this permits it, as another program may have done. */
static void permit_derive(void)
{
	void *module = dlopen(getenv("KEYSTOW_TEST_MODULE"), RTLD_NOW | RTLD_LOCAL);
	CK_RV (*get)(CK_FUNCTION_LIST **) = NULL;
	CK_FUNCTION_LIST *functions = NULL;
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_ATTRIBUTE wanted = { CKA_CLASS, &class, sizeof(class) };
	CK_BBOOL yes = CK_TRUE;
	CK_ATTRIBUTE derive = { CKA_DERIVE, &yes, sizeof(yes) };
	CK_OBJECT_HANDLE found[8];
	CK_SESSION_HANDLE session;
	CK_SLOT_ID slots[8];
	CK_ULONG count = 8, objects = 0;

	assert_non_null(module);
	*(void **)&get = dlsym(module, "C_GetFunctionList");
	assert_int_equal(get(&functions), CKR_OK);
	assert_int_equal(functions->C_GetSlotList(CK_TRUE, slots, &count), CKR_OK);
	assert_int_equal(functions->C_OpenSession(slots[0], CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session),
			 CKR_OK);
	assert_int_equal(functions->C_FindObjectsInit(session, &wanted, 1), CKR_OK);
	assert_int_equal(functions->C_FindObjects(session, found, 8, &objects), CKR_OK);
	functions->C_FindObjectsFinal(session);
	for (CK_ULONG i = 0; i < objects; i++)
		assert_int_equal(functions->C_SetAttributeValue(session, found[i], &derive, 1), CKR_OK);
	functions->C_CloseSession(session);
	dlclose(module);
}

static EVP_PKEY *made_in_software(const char *curve)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", curve);

	assert_non_null(key);
	return key;
}

static size_t agreed(unsigned char out[256], EVP_PKEY *key, EVP_PKEY *peer, bool stretched)
{
	ks_auto_ssl(EVP_PKEY_CTX) derive = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	size_t size = 256;

	if (EVP_PKEY_derive_init(derive) <= 0 || EVP_PKEY_derive_set_peer(derive, peer) <= 0)
		return 0;
	if (stretched && (EVP_PKEY_CTX_set_ecdh_kdf_type(derive, EVP_PKEY_ECDH_KDF_X9_63) <= 0 ||
			  EVP_PKEY_CTX_set_ecdh_kdf_md(derive, EVP_sha256()) <= 0 ||
			  EVP_PKEY_CTX_set_ecdh_kdf_outlen(derive, 77) <= 0 ||
			  EVP_PKEY_CTX_set0_ecdh_kdf_ukm(derive, (unsigned char *)OPENSSL_strdup("ukm"), 3) <= 0))
		return 0;
	return EVP_PKEY_derive(derive, out, &size) > 0 ? size : 0;
}

static void both_sides_of_an_agreement_come_to_the_same(void **state)
{
	static const char *const kinds[] = { "p256", "p384", "p521" }, *const curves[] = { "P-256", "P-384", "P-521" };

	(void)state;
	for (size_t i = 0; i < COUNT(kinds); i++) {
		for (int stretched = 0; stretched < 2; stretched++) {
			EVP_PKEY *peer = made_in_software(curves[i]);
			unsigned char ours[256], theirs[256];
			struct pair pair;
			size_t size;

			pair_made(&pair, kinds[i]);
			permit_derive();
			size = agreed(ours, pair.key, peer, stretched);
			if (size == 0)
				fail_msg("%s: %d %s", kinds[i], status_raised(), ks_ctx_text(ctx));
			assert_int_equal(size, stretched ? 77 : (EVP_PKEY_get_bits(peer) + 7) / 8);
			assert_int_equal(agreed(theirs, peer, pair.plain, stretched), size);
			assert_memory_equal(ours, theirs, size);
			EVP_PKEY_free(peer);
			pair_free(&pair);
		}
	}
}

static void an_agreement_on_another_curve_or_without_permission_is_refused(void **state)
{
	EVP_PKEY *same = made_in_software("P-256"), *other = made_in_software("P-384");
	unsigned char secret[256];
	struct pair pair;

	(void)state;
	pair_made(&pair, "p256");
	assert_int_equal(agreed(secret, pair.key, other, false), 0);
	ERR_clear_error();
	assert_int_equal(agreed(secret, pair.key, same, false), 0);
	assert_int_equal(status_raised(), KS_EUNABLE);
	EVP_PKEY_free(same);
	EVP_PKEY_free(other);
	pair_free(&pair);
}

/* ---- what is built on it ---- */

static X509 *certificate_for(const struct pair *pair)
{
	X509 *certificate = X509_new();
	X509_NAME *name = X509_NAME_new();

	assert_non_null(certificate);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 4711);
	X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"token", -1, -1, 0);
	X509_set_subject_name(certificate, name);
	X509_set_issuer_name(certificate, name);
	X509_NAME_free(name);
	assert_int_equal(X509_set_pubkey(certificate, pair->plain), 1);
	if (!X509_sign(certificate, pair->key, pair->digest ? EVP_sha256() : NULL))
		fail_msg("X509_sign: %s", ERR_reason_error_string(ERR_peek_error()));
	return certificate;
}

static void a_message_for_an_ec_certificate_opens_with_the_token(void **state)
{
	ks_auto_ssl(BIO) text = BIO_new_mem_buf("text", 4);
	ks_auto_ssl(BIO) opened = BIO_new(BIO_s_mem());
	ks_auto_ssl(X509) certificate = NULL;
	STACK_OF(X509) *recipients = sk_X509_new_null();
	CMS_ContentInfo *cms;
	struct pair pair;
	char *read = NULL;

	(void)state;
	pair_made(&pair, "p256");
	permit_derive();
	certificate = certificate_for(&pair);
	assert_true(sk_X509_push(recipients, certificate) > 0);
	cms = CMS_encrypt(recipients, text, EVP_aes_128_cbc(), CMS_BINARY);
	assert_non_null(cms);
	if (CMS_decrypt(cms, pair.key, certificate, NULL, opened, 0) != 1)
		fail_msg("%s: %d %s", ERR_reason_error_string(ERR_peek_error()), status_raised(), ks_ctx_causes(ctx));
	assert_int_equal(BIO_get_mem_data(opened, &read), 4);
	assert_memory_equal(read, "text", 4);
	CMS_ContentInfo_free(cms);
	sk_X509_free(recipients);
	pair_free(&pair);
}

/* One end of a connection, with a token's key and certificate. */
static SSL *end_of(OSSL_LIB_CTX *crypto, const struct pair *pair, X509 *certificate, int version)
{
	ks_auto_ssl(SSL_CTX) tls = SSL_CTX_new_ex(crypto, NULL, TLS_method());
	SSL *ssl;

	assert_non_null(tls);
	assert_int_equal(SSL_CTX_set_min_proto_version(tls, version), 1);
	assert_int_equal(SSL_CTX_set_max_proto_version(tls, version), 1);
	assert_int_equal(SSL_CTX_use_certificate(tls, certificate), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(tls, pair->key), 1);
	assert_int_equal(SSL_CTX_check_private_key(tls), 1);
	assert_int_equal(X509_STORE_add_cert(SSL_CTX_get_cert_store(tls), certificate), 1);
	SSL_CTX_set_verify(tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	ssl = SSL_new(tls);
	assert_non_null(ssl);
	return ssl;
}

static bool shake_hands(SSL *server, SSL *client)
{
	BIO *one = NULL, *other = NULL;

	assert_int_equal(BIO_new_bio_pair(&one, 0, &other, 0), 1);
	SSL_set_bio(server, one, one);
	SSL_set_bio(client, other, other);
	SSL_set_accept_state(server);
	SSL_set_connect_state(client);
	for (int turn = 0; turn < 20 && !(SSL_is_init_finished(server) && SSL_is_init_finished(client)); turn++) {
		SSL_do_handshake(client);
		SSL_do_handshake(server);
	}
	return SSL_is_init_finished(server) && SSL_is_init_finished(client) &&
	       SSL_get_verify_result(client) == X509_V_OK && SSL_get_verify_result(server) == X509_V_OK;
}

static void tls_servers_and_clients_use_the_tokens_key(void **state)
{
	static const char *const kinds[] = { "rsa:2048", "p256", "ed25519" };
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

	(void)state;
	for (size_t k = 0; k < COUNT(kinds); k++) {
		ks_auto_ssl(X509) certificate = NULL;
		struct pair pair;

		pair_made(&pair, kinds[k]);
		certificate = certificate_for(&pair);
		for (size_t v = 0; v < COUNT(versions) * 2; v++) {
			OSSL_LIB_CTX *crypto = v % 2 ? NULL : ks_crypto(ctx); /* the host's own, or keystow's */
			ks_auto_ssl(SSL) server = end_of(crypto, &pair, certificate, versions[v / 2]);
			ks_auto_ssl(SSL) client = end_of(crypto, &pair, certificate, versions[v / 2]);

			if (!shake_hands(server, client))
				fail_msg("%s, TLS %x: %s", kinds[k], (unsigned)versions[v / 2],
					 ERR_reason_error_string(ERR_peek_error()));
		}
		pair_free(&pair);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_hash_with_every_kind_of_key),
		TEST(pss_with_every_hash_and_salt_however_it_is_said),
		TEST(a_hash_of_the_callers_own_is_signed_as_it_is),
		TEST(a_garbled_signature_is_caught),
		TEST(oaep_opens_with_every_hash_mask_and_label),
		TEST(oaep_that_does_not_fit_is_refused_without_saying_where),
		TEST(both_sides_of_an_agreement_come_to_the_same),
		TEST(an_agreement_on_another_curve_or_without_permission_is_refused),
		TEST(a_message_for_an_ec_certificate_opens_with_the_token),
		TEST(tls_servers_and_clients_use_the_tokens_key),
	};

	if (softhsm_absent()) {
		printf("1..0 # SKIP softhsm2 is not installed\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
