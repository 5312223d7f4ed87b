/* SPDX-License-Identifier: Apache-2.0 */
#include "curve.h"

#include <string.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/objects.h>

#define WIDTH_MOST 66

static const int curves[] = { NID_X9_62_prime256v1, NID_secp384r1,       NID_secp521r1,      NID_secp256k1,
			      NID_brainpoolP256r1,  NID_brainpoolP384r1, NID_brainpoolP512r1 };

static size_t width_of(const EC_GROUP *group)
{
	return ((size_t)EC_GROUP_get_degree(group) + 7) / 8;
}

static bool is_over(const EC_GROUP *group, struct slice prime)
{
	uint8_t bytes[WIDTH_MOST];
	BIGNUM *p = BN_new();
	bool same = p && group && width_of(group) == prime.length && EC_GROUP_get_curve(group, p, NULL, NULL, NULL) &&
		    BN_bn2binpad(p, bytes, (int)prime.length) > 0 && memcmp(bytes, prime.at, prime.length) == 0;

	BN_free(p);
	return same;
}

const char *curve_of_prime(struct slice prime)
{
	for (size_t i = 0; i < sizeof(curves) / sizeof(*curves); i++) {
		EC_GROUP *group = EC_GROUP_new_by_curve_name(curves[i]);
		bool found = is_over(group, prime);

		EC_GROUP_free(group);
		if (found)
			return OBJ_nid2sn(curves[i]);
	}
	return NULL;
}

static EC_GROUP *group_of(EVP_PKEY *key)
{
	char name[64];

	if (!EVP_PKEY_get_group_name(key, name, sizeof(name), NULL))
		return NULL;
	return EC_GROUP_new_by_curve_name(OBJ_txt2nid(name));
}

size_t curve_width(EVP_PKEY *key)
{
	return ((size_t)EVP_PKEY_get_bits(key) + 7) / 8;
}

static void add_number(struct buffer *out, unsigned tag, const BIGNUM *number, size_t width)
{
	uint8_t bytes[WIDTH_MOST];

	if (BN_bn2binpad(number, bytes, (int)width) < 0)
		out->overflowed = true;
	else
		buffer_add_tlv(out, tag, (struct slice){ bytes, width });
}

bool curve_add_domain(struct buffer *out, EVP_PKEY *key)
{
	EC_GROUP *group = group_of(key);
	BIGNUM *p = BN_new(), *a = BN_new(), *b = BN_new();
	uint8_t base[2 * WIDTH_MOST + 1];
	size_t length;
	bool known = group && p && a && b && EC_GROUP_get_curve(group, p, a, b, NULL);

	if (known) {
		length = EC_POINT_point2oct(group, EC_GROUP_get0_generator(group), POINT_CONVERSION_UNCOMPRESSED, base,
					    sizeof(base), NULL);
		add_number(out, 0x81, p, width_of(group));
		add_number(out, 0x82, a, width_of(group));
		add_number(out, 0x83, b, width_of(group));
		buffer_add_tlv(out, 0x84, (struct slice){ base, length });
		add_number(out, 0x85, EC_GROUP_get0_order(group), width_of(group));
	}
	BN_free(p);
	BN_free(a);
	BN_free(b);
	EC_GROUP_free(group);
	return known;
}
