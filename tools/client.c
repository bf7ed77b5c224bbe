/* Which broker is asked: one connection each, opened when it is first needed, and the metadata that
 * says where they are. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

#include "broker/base/list.h"
#include "broker/config/config_map.h"
#include "broker/config/properties.h"
#include "broker/wire/api_key.h"
#include "tools/client.h"
#include "tools/connection.h"

#define RETRY_MAX      100 /* times a request is asked again */
#define RETRY_PAUSE_MS 100

struct client {
    struct arena *arena;
    struct list_node connections;
    char *bootstrap;
    struct metadata_response metadata;
};

struct arena *client_arena(struct client *client)
{
    return client->arena;
}

const struct metadata_response *client_metadata(const struct client *client)
{
    return &client->metadata;
}

static enum err open_connection(struct client *client, int32_t broker_id, const char *host,
                                const char *port, struct connection **ret_connection)
{
    struct connection *connection;
    enum err e = connection_open(host, port, client->arena, &connection);
    if (e)
        return e;
    connection->broker_id = broker_id;
    list_push_back(&client->connections, &connection->node);
    *ret_connection = connection;
    return ERR_OK;
}

static void close_connection(struct connection *connection)
{
    list_remove(&connection->node);
    connection_free(connection);
}

/* Each address of the bootstrap list in turn; all reasons are told when none answers. */
static enum err open_bootstrap(struct client *client, struct connection **ret_connection)
{
    struct buf reasons = {0};
    const char *at = client->bootstrap;
    enum err e = ERR_BROKER_NOT_AVAILABLE;
    while (e && *at) {
        size_t size = strcspn(at, ",");
        OWNED_MEM char *address = mem_strndup(at, size);
        char *colon = strrchr(address, ':');
        at += size + (at[size] == ',');
        if (!colon) {
            buf_printf(&reasons, "%s'%s' is not host:port", reasons.size ? "; " : "", address);
            continue;
        }
        *colon = 0;
        char *host = address;
        if (host[0] == '[' && colon[-1] == ']') {
            colon[-1] = 0;
            host++;
        }
        e = open_connection(client, CLIENT_ANY, host, colon + 1, ret_connection);
        if (e)
            buf_printf(&reasons, "%s%s", reasons.size ? "; " : "", err_sentence(e));
    }
    if (e)
        e = err_note(ERR_BROKER_NOT_AVAILABLE, "no broker answers: %.*s", (int)reasons.size,
                     reasons.data ? (const char *)reasons.data : "");
    buf_done(&reasons);
    return e;
}

static enum err connection_of(struct client *client, int32_t broker_id,
                              struct connection **ret_connection)
{
    if (broker_id == CLIENT_CONTROLLER)
        broker_id = client->metadata.controller_id;
    list_for_each (&client->connections, node) {
        struct connection *connection = list_entry(node, struct connection, node);
        if (connection->broker_id == broker_id) {
            *ret_connection = connection;
            return ERR_OK;
        }
    }
    if (broker_id == CLIENT_ANY)
        return open_bootstrap(client, ret_connection);
    for (int32_t i = 0; i < client->metadata.brokers_count; i++) {
        const struct metadata_response_metadata_response_broker *broker =
            &client->metadata.brokers[i];
        if (broker->node_id != broker_id)
            continue;
        OWNED_MEM char *host = slice_dup(broker->host);
        OWNED_MEM char *port = mem_printf("%" PRId32, broker->port);
        return open_connection(client, broker_id, host, port, ret_connection);
    }
    return err_note(ERR_BROKER_NOT_AVAILABLE, "there is no live broker %" PRId32, broker_id);
}

static void pause_briefly(void)
{
    struct timespec time = {.tv_nsec = RETRY_PAUSE_MS * 1000000L};
    nanosleep(&time, NULL);
}

static enum err read_brokers(struct client *client)
{
    const char *const none[] = {NULL};
    return client_refresh(client, none, 0);
}

/* Between two controllers there is none for a moment. */
static enum err find_controller(struct client *client)
{
    for (int i = 0; client->metadata.controller_id < 0; i++) {
        if (i == RETRY_MAX)
            return err_note(ERR_BROKER_NOT_AVAILABLE, "the cluster has no controller");
        pause_briefly();
        enum err e = read_brokers(client);
        if (e)
            return e;
    }
    return ERR_OK;
}

bool client_retries(struct client *client, int16_t error_code, int *attempts)
{
    switch (err_from_wire(error_code)) {
    case ERR_NOT_CONTROLLER:
    case ERR_NOT_LEADER_OR_FOLLOWER:
    case ERR_LEADER_NOT_AVAILABLE:
        break;
    default:
        return false;
    }
    if (++*attempts > RETRY_MAX)
        return false;
    pause_briefly();
    return read_brokers(client) == ERR_OK;
}

enum err client_version(struct client *client, int32_t broker_id, int16_t api_key,
                        int16_t *ret_version)
{
    struct connection *connection;
    enum err e = broker_id == CLIENT_CONTROLLER ? find_controller(client) : ERR_OK;
    if (!e)
        e = connection_of(client, broker_id, &connection);
    if (!e)
        *ret_version = connection_version(connection, wire_api(api_key));
    return e;
}

enum err client_call(struct client *client, int32_t broker_id, int16_t api_key, const void *request,
                     void *ret_response)
{
    struct connection *connection;
    const struct wire_api *api = wire_api(api_key);
    enum err e = broker_id == CLIENT_CONTROLLER ? find_controller(client) : ERR_OK;
    if (!e)
        e = connection_of(client, broker_id, &connection);
    if (e)
        return e;
    int16_t api_version = connection_version(connection, api);
    if (api_version < 0)
        return err_note(ERR_UNSUPPORTED_VERSION, "%s does not serve %s in a version that we know",
                        connection->address, api->name);
    e = connection_exchange(connection, client->arena, api, api_version, request, ret_response);
    if (e)
        close_connection(connection); /* what state it is in is not known */
    return e;
}

enum err client_api_versions(struct client *client, int32_t broker_id,
                             const struct api_versions_response **ret_versions)
{
    struct connection *connection;
    enum err e = connection_of(client, broker_id, &connection);
    if (!e)
        *ret_versions = &connection->versions;
    return e;
}

enum err client_refresh(struct client *client, const char *const *topics, int32_t topics_count)
{
    struct metadata_request request;
    metadata_request_init(&request);
    request.allow_auto_topic_creation = false;
    request.topics_count = topics ? topics_count : -1;
    if (topics)
        request.topics = arena_new_array(
            client->arena, struct metadata_request_metadata_request_topic, topics_count + 1);
    for (int32_t i = 0; topics && i < topics_count; i++)
        request.topics[i].name = slice_str(topics[i]);
    return client_call(client, CLIENT_ANY, API_METADATA, &request, &client->metadata);
}

static enum err check_command_config(const char *path)
{
    struct config_map map = {0};
    enum err e = properties_read(path, &map);
    const char *protocol = e ? NULL : config_map_get(&map, "security.protocol");
    if (protocol && strcasecmp(protocol, "PLAINTEXT") != 0)
        e = err_note(ERR_INVALID_CONFIG, "%s: security.protocol=%s: TLS and SASL are not there yet",
                     path, protocol);
    config_map_done(&map);
    return e;
}

enum err client_open(const char *bootstrap, const char *command_config, struct client **ret_client)
{
    enum err e = command_config ? check_command_config(command_config) : ERR_OK;
    if (e)
        return e;
    struct client *client = mem_new(struct client);
    client->arena = arena_new();
    client->bootstrap = mem_strdup(bootstrap);
    list_init(&client->connections);
    e = read_brokers(client);
    if (e) {
        client_free(client);
        return e;
    }
    *ret_client = client;
    return ERR_OK;
}

static int64_t seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

enum err client_open_within(const char *bootstrap, const char *command_config, int64_t wait_seconds,
                            struct client **ret_client)
{
    int64_t start = seconds_now();
    for (;;) {
        enum err e = client_open(bootstrap, command_config, ret_client);
        /* A broker that has just started knows of no broker until the controller tells it. */
        if (!e && ((*ret_client)->metadata.brokers_count > 0 || wait_seconds <= 0))
            return ERR_OK;
        if (!e) {
            client_free(TAKE(*ret_client));
            e = err_note(ERR_BROKER_NOT_AVAILABLE, "%s knows of no live broker", bootstrap);
        }
        if (e == ERR_INVALID_CONFIG || seconds_now() - start >= wait_seconds)
            return e;
        pause_briefly();
    }
}

void client_free(struct client *client)
{
    if (!client)
        return;
    while (!list_is_empty(&client->connections))
        close_connection(list_entry(client->connections.next, struct connection, node));
    arena_free(client->arena);
    free(client->bootstrap);
    free(client);
}

const char *client_reason(struct client *client, int16_t error_code, struct slice message)
{
    enum err e = err_from_wire(error_code);
    if (!slice_is_null(message) && message.size > 0)
        return arena_strdup(client->arena, message);
    return arena_printf(client->arena, "%s (%s)", err_text(e), err_name(e));
}
