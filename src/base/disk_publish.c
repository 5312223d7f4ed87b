/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a staged file comes into place so that at every instant the old or the new one is there, and what becomes of NAME.old.
 */
#include "disk_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* Some network file systems do not know how to sync a folder and say EINVAL; there the server's word has to do. */
static int sync_folder(struct ks_disk *disk)
{
	if (TEMP_FAILURE_RETRY(fsync(disk->folder)) == 0 || errno == EINVAL || errno == ENOTSUP)
		return 0;
	return ks_hint(
		disk->ctx,
		ks_cause(disk->ctx,
			 ks_fail(disk->ctx, KS_EIO,
				 "%s is the new one now, but its folder could not be brought to the disk: after a "
				 "power cut it may be the old one again",
				 disk->shown),
			 "fsync: %s", strerror(errno)),
		"look at the disk and the system log");
}

int ks_disk_sync(struct ks_disk *disk)
{
	if (TEMP_FAILURE_RETRY(fsync(disk->folder)) == 0 || errno == EINVAL || errno == ENOTSUP)
		return 0;
	return ks_disk_system_says(disk, errno, "bringing to the disk the folder of");
}

static int check_old(struct ks_disk *disk)
{
	struct stat old;

	if (TEMP_FAILURE_RETRY(fstatat(disk->folder, disk->old_name, &old, AT_SYMLINK_NOFOLLOW)) < 0)
		return errno == ENOENT ? 0 : ks_disk_system_says(disk, errno, "looking at the old copy of");
	if (S_ISREG(old.st_mode))
		return 0;
	return ks_hint(disk->ctx, ks_fail(disk->ctx, KS_EFILEKIND, "%s.old is not a regular file", disk->shown),
		       "nothing was written; move it away");
}

/* Renaming between two links of one file does nothing (POSIX), so the temporary name is removed in any case. */
static int keep_old(struct ks_disk *disk)
{
	char name[NAME_MAX + 1] = "";
	int rc = ks_disk_second_name(name, disk);

	if (rc == 0 && TEMP_FAILURE_RETRY(renameat(disk->folder, name, disk->folder, disk->old_name)) < 0)
		rc = ks_disk_system_says(disk, errno, "keeping a copy of");
	if (name[0])
		TEMP_FAILURE_RETRY(unlinkat(disk->folder, name, 0));
	return rc;
}

/* A file that was absent must still be: the first name wins, with a link where the kernel's own word for it is missing. */
static int swap_in_new(struct ks_disk *disk)
{
	if (TEMP_FAILURE_RETRY(
		    renameat2(disk->folder, disk->staged_name, disk->folder, disk->name, RENAME_NOREPLACE)) == 0)
		return 0;
	if (errno == EINVAL || errno == ENOSYS) {
		if (TEMP_FAILURE_RETRY(linkat(disk->folder, disk->staged_name, disk->folder, disk->name, 0)) == 0) {
			TEMP_FAILURE_RETRY(unlinkat(disk->folder, disk->staged_name, 0));
			return 0;
		}
	}
	return errno == EEXIST ? ks_disk_changed_meanwhile(disk)
			       : ks_disk_system_says(disk, errno, "putting the new file in place of");
}

static int swap_in(struct ks_disk *disk)
{
	if (!disk->exists)
		return swap_in_new(disk);
	if (TEMP_FAILURE_RETRY(renameat(disk->folder, disk->staged_name, disk->folder, disk->name)) < 0)
		return ks_disk_system_says(disk, errno, "putting the new file in place of");
	return 0;
}

/* The published file is what was read last from now on. */
static void settle(struct ks_disk *disk)
{
	ks_disk_closep(&disk->file);
	disk->file = ks_disk_give(&disk->staged);
	disk->staged_name[0] = '\0';
	disk->exists = true;
	memcpy(disk->digest, disk->staged_digest, sizeof(disk->digest));
	disk->hashed = true;
	ks_buffer_free(ks_take(disk->content));
	clock_gettime(CLOCK_REALTIME, &disk->read_at);
	if (TEMP_FAILURE_RETRY(fstat(disk->file, &disk->seen)) < 0)
		memset(&disk->seen, 0, sizeof(disk->seen));
}

/* What the old copy may show from now on: nothing at all, or no more than the new file. */
static int tend_old(struct ks_disk *disk, bool kept)
{
	struct stat old;

	if (disk->wish.drop_old) {
		if (TEMP_FAILURE_RETRY(unlinkat(disk->folder, disk->old_name, 0)) == 0 || errno == ENOENT)
			return 0;
		return ks_hint(disk->ctx,
			       ks_fail(disk->ctx, KS_EIO, "%s is the new one now, but %s.old could not be deleted: %s",
				       disk->shown, disk->shown, strerror(errno)),
			       "delete it: it still opens with the old secret or holds the old key");
	}
	if (!kept || !disk->wish.private_material)
		return 0;
	if (fstatat(disk->folder, disk->old_name, &old, AT_SYMLINK_NOFOLLOW) < 0 || !(old.st_mode & 0137))
		return 0;
	if (fchmodat(disk->folder, disk->old_name, old.st_mode & 0640, 0) < 0)
		ks_notice(disk->ctx, KS_EOWNER, disk->shown, "set it by hand: chmod o= FILE.old",
			  "the mode of %s.old could not be narrowed: %s", disk->shown, strerror(errno));
	return 0;
}

/* After a kill between two renames NAME.old is a link to NAME; that one is ours. */
static void tell_links(struct ks_disk *disk)
{
	struct stat old;
	bool ours = fstatat(disk->folder, disk->old_name, &old, AT_SYMLINK_NOFOLLOW) == 0 &&
		    old.st_dev == disk->seen.st_dev && old.st_ino == disk->seen.st_ino;

	if (disk->exists && disk->seen.st_nlink > (ours ? 2 : 1))
		ks_notice(disk->ctx, KS_EFILEKIND, disk->shown, NULL,
			  "%s has other hard links; they keep the old content", disk->shown);
}

int ks_disk_publish(struct ks_disk *disk)
{
	bool kept = disk->exists && disk->wish.keep_old && !disk->wish.drop_old;
	int rc, synced;

	if (disk->staged < 0)
		return ks_fail(disk->ctx, KS_EBUG, "nothing is staged for %s", disk->shown);
	rc = ks_disk_is_changed(disk);
	if (rc > 0)
		return ks_disk_changed_meanwhile(disk);
	if (rc == 0)
		tell_links(disk);
	if (rc == 0)
		rc = check_old(disk);
	if (rc == 0 && kept)
		rc = keep_old(disk);
	if (rc == 0)
		rc = swap_in(disk);
	if (rc < 0)
		return rc;
	settle(disk);
	rc = tend_old(disk, kept);
	synced = sync_folder(disk);
	return rc < 0 ? rc : synced;
}

/* ---- exchange ---- */

/* Where the kernel cannot exchange two names, NAME is never absent: it goes from the one file to the other in one rename. */
static int exchange_in_steps(struct ks_disk *disk)
{
	char name[NAME_MAX + 1] = "";
	int rc = ks_disk_second_name(name, disk);

	if (rc < 0)
		return rc;
	if (TEMP_FAILURE_RETRY(renameat(disk->folder, disk->old_name, disk->folder, disk->name)) < 0 ||
	    TEMP_FAILURE_RETRY(renameat(disk->folder, name, disk->folder, disk->old_name)) < 0)
		return ks_disk_system_says(disk, errno, "exchanging the two copies of");
	return 0;
}

int ks_disk_exchange(struct ks_disk *disk)
{
	struct stat old;
	int rc;

	if (disk->lock < 0)
		return ks_fail(disk->ctx, KS_EBUG, "%s is not locked", disk->shown);
	rc = ks_disk_is_changed(disk);
	if (rc > 0)
		return ks_disk_changed_meanwhile(disk);
	if (rc == 0)
		rc = check_old(disk);
	if (rc < 0)
		return rc;
	if (fstatat(disk->folder, disk->old_name, &old, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
		return ks_fail(disk->ctx, KS_ENOTFOUND, "there is no earlier copy %s.old", disk->shown);
	if (TEMP_FAILURE_RETRY(renameat2(disk->folder, disk->name, disk->folder, disk->old_name, RENAME_EXCHANGE)) <
	    0) {
		if (errno != EINVAL && errno != ENOSYS)
			return ks_disk_system_says(disk, errno, "exchanging the two copies of");
		rc = exchange_in_steps(disk);
	}
	if (rc == 0)
		rc = sync_folder(disk);
	if (rc < 0)
		return rc;
	return ks_while(disk->ctx, ks_disk_load(disk),
			"%s has been changed for its earlier copy, but reading that again", disk->shown);
}
