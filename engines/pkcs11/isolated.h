/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A module in a process of its own (`load = isolated`): p11-kit's client speaks to `p11-kit remote MODULE` over a pair of sockets.
 *
 * When the module crashes, its process is gone and the calls answer with a failure; ours goes on. What it costs: a few milliseconds
 * at the start, and the mechanisms that p11-kit's remoting does not know, which it hides (0.24: EdDSA).
 */
#ifndef KS_P11_ISOLATED_H
#define KS_P11_ISOLATED_H

#include "calls.h"

/*
 * The function list of the client for the module's file, which was checked already. The client takes the command from a variable of
 * the environment (P11_KIT_SERVER_ADDRESS), which is set for this one moment and then as it was.
 */
int ks_p11_isolated_list(CK_FUNCTION_LIST **out, struct ks_ctx *ctx, const struct ks_p11_module *module);

#endif
