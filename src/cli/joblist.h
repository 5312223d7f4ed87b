/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file of keys to enroll, one a line: label, TAB, subject, and optionally TAB and alternative names separated by
 * commas. Empty lines and lines that begin with # are skipped.
 */
#ifndef CLI_JOBLIST_H
#define CLI_JOBLIST_H

#include "enroll.h"
#include "run.h"

struct ks_joblist {
	struct ks_buffer *text; /* lines cut in place; labels and subjects point into it */
	struct ks_enroll_job *jobs;
	struct ks_altnames *names; /* one for each job */
	size_t count, capacity, names_capacity;
};
/* KS_EUSAGE with the number of the line that cannot be understood. */
int ks_joblist_read(struct ks_joblist **out, struct run *run, const char *path);
/* A list of the one job that the command line names. */
int ks_joblist_one(struct ks_joblist **out, struct run *run, const char *label);
void ks_joblist_free(struct ks_joblist *list);
KS_FREES(joblist)

#endif
