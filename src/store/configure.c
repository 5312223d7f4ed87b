/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration file from the disk into the context. What it may say is known in model/config.c.
 */
#include <keystow/store.h>

#include "config.h"
#include "disk.h"

int ks_ctx_configure(struct ks_ctx *ctx, const char *path)
{
	ks_auto(buffer) text = NULL;
	int rc;

	rc = ks_disk_read(&text, ctx, path);
	if (rc < 0)
		return ks_while(ctx, rc, "reading the configuration");
	return ks_config_read(ctx, path, ks_buffer_bytes(text));
}
