/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one entry that was meant, or a refusal that helps: what is there, what is close, which of several.
 *
 * A digest or an id is exact. A label is compared byte for byte first; only when nothing has it exactly, ignoring case, because
 * Java folds aliases and people do too.
 */
#include "store.h"
#include "text.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define SHOWN 12 /* candidates that a sentence names */

typedef bool matcher(const struct ks_entry *entry, const struct ks_where *where);

static bool by_digest(const struct ks_entry *entry, const struct ks_where *where)
{
	char text[2 * KS_SHA256 + 1];

	if (!entry->certificate)
		return false;
	ks_hex(text, KS_BYTES(ks_item_sha256(entry->certificate), KS_SHA256));
	return strncmp(text, where->sha256, strlen(where->sha256)) == 0;
}

static bool by_id(const struct ks_entry *entry, const struct ks_where *where)
{
	struct ks_item *head = ks_entry_head(entry);

	if (where->label && !ks_bytes_are(ks_entry_label(entry), where->label))
		return false;
	return ks_bytes_equal(head->id, KS_BYTES(where->id, where->id_size));
}

static bool by_label(const struct ks_entry *entry, const struct ks_where *where)
{
	return ks_bytes_are(ks_entry_label(entry), where->label);
}

static bool by_folded_label(const struct ks_entry *entry, const struct ks_where *where)
{
	struct ks_bytes label = ks_entry_label(entry);

	return label.data && label.size == strlen(where->label) &&
	       strncasecmp((const char *)label.data, where->label, label.size) == 0;
}

/* An address with type=data means no key, and other types are told by label and id. */
static bool of_type(const struct ks_entry *entry, const struct ks_where *where)
{
	return !ks_where_is_data(where) || (entry->other && entry->other->flags & KS_PLAIN_DATA);
}

static size_t count_matches(const struct ks_entry **found, const struct ks_entries *entries, matcher *matches,
			    const struct ks_where *where)
{
	size_t count = 0;

	for (size_t i = 0; i < entries->count; i++) {
		if (!matches(&entries->entries[i], where) || !of_type(&entries->entries[i], where))
			continue;
		if (count++ == 0)
			*found = &entries->entries[i];
	}
	return count;
}

/* ---- refusals ---- */

static void describe(struct ks_buffer *out, const struct ks_entry *entry)
{
	struct ks_item *head = ks_entry_head(entry);
	char digest[9] = "";

	ks_buffer_text(out, "\"");
	ks_text_shown(out, ks_entry_label(entry));
	ks_buffer_text(out, "\"");
	if (head->id.size && head->id.size <= 32) {
		ks_auto_mem char *id = ks_hex_new(head->id);

		ks_buffer_format(out, " id %s", id ? id : "");
	}
	if (entry->certificate) {
		ks_hex(digest, KS_BYTES(ks_item_sha256(entry->certificate), 4));
		ks_buffer_format(out, " sha256:%s", digest);
	}
}

static int refuse_many(struct ks_store *store, const struct ks_entries *entries, matcher *matches, const struct ks_where *where,
		       size_t count)
{
	ks_auto(buffer) list = ks_buffer_new(3000);
	size_t shown = 0;

	for (size_t i = 0; list && i < entries->count && shown < SHOWN; i++) {
		if (!matches(&entries->entries[i], where) || !of_type(&entries->entries[i], where))
			continue;
		ks_buffer_text(list, shown++ ? ", " : "");
		describe(list, &entries->entries[i]);
	}
	return ks_hint(store->ctx,
		       ks_fail(store->ctx, KS_EAMBIGUOUS, "%s: %zu entries fit: %s", ks_where_shown(where), count,
			       list ? ks_buffer_string(list) : ""),
		       "name one by its certificate: STORE#sha256:HEX, or a token's by its id");
}

static int refuse_none(struct ks_store *store, const struct ks_entries *entries, const struct ks_where *where)
{
	const char **labels = ks_array(entries->count + 1, sizeof(*labels));
	const char *nearest = NULL;
	size_t count = 0;
	int rc;

	for (size_t i = 0; labels && where->label && i < entries->count; i++) {
		char *label = ks_text_show(ks_entry_label(&entries->entries[i]));

		if (label)
			labels[count++] = label;
	}
	if (count)
		nearest = ks_nearest(where->label, labels);
	rc = ks_fail(store->ctx, KS_ENOTFOUND, "%s: the store has no such entry; it has %zu", ks_where_shown(where), entries->count);
	if (nearest)
		ks_hint(store->ctx, rc, "did you mean \"%s\"?", nearest);
	else
		ks_hint(store->ctx, rc, "keystow list shows what is there; private objects of a token are seen after login");
	for (size_t i = 0; i < count; i++)
		free((char *)labels[i]);
	free(labels);
	return rc;
}

/* ---- selection ---- */

static int choose(const struct ks_entry **out, struct ks_store *store, const struct ks_entries *entries,
		  const struct ks_where *where)
{
	static matcher *const label_matchers[] = { by_label, by_folded_label };
	matcher *const exact = where->sha256 ? by_digest : where->id ? by_id : NULL;
	const struct ks_entry *found = NULL;

	for (size_t i = 0; i < (exact ? 1 : 2); i++) {
		matcher *matches = exact ? exact : label_matchers[i];
		size_t count = count_matches(&found, entries, matches, where);

		if (count > 1)
			return refuse_many(store, entries, matches, where, count);
		if (count == 1) {
			*out = found;
			return 0;
		}
	}
	return refuse_none(store, entries, where);
}

int ks_store_entry(const struct ks_entry **out, const struct ks_store *store, const struct ks_where *where)
{
	struct ks_store *mutable_store = (struct ks_store *)store;
	const struct ks_entries *entries = NULL;
	int rc = ks_store_entries(&entries, mutable_store);

	if (rc < 0)
		return rc;
	if (ks_where_names_entry(where))
		return choose(out, mutable_store, entries, where);
	if (entries->count == 1) {
		*out = &entries->entries[0];
		return 0;
	}
	return ks_hint(store->ctx,
		       ks_fail(store->ctx, entries->count ? KS_EAMBIGUOUS : KS_ENOTFOUND, "%s holds %zu entries, and none is named",
			       ks_where_shown(where), entries->count),
		       "name one: %s#LABEL", where->text);
}
