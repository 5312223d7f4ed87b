/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of an examination: the device, what is on it, what it makes.
 */
#ifndef KS_P11_EXAMINE_INSIDE_H
#define KS_P11_EXAMINE_INSIDE_H

#include "examine.h"
#include "session.h"

/* A check that failed is told by the words of the failure and by what to do next, and the failure is over. */
int ks_observation_failure(struct ks_observations *observations, enum ks_level level, const char *check,
			   struct ks_ctx *ctx, const char *what);
/* What the device says of itself, how many sessions it opens. */
int ks_p11_examine_device(struct ks_observations *into, struct ks_p11_token *token);
/* What is on it, by the snapshot, which is made anew and timed. */
int ks_p11_examine_objects(struct ks_observations *into, struct ks_p11_token *token);
/* Which keys it makes, by making each and removing it again. The user is logged in and the snapshot is there. */
int ks_p11_examine_making(struct ks_observations *into, struct ks_p11_token *token);

#endif
