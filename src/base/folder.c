/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a folder in one step, by a rename.
 */
#include "folder.h"

#include "text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct ks_folder {
	struct ks_ctx *ctx;
	char *shown; /* the path as it was given, safe to show */
	char *place; /* where it shall be */
	char *parent;
	char *mark; /* how the names of unfinished ones start */
	char *path; /* where it is until then; NULL = published or not begun */
	int fd; /* of `path`, locked */
};

static int failed(struct ks_folder *folder, int error, const char *doing)
{
	return ks_fail_errno(folder->ctx, error, "%s the folder %s", doing, folder->shown);
}

/* Empties the folder `fd` and the folders in it; what cannot be removed stays. */
static void empty(int fd, unsigned depth)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *entry;

	if (!list) {
		if (copy >= 0)
			close(copy);
		return;
	}
	while ((entry = readdir(list))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (unlinkat(fd, entry->d_name, 0) == 0 || depth == 0)
			continue;
		copy = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (copy < 0)
			continue;
		empty(copy, depth - 1);
		close(copy);
		unlinkat(fd, entry->d_name, AT_REMOVEDIR);
	}
	closedir(list);
}

/* Removes unfinished folders of the same place whose makers are gone. */
static void sweep(const struct ks_folder *folder)
{
	DIR *list = opendir(folder->parent);
	const struct dirent *entry;
	int fd;

	while (list && (entry = readdir(list))) {
		if (strncmp(entry->d_name, folder->mark, strlen(folder->mark)) != 0)
			continue;
		fd = openat(dirfd(list), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
			empty(fd, 2);
			unlinkat(dirfd(list), entry->d_name, AT_REMOVEDIR);
		}
		close(fd);
	}
	if (list)
		closedir(list);
}

static bool is_empty_folder(const char *path)
{
	DIR *list = opendir(path);
	const struct dirent *entry;
	bool nothing = list != NULL;

	while (list && nothing && (entry = readdir(list)))
		nothing = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
	if (list)
		closedir(list);
	return nothing;
}

static int exists_already(struct ks_folder *folder)
{
	return ks_hint(
		folder->ctx,
		ks_fail(folder->ctx, KS_EEXISTS, "%s exists already, and nothing in it was changed", folder->shown),
		"choose another folder");
}

static int look(struct ks_folder *folder)
{
	struct stat seen;

	if (lstat(folder->place, &seen) < 0)
		return errno == ENOENT ? 0 : failed(folder, errno, "looking at");
	return S_ISDIR(seen.st_mode) && is_empty_folder(folder->place) ? 0 : exists_already(folder);
}

/* "a/b//" is the place a/b, its parent a, and ".b.keystow-" the mark. */
static int split(struct ks_folder *folder, const char *path)
{
	size_t length = strlen(path);
	const char *slash;
	char *place;

	while (length > 1 && path[length - 1] == '/')
		length--;
	folder->place = place = strndup(path, length);
	if (!place)
		return ks_nomem(folder->ctx);
	slash = strrchr(place, '/');
	folder->parent = slash ? strndup(place, slash == place ? 1 : (size_t)(slash - place)) : strdup(".");
	if (!folder->parent || asprintf(&folder->mark, ".%s.keystow-", slash ? slash + 1 : place) < 0)
		return ks_nomem(folder->ctx);
	return 0;
}

static int begin(struct ks_folder *folder)
{
	ks_auto_mem char *path = NULL;
	int rc = look(folder);

	if (rc < 0)
		return rc;
	sweep(folder);
	if (asprintf(&path, "%s/%sXXXXXX", folder->parent, folder->mark) < 0)
		return ks_nomem(folder->ctx);
	if (!mkdtemp(path))
		return failed(folder, errno, "making");
	folder->path = ks_take(path);
	folder->fd = open(folder->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (folder->fd < 0 || flock(folder->fd, LOCK_EX | LOCK_NB) < 0)
		return failed(folder, errno, "making");
	return 0;
}

int ks_folder_begin(struct ks_folder **out, struct ks_ctx *ctx, const char *path)
{
	ks_auto(folder) folder = calloc(1, sizeof(*folder));
	int rc;

	if (!folder)
		return ks_nomem(ctx);
	folder->ctx = ctx;
	folder->fd = -1;
	folder->shown = ks_text_show(ks_bytes_of(path));
	if (!folder->shown)
		return ks_nomem(ctx);
	rc = split(folder, path);
	if (rc == 0)
		rc = begin(folder);
	if (rc < 0)
		return rc;
	*out = ks_take(folder);
	return 0;
}

const char *ks_folder_path(const struct ks_folder *folder)
{
	return folder->path;
}

int ks_folder_add(struct ks_folder *folder, const char *name)
{
	return mkdirat(folder->fd, name, 0700) < 0 ? failed(folder, errno, "making") : 0;
}

static int sync_parent(struct ks_folder *folder)
{
	int fd = open(folder->parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int error = fd < 0 || fsync(fd) < 0 ? errno : 0;

	if (fd >= 0)
		close(fd);
	return error ? failed(folder, error, "syncing the parent of") : 0;
}

int ks_folder_publish(struct ks_folder *folder)
{
	if (fsync(folder->fd) < 0)
		return failed(folder, errno, "syncing");
	if (rename(folder->path, folder->place) < 0) {
		if (errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR)
			return exists_already(folder);
		return failed(folder, errno, "putting in place");
	}
	free(ks_take(folder->path));
	return sync_parent(folder);
}

void ks_folder_free(struct ks_folder *folder)
{
	if (!folder)
		return;
	if (folder->path && folder->fd >= 0)
		empty(folder->fd, 2);
	if (folder->path)
		rmdir(folder->path);
	if (folder->fd >= 0)
		close(folder->fd);
	free(folder->path);
	free(folder->mark);
	free(folder->parent);
	free(folder->place);
	free(folder->shown);
	free(folder);
}

int ks_folder_above(struct ks_ctx *ctx, const char *path, unsigned mode)
{
	ks_auto_mem char *part = strdup(path);

	if (!part)
		return ks_nomem(ctx);
	for (char *at = part; (at = strchr(at + 1, '/'));) {
		*at = '\0';
		if (mkdir(part, mode) < 0 && errno != EEXIST && access(part, F_OK) < 0)
			return ks_fail_errno(ctx, errno, "making the folder %s", part);
		*at = '/';
	}
	return 0;
}
