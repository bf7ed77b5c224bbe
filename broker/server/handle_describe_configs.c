/* DescribeConfigs. A topic's settings are read from ZooKeeper when they are asked for, so that a
 * client sees what it has just altered; a broker tells what is in force with it.
 *
 * Thread: control, from beginning to end. */
#include "broker/api/handlers.h"
#include "broker/config/config_describe.h"
#include "broker/server/config_store.h"
#include "broker/server/handle_configs.h"
#include "broker/server/server_internal.h"
#include "broker/wire/topic_name.h"
#include "coordinator/zk/zk_session.h"
#include "coordinator/zk/znode.h"
#include "wire/describe_configs.h"

#define SOURCE_BROKER_LOGGER 6 /* on the wire */

typedef struct describe_configs_request_describe_configs_resource asked_resource;
typedef struct describe_configs_response_describe_configs_result result_of_resource;
typedef struct describe_configs_response_describe_configs_resource_result result_entry;
typedef struct describe_configs_response_describe_configs_synonym result_synonym;

struct description {
    struct request *request;
    struct server *server;
    const struct describe_configs_request *message;
    struct describe_configs_response response;
    int32_t pending;
};

struct topic_read {
    struct description *description;
    const asked_resource *asked;
    result_of_resource *result;
};

static void set_error(struct description *description, result_of_resource *result, enum err e)
{
    if (!e)
        return;
    result->error_code = err_wire_code(e);
    result->error_message = arena_copy(description->request->arena, slice_str(err_sentence(e)));
}

static void release(struct description *description)
{
    if (--description->pending == 0)
        request_answer(description->request, &description->response);
}

/* --- entries --- */

static void set_synonyms(struct arena *arena, const struct config_view *view, result_entry *entry)
{
    entry->synonyms = arena_new_array(arena, result_synonym, view->synonyms_count + 1);
    entry->synonyms_count = view->synonyms_count;
    for (int32_t i = 0; i < view->synonyms_count; i++) {
        result_synonym *synonym = &entry->synonyms[i];
        describe_configs_response_describe_configs_synonym_init(synonym);
        synonym->name = arena_copy(arena, slice_str(view->synonyms[i].name));
        synonym->value = arena_copy(arena, slice_str(view->synonyms[i].value));
        synonym->source = (int8_t)view->synonyms[i].source;
    }
}

/* Copies what may point into a snapshot or map that goes before the answer does. */
static void set_entry(const struct description *description, const struct config_view *view,
                      result_entry *entry)
{
    struct arena *arena = description->request->arena;
    describe_configs_response_describe_configs_resource_result_init(entry);
    entry->name = arena_copy(arena, slice_str(view->name));
    entry->value = arena_copy(arena, slice_str(view->value));
    entry->read_only = view->is_read_only;
    entry->is_default = false; /* of version 0, where the JVM broker no longer fills it in */
    entry->config_source = (int8_t)view->source;
    entry->is_sensitive = view->is_sensitive;
    entry->config_type = view->type;
    entry->documentation =
        description->message->include_documentation ? slice_str(view->doc) : SLICE_NULL;
    if (description->message->include_synonyms)
        set_synonyms(arena, view, entry);
}

static void set_entries(const struct description *description, const struct config_view *views,
                        int32_t count, result_of_resource *result)
{
    result->configs = arena_new_array(description->request->arena, result_entry, count + 1);
    result->configs_count = count;
    for (int32_t i = 0; i < count; i++)
        set_entry(description, &views[i], &result->configs[i]);
}

/* --- topics --- */

static void topic_came(void *context, const struct zk_result *results, int32_t count)
{
    (void)count;
    struct topic_read *read = context;
    struct description *description = read->description;
    struct arena *arena = description->request->arena;
    struct config_map overrides = {0};
    enum err e = results[0].error;
    if (e && e != ERR_NOT_FOUND)
        e = err_note(e, "the settings of the topic are not read: %s", err_text(e));
    else
        e = config_store_decode(arena, e ? SLICE_NULL : results[0].data, &overrides);
    if (!e) {
        int32_t views_count;
        struct config_view *views = config_describe_topic(
            config_now(description->server->live), &overrides, read->asked->configuration_keys,
            read->asked->configuration_keys_count, arena, &views_count);
        set_entries(description, views, views_count, read->result);
    }
    set_error(description, read->result, e);
    config_map_done(&overrides);
    release(description);
}

static bool has_topic(struct server *server, struct slice name)
{
    metadata_cache_lock(server->broker.metadata_cache);
    bool is_there = metadata_topic(server->broker.metadata_cache, name) != NULL;
    metadata_cache_unlock(server->broker.metadata_cache);
    return is_there;
}

static enum err describe_topic(struct description *description, const asked_resource *asked,
                               result_of_resource *result)
{
    struct arena *arena = description->request->arena;
    enum err e = topic_name_check(asked->resource_name);
    if (e)
        return e;
    if (!has_topic(description->server, asked->resource_name)) {
        result->error_code = err_wire_code(ERR_UNKNOWN_TOPIC_OR_PARTITION); /* without a message */
        return ERR_OK;
    }
    struct topic_read *read = arena_alloc(arena, sizeof *read);
    *read = (struct topic_read){description, asked, result};
    const char *path = znode_config_path(arena, "topics", asked->resource_name);
    struct zk_op op = {.kind = ZK_OP_GET, .path = slice_str(path)};
    description->pending++;
    zk_read(description->server->control_zk, &op, topic_came, read);
    return ERR_OK;
}

/* --- brokers and loggers --- */

static enum err parse_broker_id(struct slice name, int64_t *ret_id)
{
    if (slice_to_int64(name, ret_id) && *ret_id >= INT32_MIN && *ret_id <= INT32_MAX)
        return ERR_OK;
    return err_note(ERR_INVALID_REQUEST, "Broker id must be an integer, but it is: %.*s",
                    SLICE_ARG(name));
}

static enum err describe_broker(struct description *description, const asked_resource *asked,
                                result_of_resource *result)
{
    const struct config *config = config_now(description->server->live);
    struct arena *arena = description->request->arena;
    int32_t own = description->server->broker.id, count;
    struct config_view *views;
    int64_t id = own;
    enum err e = asked->resource_name.size ? parse_broker_id(asked->resource_name, &id) : ERR_OK;
    if (e)
        return e;
    if (id != own)
        return err_note(ERR_INVALID_REQUEST,
                        "Unexpected broker id, expected %d or empty string, but received %.*s", own,
                        SLICE_ARG(asked->resource_name));
    if (asked->resource_name.size)
        views = config_describe_broker(config, asked->configuration_keys,
                                       asked->configuration_keys_count, arena, &count);
    else
        views = config_describe_broker_default(config, asked->configuration_keys,
                                               asked->configuration_keys_count, arena, &count);
    set_entries(description, views, count, result);
    return ERR_OK;
}

static bool is_root_asked(const asked_resource *asked)
{
    for (int32_t i = 0; i < asked->configuration_keys_count; i++) {
        if (slice_equal_str(asked->configuration_keys[i], ROOT_LOGGER))
            return true;
    }
    return asked->configuration_keys_count <= 0;
}

static enum err describe_loggers(struct description *description, const asked_resource *asked,
                                 result_of_resource *result)
{
    int32_t own = description->server->broker.id;
    int64_t id;
    if (!asked->resource_name.size)
        return err_note(ERR_INVALID_REQUEST, "Broker id must not be empty");
    enum err e = parse_broker_id(asked->resource_name, &id);
    if (e)
        return e;
    if (id != own)
        return err_note(ERR_INVALID_REQUEST, "Unexpected broker id, expected %d but received %.*s",
                        own, SLICE_ARG(asked->resource_name));
    struct config_view view = {.name = ROOT_LOGGER, .value = root_logger_level()};
    set_entries(description, &view, is_root_asked(asked) ? 1 : 0, result);
    if (result->configs_count)
        result->configs[0].config_source = SOURCE_BROKER_LOGGER;
    return ERR_OK;
}

/* --- the request --- */

static enum err describe(struct description *description, const asked_resource *asked,
                         result_of_resource *result)
{
    switch (asked->resource_type) {
    case RESOURCE_TOPIC:
        return describe_topic(description, asked, result);
    case RESOURCE_BROKER:
        return describe_broker(description, asked, result);
    case RESOURCE_BROKER_LOGGER:
        return describe_loggers(description, asked, result);
    default:
        if (!asked->resource_name.size)
            return err_note(ERR_INVALID_REQUEST,
                            "Client metrics subscription name must not be empty");
        return err_note(ERR_INVALID_REQUEST,
                        "Config type client-metrics is only supported on KRaft clusters");
    }
}

/* The JVM broker gives up the whole request over a type that it does not know. */
static enum err check_types(const struct describe_configs_request *message)
{
    for (int32_t i = 0; i < message->resources_count; i++) {
        int8_t type = message->resources[i].resource_type;
        if (type != RESOURCE_TOPIC && type != RESOURCE_BROKER && type != RESOURCE_BROKER_LOGGER &&
            type != RESOURCE_CLIENT_METRICS)
            return err_note(ERR_INVALID_REQUEST,
                            "This most likely occurs because of a request being malformed by the "
                            "client library or the message was sent to an incompatible broker. See "
                            "the broker logs for more details.");
    }
    return ERR_OK;
}

static void set_results(struct description *description)
{
    const struct describe_configs_request *message = description->message;
    struct describe_configs_response *response = &description->response;
    describe_configs_response_init(response);
    response->results = arena_new_array(description->request->arena, result_of_resource,
                                        message->resources_count + 1);
    response->results_count = message->resources_count;
    for (int32_t i = 0; i < message->resources_count; i++) {
        describe_configs_response_describe_configs_result_init(&response->results[i]);
        response->results[i].resource_type = message->resources[i].resource_type;
        response->results[i].resource_name = message->resources[i].resource_name;
    }
}

void handle_describe_configs(struct request *request)
{
    struct description *description = arena_alloc(request->arena, sizeof *description);
    description->request = request;
    description->server = request->broker->server;
    description->message = request->message;
    description->pending = 1; /* our own, until all are begun */
    set_results(description);
    enum err e = check_types(description->message);
    for (int32_t i = 0; i < description->response.results_count; i++) {
        result_of_resource *result = &description->response.results[i];
        set_error(description, result,
                  e ? e : describe(description, &description->message->resources[i], result));
    }
    release(description);
}
