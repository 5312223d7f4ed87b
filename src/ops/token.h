/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens as devices: which are there, what each says of itself, initialising, PINs.
 */
#ifndef KS_OPS_TOKEN_H
#define KS_OPS_TOKEN_H

#include "store.h"
#include "pkcs11/bench.h"
#include "pkcs11/examine.h"
#include "pkcs11/tokens.h"

enum ks_look {
	KS_LOOK_DEEP = 1,	/* without login: private objects stay unseen, so halves of key pairs cannot be told */
	KS_LOOK_LOGIN = 2,	/* with DEEP and an address that fits one token: logs in, so that everything is seen */
};
/* `where` NULL: all tokens of the configured modules (each module that cannot be asked becomes a notice). NULL-ended. */
int ks_tokens(struct ks_token ***out, struct ks_ctx *ctx, const struct ks_where *where, unsigned look);

enum ks_by {
	KS_BY_KIND = 1,
	KS_BY_ID = 2,
	KS_BY_LABEL = 4,
};
/* The address of a key on the token whose address is `token`, of an entry of it too, by what of these the key has (enum ks_by). New string. */
int ks_object_address(char **out, const char *token, const struct ks_item *item, unsigned by);

/* Looks at the one token that `where` means, check by check; `how`: enum ks_examine. What was found before a failure is in `into`. */
int ks_token_examine(struct ks_observations *into, struct ks_ctx *ctx, const struct ks_where *where, unsigned how);

/* Measures the one token that `where` means; see ks_pkcs11_bench. */
int ks_token_bench(struct ks_measures *into, struct ks_ctx *ctx, const struct ks_where *where,
		   const struct ks_bench_wish *wish);

#endif
