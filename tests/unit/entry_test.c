/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "entry.h"
#include "made.h"

#include <stdio.h>
#include <time.h>

static struct ks_ctx *ctx;
static struct ks_set *set;

static int start(void **state)
{
	(void)state;
	return ks_ctx_new(&ctx, NULL) || ks_set_new(&set, ctx);
}

static int finish(void **state)
{
	(void)state;
	ks_set_free(set);
	return ks_ctx_free(ctx);
}

static struct ks_item *add_certificate(const char *subject, const char *issuer, EVP_PKEY *key, EVP_PKEY *signer,
				       const char *id)
{
	struct made made = { .subject = subject, .issuer = issuer, .key = key, .signer = signer };
	struct ks_item *item = ks_set_add(set, KS_CERTIFICATE);
	struct ks_buffer *der = made_certificate(ctx, &made);

	assert_non_null(der);
	item->der = ks_buffer_bytes(der);
	item->id = ks_bytes_of(id);
	assert_int_equal(ks_set_own(set, der), 0);
	return item;
}

static struct ks_bytes spki_of(EVP_PKEY *key)
{
	unsigned char *der = NULL;
	int size = i2d_PUBKEY(key, &der);
	struct ks_bytes kept = ks_set_bytes(set, der, (size_t)size);

	OPENSSL_free(der);
	return kept;
}

static struct ks_item *add_key(enum ks_kind kind, EVP_PKEY *key, const char *id)
{
	struct ks_item *item = ks_set_add(set, kind);

	item->id = ks_bytes_of(id);
	if (key)
		item->spki = spki_of(key);
	return item;
}

static const struct ks_entry *entry_of(const struct ks_entries *entries, const struct ks_item *head)
{
	for (size_t i = 0; i < entries->count; i++) {
		if (ks_entry_head(&entries->entries[i]) == head)
			return &entries->entries[i];
	}
	return NULL;
}

static void the_id_decides_before_the_public_key(void **state)
{
	ks_auto_ssl(EVP_PKEY) pair = EVP_EC_gen("P-256");
	ks_auto(entries) entries = NULL;
	struct ks_item *other = add_certificate("CN=same key", NULL, pair, NULL, "two");
	struct ks_item *meant = add_certificate("CN=meant", NULL, pair, NULL, "one");
	struct ks_item *key = add_key(KS_PRIVATE_KEY, pair, "one");

	(void)state;
	assert_int_equal(ks_entries_of(&entries, ctx, set), 0);
	assert_ptr_equal(entry_of(entries, key)->certificate, meant);
	assert_non_null(entry_of(entries, other));
	assert_int_equal(entries->count, 2);
}

static void an_id_that_the_public_key_denies_does_not_pair(void **state)
{
	ks_auto_ssl(EVP_PKEY) pair = EVP_EC_gen("P-256");
	ks_auto(entries) entries = NULL;
	struct ks_item *key = add_key(KS_PRIVATE_KEY, pair, "one");
	struct ks_item *stranger = add_certificate("CN=stranger", NULL, NULL, NULL, "one");
	struct ks_item *own = add_certificate("CN=own", NULL, pair, NULL, NULL);

	(void)state;
	assert_int_equal(ks_entries_of(&entries, ctx, set), 0);
	assert_ptr_equal(entry_of(entries, key)->certificate, own);
	assert_ptr_equal(entry_of(entries, stranger)->certificate, stranger);
}

static void equal_labels_do_not_pair(void **state)
{
	ks_auto(entries) entries = NULL;
	struct ks_item *key = add_key(KS_PRIVATE_KEY, NULL, NULL);
	struct ks_item *certificate = add_certificate("CN=web", NULL, NULL, NULL, NULL);

	(void)state;
	key->label = certificate->label = ks_bytes_of("web");
	assert_int_equal(ks_entries_of(&entries, ctx, set), 0);
	assert_int_equal(entries->count, 2);
	assert_null(entry_of(entries, key)->certificate);
}

static void two_sealed_keys_with_one_id_stay_unpaired_and_are_reported(void **state)
{
	ks_auto(entries) entries = NULL;

	(void)state;
	add_key(KS_PRIVATE_KEY, NULL, "one");
	add_key(KS_PRIVATE_KEY, NULL, "one");
	add_certificate("CN=a", NULL, NULL, NULL, "one");
	assert_int_equal(ks_entries_of(&entries, ctx, set), 0);
	assert_int_equal(entries->count, 3);
	assert_int_equal(ks_ctx_notice(ctx, 0)->status, KS_EAMBIGUOUS);
	assert_null(ks_ctx_notice(ctx, 1));
}

static void a_device_key_finds_its_certificate_through_its_public_key(void **state)
{
	ks_auto_ssl(EVP_PKEY) pair = EVP_EC_gen("P-256");
	ks_auto(entries) entries = NULL;
	struct ks_item *key = add_key(KS_PRIVATE_KEY, NULL, "one");
	struct ks_item *public_key = add_key(KS_PUBLIC_KEY, pair, "one");
	struct ks_item *certificate = add_certificate("CN=a", NULL, pair, NULL, NULL);

	(void)state;
	assert_int_equal(ks_entries_of(&entries, ctx, set), 0);
	assert_int_equal(entries->count, 1);
	assert_ptr_equal(entries->entries[0].key, key);
	assert_ptr_equal(entries->entries[0].public_key, public_key);
	assert_ptr_equal(entries->entries[0].certificate, certificate);
}

static void chains_are_followed_and_their_members_stand_no_more_alone(void **state)
{
	ks_auto_ssl(EVP_PKEY) leaf = EVP_EC_gen("P-256");
	ks_auto_ssl(EVP_PKEY) middle = EVP_EC_gen("P-256");
	ks_auto_ssl(EVP_PKEY) root = EVP_EC_gen("P-256");
	ks_auto(entries) entries = NULL;
	struct ks_item *top = add_certificate("CN=root", NULL, root, NULL, NULL);
	struct ks_item *anchor = add_certificate("CN=root", NULL, root, NULL, NULL);
	struct ks_item *between = add_certificate("CN=middle", "CN=root", middle, root, NULL);
	struct ks_item *key = add_key(KS_PRIVATE_KEY, leaf, NULL);
	struct ks_item *own = add_certificate("CN=leaf", "CN=middle", leaf, middle, NULL);

	(void)state;
	anchor->trust.trusted = KS_FOR_ANY;
	assert_int_equal(ks_entries_of(&entries, ctx, set), 0);
	assert_int_equal(entries->count, 2);
	assert_ptr_equal(entry_of(entries, key)->certificate, own);
	assert_int_equal(entry_of(entries, key)->chain_count, 2);
	assert_ptr_equal(ks_entry_chain(entry_of(entries, key), 0), between);
	assert_ptr_equal(ks_entry_chain(entry_of(entries, key), 1), top);
	assert_null(ks_entry_chain(entry_of(entries, key), 2));
	assert_non_null(entry_of(entries, anchor));
}

static void issuers_in_a_circle_end(void **state)
{
	ks_auto_ssl(EVP_PKEY) pair = EVP_EC_gen("P-256");
	ks_auto(entries) entries = NULL;
	struct ks_item *key = add_key(KS_PRIVATE_KEY, pair, NULL);

	(void)state;
	add_certificate("CN=a", "CN=b", pair, NULL, NULL);
	add_certificate("CN=b", "CN=c", NULL, NULL, NULL);
	add_certificate("CN=c", "CN=b", NULL, NULL, NULL);
	assert_int_equal(ks_entries_of(&entries, ctx, set), 0);
	assert_int_equal(entry_of(entries, key)->chain_count, 2);
	assert_int_equal(entries->count, 1);
}

static void every_item_is_counted_once(void **state)
{
	ks_auto(entries) entries = NULL;
	struct ks_counts counts;

	(void)state;
	for (int kind = KS_PRIVATE_KEY; kind <= KS_OPAQUE; kind++)
		ks_set_add(set, (enum ks_kind)kind);
	add_certificate("CN=a", NULL, NULL, NULL, NULL)->trust.trusted = KS_FOR_SERVER;
	counts = ks_set_counts(set);
	assert_int_equal(counts.keys, 1);
	assert_int_equal(counts.public_keys, 1);
	assert_int_equal(counts.certificates, 2);
	assert_int_equal(counts.anchors, 1);
	assert_int_equal(counts.secret_keys + counts.requests + counts.crls + counts.opaque, 4);
	assert_int_equal(ks_entries_of(&entries, ctx, set), 0);
	assert_int_equal(entries->count, 8);
}

/* Adversarial: one id, one key, one name for everything. Twice as many items may not cost four times as much. */
static double seconds_for(size_t count)
{
	struct timespec before, after;
	struct ks_set *many = NULL;
	struct ks_entries *entries = NULL;
	struct ks_item *model = ks_set_at(set, 0);

	assert_int_equal(ks_set_new(&many, ctx), 0);
	for (size_t i = 0; i < count; i++) {
		struct ks_item *item = ks_set_add(many, i % 2 ? KS_CERTIFICATE : KS_PRIVATE_KEY);

		item->der = i % 2 ? model->der : KS_NONE;
		item->spki = i % 2 ? KS_NONE : model->spki;
		item->id = model->id;
	}
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
	assert_int_equal(ks_entries_of(&entries, ctx, many), 0);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
	assert_int_equal(entries->count, count / 2);
	ks_entries_free(entries);
	ks_set_free(many);
	return (double)(after.tv_sec - before.tv_sec) + (double)(after.tv_nsec - before.tv_nsec) / 1e9;
}

static void equal_items_cost_no_more_than_different_ones(void **state)
{
	ks_auto_ssl(EVP_PKEY) pair = EVP_EC_gen("P-256");
	struct ks_item *model = add_certificate("CN=a", "CN=b", pair, NULL, "one");
	double small, large;

	(void)state;
	model->spki = spki_of(pair);
	seconds_for(2000);
	small = seconds_for(20000);
	large = seconds_for(80000);
	print_message("# 20,000 equal items: %.3f s, 80,000: %.3f s\n", small, large);
	assert_true(large < 10 * small + 0.05);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_id_decides_before_the_public_key, start, finish),
		cmocka_unit_test_setup_teardown(an_id_that_the_public_key_denies_does_not_pair, start, finish),
		cmocka_unit_test_setup_teardown(equal_labels_do_not_pair, start, finish),
		cmocka_unit_test_setup_teardown(two_sealed_keys_with_one_id_stay_unpaired_and_are_reported, start,
						finish),
		cmocka_unit_test_setup_teardown(a_device_key_finds_its_certificate_through_its_public_key, start,
						finish),
		cmocka_unit_test_setup_teardown(chains_are_followed_and_their_members_stand_no_more_alone, start,
						finish),
		cmocka_unit_test_setup_teardown(issuers_in_a_circle_end, start, finish),
		cmocka_unit_test_setup_teardown(every_item_is_counted_once, start, finish),
		cmocka_unit_test_setup_teardown(equal_items_cost_no_more_than_different_ones, start, finish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
