/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secret keys of JCEKS stores: between the Java objects that lie there and PKCS#8, in which PKCS#12 stores hold them.
 *
 * A record has a SealedObject; opened, it is a SecretKeySpec or a KeyRep (java.security), which are a name of an algorithm and bytes.
 * PKCS#8 has an OID in place of the name: Java's own table of the two is below. What Java calls by dotted numbers stays so.
 */
#include "jks.h"

#include "der.h"
#include "derive.h"
#include "java_object.h"
#include "key.h"
#include "text.h"

#include <openssl/objects.h>

#include <string.h>
#include <strings.h>

#define SEAL "PBEWithMD5AndTripleDES"
#define LONGEST_SECRET 16384

static const struct {
	const char *name, *oid;
} algorithms[] = {
	{ "AES", "\x60\x86\x48\x01\x65\x03\x04\x01" },
	{ "DES", "\x2b\x0e\x03\x02\x07" },
	{ "DESede", "\x2a\x86\x48\x86\xf7\x0d\x03\x07" },
	{ "RC2", "\x2a\x86\x48\x86\xf7\x0d\x03\x02" },
	{ "ARCFOUR", "\x2a\x86\x48\x86\xf7\x0d\x03\x04" },
	{ "Blowfish", "\x2b\x06\x01\x04\x01\x97\x55\x01\x01\x02" },
	{ "HmacMD5", "\x2b\x06\x01\x05\x05\x08\x01\x01" },
	{ "HmacSHA1", "\x2a\x86\x48\x86\xf7\x0d\x02\x07" },
	{ "HmacSHA224", "\x2a\x86\x48\x86\xf7\x0d\x02\x08" },
	{ "HmacSHA256", "\x2a\x86\x48\x86\xf7\x0d\x02\x09" },
	{ "HmacSHA384", "\x2a\x86\x48\x86\xf7\x0d\x02\x0a" },
	{ "HmacSHA512", "\x2a\x86\x48\x86\xf7\x0d\x02\x0b" },
	{ "PBEWithMD5AndDES", "\x2a\x86\x48\x86\xf7\x0d\x01\x05\x03" },
};

static const char *name_of(struct ks_bytes oid)
{
	for (size_t i = 0; i < sizeof(algorithms) / sizeof(*algorithms); i++) {
		if (ks_bytes_are(oid, algorithms[i].oid))
			return algorithms[i].name;
	}
	return NULL;
}

/* Java's names know no case. `room` takes an OID that the name spells out. */
static struct ks_bytes oid_of(struct ks_bytes name, unsigned char room[80])
{
	char text[80];
	ASN1_OBJECT *object;
	struct ks_bytes oid = KS_NONE;

	if (name.size >= sizeof(text))
		return KS_NONE;
	memcpy(text, name.data, name.size);
	text[name.size] = '\0';
	for (size_t i = 0; i < sizeof(algorithms) / sizeof(*algorithms); i++) {
		if (strcasecmp(algorithms[i].name, text) == 0)
			return ks_bytes_of(algorithms[i].oid);
	}
	object = OBJ_txt2obj(text, 1);
	if (object && OBJ_length(object) <= 80) {
		memcpy(room, OBJ_get0_data(object), OBJ_length(object));
		oid = KS_BYTES(room, OBJ_length(object));
	}
	ASN1_OBJECT_free(object);
	return oid;
}

/* ---- reading ---------------------------------------------------------------------------------------------------------------- */

bool ks_jceks_sealed_read(struct ks_jceks_sealed *out, struct ks_bytes object)
{
	struct ks_java_object sealed;

	if (ks_java_object_next(&sealed, &object) < 0 || !ks_bytes_are(ks_java_field(&sealed, "sealAlg"), SEAL))
		return false;
	out->parameters = ks_java_field(&sealed, "encodedParams");
	out->content = ks_java_field(&sealed, "encryptedContent");
	return out->parameters.size && out->content.size;
}

/* SEQUENCE { 0, SEQUENCE { algorithm, NULL }, OCTET STRING }: as Java writes a secret key into PKCS#12. */
static int pkcs8_put(struct ks_buffer *out, struct ks_bytes oid, struct ks_bytes key)
{
	size_t whole = ks_der_open(out, KS_DER_SEQUENCE), algorithm;

	ks_der_put_number(out, 0);
	algorithm = ks_der_open(out, KS_DER_SEQUENCE);
	ks_der_put(out, KS_DER_OID, oid);
	ks_der_put(out, KS_DER_NULL, KS_BYTES("", 0));
	ks_der_close(out, algorithm);
	ks_der_put(out, KS_DER_OCTETS, key);
	return ks_der_close(out, whole);
}

static int unknown(struct ks_ctx *ctx, const char *what, struct ks_bytes name)
{
	ks_auto_mem char *shown = ks_text_show(name);

	return ks_fail(ctx, KS_EALGORITHM, "it is %s %s, which keystow does not know", what, shown ? shown : "");
}

int ks_jceks_secret_clear(struct ks_buffer **out, struct ks_ctx *ctx, struct ks_bytes object)
{
	ks_auto(buffer) clear = NULL;
	struct ks_java_object key;
	struct ks_bytes name, bytes, oid;
	unsigned char room[80];

	if (ks_java_object_next(&key, &object) < 0)
		return ks_fail(ctx, KS_EPASSWORD, "the encrypted key does not open: wrong password, or it was changed");
	if (!ks_bytes_are(key.class_name, "javax.crypto.spec.SecretKeySpec") &&
	    !ks_bytes_are(key.class_name, "java.security.KeyRep"))
		return unknown(ctx, "of class", key.class_name);
	name = ks_java_field(&key, "algorithm");
	bytes = ks_java_field(&key, ks_bytes_are(key.class_name, "java.security.KeyRep") ? "encoded" : "key");
	if (!name.data || !bytes.data || bytes.size > LONGEST_SECRET)
		return ks_fail(ctx, KS_EDAMAGED, "the Java object in it is not a secret key");
	oid = oid_of(name, room);
	if (!oid.data)
		return unknown(ctx, "for the algorithm", name);
	clear = ks_buffer_new_secret(bytes.size + 128);
	if (!clear || pkcs8_put(clear, oid, bytes) < 0)
		return ks_nomem(ctx);
	*out = ks_take(clear);
	return 0;
}

/* ---- writing ---------------------------------------------------------------------------------------------------------------- */

#define BYTES_CLASS "ur\0\x02[B\xac\xf3\x17\xf8\x06\x08T\xe0\x02\0\0xp"
#define SPEC_CLASS                                                                                                     \
	"\xac\xed\0\x05sr\0\x1fjavax.crypto.spec.SecretKeySpec[G\x0b\x66\xe2\x30\x61M\x02\0\x02"                       \
	"L\0\x09"                                                                                                      \
	"algorithmt\0\x12Ljava/lang/String;[\0\x03keyt\0\x02[Bxpt"
#define SEALED_CLASS                                                                                                   \
	"\xac\xed\0\x05sr\0\x33"                                                                                       \
	"com.sun.crypto.provider.SealedObjectForKeyProtector\xcd\x57\xca\x59\xe7\x30\xbb\x53\x02\0\0x"                 \
	"r\0\x19javax.crypto.SealedObject>6=\xa6\xc3\xb7Tp\x02\0\x04[\0\x0d"                                           \
	"encodedParamst\0\x02[B[\0\x10"                                                                                \
	"encryptedContentq\0~\0\x02L\0\x09paramsAlgt\0\x12Ljava/lang/String;L\0\x07sealAlgq\0~\0\x03xp"

#define PUT_LITERAL(out, literal) ks_buffer_put((out), (literal), sizeof(literal) - 1)

static int sized_put(struct ks_buffer *out, struct ks_bytes bytes, size_t width)
{
	ks_jks_put_number(out, bytes.size, width);
	return ks_buffer_put(out, bytes.data, bytes.size);
}

static int spec_put(struct ks_buffer *out, struct ks_bytes name, struct ks_bytes key)
{
	PUT_LITERAL(out, SPEC_CLASS);
	sized_put(out, name, 2);
	PUT_LITERAL(out, BYTES_CLASS);
	return sized_put(out, key, 4);
}

static int sealed_put(struct ks_buffer *out, struct ks_bytes parameters, struct ks_bytes content)
{
	PUT_LITERAL(out, SEALED_CLASS);
	PUT_LITERAL(out, BYTES_CLASS);
	sized_put(out, parameters, 4);
	PUT_LITERAL(out, "uq\0~\0\x05");
	sized_put(out, content, 4);
	PUT_LITERAL(out, "t\0\x16" SEAL "t\0\x16" SEAL);
	return out->status;
}

int ks_jceks_secret_put(struct ks_buffer *out, struct ks_ctx *ctx, struct ks_bytes clear,
			const struct ks_secret *secret)
{
	ks_auto(buffer) object = ks_buffer_new_secret(clear.size + 512);
	ks_auto(buffer) parameters = ks_buffer_new(64);
	ks_auto(buffer) sealed = ks_buffer_new(clear.size + 1024);
	struct ks_bytes oid, key;
	char dotted[80];
	const char *name;
	int rc;

	if (!object || !parameters || !sealed)
		return ks_nomem(ctx);
	if (ks_secret_key_parts(&oid, &key, clear) < 0)
		return ks_fail(ctx, KS_EDAMAGED, "the secret key is damaged");
	if (key.size > LONGEST_SECRET)
		return ks_fail(ctx, KS_ELIMIT, "a secret key of more than %d bytes is not written", LONGEST_SECRET);
	name = name_of(oid);
	spec_put(object, ks_bytes_of(name ? name : ks_oid_dotted(dotted, oid)), key);
	rc = ks_jceks_seal(parameters, sealed, ctx, ks_buffer_bytes(object), secret);
	return rc < 0 ? rc : sealed_put(out, ks_buffer_bytes(parameters), ks_buffer_bytes(sealed));
}
