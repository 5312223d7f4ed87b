/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What reading and writing of IBM key databases have in common. docs/formats/kdb.md has the layout.
 */
#ifndef KS_FILE_KDB_H
#define KS_FILE_KDB_H

#include "codecs.h"

#include "der.h"

#define KS_KDB_HEAD 0x30 /* bytes before the first HMAC */
#define KS_KDB_MAC_MAX 48
#define KS_KDB_RECORDS 100000 /* more are refused */
#define KS_KDB_SLOT 5000 /* of a new database: what IBM's programs give it */
#define KS_KDB_SLOT_MAX (1 << 20)
#define KS_KDB_RECORD 1 /* the type of a slot that holds a record */
#define KS_KDB_INDEX 124 /* bytes of the five hashes behind a record */

enum ks_kdb_kind { KS_KDB_KEYS, KS_KDB_REQUESTS, KS_KDB_CRLS };

/* The database as a whole, as it was read. */
struct ks_kdb_layout {
	enum ks_kdb_kind kind;
	unsigned version;
	const char *digest; /* of its HMACs, OpenSSL's name */
	size_t mac; /* bytes of each */
	size_t slot, count;
	unsigned char head[KS_KDB_HEAD];
};

/* The HMAC under the password's bytes, of one piece and of another one behind it. */
int ks_kdb_mac(unsigned char out[KS_KDB_MAC_MAX], struct ks_ctx *ctx, const char *digest,
	       const struct ks_secret *secret, struct ks_bytes first, struct ks_bytes second);
uint32_t ks_kdb_u32(const unsigned char at[4]);
int ks_kdb_put_u32(struct ks_buffer *out, uint32_t value);

/* ---- records ------------------------------------------------------------------------------------------------------- */

/* What [n] around the content of a record means. */
enum ks_kdb_tag {
	KS_KDB_REQUEST = KS_DER_CONTEXT(0), /* a request and its sealed private key */
	KS_KDB_SIGNER = KS_DER_CONTEXT(1), /* a certificate, trusted */
	KS_KDB_PERSONAL = KS_DER_CONTEXT(2), /* a certificate and its sealed private key */
	KS_KDB_SECRET = KS_DER_CONTEXT(3), /* a sealed secret key */
};

/* One slot taken apart; slices of it. */
struct ks_kdb_record {
	uint32_t type, number;
	unsigned char tag;
	struct ks_bytes content; /* of [n] */
	struct ks_bytes label;
	struct ks_bytes flags; /* the whole BIT STRING */
	struct ks_bytes index; /* what stands behind the label, without the zeros at the end */
};

/* Known flags: what IBM's programs write for signers and personal certificates alike. */
extern const struct ks_bytes ks_kdb_flags;
/* 0, or KS_EDAMAGED with what is wrong in *why. */
int ks_kdb_record_read(struct ks_kdb_record *out, const char **why, struct ks_bytes slot);
/* Adds the items of a slot, which all have the slot as raw and `place` as handle. Slots that nobody understands become opaque
 * items, and are told. */
int ks_kdb_record_items(struct ks_ctx *ctx, struct ks_set *into, enum ks_kdb_kind kind, struct ks_bytes slot,
			unsigned long place);
/* The sealed key of an item, whatever its kind. */
extern const struct ks_item_from ks_kdb_secrets;

/* ---- writing ------------------------------------------------------------------------------------------------------- */

/* The index of a certificate, as it stands behind its record. KS_EDAMAGED when it is not to be taken apart. */
int ks_kdb_index_put(struct ks_buffer *out, struct ks_bytes certificate);
/* What a label becomes in a record: see ks_codec.label. */
struct ks_bytes ks_kdb_label(struct ks_set *keep, struct ks_bytes label);
/* A label for a certificate that has none. Absent without memory. */
struct ks_bytes ks_kdb_label_for(struct ks_item *certificate, struct ks_set *keep);
int ks_kdb_encode(struct ks_ctx *ctx, struct ks_buffer *out, struct ks_set *from, const struct ks_set *have,
		  struct ks_secret *secret, bool changed);

#endif
