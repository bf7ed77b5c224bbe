/* Topics and their partitions in the lines of kafka-topics.sh --describe. Three things are read,
 * each with one request for all topics: metadata, settings, and reassignments where the cluster
 * serves them. */
#include "tools/topics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/map.h"
#include "broker/wire/api_key.h"
#include "wire/describe_configs.h"
#include "wire/list_partition_reassignments.h"

#define TIMEOUT_MS        30000
#define RESOURCE_TOPIC    2
#define SOURCE_OVERRIDDEN 1 /* DYNAMIC_TOPIC_CONFIG */
#define SOURCE_IS_DEFAULT 5

typedef struct describe_configs_response_describe_configs_result settings_view;
typedef struct list_partition_reassignments_response_ongoing_partition_reassignment move_view;

struct description {
    struct client *client;
    const struct topics_options *options;
    struct describe_configs_response settings;
    struct list_partition_reassignments_response moves; /* empty where they are not served */
};

static void read_settings(struct description *description, topic_view *const *topics, int32_t count)
{
    struct arena *arena = client_arena(description->client);
    struct describe_configs_request request;
    describe_configs_request_init(&request);
    request.resources = arena_new_array(
        arena, struct describe_configs_request_describe_configs_resource, count + 1);
    request.resources_count = count;
    for (int32_t i = 0; i < count; i++) {
        describe_configs_request_describe_configs_resource_init(&request.resources[i]);
        request.resources[i].resource_type = RESOURCE_TOPIC;
        request.resources[i].resource_name = topics[i]->name;
        request.resources[i].configuration_keys_count = -1;
    }
    cli_check(client_call(description->client, CLIENT_ANY, API_DESCRIBE_CONFIGS, &request,
                          &description->settings));
}

/* The answer's order is the broker's own. */
static const settings_view *find_settings(const struct description *description,
                                          const struct map *by_name, const topic_view *topic)
{
    const settings_view *found = map_get(by_name, topic->name);
    if (!found)
        cli_fail("the answer does not name the topic %.*s", SLICE_ARG(topic->name));
    if (found->error_code)
        cli_fail("%.*s: %s", SLICE_ARG(topic->name),
                 client_reason(description->client, found->error_code, found->error_message));
    return found;
}

/* A cluster that does not serve them (or not to us) has none to show. */
static void read_moves(struct description *description)
{
    struct list_partition_reassignments_request request;
    int16_t api_version;
    list_partition_reassignments_request_init(&request);
    request.timeout_ms = TIMEOUT_MS;
    request.topics_count = -1;
    cli_check(client_version(description->client, CLIENT_CONTROLLER,
                             API_LIST_PARTITION_REASSIGNMENTS, &api_version));
    if (api_version >= 0)
        cli_check(client_call(description->client, CLIENT_CONTROLLER,
                              API_LIST_PARTITION_REASSIGNMENTS, &request, &description->moves));
}

/* NULL: the partition stays where it is. */
static const move_view *find_move(const struct description *description, struct slice topic,
                                  int32_t partition)
{
    for (int32_t t = 0; t < description->moves.topics_count; t++) {
        if (!slice_equal(description->moves.topics[t].name, topic))
            continue;
        for (int32_t p = 0; p < description->moves.topics[t].partitions_count; p++) {
            if (description->moves.topics[t].partitions[p].partition_index == partition)
                return &description->moves.topics[t].partitions[p];
        }
    }
    return NULL;
}

/* Replicas that are only being added do not count yet. */
static int32_t replication_factor(const partition_view *partition, const move_view *move)
{
    return partition->replica_nodes_count - (move ? move->adding_replicas_count : 0);
}

static int64_t min_isr_of(const settings_view *settings)
{
    int64_t min_isr = 1;
    for (int32_t i = 0; i < settings->configs_count; i++) {
        if (slice_equal_str(settings->configs[i].name, "min.insync.replicas") &&
            !slice_to_int64(settings->configs[i].value, &min_isr))
            cli_fail("min.insync.replicas=%.*s is no number",
                     SLICE_ARG(settings->configs[i].value));
    }
    return min_isr;
}

static bool has_live_leader(const struct client *client, const partition_view *partition)
{
    const struct metadata_response *metadata = client_metadata(client);
    for (int32_t i = 0; i < metadata->brokers_count; i++) {
        if (metadata->brokers[i].node_id == partition->leader_id)
            return true;
    }
    return false;
}

static bool shows_only_some(const struct topics_options *o)
{
    return o->under_replicated || o->unavailable || o->under_min_isr || o->at_min_isr;
}

static bool is_shown(const struct description *description, const partition_view *partition,
                     const move_view *move, int64_t min_isr)
{
    const struct topics_options *o = description->options;
    if (!shows_only_some(o))
        return true;
    bool has_leader = partition->leader_id >= 0;
    return (o->under_replicated &&
            partition->isr_nodes_count < replication_factor(partition, move)) ||
           (o->unavailable && !has_live_leader(description->client, partition)) ||
           (o->under_min_isr && (!has_leader || partition->isr_nodes_count < min_isr)) ||
           (o->at_min_isr && partition->isr_nodes_count == min_isr);
}

static void print_ids(const char *label, const int32_t *ids, int32_t count)
{
    printf("\t%s: ", label);
    for (int32_t i = 0; i < count; i++)
        printf("%s%" PRId32, i ? "," : "", ids[i]);
}

static void print_partition(struct slice topic, const partition_view *partition,
                            const move_view *move)
{
    printf("\tTopic: %.*s\tPartition: %" PRId32 "\tLeader: ", SLICE_ARG(topic),
           partition->partition_index);
    if (partition->leader_id < 0)
        printf("none");
    else
        printf("%" PRId32, partition->leader_id);
    print_ids("Replicas", partition->replica_nodes, partition->replica_nodes_count);
    print_ids("Isr", partition->isr_nodes, partition->isr_nodes_count);
    if (move) {
        print_ids("Adding Replicas", move->adding_replicas, move->adding_replicas_count);
        print_ids("Removing Replicas", move->removing_replicas, move->removing_replicas_count);
    }
    printf("\tElr: N/A\tLastKnownElr: N/A\n");
}

static void print_topic_line(const struct description *description, const topic_view *topic,
                             const settings_view *settings)
{
    char id[UUID_TEXT_SIZE];
    const partition_view *first = topic->partitions_count ? &topic->partitions[0] : NULL;
    uuid_text(topic->topic_id, id);
    printf("Topic: %.*s\tTopicId: %s\tPartitionCount: %" PRId32 "\tReplicationFactor: %" PRId32
           "\tConfigs: ",
           SLICE_ARG(topic->name), id, topic->partitions_count,
           first ? replication_factor(first,
                                      find_move(description, topic->name, first->partition_index))
                 : 0);
    bool is_first = true;
    for (int32_t i = 0; i < settings->configs_count; i++) {
        if (settings->configs[i].config_source == SOURCE_IS_DEFAULT)
            continue;
        printf("%s%.*s=%.*s", is_first ? "" : ",", SLICE_ARG(settings->configs[i].name),
               SLICE_ARG(settings->configs[i].value));
        is_first = false;
    }
    printf("\n");
}

static bool has_overrides(const settings_view *settings)
{
    for (int32_t i = 0; i < settings->configs_count; i++) {
        if (settings->configs[i].config_source == SOURCE_OVERRIDDEN)
            return true;
    }
    return false;
}

static json_t *ids_json(const int32_t *ids, int32_t count)
{
    json_t *list = json_array();
    for (int32_t i = 0; i < count; i++)
        json_array_append_new(list, json_integer(ids[i]));
    return list;
}

static json_t *partition_json(const partition_view *partition, const move_view *move)
{
    json_t *json = json_pack("{s:i,s:i,s:o,s:o}", "partition", partition->partition_index, "leader",
                             partition->leader_id, "replicas",
                             ids_json(partition->replica_nodes, partition->replica_nodes_count),
                             "isr", ids_json(partition->isr_nodes, partition->isr_nodes_count));
    if (move) {
        json_object_set_new(json, "adding",
                            ids_json(move->adding_replicas, move->adding_replicas_count));
        json_object_set_new(json, "removing",
                            ids_json(move->removing_replicas, move->removing_replicas_count));
    }
    return json;
}

static json_t *settings_json(const settings_view *settings)
{
    json_t *json = json_object();
    for (int32_t i = 0; i < settings->configs_count; i++) {
        OWNED_MEM char *name = slice_dup(settings->configs[i].name);
        if (settings->configs[i].config_source != SOURCE_IS_DEFAULT)
            json_object_set_new(json, name, cli_json_text(settings->configs[i].value));
    }
    return json;
}

static int compare_partitions(const void *a, const void *b)
{
    return ((const partition_view *)a)->partition_index -
           ((const partition_view *)b)->partition_index;
}

/* One topic; into `all` where that is not NULL. */
static void show(const struct description *description, const topic_view *topic,
                 const settings_view *settings, json_t *all)
{
    bool has_partitions = !description->options->with_overrides;
    int64_t min_isr = min_isr_of(settings);
    json_t *partitions = all ? json_array() : NULL;
    qsort(topic->partitions, (size_t)topic->partitions_count, sizeof(partition_view),
          compare_partitions);
    if (!all && !shows_only_some(description->options))
        print_topic_line(description, topic, settings);
    for (int32_t p = 0; has_partitions && p < topic->partitions_count; p++) {
        const partition_view *partition = &topic->partitions[p];
        const move_view *move = find_move(description, topic->name, partition->partition_index);
        if (!is_shown(description, partition, move, min_isr))
            continue;
        if (all)
            json_array_append_new(partitions, partition_json(partition, move));
        else
            print_partition(topic->name, partition, move);
    }
    if (!all)
        return;
    char id[UUID_TEXT_SIZE];
    uuid_text(topic->topic_id, id);
    if (shows_only_some(description->options) && json_array_size(partitions) == 0)
        json_decref(partitions);
    else
        json_array_append_new(all, json_pack("{s:o,s:s,s:o,s:o}", "topic",
                                             cli_json_text(topic->name), "id", id, "partitions",
                                             partitions, "configs", settings_json(settings)));
}

int topics_describe(struct client *client, const struct topics_options *options)
{
    struct description description = {.client = client, .options = options};
    struct map by_name = {0};
    topic_view **topics;
    int32_t count = topics_pick(client, options, &topics);
    json_t *all = options->json ? json_array() : NULL;
    if (count > 0) {
        read_settings(&description, topics, count);
        read_moves(&description);
    }
    for (int32_t i = 0; i < description.settings.results_count; i++)
        map_put(&by_name, description.settings.results[i].resource_name,
                &description.settings.results[i]);
    for (int32_t i = 0; i < count; i++) {
        const settings_view *settings = find_settings(&description, &by_name, topics[i]);
        if (!options->with_overrides || has_overrides(settings))
            show(&description, topics[i], settings, all);
    }
    map_done(&by_name);
    if (all)
        cli_json_print(all);
    return 0;
}
