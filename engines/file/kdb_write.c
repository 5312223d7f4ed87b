/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing an IBM key database: records that did not change keep their slots byte for byte, others are made as IBM's programs make them.
 *
 * A private key has its place beside its certificate, in one record under one label; every other certificate is a signer, which the
 * format trusts. Which certificate is a key's is told by the record both come from, else by the public key. All slots have one
 * size, so a record that is too large for it makes all slots grow; what was in them stays at their front.
 */
#include "kdb.h"

#include "certificate.h"
#include "protect.h"
#include "random.h"
#include "text.h"

#include <search.h>
#include <string.h>

#define VISIBLE_STRING 0x1a
#define SLOT_STEP 1000
#define NOT_MADE ((size_t)-1)

/* An item that is to be written. */
struct place {
	struct ks_item *item;
	struct place *beside; /* the certificate of a key, and the other way */
	bool own, done;
};

/* One record on its way: a slot as it was, or where it stands among those that are made. */
struct draft {
	struct ks_bytes carried;
	size_t start, size;
};

/* What is known of a slot of the store before. */
struct before {
	unsigned items, kept; /* in the slot; of these, still the same */
	bool sealed;
};

struct writer {
	struct ks_ctx *ctx;
	struct ks_set *from;
	const struct ks_set *have; /* NULL = a new store */
	const struct ks_kdb_layout *layout; /* of `have` */
	struct ks_secret *secret;
	bool changed; /* the password is another one */
	struct place *places;
	size_t count;
	struct before *before; /* by the handle of items */
	struct draft *drafts;
	size_t draft_count;
	struct ks_buffer *made; /* records without their padding, one behind the other */
	void *signers; /* tree of the certificates that are written as such */
	uint32_t last; /* the highest number of a record so far */
	size_t slot;
	size_t newly_trusted;
};

/* A slot for the largest one, times their number, has to stay below the limits of the file and of a slot. */
static int full(const struct writer *writer)
{
	return ks_hint(writer->ctx,
		       ks_fail(writer->ctx, KS_ELIMIT, "the key database would be too large with %zu records in it",
			       writer->draft_count),
		       "each of them takes as much room as the largest one");
}

static struct before *before_of(const struct writer *writer, const struct ks_item *item)
{
	return &writer->before[item->handle];
}

/* ---- what stays as it is ------------------------------------------------------------------------------------------ */

/* Numbers of the slots that are there: how many items each holds, and how many of these stay. */
static int survey(struct writer *writer)
{
	size_t slots = writer->layout ? writer->layout->count : 0;

	writer->count = ks_set_count(writer->from);
	writer->places = ks_array(writer->count + 1, sizeof(*writer->places));
	writer->drafts = ks_array(writer->count + 1, sizeof(*writer->drafts));
	writer->before = ks_array(slots + 1, sizeof(*writer->before));
	if (!writer->places || !writer->drafts || !writer->before)
		return ks_nomem(writer->ctx);
	for (size_t i = 0; writer->have && i < ks_set_count(writer->have); i++) {
		const struct ks_item *item = ks_set_at(writer->have, i);
		uint32_t number = ks_kdb_u32(item->raw.data) == KS_KDB_RECORD ? ks_kdb_u32(item->raw.data + 4) : 0;

		before_of(writer, item)->items++;
		before_of(writer, item)->sealed |= item->flags & KS_SEALED;
		writer->last = number > writer->last ? number : writer->last;
	}
	for (size_t i = 0; i < writer->count; i++) {
		struct ks_item *item = ks_set_at(writer->from, i);
		bool own = writer->have && (item->origin ? item->origin : item)->set == writer->have;

		writer->places[i] = (struct place){ .item = item, .own = own };
		if (own && item->raw.data)
			before_of(writer, item)->kept++;
	}
	return 0;
}

/* Nothing in its slot changed, and nothing in it is sealed under a password that goes. */
static bool carried(const struct writer *writer, const struct place *place)
{
	const struct before *before;

	if (!place->own || !place->item->raw.data)
		return false;
	before = before_of(writer, place->item);
	return before->kept == before->items && !(writer->changed && before->sealed);
}

/* Something sealed in a record of an unknown kind would stay under the old password for ever. */
static int refuse_unknown_seal(const struct writer *writer, const struct place *place)
{
	const struct ks_item *item = place->item;

	if (!writer->changed || item->kind != KS_OPAQUE || ks_kdb_u32(item->raw.data) == 0)
		return 0;
	return ks_hint(writer->ctx,
		       ks_fail(writer->ctx, KS_EUNABLE,
			       "record %lu is of a kind that keystow does not understand, so what may be sealed in it "
			       "cannot get the "
			       "new password",
			       item->handle),
		       "change the password with the program that wrote it, or remove it first");
}

static int carry(struct writer *writer, struct place *place)
{
	int rc = refuse_unknown_seal(writer, place);

	writer->drafts[writer->draft_count++] = (struct draft){ .carried = place->item->raw, .start = NOT_MADE };
	for (struct place *next = place; next < writer->places + writer->count; next++) {
		if (next != place && !(next->own && next->item->handle == place->item->handle))
			break;
		next->done = true;
	}
	return rc;
}

/* ---- which certificate is a key's --------------------------------------------------------------------------------- */

/* The public half: told by the store, or by the key once it is opened. */
static int public_half(struct ks_bytes *out, const struct writer *writer, struct ks_item *key)
{
	ks_auto_ssl(EVP_PKEY) opened = NULL;
	unsigned char *spki = NULL;
	int size, rc;

	*out = key->spki;
	if (out->data)
		return 0;
	rc = ks_item_pkey(&opened, key, writer->ctx);
	if (rc < 0)
		return rc;
	size = i2d_PUBKEY(opened, &spki);
	*out = size > 0 ? ks_set_bytes(writer->from, spki, (size_t)size) : KS_NONE;
	OPENSSL_free(spki);
	return out->data ? 0
			 : ks_fail_openssl(writer->ctx, KS_EALGORITHM, "a private key does not tell its public half");
}

static bool fits(const struct place *place, struct ks_bytes spki)
{
	struct ks_certificate_facts facts;

	return place->item->kind == KS_CERTIFICATE && !place->own && !place->beside &&
	       ks_certificate_facts(&facts, place->item->der) == 0 && ks_bytes_equal(facts.spki, spki);
}

static struct place *same_record(const struct writer *writer, const struct place *key)
{
	for (size_t i = 0; key->own && i < writer->count; i++) {
		struct place *place = &writer->places[i];

		if (place->own && place->item->kind == KS_CERTIFICATE && place->item->handle == key->item->handle)
			return place;
	}
	return NULL;
}

/* One from elsewhere with that public key; of the same label, if there is one. */
static struct place *from_elsewhere(const struct writer *writer, const struct place *key, struct ks_bytes spki)
{
	struct place *found = NULL;

	for (size_t i = 0; i < writer->count; i++) {
		struct place *place = &writer->places[i];

		if (!fits(place, spki))
			continue;
		if (ks_bytes_equal(place->item->label, key->item->label))
			return place;
		found = found ? found : place;
	}
	return found;
}

static int pair(struct writer *writer, struct place *key)
{
	ks_auto_mem char *named = NULL;
	struct ks_bytes spki = KS_NONE;
	int rc = 0;

	key->beside = same_record(writer, key);
	if (!key->beside)
		rc = public_half(&spki, writer, key->item);
	if (rc < 0)
		return rc;
	if (!key->beside)
		key->beside = from_elsewhere(writer, key, spki);
	if (key->beside) {
		key->beside->beside = key;
		return 0;
	}
	named = ks_item_named(key->item);
	return ks_hint(writer->ctx,
		       ks_fail(writer->ctx, KS_EUNABLE,
			       "%s has no certificate, and an IBM key database holds a key only beside its certificate",
			       named ? named : "a private key"),
		       "put key and certificate into a p12: or pem: store first, and copy both from there");
}

static int pair_all(struct writer *writer)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < writer->count; i++) {
		struct place *place = &writer->places[i];

		if (place->item->kind == KS_PRIVATE_KEY && !carried(writer, place))
			rc = pair(writer, place);
	}
	return rc;
}

/* ---- making a record ----------------------------------------------------------------------------------------------- */

/* What the record of an item of the store itself was, so that what is not known of it stays. */
static bool was(struct ks_kdb_record *out, const struct place *place)
{
	const struct ks_item *item = place->item->origin ? place->item->origin : place->item;
	const char *why;

	return place->own && ks_kdb_record_read(out, &why, item->raw) == 0;
}

static int seal(struct writer *writer, struct place *key)
{
	bool as_it_is = key->own && !writer->changed;
	ks_auto(buffer) clear = NULL;
	struct ks_protection how;
	int rc;

	if (as_it_is)
		return ks_buffer_put(writer->made, key->item->der.data, key->item->der.size);
	rc = ks_item_pkcs8(&clear, key->item, writer->ctx);
	if (rc == 0)
		rc = ks_protection_gskit(&how, writer->ctx);
	if (rc == 0)
		rc = ks_sealed_key_put_as(writer->made, writer->ctx, ks_buffer_bytes(clear), writer->secret, &how);
	return rc;
}

/* The content of [n]. */
static int content_put(struct writer *writer, struct place *place)
{
	struct place *key = place->item->kind == KS_CERTIFICATE ? place->beside : place;
	struct place *certificate = place->item->kind == KS_CERTIFICATE ? place : place->beside;
	size_t both;
	int rc;

	if (!key)
		return ks_buffer_put(writer->made, certificate->item->der.data, certificate->item->der.size);
	if (!certificate)
		return seal(writer, key);
	both = ks_der_open(writer->made, KS_DER_SEQUENCE);
	ks_buffer_put(writer->made, certificate->item->der.data, certificate->item->der.size);
	rc = seal(writer, key);
	return rc < 0 ? rc : ks_der_close(writer->made, both);
}

static int der_put(struct writer *writer, struct place *place, unsigned char tag, uint32_t number,
		   struct ks_bytes label, struct ks_bytes flags)
{
	size_t whole = ks_der_open(writer->made, KS_DER_SEQUENCE), content;
	int rc;

	ks_der_put_number(writer->made, number);
	content = ks_der_open(writer->made, tag);
	rc = content_put(writer, place);
	if (rc < 0)
		return rc;
	ks_der_close(writer->made, content);
	ks_der_put(writer->made, VISIBLE_STRING, label);
	ks_buffer_put(writer->made, flags.data, flags.size);
	return ks_der_close(writer->made, whole);
}

/* The hashes of its certificate; a record without one keeps what it had. */
static int index_put(struct writer *writer, const struct place *place, const struct ks_kdb_record *old)
{
	const struct place *certificate = place->item->kind == KS_CERTIFICATE ? place : place->beside;
	ks_auto_mem char *named = NULL;
	int rc;

	if (!certificate)
		return ks_buffer_put(writer->made, old->index.data, old->index.size);
	rc = ks_kdb_index_put(writer->made, certificate->item->der);
	if (rc != KS_EDAMAGED)
		return rc;
	named = ks_item_named(certificate->item);
	return ks_fail(writer->ctx, KS_EDAMAGED, "%s cannot be taken apart for the index of the key database",
		       named ? named : "a certificate");
}

static void patch_u32(unsigned char at[4], uint32_t value)
{
	for (unsigned i = 0; i < 4; i++)
		at[i] = (unsigned char)(value >> (8 * (3 - i)));
}

int ks_kdb_put_u32(struct ks_buffer *out, uint32_t value)
{
	unsigned char bytes[4];

	patch_u32(bytes, value);
	return ks_buffer_put(out, bytes, sizeof(bytes));
}

/* Says what becomes of a label that does not fit; the items get it, so that nobody expects the other. */
static int settle_label(struct ks_bytes *out, struct writer *writer, struct place *place)
{
	struct ks_item *head = place->beside && place->item->kind == KS_CERTIFICATE ? place->beside->item : place->item;
	struct ks_bytes label = head->label.size || !place->beside ? head->label : place->beside->item->label;
	ks_auto_mem char *shown = NULL;
	ks_auto_mem char *fitting = NULL;

	*out = label.size ? ks_kdb_label(writer->from, label) : ks_kdb_label_for(head, writer->from);
	if (!out->data)
		return ks_nomem(writer->ctx);
	shown = label.size ? ks_text_show(label) : NULL;
	fitting = ks_text_show(*out);
	if (shown && fitting && !ks_bytes_equal(*out, label))
		ks_notice(writer->ctx, KS_ELOSSY, NULL, "",
			  "the label \"%s\" is written as \"%s\": a key database holds ASCII only", shown, fitting);
	head->label = *out;
	if (place->beside)
		place->item->label = place->beside->item->label = *out;
	return 0;
}

static int make(struct writer *writer, struct place *place, unsigned char tag)
{
	struct draft *draft = &writer->drafts[writer->draft_count++];
	struct ks_kdb_record old = { .flags = ks_kdb_flags };
	bool known = was(&old, place) || (place->beside && was(&old, place->beside));
	uint32_t number = known ? old.number : ++writer->last;
	struct ks_bytes label = KS_NONE;
	size_t der;
	int rc = settle_label(&label, writer, place);

	if (rc < 0)
		return rc;
	if (number == 0)
		return ks_fail(writer->ctx, KS_ELIMIT, "the numbers of records in the key database are used up");
	draft->start = writer->made->size;
	ks_kdb_put_u32(writer->made, KS_KDB_RECORD);
	ks_kdb_put_u32(writer->made, number);
	ks_kdb_put_u32(writer->made, 0);
	der = writer->made->size;
	rc = der_put(writer, place, tag, number, label, old.flags.data ? old.flags : ks_kdb_flags);
	if (rc == 0 && !writer->made->status)
		patch_u32(writer->made->data + der - 4, (uint32_t)(writer->made->size - der));
	ks_kdb_put_u32(writer->made, (uint32_t)label.size);
	ks_buffer_put(writer->made, label.data, label.size);
	if (rc == 0)
		rc = index_put(writer, place, &old);
	draft->size = writer->made->size - draft->start;
	place->done = true;
	if (place->beside)
		place->beside->done = true;
	return rc == 0 && writer->made->status ? full(writer) : rc;
}

/* ---- certificates of their own ------------------------------------------------------------------------------------ */

static int digest_order(const void *a, const void *b)
{
	return memcmp(((const struct ks_item *)a)->sha256, ((const struct ks_item *)b)->sha256, KS_SHA256);
}

static void not_owned(void *item)
{
	(void)item;
}

/* Is it written already? Chains bring issuers along that the store has under a label. */
static int note_signer(bool *seen, struct writer *writer, struct ks_item *item)
{
	struct ks_item *const *found;

	ks_item_sha256(item);
	found = tsearch(item, &writer->signers, digest_order);
	if (!found)
		return ks_nomem(writer->ctx);
	*seen = *found != item;
	return 0;
}

static int note_carried_signers(struct writer *writer)
{
	bool seen;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < writer->count; i++) {
		const struct place *place = &writer->places[i];

		if (place->item->kind == KS_CERTIFICATE && carried(writer, place) &&
		    before_of(writer, place->item)->items == 1)
			rc = note_signer(&seen, writer, place->item);
	}
	return rc;
}

static int make_signer(struct writer *writer, struct place *place)
{
	struct ks_item *item = place->item;
	ks_auto_mem char *named = NULL;
	bool seen = false;
	int rc = note_signer(&seen, writer, item);

	if (rc < 0)
		return rc;
	place->done = true;
	if (seen && !item->label.size)
		return 0;
	if (item->trust.distrusted) {
		named = ks_item_named(item);
		return ks_hint(writer->ctx,
			       ks_fail(writer->ctx, KS_ELOSSY, "%s is distrusted, and a key database would trust it",
				       named ? named : "a certificate"),
			       "leave it out");
	}
	writer->newly_trusted += !(item->trust.trusted & KS_FOR_ANY);
	item->trust.trusted = KS_FOR_ANY;
	return make(writer, place, KS_KDB_SIGNER);
}

static void tell_newly_trusted(const struct writer *writer)
{
	if (writer->newly_trusted)
		ks_notice(writer->ctx, KS_ELOSSY, NULL, "remove those that are not to be trusted",
			  "%zu certificate%s trusted for every purpose from now on, as all are that stand without a "
			  "key in a key database",
			  writer->newly_trusted, writer->newly_trusted == 1 ? " is" : "s are");
}

/* ---- all of them --------------------------------------------------------------------------------------------------- */

static int refuse_item(const struct writer *writer, struct ks_item *item)
{
	ks_auto_mem char *named = ks_item_named(item);

	return ks_hint(writer->ctx,
		       ks_fail(writer->ctx, KS_ELOSSY, "a key database cannot hold %s as it is wanted",
			       named ? named : "this"),
		       "what keystow does not make in a key database it only keeps as it is, or removes");
}

static int place_put(struct writer *writer, struct place *place)
{
	if (carried(writer, place))
		return carry(writer, place);
	switch (place->item->kind) {
	case KS_PRIVATE_KEY:
		return make(writer, place, KS_KDB_PERSONAL);
	case KS_CERTIFICATE:
		return place->beside ? make(writer, place, KS_KDB_PERSONAL) : make_signer(writer, place);
	case KS_SECRET_KEY:
		return place->own ? make(writer, place, KS_KDB_SECRET) : refuse_item(writer, place->item);
	default:
		return refuse_item(writer, place->item);
	}
}

static int records_put(struct writer *writer)
{
	ks_auto_mem char *named = NULL;
	int rc = survey(writer);

	if (rc == 0)
		rc = pair_all(writer);
	if (rc == 0)
		rc = note_carried_signers(writer);
	for (size_t i = 0; rc == 0 && i < writer->count; i++) {
		struct place *place = &writer->places[i];

		if (place->done)
			continue;
		rc = place_put(writer, place);
		if (rc == KS_EPASSWORD || rc == KS_ENOSECRET)
			named = ks_item_named(place->item);
	}
	return named ? ks_while(writer->ctx, rc, "writing %s", named) : rc;
}

/* All slots are as large as the largest record wants; they never shrink. */
static int settle_slot(struct writer *writer)
{
	writer->slot = writer->layout ? writer->layout->slot : KS_KDB_SLOT;
	for (size_t i = 0; i < writer->draft_count; i++) {
		size_t size = writer->drafts[i].size;

		if (size > writer->slot)
			writer->slot = (size + SLOT_STEP - 1) / SLOT_STEP * SLOT_STEP;
	}
	return writer->slot > KS_KDB_SLOT_MAX || writer->draft_count > KS_KDB_RECORDS ? full(writer) : 0;
}

static int zeros_put(struct ks_buffer *out, size_t size)
{
	unsigned char *room = ks_buffer_room(out, size);

	if (!room)
		return out->status;
	memset(room, 0, size);
	out->size += size;
	return 0;
}

static void slot_put(struct ks_buffer *out, const struct writer *writer, const struct draft *draft)
{
	struct ks_bytes record =
		draft->start == NOT_MADE ? draft->carried : KS_BYTES(writer->made->data + draft->start, draft->size);

	ks_buffer_put(out, record.data, record.size);
	zeros_put(out, writer->slot - record.size);
}

/* A new database has 23 random bytes that are not zero, and a zero, where IBM's programs put that; nobody knows what for. */
static int head_make(unsigned char head[KS_KDB_HEAD], struct ks_ctx *ctx)
{
	static const unsigned char front[] = "\x37\x48\x06\x02\0\0\0\0X509KEY";
	unsigned char *at = head + 0x18;
	int rc = 0;

	memset(head, 0, KS_KDB_HEAD);
	memcpy(head, front, sizeof(front));
	while (rc == 0 && at < head + KS_KDB_HEAD - 1) {
		rc = ks_random(ctx, at, 1);
		at += *at != 0;
	}
	return rc;
}

static int head_put(struct ks_buffer *out, const struct writer *writer)
{
	unsigned char head[KS_KDB_HEAD];
	int rc = 0;

	if (writer->layout)
		memcpy(head, writer->layout->head, KS_KDB_HEAD);
	else
		rc = head_make(head, writer->ctx);
	patch_u32(head + 0x10, (uint32_t)writer->slot);
	patch_u32(head + 0x14, (uint32_t)writer->draft_count);
	return rc < 0 ? rc : ks_buffer_put(out, head, KS_KDB_HEAD);
}

static int file_put(struct ks_buffer *out, const struct writer *writer)
{
	const size_t mac = KS_KDB_MAC_MAX, slots = KS_KDB_HEAD + 2 * mac;
	int rc = head_put(out, writer);

	zeros_put(out, 2 * mac);
	for (size_t i = 0; i < writer->draft_count && !out->status; i++)
		slot_put(out, writer, &writer->drafts[i]);
	if (out->status)
		return out->status == KS_ELIMIT ? full(writer) : ks_nomem(writer->ctx);
	if (rc == 0)
		rc = ks_kdb_mac(out->data + KS_KDB_HEAD, writer->ctx, "SHA384", writer->secret,
				KS_BYTES(out->data, KS_KDB_HEAD), KS_NONE);
	if (rc == 0)
		rc = ks_kdb_mac(out->data + KS_KDB_HEAD + mac, writer->ctx, "SHA384", writer->secret,
				KS_BYTES(out->data, KS_KDB_HEAD + mac), KS_BYTES(out->data + slots, out->size - slots));
	return rc;
}

/* Files that nobody could show us are read, and not written. */
static int may_write(const struct writer *writer)
{
	const struct ks_kdb_layout *layout = writer->layout;

	if (layout && layout->kind != KS_KDB_KEYS)
		return ks_hint(writer->ctx,
			       ks_fail(writer->ctx, KS_EUNABLE, "databases of requests and of CRLs are only read"),
			       "keystow copy takes out what is in them");
	if (layout && layout->version != 6)
		return ks_hint(
			writer->ctx,
			ks_fail(writer->ctx, KS_EUNABLE, "a key database of version %u is only read", layout->version),
			"keystow copy FROM kdb:NEW.kdb makes one of version 6");
	if (!writer->secret)
		return ks_fail(writer->ctx, KS_ENOSECRET, "writing a key database needs its password");
	return 0;
}

int ks_kdb_encode(struct ks_ctx *ctx, struct ks_buffer *out, struct ks_set *from, const struct ks_set *have,
		  struct ks_secret *secret, bool changed)
{
	ks_auto(buffer) made = ks_buffer_new((size_t)64 << 20);
	struct writer writer = {
		.ctx = ctx,
		.from = from,
		.have = have,
		.layout = have ? ks_set_facts_of(have)->layout : NULL,
		.secret = secret,
		.changed = changed,
		.made = made,
	};
	int rc = made ? may_write(&writer) : ks_nomem(ctx);

	if (rc == 0)
		rc = records_put(&writer);
	if (rc == 0)
		rc = settle_slot(&writer);
	if (rc == 0)
		rc = file_put(out, &writer);
	if (rc == 0)
		tell_newly_trusted(&writer);
	tdestroy(writer.signers, not_owned);
	free(writer.places);
	free(writer.drafts);
	free(writer.before);
	return rc;
}
