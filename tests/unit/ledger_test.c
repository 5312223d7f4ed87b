/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "ledger/ledger.h"

#include <sqlite3.h>

#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct ks_ctx *ctx;
static char folder[64], path[96];

static int start(void **state)
{
	struct ks_settings settings = { .wait_seconds = 20 };

	(void)state;
	strcpy(folder, "/tmp/keystow-ledger-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/ledger.db", folder);
	return ks_ctx_new(&ctx, &settings);
}

static int finish(void **state)
{
	static const char *const ends[] = { "", "-wal", "-shm" };
	char name[128];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "%s%s", path, ends[i]);
		unlink(name);
	}
	rmdir(folder);
	return ks_ctx_free(ctx);
}

static struct ks_issued row(unsigned char key)
{
	struct ks_issued issued = { .subject = (char *)"CN=a",
				    .names = (char *)"dns:a.example",
				    .profile = (char *)"client" };

	memset(issued.spki_sha256, key, KS_SHA256);
	issued.not_before = 100;
	issued.not_after = 200;
	issued.created = 100;
	return issued;
}

static int issue(struct ks_ledger *ledger, struct ks_issued *issued, const char *der)
{
	int rc = ks_ledger_begin(ledger);

	if (rc == 0)
		rc = ks_ledger_intend(ledger, issued);
	if (rc == 0 && der)
		rc = ks_ledger_complete(ledger, issued->id, ks_bytes_of(der));
	return rc < 0 ? rc : ks_ledger_commit(ledger);
}

static int count_rows(void *user, const struct ks_issued *issued)
{
	size_t *rows = user;

	(void)issued;
	(*rows)++;
	return 0;
}

static void a_complete_row_is_found_by_its_key_after_reopening(void **state)
{
	struct ks_issued first = row(1), second = row(1), other = row(2);
	ks_auto(ledger) ledger = NULL;
	ks_auto(issued) found = NULL;

	(void)state;
	assert_int_equal(ks_ledger_open(&ledger, ctx, path, true), 0);
	assert_int_equal(issue(ledger, &first, "first"), 0);
	assert_int_equal(issue(ledger, &second, "second"), 0);
	assert_int_equal(issue(ledger, &other, "other"), 0);
	ks_ledger_close(ks_take(ledger));
	assert_int_equal(ks_ledger_open(&ledger, ctx, path, false), 0);
	assert_int_equal(ks_ledger_find_key(&found, ledger, first.spki_sha256), 0);
	assert_string_equal(ks_buffer_string(found->der), "second");
	assert_memory_equal(found->serial, second.serial, KS_SERIAL);
	assert_string_equal(found->subject, "CN=a");
	assert_string_equal(found->names, "dns:a.example");
	assert_int_equal(found->not_after, 200);
}

static void an_intent_keeps_its_serial_and_is_not_found_as_a_certificate(void **state)
{
	struct ks_issued intent = row(1);
	ks_auto(ledger) ledger = NULL;
	ks_auto(issued) found = NULL;
	size_t rows = 0;

	(void)state;
	assert_int_equal(ks_ledger_open(&ledger, ctx, path, true), 0);
	assert_int_equal(issue(ledger, &intent, NULL), 0);
	assert_int_equal(ks_ledger_find_key(&found, ledger, intent.spki_sha256), KS_ENOTFOUND);
	assert_int_equal(ks_ledger_each(ledger, count_rows, &rows), 0);
	assert_int_equal(rows, 1);
}

static void a_row_is_completed_once_and_only_once(void **state)
{
	struct ks_issued issued = row(1);
	ks_auto(ledger) ledger = NULL;

	(void)state;
	assert_int_equal(ks_ledger_open(&ledger, ctx, path, true), 0);
	assert_int_equal(issue(ledger, &issued, "first"), 0);
	assert_int_equal(ks_ledger_complete(ledger, issued.id, ks_bytes_of("second")), KS_EDAMAGED);
	assert_int_equal(ks_ledger_complete(ledger, issued.id + 1, ks_bytes_of("second")), KS_EDAMAGED);
}

static void serials_are_random_with_126_free_bits(void **state)
{
	ks_auto(ledger) ledger = NULL;
	struct ks_issued last = row(0);

	(void)state;
	assert_int_equal(ks_ledger_open(&ledger, ctx, path, true), 0);
	assert_int_equal(ks_ledger_begin(ledger), 0);
	for (int i = 0; i < 200; i++) {
		struct ks_issued next = row(1);

		assert_int_equal(ks_ledger_intend(ledger, &next), 0);
		assert_true(next.serial[0] >= 0x40 && next.serial[0] <= 0x7f);
		assert_memory_not_equal(next.serial, last.serial, KS_SERIAL);
		assert_true(next.id > last.id);
		last = next;
	}
	assert_int_equal(ks_ledger_commit(ledger), 0);
}

static void an_aborted_group_leaves_no_row(void **state)
{
	struct ks_issued issued = row(1);
	ks_auto(ledger) ledger = NULL;
	size_t rows = 0;

	(void)state;
	assert_int_equal(ks_ledger_open(&ledger, ctx, path, true), 0);
	assert_int_equal(ks_ledger_begin(ledger), 0);
	assert_int_equal(ks_ledger_intend(ledger, &issued), 0);
	ks_ledger_abort(ledger);
	assert_int_equal(ks_ledger_each(ledger, count_rows, &rows), 0);
	assert_int_equal(rows, 0);
}

static void the_file_is_for_its_owner_only(void **state)
{
	struct ks_issued issued = row(1);
	ks_auto(ledger) ledger = NULL;
	char log[128];
	struct stat facts;

	(void)state;
	umask(0);
	assert_int_equal(ks_ledger_open(&ledger, ctx, path, true), 0);
	assert_int_equal(issue(ledger, &issued, "der"), 0);
	assert_int_equal(stat(path, &facts), 0);
	assert_int_equal(facts.st_mode & 0777, 0600);
	snprintf(log, sizeof(log), "%s-wal", path);
	assert_int_equal(stat(log, &facts), 0);
	assert_int_equal(facts.st_mode & 0777, 0600);
}

static void an_absent_ledger_is_not_made_by_looking(void **state)
{
	ks_auto(ledger) ledger = NULL;

	(void)state;
	assert_int_equal(ks_ledger_open(&ledger, ctx, path, false), KS_ENOTFOUND);
	assert_int_equal(access(path, F_OK), -1);
}

static void fill(const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	for (int i = 0; i < 200; i++)
		fputs(text, file);
	fclose(file);
}

static void a_file_that_is_no_ledger_gets_a_sentence(void **state)
{
	ks_auto(ledger) ledger = NULL;

	(void)state;
	fill("not a database at all, but long enough to be one");
	assert_int_equal(ks_ledger_open(&ledger, ctx, path, false), KS_EDAMAGED);
	assert_non_null(strstr(ks_ctx_text(ctx), path));
	fill("");
	assert_int_equal(ks_ledger_open(&ledger, ctx, path, false), KS_EDAMAGED);
}

static void change(const char *sql)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void a_newer_schema_is_refused_and_left_alone(void **state)
{
	ks_auto(ledger) ledger = NULL;

	(void)state;
	assert_int_equal(ks_ledger_open(&ledger, ctx, path, true), 0);
	ks_ledger_close(ks_take(ledger));
	change("UPDATE meta SET value = '2' WHERE key = 'schema'");
	assert_int_equal(ks_ledger_open(&ledger, ctx, path, false), KS_ENEWER);
	assert_int_equal(ks_status_exit(KS_ENEWER), 7);
}

static void a_row_with_a_short_serial_is_called_damaged(void **state)
{
	struct ks_issued issued = row(1);
	ks_auto(ledger) ledger = NULL;
	ks_auto(issued) found = NULL;

	(void)state;
	assert_int_equal(ks_ledger_open(&ledger, ctx, path, true), 0);
	assert_int_equal(issue(ledger, &issued, "der"), 0);
	change("UPDATE cert SET serial = x'01'");
	assert_int_equal(ks_ledger_find_key(&found, ledger, issued.spki_sha256), KS_EDAMAGED);
}

#define WRITERS 8
#define ROUNDS 30

static int writer(void)
{
	struct ks_settings settings = { .wait_seconds = 60 };
	struct ks_ctx *own = NULL;
	struct ks_ledger *ledger = NULL;
	struct ks_issued issued;
	int rc = ks_ctx_new(&own, &settings);

	if (rc == 0)
		rc = ks_ledger_open(&ledger, own, path, false);
	for (int i = 0; rc == 0 && i < ROUNDS; i++) {
		issued = row((unsigned char)i);
		rc = issue(ledger, &issued, "der");
	}
	ks_ledger_close(ledger);
	ks_ctx_free(own);
	return rc ? 1 : 0;
}

static void eight_writers_lose_no_row(void **state)
{
	ks_auto(ledger) ledger = NULL;
	size_t rows = 0;
	int status;

	(void)state;
	assert_int_equal(ks_ledger_open(&ledger, ctx, path, true), 0);
	ks_ledger_close(ks_take(ledger));
	for (int i = 0; i < WRITERS; i++) {
		if (fork() == 0)
			_exit(writer());
	}
	for (int i = 0; i < WRITERS; i++) {
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	assert_int_equal(ks_ledger_open(&ledger, ctx, path, false), 0);
	assert_int_equal(ks_ledger_each(ledger, count_rows, &rows), 0);
	assert_int_equal(rows, WRITERS * ROUNDS);
}

static void a_writer_that_never_ends_is_named_busy(void **state)
{
	struct ks_settings settings = { .wait_seconds = 1 };
	ks_auto(ledger) holder = NULL;
	struct ks_ctx *own = NULL;
	struct ks_ledger *second = NULL;

	(void)state;
	assert_int_equal(ks_ledger_open(&holder, ctx, path, true), 0);
	assert_int_equal(ks_ctx_new(&own, &settings), 0);
	assert_int_equal(ks_ledger_open(&second, own, path, false), 0);
	assert_int_equal(ks_ledger_begin(holder), 0);
	assert_int_equal(ks_ledger_begin(second), KS_EBUSY);
	ks_ledger_abort(holder);
	assert_int_equal(ks_ledger_begin(second), 0);
	ks_ledger_close(second);
	assert_int_equal(ks_ctx_free(own), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_complete_row_is_found_by_its_key_after_reopening, start, finish),
		cmocka_unit_test_setup_teardown(an_intent_keeps_its_serial_and_is_not_found_as_a_certificate, start,
						finish),
		cmocka_unit_test_setup_teardown(a_row_is_completed_once_and_only_once, start, finish),
		cmocka_unit_test_setup_teardown(serials_are_random_with_126_free_bits, start, finish),
		cmocka_unit_test_setup_teardown(an_aborted_group_leaves_no_row, start, finish),
		cmocka_unit_test_setup_teardown(the_file_is_for_its_owner_only, start, finish),
		cmocka_unit_test_setup_teardown(an_absent_ledger_is_not_made_by_looking, start, finish),
		cmocka_unit_test_setup_teardown(a_file_that_is_no_ledger_gets_a_sentence, start, finish),
		cmocka_unit_test_setup_teardown(a_newer_schema_is_refused_and_left_alone, start, finish),
		cmocka_unit_test_setup_teardown(a_row_with_a_short_serial_is_called_damaged, start, finish),
		cmocka_unit_test_setup_teardown(eight_writers_lose_no_row, start, finish),
		cmocka_unit_test_setup_teardown(a_writer_that_never_ends_is_named_busy, start, finish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
