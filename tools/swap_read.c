/* What the brokers say of themselves and of the cluster: settings, log directories, topics,
 * reassignments. A broker that does not answer is a finding, not the end. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/wire/api_key.h"
#include "tools/swap.h"
#include "wire/describe_configs.h"
#include "wire/describe_log_dirs.h"
#include "wire/list_partition_reassignments.h"

#define RESOURCE_TOPIC         2
#define RESOURCE_BROKER        4
#define SOURCE_DEFAULT         5
#define SETTING_OF_STOKER      "max.mapped.indexes" /* no JVM broker has it */
#define TOPICS_OF_A_REQUEST    500
#define REASSIGNMENTS_LIMIT_MS 30000

typedef struct describe_configs_request_describe_configs_resource config_resource;
typedef struct describe_configs_response_describe_configs_result config_result;
typedef struct describe_configs_response_describe_configs_resource_result config_entry;

static const char *kept(struct slice text)
{
    return slice_is_null(text) ? NULL : cli_kept("%.*s", SLICE_ARG(text));
}

static enum err ask_configs(struct client *client, int32_t broker_id, config_resource *resources,
                            int32_t count, struct describe_configs_response *ret_response)
{
    struct describe_configs_request request;
    describe_configs_request_init(&request);
    request.resources = resources;
    request.resources_count = count;
    return client_call(client, broker_id, API_DESCRIBE_CONFIGS, &request, ret_response);
}

/* --- one broker --- */

static bool is_default(const config_entry *entry)
{
    return entry->is_default || entry->config_source == SOURCE_DEFAULT;
}

static void take_settings(struct client *client, const config_result *result,
                          struct swap_broker *broker)
{
    broker->settings =
        arena_new_array(client_arena(client), struct config_pair, result->configs_count + 1);
    for (int32_t i = 0; i < result->configs_count; i++) {
        const config_entry *entry = &result->configs[i];
        if (slice_equal_str(entry->name, SETTING_OF_STOKER))
            broker->is_stoker = true;
        if (is_default(entry))
            continue;
        if (entry->is_sensitive)
            texts_add(&broker->hidden, kept(entry->name));
        else if (!slice_is_null(entry->value))
            broker->settings[broker->settings_count++] =
                (struct config_pair){kept(entry->name), kept(entry->value)};
    }
}

/* names NULL: all that the broker has. */
static enum err ask_broker_configs(struct client *client, int32_t broker_id, struct slice *names,
                                   int32_t names_count,
                                   struct describe_configs_response *ret_response)
{
    config_resource resource;
    describe_configs_request_describe_configs_resource_init(&resource);
    resource.resource_type = RESOURCE_BROKER;
    resource.resource_name = slice_str(cli_kept("%" PRId32, broker_id));
    resource.configuration_keys = names;
    resource.configuration_keys_count = names ? names_count : -1;
    return ask_configs(client, broker_id, &resource, 1, ret_response);
}

static void read_settings(struct client *client, struct swap_broker *broker)
{
    struct describe_configs_response response;
    enum err e = ask_broker_configs(client, broker->id, NULL, 0, &response);
    if (e)
        broker->unread = cli_kept("its settings cannot be read: %s", err_sentence(e));
    else if (response.results_count != 1 || response.results[0].error_code)
        broker->unread = cli_kept("its settings cannot be read: %s",
                                  response.results_count == 1
                                      ? client_reason(client, response.results[0].error_code,
                                                      response.results[0].error_message)
                                      : "the answer does not name the broker");
    else
        take_settings(client, &response.results[0], broker);
}

static struct swap_dir
dir_of(const struct describe_log_dirs_response_describe_log_dirs_result *result)
{
    struct swap_dir dir = {.path = kept(result->log_dir)};
    if (result->error_code)
        dir.error = err_name(err_from_wire(result->error_code));
    for (int32_t t = 0; t < result->topics_count; t++) {
        for (int32_t p = 0; p < result->topics[t].partitions_count; p++) {
            bool is_moving = result->topics[t].partitions[p].is_future_key;
            dir.moving += is_moving;
            dir.replicas += !is_moving;
        }
    }
    return dir;
}

static void read_dirs(struct client *client, struct swap_broker *broker)
{
    struct describe_log_dirs_request request;
    struct describe_log_dirs_response response;
    describe_log_dirs_request_init(&request);
    request.topics_count = -1;
    enum err e = client_call(client, broker->id, API_DESCRIBE_LOG_DIRS, &request, &response);
    if (!e && response.error_code)
        e = err_note(err_from_wire(response.error_code), "%s",
                     client_reason(client, response.error_code, SLICE_NULL));
    if (e) {
        broker->unread = cli_kept("its log directories cannot be read: %s", err_sentence(e));
        return;
    }
    broker->dirs =
        arena_new_array(client_arena(client), struct swap_dir, response.results_count + 1);
    for (int32_t i = 0; i < response.results_count; i++)
        broker->dirs[broker->dirs_count++] = dir_of(&response.results[i]);
}

/* --- topics --- */

static void take_topic_settings(const config_result *result, struct swap_topic *topic)
{
    for (int32_t i = 0; i < result->configs_count; i++) {
        const config_entry *entry = &result->configs[i];
        const char *value = slice_is_null(entry->value) ? "" : kept(entry->value);
        if (slice_equal_str(entry->name, "cleanup.policy"))
            topic->is_compacted = strstr(value, "compact") != NULL;
        else if (slice_equal_str(entry->name, "remote.storage.enable"))
            topic->is_tiered = strcmp(value, "true") == 0;
        else if (slice_equal_str(entry->name, "min.insync.replicas"))
            topic->min_isr = (int32_t)strtol(value, NULL, 10);
    }
}

static void read_topic_settings(struct client *client, struct swap_topic *topics, int32_t count)
{
    static struct slice names[] = {SLICE_LITERAL("cleanup.policy"),
                                   SLICE_LITERAL("remote.storage.enable"),
                                   SLICE_LITERAL("min.insync.replicas")};
    config_resource *resources = arena_new_array(client_arena(client), config_resource, count + 1);
    struct describe_configs_response response;
    for (int32_t i = 0; i < count; i++) {
        describe_configs_request_describe_configs_resource_init(&resources[i]);
        resources[i].resource_type = RESOURCE_TOPIC;
        resources[i].resource_name = slice_str(topics[i].name);
        resources[i].configuration_keys = names;
        resources[i].configuration_keys_count = ARRAY_SIZE(names);
    }
    cli_check(ask_configs(client, CLIENT_ANY, resources, count, &response));
    for (int32_t i = 0; i < response.results_count && i < count; i++) {
        if (response.results[i].error_code)
            cli_fail("the settings of topic %s cannot be read: %s", topics[i].name,
                     client_reason(client, response.results[i].error_code,
                                   response.results[i].error_message));
        take_topic_settings(&response.results[i], &topics[i]);
    }
}

static struct swap_partition
partition_of(const struct metadata_response_metadata_response_partition *from)
{
    return (struct swap_partition){
        .id = from->partition_index,
        .leader = from->leader_id,
        .replicas = from->replica_nodes,
        .replicas_count = from->replica_nodes_count,
        .isr = from->isr_nodes,
        .isr_count = from->isr_nodes_count,
    };
}

static void read_topics(struct client *client, const struct metadata_response *metadata,
                        struct swap_cluster *ret)
{
    struct arena *arena = client_arena(client);
    ret->topics = arena_new_array(arena, struct swap_topic, metadata->topics_count + 1);
    for (int32_t t = 0; t < metadata->topics_count; t++) {
        const struct metadata_response_metadata_response_topic *from = &metadata->topics[t];
        struct swap_topic *topic = &ret->topics[ret->topics_count++];
        *topic = (struct swap_topic){.name = kept(from->name), .min_isr = 1};
        topic->partitions =
            arena_new_array(arena, struct swap_partition, from->partitions_count + 1);
        for (int32_t p = 0; p < from->partitions_count; p++)
            topic->partitions[topic->partitions_count++] = partition_of(&from->partitions[p]);
    }
    for (int32_t t = 0; t < ret->topics_count; t += TOPICS_OF_A_REQUEST) {
        int32_t left = ret->topics_count - t;
        read_topic_settings(client, &ret->topics[t],
                            left < TOPICS_OF_A_REQUEST ? left : TOPICS_OF_A_REQUEST);
    }
}

/* --- the cluster --- */

static void read_reassignments(struct client *client, struct swap_cluster *ret)
{
    struct list_partition_reassignments_request request;
    struct list_partition_reassignments_response response;
    list_partition_reassignments_request_init(&request);
    request.timeout_ms = REASSIGNMENTS_LIMIT_MS;
    request.topics_count = -1;
    enum err e = client_call(client, CLIENT_CONTROLLER, API_LIST_PARTITION_REASSIGNMENTS, &request,
                             &response);
    if (!e && response.error_code)
        e = err_note(err_from_wire(response.error_code), "%s",
                     client_reason(client, response.error_code, response.error_message));
    if (e)
        ret->reassignments_unread =
            cli_kept("whether partitions are being reassigned is not known: %s", err_sentence(e));
    for (int32_t t = 0; !e && t < response.topics_count; t++)
        ret->reassignments += response.topics[t].partitions_count;
}

static void add_broker(struct client *client, struct swap_cluster *ret, int32_t id, bool is_live)
{
    for (int32_t i = 0; i < ret->brokers_count; i++) {
        if (ret->brokers[i].id == id)
            return;
    }
    struct swap_broker *grown =
        arena_new_array(client_arena(client), struct swap_broker, ret->brokers_count + 1);
    if (ret->brokers_count)
        memcpy(grown, ret->brokers, (size_t)ret->brokers_count * sizeof *grown);
    grown[ret->brokers_count++] = (struct swap_broker){.id = id, .is_live = is_live};
    ret->brokers = grown;
}

static int compare_ids(const void *a, const void *b)
{
    int32_t x = ((const struct swap_broker *)a)->id, y = ((const struct swap_broker *)b)->id;
    return (x > y) - (x < y);
}

/* Those that live, and those that are named as replicas. */
static void list_brokers(struct client *client, const struct metadata_response *metadata,
                         int32_t only_broker, struct swap_cluster *ret)
{
    for (int32_t i = 0; i < metadata->brokers_count; i++) {
        if (only_broker < 0 || metadata->brokers[i].node_id == only_broker)
            add_broker(client, ret, metadata->brokers[i].node_id, true);
    }
    for (int32_t t = 0; t < ret->topics_count; t++) {
        for (int32_t p = 0; p < ret->topics[t].partitions_count; p++) {
            const struct swap_partition *partition = &ret->topics[t].partitions[p];
            for (int32_t r = 0; r < partition->replicas_count; r++) {
                if (only_broker < 0 || partition->replicas[r] == only_broker)
                    add_broker(client, ret, partition->replicas[r], false);
            }
        }
    }
    if (ret->brokers_count)
        qsort(ret->brokers, (size_t)ret->brokers_count, sizeof *ret->brokers, compare_ids);
}

/* One that does not answer is taken for a JVM broker: then more is warned of, not less. */
static bool ask_is_stoker(struct client *client, int32_t broker_id)
{
    struct slice name = SLICE_LITERAL(SETTING_OF_STOKER);
    struct describe_configs_response response;
    return !ask_broker_configs(client, broker_id, &name, 1, &response) &&
           response.results_count == 1 && response.results[0].configs_count == 1;
}

static const struct swap_broker *find_read(const struct swap_cluster *cluster, int32_t id)
{
    for (int32_t i = 0; i < cluster->brokers_count; i++) {
        if (cluster->brokers[i].id == id && !cluster->brokers[i].unread)
            return &cluster->brokers[i];
    }
    return NULL;
}

static void list_programs(struct client *client, const struct metadata_response *metadata,
                          struct swap_cluster *ret)
{
    int32_t *ids = arena_new_array(client_arena(client), int32_t, metadata->brokers_count + 1);
    for (int32_t i = 0; i < metadata->brokers_count; i++) {
        int32_t id = metadata->brokers[i].node_id;
        const struct swap_broker *broker = find_read(ret, id);
        if (broker ? broker->is_stoker : ask_is_stoker(client, id))
            ids[ret->stokers_count++] = id;
        else
            ret->kafka_count++;
    }
    ret->stokers = ids;
}

void swap_read_brokers(struct client *client, int32_t only_broker, struct swap_cluster *ret)
{
    cli_check(client_refresh(client, NULL, 0));
    const struct metadata_response metadata = *client_metadata(client);
    read_topics(client, &metadata, ret);
    list_brokers(client, &metadata, only_broker, ret);
    if (ret->brokers_count == 0)
        cli_fail(only_broker < 0 ? "the cluster has no brokers" : "there is no such broker");
    for (int32_t i = 0; i < ret->brokers_count; i++) {
        if (!ret->brokers[i].is_live)
            continue;
        read_settings(client, &ret->brokers[i]);
        read_dirs(client, &ret->brokers[i]);
    }
    list_programs(client, &metadata, ret);
    read_reassignments(client, ret);
}
