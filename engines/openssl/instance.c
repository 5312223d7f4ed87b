/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Beginning, forking, ending.
 *
 * The end is an exit handler of our own, put up after the module was loaded: it runs before the module's destructors and before
 * libcrypto's clean-up, which were put up earlier. Finalising from libcrypto's clean-up crashes SoftHSM (openssl/openssl#22508). The
 * child of a fork starts modules anew at its first use of a key, and one that never uses any leaves the parent's tokens alone.
 */
#include "instance.h"

#include "ask.h"
#include "told.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SYSTEM_CONFIG "/etc/keystow/config"
#define PATIENCE 2 /* seconds that the end waits for other threads; then it leaves their work to the kernel */

static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;
static struct instance *all;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT, exit_once = PTHREAD_ONCE_INIT;

/* ---- settings ---- */

static char *setting(const struct instance *instance, OSSL_FUNC_core_get_params_fn *get_params, const char *name)
{
	char *value = NULL;
	OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_ptr(name, &value, 0), OSSL_PARAM_construct_end() };

	if (!get_params || !get_params(instance->core, params) || !value || !value[0])
		return NULL;
	return strdup(value);
}

static unsigned milliseconds(const struct instance *instance, OSSL_FUNC_core_get_params_fn *get_params, const char *name)
{
	char *text = setting(instance, get_params, name);
	unsigned long number = text ? strtoul(text, NULL, 10) : 0;

	free(text);
	return number > 86400000 ? 86400000 : (unsigned)number;
}

/* $VARIABLE/keystow, or ~/FALLBACK/keystow, as the program has it; not for programs that run with somebody else's rights. */
static char *xdg_folder(const char *variable, const char *fallback)
{
	const char *set = secure_getenv(variable), *home = secure_getenv("HOME");
	char *path = NULL;

	if (set && set[0] == '/')
		return asprintf(&path, "%s/keystow", set) < 0 ? NULL : path;
	if (home && home[0] == '/')
		return asprintf(&path, "%s/%s/keystow", home, fallback) < 0 ? NULL : path;
	return NULL;
}

static int configure_if_there(struct ks_ctx *ctx, const char *path)
{
	return access(path, F_OK) == 0 ? ks_ctx_configure(ctx, path) : 0;
}

/* The file that the section names, else those of the program. */
static int configure(const struct instance *instance, struct ks_ctx *ctx)
{
	char *folder, *own = NULL;
	int rc;

	if (instance->config)
		return ks_ctx_configure(ctx, instance->config);
	rc = configure_if_there(ctx, SYSTEM_CONFIG);
	folder = xdg_folder("XDG_CONFIG_HOME", ".config");
	if (rc == 0 && folder && asprintf(&own, "%s/config", folder) > 0) {
		rc = configure_if_there(ctx, own);
		free(own);
	}
	free(folder);
	return rc;
}

static void context_new(struct instance *instance)
{
	char *state = instance->state_dir ? strdup(instance->state_dir) : xdg_folder("XDG_STATE_HOME", ".local/state");
	const struct ks_settings settings = {
		.hooks = { .ask = ask_host, .user = instance },
		.state_dir = state,
		.module = instance->module,
		.call_deadline_ms = instance->call_deadline_ms,
		.long_deadline_ms = instance->long_deadline_ms,
	};
	struct ks_ctx *ctx = NULL;
	int rc = ks_ctx_new(&ctx, &settings);

	free(state);
	if (rc < 0) {
		told_sentence(instance, rc, "keystow cannot start");
		return;
	}
	if (configure(instance, ctx) < 0) {
		told(instance, ctx);
		ks_ctx_free(ctx);
		return;
	}
	instance->ctx = ctx;
}

/* ---- birth ---- */

static void recursive(pthread_mutex_t *mutex)
{
	pthread_mutexattr_t kind;

	pthread_mutexattr_init(&kind);
	pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(mutex, &kind);
	pthread_mutexattr_destroy(&kind);
}

static void locks_new(struct instance *instance)
{
	recursive(&instance->opening);
	pthread_rwlock_init(&instance->life, NULL);
	pthread_mutex_init(&instance->held, NULL);
}

/* Only the thread that forked lives on, so nobody else has these locks. */
static void in_child(void)
{
	pthread_mutex_init(&all_lock, NULL);
	for (struct instance *one = all; one; one = one->next) {
		locks_new(one);
		one->forked = one->ctx != NULL;
	}
}

static void watch_forks(void)
{
	pthread_atfork(NULL, NULL, in_child);
}

struct instance *instance_new(const OSSL_CORE_HANDLE *core, const OSSL_DISPATCH *in)
{
	struct instance *instance = calloc(1, sizeof(*instance));
	OSSL_FUNC_core_get_params_fn *get_params = NULL;

	if (!instance)
		return NULL;
	instance->core = core;
	instance->bios = OSSL_LIB_CTX_new_from_dispatch(core, in);
	for (; in->function_id != 0; in++) {
		switch (in->function_id) {
		case OSSL_FUNC_CORE_GET_PARAMS:
			get_params = OSSL_FUNC_core_get_params(in);
			break;
		case OSSL_FUNC_CORE_NEW_ERROR:
			instance->new_error = OSSL_FUNC_core_new_error(in);
			break;
		case OSSL_FUNC_CORE_SET_ERROR_DEBUG:
			instance->set_error_debug = OSSL_FUNC_core_set_error_debug(in);
			break;
		case OSSL_FUNC_CORE_VSET_ERROR:
			instance->vset_error = OSSL_FUNC_core_vset_error(in);
			break;
		}
	}
	instance->module = setting(instance, get_params, "pkcs11-module");
	instance->config = setting(instance, get_params, "config");
	instance->state_dir = setting(instance, get_params, "state-dir");
	instance->pin_source = setting(instance, get_params, "pin-source");
	instance->call_deadline_ms = milliseconds(instance, get_params, "call-deadline-ms");
	instance->long_deadline_ms = milliseconds(instance, get_params, "long-deadline-ms");
	locks_new(instance);
	pthread_once(&fork_once, watch_forks);
	pthread_mutex_lock(&all_lock);
	instance->next = all;
	all = instance;
	pthread_mutex_unlock(&all_lock);
	return instance;
}

/* ---- being inside ---- */

/* Whatever the parent had open is not ours: the first one who comes starts the modules anew. */
static bool settle_in_child(struct instance *instance)
{
	int rc = 0;

	pthread_mutex_lock(&instance->opening);
	if (instance->forked) {
		rc = ks_after_fork(instance->ctx);
		if (rc < 0)
			told(instance, instance->ctx);
		else
			instance->forked = false;
	}
	pthread_mutex_unlock(&instance->opening);
	return rc == 0;
}

bool instance_enter(struct instance *instance)
{
	pthread_rwlock_rdlock(&instance->life);
	if (instance->ended)
		told_sentence(instance, KS_EGONE, "keystow has left its tokens, because the process ends");
	else if (!instance->forked || settle_in_child(instance))
		return true;
	pthread_rwlock_unlock(&instance->life);
	return false;
}

void instance_leave(struct instance *instance)
{
	pthread_rwlock_unlock(&instance->life);
}

struct ks_ctx *instance_open(struct instance *instance)
{
	pthread_mutex_lock(&instance->opening);
	if (!instance->ctx)
		context_new(instance);
	if (!instance->ctx)
		pthread_mutex_unlock(&instance->opening);
	return instance->ctx;
}

void instance_close(struct instance *instance)
{
	pthread_mutex_unlock(&instance->opening);
}

/* ---- holders ---- */

void holder_add(struct holder *holder, struct instance *instance, void (*empty)(struct holder *holder))
{
	*holder = (struct holder){ .instance = instance, .empty = empty };
	pthread_mutex_lock(&instance->held);
	holder->next = instance->holders;
	if (holder->next)
		holder->next->before = holder;
	instance->holders = holder;
	pthread_mutex_unlock(&instance->held);
}

void holder_remove(struct holder *holder)
{
	struct instance *instance = holder->instance;

	pthread_mutex_lock(&instance->held);
	if (holder->next)
		holder->next->before = holder->before;
	if (holder->before)
		holder->before->next = holder->next;
	else
		instance->holders = holder->next;
	pthread_mutex_unlock(&instance->held);
}

/* ---- the end ---- */

static void context_end(struct instance *instance)
{
	pthread_mutex_lock(&instance->held);
	for (struct holder *holder = instance->holders; holder; holder = holder->next)
		holder->empty(holder);
	pthread_mutex_unlock(&instance->held);
	ks_ctx_free(instance->ctx);
	instance->ctx = NULL;
}

static void instance_end(struct instance *instance)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE;
	if (pthread_rwlock_timedwrlock(&instance->life, &until) != 0)
		return;
	if (!instance->ended && !instance->forked)
		context_end(instance);
	instance->ended = true;
	pthread_rwlock_unlock(&instance->life);
}

static void at_exit(void)
{
	pthread_mutex_lock(&all_lock);
	for (struct instance *one = all; one; one = one->next)
		instance_end(one);
	pthread_mutex_unlock(&all_lock);
}

static void watch_exit(void)
{
	atexit(at_exit);
}

void instance_reached(void)
{
	pthread_once(&exit_once, watch_exit);
}

static void forget(struct instance *instance)
{
	pthread_mutex_lock(&all_lock);
	for (struct instance **at = &all; *at; at = &(*at)->next) {
		if (*at == instance) {
			*at = instance->next;
			break;
		}
	}
	pthread_mutex_unlock(&all_lock);
}

void instance_free(struct instance *instance)
{
	forget(instance);
	if (OPENSSL_init_crypto(0, NULL) == 1)
		instance_end(instance);
	pthread_mutex_destroy(&instance->opening);
	pthread_rwlock_destroy(&instance->life);
	pthread_mutex_destroy(&instance->held);
	OSSL_LIB_CTX_free(instance->bios);
	free(instance->module);
	free(instance->config);
	free(instance->state_dir);
	free(instance->pin_source);
	free(instance->pin_token);
	free(instance);
}
