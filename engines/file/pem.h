/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PEM files (RFC 7468): what reading and writing them share.
 *
 * An item keeps as `raw` everything from the end of the block before it to the end of its own, so that comments stay
 * where they are. Base64 in plain lines is decoded over itself: then `der` lies inside `raw`, and the text is made
 * again when it is needed. `attributes` is what follows a certificate in a TRUSTED CERTIFICATE.
 */
#ifndef KS_PEM_H
#define KS_PEM_H

#include "pem_scan.h"

#include "item.h"

/* The whole content of a store that holds nothing, so that it is told from a download that was cut to nothing. */
#define KS_PEM_NOTHING "# an empty PEM store, written by keystow\n"

/* The last block of a record that was not decoded over itself. */
bool ks_pem_found(struct ks_pem_block *out, const struct ks_item *item);
/* Was the record's base64 decoded over itself? */
bool ks_pem_over(const struct ks_item *item);

int ks_pem_write(struct ks_ctx *ctx, struct ks_buffer *out, struct ks_set *from, const struct ks_set *have,
		 struct ks_secret *secret, bool changed);

/* ---- comments before a block, as openssl pkcs12 writes them ---- */

/* Label and id out of "friendlyName:" and "localKeyID:" lines. */
int ks_pem_read_comments(struct ks_item *item, struct ks_bytes text);
int ks_pem_write_comments(struct ks_buffer *out, const struct ks_item *item);

/* ---- sealed keys and their certificates ---- */

/* The id that a key gets when it is sealed and has none; false when it needs none or its public half is not known. */
bool ks_pem_pair_id(unsigned char id[KS_SHA256], const struct ks_item *key);
/* Sealed keys with such an id learn their public half from the certificate that has it. */
int ks_pem_pair(struct ks_set *set);

/* ---- TRUSTED CERTIFICATE (OpenSSL's X509_CERT_AUX) ---- */

/* Trust, alias and key identifier; `aux` may be empty. KS_EDAMAGED. */
int ks_pem_read_aux(struct ks_item *item, struct ks_bytes aux);
/* Can a plain CERTIFICATE not say what `trust` says? */
bool ks_pem_needs_aux(struct ks_trust trust);
int ks_pem_write_aux(struct ks_buffer *out, const struct ks_item *item);

/* ---- keys sealed as RFC 1421 does it: Proc-Type and DEK-Info ---- */

/* Makes `item` answer for such a key; its record is looked at again when it is asked. */
int ks_pem_sealed_item(struct ks_item *item, const struct ks_pem_block *block);

#endif
