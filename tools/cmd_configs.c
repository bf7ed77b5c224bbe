/* Settings of topics, brokers and their loggers: what is asked for, and changing them. Options and
 * lines are those of kafka-configs.sh. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "broker/config/config_map.h"
#include "broker/config/properties.h"
#include "broker/wire/api_key.h"
#include "tools/commands.h"
#include "tools/configs.h"
#include "wire/incremental_alter_configs.h"

#define OPERATION_SET    0
#define OPERATION_DELETE 1

/* What the options call an entity type, how a sentence calls one of them, Kafka's resource type. */
static const struct entity_type entity_types[] = {
    {"topics", "topic", ENTITY_TOPICS, 2},
    {"brokers", "broker", ENTITY_BROKERS, 4},
    {"broker-loggers", "broker-logger", ENTITY_LOGGERS, 8},
};

typedef struct incremental_alter_configs_request_alterable_config change;

struct changes {
    change *items;
    int32_t count;
    size_t capacity;
};

static void add_change(struct changes *changes, struct slice name, struct slice value,
                       int8_t operation)
{
    for (int32_t i = 0; i < changes->count; i++) {
        if (slice_equal(changes->items[i].name, name))
            cli_fail("'%.*s' is named twice", SLICE_ARG(name));
    }
    changes->items =
        mem_grow(changes->items, &changes->capacity, (size_t)changes->count + 1, sizeof(change));
    change *added = &changes->items[changes->count++];
    incremental_alter_configs_request_alterable_config_init(added);
    added->name = name;
    added->value = value;
    added->config_operation = operation;
}

/* "a=1,b=[2,3],c=": what stands in square brackets may hold commas. */
static void read_added(struct client *client, const char *text, struct changes *changes)
{
    while (*text) {
        size_t name_size = strcspn(text, "=,");
        if (name_size == 0 || text[name_size] != '=')
            cli_fail("Invalid entity config: all configs to be added must be in the format "
                     "\"key=val\".");
        const char *value = text + name_size + 1;
        const char *close = *value == '[' ? strchr(value, ']') : NULL;
        size_t size = close ? (size_t)(close - value) - 1 : strcspn(value, ",");
        value += close != NULL;
        struct slice name = slice_of(text, name_size);
        add_change(changes, slice_str(arena_strdup(client_arena(client), name)),
                   slice_str(arena_strdup(client_arena(client), slice_of(value, size))),
                   OPERATION_SET);
        text = value + size + (close != NULL);
        if (*text && *text != ',')
            cli_fail("--add-config: unexpected text behind ']': '%s'", text);
        text += *text == ',';
    }
}

/* Names of settings to delete that the entity does not have are a mistake. */
static void check_deleted(struct client *client, const struct entity_type *type, const char *name,
                          const struct texts *names)
{
    struct buf absent = {0};
    described *found = configs_read(client, type, name);
    for (int32_t n = 0; n < names->count; n++) {
        bool is_there = false;
        for (int32_t i = 0; i < found->configs_count && !is_there; i++)
            is_there = slice_equal_str(found->configs[i].name, names->items[n]) &&
                       configs_is_own(type, name, found->configs[i].config_source);
        if (!is_there)
            buf_printf(&absent, "%s%s", absent.size ? "," : "", names->items[n]);
    }
    if (absent.size > 0)
        cli_fail("Invalid config(s): %.*s", SLICE_ARG(buf_slice(&absent)));
    buf_done(&absent);
}

static void send_changes(struct client *client, const struct entity_type *type, const char *name,
                         const struct changes *changes)
{
    struct incremental_alter_configs_request_alter_configs_resource resource;
    struct incremental_alter_configs_request request;
    struct incremental_alter_configs_response response;
    int32_t broker = CLIENT_CONTROLLER;
    int64_t id;
    int attempts = 0;
    incremental_alter_configs_request_alter_configs_resource_init(&resource);
    incremental_alter_configs_request_init(&request);
    resource.resource_type = type->resource_type;
    resource.resource_name = slice_str(name);
    resource.configs = changes->items;
    resource.configs_count = changes->count;
    request.resources = &resource;
    request.resources_count = 1;
    if (type->kind != ENTITY_TOPICS && slice_to_int64(slice_str(name), &id))
        broker = (int32_t)id;
    do {
        cli_check(client_call(client, broker, API_INCREMENTAL_ALTER_CONFIGS, &request, &response));
        if (response.responses_count != 1)
            cli_fail("the answer does not name the entity");
    } while (client_retries(client, response.responses[0].error_code, &attempts));
    if (response.responses[0].error_code)
        cli_fail("Error while executing config command: %s",
                 client_reason(client, response.responses[0].error_code,
                               response.responses[0].error_message));
}

static int alter(struct client *client, const struct configs_options *options,
                 const struct entity_type *type, const char *name)
{
    struct changes changes = {0};
    struct config_map file = {0};
    struct texts deleted = texts_split(options->delete_names ? options->delete_names : "");
    if (options->add)
        read_added(client, options->add, &changes);
    if (options->add_file) {
        cli_check(properties_read(options->add_file, &file));
        for (int32_t i = 0; i < file.count; i++)
            add_change(&changes, slice_str(file.entries[i].name), slice_str(file.entries[i].value),
                       OPERATION_SET);
    }
    int32_t set_count = changes.count;
    for (int32_t i = 0; i < deleted.count; i++)
        add_change(&changes, slice_str(deleted.items[i]), SLICE_NULL, OPERATION_DELETE);
    if (deleted.count > 0)
        check_deleted(client, type, name, &deleted);
    send_changes(client, type, name, &changes);
    free(changes.items);
    config_map_done(&file);
    if (options->json)
        cli_json_print(json_pack("{s:s,s:s,s:i,s:i}", "type", type->name, "name", name, "set",
                                 set_count, "deleted", deleted.count));
    else if (*name)
        printf("Completed updating config for %s %s.\n", type->one, name);
    else
        printf("Completed updating default config for %s in the cluster.\n", type->name);
    return 0;
}

/* What quotas, credentials and client metrics belong to. They are known, so that a sentence can say
 * what they wait for. */
static bool is_of_clients(const char *type)
{
    static const char *const types[] = {"users", "clients", "ips", "client-metrics"};
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        if (strcmp(types[i], type) == 0)
            return true;
    }
    return false;
}

static int count_types(const struct configs_options *o)
{
    bool has_users = o->user || o->user_defaults, has_clients = o->client || o->client_defaults;
    return (o->entity_types.count > 0) + (o->topic != NULL) + (o->broker || o->broker_defaults) +
           (o->logger != NULL) + (has_users || has_clients) + (o->ip || o->ip_defaults);
}

/* The entity type, and its name: NULL for all of them, "" for the default. */
static const struct entity_type *find_entity(const struct configs_options *options,
                                             const char **ret_name)
{
    const char *type = options->entity_types.count ? options->entity_types.items[0] : NULL;
    const char *name = options->entity_names.count ? options->entity_names.items[0] : NULL;
    if (count_types(options) == 0)
        cli_fail("At least one entity type must be specified");
    if (options->user || options->user_defaults || options->client || options->client_defaults ||
        options->ip || options->ip_defaults || (type && is_of_clients(type)))
        cli_fail("users, clients, ips and client-metrics have no settings yet: quotas and SCRAM "
                 "credentials come with security, client metrics with KRaft only");
    if (count_types(options) > 1 || options->entity_types.count > 1)
        cli_fail("Only 'users' and 'clients' entity types may be specified together");
    if (options->topic)
        type = "topics", name = options->topic;
    if (options->broker || options->broker_defaults)
        type = "brokers", name = options->broker;
    if (options->logger)
        type = "broker-loggers", name = options->logger;
    if (options->entity_default || options->broker_defaults)
        name = "";
    *ret_name = name;
    for (size_t i = 0; i < ARRAY_SIZE(entity_types); i++) {
        if (strcmp(entity_types[i].name, type) == 0)
            return &entity_types[i];
    }
    cli_fail("Invalid entity type %s, the entity type must be one of topics, clients, users, "
             "brokers, ips, broker-loggers, client-metrics with a --bootstrap-server or "
             "--bootstrap-controller argument",
             type);
}

static void check_action(const struct configs_options *o)
{
    if (o->describe == o->alter)
        cli_fail("Command must include exactly one action: --describe, --alter");
    if (o->zk_tls_config_file && !o->zookeeper)
        cli_fail("Only the --zookeeper option can be used with the --zk-tls-config-file option.");
    if (o->zookeeper)
        cli_fail("--zookeeper: settings are changed through the brokers, --bootstrap-server");
    if (o->controller)
        cli_fail("--bootstrap-controller: there are no KRaft controllers in ZooKeeper mode");
    if (!o->bootstrap)
        cli_fail("Missing required argument \"[bootstrap-server]\"");
}

static void check_options(const struct configs_options *o, const struct entity_type *type,
                          const char *name)
{
    int64_t id;
    if (o->entity_names.count && o->entity_default)
        cli_fail("--entity-name and --entity-default exclude each other");
    if (o->alter && !name)
        cli_fail("an entity name must be specified with --alter of %s", type->name);
    if (o->alter && !o->add && !o->add_file && !o->delete_names)
        cli_fail("At least one of --add-config, --add-config-file, or --delete-config must be "
                 "specified with --alter");
    if (o->add && o->add_file)
        cli_fail("Only one of --add-config or --add-config-file must be specified");
    if (name && !*name && type->kind != ENTITY_BROKERS)
        cli_fail("only brokers have a default");
    if (name && *name && type->kind != ENTITY_TOPICS && !slice_to_int64(slice_str(name), &id))
        cli_fail("The entity name for %s must be a valid integer broker id, but it is: %s",
                 type->name, name);
}

int cmd_configs(int argc, char **argv)
{
    struct configs_options o = {0};
    const struct option_row rows[] = {
        {"--bootstrap-server", OPTION_TEXT, &o.bootstrap, "HOST:PORT,...", "brokers to begin with"},
        {"--command-config", OPTION_TEXT, &o.command_config, "FILE", "settings of the client"},
        {"--describe", OPTION_FLAG, &o.describe, NULL, "print settings"},
        {"--all", OPTION_FLAG, &o.all, NULL, "with --describe: those not set on the entity too"},
        {"--alter", OPTION_FLAG, &o.alter, NULL, "change settings"},
        {"--add-config", OPTION_TEXT, &o.add, "NAME=VALUE,...",
         "settings to set; NAME=[A,B] for a list"},
        {"--add-config-file", OPTION_TEXT, &o.add_file, "FILE", "the same from a properties file"},
        {"--delete-config", OPTION_TEXT, &o.delete_names, "NAME,...", "settings to remove"},
        {"--entity-type", OPTION_MANY, &o.entity_types, "TYPE", "topics, brokers, broker-loggers"},
        {"--entity-name", OPTION_MANY, &o.entity_names, "NAME", "topic, or broker id"},
        {"--entity-default", OPTION_FLAG, &o.entity_default, NULL, "the default of all brokers"},
        {"--topic", OPTION_TEXT, &o.topic, "NAME", "a topic"},
        {"--broker", OPTION_TEXT, &o.broker, "ID", "a broker"},
        {"--broker-defaults", OPTION_FLAG, &o.broker_defaults, NULL, "the default of all brokers"},
        {"--broker-logger", OPTION_TEXT, &o.logger, "ID", "the loggers of a broker"},
        {"--force", OPTION_FLAG, &o.force, NULL, "nothing is ever asked here"},
        {"--user", OPTION_TEXT, &o.user, "NAME", "comes with security, as the next five"},
        {"--user-defaults", OPTION_FLAG, &o.user_defaults, NULL, "the default of all users"},
        {"--client", OPTION_TEXT, &o.client, "ID", "a client id"},
        {"--client-defaults", OPTION_FLAG, &o.client_defaults, NULL, "the default of all clients"},
        {"--ip", OPTION_TEXT, &o.ip, "ADDRESS", "an address"},
        {"--ip-defaults", OPTION_FLAG, &o.ip_defaults, NULL, "the default of all addresses"},
        {"--zookeeper", OPTION_TEXT, &o.zookeeper, "HOST:PORT", "refused: brokers are asked"},
        {"--zk-tls-config-file", OPTION_TEXT, &o.zk_tls_config_file, "FILE", "refused likewise"},
        {"--bootstrap-controller", OPTION_TEXT, &o.controller, "HOST:PORT",
         "refused: KRaft has these"},
        {"--json", OPTION_FLAG, &o.json, NULL, "print JSON"},
    };
    const char *name;
    cli_parse("configs", rows, ARRAY_SIZE(rows), argc, argv, NULL);
    check_action(&o);
    const struct entity_type *type = find_entity(&o, &name);
    check_options(&o, type, name);
    OWNED(client) struct client *client = NULL;
    cli_check(client_open(o.bootstrap, o.command_config, &client));
    return o.describe ? configs_describe(client, &o, type, name) : alter(client, &o, type, name);
}
