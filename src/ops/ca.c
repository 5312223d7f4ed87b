/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A local CA, its folder, and signing.
 *
 * Every wish is checked before anything is written; then the intents are committed to the ledger, the certificates
 * are signed and their signatures verified, the rows are completed and committed, and only then they are given out.
 * So whatever happens in between, no certificate is outside that the ledger does not hold.
 */
#include "ca.h"

#include "certificate.h"
#include "der.h"
#include "disk.h"
#include "file/key.h"
#include "file/protect.h"
#include "folder.h"
#include "generate.h"
#include "ini.h"
#include "issue.h"
#include "lookup.h"
#include "text.h"

#include <openssl/pem.h>
#include <openssl/rand.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DAY 86400
#define CLOCK_SLACK 300 /* seconds that a certificate begins in the past, for verifiers whose clock is behind */
#define CA_DAYS 3650
#define LONGEST_KEY 65536
#define OWN_KEY "ca.key" /* inside the folder, as ca.conf names it */

struct ks_ca {
	struct ks_ctx *ctx;
	char *dir, *shown;
	char *key, *pin_source;
	struct ks_set *set;
	struct ks_item *certificate;
	struct ks_certificate_facts facts;
	unsigned char key_id[20];
	EVP_PKEY *public_key;
	struct ks_ledger *ledger;
	struct ks_where *key_where;
	struct ks_store *key_store;
	EVP_PKEY *private_key;
	struct ks_issuer issuer;
};

/* ---- the parts of a CA's folder ---- */

static char *inside(const char *dir, const char *name)
{
	char *path = NULL;

	return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

static int write_inside(struct ks_ctx *ctx, const char *dir, const char *name, struct ks_bytes content,
			bool private_material)
{
	ks_auto_mem char *path = inside(dir, name);

	return path ? ks_disk_write(ctx, path, content, private_material, false) : ks_nomem(ctx);
}

/* PEM of one thing; in locked memory when it is secret. */
static int write_pem(struct ks_ctx *ctx, const char *dir, const char *name, const char *kind, struct ks_bytes der,
		     bool secret)
{
	ks_auto_ssl(BIO) text = BIO_new(secret ? BIO_s_secmem() : BIO_s_mem());
	char *bytes = NULL;
	long size;

	if (!text || PEM_write_bio(text, kind, "", der.data, (long)der.size) <= 0)
		return ks_fail_openssl(ctx, KS_ENOMEM, "%s cannot be encoded", name);
	size = BIO_get_mem_data(text, &bytes);
	return write_inside(ctx, dir, name, KS_BYTES(bytes, (size_t)size), secret);
}

/* The first PEM block of a file in the folder, which must be of one of two kinds; *second tells which. */
static int read_pem(struct ks_buffer **out, bool *second, struct ks_ctx *ctx, const char *path, const char *kind,
		    const char *other)
{
	ks_auto(buffer) file = NULL;
	ks_auto(buffer) der = NULL;
	ks_auto_ssl(BIO) text = NULL;
	char *name = NULL, *header = NULL;
	unsigned char *bytes = NULL;
	long size = 0;
	int rc = ks_disk_read(&file, ctx, path);

	if (rc < 0)
		return rc;
	text = BIO_new_mem_buf(file->data, (int)file->size);
	if (!text || PEM_read_bio(text, &name, &header, &bytes, &size) != 1)
		return ks_fail_openssl(ctx, KS_EDAMAGED, "%s holds no readable PEM block", path);
	*second = other && strcmp(name, other) == 0;
	if (!*second && strcmp(name, kind) != 0)
		rc = ks_fail(ctx, KS_EDAMAGED, "%s holds something else than a %s", path, kind);
	der = rc < 0 ? NULL : other ? ks_buffer_new_secret((size_t)size) : ks_buffer_new((size_t)size);
	if (rc == 0 && (!der || ks_buffer_put(der, bytes, (size_t)size) < 0))
		rc = ks_nomem(ctx);
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_clear_free(bytes, (size_t)size);
	if (rc == 0)
		*out = ks_take(der);
	return rc;
}

/* ---- making one: its key ---- */

/* A CA in the making. */
struct making {
	struct ks_ctx *ctx;
	const struct ks_ca_wish *wish;
	struct ks_folder *folder;
	struct ks_store *store; /* of a key that lives elsewhere */
	EVP_PKEY *key;
	struct ks_buffer *spki;
	X509_NAME *subject;
	unsigned char *name; /* DER of subject; OpenSSL's */
	int name_size;
};

static void making_clear(struct making *making)
{
	OPENSSL_free(making->name);
	X509_NAME_free(making->subject);
	ks_buffer_free(making->spki);
	EVP_PKEY_free(making->key);
	ks_store_close(making->store);
	ks_folder_free(making->folder);
}

KS_FREES_SSL(PKCS8_PRIV_KEY_INFO)

static int pkcs8_of(struct ks_buffer **out, struct ks_ctx *ctx, const EVP_PKEY *key)
{
	ks_auto_ssl(PKCS8_PRIV_KEY_INFO) info = EVP_PKEY2PKCS8(key);
	int size = info ? i2d_PKCS8_PRIV_KEY_INFO(info, NULL) : -1;
	ks_auto(buffer) der = size > 0 ? ks_buffer_new_secret((size_t)size) : NULL;
	unsigned char *at = der ? ks_buffer_room(der, (size_t)size) : NULL;

	if (!at || i2d_PKCS8_PRIV_KEY_INFO(info, &at) != size)
		return ks_fail_openssl(ctx, KS_ENOMEM, "the CA's private key cannot be encoded");
	der->size = (size_t)size;
	*out = ks_take(der);
	return 0;
}

/* The key as DIR/ca.key. */
static int key_in_folder(struct making *making, const struct ks_keyspec *spec)
{
	const char *dir = ks_folder_path(making->folder);
	ks_auto(buffer) clear = NULL;
	ks_auto(buffer) sealed = NULL;
	int rc = ks_keyspec_make(&making->key, making->ctx, spec);

	if (rc == 0)
		rc = pkcs8_of(&clear, making->ctx, making->key);
	if (rc < 0)
		return rc;
	if (!making->wish->password)
		return write_pem(making->ctx, dir, OWN_KEY, "PRIVATE KEY", ks_buffer_bytes(clear), true);
	sealed = ks_buffer_new(LONGEST_KEY);
	if (!sealed)
		return ks_nomem(making->ctx);
	rc = ks_sealed_key_put(sealed, making->ctx, ks_buffer_bytes(clear), making->wish->password, NULL);
	return rc < 0 ? rc
		      : write_pem(making->ctx, dir, OWN_KEY, "ENCRYPTED PRIVATE KEY", ks_buffer_bytes(sealed), true);
}

/* The private key item that `where` means: of the entry it names, else the only one in the store. */
static int key_item(struct ks_item **out, struct ks_store *store, const struct ks_where *where)
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

/* The type is asked of the key itself, because a sealed one does not show it. */
static int take_over(struct making *making, struct ks_item *item, const struct ks_keyspec *asked)
{
	const char *named = making->wish->key->text;
	ks_auto(buffer) spki = NULL;
	struct ks_keyspec found;
	int rc = ks_key_spki(&spki, making->ctx, item);

	if (rc < 0)
		return rc;
	found = ks_keyspec_of_spki(ks_buffer_bytes(spki));
	if (making->wish->spec.type != KS_KEY_UNKNOWN && (found.type != asked->type || found.bits != asked->bits))
		return ks_hint(
			making->ctx,
			ks_fail(making->ctx, KS_EEXISTS, "the key %s is there already and is of another type", named),
			"leave out --type to use it, or choose another label");
	ks_notice(making->ctx, KS_EEXISTS, named, "choose another label if the CA shall have a key of its own",
		  "the key %s was there already and is the CA's now", named);
	return 0;
}

/* The key elsewhere: one that is there already is taken, an absent one is made. */
static int key_elsewhere(struct making *making, const struct ks_keyspec *spec)
{
	const struct ks_where *where = making->wish->key;
	struct ks_generate wish = { .spec = *spec,
				    .label = ks_bytes_of(where->label),
				    .id = { where->id, where->id_size } };
	struct ks_only only = { .where = where };
	struct ks_item *item = NULL;
	int rc;

	if (!where->label)
		return ks_hint(
			making->ctx,
			ks_fail(making->ctx, KS_EUSAGE, "%s does not say which key shall be the CA's", where->text),
			"add its label: object=LABEL to a token's address, #LABEL to a file's");
	rc = ks_store_open_only(&making->store, making->ctx, where, KS_WRITE | KS_CREATE | KS_LOGIN, &only);
	if (rc == 0)
		rc = key_item(&item, making->store, where);
	if (rc == 0)
		rc = take_over(making, item, spec);
	if (rc == KS_ENOTFOUND && making->store) {
		ks_forgive(making->ctx);
		rc = ks_generate(&item, making->store, &wish, false);
	}
	return rc < 0 ? rc : ks_item_pkey(&making->key, item, making->ctx);
}

/* ---- making one: its certificate and the rest ---- */

static int put_root_extensions(struct ks_buffer *out, struct ks_ctx *ctx)
{
	int rc = ks_extension_put(out, ctx, "basicConstraints", "critical,CA:TRUE");

	return rc < 0 ? rc : ks_extension_put(out, ctx, "keyUsage", "critical,keyCertSign,cRLSign");
}

static int make_certificate(struct making *making)
{
	unsigned char serial[KS_SERIAL];
	ks_auto_ssl(EVP_PKEY) public_key = NULL;
	ks_auto(buffer) extensions = ks_buffer_new(4096);
	ks_auto(buffer) der = NULL;
	struct ks_bytes name = KS_BYTES(making->name, (size_t)making->name_size);
	struct ks_issuer issuer = { .name = name };
	int64_t now = time(NULL);
	struct ks_draft draft = {
		.serial = KS_BYTES(serial, sizeof(serial)),
		.subject = name,
		.spki = ks_buffer_bytes(making->spki),
		.not_before = now - CLOCK_SLACK,
		.not_after = now + (int64_t)(making->wish->days ? making->wish->days : CA_DAYS) * DAY,
	};
	int rc;

	if (!extensions)
		return ks_nomem(making->ctx);
	if (RAND_bytes_ex(ks_crypto(making->ctx), serial, sizeof(serial), 0) != 1)
		return ks_fail_openssl(making->ctx, KS_EIO, "the system gives no random numbers for a serial");
	serial[0] = (unsigned char)(0x40 | (serial[0] & 0x3f));
	rc = put_root_extensions(extensions, making->ctx);
	draft.extensions = ks_buffer_bytes(extensions);
	if (rc == 0)
		rc = ks_signer_of(&issuer.signer, making->ctx, making->key, draft.spki);
	if (rc == 0)
		rc = ks_spki_key(&public_key, making->ctx, draft.spki);
	issuer.public_key = public_key;
	if (rc == 0)
		rc = ks_certificate_write(&der, making->ctx, &issuer, &draft);
	return rc < 0 ? rc
		      : write_pem(making->ctx, ks_folder_path(making->folder), "ca.pem", "CERTIFICATE",
				  ks_buffer_bytes(der), false);
}

/* The key's address as it will be understood from any folder: a file's path becomes absolute. */
static char *key_address(const struct ks_where *where)
{
	ks_auto_mem char *here = NULL;
	const char *path = where->text;
	char *address = NULL;

	if (ks_where_is_token(where) || where->path[0] == '/')
		return strdup(where->text);
	here = getcwd(NULL, 0);
	if (where->scheme)
		path += strlen(where->scheme) + 1;
	if (!here || asprintf(&address, "%s%s%s/%s", where->scheme ? where->scheme : "", where->scheme ? ":" : "", here,
			      path) < 0)
		return NULL;
	return address;
}

/* Where the key's secret will come from: not from a descriptor or a person of today; a file's path becomes absolute. */
static int put_pin_source(struct ks_buffer *out, struct making *making)
{
	const struct ks_where *where = making->wish->key;
	const char *source = making->wish->pin_source ? making->wish->pin_source : where ? where->pin_source : NULL;
	ks_auto_mem char *here = NULL;

	if (!source || (!where && !making->wish->password) || strncmp(source, "fd:", 3) == 0 ||
	    strcmp(source, "prompt") == 0)
		return 0;
	if (strpbrk(source, "\r\n"))
		return ks_fail(making->ctx, KS_EUSAGE, "a PIN source has no line ends");
	if (strncmp(source, "file:", 5) != 0 || source[5] == '/')
		return ks_buffer_format(out, "pin-source = %s\n", source);
	here = getcwd(NULL, 0);
	return here ? ks_buffer_format(out, "pin-source = file:%s/%s\n", here, source + 5) : ks_nomem(making->ctx);
}

static int write_conf(struct making *making)
{
	const struct ks_where *where = making->wish->key;
	int rc;
	ks_auto_mem char *key = where ? key_address(where) : strdup(OWN_KEY);
	ks_auto_mem char *name = ks_name_text(KS_BYTES(making->name, (size_t)making->name_size));
	ks_auto(buffer) text = ks_buffer_new(65536);

	if (!key || !name || !text)
		return ks_nomem(making->ctx);
	ks_buffer_format(text, "# What this CA is, and where its key lives.\n[ca]\nname = %s\nkey = %s\n", name, key);
	rc = put_pin_source(text, making);
	if (rc < 0 || text->status < 0)
		return ks_while(making->ctx, rc < 0 ? rc : text->status, "writing ca.conf");
	return write_inside(making->ctx, ks_folder_path(making->folder), "ca.conf", ks_buffer_bytes(text), false);
}

static int make_ledger(struct making *making)
{
	ks_auto_mem char *path = inside(ks_folder_path(making->folder), "ledger.db");
	ks_auto(ledger) ledger = NULL;

	return path ? ks_ledger_open(&ledger, making->ctx, path, true) : ks_nomem(making->ctx);
}

static int make(struct making *making, const char *dir)
{
	struct ks_keyspec spec = making->wish->spec;
	int rc = ks_name_parse(&making->subject, making->ctx, making->wish->subject);

	if (rc < 0)
		return rc;
	making->name_size = i2d_X509_NAME(making->subject, &making->name);
	if (making->name_size < 0)
		return ks_fail_openssl(making->ctx, KS_ENOMEM, "the subject cannot be encoded");
	if (spec.type == KS_KEY_UNKNOWN)
		rc = ks_keyspec_parse(&spec, making->ctx, "p256");
	if (rc == 0)
		rc = ks_folder_begin(&making->folder, making->ctx, dir);
	if (rc == 0)
		rc = ks_folder_add(making->folder, "profiles");
	if (rc == 0)
		rc = ks_folder_add(making->folder, "crl");
	if (rc == 0)
		rc = making->wish->key ? key_elsewhere(making, &spec) : key_in_folder(making, &spec);
	if (rc == 0)
		rc = ks_pkey_spki(&making->spki, making->ctx, making->key);
	if (rc == 0)
		rc = make_certificate(making);
	if (rc == 0)
		rc = write_conf(making);
	if (rc == 0)
		rc = make_ledger(making);
	return rc < 0 ? rc : ks_folder_publish(making->folder);
}

int ks_ca_init(struct ks_ctx *ctx, const char *dir, const struct ks_ca_wish *wish)
{
	struct making making = { .ctx = ctx, .wish = wish };
	int rc = make(&making, dir);

	making_clear(&making);
	return rc;
}

/* ---- opening one ---- */

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
	ks_auto_mem char *path = inside(ca->dir, "ca.conf");
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
	ks_auto_mem char *path = inside(ca->dir, "ca.pem");
	ks_auto(buffer) der = NULL;
	bool second = false;
	int rc;

	if (!path)
		return ks_nomem(ca->ctx);
	rc = read_pem(&der, &second, ca->ctx, path, "CERTIFICATE", NULL);
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
	ks_auto_mem char *ledger = inside(dir, "ledger.db");
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
	ks_auto_mem char *path = inside(ca->dir, OWN_KEY);
	ks_auto(buffer) der = NULL;
	ks_auto(buffer) clear = NULL;
	bool sealed = false;
	int rc;

	if (!path)
		return ks_nomem(ca->ctx);
	rc = read_pem(&der, &sealed, ca->ctx, path, "PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
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
		rc = key_item(&item, ca->key_store, ca->key_where);
	if (rc == 0)
		rc = ks_item_pkey(&ca->private_key, item, ca->ctx);
	return ks_while(ca->ctx, rc, "opening the CA's key");
}

/* Opened once; it must be the key of ca.pem, or everything signed with it would be worthless. */
static int open_key(struct ks_ca *ca)
{
	ks_auto(buffer) spki = NULL;
	int rc;

	if (ca->private_key)
		return 0;
	rc = strcmp(ca->key, OWN_KEY) == 0 ? open_own_key(ca) : open_key_elsewhere(ca);
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

/* ---- signing: what is wanted ---- */

/* One certificate on its way. */
struct leaf {
	const struct ks_request *request;
	struct ks_altnames names; /* the request's and the wish's; strings are borrowed */
	unsigned char *subject; /* DER, when the wish overrides the request's; OpenSSL's */
	struct ks_draft draft;
	struct ks_buffer *extensions;
	struct ks_issued row;
	struct ks_buffer *der;
};

static void leaves_free(struct leaf *leaves, size_t count)
{
	for (size_t i = 0; leaves && i < count; i++) {
		free(leaves[i].names.names);
		OPENSSL_free(leaves[i].subject);
		ks_buffer_free(leaves[i].extensions);
		ks_buffer_free(leaves[i].der);
		free(leaves[i].row.subject);
		free(leaves[i].row.names);
	}
	free(leaves);
}

static bool has_name(const struct ks_altnames *names, const struct ks_altname *name)
{
	for (size_t i = 0; i < names->count; i++) {
		if (strcmp(names->names[i].kind, name->kind) == 0 && strcmp(names->names[i].value, name->value) == 0)
			return true;
	}
	return false;
}

static int join_names(struct leaf *leaf, struct ks_ctx *ctx, const struct ks_altnames *more)
{
	const struct ks_altnames *asked = &leaf->request->names;
	size_t most = asked->count + (more ? more->count : 0);

	leaf->names.names = ks_array(most, sizeof(*leaf->names.names));
	if (!leaf->names.names)
		return ks_nomem(ctx);
	for (size_t i = 0; i < most; i++) {
		const struct ks_altname *name = i < asked->count ? &asked->names[i] : &more->names[i - asked->count];

		if (!has_name(&leaf->names, name))
			leaf->names.names[leaf->names.count++] = *name;
	}
	return 0;
}

static int set_subject(struct leaf *leaf, struct ks_ctx *ctx, const X509_NAME *subject)
{
	int size;

	leaf->draft.subject = leaf->request->subject;
	if (!subject)
		return 0;
	size = i2d_X509_NAME(subject, &leaf->subject);
	if (size < 0)
		return ks_fail_openssl(ctx, KS_ENOMEM, "the subject cannot be encoded");
	leaf->draft.subject = KS_BYTES(leaf->subject, (size_t)size);
	return 0;
}

/* The request with what the wish adds, as the profile shall see it. */
static int check_grant(const struct leaf *leaf, struct ks_ctx *ctx, const struct ks_profile *profile)
{
	struct ks_request whole = *leaf->request;

	whole.subject = leaf->draft.subject;
	whole.names = leaf->names;
	return ks_profile_grants(ctx, profile, &whole);
}

static int set_row(struct leaf *leaf, struct ks_ctx *ctx, const struct ks_profile *profile, int64_t now)
{
	ks_auto(buffer) names = ks_buffer_new(1 << 20);

	if (!names)
		return ks_nomem(ctx);
	for (size_t i = 0; i < leaf->names.count; i++)
		ks_buffer_format(names, "%s%s:%s", i ? " " : "", leaf->names.names[i].kind, leaf->names.names[i].value);
	leaf->row.names = strdup(ks_buffer_string(names));
	leaf->row.subject = ks_name_text(leaf->draft.subject);
	if (!leaf->row.names || !leaf->row.subject)
		return ks_nomem(ctx);
	leaf->row.profile = profile->name;
	leaf->row.not_before = leaf->draft.not_before;
	leaf->row.not_after = leaf->draft.not_after;
	leaf->row.created = now;
	ks_sha256(leaf->row.spki_sha256, leaf->request->spki);
	ks_sha256(leaf->row.request_sha256, leaf->request->der);
	return 0;
}

static int draft_leaf(struct leaf *leaf, struct ks_ca *ca, const struct ks_request *request,
		      const struct ks_sign_wish *wish, int64_t now)
{
	unsigned days = wish->days ? wish->days : wish->profile->days;
	int rc;

	leaf->request = request;
	leaf->draft.spki = request->spki;
	leaf->draft.names = &leaf->names;
	leaf->draft.not_before = now - CLOCK_SLACK > ca->facts.not_before ? now - CLOCK_SLACK : ca->facts.not_before;
	leaf->draft.not_after = now + (int64_t)days * DAY;
	leaf->extensions = ks_buffer_new(65536);
	if (!leaf->extensions)
		return ks_nomem(ca->ctx);
	rc = join_names(leaf, ca->ctx, wish->names);
	if (rc == 0)
		rc = set_subject(leaf, ca->ctx, wish->subject);
	if (rc == 0)
		rc = check_grant(leaf, ca->ctx, wish->profile);
	if (rc == 0)
		rc = ks_profile_put(leaf->extensions, ca->ctx, wish->profile, &request->key);
	leaf->draft.extensions = ks_buffer_bytes(leaf->extensions);
	return rc < 0 ? rc : set_row(leaf, ca->ctx, wish->profile, now);
}

/* A certificate that ends after its issuer is worthless from then on, and nobody sees it in its own dates. */
static int check_dates(struct ks_ca *ca, int64_t now, unsigned days)
{
	char date[11], until[11];

	ks_date_text(date, ca->facts.not_after);
	if (ca->facts.not_after < now)
		return ks_hint(ca->ctx, ks_fail(ca->ctx, KS_EEXPIRED, "the CA in %s expired on %s", ca->shown, date),
			       "make a new CA with keystow ca init; an expired one signs nothing that verifies");
	if (ca->facts.not_before > now)
		return ks_hint(ca->ctx, ks_fail(ca->ctx, KS_EEXPIRED, "the CA in %s is not valid yet", ca->shown),
			       "is the clock of this machine right?");
	if (now + (int64_t)days * DAY <= ca->facts.not_after)
		return 0;
	ks_date_text(until, now + (int64_t)days * DAY);
	return ks_hint(ca->ctx,
		       ks_fail(ca->ctx, KS_EEXPIRED, "a certificate until %s would outlive the CA, which ends on %s",
			       until, date),
		       "ask for fewer days: --days %lld", (long long)((ca->facts.not_after - now) / DAY));
}

/* A CA whose own certificate forbids it makes chains that nobody accepts. */
static int check_rights(struct ks_ca *ca, const struct ks_profile *profile)
{
	if (ca->facts.has_key_usage && !(ca->facts.key_usage & (1u << 5)))
		return ks_fail(ca->ctx, KS_EPROFILE,
			       "the certificate of the CA in %s does not allow it to sign certificates", ca->shown);
	if (profile->is_ca && ca->facts.path_length == 0)
		return ks_fail(ca->ctx, KS_EPROFILE, "the certificate of the CA in %s does not allow CAs below it",
			       ca->shown);
	return 0;
}

/* ---- signing: the durable order ---- */

static int intend_all(struct ks_ca *ca, struct leaf *leaves, size_t count)
{
	int rc = ks_ledger_begin(ca->ledger);

	if (rc < 0)
		return rc;
	for (size_t i = 0; rc == 0 && i < count; i++) {
		rc = ks_ledger_intend(ca->ledger, &leaves[i].row);
		leaves[i].draft.serial = KS_BYTES(leaves[i].row.serial, KS_SERIAL);
	}
	if (rc == 0)
		return ks_ledger_commit(ca->ledger);
	ks_ledger_abort(ca->ledger);
	return rc;
}

static int sign_all(struct ks_ca *ca, struct leaf *leaves, size_t count)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = ks_certificate_write(&leaves[i].der, ca->ctx, &ca->issuer, &leaves[i].draft);
	return rc;
}

static int complete_all(struct ks_ca *ca, struct leaf *leaves, size_t count)
{
	int rc = ks_ledger_begin(ca->ledger);

	if (rc < 0)
		return rc;
	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = ks_ledger_complete(ca->ledger, leaves[i].row.id, ks_buffer_bytes(leaves[i].der));
	if (rc == 0)
		return ks_ledger_commit(ca->ledger);
	ks_ledger_abort(ca->ledger);
	return rc;
}

static int issue_all(struct ks_ca *ca, struct leaf *leaves, size_t count)
{
	int rc = open_key(ca);

	if (rc == 0)
		rc = intend_all(ca, leaves, count);
	if (rc == 0)
		rc = sign_all(ca, leaves, count);
	return rc < 0 ? rc : complete_all(ca, leaves, count);
}

static int draft_all(struct leaf *leaves, struct ks_ca *ca, struct ks_request *const *requests, size_t count,
		     const struct ks_sign_wish *wish)
{
	int64_t now = time(NULL);
	int rc = check_dates(ca, now, wish->days ? wish->days : wish->profile->days);

	if (rc == 0)
		rc = check_rights(ca, wish->profile);
	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = draft_leaf(&leaves[i], ca, requests[i], wish, now);
	return rc;
}

int ks_ca_sign(struct ks_buffer **out, struct ks_ca *ca, struct ks_request *const *requests, size_t count,
	       const struct ks_sign_wish *wish)
{
	struct leaf *leaves = ks_array(count, sizeof(*leaves));
	int rc;

	if (!leaves)
		return ks_nomem(ca->ctx);
	rc = draft_all(leaves, ca, requests, count, wish);
	if (rc == 0 && !wish->dry_run)
		rc = issue_all(ca, leaves, count);
	for (size_t i = 0; rc == 0 && !wish->dry_run && i < count; i++)
		out[i] = ks_take(leaves[i].der);
	leaves_free(leaves, count);
	return rc;
}
