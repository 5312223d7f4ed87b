/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Java's own key stores, JKS and JCEKS, shared by their rooms: container, seals, aliases, chains, reading and writing.
 *
 * No standard describes them; the writers are JavaKeyStore.java and JceKeyStore.java of OpenJDK. Everything is big-endian:
 *
 *	magic, version (1 or 2), count, that many records, SHA-1 of the password and all before it
 *
 *	record	tag, alias, date in milliseconds, body
 *	1	private key: EncryptedPrivateKeyInfo, number of certificates, those
 *	2	trusted certificate
 *	3	JCEKS only: secret key, a serialised Java object
 *
 * Version 2 puts a word for its type ("X.509") before each certificate. A record is as many items as it holds keys and certificates;
 * `handle` is the number of the record, counted from 1. `raw` of its first item is the whole record, `attributes` all behind the key
 * (tag 1: the chain; tag 2: the certificate with its type). `raw` of a certificate in a chain is that certificate with its type.
 */
#ifndef KS_JKS_H
#define KS_JKS_H

#include "codecs.h"
#include "label.h"

#define KS_JKS_ITEMS 100000
#define KS_JKS_DIGEST 20 /* SHA-1 at the end */

enum ks_jks_tag { KS_JKS_KEY = 1, KS_JKS_TRUSTED = 2, KS_JKS_SECRET = 3 };

/* How a store was laid out; hangs on the facts of its set. */
struct ks_jks_layout {
	bool jceks;
	uint32_t version;
	bool latin1; /* the password fits as one character a byte, as a Java that ran without a locale took it */
};

/* ---- big-endian numbers and slices, none believed before it was held against what is left ---------------------------------- */

/* Take so many bytes off `rest`; false, nothing taken, when it is shorter. */
bool ks_jks_take(struct ks_bytes *out, struct ks_bytes *rest, size_t size);
bool ks_jks_number(uint64_t *out, struct ks_bytes *rest, size_t size);
/* A length of `width` bytes and as many bytes as it says. */
bool ks_jks_sized(struct ks_bytes *out, struct ks_bytes *rest, size_t width);
int ks_jks_put_number(struct ks_buffer *out, uint64_t value, size_t size);

/* A record's head taken apart. */
struct ks_jks_head {
	enum ks_jks_tag tag;
	struct ks_bytes alias; /* modified UTF-8, as it lies there */
	uint64_t date;
};
bool ks_jks_head_read(struct ks_jks_head *out, struct ks_bytes *rest);

/* ---- seals ------------------------------------------------------------------------------------------------------------------ */

/* The digest that ends a store, over `bytes`. */
int ks_jks_digest(unsigned char out[KS_JKS_DIGEST], struct ks_ctx *ctx, struct ks_bytes bytes,
		  const struct ks_secret *secret, bool latin1);
/*
 * The clear PKCS#8 of a private key in a secret buffer: sealed by either Java protector, or in a standard way. KS_EPASSWORD,
 * KS_EALGORITHM, KS_EDAMAGED, KS_ELIMIT.
 */
int ks_jks_key_open(struct ks_buffer **out, struct ks_ctx *ctx, struct ks_bytes sealed, const struct ks_secret *secret,
		    bool latin1);
/* Appends `clear` (PKCS#8) sealed as the kind of store does it. */
int ks_jks_key_put(struct ks_buffer *out, struct ks_ctx *ctx, struct ks_bytes clear, const struct ks_secret *secret,
		   bool jceks);
/* How a private key is sealed, for people: the cipher, static; NULL = not in a way of Java's. */
const char *ks_jks_key_protector(const char **kdf, uint64_t *iterations, struct ks_bytes sealed);

/* The same of a secret key, by its parameters. */
const char *ks_jceks_protector(const char **kdf, uint64_t *iterations, struct ks_bytes parameters);

/* PBEWithMD5AndTripleDES as JCEKS has it: `parameters` is SEQUENCE { salt, iterations }. The result is in a secret buffer. */
int ks_jceks_open(struct ks_buffer **out, struct ks_ctx *ctx, struct ks_bytes parameters, struct ks_bytes sealed,
		  const struct ks_secret *secret);
/* Draws fresh parameters and appends them and the sealed bytes to buffers of their own. */
int ks_jceks_seal(struct ks_buffer *parameters, struct ks_buffer *sealed, struct ks_ctx *ctx, struct ks_bytes clear,
		  const struct ks_secret *secret);

/* ---- keys ------------------------------------------------------------------------------------------------------------------- */

/* How keys of these stores are had. */
extern const struct ks_item_from ks_jks_keys;
/* Opens a sealed item by a password that is known, asking nobody. */
int ks_jks_open_with(struct ks_buffer **out, struct ks_item *item, struct ks_ctx *ctx, const struct ks_secret *secret);
/* The secret key in an opened object, as PKCS#8 would have it, in a secret buffer. KS_EALGORITHM names what is unknown. */
int ks_jceks_secret_clear(struct ks_buffer **out, struct ks_ctx *ctx, struct ks_bytes object);
/* Appends a secret key, given as PKCS#8 would have it, as the sealed object that JCEKS holds. */
int ks_jceks_secret_put(struct ks_buffer *out, struct ks_ctx *ctx, struct ks_bytes clear,
			const struct ks_secret *secret);
/* The sealed parts of a serialised SealedObject; false when it is something else, or sealed in an unknown way. */
struct ks_jceks_sealed {
	struct ks_bytes parameters, content;
};
bool ks_jceks_sealed_read(struct ks_jceks_sealed *out, struct ks_bytes object);

/* ---- aliases ---------------------------------------------------------------------------------------------------------------- */

/* An alias as text: UTF-8 where it is what Java writes, else its bytes. Memory of `set`; data NULL without any. */
struct ks_bytes ks_jks_alias_text(struct ks_set *set, struct ks_bytes alias);
/* Appends length and modified UTF-8. KS_ELIMIT when it is longer than Java can write. */
int ks_jks_alias_put(struct ks_buffer *out, struct ks_ctx *ctx, struct ks_bytes label);
/* ---- chains ----------------------------------------------------------------------------------------------------------------- */

/* The item, or what it is a copy of, belongs to `have`. */
bool ks_jks_is_own(const struct ks_item *item, const struct ks_set *have);
/* It becomes a record of its own, and no part of a chain. */
bool ks_jks_is_record(const struct ks_item *item);

/* The certificates of one private key's record: `count` members from `first` on, the key's own first. */
struct ks_jks_chain {
	bool as_found; /* the record's bytes of them stay */
	size_t first, count;
};
struct ks_jks_chains {
	struct ks_jks_chain *chains; /* one for each item of the set; empty where it is no private key */
	struct ks_item **members;
	size_t member_count;
};
/*
 * Decides the chain of every private key of `from`, and takes away the labels that members of chains cannot have. Certificates that
 * have no place are flagged KS_LEFT_OUT when they were in the chain of a key that goes, and KS_ELOSSY else: nothing becomes
 * trusted by being written. To be cleared also after a failure.
 */
int ks_jks_chains_of(struct ks_jks_chains *out, struct ks_ctx *ctx, struct ks_set *from, const struct ks_set *have);
void ks_jks_chains_clear(struct ks_jks_chains *chains);

/*
 * Gives every item of `from` that becomes a record the alias that it gets, in its label: as found where nothing changed it, else in
 * lower case and unlike all others. What had to be changed beyond case is said.
 */
int ks_jks_aliases_settle(struct ks_ctx *ctx, struct ks_set *from, const struct ks_set *have,
			  const struct ks_jks_chains *chains);
/* Nothing changed its label: the alias stays as it lies in the record. */
bool ks_jks_alias_kept(const struct ks_item *item, const struct ks_set *have);

/* ---- the store -------------------------------------------------------------------------------------------------------------- */

int ks_jks_decode(struct ks_ctx *ctx, struct ks_set *into, struct ks_bytes file, struct ks_secret *secret, bool jceks);
int ks_jks_encode(struct ks_ctx *ctx, struct ks_buffer *out, struct ks_set *from, const struct ks_set *have,
		  struct ks_secret *secret, bool changed, bool jceks);

#endif
