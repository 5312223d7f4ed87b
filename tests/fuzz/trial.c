/* SPDX-License-Identifier: Apache-2.0 */
#include "trial.h"

#include "certificate.h"
#include "entry.h"
#include "altname.h"

#include "file/jks.h"

#include <string.h>

static const struct ks_codec *const codecs[] = { &ks_codec_pkcs12, &ks_codec_jks, &ks_codec_jceks, &ks_codec_kdb,
						  &ks_codec_pem,    &ks_codec_der, &ks_codec_pkcs7 };

const struct ks_codec *trial_codec(struct ks_bytes bytes)
{
	const struct ks_codec *best = NULL;
	int most = 0;

	for (size_t i = 0; i < sizeof(codecs) / sizeof(*codecs); i++) {
		int sure = codecs[i]->probe(bytes);

		if (sure > most) {
			most = sure;
			best = codecs[i];
		}
	}
	return best;
}

bool trial_mend(struct ks_buffer *bytes, struct ks_ctx *ctx, const struct ks_secret *secret)
{
	const struct ks_codec *codec = trial_codec(ks_buffer_bytes(bytes));
	size_t content = bytes->size - KS_JKS_DIGEST;

	if ((codec != &ks_codec_jks && codec != &ks_codec_jceks) || bytes->size < KS_JKS_DIGEST)
		return false;
	return ks_jks_digest(bytes->data + content, ctx, KS_BYTES(bytes->data, content), secret, false) == 0;
}

static int read_copy(struct ks_set **out, struct ks_ctx *ctx, const struct ks_codec *codec, struct ks_bytes bytes,
		     struct ks_secret *secret)
{
	struct ks_buffer *copy = ks_buffer_new(bytes.size);
	ks_auto(set) set = NULL;
	struct ks_bytes file;
	int rc;

	/* Exactly as large as the content, so that a step behind it is seen. */
	copy->data = malloc(bytes.size ? bytes.size : 1);
	copy->size = copy->capacity = bytes.size;
	memcpy(copy->data, bytes.data, bytes.size);
	file = ks_buffer_bytes(copy);
	rc = ks_set_new(&set, ctx);
	if (rc == 0)
		rc = ks_set_own(set, copy);
	if (rc == 0)
		rc = codec->decode(ctx, set, file, secret);
	if (rc == 0)
		*out = ks_take(set);
	return rc;
}

static void put_digest(struct ks_buffer *digests, struct ks_bytes bytes)
{
	unsigned char digest[KS_SHA256];

	ks_sha256(digest, bytes);
	ks_buffer_put(digests, digest, sizeof(digest));
}

/* What a listing would say, and what using the keys would need. */
static void use_items(struct trial *trial, struct ks_ctx *ctx, struct ks_set *set)
{
	ks_auto(buffer) digests = ks_buffer_new((size_t)64 << 20);

	for (size_t i = 0; i < ks_set_count(set); i++) {
		struct ks_item *item = ks_set_at(set, i);
		ks_auto_mem char *named = ks_item_named(item);
		ks_auto_ssl(EVP_PKEY) key = NULL;
		ks_auto(buffer) clear = NULL;
		struct ks_certificate_facts facts;
		struct ks_altnames names = { 0 };

		put_digest(digests, item->der);
		put_digest(digests, item->label);
		put_digest(digests, item->id);
		put_digest(digests, KS_BYTES(&item->kind, sizeof(item->kind)));
		put_digest(digests, ks_bytes_of(named));
		if (item->kind == KS_CERTIFICATE && ks_certificate_facts(&facts, item->der) == 0 &&
		    facts.alternative_names.data)
			ks_altnames_read(&names, ctx, facts.alternative_names);
		ks_altnames_free(&names);
		if (item->kind == KS_PRIVATE_KEY)
			ks_item_pkey(&key, item, ctx);
		if (item->kind == KS_SECRET_KEY)
			ks_item_pkcs8(&clear, item, ctx);
	}
	ks_sha256(trial->content, ks_buffer_bytes(digests));
}

/* What was read can be written, or is refused with a reason; and what was written can be read. */
static const char *write_again(struct ks_ctx *ctx, const struct ks_codec *codec, struct ks_set *set,
			       struct ks_secret *secret)
{
	ks_auto(buffer) out = ks_buffer_new((size_t)64 << 20);
	ks_auto(plan) plan = NULL;
	ks_auto(set) result = NULL;
	ks_auto(set) again = NULL;

	if (!codec->encode || ks_plan_new(&plan, ctx, set) < 0 || ks_plan_result(&result, plan) < 0)
		return NULL;
	if (codec->encode(ctx, out, result, set, secret, false) < 0)
		return ks_ctx_text(ctx)[0] ? NULL : "it cannot be written, and nothing is said about it";
	if (read_copy(&again, ctx, codec, ks_buffer_bytes(out), secret) < 0)
		return "what was written cannot be read";
	return ks_set_count(again) == ks_set_count(set) ? NULL : "what was written has another number of items";
}

struct trial trial_run(struct ks_ctx *ctx, const struct ks_codec *codec, struct ks_bytes bytes,
		       struct ks_secret *secret)
{
	struct trial trial = { .status = KS_EFORMAT };
	ks_auto(entries) entries = NULL;
	ks_auto(set) set = NULL;

	if (!codec)
		codec = trial_codec(bytes);
	if (!codec)
		return trial;
	ks_forgive(ctx);
	trial.status = read_copy(&set, ctx, codec, bytes, secret);
	if (trial.status < 0) {
		if (!ks_ctx_text(ctx)[0])
			trial.broken = "it is refused, and nothing is said about it";
		return trial;
	}
	trial.integrity = ks_set_facts(set)->integrity;
	ks_entries_of(&entries, ctx, set);
	use_items(&trial, ctx, set);
	trial.broken = write_again(ctx, codec, set, secret);
	return trial;
}
