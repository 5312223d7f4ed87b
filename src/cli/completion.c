/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Completions for bash, zsh and fish, from the tables.
 */
#include "commands.h"
#include "profile.h"
#include "reader.h"
#include "register.h"
#include "text.h"
#include "where.h"

#include <stdio.h>
#include <string.h>

static bool is_reader(const char *word)
{
	const struct ks_reader *reader;

	for (size_t n = 0; (reader = ks_reader_nth(n)); n++) {
		if (strcmp(ks_reader_name(reader), word) == 0)
			return true;
	}
	return false;
}

/* The words that a kind of value may be, blank-separated; "" = a file name or free text. */
static void value_words(struct ks_buffer *into, enum value_kind looks)
{
	if (looks == VALUE_PROFILE) {
		for (size_t n = 0; ks_profile_nth(n); n++)
			ks_buffer_format(into, "%s ", ks_profile_nth(n));
	} else if (looks == VALUE_TYPE) {
		for (const char *const *word = ks_keyspec_words(); *word; word++)
			ks_buffer_format(into, "%s ", *word);
	} else if (looks == VALUE_SOURCE) {
		ks_buffer_text(into, "prompt file: fd: env: cmd: ");
	} else if (looks == VALUE_READER) {
		for (size_t n = 0; ks_reader_nth(n); n++)
			ks_buffer_format(into, "%s ", ks_reader_name(ks_reader_nth(n)));
		for (const char *const *word = ks_program_words; *word; word++) {
			if (!is_reader(*word))
				ks_buffer_format(into, "%s ", *word);
		}
	} else if (looks == VALUE_SHELL) {
		ks_buffer_text(into, "bash zsh fish ");
	} else if (looks == VALUE_STORE) {
		for (const char *const *scheme = ks_where_schemes(); *scheme; scheme++)
			ks_buffer_format(into, "%s: ", *scheme);
	} else if (looks == VALUE_COMMAND) {
		ks_buffer_text(into, "profiles types stores ");
		for (const struct command *command = commands; command->name; command++)
			ks_buffer_format(into, "%.*s ", (int)strcspn(command->name, " "), command->name);
	}
}

static bool completes_files(enum value_kind looks)
{
	return looks == VALUE_FILE || looks == VALUE_STORE;
}

static void options_of(struct ks_buffer *into, const struct command *command)
{
	for (const struct option_row *row = option_rows; row->name; row++) {
		if (option_fits(row, command))
			ks_buffer_format(into, "--%s ", row->name);
	}
}

/* First words, each once: groups stand together in the table. */
static void first_words(struct ks_buffer *into)
{
	const char *last = "";

	for (const struct command *command = commands; command->name; command++) {
		size_t length = strcspn(command->name, " ");

		if (strncmp(last, command->name, length) != 0 || last[length] != ' ')
			ks_buffer_format(into, "%.*s ", (int)length, command->name);
		last = command->name;
	}
}

static void second_words(struct ks_buffer *into, const char *group)
{
	size_t length = strlen(group);

	for (const struct command *command = commands; command->name; command++) {
		if (strncmp(command->name, group, length) == 0 && command->name[length] == ' ')
			ks_buffer_format(into, "%s ", command->name + length + 1);
	}
}

/* ---- bash ---- */

static void bash_values(struct ks_buffer *into)
{
	for (const struct option_row *row = option_rows; row->name; row++) {
		char letter[8] = "";

		if (!row->value)
			continue;
		if (row->letter)
			snprintf(letter, sizeof(letter), "-%c|", row->letter);
		ks_buffer_format(into, "\t%s--%s)\n\t\twords=\"", letter, row->name);
		value_words(into, row->looks);
		ks_buffer_format(into, "\" kind=%s ;;\n",
				 row->looks == VALUE_FOLDER    ? "folders"
				 : completes_files(row->looks) ? "files"
							       : "words");
	}
}

static void bash_commands(struct ks_buffer *into)
{
	for (const struct command *command = commands; command->name; command++) {
		ks_buffer_format(into, "\t\t\"%s\") options=\"", command->name);
		options_of(into, command);
		ks_buffer_text(into, "\" words=\"");
		value_words(into, command->looks);
		ks_buffer_format(into, "\" kind=%s ;;\n",
				 command->looks == VALUE_FOLDER    ? "folders"
				 : completes_files(command->looks) ? "files"
								   : "words");
	}
}

static void bash(struct ks_buffer *into)
{
	ks_buffer_text(into, "# keystow completion for bash\n"
			     "_keystow() {\n"
			     "\tlocal word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command= "
			     "options= words= kind=words i\n"
			     "\tlocal IFS=$' \\t\\n'\n"
			     "\tCOMPREPLY=()\n"
			     "\tcase $before in\n");
	bash_values(into);
	ks_buffer_text(into, "\t*)\n"
			     "\t\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
			     "\t\t\t[[ ${COMP_WORDS[i]} == -* ]] && continue\n"
			     "\t\t\tcase $command in\n"
			     "\t\t\t'') command=${COMP_WORDS[i]} ;;\n"
			     "\t\t\tca|token) command=\"$command ${COMP_WORDS[i]}\" ;;\n"
			     "\t\t\tesac\n"
			     "\t\tdone\n"
			     "\t\tcase $command in\n"
			     "\t\t'') words=\"");
	first_words(into);
	ks_buffer_text(into, "\" ;;\n\t\tca) words=\"");
	second_words(into, "ca");
	ks_buffer_text(into, "\" ;;\n\t\ttoken) words=\"");
	second_words(into, "token");
	ks_buffer_text(into, "\" ;;\n");
	bash_commands(into);
	ks_buffer_text(into, "\t\tesac\n"
			     "\t\tif [[ $word == -* ]]; then\n\t\t\twords=$options kind=words\n\t\tfi ;;\n"
			     "\tesac\n"
			     "\tCOMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
			     "\tcase $kind in\n"
			     "\tfiles) compopt -o filenames 2>/dev/null; COMPREPLY+=($(compgen -f -- \"$word\")) ;;\n"
			     "\tfolders) compopt -o filenames 2>/dev/null; COMPREPLY+=($(compgen -d -- \"$word\")) ;;\n"
			     "\tesac\n"
			     "}\n"
			     "complete -F _keystow keystow\n");
}

/* ---- zsh ---- */

/* Single quotes end a quoted word, colons and brackets divide an _arguments spec. */
static void zsh_text(struct ks_buffer *into, const char *text)
{
	for (; *text; text++) {
		if (*text == '\'')
			ks_buffer_text(into, "'\\''");
		else if (strchr(":[]", *text))
			ks_buffer_format(into, "\\%c", *text);
		else
			ks_buffer_put(into, text, 1);
	}
}

static void zsh_value(struct ks_buffer *into, const char *name, enum value_kind looks)
{
	ks_buffer_format(into, ":%s:", name);
	if (looks == VALUE_FOLDER) {
		ks_buffer_text(into, "_directories");
	} else if (looks == VALUE_FILE || looks == VALUE_STORE) {
		ks_buffer_text(into, "_files");
	} else {
		ks_buffer_text(into, "(");
		value_words(into, looks);
		ks_buffer_text(into, ")");
	}
}

static void zsh_command(struct ks_buffer *into, const struct command *command)
{
	ks_buffer_format(into, "\t(\"%s\")\n\t\t_arguments -S", command->name);
	for (const struct option_row *row = option_rows; row->name; row++) {
		if (!option_fits(row, command))
			continue;
		ks_buffer_format(into, " \\\n\t\t\t'%s--%s%s[",
				 row->kind == OPTION_WORDS || row->kind == OPTION_COUNT ? "*" : "", row->name,
				 row->value ? "=" : "");
		zsh_text(into, row->help);
		ks_buffer_text(into, "]");
		if (row->value)
			zsh_value(into, "value", row->looks);
		ks_buffer_text(into, "'");
	}
	if (command->most) {
		ks_buffer_text(into, " \\\n\t\t\t'*");
		zsh_value(into, "operand", command->looks);
		ks_buffer_text(into, "'");
	}
	ks_buffer_text(into, " ;;\n");
}

static void zsh(struct ks_buffer *into)
{
	ks_buffer_text(into, "#compdef keystow\n# keystow completion for zsh\n"
			     "_keystow() {\n\tlocal command\n"
			     "\tif (( CURRENT == 2 )); then\n\t\tcompadd -- ");
	first_words(into);
	ks_buffer_text(into, "\n\t\treturn\n\tfi\n\tcommand=$words[2]\n\tif [[ $command == (ca|token) ]]; then\n"
			     "\t\tif (( CURRENT == 3 )); then\n"
			     "\t\t\tif [[ $command == ca ]]; then compadd -- ");
	second_words(into, "ca");
	ks_buffer_text(into, "; else compadd -- ");
	second_words(into, "token");
	ks_buffer_text(into, "; fi\n\t\t\treturn\n\t\tfi\n\t\tcommand=\"$command $words[3]\"\n\t\tshift words; (( "
			     "CURRENT-- ))\n\tfi\n"
			     "\tshift words; (( CURRENT-- ))\n\tcase $command in\n");
	for (const struct command *command = commands; command->name; command++)
		zsh_command(into, command);
	ks_buffer_text(into,
		       "\tesac\n}\n"
		       "if [[ $funcstack[1] == _keystow ]]; then _keystow \"$@\"; else compdef _keystow keystow; fi\n");
}

/* ---- fish ---- */

static void fish_text(struct ks_buffer *into, const char *text)
{
	for (; *text; text++) {
		if (*text == '\'' || *text == '\\')
			ks_buffer_text(into, "\\");
		ks_buffer_put(into, text, 1);
	}
}

/* The condition under which a command's options apply. */
static void fish_when(struct ks_buffer *into, const struct command *command)
{
	const char *blank = strchr(command->name, ' ');

	if (blank)
		ks_buffer_format(into, "-n '__fish_seen_subcommand_from %.*s; and __fish_seen_subcommand_from %s'",
				 (int)(blank - command->name), command->name, blank + 1);
	else
		ks_buffer_format(into, "-n '__fish_seen_subcommand_from %s'", command->name);
}

static void fish_option(struct ks_buffer *into, const struct option_row *row, const struct command *command)
{
	ks_buffer_text(into, "complete -c keystow ");
	if (command)
		fish_when(into, command);
	ks_buffer_format(into, " -l %s", row->name);
	if (row->letter)
		ks_buffer_format(into, " -s %c", row->letter);
	if (row->value)
		ks_buffer_text(into, completes_files(row->looks) || row->looks == VALUE_FOLDER ? " -r" : " -x");
	if (row->value && !completes_files(row->looks) && row->looks != VALUE_FOLDER && row->looks != VALUE_NONE) {
		ks_buffer_text(into, " -a '");
		value_words(into, row->looks);
		ks_buffer_text(into, "'");
	}
	ks_buffer_text(into, " -d '");
	fish_text(into, row->help);
	ks_buffer_text(into, "'\n");
}

static void fish_command(struct ks_buffer *into, const struct command *command)
{
	const char *blank = strchr(command->name, ' ');

	if (blank)
		ks_buffer_format(into, "complete -c keystow -n '__fish_seen_subcommand_from %.*s' -f -a %s -d '",
				 (int)(blank - command->name), command->name, blank + 1);
	else
		ks_buffer_format(into, "complete -c keystow -n __fish_use_subcommand -f -a %s -d '", command->name);
	fish_text(into, command->title);
	ks_buffer_text(into, "'\n");
	for (const struct option_row *row = option_rows; row->name; row++) {
		if (row->verbs != EVERYWHERE && option_fits(row, command))
			fish_option(into, row, command);
	}
}

static void fish(struct ks_buffer *into)
{
	ks_buffer_text(into, "# keystow completion for fish\n"
			     "complete -c keystow -n __fish_use_subcommand -f -a ca -d 'a local CA'\n"
			     "complete -c keystow -n __fish_use_subcommand -f -a token -d 'tokens as devices'\n");
	for (const struct command *command = commands; command->name; command++)
		fish_command(into, command);
	for (const struct option_row *row = option_rows; row->name; row++) {
		if (row->verbs == EVERYWHERE)
			fish_option(into, row, NULL);
	}
}

static const struct {
	const char *name;
	void (*write)(struct ks_buffer *into);
} shells[] = { { "bash", bash }, { "zsh", zsh }, { "fish", fish } };
#define SHELLS (sizeof(shells) / sizeof(shells[0]))

int completion_run(struct run *run)
{
	ks_auto(buffer) script = ks_buffer_new(1u << 20);

	for (size_t i = 0; script && i < SHELLS; i++) {
		if (strcmp(shells[i].name, run_operand(run, 0)) != 0)
			continue;
		shells[i].write(script);
		if (script->status < 0)
			return script->status;
		if (run->out.json)
			out_string(&run->out, "script", ks_buffer_string(script));
		else
			out_raw(&run->out, ks_buffer_bytes(script));
		return 0;
	}
	run_problem(run, KS_EUSAGE, "there are completions for bash, zsh and fish only", "keystow completion bash");
	return KS_EUSAGE;
}
