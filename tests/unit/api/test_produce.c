/* Produce: what is appended, what is answered, and in which order faults are found. */
#include "produce_fixture.h"

/* --- appending --- */

static void test_the_answer_tells_the_first_offset_in_every_version(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    for (int16_t version = 3; version <= NEWEST; version++) {
        const struct produce_response_partition_produce_response *one =
            produced(produce(api, version, ACKS_LEADER, &plain, 1));
        assert_int_equal(one->error_code, 0);
        assert_int_equal(one->index, 0);
        assert_int_equal(one->base_offset, 3 * (version - 3));
        assert_int_equal(one->log_append_time_ms, -1);
        if (version >= 5)
            assert_int_equal(one->log_start_offset, 0);
        assert_true(slice_is_null(one->error_message));
    }
    assert_int_equal(end_of(p), 27);
    partition_unref(p);
}

static void test_what_was_produced_is_read_with_offset_and_leader_epoch(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    append_to(p, 5);
    struct sent sent = plain;
    sent.spec.leader_epoch = 77; /* a client's is not believed */
    produced(produce(api, NEWEST, ACKS_ALL, &sent, 1));
    const struct fetch_response_partition_data *data =
        fetched(fetch(api, 12, &(struct asked){.topic = "t", .offset = 5}, 1));
    assert_int_equal(batch_base_offset(data->records.bytes.data), 5);
    assert_int_equal(batch_leader_epoch(data->records.bytes.data), EPOCH);
    assert_int_equal(seen_in(data).next_offset, 8);
    partition_unref(p);
}

static void test_log_append_time_is_told(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    struct log_config config = api->r->logs->config;
    config.timestamp_type = TIMESTAMP_LOG_APPEND;
    log_set_config(partition_log(p), &config);
    const struct produce_response_partition_produce_response *one =
        produced(produce(api, NEWEST, ACKS_LEADER, &plain, 1));
    assert_int_equal(one->log_append_time_ms, clock_wall_ms(api->broker.clock));
    partition_unref(p);
}

static void test_partitions_stand_and_fall_alone(void **state)
{
    struct api *api = *state;
    struct partition *a = led_topic(api, "a", 0), *b = led_topic(api, "b", 1);
    struct buf bytes = {0};
    batch_make(&bytes, &plain.spec);
    bytes.data[bytes.size - 1] ^= 1;
    const struct sent sent[] = {
        {.topic = "a", .spec = {.records = 2}},
        {.topic = "a", .partition = 9},
        {.topic = "b", .raw = buf_slice(&bytes), .partition = 1},
        {.topic = "nowhere"},
        {.topic = "a", .partition = 3},
    };
    const struct produce_response *response =
        fake_answer(produce(api, NEWEST, ACKS_ALL, sent, ARRAY_SIZE(sent)));
    buf_done(&bytes);
    assert_int_equal(response->responses_count, 3); /* "a" once, though named twice */
    assert_true(slice_equal_str(response->responses[0].name, "a"));
    assert_int_equal(response->responses[0].partition_responses_count, 3);
    const struct produce_response_partition_produce_response *in_a =
        response->responses[0].partition_responses;
    assert_int_equal(in_a[0].error_code, 0);
    assert_int_equal(in_a[0].base_offset, 0);
    assert_int_equal(in_a[1].index, 9);
    assert_code(in_a[1].error_code, ERR_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(in_a[2].index, 3);
    assert_true(slice_equal_str(response->responses[1].name, "b"));
    assert_code(response->responses[1].partition_responses[0].error_code, ERR_CORRUPT_MESSAGE);
    assert_true(slice_equal_str(response->responses[2].name, "nowhere"));
    assert_code(response->responses[2].partition_responses[0].error_code,
                ERR_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(end_of(a), 2);
    assert_int_equal(end_of(b), 0);
    partition_unref(a);
    partition_unref(b);
}

static void test_of_a_partition_named_twice_the_last_counts(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    const struct sent sent[] = {{.topic = "t", .spec = {.records = 2}},
                                {.topic = "t", .spec = {.records = 5}}};
    assert_int_equal(produced(produce(api, NEWEST, ACKS_LEADER, sent, 2))->error_code, 0);
    assert_int_equal(end_of(p), 5);
    partition_unref(p);
}

/* More than are searched one by one, with names longer than a topic can have. */
static void test_each_of_many_names_gets_its_answer(void **state)
{
    struct api *api = *state;
    enum { MANY = 40 };
    struct sent sent[MANY];
    char names[MANY][302];
    for (int i = 0; i < MANY; i++) {
        memset(names[i], 'x', 300);
        names[i][299] = (char)('0' + i);
        names[i][300] = 0;
        sent[i] = (struct sent){.topic = names[i]};
    }
    const struct produce_response *response =
        fake_answer(produce(api, NEWEST, ACKS_LEADER, sent, MANY));
    assert_int_equal(response->responses_count, MANY);
    for (int i = 0; i < MANY; i++) {
        assert_true(slice_equal_str(response->responses[i].name, names[i]));
        assert_int_equal(response->responses[i].partition_responses_count, 1);
    }
}

/* Memory and time grow with the number of topics, not with its square. */
static void test_a_request_may_name_very_many_topics(void **state)
{
    struct api *api = *state;
    tell_brokers(api->r);
    enum { MANY = 20000, NAME_SIZE = 8 };
    struct sent *sent = mem_new_array(struct sent, MANY);
    char *names = mem_new_array(char, (size_t)MANY *NAME_SIZE);
    for (int i = 0; i < MANY; i++) {
        snprintf(names + (ptrdiff_t)i * NAME_SIZE, NAME_SIZE, "t%d", i / 2 * 7919 % MANY);
        sent[i] = (struct sent){.topic = names + (ptrdiff_t)i * NAME_SIZE, .partition = i % 2};
    }
    const struct produce_response *response =
        fake_answer(produce(api, NEWEST, ACKS_LEADER, sent, MANY));
    assert_int_equal(response->responses_count, MANY / 2);
    for (int i = 0; i < MANY / 2; i++) {
        assert_true(slice_equal_str(response->responses[i].name, sent[2 * i].topic));
        assert_int_equal(response->responses[i].partition_responses_count, 2);
        assert_int_equal(response->responses[i].partition_responses[1].index, 1);
    }
    free(sent);
    free(names);
}

/* --- faults --- */

static void test_a_broker_that_does_not_lead_names_the_leader(void **state)
{
    struct api *api = *state;
    tell_topic(api->r, "t", id_of(1), 1, 2, 8);
    struct fake_call *call = produce(api, NEWEST, ACKS_LEADER, &plain, 1);
    assert_refused(call, ERR_NOT_LEADER_OR_FOLLOWER);
    assert_int_equal(produced(call)->current_leader.leader_id, 2);
    assert_int_equal(produced(call)->current_leader.leader_epoch, 8);
    const struct produce_response *response = fake_answer(call);
    assert_int_equal(response->node_endpoints_count, 1);
    assert_true(slice_equal_str(response->node_endpoints[0].host, "host-2"));
    assert_int_equal(response->node_endpoints[0].port, 9092);
    assert_true(slice_equal_str(response->node_endpoints[0].rack, "rack"));
    call = produce(api, 9, ACKS_LEADER, &plain, 1); /* before KIP-951 */
    assert_int_equal(produced(call)->current_leader.leader_id, -1);
}

static void test_internal_topics_take_records_of_the_admin_client_only(void **state)
{
    struct api *api = *state;
    struct partition *p = led_topic(api, "__consumer_offsets", 0);
    const struct sent sent = {.topic = "__consumer_offsets"};
    assert_refused(produce(api, NEWEST, ACKS_LEADER, &sent, 1), ERR_INVALID_TOPIC_EXCEPTION);
    fake_loop_set_client_id(api->loop, "__admin_client");
    assert_int_equal(produced(produce(api, NEWEST, ACKS_LEADER, &sent, 1))->error_code, 0);
    partition_unref(p);
}

static void test_a_flipped_bit_is_corrupt(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    struct buf bytes = {0};
    batch_make(&bytes, &plain.spec);
    bytes.data[bytes.size - 3] ^= 0x10;
    struct sent sent = {.topic = "t", .raw = buf_slice(&bytes)};
    struct fake_call *call = produce(api, NEWEST, ACKS_LEADER, &sent, 1);
    assert_refused(call, ERR_CORRUPT_MESSAGE);
    assert_int_equal(produced(call)->log_start_offset, -1);
    assert_int_equal(end_of(p), 0);
    buf_done(&bytes);
    partition_unref(p);
}

/* As the JVM broker, which reads the first batches before anything else. */
static void test_what_is_no_batch_fails_the_whole_request(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    struct partition *q = led_topic(api, "u", 0);
    uint8_t nonsense[40] = {[16] = 9};
    put_be32(nonsense + 8, 28);
    const struct sent sent[] = {{.topic = "u"},
                                {.topic = "t", .raw = slice_of(nonsense, sizeof nonsense)}};
    const struct produce_response *response = fake_answer(produce(api, 9, ACKS_LEADER, sent, 2));
    for (int i = 0; i < 2; i++) {
        assert_code(response->responses[i].partition_responses[0].error_code, ERR_CORRUPT_MESSAGE);
        assert_false(slice_is_null(response->responses[i].partition_responses[0].error_message));
    }
    assert_int_equal(end_of(q), 0);
    partition_unref(p);
    partition_unref(q);
}

static void test_the_limit_of_size_counts_the_batch_with_its_prefix(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    struct buf bytes = {0};
    batch_make(&bytes, &plain.spec);
    struct log_config config = api->r->logs->config;
    config.max_message_bytes = (int32_t)bytes.size;
    log_set_config(partition_log(p), &config);
    assert_int_equal(produced(produce(api, NEWEST, ACKS_LEADER, &plain, 1))->error_code, 0);
    config.max_message_bytes--;
    log_set_config(partition_log(p), &config);
    assert_refused(produce(api, NEWEST, ACKS_LEADER, &plain, 1), ERR_MESSAGE_TOO_LARGE);
    config.max_message_bytes++;
    config.segment_bytes = (int32_t)bytes.size - 1;
    log_set_config(partition_log(p), &config);
    assert_refused(produce(api, NEWEST, ACKS_LEADER, &plain, 1), ERR_RECORD_LIST_TOO_LARGE);
    buf_done(&bytes);
    partition_unref(p);
}

static void test_each_record_that_is_too_old_is_named(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    struct log_config config = api->r->logs->config;
    config.timestamp_before_max_ms = 1000;
    log_set_config(partition_log(p), &config);
    struct fake_call *call = produce(api, NEWEST, ACKS_LEADER, &plain, 1);
    assert_refused(call, ERR_INVALID_TIMESTAMP);
    const struct produce_response_partition_produce_response *one = produced(call);
    assert_int_equal(one->record_errors_count, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(one->record_errors[i].batch_index, i);
        assert_true(one->record_errors[i].batch_index_error_message.size > 0);
    }
    assert_true(one->error_message.size > 0);
    assert_int_equal(one->log_start_offset, 0);
    assert_int_equal(end_of(p), 0);
    assert_int_equal(produced(produce(api, 7, ACKS_LEADER, &plain, 1))->record_errors_count, 0);
    partition_unref(p);
}

static void test_new_versions_take_one_batch_of_format_2(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    struct buf two = {0};
    batch_make(&two, &plain.spec);
    batch_make(&two, &plain.spec);
    struct sent sent = {.topic = "t", .raw = buf_slice(&two)};
    assert_refused(produce(api, NEWEST, ACKS_LEADER, &sent, 1), ERR_INVALID_RECORD);
    assert_int_equal(end_of(p), 0);
    buf_done(&two);
    partition_unref(p);
}

/* --- idempotent producers --- */

static void test_a_repeated_batch_is_answered_with_its_first_offset(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    append_to(p, 4);
    for (int i = 0; i < 2; i++) {
        const struct produce_response_partition_produce_response *one =
            produced(produce(api, NEWEST, ACKS_ALL, &first_of_5, 1));
        assert_int_equal(one->error_code, 0);
        assert_int_equal(one->base_offset, 4);
    }
    assert_int_equal(end_of(p), 6);
    struct sent gap = first_of_5;
    gap.spec.base_sequence = 7;
    assert_refused(produce(api, NEWEST, ACKS_ALL, &gap, 1), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    partition_unref(p);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, api_setup, api_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_the_answer_tells_the_first_offset_in_every_version),
        TEST(test_what_was_produced_is_read_with_offset_and_leader_epoch),
        TEST(test_log_append_time_is_told),
        TEST(test_partitions_stand_and_fall_alone),
        TEST(test_of_a_partition_named_twice_the_last_counts),
        TEST(test_each_of_many_names_gets_its_answer),
        TEST(test_a_request_may_name_very_many_topics),
        TEST(test_a_broker_that_does_not_lead_names_the_leader),
        TEST(test_internal_topics_take_records_of_the_admin_client_only),
        TEST(test_a_flipped_bit_is_corrupt),
        TEST(test_what_is_no_batch_fails_the_whole_request),
        TEST(test_the_limit_of_size_counts_the_batch_with_its_prefix),
        TEST(test_each_record_that_is_too_old_is_named),
        TEST(test_new_versions_take_one_batch_of_format_2),
        TEST(test_a_repeated_batch_is_answered_with_its_first_offset),
    };
    return cmocka_run_group_tests_name("produce", tests, NULL, NULL);
}
