/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The linear scanner. Every search starts where the last one ended; no byte is looked at more than a few times.
 */
#include "pem_scan.h"

#include "der.h"

#include <openssl/evp.h>

#include <string.h>

#define DASHES "-----"
#define BEGIN "-----BEGIN "
#define END "-----END "
#define LONGEST_LABEL 64

static struct ks_bytes cut(struct ks_bytes file, size_t from, size_t to)
{
	return KS_BYTES(file.data + from, to - from);
}

static bool stands(struct ks_bytes file, size_t at, const char *word)
{
	size_t length = strlen(word);

	return file.size - at >= length && memcmp(file.data + at, word, length) == 0;
}

/* Where five dashes stand first at or behind `from`; the end of the file when nowhere. */
static size_t find_dashes(struct ks_bytes file, size_t from)
{
	const unsigned char *at;

	for (; from < file.size; from = (size_t)(at - file.data) + 1) {
		at = memchr(file.data + from, '-', file.size - from);
		if (!at)
			break;
		if (stands(file, (size_t)(at - file.data), DASHES))
			return (size_t)(at - file.data);
	}
	return file.size;
}

static bool blank(unsigned char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\0' || c == '\v' || c == '\f';
}

/*
 * Only blanks, NULs or a byte-order mark stand between `at` and the line's start or `from`. Blanks are walked over
 * once: the walk ends at the first other byte, and a marker follows it at once or never.
 */
static bool starts_line(struct ks_bytes file, size_t from, size_t at)
{
	while (at > from && blank(file.data[at - 1]) && file.data[at - 1] != '\n')
		at--;
	if (at == from || file.data[at - 1] == '\n')
		return true;
	return at >= 3 && memcmp(file.data + at - 3, "\xef\xbb\xbf", 3) == 0;
}

/* The label behind a marker at `at`, and where the marker ends; false when it is not closed by dashes on its line. */
static bool take_label(struct ks_bytes *label, size_t *end, struct ks_bytes file, size_t at)
{
	size_t stop = at;

	while (stop < file.size && stop - at <= LONGEST_LABEL && file.data[stop] >= ' ' && file.data[stop] < 0x7f &&
	       !stands(file, stop, DASHES))
		stop++;
	if (stop == at || stop - at > LONGEST_LABEL || stop >= file.size || !stands(file, stop, DASHES))
		return false;
	*label = cut(file, at, stop);
	*end = stop + strlen(DASHES);
	return true;
}

/* Behind blanks up to and with the line feed; where the marker ends when something else follows (glued blocks). */
static size_t line_end(struct ks_bytes file, size_t at)
{
	size_t end = at;

	while (end < file.size && (file.data[end] == ' ' || file.data[end] == '\t' || file.data[end] == '\r'))
		end++;
	return end < file.size && file.data[end] == '\n' ? end + 1 : at;
}

static size_t line_of(struct ks_pem_scan *scan, size_t at)
{
	const unsigned char *feed;

	while ((feed = memchr(scan->file.data + scan->counted, '\n', at - scan->counted)) != NULL) {
		scan->counted = (size_t)(feed - scan->file.data) + 1;
		scan->line++;
	}
	scan->counted = at;
	return scan->line + 1;
}

/* ---- blocks ---- */

struct ks_bytes ks_pem_line(struct ks_bytes *rest)
{
	const unsigned char *feed = rest->size ? memchr(rest->data, '\n', rest->size) : NULL;
	size_t length = feed ? (size_t)(feed - rest->data) : rest->size;
	struct ks_bytes line = KS_BYTES(rest->data, length);

	length += feed != NULL;
	*rest = KS_BYTES(rest->data + length, rest->size - length);
	while (line.size && blank(line.data[line.size - 1]))
		line.size--;
	while (line.size && blank(line.data[0]))
		line = KS_BYTES(line.data + 1, line.size - 1);
	return line;
}

/* Lines with a colon before the base64 are headers; an empty line ends them. */
static void split_headers(struct ks_pem_block *block)
{
	struct ks_bytes rest = block->body, before, line;

	do {
		before = rest;
		line = ks_pem_line(&rest);
	} while (line.size == 0 && rest.size);
	if (!line.size || !memchr(line.data, ':', line.size))
		return;
	block->headers.data = before.data;
	while (line.size && rest.size)
		line = ks_pem_line(&rest);
	block->headers.size = (size_t)(rest.data - before.data);
	block->body = rest;
}

struct ks_bytes ks_pem_header(const struct ks_pem_block *block, const char *name)
{
	struct ks_bytes rest = block->headers;
	size_t length = strlen(name);

	while (rest.size) {
		struct ks_bytes line = ks_pem_line(&rest);

		if (line.size > length && line.data[length] == ':' && memcmp(line.data, name, length) == 0) {
			line = KS_BYTES(line.data + length + 1, line.size - length - 1);
			while (line.size && blank(line.data[0]))
				line = KS_BYTES(line.data + 1, line.size - 1);
			return line;
		}
	}
	return KS_NONE;
}

/* The marker that ends the body which starts at `from`: an END, or the BEGIN of the next block. */
static size_t body_end(struct ks_bytes file, size_t from)
{
	size_t at = from;

	for (;;) {
		at = find_dashes(file, at);
		if (at == file.size || stands(file, at, END) || stands(file, at, BEGIN))
			return at;
		at++;
	}
}

/* The block whose BEGIN marker stands at `begin`. */
static void take_block(struct ks_pem_block *out, struct ks_pem_scan *scan, size_t begin)
{
	struct ks_bytes file = scan->file, closing;
	size_t start, stop, end = 0;

	if (take_label(&out->label, &start, file, begin + strlen(BEGIN))) {
		start = line_end(file, start);
	} else {
		start = begin + strlen(BEGIN);
		out->wrong = "its BEGIN line is not closed by dashes";
	}
	stop = body_end(file, start);
	out->body = cut(file, start, stop);
	scan->glued = false;
	if (stop == file.size) {
		end = stop;
		out->wrong = "the file ends inside it";
	} else if (!stands(file, stop, END)) {
		end = stop;
		scan->glued = true;
		out->wrong = "it has no END line";
	} else if (!take_label(&closing, &end, file, stop + strlen(END))) {
		end = stop + strlen(END);
		out->wrong = "its END line is not closed by dashes";
	} else {
		size_t behind = line_end(file, end);

		scan->glued = behind == end;
		end = behind;
		if (!out->wrong && !ks_bytes_equal(out->label, closing))
			out->wrong = "its END line names something else";
	}
	out->whole = cut(file, begin, end);
	scan->at = end;
	if (!out->wrong)
		split_headers(out);
}

/* An END that no BEGIN opened: the top of something is missing. */
static void take_stray_end(struct ks_pem_block *out, struct ks_pem_scan *scan, size_t at)
{
	struct ks_bytes label;
	size_t end = at + strlen(END);

	take_label(&label, &end, scan->file, end);
	scan->at = line_end(scan->file, end);
	scan->glued = scan->at == end;
	out->whole = cut(scan->file, at, scan->at);
	out->wrong = "its BEGIN line is missing";
}

/* DER between blocks: 30 and a long length, which no text in UTF-8 begins with. */
static bool take_der(struct ks_pem_block *out, struct ks_pem_scan *scan)
{
	struct ks_bytes file = scan->file, rest;
	size_t at = scan->at;
	struct ks_der element;

	while (at < file.size && blank(file.data[at]))
		at++;
	if (file.size - at < 2 || file.data[at] != KS_DER_SEQUENCE || file.data[at + 1] < 0x80 ||
	    file.data[at + 1] > 0x84)
		return false;
	rest = cut(file, at, file.size);
	out->text = cut(file, scan->at, at);
	out->line = line_of(scan, at);
	out->binary = true;
	if (ks_der_next(&element, &rest) < 0) {
		out->wrong = "it begins like DER and is cut";
		rest = KS_BYTES(file.data + file.size, 0);
	}
	scan->at = file.size - rest.size;
	scan->glued = true;
	out->whole = out->body = cut(file, at, scan->at);
	return true;
}

/* The next marker at the start of a line, or glued to the block before. */
static size_t next_marker(const struct ks_pem_scan *scan, bool *begin)
{
	struct ks_bytes file = scan->file;
	size_t at = scan->at;

	for (;; at++) {
		at = find_dashes(file, at);
		if (at == file.size)
			return at;
		*begin = stands(file, at, BEGIN);
		if ((*begin || stands(file, at, END)) &&
		    ((scan->glued && at == scan->at) || starts_line(file, scan->at, at)))
			return at;
	}
}

bool ks_pem_next(struct ks_pem_block *out, struct ks_pem_scan *scan)
{
	size_t from = scan->at, at;
	bool begin = false;

	*out = (struct ks_pem_block){ 0 };
	if (take_der(out, scan))
		return true;
	at = next_marker(scan, &begin);
	out->text = cut(scan->file, from, at);
	if (at == scan->file.size) {
		scan->at = at;
		return false;
	}
	out->line = line_of(scan, at);
	if (begin)
		take_block(out, scan, at);
	else
		take_stray_end(out, scan, at);
	return true;
}

/* ---- base64 ---- */

#define PASS 64 /* blanks, line ends, NULs */
#define PAD 65 /* = */
#define STRANGE 66

/* Value of each character (RFC 4648 4). */
static const unsigned char *values(void)
{
	static const unsigned char table[256] = {
#define S STRANGE
#define P PASS
		P,  S,  S,  S,  S,  S,  S,  S,  S,  P,   P,  P,  P,  P,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,
		S,  S,  S,  S,  S,  S,  P,  S,  S,  S,   S,  S,  S,  S,  S,  S,  S,  62, S,  S,  S,  63, 52, 53, 54, 55,
		56, 57, 58, 59, 60, 61, S,  S,  S,  PAD, S,  S,  S,  0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12,
		13, 14, 15, 16, 17, 18, 19, 20, 21, 22,  23, 24, 25, S,  S,  S,  S,  S,  S,  26, 27, 28, 29, 30, 31, 32,
		33, 34, 35, 36, 37, 38, 39, 40, 41, 42,  43, 44, 45, 46, 47, 48, 49, 50, 51, S,  S,  S,  S,  S,  S,  S,
		S,  S,  S,  S,  S,  S,  S,  S,  S,  S,   S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,
		S,  S,  S,  S,  S,  S,  S,  S,  S,  S,   S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,
		S,  S,  S,  S,  S,  S,  S,  S,  S,  S,   S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,
		S,  S,  S,  S,  S,  S,  S,  S,  S,  S,   S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,
		S,  S,  S,  S,  S,  S,  S,  S,  S,  S,   S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,
#undef S
#undef P
	};

	return table;
}

#define LINE 64
#define DECODED 48

/* Whole quads, padding at the very end and nothing in the bits behind the last byte. */
static bool last_line_plain(const unsigned char *line, size_t size)
{
	const unsigned char *table = values();
	size_t pads = 0;

	if (size == 0 || size % 4 || line[size] != '\n')
		return false;
	while (pads < 2 && line[size - 1 - pads] == '=')
		pads++;
	for (size_t i = 0; i < size - pads; i++) {
		if (table[line[i]] >= PASS)
			return false;
	}
	return pads == 0 || (table[line[size - 1 - pads]] & (pads == 2 ? 15 : 3)) == 0;
}

/* Decodes one full line; false, and *to may hold anything, when it is none. */
static bool decode_line(unsigned char to[DECODED], const unsigned char *line)
{
	const unsigned char *table = values();
	unsigned char seen = 0;

	for (size_t i = 0; i < LINE; i += 4, to += 3) {
		unsigned char a = table[line[i]], b = table[line[i + 1]], c = table[line[i + 2]],
			      d = table[line[i + 3]];

		seen |= a | b | c | d;
		to[0] = (unsigned char)(a << 2 | b >> 4);
		to[1] = (unsigned char)(b << 4 | c >> 2);
		to[2] = (unsigned char)(c << 6 | d);
	}
	return seen < PASS && line[LINE] == '\n';
}

/* Puts the first lines back, the last of them first: text lies behind the bytes that it was made to. */
static void restore_lines(unsigned char *place, size_t lines)
{
	while (lines--) {
		unsigned char bytes[DECODED], text[LINE + 1];

		memcpy(bytes, place + lines * DECODED, DECODED);
		EVP_EncodeBlock(text, bytes, DECODED);
		text[LINE] = '\n';
		memcpy(place + lines * (LINE + 1), text, sizeof(text));
	}
}

bool ks_pem_decode_over(size_t *size, struct ks_bytes body)
{
	unsigned char *place = (unsigned char *)body.data, stranger;
	size_t lines, last;

	/* Only what begins like DER, so that a record tells by its first byte that it was decoded. */
	if (body.size < 2 || body.data[0] != 'M' || body.data[1] < 'A' || body.data[1] > 'P')
		return false;
	lines = (body.size - 2) / (LINE + 1);
	last = body.size - 1 - lines * (LINE + 1);
	if (!last_line_plain(body.data + body.size - 1 - last, last))
		return false;
	for (size_t i = 0; i < lines; i++) {
		unsigned char bytes[DECODED];

		if (!decode_line(bytes, body.data + i * (LINE + 1))) {
			restore_lines(place, i);
			return false;
		}
		memcpy(place + i * DECODED, bytes, DECODED);
	}
	ks_pem_decode(place + lines * DECODED, size, KS_BYTES(body.data + body.size - 1 - last, last), &stranger);
	*size += lines * DECODED;
	return true;
}

int ks_pem_decode(unsigned char *to, size_t *size, struct ks_bytes body, unsigned char *stranger)
{
	const unsigned char *table = values();
	unsigned char *put = to;
	uint32_t bits = 0;
	unsigned have = 0, pads = 0;

	*stranger = 0;
	for (size_t i = 0; i < body.size; i++) {
		unsigned char value = table[body.data[i]];

		if (value == PASS)
			continue;
		if (value == STRANGE) {
			*stranger = body.data[i];
			return KS_EDAMAGED;
		}
		if (value == PAD) {
			pads++;
			continue;
		}
		if (pads)
			return KS_EDAMAGED;
		bits = bits << 6 | value;
		if (++have == 4) {
			*put++ = (unsigned char)(bits >> 16);
			*put++ = (unsigned char)(bits >> 8);
			*put++ = (unsigned char)bits;
			have = 0;
		}
	}
	if (have == 1 || pads > 2 || (pads && (have + pads) % 4))
		return KS_EDAMAGED;
	if (have >= 2)
		*put++ = (unsigned char)(bits >> (have == 2 ? 4 : 10));
	if (have == 3)
		*put++ = (unsigned char)(bits >> 2);
	*size = (size_t)(put - to);
	return 0;
}

int ks_pem_encode(struct ks_buffer *out, struct ks_bytes bytes)
{
	while (bytes.size) {
		size_t size = bytes.size < 48 ? bytes.size : 48;
		unsigned char *line = ks_buffer_room(out, 66);

		if (!line)
			return out->status;
		out->size += (size_t)EVP_EncodeBlock(line, bytes.data, (int)size);
		out->data[out->size++] = '\n';
		bytes = KS_BYTES(bytes.data + size, bytes.size - size);
	}
	return out->status;
}
