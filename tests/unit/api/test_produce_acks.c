/* Produce: what an answer waits for, other replicas and the disk. */
#include "produce_fixture.h"

#include <errno.h>

#include "broker/log/file_ops.h"

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

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, api_setup, api_teardown)
    const struct CMUnitTest tests[] = {
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
    };
    return cmocka_run_group_tests_name("produce acks", tests, NULL, NULL);
}
