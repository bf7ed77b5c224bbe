/* Answers: sent by the thread that owns the connection, straight away as far as the socket takes
 * them, the rest when it can be written again. What another thread has sent (request_soon.c) is
 * settled here. */
#include <errno.h>
#include <netinet/tcp.h>

#include "broker/base/trace.h"
#include "broker/server/network_internal.h"

/* The request is over: back to reading, unless the client has to wait or the broker stops. Whole
 * frames that wait in the buffer begin from the loop, not from here: this may run inside the
 * handler of another connection. */
static void finish(struct connection *conn)
{
    struct network_thread *thread = conn->thread;
    int64_t throttle_ms = conn->request->throttle_ms;
    conn->state = throttle_ms > 0 ? THROTTLED : READING;
    request_release(conn->request);
    if (thread->is_stopping) {
        connection_close(conn);
        return;
    }
    if (conn->state == THROTTLED) {
        thread_timer_set(thread, &conn->throttle_timer, throttle_ms);
        return;
    }
    if (conn->in_use) /* the reading loop is below us and goes on */
        return;
    if (conn->input) {
        list_push_back(&thread->resumes, &conn->resume);
        event_active(&thread->resume_event, EV_TIMEOUT, 1);
        return;
    }
    connection_continue(conn);
}

void connection_settle(struct connection *conn)
{
    assert(conn->state == WORKING);
    pthread_mutex_lock(&conn->turn);
    conn->rests = false;
    bool is_over = conn->request->is_answered_away;
    pthread_mutex_unlock(&conn->turn);
    if (!is_over)
        return;
    conn->state = ANSWERING;
    connection_touch(conn);
    finish(conn);
}

/* Answers to requests that came together leave together: each packet costs the broker its way
 * through the kernel and, on a machine it shares with the client, the client's wake-up. */
void connection_uncork(struct connection *conn)
{
    if (!conn->is_corked)
        return;
    conn->is_corked = false;
    int on = 1;
    if (conn->state != CLOSED && setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on))
        trace_debug("answers are late peer=%s reason=%s", conn->peer, strerror(errno));
}

static void send_on(struct connection *conn)
{
    struct network_thread *thread = conn->thread;
    size_t sent, spliced;
    bool may_wait = conn->is_followed && conn->request->output.answer.splices_count == 0;
    enum output_state state =
        output_send(&conn->request->output, conn->fd, may_wait, &sent, &spliced);
    conn->is_corked = may_wait;
    count(&thread->counters.sent_bytes, (int64_t)sent);
    count(&thread->counters.sendfile_bytes, (int64_t)spliced);
    if (sent > 0)
        connection_touch(conn);
    switch (state) {
    case OUTPUT_DONE:
        count(&thread->counters.answers, 1);
        finish(conn);
        return;
    case OUTPUT_BLOCKED:
        count(&thread->counters.send_blocked, 1);
        event_add(&conn->write_event, NULL);
        return;
    case OUTPUT_FAILED:
        trace_debug("connection failed peer=%s reason=%s", conn->peer, err_sentence(ERR_IO));
        connection_close(conn);
        return;
    }
}

void connection_on_writable(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    struct connection *conn = context;
    struct network_thread *thread = conn->thread;
    if (conn->state == ANSWERING)
        send_on(conn);
    thread_run_soon(thread);
}

/* conn->request has been answered or refused. */
void connection_answer(struct connection *conn)
{
    struct network_request *nr = conn->request;
    if (conn->state == CLOSED) {
        request_release(nr);
        return;
    }
    assert(conn->state == WORKING);
    if (nr->refused_why) {
        connection_refuse(conn, nr->refused_why);
        return;
    }
    conn->state = ANSWERING;
    if (nr->has_answer)
        send_on(conn);
    else
        finish(conn);
}

void connection_refuse(struct connection *conn, const char *why)
{
    struct network *network = conn->thread->network;
    count(&conn->thread->counters.bad_frames, 1);
    trace_info("connection closed peer=%s listener=%s reason=%s", conn->peer,
               network->listeners[conn->listener].options.name, why);
    if (conn->state == WORKING)
        conn->state = ANSWERING; /* the request is back; closing releases it */
    connection_close(conn);
}
