/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The codes that modules answer with, each with what it means, why it comes, and what to do.
 */
#ifndef KS_P11_CODES_H
#define KS_P11_CODES_H

#include <p11-kit/pkcs11.h>

#include <stddef.h>

struct ks_p11_code {
	CK_RV rv;
	const char *name; /* "CKR_PIN_INCORRECT"; words of ours for answers that cannot be true */
	int status;
	const char *words; /* the end of a sentence that starts with the token or the module */
	const char *causes; /* sentences */
	const char *next; /* as the hint of a message; TOKEN stands for an address */
};

/* The n-th, counted from 0; NULL behind the last. */
const struct ks_p11_code *ks_p11_code_nth(size_t n);

#endif
