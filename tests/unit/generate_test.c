/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "generate.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static struct ks_ctx *ctx;
static char folder[64], path[96], address[128];

static int ask(void *user, struct ks_ctx *asking, const struct ks_question *question, struct ks_secret *into)
{
	(void)user;
	(void)question;
	return ks_secret_append(into, asking, "changeit", 8);
}

static int start(void **state)
{
	struct ks_settings settings = { .hooks = { .ask = ask } };

	(void)state;
	strcpy(folder, "/tmp/keystow-generate-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/a.p12", folder);
	snprintf(address, sizeof(address), "p12:%s", path);
	return ks_ctx_new(&ctx, &settings);
}

static int finish(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	return system(command) || ks_ctx_free(ctx);
}

/* Generates and closes; the new key's public half is copied out for comparison. */
static int generate(const char *store_address, const char *label, bool replace, unsigned char spki_sha256[KS_SHA256])
{
	struct ks_generate wish = { .label = ks_bytes_of(label) };
	ks_auto(where) where = NULL;
	ks_auto(store) store = NULL;
	struct ks_item *key = NULL;
	int rc = ks_keyspec_parse(&wish.spec, ctx, "p256");

	if (rc == 0)
		rc = ks_where_parse(&where, ctx, store_address);
	if (rc == 0)
		rc = ks_store_open(&store, ctx, where, KS_WRITE | KS_CREATE);
	if (rc == 0)
		rc = ks_generate(&key, store, &wish, replace);
	if (rc == 0 && spki_sha256) {
		ks_auto_ssl(EVP_PKEY) pkey = NULL;
		unsigned char *spki = NULL;
		int size;

		rc = ks_item_pkey(&pkey, key, ctx);
		size = rc == 0 ? i2d_PUBKEY(pkey, &spki) : 0;
		ks_sha256(spki_sha256, KS_BYTES(spki, (size_t)size));
		OPENSSL_free(spki);
	}
	return rc;
}

static size_t keys_in(const char *store_address)
{
	ks_auto(where) where = NULL;
	ks_auto(store) store = NULL;

	assert_int_equal(ks_where_parse(&where, ctx, store_address), 0);
	assert_int_equal(ks_store_open(&store, ctx, where, KS_READ), 0);
	return ks_set_counts(ks_store_items(store)).keys;
}

static void openssl_reads_a_key_made_in_a_new_p12(void **state)
{
	char command[256];
	struct stat info;

	(void)state;
	assert_int_equal(generate(address, "web", false, NULL), 0);
	assert_int_equal(stat(path, &info), 0);
	assert_int_equal(info.st_mode & 0777, 0600);
	snprintf(command, sizeof(command),
		 "openssl pkcs12 -in '%s' -nocerts -nodes -passin pass:changeit 2>/dev/null | openssl pkey -check -noout >/dev/null",
		 path);
	assert_int_equal(system(command), 0);
}

static void a_label_that_is_taken_is_refused_and_nothing_changes(void **state)
{
	(void)state;
	assert_int_equal(generate(address, "web", false, NULL), 0);
	assert_int_equal(generate(address, "web", false, NULL), KS_EEXISTS);
	assert_non_null(strstr(ks_ctx_text(ctx), "\"web\""));
	assert_int_equal(keys_in(address), 1);
	assert_int_equal(generate(address, "mail", false, NULL), 0);
	assert_int_equal(keys_in(address), 2);
}

static void replacing_makes_another_key_and_keeps_the_old_file(void **state)
{
	unsigned char first[KS_SHA256], second[KS_SHA256];
	char old[128];

	(void)state;
	snprintf(old, sizeof(old), "%s.old", path);
	assert_int_equal(generate(address, "web", false, first), 0);
	assert_int_equal(access(old, F_OK), -1);
	assert_int_equal(generate(address, "web", true, second), 0);
	assert_memory_not_equal(first, second, KS_SHA256);
	assert_int_equal(keys_in(address), 1);
	assert_int_equal(access(old, F_OK), 0);
}

static void openssl_reads_a_key_made_in_a_pem_file(void **state)
{
	char pem[128], command[256];

	(void)state;
	snprintf(pem, sizeof(pem), "pem:%s/a.pem", folder);
	assert_int_equal(generate(pem, NULL, false, NULL), 0);
	snprintf(command, sizeof(command), "openssl pkey -in '%s' -passin pass:changeit -check -noout >/dev/null 2>&1", pem + 4);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(openssl_reads_a_key_made_in_a_new_p12, start, finish),
		cmocka_unit_test_setup_teardown(a_label_that_is_taken_is_refused_and_nothing_changes, start, finish),
		cmocka_unit_test_setup_teardown(replacing_makes_another_key_and_keeps_the_old_file, start, finish),
		cmocka_unit_test_setup_teardown(openssl_reads_a_key_made_in_a_pem_file, start, finish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
