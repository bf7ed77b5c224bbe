/* A segment that ends in the middle of a batch, and is not the newest: readers go on with the next
 * one, and a truncation takes the piece away. */
#include "log_fixture.h"

#include <stdio.h>

#define FIRST "orders-0/00000000000000000000"

/* The offset of the first batch that a read from `offset` gives. */
static int64_t read_from(struct log *log, int64_t offset)
{
    struct log_slice slice;
    assert_err(log_read(log, offset, log_end_offset(log), 1 << 20, true, true, &slice), ERR_OK);
    assert_non_null(slice.file);
    log_file_unref(slice.file);
    return slice.first_offset;
}

/* A log of several segments, 60 batches of 3 records, cleanly stopped. The last batch of the first
 * segment loses its end; gives the offset where the next one begins. */
static int64_t make_torn_log(struct fixture *f)
{
    f->config.segment_bytes = 6000;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    append_many(log, 60, 3, 100);
    int64_t next = log->list->items[1]->base_offset;
    fixture_stop(f);
    file_cut(f, FIRST ".log", file_size(f, FIRST ".log") - 10);
    fixture_listen();
    return next;
}

static void test_readers_step_over_the_torn_end_of_an_old_segment(void **state)
{
    struct fixture *f = *state;
    struct timestamp_offset found;
    int64_t next = make_torn_log(f);
    fixture_start(f);
    struct log *log = fixture_find(f, "orders", 0);
    assert_int_equal(log_end_offset(log), 180);
    int64_t hole = next - 3; /* the records of the torn batch */
    assert_int_equal(read_from(log, hole - 1), hole - 3);
    assert_int_equal(read_from(log, hole), next);
    assert_int_equal(read_from(log, hole + 2), next);
    assert_int_equal(check_readable(log, next, 180), 180 - next);
    assert_err(log_offset_for_timestamp(log, 1, &found), ERR_OK);
    assert_int_equal(found.offset, 0);
    struct log_slice slice;
    assert_err(log_read(log, hole, hole + 1, 1 << 20, true, true, &slice), ERR_OK);
    assert_null(slice.file); /* nobody may see the next segment yet */
    log_file_unref(slice.file);
    assert_int_equal(fixture_said_count("segment ends inside a batch"), 1);
}

static void check_cut_in_hole(struct fixture *f, int64_t to, int64_t next)
{
    fixture_start(f);
    struct log *log = fixture_find(f, "orders", 0);
    assert_err(log_truncate(log, to), ERR_OK);
    assert_int_equal(log_end_offset(log), to);
    append_many(log, 4, 3, 100);
    assert_int_equal(log_end_offset(log), to + 12);
    assert_int_equal(check_readable(log, 0, to + 12), next - 3 + 12);
    fixture_crash(f);
    log = fixture_find(f, "orders", 0);
    assert_int_equal(log_end_offset(log), to + 12);
    assert_int_equal(check_readable(log, 0, to + 12), next - 3 + 12);
    fixture_kill(f);
}

/* A follower whose leader says so truncates to any offset, also to one that the tear took. */
static void test_a_log_is_cut_at_the_torn_end_of_an_old_segment(void **state)
{
    int64_t next = make_torn_log(*state);
    check_cut_in_hole(*state, next - 3, next);
}

static void test_a_log_is_cut_among_the_records_that_a_tear_took(void **state)
{
    int64_t next = make_torn_log(*state);
    check_cut_in_hole(*state, next - 2, next);
}

static void test_a_search_by_time_steps_over_the_torn_end_of_an_old_segment(void **state)
{
    struct fixture *f = *state;
    struct timestamp_offset found;
    f->config.segment_bytes = 1000;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    for (int i = 0; i < 30; i++)
        assert_err(
            append(log, &(struct batch_spec){.value_size = 100, .timestamp = 5000 + i}, NULL),
            ERR_OK);
    int64_t next = log->list->items[1]->base_offset;
    fixture_stop(f);
    file_cut(f, FIRST ".log", file_size(f, FIRST ".log") - 10);
    fixture_start(f);
    log = fixture_find(f, "orders", 0);
    assert_err(log_offset_for_timestamp(log, 5000 + next - 1, &found), ERR_OK);
    assert_int_equal(found.offset, next);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_readers_step_over_the_torn_end_of_an_old_segment),
        T(test_a_log_is_cut_at_the_torn_end_of_an_old_segment),
        T(test_a_log_is_cut_among_the_records_that_a_tear_took),
        T(test_a_search_by_time_steps_over_the_torn_end_of_an_old_segment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
