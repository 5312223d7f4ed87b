/* SPDX-License-Identifier: Apache-2.0 */
/* DER in the armour that other programs like to be given (RFC 7468). */
#ifndef CLI_PEM_H
#define CLI_PEM_H

#include "run.h"

/* Appends one block; `title` is "CERTIFICATE", "CERTIFICATE REQUEST". */
int pem_put(struct ks_buffer *out, const char *title, struct ks_bytes der);
/* Is the result meant for a file, rather than for standard output? */
bool pem_to_file(const char *path);

/* Sends PEM where -o says: standard output when `path` is NULL or "-" (as a field of the document with --json),
 * else a file. */
int pem_send(struct run *run, const char *path, struct ks_bytes pem);

#endif
