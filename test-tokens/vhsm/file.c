/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The card's elementary files: selected by number, read and written at an offset, listed together with the keys.
 *
 * The applet itself is selected by its name; that ends a login, which is how OpenSC logs out.
 */
#include "apdu.h"

#include <string.h>

#define FILE_MOST 32768
#define SELECT_BY_NAME 4

static const uint8_t applet[] = { 0xE8, 0x2B, 0x06, 0x01, 0x04, 0x01, 0x81, 0xC3, 0x1F, 0x02, 0x01 };

static unsigned select_applet(struct card *card, struct slice name, struct buffer *answer)
{
	/* The last three: kind of applet, version 3.5. */
	const uint8_t about[] = { 0x82, 2, 0x01, 0x78, 0x85, 5, 0, (uint8_t)card->options, 0xFF, 3, 5 };

	if (name.length != sizeof(applet) || memcmp(name.at, applet, sizeof(applet)) != 0)
		return SW_NO_SUCH_FILE;
	card_reset(card);
	buffer_add_tlv(answer, 0x6F, (struct slice){ about, sizeof(about) });
	return SW_OK;
}

unsigned file_select(struct card *card, const struct command *command, struct buffer *answer)
{
	const struct slice data = command->data;
	const struct object *file;

	if (command->p1 == SELECT_BY_NAME)
		return select_applet(card, data, answer);
	if (data.length != 2)
		return SW_WRONG_LENGTH;
	file = object_find(card->files, (unsigned)(data.at[0] << 8 | data.at[1]));
	if (!file)
		return SW_NO_SUCH_FILE;

	const uint8_t about[] = { 0x80,
				  2,
				  (uint8_t)(file->length >> 8),
				  (uint8_t)file->length,
				  0x82,
				  2,
				  0x01,
				  0x01,
				  0x83,
				  2,
				  data.at[0],
				  data.at[1] };
	card->selected = file->number;
	buffer_add_tlv(answer, 0x6F, (struct slice){ about, sizeof(about) });
	return SW_OK;
}

/* P1 and P2 name a file; 0000 is the one selected. */
static unsigned number_of(const struct card *card, const struct command *command)
{
	unsigned number = command->p1 << 8 | command->p2;

	return number ? number : card->selected;
}

static bool offset_of(size_t *out, struct slice data)
{
	struct slice value;

	if (!tlv_find(&value, data, 0x54) || value.length != 2)
		return false;
	*out = (size_t)(value.at[0] << 8 | value.at[1]);
	return true;
}

unsigned file_read(struct card *card, const struct command *command, struct buffer *answer)
{
	const struct object *file = object_find(card->files, number_of(card, command));
	size_t offset, left;

	if (!file)
		return SW_NO_SUCH_FILE;
	if (!offset_of(&offset, command->data))
		return SW_WRONG_DATA;
	left = offset < file->length ? file->length - offset : 0;
	if (left > BUFFER_ROOM / 2)
		left = BUFFER_ROOM / 2;
	buffer_add(answer, file->at + offset, left);
	return offset + left < file->length || left >= command->most ? SW_OK : SW_END_OF_FILE;
}

/* Writing behind the end makes a file longer, writing nothing makes it. */
unsigned file_update(struct card *card, const struct command *command, struct buffer *answer)
{
	const unsigned number = number_of(card, command);
	const struct object *file = object_find(card->files, number);
	uint8_t bytes[FILE_MOST] = { 0 };
	size_t offset, length = file ? file->length : 0;
	struct slice value;

	(void)answer;
	if (!offset_of(&offset, command->data) || !tlv_find(&value, command->data, 0x53))
		return SW_WRONG_DATA;
	if (offset > FILE_MOST || value.length > FILE_MOST - offset)
		return SW_FULL;
	if (file)
		memcpy(bytes, file->at, length);
	memcpy(bytes + offset, value.at, value.length);
	if (length < offset + value.length)
		length = offset + value.length;
	if (!object_put(&card->files, number, (struct slice){ bytes, length }) || !card_save(card))
		return SW_FULL;
	card->selected = number;
	return SW_OK;
}

unsigned file_delete(struct card *card, const struct command *command, struct buffer *answer)
{
	unsigned number;
	bool gone;

	(void)answer;
	if (command->data.length != 2)
		return SW_WRONG_LENGTH;
	number = (unsigned)(command->data.at[0] << 8 | command->data.at[1]);
	if (number >> 8 == FILE_KEY)
		gone = object_remove(&card->keys, number & 0xFF);
	else
		gone = number != FILE_DEVICE_CERTIFICATE && object_remove(&card->files, number);
	if (!gone)
		return SW_NO_SUCH_FILE;
	return card_save(card) ? SW_OK : SW_FULL;
}

unsigned file_list(struct card *card, const struct command *command, struct buffer *answer)
{
	(void)command;
	for (const struct object *key = card->keys; key; key = key->next) {
		buffer_add_byte(answer, FILE_KEY);
		buffer_add_byte(answer, key->number);
	}
	for (const struct object *file = card->files; file; file = file->next) {
		buffer_add_byte(answer, file->number >> 8);
		buffer_add_byte(answer, file->number);
	}
	return SW_OK;
}
