/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's generator; it waits only while the machine starts.
 */
#include "random.h"

#include <errno.h>
#include <sys/random.h>
#include <unistd.h>

int ks_random(struct ks_ctx *ctx, void *out, size_t size)
{
	if (TEMP_FAILURE_RETRY(getrandom(out, size, 0)) == (ssize_t)size)
		return 0;
	return ks_fail_errno(ctx, errno, "no random numbers can be had");
}
