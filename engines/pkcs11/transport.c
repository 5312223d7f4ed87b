/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transport key comes and goes.
 */
#include "transport.h"

#include <openssl/evp.h>

#include <string.h>

#define CHECKED 3 /* bytes of a check value */

static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;

/* Answers that fewer attributes may help against. */
static bool too_much_said(CK_RV rv)
{
	return rv == CKR_TEMPLATE_INCONSISTENT || rv == CKR_ATTRIBUTE_TYPE_INVALID ||
	       rv == CKR_ATTRIBUTE_VALUE_INVALID || rv == CKR_ATTRIBUTE_READ_ONLY;
}

static CK_RV put(struct ks_p11_transport *transport, const struct ks_secret *secret)
{
	static CK_OBJECT_CLASS class = CKO_SECRET_KEY;
	static CK_KEY_TYPE type = CKK_AES;
	CK_ATTRIBUTE at[] = {
		{ CKA_CLASS, &class, sizeof(class) },
		{ CKA_KEY_TYPE, &type, sizeof(type) },
		{ CKA_TOKEN, &no, sizeof(no) },
		{ CKA_WRAP, &yes, sizeof(yes) },
		{ CKA_UNWRAP, &yes, sizeof(yes) },
		{ CKA_VALUE, (void *)ks_secret_bytes(secret), ks_secret_size(secret) },
		/* what follows is left out when the token does not like it */
		{ CKA_PRIVATE, &yes, sizeof(yes) },
		{ CKA_SENSITIVE, &yes, sizeof(yes) },
		{ CKA_EXTRACTABLE, &no, sizeof(no) },
		{ CKA_ENCRYPT, &no, sizeof(no) },
		{ CKA_DECRYPT, &no, sizeof(no) },
	};
	static const CK_ULONG rungs[] = { 11, 9, 6 };
	CK_RV rv = CKR_OK;

	for (size_t i = 0; i < sizeof(rungs) / sizeof(rungs[0]); i++) {
		rv = ks_p11_create(&transport->token->on, transport->session, at, rungs[i], &transport->key);
		if (!too_much_said(rv))
			break;
	}
	return rv;
}

KS_FREES_SSL(EVP_CIPHER_CTX)
KS_FREES_SSL(EVP_CIPHER)

/* What CKA_CHECK_VALUE of an AES key begins with: a block of zeros encrypted under it (PKCS#11 v2.40 4.10). */
static bool check_value(unsigned char out[16], const struct ks_p11_token *token, const struct ks_secret *secret)
{
	static const unsigned char zeros[16];
	ks_auto_ssl(EVP_CIPHER_CTX) cipher = EVP_CIPHER_CTX_new();
	ks_auto_ssl(EVP_CIPHER) aes = EVP_CIPHER_fetch(ks_crypto(token->ctx), "AES-256-ECB", NULL);
	int size;

	return cipher && aes &&
	       EVP_EncryptInit_ex2(cipher, aes, (const unsigned char *)ks_secret_bytes(secret), NULL, NULL) == 1 &&
	       EVP_EncryptUpdate(cipher, out, &size, zeros, sizeof(zeros)) == 1;
}

/* A backup under another key than ours opens on no other token, and the token itself does not notice. */
static CK_RV kept(const struct ks_p11_transport *transport, const struct ks_secret *secret)
{
	ks_auto(buffer) told = NULL;
	unsigned char wanted[16];
	CK_RV rv = ks_p11_value(&transport->token->on, transport->session, transport->key, CKA_CHECK_VALUE, &told);

	if (rv == CKR_OBJECT_HANDLE_INVALID)
		return KS_CKR_VALUE;
	if (rv != CKR_OK || !told || told->size != CHECKED)
		return rv;
	if (!check_value(wanted, transport->token, secret))
		return CKR_HOST_MEMORY;
	return memcmp(told->data, wanted, CHECKED) == 0 ? CKR_OK : KS_CKR_VALUE;
}

int ks_p11_transport_open(struct ks_p11_transport *out, struct ks_p11_token *token, const struct ks_secret *secret)
{
	struct ks_p11_transport transport = { .token = token };
	CK_RV rv = ks_p11_session_take(token, &transport.session);
	int rc;

	if (rv != CKR_OK)
		return ks_p11_failed(token->ctx, &token->on, rv);
	rv = put(&transport, secret);
	if (rv == CKR_OK)
		rv = kept(&transport, secret);
	if (rv == CKR_OK) {
		*out = transport;
		return 0;
	}
	rc = ks_while(token->ctx, ks_p11_failed(token->ctx, &token->on, rv), "giving it the transport key");
	/* Closed: should the key be there after all, it ends with the session. */
	ks_p11_session_give(token, transport.session, true);
	return rc;
}

void ks_p11_transport_stays(const struct ks_p11_token *token, const char *what)
{
	ks_notice(token->ctx, KS_ETOKEN, token->uri, "", "token %s did not remove %s at once; it ends with this program",
		  token->shown, what);
}

/* Closing the session would end the key for certain, and with the last session the login, and the key that was just restored would
 * be out of reach: so it stays where nobody but us can use it. */
int ks_p11_transport_close(struct ks_p11_transport *transport, int rc)
{
	CK_RV rv = ks_p11_destroy(&transport->token->on, transport->session, transport->key);

	ks_p11_session_give(transport->token, transport->session, rc == KS_EGONE);
	if (rv != CKR_OK && rc == 0)
		ks_p11_transport_stays(transport->token, "the transport key");
	return rc;
}
