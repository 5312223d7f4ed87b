/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that only grows, such as a trace: opened for appending, so that several processes may share it line by line.
 */
#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int ks_disk_append(int *out, struct ks_ctx *ctx, const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
	struct stat found;

	if (fd < 0 && errno != ELOOP && errno != ENXIO)
		return ks_fail_errno(ctx, errno, "opening %s", path);
	if (fd < 0 || fstat(fd, &found) < 0 || !S_ISREG(found.st_mode)) {
		if (fd >= 0)
			close(fd);
		return ks_fail(ctx, KS_EFILEKIND, "%s is not a regular file", path);
	}
	*out = fd;
	return 0;
}
