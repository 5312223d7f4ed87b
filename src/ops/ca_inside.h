/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of a CA, shared by its rooms: opening it, making one, and signing.
 */
#ifndef KS_OPS_CA_INSIDE_H
#define KS_OPS_CA_INSIDE_H

#include "ca.h"
#include "certificate.h"
#include "issue.h"

#define KS_CA_DAY 86400
#define KS_CA_CLOCK_SLACK 300 /* seconds that a certificate begins in the past, for verifiers whose clock is behind */
#define KS_CA_LONGEST_KEY 65536
#define KS_CA_OWN_KEY "ca.key" /* inside the folder, as ca.conf names it */

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

/* A file of the folder; new string, NULL without memory. */
char *ks_ca_path(const char *dir, const char *name);
/* Writes one file of the folder; see ks_disk_write. */
int ks_ca_write(struct ks_ctx *ctx, const char *dir, const char *name, struct ks_bytes content, bool private_material);
/* PEM of one thing; in locked memory when it is secret. */
int ks_ca_write_pem(struct ks_ctx *ctx, const char *dir, const char *name, const char *kind, struct ks_bytes der,
		    bool secret);
/* The first PEM block of a file in the folder, which must be of one of two kinds; *second tells which. */
int ks_ca_read_pem(struct ks_buffer **out, bool *second, struct ks_ctx *ctx, const char *path, const char *kind,
		   const char *other);
/* The private key item that `where` means: of the entry it names, else the only one in the store. */
int ks_ca_key_item(struct ks_item **out, struct ks_store *store, const struct ks_where *where);
/* Opened once; it must be the key of ca.pem, or everything signed with it would be worthless. */
int ks_ca_open_key(struct ks_ca *ca);

#endif
