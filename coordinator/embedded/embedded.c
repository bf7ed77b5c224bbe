/* The socket shell of the embedded server: one libevent loop on one thread. Frames that arrive in a
 * turn of the loop go to the core as they come; at the end of the turn the journal is made durable
 * once, and only then is what the core answered sent. */
#include "coordinator/embedded/embedded.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <event2/thread.h>
#include <inttypes.h>
#include <netdb.h>

#include "broker/base/address.h"
#include "broker/base/thread.h"
#include "broker/base/trace.h"
#include "coordinator/embedded/store.h"
#include "coordinator/embedded/words.h"

#define CONNECTIONS_MAX 1000
#define OUTPUT_PAUSE_SIZE                                                                          \
    (4u << 20)                      /* bytes waiting to be sent: no more requests until they are   \
                                     */
#define OUTPUT_SIZE_MAX (64u << 20) /* bytes waiting, events too: the client is given up */
#define ADDRESS_MAX     128         /* bytes of "[address]:port" */

struct client {
    struct core_connection core;
    struct embedded *embedded;
    struct bufferevent *stream;
    struct list_node link;
    int64_t since_ms;   /* connected, or closing */
    bool closing_since; /* since_ms says since when it closes */
    char address[ADDRESS_MAX];
};
struct embedded {
    struct event_base *base;
    struct evconnlistener *listener;
    struct event *tick, *turn_end, *stop;
    struct core *core;
    struct store *store; /* NULL: in memory */
    struct clock *clock;
    struct list_node clients;
    struct words_state numbers;
    int64_t turn_ms, turn_requests; /* when the turn's first request came; how many came */
    bool failed;                    /* the disk did; nothing is served */
    bool is_full;                   /* the disk is: see wait_for_room() */
    char *data_dir;
    uint16_t port;
    pthread_t thread;
    bool running;
};

static void client_close(struct client *client)
{
    struct embedded *embedded = client->embedded;
    core_connection_lost(embedded->core, &client->core);
    list_remove(&client->link);
    embedded->numbers.connections_count--;
    bufferevent_free(client->stream);
    free(client);
}
static void close_all(struct embedded *embedded)
{
    list_for_each (&embedded->clients, node)
        client_close(list_entry(node, struct client, link));
}

/* ---- the end of a turn ---- */

static void turn_needs_end(struct embedded *embedded)
{
    event_active(embedded->turn_end, EV_TIMEOUT, 0); /* behind what is active in this turn */
}
/* Nobody may be told anything once it is not known what the disk holds. */
static void fail(struct embedded *embedded, enum err e)
{
    trace_error("embedded coordinator stopped cause=\"%s\"", err_sentence(e));
    embedded->failed = true;
    evconnlistener_disable(embedded->listener);
    close_all(embedded);
}
static void read_on(struct client *client)
{
    bufferevent_enable(client->stream, EV_READ);
    if (evbuffer_get_length(bufferevent_get_input(client->stream)) >= 4)
        bufferevent_trigger(client->stream, EV_READ, BEV_TRIG_DEFER_CALLBACKS);
}
/* A full disk: what was changed last cannot be made durable, so nobody may hear of it, nor of
 * anything read since. The server is as one that is away for a while: it reads and answers nothing,
 * no session ends, and each tick tries again. */
static void wait_for_room(struct embedded *embedded, enum err e)
{
    if (embedded->is_full)
        return;
    trace_warn("embedded coordinator waits for room cause=\"%s\"", err_sentence(e));
    embedded->is_full = true;
    evconnlistener_disable(embedded->listener);
    list_for_each (&embedded->clients, node)
        bufferevent_disable(list_entry(node, struct client, link)->stream, EV_READ);
}
/* Every session gets its whole timeout anew: it could not be heard. */
static void go_on_with_room(struct embedded *embedded)
{
    trace_info("embedded coordinator goes on, there is room again");
    embedded->is_full = false;
    core_revive(embedded->core, clock_mono_ms(embedded->clock));
    evconnlistener_enable(embedded->listener);
    list_for_each (&embedded->clients, node)
        read_on(list_entry(node, struct client, link));
}
static void client_send(struct client *client)
{
    struct evbuffer *output = bufferevent_get_output(client->stream);
    if (client->core.out.size > 0) {
        bufferevent_write(client->stream, client->core.out.data, client->core.out.size);
        client->core.out.size = 0;
    }
    size_t waiting = evbuffer_get_length(output);
    if (waiting > OUTPUT_SIZE_MAX || (client->core.closing && waiting == 0)) {
        client_close(client);
        return;
    }
    if (client->core.closing || waiting > OUTPUT_PAUSE_SIZE)
        bufferevent_disable(client->stream, EV_READ);
    if (client->core.closing && !client->closing_since) {
        client->closing_since = true;
        client->since_ms = clock_mono_ms(client->embedded->clock);
    }
}
static void count_latency(struct embedded *embedded)
{
    struct words_state *n = &embedded->numbers;
    if (embedded->turn_requests == 0)
        return;
    int64_t ms = clock_mono_ms(embedded->clock) - embedded->turn_ms;
    n->latency_min_ms = n->latency_count == 0 || ms < n->latency_min_ms ? ms : n->latency_min_ms;
    n->latency_max_ms = ms > n->latency_max_ms ? ms : n->latency_max_ms;
    n->latency_count += embedded->turn_requests;
    n->latency_sum_ms += ms * embedded->turn_requests;
    embedded->turn_requests = 0;
}
static void on_turn_end(evutil_socket_t fd UNUSED, short what UNUSED, void *context)
{
    struct embedded *embedded = context;
    if (embedded->failed)
        return;
    enum err e = ERR_OK;
    if (embedded->store)
        e = store_commit(embedded->store, embedded->core);
    else
        core_journal(embedded->core)->size = 0;
    if (e == ERR_NO_SPACE) {
        wait_for_room(embedded, e);
        return;
    }
    if (e) {
        fail(embedded, e);
        return;
    }
    if (embedded->is_full)
        go_on_with_room(embedded);
    count_latency(embedded);
    list_for_each (&embedded->clients, node)
        client_send(list_entry(node, struct client, link));
}

/* ---- connections ---- */

static void put_clients(struct embedded *embedded, struct buf *out)
{
    list_for_each (&embedded->clients, node) {
        struct client *client = list_entry(node, struct client, link);
        buf_printf(out, " /%s[1](queued=0,recved=%" PRId64 ",sent=%" PRId64 ")\n", client->address,
                   client->core.received, client->core.sent);
    }
}
static bool answer_word(struct client *client, const uint8_t word[4])
{
    struct embedded *embedded = client->embedded;
    struct buf clients = {0};
    embedded->numbers.core = embedded->core;
    embedded->numbers.port = embedded->port;
    put_clients(embedded, &clients);
    bool is_word = words_answer(word, &embedded->numbers, &clients, &client->core.out);
    buf_done(&clients);
    client->core.closing |= is_word;
    return is_word;
}
static void receive(struct client *client, struct slice frame)
{
    struct embedded *embedded = client->embedded;
    int64_t now_ms = clock_mono_ms(embedded->clock), sent = client->core.sent;
    if (embedded->turn_requests++ == 0)
        embedded->turn_ms = now_ms;
    core_receive(embedded->core, &client->core, frame, now_ms, clock_wall_ms(embedded->clock));
    embedded->numbers.received++;
    embedded->numbers.sent += client->core.sent - sent;
}
static void on_read(struct bufferevent *stream, void *context)
{
    struct client *client = context;
    struct evbuffer *input = bufferevent_get_input(stream);
    uint8_t head[4];
    while (!client->core.closing && client->core.out.size <= OUTPUT_PAUSE_SIZE &&
           evbuffer_copyout(input, head, 4) == 4) {
        if (client->core.session_id == 0 && answer_word(client, head))
            break;
        size_t size = get_be32(head);
        if (size > CORE_FRAME_MAX) {
            trace_warn("embedded frame too large client=%s size_bytes=%zu", client->address, size);
            client->core.closing = true;
            break;
        }
        if (evbuffer_get_length(input) < size + 4)
            break;
        uint8_t *frame = evbuffer_pullup(input, (ev_ssize_t)size + 4);
        receive(client, slice_of(frame + 4, size));
        evbuffer_drain(input, size + 4);
    }
    turn_needs_end(client->embedded);
}
static void on_written(struct bufferevent *stream, void *context)
{
    struct client *client = context;
    if (client->core.closing && client->core.out.size == 0) {
        client_close(client);
        return;
    }
    if (!client->embedded->is_full && !(bufferevent_get_enabled(stream) & EV_READ))
        read_on(client);
}
static void on_event(struct bufferevent *stream UNUSED, short what, void *context)
{
    if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
        client_close(context);
}
static void address_text(const struct sockaddr *address, socklen_t size, char *host, char *both)
{
    char port[16];
    if (getnameinfo(address, size, host, ADDRESS_MAX - 16, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        host[0] = port[0] = 0;
    (void)snprintf(both, ADDRESS_MAX, "%s:%s", host, port);
}
static void on_accept(struct evconnlistener *listener UNUSED, evutil_socket_t fd,
                      struct sockaddr *address, int size, void *context)
{
    struct embedded *embedded = context;
    char host[ADDRESS_MAX - 16];
    if (embedded->numbers.connections_count >= CONNECTIONS_MAX) {
        trace_warn("embedded connection refused connections=%d",
                   embedded->numbers.connections_count);
        evutil_closesocket(fd);
        return;
    }
    struct client *client = mem_new(struct client);
    address_text(address, (socklen_t)size, host, client->address);
    core_connection_init(&client->core, host);
    client->embedded = embedded;
    client->since_ms = clock_mono_ms(embedded->clock);
    client->stream = bufferevent_socket_new(embedded->base, fd, BEV_OPT_CLOSE_ON_FREE);
    list_push_back(&embedded->clients, &client->link);
    embedded->numbers.connections_count++;
    bufferevent_setcb(client->stream, on_read, on_written, on_event, client);
    bufferevent_setwatermark(client->stream, EV_READ, 0, CORE_FRAME_MAX + 4);
    bufferevent_enable(client->stream, EV_READ | EV_WRITE);
}
/* Who does not read the last words, or never says the first, does not hold the connection. */
static void close_idle(struct embedded *embedded)
{
    int64_t now_ms = clock_mono_ms(embedded->clock);
    list_for_each (&embedded->clients, node) {
        struct client *client = list_entry(node, struct client, link);
        bool is_idle = client->closing_since || client->core.session_id == 0;
        if (is_idle && now_ms - client->since_ms > embedded->numbers.max_timeout_ms)
            client_close(client);
    }
}
static void on_tick(evutil_socket_t fd UNUSED, short what UNUSED, void *context)
{
    struct embedded *embedded = context;
    if (embedded->failed)
        return;
    if (!embedded->is_full) {
        core_tick(embedded->core, clock_mono_ms(embedded->clock), clock_wall_ms(embedded->clock));
        close_idle(embedded);
    }
    turn_needs_end(embedded);
}
static void on_stop(evutil_socket_t fd UNUSED, short what UNUSED, void *context)
{
    event_base_loopbreak(((struct embedded *)context)->base);
}
static void *run(void *context)
{
    struct embedded *embedded = context;
    event_base_dispatch(embedded->base);
    return NULL;
}

/* ---- start and stop ---- */

static uint16_t bound_port(evutil_socket_t fd)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        return 0;
    return address.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&address)->sin6_port)
                                         : ntohs(((struct sockaddr_in *)&address)->sin_port);
}
static enum err listen_on(struct embedded *embedded, const char *host, uint16_t port)
{
    char service[8];
    (void)snprintf(service, sizeof service, "%u", port);
    struct addrinfo *found = NULL, hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    int code = getaddrinfo(host, service, &hints, &found);
    if (code)
        return err_note(ERR_INVALID_CONFIG, "host '%s': %s", host, gai_strerror(code));
    const struct addrinfo *first = address_nth(found, 0);
    embedded->listener =
        evconnlistener_new_bind(embedded->base, on_accept, embedded,
                                LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE,
                                128, first->ai_addr, (int)first->ai_addrlen);
    freeaddrinfo(found);
    if (!embedded->listener)
        return err_note_errno("listen on %s:%u", host, port);
    embedded->port = bound_port(evconnlistener_get_fd(embedded->listener));
    return ERR_OK;
}
/* The session of the process that held the server before has nobody any more: it need not run out,
 * and whoever comes now under its name need not wait. */
static enum err end_former_session(struct embedded *embedded, const char *own_znode)
{
    int64_t id =
        core_end_owner(embedded->core, slice_str(own_znode), clock_wall_ms(embedded->clock));
    if (!id)
        return ERR_OK;
    trace_info("session of the former run ended session=0x%" PRIx64 " znode=%s", (uint64_t)id,
               own_znode);
    return store_commit(embedded->store, embedded->core);
}
static enum err make_core(struct embedded *embedded, const struct embedded_options *o)
{
    struct words_state *n = &embedded->numbers;
    n->tick_ms = o->tick_ms ? o->tick_ms : 2000;
    n->min_timeout_ms = o->min_session_timeout_ms ? o->min_session_timeout_ms : 2 * n->tick_ms;
    n->max_timeout_ms = o->max_session_timeout_ms ? o->max_session_timeout_ms : 20 * n->tick_ms;
    n->connections_max = CONNECTIONS_MAX;
    if (n->tick_ms < 1 || n->min_timeout_ms < 1 || n->max_timeout_ms < n->min_timeout_ms)
        return err_note(ERR_INVALID_CONFIG,
                        "tick %" PRId32 " ms, session timeouts %" PRId32 " to %" PRId32 " ms",
                        n->tick_ms, n->min_timeout_ms, n->max_timeout_ms);
    /* ids of different starts differ: the upper bits are the wall clock's */
    int64_t wall_ms = clock_wall_ms(embedded->clock);
    embedded->core = core_new(n->tick_ms, n->min_timeout_ms, n->max_timeout_ms,
                              (int64_t)((uint64_t)wall_ms << 24 >> 8) + 1);
    if (!o->data_dir)
        return ERR_OK;
    embedded->data_dir = mem_strdup(o->data_dir);
    n->data_dir = embedded->data_dir;
    enum err e = store_open(o->data_dir, o->log_size_max, embedded->core, &embedded->store);
    core_revive(embedded->core, clock_mono_ms(embedded->clock));
    if (!e && o->own_znode)
        e = end_former_session(embedded, o->own_znode);
    return e;
}
static void add_events(struct embedded *embedded)
{
    struct timeval period = {embedded->numbers.tick_ms / 1000,
                             embedded->numbers.tick_ms % 1000 * 1000};
    embedded->tick = event_new(embedded->base, -1, EV_PERSIST, on_tick, embedded);
    embedded->turn_end = event_new(embedded->base, -1, 0, on_turn_end, embedded);
    embedded->stop = event_new(embedded->base, -1, 0, on_stop, embedded);
    event_add(embedded->tick, &period);
}
enum err embedded_start(const struct embedded_options *options, struct embedded **ret)
{
    evthread_use_pthreads();
    struct embedded *embedded = mem_new(struct embedded);
    list_init(&embedded->clients);
    embedded->clock = options->clock ? options->clock : &clock_system;
    embedded->base = event_base_new();
    enum err e = embedded->base ? make_core(embedded, options)
                                : err_note(ERR_NO_MEMORY, "there can be no event loop");
    if (!e)
        e = listen_on(embedded, options->bind_host ? options->bind_host : "127.0.0.1",
                      options->port);
    if (e) {
        embedded_stop(embedded);
        return err_wrap(e, "start the embedded coordinator");
    }
    add_events(embedded);
    trace_info("embedded coordinator starts port=%u znodes=%zu", embedded->port,
               core_numbers(embedded->core).znodes);
    embedded->running = true;
    embedded->thread =
        thread_start("embedded", run, embedded); /* the core is its own from here on */
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
        event_active(embedded->stop, EV_TIMEOUT, 0); /* heard by a loop that has not begun too */
        pthread_join(embedded->thread, NULL);
    }
    close_all(embedded);
    if (embedded->tick)
        event_free(embedded->tick);
    if (embedded->turn_end)
        event_free(embedded->turn_end);
    if (embedded->stop)
        event_free(embedded->stop);
    if (embedded->listener)
        evconnlistener_free(embedded->listener);
    if (embedded->base)
        event_base_free(embedded->base);
    store_close(embedded->store);
    core_free(embedded->core);
    free(embedded->data_dir);
    free(embedded);
}
