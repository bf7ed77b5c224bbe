/* One connection a broker, opened when it is first asked. A request is encoded whole, sent, and its
 * answer read whole; nothing is pipelined, since a command asks one thing after another. */
#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "broker/base/list.h"
#include "broker/config/config_map.h"
#include "broker/config/properties.h"
#include "broker/wire/api_key.h"
#include "tools/client.h"
#include "wire/api_versions.h"
#include "wire/headers.h"

#define CLIENT_ID          "stoker"
#define TIMEOUT_SECONDS    60
#define CONNECT_SECONDS    10
#define RESPONSE_MAX_BYTES (512 << 20)
#define RETRY_MAX          100 /* times a request is asked again */
#define RETRY_PAUSE_MS     100
#define VERSIONS_REQUEST   3 /* what ApiVersions is asked with first */

struct connection {
    struct list_node node;
    int32_t broker_id; /* CLIENT_ANY for the bootstrap one */
    int fd;
    int32_t next_correlation_id;
    char *address;
    struct api_versions_response versions;
};

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

static void set_timeouts(int fd, int seconds)
{
    struct timeval time = {.tv_sec = seconds};
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof(time));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static enum err connect_to(const char *host, const char *port, int *ret_fd)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    int code = getaddrinfo(host, port, &hints, &found);
    if (code)
        return err_note(ERR_BROKER_NOT_AVAILABLE, "%s:%s: %s", host, port, gai_strerror(code));
    int fd = -1, reason = 0;
    for (struct addrinfo *a = found; a && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, 0);
        if (fd < 0)
            continue;
        set_timeouts(fd, CONNECT_SECONDS);
        if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
            break;
        reason = errno;
        close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    if (fd < 0)
        return err_note(ERR_BROKER_NOT_AVAILABLE, "%s:%s: %s", host, port, strerror(reason));
    set_timeouts(fd, TIMEOUT_SECONDS);
    *ret_fd = fd;
    return ERR_OK;
}

static enum err io_failed(const struct connection *connection, const char *what, ssize_t n)
{
    if (n == 0)
        return err_note(ERR_CLOSED, "%s closed the connection", connection->address);
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return err_note(ERR_REQUEST_TIMED_OUT, "%s did not answer within %d s", connection->address,
                        TIMEOUT_SECONDS);
    return err_note(ERR_CLOSED, "%s %s: %s", what, connection->address, strerror(errno));
}

static enum err send_all(const struct connection *connection, struct slice bytes)
{
    while (bytes.size > 0) {
        ssize_t n = send(connection->fd, bytes.data, bytes.size, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return io_failed(connection, "send to", n);
        bytes = slice_of(bytes.data + n, bytes.size - (size_t)n);
    }
    return ERR_OK;
}

static enum err receive_all(const struct connection *connection, uint8_t *data, size_t size)
{
    while (size > 0) {
        ssize_t n = recv(connection->fd, data, size, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return io_failed(connection, "receive from", n);
        data += n;
        size -= (size_t)n;
    }
    return ERR_OK;
}

static enum err send_request(struct connection *connection, const struct wire_api *api,
                             int16_t api_version, const void *request)
{
    struct request_header header;
    struct buf out = {0};
    request_header_init(&header);
    header.request_api_key = api->api_key;
    header.request_api_version = api_version;
    header.correlation_id = connection->next_correlation_id++;
    header.client_id = SLICE_LITERAL(CLIENT_ID);
    buf_put_be32(&out, 0);
    enum err e =
        request_header_encode(&out, wire_request_header_version(api, api_version), &header);
    if (!e)
        e = wire_encode(api->request, &out, api_version, request);
    if (!e) {
        put_be32(out.data, (uint32_t)(out.size - 4));
        e = send_all(connection, buf_slice(&out));
    }
    buf_done(&out);
    return e;
}

/* The body of the next answer, behind its header. */
static enum err receive_response(struct client *client, struct connection *connection,
                                 const struct wire_api *api, int16_t api_version,
                                 struct slice *ret_body)
{
    uint8_t size_bytes[4];
    struct response_header header;
    size_t used;
    enum err e = receive_all(connection, size_bytes, 4);
    if (e)
        return e;
    uint32_t size = get_be32(size_bytes);
    if (size > RESPONSE_MAX_BYTES)
        return err_note(ERR_MALFORMED, "%s announced an answer of %" PRIu32 " bytes",
                        connection->address, size);
    uint8_t *data = arena_alloc(client->arena, size);
    e = receive_all(connection, data, size);
    struct slice frame = slice_of(data, size);
    if (!e)
        e = response_header_decode(frame, wire_response_header_version(api, api_version),
                                   client->arena, &header, &used);
    if (!e && header.correlation_id != connection->next_correlation_id - 1)
        e = err_note(ERR_MALFORMED, "%s answered another request", connection->address);
    if (!e)
        *ret_body = slice_of(data + used, size - used);
    return e;
}

static enum err exchange(struct client *client, struct connection *connection,
                         const struct wire_api *api, int16_t api_version, const void *request,
                         void *ret_response)
{
    struct slice body;
    enum err e = send_request(connection, api, api_version, request);
    if (!e)
        e = receive_response(client, connection, api, api_version, &body);
    if (!e)
        e = wire_decode(api->response, body, api_version, client->arena, ret_response, NULL);
    return err_wrap(e, "%s", api->name);
}

/* A broker that does not know our version answers in version 0, with error 35. */
static enum err agree_on_versions(struct client *client, struct connection *connection)
{
    const struct wire_api *api = wire_api(API_API_VERSIONS);
    struct api_versions_request request;
    struct slice body;
    api_versions_request_init(&request);
    request.client_software_name = SLICE_LITERAL("stoker");
    request.client_software_version = SLICE_LITERAL("0.1.0");
    enum err e = send_request(connection, api, VERSIONS_REQUEST, &request);
    if (!e)
        e = receive_response(client, connection, api, VERSIONS_REQUEST, &body);
    if (e)
        return e;
    bool is_old =
        body.size >= 2 && (int16_t)get_be16(body.data) == err_wire_code(ERR_UNSUPPORTED_VERSION);
    return wire_decode(api->response, body, is_old ? 0 : VERSIONS_REQUEST, client->arena,
                       &connection->versions, NULL);
}

static void connection_free(struct connection *connection)
{
    if (!connection)
        return;
    list_remove(&connection->node);
    if (connection->fd >= 0)
        close(connection->fd);
    free(connection->address);
    free(connection);
}

static enum err open_connection(struct client *client, int32_t broker_id, const char *host,
                                const char *port, struct connection **ret_connection)
{
    struct connection *connection = mem_new(struct connection);
    connection->broker_id = broker_id;
    connection->fd = -1;
    connection->address = mem_printf("%s:%s", host, port);
    list_push_back(&client->connections, &connection->node);
    enum err e = connect_to(host, port, &connection->fd);
    if (!e)
        e = agree_on_versions(client, connection);
    if (e) {
        connection_free(connection);
        return e;
    }
    *ret_connection = connection;
    return ERR_OK;
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

static int16_t agreed_version(const struct connection *connection, const struct wire_api *api)
{
    for (int32_t i = 0; i < connection->versions.api_keys_count; i++) {
        const struct api_versions_response_api_version *range = &connection->versions.api_keys[i];
        if (range->api_key != api->api_key)
            continue;
        int16_t newest = range->max_version < api->request->max_version ? range->max_version
                                                                        : api->request->max_version;
        return newest >= range->min_version && newest >= api->request->min_version ? newest : -1;
    }
    return -1;
}

enum err client_version(struct client *client, int32_t broker_id, int16_t api_key,
                        int16_t *ret_version)
{
    struct connection *connection;
    enum err e = broker_id == CLIENT_CONTROLLER ? find_controller(client) : ERR_OK;
    if (!e)
        e = connection_of(client, broker_id, &connection);
    if (!e)
        *ret_version = agreed_version(connection, wire_api(api_key));
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
    int16_t api_version = agreed_version(connection, api);
    if (api_version < 0)
        return err_note(ERR_UNSUPPORTED_VERSION, "%s does not serve %s in a version that we know",
                        connection->address, api->name);
    e = exchange(client, connection, api, api_version, request, ret_response);
    if (e)
        connection_free(connection); /* what state it is in is not known */
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
        connection_free(list_entry(client->connections.next, struct connection, node));
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
