/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keystow copy to and from a data object of a token: any file goes in, and comes out as it was.
 */
#include "copy_data.h"
#include "data_object.h"
#include "disk.h"
#include "stores.h"

#include <string.h>

static int put(struct run *run, struct ks_store *store, void *user)
{
	const struct ks_buffer *content = user;
	ks_auto(plan) plan = NULL;
	int rc = ks_data_plan(&plan, store, ks_buffer_bytes(content), store->where->label, run->options->replace);

	return rc < 0 ? rc : stores_apply(run, store, plan, false);
}

int copy_data_in(struct run *run, const struct ks_where *from, const struct ks_where *to)
{
	ks_auto(buffer) content = NULL;
	int rc;

	if (!from->path || from->scheme || ks_where_names_entry(from) || !to->label)
		return ks_hint(run->ctx,
			       ks_fail(run->ctx, KS_EUSAGE, "a data object is made of a whole file, under a label"),
			       "as in keystow copy notes.txt 'pkcs11:token=LABEL;object=notes;type=data'");
	rc = ks_disk_read(&content, run->ctx, from->path);
	return rc < 0 ? rc : stores_only(run, to, KS_WRITE | KS_LOGIN, put, content);
}

/* Nobody but the owner reads the file: the object was private on the token. */
static int send(struct run *run, const char *path, struct ks_bytes content)
{
	if (strcmp(path, "-") != 0) {
		out_string(&run->out, "output", path);
		return ks_disk_write(run->ctx, path, content, true, run->options->replace);
	}
	if (run->out.json)
		return ks_hint(run->ctx,
			       ks_fail(run->ctx, KS_EUSAGE, "standard output cannot be the document of --json and the data at once"),
			       "name a file for the data");
	out_raw(&run->out, content);
	return 0;
}

int copy_data_out(struct run *run, const struct ks_where *from, const struct ks_where *to)
{
	const struct ks_entry *entry = NULL;
	ks_auto(store) store = NULL;
	ks_auto(buffer) content = NULL;
	int rc;

	if (!to->path || to->scheme || ks_where_names_entry(to))
		return ks_hint(run->ctx,
			       ks_fail(run->ctx, KS_EUSAGE, "a data object is copied to a file, and %s is none", ks_where_text(to)),
			       "name a file, or - for standard output");
	rc = ks_store_open(&store, run->ctx, from, KS_READ | KS_LOGIN);
	if (rc == 0)
		rc = ks_store_entry(&entry, store, from);
	if (rc == 0)
		rc = ks_item_content(&content, ks_entry_head(entry), run->ctx);
	return rc < 0 ? rc : send(run, to->path, ks_buffer_bytes(content));
}
