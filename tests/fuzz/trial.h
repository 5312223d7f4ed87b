/* SPDX-License-Identifier: Apache-2.0 */
/* One trial of bytes from outside: read them as a store, do everything a command might do with what came out, write it again. */
#ifndef KS_TRIAL_H
#define KS_TRIAL_H

#include "file/codecs.h"

struct trial {
	int status;		/* of reading */
	unsigned char content[KS_SHA256]; /* digest over all items, when they were read */
	enum ks_integrity integrity;
	const char *broken;	/* a promise that was not kept; NULL = none */
};

/* The codec that is most sure of these bytes; NULL = none. */
const struct ks_codec *trial_codec(struct ks_bytes bytes);
/* `bytes` are copied. `codec` NULL: found by content. */
struct trial trial_run(struct ks_ctx *ctx, const struct ks_codec *codec, struct ks_bytes bytes, struct ks_secret *secret);

/*
 * A damaged Java key store ends in a digest that no longer fits, so a reader looks no further. This makes it fit again; false when it is
 * another kind of file.
 */
bool trial_mend(struct ks_buffer *bytes, struct ks_ctx *ctx, const struct ks_secret *secret);

#endif
