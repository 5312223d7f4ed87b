/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a new file takes over from the one it will replace: owner, group, access list, mode.
 */
#include "disk_inside.h"

#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

#define ATTRIBUTE_LIMIT (64 * 1024)

/* Without its access list the group bits would mean the group and no longer the mask, and might let more people in. */
static int attribute_lost(struct ks_disk *disk, const char *name, int error)
{
	if (strncmp(name, "system.posix_acl", 16) == 0)
		return ks_hint(disk->ctx,
			       ks_fail(disk->ctx, KS_EOWNER, "the access list of %s cannot be kept: %s", disk->shown,
				       strerror(error)),
			       "nothing was written; run it as the owner of the file");
	ks_notice(disk->ctx, KS_EOWNER, disk->shown, NULL, "the attribute %s of %s could not be kept: %s", name,
		  disk->shown, strerror(error));
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
		return errno == ENOTSUP ? 0 : ks_disk_system_says(disk, errno, "reading the attributes of");
	for (const char *name = names; rc == 0 && name < names + size; name += strlen(name) + 1) {
		if (attribute_wanted(name))
			rc = keep_attribute(disk, from, to, name, names + ATTRIBUTE_LIMIT,
					    names + 2 * (size_t)ATTRIBUTE_LIMIT);
	}
	return rc;
}

int ks_disk_dress(struct ks_disk *disk, int fd, bool private_material)
{
	mode_t mode = disk->seen.st_mode & (private_material ? 0640 : 0777);
	struct stat made;
	int rc;

	if (!disk->exists)
		return 0;
	if (TEMP_FAILURE_RETRY(fstat(fd, &made)) < 0)
		return ks_disk_system_says(disk, errno, "looking at the new file beside");
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
		rc = ks_disk_system_says(disk, errno, "setting the mode of the new file beside");
	return rc;
}
