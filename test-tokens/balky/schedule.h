/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When balky misbehaves: the file named by BALKY_SCHEDULE, one row per line, `#` starts a comment.
 *
 *	FUNCTION NTH ACTION [VALUE]
 *
 * FUNCTION is a Cryptoki name or `*` for whatever call; NTH counts from 1, per function (for `*`: over all calls of the
 * process), as `3`, `3+` (from the third on) or `*` (always). When the module was finalised and is loaded again, the file is read
 * and all is counted anew. The actions stand in schedule.c's table.
 */
#ifndef BALKY_SCHEDULE_H
#define BALKY_SCHEDULE_H

#include <p11-kit/pkcs11.h>

#include <stdbool.h>
#include <stddef.h>

enum function {
#define PLAIN(name, session, params, args) F_##name,
#define TOLD PLAIN
#include "calls.h"
#undef PLAIN
#undef TOLD
	FUNCTIONS,
	ANY_FUNCTION = FUNCTIONS,
};

enum action {
	A_ANSWER, /* CKR: answered instead of the module */
	A_AFTER, /* CKR: answered although the module did it */
	A_SLEEP, /* milliseconds, then goes on */
	A_HANG, /* for ever */
	A_KILL_BEFORE, /* kill -9 of the own process */
	A_KILL_AFTER,
	A_PIPE, /* a write to a connection that is gone, and the signal for it; then goes on */
	A_CRASH, /* a memory fault inside the module */
	A_LENGTH, /* number: told as the length or count of the result */
	A_GROW, /* number: added to the true length, once more per call */
	A_ENDLESS, /* a search that always finds one more (the first object again) */
	A_WIDE, /* a search that ignores what was asked for and gives every object */
	A_OVER, /* number: a search says it gave so many more than there was room for */
	A_GARBAGE, /* a signature of the right length that is none */
	A_DROP, /* attribute type: not there */
	A_HALF, /* `public` or `private`: only that half of a new pair stays, and CKR_GENERAL_ERROR */
	A_FLAGS, /* names joined by |: set in the token's flags */
	A_TRIES, /* number: wrong PINs until the token locks, with the flags that go with it */
	A_SILENT, /* no flag of the token tells of tries */
	A_PIN_PAD, /* PIN: the token has a protected authentication path; a NULL PIN means this one */
	A_ALWAYS, /* PIN: private keys want a context-specific login for each signature */
	A_NULL, /* the function is missing from the list */
	A_VERSION, /* MAJOR.MINOR of the function list */
	A_VALUE, /* TYPE=HEX: these bytes, for every object that has this attribute */
	A_SIZE, /* TYPE=number: told as the length of this attribute alone */
	A_FIELD, /* NAME=HEX: what the token says of itself; label, manufacturer, model or serial */
	A_CLEAR, /* names joined by |: taken from the token's flags */
	A_MADE_UP, /* number: a list of so many things that do not exist */
	A_FIRST, /* number: told as the handle, or as the first of the list */
	A_TWICE, /* a search that gives everything twice */
	A_BACKWARDS, /* a search that gives the last object first */
	A_ALTER, /* attribute type: what is stored differs from what was given in one byte */
	A_PRETEND, /* success and a handle, but nothing is done */
	A_OTHER, /* a signature of another text; a public key of another pair */
	A_ZERO, /* a signature of zeros */
	A_DER, /* a signature in DER instead of two bare numbers */
	A_STATE, /* number: the state of the session */
	A_EXIT, /* code: the module ends the process by exit() */
	A_DEED, /* a name of deeds.c: what is done to the process before the call goes on */
};

#define ROWS 64
#define MATCHES 8

struct row {
	enum function function;
	unsigned long from, to;
	enum action action;
	char value[1200];
	unsigned long number;
};

/* Reads the schedule; absent = no rows. A row that is not understood ends the process loudly: a test must not pass by it. */
void schedule_read(void);
/* Rows for the nth call of `function`, which is the `overall`th of all; at most MATCHES. */
size_t schedule_match(const struct row *found[MATCHES], enum function function, unsigned long nth,
		      unsigned long overall);
/* The first row of that action, whatever its function and turn; NULL = none. */
const struct row *schedule_any(enum action action);
/* The first row of that action for that function; NULL = none. */
const struct row *schedule_of(enum action action, enum function function);
const char *function_name(enum function function);

#endif
