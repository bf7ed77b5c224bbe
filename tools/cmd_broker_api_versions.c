/* What each broker serves, in the lines of kafka-broker-api-versions.sh. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "broker/wire/wire.h"
#include "tools/client.h"
#include "tools/commands.h"
#include "wire/api_versions.h"

static int16_t usable(const struct api_versions_response_api_version *range)
{
    const struct wire_api *api = wire_api(range->api_key);
    if (!api || api->request->max_version < range->min_version)
        return -1;
    return api->request->max_version < range->max_version ? api->request->max_version
                                                          : range->max_version;
}

/* APIs that clients of Kafka 3.9 know and that a broker in ZooKeeper mode never serves:
 * kafka-broker- api-versions.sh names them, as not supported. */
static const struct {
    int16_t api_key;
    const char *name;
} others[] = {
    {55, "DescribeQuorum"},
    {64, "UnregisterBroker"},
    {68, "ConsumerGroupHeartbeat"},
    {69, "ConsumerGroupDescribe"},
    {71, "GetTelemetrySubscriptions"},
    {72, "PushTelemetry"},
    {74, "ListClientMetricsResources"},
    {75, "DescribeTopicPartitions"},
    {76, "ShareGroupHeartbeat"},
    {77, "ShareGroupDescribe"},
    {78, "ShareFetch"},
    {79, "ShareAcknowledge"},
    {80, "AddRaftVoter"},
    {81, "RemoveRaftVoter"},
    {83, "InitializeShareGroupState"},
    {84, "ReadShareGroupState"},
    {85, "WriteShareGroupState"},
    {86, "DeleteShareGroupState"},
    {87, "ReadShareGroupStateSummary"},
};
#define LAST_KNOWN_KEY 87

static const char *name_of(int16_t api_key)
{
    const struct wire_api *api = wire_api(api_key);
    for (size_t i = 0; i < ARRAY_SIZE(others) && !api; i++) {
        if (others[i].api_key == api_key)
            return others[i].name;
    }
    return api ? api->name : NULL;
}

static const struct api_versions_response_api_version *
find_range(const struct api_versions_response *versions, int api_key)
{
    for (int32_t i = 0; i < versions->api_keys_count; i++) {
        if (versions->api_keys[i].api_key == api_key)
            return &versions->api_keys[i];
    }
    return NULL;
}

static void print_range(const struct api_versions_response_api_version *range)
{
    const char *name = name_of(range->api_key);
    printf("\t%s(%d): ", name ? name : "UNKNOWN", range->api_key);
    if (range->min_version == range->max_version)
        printf("%d", range->min_version);
    else
        printf("%d to %d", range->min_version, range->max_version);
    if (usable(range) >= 0)
        printf(" [usable: %d]", usable(range));
    else
        printf(" [unusable: node too new]");
}

/* In the order of their keys: what is served, and what a client knows and the broker does not. */
static void print_ranges(const struct api_versions_response *versions)
{
    bool is_first = true;
    for (int api_key = 0; api_key <= INT16_MAX; api_key++) {
        const struct api_versions_response_api_version *range = find_range(versions, api_key);
        const char *name = api_key <= LAST_KNOWN_KEY ? name_of((int16_t)api_key) : NULL;
        if (!range && !name)
            continue;
        printf("%s", is_first ? "" : ",\n");
        is_first = false;
        if (range)
            print_range(range);
        else
            printf("\t%s(%d): UNSUPPORTED", name, api_key);
    }
    printf("\n");
}

static json_t *ranges_json(const struct api_versions_response *versions)
{
    json_t *list = json_array();
    for (int32_t i = 0; i < versions->api_keys_count; i++) {
        const struct api_versions_response_api_version *range = &versions->api_keys[i];
        const char *name = name_of(range->api_key);
        json_array_append_new(list, json_pack("{s:i,s:s,s:i,s:i}", "key", range->api_key, "name",
                                              name ? name : "UNKNOWN", "min", range->min_version,
                                              "max", range->max_version));
    }
    return list;
}

int cmd_broker_api_versions(int argc, char **argv)
{
    const char *bootstrap = NULL, *command_config = NULL;
    bool json = false;
    int64_t wait_seconds = 0;
    const struct option_row rows[] = {
        {"--bootstrap-server", OPTION_TEXT, &bootstrap, "HOST:PORT,...", "brokers to begin with"},
        {"--command-config", OPTION_TEXT, &command_config, "FILE", "settings of the client"},
        {"--wait", OPTION_INT, &wait_seconds, "SECONDS", "try until a broker answers"},
        {"--json", OPTION_FLAG, &json, NULL, "print JSON"},
    };
    cli_parse("broker-api-versions", rows, ARRAY_SIZE(rows), argc, argv, NULL);
    if (!bootstrap)
        cli_fail("Missing required argument \"[bootstrap-server]\"");
    OWNED(client) struct client *client = NULL;
    cli_check(client_open_within(bootstrap, command_config, wait_seconds, &client));
    const struct metadata_response *metadata = client_metadata(client);
    json_t *all = json_array();
    for (int32_t i = 0; i < metadata->brokers_count; i++) {
        const struct metadata_response_metadata_response_broker *broker = &metadata->brokers[i];
        const struct api_versions_response *versions;
        cli_check(client_api_versions(client, broker->node_id, &versions));
        if (json) {
            json_array_append_new(all,
                                  json_pack("{s:i,s:s%,s:i,s:o}", "id", broker->node_id, "host",
                                            broker->host.data, broker->host.size, "port",
                                            broker->port, "apis", ranges_json(versions)));
            continue;
        }
        printf("%.*s:%" PRId32 " (id: %" PRId32 " rack: %.*s) -> (\n", SLICE_ARG(broker->host),
               broker->port, broker->node_id,
               slice_is_null(broker->rack) ? 4 : (int)broker->rack.size,
               slice_is_null(broker->rack) ? "null" : (const char *)broker->rack.data);
        print_ranges(versions);
        printf(")\n");
    }
    if (json)
        cli_json_print(all);
    else
        json_decref(all);
    return 0;
}
