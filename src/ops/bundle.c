/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bundle is a set of public certificates, whatever file it came in.
 *
 * It is read by the same door as any store, and then looked at with suspicion: a private key has no business in it, a damaged
 * block may be half of a download, an empty one would empty every store it is merged into. What a certificate was called and
 * trusted for is kept; ids and records of the file it came from are not, because they mean something only there.
 */
#include "merge.h"

#include "text.h"

#include <stdio.h>
#include <string.h>

void ks_bundle_free(struct ks_bundle *bundle)
{
	if (!bundle)
		return;
	ks_set_free(bundle->set);
	free(bundle->certificates);
	free(bundle->name);
	free(bundle);
}

static int by_digest(const void *a, const void *b)
{
	struct ks_item *const *x = a, *const *y = b;

	return memcmp((*x)->sha256, (*y)->sha256, KS_SHA256);
}

/* ---- what has no business in a bundle ---- */

static int refuse_key(struct ks_ctx *ctx, const char *name, struct ks_item *item)
{
	ks_auto_mem char *named = ks_item_named(item);
	int rc = ks_fail(ctx, KS_EMISMATCH, "%s holds %s, and a bundle is public", name, named ? named : "a key");

	return ks_hint(ctx, rc, "take the key out, and look where that file came from; keystow copy moves keys between stores");
}

static int refuse_damage(struct ks_ctx *ctx, const char *name, size_t damaged)
{
	int rc = ks_fail(ctx, KS_EDAMAGED, "%zu block%s of %s %s damaged, so the rest may not be all of it", damaged,
			 damaged == 1 ? "" : "s", name, damaged == 1 ? "is" : "are");

	return ks_hint(ctx, rc, "fetch it again, or look with keystow list and use --skip-damaged");
}

struct census {
	size_t foreign, damaged, distrusted;
};

/* May the item be merged? Counts why not; a key ends the reading. */
static int admit(bool *fits, struct census *census, struct ks_ctx *ctx, const char *name, struct ks_item *item)
{
	*fits = false;
	if (item->kind == KS_PRIVATE_KEY || item->kind == KS_SECRET_KEY)
		return refuse_key(ctx, name, item);
	if (item->kind != KS_CERTIFICATE) {
		census->foreign++;
		return 0;
	}
	if (item->flags & KS_UNDECODED) {
		census->damaged++;
		return 0;
	}
	if (item->trust.distrusted && !item->trust.trusted) {
		census->distrusted++;
		return 0;
	}
	*fits = true;
	return 0;
}

static void say_what_was_left_out(struct ks_ctx *ctx, const char *name, const struct census *census)
{
	if (census->damaged)
		ks_notice(ctx, KS_EDAMAGED, name, "", "%zu damaged block%s skipped", census->damaged,
			  census->damaged == 1 ? " was" : "s were");
	if (census->foreign)
		ks_notice(ctx, KS_EMISMATCH, name, "", "%zu thing%s in it that %s no certificate %s left out",
			  census->foreign, census->foreign == 1 ? "" : "s", census->foreign == 1 ? "is" : "are",
			  census->foreign == 1 ? "was" : "were");
	if (census->distrusted)
		ks_notice(ctx, KS_EMISMATCH, name, "", "%zu certificate%s marked there as distrusted %s left out",
			  census->distrusted, census->distrusted == 1 ? "" : "s",
			  census->distrusted == 1 ? "was" : "were");
}

/* ---- the certificates ---- */

/* A copy that carries label and trust, and nothing that has a meaning only in the file it came from. */
static int add_certificate(struct ks_bundle *bundle, struct ks_ctx *ctx, struct ks_item *item)
{
	struct ks_item *copy = ks_set_copy(bundle->set, item);

	if (!copy)
		return ks_nomem(ctx);
	copy->raw = copy->attributes = copy->id = KS_NONE;
	copy->about = NULL;
	if (!copy->trust.trusted)
		copy->trust = (struct ks_trust){ .trusted = KS_FOR_ANY };
	ks_item_sha256(copy);
	bundle->certificates[bundle->count++] = copy;
	return 0;
}

static void drop_duplicates(struct ks_bundle *bundle)
{
	size_t kept = 0;

	qsort(bundle->certificates, bundle->count, sizeof(*bundle->certificates), by_digest);
	for (size_t i = 0; i < bundle->count; i++) {
		if (!kept || by_digest(&bundle->certificates[kept - 1], &bundle->certificates[i]) != 0)
			bundle->certificates[kept++] = bundle->certificates[i];
	}
	bundle->count = kept;
}

static int digest_bundle(struct ks_bundle *bundle, struct ks_ctx *ctx)
{
	ks_auto(buffer) digests = ks_buffer_new(bundle->count * KS_SHA256);

	if (!digests)
		return ks_nomem(ctx);
	for (size_t i = 0; i < bundle->count; i++)
		ks_buffer_put(digests, bundle->certificates[i]->sha256, KS_SHA256);
	if (digests->status)
		return ks_nomem(ctx);
	ks_sha256(bundle->digest, ks_buffer_bytes(digests));
	return 0;
}

static int collect(struct ks_bundle *bundle, struct ks_ctx *ctx, const struct ks_set *set, bool skip_damaged)
{
	struct census census = { 0 };
	bool fits;
	int rc;

	bundle->certificates = ks_array(ks_set_count(set), sizeof(struct ks_item *));
	if (!bundle->certificates)
		return ks_nomem(ctx);
	for (size_t i = 0; i < ks_set_count(set); i++) {
		struct ks_item *item = ks_set_at(set, i);

		rc = admit(&fits, &census, ctx, bundle->name, item);
		if (rc == 0 && fits)
			rc = add_certificate(bundle, ctx, item);
		if (rc < 0)
			return rc;
	}
	if (census.damaged < ks_set_facts_of(set)->blocks_damaged)
		census.damaged = ks_set_facts_of(set)->blocks_damaged;
	if (census.damaged && !skip_damaged)
		return refuse_damage(ctx, bundle->name, census.damaged);
	say_what_was_left_out(ctx, bundle->name, &census);
	return 0;
}

int ks_bundle_of(struct ks_bundle **out, struct ks_ctx *ctx, const char *name, const struct ks_set *set, bool skip_damaged)
{
	ks_auto(bundle) bundle = calloc(1, sizeof(*bundle));
	int rc;

	if (!bundle || !(bundle->name = strdup(name)))
		return ks_nomem(ctx);
	rc = ks_set_new(&bundle->set, ctx);
	if (rc == 0)
		rc = collect(bundle, ctx, set, skip_damaged);
	if (rc < 0)
		return rc;
	if (bundle->count == 0)
		return ks_hint(ctx, ks_fail(ctx, KS_ESHRINK, "%s holds no certificate", name),
			       "an empty bundle would empty every store; look at the file with keystow list");
	drop_duplicates(bundle);
	rc = digest_bundle(bundle, ctx);
	if (rc < 0)
		return rc;
	*out = ks_take(bundle);
	return 0;
}

/* What the record calls the bundle: its file's name without folders, else its address. */
static const char *name_of(const struct ks_where *where)
{
	const char *slash = where->path ? strrchr(where->path, '/') : NULL;

	if (slash && slash[1])
		return slash + 1;
	return where->path && strcmp(where->path, "-") != 0 ? where->path : ks_where_shown(where);
}

int ks_bundle_read(struct ks_bundle **out, struct ks_ctx *ctx, const struct ks_where *where, bool skip_damaged)
{
	struct ks_only only = { .public_only = true };
	__attribute__((cleanup(ks_store_freep))) struct ks_store *store = NULL;
	ks_auto_mem char *name = ks_text_show(ks_bytes_of(name_of(where)));
	int rc;

	if (!name)
		return ks_nomem(ctx);
	rc = ks_store_open_only(&store, ctx, where, KS_READ, &only);
	if (rc < 0)
		return ks_while(ctx, rc, "reading the bundle %s", name);
	return ks_bundle_of(out, ctx, name, store->items, skip_damaged);
}
