/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keystow passwd: another password for a store.
 */
#include "commands.h"
#include "secrets.h"
#include "stores.h"
#include "where.h"

static int change(struct run *run, struct ks_store *store, void *user)
{
	const struct ks_question question = {
		.ask = KS_ASK_PASSWORD,
		.store = ks_where_text(store->where),
		.source = run->options->new_pin_source,
		.tries_left = -1,
		.fresh = true,
	};
	ks_auto(secret) password = NULL;
	ks_auto(plan) plan = NULL;
	int rc;

	(void)user;
	rc = ks_store_able(store, KS_CAN_SEAL);
	if (rc == 0)
		rc = secrets_get(&password, run, &question);
	if (rc == 0)
		rc = ks_plan_new(&plan, run->ctx, store->items);
	if (rc == 0)
		rc = ks_plan_repassword(plan, password);
	if (rc < 0)
		return rc;
	plan->drop_old = true;
	rc = stores_wish_stash(run, store, plan);
	if (rc == 0)
		rc = stores_apply(run, store, plan, false);
	if (rc == 0)
		run_say(run, "an earlier copy (.old) would open with the old password, so none is kept");
	return rc;
}

int passwd_run(struct run *run)
{
	ks_auto(where) where = NULL;
	int rc;

	rc = stores_whole_where(&where, run, run_operand(run, 0), run->options->pin_source);
	if (rc < 0)
		return rc;
	if (ks_where_is_token(where))
		return ks_hint(run->ctx,
			       ks_fail(run->ctx, KS_EUNABLE, "%s is a token; it has a PIN", ks_where_text(where)),
			       "keystow token pin '%s'", ks_where_text(where));
	return stores_only(run, where, KS_WRITE, change, NULL);
}
