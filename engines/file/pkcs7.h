/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PKCS#7 / CMS files that carry certificates (RFC 2315 9.1, RFC 5652 5.1): read only.
 *
 * The bag of certificates is not under any signature, so no signature is looked at: this is a box, not a promise.
 */
#ifndef KS_PKCS7_H
#define KS_PKCS7_H

#include "item.h"

/* Adds the certificates and CRLs of one ContentInfo, which `into` owns. KS_EDAMAGED, KS_EFORMAT. */
int ks_pkcs7_items(struct ks_set *into, struct ks_bytes content_info);

#endif
