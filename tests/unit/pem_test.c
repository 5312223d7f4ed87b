/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "file/codecs.h"
#include "file/pem_scan.h"

#include "entry.h"
#include "plan.h"

#include <openssl/evp.h>

#include <stdio.h>
#include <time.h>

static struct ks_ctx *ctx;
static const char *answer; /* what is said when a password is asked for */
static char asked[128]; /* by which label */

static int ask(void *user, struct ks_ctx *asking, const struct ks_question *question, struct ks_secret *into)
{
	(void)user;
	snprintf(asked, sizeof(asked), "%s", question->label ? question->label : "");
	assert_int_equal(question->ask, KS_ASK_KEY_PASSWORD);
	return answer ? ks_secret_append(into, asking, answer, strlen(answer)) : KS_ENOSECRET;
}

static int start(void **state)
{
	struct ks_settings settings = { .hooks.ask = ask };

	(void)state;
	answer = NULL;
	return ks_ctx_new(&ctx, &settings);
}

static int finish(void **state)
{
	(void)state;
	return ks_ctx_free(ctx);
}

static struct ks_buffer *copy_of(struct ks_bytes bytes)
{
	struct ks_buffer *buffer = ks_buffer_new(bytes.size);

	assert_int_equal(ks_buffer_put(buffer, bytes.data, bytes.size), 0);
	return buffer;
}

static struct ks_buffer *sample(const char *name)
{
	struct ks_buffer *buffer = ks_buffer_new(1 << 24);
	char path[4096];
	unsigned char chunk[4096];
	size_t got;
	FILE *file;

	snprintf(path, sizeof(path), "%s/tests/data/%s", getenv("KEYSTOW_SOURCE"), name);
	file = fopen(path, "rb");
	assert_non_null(file);
	while ((got = fread(chunk, 1, sizeof(chunk), file)) > 0)
		ks_buffer_put(buffer, chunk, got);
	fclose(file);
	return buffer;
}

/* Decodes a copy, which the set owns. */
static int decode(struct ks_set **out, struct ks_bytes bytes)
{
	struct ks_buffer *copy = copy_of(bytes);
	struct ks_bytes file = ks_buffer_bytes(copy);
	ks_auto(set) set = NULL;
	int rc;

	assert_int_equal(ks_set_new(&set, ctx), 0);
	assert_int_equal(ks_set_own(set, copy), 0);
	rc = ks_codec_pem.decode(ctx, set, file, NULL);
	if (rc == 0)
		*out = ks_take(set);
	return rc;
}

/* What a plan without changes would write. */
static struct ks_buffer *rewritten(struct ks_set *set)
{
	struct ks_buffer *out = ks_buffer_new(1 << 26);
	ks_auto(plan) plan = NULL;
	ks_auto(set) result = NULL;

	assert_int_equal(ks_plan_new(&plan, ctx, set), 0);
	assert_int_equal(ks_plan_result(&result, plan), 0);
	assert_int_equal(ks_codec_pem.encode(ctx, out, result, set, NULL, false), 0);
	return out;
}

static const char *const pem_samples[] = { "pem-key-and-chain.pem", "pem-sealed-key-of-1996.pem", "pem-sealed-key.pem",
					   "pem-trusted-certificate.pem", "pem-with-bag-attributes.pem" };

static void what_is_not_changed_is_written_byte_for_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(pem_samples) / sizeof(*pem_samples); i++) {
		ks_auto(buffer) file = sample(pem_samples[i]);
		ks_auto(buffer) out = NULL;
		ks_auto(set) set = NULL;

		assert_int_equal(decode(&set, ks_buffer_bytes(file)), 0);
		out = rewritten(set);
		assert_true(ks_bytes_equal(ks_buffer_bytes(file), ks_buffer_bytes(out)));
	}
}

static void a_key_and_its_chain_are_paired(void **state)
{
	ks_auto(buffer) file = sample("pem-key-and-chain.pem");
	ks_auto(entries) entries = NULL;
	ks_auto(set) set = NULL;

	(void)state;
	assert_int_equal(decode(&set, ks_buffer_bytes(file)), 0);
	assert_int_equal(ks_set_facts(set)->blocks_ok, 3);
	assert_int_equal(ks_entries_of(&entries, ctx, set), 0);
	assert_int_equal(entries->count, 1);
	assert_non_null(entries->entries[0].key);
	assert_int_equal(entries->entries[0].chain_count, 1);
}

static void bag_attributes_name_key_and_certificate(void **state)
{
	ks_auto(buffer) file = sample("pem-with-bag-attributes.pem");
	ks_auto(entries) entries = NULL;
	ks_auto(set) set = NULL;

	(void)state;
	assert_int_equal(decode(&set, ks_buffer_bytes(file)), 0);
	assert_int_equal(ks_entries_of(&entries, ctx, set), 0);
	assert_int_equal(entries->count, 1);
	assert_true(ks_bytes_are(entries->entries[0].key->label, "web"));
	assert_true(ks_bytes_are(entries->entries[0].certificate->label, "web"));
	assert_int_equal(entries->entries[0].key->id.size, 20);
	assert_string_equal(ks_set_facts(set)->cipher, "AES-256-CBC");
}

static void a_trusted_certificate_tells_for_what(void **state)
{
	ks_auto(buffer) file = sample("pem-trusted-certificate.pem");
	ks_auto(set) set = NULL;
	struct ks_item *item;

	(void)state;
	assert_int_equal(decode(&set, ks_buffer_bytes(file)), 0);
	item = ks_set_at(set, 0);
	assert_int_equal(item->trust.trusted, KS_FOR_SERVER);
	assert_int_equal(item->trust.distrusted, KS_FOR_EMAIL);
	assert_true(ks_bytes_are(item->label, "Sample CA"));
}

static struct ks_item *only_key(struct ks_set *set)
{
	assert_int_equal(ks_set_count(set), 1);
	assert_int_equal(ks_set_at(set, 0)->kind, KS_PRIVATE_KEY);
	return ks_set_at(set, 0);
}

static void sealed_keys_are_listed_closed_and_open_when_asked(void **state)
{
	static const char *const names[] = { "pem-sealed-key-of-1996.pem", "pem-sealed-key.pem" };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		ks_auto(buffer) file = sample(names[i]);
		ks_auto(set) set = NULL;
		ks_auto_ssl(EVP_PKEY) key = NULL;
		struct ks_item *item;

		answer = NULL;
		assert_int_equal(decode(&set, ks_buffer_bytes(file)), 0);
		item = only_key(set);
		assert_true(item->flags & KS_SEALED);
		item->label = ks_bytes_of("web");
		assert_int_equal(ks_item_pkey(&key, item, ctx), KS_ENOSECRET);
		answer = "wrong";
		assert_int_equal(ks_item_pkey(&key, item, ctx), KS_EPASSWORD);
		assert_non_null(strstr(ks_ctx_text(ctx), "private key \"web\""));
		answer = "sample";
		assert_int_equal(ks_item_pkey(&key, item, ctx), 0);
		assert_string_equal(asked, "web");
		assert_int_equal(EVP_PKEY_get_bits(key), 2048);
	}
}

/* ---- odd files ---- */

static struct ks_buffer *block_of(const char *label, struct ks_bytes der)
{
	struct ks_buffer *out = ks_buffer_new(1 << 20);

	ks_buffer_format(out, "-----BEGIN %s-----\n", label);
	ks_pem_encode(out, der);
	ks_buffer_format(out, "-----END %s-----\n", label);
	return out;
}

/*
 * `pattern`: %A a certificate's block, %a the same without the last line end, %D its DER, %K a clear key's block, %H
 * the first half of %A, %C %A with CRLF, %I indented, %S without END, %B bare base64, %0 a NUL, %^ a byte-order
 * mark; the rest is text.
 */
static struct ks_buffer *odd_file(const char *pattern)
{
	ks_auto(buffer) der = sample("der-certificate.der");
	ks_auto(buffer) key_der = sample("der-clear-key.der");
	ks_auto(buffer) block = block_of("CERTIFICATE", ks_buffer_bytes(der));
	ks_auto(buffer) key = block_of("PRIVATE KEY", ks_buffer_bytes(key_der));
	struct ks_buffer *out = ks_buffer_new(1 << 20);

	for (; *pattern; pattern++) {
		switch (*pattern == '%' ? *++pattern : 0) {
		case 'A':
			ks_buffer_put(out, block->data, block->size);
			break;
		case 'a':
			ks_buffer_put(out, block->data, block->size - 1);
			break;
		case 'D':
			ks_buffer_put(out, der->data, der->size);
			break;
		case 'K':
			ks_buffer_put(out, key->data, key->size);
			break;
		case 'H':
			ks_buffer_put(out, block->data, block->size / 2);
			break;
		case 'S':
			ks_buffer_put(out, block->data, block->size - strlen("-----END CERTIFICATE-----\n"));
			break;
		case 'B':
			ks_pem_encode(out, ks_buffer_bytes(der));
			break;
		case 'C':
		case 'I':
			for (size_t i = 0; i < block->size; i++) {
				if (*pattern == 'I' && (i == 0 || block->data[i - 1] == '\n'))
					ks_buffer_text(out, "  \t");
				if (*pattern == 'C' && block->data[i] == '\n')
					ks_buffer_text(out, "\r");
				ks_buffer_put(out, block->data + i, 1);
			}
			break;
		case '0':
			ks_buffer_put(out, "", 1);
			break;
		case '^':
			ks_buffer_text(out, "\xef\xbb\xbf");
			break;
		default:
			ks_buffer_put(out, pattern, 1);
		}
	}
	return out;
}

static void every_block_is_accounted_for(void **state)
{
	static const struct {
		const char *pattern;
		size_t ok, duplicate, foreign, damaged;
	} cases[] = {
		{ "%A", 1, 0, 0, 0 },
		{ "%^%A", 1, 0, 0, 0 },
		{ "%C", 1, 0, 0, 0 },
		{ "%I", 1, 0, 0, 0 },
		{ "text\n\nmore -----BEGIN text\n%A", 1, 0, 0, 0 },
		{ "%A%K", 2, 0, 0, 0 },
		{ "%a%K", 2, 0, 0, 0 },
		{ "%0%0%0%0%A%0%0\n%0%0%K%0%0", 2, 0, 0, 0 },
		{ "%A%A", 1, 1, 0, 0 },
		{ "%A%I%C", 1, 2, 0, 0 },
		{ "%K%D", 2, 0, 0, 0 },
		{ "%D%K", 2, 0, 0, 0 },
		{ "%K%H%K", 1, 1, 0, 1 },
		{ "%K%S%A", 2, 0, 0, 1 },
		{ "%K%H", 1, 0, 0, 1 },
		{ "%K-----END CERTIFICATE-----\n", 1, 0, 0, 1 },
		{ "%K-----BEGIN CERTIFICATE----\n%A", 2, 0, 0, 1 },
		{ "%K-----BEGIN CERTIFICATE-----\nMIIB\n-----END PRIVATE KEY-----\n", 1, 0, 0, 1 },
		{ "%K-----BEGIN CERTIFICATE-----\nMI!!\n-----END CERTIFICATE-----\n", 1, 0, 0, 1 },
		{ "%K-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", 1, 0, 0, 1 },
		{ "%K-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n", 1, 0, 0, 1 },
		{ "%K-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaA==\n-----END OPENSSH PRIVATE KEY-----\n", 1, 0, 1,
		  0 },
		{ "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n%K", 1, 0, 1, 0 },
		{ "%B", 1, 0, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		ks_auto(buffer) file = odd_file(cases[i].pattern);
		ks_auto(buffer) out = NULL;
		ks_auto(set) set = NULL;
		ks_auto(set) again = NULL;
		const struct ks_facts *facts;

		if (decode(&set, ks_buffer_bytes(file)) < 0)
			fail_msg("%s: %s", cases[i].pattern, ks_ctx_text(ctx));
		facts = ks_set_facts(set);
		if (facts->blocks_ok != cases[i].ok || facts->blocks_duplicate != cases[i].duplicate ||
		    facts->blocks_foreign != cases[i].foreign || facts->blocks_damaged != cases[i].damaged)
			fail_msg("%s: %zu ok, %zu duplicate, %zu foreign, %zu damaged", cases[i].pattern,
				 facts->blocks_ok, facts->blocks_duplicate, facts->blocks_foreign,
				 facts->blocks_damaged);
		assert_int_equal(facts->blocks_damaged == 0, ks_set_problem_at(set, 0) == NULL);
		out = rewritten(set);
		assert_int_equal(decode(&again, ks_buffer_bytes(out)), 0);
		assert_int_equal(ks_set_count(again), ks_set_count(set));
		for (size_t n = 0; n < ks_set_count(set); n++)
			assert_int_equal(ks_set_at(again, n)->kind, ks_set_at(set, n)->kind);
		if (!facts->blocks_duplicate && !strstr(cases[i].pattern, "%D") && !strstr(cases[i].pattern, "%B")) {
			if (!ks_bytes_equal(ks_buffer_bytes(file), ks_buffer_bytes(out)))
				fail_msg("%s is not written as it was read", cases[i].pattern);
		}
	}
}

static void what_is_no_pem_is_refused(void **state)
{
	static const struct {
		const char *text;
		int status;
		const char *said;
	} cases[] = {
		{ "", KS_EFORMAT, "empty" },
		{ "only words\n", KS_EFORMAT, "no PEM block" },
		{ "<!DOCTYPE html><html>404</html>", KS_EFORMAT, "no PEM block" },
		{ "-----BEGIN CERTIFICATE-----\nMIIB", KS_EDAMAGED, "the file ends inside it" },
		{ "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", KS_EDAMAGED,
		  "CERTIFICATE block on line 1" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct ks_set *set = NULL;

		assert_int_equal(decode(&set, ks_bytes_of(cases[i].text)), cases[i].status);
		assert_null(set);
		assert_non_null(strstr(ks_ctx_text(ctx), cases[i].said));
	}
}

static void an_emptied_store_is_told_from_an_empty_file(void **state)
{
	ks_auto(buffer) file = odd_file("%A");
	ks_auto(buffer) out = ks_buffer_new(4096);
	ks_auto(set) set = NULL;
	ks_auto(set) nothing = NULL;
	ks_auto(set) again = NULL;

	(void)state;
	assert_int_equal(decode(&set, ks_buffer_bytes(file)), 0);
	assert_int_equal(ks_set_new(&nothing, ctx), 0);
	assert_int_equal(ks_codec_pem.encode(ctx, out, nothing, set, NULL, false), 0);
	assert_int_equal(ks_codec_pem.probe(ks_buffer_bytes(out)), 100);
	assert_int_equal(decode(&again, ks_buffer_bytes(out)), 0);
	assert_int_equal(ks_set_count(again), 0);
}

/* ---- writing ---- */

static void labels_and_ids_survive_with_every_byte(void **state)
{
	static const char *const labels[] = {
		"web", "two words", " edges ", "line\nend\x1b", "back\\x41slash", "\xff\xfe", "\xc3\xa9t\xc3\xa9", ""
	};

	(void)state;
	for (size_t i = 0; i < sizeof(labels) / sizeof(*labels); i++) {
		ks_auto(buffer) file = odd_file("%A");
		ks_auto(buffer) out = ks_buffer_new(1 << 20);
		ks_auto(set) set = NULL;
		ks_auto(set) other = NULL;
		ks_auto(set) again = NULL;
		struct ks_item *item;

		assert_int_equal(decode(&set, ks_buffer_bytes(file)), 0);
		assert_int_equal(ks_set_new(&other, ctx), 0);
		item = ks_set_copy(other, ks_set_at(set, 0));
		item->raw = KS_NONE;
		item->label = ks_bytes_of(labels[i]);
		item->id = KS_BYTES("\x00\x01\xff", 3);
		assert_int_equal(ks_codec_pem.encode(ctx, out, other, NULL, NULL, false), 0);
		assert_int_equal(decode(&again, ks_buffer_bytes(out)), 0);
		item = ks_set_at(again, 0);
		assert_true(item->label.data && ks_bytes_equal(item->label, ks_bytes_of(labels[i])));
		assert_true(ks_bytes_equal(item->id, KS_BYTES("\x00\x01\xff", 3)));
	}
}

static void a_renamed_item_keeps_its_block_and_the_others_stay(void **state)
{
	ks_auto(buffer) file = odd_file("first\n%Anext\n%K");
	ks_auto(buffer) out = ks_buffer_new(1 << 20);
	ks_auto(buffer) tail = odd_file("%Anext\n%K");
	ks_auto(set) set = NULL;
	ks_auto(set) result = NULL;
	ks_auto(plan) plan = NULL;

	(void)state;
	assert_int_equal(decode(&set, ks_buffer_bytes(file)), 0);
	assert_int_equal(ks_plan_new(&plan, ctx, set), 0);
	assert_int_equal(ks_plan_rename(plan, ks_set_at(set, 0), "mine"), 0);
	assert_int_equal(ks_plan_result(&result, plan), 0);
	assert_int_equal(ks_codec_pem.encode(ctx, out, result, set, NULL, false), 0);
	assert_memory_equal(out->data, "Bag Attributes\n    friendlyName: mine\n", 38);
	assert_int_equal(out->size, 38 + tail->size);
	assert_memory_equal(out->data + 38, tail->data, tail->size);
}

static void keys_are_sealed_when_there_is_a_password(void **state)
{
	ks_auto(buffer) file = odd_file("%K");
	ks_auto(buffer) out = ks_buffer_new(1 << 20);
	ks_auto(buffer) clear = NULL;
	ks_auto(buffer) der = sample("der-clear-key.der");
	ks_auto(secret) secret = NULL;
	ks_auto(set) set = NULL;
	ks_auto(set) result = NULL;
	ks_auto(set) again = NULL;
	ks_auto(plan) plan = NULL;

	(void)state;
	assert_int_equal(ks_secret_new(&secret, ctx), 0);
	assert_int_equal(ks_secret_append(secret, ctx, "new password", 12), 0);
	assert_int_equal(decode(&set, ks_buffer_bytes(file)), 0);
	assert_int_equal(ks_plan_new(&plan, ctx, set), 0);
	assert_int_equal(ks_plan_result(&result, plan), 0);
	assert_int_equal(ks_codec_pem.encode(ctx, out, result, set, secret, true), 0);
	assert_non_null(strstr(ks_buffer_string(out), "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
	assert_null(strstr(ks_buffer_string(out), "-----BEGIN PRIVATE KEY-----\n"));
	assert_int_equal(decode(&again, ks_buffer_bytes(out)), 0);
	assert_string_equal(ks_set_facts(again)->cipher, "AES-256-CBC");
	answer = "new password";
	assert_int_equal(ks_item_pkcs8(&clear, only_key(again), ctx), 0);
	assert_true(ks_bytes_equal(ks_buffer_bytes(clear), ks_buffer_bytes(der)));
}

static void a_key_that_is_sealed_still_finds_its_certificate(void **state)
{
	ks_auto(buffer) file = sample("pem-key-and-chain.pem");
	ks_auto(buffer) out = ks_buffer_new(1 << 20);
	ks_auto(entries) entries = NULL;
	ks_auto(secret) secret = NULL;
	ks_auto(set) set = NULL;
	ks_auto(set) result = NULL;
	ks_auto(set) again = NULL;
	ks_auto(plan) plan = NULL;

	(void)state;
	assert_int_equal(ks_secret_new(&secret, ctx), 0);
	assert_int_equal(ks_secret_append(secret, ctx, "new password", 12), 0);
	assert_int_equal(decode(&set, ks_buffer_bytes(file)), 0);
	assert_int_equal(ks_plan_new(&plan, ctx, set), 0);
	assert_int_equal(ks_plan_result(&result, plan), 0);
	assert_int_equal(ks_codec_pem.encode(ctx, out, result, set, secret, true), 0);
	assert_int_equal(decode(&again, ks_buffer_bytes(out)), 0);
	assert_int_equal(ks_entries_of(&entries, ctx, again), 0);
	assert_int_equal(entries->count, 1);
	assert_true(entries->entries[0].key->flags & KS_SEALED);
	assert_non_null(entries->entries[0].certificate);
	assert_int_equal(entries->entries[0].key->key.bits, 2048);
}

static void distrust_is_never_written_as_a_plain_certificate(void **state)
{
	ks_auto(buffer) file = odd_file("%A");
	ks_auto(buffer) out = ks_buffer_new(1 << 20);
	ks_auto(set) set = NULL;
	ks_auto(set) other = NULL;
	ks_auto(set) again = NULL;
	struct ks_item *item;

	(void)state;
	assert_int_equal(decode(&set, ks_buffer_bytes(file)), 0);
	assert_int_equal(ks_set_new(&other, ctx), 0);
	item = ks_set_copy(other, ks_set_at(set, 0));
	item->raw = KS_NONE;
	item->trust = (struct ks_trust){ .trusted = KS_FOR_EMAIL, .distrusted = KS_FOR_SERVER | KS_FOR_CODE };
	assert_int_equal(ks_codec_pem.encode(ctx, out, other, NULL, NULL, false), 0);
	assert_null(strstr(ks_buffer_string(out), "-----BEGIN CERTIFICATE-----"));
	assert_int_equal(decode(&again, ks_buffer_bytes(out)), 0);
	assert_int_equal(ks_set_at(again, 0)->trust.trusted, KS_FOR_EMAIL);
	assert_int_equal(ks_set_at(again, 0)->trust.distrusted, KS_FOR_SERVER | KS_FOR_CODE);
}

static void secret_keys_are_refused_by_name(void **state)
{
	ks_auto(buffer) out = ks_buffer_new(1 << 20);
	ks_auto(set) set = NULL;

	(void)state;
	assert_int_equal(ks_set_new(&set, ctx), 0);
	ks_set_add(set, KS_SECRET_KEY)->label = ks_bytes_of("aes");
	assert_int_equal(ks_codec_pem.encode(ctx, out, set, NULL, NULL, false), KS_ELOSSY);
	assert_non_null(strstr(ks_ctx_text(ctx), "secret key \"aes\""));
}

/* ---- time ---- */

static double seconds_for(const char *unit, size_t bytes)
{
	struct timespec before, after;
	struct ks_pem_scan scan = { 0 };
	struct ks_pem_block block;
	size_t length = strlen(unit);
	unsigned char *text = malloc(bytes + length);

	for (size_t at = 0; at < bytes; at += length)
		memcpy(text + at, unit, length);
	for (size_t at = 0; at < bytes; at++)
		text[at] = text[at] == '~' ? 0 : text[at];
	scan.file = KS_BYTES(text, bytes);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
	while (ks_pem_next(&block, &scan)) {
	}
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
	free(text);
	return (double)(after.tv_sec - before.tv_sec) + (double)(after.tv_nsec - before.tv_nsec) / 1e9;
}

static void no_shape_of_file_makes_the_scan_slow(void **state)
{
	static const char *const units[] = { "-----BEGIN CERTIFICATE-----\n",
					     "-----BEGIN ",
					     "~",
					     " ",
					     "-",
					     "\n",
					     "-----END ",
					     "a-----BEGIN X-----",
					     "~~~~-----BEGIN X",
					     "-----BEGIN A-----\n-----END B-----\n",
					     "0\x82" };

	(void)state;
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		double small = seconds_for(units[i], 1 << 20), large = seconds_for(units[i], 1 << 23);

		if (large > 20 * small + 0.2)
			fail_msg("\"%s\": %.3f s for 1 MiB, %.3f s for 8 MiB", units[i], small, large);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_not_changed_is_written_byte_for_byte, start, finish),
		cmocka_unit_test_setup_teardown(a_key_and_its_chain_are_paired, start, finish),
		cmocka_unit_test_setup_teardown(bag_attributes_name_key_and_certificate, start, finish),
		cmocka_unit_test_setup_teardown(a_trusted_certificate_tells_for_what, start, finish),
		cmocka_unit_test_setup_teardown(sealed_keys_are_listed_closed_and_open_when_asked, start, finish),
		cmocka_unit_test_setup_teardown(every_block_is_accounted_for, start, finish),
		cmocka_unit_test_setup_teardown(what_is_no_pem_is_refused, start, finish),
		cmocka_unit_test_setup_teardown(an_emptied_store_is_told_from_an_empty_file, start, finish),
		cmocka_unit_test_setup_teardown(labels_and_ids_survive_with_every_byte, start, finish),
		cmocka_unit_test_setup_teardown(a_renamed_item_keeps_its_block_and_the_others_stay, start, finish),
		cmocka_unit_test_setup_teardown(keys_are_sealed_when_there_is_a_password, start, finish),
		cmocka_unit_test_setup_teardown(a_key_that_is_sealed_still_finds_its_certificate, start, finish),
		cmocka_unit_test_setup_teardown(distrust_is_never_written_as_a_plain_certificate, start, finish),
		cmocka_unit_test_setup_teardown(secret_keys_are_refused_by_name, start, finish),
		cmocka_unit_test_setup_teardown(no_shape_of_file_makes_the_scan_slow, start, finish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
