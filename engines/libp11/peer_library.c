/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding libp11 and its functions, once in a process.
 */
#include "peer_library.h"

#include "library.h"

#include <pthread.h>

#define LIBRARY "libp11.so.3"

struct ks_libp11 ks_libp11;

static const struct ks_symbol symbols[] = {
#define ROW(name) { "PKCS11_" #name, offsetof(struct ks_libp11, name) },
	KS_LIBP11_FUNCTIONS(ROW)
#undef ROW
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool loaded;
static char why[KS_LIBRARY_WHY];

static void load(void)
{
	loaded = ks_library_load(&ks_libp11, LIBRARY, symbols, sizeof(symbols) / sizeof(symbols[0]), why);
}

int ks_libp11_load(struct ks_ctx *ctx)
{
	int rc;

	pthread_once(&once, load);
	if (loaded)
		return 0;
	rc = ks_fail(ctx, KS_EUNABLE, "the engine libp11 needs libp11, and " LIBRARY " cannot be loaded");
	ks_cause(ctx, rc, "%s", why);
	return ks_hint(ctx, rc, "install it (libp11-3 on Debian and Ubuntu), or leave --engine libp11 out");
}
