/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a PKCS#12 store: the shell, its MAC, its parts.
 *
 * Which failure it is, is decided here (docs/architecture.md): broken structure is damage, whatever the password; an algorithm
 * nobody knows is named; when the MAC does not fit but something sealed opens, the password is right and the file was changed;
 * when nothing opens either, the two cannot be told apart.
 */
#include "pkcs12.h"

#include <string.h>

#define EXPLICIT_0 KS_DER_CONTEXT(0)
#define IMPLICIT_0 0x80
#define PARTS 1000

struct part {
	bool sealed;
	struct ks_bytes content; /* SafeContents, or its encryption */
	struct ks_protection protection; /* when sealed */
};

struct shell {
	struct ks_bytes content; /* what the MAC is over */
	struct ks_bytes mac_data; /* DER, or absent */
	struct part *parts;
	size_t count, capacity;
};

static int damaged(struct ks_ctx *ctx, int rc, const char *what)
{
	if (rc == KS_ENOMEM)
		return ks_nomem(ctx);
	if (rc == KS_ELIMIT)
		return ks_fail(ctx, KS_ELIMIT, "%s is nested more than %d deep", what, KS_BER_DEPTH);
	return ks_hint(ctx, ks_fail(ctx, KS_EDAMAGED, "%s is damaged", what),
		       "take the file from a backup, or from where it came");
}

/* ---- the shell --------------------------------------------------------------------------------------------------------- */

/* ContentInfo ::= SEQUENCE { contentType OID, content [0] EXPLICIT }: the type, and what [0] holds. */
static int content_info_next(struct ks_bytes *type, struct ks_der *content, struct ks_bytes *rest)
{
	struct ks_der sequence, oid, explicit;
	struct ks_bytes inner;
	int rc = ks_ber_expect(&sequence, rest, KS_DER_SEQUENCE);

	if (rc < 0)
		return rc;
	inner = sequence.content;
	rc = ks_ber_expect(&oid, &inner, KS_DER_OID);
	if (rc == 0)
		rc = ks_ber_expect(&explicit, &inner, EXPLICIT_0);
	if (rc < 0)
		return rc;
	*type = oid.content;
	if (inner.size)
		return KS_EDAMAGED;
	inner = explicit.content;
	rc = ks_ber_next(content, &inner);
	return rc < 0 ? rc : inner.size ? KS_EDAMAGED : 0;
}

static bool is_octets(const struct ks_der *element, unsigned char tag)
{
	return (element->tag & ~0x20) == tag;
}

static int refuse_type(struct ks_ctx *ctx, struct ks_bytes type)
{
	char name[80];

	if (ks_der_is(type, KS_OID_SIGNED_DATA))
		return ks_fail(
			ctx, KS_EALGORITHM,
			"the store is protected by a signature (public-key integrity), which keystow does not read");
	if (ks_der_is(type, KS_OID_ENVELOPED_DATA))
		return ks_fail(ctx, KS_EALGORITHM,
			       "a part of the store is encrypted for a certificate (public-key privacy), which keystow "
			       "does not read");
	return ks_fail(ctx, KS_EALGORITHM, "the store has a part of type %s, which keystow does not read",
		       ks_oid_name(name, type));
}

static int data_read(struct ks_bytes *out, struct ks_set *into, const struct ks_der *content)
{
	return is_octets(content, KS_DER_OCTETS) ? ks_ber_octets(out, into, content) : KS_EDAMAGED;
}

/* EncryptedData: version, EncryptedContentInfo { type, algorithm, content [0] IMPLICIT } (RFC 5652 8). */
static int encrypted_data_read(struct part *part, struct ks_ctx *ctx, struct ks_set *into, const struct ks_der *element)
{
	struct ks_der version, info, type, algorithm, octets;
	struct ks_bytes rest = element->content, der;
	int rc;

	if (element->tag != KS_DER_SEQUENCE || ks_ber_expect(&version, &rest, KS_DER_INTEGER) < 0)
		return damaged(ctx, KS_EDAMAGED, "an encrypted part of the store");
	rc = ks_ber_expect(&info, &rest, KS_DER_SEQUENCE);
	if (rc < 0)
		return damaged(ctx, rc, "an encrypted part of the store");
	rest = info.content;
	rc = ks_ber_expect(&type, &rest, KS_DER_OID);
	if (rc == 0)
		rc = ks_ber_expect(&algorithm, &rest, KS_DER_SEQUENCE);
	if (rc == 0)
		rc = ks_ber_next(&octets, &rest);
	if (rc == 0 && (rest.size || !is_octets(&octets, IMPLICIT_0) || !ks_der_is(type.content, KS_OID_DATA)))
		rc = KS_EDAMAGED;
	if (rc == 0)
		rc = ks_ber_octets(&part->content, into, &octets);
	if (rc == 0)
		rc = ks_ber_as_der(&der, into, algorithm.whole);
	if (rc < 0)
		return damaged(ctx, rc, "an encrypted part of the store");
	part->sealed = true;
	return ks_protection_read(&part->protection, ctx, der, "an encrypted part of the store");
}

static int part_next(struct part *out, struct ks_ctx *ctx, struct ks_set *into, struct ks_bytes *rest)
{
	struct part part = { 0 };
	struct ks_bytes type;
	struct ks_der content;
	int rc = content_info_next(&type, &content, rest);

	if (rc < 0)
		return damaged(ctx, rc, "a part of the store");
	if (ks_der_is(type, KS_OID_ENCRYPTED_DATA)) {
		rc = encrypted_data_read(&part, ctx, into, &content);
	} else if (ks_der_is(type, KS_OID_DATA)) {
		rc = data_read(&part.content, into, &content);
		if (rc < 0)
			rc = damaged(ctx, rc, "a part of the store");
	} else {
		rc = refuse_type(ctx, type);
	}
	if (rc == 0)
		*out = part;
	return rc;
}

static int parts_read(struct shell *shell, struct ks_ctx *ctx, struct ks_set *into)
{
	struct ks_bytes rest = shell->content;
	struct ks_der sequence;
	int rc = ks_ber_expect(&sequence, &rest, KS_DER_SEQUENCE);

	if (rc < 0 || rest.size)
		return damaged(ctx, rc < 0 ? rc : KS_EDAMAGED, "the store");
	for (rest = sequence.content; rest.size;) {
		if (shell->count >= PARTS)
			return ks_fail(ctx, KS_ELIMIT, "the store has more than %d parts", PARTS);
		if (ks_array_grow(&shell->parts, &shell->capacity, shell->count + 1, sizeof(struct part)))
			return ks_nomem(ctx);
		rc = part_next(&shell->parts[shell->count], ctx, into, &rest);
		if (rc < 0)
			return rc;
		shell->count++;
	}
	return 0;
}

/* Padding: a .NET export of the corpus ends in eight zero bytes, left over from a rounded buffer. */
static bool all_zero(struct ks_bytes bytes)
{
	for (size_t i = 0; i < bytes.size; i++)
		if (bytes.data[i])
			return false;
	return true;
}

/* PFX ::= SEQUENCE { version 3, authSafe ContentInfo, macData OPTIONAL } */
static int shell_read(struct shell *shell, struct ks_ctx *ctx, struct ks_set *into, struct ks_bytes file)
{
	struct ks_der pfx, version, content, mac;
	struct ks_bytes rest = file, type;
	uint64_t number = 0;
	int rc = ks_ber_expect(&pfx, &rest, KS_DER_SEQUENCE);

	if (rc < 0)
		return damaged(ctx, rc, "the store");
	if (!all_zero(rest))
		return ks_hint(
			ctx, ks_fail(ctx, KS_EDAMAGED, "%zu bytes follow the end of the store", rest.size),
			"a store that grew was not written by a program that knows PKCS#12; take it from a backup");
	rest = pfx.content;
	if (ks_ber_expect(&version, &rest, KS_DER_INTEGER) < 0 || ks_der_number(&number, version.content) < 0)
		return damaged(ctx, KS_EDAMAGED, "the store");
	if (number != 3)
		return ks_fail(ctx, KS_EDAMAGED, "the store says that it is PKCS#12 version %llu; only 3 exists",
			       (unsigned long long)number);
	rc = content_info_next(&type, &content, &rest);
	if (rc < 0)
		return damaged(ctx, rc, "the store");
	if (!ks_der_is(type, KS_OID_DATA))
		return refuse_type(ctx, type);
	rc = data_read(&shell->content, into, &content);
	if (rc == 0 && rest.size) {
		rc = ks_ber_expect(&mac, &rest, KS_DER_SEQUENCE);
		if (rc == 0 && rest.size)
			rc = KS_EDAMAGED;
		if (rc == 0)
			rc = ks_ber_as_der(&shell->mac_data, into, mac.whole);
	}
	return rc < 0 ? damaged(ctx, rc, "the store") : parts_read(shell, ctx, into);
}

/* ---- the parts --------------------------------------------------------------------------------------------------------- */

static int safe_contents_read(struct ks_ctx *ctx, struct ks_set *into, struct ks_pkcs12_layout *layout,
			      struct ks_bytes content, unsigned place)
{
	struct ks_der sequence;
	int rc = ks_ber_expect(&sequence, &content, KS_DER_SEQUENCE);

	if (rc < 0 || content.size)
		return damaged(ctx, rc < 0 ? rc : KS_EDAMAGED, "a part of the store");
	return ks_pkcs12_bags_read(ctx, into, layout, sequence.content, place);
}

static int part_open(unsigned char *to, size_t *size, struct ks_ctx *ctx, const struct part *part,
		     struct ks_secret *secret, enum ks_password_form *form)
{
	return ks_protection_open(to, size, ctx, &part->protection, part->content, secret, form,
				  "an encrypted part of the store");
}

/* Where a part is decrypted to: over its own ciphertext when the set owns that, so that a large store is not held twice. */
static unsigned char *part_room(struct ks_set *into, const struct part *part)
{
	unsigned char *place = ks_set_writable(into, part->content);
	struct ks_buffer *room;

	if (place)
		return place;
	room = ks_buffer_new(part->content.size);
	if (!room)
		return NULL;
	place = ks_buffer_room(room, part->content.size);
	return ks_set_own(into, room) < 0 ? NULL : place;
}

static int sealed_part_read(struct ks_ctx *ctx, struct ks_set *into, struct ks_pkcs12_layout *layout,
			    const struct part *part, struct ks_secret *secret)
{
	unsigned char *place = part_room(into, part);
	size_t size = 0;
	int rc;

	if (!place)
		return ks_nomem(ctx);
	rc = part_open(place, &size, ctx, part, secret, &layout->form);
	if (rc == KS_EPASSWORD && layout->mac.kind != KS_MAC_NONE)
		return ks_fail(ctx, rc,
			       "the store's password is right, but a part of it is encrypted under another one");
	if (rc < 0)
		return rc;
	return safe_contents_read(ctx, into, layout, KS_BYTES(place, size), KS_PKCS12_SEALED_PART);
}

static int shell_parts(struct ks_ctx *ctx, struct ks_set *into, struct ks_pkcs12_layout *layout,
		       const struct shell *shell, struct ks_secret *secret)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < shell->count; i++) {
		const struct part *part = &shell->parts[i];

		if (!part->sealed)
			rc = safe_contents_read(ctx, into, layout, part->content, 0);
		else if (secret)
			rc = sealed_part_read(ctx, into, layout, part, secret);
	}
	return rc;
}

/* Without a secret: what is closed is said; a store with nothing but closed parts gives nothing at all. */
static int without_secret(struct ks_ctx *ctx, struct ks_set *into, const struct shell *shell)
{
	size_t closed = 0;

	for (size_t i = 0; i < shell->count; i++)
		closed += shell->parts[i].sealed;
	if (closed && ks_set_count(into) == 0)
		return ks_fail(ctx, KS_ENOSECRET, "everything in the store is encrypted, and no password was given");
	if (closed)
		ks_set_problem(into, KS_ENOSECRET, "give the password to see them",
			       "%zu encrypted part%s of the store %s not shown", closed, closed == 1 ? "" : "s",
			       closed == 1 ? "is" : "are");
	return 0;
}

/* ---- the MAC, and what it means when it does not fit -------------------------------------------------------------------- */

static bool opens_part(struct ks_ctx *ctx, const struct shell *shell, struct ks_secret *secret)
{
	for (size_t i = 0; i < shell->count; i++) {
		const struct part *part = &shell->parts[i];
		enum ks_password_form form = KS_PASSWORD_UTF8;
		ks_auto_mem unsigned char *room = part->sealed ? malloc(part->content.size + 1) : NULL;
		size_t size;
		int rc = room ? part_open(room, &size, ctx, part, secret, &form) : KS_EPASSWORD;

		if (rc == 0 || rc == KS_EDAMAGED)
			return true;
	}
	return false;
}

static bool opens_key(struct ks_ctx *ctx, const struct ks_set *found, struct ks_secret *secret)
{
	for (size_t i = 0; i < ks_set_count(found); i++) {
		struct ks_item *item = ks_set_at(found, i);
		ks_auto(buffer) clear = NULL;

		if (item->kind == KS_PRIVATE_KEY && (item->flags & KS_SEALED))
			return ks_sealed_key_open(&clear, ctx, item->der, secret, NULL) == 0;
	}
	return false;
}

/* The clear parts are read into a set of their own: damage in them is told as damage, and their first sealed key is tried. */
static int mac_judge(struct ks_ctx *ctx, const struct shell *shell, struct ks_secret *secret)
{
	struct ks_pkcs12_layout layout = { 0 };
	ks_auto(set) found = NULL;
	int rc = ks_set_new(&found, ctx);

	if (rc == 0)
		rc = shell_parts(ctx, found, &layout, shell, NULL);
	if (rc < 0)
		return rc;
	if (opens_part(ctx, shell, secret) || opens_key(ctx, found, secret)) {
		ks_forgive(ctx);
		return ks_hint(ctx,
			       ks_fail(ctx, KS_EALTERED,
				       "the file was changed after it was written: its password is right, but its MAC "
				       "does not fit"),
			       "take the store from a backup");
	}
	ks_forgive(ctx);
	return ks_hint(ctx, ks_fail(ctx, KS_EPASSWORD, "wrong password, or the file was changed"),
		       "try the password again; if it is right, take the file from a backup");
}

static int mac_check(struct ks_ctx *ctx, struct ks_pkcs12_layout *layout, const struct shell *shell,
		     struct ks_secret *secret)
{
	int rc = ks_pkcs12_mac_verify(&layout->mac, ctx, shell->content, secret);

	if (rc == KS_EPASSWORD)
		return mac_judge(ctx, shell, secret);
	if (rc == 0)
		layout->form = layout->mac.form;
	return rc;
}

/* ---- the whole ---------------------------------------------------------------------------------------------------------- */

static void facts_tell(struct ks_set *into, struct ks_pkcs12_layout *layout, bool opened)
{
	struct ks_facts *facts = ks_set_facts(into);
	const struct ks_protection *shown = layout->key.cipher       ? &layout->key
					    : layout->content.cipher ? &layout->content
								     : NULL;

	facts->format = "pkcs12";
	facts->layout = layout;
	if (layout->mac.kind != KS_MAC_NONE) {
		facts->integrity = opened ? KS_INTEGRITY_VERIFIED : KS_INTEGRITY_UNCHECKED;
		facts->mac = ks_pkcs12_mac_name(into, &layout->mac);
		facts->mac_iterations = layout->mac.derivation.iterations;
	}
	if (shown) {
		facts->cipher = shown->cipher_name;
		facts->kdf = shown->kdf_name;
		facts->kdf_iterations = shown->iterations;
	}
	if (shown && layout->mac.kind == KS_MAC_NONE && layout->form != KS_PASSWORD_UTF8)
		facts->kdf =
			ks_set_text(into, "%s, password as %s", shown->kdf_name, ks_password_form_name(layout->form));
	facts->weak = (layout->key.cipher && layout->key.weak) || (layout->content.cipher && layout->content.weak) ||
		      (layout->mac.kind != KS_MAC_NONE && !ks_pkcs12_mac_strong(&layout->mac));
}

static int shell_decode(struct ks_ctx *ctx, struct ks_set *into, struct ks_pkcs12_layout *layout, struct shell *shell,
			struct ks_bytes file, struct ks_secret *secret)
{
	int rc = shell_read(shell, ctx, into, file);

	for (size_t i = 0; rc == 0 && i < shell->count && !layout->content.cipher; i++)
		if (shell->parts[i].sealed)
			layout->content = shell->parts[i].protection;
	if (rc == 0 && shell->mac_data.data)
		rc = ks_pkcs12_mac_read(&layout->mac, ctx, shell->mac_data);
	if (rc == 0 && secret && layout->mac.kind != KS_MAC_NONE)
		rc = mac_check(ctx, layout, shell, secret);
	if (rc == 0)
		rc = shell_parts(ctx, into, layout, shell, secret);
	if (rc == 0 && !secret)
		rc = without_secret(ctx, into, shell);
	return rc;
}

int ks_pkcs12_decode(struct ks_ctx *ctx, struct ks_set *into, struct ks_bytes file, struct ks_secret *secret)
{
	struct ks_pkcs12_layout *layout = ks_set_room(into, sizeof(*layout));
	struct shell shell = { 0 };
	int rc;

	if (!layout)
		return ks_nomem(ctx);
	if (!file.size || file.data[0] != KS_DER_SEQUENCE)
		return ks_hint(ctx, ks_fail(ctx, KS_EFORMAT, file.size ? "this is no PKCS#12 file" : "the file is empty"),
			       file.size ? "keystow list with the bare path tells what it is"
					 : "make or fetch the file again; keystow new makes a new store");
	rc = shell_decode(ctx, into, layout, &shell, file, secret);
	free(shell.parts);
	if (rc < 0)
		return rc;
	layout->opened = secret != NULL;
	facts_tell(into, layout, secret != NULL);
	if (secret)
		ks_set_keep_secret(into, secret);
	return 0;
}
