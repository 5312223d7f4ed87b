/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The codecs of Java's key stores: how they are recognised, and the numbers that they are made of. Reading is in jks_read.c, writing
 * in jks_write.c.
 */
#include "jks.h"

#include "alias.h"

#include <string.h>

#define JKS_MAGIC "\xfe\xed\xfe\xed"
#define JCEKS_MAGIC "\xce\xce\xce\xce"

bool ks_jks_take(struct ks_bytes *out, struct ks_bytes *rest, size_t size)
{
	if (size > rest->size)
		return false;
	*out = KS_BYTES(rest->data, size);
	*rest = KS_BYTES(rest->data + size, rest->size - size);
	return true;
}

bool ks_jks_number(uint64_t *out, struct ks_bytes *rest, size_t size)
{
	struct ks_bytes bytes;

	if (!ks_jks_take(&bytes, rest, size))
		return false;
	*out = 0;
	for (size_t i = 0; i < size; i++)
		*out = *out << 8 | bytes.data[i];
	return true;
}

bool ks_jks_sized(struct ks_bytes *out, struct ks_bytes *rest, size_t width)
{
	uint64_t size;

	return ks_jks_number(&size, rest, width) && size <= rest->size && ks_jks_take(out, rest, (size_t)size);
}

int ks_jks_put_number(struct ks_buffer *out, uint64_t value, size_t size)
{
	unsigned char bytes[8];

	for (size_t i = 0; i < size; i++)
		bytes[i] = (unsigned char)(value >> 8 * (size - 1 - i));
	return ks_buffer_put(out, bytes, size);
}

bool ks_jks_head_read(struct ks_jks_head *out, struct ks_bytes *rest)
{
	uint64_t tag;

	if (!ks_jks_number(&tag, rest, 4) || tag < KS_JKS_KEY || tag > KS_JKS_SECRET)
		return false;
	out->tag = (enum ks_jks_tag)tag;
	return ks_jks_sized(&out->alias, rest, 2) && ks_jks_number(&out->date, rest, 8);
}

/* ---- the two rows ----------------------------------------------------------------------------------------------------------- */

static int probe(struct ks_bytes head, const char *magic)
{
	return head.size >= 4 && memcmp(head.data, magic, 4) == 0 ? 100 : 0;
}

static int jks_probe(struct ks_bytes head)
{
	return probe(head, JKS_MAGIC);
}

static int jceks_probe(struct ks_bytes head)
{
	return probe(head, JCEKS_MAGIC);
}

static int jks_decode(struct ks_ctx *ctx, struct ks_set *into, struct ks_bytes file, struct ks_secret *secret)
{
	return ks_jks_decode(ctx, into, file, secret, false);
}

static int jceks_decode(struct ks_ctx *ctx, struct ks_set *into, struct ks_bytes file, struct ks_secret *secret)
{
	return ks_jks_decode(ctx, into, file, secret, true);
}

static int jks_encode(struct ks_ctx *ctx, struct ks_buffer *out, struct ks_set *from, const struct ks_set *have,
		      struct ks_secret *secret, bool changed)
{
	ks_buffer_put(out, JKS_MAGIC, 4);
	return ks_jks_encode(ctx, out, from, have, secret, changed, false);
}

static int jceks_encode(struct ks_ctx *ctx, struct ks_buffer *out, struct ks_set *from, const struct ks_set *have,
			struct ks_secret *secret, bool changed)
{
	ks_buffer_put(out, JCEKS_MAGIC, 4);
	return ks_jks_encode(ctx, out, from, have, secret, changed, true);
}

static struct ks_bytes label(struct ks_set *keep, struct ks_bytes wanted)
{
	struct ks_bytes alias;

	return ks_alias_of(&alias, wanted, keep) < 0 ? KS_NONE : alias;
}

const struct ks_codec ks_codec_jks = {
	.name = "jks",
	.ceiling = (size_t)64 << 20,
	.probe = jks_probe,
	.decode = jks_decode,
	.encode = jks_encode,
	.label = label,
};

const struct ks_codec ks_codec_jceks = {
	.name = "jceks",
	.ceiling = (size_t)64 << 20,
	.probe = jceks_probe,
	.decode = jceks_decode,
	.encode = jceks_encode,
	.label = label,
};
