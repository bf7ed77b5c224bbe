/* A new log: what is on disk when, and what a restart or a crash makes of each moment. */
#include "log_fixture.h"

#include <unistd.h>

#define WAIT_MS 10000

static const char *const segment_files[] = {"orders-0/00000000000000000000.log",
                                            "orders-0/00000000000000000000.index",
                                            "orders-0/00000000000000000000.timeindex"};

static void wait_for_file(struct fixture *f, const char *name)
{
    for (int ms = 0; !file_exists(f, name); ms++) {
        assert_true(ms < WAIT_MS);
        usleep(1000);
    }
}

static bool file_holds(struct fixture *f, const char *name, const char *text)
{
    struct buf bytes = file_get(f, name);
    bool ret = strcmp((const char *)bytes.data, text) == 0;
    buf_done(&bytes);
    return ret;
}

static void test_a_new_log_is_a_directory_until_its_first_record(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    assert_int_equal(log_end_offset(log), 0);
    assert_int_equal(check_readable(log, 0, 0), 0);
    assert_err(log_flush(log), ERR_OK);
    assert_err(log_retain(log), ERR_OK);
    assert_true(file_exists(f, "orders-0"));
    for (size_t i = 0; i < ARRAY_SIZE(segment_files); i++)
        assert_false(file_exists(f, segment_files[i]));
    fixture_restart(f);
    log = fixture_find(f, "orders", 0);
    assert_non_null(log);
    append_many(log, 1, 2, 10);
    assert_true(file_exists(f, segment_files[0]));
    assert_int_equal(check_readable(log, 0, 2), 2);
}

static void test_indexes_are_there_after_a_clean_stop(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    append_many(fixture_log(f, "orders", 0), 20, 3, 50);
    assert_false(file_exists(f, segment_files[1]));
    fixture_stop(f);
    for (size_t i = 0; i < ARRAY_SIZE(segment_files); i++)
        assert_true(file_size(f, segment_files[i]) > 0);
}

static void test_indexes_are_there_after_a_roll(void **state)
{
    struct fixture *f = *state;
    f->config.segment_bytes = 1000;
    fixture_start(f);
    append_many(fixture_log(f, "orders", 0), 20, 3, 50);
    for (size_t i = 0; i < ARRAY_SIZE(segment_files); i++)
        assert_true(file_exists(f, segment_files[i]));
    assert_true(file_size(f, segment_files[2]) > 0);
}

static void test_the_topic_id_is_written_before_the_first_record(void **state)
{
    struct fixture *f = *state;
    struct log *log;
    struct uuid id = uuid_random();
    fixture_start(f);
    assert_err(log_manager_create(f->manager, "orders", 0, id, &log), ERR_OK);
    append_many(log, 1, 1, 10);
    assert_true(file_exists(f, "orders-0/partition.metadata"));
    fixture_crash(f);
    assert_true(uuid_equal(log_topic_id(fixture_find(f, "orders", 0)), id));
    assert_err(log_manager_create(f->manager, "orders", 0, uuid_random(), &log),
               ERR_INCONSISTENT_TOPIC_ID);
}

static void test_a_crash_before_the_first_record_leaves_a_log_for_any_topic_id(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    fixture_log(f, "orders", 0);
    fixture_crash(f);
    struct log *log;
    struct uuid id = uuid_random();
    assert_err(log_manager_create(f->manager, "orders", 0, id, &log), ERR_OK);
    assert_true(uuid_equal(log_topic_id(log), id));
    append_many(log, 1, 1, 10);
}

static void test_topic_id_and_epoch_follow_by_the_timer_without_a_record(void **state)
{
    struct fixture *f = *state;
    struct log *log;
    fixture_start(f);
    assert_err(log_manager_create(f->manager, "orders", 0, uuid_random(), &log), ERR_OK);
    assert_err(log_assign_epoch(log, 4, 0), ERR_OK);
    wait_for_file(f, "orders-0/partition.metadata");
    wait_for_file(f, "orders-0/leader-epoch-checkpoint");
    assert_true(file_holds(f, "orders-0/leader-epoch-checkpoint", "0\n1\n4 0\n"));
}

static void test_a_flush_writes_the_epochs_of_what_it_covers(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    struct batch_spec spec = {.records = 2, .leader_epoch = 3};
    assert_err(append(log, &spec, NULL), ERR_OK);
    spec.leader_epoch = 8;
    assert_err(append(log, &spec, NULL), ERR_OK);
    assert_err(log_flush(log), ERR_OK);
    assert_true(file_holds(f, "orders-0/leader-epoch-checkpoint", "0\n2\n3 0\n8 2\n"));
}

static void test_epochs_that_no_file_holds_are_read_from_the_batches(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    for (int epoch = 1; epoch < 4; epoch++) {
        struct batch_spec spec = {.records = 2, .leader_epoch = epoch};
        assert_err(append(log, &spec, NULL), ERR_OK);
    }
    fixture_kill(f);
    if (file_exists(f, "orders-0/leader-epoch-checkpoint"))
        file_remove(f, "orders-0/leader-epoch-checkpoint");
    fixture_start(f);
    log = fixture_find(f, "orders", 0);
    assert_int_equal(log_latest_epoch(log), 3);
    assert_int_equal(log_epoch_for_offset(log, 1), 1);
    assert_int_equal(log_epoch_for_offset(log, 2), 2);
}

static void test_an_empty_log_that_begins_elsewhere_keeps_its_place_over_a_crash(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    assert_err(log_truncate_fully(fixture_log(f, "orders", 0), 500), ERR_OK);
    fixture_crash(f);
    assert_int_equal(log_end_offset(fixture_find(f, "orders", 0)), 500);
}

/* A leader's compacted log may begin so far up that the first segment, which is empty, cannot hold
 * the batch. A truncation below it comes back to that segment. */
static void test_a_first_batch_far_above_an_empty_log_leaves_a_segment_in_front(void **state)
{
    struct fixture *f = *state;
    const int64_t far = INT64_C(3000000000);
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    assert_err(append_replica(log, &(struct batch_spec){.base_offset = far, .records = 2}), ERR_OK);
    assert_true(file_exists(f, segment_files[0]));
    assert_int_equal(check_readable(log, 0, far + 2), 2);
    fixture_restart(f);
    log = fixture_find(f, "orders", 0);
    assert_int_equal(check_readable(log, 0, far + 2), 2);
    fixture_crash(f);
    log = fixture_find(f, "orders", 0);
    assert_int_equal(check_readable(log, 0, far + 2), 2);
    assert_err(log_truncate(log, 81), ERR_OK);
    assert_int_equal(log_end_offset(log), 81);
    append_many(log, 1, 3, 10);
    assert_int_equal(check_readable(log, 0, 84), 3);
}

static void test_a_truncation_to_a_segment_that_was_never_written_keeps_the_log(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    struct batch_spec spec = {.base_offset = INT64_C(3000000000), .records = 2};
    assert_err(append_replica(log, &spec), ERR_OK);
    assert_err(log_truncate(log, 81), ERR_OK);
    append_many(log, 1, 3, 10);
    assert_int_equal(check_readable(log, 0, 84), 3);
    assert_int_equal(f->dirs_failed, 0);
}

static void test_a_deleted_log_writes_nothing_into_its_successors_directory(void **state)
{
    struct fixture *f = *state;
    struct log *old, *log;
    fixture_start(f);
    old = fixture_log(f, "orders", 0);
    assert_err(log_assign_epoch(old, 7, 0), ERR_OK);
    assert_err(log_manager_delete(f->manager, "orders", 0), ERR_OK);
    log = fixture_log(f, "orders", 0);
    assert_err(log_write_small_files(old), ERR_OK);
    assert_false(file_exists(f, "orders-0/leader-epoch-checkpoint"));
    assert_int_equal(log_latest_epoch(log), NO_LEADER_EPOCH);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_a_new_log_is_a_directory_until_its_first_record),
        T(test_indexes_are_there_after_a_clean_stop),
        T(test_indexes_are_there_after_a_roll),
        T(test_the_topic_id_is_written_before_the_first_record),
        T(test_a_crash_before_the_first_record_leaves_a_log_for_any_topic_id),
        T(test_topic_id_and_epoch_follow_by_the_timer_without_a_record),
        T(test_a_flush_writes_the_epochs_of_what_it_covers),
        T(test_epochs_that_no_file_holds_are_read_from_the_batches),
        T(test_an_empty_log_that_begins_elsewhere_keeps_its_place_over_a_crash),
        T(test_a_first_batch_far_above_an_empty_log_leaves_a_segment_in_front),
        T(test_a_truncation_to_a_segment_that_was_never_written_keeps_the_log),
        T(test_a_deleted_log_writes_nothing_into_its_successors_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
