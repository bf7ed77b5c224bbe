/* One connection to a ZooKeeper server, from the greeting to its end.
 *
 *   GREETING ──> AUTHENTICATING ──> PROBING ──> SERVING ──> CLOSING
 *
 * GREETING        our hello is sent: a new session, or the one we have
 * AUTHENTICATING  sent and not yet accepted; left out without zookeeper authentication
 * PROBING         does this server know multi-reads? Asked once in the life of the session
 * SERVING         the session is connected: requests go out as they come, many in one piece
 * CLOSING         the end of the session is asked for
 *
 * Requests go out and answers come in by large pieces: a system call, and a message to another
 * thread, cost more than an operation. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/base/clock.h"
#include "broker/base/trace.h"
#include "coordinator/zk/zk_watches.h"
#include "coordinator/zk/zk_wire.h"

#define READ_BYTES      (256 << 10)
#define READS_AT_ONCE   16          /* then what waits to be sent has its turn */
#define UNSENT_BYTES    (256 << 10) /* more is encoded when these are on their way */
#define CLOSE_WAIT_MS   3000        /* for the server's word that the session has ended */
#define PARTS_TO_PING   3           /* a ping after so many parts of the timeout in silence */
#define PARTS_TO_LOSS_N 2           /* and the connection counts as lost after 2/3 */
#define PARTS_TO_LOSS_D 3

enum phase { GREETING, AUTHENTICATING, PROBING, SERVING, CLOSING };

struct connection {
    struct zk_session *session;
    int fd;
    enum phase phase;
    int32_t next_xid, awaited_xid; /* awaited: of the probe, or of the close */
    struct buf in, out;
    size_t in_at, out_at;      /* what is read or sent already */
    int64_t heard_ms, sent_ms; /* when last */
    int64_t phase_deadline_ms; /* INT64_MAX while serving */
    bool is_over;
    char *why;
};

static void end(struct connection *c, char *why)
{
    c->is_over = true;
    if (c->why)
        free(why);
    else
        c->why = why;
}

static int32_t take_xid(struct connection *c)
{
    int32_t xid = c->next_xid;
    c->next_xid = xid == INT32_MAX ? 1 : xid + 1;
    return xid;
}

static void to_phase(struct connection *c, enum phase phase, int64_t limit_ms)
{
    c->phase = phase;
    c->phase_deadline_ms = limit_ms < 0 ? INT64_MAX : clock_mono_ms(&clock_system) + limit_ms;
}

/* ---- Requests ---- */

/* How many of the first in the queue may share a frame. */
static int32_t count_reads(const struct zk_session *session)
{
    int32_t room = session->max_in_flight - session->in_flight_count, count = 0;
    if (session->multi_read != MULTI_READ_YES)
        return 0;
    if (room > ZK_READS_PER_FRAME)
        room = ZK_READS_PER_FRAME;
    for (struct list_node *n = session->queued.next; n != &session->queued && count < room;
         n = n->next) {
        if (!zk_wire_is_plain_read(list_entry(n, struct zk_request, node)))
            break;
        count++;
    }
    return count;
}

static void move_to_flight(struct zk_session *session, int32_t count)
{
    for (; count > 0; count--) {
        list_push_back(&session->in_flight, list_pop_front(&session->queued));
        session->in_flight_count++;
    }
}

/* With the session's mutex. */
static void encode_queued(struct connection *c)
{
    struct zk_session *session = c->session;
    while (!list_is_empty(&session->queued) && session->in_flight_count < session->max_in_flight &&
           c->out.size - c->out_at < UNSENT_BYTES) {
        struct zk_request *request = list_entry(session->queued.next, struct zk_request, node);
        int32_t reads = count_reads(session);
        if (reads > 1) {
            zk_wire_put_reads(&c->out, take_xid(c), session->queued.next, reads);
            move_to_flight(session, reads);
            continue;
        }
        if (!request->ready) { /* else it was refused before it was queued */
            request->xid = take_xid(c);
            zk_wire_put_request(&c->out, request->xid, request);
        }
        move_to_flight(session, 1);
    }
    zk_session_settle(session);
}

static void flush(struct connection *c)
{
    while (!c->is_over && c->out_at < c->out.size) {
        ssize_t sent = send(c->fd, c->out.data + c->out_at, c->out.size - c->out_at, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (sent < 0) {
            end(c, mem_printf("send: %s", strerror(errno)));
            return;
        }
        c->out_at += (size_t)sent;
        c->sent_ms = clock_mono_ms(&clock_system);
    }
    c->out.size = c->out_at = 0;
}

/* ---- The steps to a session that serves; with its mutex ---- */

static void serve(struct connection *c)
{
    struct zk_session *session = c->session;
    zk_wire_put_watches(&c->out, &session->watches, session->last_zxid);
    to_phase(c, SERVING, -1);
    zk_session_move(session, ZK_CONNECTED);
}

static void probe(struct connection *c)
{
    if (c->session->multi_read != MULTI_READ_UNKNOWN) {
        serve(c);
        return;
    }
    c->awaited_xid = take_xid(c);
    zk_wire_put_probe(&c->out, c->awaited_xid);
    to_phase(c, PROBING, zk_connect_timeout_ms(c->session));
}

static void greeted(struct connection *c, struct slice frame)
{
    struct zk_session *session = c->session;
    struct zk_greeting greeting;
    if (!zk_wire_get_greeting(frame, &greeting)) {
        end(c, mem_strdup("a greeting that cannot be read"));
        return;
    }
    if (greeting.timeout_ms <= 0) {
        end(c, session->session_id ? NULL : mem_strdup("the server gives no session"));
        if (session->session_id)
            zk_session_move(session, ZK_EXPIRED);
        return;
    }
    session->session_id = greeting.session_id;
    session->agreed_timeout_ms = greeting.timeout_ms;
    memcpy(session->password, greeting.password, sizeof session->password);
    if (!session->auth) {
        probe(c);
        return;
    }
    zk_wire_put_auth(&c->out, session->auth_scheme, session->auth);
    to_phase(c, AUTHENTICATING, zk_connect_timeout_ms(session));
}

static void authenticated(struct connection *c, int32_t code)
{
    if (code) {
        end(c, NULL);
        zk_session_move(c->session, ZK_AUTH_FAILED);
    } else if (c->phase == AUTHENTICATING) {
        probe(c);
    }
}

/* A server that does not know multi-reads ends the connection, so we need not wait for that. */
static void probed(struct connection *c, int32_t code)
{
    c->session->multi_read = code ? MULTI_READ_NO : MULTI_READ_YES;
    if (code)
        end(c, mem_strdup("the server knows no multi-reads; they are not used"));
    else
        serve(c);
}

/* ---- Answers; with the session's mutex ---- */

static void event_came(struct connection *c, struct jute_in *in)
{
    struct zk_session *session = c->session;
    enum zk_event_kind kind;
    struct slice path;
    int kinds;
    int32_t count;
    if (!zk_wire_get_event(in, &kind, &kinds, &path)) {
        end(c, mem_strdup("an event that cannot be read"));
        return;
    }
    zk_session_settle(session); /* answers that came before it are heard before it */
    OWNED_MEM struct zk_view **views = zk_watches_take(&session->watches, path, kinds, &count);
    for (int32_t i = 0; i < count; i++) {
        struct zk_message *message = zk_message_new(views[i], ZK_MESSAGE_WATCH);
        message->event = kind;
        message->path = (char *)zk_relative_path(session, path).data;
        mailbox_post(views[i]->mailbox, &message->node);
    }
}

static void answered(struct zk_session *session, struct zk_request *request, int32_t code)
{
    int watch = request->message ? zk_wire_watch_of(&request->ops[0], code) : 0;
    if (watch)
        zk_watches_add(&session->watches, request->ops[0].path, request->view,
                       (enum zk_watch_kind)watch);
    request->ready = true;
}

static struct zk_request *first_awaited(struct zk_session *session)
{
    list_for_each (&session->in_flight, node) {
        struct zk_request *request = list_entry(node, struct zk_request, node);
        if (!request->ready)
            return request;
    }
    return NULL;
}

/* The reads that share this frame stand one behind the other. */
static void reads_answered(struct connection *c, struct jute_in *in, struct zk_request *first)
{
    struct zk_session *session = c->session;
    struct list_node *node = &first->node;
    while (node != &session->in_flight) {
        struct zk_request *request = list_entry(node, struct zk_request, node);
        if (request->xid != first->xid)
            return;
        zk_wire_get_read(in, request);
        if (in->bad)
            return;
        request->ready = true;
        node = node->next;
    }
}

static bool shares_frame(const struct zk_session *session, const struct zk_request *request)
{
    const struct list_node *next = request->node.next;
    return next != &session->in_flight &&
           list_entry(next, struct zk_request, node)->xid == request->xid;
}

static void answer_came(struct connection *c, struct jute_in *in, const struct zk_answer *answer)
{
    struct zk_session *session = c->session;
    struct zk_request *request = first_awaited(session);
    if (!request || request->xid != answer->xid) {
        end(c, mem_printf("an answer that nobody waits for, xid %" PRId32, answer->xid));
        return;
    }
    if (!shares_frame(session, request)) {
        zk_wire_get_answer(in, answer->code, request);
        if (!in->bad)
            answered(session, request, answer->code);
    } else if (answer->code) { /* an older server has joined the ensemble */
        session->multi_read = MULTI_READ_NO;
        end(c, mem_printf("several reads in one were refused, code %" PRId32, answer->code));
    } else {
        reads_answered(c, in, request);
    }
}

static void frame_came(struct connection *c, struct slice frame)
{
    if (c->phase == GREETING) {
        greeted(c, frame);
        return;
    }
    struct jute_in in = jute_in_of(frame);
    struct zk_answer answer = zk_wire_get_header(&in);
    if (answer.zxid > c->session->last_zxid)
        c->session->last_zxid = answer.zxid;
    if (answer.xid == ZK_XID_EVENT)
        event_came(c, &in);
    else if (answer.xid == ZK_XID_AUTH)
        authenticated(c, answer.code);
    else if (c->phase == PROBING && answer.xid == c->awaited_xid)
        probed(c, answer.code);
    else if (c->phase == CLOSING && answer.xid == c->awaited_xid)
        end(c, NULL);
    else if (answer.xid != ZK_XID_PING && answer.xid != ZK_XID_SET_WATCHES)
        answer_came(c, &in, &answer);
    if (in.bad)
        end(c, mem_strdup("an answer that cannot be read"));
}

static void take_frames(struct connection *c)
{
    pthread_mutex_lock(&c->session->mutex);
    while (!c->is_over && c->in.size - c->in_at >= 4) {
        uint32_t size = get_be32(c->in.data + c->in_at);
        if (size > ZK_FRAME_MAX_BYTES) {
            end(c, mem_printf("a frame of %" PRIu32 " bytes", size));
            break;
        }
        if (c->in.size - c->in_at - 4 < size)
            break;
        struct slice frame = slice_of(c->in.data + c->in_at + 4, size);
        c->in_at += 4 + size;
        frame_came(c, frame);
    }
    zk_session_settle(c->session);
    pthread_mutex_unlock(&c->session->mutex);
    memmove(c->in.data, c->in.data + c->in_at, c->in.size - c->in_at);
    c->in.size -= c->in_at;
    c->in_at = 0;
}

static void receive(struct connection *c)
{
    for (int turn = 0; turn < READS_AT_ONCE && !c->is_over; turn++) {
        buf_reserve(&c->in, READ_BYTES);
        ssize_t got = recv(c->fd, c->in.data + c->in.size, READ_BYTES, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (got <= 0) {
            end(c, got ? mem_printf("receive: %s", strerror(errno))
                       : mem_strdup("the server ended the connection"));
            return;
        }
        c->heard_ms = clock_mono_ms(&clock_system);
        c->in.size += (size_t)got;
        take_frames(c);
        if (got < READ_BYTES)
            return;
    }
}

/* ---- Time ---- */

static int64_t ping_at_ms(const struct connection *c)
{
    return c->sent_ms + c->session->agreed_timeout_ms / PARTS_TO_PING;
}

static int64_t lost_at_ms(const struct connection *c)
{
    return c->heard_ms + (int64_t)c->session->agreed_timeout_ms * PARTS_TO_LOSS_N / PARTS_TO_LOSS_D;
}

static int64_t next_time_ms(const struct connection *c)
{
    if (c->phase != SERVING)
        return c->phase_deadline_ms;
    int64_t ping = ping_at_ms(c), lost = lost_at_ms(c);
    bool may_ping = c->out_at == c->out.size;
    return may_ping && ping < lost ? ping : lost;
}

static void look_at_time(struct connection *c)
{
    int64_t now_ms = clock_mono_ms(&clock_system);
    if (c->phase == SERVING && now_ms >= lost_at_ms(c))
        end(c, mem_printf("silent for %" PRId64 " ms", now_ms - c->heard_ms));
    else if (c->phase == SERVING && now_ms >= ping_at_ms(c) && c->out_at == c->out.size)
        zk_wire_put_ping(&c->out);
    else if (now_ms >= c->phase_deadline_ms)
        end(c, mem_strdup("no answer to the greeting in time"));
}

/* ---- The whole ---- */

static void begin_close(struct connection *c)
{
    if (c->phase == CLOSING)
        return;
    if (c->phase != SERVING) {
        end(c, NULL);
        return;
    }
    c->awaited_xid = take_xid(c);
    zk_wire_put_close(&c->out, c->awaited_xid);
    to_phase(c, CLOSING, CLOSE_WAIT_MS);
}

static void turn(struct connection *c)
{
    pthread_mutex_lock(&c->session->mutex);
    if (c->session->stopping)
        begin_close(c);
    else if (c->phase == SERVING)
        encode_queued(c);
    pthread_mutex_unlock(&c->session->mutex);
    flush(c);
    if (c->is_over)
        return;
    int64_t wait_ms = next_time_ms(c) - clock_mono_ms(&clock_system);
    bool has_unsent = c->out_at < c->out.size;
    struct pollfd fds[] = {{.fd = c->fd, .events = (short)(POLLIN | (has_unsent ? POLLOUT : 0))},
                           {.fd = c->session->wake_fd, .events = POLLIN}};
    if (poll(fds, 2, wait_ms < 0 ? 0 : (int)wait_ms) < 0)
        return;
    if (fds[1].revents)
        (void)zk_session_woke(c->session);
    if (fds[0].revents & ~POLLOUT)
        receive(c);
    if (!c->is_over) /* after what has come: we may have slept ourselves */
        look_at_time(c);
}

static void hello(struct connection *c)
{
    struct zk_session *session = c->session;
    c->heard_ms = c->sent_ms = clock_mono_ms(&clock_system);
    pthread_mutex_lock(&session->mutex);
    zk_wire_put_hello(&c->out, session->last_zxid, session->session_timeout_ms, session->session_id,
                      session->password);
    pthread_mutex_unlock(&session->mutex);
    to_phase(c, GREETING, zk_connect_timeout_ms(session));
}

/* What was on the wire may have happened or not. */
static void part(struct connection *c)
{
    struct zk_session *session = c->session;
    pthread_mutex_lock(&session->mutex);
    if (session->state == ZK_CONNECTED && !session->stopping) {
        trace_warn("zookeeper connection lost session=0x%" PRIx64 " reason=%s",
                   (uint64_t)session->session_id, c->why ? c->why : "");
        zk_session_move(session, ZK_CONNECTING);
        zk_session_fail_in_flight(session, ERR_ZK_UNAVAILABLE);
    }
    pthread_mutex_unlock(&session->mutex);
}

char *zk_connection_run(struct zk_session *session, int fd)
{
    struct connection c = {.session = session, .fd = fd, .next_xid = 1};
    hello(&c);
    while (!c.is_over)
        turn(&c);
    close(fd);
    part(&c);
    buf_done(&c.in);
    buf_done(&c.out);
    return c.why;
}
