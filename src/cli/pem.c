/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PEM blocks, and where results go.
 */
#include "pem.h"
#include "disk.h"

#include <openssl/evp.h>

#include <string.h>

#define LINE 48 /* bytes that make the 64 letters of a line */

int pem_put(struct ks_buffer *out, const char *title, struct ks_bytes der)
{
	unsigned char letters[LINE / 3 * 4 + 1];

	ks_buffer_format(out, "-----BEGIN %s-----\n", title);
	for (size_t at = 0; at < der.size; at += LINE) {
		size_t left = der.size - at;

		EVP_EncodeBlock(letters, der.data + at, (int)(left < LINE ? left : LINE));
		ks_buffer_format(out, "%s\n", (const char *)letters);
	}
	return ks_buffer_format(out, "-----END %s-----\n", title);
}

bool pem_to_file(const char *path)
{
	return path && strcmp(path, "-") != 0;
}

int pem_send(struct run *run, const char *path, struct ks_bytes pem)
{
	if (pem_to_file(path)) {
		out_string(&run->out, "output", path);
		return ks_disk_write(run->ctx, path, pem, false, run->options->replace);
	}
	if (run->out.json)
		out_value(&run->out, "pem", out_utf8(pem));
	else
		out_raw(&run->out, pem);
	return 0;
}
