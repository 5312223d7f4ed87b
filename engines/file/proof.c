/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was written is held against what was meant, item by item, in any order: a format may group its items as it likes.
 *
 * Both sides are sorted by kind and digest of the bytes that must be equal, then by name, so that the n-th of several equal ones
 * is the n-th of the other side and a store full of equal certificates costs no more than any other. Keys that were sealed anew
 * have other bytes each time; they are few, and each is opened and compared.
 */
#include "proof.h"

#include "alias.h"
#include "key.h"
#include "text.h"

#include <openssl/crypto.h>

#include <string.h>

struct mark {
	struct ks_item *item;
	unsigned char digest[KS_SHA256];
	bool exact;	/* the bytes are known beforehand */
	bool used;
};

struct marks {
	struct mark *marks;
	size_t count;
};

static bool is_secret(const struct ks_item *item)
{
	return item->kind == KS_PRIVATE_KEY || item->kind == KS_SECRET_KEY;
}

static int mark_order(const void *a, const void *b)
{
	const struct mark *x = a, *y = b;
	int order = (int)x->item->kind - (int)y->item->kind;

	if (order == 0)
		order = memcmp(x->digest, y->digest, KS_SHA256);
	if (order == 0)
		order = ks_bytes_compare(x->item->label, y->item->label);
	if (order == 0)
		order = ks_bytes_compare(x->item->id, y->item->id);
	return order ? order : (int)ks_item_is_anchor(x->item) - (int)ks_item_is_anchor(y->item);
}

static void mark_item(struct mark *mark, struct ks_item *item, bool exact)
{
	mark->item = item;
	mark->exact = exact;
	if (!exact)
		return;
	if (is_secret(item))
		ks_sha256(mark->digest, item->der.size ? item->der : item->raw);
	else
		memcpy(mark->digest, ks_item_sha256(item), KS_SHA256);
}

static bool is_exact(const struct ks_item *item, const struct ks_set *have, bool changed)
{
	return !is_secret(item) || (!changed && have && (item->origin ? item->origin->set : item->set) == have);
}

/*
 * Where the certificates come back in the order they were given, equal bytes have equal digests: ten thousand need not be hashed
 * to be compared.
 */
static void share_digests(const struct ks_set *meant, struct ks_set *written)
{
	struct ks_item *a, *b;

	for (size_t i = 0, j = 0; (a = ks_set_at(meant, i)) && (b = ks_set_at(written, j)); i++, j++) {
		while (a && a->kind != KS_CERTIFICATE)
			a = ks_set_at(meant, ++i);
		while (b && b->kind != KS_CERTIFICATE)
			b = ks_set_at(written, ++j);
		if (!a || !b || !(a->flags & KS_HASHED) || !ks_bytes_equal(a->der, b->der))
			continue;
		memcpy(b->sha256, a->sha256, KS_SHA256);
		b->flags |= KS_HASHED;
	}
}

/* `of_written`: every item counts by its bytes. */
static int marks_of(struct marks *out, struct ks_ctx *ctx, struct ks_set *set, const struct ks_set *have, bool changed,
		    bool of_written)
{
	out->marks = ks_array(ks_set_count(set), sizeof(*out->marks));
	if (!out->marks)
		return ks_nomem(ctx);
	for (size_t i = 0; i < ks_set_count(set); i++) {
		struct ks_item *item = ks_set_at(set, i);

		if (item->flags & KS_LEFT_OUT)
			continue;
		mark_item(&out->marks[out->count++], item, of_written || is_exact(item, have, changed));
	}
	qsort(out->marks, out->count, sizeof(*out->marks), mark_order);
	return 0;
}

/* ---- names ---- */

static bool same_label(unsigned can, struct ks_bytes meant, struct ks_bytes written)
{
	if (!meant.size || !ks_utf8_valid(meant))
		return true;
	return can & KS_CAN_ALIASES ? ks_alias_equal(meant, written) : ks_bytes_equal(meant, written);
}

static bool names_match(unsigned can, const struct ks_item *meant, const struct ks_item *written)
{
	if ((can & KS_CAN_LABELS) && !same_label(can, meant->label, written->label))
		return false;
	if ((can & KS_CAN_IDS) && meant->id.size && !ks_bytes_equal(meant->id, written->id))
		return false;
	return !(can & KS_CAN_ANCHORS) || ks_item_is_anchor(meant) == ks_item_is_anchor(written);
}

/* ---- keys that were sealed anew ---- */

/* By algorithm and bytes: whether the algorithm has parameters that say nothing is a matter of the format. */
static bool same_secret_key(struct ks_item *meant, struct ks_item *written, struct ks_ctx *ctx)
{
	struct ks_bytes a_oid, b_oid, a_key, b_key;
	ks_auto(buffer) a = NULL;
	ks_auto(buffer) b = NULL;

	if (ks_item_pkcs8(&a, meant, ctx) < 0 || ks_item_pkcs8(&b, written, ctx) < 0 ||
	    ks_secret_key_parts(&a_oid, &a_key, ks_buffer_bytes(a)) < 0 ||
	    ks_secret_key_parts(&b_oid, &b_key, ks_buffer_bytes(b)) < 0)
		return false;
	return ks_bytes_equal(a_oid, b_oid) && a_key.size == b_key.size && CRYPTO_memcmp(a_key.data, b_key.data, a_key.size) == 0;
}

/* EVP_PKEY_eq looks at the public halves; that the private ones fit them is checked when a key is opened. */
static bool same_private_key(struct ks_item *meant, struct ks_item *written, struct ks_ctx *ctx)
{
	ks_auto_ssl(EVP_PKEY) a = NULL;
	ks_auto_ssl(EVP_PKEY) b = NULL;

	return ks_item_pkey(&a, meant, ctx) == 0 && ks_item_pkey(&b, written, ctx) == 0 && EVP_PKEY_eq(a, b) == 1;
}

/* Under a password of its own, which is not the one that changed. */
static bool stayed_sealed(unsigned can, const struct ks_item *meant, const struct ks_item *written)
{
	return (can & KS_CAN_KEY_SECRETS) && meant->der.size && ks_bytes_equal(meant->der, written->der);
}

static bool find_opened(struct marks *written, unsigned can, struct ks_item *meant, struct ks_ctx *ctx)
{
	for (size_t i = 0; i < written->count; i++) {
		struct mark *mark = &written->marks[i];

		if (mark->used || mark->item->kind != meant->kind || !names_match(can, meant, mark->item))
			continue;
		mark->used = stayed_sealed(can, meant, mark->item) ||
			     (meant->kind == KS_PRIVATE_KEY ? same_private_key(meant, mark->item, ctx)
							    : same_secret_key(meant, mark->item, ctx));
		if (mark->used)
			return true;
	}
	return false;
}

/* ---- the rest, by bytes ---- */

static int same_bytes(const struct mark *a, const struct mark *b)
{
	return a->item->kind == b->item->kind && memcmp(a->digest, b->digest, KS_SHA256) == 0;
}

/* The first written mark that is not smaller in kind and digest. */
static size_t range_start(const struct marks *written, const struct mark *meant)
{
	size_t low = 0, high = written->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct mark *mark = &written->marks[middle];
		int order = (int)mark->item->kind - (int)meant->item->kind;

		if (order == 0)
			order = memcmp(mark->digest, meant->digest, KS_SHA256);
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* `nth`: how many with the same bytes came before. A public thing that is there once need not be there twice. */
static bool find_exact(struct marks *written, unsigned can, const struct mark *meant, size_t nth)
{
	size_t start = range_start(written, meant);
	bool seen = false;

	if (nth < written->count - start) {
		struct mark *likely = &written->marks[start + nth];

		if (!likely->used && same_bytes(likely, meant) && names_match(can, meant->item, likely->item))
			return likely->used = true;
	}
	for (size_t i = start; i < written->count && same_bytes(&written->marks[i], meant); i++) {
		struct mark *mark = &written->marks[i];

		if (!names_match(can, meant->item, mark->item))
			continue;
		seen = true;
		if (!mark->used)
			return mark->used = true;
	}
	return seen && !is_secret(meant->item);
}

/* In such stores every key has its chain with it: what stands above two keys is there twice. */
static bool repeats(unsigned can, const struct marks *meant, const struct mark *mark)
{
	size_t start = range_start(meant, mark);

	return (can & KS_CAN_CHAINS) && mark->item->kind == KS_CERTIFICATE && !ks_item_is_anchor(mark->item) &&
	       start < meant->count && same_bytes(&meant->marks[start], mark);
}

/* ---- the verdict ---- */

static int differs(struct ks_ctx *ctx, struct ks_item *item, const char *how)
{
	ks_auto_mem char *named = ks_item_named(item);
	int rc = ks_fail(ctx, KS_EBUG, "the new file, read back, %s %s", how, named ? named : "an item");

	return ks_hint(ctx, rc, "nothing was changed; please report it");
}

static int compare(struct ks_ctx *ctx, unsigned can, const struct marks *meant, struct marks *written)
{
	size_t nth = 0;

	for (size_t i = 0; i < meant->count; i++) {
		struct mark *mark = &meant->marks[i];

		nth = i && same_bytes(mark, mark - 1) ? nth + 1 : 0;
		if (mark->exact && !find_exact(written, can, mark, nth))
			return differs(ctx, mark->item, "does not hold, as it was meant,");
	}
	for (size_t i = 0; i < meant->count; i++) {
		if (!meant->marks[i].exact && !find_opened(written, can, meant->marks[i].item, ctx))
			return differs(ctx, meant->marks[i].item, "does not hold, as it was meant,");
	}
	for (size_t i = 0; i < written->count; i++) {
		if (!written->marks[i].used && !repeats(can, meant, &written->marks[i]))
			return differs(ctx, written->marks[i].item, "holds what was not meant:");
	}
	return 0;
}

int ks_proof(struct ks_ctx *ctx, unsigned can, struct ks_set *meant, const struct ks_set *have, bool changed,
	     struct ks_set *written)
{
	struct marks wanted = { 0 }, found = { 0 };
	int rc = marks_of(&wanted, ctx, meant, have, changed, false);

	share_digests(meant, written);
	if (rc == 0)
		rc = marks_of(&found, ctx, written, NULL, false, true);
	if (rc == 0)
		rc = compare(ctx, can, &wanted, &found);
	free(wanted.marks);
	free(found.marks);
	return rc;
}
