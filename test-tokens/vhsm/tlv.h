/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tag-length-value: what a card reads and writes (ISO 7816-4 5.2.2, DER's subset of it).
 *
 * Tags of one or two bytes, lengths up to 65,535. Reading borrows from the bytes it is given; writing fills a buffer of
 * fixed room and remembers when something did not fit, so that only the end of a composition has to ask.
 */
#ifndef VHSM_TLV_H
#define VHSM_TLV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct slice {
	const uint8_t *at;
	size_t length;
};

struct tlv {
	unsigned tag;
	struct slice value;
};

#define BUFFER_ROOM 8192
struct buffer {
	size_t length;
	bool overflowed;
	uint8_t at[BUFFER_ROOM];
};

static inline struct slice buffer_slice(const struct buffer *buffer)
{
	return (struct slice){ buffer->at, buffer->length };
}

/* Takes the next one off the front of `rest`; false at the end and where the bytes are no TLV. */
bool tlv_next(struct tlv *out, struct slice *rest);
/* The first one with that tag; false when there is none. */
bool tlv_find(struct slice *out, struct slice in, unsigned tag);

void buffer_add(struct buffer *out, const void *bytes, size_t length);
void buffer_add_byte(struct buffer *out, unsigned byte);
void buffer_add_tlv(struct buffer *out, unsigned tag, struct slice value);

#endif
