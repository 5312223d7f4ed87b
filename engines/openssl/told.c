/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Failures on their way out. A reason is minus a status, so that `openssl errstr` and keystow(1) have the same numbers.
 */
#include "told.h"

#include <openssl/err.h>

#include <stdarg.h>
#include <stdio.h>

#define REASONS 128
#define SENTENCE 8192

static OSSL_ITEM reasons[REASONS + 1];
static pthread_once_t reasons_once = PTHREAD_ONCE_INIT;

static void reasons_fill(void)
{
	int status;

	for (size_t n = 0; n < REASONS && (status = ks_status_nth(n)) != KS_OK; n++)
		reasons[n] = (OSSL_ITEM){ (unsigned)-status, (void *)ks_status_title(status) };
}

const OSSL_ITEM *told_reasons(void)
{
	pthread_once(&reasons_once, reasons_fill);
	return reasons;
}

static void put(struct instance *instance, int status, const char *format, va_list values)
{
	if (!instance->new_error || !instance->vset_error)
		return;
	instance->new_error(instance->core);
	if (instance->set_error_debug)
		instance->set_error_debug(instance->core, "keystow", 0, NULL);
	instance->vset_error(instance->core, (uint32_t)-status, format, values);
}

void told_sentence(struct instance *instance, int status, const char *format, ...)
{
	va_list values;

	va_start(values, format);
	put(instance, status, format, values);
	va_end(values);
}

void told(struct instance *instance, struct ks_ctx *ctx)
{
	const char *hint = ks_ctx_hint(ctx), *causes = ks_ctx_causes(ctx);

	told_sentence(instance, ks_ctx_status(ctx), "%s%s%s%s%s%s", ks_ctx_text(ctx), causes[0] ? " (" : "", causes,
		      causes[0] ? ")" : "", hint[0] ? "; next: " : "", hint);
}

void told_begin(void)
{
	ERR_set_mark();
}

/* A key of libkeystow leaves an error whose reason is minus a status, in a library number without a name. */
void told_end(struct instance *instance, bool ok)
{
	const char *words = NULL;
	char sentence[SENTENCE];
	int flags = 0, status;
	unsigned long error;

	if (ok) {
		ERR_pop_to_mark();
		return;
	}
	error = ERR_peek_last_error_all(NULL, NULL, NULL, &words, &flags);
	if (error == 0 || ERR_GET_LIB(error) < ERR_LIB_USER || !(flags & ERR_TXT_STRING)) {
		ERR_clear_last_mark();
		return;
	}
	status = -ERR_GET_REASON(error);
	snprintf(sentence, sizeof(sentence), "%s", words);
	ERR_pop_to_mark();
	told_sentence(instance, status, "%s", sentence);
}
