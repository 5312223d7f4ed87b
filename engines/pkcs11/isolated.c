/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting p11-kit's client for one module.
 */
#include "isolated.h"

#include "text.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VARIABLE "P11_KIT_SERVER_ADDRESS"

/* Ends the child with us even when we end in the middle of a call that hangs; part of util-linux. */
#define WITH_US "/usr/bin/setpriv --pdeathsig KILL "

static int tool_there(struct ks_ctx *ctx, const char *path)
{
	if (access(path, R_OK) == 0)
		return 0;
	return ks_hint(ctx, ks_fail(ctx, KS_EMODULE, "load = isolated needs %s, which is not there", path),
		       "apt install p11-kit p11-kit-modules");
}

/* p11-kit takes the command apart at blanks and quotes. */
static int path_plain(struct ks_ctx *ctx, const struct ks_p11_module *module)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._+-";

	if (module->name[strspn(module->name, plain)] == '\0')
		return 0;
	return ks_hint(ctx,
		       ks_fail(ctx, KS_EMODULE, "module %s cannot be isolated because of a character in its path",
			       module->shown),
		       "letters, digits and /._+- are fine; a symbolic link without others will do");
}

/* The address is read when the list is asked for, so only one thread may be here. */
static CK_RV list_for(CK_FUNCTION_LIST **list, const struct ks_p11_on *on, CK_C_GetFunctionList get, const char *command)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	ks_auto_mem char *before = NULL;
	const char *set;
	CK_RV rv = CKR_HOST_MEMORY;

	pthread_mutex_lock(&lock);
	set = getenv(VARIABLE);
	before = set ? strdup(set) : NULL;
	if ((!set || before) && setenv(VARIABLE, command, 1) == 0)
		rv = ks_p11_get_list(on, get, list);
	if (before)
		setenv(VARIABLE, before, 1);
	else if (!set)
		unsetenv(VARIABLE);
	pthread_mutex_unlock(&lock);
	return rv;
}

int ks_p11_isolated_list(CK_FUNCTION_LIST **out, struct ks_ctx *ctx, const struct ks_p11_module *module)
{
	const struct ks_p11_on on = { .module = (struct ks_p11_module *)module };
	bool with_us = access("/usr/bin/setpriv", X_OK) == 0;
	ks_auto_mem char *command = NULL;
	CK_C_GetFunctionList get = NULL;
	void *client;
	int rc = tool_there(ctx, KS_P11KIT_CLIENT);

	if (rc == 0)
		rc = tool_there(ctx, KS_P11KIT_PROGRAM);
	if (rc == 0)
		rc = path_plain(ctx, module);
	if (rc < 0)
		return rc;
	if (asprintf(&command, "|%s%s remote %s", with_us ? WITH_US : "", KS_P11KIT_PROGRAM, module->name) < 0)
		return ks_nomem(ctx);
	client = dlopen(KS_P11KIT_CLIENT, RTLD_NOW | RTLD_LOCAL); /* stays, with the lists that it made */
	if (client)
		*(void **)&get = dlsym(client, "C_GetFunctionList");
	if (!get)
		return ks_fail(ctx, KS_EMODULE, "%s cannot be loaded", KS_P11KIT_CLIENT);
	return ks_p11_failed(ctx, &on, list_for(out, &on, get, command));
}
