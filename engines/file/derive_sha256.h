/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The derivations and the HMAC over SHA-256 at what they have to cost: HMAC keeps its two keyed states, so that a round of PBKDF2 is
 * two compressions, and a round of the PKCS#12 derivation is one.
 *
 * libcrypto computes the same, through EVP: there a round copies four contexts, each an allocation and a wipe, and PBKDF2 takes two and
 * a half times as long; before the first round every digest is looked up, and openssl.cnf is read. Nearly every store of today is
 * protected with SHA-256 and wants no more than one digest's length, so that is all that is here; derive.c gives the rest to libcrypto.
 */
#ifndef KS_DERIVE_SHA256_H
#define KS_DERIVE_SHA256_H

#include "derive.h"
#include "hash.h"

/* A key made ready for any number of messages. It is as secret as the key: wiped by who made it. */
struct ks_hmac {
	struct ks_hash inner, outer;
};

void ks_hmac_start(struct ks_hmac *out, struct ks_bytes key);
/* The HMAC of `message` with `rest` (may be none) behind it. */
void ks_hmac_of(unsigned char out[KS_SHA256], const struct ks_hmac *keyed, struct ks_bytes message, struct ks_bytes rest);

/* The first KS_SHA256 bytes; the caller wipes them. `how` says salt and iterations, at least one. */
void ks_pbkdf2_sha256(unsigned char out[KS_SHA256], const struct ks_derivation *how, struct ks_bytes password);
void ks_pkcs12_sha256(unsigned char out[KS_SHA256], const struct ks_derivation *how, enum ks_derive_for purpose,
		      struct ks_bytes password);

#endif
