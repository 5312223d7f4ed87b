/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One writer at a time: the lock beside a file, and the sweeping of what a killed writer left.
 *
 * The lock file is removed by its holder while it is held; a waiter who then locks the removed file sees that the name is not
 * its own any more and starts again.
 */
#include "disk_inside.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

/* O_CREAT only when the file is not there: on a protected folder (sticky, protected_regular) the kernel refuses it otherwise. */
static int lock_open(struct ks_disk *disk)
{
	const int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
	int fd = TEMP_FAILURE_RETRY(openat(disk->folder, disk->lock_name, flags));

	if (fd < 0 && errno == ENOENT)
		fd = TEMP_FAILURE_RETRY(openat(disk->folder, disk->lock_name, flags | O_CREAT | O_EXCL, 0600));
	return fd;
}

/* Is the locked file still the one that bears the name? */
static bool lock_counts(const struct ks_disk *disk, int fd)
{
	struct stat mine, named;

	return fstat(fd, &mine) == 0 && S_ISREG(mine.st_mode) &&
	       fstatat(disk->folder, disk->lock_name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	       mine.st_dev == named.st_dev && mine.st_ino == named.st_ino;
}

/* 1 = had, 0 = somebody else has it. */
static int lock_try(struct ks_disk *disk)
{
	ks_auto_fd fd = lock_open(disk);

	if (fd < 0 && (errno == EEXIST || errno == EACCES)) {
		if (errno == EACCES && faccessat(disk->folder, disk->lock_name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			return ks_disk_system_says(disk, EACCES, "making a lock file beside");
		return 0;
	}
	if (fd < 0)
		return ks_disk_system_says(disk, errno, "making a lock file beside");
	if (TEMP_FAILURE_RETRY(flock(fd, LOCK_EX | LOCK_NB)) < 0)
		return errno == EWOULDBLOCK ? 0 : ks_disk_system_says(disk, errno, "locking");
	if (!lock_counts(disk, fd))
		return 0;
	disk->lock = ks_disk_give(&fd);
	return 1;
}

static double seconds_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static int wait_for_lock(struct ks_disk *disk)
{
	unsigned most = ks_settings(disk->ctx)->wait_seconds;
	struct timespec start, pause = { 0, 2 * 1000 * 1000 };
	double waited = 0;
	int rc;

	clock_gettime(CLOCK_MONOTONIC, &start);
	while ((rc = lock_try(disk)) == 0) {
		waited = seconds_since(&start);
		if (waited > most)
			return ks_hint(disk->ctx,
				       ks_fail(disk->ctx, KS_EBUSY, "another program has been writing %s for %u s",
					       disk->shown, most),
				       "wait for it to end, or give more time with --wait");
		if (waited > 0.5)
			rc = ks_progress(disk->ctx, "waiting for another writer", (uint64_t)waited, most);
		if (rc < 0)
			return rc;
		nanosleep(&pause, NULL);
		if (pause.tv_nsec < 32 * 1000 * 1000)
			pause.tv_nsec *= 2;
	}
	return rc < 0 ? rc : 0;
}

static bool is_temporary(const struct ks_disk *disk, const char *entry)
{
	size_t size = strlen(disk->name);

	return entry[0] == '.' && strncmp(entry + 1, disk->name, size) == 0 &&
	       strncmp(entry + 1 + size, ".keystow-", 9) == 0 && strlen(entry + 10 + size) == KS_DISK_TEMPORARY &&
	       strspn(entry + 10 + size, "0123456789abcdef") == KS_DISK_TEMPORARY;
}

/* What a killed run left. Best effort: a file that cannot be removed does no harm to the work. */
static void sweep(struct ks_disk *disk)
{
	int fd = TEMP_FAILURE_RETRY(openat(disk->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	DIR *entries = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!entries) {
		ks_disk_closep(&fd);
		return;
	}
	while ((entry = readdir(entries))) {
		if (is_temporary(disk, entry->d_name))
			TEMP_FAILURE_RETRY(unlinkat(disk->folder, entry->d_name, 0));
	}
	closedir(entries);
}

int ks_disk_lock_wait(struct ks_disk *disk)
{
	int rc = wait_for_lock(disk);

	if (rc == 0)
		sweep(disk);
	return rc;
}

int ks_disk_lock(struct ks_disk *disk, bool *changed)
{
	int rc = 0;

	if (!(disk->mode & KS_DISK_WRITE))
		return ks_fail(disk->ctx, KS_EBUG, "%s was opened for reading only", disk->shown);
	if (disk->lock < 0)
		rc = ks_disk_lock_wait(disk);
	if (rc == 0)
		rc = ks_disk_is_changed(disk);
	if (rc < 0)
		return rc;
	*changed = rc > 0;
	return rc > 0 ? ks_disk_load(disk) : 0;
}
