/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A certificate's facts, in one pass over its DER (RFC 5280 4.1, 4.2). Nothing is allocated.
 *
 * An extension that we act upon and cannot read makes the whole certificate damaged: guessing at "may it sign
 * others" is worse than saying no.
 */
#include "certificate.h"
#include "der.h"
#include "text.h"

#include <string.h>

#define UTC_TIME 0x17
#define GENERALIZED_TIME 0x18

/* ---- dates ---- */

/* Takes `count` digits off `*rest`; -1 when there are none. */
static int digits(struct ks_bytes *rest, size_t count)
{
	int value = 0;

	if (rest->size < count)
		return -1;
	for (size_t i = 0; i < count; i++) {
		if (rest->data[i] < '0' || rest->data[i] > '9')
			return -1;
		value = value * 10 + (rest->data[i] - '0');
	}
	*rest = KS_BYTES(rest->data + count, rest->size - count);
	return value;
}

static void skip_fraction(struct ks_bytes *rest)
{
	if (rest->size && (rest->data[0] == '.' || rest->data[0] == ',')) {
		*rest = KS_BYTES(rest->data + 1, rest->size - 1);
		while (digits(rest, 1) >= 0)
			continue;
	}
}

/* Seconds to take off for "Z", "+0200" or "-0530"; RFC 5280 wants Z, old certificates have the others. */
static int zone(int64_t *offset, struct ks_bytes rest)
{
	unsigned char sign;
	int hours, minutes;

	if (rest.size == 1 && rest.data[0] == 'Z') {
		*offset = 0;
		return 0;
	}
	if (rest.size != 5 || (rest.data[0] != '+' && rest.data[0] != '-'))
		return KS_EDAMAGED;
	sign = rest.data[0];
	rest = KS_BYTES(rest.data + 1, rest.size - 1);
	hours = digits(&rest, 2);
	minutes = digits(&rest, 2);
	if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59)
		return KS_EDAMAGED;
	*offset = (int64_t)(hours * 3600 + minutes * 60) * (sign == '+' ? 1 : -1);
	return 0;
}

/* UTCTime with two digits of the year (50..99 = 19xx) or GeneralizedTime with four; seconds may be missing. */
static int date_next(int64_t *out, struct ks_bytes *rest)
{
	struct ks_der element;
	struct ks_bytes text;
	int year, month, day, hour, minute, second = 0;
	int64_t seconds, offset;

	if (ks_der_next(&element, rest) < 0 || (element.tag != UTC_TIME && element.tag != GENERALIZED_TIME))
		return KS_EDAMAGED;
	text = element.content;
	year = digits(&text, element.tag == UTC_TIME ? 2 : 4);
	if (year >= 0 && element.tag == UTC_TIME)
		year += year < 50 ? 2000 : 1900;
	month = digits(&text, 2);
	day = digits(&text, 2);
	hour = digits(&text, 2);
	minute = digits(&text, 2);
	if (text.size && text.data[0] >= '0' && text.data[0] <= '9')
		second = digits(&text, 2);
	skip_fraction(&text);
	if (year < 0 || zone(&offset, text) < 0 || ks_time_make(&seconds, year, month, day, hour, minute, second) < 0)
		return KS_EDAMAGED;
	*out = seconds - offset;
	return 0;
}

/* ---- extensions ---- */

static int read_basic_constraints(struct ks_certificate_facts *facts, struct ks_bytes value)
{
	struct ks_der sequence, element;
	struct ks_bytes rest;
	uint64_t length;

	if (ks_der_only(&sequence, value, KS_DER_SEQUENCE) < 0)
		return KS_EDAMAGED;
	rest = sequence.content;
	if (ks_der_maybe(&element, &rest, KS_DER_BOOLEAN)) {
		if (element.content.size != 1)
			return KS_EDAMAGED;
		facts->is_ca = element.content.data[0] != 0;
	}
	if (ks_der_maybe(&element, &rest, KS_DER_INTEGER)) {
		if (ks_der_number(&length, element.content) < 0)
			return KS_EDAMAGED;
		facts->path_length = length > 10000 ? 10000 : (int)length;
	}
	return rest.size ? KS_EDAMAGED : 0;
}

static int read_key_usage(struct ks_certificate_facts *facts, struct ks_bytes value)
{
	struct ks_der bits;

	if (ks_der_only(&bits, value, KS_DER_BITS) < 0 || bits.content.size < 1 || bits.content.data[0] > 7)
		return KS_EDAMAGED;
	for (unsigned n = 0; n < 16 && n / 8 + 1 < bits.content.size; n++) {
		if (bits.content.data[n / 8 + 1] & (0x80 >> n % 8))
			facts->key_usage |= 1u << n;
	}
	facts->has_key_usage = true;
	return 0;
}

static int read_subject_key_id(struct ks_certificate_facts *facts, struct ks_bytes value)
{
	struct ks_der octets;

	if (ks_der_only(&octets, value, KS_DER_OCTETS) < 0)
		return KS_EDAMAGED;
	facts->subject_key_id = octets.content;
	return 0;
}

static int read_authority_key_id(struct ks_certificate_facts *facts, struct ks_bytes value)
{
	struct ks_der sequence, element;
	struct ks_bytes rest;

	if (ks_der_only(&sequence, value, KS_DER_SEQUENCE) < 0)
		return KS_EDAMAGED;
	rest = sequence.content;
	if (ks_der_maybe(&element, &rest, 0x80))
		facts->authority_key_id = element.content;
	return 0;
}

static int read_alternative_names(struct ks_certificate_facts *facts, struct ks_bytes value)
{
	facts->alternative_names = value;
	return 0;
}

static int read_extended_usage(struct ks_certificate_facts *facts, struct ks_bytes value)
{
	struct ks_der sequence, oid;
	struct ks_bytes rest;

	if (ks_der_only(&sequence, value, KS_DER_SEQUENCE) < 0)
		return KS_EDAMAGED;
	for (rest = sequence.content; rest.size;) {
		if (ks_der_expect(&oid, &rest, KS_DER_OID) < 0)
			return KS_EDAMAGED;
	}
	facts->extended_usage = value;
	return 0;
}

/* All of them are 2.5.29.n; `last` is n. */
static const struct {
	unsigned char last;
	int (*read)(struct ks_certificate_facts *facts, struct ks_bytes value);
} extensions[] = {
	{ 14, read_subject_key_id },    { 15, read_key_usage },        { 17, read_alternative_names },
	{ 19, read_basic_constraints }, { 35, read_authority_key_id }, { 37, read_extended_usage },
};

static int read_extension(struct ks_certificate_facts *facts, struct ks_bytes *rest)
{
	struct ks_der extension, oid, critical, value;
	struct ks_bytes inside;

	if (ks_der_expect(&extension, rest, KS_DER_SEQUENCE) < 0)
		return KS_EDAMAGED;
	inside = extension.content;
	if (ks_der_expect(&oid, &inside, KS_DER_OID) < 0)
		return KS_EDAMAGED;
	ks_der_maybe(&critical, &inside, KS_DER_BOOLEAN);
	if (ks_der_expect(&value, &inside, KS_DER_OCTETS) < 0)
		return KS_EDAMAGED;
	if (oid.content.size != 3 || oid.content.data[0] != 0x55 || oid.content.data[1] != 0x1d)
		return 0;
	for (size_t i = 0; i < sizeof(extensions) / sizeof(*extensions); i++) {
		if (extensions[i].last == oid.content.data[2])
			return extensions[i].read(facts, value.content);
	}
	return 0;
}

static int read_extensions(struct ks_certificate_facts *facts, struct ks_bytes wrapped)
{
	struct ks_der list;
	struct ks_bytes rest;
	int rc = 0;

	if (ks_der_only(&list, wrapped, KS_DER_SEQUENCE) < 0)
		return KS_EDAMAGED;
	for (rest = list.content; rc == 0 && rest.size;)
		rc = read_extension(facts, &rest);
	return rc;
}

/* ---- the certificate ---- */

/* The three parts of every signed thing in X.509: what is signed, algorithm, signature. */
static int signed_parts(struct ks_bytes *tbs, struct ks_bytes der)
{
	struct ks_der outer, body, algorithm, signature;
	struct ks_bytes rest;

	if (ks_der_only(&outer, der, KS_DER_SEQUENCE) < 0)
		return KS_EDAMAGED;
	rest = outer.content;
	if (ks_der_expect(&body, &rest, KS_DER_SEQUENCE) < 0 || ks_der_expect(&algorithm, &rest, KS_DER_SEQUENCE) < 0 ||
	    ks_der_expect(&signature, &rest, KS_DER_BITS) < 0 || rest.size)
		return KS_EDAMAGED;
	*tbs = body.content;
	return 0;
}

static int read_validity(struct ks_certificate_facts *facts, struct ks_bytes *rest)
{
	struct ks_der validity;
	struct ks_bytes dates;

	if (ks_der_expect(&validity, rest, KS_DER_SEQUENCE) < 0)
		return KS_EDAMAGED;
	dates = validity.content;
	if (date_next(&facts->not_before, &dates) < 0 || date_next(&facts->not_after, &dates) < 0 || dates.size)
		return KS_EDAMAGED;
	return 0;
}

/* From the serial number to the public key. */
static int read_middle(struct ks_certificate_facts *facts, struct ks_bytes *rest)
{
	struct ks_der serial, algorithm, issuer, subject, spki;

	if (ks_der_expect(&serial, rest, KS_DER_INTEGER) < 0 || serial.content.size == 0 ||
	    ks_der_expect(&algorithm, rest, KS_DER_SEQUENCE) < 0 || ks_der_expect(&issuer, rest, KS_DER_SEQUENCE) < 0 ||
	    read_validity(facts, rest) < 0 || ks_der_expect(&subject, rest, KS_DER_SEQUENCE) < 0 ||
	    ks_der_expect(&spki, rest, KS_DER_SEQUENCE) < 0)
		return KS_EDAMAGED;
	facts->serial = serial.content;
	facts->issuer = issuer.whole;
	facts->subject = subject.whole;
	facts->spki = spki.whole;
	facts->key = ks_keyspec_of_spki(spki.whole);
	facts->self_issued = ks_bytes_equal(issuer.whole, subject.whole);
	return 0;
}

int ks_certificate_names(struct ks_bytes *issuer, struct ks_bytes *subject, struct ks_bytes der)
{
	struct ks_der version, serial, algorithm, first, validity, second;
	struct ks_bytes rest;

	if (signed_parts(&rest, der) < 0)
		return KS_EDAMAGED;
	ks_der_maybe(&version, &rest, KS_DER_CONTEXT(0));
	if (ks_der_expect(&serial, &rest, KS_DER_INTEGER) < 0 || ks_der_expect(&algorithm, &rest, KS_DER_SEQUENCE) < 0 ||
	    ks_der_expect(&first, &rest, KS_DER_SEQUENCE) < 0 || ks_der_expect(&validity, &rest, KS_DER_SEQUENCE) < 0 ||
	    ks_der_expect(&second, &rest, KS_DER_SEQUENCE) < 0)
		return KS_EDAMAGED;
	*issuer = first.whole;
	*subject = second.whole;
	return 0;
}

int ks_certificate_facts(struct ks_certificate_facts *out, struct ks_bytes der)
{
	struct ks_certificate_facts facts = { .path_length = -1 };
	struct ks_der version, unique;
	struct ks_der wrapped;
	struct ks_bytes rest;
	bool versioned;

	if (signed_parts(&rest, der) < 0)
		return KS_EDAMAGED;
	versioned = ks_der_maybe(&version, &rest, KS_DER_CONTEXT(0));
	if (read_middle(&facts, &rest) < 0)
		return KS_EDAMAGED;
	ks_der_maybe(&unique, &rest, 0x81);
	ks_der_maybe(&unique, &rest, 0x82);
	if (ks_der_maybe(&wrapped, &rest, KS_DER_CONTEXT(3))) {
		if (read_extensions(&facts, wrapped.content) < 0)
			return KS_EDAMAGED;
	} else if (!versioned && facts.self_issued) {
		facts.is_ca = true;
	}
	if (rest.size)
		return KS_EDAMAGED;
	*out = facts;
	return 0;
}

bool ks_certificate_shaped(struct ks_bytes der)
{
	struct ks_der element;
	struct ks_bytes rest;

	if (signed_parts(&rest, der) < 0)
		return false;
	ks_der_maybe(&element, &rest, KS_DER_CONTEXT(0));
	if (ks_der_expect(&element, &rest, KS_DER_INTEGER) < 0 || ks_der_expect(&element, &rest, KS_DER_SEQUENCE) < 0 ||
	    ks_der_expect(&element, &rest, KS_DER_SEQUENCE) < 0 || ks_der_expect(&element, &rest, KS_DER_SEQUENCE) < 0)
		return false;
	/*
	 * The third SEQUENCE is the validity: its first element is a date. A request or CRL has something else
	 * there.
	 */
	return element.content.size &&
	       (element.content.data[0] == UTC_TIME || element.content.data[0] == GENERALIZED_TIME);
}

unsigned ks_certificate_purposes(const struct ks_certificate_facts *facts)
{
	static const struct {
		struct ks_bytes oid;
		unsigned purpose;
	} known[] = {
		{ { (const unsigned char *)"\x2b\x06\x01\x05\x05\x07\x03\x01", 8 }, KS_FOR_SERVER },
		{ { (const unsigned char *)"\x2b\x06\x01\x05\x05\x07\x03\x02", 8 }, KS_FOR_CLIENT },
		{ { (const unsigned char *)"\x2b\x06\x01\x05\x05\x07\x03\x03", 8 }, KS_FOR_CODE },
		{ { (const unsigned char *)"\x2b\x06\x01\x05\x05\x07\x03\x04", 8 }, KS_FOR_EMAIL },
		{ { (const unsigned char *)"\x55\x1d\x25\x00", 4 },
		  KS_FOR_SERVER | KS_FOR_CLIENT | KS_FOR_CODE | KS_FOR_EMAIL | KS_FOR_ANY },
	};
	unsigned purposes = 0;
	struct ks_der sequence, oid;
	struct ks_bytes rest;

	if (!facts->extended_usage.data)
		return KS_FOR_SERVER | KS_FOR_CLIENT | KS_FOR_CODE | KS_FOR_EMAIL | KS_FOR_ANY;
	if (ks_der_only(&sequence, facts->extended_usage, KS_DER_SEQUENCE) < 0)
		return 0;
	for (rest = sequence.content; ks_der_maybe(&oid, &rest, KS_DER_OID);) {
		for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
			if (ks_bytes_equal(oid.content, known[i].oid))
				purposes |= known[i].purpose;
		}
	}
	return purposes;
}
