/* Where a consumer is sent to read (KIP-392, storage-and-replication §17.1, trap 60). Broker 1
 * leads and is in rack a; brokers 2 and 3 are in rack b. */
#include "api_fixture.h"

#include "broker/api/fetch_rack.h"

#define NEWEST_BY_NAME 12

static int setup(void **state)
{
    api_setup(state);
    struct api *api = *state;
    api_configure(api, "replica.selector.class=" RACK_AWARE_SELECTOR_CLASS "\n");
    static const char *const racks[] = {NULL, "a", "b", "b"};
    for (int id = 1; id <= 3; id++)
        api->r->racks[id] = racks[id];
    api->fetch.rack_id = SLICE_LITERAL("b");
    return 0;
}

/* Led with these in the ISR, ten records long. */
static struct partition *ten(struct api *api, int32_t in_sync)
{
    struct partition *p = replicated_topic(api, "t", in_sync);
    append_to(p, 10);
    for (int32_t id = 2; id <= 3; id++)
        follower_at(p, id, 10);
    return p;
}

static const struct fetch_response_partition_data *read_at(struct api *api, int16_t version,
                                                           int64_t offset)
{
    struct asked asked = {.topic = "t", .offset = offset, .leader_epoch = EPOCH};
    return fetched(fetch(api, version, &asked, 1));
}

static void reads_here(struct api *api, int16_t version, int64_t offset)
{
    const struct fetch_response_partition_data *data = read_at(api, version, offset);
    assert_int_equal(data->error_code, 0);
    assert_int_equal(data->preferred_read_replica, -1);
    assert_true(data->records.bytes.size > 0);
}

static void is_sent_to(struct api *api, int32_t broker_id, int64_t offset)
{
    const struct fetch_response_partition_data *data = read_at(api, NEWEST_BY_NAME, offset);
    assert_int_equal(data->error_code, 0);
    assert_int_equal(data->preferred_read_replica, broker_id);
    assert_int_equal(data->records.bytes.size, 0);
    assert_int_equal(data->high_watermark, 10);
}

static void test_a_consumer_is_sent_to_the_replica_in_its_rack_without_records(void **state)
{
    struct partition *p = ten(*state, 3);
    is_sent_to(*state, 3, 0); /* both have all: the highest id */
    partition_unref(p);
}

static void test_it_is_answered_at_once_however_long_it_would_wait(void **state)
{
    struct api *api = *state;
    struct partition *p = ten(api, 3);
    api->fetch.max_wait_ms = 60000;
    api->fetch.min_bytes = 1 << 20;
    is_sent_to(api, 3, 10); /* where nothing is to be read yet */
    partition_unref(p);
}

static void test_the_replica_that_has_most_is_chosen_then_the_last_to_catch_up(void **state)
{
    struct api *api = *state;
    struct partition *p = ten(api, 3);
    append_to(p, 5);
    follower_at(p, 2, 15);
    follower_at(p, 3, 12);
    assert_int_equal(read_at(api, NEWEST_BY_NAME, 0)->preferred_read_replica, 2);
    follower_at(p, 3, 15);
    clock_manual_advance_ms(&api->r->logs->clock, 5);
    follower_at(p, 2, 15); /* later than 3 */
    assert_int_equal(read_at(api, NEWEST_BY_NAME, 0)->preferred_read_replica, 2);
    partition_unref(p);
}

static void test_a_replica_that_is_not_in_sync_or_lacks_the_offset_is_no_choice(void **state)
{
    struct api *api = *state;
    struct partition *p = ten(api, 2);
    is_sent_to(api, 2, 0); /* 3 is not in the ISR */
    append_to(p, 5);
    follower_at(p, 2, 12);
    follower_at(p, 3, 15);
    assert_int_equal(partition_high_watermark(p), 12);
    const struct fetch_response_partition_data *data = read_at(api, NEWEST_BY_NAME, 13);
    assert_int_equal(data->preferred_read_replica, -1);
    partition_unref(p);
}

static void test_a_consumer_in_the_leaders_rack_or_in_none_reads_here(void **state)
{
    struct api *api = *state;
    struct partition *p = ten(api, 3);
    static const char *const racks[] = {"a", "", "z"};
    for (size_t i = 0; i < ARRAY_SIZE(racks); i++) {
        api->fetch.rack_id = slice_str(racks[i]);
        reads_here(api, NEWEST_BY_NAME, 0);
    }
    partition_unref(p);
}

static void test_clients_before_version_11_and_followers_read_here(void **state)
{
    struct api *api = *state;
    struct partition *p = ten(api, 3);
    reads_here(api, 10, 0);
    api->fetch.replica_id = 2;
    reads_here(api, NEWEST_BY_NAME, 0);
    partition_unref(p);
}

static void test_without_the_selector_everybody_reads_here(void **state)
{
    struct api *api = *state;
    api_configure(api, "");
    struct partition *p = ten(api, 3);
    reads_here(api, NEWEST_BY_NAME, 0);
    partition_unref(p);
}

static void test_a_replica_that_the_client_cannot_reach_is_no_choice(void **state)
{
    struct api *api = *state;
    struct partition *p = ten(api, 3);
    fake_loop_set_listener(api->loop, "INSIDE"); /* no broker has it */
    reads_here(api, NEWEST_BY_NAME, 0);
    partition_unref(p);
}

static void test_a_follower_sends_nobody_away(void **state)
{
    struct api *api = *state;
    struct partition *p = ten(api, 3);
    lose_leadership(api, "t");
    assert_int_equal(partition_high_watermark(p), 10);
    struct asked asked = {.topic = "t", .offset = 0};
    const struct fetch_response_partition_data *data =
        fetched(fetch(api, NEWEST_BY_NAME, &asked, 1));
    assert_int_equal(data->error_code, 0);
    assert_int_equal(data->preferred_read_replica, -1);
    assert_true(data->records.bytes.size > 0);
    partition_unref(p);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, api_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_consumer_is_sent_to_the_replica_in_its_rack_without_records),
        TEST(test_it_is_answered_at_once_however_long_it_would_wait),
        TEST(test_the_replica_that_has_most_is_chosen_then_the_last_to_catch_up),
        TEST(test_a_replica_that_is_not_in_sync_or_lacks_the_offset_is_no_choice),
        TEST(test_a_consumer_in_the_leaders_rack_or_in_none_reads_here),
        TEST(test_clients_before_version_11_and_followers_read_here),
        TEST(test_without_the_selector_everybody_reads_here),
        TEST(test_a_replica_that_the_client_cannot_reach_is_no_choice),
        TEST(test_a_follower_sends_nobody_away),
    };
    return cmocka_run_group_tests_name("fetch rack", tests, NULL, NULL);
}
