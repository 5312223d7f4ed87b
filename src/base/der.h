/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A strict walk over DER (X.690): one element at a time, every length checked against what is left, nothing copied.
 */
#ifndef KS_DER_H
#define KS_DER_H

#include "mem.h"

#define KS_DER_SEQUENCE 0x30
#define KS_DER_SET 0x31
#define KS_DER_INTEGER 0x02
#define KS_DER_BITS 0x03
#define KS_DER_OCTETS 0x04
#define KS_DER_NULL 0x05
#define KS_DER_OID 0x06
#define KS_DER_BOOLEAN 0x01
#define KS_DER_CONTEXT(n) (0xa0 | (n)) /* constructed [n] */

struct ks_der {
	unsigned char tag;	/* identifier octet; tags above 30 are refused */
	struct ks_bytes whole;	/* header and content */
	struct ks_bytes content;
};

/* Takes the next element off `*rest`. 0, or KS_EDAMAGED (nothing taken). Refuses indefinite and non-minimal lengths. */
int ks_der_next(struct ks_der *out, struct ks_bytes *rest);
/* The same, and its tag must be `tag`. */
int ks_der_expect(struct ks_der *out, struct ks_bytes *rest, unsigned char tag);
/* Takes the next element when its tag is `tag`; false, nothing taken, otherwise. */
bool ks_der_maybe(struct ks_der *out, struct ks_bytes *rest, unsigned char tag);
/* `bytes` is exactly one element with that tag. */
int ks_der_only(struct ks_der *out, struct ks_bytes bytes, unsigned char tag);
/* A non-negative INTEGER's content as a number; KS_EDAMAGED when negative or too large. */
int ks_der_number(uint64_t *out, struct ks_bytes content);
/* OID content equals dotted text? `der` are the content octets, as a string literal. */
#define ks_der_is(content, literal) ks_bytes_equal((content), KS_BYTES((literal), sizeof(literal) - 1))

/* Writing: header of an element whose content has `size` bytes; returns bytes written (at most 10); `out` may be NULL. */
size_t ks_der_header(unsigned char *out, unsigned char tag, size_t size);
int ks_der_put(struct ks_buffer *out, unsigned char tag, struct ks_bytes content);
/* Opens an element of unknown size and returns a mark for ks_der_close, which moves the content to fit the header. */
size_t ks_der_open(struct ks_buffer *out, unsigned char tag);
int ks_der_close(struct ks_buffer *out, size_t mark);
/*
 * The same for an element of many megabytes: `expected` is about its size, the header for that is kept free, and closing moves the
 * content only where the guess was wrong. Returns where the content begins, which closing wants back with the same `expected`.
 */
size_t ks_der_open_large(struct ks_buffer *out, unsigned char tag, size_t expected);
int ks_der_close_large(struct ks_buffer *out, size_t content, size_t expected);
int ks_der_put_number(struct ks_buffer *out, uint64_t value);

#endif
