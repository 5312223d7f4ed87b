/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looked up in /proc by device and number of the file, so that other names of it count too.
 */
#include "users.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool has_open(pid_t process, const struct stat *file)
{
	char path[40];
	struct dirent *entry;
	struct stat found;
	bool open = false;
	DIR *folder;

	snprintf(path, sizeof(path), "/proc/%ld/fd", (long)process);
	folder = opendir(path);
	while (folder && !open && (entry = readdir(folder)))
		open = fstatat(dirfd(folder), entry->d_name, &found, 0) == 0 && found.st_dev == file->st_dev &&
		       found.st_ino == file->st_ino;
	if (folder)
		closedir(folder);
	return open;
}

static pid_t who_locks(const char *path)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	pid_t process = 0;

	if (file >= 0 && fcntl(file, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK)
		process = lock.l_pid;
	if (file >= 0)
		close(file);
	return process;
}

static pid_t who_has_open(const char *path)
{
	struct dirent *entry;
	struct stat file;
	pid_t found = 0;
	DIR *processes = stat(path, &file) == 0 ? opendir("/proc") : NULL;

	while (processes && !found && (entry = readdir(processes))) {
		long process = strtol(entry->d_name, NULL, 10);

		if (process > 0 && process != getpid() && has_open((pid_t)process, &file))
			found = (pid_t)process;
	}
	if (processes)
		closedir(processes);
	return found;
}

static void name_of(char name[32], pid_t process)
{
	char path[40];
	ssize_t size = -1;
	int file;

	snprintf(path, sizeof(path), "/proc/%ld/comm", (long)process);
	file = open(path, O_RDONLY | O_CLOEXEC);
	if (file >= 0) {
		size = read(file, name, 31);
		close(file);
	}
	name[size > 0 ? size : 0] = '\0';
	name[strcspn(name, "\n")] = '\0';
	if (!*name)
		snprintf(name, 32, "a program");
}

bool ks_file_user(struct ks_user *out, const char *path)
{
	pid_t process = who_locks(path);

	if (!process)
		process = who_has_open(path);
	if (!process)
		return false;
	out->process = process;
	name_of(out->name, process);
	return true;
}
