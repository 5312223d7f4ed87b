/* SPDX-License-Identifier: Apache-2.0 */
/* The OSSL_STORE loader. */
#ifndef OPENSSL_LOADER_H
#define OPENSSL_LOADER_H

#include <openssl/core.h>

extern const OSSL_ALGORITHM store_loaders[];

#endif
