/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IBM key databases (CMS): .kdb, and with them .rdb (requests) and .crl.
 *
 * A head, two HMACs under the password, and slots of equal size. The first HMAC is over the head alone and tells whether the password
 * is right; the second is over everything and tells whether anything was changed. Without a password all certificates can be seen,
 * for they lie in the clear; only private keys are sealed.
 */
#include "kdb.h"

#include "protect.h"
#include "secret.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>

#include <string.h>

#define AT_VERSION 2
#define AT_NAME 8
#define AT_SLOT 0x10
#define AT_COUNT 0x14
#define SMALLEST_SLOT 16

/* ---- the HMACs ---- */

int ks_kdb_mac(unsigned char out[KS_KDB_MAC_MAX], struct ks_ctx *ctx, const char *digest,
	       const struct ks_secret *secret, struct ks_bytes first, struct ks_bytes second)
{
	OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)digest, 0),
				OSSL_PARAM_construct_end() };
	EVP_MAC *hmac = EVP_MAC_fetch(ks_crypto(ctx), "HMAC", NULL);
	EVP_MAC_CTX *state = hmac ? EVP_MAC_CTX_new(hmac) : NULL;
	bool done =
		state &&
		EVP_MAC_init(state, (const unsigned char *)ks_secret_bytes(secret), ks_secret_size(secret), params) &&
		EVP_MAC_update(state, first.data, first.size) && EVP_MAC_update(state, second.data, second.size) &&
		EVP_MAC_final(state, out, NULL, KS_KDB_MAC_MAX);

	EVP_MAC_CTX_free(state);
	EVP_MAC_free(hmac);
	return done ? 0 : ks_fail_openssl(ctx, KS_EALGORITHM, "HMAC with %s could not be computed", digest);
}

static struct ks_bytes slots_of(const struct ks_kdb_layout *layout, struct ks_bytes file)
{
	size_t start = KS_KDB_HEAD + 2 * layout->mac;

	return KS_BYTES(file.data + start, file.size - start);
}

static bool opens_a_key(struct ks_ctx *ctx, const struct ks_set *set, const struct ks_secret *secret)
{
	for (size_t i = 0; i < ks_set_count(set); i++) {
		const struct ks_item *item = ks_set_at(set, i);
		ks_auto(buffer) clear = NULL;

		if ((item->flags & KS_SEALED) && ks_sealed_key_open(&clear, ctx, item->der, secret, NULL) == 0)
			return true;
		ks_forgive(ctx);
	}
	return false;
}

/* The password's own HMAC does not fit: is it the password, or the head of the file? A key that opens tells. */
static int judge(struct ks_ctx *ctx, const struct ks_kdb_layout *layout, const struct ks_set *set,
		 const struct ks_secret *secret)
{
	if (opens_a_key(ctx, set, secret))
		return ks_hint(
			ctx,
			ks_fail(ctx, KS_EALTERED, "the password is right, but the head of the database was changed"),
			"take the file from a backup");
	if (layout->version == 3)
		return ks_hint(ctx,
			       ks_fail(ctx, KS_EPASSWORD,
				       "wrong password, or the database of version 3 is under another check than those "
				       "of version 4"),
			       "keystow list without a password shows what is in it, unchecked");
	return ks_hint(ctx, ks_fail(ctx, KS_EPASSWORD, "wrong password, or the head of the database was changed"),
		       "try the password again; a stash beside the database (.sth) holds it, if there is one");
}

static int check_macs(struct ks_ctx *ctx, const struct ks_kdb_layout *layout, struct ks_bytes file,
		      const struct ks_set *set, const struct ks_secret *secret)
{
	const unsigned char *stored = file.data + KS_KDB_HEAD;
	unsigned char mac[KS_KDB_MAC_MAX];
	int rc = ks_kdb_mac(mac, ctx, layout->digest, secret, KS_BYTES(file.data, KS_KDB_HEAD), KS_NONE);

	if (rc == 0 && CRYPTO_memcmp(mac, stored, layout->mac) != 0)
		return judge(ctx, layout, set, secret);
	if (rc == 0)
		rc = ks_kdb_mac(mac, ctx, layout->digest, secret, KS_BYTES(file.data, KS_KDB_HEAD + layout->mac),
				slots_of(layout, file));
	if (rc == 0 && CRYPTO_memcmp(mac, stored + layout->mac, layout->mac) != 0)
		return ks_hint(
			ctx,
			ks_fail(ctx, KS_EALTERED, "the password is right, but the database was changed or damaged"),
			"take the file from a backup");
	return rc;
}

/* ---- the head ---- */

static bool named(struct ks_bytes head, const char name[8])
{
	return head.size >= AT_NAME + 8 && memcmp(head.data + AT_NAME, name, 8) == 0;
}

static int kind_of(enum ks_kdb_kind *out, struct ks_bytes head)
{
	if (named(head, "X509KEY"))
		*out = KS_KDB_KEYS;
	else if (named(head, "X509KYP"))
		*out = KS_KDB_REQUESTS;
	else if (named(head, "X509CRL"))
		*out = KS_KDB_CRLS;
	else
		return KS_EFORMAT;
	return 0;
}

static int kdb_probe(struct ks_bytes head)
{
	enum ks_kdb_kind kind;

	return head.size > AT_VERSION && head.data[0] == 0x37 && head.data[1] == 0x48 && kind_of(&kind, head) == 0 ? 100
														   : 0;
}

static int read_version(struct ks_kdb_layout *layout, struct ks_ctx *ctx, unsigned version)
{
	layout->version = version;
	layout->digest = version >= 6 ? "SHA384" : "SHA1";
	layout->mac = version >= 6 ? 48 : 20;
	if (version > 6)
		return ks_hint(ctx,
			       ks_fail(ctx, KS_ENEWER, "the key database has version %u; versions 3, 4 and 6 are known",
				       version),
			       "a newer keystow may read it; runmqakm -keydb -convert makes a PKCS#12 file of it");
	if (version != 3 && version != 4 && version != 6)
		return ks_fail(ctx, KS_EALGORITHM, "the key database has version %u; versions 3, 4 and 6 are known",
			       version);
	return 0;
}

static int head_read(struct ks_kdb_layout *layout, struct ks_ctx *ctx, struct ks_bytes file)
{
	size_t start;
	int rc;

	if (!kdb_probe(file))
		return ks_hint(
			ctx, ks_fail(ctx, KS_EFORMAT, file.size ? "this is no IBM key database" : "the file is empty"),
			file.size ? "keystow list with the bare path tells what it is"
				  : "make or fetch the file again; keystow new makes a new store");
	kind_of(&layout->kind, file);
	rc = read_version(layout, ctx, file.data[AT_VERSION]);
	if (rc < 0)
		return rc;
	start = KS_KDB_HEAD + 2 * layout->mac;
	if (file.size < start)
		return ks_fail(ctx, KS_EDAMAGED, "the key database ends within its head");
	memcpy(layout->head, file.data, KS_KDB_HEAD);
	layout->slot = ks_kdb_u32(file.data + AT_SLOT);
	layout->count = ks_kdb_u32(file.data + AT_COUNT);
	if (layout->count > KS_KDB_RECORDS)
		return ks_fail(ctx, KS_ELIMIT, "the key database has %zu records, and more than %d are refused",
			       layout->count, KS_KDB_RECORDS);
	if (layout->slot < SMALLEST_SLOT || layout->slot > KS_KDB_SLOT_MAX)
		return ks_fail(ctx, KS_EDAMAGED, "the key database gives each record %zu bytes, which cannot be",
			       layout->slot);
	if (file.size - start != layout->count * layout->slot)
		return ks_hint(ctx,
			       ks_fail(ctx, KS_EDAMAGED, "the key database should have %zu bytes and has %zu",
				       start + layout->count * layout->slot, file.size),
			       "a copy may have been cut or changed on its way (binary, not text); take it again");
	return 0;
}

/* ---- the whole ---- */

struct owner {
	struct ks_item *key, *beside;
};

static int owner_order(const void *a, const void *b)
{
	const struct owner *x = a, *y = b;
	int order = ks_bytes_compare(x->key->id, y->key->id);

	return order ? order : (x->key->handle > y->key->handle) - (x->key->handle < y->key->handle);
}

/*
 * A renewed certificate may have the key of the one before, and the id, which is made of the public key, would not tell which is
 * whose: the second one and those behind it get their record's number into theirs.
 */
static int tell_apart(struct ks_ctx *ctx, struct ks_set *set)
{
	size_t count = 0, items = ks_set_count(set);
	ks_auto_mem struct owner *owners = ks_array(items + 1, sizeof(*owners));

	if (!owners)
		return ks_nomem(ctx);
	for (size_t i = 1; i < items; i++) {
		struct ks_item *key = ks_set_at(set, i), *beside = ks_set_at(set, i - 1);

		if (key->kind == KS_PRIVATE_KEY && key->id.data && key->handle == beside->handle)
			owners[count++] = (struct owner){ key, beside };
	}
	qsort(owners, count, sizeof(*owners), owner_order);
	for (size_t i = 1, first = 0; i < count; i++) {
		unsigned char id[24];

		if (!ks_bytes_equal(owners[i].key->id, owners[first].key->id)) {
			first = i;
			continue;
		}
		memcpy(id, owners[i].key->id.data, 20);
		for (unsigned n = 0; n < 4; n++)
			id[20 + n] = (unsigned char)(owners[i].key->handle >> (8 * (3 - n)));
		owners[i].key->id = owners[i].beside->id = ks_set_bytes(set, id, sizeof(id));
	}
	return 0;
}

/* The first sealed key speaks for all. */
static void tell_sealing(struct ks_ctx *ctx, struct ks_set *set)
{
	struct ks_facts *facts = ks_set_facts(set);
	struct ks_protection protection;

	for (size_t i = 0; i < ks_set_count(set) && !facts->cipher; i++) {
		const struct ks_item *item = ks_set_at(set, i);

		if (!(item->flags & KS_SEALED))
			continue;
		if (ks_sealed_key_protection(&protection, ctx, item->der) < 0) {
			ks_forgive(ctx);
			return;
		}
		facts->cipher = protection.cipher_name;
		facts->kdf = protection.kdf_name;
		facts->kdf_iterations = protection.iterations;
	}
}

/* Flags that IBM's programs were not seen to write: what they say is not known, perhaps that one is the default. */
static void tell_flags(struct ks_set *set)
{
	struct ks_kdb_record record;
	const char *why;
	size_t odd = 0;

	for (size_t i = 0; i < ks_set_count(set); i++) {
		const struct ks_item *item = ks_set_at(set, i);

		odd += item->kind == KS_CERTIFICATE && ks_kdb_record_read(&record, &why, item->raw) == 0 &&
		       !ks_bytes_equal(record.flags, ks_kdb_flags);
	}
	if (odd)
		ks_set_problem(set, KS_ELOSSY,
			       "they are kept as they are; a copy into another kind of store does not have them",
			       "%zu certificate%s carr%s marks that keystow does not know", odd, odd == 1 ? "" : "s",
			       odd == 1 ? "ies" : "y");
}

static void tell_facts(struct ks_ctx *ctx, struct ks_set *set, const struct ks_kdb_layout *layout, bool checked)
{
	struct ks_facts *facts = ks_set_facts(set);

	facts->format = "kdb";
	facts->layout = layout;
	facts->integrity = checked ? KS_INTEGRITY_VERIFIED : KS_INTEGRITY_UNCHECKED;
	facts->mac = layout->version >= 6 ? "HMAC-SHA384" : "HMAC-SHA1";
	facts->mac_iterations = 1;
	facts->weak = true;
	facts->advice = "the format allows no better: a long random password helps, and so does a p12: store instead";
	if (layout->version == 3)
		ks_set_problem(set, KS_EFORMAT, "look whether everything is there that should be",
			       "a key database of version 3 is read as if it were of version 4; nobody could show one");
	tell_sealing(ctx, set);
	tell_flags(set);
}

static int kdb_decode(struct ks_ctx *ctx, struct ks_set *into, struct ks_bytes file, struct ks_secret *secret)
{
	struct ks_kdb_layout *layout = ks_set_room(into, sizeof(*layout));
	struct ks_bytes slots;
	int rc = layout ? head_read(layout, ctx, file) : ks_nomem(ctx);

	if (rc < 0)
		return rc;
	slots = slots_of(layout, file);
	for (size_t i = 0; rc == 0 && i < layout->count; i++)
		rc = ks_kdb_record_items(ctx, into, layout->kind, KS_BYTES(slots.data + i * layout->slot, layout->slot),
					 i + 1);
	if (rc == 0 && secret)
		rc = check_macs(ctx, layout, file, into, secret);
	if (rc == 0)
		rc = tell_apart(ctx, into);
	if (rc < 0)
		return rc;
	tell_facts(ctx, into, layout, secret != NULL);
	if (secret)
		ks_set_keep_secret(into, secret);
	return 0;
}

const struct ks_codec ks_codec_kdb = {
	.name = "kdb",
	.ceiling = (size_t)64 << 20,
	.probe = kdb_probe,
	.decode = kdb_decode,
	.encode = ks_kdb_encode,
	.label = ks_kdb_label,
};
