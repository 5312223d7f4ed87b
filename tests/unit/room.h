/* SPDX-License-Identifier: Apache-2.0 */
/* Taking away the folder that a test made for itself. */
#ifndef KS_TEST_ROOM_H
#define KS_TEST_ROOM_H

#include <ftw.h>
#include <stdio.h>

static int remove_entry(const char *path, const struct stat *facts, int kind, struct FTW *place)
{
	(void)facts;
	(void)kind;
	(void)place;
	return remove(path);
}

/* `path` and whatever is in it; links are not followed. */
static inline void remove_all(const char *path)
{
	nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
