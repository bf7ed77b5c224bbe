/* Requests of authentication and authorization to a broker that has neither, and DescribeProducers.
 * What is expected was seen on a JVM broker of 3.9.2 with a PLAINTEXT listener. */
#include "api_fixture.h"
#include "wire/consumer_group_describe.h"
#include "wire/create_acls.h"
#include "wire/create_delegation_token.h"
#include "wire/delete_acls.h"
#include "wire/describe_acls.h"
#include "wire/describe_producers.h"
#include "wire/sasl_authenticate.h"
#include "wire/sasl_handshake.h"

#define assert_text(slice, text) assert_true(slice_equal_str(slice, text))

static void test_sasl_comes_too_late_on_a_plaintext_connection(void **state)
{
    struct api *api = *state;
    struct sasl_handshake_request handshake;
    sasl_handshake_request_init(&handshake);
    handshake.mechanism = SLICE_LITERAL("PLAIN");
    for (int16_t v = 0; v <= 1; v++) {
        const struct sasl_handshake_response *answer = fake_answer(
            fake_call(api->loop, handle_sasl_handshake, API_SASL_HANDSHAKE, v, &handshake));
        assert_code(answer->error_code, ERR_ILLEGAL_SASL_STATE);
        assert_int_equal(answer->mechanisms_count, 0);
    }
    struct sasl_authenticate_request token;
    sasl_authenticate_request_init(&token);
    for (int16_t v = 0; v <= 2; v++) {
        const struct sasl_authenticate_response *answer = fake_answer(
            fake_call(api->loop, handle_sasl_authenticate, API_SASL_AUTHENTICATE, v, &token));
        assert_code(answer->error_code, ERR_ILLEGAL_SASL_STATE);
        assert_text(answer->error_message,
                    "SaslAuthenticate request received after successful authentication");
    }
}

static struct fake_call *describe_acls(struct api *api, int16_t api_version, int8_t operation)
{
    struct describe_acls_request request;
    describe_acls_request_init(&request);
    request.resource_type_filter = 2;
    request.pattern_type_filter = 3;
    request.operation = operation;
    request.permission_type = 1;
    return fake_call(api->loop, handle_describe_acls, API_DESCRIBE_ACLS, api_version, &request);
}

static void test_access_control_lists_are_disabled_in_every_version(void **state)
{
    struct api *api = *state;
    for (int16_t v = 0; v <= 3; v++) {
        const struct describe_acls_response *answer = fake_answer(describe_acls(api, v, 1));
        assert_code(answer->error_code, ERR_SECURITY_DISABLED);
        assert_text(answer->error_message, "No Authorizer is configured on the broker");

        struct create_acls_request_acl_creation made[2];
        struct create_acls_request create;
        create_acls_request_init(&create);
        create.creations = made;
        create.creations_count = 2;
        for (int i = 0; i < 2; i++) {
            create_acls_request_acl_creation_init(&made[i]);
            made[i].resource_type = 2;
            made[i].operation = made[i].permission_type = 3;
        }
        const struct create_acls_response *created =
            fake_answer(fake_call(api->loop, handle_create_acls, API_CREATE_ACLS, v, &create));
        assert_int_equal(created->results_count, 2);
        assert_code(created->results[1].error_code, ERR_SECURITY_DISABLED);
        assert_text(created->results[1].error_message, "No Authorizer is configured.");
    }
}

static void test_an_unknown_element_of_a_filter_closes_the_connection(void **state)
{
    struct api *api = *state;
    assert_non_null(fake_refusal(describe_acls(api, 3, 0)));
    struct delete_acls_request_delete_acls_filter filter;
    delete_acls_request_delete_acls_filter_init(&filter);
    struct delete_acls_request request;
    delete_acls_request_init(&request);
    request.filters = &filter;
    request.filters_count = 1;
    assert_non_null(
        fake_refusal(fake_call(api->loop, handle_delete_acls, API_DELETE_ACLS, 3, &request)));
}

static const struct create_delegation_token_response *
create_token(struct api *api, int16_t api_version, struct slice type, struct slice name)
{
    struct create_delegation_token_request request;
    create_delegation_token_request_init(&request);
    if (api_version >= 3) {
        request.owner_principal_type = type;
        request.owner_principal_name = name;
    }
    return fake_answer(fake_call(api->loop, handle_create_delegation_token,
                                 API_CREATE_DELEGATION_TOKEN, api_version, &request));
}

static void test_tokens_are_not_given_to_the_anonymous(void **state)
{
    struct api *api = *state;
    for (int16_t v = 0; v <= 3; v++) {
        const struct create_delegation_token_response *answer =
            create_token(api, v, SLICE_NULL, SLICE_NULL);
        assert_code(answer->error_code, ERR_DELEGATION_TOKEN_REQUEST_NOT_ALLOWED);
        assert_text(answer->principal_type, "User");
        assert_text(answer->principal_name, "ANONYMOUS");
        assert_int_equal(answer->expiry_timestamp_ms, -1);
    }
    const struct create_delegation_token_response *owned =
        create_token(api, 3, SLICE_LITERAL("Group"), SLICE_LITERAL("a"));
    assert_text(owned->principal_type, "Group");
    assert_text(owned->token_requester_principal_name, "ANONYMOUS");
    assert_code(create_token(api, 3, SLICE_NULL, SLICE_LITERAL("a"))->error_code,
                ERR_UNKNOWN_SERVER_ERROR);
}

static void test_groups_of_kraft_are_unsupported(void **state)
{
    struct api *api = *state;
    struct slice names[] = {SLICE_LITERAL("g"), SLICE_LITERAL("h")};
    struct consumer_group_describe_request request;
    consumer_group_describe_request_init(&request);
    request.group_ids = names;
    request.group_ids_count = 2;
    const struct consumer_group_describe_response *answer = fake_answer(fake_call(
        api->loop, handle_consumer_group_describe, API_CONSUMER_GROUP_DESCRIBE, 0, &request));
    assert_int_equal(answer->groups_count, 2);
    assert_text(answer->groups[1].group_id, "h");
    assert_code(answer->groups[1].error_code, ERR_UNSUPPORTED_VERSION);
}

/* --- DescribeProducers --- */

static const struct describe_producers_response_partition_response *
describe_producers(struct api *api, const char *topic, int32_t partition)
{
    struct describe_producers_request_topic_request asked;
    describe_producers_request_topic_request_init(&asked);
    asked.name = slice_str(topic);
    asked.partition_indexes = &partition;
    asked.partition_indexes_count = 1;
    struct describe_producers_request request;
    describe_producers_request_init(&request);
    request.topics = &asked;
    request.topics_count = 1;
    const struct describe_producers_response *answer = fake_answer(
        fake_call(api->loop, handle_describe_producers, API_DESCRIBE_PRODUCERS, 0, &request));
    assert_int_equal(answer->topics_count, 1);
    assert_int_equal(answer->topics[0].partitions_count, 1);
    return &answer->topics[0].partitions[0];
}

static void test_producers_of_a_log_are_told(void **state)
{
    struct api *api = *state;
    struct partition *p = led_topic(api, "t", 0);
    const struct describe_producers_response_partition_response *answer =
        describe_producers(api, "t", 0);
    assert_code(answer->error_code, ERR_OK);
    assert_int_equal(answer->active_producers_count, 0);
    const struct sent sent = {.topic = "t",
                              .spec = {.records = 3,
                                       .has_producer = true,
                                       .producer_id = 77,
                                       .producer_epoch = 2,
                                       .base_sequence = 0}};
    assert_code(produced(produce(api, 8, -1, &sent, 1))->error_code, ERR_OK);
    answer = describe_producers(api, "t", 0);
    assert_int_equal(answer->active_producers_count, 1);
    assert_int_equal(answer->active_producers[0].producer_id, 77);
    assert_int_equal(answer->active_producers[0].producer_epoch, 2);
    assert_int_equal(answer->active_producers[0].last_sequence, 2);
    assert_int_equal(answer->active_producers[0].current_txn_start_offset, -1);
    partition_unref(p);
}

static void test_producers_of_what_is_not_here_are_refused(void **state)
{
    struct api *api = *state;
    partition_unref(led_topic(api, "t", 0));
    assert_code(describe_producers(api, "t", 7)->error_code, ERR_UNKNOWN_TOPIC_OR_PARTITION);
    assert_true(slice_is_null(describe_producers(api, "t", 7)->error_message));
    assert_text(describe_producers(api, "nowhere", 0)->error_message,
                "This server does not host this topic-partition.");
    assert_code(describe_producers(api, "a b", 0)->error_code, ERR_INVALID_TOPIC_EXCEPTION);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, api_setup, api_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_sasl_comes_too_late_on_a_plaintext_connection),
        TEST(test_access_control_lists_are_disabled_in_every_version),
        TEST(test_an_unknown_element_of_a_filter_closes_the_connection),
        TEST(test_tokens_are_not_given_to_the_anonymous),
        TEST(test_groups_of_kraft_are_unsupported),
        TEST(test_producers_of_a_log_are_told),
        TEST(test_producers_of_what_is_not_here_are_refused),
    };
    return cmocka_run_group_tests_name("security", tests, NULL, NULL);
}
