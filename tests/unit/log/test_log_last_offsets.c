/* Offsets at the end of what an int64 holds, from damaged files and from a leader: each is refused
 * where it comes in, so that nobody who counts on from a log's end can overflow. */
#include "log_fixture.h"

#include <stdio.h>

#define FIRST "orders-0/00000000000000000000"

static void make_log(struct fixture *f, bool is_clean)
{
    fixture_start(f);
    append_many(fixture_log(f, "orders", 0), 4, 3, 20);
    if (is_clean)
        fixture_stop(f);
    else
        fixture_kill(f);
}

static void put_text(struct fixture *f, const char *name, const char *text)
{
    if (file_exists(f, name))
        file_remove(f, name);
    file_put(f, name, text, strlen(text), 0);
}

static void test_a_log_start_at_the_end_of_all_offsets_takes_the_directory_offline(void **state)
{
    struct fixture *f = *state;
    make_log(f, true);
    put_text(f, "log-start-offset-checkpoint", "0\n1\norders 0 9223372036854775807\n");
    assert_err(fixture_try_start(f), ERR_IO);
    put_text(f, "log-start-offset-checkpoint", "0\n1\norders 0 9223372036854775806\n");
    assert_err(fixture_try_start(f), ERR_IO);
}

static void test_an_epoch_at_the_end_of_all_offsets_takes_the_directory_offline(void **state)
{
    struct fixture *f = *state;
    make_log(f, true);
    put_text(f, "orders-0/leader-epoch-checkpoint", "0\n1\n0 9223372036854775807\n");
    assert_err(fixture_try_start(f), ERR_IO);
}

static void test_a_recovery_point_at_the_end_of_all_offsets_costs_a_recovery(void **state)
{
    struct fixture *f = *state;
    make_log(f, false);
    put_text(f, "recovery-point-offset-checkpoint", "0\n1\norders 0 9223372036854775807\n");
    fixture_start(f);
    assert_int_equal(log_end_offset(fixture_find(f, "orders", 0)), 12);
}

static void test_a_file_that_names_the_end_of_all_offsets_is_no_segment(void **state)
{
    struct fixture *f = *state;
    make_log(f, false);
    file_put(f, "orders-0/09223372036854775807.log", "", 0, 0);
    fixture_start(f);
    assert_int_equal(log_end_offset(fixture_find(f, "orders", 0)), 12);
}

/* The checksum does not cover a batch's offset. */
static void test_an_offset_that_no_segment_can_hold_is_damage_after_a_clean_stop(void **state)
{
    struct fixture *f = *state;
    bool is_offline;
    static const uint8_t far[8] = {0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfd};
    make_log(f, true);
    file_put(f, FIRST ".log", far, sizeof far, 0);
    fixture_start(f);
    assert_null(log_manager_get(f->manager, "orders", 0, &is_offline));
    assert_true(is_offline);
}

static void test_a_leaders_batch_at_the_end_of_all_offsets_is_not_taken(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    struct batch_spec spec = {.base_offset = INT64_MAX - 2, .records = 2};
    assert_err(append_replica(log, &spec), ERR_CORRUPT_MESSAGE);
    assert_int_equal(log_end_offset(log), 0);
}

static void test_an_append_at_the_end_of_all_offsets_is_refused(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    assert_err(log_truncate_fully(log, INT64_MAX), ERR_OK); /* whoever asked for that */
    assert_err(append(log, &(struct batch_spec){.records = 2}, NULL), ERR_UNKNOWN_SERVER_ERROR);
    assert_int_equal(log_end_offset(log), INT64_MAX);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_a_log_start_at_the_end_of_all_offsets_takes_the_directory_offline),
        T(test_an_epoch_at_the_end_of_all_offsets_takes_the_directory_offline),
        T(test_a_recovery_point_at_the_end_of_all_offsets_costs_a_recovery),
        T(test_a_file_that_names_the_end_of_all_offsets_is_no_segment),
        T(test_an_offset_that_no_segment_can_hold_is_damage_after_a_clean_stop),
        T(test_a_leaders_batch_at_the_end_of_all_offsets_is_not_taken),
        T(test_an_append_at_the_end_of_all_offsets_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
