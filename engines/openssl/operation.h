/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signing, decrypting and agreeing with keys in tokens.
 */
#ifndef OPENSSL_OPERATION_H
#define OPENSSL_OPERATION_H

#include "key.h"

extern const OSSL_ALGORITHM operation_signatures[];
extern const OSSL_ALGORITHM operation_ciphers[];
extern const OSSL_ALGORITHM operation_exchanges[];

#endif
