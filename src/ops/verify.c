/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does an entry hold together: is the certificate the key's, does the chain reach an anchor, do the dates hold, is anything weak?
 *
 * Every question gets a finding of its own, also when the answer is yes, so that the reader sees what was looked at. A key that
 * cannot be used (PIN, device) is a failure and no finding: then nobody knows.
 */
#include "check.h"

#include "certificate.h"
#include "keyspec.h"
#include "name.h"
#include "text.h"

#include <openssl/rand.h>
#include <openssl/x509_vfy.h>

#include <stdio.h>
#include <string.h>

#define DAY 86400
#define SOON ((int64_t)30 * DAY)

struct verify {
	struct ks_findings *out;
	struct ks_store *store;
	struct ks_ctx *ctx;
	const struct ks_entry *entry;
	int64_t now;
};

void ks_findings_free(struct ks_findings *findings)
{
	for (size_t i = 0; i < findings->count; i++) {
		free(findings->findings[i].text);
		free(findings->findings[i].hint);
	}
	free(findings->findings);
	*findings = (struct ks_findings){ 0 };
}

static int tell(struct ks_findings *out, int status, const char *check, const char *hint, const char *format,
		va_list values)
	__attribute__((format(printf, 5, 0)));
static int tell(struct ks_findings *out, int status, const char *check, const char *hint, const char *format,
		va_list values)
{
	struct ks_finding finding = { .status = status, .check = check, .hint = strdup(hint) };
	int size = vasprintf(&finding.text, format, values);

	if (size < 0 || !finding.hint ||
	    ks_array_grow(&out->findings, &out->capacity, out->count + 1, sizeof(*out->findings)) < 0) {
		free(size < 0 ? NULL : finding.text);
		free(finding.hint);
		return KS_ENOMEM;
	}
	out->findings[out->count++] = finding;
	out->bad = out->bad || status != 0;
	return 0;
}

int ks_finding_tell(struct ks_findings *out, int status, const char *check, const char *hint, const char *format, ...)
{
	va_list values;
	int rc;

	va_start(values, format);
	rc = tell(out, status, check, hint, format, values);
	va_end(values);
	return rc;
}

static int find(struct verify *verify, int status, const char *check, const char *hint, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
static int find(struct verify *verify, int status, const char *check, const char *hint, const char *format, ...)
{
	va_list values;
	int rc;

	va_start(values, format);
	rc = tell(verify->out, status, check, hint, format, values);
	va_end(values);
	return rc < 0 ? ks_nomem(verify->ctx) : 0;
}

/* ---- the pair ---- */

KS_FREES_SSL(X509_STORE)
KS_FREES_SSL(X509_STORE_CTX)

/* Keys that only agree on secrets cannot sign. */
static bool can_sign(const EVP_PKEY *key)
{
	return !EVP_PKEY_is_a(key, "X25519") && !EVP_PKEY_is_a(key, "X448") && !EVP_PKEY_is_a(key, "DH");
}

/* Signs fresh bytes with one key and verifies with the other. */
static int sign_and_verify(bool *fits, struct verify *verify, EVP_PKEY *key, EVP_PKEY *public_key)
{
	ks_auto_ssl(EVP_MD_CTX) signing = EVP_MD_CTX_new();
	ks_auto_ssl(EVP_MD_CTX) verifying = EVP_MD_CTX_new();
	unsigned char fresh[32];
	ks_auto_mem unsigned char *signature = NULL;
	size_t size = 0;

	if (!signing || !verifying || RAND_bytes_ex(ks_crypto(verify->ctx), fresh, sizeof(fresh), 0) != 1)
		return ks_nomem(verify->ctx);
	if (EVP_DigestSignInit_ex(signing, NULL, ks_pkey_digest(key), ks_crypto(verify->ctx), NULL, key, NULL) != 1 ||
	    EVP_DigestSign(signing, NULL, &size, fresh, sizeof(fresh)) != 1)
		return ks_fail_openssl(verify->ctx, KS_ETOKEN, "the private key does not sign");
	signature = malloc(size ? size : 1);
	if (!signature)
		return ks_nomem(verify->ctx);
	if (EVP_DigestSign(signing, signature, &size, fresh, sizeof(fresh)) != 1)
		return ks_fail_openssl(verify->ctx, KS_ETOKEN, "the private key does not sign");
	*fits = EVP_DigestVerifyInit_ex(verifying, NULL, ks_pkey_digest(public_key), ks_crypto(verify->ctx), NULL, public_key, NULL) == 1 &&
		EVP_DigestVerify(verifying, signature, size, fresh, sizeof(fresh)) == 1;
	if (!*fits)
		ks_fail_openssl(verify->ctx, KS_NO_MATCH, "the signature does not verify");
	ks_forgive(verify->ctx);
	return 0;
}

static int find_pair(struct verify *verify, bool fits, const char *how)
{
	if (fits)
		return find(verify, 0, "pair", "", "key and certificate belong together: %s", how);
	return find(verify, KS_NO_MATCH, "pair", "keystow find shows which certificate belongs to the key",
		    "the certificate is not the key's: %s", how);
}

static int pair_by_signature(struct verify *verify, X509 *certificate)
{
	ks_auto_ssl(EVP_PKEY) key = NULL;
	EVP_PKEY *public_key = X509_get0_pubkey(certificate);
	bool fits = false;
	int rc = ks_item_pkey(&key, verify->entry->key, verify->ctx);

	if (rc < 0)
		return rc;
	if (!public_key)
		return find(verify, KS_NO_INVALID, "pair", "", "the certificate's public key cannot be read");
	if (EVP_PKEY_get_base_id(key) != EVP_PKEY_get_base_id(public_key) && can_sign(key) != can_sign(public_key))
		return find_pair(verify, false, "they are of different types");
	if (!can_sign(key))
		return find_pair(verify, EVP_PKEY_eq(key, public_key) == 1, "their public keys were compared");
	rc = sign_and_verify(&fits, verify, key, public_key);
	return rc < 0 ? rc : find_pair(verify, fits, "a signature was made with one and verified with the other");
}

static int check_pair(struct verify *verify, bool sign)
{
	const struct ks_entry *entry = verify->entry;
	struct ks_certificate_facts facts;
	struct ks_bytes spki;
	X509 *certificate;

	if (!entry->key || entry->key->kind == KS_SECRET_KEY)
		return 0;
	if (!entry->certificate)
		return find(verify, 0, "pair", "keystow request asks for one", "no certificate belongs to the key yet");
	if (sign && entry->key->kind == KS_PRIVATE_KEY) {
		certificate = ks_item_x509(entry->certificate, verify->ctx);
		return certificate ? pair_by_signature(verify, certificate) : ks_ctx_status(verify->ctx);
	}
	spki = entry->key->kind == KS_PUBLIC_KEY ? entry->key->der : entry->key->spki;
	if (!spki.data && entry->public_key)
		spki = entry->public_key->der;
	if (!spki.data || ks_certificate_facts(&facts, entry->certificate->der) < 0)
		return find(verify, 0, "pair", "", "whether key and certificate belong together was not looked at");
	return find_pair(verify, ks_bytes_equal(spki, facts.spki), "their public keys were compared");
}

/* ---- dates and strength ---- */

static int check_dates(struct verify *verify, const struct ks_certificate_facts *facts, const char *whose)
{
	int64_t life = facts->not_after - facts->not_before, left = facts->not_after - verify->now;
	char date[11];

	if (verify->now < facts->not_before) {
		ks_date_text(date, facts->not_before);
		return find(verify, KS_NO_INVALID, "dates", "look at the clock of this machine and of the CA",
			    "%s is not valid before %s", whose, date);
	}
	ks_date_text(date, facts->not_after);
	if (left < 0)
		return find(verify, KS_NO_INVALID, "dates", "ask for a new one: keystow enroll or keystow request",
			    "%s expired on %s", whose, date);
	if (left < SOON && left < life / 3)
		return find(verify, KS_NO_EXPIRING, "dates", "ask for a new one: keystow enroll or keystow request",
			    "%s expires on %s, in %lld day%s", whose, date, (long long)(left / DAY), left / DAY == 1 ? "" : "s");
	return find(verify, 0, "dates", "", "%s is valid until %s", whose, date);
}

bool ks_key_weak(const struct ks_keyspec *key)
{
	switch (key->type) {
	case KS_KEY_RSA:
	case KS_KEY_RSA_PSS:
	case KS_KEY_DH:
		return key->bits < 2048;
	case KS_KEY_EC:
		return key->bits < 224;
	case KS_KEY_DSA:
		return true;
	default:
		return false;
	}
}

static int check_strength(struct verify *verify, struct ks_item *item, const struct ks_certificate_facts *facts)
{
	X509 *certificate = ks_item_x509(item, verify->ctx);
	int digest = NID_undef, rc = 0;
	char title[32];

	if (!certificate)
		return ks_ctx_status(verify->ctx);
	ks_keyspec_title(title, &facts->key);
	if (ks_key_weak(&facts->key))
		rc = find(verify, KS_NO_INVALID, "key", "make a new key of at least 2048 bits RSA or 256 bits EC",
			  "the key is weak: %s", title);
	else
		rc = find(verify, 0, "key", "", "the key is %s", title);
	if (rc == 0 && X509_get_signature_info(certificate, &digest, NULL, NULL, NULL) == 1 && !facts->self_issued &&
	    (digest == NID_md5 || digest == NID_sha1 || digest == NID_md4 || digest == NID_md2))
		rc = find(verify, KS_NO_INVALID, "signature", "ask the CA for one signed with SHA-256",
			  "the certificate is signed with %s, which can be forged", OBJ_nid2sn(digest));
	return rc;
}

/* ---- the chain ---- */

/* The anchors of a store that marks none are the roots above the key. */
static int trust_own(X509_STORE *trusted, struct verify *verify)
{
	struct ks_certificate_facts facts;
	const struct ks_entry *entry = verify->entry;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i <= entry->chain_count; i++) {
		struct ks_item *item = i ? entry->chain[i - 1] : entry->certificate;

		if (ks_certificate_facts(&facts, item->der) == 0 && facts.self_issued && ks_item_x509(item, verify->ctx))
			rc = X509_STORE_add_cert(trusted, ks_item_x509(item, verify->ctx)) == 1 ? 0 : ks_nomem(verify->ctx);
	}
	return rc;
}

/* Only what bears the name of an issuer in sight is parsed: a store may trust ten thousand. */
static bool may_issue(const struct verify *verify, const struct ks_item *anchor)
{
	struct ks_certificate_facts facts, below;
	const struct ks_entry *entry = verify->entry;

	if (anchor->kind != KS_CERTIFICATE || ks_certificate_facts(&facts, anchor->der) < 0)
		return false;
	for (size_t i = 0; i <= entry->chain_count; i++) {
		const struct ks_item *item = i ? entry->chain[i - 1] : entry->certificate;

		if (ks_certificate_facts(&below, item->der) == 0 &&
		    (ks_bytes_equal(below.issuer, facts.subject) || ks_bytes_equal(item->der, anchor->der)))
			return true;
	}
	return false;
}

static int trust_set(X509_STORE *trusted, struct verify *verify, const struct ks_set *anchors, bool marked_only)
{
	for (size_t i = 0; i < ks_set_count(anchors); i++) {
		struct ks_item *item = ks_set_at(anchors, i);

		if ((marked_only && !ks_item_is_anchor(item)) || !may_issue(verify, item))
			continue;
		if (ks_item_x509(item, verify->ctx) && X509_STORE_add_cert(trusted, ks_item_x509(item, verify->ctx)) != 1)
			return ks_nomem(verify->ctx);
	}
	return 0;
}

static int push_certificate(STACK_OF(X509) *stack, struct verify *verify, struct ks_item *item)
{
	X509 *certificate = ks_item_x509(item, verify->ctx);

	if (!certificate)
		return ks_ctx_status(verify->ctx);
	return sk_X509_push(stack, certificate) > 0 ? 0 : ks_nomem(verify->ctx);
}

static int find_chain(struct verify *verify, X509_STORE_CTX *state, const struct ks_certificate_facts *facts)
{
	ks_auto_mem char *issuer = ks_name_text(facts->issuer);
	int error = X509_STORE_CTX_get_error(state), depth = X509_STORE_CTX_get_error_depth(state);

	if (error == X509_V_OK)
		return find(verify, 0, "chain", "", "the chain holds up to its anchor, %d certificates long",
			    sk_X509_num(X509_STORE_CTX_get0_chain(state)));
	if (error == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY || error == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT ||
	    error == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE || error == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT ||
	    error == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN)
		return find(verify, KS_NO_INVALID, "chain", "name the CA's certificates with --anchors, or copy them into the store",
			    "the chain ends at depth %d without an anchor; the certificate's issuer is %s", depth,
			    issuer ? issuer : "unnamed");
	return find(verify, KS_NO_INVALID, "chain", "ask the CA", "the chain does not hold at depth %d: %s", depth,
		    X509_verify_cert_error_string(error));
}

static void certificates_free(STACK_OF(X509) **stack)
{
	sk_X509_free(*stack);
}

static int check_chain(struct verify *verify, const struct ks_set *anchors, const struct ks_certificate_facts *facts)
{
	ks_auto_ssl(X509_STORE) trusted = X509_STORE_new();
	ks_auto_ssl(X509_STORE_CTX) state = X509_STORE_CTX_new_ex(ks_crypto(verify->ctx), NULL);
	__attribute__((cleanup(certificates_free))) STACK_OF(X509) *between = sk_X509_new_null();
	int rc = trusted && state && between ? 0 : ks_nomem(verify->ctx);

	for (size_t i = 0; rc == 0 && i < verify->entry->chain_count; i++)
		rc = push_certificate(between, verify, verify->entry->chain[i]);
	if (rc == 0)
		rc = trust_set(trusted, verify, anchors ? anchors : verify->store->items, !anchors);
	if (rc == 0 && !anchors)
		rc = trust_own(trusted, verify);
	if (rc < 0)
		return rc;
	if (X509_STORE_CTX_init(state, trusted, ks_item_x509(verify->entry->certificate, verify->ctx), between) != 1)
		return ks_nomem(verify->ctx);
	X509_STORE_CTX_set_flags(state, X509_V_FLAG_NO_CHECK_TIME | X509_V_FLAG_PARTIAL_CHAIN);
	X509_VERIFY_PARAM_set_auth_level(X509_STORE_CTX_get0_param(state), 0);
	X509_verify_cert(state);
	rc = find_chain(verify, state, facts);
	if (rc == 0)
		ks_forgive(verify->ctx);
	return rc;
}

static int check_chain_dates(struct verify *verify)
{
	struct ks_certificate_facts facts;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < verify->entry->chain_count; i++) {
		struct ks_item *item = verify->entry->chain[i];
		ks_auto_mem char *named = ks_item_named(item);

		if (ks_certificate_facts(&facts, item->der) == 0)
			rc = check_dates(verify, &facts, named ? named : "a certificate of the chain");
	}
	return rc;
}

int ks_verify_entry(struct ks_findings *out, struct ks_store *store, const struct ks_entry *entry, const struct ks_set *anchors,
		    bool sign, int64_t now)
{
	struct verify verify = { .out = out, .store = store, .ctx = store->ctx, .entry = entry, .now = now };
	struct ks_certificate_facts facts;
	int rc = check_pair(&verify, sign);

	if (rc < 0 || !entry->certificate)
		return rc;
	if (ks_certificate_facts(&facts, entry->certificate->der) < 0)
		return find(&verify, KS_NO_INVALID, "certificate", "", "the certificate cannot be decoded");
	rc = check_dates(&verify, &facts, "the certificate");
	if (rc == 0)
		rc = check_strength(&verify, entry->certificate, &facts);
	if (rc == 0)
		rc = check_chain(&verify, anchors, &facts);
	return rc < 0 ? rc : check_chain_dates(&verify);
}
