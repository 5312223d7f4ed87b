/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of quirks. Each row tells how it was seen; tests/unit/quirks_test.c names each row, and the matrix of tests/tokens runs
 * the devices.
 */
#include "quirks.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* Fields are compared from their start; NULL fits everything. Versions of the library: from .. to, 0.0 = open. */
static const struct row {
	const char *library, *manufacturer, *model;
	CK_VERSION from, to;
	unsigned quirks;
} rows[] = {
	/*
	 * NSS softoken 3.87 (sql and dbm). Every token says 0000000000000000. A certificate under a label that another subject has is
	 * refused (CKR_ATTRIBUTE_VALUE_INVALID), as is (CKR_GENERAL_ERROR) a second one of an issuer and serial number. CKA_LOCAL is
	 * false for keys that it made. A dbm database (key3.db) gives both halves the hash of their public value as CKA_ID, and reads a new
	 * label of theirs back as the old one until it is opened anew.
	 */
	{ "Mozilla Foundation",
	  "Mozilla Foundation",
	  "NSS 3",
	  { 0, 0 },
	  { 0, 0 },
	  KS_P11_NO_SERIAL | KS_P11_NICKNAME_ONCE | KS_P11_CERTIFICATE_ONCE | KS_P11_OWN_IDS | KS_P11_ORIGIN_UNTOLD |
		  KS_P11_LATE_NAMES },
	/*
	 * tpm2-pkcs11 1.9 over swtpm. The token's manufacturer is the maker of the TPM, so only the library tells. Serial all zero.
	 * A template with CKA_ENCRYPT false and its like ends in CKR_GENERAL_ERROR ("attr mismatch: 0x10a" on its log) after the key
	 * was made; C_CreateObject of a private key is refused. The third wrong PIN started the TPM's lock-out (0x921), which passes
	 * with time, and CKF_USER_PIN_COUNT_LOW was never set.
	 */
	{ "tpm2-software",
	  NULL,
	  NULL,
	  { 0, 0 },
	  { 0, 0 },
	  KS_P11_NO_SERIAL | KS_P11_SHORT_TEMPLATE | KS_P11_NO_IMPORT | KS_P11_SILENT_LOCK },
	/*
	 * OpenSC 0.23 with a SmartCard-HSM (the Nitrokey HSM is one): a fresh key reads SENSITIVE, LOCAL and their like as 0 until the
	 * module is started again; destroying the private key hid certificate and public key; C_CreateObject of a private key is
	 * CKR_FUNCTION_NOT_SUPPORTED. A second certificate of an id is CKR_GENERAL_ERROR; setting CKA_LABEL of a public key object is
	 * CKR_ARGUMENTS_BAD once there is a certificate, from which it is made then.
	 */
	{ "OpenSC",
	  "www.CardContact.de",
	  NULL,
	  { 0, 0 },
	  { 0, 0 },
	  KS_P11_LATE_TRUTH | KS_P11_CERTIFICATE_GOES | KS_P11_NO_IMPORT | KS_P11_CERTIFICATE_PER_ID |
		  KS_P11_PUBLIC_FOLLOWS | KS_P11_OFFICER_LATE },
	/* opencryptoki 3.8's token in software, also behind p11-kit: every one of them has the serial number 123. */
	{ NULL, "IBM", "IBM SoftTok", { 0, 0 }, { 0, 0 }, KS_P11_NO_SERIAL },
	/* OpenSC 0.17 to 0.23, whatever the card: "walnut (UserPIN)", earlier "UserPIN (walnut)". */
	{ "OpenSC", NULL, NULL, { 0, 0 }, { 0, 0 }, KS_P11_LABEL_DECORATED },
	/* p11-kit-client 0.24.1 passed 36 of SoftHSM's 70 mechanisms on, without EdDSA; it shows itself as version 1.1. */
	{ "PKCS#11 Kit", NULL, NULL, { 0, 0 }, { 1, 1 }, KS_P11_HIDES_MECHANISMS },
};

static const struct {
	enum ks_p11_quirk quirk;
	const char *words;
} told[] = {
	{ KS_P11_NO_SERIAL, "its serial number says nothing; label, model, manufacturer and module tell it apart" },
	{ KS_P11_NICKNAME_ONCE, "one label on certificates belongs to one subject" },
	{ KS_P11_CERTIFICATE_ONCE, "it keeps one certificate for each issuer and serial number" },
	{ KS_P11_OWN_IDS, "it may give a new key an id of its own" },
	{ KS_P11_LATE_NAMES, "a new name may be seen only when it is opened anew" },
	{ KS_P11_ORIGIN_UNTOLD, "it does not tell whether a key was made in it" },
	{ KS_P11_LATE_TRUTH, "what it says of a new key is right only when it is opened anew" },
	{ KS_P11_CERTIFICATE_GOES, "a certificate vanishes together with its private key" },
	{ KS_P11_SHORT_TEMPLATE, "it cannot be told what a new key is not for" },
	{ KS_P11_NO_IMPORT, "it takes no private keys that were made elsewhere" },
	{ KS_P11_HIDES_MECHANISMS, "mechanisms that p11-kit does not know are not passed on, Ed25519 among them" },
	{ KS_P11_CERTIFICATE_PER_ID,
	  "a certificate is replaced by removing it first, because an id has one certificate" },
	{ KS_P11_PUBLIC_FOLLOWS, "a public key is called as its certificate is" },
	{ KS_P11_OFFICER_LATE, "its officer's PIN is looked at only when a user PIN is set" },
	{ KS_P11_SILENT_LOCK, "it locks for a while after few wrong PINs, and does not warn before" },
	{ KS_P11_LABEL_DECORATED, "its label shows the name of the PIN too, which an address may leave out" },
};

static bool field_begins(const unsigned char *field, const char *with)
{
	return !with || strncmp((const char *)field, with, strlen(with)) == 0;
}

static unsigned number(CK_VERSION version)
{
	return version.major * 256U + version.minor;
}

static bool version_within(CK_VERSION version, const struct row *row)
{
	return number(version) >= number(row->from) && (number(row->to) == 0 || number(version) <= number(row->to));
}

unsigned ks_p11_quirks(const CK_INFO *library, const CK_TOKEN_INFO *token)
{
	unsigned quirks = 0;

	for (size_t i = 0; i < COUNT(rows); i++) {
		if (field_begins(library->manufacturerID, rows[i].library) &&
		    field_begins(token->manufacturerID, rows[i].manufacturer) &&
		    field_begins(token->model, rows[i].model) && version_within(library->libraryVersion, &rows[i]))
			quirks |= rows[i].quirks;
	}
	return quirks;
}

const char *ks_p11_quirk_told(unsigned quirks, size_t n)
{
	if (n >= COUNT(told))
		return NULL;
	return quirks & told[n].quirk ? told[n].words : "";
}

/* OpenSC shows a card's PIN beside its label, as "L (UserPIN)" or, in older releases, as "UserPIN (L)"; both mean L. */
static bool decorated(const char *have, const char *wanted)
{
	size_t size = strlen(have), bare = strlen(wanted);

	if (bare == 0 || size < bare + 3 || have[size - 1] != ')')
		return false;
	if (strncmp(have, wanted, bare) == 0 && have[bare] == ' ' && have[bare + 1] == '(')
		return true;
	return strncmp(have + size - 1 - bare, wanted, bare) == 0 && have[size - bare - 2] == '(';
}

bool ks_p11_label_means(const char *have, const char *wanted)
{
	return strcmp(have, wanted) == 0 || decorated(have, wanted);
}
