/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "profile.h"

#include <openssl/x509v3.h>

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static struct ks_ctx *ctx;
static char folder[64], path[128];

static int start(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/keystow-profile-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/profiles", folder);
	if (mkdir(path, 0700) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/profiles/own", folder);
	return ks_ctx_new(&ctx, NULL);
}

static int finish(void **state)
{
	(void)state;
	unlink(path);
	*strrchr(path, '/') = '\0';
	rmdir(path);
	rmdir(folder);
	return ks_ctx_free(ctx);
}

static void write_profile(const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static struct ks_profile *find(const char *name)
{
	struct ks_profile *profile = NULL;

	assert_int_equal(ks_profile_find(&profile, ctx, folder, name), 0);
	return profile;
}

/* A request as the reader would give it, whose subject is CN=a. */
static struct ks_request request_of(enum ks_key_type type)
{
	static const unsigned char subject[] = "\x30\x0c\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x0c\x01\x61";

	return (struct ks_request){ .subject = KS_BYTES(subject, sizeof(subject) - 1), .key = { .type = type } };
}

static int granted(const char *name, const char *altname)
{
	struct ks_request request = request_of(KS_KEY_EC);
	ks_auto(profile) profile = find(name);
	int rc;

	if (altname)
		assert_int_equal(ks_altnames_add(&request.names, ctx, altname), 0);
	rc = ks_profile_grants(ctx, profile, &request);
	ks_altnames_free(&request.names);
	return rc;
}

static void every_built_in_profile_can_be_written(void **state)
{
	(void)state;
	for (size_t i = 0; ks_profile_nth(i); i++) {
		ks_auto(profile) profile = find(ks_profile_nth(i));
		ks_auto(buffer) der = ks_buffer_new(4096);

		assert_int_equal(ks_profile_put(der, ctx, profile, &profile->key), 0);
		assert_true(profile->days > 0);
	}
}

static void a_slip_of_the_finger_is_answered_with_the_name_meant(void **state)
{
	ks_auto(profile) profile = NULL;

	(void)state;
	assert_int_equal(ks_profile_find(&profile, ctx, NULL, "sever"), KS_ENOTFOUND);
	assert_non_null(strstr(ks_ctx_hint(ctx), "server"));
}

static void a_profile_name_cannot_leave_its_folder(void **state)
{
	ks_auto(profile) profile = NULL;

	(void)state;
	assert_int_equal(ks_profile_find(&profile, ctx, folder, "../profiles/own"), KS_ENOTFOUND);
	assert_int_equal(ks_profile_find(&profile, ctx, folder, ".."), KS_ENOTFOUND);
	assert_int_equal(ks_profile_find(&profile, ctx, folder, ""), KS_ENOTFOUND);
}

static void alternative_names_pass_the_profile_or_are_refused_by_name(void **state)
{
	(void)state;
	assert_int_equal(granted("server", "dns:www.example.org"), 0);
	assert_int_equal(granted("server", "email:a@example.org"), KS_EPROFILE);
	assert_non_null(strstr(ks_ctx_text(ctx), "a@example.org"));
	assert_int_equal(granted("server", NULL), KS_EPROFILE);
	assert_non_null(strstr(ks_ctx_hint(ctx), "--san"));
	assert_int_equal(granted("client", NULL), 0);
	assert_int_equal(granted("client", "ip:10.0.0.1"), KS_EPROFILE);
}

static void a_ca_is_made_by_the_ca_profile_only(void **state)
{
	struct ks_request request = request_of(KS_KEY_EC);
	ks_auto(profile) client = find("client");
	ks_auto(profile) ca = find("ca");

	(void)state;
	request.wants_ca = true;
	assert_int_equal(ks_profile_grants(ctx, client, &request), KS_EPROFILE);
	assert_int_equal(ks_profile_grants(ctx, ca, &request), 0);
}

static void an_unknown_extension_is_refused_by_its_oid(void **state)
{
	struct ks_request request = request_of(KS_KEY_EC);
	ks_auto(profile) client = find("client");
	char *unknown[] = { (char *)"1.2.3.4", NULL };

	(void)state;
	request.unknown = unknown;
	assert_int_equal(ks_profile_grants(ctx, client, &request), KS_EPROFILE);
	assert_non_null(strstr(ks_ctx_text(ctx), "1.2.3.4"));
}

static void an_empty_subject_without_names_is_refused(void **state)
{
	struct ks_request request = request_of(KS_KEY_EC);
	ks_auto(profile) client = find("client");

	(void)state;
	request.subject = KS_BYTES("\x30\x00", 2);
	assert_int_equal(ks_profile_grants(ctx, client, &request), KS_EPROFILE);
}

static int granted_extension(const char *profile_name, enum ks_key_type type, const char *name, const char *value)
{
	struct ks_request request = request_of(type);
	ks_auto(profile) profile = find(profile_name);
	ks_auto(buffer) one = ks_buffer_new(1024);
	ks_auto(buffer) all = ks_buffer_new(1024);

	assert_int_equal(ks_extension_put(one, ctx, name, value), 0);
	ks_buffer_format(all, "\x30%c", (int)one->size);
	ks_buffer_put(all, one->data, one->size);
	request.extensions = ks_buffer_bytes(all);
	return ks_profile_grants(ctx, profile, &request);
}

static void key_usage_asked_for_must_be_the_profiles(void **state)
{
	(void)state;
	assert_int_equal(granted_extension("client", KS_KEY_EC, "keyUsage", "digitalSignature"), 0);
	assert_int_equal(granted_extension("client", KS_KEY_EC, "keyUsage", "digitalSignature,keyCertSign"),
			 KS_EPROFILE);
	assert_non_null(strstr(ks_ctx_text(ctx), "keyCertSign"));
	assert_int_equal(granted_extension("mq", KS_KEY_RSA, "keyUsage", "keyEncipherment"), 0);
	assert_int_equal(granted_extension("mq", KS_KEY_EC, "keyUsage", "keyEncipherment"), KS_EPROFILE);
	assert_int_equal(granted_extension("mq", KS_KEY_RSA, "keyUsage", "decipherOnly"), KS_EPROFILE);
}

static void purposes_asked_for_must_be_the_profiles(void **state)
{
	(void)state;
	assert_int_equal(granted_extension("mutual", KS_KEY_EC, "extendedKeyUsage", "clientAuth"), 0);
	assert_int_equal(granted_extension("client", KS_KEY_EC, "extendedKeyUsage", "clientAuth,codeSigning"),
			 KS_EPROFILE);
	assert_int_equal(granted_extension("ca", KS_KEY_EC, "extendedKeyUsage", "anyExtendedKeyUsage"), KS_EPROFILE);
}

static void a_file_overrides_and_adds(void **state)
{
	ks_auto(profile) profile = NULL;
	ks_auto(buffer) der = ks_buffer_new(4096);

	(void)state;
	write_profile("# ours\n[profile]\ntitle = printers # 3\nkey-usage = critical,digitalSignature\nextended-usage "
		      "= serverAuth,1.2.3\n"
		      "names = dns\ndays = 90\nneeds-name = yes\nkey = rsa:3072\n"
		      "[extensions]\ncrlDistributionPoints = crl\n[crl]\nfullname = URI:http://ca.example/a.crl\n");
	profile = find("own");
	assert_string_equal(profile->title, "printers # 3");
	assert_int_equal(profile->days, 90);
	assert_true(profile->needs_name);
	assert_int_equal(profile->key.bits, 3072);
	assert_int_equal(ks_profile_put(der, ctx, profile, &profile->key), 0);
	assert_non_null(memmem(der->data, der->size, "http://ca.example/a.crl", 23));
}

static void a_mistake_in_a_file_names_file_and_place(void **state)
{
	static const char *const wrong[] = {
		"[profile]\nkey-usge = digitalSignature\n",
		"[profile]\nkey-usage = digitalSignature\ndays = 0\n",
		"[profile]\nkey-usage = digitalSignature\ndays = x\n",
		"[profile]\nkey-usage = digitalSignature\nca = maybe\n",
		"[profile]\nkey-usage = keyCertSign\n",
		"[profile]\nkey-usage = nonsense\n",
		"[profile]\ntitle = only\n",
		"[profile]\nkey-usage = digitalSignature\nkey-usage = digitalSignature\n",
		"[profil]\n",
		"key-usage = digitalSignature\n",
		"[profile]\nkey-usage = digitalSignature\n[extensions]\nbasicConstraints = CA:TRUE\n",
		"[profile]\nkey-usage = digitalSignature\n[extensions]\nnsComment = $nothing\n",
		"[profile]\nkey-usage = digitalSignature\n[extensions]\ncrlDistributionPoints = nonsense\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		ks_auto(profile) profile = NULL;

		write_profile(wrong[i]);
		assert_int_equal(ks_profile_find(&profile, ctx, folder, "own"), KS_ECONFIG);
		assert_non_null(strstr(ks_ctx_text(ctx), path));
		assert_null(profile);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_built_in_profile_can_be_written, start, finish),
		cmocka_unit_test_setup_teardown(a_slip_of_the_finger_is_answered_with_the_name_meant, start, finish),
		cmocka_unit_test_setup_teardown(a_profile_name_cannot_leave_its_folder, start, finish),
		cmocka_unit_test_setup_teardown(alternative_names_pass_the_profile_or_are_refused_by_name, start,
						finish),
		cmocka_unit_test_setup_teardown(a_ca_is_made_by_the_ca_profile_only, start, finish),
		cmocka_unit_test_setup_teardown(an_unknown_extension_is_refused_by_its_oid, start, finish),
		cmocka_unit_test_setup_teardown(an_empty_subject_without_names_is_refused, start, finish),
		cmocka_unit_test_setup_teardown(key_usage_asked_for_must_be_the_profiles, start, finish),
		cmocka_unit_test_setup_teardown(purposes_asked_for_must_be_the_profiles, start, finish),
		cmocka_unit_test_setup_teardown(a_file_overrides_and_adds, start, finish),
		cmocka_unit_test_setup_teardown(a_mistake_in_a_file_names_file_and_place, start, finish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
