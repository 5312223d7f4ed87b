/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keystow remove: one entry, named.
 */
#include "commands.h"
#include "copy.h"
#include "stores.h"
#include "where.h"

static int remove_entry(struct run *run, struct ks_store *store, void *user)
{
	ks_auto(plan) plan = NULL;
	const struct ks_entry *entry;
	bool key;
	int rc;

	(void)user;
	rc = ks_store_entry(&entry, store, store->where);
	if (rc == 0)
		rc = ks_remove_plan(&plan, store, entry);
	if (rc < 0)
		return rc;
	key = plan->drop_old;
	rc = stores_apply(run, store, plan, !key);
	if (rc == 0 && key && !run->options->dry_run && !ks_where_is_token(store->where))
		run_say(run, "an earlier copy (.old) would still hold the key, so none is kept");
	return rc;
}

int remove_run(struct run *run)
{
	ks_auto(where) where = NULL;
	int rc;

	rc = stores_entry_where(&where, run, run_operand(run, 0), run->options->pin_source);
	if (rc < 0)
		return rc;
	return stores_only(run, where, KS_WRITE | (ks_where_is_token(where) ? KS_LOGIN : 0), remove_entry, NULL);
}
