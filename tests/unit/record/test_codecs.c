/* Compressing and inflating: what clients need to see, and what strangers may do to us. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "broker/record/xxhash32.h"
#include "tests/unit/record/batches.h"

#define TEXT_BYTES 200000

static void fill_text(struct buf *text)
{
    uint32_t seed = 9;
    while (text->size < TEXT_BYTES) {
        seed = seed * 1664525 + 1013904223;
        buf_printf(text, "line %u of %u\n", seed >> 24, seed >> 20);
    }
}

static enum err inflate(enum codec codec, int8_t magic, struct slice bytes, struct buf *ret)
{
    struct stream stream;
    enum err e = stream_open(&stream, codec, magic, bytes);
    if (e)
        return e;
    e = stream_read_all(&stream, 64 << 20, ret);
    stream_close(&stream);
    return e;
}

static void check_round_trip(enum codec codec, int level, struct slice text)
{
    struct buf squeezed = {0}, again = {0};
    assert_int_equal(records_compress(codec, level, 2, text, &squeezed), ERR_OK);
    assert_int_equal(inflate(codec, 2, buf_slice(&squeezed), &again), ERR_OK);
    assert_int_equal(again.size, text.size);
    assert_memory_equal(again.data ? again.data : (const uint8_t *)"", text.data, text.size);
    buf_done(&squeezed);
    buf_done(&again);
}

static void test_every_level_gives_back_what_it_took(void **state)
{
    (void)state;
    static const struct {
        int from, to;
    } levels[CODEC_COUNT] = {{0, 0}, {-1, 9}, {0, 0}, {1, 17}, {-5, 22}};
    struct buf text = {0};
    fill_text(&text);
    for (int codec = CODEC_NONE; codec < CODEC_COUNT; codec++)
        for (int level = levels[codec].from; level <= levels[codec].to; level++)
            check_round_trip((enum codec)codec, level,
                             slice_of(text.data, level > 9 ? 20000 : text.size));
    buf_done(&text);
}

static void test_nothing_and_one_byte_are_given_back(void **state)
{
    (void)state;
    for (int codec = CODEC_NONE; codec < CODEC_COUNT; codec++) {
        check_round_trip((enum codec)codec, 1, SLICE_LITERAL(""));
        check_round_trip((enum codec)codec, 1, SLICE_LITERAL("x"));
    }
}

static void test_pieces_give_the_same_stream_as_the_whole(void **state)
{
    (void)state;
    struct buf text = {0};
    fill_text(&text);
    for (int codec = CODEC_NONE; codec < CODEC_COUNT; codec++) {
        struct buf out = {0}, again = {0};
        struct squeezer *squeezer;
        assert_int_equal(squeezer_open((enum codec)codec, 1, 2, &out, &squeezer), ERR_OK);
        for (size_t at = 0, step = 1; at < text.size; at += step, step = step * 3 % 70001) {
            if (step > text.size - at)
                step = text.size - at;
            assert_int_equal(squeezer_put(squeezer, slice_of(text.data + at, step)), ERR_OK);
        }
        assert_int_equal(squeezer_finish(squeezer), ERR_OK);
        squeezer_free(squeezer);
        assert_int_equal(inflate((enum codec)codec, 2, buf_slice(&out), &again), ERR_OK);
        assert_true(slice_equal(buf_slice(&again), buf_slice(&text)));
        buf_done(&out);
        buf_done(&again);
    }
    buf_done(&text);
}

static void test_snappy_is_framed_as_xerial_in_blocks_of_32_kib(void **state)
{
    (void)state;
    static const uint8_t head[] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1};
    struct buf text = {0}, out = {0};
    fill_text(&text);
    assert_int_equal(records_compress(CODEC_SNAPPY, 0, 2, slice_of(text.data, 70000), &out),
                     ERR_OK);
    assert_memory_equal(out.data, head, sizeof head);
    int blocks = 0;
    for (size_t at = sizeof head; at < out.size; blocks++)
        at += 4 + get_be32(out.data + at);
    assert_int_equal(blocks, 3);
    buf_done(&text);
    buf_done(&out);
}

/* Some clients send it without the frame that Java's library puts around it. */
static void test_bare_snappy_is_read_too(void **state)
{
    (void)state;
    static const uint8_t bare[] = {4, 3 << 2, 't', 'e', 'x', 't'}; /* the length, a literal of 4 */
    struct buf again = {0};
    assert_int_equal(inflate(CODEC_SNAPPY, 2, slice_of(bare, sizeof bare), &again), ERR_OK);
    assert_true(slice_equal_str(buf_slice(&again), "text"));
    buf_done(&again);
}

static void test_lz4_blocks_are_independent_and_the_head_sum_is_that_of_the_format(void **state)
{
    (void)state;
    for (int8_t magic = 0; magic <= 2; magic++) {
        struct buf out = {0};
        assert_int_equal(records_compress(CODEC_LZ4, 9, magic, SLICE_LITERAL("text"), &out),
                         ERR_OK);
        assert_int_equal(out.data[4], 0x60); /* version 1, independent, no sums, no size */
        assert_int_equal(out.data[5], 0x40); /* 64 KiB */
        uint32_t sum = magic ? xxhash32(out.data + 4, 2) : xxhash32(out.data, 6);
        assert_int_equal(out.data[6], (uint8_t)(sum >> 8));
        buf_done(&out);
    }
}

static void test_lz4_of_dependent_blocks_or_a_wrong_head_is_refused(void **state)
{
    (void)state;
    struct buf out = {0}, again = {0};
    assert_int_equal(records_compress(CODEC_LZ4, 9, 2, SLICE_LITERAL("text"), &out), ERR_OK);
    out.data[6] ^= 1;
    assert_int_equal(inflate(CODEC_LZ4, 2, buf_slice(&out), &again), ERR_UNKNOWN_SERVER_ERROR);
    assert_int_equal(inflate(CODEC_LZ4, 0, buf_slice(&out), &again), ERR_OK);
    out.data[4] &= (uint8_t)~0x20;
    out.data[6] = (uint8_t)(xxhash32(out.data + 4, 2) >> 8);
    assert_int_equal(inflate(CODEC_LZ4, 2, buf_slice(&out), &again), ERR_UNKNOWN_SERVER_ERROR);
    buf_done(&out);
    buf_done(&again);
}

static void test_streams_put_one_behind_the_other_are_read_as_one(void **state)
{
    (void)state;
    static const enum codec codecs[] = {CODEC_GZIP, CODEC_SNAPPY, CODEC_ZSTD};
    for (size_t i = 0; i < ARRAY_SIZE(codecs); i++) {
        struct buf out = {0}, again = {0};
        struct slice text = SLICE_LITERAL("what is in the first member ");
        assert_int_equal(records_compress(codecs[i], 1, 2, text, &out), ERR_OK);
        assert_int_equal(records_compress(codecs[i], 1, 2, SLICE_LITERAL("and the second"), &out),
                         ERR_OK);
        assert_int_equal(inflate(codecs[i], 2, buf_slice(&out), &again), ERR_OK);
        assert_true(
            slice_equal_str(buf_slice(&again), "what is in the first member and the second"));
        buf_done(&out);
        buf_done(&again);
    }
}

/* Cut anywhere, a stream gives an error or less than the whole, and never reads on. */
static void test_no_cut_stream_passes_for_a_whole_one(void **state)
{
    (void)state;
    struct slice text = SLICE_LITERAL("some text, some more text, and some text again and again");
    for (int codec = CODEC_GZIP; codec < CODEC_COUNT; codec++) {
        struct buf out = {0};
        assert_int_equal(records_compress((enum codec)codec, 1, 2, text, &out), ERR_OK);
        for (size_t size = 0; size < out.size; size++) {
            struct buf again = {0};
            uint8_t *part = malloc(size ? size : 1);
            memcpy(part, out.data, size);
            enum err e = inflate((enum codec)codec, 2, slice_of(part, size), &again);
            assert_true(e || again.size < text.size);
            free(part);
            buf_done(&again);
        }
        buf_done(&out);
    }
}

#define BOMB_BYTES    (200u << 20)
#define BOMB_PEAK_KIB (40 << 10)

static enum err validate_within(struct buf *batch, int codec, int32_t max_message_bytes)
{
    OWNED(arena) struct arena *arena = arena_new();
    struct validate_config config = plain_config();
    struct validate_input input = input_of(batch);
    struct validate_result result;
    config.max_message_bytes = max_message_bytes;
    config.codec = codec;
    return records_validate(&config, &input, arena, &result);
}

static void test_checking_a_bomb_takes_a_window_of_memory(void **state)
{
    (void)state;
    for (int codec = CODEC_GZIP; codec < CODEC_COUNT; codec++) {
        struct buf batch = {0};
        put_zeros(&batch, (enum codec)codec, 1, BOMB_BYTES);
        assert_true(batch.size < BOMB_BYTES / 15);
        long before = peak_kib();
        assert_int_equal(validate_within(&batch, VALIDATE_KEEP_CODEC, 32 << 20), ERR_OK);
        assert_true(peak_kib() - before < BOMB_PEAK_KIB);
        buf_done(&batch);
    }
}

static void test_recompressing_a_bomb_of_small_records_takes_a_window_of_memory(void **state)
{
    (void)state;
    struct buf batch = {0};
    put_zeros(&batch, CODEC_ZSTD, 20000, 5000);
    long before = peak_kib();
    assert_int_equal(validate_within(&batch, CODEC_LZ4, 1 << 20), ERR_OK);
    put_be64(batch.data, 0);
    assert_int_equal(validate_within(&batch, CODEC_NONE, 1 << 20), ERR_MESSAGE_TOO_LARGE);
    assert_true(peak_kib() - before < BOMB_PEAK_KIB);
    buf_done(&batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checking_a_bomb_takes_a_window_of_memory),
        cmocka_unit_test(test_recompressing_a_bomb_of_small_records_takes_a_window_of_memory),
        cmocka_unit_test(test_every_level_gives_back_what_it_took),
        cmocka_unit_test(test_nothing_and_one_byte_are_given_back),
        cmocka_unit_test(test_pieces_give_the_same_stream_as_the_whole),
        cmocka_unit_test(test_snappy_is_framed_as_xerial_in_blocks_of_32_kib),
        cmocka_unit_test(test_bare_snappy_is_read_too),
        cmocka_unit_test(test_lz4_blocks_are_independent_and_the_head_sum_is_that_of_the_format),
        cmocka_unit_test(test_lz4_of_dependent_blocks_or_a_wrong_head_is_refused),
        cmocka_unit_test(test_streams_put_one_behind_the_other_are_read_as_one),
        cmocka_unit_test(test_no_cut_stream_passes_for_a_whole_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
