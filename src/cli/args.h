/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may be typed: the options and the commands, one row each.
 *
 * A row is everything that is true of its option or command; parsing, usage, help, the completions and the man page's
 * list are all made from it. An option has one spelling and one meaning everywhere, so a row only says which commands
 * take it.
 */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include "keyspec.h"

struct run;

/* Commands by number, so that an option row can name them in a set of bits. */
enum verb {
	VERB_LIST,
	VERB_SHOW,
	VERB_FIND,
	VERB_DIFF,
	VERB_VERIFY,
	VERB_LINT,
	VERB_NEW,
	VERB_GENERATE,
	VERB_REQUEST,
	VERB_ENROLL,
	VERB_COPY,
	VERB_INSTALL,
	VERB_REMOVE,
	VERB_RENAME,
	VERB_PASSWD,
	VERB_MERGE,
	VERB_ROLLBACK,
	VERB_CA_INIT,
	VERB_CA_SIGN,
	VERB_CA_LIST,
	VERB_TOKEN_LIST,
	VERB_TOKEN_INFO,
	VERB_TOKEN_INIT,
	VERB_TOKEN_PIN,
	VERB_TOKEN_DOCTOR,
	VERB_TOKEN_BENCH,
	VERB_TOKEN_BACKUP,
	VERB_TOKEN_RESTORE,
	VERB_TOKEN_TWIN,
	VERB_TOKEN_REGISTER,
	VERB_HELP,
	VERB_COMPLETION,
	VERB_COUNT,
};
#define IN(verb) (1ull << VERB_##verb)

struct words {
	const char **words;
	size_t count, capacity;
};

struct options {
	bool help, version, man_options, json, quiet, no_input, follow, allow_last_try;
	bool dry_run, fix, strict, stash, replace, all, allow_shrink, adopt, restore, skip_damaged, allow_extractable, decrypt,
		unblock, officer, write, always_authenticate, wrap_with_trusted;
	bool no_password, tree, as_uri;
	unsigned verbose, days, wait, seconds, shares, threshold;
	uint64_t max_iterations;
	int64_t expires_within; /* seconds; 0 = not asked */
	struct ks_keyspec type;
	const char *trace; /* file, "" = standard error */
	const char *config, *engine, *module, *pin_source, *to_pin_source, *ca_pin_source, *key_pin_source, *new_pin_source;
	const char *so_pin_source, *usage, *subject, *profile, *ca, *from, *output, *label, *key, *anchors, *to, *nss;
	struct words san, share, programs;
};

enum option_kind {
	OPTION_FLAG,
	OPTION_COUNT, /* each mention adds one */
	OPTION_TEXT,
	OPTION_MAYBE, /* a text behind =, or none, which is "" */
	OPTION_WORDS, /* may be repeated */
	OPTION_NUMBER, /* unsigned, above 0 */
	OPTION_ROUNDS, /* uint64_t, above 0 */
	OPTION_PERIOD, /* "30d", "12h", "2w", "1y" as seconds */
	OPTION_KEYSPEC,
};

/* What a value looks like, for the completions. */
enum value_kind {
	VALUE_NONE,
	VALUE_FILE,
	VALUE_FOLDER,
	VALUE_STORE,
	VALUE_PROFILE,
	VALUE_TYPE,
	VALUE_SOURCE,
	VALUE_SHELL,
	VALUE_READER,
	VALUE_COMMAND
};

struct option_row {
	const char *name;
	char letter; /* 0 = none */
	enum option_kind kind;
	const char *value; /* "DIR"; NULL for flags */
	enum value_kind looks;
	const char *help;
	size_t offset; /* in struct options */
	uint64_t verbs; /* EVERYWHERE or IN(...) | IN(...) */
};
#define EVERYWHERE (~0ull)

struct command {
	const char *name; /* "list", "ca sign" */
	const char *title; /* half a line */
	const char *operands; /* "[STORE...]" */
	enum value_kind looks; /* of the operands */
	bool alone; /* needs no context: no store, no secret, no configuration */
	size_t least, most; /* operands */
	const char *about; /* a paragraph or two for help and the man page */
	const char *examples; /* one a line */
	int (*run)(struct run *run);
};

extern const struct option_row option_rows[]; /* ended by a row without name, sorted by name */
extern const struct command commands[]; /* by enum verb, ended by a row without name */

/* Is `row` an option of `command`? */
bool option_fits(const struct option_row *row, const struct command *command);
const struct command *command_named(const char *first, const char *second);
/* Is this the first word of two-word commands ("ca", "token")? */
bool command_is_group(const char *word);

/* What was typed, understood. Strings are borrowed from argv. */
struct args {
	struct options options;
	const struct command *command; /* NULL = none was named */
	struct words operands;
	uint64_t used[2]; /* option rows that were given, by index */
	char problem[512], hint[256]; /* why it cannot be understood */
};

/* 0 or KS_EUSAGE with words in args->problem and args->hint. What was understood before stays, so that --json is
 * honoured. */
int args_parse(struct args *args, int argc, char **argv);
void args_free(struct args *args);
int words_add(struct words *words, const char *word);

#endif
