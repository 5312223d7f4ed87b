/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file of blocks with an empty line behind each; a line is key=value to its end. The first block, without a library, is NSS itself.
 *
 *	library=/usr/lib/softhsm/libsofthsm2.so
 *	name=usbhsm
 *	parameters=what C_Initialize is given
 */
#include "nss_modules.h"

#include "disk.h"
#include "text.h"
#include "users.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LONGEST 1000000

/* ---- the text ---- */

struct block {
	struct ks_bytes all; /* with the empty line behind it */
	struct ks_bytes library, name, parameters; /* data NULL = there is no such line */
};

static struct ks_bytes line_of(struct ks_bytes *rest)
{
	const unsigned char *end = memchr(rest->data, '\n', rest->size);
	struct ks_bytes line = { rest->data, end ? (size_t)(end - rest->data) : rest->size };
	size_t step = end ? line.size + 1 : line.size;

	*rest = KS_BYTES(rest->data + step, rest->size - step);
	if (line.size && line.data[line.size - 1] == '\r')
		line.size--;
	return line;
}

static void take(struct ks_bytes *value, struct ks_bytes line, const char *key)
{
	size_t size = strlen(key);

	if (line.size >= size && memcmp(line.data, key, size) == 0)
		*value = KS_BYTES(line.data + size, line.size - size);
}

/* The next block; false when none is left. */
static bool block_of(struct block *out, struct ks_bytes *rest)
{
	const unsigned char *begin = rest->data;
	bool filled = false;

	*out = (struct block){ .all = KS_NONE };
	while (rest->size) {
		struct ks_bytes line = line_of(rest);

		if (!line.size && filled)
			break;
		filled |= line.size != 0;
		take(&out->library, line, "library=");
		take(&out->name, line, "name=");
		take(&out->parameters, line, "parameters=");
	}
	out->all = KS_BYTES(begin, (size_t)(rest->data - begin));
	return filled;
}

/* Two names of one file are one module: NSS does not start it twice. */
static bool is_file(struct ks_bytes library, const char *file)
{
	ks_auto_mem char *named = strndup((const char *)library.data, library.size);
	ks_auto_mem char *there = named ? realpath(named, NULL) : NULL;
	ks_auto_mem char *wanted = realpath(file, NULL);

	return ks_bytes_are(library, file) || (there && wanted && strcmp(there, wanted) == 0);
}

static bool is_same(const struct block *block, const struct ks_nss_module *module)
{
	struct ks_bytes wanted = ks_bytes_of(module->init_args ? module->init_args : "");

	return block->library.size && is_file(block->library, module->file) &&
	       ks_bytes_equal(block->parameters.data ? block->parameters : ks_bytes_of(""), wanted);
}

static void put_block(struct ks_buffer *out, const struct ks_nss_module *module)
{
	ks_buffer_format(out, "library=%s\nname=%s\n", module->file, module->name);
	if (module->init_args)
		ks_buffer_format(out, "parameters=%s\n", module->init_args);
	ks_buffer_text(out, "\n");
}

/* What stands before a new block ends with an empty line. */
static void put_gap(struct ks_buffer *out)
{
	if (out->size && out->data[out->size - 1] != '\n')
		ks_buffer_text(out, "\n");
	if (out->size >= 2 && out->data[out->size - 2] != '\n')
		ks_buffer_text(out, "\n");
}

int ks_nss_modules_put(struct ks_buffer **out, enum ks_nss_change *change, char **name, struct ks_ctx *ctx,
		       struct ks_bytes text, const struct ks_nss_module *module)
{
	ks_auto(buffer) made = ks_buffer_new(LONGEST);
	struct ks_bytes rest = text;
	struct block block;
	bool own = false;

	*change = KS_NSS_ADD;
	while (made && block_of(&block, &rest)) {
		own |= block.library.data && block.library.size == 0;
		if (is_same(&block, module)) {
			*change = KS_NSS_KEEP;
			*name = strndup((const char *)block.name.data, block.name.size);
			return *name ? 0 : ks_nomem(ctx);
		}
		if (ks_bytes_are(block.name, module->name)) {
			*change = KS_NSS_REPLACE;
			put_block(made, module);
		} else {
			ks_buffer_put(made, block.all.data, block.all.size);
		}
	}
	if (made && !own)
		return ks_fail(ctx, KS_EFORMAT, "no module in it is NSS itself");
	if (made && *change == KS_NSS_ADD) {
		put_gap(made);
		put_block(made, module);
	}
	*name = strdup(module->name);
	if (!made || made->status || !*name)
		return ks_nomem(ctx);
	*out = ks_take(made);
	return 0;
}

/* ---- the folder ---- */

static bool is_there(const char *dir, const char *name)
{
	ks_auto_mem char *path = NULL;

	return asprintf(&path, "%s/%s", dir, name) >= 0 && access(path, F_OK) == 0;
}

static int check_folder(struct ks_ctx *ctx, const char *dir)
{
	if (is_there(dir, "pkcs11.txt"))
		return 0;
	if (is_there(dir, "secmod.db") || is_there(dir, "cert8.db"))
		return ks_hint(ctx, ks_fail(ctx, KS_EUNABLE, "%s is an NSS database of the old format (dbm)", dir),
			       "certutil -N -d sql:%s makes one of the new format of it; close its programs first",
			       dir);
	return ks_hint(ctx, ks_fail(ctx, KS_ENOTFOUND, "there is no NSS database in %s", dir),
		       "it is the folder with cert9.db and pkcs11.txt; certutil -N -d sql:%s makes one", dir);
}

/* Programs of NSS keep the databases open while they run; Firefox locks a file of its profile, also over a network. */
static int check_closed(struct ks_ctx *ctx, const char *dir)
{
	static const char *const files[] = { "cert9.db", "key4.db", ".parentlock" };
	struct ks_user user = { 0 };

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		ks_auto_mem char *path = NULL;

		if (asprintf(&path, "%s/%s", dir, files[i]) < 0)
			return ks_nomem(ctx);
		if (ks_file_user(&user, path))
			return ks_hint(ctx,
				       ks_fail(ctx, KS_EBUSY,
					       "%s (process %ld) has the NSS database in %s open, and would not see "
					       "the module",
					       user.name, (long)user.process, dir),
				       "close it, and run this again; nothing was changed");
	}
	return 0;
}

static int name_taken(struct ks_ctx *ctx, const char *dir, const char *name)
{
	return ks_hint(ctx,
		       ks_fail(ctx, KS_EEXISTS, "the NSS database in %s calls another module %s already", dir, name),
		       "with --replace the name stands for this token's module; the old file stays as pkcs11.txt.old");
}

static int write_whole(struct ks_disk *disk, const struct ks_buffer *text)
{
	const struct ks_disk_wish wish = { .keep_old = true };
	const struct ks_bytes piece = ks_buffer_bytes(text);
	int rc = ks_disk_stage(disk, &piece, 1, &wish);

	return rc < 0 ? rc : ks_disk_publish(disk);
}

/* The file as it is now must have the module; then nothing more is to be done. */
static int look_again(struct ks_ctx *ctx, struct ks_disk *disk, const struct ks_nss_module *module)
{
	ks_auto(buffer) text = NULL;
	ks_auto_mem char *name = NULL;
	enum ks_nss_change change = KS_NSS_ADD;
	int rc = ks_disk_load(disk);

	if (rc == 0)
		rc = ks_nss_modules_put(&text, &change, &name, ctx, ks_disk_content(disk), module);
	return rc == 0 && change != KS_NSS_KEEP ? ks_fail(ctx, KS_ECHANGED, "somebody else wrote pkcs11.txt meanwhile")
						: rc;
}

int ks_nss_modules_register(enum ks_nss_change *change, char **name, struct ks_ctx *ctx, const char *dir,
			    const struct ks_nss_module *module, const struct ks_nss_wish *wish)
{
	__attribute__((cleanup(ks_disk_freep))) struct ks_disk *disk = NULL;
	ks_auto(buffer) text = NULL;
	ks_auto_mem char *path = NULL, *called = NULL;
	bool changed;
	int rc;

	if (asprintf(&path, "%s/pkcs11.txt", dir) < 0)
		return ks_nomem(ctx);
	rc = check_folder(ctx, dir);
	if (rc == 0)
		rc = ks_disk_open(&disk, ctx, path, wish->dry_run ? KS_DISK_READ : KS_DISK_WRITE);
	if (rc == 0 && !wish->dry_run)
		rc = ks_disk_lock(disk, &changed);
	if (rc == 0)
		rc = ks_while(ctx, ks_nss_modules_put(&text, change, &called, ctx, ks_disk_content(disk), module),
			      "reading %s", path);
	if (rc == 0 && *change == KS_NSS_REPLACE && !wish->replace)
		rc = name_taken(ctx, dir, module->name);
	if (rc == 0 && *change != KS_NSS_KEEP)
		rc = check_closed(ctx, dir);
	if (rc == 0 && text && !wish->dry_run) {
		rc = write_whole(disk, text);
		if (rc == 0)
			rc = look_again(ctx, disk, module);
	}
	if (rc < 0)
		return rc;
	*name = ks_take(called);
	return 0;
}
