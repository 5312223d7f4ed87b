/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling people and programs what went wrong: one sentence, one hint, one code.
 */
#include "run.h"
#include "term.h"
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *run_operand(const struct run *run, size_t n)
{
	return n < run->args.operands.count ? run->args.operands.words[n] : NULL;
}

/* Words reach standard error escaped, whoever made them. */
static void say(const char *before, const char *text, const char *after)
{
	ks_auto_mem char *shown = ks_text_show(ks_bytes_of(text));

	fflush(stdout); /* where both streams go to one place, the order of what happened stays */
	fprintf(stderr, "%s%s%s\n", before, shown ? shown : ks_status_title(KS_ENOMEM), after);
}

static void say_lines(const char *before, const char *text)
{
	while (*text) {
		size_t length = strcspn(text, "\n");
		ks_auto_mem char *line = strndup(text, length);

		if (line)
			say(before, line, "");
		text += length + (text[length] == '\n');
	}
}

static void tell(struct run *run, const char *who, int status, const char *text, const char *hint)
{
	char code[24];

	term_progress_clear();
	snprintf(code, sizeof(code), " [KS-%04d]", -status);
	say(who, *text ? text : ks_status_title(status), code);
	if (hint && *hint && !run->options->quiet)
		say("  next: ", hint, "");
}

int run_failed(struct run *run, int rc, const char *where)
{
	bool worded = ks_ctx_status(run->ctx) == rc;
	const char *text = worded ? ks_ctx_text(run->ctx) : "", *hint = worded ? ks_ctx_hint(run->ctx) : "";

	if (run->first == 0)
		run->first = rc;
	if (worded || rc <= KS_EUSAGE) { /* a plain "no" has no sentence: the answer says it */
		tell(run, "keystow: ", rc, text, hint);
		out_problem(&run->out, rc, *text ? text : ks_status_title(rc), hint, where);
	}
	if (run->options->verbose)
		say_lines("  cause: ", ks_ctx_causes(run->ctx));
	ks_forgive(run->ctx);
	return rc;
}

void run_remark(struct run *run, int status, const char *text, const char *hint, const char *where)
{
	out_problem(&run->out, status, text, hint, where);
	if (!run->options->quiet)
		tell(run, "keystow: note: ", status, text, hint);
}

void run_notices(struct run *run)
{
	const struct ks_problem *notice;

	while ((notice = ks_ctx_notice(run->ctx, run->told)) != NULL) {
		run->told++;
		run_remark(run, notice->status, notice->text, notice->hint, notice->where);
	}
}

void run_say(struct run *run, const char *format, ...)
{
	ks_auto_mem char *line = NULL;
	va_list values;
	int size;

	if (run->options->quiet)
		return;
	va_start(values, format);
	size = vasprintf(&line, format, values);
	va_end(values);
	term_progress_clear();
	if (size >= 0)
		say("keystow: ", line, "");
}

void run_problem(struct run *run, int status, const char *text, const char *hint)
{
	tell(run, "keystow: ", status, text, hint);
	out_problem(&run->out, status, text, hint, NULL);
}
