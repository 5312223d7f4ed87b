/* SPDX-License-Identifier: Apache-2.0 */
/* Which token a command about devices means. */
#ifndef CLI_TOKEN_WHERE_H
#define CLI_TOKEN_WHERE_H

#include "run.h"
#include "token.h"

/* The first operand as a token's address; `source` (may be NULL) counts unless the address names a source of its own. */
int token_where(struct ks_where **out, struct run *run, const char *source);
/* The one token that it fits, as the first of a list that is freed with ks_tokens_free. KS_ENOTOKEN, KS_EAMBIGUOUS. */
int token_the_one(struct ks_token ***out, struct run *run, const struct ks_where *where);

#endif
