/* Heads, sums, sequences, records and markers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/unit/record/batches.h"

static void test_a_sequence_wraps_to_zero(void **state)
{
    (void)state;
    assert_int_equal(sequence_add(INT32_MAX, 1), 0);
    assert_int_equal(sequence_add(2147483640, 19), 11);
    assert_int_equal(sequence_add(5, 2), 7);
    assert_int_equal(sequence_add(0, INT32_MAX), INT32_MAX);
}

static void test_the_last_sequence_of_a_batch_wraps_and_none_stays_none(void **state)
{
    (void)state;
    struct buf batch = {0};
    put_batch(&batch, CODEC_NONE, 20);
    assert_int_equal(batch_last_sequence(batch.data), NO_SEQUENCE);
    put_be32(batch.data + 53, 2147483640);
    assert_int_equal(batch_last_sequence(batch.data), 11);
    buf_done(&batch);
}

static void test_half_a_head_asks_for_more_bytes(void **state)
{
    (void)state;
    struct buf batch = {0};
    put_batch(&batch, CODEC_NONE, 3);
    struct batch_info info;
    for (size_t size = 0; size < BATCH_HEADER_SIZE; size++) {
        uint8_t *part = malloc(size ? size : 1);
        memcpy(part, batch.data, size);
        assert_int_equal(batch_peek(slice_of(part, size), &info), ERR_AGAIN);
        assert_int_equal(info.size_bytes, size < BATCH_PREFIX_SIZE ? 0 : (int64_t)batch.size);
        free(part);
    }
    assert_int_equal(batch_peek(slice_of(batch.data, BATCH_HEADER_SIZE), &info), ERR_OK);
    assert_int_equal(info.record_count, 3);
    assert_int_equal(info.last_offset, 2);
    assert_int_equal(info.max_timestamp, NOW_MS + 2);
    buf_done(&batch);
}

static void test_impossible_lengths_and_formats_are_corrupt(void **state)
{
    (void)state;
    static const int32_t lengths[] = {0, -1, 13, 48, INT32_MIN};
    struct buf batch = {0};
    struct batch_info info;
    put_batch(&batch, CODEC_NONE, 1);
    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
        put_be32(batch.data + BATCH_LENGTH_AT, (uint32_t)lengths[i]);
        assert_int_equal(batch_peek(buf_slice(&batch), &info), ERR_CORRUPT_MESSAGE);
    }
    put_be32(batch.data + BATCH_LENGTH_AT, (uint32_t)batch.size - BATCH_PREFIX_SIZE);
    for (int magic = 3; magic < 256; magic++) {
        batch.data[BATCH_MAGIC_AT] = (uint8_t)magic;
        assert_int_equal(batch_peek(buf_slice(&batch), &info), ERR_CORRUPT_MESSAGE);
    }
    buf_done(&batch);
}

static void test_the_sum_covers_attributes_to_end_and_no_more(void **state)
{
    (void)state;
    struct buf batch = {0};
    put_batch(&batch, CODEC_NONE, 3);
    for (size_t at = 0; at < batch.size; at++) {
        if (at >= BATCH_LENGTH_AT && at < BATCH_PREFIX_SIZE)
            continue; /* the length says what is summed */
        if (at == BATCH_MAGIC_AT)
            continue; /* the magic says which sum it is */
        batch.data[at] ^= 0x10;
        assert_int_equal(batch_crc_is_right(batch.data), at < BATCH_MAGIC_AT);
        batch.data[at] ^= 0x10;
    }
    assert_true(batch_crc_is_right(batch.data));
    buf_done(&batch);
}

/* Three records that the Java client wrote: keys "k0" to "k2", the last value null, the
 * second record with a header "head" of two bytes and a header "none" of null. */
static const uint8_t java_batch[] = {
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x68, 0xff, 0xff, 0xff,
    0xff, 0x02, 0xd4, 0x4e, 0x82, 0x74, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x01,
    0x8b, 0xcf, 0xe5, 0x67, 0xfb, 0x00, 0x00, 0x01, 0x8b, 0xcf, 0xe5, 0x67, 0xfd, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00,
    0x03, 0x1e, 0x00, 0x00, 0x00, 0x04, 0x6b, 0x30, 0x0e, 0x76, 0x61, 0x6c, 0x75, 0x65, 0x20,
    0x30, 0x00, 0x3a, 0x00, 0x02, 0x02, 0x04, 0x6b, 0x31, 0x0e, 0x76, 0x61, 0x6c, 0x75, 0x65,
    0x20, 0x31, 0x04, 0x08, 0x68, 0x65, 0x61, 0x64, 0x04, 0x01, 0x02, 0x08, 0x6e, 0x6f, 0x6e,
    0x65, 0x01, 0x10, 0x00, 0x04, 0x04, 0x04, 0x6b, 0x32, 0x01, 0x00};

static void test_records_of_the_java_client_are_read_to_the_last_header(void **state)
{
    (void)state;
    struct record_reader reader;
    struct record record;
    struct record_header header;
    size_t position = 0;
    assert_true(batch_crc_is_right(java_batch));
    assert_int_equal(record_reader_open(&reader, java_batch), ERR_OK);
    assert_int_equal(record_reader_next(&reader, &record), ERR_OK);
    assert_true(slice_equal_str(record.key, "k0"));
    assert_true(slice_equal_str(record.value, "value 0"));
    assert_int_equal(record.timestamp_ms, NOW_MS - 5);
    assert_false(record_headers_next(&record, &position, &header));
    assert_int_equal(record_reader_next(&reader, &record), ERR_OK);
    assert_int_equal(record.offset, 1);
    assert_true(slice_equal_str(record.key, "k1"));
    assert_int_equal(record.headers_count, 2);
    position = 0;
    assert_true(record_headers_next(&record, &position, &header));
    assert_true(slice_equal_str(header.key, "head"));
    assert_true(slice_equal(header.value, SLICE_LITERAL("\1\2")));
    assert_true(record_headers_next(&record, &position, &header));
    assert_true(slice_equal_str(header.key, "none"));
    assert_true(slice_is_null(header.value));
    assert_false(record_headers_next(&record, &position, &header));
    assert_int_equal(record_reader_next(&reader, &record), ERR_OK);
    assert_true(slice_equal_str(record.key, "k2"));
    assert_true(slice_is_null(record.value));
    assert_int_equal(record_reader_next(&reader, &record), ERR_NOT_FOUND);
    record_reader_close(&reader);
}

static void test_the_builder_writes_the_bytes_of_the_java_client(void **state)
{
    (void)state;
    struct record_reader reader;
    struct record record;
    struct buf ours = {0};
    struct batch_options options = BATCH_OPTIONS_DEFAULT;
    struct batch_builder builder;
    batch_builder_init(&builder, &options, &ours);
    assert_int_equal(record_reader_open(&reader, java_batch), ERR_OK);
    while (record_reader_next(&reader, &record) == ERR_OK)
        batch_builder_add(&builder, record.offset, record.timestamp_ms, record.key, record.value,
                          record.headers);
    record_reader_close(&reader);
    assert_int_equal(batch_builder_finish(&builder), ERR_OK);
    batch_builder_done(&builder);
    assert_true(slice_equal(buf_slice(&ours), slice_of(java_batch, sizeof java_batch)));
    buf_done(&ours);
}

static void test_an_empty_batch_of_compaction_holds_no_record(void **state)
{
    (void)state;
    struct buf batch = {0};
    struct record_reader reader;
    struct record record;
    put_batch(&batch, CODEC_NONE, 1);
    batch.size = BATCH_HEADER_SIZE;
    put_be32(batch.data + BATCH_LENGTH_AT, BATCH_HEADER_SIZE - BATCH_PREFIX_SIZE);
    put_be32(batch.data + 57, 0);
    batch_seal(batch.data);
    assert_int_equal(record_reader_open(&reader, batch.data), ERR_OK);
    assert_int_equal(record_reader_next(&reader, &record), ERR_NOT_FOUND);
    record_reader_close(&reader);
    buf_done(&batch);
}

/* The cleaner puts the time at which a tombstone may go in the place of the first timestamp, and
 * counts the records' times from there (KIP-534). */
static void test_a_delete_horizon_is_no_time_of_a_record(void **state)
{
    (void)state;
    enum { HORIZON_MS = 86400000 };
    struct buf batch = {0};
    struct record_reader reader;
    struct record record;
    put_batch(&batch, CODEC_NONE, 1);
    batch.size = BATCH_HEADER_SIZE;
    /* A tombstone of key "k" whose time lies a day before the horizon: -86400000 takes 4 bytes. */
    buf_put_slice(&batch, SLICE_LITERAL("\24\0\xff\xef\xb2\x52\0\2k\1\0"));
    put_be32(batch.data + BATCH_LENGTH_AT, (uint32_t)batch.size - BATCH_PREFIX_SIZE);
    put_be16(batch.data + BATCH_ATTRIBUTES_AT, BATCH_DELETE_HORIZON);
    put_be64(batch.data + 27, (uint64_t)(NOW_MS + HORIZON_MS));
    put_be64(batch.data + 35, NOW_MS);
    batch_seal(batch.data);
    struct batch_info info;
    assert_int_equal(batch_peek(buf_slice(&batch), &info), ERR_OK);
    assert_int_equal(info.max_timestamp, NOW_MS);
    assert_int_equal(record_reader_open(&reader, batch.data), ERR_OK);
    assert_int_equal(record_reader_next(&reader, &record), ERR_OK);
    assert_int_equal(record.timestamp_ms, NOW_MS);
    assert_true(slice_equal_str(record.key, "k"));
    assert_true(slice_is_null(record.value));
    assert_int_equal(record_reader_next(&reader, &record), ERR_NOT_FOUND);
    record_reader_close(&reader);
    buf_done(&batch);
}

static void test_a_builder_past_its_limit_leaves_nothing(void **state)
{
    (void)state;
    struct buf out = {0};
    struct batch_options options = BATCH_OPTIONS_DEFAULT;
    struct batch_builder builder;
    buf_put_u8(&out, 7);
    options.max_bytes = 100;
    batch_builder_init(&builder, &options, &out);
    for (int i = 0; i < 10; i++)
        batch_builder_add(&builder, i, 1, SLICE_NULL, SLICE_LITERAL("0123456789"), SLICE_NULL);
    assert_int_equal(batch_builder_finish(&builder), ERR_MESSAGE_TOO_LARGE);
    batch_builder_done(&builder);
    assert_int_equal(out.size, 1);
    buf_done(&out);
}

static void test_a_marker_is_a_control_batch_of_one_record(void **state)
{
    (void)state;
    struct buf out = {0};
    struct record_reader reader;
    struct record record;
    batch_put_txn_marker(&out, 77, 5, true, 9, NOW_MS);
    assert_true(batch_crc_is_right(out.data));
    assert_int_equal(batch_attributes(out.data), BATCH_CONTROL | BATCH_TRANSACTIONAL);
    assert_int_equal(batch_producer_id(out.data), 77);
    assert_int_equal(batch_producer_epoch(out.data), 5);
    assert_int_equal(batch_base_sequence(out.data), NO_SEQUENCE);
    assert_int_equal(record_reader_open(&reader, out.data), ERR_OK);
    assert_int_equal(record_reader_next(&reader, &record), ERR_OK);
    assert_true(slice_equal(record.key, SLICE_LITERAL("\0\0\0\1")));
    assert_true(slice_equal(record.value, SLICE_LITERAL("\0\0\0\0\0\11")));
    assert_int_equal(record_reader_next(&reader, &record), ERR_NOT_FOUND);
    record_reader_close(&reader);
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_sequence_wraps_to_zero),
        cmocka_unit_test(test_the_last_sequence_of_a_batch_wraps_and_none_stays_none),
        cmocka_unit_test(test_half_a_head_asks_for_more_bytes),
        cmocka_unit_test(test_impossible_lengths_and_formats_are_corrupt),
        cmocka_unit_test(test_the_sum_covers_attributes_to_end_and_no_more),
        cmocka_unit_test(test_records_of_the_java_client_are_read_to_the_last_header),
        cmocka_unit_test(test_the_builder_writes_the_bytes_of_the_java_client),
        cmocka_unit_test(test_an_empty_batch_of_compaction_holds_no_record),
        cmocka_unit_test(test_a_delete_horizon_is_no_time_of_a_record),
        cmocka_unit_test(test_a_builder_past_its_limit_leaves_nothing),
        cmocka_unit_test(test_a_marker_is_a_control_batch_of_one_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
