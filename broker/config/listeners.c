/* listeners, advertised.listeners and what belongs to them, with the checks of KafkaConfig.
 *
 *     listeners=CLIENTS://:9092,BETWEEN://10.0.0.1:9093       where to listen
 *     advertised.listeners=CLIENTS://kafka1.example:9092      what others are told, by name
 *     listener.security.protocol.map=CLIENTS:PLAINTEXT,…      how each one speaks
 *     inter.broker.listener.name=BETWEEN                      which one is for brokers
 */
#include <netdb.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "broker/config/config_internal.h"

#define HOST_NAME_MAX_BYTES 256

struct protocol_entry {
    const char *listener;
    enum security_protocol protocol;
};

struct protocol_map {
    struct protocol_entry *entries;
    int32_t count;
};

static const char *const protocol_names[] = {
    [PROTOCOL_PLAINTEXT] = "PLAINTEXT",
    [PROTOCOL_SSL] = "SSL",
    [PROTOCOL_SASL_PLAINTEXT] = "SASL_PLAINTEXT",
    [PROTOCOL_SASL_SSL] = "SASL_SSL",
};

const char *security_protocol_name(enum security_protocol protocol)
{
    return protocol_names[protocol];
}

static bool parse_protocol(const char *text, enum security_protocol *ret_protocol)
{
    for (size_t i = 0; i < ARRAY_SIZE(protocol_names); i++) {
        if (strcasecmp(text, protocol_names[i]) == 0) {
            *ret_protocol = (enum security_protocol)i;
            return true;
        }
    }
    return false;
}

static const char *text_of(const struct config *config, const char *name)
{
    return config_text(config, config_key_find(name));
}

static const char *given(const struct config *config, const char *name)
{
    return config_map_get(&config->inside->merged, name);
}

static const char *upper(struct arena *arena, const char *text, size_t size)
{
    char *copy = arena_strdup(arena, slice_of(text, size));
    for (char *c = copy; *c; c++)
        *c = *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
    return copy;
}

static const char *trimmed(struct arena *arena, const char *text)
{
    struct config_list items = config_list_split(text, arena);
    return items.count ? items.items[0] : "";
}

static struct protocol_map read_protocol_map(const struct config *config,
                                             struct config_problems *problems)
{
    const char *key = "listener.security.protocol.map";
    struct arena *arena = config->inside->arena;
    struct config_list items = config_list_split(text_of(config, key), arena);
    struct protocol_map map = {arena_new_array(arena, struct protocol_entry, items.count + 1), 0};
    for (int32_t i = 0; i < items.count; i++) {
        const char *item = items.items[i], *colon = strrchr(item, ':');
        struct protocol_entry *entry = &map.entries[map.count];
        if (!colon || !parse_protocol(colon + 1, &entry->protocol)) {
            config_problem_error(
                problems, key,
                "Invalid value '%s' for configuration %s: it must be NAME:PROTOCOL "
                "with PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL",
                item, key);
            continue;
        }
        entry->listener = upper(arena, item, (size_t)(colon - item));
        map.count++;
    }
    return map;
}

static bool protocol_of(const struct protocol_map *map, const char *name,
                        enum security_protocol *ret_protocol)
{
    for (int32_t i = 0; i < map->count; i++) {
        if (strcmp(map->entries[i].listener, name) == 0) {
            *ret_protocol = map->entries[i].protocol;
            return true;
        }
    }
    return false;
}

/* One NAME://host:port; an IPv6 address stands in brackets. */
static bool parse_endpoint(struct arena *arena, const char *text, struct listener_config *ret)
{
    const char *scheme_end = strstr(text, "://");
    const char *colon = strrchr(text, ':');
    int64_t port;
    if (!scheme_end || !colon || colon < scheme_end + 3 ||
        !slice_to_int64(slice_str(colon + 1), &port) || port < -1 || port > 65535)
        return false;
    const char *host = scheme_end + 3;
    size_t size = (size_t)(colon - host);
    if (size >= 2 && host[0] == '[' && host[size - 1] == ']') {
        host++;
        size -= 2;
    }
    for (size_t i = 0; i < size; i++) {
        if (!strchr("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-%._:", host[i]))
            return false;
    }
    ret->name = upper(arena, text, (size_t)(scheme_end - text));
    ret->host = arena_strdup(arena, slice_of(host, size));
    ret->port = (int32_t)port;
    return true;
}

/* Parse the whole of listeners or advertised.listeners; names are known to the protocol map and
 * unique. */
static struct listener_config *parse_endpoints(const struct config *config, const char *key,
                                               const struct protocol_map *map, int32_t *ret_count,
                                               struct config_problems *problems)
{
    struct arena *arena = config->inside->arena;
    struct config_list items = config_list_split(text_of(config, key), arena);
    struct listener_config *endpoints =
        arena_new_array(arena, struct listener_config, items.count + 1);
    int32_t count = 0;
    for (int32_t i = 0; i < items.count; i++) {
        struct listener_config *endpoint = &endpoints[count];
        if (!parse_endpoint(arena, items.items[i], endpoint)) {
            config_problem_error(problems, key,
                                 "Unable to parse %s in %s to a broker endpoint: it must be "
                                 "NAME://host:port",
                                 items.items[i], key);
            continue;
        }
        if (!protocol_of(map, endpoint->name, &endpoint->protocol))
            config_problem_error(problems, key,
                                 "No security protocol defined for listener %s of %s; name it in "
                                 "listener.security.protocol.map",
                                 endpoint->name, key);
        for (int32_t j = 0; j < count; j++) {
            if (strcmp(endpoints[j].name, endpoint->name) == 0)
                config_problem_error(problems, key,
                                     "Each listener must have a different name, %s: %s", key,
                                     text_of(config, key));
        }
        count++;
    }
    *ret_count = count;
    return endpoints;
}

/* An address of each family may share a port: 0.0.0.0:9092 and [::]:9092 do not collide. */
static bool ports_collide(const struct listener_config *a, const struct listener_config *b)
{
    if (a->port != b->port || a->port == 0)
        return false;
    bool a_is_v6 = strchr(a->host, ':') != NULL, b_is_v6 = strchr(b->host, ':') != NULL;
    bool a_is_v4 = !a_is_v6 && a->host[strspn(a->host, "0123456789.")] == 0 && a->host[0];
    bool b_is_v4 = !b_is_v6 && b->host[strspn(b->host, "0123456789.")] == 0 && b->host[0];
    return !((a_is_v4 && b_is_v6) || (a_is_v6 && b_is_v4));
}

static void check_ports(const struct config *config, struct config_problems *problems)
{
    for (int32_t i = 0; i < config->listeners_count; i++) {
        const struct listener_config *listener = &config->listeners[i];
        if (listener->port < 0)
            config_problem_error(problems, "listeners", "the port of listener %s is negative",
                                 listener->name);
        for (int32_t j = 0; j < i; j++) {
            if (ports_collide(&config->listeners[j], listener))
                config_problem_error(problems, "listeners",
                                     "Each listener must have a different port, listeners: %s",
                                     text_of(config, "listeners"));
        }
    }
}

/* What InetAddress.getLocalHost().getCanonicalHostName() gives: the name by which others may know
 * us. */
static const char *canonical_host_name(struct arena *arena)
{
    char name[HOST_NAME_MAX_BYTES] = "localhost";
    struct addrinfo hints = {.ai_flags = AI_CANONNAME}, *found = NULL;
    gethostname(name, sizeof(name) - 1);
    if (getaddrinfo(name, NULL, &hints, &found) == 0 && found && found->ai_canonname)
        snprintf(name, sizeof(name), "%s", found->ai_canonname);
    if (found)
        freeaddrinfo(found);
    return arena_strdup(arena, slice_str(name));
}

static struct listener_config *find(struct listener_config *listeners, int32_t count,
                                    const char *name)
{
    for (int32_t i = 0; i < count; i++) {
        if (strcasecmp(listeners[i].name, name) == 0)
            return &listeners[i];
    }
    return NULL;
}

static void advertise(const struct config *config, struct listener_config *listener,
                      const char *host, int32_t port)
{
    listener->is_advertised = true;
    listener->advertised_host = host[0] ? host : canonical_host_name(config->inside->arena);
    listener->advertised_port = port;
}

static void read_advertised(const struct config *config, struct listener_config *listeners,
                            int32_t count, const struct protocol_map *map,
                            struct config_problems *problems)
{
    const char *key = "advertised.listeners";
    const char *text = given(config, key);
    if (!text || !trimmed(config->inside->arena, text)[0]) {
        key = "listeners";
        for (int32_t i = 0; i < count; i++)
            advertise(config, &listeners[i], listeners[i].host, listeners[i].port);
    } else {
        int32_t endpoints_count;
        struct listener_config *endpoints =
            parse_endpoints(config, key, map, &endpoints_count, problems);
        for (int32_t i = 0; i < endpoints_count; i++) {
            struct listener_config *listener = find(listeners, count, endpoints[i].name);
            if (listener)
                advertise(config, listener, endpoints[i].host, endpoints[i].port);
            else
                config_problem_error(problems, key,
                                     "advertised.listeners listener names must be equal to or a "
                                     "subset of the ones defined in listeners. Found %s, listeners "
                                     "has %s",
                                     endpoints[i].name, text_of(config, "listeners"));
        }
    }
    for (int32_t i = 0; i < count; i++) {
        if (listeners[i].is_advertised && strcmp(listeners[i].advertised_host, "0.0.0.0") == 0)
            config_problem_error(problems, key,
                                 "advertised.listeners cannot use the nonroutable meta-address "
                                 "0.0.0.0. Use a routable IP address.");
    }
}

static void pick_inter_broker(struct config *config, struct listener_config *listeners,
                              int32_t count, struct config_problems *problems)
{
    struct arena *arena = config->inside->arena;
    const char *key = "inter.broker.listener.name", *name = given(config, key);
    if (name && given(config, "security.inter.broker.protocol"))
        config_problem_error(problems, key,
                             "Only one of inter.broker.listener.name and "
                             "security.inter.broker.protocol should be set.");
    if (!name)
        name = text_of(config, "security.inter.broker.protocol");
    name = trimmed(arena, name);
    struct listener_config *listener = find(listeners, count, name);
    if (!listener || !listener->is_advertised)
        config_problem_error(problems, key,
                             "inter.broker.listener.name must be a listener name defined in "
                             "advertised.listeners: %s is not among %s",
                             name,
                             given(config, "advertised.listeners")
                                 ? given(config, "advertised.listeners")
                                 : text_of(config, "listeners"));
    config->inter_broker_listener = listener;
}

static void pick_control_plane(struct config *config, struct listener_config *listeners,
                               int32_t count, struct config_problems *problems)
{
    const char *key = "control.plane.listener.name", *name = given(config, key);
    if (!name)
        return;
    name = trimmed(config->inside->arena, name);
    config->control_plane_listener = find(listeners, count, name);
    if (!config->control_plane_listener)
        config_problem_error(problems, key,
                             "control.plane.listener.name must be a listener name defined in "
                             "listeners: %s is not among %s",
                             name, text_of(config, "listeners"));
    else if (config->control_plane_listener == config->inter_broker_listener)
        config_problem_error(problems, key,
                             "control.plane.listener.name, when defined, should have a different "
                             "value from the inter broker listener name: both are %s",
                             name);
}

void config_read_listeners(struct config *config, struct config_problems *problems)
{
    int32_t count;
    struct protocol_map map = read_protocol_map(config, problems);
    struct listener_config *listeners =
        parse_endpoints(config, "listeners", &map, &count, problems);
    config->listeners = listeners;
    config->listeners_count = count;
    if (count == 0) {
        config_problem_error(problems, "listeners", "listeners names no listener");
        return;
    }
    check_ports(config, problems);
    read_advertised(config, listeners, count, &map, problems);
    pick_inter_broker(config, listeners, count, problems);
    pick_control_plane(config, listeners, count, problems);
}

const struct listener_config *config_listener(const struct config *config, const char *name)
{
    return find((struct listener_config *)config->listeners, config->listeners_count, name);
}
