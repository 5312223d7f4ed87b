/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three sorted indexes over one array. A hash would be steered by whoever wrote the store.
 */
#include "survey.h"

#include "certificate.h"

#include <ctype.h>

struct index {
	struct ks_bytes (*field)(const struct ks_surveyed *row);
	int (*order)(struct ks_bytes a, struct ks_bytes b);
	const struct ks_surveyed **rows;
	size_t count;
};

struct ks_survey {
	struct ks_surveyed *rows;
	size_t count;
	struct index ids, keys, labels;
	unsigned key_types;
};

/* ---- what is compared ---- */

static struct ks_bytes id_of(const struct ks_surveyed *row)
{
	return row->item->id;
}

static struct ks_bytes key_of(const struct ks_surveyed *row)
{
	return row->spki;
}

static struct ks_bytes label_of(const struct ks_surveyed *row)
{
	return row->item->label;
}

static int folded_order(struct ks_bytes a, struct ks_bytes b)
{
	for (size_t i = 0; i < a.size && i < b.size; i++) {
		int x = a.data[i] < 0x80 ? tolower(a.data[i]) : a.data[i];
		int y = b.data[i] < 0x80 ? tolower(b.data[i]) : b.data[i];

		if (x != y)
			return x - y;
	}
	return (a.size > b.size) - (a.size < b.size);
}

static int row_order(const void *a, const void *b, void *user)
{
	const struct index *index = user;
	const struct ks_surveyed *x = *(const struct ks_surveyed *const *)a, *y = *(const struct ks_surveyed *const *)b;
	int order = index->order(index->field(x), index->field(y));

	if (order == 0)
		order = (int)x->item->kind - (int)y->item->kind;
	if (order == 0)
		order = ks_bytes_compare(x->spki, y->spki);
	return order ? order : (x > y) - (x < y);
}

/* ---- the survey ---- */

static int index_make(struct index *index, const struct ks_survey *survey,
		      struct ks_bytes (*field)(const struct ks_surveyed *row),
		      int (*order)(struct ks_bytes a, struct ks_bytes b))
{
	index->field = field;
	index->order = order;
	index->rows = ks_array(survey->count, sizeof(*index->rows));
	if (!index->rows)
		return KS_ENOMEM;
	for (size_t i = 0; i < survey->count; i++) {
		if (field(&survey->rows[i]).size)
			index->rows[index->count++] = &survey->rows[i];
	}
	qsort_r(index->rows, index->count, sizeof(*index->rows), row_order, index);
	return 0;
}

static struct ks_bytes spki_of(const struct ks_item *item)
{
	struct ks_certificate_facts facts;

	if (item->kind == KS_CERTIFICATE)
		return ks_certificate_facts(&facts, item->der) == 0 ? facts.spki : KS_NONE;
	return item->kind == KS_PUBLIC_KEY && !item->spki.data ? item->der : item->spki;
}

int ks_survey_new(struct ks_survey **out, struct ks_store *store)
{
	ks_auto(survey) survey = calloc(1, sizeof(*survey));

	if (!survey)
		return ks_nomem(store->ctx);
	survey->rows = ks_array(ks_set_count(store->items), sizeof(*survey->rows));
	if (!survey->rows)
		return ks_nomem(store->ctx);
	for (; survey->count < ks_set_count(store->items); survey->count++) {
		struct ks_item *item = ks_set_at(store->items, survey->count);

		survey->rows[survey->count] = (struct ks_surveyed){ item, spki_of(item) };
		survey->key_types |= item->kind == KS_PRIVATE_KEY ? 1U << item->key.type : 0;
	}
	if (index_make(&survey->ids, survey, id_of, ks_bytes_compare) < 0 ||
	    index_make(&survey->keys, survey, key_of, ks_bytes_compare) < 0 ||
	    index_make(&survey->labels, survey, label_of, folded_order) < 0)
		return ks_nomem(store->ctx);
	*out = ks_take(survey);
	return 0;
}

void ks_survey_free(struct ks_survey *survey)
{
	if (!survey)
		return;
	free(survey->ids.rows);
	free(survey->keys.rows);
	free(survey->labels.rows);
	free(survey->rows);
	free(survey);
}

const struct ks_surveyed *ks_survey_at(const struct ks_survey *survey, size_t n)
{
	return n < survey->count ? &survey->rows[n] : NULL;
}

/* ---- answers ---- */

/* The first row that is not below the field's value and the kind; with `beyond` the first above them. */
static size_t place(const struct index *index, struct ks_bytes value, enum ks_kind kind, bool beyond)
{
	size_t low = 0, high = index->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = index->order(index->field(index->rows[middle]), value);

		if (order == 0)
			order = (int)index->rows[middle]->item->kind - (int)kind;
		if (order < 0 || (beyond && order == 0))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct ks_span span_of(const struct index *index, struct ks_bytes value, enum ks_kind kind)
{
	size_t from, to;

	if (!value.size)
		return (struct ks_span){ NULL, 0 };
	from = place(index, value, kind, false);
	to = place(index, value, kind, true);
	return (struct ks_span){ index->rows + from, to - from };
}

struct ks_span ks_survey_id(const struct ks_survey *survey, struct ks_bytes id, enum ks_kind kind)
{
	return span_of(&survey->ids, id, kind);
}

struct ks_span ks_survey_key(const struct ks_survey *survey, struct ks_bytes spki, enum ks_kind kind)
{
	return span_of(&survey->keys, spki, kind);
}

struct ks_span ks_survey_label(const struct ks_survey *survey, struct ks_bytes label, enum ks_kind kind)
{
	return span_of(&survey->labels, label, kind);
}

unsigned ks_survey_key_types(const struct ks_survey *survey)
{
	return survey->key_types;
}

bool ks_span_mixed(struct ks_span span)
{
	return span.count > 1 && ks_bytes_compare(span.first[0]->spki, span.first[span.count - 1]->spki) != 0;
}

const struct ks_surveyed *ks_span_key(struct ks_span span, struct ks_bytes spki)
{
	size_t low = 0, high = span.count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (ks_bytes_compare(span.first[middle]->spki, spki) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < span.count && ks_bytes_equal(span.first[low]->spki, spki) ? span.first[low] : NULL;
}
