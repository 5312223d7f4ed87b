/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing a Java key store: records in the order of the set, each as it was found where nothing of it changed, and the digest.
 *
 * A key that a new password cannot open has one of its own, which Java allows: it stays under that, and it is said.
 */
#include "jks.h"

#include "text.h"

#include <openssl/crypto.h>

#include <string.h>
#include <time.h>

#define RECORD_SLACK 256 /* head, lengths and seal of one record */

struct writer {
	struct ks_ctx *ctx;
	struct ks_buffer *out;
	struct ks_set *from;
	const struct ks_set *have; /* the store before; NULL = new */
	const struct ks_jks_layout *layout; /* of `have`, or NULL */
	struct ks_secret *secret;
	bool changed; /* the password is another one */
	bool jceks;
	uint32_t version;
	size_t sealed; /* keys that were sealed anew */
	struct ks_jks_chains chains;
};

static int full(const struct writer *writer)
{
	if (writer->out->status == KS_ELIMIT)
		return ks_fail(writer->ctx, KS_ELIMIT, "the store would be larger than %zu bytes",
			       writer->out->ceiling);
	return ks_nomem(writer->ctx);
}

static bool is_own(const struct writer *writer, const struct ks_item *item)
{
	return ks_jks_is_own(item, writer->have);
}

/* ---- heads ------------------------------------------------------------------------------------------------------------------ */

/* Of the record as it was found; what stands behind it is the body. */
static struct ks_jks_head found_head(struct ks_bytes *body, const struct ks_item *item)
{
	struct ks_jks_head head = { 0 };

	*body = item->origin->raw;
	ks_jks_head_read(&head, body);
	return head;
}

static uint64_t date_of(const struct writer *writer, const struct ks_item *item)
{
	struct ks_bytes body;

	if (is_own(writer, item))
		return found_head(&body, item).date;
	return (uint64_t)(item->created > 0 ? item->created : (int64_t)time(NULL)) * 1000;
}

static int head_put(struct writer *writer, const struct ks_item *item, enum ks_jks_tag tag)
{
	struct ks_bytes alias, body;
	int rc = 0;

	ks_jks_put_number(writer->out, tag, 4);
	if (ks_jks_alias_kept(item, writer->have)) {
		alias = found_head(&body, item).alias;
		ks_jks_put_number(writer->out, alias.size, 2);
		ks_buffer_put(writer->out, alias.data, alias.size);
	} else {
		rc = ks_jks_alias_put(writer->out, writer->ctx, item->label);
	}
	ks_jks_put_number(writer->out, date_of(writer, item), 8);
	return rc;
}

/* ---- certificates ----------------------------------------------------------------------------------------------------------- */

static void certificate_put(struct writer *writer, const struct ks_item *item)
{
	if (writer->version > 1) {
		ks_jks_put_number(writer->out, 5, 2);
		ks_buffer_text(writer->out, "X.509");
	}
	ks_jks_put_number(writer->out, item->der.size, 4);
	ks_buffer_put(writer->out, item->der.data, item->der.size);
}

static int trusted_put(struct writer *writer, const struct ks_item *item)
{
	int rc = head_put(writer, item, KS_JKS_TRUSTED);

	certificate_put(writer, item);
	return rc;
}

static void chain_put(struct writer *writer, const struct ks_item *key, const struct ks_jks_chain *chain)
{
	if (chain->as_found) {
		ks_buffer_put(writer->out, key->attributes.data, key->attributes.size);
		return;
	}
	ks_jks_put_number(writer->out, chain->count, 4);
	for (size_t i = chain->first; i < chain->first + chain->count; i++)
		certificate_put(writer, writer->chains.members[i]);
}

/* ---- keys ------------------------------------------------------------------------------------------------------------------- */

/*
 * The clear key that is to be sealed; *out stays NULL when the sealed one stays: the password is not changed, or is not the key's, or
 * nobody here knows how to open it.
 */
static int clear_key(struct ks_buffer **out, struct writer *writer, struct ks_item *item)
{
	ks_auto_mem char *named = NULL;
	int rc;

	if (!is_own(writer, item))
		return ks_item_pkcs8(out, item, writer->ctx);
	if (!writer->changed)
		return 0;
	rc = ks_set_secret(writer->have) ? ks_jks_open_with(out, item->origin, writer->ctx, ks_set_secret(writer->have))
					 : KS_EPASSWORD;
	if (rc != KS_EPASSWORD && rc != KS_EALGORITHM && rc != KS_EUNABLE)
		return rc;
	ks_forgive(writer->ctx);
	named = ks_item_named(item);
	ks_notice(writer->ctx, KS_EPASSWORD, NULL, "keytool -keypasswd, or keystow copy to another store, changes it",
		  "%s keeps its password, because that of the store was not its own", named ? named : "a key");
	return 0;
}

static int sealed_put(struct writer *writer, struct ks_item *item)
{
	ks_auto(buffer) clear = NULL;
	size_t start;
	int rc = clear_key(&clear, writer, item);

	if (rc < 0)
		return rc;
	if (!clear) {
		ks_jks_put_number(writer->out, item->der.size, 4);
		return ks_buffer_put(writer->out, item->der.data, item->der.size);
	}
	writer->sealed++;
	ks_jks_put_number(writer->out, 0, 4);
	start = writer->out->size;
	rc = ks_jks_key_put(writer->out, writer->ctx, ks_buffer_bytes(clear), writer->secret, writer->jceks);
	if (rc == 0 && !writer->out->status) {
		uint32_t size = (uint32_t)(writer->out->size - start);

		for (size_t i = 0; i < 4; i++)
			writer->out->data[start - 4 + i] = (unsigned char)(size >> (24 - 8 * i));
	}
	return rc;
}

static int key_put(struct writer *writer, struct ks_item *item, const struct ks_jks_chain *chain)
{
	int rc = head_put(writer, item, KS_JKS_KEY);

	if (rc == 0)
		rc = sealed_put(writer, item);
	if (rc == 0)
		chain_put(writer, item, chain);
	return rc;
}

static int secret_put(struct writer *writer, struct ks_item *item)
{
	ks_auto(buffer) clear = NULL;
	int rc;

	if (!writer->jceks)
		return ks_hint(writer->ctx, ks_fail(writer->ctx, KS_ELOSSY, "a JKS store cannot hold a secret key"),
			       "a jceks: or p12: store can");
	rc = head_put(writer, item, KS_JKS_SECRET);
	if (rc == 0)
		rc = clear_key(&clear, writer, item);
	if (rc < 0)
		return rc;
	if (!clear)
		return ks_buffer_put(writer->out, item->der.data, item->der.size);
	writer->sealed++;
	return ks_jceks_secret_put(writer->out, writer->ctx, ks_buffer_bytes(clear), writer->secret);
}

/* ---- records ---------------------------------------------------------------------------------------------------------------- */

static int opaque_put(struct writer *writer, const struct ks_item *item)
{
	struct ks_bytes body;
	int rc;

	if (!is_own(writer, item))
		return ks_fail(
			writer->ctx, KS_ELOSSY,
			"a Java key store cannot hold an object that keystow does not understand in another store");
	rc = head_put(writer, item, found_head(&body, item).tag);
	ks_buffer_put(writer->out, body.data, body.size);
	return rc;
}

/* Bytes that stay true. */
static bool carried(const struct writer *writer, const struct ks_item *item, const struct ks_jks_chain *chain)
{
	if (!item->raw.data || !is_own(writer, item) || (writer->changed && (item->flags & KS_SEALED)))
		return false;
	return item->kind != KS_PRIVATE_KEY || chain->as_found;
}

static int kind_put(struct writer *writer, struct ks_item *item, const struct ks_jks_chain *chain)
{
	switch (item->kind) {
	case KS_PRIVATE_KEY:
		return key_put(writer, item, chain);
	case KS_SECRET_KEY:
		return secret_put(writer, item);
	case KS_CERTIFICATE:
		return trusted_put(writer, item);
	case KS_OPAQUE:
		return opaque_put(writer, item);
	default:
		return ks_fail(writer->ctx, KS_ELOSSY, "a Java key store cannot hold a %s", ks_kind_name(item->kind));
	}
}

static int record_put(struct writer *writer, size_t n)
{
	struct ks_item *item = ks_set_at(writer->from, n);
	const struct ks_jks_chain *chain = &writer->chains.chains[n];
	ks_auto_mem char *named = NULL;
	int rc;

	if (carried(writer, item, chain))
		rc = ks_buffer_put(writer->out, item->raw.data, item->raw.size);
	else
		rc = kind_put(writer, item, chain);
	if (writer->out->status)
		return full(writer);
	if (rc == 0)
		return 0;
	named = ks_item_named(item);
	return ks_while(writer->ctx, rc, "writing %s", named ? named : "an item");
}

static size_t count_records(const struct ks_set *from)
{
	size_t count = 0;

	for (size_t i = 0; i < ks_set_count(from); i++)
		count += ks_jks_is_record(ks_set_at(from, i));
	return count;
}

/* One reservation for the whole store. */
static size_t size_guess(const struct ks_set *from)
{
	size_t size = 4096;

	for (size_t i = 0; i < ks_set_count(from); i++) {
		const struct ks_item *item = ks_set_at(from, i);

		size += item->raw.data ? item->raw.size
				       : item->der.size + item->attributes.size + 3 * item->label.size + RECORD_SLACK;
	}
	return size;
}

/* ---- the whole -------------------------------------------------------------------------------------------------------------- */

static int records_put(struct writer *writer)
{
	int rc = 0;

	ks_jks_put_number(writer->out, writer->version, 4);
	ks_jks_put_number(writer->out, count_records(writer->from), 4);
	for (size_t i = 0; rc == 0 && i < ks_set_count(writer->from); i++) {
		if (ks_jks_is_record(ks_set_at(writer->from, i)))
			rc = record_put(writer, i);
	}
	return rc;
}

static int digest_put(struct writer *writer)
{
	unsigned char digest[KS_JKS_DIGEST];
	bool latin1 = !writer->changed && writer->layout && writer->layout->latin1;
	int rc = ks_jks_digest(digest, writer->ctx, ks_buffer_bytes(writer->out), writer->secret, latin1);

	if (rc == 0)
		ks_buffer_put(writer->out, digest, sizeof(digest));
	return rc == 0 && writer->out->status ? full(writer) : rc;
}

static void warn_weak(const struct writer *writer)
{
	if (writer->sealed && writer->jceks)
		ks_notice(writer->ctx, KS_EWEAK, NULL, "a p12: store protects them better, and Java reads it",
			  "keys in a JCEKS store are sealed with Triple DES and MD5, and a digest gives its password "
			  "away to guessing");
	else if (writer->sealed)
		ks_notice(writer->ctx, KS_EWEAK, NULL, "a p12: store protects them better, and Java reads it",
			  "keys in a JKS store are sealed with one round of SHA-1, so its password is quickly guessed");
}

int ks_jks_encode(struct ks_ctx *ctx, struct ks_buffer *out, struct ks_set *from, const struct ks_set *have,
		  struct ks_secret *secret, bool changed, bool jceks)
{
	struct writer writer = { .ctx = ctx,
				 .out = out,
				 .from = from,
				 .have = have,
				 .secret = secret,
				 .changed = changed,
				 .jceks = jceks,
				 .version = 2 };
	int rc;

	if (!secret)
		return ks_fail(ctx, KS_ENOSECRET, "writing the store needs its password: a digest of it ends the file");
	if (ks_set_count(from) > KS_JKS_ITEMS)
		return ks_fail(ctx, KS_ELIMIT, "the store would have more than %d keys and certificates", KS_JKS_ITEMS);
	writer.layout = have ? ks_set_facts_of(have)->layout : NULL;
	if (writer.layout)
		writer.version = writer.layout->version;
	if (!ks_buffer_room(out, size_guess(from)))
		out->status = 0; /* only a guess: what does not fit is told when it is written */
	rc = ks_jks_chains_of(&writer.chains, ctx, from, have);
	if (rc == 0)
		rc = ks_jks_aliases_settle(ctx, from, have, &writer.chains);
	if (rc == 0)
		rc = records_put(&writer);
	ks_jks_chains_clear(&writer.chains);
	if (rc == 0)
		rc = digest_put(&writer);
	if (rc == 0)
		warn_weak(&writer);
	return rc;
}
