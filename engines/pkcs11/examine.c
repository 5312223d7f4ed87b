/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An examination from the outside in: what the device says, what is on it, and only when that was wished what it makes.
 */
#include "examine_inside.h"

#include "calls.h"
#include "capable.h"
#include "login.h"
#include "quirks.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SESSIONS 32 /* as many are opened at once; servers want no more */

/* ---- observations ---- */

void ks_observations_clear(struct ks_observations *observations)
{
	for (size_t i = 0; i < observations->count; i++) {
		free(observations->list[i].text);
		free(observations->list[i].next);
	}
	free(observations->list);
	*observations = (struct ks_observations){ 0 };
}

int ks_observation_add(struct ks_observations *observations, enum ks_level level, const char *check, const char *next,
		       const char *format, ...)
{
	struct ks_observation observation = { .level = level, .check = check };
	va_list values;
	int size;

	va_start(values, format);
	size = vasprintf(&observation.text, format, values);
	va_end(values);
	if (size < 0)
		return KS_ENOMEM;
	observation.next = next ? strdup(next) : NULL;
	if ((next && !observation.next) || ks_array_grow(&observations->list, &observations->capacity,
							 observations->count + 1, sizeof(observation)) < 0) {
		free(observation.text);
		free(observation.next);
		return KS_ENOMEM;
	}
	observations->list[observations->count++] = observation;
	return 0;
}

int ks_observation_failure(struct ks_observations *observations, enum ks_level level, const char *check,
			   struct ks_ctx *ctx, const char *what)
{
	const char *next = ks_ctx_hint(ctx);
	int rc = ks_observation_add(observations, level, check, *next ? next : NULL, "%s: %s", what, ks_ctx_text(ctx));

	ks_forgive(ctx);
	return rc;
}

/* ---- the device ---- */

static int module_told(struct ks_observations *into, const struct ks_p11_token *token)
{
	CK_INFO info = { 0 };
	CK_RV rv = ks_p11_info(&token->on, &info);
	ks_auto_mem char *maker = ks_p11_field(info.manufacturerID, sizeof(info.manufacturerID));
	ks_auto_mem char *title = ks_p11_field(info.libraryDescription, sizeof(info.libraryDescription));

	if (rv != CKR_OK)
		return ks_observation_add(into, KS_CARE, "module", NULL, "%s does not describe itself: %s",
					  token->on.module->shown, ks_p11_code_name(rv) ? ks_p11_code_name(rv) : "?");
	return ks_observation_add(into, KS_FACT, "module", NULL, "%s: %s, %s %u.%u, Cryptoki %u.%u",
				  token->on.module->shown, maker ? maker : "", title ? title : "",
				  info.libraryVersion.major, info.libraryVersion.minor, info.cryptokiVersion.major,
				  info.cryptokiVersion.minor);
}

static int pin_told(struct ks_observations *into, const struct ks_p11_token *token)
{
	static const struct {
		CK_FLAGS flag;
		const char *text, *next;
	} states[] = {
		{ CKF_USER_PIN_LOCKED, "the PIN is locked", "the security officer sets a new one: keystow token pin --unblock" },
		{ CKF_USER_PIN_FINAL_TRY, "one PIN try is left", "use the right PIN once, on a terminal with --allow-last-try" },
		{ CKF_USER_PIN_COUNT_LOW, "few PIN tries are left", "use the right PIN once" },
		{ CKF_USER_PIN_TO_BE_CHANGED, "the PIN has to be changed", "keystow token pin" },
		{ CKF_SO_PIN_LOCKED, "the security officer's PIN is locked", "a locked user PIN cannot be unblocked any more" },
		{ CKF_SO_PIN_FINAL_TRY, "one try is left for the security officer's PIN", "ask the officer before it is used" },
	};
	CK_FLAGS flags = token->info.flags;
	int rc = ks_observation_add(into, KS_FACT, "PIN", NULL, "%lu to %lu characters%s%s", token->info.ulMinPinLen,
				    token->info.ulMaxPinLen,
				    flags & CKF_PROTECTED_AUTHENTICATION_PATH ? ", typed on the device" : "",
				    flags & CKF_LOGIN_REQUIRED ? "" : ", not needed for use");

	for (size_t i = 0; rc == 0 && i < sizeof(states) / sizeof(states[0]); i++) {
		if (flags & states[i].flag)
			rc = ks_observation_add(into, KS_CARE, "PIN", states[i].next, "%s", states[i].text);
	}
	if (rc == 0 && flags & CKF_LOGIN_REQUIRED && !(flags & CKF_USER_PIN_INITIALIZED))
		rc = ks_observation_add(into, KS_CARE, "PIN", "keystow token pin --unblock", "no user PIN is set");
	return rc;
}

static int mechanisms_told(struct ks_observations *into, struct ks_p11_token *token)
{
	ks_auto_mem CK_MECHANISM_TYPE *types = NULL;
	ks_auto(buffer) names = ks_buffer_new(KS_P11_MECHANISMS * 40);
	ks_auto_mem char *kinds = NULL;
	size_t count = 0;
	int rc = ks_p11_failed(token->ctx, &token->on, ks_p11_mechanisms(&token->on, token->slot, &types, &count));

	if (rc < 0)
		return ks_observation_failure(into, KS_CARE, "mechanisms", token->ctx, "not told");
	for (size_t i = 0; names && i < count; i++) {
		const char *name = ks_p11_mechanism_name(types[i]);

		if (name)
			ks_buffer_format(names, " %s", name);
		else
			ks_buffer_format(names, " 0x%08lx", types[i]);
	}
	rc = ks_observation_add(into, KS_FACT, "mechanisms", NULL, "%zu:%s", count,
				names ? ks_buffer_string(names) : "");
	if (rc < 0)
		return rc;
	if (ks_p11_capable_kinds(&kinds, token) < 0)
		return ks_observation_failure(into, KS_CARE, "key pairs", token->ctx, "not told");
	return ks_observation_add(into, *kinds ? KS_FINE : KS_CARE, "key pairs",
				  *kinds ? NULL : "make keys in files and copy them", "lists %s",
				  *kinds ? kinds : "no way to make any");
}

static int sessions_told(struct ks_observations *into, const struct ks_p11_token *token)
{
	CK_SESSION_HANDLE open[SESSIONS];
	CK_ULONG most = token->info.ulMaxSessionCount;
	size_t count = 0;
	CK_RV rv = CKR_OK;
	char limit[32] = "no limit";

	while (count < SESSIONS && (rv = ks_p11_open_session(&token->on, token->slot, 0, &open[count])) == CKR_OK)
		count++;
	for (size_t i = count; i-- > 0;)
		ks_p11_close_session(&token->on, open[i]);
	if (most != CK_UNAVAILABLE_INFORMATION && most != CK_EFFECTIVELY_INFINITE)
		snprintf(limit, sizeof(limit), "%lu", most);
	return ks_observation_add(into, rv == CKR_OK ? KS_FINE : KS_CARE, "sessions",
				  rv == CKR_OK ? NULL : "programs that use many threads have to share sessions",
				  "%zu were opened at once%s%s; the token tells of %s", count,
				  rv == CKR_OK ? "" : ", then ",
				  rv == CKR_OK           ? ""
				  : ks_p11_code_name(rv) ? ks_p11_code_name(rv)
							 : "an unknown answer",
				  limit);
}

int ks_p11_examine_device(struct ks_observations *into, struct ks_p11_token *token)
{
	const CK_TOKEN_INFO *info = &token->info;
	int rc = module_told(into, token);

	if (rc == 0)
		rc = ks_observation_add(into, KS_FACT, "token", NULL,
					"%s, model %s, firmware %u.%02u, hardware %u.%02u%s", token->manufacturer,
					token->model, info->firmwareVersion.major, info->firmwareVersion.minor,
					info->hardwareVersion.major, info->hardwareVersion.minor,
					info->flags & CKF_WRITE_PROTECTED ? ", write-protected" : "");
	for (size_t n = 0; rc == 0; n++) {
		const char *words = ks_p11_quirk_told(token->quirks, n);

		if (!words)
			break;
		if (*words)
			rc = ks_observation_add(into, KS_FACT, "quirks", NULL, "%s", words);
	}
	if (rc == 0)
		rc = pin_told(into, token);
	if (rc == 0)
		rc = mechanisms_told(into, token);
	return rc < 0 ? rc : sessions_told(into, token);
}

/* ---- the whole ---- */

static int uninitialised(struct ks_observations *into, const struct ks_p11_token *token)
{
	if (token->info.flags & CKF_TOKEN_INITIALIZED)
		return 0;
	return ks_observation_add(into, KS_CARE, "objects", "keystow token init prepares it",
				  "the token is not initialised");
}

int ks_pkcs11_examine(struct ks_observations *into, struct ks_ctx *ctx, const struct ks_where *where, unsigned how)
{
	struct ks_p11_token *token = NULL;
	int rc = ks_p11_token_find(&token, ctx, where, true);

	if (rc == 0)
		rc = ks_p11_examine_device(into, token);
	if (rc == 0)
		rc = uninitialised(into, token);
	if (rc < 0 || !(token->info.flags & CKF_TOKEN_INITIALIZED))
		return rc;
	if (how)
		rc = ks_p11_login_user(token, where);
	if (rc == 0)
		rc = ks_p11_examine_objects(into, token);
	if (rc == 0 && how & KS_EXAMINE_WRITE)
		rc = ks_p11_examine_making(into, token);
	return rc;
}
