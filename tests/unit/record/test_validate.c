/* The rules a leader applies, one by one; test_jvm_answers.c compares many more cases. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "broker/record/convert.h"
#include "tests/unit/record/batches.h"

struct setup {
    struct buf batch;
    struct arena *arena;
    struct validate_config config;
    struct validate_input input;
    struct validate_result result;
};

static void setup_with(struct setup *s, enum codec codec, int count)
{
    *s = (struct setup){.arena = arena_new(), .config = plain_config()};
    put_batch(&s->batch, codec, count);
    s->input = input_of(&s->batch);
}

static void setup_done(struct setup *s)
{
    buf_done(&s->batch);
    arena_free(s->arena);
}

static enum err run(struct setup *s)
{
    s->input.records = s->batch.data;
    s->input.size = s->batch.size;
    return records_validate(&s->config, &s->input, s->arena, &s->result);
}

/* Records given raw, in a batch of `count`. */
static void setup_raw(struct setup *s, enum codec codec, struct slice records, int count)
{
    setup_with(s, CODEC_NONE, count);
    s->batch.size = BATCH_HEADER_SIZE;
    assert_int_equal(records_compress(codec, 1, 2, records, &s->batch), ERR_OK);
    put_be32(s->batch.data + BATCH_LENGTH_AT, (uint32_t)s->batch.size - BATCH_PREFIX_SIZE);
    put_be16(s->batch.data + BATCH_ATTRIBUTES_AT, (uint16_t)codec);
    batch_seal(s->batch.data);
}

static void test_a_batch_in_place_gets_offset_and_epoch_and_keeps_its_sum(void **state)
{
    (void)state;
    for (int codec = CODEC_NONE; codec < CODEC_COUNT; codec++) {
        struct setup s;
        setup_with(&s, (enum codec)codec, 3);
        uint32_t crc = batch_crc(s.batch.data);
        assert_int_equal(run(&s), ERR_OK);
        assert_ptr_equal(s.result.records.data, s.batch.data);
        assert_int_equal(s.result.records.size, s.batch.size);
        assert_int_equal(batch_base_offset(s.batch.data), 100);
        assert_int_equal(batch_leader_epoch(s.batch.data), 4);
        assert_int_equal(batch_crc(s.batch.data), crc);
        assert_int_equal(s.result.record_count, 3);
        assert_int_equal(s.result.log_append_time_ms, NO_TIMESTAMP);
        setup_done(&s);
    }
}

static void test_a_flipped_bit_is_never_accepted(void **state)
{
    (void)state;
    struct setup s;
    setup_with(&s, CODEC_NONE, 2);
    struct buf good = {0};
    buf_put_slice(&good, buf_slice(&s.batch));
    for (size_t bit = 8 * BATCH_CRC_AT; bit < 8 * good.size; bit++) {
        memcpy(s.batch.data, good.data, good.size);
        s.batch.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        enum err e = run(&s);
        assert_true(e == ERR_CORRUPT_MESSAGE);
    }
    buf_done(&good);
    setup_done(&s);
}

/* Truncated anywhere, a batch is refused before its records are looked at, and read no further. */
static void test_no_cut_batch_is_accepted(void **state)
{
    (void)state;
    for (int codec = CODEC_NONE; codec < CODEC_COUNT; codec++) {
        struct setup s;
        setup_with(&s, (enum codec)codec, 3);
        uint8_t *whole = s.batch.data;
        for (size_t size = 0; size < s.batch.size; size++) {
            uint8_t *part = malloc(size ? size : 1);
            memcpy(part, whole, size);
            s.input.records = part;
            s.input.size = size;
            assert_int_equal(records_validate(&s.config, &s.input, s.arena, &s.result),
                             ERR_INVALID_RECORD);
            free(part);
        }
        setup_done(&s);
    }
}

/* The same with a head that tells of the cut, so that the records' walk must find it. */
static void test_no_batch_with_cut_records_is_accepted(void **state)
{
    (void)state;
    for (int codec = CODEC_NONE; codec < CODEC_COUNT; codec++) {
        struct setup s;
        setup_with(&s, (enum codec)codec, 3);
        size_t whole = s.batch.size;
        for (size_t size = BATCH_HEADER_SIZE; size < whole; size++) {
            struct buf part = {.data = malloc(size), .size = size, .capacity = size};
            memcpy(part.data, s.batch.data, size);
            put_be32(part.data + BATCH_LENGTH_AT, (uint32_t)size - BATCH_PREFIX_SIZE);
            batch_seal(part.data);
            s.input.records = part.data;
            s.input.size = size;
            for (int target = VALIDATE_KEEP_CODEC; target <= CODEC_GZIP; target++) {
                s.config.codec = target;
                enum err e = records_validate(&s.config, &s.input, s.arena, &s.result);
                /* What ends an lz4 or gzip stream carries no record. */
                assert_true(e == ERR_INVALID_RECORD || e == ERR_UNKNOWN_SERVER_ERROR);
            }
            buf_done(&part);
        }
        setup_done(&s);
    }
}

static void test_half_a_batch_behind_a_whole_one_is_dropped(void **state)
{
    (void)state;
    struct setup s;
    setup_with(&s, CODEC_NONE, 3);
    size_t whole = s.batch.size;
    for (size_t more = 1; more < whole; more++) {
        s.batch.size = whole;
        put_be64(s.batch.data, 0);
        buf_reserve(&s.batch, more);
        memcpy(s.batch.data + whole, s.batch.data, more);
        s.batch.size = whole + more;
        assert_int_equal(run(&s), ERR_OK);
        assert_int_equal(s.result.records.size, whole);
    }
    setup_done(&s);
}

static void test_two_batches_are_one_too_many(void **state)
{
    (void)state;
    struct setup s;
    setup_with(&s, CODEC_NONE, 3);
    put_batch(&s.batch, CODEC_NONE, 1);
    assert_int_equal(run(&s), ERR_INVALID_RECORD);
    setup_done(&s);
}

static void test_the_size_limit_counts_the_prefix_and_is_looked_at_before_the_sum(void **state)
{
    (void)state;
    struct setup s;
    setup_with(&s, CODEC_NONE, 3);
    s.config.max_message_bytes = (int32_t)s.batch.size;
    assert_int_equal(run(&s), ERR_OK);
    put_be64(s.batch.data, 0);
    s.batch.data[BATCH_CRC_AT] ^= 1;
    assert_int_equal(run(&s), ERR_CORRUPT_MESSAGE);
    s.config.max_message_bytes--;
    assert_int_equal(run(&s), ERR_MESSAGE_TOO_LARGE);
    setup_done(&s);
}

static void test_the_size_limit_is_looked_at_again_after_recompression(void **state)
{
    (void)state;
    struct setup s;
    setup_with(&s, CODEC_NONE, 0);
    s.batch.size = 0;
    put_zeros(&s.batch, CODEC_GZIP, 3, 10000);
    s.config.max_message_bytes = 20000;
    s.config.codec = CODEC_NONE;
    assert_int_equal(run(&s), ERR_MESSAGE_TOO_LARGE);
    s.config.codec = CODEC_ZSTD;
    assert_int_equal(run(&s), ERR_OK);
    setup_done(&s);
}

static void test_a_base_offset_other_than_0_is_refused(void **state)
{
    (void)state;
    struct setup s;
    setup_with(&s, CODEC_NONE, 3);
    put_be64(s.batch.data, 5);
    assert_int_equal(run(&s), ERR_INVALID_RECORD);
    setup_done(&s);
}

static void test_messages_of_old_formats_may_have_any_offset(void **state)
{
    (void)state;
    struct setup s;
    struct buf old = {0};
    setup_with(&s, CODEC_NONE, 1);
    put_be64(s.batch.data, 5);
    assert_int_equal(records_convert_down(buf_slice(&s.batch), 1, 5, &old), ERR_OK);
    assert_int_equal(batch_base_offset(old.data), 5);
    s.input.records = old.data;
    s.input.size = old.size;
    s.input.api_version = 2;
    assert_int_equal(records_validate(&s.config, &s.input, s.arena, &s.result), ERR_OK);
    assert_int_equal(batch_base_offset(s.result.records.data), 100);
    buf_done(&old);
    setup_done(&s);
}

static void test_offset_deltas_of_plain_records_may_be_wrong(void **state)
{
    (void)state;
    struct setup s; /* two records of offset delta 1, with nothing in them */
    struct slice records = SLICE_LITERAL("\14\0\0\2\1\1\0\14\0\0\2\1\1\0");
    setup_raw(&s, CODEC_NONE, records, 2);
    assert_int_equal(run(&s), ERR_OK);
    assert_memory_equal(s.batch.data + BATCH_HEADER_SIZE, records.data, records.size);
    setup_done(&s);
}

static void test_offset_deltas_of_compressed_records_may_not_unless_recompressed(void **state)
{
    (void)state;
    struct setup s;
    struct slice records = SLICE_LITERAL("\14\0\0\2\1\1\0\14\0\0\2\1\1\0");
    setup_raw(&s, CODEC_LZ4, records, 2);
    assert_int_equal(run(&s), ERR_UNKNOWN_SERVER_ERROR);
    s.config.codec = CODEC_NONE;
    assert_int_equal(run(&s), ERR_OK);
    struct slice right = SLICE_LITERAL("\14\0\0\0\1\1\0\14\0\0\2\1\1\0");
    assert_int_equal(s.result.records.size, BATCH_HEADER_SIZE + right.size);
    assert_memory_equal(s.result.records.data + BATCH_HEADER_SIZE, right.data, right.size);
    setup_done(&s);
}

static void test_a_record_of_wrong_length_is_refused_in_every_codec(void **state)
{
    (void)state;
    static const struct slice wrong[] = {
        {(const uint8_t *)"\12\0\0\0\1\1\0", 7},     /* a byte less than it takes */
        {(const uint8_t *)"\16\0\0\0\1\1\0\0", 8},   /* one more */
        {(const uint8_t *)"\14\0\0\0\1\1\0zz", 9},   /* bytes behind */
        {(const uint8_t *)"\14\0\0\0\1\1\2", 7},     /* a header that is not there */
        {(const uint8_t *)"\14\0\0\0\1\1\1", 7},     /* a header count of -1 */
        {(const uint8_t *)"\20\0\0\0\1\1\2\1\1", 9}, /* a header's key is null */
        {(const uint8_t *)"\14\0\0\0\1\4\0", 7},     /* a value longer than the record */
        {(const uint8_t *)"\0", 1},
        {(const uint8_t *)"\1", 1},
    };
    for (int codec = CODEC_NONE; codec < CODEC_COUNT; codec++)
        for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
            struct setup s;
            setup_raw(&s, (enum codec)codec, wrong[i], 1);
            assert_int_equal(run(&s), ERR_INVALID_RECORD);
            s.config.codec = codec == CODEC_ZSTD ? CODEC_GZIP : CODEC_ZSTD;
            assert_int_equal(run(&s), ERR_INVALID_RECORD);
            setup_done(&s);
        }
}

static void test_every_record_without_a_key_is_listed(void **state)
{
    (void)state;
    for (int codec = CODEC_NONE; codec < CODEC_COUNT; codec++) {
        struct setup s;
        setup_raw(&s, (enum codec)codec,
                  SLICE_LITERAL("\14\0\0\0\1\1\0\16\0\0\2\2k\1\0\14\0\0\4\1\1\0"), 3);
        s.config.is_compacted = true;
        assert_int_equal(run(&s), ERR_INVALID_RECORD);
        assert_int_equal(s.result.errors_count, 2);
        assert_int_equal(s.result.errors[0].batch_index, 0);
        assert_int_equal(s.result.errors[1].batch_index, 2);
        assert_non_null(s.result.errors[0].message);
        assert_int_equal(batch_base_offset(s.batch.data), 0); /* nothing was stamped */
        setup_done(&s);
    }
}

static void test_timestamps_beyond_the_limits_are_listed_and_none_is_exempt(void **state)
{
    (void)state;
    struct setup s;
    setup_with(&s, CODEC_NONE, 3);
    s.input.now_ms = NOW_MS + 11;
    s.config.before_max_ms = 10; /* the first, at NOW_MS, is 11 old */
    assert_int_equal(run(&s), ERR_INVALID_TIMESTAMP);
    assert_int_equal(s.result.errors_count, 1);
    assert_int_equal(s.result.errors[0].batch_index, 0);
    s.config.before_max_ms = 11;
    assert_int_equal(run(&s), ERR_OK);
    setup_done(&s);

    setup_raw(&s, CODEC_NONE, SLICE_LITERAL("\14\0\0\0\1\1\0"), 1);
    put_be64(s.batch.data + 27, UINT64_MAX);
    put_be64(s.batch.data + 35, UINT64_MAX);
    batch_seal(s.batch.data);
    s.config.before_max_ms = 1;
    assert_int_equal(run(&s), ERR_OK);
    setup_done(&s);
}

static void test_timestamps_ahead_are_refused_beyond_the_limit(void **state)
{
    (void)state;
    struct setup s;
    setup_with(&s, CODEC_ZSTD, 3);
    s.input.now_ms = NOW_MS;
    s.config.after_max_ms = 1;
    assert_int_equal(run(&s), ERR_INVALID_TIMESTAMP);
    assert_int_equal(s.result.errors[0].batch_index, 2);
    setup_done(&s);
}

static void test_a_wrong_largest_timestamp_is_put_right_under_a_new_sum(void **state)
{
    (void)state;
    struct setup s;
    setup_with(&s, CODEC_GZIP, 3);
    put_be64(s.batch.data + 35, 5);
    batch_seal(s.batch.data);
    assert_int_equal(run(&s), ERR_OK);
    assert_int_equal(batch_max_timestamp(s.batch.data), NOW_MS + 2);
    assert_true(batch_crc_is_right(s.batch.data));
    setup_done(&s);
}

static void test_append_time_stamps_the_head_and_nothing_else(void **state)
{
    (void)state;
    struct setup s;
    setup_with(&s, CODEC_LZ4, 3);
    struct buf before = {0};
    buf_put_slice(&before, buf_slice(&s.batch));
    s.config.is_log_append_time = true;
    s.input.now_ms = NOW_MS + 99;
    assert_int_equal(run(&s), ERR_OK);
    assert_int_equal(s.result.log_append_time_ms, NOW_MS + 99);
    assert_int_equal(batch_max_timestamp(s.batch.data), NOW_MS + 99);
    assert_int_equal(batch_attributes(s.batch.data), CODEC_LZ4 | BATCH_LOG_APPEND_TIME);
    assert_true(batch_crc_is_right(s.batch.data));
    assert_memory_equal(s.batch.data + 43, before.data + 43, before.size - 43);
    buf_done(&before);
    setup_done(&s);
}

static void test_another_codec_keeps_producer_and_sequence(void **state)
{
    (void)state;
    struct setup s;
    setup_with(&s, CODEC_NONE, 3);
    put_be64(s.batch.data + 43, 77);
    put_be16(s.batch.data + 51, 3);
    put_be32(s.batch.data + 53, INT32_MAX);
    put_be16(s.batch.data + BATCH_ATTRIBUTES_AT, BATCH_TRANSACTIONAL);
    batch_seal(s.batch.data);
    s.config.codec = CODEC_SNAPPY;
    assert_int_equal(run(&s), ERR_OK);
    const uint8_t *b = s.result.records.data;
    assert_int_equal(batch_attributes(b), CODEC_SNAPPY | BATCH_TRANSACTIONAL);
    assert_int_equal(batch_producer_id(b), 77);
    assert_int_equal(batch_producer_epoch(b), 3);
    assert_int_equal(batch_base_sequence(b), INT32_MAX);
    assert_int_equal(batch_last_sequence(b), 1);
    assert_int_equal(batch_base_offset(b), 100);
    assert_int_equal(batch_leader_epoch(b), 4);
    assert_true(batch_crc_is_right(b));
    setup_done(&s);
}

static void test_a_control_batch_is_for_coordinators_and_stays_uncompressed(void **state)
{
    (void)state;
    struct setup s;
    setup_with(&s, CODEC_NONE, 1);
    s.batch.size = 0;
    batch_put_txn_marker(&s.batch, 77, 3, false, 1, NOW_MS);
    assert_int_equal(run(&s), ERR_INVALID_RECORD);
    s.input.is_client = false;
    s.config.codec = CODEC_GZIP;
    assert_int_equal(run(&s), ERR_OK);
    assert_int_equal(batch_codec(s.result.records.data), CODEC_NONE);
    assert_true(batch_is_control(s.result.records.data));
    setup_done(&s);
}

static void test_an_absurd_base_offset_of_a_coordinator_is_replaced(void **state)
{
    (void)state;
    struct setup s;
    setup_with(&s, CODEC_NONE, 2);
    s.input.is_client = false;
    put_be64(s.batch.data, (uint64_t)INT64_MIN);
    assert_int_equal(run(&s), ERR_OK);
    assert_int_equal(batch_base_offset(s.batch.data), 100);
    setup_done(&s);
}

static void test_a_rewritten_header_of_any_negative_length_becomes_null(void **state)
{
    (void)state;
    struct setup s; /* a header "h" whose value has a length of -5 */
    setup_raw(&s, CODEC_LZ4, SLICE_LITERAL("\22\0\0\0\1\1\2\2h\11"), 1);
    s.config.codec = CODEC_NONE;
    assert_int_equal(run(&s), ERR_OK);
    assert_memory_equal(s.result.records.data + BATCH_HEADER_SIZE, "\22\0\0\0\1\1\2\2h\1", 10);
    setup_done(&s);
}

static void test_zstd_needs_produce_7(void **state)
{
    (void)state;
    for (int16_t version = 3; version < 12; version++) {
        struct setup s;
        setup_with(&s, CODEC_ZSTD, 1);
        s.input.api_version = version;
        assert_int_equal(run(&s), version < 7 ? ERR_UNSUPPORTED_COMPRESSION_TYPE : ERR_OK);
        setup_done(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_batch_in_place_gets_offset_and_epoch_and_keeps_its_sum),
        cmocka_unit_test(test_a_flipped_bit_is_never_accepted),
        cmocka_unit_test(test_no_cut_batch_is_accepted),
        cmocka_unit_test(test_no_batch_with_cut_records_is_accepted),
        cmocka_unit_test(test_half_a_batch_behind_a_whole_one_is_dropped),
        cmocka_unit_test(test_two_batches_are_one_too_many),
        cmocka_unit_test(test_the_size_limit_counts_the_prefix_and_is_looked_at_before_the_sum),
        cmocka_unit_test(test_the_size_limit_is_looked_at_again_after_recompression),
        cmocka_unit_test(test_a_base_offset_other_than_0_is_refused),
        cmocka_unit_test(test_messages_of_old_formats_may_have_any_offset),
        cmocka_unit_test(test_offset_deltas_of_plain_records_may_be_wrong),
        cmocka_unit_test(test_offset_deltas_of_compressed_records_may_not_unless_recompressed),
        cmocka_unit_test(test_a_record_of_wrong_length_is_refused_in_every_codec),
        cmocka_unit_test(test_every_record_without_a_key_is_listed),
        cmocka_unit_test(test_timestamps_beyond_the_limits_are_listed_and_none_is_exempt),
        cmocka_unit_test(test_timestamps_ahead_are_refused_beyond_the_limit),
        cmocka_unit_test(test_a_wrong_largest_timestamp_is_put_right_under_a_new_sum),
        cmocka_unit_test(test_append_time_stamps_the_head_and_nothing_else),
        cmocka_unit_test(test_another_codec_keeps_producer_and_sequence),
        cmocka_unit_test(test_a_control_batch_is_for_coordinators_and_stays_uncompressed),
        cmocka_unit_test(test_an_absurd_base_offset_of_a_coordinator_is_replaced),
        cmocka_unit_test(test_a_rewritten_header_of_any_negative_length_becomes_null),
        cmocka_unit_test(test_zstd_needs_produce_7),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
