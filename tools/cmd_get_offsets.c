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
        cli_fail("Malformed time argument %s: a timestamp, earliest, latest or max-timestamp",
                 text);
    return timestamp;
}

/* One line, or an entry of `all` where that is not NULL. An offset that nobody knows (-1) is left
 * empty; a partition that cannot be asked is named on standard error. */
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
    else
        printf("%.*s:%" PRId32 ":\n", SLICE_ARG(topic), partition);
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

int cmd_get_offsets(int argc, char **argv)
{
    const char *bootstrap = NULL, *topic = NULL, *partitions = NULL, *time = "latest";
    const char *command_config = NULL;
    bool exclude_internal = false, json = false;
    const struct option_row rows[] = {
        {"--bootstrap-server", OPTION_TEXT, &bootstrap, "HOST:PORT,...", "brokers to begin with"},
        {"--broker-list", OPTION_TEXT, &bootstrap, "HOST:PORT,...", "the same, by its old name"},
        {"--topic", OPTION_TEXT, &topic, "REGEX", "topics; all without it"},
        {"--partitions", OPTION_TEXT, &partitions, "ID,...", "partitions; all without it"},
        {"--time", OPTION_TEXT, &time, "TIMESTAMP", "in ms, or earliest, latest, max-timestamp"},
        {"--exclude-internal-topics", OPTION_FLAG, &exclude_internal, NULL,
         "leave out internal topics"},
        {"--command-config", OPTION_TEXT, &command_config, "FILE", "settings of the client"},
        {"--json", OPTION_FLAG, &json, NULL, "print JSON"},
    };
    cli_parse("get-offsets", rows, ARRAY_SIZE(rows), argc, argv, NULL);
    if (!bootstrap)
        cli_fail("--bootstrap-server is missing");
    int64_t timestamp = timestamp_of(time);
    struct texts wanted = texts_split(partitions ? partitions : "");
    regex_t regex;
    OWNED_MEM char *pattern = mem_printf("^(%s)$", topic ? topic : ".*");
    if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB))
        cli_fail("'%s' is no regular expression", topic);

    OWNED(client) struct client *client = NULL;
    cli_check(client_open(bootstrap, command_config, &client));
    cli_check(client_refresh(client, NULL, 0));
    json_t *all = json ? json_array() : NULL;
    const struct metadata_response *metadata = client_metadata(client);
    qsort(metadata->topics, (size_t)metadata->topics_count, sizeof(metadata->topics[0]),
          compare_topics);
    for (int32_t t = 0; t < metadata->topics_count; t++) {
        const struct metadata_response_metadata_response_topic *found = &metadata->topics[t];
        OWNED_MEM char *name = slice_dup(found->name);
        if ((exclude_internal && found->is_internal) || regexec(&regex, name, 0, NULL, 0))
            continue;
        qsort(found->partitions, (size_t)found->partitions_count, sizeof(found->partitions[0]),
              compare_partitions);
        for (int32_t p = 0; p < found->partitions_count; p++) {
            OWNED_MEM char *id = mem_printf("%" PRId32, found->partitions[p].partition_index);
            if (wanted.count && !texts_has(&wanted, id))
                continue;
            if (found->partitions[p].leader_id < 0)
                fprintf(stderr,
                        "Skip getting offsets for topic-partition %s-%s: it has no leader\n", name,
                        id);
            else
                print_offset(client, found->name, found->partitions[p].partition_index,
                             found->partitions[p].leader_id, timestamp, all);
        }
    }
    regfree(&regex);
    if (json) {
        json_dumpf(all, stdout, JSON_COMPACT);
        printf("\n");
    }
    json_decref(all);
    return 0;
}
