/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys are made on the card and used there. A key whose PKCS#15 description has userConsent (PKCS#15 6.1.8) is used once
 * after each verification of the PIN: that is what CKA_ALWAYS_AUTHENTICATE promises about it.
 */
#include "key.h"
#include "apdu.h"
#include "curve.h"
#include "cvc.h"

#include <string.h>
#include <openssl/core_names.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#define ANSWER_MOST 1024

EVP_PKEY *key_open(const struct card *card, unsigned number)
{
	const struct object *object = object_find(card->keys, number);
	const uint8_t *der = object ? object->at : NULL;

	return object ? d2i_AutoPrivateKey(NULL, &der, (long)object->length) : NULL;
}

bool key_store(struct card *card, unsigned number, EVP_PKEY *key)
{
	PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
	uint8_t *der = NULL;
	int length = info ? i2d_PKCS8_PRIV_KEY_INFO(info, &der) : -1;
	bool done =
		length > 0 && object_put(&card->keys, number, (struct slice){ der, (size_t)length }) && card_save(card);

	OPENSSL_clear_free(der, length > 0 ? (size_t)length : 0);
	PKCS8_PRIV_KEY_INFO_free(info);
	return done;
}

/* ---- making ---- */

static EVP_PKEY *make(struct slice wanted)
{
	struct slice bits, prime;
	const char *curve;

	if (tlv_find(&prime, wanted, 0x81)) {
		curve = curve_of_prime(prime);
		return curve ? EVP_EC_gen(curve) : NULL;
	}
	if (!tlv_find(&bits, wanted, 0x02) || bits.length != 2)
		return NULL;
	return EVP_RSA_gen((unsigned)(bits.at[0] << 8 | bits.at[1]));
}

/* Data: the body of a certificate request without the key, P1: the key's number. The answer is the request. */
unsigned key_generate(struct card *card, const struct command *command, struct buffer *answer)
{
	struct slice wanted, holder;
	EVP_PKEY *key;
	bool done;

	if (!tlv_find(&wanted, command->data, 0x7F49) || !tlv_find(&holder, command->data, 0x5F20))
		return SW_WRONG_DATA;
	key = make(wanted);
	if (!key)
		return SW_WRONG_DATA;
	done = cvc_request(answer, card, key, holder) && key_store(card, command->p1, key);
	EVP_PKEY_free(key);
	return done ? SW_OK : SW_BROKEN;
}

/* ---- consent ---- */

/* The common attributes, the first sequence in a description, have one INTEGER at most: userConsent. */
static bool wants_consent(const struct card *card, unsigned number)
{
	const struct object *description = object_find(card->files, FILE_DESCRIPTION << 8 | number);
	struct slice rest, common, consent;
	struct tlv outer;

	if (!description)
		return false;
	rest = (struct slice){ description->at, description->length };
	return tlv_next(&outer, &rest) && tlv_find(&common, outer.value, 0x30) && tlv_find(&consent, common, 0x02);
}

/* ---- using ---- */

enum algorithm {
	RSA_RAW = 0x20,
	RSA_DECRYPT = 0x21,
	RSA_PSS = 0x40,
	EC_HASH = 0x70,
	EC_SHA1 = 0x71,
	EC_SHA224 = 0x72,
	EC_SHA256 = 0x73,
	EC_DH = 0x80,
};

typedef size_t use_fn(uint8_t *out, EVP_PKEY *key, struct slice in);

static size_t rsa_raw(uint8_t *out, EVP_PKEY *key, struct slice in)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	size_t length = ANSWER_MOST;
	bool done = ctx && EVP_PKEY_decrypt_init(ctx) == 1 && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) == 1 &&
		    EVP_PKEY_decrypt(ctx, out, &length, in.at, in.length) == 1;

	EVP_PKEY_CTX_free(ctx);
	return done ? length : 0;
}

static const EVP_MD *hash_of_length(size_t length)
{
	const EVP_MD *const hashes[] = { EVP_sha1(), EVP_sha224(), EVP_sha256(), EVP_sha384(), EVP_sha512() };

	for (size_t i = 0; i < sizeof(hashes) / sizeof(*hashes); i++)
		if ((size_t)EVP_MD_get_size(hashes[i]) == length)
			return hashes[i];
	return NULL;
}

static size_t rsa_pss(uint8_t *out, EVP_PKEY *key, struct slice in)
{
	const EVP_MD *hash = hash_of_length(in.length);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	size_t length = ANSWER_MOST;
	bool done = ctx && hash && EVP_PKEY_sign_init(ctx) == 1 &&
		    EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
		    EVP_PKEY_CTX_set_signature_md(ctx, hash) == 1 &&
		    EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1 &&
		    EVP_PKEY_sign(ctx, out, &length, in.at, in.length) == 1;

	EVP_PKEY_CTX_free(ctx);
	return done ? length : 0;
}

static size_t ec_hash(uint8_t *out, EVP_PKEY *key, struct slice in)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	size_t length = ANSWER_MOST;
	bool done = ctx && EVP_PKEY_sign_init(ctx) == 1 && EVP_PKEY_sign(ctx, out, &length, in.at, in.length) == 1;

	EVP_PKEY_CTX_free(ctx);
	return done ? length : 0;
}

static size_t ec_digest(uint8_t *out, EVP_PKEY *key, struct slice in, const EVP_MD *hash)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t length = ANSWER_MOST;
	bool done = ctx && EVP_DigestSignInit(ctx, NULL, hash, NULL, key) == 1 &&
		    EVP_DigestSign(ctx, out, &length, in.at, in.length) == 1;

	EVP_MD_CTX_free(ctx);
	return done ? length : 0;
}

static size_t ec_sha1(uint8_t *out, EVP_PKEY *key, struct slice in)
{
	return ec_digest(out, key, in, EVP_sha1());
}

static size_t ec_sha224(uint8_t *out, EVP_PKEY *key, struct slice in)
{
	return ec_digest(out, key, in, EVP_sha224());
}

static size_t ec_sha256(uint8_t *out, EVP_PKEY *key, struct slice in)
{
	return ec_digest(out, key, in, EVP_sha256());
}

static EVP_PKEY *public_of(EVP_PKEY *key, struct slice point)
{
	EVP_PKEY *other = EVP_PKEY_new();

	if (other && EVP_PKEY_copy_parameters(other, key) == 1 &&
	    EVP_PKEY_set1_encoded_public_key(other, point.at, point.length) == 1)
		return other;
	EVP_PKEY_free(other);
	return NULL;
}

/* In: the other side's point. Out: 04 and the x of the common one; OpenSC looks no further. */
static size_t ec_dh(uint8_t *out, EVP_PKEY *key, struct slice in)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	EVP_PKEY *other = public_of(key, in);
	size_t length = ANSWER_MOST - 1;
	bool done = ctx && other && EVP_PKEY_derive_init(ctx) == 1 && EVP_PKEY_derive_set_peer(ctx, other) == 1 &&
		    EVP_PKEY_derive(ctx, out + 1, &length) == 1;

	out[0] = 4;
	EVP_PKEY_free(other);
	EVP_PKEY_CTX_free(ctx);
	return done ? length + 1 : 0;
}

static const struct use {
	enum algorithm algorithm;
	const char *type;
	bool decrypts;
	use_fn *run;
} uses[] = {
	{ RSA_RAW, "RSA", false, rsa_raw },    { RSA_DECRYPT, "RSA", true, rsa_raw },
	{ RSA_PSS, "RSA", false, rsa_pss },    { EC_HASH, "EC", false, ec_hash },
	{ EC_SHA1, "EC", false, ec_sha1 },     { EC_SHA224, "EC", false, ec_sha224 },
	{ EC_SHA256, "EC", false, ec_sha256 }, { EC_DH, "EC", true, ec_dh },
};

static const struct use *use_of(const struct command *command, bool decrypts)
{
	for (size_t i = 0; i < sizeof(uses) / sizeof(*uses); i++)
		if (uses[i].algorithm == command->p2 && uses[i].decrypts == decrypts)
			return &uses[i];
	return NULL;
}

/* P1: the key's number, P2: the algorithm. */
static unsigned use_key(struct card *card, const struct command *command, bool decrypts, struct buffer *answer)
{
	const struct use *use = use_of(command, decrypts);
	uint8_t out[ANSWER_MOST];
	EVP_PKEY *key;
	size_t length;

	if (!use)
		return SW_WRONG_PARAMETERS;
	key = key_open(card, command->p1);
	if (!key)
		return SW_NO_SUCH_KEY;
	if (wants_consent(card, command->p1) && !card->fresh) {
		EVP_PKEY_free(key);
		return SW_NOT_LOGGED_IN;
	}
	length = EVP_PKEY_is_a(key, use->type) ? use->run(out, key, command->data) : 0;
	EVP_PKEY_free(key);
	buffer_add(answer, out, length);
	return length ? SW_OK : SW_WRONG_DATA;
}

unsigned key_sign(struct card *card, const struct command *command, struct buffer *answer)
{
	return use_key(card, command, false, answer);
}

unsigned key_decrypt(struct card *card, const struct command *command, struct buffer *answer)
{
	return use_key(card, command, true, answer);
}

unsigned key_random(struct card *card, const struct command *command, struct buffer *answer)
{
	uint8_t bytes[ANSWER_MOST];
	size_t length = command->most < sizeof(bytes) ? command->most : sizeof(bytes);

	(void)card;
	if (RAND_bytes(bytes, (int)length) != 1)
		return SW_BROKEN;
	buffer_add(answer, bytes, length);
	return SW_OK;
}
