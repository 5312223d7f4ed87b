/* SPDX-License-Identifier: Apache-2.0 */
/* A context on a private SoftHSM token, fresh for each test; test-tokens/softhsm makes it. */
#ifndef KS_TEST_SOFTHSM_H
#define KS_TEST_SOFTHSM_H

#include "test.h"

#include "secret.h"
#include "store.h"

#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

static struct ks_ctx *ctx;
static char folder[] = "/tmp/keystow-token-XXXXXX";
static const char *pin = "1234"; /* what is answered when asked */
static bool attended; /* of the next context */
static atomic_int times_asked, logins, calls; /* keys ask and call on any thread */

static int answer(void *user, struct ks_ctx *asking, const struct ks_question *question, struct ks_secret *into)
{
	(void)user;
	times_asked++;
	return ks_secret_append(into, asking, question->ask == KS_ASK_SO_PIN ? "12345678" : pin,
				strlen(question->ask == KS_ASK_SO_PIN ? "12345678" : pin));
}

static void count_call(void *user, const struct ks_trace *event)
{
	(void)user;
	calls += event->leave;
	logins += event->leave && strcmp(event->function, "C_Login") == 0;
}

/* Runs test-tokens/softhsm and takes over the environment that it prints. */
static int token_make(const char *arguments)
{
	char command[512], line[512], name[64], value[400];
	FILE *out;

	snprintf(command, sizeof(command), "'%s/test-tokens/softhsm' '%s' %s", getenv("KEYSTOW_SOURCE"), folder,
		 arguments);
	out = popen(command, "r");
	while (out && fgets(line, sizeof(line), out)) {
		if (sscanf(line, "export %63[A-Z0-9_]='%399[^']'", name, value) == 2)
			setenv(name, value, 1);
	}
	return out ? pclose(out) : -1;
}

static int ctx_make(void)
{
	struct ks_settings settings = { .hooks = { .ask = answer, .trace = count_call } };
	char state[64];

	snprintf(state, sizeof(state), "%s/state", folder);
	settings.state_dir = state;
	settings.attended = attended;
	settings.module = getenv("KEYSTOW_TEST_MODULE");
	times_asked = 0;
	logins = 0;
	calls = 0;
	return ks_ctx_new(&ctx, &settings);
}

static int start_with(const char *arguments)
{
	snprintf(folder, sizeof(folder), "/tmp/keystow-token-XXXXXX");
	pin = "1234";
	attended = false;
	if (!mkdtemp(folder) || token_make(arguments) != 0)
		return -1;
	return ctx_make();
}

static int start(void **state)
{
	(void)state;
	return start_with("KS");
}

/* A new process, as far as keystow can tell. */
static inline void again(void)
{
	assert_int_equal(ks_ctx_free(ctx), 0);
	assert_int_equal(ctx_make(), 0);
}

/* A new process, whose module is balky in front of the real one, with that schedule (test-tokens/balky/schedule.h). */
static inline void again_with(const char *schedule)
{
	char path[64], log[64];
	FILE *file;

	assert_int_equal(ks_ctx_free(ctx), 0);
	snprintf(path, sizeof(path), "%s/schedule", folder);
	snprintf(log, sizeof(log), "%s/log", folder);
	unlink(log);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(schedule, file) >= 0);
	assert_int_equal(fclose(file), 0);
	setenv("BALKY_SCHEDULE", path, 1);
	setenv("BALKY_LOG", log, 1);
	if (strcmp(getenv("KEYSTOW_TEST_MODULE"), getenv("KEYSTOW_BALKY")) != 0)
		setenv("BALKY_MODULE", getenv("KEYSTOW_TEST_MODULE"), 1);
	setenv("KEYSTOW_TEST_MODULE", getenv("KEYSTOW_BALKY"), 1);
	assert_int_equal(ctx_make(), 0);
}

static int finish(void **state)
{
	char command[128];
	int rc = ks_ctx_free(ctx);

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	return system(command) == 0 ? rc : -1;
}

static struct ks_where *where_of(const char *text)
{
	struct ks_where *where = NULL;

	if (ks_where_parse(&where, ctx, text) < 0)
		fail_msg("%s: %s", text, ks_ctx_text(ctx));
	return where;
}

/* Fails the test with the library's own words. */
#define works(call)                                                                                                    \
	do {                                                                                                           \
		int rc_ = (call);                                                                                      \
		if (rc_ < 0)                                                                                           \
			fail_msg("%s: %d %s (%s)", #call, rc_, ks_ctx_text(ctx), ks_ctx_causes(ctx));                  \
	} while (0)

/* Skips the whole program where there is no SoftHSM. */
static bool softhsm_absent(void)
{
	snprintf(folder, sizeof(folder), "/tmp/keystow-token-XXXXXX");
	return !mkdtemp(folder) || token_make("-") != 0 || rmdir(folder) == 0;
}

#endif
