/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keystow show: everything about an entry.
 */
#include "commands.h"
#include "describe.h"
#include "altname.h"
#include "name.h"
#include "request.h"
#include "stores.h"
#include "text.h"
#include "where.h"

#include <time.h>

static void show_text(struct run *run, const char *what, const char *text)
{
	if (text && *text)
		out_line(&run->out, "  %-9s %s", what, text);
}

static void show_name(struct run *run, const char *what, struct ks_bytes der)
{
	ks_auto_mem char *text = ks_name_text(der);

	show_text(run, what, text);
}

static void show_hex(struct run *run, const char *what, struct ks_bytes bytes)
{
	ks_auto_mem char *digits = bytes.data ? ks_hex_new(bytes) : NULL;

	show_text(run, what, digits);
}

static void show_altnames(struct run *run, struct ks_bytes extension)
{
	struct ks_altnames names = { 0 };

	if (extension.data && ks_altnames_read(&names, run->ctx, extension) == 0) {
		for (size_t i = 0; i < names.count; i++)
			out_line(&run->out, "  %-9s %s:%s", i ? "" : "names", names.names[i].kind,
				 names.names[i].value);
	}
	ks_forgive(run->ctx);
	ks_altnames_free(&names);
}

static const char *made(const struct ks_item *key)
{
	if (key->flags & KS_ORIGIN_UNKNOWN)
		return "where it was made: not told by the token";
	return key->flags & KS_MADE_HERE ? "made on the device" : "imported, not made on the device";
}

static const char *leaves(const struct ks_item *key)
{
	if (key->flags & KS_EXTRACTABLE_UNKNOWN)
		return "whether it can be taken out: not told by the token";
	return key->flags & KS_EXTRACTABLE ? "can be taken out" : "cannot leave it";
}

static void show_key(struct run *run, const struct described *described)
{
	const struct ks_item *head = described->head;
	char title[32];

	if (described->key.type == KS_KEY_UNKNOWN)
		return;
	ks_keyspec_title(title, &described->key);
	if (head->flags & KS_ON_DEVICE && head->kind == KS_PRIVATE_KEY)
		out_line(&run->out, "  %-9s %s, %s, %s%s", "key", title, made(head), leaves(head),
			 head->flags & KS_SENSITIVE_UNKNOWN ? ", whether it is sensitive: not told by the token" : "");
	else if (head->kind == KS_PRIVATE_KEY)
		out_line(&run->out, "  %-9s %s, private key in a file%s", "key", title,
			 head->flags & KS_SEALED ? ", sealed" : "");
	else
		out_line(&run->out, "  %-9s %s", "key", title);
	show_hex(run, "id", head->id);
}

static void show_certificate(struct run *run, const struct described *described)
{
	const struct ks_certificate_facts *facts = &described->facts;
	char from[11], expiry[48];

	if (!described->has_facts)
		return;
	show_name(run, "subject", facts->subject);
	show_name(run, "issuer", facts->issuer);
	show_hex(run, "serial", facts->serial);
	ks_date_text(from, facts->not_before);
	describe_expiry(expiry, described, time(NULL), true);
	out_line(&run->out, "  %-9s from %s, %s", "valid", from, expiry);
	show_altnames(run, facts->alternative_names);
	show_hex(run, "sha256", KS_BYTES(ks_item_sha256(described->entry->certificate), KS_SHA256));
	if (facts->is_ca)
		out_line(&run->out, "  %-9s is a CA", "use");
}

static void show_request(struct run *run, const struct ks_item *item)
{
	ks_auto(request) request = NULL;
	char title[32];

	if (ks_request_read(&request, run->ctx, item->der) < 0) {
		run_remark(run, ks_ctx_status(run->ctx), ks_ctx_text(run->ctx), ks_ctx_hint(run->ctx), NULL);
		ks_forgive(run->ctx);
		return;
	}
	show_name(run, "subject", request->subject);
	ks_keyspec_title(title, &request->key);
	out_line(&run->out, "  %-9s %s, its possession is proved", "key", title);
	for (size_t i = 0; i < request->names.count; i++)
		out_line(&run->out, "  %-9s %s:%s", i ? "" : "names", request->names.names[i].kind,
			 request->names.names[i].value);
}

/* Each issuer stands one step further right, as in a tree. */
static void show_chain(struct run *run, const struct ks_entry *entry)
{
	for (size_t i = 0; i < entry->chain_count; i++) {
		struct ks_certificate_facts facts;
		ks_auto_mem char *subject = NULL;
		char until[11];

		if (ks_certificate_facts(&facts, entry->chain[i]->der) < 0)
			continue;
		subject = ks_name_text(facts.subject);
		ks_date_text(until, facts.not_after);
		out_line(&run->out, "  %-9s %*s%s (until %s)", i ? "" : "chain", (int)(2 * i), "",
			 subject ? subject : "", until);
	}
}

static void show_size(struct run *run, struct ks_item *item)
{
	ks_auto(buffer) content = NULL;

	if (ks_item_content(&content, item, run->ctx) == 0)
		out_line(&run->out, "  %-9s %zu bytes", "holds", content->size);
	ks_forgive(run->ctx);
}

static void show_entry(struct run *run, const struct ks_where *where, const struct ks_entry *entry)
{
	struct described described;
	ks_auto_mem char *name = NULL;

	describe(&described, entry);
	if (run->out.json) {
		describe_entry_json(run, where, &described);
		return;
	}
	name = describe_name(&described);
	out_line(&run->out, "%s   %s%s in %s", name ? name : "-", described.kind,
		 entry->key && entry->certificate ? " + certificate" : "", ks_where_shown(where));
	show_key(run, &described);
	show_certificate(run, &described);
	if (described.head->kind == KS_REQUEST)
		show_request(run, described.head);
	show_text(run, "about", described.head->about);
	if (described.head->flags & KS_PLAIN_DATA)
		show_size(run, described.head);
	show_chain(run, entry);
}

/* Protection that a stolen file does not withstand; a document has it in numbers. */
static void remark_weak(struct run *run, const struct ks_store *store)
{
	const struct ks_facts *facts = ks_set_facts_of(store->items);
	ks_auto_mem char *text = NULL;
	ks_auto_mem char *word = ks_text_word(ks_where_text(store->where));
	ks_auto_mem char *hint = NULL;
	int rc;

	if (!facts->weak || !word || asprintf(&hint, "keystow passwd %s seals it anew", word) < 0)
		return;
	if (facts->cipher)
		rc = asprintf(&text, "a stolen %s gives way to guessing: keys are under %s, %s with %llu round%s",
			      store->engine->title, facts->cipher, facts->kdf,
			      (unsigned long long)facts->kdf_iterations, facts->kdf_iterations == 1 ? "" : "s");
	else
		rc = asprintf(&text, "a stolen %s gives way to guessing: it is under %s", store->engine->title,
			      facts->mac ? facts->mac : "a weak password");
	if (rc < 0)
		return;
	run_remark(run, KS_EWEAK, text, facts->advice ? facts->advice : hint, ks_where_text(store->where));
}

static int show_store(struct run *run, struct ks_store *store, void *user)
{
	const struct ks_where *where = store->where;
	ks_auto_mem const struct ks_entry **sorted = NULL;
	const struct ks_entry *entry = NULL;
	int rc = 0;

	(void)user;
	if (ks_where_names_entry(where))
		rc = ks_store_entry(&entry, store, where);
	else
		rc = describe_sorted(&sorted, run, store);
	if (rc < 0)
		return rc;
	describe_store(run, store);
	remark_weak(run, store);
	out_open(&run->out, "entries", '[');
	if (entry)
		show_entry(run, where, entry);
	for (const struct ks_entry **at = sorted; at && *at; at++)
		show_entry(run, where, *at);
	out_close(&run->out);
	return 0;
}

int show_run(struct run *run)
{
	stores_begin(run);
	stores_named(run, 0, run->options->pin_source, KS_READ, show_store, NULL);
	return stores_end(run);
}
