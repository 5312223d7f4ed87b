/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Cryptoki call in words: what --trace and the spy module write.
 *
 * Numbers become names. PINs are told as "PIN" and nothing else, not even their length; what is signed or decrypted as a length and
 * the first bytes of its SHA-256; key material, plaintext and random numbers not at all. What a module wrote into its outputs is
 * only read as far as it had been given room.
 */
#ifndef KS_P11_WORDS_H
#define KS_P11_WORDS_H

#include <keystow/keystow.h>

#include "mem.h"

#include <p11-kit/pkcs11.h>

enum ks_p11_function {
#define KS_P11_FUNCTION(name, deadline, parameters, arguments, meanings) KS_P11_##name,
#include "cryptoki.h"
#undef KS_P11_FUNCTION
	KS_P11_C_GetFunctionList,
	KS_P11_FUNCTIONS
};

/* What one or more arguments of a call are. */
enum ks_p11_meaning {
	KS_P11_NOTHING, /* behind the last */
	KS_P11_M_IGNORED,
	KS_P11_M_ARGUMENTS, /* CK_C_INITIALIZE_ARGS */
	KS_P11_M_PRESENT, /* CK_BBOOL: only slots with a token */
	KS_P11_M_SLOT,
	KS_P11_M_SESSION,
	KS_P11_M_OBJECT,
	KS_P11_M_SESSION_FLAGS,
	KS_P11_M_USER,
	KS_P11_M_LABEL, /* 32 bytes */
	KS_P11_M_TYPE, /* of mechanism */
	KS_P11_M_MECHANISM,
	/* two arguments */
	KS_P11_M_PIN,
	KS_P11_M_TEMPLATE,
	KS_P11_M_TEXT, /* bytes that may be told by their digest */
	KS_P11_M_HIDDEN, /* bytes that may not */
	/* told when the call is back */
	KS_P11_M_INFO,
	KS_P11_M_SLOT_INFO,
	KS_P11_M_TOKEN_INFO,
	KS_P11_M_SESSION_INFO,
	KS_P11_M_TYPE_INFO,
	KS_P11_M_NUMBER,
	KS_P11_M_MADE, /* an object */
	KS_P11_M_MADE_SESSION,
	KS_P11_M_MADE_SLOT,
	/* the same, two arguments */
	KS_P11_M_ASKED, /* a template that is filled in */
	KS_P11_M_RESULT, /* bytes, and where their length is */
	KS_P11_M_RANDOM, /* bytes, and their length */
	KS_P11_M_SLOTS,
	KS_P11_M_TYPES,
	/* three */
	KS_P11_M_FOUND,
};

#define KS_P11_ARGUMENTS 8 /* of one call */
#define KS_P11_TOLD 32 /* attributes, handles or mechanisms of one call that are told */

/* One call; its arguments are borrowed until it is back. */
struct ks_p11_words {
	enum ks_p11_function function;
	uintptr_t arguments[KS_P11_ARGUMENTS];
	CK_ULONG rooms[KS_P11_TOLD]; /* what the caller had given to each attribute that is filled in */
};

/* Up to KS_P11_ARGUMENTS arguments of any kind as an array of words. */
#define KS_P11_WORD_1(a) (uintptr_t)(a)
#define KS_P11_WORD_2(a, ...) (uintptr_t)(a), KS_P11_WORD_1(__VA_ARGS__)
#define KS_P11_WORD_3(a, ...) (uintptr_t)(a), KS_P11_WORD_2(__VA_ARGS__)
#define KS_P11_WORD_4(a, ...) (uintptr_t)(a), KS_P11_WORD_3(__VA_ARGS__)
#define KS_P11_WORD_5(a, ...) (uintptr_t)(a), KS_P11_WORD_4(__VA_ARGS__)
#define KS_P11_WORD_6(a, ...) (uintptr_t)(a), KS_P11_WORD_5(__VA_ARGS__)
#define KS_P11_WORD_7(a, ...) (uintptr_t)(a), KS_P11_WORD_6(__VA_ARGS__)
#define KS_P11_WORD_8(a, ...) (uintptr_t)(a), KS_P11_WORD_7(__VA_ARGS__)
#define KS_P11_WORD_OF(a, b, c, d, e, f, g, h, name, ...) name
#define KS_P11_ARRAY(...)                                                                                              \
	((const uintptr_t[KS_P11_ARGUMENTS]){                                                                          \
		KS_P11_WORD_OF(__VA_ARGS__, KS_P11_WORD_8, KS_P11_WORD_7, KS_P11_WORD_6, KS_P11_WORD_5, KS_P11_WORD_4, \
			       KS_P11_WORD_3, KS_P11_WORD_2, KS_P11_WORD_1, )(__VA_ARGS__) })

const char *ks_p11_function_name(enum ks_p11_function function);
enum ks_deadline ks_p11_function_deadline(enum ks_p11_function function);

void ks_p11_words_start(struct ks_p11_words *words, enum ks_p11_function function, const uintptr_t *arguments);
/* What goes in, as "session 1, CKU_USER, PIN". */
void ks_p11_words_before(struct ks_buffer *out, const struct ks_p11_words *words);
/* What came out; nothing after a failure that leaves nothing behind. */
void ks_p11_words_after(struct ks_buffer *out, const struct ks_p11_words *words, CK_RV rv);

/* The line of an event with the time of day (UTC) and the thread, without a newline: "12:09:45.123456 4711 C_Login(...)". */
void ks_p11_words_line(struct ks_buffer *out, const struct ks_trace *event);
#define KS_P11_LINE (32 * 1024) /* bytes: more than the words of any call */

#endif
