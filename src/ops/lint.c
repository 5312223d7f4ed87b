/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A private key rules: its certificates and its public key take its id and its label. A key without an id gets its certificate's,
 * else the SHA-1 of its public key, which is what others choose too; so does what has the id of a stranger. Where nothing tells its
 * public key it gets a random one.
 */
#include "lint.h"

#include "certificate.h"
#include "lookup.h"
#include "random.h"
#include "survey.h"
#include "text.h"

#include <stdio.h>
#include <string.h>

struct lint {
	struct ks_findings *out;
	struct ks_plan *plan;
	struct ks_store *store;
	struct ks_survey *survey;
	bool named; /* a kind of store where ids and labels tie things together */
	int64_t now;
};

enum rule { NO_ID, ID_DIFFERS, ID_SHARED, NO_LABEL, LABEL_DIFFERS, LABEL_SHARED, HALF, ORPHAN, WEAK_KEY, EXPIRED };
static const struct {
	const char *code;
	const char *text; /* behind the item's name */
	const char *next;
} rules[] = {
	[NO_ID] = { "no-id", "has no id: Java does not show it, and NSS does not find it",
		    "keystow lint --fix gives it one" },
	[ID_DIFFERS] = { "id-differs", "has another id than its private key: Java and NSS do not pair them",
			 "keystow lint --fix gives it the key's" },
	[ID_SHARED] = { "id-shared",
			"has the id of a private key that is not its own: programs may take the one for the other",
			"keystow lint --fix gives it one of its own" },
	[NO_LABEL] = { "no-label", "has no label, so nobody can ask for it by name", "keystow rename gives it one" },
	[LABEL_DIFFERS] = { "label-differs",
			    "has another label than its private key: programs know the entry by different names",
			    "keystow lint --fix gives it the key's" },
	[LABEL_SHARED] = { "label-shared", "has the same label as another: who asks for it by name may get the other",
			   "keystow rename gives one of them another" },
	[HALF] = { "half", "has no public half that is known, so it cannot be used",
		   "give its public key or certificate the same id, with pkcs11-tool --set-id" },
	[ORPHAN] = { "orphan", "is no CA's, and no key here belongs to it",
		     "keystow remove, if nothing else needs it" },
	[WEAK_KEY] = { "weak-key", "has a weak key", "make a new key of at least 2048 bits RSA or 256 bits EC" },
	[EXPIRED] = { "expired", "has expired", "ask for a new one: keystow enroll or keystow request" },
};

static int found(struct lint *lint, enum rule rule, struct ks_item *item)
{
	ks_auto_mem char *named = ks_item_named(item);
	int rc = ks_finding_tell(lint->out, KS_NO_INVALID, "lint", rules[rule].next, "%s %s", named ? named : "an item",
				 rules[rule].text);

	if (rc < 0)
		return ks_nomem(lint->store->ctx);
	lint->out->findings[lint->out->count - 1].code = rules[rule].code;
	return 0;
}

/* ---- names ---- */

/* The SHA-1 of a public key, kept in the plan; none when it cannot be had, or another private key has it. */
static struct ks_bytes fresh_id(struct lint *lint, struct ks_bytes spki)
{
	unsigned char id[20];

	if (!spki.data || ks_spki_id(id, spki) < 0 ||
	    ks_survey_id(lint->survey, KS_BYTES(id, sizeof(id)), KS_PRIVATE_KEY).count)
		return KS_NONE;
	return ks_set_bytes(lint->plan->kept, id, sizeof(id));
}

/* Of several keys under one id the first in the order of public keys keeps it. */
static bool owns_id(const struct lint *lint, const struct ks_surveyed *key)
{
	struct ks_span span = ks_survey_id(lint->survey, key->item->id, KS_PRIVATE_KEY);

	return span.count && ks_bytes_equal(span.first[0]->spki, key->spki);
}

/*
 * The public key of a pair as pkcs11-tool makes it when it is told no id: the only private key of that label, and the only public
 * key, which is of the same kind and no other private key's.
 */
static struct ks_bytes half_by_label(const struct lint *lint, const struct ks_surveyed *key)
{
	struct ks_span keys = ks_survey_label(lint->survey, key->item->label, KS_PRIVATE_KEY);
	struct ks_span halves = ks_survey_label(lint->survey, key->item->label, KS_PUBLIC_KEY);
	const struct ks_surveyed *half = halves.count ? halves.first[0] : NULL;

	if (key->item->id.size || keys.count != 1 || halves.count != 1 || half->item->id.size ||
	    !ks_bytes_equal(half->item->label, key->item->label) ||
	    (key->item->key.type != KS_KEY_UNKNOWN && half->item->key.type != key->item->key.type) ||
	    ks_survey_key(lint->survey, half->spki, KS_PRIVATE_KEY).count)
		return KS_NONE;
	return half->spki;
}

static bool id_used(const struct lint *lint, struct ks_bytes id)
{
	return ks_survey_id(lint->survey, id, KS_PRIVATE_KEY).count ||
	       ks_survey_id(lint->survey, id, KS_PUBLIC_KEY).count ||
	       ks_survey_id(lint->survey, id, KS_CERTIFICATE).count;
}

static int random_id(struct ks_bytes *out, struct lint *lint)
{
	unsigned char id[8];
	int rc;

	do {
		rc = ks_random(lint->store->ctx, id, sizeof(id));
	} while (rc == 0 && id_used(lint, KS_BYTES(id, sizeof(id))));
	if (rc < 0)
		return rc;
	*out = ks_set_bytes(lint->plan->kept, id, sizeof(id));
	return out->data ? 0 : ks_nomem(lint->store->ctx);
}

static struct ks_bytes id_for(struct lint *lint, const struct ks_surveyed *key, struct ks_bytes spki)
{
	struct ks_span certificates = ks_survey_key(lint->survey, spki, KS_CERTIFICATE);

	if (owns_id(lint, key))
		return key->item->id;
	for (size_t i = 0; !key->item->id.size && i < certificates.count; i++) {
		struct ks_bytes id = certificates.first[i]->item->id;

		if (id.size && !ks_survey_id(lint->survey, id, KS_PRIVATE_KEY).count &&
		    !ks_span_mixed(ks_survey_id(lint->survey, id, KS_CERTIFICATE)))
			return id;
	}
	return fresh_id(lint, spki);
}

/* What an item with the key's public key should be called; absent parts stay. */
static int name_other(struct lint *lint, struct ks_item *item, struct ks_bytes id, struct ks_bytes label)
{
	struct ks_naming naming = { 0 };
	int rc = 0;

	if (id.size && !ks_bytes_equal(item->id, id)) {
		naming.id = id;
		rc = found(lint, ID_DIFFERS, item);
	}
	if (rc == 0 && label.size && !ks_bytes_equal(item->label, label)) {
		naming.label = label;
		rc = found(lint, LABEL_DIFFERS, item);
	}
	if (rc < 0 || (!naming.id.data && !naming.label.data))
		return rc;
	return ks_plan_name(lint->plan, item, &naming,
			    naming.id.data ? "its id becomes the private key's"
					   : "its label becomes the private key's");
}

static int name_others(struct lint *lint, const struct ks_surveyed *key, struct ks_bytes spki, struct ks_bytes id)
{
	static const enum ks_kind kinds[] = { KS_PUBLIC_KEY, KS_CERTIFICATE };
	int rc = 0;

	/* The same key twice is nobody's ruler. */
	if (ks_survey_key(lint->survey, spki, KS_PRIVATE_KEY).count > 1)
		return 0;
	for (size_t k = 0; k < 2; k++) {
		struct ks_span span = ks_survey_key(lint->survey, spki, kinds[k]);

		for (size_t i = 0; rc == 0 && i < span.count; i++)
			rc = name_other(lint, span.first[i]->item, id, span.count == 1 ? key->item->label : KS_NONE);
	}
	return rc;
}

static int check_key(struct lint *lint, const struct ks_surveyed *key)
{
	struct ks_span alike = ks_survey_label(lint->survey, key->item->label, KS_PRIVATE_KEY);
	struct ks_bytes spki = key->spki.data ? key->spki : half_by_label(lint, key);
	struct ks_naming naming = { .id = id_for(lint, key, spki) };
	int rc = 0;

	if (!key->item->id.size && !naming.id.size)
		rc = random_id(&naming.id, lint);
	if (rc == 0 && !key->item->id.size)
		rc = found(lint, NO_ID, key->item);
	else if (rc == 0 && !owns_id(lint, key))
		rc = found(lint, ID_SHARED, key->item);
	if (rc == 0 && naming.id.size && !ks_bytes_equal(naming.id, key->item->id))
		rc = ks_plan_name(lint->plan, key->item, &naming, "it gets an id of its own");
	if (rc == 0 && !spki.data && key->item->flags & KS_ON_DEVICE)
		rc = found(lint, HALF, key->item);
	if (rc == 0 && !key->item->label.size)
		rc = found(lint, NO_LABEL, key->item);
	if (rc == 0 && alike.count > 1)
		rc = found(lint, LABEL_SHARED, key->item);
	return rc == 0 && spki.data ? name_others(lint, key, spki, naming.id) : rc;
}

/* ---- certificates ---- */

/* A certificate without key that stands under the id of another one's key. */
static int check_stranger(struct lint *lint, const struct ks_surveyed *row)
{
	struct ks_naming naming = { .id = fresh_id(lint, row->spki) };
	int rc;

	if (!ks_survey_id(lint->survey, row->item->id, KS_PRIVATE_KEY).count)
		return 0;
	rc = found(lint, ID_SHARED, row->item);
	return rc < 0 || !naming.id.data ? rc
					 : ks_plan_name(lint->plan, row->item, &naming, "it gets an id of its own");
}

static int check_certificate(struct lint *lint, const struct ks_surveyed *row)
{
	bool alone = !ks_survey_key(lint->survey, row->spki, KS_PRIVATE_KEY).count;
	struct ks_certificate_facts facts;
	int rc = 0;

	if (ks_certificate_facts(&facts, row->item->der) < 0)
		return 0;
	if (facts.not_after < lint->now)
		rc = found(lint, EXPIRED, row->item);
	if (rc == 0 && ks_key_weak(&facts.key))
		rc = found(lint, WEAK_KEY, row->item);
	if (rc < 0 || !alone || !lint->named)
		return rc;
	rc = check_stranger(lint, row);
	if (rc == 0 && !facts.is_ca && !facts.self_issued && !ks_item_is_anchor(row->item))
		rc = found(lint, ORPHAN, row->item);
	return rc;
}

/* ---- the whole ---- */

/* A key in a file tells its public half only when it is opened; one that has another password stays unknown. */
static int open_keys(struct ks_store *store)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < ks_set_count(store->items); i++) {
		struct ks_item *item = ks_set_at(store->items, i);
		struct ks_buffer *spki = NULL;

		if (item->kind != KS_PRIVATE_KEY || item->spki.data || item->flags & KS_ON_DEVICE)
			continue;
		if (ks_key_spki(&spki, store->ctx, item) < 0) {
			ks_forgive(store->ctx);
			continue;
		}
		rc = ks_set_own(store->items, spki);
		if (rc == 0)
			item->spki = ks_buffer_bytes(spki);
	}
	return rc;
}

int ks_lint(struct ks_findings *out, struct ks_plan **plan, struct ks_store *store, int64_t now)
{
	ks_auto(survey) survey = NULL;
	ks_auto(plan) changes = NULL;
	struct lint lint = { .out = out, .store = store, .now = now };
	const struct ks_surveyed *row;
	int rc = open_keys(store);

	if (rc == 0)
		rc = ks_survey_new(&survey, store);
	if (rc == 0)
		rc = ks_plan_new(&changes, store->ctx, store->items);
	lint.survey = survey;
	lint.plan = changes;
	lint.named = store->engine->can & KS_CAN_IDS;
	for (size_t n = 0; rc == 0 && (row = ks_survey_at(survey, n)); n++) {
		if (row->item->kind == KS_PRIVATE_KEY && lint.named)
			rc = check_key(&lint, row);
		else if (row->item->kind == KS_CERTIFICATE)
			rc = check_certificate(&lint, row);
	}
	if (rc < 0)
		return rc;
	*plan = ks_take(changes);
	return 0;
}

void ks_lint_content(unsigned char out[KS_SHA256], const struct ks_set *items)
{
	uint64_t count = ks_set_count(items);

	memset(out, 0, KS_SHA256);
	for (size_t i = 0; i < count; i++) {
		struct ks_item *item = ks_set_at(items, i);
		unsigned char digest[KS_SHA256];

		if (item->kind != KS_CERTIFICATE && item->kind != KS_PUBLIC_KEY)
			continue;
		ks_sha256(digest, item->der);
		for (size_t byte = 0; byte < KS_SHA256; byte++)
			out[byte] ^= digest[byte];
	}
	for (size_t byte = 0; byte < sizeof(count); byte++)
		out[byte] ^= (unsigned char)(count >> (8 * byte));
}
