/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One run of the program: what was typed, the context, the answer, and the failures on the way.
 *
 * A command returns 0, a KS_NO_... answer, or a failure whose words are in the context; main reports it. A command
 * over several stores reports each failure itself with run_failed and returns the first one in argument order.
 */
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include "args.h"
#include "context.h"
#include "out.h"

struct run {
	struct args args;
	const struct options *options; /* those of args */
	struct ks_ctx *ctx;
	struct out out;
	int first; /* the first failure that was reported, 0 = none */
	int no; /* the first KS_NO_... answer of a store, 0 = none */
	size_t told; /* notices that were told already */
	int trace; /* the descriptor that calls into modules are told to, -1 = none */
};

/* The n-th operand, counted from 0; NULL behind the last. */
const char *run_operand(const struct run *run, size_t n);
/* Tells the context's failure now (standard error, and the document's problems) and forgets it. Returns rc. */
int run_failed(struct run *run, int rc, const char *where);
/* Tells notices that came since the last time. */
void run_notices(struct run *run);
/* A remark for people that is no problem: not with -q; never on standard output. */
void run_say(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Something that is not in order and did not stop the work: a note on standard error, a problem of the document. */
void run_remark(struct run *run, int status, const char *text, const char *hint, const char *where);
/* One problem in words of its own, for what happens outside a context. */
void run_problem(struct run *run, int status, const char *text, const char *hint);

#endif
