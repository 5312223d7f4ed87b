/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PKCS#12 stores of other programs, read, changed and written again. The samples are in tests/data.
 */
#include "test.h"

#include "file/pkcs12.h"

#include <openssl/evp.h>

#include <stdio.h>

#define PASSWORD "sample"

struct fixture {
	struct ks_ctx *ctx;
	struct ks_secret *secret;
	struct ks_set *set;
};

static struct ks_secret *password(struct ks_ctx *ctx, const char *text)
{
	struct ks_secret *secret = NULL;

	assert_int_equal(ks_secret_new(&secret, ctx), 0);
	assert_int_equal(ks_secret_append(secret, ctx, text, strlen(text)), 0);
	return secret;
}

static int start(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct ks_settings settings = { 0 };

	assert_int_equal(ks_ctx_new(&f->ctx, &settings), 0);
	f->secret = password(f->ctx, PASSWORD);
	*state = f;
	return 0;
}

static int end(void **state)
{
	struct fixture *f = *state;

	ks_set_free(f->set);
	ks_secret_free(f->secret);
	assert_int_equal(ks_ctx_free(f->ctx), 0);
	free(f);
	return 0;
}

static struct ks_buffer *sample(const char *name)
{
	const char *source = getenv("KEYSTOW_SOURCE");
	struct ks_buffer *out = ks_buffer_new(1 << 20);
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/tests/data/p12-%s.p12", source ? source : ".", name);
	file = fopen(path, "rb");
	if (!file)
		fail_msg("%s cannot be read", path);
	out->size = fread(ks_buffer_room(out, 1 << 20), 1, 1 << 20, file);
	fclose(file);
	return out;
}

/* Decodes `file`, which the new set owns from then on. */
static int read_bytes(struct ks_set **out, struct fixture *f, struct ks_buffer *file, struct ks_secret *secret)
{
	struct ks_bytes bytes = ks_buffer_bytes(file);
	int rc;

	assert_int_equal(ks_set_new(out, f->ctx), 0);
	assert_int_equal(ks_set_own(*out, file), 0);
	rc = ks_codec_pkcs12.decode(f->ctx, *out, bytes, secret);
	return rc;
}

static int read_sample(struct fixture *f, const char *name, struct ks_secret *secret)
{
	ks_set_free(f->set);
	f->set = NULL;
	return read_bytes(&f->set, f, sample(name), secret);
}

static size_t count(const struct ks_set *set, enum ks_kind kind)
{
	size_t found = 0;

	for (size_t i = 0; i < ks_set_count(set); i++)
		found += ks_set_at(set, i)->kind == kind;
	return found;
}

static struct ks_item *first(const struct ks_set *set, enum ks_kind kind)
{
	for (size_t i = 0; i < ks_set_count(set); i++)
		if (ks_set_at(set, i)->kind == kind)
			return ks_set_at(set, i);
	fail_msg("no %s", ks_kind_name(kind));
	return NULL;
}

/* The store as `plan` would leave it, written. */
static int write_planned(struct ks_buffer **out, struct fixture *f, struct ks_plan *plan, struct ks_secret *secret, bool changed)
{
	ks_auto(set) result = NULL;
	ks_auto(buffer) file = ks_buffer_new(1 << 20);
	int rc;

	assert_int_equal(ks_plan_result(&result, plan), 0);
	rc = ks_codec_pkcs12.encode(f->ctx, file, result, f->set, secret, changed);
	if (rc == 0)
		*out = ks_take(file);
	return rc;
}

static struct ks_buffer *write_unchanged(struct fixture *f, struct ks_secret *secret, bool changed)
{
	ks_auto(plan) plan = NULL;
	struct ks_buffer *file = NULL;

	assert_int_equal(ks_plan_new(&plan, f->ctx, f->set), 0);
	if (write_planned(&file, f, plan, secret, changed) < 0)
		fail_msg("%s", ks_ctx_text(f->ctx));
	return file;
}

/* ---- reading ---------------------------------------------------------------------------------------------------------- */

static const struct expected {
	const char *name, *password;
	size_t keys, certificates, crls, secrets, opaque;
} good[] = {
	{ "ber-in-pieces", PASSWORD, 1, 1, 0, 0, 0 },
	{ "clear-key-in-an-encrypted-part", PASSWORD, 1, 1, 0, 0, 0 },
	{ "damaged-certificate", PASSWORD, 1, 1, 0, 0, 1 },
	{ "encrypted-without-mac", PASSWORD, 1, 1, 0, 0, 0 },
	{ "every-kind-of-bag", PASSWORD, 2, 1, 1, 1, 2 },
	{ "gnutls", PASSWORD, 1, 1, 0, 0, 0 },
	{ "java-trust-without-password", PASSWORD, 0, 1, 0, 0, 0 },
	{ "java-two-keys-a-secret-and-trust", PASSWORD, 2, 3, 0, 1, 0 },
	{ "nss", PASSWORD, 1, 1, 0, 0, 0 },
	{ "null-password", "", 1, 1, 0, 0, 0 },
	{ "openssl-aes", PASSWORD, 1, 2, 0, 0, 0 },
	{ "openssl-certificates-only", PASSWORD, 0, 1, 0, 0, 0 },
	{ "openssl-clear-under-a-mac", PASSWORD, 1, 1, 0, 0, 0 },
	{ "openssl-empty-password", "", 1, 1, 0, 0, 0 },
	{ "openssl-greek-password-and-label", "\u03c3\u03cd\u03bd\u03b8\u03b7\u03bc\u03b1", 1, 1, 0, 0, 0 },
	{ "openssl-no-mac", PASSWORD, 1, 1, 0, 0, 0 },
	{ "openssl-one-iteration", PASSWORD, 1, 1, 0, 0, 0 },
	{ "openssl-rc2-and-3des", PASSWORD, 1, 2, 0, 0, 0 },
	{ "openssl-rc4", PASSWORD, 1, 1, 0, 0, 0 },
	{ "pbes2-under-the-bmp-password-as-old-nss", PASSWORD, 1, 1, 0, 0, 0 },
	{ "pbmac1", PASSWORD, 1, 1, 0, 0, 0 },
	{ "sealed-in-an-unknown-bag", PASSWORD, 0, 0, 0, 0, 1 },
	{ "zero-bytes-behind", PASSWORD, 1, 1, 0, 0, 0 },
};

#define EACH_GOOD(row) (const struct expected *row = good; row < good + sizeof(good) / sizeof(good[0]); row++)

static void the_samples_hold_what_their_makers_put_in(void **state)
{
	struct fixture *f = *state;

	for EACH_GOOD (row) {
		ks_auto(secret) secret = password(f->ctx, row->password);

		if (read_sample(f, row->name, secret) < 0)
			fail_msg("%s: %s", row->name, ks_ctx_text(f->ctx));
		if (count(f->set, KS_PRIVATE_KEY) != row->keys || count(f->set, KS_CERTIFICATE) != row->certificates ||
		    count(f->set, KS_CRL) != row->crls || count(f->set, KS_SECRET_KEY) != row->secrets ||
		    count(f->set, KS_OPAQUE) != row->opaque)
			fail_msg("%s has other counts", row->name);
		ks_set_free(f->set);
		f->set = NULL;
	}
}

static void every_private_key_of_the_samples_can_be_used(void **state)
{
	struct fixture *f = *state;

	for EACH_GOOD (row) {
		ks_auto(secret) secret = password(f->ctx, row->password);

		assert_int_equal(read_sample(f, row->name, secret), 0);
		for (size_t i = 0; i < ks_set_count(f->set); i++) {
			struct ks_item *item = ks_set_at(f->set, i);
			EVP_PKEY *key = NULL;

			if (item->kind != KS_PRIVATE_KEY)
				continue;
			if (ks_item_pkey(&key, item, f->ctx) < 0)
				fail_msg("%s: %s", row->name, ks_ctx_text(f->ctx));
			EVP_PKEY_free(key);
		}
		ks_set_free(f->set);
		f->set = NULL;
	}
}

static const struct refused {
	const char *name, *password;
	int status;
	const char *says;
} bad[] = {
	{ "openssl-aes", "wrong", KS_EPASSWORD, "wrong password, or the file was changed" },
	{ "encrypted-without-mac", "wrong", KS_EPASSWORD, "wrong password, or it was changed" },
	{ "pbmac1", "wrong", KS_EPASSWORD, "wrong password, or the file was changed" },
	{ "two-passwords", PASSWORD, KS_EPASSWORD, "under another one" },
	{ "signed-instead-of-mac", PASSWORD, KS_EALGORITHM, "signature" },
	{ "encrypted-for-a-certificate", PASSWORD, KS_EALGORITHM, "encrypted for a certificate" },
	{ "nested-too-deep", PASSWORD, KS_ELIMIT, "64" },
	{ "mac-of-two-billion-rounds", PASSWORD, KS_ELIMIT, "2147483647" },
	{ "part-of-two-billion-rounds", PASSWORD, KS_ELIMIT, "2147483647" },
	{ "garbage-behind", PASSWORD, KS_EDAMAGED, "7 bytes" },
	{ "pbmac1-key-of-16-bytes", PASSWORD, KS_EDAMAGED, "20" },
	{ "pbmac1-without-key-length", PASSWORD, KS_EDAMAGED, "how long" },
};

static void refusals_say_which_kind_of_trouble_it_is(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ks_auto(secret) secret = password(f->ctx, bad[i].password);
		int rc = read_sample(f, bad[i].name, secret);

		if (rc != bad[i].status || !strstr(ks_ctx_text(f->ctx), bad[i].says))
			fail_msg("%s: %d %s", bad[i].name, rc, ks_ctx_text(f->ctx));
		ks_set_free(f->set);
		f->set = NULL;
	}
}

static void a_bomb_is_refused_with_the_whole_budget_left(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(read_sample(f, "mac-of-two-billion-rounds", f->secret), KS_ELIMIT);
	assert_int_equal(ks_spend(f->ctx, 10000000, "everything"), 0);
}

static void keys_of_endless_work_are_listed_and_refused_when_used(void **state)
{
	struct fixture *f = *state;
	EVP_PKEY *key = NULL;

	assert_int_equal(read_sample(f, "keys-of-endless-work", f->secret), 0);
	assert_int_equal(ks_item_pkey(&key, ks_set_at(f->set, 0), f->ctx), KS_ELIMIT);
	assert_non_null(strstr(ks_ctx_text(f->ctx), "256 MiB"));
	assert_int_equal(ks_item_pkey(&key, ks_set_at(f->set, 1), f->ctx), KS_ELIMIT);
	assert_int_equal(ks_spend(f->ctx, 10000000 - 2048, "all but the MAC"), 0);
}

static void listing_spends_nothing_on_keys(void **state)
{
	struct fixture *f = *state;

	/* 10,000 for the MAC, 10,000 for the certificates; three sealed keys would cost 30,000 more */
	assert_int_equal(read_sample(f, "java-two-keys-a-secret-and-trust", f->secret), 0);
	assert_int_equal(ks_spend(f->ctx, 10000000 - 20000, "the rest"), 0);
}

static void without_a_password_clear_bags_are_listed_unchecked(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(read_sample(f, "java-two-keys-a-secret-and-trust", NULL), 0);
	assert_int_equal(count(f->set, KS_PRIVATE_KEY), 2);
	assert_int_equal(count(f->set, KS_CERTIFICATE), 0);
	assert_int_equal(ks_set_facts_of(f->set)->integrity, KS_INTEGRITY_UNCHECKED);
	assert_int_equal(ks_set_problem_at(f->set, 0)->status, KS_ENOSECRET);
	assert_int_equal(read_sample(f, "openssl-certificates-only", NULL), KS_ENOSECRET);
}

static void a_wrong_password_for_a_key_alone_is_told_when_the_key_is_used(void **state)
{
	struct fixture *f = *state;
	ks_auto(secret) wrong = password(f->ctx, "wrong");
	EVP_PKEY *key = NULL;

	assert_int_equal(read_sample(f, "openssl-no-mac", wrong), 0);
	assert_int_equal(ks_item_pkey(&key, first(f->set, KS_PRIVATE_KEY), f->ctx), KS_EPASSWORD);
	assert_non_null(strstr(ks_ctx_text(f->ctx), "private key \"web\""));
}

static void facts_tell_mac_and_cipher(void **state)
{
	struct fixture *f = *state;
	const struct ks_facts *facts;
	ks_auto(secret) empty = password(f->ctx, "");

	assert_int_equal(read_sample(f, "openssl-rc2-and-3des", f->secret), 0);
	facts = ks_set_facts_of(f->set);
	assert_string_equal(facts->format, "pkcs12");
	assert_int_equal(facts->integrity, KS_INTEGRITY_VERIFIED);
	assert_string_equal(facts->mac, "hmacWithSHA1 (PKCS#12 KDF)");
	assert_string_equal(facts->cipher, "3DES-CBC");
	assert_true(facts->weak);
	assert_int_equal(read_sample(f, "null-password", empty), 0);
	assert_non_null(strstr(ks_set_facts_of(f->set)->mac, "password as no bytes at all (NULL)"));
	assert_int_equal(read_sample(f, "openssl-no-mac", f->secret), 0);
	assert_int_equal(ks_set_facts_of(f->set)->integrity, KS_INTEGRITY_NONE);
}

static void java_trust_is_an_anchor_and_its_date_is_known(void **state)
{
	struct fixture *f = *state;
	size_t anchors = 0;

	assert_int_equal(read_sample(f, "java-two-keys-a-secret-and-trust", f->secret), 0);
	for (size_t i = 0; i < ks_set_count(f->set); i++)
		anchors += ks_item_is_anchor(ks_set_at(f->set, i));
	assert_int_equal(anchors, 1);
	assert_true(first(f->set, KS_PRIVATE_KEY)->created > 1700000000);
}

static void a_bag_that_is_not_understood_is_named_and_kept(void **state)
{
	struct fixture *f = *state;
	struct ks_item *item;

	assert_int_equal(read_sample(f, "damaged-certificate", f->secret), 0);
	item = first(f->set, KS_OPAQUE);
	assert_true(item->flags & KS_UNDECODED);
	assert_non_null(strstr(ks_set_problem_at(f->set, 0)->text, "broken"));
}

/* ---- damage, change, and wrong passwords ---------------------------------------------------------------------------------- */

/* The status of the sample after the byte `at` bytes behind `landmark` was changed. */
static int status_changed(struct fixture *f, const char *name, const char *landmark, size_t size, size_t at)
{
	struct ks_buffer *file = sample(name);
	unsigned char *found = memmem(file->data, file->size, landmark, size);

	assert_non_null(found);
	found[at] ^= 1;
	ks_set_free(f->set);
	f->set = NULL;
	return read_bytes(&f->set, f, file, f->secret);
}

static void a_changed_label_under_the_mac_is_told_from_a_wrong_password(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(status_changed(f, "openssl-aes", "\0w\0e\0b", 6, 1), KS_EALTERED);
	assert_int_equal(status_changed(f, "pbmac1", "\0b\0y\0 ", 6, 1), KS_EALTERED);
}

static void a_broken_bag_under_the_mac_is_damage(void **state)
{
	struct fixture *f = *state;

	/* the length of the friendlyName attribute's OID */
	assert_int_equal(status_changed(f, "openssl-aes", "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x14", 11, 1), KS_EDAMAGED);
	/* the type of the shrouded key bag's [0] */
	assert_int_equal(status_changed(f, "openssl-aes", "\x0c\x0a\x01\x02\xa0", 5, 4), KS_EDAMAGED);
}

static void a_truncated_store_is_damaged(void **state)
{
	struct fixture *f = *state;
	struct ks_buffer *file = sample("openssl-aes");

	file->size -= 1;
	assert_int_equal(read_bytes(&f->set, f, file, f->secret), KS_EDAMAGED);
}

/* ---- writing -------------------------------------------------------------------------------------------------------------- */

static void an_unchanged_store_keeps_every_bag_byte_for_byte(void **state)
{
	struct fixture *f = *state;

	for EACH_GOOD (row) {
		ks_auto(secret) secret = password(f->ctx, row->password);
		ks_auto(set) again = NULL;

		assert_int_equal(read_sample(f, row->name, secret), 0);
		if (read_bytes(&again, f, write_unchanged(f, secret, false), secret) < 0)
			fail_msg("%s: %s", row->name, ks_ctx_text(f->ctx));
		assert_int_equal(ks_set_count(again), ks_set_count(f->set));
		for (size_t i = 0; i < ks_set_count(again); i++)
			if (!ks_bytes_equal(ks_set_at(again, i)->raw, ks_set_at(f->set, i)->raw))
				fail_msg("%s: bag %zu changed", row->name, i);
		assert_int_equal(ks_set_facts_of(again)->integrity, ks_set_facts_of(f->set)->integrity);
		ks_set_free(f->set);
		f->set = NULL;
	}
}

static void a_key_that_was_only_safe_inside_an_encrypted_part_stays_there(void **state)
{
	struct fixture *f = *state;
	ks_auto(buffer) file = NULL;
	struct ks_item *key;

	assert_int_equal(read_sample(f, "clear-key-in-an-encrypted-part", f->secret), 0);
	key = first(f->set, KS_PRIVATE_KEY);
	assert_false(key->flags & KS_SEALED);
	file = write_unchanged(f, f->secret, false);
	assert_null(memmem(file->data, file->size, key->der.data, key->der.size));
}

static void weak_certificates_are_written_strong_and_said_so(void **state)
{
	struct fixture *f = *state;
	ks_auto(set) again = NULL;
	const struct ks_pkcs12_layout *layout;

	assert_int_equal(read_sample(f, "openssl-rc2-and-3des", f->secret), 0);
	assert_int_equal(read_bytes(&again, f, write_unchanged(f, f->secret, false), f->secret), 0);
	layout = ks_set_facts_of(again)->layout;
	assert_string_equal(layout->content.cipher_name, "AES-256-CBC");
	assert_string_equal(layout->key.cipher_name, "3DES-CBC");
	assert_int_equal(ks_ctx_notice(f->ctx, 0)->status, KS_EWEAK);
}

static void a_mac_of_one_iteration_is_written_strong_and_said_so(void **state)
{
	struct fixture *f = *state;
	ks_auto(set) again = NULL;

	assert_int_equal(read_sample(f, "openssl-one-iteration", f->secret), 0);
	assert_int_equal(ks_set_facts_of(f->set)->mac_iterations, 1);
	assert_true(ks_set_facts_of(f->set)->weak);
	assert_int_equal(read_bytes(&again, f, write_unchanged(f, f->secret, false), f->secret), 0);
	assert_int_equal(ks_set_facts_of(again)->mac_iterations, 10000);
	assert_non_null(strstr(ks_ctx_notice(f->ctx, 1)->text, "MAC"));
}

static void pbmac1_stays_pbmac1(void **state)
{
	struct fixture *f = *state;
	ks_auto(set) again = NULL;

	assert_int_equal(read_sample(f, "pbmac1", f->secret), 0);
	assert_int_equal(read_bytes(&again, f, write_unchanged(f, f->secret, false), f->secret), 0);
	assert_string_equal(ks_set_facts_of(again)->mac, "PBMAC1, hmacWithSHA256 (PBKDF2-HMAC-SHA256)");
	assert_int_equal(ks_set_facts_of(again)->mac_iterations, 2048);
}

static void a_new_label_changes_the_label_and_nothing_else(void **state)
{
	struct fixture *f = *state;
	ks_auto(plan) plan = NULL;
	ks_auto(set) again = NULL;
	struct ks_naming naming = { .label = ks_bytes_of("neuer N\xc3\xa4me \xf0\x9f\x94\x91") };
	struct ks_buffer *file = NULL;
	struct ks_item *before, *after;

	assert_int_equal(read_sample(f, "every-kind-of-bag", f->secret), 0);
	before = first(f->set, KS_PRIVATE_KEY);
	assert_int_equal(ks_plan_new(&plan, f->ctx, f->set), 0);
	assert_int_equal(ks_plan_name(plan, before, &naming, NULL), 0);
	assert_int_equal(ks_plan_name(plan, ks_set_at(f->set, 6), &naming, NULL), 0);
	assert_int_equal(write_planned(&file, f, plan, f->secret, false), 0);
	assert_int_equal(read_bytes(&again, f, file, f->secret), 0);
	after = first(again, KS_PRIVATE_KEY);
	assert_true(ks_bytes_equal(after->label, naming.label));
	assert_true(ks_bytes_equal(after->der, before->der));
	assert_true(ks_bytes_equal(after->id, before->id));
	assert_non_null(memmem(after->attributes.data, after->attributes.size, "\0S\0o\0m\0e\0 \0C\0S\0P", 16));
	after = ks_set_at(again, 6);
	assert_int_equal(after->kind, KS_OPAQUE);
	assert_true(ks_bytes_equal(after->label, naming.label));
	assert_non_null(memmem(after->raw.data, after->raw.size, "nobody knows", 12));
}

static size_t places(struct ks_bytes in, struct ks_bytes what)
{
	size_t found = 0;
	const unsigned char *at = in.data;

	while ((at = memmem(at, (size_t)(in.data + in.size - at), what.data, what.size))) {
		found++;
		at++;
	}
	return found;
}

static void salts_stay_with_the_password_and_the_iv_does_not(void **state)
{
	struct fixture *f = *state;
	ks_auto(secret) fresh = password(f->ctx, "ganz neu");
	struct ks_buffer *same[2], *other;
	const struct ks_pkcs12_layout *layout;
	ks_auto(set) again = NULL;
	struct ks_bytes content, mac;

	assert_int_equal(read_sample(f, "java-two-keys-a-secret-and-trust", f->secret), 0);
	layout = ks_set_facts_of(f->set)->layout;
	content = layout->content.derivation.salt;
	mac = layout->mac.derivation.salt;
	assert_true(content.size >= KS_KEPT_SALT && mac.size >= KS_KEPT_SALT);
	other = write_unchanged(f, fresh, true);
	for (int i = 0; i < 2; i++) {
		same[i] = write_unchanged(f, f->secret, false);
		assert_int_equal(places(ks_buffer_bytes(same[i]), content), 1);
		assert_int_equal(places(ks_buffer_bytes(same[i]), mac), 1);
		assert_int_equal(places(ks_buffer_bytes(same[i]), layout->content.iv), 0);
	}
	assert_int_equal(places(ks_buffer_bytes(other), content), 0);
	assert_int_equal(places(ks_buffer_bytes(other), mac), 0);
	assert_false(ks_bytes_equal(ks_buffer_bytes(same[0]), ks_buffer_bytes(same[1])));
	assert_int_equal(read_bytes(&again, f, same[0], f->secret), 0);
	ks_buffer_free(same[1]);
	ks_buffer_free(other);
}

static void a_salt_that_is_too_short_is_not_kept(void **state)
{
	struct fixture *f = *state;
	struct ks_pkcs12_layout *layout;
	struct ks_bytes mac;
	ks_auto(buffer) file = NULL;
	ks_auto(set) again = NULL;

	assert_int_equal(read_sample(f, "java-two-keys-a-secret-and-trust", f->secret), 0);
	layout = (struct ks_pkcs12_layout *)ks_set_facts_of(f->set)->layout;
	layout->content.derivation.salt.size = layout->mac.derivation.salt.size = KS_KEPT_SALT - 1;
	mac = layout->mac.derivation.salt;
	file = write_unchanged(f, f->secret, false);
	assert_int_equal(places(ks_buffer_bytes(file), layout->content.derivation.salt), 0);
	assert_int_equal(places(ks_buffer_bytes(file), mac), 0);
	assert_int_equal(read_bytes(&again, f, ks_take(file), f->secret), 0);
	layout = (struct ks_pkcs12_layout *)ks_set_facts_of(again)->layout;
	assert_int_equal(layout->mac.derivation.salt.size, 16);
	assert_int_equal(layout->content.derivation.salt.size, 16);
}

static void trust_is_written_as_javas_attribute_and_taken_away_again(void **state)
{
	struct fixture *f = *state;
	ks_auto(plan) plan = NULL;
	ks_auto(set) again = NULL;
	struct ks_naming naming = { .set_trust = true, .trust = { .trusted = KS_FOR_SERVER | KS_FOR_EMAIL } };
	struct ks_naming none = { .set_trust = true };
	struct ks_buffer *file = NULL;

	assert_int_equal(read_sample(f, "java-two-keys-a-secret-and-trust", f->secret), 0);
	assert_int_equal(ks_plan_new(&plan, f->ctx, f->set), 0);
	for (size_t i = 0; i < ks_set_count(f->set); i++) {
		struct ks_item *item = ks_set_at(f->set, i);

		if (item->kind == KS_CERTIFICATE)
			assert_int_equal(ks_plan_name(plan, item, ks_item_is_anchor(item) ? &none : &naming, NULL), 0);
	}
	assert_int_equal(write_planned(&file, f, plan, f->secret, false), 0);
	assert_int_equal(read_bytes(&again, f, file, f->secret), 0);
	for (size_t i = 0; i < ks_set_count(again); i++) {
		struct ks_item *was = ks_set_at(f->set, i), *is = ks_set_at(again, i);

		if (is->kind == KS_CERTIFICATE)
			assert_int_equal(is->trust.trusted, ks_item_is_anchor(was) ? 0 : naming.trust.trusted);
	}
}

static void a_new_password_opens_everything_and_the_old_one_nothing(void **state)
{
	struct fixture *f = *state;
	ks_auto(secret) fresh = password(f->ctx, "ganz neu");
	ks_auto(set) again = NULL;
	ks_auto(set) none = NULL;
	ks_auto(buffer) clear = NULL;
	EVP_PKEY *key = NULL;

	assert_int_equal(read_sample(f, "java-two-keys-a-secret-and-trust", f->secret), 0);
	assert_int_equal(read_bytes(&again, f, write_unchanged(f, fresh, true), fresh), 0);
	assert_int_equal(ks_set_count(again), ks_set_count(f->set));
	assert_int_equal(ks_item_pkey(&key, first(again, KS_PRIVATE_KEY), f->ctx), 0);
	EVP_PKEY_free(key);
	assert_int_equal(ks_item_pkcs8(&clear, first(again, KS_SECRET_KEY), f->ctx), 0);
	for (size_t i = 0; i < ks_set_count(again); i++) {
		struct ks_item *was = ks_set_at(f->set, i), *is = ks_set_at(again, i);

		assert_true(ks_bytes_equal(is->attributes, was->attributes));
		assert_true(ks_bytes_equal(is->der, was->der) == (is->kind == KS_CERTIFICATE));
	}
	assert_int_equal(read_bytes(&none, f, write_unchanged(f, fresh, true), f->secret), KS_EPASSWORD);
}

static void what_cannot_be_sealed_anew_refuses_the_new_password(void **state)
{
	struct fixture *f = *state;
	ks_auto(secret) fresh = password(f->ctx, "ganz neu");
	ks_auto(plan) plan = NULL;
	struct ks_buffer *file = NULL;

	assert_int_equal(read_sample(f, "sealed-in-an-unknown-bag", f->secret), 0);
	assert_int_equal(ks_plan_new(&plan, f->ctx, f->set), 0);
	assert_int_equal(write_planned(&file, f, plan, fresh, true), KS_EUNABLE);
	assert_non_null(strstr(ks_ctx_text(f->ctx), "\"odd\""));
}

static void a_store_without_password_can_get_one(void **state)
{
	struct fixture *f = *state;
	ks_auto(set) again = NULL;

	assert_int_equal(read_sample(f, "java-trust-without-password", NULL), 0);
	assert_int_equal(read_bytes(&again, f, write_unchanged(f, f->secret, true), f->secret), 0);
	assert_int_equal(ks_set_facts_of(again)->integrity, KS_INTEGRITY_VERIFIED);
	assert_true(((const struct ks_pkcs12_layout *)ks_set_facts_of(again)->layout)->certificates_sealed);
}

static void parts_that_were_not_opened_are_not_lost_by_writing(void **state)
{
	struct fixture *f = *state;
	ks_auto(plan) plan = NULL;
	struct ks_buffer *file = NULL;

	assert_int_equal(read_sample(f, "java-two-keys-a-secret-and-trust", NULL), 0);
	assert_int_equal(ks_plan_new(&plan, f->ctx, f->set), 0);
	assert_int_equal(write_planned(&file, f, plan, NULL, false), KS_ENOSECRET);
}

/* ---- new stores ------------------------------------------------------------------------------------------------------------ */

/* All items of f->set, as if they came from a store of another kind, in a new store. */
static struct ks_buffer *write_elsewhere(struct fixture *f, struct ks_secret *secret)
{
	ks_auto(set) none = NULL;
	ks_auto(plan) plan = NULL;
	ks_auto(set) result = NULL;
	struct ks_buffer *file = ks_buffer_new(1 << 20);

	assert_int_equal(ks_set_new(&none, f->ctx), 0);
	assert_int_equal(ks_plan_new(&plan, f->ctx, none), 0);
	for (size_t i = 0; i < ks_set_count(f->set); i++)
		assert_int_equal(ks_plan_add(plan, ks_set_at(f->set, i), &(struct ks_naming){ 0 }, NULL), 0);
	assert_int_equal(ks_plan_result(&result, plan), 0);
	if (ks_codec_pkcs12.encode(f->ctx, file, result, NULL, secret, false) < 0)
		fail_msg("%s", ks_ctx_text(f->ctx));
	return file;
}

static void items_of_one_store_are_sealed_anew_in_another(void **state)
{
	struct fixture *f = *state;
	ks_auto(secret) other = password(f->ctx, "another");
	ks_auto(set) copy = NULL;
	EVP_PKEY *key = NULL;

	assert_int_equal(read_sample(f, "java-two-keys-a-secret-and-trust", f->secret), 0);
	assert_int_equal(read_bytes(&copy, f, write_elsewhere(f, other), other), 0);
	assert_int_equal(count(copy, KS_PRIVATE_KEY), 2);
	assert_int_equal(count(copy, KS_SECRET_KEY), 1);
	assert_int_equal(count(copy, KS_CERTIFICATE), 3);
	for (size_t i = 0; i < ks_set_count(copy); i++) {
		struct ks_item *item = ks_set_at(copy, i);

		if (item->kind == KS_PRIVATE_KEY) {
			assert_int_equal(ks_item_pkey(&key, item, f->ctx), 0);
			EVP_PKEY_free(key);
		}
		assert_true(item->label.size > 0);
	}
	assert_string_equal(ks_set_facts_of(copy)->mac, "hmacWithSHA256 (PKCS#12 KDF)");
	assert_int_equal(ks_set_facts_of(copy)->mac_iterations, 10000);
	assert_string_equal(ks_set_facts_of(copy)->cipher, "AES-256-CBC");
}

static void a_new_store_without_password_is_clear_and_without_mac(void **state)
{
	struct fixture *f = *state;
	ks_auto(set) copy = NULL;

	assert_int_equal(read_sample(f, "openssl-aes", f->secret), 0);
	assert_int_equal(read_bytes(&copy, f, write_elsewhere(f, NULL), NULL), 0);
	assert_int_equal(ks_set_count(copy), 3);
	assert_false(first(copy, KS_PRIVATE_KEY)->flags & KS_SEALED);
	assert_int_equal(ks_set_facts_of(copy)->integrity, KS_INTEGRITY_NONE);
}

static void an_empty_store_is_a_store(void **state)
{
	struct fixture *f = *state;
	ks_auto(set) again = NULL;

	assert_int_equal(ks_set_new(&f->set, f->ctx), 0);
	assert_int_equal(read_bytes(&again, f, write_elsewhere(f, f->secret), f->secret), 0);
	assert_int_equal(ks_set_count(again), 0);
	assert_int_equal(ks_set_facts_of(again)->integrity, KS_INTEGRITY_VERIFIED);
}

static void a_request_is_refused_by_name(void **state)
{
	struct fixture *f = *state;
	ks_auto(buffer) file = ks_buffer_new(1 << 20);

	assert_int_equal(ks_set_new(&f->set, f->ctx), 0);
	ks_set_add(f->set, KS_REQUEST)->der = KS_BYTES("0\0", 2);
	assert_int_equal(ks_codec_pkcs12.encode(f->ctx, file, f->set, NULL, f->secret, false), KS_ELOSSY);
	assert_non_null(strstr(ks_ctx_text(f->ctx), "request"));
}

static void the_ceiling_of_the_file_is_told(void **state)
{
	struct fixture *f = *state;
	ks_auto(buffer) file = ks_buffer_new(1000);

	assert_int_equal(read_sample(f, "java-two-keys-a-secret-and-trust", f->secret), 0);
	assert_int_equal(ks_codec_pkcs12.encode(f->ctx, file, f->set, f->set, f->secret, false), KS_ELIMIT);
}

static void only_pkcs12_looks_like_pkcs12(void **state)
{
	ks_auto(buffer) file = sample("ber-in-pieces");

	(void)state;
	assert_int_equal(ks_codec_pkcs12.probe(ks_buffer_bytes(file)), 100);
	file->data[4] ^= 2; /* the version, behind an indefinite header */
	assert_int_equal(ks_codec_pkcs12.probe(ks_buffer_bytes(file)), 100);
	assert_int_equal(ks_codec_pkcs12.probe(KS_BYTES("-----BEGIN CERTIFICATE-----", 27)), 0);
	assert_int_equal(ks_codec_pkcs12.probe(KS_BYTES("0\x82\x01\x01\x02\x01\x00\x30", 8)), 0);
	assert_int_equal(ks_codec_pkcs12.probe(KS_BYTES("", 0)), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_samples_hold_what_their_makers_put_in),
		TEST(every_private_key_of_the_samples_can_be_used),
		TEST(refusals_say_which_kind_of_trouble_it_is),
		TEST(a_bomb_is_refused_with_the_whole_budget_left),
		TEST(keys_of_endless_work_are_listed_and_refused_when_used),
		TEST(listing_spends_nothing_on_keys),
		TEST(without_a_password_clear_bags_are_listed_unchecked),
		TEST(a_wrong_password_for_a_key_alone_is_told_when_the_key_is_used),
		TEST(facts_tell_mac_and_cipher),
		TEST(java_trust_is_an_anchor_and_its_date_is_known),
		TEST(a_bag_that_is_not_understood_is_named_and_kept),
		TEST(a_changed_label_under_the_mac_is_told_from_a_wrong_password),
		TEST(a_broken_bag_under_the_mac_is_damage),
		TEST(a_truncated_store_is_damaged),
		TEST(an_unchanged_store_keeps_every_bag_byte_for_byte),
		TEST(a_key_that_was_only_safe_inside_an_encrypted_part_stays_there),
		TEST(weak_certificates_are_written_strong_and_said_so),
		TEST(a_mac_of_one_iteration_is_written_strong_and_said_so),
		TEST(pbmac1_stays_pbmac1),
		TEST(a_new_label_changes_the_label_and_nothing_else),
		TEST(salts_stay_with_the_password_and_the_iv_does_not),
		TEST(a_salt_that_is_too_short_is_not_kept),
		TEST(trust_is_written_as_javas_attribute_and_taken_away_again),
		TEST(a_new_password_opens_everything_and_the_old_one_nothing),
		TEST(what_cannot_be_sealed_anew_refuses_the_new_password),
		TEST(a_store_without_password_can_get_one),
		TEST(parts_that_were_not_opened_are_not_lost_by_writing),
		TEST(items_of_one_store_are_sealed_anew_in_another),
		TEST(a_new_store_without_password_is_clear_and_without_mac),
		TEST(an_empty_store_is_a_store),
		TEST(a_request_is_refused_by_name),
		TEST(the_ceiling_of_the_file_is_told),
		TEST(only_pkcs12_looks_like_pkcs12),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
