/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The strict INI. Whatever is not known is refused with its line, because a setting that is silently ignored is worse than none.
 *
 * Values run to the end of the line as they stand: addresses hold #, ;, $ and quotes, which cleverer formats eat.
 */
#include "config.h"
#include "text.h"

#include <string.h>

enum shape { TEXT, NUMBER, LOAD };

static const struct key_row {
	const char *section;
	const char *key;
	enum shape shape;
} keys[] = {
	{ "store", "uri", TEXT },
	{ "store", "pin-source", TEXT },
	{ "module", "path", TEXT },
	{ "module", "init-args", TEXT },
	{ "module", "load", LOAD },
	{ "ca", "path", TEXT },
	{ "ca", "pin-source", TEXT },
	{ "defaults", "wait", NUMBER },
	{ "defaults", "call-deadline-ms", NUMBER },
	{ "defaults", "long-deadline-ms", NUMBER },
	{ "defaults", "look-deadline-ms", NUMBER },
	{ "defaults", "login-deadline-ms", NUMBER },
	{ "defaults", "use-deadline-ms", NUMBER },
	{ "defaults", "write-deadline-ms", NUMBER },
	{ "defaults", "end-deadline-ms", NUMBER },
	{ "defaults", "make-deadline-ms", NUMBER },
	{ "defaults", "init-deadline-ms", NUMBER },
	{ "defaults", "pad-deadline-ms", NUMBER },
	{ "defaults", "module", TEXT },
	{ "defaults", "ca", TEXT },
	{ "defaults", "max-iterations", NUMBER },
};

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static const char *const sections[] = { "store", "module", "ca", "defaults", NULL };

struct config {
	struct ks_config_row *rows;
	size_t count, capacity;
};

/* One file being read: where we are, and which rows are this file's own. */
struct reading {
	struct ks_ctx *ctx;
	struct config *config;
	const char *file;
	unsigned line;
	size_t first_row;	/* rows from here on were added by this file */
	char *section, *name;
};

static const char config_key;

static void row_clear(struct ks_config_row *row)
{
	free(row->section);
	free(row->name);
	free(row->key);
	free(row->value);
}

static void config_end(struct ks_ctx *ctx, void *state)
{
	struct config *config = state;

	(void)ctx;
	for (size_t i = 0; i < config->count; i++)
		row_clear(&config->rows[i]);
	free(config->rows);
	free(config);
}

static struct config *config_of(const struct ks_ctx *ctx)
{
	return ks_ctx_kept(ctx, &config_key);
}

/* ---- refusing ---- */

static int refuse(struct reading *reading, const char *what, const char *word, const char *why, const char *near)
{
	ks_auto_mem char *shown = ks_text_show(ks_bytes_of(word));

	return ks_fail(reading->ctx, KS_ECONFIG, "%s, line %u: %s \"%s\" %s%s%s%s", reading->file, reading->line, what,
		       shown ? shown : "", why, near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static int refuse_key(struct reading *reading, const char *key)
{
	const char *list[COUNT(keys) + 1] = { NULL };
	size_t count = 0;

	for (size_t i = 0; i < COUNT(keys); i++) {
		if (strcmp(keys[i].section, reading->section) == 0)
			list[count++] = keys[i].key;
	}
	return refuse(reading, "the key", key, "is unknown here", ks_nearest(key, list));
}

/* ---- lines ---- */

static struct ks_bytes trimmed(struct ks_bytes text)
{
	while (text.size && (text.data[0] == ' ' || text.data[0] == '\t'))
		text = KS_BYTES(text.data + 1, text.size - 1);
	while (text.size && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
		text.size--;
	return text;
}

static char *copied(struct ks_bytes text)
{
	return strndup((const char *)text.data, text.size);
}

/* "[store hsm]" or "[defaults]". */
static int read_section(struct reading *reading, struct ks_bytes line)
{
	struct ks_bytes inside, rest;
	size_t length = 0;
	bool named;

	if (line.data[line.size - 1] != ']')
		return ks_fail(reading->ctx, KS_ECONFIG, "%s, line %u: the section has no closing ]", reading->file, reading->line);
	inside = trimmed(KS_BYTES(line.data + 1, line.size - 2));
	while (length < inside.size && inside.data[length] != ' ' && inside.data[length] != '\t')
		length++;
	rest = trimmed(KS_BYTES(inside.data + length, inside.size - length));
	free(reading->section);
	free(reading->name);
	reading->section = copied(KS_BYTES(inside.data, length));
	reading->name = rest.size ? copied(rest) : NULL;
	if (!reading->section || (rest.size && !reading->name))
		return ks_nomem(reading->ctx);
	for (size_t i = 0; sections[i]; i++) {
		if (strcmp(sections[i], reading->section) == 0) {
			named = strcmp(sections[i], "defaults") != 0;
			if (named == (rest.size != 0))
				return 0;
			return refuse(reading, "the section", reading->section, named ? "needs a name" : "takes no name", NULL);
		}
	}
	return refuse(reading, "the section", reading->section, "is unknown", ks_nearest(reading->section, sections));
}

static int check_value(struct reading *reading, const struct key_row *row, struct ks_bytes value)
{
	if (value.size == 0)
		return refuse(reading, "the key", row->key, "has no value", NULL);
	if (row->shape == LOAD && !ks_bytes_are(value, "direct") && !ks_bytes_are(value, "isolated"))
		return refuse(reading, "the key", row->key, "takes direct or isolated", NULL);
	if (row->shape == NUMBER) {
		for (size_t i = 0; i < value.size; i++) {
			if (value.data[i] < '0' || value.data[i] > '9' || i == 18)
				return refuse(reading, "the key", row->key, "takes a whole number", NULL);
		}
	}
	if (memmem(value.data, value.size, "pin-value=", 10)) {
		refuse(reading, "the key", row->key, "has a PIN in it", NULL);
		return ks_hint(reading->ctx, KS_ECONFIG, "name a pin-source instead, for example file:/path or prompt");
	}
	return 0;
}

static bool same_name(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static struct ks_config_row *row_find(const struct config *config, size_t from, const char *section, const char *name,
				      const char *key)
{
	for (size_t i = from; i < config->count; i++) {
		struct ks_config_row *row = &config->rows[i];

		if (strcmp(row->section, section) == 0 && same_name(row->name, name) && strcmp(row->key, key) == 0)
			return row;
	}
	return NULL;
}

/* A row of an earlier file gives way; of this file it is a slip that is told. */
static int put_row(struct reading *reading, const struct key_row *known, struct ks_bytes value)
{
	struct config *config = reading->config;
	struct ks_config_row *old = row_find(config, reading->first_row, reading->section, reading->name, known->key);
	struct ks_config_row row = { .line = reading->line };

	if (old)
		return ks_fail(reading->ctx, KS_ECONFIG, "%s, line %u: the key \"%s\" was given on line %u already", reading->file,
			       reading->line, known->key, old->line);
	row.section = strdup(reading->section);
	row.name = reading->name ? strdup(reading->name) : NULL;
	row.key = strdup(known->key);
	row.value = copied(value);
	if (!row.section || (reading->name && !row.name) || !row.key || !row.value ||
	    ks_array_grow(&config->rows, &config->capacity, config->count + 1, sizeof(row))) {
		row_clear(&row);
		return ks_nomem(reading->ctx);
	}
	config->rows[config->count++] = row;
	return 0;
}

static int read_pair(struct reading *reading, struct ks_bytes line)
{
	const unsigned char *equals = memchr(line.data, '=', line.size);
	ks_auto_mem char *key = NULL;
	struct ks_bytes value;
	int rc;

	if (!equals)
		return ks_hint(reading->ctx,
			       ks_fail(reading->ctx, KS_ECONFIG, "%s, line %u: this is neither a [section] nor key = value",
				       reading->file, reading->line),
			       "a comment starts with # or ; and has the line to itself");
	if (!reading->section)
		return ks_fail(reading->ctx, KS_ECONFIG, "%s, line %u: a key stands before the first [section]", reading->file,
			       reading->line);
	key = copied(trimmed(KS_BYTES(line.data, (size_t)(equals - line.data))));
	if (!key)
		return ks_nomem(reading->ctx);
	value = trimmed(KS_BYTES(equals + 1, line.size - (size_t)(equals + 1 - line.data)));
	for (size_t i = 0; i < COUNT(keys); i++) {
		if (strcmp(keys[i].section, reading->section) == 0 && strcmp(keys[i].key, key) == 0) {
			rc = check_value(reading, &keys[i], value);
			return rc < 0 ? rc : put_row(reading, &keys[i], value);
		}
	}
	return refuse_key(reading, key);
}

static int read_line(struct reading *reading, struct ks_bytes line)
{
	if (line.size && line.data[line.size - 1] == '\r')
		line.size--;
	if (memchr(line.data, 0, line.size) || !ks_utf8_valid(line))
		return ks_fail(reading->ctx, KS_ECONFIG, "%s, line %u: this is not UTF-8 text", reading->file, reading->line);
	line = trimmed(line);
	if (line.size == 0 || line.data[0] == '#' || line.data[0] == ';')
		return 0;
	return line.data[0] == '[' ? read_section(reading, line) : read_pair(reading, line);
}

/* Rows of earlier files that this file has given anew. */
static void drop_overridden(struct config *config, size_t first_row)
{
	size_t kept = 0;

	for (size_t i = 0; i < config->count; i++) {
		struct ks_config_row row = config->rows[i];
		bool again = false;

		for (size_t n = first_row; i < first_row && n < config->count && !again; n++)
			again = strcmp(row.section, config->rows[n].section) == 0 && same_name(row.name, config->rows[n].name) &&
				strcmp(row.key, config->rows[n].key) == 0;
		if (again)
			row_clear(&row);
		else
			config->rows[kept++] = row;
	}
	config->count = kept;
}

static int read_lines(struct reading *reading, struct ks_bytes text)
{
	int rc = 0;

	if (text.size >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0)
		text = KS_BYTES(text.data + 3, text.size - 3);
	while (rc == 0 && text.size) {
		const unsigned char *end = memchr(text.data, '\n', text.size);
		size_t length = end ? (size_t)(end - text.data) : text.size;

		reading->line++;
		rc = read_line(reading, KS_BYTES(text.data, length));
		length += end != NULL;
		text = KS_BYTES(text.data + length, text.size - length);
	}
	return rc;
}

int ks_config_read(struct ks_ctx *ctx, const char *file, struct ks_bytes text)
{
	struct reading reading = { .ctx = ctx, .file = file };
	int rc;

	reading.config = ks_ctx_keep_new(ctx, &config_key, sizeof(*reading.config), config_end);
	if (!reading.config)
		return KS_ENOMEM;
	reading.first_row = reading.config->count;
	rc = read_lines(&reading, text);
	free(reading.section);
	free(reading.name);
	if (rc == 0) {
		drop_overridden(reading.config, reading.first_row);
		return 0;
	}
	while (reading.config->count > reading.first_row)
		row_clear(&reading.config->rows[--reading.config->count]);
	return rc;
}

const char *ks_config_get(const struct ks_ctx *ctx, const char *section, const char *name, const char *key)
{
	const struct config *config = config_of(ctx);
	const struct ks_config_row *row = config ? row_find(config, 0, section, name, key) : NULL;

	return row ? row->value : NULL;
}

const struct ks_config_row *ks_config_row(const struct ks_ctx *ctx, size_t n)
{
	const struct config *config = config_of(ctx);

	return config && n < config->count ? &config->rows[n] : NULL;
}
