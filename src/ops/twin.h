/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two tokens for one service.
 *
 * A private key cannot leave its device, so two devices that stand in for each other have two keys, each certified for the same names
 * by the same CA. What the second lacks is computed from what is on both, and made by what enroll does. The first is only read.
 */
#ifndef KS_OPS_TWIN_H
#define KS_OPS_TWIN_H

#include "ca.h"
#include "certificate.h"

/* A private key of one side, with its certificate. */
struct ks_twin_key {
	const struct ks_entry *entry;	/* borrowed from its store */
	struct ks_generate like;	/* the wish that would make another like it */
};
struct ks_twin_side {
	struct ks_twin_key *keys;	/* by label */
	size_t count;
};

enum ks_twin_state {
	KS_TWIN_ALIKE,		/* both have it, each with a key of its own */
	KS_TWIN_LACKING,	/* the second has none, or not all of it: `steps` make it */
	KS_TWIN_OTHER,		/* the second has something else under that label; only with `replace` steps change it */
	KS_TWIN_APART,		/* it cannot have a twin: `why` */
	KS_TWIN_EXTRA,		/* only the second has it */
};
const char *ks_twin_state_name(enum ks_twin_state state); /* "alike", "lacking", ... */

enum ks_twin_step { KS_TWIN_GENERATE = 1, KS_TWIN_CERTIFY = 2 /* request, sign, install */ };

#define KS_TWIN_DIFFERENCES 8
struct ks_twin {
	char *label;				/* of the keys, a string; "" = none */
	const struct ks_twin_key *first, *second;	/* NULL = none there */
	enum ks_twin_state state;
	unsigned steps;				/* enum ks_twin_step: what is to be done on the second */
	struct ks_generate make;		/* the key that is to be made */
	char *why;				/* NULL when alike, lacking or extra says enough */
	char *differences[KS_TWIN_DIFFERENCES + 1];	/* sentences about twins that are not alike in all; NULL-ended */
	struct ks_certificate_facts facts;	/* of the first's certificate; subject.data NULL = it has none */
	struct ks_altnames names;
	const struct ks_profile *profile;	/* what the CA signs it by, once ks_twins_certify knows; borrowed from the twins */
	unsigned done;				/* steps that ks_twins_apply did */
};

struct ks_twins {
	struct ks_ctx *ctx;
	struct ks_store *second;
	struct ks_twin_side first_side, second_side;
	struct ks_twin *rows;			/* by label */
	size_t count;
	struct ks_profile **profiles;
	size_t profile_count;
};

/* What the plan and the signing depend on. */
struct ks_twin_wish {
	int64_t now;
	const char *profile;		/* for certificates that the CA's database does not have; NULL = none */
	unsigned days;			/* 0 = the profile's */
	bool replace, allow_extractable;
};

/* Looks at both tokens (open, logged in; they outlive the twins), or at one entry of the first. Nothing is compared yet. */
int ks_twins_new(struct ks_twins **out, struct ks_store *first, struct ks_store *second, const struct ks_entry *only);
void ks_twins_free(struct ks_twins *twins);
KS_FREES(twins)
/* Compares; only values, nothing is asked of a token. */
int ks_twins_plan(struct ks_twins *twins, const struct ks_twin_wish *wish);
/*
 * What the CA has to say: the profile of each certificate that is to be made, from its database. Certificates of other CAs are apart.
 * KS_EUSAGE when a profile is not known, and refusals of profile, CA and token, before anything is changed.
 */
int ks_twins_certify(struct ks_twins *twins, struct ks_ca *ca, const struct ks_twin_wish *wish);
/* Does the steps, looks at the second again, and plans anew; rows tell what was done. */
int ks_twins_apply(struct ks_twins *twins, struct ks_ca *ca, const struct ks_twin_wish *wish);
/* Has each key of the first its twin, or with `planned` will it have it after the steps? */
bool ks_twins_alike(const struct ks_twins *twins, bool planned);

#endif
