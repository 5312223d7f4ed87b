/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PINs that were wrong since the last login, remembered so that none of them is sent again.
 *
 * One small file for each token and user in the state folder, 0600: a salt, and a slow hash (PBKDF2) of each PIN. A PIN that was
 * wrong is often one slip away from the right one, hence the slow hash. The file is locked from before a PIN is sent until its
 * answer is written down, so that jobs that start together with one wrong PIN spend one try and not one each. Without a state
 * folder nothing is remembered.
 */
#ifndef KS_P11_PINMEMORY_H
#define KS_P11_PINMEMORY_H

#include "session.h"
#include "secret.h"

struct ks_p11_pin_memory;

/* Waits until no other process sends a PIN to this token; *out may be NULL, which all others accept. KS_EBUSY. */
int ks_p11_pin_memory_open(struct ks_p11_pin_memory **out, struct ks_p11_token *token, CK_USER_TYPE user);
void ks_p11_pin_memory_free(struct ks_p11_pin_memory *memory);
static inline void ks_p11_pin_memory_freep(struct ks_p11_pin_memory **memory)
{
	ks_p11_pin_memory_free(*memory);
}
bool ks_p11_pin_memory_knows(const struct ks_p11_pin_memory *memory, const struct ks_secret *secret);
/* How many wrong PINs are remembered. */
size_t ks_p11_pin_memory_count(const struct ks_p11_pin_memory *memory);
/* Trouble with the file is a notice, never a failure of the login. */
void ks_p11_pin_memory_add(struct ks_p11_pin_memory *memory, const struct ks_secret *secret);
void ks_p11_pin_memory_clear(struct ks_p11_pin_memory *memory);

#endif
