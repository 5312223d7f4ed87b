/* SPDX-License-Identifier: Apache-2.0 */
/*
 * make_certificates COUNT > bundle.pem: that many different user certificates, as a CA with an RSA-2048 key would issue them.
 *
 * They share one RSA-2048 public key, because making ten thousand keys would take a quarter of an hour and changes nothing for
 * those who copy certificates about; subject, serial number and signature are each certificate's own.
 */
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <stdio.h>
#include <stdlib.h>

static int extend(X509 *certificate, int nid, const char *value)
{
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
	int done = extension && X509_add_ext(certificate, extension, -1);

	X509_EXTENSION_free(extension);
	return done;
}

static int name(X509_NAME *out, const char *common)
{
	return X509_NAME_add_entry_by_txt(out, "C", MBSTRING_ASC, (const unsigned char *)"GB", -1, -1, 0) &&
	       X509_NAME_add_entry_by_txt(out, "O", MBSTRING_ASC, (const unsigned char *)"Benchmark", -1, -1, 0) &&
	       X509_NAME_add_entry_by_txt(out, "CN", MBSTRING_ASC, (const unsigned char *)common, -1, -1, 0);
}

static X509 *make(long n, EVP_PKEY *key, EVP_PKEY *issuer)
{
	X509 *certificate = X509_new();
	char common[32];

	snprintf(common, sizeof(common), "user %06ld", n);
	if (!certificate || !X509_set_version(certificate, X509_VERSION_3) ||
	    !ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1000000 + n) ||
	    !name(X509_get_subject_name(certificate), common) || !name(X509_get_issuer_name(certificate), "issuer") ||
	    !ASN1_TIME_set_string(X509_getm_notBefore(certificate), "20260101000000Z") ||
	    !ASN1_TIME_set_string(X509_getm_notAfter(certificate), "20360101000000Z") || !X509_set_pubkey(certificate, key) ||
	    !extend(certificate, NID_key_usage, "critical,digitalSignature,keyEncipherment") ||
	    !extend(certificate, NID_ext_key_usage, "clientAuth") || !X509_sign(certificate, issuer, EVP_sha256()))
		return NULL;
	return certificate;
}

int main(int argc, char **argv)
{
	long count = argc == 2 ? strtol(argv[1], NULL, 10) : 0;
	EVP_PKEY *key = EVP_RSA_gen(2048), *issuer = EVP_RSA_gen(2048);

	if (count <= 0 || !key || !issuer) {
		fprintf(stderr, "make_certificates COUNT > bundle.pem\n");
		return 2;
	}
	for (long n = 0; n < count; n++) {
		X509 *certificate = make(n, key, issuer);

		if (!certificate || !PEM_write_X509(stdout, certificate)) {
			fprintf(stderr, "make_certificates: certificate %ld could not be made\n", n);
			return 1;
		}
		X509_free(certificate);
	}
	EVP_PKEY_free(key);
	EVP_PKEY_free(issuer);
	return fclose(stdout) ? 1 : 0;
}
