/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One store, whatever its kind: opened by its engine, loaded, paired on demand, changed by a plan, loaded again.
 */
#include "history.h"
#include "text.h"

#include <string.h>

/* ---- opening ---- */

/* The engine that the host named for tokens. */
static int token_engine(const struct ks_engine **out, struct ks_ctx *ctx, const char *name)
{
	const struct ks_engine *engine = ks_engine_for_tokens(name);

	if (engine) {
		*out = engine;
		return 0;
	}
	if (strcmp(name, "libp11") == 0)
		return ks_hint(ctx, ks_fail(ctx, KS_EUNABLE, "this build has no engine libp11"),
			       "leave --engine libp11 out: keystow's own engine is always there");
	return ks_hint(ctx, ks_fail(ctx, KS_EUSAGE, "there is no engine %s for tokens", name), "the engines are pkcs11 and libp11");
}

static int engine_for(const struct ks_engine **out, struct ks_ctx *ctx, const struct ks_where *where)
{
	const struct ks_engine *engine = where->scheme ? ks_engine_named(where->scheme) : &ks_engine_by_content;

	if (where->uri && ks_settings(ctx)->engine)
		return token_engine(out, ctx, ks_settings(ctx)->engine);
	if (!engine)
		return ks_fail(ctx, KS_EADDRESS, "%s: this build has no stores of kind %s:", where->text, where->scheme);
	*out = engine;
	return 0;
}

/* A read-only kind says so before anybody is asked for a secret. */
static int check_mode(struct ks_store *store)
{
	if ((store->mode & KS_WRITE) && store->engine != &ks_engine_by_content)
		return ks_store_able(store, KS_CAN_WRITE);
	return 0;
}

static void adopt(struct ks_store *store, struct ks_set *items)
{
	ks_entries_free(store->entries);
	store->entries = NULL;
	ks_set_free(store->items);
	store->items = items;
}

static int load(struct ks_store *store, const struct ks_only *only)
{
	ks_auto(set) items = NULL;
	int rc = ks_set_new(&items, store->ctx);

	if (rc == 0)
		rc = store->engine->load(store->state, items, only);
	if (rc < 0)
		return rc;
	adopt(store, ks_take(items));
	return 0;
}

int ks_store_open_only(struct ks_store **out, struct ks_ctx *ctx, const struct ks_where *where, unsigned mode,
		       const struct ks_only *only)
{
	ks_auto(store) store = calloc(1, sizeof(*store));
	int rc;

	if (!store)
		return ks_nomem(ctx);
	ks_ctx_use(ctx);
	*store = (struct ks_store){ .ctx = ctx, .where = where, .mode = mode };
	rc = engine_for(&store->engine, ctx, where);
	if (rc == 0)
		rc = check_mode(store);
	if (rc < 0)
		return rc;
	store->state = ks_array(1, store->engine->state_size);
	if (!store->state)
		return ks_nomem(ctx);
	rc = store->engine->open(store->state, ctx, store->engine, where, mode);
	if (rc == 0 && store->engine->actual) {
		store->engine = store->engine->actual(store->state);
		rc = check_mode(store);
	}
	if (rc == 0)
		rc = load(store, only);
	if (rc < 0)
		return rc;
	*out = ks_take(store);
	return 0;
}

int ks_store_open(struct ks_store **out, struct ks_ctx *ctx, const struct ks_where *where, unsigned mode)
{
	struct ks_only everything = { .public_only = (mode & KS_WITHOUT_SECRET) != 0 };

	return ks_store_open_only(out, ctx, where, mode, &everything);
}

void ks_store_close(struct ks_store *store)
{
	if (!store)
		return;
	ks_entries_free(store->entries);
	ks_set_free(store->items);
	if (store->state)
		store->engine->close(store->state);
	free(store->state);
	ks_ctx_unuse(store->ctx);
	free(store);
}

/* ---- looking ---- */

const struct ks_set *ks_store_items(const struct ks_store *store)
{
	return store->items;
}

int ks_store_entries(const struct ks_entries **out, struct ks_store *store)
{
	int rc = store->entries ? 0 : ks_entries_of(&store->entries, store->ctx, store->items);

	if (rc == 0)
		*out = store->entries;
	return rc;
}

size_t ks_store_entry_count(const struct ks_store *store)
{
	const struct ks_entries *entries = NULL;

	return ks_store_entries(&entries, (struct ks_store *)store) < 0 ? 0 : entries->count;
}

const struct ks_entry *ks_store_entry_at(const struct ks_store *store, size_t n)
{
	const struct ks_entries *entries = NULL;

	if (ks_store_entries(&entries, (struct ks_store *)store) < 0 || n >= entries->count)
		return NULL;
	return &entries->entries[n];
}

/* ---- what a kind of store cannot do ---- */

struct inability {
	unsigned can;
	const char *what, *instead;
};

static const struct inability inabilities[] = {
	{ KS_CAN_WRITE, "cannot be written", "copy what is in it to a store that can: keystow copy FROM p12:PATH" },
	{ KS_CAN_KEYS, "cannot hold private keys", "a p12: or pem: store or a token can" },
	{ KS_CAN_CERTIFICATES, "cannot hold certificates", "a p12: or pem: store or a token can" },
	{ KS_CAN_ANCHORS, "cannot mark a certificate as trusted", "a p12: or jks: store can" },
	{ KS_CAN_REQUESTS, "cannot hold requests", "a pem: file can" },
	{ KS_CAN_SECRETS, "cannot hold secret keys", "a p12: or jceks: store can" },
	{ KS_CAN_LABELS, "cannot hold labels", "a p12: or pem: store or a token can" },
	{ KS_CAN_IDS, "cannot hold ids", "a p12: store or a token can" },
	{ KS_CAN_GENERATE, "cannot make keys inside", "generate makes the key in software and puts it there" },
	{ KS_CAN_ADMIN, "is not a device with PINs", "the password of a file is changed by keystow passwd" },
	{ KS_CAN_WRAP, "does not wrap keys", "its keys are sealed by its password: copy the file, or keystow copy" },
	{ KS_CAN_MANY, "holds one thing only", "a p12: or pem: store holds many" },
	{ KS_CAN_SEAL, "cannot protect anything with a password", "a p12: or pem: store can" },
};

int ks_store_able(struct ks_store *store, unsigned what)
{
	for (size_t i = 0; i < sizeof(inabilities) / sizeof(inabilities[0]); i++) {
		const struct inability *row = &inabilities[i];

		if ((what & row->can) && !(store->engine->can & row->can))
			return ks_hint(store->ctx,
				       ks_fail(store->ctx, KS_EUNABLE, "%s: a %s %s", ks_where_shown(store->where), store->engine->title,
					       row->what),
				       "%s", row->instead);
	}
	return 0;
}

/* ---- changing ---- */

int ks_store_generate(struct ks_item **out_private, struct ks_store *store, const struct ks_generate *wish)
{
	size_t before = ks_set_count(store->items);
	int rc = ks_store_able(store, KS_CAN_GENERATE);

	if (rc == 0)
		rc = store->engine->generate(store->state, store->items, wish);
	if (rc < 0)
		return rc;
	ks_entries_free(store->entries);
	store->entries = NULL;
	for (size_t i = before; i < ks_set_count(store->items); i++) {
		if (ks_set_at(store->items, i)->kind == KS_PRIVATE_KEY) {
			*out_private = ks_set_at(store->items, i);
			return 0;
		}
	}
	return ks_fail(store->ctx, KS_EBUG, "%s: the new private key was not given back", store->where->text);
}

int ks_store_makes(struct ks_store *store, const struct ks_generate *wish)
{
	int rc = ks_store_able(store, KS_CAN_GENERATE);

	return rc < 0 ? rc : store->engine->makes(store->state, wish);
}

int ks_store_like(struct ks_generate *out, struct ks_store *store, const struct ks_item *key)
{
	int rc = ks_store_able(store, KS_CAN_GENERATE);

	return rc < 0 ? rc : store->engine->like(store->state, out, key);
}

int ks_store_wrap(struct ks_store *store, struct ks_set *into, const struct ks_item *key,
		  const struct ks_secret *transport)
{
	int rc = ks_store_able(store, KS_CAN_WRAP);

	return rc < 0 ? rc : store->engine->wrap(store->state, into, key, transport);
}

int ks_store_unwrap(struct ks_store *store, const struct ks_item *wrapped, const struct ks_secret *transport,
		    bool extractable)
{
	int rc = ks_store_able(store, KS_CAN_WRAP);

	if (rc == 0)
		rc = store->engine->unwrap(store->state, store->items, wrapped, transport, extractable);
	ks_entries_free(ks_take(store->entries));
	return rc;
}

int ks_store_admin(struct ks_store *store, const struct ks_admin *admin)
{
	int rc = ks_store_able(store, KS_CAN_ADMIN);

	return rc < 0 ? rc : store->engine->admin(store->state, admin);
}

struct remembering {
	struct ks_store *store;
	struct ks_record *record;
	bool done;
};

static int remember(void *user, struct ks_ctx *ctx, const unsigned char *digest)
{
	struct remembering *remembering = user;
	int rc = ks_history_write(remembering->store, remembering->record, digest);

	if (rc < 0)
		return ks_while(ctx, rc, "%s: remembering what was merged", remembering->store->where->text);
	remembering->done = true;
	return 0;
}

/* Stores that cannot stage are remembered after the change, by what they hold then. */
static int remember_late(struct remembering *remembering)
{
	unsigned char digest[KS_SHA256];
	int rc = ks_history_digest(digest, remembering->store);

	return rc < 0 ? rc : remember(remembering, remembering->store->ctx, digest);
}

int ks_store_apply(struct ks_store *store, struct ks_plan *plan, const struct ks_commit_wish *wish)
{
	ks_auto(record) carried = NULL;
	ks_auto(set) fresh = NULL;
	struct remembering remembering = { .store = store };
	struct ks_commit how = { .keep_old = wish->keep_old, .user = &remembering, .fresh = &fresh };
	int rc = ks_store_able(store, KS_CAN_WRITE);

	if (rc == 0 && !wish->record)
		rc = ks_history_carry(&carried, store, plan);
	if (rc < 0)
		return rc;
	remembering.record = wish->record ? wish->record : carried;
	if (remembering.record)
		how.staged = remember;
	rc = store->engine->apply(store->state, plan, &how);
	if (rc == 0 && fresh)
		adopt(store, ks_take(fresh));
	else if (rc == 0)
		rc = load(store, NULL);
	if (rc == 0 && remembering.record && !remembering.done)
		rc = remember_late(&remembering);
	return rc;
}

int ks_store_commit(struct ks_store *store, struct ks_plan *plan)
{
	struct ks_commit_wish wish = { .keep_old = true };

	return ks_plan_empty(plan) ? 0 : ks_store_apply(store, plan, &wish);
}

/* ---- going back ---- */

/* The private key of `set` that is the same record as `key`, or has the same public key. */
static bool holds_key(const struct ks_set *set, struct ks_item *key)
{
	for (size_t i = 0; i < ks_set_count(set); i++) {
		struct ks_item *item = ks_set_at(set, i);

		if (item->kind != key->kind)
			continue;
		if (ks_bytes_equal(item->der, key->der))
			return true;
		if (key->spki.size && ks_bytes_equal(item->spki, key->spki))
			return true;
	}
	return false;
}

static int check_key_loss(struct ks_store *store, const struct ks_set *old)
{
	for (size_t i = 0; i < ks_set_count(store->items); i++) {
		struct ks_item *item = ks_set_at(store->items, i);
		ks_auto_mem char *named = NULL;

		if ((item->kind != KS_PRIVATE_KEY && item->kind != KS_SECRET_KEY) || holds_key(old, item))
			continue;
		named = ks_item_named(item);
		return ks_hint(store->ctx,
			       ks_fail(store->ctx, KS_EKEYLOSS, "%s: the earlier copy lacks %s", store->where->text,
				       named ? named : "a private key"),
			       "copy that key to another store first, then roll back");
	}
	return 0;
}

int ks_store_rollback(struct ks_store *store)
{
	ks_auto(set) old = NULL;
	int rc;

	if (!store->engine->exchange)
		return ks_hint(store->ctx,
			       ks_fail(store->ctx, KS_EUNABLE, "%s: a %s keeps no earlier copy", store->where->text,
				       store->engine->title),
			       "merge an earlier bundle to get back its certificates");
	rc = store->engine->load_old(&old, store->state);
	if (rc == 0)
		rc = check_key_loss(store, old);
	if (rc == 0)
		rc = store->engine->exchange(store->state);
	if (rc < 0)
		return rc;
	return ks_while(store->ctx, load(store, NULL), "%s has been changed for its earlier copy, but reading that again",
			store->where->text);
}
