/* How many files the cache keeps open, by its own bounds and by the limit of the process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>
#include <sys/resource.h>
#include <unistd.h>

#include "broker/log/file_cache.h"
#include "broker/log/log.h"

#define FILES_COUNT 300

struct files {
    char dir[32];
    struct file_slot segments[FILES_COUNT], indexes[FILES_COUNT];
};

static int setup(void **state)
{
    static struct files files;
    files = (struct files){.dir = "/tmp/file-cache-XXXXXX"};
    *state = &files;
    return mkdtemp(files.dir) ? 0 : -1;
}

static int teardown(void **state)
{
    char command[64];
    struct files *files = *state;
    snprintf(command, sizeof command, "rm -rf '%s'", files->dir);
    return system(command);
}

static void open_all(struct file_cache *cache, struct files *files)
{
    for (int i = 0; i < FILES_COUNT; i++)
        for (int kind = 0; kind < FILE_KIND_COUNT; kind++) {
            char path[64];
            struct log_file *file;
            snprintf(path, sizeof path, "%s/%d.%d", files->dir, i, kind);
            struct file_slot *slot =
                kind == FILE_SEGMENT ? &files->segments[i] : &files->indexes[i];
            assert_int_equal(file_cache_get(cache, slot, (enum file_kind)kind, path, true, &file),
                             ERR_OK);
            log_file_unref(file);
        }
}

static void close_all(struct file_cache *cache, struct files *files)
{
    for (int i = 0; i < FILES_COUNT; i++) {
        file_cache_close(cache, &files->segments[i]);
        file_cache_close(cache, &files->indexes[i]);
    }
    file_cache_free(cache);
}

static void test_each_kind_keeps_to_its_bound(void **state)
{
    struct file_cache *cache = file_cache_new(10, 20);
    open_all(cache, *state);
    assert_int_equal(file_cache_open_count(cache, FILE_SEGMENT), 10);
    assert_int_equal(file_cache_open_count(cache, FILE_INDEX), 20);
    close_all(cache, *state);
}

static void test_bounds_beyond_the_limit_of_descriptors_take_half_of_it_in_proportion(void **state)
{
    struct rlimit before, small;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    small = (struct rlimit){240, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &small), 0);

    struct file_cache *cache = file_cache_new(8192, 16384);
    open_all(cache, *state); /* 600 files under a limit of 240: each opens */
    assert_int_equal(file_cache_open_count(cache, FILE_SEGMENT), 40);
    assert_int_equal(file_cache_open_count(cache, FILE_INDEX), 80);
    close_all(cache, *state);

    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_kind_keeps_to_its_bound, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_bounds_beyond_the_limit_of_descriptors_take_half_of_it_in_proportion, setup,
            teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
