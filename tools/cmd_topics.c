/* Topics: create, list, describe, add partitions, delete. Options and lines are those of
 * kafka-topics.sh. */
#include <inttypes.h>
#include <jansson.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/wire/api_key.h"
#include "tools/client.h"
#include "tools/commands.h"
#include "wire/create_partitions.h"
#include "wire/create_topics.h"
#include "wire/delete_topics.h"
#include "wire/describe_configs.h"

#define TIMEOUT_MS        30000
#define RESOURCE_TOPIC    2
#define SOURCE_OVERRIDDEN 1 /* DYNAMIC_TOPIC_CONFIG */
#define SOURCE_IS_DEFAULT 5

struct topics_options {
    const char *bootstrap, *command_config, *topic, *assignment;
    int64_t partitions, replication_factor;
    struct texts configs;
    bool create, list, describe, alter, delete_topics, if_exists, if_not_exists, exclude_internal;
    bool under_replicated, unavailable, with_overrides, json;
};

typedef struct metadata_response_metadata_response_topic topic_view;
typedef struct metadata_response_metadata_response_partition partition_view;

/* "0:1,1:2": the replicas of each partition, in order. */
static void read_assignment(struct client *client, const char *text,
                            struct create_topics_request_creatable_topic *topic)
{
    struct texts parts = texts_split(text);
    struct arena *arena = client_arena(client);
    topic->assignments = arena_new_array(
        arena, struct create_topics_request_creatable_replica_assignment, parts.count);
    topic->assignments_count = parts.count;
    for (int32_t i = 0; i < parts.count; i++) {
        struct create_topics_request_creatable_replica_assignment *assignment =
            &topic->assignments[i];
        create_topics_request_creatable_replica_assignment_init(assignment);
        assignment->partition_index = i;
        assignment->broker_ids = arena_new_array(arena, int32_t, strlen(parts.items[i]) + 1);
        for (const char *at = parts.items[i]; *at;) {
            size_t size = strcspn(at, ":");
            int64_t id;
            if (!slice_to_int64(slice_of(at, size), &id))
                cli_fail("--replica-assignment: '%s' is not BROKER:BROKER...", parts.items[i]);
            assignment->broker_ids[assignment->broker_ids_count++] = (int32_t)id;
            at += size + (at[size] == ':');
        }
    }
}

static void read_configs(struct client *client, const struct texts *configs,
                         struct create_topics_request_creatable_topic *topic)
{
    topic->configs =
        arena_new_array(client_arena(client), struct create_topics_request_creatable_topic_config,
                        configs->count + 1);
    topic->configs_count = configs->count;
    for (int32_t i = 0; i < configs->count; i++) {
        int size;
        const char *value = cli_pair(configs->items[i], &size);
        if (!value)
            cli_fail("--config takes NAME=VALUE, not '%s'", configs->items[i]);
        create_topics_request_creatable_topic_config_init(&topic->configs[i]);
        topic->configs[i].name = slice_of(configs->items[i], (size_t)size);
        topic->configs[i].value = slice_str(value);
    }
}

static int create(struct client *client, const struct topics_options *options)
{
    struct create_topics_request_creatable_topic topic;
    struct create_topics_request request;
    struct create_topics_response response;
    create_topics_request_creatable_topic_init(&topic);
    create_topics_request_init(&request);
    if (options->assignment && (options->partitions > 0 || options->replication_factor > 0))
        cli_fail("--replica-assignment stands alone: it says how many partitions and replicas "
                 "there are");
    topic.name = slice_str(options->topic);
    topic.num_partitions = options->assignment ? -1 : (int32_t)options->partitions;
    topic.replication_factor = options->assignment ? -1 : (int16_t)options->replication_factor;
    if (options->assignment)
        read_assignment(client, options->assignment, &topic);
    read_configs(client, &options->configs, &topic);
    request.topics = &topic;
    request.topics_count = 1;
    request.timeout_ms = TIMEOUT_MS;
    if (strpbrk(options->topic, "._"))
        printf(
            "WARNING: Due to limitations in metric names, topics with a period ('.') or underscore "
            "('_') could collide. To avoid issues it is best to use either, but not both.\n");
    int attempts = 0;
    do {
        cli_check(client_call(client, CLIENT_CONTROLLER, API_CREATE_TOPICS, &request, &response));
        if (response.topics_count != 1)
            cli_fail("the answer does not name the topic");
    } while (client_retries(client, response.topics[0].error_code, &attempts));
    int16_t code = response.topics[0].error_code;
    if (code == err_wire_code(ERR_TOPIC_ALREADY_EXISTS) && options->if_not_exists)
        return 0;
    if (code)
        cli_fail("Error while executing topic command : %s",
                 client_reason(client, code, response.topics[0].error_message));
    printf("Created topic %s.\n", options->topic);
    return 0;
}

static int compare_topics(const void *a, const void *b)
{
    return slice_compare(((const topic_view *)a)->name, ((const topic_view *)b)->name);
}

static int compare_partitions(const void *a, const void *b)
{
    return ((const partition_view *)a)->partition_index -
           ((const partition_view *)b)->partition_index;
}

/* The topics that --topic names (a regular expression, or several behind commas), sorted; none is a
 * mistake unless --if-exists was said. */
static int32_t pick_topics(struct client *client, const struct topics_options *options,
                           topic_view ***ret_topics)
{
    regex_t regex;
    OWNED_MEM char *names = mem_strdup(options->topic ? options->topic : ".*");
    for (char *c = names; *c; c++)
        *c = *c == ',' ? '|' : *c;
    OWNED_MEM char *pattern = mem_printf("^(%s)$", names);
    if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB))
        cli_fail("'%s' is no regular expression", options->topic);
    cli_check(client_refresh(client, NULL, 0));
    const struct metadata_response *metadata = client_metadata(client);
    qsort(metadata->topics, (size_t)metadata->topics_count, sizeof(topic_view), compare_topics);
    *ret_topics = arena_new_array(client_arena(client), topic_view *, metadata->topics_count + 1);
    int32_t count = 0;
    for (int32_t i = 0; i < metadata->topics_count; i++) {
        OWNED_MEM char *name = slice_dup(metadata->topics[i].name);
        if (regexec(&regex, name, 0, NULL, 0) == 0 &&
            !(options->exclude_internal && metadata->topics[i].is_internal))
            (*ret_topics)[count++] = &metadata->topics[i];
    }
    regfree(&regex);
    if (count == 0 && options->topic && !options->if_exists && !options->list)
        cli_fail("Error while executing topic command : Topic '%s' does not exist as expected",
                 options->topic);
    return count;
}

static int list(struct client *client, const struct topics_options *options)
{
    topic_view **topics;
    int32_t count = pick_topics(client, options, &topics);
    json_t *names = json_array();
    for (int32_t i = 0; i < count; i++) {
        if (options->json)
            json_array_append_new(
                names, json_stringn((const char *)topics[i]->name.data, topics[i]->name.size));
        else
            printf("%.*s\n", SLICE_ARG(topics[i]->name));
    }
    if (options->json) {
        json_dumpf(names, stdout, JSON_COMPACT);
        printf("\n");
    }
    json_decref(names);
    return 0;
}

static void print_ids(const char *label, const int32_t *ids, int32_t count)
{
    printf("\t%s: ", label);
    for (int32_t i = 0; i < count; i++)
        printf("%s%" PRId32, i ? "," : "", ids[i]);
}

/* What of the topic's settings is not a default. */
static struct describe_configs_response_describe_configs_result *
read_topic_configs(struct client *client, struct slice name)
{
    struct describe_configs_request_describe_configs_resource resource;
    struct describe_configs_request request;
    struct describe_configs_response response;
    describe_configs_request_describe_configs_resource_init(&resource);
    describe_configs_request_init(&request);
    resource.resource_type = RESOURCE_TOPIC;
    resource.resource_name = name;
    resource.configuration_keys_count = -1;
    request.resources = &resource;
    request.resources_count = 1;
    cli_check(client_call(client, CLIENT_ANY, API_DESCRIBE_CONFIGS, &request, &response));
    if (response.results_count != 1)
        cli_fail("the answer does not name the topic");
    if (response.results[0].error_code)
        cli_fail("%s", client_reason(client, response.results[0].error_code,
                                     response.results[0].error_message));
    return &response.results[0];
}

static json_t *partition_json(const partition_view *partition)
{
    json_t *replicas = json_array(), *isr = json_array();
    for (int32_t i = 0; i < partition->replica_nodes_count; i++)
        json_array_append_new(replicas, json_integer(partition->replica_nodes[i]));
    for (int32_t i = 0; i < partition->isr_nodes_count; i++)
        json_array_append_new(isr, json_integer(partition->isr_nodes[i]));
    return json_pack("{s:i,s:i,s:o,s:o}", "partition", partition->partition_index, "leader",
                     partition->leader_id, "replicas", replicas, "isr", isr);
}

static bool is_shown(const struct topics_options *options, const partition_view *partition)
{
    if (options->under_replicated && partition->isr_nodes_count >= partition->replica_nodes_count)
        return false;
    return !options->unavailable || partition->leader_id < 0;
}

static void print_partition(struct slice topic, const partition_view *partition)
{
    printf("\tTopic: %.*s\tPartition: %" PRId32 "\tLeader: ", SLICE_ARG(topic),
           partition->partition_index);
    if (partition->leader_id < 0)
        printf("none");
    else
        printf("%" PRId32, partition->leader_id);
    print_ids("Replicas", partition->replica_nodes, partition->replica_nodes_count);
    print_ids("Isr", partition->isr_nodes, partition->isr_nodes_count);
    printf("\tElr: N/A\tLastKnownElr: N/A\n");
}

static void
print_topic_line(const topic_view *topic,
                 const struct describe_configs_response_describe_configs_result *configs)
{
    char id[UUID_TEXT_SIZE];
    uuid_text(topic->topic_id, id);
    printf("Topic: %.*s\tTopicId: %s\tPartitionCount: %" PRId32 "\tReplicationFactor: %" PRId32
           "\tConfigs: ",
           SLICE_ARG(topic->name), id, topic->partitions_count,
           topic->partitions_count ? topic->partitions[0].replica_nodes_count : 0);
    bool is_first = true;
    for (int32_t i = 0; i < configs->configs_count; i++) {
        if (configs->configs[i].config_source == SOURCE_IS_DEFAULT)
            continue;
        printf("%s%.*s=%.*s", is_first ? "" : ",", SLICE_ARG(configs->configs[i].name),
               SLICE_ARG(configs->configs[i].value));
        is_first = false;
    }
    printf("\n");
}

static bool has_overrides(const struct describe_configs_response_describe_configs_result *configs)
{
    for (int32_t i = 0; i < configs->configs_count; i++) {
        if (configs->configs[i].config_source == SOURCE_OVERRIDDEN)
            return true;
    }
    return false;
}

static json_t *topic_json(const topic_view *topic,
                          const struct describe_configs_response_describe_configs_result *configs)
{
    char id[UUID_TEXT_SIZE];
    json_t *partitions = json_array(), *settings = json_object();
    uuid_text(topic->topic_id, id);
    for (int32_t p = 0; p < topic->partitions_count; p++)
        json_array_append_new(partitions, partition_json(&topic->partitions[p]));
    for (int32_t i = 0; i < configs->configs_count; i++) {
        OWNED_MEM char *name = slice_dup(configs->configs[i].name);
        if (configs->configs[i].config_source != SOURCE_IS_DEFAULT)
            json_object_set_new(settings, name,
                                json_stringn((const char *)configs->configs[i].value.data,
                                             configs->configs[i].value.size));
    }
    return json_pack("{s:s%,s:s,s:o,s:o}", "topic", topic->name.data, topic->name.size, "id", id,
                     "partitions", partitions, "configs", settings);
}

static int describe(struct client *client, const struct topics_options *options)
{
    topic_view **topics;
    int32_t count = pick_topics(client, options, &topics);
    bool only_some = options->under_replicated || options->unavailable;
    json_t *all = json_array();
    for (int32_t i = 0; i < count; i++) {
        topic_view *topic = topics[i];
        const struct describe_configs_response_describe_configs_result *configs =
            read_topic_configs(client, topic->name);
        if (options->with_overrides && !has_overrides(configs))
            continue;
        qsort(topic->partitions, (size_t)topic->partitions_count, sizeof(partition_view),
              compare_partitions);
        if (options->json) {
            json_array_append_new(all, topic_json(topic, configs));
            continue;
        }
        if (!only_some)
            print_topic_line(topic, configs);
        for (int32_t p = 0; !options->with_overrides && p < topic->partitions_count; p++) {
            if (is_shown(options, &topic->partitions[p]))
                print_partition(topic->name, &topic->partitions[p]);
        }
    }
    if (options->json) {
        json_dumpf(all, stdout, JSON_COMPACT);
        printf("\n");
    }
    json_decref(all);
    return 0;
}

static int alter(struct client *client, const struct topics_options *options)
{
    topic_view **topics;
    int32_t count = pick_topics(client, options, &topics);
    if (options->partitions < 1)
        cli_fail("--alter needs --partitions");
    for (int32_t i = 0; i < count; i++) {
        struct create_partitions_request_create_partitions_topic topic;
        struct create_partitions_request request;
        struct create_partitions_response response;
        create_partitions_request_create_partitions_topic_init(&topic);
        create_partitions_request_init(&request);
        topic.name = topics[i]->name;
        topic.count = (int32_t)options->partitions;
        topic.assignments_count = -1;
        request.topics = &topic;
        request.topics_count = 1;
        request.timeout_ms = TIMEOUT_MS;
        int attempts = 0;
        do {
            cli_check(
                client_call(client, CLIENT_CONTROLLER, API_CREATE_PARTITIONS, &request, &response));
        } while (response.results_count == 1 &&
                 client_retries(client, response.results[0].error_code, &attempts));
        if (response.results_count != 1 || response.results[0].error_code)
            cli_fail("Error while executing topic command : %s",
                     response.results_count == 1
                         ? client_reason(client, response.results[0].error_code,
                                         response.results[0].error_message)
                         : "the answer does not name the topic");
    }
    return 0;
}

static int delete_topics(struct client *client, const struct topics_options *options)
{
    topic_view **topics;
    int16_t api_version;
    int32_t count = pick_topics(client, options, &topics);
    cli_check(client_version(client, CLIENT_CONTROLLER, API_DELETE_TOPICS, &api_version));
    for (int32_t i = 0; i < count; i++) {
        struct delete_topics_request_delete_topic_state state;
        struct delete_topics_request request;
        struct delete_topics_response response;
        delete_topics_request_delete_topic_state_init(&state);
        delete_topics_request_init(&request);
        state.name = topics[i]->name;
        if (api_version >= 6) {
            request.topics = &state;
            request.topics_count = 1;
        } else {
            request.topic_names = &state.name;
            request.topic_names_count = 1;
        }
        request.timeout_ms = TIMEOUT_MS;
        int attempts = 0;
        do {
            cli_check(
                client_call(client, CLIENT_CONTROLLER, API_DELETE_TOPICS, &request, &response));
        } while (response.responses_count == 1 &&
                 client_retries(client, response.responses[0].error_code, &attempts));
        if (response.responses_count != 1 || response.responses[0].error_code)
            cli_fail("Error while executing topic command : %s",
                     response.responses_count == 1
                         ? client_reason(client, response.responses[0].error_code,
                                         response.responses[0].error_message)
                         : "the answer does not name the topic");
    }
    return 0;
}

static void check_options(const struct topics_options *options)
{
    int actions = options->create + options->list + options->describe + options->alter +
                  options->delete_topics;
    if (actions != 1)
        cli_fail("name exactly one of --create, --list, --describe, --alter and --delete");
    if (!options->bootstrap)
        cli_fail("--bootstrap-server is missing");
    if (!options->topic && !options->list && !options->describe)
        cli_fail("--topic is missing");
}

int cmd_topics(int argc, char **argv)
{
    struct topics_options o = {.partitions = -1, .replication_factor = -1};
    const struct option_row rows[] = {
        {"--bootstrap-server", OPTION_TEXT, &o.bootstrap, "HOST:PORT,...", "brokers to begin with"},
        {"--command-config", OPTION_TEXT, &o.command_config, "FILE", "settings of the client"},
        {"--create", OPTION_FLAG, &o.create, NULL, "create a topic"},
        {"--list", OPTION_FLAG, &o.list, NULL, "print the names of topics"},
        {"--describe", OPTION_FLAG, &o.describe, NULL, "print topics and their partitions"},
        {"--alter", OPTION_FLAG, &o.alter, NULL, "give a topic more partitions"},
        {"--delete", OPTION_FLAG, &o.delete_topics, NULL, "delete topics"},
        {"--topic", OPTION_TEXT, &o.topic, "NAME",
         "the topic; a regular expression but for --create"},
        {"--partitions", OPTION_INT, &o.partitions, "COUNT",
         "partitions; the broker's default without it"},
        {"--replication-factor", OPTION_INT, &o.replication_factor, "COUNT",
         "replicas of a partition"},
        {"--replica-assignment", OPTION_TEXT, &o.assignment, "1:2,2:3",
         "brokers of each partition"},
        {"--config", OPTION_MANY, &o.configs, "NAME=VALUE", "a setting of the new topic"},
        {"--if-exists", OPTION_FLAG, &o.if_exists, NULL, "no error where the topic is not there"},
        {"--if-not-exists", OPTION_FLAG, &o.if_not_exists, NULL,
         "no error where the topic is there"},
        {"--exclude-internal", OPTION_FLAG, &o.exclude_internal, NULL, "leave out internal topics"},
        {"--under-replicated-partitions", OPTION_FLAG, &o.under_replicated, NULL, "only these"},
        {"--unavailable-partitions", OPTION_FLAG, &o.unavailable, NULL,
         "only those without leader"},
        {"--topics-with-overrides", OPTION_FLAG, &o.with_overrides, NULL,
         "only topics with settings"},
        {"--json", OPTION_FLAG, &o.json, NULL, "print JSON (--list, --describe)"},
    };
    cli_parse("topics", rows, ARRAY_SIZE(rows), argc, argv, NULL);
    check_options(&o);
    OWNED(client) struct client *client = NULL;
    cli_check(client_open(o.bootstrap, o.command_config, &client));
    if (o.create)
        return create(client, &o);
    if (o.list)
        return list(client, &o);
    if (o.describe)
        return describe(client, &o);
    return o.alter ? alter(client, &o) : delete_topics(client, &o);
}
