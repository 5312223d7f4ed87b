/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A CA that exists: opened by its folder; its key is opened, and its secret asked for, only at the first signature.
 */
#include "ca_inside.h"

#include "file/key.h"
#include "file/protect.h"
#include "ini.h"
#include "text.h"

struct conf {
	char *name, *key, *pin_source;
};

static const struct ks_ini_row conf_rows[] = {
	{ "ca", "name", offsetof(struct conf, name) },
	{ "ca", "key", offsetof(struct conf, key) },
	{ "ca", "pin-source", offsetof(struct conf, pin_source) },
	{ NULL, NULL, 0 },
};

static int no_ca(struct ks_ca *ca)
{
	return ks_hint(ca->ctx, ks_fail(ca->ctx, KS_ENOTFOUND, "there is no CA in %s", ca->shown),
		       "make one with keystow ca init %s --subject \"CN=...\"", ca->shown);
}

static int read_conf(struct ks_ca *ca, const char *pin_source)
{
	ks_auto_mem char *path = ks_ca_path(ca->dir, "ca.conf");
	ks_auto(buffer) text = NULL;
	struct conf conf = { 0 };
	struct ks_ini ini = { path, conf_rows, NULL };
	int rc;

	if (!path)
		return ks_nomem(ca->ctx);
	rc = ks_disk_read(&text, ca->ctx, path);
	if (rc == KS_ENOTFOUND)
		return no_ca(ca);
	if (rc == 0)
		rc = ks_ini_read(&conf, NULL, ca->ctx, &ini, ks_buffer_bytes(text));
	if (rc == 0 && (!conf.key || !conf.key[0]))
		rc = ks_fail(ca->ctx, KS_ECONFIG, "%s does not say where the CA's key is", path);
	ca->key = ks_take(conf.key);
	ca->pin_source = pin_source ? strdup(pin_source) : ks_take(conf.pin_source);
	free(conf.name);
	free(conf.pin_source);
	if (rc == 0 && pin_source && !ca->pin_source)
		return ks_nomem(ca->ctx);
	return rc;
}

static int read_certificate(struct ks_ca *ca)
{
	ks_auto_mem char *path = ks_ca_path(ca->dir, "ca.pem");
	ks_auto(buffer) der = NULL;
	bool second = false;
	int rc;

	if (!path)
		return ks_nomem(ca->ctx);
	rc = ks_ca_read_pem(&der, &second, ca->ctx, path, "CERTIFICATE", NULL);
	if (rc == 0)
		rc = ks_set_new(&ca->set, ca->ctx);
	if (rc < 0)
		return rc;
	ca->certificate = ks_set_add(ca->set, KS_CERTIFICATE);
	if (!ca->certificate)
		return ks_nomem(ca->ctx);
	ca->certificate->der = ks_buffer_bytes(der);
	rc = ks_set_own(ca->set, ks_take(der));
	if (rc < 0)
		return rc;
	if (ks_certificate_facts(&ca->facts, ca->certificate->der) < 0 || !ca->facts.is_ca)
		return ks_fail(ca->ctx, KS_EDAMAGED, "%s holds no certificate of a CA", path);
	return ks_while(ca->ctx, ks_spki_key(&ca->public_key, ca->ctx, ca->facts.spki), "%s", path);
}

/* What all its certificates say of their issuer. */
static int set_issuer(struct ks_ca *ca)
{
	struct ks_bytes id = ca->facts.subject_key_id;

	if (!id.data) {
		if (ks_spki_id(ca->key_id, ca->facts.spki) < 0)
			return ks_fail(ca->ctx, KS_EDAMAGED, "the CA's public key cannot be decoded");
		id = KS_BYTES(ca->key_id, sizeof(ca->key_id));
	}
	ca->issuer = (struct ks_issuer){ .name = ca->facts.subject, .key_id = id, .public_key = ca->public_key };
	return 0;
}

int ks_ca_open(struct ks_ca **out, struct ks_ctx *ctx, const char *dir, const char *pin_source)
{
	__attribute__((cleanup(ks_ca_freep))) struct ks_ca *ca = calloc(1, sizeof(*ca));
	ks_auto_mem char *ledger = ks_ca_path(dir, "ledger.db");
	int rc;

	if (!ca || !ledger)
		return ks_nomem(ctx);
	ca->ctx = ctx;
	ca->dir = strdup(dir);
	ca->shown = ks_text_show(ks_bytes_of(dir));
	if (!ca->dir || !ca->shown)
		return ks_nomem(ctx);
	rc = read_conf(ca, pin_source);
	if (rc == 0)
		rc = read_certificate(ca);
	if (rc == 0)
		rc = set_issuer(ca);
	if (rc == 0)
		rc = ks_ledger_open(&ca->ledger, ctx, ledger, false);
	if (rc < 0)
		return rc;
	*out = ks_take(ca);
	return 0;
}

void ks_ca_close(struct ks_ca *ca)
{
	if (!ca)
		return;
	EVP_PKEY_free(ca->private_key);
	EVP_PKEY_free(ca->public_key);
	ks_store_close(ca->key_store);
	ks_where_free(ca->key_where);
	ks_ledger_close(ca->ledger);
	ks_set_free(ca->set);
	free(ca->pin_source);
	free(ca->key);
	free(ca->shown);
	free(ca->dir);
	free(ca);
}

struct ks_item *ks_ca_certificate(const struct ks_ca *ca)
{
	return ca->certificate;
}

const char *ks_ca_dir(const struct ks_ca *ca)
{
	return ca->dir;
}

struct ks_ledger *ks_ca_ledger(const struct ks_ca *ca)
{
	return ca->ledger;
}

/* ---- the CA's key, at the first signature ---- */

int ks_ca_key_item(struct ks_item **out, struct ks_store *store, const struct ks_where *where)
{
	const struct ks_entry *entry = NULL;
	struct ks_item *only = NULL;
	int rc;

	if (ks_where_names_entry(where)) {
		rc = ks_store_entry(&entry, store, where);
		if (rc < 0)
			return rc;
		only = entry->key && entry->key->kind == KS_PRIVATE_KEY ? entry->key : NULL;
	} else {
		for (size_t i = 0; i < ks_set_count(store->items); i++) {
			struct ks_item *item = ks_set_at(store->items, i);

			if (item->kind != KS_PRIVATE_KEY)
				continue;
			if (only)
				return ks_hint(store->ctx,
					       ks_fail(store->ctx, KS_EAMBIGUOUS, "%s holds more than one private key",
						       where->text),
					       "say which one: %s#LABEL, or object= in a token's address", where->text);
			only = item;
		}
	}
	if (!only)
		return ks_fail(store->ctx, KS_ENOTFOUND, "%s holds no private key for the CA", where->text);
	*out = only;
	return 0;
}

static int unseal(struct ks_buffer **clear, struct ks_ca *ca, const char *path, struct ks_bytes sealed)
{
	struct ks_question question = {
		.ask = KS_ASK_PASSWORD, .store = path, .source = ca->pin_source, .tries_left = -1
	};
	ks_auto(secret) password = NULL;
	int rc = ks_secret_new(&password, ca->ctx);

	if (rc == 0)
		rc = ks_ask(ca->ctx, &question, password);
	if (rc == KS_ENOSECRET && !ca->pin_source)
		return ks_hint(ca->ctx,
			       ks_fail(ca->ctx, rc, "the CA's key %s is sealed, and nobody gives its password", path),
			       "name its source: --ca-pin-source file:PATH, or pin-source = file:PATH in %s/ca.conf",
			       ca->shown);
	if (rc == 0)
		rc = ks_sealed_key_open(clear, ca->ctx, sealed, password, NULL);
	return ks_while(ca->ctx, rc, "opening the CA's key %s", path);
}

static int open_own_key(struct ks_ca *ca)
{
	ks_auto_mem char *path = ks_ca_path(ca->dir, KS_CA_OWN_KEY);
	ks_auto(buffer) der = NULL;
	ks_auto(buffer) clear = NULL;
	bool sealed = false;
	int rc;

	if (!path)
		return ks_nomem(ca->ctx);
	rc = ks_ca_read_pem(&der, &sealed, ca->ctx, path, "PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
	if (rc == 0 && sealed)
		rc = unseal(&clear, ca, path, ks_buffer_bytes(der));
	return rc < 0 ? rc : ks_clear_key_pkey(&ca->private_key, ca->ctx, ks_buffer_bytes(sealed ? clear : der));
}

static int open_key_elsewhere(struct ks_ca *ca)
{
	struct ks_only only = { 0 };
	struct ks_item *item = NULL;
	int rc = ks_where_parse(&ca->key_where, ca->ctx, ca->key);

	if (rc < 0)
		return ks_while(ca->ctx, rc, "the key in %s/ca.conf", ca->shown);
	if (ca->pin_source) {
		free(ca->key_where->pin_source);
		ca->key_where->pin_source = strdup(ca->pin_source);
		if (!ca->key_where->pin_source)
			return ks_nomem(ca->ctx);
	}
	only.where = ca->key_where;
	rc = ks_store_open_only(&ca->key_store, ca->ctx, ca->key_where, KS_READ | KS_LOGIN, &only);
	if (rc == 0)
		rc = ks_ca_key_item(&item, ca->key_store, ca->key_where);
	if (rc == 0)
		rc = ks_item_pkey(&ca->private_key, item, ca->ctx);
	return ks_while(ca->ctx, rc, "opening the CA's key");
}

int ks_ca_open_key(struct ks_ca *ca)
{
	ks_auto(buffer) spki = NULL;
	int rc;

	if (ca->private_key)
		return 0;
	rc = strcmp(ca->key, KS_CA_OWN_KEY) == 0 ? open_own_key(ca) : open_key_elsewhere(ca);
	if (rc == 0)
		rc = ks_pkey_spki(&spki, ca->ctx, ca->private_key);
	if (rc == 0 && !ks_bytes_equal(ks_buffer_bytes(spki), ca->facts.spki))
		rc = ks_fail(ca->ctx, KS_EMISMATCH, "the key %s does not belong to the CA's certificate %s/ca.pem",
			     ca->key, ca->shown);
	if (rc == 0)
		rc = ks_signer_of(&ca->issuer.signer, ca->ctx, ca->private_key, ca->facts.spki);
	if (rc < 0)
		EVP_PKEY_free(ks_take(ca->private_key));
	return rc;
}
