/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The private keys of a card: PKCS#8 in its memory, EVP_PKEY while one is used.
 */
#ifndef VHSM_KEY_H
#define VHSM_KEY_H

#include "card.h"

/* The key of that number, to be freed; NULL when there is none. */
EVP_PKEY *key_open(const struct card *card, unsigned number);
/* Remembers it, in place of another one of that number. */
bool key_store(struct card *card, unsigned number, EVP_PKEY *key);

#endif
