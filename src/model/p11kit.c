/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding p11-kit and its functions, once in a process.
 */
#include "p11kit.h"

#include "library.h"

#include <pthread.h>

#define LIBRARY "libp11-kit.so.0"

struct ks_p11kit ks_p11kit;

static const struct ks_symbol symbols[] = {
#define ROW(name) { "p11_kit_" #name, offsetof(struct ks_p11kit, name) },
	KS_P11KIT_FUNCTIONS(ROW)
#undef ROW
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool loaded;
static char why[KS_LIBRARY_WHY];

static void load(void)
{
	loaded = ks_library_load(&ks_p11kit, LIBRARY, symbols, sizeof(symbols) / sizeof(symbols[0]), why);
}

int ks_p11kit_load(struct ks_ctx *ctx)
{
	int rc;

	pthread_once(&once, load);
	if (loaded)
		return 0;
	rc = ks_fail(ctx, KS_EUNABLE, "tokens need p11-kit, and " LIBRARY " cannot be loaded");
	ks_cause(ctx, rc, "%s", why);
	return ks_hint(ctx, rc, "install p11-kit 0.24 or newer; its package is libp11-kit0 on Debian and Ubuntu");
}
