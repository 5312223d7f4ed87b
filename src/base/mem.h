/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory: locals that free themselves, allocations that cannot overflow, and buffers born with a ceiling.
 *
 *	ks_auto(plan) plan = NULL;	struct ks_plan *, freed by ks_plan_free when it leaves scope
 *	*out = ks_take(plan);		gives it away
 *	ks_auto_mem char *text = NULL;	freed by free()
 */
#ifndef KS_MEM_H
#define KS_MEM_H

#include <keystow/item.h>

#include <stdlib.h>

#define ks_auto(type) __attribute__((cleanup(ks_##type##_freep))) struct ks_##type *
#define KS_FREES(type)                                                   \
	static inline void ks_##type##_freep(struct ks_##type **pointer) \
	{                                                                \
		ks_##type##_free(*pointer);                              \
	}
#define ks_take(pointer)                         \
	({                                       \
		__typeof__(pointer) taken_ = (pointer); \
		(pointer) = NULL;                \
		taken_;                          \
	})

static inline void ks_mem_freep(void *pointer)
{
	free(*(void **)pointer);
}
#define ks_auto_mem __attribute__((cleanup(ks_mem_freep)))

/* The same for OpenSSL's types: ks_auto_ssl(X509) certificate = NULL; */
#define ks_auto_ssl(type) __attribute__((cleanup(ks_##type##_freep))) type *
#define KS_FREES_SSL(type)                                    \
	static inline void ks_##type##_freep(type **pointer)  \
	{                                                     \
		type##_free(*pointer);                        \
	}
KS_FREES_SSL(X509)
KS_FREES_SSL(X509_NAME)
KS_FREES_SSL(X509_REQ)
KS_FREES_SSL(EVP_PKEY)
KS_FREES_SSL(EVP_PKEY_CTX)
KS_FREES_SSL(EVP_MD_CTX)
KS_FREES_SSL(EVP_MD)
KS_FREES_SSL(BIO)

/* Zeroed array of `count` elements, NULL when it does not fit or there is no memory. */
void *ks_array(size_t count, size_t element);
/* Grows `*array` so that it holds at least `want` elements (doubling). 0 or KS_ENOMEM. */
int ks_array_grow(void *array, size_t *capacity, size_t want, size_t element);

/* ---- bytes ---------------------------------------------------------------------------------------------------- */

#define KS_BYTES(pointer, length) ((struct ks_bytes){ (const unsigned char *)(pointer), (length) })
#define KS_NONE ((struct ks_bytes){ NULL, 0 })

struct ks_bytes ks_bytes_of(const char *text);
bool ks_bytes_equal(struct ks_bytes a, struct ks_bytes b);
bool ks_bytes_are(struct ks_bytes bytes, const char *text);
/* Order of memcmp, then the shorter first; for sorting. */
int ks_bytes_compare(struct ks_bytes a, struct ks_bytes b);

#define KS_SHA256 32
void ks_sha256(unsigned char out[KS_SHA256], struct ks_bytes bytes);

/* ---- a growing buffer with a ceiling -------------------------------------------------------------------------- */

/*
 * Putting beyond the ceiling or without memory marks the buffer failed and is remembered, so that a writer may put many
 * times and look once. A `secret` buffer lives in the secure heap, is never reallocated, and has its whole ceiling from birth.
 */
struct ks_buffer {
	unsigned char *data;
	size_t size;
	size_t capacity;
	size_t ceiling;
	int status;	/* 0, KS_ENOMEM or KS_ELIMIT */
	bool secret;
};

struct ks_buffer *ks_buffer_new(size_t ceiling);
/* Holds key material; NULL when the secure heap cannot give `ceiling` bytes. */
struct ks_buffer *ks_buffer_new_secret(size_t ceiling);
void ks_buffer_free(struct ks_buffer *buffer); /* wipes a secret one */
KS_FREES(buffer)
int ks_buffer_put(struct ks_buffer *buffer, const void *bytes, size_t size);
int ks_buffer_text(struct ks_buffer *buffer, const char *text);
int ks_buffer_format(struct ks_buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Room for `size` more bytes, to be filled by the caller, who then adds to buffer->size; NULL when it does not fit. */
unsigned char *ks_buffer_room(struct ks_buffer *buffer, size_t size);
struct ks_bytes ks_buffer_bytes(const struct ks_buffer *buffer);
/* The bytes as a string, NUL added behind; "" when empty or failed. Borrowed. */
const char *ks_buffer_string(struct ks_buffer *buffer);

#endif
