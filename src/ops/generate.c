/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a key pair: a device makes it itself; for a file it is made here and put by a plan, like anything else.
 */
#include "generate.h"
#include "label.h"
#include "text.h"

#include "file/key.h"

#include <openssl/evp.h>

#include <stdio.h>
#include <string.h>

/* ---- uses in words ---- */

const struct ks_use_word ks_use_words[] = {
	{ KS_USE_SIGN, "sign" },
	{ KS_USE_DECRYPT, "decrypt" },
	{ KS_USE_DERIVE, "derive" },
	{ KS_USE_WRAP, "wrap" },
	{ 0, NULL },
};

void ks_uses_text(char out[KS_USES_TEXT], unsigned uses)
{
	size_t at = 0;

	snprintf(out, KS_USES_TEXT, "nothing");
	for (const struct ks_use_word *row = ks_use_words; row->word; row++) {
		if (uses & row->use)
			at += (size_t)snprintf(out + at, KS_USES_TEXT - at, "%s%s", at ? "," : "", row->word);
	}
}

/* ---- is the label free? ---- */

static struct ks_item *key_labelled(struct ks_store *store, struct ks_bytes label)
{
	for (size_t i = 0; i < ks_set_count(store->items); i++) {
		struct ks_item *item = ks_set_at(store->items, i);

		if (item->kind == KS_PRIVATE_KEY && label.data && ks_bytes_equal(item->label, label))
			return item;
	}
	return NULL;
}

/* `have` is a key of that label: nothing is made unless it may be replaced, which only files can do in one step. */
static int may_replace(struct ks_store *store, struct ks_item *have, bool replace)
{
	ks_auto_mem char *named = ks_item_named(have);
	const char *key = named ? named : "a private key of that label";
	int rc;

	if (!replace) {
		rc = ks_fail(store->ctx, KS_EEXISTS, "%s is in %s already", key, ks_where_text(store->where));
		return ks_hint(store->ctx, rc,
			       store->engine->generate ? "choose another label, or remove that key first"
						       : "choose another label, or use --replace");
	}
	if (!store->engine->generate)
		return 0;
	rc = ks_fail(store->ctx, KS_EUNABLE, "%s is in %s already, and a key in a token is not replaced in one step",
		     key, ks_where_text(store->where));
	return ks_hint(store->ctx, rc, "remove it first with keystow remove, or choose another label");
}

/* ---- in a device ---- */

/* libp11's engine is what many programs still use; it stops seeing every key of the token, so it is said, once. */
static void warn_edwards(struct ks_store *store)
{
	static const char said;

	if (ks_ctx_kept(store->ctx, &said) || ks_ctx_keep(store->ctx, &said, (void *)&said, NULL) < 0)
		return;
	ks_notice(store->ctx, KS_ELOSSY, ks_where_text(store->where), "use ec:p256 if such programs need this token",
		  "with an Ed25519 key on the token, programs that use libp11 up to 0.4.13 (openssl -engine pkcs11) "
		  "see none of its private keys");
}

static int generate_inside(struct ks_item **out, struct ks_store *store, const struct ks_generate *wish)
{
	struct ks_item *made = NULL;
	char asked[32], got[32];
	int rc = ks_store_generate(&made, store, wish);

	if (rc < 0)
		return rc;
	if (made->key.type != wish->spec.type || made->key.bits < wish->spec.bits) {
		ks_keyspec_title(asked, &wish->spec);
		ks_keyspec_title(got, &made->key);
		rc = ks_fail(store->ctx, KS_EWEAK, "%s was asked for a key of type %s and made %s",
			     ks_where_text(store->where), asked, got);
		return ks_hint(store->ctx, rc, "the key is still there; remove it with keystow remove");
	}
	if (made->key.type == KS_KEY_ED25519)
		warn_edwards(store);
	*out = made;
	return 0;
}

/* ---- in software ---- */

/* Names the new key, and lets it answer as keys in files do. */
static int name_key(struct ks_item *item, struct ks_ctx *ctx, const struct ks_generate *wish)
{
	unsigned char id[20];

	ks_key_item(item, KS_SHAPE_PKCS8);
	if (!item->spki.data)
		return ks_fail(ctx, KS_EBUG, "the new key does not tell its public half");
	if (ks_spki_id(id, item->spki) < 0)
		return ks_fail(ctx, KS_EBUG, "the new public key has no bits");
	item->id = wish->id.data ? ks_set_bytes(item->set, wish->id.data, wish->id.size)
				 : ks_set_bytes(item->set, id, sizeof(id));
	item->label = wish->label.data ? ks_set_bytes(item->set, wish->label.data, wish->label.size) : KS_NONE;
	return 0;
}

/* A set that holds nothing but the new private key. */
static int make_key(struct ks_set **out, struct ks_ctx *ctx, const struct ks_generate *wish)
{
	ks_auto_ssl(EVP_PKEY) key = NULL;
	ks_auto(set) set = NULL;
	ks_auto(buffer) der = NULL;
	struct ks_item *item;
	int rc = ks_keyspec_make(&key, ctx, &wish->spec);

	if (rc == 0)
		rc = ks_set_new(&set, ctx);
	if (rc == 0)
		rc = ks_key_pkcs8(&der, ctx, key);
	if (rc < 0)
		return rc;
	item = ks_set_add(set, KS_PRIVATE_KEY);
	if (!item)
		return ks_nomem(ctx);
	item->der = ks_buffer_bytes(der);
	rc = ks_set_own(set, ks_take(der));
	if (rc == 0)
		rc = name_key(item, ctx, wish);
	if (rc < 0)
		return rc;
	*out = ks_take(set);
	return 0;
}

/* The replaced key goes together with what is of no use without it. */
static int drop_entry(struct ks_plan *plan, struct ks_store *store, struct ks_item *key)
{
	static const char why[] = "belongs to the key that is replaced";
	const struct ks_entry *entry;
	int rc = ks_plan_drop(plan, key, "replaced by a new key");

	for (size_t i = 0; rc == 0 && (entry = ks_store_entry_at(store, i)); i++) {
		if (entry->key != key)
			continue;
		if (entry->certificate)
			rc = ks_plan_drop(plan, entry->certificate, why);
		if (rc == 0 && entry->public_key)
			rc = ks_plan_drop(plan, entry->public_key, why);
	}
	return rc;
}

/* The key that was put, in the store as it was read back: by what a store of that kind keeps of it. */
static struct ks_item *find_again(struct ks_store *store, const struct ks_item *put)
{
	for (size_t i = ks_set_count(store->items); i-- > 0;) {
		struct ks_item *item = ks_set_at(store->items, i);

		if (item->kind != KS_PRIVATE_KEY)
			continue;
		if ((item->spki.data && ks_bytes_equal(item->spki, put->spki)) ||
		    (item->id.data && ks_bytes_equal(item->id, put->id)) ||
		    (!item->spki.data && !item->id.data && ks_bytes_equal(item->label, put->label)))
			return item;
	}
	return NULL;
}

/* A file keeps a key, but not what it may be used for. */
static int uses_outside(struct ks_store *store, const struct ks_generate *wish)
{
	const char *where = ks_where_text(store->where);

	if (wish->always_authenticate || wish->wrap_with_trusted)
		return ks_hint(store->ctx,
			       ks_fail(store->ctx, KS_EUNABLE, "%s is no token, so it cannot guard the use of a key", where),
			       "make the key in a token, or leave --always-authenticate and --wrap-with-trusted out");
	if (wish->uses)
		ks_notice(store->ctx, KS_ELOSSY, where, "a token does, and the certificate tells it to others",
			  "%s does not keep what the key may be used for", where);
	return 0;
}

/* Formats that pair a key and its certificate in one record have no place for a key that waits for one. */
static int has_place(struct ks_store *store)
{
	ks_auto_mem char *word = ks_text_word(ks_where_text(store->where));

	if (!(store->engine->can & KS_WANTS_CERTIFICATE))
		return 0;
	return ks_hint(store->ctx,
		       ks_fail(store->ctx, KS_EUNABLE, "%s: an %s holds a private key only beside its certificate",
			       ks_where_text(store->where), store->engine->title),
		       "make both in a p12: store (keystow enroll p12:NEW.p12#LABEL), then keystow copy p12:NEW.p12 %s",
		       word ? word : "kdb:KEY.kdb");
}

static int generate_outside(struct ks_item **out, struct ks_store *store, const struct ks_generate *wish,
			    struct ks_item *replaced)
{
	struct ks_commit_wish how = { .keep_old = replaced != NULL };
	ks_auto(set) made = NULL;
	ks_auto(plan) plan = NULL;
	struct ks_item *found;
	int rc = ks_store_able(store, KS_CAN_KEYS | KS_CAN_WRITE);

	if (rc == 0)
		rc = has_place(store);
	if (rc == 0)
		rc = ks_label_check(store->ctx, store->engine, wish->label);
	if (rc == 0)
		rc = uses_outside(store, wish);
	if (rc == 0)
		rc = make_key(&made, store->ctx, wish);
	if (rc == 0)
		rc = ks_plan_new(&plan, store->ctx, store->items);
	if (rc == 0 && replaced)
		rc = drop_entry(plan, store, replaced);
	if (rc == 0)
		rc = ks_plan_add(plan, ks_set_at(made, 0), NULL, "made in software");
	if (rc == 0)
		rc = ks_store_apply(store, plan, &how);
	if (rc < 0)
		return rc;
	found = find_again(store, ks_set_at(made, 0));
	if (!found)
		return ks_fail(store->ctx, KS_EBUG, "the new key is not in %s after it was written",
			       ks_where_text(store->where));
	*out = found;
	return 0;
}

int ks_generate(struct ks_item **out, struct ks_store *store, const struct ks_generate *wish, bool replace)
{
	struct ks_item *have = key_labelled(store, wish->label);
	int rc = have ? may_replace(store, have, replace) : 0;

	if (rc < 0)
		return rc;
	if (store->engine->generate)
		return generate_inside(out, store, wish);
	return generate_outside(out, store, wish, have);
}
