/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs of OpenSSL: keystow's provider, libp11's engine, and the PEM files that nginx and curl read.
 *
 * An openssl.cnf stands for itself: what the machine's own one says does not count beside it. Where a module wants more than its
 * path, the provider reads that in a configuration of keystow's beside it.
 */
#include "register_inside.h"

#include "reference.h"
#include "text.h"

#include <openssl/pem.h>

#include <stdio.h>
#include <string.h>

/* OpenSSL's configuration cuts values at #, expands $, and takes quotes away. */
static void put_value(struct ks_buffer *out, const char *text)
{
	for (; *text; text++) {
		if (strchr("\\#$\"'`", *text))
			ks_buffer_text(out, "\\");
		ks_buffer_put(out, text, 1);
	}
}

static void put_row(struct ks_buffer *out, const char *key, const char *value)
{
	ks_buffer_format(out, "%s = ", key);
	put_value(out, value);
	ks_buffer_text(out, "\n");
}

#define REQUESTS "[req]\ndistinguished_name = req_name\n[req_name]\n"

/* ---- the provider ---- */

static bool needs_config(const struct ks_token *token)
{
	return token->init_args || token->isolated;
}

static void own_config(struct making *making)
{
	struct ks_buffer *out = needs_config(making->token) ? ks_glue_file(making, "keystow.conf") : NULL;

	if (!out)
		return;
	ks_buffer_format(out, "[module %s]\npath = %s\n", making->glue->name, making->token->module_file);
	if (making->token->init_args)
		ks_buffer_format(out, "init-args = %s\n", making->token->init_args);
	if (making->token->isolated)
		ks_buffer_text(out, "load = isolated\n");
	ks_buffer_format(out, "[defaults]\nmodule = %s\n", making->glue->name);
}

static void provider_conf(struct making *making)
{
	struct ks_buffer *out = ks_glue_file(making, "openssl.cnf");
	ks_auto_mem char *config = NULL;

	if (!out)
		return;
	ks_buffer_text(
		out,
		"openssl_conf = init\n[init]\nproviders = providers\n[providers]\ndefault = default_provider\n"
		"keystow = keystow_provider\n[default_provider]\nactivate = 1\n[keystow_provider]\nactivate = 1\n");
	if (!needs_config(making->token))
		put_row(out, "pkcs11-module", making->token->module_file);
	else if (asprintf(&config, "%s/keystow.conf", making->wish->folder) < 0)
		making->rc = ks_nomem(making->ctx);
	else
		put_row(out, "config", config);
	if (making->wish->pin_source)
		put_row(out, "pin-source", making->wish->pin_source);
	ks_buffer_text(out, REQUESTS);
	own_config(making);
}

/* ---- libp11's engine ---- */

static void engine_conf(struct making *making)
{
	struct ks_buffer *out = ks_glue_file(making, "openssl-engine.cnf");

	if (!out)
		return;
	ks_buffer_text(out, "openssl_conf = init\n[init]\nengines = engines\n[engines]\npkcs11 = pkcs11_engine\n"
			    "[pkcs11_engine]\nengine_id = pkcs11\n");
	put_row(out, "MODULE_PATH", making->token->module_file);
	if (making->token->init_args)
		put_row(out, "INIT_ARGS", making->token->init_args);
	ks_buffer_text(out, "init = 0\n" REQUESTS);
}

/* ---- PEM files ---- */

static void put_pem(struct making *making, struct ks_buffer *out, const char *title, struct ks_bytes der)
{
	ks_auto_ssl(BIO) text = BIO_new(BIO_s_mem());
	char *bytes = NULL;
	long size;

	if (!text || PEM_write_bio(text, title, "", der.data, (long)der.size) <= 0) {
		making->rc = ks_fail_openssl(making->ctx, KS_ENOMEM, "a PEM block cannot be encoded");
		return;
	}
	size = BIO_get_mem_data(text, &bytes);
	ks_buffer_put(out, bytes, (size_t)size);
}

static void key_file(struct making *making, const struct glue_key *key)
{
	struct ks_buffer *out = ks_glue_file(making, "%s.key", key->name);
	ks_auto(buffer) der = NULL;

	if (!out)
		return;
	making->rc = ks_reference_of(&der, making->ctx, key->uri, making->wish->pin_source);
	if (making->rc == 0)
		put_pem(making, out, KS_REFERENCE_TITLE, ks_buffer_bytes(der));
}

static void certificate_file(struct making *making, const struct glue_key *key)
{
	struct ks_buffer *out = ks_glue_file(making, "%s.pem", key->name);

	if (!out)
		return;
	put_pem(making, out, "CERTIFICATE", key->entry->certificate->der);
	for (size_t i = 0; making->rc == 0 && i < key->entry->chain_count; i++)
		put_pem(making, out, "CERTIFICATE", key->entry->chain[i]->der);
}

/* What nginx and curl need beside a snippet of their own: the provider, and for each key two files. */
static void common(struct making *making)
{
	provider_conf(making);
	for (size_t i = 0; making->rc == 0 && i < making->key_count; i++) {
		key_file(making, &making->keys[i]);
		if (making->rc == 0 && making->keys[i].entry->certificate)
			certificate_file(making, &making->keys[i]);
	}
}

/* ---- the programs ---- */

void ks_glue_openssl(struct making *making)
{
	ks_auto_mem char *provider = ks_glue_path(making, "openssl", ".cnf");
	ks_auto_mem char *engine = ks_glue_path(making, "openssl-engine", ".cnf");
	const struct glue_key *key = ks_glue_example(making);

	common(making);
	engine_conf(making);
	if (key) {
		ks_glue_say(making, KS_GLUE_USE, "OPENSSL_CONF=%s openssl req -new -key '%s' -subj /CN=me", provider,
			    key->uri);
		ks_glue_say(making, KS_GLUE_USE,
			    "OPENSSL_CONF=%s openssl req -new -engine pkcs11 -keyform engine -key '%s' -subj /CN=me",
			    engine, key->uri);
	}
	ks_glue_say(making, KS_GLUE_NOTE,
		    "the engine (libp11 0.4.12) takes the end of the line for part of the PIN in a pin-source file: "
		    "give it the PIN by "
		    "openssl's -passin, or a file without a line end");
	if (making->token->isolated)
		ks_glue_say(making, KS_GLUE_NOTE, "the engine loads the module into the program itself, not isolated");
}

/* The two files of each key that has them, in the words of a program. */
static void snippets(struct making *making, const char *ending, const char *certificate, const char *private_key,
		     const char *end)
{
	for (size_t i = 0; i < making->key_count; i++) {
		const struct glue_key *key = &making->keys[i];
		struct ks_buffer *out =
			key->entry->certificate ? ks_glue_file(making, "%s%s", key->name, ending) : NULL;

		if (!out)
			continue;
		ks_buffer_text(out, certificate);
		ks_glue_quoted_path(out, making, key->name, ".pem");
		ks_buffer_format(out, "%s\n%s", end, private_key);
		ks_glue_quoted_path(out, making, key->name, ".key");
		ks_buffer_format(out, "%s\n", end);
	}
}

void ks_glue_nginx(struct making *making)
{
	ks_auto_mem char *conf = ks_glue_path(making, "openssl", ".cnf");
	const struct glue_key *key = ks_glue_example(making);
	ks_auto_mem char *path = key ? ks_glue_path(making, key->name, ".nginx") : NULL;

	common(making);
	snippets(making, ".nginx", "ssl_certificate ", "ssl_certificate_key ", ";");
	if (key && key->entry->certificate)
		ks_glue_say(making, KS_GLUE_USE, "include %s;   in the server { } that listens with ssl", path);
	ks_glue_say(making, KS_GLUE_USE, "Environment=OPENSSL_CONF=%s   under [Service], by systemctl edit nginx",
		    conf);
	if (!making->wish->pin_source)
		ks_glue_say(making, KS_GLUE_NOTE,
			    "nginx asks for no PIN: name a file that it can read by --pin-source file:PATH, and its "
			    "address is put in");
}

void ks_glue_curl(struct making *making)
{
	ks_auto_mem char *conf = ks_glue_path(making, "openssl", ".cnf");
	const struct glue_key *key = ks_glue_example(making);
	ks_auto_mem char *path = key ? ks_glue_path(making, key->name, ".curlrc") : NULL;

	common(making);
	snippets(making, ".curlrc", "cert = ", "key = ", "");
	if (key && key->entry->certificate)
		ks_glue_say(making, KS_GLUE_USE, "OPENSSL_CONF=%s curl -K %s https://HOST/", conf, path);
}
