/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole job: make the key if it is absent, request, sign, verify, write the certificate back, and look at the
 * result.
 *
 * Run again it continues where it stopped, or says that there is nothing to do.
 */
#ifndef KS_OPS_ENROLL_H
#define KS_OPS_ENROLL_H

#include "ca.h"

enum ks_enrolled { KS_ENROLL_NOTHING_TO_DO, KS_ENROLL_INSTALLED, KS_ENROLL_ISSUED };

struct ks_enroll_job {
	const char *label;
	const char *subject;			/* as it is typed; NULL: `name` is the subject */
	struct ks_bytes name;			/* DER of a Name */
	const struct ks_altnames *names;	/* NULL = none */
	const struct ks_generate *make;		/* kind, uses and guards of a key that is made; NULL = as the wish says */
	/* results */
	enum ks_enrolled result;
	bool made_key;
	struct ks_item *key, *certificate;	/* borrowed from the store until its next commit */
};
struct ks_enroll_wish {
	const struct ks_profile *profile;
	struct ks_keyspec spec;		/* UNKNOWN = the profile's */
	unsigned days;
	bool replace;
	bool allow_extractable;
	bool dry_run;			/* what can be refused before a key is made is refused; nothing else happens */
};
/*
 * Does all jobs on one open store (KS_WRITE | KS_LOGIN) with one CA, in groups, reporting progress. Stops at the
 * first failure; *done tells how many jobs are complete.
 */
int ks_enroll(size_t *done, struct ks_store *store, struct ks_ca *ca, const struct ks_enroll_wish *wish,
	      struct ks_enroll_job *jobs, size_t count);
/* Writes a certificate that came from elsewhere beside the key it belongs to (found by public key). KS_EMISMATCH says which
 * store entry it does fit, when it is known. */
int ks_install(struct ks_plan **plan, struct ks_store *store, struct ks_set *certificates, bool replace);

#endif
