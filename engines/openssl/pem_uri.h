/* SPDX-License-Identifier: Apache-2.0 */
/* Decoders of PEM files that hold a key's address in place of the key. */
#ifndef OPENSSL_PEM_URI_H
#define OPENSSL_PEM_URI_H

#include <openssl/core.h>

extern const OSSL_ALGORITHM pem_uri_decoders[];

#endif
