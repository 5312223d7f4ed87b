/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Labels and ids in the comment lines before a block: the way openssl pkcs12 prints bag attributes.
 *
 *	Bag Attributes
 *	    friendlyName: web
 *	    localKeyID: F2 EF 7A
 *
 * A label is any bytes; those that would break the line, and the backslash, are written as \xNN.
 */
#include "pem.h"

#include "text.h"

#include <string.h>

#define LABEL "friendlyName:"
#define ID "localKeyID:"

static int nibble(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Value of \xNN at `at`, or -1. */
static int escape_at(struct ks_bytes text, size_t at)
{
	int high, low;

	if (text.size - at < 4 || text.data[at] != '\\' || text.data[at + 1] != 'x')
		return -1;
	high = nibble(text.data[at + 2]);
	low = nibble(text.data[at + 3]);
	return high < 0 || low < 0 ? -1 : high << 4 | low;
}

static bool must_escape(struct ks_bytes label, size_t at, bool utf8)
{
	unsigned char c = label.data[at];

	return c < ' ' || c == 0x7f || c == '\\' || (c >= 0x80 && !utf8) ||
	       (c == ' ' && (at == 0 || at + 1 == label.size));
}

/* What follows `word` on a line that begins with it; data NULL otherwise. */
static struct ks_bytes behind(struct ks_bytes line, const char *word)
{
	size_t length = strlen(word);

	if (line.size < length || memcmp(line.data, word, length) != 0)
		return KS_NONE;
	line = KS_BYTES(line.data + length, line.size - length);
	return line.size && line.data[0] == ' ' ? KS_BYTES(line.data + 1, line.size - 1) : line;
}

static int read_label(struct ks_item *item, struct ks_bytes text)
{
	struct ks_bytes kept = ks_set_bytes(item->set, text.data, text.size);
	unsigned char *put = (unsigned char *)kept.data;

	if (!kept.data)
		return ks_nomem(ks_set_ctx(item->set));
	for (size_t at = 0; at < text.size; at++) {
		int value = escape_at(text, at);

		*put++ = value < 0 ? text.data[at] : (unsigned char)value;
		at += value < 0 ? 0 : 3;
	}
	item->label = KS_BYTES(kept.data, (size_t)(put - kept.data));
	return 0;
}

/* Digits with blanks or colons between the pairs; anything else is no id. */
static int read_id(struct ks_item *item, struct ks_bytes text)
{
	struct ks_bytes kept = ks_set_bytes(item->set, text.data, text.size);
	unsigned char *put = (unsigned char *)kept.data;

	if (!kept.data)
		return ks_nomem(ks_set_ctx(item->set));
	for (size_t at = 0; at < text.size;) {
		int high = nibble(text.data[at]), low = at + 1 < text.size ? nibble(text.data[at + 1]) : -1;

		if (text.data[at] == ' ' || text.data[at] == ':') {
			at++;
			continue;
		}
		if (high < 0 || low < 0)
			return 0;
		*put++ = (unsigned char)(high << 4 | low);
		at += 2;
	}
	if (put != kept.data)
		item->id = KS_BYTES(kept.data, (size_t)(put - kept.data));
	return 0;
}

int ks_pem_read_comments(struct ks_item *item, struct ks_bytes text)
{
	int rc = 0;

	while (rc == 0 && text.size) {
		struct ks_bytes line = ks_pem_line(&text), label = behind(line, LABEL), id = behind(line, ID);

		if (label.data)
			rc = read_label(item, label);
		else if (id.data)
			rc = read_id(item, id);
	}
	return rc;
}

static void write_label(struct ks_buffer *out, struct ks_bytes label)
{
	bool utf8 = ks_utf8_valid(label);

	for (size_t at = 0; at < label.size; at++) {
		if (must_escape(label, at, utf8))
			ks_buffer_format(out, "\\x%02x", label.data[at]);
		else
			ks_buffer_put(out, label.data + at, 1);
	}
}

int ks_pem_write_comments(struct ks_buffer *out, const struct ks_item *item)
{
	if (!item->label.data && !item->id.size)
		return out->status;
	ks_buffer_text(out, "Bag Attributes\n");
	if (item->label.data) {
		ks_buffer_text(out, "    " LABEL " ");
		write_label(out, item->label);
		ks_buffer_text(out, "\n");
	}
	if (item->id.size) {
		ks_buffer_text(out, "    " ID " ");
		for (size_t i = 0; i < item->id.size; i++)
			ks_buffer_format(out, "%02X ", item->id.data[i]);
		ks_buffer_text(out, "\n");
	}
	return out->status;
}
