/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A certificate that came from elsewhere, put beside the key it belongs to.
 *
 * The public key decides, never a label: a certificate beside a wrong key is worse than none. What stands above it in
 * the same file is its chain and goes with it; what has nothing to do with a key of the store is refused or said.
 */
#include "enroll.h"

#include "certificate.h"
#include "lookup.h"

#include <stdio.h>
#include <string.h>

struct install {
	struct ks_ctx *ctx;
	struct ks_store *store;
	struct ks_set *from;
	struct ks_lookup *lookup;
	struct ks_plan *plan;
	bool replace;
	size_t fitting;
	struct ks_item *stranger; /* the first certificate that no key here fits */
};

static int stands_in_the_way(struct install *install, struct ks_item *have)
{
	ks_auto_mem char *named = ks_item_named(have);

	return ks_hint(install->ctx,
		       ks_fail(install->ctx, KS_EEXISTS, "the key has a %s already", named ? named : "certificate"),
		       "--replace puts the new one in its place");
}

static int put_fitting(struct install *install, struct ks_item *item, struct ks_bytes spki, const struct ks_item *key)
{
	struct ks_naming naming = { .label = key->label, .id = key->id };
	struct ks_item *have = ks_lookup_certificate(install->lookup, spki, 0);
	struct ks_item *same = ks_lookup_same(install->lookup, item->der);

	install->fitting++;
	if (same)
		return ks_plan_note(install->plan, same, "it is there already");
	if (have && !install->replace)
		return stands_in_the_way(install, have);
	if (have)
		return ks_plan_replace(install->plan, have, item, &naming, "a new certificate for the same key");
	return ks_plan_add(install->plan, item, &naming, "belongs to this key");
}

static int take(struct install *install, struct ks_item *item)
{
	struct ks_certificate_facts facts;
	const struct ks_item *key;

	if (ks_certificate_facts(&facts, item->der) < 0) {
		ks_auto_mem char *named = ks_item_named(item);

		return ks_fail(install->ctx, KS_EDAMAGED, "%s cannot be read", named ? named : "a certificate");
	}
	key = ks_lookup_key_of(install->lookup, facts.spki);
	if (key)
		return put_fitting(install, item, facts.spki, key);
	if (!facts.is_ca && !install->stranger)
		install->stranger = item;
	return 0;
}

/* CA certificates without a key here are chain; the ones that are there stay. */
static int take_chain(struct install *install, struct ks_item *item)
{
	struct ks_certificate_facts facts;
	struct ks_naming naming = { .id = item->id };
	unsigned char id[20];

	if (ks_certificate_facts(&facts, item->der) < 0 || !facts.is_ca ||
	    ks_lookup_key_of(install->lookup, facts.spki) || ks_lookup_same(install->lookup, item->der))
		return 0;
	if (!naming.id.data && ks_spki_id(id, facts.spki) == 0)
		naming.id = KS_BYTES(id, sizeof(id));
	return ks_plan_add(install->plan, item, &naming, "completes the chain");
}

/* "; 2 keys could not be looked at" and why, or nothing. */
static char *unread_told(const struct ks_unread *unread)
{
	char *text = NULL;

	if (!unread->count)
		return strdup("");
	return asprintf(&text, "; %zu %s could not be looked at%s: %s", unread->count,
			unread->count == 1 ? "key" : "keys", unread->count == 1 ? "" : ", the first", unread->why) < 0
		       ? NULL
		       : text;
}

/* A password that is missing is the first thing to do: with it the answer may be another. */
static int fits_nothing(struct install *install)
{
	const struct ks_unread *unread = ks_lookup_unread(install->lookup);
	bool sealed = unread->status == KS_EPASSWORD || unread->status == KS_ENOSECRET;
	int status = sealed ? unread->status : KS_EMISMATCH;
	ks_auto_mem char *named = install->stranger ? ks_item_named(install->stranger) : NULL;
	ks_auto_mem char *others = unread_told(unread);
	const char *where = ks_where_text(install->store->where);

	if (!others)
		return ks_nomem(install->ctx);
	if (!install->stranger)
		return ks_hint(install->ctx,
			       ks_fail(install->ctx, status,
				       "there is no certificate for a key of %s in what is to be installed%s", where,
				       others),
			       "%s", sealed ? unread->hint : "keystow list shows what is in the file");
	return ks_hint(install->ctx,
		       ks_fail(install->ctx, status, "no private key in %s belongs to the %s%s", where,
			       named ? named : "certificate", others),
		       "%s", sealed ? unread->hint : "keystow find shows in which store its key lives");
}

static void say_stranger(struct install *install)
{
	ks_auto_mem char *named = ks_item_named(install->stranger);

	ks_notice(install->ctx, KS_EMISMATCH, ks_where_text(install->store->where),
		  "keystow find shows in which store its key lives", "%s is left out: its key is not here",
		  named ? named : "a certificate");
}

static int plan_all(struct install *install)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < ks_set_count(install->from); i++) {
		if (ks_set_at(install->from, i)->kind == KS_CERTIFICATE)
			rc = take(install, ks_set_at(install->from, i));
	}
	if (rc == 0 && install->fitting == 0)
		rc = fits_nothing(install);
	if (rc == 0 && install->stranger)
		say_stranger(install);
	for (size_t i = 0; rc == 0 && i < ks_set_count(install->from); i++) {
		if (ks_set_at(install->from, i)->kind == KS_CERTIFICATE)
			rc = take_chain(install, ks_set_at(install->from, i));
	}
	return rc;
}

int ks_install(struct ks_plan **plan, struct ks_store *store, struct ks_set *certificates, bool replace)
{
	struct install install = { .ctx = store->ctx, .store = store, .from = certificates, .replace = replace };
	int rc = ks_store_able(store, KS_CAN_CERTIFICATES | KS_CAN_WRITE);

	if (rc == 0)
		rc = ks_lookup_new(&install.lookup, store, true);
	if (rc == 0)
		rc = ks_plan_new(&install.plan, store->ctx, store->items);
	if (rc == 0)
		rc = plan_all(&install);
	if (rc == 0)
		*plan = ks_take(install.plan);
	ks_plan_free(install.plan);
	ks_lookup_free(install.lookup);
	return rc;
}
