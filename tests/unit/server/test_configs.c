/* The handlers of settings over ZooKeeper's model: what is answered, and what then stands in it. */
/* clang-format off: cmocka.h needs these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "broker/api/handlers.h"
#include "broker/base/trace.h"
#include "broker/server/server_internal.h"
#include "tests/fake/zk_memory.h"
#include "wire/describe_configs.h"
#include "wire/incremental_alter_configs.h"

#define OWN_ID    1
#define TOPIC     2
#define BROKER    4
#define LOGGER    8
#define METRICS   16
#define TOPIC_T   "/config/topics/t"
#define ZNODE_OLD "{\"version\":1,\"config\":{\"retention.ms\":\"5\"},\"extra\":7}"

typedef struct incremental_alter_configs_request_alter_configs_resource alter_resource;
typedef struct incremental_alter_configs_request_alterable_config alter_op;

struct world {
    struct server server;
    struct zk_memory *memory;
    struct config *config;
    struct request request;
    const void *answer;
    int answers;
};

static struct world *world;

/* Stands in for the network's: the answer is looked at while the request's arena lives. */
void request_answer(struct request *request, const void *response)
{
    assert_ptr_equal(request, &world->request);
    world->answers++;
    if (request->api_key == 32) {
        struct describe_configs_response *copy = arena_alloc(request->arena, sizeof *copy);
        *copy = *(const struct describe_configs_response *)response;
        world->answer = copy;
    } else {
        struct incremental_alter_configs_response *copy = arena_alloc(request->arena, sizeof *copy);
        *copy = *(const struct incremental_alter_configs_response *)response;
        world->answer = copy;
    }
}

static void know_topic(void)
{
    struct update_metadata_request update;
    struct update_metadata_request_update_metadata_topic_state topic;
    struct update_metadata_request_update_metadata_partition_state partition;
    update_metadata_request_init(&update);
    update_metadata_request_update_metadata_topic_state_init(&topic);
    update_metadata_request_update_metadata_partition_state_init(&partition);
    topic.topic_name = SLICE_LITERAL("t");
    topic.partition_states = &partition;
    topic.partition_states_count = 1;
    update.topic_states = &topic;
    update.topic_states_count = 1;
    metadata_cache_update(world->server.broker.metadata_cache, &update);
}

static int setup(void **state)
{
    (void)state;
    world = mem_new(struct world);
    struct slice text = SLICE_LITERAL("broker.id=1\nzookeeper.connect=localhost:2181\n");
    assert_int_equal(config_parse("test", text, NULL, 0, &world->config), ERR_OK);
    world->memory = zk_memory_new(0);
    world->server.control_zk = zk_memory_client(world->memory);
    world->server.live = config_live_new(world->config, &clock_system);
    world->server.broker.id = OWN_ID;
    world->server.broker.metadata_cache = metadata_cache_new();
    world->server.broker.server = &world->server;
    world->request.broker = &world->server.broker;
    world->request.arena = arena_new();
    zk_memory_put(world->memory, "/config/changes", NULL);
    zk_memory_put(world->memory, "/config/topics", NULL);
    zk_memory_put(world->memory, "/config/brokers", NULL);
    zk_memory_run(world->memory);
    know_topic();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(world->request.arena);
    metadata_cache_free(world->server.broker.metadata_cache);
    config_live_free(world->server.live);
    config_unref(world->config);
    zk_memory_free(world->memory);
    free(world);
    return 0;
}

static void begin_alter(alter_resource *resources, int32_t count, bool validate_only)
{
    struct incremental_alter_configs_request *message =
        arena_alloc(world->request.arena, sizeof *message);
    *message = (struct incremental_alter_configs_request){
        .resources = resources, .resources_count = count, .validate_only = validate_only};
    world->request.api_key = 44;
    world->request.message = message;
    world->answers = 0;
    handle_incremental_alter_configs(&world->request);
}

static int16_t alter_one(int8_t type, const char *name, int8_t op, const char *setting,
                         const char *value, bool validate_only)
{
    alter_op change = {slice_str(setting), op, slice_str(value), {0}};
    alter_resource resource = {type, slice_str(name), &change, 1, {0}};
    begin_alter(&resource, 1, validate_only);
    zk_memory_run(world->memory);
    assert_int_equal(world->answers, 1);
    const struct incremental_alter_configs_response *response = world->answer;
    assert_int_equal(response->responses_count, 1);
    assert_int_equal(response->responses[0].resource_type, type);
    return response->responses[0].error_code;
}

static void assert_message(const char *text)
{
    const struct incremental_alter_configs_response *response = world->answer;
    OWNED_MEM char *message = slice_dup(response->responses[0].error_message);
    assert_string_equal(message, text);
}

static bool holds(const char *path, const char *part)
{
    struct slice data;
    struct zk_stat stat;
    if (!zk_memory_get(world->memory, path, &data, &stat))
        return false;
    OWNED_MEM char *text = slice_dup(data);
    return strstr(text, part) != NULL;
}

static int32_t changes(void)
{
    return zk_memory_children_count(world->memory, "/config/changes");
}

static const struct describe_configs_response_describe_configs_result *
describe(int8_t type, const char *name, struct slice key)
{
    struct arena *arena = world->request.arena;
    struct describe_configs_request *message = arena_alloc(arena, sizeof *message);
    message->resources = arena_alloc(arena, sizeof *message->resources);
    message->resources[0].resource_type = type;
    message->resources[0].resource_name = slice_str(name);
    message->resources[0].configuration_keys = arena_alloc(arena, sizeof key);
    message->resources[0].configuration_keys[0] = key;
    message->resources[0].configuration_keys_count = 1;
    message->resources_count = 1;
    message->include_synonyms = true;
    world->request.api_key = 32;
    world->request.message = message;
    world->answers = 0;
    handle_describe_configs(&world->request);
    zk_memory_run(world->memory);
    assert_int_equal(world->answers, 1);
    return ((const struct describe_configs_response *)world->answer)->results;
}

static void a_changed_setting_is_stored_announced_and_described(void **state)
{
    (void)state;
    zk_memory_put(world->memory, TOPIC_T, ZNODE_OLD);
    assert_int_equal(alter_one(TOPIC, "t", 0, "segment.bytes", "4096", false), 0);
    assert_true(holds(TOPIC_T, "\"retention.ms\":\"5\""));
    assert_true(holds(TOPIC_T, "\"segment.bytes\":\"4096\""));
    assert_int_equal(changes(), 1);
    assert_true(holds("/config/changes/config_change_0000000000", "\"topics/t\""));

    const struct describe_configs_response_describe_configs_result *result =
        describe(TOPIC, "t", SLICE_LITERAL("segment.bytes"));
    assert_int_equal(result->error_code, 0);
    assert_int_equal(result->configs_count, 1);
    assert_true(slice_equal_str(result->configs[0].value, "4096"));
    assert_int_equal(result->configs[0].config_source, 1);
    assert_true(result->configs[0].synonyms_count >= 2);
}

static void only_validating_writes_nothing(void **state)
{
    (void)state;
    assert_int_equal(alter_one(TOPIC, "t", 0, "segment.bytes", "4096", true), 0);
    assert_false(holds(TOPIC_T, ""));
    assert_int_equal(changes(), 0);
}

static void what_is_refused_is_not_written(void **state)
{
    (void)state;
    assert_int_equal(alter_one(TOPIC, "nobody", 0, "segment.bytes", "4096", false), 3);
    assert_message("The topic 'nobody' does not exist.");
    assert_int_equal(alter_one(TOPIC, "", 0, "segment.bytes", "4096", false), 42);
    assert_int_equal(alter_one(TOPIC, "t", 0, "no.such", "1", false), 40);
    assert_int_equal(alter_one(TOPIC, "t", 0, "segment.bytes", NULL, false), 42);
    assert_message("Null value not supported for : segment.bytes");
    assert_int_equal(alter_one(BROKER, "9", 0, "log.retention.ms", "4", false), 42);
    assert_message("Unexpected broker id, expected 1, but received 9");
    assert_int_equal(alter_one(METRICS, "m", 0, "a", "b", false), 42);
    assert_int_equal(alter_one(77, "m", 0, "a", "b", false), 42);
    assert_message("Unknown resource type 77");
    assert_int_equal(alter_one(LOGGER, "1", 0, "other", "INFO", false), 40);
    assert_int_equal(alter_one(BROKER, "1", 0, "listener.name.a.ssl.key.password", "secret", false),
                     42);
    assert_int_equal(changes(), 0);
}

static void a_resource_named_twice_is_refused_at_both_places(void **state)
{
    (void)state;
    alter_op op = {SLICE_LITERAL("segment.bytes"), 0, SLICE_LITERAL("4096"), {0}};
    alter_resource twice[] = {{TOPIC, SLICE_LITERAL("t"), &op, 1, {0}},
                              {TOPIC, SLICE_LITERAL("t"), &op, 1, {0}}};
    begin_alter(twice, 2, false);
    zk_memory_run(world->memory);
    const struct incremental_alter_configs_response *response = world->answer;
    assert_int_equal(world->answers, 1);
    assert_int_equal(response->responses[0].error_code, 42);
    assert_int_equal(response->responses[1].error_code, 42);
    assert_int_equal(changes(), 0);
}

static void an_empty_broker_name_is_the_default_of_the_cluster(void **state)
{
    (void)state;
    assert_int_equal(alter_one(BROKER, "", 0, "log.retention.ms", "77777", false), 0);
    assert_true(holds("/config/brokers/<default>", "\"log.retention.ms\":\"77777\""));
    assert_int_equal(alter_one(BROKER, "1", 0, "log.retention.ms", "88888", false), 0);
    assert_true(holds("/config/brokers/1", "\"log.retention.ms\":\"88888\""));
    assert_int_equal(changes(), 2);
}

/* Each operation is lost in turn, having happened or not. */
static void a_lost_connection_at_any_operation_still_stores_the_change(void **state)
{
    (void)state;
    for (int32_t n = 1; n <= 3; n++) {
        for (int executed = 0; executed <= 1; executed++) {
            zk_memory_delete(world->memory, TOPIC_T);
            int32_t before = changes();
            zk_memory_lose_operation(world->server.control_zk, n, executed);
            assert_int_equal(alter_one(TOPIC, "t", 0, "segment.bytes", "4096", false), 0);
            assert_true(holds(TOPIC_T, "\"segment.bytes\":\"4096\""));
            assert_true(changes() > before);
        }
    }
}

static void a_write_in_between_is_kept(void **state)
{
    (void)state;
    zk_memory_put(world->memory, TOPIC_T, ZNODE_OLD);
    alter_op op = {SLICE_LITERAL("segment.bytes"), 0, SLICE_LITERAL("4096"), {0}};
    alter_resource resource = {TOPIC, SLICE_LITERAL("t"), &op, 1, {0}};
    begin_alter(&resource, 1, false);
    assert_true(zk_memory_step(world->memory)); /* the read is executed */
    zk_memory_put(world->memory, TOPIC_T, "{\"version\":1,\"config\":{\"retention.ms\":\"6\"}}");
    zk_memory_run(world->memory);
    assert_int_equal(world->answers, 1);
    assert_true(holds(TOPIC_T, "\"retention.ms\":\"6\""));
    assert_true(holds(TOPIC_T, "\"segment.bytes\":\"4096\""));
}

static void describing_refuses_what_is_not_there(void **state)
{
    (void)state;
    assert_int_equal(describe(TOPIC, "nobody", SLICE_LITERAL("x"))->error_code, 3);
    assert_int_equal(describe(TOPIC, "a b", SLICE_LITERAL("x"))->error_code, 17);
    assert_int_equal(describe(BROKER, "2", SLICE_LITERAL("x"))->error_code, 42);
    assert_int_equal(describe(LOGGER, "", SLICE_LITERAL("root"))->error_code, 42);
    assert_int_equal(describe(METRICS, "m", SLICE_LITERAL("x"))->error_code, 42);
    assert_int_equal(describe(99, "m", SLICE_LITERAL("x"))->error_code, 42);
}

static void the_root_logger_is_set_and_described(void **state)
{
    (void)state;
    assert_int_equal(alter_one(LOGGER, "1", 0, "root", "WARN", false), 0);
    const struct describe_configs_response_describe_configs_result *result =
        describe(LOGGER, "1", SLICE_LITERAL("root"));
    assert_int_equal(result->configs_count, 1);
    assert_true(slice_equal_str(result->configs[0].value, "WARN"));
    assert_int_equal(result->configs[0].config_source, 6);
    trace_set_level(TRACE_INFO);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_changed_setting_is_stored_announced_and_described),
        TEST(only_validating_writes_nothing),
        TEST(what_is_refused_is_not_written),
        TEST(a_resource_named_twice_is_refused_at_both_places),
        TEST(an_empty_broker_name_is_the_default_of_the_cluster),
        TEST(a_lost_connection_at_any_operation_still_stores_the_change),
        TEST(a_write_in_between_is_kept),
        TEST(describing_refuses_what_is_not_there),
        TEST(the_root_logger_is_set_and_described),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
