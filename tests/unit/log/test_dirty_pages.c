/* When write-back begins early: the judgement of /proc/vmstat. */
#include "log_fixture.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "broker/log/dirty_pages.h"

static bool judge(const char *text)
{
    return dirty_pages_judge(slice_str(text));
}

static void test_little_dirty_memory_is_left_to_the_kernel(void **state)
{
    (void)state;
    assert_false(judge("nr_free_pages 5\nnr_dirty 100\nnr_writeback 20\nnr_dirtied 9999999\n"
                       "nr_dirty_threshold 2000\nnr_dirty_background_threshold 1000\n"));
}

static void test_a_kernel_that_falls_behind_is_helped_before_writers_wait(void **state)
{
    (void)state; /* it begins at 1000, and makes writers wait from 1500 on */
    const char *limits = "nr_dirty_threshold 2000\nnr_dirty_background_threshold 1000\n";
    char text[200];
    snprintf(text, sizeof text, "nr_dirty 1100\nnr_writeback 150\n%s", limits);
    assert_false(judge(text));
    snprintf(text, sizeof text, "nr_dirty 1100\nnr_writeback 151\n%s", limits);
    assert_true(judge(text));
}

static void test_what_cannot_be_known_counts_as_much(void **state)
{
    (void)state;
    assert_true(judge(""));
    assert_true(judge("nr_dirty 1\nnr_writeback 1\n"));
    assert_true(judge("nr_dirty 1\nnr_writeback 1\nnr_dirty_background_threshold 1000\n"));
    assert_true(judge("nr_dirty x\nnr_writeback 1\nnr_dirty_threshold 2000\n"
                      "nr_dirty_background_threshold 1000\n"));
    assert_true(judge("nr_dirty 1\nnr_writeback 1\nnr_dirty_threshold 2000\n"
                      "nr_dirty_background_threshold 0\n"));
}

/* --- control groups: a folder that looks like /sys/fs/cgroup --- */

static void put(const char *root, const char *name, const char *text)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", root, name);
    for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
        *slash = 0;
        assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
    }
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void test_a_limit_of_the_control_group_or_one_above_it_counts(void **state)
{
    const char *root = ((struct fixture *)*state)->dir;
    put(root, "a/b/memory.max", "max\n");
    assert_false(dirty_pages_group_is_limited("0::/a/b\n", root));
    put(root, "a/memory.max", "1073741824\n");
    assert_true(dirty_pages_group_is_limited("0::/a/b\n", root));
    assert_false(dirty_pages_group_is_limited("0::/\n", root));
}

static void test_version_1_says_no_limit_by_a_large_number(void **state)
{
    const char *root = ((struct fixture *)*state)->dir;
    const char *groups = "4:memory:/a/b\n2:cpu:/a\n0::/\n";
    assert_true(dirty_pages_group_is_limited(groups, root)); /* nothing can be read */
    put(root, "memory/a/b/memory.limit_in_bytes", "9223372036854771712\n");
    assert_false(dirty_pages_group_is_limited(groups, root));
    put(root, "memory/memory.limit_in_bytes", "1073741824\n"); /* as a container sees its own */
    assert_true(dirty_pages_group_is_limited(groups, root));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_little_dirty_memory_is_left_to_the_kernel),
        cmocka_unit_test(test_a_kernel_that_falls_behind_is_helped_before_writers_wait),
        cmocka_unit_test(test_what_cannot_be_known_counts_as_much),
        cmocka_unit_test_setup_teardown(test_a_limit_of_the_control_group_or_one_above_it_counts,
                                        fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_version_1_says_no_limit_by_a_large_number,
                                        fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
