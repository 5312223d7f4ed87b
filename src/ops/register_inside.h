/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Glue while it is made. A failure is kept in `rc`, so that texts are written straight on and looked at once.
 */
#ifndef KS_OPS_REGISTER_INSIDE_H
#define KS_OPS_REGISTER_INSIDE_H

#include "register.h"

/* A key of the token, under a name that a file may have. */
struct glue_key {
	const struct ks_entry *entry;
	struct ks_item *item; /* the private key; without login the public key stands for it */
	char *name; /* "web" */
	char *uri; /* its private key's address, without a PIN source */
	struct ks_bytes spki; /* data NULL = the token does not tell */
};

struct making {
	struct ks_ctx *ctx;
	const struct ks_token *token;
	const struct ks_glue_wish *wish;
	struct ks_store *store;
	const char *address; /* the token's */
	struct glue_key *keys;
	size_t key_count;
	bool others_told; /* that there are more keys than the one of the lines */
	bool public_told; /* that private objects were not looked at */
	enum ks_program program; /* whose turn it is */
	struct ks_glue *glue;
	int rc;
};

/* A new file, or NULL: it was made for another program already, or there was a failure. */
struct ks_buffer *ks_glue_file(struct making *making, const char *format, ...) __attribute__((format(printf, 2, 3)));
void ks_glue_say(struct making *making, enum ks_glue_kind kind, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* The key that lines to type are told with: the first that every program takes, else the first; NULL = there is none. Others are counted. */
const struct glue_key *ks_glue_example(struct making *making);
/* The path of a file of the glue as one word of a shell. New string, NULL after a failure. */
char *ks_glue_path(struct making *making, const char *name, const char *ending);

/* `text` in double quotes, with \ before what would end them: Java's configuration, curl, nginx, ssh. */
void ks_glue_quoted(struct ks_buffer *out, const char *text);
/* The path of the file NAME + ENDING of the glue, so quoted. */
void ks_glue_quoted_path(struct ks_buffer *out, const struct making *making, const char *name, const char *ending);

/* Each puts what its program wants. */
void ks_glue_java(struct making *making);
void ks_glue_nss(struct making *making);
void ks_glue_p11_kit(struct making *making);
void ks_glue_openssl(struct making *making);
void ks_glue_nginx(struct making *making);
void ks_glue_curl(struct making *making);
void ks_glue_ssh(struct making *making);
/* And for whichever is at it, the keys that it cannot use. */
void ks_glue_limits(struct making *making);

#endif
