/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is inside a store: items, sets of items, and entries (items that belong together under one label).
 */
#ifndef KEYSTOW_ITEM_H
#define KEYSTOW_ITEM_H

#include <keystow/keystow.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#pragma GCC visibility push(default)

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes that somebody else owns. `data` NULL means absent, which is not the same as empty. */
struct ks_bytes {
	const unsigned char *data;
	size_t size;
};

enum ks_kind {
	KS_PRIVATE_KEY,
	KS_PUBLIC_KEY,
	KS_CERTIFICATE,
	KS_REQUEST,
	KS_CRL,
	KS_SECRET_KEY,
	KS_OPAQUE,	/* unknown to keystow; kept byte for byte */
};

/* "private-key", "certificate", ...: the words of the JSON schema. */
const char *ks_kind_name(enum ks_kind kind);

/* Purposes a certificate can be trusted or distrusted for; bits. */
enum ks_purpose {
	KS_FOR_SERVER = 1,
	KS_FOR_CLIENT = 2,
	KS_FOR_EMAIL = 4,
	KS_FOR_CODE = 8,
	KS_FOR_ANY = 16,
};

struct ks_trust {
	unsigned char trusted;
	unsigned char distrusted;
};

struct ks_item;
struct ks_set;
struct ks_entry;

enum ks_kind ks_item_kind(const struct ks_item *item);
/* Exact bytes as the store has them, any case; data NULL = no label / no id. Borrowed from the item's set. */
struct ks_bytes ks_item_label(const struct ks_item *item);
struct ks_bytes ks_item_id(const struct ks_item *item);
/* DER of a certificate, request, CRL or public key (SubjectPublicKeyInfo, RFC 5280 4.1); absent for keys in devices. */
struct ks_bytes ks_item_der(const struct ks_item *item);
struct ks_trust ks_item_trust(const struct ks_item *item);
/* Parsed on first use, then kept; NULL with words in `ctx` when it does not parse. Borrowed. */
X509 *ks_item_x509(struct ks_item *item, struct ks_ctx *ctx);
/*
 * The key, wherever it lives: in a file it is unsealed with the store's password, in a token it stays there and only the
 * handle is given. Free with EVP_PKEY_free before ks_ctx_free. KS_EPASSWORD, KS_EPIN, KS_EALGORITHM, KS_EDAMAGED.
 *
 * A token's key may be used on any thread, by as many at once as like; they take turns with up to 16 sessions. When the token ended
 * its sessions, the key opens one anew, is looked up again, and the PIN is asked for again where the last login had succeeded: once
 * for each loss. What a child of fork has to do is told with ks_after_fork. A failure stands in OpenSSL's error queue of the
 * thread that used the key, as a sentence.
 */
int ks_item_pkey(EVP_PKEY **out, struct ks_item *item, struct ks_ctx *ctx);

/*
 * The OpenSSL library context that the keys of `ctx` live in, for EVP_PKEY_CTX_new_from_pkey, EVP_DigestSignInit_ex and the like. It
 * is private, so a host's configuration and keystow's do not meet. Borrowed until ks_ctx_free; NULL = not enough memory.
 */
OSSL_LIB_CTX *ks_crypto(struct ks_ctx *ctx);

size_t ks_set_count(const struct ks_set *set);
/* The n-th item, counted from 0; NULL behind the last. Borrowed. */
struct ks_item *ks_set_at(const struct ks_set *set, size_t n);

/* An entry's parts; each may be NULL. Borrowed from the entry's set. */
struct ks_item *ks_entry_key(const struct ks_entry *entry);
struct ks_item *ks_entry_certificate(const struct ks_entry *entry);
/* The n-th certificate above the entry's own, counted from 0; NULL behind the last. */
struct ks_item *ks_entry_chain(const struct ks_entry *entry, size_t n);
/* The label people use for it: of the key, else of the certificate; data NULL = none. */
struct ks_bytes ks_entry_label(const struct ks_entry *entry);

#ifdef __cplusplus
}
#endif

#pragma GCC visibility pop

#endif
