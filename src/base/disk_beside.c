/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NAME with a suffix: the earlier copy, and what keystow remembers of a store.
 */
#include "disk_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

int ks_disk_read_beside(struct ks_buffer **out, struct ks_disk *disk, const char *suffix)
{
	ks_auto_mem char *path = NULL;
	ks_auto_fd fd = -1;
	struct stat seen;
	int rc;

	if (asprintf(&path, "%s%s", disk->folder == AT_FDCWD ? disk->path : disk->name, suffix) < 0) {
		path = NULL;
		return ks_nomem(disk->ctx);
	}
	rc = ks_disk_open_regular(&fd, &seen, disk, disk->folder, path, false);
	if (rc == KS_ENOTFOUND)
		return ks_fail(disk->ctx, KS_ENOTFOUND, "there is no %s%s", disk->shown, suffix);
	if (rc == 0)
		rc = ks_disk_read_all(out, disk, fd, (size_t)seen.st_size);
	return ks_while(disk->ctx, rc, "reading %s%s", disk->shown, suffix);
}

/* Belongs to the owner of the store when that can be had; nobody else needs it. */
static void give_to_owner(const struct ks_disk *disk, int fd)
{
	struct stat made;

	if (disk->exists && fstat(fd, &made) == 0 && made.st_uid != disk->seen.st_uid &&
	    fchown(fd, disk->seen.st_uid, disk->seen.st_gid) < 0)
		ks_notice(disk->ctx, KS_EOWNER, disk->shown, NULL, "what is remembered of %s belongs to another user",
			  disk->shown);
}

int ks_disk_write_beside(struct ks_disk *disk, const char *suffix, struct ks_bytes content)
{
	char name[NAME_MAX + 1] = "", target[NAME_MAX + 1];
	unsigned char digest[KS_SHA256];
	ks_auto_fd fd = -1, back = -1;
	int rc;

	if (disk->lock < 0)
		return ks_fail(disk->ctx, KS_EBUG, "%s is not locked", disk->shown);
	if (snprintf(target, sizeof(target), "%s%s", disk->name, suffix) > NAME_MAX)
		return ks_disk_system_says(disk, ENAMETOOLONG, "naming a file beside");
	rc = ks_disk_temporary_new(&fd, name, disk, 0600);
	if (rc == 0) {
		give_to_owner(disk, fd);
		rc = ks_disk_write_out(disk, &fd, &content, 1);
	}
	if (rc == 0)
		rc = ks_disk_read_back(&back, digest, NULL, disk, name, &content, 1);
	if (rc == 0 && TEMP_FAILURE_RETRY(renameat(disk->folder, name, disk->folder, target)) < 0)
		rc = ks_disk_system_says(disk, errno, "writing what is remembered of");
	if (rc < 0 && name[0])
		TEMP_FAILURE_RETRY(unlinkat(disk->folder, name, 0));
	return rc;
}
