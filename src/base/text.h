/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text that came from outside, made safe to show, and small conversions: hexadecimal, times, nearest spelling.
 */
#ifndef KS_TEXT_H
#define KS_TEXT_H

#include "mem.h"

#include <time.h>

bool ks_utf8_valid(struct ks_bytes bytes);
/* Length of the UTF-8 sequence at `at` (RFC 3629), its code point in *point; 0 when there is none. `left` is at least 1. */
size_t ks_utf8_next(uint32_t *point, const unsigned char *at, size_t left);
/* Writes `point` as UTF-8, at most four bytes; returns how many. */
size_t ks_utf8_put(unsigned char *to, uint32_t point);
/* Control characters (C0, DEL, C1), line and paragraph separators, marks that reorder text or have no width, and tags. */
bool ks_text_hides(uint32_t point);
/* Appends `bytes` for a terminal or a sentence: control characters, bidi marks and bytes that are not UTF-8 as \xNN / \uNNNN. */
int ks_text_shown(struct ks_buffer *out, struct ks_bytes bytes);
/* The same as a new string; NULL without memory. */
char *ks_text_show(struct ks_bytes bytes);
/* `text` as one word of a shell: as it stands where that is safe, else in single quotes. NULL without memory. */
char *ks_text_word(const char *text);

/* Lower-case hexadecimal; `out` has room for 2 * size + 1. */
void ks_hex(char *out, struct ks_bytes bytes);
char *ks_hex_new(struct ks_bytes bytes);
/* Digits with optional colons; bytes written, or -1. */
long ks_unhex(unsigned char *out, size_t room, const char *digits);

/* "2026-11-21T08:00:00Z" into 21 bytes; "2026-11-21" into 11. */
void ks_time_text(char out[21], int64_t seconds);
void ks_date_text(char out[11], int64_t seconds);
/* Days in the proleptic Gregorian calendar, UTC; no time zone database, no locale. KS_EDAMAGED for a date that is none. */
int ks_time_make(int64_t *out, int year, int month, int day, int hour, int minute, int second);

/* The nearest of `words` (ended by NULL) that is close enough to be a slip of the finger, or NULL. */
const char *ks_nearest(const char *word, const char *const *words);

#endif
