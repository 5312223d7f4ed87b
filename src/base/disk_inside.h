/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of a disk, shared by its rooms: reading (disk.c), the lock (disk_lock.c), the new file beside (disk_stage.c, disk_dress.c),
 * its way into place (disk_publish.c), and what is written without being a store (disk_beside.c, disk_output.c).
 *
 * Beside NAME live, for the time of a change only, `.NAME.keystow-lock` and `.NAME.keystow-` with 16 hexadecimal digits. The
 * second kind is made under the lock and by nobody else, so whoever holds the lock may sweep those of a killed run.
 */
#ifndef KS_DISK_INSIDE_H
#define KS_DISK_INSIDE_H

#include "disk.h"
#include "hash.h"

#include <limits.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define KS_DISK_PIECE (64 * 1024)	/* bytes hashed, compared or copied at once */
#define KS_DISK_TEMPORARY 16		/* hexadecimal digits behind `.NAME.keystow-` */

struct ks_disk {
	struct ks_ctx *ctx;
	unsigned mode;
	char *shown;		/* the path as it was given, safe to show */
	char *path;		/* as it is used */
	const char *name;	/* last part of path */
	int folder;		/* of path, for writing; AT_FDCWD when only read */
	int file;		/* the file that was read, open so that its inode is not used again; -1 = absent */
	struct stat seen;
	bool exists;
	bool blind;		/* replaced without having been read */
	struct ks_buffer *content;
	unsigned char digest[KS_SHA256];
	bool hashed;		/* `digest` is known */
	struct timespec read_at;
	int lock;
	char lock_name[NAME_MAX + 1], old_name[NAME_MAX + 1];
	struct ks_disk_wish wish;
	char staged_name[NAME_MAX + 1]; /* "" = nothing is staged */
	int staged;
	unsigned char staged_digest[KS_SHA256];
	struct ks_buffer *read_back; /* the staged bytes, when they are wished for */
};

/* A descriptor that closes itself where its closing tells nothing. */
static inline void ks_disk_closep(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
#define ks_auto_fd __attribute__((cleanup(ks_disk_closep))) int

static inline int ks_disk_give(int *fd)
{
	int given = *fd;

	*fd = -1;
	return given;
}

/* ---- reading ---- */

/* "DOING the file: what the system says", with what to do next. */
int ks_disk_system_says(const struct ks_disk *disk, int error, const char *doing);
int ks_disk_changed_meanwhile(const struct ks_disk *disk);
/* Not read yet. `path` is shown as it is given. */
int ks_disk_new(struct ks_disk **out, struct ks_ctx *ctx, const char *path, unsigned mode);
/* Which file is there now, without reading it. */
int ks_disk_look(struct ks_disk *disk);
/* Everything from `fd`, which is expected to hold `size` bytes. */
int ks_disk_read_all(struct ks_buffer **out, struct ks_disk *disk, int fd, size_t size);
/* `name` in `folder`, opened for reading when it is a regular file. KS_ENOTFOUND without words when it is not there. */
int ks_disk_open_regular(int *out, struct stat *seen, struct ks_disk *disk, int folder, const char *name, bool follow);
/* 1 = the file is another one than the one that was read, 0 = the same. */
int ks_disk_is_changed(struct ks_disk *disk);

/* ---- the lock ---- */

/* Has the lock when it returns 0, and what a killed run left is swept. */
int ks_disk_lock_wait(struct ks_disk *disk);

/* ---- the new file beside ---- */

int ks_disk_temporary_new(int *out, char name[NAME_MAX + 1], struct ks_disk *disk, mode_t mode);
/* Owner, attributes and mode of the file that is replaced, before the first byte is written. */
int ks_disk_dress(struct ks_disk *disk, int fd, bool private_material);
int ks_disk_write_all(struct ks_disk *disk, int fd, struct ks_bytes bytes);
/* Writes, syncs and closes. */
int ks_disk_write_out(struct ks_disk *disk, int *fd, const struct ks_bytes *pieces, size_t count);
/*
 * Reads `name` through a descriptor of its own and compares. What was compared and hashed is what `keep` (may be NULL) then
 * holds.
 */
int ks_disk_read_back(int *out, unsigned char digest[KS_SHA256], struct ks_buffer *keep, struct ks_disk *disk,
		      const char *name, const struct ks_bytes *pieces, size_t count);
/* A temporary name for the present file: a link where that works, else a copy. */
int ks_disk_second_name(char name[NAME_MAX + 1], struct ks_disk *disk);
void ks_disk_drop_staged(struct ks_disk *disk);

#endif
