/* SPDX-License-Identifier: Apache-2.0 */
/* What a second token lacks is computed from values alone, so here are tokens that never were. */
#include "test.h"

#include "made.h"
#include "twin.h"

#include <stdlib.h>

static struct ks_ctx *ctx;
static struct ks_set *items;
static struct ks_twins *twins;
static const struct ks_twin_wish wish = { .now = MADE_FROM + 1000 };

static int start(void **state)
{
	(void)state;
	twins = calloc(1, sizeof(*twins));
	if (!twins || ks_ctx_new(&ctx, NULL) < 0 || ks_set_new(&items, ctx) < 0)
		return -1;
	twins->ctx = ctx;
	return 0;
}

static int finish(void **state)
{
	(void)state;
	for (size_t i = 0; i < twins->first_side.count; i++)
		free((void *)twins->first_side.keys[i].entry);
	for (size_t i = 0; i < twins->second_side.count; i++)
		free((void *)twins->second_side.keys[i].entry);
	ks_twins_free(twins);
	ks_set_free(items);
	return ks_ctx_free(ctx);
}

/* A key of that label on a side; keys come in the order of labels. `made` NULL = without certificate. */
static struct ks_twin_key *stand(struct ks_twin_side *side, const char *label, const struct made *made)
{
	struct ks_entry *entry = calloc(1, sizeof(*entry));
	struct ks_twin_key *key;
	struct ks_buffer *der;

	side->keys = realloc(side->keys, (side->count + 1) * sizeof(*side->keys));
	assert_non_null(entry);
	assert_non_null(side->keys);
	key = &side->keys[side->count++];
	*key = (struct ks_twin_key){ .entry = entry };
	assert_int_equal(ks_keyspec_parse(&key->like.spec, ctx, "p256"), 0);
	key->like.uses = KS_USE_SIGN;
	entry->key = ks_set_add(items, KS_PRIVATE_KEY);
	entry->key->label = ks_set_bytes(items, label, strlen(label));
	if (!made)
		return key;
	der = made_certificate(ctx, made);
	assert_non_null(der);
	entry->certificate = ks_set_add(items, KS_CERTIFICATE);
	entry->certificate->der = ks_buffer_bytes(der);
	assert_int_equal(ks_set_own(items, der), 0);
	return key;
}

static const struct made web = { .subject = "CN=web", .names = "DNS:web.example" };
static const struct made other = { .subject = "CN=other", .names = "DNS:web.example" };
static const struct made renamed = { .subject = "CN=web", .names = "DNS:web.example,DNS:more.example" };

static void plan(void)
{
	assert_int_equal(ks_twins_plan(twins, &wish), 0);
}

static void two_entries_of_the_same_names_are_alike(void **state)
{
	(void)state;
	stand(&twins->first_side, "web", &web);
	stand(&twins->second_side, "web", &web);
	plan();
	assert_int_equal(twins->count, 1);
	assert_int_equal(twins->rows[0].state, KS_TWIN_ALIKE);
	assert_null(twins->rows[0].differences[0]);
	assert_true(ks_twins_alike(twins, false));
}

static void what_is_on_one_side_only_is_lacking_or_extra(void **state)
{
	(void)state;
	stand(&twins->first_side, "a", &web);
	stand(&twins->first_side, "c", NULL);
	stand(&twins->second_side, "b", &web);
	plan();
	assert_int_equal(twins->count, 3);
	assert_int_equal(twins->rows[0].steps, KS_TWIN_GENERATE | KS_TWIN_CERTIFY);
	assert_int_equal(twins->rows[1].state, KS_TWIN_EXTRA);
	assert_int_equal(twins->rows[2].steps, KS_TWIN_GENERATE);
	assert_false(ks_twins_alike(twins, false));
	assert_true(ks_twins_alike(twins, true));
}

static void an_obstacle_is_named_and_changed_only_when_asked(void **state)
{
	struct ks_twin_wish replacing = wish;

	(void)state;
	replacing.replace = true;
	stand(&twins->first_side, "a", &web);
	stand(&twins->first_side, "b", &web);
	stand(&twins->second_side, "a", &other);
	stand(&twins->second_side, "b", &renamed);
	plan();
	assert_string_equal(twins->rows[0].why, "its certificate on the second token has another subject, CN=other");
	assert_string_equal(twins->rows[1].why, "its certificate on the second token has other alternative names");
	assert_int_equal(twins->rows[0].steps | twins->rows[1].steps, 0);
	assert_int_equal(ks_twins_plan(twins, &replacing), 0);
	assert_int_equal(twins->rows[0].state, KS_TWIN_OTHER);
	assert_int_equal(twins->rows[0].steps, KS_TWIN_CERTIFY);
}

static void an_expired_certificate_is_no_twin(void **state)
{
	struct ks_twin_wish late = wish;

	(void)state;
	late.now = (int64_t)MADE_UNTIL + 1;
	stand(&twins->first_side, "web", &web);
	stand(&twins->second_side, "web", &web);
	assert_int_equal(ks_twins_plan(twins, &late), 0);
	assert_string_equal(twins->rows[0].why, "its certificate on the second token has expired");
	assert_string_equal(twins->rows[0].differences[0], "the first certificate has expired");
}

static void other_guards_are_told_and_twins_still(void **state)
{
	struct ks_twin_key *key;

	(void)state;
	key = stand(&twins->first_side, "web", &web);
	key->like.uses |= KS_USE_DERIVE;
	key->like.always_authenticate = true;
	stand(&twins->second_side, "web", &web);
	plan();
	assert_int_equal(twins->rows[0].state, KS_TWIN_ALIKE);
	assert_string_equal(twins->rows[0].differences[0], "the first key is for sign,derive, the second for sign");
	assert_string_equal(twins->rows[0].differences[1], "only the first key wants its PIN for each use");
}

static void the_same_key_or_another_kind_is_no_twin(void **state)
{
	struct ks_twin_key *key;

	(void)state;
	stand(&twins->first_side, "a", &web)->entry->key->spki = ks_bytes_of("one");
	stand(&twins->first_side, "b", &web);
	stand(&twins->second_side, "a", &web)->entry->key->spki = ks_bytes_of("one");
	key = stand(&twins->second_side, "b", &web);
	assert_int_equal(ks_keyspec_parse(&key->like.spec, ctx, "rsa:2048"), 0);
	plan();
	assert_string_equal(twins->rows[0].why, "both tokens have the same key, so it has left one of them");
	assert_string_equal(twins->rows[1].why, "the key is EC P-256 on the first token and RSA 2048 on the second");
	assert_int_equal(twins->rows[0].state, KS_TWIN_OTHER);
	assert_int_equal(twins->rows[1].state, KS_TWIN_OTHER);
}

static void what_cannot_have_a_twin_is_apart(void **state)
{
	struct ks_twin_key *key;

	(void)state;
	stand(&twins->first_side, "", NULL);
	stand(&twins->first_side, "a", NULL);
	stand(&twins->first_side, "a", NULL);
	key = stand(&twins->first_side, "b", &web);
	key->like.uses = KS_USE_DECRYPT;
	stand(&twins->second_side, "a", NULL);
	plan();
	assert_int_equal(twins->count, 4);
	for (size_t i = 0; i < twins->count; i++) {
		assert_int_equal(twins->rows[i].state, KS_TWIN_APART);
		assert_int_equal(twins->rows[i].steps, 0);
	}
	assert_string_equal(twins->rows[1].why, "2 keys on the first token and 1 on the second have that label");
	assert_string_equal(twins->rows[3].why, "its key may not sign, and a request is signed by its key");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(two_entries_of_the_same_names_are_alike, start, finish),
		cmocka_unit_test_setup_teardown(what_is_on_one_side_only_is_lacking_or_extra, start, finish),
		cmocka_unit_test_setup_teardown(an_obstacle_is_named_and_changed_only_when_asked, start, finish),
		cmocka_unit_test_setup_teardown(an_expired_certificate_is_no_twin, start, finish),
		cmocka_unit_test_setup_teardown(other_guards_are_told_and_twins_still, start, finish),
		cmocka_unit_test_setup_teardown(the_same_key_or_another_kind_is_no_twin, start, finish),
		cmocka_unit_test_setup_teardown(what_cannot_have_a_twin_is_apart, start, finish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
