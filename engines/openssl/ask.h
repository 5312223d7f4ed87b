/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the provider gets a PIN or password from: a file that the address or openssl.cnf names, else the host's own callback.
 */
#ifndef OPENSSL_ASK_H
#define OPENSSL_ASK_H

#include "instance.h"

/* For this thread, until the next call: whom to ask. NULL = nobody. */
void ask_through(OSSL_PASSPHRASE_CALLBACK *callback, void *arg);
/* ks_hooks.ask; `user` is the instance. */
int ask_host(void *user, struct ks_ctx *ctx, const struct ks_question *question, struct ks_secret *into);

#endif
