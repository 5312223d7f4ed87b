/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who has a file open: another process of this user, or of anybody for root.
 */
#ifndef KS_USERS_H
#define KS_USERS_H

#include <stdbool.h>
#include <sys/types.h>

struct ks_user {
	pid_t process;
	char name[32];
};

/* One that has `path` open or holds a lock on it, also from another computer that shares the folder. An absent file has none. */
bool ks_file_user(struct ks_user *out, const char *path);

#endif
