/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keystow lint: what in a store makes trouble, and with --fix the repair of ids and labels.
 */
#include "lint.h"
#include "commands.h"
#include "describe.h"
#include "findings.h"
#include "stores.h"
#include "where.h"

#include <string.h>
#include <time.h>

static void findings_tell(struct run *run, const struct ks_findings *findings)
{
	json_t *list = findings_json(findings);

	for (size_t i = 0; i < findings->count; i++) {
		const struct ks_finding *finding = &findings->findings[i];

		out_line(&run->out, "! %-14s %s", finding->code, finding->text);
		out_line(&run->out, "  %-14s next: %s", "", finding->hint);
	}
	if (run->out.json)
		out_value(&run->out, "findings", list);
	else
		json_decref(list);
}

/* Applies the plan, and looks at what the store gives back: every certificate and public key is still there. */
static int repair(struct run *run, struct ks_store *store, struct ks_plan *plan)
{
	unsigned char before[KS_SHA256], after[KS_SHA256];
	int rc;

	ks_lint_content(before, store->items);
	rc = stores_apply(run, store, plan, true);
	if (rc < 0)
		return ks_where_is_token(store->where) && rc != KS_EPIN
			       ? ks_hint(run->ctx, rc,
					 "where a token does not let names be changed, put the certificate there anew: "
					 "keystow install --replace")
			       : rc;
	ks_lint_content(after, store->items);
	if (memcmp(before, after, sizeof(before)) != 0)
		return ks_fail(run->ctx, KS_ELIES, "%s does not hold the same certificates and keys after the repair",
			       ks_where_shown(store->where));
	return 0;
}

static int lint_store(struct run *run, struct ks_store *store, void *user)
{
	const int64_t now = time(NULL);
	struct ks_findings findings = { 0 };
	ks_auto(plan) plan = NULL;
	bool fix = run->options->fix;
	bool left;
	int rc = ks_lint(&findings, &plan, store, now);

	(void)user;
	if (rc == 0 && fix && !run->options->dry_run && !ks_plan_empty(plan)) {
		rc = repair(run, store, plan);
		ks_findings_free(&findings);
		ks_plan_free(ks_take(plan));
		if (rc == 0)
			rc = ks_lint(&findings, &plan, store, now);
	} else if (rc == 0 && fix) {
		describe_plan(run, plan);
	}
	left = findings.count != 0;
	if (rc == 0)
		findings_tell(run, &findings);
	if (rc == 0 && !left)
		run_say(run, "nothing in %s needs care", ks_where_shown(store->where));
	ks_findings_free(&findings);
	return rc == 0 && left ? KS_NO_INVALID : rc;
}

int lint_run(struct run *run)
{
	unsigned mode = run->options->fix && !run->options->dry_run ? KS_WRITE : KS_READ;
	ks_auto(where) where = NULL;
	int rc = 0;

	if (run->options->dry_run && !run->options->fix)
		return ks_hint(
			run->ctx,
			ks_fail(run->ctx, KS_EUSAGE, "without --fix lint changes nothing, so --dry-run says nothing"),
			"keystow lint STORE --fix --dry-run shows what would change");
	for (size_t n = 0; rc == 0 && run_operand(run, n); n++) {
		ks_where_free(ks_take(where));
		rc = stores_whole_where(&where, run, run_operand(run, n), NULL);
	}
	if (rc < 0)
		return rc;
	stores_begin(run);
	stores_named(run, 0, run->options->pin_source, mode | KS_LOGIN, lint_store, NULL);
	return stores_end(run);
}
