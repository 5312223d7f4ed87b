/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PEM file with an address in it, `-----BEGIN PKCS#11 PROVIDER URI-----`, so that a program which only reads PEM files of keys
 * can use a key in a token. The form is pkcs11-provider's: a SEQUENCE of a VisibleString that says what it is, and a UTF8String
 * with the address. Ours may name every address of keystow.
 *
 * Two steps, as OpenSSL's own decoders have them: PEM to DER, which OSSL_STORE needs for its `file:` scheme, and DER to a key of one
 * type. OpenSSL tries them all in turn, so what is not for us is passed over without an error: that is what 1 means here.
 */
#include "pem_uri.h"

#include "address.h"

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/core_object.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/store.h>

#include <string.h>

#define PEM_NAME "PKCS#11 PROVIDER URI"
#define PREAMBLE "PKCS#11 Provider URI v1.0"
#define STRUCTURE "pk11-uri"
#define LONGEST 70000 /* bytes; an address has at most 65,536 */

/* The decoder has no state but its provider's. */
static void *decoder_new(void *provider)
{
	return provider;
}

static void decoder_free(void *state)
{
	(void)state;
}

static int decoder_selects(void *provider, int selection)
{
	(void)provider;
	return selection == 0 || (selection & (OSSL_KEYMGMT_SELECT_PRIVATE_KEY | OSSL_KEYMGMT_SELECT_PUBLIC_KEY));
}

/* ---- PEM ---- */

static int pem_decode(void *state, OSSL_CORE_BIO *in, int selection, OSSL_CALLBACK *callback, void *arg,
		      OSSL_PASSPHRASE_CALLBACK *ask, void *ask_arg)
{
	const struct instance *instance = state;
	BIO *bio = BIO_new_from_core_bio(instance->bios, in);
	char *name = NULL, *header = NULL;
	unsigned char *der = NULL;
	long size = 0;
	int ok = 1;

	(void)selection;
	(void)ask;
	(void)ask_arg;
	if (bio && PEM_read_bio(bio, &name, &header, &der, &size) && strcmp(name, PEM_NAME) == 0) {
		OSSL_PARAM params[] = {
			OSSL_PARAM_construct_octet_string(OSSL_OBJECT_PARAM_DATA, der, (size_t)size),
			OSSL_PARAM_construct_utf8_string(OSSL_OBJECT_PARAM_DATA_STRUCTURE, (char *)STRUCTURE, 0),
			OSSL_PARAM_construct_end(),
		};

		ok = callback(params, arg);
	}
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_free(der);
	BIO_free(bio);
	return ok;
}

/* ---- DER ---- */

static char *text_of(const ASN1_TYPE *value)
{
	const ASN1_STRING *string = value->value.asn1_string;
	size_t size = (size_t)ASN1_STRING_length(string);
	const char *text = (const char *)ASN1_STRING_get0_data(string);

	return memchr(text, 0, size) ? NULL : OPENSSL_strndup(text, size);
}

/* The address in a SEQUENCE { VisibleString, UTF8String }; NULL: it is something else. */
static char *address_in(const unsigned char *der, long size)
{
	ASN1_SEQUENCE_ANY *sequence = d2i_ASN1_SEQUENCE_ANY(NULL, &der, size);
	const ASN1_TYPE *first = sk_ASN1_TYPE_num(sequence) == 2 ? sk_ASN1_TYPE_value(sequence, 0) : NULL;
	const ASN1_TYPE *second = first ? sk_ASN1_TYPE_value(sequence, 1) : NULL;
	char *preamble = NULL, *address = NULL;

	if (first && first->type == V_ASN1_VISIBLESTRING && second->type == V_ASN1_UTF8STRING)
		preamble = text_of(first);
	if (preamble && strcmp(preamble, PREAMBLE) == 0)
		address = text_of(second);
	OPENSSL_free(preamble);
	sk_ASN1_TYPE_pop_free(sequence, ASN1_TYPE_free);
	return address;
}

static char *read_address(const struct instance *instance, OSSL_CORE_BIO *in)
{
	BIO *bio = BIO_new_from_core_bio(instance->bios, in);
	unsigned char *der = OPENSSL_malloc(LONGEST);
	int size = bio && der ? BIO_read(bio, der, LONGEST) : 0;
	char *address = NULL;

	ERR_set_mark();
	if (size > 0)
		address = address_in(der, size);
	ERR_pop_to_mark();
	OPENSSL_free(der);
	BIO_free(bio);
	return address;
}

/* The private key where one is wanted, else the public one; only of this decoder's type. */
static int give_key(struct objects *objects, const char *type, OSSL_CALLBACK *callback, void *arg)
{
	for (size_t i = 0; i < objects->count; i++) {
		if (objects->list[i].key && strcmp(objects->list[i].key->type, type) == 0)
			return object_give(&objects->list[i], callback, arg);
	}
	return 1;
}

static int der_decode(struct instance *instance, const char *type, OSSL_CORE_BIO *in, OSSL_CALLBACK *callback, void *arg,
		      OSSL_PASSPHRASE_CALLBACK *ask, void *ask_arg)
{
	char *address = read_address(instance, in);
	struct objects objects = { 0 };
	int ok = 1;

	if (!address)
		return 1;
	if (instance_enter(instance)) {
		ok = address_read(&objects, instance, address, OSSL_STORE_INFO_PKEY, ask, ask_arg) &&
		     give_key(&objects, type, callback, arg);
		objects_clear(&objects);
		instance_leave(instance);
	}
	OPENSSL_free(address);
	return ok;
}

#define DECODER(name, type)                                                                                            \
	static int name##_decode(void *state, OSSL_CORE_BIO *in, int selection, OSSL_CALLBACK *callback, void *arg,    \
				 OSSL_PASSPHRASE_CALLBACK *ask, void *ask_arg)                                         \
	{                                                                                                              \
		(void)selection;                                                                                       \
		return der_decode(state, type, in, callback, arg, ask, ask_arg);                                       \
	}
DECODER(rsa, "RSA")
DECODER(ec, "EC")
DECODER(ed25519, "ED25519")
DECODER(ml_dsa_44, "ML-DSA-44")
DECODER(ml_dsa_65, "ML-DSA-65")
DECODER(ml_dsa_87, "ML-DSA-87")

#define FUNCTION(id, function)                                                                                         \
	{                                                                                                              \
		id, (void (*)(void))(function)                                                                         \
	}
#define DECODER_FUNCTIONS(decode)                                                                                      \
	FUNCTION(OSSL_FUNC_DECODER_NEWCTX, decoder_new), FUNCTION(OSSL_FUNC_DECODER_FREECTX, decoder_free),            \
		FUNCTION(OSSL_FUNC_DECODER_DOES_SELECTION, decoder_selects), FUNCTION(OSSL_FUNC_DECODER_DECODE, decode)

static const OSSL_DISPATCH pem_functions[] = { DECODER_FUNCTIONS(pem_decode), { 0, NULL } };
static const OSSL_DISPATCH rsa_functions[] = { DECODER_FUNCTIONS(rsa_decode), { 0, NULL } };
static const OSSL_DISPATCH ec_functions[] = { DECODER_FUNCTIONS(ec_decode), { 0, NULL } };
static const OSSL_DISPATCH ed25519_functions[] = { DECODER_FUNCTIONS(ed25519_decode), { 0, NULL } };
static const OSSL_DISPATCH ml_dsa_44_functions[] = { DECODER_FUNCTIONS(ml_dsa_44_decode), { 0, NULL } };
static const OSSL_DISPATCH ml_dsa_65_functions[] = { DECODER_FUNCTIONS(ml_dsa_65_decode), { 0, NULL } };
static const OSSL_DISPATCH ml_dsa_87_functions[] = { DECODER_FUNCTIONS(ml_dsa_87_decode), { 0, NULL } };

#define FROM_DER "provider=keystow,input=der,structure=" STRUCTURE

const OSSL_ALGORITHM pem_uri_decoders[] = {
	{ "DER", "provider=keystow,input=pem", pem_functions, "PEM files that name a key" },
	{ "RSA:rsaEncryption:1.2.840.113549.1.1.1", FROM_DER, rsa_functions, NULL },
	{ "EC:id-ecPublicKey:1.2.840.10045.2.1", FROM_DER, ec_functions, NULL },
	{ "ED25519:1.3.101.112", FROM_DER, ed25519_functions, NULL },
	{ "ML-DSA-44:2.16.840.1.101.3.4.3.17", FROM_DER, ml_dsa_44_functions, NULL },
	{ "ML-DSA-65:2.16.840.1.101.3.4.3.18", FROM_DER, ml_dsa_65_functions, NULL },
	{ "ML-DSA-87:2.16.840.1.101.3.4.3.19", FROM_DER, ml_dsa_87_functions, NULL },
	{ NULL, NULL, NULL, NULL },
};
