/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One signature, or one decryption, through the same provider that all others use.
 */
#include "trial.h"

#include "backup.h"
#include "keyspec.h"
#include "pkey.h"
#include "sign.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <string.h>

#define FRESH 32

struct trial {
	struct ks_p11_token *token;
	EVP_PKEY *inside, *outside; /* the private key in the token, the public key here */
	unsigned char fresh[FRESH];
};

static int fails(const struct trial *trial, const char *what)
{
	return ks_fail_openssl(trial->token->ctx, KS_EPROOF, "the key in token %s %s", trial->token->shown, what);
}

static int try_signing(const struct trial *trial)
{
	ks_auto_ssl(EVP_MD_CTX) signing = EVP_MD_CTX_new();
	ks_auto_ssl(EVP_MD_CTX) verifying = EVP_MD_CTX_new();
	OSSL_LIB_CTX *crypto = ks_crypto(trial->token->ctx);
	unsigned char signature[KS_P11_LONGEST_SIGNATURE];
	size_t size = sizeof(signature);

	if (!signing || !verifying)
		return ks_nomem(trial->token->ctx);
	if (EVP_DigestSignInit_ex(signing, NULL, ks_pkey_digest(trial->inside), crypto, NULL, trial->inside,
				  NULL) != 1 ||
	    EVP_DigestSign(signing, signature, &size, trial->fresh, FRESH) != 1)
		return fails(trial, "does not sign");
	if (EVP_DigestVerifyInit_ex(verifying, NULL, ks_pkey_digest(trial->outside), crypto, NULL,
				    trial->outside, NULL) != 1 ||
	    EVP_DigestVerify(verifying, signature, size, trial->fresh, FRESH) != 1)
		return fails(trial, "signs something that does not verify with its public key");
	return 0;
}

static int try_decrypting(const struct trial *trial)
{
	OSSL_LIB_CTX *crypto = ks_crypto(trial->token->ctx);
	ks_auto_ssl(EVP_PKEY_CTX) encrypting = EVP_PKEY_CTX_new_from_pkey(crypto, trial->outside, NULL);
	ks_auto_ssl(EVP_PKEY_CTX) decrypting = EVP_PKEY_CTX_new_from_pkey(crypto, trial->inside, NULL);
	unsigned char hidden[2048], shown[2048];
	size_t hidden_size = sizeof(hidden), shown_size = sizeof(shown);

	if (!encrypting || !decrypting || EVP_PKEY_encrypt_init(encrypting) != 1 ||
	    EVP_PKEY_encrypt(encrypting, hidden, &hidden_size, trial->fresh, FRESH) != 1)
		return ks_nomem(trial->token->ctx);
	if (EVP_PKEY_decrypt_init(decrypting) != 1 ||
	    EVP_PKEY_decrypt(decrypting, shown, &shown_size, hidden, hidden_size) != 1)
		return fails(trial, "does not decrypt");
	if (shown_size != FRESH || memcmp(shown, trial->fresh, FRESH) != 0)
		return fails(trial, "does not decrypt what was encrypted to its public key");
	return 0;
}

/* The item that stands for the object, with that public key whatever the token tells of it. */
static int item_for(struct ks_set **set, struct ks_item **item, struct ks_p11_token *token,
		    const struct ks_p11_object *object, struct ks_bytes spki)
{
	int rc = ks_set_new(set, token->ctx);

	if (rc == 0)
		rc = ks_p11_item_add(item, *set, token, object);
	if (rc < 0)
		return rc;
	(*item)->spki = ks_set_bytes(*set, spki.data, spki.size);
	return (*item)->spki.data ? 0 : ks_nomem(token->ctx);
}

int ks_p11_try_key(bool *tried, struct ks_p11_token *token, const struct ks_p11_object *object, struct ks_bytes spki,
		   unsigned uses)
{
	ks_auto(set) set = NULL;
	ks_auto_ssl(EVP_PKEY) inside = NULL;
	ks_auto_ssl(EVP_PKEY) outside = NULL;
	struct trial trial = { .token = token };
	struct ks_item *item = NULL;
	int rc;

	*tried = uses & (KS_WRAPPED_SIGN | KS_WRAPPED_DECRYPT);
	if (!*tried)
		return 0;
	rc = item_for(&set, &item, token, object, spki);
	if (rc == 0)
		rc = ks_spki_key(&outside, token->ctx, spki);
	if (rc == 0)
		rc = ks_p11_item_pkey(&inside, item, token->ctx);
	if (rc < 0)
		return rc;
	if (RAND_bytes_ex(ks_crypto(token->ctx), trial.fresh, FRESH, 0) != 1)
		return ks_fail_openssl(token->ctx, KS_EBUG, "no random numbers");
	trial.inside = inside;
	trial.outside = outside;
	return uses & KS_WRAPPED_SIGN ? try_signing(&trial) : try_decrypting(&trial);
}
