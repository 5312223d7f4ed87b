/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is on a token, and what of it other programs will stumble over.
 */
#include "examine_inside.h"

#include "object.h"
#include "text.h"

#include <stdio.h>
#include <time.h>

struct tally {
	size_t keys, public_keys, certificates, others, unread, edwards, entries;
};

static struct tally tally_of(const struct ks_p11_token *token)
{
	struct tally tally = { 0 };

	for (size_t i = 0; i < ks_p11_snapshot_count(token); i++) {
		const struct ks_p11_object *object = ks_p11_snapshot_at(token, i);

		tally.keys += object->class == CKO_PRIVATE_KEY;
		tally.public_keys += object->class == CKO_PUBLIC_KEY;
		tally.certificates += object->class == CKO_CERTIFICATE;
		tally.others += object->class != CKO_PRIVATE_KEY && object->class != CKO_PUBLIC_KEY &&
				object->class != CKO_CERTIFICATE;
		tally.unread += object->status != 0;
		tally.edwards += object->class == CKO_PRIVATE_KEY && object->key_type == CKK_EC_EDWARDS;
	}
	return tally;
}

static const struct ks_p11_object *other_of(const struct ks_p11_token *token, const struct ks_p11_object *object,
					    CK_OBJECT_CLASS class, bool by_id)
{
	const struct ks_p11_object *at = NULL;

	while ((at = by_id ? ks_p11_by_id(token, object->id, at) : ks_p11_by_spki(token, object->spki, at))) {
		if (at->class == class && at != object)
			return at;
	}
	return NULL;
}

static char *command(const char *verb, const struct ks_p11_token *token, const struct ks_p11_object *object)
{
	ks_auto_mem char *uri = ks_p11_uri(token, object->id, object->label,
					   object->class == CKO_PRIVATE_KEY ? "private" : "public");
	char *text = NULL;

	return asprintf(&text, "keystow %s '%s'", verb, uri ? uri : token->uri) < 0 ? NULL : text;
}

/* One key: its id, its halves, how it is guarded. */
static int key_told(struct ks_observations *into, const struct ks_p11_token *token, const struct ks_p11_object *key)
{
	ks_auto_mem char *label = ks_text_show(key->label);
	ks_auto_mem char *remove = command("remove", token, key);
	const char *name = label ? label : "";
	const struct ks_p11_object *certificate = other_of(token, key, CKO_CERTIFICATE, false);
	int rc = 0;

	if (!key->id.size)
		rc = ks_observation_add(into, KS_CARE, "ids", "keystow lint TOKEN --fix gives it one",
					"private key \"%s\" has no id: Java shows no entry for it", name);
	else if (other_of(token, key, CKO_PRIVATE_KEY, true))
		rc = ks_observation_add(
			into, KS_CARE, "ids", "give each key an id of its own",
			"private key \"%s\" shares its id with another: programs may take the wrong one", name);
	else if (certificate && !ks_bytes_equal(certificate->id, key->id))
		rc = ks_observation_add(
			into, KS_CARE, "ids", "keystow lint TOKEN --fix gives the certificate the key's",
			"private key \"%s\" and its certificate have different ids: Java and NSS do not pair them",
			name);
	if (rc == 0 && !key->spki.size)
		rc = ks_observation_add(into, KS_CARE, "halves", remove, "private key \"%s\" has no public half", name);
	if (rc == 0 && key->flags & KS_EXTRACTABLE)
		rc = ks_observation_add(into, KS_CARE, "guards",
					"make a new key, and keep this one only if it is a backup's",
					"private key \"%s\" can be taken out of the token", name);
	if (rc == 0 && !(key->flags & KS_SENSITIVE))
		rc = ks_observation_add(into, KS_CARE, "guards", "make a new key: keystow generate",
					"private key \"%s\" is not sensitive, so that its value may be read", name);
	return rc;
}

static int halves_told(struct ks_observations *into, const struct ks_p11_token *token, const struct ks_p11_object *key)
{
	ks_auto_mem char *label = ks_text_show(key->label);
	ks_auto_mem char *remove = command("remove", token, key);

	if (other_of(token, key, CKO_PRIVATE_KEY, false) || !ks_p11_snapshot_whole(token))
		return 0;
	return ks_observation_add(into, KS_CARE, "halves", remove, "public key \"%s\" has no private key",
				  label ? label : "");
}

/* What the usual programs make of it, by the rules that they go by. */
static int others_told(struct ks_observations *into, const struct ks_p11_token *token, const struct tally *tally)
{
	size_t java = 0;
	int rc;

	for (size_t i = 0; i < ks_p11_snapshot_count(token); i++) {
		const struct ks_p11_object *key = ks_p11_snapshot_at(token, i), *certificate;

		if (key->class != CKO_PRIVATE_KEY || !key->id.size)
			continue;
		certificate = other_of(token, key, CKO_CERTIFICATE, true);
		java += certificate != NULL;
	}
	rc = ks_observation_add(into, KS_FACT, "seen by Java", NULL,
				"%zu of %zu private keys (those with a certificate of the same id)", java, tally->keys);
	if (rc == 0 && tally->edwards)
		rc = ks_observation_add(into, KS_CARE, "seen by libp11",
					"keep Ed25519 keys on a token of their own if such programs use this one",
					"up to 0.4.13 (openssl -engine pkcs11) it sees no private key at all, because "
					"of an Ed25519 key");
	return rc;
}

static int cost_told(struct ks_observations *into, const struct timespec *since, size_t objects)
{
	struct timespec now;
	double ms;

	clock_gettime(CLOCK_MONOTONIC, &now);
	ms = (double)(now.tv_sec - since->tv_sec) * 1000 + (double)(now.tv_nsec - since->tv_nsec) / 1e6;
	return ks_observation_add(into, KS_FACT, "listing", NULL, "%zu objects found and read in %.1f ms", objects, ms);
}

int ks_p11_examine_objects(struct ks_observations *into, struct ks_p11_token *token)
{
	CK_SESSION_HANDLE session;
	struct timespec since;
	struct tally tally;
	size_t before;
	int rc;

	clock_gettime(CLOCK_MONOTONIC, &since);
	rc = ks_p11_failed(token->ctx, &token->on, ks_p11_session_take(token, &session));
	if (rc < 0)
		return rc;
	rc = ks_p11_snapshot_load(token, session);
	ks_p11_session_give(token, session, rc == KS_EGONE);
	if (rc < 0)
		return rc;
	tally = tally_of(token);
	rc = cost_told(into, &since, ks_p11_snapshot_count(token));
	if (rc == 0)
		rc = ks_observation_add(into, KS_FACT, "objects", NULL,
					"%zu private keys, %zu public keys, %zu certificates, %zu others%s", tally.keys,
					tally.public_keys, tally.certificates, tally.others,
					ks_p11_snapshot_whole(token) ? "" : "; private ones are seen after login only");
	if (rc == 0 && tally.unread)
		rc = ks_observation_add(into, KS_CARE, "objects", "keystow list names them",
					"%zu objects cannot be understood", tally.unread);
	before = into->count;
	for (size_t i = 0; rc == 0 && i < ks_p11_snapshot_count(token); i++) {
		const struct ks_p11_object *object = ks_p11_snapshot_at(token, i);

		if (object->class == CKO_PRIVATE_KEY)
			rc = key_told(into, token, object);
		else if (object->class == CKO_PUBLIC_KEY)
			rc = halves_told(into, token, object);
	}
	if (rc == 0 && into->count == before && tally.keys)
		rc = ks_observation_add(into, KS_FINE, "keys", NULL,
					"each private key is whole, guarded, and has an id of its own");
	return rc < 0 ? rc : others_told(into, token, &tally);
}
