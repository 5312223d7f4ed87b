/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a piece of DER is, told by its first elements; and the item it makes.
 *
 * PEM says it in a label, a bare DER file does not say it at all: both come here. The look is at the shape only; whether the
 * whole is sound is the business of whoever decodes it.
 */
#ifndef KS_SHAPE_H
#define KS_SHAPE_H

#include "item.h"

enum ks_shape {
	KS_SHAPE_UNKNOWN,
	KS_SHAPE_CERTIFICATE,	/* RFC 5280 4.1 */
	KS_SHAPE_CRL,		/* RFC 5280 5.1 */
	KS_SHAPE_REQUEST,	/* RFC 2986 4 */
	KS_SHAPE_PKCS8,		/* RFC 5958 2 */
	KS_SHAPE_SEALED_PKCS8,	/* RFC 5958 3 */
	KS_SHAPE_PKCS1,		/* RFC 8017 A.1.2 */
	KS_SHAPE_SEC1,		/* RFC 5915 3 */
	KS_SHAPE_DSA,		/* OpenSSL's traditional form: six INTEGERs */
	KS_SHAPE_SPKI,		/* RFC 5280 4.1 */
	KS_SHAPE_PKCS7,		/* RFC 2315 7: signedData */
	KS_SHAPE_PFX,		/* RFC 7292 4 */
};

/* `head` may end early (a probe), but not before the first few elements. */
enum ks_shape ks_shape_of(struct ks_bytes head);
/* The kind of item it makes; KS_OPAQUE for what is unknown or holds many items. */
enum ks_kind ks_shape_kind(enum ks_shape shape);
/* "an RSA private key (PKCS#1)": for sentences; static. */
const char *ks_shape_title(enum ks_shape shape);
/*
 * Adds the item that `der` (one whole element of that shape, owned by `into`) makes. Keys get their public half's kind where it
 * can be told without a secret. KS_EDAMAGED when it is not sound, KS_EFORMAT for shapes that hold many items.
 */
int ks_shape_item(struct ks_item **out, struct ks_set *into, enum ks_shape shape, struct ks_bytes der);

#endif
