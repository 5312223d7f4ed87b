/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A new object is created, read back into the snapshot, and removed again when it cannot be read.
 */
#include "put.h"

#include "keyspec.h"

struct ks_bytes ks_p11_choose_id(const struct ks_p11_token *token, struct ks_bytes spki, struct ks_bytes named,
				 struct ks_bytes own, unsigned char room[20])
{
	const struct ks_p11_object *same = NULL;

	while ((same = ks_p11_by_spki(token, spki, same))) {
		if (same->id.size && (same->class == CKO_PRIVATE_KEY || same->class == CKO_PUBLIC_KEY))
			return same->id;
	}
	if (named.size)
		return named;
	if (own.size && !ks_p11_by_id(token, own, NULL))
		return own;
	return ks_spki_id(room, spki) == 0 ? KS_BYTES(room, 20) : KS_NONE;
}

/* An object with our id that we do not know of was made by a call that reported a failure. */
static void stray_remove(struct ks_p11_token *token, CK_SESSION_HANDLE session, struct ks_bytes id)
{
	CK_ATTRIBUTE wanted = { CKA_ID, (void *)id.data, id.size };
	ks_auto_mem CK_OBJECT_HANDLE *found = NULL;
	size_t count = 0;

	if (id.size == 0 || ks_p11_find(&token->on, session, &wanted, 1, &found, &count) != CKR_OK)
		return;
	for (size_t i = 0; i < count; i++) {
		bool known = false;

		for (size_t n = 0; n < ks_p11_snapshot_count(token); n++)
			known |= ks_p11_snapshot_at(token, n)->handle == found[i];
		if (!known)
			ks_p11_destroy(&token->on, session, found[i]);
	}
}

int ks_p11_put(const struct ks_p11_object **out, struct ks_p11_token *token, CK_SESSION_HANDLE session,
	       CK_ATTRIBUTE *attributes, size_t count, struct ks_bytes id)
{
	CK_OBJECT_HANDLE handle = CK_INVALID_HANDLE;
	int rc = ks_p11_failed(token->ctx, &token->on, ks_p11_create(&token->on, session, attributes, count, &handle));

	if (rc < 0) {
		if (rc != KS_EGONE)
			stray_remove(token, session, id);
		return rc;
	}
	rc = ks_p11_snapshot_add(out, token, session, handle);
	if (rc < 0)
		ks_p11_destroy(&token->on, session, handle);
	return rc;
}
