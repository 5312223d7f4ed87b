/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A certificate from its parts (RFC 5280 4.1): what goes in is decided elsewhere, what comes out was verified.
 */
#ifndef KS_OPS_ISSUE_H
#define KS_OPS_ISSUE_H

#include "altname.h"
#include "name.h"
#include "signed.h"

struct ks_issuer {
	struct ks_bytes name; /* DER */
	struct ks_bytes key_id; /* for authorityKeyIdentifier; none in a root's own certificate */
	struct ks_signer signer;
	EVP_PKEY *public_key; /* what the new signature is checked with; borrowed */
};

struct ks_draft {
	struct ks_bytes serial; /* content octets of the INTEGER */
	struct ks_bytes subject; /* DER */
	struct ks_bytes spki;
	int64_t not_before, not_after;
	struct ks_bytes extensions; /* DER of those that the profile decides, one behind the other */
	const struct ks_altnames *names; /* NULL or empty = none */
};

/* Writes, signs, and checks the signature: one that does not verify never leaves (KS_EPROOF). DER. */
int ks_certificate_write(struct ks_buffer **out, struct ks_ctx *ctx, const struct ks_issuer *issuer,
			 const struct ks_draft *draft);

#endif
