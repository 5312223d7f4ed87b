/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stream of standard output: a JSON document in pieces, or lines.
 */
#include "out.h"
#include "text.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#define LINE_MAX_BYTES (1u << 20)

static void put(struct out *out, const char *bytes, size_t size)
{
	if (out->status == 0 && fwrite(bytes, 1, size, out->to) != size) {
		out->error = errno;
		out->status = errno == ENOSPC || errno == EDQUOT ? KS_EFULL : KS_EIO;
	}
}

static void put_text(struct out *out, const char *text)
{
	put(out, text, strlen(text));
}

/* jansson's ASCII leaves DEL as it is, which a terminal would swallow. */
static int dump_piece(const char *bytes, size_t size, void *user)
{
	struct out *out = user;
	const char *del;

	while ((del = memchr(bytes, 0x7f, size)) != NULL) {
		put(out, bytes, (size_t)(del - bytes));
		put_text(out, "\\u007f");
		size -= (size_t)(del - bytes) + 1;
		bytes = del + 1;
	}
	put(out, bytes, size);
	return 0;
}

static void dump(struct out *out, const json_t *value)
{
	json_dump_callback(value, dump_piece, out, JSON_ENCODE_ANY | JSON_COMPACT | JSON_ENSURE_ASCII);
}

static void dump_string(struct out *out, const char *text)
{
	json_t *string = json_string(text);

	dump(out, string);
	json_decref(string);
}

/* ---- the document ---- */

static void begin(struct out *out)
{
	if (out->begun)
		return;
	out->begun = true;
	put_text(out, "{\"schema\":1,\"command\":");
	dump_string(out, out->command);
	out->open[0] = '}';
	out->filled[0] = true;
	out->depth = 1;
}

static void lead(struct out *out, const char *key)
{
	begin(out);
	if (out->filled[out->depth - 1])
		put_text(out, ",");
	if (out->open[out->depth - 1] == ']')
		put_text(out, "\n");
	out->filled[out->depth - 1] = true;
	if (key) {
		dump_string(out, key);
		put_text(out, ":");
	}
}

void out_open(struct out *out, const char *key, char bracket)
{
	if (!out->json || out->depth == sizeof(out->open))
		return;
	lead(out, key);
	put(out, &bracket, 1);
	out->open[out->depth] = bracket == '{' ? '}' : ']';
	out->filled[out->depth++] = false;
}

void out_close(struct out *out)
{
	if (out->json && out->depth > 0)
		put(out, &out->open[--out->depth], 1);
}

void out_value(struct out *out, const char *key, json_t *value)
{
	if (out->json && value) {
		lead(out, key);
		dump(out, value);
	}
	json_decref(value);
}

void out_string(struct out *out, const char *key, const char *text)
{
	if (out->json && text)
		out_value(out, key, out_utf8(ks_bytes_of(text)));
}

void out_number(struct out *out, const char *key, long long number)
{
	if (out->json)
		out_value(out, key, json_integer(number));
}

json_t *out_utf8(struct ks_bytes bytes)
{
	return ks_utf8_valid(bytes) ? json_stringn((const char *)bytes.data, bytes.size) : NULL;
}

void out_set_hex(json_t *object, const char *key, struct ks_bytes bytes)
{
	ks_auto_mem char *digits = bytes.data ? ks_hex_new(bytes) : NULL;

	if (digits)
		json_object_set_new(object, key, json_string(digits));
}

void out_set_label(json_t *object, const char *key, struct ks_bytes label)
{
	char hex_key[32];
	json_t *text;

	if (!label.data)
		return;
	text = out_utf8(label);
	if (text) {
		json_object_set_new(object, key, text);
		return;
	}
	snprintf(hex_key, sizeof(hex_key), "%s_hex", key);
	out_set_hex(object, hex_key, label);
}

void out_set_text(json_t *object, const char *key, const char *text)
{
	if (text)
		out_set_label(object, key, ks_bytes_of(text));
}

void out_set_time(json_t *object, const char *key, int64_t seconds)
{
	char text[21];

	ks_time_text(text, seconds);
	json_object_set_new(object, key, json_string(text));
}

void out_problem(struct out *out, int status, const char *text, const char *hint, const char *where)
{
	json_t *problem;
	char code[16];

	if (!out->json)
		return;
	snprintf(code, sizeof(code), "KS-%04d", -status);
	problem = json_object();
	out_set_text(problem, "code", code);
	out_set_text(problem, "text", text);
	out_set_text(problem, "hint", hint && *hint ? hint : NULL);
	out_set_text(problem, "where", where && *where ? where : NULL);
	if (!out->problems)
		out->problems = json_array();
	json_array_append_new(out->problems, problem);
}

/* ---- text ---- */

void out_line(struct out *out, const char *format, ...)
{
	ks_auto(buffer) shown = NULL;
	ks_auto_mem char *line = NULL;
	va_list values;
	int size;

	if (out->json || out->quiet)
		return;
	va_start(values, format);
	size = vasprintf(&line, format, values);
	va_end(values);
	shown = ks_buffer_new(LINE_MAX_BYTES);
	if (size < 0 || !shown)
		return;
	ks_text_shown(shown, KS_BYTES(line, (size_t)size));
	ks_buffer_text(shown, "\n");
	put(out, (const char *)shown->data, shown->size);
}

void out_raw(struct out *out, struct ks_bytes bytes)
{
	put(out, (const char *)bytes.data, bytes.size);
}

/* ---- the end ---- */

static void finish_document(struct out *out)
{
	begin(out);
	while (out->depth > 1)
		out_close(out);
	out_value(out, "problems", out->problems ? out->problems : json_array());
	out->problems = NULL;
	out_close(out);
	put_text(out, "\n");
}

int out_end(struct out *out)
{
	if (out->ended)
		return out->status;
	out->ended = true;
	if (out->json)
		finish_document(out);
	if (fflush(out->to) != 0 && out->status == 0) {
		out->error = errno;
		out->status = errno == ENOSPC || errno == EDQUOT ? KS_EFULL : KS_EIO;
	}
	return out->status;
}

void out_free(struct out *out)
{
	json_decref(out->problems);
	out->problems = NULL;
}
