/* Files that are damaged, cut or gone: what a start makes of each, and what it says. Damage where
 * nothing was promised is cut or made again; damage to what had been on stable storage is shown to
 * a person, never dropped. */
#include "log_fixture.h"

#include <stdio.h>

#define FIRST "orders-0/00000000000000000000"

/* A log of several segments: 60 batches of 3 records, cleanly stopped or killed. */
static void make_log(struct fixture *f, bool is_clean)
{
    f->config.segment_bytes = 6000;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    append_many(log, 60, 3, 100);
    if (is_clean)
        fixture_stop(f);
    else
        fixture_kill(f);
    fixture_listen();
}

static void flush_and_checkpoint(struct fixture *f)
{
    assert_err(log_flush(fixture_find(f, "orders", 0)), ERR_OK);
    assert_err(log_manager_checkpoint_recovery_points(f->manager, &f->manager->dirs[0]), ERR_OK);
}

static void assert_whole(struct fixture *f, int64_t end)
{
    struct log *log = fixture_find(f, "orders", 0);
    assert_non_null(log);
    assert_int_equal(log_end_offset(log), end);
    assert_int_equal(check_readable(log, 0, end), end);
}

static void assert_offline(struct fixture *f)
{
    bool is_offline;
    assert_null(log_manager_get(f->manager, "orders", 0, &is_offline));
    assert_true(is_offline);
}

static void test_damage_at_head_or_middle_above_the_recovery_point_ends_the_log_there(void **state)
{
    struct fixture *f = *state;
    make_log(f, false);
    file_put(f, FIRST ".log", "damage", 6, 2000);
    fixture_start(f);
    struct log *log = fixture_find(f, "orders", 0);
    int64_t end = log_end_offset(log);
    assert_true(end > 0 && end < 60);
    assert_int_equal(check_readable(log, 0, end), end);
    assert_non_null(strstr(fixture_said(), "torn tail cut topic=orders partition=0"));
    fixture_kill(f);
    file_put(f, FIRST ".log", "damage", 6, 8);
    fixture_start(f);
    assert_int_equal(log_end_offset(fixture_find(f, "orders", 0)), 0);
}

static void test_damage_below_the_recovery_point_takes_the_replica_offline(void **state)
{
    struct fixture *f = *state;
    f->config.segment_bytes = 100000;
    fixture_start(f);
    append_many(fixture_log(f, "orders", 0), 20, 3, 100);
    flush_and_checkpoint(f);
    fixture_kill(f);
    file_put(f, FIRST ".log", "damage", 6, 2000);
    fixture_listen();
    fixture_start(f);
    assert_offline(f);
    assert_non_null(strstr(fixture_said(), "damage below the recovery point 60"));
}

static void test_a_log_that_ends_below_its_recovery_point_is_said(void **state)
{
    struct fixture *f = *state;
    struct batch_info b;
    f->config.segment_bytes = 100000;
    fixture_start(f);
    append_many(fixture_log(f, "orders", 0), 20, 3, 100);
    flush_and_checkpoint(f);
    fixture_kill(f);
    struct buf bytes = file_get(f, FIRST ".log");
    assert_err(batch_peek(buf_slice(&bytes), &b), ERR_OK);
    buf_done(&bytes);
    file_cut(f, FIRST ".log", 5 * b.size_bytes);
    fixture_listen();
    fixture_start(f);
    assert_whole(f, 15);
    assert_non_null(strstr(fixture_said(), "topic=orders partition=0 end=15 recovery_point=60"));
}

static void check_index_is_made_again(struct fixture *f, const char *name, const char *damage)
{
    struct buf before = file_get(f, name);
    assert_true(before.size > 24);
    if (damage)
        file_append_bytes(f, name, damage, strlen(damage));
    else
        file_remove(f, name);
    fixture_start(f);
    assert_whole(f, 180);
    struct buf after = file_get(f, name);
    assert_int_equal(after.size, before.size);
    assert_memory_equal(after.data, before.data, before.size);
    assert_non_null(
        strstr(fixture_said(), "made again topic=orders partition=0 segment=0000000000000000000"));
    buf_done(&before);
    buf_done(&after);
}

static void test_a_damaged_index_of_an_old_segment_is_made_again(void **state)
{
    make_log(*state, true);
    check_index_is_made_again(*state, FIRST ".index", "xyz");
}

static void test_a_missing_index_of_an_old_segment_is_made_again(void **state)
{
    make_log(*state, true);
    check_index_is_made_again(*state, FIRST ".index", NULL);
}

static void test_a_damaged_time_index_of_an_old_segment_is_made_again(void **state)
{
    make_log(*state, true);
    check_index_is_made_again(*state, FIRST ".timeindex", "xyz");
}

static void test_an_index_grown_by_zeros_is_made_again(void **state)
{
    struct fixture *f = *state;
    static const char zeros[800];
    make_log(f, true);
    int64_t size = file_size(f, FIRST ".index");
    file_append_bytes(f, FIRST ".index", zeros, sizeof zeros);
    fixture_start(f);
    assert_whole(f, 180);
    assert_int_equal(file_size(f, FIRST ".index"), size);
}

static void
test_an_index_of_the_newest_segment_that_points_behind_its_end_is_made_again(void **state)
{
    struct fixture *f = *state;
    static const uint8_t beyond[8] = {0, 0, 0x7f, 0xff, 0, 0, 0x7f, 0xff};
    f->config.segment_bytes = 100000;
    fixture_start(f);
    append_many(fixture_log(f, "orders", 0), 60, 3, 100);
    fixture_stop(f);
    file_append_bytes(f, FIRST ".index", beyond, sizeof beyond);
    fixture_start(f);
    assert_whole(f, 180);
    append_many(fixture_find(f, "orders", 0), 5, 3, 100);
    assert_whole(f, 195);
}

static void
test_a_newest_segment_that_ends_inside_a_batch_after_a_clean_stop_is_cut_there(void **state)
{
    struct fixture *f = *state;
    f->config.segment_bytes = 100000;
    fixture_start(f);
    append_many(fixture_log(f, "orders", 0), 60, 3, 100);
    fixture_stop(f);
    file_cut(f, FIRST ".log", file_size(f, FIRST ".log") - 10);
    fixture_listen();
    fixture_start(f);
    assert_whole(f, 177);
    assert_non_null(strstr(fixture_said(), "torn tail cut topic=orders partition=0"));
    assert_non_null(strstr(fixture_said(), "topic=orders partition=0 end=177 recovery_point=180"));
    assert_false(file_exists(f, "orders-0/00000000000000000180.snapshot"));
    append_many(fixture_find(f, "orders", 0), 1, 3, 100);
    assert_whole(f, 180);
    fixture_restart(f);
    assert_whole(f, 180);
}

static void test_a_piece_too_short_to_name_its_length_is_cut_after_a_clean_stop(void **state)
{
    struct fixture *f = *state;
    f->config.segment_bytes = 100000;
    fixture_start(f);
    append_many(fixture_log(f, "orders", 0), 2, 3, 10);
    fixture_stop(f);
    file_append_bytes(f, FIRST ".log", "\0\0\0", 3);
    fixture_start(f);
    assert_whole(f, 6);
}

/* Behind zeros there may be anything: they are no batch that was torn. */
static void
test_zeros_behind_the_last_batch_after_a_clean_stop_take_the_replica_offline(void **state)
{
    struct fixture *f = *state;
    static const char zeros[200];
    make_log(f, true);
    struct buf name = {0};
    int64_t base = 0, last = 0;
    for (; base < 180; base++) {
        char path[64];
        snprintf(path, sizeof path, "orders-0/%020d.log", (int)base);
        last = file_exists(f, path) ? base : last;
    }
    buf_printf(&name, "orders-0/%020d.log", (int)last);
    char path[64];
    snprintf(path, sizeof path, "%.*s", (int)name.size, (const char *)name.data);
    buf_done(&name);
    file_append_bytes(f, path, zeros, sizeof zeros);
    fixture_start(f);
    assert_offline(f);
}

/* Each old segment loses or has its time index zeroed: the answer stays. */
static void check_times_are_made_again(struct fixture *f, bool with_zeros)
{
    struct timestamp_offset found;
    f->config.segment_bytes = 1000;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    for (int i = 0; i < 30; i++)
        assert_err(
            append(log, &(struct batch_spec){.value_size = 100, .timestamp = 5000 + i}, NULL),
            ERR_OK);
    fixture_stop(f);
    for (int i = 0; i < 30; i++) {
        char path[64], zeros[600] = {0};
        snprintf(path, sizeof path, "orders-0/%020d.timeindex", i);
        if (!file_exists(f, path))
            continue;
        if (with_zeros)
            file_put(f, path, zeros, (size_t)file_size(f, path), 0);
        else
            file_remove(f, path);
    }
    fixture_start(f);
    for (int i = 0; i < 30; i++) {
        assert_err(log_offset_for_timestamp(fixture_find(f, "orders", 0), 5000 + i, &found),
                   ERR_OK);
        assert_int_equal(found.offset, i);
    }
}

/* Segments of 5 records and of 2 time entries, one of which is from before 1970. */
static struct log *make_time_entry_below_zero(struct fixture *f, int which)
{
    static const uint8_t below_zero[8] = {0xf2};
    f->config.segment_bytes = 1000;
    fixture_start(f);
    append_many(fixture_log(f, "orders", 0), 30, 1, 100);
    fixture_stop(f);
    assert_int_equal(file_size(f, FIRST ".timeindex"), 24);
    file_put(f, FIRST ".timeindex", below_zero, sizeof below_zero, which * 12);
    fixture_start(f);
    return fixture_find(f, "orders", 0);
}

static void test_a_time_index_that_ends_before_1970_is_made_again(void **state)
{
    struct timestamp_offset found;
    struct log *log = make_time_entry_below_zero(*state, 1);
    assert_err(log_offset_for_timestamp(log, 1010, &found), ERR_OK);
    assert_int_equal(found.offset, 1);
}

static void test_a_truncation_to_a_time_entry_before_1970_takes_it_for_none(void **state)
{
    struct timestamp_offset found;
    struct log *log = make_time_entry_below_zero(*state, 0);
    assert_err(log_truncate(log, 4), ERR_OK);
    assert_err(log_offset_of_max_timestamp(log, &found), ERR_OK);
    assert_int_equal(found.offset, NO_OFFSET);
}

static void test_missing_time_indexes_are_made_again(void **state)
{
    check_times_are_made_again(*state, false);
}

/* Even where the one entry of a segment's end is all there is. */
static void test_time_indexes_of_zeros_are_made_again(void **state)
{
    ((struct fixture *)*state)->config.index_interval_bytes = 1 << 20;
    check_times_are_made_again(*state, true);
}

/* Two aborted transactions in the first segment; ends as `is_clean` says. */
static void make_aborts(struct fixture *f, bool is_clean)
{
    f->config.segment_bytes = 3000;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    struct batch_spec spec = {
        .records = 2, .has_producer = true, .producer_id = 7, .is_transactional = true};
    for (int i = 0; i < 2; i++) {
        assert_err(append(log, &spec, NULL), ERR_OK);
        assert_err(append_marker(log, 7, 0, 1, true), ERR_OK);
        spec.base_sequence += 2;
    }
    append_many(log, 30, 3, 100);
    if (is_clean)
        fixture_stop(f);
    else
        fixture_kill(f);
    fixture_listen();
}

static int no_open(int dir_fd, const char *path, int flags, mode_t mode)
{
    (void)dir_fd, (void)path, (void)flags, (void)mode;
    fail_msg("opened %s", path);
    return -1;
}

/* And none of it asks the disk. */
static void assert_aborts(struct fixture *f)
{
    struct file_ops closed = file_ops_system;
    struct aborted_txn *txns;
    int32_t count;
    struct arena *arena = arena_new();
    closed.open = no_open;
    file_ops = &closed;
    enum err e = log_aborted_txns(fixture_find(f, "orders", 0), 0, 50, arena, &txns, &count);
    file_ops = &file_ops_system;
    assert_err(e, ERR_OK);
    assert_int_equal(count, 2);
    assert_int_equal(txns[0].first_offset, 0);
    assert_int_equal(txns[1].first_offset, 3);
    arena_free(arena);
}

static void test_aborted_transactions_are_known_without_the_disk_after_any_stop(void **state)
{
    struct fixture *f = *state;
    make_aborts(f, true);
    fixture_start(f);
    assert_aborts(f);
    fixture_crash(f);
    assert_aborts(f);
    struct log *log = fixture_find(f, "orders", 0);
    assert_err(log_truncate(log, 4), ERR_OK);
    assert_int_equal(file_size(f, FIRST ".txnindex"), TXNINDEX_ENTRY_SIZE);
}

static void test_a_damaged_transaction_index_is_made_again(void **state)
{
    struct fixture *f = *state;
    make_aborts(f, true);
    int64_t size = file_size(f, FIRST ".txnindex");
    file_append_bytes(f, FIRST ".txnindex", "xyz", 3);
    fixture_start(f);
    assert_aborts(f);
    assert_int_equal(file_size(f, FIRST ".txnindex"), size);
    assert_non_null(strstr(fixture_said(), "transaction index is damaged and made again"));
    assert_whole(f, log_end_offset(fixture_find(f, "orders", 0)));
}

/* The JVM broker takes what it cannot make sense of for a failed disk. So a broker with no other
 * directory does not start, and one with another goes on there, without the replicas of this one.
 */
static void assert_directory_fails(struct fixture *f, const char *words)
{
    assert_err(fixture_try_start(f), ERR_IO);
    assert_non_null(strstr(err_sentence(ERR_IO), "all log directories have failed"));
    assert_non_null(strstr(fixture_said(), words));
    f->dirs_count = 2;
    f->dirs_failed = 0;
    fixture_start(f);
    assert_null(log_manager_get(f->manager, "orders", 0, NULL));
    assert_int_equal(f->dirs_failed, 1);
    append_many(fixture_log(f, "payments", 0), 1, 3, 100);
    assert_false(file_exists(f, "payments-0"));
    fixture_stop(f);
    f->dirs_count = 1;
}

static void
test_an_unreadable_epoch_checkpoint_takes_the_directory_offline_as_with_kafka(void **state)
{
    struct fixture *f = *state;
    make_log(f, true);
    file_put(f, "orders-0/leader-epoch-checkpoint", "0\n9\n", 4, 0);
    assert_directory_fails(f, "leader-epoch-checkpoint");
    file_remove(f, "orders-0/leader-epoch-checkpoint");
    fixture_start(f);
    assert_whole(f, 180);
}

static void
test_unreadable_partition_metadata_takes_the_directory_offline_as_with_kafka(void **state)
{
    struct fixture *f = *state;
    static const char text[] = "version: 7\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ";
    make_log(f, true);
    file_put(f, "orders-0/partition.metadata", text, sizeof text - 1, 0);
    assert_directory_fails(f, "partition.metadata names no topic id");
}

static void
test_an_unreadable_log_start_checkpoint_takes_the_directory_offline_as_with_kafka(void **state)
{
    struct fixture *f = *state;
    make_log(f, true);
    fixture_start(f);
    assert_err(log_raise_start(fixture_find(f, "orders", 0), 10, 180), ERR_OK);
    fixture_stop(f);
    struct buf good = file_get(f, "log-start-offset-checkpoint");
    file_put(f, "log-start-offset-checkpoint", "0\n7\n", 4, 0);
    assert_directory_fails(f, "log-start-offset-checkpoint");
    assert_true(file_exists(f, ".kafka_cleanshutdown")); /* the next start need not recover */
    file_cut(f, "log-start-offset-checkpoint", 0);
    file_put(f, "log-start-offset-checkpoint", good.data, good.size, 0);
    fixture_start(f);
    assert_int_equal(log_start_offset(fixture_find(f, "orders", 0)), 10);
    buf_done(&good);
}

static void test_unreadable_recovery_points_only_cost_a_recovery(void **state)
{
    struct fixture *f = *state;
    make_log(f, false);
    file_put(f, "recovery-point-offset-checkpoint", "0\n1\norders 0 9x", 15, 0);
    fixture_start(f);
    assert_whole(f, 180);
    assert_non_null(strstr(fixture_said(), "checkpoint is damaged and counts as empty"));
}

static void test_partition_metadata_torn_by_a_crash_counts_as_missing(void **state)
{
    struct fixture *f = *state;
    make_log(f, false);
    file_put(f, "orders-0/partition.metadata", "version: 0\ntopic", 16, 0);
    fixture_start(f);
    assert_whole(f, 180);
    struct log *log;
    assert_err(log_manager_create(f->manager, "orders", 0, uuid_random(), &log), ERR_OK);
}

static void test_partition_metadata_that_was_torn_is_no_fault_after_a_clean_stop(void **state)
{
    struct fixture *f = *state;
    make_log(f, false);
    file_put(f, "orders-0/partition.metadata", "version: 0\ntopic", 16, 0);
    fixture_start(f);
    fixture_restart(f); /* nobody told the topic's id meanwhile */
    assert_whole(f, 180);
}

static void test_damaged_meta_properties_stop_the_start(void **state)
{
    struct fixture *f = *state;
    make_log(f, true);
    file_remove(f, "meta.properties");
    file_put(f, "meta.properties", "version=7\nbroker.id=1\n", 22, 0);
    assert_int_not_equal(fixture_try_start(f), ERR_OK);
    f->manager = NULL;
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_damage_at_head_or_middle_above_the_recovery_point_ends_the_log_there),
        T(test_damage_below_the_recovery_point_takes_the_replica_offline),
        T(test_a_log_that_ends_below_its_recovery_point_is_said),
        T(test_a_damaged_index_of_an_old_segment_is_made_again),
        T(test_a_missing_index_of_an_old_segment_is_made_again),
        T(test_a_damaged_time_index_of_an_old_segment_is_made_again),
        T(test_an_index_grown_by_zeros_is_made_again),
        T(test_an_index_of_the_newest_segment_that_points_behind_its_end_is_made_again),
        T(test_a_newest_segment_that_ends_inside_a_batch_after_a_clean_stop_is_cut_there),
        T(test_a_piece_too_short_to_name_its_length_is_cut_after_a_clean_stop),
        T(test_zeros_behind_the_last_batch_after_a_clean_stop_take_the_replica_offline),
        T(test_a_time_index_that_ends_before_1970_is_made_again),
        T(test_a_truncation_to_a_time_entry_before_1970_takes_it_for_none),
        T(test_missing_time_indexes_are_made_again),
        T(test_time_indexes_of_zeros_are_made_again),
        T(test_aborted_transactions_are_known_without_the_disk_after_any_stop),
        T(test_a_damaged_transaction_index_is_made_again),
        T(test_an_unreadable_epoch_checkpoint_takes_the_directory_offline_as_with_kafka),
        T(test_unreadable_partition_metadata_takes_the_directory_offline_as_with_kafka),
        T(test_an_unreadable_log_start_checkpoint_takes_the_directory_offline_as_with_kafka),
        T(test_unreadable_recovery_points_only_cost_a_recovery),
        T(test_partition_metadata_torn_by_a_crash_counts_as_missing),
        T(test_partition_metadata_that_was_torn_is_no_fault_after_a_clean_stop),
        T(test_damaged_meta_properties_stop_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
