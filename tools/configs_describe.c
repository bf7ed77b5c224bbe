/* Settings in the lines of kafka-configs.sh --describe: value, whether it is hidden, and from where
 * it comes. */
#include "tools/configs.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/wire/api_key.h"

enum source { SOURCE_TOPIC = 1, SOURCE_BROKER = 2, SOURCE_CLUSTER = 3 };

static const char *const source_names[] = {
    "UNKNOWN",
    "DYNAMIC_TOPIC_CONFIG",
    "DYNAMIC_BROKER_CONFIG",
    "DYNAMIC_DEFAULT_BROKER_CONFIG",
    "STATIC_BROKER_CONFIG",
    "DEFAULT_CONFIG",
    "DYNAMIC_BROKER_LOGGER_CONFIG",
    "DYNAMIC_CLIENT_METRICS_CONFIG",
    "DYNAMIC_GROUP_CONFIG",
};

static int compare_names(const void *a, const void *b)
{
    return slice_compare(
        ((const struct describe_configs_response_describe_configs_resource_result *)a)->name,
        ((const struct describe_configs_response_describe_configs_resource_result *)b)->name);
}

described *configs_read(struct client *client, const struct entity_type *type, const char *name)
{
    struct describe_configs_request_describe_configs_resource resource;
    struct describe_configs_request request;
    struct describe_configs_response response;
    int32_t broker = CLIENT_ANY;
    int64_t id;
    describe_configs_request_describe_configs_resource_init(&resource);
    describe_configs_request_init(&request);
    resource.resource_type = type->resource_type;
    resource.resource_name = slice_str(name);
    resource.configuration_keys_count = -1;
    request.resources = &resource;
    request.resources_count = 1;
    request.include_synonyms = true;
    if (type->kind != ENTITY_TOPICS && slice_to_int64(slice_str(name), &id))
        broker = (int32_t)id; /* only that broker knows */
    cli_check(client_call(client, broker, API_DESCRIBE_CONFIGS, &request, &response));
    if (response.results_count != 1)
        cli_fail("the answer does not name the entity");
    if (response.results[0].error_code)
        cli_fail("Error while executing config command: %s",
                 client_reason(client, response.results[0].error_code,
                               response.results[0].error_message));
    qsort(response.results[0].configs, (size_t)response.results[0].configs_count,
          sizeof(response.results[0].configs[0]), compare_names);
    return response.results;
}

/* Without --all: what was set for this entity itself. */
bool configs_is_own(const struct entity_type *type, const char *name, int8_t source)
{
    switch (type->kind) {
    case ENTITY_TOPICS:
        return source == SOURCE_TOPIC;
    case ENTITY_BROKERS:
        return source == (*name ? SOURCE_BROKER : SOURCE_CLUSTER);
    case ENTITY_LOGGERS:
        return true;
    }
    return false;
}

static const char *source_name(int8_t source)
{
    return source >= 0 && (size_t)source < ARRAY_SIZE(source_names) ? source_names[source]
                                                                    : source_names[0];
}

/* A hidden value shows as the JVM's null. */
static struct slice shown(struct slice value)
{
    return slice_is_null(value) ? SLICE_LITERAL("null") : value;
}

static void print_entity(struct client *client, const struct configs_options *options,
                         const struct entity_type *type, const char *name, json_t *all)
{
    described *found = configs_read(client, type, name);
    json_t *settings = json_array();
    if (!options->json && !*name)
        printf("Default configs for %s in the cluster are:\n", type->name);
    else if (!options->json)
        printf("%s configs for %s %s are:\n", options->all ? "All" : "Dynamic", type->one, name);
    for (int32_t i = 0; i < found->configs_count; i++) {
        const struct describe_configs_response_describe_configs_resource_result *row =
            &found->configs[i];
        if (!options->all && !configs_is_own(type, name, row->config_source))
            continue;
        if (options->json) {
            json_array_append_new(settings,
                                  json_pack("{s:o,s:o,s:s,s:b}", "name", cli_json_text(row->name),
                                            "value", cli_json_text(row->value), "source",
                                            source_name(row->config_source), "sensitive",
                                            row->is_sensitive));
            continue;
        }
        printf("  %.*s=%.*s sensitive=%s synonyms={", SLICE_ARG(row->name),
               SLICE_ARG(shown(row->value)), row->is_sensitive ? "true" : "false");
        for (int32_t s = 0; s < row->synonyms_count; s++)
            printf("%s%s:%.*s=%.*s", s ? ", " : "", source_name(row->synonyms[s].source),
                   SLICE_ARG(row->synonyms[s].name), SLICE_ARG(shown(row->synonyms[s].value)));
        printf("}\n");
    }
    if (options->json)
        json_array_append_new(
            all, json_pack("{s:s,s:s,s:o}", "type", type->name, "name", name, "configs", settings));
    else
        json_decref(settings);
}

/* Every entity of the type: topics as the broker lists them, brokers and then their default. */
static void print_all_entities(struct client *client, const struct configs_options *options,
                               const struct entity_type *type, json_t *all)
{
    const struct metadata_response *metadata = client_metadata(client);
    struct texts names = {0};
    if (type->kind == ENTITY_TOPICS) {
        cli_check(client_refresh(client, NULL, 0));
        for (int32_t i = 0; i < metadata->topics_count; i++)
            texts_add(&names, arena_strdup(client_arena(client), metadata->topics[i].name));
    } else {
        for (int32_t i = 0; i < metadata->brokers_count; i++)
            texts_add(&names,
                      arena_printf(client_arena(client), "%" PRId32, metadata->brokers[i].node_id));
        if (type->kind == ENTITY_BROKERS)
            texts_add(&names, "");
    }
    for (int32_t i = 0; i < names.count; i++)
        print_entity(client, options, type, names.items[i], all);
}

int configs_describe(struct client *client, const struct configs_options *options,
                     const struct entity_type *type, const char *name)
{
    json_t *all = json_array();
    if (name)
        print_entity(client, options, type, name, all);
    else
        print_all_entities(client, options, type, all);
    if (options->json)
        cli_json_print(all);
    else
        json_decref(all);
    return 0;
}
