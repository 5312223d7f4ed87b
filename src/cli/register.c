/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keystow token register: what other programs have to be told before they use a token, printed, or written into files that are named.
 *
 * Nothing is written before all files and the NSS database have been looked at; what is as it should be already stays untouched.
 */
#include "register.h"
#include "commands.h"
#include "describe.h"
#include "disk.h"
#include "folder.h"
#include "nss_modules.h"
#include "stores.h"
#include "text.h"
#include "token_where.h"
#include "where.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ALL_PROGRAMS ((1u << KS_PROGRAMS) - 1)

enum state { SHOWN, ADDED, REPLACED, KEPT };
static const char *const state_words[] = { "show", "add", "replace", "keep" };
static const char state_signs[] = { ' ', '+', '~', '=' };

struct target {
	char *path;
	enum state state;
};

struct registering {
	struct ks_glue *glue;
	struct ks_glue_wish wish;
	struct target *targets; /* one for each file of the glue */
	enum ks_nss_change nss;
	char *nss_name; /* NULL = no database was named */
};

/* ---- what is wanted ---- */

static int program_of(unsigned *programs, struct ks_ctx *ctx, const char *word)
{
	const char *near = ks_nearest(word, ks_program_words);

	for (size_t i = 0; i < KS_PROGRAMS; i++) {
		if (strcmp(word, ks_program_words[i]) == 0) {
			*programs |= 1u << i;
			return 0;
		}
	}
	return ks_hint(ctx,
		       ks_fail(ctx, KS_EUSAGE, "--for does not know %s%s%s%s", word, near ? "; did you mean " : "",
			       near ? near : "", near ? "?" : ""),
		       "it takes java, nss, p11-kit, openssl, nginx, curl and ssh");
}

/* The folder that files are written into, or NULL: they are shown. */
static const char *output(const struct run *run)
{
	const char *folder = run->options->output;

	return folder && strcmp(folder, "-") != 0 ? folder : NULL;
}

static int programs_of(unsigned *programs, struct run *run)
{
	const struct words *words = &run->options->programs;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < words->count; i++) {
		ks_auto_mem char *copy = strdup(words->words[i]);
		char *rest = copy, *word;

		if (!copy)
			return ks_nomem(run->ctx);
		while (rc == 0 && (word = strsep(&rest, ",")))
			rc = program_of(programs, run->ctx, word);
	}
	if (!words->count)
		*programs = run->options->nss && !output(run) ? 1u << KS_FOR_NSS : ALL_PROGRAMS;
	if (run->options->nss)
		*programs |= 1u << KS_FOR_NSS;
	return rc;
}

/* `path` from the root, because programs read it in another folder than we do; it may not be there yet. */
static int whole_path(char **out, struct run *run, const char *path)
{
	ks_auto_mem char *here = getcwd(NULL, 0);

	*out = realpath(path, NULL);
	if (!*out && path[0] == '/')
		*out = strdup(path);
	else if (!*out && (!here || asprintf(out, "%s/%s", here, path) < 0))
		*out = NULL;
	return *out ? 0 : ks_nomem(run->ctx);
}

/* The folder of an NSS database as NSS's own tools are given it, sql:DIR or DIR. */
static int nss_folder(char **out, struct run *run)
{
	const char *typed = run->options->nss;

	if (!typed)
		return 0;
	return whole_path(out, run, strncmp(typed, "sql:", 4) == 0 ? typed + 4 : typed);
}

/* Only a file can be named to other programs; what is typed or piped is not. */
static int pin_source_of(char **out, struct run *run, const struct ks_where *where)
{
	ks_auto_mem char *path = NULL;
	int rc;

	if (!where->pin_source || strncmp(where->pin_source, "file:", 5) != 0)
		return 0;
	rc = whole_path(&path, run, where->pin_source + 5);
	return rc == 0 && asprintf(out, "file:%s", path) < 0 ? ks_nomem(run->ctx) : rc;
}

/* ---- looking at what is there ---- */

static int look_at_file(struct target *target, struct run *run, const struct registering *work,
			const struct ks_glue_file *file)
{
	__attribute__((cleanup(ks_disk_freep))) struct ks_disk *disk = NULL;
	int rc;

	if (asprintf(&target->path, "%s/%s", work->wish.folder, file->name) < 0) {
		target->path = NULL;
		return ks_nomem(run->ctx);
	}
	if (!output(run))
		return 0;
	rc = access(target->path, F_OK) == 0 ? ks_disk_open(&disk, run->ctx, target->path, KS_DISK_READ) : 0;
	if (rc < 0)
		return rc;
	target->state = ADDED;
	if (disk)
		target->state = ks_bytes_equal(ks_disk_content(disk), ks_buffer_bytes(file->text)) ? KEPT : REPLACED;
	if (target->state == REPLACED && !run->options->replace)
		return ks_hint(
			run->ctx,
			ks_fail(run->ctx, KS_EEXISTS, "%s is there and says something else; nothing was written",
				target->path),
			"with --replace it is written, and the old one stays as %s.old; or choose another folder",
			target->path);
	return 0;
}

static int look_at_files(struct registering *work, struct run *run)
{
	int rc = 0;

	work->targets = ks_array(work->glue->file_count + 1, sizeof(*work->targets));
	if (!work->targets)
		return ks_nomem(run->ctx);
	for (size_t i = 0; rc == 0 && i < work->glue->file_count; i++)
		rc = look_at_file(&work->targets[i], run, work, &work->glue->files[i]);
	return rc;
}

static int nss(struct registering *work, struct run *run, const struct ks_token *token, bool dry_run)
{
	const struct ks_nss_module module = { work->glue->name, token->module_file, token->init_args };
	const struct ks_nss_wish wish = { .replace = run->options->replace, .dry_run = dry_run };

	if (!work->wish.nss)
		return 0;
	free(ks_take(work->nss_name));
	return ks_nss_modules_register(&work->nss, &work->nss_name, run->ctx, work->wish.nss, &module, &wish);
}

/* ---- writing ---- */

static int write_file(struct run *run, const struct target *target, const struct ks_glue_file *file)
{
	__attribute__((cleanup(ks_disk_freep))) struct ks_disk *disk = NULL;
	const struct ks_disk_wish wish = { .keep_old = true };
	const struct ks_bytes content = ks_buffer_bytes(file->text);
	bool changed = false;
	int rc = ks_folder_above(run->ctx, target->path, 0755);

	if (rc == 0)
		rc = ks_disk_open(&disk, run->ctx, target->path, KS_DISK_WRITE | KS_DISK_CREATE);
	if (rc == 0)
		rc = ks_disk_lock(disk, &changed);
	if (rc == 0 && target->state == ADDED && ks_disk_exists(disk))
		rc = ks_fail(run->ctx, KS_ECHANGED, "%s was made by somebody else meanwhile", target->path);
	if (rc == 0)
		rc = ks_disk_stage(disk, &content, 1, &wish);
	return rc < 0 ? rc : ks_disk_publish(disk);
}

static int write_files(const struct registering *work, struct run *run)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < work->glue->file_count; i++) {
		if (work->targets[i].state == ADDED || work->targets[i].state == REPLACED)
			rc = write_file(run, &work->targets[i], &work->glue->files[i]);
	}
	return rc;
}

/* ---- telling ---- */

static void tell_lines_of_text(struct run *run, const struct ks_glue_file *file)
{
	const char *at = ks_buffer_string(file->text);

	while (*at) {
		size_t size = strcspn(at, "\n");

		out_line(&run->out, "%.*s", (int)size, at);
		at += size + (at[size] == '\n');
	}
	out_line(&run->out, "%s", "");
}

static void tell_file(struct run *run, const struct target *target, const struct ks_glue_file *file)
{
	json_t *object;

	if (!run->out.json) {
		if (target->state == SHOWN)
			out_line(&run->out, "==> %s <==", target->path);
		else
			out_line(&run->out, "%c %s", state_signs[target->state], target->path);
		if (target->state == SHOWN)
			tell_lines_of_text(run, file);
		return;
	}
	object = json_object();
	out_set_text(object, "path", target->path);
	out_set_text(object, "what", state_words[target->state]);
	json_object_set_new(object, "text", out_utf8(ks_buffer_bytes(file->text)));
	out_value(&run->out, NULL, object);
}

static void tell_nss(struct run *run, const struct registering *work)
{
	static const enum state states[] = { [KS_NSS_KEEP] = KEPT, [KS_NSS_ADD] = ADDED, [KS_NSS_REPLACE] = REPLACED };
	json_t *object;

	if (!work->nss_name)
		return;
	if (!run->out.json) {
		out_line(&run->out, "%c module %s in the NSS database %s", state_signs[states[work->nss]],
			 work->nss_name, work->wish.nss);
		return;
	}
	object = json_object();
	out_set_text(object, "database", work->wish.nss);
	json_object_set_new(object, "module", out_utf8(ks_bytes_of(work->nss_name)));
	out_set_text(object, "what", state_words[states[work->nss]]);
	out_value(&run->out, "nss", object);
}

static void tell_lines(struct run *run, const struct ks_glue *glue)
{
	static const char *const signs[] = { [KS_GLUE_USE] = "", [KS_GLUE_NOTE] = "note: ", [KS_GLUE_CANNOT] = "! " };

	for (size_t i = 0; i < glue->line_count; i++)
		out_line(&run->out, "%-8s  %s%s", ks_program_words[glue->lines[i].program], signs[glue->lines[i].kind],
			 glue->lines[i].text);
}

static json_t *lines_json(const struct ks_glue *glue, enum ks_program program, enum ks_glue_kind kind)
{
	json_t *list = json_array();

	for (size_t i = 0; i < glue->line_count; i++) {
		if (glue->lines[i].program == program && glue->lines[i].kind == kind)
			json_array_append_new(list, out_utf8(ks_bytes_of(glue->lines[i].text)));
	}
	return list;
}

static void tell_programs(struct run *run, const struct registering *work)
{
	out_open(&run->out, "programs", '[');
	for (size_t i = 0; run->out.json && i < KS_PROGRAMS; i++) {
		json_t *object;

		if (!(work->wish.programs & (1u << i)))
			continue;
		object = json_object();
		out_set_text(object, "program", ks_program_words[i]);
		json_object_set_new(object, "use", lines_json(work->glue, (enum ks_program)i, KS_GLUE_USE));
		json_object_set_new(object, "notes", lines_json(work->glue, (enum ks_program)i, KS_GLUE_NOTE));
		json_object_set_new(object, "cannot", lines_json(work->glue, (enum ks_program)i, KS_GLUE_CANNOT));
		out_value(&run->out, NULL, object);
	}
	out_close(&run->out);
	if (!run->out.json)
		tell_lines(run, work->glue);
}

static bool nothing_to_do(const struct registering *work)
{
	for (size_t i = 0; i < work->glue->file_count; i++) {
		if (work->targets[i].state != KEPT)
			return false;
	}
	return !work->nss_name || work->nss == KS_NSS_KEEP;
}

static void tell(struct run *run, const struct registering *work)
{
	out_open(&run->out, "files", '[');
	for (size_t i = 0; i < work->glue->file_count; i++)
		tell_file(run, &work->targets[i], &work->glue->files[i]);
	out_close(&run->out);
	tell_nss(run, work);
	tell_programs(run, work);
	if (!output(run) && !run->options->nss)
		return;
	if (nothing_to_do(work))
		run_say(run, "nothing to do");
	else if (run->options->dry_run)
		run_say(run, "this was a dry run, nothing was changed");
}

/* ---- the command ---- */

static int register_token(struct run *run, struct registering *work, const struct ks_where *where,
			  const struct ks_token *token)
{
	__attribute__((cleanup(ks_store_freep))) struct ks_store *store = NULL;
	int rc = ks_store_open(&store, run->ctx, where, KS_READ | (stores_login(where) ? KS_LOGIN : KS_WITHOUT_SECRET));

	if (rc == 0)
		describe_problems(run, store); /* a key that was not understood gets no files, and that is not silent */
	if (rc == 0)
		rc = ks_glue_make(&work->glue, store, token, &work->wish);
	if (rc == 0)
		rc = look_at_files(work, run);
	if (rc == 0)
		rc = nss(work, run, token, true);
	if (rc == 0 && !run->options->dry_run)
		rc = write_files(work, run);
	if (rc == 0 && !run->options->dry_run)
		rc = nss(work, run, token, false);
	if (rc == 0)
		tell(run, work);
	return rc;
}

static void registering_clear(struct registering *work)
{
	for (size_t i = 0; work->targets && i < work->glue->file_count; i++)
		free(work->targets[i].path);
	free(work->targets);
	free(work->nss_name);
	ks_glue_free(work->glue);
}

int token_register_run(struct run *run)
{
	ks_auto(where) where = NULL;
	ks_auto_mem char *folder = NULL, *pin_source = NULL, *database = NULL;
	struct ks_token **tokens = NULL;
	struct registering work = { 0 };
	int rc = programs_of(&work.wish.programs, run);

	if (rc == 0)
		rc = token_where(&where, run, run->options->pin_source);
	if (rc == 0)
		rc = whole_path(&folder, run, output(run) ? output(run) : ".");
	if (rc == 0)
		rc = nss_folder(&database, run);
	if (rc == 0)
		rc = pin_source_of(&pin_source, run, where);
	if (rc == 0)
		rc = token_the_one(&tokens, run, where);
	if (rc < 0)
		return rc;
	work.wish.folder = folder;
	work.wish.nss = database;
	work.wish.pin_source = pin_source;
	rc = register_token(run, &work, where, tokens[0]);
	registering_clear(&work);
	ks_tokens_free(tokens);
	return rc;
}
