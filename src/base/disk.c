/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a file is opened and read, and how it is told whether it is still the one that was read.
 */
#include "disk_inside.h"

#include "text.h"

#include <openssl/crypto.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define READING (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

/* ---- words ---- */

int ks_disk_system_says(const struct ks_disk *disk, int error, const char *doing)
{
	int rc = ks_fail_errno(disk->ctx, error, "%s %s", doing, disk->shown);

	if (error == EACCES || error == EPERM)
		return ks_hint(disk->ctx, rc, "look at the permissions of the file and of its folder: ls -ld");
	if (error == EBUSY)
		return ks_hint(disk->ctx, rc, "a file that is itself a mount point cannot be replaced");
	if (rc == KS_EFULL)
		return ks_hint(disk->ctx, rc, "free some room and run it again");
	return rc;
}

int ks_disk_changed_meanwhile(const struct ks_disk *disk)
{
	return ks_hint(disk->ctx,
		       ks_fail(disk->ctx, KS_ECHANGED, "%s was changed meanwhile by another program", disk->shown),
		       "nothing was written; run it again");
}

static int check_kind(const struct ks_disk *disk, const struct stat *seen)
{
	static const struct {
		mode_t kind;
		const char *words;
	} kinds[] = {
		{ S_IFDIR, "a folder" }, { S_IFIFO, "a FIFO" },    { S_IFCHR, "a device" },
		{ S_IFBLK, "a device" }, { S_IFSOCK, "a socket" }, { S_IFLNK, "a symbolic link" },
	};
	const char *words = "no regular file";
	int rc;

	if (S_ISREG(seen->st_mode))
		return 0;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if ((seen->st_mode & S_IFMT) == kinds[i].kind)
			words = kinds[i].words;
	}
	rc = ks_fail(disk->ctx, KS_EFILEKIND, "%s is %s", disk->shown, words);
	if (S_ISLNK(seen->st_mode))
		return ks_hint(disk->ctx, rc, "name the file itself, or add --follow");
	return ks_hint(disk->ctx, rc,
		       S_ISDIR(seen->st_mode) ? "name a file inside it" : "name a regular file, or - for a pipe");
}

/* ---- reading ---- */

static int too_large(const struct ks_disk *disk)
{
	return ks_fail(disk->ctx, KS_ELIMIT, "%s is larger than the limit of %zu MiB", disk->shown,
		       ks_settings(disk->ctx)->max_file >> 20);
}

static int read_some(struct ks_disk *disk, struct ks_buffer *into, int fd, size_t room)
{
	unsigned char *at = ks_buffer_room(into, room);
	ssize_t got;

	if (!at)
		return into->status == KS_ELIMIT ? too_large(disk) : ks_nomem(disk->ctx);
	got = TEMP_FAILURE_RETRY(read(fd, at, room));
	if (got < 0 && errno == EAGAIN) {
		struct pollfd ready = { .fd = fd, .events = POLLIN };

		if (poll(&ready, 1, -1) < 0 && errno != EINTR)
			return ks_disk_system_says(disk, errno, "reading");
		return 1;
	}
	if (got < 0)
		return ks_disk_system_says(disk, errno, "reading");
	into->size += (size_t)got;
	return got > 0;
}

/* Everything from `fd`. `size` is what it is expected to hold; one byte more tells the end, or that it grew. */
int ks_disk_read_all(struct ks_buffer **out, struct ks_disk *disk, int fd, size_t size)
{
	size_t most = ks_settings(disk->ctx)->max_file;
	ks_auto(buffer) buffer = ks_buffer_new(most + 1);
	int more = 1;

	if (!buffer)
		return ks_nomem(disk->ctx);
	if (size > most)
		return too_large(disk);
	while (more > 0) {
		size_t room = buffer->size <= size ? size - buffer->size + 1 : KS_DISK_PIECE;

		room = room < most + 1 - buffer->size ? room : most + 1 - buffer->size;
		if (room == 0)
			return too_large(disk);
		more = read_some(disk, buffer, fd, room);
	}
	if (more < 0)
		return more;
	if (buffer->size > most)
		return too_large(disk);
	*out = ks_take(buffer);
	return 0;
}

int ks_disk_open_regular(int *out, struct stat *seen, struct ks_disk *disk, int folder, const char *name, bool follow)
{
	ks_auto_fd fd = -1;
	int rc;

	if (TEMP_FAILURE_RETRY(fstatat(folder, name, seen, follow ? 0 : AT_SYMLINK_NOFOLLOW)) < 0)
		return errno == ENOENT ? KS_ENOTFOUND : ks_disk_system_says(disk, errno, "looking at");
	rc = check_kind(disk, seen);
	if (rc < 0)
		return rc;
	fd = TEMP_FAILURE_RETRY(openat(folder, name, READING | (follow ? 0 : O_NOFOLLOW)));
	if (fd < 0)
		return errno == ENOENT ? KS_ENOTFOUND : ks_disk_system_says(disk, errno, "opening");
	if (TEMP_FAILURE_RETRY(fstat(fd, seen)) < 0)
		return ks_disk_system_says(disk, errno, "looking at");
	rc = check_kind(disk, seen);
	if (rc < 0)
		return rc;
	*out = ks_disk_give(&fd);
	return 0;
}

int ks_disk_look(struct ks_disk *disk)
{
	int rc;

	ks_disk_closep(&disk->file);
	disk->file = -1;
	disk->exists = false;
	clock_gettime(CLOCK_REALTIME, &disk->read_at);
	rc = ks_disk_open_regular(&disk->file, &disk->seen, disk, disk->folder,
				  disk->folder == AT_FDCWD ? disk->path : disk->name, disk->folder == AT_FDCWD);
	if (rc == KS_ENOTFOUND && (disk->mode & KS_DISK_CREATE))
		return 0;
	if (rc == KS_ENOTFOUND)
		return ks_hint_general(disk->ctx, ks_fail(disk->ctx, KS_ENOTFOUND, "there is no file %s", disk->shown),
				       "check the spelling");
	disk->exists = rc == 0;
	return rc;
}

int ks_disk_load(struct ks_disk *disk)
{
	int rc = ks_disk_look(disk);

	ks_buffer_free(ks_take(disk->content));
	memset(disk->digest, 0, sizeof(disk->digest));
	disk->hashed = false;
	if (rc < 0 || !disk->exists)
		return rc;
	rc = ks_disk_read_all(&disk->content, disk, disk->file, (size_t)disk->seen.st_size);
	if (rc == 0 && (disk->mode & KS_DISK_WRITE)) {
		ks_sha256(disk->digest, ks_buffer_bytes(disk->content));
		disk->hashed = true;
	}
	return rc;
}

/* ---- is it still the file that was read? ---- */

static int hash_file(unsigned char out[KS_SHA256], struct ks_disk *disk, int fd)
{
	struct ks_hash hash;
	unsigned char piece[KS_DISK_PIECE];
	off_t at = 0;
	ssize_t got;

	ks_hash_start(&hash);
	while ((got = TEMP_FAILURE_RETRY(pread(fd, piece, sizeof(piece), at))) > 0) {
		ks_hash_add(&hash, KS_BYTES(piece, (size_t)got));
		at += got;
	}
	OPENSSL_cleanse(piece, sizeof(piece));
	if (got < 0)
		return ks_disk_system_says(disk, errno, "reading");
	ks_hash_end(out, &hash);
	return 0;
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/*
 * The stamps tell, unless the file was so young when it was read that a later change may bear the same ones (they have the
 * grain of a clock tick); then only the content does.
 */
static bool same_stamps(const struct ks_disk *disk, const struct stat *now)
{
	const struct stat *seen = &disk->seen;

	return now->st_dev == seen->st_dev && now->st_ino == seen->st_ino && now->st_size == seen->st_size &&
	       same_time(&now->st_mtim, &seen->st_mtim) && same_time(&now->st_ctim, &seen->st_ctim) &&
	       disk->read_at.tv_sec - seen->st_ctim.tv_sec > 1;
}

int ks_disk_is_changed(struct ks_disk *disk)
{
	unsigned char digest[KS_SHA256];
	struct stat now;
	ks_auto_fd fd = -1;
	int rc = ks_disk_open_regular(&fd, &now, disk, disk->folder, disk->name, false);

	if (rc == KS_ENOTFOUND)
		return disk->exists;
	if (rc < 0)
		return rc;
	if (!disk->exists)
		return 1;
	if (disk->blind || same_stamps(disk, &now))
		return 0;
	rc = hash_file(digest, disk, fd);
	return rc < 0 ? rc : memcmp(digest, disk->digest, sizeof(digest)) != 0;
}

/* ---- open ---- */

/* A link is followed once, when asked to, and that is said; from then on only the file itself is touched. */
static int resolve(struct ks_disk *disk, const char *path)
{
	struct stat seen;
	char *real;

	disk->path = strdup(path);
	if (!disk->path)
		return ks_nomem(disk->ctx);
	if (!(disk->mode & KS_DISK_WRITE) || lstat(path, &seen) < 0 || !S_ISLNK(seen.st_mode))
		return 0;
	if (!ks_settings(disk->ctx)->follow)
		return check_kind(disk, &seen);
	real = realpath(path, NULL);
	if (!real)
		return ks_disk_system_says(disk, errno, "following");
	free(disk->path);
	disk->path = real;
	ks_notice(disk->ctx, KS_EFILEKIND, disk->shown, NULL, "%s is a symbolic link; the file it leads to is written",
		  disk->shown);
	return 0;
}

static int open_folder(struct ks_disk *disk)
{
	char *slash = strrchr(disk->path, '/');
	ks_auto_mem char *folder = slash ? strndup(disk->path, (size_t)(slash - disk->path) + 1) : strdup(".");

	if (!folder)
		return ks_nomem(disk->ctx);
	disk->name = slash ? slash + 1 : disk->path;
	if (!disk->name[0])
		return ks_fail(disk->ctx, KS_EFILEKIND, "%s is a folder", disk->shown);
	if (snprintf(disk->lock_name, sizeof(disk->lock_name), ".%s.keystow-lock", disk->name) >
	    NAME_MAX - KS_DISK_TEMPORARY)
		return ks_disk_system_says(disk, ENAMETOOLONG, "naming a temporary file beside");
	snprintf(disk->old_name, sizeof(disk->old_name), "%.*s.old", NAME_MAX - 8, disk->name);
	disk->folder = TEMP_FAILURE_RETRY(open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	if (disk->folder < 0 && errno == ENOENT)
		return ks_hint(disk->ctx,
			       ks_fail(disk->ctx, KS_ENOTFOUND, "the folder of %s does not exist", disk->shown),
			       "check the spelling, or make the folder with mkdir");
	if (disk->folder < 0)
		return ks_disk_system_says(disk, errno, "opening the folder of");
	return 0;
}

int ks_disk_new(struct ks_disk **out, struct ks_ctx *ctx, const char *path, unsigned mode)
{
	__attribute__((cleanup(ks_disk_freep))) struct ks_disk *disk = calloc(1, sizeof(*disk));
	int rc;

	if (!disk)
		return ks_nomem(ctx);
	*disk = (struct ks_disk){ .ctx = ctx, .mode = mode, .folder = AT_FDCWD, .file = -1, .lock = -1, .staged = -1 };
	disk->shown = ks_text_show(ks_bytes_of(strcmp(path, "-") == 0 ? "standard input" : path));
	if (!disk->shown)
		return ks_nomem(ctx);
	if (!path[0])
		return ks_fail(ctx, KS_EADDRESS, "a file name is empty");
	rc = resolve(disk, path);
	if (rc == 0 && (mode & KS_DISK_WRITE))
		rc = open_folder(disk);
	if (rc < 0)
		return rc;
	*out = ks_take(disk);
	return 0;
}

static int read_standard_input(struct ks_disk *disk)
{
	int rc = ks_disk_read_all(&disk->content, disk, STDIN_FILENO, 0);

	if (rc < 0)
		return rc;
	disk->exists = true;
	ks_sha256(disk->digest, ks_buffer_bytes(disk->content));
	disk->hashed = true;
	return 0;
}

int ks_disk_open(struct ks_disk **out, struct ks_ctx *ctx, const char *path, unsigned mode)
{
	__attribute__((cleanup(ks_disk_freep))) struct ks_disk *disk = NULL;
	bool piped = strcmp(path, "-") == 0;
	int rc;

	if (piped && (mode & KS_DISK_WRITE))
		return ks_hint(ctx, ks_fail(ctx, KS_EUNABLE, "standard input cannot be changed in place"),
			       "name a file, or only read from -");
	rc = ks_disk_new(&disk, ctx, path, mode);
	if (rc == 0)
		rc = piped ? read_standard_input(disk) : ks_disk_load(disk);
	if (rc < 0)
		return rc;
	*out = ks_take(disk);
	return 0;
}

void ks_disk_close(struct ks_disk *disk)
{
	if (!disk)
		return;
	ks_disk_drop_staged(disk);
	if (disk->lock >= 0)
		TEMP_FAILURE_RETRY(unlinkat(disk->folder, disk->lock_name, 0));
	ks_disk_closep(&disk->lock);
	ks_disk_closep(&disk->file);
	if (disk->folder != AT_FDCWD)
		ks_disk_closep(&disk->folder);
	ks_buffer_free(disk->content);
	free(disk->path);
	free(disk->shown);
	free(disk);
}

bool ks_disk_exists(const struct ks_disk *disk)
{
	return disk->exists;
}

struct ks_bytes ks_disk_content(const struct ks_disk *disk)
{
	return disk->content ? ks_buffer_bytes(disk->content) : KS_NONE;
}

struct ks_buffer *ks_disk_take(struct ks_disk *disk)
{
	return ks_take(disk->content);
}

/* Who only reads seldom wants to know, and large bundles take their time; the open file still tells. */
const unsigned char *ks_disk_digest(struct ks_disk *disk)
{
	if (!disk->hashed && disk->exists && hash_file(disk->digest, disk, disk->file) < 0)
		ks_forgive(disk->ctx);
	disk->hashed = true;
	return disk->digest;
}

int ks_disk_read(struct ks_buffer **out, struct ks_ctx *ctx, const char *path)
{
	__attribute__((cleanup(ks_disk_freep))) struct ks_disk *disk = NULL;
	int rc = ks_disk_open(&disk, ctx, path, KS_DISK_READ);

	if (rc < 0)
		return rc;
	*out = ks_disk_take(disk);
	return 0;
}
