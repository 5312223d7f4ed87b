/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a key pair: inside a token, or in software and then put into a file store in one step.
 */
#ifndef KS_OPS_GENERATE_H
#define KS_OPS_GENERATE_H

#include "store.h"

/*
 * A new key pair labelled `wish->label`. *out is the private key item, borrowed from the store. KS_EEXISTS when a key with that
 * label is there already (`replace` removes it first, in file stores only). KS_EWEAK when the device made a weaker key than asked.
 */
int ks_generate(struct ks_item **out, struct ks_store *store, const struct ks_generate *wish, bool replace);

/* The uses of keys as people type them: "sign", "decrypt", ...; ended by a row without a word. */
struct ks_use_word {
	unsigned use; /* enum ks_use */
	const char *word;
};
extern const struct ks_use_word ks_use_words[];
/* "sign,decrypt"; "nothing" for none. */
#define KS_USES_TEXT 32
void ks_uses_text(char out[KS_USES_TEXT], unsigned uses);

#endif
