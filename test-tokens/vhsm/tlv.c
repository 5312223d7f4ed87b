/* SPDX-License-Identifier: Apache-2.0 */
#include "tlv.h"

#include <string.h>

static bool take(unsigned *out, struct slice *rest)
{
	if (rest->length == 0)
		return false;
	*out = *rest->at++;
	rest->length--;
	return true;
}

/* One byte below 128, else the number of length bytes, one or two, and these. */
static bool take_length(size_t *out, struct slice *rest)
{
	unsigned first, high = 0, low;

	if (!take(&first, rest))
		return false;
	if (first < 0x80) {
		*out = first;
		return true;
	}
	if (first > 0x82 || first == 0x80 || (first == 0x82 && !take(&high, rest)) || !take(&low, rest))
		return false;
	*out = high << 8 | low;
	return true;
}

bool tlv_next(struct tlv *out, struct slice *rest)
{
	unsigned tag, second;
	size_t length;

	if (!take(&tag, rest))
		return false;
	if ((tag & 0x1F) == 0x1F) {
		if (!take(&second, rest))
			return false;
		tag = tag << 8 | second;
	}
	if (!take_length(&length, rest) || length > rest->length)
		return false;
	*out = (struct tlv){ tag, { rest->at, length } };
	rest->at += length;
	rest->length -= length;
	return true;
}

bool tlv_find(struct slice *out, struct slice in, unsigned tag)
{
	struct tlv tlv;

	while (tlv_next(&tlv, &in)) {
		if (tlv.tag == tag) {
			*out = tlv.value;
			return true;
		}
	}
	return false;
}

void buffer_add(struct buffer *out, const void *bytes, size_t length)
{
	if (length > BUFFER_ROOM - out->length) {
		out->overflowed = true;
		return;
	}
	memcpy(out->at + out->length, bytes, length);
	out->length += length;
}

void buffer_add_byte(struct buffer *out, unsigned byte)
{
	uint8_t one = (uint8_t)byte;

	buffer_add(out, &one, 1);
}

void buffer_add_tlv(struct buffer *out, unsigned tag, struct slice value)
{
	if (tag > 0xFF)
		buffer_add_byte(out, tag >> 8);
	buffer_add_byte(out, tag);
	if (value.length > 0xFF) {
		buffer_add_byte(out, 0x82);
		buffer_add_byte(out, (unsigned)(value.length >> 8));
	} else if (value.length > 0x7F) {
		buffer_add_byte(out, 0x81);
	}
	buffer_add_byte(out, (unsigned)value.length);
	buffer_add(out, value.at, value.length);
}
