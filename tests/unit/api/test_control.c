/* LeaderAndIsr, StopReplica and UpdateMetadata as they come over the wire: who may ask, and that
 * what is refused changes nothing and is traced (zookeeper-and-controller.md §6.1; §9 T30, T31). */
#include "api_fixture.h"

#include "wire/leader_and_isr.h"
#include "wire/stop_replica.h"
#include "wire/update_metadata.h"

/* Who asks, and of which life of this broker. */
struct asker {
    int32_t controller_epoch;
    int64_t broker_epoch;
};
static const struct asker rightful = {CONTROL_EPOCH, BROKER_EPOCH};

static int16_t lead(struct api *api, struct asker asker, int32_t leader_epoch,
                    int16_t *ret_partition_error)
{
    int32_t replicas[] = {SELF};
    struct leader_and_isr_request request;
    struct leader_and_isr_request_leader_and_isr_topic_state topic;
    struct leader_and_isr_request_leader_and_isr_partition_state state;
    leader_and_isr_request_init(&request);
    leader_and_isr_request_leader_and_isr_topic_state_init(&topic);
    leader_and_isr_request_leader_and_isr_partition_state_init(&state);
    request.controller_id = CONTROLLER;
    request.controller_epoch = asker.controller_epoch;
    request.broker_epoch = asker.broker_epoch;
    request.topic_states = &topic;
    request.topic_states_count = 1;
    topic.topic_name = SLICE_LITERAL("t");
    topic.topic_id = id_of(1);
    topic.partition_states = &state;
    topic.partition_states_count = 1;
    state.leader = SELF;
    state.leader_epoch = state.partition_epoch = leader_epoch;
    state.isr = state.replicas = replicas;
    state.isr_count = state.replicas_count = 1;
    const struct leader_and_isr_response *answer =
        fake_answer(fake_call(api->loop, handle_leader_and_isr, API_LEADER_AND_ISR, 7, &request));
    assert_int_equal(answer->topics_count, 1);
    assert_int_equal(answer->topics[0].partition_errors_count, 1);
    *ret_partition_error = answer->topics[0].partition_errors[0].error_code;
    return answer->error_code;
}

static const struct stop_replica_response *stop(struct api *api, struct asker asker,
                                                int32_t leader_epoch)
{
    struct stop_replica_request request;
    struct stop_replica_request_stop_replica_topic_state topic;
    struct stop_replica_request_stop_replica_partition_state state;
    stop_replica_request_init(&request);
    stop_replica_request_stop_replica_topic_state_init(&topic);
    stop_replica_request_stop_replica_partition_state_init(&state);
    request.controller_id = CONTROLLER;
    request.controller_epoch = asker.controller_epoch;
    request.broker_epoch = asker.broker_epoch;
    request.topic_states = &topic;
    request.topic_states_count = 1;
    topic.topic_name = SLICE_LITERAL("t");
    topic.partition_states = &state;
    topic.partition_states_count = 1;
    state.leader_epoch = leader_epoch;
    state.delete_partition = true;
    return fake_answer(fake_call(api->loop, handle_stop_replica, API_STOP_REPLICA, 4, &request));
}

/* Names broker 3 alone as alive, and 3 as the leader of t-0. */
static int16_t update(struct api *api, struct asker asker, int32_t leader_epoch)
{
    int32_t ids[] = {3};
    struct update_metadata_request request;
    struct update_metadata_request_update_metadata_topic_state topic;
    struct update_metadata_request_update_metadata_partition_state state;
    struct update_metadata_request_update_metadata_broker broker;
    struct update_metadata_request_update_metadata_endpoint endpoint;
    update_metadata_request_init(&request);
    update_metadata_request_update_metadata_topic_state_init(&topic);
    update_metadata_request_update_metadata_partition_state_init(&state);
    update_metadata_request_update_metadata_broker_init(&broker);
    update_metadata_request_update_metadata_endpoint_init(&endpoint);
    request.controller_id = CONTROLLER;
    request.controller_epoch = asker.controller_epoch;
    request.broker_epoch = asker.broker_epoch;
    request.topic_states = &topic;
    request.topic_states_count = 1;
    request.live_brokers = &broker;
    request.live_brokers_count = 1;
    broker.id = 3;
    broker.endpoints = &endpoint;
    broker.endpoints_count = 1;
    endpoint.host = SLICE_LITERAL("host-3");
    endpoint.listener = SLICE_LITERAL("PLAINTEXT");
    endpoint.port = 9093;
    topic.topic_name = SLICE_LITERAL("t");
    topic.topic_id = id_of(1);
    topic.partition_states = &state;
    topic.partition_states_count = 1;
    state.leader = 3;
    state.leader_epoch = leader_epoch;
    state.isr = state.replicas = ids;
    state.isr_count = state.replicas_count = 1;
    const struct update_metadata_response *answer =
        fake_answer(fake_call(api->loop, handle_update_metadata, API_UPDATE_METADATA, 8, &request));
    return answer->error_code;
}

static int32_t epoch_in_metadata(struct api *api)
{
    metadata_cache_lock(api->r->cache);
    const struct topic_metadata *topic = metadata_topic_by_id(api->r->cache, id_of(1));
    int32_t epoch = topic ? topic->partitions[0].leader_epoch : -1;
    metadata_cache_unlock(api->r->cache);
    return epoch;
}

/* All three are refused with this error, once traced each, and all is as it was. */
static void assert_refused(struct api *api, struct asker asker, enum err e)
{
    struct traced traced;
    struct partition *p = led_topic(api, "t", 0);
    append_to(p, 5);
    traced_begin(&traced, TRACE_WARN);

    int16_t partition_error;
    assert_code(lead(api, asker, EPOCH + 1, &partition_error), e);
    assert_code(partition_error, e);
    assert_int_equal(traced.lines, 1);
    assert_non_null(strstr(traced.last, "LeaderAndIsr refused"));
    assert_non_null(strstr(traced.last, err_name(e)));
    assert_int_equal(partition_leader_epoch(p), EPOCH);

    const struct stop_replica_response *stopped = stop(api, asker, EPOCH);
    assert_code(stopped->error_code, e);
    assert_int_equal(stopped->partition_errors_count, 0);
    assert_int_equal(traced.lines, 2);
    assert_non_null(strstr(traced.last, "StopReplica refused"));
    assert_int_equal(partition_role(p), ROLE_LEADER);
    assert_int_equal(log_end_offset(partition_log(p)), 5);

    assert_code(update(api, asker, EPOCH + 1), e);
    assert_int_equal(traced.lines, 3);
    assert_non_null(strstr(traced.last, "UpdateMetadata refused"));
    assert_int_equal(epoch_in_metadata(api), EPOCH);
    assert_true(live_brokers_has(metadata_live_brokers(api->r->cache), 1));

    traced_end();
    partition_unref(p);
}

static void test_what_an_old_controller_asks_is_refused_and_changes_nothing(void **state)
{
    assert_refused(*state, (struct asker){CONTROL_EPOCH - 1, BROKER_EPOCH},
                   ERR_STALE_CONTROLLER_EPOCH);
}

static void test_what_an_earlier_life_of_the_broker_is_asked_is_refused(void **state)
{
    assert_refused(*state, (struct asker){CONTROL_EPOCH, BROKER_EPOCH - 1}, ERR_STALE_BROKER_EPOCH);
}

/* T31: the controller may know our next registration before we do. */
static void test_what_a_later_life_of_the_broker_is_asked_is_done(void **state)
{
    struct api *api = *state;
    struct asker ahead = {CONTROL_EPOCH, BROKER_EPOCH + 9};
    int16_t partition_error;
    assert_code(update(api, ahead, EPOCH), ERR_OK);
    assert_int_equal(epoch_in_metadata(api), EPOCH);
    assert_code(lead(api, ahead, EPOCH, &partition_error), ERR_OK);
    assert_code(partition_error, ERR_OK);
    const struct stop_replica_response *stopped = stop(api, ahead, EPOCH);
    assert_code(stopped->error_code, ERR_OK);
    assert_int_equal(stopped->partition_errors_count, 1);
    assert_code(stopped->partition_errors[0].error_code, ERR_OK);
    assert_null(replica_manager_get(api->r->manager, SLICE_LITERAL("t"), 0));
}

/* Each of the three makes an older controller known as such to the other two. */
static void test_a_newer_controller_is_remembered_whichever_way_it_came(void **state)
{
    struct api *api = *state;
    struct asker newer = {CONTROL_EPOCH + 1, BROKER_EPOCH};
    int16_t partition_error;
    assert_code(update(api, newer, EPOCH), ERR_OK);
    assert_code(lead(api, rightful, EPOCH, &partition_error), ERR_STALE_CONTROLLER_EPOCH);
    newer.controller_epoch++;
    assert_code(stop(api, newer, -2)->error_code, ERR_OK);
    assert_code(update(api, (struct asker){CONTROL_EPOCH + 1, BROKER_EPOCH}, EPOCH),
                ERR_STALE_CONTROLLER_EPOCH);
}

/* T30: a topic that was deleted and made again begins at epoch 0, and an update always counts. */
static void test_metadata_with_an_older_leader_epoch_replace_those_with_a_newer(void **state)
{
    struct api *api = *state;
    assert_code(update(api, rightful, 9), ERR_OK);
    assert_int_equal(epoch_in_metadata(api), 9);
    assert_code(update(api, rightful, 0), ERR_OK);
    assert_int_equal(epoch_in_metadata(api), 0);
}

int main(void)
{
    trace_set_level(TRACE_WARN);
#define TEST(name) cmocka_unit_test_setup_teardown(name, api_setup, api_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_what_an_old_controller_asks_is_refused_and_changes_nothing),
        TEST(test_what_an_earlier_life_of_the_broker_is_asked_is_refused),
        TEST(test_what_a_later_life_of_the_broker_is_asked_is_done),
        TEST(test_a_newer_controller_is_remembered_whichever_way_it_came),
        TEST(test_metadata_with_an_older_leader_epoch_replace_those_with_a_newer),
    };
    return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
