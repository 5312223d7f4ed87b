/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of keys to enroll.
 */
#include "joblist.h"
#include "disk.h"
#include "text.h"
#include "wishes.h"

#include <string.h>

void ks_joblist_free(struct ks_joblist *list)
{
	if (!list)
		return;
	for (size_t i = 0; i < list->count; i++)
		ks_altnames_free(&list->names[i]);
	free(list->names);
	free(list->jobs);
	ks_buffer_free(list->text);
	free(list);
}

static int add(struct ks_joblist *list, struct run *run, const char *label, const char *subject)
{
	if (ks_array_grow(&list->jobs, &list->capacity, list->count + 1, sizeof(*list->jobs)) ||
	    ks_array_grow(&list->names, &list->names_capacity, list->count + 1, sizeof(*list->names)))
		return ks_nomem(run->ctx);
	list->jobs[list->count] = (struct ks_enroll_job){ .label = label, .subject = subject };
	list->names[list->count++] = (struct ks_altnames){ 0 };
	return 0;
}

/* The arrays do not move any longer, so jobs may point at their names. */
static void tie_names(struct ks_joblist *list)
{
	for (size_t i = 0; i < list->count; i++)
		list->jobs[i].names = list->names[i].count ? &list->names[i] : NULL;
}

static int add_names(struct ks_joblist *list, struct run *run, char *typed)
{
	char *rest = typed, *name;
	int rc = 0;

	while (rc == 0 && (name = strsep(&rest, ",")) != NULL)
		rc = ks_altnames_add(&list->names[list->count - 1], run->ctx, name);
	return rc;
}

static int add_line(struct ks_joblist *list, struct run *run, char *line)
{
	char *rest = line, *label = strsep(&rest, "\t"), *subject = strsep(&rest, "\t"), *names = strsep(&rest, "\t");
	int rc;

	if (!subject || !*label || !*subject || rest)
		return ks_hint(run->ctx, ks_fail(run->ctx, KS_EUSAGE, "the line is not label, TAB, subject"),
			       "as in: web1<TAB>CN=web1.example.org<TAB>dns:web1.example.org,ip:10.0.0.1");
	rc = add(list, run, label, subject);
	return rc == 0 && names && *names ? add_names(list, run, names) : rc;
}

static int read_lines(struct ks_joblist *list, struct run *run, const char *path)
{
	char *rest = (char *)list->text->data, *line;
	unsigned number = 0;
	int rc;

	while ((line = strsep(&rest, "\n")) != NULL) {
		size_t length = strlen(line);

		number++;
		if (length && line[length - 1] == '\r')
			line[length - 1] = '\0';
		if (!*line || *line == '#')
			continue;
		rc = add_line(list, run, line);
		if (rc < 0)
			return ks_while(run->ctx, rc, "%s, line %u", path, number);
	}
	if (list->count == 0)
		return ks_fail(run->ctx, KS_EUSAGE, "%s lists no key", path);
	return 0;
}

int ks_joblist_read(struct ks_joblist **out, struct run *run, const char *path)
{
	ks_auto(joblist) list = calloc(1, sizeof(*list));
	int rc;

	if (!list)
		return ks_nomem(run->ctx);
	rc = ks_disk_read(&list->text, run->ctx, path);
	if (rc < 0)
		return rc;
	if (memchr(list->text->data, 0, list->text->size))
		return ks_fail(run->ctx, KS_EUSAGE, "%s holds a zero byte, so it is no list", path);
	ks_buffer_string(list->text);
	if (list->text->status < 0)
		return list->text->status;
	rc = read_lines(list, run, path);
	if (rc < 0)
		return rc;
	tie_names(list);
	*out = ks_take(list);
	return 0;
}

int ks_joblist_one(struct ks_joblist **out, struct run *run, const char *label)
{
	ks_auto(joblist) list = calloc(1, sizeof(*list));
	int rc;

	if (!list)
		return ks_nomem(run->ctx);
	rc = add(list, run, label, run->options->subject);
	if (rc == 0)
		rc = wishes_names(&list->names[0], run);
	if (rc < 0)
		return rc;
	tie_names(list);
	*out = ks_take(list);
	return 0;
}
