/* Delete the records below an offset of each partition that a file names. Options, file and lines
 * are those of kafka-delete-records.sh. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "broker/wire/api_key.h"
#include "tools/client.h"
#include "tools/commands.h"
#include "wire/delete_records.h"

#define TIMEOUT_MS 30000

struct deletion {
    const char *topic;
    int32_t partition;
    int64_t offset; /* -1: up to the high watermark */
};

static json_t *read_file(const char *path)
{
    json_error_t error;
    json_t *file = json_load_file(path, 0, &error);
    if (!file)
        cli_fail("%s: line %d: %s", path, error.line, error.text);
    json_t *version = json_object_get(file, "version");
    if (version && (!json_is_integer(version) || json_integer_value(version) != 1)) {
        char *text = json_dumps(version, JSON_COMPACT | JSON_ENCODE_ANY);
        cli_fail("%s: Not supported version field value %s", path, text ? text : "");
    }
    if (!json_is_array(json_object_get(file, "partitions")))
        cli_fail("%s: Missing partitions field", path);
    return file;
}

static struct deletion *read_deletions(struct client *client, const char *path, json_t *file,
                                       size_t *ret_count)
{
    json_t *rows = json_object_get(file, "partitions");
    *ret_count = json_array_size(rows);
    struct deletion *deletions =
        arena_new_array(client_arena(client), struct deletion, *ret_count + 1);
    for (size_t i = 0; i < *ret_count; i++) {
        json_t *row = json_array_get(rows, i);
        json_t *partition = json_object_get(row, "partition");
        json_t *offset = json_object_get(row, "offset");
        const char *topic = json_string_value(json_object_get(row, "topic"));
        if (!topic || !json_is_integer(partition) || !json_is_integer(offset))
            cli_fail("%s: entry %zu is not {\"topic\", \"partition\", \"offset\"}", path, i + 1);
        deletions[i] = (struct deletion){topic, (int32_t)json_integer_value(partition),
                                         json_integer_value(offset)};
        for (size_t k = 0; k < i; k++) {
            if (strcmp(deletions[k].topic, topic) == 0 &&
                deletions[k].partition == deletions[i].partition)
                cli_fail("Offset json file contains duplicate topic partitions: %s-%" PRId32, topic,
                         deletions[i].partition);
        }
    }
    return deletions;
}

/* -1: none, with the reason in ret_code. */
static int32_t find_leader(struct client *client, const struct deletion *deletion,
                           int16_t *ret_code)
{
    const struct metadata_response *metadata = client_metadata(client);
    *ret_code = err_wire_code(ERR_UNKNOWN_TOPIC_OR_PARTITION);
    cli_check(client_refresh(client, &deletion->topic, 1));
    if (metadata->topics_count != 1 || metadata->topics[0].error_code) {
        if (metadata->topics_count == 1)
            *ret_code = metadata->topics[0].error_code;
        return -1;
    }
    for (int32_t p = 0; p < metadata->topics[0].partitions_count; p++) {
        if (metadata->topics[0].partitions[p].partition_index != deletion->partition)
            continue;
        *ret_code = metadata->topics[0].partitions[p].leader_id >= 0
                        ? 0
                        : err_wire_code(ERR_LEADER_NOT_AVAILABLE);
        return metadata->topics[0].partitions[p].leader_id;
    }
    return -1;
}

static int16_t send_deletion(struct client *client, const struct deletion *deletion,
                             int64_t *ret_low_watermark)
{
    struct delete_records_request_delete_records_partition partition;
    struct delete_records_request_delete_records_topic topic;
    struct delete_records_request request;
    struct delete_records_response response;
    int16_t code;
    int attempts = 0;
    delete_records_request_delete_records_partition_init(&partition);
    delete_records_request_delete_records_topic_init(&topic);
    delete_records_request_init(&request);
    partition.partition_index = deletion->partition;
    partition.offset = deletion->offset;
    topic.name = slice_str(deletion->topic);
    topic.partitions = &partition;
    topic.partitions_count = 1;
    request.topics = &topic;
    request.topics_count = 1;
    request.timeout_ms = TIMEOUT_MS;
    do {
        int32_t leader_id = find_leader(client, deletion, &code);
        if (code)
            continue;
        cli_check(client_call(client, leader_id, API_DELETE_RECORDS, &request, &response));
        if (response.topics_count != 1 || response.topics[0].partitions_count != 1)
            cli_fail("broker %" PRId32 " answered for other partitions", leader_id);
        code = response.topics[0].partitions[0].error_code;
        *ret_low_watermark = response.topics[0].partitions[0].low_watermark;
    } while (client_retries(client, code, &attempts));
    return code;
}

static bool report(struct client *client, const struct deletion *deletion, json_t *all)
{
    int64_t low_watermark = -1;
    int16_t code = send_deletion(client, deletion, &low_watermark);
    const char *reason = code ? client_reason(client, code, SLICE_NULL) : NULL;
    if (all)
        json_array_append_new(all, json_pack("{s:s,s:i,s:o,s:s?}", "topic", deletion->topic,
                                             "partition", deletion->partition, "low_watermark",
                                             code ? json_null() : json_integer(low_watermark),
                                             "error", reason));
    else if (code)
        printf("partition: %s-%" PRId32 "\terror: %s\n", deletion->topic, deletion->partition,
               reason);
    else
        printf("partition: %s-%" PRId32 "\tlow_watermark: %" PRId64 "\n", deletion->topic,
               deletion->partition, low_watermark);
    return code == 0;
}

int cmd_delete_records(int argc, char **argv)
{
    const char *bootstrap = NULL, *command_config = NULL, *path = NULL;
    bool json = false, is_all_done = true;
    size_t count;
    const struct option_row rows[] = {
        {"--bootstrap-server", OPTION_TEXT, &bootstrap, "HOST:PORT,...", "brokers to begin with"},
        {"--command-config", OPTION_TEXT, &command_config, "FILE", "settings of the client"},
        {"--offset-json-file", OPTION_TEXT, &path, "FILE",
         "{\"partitions\": [{\"topic\": \"foo\", \"partition\": 1, \"offset\": 1}], \"version\": "
         "1}"},
        {"--json", OPTION_FLAG, &json, NULL, "print JSON"},
    };
    cli_parse("delete-records", rows, ARRAY_SIZE(rows), argc, argv, NULL);
    if (!bootstrap)
        cli_fail("Missing required argument \"[bootstrap-server]\"");
    if (!path)
        cli_fail("Missing required argument \"[offset-json-file]\"");
    OWNED(client) struct client *client = NULL;
    cli_check(client_open(bootstrap, command_config, &client));
    json_t *file = read_file(path), *all = json ? json_array() : NULL;
    struct deletion *deletions = read_deletions(client, path, file, &count);
    if (!json)
        printf("Executing records delete operation\nRecords delete operation completed:\n");
    for (size_t i = 0; i < count; i++)
        is_all_done &= report(client, &deletions[i], all);
    if (json) {
        json_dumpf(all, stdout, JSON_COMPACT);
        printf("\n");
    }
    json_decref(all);
    json_decref(file);
    return is_all_done ? 0 : 1;
}
