/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Splitting and joining with libgfshare.
 *
 * Its random numbers are a hook without a way to fail, and what it offers to put there is random(3): the hook is ours, asks
 * libcrypto, and remembers when that had none. The library wipes its buffers by filling them through the same hook.
 */
#include "shares.h"

#if KS_GFSHARE

#include "library.h"

#include <libgfshare.h>
#include <openssl/rand.h>

#include <pthread.h>
#include <string.h>

#define LIBRARY "libgfshare.so.2"
#define FUNCTIONS(FUNCTION)                                                                                            \
	FUNCTION(ctx_init_enc)                                                                                         \
	FUNCTION(ctx_init_dec)                                                                                         \
	FUNCTION(ctx_free)                                                                                             \
	FUNCTION(ctx_enc_setsecret)                                                                                    \
	FUNCTION(ctx_enc_getshare)                                                                                     \
	FUNCTION(ctx_dec_giveshare)                                                                                    \
	FUNCTION(ctx_dec_extract)                                                                                      \
	FUNCTION(fill_rand)

static struct {
#define POINTER(name) __typeof__(gfshare_##name) *name;
	FUNCTIONS(POINTER)
#undef POINTER
} gfshare;

static const struct ks_symbol symbols[] = {
#define ROW(name) { "gfshare_" #name, offsetof(__typeof__(gfshare), name) },
	FUNCTIONS(ROW)
#undef ROW
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool loaded;
static char why[KS_LIBRARY_WHY];
/* For the hook: whose generator this thread's call uses, and whether that had nothing to give. */
static _Thread_local OSSL_LIB_CTX *generator;
static _Thread_local bool without_random;

static void fill(unsigned char *room, unsigned size)
{
	if (RAND_priv_bytes_ex(generator, room, size, 0) != 1)
		without_random = true;
}

static void load(void)
{
	loaded = ks_library_load(&gfshare, LIBRARY, symbols, sizeof(symbols) / sizeof(symbols[0]), why);
	if (loaded)
		*gfshare.fill_rand = fill;
}

static int need_library(struct ks_ctx *ctx)
{
	int rc;

	generator = ks_crypto(ctx);
	without_random = false;
	pthread_once(&once, load);
	if (loaded)
		return 0;
	rc = ks_fail(ctx, KS_EUNABLE, "shares need libgfshare, and " LIBRARY " cannot be loaded");
	ks_cause(ctx, rc, "%s", why);
	return ks_hint(ctx, rc, "install libgfshare 2.0; its package is libgfshare2 on Debian and Ubuntu");
}

static void context_free(gfshare_ctx **context)
{
	if (*context)
		gfshare.ctx_free(*context);
}
#define AUTO_CONTEXT __attribute__((cleanup(context_free))) gfshare_ctx

/* One share, straight into locked memory. */
static int take_share(struct ks_secret **out, struct ks_ctx *ctx, gfshare_ctx *context, unsigned n, size_t size)
{
	ks_auto(secret) share = NULL;
	int rc = ks_secret_new(&share, ctx);

	if (rc < 0)
		return rc;
	gfshare.ctx_enc_getshare(context, (unsigned char)n, (unsigned char *)ks_secret_end(share));
	ks_secret_grew(share, size);
	*out = ks_take(share);
	return 0;
}

int ks_shares_split(struct ks_secret **shares, struct ks_ctx *ctx, const struct ks_secret *whole, unsigned count,
		    unsigned threshold)
{
	unsigned char numbers[KS_SHARES_MOST];
	size_t size = ks_secret_size(whole);
	AUTO_CONTEXT *context = NULL;
	unsigned done = 0;
	int rc = need_library(ctx);

	if (rc < 0)
		return rc;
	if (count > KS_SHARES_MOST || threshold < 2 || threshold > count)
		return ks_fail(ctx, KS_EUSAGE, "a secret is split into 2 to %d shares, and 2 or more of them are needed",
			       KS_SHARES_MOST);
	for (unsigned i = 0; i < count; i++)
		numbers[i] = (unsigned char)(i + 1);
	context = gfshare.ctx_init_enc(numbers, count, (unsigned char)threshold, (unsigned)size);
	if (!context)
		return ks_nomem(ctx);
	gfshare.ctx_enc_setsecret(context, (unsigned char *)ks_secret_bytes(whole));
	if (without_random)
		return ks_fail_openssl(ctx, KS_EBUG, "no random numbers");
	for (; rc == 0 && done < count; done += rc == 0)
		rc = take_share(&shares[done], ctx, context, done, size);
	while (rc < 0 && done > 0) {
		done--;
		ks_secret_free(ks_take(shares[done]));
	}
	return rc;
}

int ks_shares_join(struct ks_secret **out, struct ks_ctx *ctx, struct ks_secret *const *shares,
		   const unsigned char *numbers, unsigned count)
{
	ks_auto(secret) whole = NULL;
	AUTO_CONTEXT *context = NULL;
	size_t size = ks_secret_size(shares[0]);
	int rc = need_library(ctx);

	if (rc == 0)
		rc = ks_secret_new(&whole, ctx);
	if (rc < 0)
		return rc;
	context = gfshare.ctx_init_dec((unsigned char *)numbers, count, (unsigned)size);
	if (!context)
		return ks_nomem(ctx);
	for (unsigned i = 0; i < count; i++)
		gfshare.ctx_dec_giveshare(context, (unsigned char)i, (unsigned char *)ks_secret_bytes(shares[i]));
	gfshare.ctx_dec_extract(context, (unsigned char *)ks_secret_end(whole));
	ks_secret_grew(whole, size);
	*out = ks_take(whole);
	return 0;
}

#else

static int not_built(struct ks_ctx *ctx)
{
	return ks_hint(ctx, ks_fail(ctx, KS_EUNABLE, "this keystow was built without libgfshare, so it has no shares"),
		       "build it again with libgfshare-dev installed");
}

int ks_shares_split(struct ks_secret **shares, struct ks_ctx *ctx, const struct ks_secret *whole, unsigned count,
		    unsigned threshold)
{
	(void)shares, (void)whole, (void)count, (void)threshold;
	return not_built(ctx);
}

int ks_shares_join(struct ks_secret **out, struct ks_ctx *ctx, struct ks_secret *const *shares,
		   const unsigned char *numbers, unsigned count)
{
	(void)out, (void)shares, (void)numbers, (void)count;
	return not_built(ctx);
}

#endif
