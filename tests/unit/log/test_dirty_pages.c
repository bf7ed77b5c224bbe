/* When write-back begins early: the judgement of /proc/vmstat. */
#include "log_fixture.h"

#include <stdio.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_little_dirty_memory_is_left_to_the_kernel),
        cmocka_unit_test(test_a_kernel_that_falls_behind_is_helped_before_writers_wait),
        cmocka_unit_test(test_what_cannot_be_known_counts_as_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
