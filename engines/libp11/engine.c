/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens through libp11: a second way to the same keys, chosen with --engine libp11, and the oracle that ours is held against.
 *
 * Our own layer finds the token, keeps the PIN rules and says what is on it; libp11 enumerates and signs. Where the two do not see the
 * same private keys the store is refused, because libp11 0.4.12 loses all keys over one of a type it does not know.
 */
#include "peer.h"

#include "engine.h"
#include "pkcs11/object.h"

#include <openssl/x509.h>

#include <string.h>

struct libp11_store {
	struct ks_ctx *ctx;
	void *inner; /* the state of ks_engine_pkcs11 */
	struct ks_p11_token *token; /* NULL while nothing is known to be on it */
};

/* ---- what libp11 lists ---- */

struct listing {
	PKCS11_KEY *keys;
	PKCS11_CERT *certificates;
	unsigned count;
};

/* libp11's own arrays, which the next listing may move. */
static int list_things(struct listing *out, struct ks_p11_token *token, enum ks_kind kind)
{
	struct listing list = { 0 };
	PKCS11_TOKEN *peer = NULL;
	int rc = ks_libp11_token(&peer, token);

	if (rc < 0)
		return rc;
	if (kind == KS_PRIVATE_KEY)
		rc = KS_LIBP11_CALL(token, KS_DEADLINE_LOOK, enumerate_keys, peer, &list.keys, &list.count);
	else if (kind == KS_PUBLIC_KEY)
		rc = KS_LIBP11_CALL(token, KS_DEADLINE_LOOK, enumerate_public_keys, peer, &list.keys, &list.count);
	else
		rc = KS_LIBP11_CALL(token, KS_DEADLINE_LOOK, enumerate_certs, peer, &list.certificates, &list.count);
	if (rc != 0)
		return ks_fail_openssl(token->ctx, KS_ETOKEN, "libp11 cannot list what is on token %s", token->shown);
	*out = list;
	return 0;
}

static bool label_is(const char *label, struct ks_bytes wanted)
{
	return ks_bytes_equal(ks_bytes_of(label ? label : ""), wanted);
}

/* ---- keys ---- */

/* An item points back to its token (in item->raw); what it is there is looked up when it is needed. */
static struct ks_p11_token *token_of(const struct ks_item *item);

static EVP_PKEY *key_handle(struct ks_p11_token *token, enum ks_kind kind, PKCS11_KEY *key)
{
	return kind == KS_PRIVATE_KEY ? KS_LIBP11_CALL(token, KS_DEADLINE_LOOK, get_private_key, key)
				      : KS_LIBP11_CALL(token, KS_DEADLINE_LOOK, get_public_key, key);
}

/* The key with the item's id and label. */
static int find_key(PKCS11_KEY **out, const struct ks_item *item)
{
	struct ks_p11_token *token = token_of(item);
	struct listing list;
	int rc = list_things(&list, token, item->kind);

	for (unsigned i = 0; rc == 0 && i < list.count; i++) {
		if (!ks_bytes_equal(KS_BYTES(list.keys[i].id, list.keys[i].id_len), item->id) ||
		    !label_is(list.keys[i].label, item->label))
			continue;
		*out = list.keys + i;
		return 0;
	}
	return rc < 0 ? rc : ks_fail(token->ctx, KS_ECHANGED, "libp11 no longer finds the key on token %s", token->shown);
}

static int item_pkey(EVP_PKEY **out, struct ks_item *item, struct ks_ctx *ctx)
{
	const struct ks_item *original = item->origin ? item->origin : item;
	PKCS11_KEY *key = NULL;
	EVP_PKEY *found;
	int rc = find_key(&key, original);

	if (rc < 0)
		return rc;
	found = key_handle(token_of(original), original->kind, key);
	if (!found)
		return ks_fail_openssl(ctx, KS_ETOKEN, "libp11 gives no key that can be used from token %s",
				       token_of(original)->shown);
	*out = found;
	return 0;
}

static const struct ks_item_from from_libp11 = { .pkey = item_pkey };

static struct ks_p11_token *token_of(const struct ks_item *item)
{
	const struct ks_item *original = item->origin ? item->origin : item;
	struct ks_p11_token *token = NULL;

	if (original->from == &from_libp11 && original->raw.size == sizeof(token))
		memcpy(&token, original->raw.data, sizeof(token));
	return token;
}

/* ---- what is there, as items ---- */

static int item_add(struct ks_item **out, struct ks_set *into, struct ks_p11_token *token, enum ks_kind kind, const char *label,
		    struct ks_bytes id)
{
	struct ks_item *item = ks_set_add(into, kind);

	if (!item || !(item->raw = ks_set_bytes(into, &token, sizeof(token))).data)
		return ks_nomem(token->ctx);
	item->from = &from_libp11;
	if (label && label[0])
		item->label = ks_set_bytes(into, label, strlen(label));
	if (id.size)
		item->id = ks_set_bytes(into, id.data, id.size);
	*out = item;
	return 0;
}

/* DER that OpenSSL made, kept by the set. */
static int keep_der(struct ks_bytes *out, struct ks_set *into, unsigned char *der, int size)
{
	*out = size > 0 ? ks_set_bytes(into, der, (size_t)size) : KS_NONE;
	OPENSSL_free(der);
	return out->data ? 0 : ks_fail_openssl(ks_set_ctx(into), KS_EDAMAGED, "libp11 gives something that cannot be encoded");
}

static int key_add(struct ks_set *into, struct ks_p11_token *token, enum ks_kind kind, PKCS11_KEY *key)
{
	ks_auto_ssl(EVP_PKEY) handle = key_handle(token, kind, key);
	struct ks_item *item = NULL;
	unsigned char *der = NULL;
	int rc = item_add(&item, into, token, kind, key->label, KS_BYTES(key->id, key->id_len));

	if (rc == 0)
		rc = keep_der(&item->spki, into, der, handle ? i2d_PUBKEY(handle, &der) : 0);
	if (rc < 0)
		return rc;
	item->flags = kind == KS_PRIVATE_KEY ? KS_ON_DEVICE | KS_ORIGIN_UNKNOWN : 0;
	item->key = ks_keyspec_of_spki(item->spki);
	if (kind == KS_PUBLIC_KEY)
		item->der = item->spki;
	return 0;
}

static int certificate_add(struct ks_set *into, struct ks_p11_token *token, const PKCS11_CERT *certificate)
{
	struct ks_item *item = NULL;
	unsigned char *der = NULL;
	int rc = item_add(&item, into, token, KS_CERTIFICATE, certificate->label, KS_BYTES(certificate->id, certificate->id_len));

	return rc < 0 ? rc : keep_der(&item->der, into, der, i2d_X509(certificate->x509, &der));
}

static int things_add(size_t *count, struct ks_set *into, struct ks_p11_token *token, enum ks_kind kind)
{
	struct listing list;
	int rc = list_things(&list, token, kind);

	for (unsigned i = 0; rc == 0 && i < list.count; i++)
		rc = list.keys ? key_add(into, token, kind, &list.keys[i]) : certificate_add(into, token, &list.certificates[i]);
	if (rc == 0)
		*count = list.count;
	return rc;
}

/* ---- the store ---- */

/* The token, and how many private keys our own layer sees; refuses a key that libp11 would stumble over. */
static int look_first(struct libp11_store *store, size_t *private_keys, const struct ks_set *seen)
{
	struct ks_p11_ref ref;
	char title[32];

	*private_keys = 0;
	for (size_t i = 0; i < ks_set_count(seen); i++) {
		const struct ks_item *item = ks_set_at(seen, i);

		if (!ks_p11_ref_of(&ref, item))
			continue;
		store->token = ref.token;
		if (item->kind != KS_PRIVATE_KEY)
			continue;
		*private_keys += 1;
		if (item->key.type == KS_KEY_RSA || item->key.type == KS_KEY_EC)
			continue;
		ks_keyspec_title(title, &item->key);
		return ks_hint(store->ctx,
			       ks_fail(store->ctx, KS_EUNABLE, "libp11 would see no key at all on token %s, because one of them is %s",
				       ref.token->shown, title),
			       "leave --engine libp11 out");
	}
	return 0;
}

static int libp11_open(void *state, struct ks_ctx *ctx, const struct ks_engine *self, const struct ks_where *where,
		       unsigned mode)
{
	struct libp11_store *store = state;

	(void)self;
	store->ctx = ctx;
	store->inner = ks_array(1, ks_engine_pkcs11.state_size);
	if (!store->inner)
		return ks_nomem(ctx);
	return ks_engine_pkcs11.open(store->inner, ctx, &ks_engine_pkcs11, where, mode);
}

static int libp11_load(void *state, struct ks_set *into, const struct ks_only *only)
{
	struct libp11_store *store = state;
	ks_auto(set) seen = NULL;
	size_t ours = 0, theirs = 0, others = 0;
	int rc = ks_set_new(&seen, store->ctx);

	ks_set_facts(into)->format = "pkcs11";
	if (rc == 0)
		rc = ks_engine_pkcs11.load(store->inner, seen, only);
	if (rc == 0)
		rc = look_first(store, &ours, seen);
	if (rc < 0 || !store->token)
		return rc;
	rc = things_add(&others, into, store->token, KS_CERTIFICATE);
	if (rc == 0)
		rc = things_add(&theirs, into, store->token, KS_PRIVATE_KEY);
	if (rc == 0)
		rc = things_add(&others, into, store->token, KS_PUBLIC_KEY);
	if (rc == 0 && ours != theirs)
		rc = ks_hint(store->ctx,
			     ks_fail(store->ctx, KS_ELIES, "libp11 sees %zu private keys on token %s where there are %zu", theirs,
				     store->token->shown, ours),
			     "leave --engine libp11 out");
	return rc;
}

/* ---- changes ---- */

static int unable(struct ks_ctx *ctx, const char *what)
{
	return ks_hint(ctx, ks_fail(ctx, KS_EUNABLE, "libp11 cannot %s", what), "leave --engine libp11 out: keystow's own engine can");
}

/*
 * PKCS11_generate_key of libp11 0.4.12 ignores which algorithm it is asked for: EC with 2048 bits silently makes RSA. Its template lets
 * every key decrypt and unwrap, and leaves it to the token whether it can be taken out. So no key is made that way, RSA neither.
 */
static int libp11_makes(void *state, const struct ks_generate *wish)
{
	const struct libp11_store *store = state;
	char title[32];
	int rc;

	ks_keyspec_title(title, &wish->spec);
	if (wish->spec.type == KS_KEY_RSA)
		rc = ks_fail(store->ctx, KS_EUNABLE,
			     "no %s key is made through libp11: it would let the key decrypt and unwrap, whatever it is for, and "
			     "does not forbid to take it out",
			     title);
	else
		rc = ks_fail(store->ctx, KS_EUNABLE,
			     "no %s key is made through libp11: it makes RSA keys, whatever it is asked for", title);
	return ks_hint(store->ctx, rc, "leave --engine libp11 out to make the key; with it the key can be used then");
}

static int libp11_generate(void *state, struct ks_set *into, const struct ks_generate *wish)
{
	(void)into;
	return libp11_makes(state, wish);
}

static int libp11_like(void *state, struct ks_generate *out, const struct ks_item *key)
{
	const struct libp11_store *store = state;

	(void)out;
	(void)key;
	return unable(store->ctx, "tell what a key is for and how it is guarded");
}

static int check_change(struct ks_ctx *ctx, const struct ks_change *change)
{
	switch (change->what) {
	case KS_KEEP:
		return 0;
	case KS_ADD:
		return change->item->kind == KS_CERTIFICATE ? 0 : unable(ctx, "put anything but certificates on a token");
	case KS_REMOVE:
		return token_of(change->have) ? 0 : unable(ctx, "remove what it does not list");
	default:
		return unable(ctx, "rename or replace what is on a token");
	}
}

static int put_certificate(struct ks_p11_token *token, const struct ks_change *change)
{
	struct ks_ctx *ctx = token->ctx;
	struct ks_bytes label = change->naming.label.data ? change->naming.label : change->item->label;
	struct ks_bytes id = change->naming.id.data ? change->naming.id : change->item->id;
	ks_auto_mem char *text = strndup(label.data ? (const char *)label.data : "", label.size);
	X509 *certificate = ks_item_x509(change->item, ctx);
	PKCS11_CERT *stored = NULL;
	PKCS11_TOKEN *peer = NULL;
	int rc;

	if (!certificate)
		return ks_ctx_status(ctx);
	if (!text)
		return ks_nomem(ctx);
	rc = ks_libp11_token(&peer, token);
	if (rc < 0)
		return rc;
	if (KS_LIBP11_CALL(token, KS_DEADLINE_WRITE, store_certificate, peer, certificate, text, (unsigned char *)id.data, id.size,
			   &stored) != 0)
		return ks_fail_openssl(ctx, KS_ETOKEN, "libp11 cannot store certificate \"%s\" on token %s", text, token->shown);
	return 0;
}

static int remove_key(struct ks_p11_token *token, const struct ks_item *item)
{
	PKCS11_KEY *key = NULL;
	int rc = find_key(&key, item);

	if (rc < 0)
		return rc;
	rc = KS_LIBP11_CALL(token, KS_DEADLINE_WRITE, remove_key, key);
	return rc == 0 ? 0 : ks_fail_openssl(token->ctx, KS_ETOKEN, "libp11 cannot remove a key of token %s", token->shown);
}

static bool is_certificate(const PKCS11_CERT *certificate, const struct ks_item *item)
{
	unsigned char *der = NULL;
	int size = i2d_X509(certificate->x509, &der);
	bool same = size > 0 && ks_bytes_equal(KS_BYTES(der, (size_t)size), item->der);

	OPENSSL_free(der);
	return same && label_is(certificate->label, item->label);
}

static int remove_certificate(struct ks_p11_token *token, const struct ks_item *item)
{
	struct listing list;
	int rc = list_things(&list, token, KS_CERTIFICATE);

	for (unsigned i = 0; rc == 0 && i < list.count; i++) {
		if (!is_certificate(&list.certificates[i], item))
			continue;
		if (KS_LIBP11_CALL(token, KS_DEADLINE_WRITE, remove_certificate, &list.certificates[i]) == 0)
			return 0;
		return ks_fail_openssl(token->ctx, KS_ETOKEN, "libp11 cannot remove a certificate of token %s", token->shown);
	}
	return rc < 0 ? rc
		      : ks_fail(token->ctx, KS_ECHANGED, "libp11 no longer finds the certificate on token %s", token->shown);
}

static int apply_one(struct ks_p11_token *token, struct ks_change *change)
{
	int rc = 0;

	if (change->what == KS_ADD)
		rc = put_certificate(token, change);
	else if (change->what == KS_REMOVE && change->have->kind == KS_CERTIFICATE)
		rc = remove_certificate(token, change->have);
	else if (change->what == KS_REMOVE)
		rc = remove_key(token, change->have);
	change->done = rc == 0;
	return rc;
}

/* Certificates are put before anything is removed, so that a failure in the middle costs nothing. */
static int libp11_apply(void *state, struct ks_plan *plan, const struct ks_commit *how)
{
	struct libp11_store *store = state;
	int rc = 0;

	(void)how;
	for (size_t i = 0; rc == 0 && i < plan->count; i++)
		rc = check_change(store->ctx, &plan->changes[i]);
	if (rc == 0 && !store->token)
		rc = unable(store->ctx, "be trusted with an empty token");
	for (int removing = 0; removing < 2; removing++) {
		for (size_t i = 0; rc == 0 && i < plan->count; i++) {
			if ((plan->changes[i].what == KS_REMOVE) == (removing == 1))
				rc = apply_one(store->token, &plan->changes[i]);
		}
	}
	return rc;
}

static void libp11_close(void *state)
{
	struct libp11_store *store = state;

	if (store->inner)
		ks_engine_pkcs11.close(store->inner);
	free(store->inner);
}

const struct ks_engine ks_engine_libp11 = {
	.name = "libp11",
	.title = "PKCS#11 token, through libp11",
	.endings = "",
	.can = KS_CAN_KEYS | KS_CAN_CERTIFICATES | KS_CAN_LABELS | KS_CAN_IDS | KS_CAN_WRITE | KS_CAN_GENERATE |
	       KS_CAN_MANY,
	.state_size = sizeof(struct libp11_store),
	.open = libp11_open,
	.load = libp11_load,
	.generate = libp11_generate,
	.makes = libp11_makes,
	.like = libp11_like,
	.apply = libp11_apply,
	.close = libp11_close,
};
