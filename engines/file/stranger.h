/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KS_STRANGER_H
#define KS_STRANGER_H

#include "text.h"

/* What a file is that is surely no store of any kind in this build. */
struct ks_stranger {
	const char *title; /* "a web page or XML" */
	const char *hint;
};

/* NULL when the bytes could be anything, a damaged store among them. */
const struct ks_stranger *ks_stranger(struct ks_bytes content);

#endif
