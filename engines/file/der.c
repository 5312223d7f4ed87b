/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that is one piece of DER: a certificate, a key, a request or a CRL.
 */
#include "codecs.h"

#include "protect.h"
#include "shape.h"

#include "der.h"

static int der_probe(struct ks_bytes head)
{
	enum ks_shape shape = ks_shape_of(head);

	return shape == KS_SHAPE_UNKNOWN || shape == KS_SHAPE_PKCS7 || shape == KS_SHAPE_PFX ? 0 : 80;
}

static int der_decode(struct ks_ctx *ctx, struct ks_set *into, struct ks_bytes file, struct ks_secret *secret)
{
	enum ks_shape shape = ks_shape_of(file);
	struct ks_bytes rest = file;
	struct ks_item *item = NULL;
	struct ks_der whole;

	ks_set_facts(into)->format = "der";
	if (shape == KS_SHAPE_UNKNOWN || ks_der_next(&whole, &rest) < 0)
		return ks_fail(ctx, KS_EDAMAGED, "this is not DER, or it ends too early");
	if (rest.size)
		return ks_fail(ctx, KS_EDAMAGED, "%zu bytes stand behind the end of %s", rest.size, ks_shape_title(shape));
	ks_set_keep_secret(into, secret);
	return ks_shape_item(&item, into, shape, file);
}

static int encode_key(struct ks_ctx *ctx, struct ks_buffer *out, struct ks_item *item, struct ks_secret *secret)
{
	ks_auto(buffer) clear = NULL;
	int rc = ks_item_pkcs8(&clear, item, ctx);

	if (rc < 0)
		return rc;
	if (secret)
		return ks_sealed_key_put(out, ctx, ks_buffer_bytes(clear), secret, NULL);
	return ks_buffer_put(out, clear->data, clear->size);
}

static int der_encode(struct ks_ctx *ctx, struct ks_buffer *out, struct ks_set *from, const struct ks_set *have,
		      struct ks_secret *secret, bool changed)
{
	struct ks_item *item = ks_set_at(from, 0);
	bool untouched = item && item->origin && item->origin->set == have && !changed;

	if (ks_set_count(from) != 1)
		return ks_hint(ctx,
			       ks_fail(ctx, KS_ELOSSY, "a DER file holds exactly one thing, and this would be %zu",
				       ks_set_count(from)),
			       "a pem: or p12: store holds many");
	if (item->kind == KS_PRIVATE_KEY && !untouched)
		return encode_key(ctx, out, item, secret);
	return ks_buffer_put(out, item->der.data, item->der.size);
}

const struct ks_codec ks_codec_der = {
	.name = "der",
	.ceiling = (size_t)1 << 20,
	.probe = der_probe,
	.decode = der_decode,
	.encode = der_encode,
};
