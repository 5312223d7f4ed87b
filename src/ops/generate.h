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

#endif
