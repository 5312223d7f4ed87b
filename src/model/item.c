/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets own items and the bytes that items borrow; both live until the set's last owner lets go.
 *
 * Items sit in chunks that never move, so that a pointer to one stays good while the set grows. Small strings are copied into an
 * arena of the set; whole files are handed over as buffers.
 */
#include "item.h"

#include "certificate.h"
#include "name.h"
#include "text.h"

#include <openssl/crypto.h>

#include <stdio.h>
#include <string.h>

#define CHUNK 128
#define ARENA 8192

struct arena {
	struct arena *next;
	size_t used, size;
	char bytes[];
};

struct ks_set {
	struct ks_ctx *ctx;
	unsigned owners;
	struct ks_item **chunks;
	size_t chunk_capacity, count;
	struct ks_buffer **buffers;
	size_t buffer_count, buffer_capacity;
	struct ks_set **sources;
	size_t source_count, source_capacity;
	struct arena *arena;
	struct ks_secret *secret;
	struct ks_facts facts;
	struct ks_problem *problems;
	size_t problem_count, problem_capacity;
};

/* ---- sets ---- */

int ks_set_new(struct ks_set **out, struct ks_ctx *ctx)
{
	struct ks_set *set = calloc(1, sizeof(*set));

	if (!set)
		return ks_nomem(ctx);
	set->ctx = ctx;
	set->owners = 1;
	ks_ctx_use(ctx);
	*out = set;
	return 0;
}

struct ks_set *ks_set_ref(struct ks_set *set)
{
	if (set)
		set->owners++;
	return set;
}

static bool holds_clear_key(const struct ks_set *set)
{
	for (size_t i = 0; i < set->count; i++) {
		const struct ks_item *item = ks_set_at(set, i);

		if ((item->kind == KS_PRIVATE_KEY || item->kind == KS_SECRET_KEY) && !item->origin && item->der.data &&
		    !(item->flags & KS_SEALED))
			return true;
	}
	return false;
}

/* A private key that lay in a file in the clear was read into ordinary memory, which does not keep it. */
static void wipe(struct ks_set *set)
{
	for (size_t i = 0; i < set->buffer_count; i++)
		if (set->buffers[i]->data)
			OPENSSL_cleanse(set->buffers[i]->data, set->buffers[i]->size);
	for (struct arena *arena = set->arena; arena; arena = arena->next)
		OPENSSL_cleanse(arena->bytes, arena->used);
}

void ks_set_free(struct ks_set *set)
{
	struct arena *next;

	if (!set || --set->owners)
		return;
	if (holds_clear_key(set))
		wipe(set);
	for (size_t i = 0; i < set->count; i++)
		X509_free(ks_set_at(set, i)->x509);
	for (size_t i = 0; i * CHUNK < set->count; i++)
		free(set->chunks[i]);
	for (size_t i = 0; i < set->buffer_count; i++)
		ks_buffer_free(set->buffers[i]);
	for (size_t i = 0; i < set->source_count; i++)
		ks_set_free(set->sources[i]);
	for (; set->arena; set->arena = next) {
		next = set->arena->next;
		free(set->arena);
	}
	ks_secret_free(set->secret);
	ks_ctx_unuse(set->ctx);
	free(set->chunks);
	free(set->buffers);
	free(set->sources);
	free(set->problems);
	free(set);
}

void ks_set_forget(struct ks_set *set)
{
	for (size_t i = 0; i < set->count; i++)
		X509_free(ks_set_at(set, i)->x509);
	for (size_t i = 0; i * CHUNK < set->count; i++)
		free(set->chunks[i]);
	set->count = set->problem_count = 0;
	set->facts = (struct ks_facts){ 0 };
}

struct ks_ctx *ks_set_ctx(const struct ks_set *set)
{
	return set->ctx;
}

struct ks_facts *ks_set_facts(struct ks_set *set)
{
	return &set->facts;
}

const struct ks_facts *ks_set_facts_of(const struct ks_set *set)
{
	return &set->facts;
}

size_t ks_set_count(const struct ks_set *set)
{
	return set->count;
}

struct ks_item *ks_set_at(const struct ks_set *set, size_t n)
{
	return n < set->count ? &set->chunks[n / CHUNK][n % CHUNK] : NULL;
}

struct ks_item *ks_set_add(struct ks_set *set, enum ks_kind kind)
{
	struct ks_item *item;

	if (set->count % CHUNK == 0) {
		if (ks_array_grow(&set->chunks, &set->chunk_capacity, set->count / CHUNK + 1, sizeof(*set->chunks)))
			return NULL;
		set->chunks[set->count / CHUNK] = ks_array(CHUNK, sizeof(*item));
		if (!set->chunks[set->count / CHUNK])
			return NULL;
	}
	item = ks_set_at(set, set->count++);
	item->kind = kind;
	item->set = set;
	return item;
}

/* Keeps `source` alive as long as `set`; the sources of one set are few, so a short walk finds a repeated one. */
static int set_borrow(struct ks_set *set, struct ks_set *source)
{
	if (source == set)
		return 0;
	for (size_t i = set->source_count; i-- > 0;) {
		if (set->sources[i] == source)
			return 0;
	}
	if (ks_array_grow(&set->sources, &set->source_capacity, set->source_count + 1, sizeof(struct ks_set *)))
		return KS_ENOMEM;
	set->sources[set->source_count++] = ks_set_ref(source);
	return 0;
}

struct ks_item *ks_set_copy(struct ks_set *set, struct ks_item *item)
{
	struct ks_item *copy;

	if (set_borrow(set, item->set) < 0)
		return NULL;
	copy = ks_set_add(set, item->kind);
	if (!copy)
		return NULL;
	*copy = *item;
	copy->set = set;
	copy->origin = item->origin ? item->origin : item;
	if (copy->x509)
		X509_up_ref(copy->x509);
	return copy;
}

int ks_set_own(struct ks_set *set, struct ks_buffer *buffer)
{
	if (ks_array_grow(&set->buffers, &set->buffer_capacity, set->buffer_count + 1, sizeof(struct ks_buffer *))) {
		ks_buffer_free(buffer);
		return ks_nomem(set->ctx);
	}
	set->buffers[set->buffer_count++] = buffer;
	return 0;
}

unsigned char *ks_set_writable(struct ks_set *set, struct ks_bytes bytes)
{
	for (size_t i = 0; bytes.data && i < set->buffer_count; i++) {
		struct ks_buffer *buffer = set->buffers[i];

		if (bytes.data >= buffer->data && bytes.data < buffer->data + buffer->size &&
		    bytes.size <= (size_t)(buffer->data + buffer->size - bytes.data))
			return buffer->data + (bytes.data - buffer->data);
	}
	return NULL;
}

static char *arena_take(struct ks_set *set, size_t size)
{
	struct arena *arena = set->arena;
	size_t fresh = size > ARENA / 4 ? size : ARENA;

	if (!arena || arena->size - arena->used < size) {
		if (fresh > SIZE_MAX - sizeof(*arena))
			return NULL;
		arena = malloc(sizeof(*arena) + fresh);
		if (!arena)
			return NULL;
		*arena = (struct arena){ .next = set->arena, .size = fresh };
		set->arena = arena;
	}
	arena->used += size;
	return arena->bytes + arena->used - size;
}

struct ks_bytes ks_set_bytes(struct ks_set *set, const void *bytes, size_t size)
{
	char *place = arena_take(set, size + 1);

	if (!place)
		return KS_NONE;
	if (size)
		memcpy(place, bytes, size);
	place[size] = '\0';
	return KS_BYTES(place, size);
}

void *ks_set_room(struct ks_set *set, size_t size)
{
	struct ks_buffer *memory = ks_buffer_new(size);
	unsigned char *room = memory ? ks_buffer_room(memory, size) : NULL;

	if (!memory || ks_set_own(set, memory) < 0 || !room)
		return NULL;
	memory->size = size;
	return memset(room, 0, size);
}

const char *ks_set_text(struct ks_set *set, const char *format, ...)
{
	va_list values;
	char *text = NULL;
	struct ks_bytes kept;
	int size;

	va_start(values, format);
	size = vasprintf(&text, format, values);
	va_end(values);
	if (size < 0)
		return NULL;
	kept = ks_set_bytes(set, text, (size_t)size);
	free(text);
	return (const char *)kept.data;
}

void ks_set_keep_secret(struct ks_set *set, struct ks_secret *secret)
{
	ks_secret_ref(secret);
	ks_secret_free(set->secret);
	set->secret = secret;
}

struct ks_secret *ks_set_secret(const struct ks_set *set)
{
	return set->secret;
}

void ks_set_problem(struct ks_set *set, int status, const char *hint, const char *format, ...)
{
	va_list values;
	char *text = NULL;
	int size;

	va_start(values, format);
	size = vasprintf(&text, format, values);
	va_end(values);
	if (size < 0)
		return;
	if (ks_array_grow(&set->problems, &set->problem_capacity, set->problem_count + 1, sizeof(*set->problems)) == 0) {
		const char *kept = ks_set_text(set, "%s", text), *kept_hint = ks_set_text(set, "%s", hint ? hint : "");

		if (kept && kept_hint)
			set->problems[set->problem_count++] = (struct ks_problem){ status, kept, kept_hint, "" };
	}
	free(text);
}

const struct ks_problem *ks_set_problem_at(const struct ks_set *set, size_t n)
{
	return n < set->problem_count ? &set->problems[n] : NULL;
}

/* ---- items ---- */

const char *ks_kind_name(enum ks_kind kind)
{
	static const char *const names[] = {
		[KS_PRIVATE_KEY] = "private-key", [KS_PUBLIC_KEY] = "public-key", [KS_CERTIFICATE] = "certificate",
		[KS_REQUEST] = "request",	  [KS_CRL] = "crl",		  [KS_SECRET_KEY] = "secret-key",
		[KS_OPAQUE] = "opaque",
	};

	return names[kind];
}

enum ks_kind ks_item_kind(const struct ks_item *item)
{
	return item->kind;
}

struct ks_bytes ks_item_label(const struct ks_item *item)
{
	return item->label;
}

struct ks_bytes ks_item_id(const struct ks_item *item)
{
	return item->id;
}

struct ks_bytes ks_item_der(const struct ks_item *item)
{
	return item->kind == KS_PRIVATE_KEY || item->kind == KS_SECRET_KEY ? KS_NONE : item->der;
}

struct ks_trust ks_item_trust(const struct ks_item *item)
{
	return item->trust;
}

X509 *ks_item_x509(struct ks_item *item, struct ks_ctx *ctx)
{
	const unsigned char *at = item->der.data;
	ks_auto_ssl(X509) certificate = NULL;
	X509 *parsed;

	if (item->x509)
		return item->x509;
	if (item->kind != KS_CERTIFICATE) {
		ks_fail(ctx, KS_EUNABLE, "a %s is not a certificate", ks_kind_name(item->kind));
		return NULL;
	}
	certificate = X509_new_ex(ks_crypto(ctx), NULL);
	if (!certificate) {
		ks_nomem(ctx);
		return NULL;
	}
	parsed = d2i_X509(&certificate, &at, (long)item->der.size);
	if (!parsed || at != item->der.data + item->der.size) {
		ks_auto_mem char *named = ks_item_named(item);

		ks_fail_openssl(ctx, KS_EDAMAGED, "%s cannot be decoded", named ? named : "a certificate");
		return NULL;
	}
	item->x509 = ks_take(certificate);
	return item->x509;
}

int ks_item_pkey(EVP_PKEY **out, struct ks_item *item, struct ks_ctx *ctx)
{
	if (!item->from || !item->from->pkey)
		return ks_fail(ctx, KS_EUNABLE, "a %s has no key that can be used", ks_kind_name(item->kind));
	return item->from->pkey(out, item->origin ? item->origin : item, ctx);
}

int ks_item_pkcs8(struct ks_buffer **out, struct ks_item *item, struct ks_ctx *ctx)
{
	ks_auto_mem char *named = NULL;

	if (item->from && item->from->pkcs8)
		return item->from->pkcs8(out, item->origin ? item->origin : item, ctx);
	named = ks_item_named(item);
	return ks_hint(ctx, ks_fail(ctx, KS_EUNABLE, "%s cannot leave its store", named ? named : "the key"),
		       "use it where it is, or make a new key in the target store");
}

static int content_copy(struct ks_buffer **out, struct ks_ctx *ctx, struct ks_bytes bytes)
{
	ks_auto(buffer) copy = ks_buffer_new(bytes.size + 1);

	if (!copy || ks_buffer_put(copy, bytes.data, bytes.size) < 0)
		return ks_nomem(ctx);
	*out = ks_take(copy);
	return 0;
}

int ks_item_content(struct ks_buffer **out, struct ks_item *item, struct ks_ctx *ctx)
{
	ks_auto_mem char *named = NULL;

	if (item->der.data && item->kind != KS_PRIVATE_KEY && item->kind != KS_SECRET_KEY)
		return content_copy(out, ctx, item->der);
	if (item->from && item->from->content)
		return item->from->content(out, item->origin ? item->origin : item, ctx);
	named = ks_item_named(item);
	return ks_fail(ctx, KS_EUNABLE, "%s does not give its bytes", named ? named : "this");
}

const unsigned char *ks_item_sha256(struct ks_item *item)
{
	if (!(item->flags & KS_HASHED)) {
		ks_sha256(item->sha256, item->der);
		item->flags |= KS_HASHED;
	}
	return item->sha256;
}

bool ks_item_is_anchor(const struct ks_item *item)
{
	return item->kind == KS_CERTIFICATE && item->trust.trusted != 0;
}

/* "private key", for sentences. */
static const char *kind_words(enum ks_kind kind)
{
	static const char *const words[] = {
		[KS_PRIVATE_KEY] = "private key", [KS_PUBLIC_KEY] = "public key", [KS_CERTIFICATE] = "certificate",
		[KS_REQUEST] = "request",	  [KS_CRL] = "CRL",		  [KS_SECRET_KEY] = "secret key",
		[KS_OPAQUE] = "object",
	};

	return words[kind];
}

static char *certificate_named(struct ks_item *item)
{
	struct ks_bytes issuer, name;
	ks_auto_mem char *subject = NULL;
	char *named = NULL, digest[9];

	ks_hex(digest, KS_BYTES(ks_item_sha256(item), 4));
	if (ks_certificate_names(&issuer, &name, item->der) == 0)
		subject = ks_name_text(name);
	if (asprintf(&named, "certificate %s (sha256 %s)", subject ? subject : "without a readable subject", digest) < 0)
		return NULL;
	return named;
}

char *ks_item_named(struct ks_item *item)
{
	ks_auto_mem char *label = item->label.data ? ks_text_show(item->label) : NULL;
	ks_auto_mem char *id = item->id.size && item->id.size <= 64 ? ks_hex_new(item->id) : NULL;
	char *named = NULL;
	int size;

	if (label && label[0])
		size = asprintf(&named, "%s \"%s\"", kind_words(item->kind), label);
	else if (item->kind == KS_CERTIFICATE)
		return certificate_named(item);
	else if (id)
		size = asprintf(&named, "%s with id %s", kind_words(item->kind), id);
	else
		size = asprintf(&named, "%s without a label", kind_words(item->kind));
	return size < 0 ? NULL : named;
}
