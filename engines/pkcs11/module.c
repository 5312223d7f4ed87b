/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading modules through p11-kit, which shares them with other users in the same process.
 *
 * Before p11-kit sees a module file we look at it ourselves: it must be a regular file that only root or we could have written, and
 * its function list must be whole, because p11-kit calls through missing entries. Modules are ended by us when the context is:
 * ending them from an atexit handler crashes SoftHSM, whose own libcrypto is gone by then (openssl/openssl#22508).
 */
#include "module.h"

#include "config.h"
#include "isolated.h"
#include "p11kit.h"
#include "text.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct loaded {
	struct ks_p11_module **list;
	size_t count, capacity;
	bool probed; /* p11-kit's own modules are in the list */
	size_t probed_from, probed_count;
};

static const char loaded_key;

static void module_end(struct ks_p11_module *module)
{
	const struct ks_p11_on on = { .module = module };
	bool ours = !ks_p11_forked(
		module); /* ending what the parent started has destroyed the parent's sessions (OpenSC) */

	if (module->initialized && ours)
		ks_p11_finalize(&on);
	if (module->functions && ours && !module->isolated)
		ks_p11kit.module_release(module->functions);
	free(module->arguments);
	free(module->name);
	free(module->shown);
	free(module);
}

static void loaded_end(struct ks_ctx *ctx, void *state)
{
	struct loaded *loaded = state;

	(void)ctx;
	while (loaded->count)
		module_end(loaded->list[--loaded->count]);
	free(loaded->list);
	free(loaded);
}

static int module_new(struct ks_p11_module **out, struct ks_ctx *ctx, const char *name)
{
	struct ks_p11_module *module = calloc(1, sizeof(*module));

	if (!module)
		return ks_nomem(ctx);
	module->ctx = ctx;
	module->name = strdup(name);
	module->shown = ks_text_show(ks_bytes_of(name));
	if (!module->name || !module->shown) {
		module_end(module);
		return ks_nomem(ctx);
	}
	*out = module;
	return 0;
}

/* ---- looking at a module file before it may run ---- */

static const char *package_of(const char *path)
{
	static const struct {
		const char *part, *package;
	} rows[] = {
		{ "softhsm", "softhsm2" },      { "opensc", "opensc-pkcs11" },      { "ykcs11", "ykcs11" },
		{ "tpm2", "libtpm2-pkcs11-1" }, { "opencryptoki", "opencryptoki" }, { "p11-kit", "p11-kit-modules" },
		{ "softokn", "libnss3" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strstr(path, rows[i].part))
			return rows[i].package;
	}
	return NULL;
}

static int module_absent(struct ks_ctx *ctx, const char *shown, const char *path)
{
	const char *package = package_of(path);
	int rc = ks_fail(ctx, KS_EMODULE, "there is no PKCS#11 module %s", shown);

	if (package)
		return ks_hint(ctx, rc, "apt install %s may bring it", package);
	return ks_hint(ctx, rc, "check the path; p11-kit list-modules shows the modules that are configured here");
}

/* Could somebody else have written the file? A group of our own is fine: it is how home folders work on Debian. */
static int module_file_check(struct ks_ctx *ctx, const char *shown, const char *path)
{
	struct stat st;
	int rc;

	if (path[0] != '/')
		return ks_hint(
			ctx, ks_fail(ctx, KS_EMODULE, "module %s is not an absolute path", shown),
			"write the whole path, or give it a name in the configuration: [module NAME] path = /...");
	if (stat(path, &st) < 0)
		return module_absent(ctx, shown, path);
	if (!S_ISREG(st.st_mode))
		return ks_hint(ctx, ks_fail(ctx, KS_EMODULE, "module %s is not a regular file", shown),
			       "name the library itself, such as /usr/lib/softhsm/libsofthsm2.so");
	if ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & S_IWOTH) ||
	    ((st.st_mode & S_IWGRP) && st.st_gid != 0 && st.st_gid != getegid())) {
		rc = ks_fail(ctx, KS_EMODULE, "module %s could have been changed by somebody else, so it is not loaded",
			     shown);
		return ks_hint(ctx, rc, "it must belong to root or to you, and nobody else may write it");
	}
	return 0;
}

/* The functions that keystow and p11-kit call. */
static bool module_functions_check(const CK_FUNCTION_LIST *list)
{
#define HAS(name) (list->name != NULL)
	return HAS(C_Initialize) && HAS(C_Finalize) && HAS(C_GetInfo) && HAS(C_GetSlotList) && HAS(C_GetSlotInfo) &&
	       HAS(C_GetTokenInfo) && HAS(C_GetMechanismList) && HAS(C_InitToken) && HAS(C_InitPIN) && HAS(C_SetPIN) &&
	       HAS(C_OpenSession) && HAS(C_CloseSession) && HAS(C_CloseAllSessions) && HAS(C_GetSessionInfo) &&
	       HAS(C_Login) && HAS(C_Logout) && HAS(C_CreateObject) && HAS(C_DestroyObject) &&
	       HAS(C_GetAttributeValue) && HAS(C_SetAttributeValue) && HAS(C_FindObjectsInit) && HAS(C_FindObjects) &&
	       HAS(C_FindObjectsFinal) && HAS(C_SignInit) && HAS(C_Sign) && HAS(C_DecryptInit) && HAS(C_Decrypt) &&
	       HAS(C_GenerateKeyPair);
#undef HAS
}

static int module_list_check(struct ks_ctx *ctx, const struct ks_p11_on *on, void *library)
{
	CK_C_GetFunctionList get = (CK_C_GetFunctionList)dlsym(library, "C_GetFunctionList");
	CK_FUNCTION_LIST *list = NULL;
	CK_RV rv;

	if (!get)
		return ks_fail(ctx, KS_EMODULE, "%s is not a PKCS#11 module: it has no C_GetFunctionList",
			       on->module->shown);
	rv = ks_p11_get_list(on, get, &list);
	if (rv == CKR_OK && !module_functions_check(list))
		rv = KS_CKR_FUNCTION;
	return ks_p11_failed(ctx, on, rv);
}

static int module_probe(struct ks_ctx *ctx, const struct ks_p11_on *on)
{
	void *library = dlopen(on->module->name, RTLD_NOW | RTLD_LOCAL);
	int rc;

	if (!library) {
		rc = ks_fail(ctx, KS_EMODULE, "module %s cannot be loaded", on->module->shown);
		ks_cause(ctx, rc, "%s", dlerror());
		return ks_hint(ctx, rc, "-v tells why; it must be a PKCS#11 library for this machine");
	}
	rc = module_list_check(ctx, on, library);
	dlclose(library);
	return rc;
}

/* ---- starting ---- */

static int module_start(struct ks_ctx *ctx, struct ks_p11_module *module)
{
	const struct ks_p11_on on = { .module = module };
	CK_RV rv;

	module->process = getpid();
	rv = ks_p11_initialize(&on, module->arguments);
	module->initialized = rv == CKR_OK;
	if (rv != CKR_OK && rv != CKR_CRYPTOKI_ALREADY_INITIALIZED)
		return ks_while(ctx, ks_p11_failed(ctx, &on, rv), "starting module %s", module->shown);
	/* Only quirks hang on it, so a module that does not tell is used without. */
	if (ks_p11_info(&on, &module->info) != CKR_OK)
		memset(&module->info, 0, sizeof(module->info));
	return 0;
}

static int module_load_isolated(struct ks_ctx *ctx, struct ks_p11_module *module)
{
	int rc = module_file_check(ctx, module->shown, module->name);

	if (rc == 0)
		rc = ks_p11_isolated_list(&module->functions, ctx, module);
	return rc < 0 ? rc : module_start(ctx, module);
}

static int module_load(struct ks_ctx *ctx, struct ks_p11_module *module)
{
	const struct ks_p11_on on = { .module = module };
	int rc = ks_p11kit_load(ctx);

	if (rc == 0)
		rc = module_file_check(ctx, module->shown, module->name);

	if (rc == 0)
		rc = module_probe(ctx, &on);
	if (rc < 0)
		return rc;
	module->functions = ks_p11kit.module_load(module->name, 0);
	if (!module->functions) {
		const char *why = ks_p11kit.message();

		rc = ks_fail(ctx, KS_EMODULE, "module %s cannot be loaded", module->shown);
		return why ? ks_cause(ctx, rc, "p11-kit: %s", why) : rc;
	}
	return module_start(ctx, module);
}

/* In a child: none of the parent's modules is ended, each is started anew. */
static int loaded_forked(struct ks_ctx *ctx, void *state)
{
	const struct loaded *loaded = state;
	int first = 0;

	for (size_t i = 0; i < loaded->count; i++) {
		int rc = module_start(ctx, loaded->list[i]);

		first = first ? first : rc;
	}
	return first;
}

static struct ks_p11_module *loaded_named(const struct loaded *loaded, const char *name)
{
	for (size_t i = 0; i < loaded->count; i++) {
		if (strcmp(loaded->list[i]->name, name) == 0)
			return loaded->list[i];
	}
	return NULL;
}

static int loaded_add(struct loaded *loaded, struct ks_ctx *ctx, struct ks_p11_module *module)
{
	if (ks_array_grow(&loaded->list, &loaded->capacity, loaded->count + 1, sizeof(struct ks_p11_module *)) < 0) {
		module_end(module);
		return ks_nomem(ctx);
	}
	loaded->list[loaded->count++] = module;
	return 0;
}

/* A library is started once in a process: NSS would go on with the database that it was started with. */
static int same_arguments(struct ks_ctx *ctx, const struct ks_p11_module *module, const char *arguments)
{
	if (strcmp(module->arguments ? module->arguments : "", arguments ? arguments : "") == 0)
		return 0;
	return ks_hint(ctx,
		       ks_fail(ctx, KS_EUNABLE, "module %s was started with other init-args in this run already", module->shown),
		       "use one command for each of the two, for example with a file in between");
}

/* `name` is a path, or the NAME of a [module NAME] in the configuration. */
static int module_named(struct ks_p11_module **out, struct ks_ctx *ctx, struct loaded *loaded, const char *name)
{
	const char *path = ks_config_get(ctx, "module", name, "path");
	const char *load = ks_config_get(ctx, "module", name, "load");
	const char *arguments = ks_config_get(ctx, "module", name, "init-args");
	struct ks_p11_module *module = loaded_named(loaded, path ? path : name);
	int rc;

	if (!module) {
		rc = module_new(&module, ctx, path ? path : name);
		if (rc < 0)
			return rc;
		if (arguments && !(module->arguments = strdup(arguments)))
			rc = ks_nomem(ctx);
		module->isolated = load && strcmp(load, "isolated") == 0;
		if (rc == 0)
			rc = module->isolated ? module_load_isolated(ctx, module) : module_load(ctx, module);
		if (rc < 0) {
			module_end(module);
			return rc;
		}
		rc = loaded_add(loaded, ctx, module);
		if (rc < 0)
			return rc;
	}
	*out = module;
	return same_arguments(ctx, module, arguments);
}

/* One of p11-kit's own. What does not start is told and left out; a trust policy holds no tokens of people. */
static int configured_add(struct ks_ctx *ctx, struct loaded *loaded, CK_FUNCTION_LIST *functions)
{
	char *name = ks_p11kit.module_get_name(functions), *policy = ks_p11kit.config_option(functions, "trust-policy");
	struct ks_p11_module *module = NULL;
	bool wanted = !policy || strcmp(policy, "yes") != 0;
	int rc = wanted ? module_new(&module, ctx, name ? name : "unnamed") : 0;

	free(policy);
	free(name);
	if (!module) {
		ks_p11kit.module_release(functions);
		return rc;
	}
	module->functions = functions;
	if (module_start(ctx, module) < 0) {
		ks_notice(ctx, ks_ctx_status(ctx), module->shown, "the other modules were used", "%s",
			  ks_ctx_text(ctx));
		ks_forgive(ctx);
		module_end(module);
		return 0;
	}
	return loaded_add(loaded, ctx, module);
}

static int configured_load(struct ks_ctx *ctx, struct loaded *loaded)
{
	CK_FUNCTION_LIST **modules;
	int rc = ks_p11kit_load(ctx);

	if (rc < 0)
		return rc;
	modules = ks_p11kit.modules_load(NULL, 0);
	if (!modules)
		return ks_fail(ctx, KS_EMODULE, "p11-kit cannot read its configuration: %s", ks_p11kit.message());
	loaded->probed = true;
	loaded->probed_from = loaded->count;
	for (size_t i = 0; modules[i]; i++) {
		if (rc == 0)
			rc = configured_add(ctx, loaded, modules[i]);
		else
			ks_p11kit.module_release(modules[i]);
	}
	free(modules);
	loaded->probed_count = loaded->count - loaded->probed_from;
	return rc;
}

static int list_of(struct ks_p11_module ***out, struct ks_ctx *ctx, struct ks_p11_module *const *modules, size_t count)
{
	struct ks_p11_module **list = ks_array(count + 1, sizeof(struct ks_p11_module *));

	if (!list)
		return ks_nomem(ctx);
	memcpy(list, modules, count * sizeof(struct ks_p11_module *));
	*out = list;
	return 0;
}

static int configured_list(struct ks_p11_module ***out, struct ks_ctx *ctx, struct loaded *loaded)
{
	int rc = loaded->probed ? 0 : configured_load(ctx, loaded);

	if (rc < 0)
		return rc;
	if (loaded->probed_count == 0)
		return ks_hint(ctx, ks_fail(ctx, KS_EMODULE, "no PKCS#11 module is configured on this computer"),
			       "install the one of your device (softhsm2, opensc-pkcs11, ...), or name its file with "
			       "--module");
	return list_of(out, ctx, loaded->list + loaded->probed_from, loaded->probed_count);
}

static const char *chosen(struct ks_ctx *ctx, const struct ks_where *where)
{
	if (where && where->module)
		return where->module;
	if (ks_settings(ctx)->module)
		return ks_settings(ctx)->module;
	return ks_config_get(ctx, "defaults", NULL, "module");
}

int ks_p11_modules(struct ks_p11_module ***out, struct ks_ctx *ctx, const struct ks_where *where)
{
	struct ks_p11_module *module = NULL;
	struct loaded *loaded = ks_ctx_keep_new(ctx, &loaded_key, sizeof(*loaded), loaded_end);
	const char *name = chosen(ctx, where);
	int rc;

	if (!loaded)
		return KS_ENOMEM;
	ks_ctx_keep_forked(ctx, &loaded_key, loaded_forked);
	if (!name)
		return configured_list(out, ctx, loaded);
	rc = module_named(&module, ctx, loaded, name);
	return rc < 0 ? rc : list_of(out, ctx, &module, 1);
}
