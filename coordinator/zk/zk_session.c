/* The session's state and its queue, and the thread that opens and closes the library's handle. */
#include "coordinator/zk/zk_session.h"

#include <errno.h>
#include <inttypes.h>
#include <time.h>

#include "broker/base/clock.h"
#include "broker/base/thread.h"
#include "broker/base/trace.h"
#include "coordinator/zk/zk_session_internal.h"

#define POSTED_AT_ONCE 32

/* ---- The queue ---- */

void zk_postbag_empty(struct zk_postbag *bag)
{
    if (bag->to)
        mailbox_post_all(bag->to, &bag->messages);
    bag->to = NULL;
}

void zk_postbag_add(struct zk_postbag *bag, struct zk_message *message)
{
    if (bag->to != message->view->mailbox)
        zk_postbag_empty(bag);
    bag->to = message->view->mailbox;
    list_push_back(&bag->messages, &message->node);
}

static int32_t unanswered(const struct zk_session *session)
{
    return session->in_flight_count - session->ready_count;
}

/* A few answers wait for the next ones where many are on their way: waking an owner costs more than
 * what it does with one. The server answers in order, so that those are not long in coming. */
static bool waits_for_more(const struct zk_session *session)
{
    return session->ready_count < POSTED_AT_ONCE && unanswered(session) >= POSTED_AT_ONCE;
}

/* Results leave in the order of submission: one that failed by itself waits for those before it. */
static void settle(struct zk_session *session)
{
    if (!waits_for_more(session))
        zk_session_settle(session);
}

void zk_session_settle(struct zk_session *session)
{
    struct zk_postbag bag = {0};
    list_init(&bag.messages);
    while (!list_is_empty(&session->in_flight)) {
        struct zk_request *request = list_entry(session->in_flight.next, struct zk_request, node);
        if (!request->ready)
            break;
        list_remove(&request->node);
        session->in_flight_count--;
        session->ready_count--;
        struct zk_message *message = TAKE(request->message);
        if (message)
            zk_postbag_add(&bag, message);
        zk_request_free(request);
    }
    zk_postbag_empty(&bag);
    zk_spread_settle(session);
}

/* The window is filled up when it is half empty: then many operations leave in a row, while the
 * library's thread is awake. */
static bool is_full(const struct zk_session *session)
{
    return unanswered(session) >= session->max_in_flight ||
           (session->is_window_full && unanswered(session) > session->max_in_flight / 2);
}

void zk_session_pump(struct zk_session *session)
{
    while (session->state == ZK_CONNECTED && session->handle && session->handle->zh &&
           !list_is_empty(&session->queued) && !is_full(session)) {
        struct zk_request *request = list_entry(session->queued.next, struct zk_request, node);
        list_remove(&request->node);
        list_push_back(&session->in_flight, &request->node);
        session->in_flight_count++;
        request->handle = session->handle;
        session->is_window_full = unanswered(session) >= session->max_in_flight;
        session->ready_count += request->ready;
        if (request->ready) /* refused before it was queued */
            continue;
        enum err e = ERR_OK;
        if (!zk_library_send(request, &e)) { /* the event that says why is on its way */
            list_remove(&request->node);
            list_push_front(&session->queued, &request->node);
            session->in_flight_count--;
            return;
        }
        if (e) {
            zk_message_fail(request->message, e);
            request->ready = true;
            session->ready_count++;
        }
    }
    settle(session);
    zk_spread_pump(session);
}

void zk_request_answered(struct zk_request *request)
{
    struct zk_session *session = request->view->session;
    if (request->anywhere) {
        zk_spread_answered(request);
    } else if (list_is_linked(&request->node)) {
        request->ready = true;
        session->ready_count++;
        zk_session_pump(session);
    } else { /* abandoned: it was answered when the session ended */
        zk_request_free(request);
    }
}

/* Answer everything outstanding with `error`. Requests on the wire stay allocated until the
 * library's own callback. */
void zk_session_abandon(struct zk_session *session, enum err error)
{
    while (!list_is_empty(&session->in_flight)) {
        struct zk_request *request = list_entry(session->in_flight.next, struct zk_request, node);
        list_remove(&request->node);
        session->in_flight_count--;
        session->ready_count -= request->ready;
        struct zk_message *message = TAKE(request->message);
        if (message) {
            if (!request->ready)
                zk_message_fail(message, error);
            mailbox_post(message->view->mailbox, &message->node);
        }
        if (request->ready)
            zk_request_free(request);
    }
    while (!list_is_empty(&session->queued)) {
        struct zk_request *request = list_entry(session->queued.next, struct zk_request, node);
        list_remove(&request->node);
        struct zk_message *message = TAKE(request->message);
        if (!request->ready)
            zk_message_fail(message, error);
        mailbox_post(message->view->mailbox, &message->node);
        zk_request_free(request);
    }
    zk_spread_abandon(session, error);
}

/* ---- States ---- */

static void tell_views(struct zk_session *session)
{
    zk_session_settle(session); /* what was answered before is heard before */
    list_for_each (&session->views, node) {
        struct zk_view *view = list_entry(node, struct zk_view, node);
        struct zk_message *message = zk_message_new(view, ZK_MESSAGE_STATE);
        message->state = session->state;
        message->session_id = session->session_id;
        message->generation = session->generation;
        mailbox_post(view->mailbox, &message->node);
    }
}

static const char *last_scheme(const struct zk_session *session)
{
    return session->auths_count > 0 ? session->auths[session->auths_count - 1].scheme : "none";
}

/*   CONNECTING <──> CONNECTED
 *        │  ^            │
 *        v  └─(new handle)──── EXPIRED        any ──> AUTH_FAILED
 * The one function that moves. */
void zk_session_move(struct zk_session *session, enum zk_state state)
{
    if (session->state == state || session->state == ZK_AUTH_FAILED)
        return;
    session->state = state;
    switch (state) {
    case ZK_CONNECTED:
        zk_library_speak();
        trace_info("zookeeper connected session=0x%" PRIx64 " timeout_ms=%" PRId32,
                   (uint64_t)session->session_id, session->agreed_timeout_ms);
        break;
    case ZK_CONNECTING:
        trace_warn("zookeeper connection lost session=0x%" PRIx64, (uint64_t)session->session_id);
        break;
    case ZK_EXPIRED:
        trace_warn("zookeeper session expired session=0x%" PRIx64, (uint64_t)session->session_id);
        session->generation++;
        zk_session_abandon(session, ERR_SESSION_EXPIRED);
        break;
    case ZK_AUTH_FAILED:
        trace_error("zookeeper refused the authentication scheme=%s", last_scheme(session));
        zk_session_abandon(session, ERR_ZK_UNAVAILABLE);
        break;
    }
    tell_views(session);
    if (state == ZK_EXPIRED)
        session->session_id = 0;
    pthread_cond_broadcast(&session->changed);
    zk_session_pump(session);
}

/* ---- The session thread ---- */

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

/* ---- Handles ---- */

struct zk_handle *zk_handle_new(struct zk_session *session)
{
    struct zk_handle *handle = mem_new(struct zk_handle);
    handle->session = session;
    handle->generation = session->generation;
    list_init(&handle->sent);
    return handle;
}

/* The library (3.8.0) forgets, with the memory, what was under way on a handle that is told to
 * close: it does not even call back. So what it was asked is answered first, where a server does.
 */
static void drain(struct zk_session *session, const struct zk_handle *handle)
{
    int64_t deadline_ms = clock_mono_ms(&clock_system) + ZK_DRAIN_MS;
    int64_t left_ms = ZK_DRAIN_MS;
    while (handle->zh && handle->sent_count > 0 && left_ms > 0) {
        wait_ms(session, (int32_t)left_ms);
        left_ms = deadline_ms - clock_mono_ms(&clock_system);
    }
}

/* No callback comes any more for what is left. */
static void fail_sent(struct zk_handle *handle)
{
    while (!list_is_empty(&handle->sent)) {
        struct zk_request *request = list_entry(handle->sent.next, struct zk_request, sent_node);
        list_remove(&request->sent_node);
        if (request->message)
            zk_message_fail(request->message, ERR_ZK_UNAVAILABLE);
        zk_request_answered(request);
    }
}

void zk_handle_close(struct zk_session *session, struct zk_handle *handle)
{
    handle->dead = true;
    drain(session, handle);
    zhandle_t *zh = handle->zh;
    pthread_mutex_unlock(&session->mutex);
    if (zh)
        zookeeper_close(zh); /* joins the library's threads, which may want the mutex */
    pthread_mutex_lock(&session->mutex);
    fail_sent(handle);
    free(handle);
}

void zk_handle_opened(struct zk_handle *handle, zhandle_t *zh)
{
    struct zk_session *session = handle->session;
    for (size_t i = 0; i < session->auths_count; i++)
        zk_library_authenticate(zh, &session->auths[i]);
    handle->zh = zh;
    zk_session_pump(session);
}

static void open_handle(struct zk_session *session)
{
    struct zk_handle *handle = zk_handle_new(session);
    session->handle = handle;
    pthread_mutex_unlock(&session->mutex);
    zhandle_t *zh = zk_library_open(handle); /* may resolve names: slow */
    int open_errno = errno;
    pthread_mutex_lock(&session->mutex);
    if (zh) {
        zk_handle_opened(handle, zh);
        return;
    }
    trace_warn("zookeeper handle not opened connect=%s error=%s", session->hosts,
               strerror(open_errno));
    session->handle = NULL;
    free(handle);
    if (!session->stopping)
        wait_ms(session, ZK_REOPEN_MS);
}

static void *session_run(void *context)
{
    struct zk_session *session = context;
    pthread_mutex_lock(&session->mutex);
    while (!session->stopping) {
        if (session->handle && session->handle->dead)
            zk_handle_close(session, TAKE(session->handle));
        else if (!session->handle && session->state != ZK_AUTH_FAILED)
            open_handle(session);
        else if (!zk_spread_tend(session))
            pthread_cond_wait(&session->changed, &session->mutex);
    }
    zk_spread_close(session);
    if (session->handle)
        zk_handle_close(session, TAKE(session->handle));
    pthread_mutex_unlock(&session->mutex);
    return NULL;
}

/* ---- Birth and death ---- */

static const struct zk_auth *remember_auth(struct zk_session *session, const char *scheme,
                                           const char *text)
{
    session->auths = mem_grow(session->auths, &session->auths_capacity, session->auths_count + 1,
                              sizeof *session->auths);
    struct zk_auth *auth = &session->auths[session->auths_count++];
    *auth = (struct zk_auth){mem_strdup(scheme), mem_strdup(text)};
    return auth;
}

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
    if (settings->auth)
        remember_auth(session, settings->auth_scheme, settings->auth);
    session->session_timeout_ms = settings->session_timeout_ms;
    session->max_in_flight = settings->max_in_flight > 0 ? settings->max_in_flight : 1;
    session->state = ZK_CONNECTING;
    list_init(&session->views);
    list_init(&session->queued);
    list_init(&session->in_flight);
    zk_spread_init(session);
    pthread_mutex_init(&session->mutex, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&session->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    return session;
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
                        session->hosts, last_scheme(session));
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
    pthread_cond_broadcast(&session->changed);
    pthread_mutex_unlock(&session->mutex);
    pthread_join(session->thread, NULL);
    assert(list_is_empty(&session->queued));
    assert(list_is_empty(&session->spread_queued) && list_is_empty(&session->spread_flying));
    pthread_cond_destroy(&session->changed);
    pthread_mutex_destroy(&session->mutex);
    free(session->hosts);
    free(session->chroot);
    for (size_t i = 0; i < session->auths_count; i++) {
        free(session->auths[i].scheme);
        free(session->auths[i].text);
    }
    free(session->auths);
    free(session);
}

/* A handle that is being opened is told when it is. */
void zk_session_add_auth(struct zk_session *session, const char *scheme, const char *auth)
{
    pthread_mutex_lock(&session->mutex);
    const struct zk_auth *added = remember_auth(session, scheme, auth);
    if (session->handle && session->handle->zh)
        zk_library_authenticate(session->handle->zh, added);
    list_for_each (&session->lanes, node) {
        struct zk_handle *lane = list_entry(node, struct zk_handle, node);
        if (lane->zh)
            zk_library_authenticate(lane->zh, added);
    }
    pthread_mutex_unlock(&session->mutex);
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
    int32_t timeout_ms = session->agreed_timeout_ms;
    pthread_mutex_unlock(&session->mutex);
    return timeout_ms;
}
