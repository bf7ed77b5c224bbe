/* Metadata: brokers, topics by name and by id, and topics that are made because someone asks. */
#include "api_fixture.h"
#include "wire/metadata.h"

#define NEWEST 12

struct named {
    const char *name;
    struct uuid id;
};

struct metadata_options {
    bool may_create, wants_operations;
    bool asks_for_all; /* a null list of topics */
};

static struct fake_call *ask_with(struct api *api, int16_t api_version,
                                  struct metadata_options options, const struct named *topics,
                                  int32_t count)
{
    struct metadata_request request;
    metadata_request_init(&request);
    request.topics =
        arena_new_array(api->arena, struct metadata_request_metadata_request_topic, count + 1);
    request.topics_count = options.asks_for_all ? -1 : count;
    request.allow_auto_topic_creation = options.may_create || api_version < 4;
    request.include_topic_authorized_operations = options.wants_operations;
    request.include_cluster_authorized_operations = options.wants_operations && api_version <= 10;
    for (int32_t i = 0; i < count; i++) {
        metadata_request_metadata_request_topic_init(&request.topics[i]);
        request.topics[i].name = slice_str(topics[i].name);
        request.topics[i].topic_id = topics[i].id;
    }
    return fake_call(api->loop, handle_metadata, API_METADATA, api_version, &request);
}

static const struct metadata_response *ask(struct api *api, int16_t api_version,
                                           const struct named *topics, int32_t count)
{
    return fake_answer(ask_with(api, api_version, (struct metadata_options){0}, topics, count));
}

static const struct metadata_response *ask_for_all(struct api *api, int16_t api_version)
{
    return fake_answer(ask_with(
        api, api_version, (struct metadata_options){.asks_for_all = api_version > 0}, NULL, 0));
}

static const struct metadata_response_metadata_response_topic *
one_topic(const struct metadata_response *response)
{
    assert_int_equal(response->topics_count, 1);
    return &response->topics[0];
}

/* --- brokers --- */

static void test_brokers_stand_with_the_listener_the_client_came_by(void **state)
{
    struct api *api = *state;
    tell_brokers(api->r);
    const struct metadata_response *response = ask(api, NEWEST, NULL, 0);
    assert_int_equal(response->brokers_count, 3);
    for (int32_t i = 0; i < 3; i++) {
        assert_int_equal(response->brokers[i].node_id, i + 1);
        assert_int_equal(response->brokers[i].port, 9091 + i);
        assert_true(slice_equal_str(response->brokers[i].rack, "rack"));
    }
    assert_true(slice_equal_str(response->brokers[1].host, "host-2"));
    assert_true(slice_equal_str(response->cluster_id, "test-cluster-id-000000"));
    assert_int_equal(response->controller_id, CONTROLLER);
    assert_int_equal(response->topics_count, 0); /* none asked, none told */
    fake_loop_set_listener(api->loop, "INTERNAL");
    response = ask(api, NEWEST, NULL, 0);
    assert_int_equal(response->brokers_count, 0);
}

static void test_the_first_question_after_a_start_waits_for_the_controller(void **state)
{
    struct api *api = *state;
    struct fake_call *early = ask_with(api, NEWEST, (struct metadata_options){0}, NULL, 0);
    fake_advance(api->loop, 1000);
    assert_false(fake_is_over(early));
    tell_brokers(api->r);
    fake_advance(api->loop, 20);
    const struct metadata_response *response = fake_answer(early);
    assert_int_equal(response->brokers_count, 3);
}

static void test_where_there_are_topics_it_waits_until_it_hears_of_them(void **state)
{
    struct api *api = *state;
    api->broker.expects_topics = true;
    tell_brokers(api->r);
    struct fake_call *early =
        ask_with(api, NEWEST, (struct metadata_options){0}, &(struct named){.name = "t"}, 1);
    fake_advance(api->loop, 1000);
    assert_false(fake_is_over(early));
    tell_topic(api->r, "t", id_of(1), 1, SELF, 3);
    fake_advance(api->loop, 20);
    assert_int_equal(one_topic(fake_answer(early))->error_code, 0);
}

/* Its topics were deleted while it was down. */
static void test_where_the_topics_have_gone_it_answers_in_the_end(void **state)
{
    struct api *api = *state;
    api->broker.expects_topics = true;
    tell_brokers(api->r);
    struct fake_call *early = ask_with(api, NEWEST, (struct metadata_options){0}, NULL, 0);
    fake_advance(api->loop, 3100);
    const struct metadata_response *response = fake_answer(early);
    assert_int_equal(response->brokers_count, 3);
    struct fake_call *late = ask_with(api, NEWEST, (struct metadata_options){0}, NULL, 0);
    assert_true(fake_is_over(late));
}

/* An answer of no brokers and unknown topics would be believed. */
static void test_who_waited_in_vain_for_the_controller_is_sent_away(void **state)
{
    struct api *api = *state;
    struct fake_call *early =
        ask_with(api, NEWEST, (struct metadata_options){0}, &(struct named){.name = "t"}, 1);
    fake_advance(api->loop, 3100);
    assert_true(fake_is_over(early));
    assert_non_null(fake_refusal(early));
    tell_topic(api->r, "t", id_of(1), 1, SELF, 3);
    assert_int_equal(one_topic(ask(api, NEWEST, &(struct named){.name = "t"}, 1))->error_code, 0);
}

static void test_who_heard_of_brokers_alone_at_last_is_sent_away_too(void **state)
{
    struct api *api = *state;
    api->broker.expects_topics = true;
    struct fake_call *early =
        ask_with(api, NEWEST, (struct metadata_options){0}, &(struct named){.name = "t"}, 1);
    fake_advance(api->loop, 2900);
    tell_brokers(api->r);
    fake_advance(api->loop, 200);
    assert_non_null(fake_refusal(early));
}

/* --- topics --- */

static void test_a_topic_tells_its_partitions_in_every_version(void **state)
{
    struct api *api = *state;
    tell_topic(api->r, "t", id_of(1), 2, 3, 5);
    for (int16_t version = 0; version <= NEWEST; version++) {
        const struct metadata_response_metadata_response_topic *topic =
            one_topic(ask(api, version, &(struct named){.name = "t"}, 1));
        assert_int_equal(topic->error_code, 0);
        assert_true(slice_equal_str(topic->name, "t"));
        assert_false(topic->is_internal);
        if (version >= 10)
            assert_true(uuid_equal(topic->topic_id, id_of(1)));
        assert_int_equal(topic->partitions_count, 2);
        const struct metadata_response_metadata_response_partition *p = &topic->partitions[1];
        assert_int_equal(p->error_code, 0);
        assert_int_equal(p->partition_index, 1);
        assert_int_equal(p->leader_id, 3);
        assert_int_equal(p->leader_epoch, version >= 7 ? 5 : -1);
        assert_int_equal(p->replica_nodes_count, 1);
        assert_int_equal(p->replica_nodes[0], 3);
        assert_int_equal(p->isr_nodes_count, 1);
        assert_int_equal(p->offline_replicas_count, 0);
    }
}

static void test_all_topics_are_told_when_none_is_named(void **state)
{
    struct api *api = *state;
    tell_topic(api->r, "a", id_of(1), 1, 1, 0);
    tell_topic(api->r, "__consumer_offsets", id_of(2), 3, 1, 0);
    assert_int_equal(ask_for_all(api, 0)->topics_count, 2); /* version 0: an empty list */
    const struct metadata_response *response = ask_for_all(api, NEWEST);
    assert_int_equal(response->topics_count, 2);
    assert_true(slice_equal_str(response->topics[1].name, "__consumer_offsets"));
    assert_true(response->topics[1].is_internal);
    assert_int_equal(response->topics[1].partitions_count, 3);
    assert_int_equal(ask(api, 1, NULL, 0)->topics_count, 0); /* from 1 on it means none */
}

static void test_a_dead_leader_is_no_leader_and_dead_replicas_are_offline(void **state)
{
    struct api *api = *state;
    tell_topic(api->r, "t", id_of(1), 1, 3, 5);
    api->r->alive_count = 2;
    tell_brokers(api->r);
    const struct metadata_response_metadata_response_partition *p =
        one_topic(ask(api, NEWEST, &(struct named){.name = "t"}, 1))->partitions;
    assert_code(p->error_code, ERR_LEADER_NOT_AVAILABLE);
    assert_int_equal(p->leader_id, -1);
    assert_int_equal(p->leader_epoch, 5);
    assert_int_equal(p->replica_nodes_count, 1);
    assert_int_equal(p->offline_replicas_count, 1);
    assert_int_equal(p->offline_replicas[0], 3);
    p = one_topic(ask(api, 0, &(struct named){.name = "t"}, 1))->partitions;
    assert_int_equal(p->replica_nodes_count, 0); /* version 0 knows no incomplete lists */
    assert_int_equal(p->isr_nodes_count, 0);
}

static void test_a_leader_without_the_listener_is_told_by_version(void **state)
{
    struct api *api = *state;
    tell_topic(api->r, "t", id_of(1), 1, 1, 0);
    fake_loop_set_listener(api->loop, "INTERNAL");
    const struct named t = {.name = "t"};
    assert_code(one_topic(ask(api, 6, &t, 1))->partitions[0].error_code, ERR_LISTENER_NOT_FOUND);
    assert_code(one_topic(ask(api, 5, &t, 1))->partitions[0].error_code, ERR_LEADER_NOT_AVAILABLE);
}

static void test_topics_are_found_by_id(void **state)
{
    struct api *api = *state;
    tell_topic(api->r, "t", id_of(1), 1, 1, 0);
    const struct named ids[] = {{.id = id_of(1)}, {.id = id_of(9)}, {.name = "t"}};
    const struct metadata_response *response = ask(api, NEWEST, ids, 3);
    assert_int_equal(response->topics_count, 2); /* beside ids, names do not count */
    assert_true(slice_equal_str(response->topics[0].name, "t"));
    assert_int_equal(response->topics[0].partitions_count, 1);
    assert_code(response->topics[1].error_code, ERR_UNKNOWN_TOPIC_ID);
    assert_true(uuid_equal(response->topics[1].topic_id, id_of(9)));
    assert_true(slice_is_null(response->topics[1].name));
    assert_code(one_topic(ask(api, 11, ids, 1))->error_code, ERR_INVALID_REQUEST);
}

static void test_a_topic_named_twice_is_told_once(void **state)
{
    struct api *api = *state;
    tell_topic(api->r, "t", id_of(1), 1, 1, 0);
    const struct named twice[] = {{.name = "t"}, {.name = "u"}, {.name = "t"}, {.name = "u"}};
    const struct metadata_response *response = ask(api, NEWEST, twice, 4);
    assert_int_equal(response->topics_count, 2);
    assert_true(slice_equal_str(response->topics[1].name, "u"));
}

static void test_operations_are_told_when_asked_for(void **state)
{
    struct api *api = *state;
    tell_topic(api->r, "t", id_of(1), 1, 1, 0);
    const struct named t = {.name = "t"};
    const struct metadata_response *response = ask(api, 8, &t, 1);
    assert_int_equal(response->cluster_authorized_operations, INT32_MIN);
    assert_int_equal(response->topics[0].topic_authorized_operations, INT32_MIN);
    response =
        fake_answer(ask_with(api, 8, (struct metadata_options){.wants_operations = true}, &t, 1));
    assert_int_equal(response->cluster_authorized_operations, 8096);
    assert_int_equal(response->topics[0].topic_authorized_operations, 3576);
}

/* --- topics that are not there --- */

static void test_unknown_topics_are_told_and_not_made_unless_allowed(void **state)
{
    struct api *api = *state;
    tell_brokers(api->r);
    const struct named unknown = {.name = "new"};
    assert_code(one_topic(ask(api, NEWEST, &unknown, 1))->error_code,
                ERR_UNKNOWN_TOPIC_OR_PARTITION);
    api_configure(api, "auto.create.topics.enable=false");
    const struct metadata_options allowed = {.may_create = true};
    assert_code(one_topic(fake_answer(ask_with(api, NEWEST, allowed, &unknown, 1)))->error_code,
                ERR_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(api->created_count, 0);
}

static void test_an_unknown_topic_is_made_and_has_no_leader_yet(void **state)
{
    struct api *api = *state;
    tell_topic(api->r, "t", id_of(1), 1, 1, 0);
    const struct named asked[] = {{.name = "new"}, {.name = "t"}, {.name = "bad name"}};
    const struct metadata_options allowed = {.may_create = true};
    struct fake_call *call = ask_with(api, NEWEST, allowed, asked, 3);
    assert_false(fake_is_over(call)); /* the controller is asked */
    assert_int_equal(api->created_count, 1);
    assert_true(slice_equal_str(api->created[0], "new"));
    api->create_done(api->create_context);
    const struct metadata_response *response = fake_answer(call);
    assert_int_equal(response->topics_count, 3);
    assert_code(response->topics[0].error_code, ERR_LEADER_NOT_AVAILABLE);
    assert_int_equal(response->topics[0].partitions_count, 0);
    assert_int_equal(response->topics[1].error_code, 0);
    assert_code(response->topics[2].error_code, ERR_INVALID_TOPIC_EXCEPTION);
}

static void test_why_a_topic_cannot_be_made_is_told(void **state)
{
    struct api *api = *state;
    tell_brokers(api->r);
    api->create_error = ERR_INVALID_REPLICATION_FACTOR;
    struct fake_call *call = ask_with(api, 3, (struct metadata_options){0},
                                      &(struct named){.name = "new"}, 1); /* below 4: always */
    api->create_done(api->create_context);
    assert_code(one_topic(fake_answer(call))->error_code, ERR_INVALID_REPLICATION_FACTOR);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, api_setup, api_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_brokers_stand_with_the_listener_the_client_came_by),
        TEST(test_the_first_question_after_a_start_waits_for_the_controller),
        TEST(test_where_there_are_topics_it_waits_until_it_hears_of_them),
        TEST(test_where_the_topics_have_gone_it_answers_in_the_end),
        TEST(test_who_waited_in_vain_for_the_controller_is_sent_away),
        TEST(test_who_heard_of_brokers_alone_at_last_is_sent_away_too),
        TEST(test_a_topic_tells_its_partitions_in_every_version),
        TEST(test_all_topics_are_told_when_none_is_named),
        TEST(test_a_dead_leader_is_no_leader_and_dead_replicas_are_offline),
        TEST(test_a_leader_without_the_listener_is_told_by_version),
        TEST(test_topics_are_found_by_id),
        TEST(test_a_topic_named_twice_is_told_once),
        TEST(test_operations_are_told_when_asked_for),
        TEST(test_unknown_topics_are_told_and_not_made_unless_allowed),
        TEST(test_an_unknown_topic_is_made_and_has_no_leader_yet),
        TEST(test_why_a_topic_cannot_be_made_is_told),
    };
    return cmocka_run_group_tests_name("metadata", tests, NULL, NULL);
}
