/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A token lists its mechanisms and the sizes of keys for each. A list is believed when it lacks a mechanism; sizes only when they can
 * be bits at all, because some modules give bytes, or nothing.
 */
#include "capable.h"

#include "calls.h"
#include "mldsa.h"

#include <string.h>

static const struct kind {
	enum ks_key_type type;
	CK_MECHANISM_TYPE makes;
	const char *title;
	CK_ULONG least; /* a greatest size below this one is not in bits */
} kinds[] = {
	{ KS_KEY_RSA, CKM_RSA_PKCS_KEY_PAIR_GEN, "RSA", 1024 },
	{ KS_KEY_EC, CKM_EC_KEY_PAIR_GEN, "EC", 160 },
	{ KS_KEY_ED25519, CKM_EC_EDWARDS_KEY_PAIR_GEN, "Ed25519", 0 },
	/* One mechanism; which sets it has, the token does not tell. */
	{ KS_KEY_ML_DSA_44, CKM_ML_DSA_KEY_PAIR_GEN, "ML-DSA-44", 0 },
	{ KS_KEY_ML_DSA_65, CKM_ML_DSA_KEY_PAIR_GEN, "ML-DSA-65", 0 },
	{ KS_KEY_ML_DSA_87, CKM_ML_DSA_KEY_PAIR_GEN, "ML-DSA-87", 0 },
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

struct ks_p11_listed {
	bool makes[KINDS], sized[KINDS];
	CK_MECHANISM_INFO info[KINDS];
};

static void sizes_ask(struct ks_p11_listed *listed, const struct ks_p11_token *token, size_t kind)
{
	CK_MECHANISM_INFO *info = &listed->info[kind];

	if (kinds[kind].least && ks_p11_mechanism_info(&token->on, token->slot, kinds[kind].makes, info) == CKR_OK)
		listed->sized[kind] = info->ulMaxKeySize >= kinds[kind].least &&
				      info->ulMinKeySize <= info->ulMaxKeySize && info->ulMaxKeySize <= 65536;
}

static int list_ask(struct ks_p11_listed *listed, const struct ks_p11_token *token)
{
	ks_auto_mem CK_MECHANISM_TYPE *types = NULL;
	size_t count = 0;
	int rc = ks_p11_failed(token->ctx, &token->on, ks_p11_mechanisms(&token->on, token->slot, &types, &count));

	*listed = (struct ks_p11_listed){ 0 };
	for (size_t i = 0; rc == 0 && i < count; i++) {
		for (size_t kind = 0; kind < KINDS; kind++)
			listed->makes[kind] = listed->makes[kind] || types[i] == kinds[kind].makes;
	}
	return rc;
}

static int kinds_tell(char **out, const struct ks_p11_listed *listed)
{
	ks_auto(buffer) text = ks_buffer_new(256);

	if (!text)
		return KS_ENOMEM;
	for (size_t kind = 0; kind < KINDS; kind++) {
		if (!listed->makes[kind])
			continue;
		ks_buffer_format(text, "%s%s", text->size ? ", " : "", kinds[kind].title);
		if (listed->sized[kind])
			ks_buffer_format(text, " %lu to %lu", listed->info[kind].ulMinKeySize,
					 listed->info[kind].ulMaxKeySize);
	}
	*out = strdup(ks_buffer_string(text));
	return *out ? 0 : KS_ENOMEM;
}

/* Asked once: a token's list does not change while it is there. */
static int listed_of(const struct ks_p11_listed **out, struct ks_p11_token *token)
{
	struct ks_p11_listed listed;
	int rc = token->listed ? 0 : list_ask(&listed, token);

	for (size_t kind = 0; rc == 0 && !token->listed && kind < KINDS; kind++) {
		if (listed.makes[kind])
			sizes_ask(&listed, token, kind);
	}
	if (rc < 0)
		return rc;
	if (!token->listed) {
		token->listed = malloc(sizeof(listed));
		if (!token->listed)
			return ks_nomem(token->ctx);
		*token->listed = listed;
	}
	*out = token->listed;
	return 0;
}

int ks_p11_capable_kinds(char **out, struct ks_p11_token *token)
{
	const struct ks_p11_listed *listed = NULL;
	int rc = listed_of(&listed, token);

	return rc < 0 ? rc : kinds_tell(out, listed);
}

static int refuse(const struct ks_p11_token *token, const struct ks_p11_listed *listed, const struct ks_keyspec *spec)
{
	ks_auto_mem char *others = NULL;
	char title[32];
	int rc;

	ks_keyspec_title(title, spec);
	if (kinds_tell(&others, listed) < 0)
		return ks_nomem(token->ctx);
	rc = ks_fail(token->ctx, KS_EUNABLE, "token %s makes no %s keys", token->shown, title);
	if (!*others)
		return ks_hint(token->ctx, rc, "it lists no way to make key pairs at all: make the key in a file, and copy it");
	return ks_hint(token->ctx, rc, "it says that it makes %s: choose with --type", others);
}

int ks_p11_capable_make(struct ks_p11_token *token, const struct ks_keyspec *spec)
{
	const struct ks_p11_listed *listed = NULL;
	size_t kind = 0;
	int rc = listed_of(&listed, token);

	while (kind < KINDS && kinds[kind].type != spec->type)
		kind++;
	if (rc < 0 || kind == KINDS)
		return rc;
	if (!listed->makes[kind])
		return refuse(token, listed, spec);
	if (listed->sized[kind] &&
	    (spec->bits > listed->info[kind].ulMaxKeySize || spec->bits < listed->info[kind].ulMinKeySize))
		return refuse(token, listed, spec);
	return 0;
}
