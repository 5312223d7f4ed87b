/* SPDX-License-Identifier: Apache-2.0 */
#include "apdu.h"

struct row {
	unsigned ins;
	command_fn *run;
	bool login; /* only when the PIN was verified */
};

static const struct row rows[] = {
	{ 0x20, pin_verify, false },  { 0x24, pin_change, false },      { 0x2C, pin_unblock, false },
	{ 0x46, key_generate, true }, { 0x50, card_initialize, false }, { 0x52, dkek_share, false },
	{ 0x58, file_list, false },   { 0x62, key_decrypt, true },      { 0x68, key_sign, true },
	{ 0x72, dkek_wrap, true },    { 0x74, dkek_unwrap, true },      { 0x84, key_random, false },
	{ 0xA4, file_select, false }, { 0xB1, file_read, false },       { 0xD7, file_update, true },
	{ 0xE4, file_delete, true },
};

static size_t number_of(struct slice bytes)
{
	size_t number = 0;

	for (size_t i = 0; i < bytes.length; i++)
		number = number << 8 | bytes.at[i];
	return number;
}

/* What follows the header: nothing, Le, Lc and data, or Lc, data and Le; a leading zero makes both lengths two bytes long. */
static bool parse_body(struct command *out, struct slice body)
{
	bool extended = body.length >= 3 && body.at[0] == 0;
	size_t wide = extended ? 2 : 1, head = extended ? 3 : 1, all = extended ? 0x10000 : 0x100, length;
	struct slice le;

	if (body.length == 0)
		return true;
	if (body.length == head) {
		le = (struct slice){ body.at + head - wide, wide };
	} else {
		length = number_of((struct slice){ body.at + head - wide, wide });
		if (length == 0 || length > body.length - head)
			return false;
		out->data = (struct slice){ body.at + head, length };
		le = (struct slice){ body.at + head + length, body.length - head - length };
		if (le.length == 0)
			return true;
		if (le.length != wide)
			return false;
	}
	out->most = number_of(le) ? number_of(le) : all;
	return true;
}

static const struct row *row_of(unsigned ins)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (rows[i].ins == ins)
			return &rows[i];
	return NULL;
}

static unsigned run(struct card *card, struct slice bytes, struct buffer *answer)
{
	struct command command = { .most = 0x10000 };
	const struct row *row;
	unsigned sw;

	if (bytes.length < 4)
		return SW_WRONG_LENGTH;
	command.cla = bytes.at[0];
	command.ins = bytes.at[1];
	command.p1 = bytes.at[2];
	command.p2 = bytes.at[3];
	if (!parse_body(&command, (struct slice){ bytes.at + 4, bytes.length - 4 }))
		return SW_WRONG_LENGTH;
	row = row_of(command.ins);
	if (!row)
		return SW_NO_SUCH_COMMAND;
	if (row->login && !card->logged_in)
		return SW_NOT_LOGGED_IN;

	sw = row->run(card, &command, answer);
	if (row->run != pin_verify)
		card->fresh = false;
	if (answer->length > command.most)
		answer->length = command.most;
	return answer->overflowed ? SW_BROKEN : sw;
}

void apdu_do(struct card *card, struct slice bytes, struct buffer *answer)
{
	unsigned sw = run(card, bytes, answer);

	if (answer->overflowed || answer->length > BUFFER_ROOM - 2)
		*answer = (struct buffer){ 0 };
	buffer_add_byte(answer, sw >> 8);
	buffer_add_byte(answer, sw);
}
