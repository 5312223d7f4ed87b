/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "folder.h"
#include "room.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct ks_ctx *ctx;
static char room[64], place[96];

static int start(void **state)
{
	(void)state;
	strcpy(room, "/tmp/keystow-folder-XXXXXX");
	if (!mkdtemp(room))
		return -1;
	snprintf(place, sizeof(place), "%s/ca", room);
	return ks_ctx_new(&ctx, NULL);
}

static size_t entries(const char *path)
{
	DIR *list = opendir(path);
	const struct dirent *entry;
	size_t count = 0;

	while (list && (entry = readdir(list)))
		count += entry->d_name[0] != '.' || (entry->d_name[1] != '\0' && entry->d_name[1] != '.');
	if (list)
		closedir(list);
	return count;
}

static int finish(void **state)
{
	(void)state;
	remove_all(room);
	return ks_ctx_free(ctx);
}

static void put_file(const char *folder)
{
	char file[160];
	int fd;

	snprintf(file, sizeof(file), "%s/file", folder);
	fd = open(file, O_CREAT | O_WRONLY | O_TRUNC, 0600);
	assert_true(fd >= 0);
	close(fd);
}

static void it_appears_whole_and_for_its_owner_only(void **state)
{
	ks_auto(folder) folder = NULL;
	struct stat seen;

	(void)state;
	assert_int_equal(ks_folder_begin(&folder, ctx, place), 0);
	put_file(ks_folder_path(folder));
	assert_int_equal(ks_folder_add(folder, "inside"), 0);
	assert_int_equal(access(place, F_OK), -1);
	assert_int_equal(ks_folder_publish(folder), 0);
	assert_int_equal(stat(place, &seen), 0);
	assert_int_equal(seen.st_mode & 07777, 0700);
	assert_int_equal(entries(place), 2);
	assert_int_equal(entries(room), 1);
}

static void what_was_not_published_is_gone(void **state)
{
	ks_auto(folder) folder = NULL;

	(void)state;
	assert_int_equal(ks_folder_begin(&folder, ctx, place), 0);
	put_file(ks_folder_path(folder));
	assert_int_equal(ks_folder_add(folder, "inside"), 0);
	ks_folder_free(ks_take(folder));
	assert_int_equal(entries(room), 0);
}

static void what_is_there_is_never_touched(void **state)
{
	ks_auto(folder) folder = NULL;

	(void)state;
	assert_int_equal(mkdir(place, 0755), 0);
	put_file(place);
	assert_int_equal(ks_folder_begin(&folder, ctx, place), KS_EEXISTS);
	assert_int_equal(entries(place), 1);
	assert_int_equal(entries(room), 1);
}

static void a_link_is_not_followed(void **state)
{
	ks_auto(folder) folder = NULL;

	(void)state;
	assert_int_equal(symlink("elsewhere", place), 0);
	assert_int_equal(ks_folder_begin(&folder, ctx, place), KS_EEXISTS);
}

static void the_slower_of_two_is_told(void **state)
{
	ks_auto(folder) one = NULL;
	ks_auto(folder) two = NULL;

	(void)state;
	assert_int_equal(ks_folder_begin(&one, ctx, place), 0);
	assert_int_equal(ks_folder_begin(&two, ctx, place), 0);
	put_file(ks_folder_path(one));
	put_file(ks_folder_path(two));
	assert_int_equal(ks_folder_publish(two), 0);
	assert_int_equal(ks_folder_publish(one), KS_EEXISTS);
	ks_folder_free(ks_take(one));
	assert_int_equal(entries(place), 1);
	assert_int_equal(entries(room), 1);
}

static void the_next_one_sweeps_what_a_killed_one_left(void **state)
{
	ks_auto(folder) folder = NULL;
	struct ks_folder *lost = NULL;
	int status;

	(void)state;
	if (fork() == 0) {
		if (ks_folder_begin(&lost, ctx, place) < 0)
			_exit(1);
		put_file(ks_folder_path(lost));
		_exit(ks_folder_add(lost, "inside") < 0);
	}
	assert_true(wait(&status) > 0);
	assert_int_equal(status, 0);
	assert_int_equal(entries(room), 1);
	assert_int_equal(ks_folder_begin(&folder, ctx, place), 0);
	assert_int_equal(entries(room), 1);
}

static void the_folders_above_a_file_are_made_once_and_for_the_owner(void **state)
{
	char file[160], inside[128];
	struct stat info;

	(void)state;
	snprintf(inside, sizeof(inside), "%s/inside", place);
	snprintf(file, sizeof(file), "%s/record", inside);
	assert_int_equal(ks_folder_above(ctx, file, 0700), 0);
	assert_int_equal(ks_folder_above(ctx, file, 0700), 0);
	assert_int_equal(stat(inside, &info), 0);
	assert_int_equal(info.st_mode & 07777, 0700);
	assert_int_equal(access(file, F_OK), -1);
}

static void a_file_where_a_folder_is_wanted_is_named(void **state)
{
	char file[160];

	(void)state;
	assert_int_equal(mkdir(place, 0700), 0);
	put_file(place);
	snprintf(file, sizeof(file), "%s/file/deeper/record", place);
	assert_true(ks_folder_above(ctx, file, 0700) < 0);
	assert_non_null(strstr(ks_ctx_text(ctx), "/file/deeper"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(it_appears_whole_and_for_its_owner_only, start, finish),
		cmocka_unit_test_setup_teardown(what_was_not_published_is_gone, start, finish),
		cmocka_unit_test_setup_teardown(what_is_there_is_never_touched, start, finish),
		cmocka_unit_test_setup_teardown(a_link_is_not_followed, start, finish),
		cmocka_unit_test_setup_teardown(the_slower_of_two_is_told, start, finish),
		cmocka_unit_test_setup_teardown(the_next_one_sweeps_what_a_killed_one_left, start, finish),
		cmocka_unit_test_setup_teardown(the_folders_above_a_file_are_made_once_and_for_the_owner, start,
						finish),
		cmocka_unit_test_setup_teardown(a_file_where_a_folder_is_wanted_is_named, start, finish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
