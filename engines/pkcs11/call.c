/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling the host of a call. What costs time, the words, is only made when somebody reads them.
 */
#include "call.h"

#include "text.h"

#include <pthread.h>
#include <unistd.h>

/* The call that this thread made last, for the causes of a failure. */
static _Thread_local const char *last_function = "";

/* What this thread's calls look for while no token is known. */
static _Thread_local const char *looked_for;

void ks_p11_look_for(const char *address)
{
	looked_for = address;
}

const char *ks_p11_last_call(void)
{
	return last_function;
}

void ks_p11_note_call(const char *function)
{
	last_function = function;
}

/* A person at the token's own pad takes longer than any check. */
static unsigned deadline_of(const struct ks_p11_on *on, enum ks_p11_function function)
{
	enum ks_deadline deadline = ks_p11_function_deadline(function);

	if (deadline == KS_DEADLINE_LOGIN && on->pin_pad)
		deadline = KS_DEADLINE_PAD;
	return ks_settings(on->module->ctx)->deadline_ms[deadline];
}

/* What puts away or takes back is done to the end. */
static bool may_go_on(const struct ks_settings *settings, enum ks_p11_function function)
{
	return !settings->stop || !*settings->stop || function == KS_P11_C_DestroyObject ||
	       ks_p11_function_deadline(function) == KS_DEADLINE_END;
}

bool ks_p11_forked(const struct ks_p11_module *module)
{
	return module->process && module->process != getpid();
}

typedef void words_put(struct ks_buffer *out, const struct ks_p11_mark *mark, CK_RV rv);

static void put_before(struct ks_buffer *out, const struct ks_p11_mark *mark, CK_RV rv)
{
	(void)rv;
	ks_p11_words_before(out, &mark->words);
}

static void put_after(struct ks_buffer *out, const struct ks_p11_mark *mark, CK_RV rv)
{
	ks_p11_words_after(out, &mark->words, rv);
}

static void tell(struct ks_p11_mark *mark, const struct ks_p11_on *on, words_put *put, CK_RV rv)
{
	ks_auto(buffer) detail = mark->detailed ? ks_buffer_new(KS_P11_LINE) : NULL;

	if (detail) {
		put(detail, mark, rv);
		mark->event.detail = ks_buffer_string(detail);
	}
	ks_trace(on->module->ctx, &mark->event);
	mark->event.detail = NULL;
}

/*
 * A module that talks to a server (p11-kit's client, a network HSM) may write to a connection that is gone, and a signal that nobody
 * expects would end the host. While the thread is in a module it is held back, and thrown away afterwards.
 */
static void pipe_hold(struct ks_p11_mark *mark)
{
	sigset_t pipe;

	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe, &mark->signals);
}

static void pipe_release(const struct ks_p11_mark *mark)
{
	static const struct timespec now;
	sigset_t pipe;

	if (sigismember(&mark->signals, SIGPIPE) == 1)
		return;
	sigpending(&pipe);
	if (sigismember(&pipe, SIGPIPE) == 1) {
		sigemptyset(&pipe);
		sigaddset(&pipe, SIGPIPE);
		sigtimedwait(&pipe, NULL, &now);
	}
	pthread_sigmask(SIG_SETMASK, &mark->signals, NULL);
}

CK_RV ks_p11_call_enter(struct ks_p11_mark *mark, const struct ks_p11_on *on, enum ks_p11_function function,
		   const uintptr_t *arguments)
{
	const struct ks_settings *settings = ks_settings(on->module->ctx);

	last_function = ks_p11_function_name(function);
	mark->told = mark->made = false;
	if (ks_p11_forked(on->module))
		return KS_CKR_FORKED;
	if (!may_go_on(settings, function))
		return KS_CKR_STOPPED;
	mark->made = true;
	if (!settings->hooks.trace) {
		pipe_hold(mark);
		return CKR_OK;
	}
	mark->told = true;
	mark->detailed = settings->trace_detail;
	mark->event = (struct ks_trace){
		.function = last_function,
		.module = on->module->name,
		.token = on->token,
		.address = on->token ? NULL : looked_for,
		.deadline_ms = deadline_of(on, function),
	};
	if (mark->detailed)
		ks_p11_words_start(&mark->words, function, arguments);
	clock_gettime(CLOCK_MONOTONIC, &mark->since);
	tell(mark, on, put_before, CKR_OK);
	pipe_hold(mark);
	return CKR_OK;
}

CK_RV ks_p11_call_leave(struct ks_p11_mark *mark, const struct ks_p11_on *on, CK_RV rv)
{
	struct timespec now;

	if (mark->made)
		pipe_release(mark);
	if (!mark->told)
		return rv;
	clock_gettime(CLOCK_MONOTONIC, &now);
	mark->event.leave = true;
	mark->event.rv = rv;
	mark->event.answer = ks_p11_code_name(rv);
	mark->event.microseconds = (unsigned long)((now.tv_sec - mark->since.tv_sec) * 1000000 +
						   (now.tv_nsec - mark->since.tv_nsec) / 1000);
	tell(mark, on, put_after, rv);
	return rv;
}
