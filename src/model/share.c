/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shares as text, and back. What is secret of them stays in locked memory all the way.
 */
#include "share.h"

#include "shares.h"
#include "text.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <string.h>

#define BEGIN "-----BEGIN KEYSTOW SHARE-----\n"
#define END "-----END KEYSTOW SHARE-----\n"
#define MARK "KSS\1" /* the last is the version of this layout */
#define MARK_SIZE 4
#define CHECK_SIZE 5 /* of SHA-256: a slip goes unseen once in 10^12 */
#define BODY (MARK_SIZE + KS_SET_ID + 3 + KS_SHARE_PART)
#define WHOLE (BODY + CHECK_SIZE)
#define LINE (WHOLE / 3 * 4)
_Static_assert(WHOLE % 3 == 0, "base64 without padding");

void ks_share_clear(struct ks_share *share)
{
	ks_secret_free(share->part);
	*share = (struct ks_share){ 0 };
}

/* The bytes that are checked, into `out` in locked memory. */
static void put_body(unsigned char *out, const struct ks_share *share)
{
	const unsigned char numbers[3] = { (unsigned char)share->number, (unsigned char)share->count,
					   (unsigned char)share->threshold };

	memcpy(out, MARK, MARK_SIZE);
	memcpy(out + MARK_SIZE, share->set, KS_SET_ID);
	memcpy(out + MARK_SIZE + KS_SET_ID, numbers, sizeof(numbers));
	memcpy(out + BODY - KS_SHARE_PART, ks_secret_bytes(share->part), KS_SHARE_PART);
}

void ks_share_digest(unsigned char out[KS_SHA256], const struct ks_share *share)
{
	unsigned char body[BODY];

	put_body(body, share);
	ks_sha256(out, KS_BYTES(body, BODY));
	OPENSSL_cleanse(body, BODY);
}

int ks_share_write(struct ks_buffer **out, struct ks_ctx *ctx, const struct ks_share *share)
{
	ks_auto(buffer) body = ks_buffer_new_secret(WHOLE);
	ks_auto(buffer) text = ks_buffer_new_secret(512);
	unsigned char check[KS_SHA256], *line;
	char set[2 * KS_SET_ID + 1];

	if (!body || !text)
		return ks_fail(ctx, KS_ENOMEM, "there is no locked memory left for another share");
	put_body(ks_buffer_room(body, WHOLE), share);
	ks_sha256(check, KS_BYTES(body->data, BODY));
	memcpy(body->data + BODY, check, CHECK_SIZE);
	ks_hex(set, KS_BYTES(share->set, KS_SET_ID));
	ks_buffer_format(text, BEGIN "share %u of %u, any %u of them open backup %s\n", share->number, share->count,
			 share->threshold, set);
	line = ks_buffer_room(text, LINE + 1);
	if (!line)
		return ks_nomem(ctx);
	text->size += (size_t)EVP_EncodeBlock(line, body->data, WHOLE);
	if (ks_buffer_text(text, "\n" END) < 0)
		return ks_nomem(ctx);
	*out = ks_take(text);
	return 0;
}

/* ---- reading ---- */

/* The line of base64: all of the text, or the last line before the end of the block. */
static struct ks_bytes code_of(const struct ks_secret *text)
{
	const char *at = ks_secret_bytes(text), *end = strstr(at, "\n-----END KEYSTOW SHARE-----");
	size_t size = end ? (size_t)(end - at) : strlen(at);
	size_t begin;

	while (size > 0 && strchr(" \t\r\n", at[size - 1]))
		size--;
	for (begin = size; begin > 0 && !strchr(" \t\r\n", at[begin - 1]);)
		begin--;
	return KS_BYTES(at + begin, size - begin);
}

static int damaged(struct ks_ctx *ctx, const char *named, const char *how)
{
	return ks_hint(ctx, ks_fail(ctx, KS_EDAMAGED, "%s %s", named, how),
		       "compare it with the custodian's own copy; any other share of the same backup does as well");
}

static int take_apart(struct ks_share *out, struct ks_ctx *ctx, const unsigned char *body, const char *named)
{
	const unsigned char *numbers = body + MARK_SIZE + KS_SET_ID;
	struct ks_share share = { .number = numbers[0], .count = numbers[1], .threshold = numbers[2] };
	int rc;

	if (share.number == 0 || share.threshold < 2 || share.number > share.count || share.threshold > share.count ||
	    share.count > KS_SHARES_MOST)
		return damaged(ctx, named, "has a number that cannot be");
	memcpy(share.set, body + MARK_SIZE, KS_SET_ID);
	rc = ks_secret_new(&share.part, ctx);
	if (rc == 0)
		rc = ks_secret_append(share.part, ctx, body + BODY - KS_SHARE_PART, KS_SHARE_PART);
	if (rc < 0) {
		ks_share_clear(&share);
		return rc;
	}
	*out = share;
	return 0;
}

int ks_share_read(struct ks_share *out, struct ks_ctx *ctx, const struct ks_secret *text, const char *named)
{
	ks_auto(buffer) body = ks_buffer_new_secret(WHOLE);
	struct ks_bytes code = code_of(text);
	unsigned char check[KS_SHA256];
	unsigned char *room;

	if (!body)
		return ks_fail(ctx, KS_ENOMEM, "there is no locked memory left for another share");
	if (code.size != LINE)
		return damaged(ctx, named, "is not a share, or a part of it is missing");
	room = ks_buffer_room(body, WHOLE);
	if (EVP_DecodeBlock(room, code.data, LINE) != WHOLE || memcmp(room, MARK, MARK_SIZE - 1) != 0)
		return damaged(ctx, named, "is not a share, or is damaged");
	if (room[MARK_SIZE - 1] != MARK[MARK_SIZE - 1])
		return ks_fail(ctx, KS_ENEWER, "%s was written by a newer keystow", named);
	ks_sha256(check, KS_BYTES(room, BODY));
	if (CRYPTO_memcmp(check, room + BODY, CHECK_SIZE) != 0)
		return damaged(ctx, named, "is damaged: its checksum does not fit");
	return take_apart(out, ctx, room, named);
}
