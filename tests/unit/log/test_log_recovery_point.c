/* The recovery point is a promise: everything below is on stable storage. After a crash a record
 * that is missing there is damage, and the replica stays offline. So it must never promise what is
 * not there: a hole that a truncation left, a record that a running sync did not meet, or what an
 * earlier crash took. The power-cut test found most of these by chance; here each stands alone. */
#include "log_fixture.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LOG_0      "orders-0/00000000000000000000.log"
#define INDEX_0    "orders-0/00000000000000000000.index"
#define CHECKPOINT "recovery-point-offset-checkpoint"

static int64_t checkpointed(struct fixture *f)
{
    assert_err(log_manager_checkpoint_recovery_points(f->manager, &f->manager->dirs[0]), ERR_OK);
    struct buf text = file_get(f, CHECKPOINT);
    buf_put_u8(&text, 0);
    const char *line = strstr((const char *)text.data, "orders 0 ");
    int64_t offset = line ? strtoll(line + strlen("orders 0 "), NULL, 10) : -1;
    buf_done(&text);
    return offset;
}

static void expect_whole(struct fixture *f, int64_t end)
{
    struct log *log = fixture_find(f, "orders", 0);
    assert_non_null(log);
    assert_int_equal(log_end_offset(log), end);
    assert_int_equal(check_readable(log, 0, end), end);
}

/* Two segments: the first flushed to its end, then finished; the recovery point between them. */
static struct log *make_finished_after_its_sync(struct fixture *f)
{
    f->config.segment_bytes = 1000;
    fixture_start(f);
    f->manager->host.run = NULL; /* no flush follows the roll */
    struct log *log = fixture_log(f, "orders", 0);
    append_many(log, 1, 10, 50);
    assert_err(log_flush(log), ERR_OK);
    append_many(log, 1, 10, 50);
    assert_int_equal(log_active(log)->base_offset, 10);
    assert_int_equal(checkpointed(f), 10);
    return log;
}

static void test_zeros_behind_a_segment_that_was_finished_after_its_last_sync_are_cut(void **state)
{
    struct fixture *f = *state;
    static const uint8_t zeros[300];
    make_finished_after_its_sync(f);
    int64_t size = file_size(f, LOG_0);
    fixture_kill(f);
    file_append_bytes(f, LOG_0, zeros, sizeof zeros); /* its last cut was lost, and its index */
    file_remove(f, INDEX_0);
    fixture_start(f);
    expect_whole(f, 20);
    assert_int_equal(file_size(f, LOG_0), size);
}

static void test_records_that_a_lost_truncation_brings_back_are_cut(void **state)
{
    struct fixture *f = *state;
    make_finished_after_its_sync(f);
    int64_t size = file_size(f, LOG_0);
    fixture_kill(f);
    struct buf old = {0};
    batch_make(&old, &(struct batch_spec){.records = 5, .base_offset = 10});
    file_append_bytes(f, LOG_0, old.data, old.size);
    buf_done(&old);
    fixture_start(f);
    expect_whole(f, 20);
    assert_int_equal(file_size(f, LOG_0), size);
}

static void test_a_damaged_batch_before_the_recovery_point_is_still_damage(void **state)
{
    struct fixture *f = *state;
    make_finished_after_its_sync(f);
    fixture_kill(f);
    file_cut(f, LOG_0, file_size(f, LOG_0) - 1);
    fixture_start(f);
    bool is_offline;
    assert_null(log_manager_get(f->manager, "orders", 0, &is_offline));
    assert_true(is_offline);
}

static void test_a_gap_is_not_promised_however_it_came_about(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    append_many(log, 2, 4, 50); /* 0-3, 4-7 */
    assert_err(log_truncate(log, 6), ERR_OK);
    assert_err(log_flush(log), ERR_OK);
    assert_int_equal(checkpointed(f), 4);
    assert_err(log_truncate(log, 5), ERR_OK);
    append_many(log, 1, 4, 50); /* 5-8 */
    assert_err(log_flush(log), ERR_OK);
    assert_int_equal(checkpointed(f), 9);
    assert_err(log_truncate(log, 7), ERR_OK); /* the batch goes, and the gap before it is back */
    assert_int_equal(checkpointed(f), 4);
    assert_err(log_flush(log), ERR_OK);
    assert_int_equal(checkpointed(f), 4);
}

static void test_a_gap_of_an_earlier_run_is_not_promised(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    append_many(log, 1, 4, 50);
    assert_err(log_truncate(log, 2), ERR_OK);
    append_many(log, 2, 4, 50); /* 2-5, 6-9; no record below 2 */
    assert_err(log_flush(log), ERR_OK);
    fixture_restart(f);
    log = fixture_find(f, "orders", 0);
    assert_err(log_truncate(log, 2), ERR_OK);
    assert_err(log_flush(log), ERR_OK);
    assert_int_equal(checkpointed(f), 0);
    fixture_crash(f);
    assert_int_equal(log_end_offset(fixture_find(f, "orders", 0)), 0);
}

static void test_a_second_gap_does_not_let_the_first_be_promised(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    append_many(log, 2, 4, 50);
    assert_err(log_truncate(log, 6), ERR_OK); /* records end at 4 */
    assert_err(log_flush(log), ERR_OK);
    append_many(log, 2, 4, 50); /* 6-9, 10-13, not flushed */
    assert_err(log_truncate(log, 12), ERR_OK);
    assert_int_equal(checkpointed(f), 4);
}

static void test_a_promise_that_a_crash_broke_is_taken_back_before_records_come(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    append_many(log, 3, 4, 50);
    assert_err(log_flush(log), ERR_OK);
    assert_int_equal(checkpointed(f), 12);
    int64_t batch = file_size(f, LOG_0) / 3;
    fixture_kill(f);
    file_cut(f, LOG_0, batch); /* the disk lied, at a place where no batch is torn */
    fixture_start(f);
    append_many(fixture_find(f, "orders", 0), 1, 4, 50); /* 4-7, not flushed */
    fixture_kill(f);
    file_cut(f, LOG_0, 2 * batch - 1);
    fixture_start(f);
    expect_whole(f, 4);
}

static struct log *cut_and_grown;
static struct file_ops meddling;

/* The log is cut while it is being synced, and has grown above its old end when the sync returns.
 */
static int meddle(int fd)
{
    int failed = file_ops_system.fdatasync(fd);
    struct log *log = TAKE(cut_and_grown);
    if (log) {
        assert_err(log_truncate(log, 4), ERR_OK);
        append_many(log, 3, 4, 50);
    }
    return failed;
}

static void test_records_that_replaced_others_during_a_sync_are_not_promised(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    append_many(log, 2, 4, 50);
    meddling = file_ops_system;
    meddling.fdatasync = meddle;
    cut_and_grown = log;
    file_ops = &meddling;
    enum err e = log_flush_to(log, 4);
    file_ops = &file_ops_system;
    assert_err(e, ERR_OK);
    assert_int_equal(log_end_offset(log), 16);
    assert_int_equal(log_recovery_point(log), 4);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_zeros_behind_a_segment_that_was_finished_after_its_last_sync_are_cut),
        T(test_records_that_a_lost_truncation_brings_back_are_cut),
        T(test_a_damaged_batch_before_the_recovery_point_is_still_damage),
        T(test_a_gap_is_not_promised_however_it_came_about),
        T(test_a_gap_of_an_earlier_run_is_not_promised),
        T(test_a_second_gap_does_not_let_the_first_be_promised),
        T(test_a_promise_that_a_crash_broke_is_taken_back_before_records_come),
        T(test_records_that_replaced_others_during_a_sync_are_not_promised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
