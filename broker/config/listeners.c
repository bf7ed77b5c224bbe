/* listeners, advertised.listeners and what belongs to them, with the checks of KafkaConfig.
 *
 *     listeners=CLIENTS://:9092,BETWEEN://10.0.0.1:9093       where to listen
 *     advertised.listeners=CLIENTS://kafka1.example:9092      what others are told, by name
 *     listener.security.protocol.map=CLIENTS:PLAINTEXT,…      how each one speaks
 *     inter.broker.listener.name=BETWEEN                      which one is for brokers
 */
#include <inttypes.h>
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

/* What KafkaConfig says where a text of endpoints cannot be one. */
#define BAD_ENDPOINTS "Error creating broker listeners from '%s': "

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
                                 BAD_ENDPOINTS "Unable to parse %s to a broker endpoint",
                                 text_of(config, key), items.items[i]);
            continue;
        }
        if (!protocol_of(map, endpoint->name, &endpoint->protocol))
            config_problem_error(problems, key,
                                 BAD_ENDPOINTS "No security protocol defined for listener %s",
                                 text_of(config, key), endpoint->name);
        for (int32_t j = 0; j < count; j++) {
            if (strcmp(endpoints[j].name, endpoint->name) == 0)
                config_problem_error(problems, key,
                                     "requirement failed: Each listener must have a different "
                                     "name, listeners: %s",
                                     text_of(config, key));
        }
        count++;
    }
    *ret_count = count;
    return endpoints;
}

static bool is_v6(const char *host)
{
    return strchr(host, ':') != NULL;
}

static bool is_v4(const char *host)
{
    return host[0] && !host[strspn(host, "0123456789.")];
}

/* An address of each family may share a port: 0.0.0.0:9092 and [::]:9092 do not collide. */
static void check_port(const struct config *config, const struct listener_config *a,
                       const struct listener_config *b, struct config_problems *problems)
{
    const char *text = text_of(config, "listeners");
    bool are_addresses = (is_v4(a->host) || is_v6(a->host)) && (is_v4(b->host) || is_v6(b->host));
    if (a->port != b->port || a->port == 0 || (are_addresses && is_v4(a->host) != is_v4(b->host)))
        return;
    if (are_addresses)
        config_problem_error(
            problems, "listeners",
            "requirement failed: If you have two listeners on the same port then "
            "one needs to be IPv4 and the other IPv6, listeners: %s, port: %" PRId32,
            text, a->port);
    else
        config_problem_error(problems, "listeners",
                             "requirement failed: Each listener must have a different port, "
                             "listeners: %s",
                             text);
}

static void check_ports(const struct config *config, struct config_problems *problems)
{
    for (int32_t i = 0; i < config->listeners_count; i++) {
        const struct listener_config *listener = &config->listeners[i];
        if (listener->port < 0)
            config_problem_error(problems, "listeners", "the port of listener %s is negative",
                                 listener->name);
        for (int32_t j = 0; j < i; j++)
            check_port(config, &config->listeners[j], listener, problems);
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

/* The listener's, or that of a protocol, whose name is the listener's then. */
static const char *inter_broker_name(const struct config *config)
{
    const char *name = given(config, "inter.broker.listener.name");
    return trimmed(config->inside->arena,
                   name ? name : text_of(config, "security.inter.broker.protocol"));
}

static void advertise(const struct config *config, struct listener_config *listener,
                      const char *host, int32_t port)
{
    listener->is_advertised = true;
    listener->advertised_host = host[0] ? host : canonical_host_name(config->inside->arena);
    listener->advertised_port = port;
}

static const char *names_of(struct arena *arena, const struct listener_config *endpoints,
                            int32_t count)
{
    const char *names = "";
    for (int32_t i = 0; i < count; i++)
        names = arena_printf(arena, "%s%s%s", names, i ? "," : "", endpoints[i].name);
    return names;
}

/* What is advertised must be listened on, and the brokers' listener be among it; said in the order
 * of KafkaConfig. */
static void check_advertised(const struct config *config, const struct listener_config *endpoints,
                             int32_t endpoints_count, const struct protocol_map *map,
                             struct config_problems *problems)
{
    struct arena *arena = config->inside->arena;
    const char *inter_broker = inter_broker_name(config);
    enum security_protocol protocol;
    if (!protocol_of(map, upper(arena, inter_broker, strlen(inter_broker)), &protocol))
        config_problem_error(problems, "inter.broker.listener.name",
                             "Listener with name %s defined in inter.broker.listener.name not "
                             "found in listener.security.protocol.map.",
                             inter_broker);
    const char *names = names_of(arena, endpoints, endpoints_count);
    if (!find((struct listener_config *)endpoints, endpoints_count, inter_broker_name(config)))
        config_problem_error(problems, "inter.broker.listener.name",
                             "requirement failed: inter.broker.listener.name must be a listener "
                             "name defined in advertised.listeners. The valid options based on "
                             "currently configured listeners are %s",
                             names);
    for (int32_t i = 0; i < endpoints_count; i++) {
        if (config_listener(config, endpoints[i].name))
            continue;
        config_problem_error(problems, "advertised.listeners",
                             "requirement failed: advertised.listeners listener names must be "
                             "equal to or a subset of the ones defined in listeners. Found %s. The "
                             "valid options based on the current configuration are %s",
                             names, names_of(arena, config->listeners, config->listeners_count));
        return;
    }
}

static void read_advertised(const struct config *config, struct listener_config *listeners,
                            int32_t count, const struct protocol_map *map,
                            struct config_problems *problems)
{
    const char *key = "advertised.listeners";
    const char *text = given(config, key);
    struct listener_config *endpoints = listeners;
    int32_t endpoints_count = count;
    if (text)
        endpoints = parse_endpoints(config, key, map, &endpoints_count, problems);
    else
        key = "listeners";
    if (endpoints_count == 0 && problems->errors == 0)
        config_problem_error(
            problems, key,
            "requirement failed: There must be at least one broker advertised listener.");
    for (int32_t i = 0; i < endpoints_count; i++) {
        struct listener_config *listener = find(listeners, count, endpoints[i].name);
        if (listener)
            advertise(config, listener, endpoints[i].host, endpoints[i].port);
    }
    if (problems->errors == 0)
        check_advertised(config, endpoints, endpoints_count, map, problems);
    for (int32_t i = 0; i < count; i++) {
        if (listeners[i].is_advertised && strcmp(listeners[i].advertised_host, "0.0.0.0") == 0)
            config_problem_error(problems, key,
                                 "requirement failed: advertised.listeners cannot use the "
                                 "nonroutable meta-address 0.0.0.0. Use a routable IP address.");
    }
}

static void pick_inter_broker(struct config *config, struct listener_config *listeners,
                              int32_t count, struct config_problems *problems)
{
    const char *key = "inter.broker.listener.name", *name = given(config, key);
    if (name && given(config, "security.inter.broker.protocol"))
        config_problem_error(problems, key,
                             "Only one of inter.broker.listener.name and "
                             "security.inter.broker.protocol should be set.");
    config->inter_broker_listener = find(listeners, count, inter_broker_name(config));
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

const char *config_listener_text(const struct config *config, const char *listener,
                                 const char *setting)
{
    struct buf name = {0};
    buf_printf(&name, "listener.name.%s.%s", listener, setting);
    buf_put_u8(&name, 0);
    for (char *c = (char *)name.data + strlen("listener.name."); *c && *c != '.'; c++)
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
    const char *text = given(config, (const char *)name.data);
    buf_done(&name);
    return text;
}

/* A number of the listener's own, else the broker's (AbstractConfig.valuesWithPrefixOverride). */
static int32_t number_for(const struct config *config, const char *listener, const char *setting,
                          int32_t of_broker, struct config_problems *problems)
{
    const char *text = config_listener_text(config, listener, setting);
    const struct config_key *key = config_key_find(setting);
    struct config_value value = {0};
    if (!text)
        return of_broker;
    if (config_value_parse(key, text, config->inside->arena, &value)) {
        config_problem_error(problems, NULL, "%s", err_sentence(ERR_INVALID_CONFIG));
        return of_broker;
    }
    return (int32_t)value.number;
}

static void read_limits(const struct config *config, struct listener_config *listener,
                        struct config_problems *problems)
{
    listener->max_connections =
        number_for(config, listener->name, "max.connections", config->max_connections, problems);
    listener->max_connection_creation_rate =
        number_for(config, listener->name, "max.connection.creation.rate",
                   config->max_connection_creation_rate, problems);
    number_for(config, listener->name, "num.network.threads", config->num_network_threads,
               problems); /* checked; all listeners share the threads */
}

void config_read_listeners(struct config *config, struct config_problems *problems)
{
    int32_t count;
    struct protocol_map map = read_protocol_map(config, problems);
    struct listener_config *listeners =
        parse_endpoints(config, "listeners", &map, &count, problems);
    config->listeners = listeners;
    config->listeners_count = count;
    if (count == 0 && problems->errors == 0)
        config_problem_error(
            problems, "listeners",
            "requirement failed: There must be at least one broker advertised listener.");
    if (count == 0)
        return;
    config_refuse_listeners(config, problems);
    check_ports(config, problems);
    read_advertised(config, listeners, count, &map, problems);
    pick_inter_broker(config, listeners, count, problems);
    pick_control_plane(config, listeners, count, problems);
    for (int32_t i = 0; i < count; i++)
        read_limits(config, &listeners[i], problems);
}

const struct listener_config *config_listener(const struct config *config, const char *name)
{
    return find((struct listener_config *)config->listeners, config->listeners_count, name);
}
