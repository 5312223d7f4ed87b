/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens when a PKCS#11 module hangs or crashes: the command ends with a sentence, never with a signal.
 */
#ifndef CLI_WATCHDOG_H
#define CLI_WATCHDOG_H

#include <keystow/keystow.h>

/* Is told every call into a module, before and after, and tells it to the descriptor `trace`, unless that is -1. */
void watchdog_trace(const struct ks_trace *event, int trace);
/* The address that is being worked on: it names the token while the module has not told of one. */
void watchdog_about(const char *address);
/* Crashes inside a module end with exit 8 from now on, crashes of our own with 70. */
void watchdog_guard(void);
/* `say` is given a second, in the watching thread, to complete the answer before an overdue call ends the command. */
void watchdog_last_words(void (*say)(void *user, int status, const char *text, const char *hint), void *user);
/* The work is done and reported: whatever a module does while it is put away, the exit code is `code`. */
void watchdog_finishing(int code);

#endif
