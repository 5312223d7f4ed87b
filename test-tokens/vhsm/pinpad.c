/* SPDX-License-Identifier: Apache-2.0 */
#include "pinpad.h"
#include "apdu.h"

#include <reader.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONTROL_VERIFY SCARD_CTL_CODE(3401)
#define CONTROL_MODIFY SCARD_CTL_CODE(3402)
#define HEADER 4

static FILE *person(const struct card *card)
{
	char *path = NULL;
	FILE *file = NULL;

	if (asprintf(&path, "%s/pin-pad", card->folder) >= 0)
		file = fopen(path, "re");
	free(path);
	return file;
}

static void add_feature(struct buffer *answer, unsigned feature, unsigned long code)
{
	const uint8_t value[] = { (uint8_t)(code >> 24), (uint8_t)(code >> 16), (uint8_t)(code >> 8), (uint8_t)code };

	buffer_add_tlv(answer, feature, (struct slice){ value, sizeof(value) });
}

/* One line of what is typed, behind what is there; false for the cancel key. */
static bool type(struct buffer *command, FILE *keys)
{
	char line[PIN_MOST + 2] = "";
	size_t length;

	if (!fgets(line, sizeof(line), keys))
		return false;
	length = strcspn(line, "\n");
	buffer_add(command, line, length);
	return length > 0;
}

/* Completes the command's header with one PIN or two and lets the card answer it. */
static void enter(struct card *card, struct slice header, unsigned pins, struct buffer *answer)
{
	struct buffer command = { 0 }, typed = { 0 };
	FILE *keys = person(card);
	bool all = keys;

	while (all && pins-- > 0)
		all = type(&typed, keys);
	if (keys)
		(void)fclose(keys);
	if (!all) {
		buffer_add_byte(answer, SW_NO_KEYPAD_INPUT >> 8);
		buffer_add_byte(answer, SW_NO_KEYPAD_INPUT);
		return;
	}
	buffer_add(&command, header.at, HEADER);
	buffer_add_byte(&command, (unsigned)typed.length);
	buffer_add(&command, typed.at, typed.length);
	apdu_do(card, buffer_slice(&command), answer);
}

bool pinpad_control(struct card *card, unsigned long code, struct slice in, struct buffer *answer)
{
	const size_t verify = offsetof(PIN_VERIFY_STRUCTURE, abData), modify = offsetof(PIN_MODIFY_STRUCTURE, abData);
	FILE *keys = person(card);

	if (!keys)
		return false;
	(void)fclose(keys);
	if (code == CM_IOCTL_GET_FEATURE_REQUEST) {
		add_feature(answer, FEATURE_VERIFY_PIN_DIRECT, CONTROL_VERIFY);
		add_feature(answer, FEATURE_MODIFY_PIN_DIRECT, CONTROL_MODIFY);
		return true;
	}
	if (code == CONTROL_VERIFY && in.length >= verify + HEADER)
		enter(card, (struct slice){ in.at + verify, HEADER }, 1, answer);
	else if (code == CONTROL_MODIFY && in.length >= modify + HEADER)
		enter(card, (struct slice){ in.at + modify, HEADER }, 2, answer);
	else
		return false;
	return true;
}
