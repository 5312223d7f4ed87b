/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private keys as they lie in files: in the clear in one of four forms, or sealed under a password.
 */
#ifndef KS_FILE_KEY_H
#define KS_FILE_KEY_H

#include "shape.h"

/* Makes `item`, whose der is set, answer for a key of that shape: flags, from, and the kind of key where it shows. */
void ks_key_item(struct ks_item *item, enum ks_shape shape);
/* Fills in the public half of `item`, and what kind of key it is, from the key that it is. */
void ks_key_tell(struct ks_item *item, const EVP_PKEY *key);
/*
 * An EVP_PKEY of `ctx`'s own library context from a key in any clear form, its halves held against each other. KS_EALGORITHM
 * names a kind of key that this libcrypto lacks.
 */
int ks_clear_key_pkey(EVP_PKEY **out, struct ks_ctx *ctx, struct ks_bytes der);
/* PKCS#8 of a software key, in a secret buffer. KS_EALGORITHM when it cannot be had. */
int ks_key_pkcs8(struct ks_buffer **out, struct ks_ctx *ctx, const EVP_PKEY *key);
/*
 * Clear PKCS#8 of a key in any clear form, in a secret buffer. The two halves of the key are held against each other: one that
 * was altered is KS_EDAMAGED. KS_EALGORITHM for a kind of key that this libcrypto lacks.
 */
int ks_key_clear(struct ks_buffer **out, struct ks_ctx *ctx, struct ks_bytes der);
/* Algorithm (OID content) and bytes of a secret key in the clothes of a PKCS#8 key, as stores keep it. KS_EDAMAGED. */
int ks_secret_key_parts(struct ks_bytes *oid, struct ks_bytes *key, struct ks_bytes clear);
/*
 * Opens a sealed key by `open`, which answers KS_EPASSWORD when a password does not fit: with the secret of the item's set, and
 * where that is none or not the one, with one that is asked for by the key's label.
 */
int ks_key_unseal(struct ks_buffer **out, struct ks_item *item, struct ks_ctx *ctx,
		  int (*open)(struct ks_buffer **out, struct ks_item *item, struct ks_ctx *ctx, const struct ks_secret *secret));
/* The EVP_PKEY of a private key whose clear PKCS#8 `pkcs8` gives; KS_EUNABLE for items of another kind. */
int ks_key_pkey_from(EVP_PKEY **out, struct ks_item *item, struct ks_ctx *ctx,
		     int (*pkcs8)(struct ks_buffer **out, struct ks_item *item, struct ks_ctx *ctx));

#endif
