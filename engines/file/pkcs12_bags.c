/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bags of a PKCS#12 part, each one an item (RFC 7292 4.2). Keys stay sealed; certificates stay bytes.
 *
 * A bag that is no bag means that the part is damaged. A bag whose value is not what its type promises is kept as an opaque
 * item and named, so that the rest of the store can be seen and nothing is lost when it is written again.
 */
#include "pkcs12.h"

#include "certificate.h"
#include "key.h"
#include "text.h"

#include <string.h>

#define EXPLICIT_0 KS_DER_CONTEXT(0)

int ks_pkcs12_bag_read(struct ks_pkcs12_safe_bag *out, struct ks_bytes bag)
{
	struct ks_der sequence, oid, explicit, value, attributes;
	struct ks_bytes rest;

	if (ks_der_only(&sequence, bag, KS_DER_SEQUENCE) < 0)
		return KS_EDAMAGED;
	rest = sequence.content;
	if (ks_der_expect(&oid, &rest, KS_DER_OID) < 0 || ks_der_expect(&explicit, &rest, EXPLICIT_0) < 0)
		return KS_EDAMAGED;
	out->attributes = KS_NONE;
	if (rest.size) {
		if (ks_der_only(&attributes, rest, KS_DER_SET) < 0)
			return KS_EDAMAGED;
		out->attributes = attributes.whole;
	}
	rest = explicit.content;
	if (ks_der_next(&value, &rest) < 0 || rest.size)
		return KS_EDAMAGED;
	out->oid = oid.content;
	out->value = value.whole;
	return 0;
}

static enum ks_pkcs12_bag bag_type(struct ks_bytes oid)
{
	size_t prefix = sizeof(KS_BAG_OID_PREFIX) - 1;

	if (oid.size != prefix + 1 || memcmp(oid.data, KS_BAG_OID_PREFIX, prefix) != 0)
		return 0;
	return oid.data[prefix];
}

/* CertBag, CRLBag and SecretBag have one shape: SEQUENCE { type OID, value [0] EXPLICIT }. */
static int typed_value(struct ks_bytes *type, struct ks_der *value, struct ks_bytes element)
{
	struct ks_der sequence, oid, explicit;
	struct ks_bytes rest;

	if (ks_der_only(&sequence, element, KS_DER_SEQUENCE) < 0)
		return KS_EDAMAGED;
	rest = sequence.content;
	if (ks_der_expect(&oid, &rest, KS_DER_OID) < 0 || ks_der_only(&explicit, rest, EXPLICIT_0) < 0)
		return KS_EDAMAGED;
	rest = explicit.content;
	if (ks_der_next(value, &rest) < 0 || rest.size)
		return KS_EDAMAGED;
	*type = oid.content;
	return 0;
}

struct ks_bytes ks_pkcs12_secret_sealed(struct ks_bytes *type, struct ks_bytes secret_bag)
{
	struct ks_der value;

	if (typed_value(type, &value, secret_bag) < 0 || value.tag != KS_DER_OCTETS ||
	    !ks_sealed_key_shaped(value.content))
		return KS_NONE;
	return value.content;
}

/* ---- one bag, one item ------------------------------------------------------------------------------------------------ */

/* What the value of a bag turned out to be. */
struct meaning {
	enum ks_kind kind;
	unsigned flags;
	struct ks_bytes der; /* absent: the whole bag */
	const struct ks_item_from *from;
	const char *about; /* of opaque ones */
	const char *trouble; /* what is wrong with it, or NULL */
};

static struct meaning opaque(const char *about, const char *trouble)
{
	return (struct meaning){
		.kind = KS_OPAQUE, .flags = trouble ? KS_UNDECODED : 0, .about = about, .trouble = trouble
	};
}

static struct meaning certificate_meaning(struct ks_bytes element)
{
	struct ks_bytes type;
	struct ks_der value;

	if (typed_value(&type, &value, element) < 0)
		return opaque("certificate", "it has no readable value");
	if (ks_der_is(type, KS_OID_SDSI_CERTIFICATE))
		return opaque("SDSI certificate", NULL);
	if (!ks_der_is(type, KS_OID_X509_CERTIFICATE))
		return opaque("certificate of an unknown type", NULL);
	if (value.tag != KS_DER_OCTETS || !ks_certificate_shaped(value.content))
		return opaque("certificate", "its bytes are not a certificate");
	return (struct meaning){ .kind = KS_CERTIFICATE, .der = value.content };
}

static struct meaning crl_meaning(struct ks_bytes element)
{
	struct ks_bytes type;
	struct ks_der value, crl;

	if (typed_value(&type, &value, element) < 0)
		return opaque("CRL", "it has no readable value");
	if (!ks_der_is(type, KS_OID_X509_CRL))
		return opaque("CRL of an unknown type", NULL);
	if (value.tag != KS_DER_OCTETS || ks_der_only(&crl, value.content, KS_DER_SEQUENCE) < 0)
		return opaque("CRL", "its bytes are not a CRL");
	return (struct meaning){ .kind = KS_CRL, .der = value.content };
}

static struct meaning secret_meaning(struct ks_bytes element)
{
	struct ks_bytes type;
	struct ks_der value;

	if (typed_value(&type, &value, element) < 0)
		return opaque("secret", "it has no readable value");
	return (struct meaning){ .kind = KS_SECRET_KEY,
				 .flags = ks_pkcs12_secret_sealed(&type, element).data ? KS_SEALED : 0,
				 .der = element,
				 .from = &ks_pkcs12_keys };
}

/* PrivateKeyInfo (RFC 5958 2): version, algorithm, key */
static bool clear_key_shaped(struct ks_bytes der)
{
	struct ks_der sequence, part;
	struct ks_bytes rest;

	if (ks_der_only(&sequence, der, KS_DER_SEQUENCE) < 0)
		return false;
	rest = sequence.content;
	return ks_der_expect(&part, &rest, KS_DER_INTEGER) == 0 && ks_der_expect(&part, &rest, KS_DER_SEQUENCE) == 0 &&
	       ks_der_expect(&part, &rest, KS_DER_OCTETS) == 0;
}

static struct meaning key_meaning(struct ks_bytes element, bool sealed)
{
	if (sealed ? !ks_sealed_key_shaped(element) : !clear_key_shaped(element))
		return opaque("private key", "its bytes are not a PKCS#8 key");
	return (struct meaning){
		.kind = KS_PRIVATE_KEY, .flags = sealed ? KS_SEALED : 0, .der = element, .from = &ks_pkcs12_keys
	};
}

static struct meaning meaning_of(const struct ks_pkcs12_safe_bag *bag)
{
	switch (bag_type(bag->oid)) {
	case KS_BAG_KEY:
		return key_meaning(bag->value, false);
	case KS_BAG_SEALED_KEY:
		return key_meaning(bag->value, true);
	case KS_BAG_CERTIFICATE:
		return certificate_meaning(bag->value);
	case KS_BAG_CRL:
		return crl_meaning(bag->value);
	case KS_BAG_SECRET:
		return secret_meaning(bag->value);
	default:
		return opaque(NULL, NULL);
	}
}

/* The first sealed key tells how the store's keys are sealed. */
static void learn_key(struct ks_ctx *ctx, struct ks_pkcs12_layout *layout, const struct meaning *meaning)
{
	if (meaning->kind == KS_PRIVATE_KEY && (meaning->flags & KS_SEALED) && !layout->key.cipher &&
	    ks_sealed_key_protection(&layout->key, ctx, meaning->der) < 0)
		ks_forgive(ctx);
}

static void tell_trouble(struct ks_item *item, const char *trouble)
{
	ks_auto_mem char *named = ks_item_named(item);

	item->flags |= KS_UNDECODED;
	ks_set_problem(item->set, KS_EDAMAGED, "it is kept as it is when the store is written",
		       "%s could not be understood: %s", named ? named : "a bag", trouble);
}

static int bag_add(struct ks_ctx *ctx, struct ks_set *into, struct ks_pkcs12_layout *layout, struct ks_bytes raw,
		   struct ks_bytes der, const struct ks_pkcs12_safe_bag *bag, unsigned place)
{
	struct meaning meaning = meaning_of(bag);
	struct ks_item *item = ks_set_add(into, meaning.kind);
	char name[80];
	int rc;

	if (!item)
		return ks_nomem(ctx);
	item->flags = meaning.flags;
	item->der = meaning.der.data ? meaning.der : der;
	item->raw = raw;
	item->attributes = bag->attributes;
	item->from = meaning.from;
	item->handle = place;
	item->about = meaning.about;
	if (meaning.kind == KS_OPAQUE && !meaning.about)
		item->about = ks_set_text(into, "bag of type %s", ks_oid_name(name, bag->oid));
	rc = bag->attributes.data ? ks_pkcs12_attributes_read(item, bag->attributes) : 0;
	if (rc == KS_ENOMEM)
		return ks_nomem(ctx);
	if (rc < 0)
		meaning.trouble = "its attributes are damaged";
	learn_key(ctx, layout, &meaning);
	if (meaning.kind == KS_PRIVATE_KEY && !(meaning.flags & KS_SEALED))
		ks_key_item(item, KS_SHAPE_PKCS8);
	if (meaning.kind == KS_CERTIFICATE && !layout->has_certificates) {
		layout->has_certificates = true;
		layout->certificates_sealed = place & KS_PKCS12_SEALED_PART;
	}
	if (meaning.trouble)
		tell_trouble(item, meaning.trouble);
	return 0;
}

static int bags_read(struct ks_ctx *ctx, struct ks_set *into, struct ks_pkcs12_layout *layout, struct ks_bytes rest,
		     unsigned place, unsigned depth);

/* A SafeContents inside a bag (RFC 7292 4.2.6). */
static int nested_read(struct ks_ctx *ctx, struct ks_set *into, struct ks_pkcs12_layout *layout,
		       struct ks_bytes element, unsigned place, unsigned depth)
{
	struct ks_der contents;

	if (depth >= KS_BER_DEPTH)
		return ks_fail(ctx, KS_ELIMIT, "the store nests safe contents more than %d deep", KS_BER_DEPTH);
	if (ks_der_only(&contents, element, KS_DER_SEQUENCE) < 0)
		return ks_fail(ctx, KS_EDAMAGED, "nested safe contents are damaged");
	return bags_read(ctx, into, layout, contents.content, place | KS_PKCS12_NESTED, depth + 1);
}

static int bags_read(struct ks_ctx *ctx, struct ks_set *into, struct ks_pkcs12_layout *layout, struct ks_bytes rest,
		     unsigned place, unsigned depth)
{
	struct ks_pkcs12_safe_bag bag;
	struct ks_der element;
	struct ks_bytes der;
	int rc = 0;

	while (rc == 0 && rest.size) {
		if (ks_set_count(into) >= KS_PKCS12_BAGS)
			return ks_fail(ctx, KS_ELIMIT, "the store has more than %d bags", KS_PKCS12_BAGS);
		rc = ks_ber_next(&element, &rest);
		if (rc == 0)
			rc = ks_ber_as_der(&der, into, element.whole);
		if (rc == 0)
			rc = ks_pkcs12_bag_read(&bag, der);
		if (rc == KS_EDAMAGED)
			return ks_fail(ctx, KS_EDAMAGED, "bag %zu of the store is damaged", ks_set_count(into) + 1);
		if (rc == KS_ELIMIT)
			return ks_fail(ctx, KS_ELIMIT, "the store is nested more than %d deep", KS_BER_DEPTH);
		if (rc < 0)
			return ks_nomem(ctx);
		if (bag_type(bag.oid) == KS_BAG_NESTED)
			rc = nested_read(ctx, into, layout, bag.value, place, depth);
		else
			rc = bag_add(ctx, into, layout, element.whole, der, &bag, place);
	}
	return rc;
}

int ks_pkcs12_bags_read(struct ks_ctx *ctx, struct ks_set *into, struct ks_pkcs12_layout *layout,
			struct ks_bytes safe_contents, unsigned place)
{
	return bags_read(ctx, into, layout, safe_contents, place, 0);
}

/* ---- keys, when somebody wants to use one ------------------------------------------------------------------------------ */

static struct ks_bytes sealed_in(const struct ks_item *item)
{
	struct ks_bytes type;

	return item->kind == KS_PRIVATE_KEY ? item->der : ks_pkcs12_secret_sealed(&type, item->der);
}

static int open_with(struct ks_buffer **out, struct ks_item *item, struct ks_ctx *ctx, const struct ks_secret *secret)
{
	const struct ks_pkcs12_layout *layout = ks_set_facts_of(item->set)->layout;
	enum ks_password_form form = layout ? layout->form : KS_PASSWORD_UTF8;

	return ks_sealed_key_open(out, ctx, sealed_in(item), secret, &form);
}

static int key_pkcs8(struct ks_buffer **out, struct ks_item *item, struct ks_ctx *ctx)
{
	ks_auto_mem char *named = NULL;

	if (sealed_in(item).data)
		return ks_key_unseal(out, item, ctx, open_with);
	named = ks_item_named(item);
	return ks_fail(ctx, KS_EUNABLE, "%s is of a kind that only the program that wrote it understands",
		       named ? named : "the secret");
}

static int key_pkey(EVP_PKEY **out, struct ks_item *item, struct ks_ctx *ctx)
{
	return ks_key_pkey_from(out, item, ctx, key_pkcs8);
}

const struct ks_item_from ks_pkcs12_keys = { .pkey = key_pkey, .pkcs8 = key_pkcs8 };
