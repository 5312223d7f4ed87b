/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Understanding a command line by the rows of options.c and commands.c.
 *
 * Options may stand anywhere before `--`; long names are never abbreviated, so that an option added later cannot
 * change what an old script means. What is unknown is an error with the nearest spelling. An option given twice is
 * refused: in a line about keys it is a slip, not a wish.
 */
#include "args.h"
#include "text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int usage(struct args *args, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int usage(struct args *args, const char *format, ...)
{
	va_list values;

	if (args->problem[0])
		return KS_EUSAGE; /* the first problem is the one to tell */
	va_start(values, format);
	vsnprintf(args->problem, sizeof(args->problem), format, values);
	va_end(values);
	if (!args->hint[0])
		snprintf(args->hint, sizeof(args->hint), "keystow help%s%s", args->command ? " " : "",
			 args->command ? args->command->name : "");
	return KS_EUSAGE;
}

int words_add(struct words *words, const char *word)
{
	int rc = ks_array_grow(&words->words, &words->capacity, words->count + 1, sizeof(*words->words));

	if (rc == 0)
		words->words[words->count++] = word;
	return rc;
}

/* ---- values ---- */

static int number_parse(uint64_t *out, const char *text, uint64_t most)
{
	char *end;
	unsigned long long value;

	if (*text < '0' || *text > '9')
		return KS_EUSAGE;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || *end || value == 0 || value > most)
		return KS_EUSAGE;
	*out = value;
	return 0;
}

static int period_parse(int64_t *out, const char *text)
{
	static const struct {
		char unit;
		int64_t seconds;
	} units[] = { { 'h', 3600 }, { 'd', 86400 }, { 'w', 7 * 86400 }, { 'y', 365 * 86400 } };
	char digits[8] = "";
	size_t length = strlen(text);
	uint64_t count;

	if (length < 2 || length > sizeof(digits))
		return KS_EUSAGE;
	memcpy(digits, text, length - 1);
	if (number_parse(&count, digits, 9999999))
		return KS_EUSAGE;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (units[i].unit == text[length - 1]) {
			*out = (int64_t)count * units[i].seconds;
			return 0;
		}
	}
	return KS_EUSAGE;
}

static int set_keyspec(struct args *args, struct ks_keyspec *out, const char *value)
{
	ks_auto_mem char *shown = ks_text_show(ks_bytes_of(value));
	const char *near;

	if (ks_keyspec_parse(out, NULL, value) == 0)
		return 0;
	near = ks_nearest(value, ks_keyspec_words());
	if (near)
		snprintf(args->hint, sizeof(args->hint), "did you mean %s?", near);
	return usage(args, "no kind of key is called \"%s\"", shown ? shown : "?");
}

static int set_value(struct args *args, const struct option_row *row, const char *value)
{
	void *field = (char *)&args->options + row->offset;
	ks_auto_mem char *shown = ks_text_show(ks_bytes_of(value));
	uint64_t number;

	switch (row->kind) {
	case OPTION_TEXT:
	case OPTION_MAYBE:
		*(const char **)field = value;
		return 0;
	case OPTION_WORDS:
		return words_add(field, value);
	case OPTION_NUMBER:
		if (number_parse(&number, value, 1000000))
			return usage(args, "--%s wants a number from 1 to 1000000, not \"%s\"", row->name,
				     shown ? shown : "?");
		*(unsigned *)field = (unsigned)number;
		return 0;
	case OPTION_ROUNDS:
		if (number_parse(field, value, UINT64_MAX))
			return usage(args, "--%s wants a number above 0, not \"%s\"", row->name, shown ? shown : "?");
		return 0;
	case OPTION_PERIOD:
		if (period_parse(field, value))
			return usage(args, "--%s wants a period such as 30d, 12h, 2w or 1y, not \"%s\"", row->name,
				     shown ? shown : "?");
		return 0;
	case OPTION_KEYSPEC:
		return set_keyspec(args, field, value);
	default:
		return usage(args, "--%s takes no value", row->name);
	}
}

/* ---- options ---- */

static const struct option_row *row_named(const char *name, size_t length)
{
	for (const struct option_row *row = option_rows; row->name; row++) {
		if (strlen(row->name) == length && memcmp(row->name, name, length) == 0)
			return row;
	}
	return NULL;
}

static const struct option_row *row_lettered(char letter)
{
	for (const struct option_row *row = option_rows; row->name; row++) {
		if (row->letter && row->letter == letter)
			return row;
	}
	return NULL;
}

static int unknown_option(struct args *args, const char *typed, size_t length)
{
	const char *names[128] = { NULL };
	size_t count = 0;
	ks_auto_mem char *name = strndup(typed, length);
	ks_auto_mem char *shown = ks_text_show(KS_BYTES(typed, length));
	const char *near;

	for (const struct option_row *row = option_rows; row->name && count < 127; row++)
		names[count++] = row->name;
	near = name ? ks_nearest(name, names) : NULL;
	if (near)
		snprintf(args->hint, sizeof(args->hint), "did you mean --%s?", near);
	return usage(args, "there is no option --%s", shown ? shown : "?");
}

/* Remembers that the row was used; twice is an error unless it counts or collects. */
static int note_used(struct args *args, const struct option_row *row)
{
	size_t n = (size_t)(row - option_rows);
	uint64_t bit = 1ull << (n % 64);

	if (args->used[n / 64] & bit && row->kind != OPTION_COUNT && row->kind != OPTION_WORDS &&
	    row->kind != OPTION_FLAG)
		return usage(args, "--%s is given twice", row->name);
	args->used[n / 64] |= bit;
	return 0;
}

static bool takes_value(const struct option_row *row)
{
	return row->kind != OPTION_FLAG && row->kind != OPTION_COUNT && row->kind != OPTION_MAYBE;
}

static int set_option(struct args *args, const struct option_row *row, const char *value)
{
	void *field = (char *)&args->options + row->offset;
	int rc = note_used(args, row);

	if (rc < 0)
		return rc;
	if (row->kind == OPTION_FLAG)
		*(bool *)field = true;
	else if (row->kind == OPTION_COUNT)
		++*(unsigned *)field;
	else
		return set_value(args, row, value);
	return 0;
}

/* "--name", "--name=value", "--name value"; `*used_next` tells that the following word was the value. */
static int parse_long(struct args *args, const char *word, const char *next, bool *used_next)
{
	const char *equals = strchr(word, '=');
	size_t length = equals ? (size_t)(equals - word) : strlen(word);
	const struct option_row *row = row_named(word, length);

	if (length == 11 && memcmp(word, "man-options", 11) == 0 && !equals) {
		args->options.man_options = true; /* for the build of the man page only */
		return 0;
	}
	if (!row)
		return unknown_option(args, word, length);
	if (row->kind == OPTION_MAYBE)
		return equals && !equals[1] ? usage(args, "--%s= wants a value behind it", row->name)
					    : set_option(args, row, equals ? equals + 1 : "");
	if (!takes_value(row))
		return equals ? usage(args, "--%s takes no value", row->name) : set_option(args, row, NULL);
	if (equals)
		return set_option(args, row, equals + 1);
	if (!next)
		return usage(args, "--%s wants a value: %s", row->name, row->value);
	*used_next = true;
	return set_option(args, row, next);
}

/* "-n", "-qv", "-oFILE", "-o FILE". */
static int parse_letters(struct args *args, const char *letters, const char *next, bool *used_next)
{
	for (; *letters; letters++) {
		const struct option_row *row = row_lettered(*letters);
		int rc;

		if (!row) {
			ks_auto_mem char *shown = ks_text_show(KS_BYTES(letters, 1));

			return usage(args, "there is no option -%s", shown ? shown : "?");
		}
		if (takes_value(row)) {
			const char *value = letters[1] ? letters + 1 : next;

			if (!value)
				return usage(args, "-%c wants a value: %s", row->letter, row->value);
			*used_next = value == next;
			return set_option(args, row, value);
		}
		rc = set_option(args, row, NULL);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ---- commands ---- */

static int unknown_command(struct args *args, const char *first, const char *second)
{
	const char *names[2 * VERB_COUNT + 1] = { NULL };
	char typed[128], groups[VERB_COUNT][16];
	size_t count = 0;
	ks_auto_mem char *shown = NULL;
	const char *near;

	snprintf(typed, sizeof(typed), "%s%s%s", first, second ? " " : "", second ? second : "");
	shown = ks_text_show(ks_bytes_of(typed));
	for (size_t i = 0; i < VERB_COUNT; i++) {
		const char *blank = strchr(commands[i].name, ' ');

		names[count++] = commands[i].name;
		if (!blank || second)
			continue;
		snprintf(groups[i], sizeof(groups[i]), "%.*s", (int)(blank - commands[i].name), commands[i].name);
		names[count++] = groups[i];
	}
	near = ks_nearest(typed, names);
	if (near)
		snprintf(args->hint, sizeof(args->hint), "did you mean keystow %s?", near);
	return usage(args, "there is no command \"%s\"", shown ? shown : "?");
}

/* Takes the command off the front of the operands. */
static int find_command(struct args *args)
{
	const char **words = args->operands.words;
	size_t count = args->operands.count, taken = 1;

	if (count == 0)
		return 0;
	if (command_is_group(words[0])) {
		taken = 2;
		if (count < 2) {
			if (args->options.help)
				return 0;
			snprintf(args->hint, sizeof(args->hint), "keystow help %s", words[0]);
			return usage(args, "\"%s\" wants to know what to do", words[0]);
		}
	}
	args->command = command_named(words[0], taken == 2 ? words[1] : NULL);
	if (!args->command)
		return unknown_command(args, words[0], taken == 2 ? words[1] : NULL);
	memmove(words, words + taken, (count - taken) * sizeof(*words));
	args->operands.count -= taken;
	return 0;
}

static int check_options(struct args *args)
{
	for (const struct option_row *row = option_rows; row->name; row++) {
		size_t n = (size_t)(row - option_rows);

		if (args->used[n / 64] & (1ull << (n % 64)) && !option_fits(row, args->command))
			return usage(args, "%s does not take --%s", args->command->name, row->name);
	}
	return 0;
}

static int check_operands(struct args *args)
{
	const struct command *command = args->command;

	if (args->operands.count < command->least)
		return usage(args, "%s wants %s", command->name, command->operands);
	if (args->operands.count > command->most) {
		ks_auto_mem char *shown = ks_text_show(ks_bytes_of(args->operands.words[command->most]));

		return usage(args, "%s does not know what to do with \"%s\"", command->name, shown ? shown : "?");
	}
	for (size_t i = 0; i < args->operands.count; i++) {
		if (!args->operands.words[i][0])
			return usage(args, "an empty word is no address and no name");
	}
	return 0;
}

static int parse_words(struct args *args, int argc, char **argv)
{
	bool only_operands = false;
	int first = 0;

	for (int i = 1; i < argc; i++) {
		const char *next = i + 1 < argc ? argv[i + 1] : NULL;
		bool used_next = false;
		int rc = 0;

		if (only_operands || argv[i][0] != '-' || !argv[i][1])
			rc = words_add(&args->operands, argv[i]);
		else if (strcmp(argv[i], "--") == 0)
			only_operands = true;
		else if (argv[i][1] == '-')
			rc = parse_long(args, argv[i] + 2, next, &used_next);
		else
			rc = parse_letters(args, argv[i] + 1, next, &used_next);
		if (rc < 0 && first == 0)
			first = rc; /* go on, so that a --json further right is honoured */
		i += used_next;
	}
	return first;
}

int args_parse(struct args *args, int argc, char **argv)
{
	int rc = parse_words(args, argc, argv);
	int found = find_command(args);

	if (rc == 0)
		rc = found;
	if (rc < 0 || args->options.help || args->options.version || args->options.man_options)
		return rc;
	if (!args->command)
		return usage(args, "no command is given");
	rc = check_options(args);
	return rc < 0 ? rc : check_operands(args);
}

void args_free(struct args *args)
{
	free(args->operands.words);
	free(args->options.san.words);
	free(args->options.share.words);
	free(args->options.programs.words);
}
