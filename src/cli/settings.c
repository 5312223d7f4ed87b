/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration files: /etc/keystow/config, then $XDG_CONFIG_HOME/keystow/config, or only what --config names.
 *
 * Settings such as deadlines belong to a context from its birth, and only a context can read a configuration. So the
 * files are read with one context to learn the defaults, and with a second one that is made with them.
 */
#include "settings.h"
#include "config.h"
#include "disk.h"
#include "secrets.h"
#include "stop.h"
#include "term.h"
#include "text.h"
#include "watchdog.h"

#include <keystow/store.h>

#include <string.h>
#include <unistd.h>

#define DEADLINE_MOST 86400000 /* a day */
#define SYSTEM_CONFIG "/etc/keystow/config"

static void on_trace(void *user, const struct ks_trace *event)
{
	const struct run *run = user;

	stop_listen();
	watchdog_trace(event, run->trace);
}

/* Where it is safe to cancel, a signal does. */
static int on_progress(void *user, const char *doing, uint64_t done, uint64_t total)
{
	return term_progress(user, doing, done, total) || stop_wanted;
}

/* $VARIABLE/keystow, or ~/FALLBACK/keystow; relative values count as unset (XDG Base Directory 0.8). NULL = neither. */
static char *xdg_folder(const char *variable, const char *fallback)
{
	const char *set = getenv(variable), *home = getenv("HOME");
	char *path = NULL;

	if (set && set[0] == '/')
		return asprintf(&path, "%s/keystow", set) < 0 ? NULL : path;
	if (home && home[0] == '/')
		return asprintf(&path, "%s/%s/keystow", home, fallback) < 0 ? NULL : path;
	return NULL;
}

static int read_files(struct ks_ctx *ctx, const char *const files[2])
{
	int rc = 0;

	for (int i = 0; rc == 0 && i < 2; i++) {
		if (files[i])
			rc = ks_ctx_configure(ctx, files[i]);
	}
	return rc;
}

static const struct deadline_row {
	const char *key;
	enum ks_deadline deadline;
} deadlines[] = {
	{ "look-deadline-ms", KS_DEADLINE_LOOK }, { "login-deadline-ms", KS_DEADLINE_LOGIN },
	{ "use-deadline-ms", KS_DEADLINE_USE },   { "write-deadline-ms", KS_DEADLINE_WRITE },
	{ "end-deadline-ms", KS_DEADLINE_END },   { "make-deadline-ms", KS_DEADLINE_MAKE },
	{ "init-deadline-ms", KS_DEADLINE_INIT }, { "pad-deadline-ms", KS_DEADLINE_PAD },
};

static int number_of(uint64_t *out, struct ks_ctx *ctx, const char *key, uint64_t most)
{
	const char *value = ks_config_get(ctx, "defaults", NULL, key);
	char *end;
	unsigned long long number;

	if (!value)
		return 0;
	number = strtoull(value, &end, 10);
	if (*value < '0' || *value > '9' || *end || number == 0 || number > most)
		return ks_fail(ctx, KS_ECONFIG, "%s in [defaults] must be a number from 1 to %llu", key,
			       (unsigned long long)most);
	*out = number;
	return 0;
}

static int deadlines_from_config(struct ks_settings *settings, struct ks_ctx *ctx)
{
	uint64_t call = 0, longer = 0;
	int rc = number_of(&call, ctx, "call-deadline-ms", DEADLINE_MOST);

	if (rc == 0)
		rc = number_of(&longer, ctx, "long-deadline-ms", DEADLINE_MOST);
	for (size_t i = 0; rc == 0 && i < sizeof(deadlines) / sizeof(deadlines[0]); i++) {
		uint64_t own = 0;

		rc = number_of(&own, ctx, deadlines[i].key, DEADLINE_MOST);
		settings->deadline_ms[deadlines[i].deadline] = (unsigned)own;
	}
	settings->call_deadline_ms = (unsigned)call;
	settings->long_deadline_ms = (unsigned)longer;
	return rc;
}

/* What the configuration says, where no option says otherwise. */
static int from_config(struct ks_settings *settings, struct ks_ctx *ctx)
{
	uint64_t wait = settings->wait_seconds, rounds = settings->max_iterations;
	int rc = deadlines_from_config(settings, ctx);

	if (rc == 0 && !wait)
		rc = number_of(&wait, ctx, "wait", 1000000);
	if (rc == 0 && !rounds)
		rc = number_of(&rounds, ctx, "max-iterations", UINT64_MAX);
	if (rc < 0)
		return rc;
	settings->wait_seconds = (unsigned)wait;
	settings->max_iterations = rounds;
	if (!settings->module)
		settings->module = ks_config_get(ctx, "defaults", NULL, "module");
	return 0;
}

/* Trades the context that read the files for one that lives by them. */
static int settle(struct run *run, struct ks_settings *settings, const char *const files[2])
{
	struct ks_ctx *first = run->ctx;
	int rc;

	rc = read_files(first, files);
	if (rc == 0)
		rc = from_config(settings, first);
	if (rc < 0)
		return rc;
	rc = ks_ctx_new(&run->ctx, settings);
	if (rc < 0)
		return rc;
	ks_ctx_free(first);
	return read_files(run->ctx, files);
}

static int check_sources(struct run *run)
{
	const struct options *options = run->options;
	const char *const sources[] = { options->pin_source,     options->to_pin_source,  options->ca_pin_source,
					options->key_pin_source, options->new_pin_source, options->so_pin_source };

	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		int rc = secrets_check(run->ctx, sources[i]);

		if (rc < 0)
			return rc;
	}
	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		if (sources[i] != options->so_pin_source && secrets_same(sources[i], options->so_pin_source))
			return ks_hint(run->ctx,
				       ks_fail(run->ctx, KS_EUSAGE,
					       "the security officer's PIN and another one would come from the same source, %s",
					       sources[i]),
				       "whoever has the one must not have the other: name two sources");
	}
	return 0;
}

static int trace_start(struct run *run)
{
	const char *wanted = run->options->trace;

	if (!wanted)
		return 0;
	if (*wanted)
		return ks_while(run->ctx, ks_disk_append(&run->trace, run->ctx, wanted), "the trace");
	run->trace = STDERR_FILENO;
	return 0;
}

int settings_apply(struct run *run)
{
	const struct options *options = run->options;
	ks_auto_mem char *state = xdg_folder("XDG_STATE_HOME", ".local/state");
	ks_auto_mem char *folder = xdg_folder("XDG_CONFIG_HOME", ".config");
	ks_auto_mem char *own = NULL;
	const char *files[2] = { NULL, NULL };
	struct ks_settings settings = {
		.hooks = { .ask = secrets_ask, .progress = on_progress, .trace = on_trace, .user = run },
		.state_dir = state,
		.module = options->module,
		.engine = options->engine,
		.wait_seconds = options->wait,
		.max_iterations = options->max_iterations,
		.follow = options->follow,
		.allow_last_try = options->allow_last_try && term_present(),
		.stop = &stop_wanted,
		.attended = term_present() && !options->no_input,
		.trace_detail = options->trace != NULL,
	};
	int rc;

	if (folder && asprintf(&own, "%s/config", folder) < 0)
		own = NULL;
	if (options->config) {
		files[0] = options->config;
	} else {
		files[0] = access(SYSTEM_CONFIG, F_OK) == 0 ? SYSTEM_CONFIG : NULL;
		files[1] = own && access(own, F_OK) == 0 ? own : NULL;
	}
	rc = ks_ctx_new(&run->ctx, &settings);
	if (rc == 0)
		rc = trace_start(run);
	if (rc == 0 && (files[0] || files[1]))
		rc = settle(run, &settings, files);
	return rc < 0 ? rc : check_sources(run);
}

int settings_ca(char **out_dir, const char **out_pin_source, struct run *run)
{
	const char *wanted = run->options->ca, *path, *source = run->options->ca_pin_source;
	char *dir;

	if (!wanted)
		wanted = ks_config_get(run->ctx, "defaults", NULL, "ca");
	if (!wanted)
		return ks_hint(run->ctx, ks_fail(run->ctx, KS_EUSAGE, "no CA is named"),
			       "add --ca DIR, or set ca = DIR under [defaults] in the configuration");
	if (wanted[0] == '@') {
		path = ks_config_get(run->ctx, "ca", wanted + 1, "path");
		if (!path)
			return ks_fail(run->ctx, KS_ENOTFOUND, "the configuration has no [ca %s]", wanted + 1);
		if (!source)
			source = ks_config_get(run->ctx, "ca", wanted + 1, "pin-source");
		wanted = path;
	}
	dir = strdup(wanted);
	if (!dir)
		return ks_nomem(run->ctx);
	*out_pin_source = source;
	*out_dir = dir;
	return 0;
}
