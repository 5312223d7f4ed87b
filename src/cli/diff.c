/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keystow diff: what differs between two stores.
 */
#include "check.h"
#include "commands.h"
#include "describe.h"
#include "stores.h"
#include "text.h"

#include <string.h>

/* When a certificate ends, or "no certificate". */
static void end_of(char out[48], const struct ks_entry *entry)
{
	struct described described;

	describe(&described, entry);
	describe_expiry(out, &described, 0, false);
	if (!out[0])
		snprintf(out, 48, "%s", "no certificate");
}

/* The same certificate on both sides under another name, or trusted differently: two equal dates would tell nothing. */
static bool row_about(struct run *run, const struct ks_difference *row, const struct described *new, const char *name)
{
	struct described old;
	ks_auto_mem char *old_name = NULL;

	describe(&old, row->left);
	if (!row->left->certificate || !row->right->certificate ||
	    !ks_bytes_equal(row->left->certificate->der, row->right->certificate->der))
		return false;
	old_name = describe_name(&old);
	if (old.anchor != new->anchor || strcmp(old.kind, new->kind) != 0)
		out_line(&run->out, "~ %s  %s  %s -> %s", new->kind, name, old.kind, new->kind);
	else if (old_name && strcmp(old_name, name) != 0)
		out_line(&run->out, "~ %s  %s -> %s", new->kind, old_name, name);
	else
		return false;
	return true;
}

static void row_text(struct run *run, const struct ks_difference *row)
{
	const struct ks_entry *entry = row->right ? row->right : row->left;
	struct described described;
	ks_auto_mem char *name = NULL;
	char old_end[48], new_end[48];

	describe(&described, entry);
	name = describe_name(&described);
	end_of(new_end, entry);
	if (row->sign != '~') {
		out_line(&run->out, "%c %s  %s  until %s", row->sign, described.kind, name ? name : "-", new_end);
		return;
	}
	if (row_about(run, row, &described, name ? name : "-"))
		return;
	end_of(old_end, row->left);
	out_line(&run->out, "~ %s  %s  %s -> %s", described.kind, name ? name : "-", old_end, new_end);
}

static void side_json(json_t *object, struct run *run, const char *key, const struct ks_where *where,
		      const struct ks_entry *entry)
{
	struct described described;

	if (!entry)
		return;
	describe(&described, entry);
	json_object_set_new(object, key, describe_json(run, where, &described));
}

static void row_json(struct run *run, const struct ks_store *left, const struct ks_store *right,
		     const struct ks_difference *row)
{
	static const struct {
		char sign;
		const char *what;
	} words[] = { { '+', "add" }, { '-', "remove" }, { '~', "replace" } };
	json_t *object = json_object();

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (words[i].sign == row->sign)
			out_set_text(object, "what", words[i].what);
	}
	side_json(object, run, "left", left->where, row->left);
	side_json(object, run, "right", right->where, row->right);
	out_value(&run->out, NULL, object);
}

static int compare(struct run *run, struct ks_store *left, struct ks_store *right)
{
	struct ks_differences differences = { 0 };
	int rc;

	rc = ks_diff(&differences, left, right);
	out_open(&run->out, "changes", '[');
	for (size_t i = 0; rc == 0 && i < differences.count; i++) {
		if (run->out.json)
			row_json(run, left, right, &differences.rows[i]);
		else
			row_text(run, &differences.rows[i]);
	}
	out_close(&run->out);
	if (rc == 0) {
		out_number(&run->out, "equal", (long long)differences.equal);
		run_say(run, "%zu equal, %zu different", differences.equal, differences.count);
		rc = differences.count ? KS_NO_DIFFERS : 0;
	}
	ks_differences_free(&differences);
	return rc;
}

int diff_run(struct run *run)
{
	ks_auto(where) left_where = NULL;
	ks_auto(where) right_where = NULL;
	ks_auto(store) left = NULL;
	ks_auto(store) right = NULL;
	int rc;

	rc = stores_whole_where(&left_where, run, run_operand(run, 0), run->options->pin_source);
	if (rc == 0)
		rc = stores_whole_where(&right_where, run, run_operand(run, 1), run->options->to_pin_source);
	if (rc < 0)
		return rc;
	stores_begin(run);
	stores_look(&left, run, left_where);
	stores_look(&right, run, right_where);
	rc = stores_end(run);
	return rc < 0 ? rc : compare(run, left, right);
}
