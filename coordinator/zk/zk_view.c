/* Views of a session: what owners submit, and what runs on their threads. */
#include "coordinator/zk/zk_session_internal.h"

/* ---- Views and messages ---- */

void zk_view_ref(struct zk_view *view)
{
    atomic_fetch_add(&view->ref_count, 1);
}

void zk_view_unref(struct zk_view *view)
{
    if (atomic_fetch_sub(&view->ref_count, 1) == 1)
        free(view);
}

struct zk_message *zk_message_new(struct zk_view *view, enum zk_message_kind kind)
{
    struct zk_message *message = mem_new(struct zk_message);
    message->view = view;
    message->kind = kind;
    zk_view_ref(view);
    return message;
}

void zk_message_free(struct zk_message *message)
{
    if (!message)
        return;
    for (int32_t i = 0; i < message->count; i++) {
        struct zk_result *result = &message->results[i];
        free((void *)result->path.data);
        free((void *)result->data.data);
        for (int32_t c = 0; c < result->children_count; c++)
            free((void *)result->children[c].data);
        free(result->children);
    }
    free(message->results);
    free(message->path);
    zk_view_unref(message->view);
    free(message);
}

void zk_message_fail(struct zk_message *message, enum err error)
{
    for (int32_t i = 0; i < message->count; i++)
        message->results[i].error = error;
}

void zk_request_free(struct zk_request *request)
{
    if (!request)
        return;
    for (int32_t i = 0; i < request->count; i++) {
        free((void *)request->ops[i].path.data);
        free((void *)request->ops[i].data.data);
        if (request->created)
            free(request->created[i]);
    }
    free(request->ops);
    free(request->created);
    free(request->stats);
    free(request->library_ops);
    free(request->library_results);
    zk_message_free(request->message);
    zk_view_unref(request->view);
    free(request);
}

/* ---- Submitting ---- */

static struct slice copy(struct slice s)
{
    if (slice_is_null(s))
        return s;
    uint8_t *data = mem_alloc(s.size + 1);
    memcpy(data, s.data, s.size);
    return slice_of(data, s.size);
}

/* NUL-terminated, under the chroot; "/" itself is the chroot. */
static struct slice full_path(const struct zk_session *session, struct slice path)
{
    bool is_root = slice_equal_str(path, "/") && session->chroot[0];
    size_t head = strlen(session->chroot), tail = is_root ? 0 : path.size;
    char *text = mem_alloc(head + tail + 1);
    memcpy(text, session->chroot, head);
    if (tail)
        memcpy(text + head, path.data, tail);
    return slice_of(text, head + tail);
}

static bool path_is_valid(struct slice path)
{
    if (path.size == 0 || path.size > ZK_PATH_MAX || path.data[0] != '/' ||
        memchr(path.data, 0, path.size))
        return false;
    if (path.size > 1 && path.data[path.size - 1] == '/')
        return false;
    return !memmem(path.data, path.size, "//", 2);
}

static struct zk_request *request_new(struct zk_view *view, const struct zk_op *ops, int32_t count,
                                      zk_done_fn *done, void *context)
{
    struct zk_request *request = mem_new(struct zk_request);
    request->view = view;
    zk_view_ref(view);
    request->ops = mem_new_array(struct zk_op, count);
    request->count = count;
    struct zk_message *message = request->message = zk_message_new(view, ZK_MESSAGE_RESULT);
    message->done = done;
    message->context = context;
    message->results = mem_new_array(struct zk_result, count);
    message->count = count;
    for (int32_t i = 0; i < count; i++) {
        request->ops[i] = ops[i];
        request->ops[i].path = full_path(view->session, ops[i].path);
        request->ops[i].data = copy(ops[i].data);
        message->results[i].path = copy(ops[i].path);
    }
    return request;
}

static void queue(struct zk_view *view, struct zk_request *request)
{
    struct zk_session *session = view->session;
    bool valid = true;
    for (int32_t i = 0; i < request->count; i++) {
        /* the sequence number may stand right behind a '/' */
        struct slice path = request->message->results[i].path;
        if (request->ops[i].flags & ZK_CREATE_SEQUENTIAL && path.size > 1 &&
            path.data[path.size - 1] == '/')
            path.size--;
        valid = valid && path_is_valid(path);
    }
    pthread_mutex_lock(&session->mutex);
    if (view->seen_generation != session->generation || session->state == ZK_AUTH_FAILED) {
        /* meant for a session that is over: nothing of it may reach the new one. All that came
         * before was abandoned when that session ended, so the order holds. */
        struct zk_message *message = TAKE(request->message);
        zk_message_fail(message, session->state == ZK_AUTH_FAILED ? ERR_ZK_UNAVAILABLE
                                                                  : ERR_SESSION_EXPIRED);
        mailbox_post(view->mailbox, &message->node);
        zk_request_free(request);
    } else {
        request->ready = !valid;
        if (!valid)
            zk_message_fail(request->message, ERR_MALFORMED);
        if (valid && request->anywhere)
            zk_spread_add(session, request);
        else
            list_push_back(&session->queued, &request->node);
        zk_session_pump(session);
    }
    pthread_mutex_unlock(&session->mutex);
}

static void view_submit(struct zk *zk, const struct zk_op *op, zk_done_fn *done, void *context)
{
    struct zk_view *view = CONTAINER_OF(zk, struct zk_view, zk);
    struct zk_request *request = request_new(view, op, 1, done, context);
    request->anywhere = op->anywhere && op->kind == ZK_OP_GET && !op->watch;
    queue(view, request);
}

static void view_multi(struct zk *zk, const struct zk_op *ops, int32_t count, zk_done_fn *done,
                       void *context)
{
    struct zk_view *view = CONTAINER_OF(zk, struct zk_view, zk);
    assert(count > 0 && count <= ZK_MULTI_MAX);
    struct zk_request *request = request_new(view, ops, count, done, context);
    request->multi = true;
    queue(view, request);
}

static const struct zk_functions view_functions = {view_submit, view_multi};

struct zk *zk_session_view(struct zk_session *session, struct mailbox *mailbox)
{
    struct zk_view *view = mem_new(struct zk_view);
    view->zk.functions = &view_functions;
    view->session = session;
    view->mailbox = mailbox;
    atomic_init(&view->ref_count, 1);
    pthread_mutex_lock(&session->mutex);
    view->seen_generation = session->generation;
    list_push_back(&session->views, &view->node);
    if (session->state == ZK_CONNECTED) {
        struct zk_message *message = zk_message_new(view, ZK_MESSAGE_STATE);
        message->state = ZK_CONNECTED;
        message->session_id = session->session_id;
        message->generation = session->generation;
        mailbox_post(mailbox, &message->node);
    }
    pthread_mutex_unlock(&session->mutex);
    return &view->zk;
}

static void drop_reads(struct zk *zk);

void zk_session_view_free(struct zk *zk)
{
    if (!zk)
        return;
    struct zk_view *view = CONTAINER_OF(zk, struct zk_view, zk);
    struct zk_session *session = view->session;
    pthread_mutex_lock(&session->mutex);
    list_remove(&view->node);
    view->closed = true;
    list_for_each (&session->queued, node) {
        struct zk_request *request = list_entry(node, struct zk_request, node);
        if (request->view == view) {
            list_remove(node);
            zk_request_free(request);
        }
    }
    list_for_each (&session->in_flight, node) { /* they leave when the library has answered */
        struct zk_request *request = list_entry(node, struct zk_request, node);
        if (request->view == view)
            zk_message_free(TAKE(request->message));
    }
    zk_spread_forget(session, view);
    pthread_mutex_unlock(&session->mutex);
    drop_reads(zk); /* nobody calls them back any more */
    zk_view_unref(view);
}

/* ---- On the owner's thread ---- */

static void run_state(struct zk_view *view, const struct zk_message *message)
{
    pthread_mutex_lock(&view->session->mutex);
    view->seen_generation = message->generation;
    pthread_mutex_unlock(&view->session->mutex);
    if (view->zk.state_changed)
        view->zk.state_changed(view->zk.owner, message->state, message->session_id);
}

static void run_one(struct zk_message *message)
{
    struct zk_view *view = message->view;
    if (view->closed)
        return;
    switch (message->kind) {
    case ZK_MESSAGE_RESULT:
        if (message->done)
            message->done(message->context, message->results, message->count);
        break;
    case ZK_MESSAGE_WATCH:
        if (view->zk.watch_fired)
            view->zk.watch_fired(view->zk.owner, message->event, slice_str(message->path));
        break;
    case ZK_MESSAGE_STATE:
        run_state(view, message);
        break;
    }
}

void zk_session_run(struct list_node *messages)
{
    for (struct list_node *node; (node = list_pop_front(messages));) {
        struct zk_message *message = list_entry(node, struct zk_message, node);
        run_one(message);
        zk_message_free(message);
    }
}

/* ---- Waiting, and reading again ---- */

struct waiter {
    zk_done_fn *done;
    void *context;
    bool finished;
};

static void waiter_done(void *context, const struct zk_result *results, int32_t count)
{
    struct waiter *waiter = context;
    if (waiter->done)
        waiter->done(waiter->context, results, count);
    waiter->finished = true;
}

void zk_session_wait(struct zk *zk, const struct zk_op *ops, int32_t count, zk_done_fn *done,
                     void *context)
{
    struct zk_view *view = CONTAINER_OF(zk, struct zk_view, zk);
    struct waiter waiter = {done, context, false};
    if (count == 1)
        zk_submit(zk, ops, waiter_done, &waiter);
    else
        zk_multi(zk, ops, count, waiter_done, &waiter);
    while (!waiter.finished) {
        struct list_node messages;
        list_init(&messages);
        mailbox_wait(view->mailbox, -1);
        mailbox_receive(view->mailbox, &messages);
        zk_session_run(&messages);
    }
}

struct repeated_read {
    struct list_node node; /* zk->reads */
    struct zk *zk;
    struct zk_op op;
    char *path;
    zk_done_fn *done;
    void *context;
};

static void read_free(struct repeated_read *read)
{
    list_remove(&read->node);
    free(read->path);
    free(read);
}

static void read_done(void *context, const struct zk_result *results, int32_t count)
{
    struct repeated_read *read = context;
    if (results[0].error == ERR_ZK_UNAVAILABLE) { /* waits in the queue for the next connection */
        zk_submit(read->zk, &read->op, read_done, read);
        return;
    }
    read->done(read->context, results, count);
    read_free(read);
}

void zk_read(struct zk *zk, const struct zk_op *op, zk_done_fn *done, void *context)
{
    assert(op->kind == ZK_OP_GET || op->kind == ZK_OP_EXISTS || op->kind == ZK_OP_CHILDREN);
    struct repeated_read *read = mem_new(struct repeated_read);
    *read = (struct repeated_read){
        .zk = zk, .op = *op, .path = slice_dup(op->path), .done = done, .context = context};
    read->op.path = slice_of(read->path, op->path.size);
    if (!zk->reads.next)
        list_init(&zk->reads);
    list_push_back(&zk->reads, &read->node);
    zk_submit(zk, &read->op, read_done, read);
}

static void drop_reads(struct zk *zk)
{
    while (list_is_linked(&zk->reads))
        read_free(list_entry(zk->reads.next, struct repeated_read, node));
}
