/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The context: failures and notices, settings and budgets, hooks, and OpenSSL kept to ourselves.
 */
#include "context.h"
#include "secret.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/provider.h>

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define FRAME KS_WORDS
#define SECURE_HEAP (256 * 1024)

struct kept {
	const void *key;
	void *state;
	void (*end)(struct ks_ctx *ctx, void *state);
	int (*forked)(struct ks_ctx *ctx, void *state);
};

struct ks_ctx {
	struct ks_settings settings;
	char *state_dir, *module, *engine;
	struct ks_words words;
	struct ks_problem *notices;
	size_t notice_count, notice_capacity;
	struct kept *kept;
	size_t kept_count, kept_capacity;
	pthread_mutex_t asking; /* the host's hooks are called by one thread at a time; recursive */
	uint64_t spent;
	atomic_size_t users; /* keys of tokens may be freed on other threads */
	OSSL_LIB_CTX *crypto, *legacy;
	OSSL_PROVIDER *crypto_default, *legacy_default, *legacy_provider;
	bool legacy_tried;
};

/* ---- failures ---- */

static _Thread_local struct ks_words *aside;

struct ks_words *ks_speak_into(struct ks_words *words)
{
	struct ks_words *before = aside;

	aside = words;
	return before;
}

static struct ks_words *words_of(struct ks_ctx *ctx)
{
	return aside ? aside : &ctx->words;
}

static const struct ks_words *words_told(const struct ks_ctx *ctx)
{
	return aside ? aside : &ctx->words;
}

static void __attribute__((format(printf, 2, 0))) put(char frame[FRAME], const char *format, va_list values)
{
	vsnprintf(frame, FRAME, format, values);
}

int ks_fail(struct ks_ctx *ctx, int status, const char *format, ...)
{
	va_list values;

	if (!ctx)
		return status;
	ks_forgive(ctx);
	words_of(ctx)->status = status;
	va_start(values, format);
	put(words_of(ctx)->text, format, values);
	va_end(values);
	return status;
}

int ks_while(struct ks_ctx *ctx, int rc, const char *format, ...)
{
	char doing[FRAME], whole[FRAME];
	va_list values;

	if (!ctx || rc >= 0)
		return rc;
	if (words_of(ctx)->status != rc)
		ks_fail(ctx, rc, "%s", ks_status_title(rc));
	va_start(values, format);
	put(doing, format, values);
	va_end(values);
	snprintf(whole, sizeof(whole), "%.2000s: %.2000s", doing, words_of(ctx)->text);
	memcpy(words_of(ctx)->text, whole, sizeof(whole));
	return rc;
}

int ks_hint(struct ks_ctx *ctx, int rc, const char *format, ...)
{
	va_list values;

	if (!ctx || rc >= 0 || (words_of(ctx)->hint[0] && !words_of(ctx)->general))
		return rc;
	va_start(values, format);
	put(words_of(ctx)->hint, format, values);
	va_end(values);
	words_of(ctx)->general = false;
	return rc;
}

int ks_hint_general(struct ks_ctx *ctx, int rc, const char *format, ...)
{
	va_list values;

	if (!ctx || rc >= 0 || words_of(ctx)->hint[0])
		return rc;
	va_start(values, format);
	put(words_of(ctx)->hint, format, values);
	va_end(values);
	words_of(ctx)->general = true;
	return rc;
}

int ks_cause(struct ks_ctx *ctx, int rc, const char *format, ...)
{
	char *causes;
	size_t used;
	va_list values;

	if (!ctx || rc >= 0)
		return rc;
	causes = words_of(ctx)->causes;
	used = strlen(causes);
	if (used && used + 1 < FRAME)
		causes[used++] = '\n';
	va_start(values, format);
	vsnprintf(causes + used, FRAME - used, format, values);
	va_end(values);
	return rc;
}

/* OpenSSL's number for errors that are ours; its reasons are minus our statuses. */
static int own_library;
static CRYPTO_ONCE own_library_once = CRYPTO_ONCE_STATIC_INIT;

static void own_library_start(void)
{
	own_library = ERR_get_next_error_library();
}

void ks_raise(int status, const char *sentence)
{
	if (!CRYPTO_THREAD_run_once(&own_library_once, own_library_start))
		return;
	ERR_new();
	ERR_set_error(own_library, -status, "%s", sentence);
}

/* Takes one error off OpenSSL's queue into `causes`; what ks_raise put there becomes *status and `sentence`. */
static bool openssl_next(int *status, char sentence[FRAME], char causes[FRAME])
{
	char reason[256];
	const char *words = NULL;
	int flags = 0;
	unsigned long error = ERR_get_error_all(NULL, NULL, NULL, &words, &flags);
	size_t used = strlen(causes);

	if (error == 0)
		return false;
	if (own_library && ERR_GET_LIB(error) == own_library && (flags & ERR_TXT_STRING)) {
		*status = -ERR_GET_REASON(error);
		used = strlen(sentence);
		snprintf(sentence + used, FRAME - used, ": %s", words);
		return true;
	}
	ERR_error_string_n(error, reason, sizeof(reason));
	snprintf(causes + used, FRAME - used, "%s%s", used ? "\n" : "", reason);
	return true;
}

int ks_fail_openssl(struct ks_ctx *ctx, int status, const char *format, ...)
{
	char sentence[FRAME], causes[FRAME] = "";
	va_list values;

	va_start(values, format);
	put(sentence, format, values);
	va_end(values);
	while (openssl_next(&status, sentence, causes)) {
	}
	ks_fail(ctx, status, "%s", sentence);
	return causes[0] ? ks_cause(ctx, status, "%s", causes) : status;
}

static int errno_status(int error)
{
	switch (error) {
	case ENOSPC:
	case EDQUOT:
		return KS_EFULL;
	case ENOENT:
		return KS_ENOTFOUND;
	case ENOMEM:
		return KS_ENOMEM;
	default:
		return KS_EIO;
	}
}

int ks_fail_errno(struct ks_ctx *ctx, int error, const char *format, ...)
{
	char sentence[FRAME];
	va_list values;
	int status = errno_status(error);

	va_start(values, format);
	put(sentence, format, values);
	va_end(values);
	ks_fail(ctx, status, "%.2000s: %s", sentence, strerror(error));
	return status;
}

int ks_nomem(struct ks_ctx *ctx)
{
	return ks_fail(ctx, KS_ENOMEM, "there is not enough memory");
}

void ks_forgive(struct ks_ctx *ctx)
{
	struct ks_words *words;

	if (!ctx)
		return;
	words = words_of(ctx);
	words->status = 0;
	words->text[0] = words->hint[0] = words->causes[0] = '\0';
	words->general = false;
}

int ks_ctx_status(const struct ks_ctx *ctx)
{
	return words_told(ctx)->status;
}

const char *ks_ctx_text(const struct ks_ctx *ctx)
{
	return words_told(ctx)->text;
}

const char *ks_ctx_hint(const struct ks_ctx *ctx)
{
	return words_told(ctx)->hint;
}

const char *ks_ctx_causes(const struct ks_ctx *ctx)
{
	return words_told(ctx)->causes;
}

/* ---- notices ---- */

static void problem_clear(struct ks_problem *problem)
{
	free((char *)problem->text);
	free((char *)problem->hint);
	free((char *)problem->where);
}

void ks_notice(struct ks_ctx *ctx, int status, const char *where, const char *hint, const char *format, ...)
{
	struct ks_problem *problem;
	char text[FRAME];
	va_list values;

	/* What a key's own thread has to say goes with the failure; the list belongs to the context's thread. */
	if (!ctx || aside ||
	    ks_array_grow(&ctx->notices, &ctx->notice_capacity, ctx->notice_count + 1, sizeof(*ctx->notices)))
		return;
	va_start(values, format);
	put(text, format, values);
	va_end(values);
	problem = &ctx->notices[ctx->notice_count];
	*problem = (struct ks_problem){ status, strdup(text), strdup(hint ? hint : ""), strdup(where ? where : "") };
	if (problem->text && problem->hint && problem->where)
		ctx->notice_count++;
	else
		problem_clear(problem);
}

const struct ks_problem *ks_ctx_notice(const struct ks_ctx *ctx, size_t n)
{
	return n < ctx->notice_count ? &ctx->notices[n] : NULL;
}

/* ---- life ---- */

/*
 * The secure heap belongs to the process, not to a context: the first context starts it and it is never ended, because another
 * user of libcrypto in the same program may have put something there. A host that refuses locked memory still gets a heap that
 * is wiped and left out of core dumps; that is said once.
 */
static int secure_heap_start(struct ks_ctx *ctx)
{
	int locked;

	if (CRYPTO_secure_malloc_initialized())
		return 0;
	locked = CRYPTO_secure_malloc_init(SECURE_HEAP, 16);
	if (locked == 0)
		return KS_EBUG;
	if (locked == 2)
		ks_notice(ctx, KS_ELIMIT, NULL, "raise the limit for locked memory (ulimit -l)",
			  "secrets cannot be locked in memory here and might reach the swap space");
	return 0;
}

static void settings_fill(struct ks_settings *settings)
{
	if (!settings->wait_seconds)
		settings->wait_seconds = 30;
	if (!settings->call_deadline_ms)
		settings->call_deadline_ms = 30 * 1000;
	if (!settings->long_deadline_ms)
		settings->long_deadline_ms = 600 * 1000;
	for (int i = 0; i < KS_DEADLINES; i++) {
		if (!settings->deadline_ms[i])
			settings->deadline_ms[i] = i < KS_DEADLINE_MAKE ? settings->call_deadline_ms
									: settings->long_deadline_ms;
	}
	if (!settings->max_iterations)
		settings->max_iterations = 10 * 1000 * 1000;
	if (!settings->max_file)
		settings->max_file = (size_t)64 << 20;
}

static int settings_copy(struct ks_ctx *ctx, const struct ks_settings *settings)
{
	if (settings)
		ctx->settings = *settings;
	settings_fill(&ctx->settings);
	if (ctx->settings.state_dir && !(ctx->settings.state_dir = ctx->state_dir = strdup(ctx->settings.state_dir)))
		return KS_ENOMEM;
	if (ctx->settings.module && !(ctx->settings.module = ctx->module = strdup(ctx->settings.module)))
		return KS_ENOMEM;
	if (ctx->settings.engine && !(ctx->settings.engine = ctx->engine = strdup(ctx->settings.engine)))
		return KS_ENOMEM;
	return 0;
}

static void ctx_destroy(struct ks_ctx *ctx)
{
	while (ctx->kept_count) {
		struct kept kept = ctx->kept[--ctx->kept_count];

		if (kept.end)
			kept.end(ctx, kept.state);
	}
	OSSL_PROVIDER_unload(ctx->legacy_provider);
	OSSL_PROVIDER_unload(ctx->legacy_default);
	OSSL_LIB_CTX_free(ctx->legacy);
	OSSL_PROVIDER_unload(ctx->crypto_default);
	OSSL_LIB_CTX_free(ctx->crypto);
	for (size_t i = 0; i < ctx->notice_count; i++)
		problem_clear(&ctx->notices[i]);
	free(ctx->notices);
	free(ctx->kept);
	free(ctx->state_dir);
	free(ctx->module);
	free(ctx->engine);
	pthread_mutex_destroy(&ctx->asking);
	free(ctx);
}

/* Recursive, because a host that is asked for a PIN may have to ask for the password of the file that holds it. */
static void asking_start(struct ks_ctx *ctx)
{
	pthread_mutexattr_t kind;

	pthread_mutexattr_init(&kind);
	pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&ctx->asking, &kind);
	pthread_mutexattr_destroy(&kind);
}

int ks_ctx_new(struct ks_ctx **out, const struct ks_settings *settings)
{
	struct ks_ctx *ctx = calloc(1, sizeof(*ctx));
	int rc;

	if (!ctx)
		return KS_ENOMEM;
	asking_start(ctx);
	rc = secure_heap_start(ctx);
	if (rc == 0)
		rc = settings_copy(ctx, settings);
	if (rc < 0) {
		ctx_destroy(ctx);
		return rc;
	}
	*out = ctx;
	return 0;
}

int ks_ctx_free(struct ks_ctx *ctx)
{
	if (!ctx)
		return 0;
	if (ctx->users)
		return ks_fail(ctx, KS_EBUSY, "%zu stores, sets or keys made with this context are still in use",
			       (size_t)ctx->users);
	ctx_destroy(ctx);
	return 0;
}

void ks_ctx_use(struct ks_ctx *ctx)
{
	ctx->users++;
}

void ks_ctx_unuse(struct ks_ctx *ctx)
{
	ctx->users--;
}

void *ks_ctx_kept(const struct ks_ctx *ctx, const void *key)
{
	for (size_t i = 0; i < ctx->kept_count; i++) {
		if (ctx->kept[i].key == key)
			return ctx->kept[i].state;
	}
	return NULL;
}

int ks_ctx_keep(struct ks_ctx *ctx, const void *key, void *state, void (*end)(struct ks_ctx *ctx, void *state))
{
	if (ks_array_grow(&ctx->kept, &ctx->kept_capacity, ctx->kept_count + 1, sizeof(*ctx->kept)))
		return ks_nomem(ctx);
	ctx->kept[ctx->kept_count++] = (struct kept){ key, state, end, NULL };
	return 0;
}

void ks_ctx_keep_forked(struct ks_ctx *ctx, const void *key, int (*forked)(struct ks_ctx *ctx, void *state))
{
	for (size_t i = 0; i < ctx->kept_count; i++) {
		if (ctx->kept[i].key == key)
			ctx->kept[i].forked = forked;
	}
}

int ks_after_fork(struct ks_ctx *ctx)
{
	int first = 0;

	asking_start(ctx);
	for (size_t i = 0; i < ctx->kept_count; i++) {
		int rc = ctx->kept[i].forked ? ctx->kept[i].forked(ctx, ctx->kept[i].state) : 0;

		first = first ? first : rc;
	}
	return first;
}

void *ks_ctx_keep_new(struct ks_ctx *ctx, const void *key, size_t size, void (*end)(struct ks_ctx *ctx, void *state))
{
	void *state = ks_ctx_kept(ctx, key);

	if (state)
		return state;
	state = calloc(1, size);
	if (!state) {
		ks_nomem(ctx);
		return NULL;
	}
	if (ks_ctx_keep(ctx, key, state, end) < 0) {
		free(state);
		return NULL;
	}
	return state;
}

/* ---- settings, budgets, hooks ---- */

const struct ks_settings *ks_settings(const struct ks_ctx *ctx)
{
	return &ctx->settings;
}

int ks_spend(struct ks_ctx *ctx, uint64_t rounds, const char *what)
{
	if (rounds > ctx->settings.max_iterations || ctx->spent > ctx->settings.max_iterations - rounds)
		return ks_hint(ctx,
			       ks_fail(ctx, KS_ELIMIT,
				       "%s wants %llu key derivation rounds; the limit for one command is %llu, and "
				       "%llu are spent",
				       what, (unsigned long long)rounds,
				       (unsigned long long)ctx->settings.max_iterations,
				       (unsigned long long)ctx->spent),
			       "if you trust the file, raise the limit with --max-iterations");
	ctx->spent += rounds;
	return 0;
}

int ks_ask(struct ks_ctx *ctx, const struct ks_question *question, struct ks_secret *into)
{
	const struct ks_hooks *hooks = &ctx->settings.hooks;
	int rc;

	if (!hooks->ask)
		return ks_fail(ctx, KS_ENOSECRET, "%s needs a PIN or password, and there is nobody to ask",
			       question->store);
	ks_forgive(ctx);
	pthread_mutex_lock(&ctx->asking);
	rc = hooks->ask(hooks->user, ctx, question, into);
	pthread_mutex_unlock(&ctx->asking);
	if (rc < 0 && words_of(ctx)->status == 0)
		ks_fail(ctx, rc, "%s: %s", question->store, ks_status_title(rc));
	return rc;
}

int ks_progress(struct ks_ctx *ctx, const char *doing, uint64_t done, uint64_t total)
{
	const struct ks_hooks *hooks = &ctx->settings.hooks;
	int stop;

	if (!hooks->progress)
		return 0;
	pthread_mutex_lock(&ctx->asking);
	stop = hooks->progress(hooks->user, doing, done, total);
	pthread_mutex_unlock(&ctx->asking);
	if (stop)
		return ks_fail(ctx, KS_ECANCELLED, "%s was stopped on request", doing);
	return 0;
}

void ks_trace(struct ks_ctx *ctx, const struct ks_trace *event)
{
	const struct ks_hooks *hooks = &ctx->settings.hooks;

	if (hooks->trace)
		hooks->trace(hooks->user, event);
}

/* ---- OpenSSL, kept to ourselves ---- */

OSSL_LIB_CTX *ks_crypto(struct ks_ctx *ctx)
{
	if (!ctx->crypto) {
		ctx->crypto = OSSL_LIB_CTX_new();
		if (ctx->crypto)
			ctx->crypto_default = OSSL_PROVIDER_load(ctx->crypto, "default");
	}
	return ctx->crypto;
}

OSSL_LIB_CTX *ks_crypto_legacy(struct ks_ctx *ctx)
{
	if (ctx->legacy_tried)
		return ctx->legacy_provider ? ctx->legacy : NULL;
	ctx->legacy_tried = true;
	ctx->legacy = OSSL_LIB_CTX_new();
	if (!ctx->legacy)
		return NULL;
	ctx->legacy_default = OSSL_PROVIDER_load(ctx->legacy, "default");
	ctx->legacy_provider = OSSL_PROVIDER_load(ctx->legacy, "legacy");
	ERR_clear_error();
	return ctx->legacy_provider ? ctx->legacy : NULL;
}
