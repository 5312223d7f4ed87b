/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "backup.h"

#include <string.h>

static struct ks_ctx *ctx;

static int setup(void **state)
{
	const struct ks_settings settings = { 0 };

	(void)state;
	return ks_ctx_new(&ctx, &settings);
}

static int teardown(void **state)
{
	(void)state;
	return ks_ctx_free(ctx);
}

static struct ks_secret *secret_of(const void *bytes, size_t size)
{
	struct ks_secret *secret = NULL;

	assert_int_equal(ks_secret_new(&secret, ctx), 0);
	assert_int_equal(ks_secret_append(secret, ctx, bytes, size), 0);
	return secret;
}

/* ---- shares ---- */

static struct ks_share some_share(void)
{
	struct ks_share share = { .number = 2, .count = 5, .threshold = 3 };

	memset(share.set, 0xa5, sizeof(share.set));
	share.part = secret_of("0123456789abcdefghijklmnopqrstuv", KS_SHARE_PART);
	return share;
}

/* The block of some_share(), in `text`, and where its line begins. */
static size_t block_of(char text[512])
{
	struct ks_share share = some_share();
	ks_auto(buffer) block = NULL;

	assert_int_equal(ks_share_write(&block, ctx, &share), 0);
	assert_true(block->size < 512);
	memcpy(text, block->data, block->size);
	text[block->size] = '\0';
	ks_share_clear(&share);
	return (size_t)(strstr(text, "\nS1NT") + 1 - text);
}

static int read_share(struct ks_share *out, const char *text)
{
	ks_auto(secret) secret = secret_of(text, strlen(text));

	return ks_share_read(out, ctx, secret, "the share");
}

static void a_share_is_read_from_its_block_or_its_line(void **state)
{
	char text[512], line[81] = { 0 };
	size_t at = block_of(text);
	struct ks_share from_block = { 0 }, from_line = { 0 }, meant = some_share();

	(void)state;
	memcpy(line, text + at, 80);
	assert_int_equal(read_share(&from_block, text), 0);
	assert_int_equal(read_share(&from_line, line), 0);
	assert_int_equal(from_block.number, 2);
	assert_int_equal(from_block.count, 5);
	assert_int_equal(from_block.threshold, 3);
	assert_memory_equal(from_block.set, meant.set, KS_SET_ID);
	assert_true(ks_secret_equal(from_block.part, meant.part));
	assert_true(ks_secret_equal(from_line.part, meant.part));
	ks_share_clear(&from_block);
	ks_share_clear(&from_line);
	ks_share_clear(&meant);
}

static void a_share_with_any_letter_changed_is_refused(void **state)
{
	char text[512];
	size_t at = block_of(text);

	(void)state;
	for (size_t i = 0; i < 80; i++) {
		const char kept = text[at + i];
		struct ks_share share = { 0 };
		int rc;

		text[at + i] = kept == 'A' ? 'B' : 'A';
		rc = read_share(&share, text);
		assert_true(rc == KS_EDAMAGED || rc == KS_ENEWER);
		assert_null(share.part);
		text[at + i] = kept;
	}
}

static void what_is_no_share_is_refused(void **state)
{
	static const char *const texts[] = { "", "\n", "no share", "-----BEGIN KEYSTOW SHARE-----\n-----END KEYSTOW SHARE-----\n" };
	struct ks_share share = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(read_share(&share, texts[i]), KS_EDAMAGED);
}

/* ---- backups ---- */

static const unsigned char p256[] =
	"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00\x04"
	"\x6b\x17\xd1\xf2\xe1\x2c\x42\x47\xf8\xbc\xe6\xe5\x63\xa4\x40\xf2\x77\x03\x7d\x81\x2d\xeb\x33\xa0\xf4\xa1\x39\x45"
	"\xd8\x98\xc2\x96\x4f\xe3\x42\xe2\xfe\x1a\x7f\x9b\x8e\xe7\xeb\x4a\x7c\x0f\x9e\x16\x2b\xce\x33\x57\x6b\x31\x5e\xce"
	"\xcb\xb6\x40\x68\x37\xbf\x51\xf5";

static struct ks_buffer *some_backup(const struct ks_secret *seal)
{
	static const unsigned char digests[2][KS_SHA256] = { { 1 }, { 2 } };
	ks_auto(backup) backup = NULL;
	struct ks_buffer *file = NULL;
	struct ks_item *item;

	assert_int_equal(ks_backup_new(&backup, ctx), 0);
	backup->count = backup->threshold = 2;
	backup->made = 1795000000;
	backup->token = ks_bytes_of("walnut");
	backup->digests = digests;
	item = ks_set_add(backup->items, KS_PRIVATE_KEY);
	item->label = ks_bytes_of("key");
	item->id = KS_BYTES("\1\2", 2);
	item->spki = KS_BYTES(p256, sizeof(p256) - 1);
	assert_int_equal(ks_wrapped_put(item, ctx,
					&(struct ks_wrapped){ .uses = KS_WRAPPED_SIGN, .mechanism = 0x210a, .sealed = ks_bytes_of("sealed") }),
			 0);
	assert_int_equal(ks_backup_encode(&file, backup, seal), 0);
	return file;
}

static void a_backup_comes_back_as_it_was(void **state)
{
	ks_auto(secret) seal = secret_of("seal", 4);
	ks_auto(buffer) file = some_backup(seal);
	ks_auto(backup) backup = NULL;
	struct ks_wrapped wrapped;
	struct ks_item *item;

	(void)state;
	assert_int_equal(ks_backup_decode(&backup, ctx, ks_buffer_bytes(file)), 0);
	assert_int_equal(ks_backup_check(backup, seal), 0);
	assert_int_equal(ks_set_count(backup->items), 1);
	item = ks_set_at(backup->items, 0);
	assert_true(ks_bytes_are(item->label, "key"));
	assert_int_equal(item->key.type, KS_KEY_EC);
	assert_int_equal(ks_wrapped_of(&wrapped, ctx, item), 0);
	assert_int_equal(wrapped.mechanism, 0x210a);
	assert_int_equal(wrapped.uses, KS_WRAPPED_SIGN);
	assert_true(ks_bytes_are(wrapped.sealed, "sealed"));
	assert_true(ks_bytes_are(backup->token, "walnut"));
}

static void a_backup_with_any_letter_changed_is_refused(void **state)
{
	ks_auto(secret) seal = secret_of("seal", 4);
	ks_auto(buffer) file = some_backup(seal);
	size_t begin = (size_t)(strchr(ks_buffer_string(file), '\n') + 1 - ks_buffer_string(file));
	size_t end = (size_t)(strstr(ks_buffer_string(file), "-----END") - ks_buffer_string(file));

	(void)state;
	for (size_t i = begin; i < end; i++) {
		const unsigned char kept = file->data[i];
		ks_auto(backup) backup = NULL;

		if (kept == '\n' || kept == '=')
			continue;
		file->data[i] = kept == 'A' ? 'Q' : 'A';
		if (ks_backup_decode(&backup, ctx, ks_buffer_bytes(file)) == 0)
			assert_int_equal(ks_backup_check(backup, seal), KS_EALTERED);
		file->data[i] = kept;
	}
}

static void a_backup_is_sealed_by_one_key_only(void **state)
{
	ks_auto(secret) seal = secret_of("seal", 4);
	ks_auto(secret) other = secret_of("lead", 4);
	ks_auto(buffer) file = some_backup(seal);
	ks_auto(backup) backup = NULL;

	(void)state;
	assert_int_equal(ks_backup_decode(&backup, ctx, ks_buffer_bytes(file)), 0);
	assert_int_equal(ks_backup_check(backup, other), KS_EALTERED);
}

static void what_is_no_backup_is_refused(void **state)
{
	static const char certificate[] = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
			  empty[] = "-----BEGIN KEYSTOW TOKEN BACKUP-----\nMAA=\n-----END KEYSTOW TOKEN BACKUP-----\n";
	ks_auto(backup) backup = NULL;

	(void)state;
	assert_int_equal(ks_backup_decode(&backup, ctx, KS_NONE), KS_EFORMAT);
	assert_int_equal(ks_backup_decode(&backup, ctx, ks_bytes_of(certificate)), KS_EFORMAT);
	assert_int_equal(ks_backup_decode(&backup, ctx, ks_bytes_of(empty)), KS_EDAMAGED);
	assert_null(backup);
}

static void the_two_keys_of_a_backup_differ_and_belong_to_it(void **state)
{
	ks_auto(secret) whole = secret_of("0123456789abcdefghijklmnopqrstuv", 32);
	ks_auto(secret) wraps = NULL;
	ks_auto(secret) seals = NULL;
	ks_auto(secret) of_another = NULL;
	ks_auto(backup) backup = NULL;

	(void)state;
	assert_int_equal(ks_backup_new(&backup, ctx), 0);
	assert_int_equal(ks_backup_derive(&wraps, backup, whole, KS_BACKUP_WRAPS), 0);
	assert_int_equal(ks_backup_derive(&seals, backup, whole, KS_BACKUP_SEALS), 0);
	backup->set[0] = 1;
	assert_int_equal(ks_backup_derive(&of_another, backup, whole, KS_BACKUP_WRAPS), 0);
	assert_int_equal(ks_secret_size(wraps), 32);
	assert_false(ks_secret_equal(wraps, seals));
	assert_false(ks_secret_equal(wraps, of_another));
	assert_false(ks_secret_equal(wraps, whole));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_share_is_read_from_its_block_or_its_line),
		cmocka_unit_test(a_share_with_any_letter_changed_is_refused),
		cmocka_unit_test(what_is_no_share_is_refused),
		cmocka_unit_test(a_backup_comes_back_as_it_was),
		cmocka_unit_test(a_backup_with_any_letter_changed_is_refused),
		cmocka_unit_test(a_backup_is_sealed_by_one_key_only),
		cmocka_unit_test(what_is_no_backup_is_refused),
		cmocka_unit_test(the_two_keys_of_a_backup_differ_and_belong_to_it),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
