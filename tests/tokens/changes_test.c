/* SPDX-License-Identifier: Apache-2.0 */
/* Plans carried out on a token: what is there afterwards, and what OpenSC's tool reads. */
#include "test.h"

#include "made.h"
#include "softhsm.h"
#include "text.h"

static struct ks_where *where;
static struct ks_store *store;
static struct ks_item *key;

static int start_open(void **state)
{
	struct ks_generate wish = { .label = ks_bytes_of("web") };

	if (start(state) < 0)
		return -1;
	where = where_of("pkcs11:token=KS");
	works(ks_store_open(&store, ctx, where, KS_WRITE | KS_LOGIN));
	works(ks_keyspec_parse(&wish.spec, ctx, "p256"));
	works(ks_store_generate(&key, store, &wish));
	return 0;
}

static int finish_open(void **state)
{
	ks_store_close(store);
	ks_where_free(where);
	return finish(state);
}

/* DER of a certificate for the token's key, signed by it; in `set`. */
static struct ks_item *certificate_in(struct ks_set *set, EVP_PKEY *subject_key)
{
	struct made made = { .subject = "CN=web", .key = subject_key };
	ks_auto(buffer) der = made_certificate(ctx, &made);
	struct ks_item *item = ks_set_add(set, KS_CERTIFICATE);

	assert_non_null(der);
	item->der = ks_set_bytes(set, der->data, der->size);
	return item;
}

static struct ks_item *find(enum ks_kind kind, const char *label)
{
	for (size_t i = 0; i < ks_set_count(store->items); i++) {
		struct ks_item *item = ks_set_at(store->items, i);

		if (item->kind == kind && ks_bytes_are(item->label, label))
			return item;
	}
	return NULL;
}

static void commit(struct ks_plan *plan)
{
	works(ks_store_commit(store, plan));
}

static void put_certificate(void)
{
	ks_auto(set) set = NULL;
	ks_auto(plan) plan = NULL;
	ks_auto_ssl(EVP_PKEY) pkey = NULL;

	works(ks_set_new(&set, ctx));
	works(ks_item_pkey(&pkey, find(KS_PRIVATE_KEY, "web"), ctx));
	works(ks_plan_new(&plan, ctx, store->items));
	works(ks_plan_put(plan, certificate_in(set, pkey), NULL));
	commit(plan);
	assert_true(plan->changes[0].done);
}

static void a_certificate_takes_id_and_label_of_its_key(void **state)
{
	struct ks_item *certificate;

	(void)state;
	put_certificate();
	certificate = find(KS_CERTIFICATE, "web");
	assert_non_null(certificate);
	assert_true(ks_bytes_equal(certificate->id, find(KS_PRIVATE_KEY, "web")->id));
	assert_int_equal(ks_store_entry_count(store), 1);
	assert_ptr_equal(ks_entry_certificate(ks_store_entry_at(store, 0)), certificate);
}

/* The line without its colons: OpenSC writes ids as "0a0b", and from 0.27 on as "2571 (0x0a:0b)". */
static const char *bare(char *line)
{
	char *to = line;

	for (const char *at = line; *at; at++) {
		if (*at != ':')
			*to++ = *at;
	}
	*to = '\0';
	return line;
}

/* How many lines of pkcs11-tool's listing say `words`, colons left out; -1 where there is no pkcs11-tool. */
static int told_by_opensc(const char *words)
{
	char command[512], line[512];
	int count = 0;
	FILE *out;

	snprintf(command, sizeof(command), "pkcs11-tool --module '%s' --login --pin 1234 -O 2>/dev/null",
		 getenv("KEYSTOW_TEST_MODULE"));
	if (system("command -v pkcs11-tool >/dev/null") != 0)
		return -1;
	out = popen(command, "r");
	while (out && fgets(line, sizeof(line), out))
		count += strstr(bare(line), words) != NULL;
	return out && pclose(out) == 0 ? count : -1;
}

static void opensc_sees_key_and_certificate_under_one_id(void **state)
{
	char id[64];
	int count;

	(void)state;
	put_certificate();
	ks_hex(id, find(KS_PRIVATE_KEY, "web")->id);
	count = told_by_opensc(id);
	if (count < 0)
		skip();
	assert_int_equal(count, 3);
	assert_int_equal(told_by_opensc("DN CN=web"), 1);
	assert_int_equal(told_by_opensc("sensitive, always sensitive, never extractable, local"), 1);
}

static void a_rename_reaches_both_halves_of_a_key(void **state)
{
	ks_auto(plan) plan = NULL;

	(void)state;
	works(ks_plan_new(&plan, ctx, store->items));
	works(ks_plan_rename(plan, find(KS_PRIVATE_KEY, "web"), "shop"));
	commit(plan);
	assert_non_null(find(KS_PRIVATE_KEY, "shop"));
	assert_non_null(find(KS_PUBLIC_KEY, "shop"));
	assert_null(find(KS_PUBLIC_KEY, "web"));
}

static void removing_a_key_removes_both_halves_and_leaves_the_certificate(void **state)
{
	ks_auto(plan) plan = NULL;

	(void)state;
	put_certificate();
	works(ks_plan_new(&plan, ctx, store->items));
	works(ks_plan_remove(plan, find(KS_PRIVATE_KEY, "web")));
	commit(plan);
	assert_int_equal(ks_set_count(store->items), 1);
	assert_non_null(find(KS_CERTIFICATE, "web"));
}

static void a_replaced_certificate_is_the_new_one_alone(void **state)
{
	ks_auto(set) set = NULL;
	ks_auto(plan) plan = NULL;
	ks_auto_ssl(EVP_PKEY) pkey = NULL;
	struct ks_item *fresh;
	unsigned char digest[KS_SHA256];

	(void)state;
	put_certificate();
	works(ks_set_new(&set, ctx));
	works(ks_item_pkey(&pkey, find(KS_PRIVATE_KEY, "web"), ctx));
	fresh = certificate_in(set, pkey);
	memcpy(digest, ks_item_sha256(fresh), KS_SHA256);
	works(ks_plan_new(&plan, ctx, store->items));
	works(ks_plan_replace(plan, find(KS_CERTIFICATE, "web"), fresh, NULL, NULL));
	commit(plan);
	assert_int_equal(ks_set_count(store->items), 3);
	assert_memory_equal(ks_item_sha256(find(KS_CERTIFICATE, "web")), digest, KS_SHA256);
}

static void what_a_token_does_not_take_stops_the_plan_before_it_begins(void **state)
{
	ks_auto(set) set = NULL;
	ks_auto(plan) plan = NULL;
	ks_auto_ssl(EVP_PKEY) pkey = NULL;
	struct ks_item *request;

	(void)state;
	works(ks_set_new(&set, ctx));
	works(ks_item_pkey(&pkey, find(KS_PRIVATE_KEY, "web"), ctx));
	request = ks_set_add(set, KS_REQUEST);
	request->der = ks_bytes_of("request");
	works(ks_plan_new(&plan, ctx, store->items));
	works(ks_plan_put(plan, certificate_in(set, pkey), NULL));
	works(ks_plan_put(plan, request, NULL));
	assert_int_equal(ks_store_commit(store, plan), KS_EUNABLE);
	assert_false(plan->changes[0].done);
	assert_null(find(KS_CERTIFICATE, "web"));
}

static void what_cannot_go_on_is_taken_back(void **state)
{
	ks_auto(set) set = NULL;
	ks_auto(plan) plan = NULL;
	ks_auto_ssl(EVP_PKEY) pkey = NULL;
	struct ks_item *damaged;

	(void)state;
	works(ks_set_new(&set, ctx));
	works(ks_item_pkey(&pkey, find(KS_PRIVATE_KEY, "web"), ctx));
	damaged = ks_set_add(set, KS_CERTIFICATE);
	damaged->der = ks_bytes_of("no certificate");
	works(ks_plan_new(&plan, ctx, store->items));
	works(ks_plan_put(plan, certificate_in(set, pkey), NULL));
	works(ks_plan_rename(plan, find(KS_PRIVATE_KEY, "web"), "shop"));
	works(ks_plan_put(plan, damaged, NULL));
	assert_int_equal(ks_store_commit(store, plan), KS_EDAMAGED);
	assert_false(plan->changes[0].done || plan->changes[1].done);
	ks_store_close(ks_take(store));
	works(ks_store_open(&store, ctx, where, KS_WRITE | KS_LOGIN));
	assert_int_equal(ks_set_count(store->items), 2);
	assert_non_null(find(KS_PRIVATE_KEY, "web"));
	assert_non_null(find(KS_PUBLIC_KEY, "web"));
}

/* ---- keys from outside ---- */

static EVP_PKEY *outside;

static int outside_pkcs8(struct ks_buffer **out, struct ks_item *item, struct ks_ctx *asking)
{
	PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(outside);
	ks_auto(buffer) der = ks_buffer_new_secret(8192);
	unsigned char *place = ks_buffer_room(der, 8000);

	(void)item;
	(void)asking;
	der->size = (size_t)i2d_PKCS8_PRIV_KEY_INFO(info, &place);
	PKCS8_PRIV_KEY_INFO_free(info);
	*out = ks_take(der);
	return 0;
}

static void a_key_from_outside_signs_in_the_token_and_is_told_apart(void **state)
{
	static const char *const kinds[] = { "rsa:2048", "p384", "ed25519" };
	static const struct ks_item_from from = { .pkcs8 = outside_pkcs8 };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		ks_auto(set) set = NULL;
		ks_auto(plan) plan = NULL;
		ks_auto_ssl(EVP_PKEY) inside = NULL;
		ks_auto_ssl(X509) certificate = X509_new();
		struct ks_keyspec spec;
		struct ks_item *item, *put;

		works(ks_keyspec_parse(&spec, ctx, kinds[i]));
		works(ks_keyspec_make(&outside, ctx, &spec));
		works(ks_set_new(&set, ctx));
		item = ks_set_add(set, KS_PRIVATE_KEY);
		item->from = &from;
		works(ks_plan_new(&plan, ctx, store->items));
		works(ks_plan_put(plan, item, kinds[i]));
		commit(plan);
		put = find(KS_PRIVATE_KEY, kinds[i]);
		assert_non_null(put);
		assert_int_equal(put->flags & (KS_MADE_HERE | KS_SENSITIVE | KS_EXTRACTABLE), KS_SENSITIVE);
		works(ks_item_pkey(&inside, put, ctx));
		assert_int_equal(EVP_PKEY_eq(inside, outside), 1);
		assert_int_equal(X509_set_pubkey(certificate, outside), 1);
		assert_true(X509_sign(certificate, inside, spec.type == KS_KEY_ED25519 ? NULL : EVP_sha256()) > 0);
		assert_int_equal(X509_verify(certificate, outside), 1);
		EVP_PKEY_free(ks_take(outside));
	}
	assert_non_null(strstr(ks_ctx_notice(ctx, 0)->text, "was made outside of token KS"));
}

static void changes_do_not_search_the_token_again(void **state)
{
	int before;

	(void)state;
	before = calls;
	put_certificate(); /* C_SignInit and C_Sign by the test's certificate, C_CreateObject, two reads */
	assert_int_equal(calls - before, 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start_open, finish_open)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_certificate_takes_id_and_label_of_its_key),
		TEST(opensc_sees_key_and_certificate_under_one_id),
		TEST(a_rename_reaches_both_halves_of_a_key),
		TEST(removing_a_key_removes_both_halves_and_leaves_the_certificate),
		TEST(a_replaced_certificate_is_the_new_one_alone),
		TEST(what_a_token_does_not_take_stops_the_plan_before_it_begins),
		TEST(what_cannot_go_on_is_taken_back),
		TEST(a_key_from_outside_signs_in_the_token_and_is_told_apart),
		TEST(changes_do_not_search_the_token_again),
	};

	if (softhsm_absent()) {
		printf("1..0 # SKIP softhsm2 is not installed\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
