/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates made by OpenSSL for the unit tests: P-256, self-signed or signed by another one. */
#ifndef KS_MADE_H
#define KS_MADE_H

#include "name.h"

#include <openssl/x509v3.h>

#include <string.h>

#define MADE_FROM 1700000000
#define MADE_UNTIL 2000000000

struct made {
	const char *subject;
	const char *issuer; /* NULL = the subject */
	const char *extensions[3]; /* basicConstraints, keyUsage, extendedKeyUsage in OpenSSL's words; NULL = none */
	const char *names; /* subjectAltName in OpenSSL's words, or NULL */
	EVP_PKEY *key; /* borrowed; NULL = a fresh one */
	EVP_PKEY *signer; /* borrowed; NULL = key */
};

static inline int made_extend(X509 *certificate, int nid, const char *value)
{
	X509_EXTENSION *extension = value ? X509V3_EXT_conf_nid(NULL, NULL, nid, value) : NULL;
	int rc = !value || (extension && X509_add_ext(certificate, extension, -1));

	X509_EXTENSION_free(extension);
	return rc;
}

static inline int made_fill(X509 *certificate, struct ks_ctx *ctx, const struct made *made, EVP_PKEY *key)
{
	static const int nids[] = { NID_basic_constraints, NID_key_usage, NID_ext_key_usage };
	ks_auto_ssl(X509_NAME) subject = NULL;
	ks_auto_ssl(X509_NAME) issuer = NULL;

	if (ks_name_parse(&subject, ctx, made->subject) < 0 ||
	    ks_name_parse(&issuer, ctx, made->issuer ? made->issuer : made->subject) < 0)
		return 0;
	for (size_t i = 0; i < 3; i++) {
		if (!made_extend(certificate, nids[i], made->extensions[i]))
			return 0;
	}
	return X509_set_version(certificate, X509_VERSION_3) &&
	       made_extend(certificate, NID_subject_alt_name, made->names) &&
	       ASN1_INTEGER_set(X509_get_serialNumber(certificate), 0x1234) &&
	       ASN1_TIME_set(X509_getm_notBefore(certificate), MADE_FROM) &&
	       ASN1_TIME_set(X509_getm_notAfter(certificate), MADE_UNTIL) &&
	       X509_set_subject_name(certificate, subject) && X509_set_issuer_name(certificate, issuer) &&
	       X509_set_pubkey(certificate, key) &&
	       X509_sign(certificate, made->signer ? made->signer : key, EVP_sha256());
}

/* DER of a new certificate; NULL when OpenSSL or the name parser refused. */
static inline struct ks_buffer *made_certificate(struct ks_ctx *ctx, const struct made *made)
{
	ks_auto_ssl(X509) certificate = X509_new();
	ks_auto_ssl(EVP_PKEY) fresh = made->key ? NULL : EVP_EC_gen("P-256");
	struct ks_buffer *der = NULL;
	unsigned char *bytes = NULL;
	int size;

	if (certificate && made_fill(certificate, ctx, made, made->key ? made->key : fresh)) {
		size = i2d_X509(certificate, &bytes);
		der = size > 0 ? ks_buffer_new((size_t)size) : NULL;
		if (der)
			ks_buffer_put(der, bytes, (size_t)size);
	}
	OPENSSL_free(bytes);
	return der;
}

#endif
