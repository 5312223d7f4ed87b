/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Card-verifiable certificates (BSI TR-03110, part 3, C): how the card says who it is, and which key it made.
 */
#ifndef VHSM_CVC_H
#define VHSM_CVC_H

#include "card.h"

/* The device's certificate and its issuer's. The name of the holder carries the serial number. */
bool cvc_device(struct buffer *out, const struct card *card);
/* A request for the key's certificate, signed by the key and, around that, by the device. */
bool cvc_request(struct buffer *out, const struct card *card, EVP_PKEY *key, struct slice holder);

#endif
