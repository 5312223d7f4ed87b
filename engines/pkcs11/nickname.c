/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking through the snapshot for certificates that stand in the way of another.
 */
#include "nickname.h"

#include "hash.h"
#include "quirks.h"
#include "text.h"

#include <stdio.h>

/* The next certificate behind *n that can be understood; NULL behind the last. */
static const struct ks_p11_object *certificate_next(struct ks_certificate_facts *facts, size_t *n,
						    const struct ks_p11_token *token)
{
	while (*n < ks_p11_snapshot_count(token)) {
		const struct ks_p11_object *object = ks_p11_snapshot_at(token, (*n)++);

		if (object->class == CKO_CERTIFICATE && object->value.size &&
		    ks_certificate_facts(facts, object->value) == 0)
			return object;
	}
	return NULL;
}

bool ks_p11_nickname_taken(const struct ks_p11_token *token, struct ks_bytes label, struct ks_bytes subject)
{
	const struct ks_p11_object *object;
	struct ks_certificate_facts facts;
	size_t n = 0;

	if (!(token->quirks & KS_P11_NICKNAME_ONCE) || label.size == 0)
		return false;
	while ((object = certificate_next(&facts, &n, token))) {
		if (ks_bytes_equal(object->label, label) && !ks_bytes_equal(facts.subject, subject))
			return true;
	}
	return false;
}

/* With the start of the certificate's fingerprint behind it, as merge does with labels that are in use. */
struct ks_bytes ks_p11_nickname_free(char **room, const struct ks_p11_token *token, struct ks_bytes label,
				     const struct ks_certificate_facts *facts, struct ks_bytes der)
{
	unsigned char digest[KS_SHA256];
	char hex[9];

	if (!ks_p11_nickname_taken(token, label, facts->subject))
		return label;
	ks_sha256(digest, der);
	ks_hex(hex, KS_BYTES(digest, 4));
	if (asprintf(room, "%.*s %s", (int)label.size, (const char *)label.data, hex) < 0) {
		*room = NULL;
		return label;
	}
	return ks_bytes_of(*room);
}

int ks_p11_certificate_welcome(const struct ks_p11_token *token, const struct ks_certificate_facts *facts)
{
	const struct ks_p11_object *object;
	struct ks_certificate_facts have;
	size_t n = 0;

	if (!(token->quirks & KS_P11_CERTIFICATE_ONCE))
		return 0;
	while ((object = certificate_next(&have, &n, token))) {
		ks_auto_mem char *label = NULL;

		if (!ks_bytes_equal(have.issuer, facts->issuer) || !ks_bytes_equal(have.serial, facts->serial))
			continue;
		label = ks_text_show(object->label);
		return ks_hint(
			token->ctx,
			ks_fail(token->ctx, KS_EEXISTS,
				"token %s holds a certificate of this issuer and serial number already, as \"%s\"",
				token->shown, label ? label : ""),
			"it keeps one for each; remove or rename that one: keystow list '%s'", token->uri);
	}
	return 0;
}
