/* Idempotent producers and transactions in a log, and what a snapshot keeps of them. */
#include "log_fixture.h"

#include <poll.h>

static struct batch_spec of_producer(int64_t producer_id, int32_t base_sequence, int records)
{
    return (struct batch_spec){.has_producer = true,
                               .producer_id = producer_id,
                               .base_sequence = base_sequence,
                               .records = records};
}

static void
test_trap_15_a_duplicate_gets_the_first_answer_and_the_sixth_oldest_gets_45(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    struct append_result result;
    for (int i = 0; i < 6; i++) {
        struct batch_spec spec = of_producer(1, 2 * i, 2);
        assert_err(append(log, &spec, NULL), ERR_OK);
    }
    for (int i = 1; i < 6; i++) {
        struct batch_spec spec = of_producer(1, 2 * i, 2);
        assert_err(append(log, &spec, &result), ERR_OK);
        assert_true(result.is_duplicate);
        assert_int_equal(result.base_offset, 2 * i);
        assert_int_equal(result.last_offset, 2 * i + 1);
    }
    struct batch_spec oldest = of_producer(1, 0, 2);
    assert_err(append(log, &oldest, NULL), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_int_equal(log_end_offset(log), 12);
}

static void test_trap_16_an_unknown_producer_may_start_at_any_sequence(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    struct batch_spec spec = of_producer(1, 100, 2);
    assert_err(append(log, &spec, NULL), ERR_OK);
    spec.base_sequence = 104;
    assert_err(append(log, &spec, NULL), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    spec.base_sequence = 102;
    assert_err(append(log, &spec, NULL), ERR_OK);
}

static void test_trap_9_sequences_wrap_to_zero(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    struct append_result result;
    struct batch_spec spec = of_producer(1, INT32_MAX - 7, 20);
    assert_err(append(log, &spec, NULL), ERR_OK);
    assert_err(append(log, &spec, &result), ERR_OK);
    assert_true(result.is_duplicate);
    spec = of_producer(1, 12, 1);
    assert_err(append(log, &spec, NULL), ERR_OK);
    fixture_restart(f);
    log = fixture_find(f, "orders", 0);
    assert_err(append(log, &spec, &result), ERR_OK);
    assert_true(result.is_duplicate);
}

static void test_an_old_epoch_is_fenced_and_a_new_one_begins_at_zero(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    struct batch_spec spec = of_producer(1, 0, 1);
    spec.producer_epoch = 5;
    assert_err(append(log, &spec, NULL), ERR_OK);
    spec.producer_epoch = 4;
    spec.base_sequence = 1;
    assert_err(append(log, &spec, NULL), ERR_INVALID_PRODUCER_EPOCH);
    spec.producer_epoch = 6;
    assert_err(append(log, &spec, NULL), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    spec.base_sequence = 0;
    assert_err(append(log, &spec, NULL), ERR_OK);
}

static void test_trap_17_a_producer_expires_by_record_time(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    struct batch_spec spec = of_producer(1, 0, 1);
    spec.timestamp = INT64_C(1000000000000); /* 2001 */
    assert_err(append(log, &spec, NULL), ERR_OK);
    lock_acquire(&log->lock);
    producer_state_expire(&log->producers, clock_wall_ms(&f->clock.clock), 86400000);
    lock_release(&log->lock);
    assert_int_equal(log->producers.entries.count, 0);
    spec.base_sequence = 77;
    assert_err(append(log, &spec, NULL), ERR_OK);
}

static bool knows_a_producer(struct log *log)
{
    LOCK_SCOPE(&log->lock);
    return log->producers.entries.count > 0;
}

/* The threads of the manager do it: only those who went quiet, and only once it is due. */
static void test_producers_that_went_quiet_are_forgotten_by_the_clock(void **state)
{
    struct fixture *f = *state;
    f->producer_id_expiration_ms = 60000;
    fixture_start(f);
    struct log *quiet = fixture_log(f, "orders", 0), *busy = fixture_log(f, "orders", 1);
    struct batch_spec spec = of_producer(1, 0, 1);
    spec.timestamp = clock_wall_ms(&f->clock.clock);
    assert_err(append(quiet, &spec, NULL), ERR_OK);
    spec.timestamp += 60000;
    assert_err(append(busy, &spec, NULL), ERR_OK);
    clock_manual_advance_ms(&f->clock, 60000);
    for (int tries = 0; knows_a_producer(quiet); tries++) {
        assert_true(tries < 20000);
        poll(NULL, 0, 1);
    }
    assert_true(knows_a_producer(busy));
    spec.base_sequence = 77;
    assert_err(append(quiet, &spec, NULL), ERR_OK);
}

static struct batch_spec in_txn(int64_t producer_id, int32_t base_sequence)
{
    struct batch_spec spec = of_producer(producer_id, base_sequence, 2);
    spec.is_transactional = true;
    return spec;
}

static void test_the_last_stable_offset_waits_for_open_and_unreplicated_transactions(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    struct batch_spec spec = of_producer(9, 0, 3), a = in_txn(1, 0), b = in_txn(2, 0);
    assert_err(append(log, &spec, NULL), ERR_OK);
    assert_int_equal(log_last_stable_offset(log, 3), 3);
    assert_err(append(log, &a, NULL), ERR_OK); /* 3, 4 */
    assert_err(append(log, &b, NULL), ERR_OK); /* 5, 6 */
    log_set_high_watermark(log, 7);
    assert_int_equal(log_last_stable_offset(log, 7), 3);
    assert_err(append_marker(log, 1, 0, 0, false), ERR_OK); /* 7 */
    assert_int_equal(log_last_stable_offset(log, 7), 3);    /* the marker is not replicated */
    log_set_high_watermark(log, 8);
    assert_int_equal(log_last_stable_offset(log, 8), 5);
    assert_err(append_marker(log, 2, 0, 0, true), ERR_OK); /* 8 */
    log_set_high_watermark(log, 9);
    assert_int_equal(log_last_stable_offset(log, 9), 9);
}

static void test_markers_of_an_old_coordinator_or_epoch_are_refused(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    struct batch_spec a = in_txn(1, 0);
    a.producer_epoch = 3;
    assert_err(append(log, &a, NULL), ERR_OK);
    assert_err(append_marker(log, 1, 2, 5, false), ERR_INVALID_PRODUCER_EPOCH);
    assert_err(append_marker(log, 1, 3, 5, false), ERR_OK);
    assert_err(append_marker(log, 1, 3, 4, false), ERR_TRANSACTION_COORDINATOR_FENCED);
    a.base_sequence = 2;
    assert_err(append(log, &a, NULL), ERR_OK); /* the same epoch goes on */
    a.base_sequence = 4;
    a.is_transactional = false;
    assert_err(append(log, &a, NULL), ERR_INVALID_TXN_STATE);
}

static void test_trap_25_the_aborted_list_misses_none_and_ascends(void **state)
{
    struct fixture *f = *state;
    f->config.segment_bytes = 700;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    for (int32_t sequence = 0; sequence < 20; sequence += 2)
        for (int64_t producer = 1; producer <= 3; producer++) {
            struct batch_spec spec = in_txn(producer, sequence);
            assert_err(append(log, &spec, NULL), ERR_OK);
        }
    assert_err(append_marker(log, 3, 0, 0, true), ERR_OK);
    assert_err(append_marker(log, 1, 0, 0, true), ERR_OK);
    assert_err(append_marker(log, 2, 0, 0, false), ERR_OK);
    int64_t end = log_end_offset(log);
    for (int64_t offset = 0; offset < end - 3; offset++) {
        struct arena *arena = arena_new();
        struct aborted_txn *txns;
        int32_t count;
        assert_err(log_aborted_txns(log, offset, end, arena, &txns, &count), ERR_OK);
        assert_int_equal(count, 2);
        assert_int_equal(txns[0].first_offset, 0);
        assert_int_equal(txns[1].first_offset, 4);
        arena_free(arena);
    }
}

/* 100 aborted transactions one behind the other: a reader of a small slice hears of few, and of all
 * that lie in it. */
static void test_a_slice_is_bounded_by_the_index(void **state)
{
    (void)state;
    struct fixture *f = *state;
    f->config.segment_bytes = 4000;
    f->config.index_interval_bytes = 300;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    for (int32_t sequence = 0; sequence < 200; sequence += 2) {
        struct batch_spec spec = in_txn(1, sequence);
        assert_err(append(log, &spec, NULL), ERR_OK);
        assert_err(append_marker(log, 1, 0, 0, true), ERR_OK);
    }
    int64_t end = log_end_offset(log), bound = 0;
    for (int64_t offset = 0; offset < end; offset += 3) {
        struct arena *arena = arena_new();
        struct aborted_txn *txns;
        int32_t count;
        struct log_slice slice;
        assert_err(log_read(log, offset, end, 500, true, true, &slice), ERR_OK);
        assert_err(log_slice_bound(log, &slice, true, &bound), ERR_OK);
        assert_true(bound > offset && bound <= end);
        assert_err(log_aborted_txns(log, offset, bound, arena, &txns, &count), ERR_OK);
        assert_true(count >= 1 && count <= 12);
        assert_true(txns[0].first_offset <= offset);
        if (bound < end) { /* what begins at the bound is not in the slice */
            struct log_slice next;
            assert_err(log_read(log, bound, end, 500, true, true, &next), ERR_OK);
            assert_true(next.segment_base_offset > slice.segment_base_offset ||
                        next.position >= slice.position + slice.size_bytes);
            log_file_unref(next.file);
        }
        log_file_unref(slice.file);
        arena_free(arena);
    }
}

static void test_a_snapshot_that_is_cut_or_changed_anywhere_is_refused(void **state)
{
    (void)state;
    struct producer_state s, other;
    struct buf bytes = {0};
    producer_state_init(&s);
    producer_state_init(&other);
    struct batch_info b = {.magic = 2, .producer_id = 5, .last_offset = 3, .max_timestamp = 9};
    producer_state_append(&s, &b);
    producer_snapshot_encode(&s, &bytes);
    assert_int_equal(bytes.size, 56);
    for (size_t i = 0; i < bytes.size; i++) {
        assert_err(producer_snapshot_decode(&other, slice_of(bytes.data, i), 0, INT64_MAX),
                   ERR_MALFORMED);
        bytes.data[i] ^= 1;
        assert_err(producer_snapshot_decode(&other, buf_slice(&bytes), 0, INT64_MAX),
                   ERR_MALFORMED);
        bytes.data[i] ^= 1;
    }
    assert_err(producer_snapshot_decode(&other, buf_slice(&bytes), 0, INT64_MAX), ERR_OK);
    assert_int_equal(producer_state_find(&other, 5)->batches[0].last_offset, 3);
    producer_state_done(&s);
    producer_state_done(&other);
    buf_done(&bytes);
}

/* --- what a snapshot does not tell --- */

static void append_five(struct log *log)
{
    for (int i = 0; i < PRODUCER_BATCHES_MAX; i++) {
        struct batch_spec spec = of_producer(1, 2 * i, 2);
        assert_err(append(log, &spec, NULL), ERR_OK);
    }
}

static void check_repeated(struct log *log, int32_t base_sequence, int64_t base_offset)
{
    struct append_result result;
    struct batch_spec spec = of_producer(1, base_sequence, 2);
    assert_err(append(log, &spec, &result), ERR_OK);
    assert_true(result.is_duplicate);
    assert_int_equal(result.base_offset, base_offset);
    assert_int_equal(result.last_offset, base_offset + 1);
}

/* Five in flight, none answered, when the broker restarts; the client sends them again. */
static void test_after_a_clean_stop_all_five_in_flight_are_still_duplicates(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    append_five(fixture_log(f, "orders", 0));
    fixture_restart(f);
    struct log *log = fixture_find(f, "orders", 0);
    for (int i = 0; i < PRODUCER_BATCHES_MAX; i++)
        check_repeated(log, 2 * i, 2 * i);
    assert_int_equal(log_end_offset(log), 10);
    struct batch_spec next = of_producer(1, 10, 2);
    assert_err(append(log, &next, NULL), ERR_OK);
}

/* The snapshot of the recovery stands behind the five; what followed it is cut off again. */
static void
test_after_a_crash_and_a_truncation_all_five_in_flight_are_still_duplicates(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    append_five(fixture_log(f, "orders", 0));
    fixture_crash(f);
    struct log *log = fixture_find(f, "orders", 0);
    append_many(log, 3, 1, 10);
    assert_err(log_truncate(log, 11), ERR_OK);
    for (int i = 0; i < PRODUCER_BATCHES_MAX; i++)
        check_repeated(log, 2 * i, 2 * i);
    assert_int_equal(log_end_offset(log), 11);
}

/* A truncation removed the snapshot of an earlier stop, and others wrote where it stood; then the
 * power went, and with it the removal. It must not be believed at the next truncation. */
static void test_a_snapshot_that_a_power_cut_brought_back_is_not_believed(void **state)
{
    struct fixture *f = *state;
    static const char name[] = "orders-0/00000000000000000004.snapshot";
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    struct batch_spec spec = of_producer(1, 0, 4);
    assert_err(append(log, &spec, NULL), ERR_OK);
    fixture_stop(f);
    struct buf old = file_get(f, name);
    fixture_start(f);
    log = fixture_find(f, "orders", 0);
    assert_err(log_truncate(log, 0), ERR_OK);
    assert_false(file_exists(f, name));
    for (int i = 0; i < 4; i++) {
        spec = of_producer(2, 2 * i, 2);
        assert_err(append(log, &spec, NULL), ERR_OK);
    }
    file_put(f, name, old.data, old.size, 0);
    fixture_crash(f);
    log = fixture_find(f, "orders", 0);
    assert_err(log_truncate(log, 4), ERR_OK);
    struct append_result result;
    spec = of_producer(2, 2, 2);
    assert_err(append(log, &spec, &result), ERR_OK);
    assert_true(result.is_duplicate);
    buf_done(&old);
}

/* In segments of a few batches, among so many of others that more than one step back is needed. */
static void test_the_batches_in_flight_are_found_in_older_segments(void **state)
{
    struct fixture *f = *state;
    f->config.segment_bytes = 4000;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    int64_t places[PRODUCER_BATCHES_MAX];
    append_many(log, 100, 7, 10);
    for (int i = 0; i < PRODUCER_BATCHES_MAX; i++) {
        struct batch_spec spec = of_producer(1, 2 * i, 2);
        places[i] = log_end_offset(log);
        assert_err(append(log, &spec, NULL), ERR_OK);
        append_many(log, 100, 7, 10);
    }
    assert_true(log->list->count > 20);
    fixture_restart(f);
    log = fixture_find(f, "orders", 0);
    for (int i = 0; i < PRODUCER_BATCHES_MAX; i++)
        check_repeated(log, 2 * i, places[i]);
}

/* Of five that are remembered the oldest is the fifth last, before and after a restart. */
static void test_after_a_restart_too_the_sixth_oldest_gets_45(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    append_five(log);
    struct batch_spec spec = of_producer(1, 10, 2);
    assert_err(append(log, &spec, NULL), ERR_OK);
    fixture_restart(f);
    log = fixture_find(f, "orders", 0);
    spec.base_sequence = 0;
    assert_err(append(log, &spec, NULL), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    check_repeated(log, 2, 2);
    spec.base_sequence = 3; /* half of one and half of the other */
    assert_err(append(log, &spec, NULL), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    spec.base_sequence = 14;
    assert_err(append(log, &spec, NULL), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_int_equal(log_end_offset(log), 12);
}

/* What an older epoch sent, or what came before a gap, is not what is in flight now. */
static void test_older_epochs_and_what_lies_before_a_gap_are_not_remembered(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    append_five(log);
    struct batch_spec spec = of_producer(1, 0, 2);
    spec.producer_epoch = 1;
    assert_err(append(log, &spec, NULL), ERR_OK); /* epoch 1: 0 and 1 */
    spec = of_producer(2, 0, 2);
    assert_err(append(log, &spec, NULL), ERR_OK);
    lock_acquire(&log->lock);
    producer_state_expire(&log->producers, INT64_MAX / 2, 1);
    lock_release(&log->lock);
    spec.base_sequence = 20; /* forgotten, so any is a beginning */
    assert_err(append(log, &spec, NULL), ERR_OK);
    spec = of_producer(1, 2, 2);
    spec.producer_epoch = 1;
    assert_err(append(log, &spec, NULL), ERR_OK);
    int64_t end = log_end_offset(log);
    fixture_restart(f);
    log = fixture_find(f, "orders", 0);
    spec = of_producer(1, 6, 2);
    spec.producer_epoch = 1;
    assert_err(append(log, &spec, NULL), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    spec = of_producer(2, 0, 2);
    assert_err(append(log, &spec, NULL), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_int_equal(log_end_offset(log), end);
}

static void test_the_batches_in_flight_are_found_where_sequences_wrap(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    static const int32_t sequences[] = {INT32_MAX - 2, INT32_MAX, 1};
    for (size_t i = 0; i < ARRAY_SIZE(sequences); i++) {
        struct batch_spec spec = of_producer(1, sequences[i], 2);
        assert_err(append(log, &spec, NULL), ERR_OK);
    }
    fixture_restart(f);
    log = fixture_find(f, "orders", 0);
    for (size_t i = 0; i < ARRAY_SIZE(sequences); i++)
        check_repeated(log, sequences[i], 2 * (int64_t)i);
}

/* As a leader may send it, and a client may ask for it. */
static void test_a_timestamp_at_the_beginning_of_all_time_is_as_good_as_any(void **state)
{
    struct fixture *f = *state;
    struct timestamp_offset found;
    fixture_start(f);
    struct batch_spec spec = of_producer(1, 0, 1);
    spec.timestamp = INT64_MIN;
    assert_err(append_replica(fixture_log(f, "orders", 0), &spec), ERR_OK);
    fixture_restart(f); /* the snapshot is read, and who is in it may have expired */
    struct log *log = fixture_find(f, "orders", 0);
    producer_state_expire(&log->producers, 0, 1000);
    assert_err(log_offset_for_timestamp(log, INT64_MIN, &found), ERR_OK);
    assert_int_equal(found.offset, 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_trap_15_a_duplicate_gets_the_first_answer_and_the_sixth_oldest_gets_45),
        T(test_trap_16_an_unknown_producer_may_start_at_any_sequence),
        T(test_trap_9_sequences_wrap_to_zero),
        T(test_an_old_epoch_is_fenced_and_a_new_one_begins_at_zero),
        T(test_trap_17_a_producer_expires_by_record_time),
        T(test_producers_that_went_quiet_are_forgotten_by_the_clock),
        T(test_the_last_stable_offset_waits_for_open_and_unreplicated_transactions),
        T(test_markers_of_an_old_coordinator_or_epoch_are_refused),
        T(test_trap_25_the_aborted_list_misses_none_and_ascends),
        T(test_a_slice_is_bounded_by_the_index),
        T(test_a_timestamp_at_the_beginning_of_all_time_is_as_good_as_any),
        T(test_a_snapshot_that_is_cut_or_changed_anywhere_is_refused),
        T(test_after_a_clean_stop_all_five_in_flight_are_still_duplicates),
        T(test_after_a_crash_and_a_truncation_all_five_in_flight_are_still_duplicates),
        T(test_a_snapshot_that_a_power_cut_brought_back_is_not_believed),
        T(test_the_batches_in_flight_are_found_in_older_segments),
        T(test_after_a_restart_too_the_sixth_oldest_gets_45),
        T(test_older_epochs_and_what_lies_before_a_gap_are_not_remembered),
        T(test_the_batches_in_flight_are_found_where_sequences_wrap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
