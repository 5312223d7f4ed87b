/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which keys a token makes. Each is made as keystow generate makes it, looked at, and removed at once; its label tells whose it is,
 * should the token be pulled out between.
 */
#include "examine_inside.h"

#include "keygen.h"
#include "put.h"

#include <stdio.h>
#include <time.h>

#define LABEL "keystow token doctor, test key"

static double milliseconds_since(const struct timespec *since)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - since->tv_sec) * 1000 + (double)(now.tv_nsec - since->tv_nsec) / 1e6;
}

/* The two objects that generating added last. */
static bool pair_remove(struct ks_p11_token *token, CK_SESSION_HANDLE session, size_t before)
{
	bool gone = true;

	while (ks_p11_snapshot_count(token) > before) {
		size_t count = ks_p11_snapshot_count(token);
		CK_OBJECT_HANDLE handle = ks_p11_snapshot_at(token, count - 1)->handle;

		gone = ks_p11_put_undo(token, session, handle);
		ks_p11_snapshot_drop(token, handle);
		if (!gone || ks_p11_snapshot_count(token) == count)
			return false;
	}
	return gone;
}

/* `flags` are those of the private key. */
static int making_told(struct ks_observations *into, unsigned flags, const char *title, double took, bool gone)
{
	bool guarded = flags & KS_SENSITIVE && !(flags & KS_EXTRACTABLE);

	return ks_observation_add(into, guarded ? KS_FINE : KS_FACT, "makes", NULL,
				  "%s in %.0f ms: made on the device %s, sensitive %s, extractable %s%s", title, took,
				  flags & KS_ORIGIN_UNKNOWN ? "not told"
				  : flags & KS_MADE_HERE    ? "yes"
							    : "no",
				  flags & KS_SENSITIVE ? "yes" : "no", flags & KS_EXTRACTABLE ? "yes" : "no",
				  gone ? "; removed again" : "");
}

static int kind_try(struct ks_observations *into, struct ks_p11_token *token, CK_SESSION_HANDLE session,
		    const char *kind)
{
	struct ks_generate wish = { .label = ks_bytes_of(LABEL), .allow_extractable = true };
	size_t before = ks_p11_snapshot_count(token);
	ks_auto(set) made = NULL;
	struct timespec since;
	char title[32], refused[64];
	unsigned flags;
	double took;
	bool gone;
	int rc = ks_keyspec_parse(&wish.spec, token->ctx, kind);

	if (rc == 0)
		rc = ks_set_new(&made, token->ctx);
	if (rc < 0)
		return rc;
	ks_keyspec_title(title, &wish.spec);
	clock_gettime(CLOCK_MONOTONIC, &since);
	rc = ks_p11_generate(token, session, made, &wish);
	if (rc < 0) {
		snprintf(refused, sizeof(refused), "%s: no", title);
		return ks_observation_failure(into, rc == KS_EUNABLE ? KS_FACT : KS_CARE, "makes", token->ctx, refused);
	}
	took = milliseconds_since(&since);
	flags = ks_p11_snapshot_at(token, ks_p11_snapshot_count(token) - 1)->flags;
	gone = pair_remove(token, session, before);
	rc = making_told(into, flags, title, took, gone);
	if (rc == 0 && !gone)
		rc = ks_observation_add(into, KS_CARE, "makes", "keystow list shows it, keystow remove removes it",
					"the test key \"%s\" could not be removed again", LABEL);
	return rc;
}

int ks_p11_examine_making(struct ks_observations *into, struct ks_p11_token *token)
{
	static const char *const kinds[] = { "rsa:2048", "p256", "p384", "p521", "ed25519", "ml-dsa-65" };
	CK_SESSION_HANDLE session;
	int rc = ks_p11_failed(token->ctx, &token->on, ks_p11_session_take(token, &session));

	if (rc < 0)
		return rc;
	for (size_t i = 0; rc == 0 && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		rc = kind_try(into, token, session, kinds[i]);
	ks_p11_session_give(token, session, rc == KS_EGONE);
	return rc;
}
