/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens as devices: which are there, what each says of itself, initialising, PINs.
 */
#ifndef KS_OPS_TOKEN_H
#define KS_OPS_TOKEN_H

#include "store.h"

/* Strings are UTF-8, trimmed, safe to show only after escaping. */
struct ks_token {
	char *uri;		/* canonical: token, serial, manufacturer, model */
	char *label, *serial, *manufacturer, *model, *module;
	unsigned long slot;
	bool initialized, login_required, user_pin_set, write_protected, pin_pad;
	bool pin_low, pin_last, pin_locked;
	bool so_pin_low, so_pin_last, so_pin_locked;
	unsigned long pin_min, pin_max;
	char firmware[8], hardware[8];
	/* with `deep`: what it can do, and what is on it without login */
	char **mechanisms;	/* NULL-ended names */
	size_t keys, public_keys, certificates, others;
	char **orphans;		/* half-made or unpaired objects: sentence + command that removes them; NULL-ended */
};
/* `where` NULL: all tokens of the configured modules (each module that cannot be asked becomes a notice). */
int ks_tokens(struct ks_token ***out, struct ks_ctx *ctx, const struct ks_where *where, bool deep);
void ks_tokens_free(struct ks_token **tokens);

#endif
