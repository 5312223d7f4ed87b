/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plain files that are no store: requests, certificates, keystow's own. Written like a store, but without having been read.
 */
#include "disk_inside.h"

#include <errno.h>
#include <string.h>

static int write_standard_output(struct ks_ctx *ctx, struct ks_bytes content)
{
	__attribute__((cleanup(ks_disk_freep))) struct ks_disk *disk = NULL;
	int rc = ks_disk_new(&disk, ctx, "standard output", KS_DISK_READ);

	return rc < 0 ? rc : ks_disk_write_all(disk, STDOUT_FILENO, content);
}

static int exists_already(const struct ks_disk *disk)
{
	return ks_hint(disk->ctx, ks_fail(disk->ctx, KS_EEXISTS, "%s exists already", disk->shown),
		       "choose another name, or replace it with --replace");
}

int ks_disk_write(struct ks_ctx *ctx, const char *path, struct ks_bytes content, bool private_material, bool replace)
{
	const struct ks_disk_wish wish = { .private_material = private_material };
	__attribute__((cleanup(ks_disk_freep))) struct ks_disk *disk = NULL;
	int rc;

	if (strcmp(path, "-") == 0)
		return write_standard_output(ctx, content);
	rc = ks_disk_new(&disk, ctx, path, KS_DISK_WRITE | KS_DISK_CREATE);
	if (rc == 0)
		rc = ks_disk_look(disk);
	if (rc == 0 && disk->exists && !replace)
		return exists_already(disk);
	if (rc == 0)
		rc = ks_disk_lock_wait(disk);
	if (rc < 0)
		return rc;
	disk->blind = true;
	rc = ks_disk_look(disk);
	if (rc == 0 && disk->exists && !replace)
		return exists_already(disk);
	if (rc == 0)
		rc = ks_disk_stage(disk, &content, 1, &wish);
	return rc < 0 ? rc : ks_disk_publish(disk);
}

int ks_disk_remove(struct ks_ctx *ctx, const char *path)
{
	struct stat found;

	if (lstat(path, &found) < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : ks_fail_errno(ctx, errno, "removing %s", path);
	if (!S_ISREG(found.st_mode))
		return ks_fail(ctx, KS_EFILEKIND, "%s is not a regular file", path);
	return unlink(path) < 0 && errno != ENOENT ? ks_fail_errno(ctx, errno, "removing %s", path) : 0;
}
