/* AlterConfigs and IncrementalAlterConfigs, in the two steps in which the JVM broker takes them:
 * first what can be judged without ZooKeeper, each resource by itself; then those that are left are
 * changed where they are stored. The answer goes out when the last of them is done.
 *
 * Thread: control, from beginning to end. */
#include "broker/server/handle_configs.h"

#include "broker/api/handlers.h"
#include "broker/base/map.h"
#include "broker/config/config_key.h"
#include "broker/config/topic_config.h"
#include "broker/server/config_store.h"
#include "broker/server/server_internal.h"
#include "coordinator/zk/znode.h"
#include "wire/alter_configs.h"
#include "wire/incremental_alter_configs.h"

struct alteration;

struct resource {
    struct alteration *alteration;
    int8_t type;
    struct slice name;
    struct config_op *ops;
    int32_t ops_count;
    bool is_done;
    int16_t error_code;
    struct slice message;
};

struct alteration {
    struct request *request;
    struct server *server;
    struct resource *resources;
    int32_t count, pending;
    bool validate_only, is_incremental;
};

static void set_done(struct resource *resource, enum err e)
{
    resource->is_done = true;
    resource->error_code = err_wire_code(e);
    /* What went wrong inside is not told. */
    resource->message =
        e && e != ERR_UNKNOWN_SERVER_ERROR
            ? arena_copy(resource->alteration->request->arena, slice_str(err_sentence(e)))
            : SLICE_NULL;
}

/* --- the answer --- */

static void answer_replaced(struct alteration *alteration)
{
    struct arena *arena = alteration->request->arena;
    struct alter_configs_response response;
    alter_configs_response_init(&response);
    response.responses = arena_new_array(
        arena, struct alter_configs_response_alter_configs_resource_response, alteration->count);
    response.responses_count = alteration->count;
    for (int32_t i = 0; i < alteration->count; i++) {
        const struct resource *from = &alteration->resources[i];
        alter_configs_response_alter_configs_resource_response_init(&response.responses[i]);
        response.responses[i].error_code = from->error_code;
        response.responses[i].error_message = from->message;
        response.responses[i].resource_type = from->type;
        response.responses[i].resource_name = from->name;
    }
    request_answer(alteration->request, &response);
}

static void answer_incremental(struct alteration *alteration)
{
    struct arena *arena = alteration->request->arena;
    struct incremental_alter_configs_response response;
    incremental_alter_configs_response_init(&response);
    response.responses = arena_new_array(
        arena, struct incremental_alter_configs_response_alter_configs_resource_response,
        alteration->count);
    response.responses_count = alteration->count;
    for (int32_t i = 0; i < alteration->count; i++) {
        const struct resource *from = &alteration->resources[i];
        incremental_alter_configs_response_alter_configs_resource_response_init(
            &response.responses[i]);
        response.responses[i].error_code = from->error_code;
        response.responses[i].error_message = from->message;
        response.responses[i].resource_type = from->type;
        response.responses[i].resource_name = from->name;
    }
    request_answer(alteration->request, &response);
}

static void release(struct alteration *alteration)
{
    if (--alteration->pending > 0)
        return;
    if (alteration->is_incremental)
        answer_incremental(alteration);
    else
        answer_replaced(alteration);
}

/* --- first step: each resource by itself --- */

static void refuse_duplicates(struct alteration *alteration)
{
    struct map seen = {0};
    struct buf key = {0};
    for (int32_t i = 0; i < alteration->count; i++) {
        struct resource *resource = &alteration->resources[i];
        key.size = 0;
        buf_put_u8(&key, (uint8_t)resource->type);
        buf_put_slice(&key, resource->name);
        struct resource *other = map_put(&seen, buf_slice(&key), resource);
        if (!other)
            continue;
        enum err e = err_note(ERR_INVALID_REQUEST, "Each resource must appear at most once.");
        set_done(other, e);
        set_done(resource, e);
    }
    buf_done(&key);
    map_done(&seen);
}

static bool is_number(struct slice name)
{
    int64_t id;
    return slice_to_int64(name, &id) && id >= INT32_MIN && id <= INT32_MAX;
}

static enum err check_node_id(const struct resource *resource)
{
    int32_t own = resource->alteration->server->broker.id;
    int64_t id;
    if (!is_number(resource->name))
        return err_note(ERR_INVALID_REQUEST, "Node id must be an integer, but it is: %.*s",
                        SLICE_ARG(resource->name));
    if (slice_to_int64(resource->name, &id) && id != own)
        return err_note(ERR_INVALID_REQUEST, "Unexpected broker id, expected %d, but received %.*s",
                        own, SLICE_ARG(resource->name));
    return ERR_OK;
}

static enum err alter_loggers(struct resource *resource)
{
    int32_t own = resource->alteration->server->broker.id;
    enum err e = check_node_id(resource);
    if (e && is_number(resource->name)) /* what was received is not said, as by the JVM broker */
        e = err_note(e, "Unexpected node id. Expected %d, but received %d", own, own);
    if (!e)
        e = logger_ops_check(resource->ops, resource->ops_count);
    if (!e && !resource->alteration->validate_only)
        logger_ops_apply(resource->ops, resource->ops_count);
    return e;
}

static enum err check_type(struct resource *resource)
{
    switch (resource->type) {
    case RESOURCE_TOPIC:
        return ERR_OK;
    case RESOURCE_CLIENT_METRICS:
        return err_note(ERR_INVALID_REQUEST,
                        "AlterConfigs is only supported for topics and brokers, but resource type "
                        "is CLIENT_METRICS");
    case RESOURCE_BROKER:
        return resource->name.size ? check_node_id(resource) : ERR_OK;
    case RESOURCE_BROKER_LOGGER:
        if (resource->alteration->is_incremental)
            return alter_loggers(resource);
        break;
    default:
        break;
    }
    return err_note(ERR_INVALID_REQUEST, "Unknown resource type %d", resource->type);
}

static void judge(struct resource *resource)
{
    enum err e = config_ops_check_names(resource->ops, resource->ops_count);
    if (!e)
        e = check_type(resource);
    if (e || resource->type == RESOURCE_BROKER_LOGGER)
        set_done(resource, e);
}

/* --- second step: what ZooKeeper holds --- */

static enum err apply_ops(const struct resource *resource, enum config_target target,
                          struct config_map *properties)
{
    if (resource->alteration->is_incremental)
        return config_ops_apply(target, resource->ops, resource->ops_count, properties);
    config_map_done(properties);
    return config_ops_replace(resource->ops, resource->ops_count, properties);
}

static bool has_topic(struct server *server, struct slice name)
{
    metadata_cache_lock(server->broker.metadata_cache);
    bool is_there = metadata_topic(server->broker.metadata_cache, name) != NULL;
    metadata_cache_unlock(server->broker.metadata_cache);
    return is_there;
}

static enum err change_topic(void *context, struct config_map *properties)
{
    struct resource *resource = context;
    struct server *server = resource->alteration->server;
    enum err e = apply_ops(resource, TARGET_TOPIC, properties);
    if (e)
        return e;
    if (!has_topic(server, resource->name))
        return err_note(ERR_UNKNOWN_TOPIC_OR_PARTITION, "The topic '%.*s' does not exist.",
                        SLICE_ARG(resource->name));
    e = topic_config_check(config_now(server->live), properties);
    if (e && (slice_starts_with(slice_str(err_sentence(e)), "Invalid value") ||
              slice_starts_with(slice_str(err_sentence(e)), "Tiered Storage")))
        return err_wrap(e,
                        "Invalid config value for resource ConfigResource(type=TOPIC, "
                        "name='%.*s')",
                        SLICE_ARG(resource->name));
    return e;
}

static bool is_password(struct slice name)
{
    OWNED_MEM char *text = slice_dup(name);
    const struct config_key *key = config_key_find_inner(text);
    return key && key->type == CONFIG_PASSWORD;
}

/* A password must never stand in ZooKeeper as it is. This broker encrypts none, so it answers as
 * one without password.encoder.secret does. */
static enum err check_passwords(const struct resource *resource)
{
    for (int32_t i = 0; i < resource->ops_count; i++) {
        if (resource->ops[i].kind != CONFIG_OP_DELETE && is_password(resource->ops[i].name))
            return err_note(ERR_INVALID_REQUEST,
                            "Invalid config value for resource ConfigResource(type=BROKER, "
                            "name='%.*s'): Password encoder secret not configured",
                            SLICE_ARG(resource->name));
    }
    return ERR_OK;
}

static enum err change_broker(void *context, struct config_map *properties)
{
    struct resource *resource = context;
    enum config_target target = resource->name.size ? TARGET_BROKER : TARGET_BROKER_DEFAULT;
    const struct config *config = config_now(resource->alteration->server->live);
    struct arena *arena = resource->alteration->request->arena;
    enum err frozen = config_ops_check_live(config, resource->ops, resource->ops_count, properties);
    struct slice why_frozen =
        frozen ? arena_copy(arena, slice_str(err_sentence(frozen))) : SLICE_NULL;
    enum err e = apply_ops(resource, target, properties);
    if (!e)
        e = broker_config_check(config, target, properties);
    if (!e)
        e = check_passwords(resource);
    /* At last: what a JVM broker refuses too is refused in its words. */
    return e || !frozen ? e : err_note(frozen, "%.*s", SLICE_ARG(why_frozen));
}

static void stored(void *context, enum err e)
{
    struct resource *resource = context;
    set_done(resource, e);
    release(resource->alteration);
}

static struct slice entity_name(const struct resource *resource)
{
    if (resource->type == RESOURCE_TOPIC)
        return resource->name;
    if (!resource->name.size)
        return SLICE_LITERAL(ZNODE_CONFIG_DEFAULT);
    /* As a number is written, which "+1" and "01" are not. */
    return slice_str(arena_printf(resource->alteration->request->arena, "%d",
                                  resource->alteration->server->broker.id));
}

static void store(struct resource *resource)
{
    struct alteration *alteration = resource->alteration;
    bool is_topic = resource->type == RESOURCE_TOPIC;
    if (is_topic && !resource->name.size) {
        set_done(resource,
                 err_note(ERR_INVALID_REQUEST, "Default topic resources are not allowed."));
        return;
    }
    if (is_topic && alteration->is_incremental &&
        znode_path_check(alteration->request->arena, "/config/topics", resource->name)) {
        /* Kafka reads first what ZooKeeper holds of it, and its client refuses. */
        set_done(resource, err_note(ERR_INVALID_CONFIG,
                                    "Invalid config value for resource "
                                    "ConfigResource(type=TOPIC, name='%.*s'): %s",
                                    SLICE_ARG(resource->name), err_sentence(ERR_MALFORMED)));
        return;
    }
    if (is_topic && !has_topic(alteration->server, resource->name)) {
        /* No znode is asked for by a name that may be no path. */
        struct config_map none = {0};
        set_done(resource, change_topic(resource, &none));
        config_map_done(&none);
        return;
    }
    alteration->pending++;
    config_store_change(&(struct config_store_options){
        .zk = alteration->server->control_zk,
        .arena = alteration->request->arena,
        .type = is_topic ? "topics" : "brokers",
        .name = entity_name(resource),
        .validate_only = alteration->validate_only,
        .change = is_topic ? change_topic : change_broker,
        .stored = stored,
        .context = resource,
    });
}

static void alter(struct alteration *alteration)
{
    alteration->pending = 1; /* our own, until all are begun */
    refuse_duplicates(alteration);
    for (int32_t i = 0; i < alteration->count; i++) {
        if (!alteration->resources[i].is_done)
            judge(&alteration->resources[i]);
    }
    for (int32_t i = 0; i < alteration->count; i++) {
        if (!alteration->resources[i].is_done)
            store(&alteration->resources[i]);
    }
    release(alteration);
}

/* --- both requests as one --- */

static struct alteration *alteration_new(struct request *request, int32_t count)
{
    struct alteration *alteration = arena_alloc(request->arena, sizeof *alteration);
    alteration->request = request;
    alteration->server = request->broker->server;
    alteration->count = count;
    alteration->resources = arena_new_array(request->arena, struct resource, count + 1);
    return alteration;
}

static void set_resource(struct alteration *alteration, int32_t i, int8_t type, struct slice name,
                         int32_t ops_count)
{
    alteration->resources[i] = (struct resource){
        .alteration = alteration,
        .type = type,
        .name = name,
        .ops = arena_new_array(alteration->request->arena, struct config_op, ops_count + 1),
        .ops_count = ops_count,
    };
}

void handle_alter_configs(struct request *request)
{
    const struct alter_configs_request *message = request->message;
    struct alteration *alteration = alteration_new(request, message->resources_count);
    alteration->validate_only = message->validate_only;
    for (int32_t i = 0; i < message->resources_count; i++) {
        const struct alter_configs_request_alter_configs_resource *from = &message->resources[i];
        set_resource(alteration, i, from->resource_type, from->resource_name, from->configs_count);
        for (int32_t c = 0; c < from->configs_count; c++)
            alteration->resources[i].ops[c] =
                (struct config_op){CONFIG_OP_SET, from->configs[c].name, from->configs[c].value};
    }
    alter(alteration);
}

void handle_incremental_alter_configs(struct request *request)
{
    const struct incremental_alter_configs_request *message = request->message;
    struct alteration *alteration = alteration_new(request, message->resources_count);
    alteration->is_incremental = true;
    alteration->validate_only = message->validate_only;
    for (int32_t i = 0; i < message->resources_count; i++) {
        const struct incremental_alter_configs_request_alter_configs_resource *from =
            &message->resources[i];
        set_resource(alteration, i, from->resource_type, from->resource_name, from->configs_count);
        for (int32_t c = 0; c < from->configs_count; c++)
            alteration->resources[i].ops[c] = (struct config_op){
                from->configs[c].config_operation, from->configs[c].name, from->configs[c].value};
    }
    alter(alteration);
}
