/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BER read leniently and turned into DER.
 */
#include "ber.h"

#define CONSTRUCTED 0x20
#define INDEFINITE SIZE_MAX

/* Tag and length; `length` is INDEFINITE or what the octets say, not yet compared with what is left. */
static int header_next(unsigned char *tag, size_t *length, struct ks_bytes *rest)
{
	const unsigned char *at = rest->data, *end = at + rest->size;
	size_t octets, value = 0;

	if (rest->size < 2 || (at[0] & 0x1f) == 0x1f)
		return KS_EDAMAGED;
	*tag = *at++;
	octets = *at++;
	if (octets == 0x80) {
		value = INDEFINITE;
	} else if (octets < 0x80) {
		value = octets;
	} else {
		octets &= 0x7f;
		if (octets > 8 || octets > (size_t)(end - at))
			return KS_EDAMAGED;
		while (octets--) {
			if (value >> 48)
				return KS_EDAMAGED;
			value = value << 8 | *at++;
		}
	}
	*length = value;
	*rest = KS_BYTES(at, (size_t)(end - at));
	return 0;
}

static bool at_end_of_contents(struct ks_bytes rest)
{
	return rest.size >= 2 && rest.data[0] == 0 && rest.data[1] == 0;
}

static int next_at(struct ks_der *out, struct ks_bytes *rest, unsigned depth)
{
	struct ks_bytes left = *rest;
	const unsigned char *content;
	struct ks_der inner;
	size_t length;
	int rc;

	if (depth > KS_BER_DEPTH)
		return KS_ELIMIT;
	rc = header_next(&out->tag, &length, &left);
	if (rc < 0)
		return rc;
	content = left.data;
	if (length != INDEFINITE) {
		if (length > left.size)
			return KS_EDAMAGED;
		out->content = KS_BYTES(content, length);
		left = KS_BYTES(content + length, left.size - length);
	} else {
		if (!(out->tag & CONSTRUCTED))
			return KS_EDAMAGED;
		while (!at_end_of_contents(left)) {
			rc = next_at(&inner, &left, depth + 1);
			if (rc < 0)
				return rc;
		}
		out->content = KS_BYTES(content, (size_t)(left.data - content));
		left = KS_BYTES(left.data + 2, left.size - 2);
	}
	out->whole = KS_BYTES(rest->data, (size_t)(left.data - rest->data));
	*rest = left;
	return 0;
}

int ks_ber_next(struct ks_der *out, struct ks_bytes *rest)
{
	return next_at(out, rest, 0);
}

int ks_ber_expect(struct ks_der *out, struct ks_bytes *rest, unsigned char tag)
{
	struct ks_bytes left = *rest;
	struct ks_der next;
	int rc;

	if (left.size && left.data[0] != tag)
		return KS_EDAMAGED;
	rc = ks_ber_next(&next, &left);
	if (rc < 0)
		return rc;
	*out = next;
	*rest = left;
	return 0;
}

bool ks_ber_enter(struct ks_bytes *rest, unsigned char tag)
{
	struct ks_bytes left = *rest;
	unsigned char found;
	size_t length;

	if (header_next(&found, &length, &left) < 0 || found != tag)
		return false;
	*rest = left;
	return true;
}

/* ---- strings in pieces ------------------------------------------------------------------------------------------------ */

static int pieces_join(struct ks_buffer *out, struct ks_bytes rest, unsigned depth)
{
	struct ks_der piece;
	int rc = 0;

	if (depth > KS_BER_DEPTH)
		return KS_ELIMIT;
	while (rc == 0 && rest.size) {
		rc = ks_ber_next(&piece, &rest);
		if (rc < 0)
			return rc;
		if (piece.tag == KS_DER_OCTETS)
			rc = ks_buffer_put(out, piece.content.data, piece.content.size);
		else if (piece.tag == (KS_DER_OCTETS | CONSTRUCTED))
			rc = pieces_join(out, piece.content, depth + 1);
		else
			rc = KS_EDAMAGED;
	}
	return rc;
}

int ks_ber_octets(struct ks_bytes *out, struct ks_set *set, const struct ks_der *element)
{
	ks_auto(buffer) joined = NULL;
	int rc;

	if (!(element->tag & CONSTRUCTED)) {
		*out = element->content;
		return 0;
	}
	joined = ks_buffer_new(element->content.size);
	if (!joined || !ks_buffer_room(joined, element->content.size))
		return KS_ENOMEM;
	rc = pieces_join(joined, element->content, 0);
	if (rc < 0)
		return rc;
	*out = ks_buffer_bytes(joined);
	return ks_set_own(set, ks_take(joined));
}

/* ---- the same as DER -------------------------------------------------------------------------------------------------- */

static bool all_der(struct ks_bytes rest, unsigned depth)
{
	struct ks_der element;

	if (depth > KS_BER_DEPTH)
		return false;
	while (rest.size) {
		if (ks_der_next(&element, &rest) < 0 || element.tag == (KS_DER_OCTETS | CONSTRUCTED))
			return false;
		if ((element.tag & CONSTRUCTED) && !all_der(element.content, depth + 1))
			return false;
	}
	return true;
}

bool ks_ber_is_der(struct ks_bytes element)
{
	return all_der(element, 0);
}

static int put_der(struct ks_buffer *out, struct ks_bytes rest, unsigned depth)
{
	struct ks_der element;
	size_t mark;
	int rc = 0;

	if (depth > KS_BER_DEPTH)
		return KS_ELIMIT;
	while (rc == 0 && rest.size) {
		rc = ks_ber_next(&element, &rest);
		if (rc < 0)
			return rc;
		if (!(element.tag & CONSTRUCTED)) {
			rc = ks_der_put(out, element.tag, element.content);
			continue;
		}
		mark = ks_der_open(out, element.tag == (KS_DER_OCTETS | CONSTRUCTED) ? KS_DER_OCTETS : element.tag);
		rc = element.tag == (KS_DER_OCTETS | CONSTRUCTED) ? pieces_join(out, element.content, depth)
								  : put_der(out, element.content, depth + 1);
		if (rc == 0)
			rc = ks_der_close(out, mark);
	}
	return rc;
}

int ks_ber_as_der(struct ks_bytes *out, struct ks_set *set, struct ks_bytes element)
{
	ks_auto(buffer) der = NULL;
	int rc;

	if (ks_ber_is_der(element)) {
		*out = element;
		return 0;
	}
	/* An indefinite length costs two end octets, which pay for a definite one up to 64 KiB; a larger element has room. */
	der = ks_buffer_new(element.size + element.size / 4 + 64);
	if (!der)
		return KS_ENOMEM;
	rc = put_der(der, element, 0);
	if (rc < 0)
		return rc;
	*out = ks_buffer_bytes(der);
	return ks_set_own(set, ks_take(der));
}
