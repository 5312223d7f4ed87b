/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keystow ca init, ca sign, ca list: a local CA.
 */
#include "ca.h"
#include "commands.h"
#include "describe.h"
#include "disk.h"
#include "pem.h"
#include "secrets.h"
#include "settings.h"
#include "stores.h"
#include "table.h"
#include "term.h"
#include "text.h"
#include "where.h"
#include "wishes.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void tell_certificate(struct run *run, const char *key, struct ks_item *certificate)
{
	const struct ks_entry entry = { .certificate = certificate };
	struct described described;

	if (!run->out.json)
		return;
	describe(&described, &entry);
	out_value(&run->out, key, describe_json(run, NULL, &described));
}

/* ---- ca init ---- */

static const char *init_source(const struct run *run)
{
	return run->options->ca_pin_source ? run->options->ca_pin_source : run->options->pin_source;
}

/* The password that seals ca.key; none is left out silently. */
static int init_password(struct ks_secret **out, struct run *run, const char *dir)
{
	const struct ks_question question = {
		.ask = KS_ASK_PASSWORD,
		.store = dir,
		.label = "(the CA's key)",
		.source = init_source(run),
		.tries_left = -1,
		.fresh = true,
	};

	if (!run->options->no_password && (question.source || (term_present() && !run->options->no_input)))
		return secrets_get(out, run, &question);
	return 0;
}

static int init_wish(struct ks_ca_wish *wish, struct run *run, struct ks_where **key, struct ks_secret **password)
{
	const struct options *options = run->options;
	int rc = 0;

	if (!options->subject)
		return ks_hint(run->ctx, ks_fail(run->ctx, KS_EUSAGE, "ca init wants a --subject"),
			       "as in --subject CN=SSSCA,O=organisation,C=GB");
	if (options->key)
		rc = stores_entry_where(key, run, options->key, init_source(run));
	else
		rc = init_password(password, run, run_operand(run, 0));
	*wish = (struct ks_ca_wish){
		.subject = options->subject,
		.key = *key,
		.spec = options->type,
		.days = options->days,
		.password = *password,
		.pin_source = init_source(run),
	};
	return rc;
}

static void remark_clear_key(struct run *run, const char *dir)
{
	ks_auto_mem char *path = NULL;
	ks_auto_mem char *word = NULL;
	ks_auto_mem char *hint = NULL;

	if (asprintf(&path, "%s/ca.key", dir) >= 0 && (word = ks_text_word(path)) &&
	    asprintf(&hint, "keystow passwd %s seals it", word) >= 0)
		run_remark(run, KS_EWEAK, "the CA's key stands in the clear in its folder, readable by you alone", hint,
			   dir);
}

int ca_init_run(struct run *run)
{
	const char *dir = run_operand(run, 0);
	ks_auto(where) key = NULL;
	ks_auto(secret) password = NULL;
	ks_auto(ca) ca = NULL;
	struct ks_ca_wish wish;
	ks_auto_mem char *subject = NULL;
	struct ks_certificate_facts facts;
	char until[11] = "";
	int rc;

	rc = init_wish(&wish, run, &key, &password);
	if (rc == 0)
		rc = ks_ca_init(run->ctx, dir, &wish);
	if (rc == 0)
		rc = ks_ca_open(&ca, run->ctx, dir, NULL);
	if (rc < 0)
		return rc;
	if (!key && !password)
		remark_clear_key(run, dir);
	if (ks_certificate_facts(&facts, ks_ca_certificate(ca)->der) == 0) {
		subject = ks_name_text(facts.subject);
		ks_date_text(until, facts.not_after);
	}
	out_string(&run->out, "ca", dir);
	tell_certificate(run, "certificate", ks_ca_certificate(ca));
	out_line(&run->out, "+ CA %s in %s, valid until %s", subject ? subject : "", dir, until);
	return 0;
}

/* ---- ca sign ---- */

struct ks_signing {
	struct ks_request **requests;
	char **outputs; /* file for each, NULL = standard output */
	struct ks_buffer **certificates; /* NULL until signed */
	size_t count;
};

static void ks_signing_free(struct ks_signing *signing)
{
	if (!signing)
		return;
	for (size_t i = 0; i < signing->count; i++) {
		if (signing->requests)
			ks_request_free(signing->requests[i]);
		if (signing->outputs)
			free(signing->outputs[i]);
		if (signing->certificates)
			ks_buffer_free(signing->certificates[i]);
	}
	free(signing->requests);
	free(signing->outputs);
	free(signing->certificates);
	free(signing);
}
KS_FREES(signing)

static int signing_new(struct ks_signing **out, struct run *run)
{
	ks_auto(signing) signing = calloc(1, sizeof(*signing));

	if (!signing)
		return ks_nomem(run->ctx);
	signing->count = run->args.operands.count;
	signing->requests = ks_array(signing->count, sizeof(*signing->requests));
	signing->outputs = ks_array(signing->count, sizeof(*signing->outputs));
	signing->certificates = ks_array(signing->count, sizeof(*signing->certificates));
	if (!signing->requests || !signing->outputs || !signing->certificates)
		return ks_nomem(run->ctx);
	*out = ks_take(signing);
	return 0;
}

static int read_requests(struct ks_signing *signing, struct run *run)
{
	for (size_t i = 0; i < signing->count; i++) {
		const char *path = run_operand(run, i);
		ks_auto(buffer) file = NULL;
		int rc;

		rc = ks_disk_read(&file, run->ctx, path);
		if (rc == KS_ENOTFOUND)
			rc = ks_hint(run->ctx, ks_while(run->ctx, rc, "reading the request"),
				     "check the spelling; keystow request makes one for a key");
		if (rc == 0)
			rc = ks_while(run->ctx, ks_request_read(&signing->requests[i], run->ctx, ks_buffer_bytes(file)),
				      "%s", path);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* "folder/web.csr" becomes "OUT/web.pem". */
static char *output_in(const char *folder, const char *request)
{
	const char *slash = strrchr(request, '/'), *base = slash ? slash + 1 : request, *dot = strrchr(base, '.');
	char *path;

	return asprintf(&path, "%s/%.*s.pem", folder, dot ? (int)(dot - base) : (int)strlen(base), base) < 0 ? NULL
													     : path;
}

/* What would be in the way is found before anything is signed: a signature cannot be taken back. */
static int check_output(struct run *run, const char *path)
{
	if (!run->options->replace && access(path, F_OK) == 0)
		return ks_hint(run->ctx, ks_fail(run->ctx, KS_EEXISTS, "%s is there already; nothing was signed", path),
			       "choose another name, or add --replace");
	return 0;
}

static int same_output(struct run *run, const struct ks_signing *signing, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(signing->outputs[i], signing->outputs[n]) == 0)
			return ks_fail(run->ctx, KS_EUSAGE, "%s and %s would both be signed into %s",
				       run_operand(run, i), run_operand(run, n), signing->outputs[n]);
	}
	return 0;
}

static int choose_outputs(struct ks_signing *signing, struct run *run)
{
	const char *wanted = run->options->output;
	struct stat facts;
	bool folder = wanted && stat(wanted, &facts) == 0 && S_ISDIR(facts.st_mode);
	int rc = 0;

	if (!wanted || strcmp(wanted, "-") == 0)
		return 0;
	if (signing->count > 1 && !folder)
		return ks_fail(run->ctx, KS_EUSAGE, "several requests need -o with a folder, and %s is none", wanted);
	for (size_t i = 0; rc == 0 && i < signing->count; i++) {
		signing->outputs[i] = folder ? output_in(wanted, run_operand(run, i)) : strdup(wanted);
		if (!signing->outputs[i])
			return ks_nomem(run->ctx);
		rc = check_output(run, signing->outputs[i]);
		if (rc == 0)
			rc = same_output(run, signing, i);
	}
	return rc;
}

static int send_certificate(struct run *run, const char *path, struct ks_bytes der)
{
	ks_auto(buffer) pem = ks_buffer_new(1u << 20);
	struct ks_certificate_facts facts;
	ks_auto_mem char *subject = NULL, *serial = NULL;
	char until[11];
	int rc;

	if (!pem || pem_put(pem, "CERTIFICATE", der) < 0)
		return ks_nomem(run->ctx);
	rc = pem_send(run, path, ks_buffer_bytes(pem));
	if (rc < 0 || !path || ks_certificate_facts(&facts, der) < 0)
		return rc;
	subject = ks_name_text(facts.subject);
	serial = ks_hex_new(facts.serial);
	ks_date_text(until, facts.not_after);
	out_line(&run->out, "+ %s, serial %s, valid until %s, in %s", subject ? subject : "", serial ? serial : "",
		 until, path);
	return 0;
}

static int send_all(struct run *run, struct ks_signing *signing)
{
	ks_auto(set) set = NULL;
	int rc;

	rc = ks_set_new(&set, run->ctx);
	if (rc < 0)
		return rc;
	out_open(&run->out, "certificates", '[');
	for (size_t i = 0; rc == 0 && i < signing->count; i++) {
		struct ks_bytes der = ks_buffer_bytes(signing->certificates[i]);
		struct ks_item *item = ks_set_add(set, KS_CERTIFICATE);

		if (!item)
			return ks_nomem(run->ctx);
		item->der = der;
		out_open(&run->out, NULL, '{');
		tell_certificate(run, "certificate", item);
		rc = send_certificate(run, signing->outputs[i], der);
		out_close(&run->out);
	}
	out_close(&run->out);
	return rc;
}

static int sign(struct ks_signing *signing, struct run *run, struct ks_ca *ca, const struct ks_profile *profile)
{
	ks_auto_ssl(X509_NAME) subject = NULL;
	struct ks_altnames names = { 0 };
	struct ks_sign_wish wish = { .profile = profile, .days = run->options->days, .dry_run = run->options->dry_run };
	int rc = 0;

	if (run->options->subject)
		rc = wishes_subject(&subject, run);
	if (rc == 0)
		rc = wishes_names(&names, run);
	wish.subject = subject;
	wish.names = names.count ? &names : NULL;
	if (rc == 0)
		rc = ks_ca_sign(signing->certificates, ca, signing->requests, signing->count, &wish);
	ks_altnames_free(&names);
	return rc;
}

int ca_sign_run(struct run *run)
{
	ks_auto(signing) signing = NULL;
	ks_auto(profile) profile = NULL;
	ks_auto(ca) ca = NULL;
	ks_auto_mem char *dir = NULL;
	const char *source = NULL;
	int rc;

	if (!run->options->profile)
		return ks_hint(run->ctx, ks_fail(run->ctx, KS_EUSAGE, "ca sign wants a --profile"),
			       "keystow help profiles");
	rc = settings_ca(&dir, &source, run);
	if (rc == 0)
		rc = signing_new(&signing, run);
	if (rc == 0)
		rc = read_requests(signing, run);
	if (rc == 0)
		rc = choose_outputs(signing, run);
	if (rc == 0)
		rc = ks_profile_find(&profile, run->ctx, dir, run->options->profile);
	if (rc == 0)
		rc = ks_ca_open(&ca, run->ctx, dir, source);
	if (rc == 0)
		rc = sign(signing, run, ca, profile);
	if (rc < 0)
		return rc;
	if (run->options->dry_run) {
		run_say(run, "this was a dry run: %zu requests would be signed", signing->count);
		return 0;
	}
	return send_all(run, signing);
}

/* ---- ca list ---- */

struct ledger_view {
	struct run *run;
	struct table *table;
};

static int row_json(struct run *run, const struct ks_issued *row)
{
	json_t *object = json_object();

	out_set_hex(object, "serial", KS_BYTES(row->serial, sizeof(row->serial)));
	out_set_text(object, "subject", row->subject);
	out_set_text(object, "names", row->names && *row->names ? row->names : NULL);
	out_set_text(object, "profile", row->profile);
	out_set_time(object, "not_before", row->not_before);
	out_set_time(object, "not_after", row->not_after);
	out_set_time(object, "created", row->created);
	json_object_set_new(object, "state", json_string(row->revoked ? "revoked" : row->der ? "issued" : "intended"));
	out_value(&run->out, NULL, object);
	return 0;
}

static int each_row(void *user, const struct ks_issued *row)
{
	const struct ledger_view *view = user;
	char serial[2 * KS_SERIAL + 1], until[11];

	if (view->run->out.json)
		return row_json(view->run, row);
	ks_hex(serial, KS_BYTES(row->serial, sizeof(row->serial)));
	ks_date_text(until, row->not_after);
	table_row(view->table,
		  (const char *const[]){ row->subject, serial, row->profile, until,
					 row->revoked ? "revoked"
					 : row->der   ? "issued"
						      : "! signature not finished" },
		  0);
	return 0;
}

int ca_list_run(struct run *run)
{
	static const char *const headings[] = { "SUBJECT", "SERIAL", "PROFILE", "EXPIRES", "STATE", NULL };
	ks_auto(ca) ca = NULL;
	ks_auto_mem char *dir = NULL;
	auto_table *table = table_new(&run->out, headings);
	struct ledger_view view = { .run = run, .table = table };
	const char *source = NULL;
	int rc;

	rc = settings_ca(&dir, &source, run);
	if (rc == 0)
		rc = ks_ca_open(&ca, run->ctx, dir, source);
	if (rc < 0)
		return rc;
	out_string(&run->out, "ca", dir);
	out_open(&run->out, "certificates", '[');
	rc = ks_ledger_each(ks_ca_ledger(ca), each_row, &view);
	out_close(&run->out);
	return rc;
}
