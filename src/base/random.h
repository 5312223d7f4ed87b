/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random bytes for salts and names, from the kernel.
 *
 * Keys and serial numbers take theirs from libcrypto. For the few bytes of a file's salts that costs a generator of their own,
 * seeded from the same kernel, and libcrypto's whole table of error texts.
 */
#ifndef KS_RANDOM_H
#define KS_RANDOM_H

#include "context.h"

/* Up to 256 bytes, which the kernel gives whole or not at all. */
int ks_random(struct ks_ctx *ctx, void *out, size_t size);

#endif
