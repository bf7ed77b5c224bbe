/* The way there and back: operations wait in their session's queue until a step executes one,
 * answers and events until a step delivers one. */
#include "tests/fake/zk_memory_internal.h"

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
    struct message *message = zkm_message_new(operation->view, MESSAGE_RESULT);
    message->operation = operation;
    message->results = mem_new_array(struct zk_result, (size_t)operation->count);
    for (int32_t i = 0; i < operation->count; i++) {
        struct slice path = operation->ops[i].path;
        message->results[i].path = slice_of(zkm_data_copy(path), path.size);
    }
    return message;
}

void zkm_fail_message(struct message *message, enum err error)
{
    int32_t count = message->operation->count;
    zkm_results_free(message->results, count);
    message->results = mem_new_array(struct zk_result, (size_t)count);
    for (int32_t i = 0; i < count; i++) {
        struct slice path = message->operation->ops[i].path;
        message->results[i].path = slice_of(zkm_data_copy(path), path.size);
        message->results[i].error = error;
    }
}

void zkm_fail_operation(struct operation *operation, enum err error)
{
    struct message *message = result_message(operation);
    zkm_fail_message(message, error);
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
            zkm_fail_message(message, ERR_MALFORMED);
        else if (is_read(&operation->ops[0]))
            zkm_do_read(session->memory, operation->view, operation->ops, message->results);
        else
            zkm_do_writes(session->memory, session->id, operation->ops, operation->count,
                          message->results);
        list_push_back(&session->incoming, &message->link);
    }
    if (lost) {
        zk_memory_disconnect(&list_entry(session->views.next, struct view, link)->zk);
        zk_memory_connect(&list_entry(session->views.next, struct view, link)->zk);
    }
}

/* --- delivering --- */

static void deliver(struct session *session)
{
    struct message *message = list_entry(list_pop_front(&session->incoming), struct message, link);
    struct view *view = message->view;
    switch (message->kind) {
    case MESSAGE_RESULT:
        if (message->operation->ops[0].watch)
            zkm_confirm(view, message->operation->ops[0].path);
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
    zkm_message_free(message);
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

/* --- submitting --- */

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
        operation->ops[i].path = slice_of(zkm_data_copy(ops[i].path), ops[i].path.size);
        operation->ops[i].data = slice_of(zkm_data_copy(ops[i].data), ops[i].data.size);
    }
    if (view->seen_generation != session->generation)
        zkm_fail_operation(operation, ERR_SESSION_EXPIRED);
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

const struct zk_functions zkm_functions = {submit, multi};
