/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index behind a record: five SHA-1 hashes of parts of its certificate, by which IBM's programs are likely to look it up.
 *
 * They are no protection (the HMAC of the whole file is), so SHA-1 does no harm here. In this order, each with its length in
 * front, after a zero: the signature, the part that is signed, the subject, the public key, and issuer with serial number.
 */
#include "kdb.h"

#include "certificate.h"

#include <openssl/sha.h>

#define HASHES 5

/* The parts that are hashed as they stand; the element behind the signed part is the algorithm. */
static int outer_parts(struct ks_bytes *signed_part, struct ks_bytes *signature, struct ks_bytes certificate)
{
	struct ks_der whole, part;

	if (ks_der_only(&whole, certificate, KS_DER_SEQUENCE) < 0 ||
	    ks_der_expect(&part, &whole.content, KS_DER_SEQUENCE) < 0)
		return KS_EDAMAGED;
	*signed_part = part.whole;
	if (ks_der_expect(&part, &whole.content, KS_DER_SEQUENCE) < 0 ||
	    ks_der_only(&part, whole.content, KS_DER_BITS) < 0)
		return KS_EDAMAGED;
	*signature = part.whole;
	return 0;
}

/* SEQUENCE { issuer, serial } (RFC 5652 10.2.4), which stands nowhere in the certificate. */
static struct ks_buffer *issuer_serial(const struct ks_certificate_facts *facts)
{
	struct ks_buffer *out = ks_buffer_new(facts->issuer.size + facts->serial.size + 32);
	size_t whole;

	if (!out)
		return NULL;
	whole = ks_der_open(out, KS_DER_SEQUENCE);
	ks_buffer_put(out, facts->issuer.data, facts->issuer.size);
	ks_der_put(out, KS_DER_INTEGER, facts->serial);
	ks_der_close(out, whole);
	return out;
}

int ks_kdb_index_put(struct ks_buffer *out, struct ks_bytes certificate)
{
	struct ks_certificate_facts facts;
	struct ks_bytes parts[HASHES];
	ks_auto(buffer) last = NULL;
	unsigned char hash[SHA_DIGEST_LENGTH];

	if (ks_certificate_facts(&facts, certificate) < 0 || outer_parts(&parts[1], &parts[0], certificate) < 0)
		return KS_EDAMAGED;
	last = issuer_serial(&facts);
	if (!last || last->status)
		return KS_ENOMEM;
	parts[2] = facts.subject;
	parts[3] = facts.spki;
	parts[4] = ks_buffer_bytes(last);
	ks_kdb_put_u32(out, 0);
	for (size_t i = 0; i < HASHES; i++) {
		SHA1(parts[i].data, parts[i].size, hash);
		ks_kdb_put_u32(out, sizeof(hash));
		ks_buffer_put(out, hash, sizeof(hash));
	}
	return out->status;
}
