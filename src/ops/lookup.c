/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sorted tables over a store's items: keys by label, keys and certificates by the digest of their public key.
 */
#include "lookup.h"

#include "certificate.h"
#include "signed.h"

#include <string.h>

struct by_key {
	unsigned char spki[KS_SHA256];
	struct ks_item *item;
};

struct ks_lookup {
	struct ks_item **labelled; /* private keys, by label */
	size_t labelled_count;
	struct by_key *certificates, *keys;
	size_t certificate_count, key_count;
	struct ks_unread unread;
};

static int label_order(const void *a, const void *b)
{
	const struct ks_item *const *x = a, *const *y = b;

	return ks_bytes_compare((*x)->label, (*y)->label);
}

static int key_order(const void *a, const void *b)
{
	return memcmp(((const struct by_key *)a)->spki, ((const struct by_key *)b)->spki, KS_SHA256);
}

int ks_key_spki(struct ks_buffer **out, struct ks_ctx *ctx, struct ks_item *key)
{
	ks_auto_ssl(EVP_PKEY) pkey = NULL;
	ks_auto(buffer) spki = NULL;
	int rc;

	if (!key->spki.data) {
		rc = ks_item_pkey(&pkey, key, ctx);
		return rc < 0 ? rc : ks_pkey_spki(out, ctx, pkey);
	}
	spki = ks_buffer_new(key->spki.size);
	if (!spki || ks_buffer_put(spki, key->spki.data, key->spki.size) < 0)
		return ks_nomem(ctx);
	*out = ks_take(spki);
	return 0;
}

/* A trouble of this one key; the token, the PIN, or memory would be everyone's. */
static bool of_one_key(int status)
{
	return status == KS_EUNABLE || status == KS_EPASSWORD || status == KS_ENOSECRET || status == KS_EALGORITHM ||
	       status == KS_EDAMAGED || status == KS_EFORMAT || status == KS_ELIMIT;
}

static int leave_unread(struct ks_unread *unread, struct ks_ctx *ctx, int status)
{
	if (!of_one_key(status))
		return status;
	if (unread->count++ == 0) {
		unread->status = status;
		unread->why = strdup(ks_ctx_text(ctx));
		unread->hint = strdup(ks_ctx_hint(ctx));
		if (!unread->why || !unread->hint)
			return ks_nomem(ctx);
	}
	ks_forgive(ctx);
	return 0;
}

static int take_key(struct ks_lookup *lookup, struct ks_ctx *ctx, struct ks_item *item, bool keys_too)
{
	ks_auto(buffer) spki = NULL;
	int rc;

	lookup->labelled[lookup->labelled_count++] = item;
	if (!keys_too)
		return 0;
	rc = ks_key_spki(&spki, ctx, item);
	if (rc < 0)
		return leave_unread(&lookup->unread, ctx, rc);
	lookup->keys[lookup->key_count].item = item;
	ks_sha256(lookup->keys[lookup->key_count++].spki, ks_buffer_bytes(spki));
	return 0;
}

/* A certificate that cannot be read belongs to no key. */
static void take_certificate(struct ks_lookup *lookup, struct ks_item *item)
{
	struct ks_certificate_facts facts;

	if (ks_certificate_facts(&facts, item->der) < 0)
		return;
	lookup->certificates[lookup->certificate_count].item = item;
	ks_sha256(lookup->certificates[lookup->certificate_count++].spki, facts.spki);
}

int ks_lookup_new(struct ks_lookup **out, struct ks_store *store, bool keys_too)
{
	ks_auto(lookup) lookup = calloc(1, sizeof(*lookup));
	size_t count = ks_set_count(store->items);
	int rc = 0;

	if (!lookup)
		return ks_nomem(store->ctx);
	lookup->labelled = ks_array(count, sizeof(*lookup->labelled));
	lookup->certificates = ks_array(count, sizeof(*lookup->certificates));
	lookup->keys = ks_array(count, sizeof(*lookup->keys));
	if (!lookup->labelled || !lookup->certificates || !lookup->keys)
		return ks_nomem(store->ctx);
	for (size_t i = 0; rc == 0 && i < count; i++) {
		struct ks_item *item = ks_set_at(store->items, i);

		if (item->kind == KS_PRIVATE_KEY)
			rc = take_key(lookup, store->ctx, item, keys_too);
		else if (item->kind == KS_CERTIFICATE)
			take_certificate(lookup, item);
	}
	if (rc < 0)
		return rc;
	qsort(lookup->labelled, lookup->labelled_count, sizeof(*lookup->labelled), label_order);
	qsort(lookup->certificates, lookup->certificate_count, sizeof(*lookup->certificates), key_order);
	qsort(lookup->keys, lookup->key_count, sizeof(*lookup->keys), key_order);
	*out = ks_take(lookup);
	return 0;
}

void ks_lookup_free(struct ks_lookup *lookup)
{
	if (!lookup)
		return;
	free(lookup->labelled);
	free(lookup->certificates);
	free(lookup->keys);
	free(lookup->unread.why);
	free(lookup->unread.hint);
	free(lookup);
}

struct ks_item *ks_lookup_key(const struct ks_lookup *lookup, size_t *count, struct ks_bytes label)
{
	struct ks_item wanted = { .label = label };
	const struct ks_item *const key = &wanted;
	struct ks_item **found = bsearch(&key, lookup->labelled, lookup->labelled_count, sizeof(*found), label_order),
		       **end;

	*count = 0;
	if (!found)
		return NULL;
	while (found > lookup->labelled && label_order(found - 1, &key) == 0)
		found--;
	end = lookup->labelled + lookup->labelled_count;
	while (found + *count < end && label_order(found + *count, &key) == 0)
		(*count)++;
	return *found;
}

/* The first row of that public key, or NULL. */
static const struct by_key *rows_of(const struct by_key *rows, size_t count, struct ks_bytes spki)
{
	struct by_key wanted = { .item = NULL };
	const struct by_key *found;

	ks_sha256(wanted.spki, spki);
	found = bsearch(&wanted, rows, count, sizeof(*rows), key_order);
	while (found && found > rows && key_order(found - 1, &wanted) == 0)
		found--;
	return found;
}

struct ks_item *ks_lookup_key_of(const struct ks_lookup *lookup, struct ks_bytes spki)
{
	const struct by_key *found = rows_of(lookup->keys, lookup->key_count, spki);

	return found ? found->item : NULL;
}

struct ks_item *ks_lookup_certificate(const struct ks_lookup *lookup, struct ks_bytes spki, size_t n)
{
	const struct by_key *found = rows_of(lookup->certificates, lookup->certificate_count, spki);
	const struct by_key *end = lookup->certificates + lookup->certificate_count;

	if (!found || n >= (size_t)(end - found) || key_order(found, found + n) != 0)
		return NULL;
	return found[n].item;
}

struct ks_item *ks_lookup_same(const struct ks_lookup *lookup, struct ks_bytes certificate)
{
	struct ks_certificate_facts facts;
	struct ks_item *item = NULL;

	if (ks_certificate_facts(&facts, certificate) < 0)
		return NULL;
	for (size_t n = 0; (item = ks_lookup_certificate(lookup, facts.spki, n)); n++) {
		if (ks_bytes_equal(item->der, certificate))
			break;
	}
	return item;
}

const struct ks_unread *ks_lookup_unread(const struct ks_lookup *lookup)
{
	return &lookup->unread;
}
