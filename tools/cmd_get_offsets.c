/* The offsets of partitions, `topic:partition:offset` a line, as kafka-get-offsets.sh prints them.
 */
#include <inttypes.h>
#include <jansson.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/wire/api_key.h"
#include "tools/client.h"
#include "tools/commands.h"
#include "wire/list_offsets.h"

static int64_t timestamp_of(const char *text)
{
    static const struct {
        const char *word;
        int64_t timestamp;
    } words[] = {{"latest", -1},
                 {"earliest", -2},
                 {"max-timestamp", -3},
                 {"earliest-local", -4},
                 {"latest-tiered", -5}};
    int64_t timestamp;
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (strcmp(words[i].word, text) == 0)
            return words[i].timestamp;
    }
    if (!slice_to_int64(slice_str(text), &timestamp))
        cli_fail("Malformed time argument %s. Please use -1 or latest / -2 or earliest / -3 or "
                 "max-timestamp / -4 or earliest-local / -5 or latest-tiered, or a specified long "
                 "format timestamp",
                 text);
    return timestamp;
}

/* One line, or an entry of `all` where that is not NULL. An offset that nobody knows (-1) has
 * no line, and is null in JSON; a partition that cannot be asked is named on standard error. */
static void print_offset(struct client *client, struct slice topic, int32_t partition,
                         int32_t leader_id, int64_t timestamp, json_t *all)
{
    struct list_offsets_request_list_offsets_partition part;
    struct list_offsets_request_list_offsets_topic wanted;
    struct list_offsets_request request;
    struct list_offsets_response response;
    list_offsets_request_list_offsets_partition_init(&part);
    list_offsets_request_list_offsets_topic_init(&wanted);
    list_offsets_request_init(&request);
    part.partition_index = partition;
    part.timestamp = timestamp;
    wanted.name = topic;
    wanted.partitions = &part;
    wanted.partitions_count = 1;
    request.replica_id = -1;
    request.topics = &wanted;
    request.topics_count = 1;
    cli_check(client_call(client, leader_id, API_LIST_OFFSETS, &request, &response));
    if (response.topics_count != 1 || response.topics[0].partitions_count != 1)
        cli_fail("broker %" PRId32 " answered for other partitions", leader_id);
    const struct list_offsets_response_list_offsets_partition_response *answer =
        &response.topics[0].partitions[0];
    if (answer->error_code)
        fprintf(stderr,
                "Skip getting offsets for topic-partition %.*s-%" PRId32 " due to error: %s\n",
                SLICE_ARG(topic), partition, client_reason(client, answer->error_code, SLICE_NULL));
    else if (all)
        json_array_append_new(
            all,
            json_pack("{s:s%,s:i,s:o}", "topic", topic.data, topic.size, "partition", partition,
                      "offset", answer->offset >= 0 ? json_integer(answer->offset) : json_null()));
    else if (answer->offset >= 0)
        printf("%.*s:%" PRId32 ":%" PRId64 "\n", SLICE_ARG(topic), partition, answer->offset);
}

static int compare_topics(const void *a, const void *b)
{
    return slice_compare(((const struct metadata_response_metadata_response_topic *)a)->name,
                         ((const struct metadata_response_metadata_response_topic *)b)->name);
}

static int compare_partitions(const void *a, const void *b)
{
    return ((const struct metadata_response_metadata_response_partition *)a)->partition_index -
           ((const struct metadata_response_metadata_response_partition *)b)->partition_index;
}

/* Which partitions are asked for: of a topic whose name fits, those from `first` to below `end`. */
struct pattern {
    regex_t topic;
    int64_t first, end;
};

struct patterns {
    struct pattern *items;
    int32_t count;
};

static int64_t bound_of(const char *text, size_t size, int64_t absent, const char *pattern)
{
    int64_t bound = absent;
    if (size > 0 && (!slice_to_int64(slice_of(text, size), &bound) || bound < 0))
        cli_fail("Invalid rule specification: %s", pattern);
    return bound;
}

/* "TOPIC", "TOPIC:3", "TOPIC:1-4", "TOPIC:2-", "TOPIC:-2"; an empty topic fits all. */
static void read_pattern(const char *text, struct pattern *ret)
{
    const char *colon = strchr(text, ':');
    const char *name = colon ? cli_kept("%.*s", (int)(colon - text), text) : text;
    cli_topic_regex(name[0] ? name : NULL, &ret->topic);
    ret->first = 0;
    ret->end = INT64_MAX;
    if (!colon || !colon[1])
        return;
    const char *numbers = colon + 1, *dash = strchr(numbers, '-');
    if (!dash) {
        ret->first = bound_of(numbers, strlen(numbers), 0, text);
        ret->end = ret->first + 1;
        return;
    }
    ret->first = bound_of(numbers, (size_t)(dash - numbers), 0, text);
    ret->end = bound_of(dash + 1, strlen(dash + 1), INT64_MAX, text);
}

static struct patterns read_patterns(const char *topic_partitions, const char *topic)
{
    struct texts parts = texts_split(topic_partitions ? topic_partitions : "");
    struct patterns patterns = {.count = topic_partitions ? parts.count : 1};
    patterns.items = mem_new_array(struct pattern, (size_t)patterns.count + 1);
    for (int32_t i = 0; i < patterns.count && topic_partitions; i++)
        read_pattern(parts.items[i], &patterns.items[i]);
    if (!topic_partitions) {
        cli_topic_regex(topic, &patterns.items[0].topic);
        patterns.items[0].end = INT64_MAX;
    }
    return patterns;
}

static void patterns_done(struct patterns *patterns)
{
    for (int32_t i = 0; i < patterns->count; i++)
        regfree(&patterns->items[i].topic);
    free(patterns->items);
}

static bool fits(const struct patterns *patterns, const char *topic, int32_t partition)
{
    for (int32_t i = 0; i < patterns->count; i++) {
        const struct pattern *pattern = &patterns->items[i];
        if (partition >= pattern->first && partition < pattern->end &&
            regexec(&pattern->topic, topic, 0, NULL, 0) == 0)
            return true;
    }
    return false;
}

struct get_offsets {
    struct client *client;
    struct patterns patterns;
    struct texts partitions; /* empty: all */
    int64_t timestamp;
    json_t *all; /* NULL: lines */
};

static int32_t print_topic(const struct get_offsets *get,
                           const struct metadata_response_metadata_response_topic *topic)
{
    int32_t count = 0;
    OWNED_MEM char *name = slice_dup(topic->name);
    qsort(topic->partitions, (size_t)topic->partitions_count, sizeof(topic->partitions[0]),
          compare_partitions);
    for (int32_t p = 0; p < topic->partitions_count; p++) {
        int32_t partition = topic->partitions[p].partition_index;
        OWNED_MEM char *id = mem_printf("%" PRId32, partition);
        if ((get->partitions.count && !texts_has(&get->partitions, id)) ||
            !fits(&get->patterns, name, partition))
            continue;
        count++;
        if (topic->partitions[p].leader_id < 0)
            fprintf(stderr, "Skip getting offsets for topic-partition %s-%s: it has no leader\n",
                    name, id);
        else
            print_offset(get->client, topic->name, partition, topic->partitions[p].leader_id,
                         get->timestamp, get->all);
    }
    return count;
}

static void check_partitions(const struct texts *partitions)
{
    int64_t id;
    for (int32_t i = 0; i < partitions->count; i++) {
        if (!slice_to_int64(slice_str(partitions->items[i]), &id) || id < 0)
            cli_fail("--partitions expects a comma separated list of numeric partition ids, but "
                     "received: %s",
                     partitions->items[i]);
    }
}

int cmd_get_offsets(int argc, char **argv)
{
    const char *bootstrap = NULL, *broker_list = NULL, *topic = NULL, *partitions = NULL,
               *time = "latest";
    const char *command_config = NULL, *topic_partitions = NULL;
    bool exclude_internal = false, json = false;
    const struct option_row rows[] = {
        {"--bootstrap-server", OPTION_TEXT, &bootstrap, "HOST:PORT,...", "brokers to begin with"},
        {"--broker-list", OPTION_TEXT, &broker_list, "HOST:PORT,...", "the same, by its old name"},
        {"--topic", OPTION_TEXT, &topic, "REGEX", "topics; all without it"},
        {"--partitions", OPTION_TEXT, &partitions, "ID,...", "partitions; all without it"},
        {"--topic-partitions", OPTION_TEXT, &topic_partitions, "PATTERN,...",
         "instead of both: TOPIC, TOPIC:3, TOPIC:1-4 (4 left out), TOPIC:2-, TOPIC:-2"},
        {"--time", OPTION_TEXT, &time, "TIMESTAMP",
         "in ms, or latest (-1), earliest (-2), max-timestamp (-3), earliest-local (-4), "
         "latest-tiered (-5)"},
        {"--exclude-internal-topics", OPTION_FLAG, &exclude_internal, NULL,
         "leave out internal topics"},
        {"--command-config", OPTION_TEXT, &command_config, "FILE", "settings of the client"},
        {"--json", OPTION_FLAG, &json, NULL, "print JSON"},
    };
    cli_parse("get-offsets", rows, ARRAY_SIZE(rows), argc, argv, NULL);
    if (!bootstrap)
        bootstrap = broker_list;
    if (!bootstrap)
        cli_fail("Missing required argument \"[bootstrap-server]\"");
    if (topic_partitions && (topic || partitions))
        cli_fail("--topic-partitions cannot be used with --topic or --partitions");
    struct get_offsets get = {.timestamp = timestamp_of(time),
                              .partitions = texts_split(partitions ? partitions : ""),
                              .patterns = read_patterns(topic_partitions, topic)};
    check_partitions(&get.partitions);

    OWNED(client) struct client *client = NULL;
    cli_check(client_open(bootstrap, command_config, &client));
    cli_check(client_refresh(client, NULL, 0));
    const struct metadata_response *metadata = client_metadata(client);
    int32_t count = 0;
    get.client = client;
    get.all = json ? json_array() : NULL;
    qsort(metadata->topics, (size_t)metadata->topics_count, sizeof(metadata->topics[0]),
          compare_topics);
    for (int32_t t = 0; t < metadata->topics_count; t++) {
        if (!exclude_internal || !metadata->topics[t].is_internal)
            count += print_topic(&get, &metadata->topics[t]);
    }
    patterns_done(&get.patterns);
    if (json)
        cli_json_print(get.all);
    if (count == 0)
        cli_fail("Could not match any topic-partitions with the specified filters");
    return 0;
}
