/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rest of BER (X.690 8.1.3, 8.7.3): indefinite lengths, long forms of short lengths, strings in pieces.
 *
 * Old exports of browsers and Java libraries are written so. Elements are found as they lie, so that their bytes can be kept;
 * what is to be understood is turned into DER first. Nesting is bounded, and time with it.
 */
#ifndef KS_BER_H
#define KS_BER_H

#include "der.h"
#include "item.h"

#define KS_BER_DEPTH 64

/* Takes the next element, definite or not; `content` is without the end-of-contents octets. KS_EDAMAGED, KS_ELIMIT (nesting). */
int ks_ber_next(struct ks_der *out, struct ks_bytes *rest);
/* The same, and its tag must be `tag`. */
int ks_ber_expect(struct ks_der *out, struct ks_bytes *rest, unsigned char tag);
/* The octets of an OCTET STRING (or an implicitly tagged one), in one piece; pieces are joined in memory of `set`. */
int ks_ber_octets(struct ks_bytes *out, struct ks_set *set, const struct ks_der *element);
/* Is it DER as far as lengths and pieces go, all the way down? */
bool ks_ber_is_der(struct ks_bytes element);
/* One element as DER; itself when it is already. New bytes belong to `set`. */
int ks_ber_as_der(struct ks_bytes *out, struct ks_set *set, struct ks_bytes element);
/* Takes a header with that tag off `rest`, whose end may be missing; for probes. */
bool ks_ber_enter(struct ks_bytes *rest, unsigned char tag);

#endif
