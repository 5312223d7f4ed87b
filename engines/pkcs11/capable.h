/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a token can make, by its own list of mechanisms.
 */
#ifndef KS_P11_CAPABLE_H
#define KS_P11_CAPABLE_H

#include "session.h"
#include "keyspec.h"

/* "RSA 1024 to 4096, EC 256 to 521, Ed25519, ML-DSA-65": the key pairs that the token says it makes, "" for none; new string in *out. */
int ks_p11_capable_kinds(char **out, struct ks_p11_token *token);
/* 0, or KS_EUNABLE with a sentence that tells what the token makes instead, before anything is tried. */
int ks_p11_capable_make(struct ks_p11_token *token, const struct ks_keyspec *spec);

#endif
