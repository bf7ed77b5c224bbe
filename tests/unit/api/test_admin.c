/* Small administration: DeleteRecords, DescribeLogDirs, InitProducerId. */
#include "api_fixture.h"
#include "wire/delete_records.h"
#include "wire/describe_log_dirs.h"
#include "wire/init_producer_id.h"

/* --- DeleteRecords --- */

struct deletion {
    const char *topic;
    int32_t partition;
    int64_t offset;
};

static struct fake_call *delete_records(struct api *api, const struct deletion *deletions,
                                        int32_t count)
{
    struct delete_records_request request;
    delete_records_request_init(&request);
    request.timeout_ms = 1000;
    request.topics =
        arena_new_array(api->arena, struct delete_records_request_delete_records_topic, count + 1);
    request.topics_count = count;
    for (int32_t i = 0; i < count; i++) {
        struct delete_records_request_delete_records_partition *partition =
            arena_new_array(api->arena, struct delete_records_request_delete_records_partition, 1);
        partition->partition_index = deletions[i].partition;
        partition->offset = deletions[i].offset;
        request.topics[i].name = slice_str(deletions[i].topic);
        request.topics[i].partitions = partition;
        request.topics[i].partitions_count = 1;
    }
    return fake_call(api->loop, handle_delete_records, API_DELETE_RECORDS, 2, &request);
}

static const struct delete_records_response_delete_records_partition_result *
deleted(const struct fake_call *call)
{
    const struct delete_records_response *response = fake_answer(call);
    assert_int_equal(response->topics_count, 1);
    assert_int_equal(response->topics[0].partitions_count, 1);
    return &response->topics[0].partitions[0];
}

#define assert_deletion(api, offset, error, low)                                                   \
    do {                                                                                           \
        const struct delete_records_response_delete_records_partition_result *d_ =                 \
            deleted(delete_records(api, &(struct deletion){"t", 0, offset}, 1));                   \
        assert_code(d_->error_code, error);                                                        \
        assert_int_equal(d_->low_watermark, low);                                                  \
    } while (0)

static void test_records_are_deleted_up_to_an_offset(void **state)
{
    struct api *api = *state;
    struct partition *p = led_topic(api, "t", 0);
    append_to(p, 10);
    assert_deletion(api, 4, ERR_OK, 4);
    assert_deletion(api, 2, ERR_OK, 4);
    assert_deletion(api, 11, ERR_OFFSET_OUT_OF_RANGE, -1);
    assert_deletion(api, -2, ERR_OFFSET_OUT_OF_RANGE, -1);
    assert_deletion(api, -1, ERR_OK, 10);
    assert_int_equal(log_start_offset(partition_log(p)), 10);
    partition_unref(p);
}

static void test_records_are_not_deleted_everywhere(void **state)
{
    struct api *api = *state;
    struct partition *p = led_topic(api, "t", 0);
    struct partition *internal = led_topic(api, "__consumer_offsets", 0);
    append_to(p, 3);
    append_to(internal, 3);
    const struct deletion in_offsets = {"__consumer_offsets", 0, 1}, nowhere = {"nowhere", 0, 1};
    assert_code(deleted(delete_records(api, &in_offsets, 1))->error_code,
                ERR_INVALID_TOPIC_EXCEPTION);
    assert_code(deleted(delete_records(api, &nowhere, 1))->error_code,
                ERR_UNKNOWN_TOPIC_OR_PARTITION);
    api->facts.cleanup_policy = CLEANUP_COMPACT;
    assert_deletion(api, 1, ERR_POLICY_VIOLATION, -1);
    api->facts.cleanup_policy = CLEANUP_COMPACT | CLEANUP_DELETE;
    assert_deletion(api, 1, ERR_OK, 1);
    lose_leadership(api, "t");
    assert_deletion(api, 2, ERR_NOT_LEADER_OR_FOLLOWER, -1);
    assert_int_equal(log_start_offset(partition_log(internal)), 0);
    partition_unref(p);
    partition_unref(internal);
}

static void test_deletions_of_many_partitions_are_told_one_by_one(void **state)
{
    struct api *api = *state;
    struct partition *p = led_topic(api, "t", 0), *q = led_topic(api, "t", 1);
    append_to(p, 3);
    append_to(q, 3);
    const struct deletion deletions[] = {{"t", 0, 1}, {"t", 1, 9}, {"u", 0, 0}};
    const struct delete_records_response *response = fake_answer(delete_records(api, deletions, 3));
    assert_int_equal(response->topics_count, 2); /* "t" once */
    assert_int_equal(response->topics[0].partitions_count, 2);
    assert_int_equal(response->topics[0].partitions[0].low_watermark, 1);
    assert_int_equal(response->topics[0].partitions[1].partition_index, 1);
    assert_code(response->topics[0].partitions[1].error_code, ERR_OFFSET_OUT_OF_RANGE);
    assert_code(response->topics[1].partitions[0].error_code, ERR_UNKNOWN_TOPIC_OR_PARTITION);
    partition_unref(p);
    partition_unref(q);
}

static void test_a_deletion_waits_until_live_replicas_have_followed(void **state)
{
    struct api *api = *state;
    struct partition *p = replicated_topic(api, "t", 2);
    append_to(p, 6);
    follower_at(p, 2, 6);
    follower_at(p, 3, 6);
    struct fake_call *call = delete_records(api, &(struct deletion){"t", 0, 4}, 1);
    assert_false(fake_is_over(call));
    assert_int_equal(log_start_offset(partition_log(p)), 4); /* here it is done */
    assert_err(partition_follower_fetched(p, partition_leader_epoch(p), 2, 6, 6, 4), ERR_OK);
    fake_settle(api->loop);
    assert_false(fake_is_over(call)); /* all of them, in the ISR or not */
    assert_err(partition_follower_fetched(p, partition_leader_epoch(p), 3, 6, 6, 5), ERR_OK);
    fake_settle(api->loop);
    assert_code(deleted(call)->error_code, ERR_OK);
    assert_int_equal(deleted(call)->low_watermark, 4);
    partition_unref(p);
}

static void test_a_deletion_times_out_with_what_was_known_and_stays(void **state)
{
    struct api *api = *state;
    struct partition *p = replicated_topic(api, "t", 2), *q = led_topic(api, "q", 0);
    append_to(p, 6);
    append_to(q, 6);
    follower_at(p, 2, 6);
    assert_err(partition_follower_fetched(p, partition_leader_epoch(p), 3, 6, 6, 1), ERR_OK);
    const struct deletion both[] = {{"t", 0, 4}, {"q", 0, 2}};
    struct fake_call *call = delete_records(api, both, 2);
    fake_advance(api->loop, 999);
    assert_false(fake_is_over(call));
    fake_advance(api->loop, 1);
    const struct delete_records_response *response = fake_answer(call);
    assert_code(response->topics[0].partitions[0].error_code, ERR_REQUEST_TIMED_OUT);
    assert_int_equal(response->topics[0].partitions[0].low_watermark, 0);
    assert_code(response->topics[1].partitions[0].error_code, ERR_OK);
    assert_int_equal(response->topics[1].partitions[0].low_watermark, 2);
    assert_int_equal(log_start_offset(partition_log(p)), 4);
    partition_unref(p);
    partition_unref(q);
}

static void test_a_deletion_ends_with_leadership(void **state)
{
    struct api *api = *state;
    struct partition *p = replicated_topic(api, "t", 2);
    append_to(p, 6);
    follower_at(p, 2, 6);
    struct fake_call *call = delete_records(api, &(struct deletion){"t", 0, 4}, 1);
    lose_leadership(api, "t");
    fake_settle(api->loop);
    assert_code(deleted(call)->error_code, ERR_NOT_LEADER_OR_FOLLOWER);
    assert_int_equal(deleted(call)->low_watermark, -1);
    partition_unref(p);
}

static void test_a_topic_without_partitions_is_not_in_the_answer(void **state)
{
    struct api *api = *state;
    struct delete_records_request request;
    struct delete_records_request_delete_records_topic topic = {.name = SLICE_LITERAL("t")};
    delete_records_request_init(&request);
    request.topics = &topic;
    request.topics_count = 1;
    const struct delete_records_response *response =
        fake_answer(fake_call(api->loop, handle_delete_records, API_DELETE_RECORDS, 2, &request));
    assert_int_equal(response->topics_count, 0);
}

/* --- DescribeLogDirs --- */

static const struct describe_log_dirs_response *describe(struct api *api, const char *topic,
                                                         int32_t partition)
{
    struct describe_log_dirs_request request;
    struct describe_log_dirs_request_describable_log_dir_topic asked = {
        .topic = slice_str(topic), .partitions = &partition, .partitions_count = 1};
    describe_log_dirs_request_init(&request);
    request.topics = &asked;
    request.topics_count = topic ? 1 : -1;
    return fake_answer(
        fake_call(api->loop, handle_describe_log_dirs, API_DESCRIBE_LOG_DIRS, 4, &request));
}

static void test_log_dirs_tell_their_partitions_by_topic(void **state)
{
    struct api *api = *state;
    struct partition *a0 = led_topic(api, "a", 0), *b = led_topic(api, "b", 0),
                     *a1 = led_topic(api, "a", 1);
    append_to(a1, 5);
    const struct describe_log_dirs_response *response = describe(api, NULL, 0);
    assert_int_equal(response->error_code, 0);
    assert_int_equal(response->results_count, 1);
    const struct describe_log_dirs_response_describe_log_dirs_result *dir = response->results;
    assert_int_equal(dir->error_code, 0);
    assert_true(slice_equal_str(dir->log_dir, api->r->logs->dir));
    assert_true(dir->total_bytes > 0 && dir->usable_bytes > 0);
    assert_int_equal(dir->topics_count, 2);
    assert_true(slice_equal_str(dir->topics[0].name, "a"));
    assert_int_equal(dir->topics[0].partitions_count, 2);
    assert_int_equal(dir->topics[0].partitions[1].partition_index, 1);
    assert_int_equal(dir->topics[0].partitions[1].partition_size,
                     log_size_bytes(partition_log(a1)));
    assert_int_equal(dir->topics[0].partitions[1].offset_lag, 0);
    assert_false(dir->topics[0].partitions[1].is_future_key);
    assert_true(slice_equal_str(dir->topics[1].name, "b"));
    partition_unref(a0);
    partition_unref(a1);
    partition_unref(b);
}

static void test_log_dirs_tell_only_what_is_asked(void **state)
{
    struct api *api = *state;
    struct partition *a = led_topic(api, "a", 0), *b = led_topic(api, "a", 1);
    const struct describe_log_dirs_response *response = describe(api, "a", 1);
    assert_int_equal(response->results[0].topics_count, 1);
    assert_int_equal(response->results[0].topics[0].partitions_count, 1);
    assert_int_equal(response->results[0].topics[0].partitions[0].partition_index, 1);
    response = describe(api, "nowhere", 0);
    assert_int_equal(response->results_count, 1);
    assert_int_equal(response->results[0].topics_count, 0);
    partition_unref(a);
    partition_unref(b);
}

/* --- InitProducerId --- */

struct init_spec {
    const char *transactional_id;
    bool has_id, has_epoch;
};

static struct fake_call *init(struct api *api, int16_t api_version, struct init_spec spec)
{
    struct init_producer_id_request request;
    init_producer_id_request_init(&request);
    request.transactional_id = slice_str(spec.transactional_id);
    request.transaction_timeout_ms = 60000;
    if (spec.has_id)
        request.producer_id = 5;
    if (spec.has_epoch)
        request.producer_epoch = 1;
    return fake_call(api->loop, handle_init_producer_id, API_INIT_PRODUCER_ID, api_version,
                     &request);
}

static int64_t id_from(const struct fake_call *call)
{
    const struct init_producer_id_response *response = fake_answer(call);
    assert_int_equal(response->error_code, 0);
    assert_int_equal(response->producer_epoch, 0);
    return response->producer_id;
}

static int16_t error_from(const struct fake_call *call)
{
    const struct init_producer_id_response *response = fake_answer(call);
    assert_int_equal(response->producer_id, -1);
    return response->error_code;
}

static void give_block(struct api *api, int64_t first_id, int32_t size)
{
    api->block_came(api->block_context, ERR_OK, first_id, size);
    fake_settle(api->loop);
}

static void test_ids_come_from_blocks_and_never_twice(void **state)
{
    struct api *api = *state;
    struct fake_call *first = init(api, 5, (struct init_spec){0}),
                     *second = init(api, 0, (struct init_spec){0});
    assert_false(fake_is_over(first));
    assert_int_equal(api->blocks_asked, 1); /* one question for both */
    give_block(api, 1000, 3);
    assert_int_equal(id_from(first), 1000);
    assert_int_equal(id_from(second), 1001);
    assert_int_equal(id_from(init(api, 5, (struct init_spec){0})), 1002);
    assert_int_equal(api->blocks_asked, 2); /* before the last has gone */
    struct fake_call *late = init(api, 5, (struct init_spec){0});
    assert_false(fake_is_over(late));
    assert_int_equal(api->blocks_asked, 2);
    give_block(api, 7000, 1000);
    assert_int_equal(id_from(late), 7000);
}

static void test_more_may_wait_than_a_block_has(void **state)
{
    struct api *api = *state;
    struct fake_call *calls[5];
    for (int i = 0; i < 5; i++)
        calls[i] = init(api, 5, (struct init_spec){0});
    give_block(api, 10, 2);
    assert_int_equal(id_from(calls[1]), 11);
    assert_false(fake_is_over(calls[2]));
    assert_int_equal(api->blocks_asked, 2);
    give_block(api, 20, 100);
    assert_int_equal(id_from(calls[4]), 22);
}

static void test_without_a_block_the_client_is_to_try_again(void **state)
{
    struct api *api = *state;
    struct fake_call *call = init(api, 5, (struct init_spec){0});
    api->block_came(api->block_context, ERR_NOT_CONTROLLER, -1, 0);
    fake_settle(api->loop);
    assert_code(error_from(call), ERR_COORDINATOR_LOAD_IN_PROGRESS);
    init(api, 5, (struct init_spec){0});
    assert_int_equal(api->blocks_asked, 2);
    give_block(api, 1, 10);
}

static void test_odd_requests_for_ids_are_refused(void **state)
{
    struct api *api = *state;
    assert_code(error_from(init(api, 5, (struct init_spec){.has_id = true})), ERR_INVALID_REQUEST);
    assert_code(error_from(init(api, 5, (struct init_spec){.has_epoch = true})),
                ERR_INVALID_REQUEST);
    assert_code(error_from(init(api, 5, (struct init_spec){.transactional_id = ""})),
                ERR_INVALID_REQUEST);
    assert_code(error_from(init(api, 5, (struct init_spec){.transactional_id = "tid"})),
                ERR_COORDINATOR_NOT_AVAILABLE);
    assert_int_equal(api->blocks_asked, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, api_setup, api_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_records_are_deleted_up_to_an_offset),
        TEST(test_records_are_not_deleted_everywhere),
        TEST(test_deletions_of_many_partitions_are_told_one_by_one),
        TEST(test_a_deletion_waits_until_live_replicas_have_followed),
        TEST(test_a_deletion_times_out_with_what_was_known_and_stays),
        TEST(test_a_deletion_ends_with_leadership),
        TEST(test_a_topic_without_partitions_is_not_in_the_answer),
        TEST(test_log_dirs_tell_their_partitions_by_topic),
        TEST(test_log_dirs_tell_only_what_is_asked),
        TEST(test_ids_come_from_blocks_and_never_twice),
        TEST(test_more_may_wait_than_a_block_has),
        TEST(test_without_a_block_the_client_is_to_try_again),
        TEST(test_odd_requests_for_ids_are_refused),
    };
    return cmocka_run_group_tests_name("admin", tests, NULL, NULL);
}
