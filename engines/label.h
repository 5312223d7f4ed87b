/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The labels that are taken in a store, and a free one for a newcomer.
 *
 * Java folds the case of aliases, so two labels that differ by case alone count as one here: a store written by keystow stays
 * whole when keytool rewrites it. Lookups cost the logarithm of the number of labels, also when somebody chose them to hurt.
 */
#ifndef KS_LABEL_H
#define KS_LABEL_H

#include "engine.h"

struct ks_labels;

/* The labels of all items of `set` (NULL: none are taken yet) in a store of that kind, which decides what fits. */
int ks_labels_new(struct ks_labels **out, struct ks_ctx *ctx, const struct ks_set *set, const struct ks_engine *engine);
void ks_labels_free(struct ks_labels *labels);
KS_FREES(labels)
bool ks_labels_taken(const struct ks_labels *labels, struct ks_bytes label);
int ks_labels_take(struct ks_labels *labels, struct ks_bytes label);
/*
 * Chooses a free label for a certificate and takes it: its own; where that is taken, its own and the first eight hexadecimal
 * digits of its SHA-256; without one, common name (else subject) and those digits. Never the common name alone: in public
 * bundles several certificates share one. Always one that fits. *out is borrowed from `keep`, or the certificate's own.
 */
int ks_labels_choose(struct ks_bytes *out, struct ks_labels *labels, struct ks_item *certificate, struct ks_set *keep);

/*
 * What becomes of `label` in a store of that kind; itself where it fits. Borrowed from `keep`, or `label`. Absent without memory.
 */
struct ks_bytes ks_label_in(const struct ks_engine *engine, struct ks_set *keep, struct ks_bytes label);
/* A label that a person chose is written as it is, or not at all: KS_ELOSSY with what would fit. */
int ks_label_check(struct ks_ctx *ctx, const struct ks_engine *engine, struct ks_bytes label);

#endif
