/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the second token lacks, made: a key there, a request signed by it, a certificate of the CA, put beside the key.
 *
 * All that a profile, the CA or the token refuses is known before the first key is made.
 */

#include "enroll.h"
#include "generate.h"
#include "name.h"
#include "twin_inside.h"

#include <string.h>

/* ---- by which profile ---- */

static int profile_named(const struct ks_profile **out, struct ks_twins *twins, struct ks_ca *ca, const char *name)
{
	size_t n = twins->profile_count, capacity = n;

	for (size_t i = 0; i < n; i++) {
		if (strcmp(twins->profiles[i]->name, name) == 0) {
			*out = twins->profiles[i];
			return 0;
		}
	}
	if (ks_array_grow(&twins->profiles, &capacity, n + 1, sizeof(*twins->profiles)) < 0)
		return ks_nomem(twins->ctx);
	if (ks_profile_find(&twins->profiles[n], twins->ctx, ks_ca_dir(ca), name) < 0)
		return ks_ctx_status(twins->ctx);
	*out = twins->profiles[twins->profile_count++];
	return 0;
}

static int profile_unknown(struct ks_twins *twins, struct ks_ca *ca, const struct ks_twin *row)
{
	return ks_hint(
		twins->ctx,
		ks_fail(twins->ctx, KS_EUSAGE,
			"the database of %s does not have the certificate of \"%s\", so its profile is not known; "
			"nothing was "
			"changed",
			ks_ca_dir(ca), row->label),
		"say by which profile such certificates are signed, as in --profile server: keystow help profiles");
}

static int find_profile(struct ks_twin *row, struct ks_twins *twins, struct ks_ca *ca, const struct ks_twin_wish *wish)
{
	ks_auto(issued) issued = NULL;
	unsigned char digest[KS_SHA256];
	int rc;

	ks_sha256(digest, row->facts.spki);
	rc = ks_ledger_find_key(&issued, ks_ca_ledger(ca), digest);
	if (rc == KS_ENOTFOUND) {
		ks_forgive(twins->ctx);
		return wish->profile ? profile_named(&row->profile, twins, ca, wish->profile)
				     : profile_unknown(twins, ca, row);
	}
	return rc < 0 ? rc : profile_named(&row->profile, twins, ca, issued->profile);
}

/* ---- jobs ---- */

/* Those rows that the CA signs by that profile, as jobs of enroll. */
static int enroll_by(struct ks_twins *twins, struct ks_ca *ca, const struct ks_profile *profile,
		     const struct ks_twin_wish *how, bool dry_run)
{
	const struct ks_enroll_wish wish = {
		.profile = profile, .days = how->days, .replace = how->replace, .dry_run = dry_run
	};
	ks_auto_mem struct ks_enroll_job *jobs = ks_array(twins->count + 1, sizeof(*jobs));
	size_t count = 0, done = 0;

	if (!jobs)
		return ks_nomem(twins->ctx);
	for (size_t i = 0; i < twins->count; i++) {
		const struct ks_twin *row = &twins->rows[i];

		if (!(row->steps & KS_TWIN_CERTIFY) || row->profile != profile)
			continue;
		jobs[count++] = (struct ks_enroll_job){
			.label = row->label,
			.name = row->facts.subject,
			.names = row->names.count ? &row->names : NULL,
			.make = &row->make,
		};
	}
	return count ? ks_enroll(&done, twins->second, ca, &wish, jobs, count) : 0;
}

static int enroll_all(struct ks_twins *twins, struct ks_ca *ca, const struct ks_twin_wish *how, bool dry_run)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < twins->profile_count; i++)
		rc = enroll_by(twins, ca, twins->profiles[i], how, dry_run);
	return rc;
}

/* ---- before anything is changed ---- */

static int set_apart(struct ks_twins *twins, struct ks_twin *row)
{
	ks_auto_mem char *issuer = ks_name_text(row->facts.issuer);

	free(ks_take(row->why));
	row->state = KS_TWIN_APART;
	row->steps = 0;
	if (asprintf(&row->why, "its certificate on the first token is from %s, not from the CA of --ca",
		     issuer ? issuer : "?") < 0) {
		row->why = NULL;
		return ks_nomem(twins->ctx);
	}
	return 0;
}

/* What another CA has signed is for that one to sign. */
static int set_others_apart(struct ks_twins *twins, struct ks_ca *ca)
{
	struct ks_certificate_facts facts;
	int rc = 0;

	if (ks_certificate_facts(&facts, ks_ca_certificate(ca)->der) < 0)
		return ks_fail(twins->ctx, KS_EDAMAGED, "the CA's certificate cannot be read");
	for (size_t i = 0; rc == 0 && i < twins->count; i++) {
		struct ks_twin *row = &twins->rows[i];

		if (row->steps & KS_TWIN_CERTIFY && !ks_bytes_equal(facts.subject, row->facts.issuer))
			rc = set_apart(twins, row);
	}
	return rc;
}

static int check_made(struct ks_twins *twins, const struct ks_twin *row)
{
	int rc = row->steps & KS_TWIN_GENERATE ? ks_store_makes(twins->second, &row->make) : 0;

	return ks_while(twins->ctx, rc, "a twin for \"%s\"", row->label);
}

int ks_twins_certify(struct ks_twins *twins, struct ks_ca *ca, const struct ks_twin_wish *wish)
{
	int rc = set_others_apart(twins, ca);

	for (size_t i = 0; rc == 0 && i < twins->count; i++) {
		if (twins->rows[i].steps & KS_TWIN_CERTIFY)
			rc = find_profile(&twins->rows[i], twins, ca, wish);
	}
	for (size_t i = 0; rc == 0 && i < twins->count; i++)
		rc = check_made(twins, &twins->rows[i]);
	return rc < 0 ? rc : enroll_all(twins, ca, wish, true);
}

/* ---- changing ---- */

/* Keys that have no certificate on the first token. */
static int generate_all(struct ks_twins *twins)
{
	struct ks_item *made = NULL;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < twins->count; i++) {
		struct ks_twin *row = &twins->rows[i];
		struct ks_generate wish = row->make;

		wish.label = ks_bytes_of(row->label);
		if (row->steps == KS_TWIN_GENERATE)
			rc = ks_while(twins->ctx, ks_generate(&made, twins->second, &wish, false), "a twin for \"%s\"",
				      row->label);
	}
	return rc;
}

/* What the rows were to do, in the rows as they are now; both are sorted, and the keys of the first are the same. */
static void carry(struct ks_twins *twins, const unsigned *steps)
{
	for (size_t i = 0; i < twins->count; i++) {
		const struct ks_twin *row = &twins->rows[i];

		if (row->first)
			twins->rows[i].done = steps[row->first - twins->first_side.keys] & ~row->steps;
	}
}

int ks_twins_apply(struct ks_twins *twins, struct ks_ca *ca, const struct ks_twin_wish *wish)
{
	ks_auto_mem unsigned *steps = ks_array(twins->first_side.count + 1, sizeof(*steps));
	int rc = steps ? 0 : ks_nomem(twins->ctx);

	for (size_t i = 0; rc == 0 && i < twins->count; i++) {
		if (twins->rows[i].first)
			steps[twins->rows[i].first - twins->first_side.keys] = twins->rows[i].steps;
	}
	if (rc == 0)
		rc = generate_all(twins);
	if (rc == 0)
		rc = enroll_all(twins, ca, wish, false);
	if (rc == 0)
		rc = ks_twin_side_look(&twins->second_side, twins->second, NULL);
	if (rc == 0)
		rc = ks_twins_plan(twins, wish);
	if (rc == 0)
		rc = set_others_apart(twins, ca);
	if (rc == 0)
		carry(twins, steps);
	return rc;
}
