/* SPDX-License-Identifier: Apache-2.0 */
/* The schedule's file, its words, and which rows a call meets. */
#include "schedule.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[FUNCTIONS] = {
#define PLAIN(name, session, params, args) [F_##name] = #name,
#define TOLD PLAIN
#include "calls.h"
#undef PLAIN
#undef TOLD
};

static const struct word {
	const char *name;
	unsigned long value;
} actions[] = {
	{ "answer", A_ANSWER },
	{ "after", A_AFTER },
	{ "sleep", A_SLEEP },
	{ "hang", A_HANG },
	{ "kill-before", A_KILL_BEFORE },
	{ "kill-after", A_KILL_AFTER },
	{ "pipe", A_PIPE },
	{ "crash", A_CRASH },
	{ "length", A_LENGTH },
	{ "grow", A_GROW },
	{ "endless", A_ENDLESS },
	{ "wide", A_WIDE },
	{ "over", A_OVER },
	{ "garbage", A_GARBAGE },
	{ "drop", A_DROP },
	{ "half", A_HALF },
	{ "flags", A_FLAGS },
	{ "tries", A_TRIES },
	{ "silent", A_SILENT },
	{ "pin-pad", A_PIN_PAD },
	{ "always-authenticate", A_ALWAYS },
	{ "null", A_NULL },
	{ "version", A_VERSION },
	{ "value", A_VALUE },
	{ "size", A_SIZE },
	{ "field", A_FIELD },
	{ "clear", A_CLEAR },
	{ "made-up", A_MADE_UP },
	{ "first", A_FIRST },
	{ "twice", A_TWICE },
	{ "backwards", A_BACKWARDS },
	{ "alter", A_ALTER },
	{ "pretend", A_PRETEND },
	{ "other", A_OTHER },
	{ "zero", A_ZERO },
	{ "der", A_DER },
	{ "state", A_STATE },
	{ "exit", A_EXIT },
	{ "deed", A_DEED },
	{ NULL, 0 },
};

static const struct word values[] = {
	{ "OK", CKR_OK },
	{ "DEVICE_REMOVED", CKR_DEVICE_REMOVED },
	{ "DEVICE_MEMORY", CKR_DEVICE_MEMORY },
	{ "DEVICE_ERROR", CKR_DEVICE_ERROR },
	{ "GENERAL_ERROR", CKR_GENERAL_ERROR },
	{ "FUNCTION_FAILED", CKR_FUNCTION_FAILED },
	{ "HOST_MEMORY", CKR_HOST_MEMORY },
	{ "SESSION_HANDLE_INVALID", CKR_SESSION_HANDLE_INVALID },
	{ "SESSION_CLOSED", CKR_SESSION_CLOSED },
	{ "SESSION_COUNT", CKR_SESSION_COUNT },
	{ "TOKEN_NOT_PRESENT", CKR_TOKEN_NOT_PRESENT },
	{ "TOKEN_NOT_RECOGNIZED", CKR_TOKEN_NOT_RECOGNIZED },
	{ "PIN_INCORRECT", CKR_PIN_INCORRECT },
	{ "PIN_LOCKED", CKR_PIN_LOCKED },
	{ "PIN_EXPIRED", CKR_PIN_EXPIRED },
	{ "USER_NOT_LOGGED_IN", CKR_USER_NOT_LOGGED_IN },
	{ "BUFFER_TOO_SMALL", CKR_BUFFER_TOO_SMALL },
	{ "TEMPLATE_INCONSISTENT", CKR_TEMPLATE_INCONSISTENT },
	{ "ATTRIBUTE_TYPE_INVALID", CKR_ATTRIBUTE_TYPE_INVALID },
	{ "MECHANISM_INVALID", CKR_MECHANISM_INVALID },
	{ "LOW", CKF_USER_PIN_COUNT_LOW },
	{ "FINAL", CKF_USER_PIN_FINAL_TRY },
	{ "LOCKED", CKF_USER_PIN_LOCKED },
	{ "SO_LOW", CKF_SO_PIN_COUNT_LOW },
	{ "SO_FINAL", CKF_SO_PIN_FINAL_TRY },
	{ "SO_LOCKED", CKF_SO_PIN_LOCKED },
	{ "WRITE_PROTECTED", CKF_WRITE_PROTECTED },
	{ "LOGIN_REQUIRED", CKF_LOGIN_REQUIRED },
	{ "USER_PIN_INITIALIZED", CKF_USER_PIN_INITIALIZED },
	{ "TOKEN_INITIALIZED", CKF_TOKEN_INITIALIZED },
	{ NULL, 0 },
};

static struct row rows[ROWS];
static size_t row_count;

const char *function_name(enum function function)
{
	return names[function];
}

static bool word_value(unsigned long *out, const struct word *words, const char *text)
{
	for (; words->name; words++) {
		if (!strcmp(words->name, text)) {
			*out = words->value;
			return true;
		}
	}
	return false;
}

/* A name of the table, a number, or several joined by |. */
static bool number_of(unsigned long *out, const char *text)
{
	char copy[sizeof rows[0].value], *rest = NULL, *end;
	unsigned long one;

	*out = 0;
	snprintf(copy, sizeof copy, "%s", text);
	for (const char *part = strtok_r(copy, "|", &rest); part; part = strtok_r(NULL, "|", &rest)) {
		if (!word_value(&one, values, part)) {
			one = strtoul(part, &end, 0);
			if (end == part)
				return false;
		}
		*out |= one;
	}
	return true;
}

static bool turns_of(struct row *row, const char *text)
{
	char *end;

	row->from = 1;
	row->to = ULONG_MAX;
	if (!strcmp(text, "*"))
		return true;
	row->from = strtoul(text, &end, 10);
	if (!strcmp(end, "+"))
		return row->from > 0;
	row->to = row->from;
	return row->from > 0 && *end == '\0';
}

static bool function_of(struct row *row, const char *text)
{
	row->function = ANY_FUNCTION;
	if (!strcmp(text, "*"))
		return true;
	for (row->function = 0; row->function < FUNCTIONS; row->function++) {
		if (!strcmp(names[row->function], text))
			return true;
	}
	return false;
}

/* Actions whose value is text, not a number. */
static bool speaks(enum action action)
{
	return action == A_HALF || action == A_PIN_PAD || action == A_ALWAYS || action == A_VERSION ||
	       action == A_VALUE || action == A_SIZE || action == A_FIELD || action == A_DEED;
}

static bool row_of(struct row *row, const char *line)
{
	char function[40] = "", turn[24] = "", action[32] = "";
	unsigned long which;
	int fields;

	*row = (struct row){ 0 };
	fields = sscanf(line, "%39s %23s %31s %1199s", function, turn, action, row->value);
	if (fields < 3 || !function_of(row, function) || !turns_of(row, turn) || !word_value(&which, actions, action))
		return false;
	row->action = (enum action)which;
	return fields == 3 || speaks(row->action) || number_of(&row->number, row->value);
}

void schedule_read(void)
{
	const char *path = getenv("BALKY_SCHEDULE");
	FILE *file = path ? fopen(path, "re") : NULL;
	char line[1400];

	row_count = 0;
	if (!path)
		return;
	while (file && fgets(line, sizeof line, file)) {
		if (line[strspn(line, " \t\n")] == '\0' || line[0] == '#')
			continue;
		if (row_count == ROWS || !row_of(&rows[row_count++], line)) {
			fprintf(stderr, "balky: %s: cannot follow: %s", path, line);
			abort();
		}
	}
	if (!file) {
		fprintf(stderr, "balky: cannot read %s\n", path);
		abort();
	}
	fclose(file);
}

size_t schedule_match(const struct row *found[MATCHES], enum function function, unsigned long nth,
		      unsigned long overall)
{
	size_t count = 0;

	for (size_t i = 0; i < row_count && count < MATCHES; i++) {
		unsigned long turn = rows[i].function == ANY_FUNCTION ? overall : nth;

		if (rows[i].function != ANY_FUNCTION && rows[i].function != function)
			continue;
		if (turn >= rows[i].from && turn <= rows[i].to)
			found[count++] = &rows[i];
	}
	return count;
}

const struct row *schedule_any(enum action action)
{
	for (size_t i = 0; i < row_count; i++) {
		if (rows[i].action == action)
			return &rows[i];
	}
	return NULL;
}

const struct row *schedule_of(enum action action, enum function function)
{
	for (size_t i = 0; i < row_count; i++) {
		if (rows[i].action == action && rows[i].function == function)
			return &rows[i];
	}
	return NULL;
}
