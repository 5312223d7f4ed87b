/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CA's database: one row for each certificate that was ever to be signed (SQLite, WAL, synchronous FULL).
 *
 * Order of issuance: an intent row with the serial and the request's digest is committed, the certificate is signed, the row is
 * completed and committed, and only then the certificate may leave the program. A row without certificate is a signature that
 * may have been made: it keeps its serial for ever.
 */
#ifndef KS_LEDGER_H
#define KS_LEDGER_H

#include "context.h"

#define KS_LEDGER_SCHEMA 1
#define KS_SERIAL 16

struct ks_ledger;

struct ks_issued {
	int64_t id;
	unsigned char serial[KS_SERIAL];
	char *subject;		/* for people */
	char *names;		/* alternative names for people, blank separated */
	char *profile;
	unsigned char spki_sha256[KS_SHA256];
	unsigned char request_sha256[KS_SHA256];
	int64_t not_before, not_after, created;
	struct ks_buffer *der;	/* NULL while only intended */
	int64_t revoked;	/* 0 = not */
};

/* KS_ENOTFOUND, KS_ENEWER (schema), KS_EDAMAGED, KS_EBUSY (another writer for longer than settings.wait_seconds), KS_EFULL. */
int ks_ledger_open(struct ks_ledger **out, struct ks_ctx *ctx, const char *path, bool create);
void ks_ledger_close(struct ks_ledger *ledger);
static inline void ks_ledger_freep(struct ks_ledger **ledger)
{
	ks_ledger_close(*ledger);
}
/* One transaction around several intents or completions: BEGIN IMMEDIATE and COMMIT (durable when it returns 0). */
int ks_ledger_begin(struct ks_ledger *ledger);
int ks_ledger_commit(struct ks_ledger *ledger);
void ks_ledger_abort(struct ks_ledger *ledger);
/* Draws a fresh random serial (16 bytes, first 0x40-0x7f: 126 free bits), inserts the intent, sets issued->id and serial. */
int ks_ledger_intend(struct ks_ledger *ledger, struct ks_issued *issued);
int ks_ledger_complete(struct ks_ledger *ledger, int64_t id, struct ks_bytes der);
/* The newest complete row of that public key; KS_ENOTFOUND. */
int ks_ledger_find_key(struct ks_issued **out, struct ks_ledger *ledger, const unsigned char spki_sha256[KS_SHA256]);
/* Rows in order of id; each() returning non-zero stops and is returned. The row is freed after the call. */
int ks_ledger_each(struct ks_ledger *ledger, int (*each)(void *user, const struct ks_issued *issued), void *user);
void ks_issued_free(struct ks_issued *issued);
KS_FREES(issued)

#endif
