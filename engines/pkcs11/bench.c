/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Measuring a token in one session, as a server would use it. A few signatures go before those that are counted, because many tokens
 * load a key at its first use. The first signature and the last are verified: how fast a token signs wrongly is no measure of it.
 */
#include "bench.h"

#include "keygen.h"
#include "login.h"
#include "pair.h"
#include "put.h"
#include "sign.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define LABEL "keystow token bench, test key"
#define WARM_UP 3

static double now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static void note(struct ks_measures *into, const char *what, const char *title, size_t count, double seconds)
{
	struct ks_measure *measure;

	if (into->count == KS_MEASURES)
		return;
	measure = &into->list[into->count++];
	*measure = (struct ks_measure){ .what = what, .count = count, .seconds = seconds };
	snprintf(measure->title, sizeof(measure->title), "%s", title);
}

/* ---- signing ---- */

struct signature {
	unsigned char bytes[KS_P11_LONGEST_SIGNATURE];
	size_t size;
};

static struct ks_bytes signed_by(const struct ks_p11_object *key)
{
	/* The name of SHA-256 before a digest (RFC 8017 9.2), as every RSA signature of a certificate has it. */
	static const unsigned char named[51] = { 0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
						 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20, 0x42 };

	return key->key_type == CKK_RSA ? KS_BYTES(named, sizeof(named)) : KS_BYTES(named + 19, 32);
}

static CK_RV sign_once(struct signature *out, const struct ks_p11_token *token, CK_SESSION_HANDLE session,
		       const struct ks_p11_object *key)
{
	CK_MECHANISM mechanism = { ks_p11_bare_mechanism(&key->key), NULL, 0 };
	CK_RV rv = ks_p11_sign_init(&token->on, session, &mechanism, key->handle);

	out->size = sizeof(out->bytes);
	return rv == CKR_OK ? ks_p11_sign(&token->on, session, signed_by(key), out->bytes, &out->size) : rv;
}

static CK_RV verify(const struct ks_p11_token *token, const struct ks_p11_object *key, struct signature *signature)
{
	if (key->spki.size == 0)
		return CKR_OK;
	return ks_p11_pair_verifies(token->ctx, key->spki, signature->bytes, signature->size, signed_by(key)) ? CKR_OK
													      : KS_CKR_SIGNATURE;
}

static int sign(struct ks_measures *into, struct ks_p11_token *token, CK_SESSION_HANDLE session,
		const struct ks_p11_object *key, unsigned seconds)
{
	char title[32];
	struct signature signature;
	double begun = 0, spent = 0;
	size_t count = 0;

	ks_keyspec_title(title, &key->key);
	if (key->always_authenticate)
		return ks_hint(token->ctx,
			       ks_fail(token->ctx, KS_EUNABLE, "the key wants its PIN for each signature, so it is not measured"),
			       "name another key, or use --write");
	if (key->spki.size == 0)
		ks_notice(token->ctx, KS_EPROOF, token->uri, "put its public key or certificate beside it",
			  "token %s does not tell the public key, so the signatures are not verified", token->shown);
	while (spent < seconds) {
		CK_RV rv = sign_once(&signature, token, session, key);
		int rc;

		if (rv == CKR_OK && count == 0)
			rv = verify(token, key, &signature);
		rc = ks_while(token->ctx, ks_p11_failed(token->ctx, &token->on, rv), "signing with an %s key", title);
		if (rc == 0)
			rc = ks_progress(token->ctx, "signing", (uint64_t)(spent * 1000), (uint64_t)seconds * 1000);
		if (rc < 0)
			return rc;
		if (++count == WARM_UP)
			begun = now();
		if (count >= WARM_UP)
			spent = now() - begun;
	}
	if (verify(token, key, &signature) != CKR_OK)
		return ks_while(token->ctx, ks_p11_failed(token->ctx, &token->on, KS_CKR_SIGNATURE), "signing with an %s key",
				title);
	note(into, "sign", title, count - WARM_UP, spent);
	return 0;
}

/* ---- keys ---- */

static int pair_remove(struct ks_p11_token *token, CK_SESSION_HANDLE session, size_t before, int rc)
{
	while (ks_p11_snapshot_count(token) > before) {
		size_t count = ks_p11_snapshot_count(token);
		const struct ks_p11_object *object = ks_p11_snapshot_at(token, count - 1);

		rc = ks_p11_put_back(token, session, object->handle, rc, "the test key");
		if (ks_p11_snapshot_count(token) == count)
			return rc < 0 ? rc
				      : ks_hint(token->ctx,
						ks_fail(token->ctx, KS_ETOKEN, "test key \"%s\" could not be removed again", LABEL),
						"keystow list shows it, keystow remove removes it");
	}
	return rc;
}

/* A kind that the token does not make is left out: token doctor tells why. */
static int kind(struct ks_measures *into, struct ks_p11_token *token, CK_SESSION_HANDLE session, const char *word,
		unsigned seconds)
{
	struct ks_generate wish = { .label = ks_bytes_of(LABEL), .allow_extractable = true };
	size_t before = ks_p11_snapshot_count(token);
	ks_auto(set) made = NULL;
	double begun;
	char title[32];
	int rc = ks_keyspec_parse(&wish.spec, token->ctx, word);

	if (rc == 0)
		rc = ks_set_new(&made, token->ctx);
	if (rc < 0)
		return rc;
	begun = now();
	rc = ks_p11_generate(token, session, made, &wish);
	if (rc == KS_EUNABLE) {
		ks_forgive(token->ctx);
		return 0;
	}
	if (rc < 0)
		return rc;
	ks_keyspec_title(title, &wish.spec);
	note(into, "make", title, 1, now() - begun);
	rc = sign(into, token, session, ks_p11_snapshot_at(token, ks_p11_snapshot_count(token) - 1), seconds);
	return pair_remove(token, session, before, rc);
}

static const struct ks_p11_object *key_named(const struct ks_p11_token *token, const struct ks_where *where)
{
	for (size_t i = 0; i < ks_p11_snapshot_count(token); i++) {
		const struct ks_p11_object *object = ks_p11_snapshot_at(token, i);

		if (object->class == CKO_PRIVATE_KEY &&
		    (!where->label || ks_bytes_are(object->label, where->label)) &&
		    (!where->id || ks_bytes_equal(object->id, KS_BYTES(where->id, where->id_size))))
			return object;
	}
	return NULL;
}

static int signatures(struct ks_measures *into, struct ks_p11_token *token, CK_SESSION_HANDLE session,
		      const struct ks_where *where, const struct ks_bench_wish *wish)
{
	static const char *const words[] = { "rsa:2048", "p256", "p384", "ed25519", "ml-dsa-65" };
	const struct ks_p11_object *key = ks_where_names_entry(where) ? key_named(token, where) : NULL;
	int rc = 0;

	if (ks_where_names_entry(where) && !key)
		return ks_hint(token->ctx,
			       ks_fail(token->ctx, KS_ENOTFOUND, "token %s has no such private key", token->shown),
			       "keystow list '%s' shows those that it has", token->uri);
	if (key)
		return sign(into, token, session, key, wish->seconds);
	for (size_t i = 0; rc == 0 && wish->write && i < sizeof(words) / sizeof(words[0]); i++)
		rc = kind(into, token, session, words[i], wish->seconds);
	return rc;
}

/* ---- the whole ---- */

int ks_pkcs11_bench(struct ks_measures *into, struct ks_ctx *ctx, const struct ks_where *where,
		    const struct ks_bench_wish *wish)
{
	struct ks_p11_token *token = NULL;
	CK_SESSION_HANDLE session;
	double begun;
	int rc = ks_p11_token_find(&token, ctx, where, false);

	if (rc < 0)
		return rc;
	begun = now();
	rc = ks_p11_login_user(token, where);
	if (rc < 0)
		return rc;
	note(into, "log in", "with asking", 1, now() - begun);
	rc = ks_p11_failed(ctx, &token->on, ks_p11_session_take(token, &session));
	if (rc < 0)
		return rc;
	begun = now();
	rc = ks_p11_snapshot_load(token, session);
	if (rc == 0) {
		note(into, "list", "objects", ks_p11_snapshot_count(token), now() - begun);
		rc = signatures(into, token, session, where, wish);
	}
	ks_p11_session_give(token, session, rc == KS_EGONE);
	return rc;
}
