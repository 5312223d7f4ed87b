/* SPDX-License-Identifier: Apache-2.0 */
/*
 * p11-kit, loaded when the first pkcs11: address is read or the first module is started. Stores that are files need none of it, and
 * would pay for it and libffi at every start: a quarter of a millisecond.
 *
 * Whoever has a `P11KitUri` or a module has it from one of these, so only where they are made is ks_p11kit_load called.
 */
#ifndef KS_P11KIT_H
#define KS_P11KIT_H

#include "context.h"

#include <p11-kit/p11-kit.h>
#include <p11-kit/uri.h>

/* What is called, with the types of the library's own header. */
#define KS_P11KIT_FUNCTIONS(FUNCTION)                                                                                  \
	FUNCTION(config_option)                                                                                        \
	FUNCTION(message)                                                                                              \
	FUNCTION(module_get_filename)                                                                                  \
	FUNCTION(module_get_name)                                                                                      \
	FUNCTION(module_load)                                                                                          \
	FUNCTION(module_release)                                                                                       \
	FUNCTION(modules_load)                                                                                         \
	FUNCTION(uri_any_unrecognized)                                                                                 \
	FUNCTION(uri_clear_attributes)                                                                                 \
	FUNCTION(uri_format)                                                                                           \
	FUNCTION(uri_free)                                                                                             \
	FUNCTION(uri_get_attribute)                                                                                    \
	FUNCTION(uri_get_slot_id)                                                                                      \
	FUNCTION(uri_get_token_info)                                                                                   \
	FUNCTION(uri_new)                                                                                              \
	FUNCTION(uri_parse)                                                                                            \
	FUNCTION(uri_set_attribute)

struct ks_p11kit {
#define POINTER(name) __typeof__(p11_kit_##name) *name;
	KS_P11KIT_FUNCTIONS(POINTER)
#undef POINTER
};

/* Complete once ks_p11kit_load has returned 0, and never changed again. */
extern struct ks_p11kit ks_p11kit;

/* KS_EUNABLE: there is no p11-kit here. */
int ks_p11kit_load(struct ks_ctx *ctx);

#endif
