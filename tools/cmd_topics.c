/* Topics: create, list, describe, add partitions, delete. Options and lines are those of
 * kafka-topics.sh; what it says of a mistake is said here in the same words. */
#include <inttypes.h>
#include <jansson.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/wire/api_key.h"
#include "tools/commands.h"
#include "tools/topics.h"
#include "wire/create_partitions.h"
#include "wire/create_topics.h"
#include "wire/delete_topics.h"

#define TIMEOUT_MS     30000
#define REPLICAS_MAX   INT16_MAX
#define COMMAND_FAILED "Error while executing topic command : "

/* "0:1,1:2" is the replicas of each partition, in order: reads those of one. */
static int32_t read_replicas(struct client *client, const char *text, int32_t **ret_ids)
{
    int32_t count = 0;
    *ret_ids = arena_new_array(client_arena(client), int32_t, strlen(text) + 1);
    for (const char *at = text; *at;) {
        size_t size = strcspn(at, ":");
        int64_t id;
        if (!slice_to_int64(slice_of(at, size), &id))
            cli_fail("--replica-assignment: '%s' is not BROKER:BROKER...", text);
        for (int32_t i = 0; i < count; i++) {
            if ((*ret_ids)[i] == id)
                cli_fail(COMMAND_FAILED
                         "Partition replica lists may not contain duplicate entries: %" PRId64,
                         id);
        }
        (*ret_ids)[count++] = (int32_t)id;
        at += size + (at[size] == ':');
    }
    return count;
}

static void read_assignment(struct client *client, const char *text,
                            struct create_topics_request_creatable_topic *topic)
{
    struct texts parts = texts_split(text);
    topic->assignments =
        arena_new_array(client_arena(client),
                        struct create_topics_request_creatable_replica_assignment, parts.count + 1);
    topic->assignments_count = parts.count;
    for (int32_t i = 0; i < parts.count; i++) {
        struct create_topics_request_creatable_replica_assignment *assignment =
            &topic->assignments[i];
        create_topics_request_creatable_replica_assignment_init(assignment);
        assignment->partition_index = i;
        assignment->broker_ids_count =
            read_replicas(client, parts.items[i], &assignment->broker_ids);
        if (assignment->broker_ids_count != topic->assignments[0].broker_ids_count)
            cli_fail(COMMAND_FAILED "Partition %" PRId32
                                    " has different replication factor: %" PRId32,
                     i, assignment->broker_ids_count);
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
            cli_fail(COMMAND_FAILED "requirement failed: Invalid topic config: all configs to be "
                                    "added must be in the format \"key=val\".");
        create_topics_request_creatable_topic_config_init(&topic->configs[i]);
        topic->configs[i].name = slice_of(configs->items[i], (size_t)size);
        topic->configs[i].value = slice_str(value);
    }
}

/* What the answer tells of the new topic; old brokers do not say. */
static void print_created(const struct topics_options *options,
                          const struct create_topics_response_creatable_topic_result *made)
{
    if (!options->json) {
        printf("Created topic %s.\n", options->topic);
        return;
    }
    char id[UUID_TEXT_SIZE];
    uuid_text(made->topic_id, id);
    cli_json_print(json_pack("{s:s,s:s,s:i,s:i,s:b}", "topic", options->topic, "id", id,
                             "partitions", made->num_partitions, "replication_factor",
                             made->replication_factor, "created", true));
}

static int create(struct client *client, const struct topics_options *options)
{
    struct create_topics_request_creatable_topic topic;
    struct create_topics_request request;
    struct create_topics_response response;
    create_topics_request_creatable_topic_init(&topic);
    create_topics_request_init(&request);
    topic.name = slice_str(options->topic);
    topic.num_partitions = options->assignment ? -1 : (int32_t)options->partitions;
    topic.replication_factor = options->assignment ? -1 : (int16_t)options->replication_factor;
    if (options->assignment)
        read_assignment(client, options->assignment, &topic);
    read_configs(client, &options->configs, &topic);
    request.topics = &topic;
    request.topics_count = 1;
    request.timeout_ms = TIMEOUT_MS;
    if (strpbrk(options->topic, "._") && !options->json)
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
    if (code == err_wire_code(ERR_TOPIC_ALREADY_EXISTS) && options->if_not_exists) {
        if (options->json)
            cli_json_print(json_pack("{s:s,s:b}", "topic", options->topic, "created", false));
        return 0;
    }
    if (code)
        cli_fail(COMMAND_FAILED "%s",
                 client_reason(client, code, response.topics[0].error_message));
    print_created(options, &response.topics[0]);
    return 0;
}

static int compare_topics(const void *a, const void *b)
{
    return slice_compare(((const topic_view *)a)->name, ((const topic_view *)b)->name);
}

/* Does --topic-id, or else the expression, name this topic? */
static bool is_picked(const struct topics_options *options, const regex_t *regex, struct uuid id,
                      const topic_view *topic)
{
    if (options->topic_id)
        return uuid_equal(id, topic->topic_id);
    OWNED_MEM char *name = slice_dup(topic->name);
    return regexec(regex, name, 0, NULL, 0) == 0 &&
           !(options->exclude_internal && topic->is_internal);
}

int32_t topics_pick(struct client *client, const struct topics_options *options,
                    topic_view ***ret_topics)
{
    struct uuid id = UUID_ZERO;
    regex_t regex;
    if (options->topic_id && !uuid_parse(slice_str(options->topic_id), &id))
        cli_fail(COMMAND_FAILED "'%s' is no topic id: 16 bytes in base64", options->topic_id);
    cli_topic_regex(options->topic, &regex);
    cli_check(client_refresh(client, NULL, 0));
    const struct metadata_response *metadata = client_metadata(client);
    qsort(metadata->topics, (size_t)metadata->topics_count, sizeof(topic_view), compare_topics);
    *ret_topics = arena_new_array(client_arena(client), topic_view *, metadata->topics_count + 1);
    int32_t count = 0;
    for (int32_t i = 0; i < metadata->topics_count; i++) {
        if (is_picked(options, &regex, id, &metadata->topics[i]))
            (*ret_topics)[count++] = &metadata->topics[i];
    }
    regfree(&regex);
    if (count == 0 && !options->if_exists && !options->list) {
        if (options->topic_id)
            cli_fail(COMMAND_FAILED "TopicId '%s' does not exist as expected", options->topic_id);
        if (options->topic)
            cli_fail(COMMAND_FAILED "Topic '%s' does not exist as expected", options->topic);
    }
    return count;
}

static int list(struct client *client, const struct topics_options *options)
{
    topic_view **topics;
    int32_t count = topics_pick(client, options, &topics);
    json_t *names = json_array();
    for (int32_t i = 0; i < count; i++) {
        if (options->json)
            json_array_append_new(names, cli_json_text(topics[i]->name));
        else
            printf("%.*s\n", SLICE_ARG(topics[i]->name));
    }
    if (options->json)
        cli_json_print(names);
    else
        json_decref(names);
    if (count == 0 && !options->json)
        printf("\n"); /* as kafka-topics.sh does */
    return 0;
}

/* The replicas of the new partitions: --replica-assignment tells those of the old ones too. */
static void read_new_assignment(struct client *client, const struct topics_options *options,
                                int32_t existing,
                                struct create_partitions_request_create_partitions_topic *topic)
{
    struct texts parts = texts_split(options->assignment);
    topic->assignments_count = parts.count > existing ? parts.count - existing : 0;
    topic->assignments = arena_new_array(
        client_arena(client), struct create_partitions_request_create_partitions_assignment,
        topic->assignments_count + 1);
    for (int32_t i = 0; i < topic->assignments_count; i++) {
        create_partitions_request_create_partitions_assignment_init(&topic->assignments[i]);
        topic->assignments[i].broker_ids_count =
            read_replicas(client, parts.items[existing + i], &topic->assignments[i].broker_ids);
    }
}

/* One topic after another has it when the command returns; the first that refuses ends it. */
static void print_changed(const struct topics_options *options, topic_view *const *topics,
                          int32_t count, const char *key, json_int_t value)
{
    if (!options->json)
        return;
    json_t *all = json_array();
    for (int32_t i = 0; i < count; i++)
        json_array_append_new(
            all, json_pack("{s:o,s:I}", "topic", cli_json_text(topics[i]->name), key, value));
    cli_json_print(all);
}

static void add_partitions(struct client *client, const struct topics_options *options,
                           const topic_view *picked)
{
    struct create_partitions_request_create_partitions_topic topic;
    struct create_partitions_request request;
    struct create_partitions_response response;
    int attempts = 0;
    create_partitions_request_create_partitions_topic_init(&topic);
    create_partitions_request_init(&request);
    topic.name = picked->name;
    topic.count = (int32_t)options->partitions;
    topic.assignments_count = -1;
    if (options->assignment)
        read_new_assignment(client, options, picked->partitions_count, &topic);
    request.topics = &topic;
    request.topics_count = 1;
    request.timeout_ms = TIMEOUT_MS;
    do {
        cli_check(
            client_call(client, CLIENT_CONTROLLER, API_CREATE_PARTITIONS, &request, &response));
        if (response.results_count != 1)
            cli_fail("the answer does not name the topic");
    } while (client_retries(client, response.results[0].error_code, &attempts));
    if (response.results[0].error_code)
        cli_fail(COMMAND_FAILED "%s", client_reason(client, response.results[0].error_code,
                                                    response.results[0].error_message));
}

static int alter(struct client *client, const struct topics_options *options)
{
    topic_view **topics;
    int32_t count = topics_pick(client, options, &topics);
    for (int32_t i = 0; i < count; i++)
        add_partitions(client, options, topics[i]);
    print_changed(options, topics, count, "partitions", options->partitions);
    return 0;
}

static void delete_topic(struct client *client, const topic_view *topic, int16_t api_version)
{
    struct delete_topics_request_delete_topic_state state;
    struct delete_topics_request request;
    struct delete_topics_response response;
    int attempts = 0;
    delete_topics_request_delete_topic_state_init(&state);
    delete_topics_request_init(&request);
    state.name = topic->name;
    if (api_version >= 6) {
        request.topics = &state;
        request.topics_count = 1;
    } else {
        request.topic_names = &state.name;
        request.topic_names_count = 1;
    }
    request.timeout_ms = TIMEOUT_MS;
    do {
        cli_check(client_call(client, CLIENT_CONTROLLER, API_DELETE_TOPICS, &request, &response));
        if (response.responses_count != 1)
            cli_fail("the answer does not name the topic");
    } while (client_retries(client, response.responses[0].error_code, &attempts));
    if (response.responses[0].error_code)
        cli_fail(COMMAND_FAILED "%s", client_reason(client, response.responses[0].error_code,
                                                    response.responses[0].error_message));
}

static int delete_topics(struct client *client, const struct topics_options *options)
{
    topic_view **topics;
    int16_t api_version;
    int32_t count = topics_pick(client, options, &topics);
    cli_check(client_version(client, CLIENT_CONTROLLER, API_DELETE_TOPICS, &api_version));
    for (int32_t i = 0; i < count; i++)
        delete_topic(client, topics[i], api_version);
    print_changed(options, topics, count, "deleted", 1);
    return 0;
}

static void check_create(const struct topics_options *o)
{
    if (o->assignment && o->partitions != -1)
        cli_fail("Option \"[replica-assignment]\" can't be used with option \"[partitions]\"");
    if (o->assignment && o->replication_factor != -1)
        cli_fail(
            "Option \"[replica-assignment]\" can't be used with option \"[replication-factor]\"");
    if (o->partitions != -1 && o->partitions < 1)
        cli_fail(COMMAND_FAILED "The partitions must be greater than 0");
    if (o->replication_factor != -1 &&
        (o->replication_factor < 1 || o->replication_factor > REPLICAS_MAX))
        cli_fail(COMMAND_FAILED "The replication factor must be between 1 and %d inclusive",
                 REPLICAS_MAX);
}

static void check_alter(const struct topics_options *o)
{
    if (o->configs.count > 0)
        cli_fail("Option combination \"[[bootstrap-server], [config]]\" can't be used with option "
                 "\"[alter]\": stoker configs changes settings");
    if (o->partitions == -1)
        cli_fail("Missing required argument \"[partitions]\"");
}

/* What some actions take, and others would leave unnoticed. */
static void check_combinations(const struct topics_options *o)
{
    bool shows = o->list || o->describe, makes = o->create || o->alter;
    const char *action = o->create     ? "create"
                         : o->list     ? "list"
                         : o->describe ? "describe"
                         : o->alter    ? "alter"
                                       : "delete";
    const struct {
        const char *name;
        bool is_given, is_taken;
    } rules[] = {
        {"config", o->configs.count > 0, makes}, /* check_alter() has a word on it */
        {"delete-config", o->delete_config != NULL, o->alter},
        {"partitions", o->partitions != -1, makes},
        {"replication-factor", o->replication_factor != -1, o->create},
        {"replica-assignment", o->assignment != NULL, makes},
        {"under-replicated-partitions", o->under_replicated, o->describe},
        {"unavailable-partitions", o->unavailable, o->describe},
        {"under-min-isr-partitions", o->under_min_isr, o->describe},
        {"at-min-isr-partitions", o->at_min_isr, o->describe},
        {"topics-with-overrides", o->with_overrides, o->describe},
        {"if-exists", o->if_exists, o->alter || o->delete_topics || o->describe},
        {"if-not-exists", o->if_not_exists, o->create},
        {"exclude-internal", o->exclude_internal, shows},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
        if (rules[i].is_given && !rules[i].is_taken)
            cli_fail("Option \"[%s]\" can't be used with option \"[%s]\"", rules[i].name, action);
}

static void check_options(const struct topics_options *o)
{
    if (o->create + o->list + o->describe + o->alter + o->delete_topics != 1)
        cli_fail("Command must include exactly one action: --list, --describe, --create, --alter "
                 "or --delete");
    if (!o->bootstrap)
        cli_fail("Missing required argument \"[bootstrap-server]\"");
    if (!o->topic && !o->list && !o->describe)
        cli_fail("Missing required argument \"[topic]\"");
    if (o->topic_id && !o->describe)
        cli_fail("--topic-id goes with --describe");
    if (o->create)
        check_create(o);
    if (o->alter)
        check_alter(o);
    check_combinations(o);
    if (o->delete_config)
        cli_fail("--delete-config changes nothing here: stoker configs --delete-config does");
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
        {"--partition-size-limit-per-response", OPTION_INT, &o.response_partition_limit, "COUNT",
         "taken for kafka-topics.sh's sake; answers are read whole"},
        {"--config", OPTION_MANY, &o.configs, "NAME=VALUE", "a setting of the new topic"},
        {"--if-exists", OPTION_FLAG, &o.if_exists, NULL, "no error where the topic is not there"},
        {"--if-not-exists", OPTION_FLAG, &o.if_not_exists, NULL,
         "no error where the topic is there"},
        {"--delete-config", OPTION_TEXT, &o.delete_config, "NAME",
         "refused, as by kafka-topics.sh: stoker configs removes settings"},
        {"--topic-id", OPTION_TEXT, &o.topic_id, "ID", "with --describe: the topic of this id"},
        {"--exclude-internal", OPTION_FLAG, &o.exclude_internal, NULL, "leave out internal topics"},
        {"--under-replicated-partitions", OPTION_FLAG, &o.under_replicated, NULL,
         "only those whose ISR lacks a replica"},
        {"--under-min-isr-partitions", OPTION_FLAG, &o.under_min_isr, NULL,
         "only those whose ISR is below min.insync.replicas"},
        {"--at-min-isr-partitions", OPTION_FLAG, &o.at_min_isr, NULL,
         "only those whose ISR is just min.insync.replicas"},
        {"--unavailable-partitions", OPTION_FLAG, &o.unavailable, NULL,
         "only those without leader"},
        {"--topics-with-overrides", OPTION_FLAG, &o.with_overrides, NULL,
         "only topics with settings"},
        {"--json", OPTION_FLAG, &o.json, NULL, "print JSON"},
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
        return topics_describe(client, &o);
    return o.alter ? alter(client, &o) : delete_topics(client, &o);
}
