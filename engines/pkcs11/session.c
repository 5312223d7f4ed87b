/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding the token that an address means, and lending out its sessions.
 */
#include "session.h"

#include "candidate.h"
#include "object.h"
#include "quirks.h"
#include "text.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define SESSIONS 16 /* of one token; more only cost room in devices */

struct live {
	struct ks_p11_token **list;
	size_t count, capacity;
};

static const char live_key;

/* ---- names ---- */

char *ks_p11_field(const unsigned char *field, size_t width)
{
	while (width && (field[width - 1] == ' ' || field[width - 1] == '\0'))
		width--;
	return strndup((const char *)field, width);
}

/* Everything but RFC 3986's unreserved characters, because p11-kit parses but does not match some of the others raw. */
static void uri_put(struct ks_buffer *out, const char *name, struct ks_bytes value)
{
	if (!value.data)
		return;
	ks_buffer_format(out, "%s%s=", out->size > strlen("pkcs11:") ? ";" : "", name);
	for (size_t i = 0; i < value.size; i++) {
		unsigned char c = value.data[i];
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			     (c && strchr("-._~", c));

		if (plain && strcmp(name, "id") != 0)
			ks_buffer_put(out, &c, 1);
		else
			ks_buffer_format(out, "%%%02X", c);
	}
}

static struct ks_bytes unless_empty(const char *text)
{
	return text && text[0] ? ks_bytes_of(text) : KS_NONE;
}

static void uri_put_maker(struct ks_buffer *out, const struct ks_p11_token *token)
{
	uri_put(out, "manufacturer", unless_empty(token->manufacturer));
	uri_put(out, "model", unless_empty(token->model));
}

static void uri_put_token(struct ks_buffer *out, const struct ks_p11_token *token)
{
	uri_put(out, "token", unless_empty(token->label));
	if (!(token->quirks & KS_P11_NO_SERIAL))
		uri_put(out, "serial", unless_empty(token->serial));
	else
		uri_put_maker(out, token);
}

char *ks_p11_uri(const struct ks_p11_token *token, struct ks_bytes id, struct ks_bytes label, const char *type)
{
	ks_auto(buffer) out = ks_buffer_new(64 * 1024);

	if (!out)
		return NULL;
	ks_buffer_text(out, "pkcs11:");
	uri_put_token(out, token);
	uri_put(out, "id", id);
	uri_put(out, "object", label);
	uri_put(out, "type", unless_empty(type));
	return out->status ? NULL : strdup(ks_buffer_string(out));
}

static char *token_uri(const struct ks_p11_token *token)
{
	ks_auto(buffer) out = ks_buffer_new(4096);

	if (!out)
		return NULL;
	ks_buffer_text(out, "pkcs11:");
	uri_put_token(out, token);
	if (!(token->quirks & KS_P11_NO_SERIAL))
		uri_put_maker(out, token);
	if (!token->label[0] && !token->serial[0])
		ks_buffer_format(out, "%sslot-id=%lu", out->size > strlen("pkcs11:") ? ";" : "", token->slot);
	return out->status ? NULL : strdup(ks_buffer_string(out));
}

/* ---- life ---- */

static void token_unname(struct ks_p11_token *token)
{
	free(token->label);
	free(token->serial);
	free(token->manufacturer);
	free(token->model);
	free(token->shown);
	free(token->uri);
	token->label = token->serial = token->manufacturer = token->model = token->shown = token->uri = NULL;
}

static void token_free(struct ks_p11_token *token)
{
	token_unname(token);
	ks_p11_snapshot_free(token->snapshot);
	pthread_mutex_destroy(&token->lock);
	pthread_mutex_destroy(&token->person);
	pthread_cond_destroy(&token->given_back);
	free(token->listed);
	free(token->asked_as);
	free(token->pin_source);
	free(token->pool);
	free(token);
}

/* Leaving in the order that devices which count logged-in users need: log out, close; the module is finalised afterwards. */
static void token_end(struct ks_p11_token *token)
{
	if (token->open_count && (token->who == KS_P11_USER || token->who == KS_P11_OFFICER))
		ks_p11_logout(&token->on, token->pool[0].handle);
	ks_p11_sessions_close(token);
	token_free(token);
}

static void live_end(struct ks_ctx *ctx, void *state)
{
	struct live *live = state;

	(void)ctx;
	while (live->count)
		token_end(live->list[--live->count]);
	free(live->list);
	free(live);
}

static bool token_named(struct ks_p11_token *token)
{
	char slot[40];

	token_unname(token);
	token->label = ks_p11_field(token->info.label, sizeof(token->info.label));
	token->serial = ks_p11_field(token->info.serialNumber, sizeof(token->info.serialNumber));
	token->manufacturer = ks_p11_field(token->info.manufacturerID, sizeof(token->info.manufacturerID));
	token->model = ks_p11_field(token->info.model, sizeof(token->info.model));
	if (!token->label || !token->serial || !token->manufacturer || !token->model)
		return false;
	snprintf(slot, sizeof(slot), "in slot %lu", token->slot);
	token->shown = token->label[0] ? ks_text_show(ks_bytes_of(token->label)) : strdup(slot);
	token->uri = token_uri(token);
	token->on.token = token->shown;
	token->on.uri = token->uri;
	token->on.maker = token->manufacturer;
	token->on.pin_pad = token->info.flags & CKF_PROTECTED_AUTHENTICATION_PATH;
	return token->shown && token->uri;
}

static void locks_make(struct ks_p11_token *token)
{
	pthread_mutexattr_t recursive;

	pthread_mutexattr_init(&recursive);
	pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&token->person, &recursive);
	pthread_mutexattr_destroy(&recursive);
	pthread_mutex_init(&token->lock, NULL);
	pthread_cond_init(&token->given_back, NULL);
}

static int token_new(struct ks_p11_token **out, struct ks_ctx *ctx, struct ks_p11_module *module, CK_SLOT_ID slot,
		     const CK_TOKEN_INFO *info)
{
	struct ks_p11_token *token = calloc(1, sizeof(*token));

	if (!token)
		return ks_nomem(ctx);
	*token =
		(struct ks_p11_token){ .ctx = ctx, .slot = slot, .info = *info, .on.module = module, .most = SESSIONS };
	locks_make(token);
	token->life = 1;
	token->quirks = ks_p11_quirks(&module->info, info);
	if (info->ulMaxSessionCount != CK_EFFECTIVELY_INFINITE &&
	    info->ulMaxSessionCount != CK_UNAVAILABLE_INFORMATION && info->ulMaxSessionCount < SESSIONS)
		token->most = info->ulMaxSessionCount;
	token->pool = ks_array(SESSIONS, sizeof(*token->pool));
	if (!token->pool || !token_named(token)) {
		token_free(token);
		return ks_nomem(ctx);
	}
	*out = token;
	return 0;
}

/* In a child: what belongs to the parent is forgotten, not closed. No lock can be held, or it is held by a thread that is not here. */
static int live_forked(struct ks_ctx *ctx, void *state)
{
	const struct live *live = state;

	(void)ctx;
	for (size_t i = 0; i < live->count; i++) {
		struct ks_p11_token *token = live->list[i];

		locks_make(token);
		token->open_count = 0;
		token->who = KS_P11_NOBODY;
		token->life++;
	}
	return 0;
}

static void info_set(struct ks_p11_token *token, const CK_TOKEN_INFO *info)
{
	pthread_mutex_lock(&token->lock);
	token->info = *info;
	pthread_mutex_unlock(&token->lock);
}

bool ks_p11_token_is(const struct ks_p11_token *token, const CK_TOKEN_INFO *info)
{
	return memcmp(token->info.serialNumber, info->serialNumber, sizeof(info->serialNumber)) == 0 &&
	       memcmp(token->info.label, info->label, sizeof(info->label)) == 0;
}

static bool token_is(const struct ks_p11_token *token, const struct ks_p11_module *module, CK_SLOT_ID slot,
		     const CK_TOKEN_INFO *info)
{
	return token->on.module == module && token->slot == slot && ks_p11_token_is(token, info);
}

static int token_get(struct ks_p11_token **out, struct ks_ctx *ctx, struct ks_p11_module *module, CK_SLOT_ID slot,
		     const CK_TOKEN_INFO *info)
{
	struct ks_p11_token *token = NULL;
	struct live *live = ks_ctx_keep_new(ctx, &live_key, sizeof(*live), live_end);
	int rc;

	if (!live)
		return KS_ENOMEM;
	ks_ctx_keep_forked(ctx, &live_key, live_forked);
	for (size_t i = 0; i < live->count; i++) {
		if (token_is(live->list[i], module, slot, info)) {
			info_set(live->list[i], info);
			*out = live->list[i];
			return 0;
		}
	}
	rc = token_new(&token, ctx, module, slot, info);
	if (rc < 0)
		return rc;
	if (ks_array_grow(&live->list, &live->capacity, live->count + 1, sizeof(struct ks_p11_token *)) < 0) {
		token_free(token);
		return ks_nomem(ctx);
	}
	live->list[live->count++] = token;
	*out = token;
	return 0;
}

int ks_p11_token_refresh(struct ks_p11_token *token)
{
	CK_TOKEN_INFO info;
	int rc = ks_p11_failed(token->ctx, &token->on, ks_p11_token_info(&token->on, token->slot, &info));
	bool same;

	if (rc < 0)
		return rc;
	/* Keys on other threads have the names in use; they only change when the token is initialised, which ends all keys. */
	same = token_is(token, token->on.module, token->slot, &info);
	info_set(token, &info);
	return same || token_named(token) ? 0 : ks_nomem(token->ctx);
}

/* ---- looking ---- */

struct present {
	struct ks_p11_token **list;
	size_t count, capacity;
	bool asked, answered;
	int status;
	char text[512], hint[256], causes[512];
};

/* Remembers the failure of one module or slot: it matters only when nothing else fits. */
static void present_failed(struct present *present, struct ks_ctx *ctx)
{
	if (present->status == 0) {
		present->status = ks_ctx_status(ctx);
		snprintf(present->text, sizeof(present->text), "%s", ks_ctx_text(ctx));
		snprintf(present->hint, sizeof(present->hint), "%s", ks_ctx_hint(ctx));
		snprintf(present->causes, sizeof(present->causes), "%s", ks_ctx_causes(ctx));
	}
	ks_forgive(ctx);
}

static int present_slot(struct present *present, struct ks_ctx *ctx, struct ks_p11_module *module, CK_SLOT_ID slot)
{
	const struct ks_p11_on on = { .module = module };
	struct ks_p11_token *token = NULL;
	CK_TOKEN_INFO info;
	int rc = ks_p11_failed(ctx, &on, ks_p11_token_info(&on, slot, &info));

	if (rc < 0) {
		ks_while(ctx, rc, "the token in slot %lu", slot);
		present_failed(present, ctx);
		return 0;
	}
	rc = token_get(&token, ctx, module, slot, &info);
	if (rc < 0)
		return rc;
	if (ks_array_grow(&present->list, &present->capacity, present->count + 2, sizeof(struct ks_p11_token *)) < 0)
		return ks_nomem(ctx);
	present->list[present->count++] = token;
	present->list[present->count] = NULL;
	return 0;
}

static int present_module(struct present *present, struct ks_ctx *ctx, struct ks_p11_module *module)
{
	const struct ks_p11_on on = { .module = module };
	ks_auto_mem CK_SLOT_ID *slots = NULL;
	size_t count = 0;
	int rc = ks_p11_failed(ctx, &on, ks_p11_slots(&on, &slots, &count));

	if (rc < 0) {
		present_failed(present, ctx);
		return 0;
	}
	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = present_slot(present, ctx, module, slots[i]);
	return rc;
}

/* All tokens; what did not answer stands in present->status. */
static int present_all(struct present *present, struct ks_ctx *ctx, const struct ks_where *where)
{
	ks_auto_mem struct ks_p11_module **modules = NULL;
	int rc;

	ks_p11_look_for(where ? ks_where_text(where) : NULL);
	rc = ks_p11_modules(&modules, ctx, where);
	for (size_t i = 0; rc == 0 && modules[i]; i++)
		rc = present_module(present, ctx, modules[i]);
	ks_p11_look_for(NULL);
	if (rc == 0 && !present->list && !(present->list = ks_array(1, sizeof(struct ks_p11_token *))))
		rc = ks_nomem(ctx);
	return rc;
}

static int present_fail(const struct present *present, struct ks_ctx *ctx)
{
	ks_fail(ctx, present->status, "%s", present->text);
	if (present->causes[0])
		ks_cause(ctx, present->status, "%s", present->causes);
	return present->hint[0] ? ks_hint(ctx, present->status, "%s", present->hint) : present->status;
}

int ks_p11_tokens_present(struct ks_p11_token ***out, struct ks_ctx *ctx, const struct ks_where *where)
{
	struct present present = { 0 };
	int rc = present_all(&present, ctx, where);

	if (rc == 0 && present.status && present.count == 0)
		rc = present_fail(&present, ctx);
	else if (rc == 0 && present.status)
		ks_notice(ctx, present.status, NULL, present.hint, "%s", present.text);
	if (rc < 0) {
		free(present.list);
		return rc;
	}
	*out = present.list;
	return 0;
}

/* ---- matching ---- */

static bool field_given(const unsigned char *field)
{
	return field[0] != '\0';
}

static bool field_fits(const unsigned char *given, size_t width, const char *have)
{
	ks_auto_mem char *wanted = NULL;

	if (!field_given(given))
		return true;
	wanted = ks_p11_field(given, width);
	return wanted && strcmp(wanted, have) == 0;
}

static bool label_fits(const unsigned char *given, size_t width, const char *have)
{
	ks_auto_mem char *wanted = NULL;

	if (!field_given(given))
		return true;
	wanted = ks_p11_field(given, width);
	return wanted && ks_p11_label_means(have, wanted);
}

bool ks_p11_token_matches(const struct ks_p11_token *token, const struct ks_where *where)
{
	const CK_TOKEN_INFO *given;
	CK_SLOT_ID slot;

	if (!where || !where->uri)
		return true;
	given = ks_p11kit.uri_get_token_info(where->uri);
	slot = ks_p11kit.uri_get_slot_id(where->uri);
	return field_fits(given->serialNumber, sizeof(given->serialNumber), token->serial) &&
	       field_fits(given->manufacturerID, sizeof(given->manufacturerID), token->manufacturer) &&
	       field_fits(given->model, sizeof(given->model), token->model) &&
	       label_fits(given->label, sizeof(given->label), token->label) &&
	       (slot == (CK_SLOT_ID)-1 || slot == token->slot);
}

bool ks_p11_names_token(const struct ks_where *where)
{
	const CK_TOKEN_INFO *given = ks_p11kit.uri_get_token_info(where->uri);

	return field_given(given->serialNumber) || field_given(given->label) || field_given(given->model) ||
	       field_given(given->manufacturerID) || ks_p11kit.uri_get_slot_id(where->uri) != (CK_SLOT_ID)-1;
}

/* ---- the one that is meant ---- */

static void describe(struct ks_buffer *out, struct ks_p11_token *const *tokens)
{
	for (size_t i = 0, said = 0; tokens[i]; i++) {
		if (tokens[i]->info.flags & CKF_TOKEN_INITIALIZED)
			ks_buffer_format(out, "%s%s (serial %s)", said++ ? ", " : "", tokens[i]->shown,
					 tokens[i]->serial);
	}
}

/* `blank`: the candidates are those that are not initialised. */
static int ambiguous(struct ks_ctx *ctx, const struct ks_where *where, const struct present *present, bool blank)
{
	ks_auto(buffer) names = ks_buffer_new(3000);
	ks_auto_mem struct ks_candidate *list = ks_array(present->count + 1, sizeof(*list));
	size_t count = 0;

	if (!names || !list)
		return ks_nomem(ctx);
	for (size_t i = 0; i < present->count; i++) {
		const struct ks_p11_token *token = present->list[i];

		if (!(token->info.flags & CKF_TOKEN_INITIALIZED) == blank && ks_p11_token_matches(token, where))
			list[count++] = (struct ks_candidate){ token->label, token->model, token->serial, token->slot };
	}
	ks_candidates_put(names, list, count);
	return ks_hint(ctx,
		       ks_fail(ctx, KS_EAMBIGUOUS, "%s fits more than one token: %s", ks_where_text(where),
			       ks_buffer_string(names)),
		       "name one by its serial number or slot, as told; no PIN was sent anywhere");
}

static int not_there(struct ks_ctx *ctx, const struct ks_where *where, struct ks_p11_token *const *tokens, size_t count)
{
	ks_auto(buffer) names = ks_buffer_new(3000);
	ks_auto_mem const char **labels = ks_array(count + 1, sizeof(char *));
	ks_auto_mem char *wanted = ks_p11_field(ks_p11kit.uri_get_token_info(where->uri)->label, 32);
	const char *nearest;
	int rc;

	if (!names || !labels || !wanted)
		return ks_nomem(ctx);
	describe(names, tokens);
	for (size_t i = 0; i < count; i++)
		labels[i] = tokens[i]->shown;
	nearest = wanted[0] ? ks_nearest(wanted, labels) : NULL;
	rc = ks_fail(ctx, KS_ENOTOKEN, "there is no token %s; present: %s", ks_where_text(where),
		     names->size ? ks_buffer_string(names) : "none");
	if (nearest)
		return ks_hint(ctx, rc, "did you mean %s?", nearest);
	return ks_hint(ctx, rc, "keystow token list shows the tokens that are present");
}

static size_t fitting(struct ks_p11_token **first, struct ks_p11_token *const *tokens, const struct ks_where *where,
		      bool blank)
{
	size_t count = 0;

	for (size_t i = 0; tokens[i]; i++) {
		if (!(tokens[i]->info.flags & CKF_TOKEN_INITIALIZED) != blank ||
		    !ks_p11_token_matches(tokens[i], where))
			continue;
		if (count++ == 0)
			*first = tokens[i];
	}
	return count;
}

int ks_p11_blank(const struct ks_p11_token *token)
{
	return ks_hint(token->ctx,
		       ks_fail(token->ctx, KS_ENOTOKEN, "there is nothing in token %s yet: it is blank (not initialised)", token->shown),
		       "keystow token init '%s' prepares it", token->uri);
}

static int choose(struct ks_p11_token **out, struct ks_ctx *ctx, const struct ks_where *where,
		  const struct present *present, bool blank)
{
	struct ks_p11_token *token = NULL;
	size_t count = fitting(&token, present->list, where, false);
	bool only_blank = count == 0 && blank;

	if (only_blank)
		count = fitting(&token, present->list, where, true);
	if (count > 1)
		return ambiguous(ctx, where, present, only_blank);
	if (count == 0 && !blank && fitting(&token, present->list, where, true) == 1)
		return ks_p11_blank(token);
	if (count == 0 && present->status)
		return ks_while(ctx, present_fail(present, ctx), "looking for %s", ks_where_text(where));
	if (count == 0)
		return not_there(ctx, where, present->list, present->count);
	*out = token;
	return 0;
}

int ks_p11_token_find(struct ks_p11_token **out, struct ks_ctx *ctx, const struct ks_where *where, bool blank)
{
	struct present present = { 0 };
	int rc = ks_while(ctx, present_all(&present, ctx, where), "looking for %s", ks_where_text(where));

	if (rc == 0)
		rc = choose(out, ctx, where, &present, blank);
	free(present.list);
	return rc;
}

/* ---- the pool ---- */

/* Opens one more; the lock is held. Writing sessions, unless the token has none: then everything else says so in its own words. */
static CK_RV session_open(struct ks_p11_token *token, CK_SESSION_HANDLE *session)
{
	CK_RV rv;

	if (token->info.flags & CKF_WRITE_PROTECTED)
		token->read_only = true;
	rv = ks_p11_open_session(&token->on, token->slot, token->read_only ? 0 : CKF_RW_SESSION, session);
	if (rv == CKR_TOKEN_WRITE_PROTECTED && !token->read_only) {
		token->read_only = true;
		rv = ks_p11_open_session(&token->on, token->slot, 0, session);
	}
	if (rv == CKR_OK)
		token->pool[token->open_count++] = (struct ks_p11_session){ *session, token->life, true };
	return rv;
}

static struct timespec deadline_of(const struct ks_p11_token *token)
{
	unsigned most = ks_settings(token->ctx)->deadline_ms[KS_DEADLINE_MAKE];
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += most / 1000;
	until.tv_nsec += (long)(most % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	return until;
}

static struct ks_p11_session *session_idle(struct ks_p11_token *token)
{
	for (size_t i = token->open_count; i-- > 0;) {
		if (!token->pool[i].taken)
			return &token->pool[i];
	}
	return NULL;
}

static CK_RV session_take(struct ks_p11_token *token, CK_SESSION_HANDLE *session)
{
	struct timespec until = deadline_of(token);
	struct ks_p11_session *idle;
	CK_RV rv;

	for (;;) {
		idle = session_idle(token);
		if (idle) {
			idle->taken = true;
			*session = idle->handle;
			return CKR_OK;
		}
		if (token->open_count < token->most || token->open_count == 0) {
			rv = session_open(token, session);
			if (rv != CKR_SESSION_COUNT || token->open_count == 0)
				return rv;
			token->most = token->open_count;
		}
		if (pthread_cond_timedwait(&token->given_back, &token->lock, &until) != 0)
			return CKR_SESSION_COUNT;
	}
}

CK_RV ks_p11_session_take(struct ks_p11_token *token, CK_SESSION_HANDLE *session)
{
	CK_RV rv;

	if (ks_p11_forked(token->on.module))
		return KS_CKR_FORKED;
	pthread_mutex_lock(&token->lock);
	rv = session_take(token, session);
	pthread_mutex_unlock(&token->lock);
	return rv;
}

/* The lock is held, here and below. */
static void session_drop(struct ks_p11_token *token, struct ks_p11_session *session)
{
	*session = token->pool[--token->open_count];
}

static void idle_close(struct ks_p11_token *token)
{
	struct ks_p11_session *idle;

	while ((idle = session_idle(token))) {
		ks_p11_close_session(&token->on, idle->handle);
		session_drop(token, idle);
	}
}

static void life_over(struct ks_p11_token *token, unsigned life)
{
	if (token->life != life)
		return;
	token->life++;
	token->who = KS_P11_NOBODY;
}

void ks_p11_life_over(struct ks_p11_token *token, unsigned life)
{
	pthread_mutex_lock(&token->lock);
	life_over(token, life);
	pthread_mutex_unlock(&token->lock);
}

/* A module may give a handle out again after it lost the one before: then the older session is the one that was lost. */
static struct ks_p11_session *session_of(struct ks_p11_token *token, CK_SESSION_HANDLE handle, bool lost)
{
	struct ks_p11_session *found = NULL;

	for (size_t i = 0; i < token->open_count; i++) {
		struct ks_p11_session *at = &token->pool[i];

		if (at->taken && at->handle == handle &&
		    (!found || (lost ? at->life < found->life : at->life > found->life)))
			found = at;
	}
	return found;
}

/* A dead session of an earlier life is not closed: its handle may be in use for another. */
static void session_end(struct ks_p11_token *token, struct ks_p11_session *session, bool lost)
{
	unsigned life = session->life;
	bool dead = lost && life != token->life;
	CK_RV rv = dead ? CKR_OK : ks_p11_close_session(&token->on, session->handle);

	session_drop(token, session);
	if (ks_p11_status(rv) == KS_EGONE) {
		idle_close(token);
		life_over(token, life);
	}
	if (token->open_count == 0)
		life_over(token, token->life);
}

void ks_p11_session_give(struct ks_p11_token *token, CK_SESSION_HANDLE session, bool lost)
{
	struct ks_p11_session *given;

	if (ks_p11_forked(token->on.module))
		return;
	pthread_mutex_lock(&token->lock);
	given = session_of(token, session, lost);
	if (given && (lost || given->life != token->life))
		session_end(token, given, lost);
	else if (given)
		given->taken = false;
	pthread_cond_signal(&token->given_back);
	pthread_mutex_unlock(&token->lock);
}

void ks_p11_sessions_close(struct ks_p11_token *token)
{
	if (ks_p11_forked(token->on.module))
		return;
	pthread_mutex_lock(&token->lock);
	idle_close(token);
	if (token->open_count == 0)
		life_over(token, token->life);
	pthread_mutex_unlock(&token->lock);
}
