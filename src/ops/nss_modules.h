/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PKCS#11 modules that an NSS database makes NSS load: pkcs11.txt in its folder.
 *
 * NSS reads it when it starts and writes it whole when a module is added, so a program that has the database open would not see the
 * change, and could undo it.
 */
#ifndef KS_OPS_NSS_MODULES_H
#define KS_OPS_NSS_MODULES_H

#include "context.h"

struct ks_nss_module {
	const char *name; /* letters, digits, . _ - */
	const char *file;
	const char *init_args; /* NULL = none */
};

enum ks_nss_change {
	KS_NSS_KEEP, /* the module is there already, perhaps under another name */
	KS_NSS_ADD,
	KS_NSS_REPLACE, /* the name stands for another module */
};

/*
 * The text of a pkcs11.txt with the module in it; what else is there stays as it is. NULL in *out when nothing changes. *name, new, is
 * what the module is called there. KS_EFORMAT: `text` is no such file.
 */
int ks_nss_modules_put(struct ks_buffer **out, enum ks_nss_change *change, char **name, struct ks_ctx *ctx,
		       struct ks_bytes text, const struct ks_nss_module *module);

struct ks_nss_wish {
	bool replace; /* a name that stands for another module is given to this one */
	bool dry_run;
};
/*
 * Does it for the database in the folder `dir`. The old file stays as pkcs11.txt.old. KS_EBUSY: a program
 * has the database open. KS_EEXISTS: the name is taken. KS_EUNABLE: a database of the old format. KS_ENOTFOUND: no database.
 */
int ks_nss_modules_register(enum ks_nss_change *change, char **name, struct ks_ctx *ctx, const char *dir,
			    const struct ks_nss_module *module, const struct ks_nss_wish *wish);

#endif
