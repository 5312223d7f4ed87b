/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a card remembers, as a file of records: kind, number (2 bytes), length (4 bytes), bytes. Replaced whole.
 */
#include "card.h"
#include "cvc.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <openssl/rand.h>
#include <openssl/x509.h>

#define RECORD_HEAD 7
#define STATE_MOST (1U << 20)

enum record {
	R_SERIAL = 'S',
	R_DEVICE = 'D',
	R_OPTIONS = 'P',
	R_MOST_TRIES = 'M',
	R_USER = 'U',
	R_SO = 'O',
	R_DKEK = 'W',
	R_FILE = 'F',
	R_KEY = 'K',
};

/* ---- objects ---- */

struct object *object_find(struct object *list, unsigned number)
{
	while (list && list->number != number)
		list = list->next;
	return list;
}

bool object_put(struct object **list, unsigned number, struct slice bytes)
{
	uint8_t *copy = malloc(bytes.length + 1);
	struct object *object;

	if (!copy)
		return false;
	memcpy(copy, bytes.at, bytes.length);

	/* Kept in order, because they are told in order. */
	while (*list && (*list)->number < number)
		list = &(*list)->next;
	if (!*list || (*list)->number != number) {
		object = calloc(1, sizeof(*object));
		if (!object) {
			free(copy);
			return false;
		}
		object->next = *list;
		object->number = number;
		*list = object;
	}
	free((*list)->at);
	(*list)->at = copy;
	(*list)->length = bytes.length;
	return true;
}

bool object_remove(struct object **list, unsigned number)
{
	struct object *gone;

	while (*list && (*list)->number != number)
		list = &(*list)->next;
	if (!*list)
		return false;
	gone = *list;
	*list = gone->next;
	free(gone->at);
	free(gone);
	return true;
}

static void objects_free(struct object **list)
{
	while (*list)
		object_remove(list, (*list)->number);
}

/* ---- writing ---- */

static bool put(FILE *file, enum record kind, unsigned number, struct slice bytes)
{
	uint8_t head[RECORD_HEAD] = { (uint8_t)kind,
				      (uint8_t)(number >> 8),
				      (uint8_t)number,
				      (uint8_t)(bytes.length >> 24),
				      (uint8_t)(bytes.length >> 16),
				      (uint8_t)(bytes.length >> 8),
				      (uint8_t)bytes.length };

	return fwrite(head, sizeof(head), 1, file) == 1 &&
	       (bytes.length == 0 || fwrite(bytes.at, bytes.length, 1, file) == 1);
}

static bool put_objects(FILE *file, enum record kind, const struct object *list)
{
	for (; list; list = list->next)
		if (!put(file, kind, list->number, (struct slice){ list->at, list->length }))
			return false;
	return true;
}

static bool put_device(FILE *file, EVP_PKEY *device)
{
	uint8_t *der = NULL;
	int length = i2d_PrivateKey(device, &der);
	bool done = length > 0 && put(file, R_DEVICE, 0, (struct slice){ der, (size_t)length });

	OPENSSL_free(der);
	return done;
}

static bool put_card(FILE *file, const struct card *card)
{
	const struct dkek *dkek = &card->dkek;

	return put(file, R_SERIAL, 0, (struct slice){ (const uint8_t *)card->serial, strlen(card->serial) }) &&
	       put_device(file, card->device) && put(file, R_OPTIONS, card->options, (struct slice){ NULL, 0 }) &&
	       put(file, R_MOST_TRIES, card->most_tries, (struct slice){ NULL, 0 }) &&
	       put(file, R_USER, card->user.tries, (struct slice){ card->user.at, card->user.length }) &&
	       put(file, R_SO, card->so.tries, (struct slice){ card->so.at, card->so.length }) &&
	       (!dkek->wanted ||
		put(file, R_DKEK, dkek->shares << 8 | dkek->missing, (struct slice){ dkek->key, DKEK_LENGTH })) &&
	       put_objects(file, R_FILE, card->files) && put_objects(file, R_KEY, card->keys);
}

static char *path_of(const struct card *card, const char *name)
{
	char *path = NULL;

	return asprintf(&path, "%s/%s", card->folder, name) < 0 ? NULL : path;
}

bool card_save(const struct card *card)
{
	char *fresh = path_of(card, "card.new"), *path = path_of(card, "card");
	int fd = fresh ? open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
	bool written = file && put_card(file, card);
	bool done = file && fclose(file) == 0 && written && path && rename(fresh, path) == 0;

	free(fresh);
	free(path);
	return done;
}

/* ---- reading ---- */

static bool get_pin(struct pin *pin, unsigned tries, struct slice bytes)
{
	if (bytes.length > PIN_MOST)
		return false;
	pin->tries = tries;
	pin->length = bytes.length;
	memcpy(pin->at, bytes.at, bytes.length);
	return true;
}

static bool get_dkek(struct dkek *dkek, unsigned number, struct slice bytes)
{
	if (bytes.length != DKEK_LENGTH)
		return false;
	*dkek = (struct dkek){ .wanted = true, .shares = number >> 8, .missing = number & 0xFF };
	memcpy(dkek->key, bytes.at, DKEK_LENGTH);
	return true;
}

static bool get(struct card *card, enum record kind, unsigned number, struct slice bytes)
{
	const uint8_t *der = bytes.at;

	switch (kind) {
	case R_SERIAL:
		if (bytes.length >= sizeof(card->serial))
			return false;
		memcpy(card->serial, bytes.at, bytes.length);
		return true;
	case R_DEVICE:
		card->device = d2i_AutoPrivateKey(NULL, &der, (long)bytes.length);
		return card->device;
	case R_OPTIONS:
		card->options = number;
		return true;
	case R_MOST_TRIES:
		card->most_tries = number;
		return true;
	case R_USER:
		return get_pin(&card->user, number, bytes);
	case R_SO:
		return get_pin(&card->so, number, bytes);
	case R_DKEK:
		return get_dkek(&card->dkek, number, bytes);
	case R_FILE:
		return object_put(&card->files, number, bytes);
	case R_KEY:
		return object_put(&card->keys, number, bytes);
	}
	return false;
}

static bool get_card(struct card *card, struct slice rest)
{
	while (rest.length > 0) {
		const uint8_t *head = rest.at;
		struct slice bytes;

		if (rest.length < RECORD_HEAD)
			return false;
		bytes.at = head + RECORD_HEAD;
		bytes.length = (size_t)head[3] << 24 | (size_t)head[4] << 16 | (size_t)head[5] << 8 | head[6];
		if (bytes.length > rest.length - RECORD_HEAD ||
		    !get(card, (enum record)head[0], (unsigned)(head[1] << 8 | head[2]), bytes))
			return false;
		rest.at = bytes.at + bytes.length;
		rest.length -= RECORD_HEAD + bytes.length;
	}
	return card->device && card->serial[0];
}

static bool load(struct card *card, FILE *file)
{
	uint8_t *bytes = malloc(STATE_MOST);
	size_t length = bytes ? fread(bytes, 1, STATE_MOST, file) : 0;
	bool done = length > 0 && length < STATE_MOST && get_card(card, (struct slice){ bytes, length });

	free(bytes);
	return done;
}

/* As it leaves the factory: a serial number, a device key and its certificate, no PIN. */
static bool make(struct card *card)
{
	struct buffer certificate = { 0 };
	uint32_t number;

	if (RAND_bytes((uint8_t *)&number, sizeof(number)) != 1)
		return false;
	(void)snprintf(card->serial, sizeof(card->serial), "VHSM%07u", number % 10000000);
	card->device = EVP_EC_gen("P-256");
	if (!card->device || !cvc_device(&certificate, card))
		return false;
	return object_put(&card->files, FILE_DEVICE_CERTIFICATE, buffer_slice(&certificate)) && card_save(card);
}

struct card *card_open(const char *folder)
{
	struct card *card = calloc(1, sizeof(*card));
	char *path;
	FILE *file;
	bool usable;

	if (!card)
		return NULL;
	card->folder = strdup(folder);
	path = card->folder ? path_of(card, "card") : NULL;
	file = path ? fopen(path, "re") : NULL;
	usable = file ? load(card, file) : path && make(card);
	if (file)
		(void)fclose(file);
	free(path);
	if (usable)
		return card;
	card_close(card);
	return NULL;
}

void card_close(struct card *card)
{
	objects_free(&card->files);
	objects_free(&card->keys);
	EVP_PKEY_free(card->device);
	free(card->folder);
	free(card);
}

bool card_present(const struct card *card)
{
	char *path = path_of(card, "absent");
	bool present = path && access(path, F_OK) != 0;

	free(path);
	return present;
}

void card_reset(struct card *card)
{
	card->logged_in = card->fresh = false;
	card->selected = 0;
}

void card_empty(struct card *card)
{
	struct object **file = &card->files;

	objects_free(&card->keys);
	while (*file) {
		if ((*file)->number == FILE_DEVICE_CERTIFICATE)
			file = &(*file)->next;
		else
			object_remove(file, (*file)->number);
	}
}
