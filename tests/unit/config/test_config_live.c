/* Settings that change while a broker runs: their layers in order, and what may be changed how. */
#include "tests/unit/config/config_fixture.h"

static int changes;
static void count_change(void *context, const struct config *old_config,
                         const struct config *new_config)
{
    assert_ptr_not_equal(old_config, new_config);
    assert_ptr_equal(context, &changes);
    changes++;
}

static void test_dynamic_settings_make_a_new_snapshot_and_bad_ones_are_left_out(void **state)
{
    (void)state;
    struct clock_manual clock;
    clock_manual_init(&clock, 0);
    struct config *config = parse("log.retention.hours=1\nnum.io.threads=8");
    struct config_live *live = config_live_new(config, &clock.clock);
    struct config_map map = {0};
    changes = 0;
    config_live_watch(live, count_change, &changes);
    config_map_set(&map, "log.retention.ms", "777");
    config_map_set(&map, "num.io.threads", "17");     /* more than doubled */
    config_map_set(&map, "broker.rack", "elsewhere"); /* cannot change */
    config_map_set(&map, "log.segment.bytes", "3");   /* out of range */
    config_live_apply(live, DYNAMIC_DEFAULT, &map);
    assert_int_equal(changes, 1);
    assert_int_equal(config_now(live)->log_retention_ms, 777);
    assert_int_equal(config_now(live)->num_io_threads, 8);
    assert_null(config_now(live)->broker_rack);
    assert_int_equal(config->log_retention_ms, 3600000); /* the old snapshot is what it was */

    config_map_set(&map, "log.retention.ms", "888");
    config_live_apply(live, DYNAMIC_BROKER, &map);
    assert_int_equal(config_now(live)->log_retention_ms, 888);
    config_live_apply(live, DYNAMIC_BROKER, &map); /* the same again changes nothing */
    assert_int_equal(changes, 2);
    config_live_apply(live, DYNAMIC_BROKER, NULL);
    assert_int_equal(config_now(live)->log_retention_ms, 777);
    for (int i = 0; i < 3; i++) {
        clock_manual_advance_ms(&clock, SNAPSHOT_GRACE_MS + 1);
        config_live_apply(live, DYNAMIC_BROKER, i & 1 ? NULL : &map);
    }
    config_map_done(&map);
    config_live_free(live);
    config_unref(config);
}

static void test_synonyms_come_in_order_of_precedence(void **state)
{
    (void)state;
    OWNED(arena) struct arena *arena = arena_new();
    struct clock_manual clock;
    clock_manual_init(&clock, 0);
    struct config *config = parse("log.retention.hours=1");
    struct config_live *live = config_live_new(config, &clock.clock);
    struct config_map dynamic = {0}, overrides = {0};
    struct slice names[] = {SLICE_LITERAL("retention.ms"), SLICE_LITERAL("no.such")};
    int32_t count;

    struct config_view *view = config_describe_topic(config, NULL, names, 2, arena, &count);
    assert_int_equal(count, 1);
    assert_string_equal(view->value, "3600000");
    assert_int_equal(view->source,
                     SOURCE_DEFAULT); /* as the JVM broker says of log.retention.hours */
    assert_int_equal(view->synonyms_count, 0);

    config_map_set(&dynamic, "log.retention.ms", "777");
    config_live_apply(live, DYNAMIC_DEFAULT, &dynamic);
    config_map_set(&overrides, "retention.ms", "5");
    view = config_describe_topic(config_now(live), &overrides, names, 2, arena, &count);
    assert_string_equal(view->value, "5");
    assert_int_equal(view->source, SOURCE_TOPIC);
    assert_int_equal(view->synonyms_count, 4);
    assert_string_equal(view->synonyms[1].name, "log.retention.ms");
    assert_int_equal(view->synonyms[1].source, SOURCE_DYNAMIC_DEFAULT_BROKER);
    assert_string_equal(view->synonyms[2].name, "log.retention.hours");
    assert_int_equal(view->synonyms[2].source, SOURCE_STATIC_BROKER);
    assert_int_equal(view->synonyms[3].source, SOURCE_DEFAULT);
    config_map_done(&dynamic);
    config_map_done(&overrides);
    config_live_free(live);
    config_unref(config);
}

static void assert_broker_refused(enum config_target target, const char *name, const char *value,
                                  const char *part)
{
    struct config *config = parse("");
    struct config_map map = {0};
    config_map_set(&map, name, value);
    enum err e = broker_config_check(config, target, &map);
    if (part) {
        assert_int_equal(e, ERR_INVALID_REQUEST);
        if (!strstr(err_sentence(e), part))
            fail_msg("%s=%s says '%s'", name, value, err_sentence(e));
    } else {
        assert_int_equal(e, ERR_OK);
    }
    config_map_done(&map);
    config_unref(config);
}

static void test_dynamic_changes_are_judged_as_by_a_jvm_broker(void **state)
{
    (void)state;
    assert_broker_refused(TARGET_BROKER, "num.io.threads", "17",
                          "num.io.threads=17, value should not be greater than double the current "
                          "value 8 for configuration Invalid dynamic configuration");
    assert_broker_refused(TARGET_BROKER, "num.io.threads", "3",
                          "value should be at least half the current value 8");
    assert_broker_refused(TARGET_BROKER, "num.io.threads", "0", "Value must be at least 1");
    assert_broker_refused(TARGET_BROKER, "broker.rack", "x",
                          "Cannot update these configs dynamically: Set(broker.rack)");
    assert_broker_refused(TARGET_BROKER_DEFAULT, "listeners", "PLAINTEXT://:1",
                          "Cannot update these configs at default cluster level, broker id must be "
                          "specified: Set(listeners)");
    assert_broker_refused(TARGET_BROKER, "ssl.keystore.location", "/x",
                          "only per-listener using the listener prefix: "
                          "HashSet(ssl.keystore.location)");
    assert_broker_refused(TARGET_BROKER, "leader.replication.throttled.rate", "x",
                          "Not a number of type LONG");
    assert_broker_refused(TARGET_BROKER, "log.cleaner.dedupe.buffer.size", "5",
                          "requirement failed: log.cleaner.dedupe.buffer.size must be at least 1MB "
                          "per cleaner thread.");
    assert_broker_refused(TARGET_BROKER_DEFAULT, "my.own", "5", NULL);
    assert_broker_refused(TARGET_BROKER_DEFAULT, "leader.replication.throttled.rate", "1000", NULL);
    assert_broker_refused(TARGET_BROKER, "log.retention.ms", "1", NULL);
}

static void test_listeners_and_limits_are_changed_as_by_a_jvm_broker(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"max.connections", "5", NULL},
        {"max.connections", "0", "ConfigException: Invalid max.connections 0 for configuration"},
        {"max.connections", "-1", "Value must be at least 0"},
        {"max.connection.creation.rate", "0", "Invalid max.connection.creation.rate 0"},
        {"max.connections.per.ip", "0",
         "requirement failed: max.connections.per.ip can be set to zero only if"},
        {"max.connections.per.ip.overrides", "127.0.0.1:5", NULL},
        {"listener.name.plaintext.max.connections", "5", NULL},
        {"listener.name.plaintext.max.connections", "0", "Invalid max.connections 0"},
        {"listener.name.other.max.connections", "x", "Not a number of type INT"},
        {"listener.name.other.max.connections", "0", NULL},
        {"listener.name.plaintext.num.network.threads", "1000", "num.network.threads=1000"},
        {"num.network.threads", "1000", "not be greater than double the current value"},
        {"listeners", LISTENER, NULL},
        {"listeners", "PLAINTEXT://127.0.0.1:7", NULL},
        {"listeners", LISTENER ",EXT://:1",
         "Error creating broker listeners from '" LISTENER ",EXT://:1': No security protocol "
         "defined for listener EXT"},
        {"listeners", LISTENER ",SSL://:1", "asks for SSL"},
        {"listeners", "", "requirement failed: There must be at least one broker advertised"},
        {"advertised.listeners", "PLAINTEXT://elsewhere:1", NULL},
        {"listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,EXT:PLAINTEXT", NULL},
        {"metric.reporters", "", NULL},
        {"metric.reporters", "a.b.C", "failed with class class kafka.server.DynamicMetricsRep"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_broker_refused(TARGET_BROKER, cases[i][0], cases[i][1], cases[i][2]);
}

static void test_a_listener_that_stays_keeps_its_own_settings(void **state)
{
    (void)state;
    struct config *config = parse("listener.name.plaintext.connections.max.idle.ms=5");
    struct config_map map = {0};
    config_map_set(&map, "advertised.listeners", "PLAINTEXT://elsewhere:1");
    assert_int_equal(broker_config_check(config, TARGET_BROKER, &map), ERR_OK);
    config_map_set(&map, "listener.name.plaintext.max.connections", "7");
    assert_int_equal(broker_config_check(config, TARGET_BROKER, &map), ERR_OK);
    config_map_set(&map, "listener.name.plaintext.connections.max.idle.ms", "6");
    assert_int_equal(broker_config_check(config, TARGET_BROKER, &map), ERR_INVALID_REQUEST);
    assert_non_null(strstr(err_sentence(ERR_INVALID_REQUEST),
                           "Configs cannot be updated dynamically for existing listener "
                           "ListenerName(PLAINTEXT), restart broker or create a new listener"));
    config_map_done(&map);
    config_unref(config);
}

static void test_a_listeners_limits_are_its_own_or_the_brokers(void **state)
{
    (void)state;
    struct config *config = parse("max.connections=9\nlistener.name.plaintext.max.connections=4\n"
                                  "max.connection.creation.rate=8");
    assert_int_equal(config->listeners[0].max_connections, 4);
    assert_int_equal(config->listeners[0].max_connection_creation_rate, 8);
    assert_int_equal(config->max_connections, 9);
    config_unref(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dynamic_settings_make_a_new_snapshot_and_bad_ones_are_left_out),
        cmocka_unit_test(test_synonyms_come_in_order_of_precedence),
        cmocka_unit_test(test_dynamic_changes_are_judged_as_by_a_jvm_broker),
        cmocka_unit_test(test_listeners_and_limits_are_changed_as_by_a_jvm_broker),
        cmocka_unit_test(test_a_listener_that_stays_keeps_its_own_settings),
        cmocka_unit_test(test_a_listeners_limits_are_its_own_or_the_brokers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
