/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificate requests (PKCS#10, RFC 2986): written for a key wherever it lives, and read with suspicion.
 */
#ifndef KS_OPS_REQUEST_H
#define KS_OPS_REQUEST_H

#include "item.h"
#include "altname.h"
#include "name.h"

/*
 * Signs a request for `key`.
 * The signature is verified once before it is given out: by us, or by the provider for keys in tokens. DER.
 */
int ks_request_make(struct ks_buffer **out, struct ks_ctx *ctx, struct ks_item *key, const X509_NAME *subject,
		    const struct ks_altnames *names);

/* A request as read: strict DER, proof of possession verified by us. Slices are borrowed from `der`, which it owns. */
struct ks_request {
	struct ks_bytes der;
	struct ks_bytes subject; /* DER of the Name */
	struct ks_bytes spki;
	struct ks_keyspec key;
	struct ks_altnames names; /* subject alternative names asked for */
	bool wants_ca; /* basicConstraints cA asked for */
	struct ks_bytes extensions; /* DER of Extensions asked for, or none */
	char **unknown; /* dotted OIDs of other extensions asked for; NULL-ended or NULL */
};
/* KS_EDAMAGED, KS_EALGORITHM, KS_EPROOF (the signature is not made by the key in it), KS_EWEAK. Takes DER or one PEM block. */
int ks_request_read(struct ks_request **out, struct ks_ctx *ctx, struct ks_bytes file);
void ks_request_free(struct ks_request *request);
KS_FREES(request)
/* What ks_request_make does, and gives the request as it was read back. */
int ks_request_write(struct ks_request **out, struct ks_ctx *ctx, struct ks_item *key, const X509_NAME *subject,
		     const struct ks_altnames *names);

#endif
