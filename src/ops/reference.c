/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The address is written so that other readers of such files understand it too: a token's entry by object= (RFC 7512), never
 * behind a #, and a store of files behind the scheme that only our provider knows.
 */
#include "reference.h"

#include "der.h"

#include <string.h>

#define PREAMBLE "PKCS#11 Provider URI v1.0"
#define LONGEST 70000
#define UTF8_STRING 0x0c
#define VISIBLE_STRING 0x1a
#define SEQUENCE 0x30

static void put_value(struct ks_buffer *out, const char *value, const char *plain)
{
	for (; *value; value++) {
		unsigned char c = (unsigned char)*value;
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

		if (letter || strchr(plain, c))
			ks_buffer_put(out, &c, 1);
		else
			ks_buffer_format(out, "%%%02X", c);
	}
}

static void put_source(struct ks_buffer *out, const char *source, bool first)
{
	if (!source || strncmp(source, "file:/", 6) != 0)
		return;
	ks_buffer_text(out, first ? "?pin-source=" : "&pin-source=");
	put_value(out, source, "-._~:/");
}

/* The canonical address in three parts: all before ? and #, the query, the entry behind #. */
static void put_address(struct ks_buffer *out, const struct ks_where *where)
{
	const char *text = ks_where_text(where), *query;
	bool token = ks_where_is_token(where);
	size_t length = strcspn(text, "?#");

	query = text[length] == '?' ? text + length : "";
	if (!token)
		ks_buffer_text(out, "keystow:");
	ks_buffer_put(out, text, length);
	if (token && where->label && !strstr(text, "object=")) {
		ks_buffer_text(out, ";object=");
		put_value(out, where->label, "-._~");
	}
	if (token && !strstr(text, "type="))
		ks_buffer_text(out, ";type=private");
	ks_buffer_put(out, query, strcspn(query, "#"));
	put_source(out, where->pin_source, !query[0]);
	if (!token && strchr(text, '#'))
		ks_buffer_text(out, strchr(text, '#'));
}

static int check(struct ks_store *store)
{
	const struct ks_where *where = store->where;
	const struct ks_entry *entry = NULL;
	int rc = ks_store_entry(&entry, store, where);

	if (rc < 0)
		return rc;
	if (!entry->key || entry->key->kind != KS_PRIVATE_KEY)
		return ks_fail(store->ctx, KS_ENOTFOUND, "%s is no private key", ks_where_text(where));
	if (!ks_where_is_token(where) && where->path[0] != '/')
		return ks_hint(store->ctx,
			       ks_fail(store->ctx, KS_EADDRESS, "%s means another file in another folder",
				       ks_where_text(where)),
			       "write the whole path");
	return 0;
}

static int encode(struct ks_buffer **out, struct ks_ctx *ctx, const struct ks_buffer *address)
{
	ks_auto(buffer) der = ks_buffer_new(LONGEST + 100);
	size_t mark;

	if (!der)
		return ks_nomem(ctx);
	mark = ks_der_open(der, SEQUENCE);
	ks_der_put(der, VISIBLE_STRING, ks_bytes_of(PREAMBLE));
	ks_der_put(der, UTF8_STRING, ks_buffer_bytes(address));
	ks_der_close(der, mark);
	if (address->status || der->status)
		return ks_nomem(ctx);
	*out = ks_take(der);
	return 0;
}

int ks_reference_make(struct ks_buffer **out, struct ks_store *store)
{
	ks_auto(buffer) address = ks_buffer_new(LONGEST);
	int rc = check(store);

	if (rc < 0)
		return rc;
	if (!address)
		return ks_nomem(store->ctx);
	put_address(address, store->where);
	return encode(out, store->ctx, address);
}

int ks_reference_of(struct ks_buffer **out, struct ks_ctx *ctx, const char *uri, const char *pin_source)
{
	ks_auto(buffer) address = ks_buffer_new(LONGEST);

	if (!address)
		return ks_nomem(ctx);
	ks_buffer_text(address, uri);
	put_source(address, pin_source, true);
	return encode(out, ctx, address);
}
