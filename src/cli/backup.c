/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keystow token backup, token restore: keys between tokens, under a key that nobody has alone.
 */
#include "backups.h"
#include "commands.h"
#include "describe.h"
#include "secrets.h"
#include "stores.h"
#include "term.h"
#include "text.h"
#include "where.h"

#include <stdio.h>
#include <string.h>

static int need_token(struct run *run, const struct ks_where *where)
{
	if (ks_where_is_token(where))
		return 0;
	return ks_hint(run->ctx, ks_fail(run->ctx, KS_EUSAGE, "%s is no token", ks_where_text(where)),
		       "name it as in pkcs11:token=LABEL; a store that is a file is backed up by copying it");
}

/* What the file is; for programs. */
static void tell_backup(struct run *run, const struct ks_backup *backup, const char *path)
{
	char set[2 * KS_SET_ID + 1], made[21];

	ks_hex(set, KS_BYTES(backup->set, KS_SET_ID));
	ks_time_text(made, backup->made);
	out_open(&run->out, "backup", '{');
	out_string(&run->out, "file", path);
	out_string(&run->out, "set", set);
	out_string(&run->out, "made", made);
	out_value(&run->out, "token", out_utf8(backup->token));
	out_number(&run->out, "shares", backup->count);
	out_number(&run->out, "threshold", backup->threshold);
}

/* ---- backup ---- */

struct saving {
	unsigned shares, threshold;
	char **paths; /* of the shares */
};

static void saving_end(struct saving *saving)
{
	for (unsigned i = 0; saving->paths && i < saving->shares; i++)
		free(saving->paths[i]);
	free(saving->paths);
}

/* Where each share goes: as named, or beside the backup. */
static int share_paths(struct saving *saving, struct run *run)
{
	const struct words *named = &run->options->share;

	if (named->count && named->count != saving->shares)
		return ks_hint(run->ctx,
			       ks_fail(run->ctx, KS_EUSAGE, "there are %u shares, and --share names %zu files", saving->shares,
				       named->count),
			       "name one file for each share, or none");
	saving->paths = ks_array(saving->shares, sizeof(*saving->paths));
	if (!saving->paths)
		return ks_nomem(run->ctx);
	for (unsigned i = 0; i < saving->shares; i++) {
		if (named->count)
			saving->paths[i] = strdup(named->words[i]);
		else if (asprintf(&saving->paths[i], "%s.share-%u", run->options->output, i + 1) < 0)
			saving->paths[i] = NULL;
		if (!saving->paths[i])
			return ks_nomem(run->ctx);
	}
	return 0;
}

static int saving_start(struct saving *saving, struct run *run)
{
	const struct options *options = run->options;

	saving->shares = options->shares ? options->shares : 5;
	saving->threshold = options->threshold ? options->threshold : saving->shares < 3 ? saving->shares : 3;
	if (!options->output || strcmp(options->output, "-") == 0)
		return ks_hint(run->ctx, ks_fail(run->ctx, KS_EUSAGE, "token backup wants a file for the backup"),
			       "as in -o usbhsm.backup");
	if (saving->shares < 2 || saving->shares > KS_SHARES_MOST || saving->threshold < 2 ||
	    saving->threshold > saving->shares)
		return ks_hint(run->ctx,
			       ks_fail(run->ctx, KS_EUSAGE, "%u of %u shares cannot be: there are 2 to %d, and at least 2 are needed",
				       saving->threshold, saving->shares, KS_SHARES_MOST),
			       "as in --shares 5 --threshold 3");
	return share_paths(saving, run);
}

static void tell_saved(struct run *run, const struct ks_backup *backup, const struct saving *saving)
{
	tell_backup(run, backup, run->options->output);
	out_open(&run->out, "share_files", '[');
	for (unsigned i = 0; i < saving->shares; i++)
		out_string(&run->out, NULL, saving->paths[i]);
	out_close(&run->out);
	out_close(&run->out);
	out_line(&run->out, "%s: any %u of %u shares open it", run->options->output, backup->threshold, backup->count);
	for (unsigned i = 0; i < saving->shares; i++)
		out_line(&run->out, "  share %u  %s", i + 1, saving->paths[i]);
	run_say(run, "give each share to another person, then delete it here; with %u of them anybody who has the backup has the keys",
		backup->threshold);
}

static int save(struct run *run, struct ks_store *store, void *user)
{
	const struct saving *saving = user;
	ks_auto(plan) plan = NULL;
	ks_auto(backup_made) made = NULL;
	int rc;

	rc = ks_backup_plan(&plan, store, run->options->strict);
	if (rc == 0 && !run->options->dry_run)
		rc = ks_backup_make(&made, store, plan, saving->shares, saving->threshold,
				    run->options->strict);
	if (rc == 0 && made)
		rc = ks_backup_write(run->ctx, made, run->options->output, saving->paths, run->options->replace);
	if (rc < 0)
		return rc;
	describe_plan(run, plan);
	if (made)
		tell_saved(run, made->backup, saving);
	return 0;
}

int token_backup_run(struct run *run)
{
	__attribute__((cleanup(saving_end))) struct saving saving = { 0 };
	ks_auto(where) where = NULL;
	int rc;

	rc = stores_where(&where, run, run_operand(run, 0), run->options->pin_source);
	if (rc == 0)
		rc = need_token(run, where);
	if (rc == 0)
		rc = saving_start(&saving, run);
	return rc < 0 ? rc : stores_only(run, where, KS_READ | KS_LOGIN, save, &saving);
}

/* ---- restore ---- */

struct restoring {
	struct ks_backup *backup;
	struct ks_secret *transport; /* NULL: a dry run without shares */
	struct ks_share shares[KS_SHARES_MOST];
	char *named[KS_SHARES_MOST]; /* what sentences call them */
	unsigned count;
};

static void restoring_end(struct restoring *restoring)
{
	for (unsigned i = 0; i < restoring->count; i++) {
		ks_share_clear(&restoring->shares[i]);
		free(restoring->named[i]);
	}
	ks_secret_free(restoring->transport);
	ks_backup_free(restoring->backup);
}

/* Takes the share out of `text`; owns `named` from now on. */
static int add_share(struct restoring *restoring, struct run *run, const struct ks_secret *text, char *named)
{
	unsigned n = restoring->count;
	int rc = named ? 0 : ks_nomem(run->ctx);

	if (rc == 0 && n == KS_SHARES_MOST)
		rc = ks_fail(run->ctx, KS_EUSAGE, "there are at most %d shares", KS_SHARES_MOST);
	if (rc == 0)
		rc = ks_share_read(&restoring->shares[n], run->ctx, text, named);
	if (rc < 0) {
		free(named);
		return rc;
	}
	restoring->named[n] = named;
	restoring->count++;
	return 0;
}

static int share_from_file(struct restoring *restoring, struct run *run, const char *path)
{
	ks_auto(secret) text = NULL;
	char *named = NULL;
	int rc = secrets_file(&text, run, path);

	if (rc < 0)
		return rc;
	if (asprintf(&named, "the share in %s", path) < 0)
		named = NULL;
	return add_share(restoring, run, text, named);
}

static int share_from_person(struct restoring *restoring, struct run *run)
{
	ks_auto(secret) text = NULL;
	char label[48];
	const struct ks_question question = {
		.ask = KS_ASK_SHARE, .store = run_operand(run, 0), .label = label, .tries_left = -1
	};
	char *named = NULL;
	int rc;

	snprintf(label, sizeof(label), "(%u of %u)", restoring->count + 1, restoring->backup->threshold);
	rc = secrets_get(&text, run, &question);
	if (rc < 0)
		return rc;
	if (asprintf(&named, "the share typed as %u of %u", restoring->count + 1, restoring->backup->threshold) < 0)
		named = NULL;
	return add_share(restoring, run, text, named);
}

/* Shares from files, then from people while some are missing and somebody can be asked. A dry run does without any. */
static int collect(struct restoring *restoring, struct run *run)
{
	const struct words *files = &run->options->share;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < files->count; i++)
		rc = share_from_file(restoring, run, files->words[i]);
	if (rc < 0 || (run->options->dry_run && files->count == 0))
		return rc;
	while (rc == 0 && restoring->count < restoring->backup->threshold && !run->options->no_input && term_present())
		rc = share_from_person(restoring, run);
	return rc < 0 ? rc
		      : ks_backup_unlock(&restoring->transport, restoring->backup, restoring->shares, restoring->named,
					 restoring->count);
}

static int restore(struct run *run, struct ks_store *store, void *user)
{
	struct restoring *restoring = user;
	ks_auto(plan) plan = NULL;
	int rc;

	rc = ks_restore_plan(&plan, store, restoring->backup);
	if (rc == 0 && !run->options->dry_run)
		rc = ks_restore_apply(store, plan, restoring->transport, run->options->allow_extractable);
	if (rc < 0)
		return rc;
	tell_backup(run, restoring->backup, run_operand(run, 0));
	out_value(&run->out, "checked", json_boolean(restoring->transport != NULL));
	out_close(&run->out);
	describe_plan(run, plan);
	if (!restoring->transport)
		run_remark(run, KS_ENOSECRET, "the backup was not checked, because no share was given",
			   "name the shares with --share FILE", run_operand(run, 0));
	return 0;
}

int token_restore_run(struct run *run)
{
	__attribute__((cleanup(restoring_end))) struct restoring restoring = { 0 };
	ks_auto(where) where = NULL;
	int rc;

	if (!run->options->to)
		return ks_hint(run->ctx, ks_fail(run->ctx, KS_EUSAGE, "token restore wants the token to restore into"),
			       "as in --to pkcs11:token=spare");
	rc = stores_whole_where(&where, run, run->options->to, run->options->to_pin_source);
	if (rc == 0)
		rc = need_token(run, where);
	if (rc == 0)
		rc = ks_backup_open(&restoring.backup, run->ctx, run_operand(run, 0));
	if (rc == 0)
		rc = collect(&restoring, run);
	return rc < 0 ? rc : stores_only(run, where, KS_WRITE | KS_LOGIN, restore, &restoring);
}
