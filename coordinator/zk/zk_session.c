/* The session's state and its queue, and the life of the thread that talks with the servers. */
#include "coordinator/zk/zk_session.h"

#include <inttypes.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "broker/base/clock.h"
#include "broker/base/thread.h"
#include "broker/base/trace.h"
#include "coordinator/zk/zk_session_internal.h"
#include "coordinator/zk/zk_watches.h"

#define TRACE_EVERY_MS 10000 /* while no server is reached */
#define PAUSE_FIRST_MS 50    /* after all servers have been tried; longer each time */
#define PAUSE_MOST_MS  500

/* ---- The queue ---- */

void zk_session_wake(struct zk_session *session)
{
    if (session->is_woken)
        return;
    session->is_woken = true;
    eventfd_write(session->wake_fd, 1);
}

bool zk_session_woke(struct zk_session *session)
{
    pthread_mutex_lock(&session->mutex);
    eventfd_t count;
    if (session->is_woken)
        eventfd_read(session->wake_fd, &count);
    session->is_woken = false;
    bool stopping = session->stopping;
    pthread_mutex_unlock(&session->mutex);
    return stopping;
}

/* Messages that follow each other to one mailbox are posted at once. */
struct postbag {
    struct mailbox *to;
    struct list_node messages;
};

static void postbag_empty(struct postbag *bag)
{
    if (bag->to)
        mailbox_post_all(bag->to, &bag->messages);
    bag->to = NULL;
}

static void postbag_add(struct postbag *bag, struct zk_message *message)
{
    if (bag->to != message->view->mailbox)
        postbag_empty(bag);
    bag->to = message->view->mailbox;
    list_push_back(&bag->messages, &message->node);
}

/* Take the first from `list`, to be answered. */
static void leave(struct list_node *list, struct postbag *bag)
{
    struct zk_request *request = list_entry(list_pop_front(list), struct zk_request, node);
    struct zk_message *message = TAKE(request->message);
    if (message)
        postbag_add(bag, message);
    zk_request_free(request);
}

/* Results leave in the order of submission: one that failed by itself waits for those before it. */
void zk_session_settle(struct zk_session *session)
{
    struct postbag bag = {0};
    list_init(&bag.messages);
    while (!list_is_empty(&session->in_flight) &&
           list_entry(session->in_flight.next, struct zk_request, node)->ready) {
        leave(&session->in_flight, &bag);
        session->in_flight_count--;
    }
    postbag_empty(&bag);
}

static void fail_all(struct list_node *list, struct postbag *bag, enum err error)
{
    while (!list_is_empty(list)) {
        struct zk_request *request = list_entry(list->next, struct zk_request, node);
        if (request->message && !request->ready)
            zk_message_fail(request->message, error);
        leave(list, bag);
    }
}

void zk_session_fail_in_flight(struct zk_session *session, enum err error)
{
    struct postbag bag = {0};
    list_init(&bag.messages);
    fail_all(&session->in_flight, &bag, error);
    session->in_flight_count = 0;
    postbag_empty(&bag);
}

/* Answer everything outstanding with `error`. */
static void abandon(struct zk_session *session, enum err error)
{
    struct postbag bag = {0};
    list_init(&bag.messages);
    zk_session_fail_in_flight(session, error);
    fail_all(&session->queued, &bag, error);
    postbag_empty(&bag);
}

/* ---- States ---- */

static void tell_views(struct zk_session *session)
{
    list_for_each (&session->views, node) {
        struct zk_view *view = list_entry(node, struct zk_view, node);
        struct zk_message *message = zk_message_new(view, ZK_MESSAGE_STATE);
        message->state = session->state;
        message->session_id = session->session_id;
        message->generation = session->generation;
        mailbox_post(view->mailbox, &message->node);
    }
}

/*   CONNECTING <──> CONNECTED
 *        │            ^
 *        v            │
 *     EXPIRED ─(new session)              CONNECTING ──> AUTH_FAILED
 * The one function that moves. */
void zk_session_move(struct zk_session *session, enum zk_state state)
{
    if (session->state == state || session->state == ZK_AUTH_FAILED)
        return;
    session->state = state;
    switch (state) {
    case ZK_CONNECTED:
        session->connected_count++;
        trace_info("zookeeper connected session=0x%" PRIx64 " timeout_ms=%" PRId32,
                   (uint64_t)session->session_id, session->agreed_timeout_ms);
        break;
    case ZK_CONNECTING:
        break;
    case ZK_EXPIRED:
        trace_warn("zookeeper session expired session=0x%" PRIx64, (uint64_t)session->session_id);
        session->generation++;
        zk_watches_done(&session->watches);
        session->last_zxid = 0;
        memset(session->password, 0, sizeof session->password);
        abandon(session, ERR_SESSION_EXPIRED);
        break;
    case ZK_AUTH_FAILED:
        trace_error("zookeeper refused the authentication scheme=%s", session->auth_scheme);
        abandon(session, ERR_ZK_UNAVAILABLE);
        break;
    }
    tell_views(session);
    if (state == ZK_EXPIRED)
        session->session_id = 0;
    pthread_cond_broadcast(&session->changed);
}

/* ---- The session thread ---- */

static bool is_to_end(struct zk_session *session)
{
    pthread_mutex_lock(&session->mutex);
    bool is_to_end = session->stopping;
    pthread_mutex_unlock(&session->mutex);
    return is_to_end;
}

/* Until something wakes us that is the end, or for `ms`; -1 is no limit. */
static void pause_ms(struct zk_session *session, int64_t ms)
{
    int64_t deadline_ms = clock_mono_ms(&clock_system) + ms;
    for (;;) {
        int64_t left_ms = ms < 0 ? -1 : deadline_ms - clock_mono_ms(&clock_system);
        if (ms >= 0 && left_ms <= 0)
            return;
        struct pollfd fd = {.fd = session->wake_fd, .events = POLLIN};
        if (poll(&fd, 1, (int)left_ms) > 0 && zk_session_woke(session))
            return;
    }
}

/* Every attempt would be too much to read; the first tells that it began. */
static void trace_attempt(struct zk_session *session, const struct zk_server *server,
                          const char *why)
{
    int64_t now_ms = clock_mono_ms(&clock_system);
    if (session->traced_ms && now_ms - session->traced_ms < TRACE_EVERY_MS)
        return;
    session->traced_ms = now_ms;
    trace_warn("zookeeper not reached server=%s:%s for_ms=%" PRId64 " reason=%s",
               server ? server->host : "", server ? server->port : "",
               now_ms - session->down_since_ms, why);
}

/* One attempt. True: there was a session, or we learned that the old one is over. */
static bool connect_and_serve(struct zk_session *session)
{
    const struct zk_server *server;
    OWNED_MEM char *why = NULL;
    int64_t before = session->connected_count + session->generation;
    int fd = zk_connect_next(session, &server, &why);
    if (fd >= 0)
        why = zk_connection_run(session, fd);
    if (session->connected_count + session->generation != before) {
        session->down_since_ms = session->traced_ms = clock_mono_ms(&clock_system);
        return true;
    }
    if (why && !is_to_end(session))
        trace_attempt(session, server, why);
    return false;
}

static bool is_refused(struct zk_session *session)
{
    pthread_mutex_lock(&session->mutex);
    bool is_refused = session->state == ZK_AUTH_FAILED;
    pthread_mutex_unlock(&session->mutex);
    return is_refused;
}

static void *session_run(void *context)
{
    struct zk_session *session = context;
    int32_t failed = 0; /* attempts since there was a session */
    session->down_since_ms = clock_mono_ms(&clock_system);
    while (!is_to_end(session)) {
        if (is_refused(session)) {
            pause_ms(session, -1);
            continue;
        }
        failed = connect_and_serve(session) ? 0 : failed + 1;
        if (failed && failed % session->servers_count == 0) { /* all of them, in turn */
            int64_t rounds = failed / session->servers_count;
            int64_t ms = rounds * PAUSE_FIRST_MS;
            pause_ms(session, ms < PAUSE_MOST_MS ? ms : PAUSE_MOST_MS);
        }
    }
    return NULL;
}

/* ---- Birth and death ---- */

static struct zk_session *session_new(const struct zk_session_settings *settings)
{
    struct zk_session *session = mem_new(struct zk_session);
    const char *slash = strchr(settings->connect, '/');
    session->hosts = slash ? mem_strndup(settings->connect, (size_t)(slash - settings->connect))
                           : mem_strdup(settings->connect);
    session->chroot = mem_strdup(slash ? slash : "");
    size_t size = strlen(session->chroot);
    while (size > 0 && session->chroot[size - 1] == '/')
        session->chroot[--size] = '\0';
    session->auth_scheme = settings->auth ? mem_strdup(settings->auth_scheme) : NULL;
    session->auth = settings->auth ? mem_strdup(settings->auth) : NULL;
    session->session_timeout_ms = settings->session_timeout_ms;
    session->max_in_flight = settings->max_in_flight > 0 ? settings->max_in_flight : 1;
    session->state = ZK_CONNECTING;
    zk_servers_parse(session);
    session->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (session->wake_fd < 0)
        mem_stop(0);
    list_init(&session->views);
    list_init(&session->queued);
    list_init(&session->in_flight);
    pthread_mutex_init(&session->mutex, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&session->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    return session;
}

static void wait_ms(struct zk_session *session, int32_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    pthread_cond_timedwait(&session->changed, &session->mutex, &until);
}

static enum err wait_connected(struct zk_session *session, int32_t timeout_ms)
{
    int64_t deadline_ms = clock_mono_ms(&clock_system) + timeout_ms;
    pthread_mutex_lock(&session->mutex);
    while (session->state != ZK_CONNECTED && session->state != ZK_AUTH_FAILED) {
        int64_t left_ms = deadline_ms - clock_mono_ms(&clock_system);
        if (left_ms <= 0)
            break;
        wait_ms(session, (int32_t)left_ms);
    }
    enum zk_state state = session->state;
    pthread_mutex_unlock(&session->mutex);
    if (state == ZK_CONNECTED)
        return ERR_OK;
    if (state == ZK_AUTH_FAILED)
        return err_note(ERR_ZK_UNAVAILABLE, "ZooKeeper at %s refused the %s authentication",
                        session->hosts, session->auth_scheme);
    return err_note(ERR_ZK_UNAVAILABLE,
                    "no ZooKeeper of zookeeper.connect=%s gave a session within "
                    "zookeeper.connection.timeout.ms=%" PRId32,
                    session->hosts, timeout_ms);
}

static void chroot_made(void *context, const struct zk_result *results, int32_t count)
{
    (void)count;
    *(enum err *)context = results[0].error;
}

/* Each component, with null data, as the JVM makes it. Paths of this view are under the chroot
 * already, so the walk clears it meanwhile; nobody else has a view yet. */
static enum err make_chroot(struct zk_session *session)
{
    OWNED_MEM char *chroot = session->chroot;
    session->chroot = mem_strdup("");
    struct mailbox *mailbox = mailbox_new();
    struct zk *view = zk_session_view(session, mailbox);
    enum err e = ERR_OK;
    struct zk_op look = {.kind = ZK_OP_EXISTS, .path = slice_str(chroot)};
    do
        zk_session_wait(view, &look, 1, chroot_made, &e);
    while (e == ERR_ZK_UNAVAILABLE);
    for (size_t end = 1; e && e != ERR_MALFORMED && end <= strlen(chroot); end++) {
        if (chroot[end] != '/' && chroot[end] != '\0')
            continue;
        struct zk_op op = {.kind = ZK_OP_CREATE, .path = slice_of(chroot, end)};
        enum err made;
        do
            zk_session_wait(view, &op, 1, chroot_made, &made);
        while (made == ERR_ZK_UNAVAILABLE);
        if (made && made != ERR_EXISTS) {
            e = made;
            break;
        }
        if (chroot[end] == '\0')
            e = ERR_OK;
    }
    zk_session_view_free(view);
    struct list_node rest;
    list_init(&rest);
    mailbox_receive(mailbox, &rest);
    zk_session_run(&rest);
    mailbox_free(mailbox);
    if (e)
        return err_note(e, "create the chroot '%s' of zookeeper.connect: %s", chroot, err_text(e));
    free(session->chroot);
    session->chroot = TAKE(chroot);
    return ERR_OK;
}

enum err zk_session_open(const struct zk_session_settings *settings,
                         struct zk_session **ret_session)
{
    struct zk_session *session = session_new(settings);
    session->thread = thread_start("zk-session", session_run, session);
    enum err e = wait_connected(session, settings->connection_timeout_ms);
    if (!e && session->chroot[0])
        e = make_chroot(session);
    if (e) {
        zk_session_close(session);
        return e;
    }
    *ret_session = session;
    return ERR_OK;
}

void zk_session_close(struct zk_session *session)
{
    if (!session)
        return;
    pthread_mutex_lock(&session->mutex);
    assert(list_is_empty(&session->views)); /* their owners would never hear the end */
    session->stopping = true;
    zk_session_wake(session);
    pthread_mutex_unlock(&session->mutex);
    pthread_join(session->thread, NULL);
    assert(list_is_empty(&session->queued));
    zk_session_fail_in_flight(session, ERR_CANCELLED); /* nobody waits for them any more */
    zk_watches_done(&session->watches);
    for (int32_t i = 0; i < session->servers_count; i++) {
        free(session->servers[i].host);
        free(session->servers[i].port);
    }
    free(session->servers);
    close(session->wake_fd);
    pthread_cond_destroy(&session->changed);
    pthread_mutex_destroy(&session->mutex);
    free(session->hosts);
    free(session->chroot);
    free(session->auth_scheme);
    free(session->auth);
    free(session);
}

int64_t zk_session_id(struct zk_session *session)
{
    pthread_mutex_lock(&session->mutex);
    int64_t id = session->session_id;
    pthread_mutex_unlock(&session->mutex);
    return id;
}

int32_t zk_session_timeout_ms(struct zk_session *session)
{
    pthread_mutex_lock(&session->mutex);
    int32_t timeout_ms = session->session_id ? session->agreed_timeout_ms : 0;
    pthread_mutex_unlock(&session->mutex);
    return timeout_ms;
}
