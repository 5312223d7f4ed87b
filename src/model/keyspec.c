/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kinds of keys: the words people type, the words OpenSSL uses, and what a SubjectPublicKeyInfo says about itself.
 *
 * A public key is only measured here, never built: making an EVP_PKEY costs a hundred times the walk over its few
 * elements, and a store may hold ten thousand certificates.
 */
#include "keyspec.h"
#include "der.h"
#include "text.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/params.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define RSA_SMALLEST 2048
#define RSA_LARGEST 8192

/* How many bits, and where they are told. */
enum measure {
	FIXED, /* the type says it */
	MODULUS, /* first INTEGER of the key itself */
	PARAMETER, /* first INTEGER of the algorithm's parameters */
	NAMED_CURVE /* OID in the algorithm's parameters */
};

static const struct type_row {
	enum ks_key_type type;
	const char *word; /* "rsa" */
	const char *title; /* "RSA" */
	const char *openssl; /* key manager's name; NULL = read, not made */
	struct ks_bytes oid; /* content octets of the algorithm's OID */
	enum measure measure;
	unsigned bits;
	bool whole; /* it signs the whole text, and hashes by itself */
	const char *since; /* the OpenSSL that knows it first; NULL = all that keystow is built with */
} types[] = {
	{ KS_KEY_RSA,
	  "rsa",
	  "RSA",
	  "RSA",
	  { (const unsigned char *)"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01", 9 },
	  MODULUS,
	  2048 },
	{ KS_KEY_RSA_PSS,
	  "rsa-pss",
	  "RSA-PSS",
	  "RSA-PSS",
	  { (const unsigned char *)"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a", 9 },
	  MODULUS,
	  2048 },
	{ KS_KEY_EC, "ec", "EC", "EC", { (const unsigned char *)"\x2a\x86\x48\xce\x3d\x02\x01", 7 }, NAMED_CURVE, 256 },
	{ KS_KEY_ED25519,
	  "ed25519",
	  "Ed25519",
	  "ED25519",
	  { (const unsigned char *)"\x2b\x65\x70", 3 },
	  FIXED,
	  256,
	  true },
	{ KS_KEY_ED448, "ed448", "Ed448", "ED448", { (const unsigned char *)"\x2b\x65\x71", 3 }, FIXED, 456, true },
	/* RFC 9881 2: an OID for each parameter set, no parameters. */
	{ KS_KEY_ML_DSA_44,
	  "ml-dsa-44",
	  "ML-DSA-44",
	  "ML-DSA-44",
	  { (const unsigned char *)"\x60\x86\x48\x01\x65\x03\x04\x03\x11", 9 },
	  FIXED,
	  1312 * 8,
	  true,
	  "3.5" },
	{ KS_KEY_ML_DSA_65,
	  "ml-dsa-65",
	  "ML-DSA-65",
	  "ML-DSA-65",
	  { (const unsigned char *)"\x60\x86\x48\x01\x65\x03\x04\x03\x12", 9 },
	  FIXED,
	  1952 * 8,
	  true,
	  "3.5" },
	{ KS_KEY_ML_DSA_87,
	  "ml-dsa-87",
	  "ML-DSA-87",
	  "ML-DSA-87",
	  { (const unsigned char *)"\x60\x86\x48\x01\x65\x03\x04\x03\x13", 9 },
	  FIXED,
	  2592 * 8,
	  true,
	  "3.5" },
	{ KS_KEY_X25519, "x25519", "X25519", NULL, { (const unsigned char *)"\x2b\x65\x6e", 3 }, FIXED, 256 },
	{ KS_KEY_X448, "x448", "X448", NULL, { (const unsigned char *)"\x2b\x65\x6f", 3 }, FIXED, 448 },
	{ KS_KEY_DSA, "dsa", "DSA", NULL, { (const unsigned char *)"\x2a\x86\x48\xce\x38\x04\x01", 7 }, PARAMETER, 0 },
	{ KS_KEY_DH,
	  "dh",
	  "DH",
	  NULL,
	  { (const unsigned char *)"\x2a\x86\x48\x86\xf7\x0d\x01\x03\x01", 9 },
	  PARAMETER,
	  0 },
};

static const struct curve_row {
	int nid;
	unsigned bits;
	const char *word; /* "p256"; NULL = by OpenSSL's short name */
	const char *title;
	struct ks_bytes oid;
} curves[] = {
	{ NID_X9_62_prime256v1,
	  256,
	  "p256",
	  "P-256",
	  { (const unsigned char *)"\x2a\x86\x48\xce\x3d\x03\x01\x07", 8 } },
	{ NID_secp384r1, 384, "p384", "P-384", { (const unsigned char *)"\x2b\x81\x04\x00\x22", 5 } },
	{ NID_secp521r1, 521, "p521", "P-521", { (const unsigned char *)"\x2b\x81\x04\x00\x23", 5 } },
	{ NID_secp256k1, 256, NULL, NULL, { (const unsigned char *)"\x2b\x81\x04\x00\x0a", 5 } },
	{ NID_secp224r1, 224, NULL, NULL, { (const unsigned char *)"\x2b\x81\x04\x00\x21", 5 } },
	{ NID_X9_62_prime192v1, 192, NULL, NULL, { (const unsigned char *)"\x2a\x86\x48\xce\x3d\x03\x01\x01", 8 } },
};

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static const struct type_row *type_row(enum ks_key_type type)
{
	for (size_t i = 0; i < COUNT(types); i++) {
		if (types[i].type == type)
			return &types[i];
	}
	return NULL;
}

static const struct curve_row *curve_row(int nid)
{
	for (size_t i = 0; i < COUNT(curves); i++) {
		if (curves[i].nid == nid)
			return &curves[i];
	}
	return NULL;
}

/* ---- what people type ---- */

/* Every word with what it means; the list of words and the table of meanings are both made of it. */
#define WORDS(ROW)                                                                                                     \
	ROW("rsa", KS_KEY_RSA, 2048, 0)                                                                                \
	ROW("rsa:2048", KS_KEY_RSA, 2048, 0)                                                                           \
	ROW("rsa:3072", KS_KEY_RSA, 3072, 0)                                                                           \
	ROW("rsa:4096", KS_KEY_RSA, 4096, 0)                                                                           \
	ROW("rsa-pss", KS_KEY_RSA_PSS, 2048, 0)                                                                        \
	ROW("rsa-pss:2048", KS_KEY_RSA_PSS, 2048, 0)                                                                   \
	ROW("rsa-pss:3072", KS_KEY_RSA_PSS, 3072, 0)                                                                   \
	ROW("rsa-pss:4096", KS_KEY_RSA_PSS, 4096, 0)                                                                   \
	ROW("ec", KS_KEY_EC, 256, NID_X9_62_prime256v1)                                                                \
	ROW("ec:p256", KS_KEY_EC, 256, NID_X9_62_prime256v1)                                                           \
	ROW("ec:p384", KS_KEY_EC, 384, NID_secp384r1)                                                                  \
	ROW("ec:p521", KS_KEY_EC, 521, NID_secp521r1)                                                                  \
	ROW("p256", KS_KEY_EC, 256, NID_X9_62_prime256v1)                                                              \
	ROW("p384", KS_KEY_EC, 384, NID_secp384r1)                                                                     \
	ROW("p521", KS_KEY_EC, 521, NID_secp521r1)                                                                     \
	ROW("ed25519", KS_KEY_ED25519, 256, 0)                                                                         \
	ROW("ed448", KS_KEY_ED448, 456, 0)                                                                             \
	ROW("ml-dsa-44", KS_KEY_ML_DSA_44, 1312 * 8, 0)                                                                \
	ROW("ml-dsa-65", KS_KEY_ML_DSA_65, 1952 * 8, 0)                                                                \
	ROW("ml-dsa-87", KS_KEY_ML_DSA_87, 2592 * 8, 0)

#define WORD_OF(word, type, bits, curve) word,
#define MEANING_OF(word, type, bits, curve) { type, bits, curve },
static const char *const words[] = { WORDS(WORD_OF) NULL };
static const struct ks_keyspec meanings[] = { WORDS(MEANING_OF) };

const char *const *ks_keyspec_words(void)
{
	return words;
}

/* "rsa:2560" and "rsa-pss:5120": sizes that have no word of their own. */
static int parse_rsa(struct ks_keyspec *out, struct ks_ctx *ctx, enum ks_key_type type, const char *digits)
{
	size_t length = strspn(digits, "0123456789");
	unsigned long bits = length && length < 6 ? strtoul(digits, NULL, 10) : 0;

	if (digits[length] != '\0' || bits == 0 || bits % 8 || bits > RSA_LARGEST)
		return ks_hint(ctx, ks_fail(ctx, KS_EUSAGE, "an RSA key cannot have \"%.16s\" bits", digits),
			       "choose 2048, 3072 or 4096");
	if (bits < RSA_SMALLEST)
		return ks_hint(ctx, ks_fail(ctx, KS_EWEAK, "an RSA key of %lu bits is too weak", bits),
			       "choose 2048, 3072 or 4096");
	*out = (struct ks_keyspec){ type, (unsigned)bits, 0 };
	return 0;
}

int ks_keyspec_parse(struct ks_keyspec *out, struct ks_ctx *ctx, const char *text)
{
	ks_auto_mem char *shown = NULL;
	const char *near;

	for (size_t i = 0; words[i]; i++) {
		if (strcasecmp(text, words[i]) == 0) {
			*out = meanings[i];
			return 0;
		}
	}
	if (strncasecmp(text, "rsa:", 4) == 0)
		return parse_rsa(out, ctx, KS_KEY_RSA, text + 4);
	if (strncasecmp(text, "rsa-pss:", 8) == 0)
		return parse_rsa(out, ctx, KS_KEY_RSA_PSS, text + 8);
	shown = ks_text_show(ks_bytes_of(text));
	near = ks_nearest(text, words);
	ks_fail(ctx, KS_EUSAGE, "there is no key type \"%s\"%s%s%s", shown ? shown : "", near ? "; did you mean " : "",
		near ? near : "", near ? "?" : "");
	return ks_hint(
		ctx, KS_EUSAGE,
		"key types: rsa:2048, rsa:3072, rsa:4096, rsa-pss:2048, ec:p256, ec:p384, ec:p521, ed25519, ed448, "
		"ml-dsa-44, ml-dsa-65, ml-dsa-87");
}

/* ---- what is shown ---- */

static const char *curve_name(const struct ks_keyspec *spec, bool title)
{
	const struct curve_row *row = curve_row(spec->curve);

	if (row && row->word)
		return title ? row->title : row->word;
	return spec->curve ? OBJ_nid2sn(spec->curve) : NULL;
}

static void spec_text(char out[32], const struct ks_keyspec *spec, bool title)
{
	const struct type_row *row = type_row(spec->type);
	const char *name = row ? (title ? row->title : row->word) : "unknown";
	const char *curve = spec->type == KS_KEY_EC ? curve_name(spec, title) : NULL;
	char between = title ? ' ' : ':';

	if (curve)
		snprintf(out, 32, "%s%c%s", name, between, curve);
	else if (row && row->measure != FIXED && spec->bits)
		snprintf(out, 32, "%s%c%u", name, between, spec->bits);
	else
		snprintf(out, 32, "%s", name);
}

void ks_keyspec_text(char out[32], const struct ks_keyspec *spec)
{
	spec_text(out, spec, false);
}

void ks_keyspec_title(char out[32], const struct ks_keyspec *spec)
{
	spec_text(out, spec, true);
}

/* ---- what a public key says ---- */

/* Bits of the first INTEGER in a SEQUENCE; 0 = there is none. */
static unsigned first_integer_bits(struct ks_bytes sequence)
{
	struct ks_der outer, number;
	struct ks_bytes rest, octets;
	unsigned bits;

	if (ks_der_expect(&outer, &sequence, KS_DER_SEQUENCE) < 0)
		return 0;
	rest = outer.content;
	if (ks_der_expect(&number, &rest, KS_DER_INTEGER) < 0)
		return 0;
	octets = number.content;
	while (octets.size && octets.data[0] == 0)
		octets = KS_BYTES(octets.data + 1, octets.size - 1);
	if (octets.size == 0 || octets.size > 1 << 16)
		return 0;
	bits = (unsigned)octets.size * 8;
	for (unsigned top = octets.data[0]; !(top & 0x80); top <<= 1)
		bits--;
	return bits;
}

/* A curve that is not in the table: OpenSSL may know it. */
static void measure_other_curve(struct ks_keyspec *spec, struct ks_der oid)
{
	const unsigned char *at = oid.whole.data;
	ASN1_OBJECT *object = d2i_ASN1_OBJECT(NULL, &at, (long)oid.whole.size);
	EC_GROUP *group;

	spec->curve = object ? OBJ_obj2nid(object) : 0;
	ASN1_OBJECT_free(object);
	group = spec->curve ? EC_GROUP_new_by_curve_name(spec->curve) : NULL;
	if (group)
		spec->bits = (unsigned)EC_GROUP_get_degree(group);
	EC_GROUP_free(group);
}

static void measure_curve(struct ks_keyspec *spec, struct ks_bytes parameters)
{
	struct ks_der oid;

	if (ks_der_only(&oid, parameters, KS_DER_OID) < 0)
		return;
	for (size_t i = 0; i < COUNT(curves); i++) {
		if (ks_bytes_equal(oid.content, curves[i].oid)) {
			spec->curve = curves[i].nid;
			spec->bits = curves[i].bits;
			return;
		}
	}
	measure_other_curve(spec, oid);
}

static void measure(struct ks_keyspec *spec, const struct type_row *row, struct ks_bytes parameters,
		    struct ks_bytes key)
{
	spec->type = row->type;
	switch (row->measure) {
	case FIXED:
		spec->bits = row->bits;
		break;
	case MODULUS:
		spec->bits = first_integer_bits(key);
		break;
	case PARAMETER:
		spec->bits = first_integer_bits(parameters);
		break;
	case NAMED_CURVE:
		measure_curve(spec, parameters);
		break;
	}
}

struct ks_keyspec ks_keyspec_of_spki(struct ks_bytes spki)
{
	struct ks_keyspec spec = { 0 };
	struct ks_der outer, algorithm, oid, bits;
	struct ks_bytes rest, parameters;

	if (ks_der_only(&outer, spki, KS_DER_SEQUENCE) < 0)
		return spec;
	rest = outer.content;
	if (ks_der_expect(&algorithm, &rest, KS_DER_SEQUENCE) < 0 || ks_der_expect(&bits, &rest, KS_DER_BITS) < 0 ||
	    bits.content.size < 1)
		return spec;
	parameters = algorithm.content;
	if (ks_der_expect(&oid, &parameters, KS_DER_OID) < 0)
		return spec;
	for (size_t i = 0; i < COUNT(types); i++) {
		if (ks_bytes_equal(oid.content, types[i].oid)) {
			measure(&spec, &types[i], parameters, KS_BYTES(bits.content.data + 1, bits.content.size - 1));
			break;
		}
	}
	return spec;
}

/* The octets of the BIT STRING; absent when it is not one of whole octets. */
static struct ks_bytes key_octets(struct ks_bytes spki)
{
	struct ks_der whole, algorithm, bits;
	struct ks_bytes rest;

	if (ks_der_only(&whole, spki, KS_DER_SEQUENCE) < 0)
		return KS_NONE;
	rest = whole.content;
	if (ks_der_next(&algorithm, &rest) < 0 || ks_der_expect(&bits, &rest, KS_DER_BITS) < 0 || rest.size ||
	    bits.content.size < 2 || bits.content.data[0] != 0)
		return KS_NONE;
	return KS_BYTES(bits.content.data + 1, bits.content.size - 1);
}

int ks_spki_id(unsigned char out[20], struct ks_bytes spki)
{
	struct ks_bytes octets = key_octets(spki);

	if (!octets.data)
		return KS_EDAMAGED;
	SHA1(octets.data, octets.size, out);
	return 0;
}

/* An uncompressed point on a curve of ours; NULL for everything else, which the decoders may understand. */
static EVP_PKEY *key_of_point(struct ks_ctx *ctx, struct ks_bytes spki)
{
	struct ks_keyspec spec = ks_keyspec_of_spki(spki);
	const struct curve_row *curve = spec.type == KS_KEY_EC ? curve_row(spec.curve) : NULL;
	struct ks_bytes point = key_octets(spki);
	ks_auto_ssl(EVP_PKEY_CTX) import = NULL;
	OSSL_PARAM parts[3];
	EVP_PKEY *key = NULL;

	if (!curve || !curve->word || point.size != 1 + 2 * ((curve->bits + 7) / 8) || point.data[0] != 4)
		return NULL;
	parts[0] = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)OBJ_nid2sn(curve->nid), 0);
	parts[1] = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)point.data, point.size);
	parts[2] = OSSL_PARAM_construct_end();
	import = EVP_PKEY_CTX_new_from_name(ks_crypto(ctx), "EC", "provider=default");
	if (!import || EVP_PKEY_fromdata_init(import) <= 0 ||
	    EVP_PKEY_fromdata(import, &key, EVP_PKEY_PUBLIC_KEY, parts) <= 0)
		return NULL;
	return key;
}

int ks_spki_key(EVP_PKEY **out, struct ks_ctx *ctx, struct ks_bytes spki)
{
	const unsigned char *at = spki.data;
	EVP_PKEY *key = key_of_point(ctx, spki);

	if (!key)
		key = d2i_PUBKEY_ex(NULL, &at, (long)spki.size, ks_crypto(ctx), "provider=default");
	if (!key)
		return ks_fail_openssl(ctx, KS_EDAMAGED, "the public key cannot be decoded");
	*out = key;
	return 0;
}

const char *ks_pkey_digest(const EVP_PKEY *key)
{
	for (size_t i = 0; i < COUNT(types); i++) {
		if (types[i].whole && EVP_PKEY_is_a(key, types[i].openssl))
			return NULL;
	}
	return "SHA256";
}

/* ---- making one ---- */

static int make_parameters(EVP_PKEY_CTX *maker, const struct ks_keyspec *spec)
{
	switch (spec->type) {
	case KS_KEY_RSA:
	case KS_KEY_RSA_PSS:
		return EVP_PKEY_CTX_set_rsa_keygen_bits(maker, (int)spec->bits);
	case KS_KEY_EC:
		return EVP_PKEY_CTX_set_group_name(maker, OBJ_nid2sn(spec->curve));
	default:
		return 1;
	}
}

int ks_keyspec_known(struct ks_ctx *ctx, const struct ks_keyspec *spec)
{
	const struct type_row *row = type_row(spec->type);
	ks_auto_ssl(EVP_PKEY_CTX) known = NULL;

	if (!row || !row->since)
		return 0;
	known = EVP_PKEY_CTX_new_from_name(ks_crypto(ctx), row->openssl, "provider=default");
	if (known)
		return 0;
	return ks_hint(ctx,
		       ks_fail_openssl(ctx, KS_EUNABLE, "OpenSSL %s, which keystow runs on here, has no %s",
				       OpenSSL_version(OPENSSL_VERSION_STRING), row->title),
		       "OpenSSL %s and newer have it", row->since);
}

int ks_keyspec_make(EVP_PKEY **out, struct ks_ctx *ctx, const struct ks_keyspec *spec)
{
	const struct type_row *row = type_row(spec->type);
	ks_auto_ssl(EVP_PKEY_CTX) maker = NULL;
	EVP_PKEY *pair = NULL;
	char title[32];
	int rc = ks_keyspec_known(ctx, spec);

	if (rc < 0)
		return rc;
	ks_keyspec_title(title, spec);
	if (!row || !row->openssl)
		return ks_fail(ctx, KS_EUNABLE, "keystow does not make %s keys", title);
	maker = EVP_PKEY_CTX_new_from_name(ks_crypto(ctx), row->openssl, NULL);
	if (!maker || EVP_PKEY_keygen_init(maker) <= 0 || make_parameters(maker, spec) <= 0 ||
	    EVP_PKEY_generate(maker, &pair) <= 0)
		return ks_fail_openssl(ctx, KS_EALGORITHM, "OpenSSL could not make a %s key", title);
	*out = pair;
	return 0;
}
