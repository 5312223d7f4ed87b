/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A signature by a key that was just put into a token. opencryptoki 3.8 keeps EC keys that it cannot use, and a number that was cut
 * on the way makes a key that signs for nobody; both are found here, while the file still has the key.
 */
#include "import_proof.h"

#include "calls.h"

#include <openssl/ec.h>
#include <openssl/rand.h>

#include <string.h>

#define TEXT 32
#define SIGNATURE 1024

/* What the token signs: the digest of the text behind its name for RSA (RFC 8017 9.2), the digest for EC, the text for Ed25519. */
static struct ks_bytes signed_of(unsigned char room[64], CK_MECHANISM *mechanism, const struct ks_keyspec *spec,
				 struct ks_bytes text)
{
	static const unsigned char sha256[] = { 0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
						0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20 };

	if (spec->type == KS_KEY_ED25519) {
		mechanism->mechanism = CKM_EDDSA;
		return text;
	}
	mechanism->mechanism = spec->type == KS_KEY_RSA ? CKM_RSA_PKCS : CKM_ECDSA;
	memcpy(room, sha256, sizeof(sha256));
	ks_sha256(room + sizeof(sha256), text);
	return spec->type == KS_KEY_RSA ? KS_BYTES(room, sizeof(sha256) + KS_SHA256)
					: KS_BYTES(room + sizeof(sha256), KS_SHA256);
}

KS_FREES_SSL(ECDSA_SIG)

/* A token gives r and s side by side; OpenSSL wants them as DER. Returns the new size, 0 = impossible. */
static size_t pair_to_der(unsigned char signature[SIGNATURE], size_t size)
{
	ks_auto_ssl(ECDSA_SIG) pair = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(signature, (int)(size / 2), NULL), *s = BN_bin2bn(signature + size / 2, (int)(size / 2), NULL);
	unsigned char *at = signature;
	int length;

	if (!pair || !r || !s || size % 2 || ECDSA_SIG_set0(pair, r, s) != 1) {
		BN_free(r);
		BN_free(s);
		return 0;
	}
	length = i2d_ECDSA_SIG(pair, NULL);
	return length > 0 && length <= SIGNATURE && i2d_ECDSA_SIG(pair, &at) == length ? (size_t)length : 0;
}

static bool verifies(struct ks_ctx *ctx, EVP_PKEY *key, const struct ks_keyspec *spec, struct ks_bytes text,
		     const unsigned char *signature, size_t size)
{
	ks_auto_ssl(EVP_MD_CTX) digest = EVP_MD_CTX_new();

	return digest &&
	       EVP_DigestVerifyInit_ex(digest, NULL, spec->type == KS_KEY_ED25519 ? NULL : "SHA256", ks_crypto(ctx),
				       "provider=default", key, NULL) == 1 &&
	       EVP_DigestVerify(digest, signature, size, text.data, text.size) == 1;
}

int ks_p11_import_prove(struct ks_p11_token *token, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE handle, EVP_PKEY *key,
			const struct ks_keyspec *spec)
{
	unsigned char text[TEXT], room[64], signature[SIGNATURE];
	CK_MECHANISM mechanism = { 0 };
	struct ks_bytes tbs;
	size_t size = sizeof(signature);
	CK_RV rv;

	if (RAND_bytes(text, sizeof(text)) != 1)
		return ks_fail_openssl(token->ctx, KS_EBUG, "no random numbers");
	tbs = signed_of(room, &mechanism, spec, KS_BYTES(text, sizeof(text)));
	rv = ks_p11_sign_init(&token->on, session, &mechanism, handle);
	if (rv == CKR_OK)
		rv = ks_p11_sign(&token->on, session, tbs, signature, &size);
	if (rv != CKR_OK)
		return ks_while(token->ctx, ks_p11_failed(token->ctx, &token->on, rv),
				"token %s took the key, but does not sign with it", token->shown);
	if (spec->type == KS_KEY_EC)
		size = pair_to_der(signature, size);
	if (size && verifies(token->ctx, key, spec, KS_BYTES(text, sizeof(text)), signature, size))
		return 0;
	return ks_fail_openssl(token->ctx, KS_EPROOF,
			       "token %s took the key, but a signature that it makes does not verify with its public half",
			       token->shown);
}
