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

/* By kind and value; of equal ones the first stays the first. */
static int name_order(const void *a, const void *b)
{
	const struct ks_altname *left = *(struct ks_altname *const *)a, *right = *(struct ks_altname *const *)b;
	int order = strcmp(left->kind, right->kind);

	if (order == 0)
		order = strcmp(left->value, right->value);
	return order ? order : left < right ? -1 : left > right;
}

static bool same_name(const struct ks_altname *a, const struct ks_altname *b)
{
	return strcmp(a->kind, b->kind) == 0 && strcmp(a->value, b->value) == 0;
}

/* A request may hold as many names as it likes, so each is not compared with each. */
static int drop_repeated(struct ks_altnames *names)
{
	ks_auto_mem struct ks_altname **sorted = ks_array(names->count + 1, sizeof(*sorted));
	ks_auto_mem bool *repeated = ks_array(names->count + 1, sizeof(*repeated));
	size_t kept = 0;

	if (!sorted || !repeated)
		return KS_ENOMEM;
	for (size_t i = 0; i < names->count; i++)
		sorted[i] = &names->names[i];
	qsort(sorted, names->count, sizeof(*sorted), name_order);
	for (size_t i = 1; i < names->count; i++)
		repeated[sorted[i] - names->names] = same_name(sorted[i - 1], sorted[i]);
	for (size_t i = 0; i < names->count; i++) {
		if (!repeated[i])
			names->names[kept++] = names->names[i];
	}
	names->count = kept;
	return 0;
}

static int join_names(struct leaf *leaf, struct ks_ctx *ctx, const struct ks_altnames *more)
{
	const struct ks_altnames *asked = &leaf->request->names;
	size_t count = asked->count + (more ? more->count : 0);

	leaf->names.names = ks_array(count + 1, sizeof(*leaf->names.names));
	if (!leaf->names.names)
		return ks_nomem(ctx);
	for (size_t i = 0; i < count; i++)
		leaf->names.names[i] = i < asked->count ? asked->names[i] : more->names[i - asked->count];
	leaf->names.count = count;
	return drop_repeated(&leaf->names) < 0 ? ks_nomem(ctx) : 0;
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
	int rc;

	if (!names)
		return ks_nomem(ctx);
	for (size_t i = 0; i < leaf->names.count; i++) {
		rc = ks_buffer_format(names, "%s%s:%s", i ? " " : "", leaf->names.names[i].kind,
				      leaf->names.names[i].value);
		if (rc < 0)
			return ks_hint(ctx,
				       ks_fail(ctx, rc, "the %zu names of the certificate do not fit into the ledger",
					       leaf->names.count),
				       "ask for fewer names");
	}
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
