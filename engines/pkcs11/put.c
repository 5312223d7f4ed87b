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

/* ---- what must not stay ---- */

/* A module whose search gives more than was asked for must not cost a key, so each object is looked at before it goes. */
bool ks_p11_strays_remove(struct ks_p11_token *token, CK_SESSION_HANDLE session, struct ks_bytes id, size_t known)
{
	CK_ATTRIBUTE wanted = { CKA_ID, (void *)id.data, id.size };
	ks_auto_mem CK_OBJECT_HANDLE *found = NULL;
	size_t count = 0;
	bool clean = id.size && ks_p11_find(&token->on, session, &wanted, 1, &found, &count) == CKR_OK;

	for (size_t i = 0; clean && i < count; i++) {
		ks_auto(buffer) told = NULL;
		CK_RV rv;

		if (ks_p11_snapshot_has(token, found[i], known))
			continue;
		rv = ks_p11_value(&token->on, session, found[i], CKA_ID, &told);
		if (rv == CKR_OK && !(told && ks_bytes_equal(ks_buffer_bytes(told), id)))
			continue;
		clean = rv == CKR_OK && ks_p11_destroy(&token->on, session, found[i]) == CKR_OK;
		if (clean)
			ks_p11_snapshot_drop(token, found[i]);
	}
	return clean;
}

/* ---- putting ---- */

int ks_p11_put(const struct ks_p11_object **out, struct ks_p11_token *token, CK_SESSION_HANDLE session,
	       CK_ATTRIBUTE *attributes, size_t count, struct ks_bytes id)
{
	CK_OBJECT_HANDLE handle = CK_INVALID_HANDLE;
	int rc = ks_p11_failed(token->ctx, &token->on, ks_p11_create(&token->on, session, attributes, count, &handle));

	if (rc < 0) {
		if (rc != KS_EGONE)
			ks_p11_strays_remove(token, session, id, ks_p11_snapshot_count(token));
		return rc;
	}
	rc = ks_p11_snapshot_add(out, token, session, handle);
	if (rc == KS_ECHANGED) /* nothing stands behind the handle that was just given */
		return ks_p11_failed(token->ctx, &token->on, KS_CKR_VALUE);
	if (rc < 0)
		ks_p11_destroy(&token->on, session, handle);
	return rc;
}

/* ---- taking back ---- */

bool ks_p11_put_undo(struct ks_p11_token *token, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE handle)
{
	CK_RV rv = handle == CK_INVALID_HANDLE ? CKR_OK : ks_p11_destroy(&token->on, session, handle);

	if (rv == CKR_OK && handle != CK_INVALID_HANDLE)
		ks_p11_snapshot_drop(token, handle);
	return rv == CKR_OK || rv == CKR_OBJECT_HANDLE_INVALID;
}

int ks_p11_put_back(struct ks_p11_token *token, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE handle, int rc,
		    const char *what)
{
	if (ks_p11_put_undo(token, session, handle))
		return rc;
	return ks_hint(token->ctx, rc, "%s could not be removed again: keystow list '%s' shows it", what, token->uri);
}
