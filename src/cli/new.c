/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keystow new: an empty store.
 */
#include "commands.h"
#include "describe.h"
#include "stores.h"
#include "where.h"

#include <sys/stat.h>

static int make(struct run *run, struct ks_store *store, void *user)
{
	ks_auto(plan) plan = NULL;
	const struct ks_commit_wish wish = { .keep_old = false };
	int rc;

	(void)user;
	rc = ks_plan_new(&plan, run->ctx, store->items);
	if (rc == 0)
		rc = stores_wish_stash(run, store, plan);
	if (rc == 0)
		rc = ks_store_apply(store, plan, &wish);
	if (rc < 0)
		return rc;
	describe_store(run, store);
	out_line(&run->out, "+ %s, an empty %s", ks_where_text(store->where), store->engine->title);
	return 0;
}

int new_run(struct run *run)
{
	ks_auto(where) where = NULL;
	struct stat facts;
	int rc;

	rc = stores_whole_where(&where, run, run_operand(run, 0), run->options->pin_source);
	if (rc < 0)
		return rc;
	if (ks_where_is_token(where))
		return ks_hint(run->ctx, ks_fail(run->ctx, KS_EUNABLE, "a token is not made, it is initialised"),
			       "keystow token init '%s'", ks_where_text(where));
	if (!where->scheme)
		return ks_hint(run->ctx,
			       ks_fail(run->ctx, KS_EADDRESS, "%s does not say which kind of store to make",
				       run_operand(run, 0)),
			       "put the kind before the path, as in p12:%s; keystow help stores lists the kinds",
			       run_operand(run, 0));
	if (lstat(where->path, &facts) == 0)
		return ks_fail(run->ctx, KS_EEXISTS, "%s is there already; nothing was changed", ks_where_text(where));
	return stores_only(run, where, KS_WRITE | KS_CREATE, make, NULL);
}
