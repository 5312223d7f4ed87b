/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is this the entry somebody is looking for? The words people have in hand: a label, a piece of a name, a serial number, a digest.
 */
#include "check.h"

#include "altname.h"
#include "certificate.h"
#include "name.h"
#include "text.h"

#include <ctype.h>
#include <string.h>

/* Is `text` somewhere in `bytes`, the case of ASCII letters ignored? */
static bool holds(struct ks_bytes bytes, const char *text)
{
	return bytes.size && memmem(bytes.data, bytes.size, text, strlen(text)) != NULL;
}

static bool holds_folded(struct ks_bytes bytes, const char *text)
{
	ks_auto_mem char *copy = strndup((const char *)bytes.data, bytes.data ? bytes.size : 0);

	if (!bytes.size || !copy)
		return false;
	return holds(bytes, text) || strcasestr(copy, text) != NULL;
}

static bool name_holds(struct ks_bytes der_name, const char *text)
{
	ks_auto_mem char *name = ks_name_text(der_name);

	return name && holds_folded(ks_bytes_of(name), text);
}

/* Hexadecimal digits, colons left out: a serial is meant whole (leading zeroes aside), a digest from its beginning. */
static bool digits_match(struct ks_bytes bytes, const char *digits, bool whole)
{
	ks_auto_mem char *hex = bytes.size <= 64 ? ks_hex_new(bytes) : NULL;
	const char *at = hex;

	while (whole && at && at[0] == '0' && at[1])
		at++;
	return at && strncmp(at, digits, strlen(digits)) == 0 && (!whole || strlen(at) == strlen(digits));
}

/* `text` as lower-case digits; false when it is something else. */
static bool as_digits(char digits[2 * KS_SHA256 + 1], const char *text)
{
	size_t count = 0;

	if (strncasecmp(text, "sha256:", 7) == 0)
		text += 7;
	if (strncasecmp(text, "0x", 2) == 0)
		text += 2;
	for (; *text; text++) {
		if (*text == ':')
			continue;
		if (!isxdigit((unsigned char)*text) || count == (size_t)2 * KS_SHA256)
			return false;
		digits[count++] = (char)tolower((unsigned char)*text);
	}
	digits[count] = '\0';
	return count > 0;
}

static bool number_matches(struct ks_item *certificate, const struct ks_certificate_facts *facts, const char *text)
{
	char digits[2 * KS_SHA256 + 1];
	const char *serial = digits;

	if (!as_digits(digits, text))
		return false;
	if (strlen(digits) >= 4 && digits_match(KS_BYTES(ks_item_sha256(certificate), KS_SHA256), digits, false))
		return true;
	while (serial[0] == '0' && serial[1])
		serial++;
	return digits_match(facts->serial, serial, true);
}

static bool altname_holds(struct ks_ctx *ctx, const struct ks_certificate_facts *facts, const char *text)
{
	struct ks_altnames names = { 0 };
	bool found = false;

	if (!facts->alternative_names.size)
		return false;
	if (ks_altnames_read(&names, ctx, facts->alternative_names) < 0)
		ks_forgive(ctx);
	for (size_t i = 0; !found && i < names.count; i++)
		found = holds_folded(ks_bytes_of(names.names[i].value), text);
	ks_altnames_free(&names);
	return found;
}

static bool certificate_matches(struct ks_ctx *ctx, struct ks_item *certificate, const char *text)
{
	struct ks_certificate_facts facts;

	if (ks_certificate_facts(&facts, certificate->der) < 0)
		return false;
	return name_holds(facts.subject, text) || name_holds(facts.issuer, text) ||
	       number_matches(certificate, &facts, text) || altname_holds(ctx, &facts, text);
}

bool ks_find_matches(struct ks_ctx *ctx, const struct ks_entry *entry, const char *text)
{
	struct ks_item *const parts[] = { entry->key, entry->public_key, entry->certificate, entry->other };

	for (size_t i = 0; i < 4; i++) {
		if (parts[i] && parts[i]->label.data && holds_folded(parts[i]->label, text))
			return true;
	}
	return entry->certificate && certificate_matches(ctx, entry->certificate, text);
}
