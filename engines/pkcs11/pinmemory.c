/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file of the PIN that was wrong last. Trouble with it is never a failure of the login itself.
 */
#include "pinmemory.h"

#include "disk.h"
#include "folder.h"
#include "text.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SALT 16
#define HASH 32
#define ROUNDS 200000

struct memory {
	unsigned char salt[SALT], hash[HASH];
};

/* STATE/pin-HEX, where HEX comes of what identifies the token; new string, NULL = nothing is remembered here. */
static char *memory_path(const struct ks_p11_token *token, CK_USER_TYPE user)
{
	const char *folder = ks_settings(token->ctx)->state_dir;
	ks_auto_mem char *identity = NULL;
	unsigned char digest[KS_SHA256];
	char hex[33], *path = NULL;

	if (!folder)
		return NULL;
	if (asprintf(&identity, "%s\n%s\n%s\n%s\n%s", token->manufacturer, token->model, token->serial, token->label,
		     user == CKU_SO ? "so" : "user") < 0)
		return NULL;
	ks_sha256(digest, ks_bytes_of(identity));
	ks_hex(hex, KS_BYTES(digest, 16));
	return asprintf(&path, "%s/pin-%s", folder, hex) < 0 ? NULL : path;
}

static bool slow_hash(unsigned char out[HASH], const unsigned char salt[SALT], const struct ks_secret *secret)
{
	return PKCS5_PBKDF2_HMAC(ks_secret_bytes(secret), (int)ks_secret_size(secret), salt, SALT, ROUNDS, EVP_sha256(),
				 HASH, out) == 1;
}

bool ks_p11_pin_known_wrong(struct ks_p11_token *token, CK_USER_TYPE user, const struct ks_secret *secret)
{
	ks_auto_mem char *path = memory_path(token, user);
	ks_auto(buffer) content = NULL;
	unsigned char hash[HASH];
	struct memory memory;

	if (!path || access(path, R_OK) < 0)
		return false;
	if (ks_disk_read(&content, token->ctx, path) < 0 || content->size != sizeof(memory)) {
		ks_forgive(token->ctx);
		return false;
	}
	memcpy(&memory, content->data, sizeof(memory));
	return slow_hash(hash, memory.salt, secret) && CRYPTO_memcmp(hash, memory.hash, HASH) == 0;
}

void ks_p11_pin_remember(struct ks_p11_token *token, CK_USER_TYPE user, const struct ks_secret *secret)
{
	ks_auto_mem char *path = memory_path(token, user);
	struct memory memory;

	if (!path || RAND_bytes(memory.salt, SALT) != 1 || !slow_hash(memory.hash, memory.salt, secret))
		return;
	if (ks_folder_above(token->ctx, path) < 0 ||
	    ks_disk_write(token->ctx, path, KS_BYTES(&memory, sizeof(memory)), true, true) < 0) {
		ks_notice(token->ctx, KS_EIO, path, NULL, "the wrong PIN could not be remembered: %s",
			  ks_ctx_text(token->ctx));
		ks_forgive(token->ctx);
	}
}

void ks_p11_pin_forget(struct ks_p11_token *token, CK_USER_TYPE user)
{
	ks_auto_mem char *path = memory_path(token, user);

	if (path && ks_disk_remove(token->ctx, path) < 0) {
		ks_notice(token->ctx, KS_EIO, path, NULL, "the wrong PIN could not be forgotten: %s",
			  ks_ctx_text(token->ctx));
		ks_forgive(token->ctx);
	}
}
