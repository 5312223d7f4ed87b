/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "key.h"
#include "request.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

static struct ks_ctx *ctx;
static struct ks_set *set;

static int start(void **state)
{
	(void)state;
	if (ks_ctx_new(&ctx, NULL) < 0)
		return -1;
	return ks_set_new(&set, ctx);
}

static int finish(void **state)
{
	(void)state;
	EVP_PKEY_free(ks_take(key_of_item));
	ks_set_free(set);
	return ks_ctx_free(ctx);
}

static struct ks_buffer *make(const char *kind, const char *subject, const char *name)
{
	struct ks_item *key = key_make(set, ctx, kind);
	ks_auto_ssl(X509_NAME) parsed = NULL;
	struct ks_altnames names = { 0 };
	struct ks_buffer *der = NULL;

	assert_int_equal(ks_name_parse(&parsed, ctx, subject), 0);
	if (name)
		assert_int_equal(ks_altnames_add(&names, ctx, name), 0);
	assert_int_equal(ks_request_make(&der, ctx, key, parsed, &names), 0);
	ks_altnames_free(&names);
	return der;
}

static void every_kind_of_key_makes_a_request_that_openssl_verifies(void **state)
{
	static const char *const kinds[] = { "rsa:2048", "rsa-pss:2048", "p256", "p384", "p521", "ed25519", "ed448" };

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		ks_auto(buffer) der = make(kinds[i], "CN=colinpaice,O=HW,C=GB", "dns:a.example");
		const unsigned char *at = der->data;
		ks_auto_ssl(X509_REQ) request = d2i_X509_REQ(NULL, &at, (long)der->size);
		STACK_OF(X509_EXTENSION) *extensions;

		assert_non_null(request);
		assert_int_equal(X509_REQ_verify(request, X509_REQ_get0_pubkey(request)), 1);
		extensions = X509_REQ_get_extensions(request);
		assert_int_equal(sk_X509_EXTENSION_num(extensions), 1);
		sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
	}
}

static void what_was_written_is_read_back(void **state)
{
	ks_auto(buffer) der = make("p256", "CN=colinpaice,O=HW,C=GB", "dns:a.example");
	ks_auto(request) request = NULL;
	ks_auto_mem char *subject = NULL;

	(void)state;
	assert_int_equal(ks_request_read(&request, ctx, ks_buffer_bytes(der)), 0);
	subject = ks_name_text(request->subject);
	assert_string_equal(subject, "CN=colinpaice,O=HW,C=GB");
	assert_int_equal(request->names.count, 1);
	assert_string_equal(request->names.names[0].value, "a.example");
	assert_int_equal(request->key.type, KS_KEY_EC);
	assert_false(request->wants_ca);
	assert_null(request->unknown);
}

static void a_changed_request_proves_nothing(void **state)
{
	ks_auto(buffer) der = make("p256", "CN=colinpaice", NULL);
	ks_auto(request) request = NULL;
	unsigned char *letter = memmem(der->data, der->size, "colin", 5);

	(void)state;
	*letter = 'C';
	assert_int_equal(ks_request_read(&request, ctx, ks_buffer_bytes(der)), KS_EPROOF);
	assert_null(request);
}

static void no_truncated_request_is_accepted(void **state)
{
	ks_auto(buffer) der = make("p256", "CN=a", "dns:a.example");
	ks_auto(request) request = NULL;

	(void)state;
	for (size_t size = 0; size < der->size; size++)
		assert_true(ks_request_read(&request, ctx, KS_BYTES(der->data, size)) < 0);
	assert_null(request);
}

static void no_flipped_bit_is_accepted(void **state)
{
	ks_auto(buffer) der = make("p256", "CN=a", NULL);
	ks_auto(request) request = NULL;

	(void)state;
	for (size_t i = 0; i < der->size * 8; i += 3) {
		der->data[i / 8] ^= (unsigned char)(1 << i % 8);
		assert_true(ks_request_read(&request, ctx, ks_buffer_bytes(der)) < 0);
		der->data[i / 8] ^= (unsigned char)(1 << i % 8);
	}
	assert_null(request);
}

/* ---- requests that only a hostile or careless program would make ---- */

static void name_it(X509_REQ *request, const char *common)
{
	X509_NAME *name = X509_NAME_new();

	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)common, -1, -1, 0);
	X509_REQ_set_subject_name(request, name);
	X509_NAME_free(name);
}

static X509_REQ *begin(EVP_PKEY *key)
{
	X509_REQ *request = X509_REQ_new();

	name_it(request, "a");
	X509_REQ_set_pubkey(request, key);
	return request;
}

static int signed_and_read(struct ks_request **out, X509_REQ *request, EVP_PKEY *key, const EVP_MD *digest)
{
	unsigned char *der = NULL;
	int size, rc;

	assert_true(X509_REQ_sign(request, key, digest) > 0);
	size = i2d_X509_REQ(request, &der);
	rc = ks_request_read(out, ctx, KS_BYTES(der, (size_t)size));
	OPENSSL_free(der);
	X509_REQ_free(request);
	return rc;
}

static void wish_as(X509_REQ *request, int attribute, const char *config)
{
	STACK_OF(X509_EXTENSION) *extensions = sk_X509_EXTENSION_new_null();
	BIO *text = BIO_new_mem_buf(config, -1);
	CONF *conf = NCONF_new(NULL);
	X509V3_CTX how;

	assert_int_equal(NCONF_load_bio(conf, text, NULL), 1);
	X509V3_set_ctx(&how, NULL, NULL, request, NULL, 0);
	X509V3_set_nconf(&how, conf);
	assert_int_equal(X509V3_EXT_add_nconf_sk(conf, &how, "e", &extensions), 1);
	assert_int_equal(X509_REQ_add_extensions_nid(request, extensions, attribute), 1);
	sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
	NCONF_free(conf);
	BIO_free(text);
}

static void wish(X509_REQ *request, const char *config)
{
	wish_as(request, NID_ext_req, config);
}

static void an_rsa_key_of_1024_bits_is_too_weak(void **state)
{
	ks_auto_ssl(EVP_PKEY) key = EVP_RSA_gen(1024);
	ks_auto(request) request = NULL;

	(void)state;
	assert_int_equal(signed_and_read(&request, begin(key), key, EVP_sha256()), KS_EWEAK);
	assert_non_null(strstr(ks_ctx_text(ctx), "1024"));
}

static void a_signature_over_sha1_proves_nothing(void **state)
{
	ks_auto_ssl(EVP_PKEY) key = EVP_RSA_gen(2048);
	ks_auto(request) request = NULL;

	(void)state;
	assert_int_equal(signed_and_read(&request, begin(key), key, EVP_sha1()), KS_EALGORITHM);
}

static void a_curve_that_nobody_else_checks_is_refused(void **state)
{
	ks_auto_ssl(EVP_PKEY) key = EVP_EC_gen("secp256k1");
	ks_auto(request) request = NULL;

	(void)state;
	assert_int_equal(signed_and_read(&request, begin(key), key, EVP_sha256()), KS_EALGORITHM);
}

static void a_key_of_somebody_else_is_refused(void **state)
{
	ks_auto_ssl(EVP_PKEY) victim = EVP_EC_gen("P-256");
	ks_auto_ssl(EVP_PKEY) thief = EVP_EC_gen("P-256");
	ks_auto(request) request = NULL;

	(void)state;
	assert_int_equal(signed_and_read(&request, begin(victim), thief, EVP_sha256()), KS_EPROOF);
}

static void two_extension_requests_are_refused(void **state)
{
	ks_auto_ssl(EVP_PKEY) key = EVP_EC_gen("P-256");
	ks_auto(request) request = NULL;
	X509_REQ *made = begin(key);

	(void)state;
	wish(made, "[e]\nsubjectAltName=DNS:a.example\n");
	wish_as(made, NID_ms_ext_req, "[e]\nsubjectAltName=DNS:b.example\n");
	assert_int_equal(signed_and_read(&request, made, key, EVP_sha256()), KS_EDAMAGED);
	assert_non_null(strstr(ks_ctx_text(ctx), "two extension requests"));
}

static void wishes_are_listed(void **state)
{
	ks_auto_ssl(EVP_PKEY) key = EVP_EC_gen("P-256");
	ks_auto(request) request = NULL;
	X509_REQ *made = begin(key);

	(void)state;
	wish(made, "[e]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=digitalSignature\n1.2.3.4=critical,DER:0500\n"
		   "subjectAltName=DNS:a.example,IP:10.0.0.1\n");
	assert_int_equal(signed_and_read(&request, made, key, EVP_sha256()), 0);
	assert_true(request->wants_ca);
	assert_int_equal(request->names.count, 2);
	assert_string_equal(request->unknown[0], "1.2.3.4");
	assert_null(request->unknown[1]);
}

static void a_line_feed_in_the_subject_is_refused(void **state)
{
	ks_auto_ssl(EVP_PKEY) key = EVP_EC_gen("P-256");
	ks_auto(request) request = NULL;
	X509_REQ *made = X509_REQ_new();

	(void)state;
	name_it(made, "a\nV\tfake");
	X509_REQ_set_pubkey(made, key);
	assert_int_equal(signed_and_read(&request, made, key, EVP_sha256()), KS_EDAMAGED);
}

/* ---- PEM ---- */

static char *pem_of(struct ks_buffer *der, const char *name, int copies)
{
	BIO *text = BIO_new(BIO_s_mem());
	char *bytes, *out;
	long size;

	BIO_puts(text, "Certificate Request:\n    as openssl req -text prints it\n");
	for (int i = 0; i < copies; i++)
		PEM_write_bio(text, name, "", der->data, (long)der->size);
	size = BIO_get_mem_data(text, &bytes);
	out = strndup(bytes, (size_t)size);
	BIO_free(text);
	return out;
}

static void pem_with_text_before_it_is_read(void **state)
{
	ks_auto(buffer) der = make("p256", "CN=a", NULL);
	ks_auto_mem char *text = pem_of(der, "NEW CERTIFICATE REQUEST", 1);
	ks_auto(request) request = NULL;

	(void)state;
	assert_int_equal(ks_request_read(&request, ctx, ks_bytes_of(text)), 0);
	assert_true(ks_bytes_equal(request->der, ks_buffer_bytes(der)));
}

static void two_pem_requests_in_one_file_are_refused(void **state)
{
	ks_auto(buffer) der = make("p256", "CN=a", NULL);
	ks_auto_mem char *text = pem_of(der, "CERTIFICATE REQUEST", 2);
	ks_auto(request) request = NULL;

	(void)state;
	assert_int_equal(ks_request_read(&request, ctx, ks_bytes_of(text)), KS_EDAMAGED);
}

static void another_kind_of_pem_is_named(void **state)
{
	ks_auto(buffer) der = make("p256", "CN=a", NULL);
	ks_auto_mem char *text = pem_of(der, "CERTIFICATE", 1);
	ks_auto(request) request = NULL;

	(void)state;
	assert_int_equal(ks_request_read(&request, ctx, ks_bytes_of(text)), KS_EFORMAT);
	assert_non_null(strstr(ks_ctx_text(ctx), "CERTIFICATE"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_kind_of_key_makes_a_request_that_openssl_verifies, start, finish),
		cmocka_unit_test_setup_teardown(what_was_written_is_read_back, start, finish),
		cmocka_unit_test_setup_teardown(a_changed_request_proves_nothing, start, finish),
		cmocka_unit_test_setup_teardown(no_truncated_request_is_accepted, start, finish),
		cmocka_unit_test_setup_teardown(no_flipped_bit_is_accepted, start, finish),
		cmocka_unit_test_setup_teardown(an_rsa_key_of_1024_bits_is_too_weak, start, finish),
		cmocka_unit_test_setup_teardown(a_signature_over_sha1_proves_nothing, start, finish),
		cmocka_unit_test_setup_teardown(a_curve_that_nobody_else_checks_is_refused, start, finish),
		cmocka_unit_test_setup_teardown(a_key_of_somebody_else_is_refused, start, finish),
		cmocka_unit_test_setup_teardown(two_extension_requests_are_refused, start, finish),
		cmocka_unit_test_setup_teardown(wishes_are_listed, start, finish),
		cmocka_unit_test_setup_teardown(a_line_feed_in_the_subject_is_refused, start, finish),
		cmocka_unit_test_setup_teardown(pem_with_text_before_it_is_read, start, finish),
		cmocka_unit_test_setup_teardown(two_pem_requests_in_one_file_are_refused, start, finish),
		cmocka_unit_test_setup_teardown(another_kind_of_pem_is_named, start, finish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
