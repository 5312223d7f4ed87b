/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A walk over a stream of Java's serialisation. The stream does not say how long it is, so everything in it has to be understood as
 * far as its end: classes with their fields, objects by the fields of their classes, and references to what came before.
 */
#include "java_object.h"

#include "jks.h"

#define STREAM_HEADER 0xaced0005
#define FIRST_HANDLE 0x7e0000
#define NO_CLASS SIZE_MAX

enum tag {
	TAG_NULL = 0x70,
	TAG_REFERENCE = 0x71,
	TAG_CLASS_DESCRIPTION = 0x72,
	TAG_OBJECT = 0x73,
	TAG_STRING = 0x74,
	TAG_ARRAY = 0x75,
	TAG_CLASS = 0x76,
	TAG_BLOCK = 0x77,
	TAG_END = 0x78,
	TAG_LONG_BLOCK = 0x7a,
	TAG_LONG_STRING = 0x7c,
	TAG_PROXY_DESCRIPTION = 0x7d,
	TAG_ENUM = 0x7e,
};

enum class_flag { CLASS_WRITES = 1, CLASS_SERIALISED = 2, CLASS_EXTERNAL = 4, CLASS_BLOCKS = 8 };

/* What a handle refers to. */
struct piece {
	size_t class; /* of a class description: which; else NO_CLASS */
	struct ks_bytes value;
};

struct member {
	unsigned char type;
	struct ks_bytes name;
};

struct class
{
	struct ks_bytes name;
	unsigned flags;
	size_t first, count; /* its members */
	size_t above;
};

struct reading {
	struct ks_bytes rest;
	struct piece *pieces;
	struct member *members;
	struct class *classes;
	size_t piece_count, piece_capacity, member_count, member_capacity, class_count, class_capacity;
	unsigned depth;
	struct ks_java_object *object; /* the outermost, while its fields are read */
};

static void reading_clear(struct reading *reading)
{
	free(reading->pieces);
	free(reading->members);
	free(reading->classes);
}

static int content(struct ks_bytes *value, struct reading *reading);
static int class_next(size_t *class, struct reading *reading);

/* ---- handles, classes, members ---------------------------------------------------------------------------------------------- */

static int add_piece(size_t *handle, struct reading *reading, size_t class)
{
	if (reading->piece_count >= KS_JAVA_PIECES)
		return KS_ELIMIT;
	if (ks_array_grow(&reading->pieces, &reading->piece_capacity, reading->piece_count + 1,
			  sizeof(*reading->pieces)) < 0)
		return KS_ENOMEM;
	reading->pieces[reading->piece_count] = (struct piece){ .class = class };
	*handle = reading->piece_count++;
	return 0;
}

static int add_class(size_t *class, struct reading *reading, struct ks_bytes name)
{
	size_t handle;

	if (ks_array_grow(&reading->classes, &reading->class_capacity, reading->class_count + 1,
			  sizeof(*reading->classes)) < 0)
		return KS_ENOMEM;
	reading->classes[reading->class_count] =
		(struct class){ .name = name, .first = reading->member_count, .above = NO_CLASS };
	*class = reading->class_count++;
	return add_piece(&handle, reading, *class);
}

static int reference(const struct piece **out, struct reading *reading)
{
	uint64_t number;

	if (!ks_jks_number(&number, &reading->rest, 4) || number < FIRST_HANDLE ||
	    number - FIRST_HANDLE >= reading->piece_count)
		return KS_EDAMAGED;
	*out = &reading->pieces[number - FIRST_HANDLE];
	return 0;
}

/* What a class or an object added of its own: anything up to the end mark. */
static int annotation(struct reading *reading)
{
	struct ks_bytes value;
	int rc = 0;

	while (rc == 0 && reading->rest.size && reading->rest.data[0] != TAG_END)
		rc = content(&value, reading);
	if (rc == 0 && !ks_jks_take(&value, &reading->rest, 1))
		rc = KS_EDAMAGED;
	return rc;
}

static int member_next(struct reading *reading)
{
	struct ks_bytes type_name;
	struct member member;
	uint64_t type;

	if (!ks_jks_number(&type, &reading->rest, 1) || !ks_jks_sized(&member.name, &reading->rest, 2))
		return KS_EDAMAGED;
	member.type = (unsigned char)type;
	if (reading->member_count >= KS_JAVA_PIECES)
		return KS_ELIMIT;
	if (ks_array_grow(&reading->members, &reading->member_capacity, reading->member_count + 1,
			  sizeof(*reading->members)) < 0)
		return KS_ENOMEM;
	reading->members[reading->member_count++] = member;
	return type == 'L' || type == '[' ? content(&type_name, reading) : 0;
}

static int class_description(size_t *class, struct reading *reading)
{
	struct ks_bytes name;
	uint64_t uid, flags, fields;
	size_t above = NO_CLASS;
	int rc;

	if (!ks_jks_sized(&name, &reading->rest, 2) || !ks_jks_number(&uid, &reading->rest, 8))
		return KS_EDAMAGED;
	rc = add_class(class, reading, name);
	if (rc == 0 && (!ks_jks_number(&flags, &reading->rest, 1) || !ks_jks_number(&fields, &reading->rest, 2)))
		rc = KS_EDAMAGED;
	if (rc < 0)
		return rc;
	for (uint64_t i = 0; rc == 0 && i < fields; i++)
		rc = member_next(reading);
	/* Not before: an object among its own class's description must not find members that are not there yet. */
	reading->classes[*class].flags = (unsigned)flags;
	reading->classes[*class].count = rc == 0 ? (size_t)fields : 0;
	if (rc == 0)
		rc = annotation(reading);
	if (rc == 0)
		rc = class_next(&above, reading);
	reading->classes[*class].above = above;
	return rc;
}

static int proxy_description(size_t *class, struct reading *reading)
{
	struct ks_bytes name = KS_NONE;
	uint64_t count;
	size_t above = NO_CLASS;
	int rc = add_class(class, reading, ks_bytes_of("a proxy"));

	if (rc == 0 && !ks_jks_number(&count, &reading->rest, 4))
		rc = KS_EDAMAGED;
	for (uint64_t i = 0; rc == 0 && i < count; i++)
		rc = ks_jks_sized(&name, &reading->rest, 2) ? 0 : KS_EDAMAGED;
	if (rc == 0)
		rc = annotation(reading);
	if (rc == 0)
		rc = class_next(&above, reading);
	if (rc == 0) {
		reading->classes[*class].flags = CLASS_SERIALISED;
		reading->classes[*class].above = above;
	}
	return rc;
}

/* A class where one is expected: described here, referred to, or none. */
static int class_next(size_t *class, struct reading *reading)
{
	const struct piece *piece = NULL;
	uint64_t tag;
	int rc = KS_EDAMAGED;

	*class = NO_CLASS;
	if (!ks_jks_number(&tag, &reading->rest, 1))
		return KS_EDAMAGED;
	if (++reading->depth > KS_JAVA_DEPTH)
		return KS_ELIMIT;
	if (tag == TAG_NULL)
		rc = 0;
	if (tag == TAG_CLASS_DESCRIPTION)
		rc = class_description(class, reading);
	if (tag == TAG_PROXY_DESCRIPTION)
		rc = proxy_description(class, reading);
	if (tag == TAG_REFERENCE)
		rc = reference(&piece, reading);
	if (rc == 0 && piece)
		*class = piece->class;
	reading->depth--;
	return rc == 0 && piece && piece->class == NO_CLASS ? KS_EDAMAGED : rc;
}

/* ---- values ----------------------------------------------------------------------------------------------------------------- */

static size_t width_of(unsigned char type)
{
	switch (type) {
	case 'B':
	case 'Z':
		return 1;
	case 'C':
	case 'S':
		return 2;
	case 'F':
	case 'I':
		return 4;
	case 'D':
	case 'J':
		return 8;
	default:
		return 0;
	}
}

static void keep_field(const struct reading *reading, struct ks_bytes name, struct ks_bytes value)
{
	struct ks_java_object *object = reading->object;

	if (object && reading->depth == 1 && object->count < KS_JAVA_FIELDS)
		object->fields[object->count++] = (struct ks_java_field){ name, value };
}

static int members_read(struct reading *reading, size_t class)
{
	size_t first = reading->classes[class].first, count = reading->classes[class].count;
	int rc = 0;

	for (size_t i = first; rc == 0 && i < first + count; i++) {
		struct member member = reading->members[i];
		size_t width = width_of(member.type);
		struct ks_bytes value = KS_NONE;

		if (width)
			rc = ks_jks_take(&value, &reading->rest, width) ? 0 : KS_EDAMAGED;
		else
			rc = member.type == 'L' || member.type == '[' ? content(&value, reading) : KS_EDAMAGED;
		if (rc == 0 && !width)
			keep_field(reading, member.name, value);
	}
	return rc;
}

/* The fields of an object, those of the class above first. */
static int fields_read(struct reading *reading, size_t class, unsigned above)
{
	struct class of;
	int rc = 0;

	if (class == NO_CLASS)
		return 0;
	if (above > KS_JAVA_DEPTH)
		return KS_ELIMIT;
	of = reading->classes[class];
	rc = fields_read(reading, of.above, above + 1);
	if (rc < 0)
		return rc;
	if (of.flags & CLASS_EXTERNAL)
		return of.flags & CLASS_BLOCKS ? annotation(reading) : KS_EDAMAGED;
	if (!(of.flags & CLASS_SERIALISED))
		return KS_EDAMAGED;
	rc = members_read(reading, class);
	return rc == 0 && (of.flags & CLASS_WRITES) ? annotation(reading) : rc;
}

static int object_read(struct reading *reading)
{
	size_t class, handle;
	int rc = class_next(&class, reading);

	if (rc == 0 && class == NO_CLASS)
		rc = KS_EDAMAGED;
	if (rc == 0)
		rc = add_piece(&handle, reading, NO_CLASS);
	if (rc == 0 && reading->depth == 1)
		reading->object->class_name = reading->classes[class].name;
	return rc < 0 ? rc : fields_read(reading, class, 0);
}

static int array_read(struct ks_bytes *value, struct reading *reading)
{
	struct ks_bytes name, element;
	size_t class, handle, width;
	uint64_t count;
	int rc = class_next(&class, reading);

	if (rc == 0 && class == NO_CLASS)
		rc = KS_EDAMAGED;
	if (rc == 0)
		rc = add_piece(&handle, reading, NO_CLASS);
	if (rc < 0)
		return rc;
	name = reading->classes[class].name;
	if (name.size < 2 || name.data[0] != '[' || !ks_jks_number(&count, &reading->rest, 4))
		return KS_EDAMAGED;
	width = width_of(name.data[1]);
	if (width && count > reading->rest.size / width)
		return KS_EDAMAGED;
	if (width)
		ks_jks_take(value, &reading->rest, (size_t)count * width);
	for (uint64_t i = 0; rc == 0 && !width && i < count; i++)
		rc = content(&element, reading);
	reading->pieces[handle].value = *value;
	return rc;
}

static int string_read(struct ks_bytes *value, struct reading *reading, size_t width)
{
	size_t handle;
	int rc = add_piece(&handle, reading, NO_CLASS);

	if (rc < 0)
		return rc;
	if (!ks_jks_sized(value, &reading->rest, width))
		return KS_EDAMAGED;
	reading->pieces[handle].value = *value;
	return 0;
}

static int enum_read(struct ks_bytes *value, struct reading *reading)
{
	size_t class, handle;
	int rc = class_next(&class, reading);

	if (rc == 0)
		rc = add_piece(&handle, reading, NO_CLASS);
	if (rc == 0)
		rc = content(value, reading);
	if (rc == 0)
		reading->pieces[handle].value = *value;
	return rc;
}

static int class_object_read(struct reading *reading)
{
	size_t class, handle;
	int rc = class_next(&class, reading);

	return rc < 0 ? rc : add_piece(&handle, reading, NO_CLASS);
}

static int by_tag(struct ks_bytes *value, struct reading *reading, uint64_t tag)
{
	const struct piece *piece;
	size_t class;
	int rc;

	switch (tag) {
	case TAG_NULL:
		return 0;
	case TAG_REFERENCE:
		rc = reference(&piece, reading);
		if (rc == 0)
			*value = piece->value;
		return rc;
	case TAG_CLASS_DESCRIPTION:
		return class_description(&class, reading);
	case TAG_PROXY_DESCRIPTION:
		return proxy_description(&class, reading);
	case TAG_OBJECT:
		return object_read(reading);
	case TAG_STRING:
		return string_read(value, reading, 2);
	case TAG_LONG_STRING:
		return string_read(value, reading, 8);
	case TAG_ARRAY:
		return array_read(value, reading);
	case TAG_CLASS:
		return class_object_read(reading);
	case TAG_BLOCK:
		return ks_jks_sized(value, &reading->rest, 1) ? 0 : KS_EDAMAGED;
	case TAG_LONG_BLOCK:
		return ks_jks_sized(value, &reading->rest, 4) ? 0 : KS_EDAMAGED;
	case TAG_ENUM:
		return enum_read(value, reading);
	default:
		return KS_EDAMAGED;
	}
}

static int content(struct ks_bytes *value, struct reading *reading)
{
	uint64_t tag;
	int rc;

	*value = KS_NONE;
	if (!ks_jks_number(&tag, &reading->rest, 1))
		return KS_EDAMAGED;
	if (++reading->depth > KS_JAVA_DEPTH)
		return KS_ELIMIT;
	rc = by_tag(value, reading, tag);
	reading->depth--;
	return rc;
}

int ks_java_object_next(struct ks_java_object *out, struct ks_bytes *rest)
{
	__attribute__((cleanup(reading_clear))) struct reading reading = { .rest = *rest, .object = out };
	struct ks_bytes value;
	uint64_t header;
	int rc;

	*out = (struct ks_java_object){ 0 };
	if (!ks_jks_number(&header, &reading.rest, 4) || header != STREAM_HEADER || !reading.rest.size ||
	    reading.rest.data[0] != TAG_OBJECT)
		return KS_EDAMAGED;
	rc = content(&value, &reading);
	if (rc < 0)
		return rc;
	out->whole = KS_BYTES(rest->data, rest->size - reading.rest.size);
	*rest = reading.rest;
	return 0;
}

struct ks_bytes ks_java_field(const struct ks_java_object *object, const char *name)
{
	for (size_t i = 0; i < object->count; i++) {
		if (ks_bytes_are(object->fields[i].name, name))
			return object->fields[i].value;
	}
	return KS_NONE;
}
