/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A SmartCard-HSM as OpenSC's driver sc-hsm sees it: what it remembers, and what it forgets when it loses power.
 *
 * A card lives in a folder, which reader.conf names as the device:
 *	card	all it remembers, in the clear: for tests only (card.c)
 *	absent	while this file exists, no card is in the reader
 *	pin-pad	what the person at the reader's keypad types (pinpad.h); without this file the reader has no keypad
 */
#ifndef VHSM_CARD_H
#define VHSM_CARD_H

#include "tlv.h"

#include <openssl/evp.h>

/* Status words (ISO 7816-4 5.1.3). */
enum {
	SW_OK = 0x9000,
	SW_END_OF_FILE = 0x6282,
	SW_TRIES_LEFT = 0x63C0, /* and the number */
	SW_NO_KEYPAD_INPUT = 0x6401, /* PC/SC part 10: cancelled at the keypad */
	SW_WRONG_LENGTH = 0x6700,
	SW_NOT_LOGGED_IN = 0x6982,
	SW_LOCKED = 0x6983,
	SW_NO_PIN_YET = 0x6984,
	SW_NOT_NOW = 0x6985,
	SW_WRONG_DATA = 0x6A80,
	SW_NO_SUCH_FILE = 0x6A82,
	SW_FULL = 0x6A84,
	SW_WRONG_PARAMETERS = 0x6A86,
	SW_NO_SUCH_KEY = 0x6A88,
	SW_NO_SUCH_COMMAND = 0x6D00,
	SW_BROKEN = 0x6F00,
};

/* What the first byte of a file's number says about it. */
enum {
	FILE_DESCRIPTION = 0xC4, /* PKCS#15 description of the key with the number of the second byte */
	FILE_KEY = 0xCC,
	FILE_DEVICE_CERTIFICATE = 0x2F02,
};

#define PIN_MOST 16
#define SO_PIN_LENGTH 8
struct pin {
	unsigned tries;
	size_t length; /* 0 = never set */
	uint8_t at[PIN_MOST];
};

/* A file, or a private key as PKCS#8: a number and bytes. */
struct object {
	struct object *next;
	unsigned number;
	size_t length;
	uint8_t *at;
};

#define DKEK_LENGTH 32
struct dkek {
	bool wanted; /* the card was initialised for key wrapping */
	unsigned shares, missing;
	uint8_t key[DKEK_LENGTH];
};

struct card {
	char *folder;
	char serial[16];
	EVP_PKEY *device;
	unsigned options, most_tries;
	struct pin user, so;
	struct dkek dkek;
	struct object *files, *keys;

	/* Forgotten when the power goes. */
	bool logged_in;
	bool fresh; /* the PIN was verified by the command before this one */
	unsigned selected;
};

/* The card of a folder, a new one where there is none yet; NULL when the folder cannot be used. */
struct card *card_open(const char *folder);
void card_close(struct card *card);
/* Is it in the reader? */
bool card_present(const struct card *card);
void card_reset(struct card *card);
/* Forgets keys, and all files but the device certificate. */
void card_empty(struct card *card);
/* Remembers across processes. False when that failed. */
bool card_save(const struct card *card);

struct object *object_find(struct object *list, unsigned number);
/* Gives the object of that number these bytes; makes it when it is not there yet. False when memory is out. */
bool object_put(struct object **list, unsigned number, struct slice bytes);
bool object_remove(struct object **list, unsigned number);

#endif
