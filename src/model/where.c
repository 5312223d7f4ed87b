/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses: what a person typed becomes a scheme, a path or a token, an entry, and where its secret comes from.
 *
 * Nothing unknown is ever taken for a file name: a mistyped scheme that silently became a new file would hide a
 * store. PKCS#11 URIs are decoded by p11-kit; what p11-kit forgives (unknown attributes, raw blanks, repeats) is
 * refused here first, and the query attributes are taken off before, so that a PIN never reaches memory that is not
 * ours to wipe.
 */
#include "where.h"
#include "config.h"
#include "text.h"

#include <p11-kit/pkcs11.h>

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define LONGEST_ADDRESS 65536
#define SHORTEST_DIGEST 4 /* hexadecimal digits */

static const char *const schemes[] = { "p12", "jks", "jceks", "kdb", "pem", "der", "p7", "pkcs11", NULL };

/* What people call our schemes elsewhere. */
static const struct {
	const char *word, *scheme;
} nicknames[] = {
	{ "pkcs12", "p12" }, { "pfx", "p12" }, { "pkcs7", "p7" },   { "p7b", "p7" },
	{ "crt", "pem" },    { "cer", "der" }, { "p11", "pkcs11" }, { "cms", "kdb" },
};

static const char *const path_attributes[] = { "token",
					       "manufacturer",
					       "serial",
					       "model",
					       "object",
					       "type",
					       "id",
					       "slot-id",
					       "slot-description",
					       "slot-manufacturer",
					       "library-manufacturer",
					       "library-description",
					       "library-version",
					       NULL };
static const char *const token_queries[] = { "pin-source", "pin-value", "module-name", "module-path", NULL };
static const char *const file_queries[] = { "pin-source", "pin-value", NULL };

/*
 * One address on its way: the slices point into the typed text, which is never copied whole because it may hold a
 * PIN.
 */
struct parts {
	struct ks_bytes base; /* scheme and path */
	struct ks_bytes query; /* behind ?, without it; data NULL = none */
	struct ks_bytes fragment; /* behind #, without it; data NULL = none */
};

const char *const *ks_where_schemes(void)
{
	return schemes;
}

void ks_where_free(struct ks_where *where)
{
	if (!where)
		return;
	if (where->uri)
		ks_p11kit.uri_free(where->uri);
	ks_secret_free(where->pin_value);
	free(where->text);
	free(where->scheme);
	free(where->path);
	free(where->label);
	free(where->sha256);
	free(where->id);
	free(where->alias);
	free(where->pin_source);
	free(where->module);
	free(where);
}

const char *ks_where_text(const struct ks_where *where)
{
	return where->text;
}

const char *ks_where_shown(const struct ks_where *where)
{
	return where->path && strcmp(where->path, "-") == 0 ? "standard input" : where->text;
}

bool ks_where_is_token(const struct ks_where *where)
{
	return where->uri != NULL;
}

bool ks_where_is_data(const struct ks_where *where)
{
	const CK_ATTRIBUTE *type = where->uri ? ks_p11kit.uri_get_attribute(where->uri, CKA_CLASS) : NULL;
	CK_OBJECT_CLASS class;

	if (!type || type->ulValueLen != sizeof(class))
		return false;
	memcpy(&class, type->pValue, sizeof(class));
	return class == CKO_DATA;
}

bool ks_where_names_entry(const struct ks_where *where)
{
	return where->label || where->sha256 || where->id;
}

/* ---- slices ---- */

static struct ks_bytes slice(struct ks_bytes text, size_t from, size_t to)
{
	return KS_BYTES(text.data + from, to - from);
}

/* Where `c` stands first, or the end. */
static size_t find(struct ks_bytes text, char c)
{
	const unsigned char *at = text.size ? memchr(text.data, c, text.size) : NULL;

	return at ? (size_t)(at - text.data) : text.size;
}

/* A fresh string in *place, the old one freed. */
static int set_text(char **place, struct ks_ctx *ctx, struct ks_bytes text)
{
	char *fresh = malloc(text.size + 1);

	if (!fresh)
		return ks_nomem(ctx);
	if (text.size)
		memcpy(fresh, text.data, text.size);
	fresh[text.size] = '\0';
	free(*place);
	*place = fresh;
	return 0;
}

static int hex_digit(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Takes one byte off `*rest`, %XX undone; -1 for a % without two digits. */
static int next_byte(struct ks_bytes *rest)
{
	unsigned char c = rest->data[0];
	int high, low;

	if (c != '%') {
		*rest = slice(*rest, 1, rest->size);
		return c;
	}
	if (rest->size < 3)
		return -1;
	high = hex_digit(rest->data[1]);
	low = hex_digit(rest->data[2]);
	if (high < 0 || low < 0)
		return -1;
	*rest = slice(*rest, 3, rest->size);
	return high << 4 | low;
}

/* ---- query attributes ---- */

static const char *known(const char *const *list, struct ks_bytes word)
{
	for (; *list; list++) {
		if (ks_bytes_are(word, *list))
			return *list;
	}
	return NULL;
}

static int refuse_attribute(struct ks_ctx *ctx, struct ks_bytes word, const char *const *list, const char *kind)
{
	ks_auto_mem char *shown = ks_text_show(slice(word, 0, word.size < 64 ? word.size : 64));
	const char *near = shown ? ks_nearest(shown, list) : NULL;

	ks_fail(ctx, KS_EADDRESS, "the address has an unknown %s \"%s\"%s%s%s", kind, shown ? shown : "",
		near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
	return ks_hint(
		ctx, KS_EADDRESS,
		list == path_attributes
			? "pkcs11: takes token, serial, manufacturer, model, object, id, type and others of RFC 7512"
		: list == token_queries ? "behind ? stand pin-source, pin-value, module-name or module-path"
					: "behind ? stands pin-source; a ? in a file name is written %%3F");
}

static int refuse_encoding(struct ks_ctx *ctx, const char *word)
{
	return ks_hint(
		ctx,
		ks_fail(ctx, KS_EADDRESS, "the value of %s has a %% without two hexadecimal digits, or a NUL", word),
		"write a %% itself as %%25");
}

static int take_pin(struct ks_where *where, struct ks_ctx *ctx, struct ks_bytes value)
{
	char byte;
	int c, rc;

	ks_secret_free(ks_take(where->pin_value));
	rc = ks_secret_new(&where->pin_value, ctx);

	while (rc == 0 && value.size) {
		c = next_byte(&value);
		if (c < 0)
			return refuse_encoding(ctx, "pin-value");
		byte = (char)c;
		rc = ks_secret_append(where->pin_value, ctx, &byte, 1);
	}
	if (rc == 0)
		ks_notice(ctx, KS_EWEAK, NULL, "name a pin-source instead, for example ?pin-source=prompt",
			  "the address has the PIN itself in it, where shell history and other users may see it");
	return rc;
}

static int take_value(char **place, struct ks_ctx *ctx, const char *word, struct ks_bytes value)
{
	ks_auto(buffer) plain = ks_buffer_new(LONGEST_ADDRESS);
	int c;

	if (!plain)
		return ks_nomem(ctx);
	if (value.size == 0)
		return ks_fail(ctx, KS_EADDRESS, "the attribute %s of the address has no value", word);
	while (value.size) {
		c = next_byte(&value);
		if (c <= 0)
			return refuse_encoding(ctx, word);
		ks_buffer_put(plain, &(unsigned char){ (unsigned char)c }, 1);
	}
	return plain->status ? ks_nomem(ctx) : set_text(place, ctx, ks_buffer_bytes(plain));
}

/* A module-name stays a name: its [module NAME] may tell more of it than a path. */
static int take_query(struct ks_where *where, struct ks_ctx *ctx, struct ks_bytes pair, const char *const *list,
		      unsigned *seen)
{
	size_t equals = find(pair, '=');
	struct ks_bytes value = slice(pair, equals + (equals < pair.size), pair.size);
	const char *word = known(list, slice(pair, 0, equals));
	unsigned bit = 0;

	if (!word)
		return refuse_attribute(ctx, slice(pair, 0, equals), list, "query attribute");
	while (!ks_bytes_are(slice(pair, 0, equals), list[bit]))
		bit++;
	if (*seen & 1u << bit)
		return ks_fail(ctx, KS_EADDRESS, "the address has %s twice", word);
	*seen |= 1u << bit;
	if (strcmp(word, "pin-value") == 0)
		return take_pin(where, ctx, value);
	return take_value(strcmp(word, "pin-source") == 0 ? &where->pin_source : &where->module, ctx, word, value);
}

static int take_queries(struct ks_where *where, struct ks_ctx *ctx, struct ks_bytes query, const char *const *list)
{
	unsigned seen = 0;
	int rc = 0;

	while (rc == 0 && query.data && query.size) {
		size_t end = find(query, '&');

		rc = take_query(where, ctx, slice(query, 0, end), list, &seen);
		query = slice(query, end + (end < query.size), query.size);
	}
	return rc;
}

/* ---- the entry ---- */

static int take_digest(struct ks_where *where, struct ks_ctx *ctx, struct ks_bytes digits)
{
	char digest[2 * KS_SHA256 + 1];
	size_t count = 0;

	for (size_t i = 0; i < digits.size; i++) {
		if (digits.data[i] == ':')
			continue;
		if (hex_digit(digits.data[i]) < 0 || count == 2 * KS_SHA256) {
			count = 0;
			break;
		}
		digest[count++] = "0123456789abcdef"[hex_digit(digits.data[i])];
	}
	if (count < SHORTEST_DIGEST)
		return ks_hint(ctx,
			       ks_fail(ctx, KS_EADDRESS, "behind #sha256: stand %d to %d hexadecimal digits",
				       SHORTEST_DIGEST, 2 * KS_SHA256),
			       "keystow list --json shows the digests");
	return set_text(&where->sha256, ctx, KS_BYTES(digest, count));
}

static int take_fragment(struct ks_where *where, struct ks_ctx *ctx, struct ks_bytes fragment)
{
	if (!fragment.data)
		return 0;
	if (fragment.size == 0)
		return ks_fail(ctx, KS_EADDRESS, "nothing stands behind the # of the address");
	if (fragment.size > 7 && memcmp(fragment.data, "sha256:", 7) == 0)
		return take_digest(where, ctx, slice(fragment, 7, fragment.size));
	if (where->label && !ks_bytes_are(fragment, where->label))
		return ks_fail(ctx, KS_EADDRESS, "the address names two entries, by object= and behind #");
	return set_text(&where->label, ctx, fragment);
}

/* ---- PKCS#11 URIs ---- */

/*
 * What RFC 7512 2.3 lets stand bare in a value, less the parentheses, which p11-kit takes in but then does not
 * match.
 */
static bool bare(unsigned char c)
{
	return c > ' ' && c < 0x7f && !strchr("()\"<>\\^`{|}/?#", c);
}

static int check_value(struct ks_ctx *ctx, const char *word, struct ks_bytes value)
{
	while (value.size) {
		unsigned char c = value.data[0];

		if (c == '%' && next_byte(&value) < 0)
			return refuse_encoding(ctx, word);
		if (c == '%')
			continue;
		if (!bare(c)) {
			ks_auto_mem char *shown = ks_text_show(slice(value, 0, 1));

			return ks_hint(ctx,
				       ks_fail(ctx, KS_EADDRESS, "the value of %s has a bare \"%s\"", word,
					       shown ? shown : ""),
				       "write it as %%%02X: blanks, parentheses and the like are percent-encoded in "
				       "pkcs11: addresses",
				       c);
		}
		value = slice(value, 1, value.size);
	}
	return 0;
}

static int check_attributes(struct ks_ctx *ctx, struct ks_bytes path)
{
	unsigned seen = 0;
	int rc = 0;

	while (rc == 0 && path.size) {
		size_t end = find(path, ';'), equals = find(slice(path, 0, end), '=');
		struct ks_bytes word = slice(path, 0, equals);
		const char *name = known(path_attributes, word);
		unsigned bit = 0;

		if (!name)
			return refuse_attribute(ctx, word, path_attributes, "attribute");
		if (equals == end)
			return ks_fail(ctx, KS_EADDRESS, "the attribute %s of the address has no value", name);
		while (strcmp(path_attributes[bit], name) != 0)
			bit++;
		if (seen & 1u << bit)
			return ks_fail(ctx, KS_EADDRESS, "the address has %s twice", name);
		seen |= 1u << bit;
		rc = check_value(ctx, name, slice(path, equals + 1, end));
		path = slice(path, end + (end < path.size), path.size);
	}
	return rc;
}

/*
 * Tokens pad these fields with blanks, some with NULs; one form, so that either matches. An unset field stays all
 * zero.
 */
static void pad(unsigned char *field, size_t size)
{
	if (field[0] == '\0')
		return;
	while (size && (field[size - 1] == '\0' || field[size - 1] == ' '))
		field[--size] = ' ';
}

static void pad_token(P11KitUri *uri)
{
	CK_TOKEN_INFO *token = ks_p11kit.uri_get_token_info(uri);

	pad(token->label, sizeof(token->label));
	pad(token->manufacturerID, sizeof(token->manufacturerID));
	pad(token->model, sizeof(token->model));
	pad(token->serialNumber, sizeof(token->serialNumber));
}

/* CKA_LABEL and CKA_ID of the URI become label and id; padding at a label's end is dropped. */
static int take_object(struct ks_where *where, struct ks_ctx *ctx)
{
	const CK_ATTRIBUTE *label = ks_p11kit.uri_get_attribute(where->uri, CKA_LABEL);
	const CK_ATTRIBUTE *id = ks_p11kit.uri_get_attribute(where->uri, CKA_ID);
	struct ks_bytes text;
	int rc = 0;

	if (label) {
		text = KS_BYTES(label->pValue, label->ulValueLen);
		while (text.size && text.data[text.size - 1] == '\0')
			text.size--;
		if (text.size && memchr(text.data, 0, text.size))
			return ks_fail(ctx, KS_EADDRESS, "the value of object has a NUL inside");
		rc = set_text(&where->label, ctx, text);
	}
	if (rc == 0 && id && id->ulValueLen) {
		where->id = malloc(id->ulValueLen);
		if (!where->id)
			return ks_nomem(ctx);
		memcpy(where->id, id->pValue, id->ulValueLen);
		where->id_size = id->ulValueLen;
	}
	return rc;
}

static int fail_uri(struct ks_ctx *ctx, int result)
{
	if (result == P11_KIT_URI_UNEXPECTED)
		return ks_nomem(ctx);
	return ks_hint(ctx, ks_fail(ctx, KS_EADDRESS, "a value of the pkcs11: address cannot be understood"),
		       "a token has at most 32 bytes, a serial 16; type is private, public, cert, secret-key or data; "
		       "versions are 1.2");
}

static void put_module(struct ks_buffer *out, const char *module)
{
	ks_buffer_text(out, strchr(module, '/') ? "?module-path=" : "?module-name=");
	for (; *module; module++) {
		if (*module == '/' || (bare((unsigned char)*module) && !strchr("%&;", *module)))
			ks_buffer_put(out, module, 1);
		else
			ks_buffer_format(out, "%%%02X", (unsigned char)*module);
	}
}

/* The canonical form: p11-kit's order and escapes, the module when the address named one, never a PIN. */
static int token_text(struct ks_where *where, struct ks_ctx *ctx)
{
	ks_auto(buffer) text = ks_buffer_new(4 * LONGEST_ADDRESS);
	char *formatted = NULL;
	int result;

	if (!text)
		return ks_nomem(ctx);
	result = ks_p11kit.uri_format(where->uri, P11_KIT_URI_FOR_ANY, &formatted);
	if (result != P11_KIT_URI_OK)
		return fail_uri(ctx, result);
	ks_buffer_text(text, formatted);
	free(formatted);
	if (where->module)
		put_module(text, where->module);
	if (where->label && !ks_p11kit.uri_get_attribute(where->uri, CKA_LABEL)) {
		ks_buffer_text(text, "#");
		ks_text_shown(text, ks_bytes_of(where->label));
	} else if (where->sha256) {
		ks_buffer_format(text, "#sha256:%s", where->sha256);
	}
	return text->status ? ks_nomem(ctx) : set_text(&where->text, ctx, ks_buffer_bytes(text));
}

static int parse_token(struct ks_where *where, struct ks_ctx *ctx, const struct parts *parts)
{
	struct ks_bytes path = slice(parts->base, 7, parts->base.size);
	ks_auto_mem char *text = NULL;
	int result, rc;

	rc = check_attributes(ctx, path);
	if (rc == 0)
		rc = take_queries(where, ctx, parts->query, token_queries);
	if (rc == 0)
		rc = ks_p11kit_load(ctx);
	if (rc < 0)
		return rc;
	if (asprintf(&text, "pkcs11:%.*s", (int)path.size, (const char *)path.data) < 0) {
		text = NULL;
		return ks_nomem(ctx);
	}
	where->uri = ks_p11kit.uri_new();
	if (!where->uri)
		return ks_nomem(ctx);
	result = ks_p11kit.uri_parse(text, P11_KIT_URI_FOR_ANY, where->uri);
	if (result != P11_KIT_URI_OK || ks_p11kit.uri_any_unrecognized(where->uri))
		return fail_uri(ctx, result != P11_KIT_URI_OK ? result : P11_KIT_URI_BAD_SYNTAX);
	pad_token(where->uri);
	rc = set_text(&where->scheme, ctx, ks_bytes_of("pkcs11"));
	if (rc == 0)
		rc = take_object(where, ctx);
	if (rc == 0)
		rc = take_fragment(where, ctx, parts->fragment);
	return rc < 0 ? rc : token_text(where, ctx);
}

/* ---- files ---- */

static bool scheme_letter(unsigned char c, bool first)
{
	unsigned char lower = c | 0x20;

	return (lower >= 'a' && lower <= 'z') ||
	       (!first && ((c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.'));
}

/* Letters, digits, + - . with a letter first, then a colon (RFC 3986 3.1); 0 = there is no scheme. */
static size_t scheme_length(struct ks_bytes text)
{
	size_t length = 0;

	while (length < text.size && scheme_letter(text.data[length], length == 0))
		length++;
	return length < text.size && text.data[length] == ':' ? length : 0;
}

/* Only what an address uses itself is escaped in a path; every other % is a letter of the file's name. */
static bool escaped_in_path(struct ks_bytes rest)
{
	return rest.size >= 3 && rest.data[0] == '%' && (rest.data[1] == '2' || rest.data[1] == '3') &&
	       (memcmp(rest.data, "%23", 3) == 0 || memcmp(rest.data, "%25", 3) == 0 ||
		strncasecmp((const char *)rest.data, "%3f", 3) == 0);
}

static int take_path(struct ks_where *where, struct ks_ctx *ctx, struct ks_bytes typed)
{
	ks_auto(buffer) path = ks_buffer_new(LONGEST_ADDRESS);
	int c;

	if (!path)
		return ks_nomem(ctx);
	if (typed.size > 2 && memcmp(typed.data, "./", 2) == 0 && typed.data[2] != '/' &&
	    !(typed.size == 3 && typed.data[2] == '-'))
		typed = slice(typed, 2, typed.size);
	if (typed.size == 0)
		return ks_fail(ctx, KS_EADDRESS, "the address names no file");
	if (typed.size > 1 && memcmp(typed.data, "~/", 2) == 0)
		return ks_hint(
			ctx,
			ks_fail(ctx, KS_EADDRESS,
				"the address begins with ~, which only a shell understands, and not behind a colon"),
			"write the folder out, or \"$HOME/...\"");
	while (typed.size) {
		bool escaped = escaped_in_path(typed);

		c = escaped ? next_byte(&typed) : typed.data[0];
		if (!escaped)
			typed = slice(typed, 1, typed.size);
		ks_buffer_put(path, &(unsigned char){ (unsigned char)c }, 1);
	}
	return path->status ? ks_nomem(ctx) : set_text(&where->path, ctx, ks_buffer_bytes(path));
}

/* The path as it has to be typed again. */
static void put_path(struct ks_buffer *out, struct ks_bytes path)
{
	for (; path.size; path = slice(path, 1, path.size)) {
		if (path.data[0] == '#' || path.data[0] == '?' || escaped_in_path(path))
			ks_buffer_format(out, "%%%02X", path.data[0]);
		else
			ks_buffer_put(out, path.data, 1);
	}
}

static int file_text(struct ks_where *where, struct ks_ctx *ctx)
{
	ks_auto(buffer) text = ks_buffer_new(4 * LONGEST_ADDRESS);
	ks_auto(buffer) shown = ks_buffer_new(16 * LONGEST_ADDRESS);
	struct ks_bytes path = ks_bytes_of(where->path);

	if (!text || !shown)
		return ks_nomem(ctx);
	if (where->scheme)
		ks_buffer_format(text, "%s:", where->scheme);
	else if (scheme_length(path) || path.data[0] == '@')
		ks_buffer_text(text, "./");
	put_path(text, path);
	if (where->sha256)
		ks_buffer_format(text, "#sha256:%s", where->sha256);
	else if (where->label)
		ks_buffer_format(text, "#%s", where->label);
	if (text->status || ks_text_shown(shown, ks_buffer_bytes(text)) < 0)
		return ks_nomem(ctx);
	return set_text(&where->text, ctx, ks_buffer_bytes(shown));
}

/* "p12: pem: pkcs11:" */
static char *kinds_listed(void)
{
	ks_auto(buffer) list = ks_buffer_new(256);

	for (const char *const *scheme = schemes; list && *scheme; scheme++)
		ks_buffer_format(list, "%s%s:", scheme == schemes ? "" : " ", *scheme);
	return list ? strdup(ks_buffer_string(list)) : NULL;
}

static int refuse_scheme(struct ks_ctx *ctx, struct ks_bytes base, size_t length)
{
	ks_auto_mem char *word = ks_text_show(slice(base, 0, length));
	ks_auto_mem char *path = strndup((const char *)base.data, base.size);
	ks_auto_mem char *shown = ks_text_show(base);
	ks_auto_mem char *kinds = kinds_listed();
	const char *near = NULL;

	if (!word || !path || !shown || !kinds)
		return ks_nomem(ctx);
	for (size_t i = 0; i < sizeof(nicknames) / sizeof(*nicknames); i++) {
		if (strcasecmp(nicknames[i].word, word) == 0)
			near = nicknames[i].scheme;
	}
	if (!near && length > 1)
		near = ks_nearest(word, schemes);
	ks_fail(ctx, KS_EADDRESS, "there is no kind of store \"%s\"%s%s%s", word, near ? "; did you mean \"" : "",
		near ? near : "", near ? ":\"?" : "");
	if (access(path, F_OK) == 0)
		return ks_hint(ctx, KS_EADDRESS, "there is a file of that name: write ./%s", shown);
	return ks_hint(ctx, KS_EADDRESS, "the kinds are %s; a file with a colon in its name is written ./%s", kinds, shown);
}

static int parse_file(struct ks_where *where, struct ks_ctx *ctx, const struct parts *parts, size_t scheme)
{
	struct ks_bytes typed = scheme ? slice(parts->base, scheme + 1, parts->base.size) : parts->base;
	int rc = take_path(where, ctx, typed);

	if (rc == 0)
		rc = take_queries(where, ctx, parts->query, file_queries);
	if (rc == 0)
		rc = take_fragment(where, ctx, parts->fragment);
	return rc < 0 ? rc : file_text(where, ctx);
}

/* ---- whole addresses ---- */

/* The query stands before the fragment; people also put it behind, as in @hsm#web?pin-source=prompt. */
static struct parts split(struct ks_bytes text)
{
	static const char *const queries[] = { "?pin-source=", "?pin-value=", "?module-name=", "?module-path=" };
	size_t hash = find(text, '#'), question;
	struct parts parts = { .base = slice(text, 0, hash) };

	if (hash < text.size)
		parts.fragment = slice(text, hash + 1, text.size);
	question = find(parts.base, '?');
	if (question < parts.base.size) {
		parts.query = slice(parts.base, question + 1, parts.base.size);
		parts.base = slice(parts.base, 0, question);
		return parts;
	}
	for (size_t i = 0; parts.fragment.size && i < sizeof(queries) / sizeof(*queries); i++) {
		const unsigned char *at =
			memmem(parts.fragment.data, parts.fragment.size, queries[i], strlen(queries[i]));

		if (at) {
			question = (size_t)(at - parts.fragment.data);
			parts.query = slice(parts.fragment, question + 1, parts.fragment.size);
			parts.fragment = slice(parts.fragment, 0, question);
		}
	}
	return parts;
}

static int parse_address(struct ks_where *where, struct ks_ctx *ctx, const struct parts *parts)
{
	size_t length = scheme_length(parts->base);
	int rc;

	if (length == 6 && strncasecmp((const char *)parts->base.data, "pkcs11", 6) == 0)
		return parse_token(where, ctx, parts);
	for (size_t i = 0; length && schemes[i]; i++) {
		if (strlen(schemes[i]) == length &&
		    strncasecmp((const char *)parts->base.data, schemes[i], length) == 0) {
			rc = set_text(&where->scheme, ctx, ks_bytes_of(schemes[i]));
			return rc < 0 ? rc : parse_file(where, ctx, parts, length);
		}
	}
	return length ? refuse_scheme(ctx, parts->base, length) : parse_file(where, ctx, parts, 0);
}

static int refuse_alias(struct ks_ctx *ctx, const char *name)
{
	ks_auto_mem char *shown = ks_text_show(ks_bytes_of(name));
	ks_auto_mem const char **list = NULL;
	const struct ks_config_row *row;
	const char *near;
	size_t rows = 0, count = 0;

	while (ks_config_row(ctx, rows))
		rows++;
	list = ks_array(rows + 1, sizeof(*list));
	if (!list || !shown)
		return ks_nomem(ctx);
	for (size_t i = 0; (row = ks_config_row(ctx, i)); i++) {
		if (strcmp(row->section, "store") == 0 && strcmp(row->key, "uri") == 0)
			list[count++] = row->name;
	}
	near = ks_nearest(name, list);
	ks_fail(ctx, KS_ENOTFOUND, "the configuration has no store \"%s\"%s%s%s", shown,
		near ? "; did you mean \"@" : "", near ? near : "", near ? "\"?" : "");
	return ks_hint(ctx, KS_ENOTFOUND, "put a section [store %s] with uri = ... into the configuration", shown);
}

/* @name: the configured address, then what was typed behind the name on top of it. */
static int parse_alias(struct ks_where *where, struct ks_ctx *ctx, const struct parts *parts)
{
	struct parts configured;
	const char *uri, *source;
	int rc = set_text(&where->alias, ctx, slice(parts->base, 1, parts->base.size));

	if (rc < 0)
		return rc;
	uri = ks_config_get(ctx, "store", where->alias, "uri");
	source = ks_config_get(ctx, "store", where->alias, "pin-source");
	if (!uri)
		return refuse_alias(ctx, where->alias);
	configured = split(ks_bytes_of(uri));
	if (configured.base.size == 0 || configured.base.data[0] == '@')
		return ks_fail(ctx, KS_ECONFIG, "the configuration's store \"%s\" has no address of its own",
			       where->alias);
	rc = parse_address(where, ctx, &configured);
	if (rc == 0 && source && !where->pin_source)
		rc = set_text(&where->pin_source, ctx, ks_bytes_of(source));
	if (rc == 0)
		rc = take_queries(where, ctx, parts->query, where->uri ? token_queries : file_queries);
	if (rc == 0)
		rc = take_fragment(where, ctx, parts->fragment);
	if (rc == 0)
		rc = where->uri ? token_text(where, ctx) : file_text(where, ctx);
	return rc;
}

/* The address for a sentence: no query, no entry, nothing from a misplaced PIN on. */
static char *named(struct ks_bytes base)
{
	const unsigned char *pin = base.size ? memmem(base.data, base.size, "pin-value", 9) : NULL;

	if (pin)
		base.size = (size_t)(pin - base.data);
	return ks_text_show(base);
}

int ks_where_parse(struct ks_where **out, struct ks_ctx *ctx, const char *text)
{
	ks_auto(where) where = calloc(1, sizeof(*where));
	ks_auto_mem char *shown = NULL;
	struct parts parts;
	int rc;

	if (!where)
		return ks_nomem(ctx);
	if (strlen(text) > LONGEST_ADDRESS)
		return ks_fail(ctx, KS_EADDRESS, "an address has at most %d bytes", LONGEST_ADDRESS);
	parts = split(ks_bytes_of(text));
	if (parts.base.size == 0)
		return ks_hint(ctx, ks_fail(ctx, KS_EADDRESS, "the address names no store"),
			       "a # in a file name is written %%23");
	rc = parts.base.data[0] == '@' ? parse_alias(where, ctx, &parts) : parse_address(where, ctx, &parts);
	if (rc < 0) {
		shown = named(parts.base);
		return ks_while(ctx, rc, "%s", shown ? shown : "the address");
	}
	*out = ks_take(where);
	return 0;
}
