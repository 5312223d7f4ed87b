/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Profiles: what a CA puts into a certificate, and which wishes of a request it grants.
 *
 * Built in: client server mutual ca mq. A file DIR/profiles/NAME overrides or adds one: keystow's INI for the policy
 * keys and, under [extensions], OpenSSL's NCONF syntax to the end of the file.
 *
 *	[profile]	title, key-usage, extended-usage, names, days, ca, needs-name, key
 */
#ifndef KS_OPS_PROFILE_H
#define KS_OPS_PROFILE_H

#include "request.h"

struct ks_profile {
	char *name;
	char *title;
	char *key_usage;	/* NCONF value, e.g. "critical,digitalSignature" */
	char *extended_usage;	/* or NULL */
	char *allowed_names;	/* blank-separated kinds of alternative names: "dns ip"; "" = none */
	unsigned days;		/* validity when not asked otherwise */
	bool is_ca;
	bool needs_name;	/* at least one alternative name (server) */
	struct ks_keyspec key;	/* what enroll makes when not asked otherwise */
	char *extensions;	/* more NCONF extension lines, or NULL */
};
/* KS_ENOTFOUND with "did you mean" and the list. `dir` NULL: built-in ones only. */
int ks_profile_find(struct ks_profile **out, struct ks_ctx *ctx, const char *dir, const char *name);
void ks_profile_free(struct ks_profile *profile);
KS_FREES(profile)
/* The n-th built-in name, NULL behind the last. */
const char *ks_profile_nth(size_t n);
/*
 * Appends the extensions that every certificate of the profile carries: basicConstraints, keyUsage, extendedKeyUsage
 * and the file's own. keyEncipherment is for RSA keys only (RFC 8813 3).
 */
int ks_profile_put(struct ks_buffer *out, struct ks_ctx *ctx, const struct ks_profile *profile, const struct ks_keyspec *key);
/* Appends one extension written as OpenSSL's NCONF writes it. KS_ECONFIG. */
int ks_extension_put(struct ks_buffer *out, struct ks_ctx *ctx, const char *name, const char *value);
/* KS_EPROFILE naming the first wish that the profile does not grant and what to do. */
int ks_profile_grants(struct ks_ctx *ctx, const struct ks_profile *profile, const struct ks_request *request);

#endif
