/* The model. Per session there are two queues, as on a connection: operations on their way to the
 * server, and messages (answers, watch events, states) on their way to the client. A step moves one
 * thing at the head of one queue. */
#include "tests/fake/zk_memory.h"

#include <inttypes.h>
#include <stdio.h>

#include "broker/base/list.h"
#include "broker/base/map.h"

struct node {
    char *path;
    uint8_t *data; /* NULL: null */
    struct zk_stat stat;
    struct node **children;
    size_t child_capacity; /* the count is in the stat */
    size_t child_slot;     /* in the parent's array */
};

struct session {
    struct list_node link;
    struct zk_memory *memory;
    int64_t id;
    bool connected, paused, gone;
    bool expiry_untold; /* expired while disconnected */
    int64_t generation;
    struct list_node views, outgoing, incoming, missed;
    int32_t lose_in; /* operations; 0: none */
    bool lose_executed;
};

struct view {
    struct zk zk; /* first */
    struct list_node link;
    struct session *session;
    int64_t seen_generation;
    struct list_node watches;
};

enum watch_kind { WATCH_DATA, WATCH_EXIST, WATCH_CHILD };

struct watch {
    struct list_node link;
    char *path;
    enum watch_kind kind;
    bool confirmed; /* the answer that armed it was delivered */
};

struct operation {
    struct list_node link;
    uint64_t order;
    struct view *view;
    struct zk_op *ops;
    int32_t count;
    bool multi;
    zk_done_fn *done;
    void *context;
};

enum message_kind { MESSAGE_RESULT, MESSAGE_WATCH, MESSAGE_STATE };

struct message {
    struct list_node link;
    uint64_t order;
    struct view *view;
    enum message_kind kind;
    struct operation *operation; /* RESULT: owned */
    struct zk_result *results;
    enum zk_event_kind event; /* WATCH */
    char *path;
    bool unconfirmed;
    enum zk_state state; /* STATE */
    int64_t session_id, generation;
};

struct zk_memory {
    struct map nodes;
    struct list_node sessions;
    int64_t zxid, next_session_id;
    uint64_t random, next_order;
    bool seeded;
};

static const struct zk_functions functions;

/* ---- Tree ---- */

static struct node *find(const struct zk_memory *memory, struct slice path)
{
    return map_get(&memory->nodes, path);
}

static struct slice parent_path(struct slice path)
{
    size_t size = path.size;
    while (size > 0 && path.data[size - 1] != '/')
        size--;
    return slice_of(path.data, size > 1 ? size - 1 : 1);
}

static uint8_t *data_copy(struct slice data)
{
    if (slice_is_null(data))
        return NULL;
    uint8_t *bytes = mem_alloc(data.size + 1);
    if (data.size)
        memcpy(bytes, data.data, data.size);
    return bytes;
}

static void link_node(struct zk_memory *memory, struct node *node)
{
    map_put(&memory->nodes, slice_str(node->path), node);
    struct node *parent = find(memory, parent_path(slice_str(node->path)));
    if (!parent || parent == node)
        return;
    parent->children = mem_grow(parent->children, &parent->child_capacity,
                                (size_t)parent->stat.children_count + 1, sizeof(struct node *));
    node->child_slot = (size_t)parent->stat.children_count++;
    parent->children[node->child_slot] = node;
}

static void unlink_node(struct zk_memory *memory, struct node *node)
{
    map_remove(&memory->nodes, slice_str(node->path));
    struct node *parent = find(memory, parent_path(slice_str(node->path)));
    struct node *last = parent->children[--parent->stat.children_count];
    parent->children[node->child_slot] = last;
    last->child_slot = node->child_slot;
}

static void node_free(struct node *node)
{
    free(node->path);
    free(node->data);
    free(node->children);
    free(node);
}

static struct node *node_new(struct slice path, struct slice data, int64_t zxid, int64_t owner)
{
    struct node *node = mem_new(struct node);
    node->path = slice_dup(path);
    node->data = data_copy(data);
    node->stat.czxid = node->stat.mzxid = node->stat.pzxid = zxid;
    node->stat.ctime_ms = node->stat.mtime_ms = zxid; /* time enters nowhere else */
    node->stat.ephemeral_owner = owner;
    node->stat.data_size = (int32_t)data.size;
    return node;
}

/* ---- Messages and watches ---- */

static struct message *message_new(struct view *view, enum message_kind kind)
{
    struct message *message = mem_new(struct message);
    message->order = view->session->memory->next_order++;
    message->view = view;
    message->kind = kind;
    return message;
}

static void operation_free(struct operation *operation)
{
    if (!operation)
        return;
    for (int32_t i = 0; i < operation->count; i++) {
        free((void *)operation->ops[i].path.data);
        free((void *)operation->ops[i].data.data);
    }
    free(operation->ops);
    free(operation);
}

static void results_free(struct zk_result *results, int32_t count)
{
    for (int32_t i = 0; results && i < count; i++) {
        free((void *)results[i].path.data);
        free((void *)results[i].data.data);
        for (int32_t c = 0; c < results[i].children_count; c++)
            free((void *)results[i].children[c].data);
        free(results[i].children);
    }
    free(results);
}

static void message_free(struct message *message)
{
    if (message->kind == MESSAGE_RESULT)
        results_free(message->results, message->operation->count);
    operation_free(message->operation);
    free(message->path);
    free(message);
}

static void fire(struct zk_memory *memory, struct slice path, enum zk_event_kind event)
{
    list_for_each (&memory->sessions, s) {
        struct session *session = list_entry(s, struct session, link);
        list_for_each (&session->views, v) {
            struct view *view = list_entry(v, struct view, link);
            bool fired = false, confirmed = false;
            list_for_each (&view->watches, w) {
                struct watch *watch = list_entry(w, struct watch, link);
                bool hit = event == ZK_EVENT_CHILDREN  ? watch->kind == WATCH_CHILD
                           : event == ZK_EVENT_DELETED ? true
                                                       : watch->kind != WATCH_CHILD;
                if (!hit || !slice_equal(slice_str(watch->path), path))
                    continue;
                fired = true;
                confirmed = confirmed || watch->confirmed;
                list_remove(w);
                free(watch->path);
                free(watch);
            }
            if (!fired)
                continue;
            struct message *message = message_new(view, MESSAGE_WATCH);
            message->event = event;
            message->path = slice_dup(path);
            message->unconfirmed = !confirmed;
            list_push_back(session->connected ? &session->incoming : &session->missed,
                           &message->link);
        }
    }
}

static void arm(struct view *view, struct slice path, enum watch_kind kind)
{
    list_for_each (&view->watches, w) {
        struct watch *watch = list_entry(w, struct watch, link);
        if (watch->kind == kind && slice_equal(slice_str(watch->path), path))
            return;
    }
    struct watch *watch = mem_new(struct watch);
    watch->path = slice_dup(path);
    watch->kind = kind;
    list_push_back(&view->watches, &watch->link);
}

static void watches_drop(struct view *view, bool confirmed_too)
{
    list_for_each (&view->watches, w) {
        struct watch *watch = list_entry(w, struct watch, link);
        if (watch->confirmed && !confirmed_too)
            continue;
        list_remove(w);
        free(watch->path);
        free(watch);
    }
}

static void confirm(struct view *view, struct slice path)
{
    list_for_each (&view->watches, w) {
        struct watch *watch = list_entry(w, struct watch, link);
        if (slice_equal(slice_str(watch->path), path))
            watch->confirmed = true;
    }
}

static void state_message(struct view *view, enum zk_state state)
{
    struct message *message = message_new(view, MESSAGE_STATE);
    message->state = state;
    message->session_id = view->session->id;
    message->generation = view->session->generation;
    list_push_back(&view->session->incoming, &message->link);
}

static void tell(struct session *session, enum zk_state state)
{
    list_for_each (&session->views, v)
        state_message(list_entry(v, struct view, link), state);
}

/* ---- Executing ---- */

/* What one write changed: enough to take it back, and the events it causes. */
struct change {
    struct node *created, *deleted, *set;
    uint8_t *old_data;
    struct zk_stat old_stat, old_parent;
    struct node *parent;
};

static void touch_parent(struct change *change, int64_t zxid)
{
    change->parent->stat.children_version++;
    change->parent->stat.pzxid = zxid;
}

static enum err do_create(struct zk_memory *memory, int64_t session_id, const struct zk_op *op,
                          int64_t zxid, struct change *change, struct zk_result *result)
{
    struct slice path = op->path;
    struct node *parent = find(memory, parent_path(path));
    if (!parent)
        return ERR_NOT_FOUND;
    if (parent->stat.ephemeral_owner)
        return ERR_MALFORMED;
    char *name = op->flags & ZK_CREATE_SEQUENTIAL
                     ? mem_printf("%.*s%010" PRId32, SLICE_ARG(path), parent->stat.children_version)
                     : slice_dup(path);
    if (find(memory, slice_str(name))) {
        free(name);
        return ERR_EXISTS;
    }
    int64_t owner = op->flags & ZK_CREATE_EPHEMERAL ? session_id : 0;
    change->parent = parent;
    change->old_parent = parent->stat;
    change->created = node_new(slice_str(name), op->data, zxid, owner);
    link_node(memory, change->created);
    touch_parent(change, zxid);
    free((void *)result->path.data);
    result->path = slice_str(name);
    result->stat = change->created->stat;
    return ERR_OK;
}

static enum err do_write(struct zk_memory *memory, int64_t session_id, const struct zk_op *op,
                         int64_t zxid, struct change *change, struct zk_result *result)
{
    if (op->kind == ZK_OP_CREATE)
        return do_create(memory, session_id, op, zxid, change, result);
    struct node *node = find(memory, op->path);
    if (!node)
        return ERR_NOT_FOUND;
    if (op->zk_version != ZK_ANY_VERSION && op->zk_version != node->stat.zk_version)
        return ERR_ZK_BAD_VERSION;
    if (op->kind == ZK_OP_SET) {
        change->set = node;
        change->old_data = node->data;
        change->old_stat = node->stat;
        node->data = data_copy(op->data);
        node->stat.data_size = (int32_t)op->data.size;
        node->stat.zk_version++;
        node->stat.mzxid = node->stat.mtime_ms = zxid;
        result->stat = node->stat;
    } else if (op->kind == ZK_OP_DELETE) {
        if (node->stat.children_count)
            return ERR_ZK_NOT_EMPTY;
        change->parent = find(memory, parent_path(op->path));
        change->old_parent = change->parent->stat;
        change->deleted = node;
        unlink_node(memory, node);
        touch_parent(change, zxid);
    }
    return ERR_OK;
}

static void take_back(struct zk_memory *memory, struct change *change)
{
    if (change->created) {
        unlink_node(memory, change->created);
        node_free(change->created);
    }
    if (change->deleted)
        link_node(memory, change->deleted);
    if (change->set) {
        free(change->set->data);
        change->set->data = change->old_data;
        change->set->stat = change->old_stat;
    }
    if (change->parent)
        change->parent->stat = change->old_parent;
}

static void fire_parent(struct zk_memory *memory, const char *path)
{
    fire(memory, parent_path(slice_str(path)), ZK_EVENT_CHILDREN);
}

static void settle(struct zk_memory *memory, struct change *change)
{
    if (change->created) {
        fire(memory, slice_str(change->created->path), ZK_EVENT_CREATED);
        fire_parent(memory, change->created->path);
    }
    if (change->set) {
        free(change->old_data);
        fire(memory, slice_str(change->set->path), ZK_EVENT_DATA);
    }
    if (change->deleted) {
        fire(memory, slice_str(change->deleted->path), ZK_EVENT_DELETED);
        fire_parent(memory, change->deleted->path);
        node_free(change->deleted);
    }
}

static void do_writes(struct zk_memory *memory, int64_t session_id, const struct zk_op *ops,
                      int32_t count, struct zk_result *results)
{
    struct change *changes = mem_new_array(struct change, (size_t)count);
    enum err e = ERR_OK;
    int32_t done = 0;
    while (done < count && !e) {
        e = do_write(memory, session_id, &ops[done], memory->zxid + 1, &changes[done],
                     &results[done]);
        done++;
    }
    if (e) {
        for (int32_t i = 0; i < count; i++)
            results[i].error = i == done - 1 ? e : ERR_CANCELLED;
        for (int32_t i = done - 1; i >= 0; i--)
            take_back(memory, &changes[i]);
    } else {
        memory->zxid++;
        /* a node made and deleted in one transaction is freed by the delete: fire by path first */
        for (int32_t i = 0; i < count; i++)
            settle(memory, &changes[i]);
    }
    free(changes);
}

static void read_children(const struct node *node, struct zk_result *result)
{
    result->children = mem_new_array(struct slice, (size_t)node->stat.children_count + 1);
    result->children_count = node->stat.children_count;
    for (int32_t i = 0; i < node->stat.children_count; i++) {
        const char *name = strrchr(node->children[i]->path, '/') + 1;
        result->children[i] = slice_of(data_copy(slice_str(name)), strlen(name));
    }
}

static void do_read(struct zk_memory *memory, struct view *view, const struct zk_op *op,
                    struct zk_result *result)
{
    struct node *node = find(memory, op->path);
    result->error = node ? ERR_OK : ERR_NOT_FOUND;
    if (op->watch && (node || op->kind == ZK_OP_EXISTS))
        arm(view, op->path,
            op->kind == ZK_OP_CHILDREN ? WATCH_CHILD
            : op->kind == ZK_OP_EXISTS ? WATCH_EXIST
                                       : WATCH_DATA);
    if (!node)
        return;
    result->stat = node->stat;
    if (op->kind == ZK_OP_GET && node->data)
        result->data = slice_of(data_copy(slice_of(node->data, (size_t)node->stat.data_size)),
                                (size_t)node->stat.data_size);
    if (op->kind == ZK_OP_CHILDREN)
        read_children(node, result);
}

static bool is_read(const struct zk_op *op)
{
    return op->kind == ZK_OP_GET || op->kind == ZK_OP_EXISTS || op->kind == ZK_OP_CHILDREN;
}

static bool is_valid(const struct zk_op *op)
{
    struct slice path = op->path;
    if (op->kind == ZK_OP_DELETE && path.size == 1)
        return false;
    return path.size > 0 && path.data[0] == '/' && !memmem(path.data, path.size, "//", 2) &&
           (path.size == 1 || path.data[path.size - 1] != '/' || op->flags & ZK_CREATE_SEQUENTIAL);
}

static struct message *result_message(struct operation *operation)
{
    struct message *message = message_new(operation->view, MESSAGE_RESULT);
    message->operation = operation;
    message->results = mem_new_array(struct zk_result, (size_t)operation->count);
    for (int32_t i = 0; i < operation->count; i++) {
        struct slice path = operation->ops[i].path;
        message->results[i].path = slice_of(data_copy(path), path.size);
    }
    return message;
}

static void fail_message(struct message *message, enum err error)
{
    int32_t count = message->operation->count;
    results_free(message->results, count);
    message->results = mem_new_array(struct zk_result, (size_t)count);
    for (int32_t i = 0; i < count; i++) {
        struct slice path = message->operation->ops[i].path;
        message->results[i].path = slice_of(data_copy(path), path.size);
        message->results[i].error = error;
    }
}

static void fail_operation(struct operation *operation, enum err error)
{
    struct message *message = result_message(operation);
    fail_message(message, error);
    list_push_back(&operation->view->session->incoming, &message->link);
}

static void execute(struct session *session)
{
    struct operation *operation =
        list_entry(list_pop_front(&session->outgoing), struct operation, link);
    bool lost = session->lose_in > 0 && --session->lose_in == 0;
    if (lost && !session->lose_executed) {
        list_push_front(&session->outgoing, &operation->link);
    } else {
        struct message *message = result_message(operation);
        bool valid = true;
        for (int32_t i = 0; i < operation->count; i++)
            valid = valid && is_valid(&operation->ops[i]);
        if (!valid)
            fail_message(message, ERR_MALFORMED);
        else if (is_read(&operation->ops[0]))
            do_read(session->memory, operation->view, operation->ops, message->results);
        else
            do_writes(session->memory, session->id, operation->ops, operation->count,
                      message->results);
        list_push_back(&session->incoming, &message->link);
    }
    if (lost) {
        zk_memory_disconnect(&list_entry(session->views.next, struct view, link)->zk);
        zk_memory_connect(&list_entry(session->views.next, struct view, link)->zk);
    }
}

/* ---- Delivering ---- */

static void deliver(struct session *session)
{
    struct message *message = list_entry(list_pop_front(&session->incoming), struct message, link);
    struct view *view = message->view;
    switch (message->kind) {
    case MESSAGE_RESULT:
        if (message->operation->ops[0].watch)
            confirm(view, message->operation->ops[0].path);
        if (message->operation->done)
            message->operation->done(message->operation->context, message->results,
                                     message->operation->count);
        break;
    case MESSAGE_WATCH:
        if (view->zk.watch_fired)
            view->zk.watch_fired(view->zk.owner, message->event, slice_str(message->path));
        break;
    case MESSAGE_STATE:
        view->seen_generation = message->generation;
        if (view->zk.state_changed)
            view->zk.state_changed(view->zk.owner, message->state, message->session_id);
        break;
    }
    message_free(message);
}

static uint64_t random_next(struct zk_memory *memory)
{
    memory->random += 0x9e3779b97f4a7c15u; /* splitmix64 */
    uint64_t z = memory->random;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

bool zk_memory_step(struct zk_memory *memory)
{
    struct session *best = NULL;
    bool best_delivers = false;
    uint64_t best_order = UINT64_MAX, seen = 0;
    list_for_each (&memory->sessions, s) {
        struct session *session = list_entry(s, struct session, link);
        if (session->paused || session->gone)
            continue;
        for (int delivers = 0; delivers < 2; delivers++) {
            struct list_node *queue = delivers ? &session->incoming : &session->outgoing;
            if (list_is_empty(queue) || (!delivers && !session->connected))
                continue;
            uint64_t order = delivers ? list_entry(queue->next, struct message, link)->order
                                      : list_entry(queue->next, struct operation, link)->order;
            bool take = memory->seeded ? random_next(memory) % ++seen == 0 : order < best_order;
            if (!take)
                continue;
            best = session;
            best_delivers = delivers;
            best_order = order;
        }
    }
    if (!best)
        return false;
    if (best_delivers)
        deliver(best);
    else
        execute(best);
    return true;
}

size_t zk_memory_run(struct zk_memory *memory)
{
    size_t steps = 0;
    while (zk_memory_step(memory))
        steps++;
    return steps;
}

/* ---- Submitting ---- */

static void submit_all(struct zk *zk, const struct zk_op *ops, int32_t count, bool multi,
                       zk_done_fn *done, void *context)
{
    struct view *view = CONTAINER_OF(zk, struct view, zk);
    struct session *session = view->session;
    struct operation *operation = mem_new(struct operation);
    *operation = (struct operation){.order = session->memory->next_order++,
                                    .view = view,
                                    .ops = mem_new_array(struct zk_op, (size_t)count),
                                    .count = count,
                                    .multi = multi,
                                    .done = done,
                                    .context = context};
    for (int32_t i = 0; i < count; i++) {
        operation->ops[i] = ops[i];
        operation->ops[i].path = slice_of(data_copy(ops[i].path), ops[i].path.size);
        operation->ops[i].data = slice_of(data_copy(ops[i].data), ops[i].data.size);
    }
    if (view->seen_generation != session->generation)
        fail_operation(operation, ERR_SESSION_EXPIRED);
    else
        list_push_back(&session->outgoing, &operation->link);
}

static void submit(struct zk *zk, const struct zk_op *op, zk_done_fn *done, void *context)
{
    submit_all(zk, op, 1, false, done, context);
}

static void multi(struct zk *zk, const struct zk_op *ops, int32_t count, zk_done_fn *done,
                  void *context)
{
    assert(count > 0);
    submit_all(zk, ops, count, true, done, context);
}

static const struct zk_functions functions = {submit, multi};

/* ---- Sessions ---- */

static struct view *view_new(struct session *session)
{
    struct view *view = mem_new(struct view);
    view->zk.functions = &functions;
    view->session = session;
    view->seen_generation = session->generation;
    list_init(&view->watches);
    list_push_back(&session->views, &view->link);
    if (session->connected)
        state_message(view, ZK_CONNECTED);
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

static void queues_clear(struct session *session)
{
    for (struct list_node *n; (n = list_pop_front(&session->outgoing));)
        operation_free(list_entry(n, struct operation, link));
    for (struct list_node *n; (n = list_pop_front(&session->incoming));)
        message_free(list_entry(n, struct message, link));
    for (struct list_node *n; (n = list_pop_front(&session->missed));)
        message_free(list_entry(n, struct message, link));
    list_for_each (&session->views, v)
        watches_drop(list_entry(v, struct view, link), true);
}

void zk_memory_client_kill(struct zk *client)
{
    struct session *session = session_of(client);
    session->gone = true;
    session->connected = false;
    queues_clear(session);
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
            fail_message(message, error);
    }
    for (struct list_node *n; (n = list_pop_front(&session->outgoing));)
        fail_operation(list_entry(n, struct operation, link), error);
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
            message_free(message); /* the client never knew that it watched */
        else
            list_push_back(&session->missed, n);
    }
    struct list_node earlier;
    list_init(&earlier);
    for (struct list_node *n; (n = list_pop_front(&session->incoming));)
        list_push_back(&earlier, n);
    tell(session, ZK_CONNECTING);
    for (struct list_node *n; (n = list_pop_front(&earlier));)
        list_push_back(&session->incoming, n);
    fail_outstanding(session, ERR_ZK_UNAVAILABLE);
    list_for_each (&session->views, v)
        watches_drop(list_entry(v, struct view, link), false);
}

static void tell_expiry(struct session *session)
{
    session->expiry_untold = false;
    fail_outstanding(session, ERR_SESSION_EXPIRED);
    for (struct list_node *n; (n = list_pop_front(&session->missed));)
        message_free(list_entry(n, struct message, link));
    session->generation++;
    tell(session, ZK_EXPIRED);
    session->id = session->memory->next_session_id++;
    tell(session, ZK_CONNECTED);
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
    tell(session, ZK_CONNECTED);
    for (struct list_node *n; (n = list_pop_front(&session->missed));) {
        list_entry(n, struct message, link)->order = session->memory->next_order++;
        list_push_back(&session->incoming, n);
    }
}

void zk_memory_expire(struct zk *client)
{
    struct session *session = session_of(client);
    list_for_each (&session->views, v)
        watches_drop(list_entry(v, struct view, link), true);
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

/* ---- The whole ---- */

struct zk_memory *zk_memory_new(uint64_t seed)
{
    struct zk_memory *memory = mem_new(struct zk_memory);
    list_init(&memory->sessions);
    memory->random = seed;
    memory->seeded = seed != 0;
    memory->next_session_id = 0x10001;
    link_node(memory, node_new(SLICE_LITERAL("/"), SLICE_LITERAL(""), 0, 0));
    return memory;
}

void zk_memory_free(struct zk_memory *memory)
{
    if (!memory)
        return;
    for (struct list_node *s; (s = list_pop_front(&memory->sessions));) {
        struct session *session = list_entry(s, struct session, link);
        queues_clear(session);
        for (struct list_node *v; (v = list_pop_front(&session->views));)
            free(list_entry(v, struct view, link));
        free(session);
    }
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&memory->nodes, &i));)
        node_free(e->value);
    map_done(&memory->nodes);
    free(memory);
}

/* ---- From outside ---- */

bool zk_memory_get(struct zk_memory *memory, const char *path, struct slice *ret_data,
                   struct zk_stat *ret_stat)
{
    struct node *node = find(memory, slice_str(path));
    if (!node)
        return false;
    if (ret_data)
        *ret_data = slice_of(node->data, node->data ? (size_t)node->stat.data_size : 0);
    if (ret_stat)
        *ret_stat = node->stat;
    return true;
}

static enum err write_at_once(struct zk_memory *memory, enum zk_op_kind kind, struct slice path,
                              struct slice data)
{
    struct zk_op op = {.kind = kind, .path = path, .data = data, .zk_version = ZK_ANY_VERSION};
    struct zk_result result = {0};
    do_writes(memory, 0, &op, 1, &result);
    free((void *)result.path.data);
    return result.error;
}

void zk_memory_put(struct zk_memory *memory, const char *path, const char *data)
{
    struct slice at = slice_str(path);
    if (find(memory, at)) {
        write_at_once(memory, ZK_OP_SET, at, slice_str(data));
        return;
    }
    OWNED_MEM char *parent = slice_dup(parent_path(at));
    if (!find(memory, slice_str(parent)))
        zk_memory_put(memory, parent, NULL);
    write_at_once(memory, ZK_OP_CREATE, at, slice_str(data));
}

bool zk_memory_delete(struct zk_memory *memory, const char *path)
{
    return write_at_once(memory, ZK_OP_DELETE, slice_str(path), SLICE_NULL) == ERR_OK;
}

int32_t zk_memory_children_count(struct zk_memory *memory, const char *path)
{
    struct node *node = find(memory, slice_str(path));
    return node ? node->stat.children_count : -1;
}

int64_t zk_memory_zxid(const struct zk_memory *memory)
{
    return memory->zxid;
}
