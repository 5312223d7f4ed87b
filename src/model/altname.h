/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Subject alternative names, as people type and read them, and as certificates carry them (RFC 5280 4.2.1.6).
 */
#ifndef KS_ALTNAME_H
#define KS_ALTNAME_H

#include "context.h"

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
