/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread that looks at the clock while a module is called.
 *
 * A call in our own process cannot be unwound. When it outlives its deadline the whole command ends at once with exit
 * 8, which is safe because a store changes in one step, and a token operation is named so that it can be looked at.
 * Work that was finished and reported keeps its exit code when the module then hangs or crashes in C_Finalize.
 *
 * The thread is started by the first call into a module. Calls are frequent and short, so entering one only writes the
 * deadline down; the thread is woken when it sleeps without a limit or for longer than the new call may take.
 */
#include "watchdog.h"
#include "pkcs11/words.h"
#include "text.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define EXIT_DEVICE 8
#define EXIT_BUG 70
#define WORDS 160
#define SHOWN_AFTER_MS 500

static struct {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool started, inside;
	char function[WORDS], module[WORDS], token[WORDS];
	char about[2 * WORDS]; /* what was asked for, while no token has answered yet */
	int64_t entered_ms, deadline_ms; /* monotonic clock; deadline 0 = none */
	int64_t sleeps_until_ms; /* 0 = without limit */
	unsigned allowed_ms;
	void (*say)(void *user, int status, const char *text, const char *hint);
	void *say_to;
} dog = { .lock = PTHREAD_MUTEX_INITIALIZER };

static volatile sig_atomic_t finished_code = -1;
static volatile sig_atomic_t inside_module;

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- the end of a command; only write() and _exit() below, so that a signal handler may use it ---- */

static void put(const char *text)
{
	ssize_t ignored = write(STDERR_FILENO, text, strlen(text));

	(void)ignored;
}

static void name_call(void)
{
	if (!dog.token[0] && dog.about[0]) {
		put(dog.about);
		put(": ");
	}
	put(dog.token[0] ? "token " : "module ");
	put(dog.token[0] ? dog.token : dog.module);
}

static void end_with(const char *before, const char *after)
{
	if (finished_code >= 0)
		_exit(finished_code);
	put("keystow: ");
	name_call();
	put(before);
	put(dog.function);
	put(after);
	_exit(EXIT_DEVICE);
}

/* ---- the thread ---- */

static void on_late(int number)
{
	(void)number;
	_exit(EXIT_DEVICE);
}

/*
 * The sentence leaves by write(), because the stuck call may hold any lock. The answer so far is completed after it, while the
 * main thread cannot touch it; should that get stuck as well, an alarm ends it.
 */
static void overdue(void)
{
	static const char hint[] = "another process has it, or the device hangs; keystow token info shows whether it "
				   "answers, and deadlines are set in the configuration";
	bool early = !dog.token[0] && dog.about[0]; /* as name_call() says it */
	char text[sizeof(dog.about) + 2 * WORDS + 128];

	if (finished_code >= 0)
		_exit(finished_code);
	snprintf(text, sizeof(text), "%s%s%s %s is busy: it did not answer %s within %u ms, so the command ends here",
		 early ? dog.about : "", early ? ": " : "", dog.token[0] ? "token" : "module",
		 dog.token[0] ? dog.token : dog.module, dog.function, dog.allowed_ms);
	put(isatty(STDERR_FILENO) ? "\r\033[Kkeystow: " : "keystow: ");
	put(text);
	put(" [KS-0803]\n  next: ");
	put(hint);
	put("\n");
	signal(SIGALRM, on_late);
	alarm(1);
	if (dog.say)
		dog.say(dog.say_to, KS_EDEADLINE, text, hint);
	_exit(EXIT_DEVICE);
}

/* When to look again: at the deadline, or sooner to show that work goes on. */
static int64_t next_look(bool terminal, int64_t now)
{
	int64_t next = dog.deadline_ms;

	if (!dog.inside)
		return 0;
	if (terminal && (next == 0 || now + SHOWN_AFTER_MS < next))
		next = now + SHOWN_AFTER_MS;
	return next;
}

static void look(bool terminal, int64_t now)
{
	if (!dog.inside)
		return;
	if (dog.deadline_ms && now >= dog.deadline_ms)
		overdue();
	if (terminal && now - dog.entered_ms >= SHOWN_AFTER_MS) {
		char doing[2 * WORDS + 48];

		snprintf(doing, sizeof(doing), "\r%s: %s, %lld s\033[K", dog.token[0] ? dog.token : dog.module,
			 dog.function, (long long)(now - dog.entered_ms) / 1000);
		put(doing);
	}
}

static void *watch(void *unused)
{
	bool terminal = isatty(STDERR_FILENO) == 1;

	(void)unused;
	pthread_mutex_lock(&dog.lock);
	for (;;) {
		int64_t now = now_ms(), next;

		look(terminal, now);
		next = next_look(terminal, now);
		dog.sleeps_until_ms = next;
		if (next == 0) {
			pthread_cond_wait(&dog.wake, &dog.lock);
		} else {
			struct timespec until = { .tv_sec = next / 1000, .tv_nsec = next % 1000 * 1000000 };

			pthread_cond_timedwait(&dog.wake, &dog.lock, &until);
		}
	}
	return NULL;
}

/* Signals belong to the main thread. Without a thread there is no watching, but the work goes on. */
static void start(void)
{
	pthread_condattr_t monotonic;
	sigset_t all, before;
	pthread_t thread;

	dog.started = true;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&dog.wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&thread, NULL, watch, NULL) == 0)
		pthread_detach(thread);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* ---- what a module may have changed while it started ---- */

#define ABOVE 64 /* descriptors that nobody closes by counting from 3 */

/* Where files are written, with which mode, and where words go. */
static struct {
	mode_t mask;
	int folder; /* -1 = could not be opened */
	int streams[3]; /* the same as 0, 1 and 2 */
} place = { .folder = -1, .streams = { -1, -1, -1 } };

static void place_remember(void)
{
	place.mask = umask(0);
	umask(place.mask);
	place.folder = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (int fd = 0; fd < 3; fd++)
		place.streams[fd] = fcntl(fd, F_DUPFD_CLOEXEC, ABOVE);
}

static bool same_file(int one, int other)
{
	struct stat a, b;

	return fstat(one, &a) == 0 && fstat(other, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static void listen(struct sigaction before[]);

static void place_restore(void)
{
	listen(NULL);
	signal(SIGPIPE, SIG_IGN);
	umask(place.mask);
	/* A module that closed one of them may have opened a file of its own in its place, and that is not ours to write into. */
	for (int fd = 0; fd < 3; fd++) {
		if (place.streams[fd] >= 0 && !same_file(fd, place.streams[fd]))
			dup2(place.streams[fd], fd);
	}
	if (place.folder >= 0 && fchdir(place.folder) < 0)
		put("keystow: the working folder is not there any more\n");
}

/* ---- events ---- */

static void copy_shown(char out[WORDS], const char *text)
{
	ks_auto_mem char *shown = ks_text_show(ks_bytes_of(text ? text : ""));

	snprintf(out, WORDS, "%s", shown ? shown : "");
}

void watchdog_about(const char *address)
{
	ks_auto_mem char *shown = ks_text_show(ks_bytes_of(address));

	pthread_mutex_lock(&dog.lock);
	snprintf(dog.about, sizeof(dog.about), "%s", shown ? shown : "");
	pthread_mutex_unlock(&dog.lock);
}

/* Names repeat from call to call; escaping them anew each time would cost more than the call. */
static void copy_name(char out[WORDS], char last[WORDS], const char *text)
{
	if (strncmp(last, text ? text : "", WORDS - 1) == 0)
		return;
	snprintf(last, WORDS, "%s", text ? text : "");
	copy_shown(out, text);
}

static void enter(const struct ks_trace *event)
{
	static char last_module[WORDS], last_token[WORDS];
	int64_t now = now_ms();

	pthread_mutex_lock(&dog.lock);
	if (!dog.started)
		start();
	snprintf(dog.function, sizeof(dog.function), "%s", event->function);
	copy_name(dog.module, last_module, event->module);
	copy_name(dog.token, last_token, event->token);
	if (event->address)
		copy_shown(dog.about, event->address);
	dog.allowed_ms = event->deadline_ms;
	dog.entered_ms = now;
	dog.deadline_ms = event->deadline_ms ? now + event->deadline_ms : 0;
	dog.inside = true;
	if (dog.sleeps_until_ms == 0 || (dog.deadline_ms && dog.deadline_ms < dog.sleeps_until_ms))
		pthread_cond_signal(&dog.wake);
	pthread_mutex_unlock(&dog.lock);
	inside_module = 1;
}

static void leave(void)
{
	bool was_shown;

	inside_module = 0;
	pthread_mutex_lock(&dog.lock);
	was_shown = now_ms() - dog.entered_ms >= SHOWN_AFTER_MS;
	dog.inside = false;
	pthread_mutex_unlock(&dog.lock);
	if (was_shown && isatty(STDERR_FILENO))
		put("\r\033[K");
}

/* One write for a line, so that threads and processes may share a file. */
static void show(const struct ks_trace *event, int trace)
{
	ks_auto(buffer) line = ks_buffer_new(2 * KS_P11_LINE);
	ssize_t ignored;

	if (!line)
		return;
	ks_buffer_text(line, trace == STDERR_FILENO ? "trace: " : "");
	ks_p11_words_line(line, event);
	ks_buffer_text(line, "\n");
	ignored = write(trace, line->data, line->size);
	(void)ignored;
}

void watchdog_trace(const struct ks_trace *event, int trace)
{
	if (event->leave)
		leave();
	if (event->leave && strcmp(event->function, "C_Initialize") == 0)
		place_restore();
	if (!event->leave)
		enter(event);
	if (trace >= 0)
		show(event, trace);
}

/* ---- crashes ---- */

static const int crashes[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
#define CRASHES (sizeof(crashes) / sizeof(crashes[0]))
static struct sigaction former[CRASHES];

/* A checker that listens to these signals already (a sanitizer) keeps the crashes that are ours. */
static bool hand_over(int number)
{
	for (size_t i = 0; i < CRASHES; i++) {
		if (crashes[i] == number && former[i].sa_handler != SIG_DFL) {
			sigaction(number, &former[i], NULL);
			return true;
		}
	}
	return false;
}

static void on_crash(int number)
{
	if (finished_code >= 0)
		_exit(finished_code);
	if (inside_module)
		end_with(" has a module that crashed in ", " [KS-0801]\n  next: update the module, or load it apart: "
							   "load = isolated in its section of the configuration\n");
	if (hand_over(number))
		return; /* the fault happens again, under the former handler */
	put("keystow: this is a mistake in keystow itself; nothing was written half [KS-7001]\n"
	    "  next: please report the command and this line\n");
	_exit(EXIT_BUG);
}

static void listen(struct sigaction before[])
{
	struct sigaction action = { .sa_handler = on_crash, .sa_flags = SA_ONSTACK | SA_NODEFER };

	for (size_t i = 0; i < CRASHES; i++)
		sigaction(crashes[i], &action, before ? &before[i] : NULL);
}

/* A module may call exit(); then its code is not ours. One that calls _exit() cannot be told from a program that is done. */
static void on_exit_inside(void)
{
	if (!inside_module)
		return;
	if (finished_code < 0 && dog.say)
		dog.say(dog.say_to, KS_EMODULE, "a module ended the command in the middle", NULL);
	end_with(" has a module that ended the whole command in ",
		 " [KS-0801]\n  next: update the module, or load it apart: load = isolated in its section of the "
		 "configuration\n");
}

void watchdog_guard(void)
{
	static char stack[64 * 1024]; /* a crash may be a stack that has run out */
	stack_t alternate = { .ss_sp = stack, .ss_size = sizeof(stack) };

	sigaltstack(&alternate, NULL);
	listen(former);
	atexit(on_exit_inside);
	place_remember();
}

void watchdog_last_words(void (*say)(void *user, int status, const char *text, const char *hint), void *user)
{
	dog.say = say;
	dog.say_to = user;
}

void watchdog_finishing(int code)
{
	finished_code = code;
	if (!dog.started)
		return;
	/* Unloading a module runs code of its own that no event announces. */
	signal(SIGALRM, on_crash);
	alarm(dog.allowed_ms / 1000 + 1);
}
