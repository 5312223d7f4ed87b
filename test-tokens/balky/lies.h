/* SPDX-License-Identifier: Apache-2.0 */
/* Calls whose results can be bent. Each forwards to the real module itself. */
#ifndef BALKY_LIES_H
#define BALKY_LIES_H

#include "call.h"

#define BARE(...) __VA_ARGS__
#define PLAIN(name, session, params, args)
#define TOLD(name, session, params, args) CK_RV told_##name(const struct call *call, BARE params);
#include "calls.h"
#undef PLAIN
#undef TOLD

#endif
