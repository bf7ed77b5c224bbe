/* ListOffsets and OffsetForLeaderEpoch: where a log begins and ends, by time, and by epoch. */
#include "api_fixture.h"
#include "broker/record/build.h"
#include "wire/list_offsets.h"
#include "wire/offset_for_leader_epoch.h"

#define NEWEST 9

enum { LATEST = -1, EARLIEST = -2, MAX_TIMESTAMP = -3, EARLIEST_LOCAL = -4, LATEST_TIERED = -5 };

struct wish {
    const char *topic;               /* NULL: "t" */
    int32_t partition, leader_epoch; /* 0: not checked */
    int64_t timestamp;
    int32_t most; /* version 0 */
};

struct ask_options {
    int32_t replica_id;
    int8_t isolation_level;
};
static const struct ask_options consumer = {.replica_id = -1};

static struct fake_call *ask(struct api *api, int16_t api_version, struct ask_options options,
                             const struct wish *wishes, int32_t count)
{
    struct list_offsets_request request;
    list_offsets_request_init(&request);
    request.replica_id = options.replica_id;
    request.isolation_level = options.isolation_level;
    request.topics =
        arena_new_array(api->arena, struct list_offsets_request_list_offsets_topic, count + 1);
    request.topics_count = count;
    for (int32_t i = 0; i < count; i++) {
        struct list_offsets_request_list_offsets_partition *partition =
            arena_new_array(api->arena, struct list_offsets_request_list_offsets_partition, 1);
        list_offsets_request_list_offsets_partition_init(partition);
        partition->partition_index = wishes[i].partition;
        partition->timestamp = wishes[i].timestamp;
        if (wishes[i].most)
            partition->max_num_offsets = wishes[i].most;
        partition->current_leader_epoch = wishes[i].leader_epoch ? wishes[i].leader_epoch : -1;
        request.topics[i].name = slice_str(wishes[i].topic ? wishes[i].topic : "t");
        request.topics[i].partitions = partition;
        request.topics[i].partitions_count = 1;
    }
    return fake_call(api->loop, handle_list_offsets, API_LIST_OFFSETS, api_version, &request);
}

static const struct list_offsets_response_list_offsets_partition_response *
listed(const struct fake_call *call)
{
    const struct list_offsets_response *response = fake_answer(call);
    assert_int_equal(response->topics_count, 1);
    assert_int_equal(response->topics[0].partitions_count, 1);
    return &response->topics[0].partitions[0];
}

static const struct list_offsets_response_list_offsets_partition_response *
ask_one(struct api *api, int16_t api_version, int64_t timestamp)
{
    return listed(ask(api, api_version, consumer, &(struct wish){.timestamp = timestamp}, 1));
}

#define assert_found(one, offset_, timestamp_, epoch_)                                             \
    do {                                                                                           \
        const struct list_offsets_response_list_offsets_partition_response *o_ = (one);            \
        assert_int_equal(o_->error_code, 0);                                                       \
        assert_int_equal(o_->offset, offset_);                                                     \
        assert_int_equal(o_->timestamp, timestamp_);                                               \
        assert_int_equal(o_->leader_epoch, epoch_);                                                \
    } while (0)

/* Records 0 to 3 at 1000…, 4 and 5 at 3000…, 6 at 2000. */
static struct partition *filled(struct api *api)
{
    struct partition *p = led_topic(api, "t", 0);
    static const struct batch_spec specs[] = {{.records = 4, .timestamp = 1000},
                                              {.records = 2, .timestamp = 3000},
                                              {.records = 1, .timestamp = 2000}};
    for (size_t i = 0; i < ARRAY_SIZE(specs); i++)
        assert_err(try_append_to(p, ACKS_LEADER, &specs[i]), ERR_OK);
    return p;
}

/* --- ListOffsets --- */

static void test_both_ends_in_every_version(void **state)
{
    struct api *api = *state;
    struct partition *p = filled(api);
    int64_t to, low;
    assert_err(partition_delete_records(p, 2, &to, &low), ERR_OK);
    for (int16_t version = 1; version <= NEWEST; version++) {
        int32_t epoch = version >= 4 ? EPOCH : -1;
        assert_found(ask_one(api, version, EARLIEST), 2, -1, epoch);
        assert_found(ask_one(api, version, LATEST), 7, -1, epoch);
    }
    partition_unref(p);
}

static void test_a_time_gives_the_first_record_from_then_on(void **state)
{
    struct api *api = *state;
    struct partition *p = filled(api);
    assert_found(ask_one(api, NEWEST, 0), 0, 1000, EPOCH);
    assert_found(ask_one(api, NEWEST, 1002), 2, 1002, EPOCH);
    assert_found(ask_one(api, NEWEST, 1004), 4, 3000, EPOCH);
    assert_found(ask_one(api, NEWEST, 3001), 5, 3001, EPOCH);
    assert_found(ask_one(api, NEWEST, 3002), -1, -1, -1); /* none so late */
    partition_unref(p);
}

/* In one compressed batch, whose records are not in the order of their times. */
static void test_a_time_is_looked_for_record_by_record_in_the_order_of_offsets(void **state)
{
    struct api *api = *state;
    struct partition *p = led_topic(api, "t", 0);
    static const int64_t times[] = {1000, 3000, 2000, 3000};
    struct buf batch = {0};
    struct batch_options options = BATCH_OPTIONS_DEFAULT;
    struct batch_builder builder;
    options.codec = CODEC_GZIP;
    batch_builder_init(&builder, &options, &batch);
    for (int32_t i = 0; i < (int32_t)ARRAY_SIZE(times); i++)
        batch_builder_add(&builder, i, times[i], SLICE_NULL, SLICE_LITERAL("v"), SLICE_NULL);
    assert_err(batch_builder_finish(&builder), ERR_OK);
    batch_builder_done(&builder);
    append_to(p, 2); /* offsets 0 and 1, at 1000 and 1001 */
    struct sent sent = {.topic = "t", .raw = buf_slice(&batch)};
    assert_int_equal(produced(produce(api, 9, ACKS_LEADER, &sent, 1))->base_offset, 2);
    buf_done(&batch);
    assert_found(ask_one(api, NEWEST, 1000), 0, 1000, EPOCH);
    assert_found(ask_one(api, NEWEST, 1500), 3, 3000, EPOCH); /* though 2000 is nearer */
    assert_found(ask_one(api, NEWEST, 3000), 3, 3000, EPOCH);
    assert_found(ask_one(api, NEWEST, MAX_TIMESTAMP), 3, 3000, EPOCH); /* not the batch's last */
    partition_unref(p);
}

static void test_a_search_by_time_runs_on_a_worker_and_an_end_does_not(void **state)
{
    struct api *api = *state;
    struct partition *p = filled(api);
    const struct wish by_time = {.timestamp = 1002}, latest = {.timestamp = LATEST};
    assert_int_equal(fake_worker_runs(ask(api, NEWEST, consumer, &by_time, 1)), 1);
    assert_int_equal(fake_worker_runs(ask(api, NEWEST, consumer, &latest, 1)), 0);
    partition_unref(p);
}

static void test_special_times_belong_to_their_versions(void **state)
{
    struct api *api = *state;
    struct partition *p = filled(api);
    assert_found(ask_one(api, 7, MAX_TIMESTAMP), 5, 3001, EPOCH);
    assert_code(ask_one(api, 6, MAX_TIMESTAMP)->error_code, ERR_UNSUPPORTED_VERSION);
    assert_found(ask_one(api, 8, EARLIEST_LOCAL), 0, -1, EPOCH);
    assert_code(ask_one(api, 7, EARLIEST_LOCAL)->error_code, ERR_UNSUPPORTED_VERSION);
    assert_found(ask_one(api, 9, LATEST_TIERED), -1, -1, -1);
    assert_code(ask_one(api, 8, LATEST_TIERED)->error_code, ERR_UNSUPPORTED_VERSION);
    assert_code(ask_one(api, 9, -6)->error_code, ERR_UNSUPPORTED_VERSION);
    partition_unref(p);
}

static void test_an_empty_log_has_ends_and_no_times(void **state)
{
    struct api *api = *state;
    struct partition *p = led_topic(api, "t", 0);
    assert_found(ask_one(api, NEWEST, EARLIEST), 0, -1, EPOCH);
    assert_found(ask_one(api, NEWEST, LATEST), 0, -1, EPOCH);
    assert_found(ask_one(api, NEWEST, 0), -1, -1, -1);
    assert_found(ask_one(api, NEWEST, MAX_TIMESTAMP), -1, -1, -1);
    partition_unref(p);
}

static void test_readers_see_as_far_as_they_may_read(void **state)
{
    struct api *api = *state;
    struct partition *p = replicated_topic(api, "t", 2);
    append_to(p, 3);
    append_to(p, 3);
    follower_at(p, 2, 3);
    assert_found(ask_one(api, NEWEST, LATEST), 3, -1, EPOCH);
    const struct wish latest = {.timestamp = LATEST};
    assert_found(listed(ask(api, NEWEST, (struct ask_options){.replica_id = 2}, &latest, 1)), 6, -1,
                 EPOCH);
    append_to(p, 1);
    follower_at(p, 2, 7);
    struct batch_spec txn = {.has_producer = true, .is_transactional = true, .producer_id = 5};
    assert_err(append(partition_log(p), &txn, NULL), ERR_OK);
    follower_at(p, 2, 8);
    const struct ask_options committed = {.replica_id = -1, .isolation_level = READ_COMMITTED};
    assert_found(listed(ask(api, NEWEST, committed, &latest, 1)), 7, -1, EPOCH);
    assert_found(ask_one(api, NEWEST, LATEST), 8, -1, EPOCH);
    partition_unref(p);
}

static void test_a_new_leader_does_not_know_the_latest_at_first(void **state)
{
    struct api *api = *state;
    struct partition *p = replicated_topic(api, "t", 2);
    append_to(p, 3);
    partition_unref(take_role(api->r, &(struct role_spec){.topic = "t",
                                                          .id = id_of(1),
                                                          .leader_epoch = EPOCH + 1,
                                                          .partition_epoch = EPOCH + 1,
                                                          .replicas = {1, 2, 3},
                                                          .replicas_count = 3,
                                                          .isr = {1, 2},
                                                          .isr_count = 2}));
    assert_code(ask_one(api, NEWEST, LATEST)->error_code, ERR_OFFSET_NOT_AVAILABLE);
    assert_code(ask_one(api, 4, LATEST)->error_code, ERR_LEADER_NOT_AVAILABLE);
    assert_found(ask_one(api, NEWEST, EARLIEST), 0, -1, EPOCH);
    follower_at(p, 2, 3);
    assert_found(ask_one(api, NEWEST, LATEST), 3, -1, EPOCH + 1);
    partition_unref(p);
}

static void test_list_offsets_errors(void **state)
{
    struct api *api = *state;
    struct partition *p = filled(api);
    const struct wish fenced = {.leader_epoch = EPOCH - 1, .timestamp = LATEST},
                      unknown = {.leader_epoch = EPOCH + 1, .timestamp = LATEST},
                      nowhere = {.topic = "nowhere", .timestamp = LATEST},
                      no_part = {.partition = 5, .timestamp = LATEST};
    assert_code(listed(ask(api, NEWEST, consumer, &fenced, 1))->error_code,
                ERR_FENCED_LEADER_EPOCH);
    assert_code(listed(ask(api, NEWEST, consumer, &unknown, 1))->error_code,
                ERR_UNKNOWN_LEADER_EPOCH);
    struct fake_call *call = ask(api, NEWEST, consumer, &nowhere, 1);
    assert_code(listed(call)->error_code, ERR_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(listed(call)->offset, -1);
    assert_int_equal(listed(call)->timestamp, -1);
    assert_code(listed(ask(api, NEWEST, consumer, &no_part, 1))->error_code,
                ERR_UNKNOWN_TOPIC_OR_PARTITION);
    const struct wish twice[] = {
        {.timestamp = LATEST}, {.timestamp = EARLIEST}, {.topic = "u", .timestamp = LATEST}};
    const struct list_offsets_response *response =
        fake_answer(ask(api, NEWEST, consumer, twice, 3));
    assert_code(response->topics[0].partitions[0].error_code, ERR_INVALID_REQUEST);
    assert_code(response->topics[1].partitions[0].error_code, ERR_INVALID_REQUEST);
    assert_code(response->topics[2].partitions[0].error_code, ERR_UNKNOWN_TOPIC_OR_PARTITION);
    const struct ask_options odd = {.replica_id = -1, .isolation_level = 2};
    assert_code(listed(ask(api, NEWEST, odd, twice, 1))->error_code, ERR_UNKNOWN_SERVER_ERROR);
    lose_leadership(api, "t");
    assert_code(ask_one(api, NEWEST, LATEST)->error_code, ERR_NOT_LEADER_OR_FOLLOWER);
    const struct ask_options debugging = {.replica_id = -2}; /* may ask a follower */
    assert_found(listed(ask(api, NEWEST, debugging, twice, 1)), 7, -1, EPOCH + 1);
    partition_unref(p);
}

static void test_version_0_lists_where_segments_begin(void **state)
{
    struct api *api = *state;
    struct partition *p = led_topic(api, "t", 0);
    struct log_config config = api->r->logs->config;
    config.segment_bytes = 100;
    log_set_config(partition_log(p), &config);
    for (int i = 0; i < 4; i++)
        append_to(p, 2);
    const struct wish latest = {.timestamp = LATEST, .most = 3},
                      earliest = {.timestamp = EARLIEST, .most = 3};
    const struct list_offsets_response_list_offsets_partition_response *one =
        listed(ask(api, 0, consumer, &latest, 1));
    assert_int_equal(one->error_code, 0);
    assert_int_equal(one->old_style_offsets_count, 3);
    assert_int_equal(one->old_style_offsets[0], 8);
    assert_int_equal(one->old_style_offsets[1], 6);
    assert_int_equal(one->old_style_offsets[2], 4);
    const struct wish negative = {.timestamp = LATEST, .most = -1};
    assert_code(listed(ask(api, 0, consumer, &negative, 1))->error_code, ERR_UNKNOWN_SERVER_ERROR);
    one = listed(ask(api, 0, consumer, &earliest, 1));
    assert_int_equal(one->old_style_offsets_count, 1);
    assert_int_equal(one->old_style_offsets[0], 0);
    partition_unref(p);
}

/* --- OffsetForLeaderEpoch --- */

static const struct offset_for_leader_epoch_response_epoch_end_offset *
end_of_epoch(struct api *api, int16_t api_version, const char *topic, int32_t current,
             int32_t epoch)
{
    struct offset_for_leader_epoch_request_offset_for_leader_partition partition;
    offset_for_leader_epoch_request_offset_for_leader_partition_init(&partition);
    partition.current_leader_epoch = current ? current : -1;
    partition.leader_epoch = epoch;
    struct offset_for_leader_epoch_request_offset_for_leader_topic asked = {
        .topic = slice_str(topic), .partitions = &partition, .partitions_count = 1};
    struct offset_for_leader_epoch_request request;
    offset_for_leader_epoch_request_init(&request);
    request.topics = &asked;
    request.topics_count = 1;
    const struct offset_for_leader_epoch_response *response =
        fake_answer(fake_call(api->loop, handle_offset_for_leader_epoch,
                              API_OFFSET_FOR_LEADER_EPOCH, api_version, &request));
    assert_int_equal(response->topics_count, 1);
    assert_true(slice_equal_str(response->topics[0].topic, topic));
    assert_int_equal(response->topics[0].partitions_count, 1);
    return &response->topics[0].partitions[0];
}

static void test_where_an_epoch_ended(void **state)
{
    struct api *api = *state;
    struct partition *p = filled(api); /* epoch 3 from 0 */
    partition_unref(take_role(api->r, &(struct role_spec){.topic = "t",
                                                          .id = id_of(1),
                                                          .leader_epoch = EPOCH + 3,
                                                          .partition_epoch = EPOCH + 3}));
    append_to(p, 3); /* epoch 6 from 7, to 10 */
    static const struct {
        int32_t asked, epoch;
        int64_t end;
    } ends[] = {{3, 3, 7}, {4, 3, 7}, {6, 6, 10}, {7, -1, -1}, {-1, -1, -1}, {1, 1, 0}};
    for (int16_t version = 0; version <= 4; version++)
        for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
            const struct offset_for_leader_epoch_response_epoch_end_offset *one =
                end_of_epoch(api, version, "t", 0, ends[i].asked);
            assert_int_equal(one->error_code, 0);
            assert_int_equal(one->end_offset, ends[i].end);
            if (version >= 1)
                assert_int_equal(one->leader_epoch, ends[i].epoch);
        }
    partition_unref(p);
}

static void test_an_epoch_without_records_ends_at_the_log_end(void **state)
{
    struct api *api = *state;
    struct partition *p = led_topic(api, "t", 0);
    const struct offset_for_leader_epoch_response_epoch_end_offset *one =
        end_of_epoch(api, 4, "t", 0, EPOCH);
    assert_int_equal(one->leader_epoch, EPOCH);
    assert_int_equal(one->end_offset, 0);
    partition_unref(p);
}

static void test_epoch_questions_are_fenced_as_fetches_are(void **state)
{
    struct api *api = *state;
    struct partition *p = filled(api);
    const struct offset_for_leader_epoch_response_epoch_end_offset *one =
        end_of_epoch(api, 4, "t", EPOCH - 1, EPOCH);
    assert_code(one->error_code, ERR_FENCED_LEADER_EPOCH);
    assert_int_equal(one->leader_epoch, -1);
    assert_int_equal(one->end_offset, -1);
    assert_code(end_of_epoch(api, 4, "t", EPOCH + 1, EPOCH)->error_code, ERR_UNKNOWN_LEADER_EPOCH);
    assert_code(end_of_epoch(api, 4, "nowhere", 0, 0)->error_code, ERR_UNKNOWN_TOPIC_OR_PARTITION);
    lose_leadership(api, "t");
    assert_code(end_of_epoch(api, 4, "t", 0, EPOCH)->error_code, ERR_NOT_LEADER_OR_FOLLOWER);
    partition_unref(p);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, api_setup, api_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_both_ends_in_every_version),
        TEST(test_a_time_gives_the_first_record_from_then_on),
        TEST(test_a_time_is_looked_for_record_by_record_in_the_order_of_offsets),
        TEST(test_a_search_by_time_runs_on_a_worker_and_an_end_does_not),
        TEST(test_special_times_belong_to_their_versions),
        TEST(test_an_empty_log_has_ends_and_no_times),
        TEST(test_readers_see_as_far_as_they_may_read),
        TEST(test_a_new_leader_does_not_know_the_latest_at_first),
        TEST(test_list_offsets_errors),
        TEST(test_version_0_lists_where_segments_begin),
        TEST(test_where_an_epoch_ended),
        TEST(test_an_epoch_without_records_ends_at_the_log_end),
        TEST(test_epoch_questions_are_fenced_as_fetches_are),
    };
    return cmocka_run_group_tests_name("offsets", tests, NULL, NULL);
}
