/* SPDX-License-Identifier: Apache-2.0 */
/* What a child of fork can do with the keys of its parent, and what it leaves alone. */
#include "signing.h"

#include <p11-kit/pkcs11.h>

#include <dlfcn.h>
#include <sys/wait.h>

static struct pair pair;

static int start_with_key(void **state)
{
	if (start(state) < 0)
		return -1;
	key_left("p256", "key");
	again_with("");
	key_found(&pair, "key");
	return signs(&pair, 0) ? 0 : -1;
}

static int finish_with_key(void **state)
{
	pair_free(&pair);
	return finish(state);
}

static bool signs_often(void)
{
	int good = 0;

	for (int i = 0; i < 50; i++)
		good += signs(&pair, i);
	return good == 50;
}

/* The child's answer: 0 = all held, else the number of the first claim that did not. */
static int answer_of(pid_t child)
{
	int status = 0;

	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* How many calls the child made, by balky's log. */
static int calls_of(pid_t child)
{
	char command[160];
	FILE *out;
	int count = -1;

	snprintf(command, sizeof(command), "grep -c '^> %d ' '%s/log'", (int)child, folder);
	out = popen(command, "r");
	assert_non_null(out);
	assert_int_equal(fscanf(out, "%d", &count), 1);
	pclose(out);
	return count;
}

static int child_leaves_the_token_alone(void)
{
	if (signs(&pair, 1))
		return 1;
	if (status_raised() != KS_EGONE)
		return 2;
	if (!strstr(ks_ctx_text(ctx), "ks_after_fork"))
		return 3;
	pair_free(&pair);
	return ks_ctx_free(ctx) == 0 ? 0 : 4;
}

static void a_child_that_says_nothing_fails_cleanly_and_touches_nothing(void **state)
{
	pid_t child = fork();

	(void)state;
	if (child == 0)
		_exit(child_leaves_the_token_alone());
	assert_int_equal(answer_of(child), 0);
	assert_int_equal(calls_of(child), 0);
	assert_true(signs_often());
}

static int child_signs(void)
{
	if (ks_after_fork(ctx) < 0)
		return 1;
	if (!signs_often())
		return 2;
	pair_free(&pair);
	return ks_ctx_free(ctx) == 0 ? 0 : 3;
}

static void parent_and_child_sign_at_the_same_time(void **state)
{
	pid_t child = fork();

	(void)state;
	if (child == 0)
		_exit(child_signs());
	assert_true(signs_often());
	assert_int_equal(answer_of(child), 0);
	assert_true(signs_often());
	assert_true(calls_of(child) > 100);
}

static int grandchild_signs(void)
{
	pid_t child;

	if (ks_after_fork(ctx) < 0 || !signs_often())
		return 1;
	child = fork();
	if (child == 0)
		_exit(child_signs());
	return answer_of(child) == 0 && signs_often() ? 0 : 2;
}

static void a_child_of_a_child_signs_too(void **state)
{
	pid_t child = fork();

	(void)state;
	if (child == 0)
		_exit(grandchild_signs());
	assert_int_equal(answer_of(child), 0);
	assert_true(signs_often());
}

/* Looks, signs with a key it found itself, and makes one of its own. */
static int child_opens_the_store_anew(void)
{
	struct pair found = { 0 };

	if (ks_after_fork(ctx) < 0)
		return 1;
	key_found(&found, "key");
	if (!signs(&found, 1))
		return 2;
	key_left("p256", "child's");
	pair_free(&found);
	key_found(&found, "child's");
	if (!signs(&found, 1))
		return 3;
	pair_free(&found);
	pair_free(&pair);
	return ks_ctx_free(ctx) == 0 ? 0 : 4;
}

static void a_child_opens_the_store_and_makes_a_key(void **state)
{
	struct pair found = { 0 };
	pid_t child = fork();

	(void)state;
	if (child == 0)
		_exit(child_opens_the_store_anew());
	assert_int_equal(answer_of(child), 0);
	key_found(&found, "child's");
	assert_true(signs(&found, 1));
	pair_free(&found);
}

/* As modules do that see the fork themselves (opencryptoki, p11-kit's client): all of the parent's is strange to the child. */
static int child_signs_after_starting_the_module_anew(void)
{
	CK_RV (*get)(CK_FUNCTION_LIST **) = NULL;
	CK_FUNCTION_LIST *functions = NULL;
	void *module = dlopen(getenv("BALKY_MODULE"), RTLD_NOW | RTLD_LOCAL);

	if (!module)
		return 10;
	*(void **)&get = dlsym(module, "C_GetFunctionList");
	if (get(&functions) != CKR_OK || functions->C_Finalize(NULL) != CKR_OK)
		return 11;
	return child_signs();
}

static void a_child_whose_module_forgot_everything_logs_in_again(void **state)
{
	pid_t child = fork();

	(void)state;
	if (child == 0)
		_exit(child_signs_after_starting_the_module_anew());
	assert_int_equal(answer_of(child), 0);
	assert_true(signs_often());
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start_with_key, finish_with_key)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_child_that_says_nothing_fails_cleanly_and_touches_nothing),
		TEST(parent_and_child_sign_at_the_same_time),
		TEST(a_child_of_a_child_signs_too),
		TEST(a_child_opens_the_store_and_makes_a_key),
		TEST(a_child_whose_module_forgot_everything_logs_in_again),
	};

	if (softhsm_absent()) {
		printf("1..0 # SKIP softhsm2 is not installed\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
