/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of a token goes into a backup, the backup itself, and its shares.
 */
#include "backups.h"

#include "certificate.h"
#include "pkcs11/tokens.h"

#include <openssl/rand.h>

#include <string.h>
#include <time.h>

#define STAYS "its private key is not in the backup"

/* ---- what goes, and what stays behind ---- */

struct choosing {
	struct ks_store *store;
	struct ks_plan *plan;
	size_t keys, left; /* private keys that go, things that stay behind */
};

/* A SmartCard-HSM has a way of its own, which no PKCS#11 call of OpenSC 0.23 reaches (docs/decisions/0008). */
static bool is_smartcard_hsm(struct ks_store *store)
{
	struct ks_token **tokens = NULL;
	bool found;

	if (ks_pkcs11_tokens(&tokens, store->ctx, store->where, false) < 0) {
		ks_forgive(store->ctx);
		return false;
	}
	found = tokens[0] && strstr(tokens[0]->manufacturer, "CardContact");
	ks_tokens_free(tokens);
	return found;
}

static const char *way_out(struct ks_store *store)
{
	if (is_smartcard_hsm(store))
		return "make a twin on a second device with keystow token twin; or let the SmartCard-HSM wrap the key by itself, "
		       "under a DKEK that must be in both devices before their keys are made (--initialize erases what is there, and "
		       "the PINs are asked for): sc-hsm-tool --create-dkek-share dkek.pbe; for each device: sc-hsm-tool --initialize "
		       "--dkek-shares 1 --label NAME; sc-hsm-tool --import-dkek-share dkek.pbe; then with N as the Key ref that is "
		       "listed, which must not be 0: pkcs15-tool --list-keys; sc-hsm-tool --wrap-key key.wrap --key-reference N; and "
		       "with the other device: sc-hsm-tool --unwrap-key key.wrap --key-reference N";
	return "only a key made with keystow generate --allow-extractable can be backed up; beside one that never leaves put "
	       "a second key on a second token, with a certificate of its own: keystow token twin";
}

static int leave(struct choosing *choosing, struct ks_item *item, const char *why, const char *hint)
{
	ks_auto_mem char *named = ks_item_named(item);

	choosing->left++;
	ks_notice(choosing->store->ctx, KS_EUNABLE, ks_where_text(choosing->store->where), hint,
		  "%s is not in the backup: %s", named ? named : "something", why);
	return ks_plan_note(choosing->plan, item, why);
}

/* Does it belong to a private key that stays behind? Then it would be half of something on the other token. */
static bool stays_with_key(const struct ks_store *store, const struct ks_plan *plan, const struct ks_item *item)
{
	struct ks_certificate_facts facts = { .spki = item->spki };
	bool has_key = false;

	if (item->kind == KS_CERTIFICATE && ks_certificate_facts(&facts, item->der) < 0)
		return false;
	for (size_t i = 0; i < ks_set_count(store->items); i++) {
		const struct ks_item *key = ks_set_at(store->items, i);

		has_key |= key->kind == KS_PRIVATE_KEY && ks_bytes_equal(key->spki, facts.spki);
	}
	for (size_t i = 0; has_key && i < plan->count; i++) {
		const struct ks_change *change = &plan->changes[i];

		if (change->what == KS_ADD && change->item->kind == KS_PRIVATE_KEY &&
		    ks_bytes_equal(change->item->spki, facts.spki))
			return false;
	}
	return has_key;
}

static bool is_public(const struct ks_item *item)
{
	return item->kind == KS_PUBLIC_KEY || item->kind == KS_CERTIFICATE;
}

/* After the private keys, so that it is known which of them go. */
static int choose_public(struct choosing *choosing, struct ks_item *item)
{
	if (!item)
		return 0;
	if (stays_with_key(choosing->store, choosing->plan, item))
		return ks_plan_note(choosing->plan, item, STAYS);
	return ks_plan_add(choosing->plan, item, NULL, NULL);
}

static int choose(struct choosing *choosing, struct ks_item *item)
{
	if (item->kind != KS_PRIVATE_KEY)
		return leave(choosing, item, "only private keys, public keys and certificates are backed up", "");
	if (!(item->flags & KS_EXTRACTABLE))
		return leave(choosing, item, "its token never gives it away", way_out(choosing->store));
	if (item->spki.size == 0)
		return leave(choosing, item, "its public key is not on the token, so nothing could prove it",
			     "install its certificate first: keystow install");
	choosing->keys++;
	return ks_plan_add(choosing->plan, item, NULL, NULL);
}

static int choose_entry(struct choosing *choosing)
{
	const struct ks_entry *entry;
	int rc = ks_store_entry(&entry, choosing->store, choosing->store->where);

	if (rc == 0 && entry->key && !is_public(entry->key))
		rc = choose(choosing, entry->key);
	if (rc == 0)
		rc = choose_public(choosing, entry->public_key);
	if (rc == 0)
		rc = choose_public(choosing, entry->certificate);
	for (size_t i = 0; rc == 0 && i < entry->chain_count; i++)
		rc = choose_public(choosing, entry->chain[i]);
	return rc;
}

static int choose_all(struct choosing *choosing)
{
	const struct ks_set *items = ks_store_items(choosing->store);
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < ks_set_count(items); i++) {
		if (!is_public(ks_set_at(items, i)))
			rc = choose(choosing, ks_set_at(items, i));
	}
	for (size_t i = 0; rc == 0 && i < ks_set_count(items); i++) {
		if (is_public(ks_set_at(items, i)))
			rc = choose_public(choosing, ks_set_at(items, i));
	}
	return rc;
}

static int check_choice(const struct choosing *choosing, bool strict)
{
	struct ks_ctx *ctx = choosing->store->ctx;
	const char *text = ks_where_text(choosing->store->where);

	if (choosing->keys == 0 && choosing->left == 0)
		return ks_hint(ctx, ks_fail(ctx, KS_ENOTFOUND, "%s: there is no private key to back up", text),
			       "keystow list shows what is there");
	if (choosing->keys == 0)
		return ks_hint(ctx,
			       ks_fail(ctx, KS_EUNABLE, "%s: none of the private keys that are there can be backed up", text),
			       "%s", way_out(choosing->store));
	if (strict && choosing->left)
		return ks_fail(ctx, KS_ELOSSY, "%s: %zu of the things that are there cannot be backed up, and --strict refuses",
			       text, choosing->left);
	return 0;
}

int ks_backup_plan(struct ks_plan **out, struct ks_store *store, bool strict)
{
	ks_auto(plan) plan = NULL;
	struct choosing choosing = { .store = store };
	int rc = ks_store_able(store, KS_CAN_WRAP);

	if (rc == 0)
		rc = ks_plan_new(&plan, store->ctx, store->items);
	choosing.plan = plan;
	if (rc == 0)
		rc = ks_where_names_entry(store->where) ? choose_entry(&choosing) : choose_all(&choosing);
	if (rc == 0)
		rc = check_choice(&choosing, strict);
	if (rc == 0)
		*out = ks_take(plan);
	return rc;
}

/* ---- making ---- */

void ks_backup_made_free(struct ks_backup_made *made)
{
	if (!made)
		return;
	for (unsigned i = 0; i < made->count; i++)
		ks_share_clear(&made->shares[i]);
	ks_buffer_free(made->file);
	ks_backup_free(made->backup);
	free(made);
}

static int random_secret(struct ks_secret **out, struct ks_ctx *ctx)
{
	ks_auto(secret) secret = NULL;
	int rc = ks_secret_new(&secret, ctx);

	if (rc < 0)
		return rc;
	if (RAND_priv_bytes_ex(ks_crypto(ctx), (unsigned char *)ks_secret_end(secret), KS_SHARE_PART, 0) != 1)
		return ks_fail_openssl(ctx, KS_EBUG, "no random numbers");
	ks_secret_grew(secret, KS_SHARE_PART);
	*out = ks_take(secret);
	return 0;
}

/* Shares with all that belongs to them, and their digests into the backup. */
static int split(struct ks_backup_made *made, struct ks_ctx *ctx, const struct ks_secret *whole, unsigned count,
		 unsigned threshold)
{
	struct ks_secret *parts[KS_SHARES_MOST] = { NULL };
	unsigned char(*digests)[KS_SHA256] = ks_array(count, KS_SHA256);
	int rc = digests ? ks_shares_split(parts, ctx, whole, count, threshold) : ks_nomem(ctx);

	for (unsigned i = 0; rc == 0 && i < count; i++) {
		struct ks_share *share = &made->shares[made->count++];

		*share = (struct ks_share){ .number = i + 1, .count = count, .threshold = threshold, .part = parts[i] };
		memcpy(share->set, made->backup->set, KS_SET_ID);
		ks_share_digest(digests[i], share);
	}
	if (rc == 0) {
		struct ks_bytes kept = ks_set_bytes(made->backup->items, digests, (size_t)count * KS_SHA256);

		made->backup->digests = (const unsigned char(*)[KS_SHA256])kept.data;
		rc = kept.data ? 0 : ks_nomem(ctx);
	}
	free(digests);
	return rc;
}

static bool has_key(const struct ks_backup *backup)
{
	for (size_t i = 0; i < ks_set_count(backup->items); i++) {
		if (ks_set_at(backup->items, i)->kind == KS_PRIVATE_KEY)
			return true;
	}
	return false;
}

static void keep(struct ks_change *change, const char *why)
{
	change->have = change->item;
	change->what = KS_KEEP;
	change->why = why;
}

/* The token says that it may be taken out, and does not give it: known only now. The plan says what became of it. */
static int stays_after_all(struct ks_store *store, struct ks_change *change)
{
	ks_auto_mem char *named = ks_item_named(change->item);

	ks_notice(store->ctx, KS_EUNABLE, ks_where_text(store->where), ks_ctx_hint(store->ctx),
		  "%s is not in the backup: %s", named ? named : "a private key", ks_ctx_text(store->ctx));
	ks_forgive(store->ctx);
	keep(change, "its token does not wrap it");
	return 0;
}

static int take(struct ks_backup *backup, struct ks_store *store, const struct ks_plan *plan, struct ks_change *change,
		const struct ks_secret *transport, bool strict)
{
	int rc;

	if (is_public(change->item) && stays_with_key(store, plan, change->item)) {
		keep(change, STAYS);
		return 0;
	}
	if (is_public(change->item))
		return ks_set_copy(backup->items, change->item) ? 0 : ks_nomem(store->ctx);
	rc = ks_store_wrap(store, backup->items, change->item, transport);
	return rc == KS_EUNABLE && !strict ? stays_after_all(store, change) : rc;
}

static int take_all(struct ks_backup *backup, struct ks_store *store, struct ks_plan *plan,
		    const struct ks_secret *transport, bool strict)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < plan->count; i++) {
		if (plan->changes[i].what != KS_ADD)
			continue;
		rc = ks_progress(store->ctx, "backing up keys", i, plan->count);
		if (rc == 0)
			rc = take(backup, store, plan, &plan->changes[i], transport, strict);
	}
	if (rc == 0 && !has_key(backup))
		return ks_fail(store->ctx, KS_EUNABLE, "%s: the token wraps none of its private keys",
			       ks_where_text(store->where));
	return rc;
}

/* Whose backup it is, and which. */
static int describe(struct ks_backup *backup, struct ks_store *store, unsigned count, unsigned threshold)
{
	struct ks_token **tokens = NULL;
	int rc = ks_pkcs11_tokens(&tokens, store->ctx, store->where, false);

	if (rc < 0)
		return ks_while(store->ctx, rc, "backing up %s", ks_where_text(store->where));
	backup->token = ks_set_bytes(backup->items, tokens[0] ? tokens[0]->label : "", tokens[0] ? strlen(tokens[0]->label) : 0);
	ks_tokens_free(tokens);
	backup->made = time(NULL);
	backup->count = count;
	backup->threshold = threshold;
	if (!backup->token.data)
		return ks_nomem(store->ctx);
	return RAND_bytes_ex(ks_crypto(store->ctx), backup->set, KS_SET_ID, 0) == 1
		       ? 0
		       : ks_fail_openssl(store->ctx, KS_EBUG, "no random numbers");
}

int ks_backup_make(struct ks_backup_made **out, struct ks_store *store, struct ks_plan *plan, unsigned count,
		   unsigned threshold, bool strict)
{
	ks_auto(backup_made) made = calloc(1, sizeof(*made));
	ks_auto(secret) whole = NULL;
	ks_auto(secret) transport = NULL;
	ks_auto(secret) seal = NULL;
	int rc = made ? ks_backup_new(&made->backup, store->ctx) : ks_nomem(store->ctx);

	if (rc == 0)
		rc = describe(made->backup, store, count, threshold);
	if (rc == 0)
		rc = random_secret(&whole, store->ctx);
	if (rc == 0) /* before the token is asked for anything: without libgfshare there is no backup */
		rc = split(made, store->ctx, whole, count, threshold);
	if (rc == 0)
		rc = ks_backup_derive(&transport, made->backup, whole, KS_BACKUP_WRAPS);
	if (rc == 0)
		rc = ks_backup_derive(&seal, made->backup, whole, KS_BACKUP_SEALS);
	if (rc == 0)
		rc = take_all(made->backup, store, plan, transport, strict);
	if (rc == 0)
		rc = ks_backup_encode(&made->file, made->backup, seal);
	if (rc == 0)
		*out = ks_take(made);
	return rc;
}

/* ---- writing ---- */

/*
 * The backup and its shares come into place together, or not at all: each is written and read back beside its name, and only when
 * all are there do they get their names. What had such a name stays as NAME.old, because a new backup that nobody has tried yet must
 * not cost the old one.
 */
struct leaves {
	struct ks_disk *disks[KS_SHARES_MOST + 1];
	bool replaces[KS_SHARES_MOST + 1];
	unsigned count, in_place;
};

static void leaves_close(struct leaves *leaves)
{
	for (unsigned i = 0; i < leaves->count; i++)
		ks_disk_close(leaves->disks[i]);
}

static int stage(struct leaves *leaves, struct ks_ctx *ctx, const char *path, struct ks_bytes content, bool replace)
{
	const struct ks_disk_wish wish = { .private_material = true, .keep_old = true };
	struct ks_disk **disk = &leaves->disks[leaves->count];
	bool changed;
	int rc = ks_disk_open(disk, ctx, path, KS_DISK_WRITE | KS_DISK_CREATE);

	if (rc < 0)
		return rc;
	leaves->count++;
	rc = ks_disk_lock(*disk, &changed);
	if (rc < 0)
		return rc;
	leaves->replaces[leaves->count - 1] = ks_disk_exists(*disk);
	if (ks_disk_exists(*disk) && !replace)
		return ks_hint(ctx, ks_fail(ctx, KS_EEXISTS, "%s exists already", path),
			       "choose another name; with --replace the old backup and its shares stay beside the new ones, as .old");
	return ks_disk_stage(*disk, &content, 1, &wish);
}

static int stage_share(struct leaves *leaves, struct ks_ctx *ctx, const struct ks_share *share, const char *path, bool replace)
{
	ks_auto(buffer) text = NULL;
	int rc = ks_share_write(&text, ctx, share);

	return rc < 0 ? rc : stage(leaves, ctx, path, ks_buffer_bytes(text), replace);
}

/* The failure stays the one that is told. A file that was exchanged for its earlier copy leaves the new one as .old. */
static void take_back(const struct leaves *leaves, const char *path, char *const *share_paths)
{
	for (unsigned i = 0; i < leaves->in_place; i++) {
		if (leaves->replaces[i])
			ks_disk_exchange(leaves->disks[i]);
		else
			ks_disk_remove(NULL, i < leaves->count - 1 ? share_paths[i] : path);
	}
}

/* Two shares in one file would be one share. */
static int check_names(struct ks_ctx *ctx, const char *path, char *const *share_paths, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		bool twice = strcmp(share_paths[i], path) == 0;

		for (unsigned n = 0; !twice && n < i; n++)
			twice = strcmp(share_paths[i], share_paths[n]) == 0;
		if (twice)
			return ks_hint(ctx, ks_fail(ctx, KS_EUSAGE, "%s is named twice", share_paths[i]),
				       "the backup and each share want a file of their own");
	}
	return 0;
}

int ks_backup_write(struct ks_ctx *ctx, const struct ks_backup_made *made, const char *path, char *const *share_paths,
		    bool replace)
{
	__attribute__((cleanup(leaves_close))) struct leaves leaves = { .count = 0 };
	int rc = check_names(ctx, path, share_paths, made->count);

	for (unsigned i = 0; rc == 0 && i < made->count; i++)
		rc = stage_share(&leaves, ctx, &made->shares[i], share_paths[i], replace);
	if (rc == 0)
		rc = stage(&leaves, ctx, path, ks_buffer_bytes(made->file), replace);
	while (rc == 0 && leaves.in_place < leaves.count) {
		struct ks_disk *disk = leaves.disks[leaves.in_place];

		rc = ks_disk_publish(disk);
		leaves.in_place += !ks_disk_is_staged(disk);
	}
	if (rc < 0)
		take_back(&leaves, path, share_paths);
	return rc;
}
