/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a CA: its key, its root certificate, and its folder, whole or not at all.
 */
#include "ca_inside.h"

#include "file/key.h"
#include "file/protect.h"
#include "folder.h"
#include "generate.h"
#include "lookup.h"

#include <openssl/rand.h>

#include <unistd.h>

#define CA_DAYS 3650

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

/* The key as DIR/ca.key. */
static int key_in_folder(struct making *making, const struct ks_keyspec *spec)
{
	const char *dir = ks_folder_path(making->folder);
	ks_auto(buffer) clear = NULL;
	ks_auto(buffer) sealed = NULL;
	int rc = ks_keyspec_make(&making->key, making->ctx, spec);

	if (rc == 0)
		rc = ks_key_pkcs8(&clear, making->ctx, making->key);
	if (rc < 0)
		return rc;
	if (!making->wish->password)
		return ks_ca_write_pem(making->ctx, dir, KS_CA_OWN_KEY, "PRIVATE KEY", ks_buffer_bytes(clear), true);
	sealed = ks_buffer_new(KS_CA_LONGEST_KEY);
	if (!sealed)
		return ks_nomem(making->ctx);
	rc = ks_sealed_key_put(sealed, making->ctx, ks_buffer_bytes(clear), making->wish->password, NULL);
	return rc < 0 ? rc
		      : ks_ca_write_pem(making->ctx, dir, KS_CA_OWN_KEY, "ENCRYPTED PRIVATE KEY",
					ks_buffer_bytes(sealed), true);
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
				    .signs_next = true,
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
		rc = ks_ca_key_item(&item, making->store, where);
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
		.not_before = now - KS_CA_CLOCK_SLACK,
		.not_after = now + (int64_t)(making->wish->days ? making->wish->days : CA_DAYS) * KS_CA_DAY,
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
		      : ks_ca_write_pem(making->ctx, ks_folder_path(making->folder), "ca.pem", "CERTIFICATE",
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
	ks_auto_mem char *key = where ? key_address(where) : strdup(KS_CA_OWN_KEY);
	ks_auto_mem char *name = ks_name_text(KS_BYTES(making->name, (size_t)making->name_size));
	ks_auto(buffer) text = ks_buffer_new(65536);

	if (!key || !name || !text)
		return ks_nomem(making->ctx);
	ks_buffer_format(text, "# What this CA is, and where its key lives.\n[ca]\nname = %s\nkey = %s\n", name, key);
	rc = put_pin_source(text, making);
	if (rc < 0 || text->status < 0)
		return ks_while(making->ctx, rc < 0 ? rc : text->status, "writing ca.conf");
	return ks_ca_write(making->ctx, ks_folder_path(making->folder), "ca.conf", ks_buffer_bytes(text), false);
}

static int make_ledger(struct making *making)
{
	ks_auto_mem char *path = ks_ca_path(ks_folder_path(making->folder), "ledger.db");
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
