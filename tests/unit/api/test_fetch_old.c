/* Fetch of clients that know older formats, codecs or errors. */
#include "fetch_fixture.h"

/* --- old clients --- */

static void test_old_versions_are_given_old_formats(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    append_to(p, 3);
    for (int16_t version = 0; version <= 3; version++) {
        struct fake_call *call = fetch(api, version, &at_start, 1);
        const struct fetch_response_partition_data *data = fetched(call);
        assert_int_equal(data->error_code, 0);
        assert_int_equal(data->high_watermark, 3);
        assert_true(fake_worker_runs(call) > 0); /* converting may read a disk */
        struct slice left = data->records.bytes;
        for (int64_t offset = 0; offset < 3; offset++) {
            struct batch_info message;
            assert_err(batch_peek(left, &message), ERR_OK);
            assert_int_equal(message.magic, version <= 1 ? 0 : 1);
            assert_int_equal(message.base_offset, offset);
            assert_true(batch_crc_is_right(left.data));
            left = slice_of(left.data + message.size_bytes, left.size - (size_t)message.size_bytes);
        }
    }
    partition_unref(p);
}

/* What lies behind the whole messages: the head of one that is longer than the rest, so that every
 * client takes the rest for a message that was cut. */
static void assert_rest_looks_cut(struct slice records, size_t whole_bytes)
{
    assert_true(records.size >= whole_bytes + BATCH_PREFIX_SIZE);
    struct slice rest = slice_of(records.data + whole_bytes, records.size - whole_bytes);
    assert_int_equal((int64_t)get_be64(rest.data), -1);
    /* No shorter than a batch can be: some clients call that corrupt. */
    assert_true(get_be32(rest.data + BATCH_LENGTH_AT) >= BATCH_HEADER_SIZE);
    assert_true(BATCH_PREFIX_SIZE + get_be32(rest.data + BATCH_LENGTH_AT) > rest.size);
}

static void test_what_conversion_saves_looks_like_a_message_that_was_cut(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    append_to(p, 1);
    int64_t stored = log_size_bytes(partition_log(p));
    struct fake_call *call = fetch(api, 3, &at_start, 1);
    struct slice records = fetched(call)->records.bytes;
    assert_int_equal(records.size, stored);
    struct batch_info message;
    assert_err(batch_peek(records, &message), ERR_OK);
    assert_rest_looks_cut(records, (size_t)message.size_bytes);
    partition_unref(p);
}

/* Whatever number of bytes is left over. */
static void test_a_rest_of_few_bytes_is_never_a_message_that_is_too_short(void **state)
{
    struct api *api = *state;
    for (int records = 1; records <= 6; records++)
        for (int value_size = 1; value_size <= 40; value_size += 3) {
            struct partition *p = led_topic(api, "t", 100 * records + value_size);
            struct batch_spec spec = {.records = records, .value_size = value_size};
            assert_err(try_append_to(p, ACKS_LEADER, &spec), ERR_OK);
            struct asked asked = {.topic = "t", .partition = 100 * records + value_size};
            struct slice left = fetched(fetch(api, 3, &asked, 1))->records.bytes;
            struct batch_info message;
            while (!batch_peek(left, &message) && (size_t)message.size_bytes <= left.size)
                left = slice_of(left.data + message.size_bytes,
                                left.size - (size_t)message.size_bytes);
            if (left.size >= BATCH_PREFIX_SIZE)
                assert_rest_looks_cut(left, 0);
            partition_unref(p);
        }
}

/* Their offsets would be lost on a client that sees an answer of nothing: it waits at the end. */
static void test_where_nothing_can_be_converted_the_head_of_a_message_is_sent(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    append_txn(p, 5, 0);
    end_txn(p, 5, false);
    append_to(p, 1);
    struct asked marker = {.topic = "t", .offset = 2, .max_bytes = 1};
    struct slice records = fetched(fetch(api, 3, &marker, 1))->records.bytes;
    static const uint8_t head[] = {255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 61};
    assert_true(slice_equal(records, slice_of(head, sizeof head)));
    /* Below version 3 the limit holds for the first message too. */
    assert_int_equal(fetched(fetch(api, 2, &marker, 1))->records.bytes.size, 0);
    assert_int_equal(
        fetched(fetch(api, 2, &(struct asked){.topic = "t", .offset = 4}, 1))->records.bytes.size,
        0);
    partition_unref(p);
}

static void test_what_old_clients_cannot_have_is_refused(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    append_to(p, 3);
    api->facts.is_down_conversion_allowed = false;
    assert_failed(fetched(fetch(api, 3, &at_start, 1)), ERR_UNSUPPORTED_VERSION);
    assert_int_equal(fetched(fetch(api, 4, &at_start, 1))->error_code, 0);
    api->facts.compression = CODEC_ZSTD;
    assert_failed(fetched(fetch(api, 9, &at_start, 1)), ERR_UNSUPPORTED_COMPRESSION_TYPE);
    assert_int_equal(fetched(fetch(api, 10, &at_start, 1))->error_code, 0);
    partition_unref(p);
}

static void test_old_versions_know_no_storage_error(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    partition_retire(p, true);
    assert_failed(fetched(fetch(api, 6, &at_start, 1)), ERR_KAFKA_STORAGE_ERROR);
    const struct fetch_response_partition_data *data = fetched(fetch(api, 5, &at_start, 1));
    assert_code(data->error_code, ERR_NOT_LEADER_OR_FOLLOWER);
    partition_unref(p);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, api_setup, api_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_old_versions_are_given_old_formats),
        TEST(test_what_conversion_saves_looks_like_a_message_that_was_cut),
        TEST(test_a_rest_of_few_bytes_is_never_a_message_that_is_too_short),
        TEST(test_where_nothing_can_be_converted_the_head_of_a_message_is_sent),
        TEST(test_what_old_clients_cannot_have_is_refused),
        TEST(test_old_versions_know_no_storage_error),
    };
    return cmocka_run_group_tests_name("fetch old", tests, NULL, NULL);
}
