/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a Java key store: its records, then what the digest at its end says of password and bytes.
 *
 * No key is opened to list one. Broken structure is damage, whatever the password. When the digest does not fit but the password
 * opens a key, the password is right and the file was changed; when no key opens either, the two cannot be told apart.
 */
#include "jks.h"

#include "certificate.h"
#include "java_object.h"
#include "protect.h"
#include "text.h"

#include <openssl/crypto.h>

#include <string.h>

#define HEADER 12 /* magic, version, count */
#define TRIED_KEYS 4 /* with a password whose digest does not fit; each may cost 200,000 rounds */
#define LAST_SECOND 253402300799 /* of the year 9999 */

struct store {
	struct ks_ctx *ctx;
	struct ks_set *into;
	struct ks_jks_layout *layout;
	struct ks_bytes rest;
	unsigned long record; /* which one is read, counted from 1 */
};

static int damaged(struct ks_ctx *ctx, const char *what)
{
	return ks_hint(ctx, ks_fail(ctx, KS_EDAMAGED, "%s is damaged, or ends too early", what),
		       "take the file from a backup, or from where it came");
}

static int record_damaged(const struct store *store)
{
	char what[48];

	snprintf(what, sizeof(what), "record %lu of the store", store->record);
	return damaged(store->ctx, what);
}

static int item_new(struct ks_item **out, struct store *store, enum ks_kind kind, const struct ks_jks_head *head)
{
	if (ks_set_count(store->into) >= KS_JKS_ITEMS)
		return ks_fail(store->ctx, KS_ELIMIT, "the store has more than %d keys and certificates", KS_JKS_ITEMS);
	*out = ks_set_add(store->into, kind);
	if (!*out)
		return ks_nomem(store->ctx);
	(*out)->handle = store->record;
	if (head && head->date / 1000 <= LAST_SECOND)
		(*out)->created = (int64_t)(head->date / 1000);
	if (head)
		(*out)->label = ks_jks_alias_text(store->into, head->alias);
	return head && !(*out)->label.data ? ks_nomem(store->ctx) : 0;
}

static void tell_trouble(struct ks_item *item, const char *trouble)
{
	ks_auto_mem char *named = ks_item_named(item);

	item->flags |= KS_UNDECODED;
	ks_set_problem(item->set, KS_EDAMAGED, "it is kept as it is when the store is written",
		       "%s could not be understood: %s", named ? named : "a record", trouble);
}

/* ---- certificates ----------------------------------------------------------------------------------------------------------- */

struct certificate {
	struct ks_bytes whole, type, der;
};

static bool certificate_next(struct certificate *out, struct store *store)
{
	struct ks_bytes start = store->rest;

	out->type = ks_bytes_of("X.509");
	if (store->layout->version > 1 && !ks_jks_sized(&out->type, &store->rest, 2))
		return false;
	if (!ks_jks_sized(&out->der, &store->rest, 4))
		return false;
	out->whole = KS_BYTES(start.data, start.size - store->rest.size);
	return true;
}

static bool is_x509(struct ks_bytes type)
{
	return ks_bytes_are(type, "X.509") || ks_bytes_are(type, "X509");
}

/* A certificate that is none, or of a type of its own, is an opaque item. */
static int certificate_add(struct ks_item **out, struct store *store, const struct certificate *found,
			   const struct ks_jks_head *head)
{
	bool known = is_x509(found->type), shaped = known && ks_certificate_shaped(found->der);
	int rc = item_new(out, store, shaped ? KS_CERTIFICATE : KS_OPAQUE, head);

	if (rc < 0)
		return rc;
	(*out)->der = found->der;
	(*out)->raw = found->whole;
	if (shaped)
		return 0;
	(*out)->about = known ? "certificate"
			      : ks_set_text(store->into, "certificate of type %.*s",
					    (int)(found->type.size < 64 ? found->type.size : 64), found->type.data);
	if (known)
		tell_trouble(*out, "its bytes are not a certificate");
	return 0;
}

static int trusted_read(struct store *store, const struct ks_jks_head *head, struct ks_item **first)
{
	struct certificate found;
	int rc;

	if (!certificate_next(&found, store))
		return record_damaged(store);
	rc = certificate_add(first, store, &found, head);
	if (rc < 0)
		return rc;
	(*first)->attributes = found.whole;
	if ((*first)->kind == KS_CERTIFICATE)
		(*first)->trust.trusted = KS_FOR_ANY;
	return 0;
}

/* ---- keys ------------------------------------------------------------------------------------------------------------------- */

/* The key's own certificate comes first, and tells what kind of key it is. */
static int chain_read(struct store *store, struct ks_item *key, uint64_t count)
{
	struct ks_certificate_facts facts;
	struct certificate found;
	struct ks_item *item = NULL;
	int rc = 0;

	for (uint64_t i = 0; rc == 0 && i < count; i++) {
		if (!certificate_next(&found, store))
			return record_damaged(store);
		rc = certificate_add(&item, store, &found, NULL);
		if (rc < 0 || i > 0 || item->kind != KS_CERTIFICATE)
			continue;
		item->label = key->label;
		if (ks_certificate_facts(&facts, item->der) == 0) {
			key->spki = facts.spki;
			key->key = facts.key;
		}
	}
	return rc;
}

static int skip_chain(struct store *store, uint64_t count)
{
	struct certificate found;

	for (uint64_t i = 0; i < count; i++) {
		if (!certificate_next(&found, store))
			return record_damaged(store);
	}
	return 0;
}

static int key_read(struct store *store, const struct ks_jks_head *head, struct ks_item **first)
{
	struct ks_bytes sealed, chain;
	bool shaped;
	uint64_t count;
	int rc;

	if (!ks_jks_sized(&sealed, &store->rest, 4))
		return record_damaged(store);
	chain = store->rest;
	if (!ks_jks_number(&count, &store->rest, 4))
		return record_damaged(store);
	shaped = ks_sealed_key_shaped(sealed);
	rc = item_new(first, store, shaped ? KS_PRIVATE_KEY : KS_OPAQUE, head);
	if (rc < 0)
		return rc;
	(*first)->der = sealed;
	if (shaped) {
		(*first)->flags = KS_SEALED;
		(*first)->from = &ks_jks_keys;
		rc = chain_read(store, *first, count);
	} else {
		(*first)->about = "private key";
		tell_trouble(*first, "its bytes are not a sealed key");
		rc = skip_chain(store, count);
	}
	(*first)->attributes = KS_BYTES(chain.data, chain.size - store->rest.size);
	return rc;
}

static int secret_read(struct store *store, const struct ks_jks_head *head, struct ks_item **first)
{
	struct ks_jceks_sealed sealed;
	struct ks_java_object object;
	int rc = ks_java_object_next(&object, &store->rest);

	if (rc == KS_ELIMIT)
		return ks_fail(store->ctx, KS_ELIMIT,
			       "record %lu of the store has Java objects nested more than %d deep, or more than %d",
			       store->record, KS_JAVA_DEPTH, KS_JAVA_PIECES);
	if (rc < 0)
		return rc == KS_ENOMEM ? ks_nomem(store->ctx) : record_damaged(store);
	rc = item_new(first, store, KS_SECRET_KEY, head);
	if (rc < 0)
		return rc;
	(*first)->der = object.whole;
	(*first)->from = &ks_jks_keys;
	if (ks_jceks_sealed_read(&sealed, object.whole)) {
		(*first)->flags = KS_SEALED;
		return 0;
	}
	(*first)->about =
		ks_set_text(store->into, "Java object of class %.*s",
			    (int)(object.class_name.size < 200 ? object.class_name.size : 200), object.class_name.data);
	return (*first)->about ? 0 : ks_nomem(store->ctx);
}

/* ---- records ---------------------------------------------------------------------------------------------------------------- */

static int record_read(struct store *store)
{
	struct ks_bytes start = store->rest;
	struct ks_item *first = NULL;
	struct ks_jks_head head;
	int rc;

	if (!ks_jks_head_read(&head, &store->rest) || (head.tag == KS_JKS_SECRET && !store->layout->jceks))
		return record_damaged(store);
	if (head.tag == KS_JKS_KEY)
		rc = key_read(store, &head, &first);
	else if (head.tag == KS_JKS_TRUSTED)
		rc = trusted_read(store, &head, &first);
	else
		rc = secret_read(store, &head, &first);
	if (rc == 0)
		first->raw = KS_BYTES(start.data, start.size - store->rest.size);
	return rc;
}

static int records_read(struct store *store)
{
	uint64_t version, count;
	int rc = 0;

	ks_jks_number(&version, &store->rest, 4);
	ks_jks_number(&count, &store->rest, 4);
	if (version < 1 || version > 2)
		return ks_fail(store->ctx, KS_EDAMAGED, "the store says that it is of version %llu; only 1 and 2 exist",
			       (unsigned long long)version);
	store->layout->version = (uint32_t)version;
	for (uint64_t i = 0; rc == 0 && i < count; i++) {
		store->record++;
		rc = record_read(store);
	}
	return rc;
}

/* ---- the digest ------------------------------------------------------------------------------------------------------------- */

static bool opens_key(struct store *store, const struct ks_secret *secret)
{
	unsigned tried = 0;
	bool opened = false;

	for (size_t i = 0; !opened && tried < TRIED_KEYS && i < ks_set_count(store->into); i++) {
		struct ks_item *item = ks_set_at(store->into, i);
		ks_auto(buffer) clear = NULL;

		if (item->kind != KS_PRIVATE_KEY && item->kind != KS_SECRET_KEY)
			continue;
		tried++;
		opened = ks_jks_open_with(&clear, item, store->ctx, secret) == 0;
	}
	ks_forgive(store->ctx);
	return opened;
}

static int judge(struct store *store, const struct ks_secret *secret)
{
	if (opens_key(store, secret))
		return ks_hint(store->ctx,
			       ks_fail(store->ctx, KS_EALTERED,
				       "the file was changed after it was written: its password is right, but its "
				       "digest does not fit"),
			       "take the store from a backup");
	return ks_hint(store->ctx, ks_fail(store->ctx, KS_EPASSWORD, "wrong password, or the file was changed"),
		       "try the password again; if it is right, take the file from a backup");
}

/* `content`: all before the digest. */
static int digest_check(struct store *store, struct ks_bytes content, struct ks_bytes digest,
			const struct ks_secret *secret)
{
	unsigned char computed[KS_JKS_DIGEST];
	unsigned ways = 1;
	int rc;

	for (size_t i = 0; i < ks_secret_size(secret); i++) {
		if (ks_secret_bytes(secret)[i] & 0x80)
			ways = 2;
	}
	for (unsigned way = 0; way < ways; way++) {
		rc = ks_jks_digest(computed, store->ctx, content, secret, way > 0);
		if (rc < 0)
			return rc;
		store->layout->latin1 = way > 0;
		if (CRYPTO_memcmp(computed, digest.data, KS_JKS_DIGEST) == 0)
			return 0;
	}
	store->layout->latin1 = false;
	return judge(store, secret);
}

/* ---- the whole -------------------------------------------------------------------------------------------------------------- */

static void protection_tell(struct ks_facts *facts, const struct ks_set *set)
{
	struct ks_jceks_sealed sealed;

	for (size_t i = 0; i < ks_set_count(set) && !facts->cipher; i++) {
		const struct ks_item *item = ks_set_at(set, i);

		if (item->kind == KS_PRIVATE_KEY)
			facts->cipher = ks_jks_key_protector(&facts->kdf, &facts->kdf_iterations, item->der);
		else if (item->kind == KS_SECRET_KEY && ks_jceks_sealed_read(&sealed, item->der))
			facts->cipher = ks_jceks_protector(&facts->kdf, &facts->kdf_iterations, sealed.parameters);
	}
}

static void facts_tell(struct store *store, bool checked)
{
	struct ks_facts *facts = ks_set_facts(store->into);

	facts->format = store->layout->jceks ? "jceks" : "jks";
	facts->layout = store->layout;
	facts->integrity = checked ? KS_INTEGRITY_VERIFIED : KS_INTEGRITY_UNCHECKED;
	facts->mac = "SHA-1 over password and content";
	facts->mac_iterations = 1;
	facts->weak = true;
	facts->advice = "keystow copy puts it into a p12: store, which protects keys better, and which Java reads";
	protection_tell(facts, store->into);
}

static int whole_read(struct store *store, struct ks_bytes file, const struct ks_secret *secret)
{
	struct ks_bytes digest;
	int rc;

	if (file.size < HEADER + KS_JKS_DIGEST)
		return damaged(store->ctx, "the store");
	store->rest = KS_BYTES(file.data + 4, file.size - 4);
	rc = records_read(store);
	if (rc < 0)
		return rc;
	if (!ks_jks_take(&digest, &store->rest, KS_JKS_DIGEST))
		return damaged(store->ctx, "the store");
	if (store->rest.size)
		ks_set_problem(store->into, KS_EDAMAGED,
			       "Java does not look at them, and they go when the store is written",
			       "%zu bytes follow the end of the store", store->rest.size);
	return secret ? digest_check(store, KS_BYTES(file.data, (size_t)(digest.data - file.data)), digest, secret) : 0;
}

int ks_jks_decode(struct ks_ctx *ctx, struct ks_set *into, struct ks_bytes file, struct ks_secret *secret, bool jceks)
{
	const struct ks_codec *codec = jceks ? &ks_codec_jceks : &ks_codec_jks;
	struct store store = { .ctx = ctx, .into = into, .layout = ks_set_room(into, sizeof(struct ks_jks_layout)) };
	int rc;

	if (!store.layout)
		return ks_nomem(ctx);
	if (!codec->probe(file))
		return ks_hint(ctx,
			       ks_fail(ctx, KS_EFORMAT,
				       file.size ? "this is no Java key store of that kind" : "the file is empty"),
			       file.size ? "keystow list with the bare path tells what it is"
					 : "make or fetch the file again; keystow new makes a new store");
	store.layout->jceks = jceks;
	ks_set_facts(into)->layout = store.layout;
	rc = whole_read(&store, file, secret);
	if (rc < 0)
		return rc;
	facts_tell(&store, secret != NULL);
	if (secret)
		ks_set_keep_secret(into, secret);
	return 0;
}
