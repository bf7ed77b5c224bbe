/* Listeners that come and go while the broker runs, as DynamicBrokerConfig has it: what counts is
 * the name. One that stays keeps its socket and its connections, whatever address it is given now;
 * one that is new is bound; one that is gone is closed, with its connections. A name has a place
 * for life, since connections and requests know their listener by it. */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/base/address.h"
#include "broker/base/trace.h"
#include "broker/server/network_internal.h"

#define LOOPBACK_SEND_BUFFER_BYTES  (4 << 20)
#define LOOPBACK_CONGESTION_CONTROL "reno" /* every kernel has it, and everybody may choose it */

static void set_option(int fd, int level, int option, int value)
{
    (void)setsockopt(fd, level, option, &value, sizeof value); /* the defaults work as well */
}

static bool is_loopback(const struct addrinfo *address)
{
    if (address->ai_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address->ai_addr)->sin6_addr);
    const struct sockaddr_in *in = (const struct sockaddr_in *)address->ai_addr;
    return ntohl(in->sin_addr.s_addr) >> IN_CLASSA_NSHIFT == IN_LOOPBACKNET;
}

/* What is accepted takes it from the listener. On an accepted connection it would come too late:
 * one that began with bbr is paced for life. */
static enum err set_congestion_control(const struct network_options *options,
                                       const struct addrinfo *address, int fd)
{
    const char *name = options->congestion_control;
    const char *wanted = name ? name : LOOPBACK_CONGESTION_CONTROL;
    if (!name && !is_loopback(address))
        return ERR_OK;
    if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, wanted, (socklen_t)strlen(wanted)) == 0 ||
        !name)
        return ERR_OK;
    return err_note(ERR_IO,
                    "stoker.socket.congestion.control=%s: %s (what there is stands in "
                    "net.ipv4.tcp_allowed_congestion_control)",
                    name, strerror(errno));
}

/* A size that is not allowed would be cut down and kept, and be less than TCP grows to by itself.
 */
static bool may_send_ahead(int bytes)
{
    int max = 0;
    FILE *file = fopen("/proc/sys/net/core/wmem_max", "re");
    if (!file)
        return false;
    bool may = fscanf(file, "%d", &max) == 1 && max >= bytes;
    fclose(file);
    return may;
}

/* What is in the buffer when the reader takes its next bytes is sent and received on the reader's
 * own turn; what comes later has to wake it and disputes the socket with it. Where the path is long
 * TCP must find out how much is good. */
static void set_send_buffer(const struct network_options *options, const struct addrinfo *address,
                            int fd)
{
    if (options->send_buffer_bytes > 0)
        set_option(fd, SOL_SOCKET, SO_SNDBUF, options->send_buffer_bytes);
    else if (is_loopback(address) && may_send_ahead(LOOPBACK_SEND_BUFFER_BYTES))
        set_option(fd, SOL_SOCKET, SO_SNDBUF, LOOPBACK_SEND_BUFFER_BYTES);
}

static enum err listen_on(const struct network_options *options, const struct addrinfo *address,
                          int *ret_fd)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_note_errno("socket");
    set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (address->ai_family == AF_INET6)
        set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    if (options->receive_buffer_bytes > 0) /* before listen(): the window scale depends on it */
        set_option(fd, SOL_SOCKET, SO_RCVBUF, options->receive_buffer_bytes);
    set_send_buffer(options, address, fd);
    enum err e = set_congestion_control(options, address, fd);
    if (!e &&
        (bind(fd, address->ai_addr, address->ai_addrlen) < 0 || listen(fd, options->backlog) < 0))
        e = err_note(ERR_IO, "%s", strerror(errno));
    if (e)
        close(fd);
    else
        *ret_fd = fd;
    return e;
}

static uint16_t bound_port(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    getsockname(fd, (struct sockaddr *)&address, &size);
    return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                               : ((struct sockaddr_in *)&address)->sin_port);
}

/* Every address means IPv6 with IPv4 mapped, or IPv4 alone where the machine has no IPv6. */
static enum err bind_socket(const struct network_options *options,
                            const struct listener_options *listener, int *ret_fd)
{
    const char *host = listener->host;
    bool is_any = !host || !*host;
    char service[8];
    snprintf(service, sizeof service, "%u", listener->port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int code = getaddrinfo(is_any ? "::" : host, service, &hints, &found);
    enum err e = code ? err_note(ERR_IO, "%s", gai_strerror(code))
                      : listen_on(options, address_nth(found, 0), ret_fd);
    if (found)
        freeaddrinfo(found);
    if (e && is_any) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(listener->port)};
        struct addrinfo address = {
            .ai_family = AF_INET, .ai_addr = (struct sockaddr *)&in, .ai_addrlen = sizeof in};
        e = listen_on(options, &address, ret_fd);
    }
    if (e)
        return err_wrap(e, "listener %s: bind %s:%u", listener->name, is_any ? "*" : host,
                        listener->port);
    return ERR_OK;
}

static struct listener *find(struct network *network, const char *name)
{
    for (size_t i = 0; i < network->listeners_count; i++) {
        if (strcmp(network->listeners[i].options.name, name) == 0)
            return &network->listeners[i];
    }
    return NULL;
}

uint16_t network_port_of(const struct network *network, const char *name)
{
    const struct listener *listener = find((struct network *)network, name);
    return listener && listener->in_use ? listener->port : 0;
}

/* The name's place; a new one where it never had one. */
static struct listener *place_of(struct network *network, const struct listener_options *options)
{
    struct listener *listener = find(network, options->name);
    if (listener || network->listeners_count == LISTENERS_MAX)
        return listener;
    listener = &network->listeners[network->listeners_count++];
    listener->options = (struct listener_options){.name = mem_strdup(options->name),
                                                  .is_inter_broker = options->is_inter_broker};
    return listener;
}

static enum err add(struct network *network, const struct listener_options *options)
{
    struct listener *listener = place_of(network, options);
    int fd;
    if (!listener)
        return err_note(ERR_INVALID_CONFIG, "listener %s: there were %d names of listeners already",
                        options->name, LISTENERS_MAX);
    if (listener->in_use) { /* its limits alone may be others */
        limits_set_listener(network->limits, listener->index, options);
        return ERR_OK;
    }
    enum err e = bind_socket(&network->options, options, &fd);
    if (e)
        return e;
    listener->port = bound_port(fd);
    listener->in_use = true;
    limits_set_listener(network->limits, listener->index, options);
    acceptor_tell(listener, acceptor_add, fd);
    return ERR_OK;
}

static bool is_named(const struct network_options *options, const char *name)
{
    for (size_t i = 0; i < options->listeners_count; i++) {
        if (strcmp(options->listeners[i].name, name) == 0)
            return true;
    }
    return false;
}

static void remove_unnamed(struct network *network, const struct network_options *options)
{
    for (size_t i = 0; i < network->listeners_count; i++) {
        struct listener *listener = &network->listeners[i];
        if (!listener->in_use || is_named(options, listener->options.name))
            continue;
        trace_info("listener closed listener=%s port=%u", listener->options.name, listener->port);
        acceptor_tell(listener, acceptor_remove, -1);
        limits_remove_listener(network->limits, i);
        listener->in_use = false;
    }
}

/* Those that go are gone before others come: they may want the same port. */
enum err listeners_change(struct network *network, const struct network_options *options)
{
    remove_unnamed(network, options);
    enum err first = ERR_OK;
    OWNED_MEM char *why = NULL;
    for (size_t i = 0; i < options->listeners_count; i++) {
        enum err e = add(network, &options->listeners[i]);
        if (!e || first)
            continue;
        first = e;
        why = mem_strdup(err_sentence(e));
    }
    return first ? err_note(first, "%s", why) : ERR_OK;
}
