/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is on a token, and what was left there half done.
 *
 * A key pair is two objects that a token makes and names one after the other, so a token that is pulled out, or a program that is
 * killed, can leave one of them. Such a half is of no use and hides behind a good label: it is named here together with the
 * command that removes it. Only after a login can halves be told, because private keys are not seen before.
 */
#include "token.h"

#include "text.h"

#include <p11-kit/pkcs11.h>

#include <stdio.h>
#include <string.h>

static int set_attribute(P11KitUri *uri, CK_ATTRIBUTE_TYPE type, const void *value, size_t size)
{
	CK_ATTRIBUTE attribute = { type, (void *)value, size };

	return ks_p11kit.uri_set_attribute(uri, &attribute) == P11_KIT_URI_OK ? 0 : KS_ENOMEM;
}

int ks_object_address(char **out, const char *token, const struct ks_item *item, unsigned by)
{
	CK_OBJECT_CLASS class = item->kind == KS_PRIVATE_KEY ? CKO_PRIVATE_KEY : CKO_PUBLIC_KEY;
	P11KitUri *uri = ks_p11kit.uri_new();
	int rc = 0;

	if (!uri || ks_p11kit.uri_parse(token, P11_KIT_URI_FOR_ANY, uri) != P11_KIT_URI_OK)
		rc = KS_EBUG;
	else
		ks_p11kit.uri_clear_attributes(uri);
	if (rc == 0 && by & KS_BY_KIND)
		rc = set_attribute(uri, CKA_CLASS, &class, sizeof(class));
	if (rc == 0 && by & KS_BY_ID && item->id.size)
		rc = set_attribute(uri, CKA_ID, item->id.data, item->id.size);
	if (rc == 0 && by & KS_BY_LABEL && item->label.size)
		rc = set_attribute(uri, CKA_LABEL, item->label.data, item->label.size);
	if (rc == 0 && ks_p11kit.uri_format(uri, P11_KIT_URI_FOR_ANY, out) != P11_KIT_URI_OK)
		rc = KS_ENOMEM;
	ks_p11kit.uri_free(uri);
	return rc;
}

/* Why an entry is half a pair, or NULL. A private key whose public key its certificate tells is whole: many cards work so. */
static const char *half_of(const struct ks_entry *entry)
{
	if (!entry->key)
		return NULL;
	if (entry->key->kind == KS_PUBLIC_KEY)
		return "has no private key";
	if (entry->key->kind == KS_PRIVATE_KEY && !entry->public_key && !entry->certificate && !entry->key->spki.data)
		return "has no public key";
	return NULL;
}

static int orphan_text(char **out, const struct ks_token *token, struct ks_item *item, const char *why)
{
	ks_auto_mem char *named = ks_item_named(item);
	ks_auto_mem char *address = NULL;
	int rc = KS_ENOMEM;

	if (named)
		rc = ks_object_address(&address, token->uri, item, KS_BY_KIND | KS_BY_ID | KS_BY_LABEL);

	if (rc == 0 && asprintf(out, "%s %s; keystow remove '%s'", named, why, address) < 0)
		rc = KS_ENOMEM;
	return rc;
}

static int list_orphans(struct ks_token *token, struct ks_store *store)
{
	size_t count = ks_store_entry_count(store), found = 0;
	char **orphans = ks_array(count + 1, sizeof(*orphans));
	const struct ks_entry *entry;
	int rc = orphans ? 0 : ks_nomem(store->ctx);

	token->orphans = orphans;
	for (size_t i = 0; rc == 0 && (entry = ks_store_entry_at(store, i)); i++) {
		const char *why = half_of(entry);

		if (why && orphan_text(&orphans[found++], token, entry->key, why) < 0)
			rc = ks_nomem(store->ctx);
	}
	return rc;
}

static void count_objects(struct ks_token *token, const struct ks_set *items)
{
	struct ks_counts counts = ks_set_counts(items);

	token->keys = counts.keys;
	token->public_keys = counts.public_keys;
	token->certificates = counts.certificates;
	token->others = counts.secret_keys + counts.requests + counts.crls + counts.opaque;
}

static void pass_on_problems(struct ks_store *store)
{
	const struct ks_problem *problem;

	for (size_t n = 0; (problem = ks_set_problem_at(ks_store_items(store), n)); n++)
		ks_notice(store->ctx, problem->status, ks_where_text(store->where), problem->hint, "%s", problem->text);
}

/* The token's objects, looked at through the store's door by the token's own address. */
static int look_inside(struct ks_token *token, struct ks_ctx *ctx, const struct ks_where *where, bool login)
{
	ks_auto(where) precise = NULL;
	ks_auto(store) store = NULL;
	int rc = login ? 0 : ks_where_parse(&precise, ctx, token->uri);

	if (rc == 0 && precise && where && where->module && !(precise->module = strdup(where->module)))
		rc = ks_nomem(ctx);
	if (rc == 0)
		rc = ks_store_open(&store, ctx, login ? where : precise,
				   KS_READ | (login ? KS_LOGIN : KS_WITHOUT_SECRET));
	if (rc < 0)
		return rc;
	count_objects(token, ks_store_items(store));
	pass_on_problems(store);
	return login ? list_orphans(token, store) : 0;
}

int ks_tokens(struct ks_token ***out, struct ks_ctx *ctx, const struct ks_where *where, unsigned look)
{
	struct ks_token **tokens = NULL;
	bool login;
	int rc = ks_pkcs11_tokens(&tokens, ctx, where, look & KS_LOOK_DEEP);

	if (rc < 0)
		return where ? ks_while(ctx, rc, "looking for %s", ks_where_text(where)) : rc;
	login = look & KS_LOOK_LOGIN && where && tokens[0] && !tokens[1];
	for (size_t i = 0; rc == 0 && look & KS_LOOK_DEEP && tokens[i]; i++) {
		if (tokens[i]->initialized)
			rc = look_inside(tokens[i], ctx, where, login);
	}
	if (rc < 0) {
		ks_tokens_free(tokens);
		return rc;
	}
	*out = tokens;
	return 0;
}

int ks_token_examine(struct ks_observations *into, struct ks_ctx *ctx, const struct ks_where *where, unsigned how)
{
	int rc = ks_pkcs11_examine(into, ctx, where, how);

	return rc == KS_ENOMEM ? ks_nomem(ctx) : ks_while(ctx, rc, "examining %s", ks_where_text(where));
}

int ks_token_bench(struct ks_measures *into, struct ks_ctx *ctx, const struct ks_where *where,
		   const struct ks_bench_wish *wish)
{
	return ks_while(ctx, ks_pkcs11_bench(into, ctx, where, wish), "measuring %s", ks_where_text(where));
}
