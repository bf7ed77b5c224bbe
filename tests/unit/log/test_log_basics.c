/* The main path: create, append, read, restart, and what is left in the directory. */
#include "log_fixture.h"

static void test_what_was_appended_is_read_back(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    append_many(log, 100, 3, 50);
    assert_int_equal(log_end_offset(log), 300);
    assert_int_equal(check_readable(log, 0, 300), 300);
}

static void test_a_clean_restart_keeps_everything_without_recovery(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    append_many(fixture_log(f, "orders", 0), 100, 3, 50);
    fixture_restart(f);
    struct log *log = fixture_find(f, "orders", 0);
    assert_non_null(log);
    assert_int_equal(log_end_offset(log), 300);
    assert_int_equal(log_recovery_point(log), 300);
    append_many(log, 10, 3, 50);
    assert_int_equal(check_readable(log, 0, 330), 330);
}

static void test_a_killed_broker_finds_all_that_it_wrote(void **state)
{
    struct fixture *f = *state;
    f->config.segment_bytes = 4000;
    fixture_start(f);
    append_many(fixture_log(f, "orders", 0), 100, 3, 50);
    fixture_crash(f);
    struct log *log = fixture_find(f, "orders", 0);
    assert_non_null(log);
    assert_int_equal(log_end_offset(log), 300);
    assert_int_equal(check_readable(log, 0, 300), 300);
}

static void test_a_fetch_from_within_a_batch_gives_the_whole_batch(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    append_many(log, 20, 5, 10);
    struct log_slice slice;
    assert_err(log_read(log, 13, 100, 1 << 20, false, true, &slice), ERR_OK);
    assert_int_equal(slice.first_offset, 10);
    log_file_unref(slice.file);
}

static void test_a_read_stops_at_the_upper_offset(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    append_many(log, 200, 5, 10);
    assert_int_equal(check_readable(log, 0, 50), 50);
    assert_int_equal(check_readable(log, 0, 52), 50); /* the batch that holds 52 is not below it */
    assert_int_equal(check_readable(log, 995, 1000), 5);
}

static void test_offsets_outside_of_the_log_are_out_of_range(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    append_many(log, 2, 5, 10);
    struct log_slice slice;
    assert_err(log_read(log, 11, 11, 100, true, true, &slice), ERR_OFFSET_OUT_OF_RANGE);
    assert_err(log_read(log, 10, 10, 100, true, true, &slice), ERR_OK);
    assert_null(slice.file);
    assert_err(log_raise_start(log, 5, 10), ERR_OK);
    assert_err(log_read(log, 4, 10, 100, true, true, &slice), ERR_OFFSET_OUT_OF_RANGE);
    assert_err(log_raise_start(log, 11, 10), ERR_OFFSET_OUT_OF_RANGE);
}

static void test_a_tail_read_does_not_block_and_a_large_first_batch_comes_whole(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    append_many(log, 5, 1, 5000);
    struct log_slice slice;
    assert_err(log_read(log, 4, 5, 1, true, false, &slice), ERR_OK);
    assert_true(slice.size_bytes > 5000);
    log_file_unref(slice.file);
    assert_err(log_read(log, 4, 5, 1, false, false, &slice), ERR_OK);
    assert_null(slice.file);
}

static void test_truncation_cuts_the_batch_and_keeps_the_offset(void **state)
{
    struct fixture *f = *state;
    f->config.segment_bytes = 4000;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    append_many(log, 100, 5, 50);
    assert_err(log_truncate(log, 233), ERR_OK);
    assert_int_equal(log_end_offset(log), 233);
    assert_int_equal(check_readable(log, 0, 233), 230);
    struct batch_spec spec = {.base_offset = 233, .records = 2, .leader_epoch = 1};
    assert_err(append_replica(log, &spec), ERR_OK);
    assert_int_equal(check_readable(log, 0, 235), 232);
    fixture_restart(f);
    assert_int_equal(log_end_offset(fixture_find(f, "orders", 0)), 235);
}

static void test_a_log_that_begins_anew_is_empty_there(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    append_many(log, 10, 5, 50);
    assert_err(log_truncate_fully(log, 1000), ERR_OK);
    assert_int_equal(log_start_offset(log), 1000);
    assert_int_equal(log_end_offset(log), 1000);
    fixture_restart(f);
    log = fixture_find(f, "orders", 0);
    assert_int_equal(log_start_offset(log), 1000);
    assert_int_equal(log_end_offset(log), 1000);
}

static void test_a_deleted_log_may_be_made_again_at_once(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    append_many(log, 10, 5, 50);
    struct log_slice slice;
    assert_err(log_read(log, 0, 50, 100, true, true, &slice), ERR_OK);
    assert_err(log_manager_delete(f->manager, "orders", 0), ERR_OK);
    assert_null(fixture_find(f, "orders", 0));
    log = fixture_log(f, "orders", 0);
    assert_int_equal(log_end_offset(log), 0);
    uint8_t byte;
    log_manager_remove_due(f->manager, true);
    assert_int_equal(file_read(log_file_fd(slice.file), &byte, 1, slice.position, true), 1);
    log_file_unref(slice.file);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_what_was_appended_is_read_back),
        T(test_a_clean_restart_keeps_everything_without_recovery),
        T(test_a_killed_broker_finds_all_that_it_wrote),
        T(test_a_fetch_from_within_a_batch_gives_the_whole_batch),
        T(test_a_read_stops_at_the_upper_offset),
        T(test_offsets_outside_of_the_log_are_out_of_range),
        T(test_a_tail_read_does_not_block_and_a_large_first_batch_comes_whole),
        T(test_truncation_cuts_the_batch_and_keeps_the_offset),
        T(test_a_log_that_begins_anew_is_empty_there),
        T(test_a_deleted_log_may_be_made_again_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
