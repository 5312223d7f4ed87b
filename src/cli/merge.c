/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keystow merge: client stores kept in step with a bundle.
 */
#include "merge.h"
#include "commands.h"
#include "describe.h"
#include "stores.h"
#include "where.h"

#include <errno.h>
#include <sys/stat.h>

static bool is_new(const struct ks_where *where)
{
	struct stat facts;

	return !ks_where_is_token(where) && where->path && stat(where->path, &facts) != 0 && errno == ENOENT;
}

static int merge(struct run *run, struct ks_store *store, void *user)
{
	const struct options *options = run->options;
	const struct ks_merge_wish wish = {
		.allow_shrink = options->allow_shrink,
		.adopt = options->adopt,
		.restore = options->restore,
		.strict = options->strict,
	};
	ks_auto(plan) plan = NULL;
	const bool new_store = is_new(store->where);
	int rc;

	rc = stores_is_whole(run, store->where);
	if (rc == 0)
		rc = ks_merge(&plan, store, user, &wish, options->dry_run);
	if (rc < 0)
		return rc;
	describe_store(run, store);
	describe_many(run, store->where, plan);
	if (new_store) /* a path that was mistyped makes a store, too */
		run_say(run, options->dry_run ? "%s is not there yet and would be made" : "%s was not there and is new",
			ks_where_text(store->where));
	return 0;
}

int merge_run(struct run *run)
{
	ks_auto(where) where = NULL;
	ks_auto(bundle) bundle = NULL;
	const struct options *options = run->options;
	const char *source = options->to_pin_source ? options->to_pin_source : options->pin_source;
	int rc;

	rc = stores_where(&where, run, run_operand(run, 0), NULL);
	if (rc == 0)
		rc = ks_bundle_read(&bundle, run->ctx, where, options->skip_damaged);
	if (rc < 0)
		return rc;
	stores_begin(run);
	stores_named(run, 1, source, (options->dry_run ? KS_READ : KS_WRITE) | KS_CREATE, merge, bundle);
	return stores_end(run);
}
