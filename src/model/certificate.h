/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a certificate says, read by a thin walk over its DER (RFC 5280 4.1) without building an X509.
 */
#ifndef KS_CERTIFICATE_H
#define KS_CERTIFICATE_H

#include "item.h"

struct ks_certificate_facts {
	struct ks_bytes serial;		/* content octets of the INTEGER */
	struct ks_bytes issuer;		/* DER of the Name */
	struct ks_bytes subject;
	int64_t not_before, not_after;
	struct ks_bytes spki;		/* DER of the SubjectPublicKeyInfo */
	struct ks_keyspec key;
	bool is_ca;			/* basicConstraints cA; a v1 self-signed certificate counts as CA */
	bool self_issued;		/* subject equals issuer, byte for byte */
	int path_length;		/* -1 = no limit */
	unsigned key_usage;		/* bit n of the extension as 1 << n; has_key_usage tells presence */
	bool has_key_usage;
	struct ks_bytes subject_key_id;	/* key identifier octets, or none */
	struct ks_bytes authority_key_id;
	struct ks_bytes alternative_names; /* extension value, or none */
	struct ks_bytes extended_usage;	/* extension value, or none */
};

/* 0 or KS_EDAMAGED. Slices are borrowed from `der`. */
int ks_certificate_facts(struct ks_certificate_facts *out, struct ks_bytes der);
/* Issuer and subject alone, DER of the Names: for those who want no more of ten thousand. 0 or KS_EDAMAGED. */
int ks_certificate_names(struct ks_bytes *issuer, struct ks_bytes *subject, struct ks_bytes der);
/* Is this shaped like a certificate at all (outer shape only)? Cheap. */
bool ks_certificate_shaped(struct ks_bytes der);
/* Purposes by extendedKeyUsage; absent = all. */
unsigned ks_certificate_purposes(const struct ks_certificate_facts *facts);

#endif
