/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenSSH: the module in ssh_config, and public keys as it writes them (RFC 4253 6.6, RFC 5656 3.1), by which it chooses among the
 * keys of all tokens of the module.
 */
#include "register_inside.h"

#include "text.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>

#include <stdio.h>
#include <string.h>

#define LONGEST_KEY 4096

static void put_string(struct ks_buffer *out, const void *bytes, size_t size)
{
	const unsigned char length[4] = { (unsigned char)(size >> 24), (unsigned char)(size >> 16),
					  (unsigned char)(size >> 8), (unsigned char)size };

	ks_buffer_put(out, length, 4);
	ks_buffer_put(out, bytes, size);
}

/* A number of the key as mpint (RFC 4251 5): a zero before a high bit. */
static int put_number(struct ks_buffer *out, const EVP_PKEY *key, const char *name)
{
	unsigned char bytes[LONGEST_KEY + 1] = { 0 };
	BIGNUM *number = NULL;
	int size = 0;

	if (EVP_PKEY_get_bn_param(key, name, &number) == 1 && BN_num_bytes(number) <= LONGEST_KEY)
		size = BN_bn2bin(number, bytes + 1);
	BN_free(number);
	if (size <= 0)
		return KS_EALGORITHM;
	if (bytes[1] & 0x80)
		put_string(out, bytes, (size_t)size + 1);
	else
		put_string(out, bytes + 1, (size_t)size);
	return 0;
}

static const char *curve_of(const struct ks_keyspec *spec)
{
	return spec->bits == 256 ? "nistp256" : spec->bits == 384 ? "nistp384" : spec->bits == 521 ? "nistp521" : NULL;
}

static int put_point(struct ks_buffer *out, const EVP_PKEY *key)
{
	unsigned char point[LONGEST_KEY];
	size_t size = 0;

	if (EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point), &size) != 1)
		return KS_EALGORITHM;
	put_string(out, point, size);
	return 0;
}

/* The key's blob, and the word that stands before it. */
static int blob_of(struct ks_buffer *out, char word[32], struct ks_ctx *ctx, struct ks_bytes spki)
{
	const struct ks_keyspec spec = ks_keyspec_of_spki(spki);
	const char *curve = spec.type == KS_KEY_EC && spec.curve ? curve_of(&spec) : NULL;
	ks_auto_ssl(EVP_PKEY) key = NULL;
	int rc = KS_EALGORITHM;

	if (spec.type != KS_KEY_RSA && !curve)
		return rc;
	snprintf(word, 32, curve ? "ecdsa-sha2-%s" : "ssh-rsa", curve);
	if (ks_spki_key(&key, ctx, spki) < 0)
		return rc;
	put_string(out, word, strlen(word));
	if (curve) {
		put_string(out, curve, strlen(curve));
		return put_point(out, key);
	}
	rc = put_number(out, key, OSSL_PKEY_PARAM_RSA_E);
	return rc < 0 ? rc : put_number(out, key, OSSL_PKEY_PARAM_RSA_N);
}

/* Is there a file for it? */
static bool public_key(struct making *making, const struct glue_key *key)
{
	ks_auto(buffer) blob = ks_buffer_new(2 * LONGEST_KEY);
	unsigned char letters[4 * LONGEST_KEY];
	struct ks_buffer *out;
	char word[32];

	if (!blob || !key->spki.data || blob_of(blob, word, making->ctx, key->spki) < 0) {
		ks_forgive(making->ctx);
		return false;
	}
	EVP_EncodeBlock(letters, blob->data, (int)blob->size);
	out = ks_glue_file(making, "%s.pub", key->name);
	if (out)
		ks_buffer_format(out, "%s %s %s\n", word, (const char *)letters, key->name);
	return out != NULL;
}

static void ssh_config(struct making *making)
{
	struct ks_buffer *out = ks_glue_file(making, "ssh_config");

	if (!out)
		return;
	ks_buffer_text(out, "PKCS11Provider ");
	ks_glue_quoted(out, making->token->module_file);
	ks_buffer_text(out, "\nIdentitiesOnly yes\n");
	for (size_t i = 0; i < making->key_count; i++) {
		if (!public_key(making, &making->keys[i]))
			continue;
		ks_buffer_text(out, "IdentityFile ");
		ks_glue_quoted_path(out, making, making->keys[i].name, ".pub");
		ks_buffer_text(out, "\n");
	}
}

void ks_glue_ssh(struct making *making)
{
	ks_auto_mem char *config = ks_glue_path(making, "ssh_config", "");
	ks_auto_mem char *module = ks_text_word(making->token->module_file);

	if (making->token->init_args) {
		ks_glue_say(making, KS_GLUE_CANNOT,
			    "ssh hands a module no init-args, and this token's module needs them");
		return;
	}
	ssh_config(making);
	ks_glue_say(making, KS_GLUE_USE, "Include %s   under a Host line of ~/.ssh/config", config);
	ks_glue_say(making, KS_GLUE_USE, "ssh-keygen -D %s", module);
	ks_glue_say(making, KS_GLUE_USE, "ssh-add -s %s", module);
	if (strncmp(making->token->module_file, "/usr/lib", 8) != 0 &&
	    strncmp(making->token->module_file, "/usr/local/lib", 14) != 0)
		ks_glue_say(making, KS_GLUE_NOTE,
			    "ssh-agent takes modules below /usr/lib and /usr/local/lib only, unless it is started with "
			    "-P %s",
			    module);
	ks_glue_say(
		making, KS_GLUE_NOTE,
		"ssh-add -s tries the PIN on every token of the module: a second token in it loses one of its tries");
}
