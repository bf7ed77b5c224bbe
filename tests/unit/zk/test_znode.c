/* What a Kafka 3.9 broker wrote reads and round-trips; what it would refuse is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "coordinator/zk/znode.h"

static int setup(void **state)
{
    *state = arena_new();
    return 0;
}
static int teardown(void **state)
{
    arena_free(*state);
    return 0;
}
static void assert_text(struct slice text, const char *expected)
{
    assert_int_equal(text.size, strlen(expected));
    assert_memory_equal(text.data, expected, text.size);
}

static void test_broker_registration_of_the_jvm_round_trips(void **state)
{
    const char *golden =
        "{\"features\":{},\"listener_security_protocol_map\":{\"PLAINTEXT\":\"PLAINTEXT\"},"
        "\"endpoints\":[\"PLAINTEXT://127.0.0.1:22191\"],\"jmx_port\":-1,\"port\":22191,"
        "\"host\":\"127.0.0.1\",\"version\":5,\"timestamp\":\"1795247348514\"}";
    struct znode_broker broker;
    assert_int_equal(znode_broker_decode(*state, slice_str(golden), &broker), ERR_OK);
    assert_int_equal(broker.endpoint_count, 1);
    assert_text(broker.endpoints[0].host, "127.0.0.1");
    assert_int_equal(broker.endpoints[0].port, 22191);
    assert_int_equal(broker.timestamp_ms, 1795247348514);
    assert_text(znode_broker_encode(*state, &broker), golden);
}

static void test_broker_without_plaintext_has_null_host_and_keeps_rack_and_ipv6(void **state)
{
    struct znode_endpoint endpoint = {SLICE_LITERAL("CLIENT"), SLICE_LITERAL("::1"), 9093,
                                      ZNODE_SASL_SSL};
    struct znode_broker broker = {.endpoints = &endpoint,
                                  .endpoint_count = 1,
                                  .rack = SLICE_LITERAL("r1"),
                                  .jmx_port = 9999,
                                  .timestamp_ms = 5};
    struct slice text = znode_broker_encode(*state, &broker);
    assert_text(text, "{\"features\":{},\"listener_security_protocol_map\":{\"CLIENT\":"
                      "\"SASL_SSL\"},\"endpoints\":[\"CLIENT://[::1]:9093\"],\"rack\":\"r1\","
                      "\"jmx_port\":9999,\"port\":-1,\"host\":null,\"version\":5,"
                      "\"timestamp\":\"5\"}");
    struct znode_broker read;
    assert_int_equal(znode_broker_decode(*state, text, &read), ERR_OK);
    assert_text(read.endpoints[0].host, "::1");
    assert_int_equal(read.endpoints[0].security_protocol, ZNODE_SASL_SSL);
    assert_text(read.rack, "r1");
}

static void test_broken_registrations_are_refused(void **state)
{
    static const char *const broken[] = {
        "",
        "[]",
        "{\"version\":5,\"endpoints\":[\"PLAINTEXT://h:1\"]}",
        "{\"version\":\"5\",\"jmx_port\":-1,\"endpoints\":[\"PLAINTEXT://h:1\"]}",
        "{\"version\":0,\"jmx_port\":-1,\"host\":\"h\",\"port\":1}",
        "{\"version\":5,\"jmx_port\":-1,\"endpoints\":[\"OTHER://h:1\"]}",
        "{\"version\":5,\"jmx_port\":-1,\"endpoints\":[\"PLAINTEXT://h:1\",\"PLAINTEXT://h:2\"]}",
        "{\"version\":5,\"jmx_port\":99999999999,\"endpoints\":[\"PLAINTEXT://h:1\"]}",
    };
    struct znode_broker broker;
    for (size_t i = 0; i < ARRAY_SIZE(broken); i++)
        assert_int_equal(znode_broker_decode(*state, slice_str(broken[i]), &broker), ERR_MALFORMED);
    assert_int_equal(znode_broker_decode(*state, SLICE_NULL, &broker), ERR_MALFORMED);
}

static void test_topic_update_keeps_unknown_keys_and_the_topic_id(void **state)
{
    const char *golden = "{\"partitions\":{\"0\":[1],\"1\":[1]},\"topic_id\":"
                         "\"lVDUywLbQ4mv2Tx2StwIIQ\",\"adding_replicas\":{\"1\":[7]},"
                         "\"removing_replicas\":{},\"version\":3,\"other\":[1]}";
    struct znode_topic topic;
    assert_int_equal(znode_topic_decode(*state, slice_str(golden), &topic), ERR_OK);
    assert_int_equal(topic.partition_count, 2);
    assert_int_equal(topic.partitions[1].replicas.ids[0], 1);
    assert_int_equal(topic.partitions[1].adding.ids[0], 7);
    topic.topic_id = UUID_ZERO;
    assert_text(znode_topic_update(*state, slice_str(golden), &topic), golden);
    assert_int_equal(znode_topic_decode(*state, SLICE_LITERAL("junk"), &topic), ERR_OK);
    assert_int_equal(topic.partition_count, 0);
}

static void test_topic_is_written_as_the_jvm_writes_it(void **state)
{
    const char *golden = "{\"partitions\":{\"0\":[1,2],\"1\":[2]},\"topic_id\":"
                         "\"lVDUywLbQ4mv2Tx2StwIIQ\",\"adding_replicas\":{\"0\":[2]},"
                         "\"removing_replicas\":{},\"version\":3}";
    struct znode_topic topic;
    assert_int_equal(znode_topic_decode(*state, slice_str(golden), &topic), ERR_OK);
    assert_text(znode_topic_encode(*state, &topic), golden);
}

static void test_partition_state_is_written_as_the_jvm_writes_it(void **state)
{
    const char *golden =
        "{\"controller_epoch\":1,\"leader\":1,\"version\":1,\"leader_epoch\":0,\"isr\":[1,2]}";
    struct znode_partition_state p;
    assert_int_equal(znode_partition_state_decode(*state, slice_str(golden), &p), ERR_OK);
    assert_int_equal(p.isr.count, 2);
    assert_text(znode_partition_state_encode(*state, &p), golden);
    assert_text(znode_partition_state_update(*state, slice_str(golden), &p), golden);
    p.recovery_state = 1;
    struct slice text = znode_partition_state_encode(*state, &p);
    assert_text(text, "{\"controller_epoch\":1,\"leader\":1,\"version\":1,"
                      "\"leader_recovery_state\":1,\"leader_epoch\":0,\"isr\":[1,2]}");
    assert_true(slice_equal(znode_partition_state_update(*state, slice_str(golden), &p), text));
    assert_int_equal(znode_partition_state_decode(*state, text, &p), ERR_OK);
    assert_int_equal(p.recovery_state, 1);
}

static void test_single_nodes_round_trip(void **state)
{
    struct znode_controller c;
    const char *text = "{\"version\":2,\"brokerid\":1,\"timestamp\":\"1795247348594\","
                       "\"kraftControllerEpoch\":-1}";
    assert_int_equal(znode_controller_decode(slice_str(text), &c), ERR_OK);
    assert_text(znode_controller_encode(*state, c.broker_id, c.timestamp_ms), text);
    int32_t epoch;
    assert_int_equal(znode_controller_epoch_decode(SLICE_LITERAL("12"), &epoch), ERR_OK);
    assert_int_equal(epoch, 12);
    assert_int_equal(znode_controller_epoch_decode(SLICE_NULL, &epoch), ERR_MALFORMED);
    text = "{\"version\":\"1\",\"id\":\"uIYKV5RNRMWoyveJFl0t9w\"}";
    struct slice id;
    assert_int_equal(znode_cluster_id_decode(*state, slice_str(text), &id), ERR_OK);
    assert_text(znode_cluster_id_encode(*state, id), text);
    text = "{\"version\":1,\"broker\":1,\"block_start\":\"0\",\"block_end\":\"999\"}";
    struct znode_producer_id_block block;
    assert_int_equal(znode_producer_id_block_decode(slice_str(text), &block), ERR_OK);
    assert_text(znode_producer_id_block_encode(*state, &block), text);
    struct znode_features f;
    text = "{\"features\":{\"x\":{\"max_version_level\":3}},\"version\":2,\"status\":1}";
    assert_int_equal(znode_features_decode(*state, slice_str(text), &f), ERR_OK);
    assert_text(znode_features_encode(*state, 2, &f), text);
    text = "{\"version\":1,\"config\":{\"retention.ms\":\"3600000\"}}";
    struct znode_config config;
    assert_int_equal(znode_config_decode(*state, slice_str(text), &config), ERR_OK);
    assert_text(znode_config_encode(*state, &config), text);
}

static void test_lists_and_notifications_round_trip_and_reassign_refuses_log_dirs(void **state)
{
    const char *text = "{\"version\":1,\"partitions\":[{\"topic\":\"foo\",\"partition\":0,"
                       "\"replicas\":[4,5]}]}";
    struct znode_partition_list list;
    assert_int_equal(znode_reassign_decode(*state, slice_str(text), &list), ERR_OK);
    assert_text(znode_reassign_encode(*state, &list), text);
    text = "{\"version\":1,\"partitions\":[{\"topic\":\"foo\",\"partition\":0,\"replicas\":[4],"
           "\"log_dirs\":[\"any\"]}]}";
    assert_int_equal(znode_reassign_decode(*state, slice_str(text), &list), ERR_MALFORMED);
    struct slice path;
    text = "{\"version\":2,\"entity_path\":\"topics/foo\"}";
    assert_int_equal(znode_config_change_decode(*state, slice_str(text), &path), ERR_OK);
    assert_text(znode_config_change_encode(*state, path), text);
    text = "{\"version\":1,\"entity_type\":\"topics\",\"entity_name\":\"foo\"}";
    assert_int_equal(znode_config_change_decode(*state, slice_str(text), &path), ERR_OK);
    assert_text(path, "topics/foo");
    assert_int_equal(znode_config_change_decode(*state, SLICE_LITERAL("x"), &path), ERR_NOT_FOUND);
    int32_t id;
    assert_int_equal(znode_log_dir_event_decode(znode_log_dir_event_encode(*state, 2), &id),
                     ERR_OK);
    assert_int_equal(id, 2);
}

static void test_names_of_users_are_sanitised_and_back(void **state)
{
    assert_text(znode_sanitise(*state, SLICE_LITERAL("User:a *+")), "User%3Aa%20%2A%2B");
    struct slice name;
    assert_int_equal(znode_unsanitise(*state, SLICE_LITERAL("User%3Aa%20%2A%2B"), &name), ERR_OK);
    assert_text(name, "User:a *+");
    assert_int_equal(znode_unsanitise(*state, SLICE_LITERAL("a%3"), &name), ERR_MALFORMED);
    assert_string_equal(znode_config_path(*state, "users", SLICE_LITERAL("<default>")),
                        "/config/users/<default>");
    int64_t number;
    assert_true(znode_sequence_number(SLICE_LITERAL("isr_change_0000000012"), &number));
    assert_int_equal(number, 12);
}

static void assert_refused(struct arena *arena, struct slice child, const char *why)
{
    assert_int_equal(znode_path_check(arena, "/brokers/topics", child), ERR_MALFORMED);
    assert_non_null(strstr(err_sentence(ERR_MALFORMED), why));
}

static void test_paths_that_the_client_of_zookeeper_refuses_are_refused(void **state)
{
    const char *good[] = {"a", "...", ".a", "a.", "a/..b", " ", "a/b", "n\xc3\xa4me", "-"};
    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        assert_int_equal(znode_path_check(*state, "/brokers/topics", slice_str(good[i])), ERR_OK);
    assert_refused(*state, SLICE_LITERAL(""), "Path must not end with / character");
    assert_refused(*state, SLICE_LITERAL("a/"), "Path must not end with / character");
    assert_refused(*state, SLICE_LITERAL("."), "caused by relative paths not allowed @16");
    assert_refused(*state, SLICE_LITERAL(".."), "caused by relative paths not allowed @17");
    assert_refused(*state, SLICE_LITERAL("a/./b"), "caused by relative paths not allowed @18");
    assert_refused(*state, SLICE_LITERAL("a//b"), "caused by empty node name specified @18");
    assert_refused(*state, slice_of("a\0b", 3), "caused by null character not allowed @17");
    assert_refused(*state, SLICE_LITERAL("\xc3\xa4\x01"), "caused by invalid character @17");
    assert_refused(*state, SLICE_LITERAL("\xf0\x9f\x98\x80"), "caused by invalid character @16");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_broker_registration_of_the_jvm_round_trips, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            test_broker_without_plaintext_has_null_host_and_keeps_rack_and_ipv6, setup, teardown),
        cmocka_unit_test_setup_teardown(test_broken_registrations_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_topic_is_written_as_the_jvm_writes_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_topic_update_keeps_unknown_keys_and_the_topic_id,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_partition_state_is_written_as_the_jvm_writes_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_single_nodes_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_lists_and_notifications_round_trip_and_reassign_refuses_log_dirs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names_of_users_are_sanitised_and_back, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_paths_that_the_client_of_zookeeper_refuses_are_refused,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
