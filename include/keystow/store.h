/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only door to a store, whatever its kind: parse an address, open, look, plan, commit, close.
 */
#ifndef KEYSTOW_STORE_H
#define KEYSTOW_STORE_H

#include <keystow/item.h>

#pragma GCC visibility push(default)

#ifdef __cplusplus
extern "C" {
#endif

struct ks_where;
struct ks_store;
struct ks_plan;

/*
 * Reads one configuration file (its form is told in keystow(1)), so that @name, modules and their settings mean what they mean to the
 * program; what a later file says wins. The library looks for no file by itself. KS_ECONFIG with the line, KS_ENOTFOUND, KS_EIO.
 */
int ks_ctx_configure(struct ks_ctx *ctx, const char *path);

/*
 * Parses `SCHEME:PATH`, a PKCS#11 URI (RFC 7512), `@name` of the configuration, or a bare path, each with an optional
 * `#label` or `#sha256:HEX` that names an entry. KS_EADDRESS with "did you mean" for what is unknown.
 */
int ks_where_parse(struct ks_where **out, struct ks_ctx *ctx, const char *text);
void ks_where_free(struct ks_where *where);
/* The canonical address, without secrets; borrowed. */
const char *ks_where_text(const struct ks_where *where);

enum ks_mode {
	KS_READ = 0,
	KS_WRITE = 1,		/* take the store's lock until close; waits for other writers */
	KS_CREATE = 2,		/* with KS_WRITE: make the store when it is absent; asks for a new password twice */
	KS_WITHOUT_SECRET = 4,	/* never ask; list what can be seen without a secret, integrity unchecked */
	KS_LOGIN = 8,		/* tokens: log in at once, so that private objects are seen */
};

/*
 * Opens and loads. For files the type is found by content, never by name. KS_ENOTFOUND, KS_EAMBIGUOUS, KS_EFORMAT,
 * KS_EPASSWORD, KS_EPIN, KS_ELOCKED, KS_ELASTTRY, KS_EBUSY (the lock was not had in time).
 */
int ks_store_open(struct ks_store **out, struct ks_ctx *ctx, const struct ks_where *where, unsigned mode);
void ks_store_close(struct ks_store *store);

/* What the store holds; borrowed, valid until the next commit or close. */
const struct ks_set *ks_store_items(const struct ks_store *store);
size_t ks_store_entry_count(const struct ks_store *store);
const struct ks_entry *ks_store_entry_at(const struct ks_store *store, size_t n);
/* The one entry that `where` means (its label, digest, object or id). KS_ENOTFOUND, KS_EAMBIGUOUS with the candidates. */
int ks_store_entry(const struct ks_entry **out, const struct ks_store *store, const struct ks_where *where);

/* Changes wanted in one store. The plan keeps what it is given alive. */
int ks_plan_new(struct ks_plan **out, struct ks_ctx *ctx, const struct ks_set *have);
/* Adds a copy of `item` under `label` (NULL = its own). */
int ks_plan_put(struct ks_plan *plan, struct ks_item *item, const char *label);
int ks_plan_remove(struct ks_plan *plan, struct ks_item *have);
int ks_plan_rename(struct ks_plan *plan, struct ks_item *have, const char *label);
void ks_plan_free(struct ks_plan *plan);

/*
 * Applies the plan in one step and loads the store anew. A file store afterwards is the new one, or on failure still the
 * old one, byte for byte; 0 is returned only after the new file was read back. Everything borrowed from the store before is
 * gone. KS_ECHANGED when somebody else wrote meanwhile, KS_ELOSSY, KS_EUNABLE, KS_EFULL, KS_EIO.
 */
int ks_store_commit(struct ks_store *store, struct ks_plan *plan);

#ifdef __cplusplus
}
#endif

#pragma GCC visibility pop

#endif
