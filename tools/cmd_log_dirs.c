/* What lies in the log directories of brokers, in the one line of JSON that kafka-log-dirs.sh
 * prints. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "broker/wire/api_key.h"
#include "tools/client.h"
#include "tools/commands.h"
#include "wire/describe_log_dirs.h"

static json_t *
partition_json(struct slice topic,
               const struct describe_log_dirs_response_describe_log_dirs_partition *partition)
{
    OWNED_MEM char *name =
        mem_printf("%.*s-%" PRId32, SLICE_ARG(topic), partition->partition_index);
    return json_pack("{s:s,s:I,s:I,s:b}", "partition", name, "size",
                     (json_int_t)partition->partition_size, "offsetLag",
                     (json_int_t)partition->offset_lag, "isFuture", partition->is_future_key);
}

static json_t *dir_json(const struct describe_log_dirs_response_describe_log_dirs_result *dir,
                        const struct texts *topics)
{
    json_t *partitions = json_array();
    for (int32_t t = 0; t < dir->topics_count; t++) {
        OWNED_MEM char *name = slice_dup(dir->topics[t].name);
        if (topics->count > 0 && !texts_has(topics, name))
            continue;
        for (int32_t p = 0; p < dir->topics[t].partitions_count; p++)
            json_array_append_new(
                partitions, partition_json(dir->topics[t].name, &dir->topics[t].partitions[p]));
    }
    json_t *error =
        dir->error_code ? json_string(err_name(err_from_wire(dir->error_code))) : json_null();
    return json_pack("{s:o,s:o,s:s%}", "partitions", partitions, "error", error, "logDir",
                     dir->log_dir.data, dir->log_dir.size);
}

static json_t *broker_json(struct client *client, int32_t broker_id, const struct texts *topics)
{
    struct describe_log_dirs_request request;
    struct describe_log_dirs_response response;
    json_t *dirs = json_array();
    describe_log_dirs_request_init(&request);
    request.topics_count = -1;
    cli_check(client_call(client, broker_id, API_DESCRIBE_LOG_DIRS, &request, &response));
    if (response.error_code)
        cli_fail("broker %" PRId32 ": %s", broker_id,
                 client_reason(client, response.error_code, SLICE_NULL));
    for (int32_t i = 0; i < response.results_count; i++)
        json_array_append_new(dirs, dir_json(&response.results[i], topics));
    return json_pack("{s:i,s:o}", "broker", broker_id, "logDirs", dirs);
}

static bool is_live(const struct metadata_response *metadata, int32_t broker_id)
{
    for (int32_t i = 0; i < metadata->brokers_count; i++) {
        if (metadata->brokers[i].node_id == broker_id)
            return true;
    }
    return false;
}

/* The ids of --broker-list, or of all live brokers. */
static int32_t pick_brokers(struct client *client, const char *list, int32_t **ret_ids)
{
    const struct metadata_response *metadata = client_metadata(client);
    struct texts given = texts_split(list ? list : ""), named = {0};
    for (int32_t i = 0; i < given.count; i++) { /* twice is once */
        if (!texts_has(&named, given.items[i]))
            texts_add(&named, given.items[i]);
    }
    int32_t count = named.count ? named.count : metadata->brokers_count;
    struct buf absent = {0};
    *ret_ids = arena_new_array(client_arena(client), int32_t, count + 1);
    for (int32_t i = 0; i < count; i++) {
        int64_t id = named.count ? 0 : metadata->brokers[i].node_id;
        if (named.count && !slice_to_int64(slice_str(named.items[i]), &id))
            cli_fail("--broker-list: '%s' is no broker id", named.items[i]);
        (*ret_ids)[i] = (int32_t)id;
        if (!is_live(metadata, (int32_t)id))
            buf_printf(&absent, "%s%" PRId64, absent.size ? ", " : "", id);
    }
    if (absent.size > 0) {
        struct buf live = {0};
        for (int32_t i = 0; i < metadata->brokers_count; i++)
            buf_printf(&live, "%s%" PRId32, i ? "," : "", metadata->brokers[i].node_id);
        cli_fail("ERROR: The given brokers do not exist from --broker-list: %.*s. Current existent "
                 "brokers: %.*s",
                 SLICE_ARG(buf_slice(&absent)), SLICE_ARG(buf_slice(&live)));
    }
    return count;
}

int cmd_log_dirs(int argc, char **argv)
{
    const char *bootstrap = NULL, *command_config = NULL, *brokers = NULL, *topics = NULL;
    bool describe = false, json = false;
    const struct option_row rows[] = {
        {"--bootstrap-server", OPTION_TEXT, &bootstrap, "HOST:PORT,...", "brokers to begin with"},
        {"--command-config", OPTION_TEXT, &command_config, "FILE", "settings of the client"},
        {"--describe", OPTION_FLAG, &describe, NULL, "print the log directories"},
        {"--broker-list", OPTION_TEXT, &brokers, "ID,...", "brokers; all without it"},
        {"--topic-list", OPTION_TEXT, &topics, "NAME,...", "topics; all without it"},
        {"--json", OPTION_FLAG, &json, NULL, "print the JSON alone, without the lines before it"},
    };
    cli_parse("log-dirs", rows, ARRAY_SIZE(rows), argc, argv, NULL);
    if (!bootstrap)
        cli_fail("Missing required argument \"[bootstrap-server]\"");
    if (!describe)
        cli_fail("Missing required argument \"[describe]\"");
    OWNED(client) struct client *client = NULL;
    cli_check(client_open(bootstrap, command_config, &client));
    int32_t *ids, count = pick_brokers(client, brokers, &ids);
    struct texts wanted = texts_split(topics ? topics : "");
    json_t *all = json_array();
    if (!json)
        printf("Querying brokers for log directories information\n");
    for (int32_t i = 0; i < count; i++)
        json_array_append_new(all, broker_json(client, ids[i], &wanted));
    if (!json)
        printf("Received log directory information from brokers ");
    for (int32_t i = 0; !json && i < count; i++)
        printf("%s%" PRId32, i ? "," : "", ids[i]);
    json_t *whole = json_pack("{s:o,s:i}", "brokers", all, "version", 1);
    printf("%s", json ? "" : "\n");
    json_dumpf(whole, stdout, JSON_COMPACT);
    printf("\n");
    json_decref(whole);
    return 0;
}
