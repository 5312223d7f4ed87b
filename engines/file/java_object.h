/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A serialised Java object (Java Object Serialization Specification 6.4): where it ends, what class it is of, and its fields as far as
 * they are strings or bytes. Nothing is made of it, whatever its class.
 */
#ifndef KS_JAVA_OBJECT_H
#define KS_JAVA_OBJECT_H

#include "mem.h"

#define KS_JAVA_DEPTH 64 /* objects in objects, classes above classes */
#define KS_JAVA_PIECES 65536 /* objects, strings, classes and fields of one stream */
#define KS_JAVA_FIELDS 16 /* of the outermost object that are kept */

struct ks_java_field {
	struct ks_bytes name;
	struct ks_bytes value; /* bytes of an array, text of a string, name of an enum's constant; else absent */
};

struct ks_java_object {
	struct ks_bytes whole; /* from the header of the stream to the end of the object */
	struct ks_bytes class_name;
	struct ks_java_field fields[KS_JAVA_FIELDS];
	size_t count;
};

/* Takes one stream with one object off `rest`. KS_EDAMAGED, KS_ELIMIT, KS_ENOMEM; nothing is taken then. */
int ks_java_object_next(struct ks_java_object *out, struct ks_bytes *rest);
/* The value of a field; absent when there is no such field. */
struct ks_bytes ks_java_field(const struct ks_java_object *object, const char *name);

#endif
