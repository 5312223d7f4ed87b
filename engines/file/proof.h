/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is what was written what was meant? Asked of the new file as it was read back, before it takes the place of the old one.
 */
#ifndef KS_FILE_PROOF_H
#define KS_FILE_PROOF_H

#include "engine.h"

/*
 * 0 when `written` holds every item of `meant` and no other: bytes of public things and of keys carried over from `have`, keys
 * that were sealed anew opened and held against those meant, labels, ids and trust as far as `can` says that the format holds
 * them. KS_EBUG names the first item that does not. `changed`: nothing sealed was carried over, the password is another one.
 */
int ks_proof(struct ks_ctx *ctx, unsigned can, struct ks_set *meant, const struct ks_set *have, bool changed,
	     struct ks_set *written);

#endif
