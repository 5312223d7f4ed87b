/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Elliptic curves as cards name them: by all their numbers, not by an object identifier.
 */
#ifndef VHSM_CURVE_H
#define VHSM_CURVE_H

#include "tlv.h"

#include <openssl/evp.h>

/* OpenSSL's name of the curve over that prime; NULL when the card has no such curve. */
const char *curve_of_prime(struct slice prime);
/* Adds prime, coefficients, base point and order of the key's curve: tags 81 to 85. */
bool curve_add_domain(struct buffer *out, EVP_PKEY *key);
/* So many bytes has a coordinate. */
size_t curve_width(EVP_PKEY *key);

#endif
