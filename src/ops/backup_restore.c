/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a backup and enough of its shares into a token.
 */
#include "backups.h"

#include <string.h>

int ks_backup_open(struct ks_backup **out, struct ks_ctx *ctx, const char *path)
{
	ks_auto(buffer) file = NULL;
	int rc = ks_disk_read(&file, ctx, path);

	return rc < 0 ? rc : ks_while(ctx, ks_backup_decode(out, ctx, ks_buffer_bytes(file)), "%s", path);
}

/* ---- shares ---- */

static int check_share(const struct ks_backup *backup, const struct ks_share *share, const char *named)
{
	struct ks_ctx *ctx = ks_set_ctx(backup->items);
	unsigned char digest[KS_SHA256];

	if (memcmp(share->set, backup->set, KS_SET_ID) != 0)
		return ks_hint(ctx, ks_fail(ctx, KS_EMISMATCH, "%s belongs to another backup", named),
			       "the head of a share file names the backup, and so does keystow token restore FILE --dry-run");
	ks_share_digest(digest, share);
	if (share->number > backup->count || memcmp(digest, backup->digests[share->number - 1], KS_SHA256) != 0)
		return ks_hint(ctx, ks_fail(ctx, KS_EMISMATCH, "%s is not the share that was made with this backup", named),
			       "the share, or the backup, was changed on purpose; use other copies");
	return 0;
}

static int check_shares(const struct ks_backup *backup, const struct ks_share *shares, char *const *named,
			unsigned count)
{
	struct ks_ctx *ctx = ks_set_ctx(backup->items);
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < count; i++) {
		rc = check_share(backup, &shares[i], named[i]);
		for (unsigned n = 0; rc == 0 && n < i; n++) {
			if (shares[n].number == shares[i].number)
				rc = ks_hint(ctx, ks_fail(ctx, KS_EUSAGE, "%s and %s are the same share", named[n], named[i]),
					     "each custodian gives another one");
		}
	}
	if (rc == 0 && count < backup->threshold)
		return ks_hint(ctx,
			       ks_fail(ctx, KS_ENOSECRET, "%u shares are needed, and there %s %u", backup->threshold,
				       count == 1 ? "is" : "are", count),
			       "fewer give nothing at all; name each with --share FILE, or type them at a terminal");
	return rc;
}

int ks_backup_unlock(struct ks_secret **out, const struct ks_backup *backup, const struct ks_share *shares,
		     char *const *named, unsigned count)
{
	struct ks_ctx *ctx = ks_set_ctx(backup->items);
	struct ks_secret *parts[KS_SHARES_MOST];
	unsigned char numbers[KS_SHARES_MOST];
	ks_auto(secret) whole = NULL;
	ks_auto(secret) seal = NULL;
	int rc = count > KS_SHARES_MOST ? ks_fail(ctx, KS_EUSAGE, "there are at most %d shares", KS_SHARES_MOST)
					: check_shares(backup, shares, named, count);

	for (unsigned i = 0; rc == 0 && i < count; i++) {
		parts[i] = shares[i].part;
		numbers[i] = (unsigned char)shares[i].number;
	}
	if (rc == 0)
		rc = ks_shares_join(&whole, ctx, parts, numbers, count);
	if (rc == 0)
		rc = ks_backup_derive(&seal, backup, whole, KS_BACKUP_SEALS);
	if (rc == 0)
		rc = ks_backup_check(backup, seal);
	return rc < 0 ? rc : ks_backup_derive(out, backup, whole, KS_BACKUP_WRAPS);
}

/* ---- what changes ---- */

/* What the store has of the same kind, with the same key or, of certificates, the same bytes; NULL = nothing. */
static struct ks_item *same_in(const struct ks_set *set, const struct ks_item *item)
{
	for (size_t i = 0; i < ks_set_count(set); i++) {
		struct ks_item *there = ks_set_at(set, i);

		if (there->kind != item->kind)
			continue;
		if (item->kind == KS_CERTIFICATE ? ks_bytes_equal(there->der, item->der) : ks_bytes_equal(there->spki, item->spki))
			return there;
	}
	return NULL;
}

/* A public key comes with its private one, when that is restored; else it is put like a certificate. */
static bool comes_along(const struct ks_store *store, const struct ks_backup *backup, const struct ks_item *item)
{
	for (size_t i = 0; item->kind == KS_PUBLIC_KEY && i < ks_set_count(backup->items); i++) {
		const struct ks_item *key = ks_set_at(backup->items, i);

		if (key->kind == KS_PRIVATE_KEY && ks_bytes_equal(key->spki, item->spki))
			return !same_in(store->items, key);
	}
	return false;
}

int ks_restore_plan(struct ks_plan **out, struct ks_store *store, const struct ks_backup *backup)
{
	ks_auto(plan) plan = NULL;
	int rc = ks_store_able(store, KS_CAN_WRAP);

	if (rc == 0)
		rc = ks_plan_new(&plan, store->ctx, store->items);
	for (size_t i = 0; rc == 0 && i < ks_set_count(backup->items); i++) {
		struct ks_item *item = ks_set_at(backup->items, i), *there = same_in(store->items, item);

		if (there)
			rc = ks_plan_note(plan, there, "is there already");
		else if (!comes_along(store, backup, item))
			rc = ks_plan_add(plan, item, NULL, NULL);
	}
	if (rc == 0)
		*out = ks_take(plan);
	return rc;
}

/* ---- doing it ---- */

static int put_keys(struct ks_store *store, struct ks_plan *plan, const struct ks_secret *transport, bool extractable)
{
	size_t done = 0;

	for (size_t i = 0; i < plan->count; i++) {
		struct ks_change *change = &plan->changes[i];
		int rc;

		if (change->what != KS_ADD || change->item->kind != KS_PRIVATE_KEY)
			continue;
		rc = ks_progress(store->ctx, "restoring keys", i, plan->count);
		if (rc == 0)
			rc = ks_store_unwrap(store, change->item, transport, extractable);
		if (rc < 0 && done)
			return ks_hint(store->ctx, rc, "%zu keys are restored and proven; run it again to go on", done);
		if (rc < 0)
			return rc;
		change->done = true;
		done++;
	}
	return 0;
}

static int put_rest(struct ks_store *store, struct ks_plan *plan)
{
	const struct ks_commit_wish wish = { .keep_old = false };
	ks_auto(plan) rest = NULL;
	int rc = ks_plan_new(&rest, store->ctx, store->items);

	for (size_t i = 0; rc == 0 && i < plan->count; i++) {
		struct ks_change *change = &plan->changes[i];
		const struct ks_naming naming = { .label = change->item ? change->item->label : KS_NONE };

		if (change->what == KS_ADD && change->item->kind != KS_PRIVATE_KEY)
			rc = ks_plan_add(rest, change->item, &naming, NULL);
	}
	if (rc == 0 && rest->count)
		rc = ks_store_apply(store, rest, &wish);
	for (size_t i = 0; rc == 0 && i < plan->count; i++)
		plan->changes[i].done = true;
	return rc < 0 ? ks_hint(store->ctx, rc, "the private keys are restored and proven; run it again to go on") : 0;
}

int ks_restore_apply(struct ks_store *store, struct ks_plan *plan, const struct ks_secret *transport, bool extractable)
{
	int rc = put_keys(store, plan, transport, extractable);

	return rc < 0 ? rc : put_rest(store, plan);
}
