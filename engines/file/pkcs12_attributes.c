/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The attributes of a PKCS#12 bag: which of them are names and trust, and how those change while the others stay as they are.
 */
#include "pkcs12.h"

#include "bmp.h"

#include <string.h>

#define OID_FRIENDLY_NAME "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x14"
#define OID_LOCAL_KEY_ID "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x15"
#define OID_JAVA_TRUSTED "\x60\x86\x48\x01\x86\xf9\x66\xad\xca\x7b\x01\x01"
#define OID_ANY_USAGE "\x55\x1d\x25\x00"
#define OID_KEY_PURPOSE "\x2b\x06\x01\x05\x05\x07\x03"

#define TAG_UTF8 0x0c
#define TAG_PRINTABLE 0x13
#define TAG_IA5 0x16
#define TAG_BMP 0x1e

/* What Java's attribute can name: an extended key usage each (RFC 5280 4.2.1.12). */
static const struct usage {
	unsigned char purpose;
	struct ks_bytes oid;
} usages[] = {
	{ KS_FOR_ANY, { (const unsigned char *)OID_ANY_USAGE, sizeof(OID_ANY_USAGE) - 1 } },
	{ KS_FOR_SERVER, { (const unsigned char *)OID_KEY_PURPOSE "\x01", sizeof(OID_KEY_PURPOSE) } },
	{ KS_FOR_CLIENT, { (const unsigned char *)OID_KEY_PURPOSE "\x02", sizeof(OID_KEY_PURPOSE) } },
	{ KS_FOR_CODE, { (const unsigned char *)OID_KEY_PURPOSE "\x03", sizeof(OID_KEY_PURPOSE) } },
	{ KS_FOR_EMAIL, { (const unsigned char *)OID_KEY_PURPOSE "\x04", sizeof(OID_KEY_PURPOSE) } },
};

#define USAGES (sizeof(usages) / sizeof(usages[0]))

enum attribute { FRIENDLY_NAME, LOCAL_KEY_ID, JAVA_TRUSTED, OTHER };

struct attribute_found {
	enum attribute which;
	struct ks_bytes whole;
	struct ks_bytes values; /* content of the SET */
};

static int attribute_next(struct attribute_found *out, struct ks_bytes *rest)
{
	struct ks_der sequence, oid, values;
	struct ks_bytes inner;

	if (ks_der_expect(&sequence, rest, KS_DER_SEQUENCE) < 0)
		return KS_EDAMAGED;
	inner = sequence.content;
	if (ks_der_expect(&oid, &inner, KS_DER_OID) < 0 || ks_der_only(&values, inner, KS_DER_SET) < 0)
		return KS_EDAMAGED;
	out->whole = sequence.whole;
	out->values = values.content;
	out->which = ks_der_is(oid.content, OID_FRIENDLY_NAME)  ? FRIENDLY_NAME
		     : ks_der_is(oid.content, OID_LOCAL_KEY_ID) ? LOCAL_KEY_ID
		     : ks_der_is(oid.content, OID_JAVA_TRUSTED) ? JAVA_TRUSTED
								: OTHER;
	return 0;
}

/* ---- reading ---------------------------------------------------------------------------------------------------------- */

static int label_read(struct ks_item *item, struct ks_bytes values)
{
	struct ks_der value;

	if (item->label.data)
		return 0;
	if (ks_der_next(&value, &values) < 0)
		return KS_EDAMAGED;
	if (value.tag == TAG_BMP)
		return ks_bmp_text(&item->label, item->set, value.content);
	if (value.tag != TAG_UTF8 && value.tag != TAG_PRINTABLE && value.tag != TAG_IA5)
		return KS_EDAMAGED;
	item->label = ks_set_bytes(item->set, value.content.data, value.content.size);
	return item->label.data ? 0 : KS_ENOMEM;
}

/* Java keeps the creation date in the id: the text "Time 1700000000000", in milliseconds. */
static int64_t java_time(struct ks_bytes id)
{
	int64_t value = 0;

	if (id.size < 6 || id.size > 5 + 15 || memcmp(id.data, "Time ", 5) != 0)
		return 0;
	for (size_t i = 5; i < id.size; i++) {
		if (id.data[i] < '0' || id.data[i] > '9')
			return 0;
		value = value * 10 + (id.data[i] - '0');
	}
	return value / 1000;
}

static int id_read(struct ks_item *item, struct ks_bytes values)
{
	struct ks_der value;

	if (item->id.data)
		return 0;
	if (ks_der_expect(&value, &values, KS_DER_OCTETS) < 0)
		return KS_EDAMAGED;
	item->id = value.content;
	item->created = java_time(value.content);
	return 0;
}

static unsigned char trusted_of(struct ks_bytes values)
{
	struct ks_der value;
	unsigned char trusted = 0;

	while (ks_der_maybe(&value, &values, KS_DER_OID))
		for (size_t i = 0; i < USAGES; i++)
			if (ks_bytes_equal(usages[i].oid, value.content))
				trusted |= usages[i].purpose;
	return trusted;
}

int ks_pkcs12_attributes_read(struct ks_item *item, struct ks_bytes set)
{
	struct attribute_found found;
	struct ks_der outer;
	struct ks_bytes rest;
	int rc = 0;

	if (ks_der_only(&outer, set, KS_DER_SET) < 0)
		return KS_EDAMAGED;
	rest = outer.content;
	while (rc == 0 && rest.size) {
		rc = attribute_next(&found, &rest);
		if (rc < 0)
			return rc;
		if (found.which == FRIENDLY_NAME)
			rc = label_read(item, found.values);
		else if (found.which == LOCAL_KEY_ID)
			rc = id_read(item, found.values);
		else if (found.which == JAVA_TRUSTED)
			item->trust.trusted |= trusted_of(found.values);
	}
	return rc;
}

/* ---- writing ---------------------------------------------------------------------------------------------------------- */

static void wrapped_put(struct ks_buffer *out, struct ks_bytes oid, unsigned char tag, struct ks_bytes value, bool bmp)
{
	size_t sequence = ks_der_open(out, KS_DER_SEQUENCE), values, inner;

	ks_der_put(out, KS_DER_OID, oid);
	values = ks_der_open(out, KS_DER_SET);
	inner = ks_der_open(out, tag);
	if (bmp)
		ks_bmp_put(out, value, false);
	else
		ks_buffer_put(out, value.data, value.size);
	ks_der_close(out, inner);
	ks_der_close(out, values);
	ks_der_close(out, sequence);
}

static void label_put(struct ks_buffer *out, struct ks_bytes label)
{
	if (label.data)
		wrapped_put(out, KS_BYTES(OID_FRIENDLY_NAME, 9), TAG_BMP, label, true);
}

static void id_put(struct ks_buffer *out, struct ks_bytes id)
{
	if (id.data)
		wrapped_put(out, KS_BYTES(OID_LOCAL_KEY_ID, 9), KS_DER_OCTETS, id, false);
}

static void trusted_put(struct ks_buffer *out, const struct ks_item *item)
{
	unsigned char trusted = item->kind == KS_CERTIFICATE ? item->trust.trusted : 0;
	size_t sequence, values;

	if (!trusted)
		return;
	sequence = ks_der_open(out, KS_DER_SEQUENCE);
	ks_der_put(out, KS_DER_OID, KS_BYTES(OID_JAVA_TRUSTED, sizeof(OID_JAVA_TRUSTED) - 1));
	values = ks_der_open(out, KS_DER_SET);
	for (size_t i = 0; i < USAGES; i++)
		if (trusted & usages[i].purpose)
			ks_der_put(out, KS_DER_OID, usages[i].oid);
	ks_der_close(out, values);
	ks_der_close(out, sequence);
}

/* An attribute as found still says what the item says now? */
static bool still_true(const struct attribute_found *found, const struct ks_item *item)
{
	struct ks_bytes values = found->values;
	struct ks_der value;

	switch (found->which) {
	case FRIENDLY_NAME: /* a BMPString comes out the same when written again */
		return ks_der_next(&value, &values) == 0 && value.tag != TAG_BMP &&
		       ks_bytes_equal(value.content, item->label);
	case LOCAL_KEY_ID:
		return ks_der_expect(&value, &values, KS_DER_OCTETS) == 0 && item->id.data &&
		       ks_bytes_equal(value.content, item->id);
	case JAVA_TRUSTED:
		return item->kind != KS_CERTIFICATE || trusted_of(values) == item->trust.trusted;
	default:
		return true;
	}
}

/* Old attributes in their order, each of the three known ones in its old place with its new value. */
static int edited_put(struct ks_buffer *out, const struct ks_item *item, bool written[OTHER])
{
	struct attribute_found found;
	struct ks_der outer;
	struct ks_bytes rest;

	if (ks_der_only(&outer, item->attributes, KS_DER_SET) < 0)
		return KS_EDAMAGED;
	for (rest = outer.content; rest.size;) {
		if (attribute_next(&found, &rest) < 0)
			return KS_EDAMAGED;
		if (still_true(&found, item)) {
			ks_buffer_put(out, found.whole.data, found.whole.size);
		} else if (!written[found.which]) {
			if (found.which == FRIENDLY_NAME)
				label_put(out, item->label);
			else if (found.which == LOCAL_KEY_ID)
				id_put(out, item->id);
			else
				trusted_put(out, item);
		}
		if (found.which != OTHER)
			written[found.which] = true;
	}
	return 0;
}

int ks_pkcs12_attributes_put(struct ks_buffer *out, const struct ks_item *item)
{
	bool written[OTHER] = { false };
	size_t before = out->size, set = ks_der_open(out, KS_DER_SET), empty = out->size;
	int rc = item->attributes.data ? edited_put(out, item, written) : 0;

	if (rc < 0)
		return rc;
	if (!written[FRIENDLY_NAME])
		label_put(out, item->label);
	if (!written[LOCAL_KEY_ID])
		id_put(out, item->id);
	if (!written[JAVA_TRUSTED])
		trusted_put(out, item);
	if (out->status)
		return out->status;
	if (out->size == empty) {
		out->size = before;
		return 0;
	}
	return ks_der_close(out, set);
}
