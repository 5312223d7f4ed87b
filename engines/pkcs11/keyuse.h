/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a key is for, and how strictly it is guarded: wished in words, said in attributes, and looked at after the key was made.
 */
#ifndef KS_P11_KEYUSE_H
#define KS_P11_KEYUSE_H

#include "object.h"
#include "engine.h"

struct ks_p11_use {
	unsigned use; /* enum ks_use */
	CK_ATTRIBUTE_TYPE private_half, public_half; /* public_half 0 = none */
	const char *word;
};
/* Ended by a row without a use. */
extern const struct ks_p11_use ks_p11_uses[];

/* The uses that a wish means: those that it names, else signing. */
unsigned ks_p11_uses_of(const struct ks_generate *wish);
/* 0, or KS_EUNABLE: that kind of key cannot do it anywhere. */
int ks_p11_uses_possible(struct ks_ctx *ctx, const struct ks_keyspec *spec, unsigned uses);
/*
 * Asks the token what it made of the wish. Whatever it did not do is a notice; nothing is asked of a wish that says nothing beyond
 * the usual.
 */
int ks_p11_uses_check(struct ks_p11_token *token, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key,
		      const struct ks_generate *wish);

/* The wish that would make another key like the private key that the item is. */
int ks_p11_like(struct ks_generate *out, struct ks_p11_token *token, CK_SESSION_HANDLE session, const struct ks_item *key);

#endif
