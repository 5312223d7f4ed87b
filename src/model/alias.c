/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lower case by the Unicode table of the C library, whatever language the user speaks, with the two rules that Java adds: the dotted
 * capital I of Turkish becomes two characters, and a capital sigma at the end of a word becomes the final one.
 */
#include "alias.h"

#include "text.h"

#include <locale.h>
#include <wctype.h>

#define DOTTED_I 0x130
#define DOT_ABOVE 0x307
#define SIGMA 0x3a3
#define SMALL_SIGMA 0x3c3
#define FINAL_SIGMA 0x3c2

static void put_point(struct ks_buffer *out, uint32_t point)
{
	unsigned char bytes[4];

	ks_buffer_put(out, bytes, ks_utf8_put(bytes, point));
}

/* Does a word go on behind it? */
static bool letter_follows(struct ks_bytes rest, locale_t unicode)
{
	uint32_t point = 0;

	return rest.size && ks_utf8_next(&point, rest.data, rest.size) && iswalpha_l((wint_t)point, unicode);
}

static void put_lower(struct ks_buffer *out, struct ks_bytes label, locale_t unicode)
{
	bool in_word = false;

	for (size_t i = 0; i < label.size;) {
		uint32_t point = 0;

		i += ks_utf8_next(&point, label.data + i, label.size - i);
		if (point == SIGMA && in_word && !letter_follows(KS_BYTES(label.data + i, label.size - i), unicode))
			put_point(out, FINAL_SIGMA);
		else if (point == DOTTED_I)
			ks_buffer_text(out, "i\xcc\x87");
		else
			put_point(out, point == SIGMA ? SMALL_SIGMA : (uint32_t)towlower_l((wint_t)point, unicode));
		in_word = iswalpha_l((wint_t)point, unicode);
	}
}

static bool is_plain(struct ks_bytes label)
{
	for (size_t i = 0; i < label.size; i++) {
		if (label.data[i] >= 0x80)
			return false;
	}
	return true;
}

/* Most labels: no table is needed. */
static void put_lower_plain(struct ks_buffer *out, struct ks_bytes label)
{
	for (size_t i = 0; i < label.size; i++) {
		unsigned char byte = label.data[i];

		if (byte >= 'A' && byte <= 'Z')
			byte += 'a' - 'A';
		ks_buffer_put(out, &byte, 1);
	}
}

/* A system without the table knows the case of ASCII alone. */
static locale_t unicode_table(void)
{
	locale_t table = newlocale(LC_CTYPE_MASK, "C.UTF-8", NULL);

	return table ? table : newlocale(LC_CTYPE_MASK, "C", NULL);
}

/* Bytes that are not UTF-8 have no case. */
static struct ks_buffer *lower(struct ks_bytes label)
{
	ks_auto(buffer) out = ks_buffer_new(label.size * 3 + 1);
	locale_t unicode;

	if (!out)
		return NULL;
	if (is_plain(label)) {
		put_lower_plain(out, label);
	} else if (!ks_utf8_valid(label)) {
		ks_buffer_put(out, label.data, label.size);
	} else {
		unicode = unicode_table();
		if (!unicode)
			return NULL;
		put_lower(out, label, unicode);
		freelocale(unicode);
	}
	return out->status ? NULL : ks_take(out);
}

int ks_alias_of(struct ks_bytes *out, struct ks_bytes label, struct ks_set *keep)
{
	ks_auto(buffer) lowered = lower(label);

	if (!lowered)
		return KS_ENOMEM;
	if (!label.data || ks_bytes_equal(ks_buffer_bytes(lowered), label))
		*out = label;
	else
		*out = ks_set_bytes(keep, lowered->data, lowered->size);
	return label.data && !out->data ? KS_ENOMEM : 0;
}

bool ks_alias_equal(struct ks_bytes a, struct ks_bytes b)
{
	ks_auto(buffer) x = NULL;
	ks_auto(buffer) y = NULL;

	if (ks_bytes_equal(a, b))
		return true;
	x = lower(a);
	y = lower(b);
	return x && y && ks_bytes_equal(ks_buffer_bytes(x), ks_buffer_bytes(y));
}
