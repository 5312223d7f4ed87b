/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keystow rename: another label for an entry.
 */
#include "commands.h"
#include "copy.h"
#include "stores.h"
#include "where.h"

static int rename_entry(struct run *run, struct ks_store *store, void *user)
{
	ks_auto(plan) plan = NULL;
	const struct ks_entry *entry;
	int rc;

	rc = ks_store_entry(&entry, store, store->where);
	if (rc == 0)
		rc = ks_rename_plan(&plan, store, entry, user);
	return rc < 0 ? rc : stores_apply(run, store, plan, true);
}

int rename_run(struct run *run)
{
	ks_auto(where) where = NULL;
	int rc;

	rc = stores_entry_where(&where, run, run_operand(run, 0), run->options->pin_source);
	if (rc < 0)
		return rc;
	return stores_only(run, where, KS_WRITE | (ks_where_is_token(where) ? KS_LOGIN : 0), rename_entry,
			   (void *)run_operand(run, 1));
}
