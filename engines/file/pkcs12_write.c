/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing a PKCS#12 store: built once, in its final place, encrypted there, and closed with its MAC.
 *
 * What the store had stays what it was: a bag that did not change is copied byte for byte into the same kind of part it came
 * from, so that a key which was only safe inside an encrypted part never lands in a clear one. Keys are sealed one by one and
 * lie in a clear part, certificates lie in one encrypted part, as all writers of today do it.
 */
#include "pkcs12.h"

#include "text.h"

#include <string.h>

#define EXPLICIT_0 KS_DER_CONTEXT(0)
#define IMPLICIT_0 0x80
#define BAG_SLACK 192 /* headers, OIDs and the trust attribute of one bag */

struct writer {
	struct ks_ctx *ctx;
	struct ks_buffer *out;
	struct ks_set *from;
	const struct ks_set *have; /* the store before; NULL = new */
	const struct ks_pkcs12_layout *layout; /* of `have`, or NULL */
	struct ks_secret *secret;
	bool changed; /* the password is another one */
	bool with_mac;
	bool seal_certificates;
	size_t expected; /* about the size of the store */
	enum ks_password_form form; /* for encrypted parts */
};

static int full(const struct writer *writer)
{
	if (writer->out->status == KS_ELIMIT)
		return ks_fail(writer->ctx, KS_ELIMIT, "the store would be larger than %zu bytes",
			       writer->out->ceiling);
	return ks_nomem(writer->ctx);
}

/* ---- values of bags ---------------------------------------------------------------------------------------------------- */

static bool is_own(const struct writer *writer, const struct ks_item *item)
{
	return writer->have && (item->origin ? item->origin : item)->set == writer->have;
}

static const struct ks_protection *key_like(const struct writer *writer)
{
	return writer->layout && writer->layout->key.cipher ? &writer->layout->key : NULL;
}

/* Opens a key bag whose type depends on whether there is a password, and puts the key. */
static int key_put(struct writer *writer, struct ks_item *item)
{
	struct ks_buffer *out = writer->out;
	bool as_it_is = is_own(writer, item) && !writer->changed;
	bool sealed = as_it_is ? (item->flags & KS_SEALED) != 0 : writer->secret != NULL;
	ks_auto(buffer) clear = NULL;
	size_t value;
	int rc = 0;

	ks_der_put(out, KS_DER_OID,
		   sealed ? KS_BYTES(KS_BAG_OID_PREFIX "\x02", 11) : KS_BYTES(KS_BAG_OID_PREFIX "\x01", 11));
	value = ks_der_open(out, EXPLICIT_0);
	if (as_it_is) {
		ks_buffer_put(out, item->der.data, item->der.size);
		return ks_der_close(out, value);
	}
	rc = ks_item_pkcs8(&clear, item, writer->ctx);
	if (rc < 0)
		return rc;
	if (sealed)
		rc = ks_sealed_key_put(out, writer->ctx, ks_buffer_bytes(clear), writer->secret, key_like(writer));
	else
		ks_buffer_put(out, clear->data, clear->size);
	return rc < 0 ? rc : ks_der_close(out, value);
}

static int typed_put(struct ks_buffer *out, char bag, struct ks_bytes type, struct ks_bytes der)
{
	char oid[] = KS_BAG_OID_PREFIX "?";
	size_t value, typed, inner;

	oid[sizeof(oid) - 2] = bag;
	ks_der_put(out, KS_DER_OID, KS_BYTES(oid, sizeof(oid) - 1));
	value = ks_der_open(out, EXPLICIT_0);
	typed = ks_der_open(out, KS_DER_SEQUENCE);
	ks_der_put(out, KS_DER_OID, type);
	inner = ks_der_open(out, EXPLICIT_0);
	ks_der_put(out, KS_DER_OCTETS, der);
	ks_der_close(out, inner);
	ks_der_close(out, typed);
	return ks_der_close(out, value);
}

/* A secret key as Java writes it: the secret type is that of a sealed key, the value an EncryptedPrivateKeyInfo. */
static int secret_resealed_put(struct writer *writer, struct ks_item *item)
{
	struct ks_bytes type = KS_BYTES(KS_BAG_OID_PREFIX "\x02", 11), own_type;
	ks_auto(buffer) clear = NULL;
	ks_auto(buffer) sealed = NULL;
	int rc;

	if (!writer->secret)
		return ks_fail(writer->ctx, KS_ENOSECRET, "a secret key is kept only in a store with a password");
	if (is_own(writer, item) && ks_pkcs12_secret_sealed(&own_type, item->der).data)
		type = own_type;
	rc = ks_item_pkcs8(&clear, item, writer->ctx);
	if (rc < 0)
		return rc;
	sealed = ks_buffer_new(clear->size + 512);
	if (!sealed)
		return ks_nomem(writer->ctx);
	rc = ks_sealed_key_put(sealed, writer->ctx, ks_buffer_bytes(clear), writer->secret, key_like(writer));
	if (rc < 0)
		return rc;
	return typed_put(writer->out, KS_BAG_SECRET, type, ks_buffer_bytes(sealed));
}

static int secret_put(struct writer *writer, struct ks_item *item)
{
	struct ks_buffer *out = writer->out;
	size_t value;

	if (!is_own(writer, item) || (writer->changed && (item->flags & KS_SEALED)))
		return secret_resealed_put(writer, item);
	ks_der_put(out, KS_DER_OID, KS_BYTES(KS_BAG_OID_PREFIX "\x05", 11));
	value = ks_der_open(out, EXPLICIT_0);
	ks_buffer_put(out, item->der.data, item->der.size);
	return ks_der_close(out, value);
}

/* An unknown bag is its own value; only its attributes may have changed. */
static int opaque_put(struct writer *writer, struct ks_item *item)
{
	struct ks_pkcs12_safe_bag bag;
	size_t value;

	if (!is_own(writer, item) || ks_pkcs12_bag_read(&bag, item->der) < 0)
		return ks_fail(
			writer->ctx, KS_ELOSSY,
			"a PKCS#12 store cannot hold an object that keystow does not understand in another store");
	ks_der_put(writer->out, KS_DER_OID, bag.oid);
	value = ks_der_open(writer->out, EXPLICIT_0);
	ks_buffer_put(writer->out, bag.value.data, bag.value.size);
	return ks_der_close(writer->out, value);
}

static int value_put(struct writer *writer, struct ks_item *item)
{
	switch (item->kind) {
	case KS_PRIVATE_KEY:
		return key_put(writer, item);
	case KS_SECRET_KEY:
		return secret_put(writer, item);
	case KS_CERTIFICATE:
		return typed_put(writer->out, KS_BAG_CERTIFICATE, KS_BYTES(KS_OID_X509_CERTIFICATE, 10), item->der);
	case KS_CRL:
		return typed_put(writer->out, KS_BAG_CRL, KS_BYTES(KS_OID_X509_CRL, 10), item->der);
	case KS_OPAQUE:
		return opaque_put(writer, item);
	default:
		return ks_fail(writer->ctx, KS_ELOSSY, "a PKCS#12 store cannot hold a %s", ks_kind_name(item->kind));
	}
}

/* ---- bags -------------------------------------------------------------------------------------------------------------- */

/* Something sealed inside a bag of an unknown kind would stay under the old password for ever. */
static int refuse_unknown_seal(const struct writer *writer, const struct ks_item *item)
{
	struct ks_pkcs12_safe_bag bag;
	struct ks_der octets;

	if (!writer->changed || item->kind != KS_OPAQUE || ks_pkcs12_bag_read(&bag, item->der) < 0)
		return 0;
	if (!ks_sealed_key_shaped(bag.value) &&
	    !(ks_der_only(&octets, bag.value, KS_DER_OCTETS) == 0 && ks_sealed_key_shaped(octets.content)))
		return 0;
	return ks_hint(writer->ctx,
		       ks_fail(writer->ctx, KS_EUNABLE,
			       "it holds something sealed that keystow does not understand, so it cannot get the new "
			       "password"),
		       "change the password with the program that wrote it, or remove it first");
}

/* Bytes that stay true: not when the password changed and they depend on it. */
static bool carried(const struct writer *writer, const struct ks_item *item)
{
	if (!item->raw.data || !is_own(writer, item))
		return false;
	return !writer->changed || !(item->kind == KS_PRIVATE_KEY || (item->flags & KS_SEALED));
}

static int bag_put(struct writer *writer, struct ks_item *item)
{
	struct ks_buffer *out = writer->out;
	ks_auto_mem char *named = NULL;
	size_t bag;
	int rc;

	rc = refuse_unknown_seal(writer, item);
	if (rc == 0 && carried(writer, item))
		return ks_buffer_put(out, item->raw.data, item->raw.size) < 0 ? full(writer) : 0;
	bag = ks_der_open(out, KS_DER_SEQUENCE);
	if (rc == 0)
		rc = value_put(writer, item);
	if (rc == 0)
		rc = ks_pkcs12_attributes_put(out, item);
	if (rc == 0)
		rc = ks_der_close(out, bag);
	if (out->status)
		return full(writer);
	if (rc == 0)
		return 0;
	named = ks_item_named(item);
	return ks_while(writer->ctx, rc, "writing %s", named ? named : "an item");
}

/* ---- parts ------------------------------------------------------------------------------------------------------------- */

static bool in_sealed_part(const struct writer *writer, const struct ks_item *item)
{
	if (is_own(writer, item) && !writer->changed)
		return item->handle & KS_PKCS12_SEALED_PART;
	if (item->kind == KS_PRIVATE_KEY || item->kind == KS_SECRET_KEY)
		return false;
	return writer->seal_certificates;
}

static int bags_put(struct writer *writer, bool sealed)
{
	size_t expected = sealed ? writer->expected : 0;
	size_t contents = ks_der_open_large(writer->out, KS_DER_SEQUENCE, expected);
	struct ks_item *item;
	int rc = 0;

	for (size_t i = 0; rc == 0 && (item = ks_set_at(writer->from, i)); i++)
		if (in_sealed_part(writer, item) == sealed)
			rc = bag_put(writer, item);
	return rc < 0 ? rc : ks_der_close_large(writer->out, contents, expected);
}

static int clear_part_put(struct writer *writer)
{
	struct ks_buffer *out = writer->out;
	size_t info = ks_der_open(out, KS_DER_SEQUENCE), content, octets;
	int rc;

	ks_der_put(out, KS_DER_OID, KS_BYTES(KS_OID_DATA, 9));
	content = ks_der_open(out, EXPLICIT_0);
	octets = ks_der_open(out, KS_DER_OCTETS);
	rc = bags_put(writer, false);
	if (rc < 0)
		return rc;
	ks_der_close(out, octets);
	ks_der_close(out, content);
	return ks_der_close(out, info);
}

static const struct ks_protection *content_like(const struct writer *writer)
{
	const struct ks_pkcs12_layout *layout = writer->layout;

	if (!layout || !layout->content.cipher)
		return key_like(writer);
	if (layout->content.weak && !writer->changed)
		ks_notice(writer->ctx, KS_EWEAK, NULL,
			  "programs from before 2010 may not read it any more; keys stay as they are until keystow "
			  "passwd",
			  "the certificates were encrypted with %s (%s); they are written with AES-256-CBC",
			  layout->content.cipher_name, layout->content.kdf_name);
	return &layout->content;
}

/* Of the encrypted part that was there; a key's salt stays with the key. */
static int content_protection(struct ks_protection *out, const struct writer *writer)
{
	const struct ks_protection *like = content_like(writer);
	bool again = !writer->changed && writer->layout && like == &writer->layout->content;

	return again ? ks_protection_again(out, writer->ctx, like) : ks_protection_fresh(out, writer->ctx, like);
}

static int sealed_part_put(struct writer *writer)
{
	struct ks_buffer *out = writer->out;
	size_t expected = writer->expected, info = ks_der_open_large(out, KS_DER_SEQUENCE, expected);
	size_t content, data, encrypted, octets;
	struct ks_protection how;
	int rc = content_protection(&how, writer);

	if (rc < 0)
		return rc;
	ks_der_put(out, KS_DER_OID, KS_BYTES(KS_OID_ENCRYPTED_DATA, 9));
	content = ks_der_open_large(out, EXPLICIT_0, expected);
	data = ks_der_open_large(out, KS_DER_SEQUENCE, expected);
	ks_der_put_number(out, 0);
	encrypted = ks_der_open_large(out, KS_DER_SEQUENCE, expected);
	ks_der_put(out, KS_DER_OID, KS_BYTES(KS_OID_DATA, 9));
	ks_protection_put(out, &how);
	octets = ks_der_open_large(out, IMPLICIT_0, expected);
	rc = bags_put(writer, true);
	if (rc == 0)
		rc = ks_protection_seal(out, octets, writer->ctx, &how, writer->secret, writer->form,
					"the certificates");
	if (rc < 0)
		return rc;
	ks_der_close_large(out, octets, expected);
	ks_der_close_large(out, encrypted, expected);
	ks_der_close_large(out, data, expected);
	ks_der_close_large(out, content, expected);
	return ks_der_close_large(out, info, expected);
}

/* The part whose first bag comes first goes first, so that the order of a store survives. */
static int parts_put(struct writer *writer)
{
	size_t count[2] = { 0, 0 };
	bool sealed_first = false;
	struct ks_item *item;
	int rc = 0;

	for (size_t i = 0; (item = ks_set_at(writer->from, i)); i++) {
		bool sealed = in_sealed_part(writer, item);

		sealed_first = i == 0 ? sealed : sealed_first;
		count[sealed]++;
	}
	for (int turn = 0; rc == 0 && turn < 2; turn++) {
		bool sealed = (turn == 0) == sealed_first;

		if (count[sealed])
			rc = sealed ? sealed_part_put(writer) : clear_part_put(writer);
	}
	return rc;
}

/* ---- the shell ---------------------------------------------------------------------------------------------------------- */

/*
 * PFX with everything in it. The MAC is over what the OCTET STRING holds, which stays the tail of the buffer while the elements
 * around it are closed.
 */
static int shell_put(struct writer *writer)
{
	struct ks_buffer *out = writer->out;
	size_t expected = writer->expected, pfx = ks_der_open_large(out, KS_DER_SEQUENCE, expected);
	size_t info, content, octets, safe, size;
	int rc;

	ks_der_put_number(out, 3);
	info = ks_der_open_large(out, KS_DER_SEQUENCE, expected);
	ks_der_put(out, KS_DER_OID, KS_BYTES(KS_OID_DATA, 9));
	content = ks_der_open_large(out, EXPLICIT_0, expected);
	octets = ks_der_open_large(out, KS_DER_OCTETS, expected);
	safe = ks_der_open_large(out, KS_DER_SEQUENCE, expected);
	rc = parts_put(writer);
	if (rc < 0)
		return rc;
	ks_der_close_large(out, safe, expected);
	size = out->size - octets;
	ks_der_close_large(out, octets, expected);
	ks_der_close_large(out, content, expected);
	ks_der_close_large(out, info, expected);
	if (out->status)
		return full(writer);
	if (writer->with_mac)
		rc = ks_pkcs12_mac_put(out, writer->ctx, KS_BYTES(out->data + out->size - size, size), writer->secret,
				       writer->layout ? &writer->layout->mac : NULL, !writer->changed);
	if (rc == 0)
		rc = ks_der_close_large(out, pfx, expected);
	return out->status ? full(writer) : rc;
}

/* One reservation for the whole store, so that a large one is neither grown nor copied while it is built. */
static size_t size_guess(struct ks_set *from)
{
	size_t size = 4096;
	struct ks_item *item;

	for (size_t i = 0; (item = ks_set_at(from, i)); i++)
		size += item->raw.data ? item->raw.size
				       : item->der.size + item->attributes.size + 2 * item->label.size + item->id.size +
						 BAG_SLACK;
	return size;
}

/* ---- what kind of store it becomes -------------------------------------------------------------------------------------- */

static int closed(struct ks_ctx *ctx, const char *why)
{
	return ks_fail(ctx, KS_ENOSECRET, "writing the store needs its password: %s", why);
}

/* A store that had no password and gets one is sealed like a new one; otherwise it stays as it was. */
static int settle(struct writer *writer)
{
	const struct ks_pkcs12_layout *layout = writer->layout;
	bool has_secret = writer->secret != NULL;

	writer->form = KS_PASSWORD_UTF8;
	writer->with_mac = writer->seal_certificates = has_secret;
	if (!layout)
		return 0;
	if (layout->content.cipher && !layout->opened)
		return closed(writer->ctx, "parts of it are encrypted and were not read");
	if (layout->mac.kind != KS_MAC_NONE && layout->has_certificates)
		writer->seal_certificates = layout->certificates_sealed && has_secret;
	if (writer->changed)
		return 0;
	if (!has_secret && layout->mac.kind != KS_MAC_NONE)
		return closed(writer->ctx, "it has a MAC");
	if (!has_secret && layout->content.cipher)
		return closed(writer->ctx, "its certificates are encrypted");
	writer->with_mac = layout->mac.kind != KS_MAC_NONE;
	if (!writer->with_mac || layout->has_certificates)
		writer->seal_certificates = layout->certificates_sealed;
	if (layout->content.cipher && !layout->content.weak && layout->content.derivation.kdf == KS_PBKDF2 &&
	    ks_password_has(writer->secret, layout->form, KS_PBKDF2))
		writer->form = layout->form;
	return 0;
}

static void tell_nested(const struct writer *writer)
{
	struct ks_item *item;

	for (size_t i = 0; (item = ks_set_at(writer->from, i)); i++)
		if (is_own(writer, item) && (item->handle & KS_PKCS12_NESTED)) {
			ks_notice(writer->ctx, KS_ELOSSY, NULL, "",
				  "the store had bags inside bags; all of them are kept, side by side");
			return;
		}
}

int ks_pkcs12_encode(struct ks_ctx *ctx, struct ks_buffer *out, struct ks_set *from, const struct ks_set *have,
		     struct ks_secret *secret, bool changed)
{
	struct writer writer = {
		.ctx = ctx, .out = out, .from = from, .have = have, .secret = secret, .changed = changed
	};
	int rc;

	if (ks_set_count(from) > KS_PKCS12_BAGS)
		return ks_fail(ctx, KS_ELIMIT, "the store would have more than %d bags", KS_PKCS12_BAGS);
	writer.layout = have ? ks_set_facts_of(have)->layout : NULL;
	rc = settle(&writer);
	if (rc < 0)
		return rc;
	tell_nested(&writer);
	writer.expected = size_guess(from);
	if (!ks_buffer_room(out, writer.expected))
		out->status = 0; /* only a guess: what does not fit is told when it is written */
	return shell_put(&writer);
}
