/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The context as the environment, the configuration and the options want it. The library reads none of these itself.
 */
#ifndef CLI_SETTINGS_H
#define CLI_SETTINGS_H

#include "run.h"

/* Makes run->ctx. KS_ECONFIG with file and line; run->ctx may be there on failure, with the words. */
int settings_apply(struct run *run);
/* The folder of the CA that --ca names: a folder, @name of [ca name], or the configuration's default. New string. */
int settings_ca(char **out_dir, const char **out_pin_source, struct run *run);

#endif
