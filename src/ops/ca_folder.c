/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of a CA's folder: where each lies, and PEM in and out.
 */
#include "ca_inside.h"

#include <openssl/pem.h>

char *ks_ca_path(const char *dir, const char *name)
{
	char *path = NULL;

	return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

int ks_ca_write(struct ks_ctx *ctx, const char *dir, const char *name, struct ks_bytes content, bool private_material)
{
	ks_auto_mem char *path = ks_ca_path(dir, name);

	return path ? ks_disk_write(ctx, path, content, private_material, false) : ks_nomem(ctx);
}

int ks_ca_write_pem(struct ks_ctx *ctx, const char *dir, const char *name, const char *kind, struct ks_bytes der,
		    bool secret)
{
	ks_auto_ssl(BIO) text = BIO_new(secret ? BIO_s_secmem() : BIO_s_mem());
	char *bytes = NULL;
	long size;

	if (!text || PEM_write_bio(text, kind, "", der.data, (long)der.size) <= 0)
		return ks_fail_openssl(ctx, KS_ENOMEM, "%s cannot be encoded", name);
	size = BIO_get_mem_data(text, &bytes);
	return ks_ca_write(ctx, dir, name, KS_BYTES(bytes, (size_t)size), secret);
}

int ks_ca_read_pem(struct ks_buffer **out, bool *second, struct ks_ctx *ctx, const char *path, const char *kind,
		   const char *other)
{
	ks_auto(buffer) file = NULL;
	ks_auto(buffer) der = NULL;
	ks_auto_ssl(BIO) text = NULL;
	char *name = NULL, *header = NULL;
	unsigned char *bytes = NULL;
	long size = 0;
	int rc = ks_disk_read(&file, ctx, path);

	if (rc < 0)
		return rc;
	text = BIO_new_mem_buf(file->data, (int)file->size);
	if (!text || PEM_read_bio(text, &name, &header, &bytes, &size) != 1)
		return ks_fail_openssl(ctx, KS_EDAMAGED, "%s holds no readable PEM block", path);
	*second = other && strcmp(name, other) == 0;
	if (!*second && strcmp(name, kind) != 0)
		rc = ks_fail(ctx, KS_EDAMAGED, "%s holds something else than a %s", path, kind);
	der = rc < 0 ? NULL : other ? ks_buffer_new_secret((size_t)size) : ks_buffer_new((size_t)size);
	if (rc == 0 && (!der || ks_buffer_put(der, bytes, (size_t)size) < 0))
		rc = ks_nomem(ctx);
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_clear_free(bytes, (size_t)size);
	if (rc == 0)
		*out = ks_take(der);
	return rc;
}
