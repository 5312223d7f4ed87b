/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory: checked growth, byte slices, and buffers that know their ceiling.
 */
#include "mem.h"

#include <openssl/crypto.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define LARGE_PAGE ((size_t)2 << 20)

void *ks_array(size_t count, size_t element)
{
	return calloc(count ? count : 1, element);
}

int ks_array_grow(void *array, size_t *capacity, size_t want, size_t element)
{
	void **place = array;
	size_t next = *capacity ? *capacity : 8;
	void *grown;

	if (want <= *capacity)
		return 0;
	while (next < want) {
		if (next > SIZE_MAX / 2)
			return KS_ENOMEM;
		next *= 2;
	}
	if (next > SIZE_MAX / element)
		return KS_ENOMEM;
	grown = realloc(*place, next * element);
	if (!grown)
		return KS_ENOMEM;
	memset((char *)grown + *capacity * element, 0, (next - *capacity) * element);
	*place = grown;
	*capacity = next;
	return 0;
}

struct ks_bytes ks_bytes_of(const char *text)
{
	return text ? KS_BYTES(text, strlen(text)) : KS_NONE;
}

bool ks_bytes_equal(struct ks_bytes a, struct ks_bytes b)
{
	return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

bool ks_bytes_are(struct ks_bytes bytes, const char *text)
{
	return bytes.data && ks_bytes_equal(bytes, ks_bytes_of(text));
}

int ks_bytes_compare(struct ks_bytes a, struct ks_bytes b)
{
	size_t shorter = a.size < b.size ? a.size : b.size;
	int order = shorter ? memcmp(a.data, b.data, shorter) : 0;

	if (order)
		return order;
	return a.size < b.size ? -1 : a.size > b.size;
}

struct ks_buffer *ks_buffer_new(size_t ceiling)
{
	struct ks_buffer *buffer = calloc(1, sizeof(*buffer));

	if (buffer)
		buffer->ceiling = ceiling;
	return buffer;
}

struct ks_buffer *ks_buffer_new_secret(size_t ceiling)
{
	ks_auto(buffer) buffer = ks_buffer_new(ceiling);

	if (!buffer)
		return NULL;
	buffer->secret = true;
	buffer->data = OPENSSL_secure_zalloc(ceiling + 1);
	if (!buffer->data)
		return NULL;
	buffer->capacity = ceiling + 1;
	return ks_take(buffer);
}

void ks_buffer_free(struct ks_buffer *buffer)
{
	if (!buffer)
		return;
	if (buffer->secret)
		OPENSSL_secure_clear_free(buffer->data, buffer->capacity);
	else
		free(buffer->data);
	free(buffer);
}

/*
 * Whole stores lie in few large pages where the kernel has them: ten thousand certificates are three buffers of ten megabytes,
 * and taking them 4 KiB at a time is felt. Whether it is granted does not matter.
 */
static void prefer_large_pages(unsigned char *data, size_t size)
{
	uintptr_t start = ((uintptr_t)data + LARGE_PAGE - 1) & ~(uintptr_t)(LARGE_PAGE - 1);
	uintptr_t end = ((uintptr_t)data + size) & ~(uintptr_t)(LARGE_PAGE - 1);

	if (start < end)
		madvise((void *)start, end - start, MADV_HUGEPAGE);
}

/*
 * One byte more than asked is kept for the NUL of ks_buffer_string. Many small puts double the room; one large reservation gets
 * what it asks for, so that whole stores are not held twice.
 */
static int buffer_reserve(struct ks_buffer *buffer, size_t size)
{
	unsigned char *grown;
	size_t want, next;

	if (buffer->status)
		return buffer->status;
	if (size > buffer->ceiling || buffer->size > buffer->ceiling - size)
		return buffer->status = KS_ELIMIT;
	want = buffer->size + size + 1;
	if (want <= buffer->capacity)
		return 0;
	next = want > 2 * buffer->capacity ? want : 2 * buffer->capacity;
	next = next > 64 ? next : 64;
	grown = realloc(buffer->data, next);
	if (!grown)
		return buffer->status = KS_ENOMEM;
	prefer_large_pages(grown, next);
	buffer->data = grown;
	buffer->capacity = next;
	return 0;
}

int ks_buffer_put(struct ks_buffer *buffer, const void *bytes, size_t size)
{
	unsigned char *room = ks_buffer_room(buffer, size);

	if (!room)
		return buffer->status;
	if (size)
		memcpy(room, bytes, size);
	buffer->size += size;
	return 0;
}

int ks_buffer_text(struct ks_buffer *buffer, const char *text)
{
	return ks_buffer_put(buffer, text, strlen(text));
}

int ks_buffer_format(struct ks_buffer *buffer, const char *format, ...)
{
	va_list values;
	unsigned char *room;
	int size;

	va_start(values, format);
	size = vsnprintf(NULL, 0, format, values);
	va_end(values);
	if (size < 0)
		return buffer->status = KS_EBUG;
	room = ks_buffer_room(buffer, (size_t)size + 1);
	if (!room)
		return buffer->status;
	va_start(values, format);
	vsnprintf((char *)room, (size_t)size + 1, format, values);
	va_end(values);
	buffer->size += (size_t)size;
	return 0;
}

unsigned char *ks_buffer_room(struct ks_buffer *buffer, size_t size)
{
	return buffer_reserve(buffer, size) ? NULL : buffer->data + buffer->size;
}

struct ks_bytes ks_buffer_bytes(const struct ks_buffer *buffer)
{
	return KS_BYTES(buffer->data, buffer->size);
}

const char *ks_buffer_string(struct ks_buffer *buffer)
{
	if (!buffer->data || buffer->status)
		return "";
	buffer->data[buffer->size] = '\0';
	return (const char *)buffer->data;
}
