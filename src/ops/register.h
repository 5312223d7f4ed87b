/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What other programs have to be told before they use a token: files in their own formats, and lines to type.
 *
 * Nothing is written here. No secret is in a text, and of a PIN's source only where it is a file.
 */
#ifndef KS_OPS_REGISTER_H
#define KS_OPS_REGISTER_H

#include "store.h"
#include "pkcs11/tokens.h"

enum ks_program {
	KS_FOR_JAVA,
	KS_FOR_NSS,
	KS_FOR_P11_KIT,
	KS_FOR_OPENSSL,
	KS_FOR_NGINX,
	KS_FOR_CURL,
	KS_FOR_SSH,
	KS_PROGRAMS,
};
/* "java", "nss", ... by enum ks_program, NULL-ended. */
extern const char *const ks_program_words[];

struct ks_glue_wish {
	unsigned programs; /* 1 << enum ks_program, or-ed */
	const char *folder; /* absolute; where the files will lie */
	const char *nss; /* folder of the NSS database that the module is put into; NULL = none */
	const char *pin_source; /* "file:/..." is put where a program takes one; NULL and others are not */
};

enum ks_glue_kind {
	KS_GLUE_USE, /* a line to type */
	KS_GLUE_NOTE, /* worth knowing */
	KS_GLUE_CANNOT, /* what the program cannot use, and why */
};

struct ks_glue_file {
	char *name; /* within the folder */
	struct ks_buffer *text;
};

struct ks_glue_line {
	enum ks_program program;
	enum ks_glue_kind kind;
	char *text;
};

struct ks_glue {
	char *name; /* what the token is called where a program wants a name: letters, digits, . _ - */
	struct ks_glue_file *files;
	size_t file_count, file_capacity;
	struct ks_glue_line *lines; /* in the order of programs */
	size_t line_count, line_capacity;
};

/* For the token that `store` was opened on, or the one entry that its address names. KS_ENOTFOUND, KS_EAMBIGUOUS. */
int ks_glue_make(struct ks_glue **out, struct ks_store *store, const struct ks_token *token,
		 const struct ks_glue_wish *wish);
void ks_glue_free(struct ks_glue *glue);
KS_FREES(glue)

#endif
