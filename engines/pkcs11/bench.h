/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast a token is: listing, making keys, signing.
 */
#ifndef KS_PKCS11_BENCH_H
#define KS_PKCS11_BENCH_H

#include "context.h"
#include "where.h"

struct ks_measure {
	const char *what;	/* "log in", "list", "make", "sign"; static */
	char title[48];		/* kind of key, or what was counted */
	size_t count;
	double seconds;
};

#define KS_MEASURES 16
struct ks_measures {
	struct ks_measure list[KS_MEASURES];
	size_t count;
};

struct ks_bench_wish {
	unsigned seconds;	/* for each kind of signature */
	bool write;		/* make a key of each kind for it, and remove it again */
};

/* Logs in to the one token that `where` means. An entry that it names is the key that signs; with neither key nor `write` nothing is
 * signed. What was measured before a failure is in `into`. */
int ks_pkcs11_bench(struct ks_measures *into, struct ks_ctx *ctx, const struct ks_where *where,
		    const struct ks_bench_wish *wish);

#endif
