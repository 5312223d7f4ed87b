/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Outside text made safe to show, hexadecimal, dates, and the nearest spelling.
 */
#include "text.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

size_t ks_utf8_next(uint32_t *point, const unsigned char *at, size_t left)
{
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t length = at[0] < 0x80 ? 1 : at[0] >> 5 == 6 ? 2 : at[0] >> 4 == 14 ? 3 : at[0] >> 3 == 30 ? 4 : 0;
	uint32_t value = length == 1 ? at[0] : at[0] & (0xffu >> (length + 1));

	if (length == 0 || length > left)
		return 0;
	for (size_t i = 1; i < length; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
		value = value << 6 | (at[i] & 0x3f);
	}
	if (value < smallest[length] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
		return 0;
	*point = value;
	return length;
}

size_t ks_utf8_put(unsigned char *to, uint32_t point)
{
	if (point < 0x80) {
		to[0] = (unsigned char)point;
		return 1;
	}
	if (point < 0x800) {
		to[0] = (unsigned char)(0xc0 | point >> 6);
		to[1] = (unsigned char)(0x80 | (point & 0x3f));
		return 2;
	}
	if (point < 0x10000) {
		to[0] = (unsigned char)(0xe0 | point >> 12);
		to[1] = (unsigned char)(0x80 | (point >> 6 & 0x3f));
		to[2] = (unsigned char)(0x80 | (point & 0x3f));
		return 3;
	}
	to[0] = (unsigned char)(0xf0 | point >> 18);
	to[1] = (unsigned char)(0x80 | (point >> 12 & 0x3f));
	to[2] = (unsigned char)(0x80 | (point >> 6 & 0x3f));
	to[3] = (unsigned char)(0x80 | (point & 0x3f));
	return 4;
}

bool ks_utf8_valid(struct ks_bytes bytes)
{
	uint32_t point;
	size_t length;

	for (size_t at = 0; at < bytes.size; at += length) {
		length = ks_utf8_next(&point, bytes.data + at, bytes.size - at);
		if (length == 0)
			return false;
	}
	return true;
}

bool ks_text_hides(uint32_t point)
{
	return point < 0x20 || (point >= 0x7f && point < 0xa0) || point == 0xad || point == 0x61c ||
	       (point >= 0x200b && point <= 0x200f) || (point >= 0x2028 && point <= 0x202e) ||
	       (point >= 0x2060 && point <= 0x206f) || point == 0xfeff || (point >= 0xfff9 && point <= 0xfffb) ||
	       (point >= 0xe0000 && point <= 0xe007f);
}

int ks_text_shown(struct ks_buffer *out, struct ks_bytes bytes)
{
	uint32_t point;
	size_t length;

	for (size_t at = 0; at < bytes.size; at += length) {
		length = ks_utf8_next(&point, bytes.data + at, bytes.size - at);
		if (length && !ks_text_hides(point)) {
			ks_buffer_put(out, bytes.data + at, length);
		} else if (length == 0 || point < 0x80) {
			ks_buffer_format(out, "\\x%02x", bytes.data[at]);
			length = 1;
		} else {
			ks_buffer_format(out, "\\u%04x", point);
		}
	}
	return out->status;
}

char *ks_text_show(struct ks_bytes bytes)
{
	ks_auto(buffer) buffer = ks_buffer_new(bytes.size * 8 + 1);

	if (!buffer || ks_text_shown(buffer, bytes) < 0)
		return NULL;
	return strdup(ks_buffer_string(buffer));
}

static bool is_plain_word(const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789%+,-./:@_=#";

	return *text && *text != '#' && *text != '=' && text[strspn(text, plain)] == '\0';
}

char *ks_text_word(const char *text)
{
	ks_auto(buffer) buffer = ks_buffer_new(strlen(text) * 4 + 3);

	if (is_plain_word(text))
		return strdup(text);
	if (!buffer || ks_buffer_format(buffer, "'") < 0)
		return NULL;
	for (size_t length; *text; text += length + (text[length] == '\'')) {
		length = strcspn(text, "'");
		if (ks_buffer_format(buffer, "%.*s%s", (int)length, text, text[length] ? "'\\''" : "") < 0)
			return NULL;
	}
	return ks_buffer_format(buffer, "'") < 0 ? NULL : strdup(ks_buffer_string(buffer));
}

void ks_hex(char *out, struct ks_bytes bytes)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < bytes.size; i++) {
		*out++ = digits[bytes.data[i] >> 4];
		*out++ = digits[bytes.data[i] & 15];
	}
	*out = '\0';
}

char *ks_hex_new(struct ks_bytes bytes)
{
	char *text = malloc(bytes.size * 2 + 1);

	if (text)
		ks_hex(text, bytes);
	return text;
}

static int nibble(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	if (digit >= 'A' && digit <= 'F')
		return digit - 'A' + 10;
	return -1;
}

long ks_unhex(unsigned char *out, size_t room, const char *digits)
{
	size_t size = 0;

	while (*digits) {
		int high = nibble(digits[0]), low = high < 0 ? -1 : nibble(digits[1]);

		if (low < 0 || size == room)
			return -1;
		out[size++] = (unsigned char)(high << 4 | low);
		digits += 2;
		if (*digits == ':' && digits[1])
			digits++;
	}
	return (long)size;
}

/* Days since 1970-01-01 <-> civil date; years are counted from March so that the leap day ends them. */
static int64_t days_of(int64_t year, int month, int day)
{
	int64_t era, of_era;
	int of_year;

	year -= month <= 2;
	era = (year >= 0 ? year : year - 399) / 400;
	of_era = year - era * 400;
	of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void civil_of(int64_t days, int64_t *year, int *month, int *day)
{
	int64_t era, of_era, year_of_era, of_year, march;

	days += 719468;
	era = (days >= 0 ? days : days - 146096) / 146097;
	of_era = days - era * 146097;
	year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	march = (5 * of_year + 2) / 153;
	*day = (int)(of_year - (153 * march + 2) / 5 + 1);
	*month = (int)(march < 10 ? march + 3 : march - 9);
	*year = year_of_era + era * 400 + (*month <= 2);
}

int ks_time_make(int64_t *out, int year, int month, int day, int hour, int minute, int second)
{
	static const int lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	if (year < 0 || year > 9999 || month < 1 || month > 12 || day < 1)
		return KS_EDAMAGED;
	if (day > lengths[month - 1] + (leap && month == 2))
		return KS_EDAMAGED;
	if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59)
		return KS_EDAMAGED;
	*out = days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
	return 0;
}

/* Years beyond four digits do not occur in certificates (RFC 5280 4.1.2.5); a clock that far off is shown as the last day. */
static void civil_text(char *out, size_t room, int64_t seconds, bool with_clock)
{
	int64_t days = seconds / 86400, of_day = seconds % 86400, year;
	int month, day;

	if (of_day < 0) {
		of_day += 86400;
		days--;
	}
	civil_of(days, &year, &month, &day);
	if (year < 0 || year > 9999) {
		year = year < 0 ? 0 : 9999;
		month = year ? 12 : 1;
		day = year ? 31 : 1;
	}
	if (with_clock)
		snprintf(out, room, "%04u-%02u-%02uT%02u:%02u:%02uZ", (unsigned)year % 10000u, (unsigned)month % 100u,
			 (unsigned)day % 100u, (unsigned)(of_day / 3600) % 100u, (unsigned)(of_day / 60 % 60),
			 (unsigned)(of_day % 60));
	else
		snprintf(out, room, "%04u-%02u-%02u", (unsigned)year % 10000u, (unsigned)month % 100u, (unsigned)day % 100u);
}

void ks_time_text(char out[21], int64_t seconds)
{
	civil_text(out, 21, seconds, true);
}

void ks_date_text(char out[11], int64_t seconds)
{
	civil_text(out, 11, seconds, false);
}

/* Edits between two short words: insert, delete, replace, swap neighbours (optimal string alignment). */
static size_t distance(const char *a, const char *b)
{
	enum { LONGEST = 40 };
	size_t rows[3][LONGEST + 1];
	size_t width = strlen(b), height = strlen(a);

	if (width > LONGEST || height > LONGEST)
		return LONGEST;
	for (size_t j = 0; j <= width; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= height; i++) {
		size_t *now = rows[i % 3], *before = rows[(i + 2) % 3], *earlier = rows[(i + 1) % 3];

		now[0] = i;
		for (size_t j = 1; j <= width; j++) {
			size_t best = before[j - 1] + (a[i - 1] != b[j - 1]);

			best = before[j] + 1 < best ? before[j] + 1 : best;
			best = now[j - 1] + 1 < best ? now[j - 1] + 1 : best;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && earlier[j - 2] + 1 < best)
				best = earlier[j - 2] + 1;
			now[j] = best;
		}
	}
	return rows[height % 3][width];
}

const char *ks_nearest(const char *word, const char *const *words)
{
	const char *nearest = NULL;
	size_t best = strlen(word) / 3 + 1;

	for (; *words; words++) {
		size_t edits = strcasecmp(word, *words) == 0 ? 0 : distance(word, *words);

		if (edits <= best && (!nearest || edits < best)) {
			nearest = *words;
			best = edits;
		}
	}
	return nearest;
}
