/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kinds of store of this build, one row each, with everything that is true of a kind in its row.
 */
#include "file/codecs.h"
#include "file/file.h"
#include "file/stranger.h"

#include "text.h"

#include <string.h>

#define FILE_FUNCTIONS                                                                                              \
	.state_size = sizeof(struct ks_file), .open = ks_file_open, .load = ks_file_load, .apply = ks_file_apply,   \
	.exchange = ks_file_exchange, .load_old = ks_file_load_old, .close = ks_file_close

static const struct ks_engine p12 = {
	.name = "p12",
	.title = "PKCS#12 file",
	.endings = ".p12 .pfx",
	.can = KS_CAN_KEYS | KS_CAN_CERTIFICATES | KS_CAN_ANCHORS | KS_CAN_SECRETS | KS_CAN_LABELS | KS_CAN_IDS | KS_CAN_WRITE |
	       KS_CAN_ATOMIC | KS_CAN_MANY | KS_CAN_SEAL | KS_CAN_MAC,
	.codec = &ks_codec_pkcs12,
	FILE_FUNCTIONS,
};

#define JAVA_CAN                                                                                                    \
	(KS_CAN_KEYS | KS_CAN_CERTIFICATES | KS_CAN_ANCHORS | KS_CAN_LABELS | KS_CAN_WRITE | KS_CAN_ATOMIC |          \
	 KS_CAN_MANY | KS_CAN_SEAL | KS_CAN_MAC | KS_CAN_ALIASES | KS_CAN_CHAINS | KS_CAN_KEY_SECRETS)

static const struct ks_engine jks = {
	.name = "jks",
	.title = "Java key store (JKS)",
	.endings = ".jks",
	.can = JAVA_CAN,
	.codec = &ks_codec_jks,
	FILE_FUNCTIONS,
};

static const struct ks_engine jceks = {
	.name = "jceks",
	.title = "Java key store (JCEKS)",
	.endings = ".jceks",
	.can = JAVA_CAN | KS_CAN_SECRETS,
	.codec = &ks_codec_jceks,
	FILE_FUNCTIONS,
};

static const struct ks_engine kdb = {
	.name = "kdb",
	.title = "IBM key database",
	.endings = ".kdb",
	.can = KS_CAN_KEYS | KS_CAN_CERTIFICATES | KS_CAN_ANCHORS | KS_CAN_LABELS | KS_CAN_WRITE | KS_CAN_ATOMIC | KS_CAN_MANY |
	       KS_CAN_SEAL | KS_CAN_MAC | KS_TRUSTS_ALL | KS_WANTS_CERTIFICATE,
	.codec = &ks_codec_kdb,
	.stash = true,
	FILE_FUNCTIONS,
};

static const struct ks_engine pem = {
	.name = "pem",
	.title = "PEM file",
	.endings = ".pem .crt .cer .key .csr .arm",
	.can = KS_CAN_KEYS | KS_CAN_CERTIFICATES | KS_CAN_REQUESTS | KS_CAN_LABELS | KS_CAN_IDS | KS_CAN_WRITE | KS_CAN_ATOMIC |
	       KS_CAN_MANY | KS_CAN_SEAL,
	.codec = &ks_codec_pem,
	FILE_FUNCTIONS,
};

static const struct ks_engine der = {
	.name = "der",
	.title = "DER file",
	.endings = ".der",
	.can = KS_CAN_KEYS | KS_CAN_CERTIFICATES | KS_CAN_REQUESTS | KS_CAN_WRITE | KS_CAN_ATOMIC | KS_CAN_SEAL,
	.codec = &ks_codec_der,
	FILE_FUNCTIONS,
};

static const struct ks_engine p7 = {
	.name = "p7",
	.title = "PKCS#7 file",
	.endings = ".p7b .p7c .spc",
	.can = KS_CAN_CERTIFICATES | KS_CAN_MANY,
	.codec = &ks_codec_pkcs7,
	FILE_FUNCTIONS,
};

const struct ks_engine ks_engine_by_content = {
	.name = "file",
	.title = "file",
	.endings = "",
	.actual = ks_file_actual,
	FILE_FUNCTIONS,
};

const struct ks_engine *const ks_engines[] = { &p12, &jks, &jceks, &kdb, &pem, &der, &p7, &ks_engine_pkcs11, NULL };

const struct ks_engine *ks_engine_named(const char *scheme)
{
	for (const struct ks_engine *const *row = ks_engines; *row; row++) {
		if (strcmp((*row)->name, scheme) == 0)
			return *row;
	}
	return NULL;
}

const struct ks_engine *ks_engine_for_tokens(const char *name)
{
	static const struct ks_engine *const rows[] = {
		&ks_engine_pkcs11,
#ifdef KS_WITH_LIBP11
		&ks_engine_libp11,
#endif
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strcmp(rows[i]->name, name) == 0)
			return rows[i];
	}
	return NULL;
}

/* How sure the row is of these bytes; devices never are. */
static int surety(const struct ks_engine *row, struct ks_bytes head)
{
	return row->codec ? row->codec->probe(head) : 0;
}

static int no_store(struct ks_ctx *ctx, struct ks_bytes head, const char *path)
{
	ks_auto_mem char *shown = ks_text_show(ks_bytes_of(path));
	const char *name = shown ? shown : "the file";
	const struct ks_stranger *stranger = ks_stranger(head);

	if (stranger)
		return ks_hint(ctx, ks_fail(ctx, KS_EFORMAT, "%s is %s", name, stranger->title), "%s", stranger->hint);
	return ks_hint(ctx, ks_fail(ctx, KS_EFORMAT, "%s is no kind of store that keystow knows", name),
		       "keystow help stores lists the kinds");
}

int ks_engine_probe(const struct ks_engine **out, struct ks_ctx *ctx, struct ks_bytes head, const char *path)
{
	const struct ks_engine *best = NULL, *tie = NULL;
	ks_auto_mem char *shown = NULL;
	int most = 0;

	for (const struct ks_engine *const *row = ks_engines; *row; row++) {
		int sure = surety(*row, head);

		if (sure > most) {
			most = sure;
			best = *row;
			tie = NULL;
		} else if (sure && sure == most) {
			tie = *row;
		}
	}
	if (best && !tie) {
		*out = best;
		return 0;
	}
	if (!tie)
		return no_store(ctx, head, path);
	shown = ks_text_show(ks_bytes_of(path));
	return ks_hint(ctx,
		       ks_fail(ctx, KS_EAMBIGUOUS, "%s could be a %s or a %s", shown ? shown : "the file", best->title,
			       tie->title),
		       "say which: %s:PATH or %s:PATH", best->name, tie->name);
}
