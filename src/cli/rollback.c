/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keystow rollback: the copy before the last change, exchanged with the store.
 */
#include "commands.h"
#include "describe.h"
#include "stores.h"

static int go_back(struct run *run, struct ks_store *store, void *user)
{
	int rc;

	(void)user;
	rc = ks_store_rollback(store);
	if (rc < 0)
		return rc;
	describe_store(run, store);
	out_line(&run->out, "~ %s and its earlier copy are exchanged", ks_where_text(store->where));
	return 0;
}

int rollback_run(struct run *run)
{
	ks_auto(where) where = NULL;
	int rc;

	rc = stores_whole_where(&where, run, run_operand(run, 0), run->options->pin_source);
	if (rc < 0)
		return rc;
	return stores_only(run, where, KS_WRITE, go_back, NULL);
}
