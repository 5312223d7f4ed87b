/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An EVP_PKEY whose private half stays in a token: an OpenSSL provider built into keystow.
 *
 * It lives in the context's private OSSL_LIB_CTX, so a host program's configuration is untouched. The public half can be exported,
 * the private half never: that is what makes certificates, requests and CMS work and PKCS#8, PKCS#12 and private PEM refuse.
 */
#ifndef KS_P11_PKEY_H
#define KS_P11_PKEY_H

#include "session.h"
#include "item.h"

/* ks_item_from.pkey for items of a token: a private key's handle, or the software key of a public one. */
int ks_p11_item_pkey(EVP_PKEY **out, struct ks_item *item, struct ks_ctx *ctx);

#endif
