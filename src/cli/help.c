/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Help, and the man page's lists: the tables read aloud.
 */
#include "commands.h"
#include "config.h"
#include "engine.h"
#include "pkcs11/codes.h"
#include "profile.h"
#include "text.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define WIDTH 100 /* columns of wrapped text */

static int option_width(const struct option_row *row, char out[64])
{
	char letter[6] = "";

	if (row->letter)
		snprintf(letter, sizeof(letter), "-%c, ", row->letter);
	return snprintf(out, 64, "%s--%s%s%s", letter, row->name, row->value ? " " : "", row->value ? row->value : "");
}

/* Prints `text` wrapped behind `before`, further lines indented as far as it is long. */
static void wrapped(struct out *out, const char *before, const char *text)
{
	static const char blanks[] = "                                        ";
	int indent = (int)strlen(before), room = WIDTH - indent;

	while (*text) {
		size_t length = strcspn(text, "\n"), cut = length;

		if (length > (size_t)room) {
			cut = (size_t)room;
			while (cut > 0 && text[cut] != ' ')
				cut--;
		}
		out_line(out, "%s%.*s", before, (int)cut, text);
		text += cut + (text[cut] != '\0');
		before = &blanks[sizeof(blanks) - 1 - (size_t)indent];
	}
}

static void show_option(struct out *out, const struct option_row *row)
{
	char left[64], before[80];

	option_width(row, left);
	snprintf(before, sizeof(before), "  %-26s  ", left);
	wrapped(out, before, row->help);
}

static void show_options(struct out *out, const struct command *command, bool everywhere)
{
	for (const struct option_row *row = option_rows; row->name; row++) {
		if (option_fits(row, command) && (row->verbs == EVERYWHERE) == everywhere)
			show_option(out, row);
	}
}

static void show_examples(struct out *out, const char *examples)
{
	while (*examples) {
		size_t length = strcspn(examples, "\n");

		out_line(out, "  %.*s", (int)length, examples);
		examples += length + (examples[length] == '\n');
	}
}

static void help_all(struct out *out)
{
	out_line(out, "usage: keystow COMMAND [OPTION...] [OPERAND...]");
	out_line(out, "%s", "");
	out_line(out, "  keystow list p12:alice.p12");
	out_line(out,
		 "  keystow enroll 'pkcs11:token=usbhsm;object=my_key3' --ca ./ca --subject CN=me --profile client");
	out_line(out, "  keystow merge bundle.pem p12:alice.p12 p12:bob.p12");
	out_line(out, "%s", "");
	for (const struct command *command = commands; command->name; command++)
		out_line(out, "  %-12s  %s", command->name, command->title);
	out_line(out, "%s", "");
	out_line(out, "Options of every command:");
	show_options(out, NULL, true);
	out_line(out, "%s", "");
	wrapped(out, "",
		"A store is SCHEME:PATH, a path (its type is found by content), a pkcs11: URI, or @NAME of the "
		"configuration; an "
		"entry is STORE#LABEL or STORE#sha256:HEX. keystow help COMMAND tells more, keystow help CODE "
		"explains a message.");
}

static void help_group(struct out *out, const char *group)
{
	size_t length = strlen(group);

	out_line(out, "usage: keystow %s COMMAND [OPTION...] [OPERAND...]", group);
	out_line(out, "%s", "");
	for (const struct command *command = commands; command->name; command++) {
		if (strncmp(command->name, group, length) == 0 && command->name[length] == ' ')
			out_line(out, "  %-12s  %s", command->name, command->title);
	}
}

/* The rows as they are, for programs that wrap keystow. */
static void command_json(struct out *out, const struct command *command)
{
	out_string(out, "name", command->name);
	out_string(out, "title", command->title);
	out_string(out, "operands", command->operands);
	out_string(out, "about", command->about);
	out_open(out, "options", '[');
	for (const struct option_row *row = option_rows; row->name; row++) {
		json_t *object;

		if (!option_fits(row, command))
			continue;
		object = json_object();
		out_set_text(object, "name", row->name);
		out_set_text(object, "value", row->value);
		out_set_text(object, "help", row->help);
		out_value(out, NULL, object);
	}
	out_close(out);
}

static void all_json(struct out *out)
{
	out_open(out, "commands", '[');
	for (const struct command *command = commands; command->name; command++) {
		out_open(out, NULL, '{');
		out_string(out, "name", command->name);
		out_string(out, "title", command->title);
		out_close(out);
	}
	out_close(out);
}

void help_command(struct out *out, const struct command *command)
{
	if (out->json) {
		if (command)
			command_json(out, command);
		else
			all_json(out);
		return;
	}
	if (!command) {
		help_all(out);
		return;
	}
	out_line(out, "usage: keystow %s [OPTION...]%s%s", command->name, *command->operands ? " " : "",
		 command->operands);
	out_line(out, "%s", "");
	show_examples(out, command->examples);
	out_line(out, "%s", "");
	wrapped(out, "", command->about);
	out_line(out, "%s", "");
	show_options(out, command, false);
	show_options(out, command, true);
}

/* ---- codes and words ---- */

static int help_code(struct out *out, int status)
{
	out_line(out, "KS-%04d  %s  (exit code %d)", -status, ks_status_title(status), ks_status_exit(status));
	wrapped(out, "  ", ks_status_advice(status));
	out_string(out, "title", ks_status_title(status));
	out_string(out, "advice", ks_status_advice(status));
	out_number(out, "exit", ks_status_exit(status));
	return 0;
}

/* A code of PKCS#11 by its name or, behind 0x, its number. */
static const struct ks_p11_code *cryptoki_code(const char *word)
{
	const struct ks_p11_code *code;
	char *end;
	unsigned long number = 0;
	bool by_number = word[0] == '0' && (word[1] == 'x' || word[1] == 'X');

	if (by_number) {
		number = strtoul(word + 2, &end, 16);
		if (end == word + 2 || *end)
			return NULL;
	}
	for (size_t n = 0; (code = ks_p11_code_nth(n)); n++) {
		if (by_number ? code->rv == number : strcasecmp(code->name, word) == 0)
			return code;
	}
	return by_number && number > CKR_VENDOR_DEFINED ? cryptoki_code("CKR_VENDOR_DEFINED") : NULL;
}

static int help_cryptoki(struct out *out, const struct ks_p11_code *code)
{
	ks_auto_mem char *meaning = NULL;

	if (asprintf(&meaning, "The token or module %s.", code->words) < 0)
		return KS_ENOMEM;
	if (code->status == KS_OK)
		out_line(out, "%s  0x%08lx", code->name, code->rv);
	else
		out_line(out, "%s  0x%08lx  (KS-%04d, exit code %d)", code->name, code->rv, -code->status,
			 ks_status_exit(code->status));
	wrapped(out, "  ", meaning);
	wrapped(out, "  ", code->causes);
	wrapped(out, "  next: ", code->next);
	out_string(out, "name", code->name);
	out_number(out, "code", (long long)code->rv);
	out_string(out, "meaning", meaning);
	out_string(out, "causes", code->causes);
	out_string(out, "next", code->next);
	out_number(out, "exit", ks_status_exit(code->status));
	return 0;
}

/* "KS-0402", "ks0402", "0402", "402". */
static int code_parse(const char *word)
{
	const char *digits = word;
	char *end;
	long code;

	if (strncasecmp(digits, "KS", 2) == 0)
		digits += 2 + (digits[2] == '-');
	if (!isdigit((unsigned char)*digits))
		return 0;
	code = strtol(digits, &end, 10);
	if (*end)
		return 0;
	for (size_t n = 0; ks_status_nth(n); n++) {
		if (ks_status_nth(n) == -code)
			return (int)-code;
	}
	return 0;
}

/* One thing of a list: a line for people, an object for programs. */
static void list_thing(struct out *out, const char *name, const char *title, const char *more)
{
	json_t *object;

	out_line(out, "%-8s%s%s%s%s", name, *title ? "  " : "", title, *more ? "; " : "", more);
	if (!out->json)
		return;
	object = json_object();
	out_set_text(object, "name", name);
	out_set_text(object, "title", *title ? title : NULL);
	out_set_text(object, "more", *more ? more : NULL);
	out_value(out, NULL, object);
}

static int help_profiles(struct run *run)
{
	for (size_t n = 0; ks_profile_nth(n); n++) {
		ks_auto(profile) profile = NULL;
		char more[128];
		int rc = ks_profile_find(&profile, NULL, NULL, ks_profile_nth(n));

		if (rc < 0)
			return rc;
		snprintf(more, sizeof(more), "%u days; alternative names: %s", profile->days,
			 *profile->allowed_names ? profile->allowed_names : "none");
		list_thing(&run->out, profile->name, profile->title, more);
	}
	return 0;
}

static int help_types(struct run *run)
{
	for (const char *const *word = ks_keyspec_words(); *word; word++)
		list_thing(&run->out, *word, "", "");
	return 0;
}

static int help_stores(struct run *run)
{
	for (size_t i = 0; ks_engines[i]; i++)
		list_thing(&run->out, ks_engines[i]->name, ks_engines[i]->title,
			   ks_engines[i]->endings ? ks_engines[i]->endings : "");
	return 0;
}

static const struct {
	const char *word;
	int (*run)(struct run *run);
} topics[] = { { "profiles", help_profiles }, { "types", help_types }, { "stores", help_stores } };
#define TOPICS (sizeof(topics) / sizeof(topics[0]))

#define CODES 256 /* more than there are, to find what was meant */

static int unknown_topic(struct run *run, const char *word)
{
	const char *names[VERB_COUNT + TOPICS + CODES + 1] = { NULL };
	ks_auto_mem char *shown = ks_text_show(ks_bytes_of(word));
	char text[256], hint[128] = "keystow help";
	const char *near;
	size_t count = 0;

	for (size_t i = 0; i < VERB_COUNT; i++)
		names[count++] = commands[i].name;
	for (size_t i = 0; i < TOPICS; i++)
		names[count++] = topics[i].word;
	for (size_t i = 0; i < CODES && ks_p11_code_nth(i); i++)
		names[count++] = ks_p11_code_nth(i)->name;
	near = ks_nearest(word, names);
	if (near)
		snprintf(hint, sizeof(hint), "did you mean keystow help %s?", near);
	snprintf(text, sizeof(text), "there is no command, code or word \"%.100s\" to explain", shown ? shown : "?");
	run_problem(run, KS_EUSAGE, text, hint);
	return KS_EUSAGE;
}

int help_run(struct run *run)
{
	const char *word = run_operand(run, 0), *second = run_operand(run, 1);
	const struct command *command;

	if (!word) {
		help_command(&run->out, NULL);
		return 0;
	}
	command = command_named(word, second);
	if (command) {
		help_command(&run->out, command);
		return 0;
	}
	if (!second && command_is_group(word)) {
		help_group(&run->out, word);
		return 0;
	}
	if (cryptoki_code(word) && !second)
		return help_cryptoki(&run->out, cryptoki_code(word));
	if (code_parse(word) && !second)
		return help_code(&run->out, code_parse(word));
	for (size_t i = 0; i < TOPICS; i++) {
		int rc;

		if (strcmp(topics[i].word, word) != 0 || second)
			continue;
		out_open(&run->out, word, '[');
		rc = topics[i].run(run);
		out_close(&run->out);
		return rc;
	}
	return unknown_topic(run, second ? second : word);
}

/* ---- the man page ---- */

/* scdoc gives meaning to these characters. */
static void man_escaped(struct ks_buffer *page, const char *text, size_t size)
{
	for (; size; size--, text++) {
		if (strchr("*_\\#<>", *text))
			ks_buffer_text(page, "\\");
		ks_buffer_put(page, text, 1);
	}
}

/* Indented paragraphs, one for each line of `text`. */
static void man_text(struct ks_buffer *page, const char *text)
{
	while (*text) {
		size_t length = strcspn(text, "\n");

		ks_buffer_text(page, "\t");
		man_escaped(page, text, length);
		ks_buffer_text(page, "\n\n");
		text += length + (text[length] == '\n');
	}
}

static void man_command(struct ks_buffer *page, const struct command *command)
{
	ks_buffer_format(page, "*keystow %s* ", command->name);
	man_escaped(page, command->operands, strlen(command->operands));
	ks_buffer_text(page, "\n");
	man_text(page, command->about);
}

static void man_option(struct ks_buffer *page, const struct option_row *row)
{
	const char *between = "\tTaken by ";

	if (row->letter)
		ks_buffer_format(page, "*-%c*, ", row->letter);
	ks_buffer_format(page, "*--%s* %s\n", row->name, row->value ? row->value : "");
	man_text(page, row->help);
	for (const struct command *command = commands; command->name && row->verbs != EVERYWHERE; command++) {
		if (!option_fits(row, command))
			continue;
		ks_buffer_format(page, "%s*%s*", between, command->name);
		between = ", ";
	}
	ks_buffer_text(page, row->verbs == EVERYWHERE ? "" : ".\n\n");
}

void help_man(struct out *out)
{
	ks_auto(buffer) page = ks_buffer_new(1u << 20);

	if (!page)
		return;
	ks_buffer_text(page, "# COMMANDS\n\n");
	for (const struct command *command = commands; command->name; command++)
		man_command(page, command);
	ks_buffer_text(page, "# OPTIONS\n\n");
	for (const struct option_row *row = option_rows; row->name; row++)
		man_option(page, row);
	out_raw(out, ks_buffer_bytes(page));
}
