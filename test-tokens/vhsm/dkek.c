/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys that travel between cards: wrapped under the device key encryption key, which several people bring in as shares.
 *
 * The shares are XORed; a card with all of them shows the first bytes of the key's SHA-256 as check value. A wrapped key is
 * opaque to whoever carries it; here it is
 *
 *	check value (8)  AES-256-CBC (IV of zeros) of { random (16)  PKCS#8  padding }  AES-256-CMAC over all before (16)
 *
 * with the two keys SHA-256 (DKEK || 00000001) and (DKEK || 00000002).
 */
#include "apdu.h"
#include "key.h"

#include <string.h>
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/x509.h>

#define CHECK_LENGTH 8
#define BLOCK 16
#define WRAPPED_MOST 4096

enum purpose { ENCRYPTING = 1, AUTHENTICATING = 2 };

static bool check_value(uint8_t out[EVP_MAX_MD_SIZE], const struct dkek *dkek)
{
	return EVP_Digest(dkek->key, DKEK_LENGTH, out, NULL, EVP_sha256(), NULL) == 1;
}

static bool derive(uint8_t out[EVP_MAX_MD_SIZE], const struct dkek *dkek, enum purpose purpose)
{
	uint8_t in[DKEK_LENGTH + 4] = { 0 };

	memcpy(in, dkek->key, DKEK_LENGTH);
	in[sizeof(in) - 1] = (uint8_t)purpose;
	return EVP_Digest(in, sizeof(in), out, NULL, EVP_sha256(), NULL) == 1;
}

static bool authenticate(uint8_t out[BLOCK], const struct dkek *dkek, struct slice over)
{
	OSSL_PARAM params[] = { OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_CIPHER, (char[]){ "AES-256-CBC" }, 0),
				OSSL_PARAM_END };
	EVP_MAC *cmac = EVP_MAC_fetch(NULL, "CMAC", NULL);
	EVP_MAC_CTX *ctx = cmac ? EVP_MAC_CTX_new(cmac) : NULL;
	uint8_t key[EVP_MAX_MD_SIZE];
	size_t length;
	bool done = ctx && derive(key, dkek, AUTHENTICATING) && EVP_MAC_init(ctx, key, 32, params) &&
		    EVP_MAC_update(ctx, over.at, over.length) && EVP_MAC_final(ctx, out, &length, BLOCK);

	EVP_MAC_CTX_free(ctx);
	EVP_MAC_free(cmac);
	return done;
}

/* Both ways; 0 = it went wrong. `out` has room for another block. */
static size_t cipher(uint8_t *out, const struct dkek *dkek, struct slice in, bool encrypt)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	const uint8_t iv[BLOCK] = { 0 };
	uint8_t key[EVP_MAX_MD_SIZE];
	int length = 0, rest = 0;
	bool done = ctx && derive(key, dkek, ENCRYPTING) &&
		    EVP_CipherInit_ex2(ctx, EVP_aes_256_cbc(), key, iv, encrypt, NULL) == 1 &&
		    EVP_CipherUpdate(ctx, out, &length, in.at, (int)in.length) == 1 &&
		    EVP_CipherFinal_ex(ctx, out + length, &rest) == 1;

	EVP_CIPHER_CTX_free(ctx);
	return done ? (size_t)(length + rest) : 0;
}

/* Data: a share, or nothing to ask. The answer: shares, how many are missing, check value. */
unsigned dkek_share(struct card *card, const struct command *command, struct buffer *answer)
{
	struct dkek *dkek = &card->dkek;
	const struct slice share = command->data;
	uint8_t check[EVP_MAX_MD_SIZE] = { 0 };

	if (!dkek->wanted)
		return SW_NO_SUCH_COMMAND;
	if (share.length) {
		if (share.length != DKEK_LENGTH)
			return SW_WRONG_LENGTH;
		if (dkek->missing == 0)
			return SW_NOT_NOW;
		for (size_t i = 0; i < DKEK_LENGTH; i++)
			dkek->key[i] ^= share.at[i];
		dkek->missing--;
		if (!card_save(card))
			return SW_BROKEN;
	}
	if (dkek->missing == 0 && !check_value(check, dkek))
		return SW_BROKEN;
	buffer_add_byte(answer, dkek->shares);
	buffer_add_byte(answer, dkek->missing);
	buffer_add(answer, check, CHECK_LENGTH);
	return SW_OK;
}

static unsigned ready(const struct dkek *dkek)
{
	if (!dkek->wanted)
		return SW_NO_SUCH_COMMAND;
	return dkek->missing ? SW_NOT_NOW : SW_OK;
}

/* P1: the key's number. */
unsigned dkek_wrap(struct card *card, const struct command *command, struct buffer *answer)
{
	const struct object *key = object_find(card->keys, command->p1);
	const unsigned sw = ready(&card->dkek);
	uint8_t plain[WRAPPED_MOST], sealed[WRAPPED_MOST + BLOCK], check[EVP_MAX_MD_SIZE], mac[BLOCK];
	size_t length;

	if (sw != SW_OK)
		return sw;
	if (!key || key->length > WRAPPED_MOST - BLOCK)
		return SW_NO_SUCH_KEY;
	if (RAND_bytes(plain, BLOCK) != 1 || !check_value(check, &card->dkek))
		return SW_BROKEN;
	memcpy(plain + BLOCK, key->at, key->length);
	length = cipher(sealed, &card->dkek, (struct slice){ plain, BLOCK + key->length }, true);
	OPENSSL_cleanse(plain, sizeof(plain));
	buffer_add(answer, check, CHECK_LENGTH);
	buffer_add(answer, sealed, length);
	if (length == 0 || !authenticate(mac, &card->dkek, buffer_slice(answer)))
		return SW_BROKEN;
	buffer_add(answer, mac, BLOCK);
	return SW_OK;
}

static bool genuine(const struct dkek *dkek, struct slice wrapped)
{
	uint8_t check[EVP_MAX_MD_SIZE], mac[BLOCK];

	if (wrapped.length < CHECK_LENGTH + 2 * BLOCK + BLOCK || wrapped.length > WRAPPED_MOST)
		return false;
	return check_value(check, dkek) && memcmp(check, wrapped.at, CHECK_LENGTH) == 0 &&
	       authenticate(mac, dkek, (struct slice){ wrapped.at, wrapped.length - BLOCK }) &&
	       CRYPTO_memcmp(mac, wrapped.at + wrapped.length - BLOCK, BLOCK) == 0;
}

/* P1: the number for the key, which must be free. */
unsigned dkek_unwrap(struct card *card, const struct command *command, struct buffer *answer)
{
	const struct slice in = command->data;
	const unsigned sw = ready(&card->dkek);
	uint8_t plain[WRAPPED_MOST + BLOCK];
	const uint8_t *der = plain + BLOCK;
	EVP_PKEY *key;
	size_t length;
	bool done;

	(void)answer;
	if (sw != SW_OK)
		return sw;
	if (object_find(card->keys, command->p1))
		return SW_NOT_NOW;
	if (!genuine(&card->dkek, in))
		return SW_WRONG_DATA;
	length = cipher(plain, &card->dkek, (struct slice){ in.at + CHECK_LENGTH, in.length - CHECK_LENGTH - BLOCK },
			false);
	key = length > BLOCK ? d2i_AutoPrivateKey(NULL, &der, (long)(length - BLOCK)) : NULL;
	OPENSSL_cleanse(plain, sizeof(plain));
	done = key && key_store(card, command->p1, key);
	EVP_PKEY_free(key);
	return done ? SW_OK : SW_WRONG_DATA;
}
