/* Settings named by the thousand: a request may carry 100,000, and the control thread judges them.
 * The files that do it are compiled for this test a second time so that they call
 * __sanitizer_cov_trace_pc() at each step of their flow: four times the settings may take about
 * four times the steps, never sixteen times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "broker/base/arena.h"
#include "broker/base/buf.h"
#include "broker/config/config_alter.h"
#include "broker/config/config_describe.h"
#include "broker/config/config_live.h"

#define FEW         1000
#define MANY        (4 * FEW)
#define MOST_GROWTH 6

void __sanitizer_cov_trace_pc(void);

static uint64_t steps;

void __sanitizer_cov_trace_pc(void)
{
    steps++;
}

static struct config *parse(const char *text)
{
    struct config *config = NULL;
    OWNED_MEM char *whole = mem_printf("zookeeper.connect=localhost:2181\nbroker.id=1\n%s", text);
    assert_int_equal(config_parse("t", slice_str(whole), NULL, 0, &config), ERR_OK);
    return config;
}

static void assert_linear(void (*work)(int32_t count))
{
    steps = 0;
    work(FEW);
    uint64_t few = steps;
    assert_true(few >= FEW); /* the counting counts */
    steps = 0;
    work(MANY);
    if (steps > MOST_GROWTH * few)
        fail_msg("%d take %llu steps, %d take %llu", FEW, (unsigned long long)few, MANY,
                 (unsigned long long)steps);
}

static struct config_op *ops_of(struct arena *arena, int8_t kind, const char *prefix, int32_t count)
{
    struct config_op *ops = arena_new_array(arena, struct config_op, count);
    for (int32_t i = 0; i < count; i++)
        ops[i] = (struct config_op){kind, slice_str(arena_printf(arena, "%s%d", prefix, i)),
                                    SLICE_LITERAL("v")};
    return ops;
}

static void set_and_delete(int32_t count)
{
    OWNED(arena) struct arena *arena = arena_new();
    struct config_map map = {0};
    assert_int_equal(
        config_ops_apply(TARGET_BROKER, ops_of(arena, CONFIG_OP_SET, "x.", count), count, &map),
        ERR_OK);
    assert_int_equal(map.count, count);
    assert_int_equal(
        config_ops_apply(TARGET_BROKER, ops_of(arena, CONFIG_OP_DELETE, "x.", count), count, &map),
        ERR_OK);
    assert_int_equal(map.count, 0);
    config_map_done(&map);
}

static void test_many_operations_are_carried_out_in_linear_time(void **state)
{
    (void)state;
    assert_linear(set_and_delete);
}

static void append_and_subtract(int32_t count)
{
    struct buf items = {0};
    for (int32_t i = 0; i < count; i++)
        buf_printf(&items, "%sitem%d", i ? "," : "", i);
    struct config_op op = {CONFIG_OP_APPEND, SLICE_LITERAL("cleanup.policy"), buf_slice(&items)};
    struct config_map map = {0};
    assert_int_equal(config_ops_apply(TARGET_TOPIC, &op, 1, &map), ERR_OK);
    assert_int_equal(config_ops_apply(TARGET_TOPIC, &op, 1, &map), ERR_OK); /* all there already */
    op.kind = CONFIG_OP_SUBTRACT;
    assert_int_equal(config_ops_apply(TARGET_TOPIC, &op, 1, &map), ERR_OK);
    assert_string_equal(config_map_get(&map, "cleanup.policy"), "delete");
    config_map_done(&map);
    buf_done(&items);
}

static void test_long_lists_are_changed_in_linear_time(void **state)
{
    (void)state;
    assert_linear(append_and_subtract);
}

static void fill(struct config_map *map, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        OWNED_MEM char *name = mem_printf("x.%d", i);
        config_map_set(map, name, "v");
    }
}

/* Both layers hold all of them; two cannot be taken. */
static void apply_layers(int32_t count)
{
    struct config *config = parse("");
    struct config_live *live = config_live_new(config, &clock_system);
    struct config_map map = {0};
    fill(&map, count);
    config_live_apply(live, DYNAMIC_DEFAULT, &map);
    config_map_set(&map, "log.retention.ms", "888");
    config_live_apply(live, DYNAMIC_BROKER, &map);
    assert_int_equal(config_now(live)->log_retention_ms, 888);
    config_map_done(&map);
    config_live_free(live);
    config_unref(config);
}

static void test_long_layers_are_applied_in_linear_time(void **state)
{
    (void)state;
    assert_linear(apply_layers);
}

static void describe(int32_t count)
{
    OWNED(arena) struct arena *arena = arena_new();
    struct config *config = parse("");
    struct config_live *live = config_live_new(config, &clock_system);
    struct config_map map = {0};
    fill(&map, count);
    config_live_apply(live, DYNAMIC_DEFAULT, &map);
    struct slice *names = arena_new_array(arena, struct slice, count);
    for (int32_t i = 0; i < count; i++)
        names[i] = slice_str(arena_printf(arena, "x.%d", i));
    int32_t found;
    config_describe_broker(config_now(live), names, count, arena, &found);
    assert_int_equal(found, count);
    config_describe_broker_default(config_now(live), names, count, arena, &found);
    assert_int_equal(found, count);
    config_map_done(&map);
    config_live_free(live);
    config_unref(config);
}

static void test_many_names_are_described_in_linear_time(void **state)
{
    (void)state;
    assert_linear(describe);
}

static void test_few_bad_settings_among_many_are_found_by_halving(void **state)
{
    (void)state;
    struct config *config = parse("");
    struct config_live *live = config_live_new(config, &clock_system);
    struct config_map map = {0};
    fill(&map, 100);
    config_map_set(&map, "broker.rack", "elsewhere");
    config_map_set(&map, "log.retention.ms", "999");
    config_map_set(&map, "log.segment.bytes", "3");
    config_live_apply(live, DYNAMIC_DEFAULT, &map);
    assert_int_equal(config_now(live)->log_retention_ms, 999);
    assert_null(config_now(live)->broker_rack);
    assert_int_equal(config_now(live)->log_segment_bytes, 1 << 30);
    config_map_done(&map);
    config_live_free(live);
    config_unref(config);
}

static void test_a_map_finds_its_entries_after_every_change(void **state)
{
    (void)state;
    struct config_map map = {0};
    fill(&map, 300);
    assert_true(config_map_remove(&map, "x.0"));
    assert_true(config_map_remove(&map, map.entries[100].name));
    assert_false(config_map_remove(&map, "x.0"));
    assert_null(config_map_get(&map, "x.101"));
    config_map_set(&map, "x.7", "new");
    config_map_set(&map, "x.0", "again");
    assert_int_equal(map.count, 299);
    assert_string_equal(map.entries[298].name, "x.0"); /* in the order in which they came */
    assert_string_equal(config_map_get(&map, "x.7"), "new");
    for (int32_t i = 0; i < map.count; i++)
        assert_ptr_equal(config_map_entry(&map, map.entries[i].name), &map.entries[i]);
    config_map_cut(&map, 10);
    assert_null(config_map_get(&map, "x.0"));
    assert_string_equal(config_map_get(&map, "x.7"), "new");
    config_map_set(&map, "x.0", "back");
    assert_ptr_equal(config_map_entry(&map, "x.0"), &map.entries[10]);
    config_map_done(&map);
}

static void test_a_name_twice_is_found_wherever_it_stands(void **state)
{
    (void)state;
    OWNED(arena) struct arena *arena = arena_new();
    struct config_op *ops = ops_of(arena, CONFIG_OP_SET, "x.", MANY);
    struct config_map map = {0};
    ops[MANY - 1].name = ops[1].name;
    assert_int_equal(config_ops_replace(ops, MANY, &map), ERR_INVALID_REQUEST);
    assert_string_equal(err_sentence(ERR_INVALID_REQUEST), "Error due to duplicate config keys");
    ops[MANY - 1].name = SLICE_LITERAL("y");
    ops[3].value = ops[5].value = SLICE_NULL;
    assert_int_equal(config_ops_replace(ops, MANY, &map), ERR_INVALID_REQUEST);
    assert_string_equal(err_sentence(ERR_INVALID_REQUEST),
                        "Null value not supported for : x.3, x.5");
    config_map_done(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_operations_are_carried_out_in_linear_time),
        cmocka_unit_test(test_long_lists_are_changed_in_linear_time),
        cmocka_unit_test(test_long_layers_are_applied_in_linear_time),
        cmocka_unit_test(test_many_names_are_described_in_linear_time),
        cmocka_unit_test(test_few_bad_settings_among_many_are_found_by_halving),
        cmocka_unit_test(test_a_map_finds_its_entries_after_every_change),
        cmocka_unit_test(test_a_name_twice_is_found_wherever_it_stands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
