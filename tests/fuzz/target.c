/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer's door to the same trial: every kind of file store, found by content. */
#include "trial.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ks_settings settings = { .max_iterations = 500000 };
	struct ks_secret *secret = NULL;
	struct ks_ctx *ctx = NULL;
	struct ks_buffer *bytes;
	struct trial trial;

	if (ks_ctx_new(&ctx, &settings) < 0 || ks_secret_new(&secret, ctx) < 0 ||
	    ks_secret_append(secret, ctx, "sample", 6) < 0)
		abort();
	bytes = ks_buffer_new(size);
	if (!bytes || ks_buffer_put(bytes, data, size) < 0)
		abort();
	trial_mend(bytes, ctx, secret);
	trial = trial_run(ctx, NULL, ks_buffer_bytes(bytes), secret);
	ks_buffer_free(bytes);
	if (trial.broken) {
		fprintf(stderr, "%s\n", trial.broken);
		abort();
	}
	ks_secret_free(secret);
	if (ks_ctx_free(ctx) < 0)
		abort();
	return 0;
}
