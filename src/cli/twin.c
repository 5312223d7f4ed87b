/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keystow token twin: two tokens that stand in for each other.
 */
#include "twin.h"
#include "commands.h"
#include "describe.h"
#include "generate.h"
#include "name.h"
#include "settings.h"
#include "stores.h"
#include "text.h"
#include "token_where.h"
#include "where.h"

#include <string.h>
#include <time.h>

struct twinning {
	struct ks_store *first;
	const struct ks_entry *only; /* NULL = all keys of it */
	struct ks_ca *ca; /* NULL = only tell */
	struct ks_twin_wish wish;
};

/* ---- the commands that do the same by hand ---- */

#define COMMAND 8000

struct handwork {
	const struct run *run;
	const struct ks_where *where; /* of the second token */
	const struct ks_twin *row;
	char *entry, *file; /* the entry's address, and a name for files, as words of a shell */
};

/* ` OPTION WORD`, with the word quoted where a shell needs it. */
static void put_option(struct ks_buffer *out, const char *option, const char *value)
{
	ks_auto_mem char *word = value ? ks_text_word(value) : NULL;

	if (word)
		ks_buffer_format(out, " %s %s", option, word);
}

static void put_generate(struct ks_buffer *out, const struct handwork *work)
{
	const struct ks_generate *make = &work->row->make;
	char type[32], uses[KS_USES_TEXT];

	ks_keyspec_text(type, &make->spec);
	ks_uses_text(uses, make->uses);
	ks_buffer_format(out, "keystow generate %s --type %s", work->entry, type);
	if (make->uses && make->uses != KS_USE_SIGN)
		put_option(out, "--usage", uses);
	ks_buffer_text(out, make->always_authenticate ? " --always-authenticate" : "");
	ks_buffer_text(out, make->wrap_with_trusted ? " --wrap-with-trusted" : "");
	ks_buffer_text(out, make->allow_extractable ? " --allow-extractable" : "");
	put_option(out, "--pin-source", work->where->pin_source);
}

static void put_request(struct ks_buffer *out, const struct handwork *work)
{
	ks_auto_mem char *subject = ks_name_text(work->row->facts.subject);

	ks_buffer_format(out, "keystow request %s", work->entry);
	put_option(out, "--subject", subject);
	for (size_t i = 0; i < work->row->names.count; i++) {
		ks_auto_mem char *name = NULL;

		if (asprintf(&name, "%s:%s", work->row->names.names[i].kind, work->row->names.names[i].value) < 0)
			name = NULL;
		put_option(out, "--san", name);
	}
	ks_buffer_format(out, " -o %s.csr", work->file);
	put_option(out, "--pin-source", work->where->pin_source);
}

static void put_sign(struct ks_buffer *out, const struct handwork *work)
{
	const struct options *options = work->run->options;

	ks_buffer_format(out, "keystow ca sign %s.csr", work->file);
	if (options->ca)
		put_option(out, "--ca", options->ca);
	else
		ks_buffer_text(out, " --ca DIR");
	if (work->row->profile || options->profile)
		put_option(out, "--profile", work->row->profile ? work->row->profile->name : options->profile);
	else
		ks_buffer_text(out, " --profile NAME");
	if (options->days)
		ks_buffer_format(out, " --days %u", options->days);
	ks_buffer_format(out, " -o %s.pem", work->file);
}

static void put_install(struct ks_buffer *out, const struct handwork *work)
{
	ks_auto_mem char *store = ks_text_word(ks_where_text(work->where));

	ks_buffer_format(out, "keystow install %s.pem %s", work->file, store ? store : "");
	ks_buffer_text(out, work->row->state == KS_TWIN_OTHER ? " --replace" : "");
	put_option(out, "--to-pin-source", work->where->pin_source);
}

static const struct step {
	unsigned belongs; /* enum ks_twin_step */
	const char *name;
	void (*put)(struct ks_buffer *out, const struct handwork *work);
} steps[] = {
	{ KS_TWIN_GENERATE, "generate", put_generate },
	{ KS_TWIN_CERTIFY, "request", put_request },
	{ KS_TWIN_CERTIFY, "sign", put_sign },
	{ KS_TWIN_CERTIFY, "install", put_install },
};
#define STEPS (sizeof(steps) / sizeof(steps[0]))

/* A label as the name of a file in the present folder. */
static char *file_named(const char *label)
{
	char *name = strdup(label);

	for (char *at = name; at && *at; at++) {
		bool plain = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') || (*at >= '0' && *at <= '9') ||
			     *at == '_' || (at > name && (*at == '-' || *at == '.'));

		if (!plain)
			*at = '_';
	}
	return name;
}

static void each_command(struct run *run, const struct ks_where *where, const struct ks_twin *row,
			 void (*tell)(struct run *run, const char *command))
{
	ks_auto_mem char *address = describe_label_uri(where, row->label);
	ks_auto_mem char *entry = address ? ks_text_word(address) : NULL;
	ks_auto_mem char *file = file_named(row->label);
	const struct handwork work = { run, where, row, entry, file };

	for (size_t i = 0; entry && file && i < STEPS; i++) {
		ks_auto(buffer) text = ks_buffer_new(COMMAND);

		if (!text || !(row->steps & steps[i].belongs))
			continue;
		steps[i].put(text, &work);
		if (!text->status)
			tell(run, ks_buffer_string(text));
	}
}

static void tell_command_json(struct run *run, const char *command)
{
	out_string(&run->out, NULL, command);
}

static void tell_command(struct run *run, const char *command)
{
	out_line(&run->out, "    %s", command);
}

/* ---- rows as JSON ---- */

static void names_json(json_t *object, const struct ks_altnames *names)
{
	json_t *list = json_array();

	for (size_t i = 0; i < names->count; i++)
		json_array_append_new(list, json_sprintf("%s:%s", names->names[i].kind, names->names[i].value));
	json_object_set_new(object, "names", list);
}

static void steps_json(json_t *object, const char *key, unsigned wanted)
{
	json_t *list = json_array();

	for (size_t i = 0; i < STEPS; i++) {
		if (wanted & steps[i].belongs)
			json_array_append_new(list, json_string(steps[i].name));
	}
	json_object_set_new(object, key, list);
}

static void side_json(json_t *object, struct run *run, const char *key, const struct ks_where *where,
		      const struct ks_twin_key *side)
{
	struct described described;

	if (!side)
		return;
	describe(&described, side->entry);
	json_object_set_new(object, key, describe_json(run, where, &described));
}

static json_t *row_json(struct run *run, const struct twinning *twinning, const struct ks_store *second,
			const struct ks_twin *row)
{
	const struct ks_generate *like = row->first ? &row->first->like : &row->second->like;
	char uses[KS_USES_TEXT];
	json_t *object = json_object(), *differences = json_array();

	out_set_label(object, "label", ks_bytes_of(row->label));
	out_set_text(object, "state", ks_twin_state_name(row->state));
	out_set_text(object, "why", row->why);
	ks_uses_text(uses, like->uses);
	out_set_text(object, "usage", uses);
	if (row->facts.subject.data) {
		ks_auto_mem char *subject = ks_name_text(row->facts.subject);

		out_set_text(object, "subject", subject);
		names_json(object, &row->names);
	}
	if (row->profile)
		out_set_text(object, "profile", row->profile->name);
	steps_json(object, "steps", row->steps);
	steps_json(object, "done", row->done);
	for (size_t i = 0; row->differences[i]; i++)
		json_array_append_new(differences, out_utf8(ks_bytes_of(row->differences[i])));
	json_object_set_new(object, "differences", differences);
	side_json(object, run, "first", twinning->first->where, row->first);
	side_json(object, run, "second", second->where, row->second);
	return object;
}

/* ---- rows for people ---- */

static const char *step_words(unsigned wanted)
{
	static const char *const words[] = {
		[0] = "",
		[KS_TWIN_GENERATE] = "key",
		[KS_TWIN_CERTIFY] = "certificate",
		[KS_TWIN_GENERATE | KS_TWIN_CERTIFY] = "key and certificate",
	};

	return words[wanted];
}

static void row_text(struct run *run, const struct ks_twin *row)
{
	static const char signs[] = {
		[KS_TWIN_ALIKE] = '=', [KS_TWIN_LACKING] = '+', [KS_TWIN_OTHER] = '~',
		[KS_TWIN_APART] = '!', [KS_TWIN_EXTRA] = '>',
	};
	static const char *const said[] = {
		[KS_TWIN_ALIKE] = "alike",
		[KS_TWIN_LACKING] = "lacks its",
		[KS_TWIN_OTHER] = "something else",
		[KS_TWIN_APART] = "no twin",
		[KS_TWIN_EXTRA] = "only on the second token",
	};
	ks_auto_mem char *subject = row->facts.subject.data ? ks_name_text(row->facts.subject) : NULL;
	char title[32];

	ks_keyspec_title(title, row->first ? &row->first->like.spec : &row->second->like.spec);
	if (row->done)
		out_line(&run->out, "+ %s   %s%s%s   %s made", row->label, title, subject ? ", " : "",
			 subject ? subject : "", step_words(row->done));
	else
		out_line(&run->out, "%c %s   %s%s%s   %s%s%s%s%s", signs[row->state], row->label, title,
			 subject ? ", " : "", subject ? subject : "", said[row->state],
			 row->state == KS_TWIN_LACKING ? " " : "",
			 row->state == KS_TWIN_LACKING ? step_words(row->steps) : "", row->why ? ": " : "",
			 row->why ? row->why : "");
	for (size_t i = 0; row->differences[i]; i++)
		out_line(&run->out, "    %s", row->differences[i]);
}

static void tell_rows(struct run *run, const struct twinning *twinning, const struct ks_store *second,
		      const struct ks_twins *twins)
{
	out_open(&run->out, "twins", '[');
	for (size_t i = 0; i < twins->count; i++) {
		const struct ks_twin *row = &twins->rows[i];

		if (run->out.json)
			out_value(&run->out, NULL, row_json(run, twinning, second, row));
		else
			row_text(run, row);
	}
	out_close(&run->out);
	out_open(&run->out, "commands", '[');
	for (size_t i = 0; i < twins->count && (!twinning->ca || run->out.json); i++) {
		if (twins->rows[i].steps && !run->out.json)
			out_line(&run->out, "for %s, by hand:", twins->rows[i].label);
		each_command(run, second->where, &twins->rows[i], run->out.json ? tell_command_json : tell_command);
	}
	out_close(&run->out);
}

/* ---- the whole ---- */

static void tell_next(struct run *run, const struct ks_twins *twins, const struct twinning *twinning)
{
	size_t lacking = 0, other = 0;

	for (size_t i = 0; i < twins->count; i++) {
		lacking += twins->rows[i].steps != 0;
		other += twins->rows[i].state == KS_TWIN_OTHER && !twins->rows[i].steps &&
			 twins->rows[i].second->entry->certificate;
	}
	if (lacking && !twinning->ca)
		run_say(run, "with --ca DIR the same command makes what is lacking");
	else if (lacking && run->options->dry_run)
		run_say(run, "nothing was changed");
	if (other && !twinning->wish.replace)
		run_say(run, "what is something else stays; with --replace a certificate goes, a key never");
	if (twins->count == 0)
		run_say(run, "there is no private key on either token");
}

static int twin(struct run *run, struct ks_store *second, void *user)
{
	const struct twinning *twinning = user;
	ks_auto(twins) twins = NULL;
	bool dry = run->options->dry_run;
	int rc;

	rc = ks_twins_new(&twins, twinning->first, second, twinning->only);
	if (rc == 0)
		rc = ks_twins_plan(twins, &twinning->wish);
	if (rc == 0 && twinning->ca)
		rc = ks_twins_certify(twins, twinning->ca, &twinning->wish);
	if (rc == 0 && twinning->ca && !dry)
		rc = ks_twins_apply(twins, twinning->ca, &twinning->wish);
	if (rc < 0)
		return rc;
	tell_rows(run, twinning, second, twins);
	tell_next(run, twins, twinning);
	return ks_twins_alike(twins, twinning->ca && dry) ? 0 : KS_NO_DIFFERS;
}

/* Two addresses may mean one token: by label and by serial number, or through two modules. */
static int check_two(struct run *run, const struct ks_where *first, const struct ks_where *second)
{
	struct ks_token **left = NULL, **right = NULL;
	int rc = token_the_one(&left, run, first);

	if (rc == 0)
		rc = token_the_one(&right, run, second);
	if (rc == 0 && (strcmp(left[0]->uri, right[0]->uri) == 0 ||
			(left[0]->slot == right[0]->slot && strcmp(left[0]->module, right[0]->module) == 0)))
		rc = ks_hint(run->ctx,
			     ks_fail(run->ctx, KS_EUSAGE, "%s and %s are the same token, \"%s\"", ks_where_text(first),
				     ks_where_text(second), left[0]->label),
			     "a twin is a second device; keystow token list shows those that are there");
	ks_tokens_free(left);
	ks_tokens_free(right);
	return rc;
}

static int second_where(struct ks_where **out, struct run *run)
{
	ks_auto(where) where = NULL;
	int rc = stores_whole_where(&where, run, run_operand(run, 1), run->options->to_pin_source);

	if (rc == 0 && !ks_where_is_token(where))
		rc = ks_hint(run->ctx, ks_fail(run->ctx, KS_EUSAGE, "%s is no token", ks_where_text(where)),
			     "a key in a file needs no twin: keystow copy copies it");
	if (rc == 0)
		*out = ks_take(where);
	return rc;
}

static int open_ca(struct ks_ca **out, struct run *run)
{
	ks_auto_mem char *dir = NULL;
	const char *source = NULL;
	int rc;

	if (!run->options->ca)
		return 0;
	rc = settings_ca(&dir, &source, run);
	return rc < 0 ? rc : ks_ca_open(out, run->ctx, dir, source);
}

int token_twin_run(struct run *run)
{
	const struct options *options = run->options;
	ks_auto(where) first_where = NULL;
	ks_auto(where) where = NULL;
	ks_auto(store) first = NULL;
	ks_auto(ca) ca = NULL;
	struct twinning twinning = { .wish = { .now = time(NULL),
					       .profile = options->profile,
					       .days = options->days,
					       .replace = options->replace,
					       .allow_extractable = options->allow_extractable } };
	int rc;

	rc = token_where(&first_where, run, options->pin_source);
	if (rc == 0)
		rc = second_where(&where, run);
	if (rc == 0)
		rc = check_two(run, first_where, where);
	if (rc == 0)
		rc = open_ca(&ca, run);
	if (rc == 0)
		rc = ks_store_open(&first, run->ctx, first_where, KS_READ | KS_LOGIN);
	if (rc == 0 && ks_where_names_entry(first_where))
		rc = ks_store_entry(&twinning.only, first, first_where);
	if (rc < 0)
		return rc;
	describe_problems(run, first);
	twinning.first = first;
	twinning.ca = ca;
	return stores_only(run, where, (ca && !options->dry_run ? KS_WRITE : KS_READ) | KS_LOGIN, twin, &twinning);
}
