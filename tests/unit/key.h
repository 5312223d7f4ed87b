/* SPDX-License-Identifier: Apache-2.0 */
/* A private key item that answers with a software key, for tests of what signs with any key. */
#ifndef KS_TEST_KEY_H
#define KS_TEST_KEY_H

#include "item.h"
#include "keyspec.h"

static EVP_PKEY *key_of_item;

static int key_pkey(EVP_PKEY **out, struct ks_item *item, struct ks_ctx *ctx)
{
	(void)item;
	(void)ctx;
	EVP_PKEY_up_ref(key_of_item);
	*out = key_of_item;
	return 0;
}

static const struct ks_item_from key_from = { .pkey = key_pkey };

/* Makes the one software key of the test and an item of `set` for it. */
static inline struct ks_item *key_make(struct ks_set *set, struct ks_ctx *ctx, const char *kind)
{
	struct ks_item *item = ks_set_add(set, KS_PRIVATE_KEY);
	struct ks_keyspec spec;

	EVP_PKEY_free(ks_take(key_of_item));
	assert_int_equal(ks_keyspec_parse(&spec, ctx, kind), 0);
	assert_int_equal(ks_keyspec_make(&key_of_item, ctx, &spec), 0);
	item->from = &key_from;
	return item;
}

#endif
