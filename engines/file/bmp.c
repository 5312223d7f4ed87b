/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between UTF-8 and BMPString.
 */
#include "bmp.h"

#include "text.h"

static void unit_put(struct ks_buffer *out, uint32_t unit)
{
	unsigned char pair[2] = { (unsigned char)(unit >> 8), (unsigned char)unit };

	ks_buffer_put(out, pair, 2);
}

int ks_bmp_put(struct ks_buffer *out, struct ks_bytes text, bool latin1)
{
	bool bytes = latin1 || !ks_utf8_valid(text);
	uint32_t point;

	for (size_t i = 0; i < text.size;) {
		size_t size = bytes ? 1 : ks_utf8_next(&point, text.data + i, text.size - i);

		if (bytes)
			point = text.data[i];
		if (size == 0)
			return KS_EDAMAGED;
		i += size;
		if (point > 0xffff) {
			unit_put(out, 0xd7c0 + (point >> 10));
			point = 0xdc00 | (point & 0x3ff);
		}
		unit_put(out, point);
	}
	return out->status;
}

static uint32_t unit_at(struct ks_bytes bmp, size_t i)
{
	return (uint32_t)bmp.data[i] << 8 | bmp.data[i + 1];
}

static uint32_t point_next(struct ks_bytes bmp, size_t *i)
{
	uint32_t high = unit_at(bmp, *i), low;

	*i += 2;
	if (high < 0xd800 || high > 0xdfff)
		return high;
	if (high > 0xdbff || *i == bmp.size)
		return 0xfffd;
	low = unit_at(bmp, *i);
	if (low < 0xdc00 || low > 0xdfff)
		return 0xfffd;
	*i += 2;
	return 0x10000 + ((high & 0x3ff) << 10) + (low & 0x3ff);
}

int ks_bmp_text(struct ks_bytes *out, struct ks_set *set, struct ks_bytes bmp)
{
	ks_auto_mem unsigned char *text = NULL;
	size_t size = 0;

	if (bmp.size % 2)
		return KS_EDAMAGED;
	text = ks_array(bmp.size / 2 + 1, 3);
	if (!text)
		return KS_ENOMEM;
	for (size_t i = 0; i < bmp.size;)
		size += ks_utf8_put(text + size, point_next(bmp, &i));
	*out = ks_set_bytes(set, text, size);
	return out->data ? 0 : KS_ENOMEM;
}
