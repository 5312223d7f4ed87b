/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A token looked at as a physician does: each check by itself, named, and with what it found. Nothing that is secret is looked at.
 */
#ifndef KS_PKCS11_EXAMINE_H
#define KS_PKCS11_EXAMINE_H

#include "context.h"
#include "where.h"

enum ks_level {
	KS_FACT,	/* so it is */
	KS_FINE,	/* as it should be */
	KS_CARE,	/* somebody should see to it */
};

struct ks_observation {
	enum ks_level level;
	const char *check;	/* "mechanisms"; static */
	char *text, *next;	/* next NULL = nothing is to be done */
};

struct ks_observations {
	struct ks_observation *list;
	size_t count, capacity;
};
void ks_observations_clear(struct ks_observations *observations);
int ks_observation_add(struct ks_observations *observations, enum ks_level level, const char *check, const char *next,
		       const char *format, ...) __attribute__((format(printf, 5, 6)));

enum ks_examine {
	KS_EXAMINE_LOGIN = 1,	/* see private objects too */
	KS_EXAMINE_WRITE = 2,	/* make keys and remove them again, each told; logs in */
};
/* The one token that `where` means. A check that cannot be made is an observation; only a token that is not there at all is a failure. */
int ks_pkcs11_examine(struct ks_observations *into, struct ks_ctx *ctx, const struct ks_where *where, unsigned how);

#endif
