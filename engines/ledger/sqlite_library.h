/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQLite, loaded when the first ledger is opened. Only a CA has a ledger; every other command would pay for SQLite and libm at its
 * start: a third of a millisecond, of five that a whole merge takes.
 */
#ifndef KS_SQLITE_LIBRARY_H
#define KS_SQLITE_LIBRARY_H

#include "context.h"

#include <sqlite3.h>

/* What is called, with the types of the library's own header. */
#define KS_SQLITE_FUNCTIONS(FUNCTION)                                                                                  \
	FUNCTION(bind_blob)                                                                                            \
	FUNCTION(bind_blob64)                                                                                          \
	FUNCTION(bind_int64)                                                                                           \
	FUNCTION(bind_text)                                                                                            \
	FUNCTION(busy_timeout)                                                                                         \
	FUNCTION(changes)                                                                                              \
	FUNCTION(clear_bindings)                                                                                       \
	FUNCTION(close)                                                                                                \
	FUNCTION(column_blob)                                                                                          \
	FUNCTION(column_bytes)                                                                                         \
	FUNCTION(column_int64)                                                                                         \
	FUNCTION(column_text)                                                                                          \
	FUNCTION(errmsg)                                                                                               \
	FUNCTION(exec)                                                                                                 \
	FUNCTION(extended_result_codes)                                                                                \
	FUNCTION(finalize)                                                                                             \
	FUNCTION(get_autocommit)                                                                                       \
	FUNCTION(open_v2)                                                                                              \
	FUNCTION(prepare_v2)                                                                                           \
	FUNCTION(prepare_v3)                                                                                           \
	FUNCTION(reset)                                                                                                \
	FUNCTION(step)                                                                                                 \
	FUNCTION(system_errno)

struct ks_sqlite {
#define POINTER(name) __typeof__(sqlite3_##name) *name;
	KS_SQLITE_FUNCTIONS(POINTER)
#undef POINTER
};

/* Complete once ks_sqlite_load has returned 0, and never changed again. */
extern struct ks_sqlite ks_sqlite;

/* KS_EUNABLE: there is no SQLite here. */
int ks_sqlite_load(struct ks_ctx *ctx);

#endif
