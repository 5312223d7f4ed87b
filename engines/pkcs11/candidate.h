/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KS_P11_CANDIDATE_H
#define KS_P11_CANDIDATE_H

#include "text.h"

/* A token that fits an address which should mean one. */
struct ks_candidate {
	const char *label, *model, *serial; /* empty = it has none */
	unsigned long slot;
};

/* Each with what a person knows it by and the shortest address that means it alone. Escapes what came from the tokens. */
int ks_candidates_put(struct ks_buffer *out, const struct ks_candidate *list, size_t count);

#endif
