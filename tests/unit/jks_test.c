/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Java's key stores, of keytool and of odder writers, read, changed and written again. The samples are in tests/data.
 */
#include "test.h"

#include "alias.h"
#include "entry.h"
#include "plan.h"

#include "file/java_object.h"
#include "file/jks.h"
#include "file/key.h"
#include "file/proof.h"

#include <stdio.h>

#define PASSWORD "sample"
#define OWN_PASSWORD "sample of its own"
#define CAN (KS_CAN_LABELS | KS_CAN_ANCHORS | KS_CAN_ALIASES | KS_CAN_CHAINS | KS_CAN_KEY_SECRETS)

static struct {
	struct ks_ctx *ctx;
	struct ks_secret *secret;
	struct ks_set *set;
	const struct ks_codec *codec;
	const char *answer; /* to the question for a key's password; NULL = nobody answers */
	unsigned asked;
} f;

static int answer(void *user, struct ks_ctx *ctx, const struct ks_question *question, struct ks_secret *into)
{
	(void)user;
	assert_int_equal(question->ask, KS_ASK_KEY_PASSWORD);
	f.asked++;
	if (!f.answer)
		return ks_fail(ctx, KS_ENOSECRET, "nobody is there");
	return ks_secret_append(into, ctx, f.answer, strlen(f.answer));
}

static struct ks_secret *password(const char *text)
{
	struct ks_secret *secret = NULL;

	assert_int_equal(ks_secret_new(&secret, f.ctx), 0);
	assert_int_equal(ks_secret_append(secret, f.ctx, text, strlen(text)), 0);
	return secret;
}

static int start(void **state)
{
	const struct ks_settings settings = { .hooks = { .ask = answer } };

	(void)state;
	memset(&f, 0, sizeof(f));
	assert_int_equal(ks_ctx_new(&f.ctx, &settings), 0);
	f.secret = password(PASSWORD);
	return 0;
}

static int finish(void **state)
{
	(void)state;
	ks_set_free(f.set);
	ks_secret_free(f.secret);
	return ks_ctx_free(f.ctx);
}

static struct ks_buffer *sample(const char *name)
{
	const char *source = getenv("KEYSTOW_SOURCE");
	struct ks_buffer *out = ks_buffer_new(1 << 20);
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/tests/data/%s", source ? source : ".", name);
	file = fopen(path, "rb");
	if (!file)
		fail_msg("%s cannot be read", path);
	out->size = fread(ks_buffer_room(out, 1 << 20), 1, 1 << 20, file);
	fclose(file);
	return out;
}

static int read_bytes(struct ks_set **out, struct ks_buffer *file, struct ks_secret *secret)
{
	struct ks_bytes bytes = ks_buffer_bytes(file);

	f.codec = ks_codec_jks.probe(bytes) ? &ks_codec_jks : &ks_codec_jceks;
	assert_int_equal(f.codec->probe(bytes), 100);
	assert_int_equal(ks_set_new(out, f.ctx), 0);
	assert_int_equal(ks_set_own(*out, file), 0);
	return f.codec->decode(f.ctx, *out, bytes, secret);
}

static int read_sample(const char *name, struct ks_secret *secret)
{
	ks_set_free(ks_take(f.set));
	return read_bytes(&f.set, sample(name), secret);
}

static void opened(const char *name)
{
	if (read_sample(name, f.secret) < 0)
		fail_msg("%s: %s", name, ks_ctx_text(f.ctx));
}

static struct ks_item *labelled(const struct ks_set *set, const char *label)
{
	for (size_t i = 0; i < ks_set_count(set); i++) {
		if (ks_bytes_are(ks_set_at(set, i)->label, label))
			return ks_set_at(set, i);
	}
	fail_msg("nothing is labelled %s", label);
	return NULL;
}

static size_t problems(const struct ks_set *set)
{
	size_t count = 0;

	while (ks_set_problem_at(set, count))
		count++;
	return count;
}

static size_t notices(int status)
{
	const struct ks_problem *notice;
	size_t count = 0;

	for (size_t i = 0; (notice = ks_ctx_notice(f.ctx, i)); i++)
		count += notice->status == status;
	return count;
}

/* Writes what the plan makes of the store, reads that, and proves it. */
static int write_planned(struct ks_set **again, struct ks_plan *plan, struct ks_secret *secret, bool changed)
{
	ks_auto(set) result = NULL;
	struct ks_buffer *file = ks_buffer_new(1 << 20);
	int rc;

	assert_int_equal(ks_plan_result(&result, plan), 0);
	rc = f.codec->encode(f.ctx, file, result, f.set, secret, changed);
	if (rc < 0) {
		ks_buffer_free(file);
		return rc;
	}
	if (read_bytes(again, file, secret) < 0 || ks_proof(f.ctx, CAN, result, f.set, changed, *again) < 0)
		fail_msg("%s", ks_ctx_text(f.ctx));
	return 0;
}

static struct ks_plan *plan_new(void)
{
	struct ks_plan *plan = NULL;

	assert_int_equal(ks_plan_new(&plan, f.ctx, f.set), 0);
	return plan;
}

/* ---- reading ---------------------------------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	size_t keys, certificates, anchors, secrets, opaque, problems;
} good[] = {
	{ "jks-java-two-keys-and-trust.jks", 2, 5, 2, 0, 0, 0 },
	{ "jceks-java-keys-secrets-and-trust.jceks", 2, 5, 2, 3, 0, 0 },
	{ "jks-version-1.jks", 1, 2, 1, 0, 0, 0 },
	{ "jks-capitals-and-equal-aliases.jks", 0, 5, 5, 0, 0, 0 },
	{ "jks-alias-that-is-no-text.jks", 0, 1, 1, 0, 0, 0 },
	{ "jks-bytes-behind.jks", 0, 1, 1, 0, 0, 1 },
	{ "jks-certificates-of-other-types.jks", 1, 1, 0, 0, 3, 2 },
	{ "jks-key-without-certificate.jks", 1, 0, 0, 0, 0, 0 },
	{ "jceks-equal-halves-of-salt.jceks", 1, 1, 0, 0, 0, 0 },
	{ "jceks-endless-work.jceks", 1, 1, 0, 0, 0, 0 },
	{ "jceks-objects-of-all-sorts.jceks", 1, 1, 0, 6, 0, 0 },
};

static void check_counts(size_t i)
{
	const struct ks_counts counts = ks_set_counts(f.set);

	assert_int_equal(counts.keys, good[i].keys);
	assert_int_equal(counts.certificates, good[i].certificates);
	assert_int_equal(counts.anchors, good[i].anchors);
	assert_int_equal(counts.secret_keys, good[i].secrets);
	assert_int_equal(counts.opaque, good[i].opaque);
	assert_int_equal(problems(f.set), good[i].problems);
}

static void every_sample_is_listed_with_and_without_its_password(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		opened(good[i].name);
		check_counts(i);
		assert_int_equal(ks_set_facts(f.set)->integrity, KS_INTEGRITY_VERIFIED);
		assert_true(ks_set_facts(f.set)->weak);
		assert_int_equal(read_sample(good[i].name, NULL), 0);
		check_counts(i);
		assert_int_equal(ks_set_facts(f.set)->integrity, KS_INTEGRITY_UNCHECKED);
	}
	assert_int_equal(f.asked, 0);
}

static void an_unchanged_store_is_written_byte_for_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		ks_auto(buffer) file = ks_buffer_new(1 << 20);
		ks_auto(buffer) before = sample(good[i].name);
		ks_auto(plan) plan = NULL;
		ks_auto(set) result = NULL;

		opened(good[i].name);
		plan = plan_new();
		assert_int_equal(ks_plan_result(&result, plan), 0);
		assert_int_equal(f.codec->encode(f.ctx, file, result, f.set, f.secret, false), 0);
		if (strstr(good[i].name, "bytes-behind"))
			before->size -= strlen("left over");
		assert_true(ks_bytes_equal(ks_buffer_bytes(file), ks_buffer_bytes(before)));
	}
}

static void aliases_are_modified_utf8_and_stay_as_found(void **state)
{
	(void)state;
	opened("jks-capitals-and-equal-aliases.jks");
	assert_true(ks_bytes_are(ks_set_at(f.set, 0)->label, "ServerCA"));
	assert_true(ks_bytes_are(ks_set_at(f.set, 1)->label, "serverca"));
	assert_true(ks_bytes_equal(ks_set_at(f.set, 4)->label, KS_BYTES("nul\0\xf0\x9f\x94\x91", 8)));
	assert_int_equal(ks_set_at(f.set, 0)->created, 1700000000);
	opened("jks-alias-that-is-no-text.jks");
	assert_true(ks_bytes_are(ks_set_at(f.set, 0)->label, "\xff\xfe"));
	opened("jks-java-two-keys-and-trust.jks");
	labelled(f.set, "\xc3\xbc"
			"ber \xf0\x9f\x94\x91");
}

static void a_key_tells_its_kind_and_its_chain_without_being_opened(void **state)
{
	ks_auto(entries) entries = NULL;
	size_t found = 0;

	(void)state;
	assert_int_equal(read_sample("jks-java-two-keys-and-trust.jks", NULL), 0);
	assert_int_equal(ks_entries_of(&entries, f.ctx, f.set), 0);
	for (size_t i = 0; i < entries->count; i++) {
		const struct ks_entry *entry = &entries->entries[i];

		if (!entry->key)
			continue;
		found++;
		assert_non_null(entry->certificate);
		assert_int_equal(entry->key->key.type, ks_bytes_are(entry->key->label, "web") ? KS_KEY_RSA : KS_KEY_EC);
		assert_int_equal(entry->chain_count, ks_bytes_are(entry->key->label, "web") ? 1 : 0);
	}
	assert_int_equal(found, 2);
}

static void a_key_opens_with_the_stores_password_or_is_asked_for_its_own(void **state)
{
	static const char *const names[] = { "jks-java-two-keys-and-trust.jks",
					     "jceks-java-keys-secrets-and-trust.jceks" };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		EVP_PKEY *key = NULL;

		opened(names[i]);
		f.asked = 0;
		assert_int_equal(ks_item_pkey(&key, labelled(f.set, "web"), f.ctx), 0);
		EVP_PKEY_free(ks_take(key));
		assert_int_equal(f.asked, 0);
		f.answer = OWN_PASSWORD;
		assert_int_equal(ks_item_pkey(&key, labelled(f.set, "own"), f.ctx), 0);
		EVP_PKEY_free(ks_take(key));
		assert_int_equal(f.asked, 1);
		f.answer = "wrong";
		assert_int_equal(ks_item_pkey(&key, labelled(f.set, "own"), f.ctx), KS_EPASSWORD);
		f.answer = NULL;
		assert_int_equal(ks_item_pkey(&key, labelled(f.set, "own"), f.ctx), KS_EPASSWORD);
	}
}

static void the_salt_with_equal_halves_is_turned_as_java_turns_it(void **state)
{
	EVP_PKEY *key = NULL;

	(void)state;
	opened("jceks-equal-halves-of-salt.jceks");
	assert_int_equal(ks_item_pkey(&key, labelled(f.set, "web"), f.ctx), 0);
	EVP_PKEY_free(key);
	opened("jceks-objects-of-all-sorts.jceks");
	assert_int_equal(ks_item_pkey(&key, labelled(f.set, "jks seal"), f.ctx), 0);
	EVP_PKEY_free(key);
}

static void check_secret(const char *label, int status, size_t size)
{
	ks_auto(buffer) clear = NULL;
	struct ks_bytes oid, key;
	int rc = ks_item_pkcs8(&clear, labelled(f.set, label), f.ctx);

	if (rc != status)
		fail_msg("%s: %d, %s", label, rc, ks_ctx_text(f.ctx));
	if (status < 0)
		return;
	assert_int_equal(ks_secret_key_parts(&oid, &key, ks_buffer_bytes(clear)), 0);
	assert_int_equal(key.size, size);
}

static void secret_keys_open_and_what_is_no_secret_key_is_named(void **state)
{
	(void)state;
	opened("jceks-java-keys-secrets-and-trust.jceks");
	check_secret("aes", 0, 32);
	check_secret("triple", 0, 24);
	check_secret("words", 0, 8);
	opened("jceks-objects-of-all-sorts.jceks");
	check_secret("plain sealed object", 0, 32);
	check_secret("by numbers", 0, 16);
	check_secret("unknown class", KS_EUNABLE, 0);
	check_secret("other seal", KS_EUNABLE, 0);
	check_secret("odd algorithm", KS_EALGORITHM, 0);
	check_secret("odd key", KS_EALGORITHM, 0);
	assert_non_null(strstr(labelled(f.set, "unknown class")->about, "com.example.Vault"));
}

static void endless_work_is_refused_before_it_is_done(void **state)
{
	EVP_PKEY *key = NULL;

	(void)state;
	opened("jceks-endless-work.jceks");
	assert_int_equal(ks_item_pkey(&key, labelled(f.set, "web"), f.ctx), KS_ELIMIT);
}

static void a_password_of_a_java_without_locale_fits(void **state)
{
	ks_auto(secret) latin1 = password("\xc3\xbc");
	EVP_PKEY *key = NULL;

	(void)state;
	assert_int_equal(read_sample("jks-latin1-password.jks", latin1), 0);
	assert_int_equal(ks_item_pkey(&key, labelled(f.set, "web"), f.ctx), 0);
	EVP_PKEY_free(key);
}

/* ---- refusals --------------------------------------------------------------------------------------------------------------- */

static int read_altered(const char *name, size_t at, unsigned char by, size_t cut)
{
	struct ks_buffer *file = sample(name);

	file->data[at] ^= by;
	file->size -= cut;
	ks_set_free(ks_take(f.set));
	return read_bytes(&f.set, file, f.secret);
}

static void a_wrong_password_a_change_and_damage_are_told_apart(void **state)
{
	ks_auto(secret) wrong = password("wrong");

	(void)state;
	assert_int_equal(read_sample("jks-java-two-keys-and-trust.jks", wrong), KS_EPASSWORD);
	assert_int_equal(read_sample("jks-version-1.jks", wrong), KS_EPASSWORD);
	assert_int_equal(read_sample("jceks-java-keys-secrets-and-trust.jceks", wrong), KS_EPASSWORD);
	/* A bit of a date: the structure stays, and the password still opens a key. */
	assert_int_equal(read_altered("jks-version-1.jks", 25, 1, 0), KS_EALTERED);
	assert_int_equal(read_altered("jceks-equal-halves-of-salt.jceks", 25, 1, 0), KS_EALTERED);
	/* Only certificates: nobody can tell. */
	assert_int_equal(read_altered("jks-capitals-and-equal-aliases.jks", 30, 1, 0), KS_EPASSWORD);
	assert_int_equal(read_altered("jks-version-1.jks", 7, 7, 0), KS_EDAMAGED);
	assert_int_equal(read_altered("jks-version-1.jks", 0, 0, 21), KS_EDAMAGED);
	assert_int_equal(read_altered("jks-version-1.jks", 0, 0, 2635 - 20), KS_EDAMAGED);
}

static void lengths_and_counts_are_not_believed(void **state)
{
	(void)state;
	assert_int_equal(read_sample("jks-four-billion-records.jks", f.secret), KS_EDAMAGED);
	assert_int_equal(read_sample("jks-key-of-four-billion-bytes.jks", f.secret), KS_EDAMAGED);
	assert_int_equal(read_sample("jceks-objects-in-objects.jceks", f.secret), KS_ELIMIT);
	assert_non_null(strstr(ks_ctx_text(f.ctx), "64"));
}

/* ---- writing ---------------------------------------------------------------------------------------------------------------- */

static void a_renamed_key_keeps_its_seal_its_date_and_its_chain(void **state)
{
	ks_auto(plan) plan = NULL;
	ks_auto(set) again = NULL;
	struct ks_item *before, *after;

	(void)state;
	opened("jks-java-two-keys-and-trust.jks");
	before = labelled(f.set, "web");
	plan = plan_new();
	assert_int_equal(ks_plan_rename(plan, before, "Www"), 0);
	assert_int_equal(write_planned(&again, plan, f.secret, false), 0);
	after = labelled(again, "www");
	assert_int_equal(after->kind, KS_PRIVATE_KEY);
	assert_true(ks_bytes_equal(before->der, after->der));
	assert_true(ks_bytes_equal(before->attributes, after->attributes));
	assert_int_equal(before->created, after->created);
	assert_int_equal(ks_set_count(again), ks_set_count(f.set));
}

static void a_removed_key_takes_its_chain_along_and_leaves_the_rest(void **state)
{
	ks_auto(plan) plan = NULL;
	ks_auto(set) again = NULL;
	struct ks_counts counts;

	(void)state;
	opened("jks-java-two-keys-and-trust.jks");
	plan = plan_new();
	assert_int_equal(ks_plan_remove(plan, labelled(f.set, "web")), 0);
	assert_int_equal(write_planned(&again, plan, f.secret, false), 0);
	counts = ks_set_counts(again);
	assert_int_equal(counts.keys, 1);
	assert_int_equal(counts.certificates, 3);
	assert_int_equal(counts.anchors, 2);
	assert_int_equal(notices(KS_ELOSSY), 0);
}

static void a_new_password_reseals_what_the_old_one_opened(void **state)
{
	static const char *const names[] = { "jks-java-two-keys-and-trust.jks",
					     "jceks-java-keys-secrets-and-trust.jceks" };
	ks_auto(secret) fresh = password("fresh password");

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		ks_auto(plan) plan = NULL;
		ks_auto(set) again = NULL;
		struct ks_item *own;
		EVP_PKEY *key = NULL;

		opened(names[i]);
		own = labelled(f.set, "own");
		plan = plan_new();
		ks_plan_repassword(plan, fresh);
		assert_int_equal(write_planned(&again, plan, fresh, true), 0);
		assert_int_equal(ks_item_pkey(&key, labelled(again, "web"), f.ctx), 0);
		EVP_PKEY_free(key);
		assert_true(ks_bytes_equal(labelled(again, "own")->der, own->der));
		assert_false(ks_bytes_equal(labelled(again, "web")->der, labelled(f.set, "web")->der));
		assert_int_equal(notices(KS_EPASSWORD), i + 1);
	}
}

static void java_takes_no_password_beyond_ascii_for_keys_of_jceks(void **state)
{
	ks_auto(secret) greek = password("\xcf\x83");
	ks_auto(plan) plan = NULL;
	ks_auto(set) again = NULL;

	(void)state;
	opened("jceks-equal-halves-of-salt.jceks");
	plan = plan_new();
	ks_plan_repassword(plan, greek);
	assert_int_equal(write_planned(&again, plan, greek, true), KS_EUNABLE);
}

static void a_store_of_version_1_stays_one(void **state)
{
	ks_auto(plan) plan = NULL;
	ks_auto(set) more = NULL;
	ks_auto(set) again = NULL;
	struct ks_item *item;

	(void)state;
	opened("jks-version-1.jks");
	assert_int_equal(ks_set_new(&more, f.ctx), 0);
	item = ks_set_add(more, KS_CERTIFICATE);
	item->der = labelled(f.set, "anchor")->der;
	item->label = ks_bytes_of("Another \xc3\x84nchor");
	item->trust.trusted = KS_FOR_ANY;
	plan = plan_new();
	assert_int_equal(ks_plan_put(plan, item, NULL), 0);
	assert_int_equal(write_planned(&again, plan, f.secret, false), 0);
	labelled(again, "another \xc3\xa4nchor");
	assert_int_equal(((const struct ks_jks_layout *)ks_set_facts(again)->layout)->version, 1);
}

static void what_the_store_cannot_hold_is_refused(void **state)
{
	ks_auto(plan) request = NULL;
	ks_auto(plan) secret = NULL;
	ks_auto(set) more = NULL;
	ks_auto(set) again = NULL;
	struct ks_item *item;

	(void)state;
	opened("jks-version-1.jks");
	assert_int_equal(ks_set_new(&more, f.ctx), 0);
	item = ks_set_add(more, KS_REQUEST);
	item->der = KS_BYTES("\x30\x00", 2);
	request = plan_new();
	assert_int_equal(ks_plan_put(request, item, NULL), 0);
	assert_int_equal(write_planned(&again, request, f.secret, false), KS_ELOSSY);
	item = ks_set_add(more, KS_SECRET_KEY);
	secret = plan_new();
	assert_int_equal(ks_plan_put(secret, item, NULL), 0);
	assert_int_equal(write_planned(&again, secret, f.secret, false), KS_ELOSSY);
	assert_int_equal(write_planned(&again, secret, NULL, false), KS_ENOSECRET);
}

static void too_long_an_alias_is_refused_by_its_length(void **state)
{
	ks_auto_mem char *label = calloc(1, 70000);
	ks_auto(plan) plan = NULL;
	ks_auto(set) again = NULL;

	(void)state;
	opened("jks-version-1.jks");
	memset(label, 'x', 69999);
	plan = plan_new();
	assert_int_equal(ks_plan_rename(plan, labelled(f.set, "anchor"), label), 0);
	assert_int_equal(write_planned(&again, plan, f.secret, false), KS_ELIMIT);
	assert_non_null(strstr(ks_ctx_text(f.ctx), "65535"));
}

static void opaque_records_can_be_renamed(void **state)
{
	static const char *const labels[] = { "pgp", "odd" };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		ks_auto(plan) plan = NULL;
		ks_auto(set) again = NULL;

		opened("jks-certificates-of-other-types.jks");
		plan = plan_new();
		assert_int_equal(ks_plan_rename(plan, labelled(f.set, labels[i]), "new name"), 0);
		assert_int_equal(write_planned(&again, plan, f.secret, false), 0);
		assert_true(ks_bytes_equal(labelled(again, "new name")->der, labelled(f.set, labels[i])->der));
	}
}

/* ---- aliases ---------------------------------------------------------------------------------------------------------------- */

static void case_is_folded_as_java_folds_it(void **state)
{
	static const char *const pairs[][2] = {
		{ "MyKey 1", "mykey 1" },
		{ "\xc3\x84\xc3\x96\xc3\x9c\xc3\x9f", "\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f" },
		{ "\xce\x9f\xce\x94\xce\x9f\xce\xa3 \xce\xa3\xce\x91",
		  "\xce\xbf\xce\xb4\xce\xbf\xcf\x82 \xcf\x83\xce\xb1" },
		{ "\xc4\xb0", "i\xcc\x87" },
		{ "\xd0\x9a\xd0\x9b\xd0\xae\xd0\xa7", "\xd0\xba\xd0\xbb\xd1\x8e\xd1\x87" },
		{ "\xff\x41", "\xff\x41" },
		{ "", "" },
	};
	ks_auto(set) keep = NULL;

	(void)state;
	assert_int_equal(ks_set_new(&keep, f.ctx), 0);
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		struct ks_bytes got;

		assert_int_equal(ks_alias_of(&got, ks_bytes_of(pairs[i][0]), keep), 0);
		assert_true(ks_bytes_are(got, pairs[i][1]));
		assert_true(ks_alias_equal(ks_bytes_of(pairs[i][0]), ks_bytes_of(pairs[i][1])));
	}
}

/* ---- Java's serialisation --------------------------------------------------------------------------------------------------- */

#define HEADER "\xac\xed\0\x05"
#define OBJECT(bytes) KS_BYTES(HEADER bytes, sizeof(HEADER bytes) - 1)
#define UID "\0\0\0\0\0\0\0\0"

static int walk(struct ks_java_object *out, struct ks_bytes stream)
{
	struct ks_bytes rest = stream;
	int rc = ks_java_object_next(out, &rest);

	assert_true(rc == 0 ? rest.size == 0 && out->whole.size == stream.size : rest.size == stream.size);
	return rc;
}

static void objects_of_every_shape_are_walked_to_their_end(void **state)
{
	const struct ks_bytes sound[] = {
		/* a class that writes: block data, a reference, null, a string, the end */
		OBJECT("sr\0\x01"
		       "A" UID "\x03\0\0xpw\x02hiq\0~\0\0pt\0\x01zx"),
		/* external, in blocks */
		OBJECT("sr\0\x01"
		       "A" UID "\x0c\0\0xpz\0\0\0\x01qx"),
		/* primitive fields, then one that is an enum */
		OBJECT("sr\0\x01"
		       "A" UID "\x02\0\x09"
		       "B\0\x01"
		       "bC\0\x01"
		       "cD\0\x01"
		       "dF\0\x01"
		       "fI\0\x01iJ\0\x01jS\0\x01sZ\0\x01zL\0\x01"
		       "et\0\x01Lxp"
		       "1"
		       "22"
		       "88888888"
		       "4444"
		       "4444"
		       "88888888"
		       "22"
		       "1"
		       "~r\0\x01"
		       "E" UID "\x12\0\0xpt\0\x01V"),
		/* an array of objects, a class, a long string */
		OBJECT("sr\0\x01"
		       "A" UID "\x03\0\0xpur\0\x02[A" UID "\x02\0\0xp\0\0\0\x02ppvq\0~\0\0|\0\0\0\0\0\0\0\x01sx"),
		/* a proxy */
		OBJECT("s}\0\0\0\x01\0\x01Ixp"),
	};
	struct ks_java_object object;

	(void)state;
	for (size_t i = 0; i < sizeof(sound) / sizeof(*sound); i++) {
		if (walk(&object, sound[i]) < 0)
			fail_msg("object %zu is not walked", i);
		for (size_t cut = 0; cut < sound[i].size; cut++)
			assert_int_equal(walk(&object, KS_BYTES(sound[i].data, cut)), KS_EDAMAGED);
	}
	assert_int_equal(walk(&object, sound[2]), 0);
	assert_true(ks_bytes_are(ks_java_field(&object, "e"), "V"));
	assert_null(ks_java_field(&object, "b").data);
	assert_true(ks_bytes_are(object.class_name, "A"));
}

static void mad_objects_are_refused(void **state)
{
	const struct ks_bytes mad[] = {
		OBJECT("t\0\x01s"), /* no object */
		OBJECT("sp"), /* of no class */
		OBJECT("sq\0~\0\x07"), /* of a class that is not there */
		OBJECT("sr\0\x01"
		       "A" UID "\x04\0\0xp"), /* external, of an unknown length */
		OBJECT("sr\0\x01"
		       "A" UID "\0\0\0xp"), /* not serialised at all */
		OBJECT("sr\0\x01"
		       "A" UID "\x02\0\x01?\0\x01xxp"), /* a field of no type */
		OBJECT("sr\0\x01"
		       "A" UID "\x03\0\0xpur\0\x02[B" UID "\x02\0\0xp\xff\xff\xff\xff"), /* four billion bytes */
		OBJECT("sr\0\x01"
		       "A" UID "\x02\xff\xff"
		       "L\0\x01"
		       "asq\0~\0\0"), /* an object inside the description of its class */
	};
	const struct ks_bytes circle = OBJECT("sr\0\x01"
					      "A" UID "\x02\0\0xq\0~\0\0"); /* above itself */
	struct ks_java_object object;

	(void)state;
	for (size_t i = 0; i < sizeof(mad) / sizeof(*mad); i++) {
		if (walk(&object, mad[i]) != KS_EDAMAGED)
			fail_msg("object %zu is not refused", i);
	}
	assert_int_equal(walk(&object, circle), KS_ELIMIT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_sample_is_listed_with_and_without_its_password),
		TEST(an_unchanged_store_is_written_byte_for_byte),
		TEST(aliases_are_modified_utf8_and_stay_as_found),
		TEST(a_key_tells_its_kind_and_its_chain_without_being_opened),
		TEST(a_key_opens_with_the_stores_password_or_is_asked_for_its_own),
		TEST(the_salt_with_equal_halves_is_turned_as_java_turns_it),
		TEST(secret_keys_open_and_what_is_no_secret_key_is_named),
		TEST(endless_work_is_refused_before_it_is_done),
		TEST(a_password_of_a_java_without_locale_fits),
		TEST(a_wrong_password_a_change_and_damage_are_told_apart),
		TEST(lengths_and_counts_are_not_believed),
		TEST(a_renamed_key_keeps_its_seal_its_date_and_its_chain),
		TEST(a_removed_key_takes_its_chain_along_and_leaves_the_rest),
		TEST(a_new_password_reseals_what_the_old_one_opened),
		TEST(java_takes_no_password_beyond_ascii_for_keys_of_jceks),
		TEST(a_store_of_version_1_stays_one),
		TEST(what_the_store_cannot_hold_is_refused),
		TEST(too_long_an_alias_is_refused_by_its_length),
		TEST(opaque_records_can_be_renamed),
		TEST(case_is_folded_as_java_folds_it),
		TEST(objects_of_every_shape_are_walked_to_their_end),
		TEST(mad_objects_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
