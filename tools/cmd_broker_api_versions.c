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

static void print_ranges(const struct api_versions_response *versions)
{
    for (int32_t i = 0; i < versions->api_keys_count; i++) {
        const struct api_versions_response_api_version *range = &versions->api_keys[i];
        const struct wire_api *api = wire_api(range->api_key);
        printf("\t%s(%d): ", api ? api->name : "UNKNOWN", range->api_key);
        if (range->min_version == range->max_version)
            printf("%d", range->min_version);
        else
            printf("%d to %d", range->min_version, range->max_version);
        if (usable(range) >= 0)
            printf(" [usable: %d]", usable(range));
        else
            printf(" [unusable: node too new]");
        printf("%s\n", i + 1 < versions->api_keys_count ? "," : "");
    }
}

static json_t *ranges_json(const struct api_versions_response *versions)
{
    json_t *list = json_array();
    for (int32_t i = 0; i < versions->api_keys_count; i++) {
        const struct api_versions_response_api_version *range = &versions->api_keys[i];
        const struct wire_api *api = wire_api(range->api_key);
        json_array_append_new(list, json_pack("{s:i,s:s,s:i,s:i}", "key", range->api_key, "name",
                                              api ? api->name : "UNKNOWN", "min",
                                              range->min_version, "max", range->max_version));
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
        cli_fail("--bootstrap-server is missing");
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
    if (json) {
        json_dumpf(all, stdout, JSON_COMPACT);
        printf("\n");
    }
    json_decref(all);
    return 0;
}
