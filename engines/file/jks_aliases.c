/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Aliases: the labels of Java's key stores.
 *
 * In the file they are modified UTF-8 (java.io.DataInput): zero takes two bytes, and what is beyond 16 bits is a pair of surrogates of
 * three bytes each. Java's classes read them as they are and look for them in lower case; of two equal ones they keep the last.
 * Others' files hold capitals and equal ones, and they stay as found; we write neither.
 */
#include "jks.h"

#include "alias.h"
#include "certificate.h"
#include "name.h"
#include "text.h"

#define DEFAULT_ALIAS "mykey" /* keytool's */

/* ---- modified UTF-8 --------------------------------------------------------------------------------------------------------- */

/* One 16-bit unit; how many bytes it took, 0 when they are none. */
static size_t unit_next(uint32_t *unit, struct ks_bytes rest)
{
	const unsigned char *at = rest.data;

	if (at[0] < 0x80) {
		*unit = at[0];
		return 1;
	}
	if ((at[0] & 0xe0) == 0xc0 && rest.size >= 2 && (at[1] & 0xc0) == 0x80) {
		*unit = (uint32_t)(at[0] & 0x1f) << 6 | (at[1] & 0x3f);
		return 2;
	}
	if ((at[0] & 0xf0) != 0xe0 || rest.size < 3 || (at[1] & 0xc0) != 0x80 || (at[2] & 0xc0) != 0x80)
		return 0;
	*unit = (uint32_t)(at[0] & 0x0f) << 12 | (uint32_t)(at[1] & 0x3f) << 6 | (at[2] & 0x3f);
	return 3;
}

static size_t point_next(uint32_t *point, struct ks_bytes rest)
{
	uint32_t low;
	size_t size = unit_next(point, rest), more;

	if (size == 0 || *point < 0xd800 || *point > 0xdfff)
		return size;
	if (*point > 0xdbff || size == rest.size)
		return 0;
	more = unit_next(&low, KS_BYTES(rest.data + size, rest.size - size));
	if (more == 0 || low < 0xdc00 || low > 0xdfff)
		return 0;
	*point = 0x10000 + ((*point & 0x3ff) << 10 | (low & 0x3ff));
	return size + more;
}

struct ks_bytes ks_jks_alias_text(struct ks_set *set, struct ks_bytes alias)
{
	ks_auto(buffer) text = NULL;

	if (ks_utf8_valid(alias))
		return alias;
	text = ks_buffer_new(2 * alias.size);
	for (size_t i = 0; text && i < alias.size;) {
		unsigned char bytes[4];
		uint32_t point = 0;
		size_t size = point_next(&point, KS_BYTES(alias.data + i, alias.size - i));

		if (size == 0)
			return alias;
		ks_buffer_put(text, bytes, ks_utf8_put(bytes, point));
		i += size;
	}
	return text && !text->status ? ks_set_bytes(set, text->data, text->size) : KS_NONE;
}

static void unit_put(struct ks_buffer *out, uint32_t unit)
{
	unsigned char bytes[4];

	if (unit == 0)
		ks_buffer_put(out, "\xc0\x80", 2);
	else
		ks_buffer_put(out, bytes, ks_utf8_put(bytes, unit));
}

/* Bytes that are not UTF-8 are taken as characters of Latin-1. */
int ks_jks_alias_put(struct ks_buffer *out, struct ks_ctx *ctx, struct ks_bytes label)
{
	bool text = ks_utf8_valid(label);
	size_t start = out->size, size;

	ks_jks_put_number(out, 0, 2);
	for (size_t i = 0; i < label.size && !out->status;) {
		uint32_t point = label.data[i];

		i += text ? ks_utf8_next(&point, label.data + i, label.size - i) : 1;
		if (point >= 0x10000) {
			unit_put(out, 0xd7c0 + (point >> 10));
			point = 0xdc00 | (point & 0x3ff);
		}
		unit_put(out, point);
	}
	if (out->status)
		return out->status;
	size = out->size - start - 2;
	if (size > 0xffff)
		return ks_fail(ctx, KS_ELIMIT, "its label takes %zu bytes; an alias of Java takes %d at most", size,
			       0xffff);
	out->data[start] = (unsigned char)(size >> 8);
	out->data[start + 1] = (unsigned char)size;
	return 0;
}

/* ---- which alias each record gets ------------------------------------------------------------------------------------------- */

bool ks_jks_alias_kept(const struct ks_item *item, const struct ks_set *have)
{
	return ks_jks_is_own(item, have) && item->origin && ks_bytes_equal(item->label, item->origin->label);
}

static int say_renamed(struct ks_ctx *ctx, struct ks_bytes wanted, struct ks_bytes got)
{
	ks_auto_mem char *from = ks_text_show(wanted);
	ks_auto_mem char *to = ks_text_show(got);

	ks_notice(ctx, KS_ELOSSY, NULL, "keystow rename gives it another one",
		  "\"%s\" is written as \"%s\": that alias is taken", from ? from : "", to ? to : "");
	return 0;
}

/* A key without a label is called after its certificate. */
static const char *name_for_key(const struct ks_item *leaf, struct ks_set *keep)
{
	struct ks_bytes issuer, subject;
	ks_auto_mem char *common = NULL;

	if (leaf && ks_certificate_names(&issuer, &subject, leaf->der) == 0)
		common = ks_name_common(subject);
	return common && common[0] ? ks_set_text(keep, "%s", common) : DEFAULT_ALIAS;
}

static int choose(struct ks_item *item, struct ks_ctx *ctx, struct ks_labels *labels, const struct ks_item *leaf)
{
	struct ks_bytes wanted = item->label, chosen;
	int rc;

	if (!wanted.size && item->kind != KS_CERTIFICATE)
		item->label = ks_bytes_of(name_for_key(leaf, item->set));
	rc = ks_alias_of(&item->label, item->label, item->set);
	if (rc < 0)
		return ks_nomem(ctx);
	wanted = item->label;
	rc = ks_labels_choose(&chosen, labels, item, item->set);
	if (rc == 0)
		rc = ks_alias_of(&item->label, chosen, item->set);
	if (rc == KS_ENOMEM)
		return ks_nomem(ctx);
	if (rc == 0 && wanted.size && !ks_bytes_equal(wanted, item->label))
		rc = say_renamed(ctx, wanted, item->label);
	return rc;
}

int ks_jks_aliases_settle(struct ks_ctx *ctx, struct ks_set *from, const struct ks_set *have,
			  const struct ks_jks_chains *chains)
{
	ks_auto(labels) labels = NULL;
	struct ks_item *item;
	int rc = ks_labels_new(&labels, ctx, NULL, NULL);

	for (size_t i = 0; rc == 0 && (item = ks_set_at(from, i)); i++) {
		if (ks_jks_is_record(item) && ks_jks_alias_kept(item, have))
			rc = ks_labels_take(labels, item->label);
	}
	for (size_t i = 0; rc == 0 && (item = ks_set_at(from, i)); i++) {
		const struct ks_jks_chain *chain = &chains->chains[i];

		struct ks_item *leaf = chain->count ? chains->members[chain->first] : NULL;

		if (ks_jks_is_record(item) && !ks_jks_alias_kept(item, have))
			rc = choose(item, ctx, labels, leaf);
		if (leaf && leaf->kind == KS_CERTIFICATE && !ks_item_is_anchor(leaf))
			leaf->label = item->label;
	}
	return rc;
}
