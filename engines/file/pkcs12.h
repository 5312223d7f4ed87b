/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PKCS#12 (RFC 7292), shared by its rooms: how a store is laid out, its MAC, its bag attributes, reading and writing.
 *
 * A store is an outer shell with a MAC, parts that are clear or encrypted, and bags in the parts. Each bag is an item; `raw` is
 * the bag as it lies in the store, `attributes` its attribute set. `der` is the value: a certificate or CRL, PKCS#8 clear or
 * sealed, the SecretBag of a secret key, the whole bag of what is unknown.
 */
#ifndef KS_PKCS12_H
#define KS_PKCS12_H

#include "ber.h"
#include "codecs.h"
#include "file.h"
#include "protect.h"

#define KS_PKCS12_BAGS 100000

/* ---- layout ---------------------------------------------------------------------------------------------------------- */

enum ks_pkcs12_mac { KS_MAC_NONE, KS_MAC_PKCS12, KS_MAC_PBMAC1 };

/* How the MAC is made (RFC 7292 4, RFC 9579). Bytes are borrowed from the store. */
struct ks_pkcs12_mac_way {
	enum ks_pkcs12_mac kind;
	struct ks_derivation derivation;
	const char *digest; /* of the HMAC */
	size_t key_size;
	struct ks_bytes value; /* as found */
	enum ks_password_form form; /* which form of the password it fitted */
};

/* How a store was laid out; hangs on the facts of its set. */
struct ks_pkcs12_layout {
	struct ks_pkcs12_mac_way mac;
	bool has_certificates; /* some part holds certificates, and then */
	bool certificates_sealed; /* it was encrypted */
	struct ks_protection content; /* of the first encrypted part; cipher NULL when there was none */
	struct ks_protection key; /* of the first sealed key; likewise */
	enum ks_password_form form; /* that opened the encrypted parts, or the MAC */
	bool opened; /* read with a secret */
};

/* handle of an item, bits: where its bag lay */
enum ks_pkcs12_place {
	KS_PKCS12_SEALED_PART = 1, /* in an encrypted part */
	KS_PKCS12_NESTED = 2, /* inside a safeContentsBag */
};

/* ---- MAC ------------------------------------------------------------------------------------------------------------- */

/* Reads MacData (DER). KS_EDAMAGED, KS_EALGORITHM by name. */
int ks_pkcs12_mac_read(struct ks_pkcs12_mac_way *out, struct ks_ctx *ctx, struct ks_bytes mac_data);
/* Tries every form of the password; sets way->form. KS_EPASSWORD when none fits, KS_ELIMIT before rounds are spent. */
int ks_pkcs12_mac_verify(struct ks_pkcs12_mac_way *way, struct ks_ctx *ctx, struct ks_bytes content,
			 const struct ks_secret *secret);
/* "hmacWithSHA256 (PKCS#12 KDF)": owned by `set`. */
const char *ks_pkcs12_mac_name(struct ks_set *set, const struct ks_pkcs12_mac_way *way);
/* Neither MD5 nor so few rounds that the password can be tried quickly? */
bool ks_pkcs12_mac_strong(const struct ks_pkcs12_mac_way *way);
/*
 * Appends MacData over `content`, made like `like` when that is strong enough (NULL = new store), and under the same salt
 * when the password is the same.
 */
int ks_pkcs12_mac_put(struct ks_buffer *out, struct ks_ctx *ctx, struct ks_bytes content,
		      const struct ks_secret *secret, const struct ks_pkcs12_mac_way *like, bool same_password);

/* ---- attributes of a bag --------------------------------------------------------------------------------------------- */

/* Takes label, id, trust and creation time from a bag's attribute set (whole element, DER). KS_EDAMAGED. */
int ks_pkcs12_attributes_read(struct ks_item *item, struct ks_bytes set);
/* Appends the attribute set of `item`: its `attributes` with label, id and trust brought up to date; nothing when empty. */
int ks_pkcs12_attributes_put(struct ks_buffer *out, const struct ks_item *item);

/* ---- bags ------------------------------------------------------------------------------------------------------------ */

/* The bag types of RFC 7292 4.2, by the last octet of their OIDs. */
enum ks_pkcs12_bag {
	KS_BAG_KEY = 1,
	KS_BAG_SEALED_KEY = 2,
	KS_BAG_CERTIFICATE = 3,
	KS_BAG_CRL = 4,
	KS_BAG_SECRET = 5,
	KS_BAG_NESTED = 6,
};
#define KS_BAG_OID_PREFIX "\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x0a\x01"
#define KS_OID_X509_CERTIFICATE "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x16\x01"
#define KS_OID_SDSI_CERTIFICATE "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x16\x02"
#define KS_OID_X509_CRL "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x17\x01"
#define KS_OID_DATA "\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01"
#define KS_OID_SIGNED_DATA "\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02"
#define KS_OID_ENVELOPED_DATA "\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03"
#define KS_OID_ENCRYPTED_DATA "\x2a\x86\x48\x86\xf7\x0d\x01\x07\x06"

/* A SafeBag taken apart; slices of it. */
struct ks_pkcs12_safe_bag {
	struct ks_bytes oid;
	struct ks_bytes value; /* what [0] holds, one element */
	struct ks_bytes attributes; /* whole SET, or absent */
};
int ks_pkcs12_bag_read(struct ks_pkcs12_safe_bag *out, struct ks_bytes bag);
/* The EncryptedPrivateKeyInfo inside a SecretBag, as Java writes it, and the secret's type; absent when it is of another kind. */
struct ks_bytes ks_pkcs12_secret_sealed(struct ks_bytes *type, struct ks_bytes secret_bag);

/* Adds the bags of one part (content of its SafeContents) to `into`. */
int ks_pkcs12_bags_read(struct ks_ctx *ctx, struct ks_set *into, struct ks_pkcs12_layout *layout,
			struct ks_bytes safe_contents, unsigned place);

/* How keys of a PKCS#12 store are had. */
extern const struct ks_item_from ks_pkcs12_keys;

/* ---- the store ------------------------------------------------------------------------------------------------------- */

int ks_pkcs12_decode(struct ks_ctx *ctx, struct ks_set *into, struct ks_bytes file, struct ks_secret *secret);
int ks_pkcs12_encode(struct ks_ctx *ctx, struct ks_buffer *out, struct ks_set *from, const struct ks_set *have,
		     struct ks_secret *secret, bool changed);

#endif
