/* A broker's registration:
 * {"features":{},"listener_security_protocol_map":{"PLAINTEXT":"PLAINTEXT"},
 *  "endpoints":["PLAINTEXT://b1:9092"],"rack":"r1","jmx_port":-1,"port":9092,"host":"b1","version":5,
 *  "timestamp":"1700000000000","stoker_intact_since":8589934601}
 * A node that another broker cannot read stops the whole cluster's controller (and other brokers'
 * starts), so this is written with care. */
#include <ctype.h>
#include <inttypes.h>
#include <strings.h>

#include "coordinator/zk/znode_json.h"

#define BROKER_JSON_VERSION 5
#define INTACT_SINCE_KEY    "stoker_intact_since"

static const char *const security_names[] = {"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"};

const char *znode_security_name(int16_t security_protocol)
{
    assert(security_protocol >= 0 && security_protocol <= ZNODE_SASL_SSL);
    return security_names[security_protocol];
}

static bool security_of(const char *name, int16_t *ret_protocol)
{
    for (size_t i = 0; i < ARRAY_SIZE(security_names); i++) {
        if (strcasecmp(name, security_names[i]) == 0) {
            *ret_protocol = (int16_t)i;
            return true;
        }
    }
    return false;
}

/* ---- Writing ---- */

static json_t *endpoint_text(const struct znode_endpoint *endpoint)
{
    bool ipv6 = endpoint->host.size && memchr(endpoint->host.data, ':', endpoint->host.size);
    OWNED_MEM char *text =
        mem_printf("%.*s://%s%.*s%s:%" PRId32, SLICE_ARG(endpoint->listener), ipv6 ? "[" : "",
                   SLICE_ARG(endpoint->host), ipv6 ? "]" : "", endpoint->port);
    return json_string(text);
}

static const struct znode_endpoint *first_plaintext(const struct znode_broker *broker)
{
    for (int32_t i = 0; i < broker->endpoint_count; i++)
        if (broker->endpoints[i].security_protocol == ZNODE_PLAINTEXT)
            return &broker->endpoints[i];
    return NULL;
}

static json_t *endpoints_json(const struct znode_broker *broker, json_t *protocols)
{
    json_t *endpoints = json_array();
    for (int32_t i = 0; i < broker->endpoint_count; i++) {
        const struct znode_endpoint *endpoint = &broker->endpoints[i];
        json_array_append_new(endpoints, endpoint_text(endpoint));
        json_object_setn_new(protocols, (const char *)endpoint->listener.data,
                             endpoint->listener.size,
                             json_string(znode_security_name(endpoint->security_protocol)));
    }
    return endpoints;
}

struct slice znode_broker_update(struct arena *arena, struct slice text,
                                 const struct znode_broker *broker)
{
    OWNED(json_t) json_t *json = znode_json_edit(text);
    json_t *features = json_object(), *protocols = json_object();
    for (int32_t i = 0; i < broker->feature_count; i++) {
        const struct znode_feature *f = &broker->features[i];
        json_object_setn_new(features, (const char *)f->name.data, f->name.size,
                             json_pack("{s:i,s:i}", "min_version", (int)f->min_version,
                                       "max_version", (int)f->max_version));
    }
    json_t *endpoints = endpoints_json(broker, protocols);
    const struct znode_endpoint *plain = first_plaintext(broker);
    json_object_set_new(json, "features", features);
    json_object_set_new(json, "listener_security_protocol_map", protocols);
    json_object_set_new(json, "endpoints", endpoints);
    if (slice_is_null(broker->rack))
        json_object_del(json, "rack");
    else
        json_object_set_new(json, "rack", znode_json_from_slice(broker->rack));
    znode_json_put_int(json, "jmx_port", broker->jmx_port);
    znode_json_put_int(json, "port", plain ? plain->port : -1);
    json_object_set_new(json, "host", znode_json_from_slice(plain ? plain->host : SLICE_NULL));
    znode_json_put_int(json, "version", BROKER_JSON_VERSION);
    json_object_set_new(json, "timestamp", znode_json_from_int64_text(broker->timestamp_ms));
    if (broker->intact_since == INTACT_SINCE_UNKNOWN)
        json_object_del(json, INTACT_SINCE_KEY);
    else
        znode_json_put_int(json, INTACT_SINCE_KEY, broker->intact_since);
    return znode_json_dump(arena, json);
}

struct slice znode_broker_set_intact_since(struct arena *arena, struct slice text,
                                           int64_t intact_since)
{
    OWNED(json_t) json_t *json = znode_json_edit(text);
    znode_json_put_int(json, INTACT_SINCE_KEY, intact_since);
    return znode_json_dump(arena, json);
}

struct slice znode_broker_encode(struct arena *arena, const struct znode_broker *broker)
{
    return znode_broker_update(arena, SLICE_NULL, broker);
}

/* ---- Reading ---- */

static bool host_is_valid(const char *host, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (!isalnum((unsigned char)host[i]) && !strchr("-%._:", host[i]))
            return false;
    return true;
}

/* NAME://[host]:port */
static enum err endpoint_parse(struct arena *arena, const char *text, const json_t *protocols,
                               struct znode_endpoint *ret_endpoint)
{
    const char *host = strstr(text, "://");
    const char *colon = strrchr(text, ':');
    if (!host || host == text || !colon || colon < host + 3)
        return err_note(ERR_MALFORMED, "endpoint '%s' is not NAME://host:port", text);
    struct znode_endpoint endpoint = {0};
    size_t name_size = (size_t)(host - text);
    char *name = arena_strdup(arena, slice_of(text, name_size));
    for (char *c = name; *c; c++)
        *c = (char)toupper((unsigned char)*c);
    endpoint.listener = slice_of(name, name_size);

    host += 3;
    size_t host_size = (size_t)(colon - host);
    if (host_size >= 2 && host[0] == '[' && host[host_size - 1] == ']') {
        host++;
        host_size -= 2;
    }
    int64_t port;
    if (!host_is_valid(host, host_size) || !slice_to_int64(slice_str(colon + 1), &port) ||
        port < -1 || port > INT32_MAX)
        return err_note(ERR_MALFORMED, "endpoint '%s' is not NAME://host:port", text);
    endpoint.host = slice_of(arena_strdup(arena, slice_of(host, host_size)), host_size);
    endpoint.port = (int32_t)port;

    const char *protocol = protocols ? json_string_value(json_object_get(protocols, name)) : name;
    if (!protocol || !security_of(protocol, &endpoint.security_protocol))
        return err_note(ERR_MALFORMED, "no security protocol is known for listener %s", name);
    *ret_endpoint = endpoint;
    return ERR_OK;
}

static enum err endpoints_parse(struct arena *arena, const json_t *json,
                                struct znode_broker *broker)
{
    const json_t *list = json_object_get(json, "endpoints");
    const json_t *protocols = json_object_get(json, "listener_security_protocol_map");
    if (!json_is_array(list))
        return err_note(ERR_MALFORMED, "'endpoints' is %s", list ? "not a list" : "missing");
    size_t count = json_array_size(list);
    broker->endpoints = arena_new_array(arena, struct znode_endpoint, count ? count : 1);
    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (!text)
            return err_note(ERR_MALFORMED, "an endpoint is not a string");
        struct znode_endpoint *endpoint = &broker->endpoints[i];
        enum err e = endpoint_parse(arena, text, protocols, endpoint);
        if (e)
            return e;
        for (size_t k = 0; k < i; k++)
            if (slice_equal(broker->endpoints[k].listener, endpoint->listener))
                return err_note(ERR_MALFORMED, "listener %.*s stands there twice",
                                SLICE_ARG(endpoint->listener));
        broker->endpoint_count++;
    }
    return ERR_OK;
}

/* Version 1 had one plaintext endpoint and no list. */
static enum err old_endpoint_parse(struct arena *arena, const json_t *json,
                                   struct znode_broker *broker)
{
    struct znode_endpoint *endpoint = arena_new_array(arena, struct znode_endpoint, 1);
    endpoint->listener = SLICE_LITERAL("PLAINTEXT");
    enum err e = znode_json_string(arena, json, "host", &endpoint->host);
    if (!e)
        e = znode_json_int32(json, "port", &endpoint->port);
    broker->endpoints = endpoint;
    broker->endpoint_count = 1;
    return e;
}

static enum err features_parse(struct arena *arena, json_t *object, struct znode_broker *broker)
{
    if (!object)
        return ERR_OK;
    size_t count = json_object_size(object);
    broker->features = arena_new_array(arena, struct znode_feature, count ? count : 1);
    const char *name;
    json_t *range;
    json_object_foreach(object, name, range)
    {
        struct znode_feature *f = &broker->features[broker->feature_count++];
        f->name = slice_str(arena_strdup(arena, slice_str(name)));
        enum err e = znode_json_int16(range, "min_version", &f->min_version);
        if (!e)
            e = znode_json_int16(range, "max_version", &f->max_version);
        if (!e && (f->min_version < 0 || f->max_version < f->min_version))
            e = err_note(ERR_MALFORMED, "the range is empty");
        if (e)
            return err_wrap(e, "feature %s", name);
    }
    return ERR_OK;
}

/* A value that makes no sense is none. */
static int64_t intact_since_of(const json_t *json)
{
    const json_t *value = json_object_get(json, INTACT_SINCE_KEY);
    int64_t since = json_is_integer(value) ? json_integer_value(value) : INTACT_SINCE_UNKNOWN;
    return since > 0 || since == INTACT_SINCE_REGISTRATION ? since : INTACT_SINCE_UNKNOWN;
}

enum err znode_broker_decode(struct arena *arena, struct slice text,
                             struct znode_broker *ret_broker)
{
    struct znode_broker broker = {.timestamp_ms = -1};
    OWNED(json_t) json_t *json = NULL;
    int32_t version = 0;
    enum err e = znode_json_parse(text, &json);
    if (!e)
        e = znode_json_int32(json, "version", &version);
    if (!e && version < 1)
        e = err_note(ERR_MALFORMED, "version %" PRId32 " is not known", version);
    if (!e)
        e = znode_json_int32(json, "jmx_port", &broker.jmx_port);
    if (!e)
        e = version == 1 ? old_endpoint_parse(arena, json, &broker)
                         : endpoints_parse(arena, json, &broker);
    if (!e)
        e = features_parse(arena, json_object_get(json, "features"), &broker);
    if (!e && json_is_string(json_object_get(json, "rack")))
        e = znode_json_string(arena, json, "rack", &broker.rack);
    if (e)
        return err_wrap(e, "broker registration '%.*s'", SLICE_ARG(text));
    if (json_is_string(json_object_get(json, "timestamp")) &&
        znode_json_int64_text(json, "timestamp", &broker.timestamp_ms))
        broker.timestamp_ms = -1; /* nobody needs it */
    broker.intact_since = intact_since_of(json);
    *ret_broker = broker;
    return ERR_OK;
}
