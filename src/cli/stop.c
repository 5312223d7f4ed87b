/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handler of the signals that end a command.
 */
#include "stop.h"

#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#define EXIT_STOPPED 4

volatile int stop_wanted;

static void on_signal(int number)
{
	static const char waits[] = "\nkeystow: stopping when the token has answered; the signal once more stops at once\n";
	static const char ends[] = "\nkeystow: stopped at once; the token was not logged out [KS-0404]\n";
	const char *text = stop_wanted ? ends : waits;
	ssize_t ignored = write(STDERR_FILENO, text, strlen(text));

	(void)number;
	(void)ignored;
	if (stop_wanted)
		_exit(EXIT_STOPPED);
	stop_wanted = 1;
}

/* What the caller ignores (nohup) stays ignored. System calls of modules go on, so that no device is cut off in the middle. */
void stop_listen(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	static bool listening;
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART }, before;

	if (listening)
		return;
	listening = true;
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
			sigaction(signals[i], &action, NULL);
	}
}
