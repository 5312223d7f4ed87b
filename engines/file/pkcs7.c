/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates and CRLs out of a SignedData, by a small strict walk; nothing else in it is used.
 */
#include "pkcs7.h"

#include "ber.h"
#include "codecs.h"
#include "shape.h"

#include "der.h"

/* What cannot be understood is named and skipped: attribute certificates and other choices of RFC 5652 10.2. */
static int add_one(struct ks_set *into, struct ks_bytes der)
{
	struct ks_ctx *ctx = ks_set_ctx(into);
	struct ks_facts *facts = ks_set_facts(into);
	struct ks_item *item = NULL;
	int rc = ks_shape_item(&item, into, ks_shape_of(der), der);

	if (rc == 0) {
		facts->blocks_ok++;
		return 0;
	}
	if (rc != KS_EDAMAGED && rc != KS_EFORMAT)
		return rc;
	facts->blocks_damaged++;
	ks_set_problem(into, rc, NULL, "one element of a PKCS#7 bag: %s", ks_ctx_text(ctx));
	ks_forgive(ctx);
	return 0;
}

static int add_all(struct ks_set *into, struct ks_bytes rest)
{
	struct ks_der element;
	int rc = 0;

	while (rc == 0 && rest.size) {
		rc = ks_der_next(&element, &rest);
		if (rc == 0)
			rc = add_one(into, element.whole);
	}
	return rc;
}

/* SignedData: version, digestAlgorithms, contentInfo, [0] certificates, [1] crls, signerInfos. */
static int walk(struct ks_set *into, struct ks_bytes content_info)
{
	struct ks_der outer, part, box;
	struct ks_bytes rest;
	int rc = 0;

	if (ks_der_only(&outer, content_info, KS_DER_SEQUENCE) < 0)
		return KS_EDAMAGED;
	rest = outer.content;
	if (ks_der_expect(&part, &rest, KS_DER_OID) < 0 || ks_der_only(&box, rest, KS_DER_CONTEXT(0)) < 0)
		return KS_EDAMAGED;
	if (ks_der_only(&part, box.content, KS_DER_SEQUENCE) < 0)
		return KS_EDAMAGED;
	rest = part.content;
	if (ks_der_expect(&part, &rest, KS_DER_INTEGER) < 0 || ks_der_expect(&part, &rest, KS_DER_SET) < 0 ||
	    ks_der_expect(&part, &rest, KS_DER_SEQUENCE) < 0)
		return KS_EDAMAGED;
	if (ks_der_maybe(&part, &rest, KS_DER_CONTEXT(0)))
		rc = add_all(into, part.content);
	if (rc == 0 && ks_der_maybe(&part, &rest, KS_DER_CONTEXT(1)))
		rc = add_all(into, part.content);
	return rc;
}

int ks_pkcs7_items(struct ks_set *into, struct ks_bytes content_info)
{
	struct ks_ctx *ctx = ks_set_ctx(into);
	struct ks_bytes der;
	int rc;

	if (ks_shape_of(content_info) != KS_SHAPE_PKCS7)
		return ks_hint(ctx, ks_fail(ctx, KS_EFORMAT, "this PKCS#7 file holds no certificates: it is not signedData"),
			       "openssl cms -cmsout -print shows what is in it");
	rc = ks_ber_as_der(&der, into, content_info);
	if (rc == 0)
		rc = walk(into, der);
	if (rc == KS_EDAMAGED)
		return ks_fail(ctx, KS_EDAMAGED, "the PKCS#7 structure is damaged");
	return rc;
}

static int pkcs7_probe(struct ks_bytes head)
{
	return ks_shape_of(head) == KS_SHAPE_PKCS7 ? 90 : 0;
}

static int pkcs7_decode(struct ks_ctx *ctx, struct ks_set *into, struct ks_bytes file, struct ks_secret *secret)
{
	struct ks_bytes rest = file;
	struct ks_der whole;

	(void)secret;
	ks_set_facts(into)->format = "pkcs7";
	ks_set_facts(into)->has_blocks = true;
	if (ks_ber_next(&whole, &rest) < 0)
		return ks_fail(ctx, KS_EDAMAGED, "the PKCS#7 structure ends too early");
	if (rest.size)
		return ks_fail(ctx, KS_EDAMAGED, "%zu bytes stand behind the end of the PKCS#7 structure", rest.size);
	return ks_pkcs7_items(into, file);
}

const struct ks_codec ks_codec_pkcs7 = {
	.name = "p7",
	.probe = pkcs7_probe,
	.decode = pkcs7_decode,
};
