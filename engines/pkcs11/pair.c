/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One signature over random bytes, verified in software.
 *
 * An EC private key mostly tells nothing of its public half, which is found by the common id; a token that hands out the public
 * half of another pair is believed until the first certificate is of no use. The session is the caller's: some devices have one.
 */
#include "pair.h"

#include "mldsa.h"
#include "sign.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <string.h>

#define TEXT 32

KS_FREES_SSL(ECDSA_SIG)

CK_MECHANISM_TYPE ks_p11_bare_mechanism(const struct ks_keyspec *spec)
{
	return spec->type == KS_KEY_RSA               ? CKM_RSA_PKCS
	       : spec->type == KS_KEY_EC              ? CKM_ECDSA
	       : ks_p11_ml_dsa_of(spec->type) != NULL ? CKM_ML_DSA
						      : CKM_EDDSA;
}

/* Two bare numbers into DER, in place. */
static bool bare_to_der(unsigned char *signature, size_t *size)
{
	ks_auto_ssl(ECDSA_SIG) numbers = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(signature, (int)(*size / 2), NULL),
	       *s = BN_bin2bn(signature + *size / 2, (int)(*size / 2), NULL);
	int length;

	if (!numbers || !r || !s || !ECDSA_SIG_set0(numbers, r, s)) {
		BN_free(r);
		BN_free(s);
		return false;
	}
	length = i2d_ECDSA_SIG(numbers, NULL);
	if (length <= 0 || length > KS_P11_LONGEST_SIGNATURE)
		return false;
	*size = (size_t)i2d_ECDSA_SIG(numbers, &signature);
	return true;
}

static bool verified_whole(struct ks_ctx *ctx, EVP_PKEY *key, struct ks_bytes signature, struct ks_bytes text)
{
	ks_auto_ssl(EVP_MD_CTX) digest = EVP_MD_CTX_new();

	return digest &&
	       EVP_DigestVerifyInit_ex(digest, NULL, NULL, ks_crypto(ctx), "provider=default", key, NULL) > 0 &&
	       EVP_DigestVerify(digest, signature.data, signature.size, text.data, text.size) == 1;
}

static bool verified_bare(struct ks_ctx *ctx, EVP_PKEY *key, struct ks_bytes signature, struct ks_bytes text)
{
	ks_auto_ssl(EVP_PKEY_CTX) verifier = EVP_PKEY_CTX_new_from_pkey(ks_crypto(ctx), key, "provider=default");

	return verifier && EVP_PKEY_verify_init(verifier) > 0 &&
	       EVP_PKEY_verify(verifier, signature.data, signature.size, text.data, text.size) == 1;
}

bool ks_p11_pair_verifies(struct ks_ctx *ctx, struct ks_bytes spki, unsigned char *signature, size_t size,
			  struct ks_bytes text)
{
	const struct ks_keyspec spec = ks_keyspec_of_spki(spki);
	const unsigned char *at = spki.data;
	ks_auto_ssl(EVP_PKEY) key = NULL;
	bool right;

	ERR_set_mark();
	key = d2i_PUBKEY_ex(NULL, &at, (long)spki.size, ks_crypto(ctx), "provider=default");
	right = key && (spec.type != KS_KEY_EC || bare_to_der(signature, &size));
	if (right)
		right = ks_pkey_digest(key) ? verified_bare(ctx, key, KS_BYTES(signature, size), text)
					    : verified_whole(ctx, key, KS_BYTES(signature, size), text);
	ERR_pop_to_mark();
	return right;
}

int ks_p11_pair_prove(struct ks_p11_token *token, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE private_key,
		      struct ks_bytes spki)
{
	struct ks_keyspec spec = ks_keyspec_of_spki(spki);
	CK_MECHANISM mechanism = { ks_p11_bare_mechanism(&spec), NULL, 0 };
	unsigned char text[TEXT], signature[KS_P11_LONGEST_SIGNATURE];
	size_t size = sizeof(signature);
	CK_RV rv;

	if (RAND_bytes(text, sizeof(text)) != 1)
		return ks_fail_openssl(token->ctx, KS_EBUG, "no random numbers");
	rv = ks_p11_sign_init(&token->on, session, &mechanism, private_key);
	if (rv == CKR_OK)
		rv = ks_p11_sign(&token->on, session, KS_BYTES(text, sizeof(text)), signature, &size);
	if (rv != CKR_OK)
		return ks_p11_status(rv) == KS_ELIES ? ks_p11_failed(token->ctx, &token->on, rv) : 0;
	if (ks_p11_pair_verifies(token->ctx, spki, signature, size, KS_BYTES(text, sizeof(text))))
		return 0;
	return ks_fail(token->ctx, KS_EPROOF,
		       "token %s made a key pair whose private half does not sign for its public half", token->shown);
}
