/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small settings files of keystow's own, read by a table: ca.conf and the profiles of a CA.
 *
 * `[section]`, `key = value` to the end of the line as it stands; a line that starts with # or ; is a comment. What
 * the table does not name is KS_ECONFIG with file, line and "did you mean"; so is a key that comes twice.
 */
#ifndef KS_INI_H
#define KS_INI_H

#include "context.h"

struct ks_ini_row {
	const char *section, *key;
	size_t place; /* of a `char *` in what is filled: offsetof */
};

struct ks_ini {
	const char *file; /* as the user knows it, for sentences */
	const struct ks_ini_row *rows; /* ended by a NULL section */
	const char *raw; /* from this section's line on the text is not ours; NULL = there is no such section */
};

/* Fills the strings of `into` (new ones; NULL stays for what is absent). *raw, when asked for, is the text behind the raw section's
 * line, or none. On failure the strings filled so far stay and are the caller's. */
int ks_ini_read(void *into, struct ks_bytes *raw, struct ks_ctx *ctx, const struct ks_ini *ini, struct ks_bytes text);

#endif
