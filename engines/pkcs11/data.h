/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data objects: bytes that a person keeps in a token, whatever they mean.
 */
#ifndef KS_P11_DATA_H
#define KS_P11_DATA_H

#include "object.h"

/* Puts the item's bytes as a private data object, and compares them with what the token then gives. */
int ks_p11_put_data(CK_OBJECT_HANDLE *made, struct ks_p11_token *token, CK_SESSION_HANDLE session, struct ks_item *item,
		    struct ks_bytes label);
/* The bytes of a data object; for ks_item_from.content. */
int ks_p11_item_content(struct ks_buffer **out, struct ks_item *item, struct ks_ctx *ctx);

#endif
