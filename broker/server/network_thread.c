/* A network thread: one event loop with its connections, one mailbox, one heap of timers behind one
 * event. */
#include <event2/thread.h>
#include <inttypes.h>

#include "broker/base/trace.h"
#include "broker/server/network_internal.h"

static _Thread_local struct network_thread *current;

struct network_thread *network_thread_here(void)
{
    return current;
}

bool thread_is_current(const struct network_thread *thread)
{
    return current == thread;
}

int64_t thread_now_ms(const struct network_thread *thread)
{
    return clock_mono_ms(thread->network->options.clock);
}

static void arm(struct network_thread *thread)
{
    int64_t next_ms = timers_next_ms(&thread->timers);
    if (next_ms == INT64_MAX || next_ms >= thread->armed_ms)
        return; /* an event that is too early finds nothing due and arms anew */
    int64_t delay_ms = next_ms - thread_now_ms(thread);
    if (delay_ms < 0)
        delay_ms = 0;
    struct timeval delay = {.tv_sec = delay_ms / 1000, .tv_usec = delay_ms % 1000 * 1000};
    thread->armed_ms = next_ms;
    event_add(&thread->timer_event, &delay);
}

void thread_timer_set(struct network_thread *thread, struct timer *timer, int64_t delay_ms)
{
    timer_set(&thread->timers, timer, clock_later_ms(thread_now_ms(thread), delay_ms));
    arm(thread);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    struct network_thread *thread = context;
    thread->armed_ms = INT64_MAX;
    timers_run(&thread->timers, thread_now_ms(thread));
    thread_run_soon(thread);
    arm(thread);
}

static void on_mailbox(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    struct network_thread *thread = context;
    struct list_node messages;
    list_init(&messages);
    mailbox_receive(thread->mailbox, &messages);
    for (struct list_node *node; (node = list_pop_front(&messages));) {
        struct mail *mail = list_entry(node, struct mail, node);
        mail->take(thread, mail);
    }
    thread_run_soon(thread);
}

/* Those that are here now; what they add comes in the next turn of the loop. */
static void on_resume(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    struct network_thread *thread = context;
    struct list_node *last = &thread->resume_mark;
    list_push_back(&thread->resumes, last);
    for (struct list_node *node; (node = list_pop_front(&thread->resumes)) != last;)
        connection_continue(list_entry(node, struct connection, resume));
    thread_run_soon(thread);
    if (!list_is_empty(&thread->resumes))
        event_active(&thread->resume_event, EV_TIMEOUT, 1);
}

/* A client that rests between its requests is no news; one that began none, or did not finish it,
 * is. */
static void close_idle(struct connection *conn, int64_t idle_ms)
{
    const char *what = conn->state == READING && conn->input ? "half a request"
                       : !conn->has_asked                    ? "no request"
                                                             : NULL;
    if (what)
        trace_info("connection closed peer=%s listener=%s reason=%s for %" PRId64 " ms", conn->peer,
                   conn->thread->network->listeners[conn->listener].options.name, what, idle_ms);
    else
        trace_debug("connection idle peer=%s idle_ms=%" PRId64, conn->peer, idle_ms);
    count(&conn->thread->counters.idle_closed, 1);
    connection_close(conn);
}

/* The list is in order of activity, so only its head can be due. A request in work does not save a
 * connection, as in Kafka. */
static void on_idle(struct timer *timer)
{
    struct network_thread *thread = list_entry(timer, struct network_thread, idle_timer);
    int64_t idle_ms = thread->network->options.idle_max_ms, now_ms = thread_now_ms(thread);
    while (!list_is_empty(&thread->connections)) {
        struct connection *oldest = list_entry(thread->connections.next, struct connection, lru);
        int64_t left_ms = idle_ms - (now_ms - oldest->last_active_ms);
        if (left_ms > 0) {
            thread_timer_set(thread, timer, left_ms);
            return;
        }
        close_idle(oldest, now_ms - oldest->last_active_ms);
    }
}

static void give_up_oldest_half_request(struct network_thread *thread)
{
    list_for_each (&thread->connections, node) {
        struct connection *conn = list_entry(node, struct connection, lru);
        if (conn->input && conn->state == READING) {
            connection_refuse(
                conn, "unfinished requests fill the memory they share, and this is the stalest");
            return;
        }
    }
}

static void on_memory(struct timer *timer)
{
    struct network_thread *thread = list_entry(timer, struct network_thread, memory_timer);
    list_for_each (&thread->paused, node)
        connection_retry_memory(list_entry(node, struct connection, paused));
    if (list_is_empty(&thread->paused))
        return;
    if (thread_now_ms(thread) - thread->memory_progress_ms >= MEMORY_STALL_MS) {
        thread->memory_progress_ms = thread_now_ms(thread);
        give_up_oldest_half_request(thread);
    }
    thread_timer_set(thread, timer, MEMORY_RETRY_MS);
}

void thread_pause_for_memory(struct network_thread *thread, struct connection *conn)
{
    count(&thread->counters.memory_pauses, 1);
    if (list_is_empty(&thread->paused))
        thread->memory_progress_ms = thread_now_ms(thread);
    list_push_back(&thread->paused, &conn->paused);
    if (!timer_is_set(&thread->memory_timer))
        thread_timer_set(thread, &thread->memory_timer, MEMORY_RETRY_MS);
}

/* There is a connection too many: close the least recently active one that no listener protects. */
void thread_take_evict(struct network_thread *thread, struct mail *mail)
{
    struct eviction *eviction = list_entry(mail, struct eviction, mail);
    struct network *network = thread->network;
    list_for_each (&thread->connections, node) {
        struct connection *conn = list_entry(node, struct connection, lru);
        if (limits_protects(network->limits, conn->listener))
            continue;
        trace_info("connection evicted peer=%s reason=max.connections", conn->peer);
        count(&thread->counters.evicted, 1);
        connection_close(conn);
        free(eviction);
        return;
    }
    int threads_count = atomic_load(&network->threads_count);
    if (++eviction->asked_count >= threads_count) {
        free(eviction); /* all that is left are brokers */
        return;
    }
    long next = (thread - network->threads + 1) % threads_count;
    mailbox_post(network->threads[next].mailbox, &eviction->mail.node);
}

void thread_take_farewell(struct network_thread *thread, struct mail *mail)
{
    struct farewell *farewell = list_entry(mail, struct farewell, mail);
    struct list_node *node = thread->connections.next;
    while (node != &thread->connections) {
        struct connection *conn = list_entry(node, struct connection, lru);
        node = node->next;
        if (conn->listener == farewell->listener)
            connection_close(conn);
    }
    free(farewell);
}

void thread_check_done(struct network_thread *thread)
{
    if (thread->is_stopping && list_is_empty(&thread->connections))
        event_base_loopbreak(thread->base);
}

static void close_all(struct network_thread *thread)
{
    while (!list_is_empty(&thread->connections))
        connection_close(list_entry(thread->connections.next, struct connection, lru));
}

static void on_drain_over(struct timer *timer)
{
    close_all(list_entry(timer, struct network_thread, drain_timer));
}

/* Connections without a request go now, the others when they have sent their answer. */
void thread_take_stop(struct network_thread *thread, struct mail *mail)
{
    (void)mail;
    thread->is_stopping = true;
    struct list_node *node = thread->connections.next;
    while (node != &thread->connections) {
        struct connection *conn = list_entry(node, struct connection, lru);
        node = node->next;
        if (conn->state == READING || conn->state == THROTTLED)
            connection_close(conn);
        else if (conn->state == WORKING)
            connection_settle(conn);
    }
    thread_timer_set(thread, &thread->drain_timer, thread->network->drain_ms);
    thread_check_done(thread);
}

void *network_thread_run(void *context)
{
    struct network_thread *thread = context;
    current = thread;
    event_base_loop(thread->base, EVLOOP_NO_EXIT_ON_EMPTY);
    current = NULL;
    return NULL;
}

void thread_init(struct network_thread *thread, struct network *network, int index)
{
    thread->network = network;
    thread->index = index;
    thread->mailbox = mailbox_new();
    thread->base = event_base_new();
    if (!thread->base)
        mem_stop(sizeof *thread);
    thread->armed_ms = INT64_MAX;
    thread->scratch = mem_alloc(SCRATCH_BYTES);
    list_init(&thread->connections);
    list_init(&thread->paused);
    list_init(&thread->resumes);
    list_init(&thread->resume_mark);
    list_init(&thread->outstanding);
    list_init(&thread->spare);
    list_init(&thread->soon);
    list_init(&thread->stop.node);
    thread->stop.take = thread_take_stop;
    thread->idle_timer.fire = on_idle;
    thread->memory_timer.fire = on_memory;
    thread->drain_timer.fire = on_drain_over;
    event_assign(&thread->mailbox_event, thread->base, mailbox_fd(thread->mailbox),
                 EV_READ | EV_PERSIST, on_mailbox, thread);
    event_assign(&thread->timer_event, thread->base, -1, 0, on_timer, thread);
    event_assign(&thread->resume_event, thread->base, -1, 0, on_resume, thread);
    event_add(&thread->mailbox_event, NULL);
}

/* After the thread has ended: what was on its way to it goes. */
static void drop_mail(struct network_thread *thread)
{
    struct list_node messages;
    list_init(&messages);
    mailbox_receive(thread->mailbox, &messages);
    for (struct list_node *node; (node = list_pop_front(&messages));) {
        struct mail *mail = list_entry(node, struct mail, node);
        if (mail->take == connection_arrive)
            connection_discard(list_entry(mail, struct connection, arrival));
        else if (mail->take == thread_take_evict)
            free(list_entry(mail, struct eviction, mail));
        else if (mail->take == thread_take_farewell)
            free(list_entry(mail, struct farewell, mail));
    }
}

void thread_done(struct network_thread *thread)
{
    drop_mail(thread);
    timers_done(&thread->timers); /* while the requests are there whose timers they are */
    request_free_all(thread);
    event_del(&thread->mailbox_event);
    event_del(&thread->timer_event);
    event_del(&thread->resume_event);
    event_base_free(thread->base);
    mailbox_free(thread->mailbox);
    free(thread->scratch);
}
