/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file of the PINs that were wrong.
 */
#include "pinmemory.h"

#include "disk.h"
#include "folder.h"
#include "hmac.h"
#include "quirks.h"
#include "text.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <stdio.h>
#include <string.h>

#define SALT 16
#define HASH 32
#define ROUNDS 200000
#define MOST 8 /* PINs; the oldest gives way */

struct ks_p11_pin_memory {
	struct ks_ctx *ctx;
	char *path;
	struct ks_disk *disk; /* NULL: the file cannot be had, and `trouble` says why */
	char *trouble;
	unsigned char salt[SALT], hashes[MOST][HASH];
	size_t count;
};

/* Serial numbers of nothing but zeros tell no token from another, whoever gives them. */
static bool serial_tells(const char *serial)
{
	return serial[strspn(serial, "0")] != '\0';
}

/* STATE/pin-HEX, where HEX comes of what identifies the token; new string, NULL = nothing is remembered here. */
static char *memory_path(const struct ks_p11_token *token, CK_USER_TYPE user)
{
	const char *folder = ks_settings(token->ctx)->state_dir;
	const struct ks_p11_module *module = token->on.module;
	bool alike = token->quirks & KS_P11_NO_SERIAL || !serial_tells(token->serial); /* two databases of NSS differ in the init string only */
	ks_auto_mem char *identity = NULL;
	unsigned char digest[KS_SHA256];
	char hex[33], *path = NULL;

	if (!folder)
		return NULL;
	if (asprintf(&identity, "%s\n%s\n%s\n%s\n%s\n%s\n%s", token->manufacturer, token->model, token->serial,
		     alike ? token->label : "", user == CKU_SO ? "so" : "user", alike ? module->name : "",
		     alike && module->arguments ? module->arguments : "") < 0)
		return NULL;
	ks_sha256(digest, ks_bytes_of(identity));
	ks_hex(hex, KS_BYTES(digest, 16));
	return asprintf(&path, "%s/pin-%s", folder, hex) < 0 ? NULL : path;
}

/* A salt and whole hashes, or nothing that counts. */
static void take_in(struct ks_p11_pin_memory *memory, struct ks_bytes content)
{
	if (content.size < SALT + HASH || content.size > SALT + sizeof(memory->hashes) || (content.size - SALT) % HASH != 0)
		return;
	memcpy(memory->salt, content.data, SALT);
	memory->count = (content.size - SALT) / HASH;
	memcpy(memory->hashes, content.data + SALT, content.size - SALT);
}

static int lock_and_read(struct ks_p11_pin_memory *memory)
{
	bool changed;
	int rc = ks_folder_above(memory->ctx, memory->path, 0700);

	if (rc == 0)
		rc = ks_disk_open(&memory->disk, memory->ctx, memory->path, KS_DISK_WRITE | KS_DISK_CREATE);
	if (rc == 0)
		rc = ks_disk_lock(memory->disk, &changed);
	if (rc == 0)
		take_in(memory, ks_disk_content(memory->disk));
	return rc;
}

int ks_p11_pin_memory_open(struct ks_p11_pin_memory **out, struct ks_p11_token *token, CK_USER_TYPE user)
{
	__attribute__((cleanup(ks_p11_pin_memory_freep))) struct ks_p11_pin_memory *memory = NULL;
	ks_auto_mem char *path = memory_path(token, user);
	int rc;

	if (!path)
		return 0;
	memory = calloc(1, sizeof(*memory));
	if (!memory)
		return ks_nomem(token->ctx);
	memory->ctx = token->ctx;
	memory->path = ks_take(path);
	rc = lock_and_read(memory);
	if (rc == KS_EBUSY || rc == KS_ECANCELLED)
		return ks_while(token->ctx, rc, "waiting for another login to token %s", token->shown);
	if (rc < 0) {
		ks_disk_freep(&memory->disk);
		memory->disk = NULL;
		memory->trouble = strdup(ks_ctx_text(token->ctx));
		ks_forgive(token->ctx);
	}
	*out = ks_take(memory);
	return 0;
}

void ks_p11_pin_memory_free(struct ks_p11_pin_memory *memory)
{
	if (!memory)
		return;
	ks_disk_close(memory->disk);
	free(memory->path);
	free(memory->trouble);
	free(memory);
}

static void slow_hash(unsigned char out[HASH], const unsigned char salt[SALT], const struct ks_secret *secret)
{
	ks_pbkdf2_sha256(out, KS_BYTES(ks_secret_bytes(secret), ks_secret_size(secret)), KS_BYTES(salt, SALT), ROUNDS);
}

bool ks_p11_pin_memory_knows(const struct ks_p11_pin_memory *memory, const struct ks_secret *secret)
{
	unsigned char hash[HASH];
	bool known = false;

	if (!memory || memory->count == 0)
		return false;
	slow_hash(hash, memory->salt, secret);
	for (size_t i = 0; i < memory->count; i++)
		known = known || CRYPTO_memcmp(hash, memory->hashes[i], HASH) == 0;
	return known;
}

size_t ks_p11_pin_memory_count(const struct ks_p11_pin_memory *memory)
{
	return memory ? memory->count : 0;
}

static bool hash_add(struct ks_p11_pin_memory *memory, const struct ks_secret *secret)
{
	if (memory->count == 0 && RAND_bytes(memory->salt, SALT) != 1)
		return false;
	if (memory->count == MOST)
		memmove(memory->hashes[0], memory->hashes[1], HASH * (size_t)(--memory->count));
	slow_hash(memory->hashes[memory->count++], memory->salt, secret);
	return true;
}

static int write_down(struct ks_p11_pin_memory *memory)
{
	const struct ks_bytes pieces[] = { KS_BYTES(memory->salt, SALT), KS_BYTES(memory->hashes[0], HASH * memory->count) };
	const struct ks_disk_wish wish = { .private_material = true };
	int rc = ks_disk_stage(memory->disk, pieces, 2, &wish);

	return rc < 0 ? rc : ks_disk_publish(memory->disk);
}

static void told(struct ks_p11_pin_memory *memory, const char *what, const char *why)
{
	ks_notice(memory->ctx, KS_EIO, memory->path, NULL, "the wrong PIN could not be %s: %s", what, why);
}

void ks_p11_pin_memory_add(struct ks_p11_pin_memory *memory, const struct ks_secret *secret)
{
	if (!memory)
		return;
	if (!memory->disk) {
		told(memory, "remembered", memory->trouble ? memory->trouble : ks_status_title(KS_EIO));
		return;
	}
	if (hash_add(memory, secret) && write_down(memory) < 0) {
		told(memory, "remembered", ks_ctx_text(memory->ctx));
		ks_forgive(memory->ctx);
	}
}

void ks_p11_pin_memory_clear(struct ks_p11_pin_memory *memory)
{
	if (!memory || !memory->disk || !ks_disk_exists(memory->disk))
		return;
	memory->count = 0;
	if (ks_disk_remove(memory->ctx, memory->path) < 0) {
		told(memory, "forgotten", ks_ctx_text(memory->ctx));
		ks_forgive(memory->ctx);
	}
}
