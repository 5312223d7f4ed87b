/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of devices that answer differently from what the standard lets one expect.
 *
 * The knowledge is a table, keyed by who made token and library and by the library's version, so that no other file compares names of
 * manufacturers. Whoever behaves differently for such a device asks for the quirk.
 */
#ifndef KS_P11_QUIRKS_H
#define KS_P11_QUIRKS_H

#include "calls.h"

enum ks_p11_quirk {
	KS_P11_NO_SERIAL =
		1 << 0, /* the serial number is the same for all: label, model, manufacturer and module identify it */
	KS_P11_NICKNAME_ONCE = 1 << 1, /* certificates of one label must have one subject */
	KS_P11_CERTIFICATE_ONCE = 1 << 2, /* one certificate for each issuer and serial number */
	KS_P11_OWN_IDS = 1 << 3, /* the token may choose a new pair's id itself */
	KS_P11_ORIGIN_UNTOLD = 1 << 4, /* CKA_LOCAL false means nothing */
	KS_P11_LATE_TRUTH = 1 << 5, /* attributes of a new key are right only after the module was started again */
	KS_P11_CERTIFICATE_GOES = 1 << 6, /* removing a private key takes its certificate out of view */
	KS_P11_SHORT_TEMPLATE =
		1 << 7, /* key generation fails with a general error when the template says what the key is not for */
	KS_P11_NO_IMPORT = 1 << 8, /* takes no private keys that were made elsewhere */
	KS_P11_HIDES_MECHANISMS = 1 << 9, /* newer mechanisms of the token behind it are not passed on */
	KS_P11_LABEL_DECORATED = 1 << 10, /* the label shows which PIN it is for, too */
	KS_P11_CERTIFICATE_PER_ID =
		1 << 12, /* a second certificate of an id is refused, so a new one has to wait for the old to go */
	KS_P11_PUBLIC_FOLLOWS = 1 << 13, /* a public key is a view of its certificate: it is renamed by renaming that */
	KS_P11_OFFICER_LATE = 1 << 14, /* the officer's login believes every PIN; what needs it finds out */
	KS_P11_LATE_NAMES = 1 << 15, /* a new name is read back right only after the module was started again */
	KS_P11_SILENT_LOCK = 1 << 11, /* locks after some wrong PINs, and no flag warns before */
};

/* All that apply, as bits. `library` may be all zero: then it matches only rows that name none. */
unsigned ks_p11_quirks(const CK_INFO *library, const CK_TOKEN_INFO *token);
/* What the n-th quirk of the table of sentences means to a user, when it is among `quirks`; NULL behind the last. "" when not. */
const char *ks_p11_quirk_told(unsigned quirks, size_t n);
/* Is `have` the label `wanted`, maybe decorated as "L (UserPIN)" or "UserPIN (L)"? */
bool ks_p11_label_means(const char *have, const char *wanted);

#endif
