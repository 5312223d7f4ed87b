/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Distinguished names and subject alternative names, as people type and read them.
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

/* One alternative name "dns:a.example", "email:a@b", "ip:10.0.0.1", "uri:https://..", "upn:..": type checked, value checked. */
struct ks_altname {
	char kind[8];	/* dns email ip uri upn dirname other */
	char *value;	/* text; for `other` the hexadecimal DER */
};
struct ks_altnames {
	struct ks_altname *names;
	size_t count, capacity;
};
int ks_altnames_add(struct ks_altnames *names, struct ks_ctx *ctx, const char *typed);
/* From the DER of a subjectAltName extension's value (RFC 5280 4.2.1.6). */
int ks_altnames_read(struct ks_altnames *names, struct ks_ctx *ctx, struct ks_bytes der);
/* DER of the GeneralNames. */
int ks_altnames_write(struct ks_buffer *out, struct ks_ctx *ctx, const struct ks_altnames *names);
bool ks_altnames_equal(const struct ks_altnames *a, const struct ks_altnames *b); /* as sets */
void ks_altnames_free(struct ks_altnames *names); /* what is inside */

#endif
