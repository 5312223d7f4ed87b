/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Initialising tokens and setting PINs.
 */
#ifndef KS_P11_ADMIN_H
#define KS_P11_ADMIN_H

#include "engine.h"
#include "session.h"

/* Secrets that are not given are asked for, unless the token has a pad of its own. */
int ks_p11_admin(struct ks_p11_token *token, const struct ks_where *where, const struct ks_admin *admin);

#endif
