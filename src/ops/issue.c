/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing certificates as DER.
 *
 * Key identifiers are SHA-1 of the public key's bits because every verifier computes them so; they are names, not
 * proofs. The signature is checked before the certificate is given out: a device that makes a wrong one (a glitch is
 * enough) would otherwise publish a fault, and with RSA its private key.
 */
#include "issue.h"

#include "der.h"
#include "keyspec.h"
#include "text.h"

#include <string.h>

#define LONGEST_CERTIFICATE (1 << 20) /* bytes */

#define OID_SUBJECT_KEY_ID "\x55\x1d\x0e"
#define OID_AUTHORITY_KEY_ID "\x55\x1d\x23"
#define OID_ALTERNATIVE_NAMES "\x55\x1d\x11"
#define KEY_IDENTIFIER 0x80 /* [0] IMPLICIT OCTET STRING */

/* UTCTime until 2049, GeneralizedTime from then on (RFC 5280 4.1.2.5). */
static void put_time(struct ks_buffer *out, int64_t seconds)
{
	char text[21], packed[16];
	size_t size = 0, from;

	ks_time_text(text, seconds);
	from = strncmp(text, "2050", 4) < 0 ? 2 : 0;
	for (const char *at = text + from; *at; at++) {
		if ((*at >= '0' && *at <= '9') || *at == 'Z')
			packed[size++] = *at;
	}
	ks_der_put(out, from ? 0x17 : 0x18, KS_BYTES(packed, size));
}

static void put_validity(struct ks_buffer *out, const struct ks_draft *draft)
{
	size_t mark = ks_der_open(out, KS_DER_SEQUENCE);

	put_time(out, draft->not_before);
	put_time(out, draft->not_after);
	ks_der_close(out, mark);
}

/* Opens Extension and its value; closed by extension_close. */
static void extension_open(size_t marks[2], struct ks_buffer *out, const char *oid, bool critical)
{
	marks[0] = ks_der_open(out, KS_DER_SEQUENCE);
	ks_der_put(out, KS_DER_OID, ks_bytes_of(oid));
	if (critical)
		ks_der_put(out, KS_DER_BOOLEAN, KS_BYTES("\xff", 1));
	marks[1] = ks_der_open(out, KS_DER_OCTETS);
}

static void extension_close(const size_t marks[2], struct ks_buffer *out)
{
	ks_der_close(out, marks[1]);
	ks_der_close(out, marks[0]);
}

static void put_key_ids(struct ks_buffer *out, const unsigned char id[20], struct ks_bytes issuer_id)
{
	size_t marks[2], sequence;

	extension_open(marks, out, OID_SUBJECT_KEY_ID, false);
	ks_der_put(out, KS_DER_OCTETS, KS_BYTES(id, 20));
	extension_close(marks, out);
	if (!issuer_id.data)
		return;
	extension_open(marks, out, OID_AUTHORITY_KEY_ID, false);
	sequence = ks_der_open(out, KS_DER_SEQUENCE);
	ks_der_put(out, KEY_IDENTIFIER, issuer_id);
	ks_der_close(out, sequence);
	extension_close(marks, out);
}

/* Critical when the subject is empty (RFC 5280 4.2.1.6). */
static int put_names(struct ks_buffer *out, struct ks_ctx *ctx, const struct ks_draft *draft)
{
	size_t marks[2];
	int rc;

	if (!draft->names || draft->names->count == 0)
		return 0;
	extension_open(marks, out, OID_ALTERNATIVE_NAMES, draft->subject.size == 2);
	rc = ks_altnames_write(out, ctx, draft->names);
	extension_close(marks, out);
	return rc;
}

static int put_body(struct ks_buffer *out, struct ks_ctx *ctx, const struct ks_issuer *issuer,
		    const struct ks_draft *draft)
{
	size_t whole, version, extensions, list;
	unsigned char id[20];
	int rc;

	if (ks_spki_id(id, draft->spki) < 0)
		return ks_fail(ctx, KS_EDAMAGED, "the public key cannot be decoded");
	whole = ks_der_open(out, KS_DER_SEQUENCE);
	version = ks_der_open(out, KS_DER_CONTEXT(0));
	ks_der_put_number(out, 2);
	ks_der_close(out, version);
	ks_der_put(out, KS_DER_INTEGER, draft->serial);
	ks_buffer_put(out, issuer->signer.algorithm.data, issuer->signer.algorithm.size);
	ks_buffer_put(out, issuer->name.data, issuer->name.size);
	put_validity(out, draft);
	ks_buffer_put(out, draft->subject.data, draft->subject.size);
	ks_buffer_put(out, draft->spki.data, draft->spki.size);
	extensions = ks_der_open(out, KS_DER_CONTEXT(3));
	list = ks_der_open(out, KS_DER_SEQUENCE);
	ks_buffer_put(out, draft->extensions.data, draft->extensions.size);
	put_key_ids(out, id, issuer->key_id);
	rc = put_names(out, ctx, draft);
	if (rc < 0)
		return rc;
	ks_der_close(out, list);
	ks_der_close(out, extensions);
	rc = ks_der_close(out, whole);
	return rc < 0 ? ks_fail(ctx, rc, "the certificate does not fit") : 0;
}

int ks_certificate_write(struct ks_buffer **out, struct ks_ctx *ctx, const struct ks_issuer *issuer,
			 const struct ks_draft *draft)
{
	ks_auto(buffer) body = ks_buffer_new(LONGEST_CERTIFICATE);
	ks_auto(buffer) der = ks_buffer_new(LONGEST_CERTIFICATE);
	struct ks_signed parts;
	int rc;

	if (!body || !der)
		return ks_nomem(ctx);
	rc = put_body(body, ctx, issuer, draft);
	if (rc == 0)
		rc = ks_signed_put(der, ctx, &issuer->signer, ks_buffer_bytes(body));
	if (rc == 0 && ks_signed_read(&parts, ks_buffer_bytes(der)) < 0)
		rc = ks_fail(ctx, KS_EBUG, "the new certificate cannot be read back");
	if (rc == 0)
		rc = ks_signed_check(&parts, ctx, issuer->public_key, "the new certificate");
	if (rc < 0)
		return rc;
	*out = ks_take(der);
	return 0;
}
