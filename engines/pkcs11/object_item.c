/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects of a token as items of a set, and the way back from an item to its object.
 */
#include "object.h"

#include "data.h"
#include "pkey.h"
#include "text.h"

#include <string.h>

static enum ks_kind kind_of(const struct ks_p11_object *object)
{
	switch (object->class) {
	case CKO_PRIVATE_KEY:
		return KS_PRIVATE_KEY;
	case CKO_PUBLIC_KEY:
		return object->spki.size ? KS_PUBLIC_KEY : KS_OPAQUE;
	case CKO_SECRET_KEY:
		return KS_SECRET_KEY;
	case CKO_CERTIFICATE:
		return object->value.size && !(object->flags & KS_UNDECODED) ? KS_CERTIFICATE : KS_OPAQUE;
	default:
		return KS_OPAQUE;
	}
}

static const char *about(const struct ks_p11_object *object)
{
	switch (object->class) {
	case CKO_DATA:
		return "data object";
	case CKO_CERTIFICATE:
		return "certificate that is not X.509, or is damaged";
	case CKO_PUBLIC_KEY:
		return "public key of an unknown kind";
	case CKO_HW_FEATURE:
		return "hardware feature";
	case CKO_DOMAIN_PARAMETERS:
		return "domain parameters";
	case CK_UNAVAILABLE_INFORMATION:
		return "object that the token does not describe";
	default:
		return "object of an unknown class";
	}
}

static struct ks_bytes copied(struct ks_set *into, struct ks_bytes bytes)
{
	return bytes.data && bytes.size ? ks_set_bytes(into, bytes.data, bytes.size) : KS_NONE;
}

bool ks_p11_ref_of(struct ks_p11_ref *out, const struct ks_item *item)
{
	const struct ks_item *original = item->origin ? item->origin : item;

	if (!original->from || original->from->pkey != ks_p11_item_pkey || original->raw.size != sizeof(*out))
		return false;
	memcpy(out, original->raw.data, sizeof(*out));
	return true;
}

static void object_problem(struct ks_set *into, const struct ks_p11_token *token, const struct ks_p11_object *object)
{
	ks_auto_mem char *label = ks_text_show(object->label);

	ks_set_problem(into, object->status, "the other objects are not concerned",
		       "an object of token %s cannot be understood: %s, label \"%s\", handle %lu", token->shown,
		       about(object), label ? label : "", object->handle);
}

int ks_p11_item_add(struct ks_item **out, struct ks_set *into, struct ks_p11_token *token,
		    const struct ks_p11_object *object)
{
	static const struct ks_item_from from = { .pkey = ks_p11_item_pkey, .content = ks_p11_item_content };
	const struct ks_p11_ref ref = { token, object->handle, object->class, object->always_authenticate,
					ks_p11_snapshot_life(token) };
	struct ks_item *item = ks_set_add(into, kind_of(object));

	if (!item || !(item->raw = ks_set_bytes(into, &ref, sizeof(ref))).data)
		return ks_nomem(token->ctx);
	item->flags = object->flags | (object->class == CKO_DATA ? KS_PLAIN_DATA : 0);
	item->handle = object->handle;
	item->from = &from;
	item->label = copied(into, object->label);
	item->id = copied(into, object->id);
	item->key = object->key;
	if (item->kind == KS_CERTIFICATE)
		item->der = copied(into, object->value);
	else if (item->kind == KS_PUBLIC_KEY || item->kind == KS_PRIVATE_KEY)
		item->spki = copied(into, object->spki);
	if (item->kind == KS_PUBLIC_KEY)
		item->der = item->spki;
	if (item->kind == KS_OPAQUE)
		item->about = about(object);
	if (object->trusted)
		item->trust.trusted = KS_FOR_ANY;
	if (object->status)
		object_problem(into, token, object);
	if (out)
		*out = item;
	return 0;
}
