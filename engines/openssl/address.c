/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading an address.
 *
 * A key that is in a token is given by reference, because nothing else of it can be had. A key of a file is given as PKCS#8, so that it
 * becomes an ordinary key of the default provider, as if OpenSSL had read the file itself.
 */
#include "address.h"

#include "ask.h"
#include "told.h"

#include <openssl/core_names.h>
#include <openssl/core_object.h>
#include <openssl/crypto.h>
#include <openssl/params.h>
#include <openssl/store.h>
#include <openssl/x509.h>

#include <stdlib.h>
#include <string.h>

#define PREFIX "keystow:"

struct reading {
	struct objects *out;
	struct instance *instance;
	struct ks_ctx *ctx;
	bool privates, publics, certificates, crls;
};

void objects_clear(struct objects *objects)
{
	for (size_t i = 0; i < objects->count; i++) {
		OPENSSL_clear_free(objects->list[i].der, objects->list[i].size);
		key_free(objects->list[i].key);
		free(objects->list[i].label);
		free(objects->list[i].why);
	}
	free(objects->list);
	*objects = (struct objects){ 0 };
}

/* A new object, all zero but type and label; NULL without memory. */
static struct object *add(struct reading *reading, int type, struct ks_bytes label)
{
	struct objects *out = reading->out;
	struct object *list;

	if (out->count == out->room) {
		list = reallocarray(out->list, out->room * 2 + 8, sizeof(*list));
		if (!list)
			return NULL;
		out->list = list;
		out->room = out->room * 2 + 8;
	}
	out->list[out->count] = (struct object){ .type = type };
	if (label.data)
		out->list[out->count].label = strndup((const char *)label.data, label.size);
	return &out->list[out->count++];
}

/* ---- keys ---- */

static bool put_pkcs8(struct object *object, const EVP_PKEY *pkey)
{
	PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(pkey);
	int size = info ? i2d_PKCS8_PRIV_KEY_INFO(info, &object->der) : -1;

	PKCS8_PRIV_KEY_INFO_free(info);
	object->size = size > 0 ? (size_t)size : 0;
	object->structure = "PrivateKeyInfo";
	return size > 0;
}

static bool put_public(struct object *object, const EVP_PKEY *pkey)
{
	int size = i2d_PUBKEY(pkey, &object->der);

	object->size = size > 0 ? (size_t)size : 0;
	object->structure = "SubjectPublicKeyInfo";
	return size > 0;
}

static bool put_reference(struct reading *reading, struct object *object, EVP_PKEY *pkey)
{
	const char *type = key_type(pkey);

	object->key = type && EVP_PKEY_up_ref(pkey) ? key_new(reading->instance, type, pkey) : NULL;
	return object->key;
}

/* What cannot be given is told when its turn comes, so that one bad key does not hide the others. */
static bool put_failure(struct object *object, int status, const char *text)
{
	object->type = OSSL_OBJECT_UNKNOWN;
	object->status = status;
	object->why = strdup(text);
	return object->why;
}

static bool read_key(struct reading *reading, struct ks_item *item, bool private_key)
{
	struct object *object = add(reading, OSSL_OBJECT_PKEY, ks_item_label(item));
	EVP_PKEY *pkey = NULL;
	bool ok;
	int rc;

	if (!object)
		return false;
	rc = ks_item_pkey(&pkey, item, reading->ctx);
	if (rc < 0)
		return put_failure(object, rc, ks_ctx_text(reading->ctx));
	object->private_key = private_key;
	ok = !private_key	 ? put_public(object, pkey) :
	     key_stays(pkey) ? put_reference(reading, object, pkey) :
				   put_pkcs8(object, pkey);
	EVP_PKEY_free(pkey);
	return ok || put_failure(object, KS_EALGORITHM, "OpenSSL has no use for a key of this type");
}

/* ---- what else there is ---- */

static bool read_der(struct reading *reading, const struct ks_item *item, int type)
{
	struct ks_bytes der = ks_item_der(item);
	struct object *object = add(reading, type, ks_item_label(item));

	if (!object)
		return false;
	object->der = OPENSSL_memdup(der.data, der.size);
	object->size = der.size;
	return object->der;
}

static bool read_item(struct reading *reading, struct ks_item *item)
{
	switch (ks_item_kind(item)) {
	case KS_PRIVATE_KEY:
		if (reading->privates)
			return read_key(reading, item, true);
		return true;
	case KS_PUBLIC_KEY:
		return !reading->publics || read_key(reading, item, false);
	case KS_CERTIFICATE:
		return !reading->certificates || read_der(reading, item, OSSL_OBJECT_CERT);
	case KS_CRL:
		return !reading->crls || read_der(reading, item, OSSL_OBJECT_CRL);
	default:
		return true; /* OpenSSL's stores know no others */
	}
}

static bool read_entry(struct reading *reading, const struct ks_entry *entry)
{
	struct ks_item *key = ks_entry_key(entry), *certificate = ks_entry_certificate(entry), *above;
	bool ok = true;

	if (key)
		ok = read_item(reading, key);
	if (ok && key && ks_item_kind(key) == KS_PRIVATE_KEY && reading->publics && !reading->privates)
		ok = read_key(reading, key, false);
	if (ok && certificate)
		ok = read_item(reading, certificate);
	for (size_t n = 0; ok && (above = ks_entry_chain(entry, n)) != NULL; n++)
		ok = read_item(reading, above);
	return ok;
}

static bool read_all(struct reading *reading, const struct ks_store *store)
{
	const struct ks_set *items = ks_store_items(store);
	struct ks_item *item;

	for (size_t n = 0; (item = ks_set_at(items, n)) != NULL; n++) {
		if (!read_item(reading, item))
			return false;
	}
	return true;
}

/* ---- what is wanted ---- */

/* The value of an attribute of a pkcs11: address, `name` with its =; NULL = it has none. */
static const char *attribute(const char *text, const char *name)
{
	const char *at = text;

	if (strncmp(text, "pkcs11:", 7) != 0)
		return NULL;
	while ((at = strstr(at + 1, name)) != NULL) {
		if (at[-1] == ':' || at[-1] == ';')
			return at + strlen(name);
	}
	return NULL;
}

static bool is(const char *type, const char *word)
{
	size_t length = strlen(word);

	return !type || (strncmp(type, word, length) == 0 && strchr(";?#", type[length]));
}

static void want(struct reading *reading, const char *text, int expected)
{
	const char *type = attribute(text, "type=");

	reading->privates = (expected == 0 || expected == OSSL_STORE_INFO_PKEY) && is(type, "private");
	reading->publics = (expected == 0 || expected == OSSL_STORE_INFO_PUBKEY) && (is(type, "public") || expected);
	reading->certificates = (expected == 0 || expected == OSSL_STORE_INFO_CERT) && is(type, "cert");
	reading->crls = expected == 0 || expected == OSSL_STORE_INFO_CRL;
}

/* Does the address name one entry? Every canonical address says it in one of these ways. */
static bool names_entry(const char *text)
{
	return strchr(text, '#') || attribute(text, "object=") || attribute(text, "id=");
}

static bool read_store(struct reading *reading, const struct ks_where *where)
{
	const char *text = ks_where_text(where);
	const struct ks_entry *entry = NULL;
	struct ks_store *store = NULL;
	bool ok;
	int rc;

	rc = ks_store_open(&store, reading->ctx, where, reading->privates ? KS_READ | KS_LOGIN : KS_READ);
	if (strncmp(text, "pkcs11:", 7) == 0)
		instance_reached();
	if (rc == 0 && names_entry(text))
		rc = ks_store_entry(&entry, store, where);
	if (rc < 0) {
		told(reading->instance, reading->ctx);
		ks_store_close(store);
		return false;
	}
	ok = entry ? read_entry(reading, entry) : read_all(reading, store);
	ks_store_close(store);
	return ok;
}

static bool read_text(struct reading *reading, const char *text, int expected)
{
	struct ks_where *where = NULL;
	bool ok;

	if (ks_where_parse(&where, reading->ctx, text) < 0) {
		told(reading->instance, reading->ctx);
		return false;
	}
	want(reading, ks_where_text(where), expected);
	ok = read_store(reading, where);
	ks_where_free(where);
	return ok;
}

bool address_read(struct objects *out, struct instance *instance, const char *text, int expected,
		  OSSL_PASSPHRASE_CALLBACK *callback, void *arg)
{
	struct reading reading = { .out = out, .instance = instance };
	bool ok;

	reading.ctx = instance_open(instance);
	if (!reading.ctx)
		return false;
	if (strncasecmp(text, PREFIX, strlen(PREFIX)) == 0)
		text += strlen(PREFIX);
	ask_through(callback, arg);
	ok = read_text(&reading, text, expected);
	ask_through(NULL, NULL);
	instance_close(instance);
	if (!ok)
		objects_clear(out);
	return ok;
}

/* ---- giving ---- */

bool object_give(struct object *object, OSSL_CALLBACK *callback, void *arg)
{
	OSSL_PARAM params[5], *param = params;

	*param++ = OSSL_PARAM_construct_int(OSSL_OBJECT_PARAM_TYPE, &object->type);
	if (object->key)
		*param++ = OSSL_PARAM_construct_utf8_string(OSSL_OBJECT_PARAM_DATA_TYPE, (char *)object->key->type, 0);
	if (object->structure)
		*param++ = OSSL_PARAM_construct_utf8_string(OSSL_OBJECT_PARAM_DATA_STRUCTURE, (char *)object->structure, 0);
	if (object->key)
		*param++ = OSSL_PARAM_construct_octet_string(OSSL_OBJECT_PARAM_REFERENCE, &object->key,
							     sizeof(object->key));
	else
		*param++ = OSSL_PARAM_construct_octet_string(OSSL_OBJECT_PARAM_DATA, object->der, object->size);
	*param = OSSL_PARAM_construct_end();
	return callback(params, arg);
}
