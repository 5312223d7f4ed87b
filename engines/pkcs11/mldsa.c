/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The three parameter sets of ML-DSA.
 */
#include "mldsa.h"

#define OID(last)                                                                                                      \
	{                                                                                                              \
		(const unsigned char *)"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03" last, 11                             \
	}

static const struct ks_p11_ml_dsa sets[] = {
	{ KS_KEY_ML_DSA_44, CKP_ML_DSA_44, 1312, OID("\x11") },
	{ KS_KEY_ML_DSA_65, CKP_ML_DSA_65, 1952, OID("\x12") },
	{ KS_KEY_ML_DSA_87, CKP_ML_DSA_87, KS_P11_ML_DSA_LONGEST, OID("\x13") },
};

const struct ks_p11_ml_dsa *ks_p11_ml_dsa_of(enum ks_key_type type)
{
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		if (sets[i].type == type)
			return &sets[i];
	}
	return NULL;
}

const struct ks_p11_ml_dsa *ks_p11_ml_dsa_set(CK_ULONG set)
{
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		if (sets[i].set == set)
			return &sets[i];
	}
	return NULL;
}
