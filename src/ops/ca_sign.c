/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signing as a CA.
 *
 * Every wish is checked before anything is written; then the intents are committed to the ledger, the certificates
 * are signed and their signatures verified, the rows are completed and committed, and only then they are given out.
 * So whatever happens in between, no certificate is outside that the ledger does not hold.
 */
#include "ca_inside.h"

#include "text.h"

/* ---- signing: what is wanted ---- */

/* One certificate on its way. */
struct leaf {
	const struct ks_request *request;
	struct ks_altnames names; /* the request's and the wish's; strings are borrowed */
	unsigned char *subject; /* DER, when the wish overrides the request's; OpenSSL's */
	struct ks_draft draft;
	struct ks_buffer *extensions;
	struct ks_issued row;
	struct ks_buffer *der;
};

static void leaves_free(struct leaf *leaves, size_t count)
{
	for (size_t i = 0; leaves && i < count; i++) {
		free(leaves[i].names.names);
		OPENSSL_free(leaves[i].subject);
		ks_buffer_free(leaves[i].extensions);
		ks_buffer_free(leaves[i].der);
		free(leaves[i].row.subject);
		free(leaves[i].row.names);
	}
	free(leaves);
}

static bool has_name(const struct ks_altnames *names, const struct ks_altname *name)
{
	for (size_t i = 0; i < names->count; i++) {
		if (strcmp(names->names[i].kind, name->kind) == 0 && strcmp(names->names[i].value, name->value) == 0)
			return true;
	}
	return false;
}

static int join_names(struct leaf *leaf, struct ks_ctx *ctx, const struct ks_altnames *more)
{
	const struct ks_altnames *asked = &leaf->request->names;
	size_t most = asked->count + (more ? more->count : 0);

	leaf->names.names = ks_array(most, sizeof(*leaf->names.names));
	if (!leaf->names.names)
		return ks_nomem(ctx);
	for (size_t i = 0; i < most; i++) {
		const struct ks_altname *name = i < asked->count ? &asked->names[i] : &more->names[i - asked->count];

		if (!has_name(&leaf->names, name))
			leaf->names.names[leaf->names.count++] = *name;
	}
	return 0;
}

static int set_subject(struct leaf *leaf, struct ks_ctx *ctx, const X509_NAME *subject)
{
	int size;

	leaf->draft.subject = leaf->request->subject;
	if (!subject)
		return 0;
	size = i2d_X509_NAME(subject, &leaf->subject);
	if (size < 0)
		return ks_fail_openssl(ctx, KS_ENOMEM, "the subject cannot be encoded");
	leaf->draft.subject = KS_BYTES(leaf->subject, (size_t)size);
	return 0;
}

/* The request with what the wish adds, as the profile shall see it. */
static int check_grant(const struct leaf *leaf, struct ks_ctx *ctx, const struct ks_profile *profile)
{
	struct ks_request whole = *leaf->request;

	whole.subject = leaf->draft.subject;
	whole.names = leaf->names;
	return ks_profile_grants(ctx, profile, &whole);
}

static int set_row(struct leaf *leaf, struct ks_ctx *ctx, const struct ks_profile *profile, int64_t now)
{
	ks_auto(buffer) names = ks_buffer_new(1 << 20);

	if (!names)
		return ks_nomem(ctx);
	for (size_t i = 0; i < leaf->names.count; i++)
		ks_buffer_format(names, "%s%s:%s", i ? " " : "", leaf->names.names[i].kind, leaf->names.names[i].value);
	leaf->row.names = strdup(ks_buffer_string(names));
	leaf->row.subject = ks_name_text(leaf->draft.subject);
	if (!leaf->row.names || !leaf->row.subject)
		return ks_nomem(ctx);
	leaf->row.profile = profile->name;
	leaf->row.not_before = leaf->draft.not_before;
	leaf->row.not_after = leaf->draft.not_after;
	leaf->row.created = now;
	ks_sha256(leaf->row.spki_sha256, leaf->request->spki);
	ks_sha256(leaf->row.request_sha256, leaf->request->der);
	return 0;
}

static int draft_leaf(struct leaf *leaf, struct ks_ca *ca, const struct ks_request *request,
		      const struct ks_sign_wish *wish, int64_t now)
{
	unsigned days = wish->days ? wish->days : wish->profile->days;
	int rc;

	leaf->request = request;
	leaf->draft.spki = request->spki;
	leaf->draft.names = &leaf->names;
	leaf->draft.not_before =
		now - KS_CA_CLOCK_SLACK > ca->facts.not_before ? now - KS_CA_CLOCK_SLACK : ca->facts.not_before;
	leaf->draft.not_after = now + (int64_t)days * KS_CA_DAY;
	leaf->extensions = ks_buffer_new(65536);
	if (!leaf->extensions)
		return ks_nomem(ca->ctx);
	rc = join_names(leaf, ca->ctx, wish->names);
	if (rc == 0)
		rc = set_subject(leaf, ca->ctx, wish->subject);
	if (rc == 0)
		rc = check_grant(leaf, ca->ctx, wish->profile);
	if (rc == 0)
		rc = ks_profile_put(leaf->extensions, ca->ctx, wish->profile, &request->key);
	leaf->draft.extensions = ks_buffer_bytes(leaf->extensions);
	return rc < 0 ? rc : set_row(leaf, ca->ctx, wish->profile, now);
}

/* A certificate that ends after its issuer is worthless from then on, and nobody sees it in its own dates. */
static int check_dates(struct ks_ca *ca, int64_t now, unsigned days)
{
	char date[11], until[11];

	ks_date_text(date, ca->facts.not_after);
	if (ca->facts.not_after < now)
		return ks_hint(ca->ctx, ks_fail(ca->ctx, KS_EEXPIRED, "the CA in %s expired on %s", ca->shown, date),
			       "make a new CA with keystow ca init; an expired one signs nothing that verifies");
	if (ca->facts.not_before > now)
		return ks_hint(ca->ctx, ks_fail(ca->ctx, KS_EEXPIRED, "the CA in %s is not valid yet", ca->shown),
			       "is the clock of this machine right?");
	if (now + (int64_t)days * KS_CA_DAY <= ca->facts.not_after)
		return 0;
	ks_date_text(until, now + (int64_t)days * KS_CA_DAY);
	return ks_hint(ca->ctx,
		       ks_fail(ca->ctx, KS_EEXPIRED, "a certificate until %s would outlive the CA, which ends on %s",
			       until, date),
		       "ask for fewer days: --days %lld", (long long)((ca->facts.not_after - now) / KS_CA_DAY));
}

/* A CA whose own certificate forbids it makes chains that nobody accepts. */
static int check_rights(struct ks_ca *ca, const struct ks_profile *profile)
{
	if (ca->facts.has_key_usage && !(ca->facts.key_usage & (1u << 5)))
		return ks_fail(ca->ctx, KS_EPROFILE,
			       "the certificate of the CA in %s does not allow it to sign certificates", ca->shown);
	if (profile->is_ca && ca->facts.path_length == 0)
		return ks_fail(ca->ctx, KS_EPROFILE, "the certificate of the CA in %s does not allow CAs below it",
			       ca->shown);
	return 0;
}

/* ---- signing: the durable order ---- */

static int intend_all(struct ks_ca *ca, struct leaf *leaves, size_t count)
{
	int rc = ks_ledger_begin(ca->ledger);

	if (rc < 0)
		return rc;
	for (size_t i = 0; rc == 0 && i < count; i++) {
		rc = ks_ledger_intend(ca->ledger, &leaves[i].row);
		leaves[i].draft.serial = KS_BYTES(leaves[i].row.serial, KS_SERIAL);
	}
	if (rc == 0)
		return ks_ledger_commit(ca->ledger);
	ks_ledger_abort(ca->ledger);
	return rc;
}

static int sign_all(struct ks_ca *ca, struct leaf *leaves, size_t count)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = ks_certificate_write(&leaves[i].der, ca->ctx, &ca->issuer, &leaves[i].draft);
	return rc;
}

static int complete_all(struct ks_ca *ca, struct leaf *leaves, size_t count)
{
	int rc = ks_ledger_begin(ca->ledger);

	if (rc < 0)
		return rc;
	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = ks_ledger_complete(ca->ledger, leaves[i].row.id, ks_buffer_bytes(leaves[i].der));
	if (rc == 0)
		return ks_ledger_commit(ca->ledger);
	ks_ledger_abort(ca->ledger);
	return rc;
}

static int issue_all(struct ks_ca *ca, struct leaf *leaves, size_t count)
{
	int rc = ks_ca_open_key(ca);

	if (rc == 0)
		rc = intend_all(ca, leaves, count);
	if (rc == 0)
		rc = sign_all(ca, leaves, count);
	return rc < 0 ? rc : complete_all(ca, leaves, count);
}

static int draft_all(struct leaf *leaves, struct ks_ca *ca, struct ks_request *const *requests, size_t count,
		     const struct ks_sign_wish *wish)
{
	int64_t now = time(NULL);
	int rc = check_dates(ca, now, wish->days ? wish->days : wish->profile->days);

	if (rc == 0)
		rc = check_rights(ca, wish->profile);
	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = draft_leaf(&leaves[i], ca, requests[i], wish, now);
	return rc;
}

int ks_ca_sign(struct ks_buffer **out, struct ks_ca *ca, struct ks_request *const *requests, size_t count,
	       const struct ks_sign_wish *wish)
{
	struct leaf *leaves = ks_array(count, sizeof(*leaves));
	int rc;

	if (!leaves)
		return ks_nomem(ca->ctx);
	rc = draft_all(leaves, ca, requests, count, wish);
	if (rc == 0 && !wish->dry_run)
		rc = issue_all(ca, leaves, count);
	for (size_t i = 0; rc == 0 && !wish->dry_run && i < count; i++)
		out[i] = ks_take(leaves[i].der);
	leaves_free(leaves, count);
	return rc;
}
