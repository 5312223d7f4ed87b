/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keystow install: a certificate that a CA sent, put beside its key.
 */
#include "commands.h"
#include "enroll.h"
#include "stores.h"
#include "where.h"

static int install(struct run *run, struct ks_store *store, void *user)
{
	struct ks_store *certificates = user;
	ks_auto(plan) plan = NULL;
	int rc;

	rc = ks_install(&plan, store, certificates->items, run->options->replace);
	return rc < 0 ? rc : stores_apply(run, store, plan, true);
}

int install_run(struct run *run)
{
	ks_auto(where) from = NULL;
	ks_auto(where) to = NULL;
	ks_auto(store) certificates = NULL;
	int rc;

	rc = stores_where(&from, run, run_operand(run, 0), NULL);
	if (rc == 0)
		rc = stores_where(&to, run, run_operand(run, 1),
				  run->options->to_pin_source ? run->options->to_pin_source : run->options->pin_source);
	if (rc == 0)
		rc = ks_store_open(&certificates, run->ctx, from, KS_READ);
	if (rc < 0)
		return rc;
	return stores_only(run, to, KS_WRITE | (ks_where_is_token(to) ? KS_LOGIN : 0), install, certificates);
}
