/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PKCS#12 derivation over SHA-256 at what it has to cost: a round is one compression.
 *
 * Nearly every store of today is protected with SHA-256 and wants no more than one digest's length, so that is all that is here;
 * derive.c gives the rest to libcrypto (docs/decisions/0005).
 */
#ifndef KS_DERIVE_PKCS12_H
#define KS_DERIVE_PKCS12_H

#include "derive.h"
#include "hash.h"

/* The first KS_SHA256 bytes; the caller wipes them. `how` says salt and iterations, at least one. */
void ks_pkcs12_sha256(unsigned char out[KS_SHA256], const struct ks_derivation *how, enum ks_derive_for purpose,
		      struct ks_bytes password);

#endif
