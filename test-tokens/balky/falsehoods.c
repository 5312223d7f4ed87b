/* SPDX-License-Identifier: Apache-2.0 */
#include "falsehoods.h"

#include "lies.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "TYPE=REST": the number, and where REST starts; a row that is not so ends the process loudly. */
static const char *rest_of(unsigned long *type, const struct row *row)
{
	char *end;

	*type = strtoul(row->value, &end, 0);
	if (*end != '=') {
		fprintf(stderr, "balky: cannot follow: %s\n", row->value);
		abort();
	}
	return end + 1;
}

static size_t hex_put(unsigned char *out, size_t room, const char *hex)
{
	size_t size = 0;
	unsigned byte;

	for (; size < room && sscanf(hex, "%2x", &byte) == 1; hex += 2)
		out[size++] = (unsigned char)byte;
	return size;
}

CK_RV numbers_make_up(const struct row *row, CK_ULONG *list, CK_ULONG *count)
{
	CK_ULONG room = list ? *count : 0;

	*count = row->number;
	if (list && room < row->number)
		return CKR_BUFFER_TOO_SMALL;
	for (CK_ULONG i = 0; list && i < row->number; i++)
		list[i] = ~0UL - 7 * i;
	return CKR_OK;
}

void first_replace(const struct call *call, CK_ULONG *list, CK_ULONG count)
{
	const struct row *row = call_row(call, A_FIRST);

	if (row && count)
		list[0] = row->number;
}

void fields_tell(const struct call *call, CK_TOKEN_INFO *info)
{
	const struct {
		const char *name;
		unsigned char *at;
		size_t room;
	} fields[] = {
		{ "label=", info->label, sizeof(info->label) },
		{ "manufacturer=", info->manufacturerID, sizeof(info->manufacturerID) },
		{ "model=", info->model, sizeof(info->model) },
		{ "serial=", info->serialNumber, sizeof(info->serialNumber) },
	};

	for (size_t n = 0; n < call->row_count; n++) {
		const char *value = call->rows[n]->value;

		for (size_t i = 0; call->rows[n]->action == A_FIELD && i < sizeof(fields) / sizeof(fields[0]); i++) {
			size_t name = strlen(fields[i].name);

			if (strncmp(value, fields[i].name, name) == 0)
				hex_put(fields[i].at, fields[i].room, value + name);
		}
	}
}

/* One attribute of the object as it is told: its own bytes, with the manners of C_GetAttributeValue. */
static CK_RV value_tell(CK_ATTRIBUTE *attribute, const char *hex, CK_ULONG room)
{
	unsigned char bytes[600];
	size_t size = hex_put(bytes, sizeof(bytes), hex);

	attribute->ulValueLen = size;
	if (attribute->pValue && room < size) {
		attribute->ulValueLen = CK_UNAVAILABLE_INFORMATION;
		return CKR_BUFFER_TOO_SMALL;
	}
	if (attribute->pValue && size)
		memcpy(attribute->pValue, bytes, size);
	return CKR_OK;
}

static bool object_has(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type)
{
	CK_ATTRIBUTE attribute = { type, NULL, 0 };

	return real->C_GetAttributeValue(session, object, &attribute, 1) == CKR_OK &&
	       attribute.ulValueLen != CK_UNAVAILABLE_INFORMATION;
}

static CK_RV attribute_bend(const struct row *row, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
			    CK_ATTRIBUTE *attribute, CK_ULONG room)
{
	unsigned long type;
	const char *rest = rest_of(&type, row);

	if (attribute->type != type || !object_has(session, object, type))
		return CKR_OK;
	if (row->action == A_VALUE)
		return value_tell(attribute, rest, room);
	attribute->ulValueLen = strtoul(rest, NULL, 0);
	return CKR_OK;
}

CK_RV attributes_give(const struct call *call, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *templ,
		      CK_ULONG count)
{
	CK_ULONG rooms[64];
	CK_RV rv;

	for (CK_ULONG i = 0; i < count && i < 64; i++)
		rooms[i] = templ[i].ulValueLen;
	rv = real->C_GetAttributeValue(session, object, templ, count);
	for (size_t n = 0; n < call->row_count; n++) {
		const struct row *row = call->rows[n];

		for (CK_ULONG i = 0; (row->action == A_VALUE || row->action == A_SIZE) && i < count && i < 64; i++) {
			CK_RV bent = attribute_bend(row, session, object, &templ[i], rooms[i]);

			rv = bent == CKR_OK ? rv : bent;
		}
	}
	return rv;
}

void search_twist(const struct call *call, CK_OBJECT_HANDLE *object, CK_ULONG room, CK_ULONG *count)
{
	CK_ULONG found = *count;

	for (CK_ULONG i = 0; call_row(call, A_BACKWARDS) && i < found / 2; i++) {
		CK_OBJECT_HANDLE other = object[found - 1 - i];

		object[found - 1 - i] = object[i];
		object[i] = other;
	}
	if (call_row(call, A_TWICE) && found * 2 <= room) {
		memcpy(object + found, object, found * sizeof(*object));
		*count = found * 2;
	}
	first_replace(call, object, *count);
}

CK_RV sign_other(CK_SESSION_HANDLE session, const CK_BYTE *data, CK_ULONG data_len, CK_BYTE *signature,
		 CK_ULONG *signature_len)
{
	CK_BYTE other[1024] = { 0 };

	if (data_len == 0 || data_len > sizeof(other))
		return CKR_DATA_LEN_RANGE;
	memcpy(other, data, data_len);
	other[data_len - 1] ^= 1;
	return real->C_Sign(session, other, data_len, signature, signature_len);
}

static size_t integer_put(CK_BYTE *out, const CK_BYTE *number, size_t size)
{
	size_t sign = number[0] & 0x80 ? 1 : 0;

	out[0] = 0x02;
	out[1] = (CK_BYTE)(size + sign);
	out[2] = 0;
	memcpy(out + 2 + sign, number, size);
	return 2 + sign + size;
}

void signature_wrap(CK_BYTE *signature, CK_ULONG *signature_len)
{
	CK_BYTE out[160];
	size_t half = *signature_len / 2, size = 2;

	if (half > 60)
		return;
	size += integer_put(out + size, signature, half);
	size += integer_put(out + size, signature + half, half);
	out[0] = 0x30;
	out[1] = (CK_BYTE)(size - 2);
	memcpy(signature, out, size);
	*signature_len = size;
}

CK_RV pair_mix(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_ATTRIBUTE *public_key_template,
	       CK_ULONG public_key_attribute_count, CK_ATTRIBUTE *private_key_template,
	       CK_ULONG private_key_attribute_count, CK_OBJECT_HANDLE *public_key)
{
	CK_OBJECT_HANDLE other_public, other_private;
	CK_RV rv = real->C_GenerateKeyPair(session, mechanism, public_key_template, public_key_attribute_count,
					   private_key_template, private_key_attribute_count, &other_public,
					   &other_private);

	if (rv == CKR_OK)
		rv = real->C_DestroyObject(session, other_private);
	if (rv == CKR_OK)
		rv = real->C_DestroyObject(session, *public_key);
	*public_key = other_public;
	return rv;
}

/* ---- calls that are answered here alone ---- */

CK_RV told_C_OpenSession(const struct call *call, CK_SLOT_ID slot_id, CK_FLAGS flags, void *application,
			 CK_NOTIFY notify, CK_SESSION_HANDLE *session)
{
	CK_RV rv = real->C_OpenSession(slot_id, flags, application, notify, session);

	if (rv == CKR_OK)
		first_replace(call, session, 1);
	return rv;
}

CK_RV told_C_GetSessionInfo(const struct call *call, CK_SESSION_HANDLE session, CK_SESSION_INFO *info)
{
	const struct row *state = call_row(call, A_STATE);
	CK_RV rv = real->C_GetSessionInfo(session, info);

	if (rv == CKR_OK && state)
		info->state = state->number;
	return rv;
}

CK_RV told_C_CreateObject(const struct call *call, CK_SESSION_HANDLE session, CK_ATTRIBUTE *templ, CK_ULONG count,
			  CK_OBJECT_HANDLE *object)
{
	const struct row *alter = call_row(call, A_ALTER);
	CK_BYTE *bent = NULL;
	CK_RV rv;

	if (call_row(call, A_PRETEND)) {
		*object = 4711;
		return CKR_OK;
	}
	for (CK_ULONG i = 0; alter && i < count; i++) {
		if (templ[i].type == alter->number && templ[i].ulValueLen)
			bent = (CK_BYTE *)templ[i].pValue + templ[i].ulValueLen - 1;
	}
	/* The caller's bytes, because they belong to a template that a module may not keep; they are put right again. */
	if (bent)
		*bent ^= 1;
	rv = real->C_CreateObject(session, templ, count, object);
	if (bent)
		*bent ^= 1;
	if (rv == CKR_OK)
		first_replace(call, object, 1);
	return rv;
}
