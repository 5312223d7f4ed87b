/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "ca.h"
#include "certificate.h"
#include "key.h"
#include "room.h"

#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct ks_ctx *ctx;
static struct ks_set *set;
static char room[64], dir[96];
static unsigned asked;

/* Gives the password "right". */
static int answer(void *user, struct ks_ctx *asking, const struct ks_question *question, struct ks_secret *into)
{
	(void)user;
	asked++;
	assert_string_equal(question->source, "file:pin");
	return ks_secret_append(into, asking, "right", 5);
}

static int start(void **state)
{
	struct ks_settings settings = { .hooks.ask = answer, .wait_seconds = 60 };

	(void)state;
	asked = 0;
	strcpy(room, "/tmp/keystow-ca-XXXXXX");
	if (!mkdtemp(room))
		return -1;
	snprintf(dir, sizeof(dir), "%s/ca", room);
	return ks_ctx_new(&ctx, &settings) < 0 ? -1 : ks_set_new(&set, ctx);
}

static int finish(void **state)
{
	(void)state;
	EVP_PKEY_free(ks_take(key_of_item));
	ks_set_free(set);
	remove_all(room);
	return ks_ctx_free(ctx);
}

static void init(const char *subject, const char *kind, unsigned days)
{
	struct ks_ca_wish wish = { .subject = subject, .days = days };

	if (kind)
		assert_int_equal(ks_keyspec_parse(&wish.spec, ctx, kind), 0);
	assert_int_equal(ks_ca_init(ctx, dir, &wish), 0);
}

static struct ks_ca *open_ca(void)
{
	struct ks_ca *ca = NULL;

	assert_int_equal(ks_ca_open(&ca, ctx, dir, NULL), 0);
	return ca;
}

static struct ks_request *request_of(const char *kind, const char *subject, const char *name)
{
	struct ks_item *key = key_make(set, ctx, kind);
	ks_auto_ssl(X509_NAME) parsed = NULL;
	struct ks_altnames names = { 0 };
	struct ks_request *request = NULL;

	assert_int_equal(ks_name_parse(&parsed, ctx, subject), 0);
	if (name)
		assert_int_equal(ks_altnames_add(&names, ctx, name), 0);
	assert_int_equal(ks_request_write(&request, ctx, key, parsed, &names), 0);
	ks_altnames_free(&names);
	return request;
}

static int sign(struct ks_buffer **out, struct ks_ca *ca, struct ks_request *request, const char *profile_name,
		unsigned days)
{
	ks_auto(profile) profile = NULL;
	struct ks_sign_wish wish = { .days = days };

	assert_int_equal(ks_profile_find(&profile, ctx, ks_ca_dir(ca), profile_name), 0);
	wish.profile = profile;
	return ks_ca_sign(out, ca, &request, 1, &wish);
}

static int count_complete(void *user, const struct ks_issued *issued)
{
	size_t *counts = user;

	counts[issued->der != NULL]++;
	return 0;
}

/* Rows with and without a certificate. */
static void rows(size_t counts[2], struct ks_ca *ca)
{
	counts[0] = counts[1] = 0;
	assert_int_equal(ks_ledger_each(ks_ca_ledger(ca), count_complete, counts), 0);
}

static int verify_strictly(struct ks_ca *ca, struct ks_buffer *der, int purpose)
{
	const unsigned char *at = der->data;
	ks_auto_ssl(X509) leaf = d2i_X509(NULL, &at, (long)der->size);
	X509_STORE *trusted = X509_STORE_new();
	X509_STORE_CTX *check = X509_STORE_CTX_new();
	int good;

	assert_non_null(leaf);
	X509_STORE_add_cert(trusted, ks_item_x509(ks_ca_certificate(ca), ctx));
	X509_STORE_CTX_init(check, trusted, leaf, NULL);
	X509_STORE_CTX_set_flags(check, X509_V_FLAG_X509_STRICT | X509_V_FLAG_CHECK_SS_SIGNATURE);
	X509_STORE_CTX_set_purpose(check, purpose);
	good = X509_verify_cert(check);
	if (good != 1)
		print_message("# %s\n", X509_verify_cert_error_string(X509_STORE_CTX_get_error(check)));
	X509_STORE_CTX_free(check);
	X509_STORE_free(trusted);
	return good;
}

static void every_kind_of_ca_and_key_gives_chains_that_verify_strictly(void **state)
{
	static const char *const kinds[] = { "p256", "rsa:2048", "rsa-pss:2048", "p384", "p521", "ed25519" };

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		__attribute__((cleanup(ks_ca_freep))) struct ks_ca *ca = NULL;
		ks_auto(request) request = request_of(kinds[(i + 1) % 6], "CN=www,O=HW", "dns:www.example.org");
		ks_auto(buffer) der = NULL;

		snprintf(dir, sizeof(dir), "%s/ca%zu", room, i);
		init("CN=keystow test CA,O=HW,C=GB", kinds[i], 0);
		ca = open_ca();
		assert_int_equal(sign(&der, ca, request, "server", 0), 0);
		assert_int_equal(verify_strictly(ca, der, X509_PURPOSE_SSL_SERVER), 1);
		assert_int_not_equal(verify_strictly(ca, der, X509_PURPOSE_SMIME_SIGN), 1);
	}
}

static void the_folder_is_complete_and_for_its_owner(void **state)
{
	static const char *const names[] = { "ca.conf", "ca.pem", "ca.key", "ledger.db", "profiles", "crl" };
	char path[160];
	struct stat seen;

	(void)state;
	init("CN=a", NULL, 0);
	assert_int_equal(stat(dir, &seen), 0);
	assert_int_equal(seen.st_mode & 07777, 0700);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		assert_int_equal(stat(path, &seen), 0);
		if (strcmp(names[i], "ca.key") == 0 || strcmp(names[i], "ledger.db") == 0)
			assert_int_equal(seen.st_mode & 07777, 0600);
	}
}

static void a_second_init_changes_nothing(void **state)
{
	struct ks_ca_wish wish = { .subject = "CN=b" };
	__attribute__((cleanup(ks_ca_freep))) struct ks_ca *ca = NULL;
	X509 *certificate;
	char name[64];

	(void)state;
	init("CN=a", NULL, 0);
	assert_int_equal(ks_ca_init(ctx, dir, &wish), KS_EEXISTS);
	ca = open_ca();
	certificate = ks_item_x509(ks_ca_certificate(ca), ctx);
	X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof(name));
	assert_string_equal(name, "a");
}

static void a_wrong_subject_leaves_no_folder(void **state)
{
	struct ks_ca_wish wish = { .subject = "XX=b" };

	(void)state;
	assert_int_equal(ks_ca_init(ctx, dir, &wish), KS_EUSAGE);
	assert_int_equal(access(dir, F_OK), -1);
}

static void a_sealed_key_is_asked_for_once_and_only_to_sign(void **state)
{
	struct ks_ca_wish wish = { .subject = "CN=a" };
	__attribute__((cleanup(ks_ca_freep))) struct ks_ca *ca = NULL;
	ks_auto(request) request = request_of("p256", "CN=leaf", NULL);
	ks_auto(buffer) one = NULL;
	ks_auto(buffer) two = NULL;
	ks_auto(secret) password = NULL;

	(void)state;
	assert_int_equal(ks_secret_new(&password, ctx), 0);
	assert_int_equal(ks_secret_append(password, ctx, "right", 5), 0);
	wish.password = password;
	assert_int_equal(ks_ca_init(ctx, dir, &wish), 0);
	assert_int_equal(ks_ca_open(&ca, ctx, dir, "file:pin"), 0);
	assert_int_equal(asked, 0);
	assert_int_equal(sign(&one, ca, request, "client", 0), 0);
	assert_int_equal(sign(&two, ca, request, "client", 0), 0);
	assert_int_equal(asked, 1);
}

static void the_leaf_says_what_was_asked_for(void **state)
{
	__attribute__((cleanup(ks_ca_freep))) struct ks_ca *ca = NULL;
	ks_auto(request) request = request_of("p256", "CN=colinpaice,O=HW,C=GB", "email:colin@example.org");
	struct ks_certificate_facts facts;
	struct ks_altnames names = { 0 };
	ks_auto_mem char *subject = NULL;
	ks_auto(issued) row = NULL;
	ks_auto(buffer) der = NULL;
	unsigned char spki[KS_SHA256];

	(void)state;
	init("CN=ca", NULL, 0);
	ca = open_ca();
	assert_int_equal(sign(&der, ca, request, "client", 30), 0);
	assert_int_equal(ks_certificate_facts(&facts, ks_buffer_bytes(der)), 0);
	subject = ks_name_text(facts.subject);
	assert_string_equal(subject, "CN=colinpaice,O=HW,C=GB");
	assert_true(ks_bytes_equal(facts.spki, request->spki));
	assert_true(facts.not_after - time(NULL) >= 30 * 86400 - 60);
	assert_true(facts.not_after - time(NULL) <= 30 * 86400);
	assert_int_equal(ks_altnames_read(&names, ctx, facts.alternative_names), 0);
	assert_true(ks_altnames_equal(&names, &request->names));
	ks_altnames_free(&names);
	ks_sha256(spki, facts.spki);
	assert_int_equal(ks_ledger_find_key(&row, ks_ca_ledger(ca), spki), 0);
	assert_true(ks_bytes_equal(ks_buffer_bytes(row->der), ks_buffer_bytes(der)));
	assert_true(ks_bytes_equal(KS_BYTES(row->serial, KS_SERIAL), facts.serial));
	assert_string_equal(row->profile, "client");
	assert_string_equal(row->names, "email:colin@example.org");
}

static void a_leaf_that_outlives_its_ca_is_refused_with_the_days_that_are_left(void **state)
{
	__attribute__((cleanup(ks_ca_freep))) struct ks_ca *ca = NULL;
	ks_auto(request) request = request_of("p256", "CN=leaf", NULL);
	ks_auto(buffer) der = NULL;
	size_t counts[2];

	(void)state;
	init("CN=ca", NULL, 20);
	ca = open_ca();
	assert_int_equal(sign(&der, ca, request, "client", 0), KS_EEXPIRED);
	assert_non_null(strstr(ks_ctx_hint(ctx), "--days "));
	rows(counts, ca);
	assert_int_equal(counts[0] + counts[1], 0);
	assert_int_equal(sign(&der, ca, request, "client", 19), 0);
}

/* Replaces ca.pem by one that ended yesterday, made with the CA's own key. */
static void expire(void)
{
	char path[160];
	FILE *file;
	EVP_PKEY *key;
	X509 *certificate;

	snprintf(path, sizeof(path), "%s/ca.key", dir);
	file = fopen(path, "r");
	key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
	fclose(file);
	snprintf(path, sizeof(path), "%s/ca.pem", dir);
	file = fopen(path, "r");
	certificate = PEM_read_X509(file, NULL, NULL, NULL);
	fclose(file);
	X509_gmtime_adj(X509_getm_notBefore(certificate), -10L * 86400);
	X509_gmtime_adj(X509_getm_notAfter(certificate), -86400);
	assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
	file = fopen(path, "w");
	PEM_write_X509(file, certificate);
	fclose(file);
	X509_free(certificate);
	EVP_PKEY_free(key);
}

static void an_expired_ca_signs_nothing(void **state)
{
	__attribute__((cleanup(ks_ca_freep))) struct ks_ca *ca = NULL;
	ks_auto(request) request = request_of("p256", "CN=leaf", NULL);
	ks_auto(buffer) der = NULL;
	size_t counts[2];

	(void)state;
	init("CN=ca", NULL, 0);
	expire();
	ca = open_ca();
	assert_int_equal(sign(&der, ca, request, "client", 1), KS_EEXPIRED);
	assert_null(der);
	rows(counts, ca);
	assert_int_equal(counts[0] + counts[1], 0);
}

static void a_key_of_another_ca_signs_nothing(void **state)
{
	__attribute__((cleanup(ks_ca_freep))) struct ks_ca *ca = NULL;
	ks_auto(request) request = request_of("p256", "CN=leaf", NULL);
	ks_auto(buffer) der = NULL;
	char one[160], two[160];

	(void)state;
	init("CN=one", NULL, 0);
	snprintf(one, sizeof(one), "%s/ca.key", dir);
	snprintf(dir, sizeof(dir), "%s/other", room);
	init("CN=two", NULL, 0);
	snprintf(two, sizeof(two), "%s/ca.key", dir);
	assert_int_equal(rename(one, two), 0);
	ca = open_ca();
	assert_int_equal(sign(&der, ca, request, "client", 0), KS_EMISMATCH);
}

static void a_refused_wish_costs_no_serial(void **state)
{
	__attribute__((cleanup(ks_ca_freep))) struct ks_ca *ca = NULL;
	ks_auto(request) request = request_of("p256", "CN=leaf", "email:a@example.org");
	ks_auto(buffer) der = NULL;
	size_t counts[2];

	(void)state;
	init("CN=ca", NULL, 0);
	ca = open_ca();
	assert_int_equal(sign(&der, ca, request, "server", 0), KS_EPROFILE);
	assert_null(der);
	rows(counts, ca);
	assert_int_equal(counts[0] + counts[1], 0);
}

static void a_dry_run_writes_nothing(void **state)
{
	__attribute__((cleanup(ks_ca_freep))) struct ks_ca *ca = NULL;
	ks_auto(request) request = request_of("p256", "CN=leaf", NULL);
	ks_auto(profile) profile = NULL;
	struct ks_sign_wish wish = { .dry_run = true };
	struct ks_buffer *der = NULL;
	size_t counts[2];

	(void)state;
	init("CN=ca", NULL, 0);
	ca = open_ca();
	assert_int_equal(ks_profile_find(&profile, ctx, NULL, "client"), 0);
	wish.profile = profile;
	assert_int_equal(ks_ca_sign(&der, ca, &request, 1, &wish), 0);
	assert_null(der);
	rows(counts, ca);
	assert_int_equal(counts[0] + counts[1], 0);
}

static void a_ca_below_this_one_may_sign_for_end_entities_only(void **state)
{
	__attribute__((cleanup(ks_ca_freep))) struct ks_ca *ca = NULL;
	ks_auto(request) request = request_of("p256", "CN=sub", NULL);
	struct ks_certificate_facts facts;
	ks_auto(buffer) der = NULL;

	(void)state;
	init("CN=ca", NULL, 0);
	ca = open_ca();
	assert_int_equal(sign(&der, ca, request, "ca", 0), 0);
	assert_int_equal(ks_certificate_facts(&facts, ks_buffer_bytes(der)), 0);
	assert_true(facts.is_ca);
	assert_int_equal(facts.path_length, 0);
}

static void names_of_the_signer_are_joined_once_and_under_the_profile(void **state)
{
	__attribute__((cleanup(ks_ca_freep))) struct ks_ca *ca = NULL;
	ks_auto(request) request = request_of("p256", "CN=leaf", "dns:a.example");
	ks_auto(profile) profile = NULL;
	struct ks_altnames more = { 0 }, names = { 0 };
	struct ks_sign_wish wish = { .names = &more };
	struct ks_certificate_facts facts;
	ks_auto(buffer) der = NULL;

	(void)state;
	init("CN=ca", NULL, 0);
	ca = open_ca();
	assert_int_equal(ks_profile_find(&profile, ctx, NULL, "server"), 0);
	wish.profile = profile;
	assert_int_equal(ks_altnames_add(&more, ctx, "dns:a.example"), 0);
	assert_int_equal(ks_altnames_add(&more, ctx, "ip:10.0.0.1"), 0);
	assert_int_equal(ks_ca_sign(&der, ca, &request, 1, &wish), 0);
	assert_int_equal(ks_certificate_facts(&facts, ks_buffer_bytes(der)), 0);
	assert_int_equal(ks_altnames_read(&names, ctx, facts.alternative_names), 0);
	assert_int_equal(names.count, 2);
	assert_int_equal(ks_altnames_add(&more, ctx, "email:a@example.org"), 0);
	ks_buffer_free(ks_take(der));
	assert_int_equal(ks_ca_sign(&der, ca, &request, 1, &wish), KS_EPROFILE);
	ks_altnames_free(&more);
	ks_altnames_free(&names);
}

static void more_names_than_the_ledger_holds_are_refused_and_not_cut(void **state)
{
	__attribute__((cleanup(ks_ca_freep))) struct ks_ca *ca = NULL;
	ks_auto(request) request = request_of("p256", "CN=leaf", "dns:a.example");
	ks_auto(profile) profile = NULL;
	struct ks_altnames more = { 0 };
	struct ks_sign_wish wish = { .names = &more, .dry_run = true };
	ks_auto(buffer) der = NULL;
	char name[256];

	(void)state;
	init("CN=ca", NULL, 0);
	ca = open_ca();
	assert_int_equal(ks_profile_find(&profile, ctx, NULL, "server"), 0);
	wish.profile = profile;
	for (int i = 0; i < 6000; i++) {
		snprintf(name, sizeof(name), "dns:n%d.%060d.%060d.%060d.example", i, 1, 2, 3);
		assert_int_equal(ks_altnames_add(&more, ctx, name), 0);
	}
	assert_int_equal(ks_ca_sign(&der, ca, &request, 1, &wish), KS_ELIMIT);
	assert_non_null(strstr(ks_ctx_text(ctx), "6001 names"));
	ks_altnames_free(&more);
}

static void an_absent_ca_is_told_with_the_command_that_makes_one(void **state)
{
	struct ks_ca *ca = NULL;

	(void)state;
	assert_int_equal(ks_ca_open(&ca, ctx, dir, NULL), KS_ENOTFOUND);
	assert_non_null(strstr(ks_ctx_hint(ctx), "ca init"));
}

#define SIGNERS 8
#define ROUNDS 12

static int signer(const char *out_path)
{
	FILE *out = fopen(out_path, "w");
	struct ks_ca *ca = open_ca();
	ks_auto(request) request = request_of("p256", "CN=leaf", NULL);
	int rc = 0;

	for (int i = 0; rc == 0 && i < ROUNDS; i++) {
		ks_auto(buffer) der = NULL;
		struct ks_certificate_facts facts;

		rc = sign(&der, ca, request, "client", 0);
		if (rc == 0 && ks_certificate_facts(&facts, ks_buffer_bytes(der)) == 0)
			fwrite(facts.serial.data, 1, facts.serial.size, out);
	}
	fclose(out);
	ks_ca_close(ca);
	return rc;
}

static int find_serial(void *user, const struct ks_issued *issued)
{
	return memcmp(user, issued->serial, KS_SERIAL) == 0 ? 1 : 0;
}

/* openssl ca lost more than half of the certificates here. */
static void eight_signers_at_once_lose_no_certificate(void **state)
{
	__attribute__((cleanup(ks_ca_freep))) struct ks_ca *ca = NULL;
	unsigned char serial[KS_SERIAL];
	char path[160];
	size_t outside = 0;
	int status;

	(void)state;
	init("CN=ca", NULL, 0);
	for (int i = 0; i < SIGNERS; i++) {
		snprintf(path, sizeof(path), "%s/serials%d", room, i);
		if (fork() == 0)
			_exit(signer(path) < 0);
	}
	for (int i = 0; i < SIGNERS; i++) {
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	ca = open_ca();
	for (int i = 0; i < SIGNERS; i++) {
		FILE *in;

		snprintf(path, sizeof(path), "%s/serials%d", room, i);
		in = fopen(path, "r");
		while (fread(serial, 1, KS_SERIAL, in) == KS_SERIAL) {
			outside++;
			assert_int_equal(ks_ledger_each(ks_ca_ledger(ca), find_serial, serial), 1);
		}
		fclose(in);
	}
	assert_int_equal(outside, SIGNERS * ROUNDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_kind_of_ca_and_key_gives_chains_that_verify_strictly, start,
						finish),
		cmocka_unit_test_setup_teardown(the_folder_is_complete_and_for_its_owner, start, finish),
		cmocka_unit_test_setup_teardown(a_second_init_changes_nothing, start, finish),
		cmocka_unit_test_setup_teardown(a_wrong_subject_leaves_no_folder, start, finish),
		cmocka_unit_test_setup_teardown(a_sealed_key_is_asked_for_once_and_only_to_sign, start, finish),
		cmocka_unit_test_setup_teardown(the_leaf_says_what_was_asked_for, start, finish),
		cmocka_unit_test_setup_teardown(a_leaf_that_outlives_its_ca_is_refused_with_the_days_that_are_left,
						start, finish),
		cmocka_unit_test_setup_teardown(an_expired_ca_signs_nothing, start, finish),
		cmocka_unit_test_setup_teardown(a_key_of_another_ca_signs_nothing, start, finish),
		cmocka_unit_test_setup_teardown(a_refused_wish_costs_no_serial, start, finish),
		cmocka_unit_test_setup_teardown(a_dry_run_writes_nothing, start, finish),
		cmocka_unit_test_setup_teardown(a_ca_below_this_one_may_sign_for_end_entities_only, start, finish),
		cmocka_unit_test_setup_teardown(names_of_the_signer_are_joined_once_and_under_the_profile, start,
						finish),
		cmocka_unit_test_setup_teardown(more_names_than_the_ledger_holds_are_refused_and_not_cut, start,
						finish),
		cmocka_unit_test_setup_teardown(an_absent_ca_is_told_with_the_command_that_makes_one, start, finish),
		cmocka_unit_test_setup_teardown(eight_signers_at_once_lose_no_certificate, start, finish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
