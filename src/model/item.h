/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Items and the sets that own them.
 *
 * An item keeps its DER as borrowed slices of buffers that its set owns, and parses an X509 only when asked. Items never move
 * and live as long as their set. A codec also keeps what it needs to write the item back untouched: `raw` is the whole record
 * as found (a SafeBag, a PEM block), `attributes` those parts of it that are not the value; both belong to the set's format.
 */
#ifndef KS_ITEM_H
#define KS_ITEM_H

#include <keystow/item.h>

#include "keyspec.h"
#include "secret.h"

enum ks_item_flag {
	KS_SEALED = 1,		/* der is an EncryptedPrivateKeyInfo (RFC 5958 3), or raw holds a sealed record */
	KS_ON_DEVICE = 2,	/* the key lives in a token */
	KS_MADE_HERE = 4,	/* the device says it generated the key (CKA_LOCAL) */
	KS_SENSITIVE = 8,	/* the device says it never shows the key */
	KS_EXTRACTABLE = 16,
	KS_UNDECODED = 32,	/* found, named, but its content could not be understood */
	KS_HASHED = 64,		/* sha256 below is filled in */
	KS_PLAIN_DATA = 256,	/* opaque bytes that a person put there (a data object of a token) */
	KS_ORIGIN_UNKNOWN = 128,/* the device does not tell where the key was made */
	KS_SENSITIVE_UNKNOWN = 512,
	KS_EXTRACTABLE_UNKNOWN = 1024,
	KS_LEFT_OUT = 2048,	/* set by a codec that wrote a set without it, because it goes with something that is gone */
};

/* How a kind of store answers for its items. Slots may be NULL: the item cannot do that. */
struct ks_item_from {
	int (*pkey)(EVP_PKEY **out, struct ks_item *item, struct ks_ctx *ctx);
	/* The private key as clear PKCS#8 (RFC 5958) in a secret buffer, for putting it into another store. KS_EUNABLE for devices. */
	int (*pkcs8)(struct ks_buffer **out, struct ks_item *item, struct ks_ctx *ctx);
	/* The bytes of an opaque item that are not read before somebody wants them. */
	int (*content)(struct ks_buffer **out, struct ks_item *item, struct ks_ctx *ctx);
};

struct ks_item {
	enum ks_kind kind;
	unsigned flags;
	struct ks_bytes der;	/* certificate, request, CRL, SPKI; PKCS#8 clear or sealed; secret key: codec's own form */
	struct ks_bytes raw;
	struct ks_bytes attributes;
	struct ks_bytes label;	/* exact bytes; data NULL = none */
	struct ks_bytes id;
	struct ks_trust trust;
	struct ks_keyspec key;	/* UNKNOWN until somebody knows */
	struct ks_bytes spki;	/* of a key, when the store tells it without a secret; for certificates use ks_certificate_facts */
	int64_t created;	/* 0 = not known */
	const char *about;	/* for opaque and undecoded items: what it is, e.g. an OID; borrowed from the set or static */
	const struct ks_item_from *from;
	unsigned long handle;	/* the engine's own */
	struct ks_set *set;	/* owner; not counted */
	struct ks_item *origin;	/* the item this is a copy of, whose set holds the secret; NULL = an original */
	X509 *x509;		/* parsed on demand */
	unsigned char sha256[KS_SHA256];
};

enum ks_integrity { KS_INTEGRITY_NONE, KS_INTEGRITY_UNCHECKED, KS_INTEGRITY_VERIFIED, KS_INTEGRITY_FAILED };

/* What is true of the store as a whole. Strings are borrowed from the set or static. */
struct ks_facts {
	const char *format;	/* "pkcs12", "pem", "der", "pkcs11" */
	enum ks_integrity integrity;
	const char *mac;	/* "hmacWithSHA256 (PKCS#12 KDF)", "PBMAC1 ..." or NULL */
	uint64_t mac_iterations;
	const char *cipher;	/* of keys, else of certificates: "AES-256-CBC" */
	const char *kdf;
	uint64_t kdf_iterations;
	bool weak;		/* protection that nobody should rely on any more */
	const char *advice;	/* what to do about weak protection; NULL = a new password seals it anew */
	bool has_blocks;	/* PEM and bundles: every block is one of the four */
	size_t blocks_ok, blocks_duplicate, blocks_foreign, blocks_damaged;
	const void *layout;	/* the codec's own: how the store was laid out, so that it can be written alike; borrowed from the set */
};

/* ---- sets ---- */

int ks_set_new(struct ks_set **out, struct ks_ctx *ctx);
struct ks_set *ks_set_ref(struct ks_set *set);
void ks_set_free(struct ks_set *set); /* drops one reference */
KS_FREES(set)
struct ks_ctx *ks_set_ctx(const struct ks_set *set);
struct ks_facts *ks_set_facts(struct ks_set *set);
const struct ks_facts *ks_set_facts_of(const struct ks_set *set);

/* A new item, all zero but kind and set. NULL without memory. */
struct ks_item *ks_set_add(struct ks_set *set, enum ks_kind kind);
/* A shallow copy of an item of another set, which is kept alive; the copy's key is had through its origin. */
struct ks_item *ks_set_copy(struct ks_set *set, struct ks_item *item);
/* Drops items, problems and facts, keeps buffers: for reading the same bytes again with a secret. Nobody may hold an item. */
void ks_set_forget(struct ks_set *set);
/* The set owns the buffer from now on, also on failure. */
int ks_set_own(struct ks_set *set, struct ks_buffer *buffer);
/* `bytes` for writing over them, when they lie in a buffer that the set owns; NULL otherwise. */
unsigned char *ks_set_writable(struct ks_set *set, struct ks_bytes bytes);
/* Copies bytes / a formatted string into the set; data NULL / NULL without memory. */
struct ks_bytes ks_set_bytes(struct ks_set *set, const void *bytes, size_t size);
const char *ks_set_text(struct ks_set *set, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Zeros for a struct of the codec's own, aligned for any; NULL without memory. */
void *ks_set_room(struct ks_set *set, size_t size);
/* The secret that opened the store, kept for unsealing its keys; counted. NULL = none. */
void ks_set_keep_secret(struct ks_set *set, struct ks_secret *secret);
struct ks_secret *ks_set_secret(const struct ks_set *set);
/* Something is wrong with one record; the rest is fine. Shown with the store, not a failure. */
void ks_set_problem(struct ks_set *set, int status, const char *hint, const char *format, ...) __attribute__((format(printf, 4, 5)));
const struct ks_problem *ks_set_problem_at(const struct ks_set *set, size_t n);

/* ---- items ---- */

/* SHA-256 of der, computed once. Borrowed. */
const unsigned char *ks_item_sha256(struct ks_item *item);
bool ks_item_is_anchor(const struct ks_item *item);
/* The private key as clear PKCS#8; see ks_item_from. */
int ks_item_pkcs8(struct ks_buffer **out, struct ks_item *item, struct ks_ctx *ctx);
/* The bytes of an item that is no key: its der, else what its store gives; see ks_item_from. */
int ks_item_content(struct ks_buffer **out, struct ks_item *item, struct ks_ctx *ctx);
/* For failures: `private key "web"`, `certificate CN=x (sha256 ab12cd34)`; new string, safe to show. */
char *ks_item_named(struct ks_item *item);

#endif
