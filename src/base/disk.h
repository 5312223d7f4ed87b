/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one reader and the one writer of files. Nothing else in keystow opens a store for writing.
 *
 * A file is replaced whole: lock (a sidecar, waiting up to the settings' wait_seconds), compare with what was read, write a
 * temporary beside it with the right mode from birth, fsync, read back, rename, fsync the folder. At every instant the old or
 * the new file is there; leftovers of a killed run are swept under the lock by the next one.
 *
 *	open    reads the file (absent is fine with KS_DISK_CREATE) and remembers owner, mode, digest
 *	lock    waits for other writers; *changed tells that the content is not the one read before (read it again)
 *	stage   writes, syncs and reads back the new content beside the file; nothing visible changed yet
 *	publish keeps the old file as NAME.old when asked, renames, syncs the folder
 *	close   unlocks, removes what was staged but not published
 *
 * Modes (docs/decisions): without private material owner, group and mode are kept (new: umask); with private material owner
 * and group are kept, mode is old & 0640, new 0600. Where ownership cannot be kept: KS_EOWNER before a byte is written. A
 * symbolic link as target: KS_EFILEKIND unless settings.follow. FIFOs, devices, directories: KS_EFILEKIND.
 */
#ifndef KS_DISK_H
#define KS_DISK_H

#include "context.h"

struct ks_disk;

enum ks_disk_mode {
	KS_DISK_READ = 0,
	KS_DISK_WRITE = 1,
	KS_DISK_CREATE = 2, /* with WRITE: the file may be absent */
};

int ks_disk_open(struct ks_disk **out, struct ks_ctx *ctx, const char *path, unsigned mode);
void ks_disk_close(struct ks_disk *disk);
static inline void ks_disk_freep(struct ks_disk **disk)
{
	ks_disk_close(*disk);
}
/* Reads the file again as it is now. */
int ks_disk_load(struct ks_disk *disk);
bool ks_disk_exists(const struct ks_disk *disk);
/* What was read last; borrowed until the next ks_disk_load / take / close. Absent file: data NULL. */
struct ks_bytes ks_disk_content(const struct ks_disk *disk);
/* Gives the content away as a buffer (so that a decoder may work in place and the set may own it). */
struct ks_buffer *ks_disk_take(struct ks_disk *disk);
/* SHA-256 of what was read last. All zero when the file was absent. */
const unsigned char *ks_disk_digest(struct ks_disk *disk);
/* Takes the writer's lock, then reads again if the file changed since. KS_EBUSY after the wait. */
int ks_disk_lock(struct ks_disk *disk, bool *changed);

struct ks_disk_wish {
	bool private_material;	/* decides the mode */
	bool keep_old;		/* the old file stays as NAME.old */
	bool drop_old;		/* an existing NAME.old is deleted (passwd, remove of a key) */
	bool keep_staged;	/* ks_disk_staged will ask for the bytes that are read back */
};
/* Under the lock. `content` is written in pieces without being copied. KS_ECHANGED, KS_EOWNER, KS_EFULL, KS_EIO. */
int ks_disk_stage(struct ks_disk *disk, const struct ks_bytes *pieces, size_t count, const struct ks_disk_wish *wish);
/* The staged bytes as they were read back and compared, for an independent look; yours. Once, and only when it was wished. */
int ks_disk_staged(struct ks_buffer **out, struct ks_disk *disk);
/* SHA-256 of what was staged, taken while it was read back. */
const unsigned char *ks_disk_staged_digest(const struct ks_disk *disk);
/*
 * The new file is in place, and durable, when it returns 0. KS_ECHANGED: somebody else wrote, nothing was done. KS_EIO or KS_EFULL:
 * the sentence says whether the old file is untouched, or the new one is in place and only what came after it went wrong.
 */
int ks_disk_publish(struct ks_disk *disk);
/* Is something staged that is not in place? Tells also after a failed publish whether the new file got its name. */
bool ks_disk_is_staged(const struct ks_disk *disk);
/* Makes what was written beside it durable when nothing is published. */
int ks_disk_sync(struct ks_disk *disk);
/* Exchanges NAME and NAME.old and reads again. KS_ENOTFOUND when there is no NAME.old. Under the lock. */
int ks_disk_exchange(struct ks_disk *disk);

/* NAME with `suffix` (".old", ".keystow") as a whole; regular files only. KS_ENOTFOUND. */
int ks_disk_read_beside(struct ks_buffer **out, struct ks_disk *disk, const char *suffix);
/* Replaces NAME with `suffix` (0600), under NAME's lock; the next publish makes the name durable. */
int ks_disk_write_beside(struct ks_disk *disk, const char *suffix, struct ks_bytes content);

/* One-shot helpers over the same path. */
int ks_disk_read(struct ks_buffer **out, struct ks_ctx *ctx, const char *path);
/* Creates or replaces a plain output file (request, certificate, CRL); `replace` false: KS_EEXISTS when it is there. */
int ks_disk_write(struct ks_ctx *ctx, const char *path, struct ks_bytes content, bool private_material, bool replace);

/* Deletes a plain file that keystow keeps for itself; absent is fine. KS_EFILEKIND, KS_EIO. */
int ks_disk_remove(struct ks_ctx *ctx, const char *path);
/* A descriptor that writes behind what `path` has; new files have mode 0600. Only a regular file, and no symbolic link to one. */
int ks_disk_append(int *out, struct ks_ctx *ctx, const char *path);

#endif
