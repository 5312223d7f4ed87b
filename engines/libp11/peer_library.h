/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libp11, loaded when --engine libp11 asks for it. Nobody else pays for it, and a keystow without it still has its own engine.
 */
#ifndef KS_LIBP11_PEER_LIBRARY_H
#define KS_LIBP11_PEER_LIBRARY_H

#include "context.h"

#include <libp11.h>

/* What is called, with the types of the library's own header. */
#define KS_LIBP11_FUNCTIONS(FUNCTION)                                                                                  \
	FUNCTION(CTX_new)                                                                                              \
	FUNCTION(CTX_load)                                                                                             \
	FUNCTION(CTX_unload)                                                                                           \
	FUNCTION(CTX_free)                                                                                             \
	FUNCTION(enumerate_slots)                                                                                      \
	FUNCTION(release_all_slots)                                                                                    \
	FUNCTION(open_session)                                                                                         \
	FUNCTION(enumerate_certs)                                                                                      \
	FUNCTION(enumerate_keys)                                                                                       \
	FUNCTION(enumerate_public_keys)                                                                                \
	FUNCTION(get_private_key)                                                                                      \
	FUNCTION(get_public_key)                                                                                       \
	FUNCTION(store_certificate)                                                                                    \
	FUNCTION(remove_key)                                                                                           \
	FUNCTION(remove_certificate)

struct ks_libp11 {
#define POINTER(name) __typeof__(PKCS11_##name) *name;
	KS_LIBP11_FUNCTIONS(POINTER)
#undef POINTER
};

/* Filled by ks_libp11_load. */
extern struct ks_libp11 ks_libp11;

/* KS_EUNABLE when libp11 is not on this computer. */
int ks_libp11_load(struct ks_ctx *ctx);

#endif
