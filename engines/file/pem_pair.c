/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which certificate belongs to a sealed key.
 *
 * Sealing hides the public half too, and PEM has no other place for it. So a key that we seal gets the SHA-256 of
 * its public key as localKeyID, unless it has an id already; a reader that finds a certificate with that public key
 * knows them for a pair.
 */
#include "pem.h"

#include "certificate.h"

#include <string.h>

struct sealed {
	struct ks_item **keys; /* by id */
	size_t count;
};

bool ks_pem_pair_id(unsigned char id[KS_SHA256], const struct ks_item *key)
{
	if (key->id.size || !key->spki.size)
		return false;
	ks_sha256(id, key->spki);
	return true;
}

static bool may_be_paired(const struct ks_item *item)
{
	return item->kind == KS_PRIVATE_KEY && (item->flags & KS_SEALED) && item->id.size == KS_SHA256 &&
	       !item->spki.size;
}

static int id_order(const void *a, const void *b)
{
	return memcmp((*(struct ks_item *const *)a)->id.data, (*(struct ks_item *const *)b)->id.data, KS_SHA256);
}

static int collect(struct sealed *sealed, const struct ks_set *set)
{
	for (size_t i = 0; i < ks_set_count(set); i++)
		sealed->count += may_be_paired(ks_set_at(set, i));
	if (sealed->count == 0)
		return 0;
	sealed->keys = ks_array(sealed->count, sizeof(*sealed->keys));
	if (!sealed->keys)
		return ks_nomem(ks_set_ctx(set));
	sealed->count = 0;
	for (size_t i = 0; i < ks_set_count(set); i++) {
		if (may_be_paired(ks_set_at(set, i)))
			sealed->keys[sealed->count++] = ks_set_at(set, i);
	}
	qsort(sealed->keys, sealed->count, sizeof(*sealed->keys), id_order);
	return 0;
}

static void give_public_key(const struct sealed *sealed, struct ks_bytes spki)
{
	unsigned char digest[KS_SHA256];
	struct ks_item wanted = { .id = KS_BYTES(digest, sizeof(digest)) }, *key = &wanted, **found;

	ks_sha256(digest, spki);
	found = bsearch(&key, sealed->keys, sealed->count, sizeof(struct ks_item *), id_order);
	if (found) {
		(*found)->spki = spki;
		(*found)->key = ks_keyspec_of_spki(spki);
	}
}

int ks_pem_pair(struct ks_set *set)
{
	struct sealed sealed = { 0 };
	struct ks_certificate_facts facts;
	int rc = collect(&sealed, set);

	for (size_t i = 0; rc == 0 && sealed.count && i < ks_set_count(set); i++) {
		struct ks_item *item = ks_set_at(set, i);

		if (item->kind == KS_CERTIFICATE && ks_certificate_facts(&facts, item->der) == 0)
			give_public_key(&sealed, facts.spki);
	}
	free(sealed.keys);
	return rc;
}
