/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What went wrong, in the words of keystow, where programs that use OpenSSL look for it: its error queue.
 */
#ifndef OPENSSL_TOLD_H
#define OPENSSL_TOLD_H

#include "instance.h"

/* The last failure of `ctx`: its sentence, and what to do next. */
void told(struct instance *instance, struct ks_ctx *ctx);
void told_sentence(struct instance *instance, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Around work that libkeystow's keys do: the sentence that they leave in the queue becomes one of this provider. */
void told_begin(void);
void told_end(struct instance *instance, bool ok);

/* Titles of all statuses, for OpenSSL's error strings. */
const OSSL_ITEM *told_reasons(void);

#endif
