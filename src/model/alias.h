/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Labels as Java's key stores have them. Java makes every alias lower case before it looks for it, so an entry whose alias has a capital
 * letter in the file is one that no Java program finds.
 */
#ifndef KS_ALIAS_H
#define KS_ALIAS_H

#include "item.h"

/* `label` in lower case, as String.toLowerCase(Locale.ENGLISH) makes it; itself when it is so already. Borrowed from it or from `keep`. */
int ks_alias_of(struct ks_bytes *out, struct ks_bytes label, struct ks_set *keep);
/* Would Java take one for the other? */
bool ks_alias_equal(struct ks_bytes a, struct ks_bytes b);

#endif
