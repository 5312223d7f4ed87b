/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call on its way through balky: counted, written to the file named by BALKY_LOG, and met by the rows of the schedule.
 *
 * The log has two lines per call, each one write() to a file opened for appending, so that a kill loses none and several
 * processes may share it. `n` counts all calls of the process, `nth` those of the function. PINs are never written.
 *
 *	> PID n C_Login nth TOKEN-LABEL user=1
 *	< PID n C_Login CKR-in-hex microseconds
 *
 * Between them a call that carries a PIN may say which one it was, as a digest that only tells PINs of a test apart:
 *
 *	= PID n digest
 */
#ifndef BALKY_CALL_H
#define BALKY_CALL_H

#include "schedule.h"

#include <time.h>

/* Not a CKR: nothing in the schedule answers for the module. */
#define FORWARD (~0UL)

struct call {
	enum function function;
	unsigned long nth, overall;
	struct timespec since;
	const struct row *rows[MATCHES];
	size_t row_count;
};

/* The module behind balky. */
extern CK_FUNCTION_LIST *real;

/* Counts, logs, and does what the schedule wants before the call: a CKR to answer at once, or FORWARD. */
CK_RV call_enter(struct call *call, enum function function, CK_SESSION_HANDLE session);
/* Logs which PIN the call carries; NULL = that of the token's own pad. */
void call_pin(const struct call *call, const CK_BYTE *pin, CK_ULONG size);
/* What the schedule wants after it. Gives what the caller shall see. */
CK_RV call_leave(const struct call *call, CK_RV rv);
/* Was the module finalised since this was asked last? Then all is counted anew. */
bool call_ended(void);
/* The row of that action that this call meets; NULL = none. */
const struct row *call_row(const struct call *call, enum action action);

#endif
