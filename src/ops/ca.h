/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A local CA: a folder (0700) with ca.conf, ca.pem, ca.key or a key address, ledger.db, profiles/ and crl/.
 */
#ifndef KS_OPS_CA_H
#define KS_OPS_CA_H

#include "profile.h"
#include "store.h"
#include "ledger.h"

struct ks_ca;

struct ks_ca_wish {
	const char *subject;
	const struct ks_where *key;	/* where the CA's key lives or shall live; NULL = DIR/ca.key */
	struct ks_keyspec spec;		/* UNKNOWN = ec:p256 */
	unsigned days;			/* 0 = 3650 */
	struct ks_secret *password;	/* seals ca.key; NULL = the key is left in the clear, mode 0600 */
	const char *pin_source;		/* where the key's secret comes from later, for ca.conf; NULL = the key address's own */
};
/* Makes the folder, complete or not at all. KS_EEXISTS. */
int ks_ca_init(struct ks_ctx *ctx, const char *dir, const struct ks_ca_wish *wish);

/* Opens; the CA's key is opened (and its secret asked) only at the first signature. KS_ENOTFOUND, KS_EDAMAGED. */
int ks_ca_open(struct ks_ca **out, struct ks_ctx *ctx, const char *dir, const char *pin_source);
void ks_ca_close(struct ks_ca *ca);
static inline void ks_ca_freep(struct ks_ca **ca)
{
	ks_ca_close(*ca);
}
struct ks_item *ks_ca_certificate(const struct ks_ca *ca);	/* borrowed */
const char *ks_ca_dir(const struct ks_ca *ca);
struct ks_ledger *ks_ca_ledger(const struct ks_ca *ca);

struct ks_sign_wish {
	const struct ks_profile *profile;
	unsigned days;				/* 0 = the profile's */
	const X509_NAME *subject;		/* overrides the request's; NULL = the request's */
	const struct ks_altnames *names;	/* added to the request's, still under the profile; NULL = none */
	bool dry_run;				/* every check, no signature, no row */
};
/*
 * Signs requests in one durable batch: intents, signatures (each verified), completion, and only then *out (an array
 * of `count` DER buffers, yours). All or none leave. KS_EEXPIRED (the CA has expired, or the leaf would outlive it),
 * KS_EPROFILE, ...
 */
int ks_ca_sign(struct ks_buffer **out, struct ks_ca *ca, struct ks_request *const *requests, size_t count,
	       const struct ks_sign_wish *wish);

#endif
