/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens to choose from, as they are told to a person.
 *
 * A full address is four lines long and differs in one place. What tells tokens apart is the serial number; one that has none yet,
 * as a blank token of SoftHSM, or shares it, is meant by its slot.
 */
#include "candidate.h"

#include <ctype.h>
#include <string.h>

static bool serial_alone(const struct ks_candidate *list, size_t count, size_t n)
{
	for (size_t i = 0; i < count; i++) {
		if (i != n && strcmp(list[i].serial, list[n].serial) == 0)
			return false;
	}
	return list[n].serial[0] != '\0';
}

static void put_escaped(struct ks_buffer *out, const char *text)
{
	for (; *text; text++) {
		if (isalnum((unsigned char)*text) || strchr("-._~", *text))
			ks_buffer_put(out, text, 1);
		else
			ks_buffer_format(out, "%%%02X", (unsigned char)*text);
	}
}

static void put_one(struct ks_buffer *out, const struct ks_candidate *token, bool by_serial)
{
	if (token->label[0]) {
		ks_buffer_text(out, "\"");
		ks_text_shown(out, ks_bytes_of(token->label));
		ks_buffer_text(out, "\" (");
	} else {
		ks_buffer_text(out, "a token without label (");
	}
	if (token->model[0]) {
		ks_buffer_text(out, "model ");
		ks_text_shown(out, ks_bytes_of(token->model));
		ks_buffer_text(out, ", ");
	}
	if (token->serial[0]) {
		ks_buffer_text(out, "serial ");
		ks_text_shown(out, ks_bytes_of(token->serial));
		ks_buffer_text(out, ", ");
	}
	ks_buffer_format(out, "slot %lu) = ", token->slot);
	if (by_serial) {
		ks_buffer_text(out, "pkcs11:serial=");
		put_escaped(out, token->serial);
	} else {
		ks_buffer_format(out, "pkcs11:slot-id=%lu", token->slot);
	}
}

int ks_candidates_put(struct ks_buffer *out, const struct ks_candidate *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		ks_buffer_text(out, i ? ", " : "");
		put_one(out, &list[i], serial_alone(list, count, i));
	}
	return out->status;
}
