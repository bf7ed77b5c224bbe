/* The socket shell of the embedded ZooKeeper server: one libevent loop on one thread, which hands
 * whole frames to the core and sends what the core has put into each connection's output. */
#include "coordinator/embedded/embedded.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <event2/thread.h>

#include "broker/base/thread.h"
#include "coordinator/embedded/embedded_core.h"

#define CONNECTIONS_MAX  1000
#define OUTPUT_BOUND     (4u << 20) /* bytes waiting: reading stops until they are gone */
#define SESSION_ID_FIRST 0x100000000000001LL

struct client {
    struct core_connection core; /* first */
    struct embedded *embedded;
    struct bufferevent *stream;
    struct list_node link;
};
struct embedded {
    struct event_base *base;
    struct evconnlistener *listener;
    struct event *tick;
    struct core *core;
    struct clock *clock;
    struct list_node clients;
    int clients_count;
    uint16_t port;
    pthread_t thread;
    bool running;
};

static void client_close(struct client *client)
{
    core_connection_lost(client->embedded->core, &client->core);
    list_remove(&client->link);
    client->embedded->clients_count--;
    bufferevent_free(client->stream);
    free(client);
}
/* Hand on what the core said; close those that are done and have nothing left to send. */
static void flush_all(struct embedded *embedded)
{
    list_for_each (&embedded->clients, node) {
        struct client *client = list_entry(node, struct client, link);
        if (client->core.out.size > 0) {
            bufferevent_write(client->stream, client->core.out.data, client->core.out.size);
            client->core.out.size = 0;
        }
        size_t waiting = evbuffer_get_length(bufferevent_get_output(client->stream));
        if (client->core.closing && waiting == 0)
            client_close(client);
        else if (client->core.closing || waiting > OUTPUT_BOUND)
            bufferevent_disable(client->stream, EV_READ);
    }
}
static void on_read(struct bufferevent *stream, void *context)
{
    struct client *client = context;
    struct embedded *embedded = client->embedded;
    struct evbuffer *input = bufferevent_get_input(stream);
    uint8_t head[4];
    while (!client->core.closing && client->core.out.size <= OUTPUT_BOUND &&
           evbuffer_copyout(input, head, 4) == 4) {
        if (memcmp(head, "ruok", 4) == 0 && client->core.session_id == 0) {
            buf_put(&client->core.out, "imok", 4);
            client->core.closing = true;
            break;
        }
        uint32_t size = get_be32(head);
        if (size > CORE_FRAME_MAX) {
            client->core.closing = true;
            break;
        }
        if (evbuffer_get_length(input) < size + 4)
            break;
        uint8_t *frame = evbuffer_pullup(input, (ev_ssize_t)size + 4);
        core_receive(embedded->core, &client->core, slice_of(frame + 4, size),
                     clock_mono_ms(embedded->clock), clock_wall_ms(embedded->clock));
        evbuffer_drain(input, size + 4);
    }
    flush_all(embedded); /* may close this client */
}
static void on_written(struct bufferevent *stream, void *context)
{
    struct client *client = context;
    if (client->core.closing) {
        client_close(client);
        return;
    }
    bufferevent_enable(stream, EV_READ);
    if (evbuffer_get_length(bufferevent_get_input(stream)) >= 4)
        bufferevent_trigger(stream, EV_READ, BEV_OPT_DEFER_CALLBACKS);
}
static void on_event(struct bufferevent *stream UNUSED, short what, void *context)
{
    if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
        client_close(context);
}
static void on_accept(struct evconnlistener *listener UNUSED, evutil_socket_t fd,
                      struct sockaddr *address UNUSED, int size UNUSED, void *context)
{
    struct embedded *embedded = context;
    if (embedded->clients_count >= CONNECTIONS_MAX) {
        evutil_closesocket(fd);
        return;
    }
    struct client *client = mem_new(struct client);
    core_connection_init(&client->core, "127.0.0.1");
    client->embedded = embedded;
    client->stream = bufferevent_socket_new(embedded->base, fd, BEV_OPT_CLOSE_ON_FREE);
    list_push_back(&embedded->clients, &client->link);
    embedded->clients_count++;
    bufferevent_setcb(client->stream, on_read, on_written, on_event, client);
    bufferevent_setwatermark(client->stream, EV_READ, 0, CORE_FRAME_MAX + 4);
    bufferevent_enable(client->stream, EV_READ | EV_WRITE);
}
static void on_tick(evutil_socket_t fd UNUSED, short what UNUSED, void *context)
{
    struct embedded *embedded = context;
    core_tick(embedded->core, clock_mono_ms(embedded->clock), clock_wall_ms(embedded->clock));
    flush_all(embedded);
}
static void *run(void *context)
{
    struct embedded *embedded = context;
    event_base_dispatch(embedded->base);
    return NULL;
}
static enum err listen_on(struct embedded *embedded, const char *host, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
        return err_note(ERR_INVALID_CONFIG, "'%s' is not an IPv4 address", host);
    embedded->listener = evconnlistener_new_bind(embedded->base, on_accept, embedded,
                                                 LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE, 128,
                                                 (struct sockaddr *)&address, sizeof address);
    if (!embedded->listener)
        return err_note_errno("listen on %s:%u", host, port);
    socklen_t size = sizeof address;
    if (getsockname(evconnlistener_get_fd(embedded->listener), (struct sockaddr *)&address, &size))
        return err_note_errno("ask for the port of %s", host);
    embedded->port = ntohs(address.sin_port);
    return ERR_OK;
}
enum err embedded_start(const struct embedded_options *options, struct embedded **ret)
{
    if (options->data_dir)
        return err_note(ERR_INVALID_CONFIG,
                        "the embedded coordinator cannot keep its state in '%s': in memory only",
                        options->data_dir);
    evthread_use_pthreads();
    struct embedded *embedded = mem_new(struct embedded);
    int32_t tick = options->tick_ms ? options->tick_ms : 2000;
    int32_t low = options->min_session_timeout_ms, high = options->max_session_timeout_ms;
    list_init(&embedded->clients);
    embedded->clock = options->clock ? options->clock : &clock_system;
    embedded->core = core_new(tick, low ? low : 2 * tick, high ? high : 20 * tick,
                              SESSION_ID_FIRST + (clock_wall_ms(embedded->clock) << 16 >> 8));
    embedded->base = event_base_new();
    enum err e =
        listen_on(embedded, options->bind_host ? options->bind_host : "127.0.0.1", options->port);
    if (e) {
        embedded_stop(embedded);
        return err_wrap(e, "start the embedded coordinator");
    }
    embedded->tick = event_new(embedded->base, -1, EV_PERSIST, on_tick, embedded);
    struct timeval period = {tick / 1000, tick % 1000 * 1000};
    event_add(embedded->tick, &period);
    embedded->running = true;
    embedded->thread = thread_start("embedded-zk", run, embedded);
    *ret = embedded;
    return ERR_OK;
}
uint16_t embedded_port(const struct embedded *embedded)
{
    return embedded->port;
}
void embedded_stop(struct embedded *embedded)
{
    if (!embedded)
        return;
    if (embedded->running) {
        event_base_loopbreak(embedded->base);
        pthread_join(embedded->thread, NULL);
    }
    list_for_each (&embedded->clients, node)
        client_close(list_entry(node, struct client, link));
    if (embedded->tick)
        event_free(embedded->tick);
    if (embedded->listener)
        evconnlistener_free(embedded->listener);
    event_base_free(embedded->base);
    core_free(embedded->core);
    free(embedded);
}
