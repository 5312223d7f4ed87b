/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses of stores and entries, parsed. See <keystow/store.h> for what is accepted; RFC 7512 rules PKCS#11 URIs.
 */
#ifndef KS_WHERE_H
#define KS_WHERE_H

#include <keystow/store.h>

#include "p11kit.h"
#include "secret.h"

struct ks_where {
	char *text;		/* canonical, no secrets */
	char *scheme;		/* "p12", "pkcs11", ...; NULL = find out by content */
	char *path;		/* of a file store, %23 and ./ undone; "-" = standard input; NULL for tokens */
	P11KitUri *uri;		/* of a token store, query attributes taken out; NULL for files */
	char *label;		/* the entry meant: #label or object=; NULL = none */
	char *sha256;		/* the entry meant: lower-case hexadecimal prefix of at least 4 digits, or NULL */
	unsigned char *id;	/* the entry meant: id= of a URI, or NULL */
	size_t id_size;
	char *alias;		/* "hsm" when it was written @hsm */
	char *pin_source;	/* ?pin-source= or the configuration's; NULL = none */
	struct ks_secret *pin_value;	/* pin-value= of a URI: accepted with a warning; NULL = none */
	char *module;		/* module-path= or the configuration's; NULL = none */
};
KS_FREES(where)

bool ks_where_is_token(const struct ks_where *where);
/* Does it name a data object of a token (type=data)? */
bool ks_where_is_data(const struct ks_where *where);
/* As it is called in a sentence: the canonical address, or "standard input" for what has none. Borrowed. */
const char *ks_where_shown(const struct ks_where *where);
/* Does the address name one entry? */
bool ks_where_names_entry(const struct ks_where *where);
/* NULL-ended list of the schemes of this build, for "did you mean" and completion. */
const char *const *ks_where_schemes(void);

#endif
