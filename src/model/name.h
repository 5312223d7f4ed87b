/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Distinguished names, as people type and read them.
 *
 * The DER stays the truth; every string is a view. Typed subjects are comma separated in the order of the certificate
 * ("CN=colinpaice,O=HW,C=GB"), RFC 4514 escapes are understood, and so is the /CN=.../O=... form.
 */
#ifndef KS_NAME_H
#define KS_NAME_H

#include "context.h"

/* KS_EUSAGE names the attribute that is unknown ("did you mean"), empty, or too long for its upper bound (RFC 5280 A.1). */
int ks_name_parse(X509_NAME **out, struct ks_ctx *ctx, const char *text);
/* DER of a Name for people: "CN=colinpaice,O=HW,C=GB" in the order of the DER, control characters escaped. Linear, no X509. */
int ks_name_show(struct ks_buffer *out, struct ks_bytes der_name);
char *ks_name_text(struct ks_bytes der_name);
/* The first commonName, raw UTF-8 when it has one; NULL otherwise. New string. */
char *ks_name_common(struct ks_bytes der_name);

#endif
