/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries from one store into another, and what gets lost on the way.
 *
 * Every kind of store holds less than some other one. What the target cannot hold is found out here, from the bits of its engine
 * and before anything is written, and said: as a notice, or as a refusal when the caller is strict. What cannot be lost without
 * making the copy pointless (the only thing that was asked for) is always a refusal.
 */
#include "copy.h"

#include "certificate.h"
#include "label.h"
#include "text.h"

#include <search.h>
#include <string.h>

struct copy {
	struct ks_ctx *ctx;
	struct ks_store *from, *to;
	const struct ks_copy_wish *wish;
	const struct ks_entries *there;	/* of the target */
	const struct ks_entry **by_label;	/* those, sorted by label */
	void *certificates;		/* tree of the items that are or will be there */
	struct ks_labels *labels; /* that are or will be there */
	struct ks_set *scratch;		/* copies without what means something in the source only */
	struct ks_plan *plan;
	bool same_format;
	bool labels_lost;
	size_t newly_trusted, marks_lost;
};

/* ---- what the target cannot hold ---- */

static int lose(const struct copy *copy, struct ks_item *item, const char *why)
{
	ks_auto_mem char *named = ks_item_named(item);
	const char *target = ks_where_text(copy->to->where), *what = named ? named : "something";

	if (copy->wish->strict)
		return ks_hint(copy->ctx, ks_fail(copy->ctx, KS_ELOSSY, "%s cannot be copied to %s: %s", what, target, why),
			       "leave out --strict to copy the rest");
	ks_notice(copy->ctx, KS_ELOSSY, target, "", "%s is not copied: %s", what, why);
	return 0;
}

/* No key is read out of a token; a database of NSS in the old format calls all its keys extractable. */
static const char *stays(const struct ks_item *item)
{
	if (item->flags & KS_EXTRACTABLE)
		return "its token would let it out only wrapped by another key";
	return "it never leaves the token it was made in";
}

/* Why the target cannot have the item at all; NULL = it can. */
static const char *obstacle(const struct copy *copy, const struct ks_item *item)
{
	unsigned can = copy->to->engine->can;

	switch (item->kind) {
	case KS_PRIVATE_KEY:
		if (!(can & KS_CAN_KEYS))
			return "that kind of store holds no private keys";
		if (item->flags & KS_ON_DEVICE)
			return stays(item);
		return NULL;
	case KS_CERTIFICATE:
		return can & KS_CAN_CERTIFICATES ? NULL : "that kind of store holds no certificates";
	case KS_REQUEST:
		return can & KS_CAN_REQUESTS ? NULL : "that kind of store holds no requests";
	case KS_SECRET_KEY:
		if (item->flags & KS_ON_DEVICE)
			return stays(item);
		return can & KS_CAN_SECRETS ? NULL : "that kind of store holds no secret keys";
	case KS_PUBLIC_KEY:
		return can & KS_CAN_KEYS ? NULL : "that kind of store holds no keys";
	case KS_OPAQUE:
		return copy->same_format ? NULL : "nobody knows what it means outside its own format";
	default:
		return NULL;
	}
}

/* The same for a part of an entry. */
static const char *part_obstacle(const struct copy *copy, const struct ks_entry *entry, const struct ks_item *item)
{
	if (item->kind == KS_PRIVATE_KEY && !entry->certificate && (copy->to->engine->can & KS_WANTS_CERTIFICATE) &&
	    !obstacle(copy, item))
		return "it has no certificate, and that kind of store holds a key only beside its certificate";
	return obstacle(copy, item);
}

/* ---- what is in the way ---- */

static struct ks_bytes label_for(const struct copy *copy, const struct ks_entry *entry)
{
	return copy->wish->label ? ks_bytes_of(copy->wish->label) : ks_entry_label(entry);
}

static struct ks_bytes spki_of(const struct ks_item *item)
{
	struct ks_certificate_facts facts;

	if (!item)
		return KS_NONE;
	if (item->kind == KS_PUBLIC_KEY)
		return item->der;
	if (item->kind != KS_CERTIFICATE)
		return item->spki;
	return ks_certificate_facts(&facts, item->der) == 0 ? facts.spki : KS_NONE;
}

/* The public key of an entry, from whichever part tells it. */
static struct ks_bytes entry_spki(const struct ks_entry *entry)
{
	struct ks_item *const parts[] = { entry->key, entry->public_key, entry->certificate };
	struct ks_bytes spki = KS_NONE;

	for (size_t i = 0; i < 3 && !spki.data; i++)
		spki = spki_of(parts[i]);
	return spki;
}

static bool same_certificate(struct ks_item *a, struct ks_item *b)
{
	return a && b && memcmp(ks_item_sha256(a), ks_item_sha256(b), KS_SHA256) == 0;
}

static bool same_entry(const struct ks_entry *a, const struct ks_entry *b)
{
	struct ks_bytes x, y;

	if (!a->key != !b->key || !a->certificate != !b->certificate)
		return false;
	if (a->certificate && !same_certificate(a->certificate, b->certificate))
		return false;
	if (!a->key)
		return a->certificate && a->certificate->trust.trusted == b->certificate->trust.trusted;
	x = entry_spki(a);
	y = entry_spki(b);
	return x.data && ks_bytes_equal(x, y);
}

static int label_order(const void *a, const void *b)
{
	return ks_bytes_compare(ks_entry_label(*(const struct ks_entry *const *)a),
				ks_entry_label(*(const struct ks_entry *const *)b));
}

static int label_sought(const void *label, const void *row)
{
	return ks_bytes_compare(*(const struct ks_bytes *)label, ks_entry_label(*(const struct ks_entry *const *)row));
}

static const struct ks_entry *entry_labelled(const struct copy *copy, struct ks_bytes label)
{
	const struct ks_entry **row = NULL;

	if (label.size && copy->there->count)
		row = bsearch(&label, copy->by_label, copy->there->count, sizeof(*copy->by_label), label_sought);
	return row ? *row : NULL;
}

static int digest_order(const void *a, const void *b)
{
	return memcmp(((const struct ks_item *)a)->sha256, ((const struct ks_item *)b)->sha256, KS_SHA256);
}

/* The item is or will be in the target. */
static int note_certificate(struct copy *copy, struct ks_item *item)
{
	ks_item_sha256(item);
	return tsearch(item, &copy->certificates, digest_order) ? 0 : ks_nomem(copy->ctx);
}

static bool has_certificate(const struct copy *copy, struct ks_item *certificate)
{
	ks_item_sha256(certificate);
	return tfind(certificate, &copy->certificates, digest_order) != NULL;
}

/* Makes what is in the target findable: entries by label, certificates by digest. */
static int survey(struct copy *copy)
{
	int rc = 0;

	copy->by_label = ks_array(copy->there->count, sizeof(*copy->by_label));
	if (!copy->by_label)
		return ks_nomem(copy->ctx);
	for (size_t i = 0; i < copy->there->count; i++)
		copy->by_label[i] = &copy->there->entries[i];
	qsort(copy->by_label, copy->there->count, sizeof(*copy->by_label), label_order);
	for (size_t i = 0; rc == 0 && i < ks_set_count(copy->to->items); i++) {
		if (ks_set_at(copy->to->items, i)->kind == KS_CERTIFICATE)
			rc = note_certificate(copy, ks_set_at(copy->to->items, i));
	}
	return rc;
}

static void not_owned(void *item)
{
	(void)item;
}

static int refuse_taken(const struct copy *copy, const struct ks_entry *have)
{
	ks_auto_mem char *named = ks_item_named(ks_entry_head(have));
	int rc = ks_fail(copy->ctx, KS_EEXISTS, "%s is in %s already, and is not the same", named ? named : "that label",
			 ks_where_text(copy->to->where));

	return ks_hint(copy->ctx, rc, "choose another label with --label, or use --replace");
}

static int drop_entry(struct ks_plan *plan, const struct ks_entry *entry, const char *why)
{
	struct ks_item *const parts[] = { entry->key, entry->public_key, entry->certificate, entry->other };
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < 4; i++) {
		if (parts[i])
			rc = ks_plan_drop(plan, parts[i], why);
	}
	return rc;
}

/* ---- one thing after the other ---- */

/*
 * Key and certificate stay a pair in the target by a common id. Their own is kept unless something there has it already or they
 * have none; then it is made from the public key, as tokens do.
 */
static struct ks_bytes id_for(const struct copy *copy, const struct ks_entry *entry, unsigned char made[KS_SHA256])
{
	struct ks_bytes id = entry->key->id.data ? entry->key->id : entry->certificate ? entry->certificate->id : KS_NONE;
	struct ks_bytes spki = entry_spki(entry);
	bool taken = false;

	for (size_t i = 0; id.size && i < ks_set_count(copy->to->items); i++)
		taken = taken || ks_bytes_equal(ks_set_at(copy->to->items, i)->id, id);
	if ((id.size && !taken) || !spki.data)
		return id;
	ks_sha256(made, spki);
	return KS_BYTES(made, 20);
}

/*
 * Where every certificate is trusted that stands without a key, it is so planned, and told. *why is set when it must not come there.
 */
static void settle_trust(const char **why, struct copy *copy, struct ks_item *bare, struct ks_naming *named,
			 bool signer)
{
	struct ks_trust trust = named->set_trust ? named->trust : bare->trust;

	*why = NULL;
	if (bare->kind != KS_CERTIFICATE || !(copy->to->engine->can & KS_TRUSTS_ALL))
		return;
	named->set_trust = true;
	named->trust = (struct ks_trust){ .trusted = signer ? KS_FOR_ANY : 0 };
	if (signer && bare->trust.distrusted)
		*why = "it is distrusted, and that kind of store would trust it";
	else if (signer && !(trust.trusted & KS_FOR_ANY) && copy->wish->strict)
		*why = "that kind of store would trust it for every purpose";
	else if (!signer && trust.trusted && copy->wish->strict)
		*why = "that kind of store marks no certificate as trusted that stands with its key";
	copy->newly_trusted += signer && !*why && !(trust.trusted & KS_FOR_ANY);
	copy->marks_lost += !signer && trust.trusted;
}

static void tell_trust(const struct copy *copy)
{
	if (copy->marks_lost)
		ks_notice(copy->ctx, KS_ELOSSY, ks_where_text(copy->to->where), "",
			  "%zu certificate%s not marked as trusted there, because a key stands with %s", copy->marks_lost,
			  copy->marks_lost == 1 ? " is" : "s are", copy->marks_lost == 1 ? "it" : "them");
	if (copy->newly_trusted)
		ks_notice(
			copy->ctx, KS_ELOSSY, ks_where_text(copy->to->where), "remove those that are not to be trusted",
			"%zu certificate%s trusted there for every purpose: an %s trusts all that stand without a key",
			copy->newly_trusted, copy->newly_trusted == 1 ? " is" : "s are", copy->to->engine->title);
}

/*
 * Where certificates are either trusted or above a key, one that is neither can only become trusted. A file that cannot say what it
 * trusts leaves that to whoever copies; a store that can, and does not trust it, is believed.
 */
static int settle_alone(const char **why, struct copy *copy, const struct ks_entry *entry, struct ks_naming *naming)
{
	struct ks_item *certificate = entry->key ? NULL : entry->certificate;

	if (!(copy->to->engine->can & KS_CAN_CHAINS) || !certificate || ks_item_is_anchor(certificate))
		return 0;
	if ((copy->from->engine->can & KS_CAN_ANCHORS) || certificate->trust.distrusted)
		*why = "that kind of store holds a certificate without its key only as trusted, and it is not";
	else if (copy->wish->strict)
		*why = "that kind of store holds a certificate without its key only as trusted";
	naming->set_trust = true;
	naming->trust = (struct ks_trust){ .trusted = KS_FOR_ANY };
	copy->newly_trusted += !*why;
	return *why ? lose(copy, certificate, *why) : 0;
}

/* The item without its record, which is sealed and named in the source's way. `signer`: a certificate without its key. */
static int put(struct copy *copy, struct ks_item *item, const struct ks_naming *naming, bool signer)
{
	const char *why;
	struct ks_item *bare = ks_set_copy(copy->scratch, item);
	struct ks_naming named = *naming;

	if (!bare)
		return ks_nomem(copy->ctx);
	bare->raw = KS_NONE;
	bare->handle = 0;
	if (!copy->same_format)
		bare->attributes = KS_NONE;
	if (!naming->id.data)
		bare->id = KS_NONE;
	if (!(copy->to->engine->can & KS_CAN_LABELS)) {
		copy->labels_lost = copy->labels_lost || bare->label.size || named.label.size;
		bare->label = named.label = KS_NONE;
	}
	if (bare->trust.trusted && !(copy->to->engine->can & KS_CAN_ANCHORS)) {
		if (copy->wish->strict)
			return lose(copy, item, "that kind of store cannot mark it as trusted");
		bare->trust = (struct ks_trust){ 0 };
	}
	settle_trust(&why, copy, bare, &named, signer);
	if (why)
		return lose(copy, item, why);
	if (bare->kind == KS_CERTIFICATE && note_certificate(copy, bare) < 0)
		return KS_ENOMEM;
	if (named.label.size && ks_labels_take(copy->labels, named.label) < 0)
		return KS_ENOMEM;
	return ks_plan_add(copy->plan, bare, &named, NULL);
}

/*
 * A chain's certificate mostly has no label; where one is needed the format makes it, and where its own does not fit or is taken, another
 * one is chosen.
 */
static int chain_label(struct ks_bytes *out, struct copy *copy, struct ks_item *item)
{
	if (!item->label.size || !copy->to->engine->codec || !copy->to->engine->codec->label)
		return 0;
	return ks_labels_choose(out, copy->labels, item, copy->scratch);
}

static int put_chain(struct copy *copy, const struct ks_entry *entry)
{
	struct ks_naming naming = { .set_trust = true };
	const char *why;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < entry->chain_count; i++) {
		why = copy->to->engine->can & KS_CAN_MANY ? obstacle(copy, entry->chain[i])
							  : "that kind of store holds one thing only";
		if (why)
			rc = lose(copy, entry->chain[i], why);
		if (why || has_certificate(copy, entry->chain[i]))
			continue;
		naming.label = KS_NONE;
		rc = chain_label(&naming.label, copy, entry->chain[i]);
		if (rc == 0)
			rc = put(copy, entry->chain[i], &naming, true);
	}
	return rc;
}

/* Puts the parts that the target can hold; *put_count tells how many. */
static int put_parts(size_t *put_count, const char **first_why, struct copy *copy, const struct ks_entry *entry,
		     const struct ks_naming *naming)
{
	struct ks_item *const parts[] = { entry->key, entry->certificate, entry->public_key, entry->other };
	bool many = copy->to->engine->can & KS_CAN_MANY;
	bool with_key = entry->key && !part_obstacle(copy, entry, entry->key);
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < 4; i++) {
		const char *why = parts[i] ? part_obstacle(copy, entry, parts[i]) : NULL;

		if (!parts[i] || (parts[i] == entry->public_key && parts[i] != entry->key &&
				  !(copy->to->engine->can & KS_CAN_GENERATE)))
			continue;
		if (!why && !many && *put_count)
			why = "that kind of store holds one thing only";
		if (why && !*first_why)
			*first_why = why;
		rc = why ? lose(copy, parts[i], why) : put(copy, parts[i], naming, !with_key);
		*put_count += rc == 0 && !why;
	}
	return rc;
}

static int refuse_all(const struct copy *copy, const struct ks_entry *entry, const char *why)
{
	ks_auto_mem char *named = ks_item_named(ks_entry_head(entry));
	int rc = ks_fail(copy->ctx, KS_EUNABLE, "%s cannot be copied to %s: %s", named ? named : "it",
			 ks_where_text(copy->to->where), why ? why : "there is nothing in it to copy");

	return ks_hint(copy->ctx, rc, "keystow help stores tells what each kind of store can hold");
}

/* What is there under that label: nothing, the same (done already), or something that must go or stays. */
static int make_room(bool *done, struct copy *copy, const struct ks_entry *entry, struct ks_bytes label)
{
	const struct ks_entry *have = entry_labelled(copy, label);

	*done = false;
	if (!have && !(copy->to->engine->can & KS_CAN_MANY) && copy->there->count)
		have = &copy->there->entries[0];
	if (!have)
		return 0;
	if (same_entry(have, entry)) {
		*done = true;
		return ks_plan_note(copy->plan, ks_entry_head(have), "is there already");
	}
	if (!copy->wish->replace)
		return refuse_taken(copy, have);
	if (have->key && !(copy->to->engine->can & KS_CAN_ATOMIC))
		return ks_hint(copy->ctx,
			       ks_fail(copy->ctx, KS_EUNABLE, "a key in %s is not replaced in one step",
				       ks_where_text(copy->to->where)),
			       "remove it first with keystow remove, or choose another label");
	return drop_entry(copy->plan, have, "replaced");
}

static int tell_label(const struct copy *copy, struct ks_bytes label, struct ks_bytes fitting)
{
	ks_auto_mem char *shown = ks_text_show(label);
	ks_auto_mem char *becomes = ks_text_show(fitting);
	const char *target = ks_where_text(copy->to->where);

	if (!shown || !becomes)
		return ks_nomem(copy->ctx);
	if (copy->wish->strict)
		return ks_hint(copy->ctx,
			       ks_fail(copy->ctx, KS_ELOSSY, "the label \"%s\" cannot be had in %s; it would be \"%s\"",
				       shown, target, becomes),
			       "leave out --strict, or name another label: %s#LABEL", target);
	ks_notice(copy->ctx, KS_ELOSSY, target, "", "the label \"%s\" becomes \"%s\"", shown, becomes);
	return 0;
}

/* A label that does not fit becomes one that does, and not that of anything else. */
static int fit_label(struct ks_bytes *label, struct copy *copy, const struct ks_entry *entry)
{
	struct ks_bytes fitting = ks_label_in(copy->to->engine, copy->scratch, *label);
	struct ks_item *bare = entry->certificate ? entry->certificate : ks_entry_head(entry);
	const struct ks_entry *have;
	int rc = 0;

	if (!label->size || ks_bytes_equal(fitting, *label))
		return 0;
	if (copy->wish->label)
		return ks_label_check(copy->ctx, copy->to->engine, *label);
	have = entry_labelled(copy, fitting);
	if (!(have && same_entry(have, entry)) && ks_labels_taken(copy->labels, fitting)) {
		bare = ks_set_copy(copy->scratch, bare);
		if (!bare)
			return ks_nomem(copy->ctx);
		bare->label = *label;
		rc = ks_labels_choose(&fitting, copy->labels, bare, copy->scratch);
	}
	if (rc == 0)
		rc = fitting.data ? tell_label(copy, *label, fitting) : ks_nomem(copy->ctx);
	if (rc == 0)
		*label = fitting;
	return rc;
}

static bool is_there_alike(const struct copy *copy, const struct ks_entry *entry)
{
	return entry->certificate && !entry->key && (copy->to->engine->can & KS_TRUSTS_ALL) &&
	       has_certificate(copy, entry->certificate);
}

static int copy_entry(struct copy *copy, const struct ks_entry *entry, bool only)
{
	unsigned char made[KS_SHA256];
	struct ks_naming naming = { .label = label_for(copy, entry) };
	const char *why = NULL;
	size_t put_count = 0;
	bool done;
	int rc = fit_label(&naming.label, copy, entry);

	if (rc < 0)
		return rc;
	if (is_there_alike(copy, entry))
		return 0;
	if (naming.label.size && (copy->to->engine->can & KS_CAN_LABELS)) {
		rc = make_room(&done, copy, entry, naming.label);
		if (rc < 0 || done)
			return rc;
	} else if (entry->certificate && !entry->key && has_certificate(copy, entry->certificate)) {
		return 0;
	}
	/* Where key and chain become one record, the id is what they find each other by. */
	if (entry->key && (copy->to->engine->can & (KS_CAN_IDS | KS_CAN_CHAINS)))
		naming.id = id_for(copy, entry, made);
	rc = settle_alone(&why, copy, entry, &naming);
	if (rc < 0 || why)
		return rc < 0 || !only ? rc : refuse_all(copy, entry, why);
	rc = put_parts(&put_count, &why, copy, entry, &naming);
	if (rc < 0)
		return rc;
	if (!put_count && only)
		return refuse_all(copy, entry, why);
	return entry->key && put_count ? put_chain(copy, entry) : 0;
}

/* Where a certificate is there once, those with a label of their own come before those that are there for a key's sake. */
static int copy_all(struct copy *copy)
{
	const struct ks_entries *entries;
	bool apart = (copy->to->engine->can | copy->from->engine->can) & KS_TRUSTS_ALL;
	int rc = ks_store_entries(&entries, copy->from);

	for (int turn = apart ? 0 : 1; rc == 0 && turn < 2; turn++) {
		for (size_t i = 0; rc == 0 && i < entries->count; i++) {
			const struct ks_entry *entry = &entries->entries[i];

			if (!apart || (entry->key != NULL) == (turn == 1))
				rc = copy_entry(copy, entry, entries->count == 1);
		}
	}
	return rc;
}

int ks_copy_plan(struct ks_plan **out, struct ks_store *from, const struct ks_entry *entry, struct ks_store *to,
		 const struct ks_copy_wish *wish)
{
	ks_auto(labels) labels = NULL;
	ks_auto(set) scratch = NULL;
	ks_auto(plan) plan = NULL;
	struct copy copy = { .ctx = to->ctx, .from = from, .to = to, .wish = wish, .same_format = from->engine == to->engine };
	int rc = ks_store_able(to, KS_CAN_WRITE);

	if (rc == 0)
		rc = ks_store_entries(&copy.there, to);
	if (rc == 0)
		rc = ks_set_new(&scratch, to->ctx);
	if (rc == 0)
		rc = ks_plan_new(&plan, to->ctx, to->items);
	if (rc == 0)
		rc = ks_labels_new(&labels, to->ctx, to->items, to->engine);
	if (rc < 0)
		return rc;
	copy.labels = labels;
	copy.scratch = scratch;
	copy.plan = plan;
	rc = survey(&copy);
	if (rc == 0)
		rc = entry ? copy_entry(&copy, entry, true) : copy_all(&copy);
	tdestroy(copy.certificates, not_owned);
	free(copy.by_label);
	if (rc < 0)
		return rc;
	tell_trust(&copy);
	if (copy.labels_lost)
		ks_notice(to->ctx, KS_ELOSSY, ks_where_text(to->where), "", "labels are not kept: that kind of store has none");
	*out = ks_take(plan);
	return 0;
}

/* ---- removing ---- */

/* Private keys go with what was theirs alone; what stands above their certificate may serve others, and stays. */
int ks_remove_plan(struct ks_plan **out, struct ks_store *store, const struct ks_entry *entry)
{
	ks_auto(plan) plan = NULL;
	int rc = ks_store_able(store, KS_CAN_WRITE);

	if (rc == 0)
		rc = ks_plan_new(&plan, store->ctx, store->items);
	if (rc == 0)
		rc = drop_entry(plan, entry, NULL);
	/* Where a chain is part of its key, it goes with it. */
	for (size_t i = 0; rc == 0 && entry->key && !(store->engine->can & KS_CAN_CHAINS) && i < entry->chain_count; i++)
		rc = ks_plan_note(plan, entry->chain[i], "was above it; stays, because it may serve others");
	if (rc < 0)
		return rc;
	plan->drop_old = entry->key && entry->key->kind != KS_PUBLIC_KEY;
	*out = ks_take(plan);
	return 0;
}

/* ---- renaming ---- */

static int refuse_label(struct ks_store *store, const struct ks_entry *have)
{
	ks_auto_mem char *named = ks_item_named(ks_entry_head(have));

	return ks_hint(store->ctx,
		       ks_fail(store->ctx, KS_EEXISTS, "%s is in %s already", named ? named : "that label",
			       ks_where_text(store->where)),
		       "choose another label, or rename that one first");
}

int ks_rename_plan(struct ks_plan **out, struct ks_store *store, const struct ks_entry *entry, const char *label)
{
	struct ks_item *const parts[] = { entry->key, entry->public_key, entry->certificate, entry->other };
	struct ks_naming naming = { .label = ks_bytes_of(label) };
	ks_auto(plan) plan = NULL;
	const struct ks_entries *entries = NULL;
	int rc = ks_store_able(store, KS_CAN_WRITE);

	if (rc == 0)
		rc = ks_store_able(store, KS_CAN_LABELS);
	if (rc == 0)
		rc = ks_store_entries(&entries, store);
	if (rc == 0 && !*label)
		rc = ks_fail(store->ctx, KS_EUSAGE, "an empty label would make the entry hard to find");
	if (rc == 0)
		rc = ks_label_check(store->ctx, store->engine, naming.label);
	for (size_t i = 0; rc == 0 && i < entries->count; i++) {
		if (ks_entry_head(&entries->entries[i]) != ks_entry_head(entry) &&
		    ks_bytes_equal(ks_entry_label(&entries->entries[i]), naming.label))
			rc = refuse_label(store, &entries->entries[i]);
	}
	if (rc == 0)
		rc = ks_plan_new(&plan, store->ctx, store->items);
	for (size_t i = 0; rc == 0 && i < 4; i++) {
		if (parts[i] && !ks_bytes_equal(parts[i]->label, naming.label))
			rc = ks_plan_name(plan, parts[i], &naming, NULL);
	}
	if (rc < 0)
		return rc;
	*out = ks_take(plan);
	return 0;
}
