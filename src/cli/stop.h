/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ending on request: SIGINT, SIGTERM and SIGHUP while tokens are in use.
 *
 * A command that is killed beside a token leaves it logged in and its sessions open, which some devices count, and a pair of keys half
 * made. So the first signal only says that it is time: no further call is begun but those that take back and put away, and the command
 * ends with exit 4. A second signal ends it at once. Where no token is in use signals do what they always do; a store changes in one step.
 */
#ifndef CLI_STOP_H
#define CLI_STOP_H

/* Signals are listened to from now on; calling it again does nothing. */
void stop_listen(void);
/* Not 0 once a signal has come; for ks_settings.stop. */
extern volatile int stop_wanted;

#endif
