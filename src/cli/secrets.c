/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readers of secrets. The secret goes in one read() from where it is into locked memory; it is never an option's
 * value, and only its source's name ever appears in a message.
 *
 * A descriptor and an environment variable can be read once, so what they gave is kept until the end for the same
 * source named again; a file or a command is asked each time.
 */
#include "secrets.h"
#include "term.h"
#include "text.h"

#include "file/stash.h"

#include <openssl/crypto.h>

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEPT 16

extern char **environ;

struct kept_secret {
	char *source;
	struct ks_secret *secret;
};
static struct kept_secret kept[KEPT];

/* ---- file: ---- */

typedef int reader(struct ks_secret *into, struct ks_ctx *ctx, int fd, const char *what);

static int from_file(struct ks_secret *into, struct ks_ctx *ctx, const char *path, reader *read_from)
{
	struct stat facts;
	ks_auto_mem char *what = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc;

	if (fd < 0)
		return ks_hint(
			ctx,
			ks_fail(ctx, KS_ENOSECRET, "the secret's file %s cannot be opened: %s", path, strerror(errno)),
			"check the path; its first line is the secret, and only its owner may read it");
	if (fstat(fd, &facts) != 0)
		rc = ks_fail_errno(ctx, errno, "the secret's file %s cannot be examined", path);
	else if (!S_ISREG(facts.st_mode))
		rc = ks_fail(ctx, KS_ENOSECRET, "%s is not a regular file, so no secret is read from it", path);
	else if (facts.st_mode & 077)
		rc = ks_hint(ctx,
			     ks_fail(ctx, KS_ENOSECRET, "the secret's file %s is open to others (mode %04o)", path,
				     (unsigned)(facts.st_mode & 07777)),
			     "chmod 600 %s", path);
	else if (asprintf(&what, "the secret's file %s", path) < 0)
		rc = ks_nomem(ctx);
	else
		rc = read_from(into, ctx, fd, what);
	close(fd);
	return rc;
}

static int line_from_file(struct ks_secret *into, struct ks_ctx *ctx, const char *path)
{
	return from_file(into, ctx, path, ks_secret_read);
}

/* ---- fd: ---- */

static int from_descriptor(struct ks_secret *into, struct ks_ctx *ctx, const char *digits)
{
	char what[32], *end;
	long fd;

	errno = 0;
	fd = strtol(digits, &end, 10);
	if (*digits < '0' || *digits > '9' || *end || errno || fd > 65535)
		return ks_fail(ctx, KS_EUSAGE, "fd: wants the number of an open descriptor, as in fd:3");
	if (fcntl((int)fd, F_GETFD) < 0)
		return ks_hint(ctx, ks_fail(ctx, KS_ENOSECRET, "descriptor %ld is not open", fd),
			       "in a shell: keystow ... --pin-source fd:%ld %ld</path/to/pin", fd, fd);
	snprintf(what, sizeof(what), "descriptor %ld", fd);
	return ks_secret_read(into, ctx, (int)fd, what);
}

/* ---- env: ---- */

/* The variable is wiped where it stands, so that /proc/PID/environ and children do not show it any longer. */
static int from_environment(struct ks_secret *into, struct ks_ctx *ctx, const char *name)
{
	char *value = getenv(name);
	int rc;

	if (!value || !*value)
		return ks_fail(ctx, KS_ENOSECRET, "the environment variable %s is %s", name,
			       value ? "empty" : "not set");
	rc = ks_secret_append(into, ctx, value, strlen(value));
	OPENSSL_cleanse(value, strlen(value));
	unsetenv(name);
	return rc;
}

/* ---- cmd: ---- */

static int command_start(pid_t *child, int *from, struct ks_ctx *ctx, const char *command)
{
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)command, NULL };
	posix_spawn_file_actions_t actions;
	int ends[2], error;

	if (pipe2(ends, O_CLOEXEC) != 0)
		return ks_fail_errno(ctx, errno, "the command for the secret cannot be started");
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
	error = posix_spawn(child, "/bin/sh", &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	if (error) {
		close(ends[0]);
		return ks_fail_errno(ctx, error, "the command for the secret cannot be started");
	}
	*from = ends[0];
	return 0;
}

static int from_command(struct ks_secret *into, struct ks_ctx *ctx, const char *command)
{
	int from = -1, state = 0, rc;
	pid_t child = 0, ended;

	rc = command_start(&child, &from, ctx, command);
	if (rc < 0)
		return rc;
	rc = ks_secret_read(into, ctx, from, "the command for the secret");
	close(from);
	do
		ended = waitpid(child, &state, 0);
	while (ended < 0 && errno == EINTR);
	if ((rc == 0 || rc == KS_ENOSECRET) && !(WIFEXITED(state) && WEXITSTATUS(state) == 0)) {
		ks_secret_clear(into);
		ks_forgive(ctx);
		return ks_fail(ctx, KS_ENOSECRET, "the command for the secret ended with %s %d",
			       WIFEXITED(state) ? "exit code" : "signal",
			       WIFEXITED(state) ? WEXITSTATUS(state) : WTERMSIG(state));
	}
	return rc;
}

/* ---- stash: ---- */

static int from_stash(struct ks_secret *into, struct ks_ctx *ctx, const char *path)
{
	ks_auto(secret) password = NULL;
	int rc = ks_stash_read(&password, ctx, path);

	return rc < 0 ? rc : ks_secret_append(into, ctx, ks_secret_bytes(password), ks_secret_size(password));
}

/* ---- the table ---- */

struct source_row {
	const char *scheme;
	bool once; /* can be read once only */
	int (*read)(struct ks_secret *into, struct ks_ctx *ctx, const char *rest);
};

static const struct source_row sources[] = {
	{ "file:", false, line_from_file },
	{ "fd:", true, from_descriptor },
	{ "env:", true, from_environment },
	{ "cmd:", false, from_command },
	{ "stash:", false, from_stash },
	{ NULL },
};
static const char *const source_words[] = { "prompt", "file:", "fd:", "env:", "cmd:", "stash:", NULL };

static const struct source_row *source_named(const char *source)
{
	for (const struct source_row *row = sources; row->scheme; row++) {
		if (strncmp(source, row->scheme, strlen(row->scheme)) == 0 && source[strlen(row->scheme)])
			return row;
	}
	return NULL;
}

int secrets_check(struct ks_ctx *ctx, const char *source)
{
	const char *near;
	char scheme[16];
	int rc;

	if (!source || strcmp(source, "prompt") == 0 || source_named(source))
		return 0;
	snprintf(scheme, sizeof(scheme), "%.*s", (int)strcspn(source, ":") + 1, source);
	near = ks_nearest(scheme, source_words);
	/* What was typed is not repeated: it may be the secret itself. */
	rc = ks_fail(ctx, KS_EUSAGE,
		     "a PIN or password source must be prompt, file:PATH, fd:N, env:NAME, cmd:COMMAND or stash:PATH");
	return near ? ks_hint(ctx, rc, "did you mean %s?", near)
		    : ks_hint(ctx, rc, "a secret itself is never given as an option; put it into a file of mode 600");
}

/* ---- asking ---- */

static void prompt_text(char out[512], const struct ks_question *question)
{
	static const char *const what[] = {
		[KS_ASK_PIN] = "PIN",
		[KS_ASK_SO_PIN] = "security officer's PIN",
		[KS_ASK_CONTEXT_PIN] = "PIN for this signature",
		[KS_ASK_PASSWORD] = "password",
		[KS_ASK_KEY_PASSWORD] = "password of the key",
		[KS_ASK_SHARE] = "share",
	};
	ks_auto_mem char *label = question->label ? ks_text_show(ks_bytes_of(question->label)) : NULL;
	ks_auto_mem char *serial = question->serial ? ks_text_show(ks_bytes_of(question->serial)) : NULL;
	ks_auto_mem char *store = question->store ? ks_text_show(ks_bytes_of(question->store)) : NULL;
	char tries[48] = "";

	if (question->last_try)
		snprintf(tries, sizeof(tries), ", LAST TRY");
	else if (question->tries_left >= 0)
		snprintf(tries, sizeof(tries), ", %d tries left", question->tries_left);
	if (serial)
		snprintf(out, 512, "%s%s for token %.64s (serial %.64s%s): ", question->fresh ? "new " : "",
			 what[question->ask], label ? label : "", serial, tries);
	else
		snprintf(out, 512, "%s%s for %.256s%s%.64s%s: ", question->fresh ? "new " : "", what[question->ask],
			 store ? store : "", label ? " " : "", label ? label : "", tries);
}

static bool takes_option(const struct run *run, const char *name)
{
	for (const struct option_row *row = option_rows; row->name; row++) {
		if (strcmp(row->name, name) == 0)
			return option_fits(row, run->args.command);
	}
	return false;
}

/* The option that would have given this secret; NULL where several stores are named, and each has its own. */
static const char *option_of(const struct run *run, const struct ks_question *question)
{
	if (question->fresh && takes_option(run, "new-pin-source"))
		return "--new-pin-source";
	if (question->ask == KS_ASK_SO_PIN)
		return "--so-pin-source";
	if (question->ask == KS_ASK_KEY_PASSWORD)
		return "--key-pin-source";
	if (question->ask == KS_ASK_SHARE)
		return "--share";
	if (takes_option(run, "to-pin-source") && run->args.operands.count > 1)
		return NULL;
	return "--pin-source";
}

static const char *secret_title(const struct ks_question *question)
{
	if (question->ask == KS_ASK_SO_PIN)
		return question->fresh ? "new security officer's PIN" : "security officer's PIN";
	if (question->ask == KS_ASK_PASSWORD || question->ask == KS_ASK_KEY_PASSWORD)
		return question->fresh ? "new password" : "password";
	if (question->ask == KS_ASK_SHARE)
		return "share";
	return question->fresh ? "new PIN" : "PIN";
}

static int nobody_to_ask(const struct run *run, struct ks_ctx *ctx, const struct ks_question *question)
{
	const char *option = option_of(run, question);
	int rc = ks_fail(ctx, KS_ENOSECRET, "%s needs a %s, and %s", question->store ? question->store : "the store",
			 secret_title(question),
			 run->options->no_input ? "--no-input forbids to ask" : "there is no terminal to ask on");

	if (option)
		return ks_hint(ctx, rc, "name a source: %s file:PATH, fd:N, env:NAME or cmd:COMMAND", option);
	return ks_hint(ctx, rc,
		       "name a source behind its address: ?pin-source=file:PATH, fd:N, env:NAME or cmd:COMMAND");
}

static int ask_person(struct run *run, struct ks_ctx *ctx, const struct ks_question *question, struct ks_secret *into,
		      bool named)
{
	char prompt[512];

	if (run->options->no_input || (!named && !term_present()))
		return nobody_to_ask(run, ctx, question);
	prompt_text(prompt, question);
	return term_ask(ctx, into, prompt, question->fresh);
}

static struct kept_secret *kept_find(const char *source)
{
	for (size_t i = 0; i < KEPT; i++) {
		if (kept[i].source && strcmp(kept[i].source, source) == 0)
			return &kept[i];
	}
	return NULL;
}

static void keep(const char *source, struct ks_secret *secret)
{
	for (size_t i = 0; i < KEPT; i++) {
		if (!kept[i].source) {
			kept[i].source = strdup(source);
			kept[i].secret = kept[i].source ? ks_secret_ref(secret) : NULL;
			return;
		}
	}
}

static int read_source(struct ks_ctx *ctx, const char *source, struct ks_secret *into)
{
	const struct source_row *row = source_named(source);
	const struct kept_secret *known = kept_find(source);
	int rc;

	if (!row)
		return secrets_check(ctx, source);
	if (known)
		return ks_secret_append(into, ctx, ks_secret_bytes(known->secret), ks_secret_size(known->secret));
	rc = row->read(into, ctx, source + strlen(row->scheme));
	if (rc == 0 && row->once)
		keep(source, into);
	return rc;
}

int secrets_ask(void *user, struct ks_ctx *ctx, const struct ks_question *question, struct ks_secret *into)
{
	struct run *run = user;
	const char *source = question->source;

	if (question->ask == KS_ASK_KEY_PASSWORD && run->options->key_pin_source)
		source = run->options->key_pin_source;
	if (question->ask == KS_ASK_SO_PIN && !(question->fresh && takes_option(run, "new-pin-source")) &&
	    run->options->so_pin_source)
		source = run->options->so_pin_source;
	if (!source || strcmp(source, "prompt") == 0)
		return ask_person(run, ctx, question, into, source != NULL);
	return read_source(ctx, source, into);
}

int secrets_file(struct ks_secret **out, struct run *run, const char *path)
{
	ks_auto(secret) secret = NULL;
	int rc;

	rc = ks_secret_new(&secret, run->ctx);
	if (rc == 0)
		rc = from_file(secret, run->ctx, path, ks_secret_read_whole);
	if (rc < 0)
		return rc;
	*out = ks_take(secret);
	return 0;
}

int secrets_get(struct ks_secret **out, struct run *run, const struct ks_question *question)
{
	ks_auto(secret) secret = NULL;
	int rc;

	rc = ks_secret_new(&secret, run->ctx);
	if (rc == 0)
		rc = secrets_ask(run, run->ctx, question, secret);
	if (rc < 0)
		return rc;
	*out = ks_take(secret);
	return 0;
}

void secrets_end(void)
{
	for (size_t i = 0; i < KEPT; i++) {
		free(kept[i].source);
		ks_secret_free(kept[i].secret);
		kept[i] = (struct kept_secret){ 0 };
	}
}

/* Two names of one file. */
static bool same_file(const char *one, const char *other)
{
	struct stat first, second;

	return stat(one, &first) == 0 && stat(other, &second) == 0 && first.st_dev == second.st_dev &&
	       first.st_ino == second.st_ino;
}

bool secrets_same(const char *one, const char *other)
{
	if (!one || !other || strcmp(one, "prompt") == 0)
		return false;
	if (strncmp(one, "file:", 5) == 0 && strncmp(other, "file:", 5) == 0 && same_file(one + 5, other + 5))
		return true;
	return strcmp(one, other) == 0;
}
