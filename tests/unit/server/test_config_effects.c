/* No setting is called dynamic that does nothing: each has a row in the table of effects, or is
 * refused; and what topics take from the broker really changes with it. */
/* clang-format off: cmocka.h needs these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "broker/base/mem.h"
#include "broker/config/config_alter.h"
#include "broker/config/config_key.h"
#include "broker/config/topic_config.h"
#include "broker/server/config_effects.h"

static struct config *parse(const char *line)
{
    struct config *config = NULL;
    OWNED_MEM char *text = mem_printf("broker.id=1\nzookeeper.connect=localhost:2181\n%s\n", line);
    if (config_parse("test", slice_str(text), NULL, 0, &config))
        fail_msg("%s: %s", line, err_sentence(ERR_INVALID_CONFIG));
    return config;
}

static struct config *parse_one(const char *name, const char *value)
{
    OWNED_MEM char *line = mem_printf("%s=%s", name, value);
    return parse(line);
}

static const struct config_effect_row *row_of(const char *name)
{
    for (int i = 0; i < config_effect_rows_count; i++)
        if (strcmp(config_effect_rows[i].name, name) == 0)
            return &config_effect_rows[i];
    return NULL;
}

/* Some allowed value that is not the default. */
static const char *other_value(const struct config_key *key)
{
    static const struct {
        const char *name, *value;
    } words[] = {{"compression.type", "gzip"},
                 {"compression.gzip.level", "3"},
                 {"compression.lz4.level", "3"},
                 {"compression.zstd.level", "5"},
                 {"log.cleanup.policy", "compact"},
                 {"log.message.timestamp.type", "LogAppendTime"},
                 {"log.cleaner.min.cleanable.ratio", "0.25"}};
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (strcmp(words[i].name, key->name) == 0)
            return words[i].value;
    if (key->type == CONFIG_BOOL)
        return strcmp(key->fallback, "true") == 0 ? "false" : "true";
    return "54321";
}

static void test_every_setting_called_dynamic_has_an_effect(void **state)
{
    (void)state;
    int32_t count;
    const struct config_key *const *keys = config_keys_sorted(&count);
    for (int32_t i = 0; i < count; i++) {
        const struct config_effect_row *row = row_of(keys[i]->name);
        if (config_key_is_live(keys[i]) && !row)
            fail_msg("%s is called dynamic and nothing follows from it", keys[i]->name);
        if (!config_key_is_live(keys[i]) && row)
            fail_msg("%s has an effect and is called fixed", keys[i]->name);
        int effects = row ? row->effects : 0; /* what the reference says of it */
        assert_int_equal(!(keys[i]->flags & KEY_STORED), !(effects & EFFECT_STORED));
    }
    for (int i = 0; i < config_effect_rows_count; i++) {
        if (!config_key_find(config_effect_rows[i].name))
            fail_msg("%s is no setting", config_effect_rows[i].name);
        assert_int_not_equal(config_effect_rows[i].effects, 0);
    }
}

static bool is_same_for_topics(const struct config *before, const struct config *after)
{
    struct topic_config a, b;
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    topic_config_resolve(before, NULL, &a);
    topic_config_resolve(after, NULL, &b);
    return memcmp(&a, &b, sizeof a) == 0;
}

static void test_what_topics_take_changes_with_each_of_their_settings(void **state)
{
    (void)state;
    struct config *before = parse("");
    int tried = 0;
    for (int i = 0; i < config_effect_rows_count; i++) {
        const struct config_effect_row *row = &config_effect_rows[i];
        const struct config_key *key = config_key_find(row->name);
        if (!(row->effects & EFFECT_LOGS))
            continue;
        struct config *after = parse_one(row->name, other_value(key));
        if (is_same_for_topics(before, after))
            fail_msg("%s=%s changes nothing of a topic", row->name, other_value(key));
        assert_int_equal(config_effects_between(before, after), row->effects);
        config_unref(after);
        tried++;
    }
    assert_true(tried >= 28);
    struct config *another = parse_one("num.io.threads", "16"); /* topics take nothing of it */
    assert_true(is_same_for_topics(before, another));
    config_unref(another);
    assert_int_equal(config_effects_between(before, before), 0);
    config_unref(before);
}

static int effects_of(const char *before_lines, const char *after_lines)
{
    struct config *before = parse(before_lines), *after = parse(after_lines);
    int effects = config_effects_between(before, after);
    config_unref(before);
    config_unref(after);
    return effects;
}

static void test_a_listeners_own_limits_reach_the_network(void **state)
{
    (void)state;
    const char *limit = "listener.name.plaintext.max.connections=5";
    assert_int_equal(effects_of("", limit), EFFECT_NETWORK);
    assert_int_equal(effects_of(limit, ""), EFFECT_NETWORK);
    assert_int_equal(effects_of(limit, limit), 0);
    assert_int_equal(effects_of("", "listener.name.other.max.connections=5"), 0);
    assert_int_equal(effects_of("", "listener.name.plaintext.max.connection.creation.rate=5"),
                     EFFECT_NETWORK);
    assert_int_equal(effects_of("", "listeners=PLAINTEXT://:1"), EFFECT_NETWORK | EFFECT_ADDRESSES);
    assert_int_equal(effects_of("", "advertised.listeners=PLAINTEXT://a:1"), EFFECT_ADDRESSES);
}

static enum err change(const char *name, const char *value, const char *before_value)
{
    struct config *config = parse("");
    struct config_map before = {0};
    struct config_op op = {CONFIG_OP_SET, slice_str(name), slice_str(value)};
    if (before_value)
        config_map_set(&before, name, before_value);
    enum err e = config_ops_check_live(config, &op, 1, &before);
    config_map_done(&before);
    config_unref(config);
    return e;
}

static void test_what_this_broker_cannot_change_while_it_runs_is_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"principal.builder.class", "ssl.cipher.suites",
                                        "sasl.enabled.mechanisms"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        OWNED_MEM char *sentence =
            mem_printf("Cannot update these configs dynamically: Set(%s)", names[i]);
        assert_int_equal(change(names[i], "16", NULL), ERR_INVALID_REQUEST);
        assert_string_equal(err_sentence(ERR_INVALID_REQUEST), sentence);
    }
    assert_int_equal(change("log.retention.ms", "16", NULL), ERR_OK);
    assert_int_equal(change("my.own", "16", NULL), ERR_OK);
}

static void test_what_stands_already_is_not_refused(void **state)
{
    (void)state;
    const char *name = "sasl.enabled.mechanisms";
    assert_int_equal(change(name, "PLAIN", "PLAIN"), ERR_OK); /* a JVM broker put it there */
    assert_int_equal(change(name, "GSSAPI", NULL), ERR_OK);   /* what is in force */
    assert_int_equal(change(name, "OTHER", "PLAIN"), ERR_INVALID_REQUEST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_setting_called_dynamic_has_an_effect),
        cmocka_unit_test(test_what_topics_take_changes_with_each_of_their_settings),
        cmocka_unit_test(test_a_listeners_own_limits_reach_the_network),
        cmocka_unit_test(test_what_this_broker_cannot_change_while_it_runs_is_refused),
        cmocka_unit_test(test_what_stands_already_is_not_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
