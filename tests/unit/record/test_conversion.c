/* Records for old clients, compared with what the JVM's classes made of the same bytes; wrappers
 * are compared by what they hold.
 *
 * convert.cases, behind a count of 4 bytes: magic 1 | fetchOffset 8 | size 4 | records
 * convert.answers: error 2 | size 4 | bytes */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "broker/record/build.h"
#include "broker/record/convert.h"
#include "tests/unit/record/answers.h"

static const char *prefix = RECORD_DATA "/convert";

static void inflate(const uint8_t *wrapper, struct buf *ret)
{
    struct legacy_message message;
    struct stream stream;
    assert_int_equal(legacy_message_read(wrapper, &message), ERR_OK);
    assert_int_equal(stream_open(&stream, (enum codec)(message.attributes & BATCH_CODEC_MASK),
                                 message.magic, message.value),
                     ERR_OK);
    assert_int_equal(stream_read_all(&stream, 1 << 20, ret), ERR_OK);
    stream_close(&stream);
}

static bool is_same_wrapper(const uint8_t *ours, const uint8_t *theirs)
{
    struct legacy_message a, b;
    assert_int_equal(legacy_message_read(ours, &a), ERR_OK);
    assert_int_equal(legacy_message_read(theirs, &b), ERR_OK);
    if (a.offset != b.offset || a.magic != b.magic || a.attributes != b.attributes ||
        a.timestamp_ms != b.timestamp_ms || !slice_equal(a.key, b.key))
        return false;
    struct buf x = {0}, y = {0};
    inflate(ours, &x);
    inflate(theirs, &y);
    bool same = slice_equal(buf_slice(&x), buf_slice(&y));
    buf_done(&x);
    buf_done(&y);
    return same;
}

static bool is_same_message(struct slice ours, struct slice theirs)
{
    if (slice_equal(ours, theirs))
        return true;
    return batch_magic(ours.data) < 2 && ours.data[17] & BATCH_CODEC_MASK &&
           batch_crc_is_right(ours.data) && is_same_wrapper(ours.data, theirs.data);
}

static struct slice next_message(struct slice bytes, size_t *at)
{
    struct batch_info info;
    assert_int_equal(batch_peek(slice_of(bytes.data + *at, bytes.size - *at), &info), ERR_OK);
    assert_true((size_t)info.size_bytes <= bytes.size - *at);
    *at += (size_t)info.size_bytes;
    return slice_of(bytes.data + *at - info.size_bytes, (size_t)info.size_bytes);
}

static bool is_same(struct slice ours, struct slice theirs)
{
    size_t at = 0, there = 0;
    while (at < ours.size && there < theirs.size)
        if (!is_same_message(next_message(ours, &at), next_message(theirs, &there)))
            return false;
    return at == ours.size && there == theirs.size;
}

static int compare_one(int number, struct source *cases, struct source *answers)
{
    int8_t magic = (int8_t)source_take(cases, 1);
    int64_t fetch_offset = source_take(cases, 8);
    size_t size = (size_t)source_take(cases, 4);
    struct slice records = source_take_bytes(cases, size);
    int16_t code = (int16_t)source_take(answers, 2);
    size_t stored = (size_t)source_take(answers, 4);
    struct slice theirs = source_take_bytes(answers, stored);
    struct buf ours = {0};
    enum err e = records_convert_down(records, magic, fetch_offset, &ours);
    /* A zstd batch behind others: the JVM's function refuses all, its caller sends the others. */
    bool is_right = code == 76 && !e
                        ? true
                        : err_wire_code(e) == code && (e || is_same(buf_slice(&ours), theirs));
    if (!is_right)
        printf("case %d: error %d, the JVM's %d; %zu bytes, the JVM's %zu\n", number,
               err_wire_code(e), code, ours.size, theirs.size);
    buf_done(&ours);
    return !is_right;
}

static void test_old_clients_get_what_the_jvm_would_send(void **state)
{
    (void)state;
    char path[512];
    struct source cases, answers;
    snprintf(path, sizeof path, "%s.cases", prefix);
    source_open(&cases, path);
    snprintf(path, sizeof path, "%s.answers", prefix);
    source_open(&answers, path);
    int count = (int)source_take(&cases, 4), wrong = 0;
    assert_int_equal(source_take(&answers, 4), count);
    for (int i = 0; i < count; i++)
        wrong += compare_one(i, &cases, &answers);
    assert_int_equal(cases.at, cases.bytes.size);
    source_close(&cases);
    source_close(&answers);
    assert_int_equal(wrong, 0);
}

static void put_batch(struct buf *out, enum codec codec, int64_t base_offset, int count)
{
    struct batch_options options = BATCH_OPTIONS_DEFAULT;
    options.codec = codec;
    options.level = codec == CODEC_GZIP ? -1 : 1;
    options.base_offset = base_offset;
    struct batch_builder builder;
    batch_builder_init(&builder, &options, out);
    for (int i = 0; i < count; i++)
        batch_builder_add(&builder, base_offset + i, 1000 + i, SLICE_NULL, SLICE_LITERAL("value"),
                          SLICE_NULL);
    assert_int_equal(batch_builder_finish(&builder), ERR_OK);
    batch_builder_done(&builder);
}

static void test_a_zstd_batch_ends_the_conversion_before_it(void **state)
{
    (void)state;
    struct buf in = {0}, out = {0};
    put_batch(&in, CODEC_GZIP, 0, 3);
    put_batch(&in, CODEC_ZSTD, 3, 3);
    put_batch(&in, CODEC_NONE, 6, 3);
    assert_int_equal(records_convert_down(buf_slice(&in), 1, 0, &out), ERR_OK);
    size_t at = 0;
    assert_int_equal(batch_base_offset(next_message(buf_slice(&out), &at).data), 2);
    assert_int_equal(at, out.size);
    buf_done(&in);
    buf_done(&out);
}

static void test_a_zstd_batch_at_the_front_is_refused(void **state)
{
    (void)state;
    struct buf in = {0}, out = {0};
    put_batch(&in, CODEC_ZSTD, 0, 3);
    put_batch(&in, CODEC_NONE, 3, 3);
    assert_int_equal(records_convert_down(buf_slice(&in), 1, 0, &out),
                     ERR_UNSUPPORTED_COMPRESSION_TYPE);
    buf_done(&in);
    buf_done(&out);
}

static void test_markers_alone_leave_nothing(void **state)
{
    (void)state;
    struct buf in = {0}, out = {0};
    batch_put_txn_marker(&in, 7, 1, true, 3, 1000);
    batch_put_txn_marker(&in, 8, 1, false, 3, 1000);
    assert_int_equal(records_convert_down(buf_slice(&in), 1, 0, &out), ERR_OK);
    assert_int_equal(out.size, 0);
    buf_done(&in);
    buf_done(&out);
}

static void test_a_batch_that_compaction_emptied_leaves_nothing(void **state)
{
    (void)state;
    struct buf in = {0}, out = {0};
    put_batch(&in, CODEC_NONE, 3, 1);
    in.size = BATCH_HEADER_SIZE;
    put_be32(in.data + BATCH_LENGTH_AT, BATCH_HEADER_SIZE - BATCH_PREFIX_SIZE);
    put_be64(in.data + 27, (uint64_t)NO_TIMESTAMP);
    put_be32(in.data + 57, 0);
    batch_seal(in.data);
    put_batch(&in, CODEC_NONE, 4, 1);
    assert_int_equal(records_convert_down(buf_slice(&in), 1, 3, &out), ERR_OK);
    size_t at = 0;
    assert_int_equal(batch_base_offset(next_message(buf_slice(&out), &at).data), 4);
    assert_int_equal(at, out.size);
    buf_done(&in);
    buf_done(&out);
}

static void test_plain_records_below_the_fetch_offset_are_left_out(void **state)
{
    (void)state;
    struct buf in = {0}, out = {0};
    put_batch(&in, CODEC_NONE, 10, 5);
    assert_int_equal(records_convert_down(buf_slice(&in), 0, 13, &out), ERR_OK);
    size_t at = 0;
    assert_int_equal(batch_base_offset(next_message(buf_slice(&out), &at).data), 13);
    assert_int_equal(batch_base_offset(next_message(buf_slice(&out), &at).data), 14);
    assert_int_equal(at, out.size);
    buf_done(&in);
    buf_done(&out);
}

/* An argument names other files to compare with: PREFIX of PREFIX.cases and PREFIX.answers. */
int main(int argc, char **argv)
{
    if (argc > 1)
        prefix = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_old_clients_get_what_the_jvm_would_send),
        cmocka_unit_test(test_a_zstd_batch_ends_the_conversion_before_it),
        cmocka_unit_test(test_a_zstd_batch_at_the_front_is_refused),
        cmocka_unit_test(test_markers_alone_leave_nothing),
        cmocka_unit_test(test_a_batch_that_compaction_emptied_leaves_nothing),
        cmocka_unit_test(test_plain_records_below_the_fetch_offset_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
