/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BMPString (X.680), the text of PKCS#12: two bytes a character, big endian; in practice UTF-16.
 */
#ifndef KS_BMP_H
#define KS_BMP_H

#include "item.h"

/* Appends `text` as UTF-16. Text that is not valid UTF-8 is taken as Latin-1, one character a byte, as `latin1` does always. */
int ks_bmp_put(struct ks_buffer *out, struct ks_bytes text, bool latin1);
/* UTF-8 in memory of `set`; half a surrogate pair becomes U+FFFD. KS_EDAMAGED for an odd number of bytes, KS_ENOMEM. */
int ks_bmp_text(struct ks_bytes *out, struct ks_set *set, struct ks_bytes bmp);

#endif
