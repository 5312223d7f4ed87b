/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One slot of an IBM key database, and the items in it.
 *
 * A slot has: type, number, length and DER, length and label, the index, zeros. The DER is SEQUENCE { INTEGER, [n] content, label,
 * flags }. Anything that is not so is kept as it lies and told; the other records are not concerned.
 */
#include "kdb.h"

#include "certificate.h"
#include "key.h"
#include "protect.h"
#include "text.h"

#include <string.h>

const struct ks_bytes ks_kdb_flags = { (const unsigned char *)"\x03\x02\x07\x80", 4 };

uint32_t ks_kdb_u32(const unsigned char at[4])
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* ---- taking a slot apart ---- */

static bool take_u32(uint32_t *out, struct ks_bytes *rest)
{
	if (rest->size < 4)
		return false;
	*out = ks_kdb_u32(rest->data);
	*rest = KS_BYTES(rest->data + 4, rest->size - 4);
	return true;
}

/* Bytes with their length in front. */
static bool take_counted(struct ks_bytes *out, struct ks_bytes *rest)
{
	uint32_t size;

	if (!take_u32(&size, rest) || size > rest->size)
		return false;
	*out = KS_BYTES(rest->data, size);
	*rest = KS_BYTES(rest->data + size, rest->size - size);
	return true;
}

static int der_read(struct ks_kdb_record *out, struct ks_bytes der)
{
	struct ks_der whole, number, content, label, flags;
	struct ks_bytes rest;

	if (ks_der_only(&whole, der, KS_DER_SEQUENCE) < 0)
		return KS_EDAMAGED;
	rest = whole.content;
	if (ks_der_expect(&number, &rest, KS_DER_INTEGER) < 0 || ks_der_next(&content, &rest) < 0 ||
	    (content.tag & 0xe0) != KS_DER_CONTEXT(0) || ks_der_next(&label, &rest) < 0 ||
	    ks_der_only(&flags, rest, KS_DER_BITS) < 0)
		return KS_EDAMAGED;
	out->tag = content.tag;
	out->content = content.content;
	out->flags = flags.whole;
	return 0;
}

int ks_kdb_record_read(struct ks_kdb_record *out, const char **why, struct ks_bytes slot)
{
	struct ks_bytes rest = slot, der, label;

	*out = (struct ks_kdb_record){ 0 };
	*why = "its lengths do not fit into its slot";
	if (!take_u32(&out->type, &rest) || !take_u32(&out->number, &rest))
		return KS_EDAMAGED;
	if (out->type != KS_KDB_RECORD) {
		*why = "its type is not known";
		return KS_EDAMAGED;
	}
	if (!take_counted(&der, &rest) || !take_counted(&label, &rest))
		return KS_EDAMAGED;
	while (rest.size && rest.data[rest.size - 1] == 0)
		rest.size--;
	out->index = rest;
	/* IBM's programs count no NUL; one that was counted is no part of the label. */
	out->label = KS_BYTES(label.data, label.size ? strnlen((const char *)label.data, label.size) : 0);
	*why = "its DER is damaged";
	return der_read(out, der);
}

/* ---- what is in it ---- */

/* SEQUENCE { first, sealed key } */
static bool pair_of(struct ks_bytes *first, struct ks_bytes *sealed, struct ks_bytes content)
{
	struct ks_der whole, one, two;

	if (ks_der_only(&whole, content, KS_DER_SEQUENCE) < 0 ||
	    ks_der_expect(&one, &whole.content, KS_DER_SEQUENCE) < 0 ||
	    ks_der_only(&two, whole.content, KS_DER_SEQUENCE) < 0)
		return false;
	*first = one.whole;
	*sealed = two.whole;
	return ks_sealed_key_shaped(two.whole);
}

/* The public key that a request is for (RFC 2986 4.1): version, subject, public key. */
static struct ks_bytes request_key(struct ks_bytes request)
{
	struct ks_der whole, info, part;

	if (ks_der_only(&whole, request, KS_DER_SEQUENCE) < 0 ||
	    ks_der_expect(&info, &whole.content, KS_DER_SEQUENCE) < 0 ||
	    ks_der_expect(&part, &info.content, KS_DER_INTEGER) < 0 ||
	    ks_der_expect(&part, &info.content, KS_DER_SEQUENCE) < 0 ||
	    ks_der_expect(&part, &info.content, KS_DER_SEQUENCE) < 0)
		return KS_NONE;
	return part.whole;
}

struct reading {
	struct ks_set *into;
	const struct ks_kdb_record *record;
	struct ks_bytes slot;
	unsigned long place;
};

static struct ks_item *dress(const struct reading *reading, struct ks_item *item)
{
	item->label = reading->record->label.size ? reading->record->label : KS_NONE;
	item->raw = reading->slot;
	item->handle = reading->place;
	return item;
}

static int add_shape(struct ks_item **out, const struct reading *reading, enum ks_shape shape, struct ks_bytes der)
{
	int rc = ks_shape_of(der) == shape ? ks_shape_item(out, reading->into, shape, der) : KS_EDAMAGED;

	if (rc == 0)
		dress(reading, *out);
	return rc;
}

/* Ties a key to what stands beside it: by its public key, which the one beside tells. */
static void tie(struct ks_item *key, struct ks_item *beside, struct ks_bytes spki)
{
	unsigned char id[20];

	if (!spki.data || ks_spki_id(id, spki) < 0)
		return;
	key->spki = spki;
	key->key = ks_keyspec_of_spki(spki);
	key->id = beside->id = ks_set_bytes(key->set, id, sizeof(id));
}

static int add_signer(const struct reading *reading)
{
	struct ks_item *item = NULL;
	int rc = add_shape(&item, reading, KS_SHAPE_CERTIFICATE, reading->record->content);

	/* Flags that nobody knows may say that it is not to be trusted. */
	if (rc == 0 && ks_bytes_equal(reading->record->flags, ks_kdb_flags))
		item->trust.trusted = KS_FOR_ANY;
	return rc;
}

static int add_pair(const struct reading *reading, enum ks_shape shape)
{
	struct ks_item *beside = NULL, *key = NULL;
	struct ks_certificate_facts facts;
	struct ks_bytes first, sealed;
	int rc;

	if (!pair_of(&first, &sealed, reading->record->content) || ks_shape_of(first) != shape)
		return KS_EDAMAGED;
	if (shape == KS_SHAPE_CERTIFICATE && ks_certificate_facts(&facts, first) < 0)
		return KS_EDAMAGED;
	rc = add_shape(&beside, reading, shape, first);
	if (rc == 0)
		rc = add_shape(&key, reading, KS_SHAPE_SEALED_PKCS8, sealed);
	if (rc == 0)
		tie(key, beside, shape == KS_SHAPE_CERTIFICATE ? facts.spki : request_key(first));
	return rc;
}

static int add_secret(const struct reading *reading)
{
	struct ks_item *item;

	if (!ks_sealed_key_shaped(reading->record->content))
		return KS_EDAMAGED;
	item = ks_set_add(reading->into, KS_SECRET_KEY);
	if (!item)
		return KS_ENOMEM;
	dress(reading, item);
	item->der = reading->record->content;
	item->flags = KS_SEALED;
	item->from = &ks_kdb_secrets;
	return 0;
}

/* How records of CRLs are laid out is not known; a CRL is told by its shape wherever it lies in [n]. */
static int add_crl(const struct reading *reading)
{
	struct ks_item *item = NULL;
	int rc = add_shape(&item, reading, KS_SHAPE_CRL, reading->record->content);

	return rc == KS_EDAMAGED ? KS_EFORMAT : rc;
}

/* KS_EFORMAT: a kind of record that nobody knows. */
static int add_known(const struct reading *reading, enum ks_kdb_kind kind)
{
	if (kind == KS_KDB_CRLS)
		return add_crl(reading);
	switch (reading->record->tag) {
	case KS_KDB_REQUEST:
		return add_pair(reading, KS_SHAPE_REQUEST);
	case KS_KDB_SIGNER:
		return add_signer(reading);
	case KS_KDB_PERSONAL:
		return add_pair(reading, KS_SHAPE_CERTIFICATE);
	case KS_KDB_SECRET:
		return add_secret(reading);
	default:
		return KS_EFORMAT;
	}
}

static bool is_empty(struct ks_bytes slot)
{
	return slot.data[0] == 0 && memcmp(slot.data, slot.data + 1, slot.size - 1) == 0;
}

static int add_opaque(const struct reading *reading, const char *why)
{
	struct ks_item *item = ks_set_add(reading->into, KS_OPAQUE);

	if (!item)
		return KS_ENOMEM;
	dress(reading, item);
	item->der = reading->slot;
	item->about = is_empty(reading->slot) ? "an empty slot" : "a record of a kind that is not known";
	if (!why || is_empty(reading->slot))
		return 0;
	item->flags = KS_UNDECODED;
	item->about = "a damaged record";
	ks_set_problem(reading->into, KS_EDAMAGED, "it is kept as it is when the store is written",
		       "record %lu could not be understood: %s", reading->place, why);
	return 0;
}

int ks_kdb_record_items(struct ks_ctx *ctx, struct ks_set *into, enum ks_kdb_kind kind, struct ks_bytes slot,
			unsigned long place)
{
	struct ks_kdb_record record;
	struct reading reading = { .into = into, .record = &record, .slot = slot, .place = place };
	const char *why = NULL;
	int rc = ks_kdb_record_read(&record, &why, slot);

	if (rc < 0)
		return add_opaque(&reading, why) < 0 ? ks_nomem(ctx) : 0;
	rc = add_known(&reading, kind);
	if (rc == KS_EDAMAGED || rc == KS_EFORMAT) {
		ks_forgive(ctx);
		rc = add_opaque(&reading, rc == KS_EDAMAGED ? "what is in it is not what its kind promises" : NULL);
	}
	return rc == KS_ENOMEM ? ks_nomem(ctx) : rc;
}

/* ---- secret keys, when somebody wants one -------------------------------------------------------------------------- */

static int open_secret(struct ks_buffer **out, struct ks_item *item, struct ks_ctx *ctx, const struct ks_secret *secret)
{
	return ks_sealed_key_open(out, ctx, item->der, secret, NULL);
}

static int secret_pkcs8(struct ks_buffer **out, struct ks_item *item, struct ks_ctx *ctx)
{
	return ks_key_unseal(out, item, ctx, open_secret);
}

const struct ks_item_from ks_kdb_secrets = { .pkcs8 = secret_pkcs8 };
