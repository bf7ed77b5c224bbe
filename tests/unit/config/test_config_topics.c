/* The settings of topics over those of the broker, and changes of lists. */
#include "tests/unit/config/config_fixture.h"

static void test_a_topic_takes_its_overrides_over_the_broker(void **state)
{
    (void)state;
    struct config *config = parse("log.retention.hours=2\nlog.segment.bytes=5000\n"
                                  "log.message.timestamp.difference.max.ms=99");
    struct config_map overrides = {0};
    struct topic_config topic;
    topic_config_resolve(config, NULL, &topic);
    assert_int_equal(topic.retention_ms, 7200000);
    assert_int_equal(topic.segment_bytes, 5000);
    assert_int_equal(topic.message_timestamp_before_max_ms, 99);
    config_map_set(&overrides, "retention.ms", "-1");
    config_map_set(&overrides, "cleanup.policy", "compact");
    config_map_set(&overrides, "message.timestamp.type", "LogAppendTime");
    config_map_set(&overrides, "message.timestamp.after.max.ms", "5");
    config_map_set(&overrides, "segment.bytes", "broken");
    config_map_set(&overrides, "compression.type", "lz4");
    topic_config_resolve(config, &overrides, &topic);
    assert_int_equal(topic.retention_ms, -1);
    assert_int_equal(topic.cleanup_policy, CONFIG_CLEANUP_COMPACT);
    assert_int_equal(topic.message_timestamp_type, CONFIG_LOG_APPEND_TIME);
    assert_int_equal(topic.message_timestamp_after_max_ms, 5);
    assert_int_equal(topic.message_timestamp_before_max_ms, 99);
    assert_int_equal(topic.segment_bytes, 5000);
    assert_int_equal(topic.compression_type, CONFIG_COMPRESSION_LZ4);
    config_map_done(&overrides);
    config_unref(config);
}

static void assert_topic_refused(const char *name, const char *value, const char *sentence)
{
    struct config *config = parse("");
    struct config_map overrides = {0};
    config_map_set(&overrides, name, value);
    assert_int_equal(topic_config_check(config, &overrides), ERR_INVALID_CONFIG);
    assert_string_equal(err_sentence(ERR_INVALID_CONFIG), sentence);
    config_map_done(&overrides);
    config_unref(config);
}

static void test_topic_overrides_are_refused_in_kafkas_words(void **state)
{
    (void)state;
    assert_topic_refused("no.such", "1", "Unknown topic config name: no.such");
    assert_topic_refused(
        "segment.bytes", "0",
        "Invalid value 0 for configuration segment.bytes: Value must be at least 14");
    assert_topic_refused(
        "min.cleanable.dirty.ratio", "1.5",
        "Invalid value 1.5 for configuration min.cleanable.dirty.ratio: Value must be "
        "no more than 1");
    assert_topic_refused(
        "unclean.leader.election.enable", "",
        "Invalid value  for configuration unclean.leader.election.enable: Expected "
        "value to be either true or false");
    assert_topic_refused(
        "leader.replication.throttled.replicas", "a",
        "Invalid value [a] for configuration leader.replication.throttled.replicas: "
        "leader.replication.throttled.replicas must be the literal '*' or a list of "
        "replicas in the following format: "
        "[partitionId]:[brokerId],[partitionId]:[brokerId],...");
    assert_topic_refused(
        "message.format.version", "7.0",
        "Invalid value 7.0 for configuration message.format.version: Version 7.0 is "
        "not a valid version");
}

static void test_lists_are_appended_to_and_subtracted_from(void **state)
{
    (void)state;
    struct config_map map = {0};
    const char *throttled = "leader.replication.throttled.replicas";
    struct config_op ops[] = {op(CONFIG_OP_APPEND, "cleanup.policy", "compact"),
                              op(CONFIG_OP_APPEND, throttled, "0:1")};
    assert_int_equal(config_ops_apply(TARGET_TOPIC, ops, 2, &map), ERR_OK);
    assert_string_equal(config_map_get(&map, "cleanup.policy"), "delete,compact");
    assert_string_equal(config_map_get(&map, throttled), "0:1");
    ops[0] = op(CONFIG_OP_SUBTRACT, "cleanup.policy", "delete");
    ops[1] = op(CONFIG_OP_APPEND, throttled, "0:1,1:1");
    assert_int_equal(config_ops_apply(TARGET_TOPIC, ops, 2, &map), ERR_OK);
    assert_string_equal(config_map_get(&map, "cleanup.policy"), "compact");
    assert_string_equal(config_map_get(&map, throttled), "0:1,1:1");
    ops[0] = op(CONFIG_OP_APPEND, "segment.bytes", "1");
    assert_int_equal(config_ops_apply(TARGET_TOPIC, ops, 1, &map), ERR_INVALID_CONFIG);
    ops[0] = op(CONFIG_OP_SET, throttled, "x");
    assert_int_equal(config_ops_apply(TARGET_TOPIC, ops, 2, &map), ERR_INVALID_REQUEST);
    ops[0] = op(CONFIG_OP_SET, "segment.bytes", NULL);
    assert_int_equal(config_ops_apply(TARGET_TOPIC, ops, 1, &map), ERR_INVALID_REQUEST);
    config_map_done(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_topic_takes_its_overrides_over_the_broker),
        cmocka_unit_test(test_topic_overrides_are_refused_in_kafkas_words),
        cmocka_unit_test(test_lists_are_appended_to_and_subtracted_from),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
