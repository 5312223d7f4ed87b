/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings files read line by line against a table.
 */
#include "ini.h"

#include "text.h"

#include <string.h>

#define MOST_WORDS 32

struct reading {
	void *into;
	struct ks_ctx *ctx;
	const struct ks_ini *ini;
	unsigned line;
	char *section; /* NULL before the first one */
};

static struct ks_bytes trim(struct ks_bytes text)
{
	while (text.size && (text.data[0] == ' ' || text.data[0] == '\t'))
		text = KS_BYTES(text.data + 1, text.size - 1);
	while (text.size && strchr(" \t\r", text.data[text.size - 1]))
		text.size--;
	return text;
}

/* Takes a line off `*rest`, trimmed. */
static struct ks_bytes line_next(struct ks_bytes *rest)
{
	const unsigned char *end = memchr(rest->data, '\n', rest->size);
	size_t length = end ? (size_t)(end - rest->data) : rest->size;
	struct ks_bytes line = KS_BYTES(rest->data, length);

	length += end != NULL;
	*rest = KS_BYTES(rest->data + length, rest->size - length);
	return trim(line);
}

/* `what` is "section" or "key"; the words of the table that stand in the same place are offered. */
static int unknown(struct reading *reading, const char *what, struct ks_bytes word, bool sections)
{
	ks_auto_mem char *shown = ks_text_show(word);
	const char *words[MOST_WORDS + 1] = { NULL }, *near;
	size_t count = 0;
	int rc = ks_fail(reading->ctx, KS_ECONFIG, "%s line %u: there is no %s \"%s\"", reading->ini->file,
			 reading->line, what, shown ? shown : "");

	for (const struct ks_ini_row *row = reading->ini->rows; row->section && count < MOST_WORDS; row++) {
		if (sections || strcmp(row->section, reading->section) == 0)
			words[count++] = sections ? row->section : row->key;
	}
	near = shown ? ks_nearest(shown, words) : NULL;
	return near ? ks_hint(reading->ctx, rc, "did you mean \"%s\"?", near) : rc;
}

static int section_start(struct reading *reading, struct ks_bytes line)
{
	struct ks_bytes name = trim(KS_BYTES(line.data + 1, line.size - 2));

	for (const struct ks_ini_row *row = reading->ini->rows; row->section; row++) {
		if (ks_bytes_are(name, row->section)) {
			free(reading->section);
			reading->section = strdup(row->section);
			return reading->section ? 0 : ks_nomem(reading->ctx);
		}
	}
	return unknown(reading, "section", name, true);
}

static int key_take(struct reading *reading, struct ks_bytes line)
{
	const unsigned char *equals = memchr(line.data, '=', line.size);
	struct ks_bytes key, value;

	if (!equals || !reading->section)
		return ks_fail(reading->ctx, KS_ECONFIG,
			       "%s line %u is neither \"[section]\" nor \"key = value\" below one", reading->ini->file,
			       reading->line);
	key = trim(KS_BYTES(line.data, (size_t)(equals - line.data)));
	value = trim(KS_BYTES(equals + 1, line.size - (size_t)(equals - line.data) - 1));
	for (const struct ks_ini_row *row = reading->ini->rows; row->section; row++) {
		char **place = (char **)((char *)reading->into + row->place);

		if (strcmp(row->section, reading->section) != 0 || !ks_bytes_are(key, row->key))
			continue;
		if (*place)
			return ks_fail(reading->ctx, KS_ECONFIG, "%s line %u: \"%s\" is there twice",
				       reading->ini->file, reading->line, row->key);
		*place = strndup((const char *)value.data, value.size);
		return *place ? 0 : ks_nomem(reading->ctx);
	}
	return unknown(reading, "key", key, false);
}

static bool is_raw(const struct ks_ini *ini, struct ks_bytes line)
{
	return ini->raw && line.size > 2 && ks_bytes_are(trim(KS_BYTES(line.data + 1, line.size - 2)), ini->raw);
}

int ks_ini_read(void *into, struct ks_bytes *raw, struct ks_ctx *ctx, const struct ks_ini *ini, struct ks_bytes text)
{
	struct reading reading = { .into = into, .ctx = ctx, .ini = ini };
	struct ks_bytes line;
	int rc = 0;

	if (text.size && memchr(text.data, '\0', text.size))
		return ks_fail(ctx, KS_ECONFIG, "%s is not a text file", ini->file);
	while (rc == 0 && text.size) {
		line = line_next(&text);
		reading.line++;
		if (line.size == 0 || line.data[0] == '#' || line.data[0] == ';')
			continue;
		if (line.data[0] != '[' || line.data[line.size - 1] != ']') {
			rc = key_take(&reading, line);
		} else if (is_raw(ini, line)) {
			if (raw)
				*raw = text;
			break;
		} else {
			rc = section_start(&reading, line);
		}
	}
	free(reading.section);
	return rc;
}
