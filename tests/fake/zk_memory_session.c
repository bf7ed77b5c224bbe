/* Clients and their sessions, and what a test does to them: connections that break, sessions that
 * end, operations that are lost. */
#include "tests/fake/zk_memory_internal.h"

static struct view *view_new(struct session *session)
{
    struct view *view = mem_new(struct view);
    view->zk.functions = &zkm_functions;
    view->session = session;
    view->seen_generation = session->generation;
    list_init(&view->watches);
    list_push_back(&session->views, &view->link);
    if (session->connected)
        zkm_state_message(view, ZK_CONNECTED);
    return view;
}

struct zk *zk_memory_client(struct zk_memory *memory)
{
    struct session *session = mem_new(struct session);
    session->memory = memory;
    session->id = memory->next_session_id++;
    session->connected = true;
    list_init(&session->views);
    list_init(&session->outgoing);
    list_init(&session->incoming);
    list_init(&session->missed);
    list_push_back(&memory->sessions, &session->link);
    return &view_new(session)->zk;
}

struct zk *zk_memory_view(struct zk *client)
{
    return &view_new(CONTAINER_OF(client, struct view, zk)->session)->zk;
}

static struct session *session_of(const struct zk *client)
{
    return CONTAINER_OF(client, const struct view, zk)->session;
}

int64_t zk_memory_session_id(const struct zk *client)
{
    return session_of(client)->id;
}

static void remove_ephemerals(struct zk_memory *memory, int64_t session_id)
{
    for (bool found = true; found;) { /* deleting changes the map */
        found = false;
        struct map_entry *e;
        for (size_t i = 0; !found && (e = map_next(&memory->nodes, &i));) {
            struct node *node = e->value;
            if (node->stat.ephemeral_owner != session_id)
                continue;
            OWNED_MEM char *path = mem_strdup(node->path);
            found = zk_memory_delete(memory, path);
        }
    }
}

void zkm_queues_clear(struct session *session)
{
    for (struct list_node *n; (n = list_pop_front(&session->outgoing));)
        zkm_operation_free(list_entry(n, struct operation, link));
    for (struct list_node *n; (n = list_pop_front(&session->incoming));)
        zkm_message_free(list_entry(n, struct message, link));
    for (struct list_node *n; (n = list_pop_front(&session->missed));)
        zkm_message_free(list_entry(n, struct message, link));
    list_for_each (&session->views, v)
        zkm_watches_drop(list_entry(v, struct view, link), true);
}

void zk_memory_client_kill(struct zk *client)
{
    struct session *session = session_of(client);
    session->gone = true;
    session->connected = false;
    zkm_queues_clear(session);
}

void zk_memory_client_close(struct zk *client)
{
    zk_memory_client_kill(client);
    remove_ephemerals(session_of(client)->memory, session_of(client)->id);
}

/* All undelivered answers turn into `error`, in order; then what was never executed. */
static void fail_outstanding(struct session *session, enum err error)
{
    list_for_each (&session->incoming, n) {
        struct message *message = list_entry(n, struct message, link);
        if (message->kind == MESSAGE_RESULT)
            zkm_fail_message(message, error);
    }
    for (struct list_node *n; (n = list_pop_front(&session->outgoing));)
        zkm_fail_operation(list_entry(n, struct operation, link), error);
}

void zk_memory_disconnect(struct zk *client)
{
    struct session *session = session_of(client);
    if (!session->connected || session->gone)
        return;
    session->connected = false;
    list_for_each (&session->incoming, n) { /* events come again with the next connection */
        struct message *message = list_entry(n, struct message, link);
        if (message->kind != MESSAGE_WATCH)
            continue;
        list_remove(n);
        if (message->unconfirmed)
            zkm_message_free(message); /* the client never knew that it watched */
        else
            list_push_back(&session->missed, n);
    }
    struct list_node earlier;
    list_init(&earlier);
    for (struct list_node *n; (n = list_pop_front(&session->incoming));)
        list_push_back(&earlier, n);
    zkm_tell(session, ZK_CONNECTING);
    for (struct list_node *n; (n = list_pop_front(&earlier));)
        list_push_back(&session->incoming, n);
    fail_outstanding(session, ERR_ZK_UNAVAILABLE);
    list_for_each (&session->views, v)
        zkm_watches_drop(list_entry(v, struct view, link), false);
}

static void tell_expiry(struct session *session)
{
    session->expiry_untold = false;
    fail_outstanding(session, ERR_SESSION_EXPIRED);
    for (struct list_node *n; (n = list_pop_front(&session->missed));)
        zkm_message_free(list_entry(n, struct message, link));
    session->generation++;
    zkm_tell(session, ZK_EXPIRED);
    session->id = session->memory->next_session_id++;
    zkm_tell(session, ZK_CONNECTED);
}

void zk_memory_connect(struct zk *client)
{
    struct session *session = session_of(client);
    if (session->connected || session->gone)
        return;
    session->connected = true;
    if (session->expiry_untold) {
        tell_expiry(session);
        return;
    }
    zkm_tell(session, ZK_CONNECTED);
    for (struct list_node *n; (n = list_pop_front(&session->missed));) {
        list_entry(n, struct message, link)->order = session->memory->next_order++;
        list_push_back(&session->incoming, n);
    }
}

void zk_memory_expire(struct zk *client)
{
    struct session *session = session_of(client);
    list_for_each (&session->views, v)
        zkm_watches_drop(list_entry(v, struct view, link), true);
    remove_ephemerals(session->memory, session->id);
    if (session->gone)
        return;
    if (session->connected)
        tell_expiry(session);
    else
        session->expiry_untold = true;
}

void zk_memory_expire_session(struct zk_memory *memory, int64_t session_id)
{
    list_for_each (&memory->sessions, s) {
        struct session *session = list_entry(s, struct session, link);
        if (session->id == session_id)
            zk_memory_expire(&list_entry(session->views.next, struct view, link)->zk);
    }
}

void zk_memory_lose_operation(struct zk *client, int32_t n, bool executed)
{
    session_of(client)->lose_in = n;
    session_of(client)->lose_executed = executed;
}

void zk_memory_pause(struct zk *client, bool paused)
{
    session_of(client)->paused = paused;
}
