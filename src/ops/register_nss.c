/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NSS and p11-kit, which load a module and see all its tokens. How a module gets into an NSS database is in nss_modules.c.
 */
#include "register_inside.h"

#include "text.h"

#include <string.h>

/* The command that does the same by NSS's own tool, for databases that are elsewhere. */
static void by_modutil(struct making *making)
{
	ks_auto_mem char *module = ks_text_word(making->token->module_file);
	ks_auto_mem char *arguments = making->token->init_args ? ks_text_word(making->token->init_args) : NULL;

	ks_glue_say(making, KS_GLUE_USE, "modutil -dbdir sql:DIR -add %s -libfile %s%s%s", making->glue->name, module,
		    arguments ? " -string " : "", arguments ? arguments : "");
}

void ks_glue_nss(struct making *making)
{
	ks_auto_mem char *label = ks_text_show(ks_bytes_of(making->token->label));
	ks_auto_mem char *token = label ? ks_text_word(label) : NULL;
	ks_auto_mem char *database = making->wish->nss ? ks_text_word(making->wish->nss) : NULL;

	if (!database)
		by_modutil(making);
	ks_glue_say(making, KS_GLUE_USE, "certutil -L -d sql:%s -h %s", database ? database : "DIR", token);
	if (!database)
		ks_glue_say(making, KS_GLUE_NOTE,
			    "--nss DIR does it: ~/.pki/nssdb is Chrome's, a profile folder below ~/.mozilla/firefox "
			    "Firefox's; close the "
			    "browser first");
}

void ks_glue_p11_kit(struct making *making)
{
	const struct ks_token *token = making->token;
	struct ks_buffer *out;

	if (token->module[0] != '/') {
		ks_glue_say(making, KS_GLUE_NOTE, "p11-kit knows the module already, as %s", token->module);
		return;
	}
	out = ks_glue_file(making, "%s.module", making->glue->name);
	if (!out)
		return;
	if (token->isolated)
		ks_buffer_format(out, "remote: |p11-kit remote %s\n", token->module_file);
	else
		ks_buffer_format(out, "module: %s\n", token->module_file);
	if (token->init_args)
		ks_buffer_format(out, "x-init-reserved: %s\n", token->init_args);
	if (strcmp(making->wish->folder, "/etc/pkcs11/modules") != 0)
		ks_glue_say(making, KS_GLUE_USE, "keystow token register '%s' --for p11-kit -o /etc/pkcs11/modules",
			    making->address);
	ks_glue_say(making, KS_GLUE_USE, "p11tool --list-all --login '%s'", making->address);
	ks_glue_say(making, KS_GLUE_NOTE,
		    "p11-kit reads the file in /etc/pkcs11/modules, and that in ~/.config/pkcs11/modules for its user, "
		    "root excepted");
}
