/* What a crash leaves: torn tails of every kind, worthless indexes, bad snapshots and checkpoints,
 * unfinished work. The names of the tests of storage-and-replication's traps carry their number. */
#include "log_fixture.h"

#define LOG_0       "orders-0/00000000000000000000.log"
#define INDEX_0     "orders-0/00000000000000000000.index"
#define TIMEINDEX_0 "orders-0/00000000000000000000.timeindex"

static void begin(struct fixture *f, int batches)
{
    fixture_start(f);
    append_many(fixture_log(f, "orders", 0), batches, 3, 50);
}

static void expect(struct fixture *f, int64_t end)
{
    struct log *log = fixture_find(f, "orders", 0);
    assert_non_null(log);
    assert_int_equal(log_end_offset(log), end);
    assert_int_equal(check_readable(log, 0, end), end);
}

static void test_a_tail_cut_at_any_byte_is_cut_to_whole_batches(void **state)
{
    struct fixture *f = *state;
    begin(f, 3);
    int64_t size = file_size(f, LOG_0), batch = size / 3;
    for (int64_t cut = size - 1; cut >= 2 * batch; cut -= 7) {
        fixture_kill(f);
        file_cut(f, LOG_0, cut);
        fixture_start(f);
        expect(f, 6);
        assert_int_equal(file_size(f, LOG_0), 2 * batch);
        append_many(fixture_find(f, "orders", 0), 1, 3, 50);
        expect(f, 9);
    }
}

static void test_garbage_behind_the_end_is_cut(void **state)
{
    struct fixture *f = *state;
    begin(f, 3);
    int64_t size = file_size(f, LOG_0);
    static const uint8_t zeros[5000];
    uint8_t noise[300];
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t)(i * 37 + 11);
    fixture_kill(f);
    file_append_bytes(f, LOG_0, noise, sizeof noise);
    fixture_start(f);
    expect(f, 9);
    fixture_kill(f);
    file_append_bytes(f, LOG_0, zeros, sizeof zeros);
    fixture_start(f);
    expect(f, 9);
    assert_int_equal(file_size(f, LOG_0), size);
}

static void
test_a_flipped_byte_beyond_the_recovery_point_ends_the_log_and_drops_later_segments(void **state)
{
    struct fixture *f = *state;
    f->config.segment_bytes = 700;
    begin(f, 12);
    assert_true(file_exists(f, "orders-0/00000000000000000018.log"));
    fixture_kill(f);
    file_put(f, LOG_0, "\xff\xff", 2, file_size(f, LOG_0) - 20);
    /* The flush after a roll may have advanced the checkpoint only if one was written: none was. */
    fixture_start(f);
    struct log *log = fixture_find(f, "orders", 0);
    assert_non_null(log);
    assert_true(log_end_offset(log) < 18);
    assert_false(file_exists(f, "orders-0/00000000000000000018.log"));
    assert_int_equal(check_readable(log, 0, log_end_offset(log)), log_end_offset(log));
}

static void
test_damage_below_the_recovery_point_takes_the_replica_offline_and_cuts_nothing(void **state)
{
    struct fixture *f = *state;
    begin(f, 10);
    fixture_stop(f);
    file_remove(f, ".kafka_cleanshutdown");
    int64_t size = file_size(f, LOG_0);
    file_put(f, LOG_0, "\xff\xff", 2, size / 2);
    fixture_start(f);
    bool is_offline = false;
    assert_null(log_manager_get(f->manager, "orders", 0, &is_offline));
    assert_true(is_offline);
    assert_int_equal(file_size(f, LOG_0), size);
    assert_int_equal(f->dirs_failed, 0);
}

static void compare_indexes(struct fixture *f, const char *name, const struct buf *before)
{
    struct buf after = file_get(f, name);
    assert_int_equal(after.size, before->size);
    assert_memory_equal(after.data, before->data, before->size);
    buf_done(&after);
}

static void test_trap_32_zero_padded_indexes_of_a_crash_are_made_again(void **state)
{
    struct fixture *f = *state;
    begin(f, 50);
    fixture_stop(f);
    struct buf index = file_get(f, INDEX_0), times = file_get(f, TIMEINDEX_0);
    assert_true(index.size > 0 && times.size > 0);
    file_remove(f, ".kafka_cleanshutdown");
    file_remove(f, "recovery-point-offset-checkpoint");
    file_cut(f, INDEX_0, 10485760);
    file_cut(f, TIMEINDEX_0, 10485756);
    fixture_start(f);
    expect(f, 150);
    fixture_stop(f);
    compare_indexes(f, INDEX_0, &index);
    compare_indexes(f, TIMEINDEX_0, &times);
    buf_done(&index);
    buf_done(&times);
}

static void test_an_index_that_is_missing_after_a_clean_stop_is_made_again(void **state)
{
    struct fixture *f = *state;
    begin(f, 50);
    fixture_stop(f);
    struct buf index = file_get(f, INDEX_0);
    file_remove(f, INDEX_0);
    fixture_start(f);
    expect(f, 150);
    fixture_stop(f);
    compare_indexes(f, INDEX_0, &index);
    buf_done(&index);
}

static void test_an_index_full_of_nonsense_does_not_mislead_a_reader(void **state)
{
    struct fixture *f = *state;
    f->config.segment_bytes = 4000;
    begin(f, 50);
    fixture_stop(f);
    struct buf index = file_get(f, INDEX_0);
    for (size_t at = 4; at < index.size; at += 8)
        put_be32(index.data + at, get_be32(index.data + at) + 13);
    file_put(f, INDEX_0, index.data, index.size, 0);
    fixture_start(f);
    expect(f, 150);
    buf_done(&index);
}

static void test_trap_33_the_clean_mark_goes_at_the_start_and_comes_at_the_stop(void **state)
{
    struct fixture *f = *state;
    begin(f, 1);
    assert_false(file_exists(f, ".kafka_cleanshutdown"));
    fixture_stop(f);
    struct buf mark = file_get(f, ".kafka_cleanshutdown");
    assert_string_equal((char *)mark.data, "{\"version\":0,\"brokerEpoch\":7}");
    buf_done(&mark);
    fixture_start(f);
    assert_false(file_exists(f, ".kafka_cleanshutdown"));
}

static void test_trap_36_the_end_comes_from_batches_after_a_truncation_within_one(void **state)
{
    struct fixture *f = *state;
    begin(f, 10);
    assert_err(log_truncate(fixture_find(f, "orders", 0), 20), ERR_OK);
    assert_int_equal(log_end_offset(fixture_find(f, "orders", 0)), 20);
    fixture_restart(f);
    expect(f, 18);
}

static void test_trap_43_a_damaged_file_of_high_watermarks_takes_the_directory_offline(void **state)
{
    struct fixture *f = *state;
    begin(f, 1);
    fixture_stop(f);
    file_put(f, "replication-offset-checkpoint", "0\n5\norders 0 1\n", 15, 0);
    assert_err(fixture_try_start(f), ERR_IO);
    assert_int_equal(f->dirs_failed, 1);
}

static void test_a_damaged_recovery_point_checkpoint_means_all_is_recovered(void **state)
{
    struct fixture *f = *state;
    begin(f, 5);
    fixture_stop(f);
    file_remove(f, ".kafka_cleanshutdown");
    file_put(f, "recovery-point-offset-checkpoint", "0\n7\n", 4, 0);
    fixture_start(f);
    expect(f, 15);
}

static int64_t copy_file(struct fixture *f, const char *from, const char *to)
{
    struct buf bytes = file_get(f, from);
    file_put(f, to, bytes.data, bytes.size, 0);
    int64_t size = (int64_t)bytes.size;
    buf_done(&bytes);
    return size;
}

static void test_trap_44_a_swap_file_takes_the_place_of_what_it_covers(void **state)
{
    struct fixture *f = *state;
    f->config.segment_bytes = 700;
    begin(f, 12);
    fixture_stop(f);
    /* A cleaner's output: the first segment alone, in place of the first; then with its sources
     * deleted. */
    copy_file(f, LOG_0, LOG_0 ".swap");
    copy_file(f, INDEX_0, INDEX_0 ".swap");
    copy_file(f, TIMEINDEX_0, TIMEINDEX_0 ".swap");
    fixture_start(f);
    expect(f, 36);
    assert_false(file_exists(f, LOG_0 ".swap"));
    fixture_stop(f);
    copy_file(f, LOG_0, LOG_0 ".swap");
    file_remove(f, LOG_0);
    fixture_start(f);
    expect(f, 36);
    fixture_stop(f);
    copy_file(f, LOG_0, LOG_0 ".cleaned"); /* unfinished: goes */
    copy_file(f, LOG_0, LOG_0 ".deleted");
    fixture_start(f);
    expect(f, 36);
    assert_false(file_exists(f, LOG_0 ".cleaned"));
    assert_false(file_exists(f, LOG_0 ".deleted"));
}

static void test_trap_45_a_duplicate_is_known_after_a_crash_even_with_a_bad_snapshot(void **state)
{
    struct fixture *f = *state;
    f->config.segment_bytes = 700;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    struct batch_spec spec = {
        .records = 3, .value_size = 50, .has_producer = true, .producer_id = 4000};
    for (int i = 0; i < 12; i++, spec.base_sequence += 3)
        assert_err(append(log, &spec, NULL), ERR_OK);
    log_set_high_watermark(log, 36);
    fixture_stop(f);
    file_put(f, "orders-0/00000000000000000036.snapshot", "\xff\xff\xff\xff", 4, 12);
    fixture_start(f);
    log = fixture_find(f, "orders", 0);
    spec.base_sequence -= 3;
    struct append_result result;
    assert_err(append(log, &spec, &result), ERR_OK);
    assert_true(result.is_duplicate);
    assert_int_equal(result.base_offset, 33);
    assert_int_equal(log_end_offset(log), 36);
    fixture_crash(f);
    log = fixture_find(f, "orders", 0);
    assert_err(append(log, &spec, &result), ERR_OK);
    assert_true(result.is_duplicate);
    spec.base_sequence = 500;
    assert_err(append(log, &spec, &result), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
}

static void test_an_abort_is_known_after_a_crash(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    struct batch_spec spec = {
        .records = 2, .has_producer = true, .producer_id = 7, .is_transactional = true};
    assert_err(append(log, &spec, NULL), ERR_OK);
    spec.producer_id = 8;
    assert_err(append(log, &spec, NULL), ERR_OK);
    assert_err(append_marker(log, 7, 0, 0, true), ERR_OK);
    for (int round = 0; round < 3; round++) {
        log_set_high_watermark(log, 5);
        assert_int_equal(log_last_stable_offset(log, 5), 2);
        struct arena *arena = arena_new();
        struct aborted_txn *txns;
        int32_t count;
        assert_err(log_aborted_txns(log, 0, 5, arena, &txns, &count), ERR_OK);
        assert_int_equal(count, 1);
        assert_int_equal(txns[0].producer_id, 7);
        assert_int_equal(txns[0].first_offset, 0);
        arena_free(arena);
        if (round == 0)
            fixture_crash(f);
        else
            fixture_restart(f);
        log = fixture_find(f, "orders", 0);
    }
}

static void test_a_start_that_was_promised_outlives_the_loss_of_the_data(void **state)
{
    struct fixture *f = *state;
    begin(f, 10);
    assert_err(log_raise_start(fixture_find(f, "orders", 0), 28, 30), ERR_OK);
    fixture_stop(f);
    file_remove(f, ".kafka_cleanshutdown");
    file_remove(f, "recovery-point-offset-checkpoint");
    file_cut(f, LOG_0, file_size(f, LOG_0) / 2);
    fixture_start(f);
    struct log *log = fixture_find(f, "orders", 0);
    assert_non_null(log);
    assert_int_equal(log_start_offset(log), 28);
    assert_int_equal(log_end_offset(log), 28);
    append_many(log, 2, 3, 50);
    assert_int_equal(check_readable(log, 28, 34), 6);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_a_tail_cut_at_any_byte_is_cut_to_whole_batches),
        T(test_garbage_behind_the_end_is_cut),
        T(test_a_flipped_byte_beyond_the_recovery_point_ends_the_log_and_drops_later_segments),
        T(test_damage_below_the_recovery_point_takes_the_replica_offline_and_cuts_nothing),
        T(test_trap_32_zero_padded_indexes_of_a_crash_are_made_again),
        T(test_an_index_that_is_missing_after_a_clean_stop_is_made_again),
        T(test_an_index_full_of_nonsense_does_not_mislead_a_reader),
        T(test_trap_33_the_clean_mark_goes_at_the_start_and_comes_at_the_stop),
        T(test_trap_36_the_end_comes_from_batches_after_a_truncation_within_one),
        T(test_trap_43_a_damaged_file_of_high_watermarks_takes_the_directory_offline),
        T(test_a_damaged_recovery_point_checkpoint_means_all_is_recovered),
        T(test_trap_44_a_swap_file_takes_the_place_of_what_it_covers),
        T(test_trap_45_a_duplicate_is_known_after_a_crash_even_with_a_bad_snapshot),
        T(test_an_abort_is_known_after_a_crash),
        T(test_a_start_that_was_promised_outlives_the_loss_of_the_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
