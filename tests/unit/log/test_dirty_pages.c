/* When write-back begins early: the judgement of /proc/vmstat. */
#include "log_fixture.h"

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

static void test_half_of_the_kernels_own_threshold_is_much(void **state)
{
    (void)state;
    assert_true(judge("nr_dirty 400\nnr_writeback 101\nnr_dirty_background_threshold 1000\n"));
    assert_false(judge("nr_dirty 400\nnr_writeback 100\nnr_dirty_background_threshold 1000\n"));
}

static void test_what_cannot_be_known_counts_as_much(void **state)
{
    (void)state;
    assert_true(judge(""));
    assert_true(judge("nr_dirty 1\nnr_writeback 1\n"));
    assert_true(judge("nr_dirty x\nnr_writeback 1\nnr_dirty_background_threshold 1000\n"));
    assert_true(judge("nr_dirty 1\nnr_writeback 1\nnr_dirty_background_threshold 0\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_little_dirty_memory_is_left_to_the_kernel),
        cmocka_unit_test(test_half_of_the_kernels_own_threshold_is_much),
        cmocka_unit_test(test_what_cannot_be_known_counts_as_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
