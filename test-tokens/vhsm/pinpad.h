/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reader's keypad (PC/SC part 10): it takes a PIN from the person, and only the card sees it.
 *
 * The person is the test: the file `pin-pad` in the card's folder has a PIN a line, the one to verify, or the old and the
 * new one to change. The reader has a keypad while the file exists; an empty line is the cancel key.
 */
#ifndef VHSM_PINPAD_H
#define VHSM_PINPAD_H

#include "card.h"

/* A control code sent to the reader; false when the reader does not know it. */
bool pinpad_control(struct card *card, unsigned long code, struct slice in, struct buffer *answer);

#endif
