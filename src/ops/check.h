/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking hard: does an entry hold together, what differs between two stores, where is a certificate.
 */
#ifndef KS_OPS_CHECK_H
#define KS_OPS_CHECK_H

#include "store.h"

/* One finding of verify or lint; what token doctor sees are observations (pkcs11/examine.h). */
struct ks_finding {
	int status;		/* 0 = fine; KS_NO_INVALID, KS_NO_EXPIRING, ... */
	const char *check;	/* "pair", "dates", "key", "signature", "chain", or a program's word; static */
	const char *code;	/* which rule of the check; static, NULL = it has one */
	char *text;
	char *hint;
};
struct ks_findings {
	struct ks_finding *findings;
	size_t count, capacity;
	bool bad;		/* at least one is not fine */
};
void ks_findings_free(struct ks_findings *findings); /* what is inside */
/* Adds one; KS_ENOMEM, without words. */
int ks_finding_tell(struct ks_findings *out, int status, const char *check, const char *hint, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
/* Key and certificate belong together (a signature is made and verified when `sign`), the chain holds at `now`, dates, weak keys.
 * `anchors` NULL = the store's own. */
int ks_verify_entry(struct ks_findings *out, struct ks_store *store, const struct ks_entry *entry, const struct ks_set *anchors,
		    bool sign, int64_t now);

/* Is it so short that nobody should rely on it any more? */
bool ks_key_weak(const struct ks_keyspec *key);

struct ks_difference {
	char sign;			/* '+' only right, '-' only left, '~' same key or label but changed */
	const struct ks_entry *left, *right;
};
struct ks_differences {
	struct ks_difference *rows;
	size_t count, capacity, equal;
};
void ks_differences_free(struct ks_differences *differences); /* what is inside */
int ks_diff(struct ks_differences *out, struct ks_store *left, struct ks_store *right);

/* Does the entry match a search text (label, subject, issuer, serial, digest, alternative name; case ignored)? */
bool ks_find_matches(struct ks_ctx *ctx, const struct ks_entry *entry, const char *text);

#endif
