/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hand on the PKCS#12 codec, so that other programs can judge what it writes:
 *
 *	p12_hand show IN PASSWORD              what is in it, a line an item; private and secret keys are opened
 *	p12_hand same IN PASSWORD OUT          read and written again
 *	p12_hand passwd IN PASSWORD OUT NEW    under a new password
 *	p12_hand fresh IN PASSWORD OUT NEW     its items as a new store
 *	p12_hand anchors IN PASSWORD OUT PEM   with every certificate of a PEM file added as an anchor
 */
#include "file/pkcs12.h"
#include "text.h"

#include <openssl/pem.h>

#include <stdio.h>
#include <string.h>

static struct ks_ctx *ctx;

static int complain(void)
{
	fprintf(stderr, "%d %s\n%s\n", ks_ctx_status(ctx), ks_ctx_text(ctx), ks_ctx_causes(ctx));
	return 1;
}

static struct ks_secret *password(const char *text)
{
	struct ks_secret *secret = NULL;

	if (ks_secret_new(&secret, ctx) < 0 || ks_secret_append(secret, ctx, text, strlen(text)) < 0)
		exit(complain());
	return secret;
}

static int read_store(struct ks_set **out, const char *path, struct ks_secret *secret)
{
	struct ks_buffer *file = ks_buffer_new((size_t)64 << 20);
	FILE *in = fopen(path, "rb");
	struct ks_bytes bytes;
	size_t size;

	if (!in || !file || ks_set_new(out, ctx) < 0)
		return -1;
	while ((size = fread(ks_buffer_room(file, 65536), 1, 65536, in)) > 0)
		file->size += size;
	fclose(in);
	bytes = ks_buffer_bytes(file);
	if (ks_set_own(*out, file) < 0)
		return -1;
	return ks_codec_pkcs12.decode(ctx, *out, bytes, secret);
}

static void show_key(struct ks_item *item)
{
	ks_auto(buffer) clear = NULL;
	EVP_PKEY *key = NULL;

	if (item->kind == KS_SECRET_KEY && ks_item_pkcs8(&clear, item, ctx) == 0)
		printf(" opens");
	else if (item->kind == KS_PRIVATE_KEY && ks_item_pkey(&key, item, ctx) == 0)
		printf(" opens %s", EVP_PKEY_get0_type_name(key));
	EVP_PKEY_free(key);
}

static int show(struct ks_set *set)
{
	struct ks_item *item;

	for (size_t i = 0; (item = ks_set_at(set, i)); i++) {
		unsigned char digest[KS_SHA256];
		char hex[2 * KS_SHA256 + 1];

		ks_sha256(digest, item->raw);
		ks_hex(hex, KS_BYTES(digest, 8));
		printf("%s %s [%.*s]%s", ks_item_is_anchor(item) ? "anchor" : ks_kind_name(item->kind), hex, (int)item->label.size,
		       item->label.data ? (const char *)item->label.data : "", item->flags & KS_SEALED ? " sealed" : "");
		show_key(item);
		printf("\n");
	}
	return 0;
}

static int add_anchors(struct ks_plan *plan, struct ks_set *loose, const char *path)
{
	FILE *in = fopen(path, "r");
	X509 *certificate;
	unsigned n = 0;

	while (in && (certificate = PEM_read_X509(in, NULL, NULL, NULL))) {
		unsigned char *der = NULL;
		int size = i2d_X509(certificate, &der);
		struct ks_item *item = ks_set_add(loose, KS_CERTIFICATE);

		item->der = ks_set_bytes(loose, der, (size_t)size);
		item->label = ks_bytes_of(ks_set_text(loose, "Wurzel n\xc2\xba %u", ++n));
		item->trust.trusted = KS_FOR_ANY;
		OPENSSL_free(der);
		X509_free(certificate);
		if (ks_plan_add(plan, item, &(struct ks_naming){ 0 }, NULL) < 0)
			return -1;
	}
	if (in)
		fclose(in);
	return n ? 0 : -1;
}

static int write_store(const char *path, struct ks_plan *plan, const struct ks_set *have, struct ks_secret *secret, bool changed)
{
	ks_auto(set) result = NULL;
	ks_auto(buffer) file = ks_buffer_new((size_t)64 << 20);
	FILE *out;
	int rc = ks_plan_result(&result, plan);

	if (rc == 0)
		rc = ks_codec_pkcs12.encode(ctx, file, result, have, secret, changed);
	if (rc < 0)
		return rc;
	out = fopen(path, "wb");
	if (!out || fwrite(file->data, 1, file->size, out) != file->size || fclose(out))
		return -1;
	return 0;
}

static int change(const char *verb, struct ks_set *set, struct ks_secret *secret, const char *out, const char *more)
{
	bool passwd = strcmp(verb, "passwd") == 0, fresh = strcmp(verb, "fresh") == 0;
	ks_auto(secret) other = password(passwd || fresh ? more : "");
	ks_auto(set) none = NULL;
	ks_auto(plan) plan = NULL;
	int rc = ks_set_new(&none, ctx);

	if (rc == 0)
		rc = ks_plan_new(&plan, ctx, fresh ? none : set);
	for (size_t i = 0; rc == 0 && fresh && i < ks_set_count(set); i++)
		rc = ks_plan_add(plan, ks_set_at(set, i), &(struct ks_naming){ 0 }, NULL);
	if (rc == 0 && strcmp(verb, "anchors") == 0)
		rc = add_anchors(plan, none, more);
	return rc < 0 ? rc : write_store(out, plan, fresh ? NULL : set, passwd || fresh ? other : secret, passwd);
}

static int act(int argc, char **argv)
{
	ks_auto(secret) secret = strcmp(argv[3], "none") == 0 ? NULL : password(argv[3]);
	ks_auto(set) set = NULL;
	int rc = read_store(&set, argv[2], secret);

	if (rc == 0)
		rc = argc == 4 ? show(set) : change(argv[1], set, secret, argv[4], argc > 5 ? argv[5] : "");
	return rc < 0 ? complain() : 0;
}

int main(int argc, char **argv)
{
	int rc;

	if (argc < 4 || ks_ctx_new(&ctx, &(struct ks_settings){ 0 }) < 0)
		return 2;
	rc = act(argc, argv);
	return ks_ctx_free(ctx) < 0 ? complain() : rc;
}
