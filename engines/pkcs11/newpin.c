/* SPDX-License-Identifier: Apache-2.0 */
/*
 * New PINs. A token locks itself after a few wrong tries, so a PIN need not be long; but the first ones that a thief tries are known.
 */
#include "newpin.h"

#define SHORT 6 /* fewer characters are told of, when the token takes more */

static int length_check(struct ks_p11_token *token, const struct ks_secret *secret)
{
	CK_ULONG min = token->info.ulMinPinLen, max = token->info.ulMaxPinLen;
	size_t size = ks_secret_size(secret);

	if (max == 0 || min > max || (size >= min && size <= max))
		return 0;
	return ks_hint(token->ctx,
		       ks_fail(token->ctx, KS_EPIN, "a new PIN for token %s must have %lu to %lu characters",
			       token->shown, min, max),
		       "nothing was changed");
}

/* 111111, 123456, 987654: each character is as far from the one before as that was from its own. */
static bool is_row(const struct ks_secret *secret)
{
	const unsigned char *at = (const unsigned char *)ks_secret_bytes(secret);
	size_t size = ks_secret_size(secret);
	int step = size > 1 ? at[1] - at[0] : 0;

	for (size_t i = 1; i < size; i++) {
		if (at[i] - at[i - 1] != step)
			return false;
	}
	return size > 0 && step >= -1 && step <= 1;
}

static void weakness_tell(struct ks_p11_token *token, const char *why)
{
	ks_notice(token->ctx, KS_EWEAK, token->uri, "keystow token pin changes it again",
		  "the new PIN for token %s is easy to guess: %s", token->shown, why);
}

int ks_p11_new_pin_check(struct ks_p11_token *token, const struct ks_secret *secret, const struct ks_secret *other)
{
	int rc = secret ? length_check(token, secret) : 0;

	if (rc < 0 || !secret)
		return rc;
	if (other && ks_secret_equal(secret, other))
		weakness_tell(token, "the user and the security officer have the same one");
	else if (is_row(secret))
		weakness_tell(token, "its characters are all alike or in a row");
	else if (ks_secret_size(secret) < SHORT && token->info.ulMaxPinLen >= SHORT)
		weakness_tell(token, "it has fewer than 6 characters, and the token takes more");
	return 0;
}
