/* A request is encoded whole, sent, and its answer read whole; nothing is pipelined, since a
 * command asks one thing after another. */
#include "tools/connection.h"

#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/wire/api_key.h"
#include "wire/headers.h"

#define CLIENT_ID          "stoker"
#define TIMEOUT_SECONDS    60
#define CONNECT_SECONDS    10
#define RESPONSE_MAX_BYTES (512 << 20)
#define VERSIONS_REQUEST   3 /* what ApiVersions is asked with first */

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
    *ret_fd = fd;
    return ERR_OK;
}

static enum err io_failed(const struct connection *connection, const char *what, ssize_t n)
{
    if (n == 0)
        return err_note(ERR_CLOSED, "%s closed the connection", connection->address);
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return err_note(ERR_REQUEST_TIMED_OUT, "%s did not answer within %d s", connection->address,
                        connection->timeout_seconds);
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
static enum err receive_response(struct connection *connection, struct arena *arena,
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
    uint8_t *data = arena_alloc(arena, size);
    e = receive_all(connection, data, size);
    struct slice frame = slice_of(data, size);
    if (!e)
        e = response_header_decode(frame, wire_response_header_version(api, api_version), arena,
                                   &header, &used);
    if (!e && header.correlation_id != connection->next_correlation_id - 1)
        e = err_note(ERR_MALFORMED, "%s answered another request", connection->address);
    if (!e)
        *ret_body = slice_of(data + used, size - used);
    return e;
}

enum err connection_exchange(struct connection *connection, struct arena *arena,
                             const struct wire_api *api, int16_t api_version, const void *request,
                             void *ret_response)
{
    struct slice body;
    enum err e = send_request(connection, api, api_version, request);
    if (!e)
        e = receive_response(connection, arena, api, api_version, &body);
    if (!e)
        e = wire_decode(api->response, body, api_version, arena, ret_response, NULL);
    return err_wrap(e, "%s", api->name);
}

/* A broker that does not know our version answers in version 0, with error 35. */
static enum err agree_on_versions(struct connection *connection, struct arena *arena)
{
    const struct wire_api *api = wire_api(API_API_VERSIONS);
    struct api_versions_request request;
    struct slice body;
    api_versions_request_init(&request);
    request.client_software_name = SLICE_LITERAL("stoker");
    request.client_software_version = SLICE_LITERAL(STOKER_VERSION);
    enum err e = send_request(connection, api, VERSIONS_REQUEST, &request);
    if (!e)
        e = receive_response(connection, arena, api, VERSIONS_REQUEST, &body);
    if (e)
        return e;
    bool is_old =
        body.size >= 2 && (int16_t)get_be16(body.data) == err_wire_code(ERR_UNSUPPORTED_VERSION);
    return wire_decode(api->response, body, is_old ? 0 : VERSIONS_REQUEST, arena,
                       &connection->versions, NULL);
}

void connection_free(struct connection *connection)
{
    if (!connection)
        return;
    if (connection->fd >= 0)
        close(connection->fd);
    free(connection->address);
    free(connection);
}

enum err connection_open(const char *host, const char *port, struct arena *arena,
                         struct connection **ret_connection)
{
    struct connection *connection = mem_new(struct connection);
    connection->fd = -1;
    connection->timeout_seconds = CONNECT_SECONDS; /* a broker tells its versions at once */
    connection->address = mem_printf("%s:%s", host, port);
    enum err e = connect_to(host, port, &connection->fd);
    if (!e)
        e = agree_on_versions(connection, arena);
    if (e) {
        connection_free(connection);
        return e;
    }
    connection->timeout_seconds = TIMEOUT_SECONDS;
    set_timeouts(connection->fd, TIMEOUT_SECONDS);
    *ret_connection = connection;
    return ERR_OK;
}

int16_t connection_version(const struct connection *connection, const struct wire_api *api)
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
