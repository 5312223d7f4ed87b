/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prompts on /dev/tty, so that pipes stay free for data; progress on standard error.
 */
#include "term.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static int terminal_open(void)
{
	return open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
}

bool term_present(void)
{
	int fd;

	if (!isatty(STDIN_FILENO) && !isatty(STDERR_FILENO))
		return false;
	fd = terminal_open();
	if (fd < 0)
		return false;
	close(fd);
	return true;
}

/* ---- asking ---- */

static volatile sig_atomic_t caught;

static void on_signal(int number)
{
	caught = number;
}

/* While the echo is off, signals only interrupt the read: the terminal must not stay silent behind us. */
static const int held_signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
#define HELD (sizeof(held_signals) / sizeof(held_signals[0]))

static void signals_hold(struct sigaction before[HELD])
{
	struct sigaction action = { .sa_handler = on_signal };

	caught = 0;
	for (size_t i = 0; i < HELD; i++)
		sigaction(held_signals[i], &action, &before[i]);
}

static void signals_release(const struct sigaction before[HELD])
{
	for (size_t i = 0; i < HELD; i++)
		sigaction(held_signals[i], &before[i], NULL);
	if (caught && caught != SIGINT)
		raise(caught);
}

static int read_line(struct ks_secret *into, struct ks_ctx *ctx, int fd)
{
	for (;;) {
		size_t room = ks_secret_room(into);
		char *end = ks_secret_end(into);
		ssize_t got;

		if (room == 0)
			return ks_fail(ctx, KS_ELIMIT, "a PIN or password of more than %d bytes is refused",
				       KS_SECRET_MAX);
		got = caught ? 0 : read(fd, end, room);
		if (caught)
			return ks_fail(ctx, KS_ECANCELLED, "the question was not answered");
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return ks_fail(ctx, KS_ECANCELLED, "the terminal was closed instead of an answer");
		if (end[got - 1] == '\n') {
			end[got - 1] = '\0';
			ks_secret_grew(into, (size_t)got - 1);
			return 0;
		}
		ks_secret_grew(into, (size_t)got);
	}
}

static void say(int fd, const char *text)
{
	size_t left = strlen(text);

	while (left) {
		ssize_t put = write(fd, text, left);

		if (put <= 0)
			return; /* the answer can be given blind */
		text += put;
		left -= (size_t)put;
	}
}

static int ask_once(struct ks_ctx *ctx, struct ks_secret *into, int fd, const char *prompt)
{
	struct sigaction before[HELD];
	struct termios normal, silent;
	int rc;

	if (tcgetattr(fd, &normal) != 0)
		return ks_fail_errno(ctx, errno, "the terminal cannot be used");
	silent = normal;
	silent.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
	silent.c_lflag |= ICANON | ISIG;
	signals_hold(before);
	tcsetattr(fd, TCSAFLUSH, &silent);
	say(fd, prompt);
	rc = read_line(into, ctx, fd);
	say(fd, "\n");
	tcsetattr(fd, TCSAFLUSH, &normal);
	signals_release(before);
	return rc;
}

static int ask_again(struct ks_ctx *ctx, struct ks_secret *first, int fd)
{
	ks_auto(secret) second = NULL;
	int rc;

	rc = ks_secret_new(&second, ctx);
	if (rc == 0)
		rc = ask_once(ctx, second, fd, "the same again: ");
	if (rc < 0)
		return rc;
	return ks_secret_equal(first, second) ? 1 : 0;
}

/* A secret that is set anew is typed twice; three chances to type it alike. */
static int ask_fresh(struct ks_ctx *ctx, struct ks_secret *into, int fd, const char *prompt)
{
	for (int chance = 0; chance < 3; chance++) {
		int rc = ask_once(ctx, into, fd, prompt);

		if (rc < 0)
			return rc;
		rc = ask_again(ctx, into, fd);
		if (rc != 0)
			return rc < 0 ? rc : 0;
		ks_secret_clear(into);
		say(fd, "the two differ; once more\n");
	}
	return ks_fail(ctx, KS_ECANCELLED, "the two entries differed three times");
}

int term_ask(struct ks_ctx *ctx, struct ks_secret *into, const char *prompt, bool fresh)
{
	int fd = terminal_open(), rc;

	if (fd < 0)
		return ks_fail(ctx, KS_ENOSECRET, "there is no terminal to ask on: %s", strerror(errno));
	term_progress_clear();
	rc = fresh ? ask_fresh(ctx, into, fd, prompt) : ask_once(ctx, into, fd, prompt);
	close(fd);
	return rc;
}

/* ---- progress ---- */

#define PATIENCE_MS 500 /* work shorter than this is not worth a line */
#define BEAT_MS 100

static struct {
	char doing[64];
	int64_t began, said;
	bool visible;
} progress;

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int term_progress(void *user, const char *doing, uint64_t done, uint64_t total)
{
	int64_t now = now_ms();
	ks_auto_mem char *shown = NULL;

	(void)user;
	if (strncmp(progress.doing, doing, sizeof(progress.doing) - 1) != 0) {
		term_progress_clear();
		snprintf(progress.doing, sizeof(progress.doing), "%s", doing);
		progress.began = now;
	}
	if (now - progress.began < PATIENCE_MS || now - progress.said < BEAT_MS || !isatty(STDERR_FILENO))
		return 0;
	shown = ks_text_show(ks_bytes_of(progress.doing));
	if (total)
		fprintf(stderr, "\r%s: %llu of %llu\033[K", shown ? shown : "", (unsigned long long)done,
			(unsigned long long)total);
	else
		fprintf(stderr, "\r%s, %lld s\033[K", shown ? shown : "", (long long)(now - progress.began) / 1000);
	fflush(stderr);
	progress.said = now;
	progress.visible = true;
	return 0;
}

void term_progress_clear(void)
{
	if (progress.visible)
		fprintf(stderr, "\r\033[K");
	progress.visible = false;
	progress.doing[0] = '\0';
}

/* ---- colour ---- */

bool term_colour(FILE *stream)
{
	const char *no = getenv("NO_COLOR"), *force = getenv("CLICOLOR_FORCE");

	if (no && *no)
		return false;
	if (force && *force && strcmp(force, "0") != 0)
		return true;
	return isatty(fileno(stream)) == 1;
}
