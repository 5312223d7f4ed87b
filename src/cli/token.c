/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keystow token list, info, init, pin: tokens as devices.
 */
#include "token.h"
#include "commands.h"
#include "secrets.h"
#include "stores.h"
#include "table.h"
#include "text.h"
#include "token_where.h"
#include "where.h"

#include <string.h>

/* ---- looking ---- */

static const char *state_of(const struct ks_token *token)
{
	if (!token->initialized)
		return "not initialised";
	if (token->pin_locked)
		return "! PIN locked";
	if (token->pin_last)
		return "! one PIN try left";
	if (token->pin_low)
		return "! few PIN tries left";
	if (!token->user_pin_set && token->login_required)
		return "no user PIN";
	return "";
}

static const char *pin_state(bool locked, bool last, bool low)
{
	return locked ? "locked" : last ? "last-try" : low ? "low" : "ok";
}

static json_t *names_json(char *const *names)
{
	json_t *list = json_array();

	for (; names && *names; names++)
		json_array_append_new(list, out_utf8(ks_bytes_of(*names)));
	return list;
}

static json_t *token_json(const struct ks_token *token)
{
	json_t *object = json_object();

	out_set_text(object, "uri", token->uri);
	out_set_text(object, "label", token->label);
	out_set_text(object, "serial", token->serial);
	out_set_text(object, "manufacturer", token->manufacturer);
	out_set_text(object, "model", token->model);
	out_set_text(object, "module", token->module);
	json_object_set_new(object, "slot", json_integer((json_int_t)token->slot));
	json_object_set_new(object, "initialized", json_boolean(token->initialized));
	json_object_set_new(object, "write_protected", json_boolean(token->write_protected));
	json_object_set_new(object, "pin_pad", json_boolean(token->pin_pad));
	if (!token->initialized)
		return object; /* what it says of its PINs means nothing yet */
	json_object_set_new(object, "user_pin_set", json_boolean(token->user_pin_set));
	out_set_text(object, "pin", pin_state(token->pin_locked, token->pin_last, token->pin_low));
	out_set_text(object, "so_pin", pin_state(token->so_pin_locked, token->so_pin_last, token->so_pin_low));
	return object;
}

int token_list_run(struct run *run)
{
	static const char *const headings[] = { "LABEL", "SERIAL", "MODEL", "URI", "NOTE", NULL };
	auto_table *table = table_new(&run->out, headings);
	struct ks_token **tokens = NULL;
	int rc;

	rc = ks_tokens(&tokens, run->ctx, NULL, 0);
	if (rc < 0)
		return rc;
	out_open(&run->out, "tokens", '[');
	for (size_t i = 0; tokens[i]; i++) {
		const struct ks_token *token = tokens[i];

		if (run->out.json)
			out_value(&run->out, NULL, token_json(token));
		else
			table_row(table,
				  (const char *const[]){ token->label, token->serial, token->model, token->uri,
							 state_of(token) },
				  0);
	}
	out_close(&run->out);
	if (!tokens[0])
		run_say(run, "no token is there");
	ks_tokens_free(tokens);
	return 0;
}

static void info_text(struct run *run, const struct ks_token *token)
{
	const char *state = state_of(token);

	out_line(&run->out, "%s   %s", token->label, token->uri);
	out_line(&run->out, "  made by   %s, model %s, serial %s, firmware %s, hardware %s", token->manufacturer,
		 token->model, token->serial, token->firmware, token->hardware);
	out_line(&run->out, "  module    %s, slot %lu", token->module, token->slot);
	out_line(&run->out, "  PIN       %s, %lu to %lu letters%s", *state ? state : "in order", token->pin_min,
		 token->pin_max, token->pin_pad ? ", typed on the device" : "");
	out_line(&run->out, "  holds     %zu private keys, %zu public keys, %zu certificates, %zu others", token->keys,
		 token->public_keys, token->certificates, token->others);
	for (char *const *name = token->mechanisms; run->options->verbose && name && *name; name++)
		out_line(&run->out, "  %-9s %s", name == token->mechanisms ? "can do" : "", *name);
	for (char *const *known = token->known; known && *known; known++)
		out_line(&run->out, "  %-9s %s", known == token->known ? "known" : "", *known);
	for (char *const *orphan = token->orphans; orphan && *orphan; orphan++)
		out_line(&run->out, "! half-made  %s", *orphan);
}

static void info_json(struct run *run, const struct ks_token *token)
{
	json_t *object = token_json(token);

	out_set_text(object, "firmware", token->firmware);
	out_set_text(object, "hardware", token->hardware);
	json_object_set_new(object, "pin_min", json_integer((json_int_t)token->pin_min));
	json_object_set_new(object, "pin_max", json_integer((json_int_t)token->pin_max));
	json_object_set_new(object, "keys", json_integer((json_int_t)token->keys));
	json_object_set_new(object, "public_keys", json_integer((json_int_t)token->public_keys));
	json_object_set_new(object, "certificates", json_integer((json_int_t)token->certificates));
	json_object_set_new(object, "others", json_integer((json_int_t)token->others));
	json_object_set_new(object, "mechanisms", names_json(token->mechanisms));
	json_object_set_new(object, "known", names_json(token->known));
	json_object_set_new(object, "half_made", names_json(token->orphans));
	out_value(&run->out, NULL, object);
}

int token_where(struct ks_where **out, struct run *run, const char *source)
{
	ks_auto(where) where = NULL;
	int rc;

	rc = stores_where(&where, run, run_operand(run, 0), source);
	if (rc < 0)
		return rc;
	if (!ks_where_is_token(where))
		return ks_hint(run->ctx, ks_fail(run->ctx, KS_EUSAGE, "%s is no token", ks_where_text(where)),
			       "name it as in pkcs11:token=LABEL; keystow token list shows those that are there");
	*out = ks_take(where);
	return 0;
}

#define PRESENT_MOST 16

/* The labels of tokens that are there, once as text and once as borrowed words. */
static void put_present(struct ks_buffer *text, const char **labels, struct ks_token *const *tokens)
{
	for (size_t n = 0; *tokens && n < PRESENT_MOST; tokens++) {
		if (!(*tokens)->initialized || !*(*tokens)->label)
			continue;
		ks_buffer_text(text, n ? ", " : "");
		ks_text_shown(text, ks_bytes_of((*tokens)->label));
		labels[n++] = (*tokens)->label;
	}
}

/* No token fits the address: which are there, and which was probably meant. */
static int absent(struct run *run, const struct ks_where *where)
{
	static const char by_label[] = "pkcs11:token=";
	struct ks_token **tokens = NULL;
	ks_auto(buffer) present = ks_buffer_new(4000);
	const char *labels[PRESENT_MOST + 1] = { NULL }, *text = ks_where_text(where), *near = NULL;
	int rc;

	if (!present)
		return ks_nomem(run->ctx);
	if (ks_tokens(&tokens, run->ctx, NULL, 0) < 0)
		ks_forgive(run->ctx);
	else
		put_present(present, labels, tokens);
	if (strncmp(text, by_label, sizeof(by_label) - 1) == 0)
		near = ks_nearest(text + sizeof(by_label) - 1, labels);
	rc = ks_fail(run->ctx, KS_ENOTOKEN, "no token fits %s%s%s", text, present->size ? "; present: " : "",
		     present->size ? ks_buffer_string(present) : "");
	if (near)
		rc = ks_hint(run->ctx, rc,
			     "did you mean \"%s\"? keystow token list shows the addresses of those that are there",
			     near);
	else
		rc = ks_hint(run->ctx, rc,
			     present->size ? "keystow token list shows the addresses of those that are there"
					   : "plug the device in, or name its module with --module; keystow token list "
					     "shows those that are there");
	ks_tokens_free(tokens);
	return rc;
}

int token_info_run(struct run *run)
{
	ks_auto(where) where = NULL;
	struct ks_token **tokens = NULL;
	unsigned look = KS_LOOK_DEEP;
	int rc;

	rc = token_where(&where, run, run->options->pin_source);
	if (rc < 0)
		return rc;
	if (stores_login(where))
		look |= KS_LOOK_LOGIN;
	rc = ks_tokens(&tokens, run->ctx, where, look);
	if (rc < 0)
		return rc;
	out_open(&run->out, "tokens", '[');
	for (size_t i = 0; tokens[i]; i++) {
		if (run->out.json)
			info_json(run, tokens[i]);
		else
			info_text(run, tokens[i]);
	}
	out_close(&run->out);
	rc = tokens[0] ? 0 : absent(run, where);
	ks_tokens_free(tokens);
	return rc;
}

/* ---- changing ---- */

static int ask_secret(struct ks_secret **out, struct run *run, const struct ks_token *token, enum ks_ask ask,
		      const char *source, bool fresh)
{
	const struct ks_question question = {
		.ask = ask,
		.store = token->uri,
		.label = token->label,
		.serial = token->serial,
		.source = source,
		.tries_left = -1,
		.last_try = !fresh && (ask == KS_ASK_SO_PIN ? token->so_pin_last : token->pin_last),
		.fresh = fresh,
	};

	if (token->pin_pad)
		return 0; /* it is typed there */
	return secrets_get(out, run, &question);
}

/* The two PINs are kept apart: a slip with one source would give the security officer's PIN away, or lock it. */
static int sources_apart(struct run *run, const char *user, const char *officer)
{
	if (!user || !officer || strcmp(user, officer) != 0 || strcmp(user, "prompt") == 0)
		return 0;
	return ks_hint(run->ctx,
		       ks_fail(run->ctx, KS_EUSAGE,
			       "the PIN of the user and that of the security officer have the same source, %s; nothing was sent",
			       user),
		       "give each a source of its own");
}

static int several(struct run *run, const struct ks_where *where, struct ks_token *const *tokens)
{
	ks_auto(buffer) names = ks_buffer_new(3000);
	ks_auto_mem struct ks_candidate *list = NULL;
	size_t count = 0;

	while (tokens[count])
		count++;
	list = ks_array(count, sizeof(*list));
	if (!names || !list)
		return ks_nomem(run->ctx);
	for (size_t i = 0; i < count; i++)
		list[i] = (struct ks_candidate){ tokens[i]->label, tokens[i]->model, tokens[i]->serial, tokens[i]->slot };
	ks_candidates_put(names, list, count);
	return ks_hint(run->ctx,
		       ks_fail(run->ctx, KS_EAMBIGUOUS, "several tokens fit %s: %s; none was touched", ks_where_text(where),
			       ks_buffer_string(names)),
		       "name one by its serial number or slot, as told");
}

/* The one token that the address means. */
int token_the_one(struct ks_token ***out, struct run *run, const struct ks_where *where)
{
	struct ks_token **tokens = NULL;
	int rc;

	rc = ks_tokens(&tokens, run->ctx, where, 0);
	if (rc < 0)
		return rc;
	if (!tokens[0])
		rc = absent(run, where);
	else if (tokens[1])
		rc = several(run, where, tokens);
	if (rc < 0) {
		ks_tokens_free(tokens);
		return rc;
	}
	*out = tokens;
	return 0;
}

static int administer(struct run *run, struct ks_store *store, void *user)
{
	(void)run;
	return ks_store_admin(store, user);
}

static bool among(struct ks_token *const *tokens, const char *uri)
{
	for (; tokens && *tokens; tokens++) {
		if (strcmp((*tokens)->uri, uri) == 0)
			return true;
	}
	return false;
}

static void tell_unseen(struct run *run, const char *label)
{
	ks_auto_mem char *text = NULL;

	out_line(&run->out, "+ token \"%s\" is initialised", label);
	if (asprintf(&text, "token \"%s\" is not among those that can be seen now", label) < 0)
		text = NULL;
	run_remark(run, KS_ENOTOKEN, text ? text : "", "keystow token list tells its serial number", label);
}

/*
 * The token that came out of an initialisation. Its serial may be made by it, and SoftHSM 2.6 moves the token to another
 * slot, so the address used before says nothing: it is the one that has the label now and was not there before.
 */
static void tell_initialised(struct run *run, struct ks_token *const *before, const char *label)
{
	struct ks_token **after = NULL;
	const struct ks_token *found = NULL;

	if (ks_tokens(&after, run->ctx, NULL, 0) < 0) {
		run_remark(run, ks_ctx_status(run->ctx), ks_ctx_text(run->ctx), ks_ctx_hint(run->ctx), label);
		ks_forgive(run->ctx);
	}
	for (size_t i = 0; after && after[i]; i++) {
		if (after[i]->initialized && strcmp(after[i]->label, label) == 0 &&
		    (!found || !among(before, after[i]->uri)))
			found = after[i];
	}
	if (found)
		out_line(&run->out, "+ token \"%s\", serial %s, is initialised", label, found->serial);
	else
		tell_unseen(run, label);
	ks_tokens_free(after);
}

static int init_admin(struct run *run, const struct ks_where *where, const struct ks_token *token)
{
	struct ks_token **before = NULL;
	const struct options *options = run->options;
	ks_auto(secret) so_pin = NULL;
	ks_auto(secret) pin = NULL;
	struct ks_admin admin = { .act = KS_ADMIN_INIT, .label = options->label };
	int rc = sources_apart(run, where->pin_source, options->so_pin_source);

	if (rc == 0)
		rc = ask_secret(&so_pin, run, token, KS_ASK_SO_PIN, options->so_pin_source, !token->initialized);
	if (rc == 0)
		rc = ask_secret(&pin, run, token, KS_ASK_PIN, where->pin_source, true);
	if (rc < 0)
		return rc;
	admin.so_secret = so_pin;
	admin.new_secret = pin;
	if (ks_tokens(&before, run->ctx, NULL, 0) < 0)
		ks_forgive(run->ctx);
	rc = stores_only(run, where, KS_WRITE | KS_WITHOUT_SECRET, administer, &admin);
	if (rc == 0)
		tell_initialised(run, before, options->label);
	ks_tokens_free(before);
	return rc;
}

int token_init_run(struct run *run)
{
	ks_auto(where) where = NULL;
	struct ks_token **tokens = NULL;
	int rc;

	if (!run->options->label)
		return ks_hint(run->ctx, ks_fail(run->ctx, KS_EUSAGE, "token init wants a --label for the token"),
			       "as in --label usbhsm");
	rc = token_where(&where, run, run->options->pin_source);
	if (rc == 0)
		rc = token_the_one(&tokens, run, where);
	if (rc == 0)
		rc = init_admin(run, where, tokens[0]);
	ks_tokens_free(tokens);
	return rc;
}

/* The kinds of change, whose PIN allows them, and whose is set. */
struct pin_change {
	enum ks_admin_act act;
	enum ks_ask allows, sets;
	const char *told;
};

static const struct pin_change *pin_change_of(const struct options *options, const struct ks_token *token)
{
	static const struct pin_change changes[] = {
		{ KS_ADMIN_CHANGE_PIN, KS_ASK_PIN, KS_ASK_PIN, "the PIN" },
		{ KS_ADMIN_UNBLOCK_PIN, KS_ASK_SO_PIN, KS_ASK_PIN, "the PIN" },
		{ KS_ADMIN_CHANGE_SO_PIN, KS_ASK_SO_PIN, KS_ASK_SO_PIN, "the security officer's PIN" },
	};

	if (options->officer)
		return &changes[2];
	return &changes[options->unblock || (token->initialized && !token->user_pin_set) ? 1 : 0];
}

static int pin_admin(struct run *run, const struct ks_where *where, const struct ks_token *token)
{
	const struct options *options = run->options;
	const struct pin_change *change = pin_change_of(options, token);
	ks_auto(secret) present = NULL;
	ks_auto(secret) wanted = NULL;
	struct ks_admin admin = { .act = change->act };
	bool officer = change->allows == KS_ASK_SO_PIN;
	int rc = 0;

	if (officer && change->sets == KS_ASK_PIN)
		rc = sources_apart(run, options->new_pin_source, options->so_pin_source);
	if (rc == 0 && officer)
		rc = sources_apart(run, where->pin_source, options->so_pin_source);
	/* A blank token has no PIN to change, and says so when it is opened. */
	if (rc == 0 && token->initialized)
		rc = ask_secret(&present, run, token, change->allows, officer ? options->so_pin_source : where->pin_source,
				false);
	if (rc == 0 && token->initialized)
		rc = ask_secret(&wanted, run, token, change->sets, options->new_pin_source, true);
	if (rc < 0)
		return rc;
	admin.old_secret = present;
	admin.new_secret = wanted;
	rc = stores_only(run, where, KS_WRITE | KS_WITHOUT_SECRET, administer, &admin);
	if (rc == 0)
		out_line(&run->out, "~ %s of token \"%s\", serial %s", change->told, token->label, token->serial);
	return rc;
}

static int pin_options_check(struct run *run)
{
	if (!run->options->officer || !run->options->unblock)
		return 0;
	return ks_hint(run->ctx,
		       ks_fail(run->ctx, KS_EUSAGE, "--unblock sets the user's PIN and --officer the security officer's"),
		       "use one of the two");
}

int token_pin_run(struct run *run)
{
	ks_auto(where) where = NULL;
	struct ks_token **tokens = NULL;
	int rc = pin_options_check(run);

	if (rc == 0)
		rc = token_where(&where, run, run->options->pin_source);
	if (rc == 0)
		rc = token_the_one(&tokens, run, where);
	if (rc == 0)
		rc = pin_admin(run, where, tokens[0]);
	ks_tokens_free(tokens);
	return rc;
}
