/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading objects, and finding them again.
 */
#include "object.h"
#include "mldsa.h"
#include "quirks.h"

#include "certificate.h"
#include "der.h"

#include <openssl/rand.h>

#include <string.h>

#ifndef CKO_PROFILE
#define CKO_PROFILE 9UL /* PKCS#11 v3.0; p11-kit 0.24's header is older */
#endif

enum which { BY_ID, BY_SPKI };

struct ks_p11_snapshot {
	struct ks_p11_object *objects;
	size_t count, capacity;
	uint32_t *heads[2]; /* chains of positions + 1; 0 ends one */
	size_t buckets; /* a power of two */
	uint64_t seed;
	bool whole;
	unsigned life; /* of the token */
};

/* ---- the index ---- */

static uint64_t hash_of(uint64_t seed, struct ks_bytes bytes)
{
	uint64_t hash = seed ^ 0xcbf29ce484222325u;

	for (size_t i = 0; i < bytes.size; i++)
		hash = (hash ^ bytes.data[i]) * 0x100000001b3u;
	return hash ^ hash >> 29;
}

static struct ks_bytes key_of(const struct ks_p11_object *object, enum which which)
{
	return which == BY_ID ? object->id : object->spki;
}

static uint32_t *next_of(struct ks_p11_object *object, enum which which)
{
	return which == BY_ID ? &object->next_id : &object->next_spki;
}

static void index_put(struct ks_p11_snapshot *snapshot, size_t n)
{
	for (enum which which = BY_ID; which <= BY_SPKI; which++) {
		struct ks_bytes key = key_of(&snapshot->objects[n], which);
		uint32_t *head;

		if (key.size == 0)
			continue;
		head = &snapshot->heads[which][hash_of(snapshot->seed, key) & (snapshot->buckets - 1)];
		*next_of(&snapshot->objects[n], which) = *head;
		*head = (uint32_t)n + 1;
	}
}

/* Both heads or neither: without memory the index that is there stays whole. */
static int index_grow(struct ks_p11_snapshot *snapshot)
{
	size_t buckets = 256;
	ks_auto_mem uint32_t *by_id = NULL, *by_spki = NULL;

	while (buckets < snapshot->count * 2)
		buckets *= 2;
	by_id = ks_array(buckets, sizeof(*by_id));
	by_spki = ks_array(buckets, sizeof(*by_spki));
	if (!by_id || !by_spki)
		return KS_ENOMEM;
	free(snapshot->heads[BY_ID]);
	free(snapshot->heads[BY_SPKI]);
	snapshot->heads[BY_ID] = ks_take(by_id);
	snapshot->heads[BY_SPKI] = ks_take(by_spki);
	snapshot->buckets = buckets;
	return 0;
}

/* Needs memory only when there are more objects than before, so it does not fail after one was dropped or renamed. */
static int index_build(struct ks_p11_snapshot *snapshot)
{
	if ((!snapshot->buckets || snapshot->count > snapshot->buckets) && index_grow(snapshot) < 0)
		return KS_ENOMEM;
	for (enum which which = BY_ID; which <= BY_SPKI; which++)
		memset(snapshot->heads[which], 0, snapshot->buckets * sizeof(uint32_t));
	for (size_t i = 0; i < snapshot->count; i++)
		index_put(snapshot, i);
	return 0;
}

static const struct ks_p11_object *index_find(const struct ks_p11_snapshot *snapshot, enum which which,
					      struct ks_bytes key, const struct ks_p11_object *after)
{
	uint32_t at;

	if (!snapshot || !snapshot->buckets || key.size == 0)
		return NULL;
	at = after ? *next_of((struct ks_p11_object *)after, which)
		   : snapshot->heads[which][hash_of(snapshot->seed, key) & (snapshot->buckets - 1)];
	for (; at; at = *next_of(&snapshot->objects[at - 1], which)) {
		if (ks_bytes_equal(key_of(&snapshot->objects[at - 1], which), key))
			return &snapshot->objects[at - 1];
	}
	return NULL;
}

const struct ks_p11_object *ks_p11_by_id(const struct ks_p11_token *token, struct ks_bytes id,
					 const struct ks_p11_object *after)
{
	return index_find(token->snapshot, BY_ID, id, after);
}

const struct ks_p11_object *ks_p11_by_spki(const struct ks_p11_token *token, struct ks_bytes spki,
					   const struct ks_p11_object *after)
{
	return index_find(token->snapshot, BY_SPKI, spki, after);
}

/* ---- reading one object ---- */

/* Room for one batched read. Odd sizes: an attribute that "has" exactly such a length was left untouched by the module. */
struct reading {
	CK_OBJECT_CLASS class;
	CK_KEY_TYPE key_type;
	CK_CERTIFICATE_TYPE certificate_type;
	CK_BBOOL local, sensitive, extractable, always, trusted;
	unsigned char label[259], id[259], modulus[2051], exponent[19], params[131], point[263];
	CK_ATTRIBUTE at[14];
};

enum {
	AT_CLASS,
	AT_KEY_TYPE,
	AT_CERTIFICATE_TYPE,
	AT_LOCAL,
	AT_SENSITIVE,
	AT_EXTRACTABLE,
	AT_ALWAYS,
	AT_TRUSTED,
	AT_LABEL,
	AT_ID,
	AT_MODULUS,
	AT_EXPONENT,
	AT_PARAMS,
	AT_POINT,
	AT_COUNT,
};

static void reading_start(struct reading *r)
{
	const CK_ATTRIBUTE wanted[AT_COUNT] = {
		[AT_CLASS] = { CKA_CLASS, &r->class, sizeof(r->class) },
		[AT_KEY_TYPE] = { CKA_KEY_TYPE, &r->key_type, sizeof(r->key_type) },
		[AT_CERTIFICATE_TYPE] = { CKA_CERTIFICATE_TYPE, &r->certificate_type, sizeof(r->certificate_type) },
		[AT_LOCAL] = { CKA_LOCAL, &r->local, sizeof(r->local) },
		[AT_SENSITIVE] = { CKA_SENSITIVE, &r->sensitive, sizeof(r->sensitive) },
		[AT_EXTRACTABLE] = { CKA_EXTRACTABLE, &r->extractable, sizeof(r->extractable) },
		[AT_ALWAYS] = { CKA_ALWAYS_AUTHENTICATE, &r->always, sizeof(r->always) },
		[AT_TRUSTED] = { CKA_TRUSTED, &r->trusted, sizeof(r->trusted) },
		[AT_LABEL] = { CKA_LABEL, r->label, sizeof(r->label) },
		[AT_ID] = { CKA_ID, r->id, sizeof(r->id) },
		[AT_MODULUS] = { CKA_MODULUS, r->modulus, sizeof(r->modulus) },
		[AT_EXPONENT] = { CKA_PUBLIC_EXPONENT, r->exponent, sizeof(r->exponent) },
		[AT_PARAMS] = { CKA_EC_PARAMS, r->params, sizeof(r->params) },
		[AT_POINT] = { CKA_EC_POINT, r->point, sizeof(r->point) },
	};

	memcpy(r->at, wanted, sizeof(wanted));
	r->class = r->key_type = r->certificate_type = CK_UNAVAILABLE_INFORMATION;
	r->local = r->sensitive = r->extractable = r->always = r->trusted = 0xff;
}

static struct ks_bytes reading_bytes(const struct reading *r, size_t n, size_t room)
{
	if (r->at[n].ulValueLen == CK_UNAVAILABLE_INFORMATION || r->at[n].ulValueLen >= room)
		return KS_NONE;
	return KS_BYTES(r->at[n].pValue, r->at[n].ulValueLen);
}

/* Modules that give up a batch at the first attribute that an object lacks are asked for each by itself. */
static CK_RV reading_single(const struct ks_p11_token *token, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE handle,
			    struct reading *r)
{
	reading_start(r);
	for (size_t i = 0; i < AT_COUNT; i++) {
		CK_RV rv = ks_p11_attributes(&token->on, session, handle, &r->at[i], 1);

		if (rv != CKR_OK && rv != CKR_BUFFER_TOO_SMALL)
			return rv;
	}
	return CKR_OK;
}

/* A number or a truth is there in its own size, or not at all. What was reported but not given still is what reading_start() put. */
static CK_RV reading_believe(const struct reading *r)
{
	for (size_t i = AT_CLASS; i <= AT_TRUSTED; i++) {
		CK_ULONG size = i <= AT_CERTIFICATE_TYPE ? sizeof(CK_ULONG) : sizeof(CK_BBOOL), told = r->at[i].ulValueLen;

		if (told != CK_UNAVAILABLE_INFORMATION && told != 0 && told != size)
			return KS_CKR_LENGTH;
	}
	return r->at[AT_CLASS].ulValueLen == sizeof(CK_OBJECT_CLASS) && r->class == CK_UNAVAILABLE_INFORMATION
		       ? KS_CKR_NOTHING
		       : CKR_OK;
}

static CK_RV reading_do(const struct ks_p11_token *token, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE handle,
			struct reading *r)
{
	CK_RV rv;

	reading_start(r);
	rv = ks_p11_attributes(&token->on, session, handle, r->at, AT_COUNT);
	if ((rv == CKR_OK || rv == CKR_BUFFER_TOO_SMALL) && r->class == CK_UNAVAILABLE_INFORMATION)
		rv = reading_single(token, session, handle, r);
	if (rv != CKR_OK && rv != CKR_BUFFER_TOO_SMALL)
		return rv;
	return reading_believe(r);
}

/* ---- public keys, as SubjectPublicKeyInfo (RFC 5280 4.1) ---- */

#define OID_RSA "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00"
#define OID_EC "\x06\x07\x2a\x86\x48\xce\x3d\x02\x01"
#define OID_ED25519 "\x06\x03\x2b\x65\x70"
#define OID_ED448 "\x06\x03\x2b\x65\x71"

static void put_unsigned(struct ks_buffer *out, struct ks_bytes number)
{
	size_t mark;

	while (number.size > 1 && number.data[0] == 0)
		number = KS_BYTES(number.data + 1, number.size - 1);
	mark = ks_der_open(out, KS_DER_INTEGER);
	if (number.size && (number.data[0] & 0x80))
		ks_buffer_put(out, "", 1);
	ks_buffer_put(out, number.data, number.size);
	ks_der_close(out, mark);
}

static void put_rsa(struct ks_buffer *out, struct ks_bytes modulus, struct ks_bytes exponent)
{
	size_t whole = ks_der_open(out, KS_DER_SEQUENCE), bits, key;

	ks_der_put(out, KS_DER_SEQUENCE, KS_BYTES(OID_RSA, sizeof(OID_RSA) - 1));
	bits = ks_der_open(out, KS_DER_BITS);
	ks_buffer_put(out, "", 1);
	key = ks_der_open(out, KS_DER_SEQUENCE);
	put_unsigned(out, modulus);
	put_unsigned(out, exponent);
	ks_der_close(out, key);
	ks_der_close(out, bits);
	ks_der_close(out, whole);
}

static void put_point(struct ks_buffer *out, struct ks_bytes algorithm, struct ks_bytes params, struct ks_bytes point)
{
	size_t whole = ks_der_open(out, KS_DER_SEQUENCE), part = ks_der_open(out, KS_DER_SEQUENCE);

	ks_buffer_put(out, algorithm.data, algorithm.size);
	ks_buffer_put(out, params.data, params.size);
	ks_der_close(out, part);
	part = ks_der_open(out, KS_DER_BITS);
	ks_buffer_put(out, "", 1);
	ks_buffer_put(out, point.data, point.size);
	ks_der_close(out, part);
	ks_der_close(out, whole);
}

/* Points come wrapped in an OCTET STRING, as PKCS#11 wants it, or raw. */
static struct ks_bytes point_bare(struct ks_bytes point)
{
	struct ks_der octets;

	return ks_der_only(&octets, point, KS_DER_OCTETS) == 0 ? octets.content : point;
}

/* Asked of ML-DSA's public keys alone, because no other needs so much room: the parameter set, and the key in CKA_VALUE. */
static CK_RV ml_dsa_spki(struct ks_buffer *out, const struct ks_p11_token *token, CK_SESSION_HANDLE session,
			 CK_OBJECT_HANDLE handle)
{
	unsigned char octets[KS_P11_ML_DSA_LONGEST + 3] = { 0 };
	CK_ULONG set = 0;
	CK_ATTRIBUTE at[] = { { CKA_PARAMETER_SET, &set, sizeof(set) }, { CKA_VALUE, octets, sizeof(octets) } };
	CK_RV rv = ks_p11_attributes(&token->on, session, handle, at, 2);
	const struct ks_p11_ml_dsa *row;

	if (rv != CKR_OK && rv != CKR_BUFFER_TOO_SMALL)
		return rv;
	row = at[0].ulValueLen == sizeof(set) ? ks_p11_ml_dsa_set(set) : NULL;
	if (row && at[1].ulValueLen == row->public_size)
		put_point(out, row->oid, KS_NONE, KS_BYTES(octets, row->public_size));
	return CKR_OK;
}

static void put_spki(struct ks_buffer *out, const struct reading *r)
{
	struct ks_bytes modulus = reading_bytes(r, AT_MODULUS, sizeof(r->modulus));
	struct ks_bytes exponent = reading_bytes(r, AT_EXPONENT, sizeof(r->exponent));
	struct ks_bytes params = reading_bytes(r, AT_PARAMS, sizeof(r->params));
	struct ks_bytes point = point_bare(reading_bytes(r, AT_POINT, sizeof(r->point)));
	struct ks_der oid;

	if (r->key_type == CKK_RSA && modulus.size && exponent.size)
		put_rsa(out, modulus, exponent);
	else if (r->key_type == CKK_EC && point.size && ks_der_only(&oid, params, KS_DER_OID) == 0)
		put_point(out, KS_BYTES(OID_EC, sizeof(OID_EC) - 1), params, point);
	else if (r->key_type == CKK_EC_EDWARDS && point.size == 32)
		put_point(out, KS_BYTES(OID_ED25519, sizeof(OID_ED25519) - 1), KS_NONE, point);
	else if (r->key_type == CKK_EC_EDWARDS && point.size == 57)
		put_point(out, KS_BYTES(OID_ED448, sizeof(OID_ED448) - 1), KS_NONE, point);
}

/* ---- objects out of readings ---- */

static void object_clear(struct ks_p11_object *object)
{
	free(object->blob);
	*object = (struct ks_p11_object){ 0 };
}

static struct ks_bytes blob_put(unsigned char **at, struct ks_bytes bytes)
{
	unsigned char *place = *at;

	if (!bytes.data)
		return KS_NONE;
	if (bytes.size)
		memcpy(place, bytes.data, bytes.size);
	*at += bytes.size;
	return KS_BYTES(place, bytes.size);
}

/* Puts the parts into one allocation; each stays absent when it is. */
static int object_keep(struct ks_p11_object *object, struct ks_bytes label, struct ks_bytes id, struct ks_bytes params,
		       struct ks_bytes spki, struct ks_bytes value)
{
	unsigned char *blob = malloc(label.size + id.size + params.size + spki.size + value.size + 1), *at = blob,
		      *before = object->blob;

	if (!blob)
		return KS_ENOMEM;
	object->label = blob_put(&at, label);
	object->id = blob_put(&at, id);
	object->ec_params = blob_put(&at, params);
	object->spki = blob_put(&at, spki);
	object->value = blob_put(&at, value);
	object->blob = blob;
	free(before);
	return 0;
}

static unsigned flags_of(const struct ks_p11_token *token, const struct reading *r)
{
	unsigned flags = KS_ON_DEVICE;

	if (r->class != CKO_PRIVATE_KEY && r->class != CKO_SECRET_KEY)
		return 0;
	if (r->sensitive == CK_TRUE)
		flags |= KS_SENSITIVE;
	else if (r->sensitive != CK_FALSE)
		flags |= KS_SENSITIVE_UNKNOWN;
	if (r->extractable == CK_TRUE)
		flags |= KS_EXTRACTABLE;
	else if (r->extractable != CK_FALSE)
		flags |= KS_EXTRACTABLE_UNKNOWN;
	if (r->local == CK_TRUE)
		flags |= KS_MADE_HERE;
	else if (r->local != CK_FALSE || (token->quirks & KS_P11_ORIGIN_UNTOLD))
		flags |= KS_ORIGIN_UNKNOWN;
	return flags;
}

/* Labels and ids longer than the batch had room for. */
static CK_RV long_value(struct ks_buffer **out, struct ks_bytes *bytes, const struct ks_p11_token *token,
			CK_SESSION_HANDLE session, CK_OBJECT_HANDLE handle, const CK_ATTRIBUTE *attribute)
{
	CK_RV rv;

	if (bytes->data || attribute->ulValueLen != CK_UNAVAILABLE_INFORMATION)
		return CKR_OK;
	rv = ks_p11_value(&token->on, session, handle, attribute->type, out);
	if (rv == CKR_OK && *out)
		*bytes = ks_buffer_bytes(*out);
	return rv;
}

static int certificate_read(struct ks_bytes *spki, struct ks_p11_object *object, struct ks_bytes value)
{
	struct ks_certificate_facts facts;

	if (value.size == 0 || ks_certificate_facts(&facts, value) < 0) {
		object->flags |= KS_UNDECODED;
		object->status = KS_EDAMAGED;
		return 0;
	}
	*spki = facts.spki;
	object->key = facts.key;
	return 0;
}

/* The certificate itself: mostly below 4 KiB, so one call does. */
static CK_RV certificate_value(struct ks_buffer **out, const struct ks_p11_token *token, CK_SESSION_HANDLE session,
			       CK_OBJECT_HANDLE handle)
{
	ks_auto(buffer) buffer = ks_buffer_new(4099);
	CK_ATTRIBUTE value = { CKA_VALUE, NULL, 4097 };
	CK_RV rv;

	if (!buffer || !(value.pValue = ks_buffer_room(buffer, 4097)))
		return CKR_HOST_MEMORY;
	rv = ks_p11_attributes(&token->on, session, handle, &value, 1);
	if (rv == CKR_BUFFER_TOO_SMALL)
		return ks_p11_value(&token->on, session, handle, CKA_VALUE, out);
	if (rv != CKR_OK || value.ulValueLen == CK_UNAVAILABLE_INFORMATION)
		return rv;
	buffer->size = value.ulValueLen;
	*out = ks_take(buffer);
	return CKR_OK;
}

static CK_RV object_fill(struct ks_p11_object *object, const struct ks_p11_token *token, CK_SESSION_HANDLE session,
			 const struct reading *r)
{
	ks_auto(buffer) label_long = NULL;
	ks_auto(buffer) id_long = NULL;
	ks_auto(buffer) value = NULL;
	ks_auto(buffer) public_key = ks_buffer_new(4096);
	struct ks_bytes label = reading_bytes(r, AT_LABEL, sizeof(r->label)),
			id = reading_bytes(r, AT_ID, sizeof(r->id));
	struct ks_bytes params = reading_bytes(r, AT_PARAMS, sizeof(r->params)), spki = KS_NONE;
	CK_RV rv = public_key ? CKR_OK : CKR_HOST_MEMORY;

	if (rv == CKR_OK)
		rv = long_value(&label_long, &label, token, session, object->handle, &r->at[AT_LABEL]);
	if (rv == CKR_OK && r->class != CKO_DATA)
		rv = long_value(&id_long, &id, token, session, object->handle, &r->at[AT_ID]);
	if (rv == CKR_OK && r->class == CKO_CERTIFICATE && r->certificate_type == CKC_X_509)
		rv = certificate_value(&value, token, session, object->handle);
	if (rv != CKR_OK)
		return rv;
	if (r->class == CKO_PUBLIC_KEY || r->class == CKO_PRIVATE_KEY) {
		if (r->key_type == CKK_ML_DSA && r->class == CKO_PUBLIC_KEY)
			rv = ml_dsa_spki(public_key, token, session, object->handle);
		else
			put_spki(public_key, r);
		if (rv != CKR_OK)
			return rv;
		if (public_key->size && !public_key->status)
			spki = ks_buffer_bytes(public_key);
		object->key = ks_keyspec_of_spki(spki);
	}
	if (r->class == CKO_CERTIFICATE && r->certificate_type == CKC_X_509)
		certificate_read(&spki, object, value ? ks_buffer_bytes(value) : KS_NONE);
	return object_keep(object, label, id, params, spki, value ? ks_buffer_bytes(value) : KS_NONE) < 0
		       ? CKR_HOST_MEMORY
		       : CKR_OK;
}

/* Only what ends all work on the token is a failure; anything else marks the object. */
static CK_RV object_read(struct ks_p11_object *object, const struct ks_p11_token *token, CK_SESSION_HANDLE session,
			 CK_OBJECT_HANDLE handle)
{
	struct reading r;
	CK_RV rv;

	*object = (struct ks_p11_object){ .handle = handle, .class = CK_UNAVAILABLE_INFORMATION };
	rv = reading_do(token, session, handle, &r);
	if (rv == CKR_OK) {
		object->class = r.class;
		object->key_type = r.key_type;
		object->flags = flags_of(token, &r);
		object->always_authenticate = r.always == CK_TRUE;
		object->trusted = r.class == CKO_CERTIFICATE && r.trusted == CK_TRUE;
		rv = object_fill(object, token, session, &r);
	}
	if (rv != CKR_OK) {
		object->flags |= KS_UNDECODED;
		object->status = ks_p11_status(rv);
	}
	return rv;
}

/* ---- the snapshot ---- */

void ks_p11_snapshot_free(struct ks_p11_snapshot *snapshot)
{
	if (!snapshot)
		return;
	for (size_t i = 0; i < snapshot->count; i++)
		object_clear(&snapshot->objects[i]);
	free(snapshot->objects);
	free(snapshot->heads[BY_ID]);
	free(snapshot->heads[BY_SPKI]);
	free(snapshot);
}
static inline void ks_p11_snapshot_freep(struct ks_p11_snapshot **snapshot)
{
	ks_p11_snapshot_free(*snapshot);
}

static struct ks_p11_snapshot *snapshot_new(void)
{
	struct ks_p11_snapshot *snapshot = calloc(1, sizeof(*snapshot));

	if (!snapshot)
		return NULL;
	if (RAND_bytes((unsigned char *)&snapshot->seed, sizeof(snapshot->seed)) != 1 || index_build(snapshot) < 0) {
		ks_p11_snapshot_free(snapshot);
		return NULL;
	}
	return snapshot;
}

/* A failure of the device or of memory, or a lie, ends the listing; the rest belongs to the one object. */
static bool fatal(CK_RV rv)
{
	int status = ks_p11_status(rv);

	return status == KS_EGONE || status == KS_ECANCELLED || status == KS_ELIES || status == KS_ENOMEM || status == KS_ELOCKED ||
	       rv == CKR_DEVICE_ERROR || rv == CKR_USER_NOT_LOGGED_IN;
}

/* Mechanisms and profiles say what a token can do; it does not hold them. */
static bool tells_abilities(const struct ks_p11_object *object)
{
	return object->class == CKO_MECHANISM || object->class == CKO_PROFILE;
}

static int snapshot_read(struct ks_p11_snapshot *snapshot, struct ks_p11_token *token, CK_SESSION_HANDLE session,
			 const CK_OBJECT_HANDLE *handles, size_t count)
{
	if (ks_array_grow(&snapshot->objects, &snapshot->capacity, snapshot->count + count,
			  sizeof(*snapshot->objects)) < 0)
		return ks_nomem(token->ctx);
	for (size_t i = 0; i < count; i++) {
		CK_RV rv = object_read(&snapshot->objects[snapshot->count], token, session, handles[i]);

		/* Or removed by somebody since the search. */
		if (rv == CKR_OBJECT_HANDLE_INVALID || tells_abilities(&snapshot->objects[snapshot->count])) {
			object_clear(&snapshot->objects[snapshot->count]);
			continue;
		}
		snapshot->count++;
		if (fatal(rv))
			return ks_p11_failed(token->ctx, &token->on, rv);
	}
	return 0;
}

/*
 * The public key of a private one. No token gives it in the same way: RSA keys have their modulus, EC keys mostly nothing; then the
 * public object with the same id and type, the certificate with the same id, and CKA_PUBLIC_KEY_INFO are tried.
 */
static const struct ks_p11_object *partner_of(const struct ks_p11_snapshot *snapshot, const struct ks_p11_object *key)
{
	const struct ks_p11_object *at = NULL, *certificate = NULL;

	while ((at = index_find(snapshot, BY_ID, key->id, at))) {
		if (at->class == CKO_PUBLIC_KEY && at->key_type == key->key_type && at->spki.size &&
		    (!key->ec_params.data || ks_bytes_equal(at->ec_params, key->ec_params)))
			return at;
		if (at->class == CKO_CERTIFICATE && at->spki.size)
			certificate = at;
	}
	return certificate;
}

static int public_half_take(struct ks_p11_object *key, struct ks_bytes spki)
{
	key->key = ks_keyspec_of_spki(spki);
	return object_keep(key, key->label, key->id, key->ec_params, spki, KS_NONE);
}

static bool lacks_public_half(const struct ks_p11_object *object)
{
	return object->class == CKO_PRIVATE_KEY && !object->spki.size && !object->status;
}

static int public_half_find(struct ks_p11_snapshot *snapshot, size_t n, struct ks_p11_token *token,
			    CK_SESSION_HANDLE session)
{
	struct ks_p11_object *key = &snapshot->objects[n];
	const struct ks_p11_object *partner;
	ks_auto(buffer) told = NULL;
	struct ks_bytes spki = KS_NONE;

	if (!lacks_public_half(key))
		return 0;
	partner = partner_of(snapshot, key);
	if (partner)
		spki = partner->spki;
	else if (ks_p11_value(&token->on, session, key->handle, CKA_PUBLIC_KEY_INFO, &told) == CKR_OK && told)
		spki = ks_buffer_bytes(told);
	if (spki.size == 0)
		return 0;
	return public_half_take(key, spki) < 0 ? ks_nomem(token->ctx) : 0;
}

/* What a search found, read and indexed. */
static int snapshot_make(struct ks_p11_snapshot **out, struct ks_p11_token *token, CK_SESSION_HANDLE session,
			 CK_ATTRIBUTE *wanted, CK_ULONG wanted_count)
{
	__attribute__((cleanup(ks_p11_snapshot_freep))) struct ks_p11_snapshot *snapshot = snapshot_new();
	ks_auto_mem CK_OBJECT_HANDLE *handles = NULL;
	size_t count = 0;
	int rc;

	if (!snapshot)
		return ks_nomem(token->ctx);
	snapshot->life = token->life;
	rc = ks_p11_failed(token->ctx, &token->on,
			   ks_p11_find(&token->on, session, wanted, wanted_count, &handles, &count));
	if (rc == 0)
		rc = snapshot_read(snapshot, token, session, handles, count);
	if (rc == 0 && index_build(snapshot) < 0)
		rc = ks_nomem(token->ctx);
	for (size_t i = 0; rc == 0 && i < snapshot->count; i++)
		rc = public_half_find(snapshot, i, token, session);
	if (rc == 0 && index_build(snapshot) < 0)
		rc = ks_nomem(token->ctx);
	if (rc < 0)
		return rc;
	*out = ks_take(snapshot);
	return 0;
}

int ks_p11_snapshot_load(struct ks_p11_token *token, CK_SESSION_HANDLE session)
{
	struct ks_p11_snapshot *snapshot = NULL;
	int rc = snapshot_make(&snapshot, token, session, NULL, 0);

	if (rc < 0)
		return ks_while(token->ctx, rc, "listing token %s", token->shown);
	snapshot->whole = token->who != KS_P11_NOBODY || !(token->info.flags & CKF_LOGIN_REQUIRED);
	ks_p11_snapshot_free(token->snapshot);
	token->snapshot = snapshot;
	return 0;
}

static int key_among(CK_OBJECT_HANDLE *out, struct ks_p11_token *token, CK_SESSION_HANDLE session, CK_ATTRIBUTE *wanted,
		     CK_ULONG wanted_count, struct ks_bytes spki)
{
	__attribute__((cleanup(ks_p11_snapshot_freep))) struct ks_p11_snapshot *snapshot = NULL;
	const struct ks_p11_object *at = NULL;
	int rc = snapshot_make(&snapshot, token, session, wanted, wanted_count);

	if (rc < 0)
		return rc;
	while ((at = index_find(snapshot, BY_SPKI, spki, at))) {
		if (at->class == CKO_PRIVATE_KEY) {
			*out = at->handle;
			return 0;
		}
	}
	return ks_p11_failed(token->ctx, &token->on, CKR_KEY_HANDLE_INVALID);
}

int ks_p11_key_find(CK_OBJECT_HANDLE *out, struct ks_p11_token *token, CK_SESSION_HANDLE session, struct ks_bytes id,
		    struct ks_bytes spki)
{
	CK_ATTRIBUTE by_id = { CKA_ID, (void *)id.data, id.size };
	int rc = id.size ? key_among(out, token, session, &by_id, 1, spki) : KS_ECHANGED;

	return rc == KS_ECHANGED ? key_among(out, token, session, NULL, 0, spki) : rc;
}

int ks_p11_snapshot_add(const struct ks_p11_object **out, struct ks_p11_token *token, CK_SESSION_HANDLE session,
			CK_OBJECT_HANDLE handle)
{
	struct ks_p11_snapshot *snapshot = token->snapshot;
	struct ks_p11_object *object;
	size_t n;
	CK_RV rv;
	int rc;

	if (!snapshot) {
		snapshot = token->snapshot = snapshot_new();
		if (!snapshot)
			return ks_nomem(token->ctx);
		snapshot->life = token->life;
	}
	if (ks_array_grow(&snapshot->objects, &snapshot->capacity, snapshot->count + 1, sizeof(*snapshot->objects)) < 0)
		return ks_nomem(token->ctx);
	n = snapshot->count;
	object = &snapshot->objects[n];
	rv = object_read(object, token, session, handle);
	if (rv != CKR_OK) {
		object_clear(object);
		return ks_p11_failed(token->ctx, &token->on, rv);
	}
	rc = public_half_find(snapshot, n, token, session);
	if (rc < 0) {
		object_clear(object);
		return rc;
	}
	snapshot->count++;
	if (snapshot->count > snapshot->buckets) {
		if (index_build(snapshot) < 0) {
			object_clear(&snapshot->objects[--snapshot->count]);
			return ks_nomem(token->ctx);
		}
	} else {
		index_put(snapshot, n);
	}
	*out = object;
	return 0;
}

static struct ks_p11_object *snapshot_handle(struct ks_p11_snapshot *snapshot, CK_OBJECT_HANDLE handle)
{
	for (size_t i = snapshot ? snapshot->count : 0; i-- > 0;) {
		if (snapshot->objects[i].handle == handle)
			return &snapshot->objects[i];
	}
	return NULL;
}

void ks_p11_snapshot_drop(struct ks_p11_token *token, CK_OBJECT_HANDLE handle)
{
	struct ks_p11_snapshot *snapshot = token->snapshot;
	struct ks_p11_object *object = snapshot_handle(snapshot, handle);
	size_t behind;

	if (!object)
		return;
	behind = snapshot->count - 1 - (size_t)(object - snapshot->objects);
	object_clear(object);
	memmove(object, object + 1, behind * sizeof(*object));
	snapshot->count--;
	index_build(snapshot);
}

/* A private key that knew no public half finds it under an id that it has now, or that the half has. */
static int halves_join(struct ks_p11_snapshot *snapshot, struct ks_bytes id)
{
	for (size_t i = 0; i < snapshot->count; i++) {
		struct ks_p11_object *key = &snapshot->objects[i];
		const struct ks_p11_object *partner;

		if (!lacks_public_half(key) || !ks_bytes_equal(key->id, id))
			continue;
		partner = partner_of(snapshot, key);
		if (partner && public_half_take(key, partner->spki) < 0)
			return KS_ENOMEM;
	}
	return index_build(snapshot);
}

int ks_p11_snapshot_rename(struct ks_p11_token *token, CK_OBJECT_HANDLE handle, struct ks_bytes label,
			   struct ks_bytes id)
{
	struct ks_p11_object *object = snapshot_handle(token->snapshot, handle);

	if (!object)
		return 0;
	if (object_keep(object, label.data ? label : object->label, id.data ? id : object->id, object->ec_params,
			object->spki, object->value) < 0 ||
	    index_build(token->snapshot) < 0 || (id.size && halves_join(token->snapshot, id) < 0))
		return ks_nomem(token->ctx);
	return 0;
}

size_t ks_p11_snapshot_count(const struct ks_p11_token *token)
{
	return token->snapshot ? token->snapshot->count : 0;
}

bool ks_p11_snapshot_has(const struct ks_p11_token *token, CK_OBJECT_HANDLE handle, size_t first)
{
	for (size_t n = 0; n < first; n++) {
		if (token->snapshot->objects[n].handle == handle)
			return true;
	}
	return false;
}

const struct ks_p11_object *ks_p11_snapshot_at(const struct ks_p11_token *token, size_t n)
{
	return &token->snapshot->objects[n];
}

bool ks_p11_snapshot_whole(const struct ks_p11_token *token)
{
	return token->snapshot && token->snapshot->whole && token->snapshot->life == token->life;
}

unsigned ks_p11_snapshot_life(const struct ks_p11_token *token)
{
	return token->snapshot ? token->snapshot->life : token->life;
}
