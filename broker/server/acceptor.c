/* The acceptor thread: takes connections from every listener, judges them, and hands them to the
 * network threads in turn. Where a listener may not have one more it stops listening, and the
 * kernel's backlog holds the rest. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/base/trace.h"
#include "broker/server/network_internal.h"

#define COMPLAIN_EVERY_MS  10000
#define EXHAUSTED_PAUSE_MS 50 /* no descriptors: look again then */

static int64_t now_ms(const struct acceptor *acceptor)
{
    return clock_mono_ms(acceptor->network->options.clock);
}

static void listen_again(struct listener *listener)
{
    if (atomic_load(&listener->network->acceptor.is_open) && !listener->is_listening &&
        listener->fd >= 0 && !listener->waits_for_slot && !timer_is_set(&listener->pause_timer))
        listener->is_listening = event_add(&listener->event, NULL) == 0;
}

static void stop_listening(struct listener *listener)
{
    if (listener->is_listening)
        event_del(&listener->event);
    listener->is_listening = false;
}

static void arm(struct acceptor *acceptor)
{
    int64_t next_ms = timers_next_ms(&acceptor->timers);
    if (next_ms == INT64_MAX)
        return;
    int64_t delay_ms = next_ms - now_ms(acceptor);
    delay_ms = delay_ms < 0 ? 0 : delay_ms;
    struct timeval delay = {.tv_sec = delay_ms / 1000, .tv_usec = delay_ms % 1000 * 1000};
    event_add(&acceptor->timer_event, &delay);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    struct acceptor *acceptor = context;
    timers_run(&acceptor->timers, now_ms(acceptor));
    arm(acceptor);
}

static void on_pause_over(struct timer *timer)
{
    listen_again(list_entry(timer, struct listener, pause_timer));
}

static void pause_listener(struct listener *listener, int64_t pause_ms)
{
    struct acceptor *acceptor = &listener->network->acceptor;
    stop_listening(listener);
    timer_set(&acceptor->timers, &listener->pause_timer, now_ms(acceptor) + pause_ms);
    arm(acceptor);
}

/* A slot is free, or the broker opens or stops. */
static void on_slot(evutil_socket_t fd, short what, void *context)
{
    (void)what;
    struct acceptor *acceptor = context;
    struct network *network = acceptor->network;
    eventfd_t value;
    eventfd_read(fd, &value);
    if (atomic_load(&acceptor->is_stopping)) {
        event_base_loopbreak(acceptor->base);
        return;
    }
    for (size_t i = 0; i < LISTENERS_MAX; i++) {
        network->listeners[i].waits_for_slot = false;
        listen_again(&network->listeners[i]);
    }
}

static void write_peer(char *ret_text, size_t size, const struct sockaddr_storage *address)
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
        if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
            inet_ntop(AF_INET, &in6->sin6_addr.s6_addr[12], host, sizeof host);
            snprintf(ret_text, size, "%s:%u", host, ntohs(in6->sin6_port));
            return;
        }
        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
        snprintf(ret_text, size, "[%s]:%u", host, ntohs(in6->sin6_port));
        return;
    }
    const struct sockaddr_in *in = (const struct sockaddr_in *)address;
    inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
    snprintf(ret_text, size, "%s:%u", host, ntohs(in->sin_port));
}

static void set_option(int fd, int level, int option, int value)
{
    (void)setsockopt(fd, level, option, &value, sizeof value); /* the defaults work as well */
}

/* Others were set on the listener. */
static void set_options(int fd)
{
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
}

void network_ask_for_eviction(struct network *network)
{
    struct eviction *eviction = mem_new(struct eviction);
    eviction->mail.take = thread_take_evict;
    unsigned at = atomic_fetch_add(&network->acceptor.next_evicting, 1) %
                  (unsigned)atomic_load(&network->threads_count);
    mailbox_post(network->threads[at].mailbox, &eviction->mail.node);
}

static void hand_over(struct listener *listener, int fd, const struct sockaddr_storage *address,
                      struct in6_addr in6)
{
    struct network *network = listener->network;
    struct connection *conn = mem_new(struct connection);
    conn->arrival.take = connection_arrive;
    conn->fd = fd;
    pthread_mutex_init(&conn->turn, NULL);
    conn->listener = listener->index;
    conn->address = in6;
    write_peer(conn->peer, sizeof conn->peer, address);
    unsigned at = network->acceptor.next_thread++ % (unsigned)atomic_load(&network->threads_in_use);
    conn->thread = &network->threads[at];
    mailbox_post(conn->thread->mailbox, &conn->arrival.node);
}

static void judge(struct listener *listener, int fd, const struct sockaddr_storage *address)
{
    struct network *network = listener->network;
    struct in6_addr in6 = limits_address(address);
    count(&network->acceptor.accepted, 1);
    switch (limits_take(network->limits, listener->index, in6)) {
    case LIMITS_PER_IP: {
        char peer[64];
        write_peer(peer, sizeof peer, address);
        count(&network->acceptor.refused_per_ip, 1);
        trace_info("connection refused peer=%s listener=%s reason=max.connections.per.ip", peer,
                   listener->options.name);
        close(fd);
        return;
    }
    case LIMITS_EVICT:
        network_ask_for_eviction(network);
        break;
    case LIMITS_WAIT:
    case LIMITS_OK:
        break;
    }
    set_options(fd);
    hand_over(listener, fd, address, in6);
}

/* No descriptors left: give the reserve up to accept and close one, so that the client hears of it,
 * then rest. */
static void on_exhausted(struct listener *listener, int code)
{
    struct acceptor *acceptor = &listener->network->acceptor;
    if (now_ms(acceptor) - acceptor->last_complaint_ms >= COMPLAIN_EVERY_MS) {
        acceptor->last_complaint_ms = now_ms(acceptor);
        trace_error("cannot accept connections listener=%s reason=%s", listener->options.name,
                    strerror(code));
    }
    if (acceptor->reserve_fd >= 0) {
        close(acceptor->reserve_fd);
        int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            close(fd);
        acceptor->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    pause_listener(listener, EXHAUSTED_PAUSE_MS);
}

/* False: no more for this turn. */
static bool accept_one(struct listener *listener)
{
    struct network *network = listener->network;
    if (limits_may_accept(network->limits, listener->index) == LIMITS_WAIT) {
        listener->waits_for_slot = true;
        stop_listening(listener);
        return false;
    }
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    int fd =
        accept4(listener->fd, (struct sockaddr *)&address, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return false;
        count(&network->acceptor.accept_errors, 1);
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            on_exhausted(listener, errno);
            return false;
        }
        return true; /* this one is gone (ECONNABORTED and the like) */
    }
    judge(listener, fd, &address);
    int64_t pause_ms = limits_rate(network->limits, listener->index, now_ms(&network->acceptor));
    if (pause_ms > 0)
        pause_listener(listener, pause_ms);
    return pause_ms == 0;
}

static void on_connection(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    struct listener *listener = context;
    for (int i = 0; i < ACCEPT_TURN_MAX; i++)
        if (!accept_one(listener))
            return;
}

void acceptor_add(struct listener *listener, int fd)
{
    struct acceptor *acceptor = &listener->network->acceptor;
    assert(listener->fd < 0);
    listener->fd = fd;
    listener->waits_for_slot = false;
    event_assign(&listener->event, acceptor->base, fd, EV_READ | EV_PERSIST, on_connection,
                 listener);
    listen_again(listener);
}

/* What it accepted before is on its way to the threads, and the farewell comes after it. */
static void close_connections(struct listener *listener)
{
    struct network *network = listener->network;
    for (int i = 0; i < atomic_load(&network->threads_count); i++) {
        struct farewell *farewell = mem_new(struct farewell);
        farewell->mail.take = thread_take_farewell;
        farewell->listener = listener->index;
        mailbox_post(network->threads[i].mailbox, &farewell->mail.node);
    }
}

void acceptor_remove(struct listener *listener, int fd)
{
    (void)fd;
    stop_listening(listener);
    timer_cancel(&listener->network->acceptor.timers, &listener->pause_timer);
    close(listener->fd);
    listener->fd = -1;
    close_connections(listener);
}

static void on_mail(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    struct acceptor *acceptor = context;
    struct list_node messages;
    list_init(&messages);
    mailbox_receive(acceptor->mailbox, &messages);
    for (struct list_node *node; (node = list_pop_front(&messages));) {
        struct listener_mail *mail = list_entry(node, struct listener_mail, node);
        mail->take(mail->listener, mail->fd);
        sem_post(mail->ret_done); /* the mail is gone from here on */
    }
}

void acceptor_tell(struct listener *listener, void (*take)(struct listener *listener, int fd),
                   int fd)
{
    struct acceptor *acceptor = &listener->network->acceptor;
    if (!acceptor->is_started) {
        take(listener, fd);
        return;
    }
    sem_t done;
    sem_init(&done, 0, 0);
    struct listener_mail mail = {.take = take, .listener = listener, .fd = fd, .ret_done = &done};
    list_init(&mail.node);
    mailbox_post(acceptor->mailbox, &mail.node);
    while (sem_wait(&done) < 0 && errno == EINTR)
        ;
    sem_destroy(&done);
}

void acceptor_init(struct network *network)
{
    struct acceptor *acceptor = &network->acceptor;
    acceptor->network = network;
    acceptor->last_complaint_ms = INT64_MIN / 2;
    acceptor->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    acceptor->mailbox = mailbox_new();
    acceptor->base = event_base_new();
    if (!acceptor->base)
        mem_stop(sizeof *acceptor);
    event_assign(&acceptor->slot_event, acceptor->base, limits_slot_fd(network->limits),
                 EV_READ | EV_PERSIST, on_slot, acceptor);
    event_assign(&acceptor->mailbox_event, acceptor->base, mailbox_fd(acceptor->mailbox),
                 EV_READ | EV_PERSIST, on_mail, acceptor);
    event_assign(&acceptor->timer_event, acceptor->base, -1, 0, on_timer, acceptor);
    event_add(&acceptor->slot_event, NULL);
    event_add(&acceptor->mailbox_event, NULL);
    for (size_t i = 0; i < LISTENERS_MAX; i++)
        network->listeners[i].pause_timer.fire = on_pause_over;
}

static void *run(void *context)
{
    struct acceptor *acceptor = context;
    event_base_loop(acceptor->base, EVLOOP_NO_EXIT_ON_EMPTY);
    return NULL;
}

void acceptor_start(struct network *network)
{
    struct acceptor *acceptor = &network->acceptor;
    acceptor->pthread = thread_start("acceptor", run, acceptor);
    acceptor->is_started = true;
}

void network_open(struct network *network)
{
    if (!atomic_exchange(&network->acceptor.is_open, true))
        eventfd_write(limits_slot_fd(network->limits), 1);
}

void acceptor_stop(struct network *network)
{
    struct acceptor *acceptor = &network->acceptor;
    if (!acceptor->is_started)
        return;
    atomic_store(&acceptor->is_stopping, true);
    eventfd_write(limits_slot_fd(network->limits), 1);
    pthread_join(acceptor->pthread, NULL);
    acceptor->is_started = false;
    for (size_t i = 0; i < LISTENERS_MAX; i++) {
        stop_listening(&network->listeners[i]);
        if (network->listeners[i].fd >= 0)
            close(network->listeners[i].fd);
        network->listeners[i].fd = -1;
    }
}

void acceptor_done(struct network *network)
{
    struct acceptor *acceptor = &network->acceptor;
    for (size_t i = 0; i < LISTENERS_MAX; i++)
        if (network->listeners[i].fd >= 0)
            close(network->listeners[i].fd);
    if (!acceptor->base)
        return;
    event_del(&acceptor->slot_event);
    event_del(&acceptor->mailbox_event);
    mailbox_free(acceptor->mailbox);
    event_del(&acceptor->timer_event);
    event_base_free(acceptor->base);
    timers_done(&acceptor->timers);
    if (acceptor->reserve_fd >= 0)
        close(acceptor->reserve_fd);
}
