/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ML-DSA (FIPS 204) in PKCS#11 3.2: one type of key and one mechanism, with a parameter set beside them.
 *
 * The public key is CKA_VALUE, bare. The numbers are those of the standard's pkcs11t.h, which p11-kit's header has from 0.26 on.
 */
#ifndef KS_P11_MLDSA_H
#define KS_P11_MLDSA_H

#include "calls.h"
#include "keyspec.h"

#ifndef CKK_ML_DSA
#define CKK_ML_DSA 0x4aUL
#define CKM_ML_DSA_KEY_PAIR_GEN 0x1cUL
#define CKM_ML_DSA 0x1dUL
#define CKA_PARAMETER_SET 0x61dUL
#define CKP_ML_DSA_44 1UL
#define CKP_ML_DSA_65 2UL
#define CKP_ML_DSA_87 3UL
#endif

#define KS_P11_ML_DSA_LONGEST 2592 /* bytes of a public key: ML-DSA-87 */

struct ks_p11_ml_dsa {
	enum ks_key_type type;
	CK_ULONG set; /* CKP_ML_DSA_... */
	size_t public_size; /* FIPS 204, table 2 */
	struct ks_bytes oid; /* DER, as an AlgorithmIdentifier has it (RFC 9881 2) */
};

/* NULL for keys of another type. */
const struct ks_p11_ml_dsa *ks_p11_ml_dsa_of(enum ks_key_type type);
/* NULL for a set that the standard does not have. */
const struct ks_p11_ml_dsa *ks_p11_ml_dsa_set(CK_ULONG set);

#endif
