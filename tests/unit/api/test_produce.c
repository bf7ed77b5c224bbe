/* Produce: what is appended, what is answered, and in which order faults are found. */
#include "api_fixture.h"

#include <errno.h>

#include "broker/log/file_ops.h"
#include "broker/log/log_manager_internal.h"

#define NEWEST 11

static struct partition *lead_t(struct api *api)
{
    return led_topic(api, "t", 0);
}

static const struct sent plain = {.topic = "t", .spec = {.records = 3}};

static int64_t end_of(struct partition *partition)
{
    return log_end_offset(partition_log(partition));
}

#define assert_refused(call, name)                                                                 \
    do {                                                                                           \
        const struct produce_response_partition_produce_response *p_ = produced(call);             \
        assert_code(p_->error_code, name);                                                         \
        assert_int_equal(p_->base_offset, -1);                                                     \
        assert_int_equal(p_->log_append_time_ms, -1);                                              \
    } while (0)

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

/* --- acks --- */

static void test_acks_0_sends_nothing_and_appends(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    assert_true(fake_is_silent(produce(api, NEWEST, ACKS_NONE, &plain, 1)));
    assert_int_equal(end_of(p), 3);
    partition_unref(p);
}

static void test_an_error_of_acks_0_closes_the_connection(void **state)
{
    struct api *api = *state;
    struct fake_call *call = produce(api, NEWEST, ACKS_NONE, &plain, 1);
    assert_non_null(fake_refusal(call));
}

static void test_other_acks_are_refused_and_nothing_is_appended(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    assert_refused(produce(api, NEWEST, 2, &plain, 1), ERR_INVALID_REQUIRED_ACKS);
    assert_refused(produce(api, NEWEST, -2, &plain, 1), ERR_INVALID_REQUIRED_ACKS);
    assert_int_equal(end_of(p), 0);
    partition_unref(p);
}

static void test_acks_all_waits_for_every_partition(void **state)
{
    struct api *api = *state;
    struct partition *a = replicated_topic(api, "a", 2), *b = replicated_topic(api, "b", 2);
    const struct sent sent[] = {{.topic = "a"}, {.topic = "b"}, {.topic = "nowhere"}};
    struct fake_call *call = produce(api, NEWEST, ACKS_ALL, sent, 3);
    assert_false(fake_is_over(call));
    follower_at(a, 2, 1);
    fake_settle(api->loop);
    assert_false(fake_is_over(call));
    follower_at(b, 2, 1);
    fake_settle(api->loop);
    const struct produce_response *response = fake_answer(call);
    assert_int_equal(response->responses[0].partition_responses[0].error_code, 0);
    assert_int_equal(response->responses[1].partition_responses[0].error_code, 0);
    assert_code(response->responses[2].partition_responses[0].error_code,
                ERR_UNKNOWN_TOPIC_OR_PARTITION);
    partition_unref(a);
    partition_unref(b);
}

static void test_acks_1_does_not_wait(void **state)
{
    struct api *api = *state;
    struct partition *p = replicated_topic(api, "t", 2);
    assert_int_equal(produced(produce(api, NEWEST, ACKS_LEADER, &plain, 1))->error_code, 0);
    assert_int_equal(partition_high_watermark(p), 0);
    partition_unref(p);
}

static void test_acks_all_times_out_at_its_time(void **state)
{
    struct api *api = *state;
    struct partition *a = replicated_topic(api, "a", 2), *b = replicated_topic(api, "b", 2);
    const struct sent sent[] = {{.topic = "a"}, {.topic = "b"}};
    struct fake_call *call = produce(api, NEWEST, ACKS_ALL, sent, 2);
    follower_at(a, 2, 1);
    fake_advance(api->loop, 999);
    assert_false(fake_is_over(call));
    fake_advance(api->loop, 1);
    const struct produce_response *response = fake_answer(call);
    assert_int_equal(response->responses[0].partition_responses[0].error_code, 0);
    assert_int_equal(response->responses[0].partition_responses[0].base_offset, 0);
    assert_code(response->responses[1].partition_responses[0].error_code, ERR_REQUEST_TIMED_OUT);
    assert_int_equal(end_of(b), 1); /* it stays: a retry is told apart by its sequence */
    follower_at(b, 2, 1);           /* too late, and nobody is told */
    fake_settle(api->loop);
    partition_unref(a);
    partition_unref(b);
}

static void test_without_time_acks_all_is_answered_at_once(void **state)
{
    struct api *api = *state;
    struct partition *p = replicated_topic(api, "t", 2);
    api->produce_timeout_ms = 0;
    assert_refused(produce(api, NEWEST, ACKS_ALL, &plain, 1), ERR_REQUEST_TIMED_OUT);
    partition_unref(p);
}

static void test_losing_leadership_ends_the_wait(void **state)
{
    struct api *api = *state;
    struct partition *p = replicated_topic(api, "t", 2);
    struct fake_call *call = produce(api, NEWEST, ACKS_ALL, &plain, 1);
    lose_leadership(api, "t");
    fake_settle(api->loop);
    assert_refused(call, ERR_NOT_LEADER_OR_FOLLOWER);
    assert_int_equal(produced(call)->current_leader.leader_id, 2);
    partition_unref(p);
}

static void test_too_few_in_sync_refuse_acks_all_before_the_append(void **state)
{
    struct api *api = *state;
    api->r->min_insync_replicas = 2;
    struct partition *p = replicated_topic(api, "t", 1);
    assert_refused(produce(api, NEWEST, ACKS_ALL, &plain, 1), ERR_NOT_ENOUGH_REPLICAS);
    assert_int_equal(end_of(p), 0);
    assert_int_equal(produced(produce(api, NEWEST, ACKS_LEADER, &plain, 1))->error_code, 0);
    partition_unref(p);
}

static void test_too_few_in_sync_after_the_append_say_so(void **state)
{
    struct api *api = *state;
    struct partition *p = replicated_topic(api, "t", 2);
    struct fake_call *call = produce(api, NEWEST, ACKS_ALL, &plain, 1);
    follower_at(p, 2, 3);
    partition_set_min_insync_replicas(p, 3);
    fake_settle(api->loop);
    assert_refused(call, ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND);
    assert_int_equal(end_of(p), 3);
    partition_unref(p);
}

/* The manager's threads that sync, run by hand. */
static struct {
    void (*work)(struct log *log);
    struct log *log;
} syncs[4];
static int syncs_count;

static void hold_sync(void *context, void (*work)(struct log *log), struct log *log)
{
    (void)context;
    assert_true(syncs_count < (int)ARRAY_SIZE(syncs));
    syncs[syncs_count].work = work;
    syncs[syncs_count++].log = log;
}

static void run_sync(struct api *api, int index)
{
    syncs[index].work(syncs[index].log);
    fake_settle(api->loop);
}

static int refuse_sync(int fd)
{
    (void)fd;
    errno = EIO;
    return -1;
}

static struct partition *lead_flushed(struct api *api, const char *topic)
{
    struct partition *p = led_topic(api, topic, 0);
    struct log_config config = api->r->logs->config;
    config.flush_messages = 1;
    log_set_config(partition_log(p), &config);
    api->r->logs->manager->host.run_sync = hold_sync;
    syncs_count = 0;
    return p;
}

static void test_flush_messages_puts_records_on_disk_before_the_answer(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_flushed(api, "t");
    struct fake_call *call = produce(api, NEWEST, ACKS_ALL, &plain, 1);
    assert_false(fake_is_over(call));
    assert_int_equal(partition_high_watermark(p), 0); /* nobody sees what may vanish */
    run_sync(api, 0);
    assert_int_equal(produced(call)->error_code, 0);
    assert_int_equal(log_recovery_point(partition_log(p)), 3);
    assert_int_equal(partition_high_watermark(p), 3);
    partition_unref(p);
}

static void test_partitions_of_a_request_are_synced_side_by_side_without_a_worker(void **state)
{
    struct api *api = *state;
    struct partition *a = lead_flushed(api, "a"), *b = lead_flushed(api, "b");
    const struct sent sent[] = {{.topic = "a", .spec = {.records = 2}},
                                {.topic = "b", .spec = {.records = 2}}};
    struct fake_call *call = produce(api, NEWEST, ACKS_LEADER, sent, 2);
    assert_int_equal(fake_worker_runs(call), 0);
    assert_int_equal(syncs_count, 2); /* both before any has ended */
    run_sync(api, 1);
    assert_int_equal(log_recovery_point(partition_log(b)), 2);
    assert_false(fake_is_over(call));
    run_sync(api, 0);
    assert_true(fake_is_over(call));
    partition_unref(a);
    partition_unref(b);
}

static void test_requests_for_one_partition_share_a_sync(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_flushed(api, "t");
    struct fake_call *calls[3];
    for (int i = 0; i < 3; i++)
        calls[i] = produce(api, NEWEST, ACKS_LEADER, &plain, 1);
    assert_int_equal(syncs_count, 1);
    run_sync(api, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(produced(calls[i])->error_code, 0);
    partition_unref(p);
}

static void test_a_sync_that_fails_fails_all_who_waited_for_it(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_flushed(api, "t");
    struct fake_call *one = produce(api, NEWEST, ACKS_LEADER, &plain, 1);
    struct fake_call *two = produce(api, NEWEST, ACKS_LEADER, &plain, 1);
    struct file_ops broken = file_ops_system;
    broken.fdatasync = refuse_sync;
    file_ops = &broken;
    run_sync(api, 0);
    file_ops = &file_ops_system;
    assert_refused(one, ERR_KAFKA_STORAGE_ERROR);
    assert_refused(two, ERR_KAFKA_STORAGE_ERROR);
    partition_unref(p);
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

static const struct sent first_of_5 = {
    .topic = "t", .spec = {.records = 2, .has_producer = true, .producer_id = 5}};

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

/* --- transactions: what a JVM broker without a coordinator answers (KIP-890) --- */

static struct sent transactional(int32_t partition)
{
    struct sent sent = first_of_5;
    sent.spec.is_transactional = true;
    sent.partition = partition;
    return sent;
}

static void test_transactional_records_need_a_transactional_id(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    struct sent sent = transactional(0);
    assert_refused(produce(api, NEWEST, ACKS_ALL, &sent, 1),
                   ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    assert_int_equal(end_of(p), 0);
    partition_unref(p);
}

static void test_no_transaction_begins_without_a_coordinator(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    api->transactional_id = "tid";
    struct sent sent = transactional(0);
    for (int16_t version = 3; version <= NEWEST; version++) {
        struct fake_call *call = produce(api, version, ACKS_ALL, &sent, 1);
        assert_refused(call, ERR_NOT_ENOUGH_REPLICAS); /* clients of all ages try again */
        if (version >= 8)
            assert_true(
                slice_equal_str(produced(call)->error_message,
                                "Unable to verify the partition has been added to the transaction. "
                                "Underlying error: COORDINATOR_NOT_AVAILABLE"));
        if (version >= 5)
            assert_int_equal(produced(call)->log_start_offset, -1);
    }
    assert_int_equal(end_of(p), 0);
    partition_unref(p);
}

static void test_the_check_comes_before_acks_and_checksums_and_after_existence(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    api->transactional_id = "tid";
    struct sent sent = transactional(0);
    assert_refused(produce(api, NEWEST, 7, &sent, 1), ERR_NOT_ENOUGH_REPLICAS);
    struct buf bytes = {0};
    batch_make(&bytes, &sent.spec);
    bytes.data[bytes.size - 1] ^= 1;
    sent.raw = buf_slice(&bytes);
    assert_refused(produce(api, NEWEST, ACKS_ALL, &sent, 1), ERR_NOT_ENOUGH_REPLICAS);
    buf_done(&bytes);
    sent = transactional(9);
    assert_refused(produce(api, NEWEST, ACKS_ALL, &sent, 1), ERR_UNKNOWN_TOPIC_OR_PARTITION);
    tell_topic(api->r, "t", id_of(1), 10, 2, EPOCH);
    assert_refused(produce(api, NEWEST, ACKS_ALL, &sent, 1), ERR_NOT_LEADER_OR_FOLLOWER);
    partition_unref(p);
}

static void test_only_the_transactional_part_of_a_request_is_refused(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api), *q = led_topic(api, "t", 1);
    api->transactional_id = "tid";
    const struct sent sent[] = {transactional(0), {.topic = "t", .partition = 1}};
    const struct produce_response *response = fake_answer(produce(api, NEWEST, ACKS_ALL, sent, 2));
    assert_code(response->responses[0].partition_responses[0].error_code, ERR_NOT_ENOUGH_REPLICAS);
    assert_code(response->responses[0].partition_responses[1].error_code, ERR_OK);
    assert_int_equal(end_of(p), 0);
    assert_int_equal(end_of(q), 1);
    partition_unref(p);
    partition_unref(q);
}

static void test_the_flag_without_a_producer_is_no_transaction(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    api->transactional_id = "tid";
    struct sent sent = transactional(0);
    sent.spec.has_producer = false;
    assert_int_equal(produced(produce(api, NEWEST, ACKS_ALL, &sent, 1))->error_code, 0);
    assert_int_equal(end_of(p), 2);
    partition_unref(p);
}

static void test_two_producers_in_one_transactional_request_fail_all_of_it(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api), *q = led_topic(api, "t", 1);
    api->transactional_id = "tid";
    struct sent sent[] = {transactional(0), transactional(1)};
    sent[1].spec.producer_id = 6;
    const struct produce_response *response = fake_answer(produce(api, NEWEST, ACKS_ALL, sent, 2));
    for (int i = 0; i < 2; i++) {
        const struct produce_response_partition_produce_response *one =
            &response->responses[0].partition_responses[i];
        assert_code(one->error_code, ERR_INVALID_PRODUCER_ID_MAPPING);
        assert_true(slice_equal_str(one->error_message,
                                    "Transactional records contained more than one producer ID"));
    }
    assert_int_equal(end_of(p) + end_of(q), 0);
    partition_unref(p);
    partition_unref(q);
}

/* The broker that led before us was another one, with a coordinator. */
static void test_a_transaction_that_is_open_in_the_log_goes_on(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    struct batch_spec opened = transactional(0).spec;
    assert_err(append(partition_log(p), &opened, NULL), ERR_OK);
    api->transactional_id = "tid";
    struct sent next = transactional(0);
    next.spec.base_sequence = 2;
    const struct produce_response_partition_produce_response *one =
        produced(produce(api, NEWEST, ACKS_ALL, &next, 1));
    assert_int_equal(one->error_code, 0);
    assert_int_equal(one->base_offset, 2);
    struct sent outside = next; /* beside its own transaction */
    outside.spec.is_transactional = false;
    outside.spec.base_sequence = 4;
    assert_refused(produce(api, NEWEST, ACKS_ALL, &outside, 1), ERR_INVALID_TXN_STATE);
    assert_err(append_marker(partition_log(p), 5, 0, 0, false), ERR_OK);
    next.spec.base_sequence = 4;
    assert_refused(produce(api, NEWEST, ACKS_ALL, &next, 1), ERR_NOT_ENOUGH_REPLICAS);
    partition_unref(p);
}

static void test_verification_may_be_switched_off(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    api_configure(api, "transaction.partition.verification.enable=false");
    api->transactional_id = "tid";
    struct sent sent = transactional(0);
    assert_int_equal(produced(produce(api, NEWEST, ACKS_ALL, &sent, 1))->error_code, 0);
    assert_int_equal(log_last_stable_offset(partition_log(p), 2), 0);
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
        TEST(test_acks_0_sends_nothing_and_appends),
        TEST(test_an_error_of_acks_0_closes_the_connection),
        TEST(test_other_acks_are_refused_and_nothing_is_appended),
        TEST(test_acks_all_waits_for_every_partition),
        TEST(test_acks_1_does_not_wait),
        TEST(test_acks_all_times_out_at_its_time),
        TEST(test_without_time_acks_all_is_answered_at_once),
        TEST(test_losing_leadership_ends_the_wait),
        TEST(test_too_few_in_sync_refuse_acks_all_before_the_append),
        TEST(test_too_few_in_sync_after_the_append_say_so),
        TEST(test_flush_messages_puts_records_on_disk_before_the_answer),
        TEST(test_partitions_of_a_request_are_synced_side_by_side_without_a_worker),
        TEST(test_requests_for_one_partition_share_a_sync),
        TEST(test_a_sync_that_fails_fails_all_who_waited_for_it),
        TEST(test_a_broker_that_does_not_lead_names_the_leader),
        TEST(test_internal_topics_take_records_of_the_admin_client_only),
        TEST(test_a_flipped_bit_is_corrupt),
        TEST(test_what_is_no_batch_fails_the_whole_request),
        TEST(test_the_limit_of_size_counts_the_batch_with_its_prefix),
        TEST(test_each_record_that_is_too_old_is_named),
        TEST(test_new_versions_take_one_batch_of_format_2),
        TEST(test_a_repeated_batch_is_answered_with_its_first_offset),
        TEST(test_transactional_records_need_a_transactional_id),
        TEST(test_no_transaction_begins_without_a_coordinator),
        TEST(test_the_check_comes_before_acks_and_checksums_and_after_existence),
        TEST(test_only_the_transactional_part_of_a_request_is_refused),
        TEST(test_the_flag_without_a_producer_is_no_transaction),
        TEST(test_two_producers_in_one_transactional_request_fail_all_of_it),
        TEST(test_a_transaction_that_is_open_in_the_log_goes_on),
        TEST(test_verification_may_be_switched_off),
    };
    return cmocka_run_group_tests_name("produce", tests, NULL, NULL);
}
