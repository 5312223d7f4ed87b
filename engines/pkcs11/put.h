/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One object put into a token: under which id, and read back before it counts.
 */
#ifndef KS_P11_PUT_H
#define KS_P11_PUT_H

#include "object.h"

/* Puts an object by its template, reads it back into the snapshot; *out is borrowed until the next change. */
int ks_p11_put(const struct ks_p11_object **out, struct ks_p11_token *token, CK_SESSION_HANDLE session,
	       CK_ATTRIBUTE *attributes, size_t count, struct ks_bytes id);
/* The id that a new object with this public key gets: that of what is there with the same key, the naming's, its own when it is
 * free, else SHA-1 of the key bits. `room` holds the last. */
struct ks_bytes ks_p11_choose_id(const struct ks_p11_token *token, struct ks_bytes spki, struct ks_bytes named,
				 struct ks_bytes own, unsigned char room[20]);
/* Removes what a call that reported a failure has left on the token: objects that say themselves that they have the id and that
 * are not among the first `known` of the snapshot. False when something may be left. */
bool ks_p11_strays_remove(struct ks_p11_token *token, CK_SESSION_HANDLE session, struct ks_bytes id, size_t known);

/* Takes back what was put; the token may not answer any more. False when the object may still be there. */
bool ks_p11_put_undo(struct ks_p11_token *token, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE handle);

/* The same after failure `rc`, which it returns; when `what` may still be there the hint says so. */
int ks_p11_put_back(struct ks_p11_token *token, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE handle, int rc,
		    const char *what);

#endif
