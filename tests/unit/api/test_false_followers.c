/* Followers that claim what they cannot have: an offset beyond the leader's end, records of another
 * history, another epoch. Each is refused, the first is traced, and neither the high watermark nor
 * the ISR moves. */
#include "api_fixture.h"

#define VERSION 12 /* the newest that names topics by name */
#define RECORDS 4

/* Broker 2 is in sync and 3 is not; RECORDS stand in the log, and only we have them. */
static struct partition *with_records(struct api *api)
{
    struct partition *p = replicated_topic(api, "t", 2);
    append_to(p, RECORDS);
    assert_int_equal(partition_high_watermark(p), 0);
    return p;
}

static const struct fetch_response_partition_data *fetch_as(struct api *api, int32_t broker_id,
                                                            struct asked asked)
{
    asked.topic = "t";
    api->fetch.replica_id = broker_id;
    return fetched(fetch(api, VERSION, &asked, 1));
}

static void assert_nothing_moved(struct api *api, struct partition *p)
{
    assert_int_equal(partition_high_watermark(p), 0);
    assert_int_equal(api->r->isr_wishes_count, 0);
    assert_int_equal(log_end_offset(partition_log(p)), RECORDS);
}

static void test_an_offset_beyond_the_end_moves_neither_watermark_nor_isr(void **state)
{
    struct api *api = *state;
    struct partition *p = with_records(api);
    static const int64_t claims[] = {RECORDS + 1, INT64_MAX, -1, INT64_MIN};
    struct traced traced;
    traced_begin(&traced, TRACE_INFO);
    for (size_t i = 0; i < ARRAY_SIZE(claims); i++) {
        for (int32_t follower = 2; follower <= 3; follower++) {
            struct asked asked = {.offset = claims[i]};
            char claim[64];
            int32_t before = traced.lines;
            snprintf(claim, sizeof claim, "follower=%d offset=%lld", follower,
                     (long long)claims[i]);
            assert_code(fetch_as(api, follower, asked)->error_code, ERR_OFFSET_OUT_OF_RANGE);
            assert_nothing_moved(api, p);
            assert_int_equal(traced.lines, before + 1);
            assert_non_null(strstr(traced.last, claim));
        }
    }
    traced_end();
    partition_unref(p);
}

static void test_records_of_another_history_move_neither_watermark_nor_isr(void **state)
{
    struct api *api = *state;
    struct partition *p = with_records(api);
    struct asked asked = {.offset = RECORDS, .last_epoch = EPOCH - 1};
    for (int32_t follower = 2; follower <= 3; follower++) {
        const struct fetch_response_partition_data *data = fetch_as(api, follower, asked);
        assert_code(data->error_code, ERR_OK);
        assert_int_equal(data->diverging_epoch.end_offset, 0);
        assert_int_equal(data->records.bytes.size, 0);
        assert_nothing_moved(api, p);
    }
    asked.last_epoch = EPOCH + 1; /* one that has not begun */
    for (int32_t follower = 2; follower <= 3; follower++) {
        fetch_as(api, follower, asked);
        assert_nothing_moved(api, p);
    }
    partition_unref(p);
}

static void test_a_follower_of_another_epoch_moves_neither_watermark_nor_isr(void **state)
{
    struct api *api = *state;
    struct partition *p = with_records(api);
    struct asked old = {.offset = RECORDS, .leader_epoch = EPOCH - 1};
    struct asked early = {.offset = RECORDS, .leader_epoch = EPOCH + 1};
    for (int32_t follower = 2; follower <= 3; follower++) {
        assert_code(fetch_as(api, follower, old)->error_code, ERR_FENCED_LEADER_EPOCH);
        assert_nothing_moved(api, p);
        assert_code(fetch_as(api, follower, early)->error_code, ERR_UNKNOWN_LEADER_EPOCH);
        assert_nothing_moved(api, p);
    }
    partition_unref(p);
}

/* And what is true is believed: the same questions, with an offset and an epoch that can be. */
static void test_the_end_of_the_log_moves_both(void **state)
{
    struct api *api = *state;
    struct partition *p = with_records(api);
    struct asked asked = {.offset = RECORDS, .leader_epoch = EPOCH, .last_epoch = EPOCH};
    assert_code(fetch_as(api, 2, asked)->error_code, ERR_OK);
    assert_int_equal(partition_high_watermark(p), RECORDS);
    assert_code(fetch_as(api, 3, asked)->error_code, ERR_OK);
    assert_int_equal(api->r->isr_wishes_count, 1);
    partition_unref(p);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, api_setup, api_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_an_offset_beyond_the_end_moves_neither_watermark_nor_isr),
        TEST(test_records_of_another_history_move_neither_watermark_nor_isr),
        TEST(test_a_follower_of_another_epoch_moves_neither_watermark_nor_isr),
        TEST(test_the_end_of_the_log_moves_both),
    };
    return cmocka_run_group_tests_name("false followers", tests, NULL, NULL);
}
