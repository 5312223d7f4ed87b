/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificate requests (PKCS#10, RFC 2986).
 *
 * A request is hostile input: it is walked as strict DER, its key is measured before it is used, and its signature is
 * checked here, because a request that is not signed by its own key asks for a certificate for somebody else's. What
 * it wishes for is listed, never granted: that is the profile's work.
 */
#include "request.h"

#include "der.h"
#include "signed.h"
#include "text.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <string.h>

#define LONGEST_REQUEST (1 << 20) /* bytes */
#define RSA_SAFE 2048
#define RSA_LONGEST 16384
#define RSA_LONGEST_EXPONENT 9 /* octets; a larger one makes each verification as dear as a signature */

#define OID_EXTENSION_REQUEST "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0e"
#define OID_MICROSOFT_EXTENSIONS "\x2b\x06\x01\x04\x01\x82\x37\x02\x01\x0e"
#define OID_ALTERNATIVE_NAMES "\x55\x1d\x11"
#define OID_BASIC_CONSTRAINTS "\x55\x1d\x13"
#define OID_KEY_USAGE "\x55\x1d\x0f"
#define OID_EXTENDED_USAGE "\x55\x1d\x25"
#define OID_SUBJECT_KEY_ID "\x55\x1d\x0e"

static int damaged(struct ks_ctx *ctx, const char *what)
{
	return ks_hint(ctx, ks_fail(ctx, KS_EDAMAGED, "the request is damaged: %s", what),
		       "ask for a fresh copy of it");
}

/* ---- making ---- */

static void put_alternative_names(struct ks_buffer *out, struct ks_ctx *ctx, const struct ks_altnames *names)
{
	size_t attribute = ks_der_open(out, KS_DER_SEQUENCE), values, extensions, extension, octets;

	ks_der_put(out, KS_DER_OID, KS_BYTES(OID_EXTENSION_REQUEST, sizeof(OID_EXTENSION_REQUEST) - 1));
	values = ks_der_open(out, KS_DER_SET);
	extensions = ks_der_open(out, KS_DER_SEQUENCE);
	extension = ks_der_open(out, KS_DER_SEQUENCE);
	ks_der_put(out, KS_DER_OID, KS_BYTES(OID_ALTERNATIVE_NAMES, sizeof(OID_ALTERNATIVE_NAMES) - 1));
	octets = ks_der_open(out, KS_DER_OCTETS);
	ks_altnames_write(out, ctx, names);
	ks_der_close(out, octets);
	ks_der_close(out, extension);
	ks_der_close(out, extensions);
	ks_der_close(out, values);
	ks_der_close(out, attribute);
}

/* CertificationRequestInfo (RFC 2986 4.1). */
static int put_body(struct ks_buffer *out, struct ks_ctx *ctx, const X509_NAME *subject, struct ks_bytes spki,
		    const struct ks_altnames *names)
{
	unsigned char *name = NULL;
	int size = i2d_X509_NAME(subject, &name);
	size_t whole, attributes;

	if (size < 0)
		return ks_fail_openssl(ctx, KS_ENOMEM, "the subject cannot be encoded");
	whole = ks_der_open(out, KS_DER_SEQUENCE);
	ks_der_put_number(out, 0);
	ks_buffer_put(out, name, (size_t)size);
	OPENSSL_free(name);
	ks_buffer_put(out, spki.data, spki.size);
	attributes = ks_der_open(out, KS_DER_CONTEXT(0));
	if (names && names->count)
		put_alternative_names(out, ctx, names);
	ks_der_close(out, attributes);
	return ks_der_close(out, whole) < 0 ? ks_fail(ctx, out->status, "the request does not fit") : 0;
}

/* ---- reading: DER or PEM ---- */

static bool pem_name_is_request(const char *name)
{
	return strcmp(name, "CERTIFICATE REQUEST") == 0 || strcmp(name, "NEW CERTIFICATE REQUEST") == 0;
}

/* The next PEM block: 1, 0 when there is none, or a failure. */
static int pem_next(struct ks_buffer **out, struct ks_ctx *ctx, BIO *text)
{
	char *name = NULL, *header = NULL;
	unsigned char *bytes = NULL;
	long size = 0;
	int rc = 1;

	if (PEM_read_bio(text, &name, &header, &bytes, &size) != 1) {
		unsigned long error = ERR_peek_last_error();

		if (ERR_GET_REASON(error) != PEM_R_NO_START_LINE)
			return ks_fail_openssl(ctx, KS_EDAMAGED, "the request's PEM block is damaged");
		ERR_clear_error();
		return 0;
	}
	if (!pem_name_is_request(name)) {
		ks_auto_mem char *shown = ks_text_show(ks_bytes_of(name));

		rc = ks_hint(ctx,
			     ks_fail(ctx, KS_EFORMAT, "this is not a request but a PEM block %s", shown ? shown : ""),
			     "give the file that keystow request or openssl req has written");
	} else {
		*out = ks_buffer_new((size_t)size);
		if (!*out || ks_buffer_put(*out, bytes, (size_t)size) < 0)
			rc = ks_nomem(ctx);
	}
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_free(bytes);
	return rc;
}

static int pem_read(struct ks_buffer **out, struct ks_ctx *ctx, struct ks_bytes file)
{
	ks_auto_ssl(BIO) text = BIO_new_mem_buf(file.data, (int)file.size);
	ks_auto(buffer) first = NULL;
	ks_auto(buffer) second = NULL;
	int rc;

	if (!text)
		return ks_nomem(ctx);
	rc = pem_next(&first, ctx, text);
	if (rc < 0)
		return rc;
	if (rc == 0)
		return ks_fail(ctx, KS_EFORMAT, "this is neither a DER request nor a PEM one");
	rc = pem_next(&second, ctx, text);
	if (rc == 1)
		return ks_hint(ctx, ks_fail(ctx, KS_EDAMAGED, "there is more than one request in the file"),
			       "give each request as a file of its own");
	if (rc < 0)
		return rc;
	*out = ks_take(first);
	return 0;
}

/* ---- reading: the key ---- */

/* An RSA exponent that makes no sense, or makes each use dear (RFC 8017 3.1: odd, at least 3). */
static int rsa_check(struct ks_ctx *ctx, struct ks_bytes bits)
{
	struct ks_der key, modulus, exponent;
	struct ks_bytes rest = KS_BYTES(bits.data + 1, bits.size - 1);

	if (ks_der_only(&key, rest, KS_DER_SEQUENCE) < 0)
		return damaged(ctx, "its RSA key");
	rest = key.content;
	if (ks_der_expect(&modulus, &rest, KS_DER_INTEGER) < 0 || ks_der_expect(&exponent, &rest, KS_DER_INTEGER) < 0 ||
	    rest.size || exponent.content.size == 0)
		return damaged(ctx, "its RSA key");
	if (exponent.content.size > RSA_LONGEST_EXPONENT)
		return ks_fail(ctx, KS_ELIMIT, "the RSA exponent in the request has %zu bytes; at most %d are accepted",
			       exponent.content.size, RSA_LONGEST_EXPONENT);
	if ((exponent.content.data[0] & 0x80) || !(exponent.content.data[exponent.content.size - 1] & 1) ||
	    (exponent.content.size == 1 && exponent.content.data[0] < 3))
		return ks_fail(ctx, KS_EWEAK, "the RSA exponent in the request is not an odd number above 1");
	return 0;
}

/* Is it a key that may have a certificate, and is it safe to use it at all? */
static int key_check(struct ks_ctx *ctx, const struct ks_keyspec *spec, struct ks_bytes bits)
{
	char title[32];

	ks_keyspec_title(title, spec);
	switch (spec->type) {
	case KS_KEY_RSA:
	case KS_KEY_RSA_PSS:
		if (spec->bits > RSA_LONGEST)
			return ks_fail(ctx, KS_ELIMIT, "the key in the request has %u bits; at most %d are accepted",
				       spec->bits, RSA_LONGEST);
		if (spec->bits < RSA_SAFE)
			return ks_hint(ctx,
				       ks_fail(ctx, KS_EWEAK, "the key in the request is %s, which is too weak", title),
				       "make a new key with at least %d bits, or ec:p256", RSA_SAFE);
		return rsa_check(ctx, bits);
	case KS_KEY_EC:
		if (spec->bits == 384 || spec->bits == 521 || spec->curve == NID_X9_62_prime256v1)
			return 0;
		break;
	case KS_KEY_ED25519:
	case KS_KEY_ED448:
	case KS_KEY_ML_DSA_44:
	case KS_KEY_ML_DSA_65:
	case KS_KEY_ML_DSA_87:
		return 0;
	default:
		break;
	}
	return ks_hint(
		ctx, ks_fail(ctx, KS_EALGORITHM, "the key in the request is %s, which keystow does not certify", title),
		"use RSA, P-256, P-384, P-521, Ed25519 or ML-DSA");
}

/* ---- reading: what is wished for ---- */

static bool known_oid(struct ks_bytes oid)
{
	return ks_der_is(oid, OID_KEY_USAGE) || ks_der_is(oid, OID_EXTENDED_USAGE) ||
	       ks_der_is(oid, OID_SUBJECT_KEY_ID);
}

static int add_unknown(struct ks_request *request, struct ks_ctx *ctx, struct ks_bytes whole_oid, size_t *count,
		       size_t *capacity)
{
	const unsigned char *at = whole_oid.data;
	ASN1_OBJECT *oid = d2i_ASN1_OBJECT(NULL, &at, (long)whole_oid.size);
	char text[128];

	if (!oid || OBJ_obj2txt(text, sizeof(text), oid, 1) <= 0) {
		ASN1_OBJECT_free(oid);
		ERR_clear_error();
		return damaged(ctx, "the name of an extension");
	}
	ASN1_OBJECT_free(oid);
	if (ks_array_grow(&request->unknown, capacity, *count + 2, sizeof(char *)) < 0)
		return ks_nomem(ctx);
	request->unknown[*count] = strdup(text);
	if (!request->unknown[*count])
		return ks_nomem(ctx);
	(*count)++;
	return 0;
}

/* BasicConstraints: cA DEFAULT FALSE, so a CA says it with a TRUE. */
static int wants_ca(struct ks_request *request, struct ks_ctx *ctx, struct ks_bytes value)
{
	struct ks_der whole, flag;
	struct ks_bytes rest;

	if (ks_der_only(&whole, value, KS_DER_SEQUENCE) < 0)
		return damaged(ctx, "its basicConstraints");
	rest = whole.content;
	if (ks_der_maybe(&flag, &rest, KS_DER_BOOLEAN))
		request->wants_ca = flag.content.size != 1 || flag.content.data[0] != 0;
	return 0;
}

/* Extension ::= SEQUENCE { OID, critical BOOLEAN DEFAULT FALSE, OCTET STRING } (RFC 5280 4.1). */
static int extension_next(struct ks_der *oid, struct ks_bytes *value, struct ks_bytes *rest)
{
	struct ks_der whole, critical, octets;
	struct ks_bytes parts;

	if (ks_der_expect(&whole, rest, KS_DER_SEQUENCE) < 0)
		return KS_EDAMAGED;
	parts = whole.content;
	if (ks_der_expect(oid, &parts, KS_DER_OID) < 0)
		return KS_EDAMAGED;
	ks_der_maybe(&critical, &parts, KS_DER_BOOLEAN);
	if (ks_der_expect(&octets, &parts, KS_DER_OCTETS) < 0 || parts.size)
		return KS_EDAMAGED;
	*value = octets.content;
	return 0;
}

/* Was the extension `oid` asked for before the place `until`? */
static bool asked_before(struct ks_bytes extensions, struct ks_bytes oid, const unsigned char *until)
{
	struct ks_bytes rest = extensions, value;
	struct ks_der earlier;

	while (rest.data < until && extension_next(&earlier, &value, &rest) == 0) {
		if (earlier.content.data != oid.data && ks_bytes_equal(earlier.content, oid))
			return true;
	}
	return false;
}

#define MOST_EXTENSIONS 64

static int read_extensions(struct ks_request *request, struct ks_ctx *ctx, struct ks_bytes whole)
{
	size_t count = 0, unknown = 0, capacity = 0;
	struct ks_der sequence, oid;
	struct ks_bytes rest, value;
	int rc = 0;

	if (ks_der_only(&sequence, whole, KS_DER_SEQUENCE) < 0)
		return damaged(ctx, "the extensions it asks for");
	request->extensions = whole;
	rest = sequence.content;
	while (rc == 0 && rest.size) {
		if (++count > MOST_EXTENSIONS)
			return ks_fail(ctx, KS_ELIMIT, "the request asks for more than %d extensions", MOST_EXTENSIONS);
		if (extension_next(&oid, &value, &rest) < 0)
			return damaged(ctx, "the extensions it asks for");
		if (asked_before(sequence.content, oid.content, oid.content.data))
			return damaged(ctx, "it asks for one extension twice");
		if (ks_der_is(oid.content, OID_ALTERNATIVE_NAMES))
			rc = ks_altnames_read(&request->names, ctx, value);
		else if (ks_der_is(oid.content, OID_BASIC_CONSTRAINTS))
			rc = wants_ca(request, ctx, value);
		else if (!known_oid(oid.content))
			rc = add_unknown(request, ctx, oid.whole, &unknown, &capacity);
	}
	return rc;
}

/*
 * Attributes other than the extension request (a challenge password, the maker's version) wish for nothing in the
 * certificate. Two extension requests are refused: programs differ in which of them they believe.
 */
static int read_attributes(struct ks_request *request, struct ks_ctx *ctx, struct ks_bytes rest)
{
	struct ks_der attribute, oid, values, value;
	struct ks_bytes parts;

	while (rest.size) {
		if (ks_der_expect(&attribute, &rest, KS_DER_SEQUENCE) < 0)
			return damaged(ctx, "its attributes");
		parts = attribute.content;
		if (ks_der_expect(&oid, &parts, KS_DER_OID) < 0 || ks_der_expect(&values, &parts, KS_DER_SET) < 0 ||
		    parts.size)
			return damaged(ctx, "its attributes");
		if (!ks_der_is(oid.content, OID_EXTENSION_REQUEST) && !ks_der_is(oid.content, OID_MICROSOFT_EXTENSIONS))
			continue;
		if (request->extensions.data)
			return damaged(ctx, "it has two extension requests");
		parts = values.content;
		if (ks_der_expect(&value, &parts, KS_DER_SEQUENCE) < 0 || parts.size)
			return damaged(ctx, "its extension request");
		if (read_extensions(request, ctx, value.whole) < 0)
			return ks_ctx_status(ctx);
	}
	return 0;
}

/* ---- reading: the whole ---- */

/* Every attribute of the subject is a string without control characters: a line feed in a name forges lines in somebody's log. */
static int subject_check(struct ks_ctx *ctx, struct ks_bytes name)
{
	struct ks_der whole, set, pair, oid, value;
	struct ks_bytes sets, pairs, parts;

	if (ks_der_only(&whole, name, KS_DER_SEQUENCE) < 0)
		return damaged(ctx, "its subject");
	for (sets = whole.content; sets.size;) {
		if (ks_der_expect(&set, &sets, KS_DER_SET) < 0 || set.content.size == 0)
			return damaged(ctx, "its subject");
		for (pairs = set.content; pairs.size;) {
			if (ks_der_expect(&pair, &pairs, KS_DER_SEQUENCE) < 0)
				return damaged(ctx, "its subject");
			parts = pair.content;
			if (ks_der_expect(&oid, &parts, KS_DER_OID) < 0 || ks_der_next(&value, &parts) < 0 ||
			    parts.size)
				return damaged(ctx, "its subject");
			for (size_t i = 0; value.tag != 0x1e && value.tag != 0x1c && i < value.content.size; i++) {
				if (value.content.data[i] < 0x20 || value.content.data[i] == 0x7f)
					return damaged(ctx, "its subject holds a control character");
			}
		}
	}
	return 0;
}

/* SubjectPublicKeyInfo: the bits of the key, for rsa_check. */
static int key_read(struct ks_request *request, struct ks_ctx *ctx)
{
	struct ks_der whole, algorithm, bits;
	struct ks_bytes rest;

	if (ks_der_only(&whole, request->spki, KS_DER_SEQUENCE) < 0)
		return damaged(ctx, "its public key");
	rest = whole.content;
	if (ks_der_expect(&algorithm, &rest, KS_DER_SEQUENCE) < 0 || ks_der_expect(&bits, &rest, KS_DER_BITS) < 0 ||
	    rest.size || bits.content.size < 2)
		return damaged(ctx, "its public key");
	request->key = ks_keyspec_of_spki(request->spki);
	return key_check(ctx, &request->key, bits.content);
}

static int read_body(struct ks_request *request, struct ks_ctx *ctx, struct ks_bytes body)
{
	struct ks_der whole, version, subject, spki, attributes;
	struct ks_bytes rest;
	uint64_t number;
	int rc;

	if (ks_der_only(&whole, body, KS_DER_SEQUENCE) < 0)
		return damaged(ctx, "its outer shape");
	rest = whole.content;
	if (ks_der_expect(&version, &rest, KS_DER_INTEGER) < 0 || ks_der_number(&number, version.content) < 0 ||
	    number != 0)
		return damaged(ctx, "its version is not 1");
	if (ks_der_expect(&subject, &rest, KS_DER_SEQUENCE) < 0 || ks_der_expect(&spki, &rest, KS_DER_SEQUENCE) < 0 ||
	    ks_der_expect(&attributes, &rest, KS_DER_CONTEXT(0)) < 0 || rest.size)
		return damaged(ctx, "its outer shape");
	request->subject = subject.whole;
	request->spki = spki.whole;
	rc = subject_check(ctx, request->subject);
	if (rc == 0)
		rc = key_read(request, ctx);
	return rc < 0 ? rc : read_attributes(request, ctx, attributes.content);
}

static int prove(const struct ks_request *request, struct ks_ctx *ctx, const struct ks_signed *parts)
{
	ks_auto_ssl(EVP_PKEY) key = NULL;
	int rc = ks_spki_key(&key, ctx, request->spki);

	if (rc < 0)
		return ks_while(ctx, rc, "the request");
	rc = ks_signed_check(parts, ctx, key, "the request");
	return rc != KS_EPROOF ? rc
			       : ks_hint(ctx, rc,
					 "whoever made it does not hold the private key, or it was changed on its way");
}

/* `verified`: the signature was checked already, by who made it. */
static int request_walk(struct ks_request *request, struct ks_ctx *ctx, bool verified)
{
	struct ks_signed parts;
	int rc;

	if (ks_signed_read(&parts, request->der) < 0)
		return damaged(ctx, "its outer shape");
	rc = read_body(request, ctx, parts.body);
	return rc < 0 || verified ? rc : prove(request, ctx, &parts);
}

static int take_der(struct ks_request **out, struct ks_ctx *ctx, struct ks_bytes der, bool verified)
{
	ks_auto(request) request = calloc(1, sizeof(*request));
	unsigned char *copy = malloc(der.size + 1);
	int rc;

	if (!request || !copy) {
		free(copy);
		return ks_nomem(ctx);
	}
	if (der.size)
		memcpy(copy, der.data, der.size);
	request->der = KS_BYTES(copy, der.size);
	rc = request_walk(request, ctx, verified);
	if (rc < 0)
		return rc;
	*out = ks_take(request);
	return 0;
}

int ks_request_read(struct ks_request **out, struct ks_ctx *ctx, struct ks_bytes file)
{
	ks_auto(buffer) decoded = NULL;
	int rc;

	if (file.size > LONGEST_REQUEST)
		return ks_fail(ctx, KS_ELIMIT, "a request of %zu bytes is refused; at most %d are accepted", file.size,
			       LONGEST_REQUEST);
	if (file.size == 0)
		return damaged(ctx, "it is empty");
	if (file.data[0] != KS_DER_SEQUENCE) {
		rc = pem_read(&decoded, ctx, file);
		if (rc < 0)
			return rc;
		file = ks_buffer_bytes(decoded);
	}
	return take_der(out, ctx, file, false);
}

/* ---- making one, which ends in reading it ---- */

int ks_request_write(struct ks_request **out, struct ks_ctx *ctx, struct ks_item *key, const X509_NAME *subject,
		     const struct ks_altnames *names)
{
	ks_auto_ssl(EVP_PKEY) pkey = NULL;
	ks_auto(buffer) spki = NULL;
	ks_auto(buffer) body = ks_buffer_new(LONGEST_REQUEST);
	ks_auto(buffer) der = ks_buffer_new(LONGEST_REQUEST);
	struct ks_bytes public_key = key->spki;
	struct ks_signer signer;
	int rc;

	if (!body || !der)
		return ks_nomem(ctx);
	rc = ks_item_pkey(&pkey, key, ctx);
	if (rc == 0 && !public_key.data) {
		rc = ks_pkey_spki(&spki, ctx, pkey);
		public_key = rc < 0 ? KS_NONE : ks_buffer_bytes(spki);
	}
	if (rc == 0)
		rc = ks_signer_of(&signer, ctx, pkey, public_key);
	if (rc == 0)
		rc = put_body(body, ctx, subject, public_key, names);
	if (rc == 0)
		rc = ks_signed_put(der, ctx, &signer, ks_buffer_bytes(body));
	return rc < 0 ? rc : take_der(out, ctx, ks_buffer_bytes(der), signer.verifies);
}

int ks_request_make(struct ks_buffer **out, struct ks_ctx *ctx, struct ks_item *key, const X509_NAME *subject,
		    const struct ks_altnames *names)
{
	ks_auto(request) request = NULL;
	ks_auto(buffer) der = NULL;
	int rc = ks_request_write(&request, ctx, key, subject, names);

	if (rc < 0)
		return rc;
	der = ks_buffer_new(request->der.size);
	if (!der || ks_buffer_put(der, request->der.data, request->der.size) < 0)
		return ks_nomem(ctx);
	*out = ks_take(der);
	return 0;
}

void ks_request_free(struct ks_request *request)
{
	if (!request)
		return;
	for (char **oid = request->unknown; oid && *oid; oid++)
		free(*oid);
	free(request->unknown);
	ks_altnames_free(&request->names);
	free((void *)request->der.data);
	free(request);
}
