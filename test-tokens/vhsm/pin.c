/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user's PIN and the security officer's: set, verified, changed, locked and unblocked. Tries are counted on the card
 * and survive a reset.
 *
 * A new card has neither. Initialising it sets both and empties the card; that needs the SO PIN of last time.
 */
#include "apdu.h"

#include <string.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>

#define SO_TRIES 15
#define UNBLOCK_ALLOWED 0x01

enum { REFERENCE_USER = 0x81, REFERENCE_SO = 0x88 };

static struct pin *pin_of(struct card *card, unsigned reference)
{
	if (reference == REFERENCE_USER)
		return &card->user;
	return reference == REFERENCE_SO ? &card->so : NULL;
}

static bool set(struct pin *pin, struct slice bytes, unsigned tries)
{
	if (bytes.length == 0 || bytes.length > PIN_MOST)
		return false;
	memcpy(pin->at, bytes.at, bytes.length);
	pin->length = bytes.length;
	pin->tries = tries;
	return true;
}

static unsigned state_of(const struct pin *pin)
{
	if (pin->length == 0)
		return SW_NO_PIN_YET;
	return pin->tries ? SW_TRIES_LEFT | pin->tries : SW_LOCKED;
}

/* Spends a try, and gives all of them back when the bytes are the PIN. */
static unsigned try_pin(struct card *card, struct pin *pin, struct slice bytes)
{
	bool right;

	if (pin->length == 0 || pin->tries == 0)
		return state_of(pin);
	right = bytes.length == pin->length && CRYPTO_memcmp(bytes.at, pin->at, pin->length) == 0;
	if (!right)
		pin->tries--;
	else
		pin->tries = pin == &card->so ? SO_TRIES : card->most_tries;
	if (!card_save(card))
		return SW_BROKEN;
	return right ? SW_OK : state_of(pin);
}

unsigned pin_verify(struct card *card, const struct command *command, struct buffer *answer)
{
	struct pin *pin = pin_of(card, command->p2);
	unsigned sw;

	(void)answer;
	if (!pin || (pin == &card->so && pin->length == 0))
		return SW_NO_SUCH_KEY;
	if (command->data.length == 0)
		return pin == &card->user && card->logged_in ? SW_OK : state_of(pin);
	if (pin == &card->so)
		return SW_WRONG_PARAMETERS;
	sw = try_pin(card, pin, command->data);
	card->logged_in = card->fresh = sw == SW_OK;
	return sw;
}

/* Data: the old PIN and the new one; the card knows how long the old one is. */
unsigned pin_change(struct card *card, const struct command *command, struct buffer *answer)
{
	struct pin *pin = pin_of(card, command->p2);
	const struct slice data = command->data;
	struct slice old, fresh;
	unsigned sw;

	(void)answer;
	if (!pin)
		return SW_NO_SUCH_KEY;
	if (data.length < pin->length)
		return SW_WRONG_LENGTH;
	old = (struct slice){ data.at, pin->length };
	fresh = (struct slice){ data.at + pin->length, data.length - pin->length };
	sw = try_pin(card, pin, old);
	if (sw != SW_OK)
		return sw;
	if ((pin == &card->so && fresh.length != SO_PIN_LENGTH) || !set(pin, fresh, pin->tries))
		return SW_WRONG_LENGTH;
	return card_save(card) ? SW_OK : SW_BROKEN;
}

/* Data: the SO PIN, and a new user PIN or none to keep the old one. */
unsigned pin_unblock(struct card *card, const struct command *command, struct buffer *answer)
{
	const struct slice data = command->data;
	struct slice fresh;
	unsigned sw;

	(void)answer;
	if (command->p2 != REFERENCE_USER)
		return SW_NO_SUCH_KEY;
	if (!(card->options & UNBLOCK_ALLOWED))
		return SW_NOT_NOW;
	if (data.length < SO_PIN_LENGTH)
		return SW_WRONG_LENGTH;
	sw = try_pin(card, &card->so, (struct slice){ data.at, SO_PIN_LENGTH });
	if (sw != SW_OK)
		return sw;
	fresh = (struct slice){ data.at + SO_PIN_LENGTH, data.length - SO_PIN_LENGTH };
	if (fresh.length && !set(&card->user, fresh, card->most_tries))
		return SW_WRONG_LENGTH;
	card->user.tries = card->most_tries;
	card->logged_in = false;
	return card_save(card) ? SW_OK : SW_BROKEN;
}

/* A card for key wrapping waits for its shares; with none of them it makes a key of its own. */
static bool start_dkek(struct dkek *dkek, struct slice in)
{
	struct slice shares;

	*dkek = (struct dkek){ 0 };
	if (!tlv_find(&shares, in, 0x92) || shares.length != 1)
		return true;
	dkek->wanted = true;
	dkek->shares = dkek->missing = shares.at[0];
	return dkek->shares || RAND_bytes(dkek->key, DKEK_LENGTH) == 1;
}

unsigned card_initialize(struct card *card, const struct command *command, struct buffer *answer)
{
	const struct slice in = command->data;
	struct slice options, user, so, tries;

	(void)answer;
	if (!tlv_find(&options, in, 0x80) || options.length != 2 || !tlv_find(&user, in, 0x81) || user.length < 6 ||
	    user.length > PIN_MOST || !tlv_find(&so, in, 0x82) || so.length != SO_PIN_LENGTH ||
	    !tlv_find(&tries, in, 0x91) || tries.length != 1 || tries.at[0] == 0)
		return SW_WRONG_DATA;
	if (card->so.length && try_pin(card, &card->so, so) != SW_OK)
		return card->so.tries ? SW_NOT_NOW : SW_LOCKED;

	card_reset(card);
	card_empty(card);
	card->options = options.at[1];
	card->most_tries = tries.at[0];
	if (!set(&card->user, user, card->most_tries) || !set(&card->so, so, SO_TRIES) ||
	    !start_dkek(&card->dkek, in) || !card_save(card))
		return SW_BROKEN;
	return SW_OK;
}
