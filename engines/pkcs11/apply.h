/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carrying out a plan on a token.
 */
#ifndef KS_P11_APPLY_H
#define KS_P11_APPLY_H

#include "object.h"
#include "engine.h"

/*
 * A token cannot be replaced whole: what is new is put and read back first, then labels change, and only then things are removed.
 * Each change says `done`. When something fails before the first removal, what was done is undone, newest first.
 */
int ks_p11_apply(struct ks_p11_token *token, CK_SESSION_HANDLE session, struct ks_plan *plan);

/* Puts an object by its template, reads it back into the snapshot; *out is borrowed until the next change. */
int ks_p11_put(const struct ks_p11_object **out, struct ks_p11_token *token, CK_SESSION_HANDLE session,
	       CK_ATTRIBUTE *attributes, size_t count, struct ks_bytes id);
/* A private key from outside with its public half: *made are the two handles. */
int ks_p11_import(CK_OBJECT_HANDLE made[2], struct ks_p11_token *token, CK_SESSION_HANDLE session, struct ks_item *item,
		  const struct ks_naming *naming);
/* The public key object of an item of that kind. */
int ks_p11_put_public(CK_OBJECT_HANDLE *made, struct ks_p11_token *token, CK_SESSION_HANDLE session,
		      struct ks_bytes spki, struct ks_bytes label, struct ks_bytes id);
/* The id that a new object with this public key gets: that of what is there with the same key, the naming's, its own when it is
 * free, else SHA-1 of the key bits. `room` holds the last. */
struct ks_bytes ks_p11_choose_id(const struct ks_p11_token *token, struct ks_bytes spki, struct ks_bytes named,
				 struct ks_bytes own, unsigned char room[20]);

#endif
