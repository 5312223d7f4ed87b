/* SPDX-License-Identifier: Apache-2.0 */
/* IBM key databases: read, changed and written again. tests/data/make-kdb.py made the samples. */
#include "test.h"

#include "file/kdb.h"
#include "plan.h"
#include "stores.h"

#include <stdio.h>

struct fixture {
	struct ks_ctx *ctx;
	struct ks_secret *secret;
	struct ks_set *set;
	struct ks_bytes file; /* owned by the set */
};

static int start(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_int_equal(ks_ctx_new(&f->ctx, NULL), 0);
	assert_int_equal(ks_secret_new(&f->secret, f->ctx), 0);
	assert_int_equal(ks_secret_append(f->secret, f->ctx, "sample", 6), 0);
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
	struct ks_buffer *out = ks_buffer_new(1 << 20);
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/tests/data/kdb-%s", getenv("KEYSTOW_SOURCE"), name);
	file = fopen(path, "rb");
	assert_non_null(file);
	assert_non_null(ks_buffer_room(out, 100000));
	out->size = fread(out->data, 1, 100000, file);
	fclose(file);
	return out;
}

static int decode(struct fixture *f, struct ks_buffer *content, struct ks_secret *secret)
{
	ks_set_free(f->set);
	f->set = NULL;
	assert_int_equal(ks_set_new(&f->set, f->ctx), 0);
	f->file = ks_buffer_bytes(content);
	assert_int_equal(ks_set_own(f->set, content), 0);
	return ks_codec_kdb.decode(f->ctx, f->set, f->file, secret);
}

static void read_sample(struct fixture *f, const char *name)
{
	assert_int_equal(decode(f, sample(name), f->secret), 0);
}

static struct ks_item *labelled(struct ks_set *set, enum ks_kind kind, const char *label)
{
	for (size_t i = 0; i < ks_set_count(set); i++) {
		struct ks_item *item = ks_set_at(set, i);

		if (item->kind == kind && ks_bytes_are(item->label, label))
			return item;
	}
	fail_msg("nothing is labelled %s", label);
	return NULL;
}

/* Encodes what the plan makes of the set, and reads that in its place; the set before in *before. */
static int apply(struct fixture *f, struct ks_plan *plan, struct ks_set **before)
{
	ks_auto(buffer) out = ks_buffer_new(1 << 22);
	ks_auto(set) result = NULL;
	int rc;

	assert_int_equal(ks_plan_result(&result, plan), 0);
	rc = ks_codec_kdb.encode(f->ctx, out, result, f->set, plan->password ? plan->password : f->secret,
				 plan->password != NULL);
	if (rc < 0)
		return rc;
	*before = ks_set_ref(f->set);
	return decode(f, ks_take(out), plan->password ? plan->password : f->secret);
}

static struct ks_plan *new_plan(struct fixture *f)
{
	struct ks_plan *plan = NULL;

	assert_int_equal(ks_plan_new(&plan, f->ctx, f->set), 0);
	return plan;
}

static struct ks_bytes slot_at(const struct fixture *f, size_t n)
{
	const struct ks_kdb_layout *layout = ks_set_facts_of(f->set)->layout;

	return KS_BYTES(f->file.data + KS_KDB_HEAD + 2 * layout->mac + n * layout->slot, layout->slot);
}

/* ---- reading ---- */

static void every_kind_of_record_is_an_item(void **state)
{
	struct fixture *f = *state;
	struct ks_counts counts;

	read_sample(f, "every-kind-of-record.kdb");
	counts = ks_set_counts(f->set);
	assert_int_equal(counts.keys, 2);
	assert_int_equal(counts.certificates, 4);
	assert_int_equal(counts.anchors, 1);
	assert_int_equal(counts.secret_keys, 1);
	assert_int_equal(counts.opaque, 3);
	assert_int_equal(ks_set_facts_of(f->set)->integrity, KS_INTEGRITY_VERIFIED);
	assert_true(ks_set_facts_of(f->set)->weak);
	assert_int_equal(ks_set_facts_of(f->set)->kdf_iterations, 5);
}

static void a_renewed_certificate_stays_with_its_own_label(void **state)
{
	struct fixture *f = *state;
	ks_auto(entries) entries = NULL;
	size_t seen = 0;

	read_sample(f, "every-kind-of-record.kdb");
	assert_int_equal(ks_entries_of(&entries, f->ctx, f->set), 0);
	for (size_t i = 0; i < entries->count; i++) {
		const struct ks_entry *entry = &entries->entries[i];

		if (!entry->key || entry->key->kind != KS_PRIVATE_KEY)
			continue;
		assert_non_null(entry->certificate);
		assert_true(ks_bytes_equal(entry->certificate->label, entry->key->label));
		seen++;
	}
	assert_int_equal(seen, 2);
}

static void flags_that_nobody_knows_give_no_trust(void **state)
{
	struct fixture *f = *state;

	read_sample(f, "every-kind-of-record.kdb");
	assert_true(ks_item_is_anchor(labelled(f->set, KS_CERTIFICATE, "root")));
	assert_false(ks_item_is_anchor(labelled(f->set, KS_CERTIFICATE, "not trusted")));
}

static void all_is_listed_without_a_password_and_nothing_is_claimed(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(decode(f, sample("signer-and-personal.kdb"), NULL), 0);
	assert_int_equal(ks_set_count(f->set), 3);
	assert_int_equal(ks_set_facts_of(f->set)->integrity, KS_INTEGRITY_UNCHECKED);
}

static void keys_open_with_the_password_and_belong_to_their_certificates(void **state)
{
	static const char *const names[] = { "signer-and-personal.kdb", "version-4.kdb", "requests.rdb" };
	struct fixture *f = *state;

	for (size_t i = 0; i < 3; i++) {
		ks_auto_ssl(EVP_PKEY) key = NULL;
		struct ks_item *item = NULL;
		unsigned char *spki = NULL;
		int size;

		read_sample(f, names[i]);
		for (size_t n = 0; n < ks_set_count(f->set); n++)
			item = ks_set_at(f->set, n)->kind == KS_PRIVATE_KEY ? ks_set_at(f->set, n) : item;
		assert_non_null(item);
		assert_int_equal(ks_item_pkey(&key, item, f->ctx), 0);
		size = i2d_PUBKEY(key, &spki);
		assert_true(ks_bytes_equal(KS_BYTES(spki, (size_t)size), item->spki));
		OPENSSL_free(spki);
	}
}

static void requests_and_crls_have_databases_of_their_own(void **state)
{
	struct fixture *f = *state;

	read_sample(f, "requests.rdb");
	labelled(f->set, KS_REQUEST, "wanted");
	read_sample(f, "crls.crl");
	labelled(f->set, KS_CRL, "crl");
	labelled(f->set, KS_OPAQUE, "other");
}

static int with_byte(struct fixture *f, size_t at, unsigned char flip, struct ks_secret *secret)
{
	struct ks_buffer *content = sample("signer-and-personal.kdb");

	content->data[at] ^= flip;
	return decode(f, content, secret);
}

static void a_wrong_password_and_a_changed_file_are_told_apart(void **state)
{
	struct fixture *f = *state;
	ks_auto(secret) wrong = NULL;
	size_t behind = KS_KDB_HEAD + 2 * 48;

	assert_int_equal(ks_secret_new(&wrong, f->ctx), 0);
	assert_int_equal(ks_secret_append(wrong, f->ctx, "wrong", 5), 0);
	assert_int_equal(with_byte(f, 0, 0, wrong), KS_EPASSWORD);
	assert_int_equal(with_byte(f, 0x20, 1, f->secret), KS_EALTERED); /* the head; a key still opens */
	assert_int_equal(with_byte(f, KS_KDB_HEAD + 50, 1, f->secret), KS_EALTERED);
	assert_int_equal(with_byte(f, behind + 4999, 1, f->secret), KS_EALTERED);
	assert_int_equal(with_byte(f, behind + 4999, 1, wrong), KS_EPASSWORD);
	assert_int_equal(with_byte(f, 0x13, 0xff, f->secret), KS_EDAMAGED); /* the size of slots */
	assert_int_equal(with_byte(f, 0x14, 0xff, f->secret), KS_ELIMIT); /* their number */
	assert_int_equal(with_byte(f, 2, 1, f->secret), KS_ENEWER);
	assert_int_equal(with_byte(f, 2, 3, f->secret), KS_EALGORITHM);
	assert_int_equal(with_byte(f, 9, 1, f->secret), KS_EFORMAT);
}

/* ---- writing ---- */

static void a_store_written_again_is_the_same_file(void **state)
{
	struct fixture *f = *state;
	ks_auto(plan) plan = NULL;
	ks_auto(set) before = NULL;
	struct ks_bytes was;

	read_sample(f, "every-kind-of-record.kdb");
	was = f->file;
	plan = new_plan(f);
	assert_int_equal(apply(f, plan, &before), 0);
	assert_true(ks_bytes_equal(f->file, was));
}

static void a_large_record_makes_all_slots_grow_and_changes_nothing_in_them(void **state)
{
	struct fixture *f = *state;
	ks_auto(plan) plan = NULL;
	ks_auto(set) before = NULL;
	ks_auto(set) more = NULL;
	ks_auto_mem char *names = malloc(8192);
	struct ks_buffer *der;
	struct ks_item *item;
	struct ks_bytes was[2];
	const struct ks_kdb_layout *layout;

	read_sample(f, "signer-and-personal.kdb");
	was[0] = slot_at(f, 0);
	was[1] = slot_at(f, 1);
	plan = new_plan(f);
	names[0] = '\0';
	for (unsigned i = 0; i < 400; i++)
		snprintf(names + strlen(names), 32, "%sDNS:%03u.example", i ? "," : "", i);
	assert_int_equal(ks_set_new(&more, f->ctx), 0);
	der = made_certificate(f->ctx, &(struct made){ .subject = "CN=large", .names = names });
	assert_non_null(der);
	item = ks_set_add(more, KS_CERTIFICATE);
	item->der = ks_buffer_bytes(der);
	assert_int_equal(ks_set_own(more, der), 0);
	assert_int_equal(ks_plan_put(plan, item, "large"), 0);
	assert_int_equal(apply(f, plan, &before), 0);
	layout = ks_set_facts_of(f->set)->layout;
	assert_true(layout->slot > 5000 && layout->slot % 1000 == 0);
	assert_int_equal(layout->count, 3);
	for (size_t i = 0; i < 2; i++) {
		assert_memory_equal(slot_at(f, i).data, was[i].data, 5000);
		assert_int_equal(slot_at(f, i).data[5000], 0);
	}
	assert_int_equal(ks_kdb_u32(slot_at(f, 2).data + 4), 3);
}

static void a_renamed_key_keeps_its_number_its_flags_and_its_sealed_bytes(void **state)
{
	struct fixture *f = *state;
	ks_auto(plan) plan = NULL;
	ks_auto(set) before = NULL;
	struct ks_kdb_record record;
	const char *why;
	struct ks_item *key;

	read_sample(f, "every-kind-of-record.kdb");
	plan = new_plan(f);
	key = labelled(f->set, KS_PRIVATE_KEY, "leaf renewed");
	assert_int_equal(ks_plan_rename(plan, key, "today"), 0);
	assert_int_equal(ks_plan_rename(plan, labelled(f->set, KS_CERTIFICATE, "leaf renewed"), "today"), 0);
	assert_int_equal(apply(f, plan, &before), 0);
	assert_true(ks_bytes_equal(labelled(f->set, KS_PRIVATE_KEY, "today")->der, key->der));
	assert_int_equal(ks_kdb_record_read(&record, &why, slot_at(f, 2)), 0);
	assert_int_equal(record.number, 3);
	assert_memory_equal(record.flags.data, "\x03\x02\x06\xc0", 4);
}

static void a_new_certificate_takes_the_place_of_the_old_one_beside_its_key(void **state)
{
	struct fixture *f = *state;
	ks_auto(plan) plan = NULL;
	ks_auto(set) before = NULL;
	ks_auto(set) more = NULL;
	ks_auto_ssl(EVP_PKEY) key = NULL;
	struct ks_item *have, *fresh;
	struct ks_buffer *der;
	struct ks_counts counts;

	read_sample(f, "signer-and-personal.kdb");
	plan = new_plan(f);
	have = labelled(f->set, KS_CERTIFICATE, "leaf");
	assert_int_equal(ks_item_pkey(&key, labelled(f->set, KS_PRIVATE_KEY, "leaf"), f->ctx), 0);
	assert_int_equal(ks_set_new(&more, f->ctx), 0);
	der = made_certificate(f->ctx, &(struct made){ .subject = "CN=renewed", .key = key });
	fresh = ks_set_add(more, KS_CERTIFICATE);
	fresh->der = ks_buffer_bytes(der);
	assert_int_equal(ks_set_own(more, der), 0);
	assert_int_equal(ks_plan_replace(plan, have, fresh, &(struct ks_naming){ .label = have->label }, NULL), 0);
	assert_int_equal(apply(f, plan, &before), 0);
	counts = ks_set_counts(f->set);
	assert_int_equal(counts.keys, 1);
	assert_int_equal(counts.certificates, 2);
	assert_int_equal(counts.anchors, 1);
	assert_true(ks_bytes_equal(labelled(f->set, KS_CERTIFICATE, "leaf")->der, fresh->der));
	assert_true(ks_bytes_equal(labelled(f->set, KS_PRIVATE_KEY, "leaf")->der,
				   labelled(before, KS_PRIVATE_KEY, "leaf")->der));
}

static void a_key_without_its_certificate_is_refused(void **state)
{
	struct fixture *f = *state;
	ks_auto(plan) lonely = NULL;
	ks_auto(plan) left = NULL;
	ks_auto(set) before = NULL;
	ks_auto(set) more = NULL;

	read_sample(f, "signer-and-personal.kdb");
	assert_int_equal(ks_set_new(&more, f->ctx), 0);
	lonely = new_plan(f);
	assert_int_equal(ks_plan_put(lonely, bench_key(more, "lonely"), NULL), 0);
	assert_int_equal(apply(f, lonely, &before), KS_EUNABLE);
	left = new_plan(f);
	assert_int_equal(ks_plan_remove(left, labelled(f->set, KS_CERTIFICATE, "leaf")), 0);
	assert_int_equal(apply(f, left, &before), KS_EUNABLE);
}

static void what_is_distrusted_does_not_become_a_signer(void **state)
{
	struct fixture *f = *state;
	ks_auto(plan) plan = NULL;
	ks_auto(set) before = NULL;
	ks_auto(set) more = NULL;
	struct ks_item *item;

	read_sample(f, "signer-and-personal.kdb");
	assert_int_equal(ks_set_new(&more, f->ctx), 0);
	item = bench_certificate(more, "CN=bad", "bad");
	item->trust.distrusted = KS_FOR_ANY;
	plan = new_plan(f);
	assert_int_equal(ks_plan_put(plan, item, NULL), 0);
	assert_int_equal(apply(f, plan, &before), KS_ELOSSY);
}

static void an_issuer_that_is_a_signer_already_is_not_put_twice(void **state)
{
	struct fixture *f = *state;
	ks_auto(plan) plan = NULL;
	ks_auto(set) before = NULL;
	ks_auto(set) more = NULL;
	struct ks_item *root, *item;

	read_sample(f, "signer-and-personal.kdb");
	root = labelled(f->set, KS_CERTIFICATE, "root");
	assert_int_equal(ks_set_new(&more, f->ctx), 0);
	item = ks_set_add(more, KS_CERTIFICATE);
	item->der = ks_set_bytes(more, root->der.data, root->der.size);
	plan = new_plan(f);
	assert_int_equal(ks_plan_put(plan, item, NULL), 0);
	assert_int_equal(apply(f, plan, &before), 0);
	assert_int_equal(ks_set_count(f->set), 3);
}

static void a_new_password_seals_keys_and_secrets_anew_and_leaves_signers_alone(void **state)
{
	struct fixture *f = *state;
	ks_auto(plan) plan = NULL;
	ks_auto(set) before = NULL;
	ks_auto(secret) fresh = NULL;
	ks_auto(buffer) clear = NULL;
	struct ks_bytes was;

	read_sample(f, "every-kind-of-record.kdb");
	was = slot_at(f, 0);
	assert_int_equal(ks_secret_new(&fresh, f->ctx), 0);
	assert_int_equal(ks_secret_append(fresh, f->ctx, "fresh", 5), 0);
	plan = new_plan(f);
	for (size_t i = 0; i < ks_set_count(f->set); i++) {
		struct ks_item *item = ks_set_at(f->set, i);

		if (item->kind == KS_OPAQUE && item->label.data)
			assert_int_equal(ks_plan_remove(plan, item), 0);
	}
	assert_int_equal(ks_plan_repassword(plan, fresh), 0);
	assert_int_equal(apply(f, plan, &before), 0);
	assert_true(ks_bytes_equal(slot_at(f, 0), was));
	assert_int_equal(ks_item_pkcs8(&clear, labelled(f->set, KS_SECRET_KEY, "secret"), f->ctx), 0);
	assert_int_equal(clear->size, 36);
	assert_memory_equal(clear->data + 20, "\0\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17", 16);
	assert_false(ks_bytes_equal(labelled(f->set, KS_PRIVATE_KEY, "leaf")->der,
				    labelled(before, KS_PRIVATE_KEY, "leaf")->der));
}

static void a_record_nobody_knows_keeps_a_new_password_away(void **state)
{
	struct fixture *f = *state;
	ks_auto(plan) plan = NULL;
	ks_auto(set) before = NULL;

	read_sample(f, "every-kind-of-record.kdb");
	plan = new_plan(f);
	assert_int_equal(ks_plan_repassword(plan, f->secret), 0);
	assert_int_equal(apply(f, plan, &before), KS_EUNABLE);
}

static void what_no_native_file_was_seen_of_is_not_written(void **state)
{
	static const char *const names[] = { "version-4.kdb", "version-3.kdb", "requests.rdb", "crls.crl" };
	struct fixture *f = *state;

	for (size_t i = 0; i < 4; i++) {
		ks_auto(plan) plan = NULL;
		ks_auto(set) before = NULL;

		read_sample(f, names[i]);
		plan = new_plan(f);
		assert_int_equal(ks_plan_remove(plan, ks_set_at(f->set, 0)), 0);
		assert_int_equal(apply(f, plan, &before), KS_EUNABLE);
	}
}

static void labels_become_visible_strings(void **state)
{
	struct fixture *f = *state;
	static const char *const labels[][2] = {
		{ "plain #1 ~", "plain #1 ~" },
		{ "Zwei \xc3\xbc\xe2\x82\xac", "Zwei __" },
		{ "\xff\xfe", "__" },
		{ "a\tb\x7f", "a_b_" },
	};

	assert_int_equal(ks_set_new(&f->set, f->ctx), 0);
	for (size_t i = 0; i < 4; i++)
		assert_true(ks_bytes_are(ks_kdb_label(f->set, ks_bytes_of(labels[i][0])), labels[i][1]));
}

#define CLAIM(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLAIM(every_kind_of_record_is_an_item),
		CLAIM(a_renewed_certificate_stays_with_its_own_label),
		CLAIM(flags_that_nobody_knows_give_no_trust),
		CLAIM(all_is_listed_without_a_password_and_nothing_is_claimed),
		CLAIM(keys_open_with_the_password_and_belong_to_their_certificates),
		CLAIM(requests_and_crls_have_databases_of_their_own),
		CLAIM(a_wrong_password_and_a_changed_file_are_told_apart),
		CLAIM(a_store_written_again_is_the_same_file),
		CLAIM(a_large_record_makes_all_slots_grow_and_changes_nothing_in_them),
		CLAIM(a_renamed_key_keeps_its_number_its_flags_and_its_sealed_bytes),
		CLAIM(a_new_certificate_takes_the_place_of_the_old_one_beside_its_key),
		CLAIM(a_key_without_its_certificate_is_refused),
		CLAIM(what_is_distrusted_does_not_become_a_signer),
		CLAIM(an_issuer_that_is_a_signer_already_is_not_put_twice),
		CLAIM(a_new_password_seals_keys_and_secrets_anew_and_leaves_signers_alone),
		CLAIM(a_record_nobody_knows_keeps_a_new_password_away),
		CLAIM(what_no_native_file_was_seen_of_is_not_written),
		CLAIM(labels_become_visible_strings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
