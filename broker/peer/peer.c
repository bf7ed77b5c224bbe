/* One socket, one buffer out, one buffer in, and a queue of calls in the order in which their
 * answers must come. Failures are found in many places and dealt with in one, fail(), which runs
 * from the loop and never within peer_send(): so a caller is not called back before it knows that
 * its call was taken. */
#include "broker/peer/peer.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/base/address.h"
#include "broker/base/list.h"
#include "broker/base/timers.h"
#include "broker/base/trace.h"
#include "broker/base/trouble.h"
#include "broker/peer/peer_frame.h"

#define INPUT_FIRST_BYTES   (16 << 10)
#define BUFFER_KEEP_BYTES   (256 << 10) /* a larger buffer is given back when it is empty */
#define READ_TURN_MAX_BYTES (4 << 20)

enum state { IDLE, CONNECTING, CONNECTED, WAITING };

struct call {
    struct list_node node; /* peer->calls, in the order of their requests */
    struct peer *peer;
    struct timer timer;
    const struct peer_api *api;
    int16_t api_version;
    int32_t correlation_id;
    size_t size_bytes;
    peer_done *done;
    void *context;
};

struct peer {
    struct peer_options options;
    char *host, *client_id;
    enum state state;
    int fd;
    struct event read_event, write_event, timer_event, fail_event;
    struct timers timers;
    struct timer connect_timer, pause_timer;
    struct list_node calls;
    struct list_node mark; /* in calls while they are failed: behind it are newer ones */
    size_t calls_count, calls_bytes;
    int32_t next_correlation_id;
    struct buf out, in;
    size_t out_sent;
    struct arena *arena;
    int64_t backoff_ms;
    uint32_t connection;            /* counts up, so that a callback's own close is noticed */
    uint32_t next_address;          /* of those that the host has; counts up as they fail */
    struct sockaddr_storage target; /* the one that was connected to last */
    socklen_t target_size;
    bool is_calling;        /* within `done` */
    bool has_answered;      /* at the target, on whatever connection */
    bool looks_after;       /* the next connect tells whether the process still is */
    bool is_refused;        /* it did */
    struct trouble trouble; /* connections that get no answer */
    enum err failure;       /* what fail_event is to deal with */
    char why[160];
};

void peer_options_init(struct peer_options *options)
{
    *options = (struct peer_options){
        .clock = &clock_system,
        .client_id = "",
        .broker_id = -1,
        .connect_timeout_ms = 10000,
        .backoff_ms = 50,
        .backoff_max_ms = 1000,
        .pending_max_bytes = 64 << 20,
        .response_max_bytes = INT32_MAX,
        .send_buffer_bytes = -1,
        .receive_buffer_bytes = -1,
    };
}

static int64_t now_ms(const struct peer *peer)
{
    return clock_mono_ms(peer->options.clock);
}

static void arm(struct peer *peer)
{
    int64_t next_ms = timers_next_ms(&peer->timers);
    if (next_ms == INT64_MAX) {
        event_del(&peer->timer_event);
        return;
    }
    int64_t delay_ms = next_ms - now_ms(peer);
    delay_ms = delay_ms < 0 ? 0 : delay_ms;
    struct timeval delay = {.tv_sec = delay_ms / 1000, .tv_usec = delay_ms % 1000 * 1000};
    event_add(&peer->timer_event, &delay);
}

static void set_timer(struct peer *peer, struct timer *timer, int64_t delay_ms)
{
    timer_set(&peer->timers, timer, clock_later_ms(now_ms(peer), delay_ms));
    arm(peer);
}

/* Deal with a failure from the loop, soon. The first one counts. */
static void fail_soon(struct peer *peer, enum err e, const char *why)
{
    if (peer->failure)
        return;
    peer->failure = e;
    snprintf(peer->why, sizeof peer->why, "%s", why);
    event_active(&peer->fail_event, EV_TIMEOUT, 1);
}

static void close_socket(struct peer *peer)
{
    peer->connection++;
    timer_cancel(&peer->timers, &peer->connect_timer);
    if (peer->fd >= 0) {
        event_del(&peer->read_event);
        event_del(&peer->write_event);
        close(peer->fd);
    }
    peer->fd = -1;
    peer->out.size = peer->out_sent = 0;
    if (!peer->is_calling) /* else a response in it is still being read */
        buf_done(&peer->in);
}

static void finish(struct call *call, enum err e, const void *response)
{
    struct peer *peer = call->peer;
    list_remove(&call->node);
    timer_cancel(&peer->timers, &call->timer);
    peer->calls_count--;
    peer->calls_bytes -= call->size_bytes;
    call->done(call->context, e, response);
    free(call);
}

/* Those that are pending now; what their callbacks send waits for the next connection. */
static void finish_all(struct peer *peer, enum err e)
{
    struct list_node *last = &peer->mark;
    list_push_back(&peer->calls, last);
    while (peer->calls.next != last)
        finish(list_entry(peer->calls.next, struct call, node), e, NULL);
    list_remove(last);
}

static void start_pause(struct peer *peer)
{
    int64_t jitter_ms = peer->backoff_ms * (random() % 41 - 20) / 100;
    peer->state = WAITING;
    set_timer(peer, &peer->pause_timer, peer->backoff_ms + jitter_ms);
    peer->backoff_ms *= 2;
    if (peer->backoff_ms > peer->options.backoff_max_ms)
        peer->backoff_ms = peer->options.backoff_max_ms;
}

static void tell_loss(struct peer *peer, const char *why)
{
    struct trouble *trouble = &peer->trouble;
    if (!trouble_again(trouble, peer->options.clock))
        return;
    if (trouble->times == 1)
        trace_info("connection to broker lost broker=%d address=%s:%u reason=%s",
                   peer->options.broker_id, peer->host, peer->options.port, why);
    else
        trace_info("connection to broker fails again and again broker=%d address=%s:%u reason=%s "
                   "times=%" PRIu64 " since_ms=%" PRId64,
                   peer->options.broker_id, peer->host, peer->options.port, why, trouble->times,
                   trouble->since_ms);
}

static void tell_answer(struct peer *peer)
{
    const struct trouble *trouble = &peer->trouble;
    if (trouble_over(&peer->trouble, peer->options.clock))
        trace_info("broker answers again broker=%d address=%s:%u times=%" PRIu64
                   " since_ms=%" PRId64,
                   peer->options.broker_id, peer->host, peer->options.port, trouble->times,
                   trouble->since_ms);
}

static void fail(struct peer *peer, enum err e, const char *why)
{
    tell_loss(peer, why);
    close_socket(peer);
    peer->failure = ERR_OK;
    event_del(&peer->fail_event);
    if (peer->state == CONNECTED && peer->has_answered && peer->options.refused)
        peer->looks_after = true;
    start_pause(peer);
    bool is_refused = peer->is_refused;
    peer->is_refused = false;
    finish_all(peer, e);
    if (is_refused)
        peer->options.refused(peer->options.refused_context);
}

static void on_fail(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    struct peer *peer = context;
    if (peer->failure)
        fail(peer, peer->failure, peer->why);
}

/* --- sending --- */

static void flush(struct peer *peer)
{
    while (peer->out_sent < peer->out.size) {
        ssize_t n = send(peer->fd, peer->out.data + peer->out_sent, peer->out.size - peer->out_sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0) {
            peer->out_sent += (size_t)n;
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            event_add(&peer->write_event, NULL);
        else
            fail_soon(peer, ERR_NETWORK_EXCEPTION, strerror(errno));
        return;
    }
    peer->out.size = peer->out_sent = 0;
    if (peer->out.capacity > BUFFER_KEEP_BYTES)
        buf_done(&peer->out);
}

/* --- connecting --- */

static void set_option(int fd, int level, int option, int value)
{
    (void)setsockopt(fd, level, option, &value, sizeof value); /* the defaults work as well */
}

/* The host's next address may do better; where it is looked after, only the one that answered. */
static void connect_failed(struct peer *peer, int code, const char *why)
{
    peer->is_refused = peer->looks_after && code == ECONNREFUSED;
    peer->looks_after = false;
    peer->next_address++;
    fail_soon(peer, ERR_NETWORK_EXCEPTION, why);
}

static void on_connected(struct peer *peer)
{
    int code = 0;
    socklen_t size = sizeof code;
    getsockopt(peer->fd, SOL_SOCKET, SO_ERROR, &code, &size);
    if (code) {
        connect_failed(peer, code, strerror(code));
        return;
    }
    timer_cancel(&peer->timers, &peer->connect_timer);
    peer->state = CONNECTED;
    peer->looks_after = false;
    event_add(&peer->read_event, NULL);
    flush(peer);
}

static void on_writable(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    struct peer *peer = context;
    if (peer->state == CONNECTING)
        on_connected(peer);
    else if (peer->state == CONNECTED)
        flush(peer);
}

static void on_readable(evutil_socket_t fd, short what, void *context);

static void set_target(struct peer *peer, const struct addrinfo *address)
{
    if (peer->target_size == address->ai_addrlen &&
        memcmp(&peer->target, address->ai_addr, address->ai_addrlen) == 0)
        return;
    peer->has_answered = false;
    peer->target_size = address->ai_addrlen;
    memcpy(&peer->target, address->ai_addr, address->ai_addrlen);
}

static bool open_socket(struct peer *peer, const struct addrinfo *address)
{
    set_target(peer, address);
    peer->fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (peer->fd < 0)
        return false;
    set_option(peer->fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(peer->fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    if (peer->options.send_buffer_bytes > 0)
        set_option(peer->fd, SOL_SOCKET, SO_SNDBUF, peer->options.send_buffer_bytes);
    if (peer->options.receive_buffer_bytes > 0)
        set_option(peer->fd, SOL_SOCKET, SO_RCVBUF, peer->options.receive_buffer_bytes);
    event_assign(&peer->read_event, peer->options.base, peer->fd, EV_READ | EV_PERSIST, on_readable,
                 peer);
    event_assign(&peer->write_event, peer->options.base, peer->fd, EV_WRITE, on_writable, peer);
    if (connect(peer->fd, address->ai_addr, address->ai_addrlen) == 0 || errno == EINPROGRESS)
        return true;
    int code = errno;
    close(peer->fd);
    peer->fd = -1;
    errno = code;
    return false;
}

/* False: errno says why. */
static bool open_any(struct peer *peer, const struct addrinfo *found)
{
    bool is_open = open_socket(peer, address_nth(found, peer->next_address));
    for (uint32_t left = address_count(found); !is_open && --left > 0;)
        is_open = open_socket(peer, address_nth(found, ++peer->next_address));
    return is_open;
}

/* Where it has answered, whatever the name stands for by now. False: errno says why. */
static bool open_again(struct peer *peer)
{
    struct sockaddr_storage target = peer->target;
    return open_socket(peer, &(struct addrinfo){.ai_family = target.ss_family,
                                                .ai_addr = (struct sockaddr *)&target,
                                                .ai_addrlen = peer->target_size});
}

static void start_connect(struct peer *peer)
{
    char service[8];
    snprintf(service, sizeof service, "%u", peer->options.port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *found = NULL;
    int code = peer->looks_after ? 0 : getaddrinfo(peer->host, service, &hints, &found);
    peer->state = CONNECTING;
    if (code) {
        fail_soon(peer, ERR_NETWORK_EXCEPTION, gai_strerror(code));
        return;
    }
    bool is_open = found ? open_any(peer, found) : open_again(peer);
    code = errno;
    if (found)
        freeaddrinfo(found);
    if (!is_open) {
        connect_failed(peer, code, strerror(code));
        return;
    }
    event_add(&peer->write_event, NULL);
    set_timer(peer, &peer->connect_timer, peer->options.connect_timeout_ms);
}

static void on_connect_timeout(struct timer *timer)
{
    struct peer *peer = CONTAINER_OF(timer, struct peer, connect_timer);
    connect_failed(peer, ETIMEDOUT, "connecting takes too long");
}

static void on_pause_over(struct timer *timer)
{
    struct peer *peer = CONTAINER_OF(timer, struct peer, pause_timer);
    peer->state = IDLE;
    if (peer->looks_after || !list_is_empty(&peer->calls))
        start_connect(peer);
}

static void on_call_timeout(struct timer *timer)
{
    struct call *call = CONTAINER_OF(timer, struct call, timer);
    struct peer *peer = call->peer;
    char why[80];
    snprintf(why, sizeof why, "no answer in time api=%s", call->api->name);
    fail_soon(peer, ERR_NETWORK_EXCEPTION, why);
    finish(call, ERR_REQUEST_TIMED_OUT, NULL);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    struct peer *peer = context;
    timers_run(&peer->timers, now_ms(peer));
    arm(peer);
}

/* --- receiving --- */

static enum err take_response(struct peer *peer, struct slice frame)
{
    if (list_is_empty(&peer->calls))
        return err_note(ERR_MALFORMED, "an answer that nobody asked for");
    struct call *call = list_entry(peer->calls.next, struct call, node);
    size_t header_size = 0;
    void *response = NULL;
    enum err e = peer_frame_header_size(call->api, call->api_version, call->correlation_id, frame,
                                        &header_size);
    if (!e)
        e = call->api->decode(call->api,
                              slice_of(frame.data + header_size, frame.size - header_size),
                              call->api_version, peer->arena, &response);
    if (e)
        return e;
    peer->backoff_ms = peer->options.backoff_ms; /* it works: a later pause is short again */
    peer->has_answered = true;
    tell_answer(peer);
    peer->is_calling = true;
    finish(call, ERR_OK, response);
    peer->is_calling = false;
    arena_reset(peer->arena);
    return ERR_OK;
}

/* Give out whole frames. ret_used: their bytes. */
static enum err take_responses(struct peer *peer, size_t *ret_used)
{
    uint32_t connection = peer->connection;
    size_t used = 0;
    enum err e = ERR_OK;
    while (!e && peer->connection == connection && peer->in.size - used >= FRAME_SIZE_BYTES) {
        int32_t size = (int32_t)get_be32(peer->in.data + used);
        if (size < 4 || size > peer->options.response_max_bytes)
            e = err_note(ERR_MALFORMED, "an answer of %d bytes", size);
        else if (peer->in.size - used - FRAME_SIZE_BYTES < (size_t)size)
            break;
        else {
            struct slice frame = slice_of(peer->in.data + used + FRAME_SIZE_BYTES, (size_t)size);
            used += FRAME_SIZE_BYTES + (size_t)size;
            e = take_response(peer, frame);
        }
    }
    *ret_used = used;
    return e;
}

/* Room doubles with what has arrived, up to the frame's announced end. */
static size_t room_wanted(const struct peer *peer)
{
    size_t free_bytes = peer->in.capacity - peer->in.size;
    if (free_bytes > 0)
        return free_bytes;
    size_t more = peer->in.capacity < INPUT_FIRST_BYTES ? INPUT_FIRST_BYTES : peer->in.capacity;
    if (peer->in.size < FRAME_SIZE_BYTES)
        return more;
    size_t needed = FRAME_SIZE_BYTES + (size_t)get_be32(peer->in.data) - peer->in.size;
    return needed < more ? needed : more;
}

/* False: nothing more to do now. */
static bool receive(struct peer *peer)
{
    size_t room = room_wanted(peer);
    buf_reserve(&peer->in, room);
    ssize_t n = recv(peer->fd, peer->in.data + peer->in.size, room, MSG_DONTWAIT);
    if (n < 0 && errno == EINTR)
        return true;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return false;
    if (n <= 0) {
        fail(peer, ERR_NETWORK_EXCEPTION, n == 0 ? "the broker closed it" : strerror(errno));
        return false;
    }
    peer->in.size += (size_t)n;
    uint32_t connection = peer->connection;
    size_t used;
    enum err e = take_responses(peer, &used);
    if (peer->connection != connection) { /* a callback closed it */
        buf_done(&peer->in);
        return false;
    }
    if (e) {
        fail(peer, ERR_MALFORMED, err_sentence(e));
        return false;
    }
    memmove(peer->in.data, peer->in.data + used, peer->in.size - used);
    peer->in.size -= used;
    if (peer->in.size == 0 && peer->in.capacity > BUFFER_KEEP_BYTES)
        buf_done(&peer->in);
    return (size_t)n == room;
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    struct peer *peer = context;
    for (size_t turn = 0; turn < READ_TURN_MAX_BYTES && receive(peer); turn += INPUT_FIRST_BYTES)
        ;
    arm(peer);
}

/* --- what others call --- */

struct peer *peer_new(const struct peer_options *options)
{
    struct peer *peer = mem_new(struct peer);
    peer->options = *options;
    peer->host = mem_strdup(options->host);
    peer->client_id = mem_strdup(options->client_id ? options->client_id : "");
    peer->fd = -1;
    peer->backoff_ms = options->backoff_ms;
    peer->arena = arena_new();
    peer->connect_timer.fire = on_connect_timeout;
    peer->pause_timer.fire = on_pause_over;
    list_init(&peer->calls);
    list_init(&peer->mark);
    event_assign(&peer->timer_event, options->base, -1, 0, on_timer, peer);
    event_assign(&peer->fail_event, options->base, -1, 0, on_fail, peer);
    return peer;
}

void peer_free(struct peer *peer)
{
    if (!peer)
        return;
    assert(!peer->is_calling);
    close_socket(peer);
    finish_all(peer, ERR_CANCELLED);
    event_del(&peer->timer_event);
    event_del(&peer->fail_event);
    timers_done(&peer->timers);
    buf_done(&peer->out);
    buf_done(&peer->in);
    arena_free(peer->arena);
    free(peer->host);
    free(peer->client_id);
    free(peer);
}

enum err peer_send(struct peer *peer, const struct peer_api *api, int16_t api_version,
                   const void *request, int64_t timeout_ms, peer_done *done, void *context)
{
    if (peer->calls_bytes >= peer->options.pending_max_bytes)
        return err_note(ERR_AGAIN, "%zu bytes of requests to broker %d wait for answers",
                        peer->calls_bytes, peer->options.broker_id);
    size_t before = peer->out.size;
    enum err e = peer_frame_put(&peer->out, api, api_version, peer->next_correlation_id,
                                peer->client_id, request);
    if (e)
        return e;
    struct call *call = mem_new(struct call);
    *call = (struct call){.peer = peer,
                          .timer.fire = on_call_timeout,
                          .api = api,
                          .api_version = api_version,
                          .correlation_id = peer->next_correlation_id,
                          .size_bytes = peer->out.size - before,
                          .done = done,
                          .context = context};
    peer->next_correlation_id = (int32_t)((uint32_t)peer->next_correlation_id + 1) & INT32_MAX;
    list_push_back(&peer->calls, &call->node);
    peer->calls_count++;
    peer->calls_bytes += call->size_bytes;
    set_timer(peer, &call->timer, timeout_ms);
    if (peer->state == IDLE)
        start_connect(peer);
    else if (peer->state == CONNECTED && before == 0)
        flush(peer);
    return ERR_OK;
}

void peer_set_address(struct peer *peer, const char *host, uint16_t port)
{
    if (port == peer->options.port && strcmp(host, peer->host) == 0)
        return;
    free(peer->host);
    peer->host = mem_strdup(host);
    peer->options.port = port;
    peer->next_address = 0;
    peer->has_answered = peer->looks_after = peer->is_refused = false;
    peer->backoff_ms = peer->options.backoff_ms;
    peer->trouble = (struct trouble){0};
    if (peer->state == CONNECTING || peer->state == CONNECTED)
        fail_soon(peer, ERR_NETWORK_EXCEPTION, "the broker has another address now");
}

bool peer_is_connected(const struct peer *peer)
{
    return peer->state == CONNECTED;
}

size_t peer_pending_count(const struct peer *peer)
{
    return peer->calls_count;
}
