/* Fetch: what is read, how much an answer holds, and how long it waits. */
#include "fetch_fixture.h"

#include <errno.h>

/* --- reading --- */

static void test_every_version_reads_what_was_written(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    append_to(p, 2);
    append_to(p, 3);
    for (int16_t version = 4; version <= NEWEST; version++) {
        const struct asked *asked = version >= 13 ? &at_start_by_id : &at_start;
        const struct fetch_response_partition_data *data = fetched(fetch(api, version, asked, 1));
        assert_int_equal(data->error_code, 0);
        assert_int_equal(data->high_watermark, 5);
        assert_int_equal(data->last_stable_offset, 5);
        if (version >= 5)
            assert_int_equal(data->log_start_offset, 0);
        assert_int_equal(data->aborted_transactions_count, -1);
        assert_int_equal(data->preferred_read_replica, -1);
        struct records_seen seen = seen_in(data);
        assert_int_equal(seen.batches, 2);
        assert_int_equal(seen.records, 5);
        assert_int_equal(seen.next_offset, 5);
    }
    partition_unref(p);
}

static void test_an_offset_within_a_batch_brings_the_whole_batch(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    append_to(p, 2);
    append_to(p, 8);
    struct asked asked = {.topic = "t", .offset = 6};
    struct records_seen seen = seen_in(fetched(fetch(api, NEWEST_OLD, &asked, 1)));
    assert_int_equal(seen.first_offset, 2);
    assert_int_equal(seen.records, 8);
    partition_unref(p);
}

static void test_offsets_beyond_either_end_are_out_of_range(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    append_to(p, 10);
    int64_t to, low;
    assert_err(partition_delete_records(p, 4, &to, &low), ERR_OK);
    api->fetch.max_wait_ms = 1000;
    api->fetch.min_bytes = 1;
    static const int64_t outside[] = {-1, 0, 3, 11, INT64_MAX};
    for (size_t i = 0; i < ARRAY_SIZE(outside); i++) {
        struct asked asked = {.topic = "t", .offset = outside[i]};
        assert_failed(fetched(fetch(api, NEWEST_OLD, &asked, 1)), ERR_OFFSET_OUT_OF_RANGE);
    }
    api->fetch.max_wait_ms = 0;
    struct asked at_end = {.topic = "t", .offset = 10};
    const struct fetch_response_partition_data *data = fetched(fetch(api, NEWEST_OLD, &at_end, 1));
    assert_int_equal(data->error_code, 0);
    assert_int_equal(data->log_start_offset, 4);
    assert_int_equal(data->records.bytes.size, 0);
    assert_false(slice_is_null(data->records.bytes)); /* empty, never null */
    partition_unref(p);
}

static void test_between_watermark_and_log_end_there_is_nothing_yet(void **state)
{
    struct api *api = *state;
    struct partition *p = replicated_topic(api, "t", 2);
    append_to(p, 4);
    append_to(p, 4);
    follower_at(p, 2, 4);
    assert_int_equal(seen_in(fetched(fetch(api, NEWEST_OLD, &at_start, 1))).next_offset, 4);
    struct asked asked = {.topic = "t", .offset = 6};
    const struct fetch_response_partition_data *data = fetched(fetch(api, NEWEST_OLD, &asked, 1));
    assert_int_equal(data->error_code, 0);
    assert_int_equal(data->high_watermark, 4);
    assert_int_equal(data->records.bytes.size, 0);
    partition_unref(p);
}

/* --- limits --- */

static void test_the_first_batch_comes_whole_however_small_the_limits(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api), *q = led_topic(api, "t", 1), *o = led_topic(api, "t", 2);
    append_to(q, 3);
    append_to(q, 3);
    append_to(o, 3);
    const struct asked asked[] = {{.topic = "t", .max_bytes = 1},
                                  {.topic = "t", .partition = 1, .max_bytes = 1},
                                  {.topic = "t", .partition = 2, .max_bytes = 1}};
    struct fake_call *call = fetch(api, NEWEST_OLD, asked, 3);
    assert_int_equal(fetched_at(call, 0, 0)->records.bytes.size, 0); /* it has none */
    assert_int_equal(fetched_at(call, 0, 1)->records.bytes.size, size_of_batch());
    assert_int_equal(fetched_at(call, 0, 2)->records.bytes.size, 0); /* only the first with any */
    assert_int_equal(fetched_at(call, 0, 2)->error_code, 0);
    api->fetch.max_bytes = 1;
    struct asked one = {.topic = "t", .partition = 1};
    assert_int_equal(seen_in(fetched(fetch(api, NEWEST_OLD, &one, 1))).batches, 1);
    partition_unref(p);
    partition_unref(q);
    partition_unref(o);
}

static void test_partitions_share_the_bytes_of_the_answer(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api), *q = led_topic(api, "t", 1);
    for (int i = 0; i < 4; i++) {
        append_to(p, 3);
        append_to(q, 3);
    }
    const struct asked asked[] = {{.topic = "t", .max_bytes = 3 * size_of_batch()},
                                  {.topic = "t", .partition = 1}};
    api->fetch.max_bytes = 5 * size_of_batch();
    struct fake_call *call = fetch(api, NEWEST_OLD, asked, 2);
    assert_int_equal(seen_in(fetched_at(call, 0, 0)).batches, 3);
    assert_int_equal(seen_in(fetched_at(call, 0, 1)).batches, 2);
    api->fetch.max_bytes = 1 << 20;
    api_configure(api, "fetch.max.bytes=1024");
    struct partition *big = led_topic(api, "big", 0);
    for (int i = 0; i < 40; i++)
        append_to(big, 3);
    struct asked all = {.topic = "big"};
    size_t got = fetched(fetch(api, NEWEST_OLD, &all, 1))->records.bytes.size;
    assert_true(got > 0 && got <= 1024);
    partition_unref(p);
    partition_unref(q);
    partition_unref(big);
}

static void test_negative_limits_are_an_error_of_the_partition(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    append_to(p, 1);
    struct asked asked = {.topic = "t", .max_bytes = -1};
    assert_failed(fetched(fetch(api, NEWEST_OLD, &asked, 1)), ERR_UNKNOWN_SERVER_ERROR);
    api->fetch.max_bytes = -1;
    assert_failed(fetched(fetch(api, NEWEST_OLD, &at_start, 1)), ERR_UNKNOWN_SERVER_ERROR);
    partition_unref(p);
}

/* --- waiting --- */

static void test_an_empty_fetch_waits_for_a_record(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    wait_for(api, 1);
    struct fake_call *call = fetch(api, NEWEST_OLD, &at_start, 1);
    assert_false(fake_is_over(call));
    fake_advance(api->loop, 100);
    append_to(p, 2);
    fake_settle(api->loop);
    assert_int_equal(seen_in(fetched(call)).records, 2);
    partition_unref(p);
}

static void test_the_wait_ends_at_its_time_and_not_before(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    wait_for(api, 1 << 20);
    struct fake_call *call = fetch(api, NEWEST_OLD, &at_start, 1);
    append_to(p, 2); /* not enough */
    fake_settle(api->loop);
    fake_advance(api->loop, 499);
    assert_false(fake_is_over(call));
    fake_advance(api->loop, 1);
    assert_int_equal(seen_in(fetched(call)).records, 2);
    partition_unref(p);
}

static void test_enough_bytes_may_come_from_several_partitions(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api), *q = led_topic(api, "t", 1);
    wait_for(api, 2 * size_of_batch());
    const struct asked asked[] = {{.topic = "t"}, {.topic = "t", .partition = 1}};
    struct fake_call *call = fetch(api, NEWEST_OLD, asked, 2);
    append_to(p, 3);
    fake_settle(api->loop);
    assert_false(fake_is_over(call));
    append_to(q, 3);
    fake_settle(api->loop);
    assert_int_equal(seen_in(fetched_at(call, 0, 0)).records, 3);
    assert_int_equal(seen_in(fetched_at(call, 0, 1)).records, 3);
    partition_unref(p);
    partition_unref(q);
}

static void test_more_asked_than_an_answer_may_hold_is_not_waited_for(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    append_to(p, 3);
    wait_for(api, 1 << 30);
    api->fetch.max_bytes = size_of_batch();
    assert_int_equal(seen_in(fetched(fetch(api, NEWEST_OLD, &at_start, 1))).records, 3);
    partition_unref(p);
}

static void test_the_watermark_wakes_consumers_and_the_append_followers(void **state)
{
    struct api *api = *state;
    struct partition *p = replicated_topic(api, "t", 2);
    wait_for(api, 1);
    struct fake_call *consumer = fetch(api, NEWEST_OLD, &at_start, 1);
    api->fetch.replica_id = 2;
    struct fake_call *follower = fetch(api, NEWEST_OLD, &at_start, 1);
    append_to(p, 2);
    fake_settle(api->loop);
    assert_false(fake_is_over(consumer));
    assert_int_equal(seen_in(fetched(follower)).records, 2);
    follower_at(p, 2, 2);
    fake_settle(api->loop);
    assert_int_equal(seen_in(fetched(consumer)).records, 2);
    partition_unref(p);
}

static void test_lost_leadership_ends_the_wait_with_the_new_leader(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    wait_for(api, 1);
    api->fetch.replica_state.replica_id = -1;
    struct asked asked = at_start_by_id;
    asked.leader_epoch = EPOCH;
    struct fake_call *call = fetch(api, NEWEST, &asked, 1);
    lose_leadership(api, "t");
    fake_settle(api->loop);
    assert_failed(fetched(call), ERR_FENCED_LEADER_EPOCH);
    assert_int_equal(fetched(call)->current_leader.leader_id, 2);
    assert_int_equal(fetched(call)->current_leader.leader_epoch, EPOCH + 1);
    const struct fetch_response *response = fake_answer(call);
    assert_int_equal(response->node_endpoints_count, 1);
    assert_true(slice_equal_str(response->node_endpoints[0].host, "host-2"));
    partition_unref(p);
}

static void test_an_error_is_not_waited_upon_but_an_unknown_partition_is(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    wait_for(api, 1);
    const struct asked broken[] = {{.topic = "t"}, {.topic = "t", .offset = 99}};
    struct asked one = broken[1];
    assert_failed(fetched(fetch(api, NEWEST_OLD, &one, 1)), ERR_OFFSET_OUT_OF_RANGE);
    const struct asked unknown[] = {{.topic = "t"}, {.topic = "nowhere"}};
    struct fake_call *call = fetch(api, NEWEST_OLD, unknown, 2);
    assert_false(fake_is_over(call));
    fake_advance(api->loop, 500);
    assert_int_equal(fetched_at(call, 0, 0)->error_code, 0);
    assert_failed(fetched_at(call, 1, 0), ERR_UNKNOWN_TOPIC_OR_PARTITION);
    call = fetch(api, NEWEST_OLD, &unknown[1], 1); /* nothing at all to wait for */
    assert_failed(fetched(call), ERR_UNKNOWN_TOPIC_OR_PARTITION);
    partition_unref(p);
}

static void test_nothing_asked_is_answered_at_once(void **state)
{
    struct api *api = *state;
    wait_for(api, 1);
    const struct fetch_response *response = fake_answer(fetch(api, NEWEST_OLD, NULL, 0));
    assert_int_equal(response->responses_count, 0);
}

/* --- cold data --- */

static ssize_t never_resident(int fd, void *data, size_t size, off_t position)
{
    (void)fd, (void)data, (void)size, (void)position;
    errno = EAGAIN;
    return -1;
}

static void test_what_is_not_in_memory_is_read_on_a_worker(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    for (int i = 0; i < 60; i++)
        append_to(p, 1);
    struct file_ops cold = file_ops_system;
    cold.pread_resident = never_resident;
    file_ops = &cold;
    struct asked asked = {.topic = "t", .offset = 5, .max_bytes = 500};
    struct fake_call *call = fetch(api, NEWEST_OLD, &asked, 1);
    file_ops = &file_ops_system;
    assert_int_equal(fake_worker_runs(call), 1);
    assert_int_equal(seen_in(fetched(call)).first_offset, 5);
    partition_unref(p);
}

/* --- sessions --- */

static const struct fetch_response *fetch_in_session(struct api *api, int32_t id, int32_t epoch,
                                                     const struct asked *asked, int32_t count)
{
    api->fetch.session_id = id;
    api->fetch.session_epoch = epoch;
    return fake_answer(fetch(api, NEWEST_OLD, asked, count));
}

static void test_a_session_answers_only_what_moved(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api), *q = led_topic(api, "u", 0);
    const struct asked both[] = {{.topic = "t"}, {.topic = "u"}};
    const struct fetch_response *response = fetch_in_session(api, 0, 0, both, 2);
    int32_t id = response->session_id;
    assert_true(id > 0);
    assert_int_equal(response->responses_count, 2);
    response = fetch_in_session(api, id, 1, NULL, 0);
    assert_int_equal(response->session_id, id);
    assert_int_equal(response->responses_count, 0);
    append_to(q, 2);
    response = fetch_in_session(api, id, 2, NULL, 0);
    assert_int_equal(response->responses_count, 1);
    assert_true(slice_equal_str(response->responses[0].topic, "u"));
    assert_int_equal(seen_in(&response->responses[0].partitions[0]).records, 2);
    response = fetch_in_session(api, id, 3, NULL, 0); /* the client does not move on: again */
    assert_int_equal(response->responses_count, 1);
    response = fetch_in_session(api, id, 3, NULL, 0);
    assert_code(response->error_code, ERR_INVALID_FETCH_SESSION_EPOCH);
    assert_int_equal(response->session_id, 0);
    response = fetch_in_session(api, id + 1, 1, NULL, 0);
    assert_code(response->error_code, ERR_FETCH_SESSION_ID_NOT_FOUND);
    partition_unref(p);
    partition_unref(q);
}

static void test_a_session_in_use_may_be_closed_by_another_request(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    wait_for(api, 1);
    api->fetch.session_epoch = 0;
    struct fake_call *waiting = fetch(api, NEWEST_OLD, &at_start, 1);
    assert_int_equal(fetch_sessions_count(api->broker.fetch_sessions), 1);
    fake_advance(api->loop, 500);
    const struct fetch_response *first = fake_answer(waiting);
    api->fetch.session_id = first->session_id;
    api->fetch.session_epoch = 1;
    waiting = fetch(api, NEWEST_OLD, NULL, 0);
    assert_false(fake_is_over(waiting));
    api->fetch.session_epoch = -1; /* the client gives it up on another connection */
    fetch(api, NEWEST_OLD, NULL, 0);
    assert_int_equal(fetch_sessions_count(api->broker.fetch_sessions), 0);
    append_to(p, 1);
    fake_settle(api->loop);
    assert_int_equal(seen_in(fetched(waiting)).records, 1);
    partition_unref(p);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, api_setup, api_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_every_version_reads_what_was_written),
        TEST(test_an_offset_within_a_batch_brings_the_whole_batch),
        TEST(test_offsets_beyond_either_end_are_out_of_range),
        TEST(test_between_watermark_and_log_end_there_is_nothing_yet),
        TEST(test_the_first_batch_comes_whole_however_small_the_limits),
        TEST(test_partitions_share_the_bytes_of_the_answer),
        TEST(test_negative_limits_are_an_error_of_the_partition),
        TEST(test_an_empty_fetch_waits_for_a_record),
        TEST(test_the_wait_ends_at_its_time_and_not_before),
        TEST(test_enough_bytes_may_come_from_several_partitions),
        TEST(test_more_asked_than_an_answer_may_hold_is_not_waited_for),
        TEST(test_the_watermark_wakes_consumers_and_the_append_followers),
        TEST(test_lost_leadership_ends_the_wait_with_the_new_leader),
        TEST(test_an_error_is_not_waited_upon_but_an_unknown_partition_is),
        TEST(test_nothing_asked_is_answered_at_once),
        TEST(test_what_is_not_in_memory_is_read_on_a_worker),
        TEST(test_a_session_answers_only_what_moved),
        TEST(test_a_session_in_use_may_be_closed_by_another_request),
    };
    return cmocka_run_group_tests_name("fetch", tests, NULL, NULL);
}
