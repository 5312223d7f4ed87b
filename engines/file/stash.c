/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both kinds of stash (docs/formats/kdb.md has the layout).
 *
 * The first kind is the password, a NUL and padding without zero bytes, each byte XOR 0xF5. The second puts a key stream over
 * that, which grows out of 32 random bytes at the front and a constant: HMAC and SHA-256 all the way, and nothing secret.
 */
#include "stash.h"

#include "hmac.h"
#include "random.h"

#include <openssl/crypto.h>

#include <string.h>

#define MASK 0xf5
#define FRONT 64 /* of the second kind: 32 random bytes, and their check */
#define BLOCKS 5 /* of the key stream: as many as cover the first kind */
#define STATES (KS_SHA256 * (1 + 1 + 2 + 3 + 4)) /* the last state: the first one, and all that was put before it */
#define MOST_ROUNDS 10000 /* until the byte turns up: one in 256 has it, so nobody waits longer */

static const char constant[] = "13EC6D5C885056915AB35FAD2BDDF39F40D7C57B8B4D28F66B61B75F391446FDA96751174DBD9713D02E0B3"
			       "8732E763501DBBB85EC60E437929ED2AA8981B36B";

/* The first kind as it is in the clear: a password that can be typed, its end, and no second NUL. */
static bool first_kind(const unsigned char hidden[KS_STASH_1])
{
	size_t ends = 0;

	for (size_t i = 0; i < KS_STASH_1; i++)
		ends += hidden[i] == MASK;
	return ends == 1;
}

static void check_of(unsigned char out[KS_SHA256], const unsigned char front[KS_SHA256])
{
	struct ks_hash hash;

	ks_hash_start(&hash);
	ks_hash_add(&hash, KS_BYTES("\1", 1));
	ks_hash_add(&hash, KS_BYTES(front, KS_SHA256));
	ks_hash_end(out, &hash);
}

static bool second_kind(const unsigned char stash[KS_STASH_2])
{
	unsigned char check[KS_SHA256];

	check_of(check, stash);
	return memcmp(check, stash + KS_SHA256, KS_SHA256) == 0;
}

bool ks_stash_shaped(struct ks_bytes stash)
{
	return (stash.size == KS_STASH_1 && first_kind(stash.data)) ||
	       (stash.size == KS_STASH_2 && second_kind(stash.data));
}

/* SHA-256 again and again until byte 8 is a 3, and 64 times more. */
static int stir(unsigned char key[KS_SHA256])
{
	unsigned rounds = 0;

	while (key[8] != 3) {
		if (rounds++ == MOST_ROUNDS)
			return KS_ELIMIT;
		ks_sha256(key, KS_BYTES(key, KS_SHA256));
	}
	for (unsigned i = 0; i < 64; i++)
		ks_sha256(key, KS_BYTES(key, KS_SHA256));
	return 0;
}

/* XORs the key stream that grows out of `front` over the hidden password. KS_ELIMIT. */
static int stream_over(unsigned char hidden[KS_STASH_1], const unsigned char front[FRONT])
{
	unsigned char key[KS_SHA256], stream[BLOCKS * KS_SHA256], states[STATES];
	unsigned char *state = states + STATES - KS_SHA256;
	struct ks_hmac keyed;
	int rc;

	ks_sha256(key, KS_BYTES(front, FRONT));
	rc = stir(key);
	if (rc < 0)
		return rc;
	ks_hmac_start(&keyed, KS_BYTES(key, KS_SHA256));
	ks_hmac_of(key, &keyed, ks_bytes_of(constant), KS_NONE);
	ks_hmac_start(&keyed, KS_BYTES(key, KS_SHA256));
	ks_hmac_of(state, &keyed, KS_BYTES("\1\1\2\3\5\10", 6), KS_NONE);
	/* A block is made of the state; then the state is all blocks so far, and what the state was. */
	for (size_t made = 0; made < sizeof(stream);) {
		ks_hmac_of(stream + made, &keyed, KS_BYTES(state, (size_t)(states + STATES - state)), KS_NONE);
		made += KS_SHA256;
		if (made < sizeof(stream))
			state = memcpy(state - made, stream, made);
	}
	for (size_t i = 0; i < KS_STASH_1; i++)
		hidden[i] ^= stream[i];
	OPENSSL_cleanse(stream, sizeof(stream));
	return 0;
}

/* Takes the password out of the first kind, in the clear in `hidden` afterwards. */
static int password_of(struct ks_secret *into, struct ks_ctx *ctx, unsigned char hidden[KS_STASH_1])
{
	const unsigned char *end;

	for (size_t i = 0; i < KS_STASH_1; i++)
		hidden[i] ^= MASK;
	end = memchr(hidden, '\0', KS_STASH_1);
	if (!end)
		return ks_fail(ctx, KS_EDAMAGED, "the stash is damaged: the password in it has no end");
	return ks_secret_append(into, ctx, hidden, (size_t)(end - hidden));
}

int ks_stash_open(struct ks_secret *into, struct ks_ctx *ctx, struct ks_bytes stash)
{
	unsigned char hidden[KS_STASH_1];
	int rc = 0;

	if (stash.size != KS_STASH_1 && stash.size != KS_STASH_2)
		return ks_hint(ctx,
			       ks_fail(ctx, KS_EFORMAT, "this is no stash: it has %zu bytes, and a stash has %d or %d",
				       stash.size, KS_STASH_1, KS_STASH_2),
			       "a stash stands beside its database: key.sth beside key.kdb");
	memcpy(hidden, stash.data + stash.size - KS_STASH_1, KS_STASH_1);
	if (stash.size == KS_STASH_2 && !second_kind(stash.data))
		return ks_fail(ctx, KS_EDAMAGED, "the stash is damaged: its check does not fit");
	if (stash.size == KS_STASH_2 && stream_over(hidden, stash.data) < 0)
		return ks_fail(ctx, KS_ELIMIT, "the stash asks for more than %d rounds", MOST_ROUNDS);
	rc = password_of(into, ctx, hidden);
	OPENSSL_cleanse(hidden, sizeof(hidden));
	return rc;
}

/* Random bytes, none of them zero: a zero would end the password, or look as if it did. */
static int padding(struct ks_ctx *ctx, unsigned char *out, size_t size)
{
	int rc = ks_random(ctx, out, size);

	for (size_t i = 0; rc == 0 && i < size; i++) {
		while (rc == 0 && out[i] == 0)
			rc = ks_random(ctx, out + i, 1);
	}
	return rc;
}

static int front_of(unsigned char front[FRONT], struct ks_ctx *ctx)
{
	int rc = ks_random(ctx, front, KS_SHA256);

	if (rc == 0)
		check_of(front + KS_SHA256, front);
	return rc;
}

int ks_stash_make(unsigned char out[KS_STASH_2], struct ks_ctx *ctx, const struct ks_secret *password)
{
	size_t size = ks_secret_size(password);
	unsigned char *hidden = out + FRONT;
	int rc;

	if (size > KS_STASH_LONGEST || memchr(ks_secret_bytes(password), '\0', size))
		return ks_hint(ctx,
			       ks_fail(ctx, KS_ELOSSY,
				       "a stash holds a password of at most %d bytes, and this one does not fit",
				       KS_STASH_LONGEST),
			       "choose a shorter password, or do without a stash");
	rc = padding(ctx, hidden, KS_STASH_1);
	memcpy(hidden, ks_secret_bytes(password), size);
	hidden[size] = '\0';
	for (size_t i = 0; i < KS_STASH_1; i++)
		hidden[i] ^= MASK;
	if (rc == 0)
		rc = front_of(out, ctx);
	/* One front in 10^17 would take too long to stir; another one is drawn then. */
	while (rc == 0 && stream_over(hidden, out) < 0)
		rc = front_of(out, ctx);
	return rc;
}
