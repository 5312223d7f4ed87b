/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Java: SunPKCS11, which reads a configuration of its own, and is one more line in java.security.
 *
 * It finds tokens by slot alone, never by label. Providers are numbered, and the list ends at the first number that is missing: JDK 9
 * and newer have 12 on Linux. A file of -Djava.security.properties adds to the JDK's own.
 */
#include "register_inside.h"

#include "text.h"

#include <stdio.h>

#define FREE_NUMBER 13

/* Properties are read as Latin-1: anything else is escaped in UTF-16. */
static void put_property(struct ks_buffer *out, const char *text)
{
	struct ks_bytes rest = ks_bytes_of(text);

	while (rest.size) {
		uint32_t point = 0;
		size_t size = ks_utf8_next(&point, rest.data, rest.size);

		if (size <= 1 && *rest.data == '\\')
			ks_buffer_text(out, "\\\\");
		else if (size <= 1)
			ks_buffer_put(out, rest.data, 1);
		else if (point < 0x10000)
			ks_buffer_format(out, "\\u%04x", point);
		else
			ks_buffer_format(out, "\\u%04x\\u%04x", 0xd800 + ((point - 0x10000) >> 10),
					 0xdc00 + ((point - 0x10000) & 0x3ff));
		size = size ? size : 1;
		rest = KS_BYTES(rest.data + size, rest.size - size);
	}
}

static void provider(struct making *making)
{
	struct ks_buffer *out = ks_glue_file(making, "java.cfg");

	if (!out)
		return;
	ks_buffer_format(out, "name = %s\nlibrary = ", making->glue->name);
	ks_glue_quoted(out, making->token->module_file);
	ks_buffer_format(out, "\nslot = %lu\n", making->token->slot);
	if (making->token->init_args) {
		ks_buffer_text(out, "nssArgs = ");
		ks_glue_quoted(out, making->token->init_args);
		ks_buffer_text(out, "\n");
	}
}

static void properties(struct making *making)
{
	struct ks_buffer *out = ks_glue_file(making, "java.security");

	if (!out)
		return;
	ks_buffer_format(out, "security.provider.%d=SunPKCS11 ", FREE_NUMBER);
	put_property(out, making->wish->folder);
	ks_buffer_text(out, "/java.cfg\n");
}

static void arguments(struct making *making)
{
	struct ks_buffer *out = ks_glue_file(making, "java.args");
	ks_auto_mem char *security = NULL;

	if (!out)
		return;
	if (asprintf(&security, "-Djava.security.properties=%s/java.security", making->wish->folder) < 0) {
		making->rc = ks_nomem(making->ctx);
		return;
	}
	ks_glue_quoted(out, security);
	ks_buffer_format(out,
			 "\n-Djavax.net.ssl.keyStore=NONE\n-Djavax.net.ssl.keyStoreType=PKCS11\n"
			 "-Djavax.net.ssl.keyStoreProvider=SunPKCS11-%s\n",
			 making->glue->name);
}

/* keytool and jarsigner take the PIN from a file as it is; `whose` is a source, or asks for one. */
static void lines(struct making *making)
{
	ks_auto_mem char *cfg = ks_glue_path(making, "java", ".cfg");
	ks_auto_mem char *args = ks_glue_path(making, "java", ".args");
	ks_auto_mem char *pin =
		making->wish->pin_source ? ks_text_word(making->wish->pin_source + sizeof("file:") - 1) : NULL;
	const struct glue_key *key = ks_glue_example(making);
	ks_auto_mem char *label = key && key->entry->certificate ? ks_text_show(key->item->label) : NULL;
	ks_auto_mem char *alias = label ? ks_text_word(label) : NULL;
	const char *option = pin ? " -storepass:file " : "", *file = pin ? pin : "";

	ks_glue_say(making, KS_GLUE_USE, "java @%s -jar APP.jar", args);
	ks_glue_say(making, KS_GLUE_USE,
		    "keytool -list -keystore NONE -storetype PKCS11 -addprovider SunPKCS11 -providerArg %s%s%s", cfg,
		    option, file);
	if (alias)
		ks_glue_say(making, KS_GLUE_USE,
			    "jarsigner -keystore NONE -storetype PKCS11 -addprovider SunPKCS11 -providerArg %s%s%s "
			    "APP.jar %s",
			    cfg, option, file, alias);
	ks_glue_say(making, KS_GLUE_NOTE,
		    "java wants the PIN as javax.net.ssl.keyStorePassword: in a second argument file of mode 0600, "
		    "never on the command line");
	ks_glue_say(making, KS_GLUE_NOTE,
		    "Java finds the token by slot %lu alone; when slots have moved, register it again with --replace",
		    making->token->slot);
}

void ks_glue_java(struct making *making)
{
	provider(making);
	properties(making);
	arguments(making);
	lines(making);
}
