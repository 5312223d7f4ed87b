/* SPDX-License-Identifier: Apache-2.0 */
#include <keystow/store.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	struct ks_ctx *ctx = NULL;
	struct ks_where *where = NULL;
	struct ks_store *store = NULL;
	int rc = ks_ctx_new(&ctx, NULL);

	if (rc == 0 && (rc = ks_where_parse(&where, ctx, argc > 1 ? argv[1] : "")) == 0)
		rc = ks_store_open(&store, ctx, where, KS_READ);
	for (size_t n = 0; rc == 0 && n < ks_store_entry_count(store); n++) {
		struct ks_bytes label = ks_entry_label(ks_store_entry_at(store, n));
		printf("%zu: %.*s\n", n, (int)label.size, label.data ? (const char *)label.data : "");
	}
	if (rc < 0)
		fprintf(stderr, "%s\n", ks_ctx_text(ctx));
	ks_store_close(store), ks_where_free(where), ks_ctx_free(ctx);
	return ks_status_exit(rc);
}
