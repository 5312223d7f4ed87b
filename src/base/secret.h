/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PIN or password from the moment it is read until an engine uses it. It has no printf, no copy and no growth; it lives in
 * OpenSSL's secure heap and is wiped when freed. Borrow its bytes for one statement, never keep them.
 */
#ifndef KS_SECRET_H
#define KS_SECRET_H

#include "context.h"

KS_FREES(secret)

size_t ks_secret_size(const struct ks_secret *secret);
/* Never NULL, NUL-terminated behind its size; borrowed for one statement. */
const char *ks_secret_bytes(const struct ks_secret *secret);
/* Compares in constant time for equal sizes. */
bool ks_secret_equal(const struct ks_secret *a, const struct ks_secret *b);
/* Another owner of the same bytes; freed by ks_secret_free. */
struct ks_secret *ks_secret_ref(struct ks_secret *secret);
/* Room to read straight into: at most `ks_secret_room` bytes at `ks_secret_end`, then told by ks_secret_grew. */
char *ks_secret_end(struct ks_secret *secret);
size_t ks_secret_room(const struct ks_secret *secret);
void ks_secret_grew(struct ks_secret *secret, size_t size);
/* Drops what is in it, wiped. */
void ks_secret_clear(struct ks_secret *secret);

/*
 * Fills `into` from an open descriptor: everything up to the first newline or the end, one read() at a time straight into
 * locked memory. KS_ENOSECRET when it is empty.
 */
int ks_secret_read(struct ks_secret *into, struct ks_ctx *ctx, int fd, const char *what);
/* The same to the end, line ends and all: for a secret that is a small file. */
int ks_secret_read_whole(struct ks_secret *into, struct ks_ctx *ctx, int fd, const char *what);

#endif
