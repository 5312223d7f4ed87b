/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding the blocks of a PEM file (RFC 7468, RFC 1421) in one pass, whatever stands between and around them.
 *
 * The cost is that of the bytes, also for a file of BEGIN lines without END. Nothing is passed over in silence: a
 * block that is cut, glued, mislabelled or hidden behind NULs comes out as a block, with a word about what is wrong
 * with it.
 */
#ifndef KS_PEM_SCAN_H
#define KS_PEM_SCAN_H

#include "mem.h"

struct ks_pem_scan {
	struct ks_bytes file;
	size_t at; /* behind the last block */
	size_t counted; /* lines up to here are in `line` */
	size_t line;
	bool glued; /* the last block's END marker ends at `at` */
};

struct ks_pem_block {
	struct ks_bytes text; /* from the end of the block before to this one's BEGIN */
	struct ks_bytes whole; /* BEGIN line to END line, with the line's end */
	struct ks_bytes label; /* "CERTIFICATE"; none for raw DER and for what has no BEGIN */
	struct ks_bytes headers; /* RFC 1421 header lines, or none */
	struct ks_bytes body; /* base64, or the DER itself when `binary` */
	bool binary; /* a piece of DER between the blocks */
	size_t line; /* where it begins, counted from 1 */
	const char *wrong; /* why it cannot be a block; NULL = nothing is known against it */
};

/* The next block; false behind the last, and then *out->text is what stands behind it. */
bool ks_pem_next(struct ks_pem_block *out, struct ks_pem_scan *scan);
/* The first header of that name: "DEK-Info"; data NULL = there is none. */
struct ks_bytes ks_pem_header(const struct ks_pem_block *block, const char *name);
/* Takes the next line, without its end, off `*rest`. */
struct ks_bytes ks_pem_line(struct ks_bytes *rest);

/*
 * Decodes base64 over itself when it stands in lines of 64 characters as we write them, so that encoding gives the
 * same bytes again, and begins like DER. False, and nothing is changed, when it does not.
 */
bool ks_pem_decode_over(size_t *size, struct ks_bytes body);
/*
 * Decodes base64 to `to`, which has room for body.size / 4 * 3 + 3 bytes. Blanks, line ends and NULs are passed over.
 * KS_EDAMAGED with *stranger the first character that is neither (0: the padding is wrong).
 */
int ks_pem_decode(unsigned char *to, size_t *size, struct ks_bytes body, unsigned char *stranger);
/* Appends lines of base64, 64 characters each. */
int ks_pem_encode(struct ks_buffer *out, struct ks_bytes bytes);

#endif
