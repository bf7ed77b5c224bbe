/* What a broker knows of the cluster from UpdateMetadata. */
#include "replica_fixture.h"

static int32_t leader_of(struct replicas *r, const char *topic, int32_t partition)
{
    metadata_cache_lock(r->cache);
    const struct partition_metadata *found =
        metadata_partition(metadata_topic(r->cache, slice_str(topic)), partition);
    int32_t leader = found ? found->leader : -99;
    metadata_cache_unlock(r->cache);
    return leader;
}

static int32_t count_topics(struct replicas *r)
{
    int32_t count;
    metadata_cache_lock(r->cache);
    metadata_topics(r->cache, &count);
    metadata_cache_unlock(r->cache);
    return count;
}

static const char *name_of(struct replicas *r, struct uuid id)
{
    return metadata_topic_name(r->cache, id, r->arena);
}

static void test_nothing_is_known_before_the_controller_speaks(void **state)
{
    struct replicas *r = *state;
    assert_false(metadata_is_known(r->cache));
    assert_int_equal(metadata_controller_id(r->cache), -1);
    assert_false(metadata_has_partition(r->cache, SLICE_LITERAL("t"), 0));
    tell_brokers(r);
    assert_true(metadata_is_known(r->cache));
    assert_int_equal(metadata_controller_id(r->cache), CONTROLLER);
}

static void test_a_part_of_a_topic_is_merged_into_the_rest(void **state)
{
    struct replicas *r = *state;
    tell_topic(r, "t", id_of(1), 3, 1, 4);
    tell_topic(r, "u", id_of(2), 1, 3, 0);
    tell_topic(r, "t", id_of(1), 1, 2, 5);
    assert_int_equal(leader_of(r, "t", 0), 2);
    assert_int_equal(leader_of(r, "t", 1), 1);
    assert_int_equal(leader_of(r, "t", 2), 1);
    assert_int_equal(leader_of(r, "t", 3), -99);
    assert_int_equal(leader_of(r, "u", 0), 3);
    assert_int_equal(count_topics(r), 2);
    metadata_cache_lock(r->cache);
    const struct topic_metadata *topic = metadata_topic_by_id(r->cache, id_of(1));
    assert_string_equal(topic->name, "t");
    assert_int_equal(topic->known_count, 3);
    assert_int_equal(topic->partitions[0].leader_epoch, 5);
    assert_int_equal(topic->partitions[0].isr_count, 1);
    assert_int_equal(topic->partitions[0].isr[0], 2);
    metadata_cache_unlock(r->cache);
}

static void test_the_brokers_of_the_last_update_are_alive(void **state)
{
    struct replicas *r = *state;
    tell_brokers(r);
    assert_true(live_brokers_has(metadata_live_brokers(r->cache), 3));
    assert_true(live_brokers_has(metadata_live_brokers(r->cache), 3));
    r->alive[0] = 3, r->alive[1] = 1, r->alive_count = 2; /* in any order */
    tell_brokers(r);
    assert_false(live_brokers_has(metadata_live_brokers(r->cache), 2));
    assert_false(live_brokers_has(metadata_live_brokers(r->cache), 2));
    assert_true(live_brokers_has(metadata_live_brokers(r->cache), 1));
    assert_int_equal(metadata_controller_id(r->cache), -1); /* number 2 was it */
    int32_t count;
    metadata_cache_lock(r->cache);
    const struct broker_node *const *nodes = metadata_brokers(r->cache, &count);
    assert_int_equal(count, 2);
    assert_int_equal(nodes[0]->id, 1);
    assert_int_equal(nodes[1]->id, 3);
    assert_string_equal(nodes[1]->rack, "rack");
    metadata_cache_unlock(r->cache);
}

static void test_endpoints_are_found_by_listener(void **state)
{
    struct replicas *r = *state;
    tell_brokers(r);
    const char *host = NULL;
    int32_t port = 0;
    assert_err(metadata_endpoint(r->cache, 2, "PLAINTEXT", r->arena, &host, &port), ERR_OK);
    assert_string_equal(host, "host-2");
    assert_int_equal(port, 9092);
    assert_err(metadata_endpoint(r->cache, 2, "SSL", r->arena, &host, &port),
               ERR_LISTENER_NOT_FOUND);
    assert_err(metadata_endpoint(r->cache, 9, "PLAINTEXT", r->arena, &host, &port), ERR_NOT_FOUND);
}

static void test_a_deleted_topic_goes_with_its_last_partition(void **state)
{
    struct replicas *r = *state;
    tell_topic(r, "a", id_of(1), 2, 1, 0);
    tell_topic(r, "b", id_of(2), 1, 1, 0);
    tell_topic(r, "a", id_of(1), 1, LEADER_DURING_DELETE, 0);
    assert_false(metadata_has_partition(r->cache, SLICE_LITERAL("a"), 0));
    assert_true(metadata_has_partition(r->cache, SLICE_LITERAL("a"), 1));
    assert_string_equal(name_of(r, id_of(1)), "a");
    tell_topic(r, "a", id_of(1), 2, LEADER_DURING_DELETE, 0);
    assert_int_equal(count_topics(r), 1);
    assert_null(name_of(r, id_of(1)));
    assert_true(uuid_is_zero(metadata_topic_id(r->cache, SLICE_LITERAL("a"))));
    assert_true(metadata_has_partition(r->cache, SLICE_LITERAL("b"), 0));
    tell_topic(r, "a", id_of(1), 2, LEADER_DURING_DELETE, 0); /* again: it does not come back */
    assert_int_equal(count_topics(r), 1);
}

static void test_a_topic_made_anew_has_only_its_new_id(void **state)
{
    struct replicas *r = *state;
    tell_topic(r, "t", id_of(1), 1, 1, 0);
    tell_topic(r, "t", id_of(2), 1, 1, 0);
    assert_null(name_of(r, id_of(1)));
    assert_string_equal(name_of(r, id_of(2)), "t");
    assert_true(uuid_equal(metadata_topic_id(r->cache, SLICE_LITERAL("t")), id_of(2)));
    tell_topic(r, "t", UUID_ZERO, 1, 1, 1); /* a controller that knows no ids */
    assert_null(name_of(r, id_of(2)));
    assert_true(uuid_is_zero(metadata_topic_id(r->cache, SLICE_LITERAL("t"))));
}

static void tell_version_0(struct replicas *r, const char *topic, int32_t leader)
{
    struct update_metadata_request request;
    update_metadata_request_init(&request);
    int32_t ids[] = {1};
    struct update_metadata_request_update_metadata_partition_state state;
    update_metadata_request_update_metadata_partition_state_init(&state);
    state.topic_name = slice_str(topic);
    state.leader = leader;
    state.replicas = state.isr = ids;
    state.replicas_count = state.isr_count = 1;
    struct update_metadata_request_update_metadata_broker broker;
    update_metadata_request_update_metadata_broker_init(&broker);
    broker.id = 4;
    broker.v0_host = SLICE_LITERAL("old");
    broker.v0_port = 99;
    request.controller_id = 4;
    request.ungrouped_partition_states = &state;
    request.ungrouped_partition_states_count = 1;
    request.live_brokers = &broker;
    request.live_brokers_count = 1;
    metadata_cache_update(r->cache, &request);
}

/* Such requests have no place for ids, so they say nothing of them. */
static void test_updates_without_ids_leave_them_as_they_are(void **state)
{
    struct replicas *r = *state;
    tell_topic(r, "t", id_of(1), 1, 1, 0);
    tell_version_0(r, "t", 4);
    assert_int_equal(leader_of(r, "t", 0), 4);
    assert_string_equal(name_of(r, id_of(1)), "t");
    const char *host = NULL;
    int32_t port = 0;
    assert_err(metadata_endpoint(r->cache, 4, "PLAINTEXT", r->arena, &host, &port), ERR_OK);
    assert_string_equal(host, "old");
    assert_int_equal(port, 99);
}

static void test_an_absurd_partition_number_takes_no_memory(void **state)
{
    struct replicas *r = *state;
    struct update_metadata_request request;
    update_metadata_request_init(&request);
    struct update_metadata_request_update_metadata_partition_state states[2];
    for (int i = 0; i < 2; i++) {
        update_metadata_request_update_metadata_partition_state_init(&states[i]);
        states[i].partition_index = i ? -1 : INT32_MAX;
    }
    struct update_metadata_request_update_metadata_topic_state topic = {
        .topic_name = SLICE_LITERAL("t"), .partition_states = states, .partition_states_count = 2};
    request.topic_states = &topic;
    request.topic_states_count = 1;
    metadata_cache_update(r->cache, &request);
    assert_int_equal(count_topics(r), 0);
}

static void count_change(void *context)
{
    ++*(int *)context;
}

static void test_each_update_is_announced(void **state)
{
    struct replicas *r = *state;
    int changes = 0;
    metadata_cache_on_change(r->cache, count_change, &changes);
    tell_brokers(r);
    tell_topic(r, "t", id_of(1), 1, 1, 0);
    assert_int_equal(changes, 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, replicas_setup, replicas_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_nothing_is_known_before_the_controller_speaks),
        TEST(test_a_part_of_a_topic_is_merged_into_the_rest),
        TEST(test_the_brokers_of_the_last_update_are_alive),
        TEST(test_endpoints_are_found_by_listener),
        TEST(test_a_deleted_topic_goes_with_its_last_partition),
        TEST(test_a_topic_made_anew_has_only_its_new_id),
        TEST(test_updates_without_ids_leave_them_as_they_are),
        TEST(test_an_absurd_partition_number_takes_no_memory),
        TEST(test_each_update_is_announced),
    };
    return cmocka_run_group_tests_name("metadata cache", tests, NULL, NULL);
}
