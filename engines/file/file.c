/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store that is one file, whatever its format: a codec knows the bytes, this knows when they are read, asked for, locked,
 * written and believed.
 *
 * Reading: once without a secret, because that tells whether one is needed at all; then, if it is, once with it. The password is
 * asked for before the writer's lock is taken, so that a person who thinks does not keep programs waiting. Under the lock the
 * file is read again when it changed.
 *
 * Writing: encode, stage, read back, decode what was read back, hold it against what was meant, and only then publish.
 */
#include "file.h"
#include "proof.h"
#include "stash.h"
#include "stranger.h"

#include "text.h"

#include <openssl/crypto.h>

#include <string.h>
#include <strings.h>

/* ---- which format ---- */

static bool has_ending(const char *path, const char *endings)
{
	size_t size = strlen(path);

	for (const char *at = endings; *at; at += strspn(at, " ")) {
		size_t length = strcspn(at, " ");

		if (size > length && strncasecmp(path + size - length, at, length) == 0)
			return true;
		at += length;
	}
	return false;
}

/* For a file that is not there yet, its ending is all there is to go by. */
static int engine_by_ending(const struct ks_engine **out, struct ks_ctx *ctx, const struct ks_where *where)
{
	for (const struct ks_engine *const *row = ks_engines; *row; row++) {
		if ((*row)->codec && ((*row)->can & KS_CAN_WRITE) && has_ending(where->path, (*row)->endings)) {
			*out = *row;
			return 0;
		}
	}
	return ks_hint(ctx, ks_fail(ctx, KS_EADDRESS, "%s does not say what kind of store is to be made", where->text),
		       "say it: p12:%s, or pem:%s", where->path, where->path);
}

static const char *path_shown(const struct ks_where *where)
{
	return strcmp(where->path, "-") == 0 ? ks_where_shown(where) : where->path;
}

/*
 * A file that is surely of another kind than its address says is not handed to the wrong codec: it would be called damaged, and
 * the person would look for a backup of a file that is in order. What nothing knows may be damaged, so the codec says that.
 */
static int check_kind(const struct ks_file *file, struct ks_bytes content)
{
	const struct ks_engine *actual = NULL;

	if (!content.size || file->engine->codec->probe(content))
		return 0;
	if (ks_engine_probe(&actual, file->ctx, content, path_shown(file->where)) < 0) {
		if (ks_stranger(content))
			return KS_EFORMAT;
		ks_forgive(file->ctx);
		return 0;
	}
	return ks_hint(file->ctx,
		       ks_fail(file->ctx, KS_EFORMAT, "%s is a %s, not a %s", path_shown(file->where), actual->title,
			       file->engine->title),
		       "name it as it is: %s:%s", actual->name, file->where->path);
}

static int choose_engine(struct ks_file *file)
{
	struct ks_bytes content = ks_disk_content(file->disk);

	if (file->engine != &ks_engine_by_content)
		return check_kind(file, content);
	if (!ks_disk_exists(file->disk))
		return engine_by_ending(&file->engine, file->ctx, file->where);
	return ks_engine_probe(&file->engine, file->ctx, content, path_shown(file->where));
}

int ks_file_open(void *state, struct ks_ctx *ctx, const struct ks_engine *self, const struct ks_where *where, unsigned mode)
{
	struct ks_file *file = state;
	unsigned how = mode & KS_WRITE ? KS_DISK_WRITE : KS_DISK_READ;
	int rc;

	*file = (struct ks_file){ .ctx = ctx, .engine = self, .where = where, .mode = mode };
	rc = ks_disk_open(&file->disk, ctx, where->path, mode & KS_CREATE ? how | KS_DISK_CREATE : how);
	if (rc == KS_ENOTFOUND)
		return ks_hint(ctx, rc, "check the spelling; keystow new makes a new store");
	return rc < 0 ? rc : choose_engine(file);
}

void ks_file_close(void *state)
{
	struct ks_file *file = state;

	ks_disk_close(file->disk);
	ks_secret_free(file->secret);
	*file = (struct ks_file){ 0 };
}

const struct ks_engine *ks_file_actual(const void *state)
{
	const struct ks_file *file = state;

	return file->engine;
}

/* ---- the password ---- */

static int ask_password(struct ks_secret **out, struct ks_file *file, bool fresh)
{
	const struct ks_question question = {
		.ask = KS_ASK_PASSWORD,
		.store = ks_where_shown(file->where),
		.source = file->where->pin_source,
		.tries_left = -1,
		.fresh = fresh,
	};
	ks_auto(secret) secret = NULL;
	int rc;

	if (file->where->pin_value) {
		*out = ks_secret_ref(file->where->pin_value);
		return 0;
	}
	rc = ks_secret_new(&secret, file->ctx);
	if (rc == 0)
		rc = ks_ask(file->ctx, &question, secret);
	if (rc < 0)
		return rc;
	*out = ks_take(secret);
	return 0;
}

/* ---- reading ---- */

/* What was seen without a secret is not all there is, or not proven. */
static bool is_partial(const struct ks_set *set)
{
	const struct ks_problem *problem;

	if (ks_set_facts_of(set)->integrity == KS_INTEGRITY_UNCHECKED)
		return true;
	for (size_t i = 0; (problem = ks_set_problem_at(set, i)); i++) {
		if (problem->status == KS_ENOSECRET)
			return true;
	}
	return false;
}

static bool has_sealed_key(const struct ks_set *set)
{
	for (size_t i = 0; i < ks_set_count(set); i++) {
		if (ks_set_at(set, i)->flags & KS_SEALED)
			return true;
	}
	return false;
}

static int decode(const struct ks_file *file, struct ks_set *into, struct ks_bytes bytes, struct ks_secret *secret)
{
	return ks_while(file->ctx, file->engine->codec->decode(file->ctx, into, bytes, secret), "%s",
			ks_where_shown(file->where));
}

/*
 * Where the password belongs to the file as a whole, or the address names a source, it is had at once; elsewhere nobody is asked
 * for a key's password before the key is needed.
 */
static bool wants_secret(const struct ks_file *file, const struct ks_set *set, int rc)
{
	bool at_once = (file->engine->can & KS_CAN_MAC) || file->where->pin_source || file->where->pin_value;

	if (rc < 0)
		return rc == KS_ENOSECRET;
	return is_partial(set) || (at_once && has_sealed_key(set));
}

/* A stash that does not help is told, and somebody is asked instead. */
static void tell_useless(struct ks_file *file, const char *stash)
{
	ks_auto_mem char *why = strdup(ks_ctx_text(file->ctx));

	ks_forgive(file->ctx);
	ks_notice(file->ctx, KS_EPASSWORD, file->where->text, "keystow passwd with --stash writes it anew",
		  "the stash %s does not open %s%s%s", stash, file->where->text, why && *why ? ": " : "",
		  why ? why : "");
}

static void tell_stash(struct ks_file *file, const char *stash)
{
	ks_notice(file->ctx, KS_EWEAK, file->where->text,
		  "a stash hides a password and does not protect it; --pin-source names another source",
		  "the password of %s was taken from the stash %s", file->where->text, stash);
}

/*
 * With the password that programs of that format left beside the store, unless a source is named: nobody need be asked. *opened stays
 * false when there is none, or not the right one.
 */
static int decode_by_stash(bool *opened, struct ks_file *file, struct ks_set *into, struct ks_bytes bytes)
{
	ks_auto_mem char *stash = NULL;
	ks_auto(secret) secret = NULL;
	int rc;

	if (!file->engine->stash || file->where->pin_source || file->where->pin_value ||
	    strcmp(file->where->path, "-") == 0)
		return 0;
	stash = ks_stash_beside(file->where->path);
	if (!stash)
		return ks_nomem(file->ctx);
	rc = ks_stash_read(&secret, file->ctx, stash);
	if (rc == 0) {
		ks_set_forget(into);
		rc = decode(file, into, bytes, secret);
	}
	if (rc == KS_ENOTFOUND) {
		ks_forgive(file->ctx);
		return 0;
	}
	if (rc == KS_EALTERED || rc == KS_ENOMEM)
		return rc;
	if (rc < 0) {
		tell_useless(file, stash);
		return 0;
	}
	tell_stash(file, stash);
	file->secret = ks_take(secret);
	*opened = true;
	return 0;
}

/*
 * Nobody gave a password, and none is needed to see what is there: a store of certificates is read as Java reads it then, its
 * integrity unchecked.
 */
static bool stays_unchecked(const struct ks_file *file, const struct ks_set *set)
{
	const struct ks_problem *problem;

	if ((file->mode & KS_WRITE) || file->where->pin_source || ks_set_facts_of(set)->integrity != KS_INTEGRITY_UNCHECKED ||
	    has_sealed_key(set))
		return false;
	for (size_t i = 0; (problem = ks_set_problem_at(set, i)); i++) {
		if (problem->status == KS_ENOSECRET)
			return false;
	}
	ks_forgive(file->ctx);
	ks_notice(file->ctx, KS_ENOSECRET, ks_where_shown(file->where), "with its password it is checked: --pin-source SOURCE",
		  "%s was read without its password, so nobody knows whether it was changed", ks_where_shown(file->where));
	return true;
}

static int decode_asking(struct ks_file *file, struct ks_set *into, struct ks_bytes bytes, bool may_ask)
{
	bool again, seen, opened = false;
	int rc;

	if (file->secret)
		return decode(file, into, bytes, file->secret);
	rc = decode(file, into, bytes, NULL);
	if (!may_ask || !wants_secret(file, into, rc))
		return rc;
	ks_forgive(file->ctx);
	again = rc < 0 || (file->engine->can & KS_CAN_MAC);
	seen = rc == 0;
	rc = decode_by_stash(&opened, file, into, bytes);
	if (rc < 0 || opened)
		return rc;
	rc = ask_password(&file->secret, file, false);
	if (rc == KS_ENOSECRET && seen && stays_unchecked(file, into))
		return 0;
	if (rc < 0)
		return rc;
	/* Where only keys are sealed there is nothing to read again, and the codec may have decoded the text over itself. */
	if (!again) {
		ks_set_keep_secret(into, file->secret);
		return 0;
	}
	ks_set_forget(into);
	return decode(file, into, bytes, file->secret);
}

/* Gives the content to `into`, so that items borrow from it. */
static int own_content(struct ks_bytes *bytes, struct ks_file *file, struct ks_set *into)
{
	struct ks_buffer *content;
	int rc = ks_disk_content(file->disk).data ? 0 : ks_disk_load(file->disk);

	if (rc < 0)
		return rc;
	content = ks_disk_take(file->disk);
	if (!content)
		return ks_fail(file->ctx, KS_ECHANGED, "%s was removed by another program meanwhile", file->where->text);
	*bytes = ks_buffer_bytes(content);
	return ks_set_own(into, content);
}

static int lock_and_renew(struct ks_file *file, struct ks_set *into)
{
	struct ks_bytes bytes;
	bool changed = false;
	int rc = ks_disk_lock(file->disk, &changed);

	if (rc < 0 || !changed)
		return rc;
	ks_set_forget(into);
	if (!ks_disk_exists(file->disk))
		return 0;
	rc = own_content(&bytes, file, into);
	return rc < 0 ? rc : decode_asking(file, into, bytes, true);
}

int ks_file_load(void *state, struct ks_set *into, const struct ks_only *only)
{
	struct ks_file *file = state;
	bool may_ask = !(file->mode & KS_WITHOUT_SECRET) && !(only && only->public_only);
	struct ks_bytes bytes;
	int rc;

	if (!ks_disk_exists(file->disk))
		return 0;
	rc = own_content(&bytes, file, into);
	if (rc == 0)
		rc = decode_asking(file, into, bytes, may_ask);
	if (rc == 0 && (file->mode & KS_WRITE))
		rc = lock_and_renew(file, into);
	return rc;
}

/* ---- which password seals what is written ---- */

static bool is_key(const struct ks_item *item)
{
	return item->kind == KS_PRIVATE_KEY || item->kind == KS_SECRET_KEY;
}

static bool holds_keys(const struct ks_set *set)
{
	for (size_t i = 0; i < ks_set_count(set); i++) {
		if (is_key(ks_set_at(set, i)))
			return true;
	}
	return false;
}

/* A key that comes from elsewhere. */
static bool gains_key(const struct ks_set *result, const struct ks_set *have)
{
	for (size_t i = 0; i < ks_set_count(result); i++) {
		const struct ks_item *item = ks_set_at(result, i);

		if (is_key(item) && (!item->origin || item->origin->set != have))
			return true;
	}
	return false;
}

/* Two passwords in one file would be a trap: a key that is there already has to open with it. */
static int try_on_key(struct ks_file *file, struct ks_set *have, struct ks_secret *secret)
{
	ks_set_keep_secret(have, secret);
	for (size_t i = 0; i < ks_set_count(have); i++) {
		struct ks_item *item = ks_set_at(have, i);
		ks_auto(buffer) clear = NULL;

		if (item->kind == KS_PRIVATE_KEY && (item->flags & KS_SEALED))
			return ks_while(file->ctx, ks_item_pkcs8(&clear, item, file->ctx), "%s", file->where->text);
	}
	return 0;
}

/* Without a source and without a person a key goes into such a file in the clear, and that is said aloud. */
static int leave_clear(struct ks_file *file, int rc)
{
	ks_auto_mem char *word = NULL;
	ks_auto_mem char *address = NULL;
	ks_auto_mem char *hint = NULL;

	if (rc < 0 && (rc != KS_ENOSECRET || file->where->pin_source || (file->engine->can & KS_CAN_MAC)))
		return rc;
	ks_forgive(file->ctx);
	if (asprintf(&address, "%s:%s", file->engine->name, file->where->path) < 0 ||
	    !(word = ks_text_word(address)) || asprintf(&hint, "keystow passwd %s gives it a password", word) < 0)
		return ks_nomem(file->ctx);
	ks_notice(file->ctx, KS_EWEAK, file->where->text, hint,
		  "the private key in %s is not protected by a password, only by the mode of the file", file->where->text);
	return 0;
}

static int ask_to_seal(struct ks_secret **out, struct ks_file *file, const struct ks_plan *plan)
{
	bool fresh = !plan->have || !has_sealed_key(plan->have);
	ks_auto(secret) secret = NULL;
	int rc = ask_password(&secret, file, fresh);

	if (rc < 0 || (ks_secret_size(secret) == 0 && !(file->engine->can & KS_CAN_MAC)))
		return fresh ? leave_clear(file, rc) : rc;
	if (!fresh)
		rc = try_on_key(file, plan->have, secret);
	if (rc < 0)
		return rc;
	*out = ks_take(secret);
	return 0;
}

/* *out stays NULL when nothing needs a password. */
static int sealing_secret(struct ks_secret **out, struct ks_file *file, const struct ks_plan *plan, const struct ks_set *result)
{
	bool made_new = !ks_disk_exists(file->disk) && (file->engine->can & KS_CAN_MAC);

	if (plan->password || file->secret) {
		*out = ks_secret_ref(plan->password ? plan->password : file->secret);
		return 0;
	}
	if (!(file->engine->can & KS_CAN_SEAL) || (!made_new && !gains_key(result, plan->have)))
		return 0;
	return ask_to_seal(out, file, plan);
}

/* ---- writing ---- */

static int encode_and_stage(struct ks_file *file, struct ks_set *result, const struct ks_plan *plan, struct ks_secret *secret,
			    bool keep_old)
{
	const struct ks_codec *codec = file->engine->codec;
	size_t most = ks_settings(file->ctx)->max_file;
	ks_auto(buffer) out = ks_buffer_new(codec->ceiling && codec->ceiling < most ? codec->ceiling : most);
	const struct ks_disk_wish wish = {
		/* A new store with a password is made for keys, even if none is in it yet. */
		.private_material = holds_keys(result) || (secret && !ks_disk_exists(file->disk)),
		.keep_old = keep_old && !plan->drop_old,
		.drop_old = plan->drop_old,
		.keep_staged = true,
	};
	struct ks_bytes content;
	int rc;

	if (!out)
		return ks_nomem(file->ctx);
	rc = codec->encode(file->ctx, out, result, ks_disk_exists(file->disk) ? plan->have : NULL, secret,
			   plan->password != NULL);
	if (rc < 0)
		return ks_while(file->ctx, rc, "%s", file->where->text);
	content = ks_buffer_bytes(out);
	rc = ks_disk_stage(file->disk, &content, 1, &wish);
	if (wish.private_material && out->size)
		OPENSSL_cleanse(out->data, out->size);
	return rc;
}

/* What the disk gives back, decoded as any reader would, has to be what was meant. */
static int prove(struct ks_set **fresh, unsigned char digest[KS_SHA256], struct ks_file *file, struct ks_set *result,
		 const struct ks_plan *plan, struct ks_secret *secret)
{
	ks_auto(set) set = NULL;
	struct ks_buffer *staged = NULL;
	struct ks_bytes bytes;
	int rc = ks_set_new(&set, file->ctx);

	if (rc == 0)
		rc = ks_disk_staged(&staged, file->disk);
	if (rc < 0)
		return rc;
	bytes = ks_buffer_bytes(staged);
	memcpy(digest, ks_disk_staged_digest(file->disk), KS_SHA256);
	rc = ks_set_own(set, staged);
	if (rc == 0)
		rc = file->engine->codec->decode(file->ctx, set, bytes, secret);
	if (rc == 0)
		rc = ks_proof(file->ctx, file->engine->can, result, plan->have, plan->password != NULL, set);
	if (rc < 0)
		return ks_while(file->ctx, rc, "%s was not changed: the new file was read back and is not right",
				file->where->text);
	*fresh = ks_take(set);
	return 0;
}

/* A store that is there was locked when it was loaded; one that is to be made is locked only now, after the asking. */
static int lock_absent(struct ks_file *file)
{
	bool changed = false;
	int rc;

	if (ks_disk_exists(file->disk))
		return 0;
	rc = ks_disk_lock(file->disk, &changed);
	if (rc == 0 && changed)
		return ks_hint(file->ctx,
			       ks_fail(file->ctx, KS_ECHANGED, "%s was made by another program meanwhile", file->where->text),
			       "run it again");
	return rc;
}

/* ---- what stands beside it ---- */

/* A stash that holds another password than the store would keep other programs out, and nobody would know why. */
static int check_stash(struct ks_file *file, const char *stash)
{
	ks_auto(secret) secret = NULL;
	ks_auto_mem char *word = ks_text_word(file->where->text);
	ks_auto_mem char *hint = NULL;
	int rc = ks_stash_read(&secret, file->ctx, stash);

	ks_forgive(file->ctx);
	if (rc == KS_ENOTFOUND || (rc == 0 && ks_secret_equal(secret, file->secret)))
		return 0;
	if (!word ||
	    asprintf(&hint, "programs that use it no longer open the store: keystow passwd %s --stash writes it anew",
		     word) < 0)
		return ks_nomem(file->ctx);
	ks_notice(file->ctx, KS_EPASSWORD, file->where->text, hint, "the stash %s does not hold the password of %s",
		  stash, file->where->text);
	return 0;
}

/* The store has its new password already; what goes wrong from now on concerns the stash alone. */
static int look_after_stash(struct ks_file *file, bool wanted)
{
	ks_auto_mem char *stash = file->engine->stash ? ks_stash_beside(file->where->path) : NULL;

	if (!file->engine->stash)
		return 0;
	if (!stash)
		return ks_nomem(file->ctx);
	if (!wanted)
		return check_stash(file, stash);
	ks_notice(file->ctx, KS_EWEAK, file->where->text, "let nobody read it but the program that needs it",
		  "the stash %s holds the password hidden, not protected: whoever can read it can open the store",
		  stash);
	return ks_while(file->ctx, ks_stash_write(file->ctx, file->where->path, file->secret),
			"%s was written, but its stash was not", file->where->text);
}

/* The store is as wanted; only what is remembered of it may be new. */
static int nothing_to_write(struct ks_file *file, const struct ks_commit *how)
{
	int rc = how->staged ? how->staged(how->user, file->ctx, ks_disk_digest(file->disk)) : 0;

	return rc < 0 || !how->staged ? rc : ks_disk_sync(file->disk);
}

int ks_file_apply(void *state, struct ks_plan *plan, const struct ks_commit *how)
{
	struct ks_file *file = state;
	bool other_password = plan->password || !ks_disk_exists(file->disk);
	ks_auto(set) result = NULL;
	ks_auto(set) fresh = NULL;
	ks_auto(secret) secret = NULL;
	unsigned char digest[KS_SHA256];
	int rc;

	if (ks_plan_empty(plan) && ks_disk_exists(file->disk))
		return nothing_to_write(file, how);
	rc = ks_plan_result(&result, plan);
	if (rc == 0)
		rc = sealing_secret(&secret, file, plan, result);
	if (rc == 0)
		rc = lock_absent(file);
	if (rc == 0)
		rc = encode_and_stage(file, result, plan, secret, how->keep_old);
	if (rc == 0)
		rc = prove(&fresh, digest, file, result, plan, secret);
	if (rc == 0 && how->staged)
		rc = how->staged(how->user, file->ctx, digest);
	if (rc == 0)
		rc = ks_disk_publish(file->disk);
	if (rc < 0)
		return rc;
	ks_secret_free(file->secret);
	file->secret = ks_take(secret);
	if (how->fresh)
		*how->fresh = ks_take(fresh);
	return other_password ? look_after_stash(file, plan->stash) : 0;
}

/* ---- going back ---- */

int ks_file_exchange(void *state)
{
	struct ks_file *file = state;

	return ks_disk_exchange(file->disk);
}

int ks_file_load_old(struct ks_set **out, void *state)
{
	struct ks_file *file = state;
	ks_auto(set) set = NULL;
	struct ks_buffer *old = NULL;
	struct ks_bytes bytes;
	int rc = ks_set_new(&set, file->ctx);

	if (rc == 0)
		rc = ks_disk_read_beside(&old, file->disk, ".old");
	if (rc == KS_ENOTFOUND)
		return ks_hint(file->ctx, rc, "merge, copy, install and rename keep one; passwd and remove of a key delete it");
	if (rc < 0)
		return rc;
	bytes = ks_buffer_bytes(old);
	rc = ks_set_own(set, old);
	if (rc == 0)
		rc = file->engine->codec->decode(file->ctx, set, bytes, file->secret);
	if (rc < 0)
		return ks_while(file->ctx, rc, "the earlier copy %s.old", file->where->path);
	*out = ks_take(set);
	return 0;
}
