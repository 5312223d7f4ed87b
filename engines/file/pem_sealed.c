/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private keys sealed in the way of 1993 (RFC 1421 4.6.1.1, 4.6.1.3): a key of one MD5 round over password and IV.
 *
 *	Proc-Type: 4,ENCRYPTED
 *	DEK-Info: AES-128-CBC,0A1B...
 *
 * Read only; a key that is sealed anew gets PBES2. There is no MAC, so a wrong password shows in the padding and in
 * the shape of what comes out, one time in some thousands only in the key's halves.
 */
#include "pem.h"

#include "key.h"
#include "protect.h"

#include "der.h"
#include "text.h"

#include <openssl/err.h>
#include <openssl/evp.h>

#include <string.h>

#define LARGEST_KEY 65536
#define SALT 8

struct sealing {
	char name[32]; /* OpenSSL's name of the cipher */
	unsigned char iv[EVP_MAX_IV_LENGTH];
	size_t iv_size;
};

static int read_dek_info(struct sealing *out, const struct ks_pem_block *block)
{
	struct ks_bytes info = ks_pem_header(block, "DEK-Info");
	const unsigned char *comma = info.size ? memchr(info.data, ',', info.size) : NULL;
	char digits[2 * EVP_MAX_IV_LENGTH + 1];
	size_t name, rest;
	long size;

	if (!comma)
		return KS_EDAMAGED;
	name = (size_t)(comma - info.data);
	rest = info.size - name - 1;
	if (name >= sizeof(out->name) || rest >= sizeof(digits))
		return KS_EDAMAGED;
	memcpy(out->name, info.data, name);
	out->name[name] = '\0';
	memcpy(digits, comma + 1, rest);
	digits[rest] = '\0';
	size = ks_unhex(out->iv, sizeof(out->iv), digits);
	if (size < SALT)
		return KS_EDAMAGED;
	out->iv_size = (size_t)size;
	return 0;
}

static EVP_CIPHER *fetch(struct ks_ctx *ctx, const char *name)
{
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(ks_crypto(ctx), name, NULL);

	if (!cipher && ks_crypto_legacy(ctx))
		cipher = EVP_CIPHER_fetch(ks_crypto_legacy(ctx), name, NULL);
	ERR_clear_error();
	return cipher;
}

/* KS_EPASSWORD when the padding does not fit. `room` has a block more than `sealed`. */
static int decrypt(unsigned char *room, size_t *size, const EVP_CIPHER *cipher, const struct sealing *sealing,
		   struct ks_bytes sealed, const struct ks_secret *secret)
{
	EVP_CIPHER_CTX *work = EVP_CIPHER_CTX_new();
	unsigned char key[EVP_MAX_KEY_LENGTH];
	int first = 0, last = 0, done;

	done = work &&
	       EVP_BytesToKey(cipher, EVP_md5(), sealing->iv, (const unsigned char *)ks_secret_bytes(secret),
			      (int)ks_secret_size(secret), 1, key, NULL) > 0 &&
	       EVP_DecryptInit_ex(work, cipher, NULL, key, sealing->iv) &&
	       EVP_DecryptUpdate(work, room, &first, sealed.data, (int)sealed.size) &&
	       EVP_DecryptFinal_ex(work, room + first, &last);
	OPENSSL_cleanse(key, sizeof(key));
	EVP_CIPHER_CTX_free(work);
	ERR_clear_error();
	if (!done)
		return KS_EPASSWORD;
	*size = (size_t)first + (size_t)last;
	return 0;
}

static int unseal(struct ks_buffer **out, struct ks_ctx *ctx, const EVP_CIPHER *cipher, const struct sealing *sealing,
		  struct ks_bytes sealed, const struct ks_secret *secret)
{
	ks_auto(buffer) plain = ks_buffer_new_secret(sealed.size + EVP_MAX_BLOCK_LENGTH);
	struct ks_der whole;
	int rc;

	if (!plain)
		return ks_nomem(ctx);
	rc = decrypt(plain->data, &plain->size, cipher, sealing, sealed, secret);
	if (rc < 0 || ks_der_only(&whole, ks_buffer_bytes(plain), KS_DER_SEQUENCE) < 0)
		return ks_fail(ctx, KS_EPASSWORD, "the password does not open the key");
	return ks_key_clear(out, ctx, ks_buffer_bytes(plain));
}

/* The ciphertext of a record, decoded; malloc'ed. */
static int ciphertext(unsigned char **out, size_t *size, struct ks_ctx *ctx, const struct ks_pem_block *block)
{
	ks_auto_mem unsigned char *bytes = NULL;
	unsigned char stranger;

	if (block->body.size > LARGEST_KEY)
		return ks_fail(ctx, KS_ELIMIT, "a sealed private key of more than %d bytes is refused", LARGEST_KEY);
	bytes = malloc(block->body.size + 4);
	if (!bytes)
		return ks_nomem(ctx);
	if (ks_pem_decode(bytes, size, block->body, &stranger) < 0)
		return ks_fail(ctx, KS_EDAMAGED, "the base64 of a sealed private key is damaged");
	*out = ks_take(bytes);
	return 0;
}

static int open_record(struct ks_buffer **out, struct ks_item *item, struct ks_ctx *ctx, const struct ks_secret *secret)
{
	ks_auto_mem unsigned char *bytes = NULL;
	struct ks_pem_block block;
	struct sealing sealing;
	EVP_CIPHER *cipher;
	size_t size = 0;
	int rc;

	if (!ks_pem_found(&block, item) || read_dek_info(&sealing, &block) < 0)
		return ks_fail(ctx, KS_EDAMAGED, "the DEK-Info line of a sealed private key is damaged");
	rc = ciphertext(&bytes, &size, ctx, &block);
	if (rc < 0)
		return rc;
	cipher = fetch(ctx, sealing.name);
	if (!cipher)
		return ks_fail(ctx, KS_EALGORITHM,
			       "a private key is sealed with the cipher %s, which this OpenSSL does not have",
			       sealing.name);
	if ((size_t)EVP_CIPHER_get_iv_length(cipher) != sealing.iv_size)
		rc = ks_fail(ctx, KS_EDAMAGED, "the IV of a sealed private key has the wrong size");
	else
		rc = unseal(out, ctx, cipher, &sealing, KS_BYTES(bytes, size), secret);
	EVP_CIPHER_free(cipher);
	return rc;
}

static int sealed_pkcs8(struct ks_buffer **out, struct ks_item *item, struct ks_ctx *ctx)
{
	return ks_key_unseal(out, item, ctx, open_record);
}

static int sealed_pkey(EVP_PKEY **out, struct ks_item *item, struct ks_ctx *ctx)
{
	ks_auto(buffer) clear = NULL;
	int rc = sealed_pkcs8(&clear, item, ctx);

	return rc < 0 ? rc : ks_clear_key_pkey(out, ctx, ks_buffer_bytes(clear));
}

static const struct ks_item_from from_sealed = { sealed_pkey, sealed_pkcs8 };

int ks_pem_sealed_item(struct ks_item *item, const struct ks_pem_block *block)
{
	static const struct {
		const char *label;
		enum ks_key_type type;
	} types[] = { { "RSA PRIVATE KEY", KS_KEY_RSA },
		      { "EC PRIVATE KEY", KS_KEY_EC },
		      { "DSA PRIVATE KEY", KS_KEY_DSA } };
	struct ks_facts *facts = ks_set_facts(item->set);
	struct sealing sealing;

	if (read_dek_info(&sealing, block) < 0)
		return KS_EDAMAGED;
	item->flags |= KS_SEALED;
	item->from = &from_sealed;
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
		if (ks_bytes_are(block->label, types[i].label))
			item->key.type = types[i].type;
	}
	if (!facts->cipher) {
		facts->cipher = ks_set_text(item->set, "%s", sealing.name);
		facts->kdf = "MD5 (RFC 1421)";
		facts->kdf_iterations = 1;
	}
	facts->weak = true;
	return 0;
}
