/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store's items by id, by public key and by label, for questions about all of them at once.
 *
 * Each answer costs the logarithm of the number of items, whoever wrote the store. Made from the items as they are; valid until the
 * store changes.
 */
#ifndef KS_OPS_SURVEY_H
#define KS_OPS_SURVEY_H

#include "store.h"

struct ks_survey;

struct ks_surveyed {
	struct ks_item *item;
	struct ks_bytes spki; /* data NULL = not known, as of a sealed key */
};

/* Neighbours in an index; `count` 0 = there is none. */
struct ks_span {
	const struct ks_surveyed *const *first;
	size_t count;
};

int ks_survey_new(struct ks_survey **out, struct ks_store *store);
void ks_survey_free(struct ks_survey *survey);
KS_FREES(survey)

/* The n-th item of the store, counted from 0; NULL behind the last. */
const struct ks_surveyed *ks_survey_at(const struct ks_survey *survey, size_t n);
/* Items of one kind with that id, ordered by public key; an empty id is nobody's. */
struct ks_span ks_survey_id(const struct ks_survey *survey, struct ks_bytes id, enum ks_kind kind);
/* Items of one kind with that public key. */
struct ks_span ks_survey_key(const struct ks_survey *survey, struct ks_bytes spki, enum ks_kind kind);
/* Items of one kind with that label, ordered by public key; the case of ASCII letters is ignored, as Java does. */
struct ks_span ks_survey_label(const struct ks_survey *survey, struct ks_bytes label, enum ks_kind kind);
/* Which kinds of private key there are: 1 << enum ks_key_type. */
unsigned ks_survey_key_types(const struct ks_survey *survey);
/* Do the items of the span belong to more than one public key? Unknown ones count as one. */
bool ks_span_mixed(struct ks_span span);
/* The one with that public key, or NULL; for spans of ks_survey_id and ks_survey_label. */
const struct ks_surveyed *ks_span_key(struct ks_span span, struct ks_bytes spki);

#endif
