/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a command's bytes to an answer's: ISO 7816-4 APDUs, short and extended.
 */
#ifndef VHSM_APDU_H
#define VHSM_APDU_H

#include "card.h"

struct command {
	unsigned cla, ins, p1, p2;
	struct slice data;
	size_t most; /* so much answer is wanted */
};

/* What the card does with a command: fills the answer and gives the status word. */
typedef unsigned command_fn(struct card *card, const struct command *command, struct buffer *answer);

/* file.c */
command_fn file_select, file_read, file_update, file_delete, file_list;
/* pin.c */
command_fn pin_verify, pin_change, pin_unblock, card_initialize;
/* key.c */
command_fn key_generate, key_sign, key_decrypt, key_random;
/* dkek.c */
command_fn dkek_share, dkek_wrap, dkek_unwrap;

/* The answer with its status word, cut to what the command wants. */
void apdu_do(struct card *card, struct slice bytes, struct buffer *answer);

#endif
