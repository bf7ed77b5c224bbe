/* FindCoordinator beside JVM brokers: the leader of the partition that the name leads to. */
#include "api_fixture.h"
#include "wire/find_coordinator.h"

#define GROUP 0
#define TXN   1
#define SHARE 2

static const struct find_coordinator_response *
ask(struct api *api, int16_t api_version, int8_t key_type, const char *key, const char *second_key)
{
    struct find_coordinator_request request;
    struct slice keys[] = {slice_str(key), slice_str(second_key)};
    find_coordinator_request_init(&request);
    request.key_type = key_type;
    if (api_version < 4) {
        request.key = keys[0];
    } else {
        request.coordinator_keys = keys;
        request.coordinator_keys_count = second_key ? 2 : 1;
    }
    return fake_answer(
        fake_call(api->loop, handle_find_coordinator, API_FIND_COORDINATOR, api_version, &request));
}

/* Four partitions, led by broker 2; the first one by another. */
static void tell_internal(struct api *api, const char *topic, int32_t leader_of_first)
{
    tell_topic(api->r, topic, id_of(9), 4, 2, 1);
    tell_topic(api->r, topic, id_of(9), 1, leader_of_first, 1);
}

static void test_a_coordinator_elsewhere_is_named(void **state)
{
    struct api *api = *state;
    tell_internal(api, "__consumer_offsets", 3);
    const struct find_coordinator_response *one = ask(api, 3, GROUP, "a", NULL);
    assert_code(one->error_code, ERR_OK);
    assert_true(slice_equal_str(one->error_message, "NONE"));
    assert_int_equal(one->node_id, 2);
    assert_true(one->host.size > 0);
    assert_true(one->port > 0);
    const struct find_coordinator_response *both = ask(api, 4, GROUP, "a", "d");
    assert_int_equal(both->coordinators_count, 2);
    assert_int_equal(both->coordinators[0].node_id, 2);
    assert_int_equal(both->coordinators[1].node_id, 3);
    assert_code(both->coordinators[1].error_code, ERR_OK);
    assert_true(slice_equal_str(both->coordinators[1].error_message, ""));
    assert_true(slice_equal_str(both->coordinators[1].key, "d"));
}

/* In Java: "polygenelubricants".hashCode() is the smallest integer, and a string is UTF-16. */
static void test_names_are_hashed_as_in_java(void **state)
{
    struct api *api = *state;
    tell_internal(api, "__transaction_state", 3);
    static const struct {
        const char *key;
        int32_t node_id;
    } names[] = {{"", 3},
                 {"polygenelubricants", 3},
                 {"\xc3\xa4", 3},
                 {"\xe2\x82\xac", 3},
                 {"\xf0\x9f\x98\x80", 2},
                 {"b", 2},
                 {"orders-app-1", 2}};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        assert_int_equal(ask(api, 2, TXN, names[i].key, NULL)->node_id, names[i].node_id);
}

static void assert_none(const struct find_coordinator_response *answer, enum err e)
{
    assert_code(answer->error_code, e);
    assert_int_equal(answer->node_id, -1);
    assert_int_equal(answer->port, -1);
    assert_int_equal(answer->host.size, 0);
}

static void test_where_there_is_none_or_it_is_this_broker_it_is_not_available(void **state)
{
    struct api *api = *state;
    assert_none(ask(api, 3, GROUP, "d", NULL), ERR_COORDINATOR_NOT_AVAILABLE);
    tell_internal(api, "__consumer_offsets", SELF);
    assert_none(ask(api, 3, GROUP, "d", NULL), ERR_COORDINATOR_NOT_AVAILABLE);
    tell_internal(api, "__consumer_offsets", -1);
    assert_none(ask(api, 3, GROUP, "d", NULL), ERR_COORDINATOR_NOT_AVAILABLE);
    tell_internal(api, "__consumer_offsets", 7); /* not alive */
    assert_none(ask(api, 3, GROUP, "d", NULL), ERR_COORDINATOR_NOT_AVAILABLE);
    assert_none(ask(api, 3, TXN, "d", NULL), ERR_COORDINATOR_NOT_AVAILABLE);
    assert_none(ask(api, 3, SHARE, "d", NULL), ERR_INVALID_REQUEST);
    assert_code(ask(api, 6, SHARE, "d", NULL)->coordinators[0].error_code,
                ERR_COORDINATOR_NOT_AVAILABLE);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, api_setup, api_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_coordinator_elsewhere_is_named),
        TEST(test_names_are_hashed_as_in_java),
        TEST(test_where_there_is_none_or_it_is_this_broker_it_is_not_available),
    };
    return cmocka_run_group_tests_name("find_coordinator", tests, NULL, NULL);
}
