/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cryptoki's numbers by their names, and how much of an attribute's value may be told.
 */
#ifndef KS_P11_NAMES_H
#define KS_P11_NAMES_H

#include <p11-kit/pkcs11.h>

#include <stddef.h>

/* What an attribute's value is, and so how it is told. */
enum ks_p11_shape {
	KS_P11_SECRET, /* never told; also whatever is not known */
	KS_P11_TRUTH,
	KS_P11_COUNT,
	KS_P11_CLASS,
	KS_P11_KEY_KIND,
	KS_P11_CERTIFICATE_KIND,
	KS_P11_MECHANISM,
	KS_P11_TEXT,
	KS_P11_BYTES,
	KS_P11_DIGEST, /* public, but long */
};

/* "CKM_ECDSA", "CKO_PRIVATE_KEY", "CKK_EC", "CKC_X_509", "CKA_LABEL"; NULL for a number without a name. */
const char *ks_p11_mechanism_name(CK_MECHANISM_TYPE type);
const char *ks_p11_class_name(CK_OBJECT_CLASS type);
const char *ks_p11_key_type_name(CK_KEY_TYPE type);
const char *ks_p11_certificate_type_name(CK_CERTIFICATE_TYPE type);
const char *ks_p11_attribute_name(CK_ATTRIBUTE_TYPE type);
enum ks_p11_shape ks_p11_attribute_shape(CK_ATTRIBUTE_TYPE type);

#endif
