/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A key's address in place of the key: what stands in a PEM file that OpenSSL's provider opens (`PKCS#11 PROVIDER URI`), so that a
 * program which only reads key files can use a key in a token. engines/openssl/pem_uri.c reads it.
 */
#ifndef KS_REFERENCE_H
#define KS_REFERENCE_H

#include "store.h"

#define KS_REFERENCE_TITLE "PKCS#11 PROVIDER URI"

/*
 * The DER of it, for the private key that `where` names in `store`. A pin-source that is a file is kept in the address, no other is.
 * KS_ENOTFOUND without a private key there; KS_EADDRESS when the address would mean something else in another folder.
 */
int ks_reference_make(struct ks_buffer **out, struct ks_store *store);
/* The same of a key's own address, which has no query. */
int ks_reference_of(struct ks_buffer **out, struct ks_ctx *ctx, const char *uri, const char *pin_source);

#endif
