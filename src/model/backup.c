/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encoding and decoding backups of tokens.
 */
#include "backup.h"

#include "certificate.h"
#include "der.h"
#include "shares.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <string.h>

#define NAME "KEYSTOW TOKEN BACKUP"
#define VERSION 1
#define CEILING (64u << 20)

void ks_backup_free(struct ks_backup *backup)
{
	if (!backup)
		return;
	ks_set_free(backup->items);
	free(backup);
}

int ks_backup_new(struct ks_backup **out, struct ks_ctx *ctx)
{
	ks_auto(backup) backup = calloc(1, sizeof(*backup));
	int rc = backup ? ks_set_new(&backup->items, ctx) : ks_nomem(ctx);

	if (rc == 0)
		*out = ks_take(backup);
	return rc;
}

/* ---- keys ---- */

static int hmac(unsigned char out[KS_SHA256], struct ks_ctx *ctx, const struct ks_secret *key, struct ks_bytes bytes)
{
	size_t size = 0;

	if (EVP_Q_mac(ks_crypto(ctx), "HMAC", NULL, "SHA256", NULL, ks_secret_bytes(key), ks_secret_size(key),
		      bytes.data, bytes.size, out, KS_SHA256, &size) &&
	    size == KS_SHA256)
		return 0;
	return ks_fail_openssl(ctx, KS_EBUG, "HMAC with SHA-256 does not work");
}

/* HKDF-Expand to one block (RFC 5869 2.3): the secret is 32 random bytes, so there is nothing to extract. */
int ks_backup_derive(struct ks_secret **out, const struct ks_backup *backup, const struct ks_secret *whole,
		     const char *purpose)
{
	struct ks_ctx *ctx = ks_set_ctx(backup->items);
	ks_auto(secret) key = NULL;
	unsigned char info[64];
	size_t size = strlen(purpose);
	int rc = ks_secret_new(&key, ctx);

	if (rc < 0)
		return rc;
	memcpy(info, purpose, size);
	memcpy(info + size, backup->set, KS_SET_ID);
	info[size + KS_SET_ID] = 1;
	rc = hmac((unsigned char *)ks_secret_end(key), ctx, whole, KS_BYTES(info, size + KS_SET_ID + 1));
	if (rc < 0)
		return rc;
	ks_secret_grew(key, KS_SHA256);
	*out = ks_take(key);
	return 0;
}

int ks_backup_check(const struct ks_backup *backup, const struct ks_secret *seal)
{
	struct ks_ctx *ctx = ks_set_ctx(backup->items);
	unsigned char mac[KS_SHA256];
	int rc = hmac(mac, ctx, seal, backup->body);

	if (rc < 0 || CRYPTO_memcmp(mac, backup->mac, KS_SHA256) == 0)
		return rc;
	return ks_hint(ctx,
		       ks_fail(ctx, KS_EALTERED, "the shares are right, but the backup was changed after it was written"),
		       "nothing of it is used; take another copy of the backup file");
}

/* ---- wrapped keys ---- */

int ks_wrapped_put(struct ks_item *item, struct ks_ctx *ctx, const struct ks_wrapped *wrapped)
{
	ks_auto(buffer) der = ks_buffer_new(64 * 1024);
	size_t mark;

	if (!der)
		return ks_nomem(ctx);
	mark = ks_der_open(der, KS_DER_SEQUENCE);
	ks_der_put_number(der, wrapped->uses);
	ks_der_put_number(der, wrapped->mechanism);
	ks_der_put(der, KS_DER_OCTETS, wrapped->iv);
	ks_der_put(der, KS_DER_OCTETS, wrapped->sealed);
	if (ks_der_close(der, mark) < 0)
		return ks_nomem(ctx);
	item->flags |= KS_SEALED;
	item->raw = ks_set_bytes(item->set, der->data, der->size);
	return item->raw.data ? 0 : ks_nomem(ctx);
}

static int next_number(uint64_t *out, struct ks_bytes *rest)
{
	struct ks_der at;
	int rc = ks_der_expect(&at, rest, KS_DER_INTEGER);

	return rc < 0 ? rc : ks_der_number(out, at.content);
}

static int next_octets(struct ks_bytes *out, struct ks_bytes *rest)
{
	struct ks_der at;
	int rc = ks_der_expect(&at, rest, KS_DER_OCTETS);

	if (rc == 0)
		*out = at.content;
	return rc;
}

int ks_wrapped_of(struct ks_wrapped *out, struct ks_ctx *ctx, const struct ks_item *item)
{
	struct ks_wrapped wrapped = { 0 };
	struct ks_der whole;
	struct ks_bytes rest;
	uint64_t uses = 0;
	int rc = ks_der_only(&whole, item->raw, KS_DER_SEQUENCE);

	rest = rc == 0 ? whole.content : KS_NONE;
	if (rc == 0)
		rc = next_number(&uses, &rest);
	if (rc == 0)
		rc = next_number(&wrapped.mechanism, &rest);
	if (rc == 0)
		rc = next_octets(&wrapped.iv, &rest);
	if (rc == 0)
		rc = next_octets(&wrapped.sealed, &rest);
	if (rc < 0 || rest.size || wrapped.sealed.size == 0 || uses > 31)
		return ks_fail(ctx, KS_EDAMAGED, "a wrapped key in the backup cannot be decoded");
	wrapped.uses = (unsigned)uses;
	*out = wrapped;
	return 0;
}

/* ---- writing ---- */

static struct ks_bytes value_of(const struct ks_item *item)
{
	return item->kind == KS_PRIVATE_KEY ? item->spki : item->der;
}

static void put_item(struct ks_buffer *out, const struct ks_item *item)
{
	size_t mark = ks_der_open(out, KS_DER_SEQUENCE);

	ks_der_put_number(out, (uint64_t)item->kind);
	ks_der_put(out, KS_DER_OCTETS, item->label);
	ks_der_put(out, KS_DER_OCTETS, item->id);
	ks_der_put(out, KS_DER_OCTETS, value_of(item));
	if (item->kind == KS_PRIVATE_KEY)
		ks_buffer_put(out, item->raw.data, item->raw.size);
	ks_der_close(out, mark);
}

static int put_body(struct ks_buffer *out, const struct ks_backup *backup)
{
	size_t body = ks_der_open(out, KS_DER_SEQUENCE), list;

	ks_der_put_number(out, VERSION);
	ks_der_put(out, KS_DER_OCTETS, KS_BYTES(backup->set, KS_SET_ID));
	ks_der_put_number(out, backup->count);
	ks_der_put_number(out, backup->threshold);
	ks_der_put_number(out, (uint64_t)backup->made);
	ks_der_put(out, KS_DER_OCTETS, backup->token);
	ks_der_put(out, KS_DER_OCTETS, KS_BYTES(backup->digests, (size_t)backup->count * KS_SHA256));
	list = ks_der_open(out, KS_DER_SEQUENCE);
	for (size_t i = 0; i < ks_set_count(backup->items); i++)
		put_item(out, ks_set_at(backup->items, i));
	ks_der_close(out, list);
	return ks_der_close(out, body);
}

/* The PEM block as a buffer of ours. */
static int armour(struct ks_buffer **out, struct ks_ctx *ctx, struct ks_bytes der)
{
	ks_auto_ssl(BIO) to = BIO_new(BIO_s_mem());
	ks_auto(buffer) text = ks_buffer_new(2 * (size_t)CEILING);
	char *data = NULL;
	long size;

	if (!to || !text || PEM_write_bio(to, NAME, "", der.data, (long)der.size) <= 0)
		return ks_nomem(ctx);
	size = BIO_get_mem_data(to, &data);
	if (size <= 0 || ks_buffer_put(text, data, (size_t)size) < 0)
		return ks_nomem(ctx);
	*out = ks_take(text);
	return 0;
}

int ks_backup_encode(struct ks_buffer **out, const struct ks_backup *backup, const struct ks_secret *seal)
{
	struct ks_ctx *ctx = ks_set_ctx(backup->items);
	ks_auto(buffer) body = ks_buffer_new(CEILING);
	ks_auto(buffer) whole = ks_buffer_new(CEILING);
	unsigned char mac[KS_SHA256];
	size_t mark;
	int rc;

	if (!body || !whole)
		return ks_nomem(ctx);
	rc = put_body(body, backup);
	if (rc < 0 || body->status)
		return ks_fail(ctx, KS_ELIMIT, "a backup is at most %u MiB", CEILING >> 20);
	rc = hmac(mac, ctx, seal, ks_buffer_bytes(body));
	if (rc < 0)
		return rc;
	mark = ks_der_open(whole, KS_DER_SEQUENCE);
	ks_buffer_put(whole, body->data, body->size);
	ks_der_put(whole, KS_DER_OCTETS, KS_BYTES(mac, KS_SHA256));
	if (ks_der_close(whole, mark) < 0)
		return ks_nomem(ctx);
	return armour(out, ctx, ks_buffer_bytes(whole));
}

/* ---- reading ---- */

static int no_backup(struct ks_ctx *ctx)
{
	return ks_hint(ctx, ks_fail_openssl(ctx, KS_EFORMAT, "this is no backup of a token"),
		       "a backup is what keystow token backup TOKEN -o FILE writes");
}

static int damaged(struct ks_ctx *ctx)
{
	return ks_hint(ctx, ks_fail(ctx, KS_EDAMAGED, "the backup is damaged"), "take another copy of the backup file");
}

/* The bytes inside the PEM block, owned by the set. */
static int unarmour(struct ks_bytes *out, struct ks_ctx *ctx, struct ks_set *set, struct ks_bytes file)
{
	ks_auto_ssl(BIO) from = file.size <= 2 * (size_t)CEILING ? BIO_new_mem_buf(file.data, (int)file.size) : NULL;
	char *name = NULL, *header = NULL;
	unsigned char *data = NULL;
	long size = 0;
	bool ours;

	if (!from || PEM_read_bio(from, &name, &header, &data, &size) != 1)
		return no_backup(ctx);
	ours = strcmp(name, NAME) == 0;
	if (ours)
		*out = ks_set_bytes(set, data, (size_t)size);
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_free(data);
	return !ours ? no_backup(ctx) : out->data ? 0 : ks_nomem(ctx);
}

/* The value, and what follows from it, by kind. */
static int take_value(struct ks_item *item, struct ks_bytes value, struct ks_bytes rest)
{
	struct ks_certificate_facts facts;
	int rc = 0;

	if (item->kind == KS_CERTIFICATE) {
		item->der = value;
		rc = ks_certificate_facts(&facts, value);
		item->key = facts.key;
		return rc < 0 || rest.size ? KS_EDAMAGED : 0;
	}
	item->spki = value;
	item->key = ks_keyspec_of_spki(value);
	if (item->kind == KS_PUBLIC_KEY)
		item->der = value;
	else
		item->raw = rest;
	item->flags |= item->kind == KS_PRIVATE_KEY ? KS_SEALED : 0;
	return item->key.type == KS_KEY_UNKNOWN || (item->kind == KS_PUBLIC_KEY && rest.size) ? KS_EDAMAGED : 0;
}

static int take_item(struct ks_backup *backup, struct ks_ctx *ctx, struct ks_bytes content)
{
	struct ks_bytes label = KS_NONE, id = KS_NONE, value = KS_NONE;
	struct ks_wrapped wrapped;
	struct ks_item *item;
	uint64_t kind = 0;

	if (next_number(&kind, &content) < 0 || kind > KS_CERTIFICATE || next_octets(&label, &content) < 0 ||
	    next_octets(&id, &content) < 0 || next_octets(&value, &content) < 0)
		return damaged(ctx);
	item = ks_set_add(backup->items, (enum ks_kind)kind);
	if (!item)
		return ks_nomem(ctx);
	item->label = label;
	item->id = id;
	if (take_value(item, value, content) < 0)
		return damaged(ctx);
	return item->kind == KS_PRIVATE_KEY ? ks_wrapped_of(&wrapped, ctx, item) : 0;
}

static int take_items(struct ks_backup *backup, struct ks_ctx *ctx, struct ks_bytes rest)
{
	struct ks_der at;
	int rc = 0;

	while (rc == 0 && rest.size)
		rc = ks_der_expect(&at, &rest, KS_DER_SEQUENCE) < 0 ? damaged(ctx) : take_item(backup, ctx, at.content);
	return rc;
}

/* What stands before the items. */
static int take_header(struct ks_backup *backup, struct ks_bytes *rest)
{
	uint64_t count = 0, threshold = 0, made = 0;
	struct ks_bytes set = KS_NONE, digests = KS_NONE;

	if (next_octets(&set, rest) < 0 || set.size != KS_SET_ID || next_number(&count, rest) < 0 ||
	    next_number(&threshold, rest) < 0 || next_number(&made, rest) < 0 || next_octets(&backup->token, rest) < 0 ||
	    next_octets(&digests, rest) < 0)
		return KS_EDAMAGED;
	if (threshold < 2 || threshold > count || count > KS_SHARES_MOST || digests.size != count * KS_SHA256 || made > INT64_MAX)
		return KS_EDAMAGED;
	memcpy(backup->set, set.data, KS_SET_ID);
	backup->count = (unsigned)count;
	backup->threshold = (unsigned)threshold;
	backup->made = (int64_t)made;
	backup->digests = (const unsigned char(*)[KS_SHA256])digests.data;
	return 0;
}

int ks_backup_decode(struct ks_backup **out, struct ks_ctx *ctx, struct ks_bytes file)
{
	ks_auto(backup) backup = NULL;
	struct ks_bytes der = KS_NONE, rest, mac = KS_NONE;
	struct ks_der whole, body, list;
	uint64_t version = 0;
	int rc = ks_backup_new(&backup, ctx);

	if (rc == 0)
		rc = unarmour(&der, ctx, backup->items, file);
	if (rc < 0)
		return rc;
	if (ks_der_only(&whole, der, KS_DER_SEQUENCE) < 0)
		return damaged(ctx);
	rest = whole.content;
	if (ks_der_expect(&body, &rest, KS_DER_SEQUENCE) < 0 || next_octets(&mac, &rest) < 0 || rest.size ||
	    mac.size != KS_SHA256)
		return damaged(ctx);
	backup->body = body.whole;
	memcpy(backup->mac, mac.data, KS_SHA256);
	rest = body.content;
	if (next_number(&version, &rest) < 0)
		return damaged(ctx);
	if (version != VERSION)
		return ks_fail(ctx, KS_ENEWER, "the backup was written by a newer keystow");
	if (take_header(backup, &rest) < 0 || ks_der_expect(&list, &rest, KS_DER_SEQUENCE) < 0 || rest.size)
		return damaged(ctx);
	rc = take_items(backup, ctx, list.content);
	if (rc == 0)
		*out = ks_take(backup);
	return rc;
}
