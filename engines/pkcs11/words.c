/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arguments and results of Cryptoki calls, told by what they mean.
 */
#include "words.h"

#include "names.h"
#include "text.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#define SHORT 32 /* bytes of a value that are told as they are */
#define DIGEST_SHOWN 4 /* bytes of a digest */

#define BARE(...) __VA_ARGS__
#define MEANT_1(a) KS_P11_M_##a
#define MEANT_2(a, ...) KS_P11_M_##a, MEANT_1(__VA_ARGS__)
#define MEANT_3(a, ...) KS_P11_M_##a, MEANT_2(__VA_ARGS__)
#define MEANT_4(a, ...) KS_P11_M_##a, MEANT_3(__VA_ARGS__)
#define MEANT_5(a, ...) KS_P11_M_##a, MEANT_4(__VA_ARGS__)
#define MEANT_6(a, ...) KS_P11_M_##a, MEANT_5(__VA_ARGS__)
#define MEANT_OF(a, b, c, d, e, f, name, ...) name
#define MEANT(...)                                                                                                     \
	MEANT_OF(__VA_ARGS__, MEANT_6, MEANT_5, MEANT_4, MEANT_3, MEANT_2, MEANT_1, )(__VA_ARGS__)

static const struct function_row {
	const char *name;
	enum ks_deadline deadline;
	enum ks_p11_meaning meanings[KS_P11_ARGUMENTS];
} functions[KS_P11_FUNCTIONS] = {
#define KS_P11_FUNCTION(name, deadline, parameters, arguments, meanings)                                               \
	[KS_P11_##name] = { #name, KS_DEADLINE_##deadline, { MEANT meanings } },
#include "cryptoki.h"
#undef KS_P11_FUNCTION
	[KS_P11_C_GetFunctionList] = { "C_GetFunctionList", KS_DEADLINE_LOOK, { KS_P11_M_IGNORED } },
};

const char *ks_p11_function_name(enum ks_p11_function function)
{
	return functions[function].name;
}

enum ks_deadline ks_p11_function_deadline(enum ks_p11_function function)
{
	return functions[function].deadline;
}

/* How many arguments a meaning covers. */
static size_t width(enum ks_p11_meaning meaning)
{
	switch (meaning) {
	case KS_P11_M_PIN:
	case KS_P11_M_TEMPLATE:
	case KS_P11_M_TEXT:
	case KS_P11_M_HIDDEN:
	case KS_P11_M_ASKED:
	case KS_P11_M_RESULT:
	case KS_P11_M_RANDOM:
	case KS_P11_M_SLOTS:
	case KS_P11_M_TYPES:
		return 2;
	case KS_P11_M_FOUND:
		return 3;
	default:
		return 1;
	}
}

/* ---- bytes and numbers ---- */

static void put_name(struct ks_buffer *out, const char *name, const char *kind, unsigned long number)
{
	if (name)
		ks_buffer_text(out, name);
	else
		ks_buffer_format(out, "%s 0x%lx", kind, number);
}

static void put_size(struct ks_buffer *out, CK_ULONG size)
{
	ks_buffer_format(out, size == 1 ? "%lu byte" : "%lu bytes", size);
}

static void put_digest(struct ks_buffer *out, const void *data, CK_ULONG size)
{
	unsigned char digest[KS_SHA256];
	char hex[2 * DIGEST_SHOWN + 1];

	put_size(out, size);
	if (!data || size == 0)
		return;
	ks_sha256(digest, KS_BYTES(data, size));
	ks_hex(hex, KS_BYTES(digest, DIGEST_SHOWN));
	ks_buffer_format(out, " sha256:%s", hex);
}

static void put_hex(struct ks_buffer *out, const void *data, CK_ULONG size)
{
	char hex[2 * SHORT + 1];

	if (size > SHORT) {
		put_digest(out, data, size);
		return;
	}
	ks_hex(hex, KS_BYTES(data, size));
	ks_buffer_format(out, "%s", size ? hex : "empty");
}

/* A field of fixed width without its padding. */
static void put_field(struct ks_buffer *out, const unsigned char *field, size_t size)
{
	while (size && (field[size - 1] == ' ' || field[size - 1] == '\0'))
		size--;
	ks_buffer_text(out, "\"");
	ks_text_shown(out, KS_BYTES(field, size));
	ks_buffer_text(out, "\"");
}

/* Names of the bits that are set, joined by |. */
struct flag_name {
	CK_FLAGS flag;
	const char *name;
};

static void put_flags(struct ks_buffer *out, CK_FLAGS flags, const struct flag_name *names, size_t count)
{
	const char *between = "";

	for (size_t i = 0; i < count; i++) {
		if (!(flags & names[i].flag))
			continue;
		ks_buffer_format(out, "%s%s", between, names[i].name);
		flags &= ~names[i].flag;
		between = "|";
	}
	if (flags || !*between)
		ks_buffer_format(out, "%s0x%lx", between, flags);
}

#define FLAG(flag)                                                                                                     \
	{                                                                                                              \
		flag, #flag                                                                                            \
	}
static const struct flag_name session_flags[] = { FLAG(CKF_RW_SESSION), FLAG(CKF_SERIAL_SESSION) };
static const struct flag_name slot_flags[] = { FLAG(CKF_TOKEN_PRESENT), FLAG(CKF_REMOVABLE_DEVICE), FLAG(CKF_HW_SLOT) };
static const struct flag_name token_flags[] = {
	FLAG(CKF_RNG),
	FLAG(CKF_WRITE_PROTECTED),
	FLAG(CKF_LOGIN_REQUIRED),
	FLAG(CKF_USER_PIN_INITIALIZED),
	FLAG(CKF_RESTORE_KEY_NOT_NEEDED),
	FLAG(CKF_CLOCK_ON_TOKEN),
	FLAG(CKF_PROTECTED_AUTHENTICATION_PATH),
	FLAG(CKF_DUAL_CRYPTO_OPERATIONS),
	FLAG(CKF_TOKEN_INITIALIZED),
	FLAG(CKF_SECONDARY_AUTHENTICATION),
	FLAG(CKF_USER_PIN_COUNT_LOW),
	FLAG(CKF_USER_PIN_FINAL_TRY),
	FLAG(CKF_USER_PIN_LOCKED),
	FLAG(CKF_USER_PIN_TO_BE_CHANGED),
	FLAG(CKF_SO_PIN_COUNT_LOW),
	FLAG(CKF_SO_PIN_FINAL_TRY),
	FLAG(CKF_SO_PIN_LOCKED),
	FLAG(CKF_SO_PIN_TO_BE_CHANGED),
};
#define PUT_FLAGS(out, flags, names) put_flags(out, flags, names, sizeof(names) / sizeof((names)[0]))

/* ---- attributes ---- */

/* A number that a caller or module left in `size` bytes. */
static bool number_in(CK_ULONG *out, const void *data, CK_ULONG size)
{
	if (size != sizeof(*out))
		return false;
	memcpy(out, data, sizeof(*out));
	return true;
}

static void put_number_value(struct ks_buffer *out, enum ks_p11_shape shape, CK_ULONG number)
{
	switch (shape) {
	case KS_P11_CLASS:
		put_name(out, ks_p11_class_name(number), "class", number);
		return;
	case KS_P11_KEY_KIND:
		put_name(out, ks_p11_key_type_name(number), "key type", number);
		return;
	case KS_P11_CERTIFICATE_KIND:
		put_name(out, ks_p11_certificate_type_name(number), "certificate type", number);
		return;
	case KS_P11_MECHANISM:
		put_name(out, ks_p11_mechanism_name(number), "mechanism", number);
		return;
	default:
		ks_buffer_format(out, "%lu", number);
	}
}

static void put_value(struct ks_buffer *out, enum ks_p11_shape shape, const void *data, CK_ULONG size)
{
	CK_ULONG number;

	switch (shape) {
	case KS_P11_SECRET:
		ks_buffer_text(out, "masked");
		return;
	case KS_P11_TRUTH:
		if (size == 1)
			ks_buffer_text(out, *(const CK_BYTE *)data ? "true" : "false");
		else
			put_size(out, size);
		return;
	case KS_P11_TEXT:
		ks_buffer_text(out, "\"");
		ks_text_shown(out, KS_BYTES(data, size > 2 * SHORT ? 2 * SHORT : size));
		ks_buffer_text(out, size > 2 * SHORT ? "...\"" : "\"");
		return;
	case KS_P11_BYTES:
		put_hex(out, data, size);
		return;
	case KS_P11_DIGEST:
		put_digest(out, data, size);
		return;
	default:
		if (number_in(&number, data, size))
			put_number_value(out, shape, number);
		else
			put_size(out, size);
	}
}

/* CKA_VALUE is a secret unless the same template says that the object is a certificate. */
static bool of_certificate(const CK_ATTRIBUTE *attributes, CK_ULONG count)
{
	for (CK_ULONG i = 0; i < count; i++) {
		CK_ULONG class;

		if (attributes[i].type == CKA_CLASS && attributes[i].pValue &&
		    number_in(&class, attributes[i].pValue, attributes[i].ulValueLen))
			return class == CKO_CERTIFICATE;
	}
	return false;
}

static enum ks_p11_shape shape_of(CK_ATTRIBUTE_TYPE type, bool certificate)
{
	return type == CKA_VALUE && certificate ? KS_P11_DIGEST : ks_p11_attribute_shape(type);
}

static void put_more(struct ks_buffer *out, CK_ULONG count)
{
	if (count > KS_P11_TOLD)
		ks_buffer_format(out, ", and %lu more", count - KS_P11_TOLD);
}

static void put_template(struct ks_buffer *out, const CK_ATTRIBUTE *attributes, CK_ULONG count)
{
	CK_ULONG told = count < KS_P11_TOLD ? count : KS_P11_TOLD;
	bool certificate;

	if (!attributes)
		count = told = 0;
	certificate = of_certificate(attributes, told);
	ks_buffer_text(out, "{");
	for (CK_ULONG i = 0; i < told; i++) {
		const CK_ATTRIBUTE *attribute = &attributes[i];

		ks_buffer_text(out, i ? ", " : "");
		put_name(out, ks_p11_attribute_name(attribute->type), "attribute", attribute->type);
		ks_buffer_text(out, "=");
		if (attribute->pValue || attribute->ulValueLen == 0)
			put_value(out, shape_of(attribute->type, certificate), attribute->pValue, attribute->ulValueLen);
		else
			ks_buffer_text(out, "nothing");
	}
	put_more(out, count);
	ks_buffer_text(out, "}");
}

static void put_asked(struct ks_buffer *out, const CK_ATTRIBUTE *attributes, CK_ULONG count)
{
	CK_ULONG told = count < KS_P11_TOLD ? count : KS_P11_TOLD;

	ks_buffer_text(out, "{");
	for (CK_ULONG i = 0; attributes && i < told; i++) {
		ks_buffer_text(out, i ? ", " : "");
		put_name(out, ks_p11_attribute_name(attributes[i].type), "attribute", attributes[i].type);
	}
	put_more(out, attributes ? count : 0);
	ks_buffer_text(out, "}");
}

/* What was filled in; a length that does not fit the room is a lie and is not followed. */
static void put_answered(struct ks_buffer *out, const CK_ATTRIBUTE *attributes, CK_ULONG count, const CK_ULONG *rooms)
{
	CK_ATTRIBUTE whole[KS_P11_TOLD] = { 0 };
	CK_ULONG told = count < KS_P11_TOLD ? count : KS_P11_TOLD, kept = 0;
	bool certificate;

	if (!attributes)
		return;
	for (CK_ULONG i = 0; i < told; i++) {
		if (attributes[i].pValue && attributes[i].ulValueLen <= rooms[i])
			whole[kept++] = attributes[i];
	}
	certificate = of_certificate(whole, kept);
	ks_buffer_text(out, "{");
	for (CK_ULONG i = 0; i < told; i++) {
		CK_ULONG size = attributes[i].ulValueLen;

		ks_buffer_text(out, i ? ", " : "");
		put_name(out, ks_p11_attribute_name(attributes[i].type), "attribute", attributes[i].type);
		if (size == CK_UNAVAILABLE_INFORMATION) {
			ks_buffer_text(out, ": not given");
		} else if (!attributes[i].pValue) {
			ks_buffer_text(out, ": ");
			put_size(out, size);
		} else if (size > rooms[i]) {
			ks_buffer_format(out, ": claims %lu bytes in a room of %lu", size, rooms[i]);
		} else {
			ks_buffer_text(out, "=");
			put_value(out, shape_of(attributes[i].type, certificate), attributes[i].pValue, size);
		}
	}
	put_more(out, count);
	ks_buffer_text(out, "}");
}

/* ---- mechanisms ---- */

static void put_mechanism(struct ks_buffer *out, const CK_MECHANISM *mechanism)
{
	const CK_RSA_PKCS_PSS_PARAMS *pss;
	const CK_RSA_PKCS_OAEP_PARAMS *oaep;

	if (!mechanism) {
		ks_buffer_text(out, "no mechanism");
		return;
	}
	put_name(out, ks_p11_mechanism_name(mechanism->mechanism), "mechanism", mechanism->mechanism);
	if (!mechanism->pParameter || mechanism->ulParameterLen == 0)
		return;
	pss = mechanism->pParameter;
	oaep = mechanism->pParameter;
	if (mechanism->mechanism == CKM_RSA_PKCS_PSS && mechanism->ulParameterLen == sizeof(*pss)) {
		ks_buffer_text(out, " (");
		put_name(out, ks_p11_mechanism_name(pss->hashAlg), "mechanism", pss->hashAlg);
		ks_buffer_format(out, ", salt of %lu bytes)", pss->sLen);
	} else if (mechanism->mechanism == CKM_RSA_PKCS_OAEP && mechanism->ulParameterLen == sizeof(*oaep)) {
		ks_buffer_text(out, " (");
		put_name(out, ks_p11_mechanism_name(oaep->hashAlg), "mechanism", oaep->hashAlg);
		ks_buffer_text(out, ")");
	} else {
		ks_buffer_text(out, " (");
		put_size(out, mechanism->ulParameterLen);
		ks_buffer_text(out, " of parameters)");
	}
}

/* ---- what goes in ---- */

static const char *user_name(CK_USER_TYPE user)
{
	return user == CKU_SO		      ? "CKU_SO"
	       : user == CKU_USER	      ? "CKU_USER"
	       : user == CKU_CONTEXT_SPECIFIC ? "CKU_CONTEXT_SPECIFIC"
					      : NULL;
}

static void put_arguments(struct ks_buffer *out, const CK_C_INITIALIZE_ARGS *arguments)
{
	static const struct flag_name names[] = { FLAG(CKF_LIBRARY_CANT_CREATE_OS_THREADS), FLAG(CKF_OS_LOCKING_OK) };

	if (!arguments) {
		ks_buffer_text(out, "no arguments");
		return;
	}
	PUT_FLAGS(out, arguments->flags, names);
	if (arguments->CreateMutex)
		ks_buffer_text(out, ", mutexes of the caller");
	if (arguments->pReserved)
		ks_buffer_text(out, ", a string for the module");
}

static void put_before(struct ks_buffer *out, enum ks_p11_meaning meaning, const uintptr_t *argument)
{
	const void *pointer = (const void *)argument[0];
	CK_ULONG number = argument[0];

	switch (meaning) {
	case KS_P11_M_ARGUMENTS:
		put_arguments(out, pointer);
		return;
	case KS_P11_M_PRESENT:
		ks_buffer_text(out, number ? "with a token" : "all");
		return;
	case KS_P11_M_SLOT:
		ks_buffer_format(out, "slot %lu", number);
		return;
	case KS_P11_M_SESSION:
		ks_buffer_format(out, "session %lu", number);
		return;
	case KS_P11_M_OBJECT:
		ks_buffer_format(out, "object %lu", number);
		return;
	case KS_P11_M_SESSION_FLAGS:
		PUT_FLAGS(out, number, session_flags);
		return;
	case KS_P11_M_USER:
		put_name(out, user_name(number), "user", number);
		return;
	case KS_P11_M_LABEL:
		if (pointer)
			put_field(out, pointer, 32);
		return;
	case KS_P11_M_TYPE:
		put_name(out, ks_p11_mechanism_name(number), "mechanism", number);
		return;
	case KS_P11_M_MECHANISM:
		put_mechanism(out, pointer);
		return;
	case KS_P11_M_PIN:
		ks_buffer_text(out, pointer ? "PIN" : "no PIN");
		return;
	case KS_P11_M_TEMPLATE:
		put_template(out, pointer, argument[1]);
		return;
	case KS_P11_M_TEXT:
		put_digest(out, pointer, argument[1]);
		return;
	case KS_P11_M_HIDDEN:
	case KS_P11_M_RANDOM:
		put_size(out, argument[1]);
		return;
	case KS_P11_M_ASKED:
		put_asked(out, pointer, argument[1]);
		return;
	case KS_P11_M_RESULT:
		if (!pointer)
			ks_buffer_text(out, "asks for the length");
		else if (argument[1])
			ks_buffer_format(out, "room for %lu", *(const CK_ULONG *)argument[1]);
		return;
	case KS_P11_M_FOUND:
		ks_buffer_format(out, "at most %lu", (CK_ULONG)argument[1]);
		return;
	default:
		return;
	}
}

void ks_p11_words_start(struct ks_p11_words *words, enum ks_p11_function function, const uintptr_t *arguments)
{
	const uintptr_t *argument = words->arguments;

	words->function = function;
	memcpy(words->arguments, arguments, sizeof(words->arguments));
	for (const enum ks_p11_meaning *meaning = functions[function].meanings; *meaning; meaning++) {
		const CK_ATTRIBUTE *asked = (const CK_ATTRIBUTE *)argument[0];

		for (CK_ULONG i = 0; *meaning == KS_P11_M_ASKED && asked && i < argument[1] && i < KS_P11_TOLD; i++)
			words->rooms[i] = asked[i].ulValueLen;
		argument += width(*meaning);
	}
}

typedef void putter(struct ks_buffer *out, enum ks_p11_meaning meaning, const uintptr_t *argument);

/* Each part that says something, with commas between them. */
static void put_all(struct ks_buffer *out, const struct ks_p11_words *words, putter *put)
{
	const uintptr_t *argument = words->arguments;
	size_t start = out->size;

	for (const enum ks_p11_meaning *meaning = functions[words->function].meanings; *meaning; meaning++) {
		size_t before = out->size, after;

		if (before > start)
			ks_buffer_text(out, ", ");
		after = out->size;
		put(out, *meaning, argument);
		if (out->size == after)
			out->size = before;
		argument += width(*meaning);
	}
}

void ks_p11_words_before(struct ks_buffer *out, const struct ks_p11_words *words)
{
	put_all(out, words, put_before);
}

/* ---- what comes back ---- */

static void put_token_info(struct ks_buffer *out, const CK_TOKEN_INFO *info)
{
	put_field(out, info->label, sizeof(info->label));
	ks_buffer_text(out, ", manufacturer ");
	put_field(out, info->manufacturerID, sizeof(info->manufacturerID));
	ks_buffer_text(out, ", model ");
	put_field(out, info->model, sizeof(info->model));
	ks_buffer_text(out, ", serial ");
	put_field(out, info->serialNumber, sizeof(info->serialNumber));
	ks_buffer_text(out, ", ");
	PUT_FLAGS(out, info->flags, token_flags);
}

static void put_session_info(struct ks_buffer *out, const CK_SESSION_INFO *info)
{
	static const char *const states[] = { "CKS_RO_PUBLIC_SESSION", "CKS_RO_USER_FUNCTIONS", "CKS_RW_PUBLIC_SESSION",
					      "CKS_RW_USER_FUNCTIONS", "CKS_RW_SO_FUNCTIONS" };
	size_t count = sizeof(states) / sizeof(states[0]);

	ks_buffer_format(out, "slot %lu, ", info->slotID);
	put_name(out, info->state < count ? states[info->state] : NULL, "state", info->state);
}

/* How many bytes or things the module says that there are. */
static void put_count(struct ks_buffer *out, const CK_ULONG *count, const char *what)
{
	if (count)
		ks_buffer_format(out, "%lu %s", *count, what);
}

static void put_after(struct ks_buffer *out, enum ks_p11_meaning meaning, const uintptr_t *argument)
{
	const void *pointer = (const void *)argument[0];
	const CK_INFO *info = pointer;
	const CK_SLOT_INFO *slot = pointer;
	const CK_ULONG *number = pointer;

	if (!pointer && meaning != KS_P11_M_RESULT && meaning != KS_P11_M_TYPES && meaning != KS_P11_M_SLOTS)
		return;
	switch (meaning) {
	case KS_P11_M_INFO:
		ks_buffer_format(out, "Cryptoki %u.%u, ", info->cryptokiVersion.major, info->cryptokiVersion.minor);
		put_field(out, info->libraryDescription, sizeof(info->libraryDescription));
		ks_buffer_format(out, " %u.%u", info->libraryVersion.major, info->libraryVersion.minor);
		return;
	case KS_P11_M_SLOT_INFO:
		put_field(out, slot->slotDescription, sizeof(slot->slotDescription));
		ks_buffer_text(out, ", ");
		PUT_FLAGS(out, slot->flags, slot_flags);
		return;
	case KS_P11_M_TOKEN_INFO:
		put_token_info(out, pointer);
		return;
	case KS_P11_M_SESSION_INFO:
		put_session_info(out, pointer);
		return;
	case KS_P11_M_NUMBER:
		ks_buffer_format(out, "%lu", *number);
		return;
	case KS_P11_M_MADE:
		ks_buffer_format(out, "object %lu", *number);
		return;
	case KS_P11_M_MADE_SESSION:
		ks_buffer_format(out, "session %lu", *number);
		return;
	case KS_P11_M_MADE_SLOT:
		ks_buffer_format(out, "slot %lu", *number);
		return;
	case KS_P11_M_RESULT:
		put_count(out, (const CK_ULONG *)argument[1], "bytes");
		return;
	case KS_P11_M_TYPES:
		put_count(out, (const CK_ULONG *)argument[1], "mechanisms");
		return;
	case KS_P11_M_SLOTS:
		put_count(out, (const CK_ULONG *)argument[1], "slots");
		return;
	case KS_P11_M_FOUND:
		put_count(out, (const CK_ULONG *)argument[2], "objects");
		return;
	default:
		return;
	}
}

/* The attributes that are there are told after these failures too. */
static bool partial(CK_RV rv)
{
	return rv == CKR_ATTRIBUTE_TYPE_INVALID || rv == CKR_ATTRIBUTE_SENSITIVE || rv == CKR_BUFFER_TOO_SMALL;
}

void ks_p11_words_after(struct ks_buffer *out, const struct ks_p11_words *words, CK_RV rv)
{
	if (words->function == KS_P11_C_GetAttributeValue) {
		if (rv == CKR_OK || partial(rv))
			put_answered(out, (const CK_ATTRIBUTE *)words->arguments[2], words->arguments[3], words->rooms);
	} else if (rv == CKR_OK || rv == CKR_BUFFER_TOO_SMALL) {
		put_all(out, words, put_after);
	}
}

/* ---- lines ---- */

static void put_time(struct ks_buffer *out)
{
	struct timespec now;
	long long day;

	clock_gettime(CLOCK_REALTIME, &now);
	day = (long long)now.tv_sec % 86400;
	ks_buffer_format(out, "%02lld:%02lld:%02lld.%06ld %d ", day / 3600, day / 60 % 60, day % 60, now.tv_nsec / 1000,
			 (int)gettid());
}

void ks_p11_words_line(struct ks_buffer *out, const struct ks_trace *event)
{
	const char *detail = event->detail ? event->detail : "";

	put_time(out);
	ks_buffer_text(out, event->function);
	if (!event->leave) {
		ks_buffer_format(out, "(%s)", detail);
		if (event->token) {
			ks_buffer_text(out, " token ");
			ks_text_shown(out, ks_bytes_of(event->token));
		}
		return;
	}
	ks_buffer_text(out, " = ");
	put_name(out, event->answer, "code", event->rv);
	ks_buffer_format(out, ", %lu us%s%s", event->microseconds, *detail ? ": " : "", detail);
}
