/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keystow generate: a key pair in a store.
 */
#include "generate.h"
#include "commands.h"
#include "describe.h"
#include "stores.h"
#include "text.h"
#include "where.h"

#include <string.h>

static struct ks_keyspec wanted_type(const struct run *run)
{
	const struct ks_keyspec usual = { .type = KS_KEY_EC, .bits = 256 };
	struct ks_keyspec spec;

	if (run->options->type.type != KS_KEY_UNKNOWN)
		return run->options->type;
	return ks_keyspec_parse(&spec, NULL, "p256") == 0 ? spec : usual;
}

/* "sign,decrypt" as bits; 0 when nothing is wished. */
static int wanted_uses(unsigned *out, const struct run *run)
{
	const char *words[8] = { NULL };
	const char *at = run->options->usage;

	for (size_t n = 0; ks_use_words[n].word; n++)
		words[n] = ks_use_words[n].word;
	*out = run->options->decrypt ? KS_USE_SIGN | KS_USE_DECRYPT : 0;
	while (at) {
		ks_auto_mem char *word = strndup(at, strcspn(at, ","));
		const char *near = word ? ks_nearest(word, words) : NULL;
		size_t n = 0;

		while (words[n] && (!word || strcmp(words[n], word) != 0))
			n++;
		if (!words[n])
			return ks_hint(run->ctx,
				       ks_fail(run->ctx, KS_EUSAGE, "--usage does not know \"%s\"", word ? word : ""),
				       near ? "did you mean %s?" : "it knows sign, decrypt, derive and wrap%.0s",
				       near ? near : "");
		*out |= ks_use_words[n].use;
		at += strlen(word);
		at = *at ? at + 1 : NULL;
	}
	return 0;
}

static int generate(struct run *run, struct ks_store *store, void *user)
{
	const struct ks_where *where = store->where;
	struct ks_generate wish = {
		.spec = wanted_type(run),
		.label = ks_bytes_of(where->label),
		.id = where->id ? KS_BYTES(where->id, where->id_size) : KS_NONE,
		.allow_extractable = run->options->allow_extractable,
		.always_authenticate = run->options->always_authenticate,
		.wrap_with_trusted = run->options->wrap_with_trusted,
	};
	struct ks_item *key;
	struct ks_entry entry = { 0 };
	struct described described;
	char title[32];
	int rc;

	(void)user;
	rc = wanted_uses(&wish.uses, run);
	if (rc < 0)
		return rc;
	rc = ks_generate(&key, store, &wish, run->options->replace);
	if (rc < 0)
		return rc;
	entry.key = key;
	describe(&described, &entry);
	out_open(&run->out, "entries", '[');
	describe_entry_json(run, where, &described);
	out_close(&run->out);
	ks_keyspec_title(title, &wish.spec);
	out_line(&run->out, "+ private key \"%s\", %s, in %s", where->label, title, ks_where_text(where));
	return 0;
}

int generate_run(struct run *run)
{
	ks_auto(where) where = NULL;
	int rc;

	rc = stores_entry_where(&where, run, run_operand(run, 0), run->options->pin_source);
	if (rc < 0)
		return rc;
	if (!where->label)
		return ks_hint(run->ctx, ks_fail(run->ctx, KS_EUSAGE, "a new key wants a label"),
			       "write STORE#LABEL, or object=LABEL");
	return stores_only(run, where, KS_WRITE | KS_CREATE | (ks_where_is_token(where) ? KS_LOGIN : 0), generate,
			   NULL);
}
