/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Alternative names: one row for each kind, with how it is checked and how it is tagged in DER.
 */
#include "altname.h"
#include "der.h"
#include "name.h"
#include "text.h"

#include <openssl/x509.h>

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))


#define UPN_OID "\x2b\x06\x01\x04\x01\x82\x37\x14\x02\x03"

/* Letters, digits, hyphens and underscores in labels of at most 63; a star may be the whole first label. */
static bool dns_valid(const char *name)
{
	size_t total = strlen(name);

	if (total == 0 || total > 253)
		return false;
	if (name[0] == '*' && name[1] == '.')
		name += 2;
	for (;;) {
		size_t label = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");

		if (label == 0 || label > 63 || name[0] == '-' || name[label - 1] == '-')
			return false;
		if (name[label] == '\0')
			return true;
		if (name[label] != '.')
			return false;
		name += label + 1;
	}
}

static bool ascii_visible(const char *text)
{
	for (; *text; text++) {
		if (*text <= ' ' || *text >= 0x7f)
			return false;
	}
	return true;
}

static bool email_valid(const char *address)
{
	const char *at = strrchr(address, '@');

	return at && at != address && ascii_visible(address) && dns_valid(at + 1) && at[1] != '*';
}

static bool ip_valid(const char *address)
{
	unsigned char bytes[16];

	return inet_pton(AF_INET, address, bytes) == 1 || inet_pton(AF_INET6, address, bytes) == 1;
}

/* A scheme, a colon and something behind it (RFC 3986 3.1). */
static bool uri_valid(const char *uri)
{
	size_t scheme = strspn(uri, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");

	return isalpha((unsigned char)uri[0]) && uri[scheme] == ':' && uri[scheme + 1] && ascii_visible(uri);
}

static bool upn_valid(const char *name)
{
	const char *at = strrchr(name, '@');

	return at && at != name && at[1] && ks_utf8_valid(ks_bytes_of(name));
}

static bool anything_valid(const char *text)
{
	return *text != '\0';
}

static const struct altname_row {
	const char *kind;
	bool (*valid)(const char *value);
	unsigned char tag;	/* of the GeneralName; 0 = it is more than a tagged string */
	const char *example;
} altname_rows[] = {
	{ "dns", dns_valid, 0x82, "dns:www.example.org; names beyond ASCII are written in their xn-- form" },
	{ "email", email_valid, 0x81, "email:someone@example.org" },
	{ "ip", ip_valid, 0, "ip:192.0.2.1 or ip:2001:db8::1" },
	{ "uri", uri_valid, 0x86, "uri:https://example.org/" },
	{ "upn", upn_valid, 0, "upn:someone@example.org" },
	{ "dirname", anything_valid, 0, "dirname:CN=someone,O=HW" },
};

static const struct altname_row *altname_row(const char *kind)
{
	for (size_t i = 0; i < COUNT(altname_rows); i++) {
		if (strcasecmp(kind, altname_rows[i].kind) == 0)
			return &altname_rows[i];
	}
	return NULL;
}

/* Takes over `value`. */
static int altname_push(struct ks_altnames *names, const char *kind, char *value)
{
	struct ks_altname *added;

	if (!value || ks_array_grow(&names->names, &names->capacity, names->count + 1, sizeof(*names->names))) {
		free(value);
		return KS_ENOMEM;
	}
	added = &names->names[names->count++];
	snprintf(added->kind, sizeof(added->kind), "%s", kind);
	added->value = value;
	return 0;
}

static int fail_altname_kind(struct ks_ctx *ctx, const char *kind)
{
	ks_auto_mem char *shown = ks_text_show(ks_bytes_of(kind));
	const char *list[COUNT(altname_rows) + 1] = { NULL };
	const char *near;

	for (size_t i = 0; i < COUNT(altname_rows); i++)
		list[i] = altname_rows[i].kind;
	near = ks_nearest(kind, list);
	ks_fail(ctx, KS_EUSAGE, "there is no kind of alternative name \"%s\"%s%s%s", shown ? shown : "",
		near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
	return ks_hint(ctx, KS_EUSAGE, "write dns:, email:, ip:, uri:, upn: or dirname: in front of the name");
}

/* An IP address in the one form that inet_ntop writes, so that equal addresses are equal text. */
static char *ip_text(struct ks_bytes bytes)
{
	char text[INET6_ADDRSTRLEN];

	if ((bytes.size != 4 && bytes.size != 16) ||
	    !inet_ntop(bytes.size == 4 ? AF_INET : AF_INET6, bytes.data, text, sizeof(text)))
		return NULL;
	return strdup(text);
}

static size_t ip_bytes(unsigned char out[16], const char *address)
{
	if (inet_pton(AF_INET, address, out) == 1)
		return 4;
	return inet_pton(AF_INET6, address, out) == 1 ? 16 : 0;
}

static char *normal_value(const struct altname_row *row, const char *value)
{
	unsigned char bytes[16];

	if (row->valid == ip_valid)
		return ip_text(KS_BYTES(bytes, ip_bytes(bytes, value)));
	return strdup(value);
}

int ks_altnames_add(struct ks_altnames *names, struct ks_ctx *ctx, const char *typed)
{
	const char *colon = strchr(typed, ':');
	ks_auto_mem char *kind = strndup(typed, colon ? (size_t)(colon - typed) : strlen(typed));
	const struct altname_row *row;

	if (!kind)
		return ks_nomem(ctx);
	row = colon ? altname_row(kind) : NULL;
	if (!row)
		return fail_altname_kind(ctx, kind);
	if (!row->valid(colon + 1)) {
		ks_auto_mem char *shown = ks_text_show(ks_bytes_of(colon + 1));

		return ks_hint(ctx, ks_fail(ctx, KS_EUSAGE, "\"%s\" is not a name of the kind %s", shown ? shown : "", row->kind),
			       "%s", row->example);
	}
	if (row->valid == anything_valid) {
		ks_auto_ssl(X509_NAME) name = NULL;
		int rc = ks_name_parse(&name, ctx, colon + 1);

		if (rc < 0)
			return rc;
	}
	return altname_push(names, row->kind, normal_value(row, colon + 1)) < 0 ? ks_nomem(ctx) : 0;
}

/* ---- alternative names out of DER ---- */

/* The text of a tagged string when it is what its kind promises; NULL otherwise. */
static char *altname_string(const struct altname_row *row, struct ks_bytes content)
{
	char *text;

	if (content.size == 0 || memchr(content.data, 0, content.size))
		return NULL;
	text = strndup((const char *)content.data, content.size);
	if (text && !row->valid(text)) {
		free(text);
		return NULL;
	}
	return text;
}

/* [0] { OID, [0] { UTF8String } } with Microsoft's user principal name. */
static char *altname_upn(struct ks_der general)
{
	struct ks_der oid, wrapped, text;
	struct ks_bytes rest = general.content;

	if (ks_der_expect(&oid, &rest, KS_DER_OID) < 0 || !ks_der_is(oid.content, UPN_OID) ||
	    ks_der_expect(&wrapped, &rest, KS_DER_CONTEXT(0)) < 0 || rest.size ||
	    ks_der_only(&text, wrapped.content, 0x0c) < 0)
		return NULL;
	return altname_string(altname_row("upn"), text.content);
}

/* The text of one GeneralName and its kind; NULL when it is none of those that people type. */
static char *altname_text(const char **kind, struct ks_der general)
{
	for (size_t i = 0; i < COUNT(altname_rows); i++) {
		if (altname_rows[i].tag && altname_rows[i].tag == general.tag) {
			*kind = altname_rows[i].kind;
			return altname_string(&altname_rows[i], general.content);
		}
	}
	*kind = general.tag == 0x87 ? "ip" : general.tag == 0xa4 ? "dirname" : "upn";
	if (general.tag == 0x87)
		return ip_text(general.content);
	if (general.tag == 0xa4)
		return ks_name_text(general.content);
	return general.tag == 0xa0 ? altname_upn(general) : NULL;
}

int ks_altnames_read(struct ks_altnames *names, struct ks_ctx *ctx, struct ks_bytes der)
{
	struct ks_der list, general;
	struct ks_bytes rest;

	if (ks_der_only(&list, der, KS_DER_SEQUENCE) < 0)
		return ks_fail(ctx, KS_EDAMAGED, "the alternative names cannot be decoded");
	for (rest = list.content; rest.size;) {
		const char *kind;
		char *text;

		if (ks_der_next(&general, &rest) < 0 || (general.tag & 0xc0) != 0x80)
			return ks_fail(ctx, KS_EDAMAGED, "the alternative names cannot be decoded");
		text = altname_text(&kind, general);
		if (!text) {
			kind = "other";
			text = ks_hex_new(general.whole);
		}
		if (altname_push(names, kind, text) < 0)
			return ks_nomem(ctx);
	}
	return 0;
}

/* ---- alternative names into DER ---- */

static int write_dirname(struct ks_buffer *out, struct ks_ctx *ctx, const char *text)
{
	ks_auto_ssl(X509_NAME) name = NULL;
	const unsigned char *der;
	size_t size;
	int rc = ks_name_parse(&name, ctx, text);

	if (rc < 0)
		return rc;
	if (!X509_NAME_get0_der(name, &der, &size))
		return ks_fail_openssl(ctx, KS_EUSAGE, "the directory name cannot be encoded");
	return ks_der_put(out, 0xa4, KS_BYTES(der, size));
}

static int write_upn(struct ks_buffer *out, const char *text)
{
	size_t outer = ks_der_open(out, 0xa0), wrapped;

	ks_der_put(out, KS_DER_OID, KS_BYTES(UPN_OID, sizeof(UPN_OID) - 1));
	wrapped = ks_der_open(out, KS_DER_CONTEXT(0));
	ks_der_put(out, 0x0c, ks_bytes_of(text));
	ks_der_close(out, wrapped);
	return ks_der_close(out, outer);
}

static int write_other(struct ks_buffer *out, struct ks_ctx *ctx, const char *hex)
{
	size_t size = strlen(hex) / 2;
	unsigned char *room = ks_buffer_room(out, size);

	if (!room)
		return out->status;
	if (ks_unhex(room, size, hex) < 0)
		return ks_fail(ctx, KS_EUSAGE, "an alternative name is not hexadecimal");
	out->size += size;
	return 0;
}

static int write_altname(struct ks_buffer *out, struct ks_ctx *ctx, const struct ks_altname *name)
{
	const struct altname_row *row = altname_row(name->kind);
	unsigned char bytes[16];

	if (!row)
		return write_other(out, ctx, name->value);
	if (row->tag)
		return ks_der_put(out, row->tag, ks_bytes_of(name->value));
	if (row->valid == ip_valid)
		return ks_der_put(out, 0x87, KS_BYTES(bytes, ip_bytes(bytes, name->value)));
	return row->valid == upn_valid ? write_upn(out, name->value) : write_dirname(out, ctx, name->value);
}

int ks_altnames_write(struct ks_buffer *out, struct ks_ctx *ctx, const struct ks_altnames *names)
{
	size_t list = ks_der_open(out, KS_DER_SEQUENCE);
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < names->count; i++)
		rc = write_altname(out, ctx, &names->names[i]);
	if (rc == 0)
		rc = ks_der_close(out, list);
	return rc == KS_ENOMEM || rc == KS_ELIMIT ? ks_fail(ctx, rc, "the alternative names take too much memory") : rc;
}

/* ---- comparing ---- */

static int altname_order(const void *a, const void *b)
{
	const struct ks_altname *x = *(const struct ks_altname *const *)a, *y = *(const struct ks_altname *const *)b;
	int order = strcmp(x->kind, y->kind);

	if (order)
		return order;
	return strcmp(x->kind, "dns") == 0 ? strcasecmp(x->value, y->value) : strcmp(x->value, y->value);
}

/* Sorted pointers without repeats; NULL without memory. */
static const struct ks_altname **sorted_altnames(size_t *count, const struct ks_altnames *names)
{
	const struct ks_altname **sorted = ks_array(names->count, sizeof(*sorted));
	size_t kept = 0;

	if (!sorted)
		return NULL;
	for (size_t i = 0; i < names->count; i++)
		sorted[i] = &names->names[i];
	qsort(sorted, names->count, sizeof(*sorted), altname_order);
	for (size_t i = 0; i < names->count; i++) {
		if (i == 0 || altname_order(&sorted[i], &sorted[kept - 1]) != 0)
			sorted[kept++] = sorted[i];
	}
	*count = kept;
	return sorted;
}

bool ks_altnames_equal(const struct ks_altnames *a, const struct ks_altnames *b)
{
	size_t a_count = 0, b_count = 0;
	ks_auto_mem const struct ks_altname **x = sorted_altnames(&a_count, a);
	ks_auto_mem const struct ks_altname **y = sorted_altnames(&b_count, b);

	if (!x || !y || a_count != b_count)
		return false;
	for (size_t i = 0; i < a_count; i++) {
		if (altname_order(&x[i], &y[i]) != 0)
			return false;
	}
	return true;
}

void ks_altnames_free(struct ks_altnames *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->names[i].value);
	free(names->names);
	*names = (struct ks_altnames){ 0 };
}
