/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading PEM: each block becomes an item, or is told apart as a duplicate, foreign or damaged. Nothing needs a
 * password.
 *
 * A damaged or foreign block stays in the set as an opaque item, so that rewriting the store does not drop what we
 * could not read.
 */
#include "pem.h"

#include "codecs.h"
#include "key.h"
#include "pkcs7.h"
#include "protect.h"
#include "shape.h"

#include "certificate.h"
#include "der.h"
#include "text.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define MOST_BLOCKS 100000
#define MOST_PROBLEMS 100

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* ---- labels ---- */

enum content {
	CERTIFICATE,
	TRUSTED, /* a certificate and what OpenSSL puts behind it */
	PRIVATE, /* a private key in any form: labels of keys are mixed up in the wild, and the shape tells */
	ONE, /* of the shape the row names */
	BAG, /* PKCS#7 */
	WITH_NEXT, /* belongs to the block behind it */
};

static const struct label_row {
	const char *label;
	enum content content;
	enum ks_shape shape;
} labels[] = {
	{ "CERTIFICATE", CERTIFICATE, KS_SHAPE_CERTIFICATE },
	{ "X509 CERTIFICATE", CERTIFICATE, KS_SHAPE_CERTIFICATE },
	{ "TRUSTED CERTIFICATE", TRUSTED, KS_SHAPE_CERTIFICATE },
	{ "X509 CRL", ONE, KS_SHAPE_CRL },
	{ "CERTIFICATE REQUEST", ONE, KS_SHAPE_REQUEST },
	{ "NEW CERTIFICATE REQUEST", ONE, KS_SHAPE_REQUEST },
	{ "PUBLIC KEY", ONE, KS_SHAPE_SPKI },
	{ "PRIVATE KEY", PRIVATE, KS_SHAPE_PKCS8 },
	{ "ENCRYPTED PRIVATE KEY", PRIVATE, KS_SHAPE_SEALED_PKCS8 },
	{ "RSA PRIVATE KEY", PRIVATE, KS_SHAPE_PKCS1 },
	{ "EC PRIVATE KEY", PRIVATE, KS_SHAPE_SEC1 },
	{ "DSA PRIVATE KEY", PRIVATE, KS_SHAPE_DSA },
	{ "ANY PRIVATE KEY", PRIVATE, KS_SHAPE_PKCS8 },
	{ "PKCS7", BAG, KS_SHAPE_PKCS7 },
	{ "PKCS #7 SIGNED DATA", BAG, KS_SHAPE_PKCS7 },
	{ "CMS", BAG, KS_SHAPE_PKCS7 },
	{ "EC PARAMETERS", WITH_NEXT, KS_SHAPE_UNKNOWN },
};

static const struct label_row *label_row(struct ks_bytes label)
{
	for (size_t i = 0; i < COUNT(labels); i++) {
		if (ks_bytes_are(label, labels[i].label))
			return &labels[i];
	}
	return NULL;
}

/* ---- what was seen before ---- */

/*
 * Items by SHA-256, in open addressing. The place is drawn with a secret odd factor, so that nobody can make a file
 * whose digests all fall into one place.
 */
struct seen {
	struct ks_item **places;
	size_t size; /* a power of two */
	size_t used;
	uint64_t factor;
	unsigned shift;
};

static size_t place_of(const struct seen *seen, const unsigned char *digest)
{
	uint64_t head;

	memcpy(&head, digest, sizeof(head));
	return (size_t)(head * seen->factor >> seen->shift);
}

static struct ks_item **seen_find(const struct seen *seen, const unsigned char *digest)
{
	size_t place = place_of(seen, digest);

	while (seen->places[place] && memcmp(seen->places[place]->sha256, digest, KS_SHA256) != 0)
		place = (place + 1) & (seen->size - 1);
	return &seen->places[place];
}

static int seen_grow(struct seen *seen)
{
	struct seen grown = { .size = seen->size ? seen->size * 2 : 256, .used = seen->used, .factor = seen->factor };

	if (seen->used * 2 < seen->size)
		return 0;
	grown.shift = seen->size ? seen->shift - 1 : 64 - 8;
	if (!grown.factor &&
	    TEMP_FAILURE_RETRY(getrandom(&grown.factor, sizeof(grown.factor), 0)) != sizeof(grown.factor))
		return KS_EBUG;
	grown.factor |= 1;
	grown.places = ks_array(grown.size, sizeof(struct ks_item *));
	if (!grown.places)
		return KS_ENOMEM;
	for (size_t i = 0; i < seen->size; i++) {
		if (seen->places[i])
			*seen_find(&grown, seen->places[i]->sha256) = seen->places[i];
	}
	free(seen->places);
	*seen = grown;
	return 0;
}

static int seen_put(struct seen *seen, struct ks_item *item)
{
	struct ks_item **place;
	int rc = seen_grow(seen);

	if (rc < 0)
		return rc;
	place = seen_find(seen, ks_item_sha256(item));
	seen->used += *place == NULL;
	*place = item;
	return 0;
}

/* ---- reading ---- */

struct reading {
	struct ks_ctx *ctx;
	struct ks_set *into;
	struct ks_facts *facts;
	struct ks_bytes file;
	const unsigned char *from; /* the next item's record begins here */
	struct ks_item *last; /* the item whose record ends at `from`, if it has one */
	struct seen seen;
	size_t blocks;
};

static struct ks_bytes record(const struct reading *reading, const struct ks_pem_block *block)
{
	return KS_BYTES(reading->from, (size_t)(block->whole.data + block->whole.size - reading->from));
}

/* The record ends with this block; `item` NULL: it is not needed to write the store again. */
static void close_record(struct reading *reading, const struct ks_pem_block *block, struct ks_item *item)
{
	if (item)
		item->raw = record(reading, block);
	reading->last = item;
	reading->from = block->whole.data + block->whole.size;
}

static char *block_named(const struct ks_pem_block *block)
{
	ks_auto_mem char *label = block->label.data ? ks_text_show(block->label) : NULL;
	char *named = NULL;
	int size;

	if (block->binary)
		size = asprintf(&named, "the DER on line %zu", block->line);
	else
		size = asprintf(&named, "the %s block on line %zu", label ? label : "unnamed", block->line);
	return size < 0 ? NULL : named;
}

/* Kept as it lies, and told. `payload` is there when the base64 was decoded over itself. */
static int put_damaged(struct reading *reading, const struct ks_pem_block *block, struct ks_bytes payload,
		       const char *why)
{
	ks_auto_mem char *named = block_named(block);
	struct ks_item *item = ks_set_add(reading->into, KS_OPAQUE);

	if (!item || !named)
		return ks_nomem(reading->ctx);
	if (reading->facts->blocks_damaged++ < MOST_PROBLEMS)
		ks_set_problem(reading->into, KS_EDAMAGED,
			       "take it from another copy; the other blocks are not concerned", "%s is damaged: %s",
			       named, why);
	item->flags = KS_UNDECODED;
	item->about = ks_set_text(reading->into, "damaged: %s", why);
	item->der = payload.data ? payload : block->whole;
	close_record(reading, block, item);
	return 0;
}

static int put_foreign(struct reading *reading, const struct ks_pem_block *block)
{
	struct ks_item *item = ks_set_add(reading->into, KS_OPAQUE);
	ks_auto_mem char *label = ks_text_show(block->label);

	if (!item || !label)
		return ks_nomem(reading->ctx);
	reading->facts->blocks_foreign++;
	item->about = ks_set_text(reading->into, "%s", label);
	item->der = block->whole;
	close_record(reading, block, item);
	return 0;
}

/*
 * The block's bytes: over their own base64 where that can be undone, else beside it. *why is set when they cannot be
 * had.
 */
static int payload_of(struct ks_bytes *out, const char **why, struct reading *reading, const struct ks_pem_block *block)
{
	unsigned char stranger;
	struct ks_bytes kept;
	size_t size = 0;

	*why = NULL;
	if (block->binary) {
		*out = block->body;
		return 0;
	}
	if (!block->headers.data && ks_pem_decode_over(&size, block->body)) {
		*out = KS_BYTES(block->body.data, size);
		return 0;
	}
	kept = ks_set_bytes(reading->into, block->body.data,
			    block->body.size / 4 * 3 + 3 < block->body.size ? block->body.size / 4 * 3 + 3
									    : block->body.size);
	if (!kept.data)
		return ks_nomem(reading->ctx);
	if (ks_pem_decode((unsigned char *)kept.data, &size, block->body, &stranger) < 0) {
		*why = !stranger ? "its base64 is cut"
		       : stranger < ' ' || stranger >= 0x7f
			       ? ks_set_text(reading->into, "its base64 has the byte %02x in it", stranger)
			       : ks_set_text(reading->into, "its base64 has a \"%c\" in it", stranger);
		return *why ? 0 : ks_nomem(reading->ctx);
	}
	*out = KS_BYTES(kept.data, size);
	return 0;
}

/* An item of the same bytes under the same name, or now without one, is there already: one of them is enough. */
static bool is_duplicate(const struct reading *reading, struct ks_item *fresh)
{
	struct ks_item *before = reading->seen.size ? *seen_find(&reading->seen, ks_item_sha256(fresh)) : NULL;

	return before && before->kind == fresh->kind &&
	       (!fresh->label.data || ks_bytes_equal(fresh->label, before->label)) && !fresh->attributes.size;
}

/* How the keys of this file are sealed, for the store's facts; the first one speaks for all. */
static void note_sealing(struct reading *reading, const struct ks_item *item)
{
	struct ks_protection protection;

	if (!(item->flags & KS_SEALED) || !item->der.data || reading->facts->cipher)
		return;
	if (ks_sealed_key_protection(&protection, reading->ctx, item->der) < 0) {
		ks_forgive(reading->ctx);
		return;
	}
	reading->facts->cipher = protection.cipher_name;
	reading->facts->kdf = protection.kdf_name;
	reading->facts->kdf_iterations = protection.iterations;
	reading->facts->weak |= protection.weak;
}

/* What the lines around a block and the bytes behind a certificate tell, before there is an item. */
static int read_names(struct ks_item *fresh, struct reading *reading, const struct ks_pem_block *block)
{
	int rc = ks_pem_read_aux(fresh, fresh->attributes);

	return rc < 0 ? rc
		      : ks_pem_read_comments(fresh,
					     KS_BYTES(reading->from, (size_t)(block->whole.data - reading->from)));
}

/* One item of that shape. `fresh` carries its bytes and names, and is no member of the set. */
static int put_item(struct reading *reading, const struct ks_pem_block *block, struct ks_item *fresh,
		    enum ks_shape shape)
{
	struct ks_item *item = NULL;
	int rc;

	if (is_duplicate(reading, fresh)) {
		reading->facts->blocks_duplicate++;
		close_record(reading, block, NULL);
		return 0;
	}
	rc = ks_shape_item(&item, reading->into, shape, fresh->der);
	if (rc < 0)
		return rc;
	item->label = fresh->label;
	item->id = fresh->id;
	item->trust = fresh->trust;
	item->attributes = fresh->attributes;
	memcpy(item->sha256, ks_item_sha256(fresh), sizeof(item->sha256));
	item->flags |= KS_HASHED;
	note_sealing(reading, item);
	if (item->flags & KS_UNDECODED)
		reading->facts->blocks_damaged++;
	else
		reading->facts->blocks_ok++;
	close_record(reading, block, block->binary ? NULL : item);
	return seen_put(&reading->seen, item);
}

/*
 * Something single: `der` is its element, `aux` what follows a certificate. Statuses of damage are handled by the
 * caller.
 */
static int read_single(struct reading *reading, const struct ks_pem_block *block, struct ks_bytes der,
		       struct ks_bytes aux, enum ks_shape shape)
{
	struct ks_item fresh = { .kind = ks_shape_kind(shape), .set = reading->into, .der = der, .attributes = aux };
	int rc = read_names(&fresh, reading, block);

	return rc < 0 ? rc : put_item(reading, block, &fresh, shape);
}

static int read_bag(struct reading *reading, const struct ks_pem_block *block, struct ks_bytes payload)
{
	int rc = ks_pkcs7_items(reading->into, payload);

	if (rc == 0)
		close_record(reading, block, NULL);
	return rc;
}

/* The payload by its label, or by its shape when it has none. KS_EFORMAT: it is something else than the label says. */
static int read_payload(struct reading *reading, const struct ks_pem_block *block, const struct label_row *row,
			struct ks_bytes payload)
{
	struct ks_bytes aux = payload;
	struct ks_der first;
	enum ks_shape shape;

	if (row ? row->content == BAG : ks_shape_of(payload) == KS_SHAPE_PKCS7)
		return read_bag(reading, block, payload);
	if (ks_der_next(&first, &aux) < 0 || (aux.size && (!row || row->content != TRUSTED)))
		return KS_EDAMAGED;
	shape = ks_shape_of(first.whole);
	if (shape == KS_SHAPE_UNKNOWN || shape == KS_SHAPE_PFX || shape == KS_SHAPE_PKCS7)
		return KS_EFORMAT;
	if (row && (row->content == PRIVATE ? ks_shape_kind(shape) != KS_PRIVATE_KEY : shape != row->shape))
		return KS_EFORMAT;
	return read_single(reading, block, first.whole, aux, shape);
}

static int read_decoded(struct reading *reading, const struct ks_pem_block *block, const struct label_row *row)
{
	struct ks_bytes payload = KS_NONE;
	const char *why;
	int rc = payload_of(&payload, &why, reading, block);

	if (rc < 0)
		return rc;
	if (why)
		return put_damaged(reading, block, KS_NONE, why);
	rc = read_payload(reading, block, row, payload);
	if (rc != KS_EDAMAGED && rc != KS_EFORMAT)
		return rc;
	ks_forgive(reading->ctx);
	return put_damaged(reading, block, payload.data == block->body.data ? payload : KS_NONE,
			   payload.size == 0  ? "it is empty"
			   : rc == KS_EFORMAT ? "it holds something else than its label says"
					      : "its DER is cut, altered, or has bytes behind its end");
}

/* Proc-Type: 4,ENCRYPTED. */
static int read_sealed(struct reading *reading, const struct ks_pem_block *block)
{
	struct ks_item *item;

	if (!ks_pem_header(block, "DEK-Info").size)
		return put_damaged(reading, block, KS_NONE, "it is sealed, and its DEK-Info line is missing");
	item = ks_set_add(reading->into, KS_PRIVATE_KEY);
	if (!item)
		return ks_nomem(reading->ctx);
	if (ks_pem_sealed_item(item, block) < 0) {
		item->flags |= KS_UNDECODED;
		reading->facts->blocks_damaged++;
		ks_set_problem(reading->into, KS_EDAMAGED, "take it from another copy",
			       "the private key on line %zu has a damaged DEK-Info line", block->line);
	} else {
		reading->facts->blocks_ok++;
	}
	if (ks_pem_read_comments(item, KS_BYTES(reading->from, (size_t)(block->whole.data - reading->from))) < 0)
		return KS_ENOMEM;
	close_record(reading, block, item);
	return 0;
}

static int read_block(struct reading *reading, const struct ks_pem_block *block)
{
	const struct label_row *row = block->label.data ? label_row(block->label) : NULL;
	struct ks_bytes process = ks_pem_header(block, "Proc-Type");

	if (reading->blocks++ >= MOST_BLOCKS)
		return ks_fail(reading->ctx, KS_ELIMIT, "a PEM file of more than %d blocks is refused", MOST_BLOCKS);
	if (block->wrong)
		return put_damaged(reading, block, KS_NONE, block->wrong);
	if (row && row->content == WITH_NEXT) {
		reading->facts->blocks_foreign++;
		return 0;
	}
	if (!row && !block->binary)
		return put_foreign(reading, block);
	if (process.size && memmem(process.data, process.size, "ENCRYPTED", 9))
		return read_sealed(reading, block);
	return read_decoded(reading, block, row);
}

/* What stands behind the last block belongs to it. */
static void keep_tail(struct reading *reading)
{
	if (reading->last)
		reading->last->raw.size = (size_t)(reading->file.data + reading->file.size - reading->last->raw.data);
}

/* ---- files that are not PEM after all ---- */

/* Base64 alone, without any marker: what some programs call PEM. */
static int read_bare(struct reading *reading)
{
	struct ks_pem_block block = { .whole = reading->file, .body = reading->file, .line = 1 };
	unsigned char stranger;
	struct ks_bytes kept = ks_set_bytes(reading->into, reading->file.data, reading->file.size);
	size_t size = 0;

	if (!kept.data)
		return ks_nomem(reading->ctx);
	if (ks_pem_decode((unsigned char *)kept.data, &size, reading->file, &stranger) < 0 || size == 0)
		return KS_EFORMAT;
	block.body = KS_BYTES(kept.data, size);
	block.binary = true;
	return read_payload(reading, &block, NULL, block.body);
}

static bool has(struct ks_bytes file, const char *word)
{
	return file.data && memmem(file.data, file.size, word, strlen(word));
}

static int fail_none(struct reading *reading)
{
	struct ks_bytes file = reading->file;
	int rc;

	if (!file.data || file.size == 0)
		return ks_hint(reading->ctx, ks_fail(reading->ctx, KS_EFORMAT, "the file is empty"),
			       "if it was downloaded, download it again");
	rc = ks_fail(reading->ctx, KS_EFORMAT, "there is no PEM block in the file");
	if (has(file, "<html") || has(file, "<HTML") || has(file, "<!DOCTYPE"))
		return ks_hint(reading->ctx, rc, "it is a web page, perhaps one that tells of an error");
	return ks_hint(reading->ctx, rc, "a PEM block begins with -----BEGIN");
}

/* Every block was damaged: there is nothing to go on with. */
static int fail_all(struct reading *reading)
{
	const struct ks_problem *first = ks_set_problem_at(reading->into, 0);

	return ks_fail(reading->ctx, KS_EDAMAGED, "nothing in the file can be read: %s",
		       first ? first->text : "every block is damaged");
}

static int read_all(struct reading *reading)
{
	struct ks_pem_scan scan = { .file = reading->file };
	struct ks_pem_block block;
	int rc = 0;

	while (rc == 0 && ks_pem_next(&block, &scan))
		rc = read_block(reading, &block);
	if (rc < 0)
		return rc == KS_ENOMEM ? ks_nomem(reading->ctx) : rc;
	keep_tail(reading);
	if (reading->blocks == 0 && !ks_bytes_are(reading->file, KS_PEM_NOTHING)) {
		rc = read_bare(reading);
		if (rc == KS_EFORMAT || rc == KS_EDAMAGED)
			return fail_none(reading);
		return rc;
	}
	if (reading->facts->blocks_damaged && reading->facts->blocks_ok + reading->facts->blocks_foreign == 0)
		return fail_all(reading);
	return 0;
}

static int pem_decode(struct ks_ctx *ctx, struct ks_set *into, struct ks_bytes file, struct ks_secret *secret)
{
	struct reading reading = {
		.ctx = ctx, .into = into, .facts = ks_set_facts(into), .file = file, .from = file.data
	};
	int rc;

	reading.facts->format = "pem";
	reading.facts->has_blocks = true;
	ks_set_keep_secret(into, secret);
	rc = read_all(&reading);
	free(reading.seen.places);
	return rc < 0 ? rc : ks_pem_pair(into);
}

/* ---- telling it from other files ---- */

/* Base64 of a SEQUENCE with a long length begins with these letters. */
static bool bare_base64(struct ks_bytes head)
{
	struct ks_bytes rest = head, line = ks_pem_line(&rest);

	if (line.size < 32 || line.data[0] != 'M' || line.data[1] != 'I')
		return false;
	for (size_t i = 0; i < line.size; i++) {
		if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=", line.data[i]) ||
		    !line.data[i])
			return false;
	}
	return true;
}

static int pem_probe(struct ks_bytes head)
{
	struct ks_pem_scan scan = { .file = head };
	struct ks_pem_block block;

	if (head.size && head.data[0] == KS_DER_SEQUENCE && ks_shape_of(head) != KS_SHAPE_UNKNOWN)
		return 0;
	while (ks_pem_next(&block, &scan)) {
		if (block.label.data)
			return 90;
	}
	if (ks_bytes_are(head, KS_PEM_NOTHING))
		return 100;
	return bare_base64(head) ? 40 : 0;
}

const struct ks_codec ks_codec_pem = {
	.name = "pem",
	.ceiling = (size_t)64 << 20,
	.probe = pem_probe,
	.decode = pem_decode,
	.encode = ks_pem_write,
};
