/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which modules there are, and loading them: once for each context, ended by ks_ctx_free and by nobody else.
 */
#ifndef KS_P11_MODULE_H
#define KS_P11_MODULE_H

#include "calls.h"
#include "where.h"

/*
 * The modules that may hold what `where` means (NULL = whatever): the one that the address names, else the one of the settings or
 * the configuration, else all that p11-kit is configured for, where one that does not start becomes a notice. NULL-ended list,
 * freed with free(); the modules are borrowed until ks_ctx_free. KS_EMODULE.
 */
int ks_p11_modules(struct ks_p11_module ***out, struct ks_ctx *ctx, const struct ks_where *where);

#endif
