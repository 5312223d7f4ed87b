/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PKCS#11 module that forwards to a real one (BALKY_MODULE names it) and fails on schedule. For tests only.
 *
 * SoftHSM never locks, never hangs and never lies; devices do. balky lets a test say which call goes wrong and how
 * (schedule.h), and proves afterwards which calls were made (call.h).
 */
#include "lies.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

CK_FUNCTION_LIST *real;

#define PLAIN(name, session, params, args)                                                                             \
	static CK_RV balky_##name params                                                                               \
	{                                                                                                              \
		struct call call;                                                                                      \
		CK_RV rv = call_enter(&call, F_##name, session);                                                       \
                                                                                                                       \
		if (rv == FORWARD)                                                                                     \
			rv = real->name args;                                                                          \
		return call_leave(&call, rv);                                                                          \
	}
#define TOLD(name, session, params, args)                                                                              \
	static CK_RV balky_##name params                                                                               \
	{                                                                                                              \
		struct call call;                                                                                      \
		CK_RV rv = call_enter(&call, F_##name, session);                                                       \
                                                                                                                       \
		if (rv == FORWARD)                                                                                     \
			rv = told_##name(&call, BARE args);                                                            \
		return call_leave(&call, rv);                                                                          \
	}
#include "calls.h"
#undef PLAIN
#undef TOLD

__attribute__((visibility("default"))) CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list);

static CK_FUNCTION_LIST functions = {
	.version = { 2, 40 },
	.C_GetFunctionList = C_GetFunctionList,
#define PLAIN(name, session, params, args) .name = balky_##name,
#define TOLD PLAIN
#include "calls.h"
#undef PLAIN
#undef TOLD
};

/* A function that the schedule takes away is NULL in the list. */
static void take_away(void)
{
#define PLAIN(name, session, params, args)                                                                             \
	if (schedule_of(A_NULL, F_##name))                                                                             \
		functions.name = NULL;
#define TOLD PLAIN
#include "calls.h"
#undef PLAIN
#undef TOLD
}

static void pretend_version(void)
{
	const struct row *row = schedule_any(A_VERSION);
	unsigned major, minor;

	if (row && sscanf(row->value, "%u.%u", &major, &minor) == 2) {
		functions.version.major = (CK_BYTE)major;
		functions.version.minor = (CK_BYTE)minor;
	}
}

static bool load(void)
{
	const char *path = getenv("BALKY_MODULE");
	void *module = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
	CK_C_GetFunctionList get = NULL;

	if (module)
		*(void **)&get = dlsym(module, "C_GetFunctionList");
	return get && get(&real) == CKR_OK;
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list)
{
	if (!real || call_ended()) {
		if (!load()) {
			fprintf(stderr, "balky: BALKY_MODULE does not name a PKCS#11 module\n");
			return CKR_GENERAL_ERROR;
		}
		schedule_read();
		take_away();
		pretend_version();
	}
	*list = &functions;
	return CKR_OK;
}
