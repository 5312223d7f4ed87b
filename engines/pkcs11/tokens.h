/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens as devices, without opening one as a store: which are there, and what each says of itself.
 */
#ifndef KS_PKCS11_TOKENS_H
#define KS_PKCS11_TOKENS_H

#include "candidate.h"
#include "where.h"

/* Strings are UTF-8, trimmed, safe to show only after escaping. */
struct ks_token {
	char *uri; /* canonical: token, serial, manufacturer, model */
	char *label, *serial, *manufacturer, *model;
	char *module; /* its file, or p11-kit's name for it when p11-kit is configured for it */
	char *module_file, *init_args; /* what another program loads, and how; init_args NULL = with nothing */
	bool isolated; /* the configuration wants the module in a process of its own */
	unsigned long slot;
	bool initialized, login_required, user_pin_set, write_protected, pin_pad;
	bool pin_low, pin_last, pin_locked;
	bool so_pin_low, so_pin_last, so_pin_locked;
	unsigned long pin_min, pin_max;
	char firmware[8], hardware[8];
	char **mechanisms; /* NULL-ended names, when asked for */
	char **known; /* what is known of such devices, as sentences; NULL-ended */
	/* what is on it; filled in by ops */
	size_t keys, public_keys, certificates, others;
	char **orphans; /* half-made pairs: sentence + command that removes them; NULL-ended; NULL = not known */
};

/*
 * The tokens that `where` fits, NULL-ended; `where` NULL: all tokens of the configured modules, where a module that cannot be
 * asked becomes a notice. No session is opened and nothing is logged in. None at all is no failure.
 */
int ks_pkcs11_tokens(struct ks_token ***out, struct ks_ctx *ctx, const struct ks_where *where, bool mechanisms);
/* Each token, its strings, and the array. */
void ks_tokens_free(struct ks_token **tokens);

#endif
