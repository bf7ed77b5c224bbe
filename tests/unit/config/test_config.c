/* The settings of a file: read as Java reads them, checked with Kafka's sentences, and printed. */
#include "tests/unit/config/config_fixture.h"
#include "tests/unit/config/jvm_settings.h"

static void test_properties_read_as_java_reads_them(void **state)
{
    (void)state;
    struct config_map map = read_properties("# comment\n"
                                            "! comment too \\\n"
                                            "a=1\n"
                                            "  b : 2  \r\n"
                                            "c 3\r"
                                            "d\\ e\\==x\\ty\\u00e9\\uD83D\\uDE00\n"
                                            "long = one, \\\n"
                                            "    # two \\\n"
                                            "\n"
                                            "twice=1\ntwice=2\n"
                                            "empty\n"
                                            "back=a\\\\\n"
                                            "latin=\xe9\n"
                                            "lone=\\uD83Dx\n"
                                            "end=x\\");
    assert_string_equal(config_map_get(&map, "a"), "1");
    assert_string_equal(config_map_get(&map, "b"), "2  ");
    assert_string_equal(config_map_get(&map, "c"), "3");
    assert_string_equal(config_map_get(&map, "d e="), "x\ty\xc3\xa9\xf0\x9f\x98\x80");
    assert_string_equal(config_map_get(&map, "long"), "one, # two ");
    assert_string_equal(config_map_get(&map, "twice"), "2");
    assert_string_equal(config_map_get(&map, "empty"), "");
    assert_string_equal(config_map_get(&map, "back"), "a\\");
    assert_string_equal(config_map_get(&map, "latin"), "\xc3\xa9");
    assert_string_equal(config_map_get(&map, "lone"), "?x");
    assert_string_equal(config_map_get(&map, "end"), "x");
    assert_int_equal(map.count, 11);
    assert_int_equal(config_map_entry(&map, "long")->line, 7);
    config_map_done(&map);
    assert_int_equal(properties_parse("t", slice_str("a=\\u12"), &map), ERR_INVALID_CONFIG);
    config_map_done(&map);
}

static const char *type_word(enum config_type type)
{
    return config_type_name(type);
}

static void assert_row_is_kafkas(const struct jvm_setting *jvm, const struct config_key *key)
{
    const char *fallback = key->kafka_fallback ? key->kafka_fallback : config_key_fallback(key);
    assert_string_equal(type_word(key->type), jvm->type);
    if (jvm->fallback) {
        assert_non_null(fallback);
        assert_string_equal(fallback, jvm->fallback);
    } else if (!jvm->is_sensitive) {
        assert_null(fallback);
    }
    assert_int_equal(key->type == CONFIG_PASSWORD, jvm->is_sensitive);
    assert_int_equal(key->doc != NULL, jvm->has_doc);
}

static void test_every_broker_setting_is_that_of_a_jvm_broker(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(jvm_broker_settings); i++) {
        const struct jvm_setting *jvm = &jvm_broker_settings[i];
        const struct config_key *key = config_key_find(jvm->name);
        if (!key)
            fail_msg("no row for %s", jvm->name);
        assert_row_is_kafkas(jvm, key);
        assert_int_equal(key->update == UPDATE_READ_ONLY, jvm->is_read_only);
    }
}

static void
test_a_broker_describes_the_settings_that_a_jvm_broker_describes_and_its_own(void **state)
{
    (void)state;
    OWNED(arena) struct arena *arena = arena_new();
    struct config *config = parse("");
    int32_t count;
    struct config_view *views = config_describe_broker(config, NULL, 0, arena, &count);
    int32_t ours = 0;
    for (int32_t i = 0; i < count; i++)
        ours += (config_key_find(views[i].name)->flags & KEY_OURS) != 0;
    assert_int_equal(count - ours, ARRAY_SIZE(jvm_broker_settings));
    config_unref(config);
}

static void test_every_topic_setting_is_that_of_a_jvm_broker(void **state)
{
    (void)state;
    OWNED(arena) struct arena *arena = arena_new();
    struct config *config = parse("");
    int32_t count;
    struct config_view *views = config_describe_topic(config, NULL, NULL, 0, arena, &count);
    assert_int_equal(count, ARRAY_SIZE(jvm_topic_settings));
    for (int32_t i = 0; i < count; i++) {
        const struct jvm_setting *jvm = &jvm_topic_settings[i];
        assert_string_equal(views[i].name, jvm->name);
        assert_string_equal(config_type_name(views[i].type), jvm->type);
        assert_string_equal(views[i].value, jvm->fallback);
        assert_int_equal(views[i].synonyms_count > 0, jvm->behind != NULL);
        if (jvm->behind)
            assert_string_equal(views[i].synonyms[0].name, jvm->behind);
    }
    config_unref(config);
}

static void test_every_default_is_valid(void **state)
{
    (void)state;
    OWNED(arena) struct arena *arena = arena_new();
    int32_t count;
    const struct config_key *const *keys = config_keys_sorted(&count);
    for (int32_t i = 0; i < count; i++) {
        struct config_value value;
        const char *fallback = config_key_fallback(keys[i]);
        assert_int_equal(config_value_parse(keys[i], fallback, arena, &value), ERR_OK);
        if (fallback && keys[i]->type != CONFIG_PASSWORD)
            assert_string_equal(config_value_canonical(keys[i], fallback, arena), fallback);
    }
}

static void test_fields_hold_what_the_file_says(void **state)
{
    (void)state;
    struct config *config =
        parse("broker.id=7\nnum.partitions= 12 \nauto.create.topics.enable=FALSE\n"
              "log.dirs=/a, /b\nlog.cleaner.io.buffer.load.factor=0.75\n"
              "log.cleanup.policy=compact,delete\ncompression.type=zstd\n"
              "max.connections.per.ip.overrides=10.0.0.1:5,::1:6\n"
              "inter.broker.protocol.version=3.8");
    assert_int_equal(config->broker_id, 7);
    assert_int_equal(config->num_partitions, 12);
    assert_false(config->auto_create_topics_enable);
    assert_int_equal(config->log_dirs.count, 2);
    assert_string_equal(config->log_dirs.items[1], "/b");
    assert_true(config->log_cleaner_io_buffer_load_factor == 0.75);
    assert_int_equal(config->log_cleanup_policy, CONFIG_CLEANUP_COMPACT | CONFIG_CLEANUP_DELETE);
    assert_int_equal(config->compression_type, CONFIG_COMPRESSION_ZSTD);
    assert_int_equal(config->max_connections_per_ip_overrides_count, 2);
    assert_string_equal(config->max_connections_per_ip_overrides[1].host, "::1");
    assert_int_equal(config->max_connections_per_ip_overrides[1].max_connections, 6);
    assert_string_equal(config->inter_broker_protocol_version, "3.8-IV0");
    assert_int_equal(config->zookeeper_max_in_flight_requests, 1000);
    assert_int_equal(config->zookeeper_connection_timeout_ms, 18000);
    config_unref(config);
}

static void test_the_first_connection_may_take_longer_than_the_short_session(void **state)
{
    static const struct {
        const char *text;
        int32_t session_ms, connection_ms;
    } cases[] = {
        {"", 3000, 18000},
        {"zookeeper.session.timeout.ms=6000\n", 6000, 6000},
        {"zookeeper.connection.timeout.ms=7000\n", 3000, 7000},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct config *config = parse(cases[i].text);
        assert_int_equal(config->zookeeper_session_timeout_ms, cases[i].session_ms);
        assert_int_equal(config->zookeeper_connection_timeout_ms, cases[i].connection_ms);
        config_unref(config);
    }
}

static void test_overrides_beat_the_file(void **state)
{
    (void)state;
    struct config_pair override = {"num.partitions", "9"};
    struct config *config = NULL;
    assert_int_equal(
        config_parse("t", slice_str(LEAST "num.partitions=3\n"), &override, 1, &config), ERR_OK);
    assert_int_equal(config->num_partitions, 9);
    config_unref(config);
    override.value = "x";
    assert_int_equal(config_parse("t", slice_str(LEAST), &override, 1, &config),
                     ERR_INVALID_CONFIG);
    assert_non_null(strstr(err_sentence(ERR_INVALID_CONFIG), "--override: Invalid value x"));
}

static void test_finer_units_win(void **state)
{
    (void)state;
    struct config *config =
        parse("log.retention.hours=1\nlog.retention.minutes=2\nlog.roll.hours=3");
    assert_int_equal(config->log_retention_ms, 120000);
    assert_int_equal(config->log_roll_ms, 3 * 3600000);
    config_unref(config);
    config = parse("log.retention.hours=1\nlog.retention.minutes=2\nlog.retention.ms=5\n"
                   "log.roll.ms=77\nlog.flush.scheduler.interval.ms=40");
    assert_int_equal(config->log_retention_ms, 5);
    assert_int_equal(config->log_roll_ms, 77);
    assert_int_equal(config->log_flush_interval_ms, 40);
    config_unref(config);
    config = parse("log.retention.hours=-1");
    assert_int_equal(config->log_retention_ms, -1);
    config_unref(config);
}

static void test_a_wrong_value_is_told_with_file_and_line(void **state)
{
    (void)state;
    assert_refused("num.partitions=many",
                   "test.properties:3: Invalid value many for configuration num.partitions: Not a "
                   "number of type INT");
    assert_refused("num.partitions=0", "num.partitions: Value must be at least 1");
    assert_refused("offsets.topic.replication.factor=40000", "Not a number of type SHORT");
    assert_refused("log.preallocate=yes", "Expected value to be either true or false");
    assert_refused("log.cleanup.policy=shred", "String must be one of: compact, delete");
    assert_refused("compression.gzip.level=0", "Value must be between 1 and 9 or equal to -1");
    assert_refused("log.cleaner.min.cleanable.ratio=1.5", "Invalid value 1.5 for");
    assert_refused("inter.broker.protocol.version=9.9", "Version 9.9 is not a valid version");
}

static void test_settings_that_do_not_fit_together_are_refused(void **state)
{
    (void)state;
    assert_refused("broker.id=1001", "broker.id must be");
    assert_refused("broker.id=-2", "broker.id must be");
    assert_refused("broker.id.generation.enable=false", "broker.id must be greater");
    assert_refused("broker.id=3\nnode.id=4", "node.id");
    assert_refused("replica.fetch.wait.max.ms=40000", "replica.fetch.wait.max.ms");
    assert_refused("max.connections.per.ip=0", "max.connections.per.ip can be set to zero only if");
    assert_refused("log.retention.ms=0", "log.retention.ms must be unlimited (-1)");
    assert_refused("log.dirs=/a,/a", "Duplicate log directory found: /a");
    assert_refused("queued.max.request.bytes=5", "queued.max.request.bytes must be larger");
    assert_refused("zookeeper.connect=", "Missing required configuration `zookeeper.connect`");
    assert_refused("zookeeper.connect=a:0/x", "'a:0' is not host:port");
}

static void test_listeners_are_parsed_and_checked(void **state)
{
    (void)state;
    struct config *config =
        parse("listeners=client://:9092,BETWEEN://[::1]:9093\n"
              "advertised.listeners=CLIENT://kafka.example:19092,BETWEEN://10.0.0.1:9093\n"
              "listener.security.protocol.map=CLIENT:PLAINTEXT,BETWEEN:PLAINTEXT\n"
              "inter.broker.listener.name=BETWEEN");
    assert_int_equal(config->listeners_count, 2);
    assert_string_equal(config->listeners[0].name, "CLIENT");
    assert_string_equal(config->listeners[0].host, "");
    assert_string_equal(config->listeners[0].advertised_host, "kafka.example");
    assert_int_equal(config->listeners[0].advertised_port, 19092);
    assert_string_equal(config->listeners[1].host, "::1");
    assert_ptr_equal(config->inter_broker_listener, &config->listeners[1]);
    assert_ptr_equal(config_listener(config, "between"), &config->listeners[1]);
    config_unref(config);

    assert_refused("listeners=PLAINTEXT://:9092,PLAINTEXT://:9093", "different name");
    assert_refused(
        "listeners=PLAINTEXT://:9092,A://:9092\nlistener.security.protocol.map=PLAINTEXT:"
        "PLAINTEXT,A:PLAINTEXT",
        "different port");
    assert_refused("listeners=HOME://:9092", "No security protocol defined for listener HOME");
    assert_refused("listeners=nonsense", "Unable to parse nonsense");
    assert_refused("listeners=PLAINTEXT://0.0.0.0:9092", "nonroutable meta-address 0.0.0.0");
    assert_refused("advertised.listeners=PLAINTEXT://b:1,SSL://a:1",
                   "equal to or a subset of the ones defined in listeners. Found PLAINTEXT,SSL. "
                   "The valid options based on the current configuration are PLAINTEXT");
    assert_refused("advertised.listeners=SSL://a:1",
                   "inter.broker.listener.name must be a listener name defined in "
                   "advertised.listeners. The valid options based on currently configured "
                   "listeners are SSL");
    assert_refused("advertised.listeners=", "There must be at least one broker advertised");
    assert_refused("listeners=PLAINTEXT://1.2.3.4:9092,A://1.2.3.5:9092\n"
                   "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,A:PLAINTEXT",
                   "one needs to be IPv4 and the other IPv6");
    assert_refused("inter.broker.listener.name=OTHER",
                   "Listener with name OTHER defined in inter.broker.listener.name not found in "
                   "listener.security.protocol.map.");
    assert_refused("listener.name.plaintext.max.connections=x",
                   "Invalid value x for configuration max.connections: Not a number of type INT");
    assert_refused("inter.broker.listener.name=PLAINTEXT\nsecurity.inter.broker.protocol=PLAINTEXT",
                   "Only one of");
    assert_refused("control.plane.listener.name=PLAINTEXT", "different value");
}

static void test_what_asks_for_security_is_refused_by_name(void **state)
{
    (void)state;
    static const char *const texts[][2] = {
        {"listeners=SSL://:9093\nsecurity.inter.broker.protocol=SSL", "listeners"},
        {"listeners=PLAINTEXT://127.0.0.1:9092,SASL_PLAINTEXT://:9094", "asks for SASL_PLAINTEXT"},
        {"security.inter.broker.protocol=SASL_SSL", "SASL_SSL"},
        {"authorizer.class.name=kafka.security.authorizer.AclAuthorizer", "authorizer.class.name"},
        {"zookeeper.ssl.client.enable=true", "zookeeper.ssl.client.enable"},
        {"zookeeper.ssl.keystore.location=/x", "zookeeper.ssl.keystore.location"},
        {"zookeeper.set.acl=true", "zookeeper.set.acl"},
        {"zookeeper.sasl.client=true", "zookeeper.sasl.client"},
        {"process.roles=broker", "process.roles"},
        {"controller.quorum.voters=1@a:1", "controller.quorum.voters"},
        {"zookeeper.metadata.migration.enable=true", "zookeeper.metadata.migration.enable"},
        {"create.topic.policy.class.name=a.B", "create.topic.policy.class.name"},
        {"listener.name.plaintext.ssl.client.auth=required",
         "listener.name.plaintext.ssl.client.auth"},
        {"remote.log.storage.system.enable=true", "remote.log.storage.system.enable"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        assert_refused(texts[i][0], texts[i][1]);
    config_unref(parse("zookeeper.set.acl=false\nauthorizer.class.name="));

    /* Each of the keys that there are, whatever it is set to. */
    int32_t count;
    const struct config_key *const *keys = config_keys_sorted(&count);
    int tried = 0;
    for (int32_t i = 0; i < count; i++) {
        const char *name = keys[i]->name;
        bool is_of_listener = strncmp(name, "ssl.", 4) == 0 || strncmp(name, "sasl.", 5) == 0;
        if (strncmp(name, "zookeeper.ssl.", 14) != 0 && !is_of_listener)
            continue;
        const char *value = keys[i]->type == CONFIG_BOOL ? "true" : "1";
        OWNED_MEM char *line =
            mem_printf("%s%s=%s", is_of_listener ? "listener.name.a." : "", name, value);
        assert_refused(line, name);
        tried++;
    }
    assert_true(tried > 50);
}

static void assert_warned(const char *line, const char *part)
{
    char path[] = "/tmp/stoker-config-XXXXXX", *text = NULL;
    size_t size;
    int fd = mkstemp(path);
    FILE *file = fdopen(fd, "w"), *out = open_memstream(&text, &size);
    fprintf(file, LEAST "%s\n", line);
    fclose(file);
    assert_int_equal(config_check(path, NULL, 0, out), ERR_OK);
    fclose(out);
    unlink(path);
    if (!strstr(text, "warning: ") || !strstr(text, part))
        fail_msg("%s says %s", line, text);
    free(text);
}

static void test_what_would_protect_nothing_is_told(void **state)
{
    (void)state;
    assert_warned("ssl.client.auth=required", "ssl.client.auth protects nothing");
    assert_warned("sasl.enabled.mechanisms=PLAIN", "sasl.enabled.mechanisms protects nothing");
    assert_warned("super.users=User:a", "super.users protects nothing");
    assert_warned("inter.broker.protocol.version=2.8",
                  "inter.broker.protocol.version=2.8: this broker is proven in clusters of 3.5");
}

static void test_check_tells_everything_at_once(void **state)
{
    (void)state;
    char path[] = "/tmp/stoker-config-XXXXXX", *text = NULL;
    size_t size;
    int fd = mkstemp(path);
    const char file[] = "zookeeper.connect=a:1\nnum.patitions=3\nnum.partitions=x\nbroker.id=y\n"
                        "authorizer.class.name=Z\n";
    assert_int_equal(write(fd, file, sizeof(file) - 1), sizeof(file) - 1);
    close(fd);
    FILE *out = open_memstream(&text, &size);
    enum err e = config_check(path, NULL, 0, out);
    fclose(out);
    unlink(path);
    assert_int_equal(e, ERR_INVALID_CONFIG);
    assert_non_null(strstr(text, ":3: Invalid value x for configuration num.partitions"));
    assert_non_null(strstr(text, ":4: Invalid value y for configuration broker.id"));
    assert_non_null(strstr(text, ":5: authorizer.class.name=Z"));
    assert_non_null(
        strstr(text, ":2: unknown setting 'num.patitions'; did you mean 'num.partitions'?"));
    assert_non_null(strstr(text, "3 errors, 1 warning"));
    free(text);
}

static void test_doubles_are_printed_as_java_prints_them(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"0.5", "0.5"},
        {"1", "1.0"},
        {"0", "0.0"},
        {"0.001", "0.001"},
        {"0.0001", "1.0E-4"},
        {"12345678", "1.2345678E7"},
        {"1000000", "1000000.0"},
        {"1e7", "1.0E7"},
        {"0.1", "0.1"},
        {"1.7976931348623157E308", "1.7976931348623157E308"},
    };
    OWNED(arena) struct arena *arena = arena_new();
    const struct config_key *key = config_key_find("log.cleaner.io.max.bytes.per.second");
    for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
        assert_string_equal(config_value_canonical(key, pairs[i][0], arena), pairs[i][1]);
}

static void test_the_reference_names_every_setting(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    config_print_reference(out);
    fclose(out);
    int32_t count;
    const struct config_key *const *keys = config_keys_sorted(&count);
    for (int32_t i = 0; i < count; i++) {
        OWNED_MEM char *line = mem_printf("\n%s\n", keys[i]->name);
        assert_non_null(strstr(text, line));
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_properties_read_as_java_reads_them),
        cmocka_unit_test(test_every_broker_setting_is_that_of_a_jvm_broker),
        cmocka_unit_test(
            test_a_broker_describes_the_settings_that_a_jvm_broker_describes_and_its_own),
        cmocka_unit_test(test_every_topic_setting_is_that_of_a_jvm_broker),
        cmocka_unit_test(test_every_default_is_valid),
        cmocka_unit_test(test_fields_hold_what_the_file_says),
        cmocka_unit_test(test_the_first_connection_may_take_longer_than_the_short_session),
        cmocka_unit_test(test_overrides_beat_the_file),
        cmocka_unit_test(test_finer_units_win),
        cmocka_unit_test(test_a_wrong_value_is_told_with_file_and_line),
        cmocka_unit_test(test_settings_that_do_not_fit_together_are_refused),
        cmocka_unit_test(test_listeners_are_parsed_and_checked),
        cmocka_unit_test(test_what_asks_for_security_is_refused_by_name),
        cmocka_unit_test(test_what_would_protect_nothing_is_told),
        cmocka_unit_test(test_check_tells_everything_at_once),
        cmocka_unit_test(test_doubles_are_printed_as_java_prints_them),
        cmocka_unit_test(test_the_reference_names_every_setting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
