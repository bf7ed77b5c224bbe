/* Proves what is said of a trouble that lasts: at once, then ever more seldom, and that it is over.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "broker/base/trouble.h"

#define HOUR_MS INT64_C(3600000)

struct story {
    struct clock_manual clock;
    struct trouble trouble;
    int told, told_over;
};

static void again(struct story *story)
{
    story->told += trouble_again(&story->trouble, &story->clock.clock);
}

static void well(struct story *story)
{
    story->told_over += trouble_over(&story->trouble, &story->clock.clock);
}

static void begin(struct story *story)
{
    *story = (struct story){0};
    clock_manual_init(&story->clock, 0);
}

static void test_the_first_time_is_told_at_once(void **state)
{
    (void)state;
    struct story story;
    begin(&story);
    well(&story);
    assert_int_equal(story.told_over, 0);
    again(&story);
    assert_int_equal(story.told, 1);
    assert_int_equal(story.trouble.times, 1);
    assert_int_equal(story.trouble.since_ms, 0);
}

static void test_what_lasts_for_a_day_is_told_ever_more_seldom_and_with_a_count(void **state)
{
    (void)state;
    struct story story;
    begin(&story);
    for (int64_t ms = 0; ms < 24 * HOUR_MS; ms += 200) {
        again(&story);
        if (ms == 70000) {
            assert_int_equal(story.told, 4); /* at 0, 10, 30 and 70 s */
            assert_int_equal(story.trouble.times, 70 * 5 + 1);
            assert_int_equal(story.trouble.since_ms, 70000);
        }
        clock_manual_advance_ms(&story.clock, 200);
    }
    /* at 150, 310 and 630 s, and from there on every 10 minutes */
    assert_int_equal(story.told, 4 + 3 + (24 * 3600 - 630 - 1) / 600);
    well(&story);
    assert_int_equal(story.told_over, 1);
    assert_int_equal(story.trouble.since_ms, 24 * HOUR_MS);
    well(&story);
    assert_int_equal(story.told_over, 1);
}

static void test_one_that_comes_and_goes_is_one_trouble(void **state)
{
    (void)state;
    struct story story;
    begin(&story);
    for (int64_t ms = 0; ms <= 70000; ms += 200) {
        again(&story);
        well(&story);
        clock_manual_advance_ms(&story.clock, 200);
    }
    assert_int_equal(story.told, 4);
    assert_int_equal(story.told_over, 4); /* once for each that was told */
}

static void test_after_a_while_of_peace_the_next_is_another(void **state)
{
    (void)state;
    struct story story;
    begin(&story);
    again(&story);
    again(&story);
    well(&story);
    clock_manual_advance_ms(&story.clock, TROUBLE_WELL_MS - 1);
    well(&story); /* peace began before */
    again(&story);
    assert_int_equal(story.told, 1);
    assert_int_equal(story.trouble.times, 3);
    well(&story);
    clock_manual_advance_ms(&story.clock, TROUBLE_WELL_MS);
    again(&story);
    assert_int_equal(story.told, 2);
    assert_int_equal(story.trouble.times, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_time_is_told_at_once),
        cmocka_unit_test(test_what_lasts_for_a_day_is_told_ever_more_seldom_and_with_a_count),
        cmocka_unit_test(test_one_that_comes_and_goes_is_one_trouble),
        cmocka_unit_test(test_after_a_while_of_peace_the_next_is_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
