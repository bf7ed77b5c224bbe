/* Many reads over several connections. A ZooKeeper server takes one request of a connection at each
 * turn of its selector, so that one connection leaves cores idle on both sides; a controller that
 * takes over reads the state of every partition, and clients wait for it. While many reads that may
 * be made anywhere (zk.h) wait, the session thread keeps lanes open: handles, and so sessions, of
 * their own, that do nothing but help. They close when no such read is left.
 *
 * What a lane reads must not be older than what its submitter knew, and a lane's server may lag
 * behind the session's. So each time it is given reads, a sync goes before them, and a server
 * answers the requests of one connection in order.
 *
 * Where no lane comes to be (a server that allows no more connections, say), the session's own
 * handle reads everything. A lane that is lost fails what it was asked with ERR_ZK_UNAVAILABLE, as
 * any connection does. */
#include "broker/base/trace.h"
#include "coordinator/zk/zk_session_internal.h"

#define LANES_MAX      2
#define LANES_FROM     1000 /* waiting reads that are worth opening lanes */
#define POSTED_AT_ONCE 32

void zk_spread_init(struct zk_session *session)
{
    list_init(&session->lanes);
    list_init(&session->spread_queued);
    list_init(&session->spread_flying);
    list_init(&session->spread_settled);
}

/* ---- Reads on their way ---- */

void zk_spread_add(struct zk_session *session, struct zk_request *request)
{
    list_push_back(&session->spread_queued, &request->node);
    if (++session->spread_queued_count == LANES_FROM)
        pthread_cond_broadcast(&session->changed);
}

static void settle_request(struct zk_session *session, struct zk_request *request)
{
    list_push_back(&session->spread_settled, &request->node);
    session->spread_settled_count++;
}

/* False: the handle cannot send at present. */
static bool send_next(struct zk_session *session, struct zk_handle *handle)
{
    struct zk_request *request = list_entry(session->spread_queued.next, struct zk_request, node);
    enum err e = ERR_OK;
    request->handle = handle;
    if (!zk_library_send(request, &e))
        return false;
    list_remove(&request->node);
    session->spread_queued_count--;
    if (e) {
        zk_message_fail(request->message, e);
        settle_request(session, request);
        return true;
    }
    list_push_back(&session->spread_flying, &request->node);
    session->spread_flying_count++;
    handle->spread_count++;
    return true;
}

/* A handle's share of the window is filled up when it is half empty, as the session's own is. */
static void refill(struct zk_session *session, struct zk_handle *handle)
{
    int32_t share = session->max_in_flight / (LANES_MAX + 1) + 1;
    if (handle->spread_count > share / 2 || session->spread_queued_count == 0)
        return;
    if (handle->is_lane && !zk_library_sync(handle))
        return;
    while (handle->spread_count < share && session->spread_queued_count > 0)
        if (!send_next(session, handle))
            return;
}

static bool is_idle(const struct zk_session *session)
{
    return session->spread_queued_count == 0 && session->spread_flying_count == 0;
}

static bool waits_for_more(const struct zk_session *session)
{
    return session->spread_settled_count < POSTED_AT_ONCE &&
           session->spread_flying_count >= POSTED_AT_ONCE;
}

void zk_spread_pump(struct zk_session *session)
{
    if (session->state == ZK_CONNECTED && session->handle && session->handle->zh)
        refill(session, session->handle);
    list_for_each (&session->lanes, node) {
        struct zk_handle *lane = list_entry(node, struct zk_handle, node);
        if (lane->is_connected && !lane->dead && lane->zh)
            refill(session, lane);
    }
    if (!waits_for_more(session))
        zk_spread_settle(session);
}

void zk_spread_answered(struct zk_request *request)
{
    struct zk_session *session = request->view->session;
    request->handle->spread_count--;
    if (!list_is_linked(&request->node)) { /* abandoned */
        zk_request_free(request);
        return;
    }
    list_remove(&request->node);
    session->spread_flying_count--;
    settle_request(session, request);
    if (is_idle(session))
        pthread_cond_broadcast(&session->changed);
    zk_session_pump(session);
}

void zk_spread_settle(struct zk_session *session)
{
    struct zk_postbag bag = {0};
    list_init(&bag.messages);
    for (struct list_node *node; (node = list_pop_front(&session->spread_settled));) {
        struct zk_request *request = list_entry(node, struct zk_request, node);
        struct zk_message *message = TAKE(request->message);
        if (message)
            zk_postbag_add(&bag, message);
        zk_request_free(request);
    }
    session->spread_settled_count = 0;
    zk_postbag_empty(&bag);
}

/* ---- Ends ---- */

static void fail(struct zk_request *request, enum err error)
{
    struct zk_message *message = TAKE(request->message);
    if (!message)
        return;
    zk_message_fail(message, error);
    mailbox_post(message->view->mailbox, &message->node);
}

void zk_spread_abandon(struct zk_session *session, enum err error)
{
    zk_spread_settle(session);
    for (struct list_node *node; (node = list_pop_front(&session->spread_flying));)
        fail(list_entry(node, struct zk_request, node), error); /* freed by its callback */
    for (struct list_node *node; (node = list_pop_front(&session->spread_queued));) {
        struct zk_request *request = list_entry(node, struct zk_request, node);
        fail(request, error);
        zk_request_free(request);
    }
    session->spread_queued_count = session->spread_flying_count = 0;
    pthread_cond_broadcast(&session->changed);
}

void zk_spread_forget(struct zk_session *session, const struct zk_view *view)
{
    list_for_each (&session->spread_queued, node) {
        struct zk_request *request = list_entry(node, struct zk_request, node);
        if (request->view != view)
            continue;
        list_remove(node);
        session->spread_queued_count--;
        zk_request_free(request);
    }
    list_for_each (&session->spread_flying, node) {
        struct zk_request *request = list_entry(node, struct zk_request, node);
        if (request->view == view)
            zk_message_free(TAKE(request->message));
    }
    list_for_each (&session->spread_settled, node) {
        struct zk_request *request = list_entry(node, struct zk_request, node);
        if (request->view == view)
            zk_message_free(TAKE(request->message));
    }
    pthread_cond_broadcast(&session->changed);
}

/* ---- Lanes ---- */

static void open_lane(struct zk_session *session)
{
    struct zk_handle *lane = zk_handle_new(session);
    lane->is_lane = true;
    list_push_back(&session->lanes, &lane->node);
    session->lanes_count++;
    pthread_mutex_unlock(&session->mutex);
    zhandle_t *zh = zk_library_open(lane);
    pthread_mutex_lock(&session->mutex);
    if (zh) {
        zk_handle_opened(lane, zh);
        return;
    }
    lane->dead = session->is_lane_refused = true;
    zk_session_pump(session);
}

static void close_lane(struct zk_session *session, struct zk_handle *lane)
{
    list_remove(&lane->node);
    session->lanes_count--;
    zk_handle_close(session, lane);
}

static struct zk_handle *lane_to_close(const struct zk_session *session)
{
    list_for_each (&session->lanes, node) {
        struct zk_handle *lane = list_entry(node, struct zk_handle, node);
        if (lane->dead || is_idle(session))
            return lane;
    }
    return NULL;
}

bool zk_spread_tend(struct zk_session *session)
{
    struct zk_handle *lane = lane_to_close(session);
    if (lane) {
        close_lane(session, lane);
        return true;
    }
    if (is_idle(session))
        session->is_lane_refused = false;
    if (session->state != ZK_CONNECTED || session->is_lane_refused ||
        session->spread_queued_count < LANES_FROM || session->lanes_count == LANES_MAX)
        return false;
    open_lane(session);
    return true;
}

void zk_spread_close(struct zk_session *session)
{
    while (!list_is_empty(&session->lanes))
        close_lane(session, list_entry(session->lanes.next, struct zk_handle, node));
}
