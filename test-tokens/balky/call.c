/* SPDX-License-Identifier: Apache-2.0 */
/* Counting, logging, and the actions that need to know nothing of the call's arguments. */
#include "call.h"
#include "deeds.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned long counts[FUNCTIONS], total;
static bool ended;

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
	const char *path = getenv("BALKY_LOG");
	int fd = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
	char line[256];
	va_list args;
	int size;

	if (fd < 0)
		return;
	va_start(args, format);
	size = vsnprintf(line, sizeof line, format, args);
	va_end(args);
	if (write(fd, line, size) != size)
		fprintf(stderr, "balky: %s is not complete\n", path);
	close(fd);
}

/* Which token gets a PIN; one word, "-" for calls that carry none. */
static void token_of(char out[33], enum function function, CK_SESSION_HANDLE session)
{
	CK_SESSION_INFO info;
	CK_TOKEN_INFO token;

	strcpy(out, "-");
	if (function != F_C_Login && function != F_C_SetPIN && function != F_C_InitPIN)
		return;
	if (real->C_GetSessionInfo(session, &info) || real->C_GetTokenInfo(info.slotID, &token))
		return;
	for (int i = 0; i < 32; i++)
		out[i] = token.label[i] == ' ' ? '_' : (char)token.label[i];
	out[32] = '\0';
	for (int i = 31; i >= 0 && out[i] == '_'; i--)
		out[i] = '\0';
}

/* FNV-1a. */
void call_pin(const struct call *call, const CK_BYTE *pin, CK_ULONG size)
{
	unsigned long long digest = 0xcbf29ce484222325ULL;

	for (CK_ULONG i = 0; pin && i < size; i++)
		digest = (digest ^ pin[i]) * 0x100000001b3ULL;
	say("= %d %lu %016llx\n", (int)getpid(), call->overall, pin ? digest : 0);
}

const struct row *call_row(const struct call *call, enum action action)
{
	for (size_t i = 0; i < call->row_count; i++) {
		if (call->rows[i]->action == action)
			return call->rows[i];
	}
	return NULL;
}

/* A memory fault as a module makes it: a write to a page that is not there. */
static void fault(void)
{
	volatile char *page = mmap(NULL, 1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*page = 1;
}

static void hang(void)
{
	for (;;)
		pause();
}

CK_RV call_enter(struct call *call, enum function function, CK_SESSION_HANDLE session)
{
	const struct row *row;
	char token[33];

	*call = (struct call){ .function = function };
	token_of(token, function, session);
	pthread_mutex_lock(&lock);
	call->nth = ++counts[function];
	call->overall = ++total;
	pthread_mutex_unlock(&lock);
	call->row_count = schedule_match(call->rows, function, call->nth, call->overall);
	say("> %d %lu %s %lu %s\n", (int)getpid(), call->overall, function_name(function), call->nth, token);
	clock_gettime(CLOCK_MONOTONIC, &call->since);

	row = call_row(call, A_SLEEP);
	if (row)
		usleep(row->number * 1000);
	if (call_row(call, A_HANG))
		hang();
	if (call_row(call, A_KILL_BEFORE))
		kill(getpid(), SIGKILL);
	if (call_row(call, A_PIPE))
		raise(SIGPIPE);
	if (call_row(call, A_CRASH))
		fault();
	row = call_row(call, A_DEED);
	if (row)
		deed_do(row->value);
	row = call_row(call, A_EXIT);
	if (row)
		exit((int)row->number);
	row = call_row(call, A_ANSWER);
	return row ? row->number : FORWARD;
}

CK_RV call_leave(const struct call *call, CK_RV rv)
{
	const struct row *after = call_row(call, A_AFTER);
	struct timespec now;

	if (call_row(call, A_KILL_AFTER))
		kill(getpid(), SIGKILL);
	clock_gettime(CLOCK_MONOTONIC, &now);
	rv = after ? after->number : rv;
	if (call->function == F_C_Finalize && rv == CKR_OK)
		ended = true;
	say("< %d %lu %s 0x%lx %ld\n", (int)getpid(), call->overall, function_name(call->function), rv,
	    (now.tv_sec - call->since.tv_sec) * 1000000 + (now.tv_nsec - call->since.tv_nsec) / 1000);
	return rv;
}

bool call_ended(void)
{
	bool was = ended;

	if (was) {
		memset(counts, 0, sizeof counts);
		total = 0;
	}
	ended = false;
	return was;
}
