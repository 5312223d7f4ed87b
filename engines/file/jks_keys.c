/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of Java's key stores, when somebody wants to use one: with the store's password, and where that is not the key's, with the
 * key's own.
 */
#include "jks.h"

#include "key.h"

static int secret_open(struct ks_buffer **out, struct ks_item *item, struct ks_ctx *ctx, const struct ks_secret *secret)
{
	ks_auto(buffer) object = NULL;
	struct ks_jceks_sealed sealed;
	int rc;

	if (!ks_jceks_sealed_read(&sealed, item->der))
		return ks_fail(ctx, KS_EUNABLE, "it is of a kind that only the program that wrote it understands");
	rc = ks_jceks_open(&object, ctx, sealed.parameters, sealed.content, secret);
	return rc < 0 ? rc : ks_jceks_secret_clear(out, ctx, ks_buffer_bytes(object));
}

int ks_jks_open_with(struct ks_buffer **out, struct ks_item *item, struct ks_ctx *ctx, const struct ks_secret *secret)
{
	const struct ks_jks_layout *layout = ks_set_facts_of(item->set)->layout;

	if (item->kind == KS_SECRET_KEY)
		return secret_open(out, item, ctx, secret);
	return ks_jks_key_open(out, ctx, item->der, secret, layout && layout->latin1);
}

static int key_pkcs8(struct ks_buffer **out, struct ks_item *item, struct ks_ctx *ctx)
{
	ks_auto_mem char *named = NULL;

	if (item->flags & KS_SEALED)
		return ks_key_unseal(out, item, ctx, ks_jks_open_with);
	named = ks_item_named(item);
	return ks_fail(ctx, KS_EUNABLE, "%s is of a kind that only the program that wrote it understands",
		       named ? named : "the key");
}

static int key_pkey(EVP_PKEY **out, struct ks_item *item, struct ks_ctx *ctx)
{
	return ks_key_pkey_from(out, item, ctx, key_pkcs8);
}

const struct ks_item_from ks_jks_keys = { .pkey = key_pkey, .pkcs8 = key_pkcs8 };
