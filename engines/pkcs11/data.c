/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data objects are put privately, so that they are seen after a login only: that is what a token is for, and some take no others
 * (tpm2-pkcs11, NSS).
 */
#include "data.h"

#include "put.h"

#include <string.h>

static int read_value(struct ks_buffer **out, struct ks_p11_token *token, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE handle)
{
	CK_RV rv = ks_p11_value(&token->on, session, handle, CKA_VALUE, out);

	if (rv != CKR_OK)
		return ks_p11_failed(token->ctx, &token->on, rv);
	if (!*out && !(*out = ks_buffer_new(1)))
		return ks_nomem(token->ctx);
	return 0;
}

int ks_p11_item_content(struct ks_buffer **out, struct ks_item *item, struct ks_ctx *ctx)
{
	CK_SESSION_HANDLE session;
	struct ks_p11_ref ref;
	int rc;

	if (!ks_p11_ref_of(&ref, item) || ref.class != CKO_DATA)
		return ks_fail(ctx, KS_EUNABLE, "only data objects give their bytes");
	if (ref.life != ref.token->life)
		return ks_hint(ctx, ks_fail(ctx, KS_ECHANGED, "token %s lost its sessions after it was looked at", ref.token->shown),
			       "do it again");
	rc = ks_p11_failed(ctx, &ref.token->on, ks_p11_session_take(ref.token, &session));
	if (rc < 0)
		return rc;
	rc = read_value(out, ref.token, session, ref.handle);
	ks_p11_session_give(ref.token, session, rc == KS_EGONE);
	return rc;
}

static int put_bytes(CK_OBJECT_HANDLE *made, struct ks_p11_token *token, CK_SESSION_HANDLE session, struct ks_bytes bytes,
		     struct ks_bytes label)
{
	static CK_OBJECT_CLASS class = CKO_DATA;
	static CK_BBOOL yes = CK_TRUE;
	const struct ks_p11_object *object = NULL;
	ks_auto(buffer) back = NULL;
	CK_ATTRIBUTE attributes[] = {
		{ CKA_CLASS, &class, sizeof(class) },
		{ CKA_TOKEN, &yes, sizeof(yes) },
		{ CKA_PRIVATE, &yes, sizeof(yes) },
		{ CKA_LABEL, (void *)label.data, label.size },
		{ CKA_VALUE, (void *)bytes.data, bytes.size },
	};
	int rc = ks_p11_put(&object, token, session, attributes, sizeof(attributes) / sizeof(attributes[0]), KS_NONE);

	if (rc < 0)
		return rc == KS_EUNABLE ? ks_while(token->ctx, rc, "token %s takes no such data object", token->shown) : rc;
	*made = object->handle;
	rc = read_value(&back, token, session, *made);
	if (rc == 0 && !ks_bytes_equal(ks_buffer_bytes(back), bytes))
		rc = ks_p11_failed(token->ctx, &token->on, KS_CKR_VALUE);
	if (rc < 0) {
		rc = ks_p11_put_back(token, session, *made, rc, "the data object");
		*made = CK_INVALID_HANDLE;
	}
	return rc;
}

int ks_p11_put_data(CK_OBJECT_HANDLE *made, struct ks_p11_token *token, CK_SESSION_HANDLE session, struct ks_item *item,
		    struct ks_bytes label)
{
	ks_auto(buffer) content = NULL;
	int rc = ks_item_content(&content, item, token->ctx);

	return rc < 0 ? rc : put_bytes(made, token, session, ks_buffer_bytes(content), label);
}
