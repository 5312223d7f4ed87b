/* SPDX-License-Identifier: Apache-2.0 */
/* Keys made in a token: what they are, what they sign, and what OpenSSL thinks of it. */
#include "softhsm.h"

#include "request.h"

#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <p11-kit/pkcs11.h>

#include <dlfcn.h>
#include <pthread.h>

static struct ks_where *where;
static struct ks_store *store;

static int start_open(void **state)
{
	if (start(state) < 0)
		return -1;
	where = where_of("pkcs11:token=KS");
	works(ks_store_open(&store, ctx, where, KS_WRITE | KS_LOGIN));
	return 0;
}

static int finish_open(void **state)
{
	ks_store_close(store);
	ks_where_free(where);
	return finish(state);
}

static struct ks_item *make(const char *kind, const char *label)
{
	struct ks_generate wish = { .label = ks_bytes_of(label) };
	struct ks_item *key = NULL;

	works(ks_keyspec_parse(&wish.spec, ctx, kind));
	if (wish.spec.type == KS_KEY_RSA)
		wish.uses = KS_USE_SIGN | KS_USE_DECRYPT;
	works(ks_store_generate(&key, store, &wish));
	return key;
}

static void every_kind_of_key_signs_a_request_that_openssl_verifies(void **state)
{
	static const char *const kinds[] = { "rsa:2048", "p256", "p384", "p521", "ed25519" };

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct ks_item *key = make(kinds[i], kinds[i]);
		ks_auto_ssl(X509_NAME) subject = NULL;
		ks_auto_ssl(X509_REQ) request = NULL;
		ks_auto(buffer) der = NULL;
		struct ks_altnames none = { 0 };
		const unsigned char *at;
		char spec[32];

		works(ks_name_parse(&subject, ctx, "CN=colinpaice"));
		works(ks_request_make(&der, ctx, key, subject, &none));
		at = der->data;
		request = d2i_X509_REQ(NULL, &at, (long)der->size);
		assert_non_null(request);
		assert_int_equal(X509_REQ_verify(request, X509_REQ_get0_pubkey(request)), 1);
		ks_keyspec_text(spec, &key->key);
		assert_non_null(strstr(spec, kinds[i][0] == 'p' ? kinds[i] + 1 : kinds[i]));
	}
}

static void a_new_key_is_private_to_the_token_and_says_so(void **state)
{
	struct ks_item *key = make("p256", "web"),
		       *public_key = ks_set_at(store->items, ks_set_count(store->items) - 1);

	(void)state;
	assert_int_equal(key->flags, KS_ON_DEVICE | KS_MADE_HERE | KS_SENSITIVE);
	assert_int_equal(public_key->kind, KS_PUBLIC_KEY);
	assert_int_equal(key->id.size, 20);
	assert_true(ks_bytes_equal(key->id, public_key->id));
	assert_true(ks_bytes_equal(key->spki, public_key->der));
	assert_true(ks_bytes_are(key->label, "web"));
}

static void the_private_half_cannot_be_exported_in_any_way(void **state)
{
	ks_auto_ssl(EVP_PKEY) key = NULL;
	ks_auto_ssl(BIO) out = BIO_new(BIO_s_mem());
	ks_auto(buffer) pkcs8 = NULL;
	OSSL_PARAM *params = NULL;
	PKCS12 *p12;

	(void)state;
	works(ks_item_pkey(&key, make("rsa:2048", "stays"), ctx));
	assert_int_equal(PEM_write_bio_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL), 0);
	p12 = PKCS12_create("x", "x", key, NULL, NULL, 0, 0, 0, 0, 0);
	assert_null(p12);
	assert_true(EVP_PKEY_todata(key, EVP_PKEY_KEYPAIR, &params) <= 0);
	assert_int_equal(ks_item_pkcs8(&pkcs8, ks_set_at(store->items, 0), ctx), KS_EUNABLE);
	assert_int_equal(PEM_write_bio_PUBKEY(out, key), 1);
}

static X509 *certificate_for(EVP_PKEY *key, EVP_PKEY *signer)
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
	assert_int_equal(X509_set_pubkey(certificate, key), 1);
	if (!X509_sign(certificate, signer, EVP_PKEY_is_a(signer, "ED25519") ? NULL : EVP_sha256()))
		fail_msg("X509_sign: %s", ERR_reason_error_string(ERR_peek_error()));
	return certificate;
}

static void certificates_and_cms_work_with_rsa_and_ec(void **state)
{
	static const char *const kinds[] = { "rsa:2048", "p384" };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		ks_auto_ssl(EVP_PKEY) key = NULL;
		ks_auto_ssl(X509) certificate = NULL;
		ks_auto_ssl(BIO) text = BIO_new_mem_buf("text", 4);
		CMS_ContentInfo *cms;

		works(ks_item_pkey(&key, make(kinds[i], kinds[i]), ctx));
		certificate = certificate_for(key, key);
		assert_int_equal(X509_verify(certificate, X509_get0_pubkey(certificate)), 1);
		assert_int_equal(X509_check_private_key(certificate, key), 1);
		cms = CMS_sign_ex(certificate, key, NULL, text, CMS_BINARY, ks_crypto(ctx), NULL);
		assert_non_null(cms);
		assert_int_equal(CMS_verify(cms, NULL, NULL, NULL, NULL, CMS_NO_SIGNER_CERT_VERIFY), 1);
		CMS_ContentInfo_free(cms);
	}
}

static int verifies(EVP_PKEY *key, const char *digest, const char *text, const unsigned char *signature, size_t size)
{
	ks_auto_ssl(EVP_MD_CTX) verify = EVP_MD_CTX_new();

	assert_true(EVP_DigestVerifyInit_ex(verify, NULL, digest, ks_crypto(ctx), NULL, key, NULL) > 0);
	return EVP_DigestVerify(verify, signature, size, (const unsigned char *)text, strlen(text)) == 1;
}

static void a_key_verifies_what_it_signed_and_nothing_else(void **state)
{
	static const struct {
		const char *kind, *digest;
	} kinds[] = { { "rsa:2048", "SHA512" }, { "p384", "SHA384" }, { "ed25519", NULL } };

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		ks_auto_ssl(EVP_PKEY) key = NULL;
		ks_auto_ssl(EVP_MD_CTX) sign = EVP_MD_CTX_new();
		unsigned char signature[512];
		size_t size = sizeof(signature);

		works(ks_item_pkey(&key, make(kinds[i].kind, kinds[i].kind), ctx));
		assert_true(EVP_DigestSignInit_ex(sign, NULL, kinds[i].digest, ks_crypto(ctx), NULL, key, NULL) > 0);
		assert_true(EVP_DigestSign(sign, signature, &size, (const unsigned char *)"text", 4) > 0);
		assert_true(verifies(key, kinds[i].digest, "text", signature, size));
		assert_false(verifies(key, kinds[i].digest, "test", signature, size));
		signature[size - 1] ^= 1;
		assert_false(verifies(key, kinds[i].digest, "text", signature, size));
		size = 1;
		assert_true(EVP_DigestSign(sign, signature, &size, (const unsigned char *)"text", 4) <= 0);
		ERR_clear_error();
	}
}

/* As a server does with a certificate file and a key: the certificate's key was never seen by our provider. */
static X509 *read_anew(X509 *certificate)
{
	unsigned char *der = NULL;
	int size = i2d_X509(certificate, &der);
	const unsigned char *at = der;
	X509 *again = d2i_X509(NULL, &at, size);

	OPENSSL_free(der);
	assert_non_null(again);
	return again;
}

static void a_certificate_from_elsewhere_is_matched_with_its_key_and_no_other(void **state)
{
	static const char *const kinds[] = { "rsa:2048", "p256", "ed25519" };

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		ks_auto_ssl(EVP_PKEY) key = NULL;
		ks_auto_ssl(EVP_PKEY) other = NULL;
		ks_auto_ssl(EVP_PKEY) same = NULL;
		ks_auto_ssl(X509) made = NULL;
		ks_auto_ssl(X509) certificate = NULL;

		works(ks_item_pkey(&key, make(kinds[i], "one"), ctx));
		works(ks_item_pkey(&other, make(kinds[i], "two"), ctx));
		made = certificate_for(key, key);
		certificate = read_anew(made);
		assert_int_equal(X509_check_private_key(certificate, key), 1);
		assert_int_equal(X509_check_private_key(certificate, other), 0);
		assert_int_equal(EVP_PKEY_eq(key, X509_get0_pubkey(certificate)), 1);
		assert_int_equal(EVP_PKEY_eq(other, X509_get0_pubkey(certificate)), 0);
		assert_int_not_equal(EVP_PKEY_eq(key, other), 1);
		same = EVP_PKEY_dup(key);
		assert_non_null(same);
		assert_int_equal(EVP_PKEY_eq(key, same), 1);
	}
}

static void a_message_encrypted_for_the_certificate_opens_with_the_token(void **state)
{
	static const unsigned flags[] = { 0, CMS_KEY_PARAM };
	ks_auto_ssl(EVP_PKEY) key = NULL;
	ks_auto_ssl(X509) made = NULL;
	ks_auto_ssl(X509) certificate = NULL;

	(void)state;
	works(ks_item_pkey(&key, make("rsa:2048", "reads"), ctx));
	made = certificate_for(key, key);
	certificate = read_anew(made);
	for (size_t i = 0; i < 2; i++) { /* PKCS#1 v1.5, then OAEP */
		ks_auto_ssl(BIO) text = BIO_new_mem_buf("text", 4);
		ks_auto_ssl(BIO) opened = BIO_new(BIO_s_mem());
		CMS_ContentInfo *cms = CMS_encrypt(NULL, NULL, EVP_aes_128_cbc(), CMS_BINARY | CMS_PARTIAL);
		CMS_RecipientInfo *recipient = CMS_add1_recipient_cert(cms, certificate, flags[i]);
		char *read = NULL;

		assert_non_null(recipient);
		if (flags[i])
			EVP_PKEY_CTX_set_rsa_padding(CMS_RecipientInfo_get0_pkey_ctx(recipient),
						     RSA_PKCS1_OAEP_PADDING);
		assert_int_equal(CMS_final(cms, text, NULL, CMS_BINARY), 1);
		if (CMS_decrypt(cms, key, certificate, NULL, opened, 0) != 1)
			fail_msg("%zu: %s", i, ERR_reason_error_string(ERR_peek_error()));
		assert_int_equal(BIO_get_mem_data(opened, &read), 4);
		assert_memory_equal(read, "text", 4);
		CMS_ContentInfo_free(cms);
	}
}

static void pss_signatures_verify_in_software(void **state)
{
	ks_auto_ssl(EVP_PKEY) key = NULL;
	ks_auto_ssl(EVP_PKEY) plain = NULL;
	ks_auto_ssl(EVP_MD_CTX) sign = EVP_MD_CTX_new();
	ks_auto_ssl(EVP_MD_CTX) verify = EVP_MD_CTX_new();
	struct ks_item *item = make("rsa:2048", "pss");
	unsigned char signature[512];
	const unsigned char *at = item->spki.data;
	size_t size = sizeof(signature);
	EVP_PKEY_CTX *pkey_ctx = NULL;

	(void)state;
	works(ks_item_pkey(&key, item, ctx));
	plain = d2i_PUBKEY(NULL, &at, (long)item->spki.size);
	assert_true(EVP_DigestSignInit_ex(sign, &pkey_ctx, "SHA384", ks_crypto(ctx), NULL, key, NULL) > 0);
	assert_true(EVP_PKEY_CTX_set_rsa_padding(pkey_ctx, RSA_PKCS1_PSS_PADDING) > 0);
	assert_true(EVP_DigestSign(sign, signature, &size, (const unsigned char *)"text", 4) > 0);
	assert_true(EVP_DigestVerifyInit(verify, &pkey_ctx, EVP_sha384(), NULL, plain) > 0);
	assert_true(EVP_PKEY_CTX_set_rsa_padding(pkey_ctx, RSA_PKCS1_PSS_PADDING) > 0);
	assert_true(EVP_PKEY_CTX_set_rsa_pss_saltlen(pkey_ctx, 48) > 0);
	assert_int_equal(EVP_DigestVerify(verify, signature, size, (const unsigned char *)"text", 4), 1);
}

static void pss_requests_carry_their_parameters(void **state)
{
	ks_auto_ssl(EVP_PKEY) key = NULL;
	ks_auto_ssl(X509_REQ) request = X509_REQ_new();
	ks_auto_ssl(EVP_MD_CTX) sign = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pkey_ctx = NULL;

	(void)state;
	works(ks_item_pkey(&key, make("rsa:2048", "pss"), ctx));
	assert_int_equal(X509_REQ_set_version(request, X509_REQ_VERSION_1), 1); /* OpenSSL 4 verifies none without */
	assert_int_equal(X509_REQ_set_pubkey(request, key), 1);
	assert_true(EVP_DigestSignInit_ex(sign, &pkey_ctx, "SHA256", ks_crypto(ctx), NULL, key, NULL) > 0);
	assert_true(EVP_PKEY_CTX_set_rsa_padding(pkey_ctx, RSA_PKCS1_PSS_PADDING) > 0);
	assert_true(X509_REQ_sign_ctx(request, sign) > 0);
	assert_int_equal(X509_REQ_get_signature_nid(request), NID_rsassaPss);
	assert_int_equal(X509_REQ_verify(request, X509_REQ_get0_pubkey(request)), 1);
}

static void what_is_encrypted_for_the_key_the_token_decrypts(void **state)
{
	static const int paddings[] = { RSA_PKCS1_PADDING, RSA_PKCS1_OAEP_PADDING };
	ks_auto_ssl(EVP_PKEY) key = NULL;

	(void)state;
	works(ks_item_pkey(&key, make("rsa:2048", "opens"), ctx));
	for (size_t i = 0; i < 2; i++) {
		ks_auto_ssl(EVP_PKEY_CTX) seal = EVP_PKEY_CTX_new_from_pkey(ks_crypto(ctx), key, NULL);
		ks_auto_ssl(EVP_PKEY_CTX) unseal = EVP_PKEY_CTX_new_from_pkey(ks_crypto(ctx), key, NULL);
		unsigned char sealed[512], opened[512];
		size_t sealed_size = sizeof(sealed), opened_size = sizeof(opened);

		assert_true(EVP_PKEY_encrypt_init(seal) > 0 && EVP_PKEY_CTX_set_rsa_padding(seal, paddings[i]) > 0);
		assert_true(EVP_PKEY_encrypt(seal, sealed, &sealed_size, (const unsigned char *)"text", 4) > 0);
		assert_true(EVP_PKEY_decrypt_init(unseal) > 0 && EVP_PKEY_CTX_set_rsa_padding(unseal, paddings[i]) > 0);
		assert_true(EVP_PKEY_decrypt(unseal, opened, &opened_size, sealed, sealed_size) > 0);
		assert_int_equal(opened_size, 4);
		assert_memory_equal(opened, "text", 4);
	}
}

static void keys_work_after_their_store_is_closed(void **state)
{
	ks_auto_ssl(EVP_PKEY) key = NULL;
	ks_auto_ssl(X509) certificate = NULL;

	(void)state;
	works(ks_item_pkey(&key, make("p256", "lives"), ctx));
	ks_store_close(ks_take(store));
	assert_int_equal(ks_ctx_free(ctx), KS_EBUSY);
	certificate = certificate_for(key, key);
	assert_int_equal(X509_verify(certificate, X509_get0_pubkey(certificate)), 1);
}

struct work {
	pthread_t thread;
	EVP_PKEY *key;
	int good;
};

static void *sign_often(void *argument)
{
	struct work *work = argument;

	for (int i = 0; i < 50; i++) {
		ks_auto_ssl(EVP_MD_CTX) sign = EVP_MD_CTX_new();
		unsigned char signature[512];
		size_t size = sizeof(signature);

		work->good += EVP_DigestSignInit_ex(sign, NULL, "SHA256", NULL, NULL, work->key, NULL) > 0 &&
			      EVP_DigestSign(sign, signature, &size, (const unsigned char *)&i, sizeof(i)) > 0;
	}
	return NULL;
}

static void one_key_signs_on_many_threads(void **state)
{
	ks_auto_ssl(EVP_PKEY) key = NULL;
	struct work works_[24] = { 0 };

	(void)state;
	works(ks_item_pkey(&key, make("p256", "busy"), ctx));
	for (size_t i = 0; i < 24; i++) {
		works_[i].key = key;
		assert_int_equal(pthread_create(&works_[i].thread, NULL, sign_often, &works_[i]), 0);
	}
	for (size_t i = 0; i < 24; i++) {
		pthread_join(works_[i].thread, NULL);
		assert_int_equal(works_[i].good, 50);
	}
}

/* As when the token was pulled out and put back: its sessions are gone, and with them the login. */
static void end_all_sessions(void)
{
	void *module = dlopen(getenv("KEYSTOW_TEST_MODULE"), RTLD_NOW | RTLD_LOCAL);
	CK_C_GetFunctionList get = NULL;
	CK_FUNCTION_LIST *functions = NULL;
	CK_SLOT_ID slots[8];
	CK_ULONG count = 8;

	assert_non_null(module);
	*(void **)&get = dlsym(module, "C_GetFunctionList");
	assert_int_equal(get(&functions), CKR_OK);
	assert_int_equal(functions->C_GetSlotList(CK_TRUE, slots, &count), CKR_OK);
	while (count)
		functions->C_CloseAllSessions(slots[--count]);
	dlclose(module);
}

static bool signs(EVP_PKEY *key)
{
	struct work work = { .key = key };

	sign_often(&work);
	ERR_clear_error();
	return work.good == 50;
}

static void a_key_whose_token_was_pulled_out_and_put_back_logs_in_once_and_signs(void **state)
{
	ks_auto_ssl(EVP_PKEY) before = NULL;
	ks_auto_ssl(EVP_PKEY) after = NULL;

	(void)state;
	works(ks_item_pkey(&before, make("p256", "lost"), ctx));
	one_key_signs_on_many_threads(state); /* so that many sessions are open */
	ks_store_close(ks_take(store));
	end_all_sessions();
	logins = times_asked = 0;
	assert_true(signs(before));
	works(ks_store_open(&store, ctx, where, KS_WRITE | KS_LOGIN));
	assert_int_equal(logins, 1);
	assert_int_equal(times_asked, 1);
	works(ks_item_pkey(&after, make("p256", "found"), ctx));
	assert_true(signs(after));
}

static void a_key_costs_five_calls_and_a_signature_two(void **state)
{
	struct ks_item *key;
	ks_auto_ssl(EVP_PKEY) pkey = NULL;
	ks_auto_ssl(X509) certificate = NULL;
	int before;

	(void)state;
	make("p256", "first");
	before = calls;
	key = make("p256", "second");
	assert_int_equal(calls - before, 5); /* C_GenerateKeyPair, one look at each half, and a signature that proves them */
	works(ks_item_pkey(&pkey, key, ctx));
	before = calls;
	certificate = certificate_for(pkey, pkey);
	assert_int_equal(calls - before, 2); /* C_SignInit, C_Sign */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start_open, finish_open)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_kind_of_key_signs_a_request_that_openssl_verifies),
		TEST(a_new_key_is_private_to_the_token_and_says_so),
		TEST(the_private_half_cannot_be_exported_in_any_way),
		TEST(certificates_and_cms_work_with_rsa_and_ec),
		TEST(a_key_verifies_what_it_signed_and_nothing_else),
		TEST(a_certificate_from_elsewhere_is_matched_with_its_key_and_no_other),
		TEST(a_message_encrypted_for_the_certificate_opens_with_the_token),
		TEST(pss_signatures_verify_in_software),
		TEST(pss_requests_carry_their_parameters),
		TEST(what_is_encrypted_for_the_key_the_token_decrypts),
		TEST(keys_work_after_their_store_is_closed),
		TEST(one_key_signs_on_many_threads),
		TEST(a_key_whose_token_was_pulled_out_and_put_back_logs_in_once_and_signs),
		TEST(a_key_costs_five_calls_and_a_signature_two),
	};

	if (softhsm_absent()) {
		printf("1..0 # SKIP softhsm2 is not installed\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
