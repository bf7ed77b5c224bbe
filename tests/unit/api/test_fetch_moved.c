/* What a fetch session costs: an incremental fetch looks at the partitions that have moved or were
 * named, and at no others; and what it does not look at is none the worse for it. Looks are
 * counted, not timed. */
#include "api_fixture.h"

#include "broker/log/log_manager_internal.h"

#define BY_NAME    12
#define BY_ID      17
#define PARTITIONS 100
#define FOLLOWER   2
#define LAG_MS     30000 /* replica.lag.time.max.ms */

/* --- a client that keeps a session --- */

struct client {
    struct api *api;
    int32_t id, epoch;
    int64_t looks; /* of the last fetch */
};

static struct fake_call *send_fetch(struct client *client, const struct asked *asked, int32_t count)
{
    struct api *api = client->api;
    api->fetch.session_id = client->id;
    api->fetch.session_epoch = client->epoch++;
    client->looks = fetch_sessions_looks(api->broker.fetch_sessions);
    return fetch(api, BY_NAME, asked, count);
}

static const struct fetch_response *answer_of(struct client *client, struct fake_call *call)
{
    const struct fetch_response *response = fake_answer(call);
    assert_int_equal(response->error_code, 0);
    client->id = response->session_id;
    client->looks = fetch_sessions_looks(client->api->broker.fetch_sessions) - client->looks;
    return response;
}

static const struct fetch_response *ask(struct client *client, const struct asked *asked,
                                        int32_t count)
{
    return answer_of(client, send_fetch(client, asked, count));
}

static const struct fetch_response *go_on(struct client *client)
{
    return ask(client, NULL, 0);
}

/* Partitions 0 to PARTITIONS - 1 of "t", each from its beginning. */
static void begin(struct client *client, struct api *api)
{
    struct asked asked[PARTITIONS];
    for (int32_t i = 0; i < PARTITIONS; i++)
        asked[i] = (struct asked){.topic = "t", .partition = i, .leader_epoch = EPOCH};
    *client = (struct client){.api = api};
    assert_int_equal(ask(client, asked, PARTITIONS)->responses[0].partitions_count, PARTITIONS);
    assert_true(client->id > 0);
}

/* The one partition that an answer names. */
static const struct fetch_response_partition_data *only(const struct fetch_response *response)
{
    assert_int_equal(response->responses_count, 1);
    assert_int_equal(response->responses[0].partitions_count, 1);
    return &response->responses[0].partitions[0];
}

static void lead_all(struct api *api, struct partition **ret)
{
    for (int32_t i = 0; i < PARTITIONS; i++)
        ret[i] = led_topic(api, "t", i);
}

/* With followers 2 and 3, all in sync. */
static void lead_all_with_followers(struct api *api, struct partition **ret)
{
    for (int32_t i = 0; i < PARTITIONS; i++)
        ret[i] = take_role(api->r, &(struct role_spec){.topic = "t",
                                                       .partition = i,
                                                       .id = id_of(1),
                                                       .leader_epoch = EPOCH,
                                                       .partition_epoch = EPOCH,
                                                       .replicas = {1, 2, 3},
                                                       .replicas_count = 3});
}

static void let_go(struct partition **partitions)
{
    for (int32_t i = 0; i < PARTITIONS; i++)
        partition_unref(partitions[i]);
}

/* --- consumers --- */

static void test_a_consumers_fetch_looks_only_at_what_moved(void **state)
{
    struct api *api = *state;
    struct partition *p[PARTITIONS];
    struct client client;
    lead_all(api, p);
    begin(&client, api);
    assert_int_equal(client.looks, PARTITIONS);
    assert_int_equal(go_on(&client)->responses_count, 0);
    assert_int_equal(client.looks, 0);
    append_to(p[70], 2);
    assert_int_equal(only(go_on(&client))->partition_index, 70);
    assert_int_equal(client.looks, 1);
    struct asked moved_on = {.topic = "t", .partition = 70, .offset = 2};
    assert_int_equal(ask(&client, &moved_on, 1)->responses_count, 0);
    assert_int_equal(client.looks, 1); /* it was named */
    assert_int_equal(go_on(&client)->responses_count, 0);
    assert_int_equal(client.looks, 0);
    let_go(p);
}

static void test_a_fetch_that_waits_is_woken_by_what_moved_and_looks_at_that_alone(void **state)
{
    struct api *api = *state;
    struct partition *p[PARTITIONS];
    struct client client;
    lead_all(api, p);
    begin(&client, api);
    api->fetch.max_wait_ms = 500;
    api->fetch.min_bytes = 1;
    struct fake_call *call = send_fetch(&client, NULL, 0);
    assert_false(fake_is_over(call));
    append_to(p[31], 1);
    fake_settle(api->loop);
    assert_int_equal(only(answer_of(&client, call))->partition_index, 31);
    assert_int_equal(client.looks, 1);
    let_go(p);
}

static int32_t size_of_batch(void)
{
    struct buf bytes = {0};
    batch_make(&bytes, &(struct batch_spec){.records = 3});
    int32_t size = (int32_t)bytes.size;
    buf_done(&bytes);
    return size;
}

/* What came first is still counted when the rest comes, and answered in the session's order. */
static void test_enough_bytes_may_come_from_partitions_that_move_one_after_another(void **state)
{
    struct api *api = *state;
    struct partition *p[PARTITIONS];
    struct client client;
    lead_all(api, p);
    begin(&client, api);
    api->fetch.max_wait_ms = 500;
    api->fetch.min_bytes = 3 * size_of_batch();
    struct fake_call *call = send_fetch(&client, NULL, 0);
    static const int32_t order[] = {9, 80, 4};
    for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
        assert_false(fake_is_over(call));
        append_to(p[order[i]], 3);
        fake_settle(api->loop);
    }
    const struct fetch_response *response = answer_of(&client, call);
    assert_int_equal(response->responses_count, 1);
    assert_int_equal(response->responses[0].partitions_count, 3);
    static const int32_t answered[] = {4, 9, 80};
    for (int32_t i = 0; i < 3; i++) {
        assert_int_equal(response->responses[0].partitions[i].partition_index, answered[i]);
        assert_int_equal(seen_in(&response->responses[0].partitions[i]).records, 3);
    }
    assert_int_equal(client.looks, 1 + 2 + 3);
    let_go(p);
}

/* Whoever had something goes behind those that had not, so that all get their turn. */
static void test_small_answers_come_from_each_partition_in_turn(void **state)
{
    struct api *api = *state;
    struct partition *p[PARTITIONS];
    struct client client;
    lead_all(api, p);
    begin(&client, api);
    append_to(p[10], 3);
    append_to(p[20], 3);
    append_to(p[30], 3);
    api->fetch.max_bytes = 1; /* one batch, by the rule of the first */
    static const int32_t turns[] = {10, 20, 30, 10, 20};
    for (size_t i = 0; i < ARRAY_SIZE(turns); i++) {
        const struct fetch_response *response = go_on(&client);
        bool has_records = false;
        for (int32_t t = 0; t < response->responses_count; t++) {
            const struct fetch_response_fetchable_topic_response *topic = &response->responses[t];
            for (int32_t k = 0; k < topic->partitions_count; k++) {
                if (!topic->partitions[k].records.bytes.size)
                    continue;
                assert_int_equal(topic->partitions[k].partition_index, turns[i]);
                has_records = true;
            }
        }
        assert_true(has_records);
        assert_int_equal(client.looks, 3);
    }
    let_go(p);
}

static void test_a_log_start_that_is_raised_is_told_without_a_wait_for_records(void **state)
{
    struct api *api = *state;
    struct partition *p[PARTITIONS];
    struct client client;
    lead_all(api, p);
    append_to(p[5], 4);
    begin(&client, api);
    struct asked at_end = {.topic = "t", .partition = 5, .offset = 4};
    ask(&client, &at_end, 1);
    int64_t to, low;
    assert_err(partition_delete_records(p[5], 3, &to, &low), ERR_OK);
    assert_int_equal(only(go_on(&client))->log_start_offset, 3);
    assert_int_equal(client.looks, 1);
    let_go(p);
}

static void test_a_log_start_that_retention_raises_is_told_too(void **state)
{
    struct api *api = *state;
    struct partition *p[PARTITIONS];
    struct client client;
    api->r->logs->config.segment_bytes = 200;
    api->r->logs->config.retention_ms = 1000;
    lead_all(api, p);
    append_to(p[5], 4);
    append_to(p[5], 4); /* both of long ago, in a segment each */
    begin(&client, api);
    struct asked at_end = {.topic = "t", .partition = 5, .offset = 8};
    ask(&client, &at_end, 1);
    go_on(&client);
    assert_int_equal(client.looks, 0);
    log_manager_retain(api->r->logs->manager);
    assert_int_equal(only(go_on(&client))->log_start_offset, 8);
    assert_int_equal(client.looks, 1);
    let_go(p);
}

static void test_an_error_is_looked_at_until_it_is_over(void **state)
{
    struct api *api = *state;
    struct partition *p[PARTITIONS];
    struct client client;
    lead_all(api, p);
    begin(&client, api);
    struct role_spec spec = {.topic = "t",
                             .partition = 3,
                             .id = id_of(1),
                             .leader = 2,
                             .leader_epoch = EPOCH + 1,
                             .partition_epoch = EPOCH + 1,
                             .replicas = {1, 2},
                             .replicas_count = 2};
    partition_unref(take_role(api->r, &spec));
    for (int i = 0; i < 2; i++) {
        assert_code(only(go_on(&client))->error_code, ERR_FENCED_LEADER_EPOCH);
        assert_int_equal(client.looks, 1);
    }
    spec.leader = SELF;
    spec.leader_epoch = spec.partition_epoch = EPOCH + 2;
    spec.replicas_count = 1;
    partition_unref(take_role(api->r, &spec));
    struct asked again = {.topic = "t", .partition = 3, .leader_epoch = EPOCH + 2};
    assert_int_equal(only(ask(&client, &again, 1))->high_watermark, 0);
    assert_int_equal(go_on(&client)->responses_count, 0);
    assert_int_equal(client.looks, 0);
    let_go(p);
}

/* The session holds the partition itself, not its name: it must see that it has gone. */
static void test_a_partition_that_is_made_anew_is_found_again(void **state)
{
    struct api *api = *state;
    struct partition *p[PARTITIONS];
    struct client client;
    lead_all(api, p);
    begin(&client, api);
    assert_code(tell_stop(api->r, "t", 8, -2, true), ERR_OK);
    assert_code(only(go_on(&client))->error_code, ERR_NOT_LEADER_OR_FOLLOWER);
    struct partition *anew = led_topic(api, "t", 8);
    assert_ptr_not_equal(anew, p[8]);
    append_to(anew, 2);
    assert_int_equal(seen_in(only(go_on(&client))).records, 2);
    struct asked moved_on = {.topic = "t", .partition = 8, .offset = 2};
    ask(&client, &moved_on, 1);
    append_to(anew, 1);
    assert_int_equal(seen_in(only(go_on(&client))).first_offset, 2); /* it is the new one's news */
    assert_int_equal(client.looks, 1);
    partition_unref(anew);
    let_go(p);
}

/* READ_COMMITTED may have read to its end where READ_UNCOMMITTED has not. */
static void test_another_reader_of_a_session_looks_at_everything_once(void **state)
{
    struct api *api = *state;
    struct partition *p[PARTITIONS];
    struct client client;
    lead_all(api, p);
    begin(&client, api);
    go_on(&client);
    assert_int_equal(client.looks, 0);
    api->fetch.isolation_level = READ_COMMITTED;
    go_on(&client);
    assert_int_equal(client.looks, PARTITIONS);
    go_on(&client);
    assert_int_equal(client.looks, 0);
    let_go(p);
}

static void test_a_forgotten_partition_is_not_looked_at_however_it_moves(void **state)
{
    struct api *api = *state;
    struct partition *p[PARTITIONS];
    struct client client;
    lead_all(api, p);
    begin(&client, api);
    int32_t five = 5;
    struct fetch_request_forgotten_topic forgotten = {
        .topic = SLICE_LITERAL("t"), .partitions = &five, .partitions_count = 1};
    append_to(p[5], 1); /* due already */
    api->fetch.forgotten_topics_data = &forgotten;
    api->fetch.forgotten_topics_data_count = 1;
    assert_int_equal(go_on(&client)->responses_count, 0);
    assert_int_equal(client.looks, 0);
    api->fetch.forgotten_topics_data_count = 0;
    append_to(p[5], 1);
    assert_int_equal(go_on(&client)->responses_count, 0);
    assert_int_equal(client.looks, 0);
    let_go(p);
}

/* --- followers --- */

static void as_broker(struct client *client, int32_t id)
{
    client->api->fetch.replica_id = id;
}

static void begin_as(struct client *client, struct api *api, int32_t broker_id)
{
    api->fetch.replica_id = broker_id;
    begin(client, api);
}

static void test_followers_fetches_look_only_at_what_moved(void **state)
{
    struct api *api = *state;
    struct partition *p[PARTITIONS];
    struct client two, three;
    lead_all_with_followers(api, p);
    begin_as(&two, api, 2);
    begin_as(&three, api, 3);
    as_broker(&two, 2);
    go_on(&two);
    assert_int_equal(two.looks, 0);

    append_to(p[40], 1);
    assert_int_equal(seen_in(only(go_on(&two))).records, 1);
    assert_int_equal(two.looks, 1);
    struct asked at_one = {.topic = "t", .partition = 40, .offset = 1, .leader_epoch = EPOCH};
    ask(&two, &at_one, 1);
    as_broker(&three, 3);
    assert_int_equal(seen_in(only(go_on(&three))).records, 1);
    ask(&three, &at_one, 1);
    assert_int_equal(partition_high_watermark(p[40]), 1);

    /* Both are told of the watermark, and then there is nothing left to say. */
    assert_int_equal(only(go_on(&three))->high_watermark, 1);
    assert_int_equal(three.looks, 1);
    as_broker(&two, 2);
    assert_int_equal(only(go_on(&two))->high_watermark, 1);
    assert_int_equal(two.looks, 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(go_on(&two)->responses_count, 0);
        assert_int_equal(two.looks, 0);
    }
    let_go(p);
}

/* replica.lag.time.max.ms counts from the last fetch that found everything, although none of them
 * looked. */
static void test_a_follower_that_rests_stays_caught_up_while_its_session_fetches(void **state)
{
    struct api *api = *state;
    struct partition *p[PARTITIONS];
    struct client two, three;
    lead_all_with_followers(api, p);
    begin_as(&three, api, 3);
    begin_as(&two, api, 2);
    for (int i = 0; i < 10; i++) {
        fake_advance(api->loop, LAG_MS / 2);
        go_on(&two);
        assert_int_equal(two.looks, 0);
    }
    append_to(p[1], 1);
    append_to(p[2], 1);
    struct isr_change *change = partition_shrink_isr(p[1]);
    assert_non_null(change); /* broker 3 has not come for long */
    assert_int_equal(change->isr_count, 2);
    assert_int_equal(change->isr[1], 2);
    isr_change_free(change);
    fake_advance(api->loop, LAG_MS);
    change = partition_shrink_isr(p[2]);
    assert_int_equal(change->isr_count, 2);
    isr_change_free(change);
    fake_advance(api->loop, 1); /* now its own time is over, counted from its last fetch */
    append_to(p[3], 1);
    change = partition_shrink_isr(p[3]);
    assert_int_equal(change->isr_count, 1);
    isr_change_free(change);
    let_go(p);
}

/* A session that is given up, or a partition that it forgets, speaks for nobody. */
static void test_a_forgotten_partition_does_not_stay_caught_up_by_the_others(void **state)
{
    struct api *api = *state;
    struct partition *p[PARTITIONS];
    struct client two;
    lead_all_with_followers(api, p);
    begin_as(&two, api, 2);
    int32_t seven = 7;
    struct fetch_request_forgotten_topic forgotten = {
        .topic = SLICE_LITERAL("t"), .partitions = &seven, .partitions_count = 1};
    api->fetch.forgotten_topics_data = &forgotten;
    api->fetch.forgotten_topics_data_count = 1;
    go_on(&two);
    api->fetch.forgotten_topics_data_count = 0;
    fake_advance(api->loop, LAG_MS + 1);
    go_on(&two);
    append_to(p[6], 1);
    append_to(p[7], 1);
    struct isr_change *change = partition_shrink_isr(p[6]);
    assert_int_equal(change->isr_count, 2);
    isr_change_free(change);
    change = partition_shrink_isr(p[7]);
    assert_int_equal(change->isr_count, 1);
    isr_change_free(change);
    let_go(p);
}

/* One that is not in the ISR asks to join with each fetch, until it is let in. */
static void test_a_follower_out_of_the_isr_is_looked_at_until_it_has_joined(void **state)
{
    struct api *api = *state;
    struct partition *p = replicated_topic(api, "t", 1);
    struct client two = {.api = api};
    as_broker(&two, FOLLOWER);
    struct asked asked = {.topic = "t", .leader_epoch = EPOCH};
    ask(&two, &asked, 1);
    for (int i = 0; i < 2; i++) {
        go_on(&two);
        assert_int_equal(two.looks, 1);
    }
    assert_int_equal(api->r->isr_wishes_count, 1);
    static const int32_t both[] = {1, 2};
    struct isr_answer joined = {.leader = SELF,
                                .leader_epoch = EPOCH,
                                .partition_epoch = EPOCH + 1,
                                .isr = both,
                                .isr_count = 2};
    assert_false(partition_isr_answered(p, api->r->isr_wishes[0], &joined));
    go_on(&two);
    assert_int_equal(two.looks, 1); /* once more, to find that it is in */
    go_on(&two);
    assert_int_equal(two.looks, 0);

    /* Another wish that was on its way takes it out again: it must ask anew. */
    struct isr_answer gone = joined;
    gone.partition_epoch = EPOCH + 2;
    gone.isr_count = 1;
    append_to(p, 1);
    fake_advance(api->loop, LAG_MS + 1);
    struct isr_change *shrink = partition_shrink_isr(p);
    assert_non_null(shrink);
    struct asked at_end = {.topic = "t", .offset = 1, .leader_epoch = EPOCH};
    ask(&two, &at_end, 1); /* it has everything before the controller has spoken */
    go_on(&two);
    go_on(&two);
    assert_false(partition_isr_answered(p, shrink, &gone));
    isr_change_free(shrink);
    go_on(&two);
    assert_int_equal(api->r->isr_wishes_count, 2);
    partition_unref(p);
}

/* Its log can be no longer than the leader's. */
static void
test_a_follower_that_claims_what_it_cannot_have_is_refused_and_moves_nothing(void **state)
{
    struct api *api = *state;
    struct partition *p = replicated_topic(api, "t", 2);
    append_to(p, 5);
    struct client two = {.api = api}, three = {.api = api};
    struct asked beyond = {.topic = "t", .offset = 6, .leader_epoch = EPOCH};
    as_broker(&two, 2);
    assert_code(only(ask(&two, &beyond, 1))->error_code, ERR_OFFSET_OUT_OF_RANGE);
    assert_int_equal(partition_high_watermark(p), 0); /* 2 is in sync: what it has commits */
    as_broker(&three, 3);
    assert_code(only(ask(&three, &beyond, 1))->error_code, ERR_OFFSET_OUT_OF_RANGE);
    assert_int_equal(api->r->isr_wishes_count, 0);
    struct asked of_later = {.topic = "t", .offset = 5, .leader_epoch = EPOCH, .last_epoch = 9};
    assert_code(only(ask(&three, &of_later, 1))->error_code, ERR_OFFSET_OUT_OF_RANGE);
    assert_int_equal(api->r->isr_wishes_count, 0);
    assert_int_equal(partition_high_watermark(p), 0);
    struct asked true_one = {.topic = "t", .offset = 5, .leader_epoch = EPOCH};
    as_broker(&two, 2);
    assert_code(only(ask(&two, &true_one, 1))->error_code, ERR_OK);
    assert_int_equal(partition_high_watermark(p), 5);
    partition_unref(p);
}

/* Trap 56: limits were lowered after large batches had been written. */
static void test_a_followers_first_batch_comes_whole_however_small_its_limits(void **state)
{
    struct api *api = *state;
    struct partition *p = replicated_topic(api, "t", 2);
    append_to(p, 3);
    append_to(p, 3);
    struct client two = {.api = api};
    as_broker(&two, 2);
    struct asked asked = {.topic = "t", .leader_epoch = EPOCH, .max_bytes = 1};
    assert_int_equal(seen_in(only(ask(&two, &asked, 1))).batches, 1);
    partition_unref(p);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, api_setup, api_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_consumers_fetch_looks_only_at_what_moved),
        TEST(test_a_fetch_that_waits_is_woken_by_what_moved_and_looks_at_that_alone),
        TEST(test_enough_bytes_may_come_from_partitions_that_move_one_after_another),
        TEST(test_small_answers_come_from_each_partition_in_turn),
        TEST(test_a_log_start_that_is_raised_is_told_without_a_wait_for_records),
        TEST(test_a_log_start_that_retention_raises_is_told_too),
        TEST(test_an_error_is_looked_at_until_it_is_over),
        TEST(test_a_partition_that_is_made_anew_is_found_again),
        TEST(test_another_reader_of_a_session_looks_at_everything_once),
        TEST(test_a_forgotten_partition_is_not_looked_at_however_it_moves),
        TEST(test_followers_fetches_look_only_at_what_moved),
        TEST(test_a_follower_that_rests_stays_caught_up_while_its_session_fetches),
        TEST(test_a_forgotten_partition_does_not_stay_caught_up_by_the_others),
        TEST(test_a_follower_out_of_the_isr_is_looked_at_until_it_has_joined),
        TEST(test_a_follower_that_claims_what_it_cannot_have_is_refused_and_moves_nothing),
        TEST(test_a_followers_first_batch_comes_whole_however_small_its_limits),
    };
    return cmocka_run_group_tests_name("fetches of what moved", tests, NULL, NULL);
}
