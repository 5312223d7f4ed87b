/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every PKCS#12, JKS, JCEKS, key database, stash, PEM, DER, PKCS#7, request and CRL record of the corpus: its type is found by content,
 * and it gives the counts or the refusal that the manifest expects; a stash the password. One TAP line a file. Keys whose password is known are opened.
 */
#include "trial.h"

#include "entry.h"
#include "file/stash.h"
#include "secret.h"
#include "text.h"

#include <jansson.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char *const formats[] = { "pkcs12",          "jks",   "jceks", "kdb", "sth", "pem_der", "pem",
				       "openssl_trusted", "pkcs7", "csr", "crl" };

static char *joined(const char *folder, const char *name)
{
	char *path = NULL;

	if (asprintf(&path, "%s/%s", folder, name) < 0)
		abort();
	return path;
}

static struct ks_buffer *read_file(const char *path)
{
	ks_auto(buffer) buffer = ks_buffer_new((size_t)64 << 20);
	unsigned char chunk[65536];
	FILE *file = fopen(path, "rb");
	size_t got;

	if (!file || !buffer)
		return NULL;
	while ((got = fread(chunk, 1, sizeof(chunk), file)) > 0)
		ks_buffer_put(buffer, chunk, got);
	fclose(file);
	return buffer->status ? NULL : ks_take(buffer);
}

static bool listed(const char *word)
{
	for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++) {
		if (strcmp(formats[i], word) == 0)
			return true;
	}
	return false;
}

static const char *text_of(const json_t *record, const char *key)
{
	return json_string_value(json_object_get(record, key));
}

/* ---- one record ---- */

struct outcome {
	int status; /* of decoding; KS_EFORMAT when nothing knows the type */
	struct ks_counts counts;
	int key_status; /* first failure of opening a key */
	size_t problems;
	char words[1024];
};

static struct ks_secret *secret_of(struct ks_ctx *ctx, const char *password)
{
	struct ks_secret *secret = NULL;

	if (!password || ks_secret_new(&secret, ctx) < 0)
		return NULL;
	ks_secret_append(secret, ctx, password, strlen(password));
	return secret;
}

static void open_keys(struct outcome *out, struct ks_ctx *ctx, struct ks_set *set, const char *password)
{
	for (size_t i = 0; i < ks_set_count(set); i++) {
		struct ks_item *item = ks_set_at(set, i);
		ks_auto_ssl(EVP_PKEY) key = NULL;

		if (item->kind != KS_PRIVATE_KEY || ((item->flags & KS_SEALED) && !password))
			continue;
		if (ks_item_pkey(&key, item, ctx) < 0 && out->key_status == 0) {
			out->key_status = ks_ctx_status(ctx);
			snprintf(out->words, sizeof(out->words), "%s", ks_ctx_text(ctx));
		}
	}
}

static void look(struct outcome *out, struct ks_ctx *ctx, struct ks_buffer *file, const char *password)
{
	ks_auto(secret) secret = secret_of(ctx, password);
	ks_auto(set) set = NULL;
	struct ks_bytes bytes = ks_buffer_bytes(file);
	const struct ks_codec *codec = trial_codec(bytes);

	if (!codec || ks_set_new(&set, ctx) < 0 || ks_set_own(set, file) < 0) {
		out->status = KS_EFORMAT;
		if (!codec)
			ks_buffer_free(file);
		return;
	}
	out->status = codec->decode(ctx, set, bytes, secret);
	if (out->status < 0) {
		snprintf(out->words, sizeof(out->words), "%s", ks_ctx_text(ctx));
		return;
	}
	out->counts = ks_set_counts(set);
	while (ks_set_problem_at(set, out->problems))
		out->problems++;
	open_keys(out, ctx, set, password);
}

/* ---- what the manifest expects ---- */

static bool count_fits(const json_t *record, const char *key, size_t found)
{
	const json_t *wanted = json_object_get(record, key);

	return !json_is_integer(wanted) || (size_t)json_integer_value(wanted) == found;
}

static bool counts_fit(const json_t *record, const struct outcome *outcome)
{
	const bool java = text_of(record, "format")[0] == 'j'; /* where trust is a kind of entry */

	return count_fits(record, "keys", outcome->counts.keys) &&
	       (!java || count_fits(record, "trusted", outcome->counts.anchors)) &&
	       count_fits(record, "certs", outcome->counts.certificates) &&
	       count_fits(record, "secret", outcome->counts.secret_keys) &&
	       (strcmp(text_of(record, "format"), "kdb") != 0 ||
		count_fits(record, "trusted", outcome->counts.anchors));
}

static bool fits(const json_t *record, const struct outcome *outcome)
{
	const char *expect = text_of(record, "expect"), *format = text_of(record, "format");
	const struct ks_counts *counts = &outcome->counts;

	if (strcmp(expect, "ok") == 0)
		return outcome->status == 0 && outcome->key_status == 0 && counts_fit(record, outcome) &&
		       (strcmp(format, "csr") != 0 || counts->requests == 1) &&
		       (strcmp(format, "crl") != 0 || counts->crls == 1);
	if (strcmp(expect, "reject") == 0)
		return outcome->status < 0;
	if (strcmp(expect, "public-key-only") == 0)
		return outcome->status == 0 && counts->public_keys == 1 && counts->keys + counts->certificates == 0;
	if (strcmp(expect, "no-key-no-cert") == 0)
		return outcome->status < 0;
	if (strcmp(expect, "ok-needs-legacy-or-other-password") == 0)
		return outcome->status == 0 && counts->keys == 1;
	if (strcmp(expect, "policy") == 0)
		return outcome->status == 0 ? counts_fit(record, outcome) : outcome->words[0] != '\0';
	if (strcmp(expect, "reject-or-partial") == 0)
		return outcome->status < 0 || outcome->key_status < 0 || outcome->problems > 0 ||
		       counts_fit(record, outcome);
	if (strcmp(expect, "partial") == 0)
		return outcome->status == 0 && counts_fit(record, outcome);
	return strcmp(expect, "no-crash") == 0;
}

static bool digest_fits(const json_t *record, struct ks_bytes bytes)
{
	unsigned char digest[KS_SHA256];
	char hex[2 * KS_SHA256 + 1];

	ks_sha256(digest, bytes);
	ks_hex(hex, KS_BYTES(digest, sizeof(digest)));
	return strcmp(hex, text_of(record, "sha256")) == 0;
}

/* A stash is no store: it gives a password. */
static bool stash_fits(struct outcome *out, struct ks_ctx *ctx, struct ks_buffer *file, const json_t *record)
{
	ks_auto(secret) secret = NULL;

	if (ks_secret_new(&secret, ctx) < 0)
		abort();
	out->status = ks_stash_open(secret, ctx, ks_buffer_bytes(file));
	snprintf(out->words, sizeof(out->words), "%s", ks_ctx_text(ctx));
	ks_buffer_free(file);
	return out->status == 0 && strcmp(ks_secret_bytes(secret), text_of(record, "stashed_password")) == 0;
}

static int number, failures;

/* The password of a key that has one of its own. */
static int answer(void *user, struct ks_ctx *ctx, const struct ks_question *question, struct ks_secret *into)
{
	const char *password = text_of(user, "key_password");

	if (!password || question->ask != KS_ASK_KEY_PASSWORD)
		return ks_fail(ctx, KS_ENOSECRET, "the manifest knows no such password");
	return ks_secret_append(into, ctx, password, strlen(password));
}

static void judge(const char *folder, json_t *record)
{
	const struct ks_settings settings = { .hooks = { .ask = answer, .user = record } };
	const char *name = text_of(record, "file");
	struct outcome outcome = { 0 };
	struct ks_buffer *file;
	struct ks_ctx *ctx = NULL;
	ks_auto_mem char *path = joined(folder, name);
	bool good;

	file = read_file(path);
	number++;
	if (!file || !digest_fits(record, ks_buffer_bytes(file))) {
		printf("ok %d - %s # SKIP the file is absent or not the one of the manifest\n", number, name);
		ks_buffer_free(file);
		return;
	}
	if (ks_ctx_new(&ctx, &settings) < 0)
		abort();
	if (strcmp(text_of(record, "format"), "sth") == 0) {
		good = stash_fits(&outcome, ctx, file, record);
	} else {
		look(&outcome, ctx, file, text_of(record, "password"));
		good = fits(record, &outcome);
	}
	printf("%s %d - %s\n", good ? "ok" : "not ok", number, name);
	if (!good || outcome.status < 0 || outcome.key_status < 0)
		printf("# expected %s; got status %d, key %d, %zu keys, %zu certificates, %zu secret keys, %zu "
		       "problems: %s\n",
		       text_of(record, "expect"), outcome.status, outcome.key_status, outcome.counts.keys,
		       outcome.counts.certificates, outcome.counts.secret_keys, outcome.problems, outcome.words);
	failures += !good;
	if (ks_ctx_free(ctx) < 0)
		abort();
}

static void judge_folder(const char *corpus, const char *name)
{
	ks_auto_mem char *folder = joined(corpus, name);
	ks_auto_mem char *manifest = joined(folder, "manifest.json");
	json_error_t error;
	json_t *records, *record;
	size_t i;

	records = json_load_file(manifest, 0, &error);
	json_array_foreach(records, i, record)
	{
		if (listed(text_of(record, "format")))
			judge(folder, record);
	}
	json_decref(records);
}

int main(void)
{
	const char *named = getenv("KEYSTOW_CORPUS");
	ks_auto_mem char *corpus = named ? strdup(named) : joined(getenv("KEYSTOW_SOURCE"), "../shared/corpus");
	struct stat status;

	if (stat(corpus, &status) < 0) {
		printf("1..0 # SKIP there is no corpus; KEYSTOW_CORPUS names its folder\n");
		return 0;
	}
	judge_folder(corpus, "keystores");
	judge_folder(corpus, "bundles");
	printf("1..%d\n", number);
	return failures != 0;
}
