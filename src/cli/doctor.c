/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keystow token doctor: a token examined, in a form that can be pasted into a report.
 */
#include "token.h"
#include "commands.h"
#include "stores.h"
#include "token_where.h"
#include "where.h"

static const char *const levels[] = { [KS_FACT] = "", [KS_FINE] = "ok", [KS_CARE] = "care" };

static void observation_json(json_t *list, const struct ks_observation *observation)
{
	json_t *object = json_object();

	out_set_text(object, "check", observation->check);
	out_set_text(object, "level", observation->level == KS_FACT ? "fact" : levels[observation->level]);
	json_object_set_new(object, "text", out_utf8(ks_bytes_of(observation->text)));
	out_set_text(object, "next", observation->next);
	json_array_append_new(list, object);
}

static void observations_tell(struct run *run, const struct ks_token *token, const struct ks_observations *observations)
{
	json_t *object = json_object(), *checks = json_array();

	out_line(&run->out, "%s   %s", *token->label ? token->label : "(no label)", token->uri);
	for (size_t i = 0; i < observations->count; i++) {
		const struct ks_observation *observation = &observations->list[i];

		observation_json(checks, observation);
		out_line(&run->out, "%-5s %-12s %s", levels[observation->level], observation->check, observation->text);
		if (observation->next)
			out_line(&run->out, "%-5s %-12s next: %s", "", "", observation->next);
	}
	out_set_text(object, "uri", token->uri);
	out_set_text(object, "label", token->label);
	json_object_set_new(object, "checks", checks);
	if (run->out.json)
		out_value(&run->out, NULL, object);
	else
		json_decref(object);
}

static bool needs_care(const struct ks_observations *observations)
{
	for (size_t i = 0; i < observations->count; i++) {
		if (observations->list[i].level == KS_CARE)
			return true;
	}
	return false;
}

/* One token, by the address that was typed, or by its own when none was. What was found before a failure is told too. */
static int examine(struct run *run, const struct ks_token *token, const struct ks_where *named)
{
	struct ks_observations observations = { 0 };
	ks_auto(where) own = NULL;
	const struct ks_where *where = named;
	unsigned how = 0;
	int rc = 0;

	if (!named) {
		rc = stores_where(&own, run, token->uri, NULL);
		where = own;
	}
	if (rc < 0)
		return rc;
	if (stores_login(where))
		how |= KS_EXAMINE_LOGIN;
	if (run->options->write)
		how |= KS_EXAMINE_WRITE;
	rc = ks_token_examine(&observations, run->ctx, where, how);
	observations_tell(run, token, &observations);
	if (rc == 0 && needs_care(&observations))
		rc = KS_NO_INVALID;
	ks_observations_clear(&observations);
	return rc;
}

static int may_write(struct run *run, const struct ks_where *where)
{
	if (!run->options->write || where)
		return 0;
	return ks_hint(run->ctx,
		       ks_fail(run->ctx, KS_EUSAGE, "--write makes test keys, so the token for them has to be named"),
		       "as in keystow token doctor pkcs11:token=LABEL --write");
}

int token_doctor_run(struct run *run)
{
	ks_auto(where) where = NULL;
	struct ks_token **tokens = NULL;
	int rc = run_operand(run, 0) ? token_where(&where, run, run->options->pin_source) : 0, no = 0;

	if (rc == 0)
		rc = may_write(run, where);
	if (rc == 0)
		rc = where ? token_the_one(&tokens, run, where) : ks_tokens(&tokens, run->ctx, NULL, 0);
	if (rc < 0)
		return rc;
	out_open(&run->out, "tokens", '[');
	for (size_t i = 0; tokens[i]; i++) {
		rc = examine(run, tokens[i], where);
		if (rc <= KS_EUSAGE)
			run_failed(run, rc, tokens[i]->uri);
		else if (rc < 0)
			no = rc;
	}
	out_close(&run->out);
	if (!tokens[0])
		run_say(run, "no token is there");
	ks_tokens_free(tokens);
	return run->first ? run->first : no;
}
