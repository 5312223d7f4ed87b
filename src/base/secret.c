/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PINs and passwords in OpenSSL's secure heap: born with their whole capacity, never copied, wiped at the last free.
 */
#include "secret.h"

#include <openssl/crypto.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct ks_secret {
	size_t size;
	unsigned owners;
	char bytes[KS_SECRET_MAX + 1];
};

int ks_secret_new(struct ks_secret **out, struct ks_ctx *ctx)
{
	struct ks_secret *secret = OPENSSL_secure_zalloc(sizeof(*secret));

	if (!secret)
		return ks_fail(ctx, KS_ENOMEM, "there is no locked memory left for another secret");
	if (!CRYPTO_secure_allocated(secret)) {
		OPENSSL_clear_free(secret, sizeof(*secret));
		return ks_fail(ctx, KS_EBUG, "the secure heap is not in use");
	}
	secret->owners = 1;
	*out = secret;
	return 0;
}

struct ks_secret *ks_secret_ref(struct ks_secret *secret)
{
	if (secret)
		secret->owners++;
	return secret;
}

void ks_secret_free(struct ks_secret *secret)
{
	if (secret && --secret->owners == 0)
		OPENSSL_secure_clear_free(secret, sizeof(*secret));
}

int ks_secret_append(struct ks_secret *secret, struct ks_ctx *ctx, const void *bytes, size_t size)
{
	if (size > ks_secret_room(secret))
		return ks_fail(ctx, KS_ELIMIT, "a PIN or password of more than %d bytes is refused", KS_SECRET_MAX);
	memcpy(ks_secret_end(secret), bytes, size);
	ks_secret_grew(secret, size);
	return 0;
}

size_t ks_secret_size(const struct ks_secret *secret)
{
	return secret->size;
}

const char *ks_secret_bytes(const struct ks_secret *secret)
{
	return secret->bytes;
}

bool ks_secret_equal(const struct ks_secret *a, const struct ks_secret *b)
{
	return a->size == b->size && CRYPTO_memcmp(a->bytes, b->bytes, a->size) == 0;
}

char *ks_secret_end(struct ks_secret *secret)
{
	return secret->bytes + secret->size;
}

size_t ks_secret_room(const struct ks_secret *secret)
{
	return KS_SECRET_MAX - secret->size;
}

void ks_secret_grew(struct ks_secret *secret, size_t size)
{
	secret->size += size;
}

void ks_secret_clear(struct ks_secret *secret)
{
	OPENSSL_cleanse(secret->bytes, sizeof(secret->bytes));
	secret->size = 0;
}

/* Keeps what stands before the first newline; true when there was one. */
static bool cut_line(struct ks_secret *secret, size_t from)
{
	char *newline = memchr(secret->bytes + from, '\n', secret->size - from);

	if (!newline)
		return false;
	OPENSSL_cleanse(newline, secret->bytes + secret->size - newline);
	secret->size = (size_t)(newline - secret->bytes);
	if (secret->size && secret->bytes[secret->size - 1] == '\r')
		secret->bytes[--secret->size] = '\0';
	return true;
}

/* One read() straight into locked memory; *got 0 = the end. */
static int read_more(size_t *got, struct ks_secret *into, struct ks_ctx *ctx, int fd, const char *what)
{
	ssize_t bytes;

	do
		bytes = read(fd, ks_secret_end(into), ks_secret_room(into));
	while (bytes < 0 && errno == EINTR);
	if (bytes < 0)
		return ks_fail_errno(ctx, errno, "reading the secret from %s", what);
	ks_secret_grew(into, (size_t)bytes);
	*got = (size_t)bytes;
	return 0;
}

int ks_secret_read(struct ks_secret *into, struct ks_ctx *ctx, int fd, const char *what)
{
	size_t before = into->size, got = 0;

	do {
		int rc;

		if (ks_secret_room(into) == 0)
			return ks_fail(ctx, KS_ELIMIT, "%s holds more than %d bytes before the first line end", what,
				       KS_SECRET_MAX);
		rc = read_more(&got, into, ctx, fd, what);
		if (rc < 0)
			return rc;
	} while (!cut_line(into, before) && got > 0);
	if (into->size == before && got == 0)
		return ks_fail(ctx, KS_ENOSECRET, "%s is empty", what);
	return 0;
}

int ks_secret_read_whole(struct ks_secret *into, struct ks_ctx *ctx, int fd, const char *what)
{
	size_t got = 0;

	do {
		int rc;

		if (ks_secret_room(into) == 0)
			return ks_fail(ctx, KS_ELIMIT, "%s holds more than %d bytes", what, KS_SECRET_MAX);
		rc = read_more(&got, into, ctx, fd, what);
		if (rc < 0)
			return rc;
	} while (got > 0);
	return 0;
}
