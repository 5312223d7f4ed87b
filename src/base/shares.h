/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A secret split so that any `threshold` of `count` shares give it back and fewer tell nothing of it (Shamir's scheme over
 * GF(2^8), done by libgfshare, which is loaded when the first secret is split or joined).
 *
 * A share says nothing of whether it is sound: joining wrong ones gives a wrong secret, so who joins has to check what comes out.
 */
#ifndef KS_SHARES_H
#define KS_SHARES_H

#include "secret.h"

#define KS_SHARES_MOST 64 /* locked memory holds them all at once */

/* shares[0..count) become new secrets of the size of `whole`; their numbers are 1 to count. KS_EUNABLE: there is no libgfshare here. */
int ks_shares_split(struct ks_secret **shares, struct ks_ctx *ctx, const struct ks_secret *whole, unsigned count,
		    unsigned threshold);
/* The secret that `count` shares of one size give together; `numbers` are theirs, all different. */
int ks_shares_join(struct ks_secret **out, struct ks_ctx *ctx, struct ks_secret *const *shares,
		   const unsigned char *numbers, unsigned count);

#endif
