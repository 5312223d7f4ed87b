/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terminal: may we ask, the asking itself, progress, and colour.
 */
#ifndef CLI_TERM_H
#define CLI_TERM_H

#include "secret.h"

#include <stdio.h>

/* A person is there: one of the standard streams is a terminal, and it can be opened. */
bool term_present(void);
/* Asks without echo on the terminal itself; `fresh` asks twice. KS_ENOSECRET without a terminal, KS_ECANCELLED. */
int term_ask(struct ks_ctx *ctx, struct ks_secret *into, const char *prompt, bool fresh);

/* The progress hook of ks_settings: shown on a terminal once the work has taken half a second. Never cancels. */
int term_progress(void *user, const char *doing, uint64_t done, uint64_t total);
/* Takes the progress line away, before anything else is said on standard error. */
void term_progress_clear(void);

/* May this stream carry colour (terminal, NO_COLOR, CLICOLOR_FORCE)? */
bool term_colour(FILE *stream);

#endif
