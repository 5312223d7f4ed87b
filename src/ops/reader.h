/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What other programs make of a store: which entries they see, which they can use, and why not.
 *
 * All that is known of these programs is in one table, which is about Java 17, NSS 3.87, OpenSSL 3.0 (with keystow's provider, and
 * with libp11 0.4.12 as its engine), OpenSSH 9.2, GnuTLS 3.7.
 */
#ifndef KS_OPS_READER_H
#define KS_OPS_READER_H

#include "check.h"
#include "survey.h"

struct ks_reader;

/* The n-th program, counted from 0; NULL behind the last. */
const struct ks_reader *ks_reader_nth(size_t n);
/* By its word; KS_EUSAGE with the words that there are. */
int ks_reader_named(const struct ks_reader **out, struct ks_ctx *ctx, const char *name);
const char *ks_reader_name(const struct ks_reader *reader); /* "java" */
const char *ks_reader_title(const struct ks_reader *reader); /* "Java" */

/* How far an entry is of use to a program. */
enum ks_sight { KS_USED, KS_SEEN, KS_UNSEEN };

/*
 * What the program makes of one entry: each reason that it does not see or cannot use it (status KS_NO_INVALID), and remarks (status
 * 0), is added to `out`. Private objects of a token count only when the store was opened with KS_LOGIN.
 */
int ks_reader_look(enum ks_sight *sight, struct ks_findings *out, const struct ks_reader *reader,
		   struct ks_store *store, const struct ks_survey *survey, const struct ks_entry *entry);

#endif
