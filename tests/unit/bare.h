/* SPDX-License-Identifier: Apache-2.0 */
/* A context without settings, fresh for each test; its end fails when a set, an item or a store was forgotten. */
#ifndef KS_TEST_BARE_H
#define KS_TEST_BARE_H

#include "context.h"

static struct ks_ctx *ctx;

static int start(void **state)
{
	(void)state;
	return ks_ctx_new(&ctx, NULL);
}

static int finish(void **state)
{
	(void)state;
	return ks_ctx_free(ctx);
}

#endif
