/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a file is read, and how it is replaced so that at every instant the old or the new one is there.
 *
 * Beside NAME live, for the time of a change only, `.NAME.keystow-lock` and `.NAME.keystow-` with 16 hexadecimal digits. The
 * second kind is made under the lock and by nobody else, so whoever holds the lock may sweep those of a killed run. The lock
 * file is removed by its holder while it is held; a waiter who then locks the removed file sees that the name is not its own
 * any more and starts again.
 *
 * Temporaries have names from birth, although O_TMPFILE would leave fewer of them after a kill: network file systems and
 * overlays lack it, and two ways of writing would need twice the proof.
 */
#include "disk.h"

#include "hash.h"
#include "text.h"

#include <openssl/crypto.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define PIECE (64 * 1024)	/* bytes hashed, compared or copied at once */
#define TEMPORARY 16		/* hexadecimal digits behind `.NAME.keystow-` */
#define ATTRIBUTE_LIMIT (64 * 1024)
#define READING (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

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
static void closep(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
#define auto_fd __attribute__((cleanup(closep))) int

static int give(int *fd)
{
	int given = *fd;

	*fd = -1;
	return given;
}

/* ---- words ---- */

static int system_says(const struct ks_disk *disk, int error, const char *doing)
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

static int changed_meanwhile(const struct ks_disk *disk)
{
	return ks_hint(disk->ctx, ks_fail(disk->ctx, KS_ECHANGED, "%s was changed meanwhile by another program", disk->shown),
		       "nothing was written; run it again");
}

static int check_kind(const struct ks_disk *disk, const struct stat *seen)
{
	static const struct {
		mode_t kind;
		const char *words;
	} kinds[] = {
		{ S_IFDIR, "a folder" },  { S_IFIFO, "a FIFO" },	{ S_IFCHR, "a device" },
		{ S_IFBLK, "a device" },  { S_IFSOCK, "a socket" }, { S_IFLNK, "a symbolic link" },
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
	return ks_hint(disk->ctx, rc, S_ISDIR(seen->st_mode) ? "name a file inside it" : "name a regular file, or - for a pipe");
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
			return system_says(disk, errno, "reading");
		return 1;
	}
	if (got < 0)
		return system_says(disk, errno, "reading");
	into->size += (size_t)got;
	return got > 0;
}

/* Everything from `fd`. `size` is what it is expected to hold; one byte more tells the end, or that it grew. */
static int read_all(struct ks_buffer **out, struct ks_disk *disk, int fd, size_t size)
{
	size_t most = ks_settings(disk->ctx)->max_file;
	ks_auto(buffer) buffer = ks_buffer_new(most + 1);
	int more = 1;

	if (!buffer)
		return ks_nomem(disk->ctx);
	if (size > most)
		return too_large(disk);
	while (more > 0) {
		size_t room = buffer->size <= size ? size - buffer->size + 1 : PIECE;

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

/* `name` in `folder`, opened for reading when it is a regular file. KS_ENOTFOUND without words when it is not there. */
static int open_regular(int *out, struct stat *seen, struct ks_disk *disk, int folder, const char *name, bool follow)
{
	auto_fd fd = -1;
	int rc;

	if (TEMP_FAILURE_RETRY(fstatat(folder, name, seen, follow ? 0 : AT_SYMLINK_NOFOLLOW)) < 0)
		return errno == ENOENT ? KS_ENOTFOUND : system_says(disk, errno, "looking at");
	rc = check_kind(disk, seen);
	if (rc < 0)
		return rc;
	fd = TEMP_FAILURE_RETRY(openat(folder, name, READING | (follow ? 0 : O_NOFOLLOW)));
	if (fd < 0)
		return errno == ENOENT ? KS_ENOTFOUND : system_says(disk, errno, "opening");
	if (TEMP_FAILURE_RETRY(fstat(fd, seen)) < 0)
		return system_says(disk, errno, "looking at");
	rc = check_kind(disk, seen);
	if (rc < 0)
		return rc;
	*out = give(&fd);
	return 0;
}

/* Which file is there now, without reading it. */
static int look(struct ks_disk *disk)
{
	int rc;

	closep(&disk->file);
	disk->file = -1;
	disk->exists = false;
	clock_gettime(CLOCK_REALTIME, &disk->read_at);
	rc = open_regular(&disk->file, &disk->seen, disk, disk->folder, disk->folder == AT_FDCWD ? disk->path : disk->name,
			  disk->folder == AT_FDCWD);
	if (rc == KS_ENOTFOUND && (disk->mode & KS_DISK_CREATE))
		return 0;
	if (rc == KS_ENOTFOUND)
		return ks_hint(disk->ctx, ks_fail(disk->ctx, KS_ENOTFOUND, "there is no file %s", disk->shown),
			       "check the spelling; keystow new makes a new store");
	disk->exists = rc == 0;
	return rc;
}

int ks_disk_load(struct ks_disk *disk)
{
	int rc = look(disk);

	ks_buffer_free(ks_take(disk->content));
	memset(disk->digest, 0, sizeof(disk->digest));
	disk->hashed = false;
	if (rc < 0 || !disk->exists)
		return rc;
	rc = read_all(&disk->content, disk, disk->file, (size_t)disk->seen.st_size);
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
	unsigned char piece[PIECE];
	off_t at = 0;
	ssize_t got;

	ks_hash_start(&hash);
	while ((got = TEMP_FAILURE_RETRY(pread(fd, piece, sizeof(piece), at))) > 0) {
		ks_hash_add(&hash, KS_BYTES(piece, (size_t)got));
		at += got;
	}
	OPENSSL_cleanse(piece, sizeof(piece));
	if (got < 0)
		return system_says(disk, errno, "reading");
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

/* 1 = it is another one, 0 = the same. */
static int is_changed(struct ks_disk *disk)
{
	unsigned char digest[KS_SHA256];
	struct stat now;
	auto_fd fd = -1;
	int rc = open_regular(&fd, &now, disk, disk->folder, disk->name, false);

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
		return system_says(disk, errno, "following");
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
	if (snprintf(disk->lock_name, sizeof(disk->lock_name), ".%s.keystow-lock", disk->name) > NAME_MAX - TEMPORARY)
		return system_says(disk, ENAMETOOLONG, "naming a temporary file beside");
	snprintf(disk->old_name, sizeof(disk->old_name), "%.*s.old", NAME_MAX - 8, disk->name);
	disk->folder = TEMP_FAILURE_RETRY(open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	if (disk->folder < 0 && errno == ENOENT)
		return ks_hint(disk->ctx, ks_fail(disk->ctx, KS_ENOTFOUND, "the folder of %s does not exist", disk->shown),
			       "check the spelling, or make the folder with mkdir");
	if (disk->folder < 0)
		return system_says(disk, errno, "opening the folder of");
	return 0;
}

static int disk_new(struct ks_disk **out, struct ks_ctx *ctx, const char *path, unsigned mode)
{
	__attribute__((cleanup(ks_disk_freep))) struct ks_disk *disk = calloc(1, sizeof(*disk));
	int rc;

	if (!disk)
		return ks_nomem(ctx);
	*disk = (struct ks_disk){ .ctx = ctx, .mode = mode, .folder = AT_FDCWD, .file = -1, .lock = -1, .staged = -1 };
	disk->shown = ks_text_show(ks_bytes_of(path));
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
	int rc = read_all(&disk->content, disk, STDIN_FILENO, 0);

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
	rc = disk_new(&disk, ctx, path, mode);
	if (rc == 0)
		rc = piped ? read_standard_input(disk) : ks_disk_load(disk);
	if (rc < 0)
		return rc;
	*out = ks_take(disk);
	return 0;
}

static void forget_read_back(struct ks_disk *disk)
{
	if (disk->read_back)
		OPENSSL_cleanse(disk->read_back->data, disk->read_back->size);
	ks_buffer_free(ks_take(disk->read_back));
}

static void drop_staged(struct ks_disk *disk)
{
	closep(&disk->staged);
	disk->staged = -1;
	forget_read_back(disk);
	if (disk->staged_name[0])
		TEMP_FAILURE_RETRY(unlinkat(disk->folder, disk->staged_name, 0));
	disk->staged_name[0] = '\0';
}

void ks_disk_close(struct ks_disk *disk)
{
	if (!disk)
		return;
	drop_staged(disk);
	if (disk->lock >= 0)
		TEMP_FAILURE_RETRY(unlinkat(disk->folder, disk->lock_name, 0));
	closep(&disk->lock);
	closep(&disk->file);
	if (disk->folder != AT_FDCWD)
		closep(&disk->folder);
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

const unsigned char *ks_disk_staged_digest(const struct ks_disk *disk)
{
	return disk->staged_digest;
}

/* ---- lock ---- */

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
	       fstatat(disk->folder, disk->lock_name, &named, AT_SYMLINK_NOFOLLOW) == 0 && mine.st_dev == named.st_dev &&
	       mine.st_ino == named.st_ino;
}

/* 1 = had, 0 = somebody else has it. */
static int lock_try(struct ks_disk *disk)
{
	auto_fd fd = lock_open(disk);

	if (fd < 0 && (errno == EEXIST || errno == EACCES)) {
		if (errno == EACCES && faccessat(disk->folder, disk->lock_name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			return system_says(disk, EACCES, "making a lock file beside");
		return 0;
	}
	if (fd < 0)
		return system_says(disk, errno, "making a lock file beside");
	if (TEMP_FAILURE_RETRY(flock(fd, LOCK_EX | LOCK_NB)) < 0)
		return errno == EWOULDBLOCK ? 0 : system_says(disk, errno, "locking");
	if (!lock_counts(disk, fd))
		return 0;
	disk->lock = give(&fd);
	return 1;
}

static double seconds_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static int lock_wait(struct ks_disk *disk)
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
	       strncmp(entry + 1 + size, ".keystow-", 9) == 0 && strlen(entry + 10 + size) == TEMPORARY &&
	       strspn(entry + 10 + size, "0123456789abcdef") == TEMPORARY;
}

/* What a killed run left. Best effort: a file that cannot be removed does no harm to the work. */
static void sweep(struct ks_disk *disk)
{
	int fd = TEMP_FAILURE_RETRY(openat(disk->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	DIR *entries = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!entries) {
		closep(&fd);
		return;
	}
	while ((entry = readdir(entries))) {
		if (is_temporary(disk, entry->d_name))
			TEMP_FAILURE_RETRY(unlinkat(disk->folder, entry->d_name, 0));
	}
	closedir(entries);
}

int ks_disk_lock(struct ks_disk *disk, bool *changed)
{
	int rc = 0;

	if (!(disk->mode & KS_DISK_WRITE))
		return ks_fail(disk->ctx, KS_EBUG, "%s was opened for reading only", disk->shown);
	if (disk->lock < 0) {
		rc = lock_wait(disk);
		if (rc == 0)
			sweep(disk);
	}
	if (rc == 0)
		rc = is_changed(disk);
	if (rc < 0)
		return rc;
	*changed = rc > 0;
	return rc > 0 ? ks_disk_load(disk) : 0;
}

/* ---- stage ---- */

static int temporary_name(char name[NAME_MAX + 1], struct ks_disk *disk)
{
	unsigned long long random;

	if (TEMP_FAILURE_RETRY(getrandom(&random, sizeof(random), 0)) != sizeof(random))
		return system_says(disk, errno, "drawing a random name beside");
	snprintf(name, NAME_MAX + 1, ".%.*s.keystow-%016llx", NAME_MAX - 32, disk->name, random);
	return 0;
}

static int temporary_new(int *out, char name[NAME_MAX + 1], struct ks_disk *disk, mode_t mode)
{
	int fd, rc = temporary_name(name, disk);

	if (rc < 0)
		return rc;
	fd = TEMP_FAILURE_RETRY(openat(disk->folder, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
	if (fd < 0) {
		name[0] = '\0';
		return system_says(disk, errno, "making a new file beside");
	}
	*out = fd;
	return 0;
}

/* Without its access list the group bits would mean the group and no longer the mask, and might let more people in. */
static int attribute_lost(struct ks_disk *disk, const char *name, int error)
{
	if (strncmp(name, "system.posix_acl", 16) == 0)
		return ks_hint(disk->ctx,
			       ks_fail(disk->ctx, KS_EOWNER, "the access list of %s cannot be kept: %s", disk->shown,
				       strerror(error)),
			       "nothing was written; run it as the owner of the file");
	ks_notice(disk->ctx, KS_EOWNER, disk->shown, NULL, "the attribute %s of %s could not be kept: %s", name, disk->shown,
		  strerror(error));
	return 0;
}

static bool attribute_wanted(const char *name)
{
	return strcmp(name, "system.posix_acl_access") == 0 || strcmp(name, "security.selinux") == 0 ||
	       strncmp(name, "user.", 5) == 0;
}

static int keep_attribute(struct ks_disk *disk, int from, int to, const char *name, char *value, char *present)
{
	ssize_t size = fgetxattr(from, name, value, ATTRIBUTE_LIMIT);

	if (size < 0)
		return errno == ENODATA ? 0 : attribute_lost(disk, name, errno);
	if (fgetxattr(to, name, present, ATTRIBUTE_LIMIT) == size && memcmp(value, present, (size_t)size) == 0)
		return 0;
	return fsetxattr(to, name, value, (size_t)size, 0) < 0 ? attribute_lost(disk, name, errno) : 0;
}

static int keep_attributes(struct ks_disk *disk, int from, int to)
{
	ks_auto_mem char *names = malloc(3 * (size_t)ATTRIBUTE_LIMIT);
	ssize_t size = names ? flistxattr(from, names, ATTRIBUTE_LIMIT) : 0;
	int rc = 0;

	if (!names)
		return ks_nomem(disk->ctx);
	if (size < 0)
		return errno == ENOTSUP ? 0 : system_says(disk, errno, "reading the attributes of");
	for (const char *name = names; rc == 0 && name < names + size; name += strlen(name) + 1) {
		if (attribute_wanted(name))
			rc = keep_attribute(disk, from, to, name, names + ATTRIBUTE_LIMIT, names + 2 * (size_t)ATTRIBUTE_LIMIT);
	}
	return rc;
}

/* Owner, attributes and mode of the file that is replaced, before the first byte is written. */
static int dress(struct ks_disk *disk, int fd, bool private_material)
{
	mode_t mode = disk->seen.st_mode & (private_material ? 0640 : 0777);
	struct stat made;
	int rc;

	if (!disk->exists)
		return 0;
	if (TEMP_FAILURE_RETRY(fstat(fd, &made)) < 0)
		return system_says(disk, errno, "looking at the new file beside");
	if ((made.st_uid != disk->seen.st_uid || made.st_gid != disk->seen.st_gid) &&
	    TEMP_FAILURE_RETRY(fchown(fd, disk->seen.st_uid, disk->seen.st_gid)) < 0)
		return ks_hint(disk->ctx,
			       ks_cause(disk->ctx,
					ks_fail(disk->ctx, KS_EOWNER, "the owner or group of %s (%u:%u) cannot be kept",
						disk->shown, disk->seen.st_uid, disk->seen.st_gid),
					"fchown: %s", strerror(errno)),
			       "nothing was written; run it as the owner of the file, or as root");
	rc = keep_attributes(disk, disk->file, fd);
	if (rc == 0 && TEMP_FAILURE_RETRY(fchmod(fd, mode)) < 0)
		rc = system_says(disk, errno, "setting the mode of the new file beside");
	return rc;
}

static int write_all(struct ks_disk *disk, int fd, struct ks_bytes bytes)
{
	while (bytes.size) {
		ssize_t put = TEMP_FAILURE_RETRY(write(fd, bytes.data, bytes.size));

		if (put < 0 && errno == EAGAIN) {
			struct pollfd ready = { .fd = fd, .events = POLLOUT };

			if (poll(&ready, 1, -1) < 0 && errno != EINTR)
				return system_says(disk, errno, "writing");
			continue;
		}
		if (put <= 0)
			return system_says(disk, put < 0 ? errno : ENOSPC, "writing");
		bytes.data += put;
		bytes.size -= (size_t)put;
	}
	return 0;
}

/* Writes, syncs and closes. close() may tell of a quota or a full server for the first time; EINTR there means closed. */
static int write_out(struct ks_disk *disk, int *fd, const struct ks_bytes *pieces, size_t count)
{
	int rc = 0, closing;

	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = write_all(disk, *fd, pieces[i]);
	if (rc == 0 && TEMP_FAILURE_RETRY(fsync(*fd)) < 0)
		rc = system_says(disk, errno, "bringing to the disk what is to become");
	closing = close(give(fd));
	if (rc == 0 && closing < 0 && errno != EINTR)
		rc = system_says(disk, errno, "writing");
	return rc;
}

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
	return ks_hint(disk->ctx, ks_fail(disk->ctx, KS_EIO, "what was written for %s does not read back the same", disk->shown),
		       "the old file is untouched; look at the disk and the system log");
}

/*
 * Reads `name` through a descriptor of its own, from the disk where the kernel obliges, and compares. Hashes on the way; what was
 * compared and hashed is what `keep` (may be NULL) then holds.
 */
static int read_back(int *out, unsigned char digest[KS_SHA256], struct ks_buffer *keep, struct ks_disk *disk,
		     const char *name, struct cursor meant)
{
	struct ks_hash hash;
	unsigned char piece[PIECE], *to = piece;
	struct stat seen;
	auto_fd fd = -1;
	bool same = true;
	ssize_t got = 0;
	int rc = open_regular(&fd, &seen, disk, disk->folder, name, false);

	if (rc == KS_ENOTFOUND)
		return changed_meanwhile(disk);
	if (rc < 0)
		return rc;
	/* Room for all of it at once, and for one piece more in which the end is found. */
	if (keep && !ks_buffer_room(keep, (size_t)seen.st_size + PIECE))
		return ks_nomem(disk->ctx);
	ks_hash_start(&hash);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	while (same && (!keep || (to = ks_buffer_room(keep, PIECE))) &&
	       (got = TEMP_FAILURE_RETRY(read(fd, to, PIECE))) > 0) {
		ks_hash_add(&hash, KS_BYTES(to, (size_t)got));
		same = cursor_matches(&meant, to, (size_t)got);
		if (keep)
			keep->size += (size_t)got;
	}
	OPENSSL_cleanse(piece, sizeof(piece));
	if (!to)
		return ks_nomem(disk->ctx);
	if (got < 0)
		return system_says(disk, errno, "reading back what is to become");
	if (!same || !cursor_ended(&meant))
		return not_what_was_written(disk);
	ks_hash_end(digest, &hash);
	*out = give(&fd);
	return 0;
}

int ks_disk_stage(struct ks_disk *disk, const struct ks_bytes *pieces, size_t count, const struct ks_disk_wish *wish)
{
	auto_fd fd = -1;
	int rc;

	if (disk->lock < 0)
		return ks_fail(disk->ctx, KS_EBUG, "%s is not locked", disk->shown);
	drop_staged(disk);
	disk->wish = *wish;
	rc = is_changed(disk);
	if (rc > 0)
		return changed_meanwhile(disk);
	if (rc == 0)
		rc = temporary_new(&fd, disk->staged_name, disk, disk->exists || wish->private_material ? 0600 : 0666);
	if (rc == 0)
		rc = dress(disk, fd, wish->private_material);
	if (rc == 0)
		rc = write_out(disk, &fd, pieces, count);
	if (rc == 0 && wish->keep_staged && !(disk->read_back = ks_buffer_new(SIZE_MAX / 2)))
		rc = ks_nomem(disk->ctx);
	if (rc == 0)
		rc = read_back(&disk->staged, disk->staged_digest, disk->read_back, disk, disk->staged_name,
			       (struct cursor){ pieces, count, 0 });
	if (rc < 0)
		drop_staged(disk);
	return rc;
}

int ks_disk_staged(struct ks_buffer **out, struct ks_disk *disk)
{
	if (disk->staged < 0 || !disk->read_back)
		return ks_fail(disk->ctx, KS_EBUG, "nothing is staged and kept for %s", disk->shown);
	*out = ks_take(disk->read_back);
	return 0;
}

/* ---- publish ---- */

/* Some network file systems do not know how to sync a folder and say EINVAL; there the server's word has to do. */
static int sync_folder(struct ks_disk *disk)
{
	if (TEMP_FAILURE_RETRY(fsync(disk->folder)) == 0 || errno == EINVAL || errno == ENOTSUP)
		return 0;
	return ks_hint(disk->ctx,
		       ks_cause(disk->ctx,
				ks_fail(disk->ctx, KS_EIO,
					"%s is the new one now, but its folder could not be brought to the disk: after a "
					"power cut it may be the old one again",
					disk->shown),
				"fsync: %s", strerror(errno)),
		       "look at the disk and the system log");
}

/* A second copy of `from` for file systems without hard links, or files we may not link. */
static int copy_file(char name[NAME_MAX + 1], struct ks_disk *disk, int from)
{
	unsigned char piece[PIECE];
	auto_fd fd = -1;
	off_t at = 0;
	ssize_t got = 0;
	int rc = temporary_new(&fd, name, disk, 0600);

	if (rc == 0)
		rc = dress(disk, fd, disk->wish.private_material);
	while (rc == 0 && (got = TEMP_FAILURE_RETRY(pread(from, piece, sizeof(piece), at))) > 0) {
		rc = write_all(disk, fd, KS_BYTES(piece, (size_t)got));
		at += got;
	}
	OPENSSL_cleanse(piece, sizeof(piece));
	if (got < 0)
		rc = system_says(disk, errno, "reading");
	return rc < 0 ? rc : write_out(disk, &fd, NULL, 0);
}

/* A name for the present file that is not yet NAME.old: a link where that works. */
static int second_name(char name[NAME_MAX + 1], struct ks_disk *disk)
{
	int rc = temporary_name(name, disk);

	if (rc < 0)
		return rc;
	if (TEMP_FAILURE_RETRY(linkat(disk->folder, disk->name, disk->folder, name, 0)) == 0)
		return 0;
	return copy_file(name, disk, disk->file);
}

static int check_old(struct ks_disk *disk)
{
	struct stat old;

	if (TEMP_FAILURE_RETRY(fstatat(disk->folder, disk->old_name, &old, AT_SYMLINK_NOFOLLOW)) < 0)
		return errno == ENOENT ? 0 : system_says(disk, errno, "looking at the old copy of");
	if (S_ISREG(old.st_mode))
		return 0;
	return ks_hint(disk->ctx, ks_fail(disk->ctx, KS_EFILEKIND, "%s.old is not a regular file", disk->shown),
		       "nothing was written; move it away");
}

/* Renaming between two links of one file does nothing (POSIX), so the temporary name is removed in any case. */
static int keep_old(struct ks_disk *disk)
{
	char name[NAME_MAX + 1] = "";
	int rc = second_name(name, disk);

	if (rc == 0 && TEMP_FAILURE_RETRY(renameat(disk->folder, name, disk->folder, disk->old_name)) < 0)
		rc = system_says(disk, errno, "keeping a copy of");
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
	return errno == EEXIST ? changed_meanwhile(disk) : system_says(disk, errno, "putting the new file in place of");
}

static int swap_in(struct ks_disk *disk)
{
	if (!disk->exists)
		return swap_in_new(disk);
	if (TEMP_FAILURE_RETRY(renameat(disk->folder, disk->staged_name, disk->folder, disk->name)) < 0)
		return system_says(disk, errno, "putting the new file in place of");
	return 0;
}

/* The published file is what was read last from now on. */
static void settle(struct ks_disk *disk)
{
	closep(&disk->file);
	disk->file = give(&disk->staged);
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
	bool ours = fstatat(disk->folder, disk->old_name, &old, AT_SYMLINK_NOFOLLOW) == 0 && old.st_dev == disk->seen.st_dev &&
		    old.st_ino == disk->seen.st_ino;

	if (disk->exists && disk->seen.st_nlink > (ours ? 2 : 1))
		ks_notice(disk->ctx, KS_EFILEKIND, disk->shown, NULL, "%s has other hard links; they keep the old content",
			  disk->shown);
}

int ks_disk_publish(struct ks_disk *disk)
{
	bool kept = disk->exists && disk->wish.keep_old && !disk->wish.drop_old;
	int rc, synced;

	if (disk->staged < 0)
		return ks_fail(disk->ctx, KS_EBUG, "nothing is staged for %s", disk->shown);
	rc = is_changed(disk);
	if (rc > 0)
		return changed_meanwhile(disk);
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
	int rc = second_name(name, disk);

	if (rc < 0)
		return rc;
	if (TEMP_FAILURE_RETRY(renameat(disk->folder, disk->old_name, disk->folder, disk->name)) < 0 ||
	    TEMP_FAILURE_RETRY(renameat(disk->folder, name, disk->folder, disk->old_name)) < 0)
		return system_says(disk, errno, "exchanging the two copies of");
	return 0;
}

int ks_disk_exchange(struct ks_disk *disk)
{
	struct stat old;
	int rc;

	if (disk->lock < 0)
		return ks_fail(disk->ctx, KS_EBUG, "%s is not locked", disk->shown);
	rc = is_changed(disk);
	if (rc > 0)
		return changed_meanwhile(disk);
	if (rc == 0)
		rc = check_old(disk);
	if (rc < 0)
		return rc;
	if (fstatat(disk->folder, disk->old_name, &old, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
		return ks_fail(disk->ctx, KS_ENOTFOUND, "there is no earlier copy %s.old", disk->shown);
	if (TEMP_FAILURE_RETRY(
		    renameat2(disk->folder, disk->name, disk->folder, disk->old_name, RENAME_EXCHANGE)) < 0) {
		if (errno != EINVAL && errno != ENOSYS)
			return system_says(disk, errno, "exchanging the two copies of");
		rc = exchange_in_steps(disk);
	}
	if (rc == 0)
		rc = sync_folder(disk);
	if (rc < 0)
		return rc;
	return ks_while(disk->ctx, ks_disk_load(disk), "%s has been changed for its earlier copy, but reading that again",
			disk->shown);
}

/* ---- files beside, and one-shot helpers ---- */

int ks_disk_sync(struct ks_disk *disk)
{
	if (TEMP_FAILURE_RETRY(fsync(disk->folder)) == 0 || errno == EINVAL || errno == ENOTSUP)
		return 0;
	return system_says(disk, errno, "bringing to the disk the folder of");
}

int ks_disk_read_beside(struct ks_buffer **out, struct ks_disk *disk, const char *suffix)
{
	ks_auto_mem char *path = NULL;
	auto_fd fd = -1;
	struct stat seen;
	int rc;

	if (asprintf(&path, "%s%s", disk->folder == AT_FDCWD ? disk->path : disk->name, suffix) < 0) {
		path = NULL;
		return ks_nomem(disk->ctx);
	}
	rc = open_regular(&fd, &seen, disk, disk->folder, path, false);
	if (rc == KS_ENOTFOUND)
		return ks_fail(disk->ctx, KS_ENOTFOUND, "there is no %s%s", disk->shown, suffix);
	if (rc == 0)
		rc = read_all(out, disk, fd, (size_t)seen.st_size);
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
	auto_fd fd = -1, back = -1;
	int rc;

	if (disk->lock < 0)
		return ks_fail(disk->ctx, KS_EBUG, "%s is not locked", disk->shown);
	if (snprintf(target, sizeof(target), "%s%s", disk->name, suffix) > NAME_MAX)
		return system_says(disk, ENAMETOOLONG, "naming a file beside");
	rc = temporary_new(&fd, name, disk, 0600);
	if (rc == 0) {
		give_to_owner(disk, fd);
		rc = write_out(disk, &fd, &content, 1);
	}
	if (rc == 0)
		rc = read_back(&back, digest, NULL, disk, name, (struct cursor){ &content, 1, 0 });
	if (rc == 0 && TEMP_FAILURE_RETRY(renameat(disk->folder, name, disk->folder, target)) < 0)
		rc = system_says(disk, errno, "writing what is remembered of");
	if (rc < 0 && name[0])
		TEMP_FAILURE_RETRY(unlinkat(disk->folder, name, 0));
	return rc;
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

static int write_standard_output(struct ks_ctx *ctx, struct ks_bytes content)
{
	__attribute__((cleanup(ks_disk_freep))) struct ks_disk *disk = NULL;
	int rc = disk_new(&disk, ctx, "standard output", KS_DISK_READ);

	return rc < 0 ? rc : write_all(disk, STDOUT_FILENO, content);
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
	rc = disk_new(&disk, ctx, path, KS_DISK_WRITE | KS_DISK_CREATE);
	if (rc == 0)
		rc = look(disk);
	if (rc == 0 && disk->exists && !replace)
		return exists_already(disk);
	if (rc == 0)
		rc = lock_wait(disk);
	if (rc < 0)
		return rc;
	sweep(disk);
	disk->blind = true;
	rc = look(disk);
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
