/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The answer on standard output: lines and tables for people, or one JSON document for programs.
 *
 * The document is written as it grows, entry by entry, and knows which brackets are open: whatever happens on the
 * way, out_end leaves a complete document. Nothing that came from outside reaches the stream with a raw control byte:
 * JSON is written in ASCII with escapes, text goes through ks_text_shown.
 */
#ifndef CLI_OUT_H
#define CLI_OUT_H

#include "mem.h"

#include <jansson.h>
#include <stdio.h>

struct out {
	FILE *to;
	bool json, quiet;
	const char *command; /* for the document */
	bool begun, ended;
	char open[12]; /* closing brackets that are owed */
	bool filled[12]; /* something stands inside that bracket */
	size_t depth;
	json_t *problems;
	int status; /* KS_EFULL or KS_EIO when the stream could not take it all */
	int error; /* its errno */
};

/* ---- JSON: these do nothing when text is wanted; `key` NULL inside a list ---- */
void out_open(struct out *out, const char *key, char bracket);
void out_close(struct out *out);
/* Takes `value`; NULL is skipped. */
void out_value(struct out *out, const char *key, json_t *value);
void out_string(struct out *out, const char *key, const char *text); /* NULL text is skipped */
void out_number(struct out *out, const char *key, long long number);
/* A value for bytes that ought to be text: the string, or NULL when they are not UTF-8. */
json_t *out_utf8(struct ks_bytes bytes);
/* Sets `label`, or `label_hex` when the bytes are not UTF-8; nothing when absent. */
void out_set_label(json_t *object, const char *key, struct ks_bytes label);
void out_set_hex(json_t *object, const char *key, struct ks_bytes bytes);
void out_set_text(json_t *object, const char *key, const char *text);
void out_set_time(json_t *object, const char *key, int64_t seconds);
void out_problem(struct out *out, int status, const char *text, const char *hint, const char *where);

/* ---- text: these do nothing when JSON or quiet is wanted ---- */
void out_line(struct out *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- bytes as they are (a PEM block asked for on standard output); neither JSON nor escaped ---- */
void out_raw(struct out *out, struct ks_bytes bytes);

/* Completes the document, flushes, and tells whether all of it was taken: 0, KS_EFULL, KS_EIO. */
int out_end(struct out *out);
void out_free(struct out *out);

#endif
