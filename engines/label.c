/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taken labels live in a balanced tree (tsearch), folded; a bundle's author cannot make it slow as he could a hash table.
 */
#include "label.h"

#include "certificate.h"
#include "name.h"
#include "text.h"

#include <ctype.h>
#include <search.h>
#include <string.h>

#define LONGEST 200 /* bytes of a name before the digits; tokens and databases cut longer ones */

struct ks_labels {
	struct ks_ctx *ctx;
	const struct ks_engine *engine;
	void *root;
};

struct folded {
	size_t size;
	char bytes[];
};

static int folded_order(const void *a, const void *b)
{
	const struct folded *x = a, *y = b;

	return ks_bytes_compare(KS_BYTES(x->bytes, x->size), KS_BYTES(y->bytes, y->size));
}

static struct folded *fold(struct ks_bytes label)
{
	struct folded *folded = malloc(sizeof(*folded) + label.size + 1);

	if (!folded)
		return NULL;
	folded->size = label.size;
	for (size_t i = 0; i < label.size; i++) {
		unsigned char byte = label.data[i];

		folded->bytes[i] = (char)(byte < 0x80 ? tolower(byte) : byte);
	}
	return folded;
}

int ks_labels_take(struct ks_labels *labels, struct ks_bytes label)
{
	struct folded *folded = fold(label);
	struct folded **place = folded ? tsearch(folded, &labels->root, folded_order) : NULL;

	if (!place) {
		free(folded);
		return ks_nomem(labels->ctx);
	}
	if (*place != folded)
		free(folded);
	return 0;
}

bool ks_labels_taken(const struct ks_labels *labels, struct ks_bytes label)
{
	ks_auto_mem struct folded *folded = fold(label);

	return !folded || tfind(folded, &labels->root, folded_order) != NULL;
}

int ks_labels_new(struct ks_labels **out, struct ks_ctx *ctx, const struct ks_set *set, const struct ks_engine *engine)
{
	ks_auto(labels) labels = calloc(1, sizeof(*labels));

	if (!labels)
		return ks_nomem(ctx);
	labels->ctx = ctx;
	labels->engine = engine;
	for (size_t i = 0; set && i < ks_set_count(set); i++) {
		struct ks_bytes label = ks_set_at(set, i)->label;

		if (label.data && ks_labels_take(labels, label) < 0)
			return KS_ENOMEM;
	}
	*out = ks_take(labels);
	return 0;
}

void ks_labels_free(struct ks_labels *labels)
{
	if (!labels)
		return;
	tdestroy(labels->root, free);
	free(labels);
}

/* At most LONGEST bytes of `text`, never a part of a UTF-8 sequence. */
static int shortened(const char *text)
{
	size_t size = strlen(text);

	if (size <= LONGEST)
		return (int)size;
	size = LONGEST;
	while (size > 0 && ((unsigned char)text[size] & 0xc0) == 0x80)
		size--;
	return (int)size;
}

/* What the digits are put behind: the label, else the common name, else the subject, safe to show. */
static char *stem_of(struct ks_item *certificate)
{
	struct ks_bytes issuer, subject;
	ks_auto_mem char *common = NULL;

	if (certificate->label.size)
		return ks_text_show(certificate->label);
	if (ks_certificate_names(&issuer, &subject, certificate->der) < 0)
		return strdup("certificate");
	common = ks_name_common(subject);
	if (common && common[0])
		return ks_text_show(ks_bytes_of(common));
	return subject.size > 2 ? ks_name_text(subject) : strdup("certificate");
}

int ks_labels_choose(struct ks_bytes *out, struct ks_labels *labels, struct ks_item *certificate, struct ks_set *keep)
{
	ks_auto_mem char *stem = NULL;
	char digits[2 * KS_SHA256 + 1];
	struct ks_bytes own = ks_label_in(labels->engine, keep, certificate->label);

	if (own.size && !ks_labels_taken(labels, own)) {
		*out = own;
		return ks_labels_take(labels, *out);
	}
	stem = stem_of(certificate);
	if (!stem)
		return ks_nomem(labels->ctx);
	ks_hex(digits, KS_BYTES(ks_item_sha256(certificate), KS_SHA256));
	for (int shown = 8; shown <= 2 * KS_SHA256; shown += 8) {
		const char *text = ks_set_text(keep, "%.*s %.*s", shortened(stem), stem, shown, digits);
		struct ks_bytes label = text ? ks_label_in(labels->engine, keep, ks_bytes_of(text)) : KS_NONE;

		if (!label.data)
			return ks_nomem(labels->ctx);
		if (!ks_labels_taken(labels, label)) {
			*out = label;
			return ks_labels_take(labels, *out);
		}
	}
	return ks_hint(labels->ctx,
		       ks_fail(labels->ctx, KS_EEXISTS, "every label for certificate %s is taken", digits),
		       "rename the entry that carries its digest as label");
}

/* ---- what fits ---- */

struct ks_bytes ks_label_in(const struct ks_engine *engine, struct ks_set *keep, struct ks_bytes label)
{
	if (!label.size || !engine || !engine->codec || !engine->codec->label)
		return label;
	return engine->codec->label(keep, label);
}

int ks_label_check(struct ks_ctx *ctx, const struct ks_engine *engine, struct ks_bytes label)
{
	ks_auto(set) keep = NULL;
	ks_auto_mem char *shown = NULL;
	ks_auto_mem char *nearest = NULL;
	struct ks_bytes fitting;
	int rc = ks_set_new(&keep, ctx);

	if (rc < 0)
		return rc;
	fitting = ks_label_in(engine, keep, label);
	if (ks_bytes_equal(fitting, label))
		return 0;
	shown = ks_text_show(label);
	nearest = fitting.data ? ks_text_show(fitting) : NULL;
	if (!shown || !nearest)
		return ks_nomem(ctx);
	return ks_hint(
		ctx,
		ks_fail(ctx, KS_ELOSSY, "the label \"%s\" has characters that a %s cannot hold", shown, engine->title),
		"\"%s\" would fit", nearest);
}
