/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Distinguished names: what people type becomes DER, and DER becomes what people read.
 *
 * Reading walks the DER and appends to one buffer, so its cost is that of the bytes, however many attributes there
 * are. Names are shown in the order of the certificate, which is what people compare with; the escapes are those of
 * RFC 4514, so that what is shown can be typed back.
 */
#include "name.h"
#include "der.h"
#include "text.h"

#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/x509.h>

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define LONGEST_NAME 65536

/* ---- attributes ---- */

/* X.520's own are 2.5.4.n and written as n alone; `also` are other spellings that people use, blank separated. */
static const struct attribute {
	const char *word;
	const char *also;
	int nid;
	unsigned longest; /* characters; RFC 5280 A.1 */
	struct ks_bytes oid;
} attributes[] = {
#define X520(n)                                                                                                        \
	{                                                                                                              \
		(const unsigned char *)"\x55\x04" n, 3                                                                 \
	}
#define OID(text)                                                                                                      \
	{                                                                                                              \
		(const unsigned char *)(text), sizeof(text) - 1                                                        \
	}
	{ "CN", "commonName", NID_commonName, 64, X520("\x03") },
	{ "O", "organizationName", NID_organizationName, 64, X520("\x0a") },
	{ "OU", "organizationalUnitName", NID_organizationalUnitName, 64, X520("\x0b") },
	{ "C", "countryName", NID_countryName, 2, X520("\x06") },
	{ "L", "localityName", NID_localityName, 128, X520("\x07") },
	{ "ST", "stateOrProvinceName S SP", NID_stateOrProvinceName, 128, X520("\x08") },
	{ "DC", "domainComponent", NID_domainComponent, 63, OID("\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19") },
	{ "UID", "userId", NID_userId, 256, OID("\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x01") },
	{ "emailAddress", "E EMAIL MAIL", NID_pkcs9_emailAddress, 255, OID("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01") },
	{ "serialNumber", "", NID_serialNumber, 64, X520("\x05") },
	{ "SN", "surname", NID_surname, 40, X520("\x04") },
	{ "GN", "givenName", NID_givenName, 16, X520("\x2a") },
	{ "initials", "", NID_initials, 5, X520("\x2b") },
	{ "title", "T", NID_title, 64, X520("\x0c") },
	{ "street", "streetAddress", NID_streetAddress, 128, X520("\x09") },
	{ "postalCode", "PC", NID_postalCode, 40, X520("\x11") },
	{ "description", "", NID_description, 1024, X520("\x0d") },
	{ "businessCategory", "", NID_businessCategory, 128, X520("\x0f") },
	{ "telephoneNumber", "", NID_telephoneNumber, 32, X520("\x14") },
	{ "name", "", NID_name, 32768, X520("\x29") },
	{ "generationQualifier", "", NID_generationQualifier, 3, X520("\x2c") },
	{ "dnQualifier", "DNQ", NID_dnQualifier, 64, X520("\x2e") },
	{ "pseudonym", "", NID_pseudonym, 128, X520("\x41") },
	{ "organizationIdentifier", "", NID_organizationIdentifier, 256, X520("\x61") },
	{ "unstructuredName", "", NID_pkcs9_unstructuredName, 255, OID("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x02") },
	{ "unstructuredAddress", "", NID_pkcs9_unstructuredAddress, 255, OID("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x08") },
	{ "jurisdictionL", "jurisdictionLocalityName", NID_jurisdictionLocalityName, 128,
	  OID("\x2b\x06\x01\x04\x01\x82\x37\x3c\x02\x01\x01") },
	{ "jurisdictionST", "jurisdictionStateOrProvinceName", NID_jurisdictionStateOrProvinceName, 128,
	  OID("\x2b\x06\x01\x04\x01\x82\x37\x3c\x02\x01\x02") },
	{ "jurisdictionC", "jurisdictionCountryName", NID_jurisdictionCountryName, 2,
	  OID("\x2b\x06\x01\x04\x01\x82\x37\x3c\x02\x01\x03") },
};

static const struct attribute *attribute_of_oid(struct ks_bytes oid)
{
	for (size_t i = 0; i < COUNT(attributes); i++) {
		if (ks_bytes_equal(oid, attributes[i].oid))
			return &attributes[i];
	}
	return NULL;
}

/* Is `word` one of the blank separated `list`, any case? */
static bool listed(const char *list, const char *word, size_t length)
{
	while (*list) {
		size_t here = strcspn(list, " ");

		if (here == length && strncasecmp(list, word, length) == 0)
			return true;
		list += here + (list[here] == ' ');
	}
	return false;
}

static const struct attribute *attribute_of_word(const char *word)
{
	size_t length = strlen(word);

	for (size_t i = 0; i < COUNT(attributes); i++) {
		if (strcasecmp(word, attributes[i].word) == 0 || listed(attributes[i].also, word, length))
			return &attributes[i];
	}
	return NULL;
}

/* ---- showing: strings ---- */

static void put_utf8(struct ks_buffer *out, uint32_t point)
{
	unsigned char bytes[4];
	size_t size = 0;

	if (point < 0x80) {
		bytes[size++] = (unsigned char)point;
	} else if (point < 0x800) {
		bytes[size++] = (unsigned char)(0xc0 | point >> 6);
		bytes[size++] = (unsigned char)(0x80 | (point & 0x3f));
	} else if (point < 0x10000) {
		bytes[size++] = (unsigned char)(0xe0 | point >> 12);
		bytes[size++] = (unsigned char)(0x80 | (point >> 6 & 0x3f));
		bytes[size++] = (unsigned char)(0x80 | (point & 0x3f));
	} else {
		bytes[size++] = (unsigned char)(0xf0 | point >> 18);
		bytes[size++] = (unsigned char)(0x80 | (point >> 12 & 0x3f));
		bytes[size++] = (unsigned char)(0x80 | (point >> 6 & 0x3f));
		bytes[size++] = (unsigned char)(0x80 | (point & 0x3f));
	}
	ks_buffer_put(out, bytes, size);
}

#define NO_POINT 0xffffffffu

/*
 * How many bytes a character of an ASN.1 string type takes: 1 = one of Latin-1, 2 = BMP, 4 = Universal, 0 = UTF-8,
 * -1 = no text.
 */
static int width_of(unsigned char tag)
{
	switch (tag) {
	case 0x0c:
		return 0;
	case 0x12: /* NumericString */
	case 0x13: /* PrintableString */
	case 0x14: /* T61String: everybody puts Latin-1 there */
	case 0x16: /* IA5String */
	case 0x1a: /* VisibleString */
		return 1;
	case 0x1e:
		return 2;
	case 0x1c:
		return 4;
	default:
		return -1;
	}
}

/* Takes the next character off `*rest`; *taken are its bytes. NO_POINT when they are no character of that type. */
static uint32_t next_point(size_t *taken, struct ks_bytes rest, int width)
{
	uint32_t point = 0;

	if (width == 0) {
		*taken = ks_utf8_next(&point, rest.data, rest.size);
		if (*taken)
			return point;
		*taken = 1;
		return NO_POINT;
	}
	*taken = (size_t)width;
	if (rest.size < (size_t)width) {
		*taken = rest.size;
		return NO_POINT;
	}
	for (int i = 0; i < width; i++)
		point = point << 8 | rest.data[i];
	if (width == 2 && point >= 0xd800 && point < 0xdc00 && rest.size >= 4) {
		uint32_t low = (uint32_t)rest.data[2] << 8 | rest.data[3];

		if (low >= 0xdc00 && low < 0xe000) {
			*taken = 4;
			return 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
		}
	}
	return point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff) ? NO_POINT : point;
}

static void put_pairs(struct ks_buffer *out, struct ks_bytes bytes)
{
	for (size_t i = 0; i < bytes.size; i++)
		ks_buffer_format(out, "\\%02X", bytes.data[i]);
}

/* What would be taken for punctuation of the name, at that place (RFC 4514 2.4). */
static bool needs_backslash(uint32_t point, bool first, bool last)
{
	if (point == ' ')
		return first || last;
	if (point == '#')
		return first;
	return point < 0x80 && point && strchr(",+\"\\<>;", (int)point);
}

static void show_text(struct ks_buffer *out, struct ks_bytes value, int width)
{
	size_t taken;

	for (size_t at = 0; at < value.size; at += taken) {
		uint32_t point = next_point(&taken, KS_BYTES(value.data + at, value.size - at), width);

		if (point == NO_POINT) {
			put_pairs(out, KS_BYTES(value.data + at, taken));
		} else if (ks_text_hides(point)) {
			struct ks_buffer bytes = { .ceiling = 8 };

			put_utf8(&bytes, point);
			put_pairs(out, ks_buffer_bytes(&bytes));
			free(bytes.data);
		} else {
			if (needs_backslash(point, at == 0, at + taken == value.size))
				ks_buffer_text(out, "\\");
			put_utf8(out, point);
		}
	}
}

/* ---- showing: names ---- */

static void show_hex(struct ks_buffer *out, struct ks_bytes bytes)
{
	ks_buffer_text(out, "#");
	for (size_t i = 0; i < bytes.size; i++)
		ks_buffer_format(out, "%02x", bytes.data[i]);
}

/* Dotted text of an OID's content octets (X.690 8.19); as hexadecimal when an arc does not fit 64 bits. */
static void show_oid(struct ks_buffer *out, struct ks_bytes oid)
{
	size_t start = out->size;
	uint64_t arc = 0;
	bool first = true;

	for (size_t i = 0; i < oid.size; i++) {
		if (arc >> 57 || (i + 1 == oid.size && (oid.data[i] & 0x80))) {
			out->size = start;
			show_hex(out, oid);
			return;
		}
		arc = arc << 7 | (oid.data[i] & 0x7f);
		if (oid.data[i] & 0x80)
			continue;
		if (first)
			ks_buffer_format(out, "%d.%llu", arc < 80 ? (int)arc / 40 : 2,
					 (unsigned long long)(arc < 80 ? arc % 40 : arc - 80));
		else
			ks_buffer_format(out, ".%llu", (unsigned long long)arc);
		first = false;
		arc = 0;
	}
}

static int show_pair(struct ks_buffer *out, struct ks_bytes *set)
{
	const struct attribute *known;
	struct ks_der pair, oid, value;
	struct ks_bytes rest;
	int width;

	if (ks_der_expect(&pair, set, KS_DER_SEQUENCE) < 0)
		return KS_EDAMAGED;
	rest = pair.content;
	if (ks_der_expect(&oid, &rest, KS_DER_OID) < 0 || ks_der_next(&value, &rest) < 0 || rest.size)
		return KS_EDAMAGED;
	known = attribute_of_oid(oid.content);
	width = width_of(value.tag);
	if (known)
		ks_buffer_text(out, known->word);
	else
		show_oid(out, oid.content);
	ks_buffer_text(out, "=");
	if (known && width >= 0)
		show_text(out, value.content, width);
	else
		show_hex(out, value.whole);
	return 0;
}

int ks_name_show(struct ks_buffer *out, struct ks_bytes der_name)
{
	struct ks_der name, set;
	struct ks_bytes rest, pairs;
	const char *before = "";

	if (ks_der_only(&name, der_name, KS_DER_SEQUENCE) < 0)
		return KS_EDAMAGED;
	for (rest = name.content; rest.size; before = ",") {
		if (ks_der_expect(&set, &rest, KS_DER_SET) < 0)
			return KS_EDAMAGED;
		for (pairs = set.content; pairs.size; before = "+") {
			ks_buffer_text(out, before);
			if (show_pair(out, &pairs) < 0)
				return KS_EDAMAGED;
		}
	}
	return out->status;
}

/* Every byte becomes at most four characters ("\\XX" of two or three), every attribute a few more. */
static size_t shown_ceiling(struct ks_bytes der)
{
	return der.size * 12 + 64;
}

char *ks_name_text(struct ks_bytes der_name)
{
	ks_auto(buffer) out = ks_buffer_new(shown_ceiling(der_name));

	if (!out || ks_name_show(out, der_name) < 0)
		return NULL;
	return strdup(ks_buffer_string(out));
}

/* The value as plain UTF-8; false when it is no text. */
static bool plain_text(struct ks_buffer *out, struct ks_der value)
{
	int width = width_of(value.tag);
	size_t taken;

	if (width < 0)
		return false;
	for (size_t at = 0; at < value.content.size; at += taken) {
		uint32_t point = next_point(&taken, KS_BYTES(value.content.data + at, value.content.size - at), width);

		if (point == NO_POINT || point == 0)
			return false;
		put_utf8(out, point);
	}
	return out->status == 0;
}

char *ks_name_common(struct ks_bytes der_name)
{
	struct ks_der name, set, pair, oid, value;
	struct ks_bytes rest, pairs, parts;

	if (ks_der_only(&name, der_name, KS_DER_SEQUENCE) < 0)
		return NULL;
	for (rest = name.content; ks_der_maybe(&set, &rest, KS_DER_SET);) {
		for (pairs = set.content; ks_der_maybe(&pair, &pairs, KS_DER_SEQUENCE);) {
			ks_auto(buffer) out = NULL;

			parts = pair.content;
			if (ks_der_expect(&oid, &parts, KS_DER_OID) < 0 || ks_der_next(&value, &parts) < 0 ||
			    !ks_der_is(oid.content, "\x55\x04\x03"))
				continue;
			out = ks_buffer_new(shown_ceiling(value.content));
			return out && plain_text(out, value) ? strdup(ks_buffer_string(out)) : NULL;
		}
	}
	return NULL;
}

/* ---- typing: names ---- */

/* The text being parsed, and how pairs are separated in it: commas, or slashes in the /CN=.../O=... form. */
struct typed {
	struct ks_ctx *ctx;
	const char *at;
	bool slashes;
};

static void skip_blanks(struct typed *typed)
{
	while (*typed->at == ' ')
		typed->at++;
}

static bool ends_value(const struct typed *typed)
{
	char c = *typed->at;

	return c == '\0' || (typed->slashes ? c == '/' : c == ',' || c == ';') || c == '+';
}

/* "\2C" or "\," at typed->at, behind the backslash. */
static int take_escape(struct ks_buffer *out, struct typed *typed)
{
	char pair[3] = { 0 };
	unsigned char byte;

	if (isxdigit((unsigned char)typed->at[0]) && isxdigit((unsigned char)typed->at[1])) {
		memcpy(pair, typed->at, 2);
		ks_unhex(&byte, 1, pair);
		typed->at += 2;
		return ks_buffer_put(out, &byte, 1);
	}
	if (*typed->at == '\0')
		return ks_fail(typed->ctx, KS_EUSAGE, "the name ends in a lone backslash");
	return ks_buffer_put(out, typed->at++, 1);
}

/* A value in double quotes (RFC 2253), typed->at behind the first. */
static int take_quoted(struct ks_buffer *out, struct typed *typed)
{
	int rc = 0;

	while (rc == 0 && *typed->at != '"') {
		if (*typed->at == '\0')
			return ks_fail(typed->ctx, KS_EUSAGE,
				       "the name has an opening quotation mark without a closing one");
		if (*typed->at == '\\') {
			typed->at++;
			rc = take_escape(out, typed);
		} else {
			rc = ks_buffer_put(out, typed->at++, 1);
		}
	}
	typed->at++;
	skip_blanks(typed);
	if (rc == 0 && !ends_value(typed))
		return ks_fail(typed->ctx, KS_EUSAGE, "the name has text behind a closing quotation mark");
	return rc;
}

/* The value up to the next separator, escapes undone, blanks around it dropped. */
static int take_value(struct ks_buffer *out, struct typed *typed)
{
	size_t keep = 0;
	int rc = 0;

	skip_blanks(typed);
	if (*typed->at == '"') {
		typed->at++;
		return take_quoted(out, typed);
	}
	while (rc == 0 && !ends_value(typed)) {
		bool blank = *typed->at == ' ';

		if (*typed->at == '\\') {
			typed->at++;
			rc = take_escape(out, typed);
		} else {
			rc = ks_buffer_put(out, typed->at++, 1);
		}
		if (!blank)
			keep = out->size;
	}
	out->size = keep;
	return rc;
}

/* The attribute's name in front of "="; into `word`. */
static int take_word(char word[64], struct typed *typed)
{
	size_t length;

	skip_blanks(typed);
	length = strcspn(typed->at, typed->slashes ? "=/+" : "=,;+");
	if (typed->at[length] != '=' || length == 0 || length >= 64) {
		ks_auto_mem char *shown = ks_text_show(KS_BYTES(typed->at, length < 64 ? length : 64));

		return ks_hint(typed->ctx,
			       ks_fail(typed->ctx, KS_EUSAGE, "the name has \"%s\" where TYPE=VALUE should stand",
				       shown ? shown : ""),
			       "write it like CN=colinpaice,O=HW,C=GB; a comma inside a value is written as \\,");
	}
	memcpy(word, typed->at, length);
	while (length && word[length - 1] == ' ')
		length--;
	word[length] = '\0';
	typed->at = strchr(typed->at, '=') + 1;
	return 0;
}

static int fail_unknown(struct ks_ctx *ctx, const char *word)
{
	ks_auto_mem char *shown = ks_text_show(ks_bytes_of(word));
	const char *list[COUNT(attributes) + 1] = { NULL };
	const char *near;

	for (size_t i = 0; i < COUNT(attributes); i++)
		list[i] = attributes[i].word;
	near = ks_nearest(word, list);
	ks_fail(ctx, KS_EUSAGE, "a name has no attribute \"%s\"%s%s%s", shown ? shown : "",
		near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
	return ks_hint(ctx, KS_EUSAGE,
		       "the usual ones are CN, O, OU, L, ST, C, DC, UID, emailAddress; others as a dotted number");
}

static size_t characters(struct ks_bytes text)
{
	size_t count = 0;

	for (size_t i = 0; i < text.size; i++)
		count += (text.data[i] & 0xc0) != 0x80;
	return count;
}

static int check_value(struct ks_ctx *ctx, const char *word, const struct attribute *known, struct ks_bytes value)
{
	if (value.size == 0)
		return ks_fail(ctx, KS_EUSAGE, "the attribute %s of the name is empty", word);
	if (!ks_utf8_valid(value))
		return ks_fail(ctx, KS_EUSAGE, "the attribute %s of the name is not UTF-8", word);
	if (memchr(value.data, 0, value.size))
		return ks_fail(ctx, KS_EUSAGE, "the attribute %s of the name has a NUL character in it", word);
	if (known && characters(value) > known->longest)
		return ks_fail(ctx, KS_EUSAGE,
			       "the attribute %s of the name has %zu characters; %u is the longest allowed (RFC 5280)",
			       word, characters(value), known->longest);
	if (known && known->nid == NID_countryName && characters(value) != 2)
		return ks_hint(ctx, ks_fail(ctx, KS_EUSAGE, "the attribute C of the name must have two letters"),
			       "use the ISO 3166 code, for example GB");
	return 0;
}

/* "#0c0178": the value's own DER, which must be one string. */
static int put_hex_value(X509_NAME *name, struct ks_ctx *ctx, ASN1_OBJECT *type, const char *word, const char *digits,
			 int set)
{
	unsigned char der[512];
	struct ks_der value;
	long size = ks_unhex(der, sizeof(der), digits);

	if (size <= 0)
		return ks_fail(ctx, KS_EUSAGE, "the attribute %s of the name is not hexadecimal behind #", word);
	if (ks_der_next(&value, &(struct ks_bytes){ der, (size_t)size }) < 0 || value.whole.size != (size_t)size ||
	    width_of(value.tag) < 0)
		return ks_fail(ctx, KS_EUSAGE, "the attribute %s of the name is not the DER of one string behind #",
			       word);
	if (!X509_NAME_add_entry_by_OBJ(name, type, value.tag, value.content.data, (int)value.content.size, -1, set))
		return ks_fail_openssl(ctx, KS_EUSAGE, "the attribute %s of the name cannot be encoded", word);
	return 0;
}

static int put_value(X509_NAME *name, struct ks_ctx *ctx, ASN1_OBJECT *type, const char *word, struct ks_bytes value,
		     int set)
{
	if (X509_NAME_add_entry_by_OBJ(name, type, MBSTRING_UTF8, value.data, (int)value.size, -1, set))
		return 0;
	ks_fail_openssl(ctx, KS_EUSAGE, "the attribute %s of the name has a character that its type cannot hold", word);
	return ks_hint(ctx, KS_EUSAGE,
		       "countries and serial numbers take plain letters and digits, mail addresses and DC take ASCII");
}

/* One TYPE=VALUE; `set` is 0 for a new RDN, -1 to join the one before (OpenSSL's convention). */
static int take_pair(X509_NAME *name, struct typed *typed, int set)
{
	ks_auto(buffer) value = ks_buffer_new(LONGEST_NAME);
	const struct attribute *known;
	ASN1_OBJECT *type;
	char word[64];
	bool hex;
	int rc;

	if (!value)
		return ks_nomem(typed->ctx);
	rc = take_word(word, typed);
	if (rc < 0)
		return rc;
	known = attribute_of_word(word);
	type = known ? OBJ_nid2obj(known->nid) : isdigit((unsigned char)word[0]) ? OBJ_txt2obj(word, 1) : NULL;
	ERR_clear_error();
	if (!type)
		return fail_unknown(typed->ctx, word);
	skip_blanks(typed);
	hex = *typed->at == '#';
	rc = take_value(value, typed);
	if (rc == 0 && hex)
		rc = put_hex_value(name, typed->ctx, type, word, ks_buffer_string(value) + 1, set);
	else if (rc == 0 && (rc = check_value(typed->ctx, word, known, ks_buffer_bytes(value))) == 0)
		rc = put_value(name, typed->ctx, type, word, ks_buffer_bytes(value), set);
	ASN1_OBJECT_free(type);
	return rc;
}

int ks_name_parse(X509_NAME **out, struct ks_ctx *ctx, const char *text)
{
	ks_auto_ssl(X509_NAME) name = X509_NAME_new();
	struct typed typed = { ctx, text, false };
	int rc, set = 0;

	if (!name)
		return ks_nomem(ctx);
	if (strlen(text) > LONGEST_NAME)
		return ks_fail(ctx, KS_EUSAGE, "the name is longer than %d bytes", LONGEST_NAME);
	skip_blanks(&typed);
	if (*typed.at == '/') {
		typed.slashes = true;
		typed.at++;
	}
	if (*typed.at == '\0')
		return ks_hint(ctx, ks_fail(ctx, KS_EUSAGE, "the name is empty"),
			       "write it like CN=colinpaice,O=HW,C=GB");
	for (;;) {
		rc = take_pair(name, &typed, set);
		if (rc < 0)
			return rc;
		if (*typed.at == '\0')
			break;
		set = *typed.at++ == '+' ? -1 : 0;
	}
	*out = ks_take(name);
	return 0;
}
