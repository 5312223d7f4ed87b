/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DER elements, read strictly and written plainly (X.690 8.1, 10.1).
 */
#include "der.h"

#include <string.h>

/* Length octets at `*rest`; minimal and definite only. */
static int length_next(size_t *length, struct ks_bytes *rest)
{
	size_t octets, value = 0;

	if (rest->size == 0)
		return KS_EDAMAGED;
	octets = rest->data[0];
	*rest = KS_BYTES(rest->data + 1, rest->size - 1);
	if (octets < 0x80) {
		*length = octets;
		return 0;
	}
	octets &= 0x7f;
	if (octets == 0 || octets > 4 || octets > rest->size || rest->data[0] == 0)
		return KS_EDAMAGED;
	for (size_t i = 0; i < octets; i++)
		value = value << 8 | rest->data[i];
	if (value < 0x80)
		return KS_EDAMAGED;
	*rest = KS_BYTES(rest->data + octets, rest->size - octets);
	*length = value;
	return 0;
}

int ks_der_next(struct ks_der *out, struct ks_bytes *rest)
{
	struct ks_bytes left = *rest;
	size_t length;
	unsigned char tag;

	if (left.size < 2)
		return KS_EDAMAGED;
	tag = left.data[0];
	if ((tag & 0x1f) == 0x1f)
		return KS_EDAMAGED;
	left = KS_BYTES(left.data + 1, left.size - 1);
	if (length_next(&length, &left) < 0 || length > left.size)
		return KS_EDAMAGED;
	out->tag = tag;
	out->content = KS_BYTES(left.data, length);
	out->whole = KS_BYTES(rest->data, (size_t)(left.data - rest->data) + length);
	*rest = KS_BYTES(left.data + length, left.size - length);
	return 0;
}

int ks_der_expect(struct ks_der *out, struct ks_bytes *rest, unsigned char tag)
{
	return ks_der_maybe(out, rest, tag) ? 0 : KS_EDAMAGED;
}

bool ks_der_maybe(struct ks_der *out, struct ks_bytes *rest, unsigned char tag)
{
	struct ks_bytes left = *rest;
	struct ks_der next;

	if (ks_der_next(&next, &left) < 0 || next.tag != tag)
		return false;
	*out = next;
	*rest = left;
	return true;
}

int ks_der_only(struct ks_der *out, struct ks_bytes bytes, unsigned char tag)
{
	struct ks_der next;

	if (ks_der_expect(&next, &bytes, tag) < 0 || bytes.size != 0)
		return KS_EDAMAGED;
	*out = next;
	return 0;
}

int ks_der_number(uint64_t *out, struct ks_bytes content)
{
	uint64_t value = 0;

	if (content.size == 0 || content.size > 9 || (content.data[0] & 0x80))
		return KS_EDAMAGED;
	if (content.size == 9 && content.data[0] != 0)
		return KS_EDAMAGED;
	for (size_t i = 0; i < content.size; i++)
		value = value << 8 | content.data[i];
	*out = value;
	return 0;
}

size_t ks_der_header(unsigned char *out, unsigned char tag, size_t size)
{
	size_t octets = 0;

	for (size_t left = size; size >= 0x80 && left; left >>= 8)
		octets++;
	if (out) {
		out[0] = tag;
		out[1] = octets ? (unsigned char)(0x80 | octets) : (unsigned char)size;
		for (size_t i = 0; i < octets; i++)
			out[2 + i] = (unsigned char)(size >> 8 * (octets - 1 - i));
	}
	return 2 + octets;
}

int ks_der_put(struct ks_buffer *out, unsigned char tag, struct ks_bytes content)
{
	unsigned char header[10];
	int rc = ks_buffer_put(out, header, ks_der_header(header, tag, content.size));

	return rc < 0 ? rc : ks_buffer_put(out, content.data, content.size);
}

size_t ks_der_open(struct ks_buffer *out, unsigned char tag)
{
	size_t mark = out->size;

	ks_buffer_put(out, &tag, 1);
	return mark;
}

int ks_der_close(struct ks_buffer *out, size_t mark)
{
	unsigned char header[10];
	size_t size, grown;
	unsigned char *place;

	if (out->status)
		return out->status;
	size = out->size - mark - 1;
	grown = ks_der_header(header, out->data[mark], size) - 1;
	if (!ks_buffer_room(out, grown))
		return out->status;
	place = out->data + mark;
	memmove(place + 1 + grown, place + 1, size);
	memcpy(place, header, grown + 1);
	out->size += grown;
	return 0;
}

size_t ks_der_open_large(struct ks_buffer *out, unsigned char tag, size_t expected)
{
	unsigned char header[10];

	ks_buffer_put(out, header, ks_der_header(header, tag, expected));
	return out->size;
}

int ks_der_close_large(struct ks_buffer *out, size_t content, size_t expected)
{
	unsigned char header[10];
	size_t kept = ks_der_header(NULL, 0, expected), needed, size, start = content - kept;

	if (out->status)
		return out->status;
	size = out->size - content;
	needed = ks_der_header(header, out->data[start], size);
	if (needed > kept && !ks_buffer_room(out, needed - kept))
		return out->status;
	if (needed != kept)
		memmove(out->data + start + needed, out->data + content, size);
	memcpy(out->data + start, header, needed);
	out->size = start + needed + size;
	return 0;
}

int ks_der_put_number(struct ks_buffer *out, uint64_t value)
{
	unsigned char octets[9] = { 0 };
	size_t first = 0;

	for (size_t i = 0; i < 8; i++)
		octets[1 + i] = (unsigned char)(value >> 8 * (7 - i));
	while (first < 8 && octets[first] == 0 && !(octets[first + 1] & 0x80))
		first++;
	return ks_der_put(out, KS_DER_INTEGER, KS_BYTES(octets + first, 9 - first));
}
