/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "disk.h"
#include "room.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static const struct ks_disk_wish plainly = { .private_material = false };
static const struct ks_disk_wish privately = { .private_material = true };

struct place {
	struct ks_ctx *ctx;
	char folder[64];
	char file[96];
};
#define auto_disk __attribute__((cleanup(ks_disk_freep))) struct ks_disk *

static int start(void **state)
{
	struct place *place = calloc(1, sizeof(*place));
	const struct ks_settings settings = { .wait_seconds = 1, .max_file = 1 << 20 };

	snprintf(place->folder, sizeof(place->folder), "%s/keystow-disk-XXXXXX", "/tmp");
	assert_non_null(mkdtemp(place->folder));
	snprintf(place->file, sizeof(place->file), "%s/store", place->folder);
	assert_int_equal(ks_ctx_new(&place->ctx, &settings), 0);
	umask(022);
	*state = place;
	return 0;
}

static int finish(void **state)
{
	struct place *place = *state;

	remove_all(place->folder);
	assert_int_equal(ks_ctx_free(place->ctx), 0);
	free(place);
	return 0;
}

static void put(const char *path, const char *text, mode_t mode)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	assert_int_equal(chmod(path, mode), 0);
}

static void holds(const char *path, const char *text)
{
	char have[256] = "";
	FILE *file = fopen(path, "r");

	assert_non_null(file);
	have[fread(have, 1, sizeof(have) - 1, file)] = '\0';
	fclose(file);
	assert_string_equal(have, text);
}

static mode_t mode_of(const char *path)
{
	struct stat seen;

	assert_int_equal(lstat(path, &seen), 0);
	return seen.st_mode & 07777;
}

static char *beside(const struct place *place, const char *suffix)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s%s", place->file, suffix);
	return path;
}

/* Names in the folder, so that nothing is left over unseen. */
static int names_in(const struct place *place)
{
	DIR *folder = opendir(place->folder);
	int count = -2;

	while (readdir(folder))
		count++;
	closedir(folder);
	return count;
}

static int replace_with(const struct place *place, const char *text, const struct ks_disk_wish *wish)
{
	auto_disk disk = NULL;
	struct ks_bytes piece = ks_bytes_of(text);
	bool changed;
	int rc = ks_disk_open(&disk, place->ctx, place->file, KS_DISK_WRITE | KS_DISK_CREATE);

	if (rc == 0)
		rc = ks_disk_lock(disk, &changed);
	if (rc == 0)
		rc = ks_disk_stage(disk, &piece, 1, wish);
	return rc < 0 ? rc : ks_disk_publish(disk);
}

static void a_new_private_file_is_0600_and_a_plain_one_follows_the_umask(void **state)
{
	struct place *place = *state;

	assert_int_equal(replace_with(place, "key", &privately), 0);
	assert_int_equal(mode_of(place->file), 0600);
	holds(place->file, "key");
	unlink(place->file);
	assert_int_equal(replace_with(place, "certificate", &plainly), 0);
	assert_int_equal(mode_of(place->file), 0644);
	assert_int_equal(names_in(place), 1);
}

static void an_existing_file_keeps_its_mode_and_a_private_one_is_narrowed(void **state)
{
	struct place *place = *state;

	put(place->file, "old", 0664);
	assert_int_equal(replace_with(place, "new", &plainly), 0);
	assert_int_equal(mode_of(place->file), 0664);
	assert_int_equal(replace_with(place, "key", &privately), 0);
	assert_int_equal(mode_of(place->file), 0640);
	holds(place->file, "key");
}

static void the_old_file_is_kept_narrowed_dropped_and_exchanged(void **state)
{
	struct place *place = *state;
	const struct ks_disk_wish keeping = { .private_material = true, .keep_old = true }, dropping = { .drop_old = true };
	auto_disk disk = NULL;
	bool changed = true;

	put(place->file, "one", 0644);
	assert_int_equal(replace_with(place, "two", &keeping), 0);
	holds(beside(place, ".old"), "one");
	assert_int_equal(mode_of(beside(place, ".old")), 0640);
	assert_int_equal(ks_disk_open(&disk, place->ctx, place->file, KS_DISK_WRITE), 0);
	assert_int_equal(ks_disk_lock(disk, &changed), 0);
	assert_int_equal(ks_disk_exchange(disk), 0);
	assert_true(ks_bytes_are(ks_disk_content(disk), "one"));
	holds(beside(place, ".old"), "two");
	ks_disk_close(ks_take(disk));
	assert_int_equal(replace_with(place, "three", &dropping), 0);
	assert_int_equal(access(beside(place, ".old"), F_OK), -1);
	assert_int_equal(names_in(place), 1);
}

static void an_old_copy_that_is_the_same_file_is_no_obstacle(void **state)
{
	struct place *place = *state;
	const struct ks_disk_wish keeping = { .keep_old = true };

	put(place->file, "one", 0600);
	assert_int_equal(link(place->file, beside(place, ".old")), 0);
	assert_int_equal(replace_with(place, "two", &keeping), 0);
	holds(place->file, "two");
	holds(beside(place, ".old"), "one");
	assert_int_equal(names_in(place), 2);
}

static void what_a_killed_run_left_is_swept_and_nothing_else(void **state)
{
	struct place *place = *state;
	char other[128];

	snprintf(other, sizeof(other), "%s/.store.keystow-0123456789abcdef", place->folder);
	put(other, "half", 0600);
	snprintf(other, sizeof(other), "%s/.store.keystow-lock", place->folder);
	put(other, "", 0600);
	snprintf(other, sizeof(other), "%s/.store2.keystow-0123456789abcdef", place->folder);
	put(other, "another store's", 0600);
	assert_int_equal(replace_with(place, "new", &plainly), 0);
	holds(other, "another store's");
	assert_int_equal(names_in(place), 2);
}

static void links_fifos_devices_and_folders_are_refused(void **state)
{
	struct place *place = *state;
	auto_disk disk = NULL;

	put(beside(place, "-real"), "real", 0600);
	assert_int_equal(symlink(beside(place, "-real"), place->file), 0);
	assert_int_equal(replace_with(place, "new", &plainly), KS_EFILEKIND);
	assert_int_equal(ks_disk_write(place->ctx, place->file, ks_bytes_of("new"), false, true), KS_EFILEKIND);
	assert_int_equal(ks_disk_open(&disk, place->ctx, place->file, KS_DISK_READ), 0);
	assert_true(ks_bytes_are(ks_disk_content(disk), "real"));
	unlink(place->file);
	assert_int_equal(mkfifo(place->file, 0600), 0);
	assert_int_equal(replace_with(place, "new", &plainly), KS_EFILEKIND);
	assert_int_equal(ks_disk_open(&disk, place->ctx, place->file, KS_DISK_READ), KS_EFILEKIND);
	assert_int_equal(ks_disk_open(&disk, place->ctx, "/dev/zero", KS_DISK_READ), KS_EFILEKIND);
	assert_int_equal(ks_disk_open(&disk, place->ctx, place->folder, KS_DISK_READ), KS_EFILEKIND);
	assert_int_equal(ks_disk_open(&disk, place->ctx, "/tmp/", KS_DISK_WRITE), KS_EFILEKIND);
	assert_int_equal(names_in(place), 2);
}

static void a_link_is_followed_once_when_asked_and_stays_a_link(void **state)
{
	struct place *place = *state;
	const struct ks_settings settings = { .follow = true };
	struct ks_ctx *ctx = NULL;
	struct ks_ctx *before = place->ctx;
	char real[128];
	struct stat seen;

	snprintf(real, sizeof(real), "%s", beside(place, "-real"));
	put(real, "old", 0600);
	assert_int_equal(symlink("store-real", place->file), 0);
	assert_int_equal(ks_ctx_new(&ctx, &settings), 0);
	place->ctx = ctx;
	assert_int_equal(replace_with(place, "new", &plainly), 0);
	place->ctx = before;
	holds(real, "new");
	assert_int_equal(lstat(place->file, &seen), 0);
	assert_true(S_ISLNK(seen.st_mode));
	assert_non_null(ks_ctx_notice(ctx, 0));
	assert_int_equal(ks_ctx_free(ctx), 0);
}

static void a_change_by_a_program_that_does_not_lock_is_noticed(void **state)
{
	struct place *place = *state;
	auto_disk disk = NULL;
	struct ks_bytes piece = ks_bytes_of("mine");
	bool changed = true;

	put(place->file, "old", 0600);
	assert_int_equal(ks_disk_open(&disk, place->ctx, place->file, KS_DISK_WRITE), 0);
	assert_int_equal(ks_disk_lock(disk, &changed), 0);
	assert_false(changed);
	assert_int_equal(ks_disk_stage(disk, &piece, 1, &plainly), 0);
	put(place->file, "sly", 0600);
	assert_int_equal(ks_disk_publish(disk), KS_ECHANGED);
	ks_disk_close(ks_take(disk));
	holds(place->file, "sly");
	assert_int_equal(names_in(place), 1);
}

static void a_file_that_appears_meanwhile_is_not_replaced(void **state)
{
	struct place *place = *state;
	auto_disk disk = NULL;
	struct ks_bytes piece = ks_bytes_of("mine");
	bool changed = true;

	assert_int_equal(ks_disk_open(&disk, place->ctx, place->file, KS_DISK_WRITE), KS_ENOTFOUND);
	assert_int_equal(ks_disk_open(&disk, place->ctx, place->file, KS_DISK_WRITE | KS_DISK_CREATE), 0);
	assert_false(ks_disk_exists(disk));
	assert_int_equal(ks_disk_lock(disk, &changed), 0);
	assert_int_equal(ks_disk_stage(disk, &piece, 1, &plainly), 0);
	put(place->file, "theirs", 0600);
	assert_int_equal(ks_disk_publish(disk), KS_ECHANGED);
	holds(place->file, "theirs");
}

static void the_lock_tells_that_the_content_changed_while_waiting(void **state)
{
	struct place *place = *state;
	auto_disk first = NULL;
	bool changed = false;

	put(place->file, "old", 0600);
	assert_int_equal(ks_disk_open(&first, place->ctx, place->file, KS_DISK_WRITE), 0);
	assert_int_equal(replace_with(place, "new", &plainly), 0);
	assert_int_equal(ks_disk_lock(first, &changed), 0);
	assert_true(changed);
	assert_true(ks_bytes_are(ks_disk_content(first), "new"));
}

static void a_second_writer_waits_and_then_says_so(void **state)
{
	struct place *place = *state;
	auto_disk first = NULL;
	bool changed;

	put(place->file, "old", 0600);
	assert_int_equal(ks_disk_open(&first, place->ctx, place->file, KS_DISK_WRITE), 0);
	assert_int_equal(ks_disk_lock(first, &changed), 0);
	assert_int_equal(replace_with(place, "new", &plainly), KS_EBUSY);
	holds(place->file, "old");
	ks_disk_close(ks_take(first));
	assert_int_equal(replace_with(place, "new", &plainly), 0);
}

/* Each child adds a byte 25 times; every byte must be there. */
static void writers_at_once_lose_nothing(void **state)
{
	enum { WRITERS = 4, ROUNDS = 25 };
	struct place *place = *state;
	struct stat seen;

	put(place->file, "", 0600);
	for (int writer = 0; writer < WRITERS; writer++) {
		if (fork() == 0) {
			int rc = 0;

			for (int round = 0; rc == 0 && round < ROUNDS; round++) {
				auto_disk disk = NULL;
				const struct ks_settings patient = { .wait_seconds = 60 };
				struct ks_ctx *ctx = NULL;
				struct ks_bytes pieces[2] = { KS_NONE, KS_BYTES("x", 1) };
				bool changed;

				rc = ks_ctx_new(&ctx, &patient);
				if (rc == 0)
					rc = ks_disk_open(&disk, ctx, place->file, KS_DISK_WRITE);
				if (rc == 0)
					rc = ks_disk_lock(disk, &changed);
				if (rc == 0) {
					pieces[0] = ks_disk_content(disk);
					rc = ks_disk_stage(disk, pieces, 2, &plainly);
				}
				if (rc == 0)
					rc = ks_disk_publish(disk);
				ks_disk_close(ks_take(disk));
				ks_ctx_free(ctx);
			}
			_exit(rc == 0 ? 0 : 1);
		}
	}
	for (int writer = 0; writer < WRITERS; writer++) {
		int status;

		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	assert_int_equal(stat(place->file, &seen), 0);
	assert_int_equal(seen.st_size, WRITERS * ROUNDS);
	assert_int_equal(names_in(place), 1);
}

static void a_file_beyond_the_limit_is_refused(void **state)
{
	struct place *place = *state;
	auto_disk disk = NULL;

	put(place->file, "", 0600);
	assert_int_equal(truncate(place->file, (1 << 20) + 1), 0);
	assert_int_equal(ks_disk_open(&disk, place->ctx, place->file, KS_DISK_READ), KS_ELIMIT);
	assert_int_equal(truncate(place->file, 1 << 20), 0);
	assert_int_equal(ks_disk_open(&disk, place->ctx, place->file, KS_DISK_READ), 0);
	assert_int_equal(ks_disk_content(disk).size, 1 << 20);
}

static void the_staged_bytes_are_read_back_in_full(void **state)
{
	struct place *place = *state;
	auto_disk disk = NULL;
	const struct ks_disk_wish to_be_seen = { .keep_staged = true };
	unsigned char digest[KS_SHA256];
	ks_auto(buffer) staged = NULL;
	ks_auto_mem char *big = calloc(1, 200000);
	struct ks_bytes pieces[] = { KS_BYTES("head", 4), KS_BYTES("", 0), KS_BYTES(big, 200000), KS_BYTES("tail", 4) };
	bool changed;

	assert_int_equal(ks_disk_open(&disk, place->ctx, place->file, KS_DISK_WRITE | KS_DISK_CREATE), 0);
	assert_int_equal(ks_disk_stage(disk, pieces, 4, &plainly), KS_EBUG);
	assert_int_equal(ks_disk_lock(disk, &changed), 0);
	assert_int_equal(ks_disk_stage(disk, pieces, 4, &plainly), 0);
	assert_int_equal(ks_disk_staged(&staged, disk), KS_EBUG);
	assert_int_equal(ks_disk_stage(disk, pieces, 4, &to_be_seen), 0);
	assert_int_equal(access(place->file, F_OK), -1);
	assert_int_equal(ks_disk_staged(&staged, disk), 0);
	assert_int_equal(staged->size, 200008);
	assert_memory_equal(staged->data, "head", 4);
	assert_memory_equal(staged->data + 200004, "tail", 4);
	ks_sha256(digest, ks_buffer_bytes(staged));
	assert_memory_equal(ks_disk_staged_digest(disk), digest, KS_SHA256);
	assert_int_equal(ks_disk_publish(disk), 0);
}

static void an_output_file_is_not_replaced_unless_asked(void **state)
{
	struct place *place = *state;

	assert_int_equal(ks_disk_write(place->ctx, place->file, ks_bytes_of("one"), true, false), 0);
	assert_int_equal(mode_of(place->file), 0600);
	assert_int_equal(ks_disk_write(place->ctx, place->file, ks_bytes_of("two"), false, false), KS_EEXISTS);
	holds(place->file, "one");
	assert_int_equal(ks_disk_write(place->ctx, place->file, ks_bytes_of("two"), false, true), 0);
	holds(place->file, "two");
	assert_int_equal(names_in(place), 1);
	assert_int_equal(ks_disk_write(place->ctx, "/nowhere/at/all", ks_bytes_of("x"), false, false), KS_ENOTFOUND);
}

static void what_stands_beside_is_private_and_whole(void **state)
{
	struct place *place = *state;
	auto_disk disk = NULL;
	ks_auto(buffer) back = NULL;
	bool changed;

	put(place->file, "old", 0644);
	assert_int_equal(ks_disk_open(&disk, place->ctx, place->file, KS_DISK_WRITE), 0);
	assert_int_equal(ks_disk_write_beside(disk, ".keystow", ks_bytes_of("x")), KS_EBUG);
	assert_int_equal(ks_disk_lock(disk, &changed), 0);
	assert_int_equal(ks_disk_read_beside(&back, disk, ".keystow"), KS_ENOTFOUND);
	assert_int_equal(ks_disk_write_beside(disk, ".keystow", ks_bytes_of("remember")), 0);
	assert_int_equal(mode_of(beside(place, ".keystow")), 0600);
	assert_int_equal(ks_disk_read_beside(&back, disk, ".keystow"), 0);
	assert_string_equal(ks_buffer_string(back), "remember");
}

static void attributes_are_kept(void **state)
{
	struct place *place = *state;
	char value[8] = "";

	put(place->file, "old", 0600);
	if (setxattr(place->file, "user.origin", "here", 4, 0) < 0)
		skip();
	assert_int_equal(replace_with(place, "new", &plainly), 0);
	assert_int_equal(getxattr(place->file, "user.origin", value, sizeof(value)), 4);
	assert_string_equal(value, "here");
}

/* A POSIX access list as the kernel stores it: user::rw-, user:65534:r--, group::r--, mask::r--, other::--- */
static void an_access_list_is_kept(void **state)
{
	static const unsigned char list[] = {
		2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 254, 255, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255,
		16, 0, 4, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255,
	};
	struct place *place = *state;
	unsigned char back[64];

	put(place->file, "old", 0600);
	if (setxattr(place->file, "system.posix_acl_access", list, sizeof(list), 0) < 0)
		skip();
	assert_int_equal(replace_with(place, "new", &privately), 0);
	assert_int_equal(getxattr(place->file, "system.posix_acl_access", back, sizeof(back)), sizeof(list));
	assert_memory_equal(back, list, sizeof(list));
	assert_int_equal(mode_of(place->file), 0640);
}

static void the_owner_is_kept_or_nothing_is_written(void **state)
{
	struct place *place = *state;
	struct stat seen;
	int status;

	if (geteuid() != 0)
		skip();
	put(place->file, "old", 0664);
	assert_int_equal(chown(place->file, 65534, 65534), 0);
	assert_int_equal(replace_with(place, "new", &privately), 0);
	assert_int_equal(stat(place->file, &seen), 0);
	assert_int_equal(seen.st_uid, 65534);
	assert_int_equal(seen.st_gid, 65534);
	assert_int_equal(seen.st_mode & 07777, 0640);
	assert_int_equal(chown(place->file, 1, 1), 0);
	assert_int_equal(chmod(place->file, 0644), 0);
	assert_int_equal(chmod(place->folder, 0777), 0);
	if (fork() == 0)
		_exit(setgid(65534) == 0 && setuid(65534) == 0 && replace_with(place, "theirs", &plainly) == KS_EOWNER ? 0 : 1);
	assert_true(wait(&status) > 0);
	assert_int_equal(status, 0);
	holds(place->file, "new");
	assert_int_equal(names_in(place), 1);
}

/* RLIMIT_FSIZE stands for a disk that ends in the middle of the file. */
static void a_write_that_ends_early_leaves_the_old_file(void **state)
{
	struct place *place = *state;
	int status;

	put(place->file, "old", 0600);
	if (fork() == 0) {
		const struct rlimit small = { 4096, 4096 };
		ks_auto_mem char *big = calloc(1, 8192);
		int rc;

		memset(big, 'x', 8191);
		signal(SIGXFSZ, SIG_IGN);
		setrlimit(RLIMIT_FSIZE, &small);
		rc = replace_with(place, big, &plainly);
		_exit(rc == KS_EIO || rc == KS_EFULL ? 0 : 1);
	}
	assert_true(wait(&status) > 0);
	assert_int_equal(status, 0);
	holds(place->file, "old");
	assert_int_equal(names_in(place), 1);
}

static void a_file_that_vanished_under_the_lock_is_noticed(void **state)
{
	struct place *place = *state;
	struct ks_bytes piece = KS_BYTES("new", 3);
	auto_disk disk = NULL;
	bool changed;

	put(place->file, "old", 0600);
	assert_int_equal(ks_disk_open(&disk, place->ctx, place->file, KS_DISK_WRITE), 0);
	assert_int_equal(ks_disk_lock(disk, &changed), 0);
	unlink(place->file);
	assert_int_equal(ks_disk_stage(disk, &piece, 1, &plainly), KS_ECHANGED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_new_private_file_is_0600_and_a_plain_one_follows_the_umask, start, finish),
		cmocka_unit_test_setup_teardown(an_existing_file_keeps_its_mode_and_a_private_one_is_narrowed, start, finish),
		cmocka_unit_test_setup_teardown(the_old_file_is_kept_narrowed_dropped_and_exchanged, start, finish),
		cmocka_unit_test_setup_teardown(an_old_copy_that_is_the_same_file_is_no_obstacle, start, finish),
		cmocka_unit_test_setup_teardown(what_a_killed_run_left_is_swept_and_nothing_else, start, finish),
		cmocka_unit_test_setup_teardown(links_fifos_devices_and_folders_are_refused, start, finish),
		cmocka_unit_test_setup_teardown(a_link_is_followed_once_when_asked_and_stays_a_link, start, finish),
		cmocka_unit_test_setup_teardown(a_change_by_a_program_that_does_not_lock_is_noticed, start, finish),
		cmocka_unit_test_setup_teardown(a_file_that_appears_meanwhile_is_not_replaced, start, finish),
		cmocka_unit_test_setup_teardown(the_lock_tells_that_the_content_changed_while_waiting, start, finish),
		cmocka_unit_test_setup_teardown(a_second_writer_waits_and_then_says_so, start, finish),
		cmocka_unit_test_setup_teardown(writers_at_once_lose_nothing, start, finish),
		cmocka_unit_test_setup_teardown(a_file_beyond_the_limit_is_refused, start, finish),
		cmocka_unit_test_setup_teardown(the_staged_bytes_are_read_back_in_full, start, finish),
		cmocka_unit_test_setup_teardown(an_output_file_is_not_replaced_unless_asked, start, finish),
		cmocka_unit_test_setup_teardown(what_stands_beside_is_private_and_whole, start, finish),
		cmocka_unit_test_setup_teardown(attributes_are_kept, start, finish),
		cmocka_unit_test_setup_teardown(an_access_list_is_kept, start, finish),
		cmocka_unit_test_setup_teardown(the_owner_is_kept_or_nothing_is_written, start, finish),
		cmocka_unit_test_setup_teardown(a_write_that_ends_early_leaves_the_old_file, start, finish),
		cmocka_unit_test_setup_teardown(a_file_that_vanished_under_the_lock_is_noticed, start, finish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
