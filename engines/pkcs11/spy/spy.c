/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PKCS#11 module that stands between a program and the real module and tells every call, as --trace does for keystow itself.
 *
 *	KEYSTOW_SPY_MODULE	absolute path of the real module
 *	KEYSTOW_SPY_OUTPUT	file that is written behind what it has; standard error when unset
 *
 * Answers pass unchanged. It is a client of the same words as --trace, so it masks the same secrets.
 */
#include "disk.h"
#include "pkcs11/calls.h"
#include "pkcs11/words.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static CK_FUNCTION_LIST *real;
static int output = STDERR_FILENO;

struct told {
	struct ks_p11_words words;
	struct timespec since;
};

static void tell(struct ks_trace *event, const struct ks_p11_words *words)
{
	ks_auto(buffer) detail = ks_buffer_new(KS_P11_LINE);
	ks_auto(buffer) line = ks_buffer_new(2 * KS_P11_LINE);
	ssize_t ignored;

	if (!detail || !line)
		return;
	if (event->leave)
		ks_p11_words_after(detail, words, event->rv);
	else
		ks_p11_words_before(detail, words);
	event->detail = ks_buffer_string(detail);
	ks_p11_words_line(line, event);
	ks_buffer_text(line, "\n");
	ignored = write(output, line->data, line->size);
	(void)ignored;
}

static void before(struct told *told, enum ks_p11_function function, const uintptr_t *arguments)
{
	struct ks_trace event = { .function = ks_p11_function_name(function) };

	ks_p11_words_start(&told->words, function, arguments);
	tell(&event, &told->words);
	clock_gettime(CLOCK_MONOTONIC, &told->since);
}

static CK_RV after(const struct told *told, CK_RV rv)
{
	struct ks_trace event = {
		.function = ks_p11_function_name(told->words.function),
		.leave = true,
		.rv = rv,
		.answer = ks_p11_code_name(rv),
	};
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	event.microseconds = (unsigned long)((now.tv_sec - told->since.tv_sec) * 1000000 +
					     (now.tv_nsec - told->since.tv_nsec) / 1000);
	tell(&event, &told->words);
	return rv;
}

#define KS_P11_FUNCTION(name, deadline, parameters, arguments, meanings)                                               \
	static CK_RV spy_##name parameters                                                                             \
	{                                                                                                              \
		struct told told;                                                                                      \
                                                                                                                       \
		if (!real->name)                                                                                       \
			return CKR_FUNCTION_NOT_SUPPORTED;                                                             \
		before(&told, KS_P11_##name, KS_P11_ARRAY arguments);                                                  \
		return after(&told, real->name arguments);                                                             \
	}
#include "pkcs11/cryptoki.h"
#undef KS_P11_FUNCTION

__attribute__((visibility("default"))) CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list);

/* A module of version 3 is shown as 2.40: its function list is the same as far as it goes. */
static CK_FUNCTION_LIST functions = {
	.version = { 2, 40 },
	.C_GetFunctionList = C_GetFunctionList,
#define KS_P11_FUNCTION(name, deadline, parameters, arguments, meanings) .name = spy_##name,
#include "pkcs11/cryptoki.h"
#undef KS_P11_FUNCTION
};

/* ---- the real module ---- */

static bool refused(const char *why, const char *more)
{
	fprintf(stderr, "keystow-spy: %s%s%s\n", why, more ? ": " : "", more ? more : "");
	return false;
}

static bool find_real(void)
{
	const char *path = secure_getenv("KEYSTOW_SPY_MODULE");
	CK_C_GetFunctionList get = NULL;
	void *module;

	if (!path || path[0] != '/')
		return refused("KEYSTOW_SPY_MODULE must be the absolute path of a PKCS#11 module", path);
	module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!module)
		return refused("the module cannot be loaded", dlerror());
	*(void **)&get = dlsym(module, "C_GetFunctionList");
	if (!get || get == C_GetFunctionList)
		return refused("this is no PKCS#11 module to look into", path);
	if (get(&real) != CKR_OK || !real)
		return refused("the module gives no function list", path);
	return true;
}

static bool ready;

static void start(void)
{
	const char *path = secure_getenv("KEYSTOW_SPY_OUTPUT");

	if (path && ks_disk_append(&output, NULL, path) < 0)
		refused("the trace cannot be written, so it goes to standard error", path);
	ready = find_real();
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, start);
	if (!list)
		return CKR_ARGUMENTS_BAD;
	if (!ready)
		return CKR_GENERAL_ERROR;
	*list = &functions;
	return CKR_OK;
}
