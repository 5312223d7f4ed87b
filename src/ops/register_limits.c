/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of the token's keys a program cannot use: reader.c knows it, here it is told.
 */
#include "register_inside.h"

#include "reader.h"

#include <string.h>

/* The words of reader.c; NULL = there is nothing that the program cannot use. */
static const char *const reader_words[] = {
	[KS_FOR_JAVA] = "java",     [KS_FOR_NSS] = "nss",      [KS_FOR_P11_KIT] = NULL, [KS_FOR_OPENSSL] = "openssl",
	[KS_FOR_NGINX] = "openssl", [KS_FOR_CURL] = "openssl", [KS_FOR_SSH] = "ssh",
};

static bool needs_certificate(enum ks_program program)
{
	return program == KS_FOR_NGINX || program == KS_FOR_CURL;
}

static void tell(struct making *making, const struct glue_key *key, const struct ks_findings *findings)
{
	for (size_t i = 0; i < findings->count; i++) {
		if (findings->findings[i].status)
			ks_glue_say(making, KS_GLUE_CANNOT, "key %s: %s", key->name, findings->findings[i].text);
	}
}

static void look(struct making *making, const struct ks_survey *survey, const struct ks_reader *reader)
{
	for (size_t i = 0; making->rc == 0 && i < making->key_count; i++) {
		const struct glue_key *key = &making->keys[i];
		struct ks_findings findings = { 0 };
		enum ks_sight sight;

		making->rc = ks_reader_look(&sight, &findings, reader, making->store, survey, key->entry);
		if (making->rc == 0)
			tell(making, key, &findings);
		ks_findings_free(&findings);
		if (needs_certificate(making->program) && !key->entry->certificate)
			ks_glue_say(making, KS_GLUE_CANNOT, "key %s: it has no certificate", key->name);
	}
}

/* What hides one key from the engine hides all of the token, so it is told once. */
static void look_by_engine(struct making *making, const struct ks_survey *survey, const struct ks_reader *reader)
{
	struct ks_findings findings = { 0 };
	enum ks_sight sight;

	if (making->rc == 0 && making->key_count)
		making->rc = ks_reader_look(&sight, &findings, reader, making->store, survey, making->keys[0].entry);
	for (size_t i = 0; i < findings.count; i++) {
		if (findings.findings[i].status && strcmp(findings.findings[i].code, "key-type") == 0)
			ks_glue_say(making, KS_GLUE_CANNOT, "the engine: %s", findings.findings[i].text);
	}
	ks_findings_free(&findings);
}

void ks_glue_limits(struct making *making)
{
	const char *word = reader_words[making->program];
	const struct ks_reader *reader = NULL, *engine = NULL;
	ks_auto(survey) survey = NULL;

	if (making->rc < 0 || !word)
		return;
	if (!(making->store->mode & KS_LOGIN)) {
		if (!making->public_told)
			ks_glue_say(making, KS_GLUE_NOTE,
				    "without a PIN's source only what is public was looked at, so what cannot be used "
				    "is not told");
		making->public_told = true;
		return;
	}
	making->rc = ks_survey_new(&survey, making->store);
	if (making->rc == 0)
		making->rc = ks_reader_named(&reader, making->ctx, word);
	if (making->rc == 0)
		look(making, survey, reader);
	if (making->rc == 0 && making->program == KS_FOR_OPENSSL)
		making->rc = ks_reader_named(&engine, making->ctx, "openssl-engine");
	if (engine)
		look_by_engine(making, survey, engine);
}
