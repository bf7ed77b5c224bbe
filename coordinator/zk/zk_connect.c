/* Which server of zookeeper.connect is tried next, and a socket to it. The order is shuffled once,
 * so that a cluster's brokers spread over the ensemble; names are looked up at each attempt, as
 * they may come to mean another machine. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/base/clock.h"
#include "coordinator/zk/zk_session_internal.h"

#define PORT_FALLBACK    "2181"
#define ATTEMPT_LEAST_MS 1000

/* ---- The list ---- */

static void server_of(struct slice text, struct zk_server *ret)
{
    const char *at = (const char *)text.data, *end = at + text.size;
    const char *bracket = text.size && *at == '[' ? memchr(at, ']', text.size) : NULL;
    const char *colon =
        memrchr(bracket ? bracket : at, ':', (size_t)(end - (bracket ? bracket : at)));
    const char *host_end = colon ? colon : end;
    ret->port =
        colon ? mem_strndup(colon + 1, (size_t)(end - colon - 1)) : mem_strdup(PORT_FALLBACK);
    ret->host = bracket ? mem_strndup(at + 1, (size_t)(bracket - at - 1))
                        : mem_strndup(at, (size_t)(host_end - at));
}

static void shuffle(struct zk_server *servers, int32_t count)
{
    for (int32_t left = count; left > 1; left--) {
        uint32_t random = 0;
        if (getrandom(&random, sizeof random, 0) < 0)
            random = (uint32_t)clock_mono_us(&clock_system);
        int32_t other = (int32_t)(random % (uint32_t)left);
        struct zk_server swap = servers[left - 1];
        servers[left - 1] = servers[other];
        servers[other] = swap;
    }
}

void zk_servers_parse(struct zk_session *session)
{
    size_t commas = 0;
    for (const char *c = session->hosts; *c; c++)
        commas += *c == ',';
    session->servers = mem_new_array(struct zk_server, commas + 1);
    for (const char *at = session->hosts; at;) {
        const char *comma = strchr(at, ',');
        struct slice text = comma ? slice_of(at, (size_t)(comma - at)) : slice_str(at);
        while (text.size && *text.data == ' ')
            text = slice_of(text.data + 1, text.size - 1);
        while (text.size && text.data[text.size - 1] == ' ')
            text.size--;
        if (text.size)
            server_of(text, &session->servers[session->servers_count++]);
        at = comma ? comma + 1 : NULL;
    }
    shuffle(session->servers, session->servers_count);
}

int32_t zk_connect_timeout_ms(const struct zk_session *session)
{
    int32_t timeout_ms = session->session_timeout_ms / (session->servers_count + 1);
    return timeout_ms > ATTEMPT_LEAST_MS ? timeout_ms : ATTEMPT_LEAST_MS;
}

/* ---- A socket ---- */

/* 0, or an errno. */
static int await_connected(struct zk_session *session, int fd, int64_t deadline_ms)
{
    for (;;) {
        int64_t left_ms = deadline_ms - clock_mono_ms(&clock_system);
        if (left_ms <= 0)
            return ETIMEDOUT;
        struct pollfd fds[] = {{.fd = fd, .events = POLLOUT},
                               {.fd = session->wake_fd, .events = POLLIN}};
        if (poll(fds, 2, (int)left_ms) < 0 && errno != EINTR)
            return errno;
        if (fds[1].revents && zk_session_woke(session))
            return ECANCELED;
        if (!fds[0].revents)
            continue;
        int error = 0;
        socklen_t size = sizeof error;
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size))
            return errno;
        return error;
    }
}

static int connect_to(struct zk_session *session, const struct addrinfo *address, int *ret_errno)
{
    int fd = socket(address->ai_family, address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
                    address->ai_protocol);
    if (fd < 0) {
        *ret_errno = errno;
        return -1;
    }
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    *ret_errno = 0;
    if (connect(fd, address->ai_addr, address->ai_addrlen))
        *ret_errno =
            errno == EINPROGRESS
                ? await_connected(session, fd,
                                  clock_mono_ms(&clock_system) + zk_connect_timeout_ms(session))
                : errno;
    if (!*ret_errno)
        return fd;
    close(fd);
    return -1;
}

int zk_connect_next(struct zk_session *session, const struct zk_server **ret_server, char **ret_why)
{
    if (session->servers_count == 0) {
        *ret_server = NULL;
        *ret_why = mem_strdup("zookeeper.connect names no server");
        return -1;
    }
    const struct zk_server *server = &session->servers[session->next_server];
    session->next_server = (session->next_server + 1) % session->servers_count;
    *ret_server = server;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *addresses = NULL;
    int found = getaddrinfo(server->host, server->port, &hints, &addresses);
    if (found) {
        *ret_why = mem_printf("look up %s: %s", server->host, gai_strerror(found));
        return -1;
    }
    int fd = -1, error = 0;
    for (struct addrinfo *a = addresses; a && fd < 0 && error != ECANCELED; a = a->ai_next)
        fd = connect_to(session, a, &error);
    freeaddrinfo(addresses);
    if (fd < 0)
        *ret_why = mem_printf("connect: %s", strerror(error));
    return fd;
}
