/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keystow copy: entries into another store.
 */
#include "copy.h"
#include "copy_data.h"
#include "commands.h"
#include "describe.h"
#include "pem.h"
#include "reference.h"
#include "stores.h"
#include "where.h"

#include <string.h>

struct copying {
	struct ks_store *from;
	const struct ks_entry *entry; /* NULL = the whole store */
};

static int copy_into(struct run *run, struct ks_store *to, void *user)
{
	const struct copying *copying = user;
	const struct ks_copy_wish wish = {
		.label = to->where->label,
		.replace = run->options->replace,
		.strict = run->options->strict,
	};
	ks_auto(plan) plan = NULL;
	int rc;

	rc = ks_copy_plan(&plan, copying->from, copying->entry, to, &wish);
	return rc < 0 ? rc : stores_apply(run, to, plan, true);
}

/* A store with one entry, such as a key's file, needs no label to tell what is meant. */
static int check_labels(struct run *run, const struct ks_store *from, const struct ks_where *to)
{
	if (to->sha256)
		return ks_fail(run->ctx, KS_EUSAGE, "the new entry's digest cannot be chosen; name a label");
	if (!ks_where_names_entry(to) || ks_where_names_entry(from->where) || ks_store_entry_count(from) == 1)
		return 0;
	return ks_hint(run->ctx, ks_fail(run->ctx, KS_EUSAGE, "a whole store cannot be copied under one label"),
		       "name the entry to copy: %s#LABEL", ks_where_text(from->where));
}

/* The file is no store of ours, so it is written like any other result. */
static int copy_address(struct run *run, struct ks_store *from, const struct ks_where *to)
{
	ks_auto(buffer) der = NULL;
	ks_auto(buffer) pem = ks_buffer_new(200000);
	int rc;

	if (!to->path || (to->scheme && strcmp(to->scheme, "pem") != 0) || ks_where_names_entry(to))
		return ks_hint(run->ctx,
			       ks_fail(run->ctx, KS_EUSAGE, "%s: --as-uri writes a PEM file and nothing else",
				       ks_where_text(to)),
			       "name the file: pem:web.key");
	rc = ks_reference_make(&der, from);
	if (rc < 0)
		return rc;
	if (!pem || pem_put(pem, KS_REFERENCE_TITLE, ks_buffer_bytes(der)) < 0)
		return ks_nomem(run->ctx);
	return pem_send(run, to->path, ks_buffer_bytes(pem));
}

int copy_run(struct run *run)
{
	ks_auto(where) from_where = NULL;
	ks_auto(where) to_where = NULL;
	ks_auto(store) from = NULL;
	struct copying copying = { 0 };
	unsigned mode = KS_WRITE | KS_CREATE;
	int rc;

	rc = stores_where(&from_where, run, run_operand(run, 0), run->options->pin_source);
	if (rc == 0)
		rc = stores_where(&to_where, run, run_operand(run, 1), run->options->to_pin_source);
	if (rc == 0 && ks_where_is_data(to_where))
		return copy_data_in(run, from_where, to_where);
	if (rc == 0 && ks_where_is_data(from_where) && !ks_where_is_token(to_where))
		return copy_data_out(run, from_where, to_where);
	if (rc == 0)
		rc = ks_store_open(&from, run->ctx, from_where, KS_READ | stores_login(from_where));
	if (rc == 0)
		rc = check_labels(run, from, to_where);
	if (rc == 0 && (ks_where_names_entry(from_where) || ks_where_names_entry(to_where)))
		rc = ks_store_entry(&copying.entry, from, from_where);
	if (rc < 0)
		return rc;
	if (run->options->as_uri)
		return copy_address(run, from, to_where);
	describe_problems(run, from); /* what was not understood is not copied, and that is not silent */
	copying.from = from;
	if (ks_where_is_token(to_where))
		mode |= KS_LOGIN;
	return stores_only(run, to_where, mode, copy_into, &copying);
}
