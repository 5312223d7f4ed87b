/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a PIN or password comes from: prompt, file:PATH, fd:N, env:NAME, cmd:COMMAND, stash:PATH.
 */
#ifndef CLI_SECRETS_H
#define CLI_SECRETS_H

#include "run.h"
#include "secret.h"

/* The ask hook of ks_settings; `user` is the run. */
int secrets_ask(void *user, struct ks_ctx *ctx, const struct ks_question *question, struct ks_secret *into);
/* The same for a command that needs a secret itself; *out is new. */
int secrets_get(struct ks_secret **out, struct run *run, const struct ks_question *question);
/* All of a small file that others may not read, lines and all; *out is new. */
int secrets_file(struct ks_secret **out, struct run *run, const char *path);
/* 0, or KS_EUSAGE with "did you mean" when `source` is no source; NULL is fine. */
int secrets_check(struct ks_ctx *ctx, const char *source);
/* Would both give the same secret without anybody being asked? NULL is the same as nothing. */
bool secrets_same(const char *one, const char *other);
/* Wipes what was read once and kept (fd:, env:). */
void secrets_end(void);

#endif
