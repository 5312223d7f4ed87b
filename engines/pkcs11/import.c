/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys from outside: a private key that existed before as a file, and public keys.
 *
 * The secret parts go from OpenSSL's secure numbers into a secret buffer and from there to the token; nothing of them stays here.
 */
#include "import.h"
#include "import_proof.h"
#include "put.h"
#include "der.h"
#include "keygen.h"
#include "quirks.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/x509.h>

#include <string.h>

static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;

struct template
{
	CK_ATTRIBUTE at[32];
	CK_ULONG count;
};

static void say(struct template *template, CK_ATTRIBUTE_TYPE type, const void *value, size_t size)
{
	template->at[template->count++] = (CK_ATTRIBUTE){ type, (void *)value, size };
}

static void say_bool(struct template *template, CK_ATTRIBUTE_TYPE type, bool value)
{
	say(template, type, value ? &yes : &no, sizeof(CK_BBOOL));
}

/* One number of the key, put behind what `secret` holds already. */
static bool say_number(struct template *template, struct ks_buffer *secret, const EVP_PKEY *key, CK_ATTRIBUTE_TYPE type,
		       const char *name, size_t width)
{
	BIGNUM *number = NULL;
	unsigned char *place;
	int size;
	bool ok;

	if (!EVP_PKEY_get_bn_param(key, name, &number))
		return false;
	size = width ? (int)width : BN_num_bytes(number);
	place = ks_buffer_room(secret, (size_t)size);
	ok = place && BN_bn2binpad(number, place, size) == size;
	BN_clear_free(number);
	if (!ok)
		return false;
	say(template, type, place, (size_t)size);
	secret->size += (size_t)size;
	return true;
}

static bool say_rsa(struct template *template, struct ks_buffer *secret, const EVP_PKEY *key, bool private_half)
{
	static const struct {
		CK_ATTRIBUTE_TYPE type;
		const char *name;
	} parts[] = {
		{ CKA_MODULUS, OSSL_PKEY_PARAM_RSA_N },
		{ CKA_PUBLIC_EXPONENT, OSSL_PKEY_PARAM_RSA_E },
		{ CKA_PRIVATE_EXPONENT, OSSL_PKEY_PARAM_RSA_D },
		{ CKA_PRIME_1, OSSL_PKEY_PARAM_RSA_FACTOR1 },
		{ CKA_PRIME_2, OSSL_PKEY_PARAM_RSA_FACTOR2 },
		{ CKA_EXPONENT_1, OSSL_PKEY_PARAM_RSA_EXPONENT1 },
		{ CKA_EXPONENT_2, OSSL_PKEY_PARAM_RSA_EXPONENT2 },
		{ CKA_COEFFICIENT, OSSL_PKEY_PARAM_RSA_COEFFICIENT1 },
	};
	size_t count = private_half ? sizeof(parts) / sizeof(parts[0]) : 2;

	for (size_t i = 0; i < count; i++) {
		if (!say_number(template, secret, key, parts[i].type, parts[i].name, 0))
			return false;
	}
	return true;
}

static bool say_ec_private(struct template *template, struct ks_buffer *secret, const EVP_PKEY *key,
			   const struct ks_keyspec *spec)
{
	struct ks_bytes curve;

	if (ks_p11_curve(&curve, spec, false) < 0)
		return false;
	say(template, CKA_EC_PARAMS, curve.data, curve.size);
	return say_number(template, secret, key, CKA_VALUE, OSSL_PKEY_PARAM_PRIV_KEY, (spec->bits + 7) / 8);
}

static bool say_ed_private(struct template *template, struct ks_buffer *secret, const EVP_PKEY *key,
			   const struct ks_keyspec *spec)
{
	unsigned char *place = ks_buffer_room(secret, 32);
	struct ks_bytes curve;
	size_t size = 32;

	if (!place || ks_p11_curve(&curve, spec, false) < 0 || EVP_PKEY_get_raw_private_key(key, place, &size) != 1 ||
	    size != 32)
		return false;
	say(template, CKA_EC_PARAMS, curve.data, curve.size);
	say(template, CKA_VALUE, place, size);
	secret->size += size;
	return true;
}

/* CKA_EC_POINT is the point inside an OCTET STRING (PKCS#11 2.40, 2.3.3). */
static bool say_point(struct template *template, struct ks_buffer *room, const EVP_PKEY *key,
		      const struct ks_keyspec *spec)
{
	unsigned char point[200], header[10];
	struct ks_bytes curve;
	size_t size = sizeof(point), start = room->size;

	if (ks_p11_curve(&curve, spec, false) < 0)
		return false;
	if (spec->type == KS_KEY_ED25519
		    ? EVP_PKEY_get_raw_public_key(key, point, &size) != 1
		    : EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point), &size) != 1)
		return false;
	ks_buffer_put(room, header, ks_der_header(header, KS_DER_OCTETS, size));
	if (ks_buffer_put(room, point, size) < 0)
		return false;
	say(template, CKA_EC_PARAMS, curve.data, curve.size);
	say(template, CKA_EC_POINT, room->data + start, room->size - start);
	return true;
}

static CK_KEY_TYPE type_of(const struct ks_keyspec *spec)
{
	return spec->type == KS_KEY_RSA ? CKK_RSA : spec->type == KS_KEY_EC ? CKK_EC : CKK_EC_EDWARDS;
}

static int unsuitable(struct ks_p11_token *token, const struct ks_keyspec *spec)
{
	char title[32];

	ks_keyspec_title(title, spec);
	return ks_hint(token->ctx,
		       ks_fail_openssl(token->ctx, KS_EUNABLE, "keystow does not put %s keys into tokens", title),
		       "RSA, EC P-256, P-384, P-521 and Ed25519 keys are put");
}

/* ---- public keys ---- */

static bool public_kept(const struct ks_p11_token *token, const struct ks_p11_object *object, struct ks_bytes spki,
			struct ks_bytes label, struct ks_bytes id)
{
	return ks_bytes_equal(object->spki, spki) && (label.size == 0 || ks_bytes_equal(object->label, label)) &&
	       (token->quirks & KS_P11_OWN_IDS || ks_bytes_equal(object->id, id));
}

int ks_p11_put_public(CK_OBJECT_HANDLE *made, struct ks_p11_token *token, CK_SESSION_HANDLE session,
		      struct ks_bytes spki, struct ks_bytes label, struct ks_bytes id)
{
	static CK_OBJECT_CLASS class = CKO_PUBLIC_KEY;
	const unsigned char *at = spki.data;
	ks_auto_ssl(EVP_PKEY) key =
		d2i_PUBKEY_ex(NULL, &at, (long)spki.size, ks_crypto(token->ctx), "provider=default");
	ks_auto(buffer) room = ks_buffer_new(8192);
	struct ks_keyspec spec = ks_keyspec_of_spki(spki);
	CK_KEY_TYPE type = type_of(&spec);
	struct template template = { .count = 0 };
	const struct ks_p11_object *object = NULL;
	int rc;

	say(&template, CKA_CLASS, &class, sizeof(class));
	say(&template, CKA_KEY_TYPE, &type, sizeof(type));
	say_bool(&template, CKA_TOKEN, true);
	say_bool(&template, CKA_PRIVATE, false);
	say_bool(&template, CKA_VERIFY, true);
	say(&template, CKA_LABEL, label.data, label.size);
	say(&template, CKA_ID, id.data, id.size);
	if (!room || !ks_buffer_room(room, 8000))
		return ks_nomem(token->ctx);
	if (!key ||
	    !(spec.type == KS_KEY_RSA ? say_rsa(&template, room, key, false) : say_point(&template, room, key, &spec)))
		return unsuitable(token, &spec);
	rc = ks_p11_put(&object, token, session, template.at, template.count, id);
	if (rc < 0)
		return rc;
	*made = object->handle;
	if (public_kept(token, object, spki, label, id))
		return 0;
	rc = ks_p11_put_back(token, session, *made, ks_p11_failed(token->ctx, &token->on, KS_CKR_VALUE),
			     "the public key");
	*made = CK_INVALID_HANDLE;
	return rc;
}

/* ---- private keys ---- */

/* The token answered that it cannot: it takes no such key at all, or only wrapped by a key of its own (SmartCard-HSM). */
static int not_taken(struct ks_p11_token *token, const struct ks_keyspec *spec, int rc)
{
	const char *answer = ks_ctx_causes(token->ctx);
	ks_auto_mem char *kept = strdup(answer ? answer : "");
	char title[32];

	ks_keyspec_title(title, spec);
	rc = ks_hint(token->ctx,
		     ks_fail(token->ctx, rc, "token %s takes no %s private key from outside", token->shown, title),
		     "a key that it makes itself is the better one anyway: keystow generate '%s;object=LABEL'", token->uri);
	return kept && *kept ? ks_cause(token->ctx, rc, "%s", kept) : rc;
}

KS_FREES_SSL(PKCS8_PRIV_KEY_INFO)

static int key_of(EVP_PKEY **out, struct ks_p11_token *token, struct ks_item *item)
{
	ks_auto(buffer) pkcs8 = NULL;
	ks_auto_ssl(PKCS8_PRIV_KEY_INFO) info = NULL;
	const unsigned char *at;
	int rc = ks_item_pkcs8(&pkcs8, item, token->ctx);

	if (rc < 0)
		return rc;
	at = pkcs8->data;
	info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &at, (long)pkcs8->size);
	*out = info ? EVP_PKCS82PKEY_ex(info, ks_crypto(token->ctx), "provider=default") : NULL;
	return *out ? 0
		    : ks_fail_openssl(token->ctx, KS_EDAMAGED, "the private key for token %s cannot be decoded",
				      token->shown);
}

static int private_put(CK_OBJECT_HANDLE *made, struct ks_p11_token *token, CK_SESSION_HANDLE session,
		       EVP_PKEY *key, const struct ks_keyspec *spec, struct ks_bytes label, struct ks_bytes id)
{
	static CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	ks_auto(buffer) secret = ks_buffer_new_secret(16 * 1024);
	CK_KEY_TYPE type = type_of(spec);
	struct template template = { .count = 0 };
	const struct ks_p11_object *object = NULL;
	bool said;
	int rc;

	if (!secret)
		return ks_fail(token->ctx, KS_ENOMEM, "there is no locked memory left for the private key");
	say(&template, CKA_CLASS, &class, sizeof(class));
	say(&template, CKA_KEY_TYPE, &type, sizeof(type));
	say_bool(&template, CKA_TOKEN, true);
	say_bool(&template, CKA_PRIVATE, true);
	say_bool(&template, CKA_SENSITIVE, true);
	say_bool(&template, CKA_EXTRACTABLE, false);
	say_bool(&template, CKA_SIGN, true);
	say_bool(&template, CKA_DECRYPT, spec->type == KS_KEY_RSA);
	say_bool(&template, CKA_UNWRAP, false);
	say_bool(&template, CKA_DERIVE, false);
	say(&template, CKA_LABEL, label.data, label.size);
	say(&template, CKA_ID, id.data, id.size);
	said = spec->type == KS_KEY_RSA       ? say_rsa(&template, secret, key, true)
	       : spec->type == KS_KEY_EC      ? say_ec_private(&template, secret, key, spec)
	       : spec->type == KS_KEY_ED25519 ? say_ed_private(&template, secret, key, spec)
					      : false;
	if (!said)
		return unsuitable(token, spec);
	rc = ks_p11_put(&object, token, session, template.at, template.count, id);
	if (rc < 0)
		return rc == KS_EUNABLE ? not_taken(token, spec, rc) : rc;
	*made = object->handle;
	rc = ks_p11_import_prove(token, session, *made, key, spec);
	if (rc < 0) {
		rc = ks_p11_put_back(token, session, *made, rc, "the private key");
		*made = CK_INVALID_HANDLE;
	}
	return rc;
}

int ks_p11_import(CK_OBJECT_HANDLE made[2], struct ks_p11_token *token, CK_SESSION_HANDLE session, struct ks_item *item,
		  const struct ks_naming *naming)
{
	ks_auto_ssl(EVP_PKEY) key = NULL;
	ks_auto_mem char *named = ks_item_named(item);
	ks_auto(buffer) spki = ks_buffer_new(8192);
	struct ks_bytes label = naming->label.data ? naming->label : item->label, id;
	struct ks_keyspec spec;
	unsigned char room[20], *place;
	int size, rc = key_of(&key, token, item);

	if (rc < 0)
		return rc;
	size = i2d_PUBKEY(key, NULL);
	place = spki && size > 0 ? ks_buffer_room(spki, (size_t)size) : NULL;
	if (!place || i2d_PUBKEY(key, &place) != size)
		return ks_fail_openssl(token->ctx, KS_EDAMAGED, "the public half of the private key cannot be encoded");
	spki->size += (size_t)size;
	spec = ks_keyspec_of_spki(ks_buffer_bytes(spki));
	id = ks_p11_choose_id(token, ks_buffer_bytes(spki), naming->id, item->id, room);
	rc = ks_p11_put_public(&made[1], token, session, ks_buffer_bytes(spki), label, id);
	if (rc < 0)
		return rc;
	rc = private_put(&made[0], token, session, key, &spec, label, id);
	if (rc < 0)
		return ks_p11_put_back(token, session, made[1], rc, "its public half");
	ks_notice(token->ctx, KS_EWEAK, token->uri,
		  "a key that is made in the token exists nowhere else: keystow generate",
		  "%s was made outside of token %s, so other copies of it may exist", named ? named : "the private key",
		  token->shown);
	return 0;
}
