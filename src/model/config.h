/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration: a strict INI. `[store hsm]`, `key = value` to the end of the line, no expansion, no inline comments
 * (a line that starts with # or ; is one). An unknown section or key is KS_ECONFIG with file, line and "did you mean".
 *
 *	[store NAME]	uri, pin-source		what @NAME means
 *	[module NAME]	path, init-args, load (direct | isolated)
 *	[ca NAME]	path, pin-source
 *	[defaults]	wait, module, ca, max-iterations, call-deadline-ms, long-deadline-ms, and CLASS-deadline-ms, where
 *			CLASS is look, login, use, write, end (short ones) or make, init, pad (long ones): enum ks_deadline
 */
#ifndef KS_CONFIG_H
#define KS_CONFIG_H

#include "context.h"

struct ks_config_row {
	char *section, *name;	/* "store", "hsm"; name NULL for [defaults] */
	char *key, *value;
	unsigned line;
};

/* Reads one file's text into the context's configuration; later files add to and override earlier ones. */
int ks_config_read(struct ks_ctx *ctx, const char *file, struct ks_bytes text);
/* The value, or NULL; borrowed until ks_ctx_free. */
const char *ks_config_get(const struct ks_ctx *ctx, const char *section, const char *name, const char *key);
/* The n-th row, counted from 0; NULL behind the last. */
const struct ks_config_row *ks_config_row(const struct ks_ctx *ctx, size_t n);

#endif
