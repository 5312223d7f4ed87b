/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "context.h"

#include <openssl/err.h>
#include <openssl/evperr.h>

static void a_failure_raised_inside_openssl_keeps_its_status_and_sentence(void **state)
{
	struct ks_ctx *ctx = NULL;

	(void)state;
	assert_int_equal(ks_ctx_new(&ctx, NULL), 0);
	ks_raise(KS_EGONE, "token A is gone");
	ERR_raise(ERR_LIB_EVP, EVP_R_OPERATION_NOT_INITIALIZED);
	assert_int_equal(ks_fail_openssl(ctx, KS_EBUG, "signing the request"), KS_EGONE);
	assert_int_equal(ks_ctx_status(ctx), KS_EGONE);
	assert_string_equal(ks_ctx_text(ctx), "signing the request: token A is gone");
	assert_non_null(strstr(ks_ctx_causes(ctx), "operation not initialized"));
	assert_int_equal(ERR_peek_error(), 0);
	assert_int_equal(ks_ctx_free(ctx), 0);
}

static void a_failure_of_openssl_itself_keeps_the_callers_status(void **state)
{
	struct ks_ctx *ctx = NULL;

	(void)state;
	assert_int_equal(ks_ctx_new(&ctx, NULL), 0);
	ERR_raise(ERR_LIB_EVP, EVP_R_OPERATION_NOT_INITIALIZED);
	assert_int_equal(ks_fail_openssl(ctx, KS_EDAMAGED, "reading the key"), KS_EDAMAGED);
	assert_string_equal(ks_ctx_text(ctx), "reading the key");
	assert_int_equal(ks_ctx_free(ctx), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_failure_raised_inside_openssl_keeps_its_status_and_sentence),
		cmocka_unit_test(a_failure_of_openssl_itself_keeps_the_callers_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
