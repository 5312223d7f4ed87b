/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stashes as files: read straight into locked memory, written for their owner alone.
 */
#include "stash.h"

#include "secret.h"
#include "text.h"

#include <openssl/crypto.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void tell_open(struct ks_ctx *ctx, const char *path, mode_t mode)
{
	ks_auto_mem char *word = ks_text_word(path);
	ks_auto_mem char *hint = NULL;

	if (!(mode & 077) || !word || asprintf(&hint, "chmod 600 %s", word) < 0)
		return;
	ks_notice(ctx, KS_EWEAK, path, hint, "others can read the stash %s (mode %04o), and with it the store", path,
		  (unsigned)(mode & 07777));
}

static int open_regular(int *out, struct ks_ctx *ctx, const char *path)
{
	struct stat facts;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc = 0;

	if (fd < 0)
		return ks_fail_errno(ctx, errno, "the stash %s cannot be opened", path);
	if (fstat(fd, &facts) != 0)
		rc = ks_fail_errno(ctx, errno, "the stash %s cannot be examined", path);
	else if (!S_ISREG(facts.st_mode))
		rc = ks_fail(ctx, KS_EFILEKIND, "%s is not a regular file, so it is no stash", path);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	tell_open(ctx, path, facts.st_mode);
	*out = fd;
	return 0;
}

int ks_stash_read(struct ks_secret **out, struct ks_ctx *ctx, const char *path)
{
	ks_auto(secret) stash = NULL;
	ks_auto(secret) password = NULL;
	ks_auto_mem char *what = NULL;
	int fd = -1, rc;

	if (asprintf(&what, "the stash %s", path) < 0)
		return ks_nomem(ctx);
	rc = ks_secret_new(&stash, ctx);
	if (rc == 0)
		rc = ks_secret_new(&password, ctx);
	if (rc == 0)
		rc = open_regular(&fd, ctx, path);
	if (rc < 0)
		return rc;
	rc = ks_secret_read_whole(stash, ctx, fd, what);
	close(fd);
	if (rc == 0)
		rc = ks_while(ctx,
			      ks_stash_open(password, ctx, KS_BYTES(ks_secret_bytes(stash), ks_secret_size(stash))),
			      "%s", path);
	if (rc < 0)
		return rc;
	*out = ks_take(password);
	return 0;
}

char *ks_stash_beside(const char *path)
{
	const char *name = strrchr(path, '/'), *dot = strrchr(name ? name : path, '.');
	const char *first = name ? name + 1 : path;
	char *beside = NULL;

	/* A name that only begins with a dot has no ending. */
	if (asprintf(&beside, "%.*s.sth", (int)(dot && dot > first ? dot - path : (long)strlen(path)), path) < 0)
		return NULL;
	return beside;
}

int ks_stash_write(struct ks_ctx *ctx, const char *path, const struct ks_secret *password)
{
	ks_auto_mem char *beside = ks_stash_beside(path);
	unsigned char stash[KS_STASH_2];
	int rc;

	if (!beside)
		return ks_nomem(ctx);
	rc = ks_stash_make(stash, ctx, password);
	if (rc == 0)
		rc = ks_disk_write(ctx, beside, KS_BYTES(stash, sizeof(stash)), true, true);
	OPENSSL_cleanse(stash, sizeof(stash));
	return rc;
}
