/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deeds of a module that has no manners: it runs in the process of whoever loaded it, and everything there is within its reach.
 * One row each. Those that come back let the call go on.
 */
#include "deeds.h"

#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void print_out(void)
{
	ssize_t ignored = write(STDOUT_FILENO, "module says hello\n", 18);

	(void)ignored;
}

static void print_err(void)
{
	ssize_t ignored = write(STDERR_FILENO, "module: 12:00:00 debug line\n", 28);

	(void)ignored;
}

static void change_locale(void)
{
	setlocale(LC_ALL, "C");
}

static void change_umask(void)
{
	umask(0);
}

static void change_folder(void)
{
	if (chdir("/") < 0)
		abort();
}

static void drop_signals(void)
{
	static const int numbers[] = { SIGSEGV, SIGBUS, SIGABRT, SIGPIPE, SIGTERM, SIGALRM };

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		signal(numbers[i], SIG_DFL);
}

static void close_input(void)
{
	close(STDIN_FILENO);
}

static void close_output(void)
{
	close(STDOUT_FILENO);
}

static void close_others(void)
{
	for (int fd = 3; fd < 64; fd++)
		close(fd);
}

/* The child leaves at once, as a daemon's first half does. */
static void start_child(void)
{
	pid_t child = fork();

	if (child == 0)
		_exit(0);
	waitpid(child, NULL, 0);
}

static void *idle(void *unused)
{
	for (;;)
		pause();
	return unused;
}

static void start_thread(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, idle, NULL) == 0)
		pthread_detach(thread);
}

/* All that the process may have but the last 4 MiB, kept for ever: without any the loader itself ends the process, with its own code. */
static void eat_memory(void)
{
	for (size_t size = 64 * 1024 * 1024; size >= 4 * 1024 * 1024; size /= 2) {
		void *taken;

		while ((taken = malloc(size)))
			memset(taken, 1, 1);
	}
}

static void run_out_of_stack(void)
{
	volatile char frame[64 * 1024];

	frame[0] = 1;
	if (frame[0])
		run_out_of_stack();
	frame[sizeof(frame) - 1] = 1;
}

static void smash_stack(void)
{
	char frame[16];
	volatile size_t far = 4096;

	memset(frame, 0x41, far);
	__asm__ volatile("" : : "r"(frame) : "memory");
}

static void free_twice(void)
{
	void *volatile block = malloc(32);

	free(block);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuse-after-free"
	free(block);
#pragma GCC diagnostic pop
	abort(); /* a C library that did not see it */
}

static void divide_by_zero(void)
{
	raise(SIGFPE);
}

static const struct deed {
	const char *name;
	void (*act)(void);
} deeds[] = {
	{ "print", print_out },
	{ "print-error", print_err },
	{ "locale", change_locale },
	{ "umask", change_umask },
	{ "folder", change_folder },
	{ "signals", drop_signals },
	{ "close-input", close_input },
	{ "close-output", close_output },
	{ "close-others", close_others },
	{ "child", start_child },
	{ "thread", start_thread },
	{ "eat", eat_memory },
	{ "recursion", run_out_of_stack },
	{ "smash", smash_stack },
	{ "free-twice", free_twice },
	{ "divide", divide_by_zero },
	{ "abort", abort },
};

void deed_do(const char *name)
{
	for (size_t i = 0; i < sizeof(deeds) / sizeof(deeds[0]); i++) {
		if (strcmp(deeds[i].name, name) == 0) {
			deeds[i].act();
			return;
		}
	}
	fprintf(stderr, "balky: there is no deed %s\n", name);
	kill(getpid(), SIGKILL);
}
