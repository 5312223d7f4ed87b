/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The context: the one failure and its causes, notices, settings, budgets, hooks, and the private OpenSSL library context.
 *
 * A failure is status and sentence in one call, so that they cannot disagree:
 *
 *	return ks_hint(ctx, ks_fail(ctx, KS_EPIN, "the PIN for token %s is wrong", label), "keystow token info %s", uri);
 *
 * The failing place says the fact; callers wrap it on the way up with ks_while. Frames live in fixed arrays inside the
 * context, so that running out of memory can be reported.
 */
#ifndef KS_CONTEXT_H
#define KS_CONTEXT_H

#include "mem.h"

#include <openssl/types.h>

/* Starts a failure: replaces the last one. Returns `status`. `ctx` may be NULL (nothing is recorded). */
int ks_fail(struct ks_ctx *ctx, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Puts "FORMAT: " before the sentence when rc < 0, records KS_EBUG's sentence if there is none. Returns rc. */
int ks_while(struct ks_ctx *ctx, int rc, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* What to do next; the first hint stays. Returns rc. */
int ks_hint(struct ks_ctx *ctx, int rc, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same, but any ks_hint on the way up takes its place: for what is always true of a kind of failure. */
int ks_hint_general(struct ks_ctx *ctx, int rc, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* A technical cause (CKR name, errno text, OpenSSL reason), one line each. Returns rc. */
int ks_cause(struct ks_ctx *ctx, int rc, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* ks_fail that drains OpenSSL's error queue into the causes. A failure raised there by ks_raise keeps its status and sentence. */
int ks_fail_openssl(struct ks_ctx *ctx, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* ks_fail with errno's text as cause: ENOSPC and EDQUOT become KS_EFULL, ENOENT KS_ENOTFOUND, ENOMEM KS_ENOMEM, else KS_EIO. */
int ks_fail_errno(struct ks_ctx *ctx, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));
/*
 * For code that OpenSSL calls back, on whatever thread, where no context may be touched: puts a failure into OpenSSL's queue, from
 * which ks_fail_openssl takes it up again.
 */
void ks_raise(int status, const char *sentence);
/*
 * The other way for such code, when it needs functions that speak: what this thread has to say from now on, of whatever context, goes
 * into `words` and not into the context, which belongs to another thread; notices are left out. NULL = into the context again.
 * Returns what was set before.
 */
#define KS_WORDS 4096 /* bytes for a sentence, a hint, or all causes */
struct ks_words {
	int status;
	char text[KS_WORDS], hint[KS_WORDS], causes[KS_WORDS];
	bool general; /* the hint gives way to one that knows more */
};
struct ks_words *ks_speak_into(struct ks_words *words);
int ks_nomem(struct ks_ctx *ctx);
/* Forgets the failure, for callers that go on after one. */
void ks_forgive(struct ks_ctx *ctx);

/* A notice: worth saying, did not stop the work. `where` may be NULL. */
void ks_notice(struct ks_ctx *ctx, int status, const char *where, const char *hint, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

/* Settings with defaults filled in; borrowed. */
const struct ks_settings *ks_settings(const struct ks_ctx *ctx);

/* Takes `rounds` key derivation rounds from the budget before they are spent, or KS_ELIMIT by name. */
int ks_spend(struct ks_ctx *ctx, uint64_t rounds, const char *what);

/* The context's own OSSL_LIB_CTX with the default provider; made on first use, never NULL after ks_ctx_new. */
OSSL_LIB_CTX *ks_crypto(struct ks_ctx *ctx);
/* A second one that has the legacy provider too (RC2, RC4, DES); NULL when the host has no legacy provider. */
OSSL_LIB_CTX *ks_crypto_legacy(struct ks_ctx *ctx);

/* Hooks, on whatever thread, one at a time. ask: KS_ENOSECRET with a sentence when the host has no hook. progress: KS_ECANCELLED when the host cancels. */
int ks_ask(struct ks_ctx *ctx, const struct ks_question *question, struct ks_secret *into);
int ks_progress(struct ks_ctx *ctx, const char *doing, uint64_t done, uint64_t total);
void ks_trace(struct ks_ctx *ctx, const struct ks_trace *event);

/*
 * What a floor above keeps for the life of the context, under a key of its own (the address of a static). `end` is called by
 * ks_ctx_free, newest first.
 */
void *ks_ctx_kept(const struct ks_ctx *ctx, const void *key);
int ks_ctx_keep(struct ks_ctx *ctx, const void *key, void *state, void (*end)(struct ks_ctx *ctx, void *state));
/* The same, made of `size` zeros when it is not kept yet; `end` frees it. NULL: KS_ENOMEM is told. */
void *ks_ctx_keep_new(struct ks_ctx *ctx, const void *key, size_t size, void (*end)(struct ks_ctx *ctx, void *state));

/* What ks_after_fork calls for the state kept under `key`, oldest first; the first failure is its answer. */
void ks_ctx_keep_forked(struct ks_ctx *ctx, const void *key, int (*forked)(struct ks_ctx *ctx, void *state));

/* Stores, sets and items that live count themselves, so that ks_ctx_free can refuse. */
void ks_ctx_use(struct ks_ctx *ctx);
void ks_ctx_unuse(struct ks_ctx *ctx);

#endif
