/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is seen of entries. The DER stays the truth: names and dates are read from it each time, nothing is kept.
 */
#include "describe.h"
#include "altname.h"
#include "name.h"
#include "request.h"
#include "text.h"
#include "where.h"

#include <string.h>

void describe(struct described *out, const struct ks_entry *entry)
{
	*out = (struct described){ .entry = entry, .head = ks_entry_head(entry), .label = ks_entry_label(entry) };
	out->kind = ks_kind_name(out->head->kind);
	out->key = out->head->key;
	if (!out->label.data)
		out->label = out->head->label;
	if (entry->certificate && ks_certificate_facts(&out->facts, entry->certificate->der) == 0)
		out->has_facts = true;
	if (out->key.type == KS_KEY_UNKNOWN && out->has_facts)
		out->key = out->facts.key;
	if (out->key.type == KS_KEY_UNKNOWN && out->head->spki.data)
		out->key = ks_keyspec_of_spki(out->head->spki);
	if (out->head->kind == KS_CERTIFICATE && ks_item_is_anchor(out->head)) {
		out->anchor = true;
		out->kind = "anchor";
	}
}

/* ---- order ---- */

static const unsigned char *digest_of(const struct ks_entry *entry)
{
	return ks_item_sha256(entry->certificate ? entry->certificate : ks_entry_head(entry));
}

static int compare_entries(const void *left, const void *right)
{
	const struct ks_entry *a = *(const struct ks_entry *const *)left, *b = *(const struct ks_entry *const *)right;
	struct ks_bytes of_a = ks_entry_label(a), of_b = ks_entry_label(b);
	int order;

	if (!of_a.data != !of_b.data)
		return of_a.data ? -1 : 1;
	order = of_a.data ? ks_bytes_compare(of_a, of_b) : 0;
	if (order == 0)
		order = (int)ks_entry_head(a)->kind - (int)ks_entry_head(b)->kind;
	return order ? order : memcmp(digest_of(a), digest_of(b), KS_SHA256);
}

int describe_sorted(const struct ks_entry ***out, struct run *run, struct ks_store *store)
{
	const struct ks_entries *entries;
	const struct ks_entry **sorted;
	int rc;

	rc = ks_store_entries(&entries, store);
	if (rc < 0)
		return rc;
	sorted = ks_array(entries->count + 1, sizeof(struct ks_entry *));
	if (!sorted)
		return ks_nomem(run->ctx);
	for (size_t i = 0; i < entries->count; i++)
		sorted[i] = &entries->entries[i];
	qsort(sorted, entries->count, sizeof(*sorted), compare_entries);
	*out = sorted;
	return 0;
}

/* ---- the store ---- */

static const char *const integrity_words[] = {
	[KS_INTEGRITY_NONE] = "none",
	[KS_INTEGRITY_UNCHECKED] = "unchecked",
	[KS_INTEGRITY_VERIFIED] = "verified",
	[KS_INTEGRITY_FAILED] = "failed",
};

static void protection_json(struct run *run, const struct ks_facts *facts)
{
	json_t *object = json_object();

	out_set_text(object, "mac", facts->mac);
	if (facts->mac)
		json_object_set_new(object, "mac_iterations", json_integer((json_int_t)facts->mac_iterations));
	out_set_text(object, "cipher", facts->cipher);
	out_set_text(object, "kdf", facts->kdf);
	if (facts->kdf)
		json_object_set_new(object, "kdf_iterations", json_integer((json_int_t)facts->kdf_iterations));
	if (facts->weak)
		json_object_set_new(object, "weak", json_true());
	out_value(&run->out, "protection", object);
}

static void counts_json(struct run *run, const struct ks_set *set)
{
	const struct ks_counts counts = ks_set_counts(set);
	const struct {
		const char *key;
		size_t count;
	} rows[] = {
		{ "keys", counts.keys },
		{ "public_keys", counts.public_keys },
		{ "certificates", counts.certificates },
		{ "anchors", counts.anchors },
		{ "secret_keys", counts.secret_keys },
		{ "requests", counts.requests },
		{ "crls", counts.crls },
		{ "opaque", counts.opaque },
	};
	json_t *object = json_object();

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		json_object_set_new(object, rows[i].key, json_integer((json_int_t)rows[i].count));
	out_value(&run->out, "counts", object);
}

void describe_problems(struct run *run, const struct ks_store *store)
{
	const struct ks_problem *problem;

	for (size_t n = 0; (problem = ks_set_problem_at(store->items, n)) != NULL; n++)
		run_remark(run, problem->status, problem->text, problem->hint,
			   *problem->where ? problem->where : ks_where_text(store->where));
}

void describe_store(struct run *run, struct ks_store *store)
{
	const struct ks_facts *facts = ks_set_facts_of(store->items);

	out_string(&run->out, "format", facts->format ? facts->format : store->engine->name);
	out_string(&run->out, "integrity", integrity_words[facts->integrity]);
	if (run->out.json) {
		protection_json(run, facts);
		counts_json(run, store->items);
	}
	if (run->out.json && facts->has_blocks)
		out_value(&run->out, "blocks",
			  json_pack("{s:I,s:I,s:I,s:I}", "ok", (json_int_t)facts->blocks_ok, "duplicate",
				    (json_int_t)facts->blocks_duplicate, "foreign", (json_int_t)facts->blocks_foreign,
				    "damaged", (json_int_t)facts->blocks_damaged));
	if (!(store->mode & KS_WRITE)) /* who writes was told when the store was opened */
		describe_problems(run, store);
}

/* ---- entries ---- */

static void set_name(json_t *object, const char *key, struct ks_bytes der)
{
	ks_auto_mem char *text = der.data ? ks_name_text(der) : NULL;

	out_set_text(object, key, text);
}

static void set_trust(json_t *object, struct ks_trust trust)
{
	static const struct {
		unsigned purpose;
		const char *word;
	} purposes[] = { { KS_FOR_ANY, "any" },
			 { KS_FOR_CLIENT, "client" },
			 { KS_FOR_CODE, "code" },
			 { KS_FOR_EMAIL, "email" },
			 { KS_FOR_SERVER, "server" } };
	json_t *words;

	if (!trust.trusted && !trust.distrusted)
		return;
	words = json_object();
	for (size_t i = 0; i < sizeof(purposes) / sizeof(purposes[0]); i++) {
		if (trust.distrusted & purposes[i].purpose)
			json_object_set_new(words, purposes[i].word, json_string("distrusted"));
		else if (trust.trusted & purposes[i].purpose)
			json_object_set_new(words, purposes[i].word, json_string("trusted"));
	}
	json_object_set_new(object, "trust", words);
}

static void set_chain(json_t *object, const struct ks_entry *entry)
{
	json_t *chain;

	if (entry->chain_count == 0)
		return;
	chain = json_array();
	for (size_t i = 0; i < entry->chain_count; i++) {
		char digits[2 * KS_SHA256 + 1];

		ks_hex(digits, KS_BYTES(ks_item_sha256(entry->chain[i]), KS_SHA256));
		json_array_append_new(chain, json_string(digits));
	}
	json_object_set_new(object, "chain", chain);
}

static void set_names(json_t *object, struct run *run, struct ks_bytes extension)
{
	struct ks_altnames names = { 0 };
	json_t *list;

	if (!extension.data || ks_altnames_read(&names, run->ctx, extension) < 0) {
		ks_forgive(run->ctx);
		ks_altnames_free(&names);
		return;
	}
	list = json_array();
	for (size_t i = 0; i < names.count; i++)
		json_array_append_new(list, json_sprintf("%s:%s", names.names[i].kind, names.names[i].value));
	json_object_set_new(object, "names", list);
	ks_altnames_free(&names);
}

/* Where the key lives and what the device promises about it. */
static void set_device(json_t *object, const struct ks_item *key)
{
	if (!(key->flags & KS_ON_DEVICE))
		return;
	json_object_set_new(object, "on_device", json_true());
	if (!(key->flags & KS_SENSITIVE_UNKNOWN))
		json_object_set_new(object, "sensitive", json_boolean(key->flags & KS_SENSITIVE));
	if (!(key->flags & KS_EXTRACTABLE_UNKNOWN))
		json_object_set_new(object, "extractable", json_boolean(key->flags & KS_EXTRACTABLE));
	if (!(key->flags & KS_ORIGIN_UNKNOWN))
		json_object_set_new(object, "made_on_device", json_boolean(key->flags & KS_MADE_HERE));
}

static void set_certificate(json_t *object, struct run *run, const struct described *described)
{
	const struct ks_certificate_facts *facts = &described->facts;

	set_name(object, "subject", facts->subject);
	set_name(object, "issuer", facts->issuer);
	out_set_hex(object, "serial", facts->serial);
	out_set_time(object, "not_before", facts->not_before);
	out_set_time(object, "not_after", facts->not_after);
	set_names(object, run, facts->alternative_names);
}

static void set_request(json_t *object, struct run *run, const struct ks_item *item)
{
	ks_auto(request) request = NULL;
	char key[32];

	if (ks_request_read(&request, run->ctx, item->der) < 0) {
		ks_forgive(run->ctx);
		return;
	}
	set_name(object, "subject", request->subject);
	ks_keyspec_text(key, &request->key);
	out_set_text(object, "key", key);
}

json_t *describe_json(struct run *run, const struct ks_where *where, const struct described *described)
{
	const struct ks_entry *entry = described->entry;
	json_t *object = json_object();
	ks_auto_mem char *uri = where ? describe_uri(where, described) : NULL;
	char text[2 * KS_SHA256 + 1];

	out_set_text(object, "kind", described->kind);
	out_set_label(object, "label", described->label);
	out_set_hex(object, "id", described->head->id);
	if (described->has_facts)
		set_certificate(object, run, described);
	if (described->key.type != KS_KEY_UNKNOWN) {
		ks_keyspec_text(text, &described->key);
		out_set_text(object, "key", text);
	}
	if (described->head->kind == KS_REQUEST)
		set_request(object, run, described->head);
	if (entry->certificate || described->head->kind == KS_REQUEST || described->head->kind == KS_CRL) {
		ks_hex(text, KS_BYTES(digest_of(entry), KS_SHA256));
		out_set_text(object, "sha256", text);
	}
	set_chain(object, entry);
	set_trust(object, entry->certificate ? entry->certificate->trust : described->head->trust);
	set_device(object, described->head);
	out_set_text(object, "about", described->head->about);
	out_set_text(object, "uri", uri);
	return object;
}

void describe_entry_json(struct run *run, const struct ks_where *where, const struct described *described)
{
	if (run->out.json)
		out_value(&run->out, NULL, describe_json(run, where, described));
}

char *describe_name(const struct described *described)
{
	char *common;

	if (described->label.data && described->label.size)
		return ks_text_show(described->label);
	if (!described->has_facts)
		return strdup(described->head->about ? described->head->about : "-");
	common = ks_name_common(described->facts.subject);
	return common ? common : ks_name_text(described->facts.subject);
}

/* ---- addresses of entries ---- */

/* The token's address with these attributes in place of those that name an object. */
static char *object_uri(const struct ks_where *where, const CK_ATTRIBUTE *attributes, size_t count)
{
	P11KitUri *uri = ks_p11kit.uri_new();
	char *text = NULL;

	if (uri && ks_p11kit.uri_parse(where->text, P11_KIT_URI_FOR_ANY, uri) == P11_KIT_URI_OK) {
		ks_p11kit.uri_clear_attributes(uri);
		for (size_t i = 0; i < count; i++) {
			if (attributes[i].pValue)
				ks_p11kit.uri_set_attribute(uri, (CK_ATTRIBUTE *)&attributes[i]);
		}
		if (ks_p11kit.uri_format(uri, P11_KIT_URI_FOR_ANY, &text) != P11_KIT_URI_OK)
			text = NULL;
	}
	ks_p11kit.uri_free(uri);
	return text;
}

char *describe_label_uri(const struct ks_where *where, const char *label)
{
	const CK_ATTRIBUTE attribute = { CKA_LABEL, (void *)label, strlen(label) };

	return object_uri(where, &attribute, 1);
}

static char *token_uri(const struct ks_where *where, const struct described *described)
{
	const struct ks_item *head = described->head;
	CK_OBJECT_CLASS kind = head->kind == KS_PRIVATE_KEY  ? CKO_PRIVATE_KEY
			       : head->kind == KS_PUBLIC_KEY ? CKO_PUBLIC_KEY
			       : head->kind == KS_SECRET_KEY ? CKO_SECRET_KEY
			       : head->kind == KS_OPAQUE     ? CKO_DATA
							     : CKO_CERTIFICATE;
	const CK_ATTRIBUTE attributes[] = {
		{ CKA_LABEL, (void *)described->label.data, described->label.size },
		{ CKA_ID, (void *)head->id.data, head->id.size },
		{ CKA_CLASS, &kind, sizeof(kind) },
	};

	return object_uri(where, attributes, head->kind != KS_OPAQUE || head->flags & KS_PLAIN_DATA ? 3 : 2);
}

char *describe_uri(const struct ks_where *where, const struct described *described)
{
	size_t store = strcspn(ks_where_text(where), "#");
	char digits[2 * KS_SHA256 + 1];
	char *text = NULL;

	if (ks_where_is_token(where))
		return token_uri(where, described);
	if (described->label.data && described->label.size && ks_utf8_valid(described->label)) {
		ks_auto_mem char *label = ks_text_show(described->label);

		return asprintf(&text, "%.*s#%s", (int)store, ks_where_text(where), label ? label : "") < 0 ? NULL
													    : text;
	}
	if (!described->head->der.data && !described->entry->certificate)
		return NULL;
	ks_hex(digits, KS_BYTES(digest_of(described->entry), KS_SHA256));
	return asprintf(&text, "%.*s#sha256:%s", (int)store, ks_where_text(where), digits) < 0 ? NULL : text;
}

/* ---- dates ---- */

bool describe_expires(const struct described *described, int64_t by)
{
	return described->has_facts && described->facts.not_after <= by;
}

void describe_expiry(char out[48], const struct described *described, int64_t now, bool near)
{
	long long days = (long long)(described->facts.not_after - now) / 86400;
	char date[11];

	out[0] = '\0';
	if (!described->has_facts)
		return;
	ks_date_text(date, described->facts.not_after);
	if (!near)
		snprintf(out, 48, "%s", date);
	else if (described->facts.not_after <= now)
		snprintf(out, 48, "expired %s", date);
	else
		snprintf(out, 48, "in %lld d %s", days, date);
}

/* ---- plans ---- */

static struct ks_bytes label_of(const struct ks_change *change)
{
	if (change->what != KS_RENAME && change->naming.label.data)
		return change->naming.label;
	return (change->item ? change->item : change->have)->label;
}

static json_t *change_json(const struct ks_change *change)
{
	struct ks_item *item = change->item ? change->item : change->have;
	struct ks_certificate_facts facts;
	json_t *object = json_object();
	char digits[2 * KS_SHA256 + 1];

	out_set_text(object, "what", ks_what_name(change->what));
	out_set_text(object, "kind",
		     ks_item_is_anchor(item) && item->kind == KS_CERTIFICATE ? "anchor" : ks_kind_name(item->kind));
	out_set_label(object, "label", label_of(change));
	if (change->what == KS_RENAME)
		out_set_label(object, "new_label", change->naming.label);
	if (change->naming.id.size && change->what == KS_RENAME)
		out_set_hex(object, "new_id", change->naming.id);
	if (item->kind == KS_CERTIFICATE && ks_certificate_facts(&facts, item->der) == 0) {
		set_name(object, "subject", facts.subject);
		out_set_time(object, "not_after", facts.not_after);
		ks_hex(digits, KS_BYTES(ks_item_sha256(item), KS_SHA256));
		out_set_text(object, "sha256", digits);
	}
	out_set_text(object, "why", change->why);
	return object;
}

static void change_line(struct run *run, const struct ks_change *change)
{
	static const char signs[] = {
		[KS_ADD] = '+', [KS_REPLACE] = '~', [KS_REMOVE] = '-', [KS_RENAME] = '>', [KS_KEEP] = '='
	};
	struct ks_item *item = change->item ? change->item : change->have;
	ks_auto_mem char *named = ks_item_named(item);
	ks_auto_mem char *label = change->naming.label.data ? ks_text_show(change->naming.label) : NULL;

	out_line(&run->out, "%c %s%s%s%s%s%s", signs[change->what], named ? named : "", label ? " as \"" : "",
		 label ? label : "", label ? "\"" : "", change->why ? ": " : "", change->why ? change->why : "");
}

static int compare_changes(const void *left, const void *right)
{
	const struct ks_change *a = *(const struct ks_change *const *)left,
			       *b = *(const struct ks_change *const *)right;
	int order = (int)a->what - (int)b->what;

	if (order == 0)
		order = ks_bytes_compare(label_of(a), label_of(b));
	return order ? order : (a > b) - (a < b);
}

/* Plans are made in whatever order their maker looks at things; people and programs get them sorted. */
static void tell_changes(struct run *run, const struct ks_plan *plan)
{
	ks_auto_mem const struct ks_change **sorted = ks_array(plan->count + 1, sizeof(struct ks_change *));

	for (size_t i = 0; sorted && i < plan->count; i++)
		sorted[i] = &plan->changes[i];
	if (sorted)
		qsort(sorted, plan->count, sizeof(struct ks_change *), compare_changes);
	for (size_t i = 0; sorted && i < plan->count; i++) {
		if (run->out.json)
			out_value(&run->out, NULL, change_json(sorted[i]));
		else if (sorted[i]->what != KS_KEEP || run->options->verbose)
			change_line(run, sorted[i]);
	}
}

void describe_plan(struct run *run, const struct ks_plan *plan)
{
	if (run->options->quiet && !run->out.json)
		return;
	out_open(&run->out, "changes", '[');
	tell_changes(run, plan);
	out_close(&run->out);
	if (plan->password && !run->out.json)
		out_line(&run->out, "~ the password of the store");
	if (ks_plan_empty(plan))
		run_say(run, "nothing to do");
	else if (run->options->dry_run)
		run_say(run, "this was a dry run, nothing was changed");
}

void describe_many(struct run *run, const struct ks_where *where, const struct ks_plan *plan)
{
	enum { FEW = 20 };
	const bool dry = run->options->dry_run;
	const size_t keys = ks_set_counts(plan->have).keys;
	size_t of[KS_KEEP + 1] = { 0 };
	char changed[40] = "";

	if (run->out.json) {
		describe_plan(run, plan);
		return;
	}
	if (run->options->quiet)
		return;
	for (size_t i = 0; i < plan->count; i++)
		of[plan->changes[i].what]++;
	if (dry || run->options->verbose || plan->count - of[KS_KEEP] <= FEW)
		tell_changes(run, plan);
	if (ks_plan_empty(plan)) {
		run_say(run, "%s: nothing to do", ks_where_text(where));
		return;
	}
	if (of[KS_REPLACE] + of[KS_RENAME])
		snprintf(changed, sizeof(changed), "%zu %s, ", of[KS_REPLACE] + of[KS_RENAME],
			 dry ? "to change" : "changed");
	out_line(&run->out, "%s: %zu %s, %zu %s, %s%zu private key%s untouched", ks_where_text(where), of[KS_ADD],
		 dry ? "to add" : "added", of[KS_REMOVE], dry ? "to remove" : "removed", changed, keys,
		 keys == 1 ? "" : "s");
	if (dry)
		run_say(run, "this was a dry run, nothing was changed");
}
