/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is on a token: one snapshot, made by one search and one batched read per object.
 *
 * SoftHSM looks at every object for each search, so nothing here searches twice: keys are found again in the snapshot, by id or by
 * public key, and what we make or remove ourselves is added or dropped. An object that cannot be understood is marked and listed;
 * it never spoils the others.
 */
#ifndef KS_P11_OBJECT_H
#define KS_P11_OBJECT_H

#include "session.h"
#include "item.h"

struct ks_p11_object {
	CK_OBJECT_HANDLE handle;
	CK_OBJECT_CLASS class; /* CK_UNAVAILABLE_INFORMATION = it does not tell */
	CK_KEY_TYPE key_type; /* of keys */
	struct ks_bytes label, id, value, spki; /* value: DER of a certificate; absent parts have data NULL */
	struct ks_bytes ec_params;
	unsigned flags; /* enum ks_item_flag */
	struct ks_keyspec key;
	bool always_authenticate, trusted;
	int status; /* why it could not be read; 0 = it could */
	unsigned char *blob; /* holds the bytes above */
	uint32_t next_id, next_spki;
};

struct ks_p11_snapshot;

/* Looks at everything that this login can see. Replaces the token's snapshot. */
int ks_p11_snapshot_load(struct ks_p11_token *token, CK_SESSION_HANDLE session);
void ks_p11_snapshot_free(struct ks_p11_snapshot *snapshot);
/* Reads one object that we know by handle, and adds it; *out is borrowed until the next change. */
int ks_p11_snapshot_add(const struct ks_p11_object **out, struct ks_p11_token *token, CK_SESSION_HANDLE session,
			CK_OBJECT_HANDLE handle);
void ks_p11_snapshot_drop(struct ks_p11_token *token, CK_OBJECT_HANDLE handle);
/* A new label and id, as they were just written. */
int ks_p11_snapshot_rename(struct ks_p11_token *token, CK_OBJECT_HANDLE handle, struct ks_bytes label,
			   struct ks_bytes id);
size_t ks_p11_snapshot_count(const struct ks_p11_token *token);
const struct ks_p11_object *ks_p11_snapshot_at(const struct ks_p11_token *token, size_t n);
/* Is one of the `first` objects of the snapshot the one with that handle? */
bool ks_p11_snapshot_has(const struct ks_p11_token *token, CK_OBJECT_HANDLE handle, size_t first);
/* Was it made while somebody was logged in, so that private objects are in it, and in this life of the token? */
bool ks_p11_snapshot_whole(const struct ks_p11_token *token);
/* The token's life in which its handles hold; the present one when nothing was looked at yet. */
unsigned ks_p11_snapshot_life(const struct ks_p11_token *token);
/* The next object behind `after` (NULL = from the start) with that id / public key; NULL = no more. */
const struct ks_p11_object *ks_p11_by_id(const struct ks_p11_token *token, struct ks_bytes id,
					 const struct ks_p11_object *after);
const struct ks_p11_object *ks_p11_by_spki(const struct ks_p11_token *token, struct ks_bytes spki,
					   const struct ks_p11_object *after);

/*
 * The private key with that public key, looked for by its id and then among all objects, in whatever thread. The snapshot is not
 * touched. KS_ECHANGED when it is not there any more.
 */
int ks_p11_key_find(CK_OBJECT_HANDLE *out, struct ks_p11_token *token, CK_SESSION_HANDLE session, struct ks_bytes id,
		    struct ks_bytes spki);

/* What an item of a token's set points back to; stands in item->raw. */
struct ks_p11_ref {
	struct ks_p11_token *token;
	CK_OBJECT_HANDLE handle;
	CK_OBJECT_CLASS class;
	bool always_authenticate;
	unsigned life; /* of the token, in which the handle holds */
};
/* false when the item does not come from a token. */
bool ks_p11_ref_of(struct ks_p11_ref *out, const struct ks_item *item);
/* Puts an item for the object into `into`. */
int ks_p11_item_add(struct ks_item **out, struct ks_set *into, struct ks_p11_token *token,
		    const struct ks_p11_object *object);

#endif
