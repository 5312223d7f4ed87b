/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The new content beside the file: a temporary is made, written, synced and read back. Nothing visible has changed yet.
 *
 * Temporaries have names from birth, although O_TMPFILE would leave fewer of them after a kill: network file systems and
 * overlays lack it, and two ways of writing would need twice the proof.
 */
#include "disk_inside.h"
#include "random.h"

#include <openssl/crypto.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

/* ---- a temporary ---- */

static int temporary_name(char name[NAME_MAX + 1], struct ks_disk *disk)
{
	unsigned long long random;
	int rc = ks_random(disk->ctx, &random, sizeof(random));

	if (rc < 0)
		return ks_while(disk->ctx, rc, "naming a new file beside %s", disk->shown);
	snprintf(name, NAME_MAX + 1, ".%.*s.keystow-%016llx", NAME_MAX - 32, disk->name, random);
	return 0;
}

int ks_disk_temporary_new(int *out, char name[NAME_MAX + 1], struct ks_disk *disk, mode_t mode)
{
	int fd, rc = temporary_name(name, disk);

	if (rc < 0)
		return rc;
	fd = TEMP_FAILURE_RETRY(openat(disk->folder, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
	if (fd < 0) {
		name[0] = '\0';
		return ks_disk_system_says(disk, errno, "making a new file beside");
	}
	*out = fd;
	return 0;
}

int ks_disk_write_all(struct ks_disk *disk, int fd, struct ks_bytes bytes)
{
	while (bytes.size) {
		ssize_t put = TEMP_FAILURE_RETRY(write(fd, bytes.data, bytes.size));

		if (put < 0 && errno == EAGAIN) {
			struct pollfd ready = { .fd = fd, .events = POLLOUT };

			if (poll(&ready, 1, -1) < 0 && errno != EINTR)
				return ks_disk_system_says(disk, errno, "writing");
			continue;
		}
		if (put <= 0)
			return ks_disk_system_says(disk, put < 0 ? errno : ENOSPC, "writing");
		bytes.data += put;
		bytes.size -= (size_t)put;
	}
	return 0;
}

/* Writes, syncs and closes. close() may tell of a quota or a full server for the first time; EINTR there means closed. */
int ks_disk_write_out(struct ks_disk *disk, int *fd, const struct ks_bytes *pieces, size_t count)
{
	int rc = 0, closing;

	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = ks_disk_write_all(disk, *fd, pieces[i]);
	if (rc == 0 && TEMP_FAILURE_RETRY(fsync(*fd)) < 0)
		rc = ks_disk_system_says(disk, errno, "bringing to the disk what is to become");
	closing = close(ks_disk_give(fd));
	if (rc == 0 && closing < 0 && errno != EINTR)
		rc = ks_disk_system_says(disk, errno, "writing");
	return rc;
}

/* A second copy of `from` for file systems without hard links, or files we may not link. */
static int copy_file(char name[NAME_MAX + 1], struct ks_disk *disk, int from)
{
	unsigned char piece[KS_DISK_PIECE];
	ks_auto_fd fd = -1;
	off_t at = 0;
	ssize_t got = 0;
	int rc = ks_disk_temporary_new(&fd, name, disk, 0600);

	if (rc == 0)
		rc = ks_disk_dress(disk, fd, disk->wish.private_material);
	while (rc == 0 && (got = TEMP_FAILURE_RETRY(pread(from, piece, sizeof(piece), at))) > 0) {
		rc = ks_disk_write_all(disk, fd, KS_BYTES(piece, (size_t)got));
		at += got;
	}
	OPENSSL_cleanse(piece, sizeof(piece));
	if (got < 0)
		rc = ks_disk_system_says(disk, errno, "reading");
	return rc < 0 ? rc : ks_disk_write_out(disk, &fd, NULL, 0);
}

/* A name for the present file that is not yet NAME.old: a link where that works. */
int ks_disk_second_name(char name[NAME_MAX + 1], struct ks_disk *disk)
{
	int rc = temporary_name(name, disk);

	if (rc < 0)
		return rc;
	if (TEMP_FAILURE_RETRY(linkat(disk->folder, disk->name, disk->folder, name, 0)) == 0)
		return 0;
	return copy_file(name, disk, disk->file);
}

/* ---- reading back ---- */

/* Where a comparison stands in a list of pieces. */
struct cursor {
	const struct ks_bytes *pieces;
	size_t count, used;
};

static bool cursor_matches(struct cursor *at, const unsigned char *bytes, size_t size)
{
	while (size && at->count) {
		size_t left = at->pieces->size - at->used, part = left < size ? left : size;

		if (part && memcmp(at->pieces->data + at->used, bytes, part) != 0)
			return false;
		bytes += part;
		size -= part;
		at->used += part;
		if (at->used == at->pieces->size)
			*at = (struct cursor){ at->pieces + 1, at->count - 1, 0 };
	}
	return size == 0;
}

static bool cursor_ended(const struct cursor *at)
{
	for (size_t i = 0; i < at->count; i++) {
		if (at->pieces[i].size != (i ? 0 : at->used))
			return false;
	}
	return true;
}

static int not_what_was_written(const struct ks_disk *disk)
{
	return ks_hint(disk->ctx,
		       ks_fail(disk->ctx, KS_EIO, "what was written for %s does not read back the same", disk->shown),
		       "the old file is untouched; look at the disk and the system log");
}

/* From the disk where the kernel obliges. */
int ks_disk_read_back(int *out, unsigned char digest[KS_SHA256], struct ks_buffer *keep, struct ks_disk *disk,
		      const char *name, const struct ks_bytes *pieces, size_t count)
{
	struct cursor meant = { pieces, count, 0 };
	struct ks_hash hash;
	unsigned char piece[KS_DISK_PIECE], *to = piece;
	struct stat seen;
	ks_auto_fd fd = -1;
	bool same = true;
	ssize_t got = 0;
	int rc = ks_disk_open_regular(&fd, &seen, disk, disk->folder, name, false);

	if (rc == KS_ENOTFOUND)
		return ks_disk_changed_meanwhile(disk);
	if (rc < 0)
		return rc;
	/* Room for all of it at once, and for one piece more in which the end is found. */
	if (keep && !ks_buffer_room(keep, (size_t)seen.st_size + KS_DISK_PIECE))
		return ks_nomem(disk->ctx);
	ks_hash_start(&hash);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	while (same && (!keep || (to = ks_buffer_room(keep, KS_DISK_PIECE))) &&
	       (got = TEMP_FAILURE_RETRY(read(fd, to, KS_DISK_PIECE))) > 0) {
		ks_hash_add(&hash, KS_BYTES(to, (size_t)got));
		same = cursor_matches(&meant, to, (size_t)got);
		if (keep)
			keep->size += (size_t)got;
	}
	OPENSSL_cleanse(piece, sizeof(piece));
	if (!to)
		return ks_nomem(disk->ctx);
	if (got < 0)
		return ks_disk_system_says(disk, errno, "reading back what is to become");
	if (!same || !cursor_ended(&meant))
		return not_what_was_written(disk);
	ks_hash_end(digest, &hash);
	*out = ks_disk_give(&fd);
	return 0;
}

/* ---- staging ---- */

static void forget_read_back(struct ks_disk *disk)
{
	if (disk->read_back)
		OPENSSL_cleanse(disk->read_back->data, disk->read_back->size);
	ks_buffer_free(ks_take(disk->read_back));
}

void ks_disk_drop_staged(struct ks_disk *disk)
{
	ks_disk_closep(&disk->staged);
	disk->staged = -1;
	forget_read_back(disk);
	if (disk->staged_name[0])
		TEMP_FAILURE_RETRY(unlinkat(disk->folder, disk->staged_name, 0));
	disk->staged_name[0] = '\0';
}

int ks_disk_stage(struct ks_disk *disk, const struct ks_bytes *pieces, size_t count, const struct ks_disk_wish *wish)
{
	ks_auto_fd fd = -1;
	int rc;

	if (disk->lock < 0)
		return ks_fail(disk->ctx, KS_EBUG, "%s is not locked", disk->shown);
	ks_disk_drop_staged(disk);
	disk->wish = *wish;
	rc = ks_disk_is_changed(disk);
	if (rc > 0)
		return ks_disk_changed_meanwhile(disk);
	if (rc == 0)
		rc = ks_disk_temporary_new(&fd, disk->staged_name, disk,
					   disk->exists || wish->private_material ? 0600 : 0666);
	if (rc == 0)
		rc = ks_disk_dress(disk, fd, wish->private_material);
	if (rc == 0)
		rc = ks_disk_write_out(disk, &fd, pieces, count);
	if (rc == 0 && wish->keep_staged && !(disk->read_back = ks_buffer_new(SIZE_MAX / 2)))
		rc = ks_nomem(disk->ctx);
	if (rc == 0)
		rc = ks_disk_read_back(&disk->staged, disk->staged_digest, disk->read_back, disk, disk->staged_name,
				       pieces, count);
	if (rc < 0)
		ks_disk_drop_staged(disk);
	return rc;
}

int ks_disk_staged(struct ks_buffer **out, struct ks_disk *disk)
{
	if (disk->staged < 0 || !disk->read_back)
		return ks_fail(disk->ctx, KS_EBUG, "nothing is staged and kept for %s", disk->shown);
	*out = ks_take(disk->read_back);
	return 0;
}

bool ks_disk_is_staged(const struct ks_disk *disk)
{
	return disk->staged >= 0;
}

const unsigned char *ks_disk_staged_digest(const struct ks_disk *disk)
{
	return disk->staged_digest;
}
