/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing PEM: what was found and not changed goes out as it came in, comments and all, in its old place; then new
 * private keys, then everything else that is new.
 */
#include "pem.h"

#include "protect.h"

#include "der.h"

#include <string.h>

struct writing {
	struct ks_ctx *ctx;
	struct ks_buffer *out;
	const struct ks_set *have;
	struct ks_secret *secret;
	bool changed;
	const unsigned char *found_end; /* of the record written last, when it was a found one */
};

/* ---- what was found ---- */

static const struct ks_item *source_of(const struct ks_item *item)
{
	return item->origin ? item->origin : item;
}

bool ks_pem_over(const struct ks_item *item)
{
	return item->raw.data && item->der.size && item->der.data > item->raw.data &&
	       item->der.data < item->raw.data + item->raw.size && item->der.data[0] == KS_DER_SEQUENCE;
}

bool ks_pem_found(struct ks_pem_block *out, const struct ks_item *item)
{
	struct ks_pem_scan scan = { .file = item->raw };
	struct ks_pem_block block;
	bool found = false;

	while (ks_pem_next(&block, &scan)) {
		*out = block;
		found = true;
	}
	return found;
}

/*
 * Base64 and END line of a record that was decoded over itself: bytes, then the rest of their text, then the END
 * line.
 */
static void put_over(struct writing *writing, const struct ks_item *item, const unsigned char *from)
{
	const unsigned char *raw_end = item->raw.data + item->raw.size;
	size_t payload = item->der.size + item->attributes.size, text = (payload + 2) / 3 * 4;
	const unsigned char *end = item->der.data + text + (text + 63) / 64;

	ks_buffer_put(writing->out, from, (size_t)(item->der.data - from));
	ks_pem_encode(writing->out, KS_BYTES(item->der.data, payload));
	ks_buffer_put(writing->out, end, (size_t)(raw_end - end));
}

/* The record as it was read, with the text around it; glued to the one before it if it was. */
static int put_record(struct writing *writing, const struct ks_item *item)
{
	if (ks_pem_over(item))
		put_over(writing, item, item->raw.data);
	else
		ks_buffer_put(writing->out, item->raw.data, item->raw.size);
	writing->found_end = item->raw.data + item->raw.size;
	return writing->out->status;
}

static void end_line(struct writing *writing)
{
	if (writing->out->size && writing->out->data[writing->out->size - 1] != '\n')
		ks_buffer_text(writing->out, "\n");
}

/* The block alone, for a record whose comments are written anew. */
static int put_block(struct writing *writing, const struct ks_item *item)
{
	const unsigned char *begin = item->der.data;
	struct ks_pem_block block;

	if (ks_pem_over(item)) {
		for (begin--; begin > item->raw.data && begin[-1] != '\n';)
			begin--;
		put_over(writing, item, begin);
	} else if (ks_pem_found(&block, item)) {
		ks_buffer_put(writing->out, block.whole.data, block.whole.size);
	} else {
		return ks_fail(writing->ctx, KS_EBUG, "a PEM record has no block in it");
	}
	return writing->out->status;
}

/* ---- what is new ---- */

static int put_labelled(struct writing *writing, const char *label, struct ks_bytes der)
{
	ks_buffer_format(writing->out, "-----BEGIN %s-----\n", label);
	ks_pem_encode(writing->out, der);
	return ks_buffer_format(writing->out, "-----END %s-----\n", label);
}

static int put_sealed(struct writing *writing, struct ks_bytes clear)
{
	ks_auto(buffer) sealed = ks_buffer_new(clear.size + 4096);
	int rc;

	if (!sealed)
		return ks_nomem(writing->ctx);
	rc = ks_sealed_key_put(sealed, writing->ctx, clear, writing->secret, NULL);
	return rc < 0 ? rc : put_labelled(writing, "ENCRYPTED PRIVATE KEY", ks_buffer_bytes(sealed));
}

static int put_private(struct writing *writing, struct ks_item *item)
{
	ks_auto(buffer) clear = NULL;
	int rc = ks_item_pkcs8(&clear, item, writing->ctx);

	if (rc < 0)
		return rc;
	if (writing->secret)
		return put_sealed(writing, ks_buffer_bytes(clear));
	return put_labelled(writing, "PRIVATE KEY", ks_buffer_bytes(clear));
}

/*
 * Trust for everything is what programs assume of a plain certificate in a file they were given; anything less has
 * to be said.
 */
static int put_certificate(struct writing *writing, const struct ks_item *item)
{
	ks_auto(buffer) trusted = NULL;

	if (!ks_pem_needs_aux(item->trust))
		return put_labelled(writing, "CERTIFICATE", item->der);
	trusted = ks_buffer_new(item->der.size + item->label.size + 512);
	if (!trusted)
		return ks_nomem(writing->ctx);
	ks_buffer_put(trusted, item->der.data, item->der.size);
	if (ks_pem_write_aux(trusted, item) < 0)
		return ks_nomem(writing->ctx);
	return put_labelled(writing, "TRUSTED CERTIFICATE", ks_buffer_bytes(trusted));
}

static int refuse(struct writing *writing, struct ks_item *item)
{
	ks_auto_mem char *named = ks_item_named(item);

	return ks_hint(writing->ctx,
		       ks_fail(writing->ctx, KS_ELOSSY, "a PEM file cannot hold the %s", named ? named : "object"),
		       "leave it out, or use a p12: store");
}

static int put_kind(struct writing *writing, struct ks_item *item)
{
	switch (item->kind) {
	case KS_PRIVATE_KEY:
		return put_private(writing, item);
	case KS_CERTIFICATE:
		return put_certificate(writing, item);
	case KS_PUBLIC_KEY:
		return put_labelled(writing, "PUBLIC KEY", item->der);
	case KS_REQUEST:
		return put_labelled(writing, "CERTIFICATE REQUEST", item->der);
	case KS_CRL:
		return put_labelled(writing, "X509 CRL", item->der);
	default:
		return refuse(writing, item);
	}
}

/* ---- items ---- */

static bool is_own(const struct writing *writing, const struct ks_item *item)
{
	return writing->have && source_of(item)->set == writing->have;
}

static bool same_trust(struct ks_trust a, struct ks_trust b)
{
	return a.trusted == b.trusted && a.distrusted == b.distrusted;
}

static void put_comments(struct writing *writing, const struct ks_item *item)
{
	unsigned char id[KS_SHA256];
	struct ks_item named = *item;

	if (item->kind == KS_PRIVATE_KEY && writing->secret && ks_pem_pair_id(id, item))
		named.id = KS_BYTES(id, sizeof(id));
	ks_pem_write_comments(writing->out, &named);
}

static int put_item(struct writing *writing, struct ks_item *item)
{
	const struct ks_item *source = source_of(item);
	bool own = is_own(writing, item), anew = item->kind == KS_PRIVATE_KEY && writing->changed;

	if (!item->raw.data || item->raw.data != writing->found_end)
		end_line(writing);
	writing->found_end = NULL;
	if (own && item->raw.data && !anew)
		return put_record(writing, item);
	put_comments(writing, item);
	if (own && source->raw.data && !anew && same_trust(item->trust, source->trust))
		return put_block(writing, source);
	return put_kind(writing, item);
}

enum turn { OWN, NEW_KEYS, OTHERS };

static enum turn turn_of(const struct writing *writing, const struct ks_item *item)
{
	if (is_own(writing, item))
		return OWN;
	return item->kind == KS_PRIVATE_KEY ? NEW_KEYS : OTHERS;
}

int ks_pem_write(struct ks_ctx *ctx, struct ks_buffer *out, struct ks_set *from, const struct ks_set *have,
		 struct ks_secret *secret, bool changed)
{
	struct writing writing = { ctx, out, have, secret, changed, NULL };
	int rc = 0;

	if (ks_set_count(from) == 0)
		ks_buffer_text(out, KS_PEM_NOTHING);
	for (enum turn turn = OWN; turn <= OTHERS; turn++) {
		for (size_t i = 0; rc == 0 && i < ks_set_count(from); i++) {
			struct ks_item *item = ks_set_at(from, i);

			if (turn_of(&writing, item) == turn)
				rc = put_item(&writing, item);
		}
	}
	if (rc == 0 && out->status)
		return ks_fail(ctx, out->status, "the PEM file would be larger than %zu bytes", out->ceiling);
	return rc;
}
