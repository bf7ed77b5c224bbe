/* What a JVM broker's cleaner leaves in a log, whole or half done: batches without records, offsets
 * that are missing, files waiting to take the place of others. Stoker does not compact yet, but it
 * follows leaders that do, and opens directories in which a cleaner was at work. */
#include "log_fixture.h"

#include "broker/record/batch.h"

#define LOG_0       "orders-0/00000000000000000000.log"
#define INDEX_0     "orders-0/00000000000000000000.index"
#define TIMEINDEX_0 "orders-0/00000000000000000000.timeindex"
#define LOG_6       "orders-0/00000000000000000006.log"

#define LAST_DELTA_AT     23
#define BASE_TIMESTAMP_AT 27
#define COUNT_AT          57

/* A batch of which `kept` records of the spec's are left; it still ends where it did. */
static void cleaned_make(struct buf *out, const struct batch_spec *spec, int32_t kept)
{
    struct batch_spec rest = *spec;
    size_t start = out->size;
    rest.records = kept ? kept : 1;
    batch_make(out, &rest);
    uint8_t *batch = out->data + start;
    if (kept == 0) {
        out->size = start + BATCH_HEADER_SIZE;
        put_be32(batch + BATCH_LENGTH_AT, BATCH_HEADER_SIZE - BATCH_PREFIX_SIZE);
        put_be64(batch + BASE_TIMESTAMP_AT, (uint64_t)NO_TIMESTAMP);
        put_be32(batch + COUNT_AT, 0);
    }
    put_be32(batch + LAST_DELTA_AT, (uint32_t)spec->records - 1);
    batch_seal(batch);
}

static void follow(struct log *log, const struct batch_spec *spec, int32_t kept)
{
    struct buf bytes = {0};
    struct append_result result;
    cleaned_make(&bytes, spec, kept);
    assert_err(log_append_follower(log, bytes.data, bytes.size, &result), ERR_OK);
    buf_done(&bytes);
}

static struct batch_spec of_producer(int64_t base_offset, int32_t base_sequence)
{
    return (struct batch_spec){.records = 4,
                               .has_producer = true,
                               .producer_id = 5,
                               .base_offset = base_offset,
                               .base_sequence = base_sequence,
                               .timestamp = 1000 + base_offset};
}

/* Offsets 0 to 3 are gone, of 4 to 7 one record is left, of 8 to 11 none: that batch only says how
 * far its producer has come. */
static struct log *compacted(struct fixture *f)
{
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    struct batch_spec second = of_producer(4, 4), third = of_producer(8, 8);
    follow(log, &second, 1);
    follow(log, &third, 0);
    log_set_high_watermark(log, 12);
    return log;
}

static void check_compacted(struct log *log)
{
    assert_int_equal(log_end_offset(log), 12);
    assert_int_equal(check_readable(log, 0, 12), 1);
    assert_int_equal(check_readable(log, 8, 12), 0);
    struct timestamp_offset found;
    assert_err(log_offset_for_timestamp(log, 1000, &found), ERR_OK);
    assert_int_equal(found.offset, 4);
    assert_err(log_offset_for_timestamp(log, 1006, &found), ERR_OK);
    assert_int_equal(found.offset, NO_OFFSET); /* the last batch has a time and no record */
}

static void test_traps_6_and_7_batches_end_where_they_did_with_fewer_records_or_none(void **state)
{
    struct fixture *f = *state;
    check_compacted(compacted(f));
    fixture_crash(f); /* all is read again */
    check_compacted(fixture_find(f, "orders", 0));
    fixture_restart(f);
    check_compacted(fixture_find(f, "orders", 0));
}

static void test_an_empty_batch_keeps_the_sequence_of_its_producer(void **state)
{
    struct fixture *f = *state;
    compacted(f);
    fixture_crash(f);
    struct log *log = fixture_find(f, "orders", 0);
    struct append_result result;
    struct batch_spec again = of_producer(0, 8), gap = of_producer(0, 16),
                      next = of_producer(0, 12);
    assert_err(append(log, &again, &result), ERR_OK);
    assert_true(result.is_duplicate);
    assert_int_equal(result.base_offset, 8);
    assert_err(append(log, &gap, NULL), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_err(append(log, &next, NULL), ERR_OK);
    assert_int_equal(log_end_offset(log), 16);
}

static void test_a_truncation_among_empty_batches_ends_at_its_target(void **state)
{
    struct fixture *f = *state;
    struct log *log = compacted(f);
    assert_err(log_truncate(log, 8), ERR_OK);
    assert_int_equal(log_end_offset(log), 8);
    assert_int_equal(check_readable(log, 0, 8), 1);
    struct batch_spec third = of_producer(8, 8);
    follow(log, &third, 4);
    assert_int_equal(check_readable(log, 0, 12), 5);
}

/* --- files of a cleaner that was killed --- */

static void fill(struct fixture *f)
{
    f->config.segment_bytes = 700;
    fixture_start(f);
    append_many(fixture_log(f, "orders", 0), 12, 3, 50);
    fixture_stop(f);
    assert_true(file_exists(f, LOG_6));
}

/* The cleaner's output for the segments of 0 to 11: only the last record is left. */
static void put_output(struct fixture *f, const char *log_name, const char *index_name,
                       const char *times_name)
{
    struct buf bytes = {0};
    struct batch_spec spec = {.records = 12, .timestamp = 1000};
    cleaned_make(&bytes, &spec, 1);
    file_put(f, log_name, bytes.data, bytes.size, 0);
    if (index_name)
        file_put(f, index_name, "", 0, 0);
    if (times_name)
        file_put(f, times_name, "", 0, 0);
    buf_done(&bytes);
}

static int64_t records_after_start(struct fixture *f)
{
    fixture_start(f);
    struct log *log = fixture_find(f, "orders", 0);
    assert_int_equal(log_end_offset(log), 36);
    log_set_high_watermark(log, 36);
    return check_readable(log, 0, 36);
}

static void test_trap_44_finished_output_replaces_all_that_it_covers_and_no_more(void **state)
{
    struct fixture *f = *state;
    fill(f);
    put_output(f, LOG_0 ".swap", INDEX_0 ".swap", TIMEINDEX_0 ".swap");
    assert_int_equal(records_after_start(f), 36 - 12 + 1);
    assert_false(file_exists(f, LOG_0 ".swap"));
    assert_false(file_exists(f, LOG_6));
    fixture_restart(f);
    assert_int_equal(check_readable(fixture_find(f, "orders", 0), 0, 36), 36 - 12 + 1);
}

/* Killed again while it settles that: after each of the renames the result is the same. */
static void test_trap_44_settling_it_may_be_cut_short_at_every_rename(void **state)
{
    struct fixture *f = *state;
    fill(f);
    put_output(f, LOG_0 ".swap", INDEX_0, TIMEINDEX_0); /* indexes first, the log last */
    file_cut(f, INDEX_0, 0);
    file_cut(f, TIMEINDEX_0, 0);
    file_remove(f, LOG_6);
    assert_int_equal(records_after_start(f), 36 - 12 + 1);
    assert_false(file_exists(f, LOG_0 ".swap"));
}

static void test_trap_44_output_that_was_not_finished_changes_nothing(void **state)
{
    struct fixture *f = *state;
    fill(f);
    put_output(f, LOG_0 ".cleaned", INDEX_0 ".cleaned", TIMEINDEX_0 ".cleaned");
    assert_int_equal(records_after_start(f), 36);
    assert_false(file_exists(f, LOG_0 ".cleaned"));
    assert_false(file_exists(f, INDEX_0 ".cleaned"));
}

/* The log's file was renamed, its indexes' were not: as long as one is left nothing was deleted,
 * and the output would go with indexes of what it replaces. */
static void test_trap_44_output_renamed_in_part_is_not_finished(void **state)
{
    struct fixture *f = *state;
    fill(f);
    put_output(f, LOG_0 ".swap", INDEX_0 ".cleaned", TIMEINDEX_0 ".cleaned");
    assert_int_equal(records_after_start(f), 36);
    assert_false(file_exists(f, LOG_0 ".swap"));
    assert_false(file_exists(f, INDEX_0 ".cleaned"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_traps_6_and_7_batches_end_where_they_did_with_fewer_records_or_none),
        T(test_an_empty_batch_keeps_the_sequence_of_its_producer),
        T(test_a_truncation_among_empty_batches_ends_at_its_target),
        T(test_trap_44_finished_output_replaces_all_that_it_covers_and_no_more),
        T(test_trap_44_settling_it_may_be_cut_short_at_every_rename),
        T(test_trap_44_output_that_was_not_finished_changes_nothing),
        T(test_trap_44_output_renamed_in_part_is_not_finished),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
