/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keystow merge: client stores kept in step with a bundle.
 */
#include "merge.h"
#include "commands.h"
#include "describe.h"
#include "stores.h"
#include "where.h"

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
	int rc;

	rc = ks_merge(&plan, store, user, &wish, options->dry_run);
	if (rc < 0)
		return rc;
	describe_store(run, store);
	describe_many(run, store->where, plan);
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
	stores_named(run, 1, source, options->dry_run ? KS_READ : KS_WRITE | KS_CREATE, merge, bundle);
	return stores_end(run);
}
