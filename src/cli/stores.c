/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One way into a store for every command, so that failures, exit codes and the document cannot disagree.
 */
#include "stores.h"
#include "config.h"
#include "describe.h"
#include "secrets.h"
#include "text.h"
#include "token.h"
#include "watchdog.h"

#include <string.h>

/* ---- addresses ---- */

/* What stands in the address itself counts most, then the option, then what the configuration says of an @name. */
static bool takes_source(const struct ks_where *where, const char *text)
{
	const char *query = strchr(text, '?');

	if (!where->pin_source)
		return true;
	return where->alias && !(query && strstr(query, "pin-source="));
}

int stores_where(struct ks_where **out, struct run *run, const char *text, const char *pin_source)
{
	ks_auto(where) where = NULL;
	int rc;

	rc = ks_where_parse(&where, run->ctx, text);
	if (rc == 0)
		rc = secrets_check(run->ctx, where->pin_source);
	if (rc < 0)
		return rc;
	if (ks_where_is_token(where))
		watchdog_about(ks_where_text(where));
	if (pin_source && takes_source(where, text)) {
		free(where->pin_source);
		where->pin_source = strdup(pin_source);
		if (!where->pin_source)
			return ks_nomem(run->ctx);
	}
	*out = ks_take(where);
	return 0;
}

int stores_entry_where(struct ks_where **out, struct run *run, const char *text, const char *pin_source)
{
	ks_auto(where) where = NULL;
	int rc;

	rc = stores_where(&where, run, text, pin_source);
	if (rc < 0)
		return rc;
	if (!ks_where_names_entry(where))
		return ks_hint(run->ctx,
			       ks_fail(run->ctx, KS_EUSAGE, "%s names a store, and %s wants an entry of it",
				       ks_where_text(where), run->args.command->name),
			       "add #LABEL or #sha256:HEX, or object=LABEL in a pkcs11: URI");
	*out = ks_take(where);
	return 0;
}

int stores_is_whole(struct run *run, const struct ks_where *where)
{
	if (!ks_where_names_entry(where))
		return 0;
	return ks_hint(run->ctx,
		       ks_fail(run->ctx, KS_EUSAGE, "%s names an entry, and %s is about a whole store",
			       ks_where_text(where), run->args.command->name),
		       "leave the entry out of the address");
}

int stores_whole_where(struct ks_where **out, struct run *run, const char *text, const char *pin_source)
{
	ks_auto(where) where = NULL;
	int rc;

	rc = stores_where(&where, run, text, pin_source);
	if (rc == 0)
		rc = stores_is_whole(run, where);
	if (rc < 0)
		return rc;
	*out = ks_take(where);
	return 0;
}

unsigned stores_login(const struct ks_where *where)
{
	return ks_where_is_token(where) && (where->pin_source || where->pin_value) ? KS_LOGIN : 0;
}

/* ---- tokens that refused a PIN in this run ---- */

static struct {
	char *uris[64];
	size_t count;
	int status;
} refused;

static bool pin_trouble(int rc)
{
	return rc == KS_EPIN || rc == KS_ELOCKED || rc == KS_ELASTTRY;
}

/* Canonical addresses of the tokens that `where` fits; asking sends no PIN. */
static struct ks_token **tokens_of(struct run *run, const struct ks_where *where)
{
	struct ks_token **tokens = NULL;

	if (!ks_where_is_token(where) || ks_tokens(&tokens, run->ctx, where, 0) < 0)
		return NULL;
	return tokens;
}

static void refuse_from_now_on(struct run *run, const struct ks_where *where, int rc)
{
	struct ks_token **tokens = tokens_of(run, where);

	refused.status = rc;
	for (size_t i = 0; tokens && tokens[i] && refused.count < 64; i++)
		refused.uris[refused.count++] = strdup(tokens[i]->uri);
	ks_tokens_free(tokens);
}

static bool is_refused(struct run *run, const struct ks_where *where)
{
	struct ks_token **tokens = refused.count ? tokens_of(run, where) : NULL;
	bool found = false;

	for (size_t i = 0; tokens && tokens[i]; i++) {
		for (size_t j = 0; j < refused.count; j++)
			found |= refused.uris[j] && strcmp(refused.uris[j], tokens[i]->uri) == 0;
	}
	ks_tokens_free(tokens);
	return found;
}

/* ---- the stores of a command ---- */

void stores_begin(struct run *run)
{
	out_open(&run->out, "stores", '[');
}

int stores_end(struct run *run)
{
	out_close(&run->out);
	return run->first ? run->first : run->no;
}

/* What is told of every store when its object in the document closes. */
static void close_object(struct run *run, const struct ks_where *where, size_t depth, int rc)
{
	while (run->out.depth > depth)
		out_close(&run->out);
	out_number(&run->out, "exit", ks_status_exit(rc));
	out_close(&run->out);
	if (rc < 0 && rc > KS_EUSAGE && run->no == 0)
		run->no = rc;
	if (rc <= KS_EUSAGE)
		run_failed(run, rc, ks_where_text(where));
	if (pin_trouble(rc))
		refuse_from_now_on(run, where, rc);
}

static int open_and_act(struct run *run, const struct ks_where *where, unsigned mode, stores_act *act, void *user)
{
	ks_auto(store) store = NULL;
	int rc;

	if (is_refused(run, where))
		return ks_fail(run->ctx, refused.status, "%s was not tried: its PIN was refused before in this command",
			       ks_where_text(where));
	rc = ks_store_open(&store, run->ctx, where, mode);
	if (rc < 0)
		return rc;
	if (mode & KS_WRITE) /* whoever changes a store must know what in it was not understood */
		describe_problems(run, store);
	return act(run, store, user);
}

int stores_do(struct run *run, const struct ks_where *where, unsigned mode, stores_act *act, void *user)
{
	size_t depth;
	int rc;

	out_open(&run->out, NULL, '{');
	depth = run->out.depth;
	out_string(&run->out, "store", ks_where_text(where));
	rc = open_and_act(run, where, mode, act, user);
	close_object(run, where, depth, rc);
	return rc;
}

int stores_look(struct ks_store **out, struct run *run, const struct ks_where *where)
{
	size_t depth;
	int rc;

	out_open(&run->out, NULL, '{');
	depth = run->out.depth;
	out_string(&run->out, "store", ks_where_text(where));
	rc = ks_store_open(out, run->ctx, where, KS_READ | stores_login(where));
	if (rc == 0)
		describe_store(run, *out);
	close_object(run, where, depth, rc);
	return rc;
}

/* An address that cannot be understood has its place among the stores too. */
static void not_understood(struct run *run, const char *text, int rc)
{
	out_open(&run->out, NULL, '{');
	out_string(&run->out, "store", text);
	out_number(&run->out, "exit", ks_status_exit(rc));
	out_close(&run->out);
	run_failed(run, rc, text);
}

void stores_named(struct run *run, size_t n, const char *pin_source, unsigned mode, stores_act *act, void *user)
{
	for (; run_operand(run, n); n++, pin_source = NULL) {
		ks_auto(where) where = NULL;
		unsigned login = 0;
		int rc;

		rc = stores_where(&where, run, run_operand(run, n), pin_source);
		if (rc < 0) {
			not_understood(run, run_operand(run, n), rc);
			continue;
		}
		if (ks_where_is_token(where))
			login = mode & KS_WRITE ? (unsigned)KS_LOGIN : stores_login(where);
		stores_do(run, where, mode | login, act, user);
	}
}

int stores_only(struct run *run, const struct ks_where *where, unsigned mode, stores_act *act, void *user)
{
	stores_begin(run);
	stores_do(run, where, mode, act, user);
	return stores_end(run);
}

/* ---- stores nobody named ---- */

struct seen {
	char **uris;
	size_t count, capacity;
};

static void seen_add(struct run *run, struct seen *seen, const struct ks_where *where)
{
	struct ks_token **tokens = tokens_of(run, where);

	ks_forgive(run->ctx);
	for (size_t i = 0; tokens && tokens[i]; i++) {
		if (ks_array_grow(&seen->uris, &seen->capacity, seen->count + 1, sizeof(*seen->uris)) == 0)
			seen->uris[seen->count++] = strdup(tokens[i]->uri);
	}
	ks_tokens_free(tokens);
}

static bool seen_has(const struct seen *seen, const char *uri)
{
	for (size_t i = 0; i < seen->count; i++) {
		if (seen->uris[i] && strcmp(seen->uris[i], uri) == 0)
			return true;
	}
	return false;
}

static int known_one(struct run *run, const char *text, unsigned mode, stores_act *act, void *user, struct seen *seen)
{
	ks_auto(where) where = NULL;
	int rc;

	rc = stores_where(&where, run, text, NULL);
	if (rc < 0)
		return run_failed(run, rc, text);
	seen_add(run, seen, where);
	return stores_do(run, where, mode | stores_login(where), act, user);
}

static void known_configured(struct run *run, unsigned mode, stores_act *act, void *user, struct seen *seen)
{
	const struct ks_config_row *row;

	for (size_t n = 0; (row = ks_config_row(run->ctx, n)) != NULL; n++) {
		ks_auto_mem char *alias = NULL;

		if (strcmp(row->section, "store") != 0 || strcmp(row->key, "uri") != 0 ||
		    asprintf(&alias, "@%s", row->name) < 0)
			continue;
		known_one(run, alias, mode, act, user, seen);
	}
}

static int known_tokens(struct run *run, unsigned mode, stores_act *act, void *user, struct seen *seen)
{
	struct ks_token **tokens = NULL;
	int rc;

	rc = ks_tokens(&tokens, run->ctx, NULL, 0);
	if (rc < 0)
		return rc;
	for (size_t i = 0; tokens[i]; i++) {
		if (tokens[i]->initialized && !seen_has(seen, tokens[i]->uri))
			known_one(run, tokens[i]->uri, mode, act, user, seen);
	}
	ks_tokens_free(tokens);
	return 0;
}

int stores_known(struct run *run, unsigned mode, stores_act *act, void *user)
{
	struct seen seen = { 0 };
	int rc;

	if (run->options->pin_source) {
		rc = ks_hint(run->ctx,
			     ks_fail(run->ctx, KS_EUSAGE,
				     "--pin-source belongs to the store that is named, and none is named; nothing was "
				     "sent anywhere"),
			     "name the store, or give it a pin-source in the configuration");
		return run_failed(run, rc, NULL);
	}
	known_configured(run, mode, act, user, &seen);
	rc = known_tokens(run, mode, act, user, &seen);
	if (rc < 0)
		run_failed(run, rc, NULL);
	if (seen.count == 0 && run->first == 0 && !ks_config_row(run->ctx, 0))
		run_say(run, "no store is named, the configuration names none, and there is no token");
	for (size_t i = 0; i < seen.count; i++)
		free(seen.uris[i]);
	free(seen.uris);
	return rc;
}

/* ---- changes ---- */

int stores_wish_stash(struct run *run, const struct ks_store *store, struct ks_plan *plan)
{
	if (!run->options->stash)
		return 0;
	if (!store->engine->stash)
		return ks_hint(run->ctx,
			       ks_fail(run->ctx, KS_EUNABLE, "%s: a %s has no stash", ks_where_text(store->where),
				       store->engine->title),
			       "leave --stash out; IBM key databases (kdb:) have one");
	plan->stash = true;
	return 0;
}

int stores_apply(struct run *run, struct ks_store *store, struct ks_plan *plan, bool keep_old)
{
	const struct ks_commit_wish wish = { .keep_old = keep_old };
	int rc = 0;

	if (!run->options->dry_run && !ks_plan_empty(plan))
		rc = ks_store_apply(store, plan, &wish);
	if (rc == 0)
		describe_plan(run, plan);
	return rc;
}
