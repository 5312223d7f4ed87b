/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling of each token what it says of itself.
 */
#include "tokens.h"

#include "quirks.h"
#include "session.h"

#include <stdio.h>
#include <string.h>

static void strings_free(char **strings)
{
	for (size_t i = 0; strings && strings[i]; i++)
		free(strings[i]);
	free(strings);
}

static void token_free(struct ks_token *token)
{
	free(token->uri);
	free(token->label);
	free(token->serial);
	free(token->manufacturer);
	free(token->model);
	free(token->module);
	free(token->module_file);
	free(token->init_args);
	strings_free(token->mechanisms);
	strings_free(token->known);
	strings_free(token->orphans);
	free(token);
}

void ks_tokens_free(struct ks_token **tokens)
{
	for (size_t i = 0; tokens && tokens[i]; i++)
		token_free(tokens[i]);
	free(tokens);
}

static void tokens_freep(struct ks_token ***tokens)
{
	ks_tokens_free(*tokens);
}

/* Hardware and firmware versions have hundredths behind the point (PKCS#11 2.40, 3.1). */
static void version_text(char out[8], CK_VERSION version)
{
	snprintf(out, 8, "%u.%02u", version.major, version.minor);
}

static void flags_told(struct ks_token *out, CK_FLAGS flags)
{
	out->initialized = flags & CKF_TOKEN_INITIALIZED;
	out->login_required = flags & CKF_LOGIN_REQUIRED;
	out->user_pin_set = flags & CKF_USER_PIN_INITIALIZED;
	out->write_protected = flags & CKF_WRITE_PROTECTED;
	out->pin_pad = flags & CKF_PROTECTED_AUTHENTICATION_PATH;
	out->pin_low = flags & CKF_USER_PIN_COUNT_LOW;
	out->pin_last = flags & CKF_USER_PIN_FINAL_TRY;
	out->pin_locked = flags & CKF_USER_PIN_LOCKED;
	out->so_pin_low = flags & CKF_SO_PIN_COUNT_LOW;
	out->so_pin_last = flags & CKF_SO_PIN_FINAL_TRY;
	out->so_pin_locked = flags & CKF_SO_PIN_LOCKED;
}

static int mechanisms_told(struct ks_token *out, const struct ks_p11_token *token)
{
	ks_auto_mem CK_MECHANISM_TYPE *types = NULL;
	size_t count = 0;
	int rc = ks_p11_failed(token->ctx, &token->on, ks_p11_mechanisms(&token->on, token->slot, &types, &count));

	if (rc < 0)
		return rc;
	if (token->on.module->isolated)
		ks_notice(token->ctx, KS_EUNABLE, token->on.module->shown, "load = direct shows all of them",
			  "the module runs isolated, which hides the mechanisms that p11-kit's remoting does not know");
	out->mechanisms = ks_array(count + 1, sizeof(char *));
	if (!out->mechanisms)
		return ks_nomem(token->ctx);
	for (size_t i = 0; i < count; i++) {
		const char *name = ks_p11_mechanism_name(types[i]);

		if (!name && asprintf(&out->mechanisms[i], "0x%08lx", types[i]) < 0)
			out->mechanisms[i] = NULL;
		if (name)
			out->mechanisms[i] = strdup(name);
		if (!out->mechanisms[i])
			return ks_nomem(token->ctx);
	}
	return 0;
}

static int known_told(struct ks_token *out, const struct ks_p11_token *token)
{
	size_t count = 0, put = 0;
	const char *words;

	while (ks_p11_quirk_told(token->quirks, count))
		count++;
	out->known = ks_array(count + 1, sizeof(char *));
	for (size_t i = 0; out->known && i < count; i++) {
		words = ks_p11_quirk_told(token->quirks, i);
		if (*words && !(out->known[put++] = strdup(words)))
			return ks_nomem(token->ctx);
	}
	return out->known ? 0 : ks_nomem(token->ctx);
}

/* p11-kit has these of its own modules, and hands them out as new strings. */
static int module_told(struct ks_token *out, const struct ks_p11_module *module)
{
	out->module = strdup(module->name);
	out->isolated = module->isolated;
	if (module->name[0] != '/') {
		out->module_file = ks_p11kit.module_get_filename(module->functions);
		out->init_args = ks_p11kit.config_option(module->functions, "x-init-reserved");
	} else {
		out->module_file = strdup(module->name);
		out->init_args = module->arguments ? strdup(module->arguments) : NULL;
	}
	return out->module && out->module_file && (out->init_args || !module->arguments) ? 0 : ks_nomem(module->ctx);
}

static int told(struct ks_token *out, const struct ks_p11_token *token, bool mechanisms)
{
	int rc;

	out->uri = strdup(token->uri);
	out->label = strdup(token->label);
	out->serial = strdup(token->serial);
	out->manufacturer = strdup(token->manufacturer);
	out->model = strdup(token->model);
	if (!out->uri || !out->label || !out->serial || !out->manufacturer || !out->model)
		return ks_nomem(token->ctx);
	out->slot = token->slot;
	out->pin_min = token->info.ulMinPinLen;
	out->pin_max = token->info.ulMaxPinLen;
	flags_told(out, token->info.flags);
	version_text(out->firmware, token->info.firmwareVersion);
	version_text(out->hardware, token->info.hardwareVersion);
	rc = module_told(out, token->on.module);
	if (rc == 0)
		rc = known_told(out, token);
	return rc == 0 && mechanisms ? mechanisms_told(out, token) : rc;
}

int ks_pkcs11_tokens(struct ks_token ***out, struct ks_ctx *ctx, const struct ks_where *where, bool mechanisms)
{
	ks_auto_mem struct ks_p11_token **present = NULL;
	__attribute__((cleanup(tokens_freep))) struct ks_token **tokens = NULL;
	size_t count = 0;
	int rc = ks_p11_tokens_present(&present, ctx, where);

	if (rc < 0)
		return rc;
	while (present[count])
		count++;
	tokens = ks_array(count + 1, sizeof(struct ks_token *));
	if (!tokens)
		return ks_nomem(ctx);
	for (size_t i = 0, put = 0; rc == 0 && i < count; i++) {
		if (!ks_p11_token_matches(present[i], where))
			continue;
		tokens[put] = calloc(1, sizeof(struct ks_token));
		rc = tokens[put] ? told(tokens[put], present[i], mechanisms) : ks_nomem(ctx);
		put++;
	}
	if (rc < 0)
		return rc;
	*out = ks_take(tokens);
	return 0;
}
