/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding SQLite and its functions, once in a process.
 */
#include "sqlite_library.h"

#include "library.h"

#include <pthread.h>

#define LIBRARY "libsqlite3.so.0"

struct ks_sqlite ks_sqlite;

static const struct ks_symbol symbols[] = {
#define ROW(name) { "sqlite3_" #name, offsetof(struct ks_sqlite, name) },
	KS_SQLITE_FUNCTIONS(ROW)
#undef ROW
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool loaded;
static char why[KS_LIBRARY_WHY];

static void load(void)
{
	loaded = ks_library_load(&ks_sqlite, LIBRARY, symbols, sizeof(symbols) / sizeof(symbols[0]), why);
}

int ks_sqlite_load(struct ks_ctx *ctx)
{
	int rc;

	pthread_once(&once, load);
	if (loaded)
		return 0;
	rc = ks_fail(ctx, KS_EUNABLE, "the ledger of the CA needs SQLite, and " LIBRARY " cannot be loaded");
	ks_cause(ctx, rc, "%s", why);
	return ks_hint(ctx, rc, "install SQLite 3.35 or newer; its package is libsqlite3-0 on Debian and Ubuntu");
}
